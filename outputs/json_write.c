/* SPDX-License-Identifier: Apache-2.0
 * outputs/json_write.c - see json_write.h. */
#include "outputs/json_write.h"

#include "base/sha256.h"

enum { SLACK = 4096 };

const char tap_enc_blanks[TAP_ENC_NEWLINE_MAX + 1] =
    "\n                                                               "
    "                                                                ";

/* What a byte needs within a string: 0 nothing, 'u' \u00XX, 'x' perhaps (U+2028 and U+2029), else the letter behind the backslash. */
static const unsigned char escapes[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b',	 't',		'n',	     'u',
    'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u',	 'u',		'u',	     'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\', [0xE2] = 'x'};

bool tap_enc_room_slow(struct tap_enc *e, size_t n)
{
	struct tap_buf *b = e->b;

	if (b->failed)
		return false;
	if (b->p != NULL)
		b->len = (size_t)(e->p - b->p);
	if (!tap_buf_reserve(b, b->max - b->len > n + SLACK ? n + SLACK : n)) {
		e->end = e->p;
		return false;
	}
	e->p = b->p + b->len;
	e->end = b->p + b->cap;
	return true;
}

void tap_enc_open(struct tap_enc *e, struct tap_buf *b, const struct tap_json_style *s)
{
	size_t indent = s->indent > 0 ? (size_t)s->indent : 0;
	size_t level = s->level > 0 ? (size_t)s->level : 0;

	e->b = b;
	e->compat4 = s->compat4;
	e->tight = indent == 0;
	for (size_t i = 0; i < TAP_ENC_DEPTHS; i++) {
		size_t n = indent == 0 ? 0 : 1 + indent * (level + i);
		e->newline[i] = n < TAP_ENC_NEWLINE_MAX ? n : TAP_ENC_NEWLINE_MAX;
	}
	e->p = e->end = b->p;
	if (b->p != NULL && !b->failed) {
		e->p = b->p + b->len;
		e->end = b->p + b->cap;
	}
	(void)room(e, SLACK);
}

void tap_enc_close(struct tap_enc *e)
{
	if (!e->b->failed && e->b->p != NULL)
		e->b->len = (size_t)(e->p - e->b->p);
}

/* Bytes that s grows by when it is escaped, at most. */
static size_t growth(const char *s, size_t n)
{
	size_t more = 0;

	if (n <= 512)
		return 5 * n;
	for (size_t i = 0; i < n; i++) {
		unsigned char k = escapes[(unsigned char)s[i]];
		more += k == 0 ? 0 : k == 'u' ? 5 : k == 'x' ? 3 : 1;
	}
	return more;
}

static char *escape_control(char *p, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	*p++ = 'u';
	*p++ = '0';
	*p++ = '0';
	*p++ = hex[c >> 4];
	*p++ = hex[c & 15];
	return p;
}

/* U+2028 and U+2029 end a line of JavaScript. */
static bool ends_line(const char *s, const char *stop)
{
	return stop - s >= 3 && (unsigned char)s[1] == 0x80 && ((unsigned char)s[2] & 0xFE) == 0xA8;
}

/* The room is there. */
static void add_escaped(struct tap_enc *e, const char *s, size_t n)
{
	char *p = e->p;

	for (const char *stop = s + n; s < stop; s++) {
		unsigned char c = (unsigned char)*s, k = escapes[c];

		if (__builtin_expect(k == 0, 1)) {
			*p++ = (char)c;
		} else if (k == 'x') {
			if (e->compat4 || !ends_line(s, stop)) {
				*p++ = (char)c;
				continue;
			}
			memcpy(p, (s[2] & 1) == 0 ? "\\u2028" : "\\u2029", 6);
			p += 6;
			s += 2;
		} else {
			*p++ = '\\';
			if (k == 'u')
				p = escape_control(p, c);
			else
				*p++ = (char)k;
		}
	}
	e->p = p;
}

void tap_enc_string(struct tap_enc *e, const char *s, size_t n)
{
	if (!room(e, n + growth(s, n) + 2))
		return;
	*e->p++ = '"';
	add_escaped(e, s, n);
	*e->p++ = '"';
}

/* Length of the UTF-8 character at p, 0 = none. */
static size_t character(const unsigned char *p, size_t n)
{
	static const struct {
		unsigned char first, last, low, high; /* lead bytes; bounds of the second byte */
		unsigned char len;
	} form[] = {
	    {0x00, 0x7F, 0x00, 0x00, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
	    {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
	    {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
	};

	for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
		if (p[0] < form[i].first || p[0] > form[i].last)
			continue;
		if (n < form[i].len ||
		    (form[i].len > 1 && (p[1] < form[i].low || p[1] > form[i].high)))
			return 0;
		for (size_t k = 2; k < form[i].len; k++)
			if ((p[k] & 0xC0) != 0x80)
				return 0;
		return form[i].len;
	}
	return 0;
}

void tap_enc_lossy(struct tap_enc *e, const void *bytes, size_t n, bool unix_lines)
{
	const unsigned char *p = bytes;
	size_t run = 0; /* of bytes that can be taken as they are, behind p */

	PUT(e, "\"");
	while (run < n) {
		size_t len = character(p + run, n - run);
		bool cr = unix_lines && p[run] == '\r' && n - run > 1 && p[run + 1] == '\n';

		if (len > 0 && !cr) {
			run += len;
			if (run < 4096)
				continue;
		}
		if (room(e, 6 * run + 3)) {
			add_escaped(e, (const char *)p, run);
			if (len == 0)
				PUT(e, "\xEF\xBF\xBD");
		}
		run += len == 0 || cr;
		p += run;
		n -= run;
		run = 0;
	}
	if (room(e, 6 * run + 1)) {
		add_escaped(e, (const char *)p, run);
		PUT(e, "\"");
	}
}

void tap_enc_base64(struct tap_enc *e, const void *bytes, size_t n)
{
	static const char digit[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = bytes;
	char *to;

	if (!room(e, (n + 2) / 3 * 4 + 2))
		return;
	to = e->p;
	*to++ = '"';
	for (; n > 0; p += 3) {
		size_t k = n < 3 ? n : 3;
		uint32_t v = (uint32_t)p[0] << 16;

		v |= k > 1 ? (uint32_t)p[1] << 8 : 0;
		v |= k > 2 ? (uint32_t)p[2] : 0;
		*to++ = digit[v >> 18];
		*to++ = digit[(v >> 12) & 63];
		*to++ = k > 1 ? digit[(v >> 6) & 63] : '=';
		*to++ = k > 2 ? digit[v & 63] : '=';
		n -= k;
	}
	*to++ = '"';
	e->p = to;
}

void tap_enc_source_newer(struct tap_enc *e, unsigned depth, const struct tap_source_info *s,
			  const char *ip_raw)
{
	KEY(e, depth, "name");
	put_string(e, s->name);
	KEY(e, depth, "type");
	put_string(e, s->type);
	KEY(e, depth, "asn");
	if (s->asn != 0)
		put_u64(e, s->asn);
	else
		PUT(e, "null");
	KEY(e, depth, "as_name");
	put_string(e, s->as_name);
	KEY(e, depth, "as_domain");
	put_string(e, s->as_domain);
	KEY(e, depth, "ip_address_raw");
	put_string(e, ip_raw);
}

void tap_enc_identity(struct tap_enc *e, const struct tap_meta *m, int64_t revision)
{
	KEY(e, 1, "report_uid");
	put_string(e, m->uid);
	KEY(e, 1, "revision");
	put_i64(e, revision > 0 ? revision : 1);
}

static void put_warnings(struct tap_enc *e, const struct tap_report_end *end)
{
	KEY(e, 1, "warnings");
	PUT(e, "[");
	for (size_t i = 0; i < end->n_warnings; i++) {
		list_item(e, 2, i == 0);
		PUT(e, "{");
		KEY1(e, 3, "where");
		put_string(e, end->warnings[i].where);
		KEY(e, 3, "what");
		put_string(e, end->warnings[i].what);
		close_object(e, 2);
	}
	list_close(e, 2, end->n_warnings > 0);
	KEY(e, 1, "warnings_total");
	put_u64(e, end->warnings_total);
}

static void put_trust(struct tap_enc *e, const struct tap_trust *t)
{
	size_t n = t->n_dkim_domains < TAP_TRUST_DKIM ? t->n_dkim_domains : TAP_TRUST_DKIM;

	KEY(e, 1, "trust");
	PUT(e, "{");
	KEY1(e, 2, "auth");
	put_string(e, tap_shape_auth(t->auth));
	KEY(e, 2, "dmarc");
	put_string(e, tap_shape_auth(t->dmarc));
	KEY(e, 2, "reporter");
	put_string(e, tap_shape_agree(t->reporter));
	KEY(e, 2, "names");
	put_string(e, tap_shape_agree(t->names));
	KEY(e, 2, "foreign");
	put_bool(e, t->foreign);
	KEY(e, 2, "trusted");
	put_bool(e, t->trusted);
	KEY(e, 2, "dkim_domains");
	put_strings(e, 3, t->dkim_domains, n);
	KEY(e, 2, "from_domain");
	put_string(e, t->from_domain);
	close_object(e, 1);
}

void tap_enc_end(struct tap_enc *e, const struct tap_meta *m, const struct tap_report_end *end)
{
	char hash[2 * TAP_HASH_BYTES + 1];

	KEY(e, 1, "truncated");
	put_bool(e, end->truncated);
	KEY(e, 1, "recovered");
	put_bool(e, end->recovered);
	KEY(e, 1, "content_sha256");
	tap_hex(end->content_hash, TAP_HASH_BYTES, hash);
	put_string(e, hash);
	KEY(e, 1, "content_bytes");
	put_u64(e, end->content_bytes);
	KEY(e, 1, "filename");
	put_string(e, m->origin.filename);
	KEY(e, 1, "extension");
	put_string(e, end->extension);
	put_warnings(e, end);
	put_trust(e, &m->trust);
	KEY(e, 1, "kind");
	put_string(e, tap_shape_kind(m->kind));
}

void tap_json_string(struct tap_buf *b, const char *s)
{
	static const struct tap_json_style style = {0};
	struct tap_enc e;

	tap_enc_open(&e, b, &style);
	put_string(&e, s);
	tap_enc_close(&e);
}
