/* SPDX-License-Identifier: Apache-2.0
 * daemon/feed.c - the store as the sinks' runner sees it (struct tap_feed). Reading goes through a read-only handle of each sink;
 * settling is queued to the writer, so that there is one writer and a settlement shares the fsync of the mail that comes meanwhile.
 * Threads: each sink's functions from that sink's thread; start, stop and status from main and control. */
#include "daemon/worker.h"

#include "base/clock.h"
#include "daemon/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STOP_MS = 1500 };

struct each_of {
	struct tap_sink_run *k;
	tap_feed_each *each;
	void *ctx;
	int64_t stop_at; /* reports from here on are not owed; 0 = all are */
	bool stopped;
};

static enum tap_rc reader_of(struct tap_sink_run *k, struct tap_err *err)
{
	return k->reader != NULL ? TAP_OK
				 : tap_store_open_reader(k->w->store_set.path, &k->reader, err);
}

/* A sink's first start. */
static enum tap_rc begin(struct tap_sink_run *k, const char *sink, struct tap_cursor *cur,
			 struct tap_err *err)
{
	struct tap_store_settle first = {.sink = sink, .seq = 1};
	struct tap_store_totals t = {0};
	enum tap_rc rc = TAP_OK;

	if (k->config->common->start == TAP_SINK_FROM_NOW)
		rc = tap_store_totals(k->reader, &t, err);
	if (rc != TAP_OK)
		return rc;
	first.seq = t.last_seq + 1;
	*cur = (struct tap_cursor){.seq = first.seq};
	k->epoch = 0;
	return tap_writer_settle(k->w, &first, err);
}

static enum tap_rc feed_load(void *ctx, const char *sink, struct tap_cursor *cur, char *state_r,
			     struct tap_err *err)
{
	struct tap_sink_run *k = ctx;
	struct tap_store_place at = {0};
	enum tap_rc rc = reader_of(k, err);

	_Static_assert((int)TAP_STORE_STATE_MAX == (int)TAP_OUTPUT_STATE_MAX,
		       "one size of a driver's state");
	state_r[0] = '\0';
	if (rc == TAP_OK)
		rc = tap_store_sink_place(k->reader, sink, &at, &k->epoch, state_r, err);
	if (rc == TAP_E_NOTFOUND)
		return begin(k, sink, cur, err);
	*cur = (struct tap_cursor){at.seq, at.ordinal};
	return rc;
}

static struct tap_item item_of(const struct tap_store_row *row)
{
	return (struct tap_item){.seq = row->seq,
				 .ordinal = row->ordinal,
				 .revision = row->revision,
				 .first = row->first,
				 .last = row->last,
				 .meta = row->meta,
				 .record = row->record,
				 .failure = row->failure,
				 .policy = row->policy,
				 .detail = row->detail,
				 .end = row->end};
}

/* Is it nothing new for this sink? A later revision where the former was confirmed, and the sink can neither replace it nor is to get it
 * all the same. */
static enum tap_rc had_before(struct tap_sink_run *k, const struct tap_store_row *row, bool *had_r,
			      struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	*had_r = false;
	if (row->revision <= 1 || k->config->ops->replaces || k->config->common->resend)
		return TAP_OK;
	if (k->seen_seq != row->seq || row->ordinal == 0) {
		rc = tap_store_sink_sent(k->reader, k->config->name, row->seq, &k->seen_sent, err);
		k->seen_seq = row->seq;
	}
	*had_r = k->seen_sent;
	return rc;
}

/* Every row passes here: whatever else decides that an item does not fall due yet ends the reading as stop_at does. */
static enum tap_rc pass_on(void *ctx, const struct tap_store_row *row, struct tap_err *err)
{
	struct each_of *e = ctx;
	struct tap_item item = item_of(row);
	bool had = false;
	enum tap_rc rc;

	if (e->stop_at > 0 && row->seq >= e->stop_at) {
		e->stopped = true;
		return TAP_E_LIMIT;
	}
	rc = had_before(e->k, row, &had, err);
	return rc != TAP_OK || had ? rc : e->each(e->ctx, &item, err);
}

/* Where an operator has put the cursor since. */
static enum tap_rc follow(struct tap_sink_run *k, const char *sink, struct tap_cursor *cur,
			  struct tap_err *err)
{
	struct tap_store_place at;
	int64_t epoch = 0;
	enum tap_rc rc = tap_store_sink_place(k->reader, sink, &at, &epoch, NULL, err);

	if (rc == TAP_OK && epoch != k->epoch) {
		k->epoch = epoch;
		*cur = (struct tap_cursor){at.seq, at.ordinal};
	}
	return rc == TAP_E_NOTFOUND ? TAP_OK : rc;
}

static enum tap_rc feed_read(void *ctx, const char *sink, struct tap_cursor *cur, unsigned kinds,
			     size_t max, tap_feed_each *each, void *each_ctx,
			     struct tap_cursor *next_r, struct tap_err *err)
{
	struct tap_sink_run *k = ctx;
	struct each_of e = {.k = k, .each = each, .ctx = each_ctx};
	int64_t from = 0, to = 0;
	enum tap_rc rc = reader_of(k, err);

	/* Before the look: what is committed during it must wake the sink again. */
	k->generation = tap_writer_generation(k->w);
	if (rc == TAP_OK)
		rc = follow(k, sink, cur, err);
	*next_r = *cur;
	while (rc == TAP_OK) {
		struct tap_cursor was = *next_r;

		rc = tap_store_sink_done(k->reader, sink, next_r->seq, &from, &to, err);
		if (rc == TAP_OK && from > 0 && from <= next_r->seq) {
			*next_r = (struct tap_cursor){.seq = to};
			continue;
		}
		e.stop_at = from;
		e.stopped = false;
		if (rc == TAP_OK)
			rc = tap_store_rows(k->reader, kinds, max, pass_on, &e, &next_r->seq,
					    &next_r->ordinal, err);
		if (rc != TAP_OK || !e.stopped || next_r->seq != was.seq ||
		    next_r->ordinal != was.ordinal)
			break;
		*next_r = (struct tap_cursor){.seq = to}; /* nothing before what is not owed */
	}
	/* The cursor itself moves over what is not owed even where nothing comes behind it. */
	return rc == TAP_E_NOTFOUND && next_r->seq != cur->seq ? TAP_OK : rc;
}

struct due_list {
	struct tap_exception *ex;
	size_t n;
};

static enum tap_rc note_due(void *ctx, const struct tap_store_exception *x, struct tap_err *err)
{
	struct due_list *l = ctx;

	(void)err;
	l->ex[l->n++] = (struct tap_exception){.item = {x->seq, x->ordinal},
					       .tries = x->tries,
					       .next_try = x->next_try,
					       .since = x->since,
					       .parked = x->uid == NULL}; /* here: is gone */
	return TAP_OK;
}

struct due_one {
	const struct tap_exception *ex;
	tap_feed_due *each;
	void *ctx;
	bool seen;
};

static enum tap_rc pass_due(void *ctx, const struct tap_store_row *row, struct tap_err *err)
{
	struct due_one *d = ctx;
	struct tap_item item = item_of(row);

	if (row->seq != d->ex->item.seq || row->ordinal != d->ex->item.ordinal)
		return TAP_E_LIMIT;
	d->seen = true;
	return d->each(d->ctx, d->ex, &item, err);
}

static enum tap_rc one_due(struct tap_sink_run *k, unsigned kinds, const struct tap_exception *ex,
			   tap_feed_due *each, void *each_ctx, struct tap_err *err)
{
	struct due_one d = {.ex = ex, .each = each, .ctx = each_ctx};
	int64_t seq = ex->item.seq;
	uint64_t ordinal = ex->item.ordinal;
	enum tap_rc rc =
	    ex->parked ? TAP_E_NOTFOUND
		       : tap_store_rows(k->reader, kinds, 1, pass_due, &d, &seq, &ordinal, err);

	if (rc == TAP_OK && d.seen && seq == ex->item.seq && ordinal == ex->item.ordinal)
		return TAP_E_LIMIT; /* the batch is full */
	if (rc == TAP_E_NOTFOUND || (rc == TAP_OK && !d.seen))
		return each(each_ctx, ex, NULL, err);
	return rc;
}

static enum tap_rc feed_due(void *ctx, const char *sink, unsigned kinds, size_t max,
			    tap_feed_due *each, void *each_ctx, struct tap_err *err)
{
	struct tap_sink_run *k = ctx;
	struct due_list l = {.ex = calloc(max, sizeof(*l.ex))};
	enum tap_rc rc = reader_of(k, err);

	if (l.ex == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	if (rc == TAP_OK)
		rc = tap_store_sink_list(k->reader, sink, tap_clock_now(), max, note_due, &l, err);
	for (size_t i = 0; rc == TAP_OK && i < l.n; i++)
		rc = one_due(k, kinds, &l.ex[i], each, each_ctx, err);
	if (rc == TAP_E_LIMIT || (rc == TAP_OK && l.n == 0))
		rc = rc == TAP_OK ? TAP_E_NOTFOUND : TAP_OK;
	free(l.ex);
	return rc;
}

static enum tap_rc feed_settle(void *ctx, const char *sink, const struct tap_settlement *s,
			       struct tap_err *err)
{
	struct tap_sink_run *k = ctx;
	struct tap_store_park *park = calloc(s->n_ex + 1, sizeof(*park));
	struct tap_store_place *done = calloc(s->n_done + 1, sizeof(*done));
	struct tap_store_settle set = {.sink = sink,
				       .seq = s->cursor.seq,
				       .ordinal = s->cursor.ordinal,
				       .state = s->state,
				       .park = park,
				       .n_park = s->n_ex,
				       .done = done,
				       .n_done = s->n_done,
				       .epoch = k->epoch};
	enum tap_rc rc = TAP_E_TEMP;

	if (park == NULL || done == NULL) {
		(void)tap_err_set(err, TAP_E_TEMP, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < s->n_ex; i++) {
		const struct tap_exception *x = &s->ex[i];

		park[i] = (struct tap_store_park){.seq = x->item.seq,
						  .ordinal = x->item.ordinal,
						  .reason = x->reason,
						  .waits = !x->parked,
						  .tries = x->tries,
						  .next_try = x->next_try,
						  .since = x->since};
	}
	for (size_t i = 0; i < s->n_done; i++)
		done[i] = (struct tap_store_place){s->done[i].seq, s->done[i].ordinal};
	rc = tap_writer_settle(k->w, &set, err);
out:
	free(park);
	free(done);
	return rc;
}

static void feed_wait(void *ctx, const char *sink, int64_t timeout_ms)
{
	struct tap_sink_run *k = ctx;

	(void)sink;
	tap_writer_wait(k->w, k->generation, timeout_ms);
}

static enum tap_rc feed_exceptions(void *ctx, const char *sink, uint64_t *n_r, struct tap_err *err)
{
	struct tap_sink_run *k = ctx;
	enum tap_rc rc = reader_of(k, err);

	if (rc == TAP_OK)
		rc = tap_store_sink_exceptions(k->reader, sink, n_r, err);
	return rc;
}

enum tap_rc tap_sinks_configure(struct tap_worker *w, struct tap_settings *s, struct tap_err *err)
{
	enum tap_rc rc = tap_sink_configs_load(s, &w->config, &w->sinks, err);

	if (rc != TAP_OK)
		return rc;
	if (w->sinks > TAP_STATUS_SINKS)
		return tap_err_set(err, TAP_E_CONFIG, "outputs: there are more than %d",
				   TAP_STATUS_SINKS);
	w->sink = calloc(w->sinks + 1, sizeof(*w->sink));
	if (w->sink == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (size_t i = 0; i < w->sinks; i++) {
		w->sink[i].w = w;
		w->sink[i].config = &w->config[i];
		w->sink[i].feed = (struct tap_feed){.ctx = &w->sink[i],
						    .load = feed_load,
						    .read = feed_read,
						    .due = feed_due,
						    .settle = feed_settle,
						    .wait = feed_wait,
						    .exceptions = feed_exceptions};
	}
	return TAP_OK;
}

enum tap_rc tap_sinks_start(struct tap_worker *w, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < w->sinks; i++) {
		const struct tap_sink_config *c = &w->config[i];
		const struct tap_runner_options opt = {.max_exceptions = w->set.max_exceptions,
						       .retry_for_ms = c->common->retry_for_ms,
						       .timeout_ms = c->common->timeout_ms};

		rc = tap_runner_start(c->ops, c->name, c->set, &w->sink[i].feed, &opt,
				      &w->sink[i].runner, err);
		if (rc != TAP_OK)
			(void)tap_err_prefix(err, "output %s: ", c->name);
	}
	return rc == TAP_OK ? tap_upkeep_start(w, err) : rc;
}

void tap_sinks_stop(struct tap_worker *w)
{
	int64_t end = tap_clock_mono_ms() + STOP_MS;
	bool hangs = false;

	/* All at once: one that hangs must not use up the time of the others. */
	for (size_t i = 0; i < w->sinks; i++)
		tap_runner_tell_stop(w->sink[i].runner);
	tap_writer_wake(w);
	tap_upkeep_stop(w);
	for (size_t i = 0; i < w->sinks; i++) {
		int64_t left = end - tap_clock_mono_ms();

		if (tap_runner_stop_within(&w->sink[i].runner, left > 0 ? left : 0))
			tap_store_close_reader(&w->sink[i].reader);
		else
			hangs = true;
	}
	if (hangs) {
		w->abandoned = true;
		return;
	}
	free(w->sink);
	w->sink = NULL;
	tap_sink_configs_free(&w->config, w->sinks);
	w->sinks = 0;
}

static const char *state_name(const struct tap_runner_status *r)
{
	static const char *const names[] = {"idle", "sending", "waiting to try again", "paused"};

	return (unsigned)r->state < sizeof(names) / sizeof(names[0]) ? names[r->state] : "";
}

static void one_status(struct tap_store_reader *reader, const struct tap_sink_run *k,
		       const struct tap_sink_config *c, struct tap_status_sink *out)
{
	struct tap_runner_status r;
	struct tap_store_sink got;
	unsigned kinds =
	    c->ops->kinds & (c->ops->wants != NULL ? c->ops->wants(c->set) : c->ops->kinds);
	int64_t left;

	memset(&r, 0, sizeof(r));
	tap_runner_get_status(k->runner, &r);
	(void)snprintf(out->name, sizeof(out->name), "%s", c->name);
	(void)snprintf(out->type, sizeof(out->type), "%s", c->ops->name);
	(void)snprintf(out->state, sizeof(out->state), "%s", state_name(&r));
	(void)snprintf(out->error, sizeof(out->error), "%s", r.last_error);
	out->confirmed = r.confirmed;
	out->retried = r.retried;
	out->parked = r.parked;
	left = r.next_try_ms - tap_clock_mono_ms();
	out->next_try_ms = r.next_try_ms != 0 && left > 0 ? left : 0;
	if (reader != NULL &&
	    tap_store_sink_get(reader, c->name, kinds, &got, NULL, NULL) == TAP_OK) {
		out->seq = got.seq;
		out->ordinal = got.ordinal;
		out->lag = got.lag;
		out->exceptions = got.exceptions;
	}
}

void tap_sinks_status(struct tap_worker *w, struct tap_status *s, int64_t deadline_ms)
{
	struct tap_store_reader *reader = NULL;

	if (w->sinks > 0 && tap_store_open_reader(w->store_set.path, &reader, NULL) == TAP_OK)
		tap_store_reader_deadline(reader, deadline_ms);
	for (size_t i = 0; i < w->sinks && s->n_sinks < TAP_STATUS_SINKS; i++)
		one_status(reader, &w->sink[i], &w->config[i], &s->sink[s->n_sinks++]);
	tap_store_close_reader(&reader);
}
