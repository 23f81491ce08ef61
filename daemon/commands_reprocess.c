/* SPDX-License-Identifier: Apache-2.0
 * daemon/commands_reprocess.c - the verbs of reprocess.h. */
#include "daemon/reprocess.h"

#include "base/clock.h"
#include "daemon/control.h"
#include "daemon/status.h"
#include "daemon/worker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PLAN_MS = 6000, STATUS_MS = 1000 };

static bool seconds(const char *args, const char *key, int64_t *v_r)
{
	char text[32], *end;

	if (!tap_control_get(args, key, text, sizeof(text)) || *text < '0' || *text > '9')
		return false;
	*v_r = strtoll(text, &end, 10);
	return *end == '\0';
}

static enum tap_rc do_start(struct tap_store *s, void *ctx, struct tap_err *err)
{
	return tap_store_reprocess_start(s, ctx, err);
}

enum tap_rc tap_command_reprocess(struct tap_worker *w, const char *args, struct tap_buf *body,
				  struct tap_err *err)
{
	struct tap_store_reprocess set = {.until = INT64_MAX};
	struct tap_store_reader *r = NULL;
	char uid[64];
	bool one = tap_control_get(args, "report", uid, sizeof(uid));
	enum tap_rc rc;

	if (one == seconds(args, "since", &set.since))
		return tap_err_set(err, TAP_E_DATA, "either since or a report is needed");
	(void)seconds(args, "until", &set.until);
	rc = tap_store_open_reader(w->store_set.path, &r, err);
	if (rc == TAP_OK) {
		tap_store_reader_deadline(r, tap_clock_mono_ms() + PLAN_MS);
		rc = tap_store_reprocess_plan(r, one ? uid : NULL, &set, err);
	}
	tap_store_close_reader(&r);
	if (rc == TAP_OK)
		rc = tap_writer_run(w, do_start, &set, err);
	if (rc != TAP_OK)
		return rc;
	tap_reprocess_wake(w);
	if (set.owed > 0)
		tap_buf_printf(body, "%" PRIu64 " messages", set.owed);
	else
		tap_buf_adds(body, "many messages");
	tap_buf_adds(body, " are parsed again, behind new mail: dmarctapctl reprocess --status\n");
	return TAP_OK;
}

enum tap_rc tap_command_reprocess_status(struct tap_worker *w, const char *args,
					 struct tap_buf *body, struct tap_err *err)
{
	struct tap_store_reprocess job;
	struct tap_store_reader *r = NULL;
	char format[8];
	bool json =
	    tap_control_get(args, "format", format, sizeof(format)) && strcmp(format, "json") == 0;
	enum tap_rc rc = tap_store_open_reader(w->store_set.path, &r, err);

	if (rc == TAP_OK) {
		tap_store_reader_deadline(r, tap_clock_mono_ms() + STATUS_MS);
		rc = tap_store_reprocess_get(r, &job, err);
	}
	tap_store_close_reader(&r);
	if (rc == TAP_E_NOTFOUND) {
		*err = (struct tap_err){0};
		rc = TAP_OK;
	}
	if (rc == TAP_OK && json) {
		tap_status_reprocess_json(&job, body);
		tap_buf_addc(body, '\n');
	} else if (rc == TAP_OK && job.id == 0) {
		tap_buf_adds(body, "nothing was ever parsed again\n");
	} else if (rc == TAP_OK) {
		tap_status_reprocess_text(&job, body);
	}
	return rc;
}
