/* SPDX-License-Identifier: Apache-2.0
 * daemon/claims.h - which messages the worker has in hand, in a file (<spool>/worker.claims) that outlives its death, so that a message
 * that kills the worker itself is found out instead of killing it for ever.
 * Whatever was in hand when a worker died is a suspect at the next start. A suspect is worked on again, but never beside another
 * suspect: when the worker dies once more, it is known with whom. After TAP_CLAIM_DEATHS deaths of that kind it is poison.
 * The file is mapped memory: the death of the process loses nothing; after a power cut it is worth nothing, and need not be.
 * Ownership: the caller frees. NULL is allowed everywhere and claims nothing. Threads: safe. */
#ifndef TAP_DAEMON_CLAIMS_H
#define TAP_DAEMON_CLAIMS_H

#include "base/err.h"
#include "intake/spool_file.h"
#include <stdbool.h>

enum { TAP_CLAIM_DEATHS = 3, TAP_CLAIM_MOST = 1024 };

struct tap_claims;
enum tap_claim {
	TAP_CLAIM_TAKEN,
	TAP_CLAIM_POISON, /* taken too: to be filed, not to be looked into */
	TAP_CLAIM_STOPPED,
};
enum tap_rc tap_claims_open(int spool_fd, struct tap_claims **c_r,
			    struct tap_err *err) TAP_MUST_CHECK;
void tap_claims_close(struct tap_claims **c); /* NULL-safe, sets NULL */
/* Waits while another suspect is in hand. id: TAP_SPOOL_ID characters. More than TAP_CLAIM_MOST at a time are not noted. */
enum tap_claim tap_claims_take(struct tap_claims *c, const char *id);
/* Its work is over, well or not. */
void tap_claims_done(struct tap_claims *c, const char *id);
void tap_claims_stop(struct tap_claims *c); /* who waits, and who comes, gets TAP_CLAIM_STOPPED */

#endif
