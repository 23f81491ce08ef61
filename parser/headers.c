/* SPDX-License-Identifier: Apache-2.0
 * parser/headers.c - see headers.h. */
#include "parser/headers.h"
#include "parser/sniff.h"
#include <ctype.h>
#include <gmime/gmime.h>
#include <inttypes.h>
#include <strings.h>

enum { STRAYS = 3 };

void tap_headers_init(struct tap_headers *h, const struct tap_parse_limits *lim)
{
	memset(h, 0, sizeof *h);
	tap_buf_init(&h->raw, lim->header_bytes + 1);
	h->max_bytes = lim->header_bytes;
	h->max_fields = lim->header_fields;
}

void tap_headers_free(struct tap_headers *h)
{
	tap_buf_free(&h->raw);
}

void tap_headers_reset(struct tap_headers *h)
{
	tap_buf_reset(&h->raw);
	h->fields = h->strays = 0;
	h->message = h->typed = h->dropping = false;
}

static bool from_line(const char *p, size_t n)
{
	return (n >= 5 && memcmp(p, "From ", 5) == 0) || (n >= 6 && memcmp(p, ">From ", 6) == 0);
}

/* Can a line that begins with p stand in the block as it is so far? */
static bool fits(const struct tap_headers *h, const char *p, size_t n, bool folded)
{
	bool first = h->raw.len == 0;

	if (folded)
		return !first;
	return tap_sniff_header_line(p, n) || (first && from_line(p, n));
}

/* A line that cannot stand in a block: does the block go on behind it? Not where it looks like content. */
static bool is_stray(struct tap_headers *h, char first)
{
	if (!h->message || h->typed || h->raw.len == 0 || h->strays >= STRAYS ||
	    strchr("<{-=\x1f", first))
		return false;
	h->strays++;
	h->dropping = true;
	return true;
}

enum tap_header_step tap_headers_add(struct tap_headers *h, const char *p, size_t n, bool starts,
				     size_t eol, struct tap_err *err)
{
	if (starts) {
		bool folded = *p == ' ' || *p == '\t';

		if (n == eol)
			return TAP_HEADER_END;
		if (!fits(h, p, n, folded))
			return is_stray(h, *p) ? TAP_HEADER_MORE : TAP_HEADER_BODY;
		if (!folded) {
			h->dropping = false;
			h->fields++;
			h->typed |= n > 12 && strncasecmp(p, "content-type", 12) == 0;
		}
	}
	if (h->dropping)
		return TAP_HEADER_MORE;
	if (h->fields > h->max_fields) {
		tap_err_set(err, TAP_E_LIMIT,
			    "header of more than %" PRIu32 " fields (limit header_fields)",
			    h->max_fields);
		return TAP_HEADER_LIMIT;
	}
	if (h->raw.len + n > h->max_bytes) {
		tap_err_set(err, TAP_E_LIMIT,
			    "header of more than %" PRIu64 " bytes (limit header_bytes)",
			    h->max_bytes);
		return TAP_HEADER_LIMIT;
	}
	tap_buf_add(&h->raw, p, n);
	return TAP_HEADER_MORE;
}

/* Where the value of a field begins when the line [p, end) has that name; NULL when it has another. */
static const char *value_of(const char *p, const char *end, const char *name)
{
	size_t len = strlen(name);

	if ((size_t)(end - p) <= len || strncasecmp(p, name, len) != 0)
		return NULL;
	p += len;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p < end && *p == ':' ? p + 1 : NULL;
}

bool tap_headers_find(const struct tap_headers *h, const char *name, struct tap_buf *v)
{
	const char *p = h->raw.len > 0 ? h->raw.p : "", *end = p + h->raw.len, *lf, *value;
	bool in = false;

	tap_buf_reset(v);
	for (; p < end; p = lf) {
		lf = memchr(p, '\n', (size_t)(end - p));
		lf = lf ? lf + 1 : end;
		if (*p == ' ' || *p == '\t') {
			if (in)
				tap_buf_add(v, p, (size_t)(lf - p));
			continue;
		}
		if (in)
			break;
		value = value_of(p, lf, name);
		in = value != NULL;
		if (in)
			tap_buf_add(v, value, (size_t)(lf - value));
	}
	for (size_t i = 0; i < v->len; i++)
		if (v->p[i] == '\0' || v->p[i] == '\r' || v->p[i] == '\n')
			v->p[i] = ' ';
	return in && !v->failed;
}

static void word(const char *from, char *to, size_t max)
{
	size_t i = 0;

	for (; from && from[i] && i < max; i++)
		to[i] = (char)tolower((unsigned char)from[i]);
	to[i] = '\0';
}

static void read_type(const char *value, struct tap_part_info *info)
{
	GMimeContentType *t = g_mime_content_type_parse(NULL, value);
	const char *s;

	if (t == NULL)
		return;
	word(g_mime_content_type_get_media_type(t), info->type, TAP_TYPE_MAX);
	word(g_mime_content_type_get_media_subtype(t), info->subtype, TAP_TYPE_MAX);
	word(g_mime_content_type_get_parameter(t, "report-type"), info->report_type, TAP_TYPE_MAX);
	s = g_mime_content_type_get_parameter(t, "boundary");
	if (s && strlen(s) <= TAP_BOUNDARY_MAX)
		memcpy(info->boundary, s, strlen(s) + 1);
	for (size_t n = strlen(info->boundary); n > 0 && info->boundary[n - 1] == ' '; n--)
		info->boundary[n - 1] = '\0';
	if (strcmp(info->type, "text") == 0) {
		s = g_mime_content_type_get_parameter(t, "charset");
		if (s && strlen(s) < sizeof info->charset)
			memcpy(info->charset, s, strlen(s) + 1);
	}
	s = g_mime_content_type_get_parameter(t, "name");
	if (s)
		tap_clean_name(s, info->filename);
	g_object_unref(t);
}

static void read_disposition(const char *value, struct tap_part_info *info)
{
	GMimeContentDisposition *d = g_mime_content_disposition_parse(NULL, value);
	const char *s = d ? g_mime_content_disposition_get_parameter(d, "filename") : NULL;

	if (s && *s)
		tap_clean_name(s, info->filename);
	if (d)
		g_object_unref(d);
}

/* The domain that p begins with, in lower case; "" when there is none. */
static void take_domain(const char *p, char out[TAP_DOMAIN_MAX + 1])
{
	size_t n = 0;

	while (n < TAP_DOMAIN_MAX && (isalnum((unsigned char)p[n]) || p[n] == '-' || p[n] == '.')) {
		out[n] = (char)tolower((unsigned char)p[n]);
		n++;
	}
	while (n > 0 && out[n - 1] == '.')
		n--;
	out[n] = '\0';
	if (strchr(out, '.') == NULL || out[0] == '.')
		out[0] = '\0';
}

/* What follows a word of the subject; RFC 7489 section 7.2.1.1. */
static void after_word(const char *subject, const char *name, char out[TAP_DOMAIN_MAX + 1])
{
	const char *p = strcasestr(subject, name);

	out[0] = '\0';
	if (p == NULL)
		return;
	p += strlen(name);
	take_domain(p + strspn(p, " \t"), out);
}

static void read_subject(const char *value, struct tap_part_info *info, struct tap_hints *hints)
{
	char *s = g_mime_utils_header_decode_text(NULL, value);
	bool yes = s && tap_sniff_report_subject(s);

	info->report_subject = yes;
	info->report_begins = yes && strncasecmp(s + strspn(s, " \t"), "report", 6) == 0;
	if (yes && hints) {
		after_word(s, "domain:", hints->domain);
		after_word(s, "submitter:", hints->submitter);
	}
	g_free(s);
}

static void read_sender(const char *value, struct tap_hints *hints)
{
	const char *at = strrchr(value, '@');

	if (at)
		take_domain(at + 1, hints->sender);
}

void tap_headers_read(struct tap_headers *h, bool digest, struct tap_part_info *info,
		      struct tap_hints *hints)
{
	struct tap_buf v;

	memset(info, 0, sizeof *info);
	if (hints)
		memset(hints, 0, sizeof *hints);
	tap_buf_init(&v, TAP_FIELD_MAX);
	if (tap_headers_find(h, "Content-Type", &v))
		read_type(tap_buf_cstr(&v), info);
	if (tap_headers_find(h, "Content-Disposition", &v))
		read_disposition(tap_buf_cstr(&v), info);
	if (tap_headers_find(h, "Content-Transfer-Encoding", &v))
		info->encoding = tap_encoding_parse(tap_buf_cstr(&v));
	if (tap_headers_find(h, "Subject", &v))
		read_subject(tap_buf_cstr(&v), info, hints);
	if (hints && tap_headers_find(h, "From", &v))
		read_sender(tap_buf_cstr(&v), hints);
	if (info->type[0] == '\0') {
		word(digest ? "message" : "text", info->type, TAP_TYPE_MAX);
		word(digest ? "rfc822" : "plain", info->subtype, TAP_TYPE_MAX);
	}
	tap_buf_free(&v);
}
