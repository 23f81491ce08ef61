/* SPDX-License-Identifier: Apache-2.0
 * confine/frames_wire.h - what both ends of frames share (private to confine/): little-endian numbers, the size limits and the
 * decoder of a result frame. Threads: no state. */
#ifndef TAP_CONFINE_FRAMES_WIRE_H
#define TAP_CONFINE_FRAMES_WIRE_H

#include "base/err.h"
#include "parser/parser.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAP_FRAME_NULL UINT32_C(0xffffffff) /* the length that stands for an absent string */

enum {
	TAP_FRAME_RESULT_MAX = 1024,	    /* bytes of a result frame's body */
	TAP_FRAME_FLUSH = 64 << 10,	    /* a writer hands over what it holds from here on */
	TAP_FRAME_PAYLOAD_PIECE = 64 << 10, /* payload bytes in one frame */
	TAP_FRAME_UID = TAP_UID_HEX - 1,
	TAP_FRAME_LIST =
	    1 << 20, /* most elements of one list: more than any limit of the parser lets through */
};

/* Bits of the flag bytes. */
enum {
	TAP_FRAME_DKIM_ALIGNED = 1,
	TAP_FRAME_SPF_ALIGNED = 2,
	TAP_FRAME_EVALUATED = 4,
	TAP_FRAME_SOURCE_INFO = 8, /* what enrichment knows follows */
	TAP_FRAME_TRUNCATED = 1,
	TAP_FRAME_RECOVERED = 2,
	TAP_FRAME_FOREIGN = 1,
	TAP_FRAME_TRUSTED = 2,
	TAP_FRAME_TRUST_FLAGS = 3,
	TAP_FRAME_UTF8 = 1,
	TAP_FRAME_HEADERS_ONLY = 2,
	TAP_FRAME_SAMPLE_DAMAGED = 4,
	TAP_FRAME_MESSAGE_FLAGS = 7,
	TAP_FRAME_ZONE = 1,
	TAP_FRAME_DEFECTS = 2,
	TAP_FRAME_SAMPLE_FLAGS = 3,
	TAP_FRAME_TEXT = 1,
	TAP_FRAME_DAMAGED = 2,
	TAP_FRAME_ATTACHMENT_FLAGS = 3,
};

static inline uint32_t tap_frame_get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void tap_frame_put_u32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
	p[2] = (unsigned char)(v >> 16);
	p[3] = (unsigned char)(v >> 24);
}

/* How many of the n bytes from the front are valid UTF-8 without control characters (of ASCII or U+0080 to U+009F) except TAB
 * and LF. */
size_t tap_frame_clean(const unsigned char *s, size_t n);
/* The body of a result frame; TAP_E_DATA when it is none. */
enum tap_rc tap_frame_decode_result(const void *body, size_t n, enum tap_rc *rc_r,
				    struct tap_parse_result *res,
				    struct tap_err *err) TAP_MUST_CHECK;

#endif
