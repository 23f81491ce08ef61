/* SPDX-License-Identifier: Apache-2.0
 * daemon/finish.c - what is left of a message behind the commit [I2]: its spool file is unlinked, or filed in quarantine.
 * Threads of its own, because both may wait for the disk (an unlink on a file system with `discard` takes milliseconds, but many at once take
 * no longer), and the writer should not. A file that stays is found again by the sweep, and the store knows it. */
#include "daemon/worker.h"

#include "base/io.h"
#include "base/log.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FINISHER_NICE = 10 };

static void finish_file(struct tap_worker *w, const struct tap_staged *m)
{
	bool keep = m->verdict[0] != '\0';
	struct tap_log_field fields[] = {
	    {"id", m->id}, {"verdict", keep ? m->verdict : NULL}, {NULL, NULL}};
	struct tap_err err = {0};
	enum tap_rc rc;

	if (keep)
		rc = tap_quarantine_file(w, m, &err);
	else
		rc = tap_io_unlink(w->door_fd[m->name->door], m->name->name, "spool.unlink", &err);
	if (rc != TAP_OK && rc != TAP_E_NOTFOUND)
		tap_log_fields(TAP_LOG_ERROR, "worker", fields, "stays in the spool for now: %s",
			       err.msg);
	else if (keep)
		tap_log_fields(TAP_LOG_WARNING, "worker", fields, "into quarantine: %s", m->reason);
}

static struct tap_staged *take(struct tap_finisher *f)
{
	struct tap_staged *m;

	(void)pthread_mutex_lock(&f->lock);
	while (f->first == NULL && !f->stop)
		(void)pthread_cond_wait(&f->work, &f->lock);
	m = f->first;
	if (m != NULL)
		f->first = m->next;
	if (f->first == NULL)
		f->last = NULL;
	(void)pthread_mutex_unlock(&f->lock);
	return m;
}

static void *finisher_main(void *arg)
{
	struct tap_worker *w = arg;
	struct tap_staged *m;

	/* On Linux this is the thread's alone. Parsing and storing go first; where it is not allowed nothing is lost by it. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), FINISHER_NICE);
	while ((m = take(&w->finisher)) != NULL) {
		struct tap_name *name = m->name;

		finish_file(w, m);
		tap_staged_free(&m);
		tap_names_done(w->names, &name);
	}
	return NULL;
}

void tap_finisher_push(struct tap_worker *w, struct tap_staged *first, struct tap_staged *last)
{
	struct tap_finisher *f = &w->finisher;

	for (struct tap_staged *m = first; m != NULL; m = m->next) {
		tap_buf_free(
		    &m->frames); /* what is large goes at once, so that what waits here is small */
		tap_buf_free(&m->headers);
		tap_io_close(&m->tmp_fd);
	}
	(void)pthread_mutex_lock(&f->lock);
	if (f->last != NULL)
		f->last->next = first;
	else
		f->first = first;
	f->last = last;
	(void)pthread_cond_broadcast(&f->work);
	(void)pthread_mutex_unlock(&f->lock);
}

enum tap_rc tap_finisher_start(struct tap_worker *w, struct tap_err *err)
{
	struct tap_finisher *f = &w->finisher;

	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->work, NULL);
	for (; f->threads < TAP_FINISHERS; f->threads++) {
		int e = pthread_create(&f->thread[f->threads], NULL, finisher_main, w);

		if (e != 0)
			return tap_err_sys(err, TAP_E_TEMP, e, "start a thread");
	}
	return TAP_OK;
}

void tap_finisher_stop(struct tap_worker *w)
{
	struct tap_finisher *f = &w->finisher;

	if (f->threads == 0)
		return;
	(void)pthread_mutex_lock(&f->lock);
	f->stop = true;
	(void)pthread_cond_broadcast(&f->work);
	(void)pthread_mutex_unlock(&f->lock);
	while (f->threads > 0)
		(void)pthread_join(f->thread[--f->threads], NULL);
}
