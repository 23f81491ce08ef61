/* SPDX-License-Identifier: Apache-2.0
 * parser/received.c - see received.h. */
#include "parser/received.h"
#include "parser/field.h"
#include "parser/utf8.h"

#include <string.h>
#include <strings.h>

enum { FIELD_BYTES = 16384 };
enum { FROM, BY, VIA, WITH, ID, FOR, CLAUSES };

static const char names[CLAUSES][5] = {"from", "by", "via", "with", "id", "for"};

struct clause {
	const char *p, *end; /* NULL = not seen */
	const char *rest;    /* id: what stands behind its one word; NULL = nothing */
};

/* Behind one word: a comment, a quoted string, or what stands up to the next blank, comment or ";". */
static const char *word_end(const char *p, const char *end, bool *no_quote)
{
	const char *q;

	if (*p == '(') {
		size_t depth = 0;

		for (; p < end; p++) {
			if (*p == '\\' && p + 1 < end)
				p++;
			else if (*p == '(')
				depth++;
			else if (*p == ')' && --depth == 0)
				return p + 1;
		}
		return end;
	}
	if (*p == '"' && !*no_quote) {
		q = tap_quoted_skip(p, end);
		if (q)
			return q;
		*no_quote =
		    true; /* nor is any behind it closed: looked for once, so that the time stays linear */
	}
	for (p++; p < end && !tap_is_space(*p) && *p != '(' && *p != ';'; p++)
		;
	return p;
}

static int clause_of(const char *p, size_t n)
{
	for (int i = 0; i < CLAUSES; i++)
		if (strlen(names[i]) == n && strncasecmp(p, names[i], n) == 0)
			return i;
	return -1;
}

/* An id is one word, and comments; other values may be several. */
static void add_word(struct clause *open, bool one, const char *p, const char *to)
{
	if (open == NULL || open->rest)
		return;
	if (open->p && one && *p != '(' && *open->p != '(') {
		open->rest = p;
		return;
	}
	open->p = open->p ? open->p : p;
	open->end = to;
}

/* Each name is taken where it stands first; the word behind a name is its value whatever it is. Returns where the ";" stands. */
static const char *split(const char *p, const char *end, struct clause c[CLAUSES])
{
	struct clause *open = NULL;
	bool value = false, no_quote = false;

	while (p < end) {
		const char *to;
		int k;

		if (tap_is_space(*p)) {
			p++;
			continue;
		}
		if (*p == ';' && !value)
			return p;
		to = word_end(p, end, &no_quote);
		k = value || *p == '(' || *p == '"' ? -1 : clause_of(p, (size_t)(to - p));
		if (k >= 0) {
			open = c[k].p ? NULL : &c[k];
			value = true;
		} else {
			add_word(open, open == &c[ID], p, to);
			value = value && *p == '(';
		}
		p = to;
	}
	return end;
}

static const char *copy(struct tap_arena *a, const char *p, const char *end, unsigned flags,
			bool *full)
{
	unsigned notes = 0;
	char *raw, *c;

	if (p == NULL || p >= end)
		return NULL;
	raw = tap_unfold(a, p, (size_t)(end - p));
	c = raw ? tap_text_clean(a, raw, strlen(raw), flags, &notes, NULL) : NULL;
	*full |= c == NULL;
	return c && *c ? c : NULL;
}

/* Is [p, end) "[127.…]" or "[IPv6:::1]", with anything behind it? */
static bool loopback(const char *p, const char *end)
{
	const char *close = p < end && *p == '[' ? memchr(p, ']', (size_t)(end - p)) : NULL;
	size_t n;

	if (close == NULL)
		return false;
	p++;
	n = (size_t)(close - p);
	if (n > 5 && strncasecmp(p, "IPv6:", 5) == 0) {
		p += 5;
		n -= 5;
	}
	return (n == 3 && memcmp(p, "::1", 3) == 0) ||
	       (n >= 9 && n <= 15 && memcmp(p, "127.", 4) == 0);
}

/* The comment that mail servers put behind "from": "(name [address])", or "([address])". The name before it, and one in any other
 * form of comment ("(HELO name)"), is the other side's word. */
static const char *peer_of(struct tap_arena *a, const struct clause *from)
{
	const char *p, *q, *name;

	if (from->p == NULL)
		return "localhost";
	p = memchr(from->p, '(', (size_t)(from->end - from->p));
	if (p == NULL || p == from->p)
		return NULL;
	p++;
	for (q = p; q < from->end && !tap_is_space(*q) && *q != ')' && *q != '[' && *q != '('; q++)
		;
	if (q == p)
		return loopback(q, from->end) ? "localhost" : NULL;
	if (from->end - q < 2 || *q != ' ' || q[1] != '[')
		return NULL;
	/* Sendmail: the name that the address claims does not lead back to the address. */
	if (memmem(q, (size_t)(from->end - q), "forged", 6) != NULL)
		return NULL;
	name = tap_domain_copy(a, p, (size_t)(q - p));
	if (loopback(q + 1, from->end) &&
	    (name || (q - p == 9 && strncasecmp(p, "localhost", 9) == 0) ||
	     (q - p == 7 && strncasecmp(p, "unknown", 7) == 0)))
		return "localhost";
	return name;
}

bool tap_received_parse(struct tap_arena *a, const char *value, size_t n,
			struct tap_received *out_r)
{
	struct clause c[CLAUSES] = {{NULL, NULL, NULL}};
	const char *end = value + (n < FIELD_BYTES ? n : FIELD_BYTES), *semi, *last;
	bool full = false, no_quote = false;

	memset(out_r, 0, sizeof *out_r);
	semi = split(value, end, c);
	out_r->from = copy(a, c[FROM].p, c[FROM].end, 0, &full);
	out_r->by_full = copy(a, c[BY].p, c[BY].end, 0, &full);
	if (c[BY].p && *c[BY].p != '(')
		out_r->by = copy(a, c[BY].p, word_end(c[BY].p, c[BY].end, &no_quote), 0, &full);
	out_r->via = copy(a, c[VIA].p, c[VIA].end, 0, &full);
	out_r->with = copy(a, c[WITH].p, c[WITH].end, 0, &full);
	out_r->id = copy(a, c[ID].p, c[ID].end, 0, &full);
	out_r->for_ = copy(a, c[FOR].p, c[FOR].end, 0, &full);
	/* A ";" may stand in a name that the other side gave; the date is behind the last one. */
	last = semi < end ? memrchr(semi, ';', (size_t)(end - semi)) : NULL;
	if (last)
		out_r->date = copy(a, last + 1, end, 0, &full);
	else if (c[ID].rest)
		out_r->date = copy(a, c[ID].rest, semi, 0, &full); /* some leave the ";" out */
	out_r->peer = peer_of(a, &c[FROM]);
	return !full;
}
