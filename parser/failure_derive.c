/* SPDX-License-Identifier: Apache-2.0
 * parser/failure_derive.c - what a failure report does not say outright and other parts of it tell: which of the two meanings
 * Identity-Alignment has, dates, the sending address, the domain. Each guess has a warning. See failure_impl.h.
 * RFC 7489 section 7.3.1 against RFC 9991 section 4 (Identity-Alignment). */
#include "parser/failure_impl.h"
#include "parser/mail_date.h"
#include "parser/normalise.h"
#include "parser/utf8.h"
#include <string.h>
#include <strings.h>

/* --- Identity-Alignment -------------------------------------------------------------------------------------------------- */

enum { MECH_DKIM = 1, MECH_SPF = 2, MECH_BOTH = 3 };

/* What the report's own Authentication-Results say. */
struct shown {
	bool dmarc_fail;
	unsigned pass, fail; /* MECH_* */
};

static unsigned mechanism(const char *word)
{
	return strcasecmp(word, "dkim") == 0  ? MECH_DKIM
	       : strcasecmp(word, "spf") == 0 ? MECH_SPF
					      : 0;
}

static void look_at_method(const struct tap_auth_method *m, struct shown *out)
{
	static const char *const failing[] = {"fail",	   "softfail",	"neutral", "none",
					      "temperror", "permerror", "policy"};
	unsigned mech = mechanism(m->method);

	if (strcmp(m->method, "dmarc") == 0 && strcmp(m->result, "fail") == 0)
		out->dmarc_fail = true;
	if (strcmp(m->result, "pass") == 0)
		out->pass |= mech;
	for (size_t i = 0; i < sizeof failing / sizeof *failing; i++)
		if (strcmp(m->result, failing[i]) == 0)
			out->fail |= mech;
}

static void look_at_results(struct fl *s, struct shown *out)
{
	const struct tap_auth_field *field;

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < s->list[FL_AUTHRES].n; i++) {
		const char *v = s->list[FL_AUTHRES].v[i];

		field = tap_authres_parse(s->arena, v, strlen(v), true);
		for (size_t m = 0; field && m < field->n_method; m++)
			look_at_method(&field->method[m], out);
	}
	/* Several signatures: one that passed is what counts. */
	out->fail &= ~out->pass;
}

static void fill(struct fl *s, enum fl_list_id id, unsigned mechs)
{
	s->f.alignment_known = true;
	if (mechs & MECH_DKIM)
		fl_list_add(s, id, "Identity-Alignment", "dkim");
	if (mechs & MECH_SPF)
		fl_list_add(s, id, "Identity-Alignment", "spf");
}

/* The mechanisms that are listed; 0 = none of them. False: not a list that the field may hold. */
static bool read_list(const struct fl_list *l, unsigned *listed_r)
{
	bool none = false;

	*listed_r = 0;
	for (size_t i = 0; i < l->n; i++) {
		unsigned m = mechanism(l->v[i]);

		if (strcasecmp(l->v[i], "none") == 0)
			none = true;
		else if (m == 0)
			return false;
		*listed_r |= m;
	}
	return none != (*listed_r != 0);
}

static void derive_alignment(struct fl *s)
{
	struct shown shown;
	unsigned listed;

	if (!s->alignment_given)
		return;
	look_at_results(s, &shown);
	if (!read_list(&s->list[FL_ALIGNMENT], &listed))
		fl_warn(s, "Identity-Alignment",
			"identity_alignment_ambiguous: not a list that it may hold");
	else if (shown.dmarc_fail)
		fill(s, FL_FAILED, listed ? listed : MECH_BOTH);
	else if ((shown.pass & listed) && !(shown.fail & listed))
		fill(s, FL_ALIGNED, listed);
	else if ((shown.fail & listed) && !(shown.pass & listed))
		fill(s, FL_FAILED, listed);
	else
		fl_warn(s, "Identity-Alignment",
			"identity_alignment_ambiguous: what was aligned, or what failed");
}

/* --- dates ---------------------------------------------------------------------------------------------------------------- */

static bool says_utc(const char *date)
{
	return strstr(date, "-0000") != NULL;
}

/* False: cannot be read. */
static bool date(struct fl *s, const char *where, const char *text, int64_t *time_r)
{
	struct tap_mail_date d;

	if (text == NULL)
		return false;
	if (!tap_mail_date_parse(text, strlen(text), &d)) {
		fl_warn(s, where, "bad_date: %.100s", text);
		return false;
	}
	if (!d.has_zone && !says_utc(text))
		fl_warn(s, where, "no_zone: taken as UTC");
	*time_r = d.time;
	return true;
}

/* The field that tells the arrival is put into f.arrival_date; its name. */
static const char *choose_date(struct fl *s, const char *mail_date)
{
	if (s->f.arrival_date) {
		if (s->received_date)
			fl_warn(s, "Received-Date", "duplicate: Arrival-Date counts");
		return "Arrival-Date";
	}
	if (s->received_date) {
		s->f.arrival_date = s->received_date;
		if (s->f.format == TAP_FORMAT_ARF)
			fl_warn(s, "Received-Date", "missing_arrival_date: Received-Date is taken");
		return "Received-Date";
	}
	s->f.arrival_date = mail_date;
	fl_warn(s, "Arrival-Date", "missing_arrival_date: %s",
		mail_date ? "the Date of the report is taken" : "absent");
	return "Date";
}

static void derive_dates(struct fl *s)
{
	const char *where;
	char *mail_date = NULL;

	if (s->parts->date)
		mail_date = fl_text(s, "Date", s->parts->date, strlen(s->parts->date),
				    s->w->lim->text, false);
	where = choose_date(s, mail_date);
	if (date(s, where, s->f.arrival_date, &s->f.arrival)) {
		s->meta.begin = s->meta.end = s->f.arrival;
		return;
	}
	s->f.arrival = TAP_NO_TIME;
	if (mail_date && s->f.arrival_date != mail_date &&
	    date(s, "Date", mail_date, &s->meta.begin))
		s->meta.end = s->meta.begin;
}

/* --- what the sample tells ------------------------------------------------------------------------------------------------ */

static const char *newest_received(const struct tap_sample *p)
{
	for (size_t i = 0; i < p->n_headers; i++)
		if (strcasecmp(p->headers[i].name, "Received") == 0)
			return p->headers[i].value;
	return NULL;
}

/* The address that the receiver saw stands in brackets before "by"; what the client said of itself comes first. */
static bool received_ip(const char *v, char ip[TAP_IP_TEXT])
{
	const char *end = strcasestr(v, " by "), *open, *note;
	bool found = false;
	char word[80];
	size_t n;

	if (end == NULL)
		end = v + strlen(v);
	for (open = strchr(v, '['); open && open < end; open = strchr(open + 1, '[')) {
		n = strcspn(open + 1, "]");
		if (open[1 + n] != ']' || n >= sizeof word)
			continue;
		memcpy(word, open + 1, n);
		word[n] = '\0';
		if (strncasecmp(word, "IPv6:", 5) == 0)
			memmove(word, word + 5, n - 5 + 1);
		found |= tap_norm_ip(word, ip, &note);
	}
	return found;
}

static void derive_source(struct fl *s)
{
	char ip[TAP_IP_TEXT] = "";
	const char *received;

	if (s->f.source_ip || s->f.source_ip_raw)
		return;
	received = s->f.parsed ? newest_received(s->f.parsed) : NULL;
	if (s->meta.kind == TAP_KIND_FAILURE && received && received_ip(received, ip) &&
	    ip[0] != '\0') {
		s->f.source_ip = tap_arena_strdup(s->arena, ip);
		s->f.source_ip_from_sample = s->f.source_ip != NULL;
		fl_warn(s, "Source-IP",
			"missing_source_ip: the newest Received of the sample is taken");
	} else if (s->meta.kind == TAP_KIND_FAILURE) {
		fl_warn(s, "Source-IP", "missing_source_ip: absent");
	}
}

static void derive_domain(struct fl *s)
{
	const struct tap_sample *p = s->f.parsed;

	if (s->list[FL_DOMAIN].n == 0 && p && p->from.n > 0 && p->from.item[0].domain &&
	    p->from.item[0].domain[0]) {
		fl_list_add(s, FL_DOMAIN, "Reported-Domain", p->from.item[0].domain);
		fl_warn(s, "Reported-Domain",
			"missing_reported_domain: that of From of the sample is taken");
	} else if (s->list[FL_DOMAIN].n == 0 && s->meta.kind == TAP_KIND_FAILURE) {
		fl_warn(s, "Reported-Domain", "missing_reported_domain: absent");
	}
	s->meta.domain = s->list[FL_DOMAIN].n > 0 ? s->list[FL_DOMAIN].v[0] : NULL;
}

void fl_derive(struct fl *s)
{
	derive_dates(s);
	derive_source(s);
	derive_domain(s);
	if (s->f.format == TAP_FORMAT_ARF)
		derive_alignment(s);
	s->f.message_id = s->field_message_id;
	if (s->f.message_id == NULL && s->f.parsed)
		s->f.message_id = s->f.parsed->message_id;
}
