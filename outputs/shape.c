/* SPDX-License-Identifier: Apache-2.0
 * outputs/shape.c - defaults, fall-backs and dates of the text forms; see shape.h. */
#include "outputs/shape.h"

#include "base/clock.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static bool empty(const char *s)
{
	return s == NULL || *s == '\0';
}

static size_t format_date(int64_t year, const int part[5], char out[TAP_SHAPE_DATE])
{
	int n = snprintf(out, TAP_SHAPE_DATE, "%04lld-%02d-%02d %02d:%02d:%02d", (long long)year,
			 part[0], part[1], part[2], part[3], part[4]);

	if (n < 0) {
		out[0] = '\0';
		return 0;
	}
	return (size_t)n < TAP_SHAPE_DATE ? (size_t)n : TAP_SHAPE_DATE - 1;
}

size_t tap_shape_date(int64_t t, bool local, char out[TAP_SHAPE_DATE])
{
	struct tap_date d;
	struct tm tm;
	time_t clock = (time_t)t;

	if (local && localtime_r(&clock, &tm) != NULL) {
		const int part[5] = {tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec};
		return format_date((int64_t)tm.tm_year + 1900, part, out);
	}
	tap_time_utc(t, &d);
	const int part[5] = {d.month, d.day, d.hour, d.minute, d.second};
	return format_date(d.year, part, out);
}

const char *tap_shape_text(const char *s, bool compat4)
{
	return compat4 && empty(s) ? NULL : s;
}

const char *tap_shape_version(const struct tap_meta *m)
{
	return empty(m->version) ? "draft" : m->version;
}

const char *tap_shape_schema(const struct tap_meta *m)
{
	static const char *const name[TAP_SCHEMA_N] = {
	    [TAP_SCHEMA_DRAFT] = "draft",
	    [TAP_SCHEMA_RFC7489] = "rfc7489",
	    [TAP_SCHEMA_XML_0_2] = "dmarc-xml-0.2",
	    [TAP_SCHEMA_RFC9990] = "rfc9990",
	};

	return m->schema < TAP_SCHEMA_N ? name[m->schema] : NULL;
}

static const char *word(const char *const *name, size_t n, unsigned i)
{
	return i < n ? name[i] : NULL;
}

const char *tap_shape_auth(enum tap_auth_state a)
{
	static const char *const name[TAP_AUTH_N] = {
	    [TAP_AUTH_UNKNOWN] = "unknown",
	    [TAP_AUTH_NONE] = "none",
	    [TAP_AUTH_FAIL] = "fail",
	    [TAP_AUTH_PASS] = "pass",
	};

	return word(name, TAP_AUTH_N, a);
}

const char *tap_shape_agree(enum tap_agree a)
{
	static const char *const name[TAP_AGREE_N] = {
	    [TAP_AGREE_UNKNOWN] = "unknown",
	    [TAP_AGREE_YES] = "yes",
	    [TAP_AGREE_NO] = "no",
	};

	return word(name, TAP_AGREE_N, a);
}

const char *tap_shape_kind(enum tap_kind k)
{
	switch (k) {
	case TAP_KIND_AGGREGATE: return "aggregate";
	case TAP_KIND_FAILURE: return "failure";
	case TAP_KIND_SMTP_TLS: return "smtp_tls";
	case TAP_KIND_FEEDBACK: return "feedback";
	case TAP_KIND_ALL: break;
	}
	return NULL;
}

const char *tap_shape_format(const struct tap_failure *f)
{
	static const char *const name[TAP_FORMAT_N] = {
	    [TAP_FORMAT_ARF] = "arf",
	    [TAP_FORMAT_EXIM_TEXT] = "exim-text",
	};

	return word(name, TAP_FORMAT_N, f->format);
}

const char *tap_shape_one(const struct tap_list_of *l, bool compat4)
{
	return l->n == 0 ? NULL : l->item[compat4 ? l->n - 1 : 0];
}

const struct tap_list_of *tap_shape_mechanisms(const struct tap_failure *f, bool compat4)
{
	static const struct tap_list_of nothing = {0};
	const struct tap_list_of *l = &f->identity_alignment;

	if (!compat4)
		return &f->aligned_mechanisms;
	return l->n == 1 && strcasecmp(l->item[0], "none") == 0 ? &nothing : l;
}

const char *tap_shape_utc(int64_t t, char out[TAP_SHAPE_DATE])
{
	if (t == TAP_NO_TIME)
		return NULL;
	tap_shape_date(t, false, out);
	return out;
}

const char *tap_shape_zone(const struct tap_sample *p, char out[TAP_SHAPE_DATE])
{
	int32_t minutes = p->zone < 0 ? -p->zone : p->zone;
	int cent = (int)(minutes % 60) * 100 / 60;
	int n;

	if (!p->has_zone)
		return NULL;
	n = snprintf(out, TAP_SHAPE_DATE, "%c%d", p->zone < 0 ? '-' : '+', (int)(minutes / 60));
	if (cent > 0 && n > 0)
		(void)snprintf(out + n, TAP_SHAPE_DATE - (size_t)n,
			       cent % 10 == 0 ? ".%d" : ".%02d", cent % 10 == 0 ? cent / 10 : cent);
	return out;
}

size_t tap_shape_trimmed(const char *s)
{
	size_t n = strlen(s);

	while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == '\r'))
		n--;
	return n;
}

static bool unsafe(char c, bool compat4)
{
	if (c == '\n' || c == '\r' || strchr("\\/:\"*?|", c) != NULL)
		return true;
	return !compat4 && (c == '<' || c == '>' || (unsigned char)c < 0x20 || c == 0x7F);
}

const char *tap_shape_safe_subject(const char *subject, bool compat4, char room[TAP_SHAPE_ID])
{
	size_t n = 0, most = compat4 ? TAP_SHAPE_ID - 1 : 100;

	if (subject == NULL)
		return compat4 ? "None" : NULL;
	for (const char *s = subject; *s != '\0' && n < TAP_SHAPE_ID - 1; s++)
		if (!unsafe(*s, compat4) && (compat4 || n > 0 || *s != '.'))
			room[n++] = *s;
	if (n > most) {
		n = most;
		while (n > 0 && ((unsigned char)room[n] & 0xC0) == 0x80)
			n--;
	}
	while (n > 0 && room[n - 1] == '.')
		n--;
	room[n] = '\0';
	return room;
}

const char *tap_shape_report_id(const struct tap_meta *m, bool compat4, char room[TAP_SHAPE_ID])
{
	size_t n = 0;

	if (!compat4 || m->report_id == NULL)
		return m->report_id;
	for (const char *s = m->report_id; *s != '\0' && *s != '@' && n < TAP_SHAPE_ID - 1; s++)
		if (*s != '<' && *s != '>')
			room[n++] = *s;
	room[n] = '\0';
	return room;
}

void tap_shape_policy(const struct tap_meta *m, bool compat4, struct tap_shape_policy *out)
{
	memset(out, 0, sizeof *out);
	out->adkim_defaulted = empty(m->adkim);
	out->aspf_defaulted = empty(m->aspf);
	out->sp_defaulted = empty(m->sp);
	out->adkim = out->adkim_defaulted ? "r" : m->adkim;
	out->aspf = out->aspf_defaulted ? "r" : m->aspf;
	out->p = m->p;
	out->sp = out->sp_defaulted ? m->p : m->sp;
	out->pct = compat4 && empty(m->pct) ? "100" : m->pct;
	out->fo = compat4 && empty(m->fo) ? "0" : m->fo;
}

const char *tap_shape_disposition_norm(const struct tap_record *r)
{
	if (r->disposition != NULL && strcmp(r->disposition, "pass") == 0)
		return "none";
	return r->disposition;
}

const char *tap_shape_disposition(const struct tap_record *r, bool compat4)
{
	if (!compat4)
		return r->disposition;
	return empty(r->disposition) ? "none" : tap_shape_disposition_norm(r);
}

const char *tap_shape_envelope_from(const struct tap_record *r, bool compat4)
{
	if (!empty(r->envelope_from))
		return r->envelope_from;
	for (size_t i = r->n_spf; i-- > 0;) {
		const struct tap_auth_result *a = &r->spf[i];
		bool helo = a->label != NULL && strcmp(a->label, "helo") == 0;

		if (!empty(a->domain) && (compat4 || !helo))
			return a->domain;
	}
	return NULL;
}

bool tap_shape_keeps(const struct tap_auth_result *a, bool compat4)
{
	return !compat4 || !empty(a->domain);
}

bool tap_shape_long_span(const struct tap_meta *m)
{
	return m->end - m->begin > 26 * 3600;
}
