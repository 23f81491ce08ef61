/* SPDX-License-Identifier: Apache-2.0
 * daemon/reprocess.c - see reprocess.h. One message: its payloads become mails again (remail.h), each is parsed by a parser process, and
 * then one job of the writer brings all of it into the store together with the progress. A message that cannot be parsed is counted and
 * stays as it was; trouble of the system or of the store is waited for. */
#include "daemon/reprocess.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/remail.h"
#include "daemon/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUSY_MS = 2000, FIRST_PAUSE_MS = 500, MOST_PAUSE_MS = 30000, IDLE_MS = 60000 };

struct tap_again {
	pthread_mutex_t lock;
	pthread_cond_t asked;
	bool work; /* there may be something to do */
	pthread_t thread;
	struct tap_store_reader *reader;
};

/* One message on its way. */
struct round {
	const struct tap_store_reprocess *job;
	struct tap_store_kept kept;
	struct tap_staged **staged; /* one for each payload; NULL = it could not be parsed */
	size_t in_memory;
	char reason[512]; /* why something of it could not be read again; "" = all well */
	struct tap_store_reprocessed out;
};

static bool ends(struct tap_worker *w)
{
	return atomic_load(&w->stopping);
}

/* ---- parsing ---- */

struct mail {
	int fd;
	uint64_t len;
	bool lacks_header; /* what was said of its sender would be lost */
};

static enum tap_rc add_bytes(void *ctx, const void *p, size_t n, struct tap_err *err)
{
	struct mail *m = ctx;
	enum tap_rc rc = tap_io_pwrite(m->fd, p, n, m->len, "reprocess.stage", err);

	m->len += n;
	return rc;
}

static enum tap_rc make_mail(struct tap_again *a, const struct round *r,
			     const struct tap_store_payload *p, struct mail *m, struct tap_err *err)
{
	struct tap_buf head;
	enum tap_rc rc = tap_io_tmpfile(NULL, &m->fd, err);

	tap_buf_init(&head, r->kept.headers_len + 4096);
	tap_remail_head(r->kept.headers, r->kept.headers_len, p->filename, &head);
	if (rc == TAP_OK && head.failed)
		rc = tap_err_set(err, TAP_E_TEMP, "out of memory");
	m->lacks_header = head.len == 0 && r->kept.sender;
	if (rc == TAP_OK && head.len > 0)
		rc = add_bytes(m, head.p, head.len, err);
	tap_buf_free(&head);
	if (rc == TAP_OK)
		rc = tap_store_payload_read(a->reader, p, add_bytes, m, err);
	return rc;
}

static struct tap_staged *staged_new(const struct round *r, struct tap_err *err)
{
	struct tap_staged *m = calloc(1, sizeof(*m));

	if (m == NULL) {
		(void)tap_err_set(err, TAP_E_TEMP, "out of memory");
		return NULL;
	}
	m->tmp_fd = -1;
	tap_buf_init(&m->headers, 1);
	tap_buf_init(&m->recipients, 1);
	tap_buf_init(&m->frames, TAP_STAGE_MEMORY);
	if (r->in_memory < TAP_STAGE_MEMORY || tap_io_tmpfile(NULL, &m->tmp_fd, err) == TAP_OK)
		return m;
	tap_staged_free(&m);
	return NULL;
}

static void fail(struct round *r, const char *what, const char *why)
{
	if (r->reason[0] == '\0')
		(void)snprintf(r->reason, sizeof(r->reason), "%.60s: %.440s", what, why);
}

/* At most twice, as new mail is. *m_r NULL: it cannot be read. */
static enum tap_rc parse(struct tap_worker *w, struct round *r, const struct mail *mail,
			 struct tap_staged **m_r, struct tap_err *err)
{
	struct tap_pool_job job = {.fd = mail->fd, .len = mail->len, .now = r->kept.arrival};
	struct tap_parse_result res;
	enum tap_rc rc = TAP_OK;

	for (int attempt = 0; attempt < 2; attempt++) {
		memset(&res, 0, sizeof(res));
		tap_staged_free(m_r);
		*m_r = staged_new(r, err);
		if (*m_r == NULL)
			return TAP_E_TEMP;
		rc = tap_pool_frames(w->pool, &job, tap_staged_add, *m_r, &res, err);
		if (rc != TAP_OK || res.verdict != TAP_V_UNREADABLE)
			break;
	}
	if (rc == TAP_OK && (res.verdict == TAP_V_REPORT || res.verdict == TAP_V_FEEDBACK)) {
		r->in_memory += (*m_r)->frames.len;
		return TAP_OK;
	}
	tap_staged_free(m_r);
	if (rc == TAP_OK)
		fail(r, "no report can be read in it", res.why);
	return rc;
}

static enum tap_rc one_payload(struct tap_worker *w, struct round *r, size_t i, struct tap_err *err)
{
	struct mail mail = {.fd = -1};
	enum tap_rc rc = make_mail(w->again, r, &r->kept.payload[i], &mail, err);

	if (rc == TAP_OK && mail.lacks_header)
		fail(r, "the header of the mail is not kept", "its sender cannot be told again");
	else if (rc == TAP_OK)
		rc = parse(w, r, &mail, &r->staged[i], err);
	else if (rc == TAP_E_NOTFOUND) /* expired meanwhile, then; or the job finds it missing */
		rc = TAP_OK;
	tap_io_close(&mail.fd);
	return rc;
}

/* ---- storing ---- */

static enum tap_rc bring_in(struct tap_store *s, void *ctx, struct tap_err *err)
{
	struct round *r = ctx;
	bool there = false;
	enum tap_rc rc = tap_store_reprocess_message(s, r->kept.message, &there, err);

	for (size_t i = 0; rc == TAP_OK && there && i < r->kept.n_payload; i++)
		if (r->staged[i] != NULL)
			rc = tap_staged_replay(r->staged[i], &tap_store_reprocess_uids, s, err);
	for (size_t i = 0; rc == TAP_OK && there && i < r->kept.n_payload; i++) {
		if (r->staged[i] == NULL)
			continue;
		tap_store_reprocess_part(s, r->kept.payload[i].part);
		rc = tap_staged_replay(r->staged[i], &tap_store_reprocess_events, s, err);
	}
	if (rc == TAP_OK)
		rc = tap_store_reprocess_message_end(s, &r->out, err);
	if (rc == TAP_OK && r->out.missing > 0)
		fail(r, "it did not come again", r->out.missed);
	if (rc == TAP_OK)
		rc =
		    tap_store_reprocess_step(s, r->job->id, r->kept.message, &r->out,
					     there && r->reason[0] != '\0' ? r->reason : NULL, err);
	return rc;
}

static enum tap_rc count_failed(struct tap_store *s, void *ctx, struct tap_err *err)
{
	const struct tap_store_reprocessed none = {0};
	struct round *r = ctx;

	return tap_store_reprocess_step(s, r->job->id, r->kept.message, &none, r->reason, err);
}

static enum tap_rc finish(struct tap_store *s, void *ctx, struct tap_err *err)
{
	return tap_store_reprocess_finish(s, ((const struct tap_store_reprocess *)ctx)->id, err);
}

static void tell(const struct round *r)
{
	const struct tap_log_field fields[] = {{"id", r->kept.spool_id}, {NULL, NULL}};

	if (r->reason[0] != '\0')
		tap_log_fields(TAP_LOG_WARNING, "worker", fields,
			       "cannot be parsed again and stays as it was: %s", r->reason);
}

static enum tap_rc store(struct tap_worker *w, struct round *r, struct tap_err *err)
{
	enum tap_rc rc = tap_writer_run(w, bring_in, r, err);

	if (rc == TAP_E_DATA || rc == TAP_E_LIMIT) { /* what the parser process says is nonsense */
		r->reason[0] = '\0';
		fail(r, "unreadable", err->msg);
		*err = (struct tap_err){0};
		rc = tap_writer_run(w, count_failed, r, err);
	}
	if (rc == TAP_OK)
		tell(r);
	return rc;
}

/* ---- the thread ---- */

/* Lets new mail go first, but not for ever. */
static void give_way(struct tap_worker *w)
{
	const struct timespec nap = {.tv_nsec = 5000000};
	int64_t end = tap_clock_mono_ms() + BUSY_MS;

	while ((tap_names_waiting(w->names) > 0 || atomic_load(&w->busy) > 0) && !ends(w) &&
	       tap_clock_mono_ms() < end)
		(void)nanosleep(&nap, NULL);
}

/* TAP_E_NOTFOUND: there is no other. */
static enum tap_rc one_message(struct tap_worker *w, const struct tap_store_reprocess *job,
			       struct tap_err *err)
{
	struct round r = {.job = job};
	enum tap_rc rc = tap_store_reprocess_next(w->again->reader, job, &r.kept, err);

	if (rc != TAP_OK)
		return rc;
	r.staged = calloc(r.kept.n_payload + 1, sizeof(struct tap_staged *));
	if (r.staged == NULL)
		rc = tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (size_t i = 0; rc == TAP_OK && i < r.kept.n_payload; i++)
		rc = ends(w) ? TAP_E_CANCELLED : one_payload(w, &r, i, err);
	if (rc == TAP_OK)
		rc = ends(w) ? TAP_E_CANCELLED : store(w, &r, err);
	for (size_t i = 0; r.staged != NULL && i < r.kept.n_payload; i++)
		tap_staged_free(&r.staged[i]);
	free(r.staged);
	tap_store_kept_free(&r.kept);
	return rc;
}

static void tell_end(const struct tap_store_reprocess *job)
{
	tap_info("worker",
		 "reprocess has ended: %" PRIu64 " messages, %" PRIu64 " reports changed, %" PRIu64
		 " added, %" PRIu64 " messages failed",
		 job->done, job->changed, job->added, job->failed);
}

/* A step of the request that goes on. TAP_E_NOTFOUND: none does. */
static enum tap_rc go_on(struct tap_worker *w, struct tap_err *err)
{
	struct tap_again *a = w->again;
	struct tap_store_reprocess job;
	enum tap_rc rc = TAP_OK;

	if (a->reader == NULL)
		rc = tap_store_open_reader(w->store_set.path, &a->reader, err);
	if (rc == TAP_E_NOTFOUND)
		return TAP_E_TEMP;
	if (rc == TAP_OK)
		rc = tap_store_reprocess_get(a->reader, &job, err);
	if (rc == TAP_OK && job.ended != 0)
		return TAP_E_NOTFOUND;
	if (rc != TAP_OK)
		return rc;
	give_way(w);
	rc = one_message(w, &job, err);
	if (rc != TAP_E_NOTFOUND)
		return rc;
	rc = ends(w) ? TAP_E_CANCELLED : tap_writer_run(w, finish, &job, err);
	if (rc == TAP_OK)
		tell_end(&job);
	return rc;
}

/* Until somebody asks, the end comes, or the time is up. */
static void rest(struct tap_worker *w, int64_t ms)
{
	struct tap_again *a = w->again;
	struct timespec ts;
	int e = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	(void)pthread_mutex_lock(&a->lock);
	while (!a->work && !ends(w) && e == 0)
		e = pthread_cond_timedwait(&a->asked, &a->lock, &ts);
	a->work = false;
	(void)pthread_mutex_unlock(&a->lock);
}

static void *thread_main(void *arg)
{
	struct tap_worker *w = arg;
	int64_t pause = FIRST_PAUSE_MS;

	while (!ends(w)) {
		struct tap_err err = {0};
		enum tap_rc rc = go_on(w, &err);

		if (rc == TAP_OK) {
			pause = FIRST_PAUSE_MS;
			continue;
		}
		if (rc == TAP_E_NOTFOUND) {
			rest(w, IDLE_MS);
			continue;
		}
		if (rc != TAP_E_CANCELLED && !ends(w)) {
			(void)tap_err_prefix(&err, "reprocess waits: ");
			tap_log_err(TAP_LOG_WARNING, "worker", &err);
		}
		rest(w, pause);
		pause = pause * 2 < MOST_PAUSE_MS ? pause * 2 : MOST_PAUSE_MS;
	}
	return NULL;
}

void tap_reprocess_wake(struct tap_worker *w)
{
	struct tap_again *a = w->again;

	if (a == NULL)
		return;
	(void)pthread_mutex_lock(&a->lock);
	a->work = true;
	(void)pthread_cond_broadcast(&a->asked);
	(void)pthread_mutex_unlock(&a->lock);
}

enum tap_rc tap_reprocess_thread_start(struct tap_worker *w, struct tap_err *err)
{
	struct tap_again *a = calloc(1, sizeof(*a));
	pthread_condattr_t attr;
	int e;

	if (a == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	(void)pthread_mutex_init(&a->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&a->asked, &attr);
	(void)pthread_condattr_destroy(&attr);
	w->again = a;
	e = pthread_create(&a->thread, NULL, thread_main, w);
	if (e == 0)
		return TAP_OK;
	w->again = NULL;
	free(a);
	return tap_err_sys(err, TAP_E_TEMP, e, "start a thread");
}

void tap_reprocess_thread_stop(struct tap_worker *w)
{
	const struct timespec nap = {.tv_nsec = 2000000};
	/* A reload has no hurry: ending with a thread left over would be a restart. */
	int64_t end = tap_clock_mono_ms() + (w->reload ? w->parser.deadline_ms : w->set.drain_ms);
	struct tap_again *a = w->again;
	int e;

	if (a == NULL)
		return;
	tap_reprocess_wake(w);
	while ((e = pthread_tryjoin_np(a->thread, NULL)) == EBUSY && tap_clock_mono_ms() < end)
		(void)nanosleep(&nap, NULL);
	if (e != 0) {
		w->abandoned = true;
		return;
	}
	tap_store_close_reader(&a->reader);
	(void)pthread_cond_destroy(&a->asked);
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
	w->again = NULL;
}
