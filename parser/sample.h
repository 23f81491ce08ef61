/* SPDX-License-Identifier: Apache-2.0
 * parser/sample.h - the message that a failure report is about, as data: addresses, hops, decoded text, attachments. Never searched
 * for reports. Inside of parser/ only. Limits [I7]: those of the MIME walk, and body_bytes, attachment_bytes, list.
 * Ownership: everything lies in the arena. Threads: safe. RFC 5322, 2045-2047, 2231. */
#ifndef TAP_PARSER_SAMPLE_H
#define TAP_PARSER_SAMPLE_H

#include "base/arena.h"
#include "base/err.h"
#include "parser/parser.h"
#include "parser/report_failure.h"

/* Where warnings go; the texts are copied. */
struct tap_sample_warn {
	void (*add)(void *ctx, const char *where, const char *what);
	void *ctx;
};
/* Never fails on what the bytes are: what cannot be read is absent, has_defects is set. TAP_E_LIMIT: the arena's cap. */
enum tap_rc tap_sample_parse(struct tap_arena *a, const void *p, size_t n, bool headers_only,
			     const struct tap_parse_options *opt,
			     const struct tap_sample_warn *warn, const struct tap_sample **out_r,
			     struct tap_err *err) TAP_MUST_CHECK;

#endif
