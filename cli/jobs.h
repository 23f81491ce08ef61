/* SPDX-License-Identifier: Apache-2.0
 * cli/jobs.h - has the items that one thread finds read by N workers, and what they make of them put out in the order of the items.
 * Items travel in batches; a ring of batches bounds memory: who finds items waits while the workers are behind. With one worker there
 * is no thread at all. Whoever finishes the batch whose turn it is puts out that one and those behind it that are ready.
 * Ownership: new, add …, finish, free. Bytes are copied; a descriptor that was handed over is closed here, also after an error.
 * Threads: add, finish and free by one thread. Errors: trouble of ours (an output that cannot be written); then nothing more is read. */
#ifndef TAP_CLI_JOBS_H
#define TAP_CLI_JOBS_H

#include "cli/item.h"
#include "cli/printer.h"
#include "cli/progress.h"

struct tap_jobs_options {
	unsigned workers;
	struct tap_read_options read;
	struct tap_printer *printer;
	struct tap_progress *progress;
};
struct tap_jobs;

enum tap_rc tap_jobs_new(const struct tap_jobs_options *o, struct tap_jobs **j_r,
			 struct tap_err *err) TAP_MUST_CHECK;
/* taken: bytes of the input that the item stands for. */
enum tap_rc tap_jobs_add(struct tap_jobs *j, const struct tap_item *item, uint64_t taken,
			 struct tap_err *err) TAP_MUST_CHECK;
/* An item that could not be had. */
enum tap_rc tap_jobs_refuse(struct tap_jobs *j, const char *name, const struct tap_err *why,
			    struct tap_err *err) TAP_MUST_CHECK;
/* Waits until everything is put out. *refused_r: some item was not read. */
enum tap_rc tap_jobs_finish(struct tap_jobs *j, bool *refused_r,
			    struct tap_err *err) TAP_MUST_CHECK;
uint64_t tap_jobs_left_out(const struct tap_jobs *j); /* reports that were not trusted */
uint64_t tap_jobs_no_place(const struct tap_jobs *j); /* of kinds that --compat has no list for */
void tap_jobs_free(struct tap_jobs **j);	      /* NULL-safe; ends the workers */

#endif
