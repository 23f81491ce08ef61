/* SPDX-License-Identifier: Apache-2.0
 * store/store_priv.h - the writer's inside, shared by store.c, add.c and sinks.c only. Threads: the writer's. */
#ifndef TAP_STORE_STORE_PRIV_H
#define TAP_STORE_STORE_PRIV_H

#include "base/buf.h"
#include "store/db.h"
#include "store/store.h"

enum { TAP_STORE_APPLICATION = 0x44544150 }; /* "DTAP" */

/* Kinds of notes. */
enum { TAP_NOTE_ERROR, TAP_NOTE_WARNING, TAP_NOTE_DOMAIN, TAP_NOTE_DKIM };

enum tap_store_st {
	ST_BEGIN,
	ST_COMMIT,
	ST_SAVE_MESSAGE,
	ST_RELEASE_MESSAGE,
	ST_UNDO_MESSAGE,
	ST_SAVE_JOB,
	ST_RELEASE_JOB,
	ST_UNDO_JOB,
	ST_SAVE_REPORT,
	ST_RELEASE_REPORT,
	ST_UNDO_REPORT,
	ST_KNOWN,
	ST_MESSAGE,
	ST_MESSAGE_CONFLICT,
	ST_FIND,
	ST_REPORT,
	ST_REPORT_END,
	ST_DUPLICATE,
	ST_TAKE_OVER,
	ST_VOUCH, /* the steps of it */
	ST_VOUCH_FORGET,
	ST_VOUCH_NOTES,
	ST_NOTE,
	ST_RECORD,
	ST_AUTH,
	ST_REASON,
	ST_FAILURE,
	ST_SAMPLE,
	ST_LIST,
	ST_ADDRESS,
	ST_HOP,
	ST_ATTACHMENT,
	ST_POLICY,
	ST_POLICY_TEXT,
	ST_DETAIL,
	ST_PAYLOAD,
	ST_DEL_RECORD, /* what belongs to a report, in an order that breaks no reference */
	ST_DEL_AUTH,
	ST_DEL_REASON,
	ST_DEL_SAMPLE,
	ST_DEL_LIST,
	ST_DEL_ADDRESS,
	ST_DEL_HOP,
	ST_DEL_ATTACHMENT,
	ST_DEL_FAILURE,
	ST_DEL_POLICY,
	ST_DEL_POLICY_TEXT,
	ST_DEL_DETAIL,
	ST_DEL_NOTE,
	ST_DEL_EXCEPTION,
	ST_DEL_REPORT,
	ST_SINK,
	ST_SINK_STATE,
	ST_PARK,
	ST_UNPARK,
	ST_PASSED_DONE,
	ST_PASSED_SENT,
	ST_SENT,
	ST_GONE,
	ST_TOMBSTONE,
	ST_QUOTA,
	ST_QUOTA_ADD,
	ST_QUOTA_OLD,
	ST_N
};

/* The report that is being taken in. */
struct tap_store_adding {
	bool open;
	enum tap_kind kind;
	int64_t seq;
	int64_t ordinal; /* of the next item */
	int64_t details; /* of these items */
	bool body;	 /* the one body of a failure or feedback report came */
	bool trusted;
	uint32_t part;
	char uid[TAP_UID_HEX];
	bool existing; /* a report of this uid is stored: */
	int64_t old_seq, old_revision, old_duplicates, old_message;
	bool old_truncated, old_trusted;
	bool expired;	  /* or was, and has been removed: */
	bool same_sender; /* From of both is the same domain */
	unsigned char old_hash[TAP_HASH_BYTES];
};

/* A message that is parsed again. */
struct tap_store_again {
	uint32_t part;	/* of the payload that is read */
	bool elsewhere; /* the report that is open is not stored from this message */
	uint64_t changed, added;
};

struct tap_store {
	struct tap_db db;
	struct sqlite3_stmt *st[ST_N];
	int64_t wal_limit;
	int64_t wal_pages, page_size;
	bool in_transaction, in_message, failed;
	int64_t message_id, now;
	struct tap_store_adding add;
	struct tap_store_outcome outcome;
	struct tap_store_again again;
	bool part_stored; /* something of stored_part was stored, so its payload is kept */
	uint32_t stored_part;
	struct tap_buf payload;
};

/* Runs a prepared statement without rows; notes a failure in s->failed. */
enum tap_rc tap_store_run(struct tap_store *s, enum tap_store_st st,
			  struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_delete_report(struct tap_store *s, int64_t seq,
				    struct tap_err *err) TAP_MUST_CHECK;
void tap_store_add_reset(struct tap_store *s);
/* add.c's steps, for reprocess.c. old_* of s->add are filled before the first. */
enum tap_rc tap_store_find_report(struct tap_store *s, const struct tap_meta *m,
				  struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_open_report(struct tap_store *s, const struct tap_meta *m,
				  struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_finish_report(struct tap_store *s, const struct tap_report_end *e,
				    struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_take_over(struct tap_store *s, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_undo_report(struct tap_store *s, struct tap_err *err);
/* The bodies of the other kinds, of the report that is open; s->add.ordinal is counted by the caller. */
enum tap_rc tap_store_add_failure(struct tap_store *s, const struct tap_failure *f,
				  struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_add_policy(struct tap_store *s, const struct tap_tls_policy *p,
				 struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_store_add_detail(struct tap_store *s, const struct tap_tls_detail *d,
				 struct tap_err *err) TAP_MUST_CHECK;

enum tap_rc tap_schema_check(struct tap_db *db, int64_t *version_r,
			     struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_schema_migrate(struct tap_db *db, struct tap_err *err) TAP_MUST_CHECK;

#endif
