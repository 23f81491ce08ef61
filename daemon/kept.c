/* SPDX-License-Identifier: Apache-2.0
 * daemon/kept.c - retry, drop and expiry of messages in quarantine. */
#include "daemon/kept.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { SIDECAR_MAX = 64 << 10, TIME_DIGITS = 10, RANDOM_BYTES = (TAP_SPOOL_ID - TIME_DIGITS) / 2 };

static const struct tap_setting table[] = {
    TAP_ROW_TIME("keep", tap_quarantine_settings, keep_ms, 0, "0", 0, INT64_MAX / 2,
		 "How long a message stays in quarantine; then the worker removes it. 0: until an "
		 "operator does."),
    TAP_ROW_SIZE("max_bytes", tap_quarantine_settings, max_bytes, 0, "1G", 1 << 16, INT64_MAX,
		 "When more than this lies in quarantine, the oldest messages that a mailbox has "
		 "got too are removed. Where that is not enough nothing is thrown away: report "
		 "addresses get 452 until an operator has looked (dmarctapctl quarantine)."),
    {.name = NULL},
};
const struct tap_section tap_quarantine_section = {
    .name = "quarantine",
    .doc =
	"Messages that could not be stored: the worker keeps them as they came, with the reason.",
    .table = table,
    .struct_size = sizeof(struct tap_quarantine_settings),
};

enum tap_rc tap_kept_open(const struct tap_spool_settings *set, struct tap_kept *k,
			  struct tap_err *err)
{
	enum tap_rc rc;

	k->root = k->quarantine = -1;
	for (size_t d = 0; d < TAP_DOOR_N; d++)
		k->door[d] = -1;
	rc = tap_spool_root(set, &k->root, err);
	if (rc == TAP_OK)
		rc = tap_io_opendir(k->root, tap_spool_quarantine, 0, &k->quarantine, err);
	for (size_t d = 0; rc == TAP_OK && d < TAP_DOOR_N; d++)
		rc = tap_io_opendir(k->root, tap_spool_incoming[d], 0, &k->door[d], err);
	if (rc != TAP_OK)
		tap_kept_close(k);
	return rc;
}

void tap_kept_close(struct tap_kept *k)
{
	for (size_t d = 0; d < TAP_DOOR_N; d++)
		tap_io_close(&k->door[d]);
	tap_io_close(&k->quarantine);
	tap_io_close(&k->root);
}

/* ---- which ---- */

struct entry {
	char name[TAP_SPOOL_NAME];
	bool moved;
};
struct list {
	struct entry *e;
	size_t n, cap;
};

static enum tap_rc collect(void *ctx, const char *name, enum tap_spool_entry what,
			   struct tap_err *err)
{
	struct list *l = ctx;

	if (what != TAP_SPOOL_MESSAGE)
		return TAP_OK;
	if (l->n == l->cap) {
		size_t cap = l->cap > 0 ? l->cap * 2 : 64;
		struct entry *more = realloc(l->e, cap * sizeof(*more));

		if (more == NULL)
			return tap_err_set(err, TAP_E_TEMP, "out of memory");
		l->e = more;
		l->cap = cap;
	}
	(void)snprintf(l->e[l->n].name, sizeof(l->e[l->n].name), "%s", name);
	l->e[l->n++].moved = false;
	return TAP_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void sidecar_name(const char *message, char out[TAP_SPOOL_ID + 8])
{
	(void)snprintf(out, TAP_SPOOL_ID + 8, "%.*s.json", TAP_SPOOL_ID, message);
}

void tap_kept_describe(const struct tap_kept *k, const char *name, struct tap_sidecar *s)
{
	char side[TAP_SPOOL_ID + 8];
	struct tap_buf b;
	struct stat st;
	bool known;

	sidecar_name(name, side);
	tap_buf_init(&b, SIDECAR_MAX);
	known = tap_io_read_file(k->quarantine, side, &b, NULL) == TAP_OK &&
		tap_sidecar_read(b.p, b.len, s, NULL) == TAP_OK;
	tap_buf_free(&b);
	if (known)
		return;
	memset(s, 0, sizeof(*s));
	(void)snprintf(s->id, sizeof(s->id), "%.*s", TAP_SPOOL_ID, name);
	if (fstatat(k->quarantine, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		s->when = st.st_ctime;
}

static bool wanted(const struct tap_kept *k, const char *name, const struct tap_kept_which *which)
{
	bool verdict = which->verdict != NULL && which->verdict[0] != '\0';
	struct tap_sidecar s;

	if (which->id != NULL && which->id[0] != '\0' &&
	    (strlen(which->id) != TAP_SPOOL_ID || strncmp(name, which->id, TAP_SPOOL_ID) != 0))
		return false;
	if (!verdict && which->before == INT64_MAX)
		return true;
	tap_kept_describe(k, name, &s);
	return (!verdict || strcmp(s.verdict, which->verdict) == 0) && s.when < which->before;
}

static enum tap_rc choose(const struct tap_kept *k, const struct tap_kept_which *which,
			  struct list *l, struct tap_err *err)
{
	enum tap_rc rc = tap_spool_scan(k->quarantine, collect, l, err);
	size_t n = 0;

	if (rc != TAP_OK)
		return rc;
	if (l->n > 0)
		qsort(l->e, l->n, sizeof(*l->e), by_name);
	for (size_t i = 0; i < l->n; i++)
		if (wanted(k, l->e[i].name, which))
			l->e[n++] = l->e[i];
	l->n = n;
	if (n == 0 && which->id != NULL && which->id[0] != '\0')
		return tap_err_set(err, TAP_E_NOTFOUND, "there is no message %s in quarantine",
				   which->id);
	return TAP_OK;
}

/* ---- what is done ---- */

typedef enum tap_rc step_fn(const struct tap_kept *k, const char *name, struct tap_err *err);

static enum tap_door door_of(const struct tap_kept *k, const char *name)
{
	struct tap_sidecar s;

	tap_kept_describe(k, name, &s);
	for (int d = 0; d < TAP_DOOR_N; d++)
		if (strcmp(s.door, tap_door_name[d]) == 0)
			return (enum tap_door)d;
	return TAP_DOOR_IMPORT;
}

static enum tap_rc send_back(const struct tap_kept *k, const char *name, struct tap_err *err)
{
	unsigned char chance[RANDOM_BYTES];
	char digits[2 * RANDOM_BYTES + 1], fresh[TAP_SPOOL_NAME];
	enum tap_door door = door_of(k, name);
	struct tap_log_field fields[] = {{"id", name}, {"as", fresh}, {NULL, NULL}};
	enum tap_rc rc;

	if (getrandom(chance, sizeof(chance), 0) != (ssize_t)sizeof(chance))
		return tap_err_sys(err, TAP_E_TEMP, errno, "quarantine: no new id");
	tap_hex(chance, sizeof(chance), digits);
	(void)snprintf(fresh, sizeof(fresh), "%.*s%s.tap", TIME_DIGITS, name, digits);
	rc = tap_io_rename(k->quarantine, name, k->door[door], fresh, "quarantine.retry", err);
	if (rc == TAP_OK)
		tap_log_fields(TAP_LOG_INFO, "quarantine", fields, "tried again");
	return rc;
}

static enum tap_rc drop(const struct tap_kept *k, const char *name, struct tap_err *err)
{
	struct tap_log_field fields[] = {{"id", name}, {NULL, NULL}};
	enum tap_rc rc = tap_io_unlink(k->quarantine, name, "quarantine.drop", err);

	if (rc == TAP_OK)
		tap_log_fields(TAP_LOG_INFO, "quarantine", fields, "removed");
	return rc;
}

/* The new names first: a power cut may show a message twice, never not at all. */
static enum tap_rc make_durable(const struct tap_kept *k, bool back, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (size_t d = 0; back && rc == TAP_OK && d < TAP_DOOR_N; d++)
		rc = tap_io_fsync(k->door[d], "quarantine.sync", err);
	return rc == TAP_OK ? tap_io_fsync(k->quarantine, "quarantine.sync", err) : rc;
}

static enum tap_rc each(const struct tap_kept *k, struct list *l, step_fn *step,
			struct tap_kept_count *n, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK, durable;

	for (size_t i = 0; i < l->n; i++) {
		struct tap_err one = {0};
		enum tap_rc r = step(k, l->e[i].name, &one);

		l->e[i].moved = r == TAP_OK;
		n->done += r == TAP_OK;
		if (r == TAP_OK || r == TAP_E_NOTFOUND)
			continue;
		n->left++;
		if (rc == TAP_OK) {
			rc = r;
			if (err != NULL)
				*err = one;
		}
	}
	if (n->done == 0)
		return rc;
	durable = make_durable(k, step == send_back, rc == TAP_OK ? err : NULL);
	if (durable != TAP_OK) /* the reasons stay: the next round sweeps them */
		return rc == TAP_OK ? durable : rc;
	for (size_t i = 0; i < l->n; i++) {
		char side[TAP_SPOOL_ID + 8];

		sidecar_name(l->e[i].name, side);
		if (l->e[i].moved &&
		    tap_io_unlink(k->quarantine, side, "quarantine.forget", NULL) != TAP_OK)
			tap_debug("quarantine", "%s stays for now", side);
	}
	return rc;
}

static enum tap_rc act(const struct tap_kept *k, const struct tap_kept_which *which, step_fn *step,
		       struct tap_kept_count *n, struct tap_err *err)
{
	struct list l = {0};
	enum tap_rc rc;

	n->done = n->left = 0;
	rc = choose(k, which, &l, err);
	if (rc == TAP_OK)
		rc = each(k, &l, step, n, err);
	free(l.e);
	return rc;
}

enum tap_rc tap_kept_retry(const struct tap_kept *k, const struct tap_kept_which *which,
			   struct tap_kept_count *n, struct tap_err *err)
{
	return act(k, which, send_back, n, err);
}

enum tap_rc tap_kept_drop(const struct tap_kept *k, const struct tap_kept_which *which,
			  struct tap_kept_count *n, struct tap_err *err)
{
	return act(k, which, drop, n, err);
}
