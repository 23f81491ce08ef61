/* SPDX-License-Identifier: Apache-2.0
 * cli/progress.h - one line on a terminal: how much is read, how fast, how long it will take. Drawn a few times a second at most.
 * Threads: one user at a time. Errors: none; what a terminal does not take is lost. */
#ifndef TAP_CLI_PROGRESS_H
#define TAP_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_progress {
	bool on, drawn;
	uint64_t done, total; /* bytes; total 0 = not known */
	uint64_t reports;
	int64_t began_ms, next_ms;
};

void tap_progress_start(struct tap_progress *p, bool on, uint64_t total);
void tap_progress_add(struct tap_progress *p, uint64_t bytes, uint64_t reports);
void tap_progress_clear(struct tap_progress *p); /* before anything else is said, and at the end */
/* The line for a terminal `width` columns wide, without control characters; pure. Returns its length. */
size_t tap_progress_line(const struct tap_progress *p, int64_t now_ms, size_t width, char *out,
			 size_t n);

#endif
