/* SPDX-License-Identifier: Apache-2.0
 * daemon/status.c - counting and printing of the status. Threads: no shared state. */
#include "daemon/status.h"

#include "base/io.h"
#include "daemon/sidecar.h"
#include "intake/spool.h"
#include "outputs/encode.h"
#include "store/query.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDECAR_MAX = 64 << 10 };

struct counting {
	int dirfd;
	uint64_t files, bytes;
	struct tap_status *verdicts; /* NULL = not wanted */
	size_t looked_at;
};

static void count_verdict(struct tap_status *s, const char *name)
{
	size_t i = 0;

	while (i < s->n_verdicts && strcmp(s->verdict[i].name, name) != 0)
		i++;
	if (i == TAP_STATUS_VERDICTS)
		return; /* there are fewer */
	if (i == s->n_verdicts) {
		(void)snprintf(s->verdict[i].name, sizeof(s->verdict[i].name), "%s", name);
		s->n_verdicts++;
	}
	s->verdict[i].files++;
}

static void look_at_sidecar(struct counting *c, const char *message)
{
	char name[TAP_SPOOL_ID + 8];
	struct tap_sidecar side;
	struct tap_buf b;
	bool known = false;

	if (c->looked_at++ < TAP_STATUS_SIDECARS) {
		(void)snprintf(name, sizeof(name), "%.*s.json", TAP_SPOOL_ID, message);
		tap_buf_init(&b, SIDECAR_MAX);
		known = tap_io_read_file(c->dirfd, name, &b, NULL) == TAP_OK &&
			tap_sidecar_read(b.p, b.len, &side, NULL) == TAP_OK;
		tap_buf_free(&b);
	}
	count_verdict(c->verdicts, known				? side.verdict
				   : c->looked_at > TAP_STATUS_SIDECARS ? "not looked at"
									: "no reason is there");
}

static enum tap_rc count(void *ctx, const char *name, enum tap_spool_entry what,
			 struct tap_err *err)
{
	struct counting *c = ctx;
	struct stat st;

	(void)err;
	if (what == TAP_SPOOL_MESSAGE && fstatat(c->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		c->files++;
		c->bytes += (uint64_t)st.st_size;
		if (c->verdicts != NULL)
			look_at_sidecar(c, name);
	}
	return TAP_OK;
}

/* A directory that is not there yet holds nothing. */
static enum tap_rc count_dir(int root, const char *name, uint64_t *files, uint64_t *bytes,
			     struct tap_status *verdicts, struct tap_err *err)
{
	struct counting c = {.dirfd = -1, .verdicts = verdicts};
	enum tap_rc rc = tap_io_opendir(root, name, 0, &c.dirfd, err);

	if (rc == TAP_E_NOTFOUND)
		return TAP_OK;
	if (rc == TAP_OK)
		rc = tap_spool_scan(c.dirfd, count, &c, err);
	tap_io_close(&c.dirfd);
	*files += c.files;
	*bytes += c.bytes;
	return rc;
}

enum tap_rc tap_status_spool(const struct tap_spool_settings *set, struct tap_status *s,
			     struct tap_err *err)
{
	int root = -1;
	enum tap_rc rc = tap_spool_root(set, &root, err);

	for (size_t d = 0; rc == TAP_OK && d < TAP_DOOR_N; d++)
		rc = count_dir(root, tap_spool_incoming[d], &s->spool_files, &s->spool_bytes, NULL,
			       err);
	if (rc == TAP_OK)
		rc = count_dir(root, tap_spool_quarantine, &s->quarantine_files,
			       &s->quarantine_bytes, s, err);
	tap_io_close(&root);
	return rc;
}

static enum tap_rc count_kinds(const char *path, int64_t deadline_ms, struct tap_status *s,
			       struct tap_err *err)
{
	struct tap_query_state now;
	struct tap_query *q = NULL;
	enum tap_rc rc = tap_query_open(path, deadline_ms, &q, err);

	if (rc == TAP_OK)
		rc = tap_query_state(q, &now, err);
	tap_query_close(&q);
	if (rc != TAP_OK)
		return rc;
	s->aggregate = now.aggregate;
	s->failure = now.failure;
	s->smtp_tls = now.smtp_tls;
	s->feedback = now.feedback;
	s->foreign = now.foreign;
	return TAP_OK;
}

enum tap_rc tap_status_store(const char *path, int64_t deadline_ms, struct tap_status *s,
			     struct tap_err *err)
{
	struct tap_store_reader *r = NULL;
	enum tap_rc rc = tap_store_open_reader(path, &r, err);

	if (rc != TAP_OK)
		return rc;
	tap_store_reader_deadline(r, deadline_ms);
	rc = tap_store_totals(r, &s->totals, err);
	if (rc == TAP_OK)
		rc = tap_store_reprocess_get(r, &s->reprocess, err);
	if (rc == TAP_E_NOTFOUND) /* nobody ever asked for it */
		rc = TAP_OK;
	tap_store_close_reader(&r);
	return rc == TAP_OK ? count_kinds(path, deadline_ms, s, err) : rc;
}

/* ---- printing ---- */

static void key_u64(struct tap_buf *b, const char *key, uint64_t v)
{
	tap_buf_printf(b, ",\"%s\":%llu", key, (unsigned long long)v);
}

static void key_text(struct tap_buf *b, const char *key, const char *text)
{
	tap_buf_printf(b, ",\"%s\":", key);
	tap_json_string(b, text[0] != '\0' ? text : NULL);
}

static void sink_json(const struct tap_status_sink *k, struct tap_buf *b)
{
	tap_buf_adds(b, "{\"name\":");
	tap_json_string(b, k->name);
	key_text(b, "type", k->type);
	key_text(b, "state", k->state);
	tap_buf_printf(b, ",\"seq\":%lld", (long long)k->seq);
	key_u64(b, "ordinal", k->ordinal);
	key_u64(b, "lag", k->lag);
	key_u64(b, "exceptions", k->exceptions);
	key_u64(b, "confirmed", k->confirmed);
	key_u64(b, "retried", k->retried);
	key_u64(b, "parked", k->parked);
	tap_buf_printf(b, ",\"next_try_ms\":%lld", (long long)k->next_try_ms);
	key_text(b, "last_error", k->error);
	tap_buf_addc(b, '}');
}

static const char *state_of(const struct tap_store_reprocess *p)
{
	return p->ended != 0 ? "ended" : "under way";
}

void tap_status_reprocess_json(const struct tap_store_reprocess *p, struct tap_buf *b)
{
	if (p->id == 0) {
		tap_buf_adds(b, "null");
		return;
	}
	tap_buf_printf(b, "{\"state\":\"%s\",\"started\":%lld", state_of(p), (long long)p->started);
	if (p->ended != 0)
		tap_buf_printf(b, ",\"ended\":%lld", (long long)p->ended);
	else
		tap_buf_adds(b, ",\"ended\":null");
	key_u64(b, "messages", p->owed);
	key_u64(b, "done", p->done);
	key_u64(b, "changed", p->changed);
	key_u64(b, "added", p->added);
	key_u64(b, "failed", p->failed);
	key_text(b, "last_failure", p->reason);
	tap_buf_addc(b, '}');
}

void tap_status_reprocess_text(const struct tap_store_reprocess *p, struct tap_buf *b)
{
	tap_buf_printf(b, "reprocess    %s, %llu", state_of(p), (unsigned long long)p->done);
	if (p->owed > 0)
		tap_buf_printf(b, " of %llu", (unsigned long long)p->owed);
	tap_buf_printf(b,
		       " messages done, %llu reports changed, %llu added, %llu messages failed\n",
		       (unsigned long long)p->changed, (unsigned long long)p->added,
		       (unsigned long long)p->failed);
	if (p->reason[0] != '\0')
		tap_buf_printf(b, "             last failure: %s\n", p->reason);
}

void tap_status_json(const struct tap_status *s, struct tap_buf *b)
{
	tap_buf_printf(b, "{\"version\":1,\"running\":%s,\"pid\":%ld,\"uptime_seconds\":%lld",
		       s->running ? "true" : "false", s->pid, (long long)s->uptime_s);
	key_text(b, "trouble", s->trouble);
	key_u64(b, "spool_files", s->spool_files);
	key_u64(b, "spool_bytes", s->spool_bytes);
	key_u64(b, "quarantine_files", s->quarantine_files);
	key_u64(b, "quarantine_bytes", s->quarantine_bytes);
	tap_buf_adds(b, ",\"quarantine_verdicts\":{");
	for (size_t i = 0; i < s->n_verdicts; i++) {
		if (i > 0)
			tap_buf_addc(b, ',');
		tap_json_string(b, s->verdict[i].name);
		tap_buf_printf(b, ":%llu", (unsigned long long)s->verdict[i].files);
	}
	tap_buf_addc(b, '}');
	key_u64(b, "messages", s->totals.messages);
	key_u64(b, "reports", s->totals.reports);
	tap_buf_printf(
	    b,
	    ",\"reports_by_kind\":{\"aggregate\":%lld,\"failure\":%lld,\"smtp_tls\":%lld,"
	    "\"feedback\":%lld,\"foreign\":%lld}",
	    (long long)s->aggregate, (long long)s->failure, (long long)s->smtp_tls,
	    (long long)s->feedback, (long long)s->foreign);
	key_u64(b, "records", s->totals.records);
	key_u64(b, "duplicates", s->totals.duplicates);
	key_u64(b, "store_bytes", s->totals.db_bytes);
	key_u64(b, "wal_bytes", s->totals.wal_bytes);
	key_u64(b, "wal_in_use", s->wal_in_use);
	tap_buf_adds(b, ",\"reprocess\":");
	tap_status_reprocess_json(&s->reprocess, b);
	tap_buf_adds(b, ",\"since_start\":{\"messages\":");
	tap_buf_add_u64(b, s->taken);
	key_u64(b, "stored", s->stored);
	key_u64(b, "duplicates", s->duplicates);
	key_u64(b, "quarantined", s->quarantined);
	key_u64(b, "transactions", s->batches);
	tap_buf_adds(b, "},\"parser\":{\"processes\":");
	tap_buf_add_u64(b, s->pool_processes);
	key_u64(b, "messages", s->pool_messages);
	key_u64(b, "unreadable", s->pool_unreadable);
	key_u64(b, "replaced", s->pool_replaced);
	tap_buf_adds(b, "},\"sinks\":[");
	for (size_t i = 0; i < s->n_sinks; i++) {
		if (i > 0)
			tap_buf_addc(b, ',');
		sink_json(&s->sink[i], b);
	}
	tap_buf_adds(b, "]}\n");
}

static void line_u64(struct tap_buf *b, const char *what, uint64_t v, const char *unit,
		     uint64_t bytes)
{
	tap_buf_printf(b, "%-12s %llu %s", what, (unsigned long long)v, unit);
	if (bytes != UINT64_MAX)
		tap_buf_printf(b, ", %llu bytes", (unsigned long long)bytes);
	tap_buf_addc(b, '\n');
}

static void sink_text(const struct tap_status_sink *k, struct tap_buf *b)
{
	tap_buf_printf(
	    b,
	    "output       %s (%s): %s, %llu owed, %llu parked; next is report %lld record %llu\n",
	    k->name, k->type, k->state, (unsigned long long)k->lag,
	    (unsigned long long)k->exceptions, (long long)k->seq, (unsigned long long)k->ordinal);
	if (k->error[0] != '\0')
		tap_buf_printf(b, "             last error: %s\n", k->error);
	if (k->next_try_ms > 0)
		tap_buf_printf(b, "             next try in %lld s\n",
			       (long long)(k->next_try_ms + 999) / 1000);
}

void tap_status_text(const struct tap_status *s, struct tap_buf *b)
{
	if (s->running)
		tap_buf_printf(b, "worker       running, pid %ld, for %lld s\n", s->pid,
			       (long long)s->uptime_s);
	else
		tap_buf_adds(b, "worker       not running\n");
	if (s->trouble[0] != '\0')
		tap_buf_printf(b, "waiting      %s\n", s->trouble);
	line_u64(b, "spool", s->spool_files, "messages", s->spool_bytes);
	line_u64(b, "quarantine", s->quarantine_files, "messages", s->quarantine_bytes);
	for (size_t i = 0; i < s->n_verdicts; i++)
		tap_buf_printf(b, "             %llu %s\n", (unsigned long long)s->verdict[i].files,
			       s->verdict[i].name);
	tap_buf_printf(b,
		       "store        %llu reports, %llu records, %llu duplicates, from %llu "
		       "messages, %llu bytes\n",
		       (unsigned long long)s->totals.reports, (unsigned long long)s->totals.records,
		       (unsigned long long)s->totals.duplicates,
		       (unsigned long long)s->totals.messages,
		       (unsigned long long)s->totals.db_bytes);
	tap_buf_printf(
	    b,
	    "kinds        %lld aggregate, %lld failure, %lld SMTP TLS, %lld other feedback, "
	    "%lld about foreign domains\n",
	    (long long)s->aggregate, (long long)s->failure, (long long)s->smtp_tls,
	    (long long)s->feedback, (long long)s->foreign);
	tap_buf_printf(b, "log          %llu bytes, %llu in use\n",
		       (unsigned long long)s->totals.wal_bytes, (unsigned long long)s->wal_in_use);
	if (s->reprocess.id != 0)
		tap_status_reprocess_text(&s->reprocess, b);
	if (!s->running)
		return;
	tap_buf_printf(b,
		       "since start  %llu messages in %llu transactions: %llu reports stored, %llu "
		       "duplicates, %llu into quarantine\n",
		       (unsigned long long)s->taken, (unsigned long long)s->batches,
		       (unsigned long long)s->stored, (unsigned long long)s->duplicates,
		       (unsigned long long)s->quarantined);
	tap_buf_printf(b,
		       "parser       %llu processes, %llu messages, %llu unreadable, %llu "
		       "processes replaced\n",
		       (unsigned long long)s->pool_processes, (unsigned long long)s->pool_messages,
		       (unsigned long long)s->pool_unreadable,
		       (unsigned long long)s->pool_replaced);
	for (size_t i = 0; i < s->n_sinks; i++)
		sink_text(&s->sink[i], b);
}
