/* SPDX-License-Identifier: Apache-2.0
 * daemon/writer.c - the one thread that writes the store. A transaction takes what is staged: up to batch_files messages, batch_time, or
 * batch_quiet of silence; jobs (settlements of sinks, control verbs) ride along. Only behind the commit a spool file is unlinked or filed in quarantine [I2].
 *
 * When the store refuses (disk full, read-only, locked) the transaction is undone, its messages stay staged and their files in the spool,
 * and the same batch is tried again with growing pauses. When the store refuses one message's content, the batch is
 * tried again one message at a time, and that one goes to quarantine. */
#include "daemon/worker.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	BACKOFF_FIRST_MS = 500,
	BACKOFF_MOST_MS = 30000,
	IDLE_MS = 1000,
	LAST_MS = 2,
	SECONDS_OF_DAY = 86400,
	/* Staged bytes of one transaction: they are kept until the commit, in case it has to be done again [I7]. */
	BATCH_BYTES = 32 << 20
};

struct batch {
	struct tap_staged *first, *last;
	struct tap_job *job, *last_job; /* done in this transaction, answered behind the commit */
	size_t files, bytes;
	uint64_t stored, duplicates, conflicts;
	bool news; /* a job brought some */
};

/* ---- the queue ---- */

static void deadline_at(int64_t ms_from_now, struct timespec *ts)
{
	(void)clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += ms_from_now / 1000;
	ts->tv_nsec += (ms_from_now % 1000) * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
}

static size_t weight(const struct tap_staged *m)
{
	return m->frames.len + m->headers.len + sizeof(*m);
}

void tap_writer_push(struct tap_worker *w, struct tap_staged *m)
{
	struct tap_writer *q = &w->writer;

	(void)pthread_mutex_lock(&q->lock);
	while (!q->stop && q->files > 0 &&
	       (q->files >= TAP_STAGE_FILES || q->bytes + weight(m) > TAP_STAGE_TOTAL))
		(void)pthread_cond_wait(&q->room, &q->lock);
	m->next = NULL;
	if (q->last != NULL)
		q->last->next = m;
	else
		q->first = m;
	q->last = m;
	q->files++;
	q->bytes += weight(m);
	(void)pthread_cond_signal(&q->work);
	(void)pthread_mutex_unlock(&q->lock);
}

static enum tap_rc run_job(struct tap_worker *w, struct tap_job *j, struct tap_err *err)
{
	struct tap_writer *q = &w->writer;

	(void)pthread_mutex_lock(&q->lock);
	if (q->last_job != NULL)
		q->last_job->next = j;
	else
		q->first_job = j;
	q->last_job = j;
	(void)pthread_cond_signal(&q->work);
	while (!j->done)
		(void)pthread_cond_wait(&q->answered, &q->lock);
	(void)pthread_mutex_unlock(&q->lock);
	if (j->rc != TAP_OK && err != NULL)
		*err = j->err;
	return j->rc;
}

enum tap_rc tap_writer_run(struct tap_worker *w,
			   enum tap_rc (*fn)(struct tap_store *s, void *ctx, struct tap_err *err),
			   void *ctx, struct tap_err *err)
{
	struct tap_job j = {.fn = fn, .ctx = ctx, .news = true};

	return run_job(w, &j, err);
}

struct settlement {
	const struct tap_store_settle *set;
};

static enum tap_rc settle(struct tap_store *s, void *ctx, struct tap_err *err)
{
	const struct settlement *one = ctx;

	return tap_store_settle(s, one->set, err);
}

enum tap_rc tap_writer_settle(struct tap_worker *w, const struct tap_store_settle *set,
			      struct tap_err *err)
{
	struct settlement one = {set};
	struct tap_job j = {.fn = settle, .ctx = &one};

	return run_job(w, &j, err);
}

uint64_t tap_writer_generation(struct tap_worker *w)
{
	uint64_t g;

	(void)pthread_mutex_lock(&w->writer.lock);
	g = w->writer.generation;
	(void)pthread_mutex_unlock(&w->writer.lock);
	return g;
}

void tap_writer_wait(struct tap_worker *w, uint64_t seen, int64_t timeout_ms)
{
	struct tap_writer *q = &w->writer;
	struct timespec ts;
	int e = 0;

	deadline_at(timeout_ms, &ts);
	(void)pthread_mutex_lock(&q->lock);
	while (q->generation == seen && !atomic_load(&w->stopping) && e == 0)
		e = pthread_cond_timedwait(&q->news, &q->lock, &ts);
	(void)pthread_mutex_unlock(&q->lock);
}

void tap_writer_wake(struct tap_worker *w)
{
	(void)pthread_mutex_lock(&w->writer.lock);
	(void)pthread_cond_broadcast(&w->writer.news);
	(void)pthread_cond_broadcast(&w->writer.work);
	(void)pthread_mutex_unlock(&w->writer.lock);
}

/* Moves one staged message to *m_r, or all jobs to *j_r; false: nothing came within wait_ms, or the end. */
static bool take(struct tap_writer *q, int64_t wait_ms, struct tap_staged **m_r,
		 struct tap_job **j_r)
{
	struct timespec ts;
	bool got;
	int e = 0;

	*m_r = NULL;
	*j_r = NULL;
	deadline_at(wait_ms, &ts);
	(void)pthread_mutex_lock(&q->lock);
	while (q->first == NULL && q->first_job == NULL && !q->stop && e == 0)
		e = pthread_cond_timedwait(&q->work, &q->lock, &ts);
	*j_r = q->first_job;
	q->first_job = q->last_job = NULL;
	if (*j_r == NULL && q->first != NULL) {
		*m_r = q->first;
		q->first = q->first->next;
		if (q->first == NULL)
			q->last = NULL;
		q->files--;
		q->bytes -= weight(*m_r);
		(*m_r)->next = NULL;
		(void)pthread_cond_signal(&q->room);
	}
	got = *m_r != NULL || *j_r != NULL;
	(void)pthread_mutex_unlock(&q->lock);
	return got;
}

/* rc: of the transaction. A job that failed by itself keeps its own answer. */
static void answer(struct tap_writer *q, struct tap_job *j, enum tap_rc rc,
		   const struct tap_err *err)
{
	(void)pthread_mutex_lock(&q->lock);
	while (j != NULL) {
		struct tap_job *next = j->next;

		if (rc != TAP_OK) {
			j->rc = rc;
			if (err != NULL)
				j->err = *err;
		}
		j->done = true; /* from here on it may be gone */
		j = next;
	}
	(void)pthread_cond_broadcast(&q->answered);
	(void)pthread_mutex_unlock(&q->lock);
}

/* ---- one message ---- */

static enum tap_rc begin_message(struct tap_worker *w, const struct tap_staged *m,
				 struct tap_err *err)
{
	const struct tap_envelope *e = &m->file.envelope;
	struct tap_store_message row = {.spool_id = m->id,
					.door = tap_door_name[m->name->door],
					.recipients = "",
					.fate = "",
					.arrival = tap_clock_now(),
					.headers = m->headers.p,
					.headers_len = m->headers.len,
					.reports = m->over ? 0 : m->reports,
					.broken = m->broken,
					.reason = m->reason[0] != '\0' ? m->reason : NULL,
					.quarantine = m->verdict[0] != '\0' ? m->verdict : NULL};
	struct tap_buf recipients = {.max = TAP_SPOOL_ENVELOPE};
	enum tap_rc rc;

	if (m->opened) {
		tap_buf_add(&recipients, m->recipients.p, m->recipients.len);
		row.recipients = tap_buf_cstr(&recipients);
		row.sender = e->sender;
		row.client = e->client;
		row.queue_id = e->queue_id;
		row.fate = tap_fate_name[e->fate];
		row.arrival = e->arrival;
		row.size = m->file.message_len;
		memcpy(row.sha256, m->file.message_sha256, sizeof(row.sha256));
	}
	rc = tap_store_message_begin(w->store, &row, err);
	tap_buf_free(&recipients);
	return rc;
}

static void condemn(struct tap_staged *m, const char *verdict, const char *why)
{
	(void)snprintf(m->verdict, sizeof(m->verdict), "%s", verdict);
	(void)snprintf(m->reason, sizeof(m->reason), "%s", why);
	m->has_reports = false;
	m->reports = 0;
}

/* Was it committed before a crash? Then only the file is left to deal with. */
static enum tap_rc look_up(struct tap_worker *w, struct tap_staged *m, struct tap_err *err)
{
	struct tap_store_known k;
	enum tap_rc rc = tap_store_known(w->store, m->id, &k, err);

	m->known = rc == TAP_OK && k.known;
	if (!m->known)
		return rc;
	m->verdict[0] = '\0';
	if (k.quarantine) {
		(void)snprintf(m->verdict, sizeof(m->verdict), "%.31s", k.verdict);
		(void)snprintf(m->reason, sizeof(m->reason), "%s", k.reason);
	}
	return TAP_OK;
}

/* Takes back what the store said of it in an attempt that was undone. */
static void forget_attempt(struct tap_staged *m)
{
	if (!m->conflict && !m->over)
		return;
	(void)snprintf(m->verdict, sizeof(m->verdict), "%s",
		       m->before != NULL ? tap_fate_name[TAP_FATE_BROKEN] : "");
	(void)snprintf(m->reason, sizeof(m->reason), "%s", m->before != NULL ? m->before : "");
	free(m->before);
	m->before = NULL;
	m->conflict = m->over = false;
}

/* Counts it against its reporter's quota; over it, it begins anew without its reports. */
static enum tap_rc use_quota(struct tap_worker *w, struct tap_staged *m, struct tap_err *err)
{
	const struct tap_trust_settings *t = &w->trust;
	int64_t arrival = m->opened ? m->file.envelope.arrival : tap_clock_now();
	const char *who = m->reporter[0] == '?' ? m->reporter + 1 : m->reporter;
	bool over = false;
	enum tap_rc rc =
	    tap_store_quota_add(w->store, arrival / SECONDS_OF_DAY, m->reporter, m->records,
				m->opened ? m->file.message_len : 0, (uint64_t)t->quota_records,
				(uint64_t)t->quota_bytes, &over, err);

	if (rc != TAP_OK || !over)
		return rc;
	if (m->verdict[0] != '\0') {
		m->before = strdup(m->reason);
		if (m->before == NULL)
			return tap_err_set(err, TAP_E_TEMP, "out of memory");
	}
	m->over = true;
	(void)snprintf(m->verdict, sizeof(m->verdict), "over quota");
	(void)snprintf(
	    m->reason, sizeof(m->reason),
	    "%.255s has brought more than trust.quota_records or quota_bytes on this day",
	    *who != '\0' ? who : "a reporter without a name");
	rc = tap_store_message_abort(w->store, err);
	return rc == TAP_OK ? begin_message(w, m, err) : rc;
}

static enum tap_rc add_reports(struct tap_worker *w, struct tap_staged *m, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	if (tap_trust_quotas(&w->trust))
		rc = use_quota(w, m, err);
	return rc == TAP_OK && !m->over ? tap_staged_replay(m, &tap_store_events, w->store, err)
					: rc;
}

static enum tap_rc add(struct tap_worker *w, struct batch *b, struct tap_staged *m,
		       struct tap_err *err)
{
	struct tap_store_outcome out;
	enum tap_rc rc;

	forget_attempt(m);
	rc = look_up(w, m, err);
	if (rc != TAP_OK || m->known)
		return rc;
	rc = begin_message(w, m, err);
	if (rc == TAP_OK && m->has_reports)
		rc = add_reports(w, m, err);
	if (rc == TAP_E_DATA && !tap_store_failed(w->store)) {
		/* Nonsense from the parser process: the message may have taken it over, so it counts as one that killed it. */
		condemn(m, "unreadable", err->msg);
		rc = tap_store_message_abort(w->store, err);
		if (rc == TAP_OK)
			rc = begin_message(w, m, err);
	}
	if (rc == TAP_OK)
		rc = tap_store_message_end(w->store, &out, err);
	if (rc != TAP_OK)
		return rc;
	b->stored += out.stored + out.replaced;
	b->duplicates += out.duplicates;
	b->conflicts += out.conflicts;
	if (out.conflicts > 0 && m->verdict[0] == '\0') {
		m->conflict = true;
		(void)snprintf(m->verdict, sizeof(m->verdict), "conflict");
		(void)snprintf(m->reason, sizeof(m->reason), "%s", out.conflict);
	}
	return TAP_OK;
}

/* ---- behind the commit ---- */

static void finish(struct tap_worker *w, struct batch *b)
{
	struct tap_writer *q = &w->writer;
	uint64_t quarantined = 0;

	answer(q, b->job, TAP_OK, NULL);
	for (const struct tap_staged *m = b->first; m != NULL; m = m->next)
		quarantined += m->verdict[0] != '\0';
	if (b->first != NULL)
		tap_finisher_push(w, b->first, b->last);
	(void)pthread_mutex_lock(&q->lock);
	q->generation += b->stored > 0 || b->news;
	q->trouble[0] = '\0';
	(void)pthread_cond_broadcast(&q->news);
	q->taken += b->files;
	q->stored += b->stored;
	q->duplicates += b->duplicates;
	q->quarantined += quarantined;
	q->batches += b->files > 0;
	q->wal_in_use = tap_store_wal_bytes(w->store);
	(void)pthread_mutex_unlock(&q->lock);
}

/* ---- transactions ---- */

static void append(struct batch *b, struct tap_staged *m)
{
	if (b->last != NULL)
		b->last->next = m;
	else
		b->first = m;
	b->last = m;
	b->files++;
	b->bytes += weight(m);
}

/* One job. Its own failure undoes what it wrote and is told behind the commit; the store's is everybody's. */
static enum tap_rc do_job(struct tap_worker *w, struct batch *b, struct tap_job *j,
			  struct tap_err *err)
{
	enum tap_rc rc = tap_store_job_begin(w->store, err);

	if (rc != TAP_OK)
		return rc;
	j->rc = j->fn(w->store, j->ctx, &j->err);
	if (j->rc != TAP_OK && tap_store_failed(w->store)) {
		*err = j->err;
		return j->rc;
	}
	b->news = b->news || (j->news && j->rc == TAP_OK);
	return tap_store_job_end(w->store, j->rc == TAP_OK, err);
}

static enum tap_rc do_jobs(struct tap_worker *w, struct batch *b, struct tap_job *j,
			   struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	if (b->last_job != NULL)
		b->last_job->next = j;
	else
		b->job = j;
	for (; j != NULL; j = j->next) {
		b->last_job = j;
		if (rc == TAP_OK)
			rc = do_job(w, b, j, err);
	}
	return rc;
}

/* How long to wait for one more: jobs alone wait for nobody, and when no message is on its way there is little to wait for. */
static int64_t quiet_time(struct tap_worker *w, const struct batch *b)
{
	if (b->files == 0)
		return 0;
	if (tap_names_waiting(w->names) > 0 || atomic_load(&w->busy) > 0 ||
	    w->set.quiet_ms < LAST_MS)
		return w->set.quiet_ms;
	return LAST_MS;
}

/* Fills the open transaction from the queue. */
static enum tap_rc gather(struct tap_worker *w, struct batch *b, struct tap_err *err)
{
	int64_t end = tap_clock_mono_ms() + w->set.batch_ms;
	enum tap_rc rc = TAP_OK;

	while (rc == TAP_OK && b->files < (size_t)w->set.batch_files && b->bytes < BATCH_BYTES) {
		int64_t left = end - tap_clock_mono_ms();
		int64_t quiet = quiet_time(w, b);
		struct tap_staged *m;
		struct tap_job *j;

		if (left <= 0 || !take(&w->writer, quiet < left ? quiet : left, &m, &j))
			break;
		if (j != NULL)
			rc = do_jobs(w, b, j, err);
		if (m != NULL) {
			append(b, m);
			rc = add(w, b, m, err);
		}
	}
	return rc;
}

/* The transaction is lost: who waits for a job hears it, messages stay in b. */
static void undo(struct tap_worker *w, struct batch *b, const struct tap_err *err)
{
	tap_store_rollback(w->store);
	answer(&w->writer, b->job, err->rc == TAP_OK ? TAP_E_TEMP : err->rc, err);
	b->job = b->last_job = NULL;
	b->news = false;
	b->stored = b->duplicates = b->conflicts = 0;
}

static enum tap_rc again_whole(struct tap_worker *w, struct batch *b, struct tap_err *err)
{
	enum tap_rc rc = tap_store_begin(w->store, err);

	for (struct tap_staged *m = b->first; rc == TAP_OK && m != NULL; m = m->next)
		rc = add(w, b, m, err);
	return rc == TAP_OK ? tap_store_commit(w->store, err) : rc;
}

static bool is_content(enum tap_rc rc)
{
	return rc == TAP_E_DATA || rc == TAP_E_LIMIT;
}

/* The store refuses the content of m: it is taken in without, and its file goes to quarantine. When even the bare row is refused, the
 * message was not to blame: it gets back what it had, and the store has to be looked after. */
static enum tap_rc without_content(struct tap_worker *w, struct batch *one, struct tap_err *err)
{
	struct tap_staged *m = one->first, before;
	struct tap_err why = *err;
	enum tap_rc rc;

	tap_store_rollback(w->store);
	forget_attempt(m);
	before = *m;
	condemn(m, "broken", err->msg);
	one->stored = one->duplicates = one->conflicts = 0;
	rc = again_whole(w, one, err);
	if (rc == TAP_OK)
		return rc;
	*m = before;
	if (!is_content(rc))
		return rc;
	*err = why;
	return err->rc = TAP_E_CONFIG;
}

/* The store refuses the content of one of them: each alone, and that one without its content. */
static enum tap_rc again_single(struct tap_worker *w, struct batch *b, struct tap_err *err)
{
	while (b->first != NULL) {
		struct tap_staged *m = b->first;
		struct batch one = {.first = m, .last = m, .files = 1};
		struct tap_staged *rest = m->next;
		enum tap_rc rc;

		m->next = NULL;
		rc = again_whole(w, &one, err);
		if (is_content(rc))
			rc = without_content(w, &one, err);
		if (rc != TAP_OK) {
			m->next = rest;
			return rc;
		}
		b->first = rest;
		b->files--;
		finish(w, &one);
	}
	b->last = NULL;
	return TAP_OK;
}

static void set_trouble(struct tap_writer *q, const struct tap_err *err)
{
	(void)pthread_mutex_lock(&q->lock);
	(void)snprintf(q->trouble, sizeof(q->trouble), "%s", err->msg);
	(void)pthread_mutex_unlock(&q->lock);
}

/* Waits, but not longer than the worker lives; who wants a job done meanwhile hears the trouble at once. */
static bool pause_for(struct tap_worker *w, int64_t ms, const struct tap_err *err)
{
	struct tap_writer *q = &w->writer;
	int64_t end = tap_clock_mono_ms() + ms, left;
	struct tap_job *j;
	struct timespec ts;

	while ((left = end - tap_clock_mono_ms()) > 0 && !atomic_load(&w->stopping)) {
		deadline_at(left, &ts);
		(void)pthread_mutex_lock(&q->lock);
		if (q->first_job == NULL && !q->stop && !atomic_load(&w->stopping))
			(void)pthread_cond_timedwait(&q->work, &q->lock, &ts);
		j = q->first_job;
		q->first_job = q->last_job = NULL;
		(void)pthread_mutex_unlock(&q->lock);
		answer(q, j, TAP_E_TEMP, err);
	}
	return !atomic_load(&w->stopping);
}

/* A batch that could not be committed, until it is, or the worker ends: then its files wait in the spool for the next start. */
static void persist(struct tap_worker *w, struct batch *b, struct tap_err *err)
{
	int64_t backoff = BACKOFF_FIRST_MS;
	enum tap_rc rc = err->rc;

	while (rc != TAP_OK) {
		bool content = is_content(rc);

		undo(w, b, err);
		if (b->first == NULL)
			return;
		tap_log_err(content ? TAP_LOG_WARNING : TAP_LOG_ERROR, "worker", err);
		if (!content) {
			set_trouble(&w->writer, err);
			if (!pause_for(w, backoff, err))
				return;
			backoff = backoff * 2 < BACKOFF_MOST_MS ? backoff * 2 : BACKOFF_MOST_MS;
		}
		rc = content ? again_single(w, b, err) : again_whole(w, b, err);
		if (rc == TAP_OK && b->first == NULL)
			return;
	}
	tap_info("worker", "the store takes messages again");
	finish(w, b);
	*b = (struct batch){0};
}

static void give_back(struct tap_worker *w, struct batch *b)
{
	for (struct tap_staged *m = b->first, *next; m != NULL; m = next) {
		struct tap_name *name = m->name;

		next = m->next;
		tap_staged_free(&m);
		tap_names_done(w->names, &name);
	}
}

static void clear_trouble(struct tap_writer *q)
{
	(void)pthread_mutex_lock(&q->lock);
	q->trouble[0] = '\0';
	(void)pthread_mutex_unlock(&q->lock);
}

/* The log's turn; while a reader keeps it over its bound nothing is written. */
static void tend_log(struct tap_worker *w, bool idle)
{
	struct tap_err err = {0};
	bool waited = false;
	enum tap_rc rc;

	for (; (rc = tap_store_checkpoint(w->store, idle, &err)) == TAP_E_LIMIT; waited = true) {
		set_trouble(&w->writer, &err);
		tap_log_err(TAP_LOG_ERROR, "worker", &err);
		if (!pause_for(w, BACKOFF_FIRST_MS, &err))
			return;
	}
	if (rc != TAP_OK)
		tap_log_err(TAP_LOG_WARNING, "worker", &err);
	else if (waited)
		clear_trouble(&w->writer);
}

/* False: the worker ends, and what could not be stored was given back. */
static bool transaction(struct tap_worker *w, struct tap_staged *m, struct tap_job *j)
{
	struct batch b = {0};
	struct tap_err err = {0};
	enum tap_rc rc = tap_store_begin(w->store, &err);

	if (m != NULL)
		append(&b, m);
	if (rc == TAP_OK && m != NULL)
		rc = add(w, &b, m, &err);
	if (j != NULL && rc == TAP_OK)
		rc = do_jobs(w, &b, j, &err);
	else if (j != NULL)
		answer(&w->writer, j, rc, &err);
	if (rc == TAP_OK)
		rc = gather(w, &b, &err);
	if (rc == TAP_OK)
		rc = tap_store_commit(w->store, &err);
	if (rc == TAP_OK) {
		finish(w, &b);
	} else {
		err.rc = rc;
		if (b.first == NULL) {
			set_trouble(&w->writer, &err);
			tap_log_err(TAP_LOG_ERROR, "worker", &err);
		}
		persist(w, &b, &err);
		if (b.first != NULL) {
			give_back(w, &b);
			return false;
		}
	}
	tend_log(w, false);
	return true;
}

/* The end of a worker whose store refuses: what is still staged waits in the spool for the next start, and is not tried one by one. */
static void refuse(struct tap_worker *w, struct tap_staged *m, struct tap_job *j)
{
	const struct tap_err err = {.rc = TAP_E_TEMP, .msg = "the worker ends"};
	struct batch b = {0};

	if (m != NULL)
		append(&b, m);
	give_back(w, &b);
	answer(&w->writer, j, TAP_E_TEMP, &err);
}

static void *writer_main(void *arg)
{
	struct tap_worker *w = arg;
	struct tap_staged *m;
	struct tap_job *j;
	bool idle = false, works = true;

	for (;;) {
		bool stop;

		if (take(&w->writer, idle ? 60000 : IDLE_MS, &m, &j)) {
			if (works)
				works = transaction(w, m, j);
			else
				refuse(w, m, j);
			idle = false;
			continue;
		}
		(void)pthread_mutex_lock(&w->writer.lock);
		stop = w->writer.stop;
		(void)pthread_mutex_unlock(&w->writer.lock);
		if (!idle && works)
			tend_log(w, true);
		idle = true;
		if (stop)
			return NULL;
	}
}

enum tap_rc tap_writer_start(struct tap_worker *w, struct tap_err *err)
{
	struct tap_writer *q = &w->writer;
	pthread_cond_t *const conds[] = {&q->work, &q->room, &q->answered, &q->news};
	pthread_condattr_t attr;
	int e;

	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	for (size_t i = 0; i < sizeof(conds) / sizeof(conds[0]); i++)
		(void)pthread_cond_init(conds[i], &attr);
	(void)pthread_condattr_destroy(&attr);
	e = pthread_create(&q->thread, NULL, writer_main, w);
	if (e != 0)
		return tap_err_sys(err, TAP_E_TEMP, e, "start a thread");
	q->started = true;
	return TAP_OK;
}

void tap_writer_stop(struct tap_worker *w)
{
	struct tap_writer *q = &w->writer;

	if (!q->started)
		return;
	(void)pthread_mutex_lock(&q->lock);
	q->stop = true;
	(void)pthread_cond_broadcast(&q->work);
	(void)pthread_cond_broadcast(&q->room);
	(void)pthread_mutex_unlock(&q->lock);
	(void)pthread_join(q->thread, NULL);
	q->started = false;
}
