/* SPDX-License-Identifier: Apache-2.0
 * daemon/remail.c - see remail.h. */
#include "daemon/remail.h"

#include <string.h>
#include <strings.h>

static size_t line_end(const char *p, size_t n)
{
	const char *eol = memchr(p, '\n', n);

	return eol != NULL ? (size_t)(eol - p) + 1 : n;
}

static bool blank(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != '\r' && p[i] != '\n')
			return false;
	return true;
}

static bool is_field(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && ((p[i] >= 'A' && p[i] <= 'Z') || (p[i] >= 'a' && p[i] <= 'z') ||
			 (p[i] >= '0' && p[i] <= '9') || p[i] == '-' || p[i] == '_'))
		i++;
	while (i > 0 && i < n && (p[i] == ' ' || p[i] == '\t'))
		i++;
	return i > 0 && i < n && p[i] == ':';
}

static bool about_body(const char *p, size_t n)
{
	return (n >= 8 && strncasecmp(p, "content-", 8) == 0) ||
	       (n >= 12 && strncasecmp(p, "mime-version", 12) == 0);
}

/* Does any of the first lines look like a field? A file that came without a mail around has none. */
static bool is_mail(const char *p, size_t n)
{
	static const char bom[] = "\xef\xbb\xbf";

	if (n > 3 && memcmp(p, bom, 3) == 0) {
		p += 3;
		n -= 3;
	}
	for (size_t len; n > 0; p += len, n -= len) {
		len = line_end(p, n);
		if (blank(p, len))
			continue;
		if (len > 5 && memcmp(p, "From ", 5) == 0)
			continue;
		return is_field(p, len);
	}
	return false;
}

static void keep_fields(const char *p, size_t n, struct tap_buf *out)
{
	bool begun = false, skip = false;

	for (size_t len; n > 0; p += len, n -= len) {
		len = line_end(p, n);
		if (blank(p, len)) {
			if (begun)
				return;
			tap_buf_add(out, p, len);
			continue;
		}
		if (!begun || (*p != ' ' && *p != '\t'))
			skip = about_body(p, len);
		begun = true;
		if (skip)
			continue;
		tap_buf_add(out, p, len);
		if (p[len - 1] != '\n')
			tap_buf_adds(out, "\r\n");
	}
}

/* Lines that end with CR alone. To a mail server they are one line, and nothing of them is believed: nor is it behind a blank line. */
static void keep_cr_fields(const char *p, size_t n, struct tap_buf *out)
{
	struct tap_buf lines;
	const char *end = memmem(p, n, "\r\r", 2);
	size_t len = end != NULL ? (size_t)(end - p) : n;

	tap_buf_init(&lines, len + 1);
	tap_buf_add(&lines, p, len);
	for (size_t i = 0; i < lines.len; i++)
		if (lines.p[i] == '\r')
			lines.p[i] = '\n';
	tap_buf_adds(out, "\n");
	keep_fields(lines.p, lines.len, out);
	if (lines.failed)
		out->failed = true;
	tap_buf_free(&lines);
}

static bool plain(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s < ' ' || *s > '~' || *s == '"' || *s == '\\')
			return false;
	return true;
}

void tap_remail_head(const void *headers, size_t n, const char *filename, struct tap_buf *out)
{
	const char *p = headers;
	bool cr = n > 0 && memchr(p, '\n', n) == NULL && memchr(p, '\r', n) != NULL;

	if (n == 0 || !is_mail(p, n))
		return;
	if (cr)
		keep_cr_fields(p, n, out);
	else
		keep_fields(p, n, out);
	tap_buf_adds(out, "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
			  "Content-Transfer-Encoding: binary\r\nContent-Disposition: attachment");
	if (*filename != '\0' && plain(filename))
		tap_buf_printf(out, "; filename=\"%s\"", filename);
	tap_buf_adds(out, "\r\n\r\n");
}
