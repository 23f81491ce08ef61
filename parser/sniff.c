/* SPDX-License-Identifier: Apache-2.0
 * parser/sniff.c - see sniff.h. */
#include "parser/sniff.h"
#include <string.h>
#include <strings.h>

/* What can wrap a report but is not read; the first bytes of each. */
static const struct {
	const char *magic;
	size_t n;
	const char *name;
} packed[] = {
    {"BZh", 3, "bzip2"},
    {"\xfd"
     "7zXZ",
     5, "xz"},
    {"\x28\xb5\x2f\xfd", 4, "zstd"},
    {"7z\xbc\xaf\x27\x1c", 6, "7-Zip"},
    {"Rar!\x1a\x07", 6, "RAR"},
    {"\x78\x9f\x3e\x22", 4, "TNEF (winmail.dat)"},
};

static bool is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool begins(const unsigned char *p, size_t n, const char *with, size_t len)
{
	return n >= len && memcmp(p, with, len) == 0;
}

static bool begins_word(const unsigned char *p, size_t n, const char *with)
{
	size_t len = strlen(with);

	return n >= len && strncasecmp((const char *)p, with, len) == 0;
}

const char *tap_sniff_packed_name(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
		if (begins(p, n, packed[i].magic, packed[i].n))
			return packed[i].name;
	return "unknown";
}

bool tap_sniff_header_line(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] > ' ' && p[i] < 127 && p[i] != ':')
		i++;
	if (i == 0)
		return false;
	while (i < n && (p[i] == ' ' || p[i] == '\t'))
		i++;
	return i < n && p[i] == ':';
}

size_t tap_sniff_mail_start(const unsigned char *p, size_t n)
{
	size_t i = begins(p, n, "\xef\xbb\xbf", 3) ? 3 : 0;
	size_t line = i;

	for (; i < n && is_blank(p[i]); i++)
		if (p[i] == '\n')
			line = i + 1;
	return line;
}

static bool sniff_mail(const unsigned char *p, size_t n)
{
	const unsigned char *lf;
	size_t i = tap_sniff_mail_start(p, n);

	if (i < n && strchr("<{[", p[i]))
		return false; /* XML and JSON, though a colon may stand behind them */
	if (begins(p + i, n - i, "From ", 5) || begins(p + i, n - i, ">From ", 6)) {
		lf = memchr(p + i, '\n', n - i);
		if (lf == NULL)
			return false;
		i = (size_t)(lf - p) + 1;
	}
	return tap_sniff_header_line((const char *)p + i, n - i);
}

/* Letter case, hyphens and underscores do not make another name. */
static bool same_name(const char *p, size_t n, const char *squeezed)
{
	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (c == '-' || c == '_')
			continue;
		if (*squeezed == '\0' ||
		    (c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c) != *squeezed++)
			return false;
	}
	return *squeezed == '\0';
}

unsigned tap_sniff_tls_members(const unsigned char *p, size_t n)
{
	static const char *const members[] = {"organizationname", "reportid", "policies",
					      "contactinfo", "daterange"};
	enum { N = sizeof members / sizeof *members, LONGEST = 24 };
	const char *s = (const char *)p, *end = s + n, *close;
	unsigned seen = 0, found = 0;

	while (s < end && (s = memchr(s, '"', (size_t)(end - s))) != NULL) {
		s++;
		close = memchr(s, '"', (size_t)(end - s) < LONGEST ? (size_t)(end - s) : LONGEST);
		for (unsigned i = 0; close && i < N; i++)
			if (same_name(s, (size_t)(close - s), members[i]))
				seen |= 1u << i;
	}
	for (unsigned i = 0; i < N; i++)
		found += seen >> i & 1;
	return found;
}

static enum tap_content sniff_json(const unsigned char *p, size_t n)
{
	return tap_sniff_tls_members(p, n) >= 2 ? TAP_CONTENT_TLS_RPT : TAP_CONTENT_JSON;
}

/* A list of objects; what else begins with a bracket is text. */
static bool is_list(const unsigned char *p, size_t n)
{
	size_t i = 1;

	while (i < n && is_blank(p[i]))
		i++;
	return p[0] == '[' && i < n && p[i] == '{';
}

/* The text of a mail may quote or hold a report after some words. */
static bool holds_feedback(const unsigned char *p, size_t n)
{
	return memmem(p, n, "<feedback", 9) != NULL || memmem(p, n, ":feedback", 9) != NULL;
}

static enum tap_content sniff_words(const unsigned char *p, size_t n)
{
	static const char exim[] = "has failed the published DMARC policy";

	if (holds_feedback(p, n))
		return TAP_CONTENT_XML;
	if (memmem(p, n, "\n{", 2) && tap_sniff_tls_members(p, n) >= 2)
		return TAP_CONTENT_TLS_RPT;
	return memmem(p, n, exim, sizeof exim - 1) ? TAP_CONTENT_FAILURE : TAP_CONTENT_OTHER;
}

static enum tap_content sniff_text(const unsigned char *p, size_t n)
{
	size_t i = begins(p, n, "\xef\xbb\xbf", 3) ? 3 : 0;

	while (i < n && (is_blank(p[i]) || p[i] == 0))
		i++;
	if (i == n)
		return TAP_CONTENT_EMPTY;
	if (p[i] == '{' || is_list(p + i, n - i))
		return sniff_json(p + i, n - i);
	if (p[i] != '<')
		return sniff_words(p + i, n - i);
	if ((begins_word(p + i, n - i, "<!doctype html") || begins_word(p + i, n - i, "<html")) &&
	    !holds_feedback(p + i, n - i))
		return TAP_CONTENT_HTML;
	return TAP_CONTENT_XML;
}

/* XML, or JSON, which is told by the bytes that remain without zeros. */
static enum tap_content sniff_utf16(const unsigned char *p, size_t n)
{
	unsigned char ascii[TAP_SNIFF_BYTES / 2];
	size_t k = 0;

	for (size_t i = p[0] >= 0xfe ? 2 : 0; i < n && k < sizeof ascii; i++)
		if (p[i] != 0)
			ascii[k++] = p[i];
	for (size_t i = 0; i < k && (is_blank(ascii[i]) || ascii[i] == '{' || ascii[i] == '['); i++)
		if (!is_blank(ascii[i]))
			return tap_sniff_tls_members(ascii, k) >= 2 ? TAP_CONTENT_TLS_UTF16
								    : TAP_CONTENT_JSON;
	return TAP_CONTENT_XML;
}

static bool is_utf16(const unsigned char *p, size_t n)
{
	return begins(p, n, "\xfe\xff", 2) || begins(p, n, "\xff\xfe", 2) ||
	       begins(p, n, "{\0", 2) || begins(p, n, "\0{", 2) || begins(p, n, "[\0", 2) ||
	       begins(p, n, "\0[", 2);
}

/* POSIX ustar format, and older: bytes 148 to 155 are the sum of the header, in octal. */
static bool is_tar(const unsigned char *p, size_t n)
{
	enum { SUM = 148, SUM_END = 156, HEADER = 512 };
	unsigned sum = 0, said = 0;

	if (n < HEADER || p[0] == 0)
		return false;
	for (size_t i = SUM; i < SUM + 6; i++) {
		if (p[i] == ' ')
			continue;
		if (p[i] < '0' || p[i] > '7')
			return false;
		said = said * 8 + p[i] - '0';
	}
	for (size_t i = 0; i < HEADER; i++)
		sum += i >= SUM && i < SUM_END ? ' ' : p[i];
	return sum == said;
}

/* A SEQUENCE that begins with an object identifier of PKCS #7 or CMS. RFC 5652. */
static bool is_pkcs7(const unsigned char *p, size_t n)
{
	static const char oid[] = "\x2a\x86\x48\x86\xf7\x0d\x01\x07";		/* pkcs7 */
	static const char smime[] = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01"; /* S/MIME types */
	size_t i = 2;

	if (n < 20 || p[0] != 0x30)
		return false;
	if (p[1] > 0x80 && p[1] <= 0x84)
		i += p[1] & 7;
	else if (p[1] > 0x84)
		return false;
	return p[i] == 6 && (begins(p + i + 2, n - i - 2, oid, sizeof oid - 1) ||
			     begins(p + i + 2, n - i - 2, smime, sizeof smime - 1));
}

bool tap_sniff_may_be_deflate(const unsigned char *p, size_t n)
{
	bool binary = false;

	for (size_t i = 0; i < n && i < 16; i++)
		binary |= p[i] >= 0x7f || p[i] < '\t';
	return binary && n >= 16 && (p[0] & 6) != 6 && (p[0] & 6) != 0;
}

static const struct {
	const char *magic;
	size_t n;
	enum tap_content is;
} magics[] = {
    {"\x1f\x8b", 2, TAP_CONTENT_GZIP},
    {"PK\3\4", 4, TAP_CONTENT_ZIP},
    {"PK\5\6", 4, TAP_CONTENT_ZIP_EMPTY},
    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, TAP_CONTENT_OLE2},
};

enum tap_content tap_sniff(const unsigned char *p, size_t n, bool mail_too)
{
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
		if (begins(p, n, magics[i].magic, magics[i].n))
			return magics[i].is;
	if (is_utf16(p, n))
		return sniff_utf16(p, n);
	if (strcmp(tap_sniff_packed_name(p, n), "unknown") != 0)
		return TAP_CONTENT_PACKED;
	/* RFC 1950: method 8, window 32 KiB, and a check that makes the pair a multiple of 31; 0x78 0x5e is also "x^". */
	if (n >= 3 && p[0] == 0x78 && (p[0] * 256 + p[1]) % 31 == 0 &&
	    (p[1] != 0x5e || p[2] >= 0x80 || p[2] < 0x20))
		return TAP_CONTENT_ZLIB;
	if (is_pkcs7(p, n))
		return TAP_CONTENT_PKCS7;
	if (is_tar(p, n))
		return TAP_CONTENT_TAR;
	if (mail_too && sniff_mail(p, n))
		return TAP_CONTENT_MAIL;
	return sniff_text(p, n);
}

static bool digits(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return n > 0 && n <= 20;
}

static bool report_extension(const char *p, size_t n)
{
	static const char *const known[] = {".xml", ".xml.gz",	".gz",	 ".gzip",
					    ".zip", ".xml.zip", ".json", ".json.gz"};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (n == strlen(known[i]) && strncasecmp(p, known[i], n) == 0)
			return true;
	return false;
}

bool tap_sniff_report_name(const char *name)
{
	const char *field[5] = {NULL}, *dot, *slash = strrchr(name, '/');
	size_t len[5] = {0}, n = 0;

	if (slash)
		name = slash + 1;
	for (const char *p = name; n < 5; n++) {
		field[n] = p;
		len[n] = strcspn(p, "!");
		p += len[n];
		if (*p++ == '\0') {
			n++;
			break;
		}
	}
	if (n < 4)
		return false;
	dot = strchr(field[n - 1], '.');
	if (dot == NULL || !report_extension(dot, strlen(dot)))
		return false;
	len[n - 1] = (size_t)(dot - field[n - 1]);
	return len[1] > 0 && digits(field[2], len[2]) && digits(field[3], len[3]);
}

bool tap_sniff_report_subject(const char *subject)
{
	for (const char *p = subject; (p = strcasestr(p, "report")) != NULL; p++) {
		const char *q = p + strlen("report");
		size_t gap = strspn(q, " \t\r\n");

		if (gap > 0 && strncasecmp(q + gap, "domain:", 7) == 0)
			return true;
	}
	return false;
}
