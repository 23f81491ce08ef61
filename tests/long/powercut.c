/* SPDX-License-Identifier: Apache-2.0
 * tests/long/powercut.c - records, in one total order over all processes that it is preloaded into, every call that changes files, with the
 * bytes that were written, and every call that makes changes durable. powercut.py replays what a power cut would have left.
 * TAP_POWERCUT_LOG: the log, appended to. TAP_POWERCUT_LOCK: a file of a page of zeros that holds the lock.
 * Both are opened when the process starts, before it gives up rights. Files are told by inode, names by the inode of their directory.
 * A change is made and recorded under the lock. A sync is recorded where it begins and where it ends, and runs outside the lock: it covers
 * what was done before it began, and nothing else may be relied on.
 * Memory maps are not seen: the only one written to is SQLite's -shm, which is rebuilt from the log after a crash.
 * TAP_POWERCUT_IDENTITY, for a start on a replayed tree: lines of "INODE OLD-INODE BIRTH"; statx then tells the identity that the file
 * had on the disk whose power was cut, as it would be there.
 * Record: struct record, then name_len bytes, then data_len bytes. Threads: safe. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum what { CREATE = 1, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK, MKDIR, LINK };
struct record {
	uint32_t magic, what;
	uint64_t ino, dir, dir2; /* dir2: where RENAME and LINK lead */
	int64_t
	    off; /* CREATE: time of birth, ns; WRITE: offset; TRUNCATE: size; SYNC_END: offset in the log of its SYNC_BEGIN */
	uint32_t name_len, data_len, name2_at, pid;
};
enum { MAGIC = 0x54415043 };

struct shared {
	_Atomic uint32_t state; /* 0 new, 1 being made, 2 ready */
	pthread_mutex_t lock;
};
static struct shared *shared;
enum { IDENTITIES = 64 };
static struct {
	uint64_t now, then, birth;
} identity[IDENTITIES];
static int identities;
static int log_fd = -1;

static void die(const char *why)
{
	(void)!syscall(SYS_write, 2, why, strlen(why));
	abort();
}

static void read_identities(const char *path)
{
	char text[8192], *p = text;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		die("powercut: no list of identities\n");
	text[n] = '\0';
	(void)syscall(SYS_close, fd);
	for (; *p != '\0' && identities < IDENTITIES; identities++) {
		identity[identities].now = strtoull(p, &p, 10);
		identity[identities].then = strtoull(p, &p, 10);
		identity[identities].birth = strtoull(p, &p, 10);
		p += *p == '\n';
	}
}

__attribute__((constructor)) static void start(void)
{
	const char *log = getenv("TAP_POWERCUT_LOG"), *lock = getenv("TAP_POWERCUT_LOCK");
	uint32_t none = 0;
	int fd;

	if (getenv("TAP_POWERCUT_IDENTITY"))
		read_identities(getenv("TAP_POWERCUT_IDENTITY"));
	if (!log || !lock)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, lock, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("powercut: no lock file\n");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)syscall(SYS_close, fd);
	if (shared == MAP_FAILED)
		die("powercut: cannot map the lock file\n");
	if (atomic_compare_exchange_strong(&shared->state, &none, 1)) {
		pthread_mutexattr_t attr;

		(void)pthread_mutexattr_init(&attr);
		(void)pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
		(void)pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
		(void)pthread_mutex_init(&shared->lock, &attr);
		atomic_store(&shared->state, 2);
	}
	while (atomic_load(&shared->state) != 2)
		(void)usleep(1000);
	fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		die("powercut: no log\n");
	/* Out of the way of programs that close or count what lies low. */
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 700);
	if (log_fd < 0)
		log_fd = fd;
	else
		(void)syscall(SYS_close, fd);
}

static bool lock(void)
{
	if (log_fd < 0)
		return false;
	if (pthread_mutex_lock(&shared->lock) == EOWNERDEAD)
		(void)pthread_mutex_consistent(&shared->lock);
	return true;
}

static void unlock(bool locked)
{
	int saved = errno;

	if (locked)
		(void)pthread_mutex_unlock(&shared->lock);
	errno = saved;
}

/* Under the lock. Gives the offset of the record. */
static int64_t put(struct record *r, const char *name, const char *name2, const void *data,
		   size_t n)
{
	struct iovec v[4] = {
	    {r, sizeof(*r)}, {(void *)name, 0}, {(void *)name2, 0}, {(void *)data, n}};
	int saved = errno;
	off_t end;

	v[1].iov_len = name ? strlen(name) : 0;
	v[2].iov_len = name2 ? strlen(name2) : 0;
	r->magic = MAGIC;
	r->pid = (uint32_t)getpid();
	r->name2_at = (uint32_t)v[1].iov_len;
	r->name_len = (uint32_t)(v[1].iov_len + v[2].iov_len);
	r->data_len = (uint32_t)n;
	end = lseek(log_fd, 0, SEEK_END);
	if (writev(log_fd, v, 4) != (ssize_t)(sizeof(*r) + r->name_len + n))
		die("powercut: cannot write the log\n");
	errno = saved;
	return end;
}

/* The inode of the directory that path lies in, and its last part; 0: unknown. */
static uint64_t parent(int dirfd, const char *path, const char **name_r)
{
	const char *slash = strrchr(path, '/');
	char dir[4096];
	struct stat st;

	*name_r = slash ? slash + 1 : path;
	if (!slash && dirfd != AT_FDCWD)
		return fstat(dirfd, &st) == 0 ? st.st_ino : 0;
	if (!slash) {
		memcpy(dir, ".", 2);
	} else {
		size_t n = slash == path ? 1 : (size_t)(slash - path);

		if (n >= sizeof(dir))
			return 0;
		memcpy(dir, path, n);
		dir[n] = '\0';
	}
	return fstatat(dirfd, dir, &st, 0) == 0 ? st.st_ino : 0;
}

/* ---- names ---- */

static int64_t birth_of(int fd)
{
	struct statx x;

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BTIME, &x) != 0 ||
	    !(x.stx_mask & STATX_BTIME))
		return 0;
	return x.stx_btime.tv_sec * 1000000000 + x.stx_btime.tv_nsec;
}

int statx(int dirfd, const char *restrict path, int flags, unsigned mask, struct statx *restrict x)
{
	int rc = (int)syscall(SYS_statx, dirfd, path, flags, mask, x);

	for (int i = 0; rc == 0 && i < identities; i++) {
		if (x->stx_ino != identity[i].now)
			continue;
		x->stx_ino = identity[i].then;
		x->stx_mask |= STATX_BTIME;
		x->stx_btime.tv_sec = (int64_t)(identity[i].birth / 1000000000);
		x->stx_btime.tv_nsec = (uint32_t)(identity[i].birth % 1000000000);
		break;
	}
	return rc;
}

static int open_it(int dirfd, const char *path, int flags, mode_t mode)
{
	bool creates = (flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE,
	     cuts = flags & O_TRUNC;
	bool locked = (creates || cuts) && lock();
	bool was = true;
	struct stat st;
	int fd;

	if (locked) {
		int saved = errno;
		was = fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
		errno = saved;
	}
	fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
	if (locked && fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		struct record r = {.ino = st.st_ino};
		const char *name;

		if (!was && creates) {
			r.what = CREATE;
			r.off = birth_of(fd);
			r.dir = parent(dirfd, path, &name);
			put(&r, name, NULL, NULL, 0);
		} else if (cuts) {
			r.what = TRUNCATE;
			put(&r, NULL, NULL, NULL, 0);
		}
	}
	unlock(locked);
	return fd;
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
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
int __open_2(const char *path, int flags)
{
	return open_it(AT_FDCWD, path, flags, 0);
}
int __open64_2(const char *path, int flags)
{
	return open_it(AT_FDCWD, path, flags, 0);
}
int __openat_2(int dirfd, const char *path, int flags)
{
	return open_it(dirfd, path, flags, 0);
}
int __openat64_2(int dirfd, const char *path, int flags)
{
	return open_it(dirfd, path, flags, 0);
}

static int two_names(enum what what, int from_dir, const char *from, int to_dir, const char *to,
		     int flags)
{
	bool locked = lock();
	struct record r = {.what = what};
	const char *name = "", *name2 = "";
	int rc;

	if (locked) {
		r.dir = parent(from_dir, from, &name);
		r.dir2 = parent(to_dir, to, &name2);
	}
	rc = what == LINK ? (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags)
	     : flags	  ? (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags)
			  : (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
	if (locked && rc == 0)
		put(&r, name, name2, NULL, 0);
	unlock(locked);
	return rc;
}

int rename(const char *from, const char *to)
{
	return two_names(RENAME, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return two_names(RENAME, from_dir, from, to_dir, to, 0);
}
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return two_names(RENAME, from_dir, from, to_dir, to, (int)flags);
}
int link(const char *from, const char *to)
{
	return two_names(LINK, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return two_names(LINK, from_dir, from, to_dir, to, flags);
}

static int remove_it(int dirfd, const char *path, int flags)
{
	bool locked = lock();
	struct record r = {.what = UNLINK};
	const char *name = "";
	int rc;

	if (locked)
		r.dir = parent(dirfd, path, &name);
	rc = (int)syscall(SYS_unlinkat, dirfd, path, flags);
	if (locked && rc == 0)
		put(&r, name, NULL, NULL, 0);
	unlock(locked);
	return rc;
}
int unlink(const char *path)
{
	return remove_it(AT_FDCWD, path, 0);
}
int unlinkat(int dirfd, const char *path, int flags)
{
	return remove_it(dirfd, path, flags);
}
int rmdir(const char *path)
{
	return remove_it(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
	bool locked = lock();
	struct record r = {.what = MKDIR};
	const char *name = "";
	struct stat st;
	int rc = (int)syscall(SYS_mkdirat, dirfd, path, mode);

	if (locked && rc == 0 && fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		r.ino = st.st_ino;
		r.dir = parent(dirfd, path, &name);
		put(&r, name, NULL, NULL, 0);
	}
	unlock(locked);
	return rc;
}
int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

/* ---- bytes ---- */

static bool regular(int fd, uint64_t *ino_r)
{
	struct stat st;
	int saved = errno;
	bool yes =
	    fd > 2 && log_fd >= 0 && fd != log_fd && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	*ino_r = yes ? st.st_ino : 0;
	errno = saved;
	return yes;
}

static void wrote(uint64_t ino, int64_t off, const void *p, size_t n)
{
	struct record r = {.what = WRITE, .ino = ino, .off = off};

	put(&r, NULL, NULL, p, n);
}

ssize_t write(int fd, const void *p, size_t n)
{
	uint64_t ino;
	bool locked = regular(fd, &ino) && lock();
	ssize_t k = syscall(SYS_write, fd, p, n);

	if (locked && k > 0)
		wrote(ino, lseek(fd, 0, SEEK_CUR) - k, p, (size_t)k);
	unlock(locked);
	return k;
}
static ssize_t write_at(int fd, const void *p, size_t n, off_t off)
{
	uint64_t ino;
	bool locked = regular(fd, &ino) && lock();
	ssize_t k = syscall(SYS_pwrite64, fd, p, n, off);

	if (locked && k > 0)
		wrote(ino, off, p, (size_t)k);
	unlock(locked);
	return k;
}
ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	return write_at(fd, p, n, off);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off)
{
	return write_at(fd, p, n, off);
}
/* For files, a writev is one write after the other here: a shorter one is allowed. */
ssize_t writev(int fd, const struct iovec *v, int n)
{
	uint64_t ino;

	if (!regular(fd, &ino))
		return syscall(SYS_writev, fd, v, n);
	for (int i = 0; i < n; i++)
		if (v[i].iov_len > 0)
			return write(fd, v[i].iov_base, v[i].iov_len);
	return 0;
}
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t off)
{
	for (int i = 0; i < n; i++)
		if (v[i].iov_len > 0)
			return write_at(fd, v[i].iov_base, v[i].iov_len, off);
	return 0;
}

static int set_size(int fd, off_t size)
{
	uint64_t ino;
	bool locked = regular(fd, &ino) && lock();
	int rc = (int)syscall(SYS_ftruncate, fd, size);

	if (locked && rc == 0) {
		struct record r = {.what = TRUNCATE, .ino = ino, .off = size};

		put(&r, NULL, NULL, NULL, 0);
	}
	unlock(locked);
	return rc;
}
int ftruncate(int fd, off_t size)
{
	return set_size(fd, size);
}
int ftruncate64(int fd, off64_t size)
{
	return set_size(fd, size);
}
/* Reserving is left out: nobody may rely on it, and the size that it would set comes with the writes. */
int fallocate(int fd, int mode, off_t off, off_t n)
{
	(void)fd, (void)mode, (void)off, (void)n;
	errno = EOPNOTSUPP;
	return -1;
}
int fallocate64(int fd, int mode, off64_t off, off64_t n)
{
	return fallocate(fd, mode, off, n);
}

/* The log stays open in programs that close all that they did not open themselves. */
int close_range(unsigned first, unsigned last, int flags)
{
	unsigned at = (unsigned)log_fd;

	if (log_fd < 0 || at < first || at > last)
		return (int)syscall(SYS_close_range, first, last, flags);
	if (at > first && syscall(SYS_close_range, first, at - 1, flags) != 0)
		return -1;
	return at < last ? (int)syscall(SYS_close_range, at + 1, last, flags) : 0;
}

/* ---- durability ---- */

static int sync_it(long call, int fd)
{
	struct stat st;
	bool ours =
	    log_fd >= 0 && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
	struct record r = {.what = SYNC_BEGIN, .ino = ours ? st.st_ino : 0};
	int64_t at = 0;
	int rc;

	if (ours && lock()) {
		at = put(&r, NULL, NULL, NULL, 0);
		unlock(true);
	}
	rc = (int)syscall(call, fd);
	if (ours && rc == 0 && lock()) {
		r.what = SYNC_END;
		r.off = at;
		put(&r, NULL, NULL, NULL, 0);
		unlock(true);
	}
	return rc;
}
int fsync(int fd)
{
	return sync_it(SYS_fsync, fd);
}
int fdatasync(int fd)
{
	return sync_it(SYS_fdatasync, fd);
}
/* Promises nothing that lasts. */
int sync_file_range(int fd, off64_t off, off64_t n, unsigned flags)
{
	return (int)syscall(SYS_sync_file_range, fd, off, n, flags);
}
