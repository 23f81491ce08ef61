/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_outbox.c - `dmarctapctl outbox …`, `backfill`, `expire`: words for the worker (daemon/outbox.h). */
#include "cli/ctl.h"
#include "daemon/control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 10000, EXPIRE_MS = 30000, LINE = 2048 };

static int list(struct ctl *c)
{
	struct tap_buf line;
	int status;

	tap_buf_init(&line, LINE);
	tap_buf_adds(&line, "outbox list");
	if (c->n_args > 0)
		tap_control_word(&line, c->arg[0]);
	if (ctl_has(c, "json"))
		tap_control_set(&line, "format", "json");
	status = ctl_ask(c, &line, WAIT_MS);
	tap_buf_free(&line);
	return status;
}

static int items(struct ctl *c, const char *verb)
{
	struct tap_buf line;
	int status;

	tap_buf_init(&line, LINE);
	tap_buf_adds(&line, verb);
	tap_control_word(&line, c->arg[0]);
	tap_control_word(&line, c->n_args > 1 ? c->arg[1] : "all");
	status = ctl_ask(c, &line, WAIT_MS);
	tap_buf_free(&line);
	return status;
}

static int retry(struct ctl *c)
{
	return items(c, "outbox retry");
}

static int drop(struct ctl *c)
{
	return items(c, "outbox drop");
}

/* --NAME DATE as an option of the verb; false: it is no time (err), or missing. */
static bool add_time(struct ctl *c, struct tap_buf *line, const char *name, bool needed,
		     struct tap_err *err)
{
	const char *text = ctl_get(c, name);
	int64_t t = 0;
	char value[32];

	if (text == NULL && needed)
		(void)tap_err_set(err, TAP_E_DATA, "--%s is needed", name);
	if (text == NULL)
		return !needed;
	if (ctl_time(text, &t, err) != TAP_OK)
		return false;
	(void)snprintf(value, sizeof(value), "%" PRId64, t);
	tap_control_set(line, name, value);
	return true;
}

static int backfill(struct ctl *c)
{
	struct tap_err err = {0};
	struct tap_buf line;
	int status;

	tap_buf_init(&line, LINE);
	tap_buf_adds(&line, "backfill");
	tap_control_word(&line, c->arg[0]);
	status = add_time(c, &line, "since", true, &err) && add_time(c, &line, "until", false, &err)
		     ? ctl_ask(c, &line, WAIT_MS)
		     : ctl_fail(&err);
	tap_buf_free(&line);
	return status;
}

/* The worker removes a piece each time, and says where to go on. */
static enum tap_rc expire_piece(struct ctl *c, const struct tap_buf *begin, long long *from,
				unsigned long long *sum, struct tap_err *err)
{
	struct tap_buf line, body;
	char text[32];
	const char *p;
	enum tap_rc rc;

	tap_buf_init(&line, LINE);
	tap_buf_init(&body, LINE);
	tap_buf_add(&line, begin->p, begin->len);
	(void)snprintf(text, sizeof(text), "%lld", *from);
	tap_control_set(&line, "from", text);
	rc = ctl_ask_body(c, &line, EXPIRE_MS, &body, err);
	if (rc == TAP_OK) {
		p = tap_buf_cstr(&body);
		*sum += strncmp(p, "removed ", 8) == 0 ? strtoull(p + 8, NULL, 10) : 0;
		p = strstr(p, " next ");
		*from = p != NULL ? strtoll(p + 6, NULL, 10) : 0;
	}
	tap_buf_free(&line);
	tap_buf_free(&body);
	return rc;
}

static int expire(struct ctl *c)
{
	unsigned long long sum = 0;
	long long from = 0;
	struct tap_err err = {0};
	struct tap_buf begin;
	enum tap_rc rc = TAP_E_DATA;

	tap_buf_init(&begin, LINE);
	tap_buf_adds(&begin, "expire");
	if (ctl_has(c, "even-owed"))
		tap_control_set(&begin, "owed", "yes");
	if (add_time(c, &begin, "before", true, &err))
		do
			rc = expire_piece(c, &begin, &from, &sum, &err);
		while (rc == TAP_OK && from > 0);
	tap_buf_free(&begin);
	(void)printf("%llu reports removed\n", sum);
	return rc == TAP_OK ? CTL_OK : ctl_ask_fail(&err);
}

static const struct ctl_option list_options[] = {{"json", NULL, "one line of JSON, for machines"},
						 {NULL, NULL, NULL}};
static const struct ctl_option backfill_options[] = {
    {"since", "DATE", "reports that were stored then or later"},
    {"until", "DATE", "and before this"},
    {NULL, NULL, NULL}};
static const struct ctl_option expire_options[] = {
    {"before", "DATE", "reports that were stored before this"},
    {"even-owed", NULL, "also what an output has not got yet"},
    {NULL, NULL, NULL}};
const struct ctl_command ctl_outbox_commands[] = {
    {"outbox list", "outbox list [SINK] [--json]",
     "where outputs stand, what is parked or waits, and why", 0, 1, list_options, list},
    {"outbox retry", "outbox retry SINK [ID|all]", "parked and waiting items are tried again now",
     1, 2, NULL, retry},
    {"outbox drop", "outbox drop SINK ID|all", "they are given up", 2, 2, NULL, drop},
    {"backfill", "backfill SINK --since DATE", "reports are owed to this output again", 1, 1,
     backfill_options, backfill},
    {"expire", "expire --before DATE", "old reports are removed", 0, 0, expire_options, expire},
    {0},
};
