/* SPDX-License-Identifier: Apache-2.0
 * daemon/commands.c - the table of the control socket's verbs, and the way to one of them. */
#include "daemon/commands.h"
#include "daemon/outbox.h"
#include "daemon/reprocess.h"

#include <string.h>

static enum tap_rc ping(struct tap_worker *w, const char *args, struct tap_buf *body,
			struct tap_err *err)
{
	(void)w;
	(void)args;
	(void)body;
	(void)err;
	return TAP_OK;
}

const struct tap_command tap_commands[] = {
    {"ping", ping},
    {"status", tap_command_status},
    {"quarantine retry", tap_command_quarantine_retry},
    {"quarantine drop", tap_command_quarantine_drop},
    {"outbox list", tap_command_outbox_list},
    {"outputs list", tap_command_outputs_list},
    {"outbox retry", tap_command_outbox_retry},
    {"outbox drop", tap_command_outbox_drop},
    {"backfill", tap_command_backfill},
    {"expire", tap_command_expire},
    {"reprocess status", tap_command_reprocess_status},
    {"reprocess", tap_command_reprocess},
    {NULL, NULL},
};

enum tap_rc tap_commands_answer(void *worker, const char *line, struct tap_buf *body,
				struct tap_err *err)
{
	struct tap_buf names;
	enum tap_rc rc;

	for (const struct tap_command *c = tap_commands; c->name != NULL; c++) {
		size_t n = strlen(c->name);

		if (strncmp(line, c->name, n) != 0 || (line[n] != '\0' && line[n] != ' '))
			continue;
		return c->run(worker, line + n + (line[n] == ' '), body, err);
	}
	tap_buf_init(&names, 400);
	for (const struct tap_command *c = tap_commands; c->name != NULL; c++)
		tap_buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", c->name);
	rc = tap_err_set(err, TAP_E_NOTFOUND, "there is no such command; there are %s",
			 tap_buf_cstr(&names));
	tap_buf_free(&names);
	return rc;
}
