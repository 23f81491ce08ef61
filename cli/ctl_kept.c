/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_kept.c - `dmarctapctl quarantine retry|drop|expire`: asks the worker, or with --offline does it under the worker's lock and as
 * the service user [I10]. */
#include "base/clock.h"
#include "base/io.h"
#include "base/sandbox.h"
#include "cli/ctl.h"
#include "cli/ctl_kept.h"
#include "daemon/control.h"
#include "daemon/kept.h"
#include "daemon/settings.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { WAIT_MS = 300000, SECONDS_OF_DAY = 86400 };

/* worker.user, or else whom the spool belongs to: what root leaves behind the worker could not use. */
static enum tap_rc become_worker(const struct tap_worker_settings *worker, int root,
				 struct tap_err *err)
{
	struct passwd pw, *found = NULL;
	char text[16384];
	struct stat st;

	if (geteuid() != 0)
		return TAP_OK;
	if (worker->user != NULL)
		return tap_sandbox_become(worker->user, err);
	if (fstat(root, &st) != 0 || st.st_uid == 0)
		return TAP_OK;
	if (getpwuid_r(st.st_uid, &pw, text, sizeof text, &found) != 0 || found == NULL)
		return tap_err_set(
		    err, TAP_E_CONFIG,
		    "the spool belongs to user number %u, who has no name: set worker.user",
		    (unsigned)st.st_uid);
	return tap_sandbox_become(pw.pw_name, err);
}

enum tap_rc ctl_offline(struct ctl *c, struct tap_kept *k, int *lock_r, struct tap_err *err)
{
	struct tap_worker_settings worker;
	struct tap_spool_settings spool;
	int root = -1;
	enum tap_rc rc = ctl_section(c, &tap_worker_section, &worker, err);

	*lock_r = -1;
	if (rc == TAP_OK)
		rc = ctl_section(c, &tap_spool_section, &spool, err);
	if (rc == TAP_OK)
		rc = tap_spool_root(&spool, &root, err);
	if (rc == TAP_OK)
		rc = become_worker(&worker, root, err);
	if (rc == TAP_OK)
		rc = tap_io_lock(root, "worker.lock", lock_r, err);
	if (rc == TAP_E_TEMP)
		rc = tap_err_set(err, rc, "dmarctapd runs: leave --offline out");
	if (rc == TAP_OK)
		rc = tap_kept_open(&spool, k, err);
	tap_io_close(&root);
	if (rc != TAP_OK)
		tap_io_close(lock_r);
	return rc;
}

typedef enum tap_rc kept_fn(const struct tap_kept *, const struct tap_kept_which *,
			    struct tap_kept_count *, struct tap_err *);

static int offline(struct ctl *c, kept_fn *fn, const struct tap_kept_which *which, const char *what)
{
	struct tap_kept_count n = {0};
	struct tap_err err = {0};
	struct tap_kept k;
	int lock = -1;
	enum tap_rc rc = ctl_offline(c, &k, &lock, &err);

	if (rc != TAP_OK)
		return ctl_fail(&err);
	rc = fn(&k, which, &n, &err);
	tap_kept_close(&k);
	tap_io_close(&lock);
	if (rc == TAP_OK || n.done > 0)
		(void)printf("%" PRIu64 " %s\n", n.done, what);
	return rc == TAP_OK ? CTL_OK : ctl_fail(&err);
}

static int act(struct ctl *c, const char *verb, kept_fn *fn, const char *id, int64_t before,
	       const char *what)
{
	const char *verdict = ctl_get(c, "verdict");
	struct tap_kept_which which = {
	    .id = strcmp(id, "all") == 0 ? NULL : id, .verdict = verdict, .before = before};
	struct tap_buf line;
	char number[24];
	int status;

	if (which.id != NULL && strlen(id) != TAP_SPOOL_ID) {
		(void)fputs("dmarctapctl: an id has 32 hexadecimal digits; `quarantine list` shows "
			    "them; or say all\n",
			    stderr);
		return CTL_USAGE;
	}
	if (ctl_has(c, "offline"))
		return offline(c, fn, &which, what);
	tap_buf_init(&line, TAP_CONTROL_LINE / 2);
	tap_buf_printf(&line, "quarantine %s", verb);
	tap_control_word(&line, id);
	if (verdict != NULL)
		tap_control_set(&line, "verdict", verdict);
	if (before != INT64_MAX) {
		(void)snprintf(number, sizeof(number), "%" PRId64, before);
		tap_control_set(&line, "before", number);
	}
	status = ctl_ask(c, &line, WAIT_MS);
	tap_buf_free(&line);
	return status;
}

int ctl_kept_drop(struct ctl *c, const char *id)
{
	return act(c, "drop", tap_kept_drop, id, INT64_MAX, "removed");
}

static int retry(struct ctl *c)
{
	return act(c, "retry", tap_kept_retry, c->n_args > 0 ? c->arg[0] : "all", INT64_MAX,
		   "tried again");
}

static int drop(struct ctl *c)
{
	return ctl_kept_drop(c, c->arg[0]);
}

static int expire(struct ctl *c)
{
	const char *date = ctl_get(c, "before"), *days = ctl_get(c, "older");
	struct tap_err err = {0};
	int64_t before = 0;
	char *end = NULL;

	if ((date == NULL) == (days == NULL)) {
		(void)fputs("dmarctapctl: say --before DATE or --older DAYS\n", stderr);
		return CTL_USAGE;
	}
	if (date != NULL && ctl_time(date, &before, &err) != TAP_OK) {
		(void)fprintf(stderr, "dmarctapctl: %s\n", err.msg);
		return CTL_USAGE;
	}
	if (days != NULL) {
		long n = strtol(days, &end, 10);

		if (end == days || *end != '\0' || n < 0 || n > 100000) {
			(void)fprintf(stderr, "dmarctapctl: \"%s\" is no number of days\n", days);
			return CTL_USAGE;
		}
		before = tap_clock_now() - n * SECONDS_OF_DAY;
	}
	return act(c, "drop", tap_kept_drop, "all", before, "removed");
}

#define OFFLINE                                                                                    \
	{                                                                                          \
		"offline", NULL, "while the worker is stopped: do it here, as the worker's user"   \
	}
#define VERDICT                                                                                    \
	{                                                                                          \
		"verdict", "VERDICT", "only what is there for this, as \"broken\""                 \
	}
static const struct ctl_option retry_options[] = {VERDICT, OFFLINE, {NULL, NULL, NULL}};
static const struct ctl_option drop_options[] = {OFFLINE, {NULL, NULL, NULL}};
static const struct ctl_option expire_options[] = {
    {"before", "DATE", "filed before this time (2026-11-01, UTC)"},
    {"older", "DAYS", "filed longer ago than so many days"},
    VERDICT,
    OFFLINE,
    {NULL, NULL, NULL}};
const struct ctl_command ctl_kept_commands[] = {
    {"quarantine retry", "quarantine retry [ID|all] [--verdict V]",
     "gives messages to the worker once more, after an upgrade or a change of the configuration", 0,
     1, retry_options, retry},
    {"quarantine release", "quarantine release ID [--to ADDRESS] [--keep]",
     "sends a message to a mailbox, as it came, with sendmail", 1, 1, ctl_release_options,
     ctl_quarantine_release},
    {"quarantine expire", "quarantine expire --before DATE|--older DAYS",
     "removes what was filed long ago", 0, 0, expire_options, expire},
    {"quarantine drop", "quarantine drop ID", "removes a message for good", 1, 1, drop_options,
     drop},
    {0},
};
