/* SPDX-License-Identifier: Apache-2.0
 * cli/inputs.h - opens what the command line names (cli/walk.h), cuts mboxes into mails (cli/mbox.h), and hands each mail or file
 * on (cli/jobs.h). What it is is seen by its bytes, never by its name.
 * Limits [I7]: a mail or file of up to 64 KiB travels in memory, a larger one as a descriptor; what can be read only once (standard
 * input, pipe, device) and is no mbox is first copied to a file without a name, INPUT_MAX bytes at most. Threads: one. */
#ifndef TAP_CLI_INPUTS_H
#define TAP_CLI_INPUTS_H

#include "base/err.h"
#include "cli/jobs.h"
#include <stdbool.h>

struct tap_inputs_options {
	char *const *argument;
	size_t n_argument;
	bool recursive, mboxrd;
};
/* Hands everything on to j. Anything but TAP_OK is trouble of ours; what cannot be opened or read is refused through j. */
enum tap_rc tap_inputs_read(const struct tap_inputs_options *o, struct tap_jobs *j,
			    struct tap_err *err) TAP_MUST_CHECK;
/* Bytes that it will read, for a progress bar; 0 = cannot be told. */
uint64_t tap_inputs_total(const struct tap_inputs_options *o);

#endif
