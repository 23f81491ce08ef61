/* SPDX-License-Identifier: Apache-2.0
 * intake/address.h - which recipients are report addresses.
 * A path as it stands in RCPT TO is cleaned (RFC 5321 4.1.2): <>, source route and quotes fall away, ASCII letters become small, a
 * dot at the end of the domain goes. Then, in this order: the whole address, the address without its extension, its domain.
 * Letters outside ASCII are compared as bytes; an internationalised domain is configured in the form that the mail server hands on.
 * Limits: a path over 1024 bytes matches nothing. Ownership: the set owns copies. Threads: read-only once made. */
#ifndef TAP_INTAKE_ADDRESS_H
#define TAP_INTAKE_ADDRESS_H

#include "base/err.h"
#include "base/settings.h"
#include <stdbool.h>
#include <stddef.h>

enum { TAP_ADDRESS_MAX = 1024 };
enum tap_address_match {
	TAP_ADDRESS_OTHER,
	TAP_ADDRESS_EXACT,     /* "dmarc@example.com" is configured                   */
	TAP_ADDRESS_EXTENSION, /* it is, and the recipient was dmarc+x@example.com    */
	TAP_ADDRESS_DOMAIN,    /* "@example.com" is configured                        */
};

struct tap_addresses;
/* delimiter: each of its characters may begin an extension; "" or NULL = none.
 * TAP_E_CONFIG names the entry that is no address ("local@domain" or "@domain"). An empty list matches nothing. */
enum tap_rc tap_addresses_new(const struct tap_list *list, const char *delimiter,
			      struct tap_addresses **a_r, struct tap_err *err) TAP_MUST_CHECK;
void tap_addresses_free(struct tap_addresses **a); /* NULL-safe, sets NULL */
enum tap_address_match tap_addresses_match(const struct tap_addresses *a, const char *path);

/* The path without <>, source route and blanks around it, otherwise as given; cut at n. For envelopes and log lines. */
void tap_address_strip(const char *path, char *out, size_t n);
/* The canonical form that is compared; false when it has no local part or no domain, or is too long (an empty local part is allowed
 * when domain_only). out holds TAP_ADDRESS_MAX + 1 bytes. */
bool tap_address_canonical(const char *path, bool domain_only, char *out);

#endif
