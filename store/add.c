/* SPDX-License-Identifier: Apache-2.0
 * store/add.c - one message and its reports into the open transaction; reports are told apart by uid and content [I3].
 * The writer's side of struct tap_events: what was begun and not ended is undone by its savepoint. Threads: the writer's. */
#include "store/store_priv.h"

#include "base/fault.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { METHOD_DKIM, METHOD_SPF };

/* Bound text is read by the step that follows at once, so SQLite need not copy it. */
static void text(struct sqlite3_stmt *st, int i, const char *s)
{
	if (s == NULL)
		(void)sqlite3_bind_null(st, i);
	else
		(void)sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
}

static void number(struct sqlite3_stmt *st, int i, int64_t v)
{
	(void)sqlite3_bind_int64(st, i, v);
}

static void bytes(struct sqlite3_stmt *st, int i, const void *p, size_t n)
{
	(void)sqlite3_bind_blob64(st, i, n == 0 ? "" : p, n, SQLITE_STATIC);
}

static void copy(char *to, size_t n, const void *from)
{
	(void)snprintf(to, n, "%s", from != NULL ? (const char *)from : "");
}

void tap_store_add_reset(struct tap_store *s)
{
	memset(&s->add, 0, sizeof(s->add));
	memset(&s->outcome, 0, sizeof(s->outcome));
	s->part_stored = false;
	tap_buf_reset(&s->payload);
}

static enum tap_rc step(struct tap_store *s, enum tap_store_st st, const char *what, bool *row_r,
			struct tap_err *err)
{
	enum tap_rc rc = tap_db_step(&s->db, s->st[st], what, row_r, err);

	if (rc != TAP_OK)
		s->failed = true;
	return rc;
}

enum tap_rc tap_store_known(struct tap_store *s, const char *spool_id, struct tap_store_known *k,
			    struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_KNOWN];
	enum tap_rc rc;

	memset(k, 0, sizeof(*k));
	text(st, 1, spool_id);
	rc = step(s, ST_KNOWN, "look for a message", &k->known, err);
	if (!k->known)
		return rc;
	k->quarantine = sqlite3_column_type(st, 0) != SQLITE_NULL;
	copy(k->verdict, sizeof(k->verdict), sqlite3_column_text(st, 0));
	copy(k->reason, sizeof(k->reason), sqlite3_column_text(st, 1));
	(void)sqlite3_reset(st);
	return TAP_OK;
}

enum tap_rc tap_store_message_begin(struct tap_store *s, const struct tap_store_message *m,
				    struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_MESSAGE];
	enum tap_rc rc = tap_store_run(s, ST_SAVE_MESSAGE, err);

	if (rc != TAP_OK)
		return rc;
	tap_store_add_reset(s);
	s->in_message = true;
	text(st, 1, m->spool_id);
	text(st, 2, m->door);
	text(st, 3, m->sender);
	text(st, 4, m->recipients);
	text(st, 5, m->client);
	text(st, 6, m->queue_id);
	number(st, 7, m->arrival);
	text(st, 8, m->fate);
	number(st, 9, (int64_t)m->size);
	bytes(st, 10, m->sha256, sizeof(m->sha256));
	bytes(st, 11, m->headers, m->headers_len);
	number(st, 12, m->reports);
	number(st, 13, m->broken);
	text(st, 14, m->reason);
	text(st, 15, m->quarantine);
	rc = tap_store_run(s, ST_MESSAGE, err);
	s->message_id = sqlite3_last_insert_rowid(s->db.h);
	return rc;
}

enum tap_rc tap_store_message_end(struct tap_store *s, struct tap_store_outcome *out,
				  struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	if (s->outcome.conflicts > 0) {
		number(s->st[ST_MESSAGE_CONFLICT], 1, s->message_id);
		text(s->st[ST_MESSAGE_CONFLICT], 2, s->outcome.conflict);
		rc = tap_store_run(s, ST_MESSAGE_CONFLICT, err);
	}
	if (rc == TAP_OK)
		rc = tap_store_run(s, ST_RELEASE_MESSAGE, err);
	if (rc == TAP_OK)
		*out = s->outcome;
	tap_store_add_reset(s);
	s->in_message = false;
	return rc;
}

enum tap_rc tap_store_message_abort(struct tap_store *s, struct tap_err *err)
{
	enum tap_rc rc = tap_store_run(s, ST_UNDO_MESSAGE, err);

	if (rc == TAP_OK)
		rc = tap_store_run(s, ST_RELEASE_MESSAGE, err);
	tap_store_add_reset(s);
	s->in_message = false;
	return rc;
}

static enum tap_rc add_note(struct tap_store *s, int kind, size_t n, const char *place,
			    const char *what, const char *lang, struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_NOTE];

	number(st, 1, s->add.seq);
	number(st, 2, kind);
	number(st, 3, (int64_t)n);
	text(st, 4, place);
	text(st, 5, what != NULL ? what : "");
	text(st, 6, lang);
	return tap_store_run(s, ST_NOTE, err);
}

/* It is not stored: was it, before it expired? */
static enum tap_rc find_gone(struct tap_store *s, const struct tap_meta *m, struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_GONE];
	struct tap_store_adding *a = &s->add;
	enum tap_rc rc;

	text(st, 1, m->uid);
	rc = step(s, ST_GONE, "look for an expired report", &a->expired, err);
	if (rc != TAP_OK || !a->expired)
		return rc;
	if (sqlite3_column_bytes(st, 0) == TAP_HASH_BYTES)
		memcpy(a->old_hash, sqlite3_column_blob(st, 0), TAP_HASH_BYTES);
	(void)sqlite3_reset(st);
	return TAP_OK;
}

/* Fills s->add's old_*: is a report of this uid stored? */
enum tap_rc tap_store_find_report(struct tap_store *s, const struct tap_meta *m,
				  struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_FIND];
	struct tap_store_adding *a = &s->add;
	const char *from;
	enum tap_rc rc;

	text(st, 1, m->uid);
	rc = step(s, ST_FIND, "look for a report", &a->existing, err);
	if (rc == TAP_OK && !a->existing)
		return find_gone(s, m, err);
	if (rc != TAP_OK)
		return rc;
	a->old_seq = sqlite3_column_int64(st, 0);
	a->old_revision = sqlite3_column_int64(st, 1);
	a->old_duplicates = sqlite3_column_int64(st, 2);
	a->old_truncated = sqlite3_column_int64(st, 3) != 0;
	if (sqlite3_column_bytes(st, 4) == TAP_HASH_BYTES)
		memcpy(a->old_hash, sqlite3_column_blob(st, 4), TAP_HASH_BYTES);
	a->old_message = sqlite3_column_int64(st, 5);
	a->old_trusted = sqlite3_column_int64(st, 6) != 0;
	from = (const char *)sqlite3_column_text(st, 7);
	a->same_sender = from != NULL && m->trust.from_domain != NULL &&
			 strcasecmp(from, m->trust.from_domain) == 0;
	(void)sqlite3_reset(st);
	return TAP_OK;
}

/* One place for what is text and what is a number in the meta part; the columns follow ST_REPORT. */
static void bind_meta(struct tap_store *s, const struct tap_meta *m, const char *uid)
{
	struct sqlite3_stmt *st = s->st[ST_REPORT];
	const char *const texts[] = {m->version,
				     m->xml_namespace,
				     m->org_name,
				     m->email,
				     m->extra_contact_info.text,
				     m->extra_contact_info.lang,
				     m->report_id,
				     m->generator};
	const char *const policy[] = {m->domain,
				      m->version_published,
				      m->discovery_method,
				      m->p,
				      m->sp,
				      m->np,
				      m->adkim,
				      m->aspf,
				      m->pct,
				      m->fo,
				      m->testing};
	const int trust[] = {(int)m->trust.auth,  (int)m->trust.dmarc, (int)m->trust.reporter,
			     (int)m->trust.names, m->trust.foreign,    m->trust.trusted};
	int i = 9;

	text(st, 1, uid);
	number(st, 2, m->kind);
	number(st, 3, s->message_id);
	number(st, 4, m->origin.part);
	number(st, 5, m->origin.document);
	text(st, 6, m->origin.filename);
	number(st, 7, s->now);
	number(st, 8, m->schema);
	for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
		text(st, i++, texts[k]);
	number(st, i++, m->begin);
	number(st, i++, m->end);
	for (size_t k = 0; k < sizeof(policy) / sizeof(policy[0]); k++)
		text(st, i++, policy[k]);
	text(st, i++, m->begin_raw);
	text(st, i++, m->end_raw);
	text(st, i++, m->trust.from_domain);
	for (size_t k = 0; k < sizeof(trust) / sizeof(trust[0]); k++)
		number(st, i++, trust[k]);
}

enum tap_rc tap_store_open_report(struct tap_store *s, const struct tap_meta *m,
				  struct tap_err *err)
{
	struct tap_store_adding *a = &s->add;
	char uid[TAP_UID_HEX + 1];
	enum tap_rc rc = tap_store_run(s, ST_SAVE_REPORT, err);

	if (rc != TAP_OK)
		return rc;
	a->open = true;
	a->kind = m->kind;
	a->trusted = m->trust.trusted;
	a->part = m->origin.part;
	memcpy(a->uid, m->uid, sizeof(a->uid));
	/* Which of the cases of I3 it is shows only at the end: until then it goes by a name that no report can have. */
	(void)snprintf(uid, sizeof(uid), "%.40s%s", m->uid, a->existing ? "+" : "");
	bind_meta(s, m, uid);
	rc = tap_store_run(s, ST_REPORT, err);
	a->seq = sqlite3_last_insert_rowid(s->db.h);
	for (size_t i = 0; rc == TAP_OK && i < m->n_errors; i++)
		rc =
		    add_note(s, TAP_NOTE_ERROR, i, NULL, m->errors[i].text, m->errors[i].lang, err);
	for (size_t i = 0; rc == TAP_OK && i < m->n_receiving_domains; i++)
		rc = add_note(s, TAP_NOTE_DOMAIN, i, NULL, m->receiving_domains[i], NULL, err);
	for (size_t i = 0; rc == TAP_OK && i < m->trust.n_dkim_domains; i++)
		rc = add_note(s, TAP_NOTE_DKIM, i, NULL, m->trust.dkim_domains[i], NULL, err);
	return rc;
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct tap_store *s = ctx;
	int trouble = tap_fault("store.insert"), refused = tap_fault("store.content");
	enum tap_rc rc;

	if (trouble != 0 || refused != 0) {
		s->failed = true;
		return trouble != 0 ? tap_err_sys(err, TAP_E_TEMP, trouble, "store %s", s->db.path)
				    : tap_err_sys(err, TAP_E_DATA, refused,
						  "store %s: content refused", s->db.path);
	}
	if (s->add.open)
		return tap_err_set(err, TAP_E_DATA, "a report begins inside another one");
	memset(&s->add, 0, sizeof(s->add));
	rc = tap_store_find_report(s, m, err);
	return rc == TAP_OK ? tap_store_open_report(s, m, err) : rc;
}

static enum tap_rc add_results(struct tap_store *s, int method, const struct tap_auth_result *r,
			       size_t n, struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_AUTH];
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < n; i++) {
		number(st, 1, s->add.seq);
		number(st, 2, s->add.ordinal);
		number(st, 3, method);
		number(st, 4, (int64_t)i);
		text(st, 5, r[i].domain);
		text(st, 6, r[i].label);
		text(st, 7, r[i].result);
		text(st, 8, r[i].human_result.text);
		text(st, 9, r[i].human_result.lang);
		rc = tap_store_run(s, ST_AUTH, err);
	}
	return rc;
}

static enum tap_rc add_reasons(struct tap_store *s, const struct tap_record *r, struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_REASON];
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < r->n_reasons; i++) {
		number(st, 1, s->add.seq);
		number(st, 2, s->add.ordinal);
		number(st, 3, (int64_t)i);
		text(st, 4, r->reasons[i].type);
		text(st, 5, r->reasons[i].comment.text);
		text(st, 6, r->reasons[i].comment.lang);
		rc = tap_store_run(s, ST_REASON, err);
	}
	return rc;
}

static enum tap_rc on_record(void *ctx, const struct tap_record *r, struct tap_err *err)
{
	struct tap_store *s = ctx;
	struct sqlite3_stmt *st = s->st[ST_RECORD];
	int trouble = tap_fault("store.record");
	enum tap_rc rc;

	if (!s->add.open || s->add.kind != TAP_KIND_AGGREGATE)
		return tap_err_set(err, TAP_E_DATA, "a record outside of an aggregate report");
	if (trouble != 0) {
		s->failed = true;
		return tap_err_sys(err, TAP_E_TEMP, trouble, "store %s", s->db.path);
	}
	number(st, 1, s->add.seq);
	number(st, 2, s->add.ordinal);
	number(st, 3, (int64_t)r->index);
	text(st, 4, r->source_ip);
	text(st, 5, r->source_ip_raw);
	number(st, 6, (int64_t)r->count);
	text(st, 7, r->disposition);
	number(st, 8, r->evaluated);
	number(st, 9, r->dkim_aligned);
	number(st, 10, r->spf_aligned);
	text(st, 11, r->header_from);
	text(st, 12, r->envelope_from);
	text(st, 13, r->envelope_to);
	text(st, 14, r->extension);
	rc = tap_store_run(s, ST_RECORD, err);
	if (rc == TAP_OK)
		rc = add_results(s, METHOD_DKIM, r->dkim, r->n_dkim, err);
	if (rc == TAP_OK)
		rc = add_results(s, METHOD_SPF, r->spf, r->n_spf, err);
	if (rc == TAP_OK)
		rc = add_reasons(s, r, err);
	s->add.ordinal++;
	return rc;
}

static enum tap_rc on_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	struct tap_store *s = ctx;
	struct tap_store_adding *a = &s->add;

	if (!a->open || a->body || (a->kind != TAP_KIND_FAILURE && a->kind != TAP_KIND_FEEDBACK))
		return tap_err_set(err, TAP_E_DATA, "the body of a failure report outside of one");
	a->body = true;
	return tap_store_add_failure(s, f, err);
}

static enum tap_rc on_policy(void *ctx, const struct tap_tls_policy *p, struct tap_err *err)
{
	struct tap_store *s = ctx;
	enum tap_rc rc;

	if (!s->add.open || s->add.kind != TAP_KIND_SMTP_TLS)
		return tap_err_set(err, TAP_E_DATA, "a policy outside of an SMTP TLS report");
	rc = tap_store_add_policy(s, p, err);
	s->add.ordinal++;
	return rc;
}

static enum tap_rc on_detail(void *ctx, const struct tap_tls_detail *d, struct tap_err *err)
{
	struct tap_store *s = ctx;
	enum tap_rc rc;

	if (!s->add.open || s->add.ordinal == 0 || s->add.kind != TAP_KIND_SMTP_TLS)
		return tap_err_set(err, TAP_E_DATA, "a failure detail without a policy");
	rc = tap_store_add_detail(s, d, err);
	s->add.ordinal++;
	s->add.details++;
	return rc;
}

enum tap_rc tap_store_finish_report(struct tap_store *s, const struct tap_report_end *e,
				    struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_REPORT_END];
	enum tap_rc rc = TAP_OK;

	number(st, 1, s->add.seq);
	text(st, 2, e->extension);
	bytes(st, 3, e->content_hash, TAP_HASH_BYTES);
	number(st, 4, (int64_t)e->content_bytes);
	/* What was really stored: readers know the last item by it. */
	number(st, 5, s->add.ordinal - s->add.details);
	number(st, 6, (int64_t)e->dropped);
	number(st, 7, (int64_t)e->messages);
	number(st, 8, (int64_t)e->passed);
	number(st, 9, e->truncated);
	number(st, 10, e->recovered);
	number(st, 11, (int64_t)e->warnings_total);
	number(st, 12, s->add.details);
	rc = tap_store_run(s, ST_REPORT_END, err);
	for (size_t i = 0; rc == TAP_OK && i < e->n_warnings; i++)
		rc = add_note(s, TAP_NOTE_WARNING, i, e->warnings[i].where, e->warnings[i].what,
			      NULL, err);
	return rc;
}

enum tap_rc tap_store_delete_report(struct tap_store *s, int64_t seq, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (enum tap_store_st i = ST_DEL_RECORD; rc == TAP_OK && i <= ST_DEL_REPORT; i++) {
		number(s->st[i], 1, seq);
		rc = tap_store_run(s, i, err);
	}
	return rc;
}

/* The new report takes the place of the old one: its uid, the next revision, a new seq, so that every sink sees it. */
enum tap_rc tap_store_take_over(struct tap_store *s, struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_TAKE_OVER];
	enum tap_rc rc;

	/* Sinks that have confirmed the old one, and cannot replace it, step over the new one. */
	number(s->st[ST_SENT], 1, s->add.old_seq);
	number(s->st[ST_SENT], 2, s->add.seq);
	rc = tap_store_run(s, ST_SENT, err);
	if (rc == TAP_OK)
		rc = tap_store_delete_report(s, s->add.old_seq, err);
	if (rc != TAP_OK)
		return rc;
	number(st, 1, s->add.seq);
	text(st, 2, s->add.uid);
	number(st, 3, s->add.old_revision + 1);
	number(st, 4, s->add.old_duplicates);
	return tap_store_run(s, ST_TAKE_OVER, err);
}

enum tap_rc tap_store_undo_report(struct tap_store *s, struct tap_err *err)
{
	enum tap_rc rc = tap_store_run(s, ST_UNDO_REPORT, err);

	if (rc == TAP_OK)
		rc = tap_store_run(s, ST_RELEASE_REPORT, err);
	s->add.open = false;
	return rc;
}

/* What becomes of a report whose uid is stored already [I3]; standards: RFC 9990 section 3.5.4. */
enum fate { SAME, VOUCH, REPLACE, CONFLICT };
static enum fate fate_of(const struct tap_store *s, const struct tap_report_end *e)
{
	const struct tap_store_adding *a = &s->add;

	if (memcmp(a->old_hash, e->content_hash, TAP_HASH_BYTES) == 0)
		return a->trusted && !a->old_trusted ? VOUCH : SAME;
	/* A cut copy of what we have whole says nothing new, unless the whole one may be somebody else's. */
	if (e->truncated && !a->old_truncated)
		return a->trusted && !a->old_trusted ? CONFLICT : SAME;
	/* The whole one wins over the cut one, but over one that is trusted only its own reporter's. */
	if (a->old_truncated && !e->truncated)
		return !a->old_trusted || (a->trusted && a->same_sender) ? REPLACE : CONFLICT;
	/* Two of one name in one mail are two reports, and no correction of each other. */
	if (!a->trusted || a->old_message == s->message_id)
		return CONFLICT;
	return !a->old_trusted || a->same_sender ? REPLACE : CONFLICT;
}

/* The same content, now in a mail that vouches for it: the old report stays where it is, with the new one's mail and trust. Sinks have
 * its rows already and get none anew. */
static enum tap_rc vouch(struct tap_store *s, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (enum tap_store_st i = ST_VOUCH; rc == TAP_OK && i <= ST_VOUCH_NOTES; i++) {
		number(s->st[i], 1, s->add.old_seq);
		if (i != ST_VOUCH_FORGET)
			number(s->st[i], 2, s->add.seq);
		rc = tap_store_run(s, i, err);
	}
	return rc == TAP_OK ? tap_store_delete_report(s, s->add.seq, err) : rc;
}

static enum tap_rc end_existing(struct tap_store *s, const struct tap_report_end *e, bool *kept_r,
				struct tap_err *err)
{
	struct tap_store_adding *a = &s->add;
	enum fate fate = fate_of(s, e);
	enum tap_rc rc;

	*kept_r = fate == REPLACE || fate == VOUCH;
	if (fate == VOUCH) {
		s->outcome.duplicates++;
		s->add.ordinal = 0; /* nothing new is stored */
		return vouch(s, err);
	}
	if (fate == REPLACE) {
		rc = tap_store_finish_report(s, e, err);
		s->outcome.replaced++;
		return rc == TAP_OK ? tap_store_take_over(s, err) : rc;
	}
	rc = tap_store_undo_report(s, err);
	if (rc != TAP_OK)
		return rc;
	if (fate == SAME) {
		s->outcome.duplicates++;
		number(s->st[ST_DUPLICATE], 1, a->old_seq);
		return tap_store_run(s, ST_DUPLICATE, err);
	}
	if (s->outcome.conflicts++ == 0)
		(void)snprintf(s->outcome.conflict, sizeof(s->outcome.conflict),
			       "conflict: report %.40s is stored with other content, which stays",
			       a->uid);
	return TAP_OK;
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct tap_store *s = ctx;
	bool kept = true;
	enum tap_rc rc;

	if (!s->add.open)
		return tap_err_set(err, TAP_E_DATA, "the end of a report that did not begin");
	if (!s->add.body && (s->add.kind & (TAP_KIND_FAILURE | TAP_KIND_FEEDBACK)) != 0)
		return tap_err_set(err, TAP_E_DATA, "a failure report without its body");
	if (s->add.expired && memcmp(s->add.old_hash, e->content_hash, TAP_HASH_BYTES) == 0) {
		kept = false;
		s->outcome.duplicates++;
		rc = tap_store_undo_report(s, err);
	} else if (s->add.existing) {
		rc = end_existing(s, e, &kept, err);
	} else {
		rc = tap_store_finish_report(s, e, err);
		s->outcome.stored++;
	}
	if (rc != TAP_OK || !kept)
		return rc;
	s->outcome.records += (uint64_t)s->add.ordinal;
	s->part_stored = true;
	s->stored_part = s->add.part;
	s->add.open = false;
	return tap_store_run(s, ST_RELEASE_REPORT, err);
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct tap_store *s = ctx;

	(void)why;
	if (s->add.open)
		(void)tap_store_undo_report(
		    s, NULL); /* a failure sets s->failed, and the commit will not be asked for */
}

/* The payload of reports that we have already is not kept a second time. */
static enum tap_rc on_payload(void *ctx, uint32_t part, const void *p, size_t n,
			      struct tap_err *err)
{
	struct tap_store *s = ctx;
	struct sqlite3_stmt *st = s->st[ST_PAYLOAD];
	enum tap_rc rc = TAP_OK;

	if (!s->part_stored || part != s->stored_part)
		return TAP_OK;
	if (n > 0) {
		tap_buf_add(&s->payload, p, n);
		return s->payload.failed
			   ? tap_err_set(err, TAP_E_DATA, "the payload is over its limit")
			   : TAP_OK;
	}
	number(st, 1, s->message_id);
	number(st, 2, part);
	bytes(st, 3, s->payload.p, s->payload.len);
	rc = tap_store_run(s, ST_PAYLOAD, err);
	s->part_stored = false;
	if (s->payload.cap > 1 << 20)
		tap_buf_free(&s->payload);
	tap_buf_reset(&s->payload);
	return rc;
}

const struct tap_events tap_store_events = {
    .begin = on_begin,
    .record = on_record,
    .end = on_end,
    .abort = on_abort,
    .payload = on_payload,
    .failure = on_failure,
    .tls_policy = on_policy,
    .tls_detail = on_detail,
};
