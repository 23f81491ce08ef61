/* SPDX-License-Identifier: Apache-2.0
 * store/store.h - the SQLite store: messages, reports, records, how far each sink has got.
 * One writer (the worker, under its lock [I10]); any number of readers, in this or other processes and under other users.
 *
 * Writing. One transaction holds many spool files, each in a savepoint, each report in one of its own:
 *   tap_store_begin · (tap_store_message_begin · events through tap_store_events · tap_store_message_end)* · tap_store_commit.
 * Only after tap_store_commit has returned TAP_OK is anything durable [I2] and visible.
 * Reports are taken in by uid [I3]: unknown = stored; same uid and content = only its counter of duplicates moves, as it does for a cut
 * copy of a complete one (a trusted copy of one that was not trusted also lends it its mail and trust; seq and revision stay). A complete
 * one replaces a cut one (new seq, revision + 1, the uid stays), a trusted one only when it is trusted and from the same From domain.
 * Other content replaces when the new one is trusted and comes in another mail, from the same From domain or after one that was not
 * trusted; else it is refused as a conflict, and the first one stays.
 *
 * Errors: TAP_E_TEMP disk full, input/output error, locked by another process: the whole transaction must be rolled back and tried
 * again later. TAP_E_CONFIG read-only, no permission, damaged, not a store of ours, made by a newer version: an operator must act, and
 * the mail waits. TAP_E_LIMIT a value is over a limit, TAP_E_DATA what was handed in cannot be stored.
 * Threads: a store or a reader belongs to one thread at a time; different handles are independent.
 * Ownership: strings passed in are copied by SQLite; strings handed out live until the callback returns. RFC 9990 section 3.5.4. */
#ifndef TAP_STORE_STORE_H
#define TAP_STORE_STORE_H

#include "base/err.h"
#include "base/settings.h"
#include "parser/events.h"
#include "parser/report.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAP_STORE_SCHEMA = 4, TAP_STORE_SHA256 = 32 };

struct tap_store_settings { /* section "store" */
	char *path;	    /* default /var/lib/dmarctap/reports.db */
	int64_t
	    wal_limit; /* bytes the write-ahead log may have before readers are waited for, default 64M */
	int64_t keep; /* days; 0 = for ever */
};
extern const struct tap_section tap_store_section;

/* ---- writing ---------------------------------------------------------------------------------------------------- */

struct tap_store;

/* Opens or makes the store (mode 0640, its directory must be there) and migrates it. The caller holds the worker's lock. */
enum tap_rc tap_store_open(const struct tap_store_settings *set, struct tap_store **s_r,
			   struct tap_err *err) TAP_MUST_CHECK;
/* NULL-safe, sets NULL; an open transaction is rolled back. */
void tap_store_close(struct tap_store **s);

struct tap_store_message {
	const char *spool_id, *door;
	const char *sender;	/* NULL = unknown, "" = null reverse-path */
	const char *recipients; /* one a line */
	const char *client, *queue_id;
	const char *fate;
	int64_t arrival;
	uint64_t size;
	unsigned char sha256[TAP_STORE_SHA256];
	const void *headers; /* the header block as received */
	size_t headers_len;
	uint32_t reports, broken;
	const char *reason; /* why something in it could not be read; NULL = all well */
	const char *
	    quarantine; /* the verdict for which the raw message goes to quarantine; NULL = it does not */
};
/* What became of the reports of one message. */
struct tap_store_outcome {
	uint64_t stored, duplicates, replaced, conflicts, records;
	char conflict[256]; /* uid and reason of the first conflict */
};
struct tap_store_known {
	bool known;	 /* a message with this spool_id was committed before */
	bool quarantine; /* and its raw bytes belong in quarantine */
	char verdict[32], reason[512];
};

enum tap_rc tap_store_begin(struct tap_store *s, struct tap_err *err) TAP_MUST_CHECK;
/* Was this spool file committed before (a crash came between commit and unlink)? Inside or outside a transaction. */
enum tap_rc tap_store_known(struct tap_store *s, const char *spool_id, struct tap_store_known *k,
			    struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_message_begin(struct tap_store *s, const struct tap_store_message *m,
				    struct tap_err *err) TAP_MUST_CHECK;
extern const struct tap_events
    tap_store_events; /* ctx = struct tap_store *, between message_begin and message_end */
/* A conflict marks the message for quarantine by itself (out->conflicts > 0). */
enum tap_rc tap_store_message_end(struct tap_store *s, struct tap_store_outcome *out,
				  struct tap_err *err) TAP_MUST_CHECK;
/* Undoes this message only; the transaction goes on. */
enum tap_rc tap_store_message_abort(struct tap_store *s, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_commit(struct tap_store *s, struct tap_err *err) TAP_MUST_CHECK;
/* Around something small of its own inside a transaction, not inside a message: with keep = false what was written since is undone. */
enum tap_rc tap_store_job_begin(struct tap_store *s, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_job_end(struct tap_store *s, bool keep, struct tap_err *err) TAP_MUST_CHECK;
void tap_store_rollback(struct tap_store *s); /* also when none is open */
/* True when SQLite itself refused something since tap_store_begin: then only tap_store_rollback helps. False after an error of the
 * events: they were not well formed, and tap_store_message_abort is enough. */
bool tap_store_failed(const struct tap_store *s);
/* Size of the write-ahead log in use. */
uint64_t tap_store_wal_bytes(const struct tap_store *s);

/* Moves the write-ahead log into the database when it has grown, or always when idle. After a commit, never inside a transaction.
 * TAP_E_LIMIT: it is over eight times wal_limit because a reader does not let go; the caller must wait before it writes more. */
enum tap_rc tap_store_checkpoint(struct tap_store *s, bool idle,
				 struct tap_err *err) TAP_MUST_CHECK;

/* Quotas. Adds what one message brings to the count of (day, domain): once a message, inside a transaction, anywhere between
 * tap_store_message_begin and tap_store_message_end. Best before the reports are handed over, so that what is over is never written; the
 * reports' number of records is then the caller's own count. *over_r = the sums would be over a maximum (0 = none): then nothing was
 * added, and the caller takes the message in without its reports. tap_store_message_abort undoes it too. A message is never over by
 * records or bytes that are 0.
 * day: days since the epoch, UTC, of the message's arrival. domain: the reporter's, compared without case, cut at 255 bytes; NULL is a
 * domain of its own. Days that are over a month old are forgotten. */
enum tap_rc tap_store_quota_add(struct tap_store *s, int64_t day, const char *domain,
				uint64_t records, uint64_t bytes, uint64_t max_records,
				uint64_t max_bytes, bool *over_r, struct tap_err *err);

/* Sinks. Cursor (seq, ordinal) = the item that comes next. */
struct tap_store_place {
	int64_t seq;
	uint64_t ordinal;
};
struct tap_store_park {
	int64_t seq;
	uint64_t ordinal;
	const char *reason;
	bool waits;			/* to be tried again at next_try; else it is parked */
	int64_t tries, next_try, since; /* since 0 = now; kept once it is there */
};
struct tap_store_settle {
	const char *sink;
	int64_t seq;
	uint64_t ordinal;
	const char *state; /* NULL = unchanged */
	const struct tap_store_park *park;
	size_t n_park;
	const struct tap_store_place *done; /* no exceptions any more */
	size_t n_done;
	int64_t
	    epoch; /* as read: when an operator has moved the cursor since, it stays where that put it */
};
/* Inside a transaction. A sink that is new is made at the given place. Items of a report that was replaced meanwhile are not parked: nobody
 * could ever send them again, and the new one comes by itself. */
enum tap_rc tap_store_settle(struct tap_store *s, const struct tap_store_settle *set,
			     struct tap_err *err) TAP_MUST_CHECK;

/* What an operator does to one sink, inside a transaction. seq 0 = all. n_r: how many items. TAP_E_NOTFOUND: no such item. */
enum tap_rc tap_store_outbox_retry(struct tap_store *s, const char *sink, int64_t seq,
				   uint64_t ordinal, uint64_t *n_r, struct tap_err *err);
enum tap_rc tap_store_outbox_drop(struct tap_store *s, const char *sink, int64_t seq,
				  uint64_t ordinal, uint64_t *n_r, struct tap_err *err);
/* The reports from seq `from` to before `to` are owed again, whole: the cursor moves back, and what lies between and was confirmed is
 * stepped over (sink_done). TAP_E_NOTFOUND: the sink has no cursor. */
enum tap_rc tap_store_outbox_owe(struct tap_store *s, const char *sink, int64_t from, int64_t to,
				 struct tap_err *err);
/* For a sink that takes no item alone: the reports of these exceptions are owed again instead. */
enum tap_rc tap_store_outbox_owe_exceptions(struct tap_store *s, const char *sink, int64_t seq,
					    uint64_t *n_r, struct tap_err *err);

/* Expiry. Removes at most `most` reports that were stored before `before` from *seq on, inside a transaction, in order of seq; *seq moves
 * on. What a sink of the list is still owed stays, exceptions included (n_owed 0: nothing is asked). A message and its payload go with
 * its last report; mail without reports goes by its arrival. uid and content stay behind for TAP_STORE_TOMBSTONE_DAYS, so that the
 * same report is a duplicate when it comes once more. *n_r = 0: done. */
enum { TAP_STORE_TOMBSTONE_DAYS = 400 };
struct tap_store_owed {
	const char *sink;
	unsigned kinds;
};
enum tap_rc tap_store_expire(struct tap_store *s, int64_t before, const struct tap_store_owed *owed,
			     size_t n_owed, size_t most, int64_t *seq, uint64_t *n_r,
			     struct tap_err *err) TAP_MUST_CHECK;

/* Reprocessing: reports are derived again from what is kept, one message in each transaction. A report is known again by its uid within the
 * message, else by its place; it keeps its uid, place and time of storing. Where all derived again is equal, nothing is written; else it
 * takes the place of the old one with the next revision. What the parser reads now and could not read before is added, unless a report
 * of its uid is stored, or was. What it cannot read any more stays as it was. */
struct tap_store_reprocess {
	int64_t id, since, until, next, last; /* as in the table */
	uint64_t owed, done, changed, added, failed;
	int64_t started, ended; /* 0 = it goes on */
	char reason[512];
};
struct tap_store_reprocessed {
	uint64_t changed, added;
	uint64_t missing; /* reports of the message that did not come again */
	char missed[64];  /* the uid of one */
};
/* Inside a transaction. set: since, until, next, last, owed. TAP_E_CONFIG: another one goes on. */
enum tap_rc tap_store_reprocess_start(struct tap_store *s, const struct tap_store_reprocess *set,
				      struct tap_err *err) TAP_MUST_CHECK;
/* The message comes next; *there_r: it is still stored. Then the events of all of its payloads for their uids; then for each again its
 * part, and its events. */
enum tap_rc tap_store_reprocess_message(struct tap_store *s, int64_t message, bool *there_r,
					struct tap_err *err) TAP_MUST_CHECK;
void tap_store_reprocess_part(struct tap_store *s, uint32_t part);
extern const struct tap_events tap_store_reprocess_uids,
    tap_store_reprocess_events; /* ctx = struct tap_store */
enum tap_rc tap_store_reprocess_message_end(struct tap_store *s, struct tap_store_reprocessed *out,
					    struct tap_err *err) TAP_MUST_CHECK;
/* It has got to behind `message`; what is counted is added. reason NULL = as it was. */
enum tap_rc tap_store_reprocess_step(struct tap_store *s, int64_t id, int64_t message,
				     const struct tap_store_reprocessed *add, const char *reason,
				     struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_reprocess_finish(struct tap_store *s, int64_t id,
				       struct tap_err *err) TAP_MUST_CHECK;

/* ---- reading ---------------------------------------------------------------------------------------------------- */

struct tap_store_reader;

/* Opens the store read-only; works beside the writer and, as -wal and -shm are kept, after its end. TAP_E_NOTFOUND when there is no
 * store yet; TAP_E_CONFIG when its schema is newer than this program (or older: the worker must start once). */
enum tap_rc tap_store_open_reader(const char *path, struct tap_store_reader **r_r,
				  struct tap_err *err) TAP_MUST_CHECK;
void tap_store_close_reader(struct tap_store_reader **r); /* NULL-safe, sets NULL */
/* Queries that run past this (monotonic ms, tap_clock_mono_ms) are interrupted: TAP_E_CANCELLED. 0 = none. */
void tap_store_reader_deadline(struct tap_store_reader *r, int64_t deadline_ms);

struct tap_store_totals {
	uint64_t messages, reports, records,
	    duplicates;		       /* messages = mails taken in; records = rows */
	int64_t last_seq, last_stored; /* 0 = none */
	uint64_t db_bytes, wal_bytes;
};
enum tap_rc tap_store_totals(struct tap_store_reader *r, struct tap_store_totals *out,
			     struct tap_err *err) TAP_MUST_CHECK;

struct tap_store_sink {
	int64_t seq;
	uint64_t ordinal;
	uint64_t exceptions;
	uint64_t lag; /* items that are still owed */
};
enum { TAP_STORE_STATE_MAX = 1024 };
/* TAP_E_NOTFOUND: no such sink yet. state_r (may be NULL) holds TAP_STORE_STATE_MAX bytes. kinds: those that the sink takes. */
enum tap_rc tap_store_sink_get(struct tap_store_reader *r, const char *sink, unsigned kinds,
			       struct tap_store_sink *out, char *state_r,
			       struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_sink_exceptions(struct tap_store_reader *r, const char *sink, uint64_t *n_r,
				      struct tap_err *err) TAP_MUST_CHECK;
/* Where the sink stands, without counting anything. state_r may be NULL. TAP_E_NOTFOUND: no such sink yet. */
enum tap_rc tap_store_sink_place(struct tap_store_reader *r, const char *sink,
				 struct tap_store_place *at_r, int64_t *epoch_r, char *state_r,
				 struct tap_err *err) TAP_MUST_CHECK;
/* The first stretch of reports at or behind seq that are not owed; both 0 = none. */
enum tap_rc tap_store_sink_done(struct tap_store_reader *r, const char *sink, int64_t seq,
				int64_t *from_r, int64_t *to_r, struct tap_err *err) TAP_MUST_CHECK;
/* Has it confirmed a former revision of this report? */
enum tap_rc tap_store_sink_sent(struct tap_store_reader *r, const char *sink, int64_t seq,
				bool *sent_r, struct tap_err *err) TAP_MUST_CHECK;
/* Exceptions: those that wait and are due at `now` (oldest first), or, with now = INT64_MAX, all in order of place. At most max. */
struct tap_store_exception {
	int64_t seq;
	uint64_t ordinal;
	bool waits;
	int64_t tries, next_try, since;
	const char *reason, *uid; /* uid NULL = the report is gone */
};
enum tap_rc tap_store_sink_list(struct tap_store_reader *r, const char *sink, int64_t now,
				size_t max,
				enum tap_rc (*each)(void *ctx, const struct tap_store_exception *x,
						    struct tap_err *err),
				void *ctx, struct tap_err *err) TAP_MUST_CHECK;
/* The first report that was stored at `when` or later; one behind the last when there is none. */
enum tap_rc tap_store_seq_at(struct tap_store_reader *r, int64_t when, int64_t *seq_r,
			     struct tap_err *err) TAP_MUST_CHECK;
/* Reprocessing: the request that was made last (TAP_E_NOTFOUND: none ever was); what one from `since` to before `until`, or of one report,
 * would do (TAP_E_NOTFOUND: nothing; owed 0: nobody could count them in time); the next message of it (TAP_E_NOTFOUND: that was all); bytes of a payload. */
enum tap_rc tap_store_reprocess_get(struct tap_store_reader *r, struct tap_store_reprocess *out,
				    struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_reprocess_plan(struct tap_store_reader *r, const char *uid,
				     struct tap_store_reprocess *set,
				     struct tap_err *err) TAP_MUST_CHECK;
struct tap_store_payload {
	int64_t id;
	uint32_t part;
	uint64_t size;
	char filename[256]; /* of one of its reports; "" = none */
};
struct tap_store_kept {
	int64_t message, arrival;
	char spool_id[64];
	void *headers;
	size_t headers_len;
	bool sender; /* a report of it has something from a header of its mail */
	struct tap_store_payload *payload;
	size_t n_payload;
};
enum tap_rc tap_store_reprocess_next(struct tap_store_reader *r,
				     const struct tap_store_reprocess *job,
				     struct tap_store_kept *kept_r,
				     struct tap_err *err) TAP_MUST_CHECK;
void tap_store_kept_free(struct tap_store_kept *k); /* what it holds; may be used again */
/* In pieces, in order; each may fail with a class of its own. */
enum tap_rc tap_store_payload_read(struct tap_store_reader *r, const struct tap_store_payload *p,
				   enum tap_rc (*each)(void *ctx, const void *bytes, size_t n,
						       struct tap_err *err),
				   void *ctx, struct tap_err *err) TAP_MUST_CHECK;
/* How many items of these kinds lie behind the cursor; costs a look at every report behind it. */
enum tap_rc tap_store_sink_lag(struct tap_store_reader *r, int64_t seq, uint64_t ordinal,
			       unsigned kinds, uint64_t *lag_r, struct tap_err *err) TAP_MUST_CHECK;

/* One item for a sink, as outputs/output.h says: a record, a whole failure or feedback report, a policy or a failure detail, or a report
 * that has none of them (all NULL, ordinal 0). */
struct tap_store_row {
	int64_t seq, revision;
	uint64_t
	    ordinal; /* 0-based among the stored records; SMTP TLS: among policies and details */
	bool first, last; /* of its report */
	const struct tap_meta *meta;
	const struct tap_record *record;
	const struct tap_failure *failure;
	const struct tap_tls_policy *policy; /* of a detail too */
	const struct tap_tls_detail *detail;
	const struct tap_report_end *end;
};
/* Calls each for the rows from (*seq, *ordinal) on whose kind is in kinds, in order, at most max; TAP_E_LIMIT from each means
 * "enough, and not this one". *seq and *ordinal become the place behind the last row that each accepted. Memory does not grow with the
 * report. TAP_E_NOTFOUND: nothing there. */
enum tap_rc tap_store_rows(struct tap_store_reader *r, unsigned kinds, size_t max,
			   enum tap_rc (*each)(void *ctx, const struct tap_store_row *row,
					       struct tap_err *err),
			   void *ctx, int64_t *seq, uint64_t *ordinal,
			   struct tap_err *err) TAP_MUST_CHECK;

#endif
