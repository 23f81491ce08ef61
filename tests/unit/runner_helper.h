/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/runner_helper.h - a feed in memory and a driver that does what its script says, for the tests of the runner. */
#ifndef TAP_TESTS_RUNNER_HELPER_H
#define TAP_TESTS_RUNNER_HELPER_H

#include "outputs_helper.h"

#include "base/clock.h"
#include "outputs/drivers.h"
#include "outputs/runner.h"
#include <inttypes.h>
#include <pthread.h>
#include <time.h>

enum { PARKED_MAX = 1000, LOG_MAX = 1 << 20 };

/* Reports 1..n_reports with n_records items each (0 records: one item). */
struct world {
	pthread_mutex_t mu;
	int64_t n_reports;
	uint64_t n_records;
	struct tap_cursor cursor;
	char state[TAP_OUTPUT_STATE_MAX];
	struct {
		struct tap_cursor at;
		bool waits;
		int64_t tries, next_try, since;
		char reason[256];
	} parked[PARKED_MAX]; /* and those that wait */
	size_t n_parked;
	struct tap_cursor move_to;		  /* the operator's; seq 0 = nowhere */
	int settle_fails, read_fails, load_fails; /* so often still */
	unsigned settles;
};

static inline enum tap_rc w_load(void *ctx, const char *sink, struct tap_cursor *cur, char *state,
				 struct tap_err *err)
{
	struct world *w = ctx;
	enum tap_rc rc = TAP_OK;

	assert_string_equal(sink, "mysink");
	pthread_mutex_lock(&w->mu);
	if (w->load_fails > 0 && w->load_fails-- > 0)
		rc = tap_err_set(err, TAP_E_TEMP, "store is busy");
	*cur = w->cursor;
	(void)snprintf(state, TAP_OUTPUT_STATE_MAX, "%s", w->state);
	pthread_mutex_unlock(&w->mu);
	return rc;
}

static inline struct tap_item item_at(struct tap_cursor at, uint64_t records,
				      const struct tap_record *r)
{
	return (struct tap_item){.seq = at.seq,
				 .ordinal = at.ordinal,
				 .revision = 1,
				 .first = at.ordinal == 0,
				 .last = at.ordinal + 1 >= records,
				 .meta = &sample_meta,
				 .record = records > 0 ? r : NULL,
				 .end = &sample_end};
}

static inline enum tap_rc w_due(void *ctx, const char *sink, unsigned kinds, size_t max,
				tap_feed_due *each, void *each_ctx, struct tap_err *err)
{
	struct world *w = ctx;
	enum tap_rc rc = TAP_OK;
	size_t n = 0;

	(void)sink;
	(void)kinds;
	pthread_mutex_lock(&w->mu);
	for (size_t i = 0; i < w->n_parked && n < max && rc == TAP_OK; i++) {
		struct tap_record r = sample_record;
		struct tap_item item = item_at(w->parked[i].at, w->n_records, &r);
		struct tap_exception x = {.item = w->parked[i].at,
					  .tries = w->parked[i].tries,
					  .since = w->parked[i].since};

		if (!w->parked[i].waits || w->parked[i].next_try > tap_clock_now())
			continue;
		n++;
		rc = each(each_ctx, &x, x.item.seq > w->n_reports ? NULL : &item, err);
	}
	pthread_mutex_unlock(&w->mu);
	return rc == TAP_E_LIMIT ? TAP_OK : rc == TAP_OK && n == 0 ? TAP_E_NOTFOUND : rc;
}

static inline enum tap_rc w_read(void *ctx, const char *sink, struct tap_cursor *cur,
				 unsigned kinds, size_t max, tap_feed_each *each, void *each_ctx,
				 struct tap_cursor *next_r, struct tap_err *err)
{
	struct world *w = ctx;
	struct tap_cursor at;
	size_t n = 0;

	(void)sink;
	(void)kinds;
	pthread_mutex_lock(&w->mu);
	if (w->move_to.seq > 0)
		*cur = w->cursor = w->move_to;
	w->move_to.seq = 0;
	at = *cur;
	int64_t last = w->n_reports;
	uint64_t records = w->n_records;
	bool fail = w->read_fails > 0 && w->read_fails-- > 0;
	pthread_mutex_unlock(&w->mu);
	if (fail)
		return tap_err_set(err, TAP_E_TEMP, "cannot read");
	if (at.seq < 1)
		at = (struct tap_cursor){1, 0};
	while (n < max && at.seq <= last) {
		struct tap_record r = sample_record;
		struct tap_item item = item_at(at, records, &r);
		enum tap_rc rc;

		r.index = at.ordinal;
		rc = each(each_ctx, &item, err);
		if (rc == TAP_E_LIMIT)
			break;
		if (rc != TAP_OK)
			return rc;
		n++;
		if (item.last)
			at = (struct tap_cursor){at.seq + 1, 0};
		else
			at.ordinal++;
	}
	*next_r = at;
	return n == 0 ? TAP_E_NOTFOUND : TAP_OK;
}

static inline bool behind(const struct tap_cursor *a, const struct tap_cursor *b)
{
	return a->seq > b->seq || (a->seq == b->seq && a->ordinal > b->ordinal);
}

static inline void w_change(struct world *w, const struct tap_exception *x)
{
	size_t i = 0;

	while (i < w->n_parked &&
	       (w->parked[i].at.seq != x->item.seq || w->parked[i].at.ordinal != x->item.ordinal))
		i++;
	assert_true(i < PARKED_MAX);
	if (i == w->n_parked) {
		w->n_parked++;
		w->parked[i].since = x->since;
	}
	w->parked[i].at = x->item;
	w->parked[i].waits = !x->parked;
	w->parked[i].tries = x->tries;
	w->parked[i].next_try = x->next_try;
	(void)snprintf(w->parked[i].reason, sizeof(w->parked[i].reason), "%s", x->reason);
}

static inline enum tap_rc w_settle(void *ctx, const char *sink, const struct tap_settlement *s,
				   struct tap_err *err)
{
	struct world *w = ctx;

	(void)sink;
	pthread_mutex_lock(&w->mu);
	if (w->settle_fails > 0 && w->settle_fails-- > 0) {
		pthread_mutex_unlock(&w->mu);
		return tap_err_set(err, TAP_E_TEMP, "disk full");
	}
	assert_false(behind(&w->cursor, &s->cursor)); /* never back */
	for (size_t i = 0; i < s->n_ex; i++) {
		assert_true(behind(&s->cursor, &s->ex[i].item));
		w_change(w, &s->ex[i]);
	}
	for (size_t i = 0; i < s->n_done; i++)
		for (size_t k = 0; k < w->n_parked; k++)
			if (w->parked[k].at.seq == s->done[i].seq &&
			    w->parked[k].at.ordinal == s->done[i].ordinal)
				w->parked[k--] = w->parked[--w->n_parked];
	w->cursor = s->cursor;
	if (s->state != NULL)
		(void)snprintf(w->state, sizeof w->state, "%s", s->state);
	w->settles++;
	pthread_mutex_unlock(&w->mu);
	return TAP_OK;
}

static inline void w_wait(void *ctx, const char *sink, int64_t timeout_ms)
{
	struct timespec t = {.tv_nsec = 5000000};

	(void)ctx;
	(void)sink;
	assert_true(timeout_ms > 0 && timeout_ms <= 1000);
	nanosleep(&t, NULL);
}

static inline enum tap_rc w_exceptions(void *ctx, const char *sink, uint64_t *n_r,
				       struct tap_err *err)
{
	struct world *w = ctx;

	(void)sink;
	(void)err;
	pthread_mutex_lock(&w->mu);
	*n_r = w->n_parked;
	pthread_mutex_unlock(&w->mu);
	return TAP_OK;
}

static inline struct tap_feed feed_of(struct world *w)
{
	return (struct tap_feed){w, w_load, w_read, w_due, w_settle, w_wait, w_exceptions};
}

static inline struct world *world_new(int64_t reports, uint64_t records)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	pthread_mutex_init(&w->mu, NULL);
	w->n_reports = reports;
	w->n_records = records;
	return w;
}

static inline void world_free(struct world *w)
{
	pthread_mutex_destroy(&w->mu);
	free(w);
}

static inline bool all_settled(struct world *w)
{
	pthread_mutex_lock(&w->mu);
	bool done = w->cursor.seq > w->n_reports;
	pthread_mutex_unlock(&w->mu);
	return done;
}

static inline bool wait_settled(struct world *w, int seconds)
{
	int64_t until = tap_clock_mono_ms() + seconds * 1000;
	struct timespec t = {.tv_nsec = 2000000};

	while (!all_settled(w) && tap_clock_mono_ms() < until)
		nanosleep(&t, NULL);
	return all_settled(w);
}

/* The runner counts after the store has settled: the status may come a moment later. */
static inline struct tap_runner_status status_when(struct tap_runner *r, int state,
						   uint64_t confirmed)
{
	int64_t until = tap_clock_mono_ms() + 20000;
	struct timespec t = {.tv_nsec = 2000000};
	struct tap_runner_status s;

	do {
		tap_runner_get_status(r, &s);
		nanosleep(&t, NULL);
	} while (((int)s.state != state || s.confirmed != confirmed) &&
		 tap_clock_mono_ms() < until);
	assert_int_equal(s.state, state);
	assert_int_equal(s.confirmed, confirmed);
	return s;
}

/* A driver that writes down what it gets, and does what its script says. */
struct script {
	pthread_mutex_t mu;
	char log[LOG_MAX];
	size_t n;
	int fail_sends;	   /* batches that fail as a whole */
	int64_t retry_seq; /* this report's items are RETRY, */
	int retries;	   /* so often */
	int64_t never_seq; /* this report's items are NEVER */
	int state_rounds;  /* rounds that change only the state */
	int probes, probe_fails, opens, open_fails, closes;
	size_t max_batch;
	long delay_ns; /* of each send */
};

static inline enum tap_rc s_encode(const void *set, const struct tap_item *item,
				   struct tap_buf *out, struct tap_err *err)
{
	(void)set;
	tap_buf_printf(out, "%" PRId64 ".%" PRIu64 " ", item->seq, item->ordinal);
	return out->failed ? tap_err_set(err, TAP_E_LIMIT, "too large") : TAP_OK;
}

static inline enum tap_rc s_open(const void *set, const char *state, char *state_r, void **self_r,
				 struct tap_err *err)
{
	union {
		const void *c;
		void *m;
	} u = {.c = set};
	struct script *s = u.m;

	(void)state;
	if (s->open_fails > 0 && s->open_fails-- > 0)
		return tap_err_set(err, TAP_E_CONFIG, "no such directory");
	s->opens++;
	(void)snprintf(state_r, TAP_OUTPUT_STATE_MAX, "opened %d", s->opens);
	*self_r = s;
	return TAP_OK;
}

/* The number that an encoded item begins with; the batch is no string, so no library call may look behind its end. */
static inline int64_t seq_of(const char *p, const char *end)
{
	int64_t seq = 0;

	while (p < end && *p == ' ')
		p++;
	while (p < end && *p >= '0' && *p <= '9')
		seq = seq * 10 + (*p++ - '0');
	return seq;
}

static inline enum tap_rc s_send(void *self, const char *bytes, const size_t *ofs, size_t n,
				 enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
				 struct tap_err *err)
{
	struct script *s = self;
	bool retried = false;

	struct timespec delay = {.tv_nsec = s->delay_ns};

	assert_true(deadline_ms > tap_clock_mono_ms());
	nanosleep(&delay, NULL);
	if (n > s->max_batch)
		s->max_batch = n;
	if (s->fail_sends > 0 && s->fail_sends-- > 0)
		return tap_err_set(err, TAP_E_TEMP, "connection refused");
	if (s->state_rounds > 0 && s->state_rounds-- > 0) {
		(void)snprintf(state_r, TAP_OUTPUT_STATE_MAX, "round %d", s->state_rounds);
		return TAP_OK;
	}
	for (size_t i = 0; i < n; i++) {
		int64_t seq = seq_of(bytes + ofs[i], bytes + ofs[i + 1]);

		verdict[i] = TAP_ITEM_CONFIRMED;
		if (seq == s->retry_seq && s->retries > 0) {
			verdict[i] = TAP_ITEM_RETRY;
			retried = true;
		}
		if (seq == s->never_seq) {
			verdict[i] = TAP_ITEM_NEVER;
			(void)tap_err_set(err, TAP_E_DATA, "mapping refused");
			continue;
		}
		if (verdict[i] == TAP_ITEM_CONFIRMED && s->n + 64 < LOG_MAX) {
			memcpy(s->log + s->n, bytes + ofs[i], ofs[i + 1] - ofs[i]);
			s->n += ofs[i + 1] - ofs[i];
		}
	}
	s->retries -= retried;
	return TAP_OK;
}

static inline enum tap_rc s_probe(void *self, struct tap_err *err)
{
	struct script *s = self;

	s->probes++;
	if (s->probe_fails > 0 && s->probe_fails-- > 0)
		return tap_err_set(err, TAP_E_TEMP, "still down");
	return TAP_OK;
}

static inline void s_close(void **self)
{
	if (*self == NULL)
		return;
	((struct script *)*self)->closes++;
	*self = NULL;
}

static const struct tap_output_ops script_ops = {.name = "script",
						 .kinds = TAP_KIND_AGGREGATE,
						 .max_items = 10,
						 .max_bytes = 200,
						 .encode = s_encode,
						 .open = s_open,
						 .send = s_send,
						 .probe = s_probe,
						 .close = s_close};

static inline void start_with(struct world *w, const struct tap_output_ops *ops, const void *set,
			      const struct tap_runner_options *opt, struct tap_runner **r)
{
	struct tap_feed feed = feed_of(w);
	struct tap_err err;

	assert_int_equal(tap_runner_start(ops, "mysink", set, &feed, opt, r, &err), TAP_OK);
}

static inline void start(struct world *w, const struct tap_output_ops *ops, const void *set,
			 int64_t max, struct tap_runner **r)
{
	struct tap_runner_options opt = {.max_exceptions = max};

	start_with(w, ops, set, &opt, r);
}

/* Each item once, in order. */
static inline void expect_log(const struct script *s, int64_t reports, uint64_t records)
{
	struct tap_buf want;

	tap_buf_init(&want, LOG_MAX);
	for (int64_t seq = 1; seq <= reports; seq++)
		for (uint64_t i = 0; i == 0 || i < records; i++)
			tap_buf_printf(&want, "%" PRId64 ".%" PRIu64 " ", seq, i);
	assert_int_equal(s->n, want.len);
	assert_memory_equal(s->log, want.p, want.len);
	tap_buf_free(&want);
}

#endif
