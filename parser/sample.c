/* SPDX-License-Identifier: Apache-2.0
 * parser/sample.c - see sample.h. The header of a sample; sample_parts.c reads what is behind it. */
#include "parser/sample.h"
#include "parser/address.h"
#include "parser/field.h"
#include "parser/mail_date.h"
#include "parser/received.h"
#include "parser/sample_impl.h"
#include "parser/sample_text.h"
#include "parser/utf8.h"

#include <string.h>
#include <strings.h>

static const struct {
	const char *where, *what;
	bool defect;
} notes[TAP_SN_N] = {
    [TAP_SN_HEADERS] = {"sample/headers",
			"header_cut: more than the limits header_bytes and header_fields allow",
			true},
    [TAP_SN_LIST] = {"sample/headers", "list_cut: longer than the limit list", false},
    [TAP_SN_PARTS] = {"sample", "parts_cut: more parts than the limit mime_parts", true},
    [TAP_SN_DEPTH] = {"sample", "depth_cut: nested deeper than the limit mime_depth", true},
    [TAP_SN_BODY] = {"sample/body", "body_cut: longer than the limit body_bytes", false},
    [TAP_SN_ATTACHMENTS] = {"sample/attachments",
			    "attachments_cut: more of them than the limit list", false},
    [TAP_SN_PAYLOAD] =
	{"sample/attachments",
	 "payload_left_out: over the limit attachment_bytes, name, size and hash are kept", false},
    [TAP_SN_CHARSET] = {"sample/body",
			"unknown_charset: read as UTF-8, what does not fit as windows-1252", true},
    [TAP_SN_INVALID] = {"sample/body", "invalid_bytes: they do not fit the charset", true},
    [TAP_SN_ENCODING] = {"sample", "bad_encoding: a part does not decode to its end", true},
    [TAP_SN_CUT] = {"sample", "open_multipart: a boundary is missing", true},
    [TAP_SN_FIELD] = {"sample/headers",
		      "bad_header: lines that are no field, or bytes that are no text", true},
};

void tap_sample_note(struct tap_sample_work *s, enum tap_sample_note note)
{
	s->out->has_defects |= notes[note].defect;
	if (s->warned >> note & 1)
		return;
	s->warned |= 1u << note;
	if (s->warn && s->warn->add)
		s->warn->add(s->warn->ctx, notes[note].where, notes[note].what);
}

bool tap_sample_grow(struct tap_sample_work *s, void *list_, size_t n, size_t *room, size_t size)
{
	void **list = list_, *more;

	if (n < *room)
		return true;
	more = tap_arena_alloc(s->a, (*room ? 2 * *room : 8) * size);
	if (more == NULL) {
		s->full = true;
		return false;
	}
	*room = *room ? 2 * *room : 8;
	if (n > 0)
		memcpy(more, *list, n * size);
	*list = more;
	return true;
}

enum { LISTS = 6 };

/* A list of strings that grows. */
struct strings {
	const char **item;
	size_t n, room;
};
/* What is filled while the fields are walked. */
struct head {
	struct tap_sample_work *s;
	struct tap_pair *pair;
	size_t n_pair, pairs;
	struct tap_hop *hop; /* newest first until the end */
	size_t n_hop, hops;
	struct strings authres, dkim, domains;
	size_t mailboxes[LISTS]; /* room of each list of addresses */
};

static void add_string(struct head *h, struct strings *l, const char *text)
{
	if (text == NULL) {
		h->s->full = true;
	} else if (l->n >= h->s->lim->list) {
		tap_sample_note(h->s, TAP_SN_LIST);
	} else if (tap_sample_grow(h->s, &l->item, l->n, &l->room, sizeof *l->item)) {
		l->item[l->n++] = text;
	}
}

/* --- fields ----------------------------------------------------------------------------------------------------------------- */

static void read_mailboxes(struct head *h, const struct tap_field *f, struct tap_mailboxes *out,
			   size_t *room)
{
	struct tap_sample_work *s = h->s;
	size_t left = out->n < s->lim->list ? s->lim->list - out->n : 0;
	struct tap_mailbox *all = (struct tap_mailbox *)(size_t)out->item;
	struct tap_mailboxes more = {0};
	bool cut = false;

	if (tap_address_list(s->a, f->value, f->value_len, left, &more, &cut, NULL) != TAP_OK) {
		s->full = true;
		return;
	}
	if (cut)
		tap_sample_note(s, TAP_SN_LIST);
	for (size_t i = 0; i < more.n; i++) {
		if (!tap_sample_grow(s, &all, out->n, room, sizeof *all))
			return;
		all[out->n++] = more.item[i];
		out->item = all;
	}
}

static void read_received(struct head *h, const struct tap_field *f)
{
	struct tap_received r;
	struct tap_mail_date d;
	struct tap_hop *hop;

	if (h->n_hop >= h->s->lim->list) {
		tap_sample_note(h->s, TAP_SN_LIST);
		return;
	}
	if (!tap_received_parse(h->s->a, f->value, f->value_len, &r)) {
		h->s->full = true;
		return;
	}
	if (!tap_sample_grow(h->s, &h->hop, h->n_hop, &h->hops, sizeof *h->hop))
		return;
	hop = &h->hop[h->n_hop++];
	*hop = (struct tap_hop){.from = r.from,
				.by = r.by_full,
				.with = r.with,
				.id = r.id,
				.for_ = r.for_,
				.via = r.via,
				.date = r.date,
				.time = TAP_NO_TIME};
	if (r.date && tap_mail_date_parse(r.date, strlen(r.date), &d))
		hop->time = d.time;
}

static void read_date(struct head *h, const char *value)
{
	struct tap_sample *out = h->s->out;
	struct tap_mail_date d;

	if (out->date)
		return;
	out->date = value;
	if (!tap_mail_date_parse(value, strlen(value), &d)) {
		h->s->out->has_defects |= *value != '\0';
		return;
	}
	out->time = d.time;
	out->has_zone = d.has_zone;
	out->zone = d.zone;
}

/* The tags that say who signed; RFC 6376 section 3.5. */
static void read_dkim(struct head *h, const char *value)
{
	static const char tags[] = "dsia";
	const char *found[4] = {NULL};
	size_t len[4] = {0};
	struct tap_buf b;
	unsigned seen = 0;

	for (const char *p = value; *p;) {
		const char *name = p + strspn(p, " \t;"), *eq, *t;

		p = name + strcspn(name, ";");
		eq = memchr(name, '=', (size_t)(p - name));
		if (eq == NULL)
			continue;
		t = strchr(tags, *name);
		if (*name == '\0' || t == NULL ||
		    strspn(name + 1, " \t") != (size_t)(eq - name - 1) || found[t - tags])
			continue;
		eq++;
		eq += strspn(eq, " \t");
		found[t - tags] = eq;
		len[t - tags] = eq < p ? (size_t)(p - eq) : 0;
	}
	tap_buf_init(&b, TAP_HEADER_TEXT_MAX + 64);
	for (size_t i = 0; i < 4; i++) {
		size_t n = len[i];

		while (n > 0 && tap_is_space(found[i][n - 1]))
			n--;
		if (n > 0)
			tap_buf_printf(&b, "%s%c=%.*s", b.len > 0 ? " " : "", tags[i], (int)n,
				       found[i]);
	}
	add_string(h, &h->dkim, tap_text_clean(h->s->a, b.p ? b.p : "", b.len, 0, &seen, NULL));
	tap_buf_free(&b);
}

static void read_text(struct head *h, const struct tap_field *f, const char *value)
{
	struct tap_sample *out = h->s->out;

	if (tap_field_is(f, "Subject") && out->subject == NULL)
		out->subject = value;
	else if (tap_field_is(f, "Message-ID") && out->message_id == NULL)
		out->message_id = value;
	else if (tap_field_is(f, "Date"))
		read_date(h, value);
	else if (tap_field_is(f, "Authentication-Results"))
		add_string(h, &h->authres, value);
	else if (tap_field_is(f, "DKIM-Signature"))
		read_dkim(h, value);
}

static void read_field(struct head *h, const struct tap_field *f)
{
	struct tap_sample *out = h->s->out;
	const struct {
		const char *name;
		struct tap_mailboxes *list;
	} lists[LISTS] = {
	    {"From", &out->from},
	    {"To", &out->to},
	    {"Cc", &out->cc},
	    {"Bcc", &out->bcc},
	    {"Reply-To", &out->reply_to},
	    {"Delivered-To", &out->delivered_to},
	};
	unsigned odd = 0, seen = 0;
	const char *name, *value;

	if (!tap_sample_grow(h->s, &h->pair, h->n_pair, &h->pairs, sizeof *h->pair))
		return;
	name = tap_text_clean(h->s->a, f->name, f->name_len, 0, &seen, NULL);
	value = tap_header_text(h->s->a, f->value, f->value_len, &odd);
	if (name == NULL || value == NULL) {
		h->s->full = true;
		return;
	}
	h->pair[h->n_pair++] = (struct tap_pair){name, value};
	if (odd != 0 || seen != 0)
		tap_sample_note(h->s, TAP_SN_FIELD);
	for (size_t i = 0; i < LISTS; i++)
		if (tap_field_is(f, lists[i].name)) {
			read_mailboxes(h, f, lists[i].list, &h->mailboxes[i]);
			return;
		}
	if (tap_field_is(f, "Received"))
		read_received(h, f);
	else
		read_text(h, f, value);
}

/* --- the whole header ------------------------------------------------------------------------------------------------------ */

/* Where the header block ends: at the first empty line, or the end. */
static const char *block_end(const char *p, const char *end)
{
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));

		if (*p == '\n' || (*p == '\r' && (p + 1 == end || p[1] == '\n')))
			return p;
		p = lf ? lf + 1 : end;
	}
	return end;
}

static void turn_hops(struct head *h)
{
	struct tap_sample *out = h->s->out;
	int64_t before = TAP_NO_TIME;

	for (size_t i = 0; i < h->n_hop / 2; i++) {
		struct tap_hop t = h->hop[i];

		h->hop[i] = h->hop[h->n_hop - 1 - i];
		h->hop[h->n_hop - 1 - i] = t;
	}
	for (size_t i = 0; i < h->n_hop; i++) {
		struct tap_hop *hop = &h->hop[i];

		hop->hop = (uint32_t)i + 1;
		if (hop->time == TAP_NO_TIME)
			continue;
		if (before != TAP_NO_TIME)
			hop->delay = hop->time - before;
		before = hop->time;
	}
	out->received = h->hop;
	out->n_received = h->n_hop;
}

static void to_domains(struct head *h)
{
	const struct tap_mailboxes *to = &h->s->out->to;

	for (size_t i = 0; i < to->n; i++) {
		const char *d = to->item[i].domain;
		bool there = d == NULL || *d == '\0';

		for (size_t k = 0; k < h->domains.n && !there; k++)
			there = strcmp(h->domains.item[k], d) == 0;
		if (!there)
			add_string(h, &h->domains, d);
	}
}

static void read_head(struct tap_sample_work *s, const char *p, const char *end)
{
	struct head h = {.s = s};
	struct tap_field f;
	size_t bad = 0;

	/* A file of mbox form begins with a line that is no field. */
	if (end - p > 5 && memcmp(p, "From ", 5) == 0)
		p = memchr(p, '\n', (size_t)(end - p))
			? (const char *)memchr(p, '\n', (size_t)(end - p)) + 1
			: end;
	while (!s->full && tap_field_next(&p, end, &f, &bad)) {
		if (h.n_pair >= s->lim->header_fields) {
			tap_sample_note(s, TAP_SN_HEADERS);
			break;
		}
		read_field(&h, &f);
	}
	if (bad > 0)
		tap_sample_note(s, TAP_SN_FIELD);
	turn_hops(&h);
	to_domains(&h);
	s->out->headers = h.pair;
	s->out->n_headers = h.n_pair;
	s->out->authentication_results = (struct tap_list_of){h.authres.item, h.authres.n};
	s->out->dkim_signatures = (struct tap_list_of){h.dkim.item, h.dkim.n};
	s->out->to_domains = (struct tap_list_of){h.domains.item, h.domains.n};
}

enum tap_rc tap_sample_parse(struct tap_arena *a, const void *p, size_t n, bool headers_only,
			     const struct tap_parse_options *opt,
			     const struct tap_sample_warn *warn, const struct tap_sample **out_r,
			     struct tap_err *err)
{
	struct tap_sample_work s = {.a = a, .opt = opt, .warn = warn};
	const char *from = p, *end = from + n, *stop;

	s.lim = opt->limits ? opt->limits : &tap_parse_limits_default;
	s.out = tap_arena_alloc(a, sizeof *s.out);
	if (s.out == NULL)
		return tap_err_set(err, TAP_E_LIMIT, "too little memory for a sample");
	s.out->time = TAP_NO_TIME;
	s.out->body = "";
	/* Blank lines before the header. */
	while (from < end && (*from == '\n' || *from == '\r'))
		from++;
	stop = block_end(from, end);
	if ((size_t)(stop - from) > s.lim->header_bytes) {
		tap_sample_note(&s, TAP_SN_HEADERS);
		stop = from + s.lim->header_bytes;
	}
	read_head(&s, from, stop);
	if (!headers_only && !s.full)
		tap_sample_parts(&s, from, (size_t)(end - from));
	if (s.full)
		return tap_err_set(err, TAP_E_LIMIT, "too little memory for a sample");
	*out_r = s.out;
	return TAP_OK;
}
