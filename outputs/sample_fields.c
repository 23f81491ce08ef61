/* SPDX-License-Identifier: Apache-2.0
 * outputs/sample_fields.c - see sample_fields.h. */
#include "outputs/sample_fields.h"

#include <stdlib.h>
#include <strings.h>

struct order {
	const struct tap_pair *item;
	int (*compare)(const char *a, const char *b);
};

static int by_name(const void *a, const void *b, void *ctx)
{
	const struct order *o = ctx;
	size_t i = *(const size_t *)a, k = *(const size_t *)b;
	int c = o->compare(o->item[i].name, o->item[k].name);

	return c != 0 ? c : i < k ? -1 : i > k;
}

static void link_same(struct tap_fields *f, struct order *o, size_t *sorted)
{
	for (size_t i = 0; i < f->n; i++)
		sorted[i] = i;
	qsort_r(sorted, f->n, sizeof *sorted, by_name, o);
	for (size_t i = 0; i < f->n; i++) {
		size_t at = sorted[i];

		f->first[at] =
		    i == 0 || o->compare(f->item[sorted[i - 1]].name, f->item[at].name) != 0;
		f->next[at] = TAP_FIELDS_END;
		if (!f->first[at])
			f->next[sorted[i - 1]] = at;
	}
}

/* The line at p without its end; *next_r = where the next begins. */
static size_t line(const char *p, const char *stop, const char **next_r)
{
	const char *nl = memchr(p, '\n', (size_t)(stop - p));
	size_t n = (size_t)((nl != NULL ? nl : stop) - p);

	*next_r = nl != NULL ? nl + 1 : stop;
	return n > 0 && p[n - 1] == '\r' ? n - 1 : n;
}

static void set_raw(struct tap_raw_field *r, const char *p, const char *end)
{
	bool folded;

	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r' || end[-1] == '\n'))
		end--;
	folded = memchr(p, '\n', (size_t)(end - p)) != NULL;
	if (!folded || memmem(p, (size_t)(end - p), "=?", 2) != NULL)
		return; /* nothing to keep, or to be decoded: the value is as good, or better */
	r->p = p;
	r->n = (size_t)(end - p);
}

/* Walks the header block beside the fields that the parser made of it; where the two part, the values stand. */
static void find_raw(struct tap_fields *f, const char *p, const char *stop)
{
	const char *next;
	size_t i = 0;

	while (p < stop && i < f->n) {
		size_t n = line(p, stop, &next), name = strlen(f->item[i].name);
		const char *begin = p, *end = p + n;

		if (n == 0)
			return;
		for (p = next; p < stop && (*p == ' ' || *p == '\t'); p = next)
			end = p + line(p, stop, &next);
		if (n <= name || strncasecmp(begin, f->item[i].name, name) != 0 ||
		    memchr(begin + name, ':', n - name) == NULL)
			continue;
		begin = memchr(begin + name, ':', n - name);
		set_raw(&f->raw[i++], begin + 1, end);
	}
}

bool tap_fields_group(const struct tap_failure *f, bool exact, bool raw, struct tap_fields *out)
{
	const struct tap_sample *p = f->parsed;
	struct order o = {p->headers, exact ? strcmp : strcasecmp};
	size_t *sorted = malloc((p->n_headers + 1) * sizeof *sorted);

	memset(out, 0, sizeof *out);
	out->item = p->headers;
	out->n = p->n_headers;
	out->first = calloc(out->n + 1, sizeof *out->first);
	out->next = calloc(out->n + 1, sizeof *out->next);
	if (raw)
		out->raw = calloc(out->n + 1, sizeof *out->raw);
	if (sorted == NULL || out->first == NULL || out->next == NULL ||
	    (raw && out->raw == NULL)) {
		tap_fields_free(out);
		free(sorted);
		return false;
	}
	link_same(out, &o, sorted);
	free(sorted);
	if (raw && f->sample != NULL)
		find_raw(out, f->sample, (const char *)f->sample + f->sample_len);
	return true;
}

void tap_fields_value(struct tap_enc *e, const struct tap_fields *f, size_t i)
{
	if (f->raw != NULL && f->raw[i].n > 0)
		tap_enc_lossy(e, f->raw[i].p, f->raw[i].n, true);
	else
		put_string(e, f->item[i].value);
}

void tap_fields_free(struct tap_fields *f)
{
	free(f->first);
	free(f->next);
	free(f->raw);
	f->first = NULL;
	f->next = NULL;
	f->raw = NULL;
}
