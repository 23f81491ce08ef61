/* SPDX-License-Identifier: Apache-2.0
 * confine/pool_process.h - one dmarctap-parse process: start, greeting, one question, end (private to confine/).
 * Threads: one user of a process at a time; the launch data are read-only after tap_launch_init. */
#ifndef TAP_CONFINE_POOL_PROCESS_H
#define TAP_CONFINE_POOL_PROCESS_H

#include "base/err.h"
#include "base/sandbox.h"
#include "confine/pool.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How a process is started. */
struct tap_launch {
	char *program;
	char memory[24], cpu[24], life[24], confine[2]; /* its first arguments */
	char **trust;					/* the others */
	char **argv;  /* all of them, with its name; points to these */
	char *env[8]; /* its whole environment */
};

enum tap_process_state { TAP_PROCESS_NONE, TAP_PROCESS_STARTING, TAP_PROCESS_READY };

struct tap_process {
	enum tap_process_state state;
	pid_t pid;
	int fd;
	int64_t started_ms;
	uint64_t asked;	   /* questions that it was given */
	uint32_t confined; /* as its greeting says */
};

/* What became of a question. */
enum tap_answer {
	TAP_ANSWER_GOOD,
	TAP_ANSWER_UNASKED, /* the process was gone before it took the question: ask another one */
	TAP_ANSWER_DIED,
	TAP_ANSWER_STALLED,
	TAP_ANSWER_NONSENSE,
	TAP_ANSWER_SINK,    /* the caller's sink failed with *rc_r; err is its */
	TAP_ANSWER_TROUBLE, /* our side could not ask; err is set */
};

struct tap_question {
	const struct tap_pool_job *job;
	int64_t deadline_ms; /* how long the process may take */
	/* NULL: only the verdict is wanted. */
	enum tap_rc (*sink)(void *ctx, const void *bytes, size_t n, struct tap_err *err);
	void *sink_ctx;
};

/* l must stay where it is. */
enum tap_rc tap_launch_init(struct tap_launch *l, const struct tap_parser_settings *set,
			    const struct tap_trust_settings *trust,
			    struct tap_err *err) TAP_MUST_CHECK;
void tap_launch_free(struct tap_launch *l);

/* The paths that a program which starts processes must be allowed. */
void tap_launch_allow(const struct tap_launch *l, struct tap_sandbox *box);

/* Starts it; does not wait for the greeting. TAP_E_TEMP when the system has no room, TAP_E_CONFIG otherwise. */
enum tap_rc tap_process_start(struct tap_process *p, const struct tap_launch *l,
			      struct tap_err *err) TAP_MUST_CHECK;
/* Waits for the greeting of a starting process. TAP_E_CONFIG, naming the program, when it does not come or is not one; the process
 * is ended then. */
enum tap_rc tap_process_greet(struct tap_process *p, const struct tap_launch *l,
			      struct tap_err *err) TAP_MUST_CHECK;
/* Whether it still waits quietly for a question. */
bool tap_process_quiet(const struct tap_process *p);
/* Asks and reads the answer. *rc_r and res are set when GOOD; err says more about the rest where there is more to say. */
enum tap_answer tap_process_ask(struct tap_process *p, const struct tap_question *q,
				enum tap_rc *rc_r, struct tap_parse_result *res,
				struct tap_err *err);
/* Kills it and takes its status as of waitpid. If it had ended by itself already, that is its own status. */
int tap_process_end(struct tap_process *p);
void tap_process_hang_up(
    struct tap_process *p); /* closes the socket, upon which it ends by itself */
/* Hangs up, and waits until the deadline (monotonic ms) before it is killed. */
void tap_process_dismiss(struct tap_process *p, int64_t deadline_ms);

#endif
