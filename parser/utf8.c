/* SPDX-License-Identifier: Apache-2.0
 * parser/utf8.c - see utf8.h. RFC 3629; the table of windows-1252 is that of the Unicode consortium. */
#include "parser/utf8.h"

#include <string.h>

size_t tap_utf8_step(const unsigned char *s, size_t n, uint32_t *cp_r)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = s[0];
	size_t len;
	uint32_t cp;

	if (c < 0x80) {
		*cp_r = c;
		return 1;
	}
	if (c >= 0xc2 && c <= 0xdf) {
		len = 2;
		cp = c & 0x1fu;
	} else if (c >= 0xe0 && c <= 0xef) {
		len = 3;
		cp = c & 0x0fu;
	} else if (c >= 0xf0 && c <= 0xf4) {
		len = 4;
		cp = c & 0x07u;
	} else {
		return 0;
	}
	if (n < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (s[i] & 0x3fu);
	}
	if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*cp_r = cp;
	return len;
}

bool tap_utf8_partial(const unsigned char *s, size_t n)
{
	unsigned char pad[4];

	if (n == 0 || n > 3 || s[0] < 0xc2)
		return false;
	/* The second byte decides about overlong forms and surrogates, so try its least and its greatest value. */
	for (int fill = 0x80; fill <= 0xbf; fill += 0x3f) {
		uint32_t cp;

		memset(pad, fill, sizeof(pad));
		memcpy(pad, s, n);
		if (tap_utf8_step(pad, sizeof(pad), &cp) > n)
			return true;
	}
	return false;
}

size_t tap_utf8_put(char *out, uint32_t cp)
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

size_t tap_utf8_cut(const char *s, size_t n, size_t max)
{
	size_t i = max;

	if (n <= max)
		return n;
	/* s[max] is the first byte that goes: no cut in front of a continuation byte. */
	while (i > 0 && max - i < 4 && ((unsigned char)s[i] & 0xc0) == 0x80)
		i--;
	return ((unsigned char)s[i] & 0xc0) == 0x80 ? max : i;
}

size_t tap_utf8_whole(const char *s, size_t n)
{
	for (size_t k = 1; k <= 3 && k <= n; k++)
		if (tap_utf8_partial((const unsigned char *)s + n - k, k))
			return n - k;
	return n;
}

uint32_t tap_cp1252(unsigned char c)
{
	static const uint16_t high[32] = {
	    0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
	    0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
	    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178};

	return c >= 0x80 && c < 0xa0 ? high[c - 0x80] : c;
}

/* What the quick loop has to know of a byte: nothing, an upper-case letter, or "look closer". */
enum { B_UPPER = 1, B_SPECIAL = 2 };
static const unsigned char byte_class[256] = {
    [0 ... 8] = B_SPECIAL,
    [11 ... 31] = B_SPECIAL,
    ['A' ... 'Z'] = B_UPPER,
    [0x7f ... 0xff] = B_SPECIAL,
};

static char *clean_slowly(struct tap_arena *a, const char *s, size_t n, unsigned flags,
			  unsigned *notes, size_t *len_r)
{
	/* The longest that a byte can grow to is U+FFFD. */
	char *out = tap_arena_alloc(a, 3 * n + 1);
	size_t len = 0, i = 0;

	if (!out)
		return NULL;
	while (i < n) {
		uint32_t cp;
		size_t step = tap_utf8_step((const unsigned char *)s + i, n - i, &cp);

		if (step == 0) {
			len += tap_utf8_put(out + len, 0xfffd);
			*notes |= TAP_TEXT_REPAIRED;
			i++;
			continue;
		}
		i += step;
		if (cp == '\r') {
			if (i == n || s[i] != '\n')
				out[len++] = '\n';
		} else if ((cp < 0x20 && cp != '\t' && cp != '\n') || (cp >= 0x7f && cp < 0xa0)) {
			*notes |= TAP_TEXT_CONTROL;
		} else if (cp >= 'A' && cp <= 'Z' && (flags & TAP_TEXT_LOWER)) {
			out[len++] = (char)(cp | 0x20);
		} else {
			len += tap_utf8_put(out + len, cp);
		}
	}
	while (len > 0 && tap_is_space(out[len - 1]))
		len--;
	out[len] = '\0';
	*len_r = len;
	return out;
}

char *tap_text_clean(struct tap_arena *a, const char *s, size_t n, unsigned flags, unsigned *notes,
		     size_t *len_r)
{
	unsigned seen = 0;
	size_t len;
	char *out;

	while (n > 0 && tap_is_space(s[n - 1]))
		n--;
	while (n > 0 && tap_is_space(*s)) {
		s++;
		n--;
	}
	for (size_t i = 0; i < n; i++)
		seen |= byte_class[(unsigned char)s[i]];
	if (seen & B_SPECIAL) {
		out = clean_slowly(a, s, n, flags, notes, &len);
	} else {
		out = tap_arena_strndup(a, s, n);
		len = n;
		if (out && (seen & B_UPPER) && (flags & TAP_TEXT_LOWER))
			for (size_t i = 0; i < n; i++)
				if (out[i] >= 'A' && out[i] <= 'Z')
					out[i] = (char)(out[i] | 0x20);
	}
	if (len_r && out)
		*len_r = len;
	return out;
}
