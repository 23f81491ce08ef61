/* SPDX-License-Identifier: Apache-2.0
 * parser/failure_impl.h - what the files of the failure reader share: failure.c (the report as a whole, its events),
 * failure_fields.c (the fields of a feedback report), failure_derive.c (what follows from other parts of the report),
 * failure_text.c (the words of Exim). Included by these files only. */
#ifndef TAP_PARSER_FAILURE_IMPL_H
#define TAP_PARSER_FAILURE_IMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/sha256.h"
#include "parser/failure.h"
#include "parser/feedback_fields.h"

struct fl_list {
	const char **v;
	size_t n, cap;
};
enum fl_list_id {
	FL_RCPT,
	FL_AUTHRES,
	FL_AUTH_FAILURE,
	FL_ALIGNMENT,
	FL_DOMAIN,
	FL_URI,
	FL_ALIGNED,
	FL_FAILED,
	FL_LISTS
};

/* One report that is being put together. */
struct fl {
	struct tap_work *w;
	const struct tap_failure_parts *parts;
	struct tap_arena *arena;	/* of the fields, the warnings and what is derived */
	struct tap_arena *sample_arena; /* of the parsed sample */
	struct tap_buf scratch;
	struct tap_failure f;
	struct tap_meta meta;
	struct tap_report_end end;
	struct fl_list list[FL_LISTS];
	struct tap_spf_dns *spf;
	size_t spf_cap;
	struct tap_pair *extra;
	size_t extra_cap;
	struct tap_warning *warnings;
	uint32_t known; /* fields that feedback reports have */
	uint64_t seen;	/* rows of the table that were met */
	bool typed;	/* the report says its type */
	bool alignment_given;
	const char *received_date, *field_message_id;
	/* The sample: that of the parts, or what stands in an Exim text. */
	const void *sample;
	size_t sample_len;
	bool headers_only;
};

void fl_init(struct fl *s, struct tap_work *w, const struct tap_failure_parts *parts);
void fl_clear(struct fl *s);
TAP_PRINTF(3, 4) void fl_warn(struct fl *s, const char *where, const char *fmt, ...);
/* A clean copy of a value (unfolded, at most max bytes); NULL with a warning when there is no more room. */
char *fl_text(struct fl *s, const char *where, const char *p, size_t n, size_t max, bool lower);
/* Adds to a list; what is over the limit is left out with a warning. v lies in the arena. */
void fl_list_add(struct fl *s, enum fl_list_id id, const char *where, const char *v);

void fl_read_fields(struct fl *s, const char *p, size_t n);
void fl_add_extra(struct fl *s, const struct tap_fb_field *f);
void fl_source_ip(struct fl *s, const char *where, const char *v);
void fl_derive(struct fl *s);
/* The events, once everything is known. */
enum tap_rc fl_emit(struct fl *s, struct tap_document_result *res, struct tap_err *err);

#endif
