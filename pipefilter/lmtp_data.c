/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_data.c - see lmtp_data.h. A dot at the beginning of a line is held back until the bytes behind it say what it is. */
#include "pipefilter/lmtp_data.h"

#include <string.h>

void tap_lmtp_data_begin(struct tap_lmtp_data *d, bool dots)
{
	d->at = TAP_LMTP_AT_LINE;
	d->cr = false;
	d->dots = dots;
}

/* Small pieces go out together: a message of nothing but line ends would otherwise cost a call for each of its bytes. */
enum { GATHER = 2048 };
struct gathered {
	size_t n;
	char p[GATHER];
};

static void let_go(struct tap_lmtp_data *d, struct gathered *g)
{
	if (g->n > 0)
		d->out(d->ctx, g->p, g->n);
	g->n = 0;
}

static void give(struct tap_lmtp_data *d, struct gathered *g, const char *p, size_t n)
{
	if (n > sizeof(g->p) - g->n)
		let_go(d, g);
	if (n >= sizeof(g->p)) {
		d->out(d->ctx, p, n);
	} else if (n > 0) {
		memcpy(g->p + g->n, p, n);
		g->n += n;
	}
}

/* Text up to the next beginning of a line that has a dot, or to the end; returns the bytes read. */
static size_t text(struct tap_lmtp_data *d, struct gathered *g, const char *p, size_t n)
{
	size_t from = 0, i = 0;
	const char *lf;

	while (i < n && (lf = memchr(p + i, '\n', n - i))) {
		size_t at = (size_t)(lf - p);
		bool cr = at > i ? p[at - 1] == '\r' : d->cr;

		i = at + 1;
		d->cr = false;
		if (!cr) {
			give(d, g, p + from, at - from);
			give(d, g, "\r\n", 2);
			from = i;
		} else if (d->dots && (i == n || p[i] == '.')) {
			d->at = TAP_LMTP_AT_LINE;
			give(d, g, p + from, i - from);
			return i;
		}
	}
	if (i < n)
		d->cr = p[n - 1] == '\r';
	d->at = TAP_LMTP_AT_TEXT;
	give(d, g, p + from, n - from);
	return n;
}

static size_t feed(struct tap_lmtp_data *d, struct gathered *g, const char *p, size_t n,
		   bool *end_r)
{
	size_t i = 0;

	while (i < n) {
		switch (d->at) {
		case TAP_LMTP_AT_LINE:
			if (d->dots && p[i] == '.') {
				d->at = TAP_LMTP_AT_DOT;
				i++;
			} else {
				i += text(d, g, p + i, n - i);
			}
			break;
		case TAP_LMTP_AT_DOT: /* the dot is gone, whatever comes */
			if (p[i] == '\r') {
				d->at = TAP_LMTP_AT_DOT_CR;
				i++;
			} else {
				i += text(d, g, p + i, n - i);
			}
			break;
		case TAP_LMTP_AT_DOT_CR:
			if (p[i] == '\n') {
				*end_r = true;
				return i + 1;
			}
			give(d, g, "\r", 1);
			d->cr = true;
			i += text(d, g, p + i, n - i);
			break;
		case TAP_LMTP_AT_TEXT:
		default: i += text(d, g, p + i, n - i); break;
		}
	}
	return n;
}

size_t tap_lmtp_data_feed(struct tap_lmtp_data *d, const char *p, size_t n, bool *end_r)
{
	struct gathered g;
	size_t used;

	g.n = 0;
	*end_r = false;
	used = feed(d, &g, p, n, end_r);
	let_go(d, &g);
	return used;
}
