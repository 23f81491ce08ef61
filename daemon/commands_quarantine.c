/* SPDX-License-Identifier: Apache-2.0
 * daemon/commands_quarantine.c - `quarantine retry|drop|expire` of the control socket. */
#include "daemon/commands.h"

#include "daemon/control.h"
#include "daemon/kept.h"
#include "daemon/worker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct asked {
	char id[64], verdict[64], before[32];
	struct tap_kept_which which;
};

static void read_args(const char *args, struct asked *a)
{
	memset(a, 0, sizeof(*a));
	(void)tap_control_next(&args, a->id, sizeof(a->id));
	a->which.id = strcmp(a->id, "all") == 0 ? NULL : a->id;
	if (tap_control_get(args, "verdict", a->verdict, sizeof(a->verdict)))
		a->which.verdict = a->verdict;
	a->which.before = tap_control_get(args, "before", a->before, sizeof(a->before))
			      ? strtoll(a->before, NULL, 10)
			      : INT64_MAX;
}

static enum tap_rc act(struct tap_worker *w, const char *args, const char *what,
		       enum tap_rc (*fn)(const struct tap_kept *, const struct tap_kept_which *,
					 struct tap_kept_count *, struct tap_err *),
		       struct tap_buf *body, struct tap_err *err)
{
	struct tap_kept_count n = {0};
	struct tap_kept k;
	struct asked a;
	enum tap_rc rc;

	read_args(args, &a);
	if (a.id[0] == '\0')
		return tap_err_set(err, TAP_E_DATA, "an id, or all, is missing");
	rc = tap_kept_open(&w->spool, &k, err);
	if (rc != TAP_OK)
		return rc;
	rc = fn(&k, &a.which, &n, err);
	tap_kept_close(&k);
	if (rc == TAP_OK)
		tap_buf_printf(body, "%" PRIu64 " %s\n", n.done, what);
	else if (n.done > 0)
		(void)tap_err_prefix(err, "%" PRIu64 " %s, %" PRIu64 " left: ", n.done, what,
				     n.left);
	return rc;
}

enum tap_rc tap_command_quarantine_retry(struct tap_worker *w, const char *args,
					 struct tap_buf *body, struct tap_err *err)
{
	return act(w, args, "tried again", tap_kept_retry, body, err);
}

enum tap_rc tap_command_quarantine_drop(struct tap_worker *w, const char *args,
					struct tap_buf *body, struct tap_err *err)
{
	return act(w, args, "removed", tap_kept_drop, body, err);
}
