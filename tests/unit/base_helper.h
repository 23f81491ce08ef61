/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base_helper.h - what the tests of base share: cmocka, a private directory, and a child process, since TAP_FAULT is
 * read once in a process's life. */
#ifndef BASE_HELPER_H
#define BASE_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

static char dir_name[64];

/* For groups of tests: the directory is made before the first and removed after the last. */
static inline int dir_setup(void **state)
{
	(void)state;
	snprintf(dir_name, sizeof dir_name, "/tmp/tap-test-base-XXXXXX");
	return mkdtemp(dir_name) ? 0 : -1;
}

static inline int dir_teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir_name);
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
		_exit(127);
	}
	int status = 0;
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static inline const char *in_dir(const char *name)
{
	static char path[4][160];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, 160, "%s/%s", dir_name, name);
	return p;
}

/* Runs check in a child with TAP_FAULT set; returns the wait status. check returns 0 when all is well, else a line number. */
static inline int in_child(const char *fault, int (*check)(void))
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		if (fault)
			setenv("TAP_FAULT", fault, 1);
		else
			unsetenv("TAP_FAULT");
		int line = check();
		if (line)
			fprintf(stderr, "failed in the child: line %d\n", line);
		_exit(line ? 1 : 0);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	return status;
}

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			return __LINE__;                                                           \
	} while (0)

static inline void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static inline void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

#endif
