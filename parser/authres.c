/* SPDX-License-Identifier: Apache-2.0
 * parser/authres.c - see authres.h. */
#include "parser/authres.h"
#include "base/buf.h"
#include "parser/address.h"
#include "parser/field.h"
#include "parser/received.h"
#include "parser/utf8.h"

#include <gmime/gmime.h>
#include <string.h>
#include <strings.h>

enum { FIELD_BYTES = 65536, PROPERTIES = 32 };

struct scan {
	struct tap_arena *a;
	const char *p, *end;
	bool broken; /* a quote that is not closed: nothing behind it is read */
	bool full;
};

static const char *copy(struct scan *s, const char *p, size_t n, unsigned flags)
{
	unsigned notes = 0;
	const char *c = tap_text_clean(s->a, p, n, flags, &notes, NULL);

	s->full |= c == NULL;
	return c;
}

static void blanks(struct scan *s)
{
	s->p = tap_cfws_skip(s->p, s->end);
}

static bool at(const struct scan *s, char c)
{
	return s->p < s->end && *s->p == c;
}

/* Words of letters, digits and "-", "_": methods, results, names of properties. */
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static const char *word(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && is_word(*s->p))
		s->p++;
	return s->p > from ? copy(s, from, (size_t)(s->p - from), TAP_TEXT_LOWER) : NULL;
}

/* A token, a quoted string, or pieces of both with no blank between them (the local part of an address may be quoted); ends at a
 * blank, a comment or ";". Without the quotes when it is quoted as a whole. */
static const char *value(struct scan *s)
{
	const char *from = s->p, *q;
	bool pure = at(s, '"');
	char *out;
	size_t n = 0;

	while (s->p < s->end && !tap_is_space(*s->p) && *s->p != ';' && *s->p != '(') {
		if (*s->p != '"') {
			s->p++;
			pure = false;
			continue;
		}
		q = tap_quoted_skip(s->p, s->end);
		if (q == NULL) {
			s->broken = true;
			s->p = s->end;
			return NULL;
		}
		pure = pure && s->p == from;
		s->p = q;
	}
	if (s->p == from)
		return NULL;
	if (!pure)
		return copy(s, from, (size_t)(s->p - from), 0);
	out = tap_arena_alloc(s->a, (size_t)(s->p - from));
	if (out == NULL) {
		s->full = true;
		return NULL;
	}
	for (q = from + 1; q < s->p - 1; q++) {
		if (*q == '\\' && q + 1 < s->p - 1)
			q++;
		out[n++] = *q;
	}
	return copy(s, out, n, 0);
}

/* To the ";" that ends this result. */
static void to_semicolon(struct scan *s)
{
	while (s->p < s->end && *s->p != ';') {
		if (*s->p == '"') {
			s->p = tap_quoted_skip(s->p, s->end);
			s->broken |= s->p == NULL;
			if (s->p == NULL)
				s->p = s->end;
		} else if (*s->p == '(') {
			blanks(s);
		} else {
			s->p++;
		}
	}
}

/* "reason=…", or ptype "." property "=" value; false when it is neither (the position then stands on it still). */
static bool property(struct scan *s, struct tap_auth_method *m, struct tap_auth_property *prop)
{
	const char *from = s->p, *ptype, *name = NULL;

	memset(prop, 0, sizeof *prop);
	ptype = word(s);
	blanks(s);
	if (ptype && at(s, '.')) {
		s->p++;
		blanks(s);
		name = word(s);
		blanks(s);
	}
	if (ptype == NULL || !at(s, '=')) {
		s->p = from;
		return false;
	}
	s->p++;
	blanks(s);
	if (name == NULL) {
		const char *v = value(s);

		if (strcmp(ptype, "reason") == 0 && m->reason == NULL)
			m->reason = v;
		return true;
	}
	prop->ptype = ptype;
	prop->name = name;
	prop->value = value(s);
	return true;
}

static void properties(struct scan *s, struct tap_auth_method *m)
{
	struct tap_auth_property list[PROPERTIES], *kept, p;
	size_t n = 0;

	for (;;) {
		blanks(s);
		if (s->p == s->end || *s->p == ';' || s->broken || s->full)
			break;
		if (!property(s, m, &p)) {
			/* A word that says nothing: over it. */
			if (value(s) == NULL && s->p < s->end && !s->broken)
				s->p++;
		} else if (p.value && n < PROPERTIES) {
			list[n++] = p;
		}
	}
	if (n == 0)
		return;
	kept = tap_arena_alloc(s->a, n * sizeof *kept);
	if (kept == NULL) {
		s->full = true;
		return;
	}
	memcpy(kept, list, n * sizeof *kept);
	m->property = kept;
	m->n_property = n;
}

/* method ["/" version] "=" result …; false when it is not that. */
static bool result(struct scan *s, struct tap_auth_method *m)
{
	memset(m, 0, sizeof *m);
	blanks(s);
	m->method = word(s);
	blanks(s);
	if (m->method && at(s, '/')) {
		s->p++;
		blanks(s);
		(void)word(s);
		blanks(s);
	}
	if (m->method == NULL || !at(s, '=')) {
		to_semicolon(s);
		return false;
	}
	s->p++;
	blanks(s);
	m->result = word(s);
	if (m->result == NULL ||
	    (s->p < s->end && !tap_is_space(*s->p) && *s->p != ';' && *s->p != '(')) {
		to_semicolon(s);
		return false;
	}
	properties(s, m);
	return !s->broken;
}

static bool results(struct scan *s, struct tap_auth_field *f, size_t max)
{
	struct tap_auth_method list[TAP_AUTH_FIELDS], *kept;
	size_t n = 0;

	while (s->p < s->end && n < max && !s->broken && !s->full) {
		if (at(s, ';')) {
			s->p++;
			continue;
		}
		if (result(s, &list[n]))
			n++;
	}
	if (n == 0)
		return !s->full;
	kept = tap_arena_alloc(s->a, n * sizeof *kept);
	if (kept == NULL || s->full)
		return false;
	memcpy(kept, list, n * sizeof *kept);
	f->method = kept;
	f->n_method = n;
	return true;
}

/* The authserv-id and the version; false: there is none, or the version is one that is not known. */
static bool identity(struct scan *s, struct tap_auth_field *f)
{
	const char *from = s->p;

	f->authserv_id = value(s);
	/* "dmarc=fail …": a result stands where the id should. */
	if (f->authserv_id == NULL || *from == '=' ||
	    (*from != '"' && memchr(from, '=', (size_t)(s->p - from)) != NULL)) {
		f->authserv_id = NULL;
		s->p = from;
		return false;
	}
	blanks(s);
	if (at(s, '=')) {
		f->authserv_id = NULL;
		s->p = from;
		return false;
	}
	return true;
}

static bool version(struct scan *s)
{
	const char *v;

	blanks(s);
	if (s->p == s->end || *s->p == ';')
		return true;
	v = value(s);
	blanks(s);
	return v && strcmp(v, "1") == 0 && (s->p == s->end || *s->p == ';');
}

/* Bytes that no name holds, and that a mail server compares as they are; here they would be cleaned away. */
static bool has_control(const char *p, const char *end)
{
	for (; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '\r' && p + 1 < end && p[1] == '\n')
			continue;
		if ((c < ' ' && c != '\t' && c != '\n') || c == 0x7f ||
		    (c == 0xc2 && p + 1 < end && (unsigned char)p[1] < 0xa0))
			return true;
	}
	return false;
}

static struct tap_auth_field *parse(struct tap_arena *a, const char *p, size_t n, bool lenient,
				    size_t max)
{
	struct scan s = {.a = a, .p = p, .end = p + (n < FIELD_BYTES ? n : FIELD_BYTES)};
	struct tap_auth_field *f = tap_arena_alloc(a, sizeof *f);

	if (f == NULL)
		return NULL;
	blanks(&s);
	if (identity(&s, f)) {
		if (!version(&s) || (!lenient && has_control(p, s.p)))
			return NULL;
	} else if (!lenient || s.broken) {
		return NULL;
	}
	if (!results(&s, f, max))
		return NULL;
	return f->authserv_id || f->n_method > 0 ? f : NULL;
}

const struct tap_auth_field *tap_authres_parse(struct tap_arena *a, const char *value_, size_t n,
					       bool lenient)
{
	return parse(a, value_, n, lenient, TAP_AUTH_FIELDS);
}

/* --- the header of a message ------------------------------------------------------------------------------------------ */

struct read {
	struct tap_arena *a;
	struct tap_mail_auth *m;
	struct tap_auth_field *field;
	size_t results;
	uint32_t hops;
	unsigned froms;
	bool subject, tls_domain, tls_submitter;
};

static void read_authres(struct read *r, const struct tap_field *f)
{
	struct tap_auth_field *parsed;

	/* A mail server that removes forged fields may not know the old form, with blanks before the colon. */
	if (f->spaced || r->m->n_field >= TAP_AUTH_FIELDS || r->results >= TAP_AUTH_FIELDS)
		return;
	parsed = parse(r->a, f->value, f->value_len, false, TAP_AUTH_FIELDS - r->results);
	if (parsed == NULL)
		return;
	parsed->hops = r->hops;
	r->results += parsed->n_method;
	r->field[r->m->n_field++] = *parsed;
}

static void read_received(struct read *r, const struct tap_field *f)
{
	struct tap_received hop;

	r->hops++;
	if (r->m->n_by >= TAP_AUTH_HOPS)
		return;
	if (tap_received_parse(r->a, f->value, f->value_len, &hop)) {
		r->m->by[r->m->n_by] =
		    hop.by ? tap_domain_copy(r->a, hop.by, strlen(hop.by)) : NULL;
		r->m->peer[r->m->n_by] = hop.peer;
	}
	r->m->n_by++;
}

static void read_from(struct read *r, const struct tap_field *f)
{
	struct tap_mailboxes list = {0};
	bool cut;

	r->m->from_domain = NULL;
	if (r->froms++ > 0)
		return;
	if (tap_address_list(r->a, f->value,
			     f->value_len < FIELD_BYTES ? f->value_len : FIELD_BYTES, 2, &list,
			     &cut, NULL) == TAP_OK &&
	    list.n == 1 && !cut && list.item[0].domain)
		r->m->from_domain =
		    tap_domain_copy(r->a, list.item[0].domain, strlen(list.item[0].domain));
}

/* The word that follows a name in the subject, without angle brackets; "" when there is none. */
static const char *after(const char *subject, const char *name, size_t *len_r)
{
	const char *p = strcasestr(subject, name);

	*len_r = 0;
	if (p == NULL)
		return "";
	p += strlen(name);
	p += strspn(p, " \t\r\n<");
	*len_r = strcspn(p, " \t\r\n<>");
	return p;
}

static void read_subject(struct read *r, const struct tap_field *f)
{
	char *raw, *text;
	const char *p;
	size_t n;

	if (r->subject)
		return;
	r->subject = true;
	raw = tap_unfold(r->a, f->value, f->value_len < FIELD_BYTES ? f->value_len : FIELD_BYTES);
	text = raw ? g_mime_utils_header_decode_text(NULL, raw) : NULL;
	if (text == NULL)
		return;
	p = after(text, "domain:", &n);
	r->m->subject_domain = tap_domain_copy(r->a, p, n);
	p = after(text, "submitter:", &n);
	r->m->subject_submitter = tap_domain_copy(r->a, p, n);
	p = after(text, "report-id:", &n);
	if (n > 0) {
		unsigned notes = 0;

		r->m->subject_report_id = tap_text_clean(r->a, p, n, 0, &notes, NULL);
	}
	g_free(text);
}

static void read_field(struct read *r, const struct tap_field *f)
{
	if (tap_field_is(f, "Authentication-Results")) {
		read_authres(r, f);
	} else if (tap_field_is(f, "Received")) {
		read_received(r, f);
	} else if (tap_field_is(f, "From")) {
		read_from(r, f);
	} else if (tap_field_is(f, "Subject")) {
		read_subject(r, f);
	} else if (tap_field_is(f, "TLS-Report-Domain") && !r->tls_domain) {
		r->tls_domain = true;
		r->m->tls_domain = tap_domain_copy(r->a, f->value, f->value_len);
	} else if (tap_field_is(f, "TLS-Report-Submitter") && !r->tls_submitter) {
		r->tls_submitter = true;
		r->m->tls_submitter = tap_domain_copy(r->a, f->value, f->value_len);
	}
}

/* Behind the line that a file of mbox form begins with. */
static const char *skip_from_line(const char *p, const char *end)
{
	const char *lf = NULL;

	if (end - p > 5 && memcmp(p, *p == '>' ? ">From " : "From ", *p == '>' ? 6 : 5) == 0)
		lf = memchr(p, '\n', (size_t)(end - p));
	return lf ? lf + 1 : p;
}

const struct tap_mail_auth *tap_mail_auth_read(struct tap_arena *a, const char *block, size_t n)
{
	struct read r = {.a = a};
	struct tap_field f;
	const char *end = block + n, *p = skip_from_line(block, end);
	size_t bad = 0;

	r.m = tap_arena_alloc(a, sizeof *r.m);
	r.field = tap_arena_alloc(a, TAP_AUTH_FIELDS * sizeof *r.field);
	if (r.m == NULL || r.field == NULL)
		return NULL;
	r.m->field = r.field;
	while (tap_field_next(&p, end, &f, &bad))
		read_field(&r, &f);
	if (bad > 0)
		r.m->n_field = 0;
	return r.m;
}
