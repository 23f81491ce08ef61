/* SPDX-License-Identifier: Apache-2.0
 * daemon/upkeep.c - what is done with the store when nothing else is: reports older than store.keep go. New mail goes first: each piece is
 * one small job of the writer, and a pause lies between them. Threads: one of its own, and the control thread (tap_expire_some). */
#include "daemon/outbox.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/worker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

enum { PIECE = 20, FIRST_MS = 2000, EVERY_MS = 3600 * 1000, NAP_MS = 200, BUSY_MS = 2000 };
static const int64_t day = 86400;

struct piece {
	int64_t before, *seq;
	const struct tap_store_owed *owed;
	size_t n_owed;
	uint64_t n;
};

static enum tap_rc do_expire(struct tap_store *s, void *ctx, struct tap_err *err)
{
	struct piece *p = ctx;

	return tap_store_expire(s, p->before, p->owed, p->n_owed, PIECE, p->seq, &p->n, err);
}

static void nap(int64_t ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}

/* Lets new mail go first, but not for ever. */
static void give_way(struct tap_worker *w)
{
	int64_t end = tap_clock_mono_ms() + BUSY_MS;

	while ((tap_names_waiting(w->names) > 0 || atomic_load(&w->busy) > 0) &&
	       !atomic_load(&w->stopping) && tap_clock_mono_ms() < end)
		nap(5);
}

enum tap_rc tap_expire_some(struct tap_worker *w, int64_t before, bool even_owed,
			    int64_t deadline_ms, int64_t *seq, uint64_t *removed_r,
			    struct tap_err *err)
{
	struct tap_store_owed *owed = calloc(w->sinks + 1, sizeof(*owed));
	struct piece p = {
	    .before = before, .seq = seq, .owed = owed, .n_owed = even_owed ? 0 : w->sinks, .n = 1};
	enum tap_rc rc = TAP_OK;

	*removed_r = 0;
	if (owed == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (size_t i = 0; i < w->sinks; i++) {
		const struct tap_sink_config *c = &w->config[i];

		owed[i].sink = c->name;
		owed[i].kinds =
		    c->ops->kinds & (c->ops->wants != NULL ? c->ops->wants(c->set) : c->ops->kinds);
	}
	while (rc == TAP_OK && p.n > 0 && tap_clock_mono_ms() < deadline_ms &&
	       !atomic_load(&w->stopping)) {
		int64_t was = *seq;

		give_way(w);
		rc = tap_writer_run(w, do_expire, &p, err);
		if (rc == TAP_OK && *seq != was)
			*removed_r += p.n;
	}
	if (rc == TAP_OK && p.n == 0)
		*seq = 0;
	free(owed);
	return rc;
}

static bool pause_for(struct tap_worker *w, int64_t ms)
{
	int64_t end = tap_clock_mono_ms() + ms;

	while (!atomic_load(&w->stopping) && tap_clock_mono_ms() < end)
		nap(NAP_MS);
	return !atomic_load(&w->stopping);
}

static void *upkeep_main(void *arg)
{
	struct tap_worker *w = arg;

	for (int64_t ms = FIRST_MS; pause_for(w, ms); ms = EVERY_MS) {
		int64_t seq = 0, before = tap_clock_now() - w->store_set.keep * day;
		struct tap_err err = {0};
		uint64_t n = 0;

		if (tap_expire_some(w, before, false, INT64_MAX, &seq, &n, &err) != TAP_OK)
			tap_log_err(TAP_LOG_WARNING, "worker", &err);
		else if (n > 0)
			tap_info("worker",
				 "%" PRIu64 " reports older than %" PRId64 " days removed", n,
				 w->store_set.keep);
	}
	return NULL;
}

enum tap_rc tap_upkeep_start(struct tap_worker *w, struct tap_err *err)
{
	int e;

	if (w->store_set.keep == 0)
		return TAP_OK;
	e = pthread_create(&w->upkeep, NULL, upkeep_main, w);
	if (e != 0)
		return tap_err_sys(err, TAP_E_TEMP, e, "start a thread");
	w->upkeep_started = true;
	return TAP_OK;
}

void tap_upkeep_stop(struct tap_worker *w)
{
	if (w->upkeep_started)
		(void)pthread_join(w->upkeep, NULL);
	w->upkeep_started = false;
}
