/* SPDX-License-Identifier: Apache-2.0
 * parser/trust.h - may the mail that carried a report be believed? By the Authentication-Results fields of our own mail server
 * alone; no signature is verified here.
 * A field counts when its authserv-id is configured and, with position "top", no Received field that another host wrote stands
 * above it. dmarc: the topmost field that counts and names it; DKIM: any pass; fields inside attached messages, ARC-… and
 * …-Original never count. Pure. Threads: safe. RFC 8601, RFC 9990 section 8.2, RFC 8460 section 3. */
#ifndef TAP_PARSER_TRUST_H
#define TAP_PARSER_TRUST_H

#include "base/arena.h"
#include "base/err.h"
#include "parser/report_mail.h"
#include <stdbool.h>
#include <stddef.h>

/* What the administrator configured; lists are borrowed, lower case is not required. */
struct tap_trust_rules {
	const char *const *authserv_ids;
	size_t n_authserv_ids; /* 0 = nothing is trusted */
	const char *const
	    *own_hosts; /* "by" names of our own Received fields, beside the authserv-ids */
	size_t n_own_hosts;
	bool any_position;
	const char *const
	    *domains; /* reports about these and what is below them are ours; none = all are */
	size_t n_domains;
};

/* The header block of one message, as read by authres.h; made once a message, lives in its arena. */
struct tap_mail_auth;
struct tap_meta;
/* Fills trust from what the carrying mail says (auth NULL: there is no mail) and from the report itself. */
void tap_trust_judge(const struct tap_trust_rules *rules, const struct tap_mail_auth *auth,
		     const struct tap_meta *meta, struct tap_trust *out);

#endif
