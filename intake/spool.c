/* SPDX-License-Identifier: Apache-2.0
 * intake/spool.c - layout and housekeeping of the spool directory. */
#include "intake/spool.h"

#include "base/io.h"
#include "base/log.h"
#include "intake/spool_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const tap_spool_incoming[TAP_DOOR_N] = {
    [TAP_DOOR_MILTER] = "incoming/milter", [TAP_DOOR_LMTP] = "incoming/lmtp",
    [TAP_DOOR_PIPE] = "incoming/pipe",	   [TAP_DOOR_IMAP] = "incoming/imap",
    [TAP_DOOR_IMPORT] = "incoming/import",
};
const char tap_spool_quarantine[] = "quarantine";
const char tap_spool_stop[] = "quarantine-full";

/* ---- layout ---- */

enum tap_rc tap_spool_root(const struct tap_spool_settings *set, int *fd_r, struct tap_err *err)
{
	struct tap_err own;
	enum tap_rc rc;

	if (!err)
		err = &own;
	rc = tap_io_open(AT_FDCWD, set->directory, O_RDONLY | O_DIRECTORY, 0, fd_r, NULL, err);
	if (rc == TAP_E_NOTFOUND)
		return tap_err_set(err, TAP_E_CONFIG, "spool.directory %s does not exist",
				   set->directory);
	if (rc)
		return tap_err_prefix(err, "spool.directory: ");
	return TAP_OK;
}

/* Makes path when it is missing; its mode is set whatever the umask, but an existing one is left as the operator has it. */
static enum tap_rc make_dir(int root, const char *path, struct tap_err *err)
{
	if (mkdirat(root, path, TAP_SPOOL_DIR_MODE) == 0) {
		if (fchmodat(root, path, TAP_SPOOL_DIR_MODE, 0) == 0)
			return TAP_OK;
	} else if (errno == EEXIST) {
		return TAP_OK;
	}
	return tap_err_sys(err, tap_io_class(errno) == TAP_E_TEMP ? TAP_E_TEMP : TAP_E_CONFIG,
			   errno, "spool: cannot make %s", path);
}

/* Names of directories must outlive a power cut as those of the messages in them do [I1]. Always, not only for what was made just
 * now: an earlier start may have been cut off in between. */
static enum tap_rc sync_parents(int root, struct tap_err *err)
{
	int fd = -1;
	enum tap_rc rc = tap_io_fsync(root, NULL, err);

	if (rc)
		return rc;
	/* Where we may not look into it, an operator has made it and what is in it. */
	if (tap_io_open(root, "incoming", O_RDONLY | O_DIRECTORY, 0, &fd, NULL, NULL) != TAP_OK)
		return TAP_OK;
	rc = tap_io_fsync(fd, NULL, err);
	tap_io_close(&fd);
	return rc;
}

enum tap_rc tap_spool_layout(const struct tap_spool_settings *set, struct tap_err *err)
{
	int root = -1;
	enum tap_rc rc = tap_spool_root(set, &root, err);

	if (!rc)
		rc = make_dir(root, "incoming", err);
	for (size_t i = 0; !rc && i < TAP_DOOR_N; i++)
		rc = make_dir(root, tap_spool_incoming[i], err);
	if (!rc)
		rc = make_dir(root, tap_spool_quarantine, err);
	if (!rc)
		rc = sync_parents(root, err);
	tap_io_close(&root);
	return rc;
}

enum tap_rc tap_spool_each(int dirfd, enum tap_rc (*fn)(void *, const char *, struct tap_err *),
			   void *ctx, struct tap_err *err)
{
	int fd = -1;
	struct dirent *e;
	DIR *d;
	/* A descriptor of its own, so that several may read the directory at once. */
	enum tap_rc rc = tap_io_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, &fd, NULL, err);

	if (rc)
		return rc;
	d = fdopendir(fd);
	if (!d) {
		rc = tap_err_sys(err, tap_io_class(errno), errno, "spool: cannot list");
		tap_io_close(&fd);
		return rc;
	}
	while (!rc) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			if (errno)
				rc = tap_err_sys(err, tap_io_class(errno), errno,
						 "spool: cannot list");
			break;
		}
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = fn(ctx, e->d_name, err);
	}
	closedir(d);
	return rc;
}

struct scan {
	enum tap_rc (*fn)(void *, const char *, enum tap_spool_entry, struct tap_err *);
	void *ctx;
};

static enum tap_rc scan_entry(void *ctx, const char *name, struct tap_err *err)
{
	const struct scan *s = ctx;
	enum tap_spool_entry what = tap_spool_entry_of(name);

	return what == TAP_SPOOL_PARTIAL ? TAP_OK : s->fn(s->ctx, name, what, err);
}

enum tap_rc tap_spool_scan(int dirfd,
			   enum tap_rc (*fn)(void *ctx, const char *name, enum tap_spool_entry what,
					     struct tap_err *err),
			   void *ctx, struct tap_err *err)
{
	struct scan s = {fn, ctx};

	return tap_spool_each(dirfd, scan_entry, &s, err);
}

struct sweep {
	int dirfd;
	unsigned swept;
};

/* A writer holds its lock until the file has its name, so a partial file that can be locked has no writer. The writer looks, once it
 * has the lock, whether we were faster (lock_partial in spool_writer.c). */
static enum tap_rc sweep_entry(void *ctx, const char *name, struct tap_err *err)
{
	struct sweep *s = ctx;
	int fd = -1;
	enum tap_rc rc;

	if (name[0] != '.' || strlen(name) != 1 + TAP_SPOOL_ID ||
	    strspn(name + 1, "0123456789abcdef") != TAP_SPOOL_ID)
		return TAP_OK;
	rc = tap_io_open(s->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, NULL, NULL);
	if (rc)
		return TAP_OK; /* gone by now, or another user's */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		rc = tap_io_unlink(s->dirfd, name, NULL, err);
		s->swept += rc == TAP_OK;
	}
	tap_io_close(&fd);
	return rc;
}

enum tap_rc tap_spool_sweep(int dirfd, unsigned *swept_r, struct tap_err *err)
{
	struct sweep s = {dirfd, 0};
	enum tap_rc rc = tap_spool_each(dirfd, sweep_entry, &s, err);

	if (swept_r)
		*swept_r = s.swept;
	return rc;
}

/* ---- opening ---- */

/* Can a file be made, listed and made durable here? Better found out at start than with the first report. */
static enum tap_rc try_dir(int dir, const char *path, struct tap_err *err)
{
	static const char name[] = ".try";
	int fd = -1;
	/* One of an earlier run that was cut off, perhaps as another user, is in the way. */
	enum tap_rc rc = tap_io_unlink(dir, name, NULL, err);

	if (!rc)
		rc = tap_io_open(dir, name, O_WRONLY | O_CREAT | O_EXCL, TAP_SPOOL_FILE_MODE, &fd,
				 NULL, err);
	if (rc && err->sys_errno == EEXIST)
		rc = TAP_OK; /* another door starts at this moment and could make it */
	tap_io_close(&fd);
	if (!rc)
		rc = tap_io_unlink(dir, name, NULL, err);
	if (!rc)
		rc = tap_io_fsync(dir, NULL, err);
	if (rc)
		return tap_err_prefix(err, "spool: %s: ", path);
	return TAP_OK;
}

enum tap_rc tap_spool_open(const struct tap_spool_settings *set, enum tap_door door,
			   struct tap_spool **s_r, struct tap_err *err)
{
	struct tap_spool *s = calloc(1, sizeof(*s));
	const char *path = tap_spool_incoming[door];
	struct tap_err own;
	unsigned swept = 0;
	enum tap_rc rc;

	if (!err)
		err = &own;
	*s_r = NULL;
	if (!s)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "spool");
	s->root = s->dir = -1;
	s->max_bytes = set->max_bytes;
	s->max_files = set->max_files;
	s->min_free = set->min_free;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->synced, NULL);
	rc = tap_spool_root(set, &s->root, err);
	if (!rc)
		rc = make_dir(s->root, "incoming", err);
	if (!rc)
		rc = make_dir(s->root, path, err);
	if (!rc)
		rc = sync_parents(s->root, err);
	if (!rc && (rc = tap_io_open(s->root, path, O_RDONLY | O_DIRECTORY, 0, &s->dir, NULL, err)))
		rc = tap_err_prefix(err, "spool: ");
	if (!rc)
		rc = tap_spool_sweep(s->dir, &swept, err);
	if (!rc)
		rc = try_dir(s->dir, path, err);
	/* A full disk is no reason not to start: mail gets 4xx until there is room. */
	if (rc == TAP_E_TEMP && (err->sys_errno == ENOSPC || err->sys_errno == EDQUOT)) {
		tap_log_err(TAP_LOG_WARNING, "spool", err);
		rc = TAP_OK;
	}
	if (rc) {
		tap_spool_close(&s);
		return rc;
	}
	if (swept)
		tap_info("spool", "removed %u partial files of an earlier run from %s", swept,
			 path);
	*s_r = s;
	return TAP_OK;
}

void tap_spool_close(struct tap_spool **s)
{
	if (!s || !*s)
		return;
	tap_io_close(&(*s)->dir);
	tap_io_close(&(*s)->root);
	pthread_cond_destroy(&(*s)->synced);
	pthread_mutex_destroy(&(*s)->lock);
	free(*s);
	*s = NULL;
}
