/* SPDX-License-Identifier: Apache-2.0
 * parser/smtp_tls_values.c - single values of an SMTP TLS report, through json-c, and what is said of them.
 * json-c sees one string or number at a time, never a container; a string is cut to six times the limit of its text before. */
#include "parser/smtp_tls_impl.h"

#include "parser/normalise.h"
#include "parser/utf8.h"
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_NAME = 40, UNIT = 6 /* bytes of the longest escape */ };

/* ---- warnings and refusals ---- */

void tls_warn(struct tls *s, const char *where, const char *fmt, ...)
{
	struct tap_warning *w;
	char what[400];
	unsigned notes = 0;
	va_list ap;
	int n;

	if (s->quiet)
		return;
	s->end.warnings_total++;
	if (s->end.n_warnings >= s->lim->warnings)
		return;
	va_start(ap, fmt);
	n = vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof what)
		n = (int)tap_utf8_cut(what, sizeof what - 1, sizeof what - 4);
	w = &s->warnings[s->end.n_warnings];
	w->where = tap_arena_strndup(s->warn_arena, where, strlen(where));
	w->what = tap_text_clean(s->warn_arena, what, (size_t)n, 0, &notes, NULL);
	if (w->where && w->what)
		s->end.n_warnings++;
}

void tls_refuse(struct tls *s, const char *at, const char *path, const char *fmt, ...)
{
	struct tap_err why;
	char text[300];
	va_list ap;

	if (s->refused)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (at)
		tap_err_set(&why, TAP_E_DATA, "at byte %zu, %s: %s", (size_t)(at - s->text.p), path,
			    text);
	else
		tap_err_set(&why, TAP_E_DATA, "%s: %s", path, text);
	s->refused = true;
	s->res->broken++;
	if (s->res->why[0] == '\0')
		snprintf(s->res->why, sizeof s->res->why, "%.500s", why.msg);
	if (s->begun && s->ev && s->ev->abort)
		s->ev->abort(s->ctx, &why);
	s->begun = false;
}

bool tls_cancelled(struct tls *s)
{
	if (s->fatal == TAP_OK && s->opt->cancelled && s->opt->cancelled(s->opt->cancelled_ctx))
		s->fatal = tap_err_set(s->err, TAP_E_CANCELLED, "cancelled");
	return s->fatal != TAP_OK;
}

/* ---- names of members ---- */

#define NAME(text) text, sizeof(text) - 1
/* The first name of a field is the one that it is warned by. RFC 8460 section 4.4; "…-info-uri" and "mx-host-pattern" stand in its
 * text, and both are in use. */
static const struct {
	const char *name;
	size_t n;
	enum tls_field field;
	bool odd; /* nobody's standard: read, and said */
} names[] = {
    {NAME("organization-name"), F_ORG, false},
    {NAME("date-range"), F_DATES, false},
    {NAME("start-datetime"), F_BEGIN, false},
    {NAME("end-datetime"), F_END, false},
    {NAME("contact-info"), F_CONTACT, false},
    {NAME("report-id"), F_ID, false},
    {NAME("policies"), F_POLICIES, false},
    {NAME("policy"), F_POLICY, false},
    {NAME("summary"), F_SUMMARY, false},
    {NAME("failure-details"), F_DETAILS, false},
    {NAME("policy-type"), F_TYPE, false},
    {NAME("policy-string"), F_STRINGS, false},
    {NAME("policy-domain"), F_DOMAIN, false},
    {NAME("mx-host"), F_MX, false},
    {NAME("mx-host-pattern"), F_MX, false},
    {NAME("total-successful-session-count"), F_SUCCESSFUL, false},
    {NAME("total-failure-session-count"), F_FAILED, false},
    {NAME("result-type"), F_RESULT, false},
    {NAME("sending-mta-ip"), F_SENDING_IP, false},
    {NAME("receiving-mx-hostname"), F_MX_NAME, false},
    {NAME("receiving-mx-helo"), F_HELO, false},
    {NAME("receiving-ip"), F_RECEIVING_IP, false},
    {NAME("failed-session-count"), F_COUNT, false},
    {NAME("additional-information"), F_INFO, false},
    {NAME("additional-info-uri"), F_INFO, false},
    {NAME("failure-reason-code"), F_REASON, false},
    {NAME("organisation-name"), F_ORG, true},
    {NAME("org-name"), F_ORG, true},
    {NAME("start-date"), F_BEGIN, true},
    {NAME("end-date"), F_END, true},
    {NAME("contact"), F_CONTACT, true},
    {NAME("contact-information"), F_CONTACT, true},
    {NAME("failure-detail"), F_DETAILS, true},
    {NAME("policy-strings"), F_STRINGS, true},
    {NAME("policy-domains"), F_DOMAIN, true},
    {NAME("mx-hosts"), F_MX, true},
    {NAME("mx-host-patterns"), F_MX, true},
    {NAME("total-success-session-count"), F_SUCCESSFUL, true},
    {NAME("total-successful-sessions-count"), F_SUCCESSFUL, true},
    {NAME("successful-session-count"), F_SUCCESSFUL, true},
    {NAME("total-failed-session-count"), F_FAILED, true},
    {NAME("total-failure-sessions-count"), F_FAILED, true},
    {NAME("total-failures-session-count"), F_FAILED, true},
    {NAME("failure-session-count"), F_COUNT, true},
    {NAME("failed-sessions-count"), F_COUNT, true},
    {NAME("sending-ip"), F_SENDING_IP, true},
    {NAME("receiving-mx-ip"), F_RECEIVING_IP, true},
    {NAME("receiving-hostname"), F_MX_NAME, true},
    {NAME("receiving-helo"), F_HELO, true},
    {NAME("additional-info"), F_INFO, true},
    {NAME("failure-error-code"), F_REASON, true},
    {NAME("failure-code"), F_REASON, true},
};
enum { N_NAMES = sizeof names / sizeof names[0] };

const char *tls_field_name(enum tls_field f)
{
	for (size_t i = 0; i < N_NAMES; i++)
		if (names[i].field == f)
			return names[i].name;
	return "?";
}

/* Letters and digits in lower case: letter case, hyphens, underscores and blanks do not make another name. */
static size_t squeeze(const char *p, size_t n, char out[LONGEST_NAME])
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (c == '-' || c == '_' || c == ' ')
			continue;
		if (k == LONGEST_NAME)
			return 0;
		out[k++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return k;
}

/* *odd_r: it is not spelt as it should be. */
static enum tls_field find_field(const char *p, size_t n, bool *odd_r)
{
	char key[LONGEST_NAME], name[LONGEST_NAME];
	size_t k;

	for (size_t i = 0; i < N_NAMES; i++)
		if (names[i].n == n && memcmp(names[i].name, p, n) == 0) {
			*odd_r = names[i].odd;
			return names[i].field;
		}
	*odd_r = true;
	k = squeeze(p, n, key);
	for (size_t i = 0; k > 0 && i < N_NAMES; i++)
		if (names[i].name[0] == key[0] && squeeze(names[i].name, names[i].n, name) == k &&
		    memcmp(name, key, k) == 0)
			return names[i].field;
	return F_NONE;
}

/* In a policy the counts of the reference's own output stand without "total". */
static enum tls_field in_place(enum tls_field f, uint32_t wanted)
{
	if (f == F_COUNT && !(wanted >> F_COUNT & 1))
		return F_FAILED;
	return f;
}

void tls_collect(struct tls *s, const struct tap_json *object, uint32_t wanted, uint32_t into,
		 const char *where, struct tap_json val[F_N])
{
	struct tap_json_iter it;
	struct tap_json key, v;
	enum tls_field f;
	bool odd;

	tap_json_enter(&it, object);
	while (tap_json_next(&it, &key, &v)) {
		f = in_place(find_field(key.p + 1, key.n > 2 ? key.n - 2 : 0, &odd), wanted);
		if (f == F_NONE || !(wanted >> f & 1) || !tls_given(&v))
			continue;
		if (f == F_INFO && val[f].type != 0)
			continue; /* both of its names: the first */
		if (odd)
			tls_warn(s, where, "member_name: %.*s taken as %s",
				 (int)(key.n - 2 > 60 ? 60 : key.n - 2), key.p + 1,
				 tls_field_name(f));
		val[f] = v;
		if (into >> f & 1 && v.type == '{')
			tls_collect(s, &v, wanted, 0, where, val);
	}
}

/* ---- values ---- */

/* A string of at most n bytes in its quotes: where it may be cut so that no escape is. */
static size_t cut_string(const char *p, size_t n, size_t most)
{
	size_t i = 1;

	while (i < most && i < n)
		i += p[i] != '\\' ? 1 : p[i + 1] == 'u' ? UNIT : 2;
	return i < n ? i : n;
}

/* The bytes of a string, or those of a number or word as they stand. */
static struct json_object *parse_scalar(struct tls *s, const struct tap_json *v, size_t most)
{
	struct json_object *o;

	json_tokener_reset(s->tok);
	if (v->type != '"' || v->n <= most)
		return json_tokener_parse_ex(s->tok, v->p, (int)v->n + (v->type != '"'));
	o = json_tokener_parse_ex(s->tok, v->p, (int)cut_string(v->p, v->n - 1, most));
	if (o == NULL)
		o = json_tokener_parse_ex(s->tok, "\"", 1);
	return o;
}

static const char *clean(struct tls *s, struct tap_arena *a, const char *p, size_t n, bool lower,
			 const char *where)
{
	size_t most = s->lim->text;
	unsigned notes = 0;
	char *t;

	if (n > most) {
		tls_warn(s, where, "text_cut: longer than %zu bytes (limit text)", most);
		n = tap_utf8_cut(p, n, most);
	}
	t = tap_text_clean(a, p, n, lower ? TAP_TEXT_LOWER : 0, &notes, NULL);
	if (notes & TAP_TEXT_REPAIRED)
		tls_warn(s, where, "bad_utf8: bytes that are no UTF-8 replaced");
	if (notes & TAP_TEXT_CONTROL)
		tls_warn(s, where, "control_characters: dropped");
	if (t == NULL)
		tls_warn(s, where, "left_out: too much text");
	return t;
}

const char *tls_text(struct tls *s, struct tap_arena *a, const struct tap_json *v, bool lower,
		     const char *where)
{
	struct json_object *o;
	const char *t;

	if (!tls_given(v))
		return NULL;
	if (v->type == '{' || v->type == '[') {
		tls_warn(s, where, "bad_type: text expected, ignored");
		return NULL;
	}
	if (v->type != '"') {
		tls_warn(s, where, "not_text: a number or word taken as text");
		return clean(s, a, v->p, v->n, lower, where);
	}
	o = parse_scalar(s, v, (size_t)s->lim->text * UNIT + 64);
	if (o == NULL || !json_object_is_type(o, json_type_string)) {
		tls_warn(s, where, "bad_text: ignored");
		t = NULL;
	} else {
		t = clean(s, a, json_object_get_string(o), (size_t)json_object_get_string_len(o),
			  lower, where);
	}
	json_object_put(o);
	return t;
}

uint64_t tls_add(uint64_t a, uint64_t b)
{
	return a > (uint64_t)INT64_MAX - b ? (uint64_t)INT64_MAX : a + b;
}

/* A number as JSON writes it. */
static uint64_t count_number(struct tls *s, const struct tap_json *v, const char *where)
{
	struct json_object *o = parse_scalar(s, v, SIZE_MAX);
	bool whole = memchr(v->p, '.', v->n) == NULL && memchr(v->p, 'e', v->n) == NULL &&
		     memchr(v->p, 'E', v->n) == NULL;
	double d = o ? json_object_get_double(o) : -1;
	uint64_t r = 0;

	if (o == NULL) {
		tls_warn(s, where, "bad_count: not a number, taken as 0");
	} else if (d < 0) {
		tls_warn(s, where, "bad_count: negative, taken as 0");
	} else if (d >= 9223372036854775807.0) {
		r = (uint64_t)INT64_MAX;
		tls_warn(s, where, "count_clamped: larger than 2^63-1");
	} else if (whole) {
		r = (uint64_t)json_object_get_int64(o);
	} else {
		r = (uint64_t)d;
		tls_warn(s, where,
			 (double)r == d ? "count_format: a whole number with fraction or exponent"
					: "bad_count: fraction dropped");
	}
	json_object_put(o);
	return r;
}

uint64_t tls_count(struct tls *s, const struct tap_json *v, const char *where)
{
	const char *t, *note;
	uint64_t r = 0;

	if (v->type == '0')
		return count_number(s, v, where);
	if (!tls_given(v)) {
		tls_warn(s, where, "missing_count: taken as 0");
		return 0;
	}
	t = v->type == '"' ? tls_text(s, s->rec_arena, v, false, where) : NULL;
	if (t == NULL || *t == '\0' || !tap_norm_count(t, &r, &note)) {
		tls_warn(s, where, "bad_count: not a number, taken as 0");
		return 0;
	}
	if (note && strncmp(note, "zero_count", 10) != 0)
		tls_warn(s, where, "%s", note);
	else
		tls_warn(s, where, "number_as_text: taken as a number");
	return r;
}

/* What stands behind the day: is there a zone? */
static bool has_zone(const char *t)
{
	const char *p = t + strcspn(t, "Tt ");

	return p[strcspn(p, "Zz+-")] != '\0' || strcasestr(p, "utc") || strcasestr(p, "gmt");
}

bool tls_date(struct tls *s, const struct tap_json *v, const char *where, int64_t *v_r,
	      const char **raw_r)
{
	const char *note, *t = NULL;

	if (!tls_given(v)) {
		tls_refuse(s, NULL, where, "missing");
		return false;
	}
	if (v->type == '0')
		t = tap_arena_strndup(s->meta_arena, v->p, v->n);
	else if (v->type == '"')
		t = tls_text(s, s->meta_arena, v, false, where);
	if (t == NULL || !tap_norm_date(t, v_r, &note)) {
		tls_refuse(s, v->p, where, "bad_date: neither RFC 3339 nor seconds: %.*s",
			   (int)(v->n > 60 ? 60 : v->n), v->p);
		return false;
	}
	*raw_r = t;
	if (note == NULL || strncmp(note, "iso_date", 8) != 0)
		tls_warn(s, where, "epoch_date: a number instead of RFC 3339%s%s", note ? "; " : "",
			 note ? note : "");
	else if (strlen(t) <= 10)
		tls_warn(s, where, "date_only: taken as midnight, UTC");
	else if (!has_zone(t))
		tls_warn(s, where, "missing_zone: taken as UTC");
	return true;
}

void tls_list(struct tls *s, const struct tap_json *v, const char *where, bool lower,
	      const char *const **list_r, size_t *n_r, bool *single_r)
{
	struct tap_json_iter it;
	struct tap_json item, key;
	const char **list, *t;
	size_t n = 0, most = 1;

	*list_r = NULL;
	*n_r = 0;
	*single_r = tls_given(v) && v->type != '[';
	if (!tls_given(v))
		return;
	if (!*single_r) {
		tap_json_enter(&it, v);
		for (most = 0; most < s->lim->list && tap_json_next(&it, &key, &item);)
			most++;
	}
	list = tap_arena_alloc(s->rec_arena, (most + 1) * sizeof *list);
	if (list == NULL) {
		tls_warn(s, where, "left_out: too much text");
		return;
	}
	if (*single_r) {
		t = tls_text(s, s->rec_arena, v, lower, where);
		if (t && *t)
			list[n++] = t;
	} else {
		tap_json_enter(&it, v);
		while (n < most && tap_json_next(&it, &key, &item)) {
			t = tls_text(s, s->rec_arena, &item, lower, where);
			if (t)
				list[n++] = t;
		}
		if (tap_json_next(&it, &key, &item))
			tls_warn(s, where, "list_cut: more than %zu of them (limit list)", most);
	}
	*list_r = list;
	*n_r = n;
}
