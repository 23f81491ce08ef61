/* SPDX-License-Identifier: Apache-2.0
 * outputs/csv_write.c - see csv_write.h. */
#include "outputs/csv_write.h"

#include <string.h>

void tap_row_begin(struct tap_row *w, struct tap_buf *b, const struct tap_csv_style *s)
{
	*w = (struct tap_row){.b = b, .compat4 = s->compat4, .guard = !s->compat4 && !s->unguarded};
}

void tap_row_end(struct tap_row *w)
{
	tap_buf_add(w->b, "\r\n", 2);
}

void tap_cell_begin(struct tap_row *w)
{
	if (w->any)
		tap_buf_addc(w->b, ',');
	w->any = true;
	w->cell = w->b->len;
}

/* Formulas begin with = + - @, also as full-width letters and behind blanks; TAB and CR begin a cell in some programs. */
static bool runs_in_spreadsheet(const char *p, size_t n)
{
	size_t i = 0;

	if (memchr(p, '\t', n) != NULL || memchr(p, '\r', n) != NULL || p[0] == '\n')
		return true;
	while (i < n && (p[i] == ' ' || p[i] == '\n'))
		i++;
	if (i == n)
		return false;
	if (p[i] == '=' || p[i] == '+' || p[i] == '-' || p[i] == '@')
		return true;
	if (n - i < 3 || memcmp(p + i, "\xEF\xBC", 2) != 0)
		return false;
	return strchr("\x9D\x8B\x8D\xA0", p[i + 2]) != NULL; /* U+FF1D FF0B FF0D FF20 */
}

/* Line breaks within a cell, which many readers of rows do not expect. */
static void one_line(struct tap_row *w)
{
	char *p = w->b->p + w->cell, *to = p;
	size_t n = w->b->len - w->cell;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\r' && i + 1 < n && p[i + 1] == '\n')
			continue;
		*to++ = p[i] == '\r' || p[i] == '\n' ? ' ' : p[i];
	}
	w->b->len = (size_t)(to - w->b->p);
}

/* Quotes the n bytes of the cell, doubling the quotes within, from the end backwards. */
static void quote(struct tap_row *w, size_t n, size_t quotes)
{
	char *to, *from;

	if (!tap_buf_reserve(w->b, quotes + 2))
		return;
	from = w->b->p + w->cell + n;
	to = from + quotes + 2;
	w->b->len += quotes + 2;
	*--to = '"';
	while (n-- > 0) {
		*--to = *--from;
		if (*from == '"')
			*--to = '"';
	}
	*--to = '"';
}

static bool prefix(struct tap_row *w)
{
	tap_buf_addc(w->b, ' ');
	if (w->b->failed)
		return false;
	memmove(w->b->p + w->cell + 1, w->b->p + w->cell, w->b->len - w->cell - 1);
	w->b->p[w->cell] = '\'';
	return true;
}

void tap_cell_end(struct tap_row *w)
{
	/* What each byte asks for: 1 quotes, 2 a second quote, 4 only when guarded: separators of other locales. */
	static const unsigned char asks[256] = {
	    ['"'] = 3, [','] = 1, ['\n'] = 1, ['\r'] = 1, [';'] = 4, ['\t'] = 4};
	size_t n, quotes = 0;
	unsigned seen = 0;
	bool run = false;
	const char *p;

	if (w->b->failed || w->b->len == w->cell)
		return;
	if (w->guard && runs_in_spreadsheet(w->b->p + w->cell, w->b->len - w->cell)) {
		run = true;
		if (!prefix(w))
			return;
	}
	if (!w->compat4)
		one_line(w);
	p = w->b->p + w->cell;
	n = w->b->len - w->cell;
	for (size_t i = 0; i < n; i++) {
		unsigned a = asks[(unsigned char)p[i]];

		seen |= a;
		quotes += (a & 2) != 0;
	}
	if (run || (seen & 1) != 0 || (w->guard && seen != 0))
		quote(w, n, quotes);
}

void tap_cell(struct tap_row *w, const char *s)
{
	tap_cell_begin(w);
	if (s != NULL)
		tap_buf_adds(w->b, s);
	tap_cell_end(w);
}

void tap_cell_u64(struct tap_row *w, uint64_t v)
{
	tap_cell_begin(w);
	tap_buf_add_u64(w->b, v);
}

void tap_cell_bool(struct tap_row *w, bool v)
{
	tap_cell(w, v ? "True" : "False");
}

void tap_cells_empty(struct tap_row *w, size_t n)
{
	while (n-- > 0)
		tap_cell(w, NULL);
}

void tap_cell_list(struct tap_row *w, const char *const *s, size_t n, char separator)
{
	tap_cell_begin(w);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			tap_buf_addc(w->b, separator);
		if (s[i] != NULL)
			tap_buf_adds(w->b, s[i]);
	}
	tap_cell_end(w);
}

void tap_cells_source(struct tap_row *w, const struct tap_source_info *s)
{
	tap_cell(w, s->name);
	tap_cell(w, s->type);
	if (s->asn != 0)
		tap_cell_u64(w, s->asn);
	else
		tap_cell(w, NULL);
	tap_cell(w, s->as_name);
	tap_cell(w, s->as_domain);
}

void tap_cells_identity(struct tap_row *w, const struct tap_meta *m, int64_t revision)
{
	tap_cell(w, m->uid);
	tap_cell_u64(w, revision > 0 ? (uint64_t)revision : 1);
	tap_cell(w, tap_shape_auth(m->trust.auth));
	tap_cell_bool(w, m->trust.trusted);
}
