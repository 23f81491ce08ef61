/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/mutate_xml.c - see mutate.h: documents of elements. */
#include "mutate.h"

#include <string.h>

struct element {
	size_t from, to;	/* with its tags */
	size_t inner, inner_to; /* between them */
	size_t name_n;		/* the name stands at from + 1 */
};

static const char *const values[] = {
    "",
    "0",
    "-1",
    "1.0",
    "1,234",
    "9223372036854775807",
    "18446744073709551616",
    "1780272000000",
    "2026-06-01T00:00:00Z",
    "192.0.2.1:25",
    "[2001:db8::1]",
    "::ffff:192.0.2.1",
    "fe80::1%eth0",
    "010.0.0.1",
    "Pass",
    "hardfail",
    "fail (bad)",
    "arc=pass as[1].d=a.example",
    "<>",
    "a@b.example",
    "EXAMPLE.com.",
    "&amp;&#65;&#x42;",
    "&nbsp;&",
    "<![CDATA[x]]>",
    "\xff\xc3",
    "\x01\x02",
    " \n ",
    "<a@b>",
};
static const char *const names[] = {
    "feedback",
    "record",
    "row",
    "count",
    "source_ip",
    "report_metadata",
    "policy_published",
    "reason",
    "type",
    "identifiers",
    "identities",
    "spf",
    "dkim",
    "auth_results",
    "domain",
    "date_range",
    "begin",
    "report_id",
    "extension",
    "x:row",
    "FEEDBACK",
};
static const char *const pieces[] = {
    "<!-- - -->",
    "<![CDATA[",
    "]]>",
    "<?xml version='1.0'?>",
    "<feedback>",
    "</feedback>",
    "<record/>",
    "</row>",
    "<",
    "&",
    "&#0;",
    "<!DOCTYPE feedback>",
    "\xef\xbb\xbf",
    "x",
    "<extension>",
    "<a b='c' b='d'>",
};
#define PICK(m, table) ((table)[mutate_below(m, sizeof(table) / sizeof((table)[0]))])

static int is_name(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == ':' || c == '-';
}

/* The end of the element whose start tag ends at `at`: looks for end tags of its name. 0 = it has none. */
static size_t find_end(const uint8_t *p, size_t n, const uint8_t *name, size_t name_n, size_t at,
		       size_t *inner_to)
{
	unsigned open = 1;

	for (; at + name_n + 2 < n; at++) {
		int is_end;

		if (p[at] != '<')
			continue;
		is_end = p[at + 1] == '/';
		if (memcmp(p + at + 1 + is_end, name, name_n) != 0 ||
		    is_name(p[at + 1 + (size_t)is_end + name_n]))
			continue;
		if (!is_end) {
			open++;
		} else if (--open == 0) {
			const uint8_t *close = memchr(p + at, '>', n - at);

			*inner_to = at;
			return close ? (size_t)(close - p) + 1 : 0;
		}
	}
	return 0;
}

/* An element that begins behind a place chosen by chance. */
static int pick(struct mutate *m, const uint8_t *p, size_t n, struct element *e)
{
	for (int tries = 0; tries < 8; tries++) {
		size_t at = mutate_below(m, n);
		const uint8_t *close;

		while (at + 2 < n && !(p[at] == '<' && is_name(p[at + 1])))
			at++;
		if (at + 2 >= n)
			continue;
		e->from = at;
		for (e->name_n = 0; at + 1 + e->name_n < n && is_name(p[at + 1 + e->name_n]);)
			e->name_n++;
		close = memchr(p + at, '>', n - at);
		if (!close)
			continue;
		e->inner = (size_t)(close - p) + 1;
		e->to = e->inner_to = e->inner;
		if (close[-1] != '/')
			e->to = find_end(p, n, p + e->from + 1, e->name_n, e->inner, &e->inner_to);
		if (e->to > 0)
			return 1;
	}
	return 0;
}

static size_t put(uint8_t *p, size_t n, size_t max, size_t at, size_t old, const char *t)
{
	return mutate_splice(p, n, max, at, old, t, strlen(t));
}

/* The two elements change places. */
static size_t swap(uint8_t *p, size_t n, size_t max, struct element a, struct element b)
{
	size_t before = n;

	if (a.from > b.from) {
		struct element t = a;

		a = b;
		b = t;
	}
	if (a.to > b.from)
		return n;
	n = mutate_splice(p, n, max, b.to, 0, p + a.from, a.to - a.from);
	if (n == before)
		return n;
	n = mutate_splice(p, n, max, a.to, 0, p + b.from, b.to - b.from);
	if (n != before + (a.to - a.from) + (b.to - b.from))
		return n;
	n = mutate_splice(p, n, max, b.from + (b.to - b.from), b.to - b.from, "", 0);
	return mutate_splice(p, n, max, a.from, a.to - a.from, "", 0);
}

static size_t wrap(struct mutate *m, uint8_t *p, size_t n, size_t max, const struct element *e)
{
	const char *name = PICK(m, names);
	size_t len = strlen(name);
	char tag[40] = "</";

	memcpy(tag + 2, name, len);
	memcpy(tag + 2 + len, ">", 2);
	n = put(p, n, max, e->to, 0, tag);
	tag[1] = '<';
	return put(p, n, max, e->from, 0, tag + 1);
}

static size_t rename_it(struct mutate *m, uint8_t *p, size_t n, size_t max, const struct element *e)
{
	const char *name = PICK(m, names);

	if (e->to > e->inner)
		n = put(p, n, max, e->inner_to + 2, e->name_n, name);
	return put(p, n, max, e->from + 1, e->name_n, name);
}

size_t mutate_xml(struct mutate *m, uint8_t *p, size_t n, size_t max)
{
	struct element e, other;

	if (n < 4 || !pick(m, p, n, &e))
		return mutate_bytes(m, (enum mutate_kind)mutate_below(m, MUTATE_KINDS), p, n, max);
	switch (mutate_below(m, 10)) {
	case 0: return mutate_splice(p, n, max, e.to, 0, p + e.from, e.to - e.from);
	case 1: return mutate_splice(p, n, max, e.from, e.to - e.from, "", 0);
	case 2: return pick(m, p, n, &other) ? swap(p, n, max, e, other) : n;
	case 3:
	case 4: return put(p, n, max, e.inner, e.inner_to - e.inner, PICK(m, values));
	case 5: return rename_it(m, p, n, max, &e);
	case 6: return wrap(m, p, n, max, &e);
	case 7: return put(p, n, max, mutate_below(m, 2) ? e.inner : e.to, 0, PICK(m, pieces));
	case 8:
		return mutate_splice(p, n, max, e.inner_to, e.to - e.inner_to, "",
				     0); /* no end tag */
	default: return mutate_splice(p, n, max, mutate_below(m, n), 0, p + e.from, e.to - e.from);
	}
}
