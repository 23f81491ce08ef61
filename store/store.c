/* SPDX-License-Identifier: Apache-2.0
 * store/store.c - the writer: opening, its statements, transactions, the write-ahead log. Threads: the writer's.
 *
 * The log (-wal) is moved into the database by us and not by SQLite's automatic checkpoint, so that it never happens inside the
 * commit that a mail waits for: after a commit when the log is large, and when nothing is to be done. */
#include "store/store_priv.h"

#include "base/clock.h"
#include "base/fault.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAYLOAD_MAX = 256 << 20, CHECKPOINT_WAIT_MS = 1000, BUSY_MS = 5000, OPEN_TRIES = 20 };

static const char *const sql[ST_N] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_SAVE_MESSAGE] = "SAVEPOINT m",
    [ST_RELEASE_MESSAGE] = "RELEASE m",
    [ST_UNDO_MESSAGE] = "ROLLBACK TO m",
    [ST_SAVE_JOB] = "SAVEPOINT j",
    [ST_RELEASE_JOB] = "RELEASE j",
    [ST_UNDO_JOB] = "ROLLBACK TO j",
    [ST_SAVE_REPORT] = "SAVEPOINT r",
    [ST_RELEASE_REPORT] = "RELEASE r",
    [ST_UNDO_REPORT] = "ROLLBACK TO r",
    [ST_KNOWN] = "SELECT quarantine, reason FROM message WHERE spool_id = ?1",
    [ST_MESSAGE] = "INSERT INTO message (spool_id, door, sender, recipients, client, queue_id, "
		   "arrival, fate, size, sha256, "
		   "headers, reports, broken, reason, quarantine) VALUES "
		   "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)",
    [ST_MESSAGE_CONFLICT] = "UPDATE message SET quarantine = coalesce(quarantine, 'conflict'), "
			    "reason = coalesce(reason, ?2) WHERE id = ?1",
    [ST_FIND] = "SELECT seq, revision, duplicates, truncated, content_hash, message_id, trusted, "
		"from_domain "
		"FROM report WHERE uid = ?1",
    [ST_REPORT] =
	"INSERT INTO report (uid, kind, message_id, part, document, filename, stored, schema, "
	"version, xml_namespace, "
	"org_name, email, contact, contact_lang, report_id, generator, begin, end, domain, "
	"version_published, "
	"discovery_method, p, sp, np, adkim, aspf, pct, fo, testing, begin_raw, end_raw, "
	"from_domain, auth, dmarc, reporter, names, is_foreign, trusted, content_hash, "
	"content_bytes, records, dropped, "
	"messages, passed, truncated, recovered, warnings) VALUES "
	"(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,"
	"?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,?29,?30,?31,?32,?33,?34,?35,?36,"
	"?37,?38,x'',0,0,0,0,0,0,0,0)",
    [ST_REPORT_END] = "UPDATE report SET extension = ?2, content_hash = ?3, content_bytes = ?4, "
		      "records = ?5, dropped = ?6, "
		      "messages = ?7, passed = ?8, truncated = ?9, recovered = ?10, warnings = "
		      "?11, details = ?12 "
		      "WHERE seq = ?1",
    [ST_DUPLICATE] = "UPDATE report SET duplicates = duplicates + 1 WHERE seq = ?1",
    [ST_TAKE_OVER] = "UPDATE report SET uid = ?2, revision = ?3, duplicates = ?4 WHERE seq = ?1",
    [ST_VOUCH] = "UPDATE report SET (message_id, part, document, filename, from_domain, auth, "
		 "dmarc, reporter, names, is_foreign, trusted) = (SELECT message_id, part, "
		 "document, filename, from_domain, auth, dmarc, reporter, names, is_foreign, "
		 "trusted FROM report WHERE seq = ?2), duplicates = duplicates + 1 WHERE seq = ?1",
    [ST_VOUCH_FORGET] = "DELETE FROM note WHERE seq = ?1 AND kind = 3",
    [ST_VOUCH_NOTES] = "UPDATE note SET seq = ?1 WHERE seq = ?2 AND kind = 3",
    [ST_NOTE] = "INSERT INTO note (seq, kind, n, place, text, lang) VALUES (?1,?2,?3,?4,?5,?6)",
    [ST_RECORD] = "INSERT INTO record (seq, ordinal, idx, source_ip, source_ip_raw, count, "
		  "disposition, evaluated, dkim_aligned, "
		  "spf_aligned, header_from, envelope_from, envelope_to, extension) "
		  "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
    [ST_AUTH] =
	"INSERT INTO auth_result (seq, ordinal, method, n, domain, label, result, human, lang) "
	"VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    [ST_REASON] =
	"INSERT INTO reason (seq, ordinal, n, type, comment, lang) VALUES (?1,?2,?3,?4,?5,?6)",
    [ST_FAILURE] =
	"INSERT INTO failure (seq, format, feedback_type, user_agent, version, "
	"original_envelope_id, original_mail_from, arrival_date, arrival, message_id, "
	"delivery_result, delivery_result_raw, alignment_known, reporting_mta_type, reporting_mta, "
	"dkim_domain, dkim_identity, dkim_selector, dkim_selector_dns, dkim_adsp_dns, "
	"dkim_header_given, dkim_header_size, dkim_header_sha256, dkim_body_given, "
	"dkim_body_size, dkim_body_sha256, source_ip, source_ip_raw, source_ip_from_sample, "
	"source_port, incidents, sample_utf8, sample_headers_only, sample_damaged, human_text) "
	"VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,"
	"?23,?24,?25,?26,?27,?28,?29,?30,?31,?32,?33,?34,?35)",
    [ST_SAMPLE] = "INSERT INTO failure_sample (seq, bytes, subject, message_id, date, time, "
		  "has_zone, zone, has_defects, body) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
    [ST_LIST] = "INSERT INTO failure_list (seq, kind, n, name, value, domain, raw) "
		"VALUES (?1,?2,?3,?4,?5,?6,?7)",
    [ST_ADDRESS] = "INSERT INTO failure_address (seq, field, n, display_name, address, local_part, "
		   "domain) VALUES (?1,?2,?3,?4,?5,?6,?7)",
    [ST_HOP] =
	"INSERT INTO failure_hop (seq, n, \"from\", \"by\", \"with\", id, \"for\", via, date, "
	"time, delay, hop) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
    [ST_ATTACHMENT] = "INSERT INTO failure_attachment (seq, n, payload, filename, content_type, "
		      "content_id, disposition, charset, encoding, size, sha256, is_text, damaged) "
		      "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)",
    [ST_POLICY] = "INSERT INTO tls_policy (seq, ordinal, idx, policy_type, domain, successful, "
		  "failed, details) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)",
    [ST_POLICY_TEXT] = "INSERT INTO tls_text (seq, ordinal, kind, n, text) VALUES (?1,?2,?3,?4,?5)",
    [ST_DETAIL] = "INSERT INTO tls_detail (seq, ordinal, policy, idx, result_type, failed, "
		  "sending_mta_ip, receiving_ip, receiving_mx_hostname, receiving_mx_helo, "
		  "additional_info, failure_reason_code) "
		  "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
    [ST_PAYLOAD] = "INSERT INTO payload (message_id, part, bytes) VALUES (?1,?2,?3)",
    [ST_DEL_RECORD] = "DELETE FROM record WHERE seq = ?1",
    [ST_DEL_AUTH] = "DELETE FROM auth_result WHERE seq = ?1",
    [ST_DEL_REASON] = "DELETE FROM reason WHERE seq = ?1",
    [ST_DEL_SAMPLE] = "DELETE FROM failure_sample WHERE seq = ?1",
    [ST_DEL_LIST] = "DELETE FROM failure_list WHERE seq = ?1",
    [ST_DEL_ADDRESS] = "DELETE FROM failure_address WHERE seq = ?1",
    [ST_DEL_HOP] = "DELETE FROM failure_hop WHERE seq = ?1",
    [ST_DEL_ATTACHMENT] = "DELETE FROM failure_attachment WHERE seq = ?1",
    [ST_DEL_FAILURE] = "DELETE FROM failure WHERE seq = ?1",
    [ST_DEL_POLICY] = "DELETE FROM tls_policy WHERE seq = ?1",
    [ST_DEL_POLICY_TEXT] = "DELETE FROM tls_text WHERE seq = ?1",
    [ST_DEL_DETAIL] = "DELETE FROM tls_detail WHERE seq = ?1",
    [ST_DEL_NOTE] = "DELETE FROM note WHERE seq = ?1",
    [ST_DEL_EXCEPTION] = "DELETE FROM sink_exception WHERE seq = ?1",
    [ST_DEL_REPORT] = "DELETE FROM report WHERE seq = ?1",
    [ST_SINK] = "INSERT INTO sink (name, seq, ordinal, state) VALUES (?1,?2,?3,'') "
		"ON CONFLICT (name) DO UPDATE SET seq = ?2, ordinal = ?3 WHERE epoch = ?4",
    [ST_SINK_STATE] = "UPDATE sink SET state = ?2 WHERE name = ?1",
    [ST_PARK] = "INSERT INTO sink_exception (sink, seq, ordinal, reason, since, parked, tries, "
		"next_try) SELECT ?1,?2,?3,?4,?5,?6,?7,?8 "
		"WHERE EXISTS (SELECT 1 FROM report WHERE seq = ?2) "
		"ON CONFLICT (sink, seq, ordinal) DO UPDATE SET reason = ?4, parked = ?6, "
		"tries = ?7, next_try = ?8",
    [ST_UNPARK] = "DELETE FROM sink_exception WHERE sink = ?1 AND seq = ?2 AND ordinal = ?3",
    [ST_PASSED_DONE] = "DELETE FROM sink_done WHERE sink = ?1 AND to_seq <= "
		       "(SELECT seq FROM sink WHERE name = ?1)",
    [ST_PASSED_SENT] = "DELETE FROM sink_sent WHERE sink = ?1 AND seq < "
		       "(SELECT seq FROM sink WHERE name = ?1)",
    [ST_SENT] =
	"INSERT OR IGNORE INTO sink_sent (sink, seq) SELECT name, ?2 FROM sink AS k "
	"WHERE (k.seq > ?1 OR EXISTS (SELECT 1 FROM sink_sent WHERE sink = k.name AND seq = ?1) "
	"OR EXISTS (SELECT 1 FROM sink_done WHERE sink = k.name AND seq <= ?1 AND to_seq > ?1)) "
	"AND NOT EXISTS (SELECT 1 FROM sink_exception WHERE sink = k.name AND seq = ?1)",
    [ST_GONE] = "SELECT content_hash FROM expired WHERE uid = ?1",
    [ST_TOMBSTONE] = "INSERT OR REPLACE INTO expired (uid, content_hash, at) "
		     "SELECT uid, content_hash, ?2 FROM report WHERE seq = ?1",
    [ST_QUOTA] = "SELECT records, bytes FROM quota WHERE day = ?1 AND domain = ?2",
    [ST_QUOTA_ADD] = "INSERT INTO quota (day, domain, records, bytes) VALUES (?1,?2,?3,?4) "
		     "ON CONFLICT (day, domain) DO UPDATE SET records = ?3, bytes = ?4",
    [ST_QUOTA_OLD] = "DELETE FROM quota WHERE day < ?1",
};

enum tap_rc tap_store_run(struct tap_store *s, enum tap_store_st st, struct tap_err *err)
{
	char what[32];
	int code = sqlite3_step(s->st[st]);

	(void)sqlite3_reset(s->st[st]);
	if (code == SQLITE_DONE || code == SQLITE_ROW)
		return TAP_OK;
	s->failed = true;
	(void)snprintf(what, sizeof(what), "%.24s", sql[st]);
	return tap_db_rc(&s->db, code, what, err);
}

/* Called by SQLite after each commit with the number of pages in the log. */
static int wal_grew(void *ctx, struct sqlite3 *h, const char *name, int pages)
{
	struct tap_store *s = ctx;

	(void)h;
	(void)name;
	s->wal_pages = pages;
	return SQLITE_OK;
}

static enum tap_rc configure(struct tap_store *s, struct tap_err *err)
{
	static const char *const pragmas[] = {
	    "PRAGMA foreign_keys = ON",	     "PRAGMA temp_store = MEMORY",
	    "PRAGMA wal_autocheckpoint = 0", "PRAGMA cache_size = -16384",
	    "PRAGMA synchronous = FULL",     "PRAGMA journal_mode = WAL",
	    "PRAGMA trusted_schema = OFF",
	};
	char text[64];
	int on = 1;
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < sizeof(pragmas) / sizeof(pragmas[0]); i++)
		rc = tap_db_exec(&s->db, pragmas[i], err);
	(void)snprintf(text, sizeof(text), "PRAGMA journal_size_limit = %lld",
		       (long long)s->wal_limit);
	if (rc == TAP_OK)
		rc = tap_db_exec(&s->db, text, err);
	if (rc == TAP_OK)
		rc = tap_db_int(&s->db, "PRAGMA page_size", &s->page_size, err);
	if (rc == TAP_OK)
		rc = tap_schema_migrate(&s->db, err);
	if (rc ==
	    TAP_OK) /* that the log can be written is found out now, and not with the first report */
		rc = tap_db_exec(&s->db, "BEGIN IMMEDIATE; ROLLBACK", err);
	if (rc == TAP_OK) /* readers under other users need -wal and -shm after we have gone */
		rc = tap_db_rc(&s->db,
			       sqlite3_file_control(s->db.h, "main", SQLITE_FCNTL_PERSIST_WAL, &on),
			       "keep the log", err);
	sqlite3_wal_hook(s->db.h, wal_grew, s);
	return rc;
}

/* The same once more while only the log cannot be written: a reader that is root makes that file as its own, and gives it
 * to the database's owner a moment later. */
static enum tap_rc open_writable(struct tap_store *s, const char *path, struct tap_err *err)
{
	const struct timespec pause = {0, 50000000};

	for (int tries = OPEN_TRIES;; tries--) {
		bool log_alone;
		int code;
		enum tap_rc rc = tap_db_open(&s->db, path, true, err);

		if (rc != TAP_OK)
			return rc;
		if (sqlite3_db_readonly(s->db.h, "main") == 1)
			return tap_err_set(err, TAP_E_CONFIG,
					   "store %s: it is read-only for this user", path);
		rc = configure(s, err);
		code = sqlite3_errcode(s->db.h) & 0xff;
		log_alone = rc != TAP_OK && (code == SQLITE_READONLY || code == SQLITE_CANTOPEN);
		if (!log_alone || tries == 0)
			return rc;
		tap_db_close(&s->db);
		(void)nanosleep(&pause, NULL);
	}
}

enum tap_rc tap_store_open(const struct tap_store_settings *set, struct tap_store **s_r,
			   struct tap_err *err)
{
	struct tap_store *s = calloc(1, sizeof(*s));
	enum tap_rc rc;

	*s_r = NULL;
	if (s == NULL)
		return tap_err_set(err, TAP_E_TEMP, "store: out of memory");
	s->wal_limit = set->wal_limit;
	tap_buf_init(&s->payload, PAYLOAD_MAX);
	rc = open_writable(s, set->path, err);
	for (size_t i = 0; rc == TAP_OK && i < ST_N; i++)
		rc = tap_db_prepare(&s->db, sql[i], &s->st[i], err);
	if (rc != TAP_OK)
		tap_store_close(&s);
	*s_r = s;
	return rc;
}

void tap_store_close(struct tap_store **sp)
{
	struct tap_store *s = *sp;

	if (s == NULL)
		return;
	tap_store_rollback(s);
	for (size_t i = 0; i < ST_N; i++)
		(void)sqlite3_finalize(s->st[i]);
	tap_db_close(&s->db);
	tap_buf_free(&s->payload);
	free(s);
	*sp = NULL;
}

bool tap_store_failed(const struct tap_store *s)
{
	return s->failed;
}

uint64_t tap_store_wal_bytes(const struct tap_store *s)
{
	return (uint64_t)(s->wal_pages * s->page_size);
}

/* An errno from a fault point stands for what the disk would have said. */
static enum tap_rc fault(struct tap_store *s, const char *point, struct tap_err *err)
{
	int e = tap_fault(point);

	if (e == 0)
		return TAP_OK;
	s->failed = true;
	return tap_err_sys(err, TAP_E_TEMP, e, "store %s", s->db.path);
}

enum tap_rc tap_store_begin(struct tap_store *s, struct tap_err *err)
{
	enum tap_rc rc = fault(s, "store.begin", err);

	if (rc == TAP_OK)
		rc = tap_store_run(s, ST_BEGIN, err);
	if (rc != TAP_OK)
		return rc;
	s->in_transaction = true;
	s->failed = false;
	s->now = tap_clock_now();
	return TAP_OK;
}

enum tap_rc tap_store_commit(struct tap_store *s, struct tap_err *err)
{
	enum tap_rc rc = fault(s, "store.commit", err);

	if (rc == TAP_OK)
		rc = tap_store_run(s, ST_COMMIT, err);
	if (rc == TAP_OK) {
		s->in_transaction = false;
		(void)fault(s, "store.committed", NULL); /* only a kill means something here */
	}
	return rc;
}

enum tap_rc tap_store_job_begin(struct tap_store *s, struct tap_err *err)
{
	return tap_store_run(s, ST_SAVE_JOB, err);
}

enum tap_rc tap_store_job_end(struct tap_store *s, bool keep, struct tap_err *err)
{
	enum tap_rc rc = keep ? TAP_OK : tap_store_run(s, ST_UNDO_JOB, err);

	return rc == TAP_OK ? tap_store_run(s, ST_RELEASE_JOB, err) : rc;
}

void tap_store_rollback(struct tap_store *s)
{
	tap_store_add_reset(s);
	s->in_message = false;
	tap_db_rollback(&s->db);
	s->in_transaction = false;
	s->failed = false;
}

enum tap_rc tap_store_checkpoint(struct tap_store *s, bool idle, struct tap_err *err)
{
	int64_t bytes = s->wal_pages * s->page_size;
	bool restart = bytes > s->wal_limit;
	int code, left = 0, done = 0;
	enum tap_rc rc;

	if (s->wal_pages == 0 || (!idle && bytes < s->wal_limit / 4))
		return TAP_OK;
	rc = fault(s, "store.checkpoint", err);
	if (rc != TAP_OK)
		return rc;
	sqlite3_busy_timeout(s->db.h, restart ? CHECKPOINT_WAIT_MS : 0);
	code = sqlite3_wal_checkpoint_v2(
	    s->db.h, "main", restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, &left,
	    &done);
	sqlite3_busy_timeout(s->db.h, BUSY_MS);
	if (code == SQLITE_OK && left == done) {
		s->wal_pages =
		    0; /* all of it is in the database: the next commit begins the log again */
		return TAP_OK;
	}
	if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY) {
		if (bytes / 8 > s->wal_limit)
			return tap_err_set(
			    err, TAP_E_LIMIT,
			    "store %s: a reader holds the write-ahead log, which has %lld MiB now; "
			    "end the program that reads the store",
			    s->db.path, (long long)(bytes >> 20));
		return TAP_OK;
	}
	return tap_db_rc(&s->db, code, "checkpoint", err);
}
