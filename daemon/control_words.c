/* SPDX-License-Identifier: Apache-2.0
 * daemon/control_words.c - the words of a command line of the control socket. Threads: no shared state. */
#include "daemon/control.h"

#include <string.h>

static bool plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("-_.:/@+,", c) != NULL);
}

static void add_coded(struct tap_buf *line, const char *text)
{
	for (; *text != '\0'; text++) {
		if (plain(*text))
			tap_buf_addc(line, *text);
		else
			tap_buf_printf(line, "%%%02x", (unsigned)(unsigned char)*text);
	}
}

void tap_control_word(struct tap_buf *line, const char *word)
{
	if (line->len > 0)
		tap_buf_addc(line, ' ');
	add_coded(line, word);
}

void tap_control_set(struct tap_buf *line, const char *key, const char *value)
{
	tap_control_word(line, key);
	tap_buf_addc(line, '=');
	add_coded(line, value);
}

static int hex(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* n coded bytes into out; false: they do not fit, or are not what add_coded writes. */
static bool decode(const char *p, size_t n, char *out, size_t room)
{
	size_t o = 0;

	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (c == '%') {
			int high = n - i > 2 ? hex(p[i + 1]) : -1,
			    low = n - i > 2 ? hex(p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0' || o + 1 >= room)
			return false;
		out[o++] = c;
	}
	out[o] = '\0';
	return true;
}

bool tap_control_next(const char **args, char *word, size_t room)
{
	const char *p = *args;

	word[0] = '\0';
	for (;;) {
		size_t n;

		p += strspn(p, " ");
		n = strcspn(p, " ");
		*args = p + n;
		if (n == 0)
			return false;
		if (memchr(p, '=', n) == NULL)
			return decode(p, n, word, room);
		p += n;
	}
}

bool tap_control_get(const char *args, const char *key, char *value, size_t room)
{
	size_t want = strlen(key);

	value[0] = '\0';
	for (const char *p = args; *p != '\0';) {
		size_t n;

		p += strspn(p, " ");
		n = strcspn(p, " ");
		if (n > want && strncmp(p, key, want) == 0 && p[want] == '=')
			return decode(p + want + 1, n - want - 1, value, room);
		p += n;
	}
	return false;
}
