/* SPDX-License-Identifier: Apache-2.0
 * intake/spool_priv.h - what spool.c and spool_writer.c share. Lock order: only one lock, never held over I/O. */
#ifndef TAP_INTAKE_SPOOL_PRIV_H
#define TAP_INTAKE_SPOOL_PRIV_H

#include "intake/spool.h"
#include <pthread.h>
#include <stdbool.h>

struct tap_sync_wait; /* one writer that waits for the directory to be durable */

struct tap_spool {
	int root, dir; /* the spool directory, and incoming/<door> */
	int64_t max_bytes, max_files, min_free;
	bool shared; /* the process ends soon: what it has counted is left for the next one */
	pthread_mutex_t lock;
	pthread_cond_t synced;
	/* under lock: */
	int64_t bytes, files; /* of incoming/, as counted last, and what we added since */
	int64_t count_at_ms;  /* monotonic time of the next count */
	bool counting;
	struct tap_sync_wait *waiting; /* asked for an fsync of dir that has not begun */
	bool syncing;		       /* one of them is doing it */
};

/* fsync of dir that began after this call did; several callers share one [I1]. */
enum tap_rc tap_spool_sync_dir(struct tap_spool *s, struct tap_err *err) TAP_MUST_CHECK;
/* Calls fn for every entry but "." and "..", until it gives anything but TAP_OK; that is returned. */
enum tap_rc tap_spool_each(int dirfd, enum tap_rc (*fn)(void *, const char *, struct tap_err *),
			   void *ctx, struct tap_err *err) TAP_MUST_CHECK;
/* A message of this size was added. */
void tap_spool_added(struct tap_spool *s, uint64_t bytes);
/* "spool full: …", TAP_E_TEMP with ENOSPC. */
enum tap_rc tap_spool_full(struct tap_err *err, const char *what, int64_t limit);
/* TAP_OK while a message that has written `own` bytes may write `more`: neither what the others have in incoming/ nor the file system
 * forbids it. Its own bytes do not count against it, so that a spool that is empty otherwise takes any message. */
enum tap_rc tap_spool_more(struct tap_spool *s, uint64_t own, uint64_t more,
			   struct tap_err *err) TAP_MUST_CHECK;

#endif
