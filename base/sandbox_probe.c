/* SPDX-License-Identifier: Apache-2.0
 * base/sandbox_probe.c - builds for tests only: does from inside of a program's sandbox what a taken-over program would try. */
#include "base/sandbox_priv.h"

#include "base/io.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int by_open(const char *path, int flags)
{
	int fd = -1;
	struct tap_err err = {0};

	if (tap_io_open(AT_FDCWD, path, flags, 0600, &fd, NULL, &err) != TAP_OK)
		return err.sys_errno;
	tap_io_close(&fd);
	return 0;
}

static int try_read(const char *path)
{
	return by_open(path, O_RDONLY);
}

static int try_make(const char *path)
{
	return by_open(path, O_WRONLY | O_CREAT);
}

static int try_remove(const char *path)
{
	struct tap_err err = {0};

	return tap_io_unlink(AT_FDCWD, path, NULL, &err) == TAP_OK ? 0 : err.sys_errno;
}

static int try_run(const char *path)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		char *const argv[] = {(char *)(uintptr_t)path, NULL};

		(void)execv(path, argv);
		_exit(errno & 0x7f);
	}
	return child < 0 || waitpid(child, &status, 0) < 0 ? errno : WEXITSTATUS(status);
}

static int result(long rc)
{
	return rc < 0 ? errno : 0;
}

static int try_inet(const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int e = result(fd);

	if (e == 0 && *port) {
		to.sin_port = htons((uint16_t)strtol(port, NULL, 10));
		to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		e = result(connect(fd, (struct sockaddr *)&to, sizeof to));
	}
	tap_io_close(&fd);
	return e;
}

static int try_mount(const char *path)
{
	return result(mount("none", path, "tmpfs", 0, NULL));
}

static int try_trace(const char *unused)
{
	(void)unused;
	return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_unshare(const char *unused)
{
	(void)unused;
	return result(unshare(CLONE_NEWUSER));
}

static int try_bpf(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int try_key(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_keyctl, 0, -3, 0, 0, 0));
}

static int try_packet(const char *unused)
{
	(void)unused;
	return result(socket(AF_PACKET, SOCK_DGRAM, 0));
}

static const struct {
	const char *word;
	int (*run)(const char *rest);
} tries[] = {
    {"read:", try_read}, {"make:", try_make},	{"remove:", try_remove}, {"run:", try_run},
    {"inet:", try_inet}, {"mount:", try_mount}, {"trace", try_trace},	 {"unshare", try_unshare},
    {"bpf", try_bpf},	 {"key", try_key},	{"packet", try_packet},
};

void tap_sandbox_probe(const char *program)
{
	const char *wanted = getenv("TAP_SANDBOX_PROBE");
	char *copy = wanted ? strdup(wanted) : NULL, *save = NULL;

	for (char *w = copy ? strtok_r(copy, " ", &save) : NULL; w;
	     w = strtok_r(NULL, " ", &save)) {
		for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
			size_t n = strlen(tries[i].word);

			if (strncmp(w, tries[i].word, n) == 0)
				(void)fprintf(stderr, "%s: probe %s = %d\n", program, w,
					      tries[i].run(w + n));
		}
	}
	free(copy);
}
