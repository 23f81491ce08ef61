/* SPDX-License-Identifier: Apache-2.0
 * outputs/sample_name.h - the messages of failure reports as files of their own (samples/….eml): a name that the sender cannot choose,
 * and a file that replaces none. Ownership: nothing is kept. Threads: safe, also several processes on one directory. */
#ifndef TAP_OUTPUTS_SAMPLE_NAME_H
#define TAP_OUTPUTS_SAMPLE_NAME_H

#include "base/err.h"
#include "parser/report.h"

enum { TAP_SAMPLE_NAME = 96, TAP_SAMPLE_SUBJECT = 48 };

/* "0123456789abcdef0123-Rent_reminder.eml": the first 20 digits of the report's uid, and what of the subject is a letter, digit, dot or
 * hyphen of ASCII, the rest as single underscores, at most TAP_SAMPLE_SUBJECT bytes. number > 1 stands before ".eml" as "-2". */
void tap_sample_name(const struct tap_meta *m, const struct tap_failure *f, unsigned number,
		     char out[TAP_SAMPLE_NAME]);
/* Writes the sample into the directory, readable by its owner alone. A file of that name with the same bytes is the one; with others the
 * next number is taken. name_r = what it is called now, "" for a report without a sample. Not synced, since many come at once:
 * the caller syncs the file system (syncfs) behind the last when it matters. Errors: those of base/io.h; TAP_E_LIMIT when 100 files of other contents have the name. */
enum tap_rc tap_sample_save(int dirfd, const struct tap_meta *m, const struct tap_failure *f,
			    char name_r[TAP_SAMPLE_NAME], struct tap_err *err) TAP_MUST_CHECK;

#endif
