/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_reprocess.c - `dmarctapctl reprocess`: words for the worker (daemon/reprocess.h), which does it by itself. */
#include "cli/ctl.h"
#include "daemon/control.h"

#include <inttypes.h>
#include <stdio.h>

enum { WAIT_MS = 20000, LINE = 2048 };

static bool add_time(struct ctl *c, struct tap_buf *line, const char *name, struct tap_err *err)
{
	const char *text = ctl_get(c, name);
	int64_t t = 0;
	char value[32];

	if (text == NULL)
		return true;
	if (ctl_time(text, &t, err) != TAP_OK)
		return false;
	(void)snprintf(value, sizeof(value), "%" PRId64, t);
	tap_control_set(line, name, value);
	return true;
}

static bool start(struct ctl *c, struct tap_buf *line, struct tap_err *err)
{
	const char *uid = ctl_get(c, "report");

	if ((uid == NULL) == (ctl_get(c, "since") == NULL) ||
	    (uid != NULL && ctl_has(c, "until"))) {
		(void)tap_err_set(err, TAP_E_DATA,
				  "--since (with --until), --report or --status is needed");
		return false;
	}
	tap_buf_adds(line, "reprocess");
	if (uid != NULL)
		tap_control_set(line, "report", uid);
	return add_time(c, line, "since", err) && add_time(c, line, "until", err);
}

static int reprocess(struct ctl *c)
{
	struct tap_err err = {0};
	struct tap_buf line;
	bool good = true;
	int status;

	tap_buf_init(&line, LINE);
	if (ctl_has(c, "status")) {
		tap_buf_adds(&line, "reprocess status");
		if (ctl_has(c, "json"))
			tap_control_set(&line, "format", "json");
	} else {
		good = start(c, &line, &err);
	}
	status = good ? ctl_ask(c, &line, WAIT_MS) : ctl_fail(&err);
	tap_buf_free(&line);
	return status;
}

static const struct ctl_option options[] = {
    {"since", "DATE", "mail of reports that were stored then or later"},
    {"until", "DATE", "and before this"},
    {"report", "UID", "the mail of this report"},
    {"status", NULL, "how far it has got"},
    {"json", NULL, "with --status: one line of JSON, for machines"},
    {NULL, NULL, NULL}};
const struct ctl_command ctl_reprocess_commands[] = {
    {"reprocess", "reprocess --since DATE | --report UID | --status",
     "reports are read again from what the store keeps", 0, 0, options, reprocess},
    {0},
};
