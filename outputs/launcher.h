/* SPDX-License-Identifier: Apache-2.0
 * outputs/launcher.h - starts a program of the user's own for the driver exec: docs/decisions/0005-programs-of-exec-outputs.md.
 * A launcher is a small process that is forked before the program has threads and before it shuts itself in. It holds one socket, knows one
 * program with its arguments, and starts that and nothing else, with the descriptors that it is handed. It ends, and ends what it
 * started, when the other end of its socket goes.
 * Ownership: launchers live until the process ends; take lends one out, give takes it back.
 * Limits: LAUNCHERS of them; one run at a time each. The program's output: the last OUTPUT bytes are kept.
 * Errors: TAP_E_CONFIG no launcher (a reload cannot bring one), or the program cannot be started; TAP_E_CANCELLED the deadline passed, and
 * the program with all of its process group was killed; TAP_E_TEMP the rest.
 * Threads: prepare before there are any; the others safe, one thread a launcher. */
#ifndef TAP_OUTPUTS_LAUNCHER_H
#define TAP_OUTPUTS_LAUNCHER_H

#include "base/err.h"
#include "base/settings.h"
#include <stdbool.h>
#include <stdint.h>

enum { TAP_LAUNCHERS = 16, TAP_LAUNCHER_OUTPUT = 512 };

struct tap_launcher;
struct tap_launcher_run {
	const char *input; /* for its standard input */
	size_t len;
	int64_t deadline_ms;
	/* what came of it */
	bool read_all;			      /* it did not close its standard input early */
	int status;			      /* as waitpid(2) */
	char output[TAP_LAUNCHER_OUTPUT + 1]; /* the last line of its output, printable */
};

enum tap_rc tap_launcher_prepare(const char *program, const struct tap_list *arguments,
				 struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_launcher_take(const char *program, const struct tap_list *arguments,
			      struct tap_launcher **l_r, struct tap_err *err) TAP_MUST_CHECK;
void tap_launcher_give(struct tap_launcher **l); /* NULL-safe, sets NULL */
enum tap_rc tap_launcher_run(struct tap_launcher *l, struct tap_launcher_run *r,
			     struct tap_err *err) TAP_MUST_CHECK;

#endif
