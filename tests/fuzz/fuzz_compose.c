/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: the composer of mails. The input is cut at NUL bytes into sender, recipient, subject, file name, text and contents. Whatever it is:
 * no line is longer than 78 octets, no octet beyond printable ASCII, TAB and CRLF comes out, and the header has exactly its fields. */
#include "outputs/compose.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS = 6, MOST = 64 * 1024 };

static void need(int ok)
{
	if (!ok)
		abort();
}

static void lines(const char *s, size_t n)
{
	size_t column = 0;

	need(n >= 2 && s[n - 1] == '\n');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\r') {
			need(i + 1 < n && s[i + 1] == '\n');
		} else if (c == '\n') {
			need(i > 0 && s[i - 1] == '\r');
			column = 0;
		} else {
			need((c >= 0x20 && c < 0x7F) || c == '\t');
			need(++column <= 78);
		}
	}
}

static void fields(const char *s)
{
	static const char *const name[] = {"From:",
					   "To:",
					   "Subject:",
					   "Date:",
					   "Message-ID:",
					   "Auto-Submitted:",
					   "X-Auto-Response-Suppress:",
					   "MIME-Version:",
					   "Content-Type:"};

	for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
		need(strncmp(s, name[i], strlen(name[i])) == 0);
		do
			s = strchr(s, '\n') + 1;
		while (*s == ' ');
	}
	need(strncmp(s, "\r\n", 2) == 0 || strncmp(s, "Content-Transfer-Encoding:", 26) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *all, *part[PARTS], *p;
	struct tap_err err = {0};
	struct tap_buf out;

	if (size > MOST)
		return 0;
	all = calloc(1, size + PARTS + 1);
	need(all != NULL);
	if (size > 0)
		memcpy(all, data, size);
	p = all;
	for (size_t i = 0; i < PARTS; i++) {
		part[i] = p;
		p += strlen(p) + 1;
		if (p > all + size + PARTS)
			p = all + size + PARTS;
	}
	const struct tap_list to = {.item = &part[1], .n = 1};
	const struct tap_mail m = {.from = part[0],
				   .to = &to,
				   .subject = part[2],
				   .message_id = "1@example.org",
				   .date = (int64_t)size * 86400 * 30,
				   .text = part[4],
				   .html = size % 2 == 0 ? part[4] : NULL,
				   .file = part[3][0] != '\0' ? part[3] : NULL,
				   .type = "application/zip",
				   .bytes = part[5],
				   .len = strlen(part[5])};

	tap_buf_init(&out, 1 << 20);
	if (tap_mail_compose(&m, &out, &err) == TAP_OK) {
		lines(out.p, out.len);
		fields(tap_buf_cstr(&out));
	}
	tap_buf_free(&out);
	free(all);
	return 0;
}
