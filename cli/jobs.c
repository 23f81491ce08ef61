/* SPDX-License-Identifier: Apache-2.0
 * cli/jobs.c - see jobs.h. The batches form a ring, counted by three numbers that only grow: put_out <= taken <= filled, and
 * filled - put_out < size of the ring, so that the batch `filled` is always the finder's own. */
#include "cli/jobs.h"

#include "base/io.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ITEMS = 64, BYTES = 64 * 1024, BYTES_MAX = 4 * 1024 * 1024, KEEP = 256 * 1024, FILES = 256 };

/* Strings and bytes are offsets until the batch is full: the buffers move. */
struct slot {
	struct tap_item item;
	size_t name, bytes, refused;
};
struct batch {
	struct slot slot[ITEMS];
	size_t n;
	struct tap_buf bytes, texts;
	size_t n_file;
	uint64_t in_files; /* bytes */
	uint64_t input;	   /* bytes that it stands for */
	struct tap_encoded out;
	bool done, refused;
};
struct tap_jobs {
	struct tap_jobs_options o;
	struct batch *ring;
	size_t size;
	uint64_t filled, taken, put_out;
	pthread_mutex_t
	    lock; /* guards everything below and the three numbers; the finder alone moves `filled` */
	pthread_cond_t work, room;
	bool closed, putting, failed, refused;
	struct tap_err err;
	uint64_t left_out, no_place;
	pthread_t *thread;
	unsigned n_thread;
	struct tap_item_reader *own; /* of the finder, when there is no thread */
};

static struct batch *at(struct tap_jobs *j, uint64_t number)
{
	return &j->ring[number % j->size];
}

static void close_files(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		tap_io_close(&b->slot[i].item.fd);
	b->n = 0;
}

/* --- one batch ---------------------------------------------------------------------------------------------------------------- */

static enum tap_rc work(struct tap_item_reader *r, struct batch *b, struct tap_err *err)
{
	const char *texts = tap_buf_cstr(&b->texts);
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; i < b->n && rc == TAP_OK && !tap_cli_stopped(); i++) {
		struct slot *s = &b->slot[i];
		bool refused = false;

		s->item.name = texts + s->name;
		if (s->item.refused != NULL)
			s->item.refused = texts + s->refused;
		s->item.p = b->bytes.p != NULL ? b->bytes.p + s->bytes : "";
		rc = tap_item_read(r, &s->item, &b->out, &refused, err);
		tap_io_close(&s->item.fd);
		b->refused |= refused;
	}
	close_files(b);
	return rc == TAP_OK ? tap_item_flush(r, err) : rc;
}

/* Nobody else has the batch, and its turn has come. */
static enum tap_rc put_out(struct tap_jobs *j, struct batch *b, struct tap_err *err)
{
	const struct tap_stage *talk = &b->out.to[TAP_TO_TALK];
	struct tap_err lost;
	enum tap_rc rc = TAP_OK;

	/* A run that is interrupted has nothing to say about where it was. */
	if (!tap_cli_stopped())
		rc = tap_printer_add(j->o.printer, &b->out, err);
	if (rc == TAP_OK && tap_stage_size(talk) > 0) {
		tap_progress_clear(j->o.progress);
		if (tap_stage_write(talk, 0, STDERR_FILENO, &lost) != TAP_OK)
			j->refused = true; /* nobody can be told, but by the exit status */
	}
	tap_progress_add(j->o.progress, b->input, b->out.reports);
	j->refused |= b->refused;
	j->left_out += b->out.left_out;
	j->no_place += b->out.no_place;
	if (rc == TAP_OK)
		rc = tap_encoded_reset(&b->out, err);
	if (b->bytes.cap > KEEP)
		tap_buf_free(&b->bytes);
	tap_buf_reset(&b->bytes);
	tap_buf_reset(&b->texts);
	b->n = b->n_file = 0;
	b->input = b->in_files = 0;
	b->done = b->refused = false;
	return rc;
}

static void fail(struct tap_jobs *j, const struct tap_err *why)
{
	if (!j->failed)
		j->err = *why;
	j->failed = true;
	(void)pthread_cond_broadcast(&j->room);
	(void)pthread_cond_broadcast(&j->work);
}

/* With the lock held: puts out what is ready, unless somebody is at it, who will then see this too. */
static void drain(struct tap_jobs *j)
{
	if (j->putting)
		return;
	j->putting = true;
	while (!j->failed && j->put_out < j->taken && at(j, j->put_out)->done) {
		struct tap_err err = {0};
		enum tap_rc rc;

		(void)pthread_mutex_unlock(&j->lock);
		rc = put_out(j, at(j, j->put_out), &err);
		(void)pthread_mutex_lock(&j->lock);
		if (rc != TAP_OK)
			fail(j, &err);
		j->put_out++;
		(void)pthread_cond_signal(&j->room);
	}
	j->putting = false;
}

static void *worker(void *arg)
{
	struct tap_jobs *j = arg;
	struct tap_item_reader *r = tap_item_reader_new(&j->o.read);
	struct tap_err err = {0};

	(void)pthread_mutex_lock(&j->lock);
	if (r == NULL) {
		(void)tap_err_set(&err, TAP_E_TEMP, "out of memory");
		fail(j, &err);
	}
	while (!j->failed) {
		struct batch *b;
		enum tap_rc rc;

		if (j->taken == j->filled) {
			if (j->closed)
				break;
			(void)pthread_cond_wait(&j->work, &j->lock);
			continue;
		}
		b = at(j, j->taken++);
		(void)pthread_mutex_unlock(&j->lock);
		rc = work(r, b, &err);
		(void)pthread_mutex_lock(&j->lock);
		if (rc != TAP_OK)
			fail(j, &err);
		b->done = true;
		drain(j);
	}
	(void)pthread_mutex_unlock(&j->lock);
	tap_item_reader_free(&r);
	return NULL;
}

/* --- the finder's side -------------------------------------------------------------------------------------------------------- */

static enum tap_rc start_threads(struct tap_jobs *j, struct tap_err *err)
{
	j->thread = calloc(j->o.workers, sizeof *j->thread);
	if (j->thread == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (; j->n_thread < j->o.workers; j->n_thread++) {
		int rc = pthread_create(&j->thread[j->n_thread], NULL, worker, j);

		if (rc != 0)
			return tap_err_sys(err, TAP_E_TEMP, rc, "cannot start a thread");
	}
	return TAP_OK;
}

enum tap_rc tap_jobs_new(const struct tap_jobs_options *o, struct tap_jobs **j_r,
			 struct tap_err *err)
{
	struct tap_jobs *j = calloc(1, sizeof *j);
	enum tap_rc rc = TAP_OK;

	*j_r = NULL;
	if (j == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	j->o = *o;
	j->size = o->workers > 1 ? 2 * (size_t)o->workers + 1 : 1;
	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_cond_init(&j->work, NULL);
	(void)pthread_cond_init(&j->room, NULL);
	j->ring = calloc(j->size, sizeof *j->ring);
	for (size_t i = 0; j->ring != NULL && i < j->size; i++) {
		tap_buf_init(&j->ring[i].bytes, BYTES_MAX);
		tap_buf_init(&j->ring[i].texts, BYTES_MAX);
		tap_encoded_init(&j->ring[i].out);
	}
	if (j->ring == NULL)
		rc = tap_err_set(err, TAP_E_TEMP, "out of memory");
	else if (o->workers > 1)
		rc = start_threads(j, err);
	else if ((j->own = tap_item_reader_new(&o->read)) == NULL)
		rc = tap_err_set(err, TAP_E_TEMP, "out of memory");
	if (rc != TAP_OK)
		tap_jobs_free(&j);
	*j_r = j;
	return rc;
}

static enum tap_rc submit_alone(struct tap_jobs *j, struct tap_err *err)
{
	struct batch *b = at(j, 0);
	enum tap_rc rc = work(j->own, b, err);

	return rc == TAP_OK ? put_out(j, b, err) : rc;
}

/* The batch being filled goes to the workers; waits until there is an empty one. */
static enum tap_rc submit(struct tap_jobs *j, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	if (at(j, j->filled)->n == 0)
		return TAP_OK;
	if (j->own != NULL)
		return submit_alone(j, err);
	(void)pthread_mutex_lock(&j->lock);
	j->filled++;
	(void)pthread_cond_signal(&j->work);
	while (!j->failed && j->filled - j->put_out >= j->size)
		(void)pthread_cond_wait(&j->room, &j->lock);
	if (j->failed) {
		*err = j->err;
		rc = err->rc;
	}
	(void)pthread_mutex_unlock(&j->lock);
	return rc;
}

static size_t add_text(struct tap_buf *b, const char *s)
{
	size_t from = b->len;

	tap_buf_add(b, s, strlen(s) + 1);
	return from;
}

/* A file of its own may be large: it does not wait for others, and others do not wait for it; but when others have to be asked who
 * sent it, small ones ask together. As many as there may be descriptors. */
static bool goes_now(struct tap_jobs *j, struct batch *b, const struct tap_item *item)
{
	if (item->fd < 0)
		return false;
	b->n_file++;
	b->in_files += item->size;
	return j->o.read.sources == NULL || b->in_files >= BYTES || b->n_file >= FILES / j->size;
}

enum tap_rc tap_jobs_add(struct tap_jobs *j, const struct tap_item *item, uint64_t taken,
			 struct tap_err *err)
{
	struct batch *b = at(j, j->filled);
	struct slot *s;

	if (b->n > 0 && b->bytes.len + item->n > BYTES) {
		enum tap_rc rc = submit(j, err);

		if (rc != TAP_OK) {
			int fd = item->fd;

			tap_io_close(&fd);
			return rc;
		}
		b = at(j, j->filled);
	}
	s = &b->slot[b->n++];
	s->item = *item;
	/* Most items of a batch are of one mbox. */
	if (s > b->slot && strcmp(b->texts.p + s[-1].name, item->name) == 0)
		s->name = s[-1].name;
	else
		s->name = add_text(&b->texts, item->name);
	if (item->refused != NULL)
		s->refused = add_text(&b->texts, item->refused);
	s->bytes = b->bytes.len;
	tap_buf_add(&b->bytes, item->p, item->fd < 0 ? item->n : 0);
	b->input += taken;
	if (b->bytes.failed || b->texts.failed)
		return tap_err_set(err, TAP_E_LIMIT, "%.100s: too large to be kept", item->name);
	return goes_now(j, b, item) || b->n == ITEMS || b->bytes.len >= BYTES ? submit(j, err)
									      : TAP_OK;
}

enum tap_rc tap_jobs_refuse(struct tap_jobs *j, const char *name, const struct tap_err *why,
			    struct tap_err *err)
{
	struct tap_item item = {.name = name, .fd = -1, .refused = why->msg};

	return tap_jobs_add(j, &item, 0, err);
}

static void join(struct tap_jobs *j)
{
	(void)pthread_mutex_lock(&j->lock);
	j->closed = true;
	(void)pthread_cond_broadcast(&j->work);
	(void)pthread_mutex_unlock(&j->lock);
	for (unsigned i = 0; i < j->n_thread; i++)
		(void)pthread_join(j->thread[i], NULL);
	j->n_thread = 0;
}

enum tap_rc tap_jobs_finish(struct tap_jobs *j, bool *refused_r, struct tap_err *err)
{
	enum tap_rc rc = submit(j, err);

	join(j);
	if (rc == TAP_OK && j->failed) {
		*err = j->err;
		rc = err->rc;
	}
	*refused_r = j->refused;
	return rc;
}

uint64_t tap_jobs_left_out(const struct tap_jobs *j)
{
	return j->left_out;
}

uint64_t tap_jobs_no_place(const struct tap_jobs *j)
{
	return j->no_place;
}

void tap_jobs_free(struct tap_jobs **jobs)
{
	struct tap_jobs *j = jobs != NULL ? *jobs : NULL;
	struct tap_err none = {0};

	if (j == NULL)
		return;
	(void)pthread_mutex_lock(&j->lock);
	if (!j->closed)
		fail(j, &none); /* given up: what waits is not read any more */
	(void)pthread_mutex_unlock(&j->lock);
	join(j);
	for (size_t i = 0; j->ring != NULL && i < j->size; i++) {
		close_files(&j->ring[i]);
		tap_buf_free(&j->ring[i].bytes);
		tap_buf_free(&j->ring[i].texts);
		tap_encoded_free(&j->ring[i].out);
	}
	(void)pthread_cond_destroy(&j->room);
	(void)pthread_cond_destroy(&j->work);
	(void)pthread_mutex_destroy(&j->lock);
	tap_item_reader_free(&j->own);
	free(j->ring);
	free(j->thread);
	free(j);
	*jobs = NULL;
}
