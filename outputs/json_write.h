/* SPDX-License-Identifier: Apache-2.0
 * outputs/json_write.h - the pen that all JSON forms of reports are written with. Private to outputs/.
 * Speed: a report of 100,000 records is 150 MB of text, so nothing goes through printf: keys are constants whose length the
 * compiler knows, the text grows through a pointer into room that was reserved before, strings are scanned and copied in one go.
 * Ownership: the buffer is the caller's; between open and close its length lags behind. Threads: one user at a time.
 * Limits [I7]: the buffer's maximum; behind it nothing is written and the buffer says failed. RFC 8259. */
#ifndef TAP_OUTPUTS_JSON_WRITE_H
#define TAP_OUTPUTS_JSON_WRITE_H

#include "outputs/encode.h"
#include "outputs/shape.h"

#include <string.h>

enum { TAP_ENC_NEWLINE_MAX = 128, TAP_ENC_NEWLINE_QUICK = 32, TAP_ENC_DEPTHS = 10 };

struct tap_enc {
	struct tap_buf *b;
	char *p, *end;			/* the room that is reserved behind b->len */
	size_t newline[TAP_ENC_DEPTHS]; /* bytes of line break and indent by depth; 0 = compact */
	size_t tight;			/* 1: no blank after a colon */
	bool compat4;
};

void tap_enc_open(struct tap_enc *e, struct tap_buf *b, const struct tap_json_style *s);
void tap_enc_close(struct tap_enc *e);
bool tap_enc_room_slow(struct tap_enc *e, size_t n);
/* A string of n bytes of valid UTF-8, quoted and escaped. */
void tap_enc_string(struct tap_enc *e, const char *s, size_t n);
/* The same of bytes that may be anything: what is no UTF-8 becomes U+FFFD, byte by byte. unix_lines: CRLF becomes LF. */
void tap_enc_lossy(struct tap_enc *e, const void *p, size_t n, bool unix_lines);
void tap_enc_base64(struct tap_enc *e, const void *p, size_t n); /* quoted */

extern const char tap_enc_blanks[TAP_ENC_NEWLINE_MAX + 1];

static inline bool room(struct tap_enc *e, size_t n)
{
	return (size_t)(e->end - e->p) >= n || tap_enc_room_slow(e, n);
}

static inline void put(struct tap_enc *e, const char *s, size_t n)
{
	if (room(e, n)) {
		memcpy(e->p, s, n);
		e->p += n;
	}
}
#define PUT(e, lit) put((e), "" lit, sizeof(lit) - 1)

static inline void newline(struct tap_enc *e, unsigned depth)
{
	size_t n = e->newline[depth];

	if (!room(e, TAP_ENC_NEWLINE_MAX))
		return;
	if (n <= TAP_ENC_NEWLINE_QUICK)
		memcpy(e->p, tap_enc_blanks, TAP_ENC_NEWLINE_QUICK);
	else
		memcpy(e->p, tap_enc_blanks, n);
	e->p += n;
}

/* One key; the constant ends with ": ". */
static inline void key(struct tap_enc *e, unsigned depth, bool comma, const char *lit, size_t n)
{
	if (comma)
		PUT(e, ",");
	newline(e, depth);
	if (room(e, n)) {
		memcpy(e->p, lit, n);
		e->p += n - e->tight;
	}
}
#define KEY1(e, depth, name) key((e), (depth), false, "\"" name "\": ", sizeof(name) + 3)
#define KEY(e, depth, name)  key((e), (depth), true, "\"" name "\": ", sizeof(name) + 3)

static inline void put_string(struct tap_enc *e, const char *s)
{
	if (s == NULL)
		PUT(e, "null");
	else
		tap_enc_string(e, s, strlen(s));
}

static inline void put_u64(struct tap_enc *e, uint64_t v)
{
	char digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	put(e, digits + i, sizeof digits - i);
}

static inline void put_i64(struct tap_enc *e, int64_t v)
{
	if (v < 0)
		PUT(e, "-");
	put_u64(e, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static inline void put_bool(struct tap_enc *e, bool v)
{
	if (v)
		PUT(e, "true");
	else
		PUT(e, "false");
}

/* "" is null in the version 4 form. */
static inline void put_text(struct tap_enc *e, const char *s)
{
	put_string(e, tap_shape_text(s, e->compat4));
}

static inline void close_object(struct tap_enc *e, unsigned depth)
{
	newline(e, depth);
	PUT(e, "}");
}

/* Before item i of a list whose items stand at depth. */
static inline void list_item(struct tap_enc *e, unsigned depth, bool first)
{
	if (!first)
		PUT(e, ",");
	newline(e, depth);
}

/* As Python prints it: an empty list stays on its line. depth is that of the items. */
static inline void list_close(struct tap_enc *e, unsigned depth, bool any)
{
	if (any)
		newline(e, depth - 1);
	PUT(e, "]");
}

static inline void put_strings(struct tap_enc *e, unsigned depth, const char *const *s, size_t n)
{
	PUT(e, "[");
	for (size_t i = 0; i < n; i++) {
		list_item(e, depth, i == 0);
		put_string(e, s[i]);
	}
	list_close(e, depth, n > 0);
}

/* What stands at the end of every report of ours, whatever its kind: from "kind" to "trust". Depth 1. */
void tap_enc_identity(struct tap_enc *e, const struct tap_meta *m, int64_t revision);
void tap_enc_end(struct tap_enc *e, const struct tap_meta *m, const struct tap_report_end *end);
/* The key policy_published of aggregate reports, at depth 1. */
void tap_enc_policy_published(struct tap_enc *e, const struct tap_meta *m);
/* What enrichment knows of an address: from "name" to "as_domain", and the address as sent. */
void tap_enc_source_newer(struct tap_enc *e, unsigned depth, const struct tap_source_info *s,
			  const char *ip_raw);

#endif
