/* SPDX-License-Identifier: Apache-2.0
 * parser/trust.c - see trust.h. Public suffixes are not known here: two domains are aligned when they are equal or one lies below the
 * other and the upper one has two labels at least. */
#include "parser/trust.h"
#include "parser/authres.h"
#include "parser/report.h"
#include "parser/sniff.h"

#include <string.h>
#include <strings.h>

const char *const tap_auth_state_name[TAP_AUTH_N] = {
    [TAP_AUTH_UNKNOWN] = "unknown",
    [TAP_AUTH_NONE] = "none",
    [TAP_AUTH_FAIL] = "fail",
    [TAP_AUTH_PASS] = "pass",
};
const char *const tap_agree_name[TAP_AGREE_N] = {
    [TAP_AGREE_UNKNOWN] = "unknown",
    [TAP_AGREE_YES] = "yes",
    [TAP_AGREE_NO] = "no",
};

/* --- domains ------------------------------------------------------------------------------------------------------------ */

struct name {
	const char *p;
	size_t n;
};

static struct name name_of(const char *p, size_t n)
{
	while (n > 0 && (*p == ' ' || *p == '\t')) {
		p++;
		n--;
	}
	while (n > 0 && (p[n - 1] == '.' || p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	return (struct name){p, n};
}

static struct name name_str(const char *s)
{
	return s ? name_of(s, strlen(s)) : (struct name){"", 0};
}

/* What stands behind the last "@", or the whole. */
static struct name name_of_address(const char *s)
{
	const char *at = s ? strrchr(s, '@') : NULL;

	return name_str(at ? at + 1 : s);
}

static bool equal(struct name a, struct name b)
{
	return a.n == b.n && a.n > 0 && strncasecmp(a.p, b.p, a.n) == 0;
}

static bool is_below(struct name a, struct name upper)
{
	return a.n > upper.n && upper.n > 0 && a.p[a.n - upper.n - 1] == '.' &&
	       strncasecmp(a.p + a.n - upper.n, upper.p, upper.n) == 0;
}

static bool aligned(struct name a, struct name b)
{
	if (equal(a, b))
		return true;
	if (is_below(a, b))
		return memchr(b.p, '.', b.n) != NULL;
	return is_below(b, a) && memchr(a.p, '.', a.n) != NULL;
}

/* Letters, digits, "-", "_" and dots between them, and a last label of two letters at least. */
static bool is_domain(struct name d)
{
	size_t label = 0, dots = 0;

	for (size_t i = 0; i < d.n; i++) {
		char c = d.p[i];
		bool letter =
		    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;

		if (c == '.') {
			if (label == 0)
				return false;
			dots++;
			label = 0;
		} else if (letter || (c >= '0' && c <= '9') || c == '-' || c == '_') {
			label++;
		} else {
			return false;
		}
	}
	return dots > 0 && label >= 2 && d.n <= 253 &&
	       (d.p[d.n - 1] > '9' || (unsigned char)d.p[d.n - 1] >= 0x80);
}

/* --- which fields count --------------------------------------------------------------------------------------------------- */

static bool listed(const char *const *list, size_t n, const char *what)
{
	for (size_t i = 0; what && i < n; i++)
		if (equal(name_str(list[i]), name_str(what)))
			return true;
	return false;
}

static bool own_host(const struct tap_trust_rules *rules, const char *host)
{
	return listed(rules->own_hosts, rules->n_own_hosts, host) ||
	       listed(rules->authserv_ids, rules->n_authserv_ids, host);
}

/* How many Received fields from the top on were surely written by our own hosts. Each vouches for the next one below only when it
 * says that it took the mail from one of us; below the one where the mail came in, everything is the sender's. */
static uint32_t own_hops(const struct tap_trust_rules *rules, const struct tap_mail_auth *auth)
{
	uint32_t n = 0;

	while (n < auth->n_by && own_host(rules, auth->by[n])) {
		const char *peer = auth->peer[n++];

		if (peer == NULL || (strcmp(peer, "localhost") != 0 && !own_host(rules, peer)))
			break;
	}
	return n;
}

static bool id_trusted(const struct tap_trust_rules *rules, const char *id)
{
	for (size_t i = 0; id && i < rules->n_authserv_ids; i++)
		if (strcasecmp(rules->authserv_ids[i], id) == 0)
			return true;
	return false;
}

/* --- what they say ------------------------------------------------------------------------------------------------------ */

static const char *property(const struct tap_auth_method *m, const char *ptype, const char *name)
{
	for (size_t i = 0; i < m->n_property; i++)
		if (strcmp(m->property[i].ptype, ptype) == 0 &&
		    strcmp(m->property[i].name, name) == 0)
			return m->property[i].value;
	return NULL;
}

/* A result with a kind of property that nobody has defined is not interpreted: RFC 8601 section 2.7. */
static bool understood(const struct tap_auth_method *m)
{
	static const char *const ptypes[] = {"smtp", "header", "body", "policy", "dns"};

	for (size_t i = 0; i < m->n_property; i++) {
		bool known = false;

		for (size_t k = 0; k < sizeof ptypes / sizeof *ptypes; k++)
			known |= strcmp(m->property[i].ptype, ptypes[k]) == 0;
		if (!known)
			return false;
	}
	return true;
}

struct said {
	enum tap_auth_state dmarc;
	bool dmarc_named, dmarc_aligned; /* its header.from does not contradict From */
	bool any, dkim_fail, spf_fail, dkim_pass, spf_pass; /* passes: aligned with From */
};

static const struct {
	const char *result;
	enum tap_auth_state state;
} dmarc_results[] = {
    {"pass", TAP_AUTH_PASS},	  {"fail", TAP_AUTH_FAIL},	{"none", TAP_AUTH_NONE},
    {"temperror", TAP_AUTH_NONE}, {"permerror", TAP_AUTH_NONE},
};

static void hear_dmarc(const struct tap_auth_method *m, const struct tap_trust *t, struct said *s)
{
	const char *from = property(m, "header", "from");
	/* Without one From there is nothing that could have been aligned. */
	bool agrees = t->from_domain &&
		      (from == NULL || aligned(name_of_address(from), name_str(t->from_domain)));

	for (size_t i = 0; i < sizeof dmarc_results / sizeof *dmarc_results; i++) {
		if (strcmp(m->result, dmarc_results[i].result) != 0)
			continue;
		/* Two results in one field: the one that is not "pass" is believed. */
		if (!s->dmarc_named || s->dmarc == TAP_AUTH_PASS)
			s->dmarc = dmarc_results[i].state;
		s->dmarc_aligned = agrees && (!s->dmarc_named || s->dmarc_aligned);
		s->dmarc_named = true;
	}
}

static void hear_dkim(const struct tap_auth_method *m, struct tap_trust *t, struct said *s)
{
	const char *d = property(m, "header", "d"), *i = property(m, "header", "i");
	struct name domain = d ? name_str(d) : name_of_address(i);

	s->dkim_fail |= strcmp(m->result, "fail") == 0 || strcmp(m->result, "policy") == 0 ||
			strcmp(m->result, "permerror") == 0;
	if (strcmp(m->result, "pass") != 0 || !is_domain(domain))
		return;
	s->dkim_pass |= aligned(domain, name_str(t->from_domain));
	for (size_t k = 0; k < t->n_dkim_domains; k++)
		if (equal(name_str(t->dkim_domains[k]), domain))
			return;
	if (t->n_dkim_domains < TAP_TRUST_DKIM)
		t->dkim_domains[t->n_dkim_domains++] = domain.p;
}

static void hear_spf(const struct tap_auth_method *m, const struct tap_trust *t, struct said *s)
{
	const char *mailfrom = property(m, "smtp", "mailfrom"), *helo = property(m, "smtp", "helo");
	struct name domain = name_of_address(mailfrom && *mailfrom ? mailfrom : helo);

	s->spf_fail |= strcmp(m->result, "fail") == 0 || strcmp(m->result, "softfail") == 0 ||
		       strcmp(m->result, "permerror") == 0;
	if (strcmp(m->result, "pass") == 0)
		s->spf_pass |= aligned(domain, name_str(t->from_domain));
}

static void hear(const struct tap_auth_field *f, struct tap_trust *t, struct said *all)
{
	struct said s = {.dmarc = TAP_AUTH_UNKNOWN};

	for (size_t i = 0; i < f->n_method; i++) {
		const struct tap_auth_method *m = &f->method[i];

		if (!understood(m))
			continue;
		if (strcmp(m->method, "dmarc") == 0)
			hear_dmarc(m, t, &s);
		else if (strcmp(m->method, "dkim") == 0)
			hear_dkim(m, t, all);
		else if (strcmp(m->method, "spf") == 0)
			hear_spf(m, t, all);
	}
	if (s.dmarc_named && !all->dmarc_named) {
		all->dmarc_named = true;
		all->dmarc = s.dmarc;
		all->dmarc_aligned = s.dmarc_aligned;
	}
	all->any = true;
}

static enum tap_auth_state state_of(const struct said *s)
{
	if (!s->any)
		return TAP_AUTH_UNKNOWN;
	if (s->dmarc == TAP_AUTH_FAIL)
		return TAP_AUTH_FAIL;
	if (s->dmarc == TAP_AUTH_PASS && s->dmarc_aligned)
		return TAP_AUTH_PASS;
	if (s->dkim_pass || s->spf_pass)
		return TAP_AUTH_PASS;
	if (s->dkim_fail || s->spf_fail || s->dmarc == TAP_AUTH_PASS)
		return TAP_AUTH_FAIL;
	return TAP_AUTH_NONE;
}

static void judge_auth(const struct tap_trust_rules *rules, const struct tap_mail_auth *auth,
		       struct tap_trust *t)
{
	struct said s = {.dmarc = TAP_AUTH_UNKNOWN};
	uint32_t own = own_hops(rules, auth);

	for (size_t i = 0; i < auth->n_field; i++)
		if (id_trusted(rules, auth->field[i].authserv_id) &&
		    (rules->any_position || auth->field[i].hops <= own))
			hear(&auth->field[i], t, &s);
	t->auth = state_of(&s);
	t->dmarc = s.dmarc_named ? s.dmarc : TAP_AUTH_UNKNOWN;
}

/* --- does the report agree with its mail ---------------------------------------------------------------------------- */

/* Reporters that sign with another domain of theirs than the one they name themselves by. */
static const char *const same_owner[][2] = {
    {"outlook.com", "microsoft.com"},
    {"hotmail.com", "microsoft.com"},
    {"live.com", "microsoft.com"},
};

static bool same(struct name authenticated, struct name claimed)
{
	if (aligned(authenticated, claimed))
		return true;
	for (size_t i = 0; i < sizeof same_owner / sizeof *same_owner; i++)
		if (aligned(claimed, name_str(same_owner[i][0])) &&
		    aligned(authenticated, name_str(same_owner[i][1])))
			return true;
	return false;
}

/* Who the report says that it is from: the strongest claim alone, so that an address of his own does not help who writes another's
 * name above it. */
static struct name reporter_of(const struct tap_mail_auth *auth, const struct tap_meta *meta)
{
	struct name n = name_str(meta->org_name);

	if (!is_domain(n))
		n = name_of_address(meta->email);
	if (!is_domain(n))
		n = name_of_address(meta->extra_contact_info.text);
	if (!is_domain(n) && auth)
		n = name_str(auth->tls_submitter);
	return is_domain(n) ? n : (struct name){"", 0};
}

static enum tap_agree judge_reporter(const struct tap_mail_auth *auth, const struct tap_meta *meta,
				     const struct tap_trust *t)
{
	struct name who = reporter_of(auth, meta);

	if (who.n == 0 || t->auth != TAP_AUTH_PASS)
		return TAP_AGREE_UNKNOWN;
	if (same(name_str(t->from_domain), who))
		return TAP_AGREE_YES;
	for (size_t i = 0; i < t->n_dkim_domains; i++)
		if (same(name_str(t->dkim_domains[i]), who))
			return TAP_AGREE_YES;
	return TAP_AGREE_NO;
}

struct votes {
	bool yes, no;
};

static void vote(struct votes *v, bool agrees)
{
	v->yes |= agrees;
	v->no |= !agrees;
}

/* Seconds, of a report's file name; milliseconds are made seconds; -1 = no number. */
static int64_t seconds(const char *p, size_t n)
{
	int64_t v = 0;

	if (n == 0 || n > 16)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return n > 11 ? v / 1000 : v;
}

static bool near(int64_t a, int64_t b)
{
	return a - b <= 1 && b - a <= 1;
}

/* receiver "!" domain "!" begin "!" end …; the receiver often names itself otherwise than in the report, and proves nothing. */
static void vote_filename(const struct tap_meta *meta, struct votes *v)
{
	const char *name = meta->origin.filename, *slash = name ? strrchr(name, '/') : NULL;
	struct name piece[4];
	int64_t begin, end;
	size_t k = 0;

	if (slash)
		name = slash + 1;
	if (name == NULL || !tap_sniff_report_name(name))
		return;
	for (; k < 4; k++) {
		size_t n = strcspn(name, "!");

		if (k == 3)
			n = strcspn(name, "!.");
		piece[k] = (struct name){name, n};
		if (k < 3 && name[n] == '\0')
			return;
		name += n + (name[n] == '!');
	}
	if (meta->domain && piece[1].n > 0)
		vote(v, equal(name_of(piece[1].p, piece[1].n), name_str(meta->domain)));
	begin = seconds(piece[2].p, piece[2].n);
	end = seconds(piece[3].p, piece[3].n);
	if (begin > 0 && end > 0 && meta->begin > 0)
		vote(v, near(begin, meta->begin) && near(end, meta->end));
}

/* The same id with or without brackets, or cut where the subject's grammar ends it. */
static bool same_id(const char *subject, const char *id)
{
	size_t n = strlen(subject), m;

	while (*id == '<' || *id == ' ')
		id++;
	m = strcspn(id, ">");
	if (n == m)
		return strncasecmp(subject, id, n) == 0;
	return (n < m && id[n] == '@' && strncasecmp(subject, id, n) == 0) ||
	       (m < n && subject[m] == '@' && strncasecmp(subject, id, m) == 0);
}

static enum tap_agree judge_names(const struct tap_mail_auth *auth, const struct tap_meta *meta)
{
	struct votes v = {false, false};

	vote_filename(meta, &v);
	if (auth && meta->domain && auth->subject_domain)
		vote(&v, equal(name_str(auth->subject_domain), name_str(meta->domain)));
	if (auth && meta->domain && auth->tls_domain && meta->kind == TAP_KIND_SMTP_TLS)
		vote(&v, aligned(name_str(auth->tls_domain), name_str(meta->domain)));
	if (auth && meta->report_id && auth->subject_report_id)
		vote(&v, same_id(auth->subject_report_id, meta->report_id));
	if (v.no)
		return TAP_AGREE_NO;
	return v.yes ? TAP_AGREE_YES : TAP_AGREE_UNKNOWN;
}

static bool is_foreign(const struct tap_trust_rules *rules, const char *domain)
{
	struct name d = name_str(domain);

	if (rules->n_domains == 0 || d.n == 0)
		return false;
	for (size_t i = 0; i < rules->n_domains; i++) {
		struct name ours = name_str(rules->domains[i]);

		if (equal(d, ours) || is_below(d, ours))
			return false;
	}
	return true;
}

void tap_trust_judge(const struct tap_trust_rules *rules, const struct tap_mail_auth *auth,
		     const struct tap_meta *meta, struct tap_trust *out)
{
	static const struct tap_trust_rules none;
	struct tap_trust t = {.auth = TAP_AUTH_UNKNOWN, .dmarc = TAP_AUTH_UNKNOWN};

	if (rules == NULL)
		rules = &none;
	if (auth) {
		t.from_domain = auth->from_domain;
		judge_auth(rules, auth, &t);
	}
	t.reporter = judge_reporter(auth, meta, &t);
	t.names = judge_names(auth, meta);
	t.foreign = is_foreign(rules, meta->domain);
	t.trusted = t.auth == TAP_AUTH_PASS && t.reporter == TAP_AGREE_YES;
	*out = t;
}
