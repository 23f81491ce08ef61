/* SPDX-License-Identifier: Apache-2.0
 * daemon/pulse.c - the watchdog's food. A thread asks the writer for nothing, again and again; the main loop passes on that it got an
 * answer. So a writer that hangs, or a main loop that does, ends in a restart by the service manager; a store that refuses does not. */
#include "daemon/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"

#include <stdlib.h>
#include <time.h>

struct tap_pulse {
	pthread_mutex_t lock;
	pthread_cond_t end;
	pthread_t thread;
	bool stop;
	int64_t allowed_ms, answered_ms, told_ms;
};

static enum tap_rc nothing(struct tap_store *s, void *ctx, struct tap_err *err)
{
	(void)s;
	(void)ctx;
	(void)err;
	return TAP_OK;
}

/* A quarter of what is allowed, or until the end. The lock is held. */
static void rest(struct tap_pulse *p)
{
	struct timespec ts;
	int e = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += p->allowed_ms / 4000;
	ts.tv_nsec += p->allowed_ms / 4 % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	while (!p->stop && e == 0)
		e = pthread_cond_timedwait(&p->end, &p->lock, &ts);
}

static void *pulse_main(void *arg)
{
	struct tap_worker *w = arg;
	struct tap_pulse *p = w->pulse;

	(void)pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		struct tap_err err = {0};

		(void)pthread_mutex_unlock(&p->lock);
		/* Trouble of the store is an answer too. */
		if (tap_writer_run(w, nothing, NULL, &err) != TAP_OK)
			tap_debug("worker", "watchdog: %s", err.msg);
		(void)pthread_mutex_lock(&p->lock);
		p->answered_ms = tap_clock_mono_ms();
		rest(p);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

void tap_pulse_start(struct tap_worker *w)
{
	int64_t allowed = tap_notify_watchdog_ms();
	struct tap_pulse *p = allowed > 0 ? calloc(1, sizeof(*p)) : NULL;
	pthread_condattr_t attr;

	if (p == NULL)
		return;
	p->allowed_ms = allowed;
	p->answered_ms = tap_clock_mono_ms();
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_condattr_init(
	    &attr); /* the wall clock may be set back, and the pulse would stop */
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->end, &attr);
	(void)pthread_condattr_destroy(&attr);
	w->pulse = p;
	if (pthread_create(&p->thread, NULL, pulse_main, w) != 0) {
		tap_warn("worker", "no thread for the watchdog");
		free(p);
		w->pulse = NULL;
	}
}

void tap_pulse_stop(struct tap_worker *w)
{
	struct tap_pulse *p = w->pulse;

	if (p == NULL)
		return;
	(void)pthread_mutex_lock(&p->lock);
	p->stop = true;
	(void)pthread_cond_broadcast(&p->end);
	(void)pthread_mutex_unlock(&p->lock);
	(void)pthread_join(p->thread, NULL);
	(void)pthread_cond_destroy(&p->end);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
	w->pulse = NULL;
}

int64_t tap_pulse_every_ms(const struct tap_worker *w)
{
	return w->pulse != NULL ? w->pulse->allowed_ms / 4 : INT64_MAX;
}

void tap_pulse_beat(struct tap_worker *w)
{
	struct tap_pulse *p = w->pulse;
	int64_t now = tap_clock_mono_ms();
	bool alive;

	if (p == NULL || now - p->told_ms < p->allowed_ms / 8)
		return;
	(void)pthread_mutex_lock(&p->lock);
	alive = now - p->answered_ms < p->allowed_ms;
	(void)pthread_mutex_unlock(&p->lock);
	if (alive)
		tap_notify("WATCHDOG=1");
	p->told_ms = now;
}
