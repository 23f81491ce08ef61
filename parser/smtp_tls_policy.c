/* SPDX-License-Identifier: Apache-2.0
 * parser/smtp_tls_policy.c - the policies of an SMTP TLS report and their failure details, as events. One detail is in memory at a
 * time, however many there are. Counts are handed over as they are sent: types of failure overlap, so that a total need not be the
 * sum of its details. RFC 8460 section 4.3. */
#include "parser/smtp_tls_impl.h"

#include "parser/authres.h"
#include "parser/normalise.h"
#include <stdio.h>
#include <string.h>

enum { ASK_EVERY = 256 };

static const char *const policy_types[] = {"tlsa", "sts", "no-policy-found"};

bool tls_policy_first(const struct tls *s, struct tap_json_iter *it, struct tap_json *v)
{
	const struct tap_json *all = &s->val[F_POLICIES];
	struct tap_json key;

	if (all->type == '[') {
		tap_json_enter(it, all);
		return tap_json_next(it, &key, v);
	}
	/* One policy, not in a list. */
	*it = (struct tap_json_iter){.p = all->p + all->n, .end = all->p + all->n};
	*v = *all;
	return all->type == '{';
}

bool tls_policy_members(struct tls *s, const struct tap_json *v, const char *where,
			struct tap_json val[F_N])
{
	static const uint32_t members = 1u << F_POLICY | 1u << F_SUMMARY | 1u << F_DETAILS |
					1u << F_TYPE | 1u << F_STRINGS | 1u << F_DOMAIN |
					1u << F_MX | 1u << F_SUCCESSFUL | 1u << F_FAILED;

	memset(val, 0, F_N * sizeof *val);
	if (v->type != '{')
		return false;
	tls_collect(s, v, members, 1u << F_POLICY | 1u << F_SUMMARY, where, val);
	return true;
}

/* ---- failure details ---- */

static bool detail_first(const struct tap_json *all, struct tap_json_iter *it, struct tap_json *v)
{
	struct tap_json key;

	if (all->type == '[') {
		tap_json_enter(it, all);
		return tap_json_next(it, &key, v);
	}
	*it = (struct tap_json_iter){.p = all->p, .end = all->p};
	*v = *all;
	return all->type == '{';
}

static void detail_members(struct tls *s, const struct tap_json *v, const char *where,
			   struct tap_json val[F_N])
{
	static const uint32_t members = 1u << F_RESULT | 1u << F_SENDING_IP | 1u << F_MX_NAME |
					1u << F_HELO | 1u << F_RECEIVING_IP | 1u << F_COUNT |
					1u << F_INFO | 1u << F_REASON;

	memset(val, 0, F_N * sizeof *val);
	tls_collect(s, v, members, 0, where, val);
}

/* How many details follow; their sum when it is asked for. */
static uint64_t count_details(struct tls *s, const struct tap_json *all, uint64_t *sum)
{
	uint64_t n = 0;
	struct tap_json_iter it;
	struct tap_json v, val[F_N];

	s->quiet = true;
	for (bool any = detail_first(all, &it, &v); any; any = tap_json_next(&it, &v, &v)) {
		if (v.type != '{')
			continue;
		n++;
		if (sum == NULL)
			continue;
		detail_members(s, &v, "", val);
		tap_arena_reset(s->rec_arena);
		*sum = tls_add(*sum, tls_count(s, &val[F_COUNT], ""));
	}
	s->quiet = false;
	return n;
}

static const char *address(struct tls *s, const struct tap_json *v, const char *where)
{
	const char *t = tls_text(s, s->rec_arena, v, false, where), *note, *copy;
	char ip[TAP_IP_TEXT];

	if (t == NULL || *t == '\0')
		return NULL;
	if (!tap_norm_ip(t, ip, &note)) {
		tls_warn(s, where, "bad_ip: not an address");
		return t;
	}
	if (note)
		tls_warn(s, where, "%s", note);
	copy = tap_arena_strndup(s->rec_arena, ip, strlen(ip));
	return copy ? copy : t;
}

static const char *detail_text(struct tls *s, struct tap_json val[F_N], enum tls_field f,
			       bool lower, const char *where)
{
	char at[2 * TLS_WHERE];
	const char *t;

	if (!tls_given(&val[f]))
		return NULL;
	snprintf(at, sizeof at, "%s/%s", where, tls_field_name(f));
	if (f == F_SENDING_IP || f == F_RECEIVING_IP)
		return address(s, &val[f], at);
	t = tls_text(s, s->rec_arena, &val[f], lower, at);
	return t && *t ? t : NULL;
}

static bool emit_detail(struct tls *s, const struct tap_json *v, uint32_t policy, uint64_t index)
{
	struct tap_tls_detail d = {.policy = policy, .index = index};
	struct tap_json val[F_N];
	char where[TLS_WHERE], at[2 * TLS_WHERE];
	enum tap_rc rc;

	snprintf(where, sizeof where, "policies[%u]/failure-details[%llu]", policy,
		 (unsigned long long)index);
	if (v->type != '{') {
		tls_warn(s, where, "bad_type: no object, left out");
		s->end.dropped++;
		return true;
	}
	tap_arena_reset(s->rec_arena);
	detail_members(s, v, where, val);
	d.result_type = detail_text(s, val, F_RESULT, true, where);
	if (d.result_type == NULL) {
		tls_warn(s, where, "missing_result_type: taken as validation-failure");
		d.result_type = "validation-failure";
	}
	snprintf(at, sizeof at, "%s/%s", where, tls_field_name(F_COUNT));
	d.failed = tls_count(s, &val[F_COUNT], at);
	d.sending_mta_ip = detail_text(s, val, F_SENDING_IP, false, where);
	d.receiving_ip = detail_text(s, val, F_RECEIVING_IP, false, where);
	d.receiving_mx_hostname = detail_text(s, val, F_MX_NAME, true, where);
	d.receiving_mx_helo = detail_text(s, val, F_HELO, false, where);
	d.additional_info = detail_text(s, val, F_INFO, false, where);
	d.failure_reason_code = detail_text(s, val, F_REASON, false, where);
	s->end.details++;
	rc = s->ev && s->ev->tls_detail ? s->ev->tls_detail(s->ctx, &d, s->err) : TAP_OK;
	if (rc != TAP_OK)
		s->fatal = rc;
	return rc == TAP_OK;
}

static void emit_details(struct tls *s, const struct tap_json *all, uint32_t policy)
{
	uint64_t index = 0;
	struct tap_json_iter it;
	struct tap_json v;

	for (bool any = detail_first(all, &it, &v); any; any = tap_json_next(&it, &v, &v)) {
		if (s->end.details >= s->lim->records) {
			tls_refuse(s, v.p, "failure-details",
				   "more than %llu of them (limit records)",
				   (unsigned long long)s->lim->records);
			return;
		}
		if (index % ASK_EVERY == 0 && tls_cancelled(s))
			return;
		if (!emit_detail(s, &v, policy, index++))
			return;
	}
}

/* ---- policies ---- */

static void set_type(struct tls *s, const struct tap_json val[F_N], const char *where,
		     struct tap_tls_policy *p)
{
	char at[2 * TLS_WHERE];

	snprintf(at, sizeof at, "%s/policy/policy-type", where);
	p->policy_type = tls_text(s, s->rec_arena, &val[F_TYPE], true, at);
	if (p->policy_type == NULL || *p->policy_type == '\0') {
		p->policy_type = NULL;
		tls_warn(s, at, "missing_policy_type: absent or empty");
		return;
	}
	for (size_t i = 0; i < sizeof policy_types / sizeof policy_types[0]; i++)
		if (strcmp(p->policy_type, policy_types[i]) == 0)
			return;
	tls_warn(s, at, "unknown_word: %.100s", p->policy_type);
}

static void set_domain(struct tls *s, const struct tap_json val[F_N], const char *where,
		       struct tap_tls_policy *p)
{
	char at[2 * TLS_WHERE], *copy;
	const char *t, *note;

	snprintf(at, sizeof at, "%s/policy/policy-domain", where);
	t = tls_text(s, s->rec_arena, &val[F_DOMAIN], true, at);
	if (t && *t) {
		copy = tap_arena_strndup(s->rec_arena, t, strlen(t));
		if (copy == NULL)
			return;
		tap_norm_domain(copy, &note);
		if (note)
			tls_warn(s, at, "%s", note);
		p->policy_domain = *copy ? copy : NULL;
	} else {
		/* Of the mail or the name of the file: what stands for the whole report, if it is about one domain. */
		p->policy_domain = s->n_domains == 1 ? s->meta.domain : NULL;
		tls_warn(s, at, "missing_domain: %s",
			 p->policy_domain ? "taken from what stands around the report" : "absent");
	}
}

static void set_counts(struct tls *s, const struct tap_json val[F_N], const char *where,
		       struct tap_tls_policy *p)
{
	bool ok = tls_given(&val[F_SUCCESSFUL]), failed = tls_given(&val[F_FAILED]);
	char at[2 * TLS_WHERE];
	uint64_t sum = 0;

	p->n_details = count_details(s, &val[F_DETAILS], failed ? NULL : &sum);
	snprintf(at, sizeof at, "%s/summary", where);
	if (!ok && !failed) {
		tls_warn(s, at,
			 "missing_summary: 0 successful sessions, failed ones counted by details");
		p->failed = sum;
		return;
	}
	snprintf(at, sizeof at, "%s/summary/%s", where, tls_field_name(F_SUCCESSFUL));
	p->successful = tls_count(s, &val[F_SUCCESSFUL], at);
	snprintf(at, sizeof at, "%s/summary/%s", where, tls_field_name(F_FAILED));
	if (failed) {
		p->failed = tls_count(s, &val[F_FAILED], at);
	} else {
		p->failed = sum;
		tls_warn(s, at, "missing_count: the sum of the details is taken");
	}
}

static bool emit_policy(struct tls *s, const struct tap_json *v, uint32_t index)
{
	struct tap_tls_policy p = {.index = index};
	struct tap_json val[F_N];
	char where[TLS_WHERE], at[2 * TLS_WHERE];
	enum tap_rc rc;
	bool single;

	snprintf(where, sizeof where, "policies[%u]", index);
	if (v->type != '{') {
		tls_warn(s, where, "bad_type: no object, left out");
		s->end.dropped++;
		return true;
	}
	tap_arena_reset(s->rec_arena);
	tls_policy_members(s, v, where, val);
	set_counts(s, val, where, &p);
	set_type(s, val, where, &p);
	set_domain(s, val, where, &p);
	snprintf(at, sizeof at, "%s/policy/policy-string", where);
	tls_list(s, &val[F_STRINGS], at, false, &p.policy_strings, &p.n_policy_strings, &single);
	if (single)
		tls_warn(s, at, "not_a_list: taken as a list of one");
	snprintf(at, sizeof at, "%s/policy/mx-host", where);
	tls_list(s, &val[F_MX], at, true, &p.mx_hosts, &p.n_mx_hosts, &single);
	snprintf(at, sizeof at, "%s/failure-details", where);
	if (val[F_DETAILS].type == '{')
		tls_warn(s, at, "not_a_list: taken as a list of one");
	else if (tls_given(&val[F_DETAILS]) && val[F_DETAILS].type != '[')
		tls_warn(s, at, "bad_type: no list, ignored");
	s->end.records++;
	s->end.passed = tls_add(s->end.passed, p.successful);
	s->end.messages = tls_add(tls_add(s->end.messages, p.successful), p.failed);
	rc = s->ev && s->ev->tls_policy ? s->ev->tls_policy(s->ctx, &p, s->err) : TAP_OK;
	if (rc != TAP_OK)
		s->fatal = rc;
	else if (p.n_details > 0 || val[F_DETAILS].type == '[')
		emit_details(s, &val[F_DETAILS], index);
	return rc == TAP_OK && s->fatal == TAP_OK && !s->refused;
}

void tls_policies(struct tls *s)
{
	struct tap_json_iter it;
	struct tap_json v;
	uint32_t index = 0;

	if (s->val[F_POLICIES].type == '{')
		tls_warn(s, "policies", "not_a_list: taken as a list of one");
	for (bool any = tls_policy_first(s, &it, &v); any; any = tap_json_next(&it, &v, &v))
		if (tls_cancelled(s) || !emit_policy(s, &v, index++))
			return;
	if (index == 0)
		tls_warn(s, "policies", "no_policies: the report has none");
}
