/* SPDX-License-Identifier: Apache-2.0
 * parser/aggregate_elements.c - which element stands where, in all generations of the schema. Order never matters to us, so
 * one table of (parent, element) -> node is all the grammar there is.
 * RFC 7489 appendix C, RFC 9990 section 3.1, and the drafts before them (identities instead of identifiers). */
#include "parser/aggregate_impl.h"

#include <string.h>

enum element {
	E_NONE,
	E_FEEDBACK,
	E_VERSION,
	E_REPORT_METADATA,
	E_ORG_NAME,
	E_EMAIL,
	E_CONTACT,
	E_REPORT_ID,
	E_DATE_RANGE,
	E_BEGIN,
	E_END,
	E_ERROR,
	E_GENERATOR,
	E_RECEIVING,
	E_DOMAIN,
	E_POLICY,
	E_VERSION_PUBLISHED,
	E_DISCOVERY,
	E_P,
	E_SP,
	E_NP,
	E_ADKIM,
	E_ASPF,
	E_PCT,
	E_FO,
	E_TESTING,
	E_EXTENSION,
	E_RECORD,
	E_ROW,
	E_SOURCE_IP,
	E_COUNT,
	E_EVALUATED,
	E_DISPOSITION,
	E_DKIM,
	E_SPF,
	E_REASON,
	E_TYPE,
	E_COMMENT,
	E_IDENTIFIERS,
	E_IDENTITIES,
	E_HEADER_FROM,
	E_ENVELOPE_FROM,
	E_ENVELOPE_TO,
	E_AUTH,
	E_SELECTOR,
	E_RESULT,
	E_HUMAN,
	E_SCOPE,
	E_N
};
_Static_assert((int)E_N <= (int)AG_ELEMENTS, "the map of nodes has room");

const unsigned ag_el_feedback = E_FEEDBACK, ag_el_record = E_RECORD, ag_el_extension = E_EXTENSION;

#define EL(name, text)                                                                             \
	{                                                                                          \
		name, sizeof(name) - 1, text                                                       \
	}
static const struct {
	const char *name;
	unsigned char len;
	bool text; /* holds text wherever it stands */
} element[E_N] = {
    [E_FEEDBACK] = EL("feedback", false),
    [E_VERSION] = EL("version", true),
    [E_REPORT_METADATA] = EL("report_metadata", false),
    [E_ORG_NAME] = EL("org_name", true),
    [E_EMAIL] = EL("email", true),
    [E_CONTACT] = EL("extra_contact_info", true),
    [E_REPORT_ID] = EL("report_id", true),
    [E_DATE_RANGE] = EL("date_range", false),
    [E_BEGIN] = EL("begin", true),
    [E_END] = EL("end", true),
    [E_ERROR] = EL("error", true),
    [E_GENERATOR] = EL("generator", true),
    [E_RECEIVING] = EL("receiving_domains", false),
    [E_DOMAIN] = EL("domain", true),
    [E_POLICY] = EL("policy_published", false),
    [E_VERSION_PUBLISHED] = EL("version_published", true),
    [E_DISCOVERY] = EL("discovery_method", true),
    [E_P] = EL("p", true),
    [E_SP] = EL("sp", true),
    [E_NP] = EL("np", true),
    [E_ADKIM] = EL("adkim", true),
    [E_ASPF] = EL("aspf", true),
    [E_PCT] = EL("pct", true),
    [E_FO] = EL("fo", true),
    [E_TESTING] = EL("testing", true),
    [E_EXTENSION] = EL("extension", false),
    [E_RECORD] = EL("record", false),
    [E_ROW] = EL("row", false),
    [E_SOURCE_IP] = EL("source_ip", true),
    [E_COUNT] = EL("count", true),
    [E_EVALUATED] = EL("policy_evaluated", false),
    [E_DISPOSITION] = EL("disposition", true),
    [E_DKIM] = EL("dkim", false),
    [E_SPF] = EL("spf", false),
    [E_REASON] = EL("reason", false),
    [E_TYPE] = EL("type", true),
    [E_COMMENT] = EL("comment", true),
    [E_IDENTIFIERS] = EL("identifiers", false),
    [E_IDENTITIES] = EL("identities", false),
    [E_HEADER_FROM] = EL("header_from", true),
    [E_ENVELOPE_FROM] = EL("envelope_from", true),
    [E_ENVELOPE_TO] = EL("envelope_to", true),
    [E_AUTH] = EL("auth_results", false),
    [E_SELECTOR] = EL("selector", true),
    [E_RESULT] = EL("result", true),
    [E_HUMAN] = EL("human_result", true),
    [E_SCOPE] = EL("scope", true),
};

/* What is not listed is N_SKIP. Above feedback everything is a wrapper. */
static const unsigned char below[N_CONTAINERS][AG_ELEMENTS] = {
    [N_OUTER] = {[0 ... AG_ELEMENTS - 1] = N_OUTER},
    [N_FEEDBACK] = {[E_VERSION] = L_VERSION,
		    [E_REPORT_METADATA] = N_METADATA,
		    [E_POLICY] = N_POLICY,
		    [E_EXTENSION] = N_EXTENSION,
		    [E_RECORD] = N_RECORD},
    [N_METADATA] = {[E_ORG_NAME] = L_ORG_NAME,
		    [E_EMAIL] = L_EMAIL,
		    [E_CONTACT] = L_CONTACT,
		    [E_REPORT_ID] = L_REPORT_ID,
		    [E_DATE_RANGE] = N_DATE_RANGE,
		    [E_ERROR] = L_ERROR,
		    [E_GENERATOR] = L_GENERATOR,
		    [E_RECEIVING] = N_RECEIVING},
    [N_DATE_RANGE] = {[E_BEGIN] = L_BEGIN, [E_END] = L_END},
    [N_RECEIVING] = {[E_DOMAIN] = L_RECEIVING_DOMAIN},
    [N_POLICY] = {[E_DOMAIN] = L_DOMAIN,
		  [E_VERSION_PUBLISHED] = L_VERSION_PUBLISHED,
		  [E_DISCOVERY] = L_DISCOVERY,
		  [E_P] = L_P,
		  [E_SP] = L_SP,
		  [E_NP] = L_NP,
		  [E_ADKIM] = L_ADKIM,
		  [E_ASPF] = L_ASPF,
		  [E_PCT] = L_PCT,
		  [E_FO] = L_FO,
		  [E_TESTING] = L_TESTING},
    [N_RECORD] = {[E_ROW] = N_ROW,
		  [E_IDENTIFIERS] = N_IDENTIFIERS,
		  [E_IDENTITIES] = N_IDENTIFIERS,
		  [E_AUTH] = N_AUTH},
    [N_ROW] = {[E_SOURCE_IP] = L_SOURCE_IP, [E_COUNT] = L_COUNT, [E_EVALUATED] = N_EVALUATED},
    [N_EVALUATED] = {[E_DISPOSITION] = L_DISPOSITION,
		     [E_DKIM] = L_EVAL_DKIM,
		     [E_SPF] = L_EVAL_SPF,
		     [E_REASON] = N_REASON},
    [N_REASON] = {[E_TYPE] = L_REASON_TYPE, [E_COMMENT] = L_REASON_COMMENT},
    [N_IDENTIFIERS] = {[E_HEADER_FROM] = L_HEADER_FROM,
		       [E_ENVELOPE_FROM] = L_ENVELOPE_FROM,
		       [E_ENVELOPE_TO] = L_ENVELOPE_TO},
    [N_AUTH] = {[E_DKIM] = N_DKIM, [E_SPF] = N_SPF},
    [N_DKIM] = {[E_DOMAIN] = L_DKIM_DOMAIN,
		[E_SELECTOR] = L_DKIM_SELECTOR,
		[E_RESULT] = L_DKIM_RESULT,
		[E_HUMAN] = L_DKIM_HUMAN},
    [N_SPF] = {[E_DOMAIN] = L_SPF_DOMAIN,
	       [E_SCOPE] = L_SPF_SCOPE,
	       [E_RESULT] = L_SPF_RESULT,
	       [E_HUMAN] = L_SPF_HUMAN},
};

const struct ag_leaf ag_leaves[N_NODES] = {
    [N_ROW] = {"row", 0},
    [N_EVALUATED] = {"row/policy_evaluated", 0},
    [N_REASON] = {"row/policy_evaluated/reason", LEAF_LOWER},
    [N_IDENTIFIERS] = {"identifiers", 0},
    [N_AUTH] = {"auth_results", 0},
    [N_DKIM] = {"auth_results/dkim", 0},
    [N_SPF] = {"auth_results/spf", 0},
    [L_VERSION] = {"version", 0},
    [L_ORG_NAME] = {"report_metadata/org_name", 0},
    [L_EMAIL] = {"report_metadata/email", 0},
    [L_CONTACT] = {"report_metadata/extra_contact_info", LEAF_LANG},
    [L_REPORT_ID] = {"report_metadata/report_id", 0},
    [L_GENERATOR] = {"report_metadata/generator", 0},
    [L_BEGIN] = {"report_metadata/date_range/begin", 0},
    [L_END] = {"report_metadata/date_range/end", 0},
    [L_DOMAIN] = {"policy_published/domain", 0},
    [L_VERSION_PUBLISHED] = {"policy_published/version_published", LEAF_LOWER},
    [L_DISCOVERY] = {"policy_published/discovery_method", LEAF_LOWER},
    [L_P] = {"policy_published/p", LEAF_LOWER},
    [L_SP] = {"policy_published/sp", LEAF_LOWER},
    [L_NP] = {"policy_published/np", LEAF_LOWER},
    [L_ADKIM] = {"policy_published/adkim", LEAF_LOWER},
    [L_ASPF] = {"policy_published/aspf", LEAF_LOWER},
    [L_PCT] = {"policy_published/pct", LEAF_LOWER},
    [L_FO] = {"policy_published/fo", LEAF_LOWER},
    [L_TESTING] = {"policy_published/testing", LEAF_LOWER},
    [L_ERROR] = {"report_metadata/error", LEAF_LONG | LEAF_LANG},
    [L_RECEIVING_DOMAIN] = {"report_metadata/receiving_domains/domain", LEAF_LOWER},
    [L_SOURCE_IP] = {"row/source_ip", 0},
    [L_COUNT] = {"row/count", 0},
    [L_DISPOSITION] = {"row/policy_evaluated/disposition", LEAF_LOWER},
    [L_EVAL_DKIM] = {"row/policy_evaluated/dkim", LEAF_LOWER},
    [L_EVAL_SPF] = {"row/policy_evaluated/spf", LEAF_LOWER},
    [L_HEADER_FROM] = {"identifiers/header_from", LEAF_LOWER},
    [L_ENVELOPE_FROM] = {"identifiers/envelope_from", LEAF_LOWER},
    [L_ENVELOPE_TO] = {"identifiers/envelope_to", LEAF_LOWER},
    [L_REASON_TYPE] = {"row/policy_evaluated/reason/type", LEAF_LOWER},
    [L_REASON_COMMENT] = {"row/policy_evaluated/reason/comment", LEAF_LONG | LEAF_LANG},
    [L_DKIM_DOMAIN] = {"auth_results/dkim/domain", LEAF_LOWER},
    [L_DKIM_SELECTOR] = {"auth_results/dkim/selector", 0},
    [L_DKIM_RESULT] = {"auth_results/dkim/result", LEAF_LOWER},
    [L_DKIM_HUMAN] = {"auth_results/dkim/human_result", LEAF_LONG | LEAF_LANG},
    [L_SPF_DOMAIN] = {"auth_results/spf/domain", LEAF_LOWER},
    [L_SPF_SCOPE] = {"auth_results/spf/scope", LEAF_LOWER},
    [L_SPF_RESULT] = {"auth_results/spf/result", LEAF_LOWER},
    [L_SPF_HUMAN] = {"auth_results/spf/human_result", LEAF_LONG | LEAF_LANG},
};

unsigned ag_element_find(const char *name, size_t n, bool *folded_r)
{
	*folded_r = false;
	for (unsigned e = 1; e < E_N; e++)
		if (element[e].len == n && memcmp(element[e].name, name, n) == 0)
			return e;
	for (unsigned e = 1; e < E_N; e++)
		if (element[e].len == n && strncasecmp(element[e].name, name, n) == 0) {
			*folded_r = true;
			return e;
		}
	return E_NONE;
}

enum ag_node ag_node_below(enum ag_node parent, unsigned e)
{
	return below[parent][e];
}

bool ag_element_is_text(unsigned e)
{
	return element[e].text;
}
