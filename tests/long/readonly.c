/* SPDX-License-Identifier: Apache-2.0
 * tests/long/readonly.c - preloaded: a file system that the kernel makes read-only under the programs, as it does when its disk fails, and
 * that an operator makes writable again. (mount(8) refuses while files are open for writing, and the worker's lock always is.)
 * TAP_READONLY: a file with two numbers of 8 bytes, mapped at start: the device; and whether it is read-only now. Every call that
 * would change something there then fails with EROFS, through descriptors that were open before, too. Threads: safe. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	uint64_t device;
	_Atomic uint64_t readonly;
} * page;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("TAP_READONLY");
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	if (fd >= 0)
		(void)syscall(SYS_close, fd);
	if (p != MAP_FAILED)
		page = p;
}

static bool on(void)
{
	return page && atomic_load(&page->readonly) != 0;
}

static bool refused_fd(int fd)
{
	int saved = errno;
	struct stat st;
	bool yes = on() && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
		   st.st_dev == page->device;

	errno = yes ? EROFS : saved;
	return yes;
}

/* The folder that path lies in is asked: path itself may not be there. */
static bool refused(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	int saved = errno;
	char dir[4096];
	struct stat st;
	bool yes;

	if (!on())
		return false;
	if (!slash && dirfd != AT_FDCWD)
		return refused_fd(dirfd);
	memcpy(dir, ".", 2);
	if (slash && (size_t)(slash - path) < sizeof(dir) - 1) {
		memcpy(dir, path, (size_t)(slash - path) + 1);
		dir[slash - path + 1] = '\0';
	}
	yes = fstatat(dirfd, dir, &st, 0) == 0 && st.st_dev == page->device;
	errno = yes ? EROFS : saved;
	return yes;
}

static int open_it(int dirfd, const char *path, int flags, mode_t mode)
{
	struct stat st;
	bool there = on() && fstatat(dirfd, path, &st, 0) == 0;
	bool changes =
	    (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) || ((flags & O_CREAT) && !there);

	/* What is there already and may not be made anew is told first, as the kernel does. */
	if (changes && !(there && (flags & O_CREAT) && (flags & O_EXCL)) && refused(dirfd, path))
		return -1;
	return (int)syscall(SYS_openat, dirfd, path, flags, mode);
}

static mode_t mode_of(int flags, va_list ap)
{
	return (flags & (O_CREAT | O_TMPFILE)) ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		va_list ap;                                                                        \
		va_start(ap, flags);                                                               \
		mode_t mode = mode_of(flags, ap);                                                  \
		va_end(ap);                                                                        \
		return open_it(AT_FDCWD, path, flags, mode);                                       \
	}
#define OPENAT(name)                                                                               \
	int name(int dirfd, const char *path, int flags, ...)                                      \
	{                                                                                          \
		va_list ap;                                                                        \
		va_start(ap, flags);                                                               \
		mode_t mode = mode_of(flags, ap);                                                  \
		va_end(ap);                                                                        \
		return open_it(dirfd, path, flags, mode);                                          \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	if (refused(from_dir, from) || refused(to_dir, to))
		return -1;
	return (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
}
int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}
int unlinkat(int dirfd, const char *path, int flags)
{
	struct stat st;

	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && refused(dirfd, path))
		return -1;
	return (int)syscall(SYS_unlinkat, dirfd, path, flags);
}
int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}
int mkdirat(int dirfd, const char *path, mode_t mode)
{
	struct stat st;

	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) != 0 && refused(dirfd, path))
		return -1;
	return (int)syscall(SYS_mkdirat, dirfd, path, mode);
}
int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

ssize_t write(int fd, const void *p, size_t n)
{
	return refused_fd(fd) ? -1 : syscall(SYS_write, fd, p, n);
}
ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	return refused_fd(fd) ? -1 : syscall(SYS_pwrite64, fd, p, n, off);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off)
{
	return refused_fd(fd) ? -1 : syscall(SYS_pwrite64, fd, p, n, off);
}
int ftruncate(int fd, off_t size)
{
	return refused_fd(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size)
{
	return refused_fd(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}
