/* SPDX-License-Identifier: Apache-2.0
 * daemon/sidecar.c - writing and reading of quarantine/<id>.json. Threads: no shared state. */
#include "daemon/sidecar.h"

#include "base/clock.h"
#include "outputs/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The texts of the file, in its order. */
static const struct {
	const char *key;
	size_t offset, size;
} texts[] = {
    {"id", offsetof(struct tap_sidecar, id), sizeof(((struct tap_sidecar *)0)->id)},
    {"verdict", offsetof(struct tap_sidecar, verdict), sizeof(((struct tap_sidecar *)0)->verdict)},
    {"reason", offsetof(struct tap_sidecar, reason), sizeof(((struct tap_sidecar *)0)->reason)},
    {"door", offsetof(struct tap_sidecar, door), sizeof(((struct tap_sidecar *)0)->door)},
    {"sender", offsetof(struct tap_sidecar, sender), sizeof(((struct tap_sidecar *)0)->sender)},
    {"recipients", offsetof(struct tap_sidecar, recipients),
     sizeof(((struct tap_sidecar *)0)->recipients)},
    {"client", offsetof(struct tap_sidecar, client), sizeof(((struct tap_sidecar *)0)->client)},
    {"queue_id", offsetof(struct tap_sidecar, queue_id),
     sizeof(((struct tap_sidecar *)0)->queue_id)},
};

void tap_sidecar_write(const struct tap_sidecar *s, struct tap_buf *out)
{
	char when[32];

	tap_buf_adds(out, "{\n");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		tap_buf_printf(out, "  \"%s\": ", texts[i].key);
		tap_json_string(out, (const char *)s + texts[i].offset);
		tap_buf_adds(out, ",\n");
	}
	tap_time_rfc3339(s->when, when, sizeof(when));
	tap_buf_printf(
	    out, "  \"when\": \"%s\",\n  \"when_seconds\": %lld,\n  \"arrival_seconds\": %lld\n}\n",
	    when, (long long)s->when, (long long)s->arrival);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape behind the backslash at p; gives how many bytes it took, 0 = none of ours. The writer escapes only ASCII so. */
static size_t unescape(const char *p, size_t n, char *c_r)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	int v = 0;

	if (n == 0)
		return 0;
	at = p[0] != '\0' ? strchr(from, p[0]) : NULL;
	if (at != NULL) {
		*c_r = to[at - from];
		return 1;
	}
	if (p[0] != 'u' || n < 5)
		return 0;
	for (int i = 1; i <= 4; i++) {
		int d = hex_digit(p[i]);

		if (d < 0)
			return 0;
		v = v * 16 + d;
	}
	*c_r = v > 0 && v < 128 ? (char)v : '?';
	return 5;
}

/* A JSON string at p (behind its opening quote) into out, cut when it is too long. */
static void read_text(const char *p, size_t n, char *out, size_t room)
{
	size_t o = 0;

	for (size_t i = 0; i < n && p[i] != '"' && o + 1 < room; i++) {
		char c = p[i];

		if (c == '\\')
			i += unescape(p + i + 1, n - i - 1, &c);
		out[o++] = c;
	}
	out[o] = '\0';
}

static void read_line(const char *p, size_t n, struct tap_sidecar *s)
{
	char number[24];
	const char *colon;
	size_t key;

	if (n < 4 || memcmp(p, "  \"", 3) != 0)
		return;
	p += 3;
	n -= 3;
	colon = memmem(p, n, "\": ", 3);
	if (colon == NULL)
		return;
	key = (size_t)(colon - p);
	colon += 3;
	n -= key + 3;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strlen(texts[i].key) == key && memcmp(texts[i].key, p, key) == 0 && n > 0 &&
		    *colon == '"')
			read_text(colon + 1, n - 1, (char *)s + texts[i].offset, texts[i].size);
	(void)snprintf(number, sizeof(number), "%.*s", (int)(n < 20 ? n : 20), colon);
	if (key == 12 && memcmp(p, "when_seconds", 12) == 0)
		s->when = strtoll(number, NULL, 10);
	if (key == 15 && memcmp(p, "arrival_seconds", 15) == 0)
		s->arrival = strtoll(number, NULL, 10);
}

enum tap_rc tap_sidecar_read(const char *p, size_t n, struct tap_sidecar *s, struct tap_err *err)
{
	memset(s, 0, sizeof(*s));
	if (n == 0 || p[0] != '{')
		return tap_err_set(err, TAP_E_DATA, "this is not a file of the quarantine");
	while (n > 0) {
		const char *end = memchr(p, '\n', n);
		size_t line = end != NULL ? (size_t)(end - p) : n;

		read_line(p, line, s);
		p += line + (end != NULL);
		n -= line + (end != NULL);
	}
	return s->verdict[0] != '\0'
		   ? TAP_OK
		   : tap_err_set(err, TAP_E_DATA, "this is not a file of the quarantine");
}
