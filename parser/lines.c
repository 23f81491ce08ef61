/* SPDX-License-Identifier: Apache-2.0
 * parser/lines.c - see lines.h. */
#include "parser/lines.h"
#include <string.h>

void tap_lines_init(struct tap_lines *l, const struct tap_source *src, uint64_t from)
{
	if (from > src->size)
		from = src->size;
	l->src = src;
	l->off = from;
	l->pos = l->len = 0;
	l->midline = l->cr = l->ended = false;
	l->p = l->buf;
	if (src->mem) {
		l->p = (const char *)src->mem + from;
		l->len = (size_t)(src->size - from);
		l->ended = true;
	}
}

static enum tap_rc refill(struct tap_lines *l, struct tap_err *err)
{
	size_t left = l->len - l->pos, got;
	enum tap_rc rc;

	memmove(l->buf, l->buf + l->pos, left);
	l->off += l->pos;
	l->pos = 0;
	l->len = left;
	rc = l->src->read_at(l->src, l->off + left, l->buf + left, sizeof l->buf - left, &got, err);
	if (rc != TAP_OK)
		return rc;
	l->len += got;
	l->ended = got == 0;
	return TAP_OK;
}

enum tap_rc tap_lines_next(struct tap_lines *l, struct tap_piece *piece, struct tap_err *err)
{
	const char *lf = NULL, *from;
	size_t seen = 0, span;
	enum tap_rc rc;

	for (;;) {
		from = l->p + l->pos;
		span = l->len - l->pos;
		if (span > TAP_LINES_BUF)
			span = TAP_LINES_BUF;
		if (span > seen)
			lf = memchr(from + seen, '\n', span - seen);
		seen = span;
		if (lf || l->ended || span == TAP_LINES_BUF)
			break;
		rc = refill(l, err);
		if (rc != TAP_OK)
			return rc;
	}
	piece->p = from;
	piece->n = lf ? (size_t)(lf - from) + 1 : seen;
	piece->off = l->off + l->pos;
	piece->starts = !l->midline;
	piece->eol = lf ? 1 : 0;
	if (lf && (lf > from ? lf[-1] == '\r' : l->cr))
		piece->eol = 2;
	l->pos += piece->n;
	l->midline = lf == NULL;
	l->cr = piece->n > 0 && from[piece->n - 1] == '\r';
	return TAP_OK;
}
