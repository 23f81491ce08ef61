/* SPDX-License-Identifier: Apache-2.0
 * cli/stage.c - see stage.h. */
#include "cli/stage.h"

#include "base/io.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/sendfile.h>

enum { CHUNK = 256 * 1024, KEEP = 1024 * 1024 };

void tap_stage_init(struct tap_stage *s, size_t most)
{
	*s = (struct tap_stage){.most = most, .fd = -1};
	tap_buf_init(&s->buf, TAP_STAGE_PIECE);
}

void tap_stage_free(struct tap_stage *s)
{
	tap_buf_free(&s->buf);
	tap_io_close(&s->fd);
	s->spilled = 0;
}

static enum tap_rc spill(struct tap_stage *s, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	if (s->fd < 0)
		rc = tap_io_tmpfile(NULL, &s->fd, err);
	if (rc == TAP_OK)
		rc = tap_io_pwrite(s->fd, s->buf.p, s->buf.len, s->spilled, NULL, err);
	if (rc != TAP_OK)
		return tap_err_prefix(err, "temporary file for a large report: ");
	s->spilled += s->buf.len;
	if (s->buf.cap > KEEP)
		tap_buf_free(&s->buf);
	else
		tap_buf_reset(&s->buf);
	return TAP_OK;
}

enum tap_rc tap_stage_relieve(struct tap_stage *s, struct tap_err *err)
{
	if (s->buf.failed)
		return tap_err_set(err, TAP_E_LIMIT, "one record needs more than %d bytes",
				   TAP_STAGE_PIECE);
	return s->buf.len >= s->most ? spill(s, err) : TAP_OK;
}

enum tap_rc tap_stage_cut(struct tap_stage *s, uint64_t size, struct tap_err *err)
{
	s->buf.failed = false;
	if (size >= s->spilled) {
		s->buf.len = (size_t)(size - s->spilled);
		return TAP_OK;
	}
	s->buf.len = 0;
	s->spilled = size;
	return tap_io_truncate(s->fd, size, NULL, err);
}

/* By read and write: into another stage, and for the descriptors that sendfile refuses. */
static enum tap_rc copy(const struct tap_stage *s, uint64_t from, int fd, struct tap_stage *to,
			struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;
	char *p = malloc(CHUNK);

	if (p == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	while (rc == TAP_OK && from < s->spilled) {
		uint64_t left = s->spilled - from;
		size_t got = left < CHUNK ? (size_t)left : CHUNK;

		rc = tap_stage_read(s, from, p, got, err);
		if (rc == TAP_OK && to != NULL) {
			tap_buf_add(&to->buf, p, got);
			rc = tap_stage_relieve(to, err);
		} else if (rc == TAP_OK) {
			rc = tap_io_write(fd, p, got, NULL, err);
		}
		from += got;
	}
	free(p);
	return rc;
}

static enum tap_rc send_spilled(const struct tap_stage *s, uint64_t from, int fd,
				struct tap_err *err)
{
	off_t off = (off_t)from;

	while ((uint64_t)off < s->spilled) {
		ssize_t n = sendfile(fd, s->fd, &off, (size_t)(s->spilled - (uint64_t)off));
		enum tap_rc rc = TAP_OK;

		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		if (n < 0 && errno == EAGAIN)
			rc = tap_io_wait(fd, POLLOUT, INT64_MAX, err);
		else if (n < 0 && errno != EINVAL && errno != ENOSYS)
			rc = tap_err_sys(err, tap_io_class(errno), errno, "cannot write");
		else
			return copy(s, (uint64_t)off, fd, NULL, err);
		if (rc != TAP_OK)
			return rc;
	}
	return TAP_OK;
}

enum tap_rc tap_stage_write(const struct tap_stage *s, uint64_t from, int fd, struct tap_err *err)
{
	enum tap_rc rc = from < s->spilled ? send_spilled(s, from, fd, err) : TAP_OK;
	size_t at = from > s->spilled ? (size_t)(from - s->spilled) : 0;

	if (rc == TAP_OK && at < s->buf.len)
		rc = tap_io_write(fd, s->buf.p + at, s->buf.len - at, NULL, err);
	return rc;
}

enum tap_rc tap_stage_move(const struct tap_stage *s, uint64_t from, struct tap_stage *to,
			   struct tap_err *err)
{
	enum tap_rc rc = from < s->spilled ? copy(s, from, -1, to, err) : TAP_OK;
	size_t at = from > s->spilled ? (size_t)(from - s->spilled) : 0;

	if (rc != TAP_OK)
		return rc;
	if (at < s->buf.len)
		tap_buf_add(&to->buf, s->buf.p + at, s->buf.len - at);
	return tap_stage_relieve(to, err);
}

enum tap_rc tap_stage_read(const struct tap_stage *s, uint64_t from, void *p, size_t n,
			   struct tap_err *err)
{
	char *to = p;
	size_t got = 0;

	if (from > tap_stage_size(s) || n > tap_stage_size(s) - from)
		return tap_err_set(err, TAP_E_DATA, "the staged bytes end too early");
	if (from < s->spilled) {
		uint64_t there = s->spilled - from;
		size_t want = n < there ? n : (size_t)there;
		enum tap_rc rc = tap_io_pread(s->fd, to, want, from, &got, err);

		if (rc != TAP_OK)
			return rc;
		if (got < want)
			return tap_err_set(err, TAP_E_TEMP, "the temporary file was cut");
		to += got;
		n -= got;
		from += got;
	}
	if (n > 0)
		memcpy(to, s->buf.p + (from - s->spilled), n);
	return TAP_OK;
}
