/* SPDX-License-Identifier: Apache-2.0
 * outputs/file_sink.c - see file_sink.h. */
#include "outputs/file_sink.h"

#include "base/io.h"
#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char component[] = "file";

struct identity {
	uint64_t dev, inode;
	uint64_t birth; /* ns; 0 = the file system does not say */
};
struct tap_file_sink {
	char *path, *dir;
	const char *base; /* within path */
	const char *header;
	size_t header_len;
	int fd;
	struct identity id;
	uint64_t offset; /* confirmed bytes */
	bool dirty;	 /* bytes of ours may stand behind offset */
	bool mid_line;	 /* the confirmed bytes end within a line of ours */
	char start;	 /* every line begins with it, and no rest of one; NUL = not known */
	uint64_t before; /* offset and mid_line before the last append, and mend */
	bool before_mid, before_mend;
	bool mend; /* what somebody else left ends within a line: end it first */
};

static enum tap_rc look(int dirfd, const char *path, int flags, struct identity *id,
			uint64_t *size_r, unsigned *mode_r, struct tap_err *err)
{
	struct statx x;

	if (statx(dirfd, path, flags, STATX_BASIC_STATS | STATX_BTIME, &x) != 0)
		return tap_err_sys(err, tap_io_class(errno), errno, "cannot look at %s",
				   *path != '\0' ? path : "the file");
	id->dev = makedev(x.stx_dev_major, x.stx_dev_minor);
	id->inode = x.stx_ino;
	id->birth = 0;
	if (x.stx_mask & STATX_BTIME)
		id->birth = (uint64_t)x.stx_btime.tv_sec * 1000000000u + x.stx_btime.tv_nsec;
	*size_r = x.stx_size;
	*mode_r = x.stx_mode;
	return TAP_OK;
}

/* A device number may change with the next boot; a birth time does not. */
static bool same(const struct identity *a, const struct identity *b)
{
	if (a->inode != b->inode)
		return false;
	return a->birth != 0 && b->birth != 0 ? a->birth == b->birth : a->dev == b->dev;
}

static bool parse_state(const char *state, struct identity *id, uint64_t *offset_r)
{
	uint64_t v[4] = {0};
	const char *p = state;
	int n = 0;

	if (strncmp(p, "v1 ", 3) != 0)
		return false;
	for (p += 3; n < 4 && *p >= '0' && *p <= '9'; n++) {
		char *stop;

		errno = 0;
		v[n] = strtoull(p, &stop, 10);
		if (errno != 0 || (*stop != ' ' && *stop != '\0'))
			return false;
		p = *stop == ' ' ? stop + 1 : stop;
	}
	*id = (struct identity){.dev = v[0], .inode = v[1], .birth = v[3]};
	*offset_r = v[2];
	return n >= 3 && *p == '\0';
}

void tap_file_sink_state(const struct tap_file_sink *f, char out[TAP_FILE_SINK_STATE])
{
	(void)snprintf(out, TAP_FILE_SINK_STATE, "v1 %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
		       f->id.dev, f->id.inode, f->offset, f->id.birth);
}

/* Does the file end within a line, and if so, is it ours to go on with? */
static enum tap_rc look_for_line(struct tap_file_sink *f, bool ours, struct tap_err *err)
{
	char last = '\n';
	size_t got = 0;
	enum tap_rc rc = TAP_OK;
	bool open;

	if (f->offset > 0)
		rc = tap_io_pread(f->fd, &last, 1, f->offset - 1, &got, err);
	open = rc == TAP_OK && got == 1 && last != '\n';
	f->mid_line = open && ours;
	f->mend = open && !ours;
	return rc;
}

/* The name of a new file has to be durable before bytes in it are confirmed. */
static enum tap_rc sync_dir(struct tap_file_sink *f, struct tap_err *err)
{
	int fd;
	enum tap_rc rc = tap_io_opendir(AT_FDCWD, f->dir, 0, &fd, err);

	if (rc == TAP_OK)
		rc = tap_io_fsync(fd, "file_sink.fsync", err);
	tap_io_close(&fd);
	return rc;
}

static enum tap_rc open_regular(struct tap_file_sink *f, int dirfd, const char *path, int flags,
				uint64_t *size_r, struct tap_err *err)
{
	unsigned mode = 0;
	enum tap_rc rc = tap_io_open(dirfd, path, O_RDWR | O_NONBLOCK | O_NOCTTY | flags, 0640,
				     &f->fd, "file_sink.open", err);

	if (rc != TAP_OK)
		return rc;
	rc = look(f->fd, "", AT_EMPTY_PATH, &f->id, size_r, &mode, err);
	if (rc == TAP_OK && !S_ISREG(mode))
		rc = tap_err_set(err, TAP_E_CONFIG, "%s is not a regular file", f->path);
	if (rc != TAP_OK)
		tap_io_close(&f->fd);
	return rc;
}

/* Goes on at the end of what stands at the path, a new file if there is none. */
static enum tap_rc begin_file(struct tap_file_sink *f, struct tap_err *err)
{
	uint64_t size = 0;
	enum tap_rc rc;

	tap_io_close(&f->fd);
	rc = open_regular(f, AT_FDCWD, f->path, O_CREAT, &size, err);
	if (rc == TAP_OK)
		rc = sync_dir(f, err);
	f->offset = size;
	f->dirty = false;
	return rc == TAP_OK ? look_for_line(f, false, err) : rc;
}

static enum tap_rc cut(struct tap_file_sink *f, struct tap_err *err)
{
	enum tap_rc rc = tap_io_truncate(f->fd, f->offset, "file_sink.truncate", err);

	f->dirty = rc != TAP_OK;
	return rc;
}

/* The file that the state names is open as f->fd: cuts off what a crash left behind the confirmed bytes. */
static enum tap_rc resume(struct tap_file_sink *f, uint64_t offset, uint64_t size,
			  struct tap_err *err)
{
	bool ours = size >= offset;
	enum tap_rc rc = TAP_OK;

	f->offset = offset;
	if (size > offset) {
		tap_info(component, "%s: %" PRIu64 " unconfirmed bytes cut off", f->path,
			 size - offset);
		rc = cut(f, err);
		if (rc == TAP_OK)
			rc = tap_io_fsync(f->fd, "file_sink.fsync", err);
	} else if (size < offset) {
		tap_warn(component,
			 "%s: was shortened from %" PRIu64 " to %" PRIu64 " bytes by somebody else",
			 f->path, offset, size);
		f->offset = size;
	}
	return rc == TAP_OK ? look_for_line(f, ours, err) : rc;
}

/* Looks for the rotated file in the directory of the path. Found: open as f->fd. TAP_E_NOTFOUND: it is gone. */
static enum tap_rc find_rotated(struct tap_file_sink *f, const struct identity *want,
				uint64_t *size_r, struct tap_err *err)
{
	DIR *d = opendir(f->dir);
	struct dirent *e;
	enum tap_rc rc = TAP_E_NOTFOUND;

	if (d == NULL)
		return tap_err_sys(err, tap_io_class(errno), errno, "cannot read %s", f->dir);
	/* cppcheck-suppress readdirCalled ; glibc: safe on a stream of its own */
	while (rc == TAP_E_NOTFOUND && (e = readdir(d)) != NULL) {
		struct identity id = {0};
		unsigned mode = 0;

		if (look(dirfd(d), e->d_name, AT_SYMLINK_NOFOLLOW, &id, size_r, &mode, NULL) !=
			TAP_OK ||
		    !same(&id, want) || !S_ISREG(mode))
			continue;
		rc = open_regular(f, dirfd(d), e->d_name, O_NOFOLLOW, size_r, err);
		if (rc == TAP_OK && !same(&f->id, want)) {
			tap_io_close(&f->fd);
			rc = TAP_E_NOTFOUND;
		}
	}
	(void)closedir(d);
	return rc;
}

static enum tap_rc open_known(struct tap_file_sink *f, const struct identity *want, uint64_t offset,
			      struct tap_err *err)
{
	struct identity id = {0};
	uint64_t size = 0;
	unsigned mode = 0;
	enum tap_rc rc = look(AT_FDCWD, f->path, 0, &id, &size, &mode, err);

	if (rc != TAP_OK && rc != TAP_E_NOTFOUND)
		return rc;
	if (rc == TAP_OK && same(&id, want))
		rc = open_regular(f, AT_FDCWD, f->path, 0, &size, err);
	else
		rc = find_rotated(f, want, &size, err);
	if (rc == TAP_E_NOTFOUND) {
		tap_warn(component, "%s: the file written last is gone, beginning a new one",
			 f->path);
		return begin_file(f, err);
	}
	/* If it was rotated away, the next batch notices. */
	return rc == TAP_OK ? resume(f, offset, size, err) : rc;
}

static enum tap_rc set_paths(struct tap_file_sink *f, const char *path, struct tap_err *err)
{
	const char *slash;

	f->path = strdup(path);
	if (f->path == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	slash = strrchr(f->path, '/');
	f->base = slash != NULL ? slash + 1 : f->path;
	if (slash == NULL)
		f->dir = strdup(".");
	else if (slash == f->path)
		f->dir = strdup("/");
	else
		f->dir = strndup(f->path, (size_t)(slash - f->path));
	if (f->dir == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	if (*f->base == '\0')
		return tap_err_set(err, TAP_E_CONFIG, "%s names a directory, not a file", path);
	return TAP_OK;
}

enum tap_rc tap_file_sink_open(const char *path, const char *header, size_t header_len,
			       const char *state, char *state_r, struct tap_file_sink **f_r,
			       struct tap_err *err)
{
	struct tap_file_sink *f = calloc(1, sizeof *f);
	struct identity want;
	uint64_t offset = 0;
	enum tap_rc rc;

	*f_r = NULL;
	if (f == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	f->fd = -1;
	f->header = header;
	f->header_len = header != NULL ? header_len : 0;
	rc = set_paths(f, path, err);
	if (rc == TAP_OK && *state == '\0')
		rc = begin_file(f, err);
	else if (rc == TAP_OK && parse_state(state, &want, &offset))
		rc = open_known(f, &want, offset, err);
	else if (rc == TAP_OK)
		rc = tap_err_set(
		    err, TAP_E_CONFIG,
		    "%s: cannot read the stored state \"%s\" (written by a newer version?)", path,
		    state);
	if (rc != TAP_OK) {
		tap_file_sink_close(&f);
		return rc;
	}
	tap_file_sink_state(f, state_r);
	*f_r = f;
	return TAP_OK;
}

/* The open line will not be finished: back to where it began. */
static enum tap_rc give_up_line(struct tap_file_sink *f, struct tap_err *err)
{
	char piece[4096];
	uint64_t at = f->offset, was;
	const char *end = NULL;
	enum tap_rc rc = TAP_OK;

	while (rc == TAP_OK && at > 0 && end == NULL) {
		size_t want = at < sizeof piece ? (size_t)at : sizeof piece, got = 0;

		rc = tap_io_pread(f->fd, piece, want, at - want, &got, err);
		if (rc == TAP_OK && got != want)
			rc = tap_err_set(err, TAP_E_TEMP, "the file became shorter");
		end = rc == TAP_OK ? memrchr(piece, '\n', want) : NULL;
		at = at - want + (end != NULL ? (size_t)(end - piece) + 1 : 0);
	}
	if (rc != TAP_OK)
		return rc;
	was = f->offset;
	f->offset = at;
	rc = cut(f, err);
	if (rc != TAP_OK) {
		/* All stands as it did: the stored state names the longer file, so nothing may be written before it is stored anew. */
		f->offset = was;
		f->dirty = false;
		return rc;
	}
	tap_info(component, "%s: a line whose report was replaced meanwhile is cut off", f->path);
	f->mid_line = false;
	return TAP_OK;
}

/* Makes sure that the next byte lands at f->offset of the file at the path. *moved_r: file or offset are others than the stored state
 * says, so nothing may be written in this round. next: the byte that will be written. */
static enum tap_rc ready(struct tap_file_sink *f, char next, bool *moved_r, struct tap_err *err)
{
	struct identity id = {0};
	uint64_t size = 0;
	unsigned mode = 0;
	enum tap_rc rc;

	*moved_r = false;
	if (f->dirty && (rc = cut(f, err)) != TAP_OK)
		return rc;
	if (!f->mid_line) {
		rc = look(AT_FDCWD, f->path, 0, &id, &size, &mode, err);
		if (rc != TAP_OK && rc != TAP_E_NOTFOUND)
			return rc;
		if (rc == TAP_E_NOTFOUND || id.inode != f->id.inode || id.dev != f->id.dev) {
			tap_info(component, "%s: rotated, beginning a new file", f->path);
			*moved_r = true;
			return begin_file(f, err);
		}
	}
	rc = look(f->fd, "", AT_EMPTY_PATH, &id, &size, &mode, err);
	if (rc == TAP_OK && size != f->offset) {
		tap_warn(component,
			 "%s: somebody else changed its size from %" PRIu64 " to %" PRIu64, f->path,
			 f->offset, size);
		f->offset = size;
		*moved_r = true;
		return look_for_line(f, false, err);
	}
	if (rc == TAP_OK && f->mid_line && f->start != '\0' && next == f->start) {
		*moved_r = true;
		rc = give_up_line(f, err);
	}
	return rc;
}

static enum tap_rc append(struct tap_file_sink *f, const char *bytes, size_t n, struct tap_err *err)
{
	uint64_t at = f->offset;
	enum tap_rc rc = TAP_OK;

	f->before = f->offset;
	f->before_mid = f->mid_line;
	f->before_mend = f->mend;
	f->dirty = true;
	if (at == 0 && f->header_len > 0) {
		rc = tap_io_pwrite(f->fd, f->header, f->header_len, 0, "file_sink.write", err);
		at = f->header_len;
	}
	if (rc == TAP_OK && f->mend)
		rc = tap_io_pwrite(f->fd, "\n", 1, at++, "file_sink.write", err);
	if (rc == TAP_OK)
		rc = tap_io_pwrite(f->fd, bytes, n, at, "file_sink.write", err);
	if (rc == TAP_OK)
		rc = tap_io_fsync(f->fd, "file_sink.fsync", err);
	if (rc != TAP_OK) {
		(void)cut(f, NULL); /* else it is tried again before the next batch: dirty stays */
		return rc;
	}
	f->dirty = f->mend = false;
	f->offset = at + n;
	f->mid_line = n > 0 ? bytes[n - 1] != '\n' : f->mid_line;
	return TAP_OK;
}

enum tap_rc tap_file_sink_ready(struct tap_file_sink *f, char next, bool *moved_r,
				struct tap_err *err)
{
	enum tap_rc rc = ready(f, next, moved_r, err);

	return rc == TAP_OK ? rc : tap_err_prefix(err, "%s: ", f->path);
}

enum tap_rc tap_file_sink_append(struct tap_file_sink *f, const char *bytes, size_t n,
				 struct tap_err *err)
{
	enum tap_rc rc = append(f, bytes, n, err);

	return rc == TAP_OK ? rc : tap_err_prefix(err, "%s: ", f->path);
}

void tap_file_sink_undo(struct tap_file_sink *f)
{
	f->offset = f->before;
	f->mid_line = f->before_mid;
	f->mend = f->before_mend;
	(void)cut(f, NULL); /* else before the next batch: dirty stays */
}

enum tap_rc tap_file_sink_send(struct tap_file_sink *f, const char *bytes, const size_t *ofs,
			       size_t n, enum tap_item_verdict *verdict, char *state_r,
			       struct tap_err *err)
{
	bool moved = false;
	enum tap_rc rc;

	for (size_t i = 0; i < n; i++)
		verdict[i] = TAP_ITEM_RETRY;
	if (n == 0)
		return TAP_OK;
	rc = ready(f, ofs[n] > ofs[0] ? bytes[ofs[0]] : '\0', &moved, err);
	if (rc == TAP_OK && !moved)
		rc = append(f, bytes + ofs[0], ofs[n] - ofs[0], err);
	if (rc != TAP_OK)
		return tap_err_prefix(err, "%s: ", f->path);
	tap_file_sink_state(f, state_r);
	for (size_t i = 0; i < n && !moved; i++)
		verdict[i] = TAP_ITEM_CONFIRMED;
	return TAP_OK;
}

void tap_file_sink_line_starts(struct tap_file_sink *f, char c)
{
	f->start = c;
}

void tap_file_sink_close(struct tap_file_sink **f)
{
	if (f == NULL || *f == NULL)
		return;
	tap_io_close(&(*f)->fd);
	free((*f)->path);
	free((*f)->dir);
	free(*f);
	*f = NULL;
}
