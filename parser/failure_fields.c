/* SPDX-License-Identifier: Apache-2.0
 * parser/failure_fields.c - the fields of a feedback report, each by its row of a table. RFC 5965 section 3, RFC 6591 section 3,
 * RFC 9991 section 4. See failure_impl.h. */
#include "parser/failure_impl.h"
#include "parser/normalise.h"
#include "parser/utf8.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	ONCE = 1,     /* a second one is left out, with a warning */
	COMMENTS = 2, /* comments are no part of the value */
	LOWER = 4,
	LONG = 8, /* limits.long_text instead of limits.text */
	WEAK = 16 /* other messages have it too: it alone makes no feedback report */
};
enum { EXTRA_BYTES = 2048, NAME_BYTES = 128, MAX_PORT = 65535 };

struct row {
	const char *name;
	unsigned flags;
	void (*take)(struct fl *s, const struct row *row, const char *where, char *v);
	size_t offset; /* of a text in struct tap_failure, or the number of a list */
};

static void take_text(struct fl *s, const struct row *row, const char *where, char *v)
{
	(void)where;
	*(const char **)(void *)((char *)&s->f + row->offset) = v;
}

static void take_type(struct fl *s, const struct row *row, const char *where, char *v)
{
	if (*v == '\0')
		return;
	s->typed = true;
	take_text(s, row, where, v);
}

static void take_quoted(struct fl *s, const struct row *row, const char *where, char *v)
{
	tap_fb_unquote(v);
	take_text(s, row, where, v);
}

static void take_line(struct fl *s, const struct row *row, const char *where, char *v)
{
	fl_list_add(s, (enum fl_list_id)row->offset, where, v);
}

static void take_words(struct fl *s, const struct row *row, const char *where, char *v)
{
	for (char *item; (item = tap_fb_item(&v, true)) != NULL;)
		fl_list_add(s, (enum fl_list_id)row->offset, where, item);
}

static void take_alignment(struct fl *s, const struct row *row, const char *where, char *v)
{
	s->alignment_given = true;
	take_words(s, row, where, v);
}

static void take_domains(struct fl *s, const struct row *row, const char *where, char *v)
{
	const char *note;

	for (char *item; (item = tap_fb_item(&v, true)) != NULL;) {
		tap_norm_domain(item, &note);
		if (note)
			fl_warn(s, where, "%s", note);
		if (*item)
			fl_list_add(s, FL_DOMAIN, where, item);
	}
	(void)row;
}

/* "rfc822; alice@example.com" is how other reports write it. */
static char *path(char *v)
{
	char *semi = strchr(v, ';');

	if (semi && semi - v <= 10 && strchr(semi, '@') &&
	    memchr(v, '@', (size_t)(semi - v)) == NULL)
		v = semi + 1;
	return tap_fb_unangle(v);
}

static void take_path(struct fl *s, const struct row *row, const char *where, char *v)
{
	take_text(s, row, where, path(v));
}

static void take_paths(struct fl *s, const struct row *row, const char *where, char *v)
{
	for (char *item; (item = tap_fb_item(&v, false)) != NULL;) {
		item = path(item);
		if (*item)
			fl_list_add(s, (enum fl_list_id)row->offset, where, item);
	}
}

static void take_uri(struct fl *s, const struct row *row, const char *where, char *v)
{
	/* Parentheses may stand in a URI, blanks may not. */
	v[strcspn(v, " \t\n")] = '\0';
	tap_fb_unangle(v);
	if (*v)
		fl_list_add(s, (enum fl_list_id)row->offset, where, v);
}

/* Blanks and punctuation but '-' and '_' end a word: "smg-policy-action" does not hold the word "policy". */
static bool has_word(const char *v, const char *word)
{
	static const char inside[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t len = strlen(word), n;

	for (v += strcspn(v, inside); *v; v += strcspn(v, inside)) {
		n = strspn(v, inside);
		if (n == len && strncasecmp(v, word, n) == 0)
			return true;
		v += n;
	}
	return false;
}

static void take_result(struct fl *s, const struct row *row, const char *where, char *v)
{
	static const char *const known[] = {"delivered", "spam", "policy", "reject", "other"};
	char *bare;

	(void)row;
	if (*v == '\0')
		return;
	bare = tap_arena_strdup(s->arena, v);
	if (bare == NULL)
		return;
	tap_fb_strip_comments(bare);
	s->f.delivery_result = "other";
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (has_word(bare, known[i])) {
			s->f.delivery_result = known[i];
			break;
		}
	if (strcmp(v, s->f.delivery_result) != 0)
		s->f.delivery_result_raw = v;
	if (strcasecmp(bare, s->f.delivery_result) != 0)
		fl_warn(s, where, "unknown_word: taken as %s", s->f.delivery_result);
}

static void take_mta(struct fl *s, const struct row *row, const char *where, char *v)
{
	char *semi = strchr(v, ';');

	(void)row;
	(void)where;
	s->f.reporting_mta = v;
	if (semi == NULL)
		return;
	*semi = '\0';
	s->f.reporting_mta_type = tap_fb_trim(v);
	s->f.reporting_mta = tap_fb_trim(semi + 1);
}

void fl_source_ip(struct fl *s, const char *where, const char *v)
{
	char ip[TAP_IP_TEXT], word[128];
	const char *note = NULL, *p = v + strspn(v, " \t[(<");
	size_t n;

	if (*p == '\0')
		return;
	if (strncasecmp(p, "IPv6:", 5) == 0)
		p += 5;
	p += strspn(p, " ");
	n = strcspn(p, " \t])>,;");
	if (n < sizeof word) {
		memcpy(word, p, n);
		word[n] = '\0';
		if (tap_norm_ip(word, ip, &note)) {
			s->f.source_ip = tap_arena_strdup(s->arena, ip);
			if (strcmp(ip, v) != 0)
				s->f.source_ip_raw = v;
			if (note)
				fl_warn(s, where, "%s", note);
			return;
		}
	}
	s->f.source_ip_raw = v;
	fl_warn(s, where, "bad_source_ip: %.100s", v);
}

static void take_ip(struct fl *s, const struct row *row, const char *where, char *v)
{
	(void)row;
	fl_source_ip(s, where, v);
}

/* Digits alone, up to max; false when it is anything else. */
static bool number(const char *v, uint64_t max, uint64_t *n_r)
{
	uint64_t n = 0;

	for (const char *p = v; *p; p++) {
		if (*p < '0' || *p > '9')
			return false;
		n = n * 10 + (uint64_t)(*p - '0');
		if (n > max)
			return false;
	}
	*n_r = n;
	return *v != '\0';
}

static void take_port(struct fl *s, const struct row *row, const char *where, char *v)
{
	uint64_t n;

	(void)row;
	if (number(v, MAX_PORT, &n))
		s->f.source_port = (int32_t)n;
	else if (*v)
		fl_warn(s, where, "bad_port: %.100s", v);
}

static void take_incidents(struct fl *s, const struct row *row, const char *where, char *v)
{
	uint64_t n;

	(void)row;
	if (number(v, UINT32_MAX, &n) && n > 0)
		s->f.incidents = (uint32_t)n;
	else
		fl_warn(s, where, "bad_incidents: %.100s, taken as 1", *v ? v : "empty");
}

static void take_received_date(struct fl *s, const struct row *row, const char *where, char *v)
{
	(void)row;
	(void)where;
	if (*v)
		s->received_date = v;
}

static void take_arrival(struct fl *s, const struct row *row, const char *where, char *v)
{
	if (*v)
		take_text(s, row, where, v);
}

static void take_message_id(struct fl *s, const struct row *row, const char *where, char *v)
{
	(void)row;
	(void)where;
	if (*v)
		s->field_message_id = v;
}

/* type ":" domain ":" record, with comments and blanks between them. */
static void take_spf_dns(struct fl *s, const struct row *row, const char *where, char *v)
{
	struct tap_spf_dns *d;
	char *bare, *domain, *record;
	size_t cap;

	(void)row;
	if (s->f.n_spf_dns >= s->w->lim->list) {
		fl_warn(s, where, "list_cut: more than %" PRIu32, s->w->lim->list);
		return;
	}
	if (s->f.n_spf_dns == s->spf_cap) {
		cap = s->spf_cap ? 2 * s->spf_cap : 4;
		d = tap_arena_alloc(s->arena, cap * sizeof *d);
		if (d == NULL)
			return;
		if (s->f.n_spf_dns > 0)
			memcpy(d, s->spf, s->f.n_spf_dns * sizeof *d);
		s->spf = d;
		s->f.spf_dns = d;
		s->spf_cap = cap;
	}
	d = &s->spf[s->f.n_spf_dns++];
	d->raw = v;
	bare = tap_arena_strdup(s->arena, v);
	if (bare == NULL)
		return;
	tap_fb_strip_comments(bare);
	domain = strchr(bare, ':');
	record = domain ? strchr(domain + 1, ':') : NULL;
	if (record == NULL || memchr(bare, '"', (size_t)(record - bare))) {
		fl_warn(s, where, "bad_spf_dns: not type, domain and record");
		return;
	}
	*domain = *record = '\0';
	d->type = tap_fb_trim(bare);
	d->domain = tap_fb_trim(domain + 1);
	d->record = tap_fb_trim(record + 1);
	tap_fb_unquote(record + 1);
}

#define F(member) offsetof(struct tap_failure, member)
static const struct row rows[] = {
    {"Feedback-Type", ONCE | COMMENTS | LOWER, take_type, F(feedback_type)},
    {"User-Agent", ONCE | WEAK, take_text, F(user_agent)},
    {"Version", ONCE | COMMENTS | WEAK, take_text, F(version)},
    {"Auth-Failure", COMMENTS | LOWER, take_words, FL_AUTH_FAILURE},
    {"Authentication-Results", LONG | WEAK, take_line, FL_AUTHRES},
    {"Identity-Alignment", COMMENTS, take_alignment, FL_ALIGNMENT},
    {"Delivery-Result", ONCE, take_result, 0},
    {"Original-Envelope-Id", ONCE | COMMENTS, take_text, F(original_envelope_id)},
    {"Original-Mail-From", ONCE | COMMENTS, take_path, F(original_mail_from)},
    {"Original-Rcpt-To", COMMENTS, take_paths, FL_RCPT},
    {"Arrival-Date", ONCE, take_arrival, F(arrival_date)},
    {"Received-Date", ONCE, take_received_date, 0},
    {"Reporting-MTA", ONCE | COMMENTS, take_mta, 0},
    {"Source-IP", ONCE, take_ip, 0},
    {"Source-Port", ONCE | COMMENTS, take_port, 0},
    {"Incidents", ONCE | COMMENTS, take_incidents, 0},
    {"Reported-Domain", COMMENTS | LOWER, take_domains, 0},
    {"Reported-URI", 0, take_uri, FL_URI},
    {"DKIM-Domain", ONCE | COMMENTS, take_text, F(dkim_domain)},
    {"DKIM-Identity", ONCE | COMMENTS, take_text, F(dkim_identity)},
    {"DKIM-Selector", ONCE | COMMENTS, take_text, F(dkim_selector)},
    {"DKIM-Selector-DNS", ONCE | LONG, take_quoted, F(dkim_selector_dns)},
    {"DKIM-ADSP-DNS", ONCE, take_quoted, F(dkim_adsp_dns)},
    {"SPF-DNS", LONG, take_spf_dns, 0},
    {"Message-ID", ONCE | WEAK, take_message_id, 0},
};
enum { ROWS = sizeof rows / sizeof *rows, SEEN_HEADER = ROWS, SEEN_BODY = ROWS + 1 };

static bool once(struct fl *s, unsigned i, const char *where)
{
	bool again = s->seen >> i & 1;

	s->seen |= (uint64_t)1 << i;
	if (again)
		fl_warn(s, where, "duplicate: the first one counts");
	return !again;
}

static void canonicalized(const struct tap_fb_field *f, struct tap_canonicalized *c)
{
	unsigned char sha256[TAP_SHA256_BYTES];

	c->given = true;
	c->size = tap_fb_base64(f->value, f->n, sha256);
	tap_hex(sha256, sizeof sha256, c->sha256);
}

void fl_add_extra(struct fl *s, const struct tap_fb_field *f)
{
	struct tap_pair *p;
	size_t cap;
	char *name, *value;

	if (s->f.n_extra >= s->w->lim->extra) {
		fl_warn(s, "extra", "list_cut: more than %" PRIu32 " unknown fields",
			s->w->lim->extra);
		return;
	}
	name = fl_text(s, "extra", f->name, f->name_len, NAME_BYTES, false);
	value = name ? fl_text(s, name, f->value, f->n, EXTRA_BYTES, false) : NULL;
	if (value == NULL)
		return;
	if (s->f.n_extra == s->extra_cap) {
		cap = s->extra_cap ? 2 * s->extra_cap : 8;
		p = tap_arena_alloc(s->arena, cap * sizeof *p);
		if (p == NULL)
			return;
		if (s->f.n_extra > 0)
			memcpy(p, s->extra, s->f.n_extra * sizeof *p);
		s->extra = p;
		s->f.extra = p;
		s->extra_cap = cap;
	}
	s->extra[s->f.n_extra].name = name;
	s->extra[s->f.n_extra++].value = value;
}

static void read_row(struct fl *s, unsigned i, const struct tap_fb_field *f)
{
	const struct row *row = &rows[i];
	size_t max = row->flags & LONG ? s->w->lim->long_text : s->w->lim->text;
	char *v;

	if (!(row->flags & WEAK))
		s->known++;
	if ((row->flags & ONCE) && !once(s, i, row->name))
		return;
	v = fl_text(s, row->name, f->value, f->n, max, row->flags & LOWER);
	if (v == NULL)
		return;
	if (row->flags & COMMENTS)
		tap_fb_strip_comments(v);
	row->take(s, row, row->name, v);
}

static void read_field(struct fl *s, const struct tap_fb_field *f)
{
	for (unsigned i = 0; i < ROWS; i++)
		if (tap_fb_is(f, rows[i].name)) {
			read_row(s, i, f);
			return;
		}
	if (tap_fb_is(f, "DKIM-Canonicalized-Header")) {
		if (once(s, SEEN_HEADER, "DKIM-Canonicalized-Header"))
			canonicalized(f, &s->f.dkim_header);
	} else if (tap_fb_is(f, "DKIM-Canonicalized-Body")) {
		if (once(s, SEEN_BODY, "DKIM-Canonicalized-Body"))
			canonicalized(f, &s->f.dkim_body);
	} else {
		fl_add_extra(s, f);
	}
}

void fl_read_fields(struct fl *s, const char *p, size_t n)
{
	struct tap_fb_reader r = {.p = p, .end = p + n};
	struct tap_fb_field f;

	if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		r.p += 3;
	while (tap_fb_next(&r, &f))
		read_field(s, &f);
	if (r.stray > 0)
		fl_warn(s, "fields", "stray_text: %" PRIu32 " lines that are no field", r.stray);
}
