/* SPDX-License-Identifier: Apache-2.0
 * daemon/commands.h - the table of what dmarctapctl may ask dmarctapd for. A verb is one row in commands.c; its function lives with
 * what it is about, in a file of its own.
 * Arguments are words as daemon/control.h describes them (tap_control_next, tap_control_get). A function appends the answer to body, or
 * sets err: its text is what the operator reads.
 * Threads: the control thread calls, one command at a time, beside the worker's own threads. A function that changes the store goes
 * through tap_writer_run; one that takes long does a bounded piece and says in its body how to go on. */
#ifndef TAP_DAEMON_COMMANDS_H
#define TAP_DAEMON_COMMANDS_H

#include "base/buf.h"
#include "base/err.h"

struct tap_worker;

struct tap_command {
	const char *name; /* one word or more: "status", "quarantine retry" */
	enum tap_rc (*run)(struct tap_worker *w, const char *args, struct tap_buf *body,
			   struct tap_err *err);
};
extern const struct tap_command tap_commands[]; /* the last has no name */

/* Answers one line of a client. worker is a struct tap_worker. TAP_E_NOTFOUND: there is no such command. */
enum tap_rc tap_commands_answer(void *worker, const char *line, struct tap_buf *body,
				struct tap_err *err) TAP_MUST_CHECK;

/* status.c's facts of the living worker; commands_status.c */
enum tap_rc tap_command_status(struct tap_worker *w, const char *args, struct tap_buf *body,
			       struct tap_err *err) TAP_MUST_CHECK;

/* commands_quarantine.c: "ID|all [verdict=V] [before=SECONDS]" */
enum tap_rc tap_command_quarantine_retry(struct tap_worker *w, const char *args,
					 struct tap_buf *body, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_command_quarantine_drop(struct tap_worker *w, const char *args,
					struct tap_buf *body, struct tap_err *err) TAP_MUST_CHECK;

#endif
