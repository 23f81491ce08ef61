/* SPDX-License-Identifier: Apache-2.0
 * store/rows.c - items for the sinks, read in order of (seq, ordinal) from one snapshot for each call. Three cursors (records,
 * authentication results, reasons) run side by side over one report, so that memory holds one record whatever the report's size.
 * Threads: one at a time for each reader. */
#include "store/rows_priv.h"

#include <sqlite3.h>
#include <string.h>

enum { REPORT_ARENA = 16 << 20, RECORD_ARENA = 64 << 20, FIRST_ROOM = 4 };

#define REPORT_COLUMNS                                                                             \
	"seq, revision, uid, kind, part, document, filename, schema, version, xml_namespace, "     \
	"org_name, email, contact, "                                                               \
	"contact_lang, report_id, generator, begin, end, domain, version_published, "              \
	"discovery_method, p, sp, np, adkim, "                                                     \
	"aspf, pct, fo, testing, extension, content_hash, content_bytes, records, dropped, "       \
	"messages, passed, truncated, "                                                            \
	"recovered, warnings, begin_raw, end_raw, from_domain, auth, dmarc, reporter, names, "     \
	"is_foreign, trusted, details"
static const char *const sql[TAP_ROWS_ST] = {
    [ROWS_REPORTS] =
	"SELECT " REPORT_COLUMNS " FROM report WHERE seq >= ?1 AND kind & ?2 ORDER BY seq",
    [ROWS_NOTES] = "SELECT kind, place, text, lang FROM note WHERE seq = ?1 ORDER BY kind, n",
    [ROWS_RECORDS] =
	"SELECT ordinal, idx, source_ip, source_ip_raw, count, disposition, evaluated, "
	"dkim_aligned, spf_aligned, "
	"header_from, envelope_from, envelope_to, extension FROM record WHERE seq = ?1 AND "
	"ordinal >= ?2 ORDER BY ordinal",
    [ROWS_RESULTS] = "SELECT ordinal, method, domain, label, result, human, lang FROM auth_result "
		     "WHERE seq = ?1 AND ordinal >= ?2 ORDER BY ordinal, method, n",
    [ROWS_REASONS] =
	"SELECT ordinal, type, comment, lang FROM reason WHERE seq = ?1 AND ordinal >= ?2 "
	"ORDER BY ordinal, n",
    [ROWS_FAILURE] =
	"SELECT format, feedback_type, user_agent, version, original_envelope_id, "
	"original_mail_from, arrival_date, arrival, message_id, delivery_result, "
	"delivery_result_raw, alignment_known, reporting_mta_type, reporting_mta, dkim_domain, "
	"dkim_identity, dkim_selector, dkim_selector_dns, dkim_adsp_dns, dkim_header_given, "
	"dkim_header_size, dkim_header_sha256, dkim_body_given, dkim_body_size, dkim_body_sha256, "
	"source_ip, source_ip_raw, source_ip_from_sample, source_port, incidents, sample_utf8, "
	"sample_headers_only, sample_damaged, human_text FROM failure WHERE seq = ?1",
    [ROWS_SAMPLE] = "SELECT bytes, subject, message_id, date, time, has_zone, zone, has_defects, "
		    "body FROM failure_sample WHERE seq = ?1",
    [ROWS_LISTS] = "SELECT kind, name, value, domain, raw FROM failure_list WHERE seq = ?1 "
		   "ORDER BY kind, n",
    [ROWS_ADDRESSES] = "SELECT field, display_name, address, local_part, domain "
		       "FROM failure_address WHERE seq = ?1 ORDER BY field, n",
    [ROWS_HOPS] = "SELECT \"from\", \"by\", \"with\", id, \"for\", via, date, time, delay, hop "
		  "FROM failure_hop WHERE seq = ?1 ORDER BY n",
    [ROWS_ATTACHMENTS] =
	"SELECT payload, filename, content_type, content_id, disposition, charset, "
	"encoding, size, sha256, is_text, damaged FROM failure_attachment "
	"WHERE seq = ?1 ORDER BY n",
    [ROWS_POLICIES] = "SELECT ordinal, idx, policy_type, domain, successful, failed, details "
		      "FROM tls_policy WHERE seq = ?1 AND ordinal >= coalesce((SELECT "
		      "max(ordinal) FROM tls_policy WHERE seq = ?1 AND ordinal <= ?2), ?2) "
		      "ORDER BY ordinal",
    [ROWS_POLICY_TEXTS] = "SELECT kind, text FROM tls_text WHERE seq = ?1 AND ordinal = ?2 "
			  "ORDER BY kind, n",
    [ROWS_DETAILS] =
	"SELECT ordinal, policy, idx, result_type, failed, sending_mta_ip, receiving_ip, "
	"receiving_mx_hostname, receiving_mx_helo, additional_info, failure_reason_code "
	"FROM tls_detail WHERE seq = ?1 AND ordinal >= ?2 ORDER BY ordinal",
};

static const char *text(struct sqlite3_stmt *st, int i)
{
	return (const char *)sqlite3_column_text(st, i);
}

enum tap_rc tap_rows_no_room(struct tap_reading *x, struct tap_err *err)
{
	return tap_err_set(err, TAP_E_LIMIT,
			   "store %s: a stored report is over the limit of its reader",
			   x->r->db.path);
}

void *tap_rows_one_more(struct tap_arena *a, void *old, size_t n, size_t each)
{
	void *p;

	if (n != 0 && (n < FIRST_ROOM || (n & (n - 1)) != 0))
		return old;
	p = tap_arena_alloc(a, (n == 0 ? (size_t)FIRST_ROOM : n * 2) * each);
	if (p != NULL && old != NULL)
		memcpy(p, old, n * each);
	return p;
}

/* The lists of a report's notes while they grow. */
struct notes {
	struct tap_text *errors;
	const char **domains;
	struct tap_warning *warnings;
};

/* One note into its list; false: no room. text and aside belong to the report's arena. */
static bool take_note(struct tap_reading *x, struct notes *l, int kind, const char *text,
		      const char *aside)
{
	struct tap_meta *m = &x->meta;

	switch (kind) {
	case TAP_NOTE_ERROR:
		l->errors =
		    tap_rows_one_more(x->report, l->errors, m->n_errors, sizeof(*l->errors));
		if (l->errors != NULL)
			l->errors[m->n_errors++] = (struct tap_text){text, aside};
		return l->errors != NULL;
	case TAP_NOTE_WARNING:
		l->warnings = tap_rows_one_more(x->report, l->warnings, x->end.n_warnings,
						sizeof(*l->warnings));
		if (l->warnings != NULL)
			l->warnings[x->end.n_warnings++] = (struct tap_warning){aside, text};
		return l->warnings != NULL;
	case TAP_NOTE_DKIM:
		if (m->trust.n_dkim_domains < TAP_TRUST_DKIM)
			m->trust.dkim_domains[m->trust.n_dkim_domains++] = text;
		return true;
	default:
		l->domains = tap_rows_one_more(x->report, l->domains, m->n_receiving_domains,
					       sizeof(*l->domains));
		if (l->domains != NULL)
			l->domains[m->n_receiving_domains++] = text;
		return l->domains != NULL;
	}
}

static enum tap_rc read_notes(struct tap_reading *x, int64_t seq, struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[ROWS_NOTES];
	struct notes lists = {0};
	bool row = true, ok = true;
	enum tap_rc rc = TAP_OK;

	(void)sqlite3_bind_int64(st, 1, seq);
	while ((rc = tap_db_step(&x->r->db, st, "read notes", &row, err)) == TAP_OK && row && ok) {
		int kind = sqlite3_column_int(st, 0);
		const char *aside = text(st, kind == TAP_NOTE_WARNING ? 1 : 3);
		char *s = tap_arena_strdup(x->report, text(st, 2));
		char *extra = aside != NULL ? tap_arena_strdup(x->report, aside) : NULL;

		ok = s != NULL && (aside == NULL || extra != NULL) &&
		     take_note(x, &lists, kind, s, extra);
	}
	(void)sqlite3_reset(st);
	x->meta.errors = lists.errors;
	x->meta.receiving_domains = lists.domains;
	x->end.warnings = lists.warnings;
	return ok ? rc : tap_rows_no_room(x, err);
}

static int enum_of(struct sqlite3_stmt *st, int i, int n)
{
	int v = sqlite3_column_int(st, i);

	return v >= 0 && v < n ? v : 0;
}

static void fill_trust(struct tap_trust *t, struct sqlite3_stmt *st)
{
	t->from_domain = text(st, 41);
	t->auth = (enum tap_auth_state)enum_of(st, 42, TAP_AUTH_N);
	t->dmarc = (enum tap_auth_state)enum_of(st, 43, TAP_AUTH_N);
	t->reporter = (enum tap_agree)enum_of(st, 44, TAP_AGREE_N);
	t->names = (enum tap_agree)enum_of(st, 45, TAP_AGREE_N);
	t->foreign = sqlite3_column_int(st, 46) != 0;
	t->trusted = sqlite3_column_int(st, 47) != 0;
}

/* The texts of the row stay where they are while its statement is not stepped. */
static void fill_meta(struct tap_reading *x, struct sqlite3_stmt *st)
{
	struct tap_meta *m = &x->meta;
	const char **const texts[] = {&m->version,
				      &m->xml_namespace,
				      &m->org_name,
				      &m->email,
				      &m->extra_contact_info.text,
				      &m->extra_contact_info.lang,
				      &m->report_id,
				      &m->generator};
	const char **const policy[] = {&m->domain,
				       &m->version_published,
				       &m->discovery_method,
				       &m->p,
				       &m->sp,
				       &m->np,
				       &m->adkim,
				       &m->aspf,
				       &m->pct,
				       &m->fo,
				       &m->testing};
	const char *uid = text(st, 2);

	memset(m, 0, sizeof(*m));
	if (uid != NULL)
		memcpy(m->uid, uid, strnlen(uid, sizeof(m->uid) - 1));
	m->kind = (enum tap_kind)sqlite3_column_int(st, 3);
	m->origin.part = (uint32_t)sqlite3_column_int64(st, 4);
	m->origin.document = (uint32_t)sqlite3_column_int64(st, 5);
	m->origin.filename = text(st, 6);
	m->schema = (enum tap_schema)enum_of(st, 7, TAP_SCHEMA_N);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		*texts[i] = text(st, 8 + (int)i);
	m->begin = sqlite3_column_int64(st, 16);
	m->end = sqlite3_column_int64(st, 17);
	for (size_t i = 0; i < sizeof(policy) / sizeof(policy[0]); i++)
		*policy[i] = text(st, 18 + (int)i);
	m->begin_raw = text(st, 39);
	m->end_raw = text(st, 40);
	fill_trust(&m->trust, st);
}

static void fill_end(struct tap_reading *x, struct sqlite3_stmt *st)
{
	struct tap_report_end *e = &x->end;

	memset(e, 0, sizeof(*e));
	e->extension = text(st, 29);
	if (sqlite3_column_bytes(st, 30) == TAP_HASH_BYTES)
		memcpy(e->content_hash, sqlite3_column_blob(st, 30), TAP_HASH_BYTES);
	e->content_bytes = (uint64_t)sqlite3_column_int64(st, 31);
	e->records = (uint64_t)sqlite3_column_int64(st, 32);
	e->dropped = (uint64_t)sqlite3_column_int64(st, 33);
	e->messages = (uint64_t)sqlite3_column_int64(st, 34);
	e->passed = (uint64_t)sqlite3_column_int64(st, 35);
	e->truncated = sqlite3_column_int(st, 36) != 0;
	e->recovered = sqlite3_column_int(st, 37) != 0;
	e->warnings_total = (uint64_t)sqlite3_column_int64(st, 38);
	e->details = (uint64_t)sqlite3_column_int64(st, 48);
}

/* Copies a column into the record's arena: its cursor moves on before the record is handed over. */
static bool keep(struct tap_reading *x, struct sqlite3_stmt *st, int i, const char **to)
{
	const char *s = text(st, i);

	*to =
	    s == NULL ? NULL : tap_arena_strndup(x->record, s, (size_t)sqlite3_column_bytes(st, i));
	return s == NULL || *to != NULL;
}

static enum tap_rc read_results(struct tap_reading *x, struct tap_record *rec, int64_t ordinal,
				struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[ROWS_RESULTS];
	struct tap_auth_result *all = NULL, *a;
	size_t n = 0;

	while (x->more_results && sqlite3_column_int64(st, 0) == ordinal) {
		all = tap_rows_one_more(x->record, all, n, sizeof(*all));
		if (all == NULL)
			return tap_rows_no_room(x, err);
		a = &all[n++];
		if (!keep(x, st, 2, &a->domain) || !keep(x, st, 3, &a->label) ||
		    !keep(x, st, 4, &a->result) || !keep(x, st, 5, &a->human_result.text) ||
		    !keep(x, st, 6, &a->human_result.lang))
			return tap_rows_no_room(x, err);
		if (sqlite3_column_int(st, 1) == 0)
			rec->n_dkim++;
		else
			rec->n_spf++;
		if (tap_db_step(&x->r->db, st, "read results", &x->more_results, err) != TAP_OK)
			return err->rc;
	}
	rec->dkim = all;
	rec->spf = all != NULL ? all + rec->n_dkim : NULL;
	return TAP_OK;
}

static enum tap_rc read_reasons(struct tap_reading *x, struct tap_record *rec, int64_t ordinal,
				struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[ROWS_REASONS];
	struct tap_reason *all = NULL, *a;

	while (x->more_reasons && sqlite3_column_int64(st, 0) == ordinal) {
		all = tap_rows_one_more(x->record, all, rec->n_reasons, sizeof(*all));
		if (all == NULL)
			return tap_rows_no_room(x, err);
		a = &all[rec->n_reasons++];
		if (!keep(x, st, 1, &a->type) || !keep(x, st, 2, &a->comment.text) ||
		    !keep(x, st, 3, &a->comment.lang))
			return tap_rows_no_room(x, err);
		if (tap_db_step(&x->r->db, st, "read reasons", &x->more_reasons, err) != TAP_OK)
			return err->rc;
	}
	rec->reasons = all;
	return TAP_OK;
}

static void fill_record(struct tap_record *rec, struct sqlite3_stmt *st)
{
	memset(rec, 0, sizeof(*rec));
	rec->index = (uint64_t)sqlite3_column_int64(st, 1);
	rec->source_ip = text(st, 2);
	rec->source_ip_raw = text(st, 3);
	rec->count = (uint64_t)sqlite3_column_int64(st, 4);
	rec->disposition = text(st, 5);
	rec->evaluated = sqlite3_column_int(st, 6) != 0;
	rec->dkim_aligned = sqlite3_column_int(st, 7) != 0;
	rec->spf_aligned = sqlite3_column_int(st, 8) != 0;
	rec->header_from = text(st, 9);
	rec->envelope_from = text(st, 10);
	rec->envelope_to = text(st, 11);
	rec->extension = text(st, 12);
}

enum tap_rc tap_rows_hand_over(struct tap_reading *x, struct tap_store_row *row,
			       struct tap_err *err)
{
	enum tap_rc rc = x->each(x->ctx, row, err);

	x->enough = rc == TAP_E_LIMIT;
	if (rc != TAP_OK)
		return x->enough ? TAP_OK : rc;
	*x->seq = row->last ? row->seq + 1 : row->seq;
	*x->ordinal = row->last ? 0 : row->ordinal + 1;
	x->enough = --x->left == 0;
	return TAP_OK;
}

enum tap_rc tap_rows_first(struct tap_reading *x, enum tap_rows_st which, int64_t seq, int64_t from,
			   bool *more, struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[which];

	(void)sqlite3_bind_int64(st, 1, seq);
	if (sqlite3_bind_parameter_count(st) > 1)
		(void)sqlite3_bind_int64(st, 2, from);
	return tap_db_step(&x->r->db, st, "read rows", more, err);
}

enum tap_rc tap_rows_next(struct tap_reading *x, enum tap_rows_st which, bool *more,
			  struct tap_err *err)
{
	return tap_db_step(&x->r->db, x->r->rows_st[which], "read rows", more, err);
}

static enum tap_rc read_records(struct tap_reading *x, struct tap_store_row *row, uint64_t from,
				struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[ROWS_RECORDS];
	bool more = false;
	enum tap_rc rc =
	    tap_rows_first(x, ROWS_RESULTS, row->seq, (int64_t)from, &x->more_results, err);

	if (rc == TAP_OK)
		rc =
		    tap_rows_first(x, ROWS_REASONS, row->seq, (int64_t)from, &x->more_reasons, err);
	if (rc == TAP_OK)
		rc = tap_rows_first(x, ROWS_RECORDS, row->seq, (int64_t)from, &more, err);
	while (rc == TAP_OK && more && !x->enough) {
		fill_record(&x->rec, st);
		row->ordinal = (uint64_t)sqlite3_column_int64(st, 0);
		row->first = row->ordinal == 0;
		row->last = row->ordinal + 1 >= x->end.records;
		row->record = &x->rec;
		tap_arena_reset(x->record);
		rc = read_results(x, &x->rec, (int64_t)row->ordinal, err);
		if (rc == TAP_OK)
			rc = read_reasons(x, &x->rec, (int64_t)row->ordinal, err);
		if (rc == TAP_OK)
			rc = tap_rows_hand_over(x, row, err);
		if (rc == TAP_OK && !x->enough)
			rc = tap_db_step(&x->r->db, st, "read records", &more, err);
	}
	for (int i = ROWS_RECORDS; i <= ROWS_REASONS; i++)
		(void)sqlite3_reset(x->r->rows_st[i]);
	return rc;
}

static enum tap_rc read_report(struct tap_reading *x, struct sqlite3_stmt *st, struct tap_err *err)
{
	struct tap_store_row row = {.seq = sqlite3_column_int64(st, 0),
				    .revision = sqlite3_column_int64(st, 1),
				    .meta = &x->meta,
				    .end = &x->end};
	uint64_t from = row.seq == *x->seq ? *x->ordinal : 0;
	enum tap_rc rc;

	tap_arena_reset(x->report);
	fill_meta(x, st);
	fill_end(x, st);
	rc = read_notes(x, row.seq, err);
	if (rc != TAP_OK)
		return rc;
	if (x->end.records + x->end.details > 0)
		return x->meta.kind == TAP_KIND_SMTP_TLS ? tap_rows_tls(x, &row, from, err)
							 : read_records(x, &row, from, err);
	if (from > 0)
		return TAP_OK;
	row.first = row.last = true;
	if (x->meta.kind == TAP_KIND_FAILURE || x->meta.kind == TAP_KIND_FEEDBACK)
		return tap_rows_failure(x, &row, err);
	return tap_rows_hand_over(x, &row, err);
}

static enum tap_rc prepare(struct tap_store_reader *r, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < TAP_ROWS_ST; i++)
		if (r->rows_st[i] == NULL)
			rc = tap_db_prepare(&r->db, sql[i], &r->rows_st[i], err);
	return rc;
}

enum tap_rc tap_store_rows(struct tap_store_reader *r, unsigned kinds, size_t max,
			   tap_rows_each *each, void *ctx, int64_t *seq, uint64_t *ordinal,
			   struct tap_err *err)
{
	struct tap_reading x = {
	    .r = r, .each = each, .ctx = ctx, .left = max, .seq = seq, .ordinal = ordinal};
	struct tap_err local;
	struct sqlite3_stmt *st;
	bool row = false;
	enum tap_rc rc;

	if (err == NULL)
		err = &local;
	rc = prepare(r, err);
	if (rc != TAP_OK)
		return rc;
	x.report = tap_arena_new(REPORT_ARENA);
	x.record = tap_arena_new(RECORD_ARENA);
	st = r->rows_st[ROWS_REPORTS];
	(void)sqlite3_bind_int64(st, 1, *seq);
	(void)sqlite3_bind_int64(st, 2, kinds);
	/* The statement stays open over the whole call: it holds the snapshot that all the others read. */
	rc = tap_db_step(&r->db, st, "read reports", &row, err);
	while (rc == TAP_OK && row && !x.enough) {
		rc = read_report(&x, st, err);
		if (rc == TAP_OK && !x.enough)
			rc = tap_db_step(&r->db, st, "read reports", &row, err);
	}
	(void)sqlite3_reset(st);
	tap_arena_free(&x.report);
	tap_arena_free(&x.record);
	if (rc == TAP_OK && x.left == max && !x.enough)
		return tap_err_set(err, TAP_E_NOTFOUND, "nothing new");
	return rc;
}
