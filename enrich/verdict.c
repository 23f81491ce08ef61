/* SPDX-License-Identifier: Apache-2.0
 * enrich/verdict.c - see verdict.h. The rules are tried in order; the first whose condition holds decides. */
#include "enrich/verdict.h"

#include "enrich/services.h"

#include <stddef.h>

/* Shares of all messages. */
enum { MOST = 90, HALF = 50, SOME = 10, WHOLE = 100 };

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void add(uint64_t *to, bool when, uint64_t n)
{
	if (when)
		*to = sum(*to, n);
}

void tap_verdict_add(struct tap_verdict_evidence *e, const struct tap_verdict_row *r)
{
	bool aligned = r->spf_aligned || r->dkim_aligned;
	bool elsewhere = r->spf_passed && !r->spf_own;

	add(&e->messages, true, r->count);
	add(&e->spf_aligned, r->spf_aligned, r->count);
	add(&e->dkim_elsewhere, !r->spf_aligned && r->dkim_aligned && elsewhere, r->count);
	add(&e->dkim_alone, !r->spf_aligned && r->dkim_aligned && !elsewhere, r->count);
	add(&e->others, !aligned && (r->dkim_passed || r->spf_passed), r->count);
	add(&e->nothing, !aligned && !r->dkim_passed && !r->spf_passed, r->count);
	add(&e->forwarded, r->forwarded, r->count);
	add(&e->spf_own_failed, !aligned && r->spf_own, r->count);
	add(&e->dkim_own_failed, !aligned && r->dkim_own, r->count);
	add(&e->own_passed, !aligned && r->own_passed, r->count);
}

/* n is at least percent of the messages. Without a product that could overflow. */
static bool share(const struct tap_verdict_evidence *e, uint64_t n, unsigned percent)
{
	uint64_t part = e->messages / WHOLE, rest = e->messages % WHOLE;

	return n >= sum(part * percent, (rest * percent + WHOLE - 1) / WHOLE);
}

struct view {
	const struct tap_verdict_evidence *e;
	enum tap_service_role role;
	bool own;
	uint64_t aligned; /* by whatever identifier */
	uint64_t direct;  /* aligned as no forwarder could do it without being asked */
};

static bool no_mail(const struct view *v)
{
	return v->e->messages == 0;
}

static bool own_host(const struct view *v)
{
	return v->own && v->aligned > 0 && share(v->e, v->aligned, MOST);
}

static bool receivers_say_forwarded(const struct view *v)
{
	return share(v->e, v->e->forwarded, HALF) && !share(v->e, v->direct, HALF);
}

static bool forwards_by_trade(const struct view *v)
{
	return v->role == TAP_ROLE_FORWARDER && !share(v->e, v->e->spf_aligned, HALF);
}

static bool spf_names_it(const struct view *v)
{
	return v->e->spf_aligned > 0 && share(v->e, v->aligned, MOST) &&
	       share(v->e, v->e->spf_aligned, SOME);
}

static bool sender_signs(const struct view *v)
{
	return v->role == TAP_ROLE_SENDER && v->aligned > 0 && share(v->e, v->aligned, MOST);
}

static bool signs_under_another_sender(const struct view *v)
{
	return v->e->dkim_elsewhere > 0 && share(v->e, v->aligned, MOST) &&
	       share(v->e, v->e->dkim_elsewhere, HALF) && v->role != TAP_ROLE_MAILBOXES &&
	       v->role != TAP_ROLE_GATEWAY;
}

static bool only_dkim_survives(const struct view *v)
{
	return v->role != TAP_ROLE_SENDER && v->aligned > 0 &&
	       share(v->e, v->aligned - v->e->spf_aligned, HALF) &&
	       !share(v->e, v->e->spf_aligned, SOME);
}

static bool partly_aligned(const struct view *v)
{
	return v->direct > 0 && share(v->e, v->direct, SOME);
}

static bool own_host_fails(const struct view *v)
{
	return v->own;
}

static bool customer_of_a_sender(const struct view *v)
{
	return v->role == TAP_ROLE_SENDER && share(v->e, v->e->others, HALF);
}

static bool strictness_refuses(const struct view *v)
{
	return v->e->own_passed > 0 && share(v->e, v->e->own_passed, HALF);
}

static bool mailboxes_or_gateway(const struct view *v)
{
	return (v->role == TAP_ROLE_MAILBOXES || v->role == TAP_ROLE_GATEWAY) && v->aligned > 0;
}

static bool anything(const struct view *v)
{
	(void)v;
	return true;
}

static const struct {
	bool (*holds)(const struct view *v);
	enum tap_verdict_kind kind;
	const char *why;
} rule[] = {
    {no_mail, TAP_VERDICT_NOTHING, "no mail"},
    {own_host, TAP_VERDICT_ALIGNED, "a host of the domain, and its mail is aligned"},
    {receivers_say_forwarded, TAP_VERDICT_FORWARDER,
     "receivers say that at least half of its mail was forwarded"},
    {forwards_by_trade, TAP_VERDICT_FORWARDER,
     "it is known to forward mail or to run mailing lists"},
    {spf_names_it, TAP_VERDICT_ALIGNED, "the domain's SPF record names it"},
    {sender_signs, TAP_VERDICT_ALIGNED, "it sends for its customers, and signs with the domain"},
    {signs_under_another_sender, TAP_VERDICT_ALIGNED,
     "it signs with the domain, and sends under its own return path"},
    {only_dkim_survives, TAP_VERDICT_FORWARDER,
     "signatures of the domain hold, SPF does not pass for it: forwarded as it was"},
    {partly_aligned, TAP_VERDICT_NOT_ALIGNED, "a part of its mail is aligned"},
    {own_host_fails, TAP_VERDICT_NOT_ALIGNED, "a host of the domain, and its mail is not aligned"},
    {customer_of_a_sender, TAP_VERDICT_NOT_ALIGNED,
     "it sends for its customers, and authenticates with a domain of its own"},
    {strictness_refuses, TAP_VERDICT_NOT_ALIGNED,
     "what passes belongs to the domain, but is not the same name"},
    {mailboxes_or_gateway, TAP_VERDICT_FORWARDER,
     "it has mailboxes or filters mail, and some signatures of the domain hold"},
    {anything, TAP_VERDICT_UNKNOWN, "nothing ties it to the domain"},
};

static unsigned to_set_up(const struct view *v, enum tap_verdict_kind kind)
{
	const struct tap_verdict_evidence *e = v->e;
	unsigned bits = 0;

	if (kind == TAP_VERDICT_ALIGNED && e->spf_aligned == 0 && e->dkim_alone > 0)
		return TAP_VERDICT_SET_UP_SPF;
	if (kind != TAP_VERDICT_NOT_ALIGNED)
		return 0;
	bits |= e->dkim_own_failed > 0 ? TAP_VERDICT_REPAIR_DKIM : TAP_VERDICT_SET_UP_DKIM;
	if (e->spf_own_failed > 0)
		bits |= TAP_VERDICT_SET_UP_SPF;
	else if (e->others > 0)
		bits |= TAP_VERDICT_SET_UP_SENDER;
	return bits;
}

void tap_verdict_decide(const struct tap_verdict_evidence *e,
			const struct tap_verdict_source *source, struct tap_verdict *v_r)
{
	struct view v = {.e = e, .role = tap_service_role(source->type), .own = source->own};
	size_t i = 0;

	v.direct = sum(e->spf_aligned, e->dkim_elsewhere);
	v.aligned = sum(v.direct, e->dkim_alone);
	while (!rule[i].holds(&v))
		i++;
	v_r->kind = rule[i].kind;
	v_r->why = rule[i].why;
	v_r->evidence = *e;
	v_r->set_up = to_set_up(&v, v_r->kind);
}

const char *tap_source_verdict_name(enum tap_verdict_kind kind)
{
	static const char *const name[] = {"nothing", "aligned", "not_aligned", "forwarder",
					   "unknown"};

	return (size_t)kind < sizeof name / sizeof *name ? name[kind] : "unknown";
}

const char *tap_verdict_advice(unsigned bit)
{
	switch (bit) {
	case TAP_VERDICT_SET_UP_DKIM: return "Let it sign with a DKIM key of your domain.";
	case TAP_VERDICT_SET_UP_SPF: return "Name it in the SPF record of your domain.";
	case TAP_VERDICT_SET_UP_SENDER: return "Let it use a return path below your domain.";
	case TAP_VERDICT_REPAIR_DKIM:
		return "It signs with your domain, but the signatures do not hold or do not align: "
		       "check its key, selector and adkim.";
	default: return NULL;
	}
}
