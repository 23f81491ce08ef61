/* SPDX-License-Identifier: Apache-2.0
 * outputs/slice.c - see slice.h. Limits [I7]: the buffer's. Threads: safe. */
#include "outputs/slice.h"

#include "base/clock.h"
#include "outputs/encode.h"
#include "outputs/json_write.h"
#include "outputs/shape.h"

static const struct tap_json_style compact = {0};

static void put_time(struct tap_enc *e, int64_t t)
{
	char text[32];

	tap_time_rfc3339(t, text, sizeof text);
	put_string(e, text);
}

static void identity(struct tap_enc *e, const struct tap_item *item, bool indexed)
{
	const struct tap_meta *m = item->meta;

	KEY(e, 1, "trust_auth");
	put_string(e, tap_shape_auth(m->trust.auth));
	KEY(e, 1, "trusted");
	put_bool(e, m->trust.trusted);
	KEY(e, 1, "kind");
	put_string(e, tap_shape_kind(m->kind));
	tap_enc_identity(e, m, item->revision);
	if (indexed) {
		KEY(e, 1, "record_index");
		put_u64(e, item->ordinal);
	}
	PUT(e, "}");
}

static void of_report(struct tap_enc *e, const struct tap_meta *m)
{
	char id[TAP_SHAPE_ID];

	KEY(e, 1, "date_range");
	PUT(e, "[");
	put_time(e, m->begin);
	PUT(e, ",");
	put_time(e, m->end);
	PUT(e, "]");
	KEY(e, 1, "org_name");
	put_string(e, m->org_name);
	KEY(e, 1, "org_email");
	put_string(e, m->email);
	KEY(e, 1, "report_id");
	put_string(e, tap_shape_report_id(m, false, id));
}

/* An object that was just written is opened again, for more keys. */
static void reopen(struct tap_buf *out, size_t start)
{
	if (!out->failed && out->len > start)
		out->len--;
}

static void aggregate(const struct tap_item *item, struct tap_buf *out)
{
	size_t start = out->len;
	struct tap_enc e;

	if (item->record != NULL)
		tap_json_report_record(out, &compact, item->meta, item->record, true);
	else
		tap_buf_adds(out, "{\"count\":0}");
	reopen(out, start);
	tap_enc_open(&e, out, &compact);
	of_report(&e, item->meta);
	tap_enc_policy_published(&e, item->meta);
	/* A record tells its index in the document itself. */
	identity(&e, item, false);
	tap_enc_close(&e);
}

static void smtp_tls(const struct tap_item *item, struct tap_buf *out)
{
	struct tap_enc e;

	if (item->policy != NULL) {
		struct tap_tls_policy p = *item->policy;

		p.index = 0;
		tap_json_tls_policy(out, &compact, &p, false);
		if (item->detail != NULL) {
			struct tap_tls_detail d = *item->detail;

			d.index = 0;
			tap_json_tls_detail(out, &compact, &d);
		}
		tap_buf_adds(out, "]");
	} else {
		tap_buf_adds(out, "{\"policy_domain\":null");
	}
	tap_enc_open(&e, out, &compact);
	of_report(&e, item->meta);
	identity(&e, item, true);
	tap_enc_close(&e);
}

enum tap_rc tap_slice(const struct tap_item *item, bool strip_payloads, struct tap_buf *out,
		      struct tap_err *err)
{
	const struct tap_json_style whole = {.strip_payloads = strip_payloads};
	enum tap_kind kind = item->meta->kind;

	if (item->failure != NULL)
		tap_json_failure(out, &whole, item->meta, item->failure, item->end, item->revision);
	else if (kind == TAP_KIND_FAILURE || kind == TAP_KIND_FEEDBACK)
		return tap_err_set(err, TAP_E_DATA, "the report has no contents");
	else if (kind == TAP_KIND_SMTP_TLS)
		smtp_tls(item, out);
	else
		aggregate(item, out);
	if (out->failed)
		return tap_err_set(err, TAP_E_LIMIT, "the item is larger than this output takes");
	return TAP_OK;
}

const char *tap_slice_kind(enum tap_kind kind)
{
	return tap_shape_kind(kind);
}
