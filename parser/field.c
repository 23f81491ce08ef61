/* SPDX-License-Identifier: Apache-2.0
 * parser/field.c - see field.h. */
#include "parser/field.h"
#include "parser/utf8.h"
#include "parser/work.h"

#include <string.h>
#include <strings.h>

static const char *line_end(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	return lf ? lf + 1 : end;
}

/* Behind the line that begins at p and those that continue it. */
static const char *logical_end(const char *p, const char *end)
{
	do
		p = line_end(p, end);
	while (p < end && (*p == ' ' || *p == '\t'));
	return p;
}

/* Cuts [p, stop) into name and value; false when it is no field. */
static bool cut(const char *p, const char *stop, struct tap_field *f)
{
	const char *colon = memchr(p, ':', (size_t)(line_end(p, stop) - p)), *last;

	if (colon == NULL || colon == p)
		return false;
	last = colon;
	while (last > p && (last[-1] == ' ' || last[-1] == '\t'))
		last--;
	for (const char *c = p; c < last; c++)
		if (*c <= ' ' || *c == 0x7f)
			return false;
	f->name = p;
	f->name_len = (size_t)(last - p);
	f->spaced = last < colon;
	f->value = colon + 1;
	while (stop > f->value && (stop[-1] == '\n' || stop[-1] == '\r'))
		stop--;
	f->value_len = (size_t)(stop - f->value);
	return f->name_len > 0;
}

bool tap_field_next(const char **p, const char *end, struct tap_field *f, size_t *bad)
{
	while (*p < end) {
		const char *from = *p;

		*p = logical_end(from, end);
		if (cut(from, *p, f))
			return true;
		if (bad)
			++*bad;
	}
	return false;
}

bool tap_field_is(const struct tap_field *f, const char *name)
{
	return strlen(name) == f->name_len && strncasecmp(f->name, name, f->name_len) == 0;
}

const char *tap_cfws_skip(const char *p, const char *end)
{
	size_t depth = 0;

	for (; p < end; p++) {
		if (*p == '(')
			depth++;
		else if (depth > 0 && *p == ')')
			depth--;
		else if (depth > 0 && *p == '\\' && p + 1 < end)
			p++;
		else if (depth == 0 && !tap_is_space(*p) && *p != '\0')
			break;
	}
	return p;
}

const char *tap_quoted_skip(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '\\')
			p++;
		else if (*p == '"')
			return p + 1;
	}
	return NULL;
}

char *tap_unfold(struct tap_arena *a, const char *p, size_t n)
{
	char *out;
	size_t k = 0;

	while (n > 0 && tap_is_space(*p)) {
		p++;
		n--;
	}
	while (n > 0 && tap_is_space(p[n - 1]))
		n--;
	out = tap_arena_strndup(a, p, n);
	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n' || (p[i] == '\r' && i + 1 < n && p[i + 1] == '\n'))
			continue;
		out[k++] = p[i] == '\0' || p[i] == '\r' ? ' ' : p[i];
	}
	out[k] = '\0';
	return out;
}

static bool domain_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
	       (unsigned char)c >= 0x80;
}

/* Labels of 1 … 63 bytes, two of them at least, and the last with a letter in it: an address is no name. */
static bool domain_ok(const char *d, size_t n)
{
	size_t label = 0, labels = 1;
	bool letter = false;

	for (size_t i = 0; i < n; i++) {
		if (d[i] == '.') {
			if (label == 0)
				return false;
			labels++;
			label = 0;
			letter = false;
		} else if (domain_char(d[i]) && ++label <= 63) {
			letter |= (unsigned char)d[i] > '9';
		} else {
			return false;
		}
	}
	return label > 0 && labels > 1 && letter;
}

const char *tap_domain_copy(struct tap_arena *a, const char *p, size_t n)
{
	char *d;

	while (n > 0 && tap_is_space(*p)) {
		p++;
		n--;
	}
	while (n > 0 && (tap_is_space(p[n - 1]) || p[n - 1] == '.'))
		n--;
	if (n == 0 || n > TAP_DOMAIN_MAX)
		return NULL;
	d = tap_arena_strndup(a, p, n);
	if (d == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (d[i] >= 'A' && d[i] <= 'Z')
			d[i] = (char)(d[i] | 0x20);
	return domain_ok(d, n) ? d : NULL;
}
