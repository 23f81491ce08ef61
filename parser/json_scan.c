/* SPDX-License-Identifier: Apache-2.0
 * parser/json_scan.c - see json_scan.h. */
#include "parser/json_scan.h"
#include <string.h>

struct scan {
	const char *p;
	size_t n, at;
	struct tap_json_check *c;
	char open[TAP_JSON_DEPTH_MAX]; /* { or [ of each level */
	uint32_t depth;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

size_t tap_json_blank(const char *p, size_t n, size_t at)
{
	while (at < n && is_blank(p[at]))
		at++;
	return at;
}

static bool wrong(struct scan *s, const char *why)
{
	s->c->error = why;
	s->c->end = s->at;
	s->c->unfinished = s->at >= s->n;
	return false;
}

static bool over(struct scan *s, const char *why)
{
	s->c->limit = true;
	return wrong(s, why);
}

/* p[at] is the quote; the place behind the closing one, or n + 1 when there is none. */
static size_t string_end(const char *p, size_t n, size_t at)
{
	for (at++; at < n; at++) {
		if (p[at] == '"')
			return at + 1;
		if (p[at] == '\\')
			at++;
	}
	return n + 1;
}

static bool hex4(const char *p)
{
	for (int i = 0; i < 4; i++)
		if (!((p[i] >= '0' && p[i] <= '9') ||
		      ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f')))
			return false;
	return true;
}

static bool check_string(struct scan *s)
{
	size_t end = string_end(s->p, s->n, s->at);

	if (end > s->n) {
		s->at = s->n;
		return wrong(s, "a string without its end");
	}
	for (size_t i = s->at + 1; i + 1 < end; i++) {
		const char *q = memchr(s->p + i, '\\', end - 1 - i);

		if (q == NULL)
			break;
		i = (size_t)(q - s->p) + 1;
		if (memchr("\"\\/bfnrt", s->p[i], 8))
			continue;
		if (s->p[i] == 'u' && i + 5 < end && hex4(s->p + i + 1))
			continue;
		s->at = i - 1;
		return wrong(s, "an escape that is none");
	}
	s->at = end;
	return true;
}

static size_t digits_from(const struct scan *s, size_t at)
{
	while (at < s->n && s->p[at] >= '0' && s->p[at] <= '9')
		at++;
	return at;
}

static bool check_number(struct scan *s)
{
	size_t at = s->at, from;

	if (s->p[at] == '-')
		at++;
	from = at;
	at = digits_from(s, at);
	if (at == from)
		return wrong(s, "neither a value nor the end");
	if (at < s->n && s->p[at] == '.')
		at = digits_from(s, at + 1);
	if (at < s->n && (s->p[at] == 'e' || s->p[at] == 'E')) {
		at++;
		if (at < s->n && (s->p[at] == '+' || s->p[at] == '-'))
			at++;
		from = at;
		at = digits_from(s, at);
		if (at == from)
			return wrong(s, "a number without its exponent");
	}
	if (at - s->at > TAP_JSON_NUMBER_MAX)
		return over(s, "a number of more than 1024 bytes");
	s->at = at;
	return true;
}

static bool check_word(struct scan *s)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < 3; i++) {
		size_t len = strlen(words[i]);

		if (s->n - s->at >= len && memcmp(s->p + s->at, words[i], len) == 0) {
			s->at += len;
			return true;
		}
	}
	return check_number(s);
}

static bool open_container(struct scan *s)
{
	uint32_t most = s->c->depth < TAP_JSON_DEPTH_MAX ? s->c->depth : TAP_JSON_DEPTH_MAX;

	if (s->depth >= most)
		return over(s, "nested too deep (limit json_depth)");
	s->open[s->depth++] = s->p[s->at++];
	return true;
}

static bool count(struct scan *s)
{
	if (s->c->values == 0)
		return over(s, "too many values (limit json_values)");
	s->c->values--;
	return true;
}

/* A key with its colon. */
static bool check_key(struct scan *s)
{
	if (s->at >= s->n || s->p[s->at] != '"')
		return wrong(s, "no name where a member should begin");
	if (!count(s) || !check_string(s))
		return false;
	s->at = tap_json_blank(s->p, s->n, s->at);
	if (s->at >= s->n || s->p[s->at] != ':')
		return wrong(s, "no colon behind the name of a member");
	s->at = tap_json_blank(s->p, s->n, s->at + 1);
	return true;
}

/* Behind a value: closes what ends here. *more_r: another value follows, its key was read. */
static bool after_value(struct scan *s, bool *more_r)
{
	*more_r = false;
	while (s->depth > 0) {
		bool object = s->open[s->depth - 1] == '{';

		s->at = tap_json_blank(s->p, s->n, s->at);
		if (s->at >= s->n)
			return wrong(s, "the text ends before the value does");
		if (s->p[s->at] == ',') {
			s->at = tap_json_blank(s->p, s->n, s->at + 1);
			if (s->at < s->n && (s->p[s->at] == '}' || s->p[s->at] == ']'))
				return wrong(s, "a comma with nothing behind it");
			*more_r = true;
			return !object || check_key(s);
		}
		if (s->p[s->at] != (object ? '}' : ']'))
			return wrong(s, "neither a comma nor the end");
		s->at++;
		s->depth--;
	}
	return true;
}

/* At the first byte of a value. *entered_r: it is a container that holds something; its first value is next. */
static bool check_one(struct scan *s, bool *entered_r)
{
	*entered_r = false;
	if (s->at >= s->n)
		return wrong(s, "the text ends before the value does");
	if (!count(s))
		return false;
	if (s->p[s->at] == '"')
		return check_string(s);
	if (s->p[s->at] != '{' && s->p[s->at] != '[')
		return check_word(s);
	if (!open_container(s))
		return false;
	s->at = tap_json_blank(s->p, s->n, s->at);
	if (s->at < s->n && s->p[s->at] == (s->open[s->depth - 1] == '{' ? '}' : ']')) {
		s->at++;
		s->depth--;
		return true;
	}
	*entered_r = true;
	return s->open[s->depth - 1] == '[' || check_key(s);
}

bool tap_json_check(const char *p, size_t n, size_t at, struct tap_json_check *c)
{
	struct scan s;
	bool more = true, entered;

	s.p = p;
	s.n = n;
	s.at = tap_json_blank(p, n, at);
	s.c = c;
	s.depth = 0;
	c->error = NULL;
	c->limit = c->unfinished = false;
	while (more) {
		if (!check_one(&s, &entered))
			return false;
		if (!entered && !after_value(&s, &more))
			return false;
	}
	c->end = s.at;
	return true;
}

/* --- text that was checked ------------------------------------------------------------------------------------------------ */

static char type_of(char c)
{
	if (c == '-' || (c >= '0' && c <= '9'))
		return '0';
	return c;
}

static size_t word_end(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && !is_blank(p[i]) && memchr(",}]", p[i], 3) == NULL)
		i++;
	return i;
}

/* The place behind the value at p[0]. */
static size_t value_end(const char *p, size_t n)
{
	size_t depth = 0, i = 0;

	if (p[0] != '"' && p[0] != '{' && p[0] != '[')
		return word_end(p, n);
	while (i < n) {
		if (p[i] == '"') {
			i = string_end(p, n, i);
		} else {
			if (p[i] == '{' || p[i] == '[')
				depth++;
			else if (depth > 0 && (p[i] == '}' || p[i] == ']'))
				depth--;
			i++;
		}
		if (depth == 0)
			break;
	}
	return i < n ? i : n;
}

struct tap_json tap_json_value(const char *p, size_t n)
{
	struct tap_json v = {0};
	size_t at = tap_json_blank(p, n, 0);

	if (at >= n)
		return v;
	v.p = p + at;
	v.n = value_end(p + at, n - at);
	v.type = type_of(*v.p);
	return v;
}

void tap_json_enter(struct tap_json_iter *it, const struct tap_json *container)
{
	it->object = container->type == '{';
	it->p = container->p + 1;
	it->end = container->p + container->n;
	if (container->type != '{' && container->type != '[')
		it->p = it->end = container->p;
}

/* Passes over blanks and one byte of punctuation. */
static void step(struct tap_json_iter *it, char c)
{
	size_t n = (size_t)(it->end - it->p), at = tap_json_blank(it->p, n, 0);

	if (at < n && it->p[at] == c)
		at++;
	it->p += tap_json_blank(it->p, n, at);
}

bool tap_json_next(struct tap_json_iter *it, struct tap_json *key_r, struct tap_json *value_r)
{
	step(it, ',');
	if (it->p >= it->end || *it->p == '}' || *it->p == ']')
		return false;
	if (it->object) {
		*key_r = tap_json_value(it->p, (size_t)(it->end - it->p));
		it->p = key_r->p + key_r->n;
		step(it, ':');
	}
	*value_r = tap_json_value(it->p, (size_t)(it->end - it->p));
	if (value_r->n == 0)
		return false;
	it->p = value_r->p + value_r->n;
	return true;
}
