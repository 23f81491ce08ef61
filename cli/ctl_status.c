/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_status.c - `dmarctapctl status`: the worker's answer, or, when it is down, what the files say. */
#include "base/clock.h"
#include "cli/ctl.h"
#include "daemon/control.h"
#include "daemon/settings.h"
#include "daemon/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum { ANSWER_MAX = 1 << 20, WAIT_MS = 5000, STORE_MS = 3000 };

static void print(const struct ctl *c, const struct tap_buf *b)
{
	if (ctl_has(c, "json"))
		(void)fwrite(b->p, 1, b->len, stdout);
	else
		ctl_print_safe(b->p, b->len, true);
}

/* The worker is down; what can be counted without it is shown all the same. */
static int from_files(struct ctl *c, const struct tap_spool_settings *spool,
		      const struct tap_store_settings *store, const struct tap_err *why,
		      struct tap_buf *b)
{
	struct tap_status *s = calloc(1, sizeof(*s));
	struct tap_err err = {0};

	if (s == NULL)
		return EX_OSERR;
	(void)fprintf(stderr, "dmarctapctl: the worker does not answer: %s\n", why->msg);
	if (tap_status_spool(spool, s, &err) != TAP_OK)
		(void)fprintf(stderr, "dmarctapctl: %s\n", err.msg);
	if (tap_status_store(store->path, tap_clock_mono_ms() + STORE_MS, s, &err) != TAP_OK)
		(void)fprintf(stderr, "dmarctapctl: %s\n", err.msg);
	if (ctl_has(c, "json"))
		tap_status_json(s, b);
	else
		tap_status_text(s, b);
	print(c, b);
	free(s);
	return EX_UNAVAILABLE;
}

static int status_command(struct ctl *c)
{
	struct tap_worker_settings worker;
	struct tap_spool_settings spool;
	struct tap_store_settings store;
	struct tap_err err = {0};
	struct tap_buf b;
	int status = CTL_OK;

	if (ctl_section(c, &tap_worker_section, &worker, &err) != TAP_OK ||
	    ctl_section(c, &tap_spool_section, &spool, &err) != TAP_OK ||
	    ctl_section(c, &tap_store_section, &store, &err) != TAP_OK)
		return ctl_fail(&err);
	tap_buf_init(&b, ANSWER_MAX);
	if (tap_control_ask(worker.control_socket,
			    ctl_has(c, "json") ? "status json" : "status text",
			    tap_clock_mono_ms() + WAIT_MS, &b, &err) == TAP_OK) {
		print(c, &b);
	} else {
		tap_buf_reset(&b);
		status = from_files(c, &spool, &store, &err, &b);
	}
	tap_buf_free(&b);
	return status;
}

static const struct ctl_option options[] = {{"json", NULL, "one line of JSON, for machines"},
					    {NULL, NULL, NULL}};
const struct ctl_command ctl_status_commands[] = {
    {"status", "status [--json]", "the worker, the spool, the store, the outputs", 0, 0, options,
     status_command},
    {0},
};
