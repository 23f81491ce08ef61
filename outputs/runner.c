/* SPDX-License-Identifier: Apache-2.0
 * outputs/runner.c - see runner.h. One round: look for waiting items that are due, or read new ones; encode a batch, send it, settle.
 * What was sent is settled before anything else is read, however often the store has to be asked: a driver's state and the
 * cursor never part. Threads: `mu` guards stop and status; everything else belongs to the sink's thread. */
#include "outputs/runner.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
	BACKOFF_FIRST_MS = 1000,
	BACKOFF_MOST_MS = 5 * 60 * 1000,
	IDLE_MS = 500, /* a stop is seen within this even if the feed does not wake up */
	PAUSE_MS = 1000,
	SEND_MS = 30 * 1000,
	STUCK = 4,
	REASON = 256,
	KEEP_BUFFER = 4 * 1024 * 1024 /* a larger one is given back after its batch */
};

struct entry {
	struct tap_cursor at;
	enum tap_item_verdict verdict;
	size_t sent;	      /* index in the batch; SIZE_MAX = could not be encoded */
	int64_t tries, since; /* of an item that waited */
	bool gone;
	char reason[REASON];
};
struct tap_runner {
	const struct tap_output_ops *ops;
	char *sink;
	const void *set;
	struct tap_feed feed;
	struct tap_runner_options opt;
	unsigned kinds;

	pthread_t thread;
	pthread_mutex_t mu;
	pthread_cond_t wake;
	bool stop, ended;
	struct tap_runner_status status;

	/* the sink's thread only */
	void *self;
	struct tap_cursor cursor;
	char state[TAP_OUTPUT_STATE_MAX];
	struct tap_buf bytes;
	struct entry *entry;
	size_t n, n_sent;
	size_t *ofs;
	enum tap_item_verdict *verdict;
	struct tap_exception *ex;
	struct tap_cursor *gone; /* leave the table of exceptions */
	size_t n_ex, n_gone, n_confirmed, n_parked;
	int64_t failing_since; /* seconds; 0 = it works */
	unsigned stuck;	       /* batches in a row of which all is to be tried again */
	bool waited_last;      /* whose turn it is */
	unsigned failures;     /* rounds in a row without progress */
	bool trouble;	       /* probe before sending */
	bool moved;	       /* the last round changed nothing but the driver's state */
};

/* Cut where a UTF-8 character begins. */
static void copy_text(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);

	if (n >= size) {
		n = size - 1;
		while (n > 0 && ((unsigned char)from[n] & 0xC0) == 0x80)
			n--;
	}
	memcpy(to, from, n);
	to[n] = '\0';
}

static bool stopping(struct tap_runner *r)
{
	bool stop;

	pthread_mutex_lock(&r->mu);
	stop = r->stop;
	pthread_mutex_unlock(&r->mu);
	return stop;
}

static void set_state(struct tap_runner *r, enum tap_runner_state state, int64_t next_try_ms)
{
	pthread_mutex_lock(&r->mu);
	r->status.state = state;
	r->status.next_try_ms = next_try_ms;
	pthread_mutex_unlock(&r->mu);
}

static void set_error(struct tap_runner *r, const char *text)
{
	pthread_mutex_lock(&r->mu);
	copy_text(r->status.last_error, sizeof r->status.last_error, text);
	pthread_mutex_unlock(&r->mu);
}

/* What last went wrong, and stays to be seen when all is well again. */
static void note_trouble(struct tap_runner *r, const char *text)
{
	pthread_mutex_lock(&r->mu);
	copy_text(r->status.last_trouble, sizeof r->status.last_trouble, text);
	r->status.last_failure = tap_clock_now();
	pthread_mutex_unlock(&r->mu);
}

static void time_in(int64_t ms, struct timespec *until)
{
	(void)clock_gettime(CLOCK_MONOTONIC, until);
	until->tv_sec += ms / 1000;
	until->tv_nsec += (ms % 1000) * 1000000;
	if (until->tv_nsec >= 1000000000) {
		until->tv_sec++;
		until->tv_nsec -= 1000000000;
	}
}

/* Sleeps, and wakes up at once when asked to stop. */
static void nap(struct tap_runner *r, int64_t ms)
{
	struct timespec until;

	time_in(ms, &until);
	pthread_mutex_lock(&r->mu);
	while (!r->stop && pthread_cond_timedwait(&r->wake, &r->mu, &until) == 0)
		;
	pthread_mutex_unlock(&r->mu);
}

/* 1 s at first, up to twice as long after each failure, 5 min at most, with jitter over the whole span, so that sinks that lost one
 * peer do not come back together. */
static int64_t backoff_ms(const struct tap_runner *r, int64_t failures)
{
	int64_t first = r->opt.first_ms, most = r->opt.most_ms, span = first;
	uint32_t dice = 0;

	for (int64_t i = 1; i < failures && span < most; i++)
		span *= 2;
	if (span > most)
		span = most;
	if (getrandom(&dice, sizeof dice, GRND_NONBLOCK) != (ssize_t)sizeof dice)
		dice = (uint32_t)tap_clock_mono_ms() * 2654435761u;
	return span <= first ? first : first + (int64_t)(dice % (uint64_t)(span - first + 1));
}

static void back_off(struct tap_runner *r, const struct tap_err *err)
{
	int64_t ms;

	if (r->failures++ == 0)
		tap_log_err(TAP_LOG_WARNING, r->sink, err);
	set_error(r, err->msg);
	note_trouble(r, err->msg);
	r->trouble = true;
	if (r->failing_since == 0)
		r->failing_since = tap_clock_now();
	ms = backoff_ms(r, r->failures);
	set_state(r, TAP_RUNNER_BACKOFF, tap_clock_mono_ms() + ms);
	nap(r, ms);
}

static void recovered(struct tap_runner *r)
{
	if (r->failures > 0)
		tap_info(r->sink, "works again after %u failures", r->failures);
	r->failures = 0;
	r->trouble = false;
	r->failing_since = 0;
	r->stuck = 0;
	set_error(r, "");
}

/* Stores cursor, state, r->ex and r->gone, and does not give up before it is done or asked to stop. */
static bool settle(struct tap_runner *r, const struct tap_cursor *cur, const char *state)
{
	const struct tap_settlement what = {.cursor = *cur,
					    .state = state,
					    .ex = r->ex,
					    .n_ex = r->n_ex,
					    .done = r->gone,
					    .n_done = r->n_gone};
	struct tap_err err = {0};

	while (r->feed.settle(r->feed.ctx, r->sink, &what, &err) != TAP_OK) {
		if (stopping(r))
			return false;
		(void)tap_err_prefix(&err, "the store did not take what was settled: ");
		back_off(r, &err);
		if (stopping(r))
			return false;
	}
	r->cursor = *cur;
	if (state != NULL && state != r->state)
		copy_text(r->state, sizeof r->state, state);
	return true;
}

/* Loads the cursor, opens the driver, stores the state it opened with. */
static bool start_up(struct tap_runner *r)
{
	char state[TAP_OUTPUT_STATE_MAX];
	struct tap_err err = {0};

	while (!stopping(r)) {
		memset(r->state, 0, sizeof r->state);
		if (r->feed.load(r->feed.ctx, r->sink, &r->cursor, r->state, &err) != TAP_OK) {
			back_off(r, &err);
			continue;
		}
		memcpy(state, r->state, sizeof state);
		if (r->ops->open(r->set, r->state, state, &r->self, &err) != TAP_OK) {
			back_off(r, &err);
			continue;
		}
		recovered(r);
		state[sizeof state - 1] = '\0';
		return strcmp(state, r->state) == 0 || settle(r, &r->cursor, state);
	}
	return false;
}

/* Puts one item into the batch. TAP_E_LIMIT: the batch is full. */
static enum tap_rc take(void *ctx, const struct tap_item *item, struct tap_err *err)
{
	struct tap_runner *r = ctx;
	struct entry *e = &r->entry[r->n];
	size_t before = r->bytes.len;
	enum tap_rc rc;

	if (r->n >= r->ops->max_items || before >= r->ops->max_bytes)
		return TAP_E_LIMIT;
	rc = r->ops->encode(r->set, item, &r->bytes, err);
	*e = (struct entry){.at = {.seq = item->seq, .ordinal = item->ordinal}};
	if (rc != TAP_OK || r->bytes.failed) {
		bool full = r->bytes.failed && before > 0;

		r->bytes.failed = false;
		r->bytes.len = before;
		if (full)
			return TAP_E_LIMIT; /* comes first in the next batch */
		if (rc != TAP_OK && rc != TAP_E_DATA && rc != TAP_E_LIMIT)
			return rc;
		e->verdict = TAP_ITEM_NEVER;
		e->sent = SIZE_MAX;
		copy_text(e->reason, sizeof e->reason,
			  rc != TAP_OK ? err->msg : "the item is too large for this output");
	} else {
		e->verdict = TAP_ITEM_RETRY;
		e->sent = r->n_sent++;
		r->ofs[r->n_sent] = r->bytes.len;
	}
	r->n++;
	return TAP_OK;
}

/* The same for an item that waited. */
static enum tap_rc take_due(void *ctx, const struct tap_exception *ex, const struct tap_item *item,
			    struct tap_err *err)
{
	struct tap_runner *r = ctx;
	enum tap_rc rc = TAP_OK;

	if (r->n >= r->ops->max_items)
		return TAP_E_LIMIT;
	if (item != NULL)
		rc = take(r, item, err);
	else
		r->entry[r->n++] = (struct entry){.at = ex->item, .sent = SIZE_MAX, .gone = true};
	if (rc == TAP_OK) {
		r->entry[r->n - 1].tries = ex->tries;
		r->entry[r->n - 1].since = ex->since;
	}
	return rc;
}

static enum tap_rc send_batch(struct tap_runner *r, char *state, struct tap_err *err)
{
	const char *own;
	int e;
	enum tap_rc rc;

	if (r->n_sent == 0)
		return TAP_OK;
	for (size_t i = 0; i < r->n_sent; i++)
		r->verdict[i] = TAP_ITEM_RETRY;
	e = tap_fault("sink.send");
	if (e != 0)
		return tap_err_sys(err, TAP_E_TEMP, e, "send");
	rc = r->ops->send(r->self, r->bytes.p, r->ofs, r->n_sent, r->verdict, state,
			  tap_clock_mono_ms() + r->opt.timeout_ms, err);
	(void)tap_fault("sink.confirm"); /* only a kill means something here */
	for (size_t i = 0; i < r->n && rc == TAP_OK; i++) {
		struct entry *x = &r->entry[i];

		if (x->sent == SIZE_MAX)
			continue;
		x->verdict = r->verdict[x->sent];
		if (x->verdict == TAP_ITEM_CONFIRMED)
			continue;
		own = r->ops->reason != NULL ? r->ops->reason(r->self, x->sent) : NULL;
		copy_text(x->reason, sizeof x->reason,
			  own != NULL			 ? own
			  : err->msg[0] != '\0'		 ? err->msg
			  : x->verdict == TAP_ITEM_NEVER ? "refused for good"
							 : "to be tried again");
	}
	return rc;
}

static void count(struct tap_runner *r, size_t retried)
{
	pthread_mutex_lock(&r->mu);
	r->status.confirmed += r->n_confirmed;
	if (r->n_confirmed > 0)
		r->status.last_success = tap_clock_now();
	r->status.parked += r->n_parked;
	r->status.retried += retried;
	pthread_mutex_unlock(&r->mu);
}

static bool too_long(const struct tap_runner *r, int64_t since, int64_t now)
{
	return r->opt.retry_for_ms > 0 && since > 0 && (now - since) * 1000 > r->opt.retry_for_ms;
}

/* What becomes of the first n items of the batch: to r->ex, to r->gone, or confirmed. */
static void sort_out(struct tap_runner *r, size_t n, bool waited)
{
	int64_t now = tap_clock_now();

	r->n_ex = r->n_gone = r->n_confirmed = r->n_parked = 0;
	for (size_t i = 0; i < n; i++) {
		const struct entry *e = &r->entry[i];
		int64_t since = e->since > 0 ? e->since : now;
		struct tap_exception x = {
		    .item = e->at, .tries = e->tries + 1, .since = since, .reason = e->reason};

		if (e->gone || e->verdict == TAP_ITEM_CONFIRMED) {
			r->n_confirmed += !e->gone;
			if (waited)
				r->gone[r->n_gone++] = e->at;
			continue;
		}
		x.parked = e->verdict == TAP_ITEM_NEVER ||
			   too_long(r, waited ? since : r->failing_since, now);
		x.next_try = now + (backoff_ms(r, x.tries) + 999) / 1000;
		r->n_parked += x.parked;
		r->ex[r->n_ex++] = x;
	}
}

static void say_parked(struct tap_runner *r)
{
	for (size_t i = 0; i < r->n_ex; i++)
		if (r->ex[i].parked) {
			tap_warn(r->sink, "%zu items parked, the first because: %s", r->n_parked,
				 r->ex[i].reason);
			note_trouble(r, r->ex[i].reason);
			return;
		}
}

/* How many items may be settled, and is there one that the peer answered at all? Where a driver needs its order, only those before the
 * first that has to be tried again. */
static size_t answered(struct tap_runner *r, bool *any_r)
{
	size_t first = r->n;

	*any_r = r->n_sent == 0;
	for (size_t i = r->n; i-- > 0;) {
		const struct entry *e = &r->entry[i];

		if (e->verdict == TAP_ITEM_RETRY && !e->gone)
			first = i;
		else if (e->sent != SIZE_MAX)
			*any_r = true;
	}
	return first;
}

/* A batch that stays where it is until later. */
static void later(struct tap_runner *r, struct tap_err *err)
{
	if (err->msg[0] == '\0')
		(void)tap_err_set(err, TAP_E_TEMP, "the peer asked to try again later");
	else if (err->rc == TAP_OK)
		err->rc = TAP_E_TEMP;
	back_off(r, err);
}

/* All of the batch leaves the cursor's or the table's front. */
static bool settle_all(struct tap_runner *r, const struct tap_cursor *next, const char *state,
		       bool waited)
{
	sort_out(r, r->n, waited);
	if (!settle(r, waited ? &r->cursor : next, state))
		return false;
	count(r, r->n_ex - r->n_parked);
	if (r->n_parked > 0)
		say_parked(r);
	return true;
}

/* The first `done` items are settled, the rest comes again. */
static void conclude_part(struct tap_runner *r, size_t done, const char *state, bool waited,
			  struct tap_err *err)
{
	bool state_only = state != NULL && done == 0;

	sort_out(r, waited ? 0 : done, waited);
	if ((done > 0 || state_only) &&
	    !settle(r, waited || done == 0 ? &r->cursor : &r->entry[done].at, state))
		return;
	count(r, r->n - done);
	if (r->n_parked > 0)
		say_parked(r);
	if (state_only && !r->moved) {
		/* Where only the state moved (a rotated file), on with the same items at once, but not for ever. */
		r->moved = true;
		recovered(r);
		return;
	}
	r->moved = false;
	if (done > 0)
		r->failures = 0;
	later(r, err);
}

/* All items of the batch are to be tried again, and the peer gave no other sign. */
static void conclude_none(struct tap_runner *r, const struct tap_cursor *next, bool waited,
			  struct tap_err *err)
{
	if (waited) {
		/* Each has a time of its own; whether the peer wants anything at all, new items show. */
		(void)settle_all(r, next, NULL, waited);
	} else if (++r->stuck < STUCK) {
		conclude_part(r, 0, NULL, waited, err);
	} else {
		(void)settle_all(r, next, NULL, waited);
		if (!stopping(r))
			later(r, err); /* they wait in the table now */
	}
}

/* The verdicts are in, the peer answered. state: the driver's new one, NULL = unchanged. */
static void conclude(struct tap_runner *r, const struct tap_cursor *next, const char *state,
		     bool waited, struct tap_err *err)
{
	bool any;
	size_t done = answered(r, &any);

	if (done == r->n || (any && !r->ops->in_order)) {
		if (!settle_all(r, next, state, waited))
			return;
		r->moved = false;
		recovered(r);
	} else if (!any && state == NULL && !r->ops->in_order) {
		conclude_none(r, next, waited, err);
	} else {
		conclude_part(r, done, state, waited, err);
	}
}

/* The peer failed: all stays, unless that has lasted longer than the operator wants to wait. */
static void peer_failed(struct tap_runner *r, const struct tap_cursor *next, bool waited,
			struct tap_err *err)
{
	size_t tried = r->n_sent;

	for (size_t i = 0; i < r->n; i++)
		if (r->entry[i].sent != SIZE_MAX)
			copy_text(r->entry[i].reason, sizeof r->entry[i].reason, err->msg);
	if (too_long(r, r->failing_since, tap_clock_now())) {
		(void)settle_all(r, next, NULL, waited);
	} else {
		r->n_confirmed = r->n_parked = 0;
		count(r, tried);
	}
	if (!stopping(r))
		back_off(r, err);
}

/* true: paused, because the table of exceptions is full, or the store does not say. */
static bool paused(struct tap_runner *r, uint64_t *room_r)
{
	struct tap_err err = {0};
	uint64_t n = 0;
	char text[160];

	if (r->feed.exceptions(r->feed.ctx, r->sink, &n, &err) != TAP_OK) {
		back_off(r, &err);
		return true;
	}
	if (n < (uint64_t)r->opt.max_exceptions) {
		*room_r = (uint64_t)r->opt.max_exceptions - n;
		return false;
	}
	(void)snprintf(text, sizeof text,
		       "paused: %" PRIu64 " items are parked or wait, the limit is %" PRId64, n,
		       r->opt.max_exceptions);
	pthread_mutex_lock(&r->mu);
	bool news = r->status.state != TAP_RUNNER_PAUSED;
	pthread_mutex_unlock(&r->mu);
	if (news)
		tap_error(r->sink, "%s", text);
	set_error(r, text);
	set_state(r, TAP_RUNNER_PAUSED, 0);
	nap(r, PAUSE_MS);
	return true;
}

static void reset_batch(struct tap_runner *r)
{
	if (r->bytes.cap > KEEP_BUFFER)
		tap_buf_free(&r->bytes);
	tap_buf_reset(&r->bytes);
	r->n = r->n_sent = 0;
	r->ofs[0] = 0;
}

/* Sends what was gathered. */
static void deliver(struct tap_runner *r, const struct tap_cursor *next, bool waited)
{
	char state[TAP_OUTPUT_STATE_MAX];
	struct tap_err err = {0};
	enum tap_rc rc;

	if (!waited || r->status.state != TAP_RUNNER_PAUSED)
		set_state(r, TAP_RUNNER_SENDING, 0);
	memcpy(state, r->state, sizeof state);
	rc = send_batch(r, state, &err);
	state[sizeof state - 1] = '\0';
	if (rc != TAP_OK)
		peer_failed(r, next, waited, &err);
	else
		conclude(r, next, strcmp(state, r->state) != 0 ? state : NULL, waited, &err);
}

/* Waiting items that are due; false: there is none. */
static bool round_of_waiting(struct tap_runner *r)
{
	struct tap_err err = {0};
	enum tap_rc rc;

	reset_batch(r);
	rc = r->feed.due(r->feed.ctx, r->sink, r->kinds, r->ops->max_items, take_due, r, &err);
	if (rc != TAP_OK && rc != TAP_E_NOTFOUND) {
		back_off(r, &err);
		return true;
	}
	if (r->n == 0)
		return false;
	deliver(r, &r->cursor, true);
	return true;
}

/* The driver wants new items only at certain times. drained: it has had all of them for now. true: not now. */
static bool held(struct tap_runner *r, bool drained)
{
	char state[TAP_OUTPUT_STATE_MAX];
	int64_t ms;

	if (r->ops->hold == NULL)
		return false;
	memcpy(state, r->state, sizeof state);
	ms = r->ops->hold(r->self, drained, state);
	state[sizeof state - 1] = '\0';
	if (drained) {
		r->n_ex = r->n_gone = 0;
		(void)settle(r, &r->cursor, state);
		return false;
	}
	if (ms <= 0)
		return false;
	if (r->failures > 0)
		recovered(r);
	set_state(r, TAP_RUNNER_IDLE, 0);
	nap(r, ms < IDLE_MS ? ms : IDLE_MS);
	return true;
}

static void round_of_new(struct tap_runner *r)
{
	struct tap_cursor next;
	struct tap_err err = {0};
	uint64_t room = 0;
	size_t max = r->ops->max_items;
	enum tap_rc rc;

	if (paused(r, &room))
		return;
	if (room < max)
		max = (size_t)room; /* even if each of them is parked, the bound holds */
	reset_batch(r);
	next = r->cursor;
	rc = r->feed.read(r->feed.ctx, r->sink, &r->cursor, r->kinds, max, take, r, &next, &err);
	if (rc == TAP_OK && r->n == 0 && next.seq == r->cursor.seq &&
	    next.ordinal == r->cursor.ordinal)
		rc = TAP_E_NOTFOUND;
	if (rc == TAP_E_NOTFOUND) {
		if (r->failures > 0)
			recovered(r);
		(void)held(r, true);
		set_state(r, TAP_RUNNER_IDLE, 0);
		r->feed.wait(r->feed.ctx, r->sink, IDLE_MS);
	} else if (rc != TAP_OK) {
		back_off(r, &err);
	} else {
		deliver(r, &next, false);
	}
}

static void one_round(struct tap_runner *r)
{
	struct tap_err err = {0};

	if (r->trouble && r->ops->probe != NULL && r->ops->probe(r->self, &err) != TAP_OK) {
		back_off(r, &err);
		return;
	}
	r->waited_last = !r->waited_last && !r->ops->in_order && round_of_waiting(r);
	if (!r->waited_last && !held(r, false))
		round_of_new(r);
}

static void *run(void *arg)
{
	struct tap_runner *r = arg;

	if (start_up(r))
		while (!stopping(r))
			one_round(r);
	if (r->self != NULL)
		r->ops->close(&r->self);
	pthread_mutex_lock(&r->mu);
	r->ended = true;
	pthread_cond_broadcast(&r->wake);
	pthread_mutex_unlock(&r->mu);
	return NULL;
}

static void runner_free(struct tap_runner *r)
{
	tap_buf_free(&r->bytes);
	free(r->entry);
	free(r->ofs);
	free(r->verdict);
	free(r->ex);
	free(r->gone);
	free(r->sink);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->mu);
	free(r);
}

static enum tap_rc make_wake(struct tap_runner *r, struct tap_err *err)
{
	pthread_condattr_t attr;
	int e = pthread_condattr_init(&attr);

	if (e == 0) {
		e = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
		if (e == 0)
			e = pthread_cond_init(&r->wake, &attr);
		pthread_condattr_destroy(&attr);
	}
	return e == 0 ? TAP_OK : tap_err_sys(err, TAP_E_TEMP, e, "cannot start output %s", r->sink);
}

enum tap_rc tap_runner_start(const struct tap_output_ops *ops, const char *sink, const void *set,
			     const struct tap_feed *feed, const struct tap_runner_options *opt,
			     struct tap_runner **r_r, struct tap_err *err)
{
	struct tap_runner *r = calloc(1, sizeof *r);
	size_t n = ops->max_items;
	int e;

	*r_r = NULL;
	if (r == NULL)
		return tap_err_set(err, TAP_E_TEMP, "cannot start output %s: out of memory", sink);
	r->ops = ops;
	r->set = set;
	r->feed = *feed;
	r->kinds = ops->kinds & (ops->wants != NULL ? ops->wants(set) : ops->kinds);
	r->opt = *opt;
	if (opt->max_exceptions <= 0)
		r->opt.max_exceptions = 1;
	if (opt->timeout_ms <= 0)
		r->opt.timeout_ms = SEND_MS;
	if (opt->first_ms <= 0)
		r->opt.first_ms = BACKOFF_FIRST_MS;
	if (opt->most_ms <= 0)
		r->opt.most_ms = BACKOFF_MOST_MS;
	tap_buf_init(&r->bytes, ops->max_bytes);
	pthread_mutex_init(&r->mu, NULL);
	r->sink = strdup(sink);
	r->entry = calloc(n, sizeof *r->entry);
	r->ofs = calloc(n + 1, sizeof *r->ofs);
	r->verdict = calloc(n, sizeof *r->verdict);
	r->ex = calloc(n, sizeof *r->ex);
	r->gone = calloc(n, sizeof *r->gone);
	r->status.sink = r->sink;
	r->status.type = ops->name;
	if (make_wake(r, err) != TAP_OK || r->sink == NULL || r->entry == NULL || r->ofs == NULL ||
	    r->verdict == NULL || r->ex == NULL || r->gone == NULL) {
		runner_free(r);
		return tap_err_set(err, TAP_E_TEMP, "cannot start output %s: out of memory", sink);
	}
	e = pthread_create(&r->thread, NULL, run, r);
	if (e != 0) {
		runner_free(r);
		return tap_err_sys(err, TAP_E_TEMP, e, "cannot start output %s", sink);
	}
	*r_r = r;
	return TAP_OK;
}

void tap_runner_tell_stop(struct tap_runner *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->mu);
	r->stop = true;
	pthread_cond_broadcast(&r->wake);
	pthread_mutex_unlock(&r->mu);
}

void tap_runner_stop(struct tap_runner **r)
{
	(void)tap_runner_stop_within(r, -1);
}

bool tap_runner_stop_within(struct tap_runner **rp, int64_t wait_ms)
{
	struct tap_runner *r;
	struct timespec until;
	bool ended;
	int e = 0;

	if (rp == NULL || *rp == NULL)
		return true;
	r = *rp;
	tap_runner_tell_stop(r);
	time_in(wait_ms > 0 ? wait_ms : 0, &until);
	pthread_mutex_lock(&r->mu);
	while (wait_ms >= 0 && !r->ended && e == 0)
		e = pthread_cond_timedwait(&r->wake, &r->mu, &until);
	ended = r->ended || wait_ms < 0;
	pthread_mutex_unlock(&r->mu);
	*rp = NULL;
	if (!ended) {
		tap_warn(r->sink,
			 "its driver hangs: what it sends is tried again at the next start");
		(void)pthread_detach(r->thread);
		return false;
	}
	(void)pthread_join(r->thread, NULL);
	runner_free(r);
	return true;
}

void tap_runner_get_status(struct tap_runner *r, struct tap_runner_status *out)
{
	pthread_mutex_lock(&r->mu);
	*out = r->status;
	pthread_mutex_unlock(&r->mu);
}
