/* SPDX-License-Identifier: Apache-2.0
 * outputs/email_pack.h - what the driver email makes of items: each is encoded so that it can stand alone, and any run of them becomes
 * one archive with the reference's names: aggregate.json and .csv, forensic, smtp_tls, feedback likewise, samples/NAME.eml; only members
 * that have something in them. A JSON member is an array with one report a line; a report that a run cuts stands in it with the part that
 * the run has. Private to outputs/. Limits [I7]: the buffers' maximum. Threads: safe. */
#ifndef TAP_OUTPUTS_EMAIL_PACK_H
#define TAP_OUTPUTS_EMAIL_PACK_H

#include "outputs/output.h"

enum tap_pack_part {
	TAP_PACK_OPEN,	/* the report's beginning in JSON */
	TAP_PACK_HEAD,	/* SMTP TLS: the policy up to its details */
	TAP_PACK_BODY,	/* a record or detail; a whole failure report */
	TAP_PACK_CLOSE, /* the report's end */
	TAP_PACK_ROW,	/* CSV */
	TAP_PACK_SAMPLE,
	TAP_PACK_NAME,	 /* of the sample */
	TAP_PACK_DOMAIN, /* of the policy, or the reported one; NUL-terminated, as what follows */
	TAP_PACK_SOURCE, /* address of the source */
	TAP_PACK_HOST,	 /* its name */
	TAP_PACK_PARTS
};
struct tap_pack_item { /* in front of the parts, aligned to nothing: copied out by tap_pack_read */
	int64_t seq, revision;
	uint64_t policy;	/* SMTP TLS */
	uint64_t count, passed; /* messages; SMTP TLS: sessions, of a policy's own item only */
	enum tap_kind kind;
	bool trusted, foreign, spf, dkim;
	uint32_t len[TAP_PACK_PARTS];
};
struct tap_pack_style {
	bool strip_payloads, guard, samples;
};
enum tap_rc tap_pack_encode(const struct tap_pack_style *s, const struct tap_item *item,
			    struct tap_buf *out, struct tap_err *err) TAP_MUST_CHECK;
/* part[TAP_PACK_PARTS]: where each begins. */
void tap_pack_read(const char *item, struct tap_pack_item *i_r, const char **part);
/* Items first … first + n - 1 of a batch (output.h: send). */
enum tap_rc tap_pack_zip(const struct tap_pack_style *s, const char *bytes, const size_t *ofs,
			 size_t first, size_t n, int64_t now, struct tap_buf *out,
			 struct tap_err *err) TAP_MUST_CHECK;

#endif
