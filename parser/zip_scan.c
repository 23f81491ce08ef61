/* SPDX-License-Identifier: Apache-2.0
 * parser/zip_scan.c - see zip_scan.h. */
#include "parser/zip_scan.h"
#include <string.h>

enum { HEADER = 30, PIECE = 16384, SIZES_FOLLOW = 8, ENCRYPTED = 1 };

void tap_zip_scan_init(struct tap_zip_scan *s, const struct tap_source *src)
{
	s->src = src;
	s->at = 0;
}

static unsigned two(const unsigned char *p)
{
	return (unsigned)(p[0] | p[1] << 8);
}

static uint64_t four(const unsigned char *p)
{
	return two(p) | (uint64_t)two(p + 2) << 16;
}

/* n bytes from `at`, or fewer at the end of the source. */
static enum tap_rc bytes_at(const struct tap_source *src, uint64_t at, unsigned char *p, size_t n,
			    size_t *got_r, struct tap_err *err)
{
	struct tap_range range;

	tap_range_init(&range, src, at, at + n);
	return tap_stream_fill(&range.base, p, n, got_r, err);
}

enum tap_rc tap_zip_scan_find(const struct tap_source *src, uint64_t at, uint64_t *at_r,
			      struct tap_err *err)
{
	unsigned char piece[PIECE];
	const unsigned char *p;
	size_t got;
	enum tap_rc rc;

	for (;;) {
		rc = bytes_at(src, at, piece, sizeof piece, &got, err);
		if (rc != TAP_OK)
			return rc;
		p = got < HEADER ? NULL : memmem(piece, got, "PK\3\4", 4);
		*at_r = p ? at + (uint64_t)(p - piece) : src->size;
		if (p || got < sizeof piece)
			return TAP_OK;
		at += got - 3; /* it may lie across two pieces */
	}
}

enum tap_rc tap_zip_scan_next(struct tap_zip_scan *s, struct tap_zip_local *m, bool *found_r,
			      struct tap_err *err)
{
	unsigned char h[HEADER], raw[TAP_NAME_MAX + 1] = "";
	uint64_t at, next, packed;
	size_t got = 0, name;
	enum tap_rc rc = tap_zip_scan_find(s->src, s->at, &at, err);

	*found_r = false;
	if (rc == TAP_OK)
		rc = bytes_at(s->src, at, h, sizeof h, &got, err);
	if (rc != TAP_OK || got < sizeof h)
		return rc;
	name = two(h + 26);
	m->from = at + HEADER + name + two(h + 28);
	m->method = two(h + 8);
	m->encrypted = (h[6] & ENCRYPTED) != 0;
	rc = bytes_at(s->src, at + HEADER, raw, name < TAP_NAME_MAX ? name : TAP_NAME_MAX, &got,
		      err);
	if (rc != TAP_OK || m->from >= s->src->size)
		return rc;
	raw[got] = '\0';
	tap_clean_name((const char *)raw, m->name);
	packed = h[6] & SIZES_FOLLOW ? 0 : four(h + 18);
	if (packed > s->src->size - m->from)
		packed = s->src->size - m->from;
	rc = tap_zip_scan_find(s->src, m->from + packed, &next, err);
	if (rc != TAP_OK)
		return rc;
	m->to = packed > 0 ? m->from + packed : next;
	s->at = next;
	*found_r = true;
	return TAP_OK;
}
