/* SPDX-License-Identifier: Apache-2.0
 * parser/zip.h - a zip archive over bytes that can be read at any offset, through libzip; each member is a stream.
 * The directory is not believed: its number of entries is looked at before libzip allocates for them, sizes are counted while
 * bytes come out. Names are hints, never paths. Limits [I7]: zip_members, zip_name, and those of inflate.h.
 * Ownership: the caller closes; the source outlives the archive. Threads: one user at a time. */
#ifndef TAP_PARSER_ZIP_H
#define TAP_PARSER_ZIP_H

#include "parser/stream.h"
#include "parser/work.h"
#include <stdbool.h>

struct tap_zip;
/* TAP_E_NOTFOUND: the directory is not there, the archive was cut off; TAP_E_DATA: no archive that can be read; TAP_E_LIMIT: too
 * many members. */
enum tap_rc tap_zip_open(struct tap_work *work, const struct tap_source *src, struct tap_zip **z_r,
			 struct tap_err *err) TAP_MUST_CHECK;
void tap_zip_close(struct tap_zip **z); /* NULL-safe, sets *z = NULL */
size_t tap_zip_count(const struct tap_zip *z);
/* An office document, a Java archive or the like: what is in it is no report. */
bool tap_zip_is_document(const struct tap_zip *z);
/* Directories and what operating systems add (__MACOSX/, .DS_Store). */
bool tap_zip_skip(const struct tap_zip *z, size_t i);
bool tap_zip_skip_name(const char *name);
const char *tap_zip_name(const struct tap_zip *z,
			 size_t i); /* as it stands there; "" when unknown */
/* Makes member i the stream; the one before is gone. TAP_E_DATA: encrypted, or packed in a way that is not read. */
enum tap_rc tap_zip_member(struct tap_zip *z, size_t i, struct tap_stream **out_r,
			   struct tap_err *err) TAP_MUST_CHECK;

#endif
