/* SPDX-License-Identifier: Apache-2.0
 * outputs/compose.c - see compose.h. */
#include "outputs/compose.h"

#include "base/clock.h"
#include "base/sha256.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	LINE = 76,	   /* octets, of what is folded or wrapped */
	WORD_BYTES = 45,   /* of text in one encoded word: 60 letters of base64, 72 in all */
	PIECE = 48,	   /* encoded octets of a file name in one parameter */
	BASE64_BYTES = 57, /* in one line */
	MARK_DIGITS = 24
};

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- what may stand in a header ---- */

static bool control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7F)
			return true;
	return false;
}

static bool ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

/* Bytes of the UTF-8 character at s; 0: it is none (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF). */
static size_t character(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = *s < 0x80   ? 1
		   : *s < 0xC2 ? 0
		   : *s < 0xE0 ? 2
		   : *s < 0xF0 ? 3
		   : *s < 0xF5 ? 4
			       : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	if ((*s == 0xE0 && s[1] < 0xA0) || (*s == 0xED && s[1] > 0x9F) ||
	    (*s == 0xF0 && s[1] < 0x90) || (*s == 0xF4 && s[1] > 0x8F))
		return 0;
	return n;
}

static bool utf8(const char *s)
{
	while (*s != '\0') {
		size_t n = character(s);

		if (n == 0)
			return false;
		s += n;
	}
	return true;
}

enum tap_rc tap_mail_line_check(const char *what, const char *s, struct tap_err *err)
{
	if (strlen(s) > TAP_MAIL_NAME)
		return tap_err_set(err, TAP_E_CONFIG, "%s: longer than %d bytes", what,
				   TAP_MAIL_NAME);
	if (control(s))
		return tap_err_set(err, TAP_E_CONFIG,
				   "%s: a line break or another control character", what);
	if (!utf8(s))
		return tap_err_set(err, TAP_E_CONFIG, "%s: not UTF-8", what);
	return TAP_OK;
}

static bool letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Letters and `others`, with single dots between, none at an end. */
static bool dotted(const char *s, size_t n, const char *others)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] == '.' ? i == 0 || i + 1 == n || s[i - 1] == '.'
				: !letter(s[i]) && strchr(others, s[i]) == NULL)
			return false;
	return n > 0;
}

/* RFC 5321's dot-string and domain, without quoted local parts and comments, which nobody has. */
static bool address_ok(const char *s, size_t n)
{
	const char *at = memchr(s, '@', n);
	size_t local = at != NULL ? (size_t)(at - s) : 0;

	/* Never an option of a program. */
	if (at == NULL || s[0] == '-' || local > 64 || n > TAP_MAIL_ADDRESS)
		return false;
	return dotted(s, local, "!#$%&'*+-/=?^_`{|}~") && dotted(at + 1, n - local - 1, "-:[]_");
}

enum tap_rc tap_mail_address(const char *s, char name_r[TAP_MAIL_NAME + 1],
			     char addr_r[TAP_MAIL_ADDRESS + 1], struct tap_err *err)
{
	const char *open = strrchr(s, '<'), *a = s;
	size_t n = strlen(s), name = 0;

	if (tap_mail_line_check("address", s, err) != TAP_OK)
		return TAP_E_CONFIG;
	if (open != NULL && n > 0 && s[n - 1] == '>') {
		a = open + 1;
		n = (size_t)(s + n - 1 - a);
		name = (size_t)(open - s);
		while (name > 0 && s[name - 1] == ' ')
			name--;
		for (; name > 0 && *s == ' '; s++)
			name--;
		if (name >= 2 && s[0] == '"' && s[name - 1] == '"') {
			s++;
			name -= 2;
		}
	}
	if (!address_ok(a, n))
		return tap_err_set(err, TAP_E_CONFIG,
				   "\"%.80s\" is no mail address, nor \"Name <address>\"", a);
	memcpy(name_r, s, name);
	name_r[name] = '\0';
	memcpy(addr_r, a, n);
	addr_r[n] = '\0';
	return TAP_OK;
}

/* ---- header fields ---- */

static void base64(struct tap_buf *out, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16;
		char four[4];

		v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
		v |= i + 2 < n ? (uint32_t)p[i + 2] : 0;
		for (int k = 0; k < 4; k++)
			four[k] = base64_letters[(v >> (18 - 6 * k)) & 63];
		if (i + 2 >= n)
			four[3] = '=';
		if (i + 1 >= n)
			four[2] = '=';
		tap_buf_add(out, four, 4);
	}
}

/* Where the next word of a header line goes: on this line, or on one of its own. */
static void place(struct tap_buf *out, size_t *column, size_t n)
{
	if (*column > 1 && *column + 1 + n > LINE) {
		tap_buf_adds(out, "\r\n ");
		*column = 1;
	} else {
		tap_buf_addc(out, ' ');
		(*column)++;
	}
	*column += n;
}

static void encoded(struct tap_buf *out, const char *s, size_t *column)
{
	/* Each word holds whole characters (RFC 2047 section 5). */
	while (*s != '\0') {
		/* The first word fills up the line that it begins on: some readers take a line end behind the name for a blank. */
		size_t most = WORD_BYTES, cut = 0;

		if (*column + 13 + 24 <= LINE && (LINE - *column - 13) / 4 * 3 < most)
			most = (LINE - *column - 13) / 4 * 3;
		while (s[cut] != '\0' && cut + character(s + cut) <= most)
			cut += character(s + cut);
		place(out, column, 12 + 4 * ((cut + 2) / 3));
		tap_buf_adds(out, "=?UTF-8?B?");
		base64(out, (const unsigned char *)s, cut);
		tap_buf_adds(out, "?=");
		s += cut;
	}
}

/* Words that can stand as they are: one blank between, none too long, nothing that looks encoded. */
static bool plain(const char *s)
{
	size_t word = 0;

	if (!ascii(s) || strstr(s, "=?") != NULL || *s == ' ' || *s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		word = *s == ' ' ? 0 : word + 1;
		if (word > LINE - 12 || (*s == ' ' && (s[1] == ' ' || s[1] == '\0')))
			return false;
	}
	return true;
}

static void words(struct tap_buf *out, const char *s, size_t *column)
{
	while (*s != '\0') {
		size_t n = (size_t)(strchrnul(s, ' ') - s);

		place(out, column, n);
		tap_buf_add(out, s, n);
		s += n + (s[n] == ' ');
	}
}

static void unstructured(struct tap_buf *out, const char *name, const char *s)
{
	size_t column = strlen(name);

	tap_buf_adds(out, name);
	if (plain(s))
		words(out, s, &column);
	else
		encoded(out, s, &column);
	tap_buf_adds(out, "\r\n");
}

/* A name of letters, digits and blanks is written as it is; another one is encoded, so that nothing of it needs quotes. */
static bool atoms(const char *s)
{
	if (!plain(s))
		return false;
	for (; *s != '\0'; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') &&
		    !(*s >= '0' && *s <= '9') && strchr(" -_", *s) == NULL)
			return false;
	return true;
}

static enum tap_rc mailbox(struct tap_buf *out, const char *s, size_t *column, bool more,
			   struct tap_err *err)
{
	char name[TAP_MAIL_NAME + 1] = "", addr[TAP_MAIL_ADDRESS + 1] = "";
	enum tap_rc rc = tap_mail_address(s, name, addr, err);

	if (rc != TAP_OK)
		return rc;
	if (atoms(name))
		words(out, name, column);
	else
		encoded(out, name, column);
	place(out, column, strlen(addr) + 2 + more);
	tap_buf_printf(out, name[0] != '\0' ? "<%s>%s" : "%s%s", addr, more ? "," : "");
	return TAP_OK;
}

static enum tap_rc addresses(struct tap_buf *out, const char *name, const struct tap_list *l,
			     struct tap_err *err)
{
	size_t column = strlen(name);
	enum tap_rc rc = TAP_OK;

	if (l == NULL || l->n == 0)
		return TAP_OK;
	if (l->n > TAP_MAIL_LIST)
		return tap_err_set(err, TAP_E_CONFIG, "more than %d recipients", TAP_MAIL_LIST);
	tap_buf_adds(out, name);
	for (size_t i = 0; rc == TAP_OK && i < l->n; i++)
		rc = mailbox(out, l->item[i], &column, i + 1 < l->n, err);
	tap_buf_adds(out, "\r\n");
	return rc;
}

static void date(struct tap_buf *out, int64_t t)
{
	static const char days[] = "ThuFriSatSunMonTueWed",
			  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tap_date d;
	int64_t day = t >= 0 ? t / 86400 : 0;

	tap_time_utc(t >= 0 ? t : 0, &d);
	tap_buf_printf(out, "Date: %.3s, %d %.3s %04lld %02d:%02d:%02d +0000\r\n",
		       days + 3 * (day % 7), d.day, months + 3 * (d.month - 1), (long long)d.year,
		       d.hour, d.minute, d.second);
}

static bool id_ok(const char *s)
{
	size_t n = strlen(s);

	return n <= 200 && strpbrk(s, "<>()[]\\,;:\" ") == NULL && ascii(s) && !control(s) &&
	       strchr(s, '@') != NULL;
}

/* ---- parts ---- */

/* Where a line ends: LF, CRLF or CR. Its length, and in *skip_r that of the end. */
static size_t line_of(const char *s, size_t *skip_r)
{
	size_t n = strcspn(s, "\r\n");

	*skip_r = s[n] == '\0' ? 0 : s[n] == '\r' && s[n + 1] == '\n' ? 2 : 1;
	return n;
}

static void quoted_line(struct tap_buf *out, const char *s, size_t n)
{
	size_t column = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		bool last = i + 1 == n;
		/* "From " and a lone dot at a line's start mean something to some programs on the way. */
		bool as_is = c >= 0x20 && c < 0x7F && c != '=' && !(c == ' ' && last) &&
			     !(column == 0 && (c == 'F' || c == '.'));

		if (column + (as_is ? 1 : 3) > LINE - 1) {
			tap_buf_adds(out, "=\r\n");
			column = 0;
			as_is = as_is && c != 'F' && c != '.';
		}
		if (as_is)
			tap_buf_addc(out, (char)c);
		else
			tap_buf_printf(out, "=%02X", c);
		column += as_is ? 1 : 3;
	}
	tap_buf_adds(out, "\r\n");
}

static void text_part(struct tap_buf *out, const char *type, const char *s)
{
	size_t skip;

	tap_buf_printf(out,
		       "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: "
		       "quoted-printable\r\n\r\n",
		       type);
	while (*s != '\0') {
		size_t n = line_of(s, &skip);

		quoted_line(out, s, n);
		s += n + skip;
	}
}

static bool file_plain(const char *s)
{
	return ascii(s) && !control(s) && strpbrk(s, "\"\\") == NULL && strlen(s) <= 50;
}

/* RFC 2231: filename*0*=UTF-8''…; filename*1*=… */
static void file_encoded(struct tap_buf *out, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	char piece[PIECE + 4];
	size_t n = 0;

	for (unsigned number = 0; *s != '\0'; number++) {
		for (n = 0; *s != '\0' && n < PIECE; s++) {
			unsigned char c = (unsigned char)*s;

			if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_') {
				piece[n++] = (char)c;
			} else {
				piece[n++] = '%';
				piece[n++] = hex[c >> 4];
				piece[n++] = hex[c & 15];
			}
		}
		tap_buf_printf(out, ";\r\n filename*%u*=%s%.*s", number,
			       number == 0 ? "UTF-8''" : "", (int)n, piece);
	}
}

static void file_part(struct tap_buf *out, const struct tap_mail *m)
{
	const unsigned char *p = m->bytes;

	tap_buf_printf(out, "Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\n", m->type);
	tap_buf_adds(out, "Content-Disposition: attachment");
	if (file_plain(m->file))
		tap_buf_printf(out, "; filename=\"%s\"", m->file);
	else
		file_encoded(out, m->file);
	tap_buf_adds(out, "\r\n\r\n");
	(void)tap_buf_reserve(out, m->len / BASE64_BYTES * 78 + 256);
	for (size_t i = 0; i < m->len && !out->failed; i += BASE64_BYTES) {
		base64(out, p + i, m->len - i < BASE64_BYTES ? m->len - i : BASE64_BYTES);
		tap_buf_adds(out, "\r\n");
	}
}

/* "=_" stands in no line of base64 or quoted-printable, so no part can hold it. */
static void marks(const struct tap_mail *m, char outer[64], char inner[64])
{
	unsigned char sum[TAP_SHA256_BYTES];
	char hex[TAP_SHA256_HEX];
	struct tap_sha256 c;

	tap_sha256_init(&c);
	tap_sha256_update(&c, m->message_id, strlen(m->message_id));
	tap_sha256_final(&c, sum);
	tap_hex(sum, sizeof sum, hex);
	(void)snprintf(outer, 64, "=_m_%.*s", MARK_DIGITS, hex);
	(void)snprintf(inner, 64, "=_a_%.*s", MARK_DIGITS, hex);
}

static void texts(struct tap_buf *out, const struct tap_mail *m, const char *inner)
{
	if (m->html == NULL) {
		text_part(out, "text/plain", m->text);
		return;
	}
	tap_buf_printf(out,
		       "Content-Type: multipart/alternative;\r\n boundary=\"%s\"\r\n\r\n--%s\r\n",
		       inner, inner);
	text_part(out, "text/plain", m->text);
	tap_buf_printf(out, "\r\n--%s\r\n", inner);
	text_part(out, "text/html", m->html);
	tap_buf_printf(out, "\r\n--%s--\r\n", inner);
}

static enum tap_rc check(const struct tap_mail *m, struct tap_err *err)
{
	enum tap_rc rc = tap_mail_line_check("subject", m->subject, err);

	if (rc == TAP_OK && m->file != NULL)
		rc = tap_mail_line_check("attachment", m->file, err);
	if (rc == TAP_OK && !id_ok(m->message_id))
		rc = tap_err_set(err, TAP_E_CONFIG, "no Message-ID can be made of \"%.80s\"",
				 m->message_id);
	return rc;
}

enum tap_rc tap_mail_compose(const struct tap_mail *m, struct tap_buf *out, struct tap_err *err)
{
	const struct tap_list from = {.item = (char *[]){(char *)(uintptr_t)m->from}, .n = 1};
	char outer[64], inner[64];
	enum tap_rc rc = check(m, err);

	if (rc == TAP_OK)
		rc = addresses(out, "From:", &from, err);
	if (rc == TAP_OK)
		rc = addresses(out, "To:", m->to, err);
	if (rc == TAP_OK)
		rc = addresses(out, "Cc:", m->cc, err);
	if (rc != TAP_OK)
		return rc;
	unstructured(out, "Subject:", m->subject);
	date(out, m->date);
	tap_buf_printf(out, "Message-ID: <%s>\r\n", m->message_id);
	tap_buf_adds(out, "Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n"
			  "MIME-Version: 1.0\r\n");
	marks(m, outer, inner);
	if (m->file == NULL) {
		texts(out, m, inner);
	} else {
		tap_buf_printf(out,
			       "Content-Type: multipart/mixed;\r\n boundary=\"%s\"\r\n\r\n--%s\r\n",
			       outer, outer);
		texts(out, m, inner);
		tap_buf_printf(out, "\r\n--%s\r\n", outer);
		file_part(out, m);
		tap_buf_printf(out, "\r\n--%s--\r\n", outer);
	}
	return out->failed
		   ? tap_err_set(err, TAP_E_LIMIT, "the mail is longer than %zu bytes", out->max)
		   : TAP_OK;
}
