/* SPDX-License-Identifier: Apache-2.0
 * base/log_text.c - see log_text.h. Nothing that a reader's terminal or a log's parser could take for
 * more than text gets through: control characters, invalid UTF-8, and the characters of Unicode that
 * break lines, turn the direction of writing or cannot be seen. */
#include "base/log_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct out {
	char *p;
	size_t len, size;
	bool full;
};

static void add(struct out *o, const char *p, size_t n)
{
	if (o->full || n > o->size - o->len) {
		o->full = true;
		return;
	}
	memcpy(o->p + o->len, p, n);
	o->len += n;
}

static void adds(struct out *o, const char *s)
{
	add(o, s, strlen(s));
}

/* Reads one character of UTF-8; 0 when it is none, else its length. */
static size_t utf8(const unsigned char *s, uint32_t *c_r)
{
	size_t n = s[0] >= 0xf0 && s[0] < 0xf5	 ? 4
		   : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
						 : 0;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

	if (n == 0)
		return 0;
	uint32_t c = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) /* the closing NUL stops here too */
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*c_r = c;
	return n;
}

static bool deceives(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} bad[] = {
	    {0x80, 0x9f},     {0xad, 0xad},	  {0x61c, 0x61c},   {0x180e, 0x180e},
	    {0x200b, 0x200f}, {0x2028, 0x202e},	  {0x2060, 0x206f}, {0xfeff, 0xfeff},
	    {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (c >= bad[i].from && c <= bad[i].to)
			return true;
	}
	return false;
}

/* The printed form of the character at s in piece; returns how many bytes of s it stands for. */
static size_t escape(const unsigned char *s, bool quoted, char piece[16])
{
	static const char plain[] = "\n\r\t", letter[] = "nrt";
	uint32_t c = *s;
	const char *at = strchr(plain, (int)c);

	if (at) {
		snprintf(piece, 16, "\\%c", letter[at - plain]);
	} else if (c < 0x20 || c == 0x7f) {
		snprintf(piece, 16, "\\x%02x", (unsigned)c);
	} else if (quoted && (c == '"' || c == '\\')) {
		snprintf(piece, 16, "\\%c", (char)c);
	} else if (c < 0x80) {
		piece[0] = (char)c;
		piece[1] = '\0';
	} else {
		size_t n = utf8(s, &c);
		if (n == 0) {
			snprintf(piece, 16, "\\x%02x", *s);
			return 1;
		}
		if (deceives(c)) {
			snprintf(piece, 16, "\\u{%x}", (unsigned)c);
		} else {
			memcpy(piece, s, n);
			piece[n] = '\0';
		}
		return n;
	}
	return 1;
}

/* s, made harmless, in at most max bytes. */
static void add_clean(struct out *o, const char *s, bool quoted, size_t max)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t used = 0;

	while (*p) {
		char piece[16];
		p += escape(p, quoted, piece);
		size_t n = strlen(piece);
		/* Room is kept for the dots while more follows. */
		if (used + n > max - (*p ? 3 : 0)) {
			adds(o, "...");
			return;
		}
		add(o, piece, n);
		used += n;
	}
}

static bool needs_quotes(const char *s)
{
	return *s == '\0' || strpbrk(s, " \"\\=\t\n\r") != NULL;
}

static void add_pair(struct out *o, const struct tap_log_field *f)
{
	bool quoted = needs_quotes(f->value);

	adds(o, " ");
	adds(o, f->key);
	adds(o, quoted ? "=\"" : "=");
	add_clean(o, f->value, quoted, TAP_LOG_VALUE_MAX);
	if (quoted)
		adds(o, "\"");
}

size_t tap_log_text_line(const struct tap_log_line *l, const char *head, const char *level,
			 char *out, size_t size)
{
	struct out o = {.p = out, .size = size - 1}; /* the end of the line always fits */

	adds(&o, head);
	adds(&o, level);
	adds(&o, " ");
	adds(&o, l->component);
	adds(&o, ": ");
	add_clean(&o, l->text, false, TAP_LOG_TEXT_MAX);
	for (const struct tap_log_field *f = l->fields; f && f->key; f++) {
		if (f->value)
			add_pair(&o, f);
	}
	out[o.len++] = '\n';
	return o.len;
}

/* Clean text has no line break, so that the short form of the protocol, NAME=value, always serves. */
static void journal_field(struct out *o, const char *name, const char *value, size_t max)
{
	struct out before = *o;

	adds(o, name);
	adds(o, "=");
	add_clean(o, value, false, max);
	adds(o, "\n");
	if (o->full) { /* half a field would spoil the datagram */
		*o = before;
		o->full = true;
	}
}

static void journal_key(const char *key, char name[64])
{
	size_t n = 4;

	memcpy(name, "TAP_", 4);
	for (; *key && n < 63; key++) {
		char c = *key;
		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		bool fits = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		name[n++] = fits ? c : '_';
	}
	name[n] = '\0';
}

size_t tap_log_text_journal(const struct tap_log_line *l, const char *ident, int priority,
			    char *out, size_t size)
{
	struct out o = {.p = out, .size = size};
	char digit[4], message[TAP_LOG_LINE_MAX];
	/* MESSAGE carries the pairs too, so that plain journalctl shows them. */
	size_t n = tap_log_text_line(l, "", "", message, sizeof message - 1);

	message[n - 1] = '\0';
	snprintf(digit, sizeof digit, "%d", priority);
	adds(&o, "MESSAGE=");
	adds(&o, message + 1); /* behind the blank of the missing level */
	adds(&o, "\n");
	journal_field(&o, "PRIORITY", digit, 4);
	journal_field(&o, "SYSLOG_IDENTIFIER", ident, TAP_LOG_VALUE_MAX);
	journal_field(&o, "TAP_COMPONENT", l->component, TAP_LOG_VALUE_MAX);
	for (const struct tap_log_field *f = l->fields; f && f->key; f++) {
		char name[64];
		if (!f->value)
			continue;
		journal_key(f->key, name);
		journal_field(&o, name, f->value, TAP_LOG_VALUE_MAX);
	}
	return o.len;
}
