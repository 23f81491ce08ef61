/* SPDX-License-Identifier: Apache-2.0
 * parser/decode.h - a MIME part's bytes without their transfer encoding, decoded while they are pulled; nothing is ever held
 * whole. What is labelled base64 and is not, and what is base64 and not labelled, is seen by its first bytes.
 * Ownership: borrows the range. Threads: one user at a time. Never fails itself: bytes that do not decode are left out.
 * RFC 2045 section 6. */
#ifndef TAP_PARSER_DECODE_H
#define TAP_PARSER_DECODE_H

#include "parser/stream.h"
#include <stdbool.h>

enum tap_encoding { TAP_ENC_NONE, TAP_ENC_BASE64, TAP_ENC_QP, TAP_ENC_UU };
/* A Content-Transfer-Encoding value; unknown words are TAP_ENC_NONE. */
enum tap_encoding tap_encoding_parse(const char *value);

enum { TAP_DECODE_RAW = 16384 };
struct tap_decode {
	struct tap_stream base;
	struct tap_range *range;
	enum tap_encoding enc;
	int state; /* of the decoder, see GMime's encoding functions */
	uint32_t save;
	bool ended, uu_begun;
	size_t pos, len; /* of out */
	size_t
	    probed; /* after tap_decode_init: raw holds this many of the first bytes, until the first read */
	char raw[TAP_DECODE_RAW];
	char out[TAP_DECODE_RAW + 8];
};
/* Looks at the first bytes of the range to correct a wrong label; d->enc says what it is taken for. */
enum tap_rc tap_decode_init(struct tap_decode *d, struct tap_range *range, enum tap_encoding label,
			    struct tap_err *err) TAP_MUST_CHECK;

#endif
