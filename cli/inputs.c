/* SPDX-License-Identifier: Apache-2.0
 * cli/inputs.c - see inputs.h. */
#include "cli/inputs.h"

#include "base/io.h"
#include "cli/mbox.h"
#include "cli/walk.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 64 * 1024, SNIFF = 4096, MOVED = 3 };
static const uint64_t input_max = 512u * 1024 * 1024;

struct inputs {
	const struct tap_inputs_options *o;
	struct tap_jobs *jobs;
	char *head; /* HEAD bytes: the beginning of a file, or all of it */
};

/* An open input. */
struct input {
	const char *name;
	int fd;
	bool regular; /* it can be read at any offset */
	uint64_t size;
	const char *head; /* bytes that were read already */
	size_t head_len;
	uint64_t at; /* of the next byte to give */
};

/* --- bytes -------------------------------------------------------------------------------------------------------------------- */

static enum tap_rc read_at(int fd, bool regular, uint64_t off, void *p, size_t n, size_t *got_r,
			   struct tap_err *err)
{
	ssize_t got;

	*got_r = 0;
	do {
		if (tap_cli_stopped())
			return tap_err_set(err, TAP_E_CANCELLED, "interrupted");
		got = regular ? pread(fd, p, n, (off_t)off) : read(fd, p, n);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return tap_err_sys(err, TAP_E_DATA, errno, "cannot read");
	*got_r = (size_t)got;
	return TAP_OK;
}

static enum tap_rc input_read(void *ctx, void *p, size_t n, size_t *got_r, struct tap_err *err)
{
	struct input *in = ctx;
	enum tap_rc rc = TAP_OK;

	if (in->at < in->head_len) {
		size_t left = in->head_len - (size_t)in->at;

		*got_r = left < n ? left : n;
		memcpy(p, in->head + in->at, *got_r);
	} else {
		rc = read_at(in->fd, in->regular, in->at, p, n, got_r, err);
	}
	in->at += *got_r;
	return rc;
}

static enum tap_rc input_peek(void *ctx, uint64_t off, void *p, size_t n, size_t *got_r,
			      struct tap_err *err)
{
	const struct input *in = ctx;
	size_t got = 1;
	enum tap_rc rc = TAP_OK;

	*got_r = 0;
	while (*got_r < n && got > 0 && rc == TAP_OK) {
		rc = read_at(in->fd, true, off + *got_r, (char *)p + *got_r, n - *got_r, &got, err);
		*got_r += got;
	}
	return rc;
}

/* The first HEAD bytes, or all when there are fewer. */
static enum tap_rc read_head(struct inputs *s, struct input *in, struct tap_err *err)
{
	size_t got = 1;
	enum tap_rc rc = TAP_OK;

	in->head = s->head;
	while (rc == TAP_OK && in->head_len < HEAD && got > 0) {
		rc = read_at(in->fd, in->regular, in->head_len, s->head + in->head_len,
			     HEAD - in->head_len, &got, err);
		in->head_len += got;
	}
	return rc;
}

/* --- mbox --------------------------------------------------------------------------------------------------------------------- */

static enum tap_rc add_message(struct inputs *s, const struct input *in,
			       const struct tap_mbox_message *m, uint64_t taken,
			       struct tap_err *err)
{
	struct tap_item item = {.name = in->name,
				.number = m->number,
				.offset = m->offset,
				.p = m->p,
				.n = m->n,
				.fd = m->fd,
				.size = m->size};

	return tap_jobs_add(s->jobs, &item, taken, err);
}

static enum tap_rc note_doubt(struct inputs *s, const struct input *in, const struct tap_mbox *m,
			      struct tap_err *err)
{
	struct tap_err what;
	struct tap_item item = {.name = in->name, .fd = -1, .refused = what.msg, .note = true};

	(void)tap_err_set(&what, TAP_OK,
			  "warning: %llu lines look like separators but follow no empty line, and "
			  "are taken for text; the first at byte %llu",
			  (unsigned long long)m->doubtful, (unsigned long long)m->doubtful_at);
	return tap_jobs_add(s->jobs, &item, 0, err);
}

/* *bad_r: an error of the input; what was cut before is handed on. */
static enum tap_rc cut_mbox(struct inputs *s, struct input *in, bool *bad_r, struct tap_err *err)
{
	struct tap_mbox_source src = {
	    .read = input_read, .peek = in->regular ? input_peek : NULL, .ctx = in};
	struct tap_mbox m;
	uint64_t taken = 0;
	bool more = true;
	enum tap_rc rc = tap_mbox_init(&m, &src, s->o->mboxrd, err);

	while (rc == TAP_OK && !tap_cli_stopped()) {
		struct tap_mbox_message out;

		rc = tap_mbox_next(&m, &out, &more, err);
		*bad_r = rc == TAP_E_DATA;
		if (rc != TAP_OK || !more)
			break;
		rc = add_message(s, in, &out, out.taken - taken, err);
		taken = out.taken;
	}
	if (rc == TAP_OK && m.doubtful > 0)
		rc = note_doubt(s, in, &m, err);
	tap_mbox_free(&m);
	return rc;
}

/* --- files -------------------------------------------------------------------------------------------------------------------- */

/* What can be read only once goes to a file without a name. */
static enum tap_rc copy(struct input *in, bool *bad_r, struct tap_err *err)
{
	size_t got = 1;
	int to = -1;
	uint64_t size = 0;
	enum tap_rc rc = tap_io_tmpfile(NULL, &to, err);
	char *p = malloc(HEAD);

	if (p == NULL && rc == TAP_OK)
		rc = tap_err_set(err, TAP_E_TEMP, "out of memory");
	while (rc == TAP_OK) {
		rc = input_read(in, p, HEAD, &got, err);
		if (rc == TAP_OK && size + got > input_max)
			rc = tap_err_set(err, TAP_E_DATA, "larger than %llu bytes",
					 (unsigned long long)input_max);
		*bad_r = rc == TAP_E_DATA;
		if (rc != TAP_OK || got == 0)
			break;
		rc = tap_io_write(to, p, got, NULL, err);
		size += got;
	}
	free(p);
	if (rc != TAP_OK) {
		tap_io_close(&to);
		return rc;
	}
	if (in->fd != STDIN_FILENO)
		tap_io_close(&in->fd);
	in->fd = to;
	in->size = size;
	return TAP_OK;
}

/* A mail, a report, an archive: whatever is no mbox. Takes in->fd when it is handed on. */
static enum tap_rc add_whole(struct inputs *s, struct input *in, bool *bad_r, struct tap_err *err)
{
	struct tap_item item = {.name = in->name, .p = in->head, .n = in->head_len, .fd = -1};
	uint64_t taken = in->head_len;

	if (in->head_len == HEAD) {
		enum tap_rc rc = in->regular ? TAP_OK : copy(in, bad_r, err);

		if (rc != TAP_OK)
			return rc;
		taken = item.size = in->size;
		item.fd = in->fd;
		item.n = 0;
		in->fd = -1;
	} else if (in->regular && in->head_len < in->size) {
		*bad_r = true;
		return tap_err_set(err, TAP_E_DATA, "it became shorter while it was read");
	}
	return tap_jobs_add(s->jobs, &item, taken, err);
}

static enum tap_rc open_path(const char *path, enum tap_walk_kind kind, int *fd_r,
			     struct tap_err *err)
{
	/* What was a regular file a moment ago may be a FIFO now, and must not make us wait. */
	int flags = O_RDONLY | O_NOCTTY | (kind == TAP_WALK_NAMED ? 0 : O_NONBLOCK);
	enum tap_rc rc = tap_io_open(AT_FDCWD, path, flags, 0, fd_r, NULL, NULL);
	int why = errno;

	for (int i = 0; rc == TAP_E_NOTFOUND && kind == TAP_WALK_MAILDIR && i < MOVED; i++) {
		char *now = tap_walk_maildir_find(path);

		if (now == NULL)
			return tap_err_set(err, rc, "it is gone");
		rc = tap_io_open(AT_FDCWD, now, flags, 0, fd_r, NULL, NULL);
		why = errno;
		free(now);
	}
	return rc != TAP_OK ? tap_err_sys(err, rc, why, "cannot open") : TAP_OK;
}

static enum tap_rc open_input(const char *path, enum tap_walk_kind kind, struct input *in,
			      struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;
	struct stat st;

	*in = (struct input){.name = path, .fd = STDIN_FILENO};
	if (strcmp(path, "-") != 0)
		rc = open_path(path, kind, &in->fd, err);
	if (rc != TAP_OK)
		return rc;
	if (fstat(in->fd, &st) != 0)
		return tap_err_sys(err, TAP_E_DATA, errno, "cannot look at it");
	if (S_ISDIR(st.st_mode))
		return tap_err_set(err, TAP_E_DATA, "is a directory");
	/* Files of the kernel say that they are empty; so the size is believed only when it is not 0. */
	in->regular = S_ISREG(st.st_mode) && in->fd != STDIN_FILENO && st.st_size > 0;
	in->size = in->regular ? (uint64_t)st.st_size : 0;
	if (kind != TAP_WALK_NAMED && !S_ISREG(st.st_mode))
		return tap_err_set(err, TAP_E_NOTFOUND, "is no longer a regular file");
	return TAP_OK;
}

static void close_input(struct input *in)
{
	if (in->fd != STDIN_FILENO)
		tap_io_close(&in->fd);
}

static enum tap_rc read_input(struct inputs *s, struct input *in, bool *bad_r, struct tap_err *err)
{
	size_t n;
	enum tap_rc rc = read_head(s, in, err);

	*bad_r = rc == TAP_E_DATA;
	if (rc != TAP_OK)
		return rc;
	n = in->head_len < SNIFF ? in->head_len : SNIFF;
	return tap_mbox_sniff(in->head, n) ? cut_mbox(s, in, bad_r, err)
					   : add_whole(s, in, bad_r, err);
}

static enum tap_rc on_file(void *ctx, const char *path, enum tap_walk_kind kind,
			   struct tap_err *err)
{
	struct inputs *s = ctx;
	struct tap_err why = {0};
	struct input in;
	bool bad = false;
	enum tap_rc rc = tap_cli_stopped() ? TAP_E_CANCELLED : open_input(path, kind, &in, &why);

	if (rc == TAP_E_CANCELLED)
		return tap_err_set(err, rc, "interrupted");
	if (rc == TAP_OK) {
		rc = read_input(s, &in, &bad, &why);
		close_input(&in);
		if (rc != TAP_OK && !bad) {
			*err = why;
			return rc;
		}
	} else {
		close_input(&in);
		/* Another program took it out of the Maildir: that is what such programs do. */
		if (rc == TAP_E_NOTFOUND && kind == TAP_WALK_MAILDIR)
			return TAP_OK;
	}
	return rc == TAP_OK ? TAP_OK : tap_jobs_refuse(s->jobs, path, &why, err);
}

static enum tap_rc on_refuse(void *ctx, const char *path, const struct tap_err *why,
			     struct tap_err *err)
{
	struct inputs *s = ctx;

	return tap_jobs_refuse(s->jobs, path, why, err);
}

enum tap_rc tap_inputs_read(const struct tap_inputs_options *o, struct tap_jobs *j,
			    struct tap_err *err)
{
	struct inputs s = {.o = o, .jobs = j, .head = malloc(HEAD)};
	struct tap_walk_visitor v = {
	    .file = on_file, .refuse = on_refuse, .ctx = &s, .recursive = o->recursive};
	enum tap_rc rc = TAP_OK;

	if (s.head == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (size_t i = 0; i < o->n_argument && rc == TAP_OK; i++)
		rc = tap_walk(o->argument[i], &v, err);
	free(s.head);
	return rc;
}

/* --- how much ----------------------------------------------------------------------------------------------------------------- */

struct total {
	uint64_t bytes;
	bool known;
};

static enum tap_rc count_file(void *ctx, const char *path, enum tap_walk_kind kind,
			      struct tap_err *err)
{
	struct total *t = ctx;
	struct stat st;

	(void)kind;
	(void)err;
	if (tap_cli_stopped())
		return TAP_E_CANCELLED;
	if (strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
		t->known = false;
	else if (stat(path, &st) == 0)
		t->bytes += (uint64_t)st.st_size;
	return TAP_OK;
}

static enum tap_rc count_nothing(void *ctx, const char *path, const struct tap_err *why,
				 struct tap_err *err)
{
	(void)ctx;
	(void)path;
	(void)why;
	(void)err;
	return TAP_OK;
}

uint64_t tap_inputs_total(const struct tap_inputs_options *o)
{
	struct total t = {.known = true};
	struct tap_walk_visitor v = {
	    .file = count_file, .refuse = count_nothing, .ctx = &t, .recursive = o->recursive};
	struct tap_err err;

	for (size_t i = 0; i < o->n_argument && t.known; i++)
		if (tap_walk(o->argument[i], &v, &err) != TAP_OK)
			return 0;
	return t.known ? t.bytes : 0;
}
