/* SPDX-License-Identifier: Apache-2.0
 * outputs/gelf.c - driver "gelf": each item as one GELF 1.1 message, by UDP (in chunks where it is long), TCP or TLS (each ended by NUL).
 * What people search for stands in fields of its own, the whole item (outputs/slice.h) in full_message. Unconfirmed, as syslog.
 * Threads: one a sink. Limits: over UDP 128 chunks of CHUNK bytes; over a stream MAX_ITEM. */
#include "outputs/drivers.h"

#include "outputs/encode.h"
#include "outputs/kind_files.h"
#include "outputs/slice.h"
#include "outputs/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	MAX_ITEMS = 500,
	MAX_BYTES = 8 * 1024 * 1024,
	MAX_ITEM = 1024 * 1024,
	HOST_MAX = 255,
	CHUNK = 1420, /* of a message, that is carried in one datagram */
	CHUNK_HEAD = 12,
	CHUNKS = 128
};

struct gelf_set {
	struct tap_stream_set to;
	struct tap_list kinds;
	char *hostname;
};
static const char *const transports[] = {"udp", "tcp", "tls", NULL}; /* as enum tap_transport */
static const struct tap_setting gelf_table[] = {
    TAP_ROW_ENUM("transport", gelf_set, to.transport, 0, "udp", transports,
		 "How to send: udp (long messages in chunks), tcp, or tls."),
    TAP_ROW_STR("server", gelf_set, to.server, TAP_SET_REQUIRED, NULL,
		"\"host:port\"; the usual port is 12201."),
    TAP_STREAM_ROWS_TLS(gelf_set),
    TAP_ROW_LIST(
	"kinds", gelf_set, kinds, 0, NULL,
	"Which reports are sent: aggregate, failure, smtp_tls, feedback. By default aggregate "
	"and smtp_tls, for failure and feedback reports hold personal data."),
    TAP_ROW_STR("hostname", gelf_set, hostname, 0, NULL,
		"Name of the sender; by default that of this machine."),
    {0}};

static enum tap_rc gelf_check(const void *set, struct tap_err *err)
{
	const struct gelf_set *s = set;
	unsigned unused;

	if (tap_stream_check(&s->to, err) != TAP_OK)
		return err->rc;
	return tap_kind_files_kinds(&s->kinds, TAP_KIND_ALL, &unused, err);
}

static const struct tap_section gelf_section = {
    .name = "gelf",
    .doc = "Sends each item as a GELF message (Graylog). The receiver confirms nothing.",
    .table = gelf_table,
    .struct_size = sizeof(struct gelf_set),
    .check = gelf_check,
};

static unsigned gelf_wants(const void *set)
{
	const struct gelf_set *s = set;
	unsigned kinds;

	return tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE | TAP_KIND_SMTP_TLS, &kinds,
				    NULL) == TAP_OK
		   ? kinds
		   : 0;
}

static void text(struct tap_buf *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	tap_buf_printf(out, ",\"%s\":", name);
	tap_json_string(out, value);
}

static void number(struct tap_buf *out, const char *name, uint64_t value)
{
	tap_buf_printf(out, ",\"%s\":%" PRIu64, name, value);
}

/* GELF knows strings and numbers alone. */
static void yes_no(struct tap_buf *out, const char *name, bool value)
{
	tap_buf_printf(out, ",\"%s\":\"%s\"", name, value ? "true" : "false");
}

static void record_fields(struct tap_buf *out, const struct tap_record *r)
{
	text(out, "_source_ip_address", r->source_ip);
	text(out, "_source_country", r->source.country);
	text(out, "_source_reverse_dns", r->source.reverse_dns);
	text(out, "_source_base_domain", r->source.base_domain);
	text(out, "_source_name", r->source.name);
	number(out, "_message_count", r->count);
	text(out, "_disposition", r->disposition);
	yes_no(out, "_dkim_aligned", r->dkim_aligned);
	yes_no(out, "_spf_aligned", r->spf_aligned);
	yes_no(out, "_passed_dmarc", r->dkim_aligned || r->spf_aligned);
	text(out, "_header_from", r->header_from);
	text(out, "_envelope_from", r->envelope_from);
}

static void tls_fields(struct tap_buf *out, const struct tap_tls_policy *p,
		       const struct tap_tls_detail *d)
{
	text(out, "_policy_domain", p->policy_domain);
	text(out, "_policy_type", p->policy_type);
	if (d == NULL) {
		number(out, "_successful_session_count", p->successful);
		number(out, "_failed_session_count", p->failed);
		return;
	}
	text(out, "_result_type", d->result_type);
	number(out, "_failed_session_count", d->failed);
	text(out, "_sending_mta_ip", d->sending_mta_ip);
	text(out, "_receiving_mx_hostname", d->receiving_mx_hostname);
}

static void fields(struct tap_buf *out, const struct tap_item *item)
{
	const struct tap_meta *m = item->meta;

	text(out, "_kind", tap_slice_kind(m->kind));
	text(out, "_report_uid", m->uid);
	number(out, "_revision", item->revision > 0 ? (uint64_t)item->revision : 1);
	number(out, "_record_index", item->record != NULL ? item->record->index : item->ordinal);
	text(out, "_org_name", m->org_name);
	text(out, "_report_id", m->report_id);
	text(out, "_domain", m->domain);
	if (item->record != NULL)
		record_fields(out, item->record);
	if (item->policy != NULL)
		tls_fields(out, item->policy, item->detail);
	if (item->failure != NULL) {
		text(out, "_feedback_type", item->failure->feedback_type);
		text(out, "_source_ip_address", item->failure->source_ip);
		text(out, "_delivery_result", item->failure->delivery_result);
	}
}

static enum tap_rc gelf_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
			       struct tap_err *err)
{
	const struct gelf_set *s = set;
	size_t most = s->to.transport == TAP_UDP ? (size_t)CHUNKS * (CHUNK - CHUNK_HEAD) : MAX_ITEM;
	size_t start = out->len;
	char host[HOST_MAX + 1] = "";
	struct tap_buf slice;
	enum tap_rc rc;

	if (s->hostname == NULL && gethostname(host, sizeof host - 1) != 0)
		host[0] = '\0';
	tap_buf_init(&slice, MAX_ITEM);
	rc = tap_slice(item, true, &slice, err);
	if (rc == TAP_OK) {
		tap_buf_adds(out, "{\"version\":\"1.1\",\"host\":");
		tap_json_string(out, s->hostname != NULL ? s->hostname
				     : host[0] != '\0'	 ? host
							 : "dmarctap");
		tap_buf_printf(out,
			       ",\"short_message\":\"dmarctap %s report\",\"timestamp\":%" PRId64
			       ",\"level\":6,\"full_message\":",
			       tap_slice_kind(item->meta->kind), item->meta->begin);
		tap_json_string(out, tap_buf_cstr(&slice));
		fields(out, item);
		tap_buf_addc(out, '}');
		if (out->failed || slice.failed || out->len - start > most)
			rc = tap_err_set(err, TAP_E_LIMIT,
					 "the message would be longer than %zu bytes", most);
	}
	tap_buf_free(&slice);
	return rc;
}

struct gelf_self {
	const struct gelf_set *set;
	struct tap_stream *stream;
};

static void gelf_close(void **self)
{
	struct gelf_self *g = *self;

	if (g == NULL)
		return;
	tap_stream_close(&g->stream);
	free(g);
	*self = NULL;
}

static enum tap_rc gelf_open(const void *set, const char *state, char *state_r, void **self_r,
			     struct tap_err *err)
{
	struct gelf_self *g = calloc(1, sizeof *g);
	void *self = g;

	(void)state;
	(void)state_r;
	*self_r = NULL;
	if (g == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	g->set = set;
	if (tap_stream_open(&g->set->to, &g->stream, err) != TAP_OK) {
		gelf_close(&self);
		return err->rc;
	}
	*self_r = g;
	return TAP_OK;
}

/* 0x1e 0x0f, eight bytes that tell the message, the chunk's number, how many there are. */
static enum tap_rc put_chunks(struct gelf_self *g, const char *p, size_t n, int64_t deadline_ms,
			      struct tap_err *err)
{
	const size_t room = CHUNK - CHUNK_HEAD;
	size_t chunks = (n + room - 1) / room;
	unsigned char one[CHUNK] = {0x1e, 0x0f};
	enum tap_rc rc = TAP_OK;

	if (getrandom(one + 2, 8, 0) != 8)
		return tap_err_set(err, TAP_E_TEMP, "no random bytes are to be had");
	for (size_t i = 0; rc == TAP_OK && i < chunks; i++) {
		size_t part = n - i * room < room ? n - i * room : room;

		one[10] = (unsigned char)i;
		one[11] = (unsigned char)chunks;
		memcpy(one + CHUNK_HEAD, p + i * room, part);
		rc = tap_stream_put(g->stream, one, CHUNK_HEAD + part, deadline_ms, err);
	}
	return rc;
}

static enum tap_rc put(struct gelf_self *g, const char *p, size_t n, int64_t deadline_ms,
		       struct tap_err *err)
{
	enum tap_rc rc;

	if (g->set->to.transport == TAP_UDP)
		return n <= CHUNK ? tap_stream_put(g->stream, p, n, deadline_ms, err)
				  : put_chunks(g, p, n, deadline_ms, err);
	rc = tap_stream_put(g->stream, p, n, deadline_ms, err);
	return rc == TAP_OK ? tap_stream_put(g->stream, "", 1, deadline_ms, err) : rc;
}

static enum tap_rc gelf_send(void *self, const char *bytes, const size_t *ofs, size_t n,
			     enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			     struct tap_err *err)
{
	struct gelf_self *g = self;
	enum tap_rc rc = tap_stream_ready(g->stream, deadline_ms, err);
	size_t done = 0;

	(void)state_r;
	while (rc == TAP_OK && done < n) {
		rc = put(g, bytes + ofs[done], ofs[done + 1] - ofs[done], deadline_ms, err);
		if (rc == TAP_OK)
			verdict[done++] = TAP_ITEM_CONFIRMED;
	}
	if (rc == TAP_OK)
		return tap_stream_flush(g->stream, deadline_ms, err);
	/* Of a stream nobody knows what arrived before the cut; a datagram that was sent is gone. */
	if (g->set->to.transport != TAP_UDP || done == 0)
		return rc == TAP_E_LIMIT ? tap_err_set(err, TAP_E_TEMP, "cannot send") : rc;
	for (; done < n; done++)
		verdict[done] = TAP_ITEM_RETRY;
	return TAP_OK;
}

const struct tap_output_ops tap_output_gelf = {
    .name = "gelf",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_UNCONFIRMED,
    .settings = &gelf_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = gelf_encode,
    .open = gelf_open,
    .send = gelf_send,
    .close = gelf_close,
    .wants = gelf_wants,
};
