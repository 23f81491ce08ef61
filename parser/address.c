/* SPDX-License-Identifier: Apache-2.0
 * parser/address.c - see address.h. One pass over the value. Between two commas stands one item; its words are gathered as a
 * display name, and watched whether they could be an address (local part, "@", domain) as well. An address in angle brackets
 * wins whatever stands before it; without one the words are an address only when nothing else stands in the item. */
#include "parser/address.h"
#include "base/buf.h"
#include "parser/field.h"
#include "parser/utf8.h"

#include <gmime/gmime.h>
#include <string.h>

enum { WORDS_MAX = 2048, SPEC_MAX = 1024 };

/* How far the words of an item are an address. */
enum spec { SPEC_LOCAL, SPEC_AT, SPEC_DOMAIN, SPEC_NOT };

struct list {
	struct tap_arena *a;
	const char *p, *end;
	struct tap_mailbox *item;
	size_t n, room, max;
	bool cut, full;
	/* Of the item that is read. */
	struct tap_buf words, addr;
	size_t at; /* length of the local part in addr, once the "@" has been seen */
	enum spec spec;
	bool any, quoted, angle, broken, joined;
	/* A quote or a bracket was not closed: none behind it is looked for again, so that the time stays linear. */
	bool no_quote, no_literal;
};

static const char *quoted_end(struct list *l, const char *p)
{
	const char *q = l->no_quote ? NULL : tap_quoted_skip(p, l->end);

	l->no_quote |= q == NULL;
	return q;
}

static const char *literal_end(struct list *l, const char *p)
{
	const char *q = l->no_literal ? NULL : memchr(p, ']', (size_t)(l->end - p));

	l->no_literal |= q == NULL;
	return q ? q + 1 : NULL;
}

static void begin_item(struct list *l)
{
	tap_buf_reset(&l->words);
	tap_buf_reset(&l->addr);
	l->at = 0;
	l->spec = SPEC_LOCAL;
	l->any = l->quoted = l->angle = l->broken = false;
	l->joined = true;
}

static bool is_atom(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && strchr("()<>[]:;@\\,\"", c) == NULL;
}

/* A word of the item. joins: it stands right behind the word before, or a dot is between them. */
static void spec_word(struct list *l, const char *p, size_t n, bool joins)
{
	size_t part = l->spec == SPEC_LOCAL ? 0 : l->at + 1;

	if (l->spec == SPEC_NOT)
		return;
	if (l->spec == SPEC_AT)
		l->spec = SPEC_DOMAIN;
	else if (l->addr.len > part && !joins)
		l->spec = SPEC_NOT;
	tap_buf_add(&l->addr, p, n);
}

static void spec_at(struct list *l)
{
	if (l->spec != SPEC_LOCAL || l->addr.len == 0) {
		l->spec = SPEC_NOT;
		return;
	}
	l->at = l->addr.len;
	l->spec = SPEC_AT;
	tap_buf_addc(&l->addr, '@');
}

static void word(struct list *l, const char *p, size_t n, bool spaced)
{
	bool dots = l->addr.len > 0 && l->addr.p[l->addr.len - 1] == '.';

	if (l->words.len > 0 && spaced)
		tap_buf_addc(&l->words, ' ');
	tap_buf_add(&l->words, p, n);
	spec_word(l, p, n, !spaced || dots || *p == '.');
	l->any = true;
	/* An encoded word is text for people. */
	l->quoted |= n > 4 && p[0] == '=' && p[1] == '?' && p[n - 2] == '?' && p[n - 1] == '=';
}

/* What a quoted string means: without the quotes and backslashes. The address keeps them, it would be another without. */
static void quoted_word(struct list *l, const char *p, const char *to, bool spaced)
{
	bool dots = l->addr.len > 0 && l->addr.p[l->addr.len - 1] == '.';

	spec_word(l, p, (size_t)(to - p), !spaced || dots);
	if (l->words.len > 0 && spaced)
		tap_buf_addc(&l->words, ' ');
	for (p++; p < to - 1; p++) {
		if (*p == '\\' && p + 1 < to - 1)
			p++;
		tap_buf_addc(&l->words, *p);
	}
	l->any = l->quoted = true;
}

/* The address between angle brackets; p stands behind the "<". A route ("@a,@b:") before it is passed over. */
static void angle(struct list *l)
{
	const char *q;

	tap_buf_reset(&l->addr);
	l->at = 0;
	l->spec = SPEC_LOCAL;
	l->angle = true;
	for (;;) {
		bool spaced;

		q = tap_cfws_skip(l->p, l->end);
		spaced = q > l->p;
		l->p = q;
		if (q == l->end || *q == '<') {
			l->broken = true;
			return;
		}
		if (*q == '>') {
			l->p++;
			return;
		}
		if (is_atom(*q)) {
			while (q < l->end && is_atom(*q))
				q++;
			spec_word(l, l->p, (size_t)(q - l->p),
				  !spaced || *l->p == '.' ||
				      (l->addr.len > 0 && l->addr.p[l->addr.len - 1] == '.'));
			l->p = q;
		} else if (*q == '"' && (q = quoted_end(l, l->p)) != NULL) {
			spec_word(l, l->p, (size_t)(q - l->p), !spaced);
			l->p = q;
		} else if (*l->p == '[' && l->spec == SPEC_AT &&
			   (q = literal_end(l, l->p)) != NULL) {
			spec_word(l, l->p, (size_t)(q - l->p), true);
			l->p = q;
		} else if (*l->p == ':' && l->addr.len == 0) {
			/* The end of a route. */
			l->spec = SPEC_LOCAL;
			l->p++;
		} else if (*l->p == '@') {
			spec_at(l);
			l->p++;
		} else if (*l->p == ',' && l->addr.len == 0) {
			l->p++;
		} else {
			l->spec = SPEC_NOT;
			l->p++;
		}
	}
}

/* --- what an item gives ---------------------------------------------------------------------------------------------- */

static char *display_name(struct list *l)
{
	const char *raw = tap_buf_cstr(&l->words);
	char *decoded = NULL, *out, *c;
	unsigned notes = 0;

	if (strstr(raw, "=?") != NULL || !g_utf8_validate(raw, -1, NULL))
		decoded = g_mime_utils_header_decode_phrase(NULL, raw);
	if (decoded)
		raw = decoded;
	out = tap_text_clean(l->a, raw, strnlen(raw, (size_t)4 * WORDS_MAX), 0, &notes, NULL);
	g_free(decoded);
	for (c = out; c && *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	return out;
}

static bool grow(struct list *l)
{
	struct tap_mailbox *more;
	size_t room = l->room ? 2 * l->room : 4;

	if (l->n < l->room)
		return true;
	more = tap_arena_alloc(l->a, room * sizeof *more);
	if (more == NULL)
		return false;
	if (l->n > 0)
		memcpy(more, l->item, l->n * sizeof *more);
	l->item = more;
	l->room = room;
	return true;
}

static const char *text_of(struct list *l, const char *p, size_t n, unsigned flags)
{
	unsigned notes = 0;

	return tap_text_clean(l->a, p, n, flags, &notes, NULL);
}

static void add(struct list *l, bool address)
{
	bool whole = address && l->spec == SPEC_DOMAIN;
	size_t n = l->addr.len, local = whole ? l->at : n;
	struct tap_mailbox m = {.display_name = "", .address = "", .local = ""};

	if (l->angle || !address)
		m.display_name = display_name(l);
	if (address) {
		m.address = text_of(l, l->addr.p, n, 0);
		m.local = text_of(l, l->addr.p, local, 0);
	}
	if (whole)
		m.domain = text_of(l, l->addr.p + local + 1, n - local - 1, TAP_TEXT_LOWER);
	if (m.display_name == NULL || m.address == NULL || m.local == NULL ||
	    (whole && m.domain == NULL))
		l->full = true;
	else if (m.display_name[0] == '\0' && m.address[0] == '\0')
		return; /* nothing is left of it */
	else if (l->n >= l->max)
		l->cut = true;
	else if (!grow(l))
		l->full = true;
	else
		l->item[l->n++] = m;
}

/* Control characters, as in quotes or written in UTF-8: what the address would be without them is another one. */
static bool has_control(const struct tap_buf *b)
{
	for (size_t i = 0; i < b->len;) {
		uint32_t cp = 0;
		size_t step = tap_utf8_step((const unsigned char *)b->p + i, b->len - i, &cp);

		if (step > 0 && (cp < ' ' || (cp >= 0x7f && cp < 0xa0)))
			return true;
		i += step ? step : 1;
	}
	return false;
}

static void end_item(struct list *l)
{
	bool whole = !l->broken && !l->addr.failed && l->addr.len > 0 && !has_control(&l->addr);
	bool address;

	/* A single word is a local name ("root"); one in quotes, and several words, are a display name without an address. */
	if (l->angle)
		address = whole && (l->spec == SPEC_DOMAIN || l->spec == SPEC_LOCAL);
	else
		address =
		    whole && (l->spec == SPEC_DOMAIN || (l->spec == SPEC_LOCAL && !l->quoted));
	if (l->words.failed)
		tap_buf_reset(&l->words);
	if (l->any || l->angle)
		add(l, address);
	begin_item(l);
}

/* A special character between the words of an item. */
static void special(struct list *l)
{
	char c = *l->p++;

	switch (c) {
	case ',': end_item(l); return;
	case ';': end_item(l); return;
	case ':':
		/* The name of a group, unless an address was begun: then it is no address list at all. */
		if (l->spec == SPEC_AT || l->spec == SPEC_DOMAIN || l->angle)
			l->broken = true;
		else
			begin_item(l);
		return;
	case '<':
		if (l->angle)
			l->broken = true;
		else
			angle(l);
		return;
	case '@':
		spec_at(l);
		tap_buf_addc(&l->words, '@');
		l->any = l->joined = true;
		return;
	default:
		/* An unpaired bracket or quote: nothing in this item can be trusted to be an address. */
		l->spec = SPEC_NOT;
		l->broken = true;
		tap_buf_addc(&l->words, c);
		l->any = true;
	}
}

static void step(struct list *l)
{
	const char *q = tap_cfws_skip(l->p, l->end), *from;
	bool spaced = q > l->p && !l->joined;

	l->p = q;
	if (q == l->end)
		return;
	l->joined = false;
	from = q;
	if (l->angle && *q != ',' && *q != ';') {
		/* Something stands behind the address; which of the two is meant cannot be told when it holds another. */
		l->broken |= *q == '<' || *q == '@';
		q = *from == '"' ? quoted_end(l, from) : NULL;
		l->p = q ? q : from + 1;
	} else if (is_atom(*q)) {
		while (q < l->end && is_atom(*q))
			q++;
		l->p = q;
		word(l, from, (size_t)(q - from), spaced);
	} else if (*q == '"' && (q = quoted_end(l, from)) != NULL) {
		l->p = q;
		quoted_word(l, from, q, spaced);
	} else if (*from == '[' && l->spec == SPEC_AT && (q = literal_end(l, from)) != NULL) {
		l->p = q;
		word(l, from, (size_t)(q - from), spaced);
	} else {
		l->p = from;
		special(l);
	}
}

enum tap_rc tap_address_list(struct tap_arena *a, const char *value, size_t n, size_t max,
			     struct tap_mailboxes *out_r, bool *cut_r, struct tap_err *err)
{
	struct list l = {.a = a, .p = value, .end = value + n, .max = max};

	tap_buf_init(&l.words, WORDS_MAX);
	tap_buf_init(&l.addr, SPEC_MAX);
	begin_item(&l);
	while (l.p < l.end && !l.full && !l.cut)
		step(&l);
	end_item(&l);
	tap_buf_free(&l.words);
	tap_buf_free(&l.addr);
	out_r->item = l.item;
	out_r->n = l.n;
	*cut_r = l.cut;
	if (l.full)
		return tap_err_set(err, TAP_E_LIMIT, "too little memory for a list of addresses");
	return TAP_OK;
}
