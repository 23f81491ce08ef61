/* SPDX-License-Identifier: Apache-2.0
 * confine/trust_settings.c - rows of the section "trust", and the rules between them. */
#include "confine/trust_settings.h"

#include "parser/report.h"

#include <string.h>

static const char *const positions[] = {"top", "any", NULL};
static const char *const actions[] = {"accept", "mark", "quarantine", "reject", NULL};
static const char *const foreigns[] = {"apart", "quarantine", NULL};

static const struct tap_setting rows[] = {
    TAP_ROW_LIST("authserv_ids", tap_trust_settings, authserv_ids, 0, NULL,
		 "The names with which your own mail server begins its Authentication-Results "
		 "fields. Only these fields are believed, so it has to remove those with "
		 "its name that others bring along. Without one nothing is called "
		 "authenticated, and nothing is refused for it."),
    TAP_ROW_LIST("own_hosts", tap_trust_settings, own_hosts, 0, NULL,
		 "Names behind \"by\" in the Received fields of your own servers, where they "
		 "differ from authserv_ids."),
    TAP_ROW_ENUM("position", tap_trust_settings, position, 0, "top", positions,
		 "top: an Authentication-Results field is believed only above the first Received "
		 "field of a foreign host, where a sender cannot put it. any: anywhere; only where "
		 "your mail server removes the fields that others wrote with its name."),
    TAP_ROW_LIST("domains", tap_trust_settings, domains, 0, NULL,
		 "Your domains; what is below them is yours too. Reports about other domains are "
		 "foreign. Empty: every domain is yours."),
    TAP_ROW_ENUM("unauthenticated_aggregate", tap_trust_settings, unauth_aggregate, 0, "mark",
		 actions,
		 "What becomes of aggregate reports in mail that was not authenticated. accept: "
		 "they are stored, with what is known of their origin. mark: the same, and the "
		 "worker's log says so. quarantine: the message is kept, and not counted. reject: "
		 "the mail server is told to refuse it (550); mail that others are to get too "
		 "goes on to all of them instead, with a header, and what can no longer be "
		 "refused is kept as with quarantine. The last two need authserv_ids."),
    TAP_ROW_ENUM("unauthenticated_failure", tap_trust_settings, unauth_failure, 0, "mark", actions,
		 "The same for failure reports."),
    TAP_ROW_ENUM("unauthenticated_smtp_tls", tap_trust_settings, unauth_tls, 0, "mark", actions,
		 "The same for SMTP TLS reports. RFC 8460 wants quarantine."),
    TAP_ROW_ENUM("foreign", tap_trust_settings, foreign, 0, "apart", foreigns,
		 "What becomes of reports about domains that are not yours. apart: they are stored "
		 "and left out of all totals. quarantine: messages with nothing else are kept, and "
		 "not stored."),
    TAP_ROW_INT("quota_records", tap_trust_settings, quota_records, 0, "0", 0, INT64_MAX,
		"Most records (of SMTP TLS reports policies and details, of failure reports one) "
		"that one reporter's domain may bring in a day (UTC). Messages beyond go to "
		"quarantine. 0: no limit."),
    TAP_ROW_SIZE("quota_bytes", tap_trust_settings, quota_bytes, 0, "0", 0, INT64_MAX,
		 "The same for the bytes of its mail."),
    {0},
};

/* A name as it can stand in a header field, and in an argument. */
static bool name_ok(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > TAP_TRUST_TEXT)
		return false;
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s <= ' ' || *s == 0x7f || strchr("\"();<>,", *s) != NULL)
			return false;
	}
	return true;
}

static bool domain_ok(const char *s)
{
	if (!name_ok(s) || s[0] == '.' || strstr(s, "..") != NULL)
		return false;
	for (; *s != '\0'; s++) {
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._",
			   *s) == NULL)
			return false;
	}
	return true;
}

static enum tap_rc check_list(const char *what, const struct tap_list *l, bool (*ok)(const char *),
			      struct tap_err *err)
{
	if (l->n > TAP_TRUST_LIST)
		return tap_err_set(err, TAP_E_CONFIG, "%s: more than %d entries", what,
				   TAP_TRUST_LIST);
	for (size_t i = 0; i < l->n; i++) {
		if (!ok(l->item[i]))
			return tap_err_set(err, TAP_E_CONFIG,
					   "%s: \"%s\" is no name that can be meant here "
					   "(domains are written in ASCII, xn--…)",
					   what, l->item[i]);
	}
	return TAP_OK;
}

static enum tap_rc check(const void *set, struct tap_err *err)
{
	const struct tap_trust_settings *s = set;
	enum tap_rc rc = check_list("authserv_ids", &s->authserv_ids, name_ok, err);

	if (rc == TAP_OK)
		rc = check_list("own_hosts", &s->own_hosts, name_ok, err);
	if (rc == TAP_OK)
		rc = check_list("domains", &s->domains, domain_ok, err);
	if (rc != TAP_OK)
		return rc;
	if (s->authserv_ids.n == 0 && tap_trust_kinds(s, TAP_UNAUTH_QUARANTINE) != 0)
		return tap_err_set(err, TAP_E_CONFIG,
				   "unauthenticated_… = \"quarantine\" or \"reject\" needs "
				   "authserv_ids: without them no report is authenticated");
	return TAP_OK;
}

const struct tap_section tap_trust_section = {
    .name = "trust",
    .doc = "Which reports are believed. Anyone can send mail to a report address.",
    .table = rows,
    .struct_size = sizeof(struct tap_trust_settings),
    .check = check,
};

unsigned tap_trust_kinds(const struct tap_trust_settings *set, enum tap_unauthenticated least)
{
	unsigned kinds = 0;

	if (set == NULL)
		return 0;
	if (set->unauth_aggregate >= (int64_t)least)
		kinds |= TAP_KIND_AGGREGATE;
	if (set->unauth_failure >= (int64_t)least)
		kinds |= TAP_KIND_FAILURE;
	if (set->unauth_tls >= (int64_t)least)
		kinds |= TAP_KIND_SMTP_TLS;
	return kinds;
}

bool tap_trust_quotas(const struct tap_trust_settings *set)
{
	return set->quota_records > 0 || set->quota_bytes > 0;
}
