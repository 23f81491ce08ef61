/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl.h - dmarctapctl: what its commands share. One thread.
 * A command is one row of a table; the tables are listed in ctl_main.c, so that a family of commands brings rows and options in a file of
 * its own:
 *     static const struct ctl_option options[] = {{"since", "DATE", "only what came at this time or later"}, {0}};
 *     const struct ctl_command ctl_outbox_commands[] = {
 *         {.words = "outbox list", .usage = "outbox list [SINK]", .text = "…", .most = 1, .options = options, .run = outbox_list}, {0}};
 * Exit status: 0 well; 1 the answer is no (configuration bad, no such message); 2 usage; 69 the worker is down; 75 trouble that may pass;
 * 77 not allowed; 78 the configuration cannot be read. */
#ifndef TAP_CLI_CTL_H
#define TAP_CLI_CTL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/settings.h"
#include "intake/settings.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CTL_OK = 0, CTL_NO = 1, CTL_USAGE = 2 };
enum { CTL_SECTIONS = 11, CTL_OPTIONS = 12 };

struct ctl_option {
	const char *name;  /* long name, without "--"; NULL ends the table */
	const char *value; /* what its value is called ("DATE"); NULL = it has none */
	const char *text;  /* one line for --help */
};

struct ctl {
	const char *config;
	char **arg; /* positional arguments behind the command's words */
	size_t n_args;
	const struct ctl_option *given[CTL_OPTIONS];
	const char *value[CTL_OPTIONS];
	size_t n_given;
	struct tap_settings *settings;
};

struct ctl_command {
	const char *words; /* "quarantine show"; NULL ends the table */
	const char *usage; /* as printed */
	const char *text;
	size_t least, most; /* positional arguments */
	const struct ctl_option *options;
	int (*run)(struct ctl *c); /* gives the exit status */
};

extern const struct ctl_command ctl_status_commands[], ctl_spool_commands[],
    ctl_quarantine_commands[], ctl_kept_commands[], ctl_config_commands[], ctl_outbox_commands[],
    ctl_outputs_commands[], ctl_reprocess_commands[];
extern const struct tap_section
    *const ctl_sections[CTL_SECTIONS]; /* of all programs, in the order of the sample */

/* The value of an option of the command; "" when it has none; NULL = not given. */
const char *ctl_get(const struct ctl *c, const char *name);
static inline bool ctl_has(const struct ctl *c, const char *name)
{
	return ctl_get(c, name) != NULL;
}
/* A time as people write it: "2026-11-01", "2026-11-01T12:30:00Z", seconds since the epoch. TAP_E_DATA: it is none. */
enum tap_rc ctl_time(const char *text, int64_t *seconds_r, struct tap_err *err) TAP_MUST_CHECK;

/* Says err on stderr and gives the exit status for its class. */
int ctl_fail(const struct tap_err *err);
/* Reads the configuration file and one section. */
enum tap_rc ctl_section(struct ctl *c, const struct tap_section *sec, void *out,
			struct tap_err *err) TAP_MUST_CHECK;
/* Asks the worker (the line is made with tap_control_word and tap_control_set) and prints its answer, made safe; the exit status.
 * wait_ms: how long its work may take. */
int ctl_ask(struct ctl *c, struct tap_buf *line, int64_t wait_ms);
/* The same; the answer is left in body. A failure is for ctl_ask_fail. */
enum tap_rc ctl_ask_body(struct ctl *c, struct tap_buf *line, int64_t wait_ms, struct tap_buf *body,
			 struct tap_err *err) TAP_MUST_CHECK;

/* As ctl_fail, and knows whether the worker is down or does not let us ask. */
int ctl_ask_fail(const struct tap_err *err);

/* Texts of strangers: control characters, and bytes that are no UTF-8, become \xHH, so that they cannot move the cursor or set a title.
 * keep_lines lets LF and TAB through. */
void ctl_print_safe(const char *p, size_t n, bool keep_lines);
void ctl_print_text(const char *s); /* the same for a string, on one line */

#endif
