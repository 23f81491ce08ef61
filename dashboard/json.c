/* SPDX-License-Identifier: Apache-2.0
 * dashboard/json.c - see json.h. */
#include "dashboard/json.h"

#include "base/clock.h"
#include <string.h>

/* Length of the UTF-8 sequence at s, which is NUL-terminated; 0 when there is none. The bounds of the second byte keep out
 * overlong forms, surrogates and code points above 10FFFF (RFC 3629 section 4). */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char first, last, lo, hi, n;
	} rows[] = {
	    {0x00, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
	    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
	    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	size_t row = 0, i;

	while (row < sizeof(rows) / sizeof(rows[0]) && s[0] > rows[row].last)
		row++;
	if (row == sizeof(rows) / sizeof(rows[0]) || s[0] < rows[row].first)
		return 0;
	if (rows[row].n > 1 && (s[1] < rows[row].lo || s[1] > rows[row].hi))
		return 0;
	for (i = 2; i < rows[row].n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return rows[row].n;
}

static void add_special(struct tap_buf *b, unsigned char c)
{
	switch (c) {
	case '"': tap_buf_adds(b, "\\\""); break;
	case '\\': tap_buf_adds(b, "\\\\"); break;
	case '\n': tap_buf_adds(b, "\\n"); break;
	case '\t': tap_buf_adds(b, "\\t"); break;
	default: tap_buf_printf(b, "\\u%04x", c); break;
	}
}

static bool is_special(unsigned char c)
{
	return c < 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&';
}

static void add_text(struct tap_buf *b, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	tap_buf_addc(b, '"');
	while (*s) {
		size_t n = utf8_len(s);

		if (n == 0) {
			tap_buf_adds(b, "\\ufffd");
			n = 1;
		} else if (n == 1 && is_special(*s)) {
			add_special(b, *s);
		} else if (n == 3 && s[0] == 0xe2 && s[1] == 0x80 &&
			   (s[2] == 0xa8 || s[2] == 0xa9)) {
			tap_buf_adds(b, s[2] == 0xa8 ? "\\u2028" : "\\u2029");
		} else {
			tap_buf_add(b, s, n);
		}
		s += n;
	}
	tap_buf_addc(b, '"');
}

/* What stands before every value. */
static void lead(struct tap_json *j, const char *key)
{
	if (j->comma)
		tap_buf_addc(j->out, ',');
	j->comma = true;
	if (key) {
		add_text(j->out, key);
		tap_buf_addc(j->out, ':');
	}
}

void tap_json_init(struct tap_json *j, struct tap_buf *out)
{
	j->out = out;
	j->comma = false;
}

void tap_json_open(struct tap_json *j, const char *key, char bracket)
{
	lead(j, key);
	tap_buf_addc(j->out, bracket);
	j->comma = false;
}

void tap_json_close(struct tap_json *j, char bracket)
{
	tap_buf_addc(j->out, bracket);
	j->comma = true;
}

void tap_json_str(struct tap_json *j, const char *key, const char *value)
{
	if (!value) {
		tap_json_null(j, key);
		return;
	}
	lead(j, key);
	add_text(j->out, value);
}

void tap_json_int(struct tap_json *j, const char *key, int64_t value)
{
	lead(j, key);
	tap_buf_add_i64(j->out, value);
}

void tap_json_bool(struct tap_json *j, const char *key, bool value)
{
	lead(j, key);
	tap_buf_adds(j->out, value ? "true" : "false");
}

void tap_json_null(struct tap_json *j, const char *key)
{
	lead(j, key);
	tap_buf_adds(j->out, "null");
}

void tap_json_share(struct tap_json *j, const char *key, int64_t part, int64_t whole)
{
	unsigned ten_thousandths;

	if (whole <= 0) {
		tap_json_null(j, key);
		return;
	}
	if (part < 0)
		part = 0;
	if (part > whole)
		part = whole;
	ten_thousandths = (unsigned)((unsigned __int128)part * 10000 / (unsigned __int128)whole);
	lead(j, key);
	tap_buf_printf(j->out, "%u.%04u", ten_thousandths / 10000, ten_thousandths % 10000);
}

void tap_json_time(struct tap_json *j, const char *key, int64_t t)
{
	char text[64];

	tap_time_rfc3339(t, text, sizeof(text));
	tap_json_str(j, key, text);
}

void tap_json_time_or_null(struct tap_json *j, const char *key, int64_t t)
{
	if (t == 0)
		tap_json_null(j, key);
	else
		tap_json_time(j, key, t);
}

void tap_json_day(struct tap_json *j, const char *key, int64_t t)
{
	char text[64];
	char *end;

	tap_time_rfc3339(t, text, sizeof(text));
	end = strchr(text, 'T');
	if (end)
		*end = '\0';
	tap_json_str(j, key, text);
}
