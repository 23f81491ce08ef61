/* SPDX-License-Identifier: Apache-2.0
 * confine/pool.c - who gets which parser process, and what is said when one fails.
 * A process belongs to one caller from acquire to release; nothing outside that touches it, so a message that kills its process
 * takes nobody else's. A process that failed is started again at once, and greeted by the caller that takes it next. */
#include "confine/pool.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "confine/pool_process.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
	ASK_TRIES = 3, /* processes that may be found dead before a caller is told to try later */
	STOP_MS = 1000,
};

struct slot {
	struct tap_process proc;
	bool busy;
};

/* A caller that waits for a slot; lives on that caller's stack. */
struct waiter {
	pthread_cond_t given; /* on the monotonic clock */
	struct slot *slot;    /* set by whoever releases one */
	struct waiter *next;
};

struct tap_pool {
	pthread_mutex_t lock;
	/* First come, first served: without the queue a busy caller would always be faster than the one that was woken. */
	struct waiter *first, **last;
	struct tap_launch launch;
	int64_t deadline_ms, wait_ms;
	uint64_t recycle;
	size_t n;
	struct slot *slot;
	struct tap_pool_stats stats;
};

static void count(struct tap_pool *p, uint64_t *what)
{
	pthread_mutex_lock(&p->lock);
	(*what)++;
	pthread_mutex_unlock(&p->lock);
}

static enum tap_rc start_all(struct tap_pool *p, struct tap_err *err)
{
	for (size_t i = 0; i < p->n; i++) {
		enum tap_rc rc = tap_process_start(&p->slot[i].proc, &p->launch, err);

		if (rc != TAP_OK)
			return rc;
	}
	for (size_t i = 0; i < p->n; i++) {
		enum tap_rc rc = tap_process_greet(&p->slot[i].proc, &p->launch, err);

		if (rc != TAP_OK)
			return rc;
	}
	return TAP_OK;
}

static struct tap_pool *pool_new(const struct tap_parser_settings *set)
{
	struct tap_pool *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->n = set->processes < 1 ? 1 : (size_t)set->processes;
	p->deadline_ms = set->deadline_ms;
	p->wait_ms = set->wait_ms;
	p->recycle = set->recycle < 1 ? UINT64_MAX : (uint64_t)set->recycle;
	p->slot = calloc(p->n, sizeof *p->slot);
	if (p->slot == NULL) {
		free(p);
		return NULL;
	}
	for (size_t i = 0; i < p->n; i++)
		p->slot[i].proc.fd = -1;
	p->last = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

/* Where SIGCHLD came to us ignored the kernel forgets our children at once: their numbers could be others' when we kill them. */
static void keep_children(void)
{
	const struct sigaction dfl = {.sa_handler = SIG_DFL};
	struct sigaction now;

	if (sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
		(void)sigaction(SIGCHLD, &dfl, NULL);
}

static void say_how_confined(uint32_t confined)
{
	if (confined == 0)
		tap_warn("parser", "the parser processes are NOT confined (sandbox.enabled = no)");
	else if (confined == 1)
		tap_warn("parser",
			 "this kernel has no Landlock that is of use: the parser processes "
			 "are confined by their filter of system calls alone");
	else
		tap_debug("parser",
			  "the parser processes are confined: system calls filtered, "
			  "Landlock %u",
			  (unsigned)confined - 1);
}

enum tap_rc tap_pool_start(const struct tap_parser_settings *set,
			   const struct tap_trust_settings *trust, struct tap_pool **p_r,
			   struct tap_err *err)
{
	struct tap_pool *p = pool_new(set);
	enum tap_rc rc;

	*p_r = NULL;
	if (p == NULL)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "parser");
	keep_children();
	rc = tap_launch_init(&p->launch, set, trust, err);
	if (rc == TAP_OK)
		rc = start_all(p, err);
	if (rc != TAP_OK) {
		tap_pool_stop(&p);
		return rc;
	}
	say_how_confined(p->slot[0].proc.confined);
	*p_r = p;
	return TAP_OK;
}

void tap_pool_allow(const struct tap_pool *p, struct tap_sandbox *box)
{
	tap_launch_allow(&p->launch, box);
}

void tap_pool_stop(struct tap_pool **pool)
{
	int64_t deadline = tap_clock_mono_ms() + STOP_MS;
	struct tap_pool *p;

	if (pool == NULL || *pool == NULL)
		return;
	p = *pool;
	*pool = NULL;
	for (size_t i = 0; i < p->n; i++)
		tap_process_hang_up(&p->slot[i].proc);
	for (size_t i = 0; i < p->n; i++)
		tap_process_dismiss(&p->slot[i].proc, deadline);
	tap_launch_free(&p->launch);
	pthread_mutex_destroy(&p->lock);
	free(p->slot);
	free(p);
}

void tap_pool_get_stats(struct tap_pool *p, struct tap_pool_stats *out)
{
	pthread_mutex_lock(&p->lock);
	*out = p->stats;
	pthread_mutex_unlock(&p->lock);
}

/* The free slot that can answer soonest: ready, then starting, then empty. NULL: all are busy. */
static struct slot *pick(struct tap_pool *p)
{
	struct slot *best = NULL;

	for (size_t i = 0; i < p->n; i++) {
		struct slot *s = &p->slot[i];

		if (!s->busy && (best == NULL || s->proc.state > best->proc.state))
			best = s;
	}
	return best;
}

/* Behind all others; the slot that is given, or NULL when the time is over. With the lock held. */
static struct slot *wait_in_line(struct tap_pool *p)
{
	int64_t until = tap_clock_mono_ms() + p->wait_ms;
	const struct timespec at = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
	struct waiter w = {.slot = NULL}, **link;
	pthread_condattr_t attr;
	int rc = 0;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w.given, &attr);
	pthread_condattr_destroy(&attr);
	*p->last = &w;
	p->last = &w.next;
	while (w.slot == NULL && rc == 0)
		rc = pthread_cond_timedwait(&w.given, &p->lock, &at);
	if (w.slot == NULL) {
		for (link = &p->first; *link != &w; link = &(*link)->next)
			;
		*link = w.next;
		if (p->last == &w.next)
			p->last = link;
	}
	pthread_cond_destroy(&w.given);
	return w.slot;
}

static struct slot *acquire(struct tap_pool *p)
{
	struct slot *s;

	pthread_mutex_lock(&p->lock);
	s = pick(p);
	if (s == NULL)
		s = wait_in_line(p);
	if (s != NULL) {
		s->busy = true;
		p->stats.messages++;
	}
	pthread_mutex_unlock(&p->lock);
	return s;
}

/* Hands the slot to the first in line; it stays busy then, so that nobody comes between. */
static void release(struct tap_pool *p, struct slot *s)
{
	struct waiter *w;

	pthread_mutex_lock(&p->lock);
	w = p->first;
	s->busy = w != NULL;
	if (w != NULL) {
		p->first = w->next;
		if (p->first == NULL)
			p->last = &p->first;
		w->slot = s;
		pthread_cond_signal(&w->given);
	}
	pthread_mutex_unlock(&p->lock);
}

/* Ends the slot's process, whose status is returned, and starts the next one; should that fail now, the next caller tries again. */
static int renew(struct tap_pool *p, struct slot *s, uint64_t *counter)
{
	int status = tap_process_end(&s->proc);
	struct tap_err err;

	count(p, counter);
	if (tap_process_start(&s->proc, &p->launch, &err) != TAP_OK)
		tap_log_err(TAP_LOG_WARNING, "parser", &err);
	return status;
}

static int replace(struct tap_pool *p, struct slot *s)
{
	return renew(p, s, &p->stats.replaced);
}

/* How a process ended, for people. */
static void ending(int status, char *out, size_t n)
{
	if (WIFSIGNALED(status))
		(void)snprintf(out, n, "signal %d", WTERMSIG(status));
	else
		(void)snprintf(out, n, "exit status %d", WEXITSTATUS(status));
}

/* A process that waits for a question stands in the slot. What fails here is our trouble, never the message's. */
static enum tap_rc make_ready(struct tap_pool *p, struct slot *s, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	if (s->proc.state == TAP_PROCESS_READY && !tap_process_quiet(&s->proc)) {
		char how[32];

		ending(replace(p, s), how, sizeof how);
		tap_warn("parser", "an idle parser process was gone (%s) and has been replaced",
			 how);
	}
	if (s->proc.state == TAP_PROCESS_NONE)
		rc = tap_process_start(&s->proc, &p->launch, err);
	if (rc == TAP_OK && s->proc.state == TAP_PROCESS_STARTING)
		rc = tap_process_greet(&s->proc, &p->launch, err);
	if (rc == TAP_OK)
		return TAP_OK;
	/* At run time the mail waits, whatever an operator must do about it. */
	return err->rc = TAP_E_TEMP;
}

static void call_unreadable(struct tap_pool *p, struct tap_parse_result *res)
{
	res->verdict = TAP_V_UNREADABLE;
	count(p, &p->stats.unreadable);
}

/* Whether all of the message is there to be read. */
static bool readable(const struct tap_pool_job *job)
{
	char byte;
	size_t got = 1;

	return job->len == 0 ||
	       (tap_io_pread(job->fd, &byte, 1, job->off + job->len - 1, &got, NULL) == TAP_OK &&
		got == 1);
}

/* The process says "later". It can only mean that the message could not be read, or that it has no more memory [I7]; a message that
 * needs too much would be no better later, and its sender would give up in the end. */
static enum tap_rc far_trouble(struct tap_pool *p, struct slot *s, const struct tap_pool_job *job,
			       struct tap_parse_result *res, struct tap_err *err)
{
	char why[sizeof res->why];

	memcpy(why, res->why, sizeof why);
	memset(res, 0, sizeof *res);
	if (!readable(job))
		return tap_err_set(err, TAP_E_TEMP, "the parser could not read the message: %s",
				   why);
	(void)replace(p, s);
	(void)snprintf(res->why, sizeof res->why, "parser.memory is not enough: %.400s", why);
	call_unreadable(p, res);
	return TAP_OK;
}

/* Turns what became of the question into the caller's result. */
static enum tap_rc conclude(struct tap_pool *p, struct slot *s, const struct tap_pool_job *job,
			    enum tap_answer a, enum tap_rc far_rc, struct tap_parse_result *res,
			    struct tap_err *err)
{
	char how[32];

	if (a == TAP_ANSWER_GOOD && far_rc == TAP_OK)
		return TAP_OK;
	if (a == TAP_ANSWER_GOOD && far_rc == TAP_E_TEMP)
		return far_trouble(p, s, job, res, err);
	if (a == TAP_ANSWER_GOOD) {
		/* It gave up half-way and says why: a limit of the frames. */
		res->verdict = far_rc == TAP_E_LIMIT ? TAP_V_TOO_LARGE : TAP_V_BROKEN;
		res->reports = 0;
		return TAP_OK;
	}
	memset(res, 0, sizeof *res);
	if (a == TAP_ANSWER_TROUBLE)
		return TAP_E_TEMP;
	ending(replace(p, s), how, sizeof how);
	switch (a) {
	case TAP_ANSWER_DIED:
		(void)snprintf(res->why, sizeof res->why, "the parser process died (%s)", how);
		break;
	case TAP_ANSWER_STALLED:
		(void)snprintf(res->why, sizeof res->why,
			       "the parser process did not finish within %g s",
			       (double)p->deadline_ms / 1000);
		break;
	case TAP_ANSWER_NONSENSE:
		(void)snprintf(res->why, sizeof res->why, "the parser process answered nonsense");
		break;
	default: return far_rc;
	}
	call_unreadable(p, res);
	return TAP_OK;
}

static enum tap_rc run(struct tap_pool *p, const struct tap_question *q,
		       struct tap_parse_result *res, struct tap_err *caller_err)
{
	struct tap_err err = {0};
	struct slot *s = acquire(p);
	enum tap_rc rc = TAP_E_TEMP, far_rc = TAP_OK;

	memset(res, 0, sizeof *res);
	if (s == NULL)
		return tap_err_set(caller_err, TAP_E_TEMP,
				   "all %zu parser processes were busy for %g s (parser.wait)",
				   p->n, (double)p->wait_ms / 1000);
	tap_err_set(&err, TAP_E_TEMP, "the parser processes end as soon as they have started");
	for (int i = 0; i < ASK_TRIES; i++) {
		enum tap_answer a;

		rc = make_ready(p, s, &err);
		if (rc != TAP_OK)
			break;
		rc = TAP_E_TEMP;
		a = tap_process_ask(&s->proc, q, &far_rc, res, &err);
		if (a == TAP_ANSWER_UNASKED) {
			(void)replace(p, s);
			continue;
		}
		rc = conclude(p, s, q->job, a, far_rc, res, &err);
		break;
	}
	if (s->proc.state == TAP_PROCESS_READY && s->proc.asked >= p->recycle)
		(void)renew(p, s, &p->stats.recycled);
	release(p, s);
	if (rc != TAP_OK && caller_err != NULL)
		*caller_err = err;
	return rc;
}

enum tap_rc tap_pool_verdict(struct tap_pool *p, const struct tap_pool_job *job,
			     struct tap_parse_result *res, struct tap_err *err)
{
	const struct tap_question q = {.job = job, .deadline_ms = p->deadline_ms};

	return run(p, &q, res, err);
}

enum tap_rc tap_pool_frames(struct tap_pool *p, const struct tap_pool_job *job,
			    enum tap_rc (*sink)(void *ctx, const void *bytes, size_t n,
						struct tap_err *err),
			    void *ctx, struct tap_parse_result *res, struct tap_err *err)
{
	const struct tap_question q = {
	    .job = job, .deadline_ms = p->deadline_ms, .sink = sink, .sink_ctx = ctx};

	return run(p, &q, res, err);
}
