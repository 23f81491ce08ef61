/* SPDX-License-Identifier: Apache-2.0
 * base/landlock.h - Landlock by its system calls: a process gives up files and connections for good, and so do its children.
 * Kernels from 5.19 on have what is needed (version 2 of the interface; version 1 forbids every rename into another directory). What a
 * kernel does not know yet is left out: truncate from version 3, TCP from 4, devices from 5, signals from 6.
 * Errors: TAP_E_CONFIG with the call that failed. Threads: only the calling thread and what it starts later are confined, so call it
 * before the first one starts. */
#ifndef TAP_BASE_LANDLOCK_H
#define TAP_BASE_LANDLOCK_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

/* What may be done at a path and below it. */
enum tap_use {
	TAP_USE_LIST = 1,    /* directories may be read */
	TAP_USE_READ = 2,    /* files too */
	TAP_USE_RUN = 4,     /* programs may be started */
	TAP_USE_WRITE = 8,   /* files may be written, made, renamed and removed, directories too */
	TAP_USE_SOCKET = 16, /* sockets may be made and removed, and nothing else */
};
struct tap_landlock_rule {
	const char *path; /* one that is not there, or may not be looked at, is passed over */
	unsigned use;	  /* TAP_USE_… */
};
enum { TAP_LANDLOCK_LEAST = 2 };

/* The version of the interface that the kernel has; 0 = it has none, or it is switched off, or too old. */
int tap_landlock_version(void);
/* Everything that the rules do not allow is refused (EACCES) from now on. connect: whether TCP connections may be made.
 * alone: no signals to processes that were not started later, and no abstract sockets of theirs. no_new_privs must be set, or the
 * process be root. Does nothing where tap_landlock_version() is 0. */
enum tap_rc tap_landlock_enter(const struct tap_landlock_rule *rules, size_t n, bool connect,
			       bool alone, struct tap_err *err) TAP_MUST_CHECK;

#endif
