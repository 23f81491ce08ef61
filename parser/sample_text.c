/* SPDX-License-Identifier: Apache-2.0
 * parser/sample_text.c - see sample_text.h. */
#include "parser/sample_text.h"
#include "parser/field.h"
#include "parser/utf8.h"

#include <errno.h>
#include <gmime/gmime.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 32, PIECE = 4096 };

/* Names in lower case with nothing but letters and digits, and what iconv calls them; "" = UTF-8 or what is read like it. The sets
 * are those that the confined parser has loaded; shift states and sets that can name others are few. */
static const struct {
	const char *name, *iconv;
} charsets[] = {
    {"utf8", ""},
    {"usascii", ""},
    {"ascii", ""},
    {"ansix341968", ""},
    {"iso88591", "WINDOWS-1252"},
    {"latin1", "WINDOWS-1252"},
    {"cp1252", "WINDOWS-1252"},
    {"windows1252", "WINDOWS-1252"},
    {"iso88592", "ISO-8859-2"},
    {"latin2", "ISO-8859-2"},
    {"iso88593", "ISO-8859-3"},
    {"iso88594", "ISO-8859-4"},
    {"iso88595", "ISO-8859-5"},
    {"iso88596", "ISO-8859-6"},
    {"iso88597", "ISO-8859-7"},
    {"iso88598", "ISO-8859-8"},
    {"iso88598i", "ISO-8859-8"},
    {"iso88599", "ISO-8859-9"},
    {"iso885910", "ISO-8859-10"},
    {"iso885911", "ISO-8859-11"},
    {"iso885913", "ISO-8859-13"},
    {"iso885914", "ISO-8859-14"},
    {"iso885915", "ISO-8859-15"},
    {"latin9", "ISO-8859-15"},
    {"iso885916", "ISO-8859-16"},
    {"windows1250", "WINDOWS-1250"},
    {"cp1250", "WINDOWS-1250"},
    {"windows1251", "WINDOWS-1251"},
    {"cp1251", "WINDOWS-1251"},
    {"windows1253", "WINDOWS-1253"},
    {"cp1253", "WINDOWS-1253"},
    {"windows1254", "WINDOWS-1254"},
    {"cp1254", "WINDOWS-1254"},
    {"windows1255", "WINDOWS-1255"},
    {"cp1255", "WINDOWS-1255"},
    {"windows1256", "WINDOWS-1256"},
    {"cp1256", "WINDOWS-1256"},
    {"windows1257", "WINDOWS-1257"},
    {"cp1257", "WINDOWS-1257"},
    {"windows1258", "WINDOWS-1258"},
    {"cp1258", "WINDOWS-1258"},
    {"windows874", "WINDOWS-874"},
    {"tis620", "TIS-620"},
    {"utf16", "UTF-16"},
    {"utf16le", "UTF-16LE"},
    {"utf16be", "UTF-16BE"},
    {"utf7", "UTF-7"},
    {"koi8r", "KOI8-R"},
    {"koi8u", "KOI8-U"},
    {"gb2312", "GB18030"},
    {"gbk", "GB18030"},
    {"cp936", "GB18030"},
    {"gb18030", "GB18030"},
    {"big5", "BIG5-HKSCS"},
    {"big5hkscs", "BIG5-HKSCS"},
    {"shiftjis", "CP932"},
    {"sjis", "CP932"},
    {"cp932", "CP932"},
    {"windows31j", "CP932"},
    {"iso2022jp", "ISO-2022-JP"},
    {"eucjp", "EUC-JP"},
    {"euckr", "UHC"},
    {"ksc56011987", "UHC"},
    {"cp949", "UHC"},
    {"iso2022kr", "ISO-2022-KR"},
    {"euctw", "EUC-TW"},
    {"macintosh", "MACINTOSH"},
    {"ibm437", "IBM437"},
    {"cp437", "IBM437"},
    {"ibm850", "IBM850"},
    {"cp850", "IBM850"},
    {"ibm852", "IBM852"},
    {"cp852", "IBM852"},
    {"ibm866", "IBM866"},
    {"cp866", "IBM866"},
};

/* NULL = not in the list. */
static const char *find(const char *name, size_t n)
{
	char plain[NAME_MAX_BYTES] = "";
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if (((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) && len < sizeof plain)
			plain[len++] = c;
	}
	for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++)
		if (strlen(charsets[i].name) == len && memcmp(charsets[i].name, plain, len) == 0)
			return charsets[i].iconv;
	return NULL;
}

/* In pieces, so that a buffer that is full holds the beginning. */
static void add_run(struct tap_buf *out, const char *p, size_t n)
{
	for (size_t k; n > 0 && !out->failed; p += k, n -= k) {
		k = n < PIECE ? n : PIECE;
		tap_buf_add(out, p, k);
	}
}

/* As UTF-8, byte by byte as windows-1252 where it is none. */
static unsigned add_guess(struct tap_buf *out, const char *p, size_t n)
{
	unsigned notes = 0;
	size_t from = 0, i = 0;

	while (i < n && !out->failed) {
		uint32_t cp;
		size_t step = tap_utf8_step((const unsigned char *)p + i, n - i, &cp);
		char c[4];

		if (step > 0) {
			i += step;
			continue;
		}
		add_run(out, p + from, i - from);
		tap_buf_add(out, c, tap_utf8_put(c, tap_cp1252((unsigned char)p[i])));
		from = ++i;
		notes |= TAP_CHARSET_INVALID;
	}
	add_run(out, p + from, n - from);
	return notes;
}

static unsigned add_iconv(struct tap_buf *out, iconv_t cd, const char *p, size_t n)
{
	char piece[PIECE], *in = (char *)(size_t)p;
	unsigned notes = 0;

	while (n > 0 && !out->failed) {
		char *to = piece;
		size_t left = sizeof piece, r = iconv(cd, &in, &n, &to, &left);

		tap_buf_add(out, piece, sizeof piece - left);
		if (r != (size_t)-1 || errno == E2BIG || n == 0)
			continue;
		/* A byte that does not fit, or a character that is cut at the end. */
		notes |= TAP_CHARSET_INVALID;
		tap_buf_adds(out, "\xef\xbf\xbd");
		in++;
		n--;
	}
	if (!out->failed) {
		char *to = piece;
		size_t left = sizeof piece;

		/* Some converters hold a character back until they know what follows. */
		(void)iconv(cd, NULL, NULL, &to, &left);
		tap_buf_add(out, piece, sizeof piece - left);
	}
	return notes;
}

unsigned tap_charset_add(struct tap_buf *out, const char *name, const char *p, size_t n)
{
	const char *set = name && *name ? find(name, strlen(name)) : "";
	unsigned notes;
	iconv_t cd;

	if (set == NULL)
		return add_guess(out, p, n) | TAP_CHARSET_UNKNOWN;
	if (*set == '\0')
		return add_guess(out, p, n);
	cd = g_mime_iconv_open("UTF-8", set);
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): how iconv says that it cannot */
	if (cd == (iconv_t)-1)
		return add_guess(out, p, n) | TAP_CHARSET_UNKNOWN;
	notes = add_iconv(out, cd, p, n);
	g_mime_iconv_close(cd);
	return notes;
}

bool tap_text_is_clean(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		uint32_t cp;
		size_t step = tap_utf8_step((const unsigned char *)p + i, n - i, &cp);

		if (step == 0 || (cp < 0x20 && cp != '\t' && cp != '\n' && cp != '\r') ||
		    (cp >= 0x7f && cp < 0xa0))
			return false;
		i += step;
	}
	return true;
}

/* Does an encoded word name a charset that is not in the list? Then it is left as it stands. */
static bool words_known(const char *s)
{
	for (const char *p = strstr(s, "=?"); p; p = strstr(p, "=?")) {
		size_t n;

		p += 2;
		n = strcspn(p, "?* \t");
		/* "=?charset*language?" is RFC 2231. */
		if (n > 0 && (p[n] == '?' || p[n] == '*') && find(p, n) == NULL)
			return false;
	}
	return true;
}

/* The value without folds as UTF-8, whatever bytes it had. */
static const char *plain_value(struct tap_arena *a, const char *p, size_t n, unsigned *notes)
{
	const char *raw = tap_unfold(a, p, n), *copy;
	struct tap_buf b;

	if (raw == NULL || g_utf8_validate(raw, -1, NULL))
		return raw;
	tap_buf_init(&b, (size_t)4 * TAP_HEADER_TEXT_MAX);
	*notes |= tap_charset_add(&b, NULL, raw, strlen(raw));
	copy = tap_arena_strndup(a, tap_buf_cstr(&b), b.len);
	tap_buf_free(&b);
	return copy;
}

/* An encoded word that is called ISO-8859-1 and holds windows-1252, as in bodies: its quotes would be control characters. */
static const char *without_c1(struct tap_arena *a, const char *s)
{
	struct tap_buf b;
	const char *from = s, *p, *out;

	if (strchr(s, 0xc2) == NULL)
		return s;
	tap_buf_init(&b, (size_t)6 * TAP_HEADER_TEXT_MAX);
	for (p = s; (p = strchr(p, 0xc2)) != NULL; p++) {
		unsigned char c = (unsigned char)p[1];
		char put[4];

		if (c < 0x80 || c > 0x9f)
			continue;
		tap_buf_add(&b, from, (size_t)(p - from));
		tap_buf_add(&b, put, tap_utf8_put(put, tap_cp1252(c)));
		from = p + 2;
	}
	tap_buf_adds(&b, from);
	out = b.failed ? s : tap_arena_strndup(a, tap_buf_cstr(&b), b.len);
	tap_buf_free(&b);
	return out;
}

const char *tap_header_text(struct tap_arena *a, const char *p, size_t n, unsigned *notes)
{
	unsigned seen = 0;
	const char *value;
	char *decoded = NULL, *out;

	if (n > TAP_HEADER_TEXT_MAX)
		n = tap_utf8_cut(p, n, TAP_HEADER_TEXT_MAX);
	value = plain_value(a, p, n, notes);
	if (value == NULL)
		return NULL;
	if (strstr(value, "=?") && !words_known(value))
		*notes |= TAP_CHARSET_UNKNOWN;
	else if (strstr(value, "=?"))
		decoded = g_mime_utils_header_decode_text(NULL, value);
	if (decoded)
		value = without_c1(a, decoded);
	if (value == NULL) {
		g_free(decoded);
		return NULL;
	}
	out = tap_text_clean(a, value, strnlen(value, (size_t)4 * TAP_HEADER_TEXT_MAX), 0, &seen,
			     NULL);
	if (seen & TAP_TEXT_REPAIRED)
		*notes |= TAP_CHARSET_INVALID;
	g_free(decoded);
	for (char *c = out; c && *c; c++)
		if (*c == '\n')
			*c = ' ';
	return out;
}
