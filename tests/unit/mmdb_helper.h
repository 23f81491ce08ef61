/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/mmdb_helper.h - databases for tests, written by tests/lib/mmdb.py. */
#ifndef MMDB_HELPER_H
#define MMDB_HELPER_H

#include "base_helper.h"

/* spec: JSON as tests/lib/mmdb.py says. */
static inline void mmdb_write(const char *path, const char *spec)
{
	const char *source = getenv("TAP_SOURCE");
	char program[512];
	int in[2], status = -1;
	pid_t pid;

	snprintf(program, sizeof program, "%s/tests/lib/mmdb.py", source ? source : ".");
	assert_int_equal(pipe(in), 0);
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		close(in[0]);
		close(in[1]);
		execl("/usr/bin/python3", "python3", program, path, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	assert_int_equal(write(in[1], spec, strlen(spec)), strlen(spec));
	close(in[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#endif
