/* SPDX-License-Identifier: Apache-2.0
 * parser/report_mail.h - the mail that carried a report: who sent it, what our own mail server said of it, and what that makes of
 * the report's credibility. Plain C, no library types; ownership and strings as parser/report.h says. Threads: as there.
 * RFC 8601 (Authentication-Results), RFC 9990 section 8.2, RFC 8460 section 3. */
#ifndef TAP_PARSER_REPORT_MAIL_H
#define TAP_PARSER_REPORT_MAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Was the mail authenticated, by a field that can be trusted? */
enum tap_auth_state {
	TAP_AUTH_UNKNOWN, /* no authserv-id is configured, or no field of ours is there */
	TAP_AUTH_NONE,	  /* our field says: no policy, not signed, nothing to go by    */
	TAP_AUTH_FAIL,
	TAP_AUTH_PASS, /* dmarc=pass, or DKIM or SPF passed for a domain that is aligned with From */
	TAP_AUTH_N
};
extern const char *const tap_auth_state_name[TAP_AUTH_N]; /* "unknown" "none" "fail" "pass" */

/* Do two statements agree? */
enum tap_agree { TAP_AGREE_UNKNOWN, TAP_AGREE_YES, TAP_AGREE_NO, TAP_AGREE_N };
extern const char *const tap_agree_name[TAP_AGREE_N]; /* "unknown" "yes" "no" */

enum { TAP_TRUST_DKIM = 8 };
struct tap_trust {
	enum tap_auth_state auth;  /* of the mail as a whole */
	enum tap_auth_state dmarc; /* what the trusted field says of dmarc; UNKNOWN = nothing */
	const char *dkim_domains[TAP_TRUST_DKIM]; /* d= of signatures that passed */
	size_t n_dkim_domains;
	const char *from_domain; /* of the mail's From; NULL = none, or no mail (a file) */
	/* The authenticated domain is that of the reporter (org_name when it is a domain, the report's email, contact-info). */
	enum tap_agree reporter;
	enum tap_agree
	    names; /* file name and subject name the same domains, period and report id as the report */
	bool foreign; /* a report about a domain that is not in the configured list */
	/* auth is PASS and reporter is YES: counts in totals of trusted reports. */
	bool trusted;
};

#endif
