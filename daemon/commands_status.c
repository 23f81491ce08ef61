/* SPDX-License-Identifier: Apache-2.0
 * daemon/commands_status.c - `status json` and `status text`: what the living worker knows of itself. */
#include "daemon/commands.h"

#include "base/clock.h"
#include "daemon/control.h"
#include "daemon/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fill(struct tap_worker *w, struct tap_status *s)
{
	int64_t deadline = tap_clock_mono_ms() + TAP_CONTROL_MS / 2;
	struct tap_writer *q = &w->writer;
	struct tap_pool_stats pool;
	struct tap_err err = {0};

	s->running = true;
	s->pid = (long)getpid();
	s->uptime_s = (tap_clock_mono_ms() - w->started_ms) / 1000;
	if (tap_status_spool(&w->spool, s, &err) != TAP_OK ||
	    tap_status_store(w->store_set.path, deadline, s, &err) != TAP_OK)
		(void)snprintf(s->trouble, sizeof(s->trouble), "%s", err.msg);
	(void)pthread_mutex_lock(&q->lock);
	if (q->trouble[0] != '\0')
		memcpy(s->trouble, q->trouble, sizeof(s->trouble));
	s->taken = q->taken;
	s->stored = q->stored;
	s->duplicates = q->duplicates;
	s->quarantined = q->quarantined;
	s->batches = q->batches;
	s->wal_in_use = q->wal_in_use;
	(void)pthread_mutex_unlock(&q->lock);
	memset(&pool, 0, sizeof(pool));
	tap_pool_get_stats(w->pool, &pool);
	s->pool_processes = (uint64_t)w->parser.processes;
	s->pool_messages = pool.messages;
	s->pool_unreadable = pool.unreadable;
	s->pool_replaced = pool.replaced;
	tap_sinks_status(w, s, deadline);
}

enum tap_rc tap_command_status(struct tap_worker *w, const char *args, struct tap_buf *body,
			       struct tap_err *err)
{
	bool json = strcmp(args, "json") == 0;
	struct tap_status *s;

	if (!json && strcmp(args, "text") != 0)
		return tap_err_set(err, TAP_E_NOTFOUND, "status is given as json or as text");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	fill(w, s);
	if (json)
		tap_status_json(s, body);
	else
		tap_status_text(s, body);
	free(s);
	return TAP_OK;
}
