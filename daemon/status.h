/* SPDX-License-Identifier: Apache-2.0
 * daemon/status.h - what `dmarctapctl status` shows: filled by dmarctapd, or, as far as files tell it, by dmarctapctl when the worker is
 * down. Threads: no shared state. */
#ifndef TAP_DAEMON_STATUS_H
#define TAP_DAEMON_STATUS_H

#include "base/buf.h"
#include "base/err.h"
#include "intake/settings.h"
#include "store/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_status_sink {
	char name[48], type[24], state[24], error[256];
	int64_t seq;
	uint64_t ordinal, lag, exceptions;
	uint64_t confirmed, retried, parked; /* since the worker's start */
	int64_t next_try_ms;		     /* from now; 0 = none planned */
};
struct tap_status_verdict {
	char name[32];
	uint64_t files;
};
enum {
	TAP_STATUS_SINKS = 64,
	TAP_STATUS_VERDICTS = 16,
	TAP_STATUS_SIDECARS = 2000, /* that are read for it; what lies beyond is "not looked at" */
};
struct tap_status {
	bool running;
	long pid;
	int64_t uptime_s;
	char trouble[512]; /* why the worker waits; "" = it does not */
	uint64_t spool_files, spool_bytes, quarantine_files, quarantine_bytes;
	struct tap_status_verdict verdict[TAP_STATUS_VERDICTS]; /* of what lies in quarantine */
	size_t n_verdicts;
	struct tap_store_totals totals;
	int64_t aggregate, failure, smtp_tls, feedback,
	    foreign; /* of totals.reports; foreign = of any kind, and none of the others */
	uint64_t wal_in_use;
	struct tap_store_reprocess reprocess; /* the last; id 0 = there was none */
	/* since the worker's start */
	uint64_t taken, stored, duplicates, quarantined, batches;
	uint64_t pool_processes, pool_messages, pool_unreadable, pool_replaced;
	struct tap_status_sink sink[TAP_STATUS_SINKS];
	size_t n_sinks;
};

void tap_status_json(const struct tap_status *s, struct tap_buf *out); /* one line */
void tap_status_text(const struct tap_status *s, struct tap_buf *out);
void tap_status_reprocess_json(const struct tap_store_reprocess *p, struct tap_buf *out);
void tap_status_reprocess_text(const struct tap_store_reprocess *p, struct tap_buf *out);
/* Counts messages in incoming/, and in quarantine/ by verdict. */
enum tap_rc tap_status_spool(const struct tap_spool_settings *set, struct tap_status *s,
			     struct tap_err *err) TAP_MUST_CHECK;
/* Totals of the store, by kind too, within a deadline (monotonic ms). */
enum tap_rc tap_status_store(const char *path, int64_t deadline_ms, struct tap_status *s,
			     struct tap_err *err) TAP_MUST_CHECK;

#endif
