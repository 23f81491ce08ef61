/* SPDX-License-Identifier: Apache-2.0
 * parser/inflate.h - gzip and zlib while they are pulled, counted against the limits before anybody sees the bytes.
 * All members of a gzip file are one stream; what follows the last is ignored, and remembered. Truncation and a bad CRC are TAP_E_DATA after
 * everything that did inflate. Limits [I7]: report_bytes, total_bytes, ratio (after 8 MiB of output).
 * Ownership: the caller frees. Threads: one user at a time. RFC 1950, 1951, 1952. */
#ifndef TAP_PARSER_INFLATE_H
#define TAP_PARSER_INFLATE_H

#include "parser/stream.h"
#include "parser/work.h"
#include <stdbool.h>

enum { TAP_RATIO_FROM = 8 << 20 }; /* the ratio says nothing about less */

/* What a decompressor has given and taken; shared by gzip and zip. */
struct tap_meter {
	struct tap_work *work;
	uint64_t in, out;
	uint64_t
	    high; /* most that was ever given: a second pass is not counted against total_bytes again */
};
/* Call after each piece; TAP_E_LIMIT with the limit's name. */
enum tap_rc tap_meter_check(struct tap_meter *m, struct tap_err *err) TAP_MUST_CHECK;

struct tap_inflate;
struct tap_inflate *tap_inflate_new(void);
void tap_inflate_free(struct tap_inflate **z);
enum tap_packing {
	TAP_PACKED_GZIP, /* or zlib: which of them is seen by the header                   */
	TAP_PACKED_RAW,	 /* a deflate stream alone; what follows it is somebody else's     */
};
/* A stream over `in`; valid until the next start. */
enum tap_rc tap_inflate_start(struct tap_inflate *z, struct tap_work *work,
			      enum tap_packing packing, struct tap_stream *in,
			      struct tap_stream **out_r, struct tap_err *err) TAP_MUST_CHECK;
/* What the first n bytes give when they are a raw deflate stream; 0 = they are none. */
size_t tap_inflate_trial(const unsigned char *p, size_t n, unsigned char *out, size_t cap);
/* Once the stream has ended: did more than two blanks stand behind the last member? */
bool tap_inflate_garbage(const struct tap_inflate *z);

#endif
