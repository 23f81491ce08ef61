/* SPDX-License-Identifier: Apache-2.0
 * intake/spool_writer.c - one message on its way into the spool, and the durability that a door's success stands on [I1].
 * The order is the argument: the header is written last, so that a cut file is no spool file; fsync comes before rename, so that a
 * name never leads to bytes that are not on disk; the directory's fsync comes before success, so that the name is. */
#include "intake/spool.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/sha256.h"
#include "intake/spool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 64 << 10, OPEN_TRIES = 100 };

struct tap_spool_writer {
	struct tap_spool *spool;
	int fd;
	int reader; /* the same file for the parser: opened anew, so that it can neither be written to nor keep our lock */
	char partial[1 + TAP_SPOOL_ID + 1]; /* "." + id */
	uint64_t written;		    /* bytes of the message on their way to disk */
	size_t held;			    /* and in buf */
	struct tap_sha256 hash;
	struct tap_err failed; /* rc TAP_OK: nothing has */
	char buf[BUFFER];
};

/* ---- durability of the directory, shared ---- */

struct tap_sync_wait {
	struct tap_sync_wait *next;
	bool done;
	enum tap_rc rc;
	struct tap_err err;
};

/* Whoever finds nobody at it takes all that wait, syncs once, and tells them. Each was put into the list after its rename, and the
 * fsync begins after the list was taken. */
enum tap_rc tap_spool_sync_dir(struct tap_spool *s, struct tap_err *err)
{
	struct tap_sync_wait me = {.done = false}, *batch, *next;

	pthread_mutex_lock(&s->lock);
	me.next = s->waiting;
	s->waiting = &me;
	while (!me.done) {
		struct tap_err e = {0};
		enum tap_rc rc;

		if (s->syncing) {
			pthread_cond_wait(&s->synced, &s->lock);
			continue;
		}
		s->syncing = true;
		batch = s->waiting;
		s->waiting = NULL;
		pthread_mutex_unlock(&s->lock);
		rc = tap_io_fsync(s->dir, "spool.dirsync", &e);
		pthread_mutex_lock(&s->lock);
		for (; batch; batch = next) {
			next = batch->next;
			batch->rc = rc;
			batch->err = e;
			batch->done = true;
		}
		s->syncing = false;
		pthread_cond_broadcast(&s->synced);
	}
	pthread_mutex_unlock(&s->lock);
	if (me.rc && err)
		*err = me.err;
	return me.rc;
}

/* ---- names ---- */

static void make_id(char out[TAP_SPOOL_ID + 1])
{
	unsigned char b[TAP_SPOOL_ID / 2];
	uint64_t now = (uint64_t)tap_clock_now();

	for (size_t i = 0; i < 5; i++)
		b[i] = (unsigned char)(now >> (8 * (4 - i)));
	/* Never short and never fails for so few bytes once the kernel's pool is ready. */
	if (getrandom(b + 5, sizeof(b) - 5, 0) != (ssize_t)sizeof(b) - 5)
		memset(b + 5, 0, sizeof(b) - 5); /* O_EXCL and the tries below hold */
	tap_hex(b, sizeof(b), out);
}

/* Locks the new file and gives it its mode, whatever our umask: the worker may be another user of the group.
 * *ours_r false: a sweeper took it between its creation and the lock. */
static enum tap_rc lock_partial(int fd, bool *ours_r, struct tap_err *err)
{
	struct stat st;

	while (flock(fd, LOCK_EX) != 0) {
		if (errno != EINTR)
			return tap_err_sys(err, TAP_E_TEMP, errno, "spool: cannot lock");
	}
	if (fstat(fd, &st) != 0)
		return tap_err_sys(err, TAP_E_TEMP, errno, "spool: cannot stat");
	if ((st.st_mode & 07777) != TAP_SPOOL_FILE_MODE && fchmod(fd, TAP_SPOOL_FILE_MODE) != 0)
		return tap_err_sys(err, TAP_E_TEMP, errno, "spool: cannot set the mode");
	*ours_r = st.st_nlink > 0;
	return TAP_OK;
}

static enum tap_rc open_partial(struct tap_spool_writer *w, struct tap_err *err)
{
	struct tap_err e = {0};
	enum tap_rc rc = TAP_OK;

	for (int i = 0; i < OPEN_TRIES; i++) {
		bool ours = false;

		w->partial[0] = '.';
		make_id(w->partial + 1);
		rc = tap_io_open(w->spool->dir, w->partial, O_WRONLY | O_CREAT | O_EXCL,
				 TAP_SPOOL_FILE_MODE, &w->fd, "spool.open", &e);
		if (rc && e.sys_errno == EEXIST)
			continue;
		if (!rc)
			rc = lock_partial(w->fd, &ours, &e);
		if (rc || ours)
			break;
		tap_io_close(&w->fd);
	}
	if (!rc && w->fd < 0)
		return tap_err_set(err, TAP_E_TEMP, "spool: found no free name");
	if (rc && err)
		*err = e;
	return rc;
}

/* ---- writing ---- */

enum tap_rc tap_spool_writer_open(struct tap_spool *s, struct tap_spool_writer **w_r,
				  struct tap_err *err)
{
	struct tap_spool_writer *w;
	enum tap_rc rc = tap_spool_room(s, err);

	*w_r = NULL;
	if (rc)
		return rc;
	w = malloc(sizeof(*w));
	if (!w)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "spool");
	memset(w, 0, offsetof(struct tap_spool_writer, buf));
	w->spool = s;
	w->fd = w->reader = -1;
	tap_sha256_init(&w->hash);
	rc = open_partial(w, err);
	if (rc) {
		tap_spool_writer_abort(&w);
		return rc;
	}
	*w_r = w;
	return TAP_OK;
}

static enum tap_rc keep_failure(struct tap_spool_writer *w, struct tap_err *err)
{
	if (err && err != &w->failed)
		*err = w->failed;
	return w->failed.rc;
}

static enum tap_rc flush(struct tap_spool_writer *w, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	if (w->failed.rc)
		return keep_failure(w, err);
	if (w->held == 0)
		return TAP_OK;
	/* Messages of many buffers must not, together, outgrow spool.max_bytes or eat what spool.min_free reserves. */
	if (w->written > 0)
		rc = tap_spool_more(w->spool, w->written, w->held, &w->failed);
	if (!rc)
		rc = tap_io_pwrite(w->fd, w->buf, w->held, TAP_SPOOL_HEADER + w->written,
				   "spool.write", &w->failed);
	if (rc)
		return keep_failure(w, err);
	w->written += w->held;
	w->held = 0;
	return TAP_OK;
}

enum tap_rc tap_spool_writer_append(struct tap_spool_writer *w, const void *p, size_t n,
				    struct tap_err *err)
{
	const char *s = p;

	if (w->failed.rc)
		return keep_failure(w, err);
	tap_sha256_update(&w->hash, p, n);
	while (n > 0) {
		size_t k = n < sizeof(w->buf) - w->held ? n : sizeof(w->buf) - w->held;

		memcpy(w->buf + w->held, s, k);
		w->held += k;
		s += k;
		n -= k;
		if (w->held == sizeof(w->buf) && flush(w, err) != TAP_OK)
			return w->failed.rc;
	}
	return TAP_OK;
}

enum tap_rc tap_spool_writer_message(struct tap_spool_writer *w, int *fd_r, uint64_t *off_r,
				     uint64_t *len_r, struct tap_err *err)
{
	enum tap_rc rc = flush(w, err);

	if (!rc && w->reader < 0)
		rc = tap_io_open(w->spool->dir, w->partial, O_RDONLY | O_NOFOLLOW, 0, &w->reader,
				 NULL, err);
	*fd_r = w->reader;
	*off_r = TAP_SPOOL_HEADER;
	*len_r = w->written;
	return rc;
}

/* Envelope and header, then the bytes are made durable. The header's absence is what makes the file none until here. */
static enum tap_rc finish_file(struct tap_spool_writer *w, const struct tap_envelope *env,
			       uint64_t *size_r, struct tap_err *err)
{
	unsigned char message[TAP_SHA256_BYTES], header[TAP_SPOOL_HEADER];
	struct tap_sha256 copy = w->hash;
	struct tap_buf b;
	enum tap_rc rc = flush(w, err);

	tap_sha256_final(&copy, message);
	tap_buf_init(&b, TAP_SPOOL_ENVELOPE);
	if (!rc)
		rc = tap_spool_envelope_encode(env, message, &b, err);
	if (!rc)
		rc = tap_io_pwrite(w->fd, b.p, b.len, TAP_SPOOL_HEADER + w->written, "spool.write",
				   err);
	if (!rc) {
		tap_sha256_update(&w->hash, b.p, b.len);
		tap_spool_header_encode(env, w->written, b.len, &w->hash, header);
		rc = tap_io_pwrite(w->fd, header, sizeof(header), 0, "spool.write", err);
	}
	if (!rc)
		rc = tap_io_fsync(w->fd, "spool.fsync", err);
	*size_r = TAP_SPOOL_HEADER + w->written + b.len;
	tap_buf_free(&b);
	return rc;
}

enum tap_rc tap_spool_writer_commit(struct tap_spool_writer **wp, const struct tap_envelope *env,
				    char id_r[TAP_SPOOL_ID + 1], struct tap_err *err)
{
	struct tap_spool_writer *w = *wp;
	struct tap_spool *s = w->spool;
	char name[TAP_SPOOL_NAME];
	uint64_t size;
	enum tap_rc rc;

	memcpy(name, w->partial + 1, TAP_SPOOL_ID);
	memcpy(name + TAP_SPOOL_ID, ".tap", sizeof(".tap"));
	rc = finish_file(w, env, &size, err);
	if (!rc)
		rc = tap_io_rename(s->dir, w->partial, s->dir, name, "spool.rename", err);
	if (rc) {
		tap_spool_writer_abort(wp);
		return rc;
	}
	w->partial[0] = '\0'; /* it has its name: nothing to unlink any more */
	rc = tap_spool_sync_dir(s, err);
	if (rc) {
		/* The sender keeps the mail and will come again: this copy must not stay. Should it stay after all, or was it
		 * taken by the worker already, the key of its reports absorbs the second delivery [I3]. */
		if (tap_io_unlink(s->dir, name, NULL, NULL) != TAP_OK && err)
			(void)tap_err_prefix(err, "%s left behind: ", name);
	} else {
		tap_spool_added(s, size);
		if (id_r) {
			memcpy(id_r, name, TAP_SPOOL_ID);
			id_r[TAP_SPOOL_ID] = '\0';
		}
	}
	tap_spool_writer_abort(wp);
	return rc;
}

void tap_spool_writer_abort(struct tap_spool_writer **wp)
{
	struct tap_spool_writer *w = wp ? *wp : NULL;

	if (!w)
		return;
	/* What cannot be unlinked is swept at the next start. */
	if (w->fd >= 0 && w->partial[0] &&
	    tap_io_unlink(w->spool->dir, w->partial, NULL, NULL) != TAP_OK)
		w->partial[0] = '\0';
	tap_io_close(&w->reader);
	tap_io_close(&w->fd);
	free(w);
	*wp = NULL;
}
