/* SPDX-License-Identifier: Apache-2.0
 * The sandbox of the long-running programs: what its profile names works, and the rest is refused by the kernel. Each case runs in a
 * child, since nothing of this can be undone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[128];

/* The path of a name in the test's directory; one of eight that take turns. */
static const char *in_dir(const char *name)
{
	static char path[8][256];
	static unsigned turn;

	turn = (turn + 1) % 8;
	snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
	return path[turn];
}

/* Zero, or the number of the line where an expectation failed. */
#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __func__, __LINE__, #x, errno);  \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)
#define REFUSED(call, e) MUST((errno = 0, (call) < 0) && errno == (e))

static void in_child(int (*fn)(void))
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(fn());
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static const struct tap_sandbox_settings on = {.enabled = true};

static int enter(enum tap_net net)
{
	struct tap_sandbox box = {.program = "test", .net = net};
	struct tap_err err = {0};

	tap_sandbox_begin(&box, &on);
	tap_sandbox_allow(&box, in_dir("work"), TAP_USE_WRITE);
	tap_sandbox_allow(&box, in_dir("seen"), TAP_USE_LIST);
	tap_sandbox_allow(&box, in_dir("config"), TAP_USE_READ);
	tap_sandbox_allow(&box, in_dir("not-there"), TAP_USE_READ);
	tap_sandbox_allow_parent(&box, in_dir("run/socket"), TAP_USE_SOCKET);
	if (tap_sandbox_enter(&box, &err) != TAP_OK) {
		fprintf(stderr, "%s\n", err.msg);
		return -1;
	}
	return 0;
}

static int files(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	MUST(enter(TAP_NET_LOCAL) == 0);
	MUST(tap_sandbox_enabled());
	MUST(open(in_dir("work/new"), O_CREAT | O_WRONLY | O_TRUNC, 0600) >= 0);
	MUST(mkdir(in_dir("work/sub"), 0700) == 0);
	MUST(rename(in_dir("work/new"), in_dir("work/sub/new")) == 0);
	MUST(unlink(in_dir("work/sub/new")) == 0 && rmdir(in_dir("work/sub")) == 0);
	MUST(open(in_dir("config/file"), O_RDONLY) >= 0);
	REFUSED(open(in_dir("config/file"), O_RDWR), EACCES);
	MUST(open(in_dir("seen"), O_RDONLY | O_DIRECTORY) >= 0);
	REFUSED(open(in_dir("seen/file"), O_RDONLY), EACCES);
	REFUSED(open(in_dir("secret"), O_RDONLY), EACCES);
	REFUSED(open(in_dir("other"), O_CREAT | O_WRONLY, 0600), EACCES);
	REFUSED(unlink(in_dir("secret")), EACCES);
	REFUSED(mkdir(in_dir("run/d"), 0700), EACCES);
	REFUSED(open(in_dir("run/file"), O_CREAT | O_WRONLY, 0600), EACCES);
	snprintf(to.sun_path, sizeof to.sun_path, "%s", in_dir("run/socket"));
	MUST(bind(s, (struct sockaddr *)&to, sizeof to) == 0);
	MUST(unlink(to.sun_path) == 0);
	REFUSED(execl("/bin/true", "true", (char *)NULL), EACCES);
	return 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int calls(void)
{
	pthread_t t;

	MUST(enter(TAP_NET_LOCAL) == 0);
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	MUST(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2);
	REFUSED(mount("none", dir, "tmpfs", 0, NULL), EPERM);
	REFUSED(unshare(CLONE_NEWUSER), EPERM);
	REFUSED(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM);
	REFUSED(syscall(SYS_bpf, 0, NULL, 0), EPERM);
	REFUSED(syscall(SYS_keyctl, 0, -3, 0, 0, 0), EPERM);
	REFUSED(syscall(SYS_add_key, "user", "x", "x", 1, -3), EPERM);
	REFUSED(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0), EPERM);
	REFUSED(syscall(SYS_io_uring_setup, 1, NULL), EPERM);
	REFUSED(syscall(SYS_userfaultfd, 0), EPERM);
	REFUSED(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0), EPERM);
	REFUSED(chroot("/"), EPERM);
	REFUSED(socket(AF_INET, SOCK_STREAM, 0), EACCES);
	REFUSED(socket(AF_INET6, SOCK_DGRAM, 0), EACCES);
	REFUSED(socket(AF_PACKET, SOCK_DGRAM, 0), EACCES);
	REFUSED(socket(AF_ALG, SOCK_SEQPACKET, 0), EACCES);
	MUST(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	/* Threads and children as before. */
	MUST(pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_join(t, NULL) == 0);
	pid_t child = fork();
	if (child == 0)
		_exit(7);
	int status = 0;
	MUST(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
	return 0;
}

static int serving(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t n = sizeof at;

	MUST(enter(TAP_NET_SERVE) == 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST(fd >= 0);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0);
	MUST(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
	int out = socket(AF_INET, SOCK_STREAM, 0);
	if (syscall(444, NULL, 0, 1) >= 4)
		REFUSED(connect(out, (struct sockaddr *)&at, n), EACCES);
	REFUSED(socket(AF_PACKET, SOCK_DGRAM, 0), EACCES);
	return 0;
}

static int connecting(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};

	MUST(enter(TAP_NET_CONNECT) == 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST(fd >= 0);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	at.sin_port = htons(1);
	/* Whatever is there, it is not the sandbox that says no. */
	MUST(connect(fd, (struct sockaddr *)&at, sizeof at) == 0 || errno == ECONNREFUSED);
	return 0;
}

/* Where a sendmail with privileges is to be started, nothing that it would inherit is set. */
static int starting_privileged(void)
{
	struct tap_sandbox box = {.program = "test", .starts_privileged = true};
	struct tap_err err;

	tap_sandbox_begin(&box, &on);
	MUST(tap_sandbox_enter(&box, &err) == TAP_OK);
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	MUST(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0);
	MUST(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 || getenv("ASAN_OPTIONS") != NULL);
	MUST(open(in_dir("secret"), O_RDONLY) >= 0);
	MUST(tap_sandbox_enabled());
	return 0;
}

static int switched_off(void)
{
	const struct tap_sandbox_settings off = {.enabled = false};
	struct tap_sandbox box = {.program = "test"};
	struct tap_err err;

	tap_sandbox_begin(&box, &off);
	MUST(tap_sandbox_enter(&box, &err) == TAP_OK);
	MUST(!tap_sandbox_enabled());
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	MUST(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0);
	MUST(open(in_dir("secret"), O_RDONLY) >= 0);
	return 0;
}

static int too_many_paths(void)
{
	struct tap_sandbox box = {.program = "test"};
	struct tap_err err;

	tap_sandbox_begin(&box, &on);
	for (int i = 0; i < 2 * TAP_SANDBOX_PATHS; i++)
		tap_sandbox_allow(&box, in_dir("config"), TAP_USE_READ);
	MUST(box.n == TAP_SANDBOX_PATHS);
	MUST(tap_sandbox_enter(&box, &err) == TAP_OK && box.n == 0);
	return 0;
}

static void profile_files(void **state)
{
	(void)state;
	if (tap_landlock_version() == 0)
		skip();
	in_child(files);
}

static void profile_calls(void **state)
{
	(void)state;
	in_child(calls);
}

static void profile_serving(void **state)
{
	(void)state;
	in_child(serving);
}

static void profile_connecting(void **state)
{
	(void)state;
	in_child(connecting);
}

static void a_profile_that_starts_privileged_programs(void **state)
{
	(void)state;
	in_child(starting_privileged);
}

static void a_profile_that_is_switched_off(void **state)
{
	(void)state;
	in_child(switched_off);
}

static void more_paths_than_there_is_room_for(void **state)
{
	(void)state;
	in_child(too_many_paths);
}

static void settings_are_checked(void **state)
{
	char *bad[] = {(char[]){"etc/secret"}};
	struct tap_sandbox_settings set = {.enabled = true};
	struct tap_err err;

	(void)state;
	assert_int_equal(tap_sandbox_section.check(&set, &err), TAP_OK);
	set.write = (struct tap_list){bad, 1};
	assert_int_equal(tap_sandbox_section.check(&set, &err), TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "write: \"etc/secret\" is no absolute path"));
}

static int make(void **state)
{
	static const char *const dirs[] = {"work", "seen", "config", "run"};
	static const char *const names[] = {"seen/file", "config/file", "secret"};

	(void)state;
	/* Not below /tmp, which builds with sanitizers may write to. */
	snprintf(dir, sizeof dir, "/var/tmp/tap-sandbox-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < 4; i++) {
		if (mkdir(in_dir(dirs[i]), 0700) != 0)
			return -1;
	}
	for (size_t i = 0; i < 3; i++) {
		int fd = open(in_dir(names[i]), O_CREAT | O_WRONLY, 0600);

		if (fd < 0)
			return -1;
		close(fd);
	}
	return 0;
}

static int unmake(void **state)
{
	static const char *const names[] = {"seen/file", "config/file", "secret", "seen",
					    "config",	 "run",		"work",	  ""};

	(void)state;
	for (size_t i = 0; i < 8; i++)
		(void)remove(in_dir(names[i]));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(profile_files),
	    cmocka_unit_test(profile_calls),
	    cmocka_unit_test(profile_serving),
	    cmocka_unit_test(profile_connecting),
	    cmocka_unit_test(a_profile_that_starts_privileged_programs),
	    cmocka_unit_test(a_profile_that_is_switched_off),
	    cmocka_unit_test(more_paths_than_there_is_room_for),
	    cmocka_unit_test(settings_are_checked),
	};

	return cmocka_run_group_tests_name("base_sandbox", tests, make, unmake);
}
