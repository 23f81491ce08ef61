/* SPDX-License-Identifier: Apache-2.0
 * daemon/kept.h - what is done with messages in quarantine: they go back to the worker, or away. For the worker, and for dmarctapctl
 * --offline under the worker's lock [I10].
 * Each step leaves a message in exactly one place, whatever dies when: the message moves (or goes) first, that is made durable, and its
 * reason goes last. A reason without its message is swept by the worker.
 * A message that goes back gets a new id (the second of arrival stays in it): the store knows the old one as dealt with, and
 * parses the new one as if it had come just now.
 * Limits: none of its own, the directory's entries are collected. Threads: one at a time for each quarantine. */
#ifndef TAP_DAEMON_KEPT_H
#define TAP_DAEMON_KEPT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/settings.h"
#include "daemon/sidecar.h"
#include "intake/spool.h"
#include <stdint.h>

struct tap_quarantine_settings { /* section "quarantine" */
	int64_t keep_ms;	 /* 0 = for ever */
	int64_t max_bytes;
};
extern const struct tap_section tap_quarantine_section;

struct tap_kept {
	int root, quarantine, door[TAP_DOOR_N]; /* directories; -1 = not open */
};
/* Opens the directories of a spool that is laid out. */
enum tap_rc tap_kept_open(const struct tap_spool_settings *set, struct tap_kept *k,
			  struct tap_err *err) TAP_MUST_CHECK;
void tap_kept_close(struct tap_kept *k); /* idempotent; also after a failed open */

/* Which ones: all that is given must hold. */
struct tap_kept_which {
	const char *id;	     /* NULL or "" = any */
	const char *verdict; /* NULL or "" = any */
	int64_t before;	     /* filed before this second; INT64_MAX = whenever */
};
struct tap_kept_count {
	uint64_t done, left; /* left: something refused; err says what refused first */
};
/* Back to the worker, below the door that each came through. A line for each to log (may be NULL). */
enum tap_rc tap_kept_retry(const struct tap_kept *k, const struct tap_kept_which *which,
			   struct tap_kept_count *n, struct tap_err *err) TAP_MUST_CHECK;
/* Away for good. */
enum tap_rc tap_kept_drop(const struct tap_kept *k, const struct tap_kept_which *which,
			  struct tap_kept_count *n, struct tap_err *err) TAP_MUST_CHECK;
/* Reads quarantine/<id>.json; without one only the id and the time (of the file itself) are filled in, and the verdict is "". */
void tap_kept_describe(const struct tap_kept *k, const char *name, struct tap_sidecar *s);

/* The worker's round: what is older than keep goes; over max_bytes the oldest that also went to a mailbox go; when that is not enough the
 * doors are told to answer 452 (the file quarantine-full in the spool directory) until it is; reasons without their messages go. */
void tap_kept_round(const struct tap_kept *k, const struct tap_quarantine_settings *set);

#endif
