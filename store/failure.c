/* SPDX-License-Identifier: Apache-2.0
 * store/failure.c - one failure or feedback report into its tables and out of them. The lists of columns serve both ways, in the order
 * of the statements in store.c and rows.c. What enrichment says of the source (struct tap_source_info) is not kept here.
 * A list that is empty has no rows; "the report has no sample" is "failure_sample has no row". Threads: as store.h says. */
#include "store/cols.h"
#include "store/rows_priv.h"

#include <sqlite3.h>
#include <string.h>

#define F(type, member) TAP_COL(type, tap_failure, member)
static const struct tap_col failure_cols[] = {
    F(ENUM, format),
    F(TEXT, feedback_type),
    F(TEXT, user_agent),
    F(TEXT, version),
    F(TEXT, original_envelope_id),
    F(TEXT, original_mail_from),
    F(TEXT, arrival_date),
    F(TIME, arrival),
    F(TEXT, message_id),
    F(TEXT, delivery_result),
    F(TEXT, delivery_result_raw),
    F(BOOL, alignment_known),
    F(TEXT, reporting_mta_type),
    F(TEXT, reporting_mta),
    F(TEXT, dkim_domain),
    F(TEXT, dkim_identity),
    F(TEXT, dkim_selector),
    F(TEXT, dkim_selector_dns),
    F(TEXT, dkim_adsp_dns),
    F(BOOL, dkim_header.given),
    F(U64, dkim_header.size),
    F(HEX, dkim_header.sha256),
    F(BOOL, dkim_body.given),
    F(U64, dkim_body.size),
    F(HEX, dkim_body.sha256),
    F(TEXT, source_ip),
    F(TEXT, source_ip_raw),
    F(BOOL, source_ip_from_sample),
    F(I32, source_port),
    F(U32, incidents),
    F(BOOL, sample_utf8),
    F(BOOL, sample_headers_only),
    F(BOOL, sample_damaged),
    F(TEXT, human_text),
};
#define S(type, member) TAP_COL(type, tap_sample, member)
static const struct tap_col sample_cols[] = {
    S(TEXT, subject),  S(TEXT, message_id), S(TEXT, date),	  S(TIME, time),
    S(BOOL, has_zone), S(I32, zone),	    S(BOOL, has_defects), S(TEXT, body),
};
#define H(type, member) TAP_COL(type, tap_hop, member)
static const struct tap_col hop_cols[] = {
    H(TEXT, from), H(TEXT, by),	  H(TEXT, with), H(TEXT, id),	H(TEXT, for_),
    H(TEXT, via),  H(TEXT, date), H(TIME, time), H(I64, delay), H(U32, hop),
};
#define A(type, member) TAP_COL(type, tap_attachment, member)
static const struct tap_col attachment_cols[] = {
    A(TEXT, filename), A(TEXT, content_type), A(TEXT, content_id), A(TEXT, disposition),
    A(TEXT, charset),  A(TEXT, encoding),     A(U64, size),	   A(HEX, sha256),
    A(BOOL, text),     A(BOOL, damaged),
};
#define COUNT(x) (sizeof(x) / sizeof((x)[0]))

/* Lists whose elements are one to four texts and nothing else; place[k] = the parameter (and column + 3) of an element's k-th text. */
struct texts {
	uint32_t items, count; /* offsets */
	uint8_t width;
	uint8_t place[4];
};
enum { NAME = 4, VALUE, DOMAIN_, RAW };
_Static_assert(sizeof(struct tap_pair) == 2 * sizeof(char *) &&
		   sizeof(struct tap_spf_dns) == 4 * sizeof(char *) &&
		   sizeof(struct tap_mailbox) == 4 * sizeof(char *),
	       "these are nothing but texts");

#define LIST(s, items, count, width, ...)                                                          \
	{                                                                                          \
		(uint32_t) offsetof(struct s, items), (uint32_t)offsetof(struct s, count), width,  \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define PLAIN(s, items, count)	LIST(s, items, count, 1, VALUE)
#define MAILBOXES(items, count) LIST(tap_sample, items, count, 4, 4, 5, 6, 7)
/* failure_list.kind: the first of the report, then those of the sample. */
static const struct texts lists[] = {
    PLAIN(tap_failure, original_rcpt_to.item, original_rcpt_to.n),
    PLAIN(tap_failure, authentication_results.item, authentication_results.n),
    PLAIN(tap_failure, auth_failure.item, auth_failure.n),
    PLAIN(tap_failure, identity_alignment.item, identity_alignment.n),
    PLAIN(tap_failure, aligned_mechanisms.item, aligned_mechanisms.n),
    PLAIN(tap_failure, failed_mechanisms.item, failed_mechanisms.n),
    PLAIN(tap_failure, reported_domain.item, reported_domain.n),
    PLAIN(tap_failure, reported_uri.item, reported_uri.n),
    LIST(tap_failure, extra, n_extra, 2, NAME, VALUE),
    LIST(tap_failure, spf_dns, n_spf_dns, 4, NAME, DOMAIN_, VALUE, RAW),
    LIST(tap_sample, headers, n_headers, 2, NAME, VALUE),
    PLAIN(tap_sample, to_domains.item, to_domains.n),
    PLAIN(tap_sample, authentication_results.item, authentication_results.n),
    PLAIN(tap_sample, dkim_signatures.item, dkim_signatures.n),
};
enum { OF_FAILURE = 10 };
/* failure_address.field */
static const struct texts addresses[] = {MAILBOXES(from.item, from.n),
					 MAILBOXES(to.item, to.n),
					 MAILBOXES(cc.item, cc.n),
					 MAILBOXES(bcc.item, bcc.n),
					 MAILBOXES(reply_to.item, reply_to.n),
					 MAILBOXES(delivered_to.item, delivered_to.n)};

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static void text(struct sqlite3_stmt *st, int i, const char *s)
{
	if (s == NULL)
		(void)sqlite3_bind_null(st, i);
	else
		(void)sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
}

static void bytes(struct sqlite3_stmt *st, int i, const void *p, size_t n)
{
	if (p == NULL)
		(void)sqlite3_bind_null(st, i);
	else
		(void)sqlite3_bind_blob64(st, i, n == 0 ? "" : p, n, SQLITE_STATIC);
}

static enum tap_rc add_texts(struct tap_store *s, enum tap_store_st which, int kind,
			     const struct texts *t, const void *from, struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[which];
	const char *p;
	size_t n;
	enum tap_rc rc = TAP_OK;

	memcpy(&p, (const char *)from + t->items, sizeof(p));
	memcpy(&n, (const char *)from + t->count, sizeof(n));
	for (size_t i = 0; rc == TAP_OK && i < n; i++) {
		(void)sqlite3_clear_bindings(st);
		(void)sqlite3_bind_int64(st, 1, s->add.seq);
		(void)sqlite3_bind_int(st, 2, kind);
		(void)sqlite3_bind_int64(st, 3, (int64_t)i);
		for (size_t k = 0; k < t->width; k++) {
			const char *value;

			memcpy(&value, p + (i * t->width + k) * sizeof(value), sizeof(value));
			text(st, t->place[k], value);
		}
		rc = tap_store_run(s, which, err);
	}
	return rc;
}

static enum tap_rc add_hops(struct tap_store *s, const struct tap_sample *m, struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_HOP];
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < m->n_received; i++) {
		(void)sqlite3_bind_int64(st, 1, s->add.seq);
		(void)sqlite3_bind_int64(st, 2, (int64_t)i);
		(void)tap_cols_bind(st, 3, hop_cols, COUNT(hop_cols), &m->received[i]);
		rc = tap_store_run(s, ST_HOP, err);
	}
	return rc;
}

static enum tap_rc add_attachments(struct tap_store *s, const struct tap_sample *m,
				   struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_ATTACHMENT];
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < m->n_attachments; i++) {
		const struct tap_attachment *a = &m->attachments[i];

		(void)sqlite3_bind_int64(st, 1, s->add.seq);
		(void)sqlite3_bind_int64(st, 2, (int64_t)i);
		bytes(st, 3, a->payload, a->payload_len);
		(void)tap_cols_bind(st, 4, attachment_cols, COUNT(attachment_cols), a);
		rc = tap_store_run(s, ST_ATTACHMENT, err);
	}
	return rc;
}

static enum tap_rc add_sample(struct tap_store *s, const struct tap_failure *f, struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_SAMPLE];
	const struct tap_sample none = {.time = TAP_NO_TIME};
	const struct tap_sample *m = f->parsed != NULL ? f->parsed : &none;
	enum tap_rc rc;

	(void)sqlite3_bind_int64(st, 1, s->add.seq);
	bytes(st, 2, f->sample, f->sample_len);
	(void)tap_cols_bind(st, 3, sample_cols, COUNT(sample_cols), m);
	rc = tap_store_run(s, ST_SAMPLE, err);
	for (size_t i = OF_FAILURE; rc == TAP_OK && i < COUNT(lists); i++)
		rc = add_texts(s, ST_LIST, (int)i, &lists[i], m, err);
	for (size_t i = 0; rc == TAP_OK && i < COUNT(addresses); i++)
		rc = add_texts(s, ST_ADDRESS, (int)i, &addresses[i], m, err);
	if (rc == TAP_OK)
		rc = add_hops(s, m, err);
	return rc == TAP_OK ? add_attachments(s, m, err) : rc;
}

enum tap_rc tap_store_add_failure(struct tap_store *s, const struct tap_failure *f,
				  struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_FAILURE];
	enum tap_rc rc;

	(void)sqlite3_bind_int64(st, 1, s->add.seq);
	(void)tap_cols_bind(st, 2, failure_cols, COUNT(failure_cols), f);
	rc = tap_store_run(s, ST_FAILURE, err);
	for (size_t i = 0; rc == TAP_OK && i < OF_FAILURE; i++)
		rc = add_texts(s, ST_LIST, (int)i, &lists[i], f, err);
	if (rc == TAP_OK && f->sample != NULL)
		rc = add_sample(s, f, err);
	return rc;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* One list while its rows come. */
struct growing {
	char *items;
	size_t n;
	int kind; /* -1 = none yet */
};

static bool grow(struct tap_reading *x, struct growing *g, const struct texts *t,
		 struct sqlite3_stmt *st)
{
	g->items = tap_rows_one_more(x->record, g->items, g->n, t->width * sizeof(char *));
	if (g->items == NULL)
		return false;
	for (size_t k = 0; k < t->width; k++) {
		int i = t->place[k] - 3;
		const char *s = (const char *)sqlite3_column_text(st, i);

		if (s != NULL) {
			s = tap_arena_strndup(x->record, s, (size_t)sqlite3_column_bytes(st, i));
			if (s == NULL)
				return false;
		}
		memcpy(g->items + (g->n * t->width + k) * sizeof(s), &s, sizeof(s));
	}
	g->n++;
	return true;
}

/* The rows of a list stand together: each is put in its place when the next one begins. */
static void put(const struct growing *g, const struct texts *t, size_t split, void *first,
		void *second)
{
	char *to = g->kind < (int)split ? first : second;

	if (g->kind < 0)
		return;
	memcpy(to + t[g->kind].items, &g->items, sizeof(g->items));
	memcpy(to + t[g->kind].count, &g->n, sizeof(g->n));
}

static enum tap_rc read_texts(struct tap_reading *x, enum tap_rows_st which, int64_t seq,
			      const struct texts *t, size_t n_t, size_t split, void *first,
			      void *second, struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[which];
	struct growing g = {.kind = -1};
	bool more = false, room = true;
	enum tap_rc rc = tap_rows_first(x, which, seq, 0, &more, err);

	while (rc == TAP_OK && more && room) {
		int kind = sqlite3_column_int(st, 0);

		if (kind != g.kind) {
			put(&g, t, split, first, second);
			g = (struct growing){.kind = kind < (int)n_t ? kind : -1};
		}
		if (g.kind >= 0)
			room = grow(x, &g, &t[g.kind], st);
		if (room)
			rc = tap_rows_next(x, which, &more, err);
	}
	put(&g, t, split, first, second);
	(void)sqlite3_reset(st);
	return room ? rc : tap_rows_no_room(x, err);
}

static enum tap_rc read_hops(struct tap_reading *x, int64_t seq, struct tap_sample *m,
			     struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[ROWS_HOPS];
	struct tap_hop *all = NULL;
	bool more = false, room = true;
	enum tap_rc rc = tap_rows_first(x, ROWS_HOPS, seq, 0, &more, err);

	while (rc == TAP_OK && more && room) {
		all = tap_rows_one_more(x->record, all, m->n_received, sizeof(*all));
		room = all != NULL && tap_cols_read(st, 0, hop_cols, COUNT(hop_cols),
						    &all[m->n_received++], x->record);
		if (room)
			rc = tap_rows_next(x, ROWS_HOPS, &more, err);
	}
	m->received = all;
	(void)sqlite3_reset(st);
	return room ? rc : tap_rows_no_room(x, err);
}

static bool read_payload(struct tap_reading *x, struct sqlite3_stmt *st, struct tap_attachment *a)
{
	const void *p = sqlite3_column_blob(st, 0);
	size_t n = (size_t)sqlite3_column_bytes(st, 0);

	if (sqlite3_column_type(st, 0) == SQLITE_NULL)
		return true;
	a->payload = tap_arena_strndup(x->record, n > 0 ? p : "", n);
	a->payload_len = n;
	return a->payload != NULL;
}

static enum tap_rc read_attachments(struct tap_reading *x, int64_t seq, struct tap_sample *m,
				    struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[ROWS_ATTACHMENTS];
	struct tap_attachment *all = NULL;
	bool more = false, room = true;
	enum tap_rc rc = tap_rows_first(x, ROWS_ATTACHMENTS, seq, 0, &more, err);

	while (rc == TAP_OK && more && room) {
		struct tap_attachment one = {0};

		all = tap_rows_one_more(x->record, all, m->n_attachments, sizeof(*all));
		room =
		    all != NULL && read_payload(x, st, &one) &&
		    tap_cols_read(st, 1, attachment_cols, COUNT(attachment_cols), &one, x->record);
		if (room) {
			all[m->n_attachments++] = one;
			rc = tap_rows_next(x, ROWS_ATTACHMENTS, &more, err);
		}
	}
	m->attachments = all;
	(void)sqlite3_reset(st);
	return room ? rc : tap_rows_no_room(x, err);
}

/* The texts and bytes of the two single rows stay SQLite's until their statements are reset. */
static enum tap_rc read_whole(struct tap_reading *x, int64_t seq, struct tap_failure *f,
			      struct tap_sample *m, struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[ROWS_FAILURE], *sample = x->r->rows_st[ROWS_SAMPLE];
	bool more = false;
	enum tap_rc rc = tap_rows_first(x, ROWS_FAILURE, seq, 0, &more, err);

	if (rc == TAP_OK && !more)
		rc = tap_err_set(err, TAP_E_CONFIG, "store %s: report %lld has lost its body",
				 x->r->db.path, (long long)seq);
	if (rc != TAP_OK)
		return rc;
	(void)tap_cols_read(st, 0, failure_cols, COUNT(failure_cols), f, NULL);
	if ((unsigned)f->format >= TAP_FORMAT_N)
		f->format = TAP_FORMAT_ARF;
	rc = tap_rows_first(x, ROWS_SAMPLE, seq, 0, &more, err);
	if (rc == TAP_OK && more) {
		const void *p = sqlite3_column_blob(sample, 0);

		f->sample = p != NULL ? p : "";
		f->sample_len = (size_t)sqlite3_column_bytes(sample, 0);
		f->parsed = m;
		(void)tap_cols_read(sample, 1, sample_cols, COUNT(sample_cols), m, NULL);
	}
	if (rc == TAP_OK)
		rc = read_texts(x, ROWS_LISTS, seq, lists, COUNT(lists), OF_FAILURE, f, m, err);
	if (rc != TAP_OK || f->parsed == NULL)
		return rc;
	rc = read_texts(x, ROWS_ADDRESSES, seq, addresses, COUNT(addresses), 0, m, m, err);
	if (rc == TAP_OK)
		rc = read_hops(x, seq, m, err);
	return rc == TAP_OK ? read_attachments(x, seq, m, err) : rc;
}

enum tap_rc tap_rows_failure(struct tap_reading *x, struct tap_store_row *row, struct tap_err *err)
{
	struct tap_failure f = {0};
	struct tap_sample m = {0};
	enum tap_rc rc;

	tap_arena_reset(x->record);
	rc = read_whole(x, row->seq, &f, &m, err);
	if (rc == TAP_OK) {
		row->failure = &f;
		rc = tap_rows_hand_over(x, row, err);
		row->failure = NULL;
	}
	(void)sqlite3_reset(x->r->rows_st[ROWS_FAILURE]);
	(void)sqlite3_reset(x->r->rows_st[ROWS_SAMPLE]);
	return rc;
}
