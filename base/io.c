/* SPDX-License-Identifier: Apache-2.0
 * base/io.c - see io.h: descriptors. What works on whole files is in io_file.c. */
#include "base/io.h"

#include "base/clock.h"
#include "base/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int passes(const char *point)
{
	return point ? tap_fault(point) : 0;
}

enum tap_rc tap_io_class(int errnum)
{
	switch (errnum) {
	case 0: return TAP_OK;
	case ENOENT: return TAP_E_NOTFOUND;
	case EACCES:
	case EPERM:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case EROFS: return TAP_E_CONFIG;
	default: return TAP_E_TEMP;
	}
}

enum tap_rc tap_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd_r,
			const char *point, struct tap_err *err)
{
	int fault = passes(point), fd = -1;

	*fd_r = -1;
	if (!fault) {
		do {
			fd = openat(dirfd, path, flags | O_CLOEXEC, mode);
		} while (fd < 0 && errno == EINTR);
		fault = fd < 0 ? errno : 0;
	}
	if (fault)
		return tap_err_sys(err, tap_io_class(fault), fault, "cannot open %s", path);
	*fd_r = fd;
	return TAP_OK;
}

/* off < 0: at the descriptor's own place. */
static enum tap_rc write_all(int fd, const char *p, size_t n, off_t off, struct tap_err *err)
{
	while (n > 0) {
		ssize_t put = off < 0 ? write(fd, p, n) : pwrite(fd, p, n, off);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			int e = put < 0 ? errno : EIO;
			return tap_err_sys(err, tap_io_class(e), e, "cannot write");
		}
		p += put;
		n -= (size_t)put;
		if (off >= 0)
			off += put;
	}
	return TAP_OK;
}

/* A disk that fills up takes a part first: a fault point that fails leaves half behind. */
static enum tap_rc write_faulty(int fd, const void *p, size_t n, off_t off, int fault,
				struct tap_err *err)
{
	enum tap_rc rc = write_all(fd, p, n / 2, off, err);

	return rc ? rc : tap_err_sys(err, tap_io_class(fault), fault, "cannot write");
}

enum tap_rc tap_io_write(int fd, const void *p, size_t n, const char *point, struct tap_err *err)
{
	int fault = passes(point);

	return fault ? write_faulty(fd, p, n, -1, fault, err) : write_all(fd, p, n, -1, err);
}

enum tap_rc tap_io_pwrite(int fd, const void *p, size_t n, uint64_t off, const char *point,
			  struct tap_err *err)
{
	if (off > INT64_MAX || n > INT64_MAX - off)
		return tap_err_set(err, TAP_E_LIMIT, "cannot write at offset %" PRIu64, off);
	int fault = passes(point);
	off_t at = (off_t)off;
	return fault ? write_faulty(fd, p, n, at, fault, err) : write_all(fd, p, n, at, err);
}

enum tap_rc tap_io_pread(int fd, void *p, size_t n, uint64_t off, size_t *got_r,
			 struct tap_err *err)
{
	size_t got = 0;

	*got_r = 0;
	if (off > INT64_MAX || n > INT64_MAX - off)
		return tap_err_set(err, TAP_E_LIMIT, "cannot read at offset %" PRIu64, off);
	while (got < n) {
		ssize_t r = pread(fd, (char *)p + got, n - got, (off_t)(off + got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return tap_err_sys(err, tap_io_class(errno), errno, "cannot read");
		if (r == 0)
			break;
		got += (size_t)r;
	}
	*got_r = got;
	return TAP_OK;
}

enum tap_rc tap_io_fsync(int fd, const char *point, struct tap_err *err)
{
	int fault = passes(point);

	if (!fault && fsync(fd) != 0)
		fault = errno;
	return fault ? tap_err_sys(err, tap_io_class(fault), fault, "cannot flush to disk")
		     : TAP_OK;
}

enum tap_rc tap_io_rename(int from_dir, const char *from, int to_dir, const char *to,
			  const char *point, struct tap_err *err)
{
	int fault = passes(point);

	if (!fault && renameat(from_dir, from, to_dir, to) != 0)
		fault = errno;
	return fault ? tap_err_sys(err, tap_io_class(fault), fault, "cannot rename %s to %s", from,
				   to)
		     : TAP_OK;
}

enum tap_rc tap_io_unlink(int dirfd, const char *path, const char *point, struct tap_err *err)
{
	int fault = passes(point);

	if (!fault && unlinkat(dirfd, path, 0) != 0 && errno != ENOENT)
		fault = errno;
	return fault ? tap_err_sys(err, tap_io_class(fault), fault, "cannot remove %s", path)
		     : TAP_OK;
}

enum tap_rc tap_io_truncate(int fd, uint64_t size, const char *point, struct tap_err *err)
{
	int fault = passes(point);

	if (size > INT64_MAX)
		return tap_err_set(err, TAP_E_LIMIT, "cannot set a size of %" PRIu64, size);
	while (!fault && ftruncate(fd, (off_t)size) != 0) {
		if (errno != EINTR)
			fault = errno;
	}
	return fault ? tap_err_sys(err, tap_io_class(fault), fault,
				   "cannot set the size to %" PRIu64, size)
		     : TAP_OK;
}

void tap_io_close(int *fd)
{
	if (!fd || *fd < 0)
		return;
	/* Linux has freed the descriptor even when close says EINTR. */
	int saved = errno;
	close(*fd);
	errno = saved;
	*fd = -1;
}

enum tap_rc tap_io_wait(int fd, short events, int64_t deadline_ms, struct tap_err *err)
{
	for (;;) {
		int64_t left = deadline_ms - tap_clock_mono_ms();
		struct pollfd p = {.fd = fd, .events = events};
		int n = poll(&p, 1, left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0 && (p.revents & POLLNVAL))
			return tap_err_sys(err, TAP_E_TEMP, EBADF, "cannot wait");
		if (n > 0) /* an error or a hang-up shows at the read or write that follows */
			return TAP_OK;
		if (n < 0 && errno != EINTR)
			return tap_err_sys(err, TAP_E_TEMP, errno, "cannot wait");
		if (tap_clock_mono_ms() >= deadline_ms)
			return tap_err_set(err, TAP_E_CANCELLED, "no answer in time");
	}
}

enum tap_rc tap_io_free_space(int fd, uint64_t *bytes_r, uint64_t *inodes_r, struct tap_err *err)
{
	struct statvfs v;
	int r;

	do {
		r = fstatvfs(fd, &v);
	} while (r != 0 && errno == EINTR);
	if (r != 0)
		return tap_err_sys(err, tap_io_class(errno), errno,
				   "cannot ask for the free space");
	*bytes_r = (uint64_t)v.f_bavail * v.f_frsize;
	/* File systems that make inodes as needed (btrfs) count none at all. */
	*inodes_r = v.f_files == 0 ? UINT64_MAX : v.f_favail;
	return TAP_OK;
}
