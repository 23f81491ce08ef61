/* SPDX-License-Identifier: Apache-2.0 */
#include "base_helper.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/source.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

static void classes(void **state)
{
	static const struct {
		int e;
		enum tap_rc rc;
	} rows[] = {
	    {0, TAP_OK},
	    {ENOSPC, TAP_E_TEMP},
	    {EDQUOT, TAP_E_TEMP},
	    {EIO, TAP_E_TEMP},
	    {EMFILE, TAP_E_TEMP},
	    {ENOENT, TAP_E_NOTFOUND},
	    {EACCES, TAP_E_CONFIG},
	    {EPERM, TAP_E_CONFIG},
	    {ENOTDIR, TAP_E_CONFIG},
	    {EROFS, TAP_E_CONFIG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(tap_io_class(rows[i].e), rows[i].rc);
}

static void reads_and_writes(void **state)
{
	struct tap_err e;
	int fd;
	char got[32] = "";
	size_t n;

	(void)state;
	assert_int_equal(tap_io_open(AT_FDCWD, in_dir("none"), O_RDONLY, 0, &fd, NULL, &e),
			 TAP_E_NOTFOUND);
	assert_int_equal(fd, -1);
	assert_has(e.msg, "none: No such file");
	assert_int_equal(tap_io_open(AT_FDCWD, in_dir("f"), O_RDWR | O_CREAT, 0600, &fd, NULL, &e),
			 TAP_OK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(tap_io_write(fd, "hello ", 6, NULL, &e), TAP_OK);
	assert_int_equal(tap_io_write(fd, "world", 5, NULL, &e), TAP_OK);
	assert_int_equal(tap_io_pwrite(fd, "W", 1, 6, NULL, &e), TAP_OK);
	assert_int_equal(tap_io_fsync(fd, NULL, &e), TAP_OK);
	assert_int_equal(tap_io_pread(fd, got, sizeof got, 0, &n, &e), TAP_OK);
	assert_int_equal(n, 11);
	assert_string_equal(got, "hello World");
	assert_int_equal(tap_io_pread(fd, got, 5, 11, &n, &e), TAP_OK);
	assert_int_equal(n, 0);
	assert_int_equal(tap_io_pread(fd, got, 5, UINT64_MAX, &n, &e), TAP_E_LIMIT);
	assert_int_equal(tap_io_pwrite(fd, "x", 1, UINT64_MAX, NULL, &e), TAP_E_LIMIT);
	assert_int_equal(tap_io_truncate(fd, 5, NULL, &e), TAP_OK);
	assert_int_equal(tap_io_truncate(fd, UINT64_MAX, NULL, &e), TAP_E_LIMIT);
	tap_io_close(&fd);
	assert_int_equal(fd, -1);
	tap_io_close(&fd);
	tap_io_close(NULL);
	struct tap_buf b;
	tap_buf_init(&b, 5);
	assert_int_equal(tap_io_read_file(AT_FDCWD, in_dir("f"), &b, &e), TAP_OK);
	assert_string_equal(tap_buf_cstr(&b), "hello");
	tap_buf_free(&b);
	tap_buf_init(&b, 4);
	assert_int_equal(tap_io_read_file(AT_FDCWD, in_dir("f"), &b, &e), TAP_E_LIMIT);
	assert_has(e.msg, "larger than 4 bytes");
	tap_buf_free(&b);
	int dir = open(dir_name, O_RDONLY | O_DIRECTORY);
	assert_int_equal(tap_io_rename(dir, "f", dir, "g", NULL, &e), TAP_OK);
	assert_int_equal(tap_io_rename(dir, "f", dir, "g", NULL, &e), TAP_E_NOTFOUND);
	assert_int_equal(tap_io_unlink(dir, "g", NULL, &e), TAP_OK);
	assert_int_equal(tap_io_unlink(dir, "g", NULL, &e), TAP_OK);
	close(dir);
}

static void full_device(void **state)
{
	struct tap_err e;
	int fd;

	(void)state;
	assert_int_equal(tap_io_open(AT_FDCWD, "/dev/full", O_WRONLY, 0, &fd, NULL, &e), TAP_OK);
	assert_int_equal(tap_io_write(fd, "x", 1, NULL, &e), TAP_E_TEMP);
	assert_int_equal(e.sys_errno, ENOSPC);
	tap_io_close(&fd);
}

/* A pipe that takes little at a time, a reader that is slow, and signals in between. */
static void on_alarm(int sig)
{
	(void)sig;
}

static void short_writes(void **state)
{
	enum { SIZE = 1 << 20 };
	struct tap_err e;
	struct sigaction sa = {.sa_handler = on_alarm};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct itimerspec every = {{0, 500000}, {0, 500000}};
	timer_t timer;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char buf[1000];
		size_t sum = 0;
		ssize_t n;
		close(p[1]);
		while ((n = read(p[0], buf, sizeof buf)) > 0)
			sum += (size_t)n;
		_exit(sum == SIZE ? 0 : 1);
	}
	close(p[0]);
	char *data = calloc(1, SIZE);
	assert_non_null(data);
	assert_int_equal(sigaction(SIGALRM, &sa, NULL), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
	assert_int_equal(tap_io_write(p[1], data, SIZE, NULL, &e), TAP_OK);
	timer_delete(timer);
	close(p[1]);
	free(data);
	int status;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	assert_int_equal(status, 0);
}

static void directories(void **state)
{
	struct tap_err e;
	struct stat st;
	int fd;
	mode_t old = umask(077);

	(void)state;
	assert_int_equal(tap_io_opendir(AT_FDCWD, in_dir("d"), 0, &fd, &e), TAP_E_NOTFOUND);
	assert_int_equal(tap_io_opendir(AT_FDCWD, in_dir("d/"), 02750, &fd, &e), TAP_OK);
	umask(old);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 02750);
	tap_io_close(&fd);
	assert_int_equal(tap_io_opendir(AT_FDCWD, in_dir("d"), 0700, &fd, &e), TAP_OK);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 02750);
	tap_io_close(&fd);
	put_file(in_dir("plain"), "x");
	assert_int_equal(tap_io_opendir(AT_FDCWD, in_dir("plain"), 0700, &fd, &e), TAP_E_CONFIG);
	assert_int_equal(tap_io_opendir(AT_FDCWD, in_dir("no/such"), 0700, &fd, &e),
			 TAP_E_NOTFOUND);
}

/* How many files the directory holds, hidden ones too. */
static int files_in(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 2;
}

static bool holds(const char *path, const char *text)
{
	char got[64] = "";
	FILE *f = fopen(path, "re");
	bool same = f && fread(got, 1, sizeof got - 1, f) == strlen(text) && strcmp(got, text) == 0;

	if (f)
		fclose(f);
	return same;
}

static void replaces(void **state)
{
	struct tap_err e;
	struct stat st;

	(void)state;
	assert_int_equal(mkdir(in_dir("r"), 0700), 0);
	const char *f = in_dir("r/file");
	assert_int_equal(tap_io_replace(AT_FDCWD, f, "old", 3, 0640, &e), TAP_OK);
	assert_int_equal(tap_io_replace(AT_FDCWD, f, "newer", 5, 0604, &e), TAP_OK);
	assert_true(holds(f, "newer"));
	assert_int_equal(stat(f, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0604);
	assert_int_equal(files_in(in_dir("r")), 1);
	int dir = open(in_dir("r"), O_RDONLY | O_DIRECTORY);
	assert_int_equal(tap_io_replace(dir, "file", "", 0, 0600, &e), TAP_OK);
	close(dir);
	assert_true(holds(f, ""));
	assert_int_equal(tap_io_replace(AT_FDCWD, in_dir("none/file"), "x", 1, 0600, &e),
			 TAP_E_NOTFOUND);
}

static int fails_with_nospace(void)
{
	struct tap_err e;
	int before = files_in(in_dir("r2")); /* a kill may have left its temporary file */

	MUST(tap_io_replace(AT_FDCWD, in_dir("r2/file"), "newer", 5, 0600, &e) == TAP_E_TEMP);
	MUST(e.sys_errno == ENOSPC);
	MUST(strstr(e.msg, "file"));
	MUST(holds(in_dir("r2/file"), "old"));
	MUST(files_in(in_dir("r2")) == before);
	/* The next try is free of the fault. */
	MUST(tap_io_replace(AT_FDCWD, in_dir("r2/file"), "newer", 5, 0600, &e) == TAP_OK);
	MUST(holds(in_dir("r2/file"), "newer"));
	return 0;
}

static int says_not_durable(void)
{
	struct tap_err e;

	MUST(tap_io_replace(AT_FDCWD, in_dir("r2/file"), "newer", 5, 0600, &e) == TAP_E_TEMP);
	MUST(e.sys_errno == EIO);
	MUST(holds(in_dir("r2/file"), "newer"));
	return 0;
}

static int is_killed(void)
{
	struct tap_err e;

	(void)!tap_io_replace(AT_FDCWD, in_dir("r2/file"), "newer", 5, 0600, &e);
	return __LINE__;
}

static void replace_under_faults(void **state)
{
	static const char *const points[] = {"replace.open", "replace.write", "replace.fsync",
					     "replace.rename"};
	char fault[64];

	(void)state;
	assert_int_equal(mkdir(in_dir("r2"), 0700), 0);
	for (size_t i = 0; i < 4; i++) {
		put_file(in_dir("r2/file"), "old");
		snprintf(fault, sizeof fault, "%s:1:ENOSPC", points[i]);
		assert_int_equal(in_child(fault, fails_with_nospace), 0);
		put_file(in_dir("r2/file"), "old");
		snprintf(fault, sizeof fault, "%s:1:kill", points[i]);
		assert_true(WIFSIGNALED(in_child(fault, is_killed)));
		assert_true(holds(in_dir("r2/file"), "old"));
	}
	put_file(in_dir("r2/file"), "old");
	assert_int_equal(in_child("replace.dirsync:1:EIO", says_not_durable), 0);
}

static int named_points(void)
{
	struct tap_err e;
	int fd, dir = open(in_dir("p"), O_RDONLY | O_DIRECTORY);

	MUST(tap_io_open(dir, "x", O_RDWR | O_CREAT, 0600, &fd, "t.open", &e) == TAP_E_TEMP);
	MUST(e.sys_errno == EMFILE && fd == -1);
	MUST(tap_io_open(dir, "x", O_RDWR | O_CREAT, 0600, &fd, "t.open", &e) == TAP_OK);
	MUST(tap_io_write(fd, "123456", 6, "t.write", &e) == TAP_E_TEMP && e.sys_errno == ENOSPC);
	MUST(lseek(fd, 0, SEEK_END) == 3); /* a full disk leaves a part */
	MUST(tap_io_pwrite(fd, "12", 2, 0, "t.write", &e) == TAP_E_TEMP);
	MUST(tap_io_fsync(fd, "t.fsync", &e) == TAP_E_TEMP && e.sys_errno == EIO);
	MUST(tap_io_fsync(fd, "t.fsync", &e) == TAP_OK);
	MUST(tap_io_truncate(fd, 0, "t.cut", &e) == TAP_E_TEMP);
	MUST(lseek(fd, 0, SEEK_END) == 3);
	MUST(tap_io_rename(dir, "x", dir, "y", "t.rename", &e) == TAP_E_CONFIG);
	MUST(faccessat(dir, "x", F_OK, 0) == 0);
	MUST(tap_io_unlink(dir, "x", "t.unlink", &e) == TAP_E_TEMP);
	MUST(faccessat(dir, "x", F_OK, 0) == 0);
	return 0;
}

static int staging_without_tmpfile(void)
{
	struct tap_err e;
	int fd;

	MUST(tap_io_tmpfile(in_dir("p2"), &fd, &e) == TAP_OK);
	MUST(tap_io_write(fd, "abc", 3, NULL, &e) == TAP_OK);
	MUST(files_in(in_dir("p2")) == 0);
	MUST(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	return 0;
}

static int staging_refused(void)
{
	struct tap_err e;
	int fd;

	MUST(tap_io_tmpfile(in_dir("p2"), &fd, &e) == TAP_E_TEMP);
	MUST(e.sys_errno == ENOSPC && fd == -1);
	return 0;
}

static void fault_points(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_dir("p"), 0700), 0);
	assert_int_equal(in_child("t.open:1:EMFILE,t.write:0:ENOSPC,t.fsync:1:EIO,t.cut:1:EIO,"
				  "t.rename:1:EROFS,t.unlink:1:EIO",
				  named_points),
			 0);
}

static void staging(void **state)
{
	struct tap_err e;
	int fd;

	(void)state;
	assert_int_equal(mkdir(in_dir("p2"), 0700), 0);
	assert_int_equal(in_child("tmpfile.open:1:EISDIR", staging_without_tmpfile), 0);
	assert_int_equal(in_child("tmpfile.open:1:ENOSPC", staging_refused), 0);
	assert_int_equal(tap_io_tmpfile(in_dir("p2"), &fd, &e), TAP_OK);
	assert_int_equal(tap_io_write(fd, "abc", 3, NULL, &e), TAP_OK);
	assert_int_equal(files_in(in_dir("p2")), 0);
	tap_io_close(&fd);
	assert_int_equal(tap_io_tmpfile(NULL, &fd, &e), TAP_OK);
	tap_io_close(&fd);
	assert_int_equal(tap_io_tmpfile(in_dir("nowhere"), &fd, &e), TAP_E_NOTFOUND);
}

static int lock_refused(void)
{
	struct tap_err e;
	int fd;

	MUST(tap_io_lock(AT_FDCWD, in_dir("lock"), &fd, &e) == TAP_E_TEMP);
	MUST(fd == -1);
	char pid[32];
	snprintf(pid, sizeof pid, "(%ld)", (long)getppid());
	MUST(strstr(e.msg, pid));
	return 0;
}

static int lock_taken(void)
{
	struct tap_err e;
	int fd;

	MUST(tap_io_lock(AT_FDCWD, in_dir("lock"), &fd, &e) == TAP_OK);
	return 0;
}

static void locks(void **state)
{
	struct tap_err e;
	int fd, second;

	(void)state;
	assert_int_equal(tap_io_lock(AT_FDCWD, in_dir("lock"), &fd, &e), TAP_OK);
	assert_int_equal(in_child(NULL, lock_refused), 0);
	/* Open file descriptions, not processes: not even we get it twice, nor lose it by a close. */
	assert_int_equal(tap_io_lock(AT_FDCWD, in_dir("lock"), &second, &e), TAP_E_TEMP);
	assert_int_equal(in_child(NULL, lock_refused), 0);
	tap_io_close(&fd);
	assert_int_equal(in_child(NULL, lock_taken), 0);
	/* The child has ended. */
	assert_int_equal(tap_io_lock(AT_FDCWD, in_dir("lock"), &fd, &e), TAP_OK);
	tap_io_close(&fd);
}

static void waits(void **state)
{
	struct tap_err e;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	int64_t start = tap_clock_mono_ms();
	assert_int_equal(tap_io_wait(p[0], POLLIN, start + 50, &e), TAP_E_CANCELLED);
	assert_true(tap_clock_mono_ms() - start >= 50);
	assert_int_equal(tap_io_wait(p[0], POLLIN, 0, &e), TAP_E_CANCELLED);
	assert_int_equal(tap_io_wait(p[1], POLLOUT, start + 5000, &e), TAP_OK);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(tap_io_wait(p[0], POLLIN, INT64_MAX, &e), TAP_OK);
	close(p[1]);
	close(p[0]);
	assert_int_equal(tap_io_wait(p[0], POLLIN, start + 5000, &e), TAP_E_TEMP);
	assert_int_equal(e.sys_errno, EBADF);
}

static void free_space(void **state)
{
	struct tap_err e;
	uint64_t bytes = 0, inodes = 0;
	int fd = open(dir_name, O_RDONLY | O_DIRECTORY);

	(void)state;
	assert_int_equal(tap_io_free_space(fd, &bytes, &inodes, &e), TAP_OK);
	assert_true(bytes > 0 && inodes > 0);
	close(fd);
	assert_int_equal(tap_io_free_space(fd, &bytes, &inodes, &e), TAP_E_TEMP);
}

static void sources(void **state)
{
	struct tap_err e;
	struct tap_source s;
	char got[16];
	size_t n;

	(void)state;
	put_file(in_dir("src"), "0123456789");
	int fd = open(in_dir("src"), O_RDONLY);
	for (int k = 0; k < 2; k++) {
		if (k == 0)
			tap_source_mem(&s, "23456", 5);
		else
			tap_source_fd(&s, fd, 2, 5);
		assert_int_equal(s.size, 5);
		assert_int_equal(s.read_at(&s, 0, got, sizeof got, &n, &e), TAP_OK);
		assert_int_equal(n, 5);
		assert_memory_equal(got, "23456", 5);
		assert_int_equal(s.read_at(&s, 3, got, 1, &n, &e), TAP_OK);
		assert_int_equal(n, 1);
		assert_int_equal(got[0], '5');
		assert_int_equal(s.read_at(&s, 5, got, 1, &n, &e), TAP_OK);
		assert_int_equal(n, 0);
		assert_int_equal(s.read_at(&s, UINT64_MAX, got, 1, &n, &e), TAP_OK);
		assert_int_equal(n, 0);
	}
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	/* A file that is shorter than was promised is no end of the report. */
	tap_source_fd(&s, fd, 2, 50);
	assert_int_equal(s.read_at(&s, 8, got, 4, &n, &e), TAP_E_TEMP);
	close(fd);
	assert_int_equal(s.read_at(&s, 0, got, 4, &n, &e), TAP_E_TEMP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    /* These first: once this process has passed a fault point, its children know no others. */
	    cmocka_unit_test(replace_under_faults),
	    cmocka_unit_test(fault_points),
	    cmocka_unit_test(staging),
	    cmocka_unit_test(classes),
	    cmocka_unit_test(reads_and_writes),
	    cmocka_unit_test(full_device),
	    cmocka_unit_test(short_writes),
	    cmocka_unit_test(directories),
	    cmocka_unit_test(replaces),
	    cmocka_unit_test(locks),
	    cmocka_unit_test(waits),
	    cmocka_unit_test(free_space),
	    cmocka_unit_test(sources),
	};
	return cmocka_run_group_tests(tests, dir_setup, dir_teardown);
}
