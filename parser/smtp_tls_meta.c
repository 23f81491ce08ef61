/* SPDX-License-Identifier: Apache-2.0
 * parser/smtp_tls_meta.c - the meta part of an SMTP TLS report: who, when, about which domains; its key; and what the mail that
 * carries it says otherwise. RFC 8460 sections 4.4 and 5.6 (where they differ, the report counts). */
#include "parser/smtp_tls_impl.h"

#include "parser/authres.h"
#include "parser/key.h"
#include "parser/normalise.h"
#include "parser/sniff.h"
#include "parser/utf8.h"
#include "parser/work.h"
#include "base/sha256.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY = 86400, HOUR = 3600 };

static const char *not_empty(const char *t)
{
	return t && *t ? t : NULL;
}

/* Piece 0 (the reporter) to 3 (the end) of receiver!domain!begin!end.json; false: the name has no such piece. */
static bool name_piece(const struct tls *s, int piece, const char **p_r, size_t *n_r)
{
	const char *p = s->doc->origin.filename, *slash = p ? strrchr(p, '/') : NULL;

	if (p == NULL || !tap_sniff_report_name(p))
		return false;
	if (slash)
		p = slash + 1;
	for (; piece > 0; piece--) {
		p = strchr(p, '!');
		if (p == NULL)
			return false;
		p++;
	}
	*p_r = p;
	*n_r =
	    strcspn(p, "!.") < strcspn(p, "!") && piece >= 2 ? strcspn(p, "!.") : strcspn(p, "!");
	return true;
}

/* A domain that the name of the file tells; NULL when it tells none. */
static const char *from_filename(struct tls *s, int piece)
{
	unsigned notes = 0;
	const char *p;
	char *t;
	size_t n;

	if (!name_piece(s, piece, &p, &n) || n == 0 || n > TAP_DOMAIN_MAX)
		return NULL;
	t = tap_text_clean(s->meta_arena, p, n, TAP_TEXT_LOWER, &notes, NULL);
	return t && notes == 0 && strchr(t, '.') && t[strcspn(t, " <>@/\\\"'")] == '\0' ? t : NULL;
}

/* A domain that the report lacks, by what stands around it. submitter: the reporter's, else the policy domain. */
static const char *guess(struct tls *s, bool submitter, const char **from_r)
{
	const struct tap_hints *h = s->doc->hints;
	const struct tap_mail_auth *a = s->auth;
	const struct {
		const char *value, *from;
	} by[] = {
	    {a ? (submitter ? a->tls_submitter : a->tls_domain) : NULL,
	     submitter ? "taken from TLS-Report-Submitter" : "taken from TLS-Report-Domain"},
	    {from_filename(s, submitter ? 0 : 1), "taken from the name of the file"},
	    {h ? (submitter ? h->submitter : h->domain) : NULL,
	     "taken from the subject of the mail"},
	    {h && submitter ? h->sender : NULL, "taken from the sender of the mail"},
	};

	for (size_t i = 0; i < sizeof by / sizeof by[0]; i++)
		if (not_empty(by[i].value)) {
			*from_r = by[i].from;
			return by[i].value;
		}
	*from_r = "absent";
	return NULL;
}

/* Domain of an address or of a URL; NULL when it has none. */
static const char *contact_domain(struct tls *s)
{
	const char *at = s->contact_sent ? strrchr(s->contact_sent, '@') : NULL;
	unsigned notes = 0;
	size_t n;

	if (at == NULL && s->contact_sent && (at = strstr(s->contact_sent, "://")) != NULL)
		at += 2;
	if (at == NULL)
		return NULL;
	n = strcspn(at + 1, "/:?> \t\n");
	if (n > 0 && at[n] == '.')
		n--;
	if (n == 0 || n > TAP_DOMAIN_MAX)
		return NULL;
	return tap_text_clean(s->meta_arena, at + 1, n, TAP_TEXT_LOWER, &notes, NULL);
}

static void set_who(struct tls *s)
{
	struct tap_meta *m = &s->meta;
	const char *from, *contact;

	s->contact_sent =
	    not_empty(tls_text(s, s->meta_arena, &s->val[F_CONTACT], false, "contact-info"));
	s->org_sent =
	    not_empty(tls_text(s, s->meta_arena, &s->val[F_ORG], false, "organization-name"));
	m->email = s->contact_sent;
	if (m->email == NULL)
		tls_warn(s, "contact-info", "missing_contact: absent or empty");
	m->org_name = s->org_sent;
	if (m->org_name)
		return;
	contact = contact_domain(s);
	m->org_name = contact ? contact : guess(s, true, &from);
	tls_warn(s, "organization-name", "missing_org_name: %s",
		 contact ? "the domain of contact-info is taken" : from);
}

static void set_id(struct tls *s)
{
	char hex[2 * TAP_HASH_BYTES + 1];

	s->id_sent = not_empty(tls_text(s, s->meta_arena, &s->val[F_ID], false, "report-id"));
	s->meta.report_id = s->id_sent;
	if (s->id_sent)
		return;
	tap_hex(s->end.content_hash, TAP_HASH_BYTES, hex);
	snprintf(s->id_by_hash, sizeof s->id_by_hash, "missing:%s", hex);
	s->meta.report_id = s->id_by_hash;
	tls_warn(s, "report-id", "missing_report_id: derived from the content");
}

static bool set_period(struct tls *s)
{
	struct tap_meta *m = &s->meta;
	static const char at[] = "date-range";
	const char *raw;
	int64_t t;

	if (!tls_date(s, &s->val[F_BEGIN], "date-range/start-datetime", &m->begin, &m->begin_raw) ||
	    !tls_date(s, &s->val[F_END], "date-range/end-datetime", &m->end, &m->end_raw))
		return false;
	if (m->begin > m->end) {
		t = m->begin;
		raw = m->begin_raw;
		m->begin = m->end;
		m->begin_raw = m->end_raw;
		m->end = t;
		m->end_raw = raw;
		tls_warn(s, at, "reversed_period: the end lies before the begin, swapped");
	} else if (m->begin == m->end) {
		tls_warn(s, at, "empty_period: begin and end are the same");
	}
	if (m->end - m->begin > DAY + 2 * HOUR)
		tls_warn(s, at, "long_period: %lld hours", (long long)((m->end - m->begin) / HOUR));
	if (s->opt->now != 0 && m->begin > s->opt->now + 2 * DAY)
		tls_warn(s, at, "future_period: it begins more than two days from now");
	return true;
}

/* ---- domains ---- */

static bool read_domains(struct tls *s)
{
	struct tap_json_iter it;
	struct tap_json v, val[F_N];
	size_t max = 0;
	const char *t;

	s->n_domains = 0;
	for (bool any = tls_policy_first(s, &it, &v); any; any = tap_json_next(&it, &v, &v))
		if (++max > TLS_POLICIES_MAX) {
			tls_refuse(s, v.p, "policies", "more than %d of them", TLS_POLICIES_MAX);
			return false;
		}
	s->domains = tap_arena_alloc(s->meta_arena, (max + 1) * sizeof *s->domains);
	if (s->domains == NULL) {
		tls_refuse(s, s->val[F_POLICIES].p, "policies", "too many of them");
		return false;
	}
	for (bool any = tls_policy_first(s, &it, &v); any; any = tap_json_next(&it, &v, &v)) {
		if (!tls_policy_members(s, &v, "", val))
			continue;
		tap_arena_reset(s->rec_arena);
		t = tls_text(s, s->rec_arena, &val[F_DOMAIN], true, "");
		t = t ? t : "";
		t = tap_arena_strndup(s->meta_arena, t, strnlen(t, TLS_DOMAIN_KEPT));
		if (t == NULL) {
			tls_refuse(s, v.p, "policies", "too many of them");
			return false;
		}
		s->domains[s->n_domains++] = t;
	}
	return true;
}

/* The domains of all policies as they were sent, in their order. */
static bool gather_domains(struct tls *s)
{
	bool done;

	s->quiet = true;
	done = read_domains(s);
	s->quiet = false;
	return done;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void set_domain(struct tls *s)
{
	const char *note, *from;
	char *t;

	for (size_t i = 0; i < s->n_domains && s->meta.domain == NULL; i++) {
		if (*s->domains[i] == '\0')
			continue;
		t = tap_arena_strdup(s->meta_arena, s->domains[i]);
		if (t == NULL)
			return;
		tap_norm_domain(t, &note);
		s->meta.domain = not_empty(t);
	}
	if (s->meta.domain == NULL)
		s->meta.domain = guess(s, false, &from);
}

/* ---- the key ---- */

/* [I3]: over the values as they were sent; what is missing is replaced only by what stands in the report itself. */
static void set_uid(struct tls *s)
{
	unsigned char digest[TAP_SHA256_BYTES];
	struct tap_sha256 h;

	tap_sha256_init(&h);
	tap_key_field(&h, "smtp-tls", false);
	tap_key_field(&h, s->org_sent ? s->org_sent : contact_domain(s), true);
	tap_key_field(&h, s->meta.report_id, false);
	qsort(s->domains, s->n_domains, sizeof *s->domains, by_name);
	for (size_t i = 0; i < s->n_domains; i++)
		tap_key_field(&h, s->domains[i], true);
	tap_key_field(&h, s->meta.begin_raw, false);
	tap_key_field(&h, s->meta.end_raw, false);
	tap_sha256_final(&h, digest);
	tap_hex(digest, (TAP_UID_HEX - 1) / 2, s->meta.uid);
}

/* ---- what the mail says ---- */

static bool same_domain(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	n -= n > 0 && a[n - 1] == '.';
	m -= m > 0 && b[m - 1] == '.';
	return n == m && strncasecmp(a, b, n) == 0;
}

/* a is b, or below it. */
static bool is_below(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	return same_domain(a, b) || (n > m && a[n - m - 1] == '.' && same_domain(a + n - m, b));
}

static bool has_policy_for(const struct tls *s, const char *domain)
{
	for (size_t i = 0; i < s->n_domains; i++)
		if (same_domain(s->domains[i], domain))
			return true;
	return false;
}

static void compare_mail(struct tls *s)
{
	const struct tap_mail_auth *a = s->auth;
	const char *contact = contact_domain(s);

	if (a == NULL)
		return;
	if (a->tls_domain && !has_policy_for(s, a->tls_domain))
		tls_warn(s, "policies", "domain_mismatch: TLS-Report-Domain says %.255s",
			 a->tls_domain);
	if (a->tls_submitter && contact && !is_below(contact, a->tls_submitter) &&
	    !is_below(a->tls_submitter, contact))
		tls_warn(s, "contact-info", "submitter_mismatch: TLS-Report-Submitter says %.255s",
			 a->tls_submitter);
}

static bool other_second(const char *p, size_t n, int64_t second)
{
	int64_t v = 0;

	for (size_t i = 0; i < n && p[i] >= '0' && p[i] <= '9' && v < INT64_MAX / 100; i++)
		v = v * 10 + (p[i] - '0');
	return v != second;
}

static void compare_name(struct tls *s)
{
	char domain[TAP_DOMAIN_MAX + 1];
	const char *p;
	size_t n;

	if (!name_piece(s, 1, &p, &n))
		return;
	snprintf(domain, sizeof domain, "%.*s", n < sizeof domain ? (int)n : 0, p);
	if (s->n_domains > 0 && !has_policy_for(s, domain))
		tls_warn(s, "document", "name_mismatch: the name of the file tells another domain");
	for (int i = 2; i <= 3; i++)
		if (name_piece(s, i, &p, &n) &&
		    other_second(p, n, i == 2 ? s->meta.begin : s->meta.end))
			tls_warn(s, "document",
				 "name_mismatch: the name of the file tells another %s",
				 i == 2 ? "begin" : "end");
}

/* RFC 8460 section 3: what is not signed by the reporter must be ignored. What is done with it is the administrator's choice. */
static void judge(struct tls *s)
{
	const struct tap_trust_rules *rules = s->opt->trust;

	if (s->doc->work == NULL)
		return;
	tap_work_judge(s->doc->work, &s->meta);
	if (s->auth && rules && rules->n_authserv_ids > 0 && s->meta.trust.auth != TAP_AUTH_PASS)
		tls_warn(s, "document",
			 "tlsrpt_unsigned: no trusted field says that the mail was authenticated");
}

bool tls_begin(struct tls *s, const struct tap_json *report)
{
	static const uint32_t members = 1u << F_ORG | 1u << F_DATES | 1u << F_BEGIN | 1u << F_END |
					1u << F_CONTACT | 1u << F_ID | 1u << F_POLICIES;
	enum tap_rc rc;

	memset(s->val, 0, sizeof s->val);
	s->meta = (struct tap_meta){.kind = TAP_KIND_SMTP_TLS, .origin = s->doc->origin};
	tls_collect(s, report, members, 1u << F_DATES, "document", s->val);
	if (s->val[F_POLICIES].type != '[' && s->val[F_POLICIES].type != '{') {
		tls_refuse(s, report->p, "policies", "missing, or no list");
		return false;
	}
	if (!set_period(s))
		return false;
	set_who(s);
	set_id(s);
	if (!gather_domains(s))
		return false;
	set_domain(s);
	set_uid(s);
	compare_mail(s);
	compare_name(s);
	judge(s);
	if (s->ev) {
		rc = s->ev->begin(s->ctx, &s->meta, s->err);
		if (rc != TAP_OK) {
			s->fatal = rc;
			return false;
		}
	}
	s->begun = true;
	return true;
}
