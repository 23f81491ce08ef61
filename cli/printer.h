/* SPDX-License-Identifier: Apache-2.0
 * cli/printer.h - puts what encoders staged (cli/encoder.h) into the outputs, piece after piece: JSON on standard output, and in a
 * directory aggregate.json, forensic.json, feedback.json, smtp_tls.json, a .csv beside each but feedback, and samples/ with one .eml
 * for each failure report that has a sample. The lists of standard output come one after the other, so all but the first wait in
 * files without a name until the end.
 * Files get their names when everything is in them: temporary name, fsync, rename. A sample has its name at once, and is
 * synced with the others at the end.
 * Ownership: create with new, end with finish, then free. Threads: one user at a time. Errors: TAP_E_TEMP and the like when something
 * cannot be written; after such an error the printer is only good for free. */
#ifndef TAP_CLI_PRINTER_H
#define TAP_CLI_PRINTER_H

#include "base/err.h"
#include "cli/encoder.h"

struct tap_printer;
struct tap_printer_options {
	int fd;		       /* JSON goes here; used when print->to_stdout */
	const char *directory; /* used when print->to_files */
	const struct tap_print *print;
};

enum tap_rc tap_printer_new(const struct tap_printer_options *o, struct tap_printer **p_r,
			    struct tap_err *err) TAP_MUST_CHECK;
/* All but TAP_TO_TALK, which is the caller's. */
enum tap_rc tap_printer_add(struct tap_printer *p, const struct tap_encoded *e,
			    struct tap_err *err) TAP_MUST_CHECK;
/* Closes the lists, writes what waits and gives the files their names. */
enum tap_rc tap_printer_finish(struct tap_printer *p, struct tap_err *err) TAP_MUST_CHECK;
/* NULL-safe, sets *p = NULL. What was not finished leaves no file, but for samples. */
void tap_printer_free(struct tap_printer **p);

#endif
