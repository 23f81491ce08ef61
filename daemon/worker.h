/* SPDX-License-Identifier: Apache-2.0
 * daemon/worker.h - the inside of dmarctapd: what its threads share, and the way of a message through them.
 *
 *   main (watch.c)      names of spool files, from inotify and from the sweep  → names.h
 *   feeders (feeder.c)  open, verify, have it parsed; the events are staged as frames → staging queue
 *   writer (writer.c)   many staged messages into one transaction; commit; settles sinks in the same
 *   finishers (finish.c) unlink the spool file or file it in quarantine [I2]
 *   sinks (feed.c)      one thread each, in outputs/runner.c; they read through handles of their own
 *   reprocess (reprocess.c) what the store keeps, parsed again
 *   control (control.c) answers dmarctapctl
 *
 * Ownership: struct tap_worker lives from main to the join of the last thread. A staged message belongs to the feeder until it is pushed,
 * then to the writer. Locks: each queue has one; no thread holds two. */
#ifndef TAP_DAEMON_WORKER_H
#define TAP_DAEMON_WORKER_H

#include "base/buf.h"
#include "confine/pool.h"
#include "daemon/claims.h"
#include "daemon/kept.h"
#include "daemon/names.h"
#include "daemon/settings.h"
#include "daemon/sink_config.h"
#include "daemon/status.h"
#include "intake/spool.h"
#include "outputs/runner.h"
#include "store/store.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
	TAP_STAGE_MEMORY =
	    8 << 20, /* frames of one message kept in memory; more goes to an unlinked file */
	TAP_STAGE_TOTAL = 64 << 20, /* of all staged messages; feeders wait */
	TAP_STAGE_FILES = 512,	    /* staged messages; feeders wait */
	TAP_STAGE_HEADERS = 1 << 20,
	TAP_NAMES_MOST = 20000,
};

/* A message that was parsed and is not stored yet. */
struct tap_staged {
	struct tap_staged *next;
	struct tap_name *name;
	char id[TAP_SPOOL_ID + 1];
	bool opened; /* file holds the envelope (its descriptor is closed) */
	struct tap_spool_file file;
	struct tap_buf headers, recipients, frames;
	int tmp_fd; /* -1, or all of the frames */
	uint64_t tmp_len;
	bool has_reports; /* frames are worth reading */
	uint32_t reports, broken;
	char verdict[32]; /* goes to quarantine for this; "" = it does not */
	char reason[512];
	bool known;    /* committed before a crash: only unlink or quarantine is left */
	bool conflict; /* the verdict is the store's, of the last attempt */
	bool over; /* so is this one: over its reporter's quota, and stored without its reports */
	char *before; /* the reason that stood there before that, "broken"; NULL = there was none */
	/* Only with quotas: who brought it, and how much of what counts. */
	char reporter[256];
	uint64_t records;
};

/* Something that is to be done in the next transaction: a sink's settlement, a control verb. Waits in a queue of its own before the
 * messages, and lives on the stack of the thread that waits for it. */
struct tap_job {
	struct tap_job *next;
	enum tap_rc (*fn)(struct tap_store *s, void *ctx, struct tap_err *err);
	void *ctx;
	bool news; /* sinks look again once it is committed */
	bool done;
	enum tap_rc rc;
	struct tap_err err;
};

struct tap_writer {
	pthread_mutex_t lock;
	pthread_cond_t work, room, answered, news;
	struct tap_staged *first, *last;
	struct tap_job *first_job, *last_job;
	size_t files, bytes;
	bool stop;
	uint64_t generation; /* raised by each commit that brings reports: sinks wait for it */
	char trouble[512];
	uint64_t taken, stored, duplicates, quarantined, batches, wal_in_use;
	pthread_t thread;
	bool started;
};

enum { TAP_FINISHERS = 4 };
struct tap_finisher {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct tap_staged *first, *last;
	bool stop;
	pthread_t thread[TAP_FINISHERS];
	size_t threads;
};

struct tap_sink_run {
	struct tap_worker *w;
	struct tap_store_reader *reader;
	const struct tap_sink_config *config;
	uint64_t generation; /* what was there at the last look */
	int64_t epoch;	     /* of the cursor, as it was read */
	int64_t seen_seq;    /* the report that was last looked up for a former revision */
	bool seen_sent;
	struct tap_feed feed;
	struct tap_runner *runner;
};

struct tap_worker {
	struct tap_worker_settings set;
	struct tap_spool_settings spool;
	struct tap_store_settings store_set;
	struct tap_parser_settings parser;
	struct tap_trust_settings trust;
	struct tap_quarantine_settings quarantine;
	int spool_fd, quarantine_fd, door_fd[TAP_DOOR_N], spool_lock, store_lock;
	struct tap_pool *pool;
	struct tap_store *store;   /* the writer's once it runs */
	struct tap_claims *claims; /* NULL = could not be had */
	struct tap_names *names;
	struct tap_writer writer;
	struct tap_finisher finisher;
	pthread_t *feeder;
	size_t feeders;
	struct tap_sink_config *config;
	struct tap_sink_run *sink;
	size_t sinks; /* of both */
	pthread_t upkeep;
	bool upkeep_started;
	struct tap_again *again; /* reprocess.c's own */
	atomic_int busy;	 /* feeders that have a message in hand */
	atomic_bool stopping;
	bool abandoned; /* a feeder still waits for its parser process: it ends with the program */
	int64_t started_ms;
	bool ready;  /* it has begun to work */
	bool reload; /* it ends to begin anew, with another configuration */
	struct tap_pulse *pulse;
};

/* main.c: reads the configuration anew; true: it is good, and the worker ends to take it up (w->reload). */
bool tap_worker_reload(struct tap_worker *w);

/* pulse.c: the service manager's watchdog. It is fed by tap_pulse_beat, from the main loop, and only while the writer answers, too. */
void tap_pulse_start(struct tap_worker *w);
void tap_pulse_stop(struct tap_worker *w);
void tap_pulse_beat(struct tap_worker *w);
/* How long the main loop may wait at most; INT64_MAX = there is no watchdog. */
int64_t tap_pulse_every_ms(const struct tap_worker *w);

/* feeder.c */
enum tap_rc tap_feeders_start(struct tap_worker *w, struct tap_err *err) TAP_MUST_CHECK;
/* Waits a moment for messages that are being parsed. One that takes longer is left to its thread (w->abandoned): its file stays in the
 * spool, and the program must end without freeing what that thread uses. */
void tap_feeders_stop(struct tap_worker *w);
void tap_staged_free(
    struct tap_staged **m); /* NULL-safe, sets NULL; its name must have been given back */

/* The pool's sink for frames, ctx = struct tap_staged: in memory first, then all of it in a file without a name. */
enum tap_rc tap_staged_add(void *ctx, const void *p, size_t n, struct tap_err *err) TAP_MUST_CHECK;

/* writer.c */
enum tap_rc tap_writer_start(struct tap_worker *w, struct tap_err *err) TAP_MUST_CHECK;
/* Commits what is staged, then ends. Sinks must be stopped before. */
void tap_writer_stop(struct tap_worker *w);
/* Takes m over. Waits for room. */
void tap_writer_push(struct tap_worker *w, struct tap_staged *m);
/* Runs fn inside the next transaction and returns when that is committed, or could not be. Where fn fails and the store does not
 * (tap_store_failed), only what fn wrote is undone. fn runs once, and must not begin, commit or roll back itself. Sinks look
 * again afterwards. Not from the writer's own thread. */
enum tap_rc tap_writer_run(struct tap_worker *w,
			   enum tap_rc (*fn)(struct tap_store *s, void *ctx, struct tap_err *err),
			   void *ctx, struct tap_err *err) TAP_MUST_CHECK;
/* The same for a settlement, which is no news for sinks. */
enum tap_rc tap_writer_settle(struct tap_worker *w, const struct tap_store_settle *set,
			      struct tap_err *err) TAP_MUST_CHECK;
/* Waits until *seen is no longer the latest generation, the timeout passes, or the worker stops. */
void tap_writer_wait(struct tap_worker *w, uint64_t seen, int64_t timeout_ms);
uint64_t tap_writer_generation(struct tap_worker *w);
void tap_writer_wake(struct tap_worker *w); /* sinks and a writer that wait look at w->stopping */

/* trust.c */
/* What the settings say of a message whose reports were read; m may be condemned. Fails only for want of the system. */
enum tap_rc tap_trust_apply(const struct tap_worker *w, struct tap_staged *m,
			    const struct tap_parse_result *res, struct tap_err *err) TAP_MUST_CHECK;
/* The staged frames as events. TAP_E_DATA: they are none. */
enum tap_rc tap_staged_replay(const struct tap_staged *m, const struct tap_events *ev, void *ctx,
			      struct tap_err *err) TAP_MUST_CHECK;

/* finish.c: behind the commit */
enum tap_rc tap_finisher_start(struct tap_worker *w, struct tap_err *err) TAP_MUST_CHECK;
void tap_finisher_stop(struct tap_worker *w); /* when all that was pushed is done */
/* Takes a list of messages over. */
void tap_finisher_push(struct tap_worker *w, struct tap_staged *first, struct tap_staged *last);

/* quarantine.c: sidecar, rename, both durable; after the commit. Every step can be done again. */
enum tap_rc tap_quarantine_file(struct tap_worker *w, const struct tap_staged *m,
				struct tap_err *err) TAP_MUST_CHECK;

/* watch.c: runs until SIGTERM, SIGINT, or a SIGHUP with a good configuration. */
enum tap_rc tap_watch(struct tap_worker *w, struct tap_err *err) TAP_MUST_CHECK;

/* feed.c */
enum tap_rc tap_sinks_configure(struct tap_worker *w, struct tap_settings *s,
				struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_sinks_start(struct tap_worker *w, struct tap_err *err) TAP_MUST_CHECK;
void tap_sinks_stop(struct tap_worker *w);
void tap_sinks_status(struct tap_worker *w, struct tap_status *s, int64_t deadline_ms);

#endif
