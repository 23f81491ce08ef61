/* SPDX-License-Identifier: Apache-2.0
 * tests/servers/setgid.c - a set-group-id program for the tests: takes the group of its bit for good, and becomes PROGRAM.
 * The bit itself makes the loader pass over LD_LIBRARY_PATH, and a program that is unpacked but not installed has its libraries nowhere else;
 * so they are named here, at compile time. Without the bit's effect (no_new_privs) PROGRAM runs with its caller's group.
 * cc -DPROGRAM='"/path"' -DLIBRARIES='"/folder"' -DSETTINGS='"/folder"' setgid.c */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	gid_t gid = getegid();

	(void)argc;
	if (setresgid(gid, gid, gid) != 0 || setenv("LD_LIBRARY_PATH", LIBRARIES, 1) != 0 ||
	    setenv("MAIL_CONFIG", SETTINGS, 1) != 0) {
		perror(PROGRAM);
		return 75;
	}
	execv(PROGRAM, argv);
	perror(PROGRAM);
	return 75;
}
