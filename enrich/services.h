/* SPDX-License-Identifier: Apache-2.0
 * enrich/services.h - which service a base domain or the domain of a network belongs to: "sendgrid.net" is SendGrid, which sends
 * transactional mail. A map of ours (etc/services.csv) is part of the program; files of the user's come before it.
 * Ownership: who opens one frees it; what is found points into it. Nothing in it changes after it was opened; a file that was
 * replaced is seen by tap_services_changed. Threads: safe after the opening.
 * Limits [I7]: TAP_SERVICES_FILE bytes a file, TAP_SERVICES_TEXT a name or type. Errors: TAP_E_TEMP, out of memory; what is wrong
 * with a file is a warning in the log: a file that is no map is not used, a line that is no row is left out. */
#ifndef TAP_ENRICH_SERVICES_H
#define TAP_ENRICH_SERVICES_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

enum { TAP_SERVICES_FILE = 64 << 20, TAP_SERVICES_TEXT = 128 };

struct tap_services;
struct tap_service {
	const char *name, *type; /* type: NULL = not said */
};

/* Files: CSV in UTF-8, a head line that names the columns domain (or base_reverse_dns), name and type, in any order and among others;
 * without a head line they are these three. Of several rows for one domain the first counts, of several files the first. */
enum tap_rc tap_services_open(const char *const *path, size_t n, struct tap_services **s_r,
			      struct tap_err *err) TAP_MUST_CHECK;
void tap_services_free(struct tap_services **s); /* NULL-safe */
bool tap_services_changed(const struct tap_services *s);
size_t tap_services_rows(const struct tap_services *s);
/* domain: as idn.h writes names; NULL = none. network: it is the domain of a network and not that of a name: rows for networks alone
 * (as:example.net) come first. False: not in the map. */
bool tap_services_find(const struct tap_services *s, const char *domain, bool network,
		       struct tap_service *out);

/* What a type that the map of ours uses says of who sends (docs/enrich.md has the list). */
enum tap_service_role {
	TAP_ROLE_NONE,	    /* says nothing of mail; also a type that we do not know */
	TAP_ROLE_SENDER,    /* sends for its customers under their domains */
	TAP_ROLE_MAILBOXES, /* has people's mailboxes: sends for them, and forwards */
	TAP_ROLE_FORWARDER, /* forwards, or is a mailing list */
	TAP_ROLE_GATEWAY, /* stands between: filters mail that comes in and passes it on, or sends mail that goes out */
	TAP_ROLE_NETWORK, /* lends addresses, to anybody */
};
enum tap_service_role tap_service_role(const char *type);

#endif
