/* SPDX-License-Identifier: Apache-2.0
 * daemon/names.h - which spool files are waiting or in work: inotify and the sweep may both name a file, it is worked on once.
 * Limit: `most` files at a time; what does not fit is found again by the next look at the spool. Threads: safe. */
#ifndef TAP_DAEMON_NAMES_H
#define TAP_DAEMON_NAMES_H

#include "daemon/claims.h"
#include "intake/spool_file.h"
#include <stdbool.h>
#include <stddef.h>

struct tap_name {
	struct tap_name *next;	   /* in its hash chain */
	struct tap_name *next_job; /* in the queue */
	enum tap_door door;
	char name[TAP_SPOOL_NAME];
	bool poison; /* it has killed workers: it is filed, not looked into */
};
struct tap_names;

/* claims (borrowed, may be NULL) hears of each name that is taken and done. */
struct tap_names *tap_names_new(size_t most, struct tap_claims *claims);
void tap_names_free(struct tap_names **n); /* NULL-safe, sets NULL */
enum tap_offer { TAP_OFFER_NEW, TAP_OFFER_KNOWN, TAP_OFFER_FULL };
enum tap_offer tap_names_offer(struct tap_names *n, enum tap_door door, const char *name);
/* The next one that waits, now in work; NULL after tap_names_stop. Blocks. */
struct tap_name *tap_names_take(struct tap_names *n);
/* Its work is over, well or not: it may be offered again. Frees it, sets NULL. */
void tap_names_done(struct tap_names *n, struct tap_name **name);
void tap_names_stop(struct tap_names *n); /* every tap_names_take returns NULL from now on */
size_t tap_names_waiting(struct tap_names *n);

#endif
