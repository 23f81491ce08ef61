/* SPDX-License-Identifier: Apache-2.0
 * cli/options.h - the command line of dmarctap: one table drives reading, help and the nearest name.
 * Ownership: strings point into argv; tap_cli_options_free gives the lists back. Threads: none. Errors: TAP_E_CONFIG, a usage
 * error. */
#ifndef TAP_CLI_OPTIONS_H
#define TAP_CLI_OPTIONS_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TAP_CLI_JOBS_MAX = 64 };

struct tap_cli_list {
	const char **item;
	size_t n;
};
struct tap_cli_options {
	char **file; /* the first n_file entries of argv are reused for them */
	size_t n_file;
	const char *output; /* directory; NULL = none */
	struct tap_cli_list authserv_ids, own_hosts, domains, nameservers;
	int64_t timeout_ms; /* of DNS; 0 = not said */
	unsigned jobs;	    /* 1 … TAP_CLI_JOBS_MAX */
	bool recursive, mboxrd, strip_payloads, no_csv_guard, trusted_only, no_progress;
	bool compat4, local_time, offline, silent, debug, version, help;
};

/* Options and file names may come in any order; "--" ends the options, "-" is standard input. */
enum tap_rc tap_cli_options_read(int argc, char **argv, struct tap_cli_options *o,
				 struct tap_err *err) TAP_MUST_CHECK;
void tap_cli_options_free(struct tap_cli_options *o);
void tap_cli_options_help(FILE *to);

#endif
