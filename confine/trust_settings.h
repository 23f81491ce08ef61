/* SPDX-License-Identifier: Apache-2.0
 * confine/trust_settings.h - the section "trust" of the configuration: whose word on a mail's authentication counts, which domains are
 * ours, and what becomes of reports that did not come authenticated, are about other domains, or are too many. The first part goes to
 * the parser processes as launch arguments; doors and worker act on the rest.
 * Limits [I7]: TAP_TRUST_LIST entries of TAP_TRUST_TEXT bytes a list.
 * Ownership: strings belong to struct tap_settings. Threads: read-only after load. RFC 8601 section 5, RFC 9990 section 8.2. */
#ifndef TAP_CONFINE_TRUST_SETTINGS_H
#define TAP_CONFINE_TRUST_SETTINGS_H

#include "base/settings.h"
#include "parser/trust.h"
#include <stdbool.h>
#include <stdint.h>

enum { TAP_TRUST_LIST = 1000, TAP_TRUST_TEXT = 255 };
enum tap_unauthenticated { /* in the order of severity */
			   TAP_UNAUTH_ACCEPT,
			   TAP_UNAUTH_MARK,
			   TAP_UNAUTH_QUARANTINE,
			   TAP_UNAUTH_REJECT,
};
enum tap_foreign { TAP_FOREIGN_APART, TAP_FOREIGN_QUARANTINE };

struct tap_trust_settings {
	struct tap_list authserv_ids, own_hosts, domains;
	int64_t position;				      /* 0 = top, 1 = any */
	int64_t unauth_aggregate, unauth_failure, unauth_tls; /* enum tap_unauthenticated */
	int64_t foreign;				      /* enum tap_foreign */
	int64_t quota_records, quota_bytes; /* of one reporter in one day; 0 = none */
};
extern const struct tap_section tap_trust_section;

/* The kinds (TAP_KIND_*) for which at least this is configured. Feedback reports are never among them. set NULL: as when nothing is
 * configured. */
unsigned tap_trust_kinds(const struct tap_trust_settings *set, enum tap_unauthenticated least);
bool tap_trust_quotas(const struct tap_trust_settings *set);

/* The rules of the parser as arguments of its program, NULL-terminated; set NULL = none. NULL: no memory. */
char **tap_trust_args_new(const struct tap_trust_settings *set);
void tap_trust_args_free(char ***args); /* NULL-safe, sets NULL */
/* The other way round; false when argv[0 .. argc-1] are anything else. The rules point to the texts where they are; the lists of
 * pointers are made here and live as long as the process. */
bool tap_trust_args_parse(int argc, char **argv, struct tap_trust_rules *rules);

#endif
