/* SPDX-License-Identifier: Apache-2.0
 * daemon/feeder.c - one thread for each parser process: spool file → verified → parsed → staged. What the system refuses leaves the file
 * where it is, for the next sweep; what is wrong with the file itself becomes its verdict. */
#include "daemon/worker.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "intake/fates.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEADER_PIECE = 16 << 10 };

/* The verdicts of the parser have the names of the fates: one vocabulary for the operator. */
static const enum tap_fate fate_of[TAP_V_N] = {
    [TAP_V_REPORT] = TAP_FATE_REPORT,	    [TAP_V_NOT_A_REPORT] = TAP_FATE_NOT_A_REPORT,
    [TAP_V_BROKEN] = TAP_FATE_BROKEN,	    [TAP_V_UNREADABLE] = TAP_FATE_UNREADABLE,
    [TAP_V_TOO_LARGE] = TAP_FATE_TOO_LARGE, [TAP_V_FEEDBACK] = TAP_FATE_FEEDBACK,
};

static struct tap_staged *staged_new(struct tap_name *name)
{
	struct tap_staged *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->name = name;
	m->tmp_fd = -1;
	tap_buf_init(&m->headers, TAP_STAGE_HEADERS);
	tap_buf_init(&m->recipients, TAP_SPOOL_ENVELOPE);
	tap_buf_init(&m->frames, TAP_STAGE_MEMORY);
	return m;
}

void tap_staged_free(struct tap_staged **mp)
{
	struct tap_staged *m = *mp;

	if (m == NULL)
		return;
	if (m->opened)
		tap_spool_file_close(&m->file);
	tap_buf_free(&m->headers);
	tap_buf_free(&m->recipients);
	tap_buf_free(&m->frames);
	tap_io_close(&m->tmp_fd);
	free(m->before);
	free(m);
	*mp = NULL;
}

static void drop_frames(struct tap_staged *m)
{
	tap_buf_free(&m->frames);
	tap_io_close(&m->tmp_fd);
	m->tmp_len = 0;
}

static enum tap_rc to_file(struct tap_staged *m, const void *p, size_t n, struct tap_err *err)
{
	enum tap_rc rc = tap_io_pwrite(m->tmp_fd, p, n, m->tmp_len, "feeder.stage", err);

	if (rc == TAP_OK)
		m->tmp_len += n;
	return rc;
}

enum tap_rc tap_staged_add(void *ctx, const void *p, size_t n, struct tap_err *err)
{
	struct tap_staged *m = ctx;
	enum tap_rc rc;

	if (m->tmp_fd >= 0)
		return to_file(m, p, n, err);
	if (m->frames.len + n <= TAP_STAGE_MEMORY) {
		tap_buf_add(&m->frames, p, n);
		return m->frames.failed ? tap_err_set(err, TAP_E_TEMP, "staging: out of memory")
					: TAP_OK;
	}
	rc = tap_io_tmpfile(NULL, &m->tmp_fd, err);
	if (rc == TAP_OK)
		rc = to_file(m, m->frames.p, m->frames.len, err);
	if (rc == TAP_OK)
		rc = to_file(m, p, n, err);
	tap_buf_free(&m->frames);
	return rc;
}

/* Bytes up to and with the first empty line; 0 = it has not come yet. */
static size_t headers_end(const char *p, size_t n, size_t from)
{
	for (size_t i = from; i < n; i++) {
		if (p[i] != '\n')
			continue;
		if (i + 1 < n && p[i + 1] == '\n')
			return i + 1;
		if (i + 2 < n && p[i + 1] == '\r' && p[i + 2] == '\n')
			return i + 1;
	}
	return 0;
}

static enum tap_rc read_headers(struct tap_staged *m, struct tap_err *err)
{
	char piece[HEADER_PIECE];
	uint64_t off = 0, len = m->file.message_len;
	size_t end = 0, from = 0;

	while (off < len && off < TAP_STAGE_HEADERS && end == 0) {
		size_t want = len - off < sizeof(piece) ? (size_t)(len - off) : sizeof(piece),
		       got = 0;
		enum tap_rc rc = tap_spool_file_read(&m->file, m->file.message_off + off, piece,
						     want, &got, err);

		if (rc != TAP_OK)
			return rc;
		if (got == 0)
			break;
		tap_buf_add(&m->headers, piece, got);
		if (off == 0) /* blank lines in front end no header */
			while (from < got && (piece[from] == '\r' || piece[from] == '\n'))
				from++;
		off += got;
		end = headers_end(m->headers.p, m->headers.len, from);
		from = m->headers.len > 2 ? m->headers.len - 2 : 0;
	}
	if (end > 0)
		m->headers.len = end;
	return TAP_OK;
}

static void list_recipients(struct tap_staged *m)
{
	const struct tap_envelope *e = &m->file.envelope;

	for (size_t i = 0; i < e->n_recipients; i++) {
		if (i > 0)
			tap_buf_addc(&m->recipients, '\n');
		tap_buf_adds(&m->recipients, e->recipients[i]);
	}
}

static void condemn(struct tap_staged *m, const char *verdict, const char *why)
{
	(void)snprintf(m->verdict, sizeof(m->verdict), "%s", verdict);
	(void)snprintf(m->reason, sizeof(m->reason), "%s", why);
}

/* One message, at most twice: a parser process that dies on it may have died of something else the first time. */
static enum tap_rc parse(struct tap_worker *w, struct tap_staged *m, struct tap_err *err)
{
	struct tap_pool_job job = {.fd = m->file.fd,
				   .off = m->file.message_off,
				   .len = m->file.message_len,
				   .payload = true,
				   .now = tap_clock_now()};
	struct tap_parse_result res;

	for (int attempt = 0; attempt < 2; attempt++) {
		enum tap_rc rc;

		memset(&res, 0, sizeof(res));
		drop_frames(m);
		rc = tap_pool_frames(w->pool, &job, tap_staged_add, m, &res, err);
		if (rc != TAP_OK)
			return rc;
		if (res.verdict != TAP_V_UNREADABLE)
			break;
	}
	m->reports = res.reports;
	m->broken = res.broken;
	m->has_reports = res.verdict == TAP_V_REPORT || res.verdict == TAP_V_FEEDBACK;
	if (!m->has_reports || res.broken > 0)
		condemn(m, tap_fate_name[m->has_reports ? TAP_FATE_BROKEN : fate_of[res.verdict]],
			res.why);
	if (m->has_reports) {
		enum tap_rc rc = tap_trust_apply(w, m, &res, err);

		if (rc != TAP_OK)
			return rc;
	}
	if (!m->has_reports)
		drop_frames(m);
	return TAP_OK;
}

/* TAP_OK: m is ready for the writer. TAP_E_NOTFOUND: the file is gone. Otherwise the file stays for the next sweep. */
static enum tap_rc prepare(struct tap_worker *w, struct tap_staged *m, struct tap_err *err)
{
	int fault;
	enum tap_rc rc;

	if (m->name->poison) {
		condemn(m, tap_fate_name[TAP_FATE_UNREADABLE],
			"the worker died again and again while it had this message in hand");
		return TAP_OK;
	}
	fault = tap_fault("spool.claim");
	if (fault != 0)
		return tap_err_sys(err, TAP_E_TEMP, fault, "spool: cannot open %s", m->name->name);
	rc = tap_spool_file_open(w->door_fd[m->name->door], m->name->name, &m->file, err);

	if (rc == TAP_E_DATA) {
		condemn(m, "bad spool file", err->msg);
		return TAP_OK;
	}
	if (rc != TAP_OK)
		return rc;
	m->opened = true;
	rc = tap_spool_file_verify(&m->file, err);
	if (rc == TAP_E_DATA) {
		condemn(m, "bad spool file", err->msg);
		rc = TAP_OK;
	} else if (rc == TAP_OK) {
		list_recipients(m);
		rc = read_headers(m, err);
		if (rc == TAP_OK)
			rc = parse(w, m, err);
	}
	/* The envelope stays; descriptors of waiting messages would run out, and so would memory. */
	tap_spool_file_release(&m->file);
	return rc;
}

static void work_on(struct tap_worker *w, struct tap_name *name)
{
	struct tap_staged *m = staged_new(name);
	struct tap_err err = {0};
	enum tap_rc rc;

	if (m == NULL || !tap_spool_id_of(name->name, m->id)) {
		tap_staged_free(&m);
		tap_names_done(w->names, &name);
		return;
	}
	(void)atomic_fetch_add(&w->busy, 1);
	rc = prepare(w, m, &err);
	(void)atomic_fetch_sub(&w->busy,
			       1); /* before the push: the writer asks when it has this message */
	if (rc == TAP_OK) {
		tap_writer_push(w, m);
		return;
	}
	if (rc != TAP_E_NOTFOUND && !atomic_load(&w->stopping)) {
		struct tap_log_field fields[] = {{"file", name->name}, {NULL, NULL}};

		tap_log_fields(TAP_LOG_ERROR, "worker", fields, "stays in the spool for now: %s",
			       err.msg);
	}
	tap_staged_free(&m);
	tap_names_done(w->names, &name);
}

static void *feeder_main(void *arg)
{
	struct tap_worker *w = arg;
	struct tap_name *name;

	while ((name = tap_names_take(w->names)) != NULL)
		work_on(w, name);
	return NULL;
}

enum tap_rc tap_feeders_start(struct tap_worker *w, struct tap_err *err)
{
	w->feeder = calloc((size_t)w->parser.processes, sizeof(*w->feeder));
	if (w->feeder == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (; w->feeders < (size_t)w->parser.processes; w->feeders++) {
		int e = pthread_create(&w->feeder[w->feeders], NULL, feeder_main, w);

		if (e != 0)
			return tap_err_sys(err, TAP_E_TEMP, e, "start a thread");
	}
	return TAP_OK;
}

static bool ended(pthread_t thread, int64_t end)
{
	const struct timespec nap = {.tv_nsec = 2000000};
	int e;

	while ((e = pthread_tryjoin_np(thread, NULL)) == EBUSY && tap_clock_mono_ms() < end)
		(void)nanosleep(&nap, NULL);
	return e == 0;
}

void tap_feeders_stop(struct tap_worker *w)
{
	/* A reload has no hurry: ending with a thread left over would be a restart. */
	int64_t end = tap_clock_mono_ms() + (w->reload ? w->parser.deadline_ms : w->set.drain_ms);

	tap_names_stop(w->names);
	for (size_t i = 0; i < w->feeders; i++)
		if (!ended(w->feeder[i], end))
			w->abandoned = true;
	free(w->feeder);
	w->feeder = NULL;
	w->feeders = 0;
}
