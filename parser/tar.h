/* SPDX-License-Identifier: Apache-2.0
 * parser/tar.h - the regular files in a tar archive that is pulled, one after the other: ustar, pax (path and size), GNU long names,
 * and the old format without a magic word. Names are hints, never paths; links, devices and directories are passed over.
 * An archive inside of gzip cannot be read at any offset: going back behind the first 64 KiB of a member reads the archive
 * again, for which there is a budget. Limits [I7]: 4 headers for each member of zip_members, 64 KiB of extended header, name of zip_name, total_bytes of
 * reading again. Errors: TAP_E_DATA = damaged or cut off here. Ownership: borrows the stream. Threads: one user at a time.
 * POSIX.1-2001 pax, section "ustar Interchange Format". */
#ifndef TAP_PARSER_TAR_H
#define TAP_PARSER_TAR_H

#include "parser/stream.h"
#include "parser/work.h"
#include <stdbool.h>

struct tap_tar;
struct tap_tar *tap_tar_new(struct tap_work *work); /* NULL = out of memory */
void tap_tar_free(struct tap_tar **t);		    /* NULL-safe, sets *t = NULL */
enum tap_rc tap_tar_start(struct tap_tar *t, struct tap_stream *in,
			  struct tap_err *err) TAP_MUST_CHECK;
/* The next regular file; *found_r false: no more. */
enum tap_rc tap_tar_next(struct tap_tar *t, bool *found_r, struct tap_err *err) TAP_MUST_CHECK;
const char *tap_tar_name(const struct tap_tar *t); /* as it stands there */
/* Its bytes, until the next tap_tar_next. */
struct tap_stream *tap_tar_member(struct tap_tar *t);

#endif
