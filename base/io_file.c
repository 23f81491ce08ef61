/* SPDX-License-Identifier: Apache-2.0
 * base/io_file.c - see io.h: whole files, directories, staging files and the process lock. */
#include "base/io.h"

#include "base/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Splits path into the directory's path (dir, PATH_MAX bytes) and its last part. */
static enum tap_rc split(const char *path, char *dir, const char **base_r, struct tap_err *err)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	*base_r = slash ? slash + 1 : path;
	if (n >= PATH_MAX)
		return tap_err_sys(err, TAP_E_CONFIG, ENAMETOOLONG, "cannot use %s", path);
	if (!slash)
		memcpy(dir, ".", 2);
	else if (n == 0)
		memcpy(dir, "/", 2);
	else {
		memcpy(dir, path, n);
		dir[n] = '\0';
	}
	return TAP_OK;
}

static enum tap_rc open_parent(int dirfd, const char *path, const char **base_r, int *fd_r,
			       struct tap_err *err)
{
	char dir[PATH_MAX];
	enum tap_rc rc = split(path, dir, base_r, err);

	*fd_r = -1;
	return rc ? rc : tap_io_open(dirfd, dir, O_RDONLY | O_DIRECTORY, 0, fd_r, NULL, err);
}

/* A new directory has to outlive a crash as what is put into it does. */
static enum tap_rc make_dir(int dirfd, const char *path, mode_t mode, struct tap_err *err)
{
	char plain[PATH_MAX];
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n >= sizeof plain)
		return tap_err_sys(err, TAP_E_CONFIG, ENAMETOOLONG, "cannot create %s", path);
	memcpy(plain, path, n);
	plain[n] = '\0';
	if (mkdirat(dirfd, plain, mode) != 0) {
		if (errno == EEXIST)
			return TAP_OK;
		return tap_err_sys(err, tap_io_class(errno), errno, "cannot create %s", plain);
	}
	if (fchmodat(dirfd, plain, mode, 0) != 0)
		return tap_err_sys(err, tap_io_class(errno), errno, "cannot set the mode of %s",
				   plain);
	const char *base;
	int fd;
	enum tap_rc rc = open_parent(dirfd, plain, &base, &fd, err);
	if (!rc)
		rc = tap_io_fsync(fd, NULL, err);
	tap_io_close(&fd);
	return rc;
}

enum tap_rc tap_io_opendir(int dirfd, const char *path, mode_t mode, int *fd_r, struct tap_err *err)
{
	enum tap_rc rc = tap_io_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, fd_r, NULL, err);

	if (rc != TAP_E_NOTFOUND || mode == 0)
		return rc;
	rc = make_dir(dirfd, path, mode, err);
	return rc ? rc : tap_io_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, fd_r, NULL, err);
}

static enum tap_rc read_rest(int fd, const char *path, struct tap_buf *b, struct tap_err *err)
{
	for (;;) {
		char chunk[16384];
		ssize_t r = read(fd, chunk, sizeof chunk);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return tap_err_sys(err, tap_io_class(errno), errno, "cannot read %s", path);
		if (r == 0)
			return TAP_OK;
		tap_buf_add(b, chunk, (size_t)r);
		if (b->failed)
			return tap_err_set(err, TAP_E_LIMIT, "%s is larger than %zu bytes", path,
					   b->max);
	}
}

enum tap_rc tap_io_read_file(int dirfd, const char *path, struct tap_buf *b, struct tap_err *err)
{
	int fd;

	tap_buf_reset(b);
	enum tap_rc rc = tap_io_open(dirfd, path, O_RDONLY, 0, &fd, NULL, err);
	if (!rc)
		rc = read_rest(fd, path, b, err);
	tap_io_close(&fd);
	return rc;
}

/* A file of an unused hidden name beside base; name holds 64 bytes. */
static enum tap_rc open_temp(int dir, const char *base, mode_t mode, char *name, int *fd_r,
			     struct tap_err *err)
{
	for (int tries = 0;; tries++) {
		uint64_t r;
		if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
			return tap_err_sys(err, TAP_E_TEMP, errno, "no random bytes");
		snprintf(name, 64, ".%.24s.%016" PRIx64, base, r);
		struct tap_err e;
		enum tap_rc rc = tap_io_open(dir, name, O_WRONLY | O_CREAT | O_EXCL, mode, fd_r,
					     "replace.open", &e);
		if (!rc)
			return TAP_OK;
		if (e.sys_errno != EEXIST || tries == 8)
			return tap_err_sys(err, rc, e.sys_errno, "cannot create a file beside %s",
					   base);
	}
}

static enum tap_rc fill_temp(int fd, const void *p, size_t n, mode_t mode, struct tap_err *err)
{
	if (fchmod(fd, mode) != 0)
		return tap_err_sys(err, tap_io_class(errno), errno, "cannot set the mode");
	enum tap_rc rc = tap_io_write(fd, p, n, "replace.write", err);
	return rc ? rc : tap_io_fsync(fd, "replace.fsync", err);
}

enum tap_rc tap_io_replace(int dirfd, const char *path, const void *p, size_t n, mode_t mode,
			   struct tap_err *err)
{
	const char *base = path;
	char name[64];
	int dir = -1, fd = -1;
	/* The directory first: nothing is touched when it could not be made durable. */
	enum tap_rc rc = open_parent(dirfd, path, &base, &dir, err);

	if (rc)
		return rc;
	rc = open_temp(dir, base, mode, name, &fd, err);
	if (rc)
		goto out;
	rc = fill_temp(fd, p, n, mode, err);
	if (rc)
		tap_err_prefix(err, "%s: ", path);
	else
		rc = tap_io_rename(dir, name, dir, base, "replace.rename", err);
	if (rc) {
		unlinkat(dir, name, 0);
		goto out;
	}
	rc = tap_io_fsync(dir, "replace.dirsync", err);
	if (rc)
		tap_err_prefix(err, "directory of %s: ", path);
out:
	tap_io_close(&fd);
	tap_io_close(&dir);
	return rc;
}

/* For file systems without O_TMPFILE: a name that is gone before anything is written. */
static int open_and_unlink(const char *dir)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/dmarctap-XXXXXX", dir) >= (int)sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

enum tap_rc tap_io_tmpfile(const char *dir, int *fd_r, struct tap_err *err)
{
	if (!dir)
		dir = getenv("TMPDIR");
	if (!dir || !*dir)
		dir = "/tmp";
	struct tap_err e;
	if (!tap_io_open(AT_FDCWD, dir, O_TMPFILE | O_RDWR | O_EXCL, 0600, fd_r, "tmpfile.open",
			 &e))
		return TAP_OK;
	int why = e.sys_errno;
	/* EISDIR is what a kernel without O_TMPFILE says, EOPNOTSUPP a file system without it. */
	if (why == EOPNOTSUPP || why == EISDIR || why == EINVAL) {
		*fd_r = open_and_unlink(dir);
		why = errno;
	}
	if (*fd_r >= 0)
		return TAP_OK;
	return tap_err_sys(err, tap_io_class(why), why, "cannot create a temporary file in %s",
			   dir);
}

/* The number that the holder has left in the file, for the operator's eyes only. */
static void say_holder(int fd, const char *path, struct tap_err *err)
{
	char text[24] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	size_t digits = n > 0 ? strspn(text, "0123456789") : 0;

	if (digits > 0)
		tap_err_set(err, TAP_E_TEMP, "%s is locked by another process (%.*s)", path,
			    (int)digits, text);
	else
		tap_err_set(err, TAP_E_TEMP, "%s is locked by another process", path);
}

enum tap_rc tap_io_lock(int dirfd, const char *path, int *fd_r, struct tap_err *err)
{
	int fd;

	*fd_r = -1;
	enum tap_rc rc = tap_io_open(dirfd, path, O_RDWR | O_CREAT, 0600, &fd, NULL, err);
	if (rc)
		return rc;
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(fd, F_OFD_SETLK, &fl) != 0) {
		int e = errno;
		if (e == EAGAIN || e == EACCES)
			say_holder(fd, path, err);
		else
			tap_err_sys(err, TAP_E_TEMP, e, "cannot lock %s", path);
		tap_io_close(&fd);
		return TAP_E_TEMP;
	}
	char text[24];
	int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	/* The lock is what counts; a full disk only loses the note of who has it. */
	if (ftruncate(fd, 0) == 0)
		(void)!pwrite(fd, text, (size_t)n, 0);
	*fd_r = fd;
	return TAP_OK;
}
