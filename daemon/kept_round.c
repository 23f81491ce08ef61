/* SPDX-License-Identifier: Apache-2.0
 * daemon/kept_round.c - the worker's regular look at quarantine: its age, its size, what was left by a crash. */
#include "daemon/kept.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LONE_S = 3600 }; /* a reason is written before its message comes: it is not alone yet */

struct round {
	const struct tap_kept *k;
	char (*name)[TAP_SPOOL_NAME];
	size_t n, cap;
	int64_t bytes;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void sweep_lone(const struct tap_kept *k, const char *side)
{
	char message[TAP_SPOOL_NAME], id[TAP_SPOOL_ID + 1];
	struct stat st;

	(void)snprintf(message, sizeof(message), "%.*s.tap", TAP_SPOOL_ID, side);
	if (strlen(side) != TAP_SPOOL_ID + 5 || strcmp(side + TAP_SPOOL_ID, ".json") != 0 ||
	    !tap_spool_id_of(message, id))
		return;
	if (faccessat(k->quarantine, message, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	for (size_t d = 0; d < TAP_DOOR_N; d++)
		if (faccessat(k->door[d], message, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return;
	if (fstatat(k->quarantine, side, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    st.st_mtime > tap_clock_now() - LONE_S)
		return;
	if (tap_io_unlink(k->quarantine, side, NULL, NULL) == TAP_OK)
		tap_debug("quarantine", "%s was left without its message", side);
}

static enum tap_rc look(void *ctx, const char *name, enum tap_spool_entry what, struct tap_err *err)
{
	struct round *r = ctx;
	struct stat st;

	if (what == TAP_SPOOL_FOREIGN) {
		sweep_lone(r->k, name);
		return TAP_OK;
	}
	if (fstatat(r->k->quarantine, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return TAP_OK;
	r->bytes += st.st_size;
	if (r->n == r->cap) {
		size_t cap = r->cap > 0 ? r->cap * 2 : 64;
		char(*more)[TAP_SPOOL_NAME] = realloc(r->name, cap * sizeof(*more));

		if (more == NULL)
			return tap_err_set(err, TAP_E_TEMP, "out of memory");
		r->name = more;
		r->cap = cap;
	}
	(void)snprintf(r->name[r->n++], TAP_SPOOL_NAME, "%s", name);
	return TAP_OK;
}

/* The oldest that a mailbox has got as well, until the rest fits. */
static void make_room(struct round *r, int64_t max_bytes)
{
	uint64_t gone = 0;

	if (r->n > 0)
		qsort(r->name, r->n, sizeof(*r->name), by_name);
	for (size_t i = 0; i < r->n && r->bytes > max_bytes; i++) {
		char id[TAP_SPOOL_ID + 1];
		struct tap_kept_which which = {.id = id, .before = INT64_MAX};
		struct tap_kept_count n = {0};
		struct tap_spool_file f;
		int64_t size;
		bool passed_on;

		if (tap_spool_file_open(r->k->quarantine, r->name[i], &f, NULL) != TAP_OK)
			continue;
		passed_on = f.envelope.passed_on;
		size = (int64_t)f.size;
		tap_spool_file_close(&f);
		if (!passed_on || !tap_spool_id_of(r->name[i], id) ||
		    tap_kept_drop(r->k, &which, &n, NULL) != TAP_OK)
			continue;
		r->bytes -= size;
		gone++;
	}
	if (gone > 0)
		tap_warn("quarantine",
			 "over quarantine.max_bytes: removed %" PRIu64
			 " messages that mailboxes have got, too",
			 gone);
}

/* Says "full" to the doors, or takes it back. */
static void tell_doors(const struct tap_kept *k, bool full)
{
	bool said = faccessat(k->root, tap_spool_stop, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	struct tap_err err = {0};
	enum tap_rc rc = TAP_OK;
	int fd = -1;

	if (full == said)
		return;
	if (full) {
		rc = tap_io_open(k->root, tap_spool_stop, O_WRONLY | O_CREAT | O_NOFOLLOW,
				 TAP_SPOOL_FILE_MODE, &fd, NULL, &err);
		tap_io_close(&fd);
		tap_error("quarantine", "over quarantine.max_bytes: report addresses get 452 until "
					"messages are retried, released, dropped or expired");
	} else {
		rc = tap_io_unlink(k->root, tap_spool_stop, NULL, &err);
		tap_info("quarantine", "under quarantine.max_bytes again: reports are taken in");
	}
	if (rc != TAP_OK)
		tap_log_err(TAP_LOG_ERROR, "quarantine", &err);
}

void tap_kept_round(const struct tap_kept *k, const struct tap_quarantine_settings *set)
{
	struct round r = {.k = k};
	struct tap_kept_which old = {.before = tap_clock_now() - set->keep_ms / 1000};
	struct tap_kept_count n = {0};
	struct tap_err err = {0};
	enum tap_rc rc = TAP_OK;

	if (set->keep_ms > 0)
		rc = tap_kept_drop(k, &old, &n, &err);
	if (n.done > 0)
		tap_info("quarantine", "removed %" PRIu64 " messages older than quarantine.keep",
			 n.done);
	if (rc == TAP_OK)
		rc = tap_spool_scan(k->quarantine, look, &r, &err);
	if (rc == TAP_OK) {
		if (r.bytes > set->max_bytes)
			make_room(&r, set->max_bytes);
		tell_doors(k, r.bytes > set->max_bytes);
	} else {
		tap_log_err(TAP_LOG_ERROR, "quarantine", &err);
	}
	free(r.name);
}
