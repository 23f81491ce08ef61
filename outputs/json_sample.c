/* SPDX-License-Identifier: Apache-2.0
 * outputs/json_sample.c - see json_sample.h. */
#include "outputs/json_sample.h"

#include "outputs/sample_fields.h"

#include <stdio.h>
#include <strings.h>

enum { NAME_MAX_BYTES = 256, WORDS_MAX = 20 * 1024 };

/* Told by a key of its own shape already, or of ours. */
static const char *const taken[] = {
    "from",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "reply_to",
    "delivered-to",
    "delivered_to",
    "date",
    "body",
    "to_domains",
    "received",
    "subject",
    "timezone",
    "has_defects",
    "headers",
    "date_raw",
    "attachments",
    "filename_safe_subject",
    "dkim_signatures",
    "authentication_results",
};
/* Those that the documentation shows elsewhere than the others. */
static const char *const placed[] = {"mime-version", "content-type", "x-mailer",
				     "content-transfer-encoding", "message-id"};

static bool among(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(name, list[i]) == 0)
			return true;
	return false;
}
#define AMONG(name, list) among((name), (list), sizeof(list) / sizeof *(list))

/* The n values of one name: a string, or a list of them. */
static void put_values(struct tap_enc *e, unsigned depth, const struct tap_fields *f, size_t first)
{
	bool list = f->next[first] != TAP_FIELDS_END;

	if (!list) {
		tap_fields_value(e, f, first);
		return;
	}
	PUT(e, "[");
	for (size_t i = first; i != TAP_FIELDS_END; i = f->next[i]) {
		list_item(e, depth + 1, i == first);
		tap_fields_value(e, f, i);
	}
	list_close(e, depth + 1, true);
}

static void put_colon(struct tap_enc *e)
{
	put(e, ": ", 2 - e->tight);
}

/* One field under its own name. */
static void put_field(struct tap_enc *e, const struct tap_fields *f, size_t i)
{
	char name[NAME_MAX_BYTES];
	size_t n = 0;

	for (const char *s = f->item[i].name; *s != '\0' && n < sizeof name; s++)
		name[n++] = (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s);
	if (n == 0 || n == sizeof name)
		return; /* still under "headers" */
	list_item(e, 2, false);
	tap_enc_string(e, name, n);
	put_colon(e);
	put_values(e, 2, f, i);
}

static void put_placed(struct tap_enc *e, const struct tap_fields *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->first[i] && strcasecmp(f->item[i].name, name) == 0)
			put_field(e, f, i);
}

static void put_others(struct tap_enc *e, const struct tap_fields *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->first[i] && !AMONG(f->item[i].name, taken) &&
		    !AMONG(f->item[i].name, placed))
			put_field(e, f, i);
}

static void put_headers(struct tap_enc *e, const struct tap_fields *f)
{
	bool any = false;

	KEY(e, 2, "headers");
	PUT(e, "{");
	for (size_t i = 0; i < f->n; i++) {
		if (!f->first[i])
			continue;
		list_item(e, 3, !any);
		any = true;
		put_string(e, f->item[i].name);
		put_colon(e);
		put_values(e, 3, f, i);
	}
	if (any)
		newline(e, 2);
	PUT(e, "}");
}

static void put_mailbox(struct tap_enc *e, unsigned depth, const struct tap_mailbox *m)
{
	PUT(e, "{");
	KEY1(e, depth + 1, "display_name");
	put_string(e, tap_shape_text(m->display_name, true));
	KEY(e, depth + 1, "address");
	put_string(e, m->address);
	KEY(e, depth + 1, "local");
	put_string(e, m->local);
	KEY(e, depth + 1, "domain");
	put_string(e, m->domain);
	close_object(e, depth);
}

static void put_mailboxes(struct tap_enc *e, const struct tap_mailboxes *l)
{
	PUT(e, "[");
	for (size_t i = 0; i < l->n; i++) {
		list_item(e, 3, i == 0);
		put_mailbox(e, 3, &l->item[i]);
	}
	list_close(e, 3, l->n > 0);
}

/* As version 4 has the clauses of a Received field: no brackets, one blank between words. */
static void words_of(const char *s, char out[WORDS_MAX])
{
	size_t n = 0;

	for (; *s != '\0' && n < WORDS_MAX - 1; s++) {
		bool gap = strchr("()[] \t\r\n", *s) != NULL;

		if (!gap)
			out[n++] = *s;
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

static void put_hop_end(struct tap_enc *e, const struct tap_hop *h)
{
	char date[TAP_SHAPE_DATE];

	KEY(e, 4, "hop");
	put_u64(e, h->hop);
	KEY(e, 4, "date_utc");
	put_string(e, tap_shape_utc(h->time, date));
	KEY(e, 4, "delay");
	put_i64(e, h->delay);
}

/* Only what is there, words alone. */
static void put_hop_v4(struct tap_enc *e, const struct tap_hop *h)
{
	static const char *const name[] = {"from", "by", "with", "date"};
	char with[WORDS_MAX], words[WORDS_MAX];
	const char *value[] = {h->from, h->by, h->with, h->date};
	bool any = false;

	if (h->id != NULL) {
		(void)snprintf(with, sizeof with, "%s%sid %s", h->with != NULL ? h->with : "",
			       h->with != NULL ? " " : "", h->id);
		value[2] = with;
	}
	for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
		if (value[i] == NULL)
			continue;
		list_item(e, 4, !any);
		any = true;
		put_string(e, name[i]);
		put_colon(e);
		words_of(value[i], words);
		tap_enc_lossy(e, words, strlen(words), false); /* may be cut within a character */
	}
	if (!any) { /* keeps the comma before "hop" in order */
		KEY1(e, 4, "date");
		PUT(e, "null");
	}
	put_hop_end(e, h);
}

static void put_hop(struct tap_enc *e, const struct tap_hop *h)
{
	KEY1(e, 4, "from");
	put_string(e, h->from);
	KEY(e, 4, "by");
	put_string(e, h->by);
	KEY(e, 4, "with");
	put_string(e, h->with);
	KEY(e, 4, "id");
	put_string(e, h->id);
	KEY(e, 4, "date");
	put_string(e, h->date);
	put_hop_end(e, h);
	KEY(e, 4, "for");
	put_string(e, h->for_);
	KEY(e, 4, "via");
	put_string(e, h->via);
}

static void put_received(struct tap_enc *e, const struct tap_sample *p)
{
	KEY(e, 2, "received");
	PUT(e, "[");
	for (size_t i = 0; i < p->n_received; i++) {
		list_item(e, 3, i == 0);
		PUT(e, "{");
		if (e->compat4)
			put_hop_v4(e, &p->received[i]);
		else
			put_hop(e, &p->received[i]);
		close_object(e, 3);
	}
	list_close(e, 3, p->n_received > 0);
}

static void put_payload(struct tap_enc *e, const struct tap_attachment *a)
{
	if (a->payload == NULL)
		PUT(e, "null");
	else if (a->text)
		tap_enc_string(e, a->payload, a->payload_len);
	else
		tap_enc_base64(e, a->payload, a->payload_len);
}

static void put_attachment(struct tap_enc *e, const struct tap_attachment *a, bool payload)
{
	KEY1(e, 4, "filename");
	put_string(e, a->filename);
	if (payload || !e->compat4) {
		KEY(e, 4, "payload");
		if (payload)
			put_payload(e, a);
		else
			PUT(e, "null");
	}
	KEY(e, 4, "binary");
	put_bool(e, !a->text);
	KEY(e, 4, "mail_content_type");
	put_string(e, a->content_type);
	KEY(e, 4, "content-id");
	put_string(e, a->content_id);
	if (!e->compat4) {
		KEY(e, 4, "content-disposition");
		put_string(e, a->disposition);
	}
	KEY(e, 4, "charset");
	put_string(e, a->charset);
	KEY(e, 4, "content_transfer_encoding");
	put_string(e, a->encoding);
	KEY(e, 4, "sha256");
	put_string(e, a->sha256);
	if (!e->compat4) {
		KEY(e, 4, "bytes");
		put_u64(e, a->size);
		KEY(e, 4, "payload_encoding");
		put_string(e, !payload || a->payload == NULL ? NULL : a->text ? "utf-8" : "base64");
		KEY(e, 4, "damaged");
		put_bool(e, a->damaged);
	}
}

static void put_attachments(struct tap_enc *e, const struct tap_json_style *s,
			    const struct tap_sample *p)
{
	KEY(e, 2, "attachments");
	PUT(e, "[");
	for (size_t i = 0; i < p->n_attachments; i++) {
		const struct tap_attachment *a = &p->attachments[i];
		bool payload = !s->strip_payloads && (!e->compat4 || a->payload != NULL);

		list_item(e, 3, i == 0);
		PUT(e, "{");
		put_attachment(e, a, payload);
		close_object(e, 3);
	}
	list_close(e, 3, p->n_attachments > 0);
}

/* From "from" to "received", with the fields that stand between. */
static void put_first(struct tap_enc *e, const struct tap_sample *p, const struct tap_fields *own)
{
	char date[TAP_SHAPE_DATE];

	KEY1(e, 2, "from");
	if (p->from.n > 0)
		put_mailbox(e, 2, &p->from.item[0]);
	else
		PUT(e, "null");
	KEY(e, 2, "to_domains");
	put_strings(e, 3, p->to_domains.item, p->to_domains.n);
	KEY(e, 2, "to");
	put_mailboxes(e, &p->to);
	KEY(e, 2, "subject");
	put_string(e, p->subject);
	KEY(e, 2, "timezone");
	put_string(e, tap_shape_zone(p, date));
	put_placed(e, own, "mime-version");
	KEY(e, 2, "date");
	put_string(e, tap_shape_utc(p->time, date));
	put_placed(e, own, "content-type");
	put_placed(e, own, "x-mailer");
	KEY(e, 2, "body");
	if (e->compat4 && p->body != NULL)
		tap_enc_string(e, p->body, tap_shape_trimmed(p->body));
	else
		put_string(e, p->body);
	put_received(e, p);
}

static void put_last(struct tap_enc *e, const struct tap_json_style *s, const struct tap_sample *p)
{
	char safe[TAP_SHAPE_ID];

	KEY(e, 2, "reply_to");
	put_mailboxes(e, &p->reply_to);
	KEY(e, 2, "cc");
	put_mailboxes(e, &p->cc);
	KEY(e, 2, "bcc");
	put_mailboxes(e, &p->bcc);
	put_attachments(e, s, p);
	KEY(e, 2, "filename_safe_subject");
	put_string(e, tap_shape_safe_subject(p->subject, e->compat4, safe));
	if (e->compat4)
		return;
	KEY(e, 2, "delivered_to");
	put_mailboxes(e, &p->delivered_to);
	KEY(e, 2, "date_raw");
	put_string(e, p->date);
	KEY(e, 2, "authentication_results");
	put_strings(e, 3, p->authentication_results.item, p->authentication_results.n);
	KEY(e, 2, "dkim_signatures");
	put_strings(e, 3, p->dkim_signatures.item, p->dkim_signatures.n);
}

void tap_enc_sample(struct tap_enc *e, const struct tap_json_style *s, const struct tap_failure *f)
{
	const struct tap_sample *p = f->parsed;
	struct tap_fields own, all;

	if (p == NULL) {
		PUT(e, "null");
		return;
	}
	if (!tap_fields_group(f, false, s->compat4, &own) ||
	    !tap_fields_group(f, true, s->compat4, &all)) {
		e->b->failed = true;
		tap_fields_free(&own);
		return;
	}
	PUT(e, "{");
	put_first(e, p, &own);
	put_placed(e, &own, "content-transfer-encoding");
	put_placed(e, &own, "message-id");
	put_others(e, &own);
	KEY(e, 2, "has_defects");
	put_bool(e, p->has_defects);
	put_headers(e, &all);
	put_last(e, s, p);
	close_object(e, 1);
	tap_fields_free(&own);
	tap_fields_free(&all);
}
