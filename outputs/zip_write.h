/* SPDX-License-Identifier: Apache-2.0
 * outputs/zip_write.h - writes a ZIP archive into a buffer, member by member, as the bytes come: a batch becomes an archive without
 * its members ever standing anywhere as a whole. Deflate, names in UTF-8, no extras: what every reader since 1993 takes.
 * Private to outputs/. Ownership: the buffer is the caller's; tap_zip_close gives the rest back, also after an error.
 * Limits [I7]: the buffer's maximum (below 4 GiB), 65535 members. Errors stick, as in the buffer; tap_zip_end says. Threads: one user
 * at a time. APPNOTE.TXT 6.3.3, RFC 1951. */
#ifndef TAP_OUTPUTS_ZIP_WRITE_H
#define TAP_OUTPUTS_ZIP_WRITE_H

#include "base/buf.h"

struct tap_zip;
/* when: the members' time, seconds since the epoch. NULL: no memory. */
struct tap_zip *tap_zip_open(struct tap_buf *out, int64_t when) TAP_MUST_CHECK;
void tap_zip_member(struct tap_zip *z, const char *name); /* ends the one before */
void tap_zip_add(struct tap_zip *z, const void *p, size_t n);
/* The directory behind the last member. TAP_E_LIMIT: the buffer's maximum or another limit; TAP_E_TEMP: no memory. */
enum tap_rc tap_zip_end(struct tap_zip *z, struct tap_err *err) TAP_MUST_CHECK;
void tap_zip_close(struct tap_zip **z); /* NULL-safe, sets NULL */

#endif
