/* SPDX-License-Identifier: Apache-2.0
 * parser/received.h - one Received field as data. Inside of parser/ only. Ownership: arena. Linear time. Threads: safe.
 * RFC 5321 section 4.4, RFC 5322 section 3.6.7. */
#ifndef TAP_PARSER_RECEIVED_H
#define TAP_PARSER_RECEIVED_H

#include "base/arena.h"
#include <stdbool.h>
#include <stddef.h>

struct tap_received {
	/* The words behind each name with the comments that follow them; NULL = not said. by: its first word alone. */
	const char *from, *by, *via, *with, *id, *for_;
	const char *by_full; /* with its comments */
	const char *date; /* behind the last ";", as sent; without one, what stands behind the id */
	/* Whom the writer of the field says that it spoke to, as it found out itself and not as the other side named itself: the reverse
	 * name from the comment behind "from", "localhost" for a loopback address or when there is no "from" at all; lower case.
	 * NULL = not known. */
	const char *peer;
};
/* value may be folded. false: the arena's cap. */
bool tap_received_parse(struct tap_arena *a, const char *value, size_t n,
			struct tap_received *out_r);

#endif
