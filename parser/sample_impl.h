/* SPDX-License-Identifier: Apache-2.0
 * parser/sample_impl.h - what sample.c and sample_parts.c share. */
#ifndef TAP_PARSER_SAMPLE_IMPL_H
#define TAP_PARSER_SAMPLE_IMPL_H

#include "base/buf.h"
#include "parser/sample.h"

struct tap_sample_work {
	struct tap_arena *a;
	const struct tap_parse_options *opt;
	const struct tap_parse_limits *lim;
	const struct tap_sample_warn *warn;
	struct tap_sample *out;
	bool full;	 /* the arena's cap was hit */
	unsigned warned; /* bits of enum tap_sample_note: each is said once */
};
enum tap_sample_note {
	TAP_SN_HEADERS,
	TAP_SN_LIST,
	TAP_SN_PARTS,
	TAP_SN_DEPTH,
	TAP_SN_BODY,
	TAP_SN_ATTACHMENTS,
	TAP_SN_PAYLOAD,
	TAP_SN_CHARSET,
	TAP_SN_INVALID,
	TAP_SN_ENCODING,
	TAP_SN_CUT,
	TAP_SN_FIELD,
	TAP_SN_N
};
/* Sets has_defects too when the note is about the message and not about a limit. */
void tap_sample_note(struct tap_sample_work *s, enum tap_sample_note note);
/* Body and attachments of the message [p, p + n), whose header is read as well. */
void tap_sample_parts(struct tap_sample_work *s, const char *p, size_t n);

/* Room for one more item of `size` bytes in a list of n; false at the arena's cap. */
bool tap_sample_grow(struct tap_sample_work *s, void *list_, size_t n, size_t *room, size_t size);

#endif
