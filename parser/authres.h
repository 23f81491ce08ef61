/* SPDX-License-Identifier: Apache-2.0
 * parser/authres.h - Authentication-Results and Received fields of a message, as data. Inside of parser/ only.
 * Limits [I7]: 64 KiB a field, 64 results a message, 32 hops; what is beyond is left out. Linear time whatever the input.
 * Ownership: results live in the arena. Threads: safe. Errors: none but the arena's cap. RFC 8601, RFC 5322 section 3.6.7. */
#ifndef TAP_PARSER_AUTHRES_H
#define TAP_PARSER_AUTHRES_H

#include "base/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_auth_property {
	const char *ptype, *name, *value; /* "header" "from" "example.com" */
};
struct tap_auth_method {
	const char *method, *result, *reason; /* lower case; reason NULL = none */
	const struct tap_auth_property *property;
	size_t n_property;
};
struct tap_auth_field {
	const char *authserv_id; /* NULL = the field has none ("dmarc=fail …") */
	const struct tap_auth_method *method;
	size_t n_method;
	uint32_t hops; /* Received fields that stand above it */
};
enum { TAP_AUTH_FIELDS = 64, TAP_AUTH_HOPS = 32 };
struct tap_mail_auth {
	const struct tap_auth_field *field; /* top first */
	size_t n_field;
	const char
	    *by[TAP_AUTH_HOPS]; /* "by" name of each Received, top first, lower case; NULL = none */
	/* Whom that field's writer spoke to, as it found out itself; "localhost" = itself; NULL = not known. See received.h. */
	const char *peer[TAP_AUTH_HOPS];
	size_t n_by;
	const char *from_domain; /* of From; NULL = none, several or unreadable */
	/* Of the Subject and of TLS-Report-Domain and TLS-Report-Submitter; NULL = not said. Lower case but for the id. */
	const char *subject_domain, *subject_submitter, *subject_report_id;
	const char *tls_domain, *tls_submitter;
};
/* One field's value (folded or not). lenient: results without an authserv-id are taken, as in feedback reports. NULL = nothing in it. */
const struct tap_auth_field *tap_authres_parse(struct tap_arena *a, const char *value, size_t n,
					       bool lenient);
/* The whole header block of a message, n bytes. A line in it that is no field: to the mail server the header ended there, so it may
 * have left forged fields behind it; then no Authentication-Results field is taken at all. */
const struct tap_mail_auth *tap_mail_auth_read(struct tap_arena *a, const char *block, size_t n);

#endif
