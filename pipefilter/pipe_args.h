/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/pipe_args.h - the arguments of dmarctap-pipe, and the line "From " that a mailbox writer puts before a message. Both are
 * what any local user may say; nothing here opens anything.
 * Ownership: strings are borrowed from argv. Limits [I7]: TAP_SPOOL_RECIPIENTS recipients are noted, further ones are only counted; a first
 * line over TAP_PIPE_FROM bytes is no "From " line. Threads: none. */
#ifndef TAP_PIPEFILTER_PIPE_ARGS_H
#define TAP_PIPEFILTER_PIPE_ARGS_H

#include "base/err.h"
#include "intake/settings.h"
#include <stdbool.h>
#include <stddef.h>

enum tap_pipe_job { TAP_PIPE_DELIVER, TAP_PIPE_HELP, TAP_PIPE_VERSION };
struct tap_pipe_args {
	enum tap_pipe_job job;
	const char *sender; /* NULL: not said; "": the null sender */
	const char *queue_id, *client, *config;
	const char *const *recipients;
	size_t n_recipients;
};
/* set_id: the program has rights that its caller lacks; no option may name a file then. TAP_E_CONFIG: err says what is wrong with the
 * command line. Uses getopt: once a process, or optind must be reset. */
enum tap_rc tap_pipe_args_parse(int argc, char **argv, bool set_id, struct tap_pipe_args *a,
				struct tap_err *err) TAP_MUST_CHECK;

enum { TAP_PIPE_FROM = 1000 };
/* A message that comes in pieces: its first line is held back until it is known whether it is a "From " line. */
struct tap_pipe_from {
	bool known;
	size_t n;
	char line[TAP_PIPE_FROM];
	char sender[TAP_PIPE_FROM]; /* "" until it is known; then as that line says */
	bool had_line;
};
/* Takes bytes of the next piece; returns how many. What of line[0 .. *give_r - 1] belongs to the message comes before the rest of the
 * piece. Once `known` is set it takes nothing more. */
size_t tap_pipe_from_feed(struct tap_pipe_from *f, const char *p, size_t n, size_t *give_r);
/* At the end of the input: how many bytes of line belong to the message. */
size_t tap_pipe_from_end(struct tap_pipe_from *f);

#endif
