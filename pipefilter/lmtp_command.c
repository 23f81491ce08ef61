/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_command.c - see lmtp_command.h. */
#include "pipefilter/lmtp_command.h"

#include <string.h>
#include <strings.h>

enum { SIZE_DIGITS = 18 };

bool tap_lmtp_valid_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	while (*p) {
		static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
		size_t n = *p < 0x80	   ? 1
			   : *p >> 5 == 6  ? 2
			   : *p >> 4 == 14 ? 3
			   : *p >> 3 == 30 ? 4
					   : 0;
		uint32_t c = n > 1 ? *p & (0x7fU >> n) : *p;

		if (n == 0)
			return false;
		for (size_t i = 1; i < n; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (p[i] & 0x3fU);
		}
		if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
		p += n;
	}
	return true;
}

static bool ascii(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s > 127)
			return false;
	}
	return true;
}

static const char *skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* The end of a path that begins behind '<': where its '>' stands; NULL when there is none. */
static const char *path_end(const char *s)
{
	bool quoted = false;

	for (; *s; s++) {
		if (quoted && *s == '\\' && s[1])
			s++;
		else if (*s == '"')
			quoted = !quoted;
		else if (!quoted && *s == '>')
			return s;
		else if (!quoted && (*s == ' ' || *s == '\t' || *s == '<'))
			return NULL;
	}
	return NULL;
}

/* "FROM:<path>" or "TO:<path>"; *rest_r = behind it. Blanks behind the colon are forgiven. */
static bool read_path(const char *text, const char *word, struct tap_lmtp_path *out,
		      const char **rest_r)
{
	size_t n = strlen(word);
	const char *end;

	if (strncasecmp(text, word, n) != 0)
		return false;
	text = skip_blanks(text + n);
	if (*text++ != '<')
		return false;
	end = path_end(text);
	if (!end || (size_t)(end - text) >= sizeof(out->path))
		return false;
	memcpy(out->path, text, (size_t)(end - text));
	out->path[end - text] = '\0';
	*rest_r = end + 1;
	return *end == '>' && (end[1] == '\0' || end[1] == ' ' || end[1] == '\t');
}

static bool read_number(const char *s, size_t n, uint64_t *v_r)
{
	*v_r = 0;
	if (n == 0 || n > SIZE_DIGITS)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		*v_r = *v_r * 10 + (uint64_t)(s[i] - '0');
	}
	return true;
}

static bool is_word(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && strncasecmp(s, word, n) == 0;
}

static enum tap_lmtp_syntax mail_parameter(const char *s, size_t n, struct tap_lmtp_path *out)
{
	if (n > 5 && strncasecmp(s, "SIZE=", 5) == 0)
		return read_number(s + 5, n - 5, &out->size) ? TAP_LMTP_GOOD : TAP_LMTP_WRONG;
	if (is_word(s, n, "BODY=7BIT") || is_word(s, n, "BODY=8BITMIME"))
		return TAP_LMTP_GOOD;
	if (is_word(s, n, "SMTPUTF8")) {
		out->utf8 = true;
		return TAP_LMTP_GOOD;
	}
	return TAP_LMTP_PARAMETER;
}

enum tap_lmtp_syntax tap_lmtp_read_mail(const char *text, struct tap_lmtp_path *out)
{
	enum tap_lmtp_syntax s = TAP_LMTP_GOOD;
	const char *rest;

	out->size = 0;
	out->utf8 = false;
	if (!read_path(text, "FROM:", out, &rest))
		return TAP_LMTP_WRONG;
	for (rest = skip_blanks(rest); !s && *rest; rest = skip_blanks(rest)) {
		size_t n = strcspn(rest, " \t");

		s = mail_parameter(rest, n, out);
		rest += n;
	}
	if (!s && !ascii(out->path) && !out->utf8)
		return TAP_LMTP_NEEDS_UTF8;
	return !s && !tap_lmtp_valid_utf8(out->path) ? TAP_LMTP_WRONG : s;
}

enum tap_lmtp_syntax tap_lmtp_read_rcpt(const char *text, bool utf8, struct tap_lmtp_path *out)
{
	const char *rest;

	if (!read_path(text, "TO:", out, &rest) || out->path[0] == '\0')
		return TAP_LMTP_WRONG;
	if (*skip_blanks(rest))
		return TAP_LMTP_PARAMETER;
	if (!ascii(out->path) && !utf8)
		return TAP_LMTP_NEEDS_UTF8;
	return tap_lmtp_valid_utf8(out->path) ? TAP_LMTP_GOOD : TAP_LMTP_WRONG;
}

enum tap_lmtp_syntax tap_lmtp_read_bdat(const char *text, uint64_t *size_r, bool *last_r)
{
	size_t n = strcspn(text, " \t");
	const char *rest;

	*last_r = false;
	if (!read_number(text, n, size_r))
		return TAP_LMTP_WRONG;
	rest = skip_blanks(text + n);
	if (*rest == '\0')
		return TAP_LMTP_GOOD;
	*last_r = strcasecmp(rest, "LAST") == 0;
	return *last_r ? TAP_LMTP_GOOD : TAP_LMTP_WRONG;
}
