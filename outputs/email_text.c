/* SPDX-License-Identifier: Apache-2.0
 * outputs/email_text.c - see email_text.h. Both forms are written side by side, line by line, so that they say the same. */
#include "outputs/email_text.h"

#include "outputs/email_pack.h"

#include <inttypes.h>
#include <stdlib.h>

enum { DOMAINS = 100, SOURCES = 20 };

struct row {
	const char *domain, *source, *host;
	uint64_t count, passed;
	bool tls, fails; /* fails: neither SPF nor DKIM */
};
struct page {
	struct tap_buf *text, *html;
	struct row *row; /* the numbers, one an item; then summed up in place */
	size_t n;
	uint64_t reports, left_out, failures, feedback;
	uint64_t messages, passed;
};

/* ---- writing ---- */

static void plain(struct tap_buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		tap_buf_addc(b, (unsigned char)*s < 0x20 ? ' ' : *s);
}

static void escaped(struct tap_buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		const char *e = *s == '&'    ? "&amp;"
				: *s == '<'  ? "&lt;"
				: *s == '>'  ? "&gt;"
				: *s == '"'  ? "&quot;"
				: *s == '\'' ? "&#39;"
					     : NULL;

		if (e != NULL)
			tap_buf_adds(b, e);
		else
			tap_buf_addc(b, (unsigned char)*s < 0x20 ? ' ' : *s);
	}
}

/* What both say. */
static void say(struct page *p, const char *s)
{
	plain(p->text, s);
	escaped(p->html, s);
}

static void say_u64(struct page *p, uint64_t v)
{
	tap_buf_add_u64(p->text, v);
	tap_buf_add_u64(p->html, v);
}

static void say_many(struct page *p, uint64_t n, const char *one, const char *many)
{
	say_u64(p, n);
	say(p, " ");
	say(p, n == 1 ? one : many);
}

/* Rounded down: "100.0" means all. */
static void say_rate(struct page *p, uint64_t passed, uint64_t count)
{
	unsigned tenths =
	    count == 0 ? 0 : (unsigned)(1000.0L * (long double)passed / (long double)count);

	if (passed < count && tenths > 999)
		tenths = 999;
	tap_buf_printf(p->text, "%u.%u %%", tenths / 10, tenths % 10);
	tap_buf_printf(p->html, "%u.%u&nbsp;%%", tenths / 10, tenths % 10);
}

static void mark(struct page *p, const char *text, const char *html)
{
	tap_buf_adds(p->text, text);
	tap_buf_adds(p->html, html);
}

/* ---- numbers ---- */

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static bool any_trusted(const char *bytes, const size_t *ofs, size_t first, size_t n)
{
	const char *part[TAP_PACK_PARTS];
	struct tap_pack_item i;

	for (size_t k = 0; k < n; k++) {
		tap_pack_read(bytes + ofs[first + k], &i, part);
		if (i.trusted && !i.foreign)
			return true;
	}
	return false;
}

static void gather(struct page *p, const char *bytes, const size_t *ofs, size_t first, size_t n)
{
	const char *part[TAP_PACK_PARTS];
	struct tap_pack_item i;
	bool trusted = any_trusted(bytes, ofs, first, n), fresh;
	int64_t seq = -1;

	for (size_t k = 0; k < n; k++) {
		struct row *r = &p->row[p->n];

		tap_pack_read(bytes + ofs[first + k], &i, part);
		fresh = i.seq != seq;
		seq = i.seq;
		p->reports += fresh;
		if (i.kind == TAP_KIND_FEEDBACK || i.kind == TAP_KIND_FAILURE) {
			p->failures += i.kind == TAP_KIND_FAILURE;
			p->feedback += i.kind == TAP_KIND_FEEDBACK;
			continue;
		}
		if (i.foreign || (trusted && !i.trusted)) {
			p->left_out += fresh;
			continue;
		}
		*r = (struct row){.domain = part[TAP_PACK_DOMAIN],
				  .source = part[TAP_PACK_SOURCE],
				  .host = part[TAP_PACK_HOST],
				  .count = i.count,
				  .passed = i.passed,
				  .tls = i.kind == TAP_KIND_SMTP_TLS};
		r->fails = !r->tls && !i.spf && !i.dkim && i.count > 0;
		p->messages = sum(p->messages, r->tls ? 0 : r->count);
		p->passed = sum(p->passed, r->tls ? 0 : r->passed);
		p->n++;
	}
}

static int by_count(const void *x, const void *y)
{
	const struct row *a = x, *b = y;
	int c = strcmp(a->domain, b->domain);

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return c != 0 ? c : strcmp(a->source, b->source);
}

static int by_domain(const void *x, const void *y)
{
	const struct row *a = x, *b = y;

	return a->tls != b->tls ? (int)a->tls - (int)b->tls : strcmp(a->domain, b->domain);
}

static int by_source(const void *x, const void *y)
{
	const struct row *a = x, *b = y;
	int c = strcmp(a->domain, b->domain);

	return c != 0 ? c : strcmp(a->source, b->source);
}

/* Sums up neighbours that are the same, in place; how many are left. */
static size_t merge(struct row *r, size_t n, int (*same)(const void *, const void *))
{
	size_t out = 0;

	if (n == 0)
		return 0;
	qsort(r, n, sizeof *r, same);
	for (size_t i = 1; i < n; i++)
		if (same(&r[out], &r[i]) == 0) {
			r[out].count = sum(r[out].count, r[i].count);
			r[out].passed = sum(r[out].passed, r[i].passed);
			if (r[out].host[0] == '\0')
				r[out].host = r[i].host;
		} else {
			r[++out] = r[i];
		}
	qsort(r, out + 1, sizeof *r, by_count);
	return out + 1;
}

/* ---- the page ---- */

static void more(struct page *p, size_t n, size_t shown, const char *what)
{
	if (n <= shown)
		return;
	mark(p, "  ", "<p>");
	say(p, "and ");
	say_u64(p, n - shown);
	say(p, " more ");
	say(p, what);
	mark(p, "\n", "</p>\n");
}

static void table(struct page *p, const struct row *r, size_t n, const char *title,
		  const char *count, const char *rate)
{
	size_t shown = n < DOMAINS ? n : DOMAINS;

	if (n == 0)
		return;
	mark(p, "\n", "<h2>");
	say(p, title);
	mark(p, "\n",
	     "</h2>\n<table cellpadding=\"6\" style=\"border-collapse:collapse\">\n"
	     "<tr style=\"text-align:left;border-bottom:1px solid #888\"><th>domain</th><th>");
	escaped(p->html, count);
	tap_buf_adds(p->html, "</th><th>");
	escaped(p->html, rate);
	tap_buf_adds(p->html, "</th></tr>\n");
	for (size_t i = 0; i < shown; i++) {
		mark(p, "  ", "<tr style=\"border-bottom:1px solid #ddd\"><td>");
		say(p, r[i].domain[0] != '\0' ? r[i].domain : "(no domain)");
		mark(p, ": ", "</td><td style=\"text-align:right\">");
		say_u64(p, r[i].count);
		tap_buf_printf(p->text, " %s, ", count);
		tap_buf_adds(p->html, "</td><td style=\"text-align:right\">");
		say_rate(p, r[i].passed, r[i].count);
		tap_buf_printf(p->text, " %s\n", rate);
		tap_buf_adds(p->html, "</td></tr>\n");
	}
	tap_buf_adds(p->html, "</table>\n");
	more(p, n, shown, "domains");
}

static void advice(struct page *p, const struct row *r, size_t n)
{
	size_t shown = n < SOURCES ? n : SOURCES;

	mark(p, "\n", "<h2>");
	say(p, "What to do next");
	mark(p, "\n", "</h2>\n<ul>\n");
	if (n == 0) {
		mark(p, "  - ", "<li>");
		say(p, p->messages > 0 ? "Nothing: no source failed both SPF and DKIM."
				       : "Nothing: no mail was reported.");
		mark(p, "\n", "</li>\n");
	}
	for (size_t i = 0; i < shown; i++) {
		mark(p, "  - ", "<li>");
		say(p, r[i].source[0] != '\0' ? r[i].source : "A source without an address");
		if (r[i].host[0] != '\0') {
			say(p, " (");
			say(p, r[i].host);
			say(p, ")");
		}
		say(p, " sent ");
		say_many(p, r[i].count, "message", "messages");
		say(p, " as ");
		say(p, r[i].domain[0] != '\0' ? r[i].domain : "(no domain)");
		say(p, r[i].count == 1 ? " that passes" : " that pass");
		say(p, " neither SPF nor DKIM.");
		mark(p, "\n", "</li>\n");
	}
	tap_buf_adds(p->html, "</ul>\n");
	more(p, n, shown, "sources that fail both");
	if (n > 0) {
		mark(p, "\n", "<p>");
		say(p, "What of these is yours: put it into the SPF record, or have it sign with "
		       "DKIM. What is not: with a stricter policy receivers refuse it.");
		mark(p, "\n", "</p>\n");
	}
}

static void heading(struct page *p)
{
	mark(p, "", "<p>");
	say_many(p, p->reports, "report", "reports");
	if (p->messages > 0) {
		say(p, " about ");
		say_many(p, p->messages, "message", "messages");
		say(p, "; ");
		say_rate(p, p->passed, p->messages);
		say(p, " passed DMARC");
	}
	say(p, ".");
	if (p->failures > 0 || p->feedback > 0) {
		say(p, " Among them ");
		say_many(p, p->failures, "failure report", "failure reports");
		say(p, " and ");
		say_many(p, p->feedback, "complaint", "complaints");
		say(p, ".");
	}
	if (p->left_out > 0) {
		say(p, " ");
		say_many(p, p->left_out, "report is", "reports are");
		say(p, " not counted below: nobody vouches for who sent it, or it is about a "
		       "domain that is not yours.");
	}
	mark(p, "\n", "</p>\n");
}

static void message_above(struct page *p, const char *s)
{
	tap_buf_adds(p->text, s);
	tap_buf_adds(p->text, "\n\n");
	tap_buf_adds(p->html, "<p>");
	for (; *s != '\0'; s++) {
		char one[2] = {*s, '\0'};

		if (*s == '\n')
			tap_buf_adds(p->html, "<br>\n");
		else
			escaped(p->html, one);
	}
	tap_buf_adds(p->html, "</p>\n");
}

enum tap_rc tap_email_text(const char *message, const char *bytes, const size_t *ofs, size_t first,
			   size_t n, struct tap_buf *text, struct tap_buf *html,
			   struct tap_err *err)
{
	struct page p = {.text = text, .html = html, .row = calloc(n + 1, sizeof *p.row)};
	size_t fails = 0, mail, tls;

	if (p.row == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	gather(&p, bytes, ofs, first, n);
	tap_buf_adds(
	    html,
	    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>DMARC "
	    "summary</title></head>\n<body style=\"font-family:sans-serif;max-width:48em\">\n");
	if (message != NULL && *message != '\0')
		message_above(&p, message);
	heading(&p);
	/* The failing ones of mail first, summed up by source, for the advice; kept apart since summing up is done in place. */
	struct row *bad = calloc(p.n + 1, sizeof *bad);

	for (size_t i = 0; bad != NULL && i < p.n; i++)
		if (p.row[i].fails)
			bad[fails++] = p.row[i];
	if (bad == NULL) {
		free(p.row);
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	}
	fails = merge(bad, fails, by_source);
	qsort(p.row, p.n, sizeof *p.row, by_domain);
	for (mail = 0; mail < p.n && !p.row[mail].tls;)
		mail++;
	tls = merge(p.row + mail, p.n - mail, by_domain);
	table(&p, p.row, merge(p.row, mail, by_domain), "Messages by domain", "messages",
	      "passed DMARC");
	table(&p, p.row + mail, tls, "Connections by domain (SMTP TLS)", "sessions", "with TLS");
	advice(&p, bad, fails);
	tap_buf_adds(html, "</body></html>\n");
	free(bad);
	free(p.row);
	return text->failed || html->failed
		   ? tap_err_set(err, TAP_E_LIMIT, "the summary is larger than %zu bytes",
				 text->max)
		   : TAP_OK;
}
