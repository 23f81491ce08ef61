/* SPDX-License-Identifier: Apache-2.0
 * parser/feedback_fields.c - see feedback_fields.h. */
#include "parser/feedback_fields.h"
#include "parser/sniff.h"
#include "parser/utf8.h"
#include <string.h>
#include <strings.h>

enum { HASH_PIECE = 4096 };

/* The end of the line at p, and where the next begins. CR, LF, CR LF and CR CR LF end a line. */
static const char *line_end(const char *p, const char *end, const char **next_r)
{
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	*next_r = p;
	while (*next_r < end && **next_r == '\r')
		++*next_r;
	if (*next_r < end && **next_r == '\n')
		++*next_r;
	return p;
}

static bool is_blank(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\0'))
		p++;
	return p == end;
}

bool tap_fb_next(struct tap_fb_reader *r, struct tap_fb_field *f)
{
	const char *eol, *next, *colon;

	for (; r->p < r->end; r->p = next) {
		eol = line_end(r->p, r->end, &next);
		while (r->p < eol && *r->p == '\0')
			r->p++;
		if (is_blank(r->p, eol))
			continue;
		if (!tap_sniff_header_line(r->p, (size_t)(eol - r->p))) {
			r->stray++;
			continue;
		}
		colon = memchr(r->p, ':', (size_t)(eol - r->p));
		f->name = r->p;
		f->name_len = (size_t)(colon - r->p);
		while (f->name_len > 0 && tap_is_space(f->name[f->name_len - 1]))
			f->name_len--;
		f->value = colon + 1;
		while (next < r->end && (*next == ' ' || *next == '\t')) {
			const char *from = next, *to = line_end(from, r->end, &next);

			if (is_blank(from, to))
				break;
			eol = to;
		}
		f->n = (size_t)(eol - f->value);
		r->p = next;
		return true;
	}
	return false;
}

bool tap_fb_is(const struct tap_fb_field *f, const char *name)
{
	return f->name_len == strlen(name) && strncasecmp(f->name, name, f->name_len) == 0;
}

static bool is_outer_blank(char c)
{
	return tap_is_space(c) || c == '\0';
}

bool tap_fb_unfold(const char *value, size_t n, size_t max, struct tap_buf *out)
{
	const char *p = value, *end = value + n;
	bool fold = false;
	size_t k = 0;

	while (p < end && is_outer_blank(*p))
		p++;
	while (end > p && is_outer_blank(end[-1]))
		end--;
	for (; p < end; p++) {
		bool line = *p == '\r' || *p == '\n';

		fold |= line;
		if (line || *p == '\0' || (fold && (*p == ' ' || *p == '\t')))
			continue;
		if (k + 2 > max)
			return false;
		if (fold) {
			tap_buf_addc(out, ' ');
			k++;
		}
		fold = false;
		tap_buf_addc(out, *p);
		k++;
	}
	return true;
}

/* Behind the comment that begins at p; NULL when it has no end. */
static char *comment_end(char *p)
{
	unsigned depth = 0;

	for (; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '(')
			depth++;
		else if (*p == ')' && --depth == 0)
			return p + 1;
	}
	return NULL;
}

void tap_fb_strip_comments(char *s)
{
	char *to = s, *end;
	bool quoted = false, open = false;

	for (char *p = s; *p;) {
		if (*p == '\\' && quoted && p[1])
			*to++ = *p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (*p == '(' && !quoted && !open) {
			end = comment_end(p);
			if (end) {
				p = end;
				*to++ = ' ';
				continue;
			}
			open = true;
		}
		*to++ = *p++;
	}
	*to = '\0';
	tap_fb_trim(s);
}

char *tap_fb_trim(char *s)
{
	size_t n, skip = 0;

	while (tap_is_space(s[skip]))
		skip++;
	n = strlen(s + skip);
	while (n > 0 && tap_is_space(s[skip + n - 1]))
		n--;
	memmove(s, s + skip, n);
	s[n] = '\0';
	return s;
}

char *tap_fb_unangle(char *s)
{
	size_t n;

	tap_fb_trim(s);
	n = strlen(s);
	if (n >= 2 && s[0] == '<' && s[n - 1] == '>') {
		s[n - 1] = '\0';
		memmove(s, s + 1, n - 1);
		tap_fb_trim(s);
	}
	return s;
}

void tap_fb_unquote(char *s)
{
	char *to = s;
	bool quoted = false;

	if (*s != '"')
		return;
	for (char *p = s; *p; p++) {
		if (*p == '"') {
			quoted = !quoted;
			continue;
		}
		if (!quoted && tap_is_space(*p))
			continue;
		if (quoted && *p == '\\' && p[1])
			p++;
		*to++ = *p;
	}
	*to = '\0';
}

/* Where the item that begins at p ends. */
static char *item_end(char *p, bool words)
{
	bool quoted = false, angle = false;

	for (; *p; p++) {
		if (quoted) {
			if (*p == '\\' && p[1])
				p++;
			else if (*p == '"')
				quoted = false;
		} else if (*p == '"') {
			quoted = true;
		} else if (*p == '<' || *p == '>') {
			angle = *p == '<';
		} else if (!angle && (*p == ',' || (words && tap_is_space(*p)))) {
			break;
		}
	}
	return p;
}

char *tap_fb_item(char **s, bool words)
{
	char *p = *s, *from;

	while (*p == ',' || tap_is_space(*p))
		p++;
	if (*p == '\0')
		return NULL;
	from = p;
	p = item_end(p, words);
	if (*p)
		*p++ = '\0';
	*s = p;
	return tap_fb_trim(from);
}

/* --- hashes -------------------------------------------------------------------------------------------------------------- */

struct piece {
	struct tap_sha256 *h;
	uint64_t total;
	size_t n;
	char p[HASH_PIECE];
};

static void put(struct piece *b, char c)
{
	if (b->n == sizeof b->p) {
		tap_sha256_update(b->h, b->p, b->n);
		b->total += b->n;
		b->n = 0;
	}
	b->p[b->n++] = c;
}

static uint64_t done(struct piece *b)
{
	tap_sha256_update(b->h, b->p, b->n);
	return b->total + b->n;
}

uint64_t tap_fb_hash(struct tap_sha256 *h, const char *p, size_t n)
{
	const char *end = p + n, *next;
	struct piece b;

	b.h = h;
	b.total = 0;
	b.n = 0;
	while (p < end && tap_is_space(*p))
		p++;
	while (end > p && tap_is_space(end[-1]))
		end--;
	while (p < end) {
		const char *eol = line_end(p, end, &next);

		for (; p < eol; p++)
			put(&b, *p);
		if (next < end && *next != ' ' && *next != '\t')
			put(&b, '\n');
		p = next;
	}
	return done(&b);
}

uint64_t tap_fb_hash_lines(struct tap_sha256 *h, const char *p, size_t n)
{
	struct piece b;

	b.h = h;
	b.total = 0;
	b.n = 0;
	for (size_t i = 0; i < n; i++)
		if (p[i] != '\r' || i + 1 == n || p[i + 1] != '\n')
			put(&b, p[i]);
	return done(&b);
}

static int sextet(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

uint64_t tap_fb_base64(const char *p, size_t n, unsigned char sha256_r[TAP_SHA256_BYTES])
{
	struct tap_sha256 h;
	struct piece b;
	uint32_t bits = 0;
	unsigned have = 0;
	uint64_t size;

	tap_sha256_init(&h);
	b.h = &h;
	b.total = 0;
	b.n = 0;
	for (size_t i = 0; i < n; i++) {
		int v = sextet((unsigned char)p[i]);

		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			put(&b, (char)(bits >> have & 0xff));
		}
	}
	size = done(&b);
	tap_sha256_final(&h, sha256_r);
	return size;
}

/* --- what a text is -------------------------------------------------------------------------------------------------------- */

static unsigned count_names(const char *p, size_t n, const char *const *names, bool *first_r)
{
	struct tap_fb_reader r = {.p = p, .end = p + n};
	struct tap_fb_field f;
	const char *eol, *next;
	unsigned seen = 0;
	bool some = false;

	*first_r = false;
	while (r.p < r.end && (tap_is_space(*r.p) || *r.p == '\0'))
		r.p++;
	while (tap_fb_next(&r, &f) && r.stray == 0) {
		some = true;
		for (size_t i = 0; names[i]; i++)
			if (tap_fb_is(&f, names[i])) {
				seen++;
				*first_r |= i == 0;
			}
		eol = line_end(r.p, r.end, &next);
		if (is_blank(r.p, eol))
			break;
	}
	return some ? seen : 0;
}

bool tap_fb_looks_like_fields(const char *p, size_t n)
{
	static const char *const names[] = {"Feedback-Type",
					    "User-Agent",
					    "Version",
					    "Source-IP",
					    "Auth-Failure",
					    "Arrival-Date",
					    "Authentication-Results",
					    "Original-Mail-From",
					    "Reported-Domain",
					    "Original-Rcpt-To",
					    NULL};
	bool first;

	return count_names(p, n, names, &first) >= 2 && first;
}

bool tap_fb_looks_like_header(const char *p, size_t n)
{
	static const char *const names[] = {
	    "Received",	   "From",	 "Date",	   "Subject",	   "To",
	    "Return-Path", "Message-ID", "DKIM-Signature", "MIME-Version", NULL};
	bool first;

	return count_names(p, n, names, &first) >= 2;
}
