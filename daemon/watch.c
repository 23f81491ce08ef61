/* SPDX-License-Identifier: Apache-2.0
 * daemon/watch.c - finds the spool files: inotify says at once what a door has renamed into place, a sweep finds what was there before the
 * start, what inotify dropped, and what trouble left behind. Runs in the main thread, beside the signals. */
#include "daemon/worker.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/notify.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { SOON_MS = 200 };

struct watching {
	struct tap_worker *w;
	int inotify, signals;
	int wd[TAP_DOOR_N];
	int64_t next_sweep;
	uint64_t foreign, foreign_told; /* files that are not ours: said once */
	char stranger[256];
	struct tap_kept kept;
};

struct scanning {
	struct watching *x;
	enum tap_door door;
	char (*name)[TAP_SPOOL_NAME];
	size_t n;
	bool cut;
};

static enum tap_rc collect(void *ctx, const char *name, enum tap_spool_entry what,
			   struct tap_err *err)
{
	struct scanning *s = ctx;

	if (what == TAP_SPOOL_FOREIGN) {
		s->x->foreign++;
		(void)snprintf(s->x->stranger, sizeof(s->x->stranger), "%s/%.200s",
			       tap_spool_incoming[s->door], name);
	}
	if (what != TAP_SPOOL_MESSAGE || strlen(name) >= TAP_SPOOL_NAME)
		return TAP_OK;
	if (s->n == TAP_NAMES_MOST) {
		s->cut = true;
		return tap_err_set(err, TAP_E_LIMIT, "more than can be worked on at a time");
	}
	memcpy(s->name[s->n++], name, strlen(name) + 1);
	return TAP_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Names begin with the second of arrival: the oldest first. */
static bool scan(struct watching *x, enum tap_door door, char (*names)[TAP_SPOOL_NAME])
{
	struct scanning s = {.x = x, .door = door, .name = names};
	struct tap_err err = {0};
	enum tap_rc rc = tap_spool_scan(x->w->door_fd[door], collect, &s, &err);

	if (rc != TAP_OK && rc != TAP_E_LIMIT)
		tap_log_err(TAP_LOG_ERROR, "worker", &err);
	qsort(s.name, s.n, sizeof(s.name[0]), by_name);
	for (size_t i = 0; i < s.n && !s.cut; i++)
		s.cut = tap_names_offer(x->w->names, door, s.name[i]) == TAP_OFFER_FULL;
	return s.cut;
}

/* What doors died over. A door that runs all the time does it at its start, too; the pipe door has none. */
static void sweep_orphans(const struct tap_worker *w)
{
	for (int d = 0; d < TAP_DOOR_N; d++) {
		struct tap_err err = {0};
		unsigned swept = 0;

		if (tap_spool_sweep(w->door_fd[d], &swept, &err) != TAP_OK)
			tap_log_err(TAP_LOG_WARNING, "worker", &err);
		if (swept > 0)
			tap_info("worker", "removed %u partial files of dead writers from %s",
				 swept, tap_spool_incoming[d]);
	}
}

static void tell_status(struct tap_worker *w)
{
	struct tap_writer *q = &w->writer;

	(void)pthread_mutex_lock(&q->lock);
	tap_notify("STATUS=%llu messages taken in, %llu reports stored, %llu messages into "
		   "quarantine%s%s",
		   (unsigned long long)q->taken, (unsigned long long)q->stored,
		   (unsigned long long)q->quarantined, q->trouble[0] != '\0' ? "; waits: " : "",
		   q->trouble);
	(void)pthread_mutex_unlock(&q->lock);
}

static void sweep(struct watching *x)
{
	char(*names)[TAP_SPOOL_NAME] = calloc(TAP_NAMES_MOST, sizeof(*names));
	bool cut = names == NULL;

	x->foreign = 0;
	for (int d = 0; names != NULL && d < TAP_DOOR_N; d++)
		cut = scan(x, (enum tap_door)d, names) || cut;
	free(names);
	if (x->foreign > x->foreign_told)
		tap_warn(
		    "worker",
		    "the spool holds %llu files that are not messages, such as %s; they are left "
		    "alone (dmarctapctl spool list)",
		    (unsigned long long)x->foreign, x->stranger);
	x->foreign_told = x->foreign;
	sweep_orphans(x->w);
	tap_kept_round(&x->kept, &x->w->quarantine);
	tell_status(x->w);
	/* When not all of it fitted, look again as soon as there is room. */
	x->next_sweep = tap_clock_mono_ms() + (cut ? SOON_MS : x->w->set.sweep_ms);
}

static void one_event(struct watching *x, const struct inotify_event *e)
{
	if ((e->mask & IN_Q_OVERFLOW) != 0) {
		x->next_sweep = 0;
		return;
	}
	if (e->len == 0 || tap_spool_entry_of(e->name) != TAP_SPOOL_MESSAGE)
		return;
	for (int d = 0; d < TAP_DOOR_N; d++)
		if (x->wd[d] == e->wd &&
		    tap_names_offer(x->w->names, (enum tap_door)d, e->name) == TAP_OFFER_FULL &&
		    x->next_sweep > tap_clock_mono_ms() + SOON_MS)
			x->next_sweep = tap_clock_mono_ms() + SOON_MS;
}

static void read_events(struct watching *x)
{
	_Alignas(struct inotify_event) char piece[65536];
	ssize_t n = read(x->inotify, piece, sizeof(piece));

	for (ssize_t at = 0; n > 0 && at + (ssize_t)sizeof(struct inotify_event) <= n;) {
		const struct inotify_event *e =
		    (const struct inotify_event *)(const void *)(piece + at);

		one_event(x, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
}

static enum tap_rc set_up(struct watching *x, struct tap_err *err)
{
	char path[4096];

	x->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (x->inotify < 0)
		return tap_err_sys(err, TAP_E_TEMP, errno, "inotify");
	for (int d = 0; d < TAP_DOOR_N; d++) {
		(void)snprintf(path, sizeof(path), "%s/%s", x->w->spool.directory,
			       tap_spool_incoming[d]);
		x->wd[d] =
		    inotify_add_watch(x->inotify, path, IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR);
		if (x->wd[d] < 0)
			return tap_err_sys(err, TAP_E_TEMP, errno, "watch %s", path);
	}
	return TAP_OK;
}

static bool ended_by_signal(struct watching *x)
{
	struct signalfd_siginfo info;

	if (read(x->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (info.ssi_signo == SIGHUP)
		return tap_worker_reload(x->w);
	tap_info("worker", "signal %u: ending", info.ssi_signo);
	return true;
}

enum tap_rc tap_watch(struct tap_worker *w, struct tap_err *err)
{
	struct watching x = {.w = w, .inotify = -1, .signals = -1};
	enum tap_rc rc = tap_kept_open(&w->spool, &x.kept, err);
	sigset_t set;

	if (rc == TAP_OK)
		rc = set_up(&x, err);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	x.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (rc == TAP_OK && x.signals < 0)
		rc = tap_err_sys(err, TAP_E_TEMP, errno, "signalfd");
	while (rc == TAP_OK) {
		struct pollfd p[2] = {{.fd = x.inotify, .events = POLLIN},
				      {.fd = x.signals, .events = POLLIN}};
		int64_t left = x.next_sweep - tap_clock_mono_ms();

		tap_pulse_beat(w);
		if (left <= 0) {
			sweep(&x);
			continue;
		}
		left = left < tap_pulse_every_ms(w) ? left : tap_pulse_every_ms(w);
		if (poll(p, 2, left < 3600000 ? (int)left : 3600000) < 0 && errno != EINTR) {
			rc = tap_err_sys(err, TAP_E_TEMP, errno, "poll");
			break;
		}
		if (p[1].revents != 0 && ended_by_signal(&x))
			break;
		if (p[0].revents != 0)
			read_events(&x);
	}
	tap_kept_close(&x.kept);
	tap_io_close(&x.inotify);
	tap_io_close(&x.signals);
	return rc;
}
