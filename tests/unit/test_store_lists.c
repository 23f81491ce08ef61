/* SPDX-License-Identifier: Apache-2.0
 * The dashboard's lists and sums over every kind of report: what counts where, trusted and foreign ones, order, pages, hostile text. */
#include "tests/unit/store_helper.h"

#include "store/db.h"
#include "store/query.h"

enum { DAY = 86400, D0 = 1780272000 /* 2026-06-01 */, ALL = 1000 };

struct what {
	enum tap_kind kind;
	const char *org, *domain;
	int64_t begin;
	bool trusted, foreign;
};

static unsigned made;

static struct tap_meta meta_of(const struct what *w)
{
	struct tap_meta meta = {.kind = w->kind,
				.org_name = w->org,
				.domain = w->domain,
				.begin = w->begin,
				.end = w->begin + DAY,
				.trust = {.auth = w->trusted ? TAP_AUTH_PASS : TAP_AUTH_NONE,
					  .dmarc = w->trusted ? TAP_AUTH_PASS : TAP_AUTH_UNKNOWN,
					  .reporter = w->trusted ? TAP_AGREE_YES : TAP_AGREE_NO,
					  .names = TAP_AGREE_YES,
					  .from_domain = "from.example",
					  .foreign = w->foreign,
					  .trusted = w->trusted}};

	(void)snprintf(meta.uid, sizeof(meta.uid), "%08x%032d", made++, 7);
	return meta;
}

/* Records 10 (passed) and 4 (failed) for an aggregate report. */
static void put_aggregate(struct fixture *f, const struct what *w)
{
	struct tap_meta meta = meta_of(w);
	struct tap_record pass = {.source_ip = "192.0.2.1", .count = 10, .dkim_aligned = true};
	struct tap_record fail = {.source_ip = "192.0.2.2", .count = 4};
	struct tap_report_end e = {.records = 2, .messages = 14, .passed = 10, .content_hash = {1}};

	ok(f, tap_store_events.begin(f->s, &meta, &f->err));
	ok(f, tap_store_events.record(f->s, &pass, &f->err));
	ok(f, tap_store_events.record(f->s, &fail, &f->err));
	ok(f, tap_store_events.end(f->s, &e, &f->err));
}

static void put_failure(struct fixture *f, const struct what *w, const char *subject)
{
	static const char *const words[] = {"dmarc", "spf", "dkim", "adsp", "revoked", "seventh"};
	static const struct tap_mailbox from[] = {
	    {"", "sender@example.com", "sender", "example.com"},
	    {"", "second@example.com", "second", "example.com"}};
	struct tap_meta meta = meta_of(w);
	struct tap_sample sample = {.subject = subject, .from = {from, 2}, .time = TAP_NO_TIME};
	struct tap_failure failure = {.feedback_type =
					  w->kind == TAP_KIND_FAILURE ? "auth-failure" : "abuse",
				      .arrival = subject != NULL ? w->begin : TAP_NO_TIME,
				      .source_ip = "192.0.2.9",
				      .delivery_result = "reject",
				      .original_mail_from = "",
				      .auth_failure = {words, 6},
				      .incidents = 3,
				      .sample = subject,
				      .sample_len = subject != NULL ? strlen(subject) : 0,
				      .parsed = subject != NULL ? &sample : NULL};
	struct tap_report_end e = {.messages = 3, .content_hash = {1}};

	ok(f, tap_store_events.begin(f->s, &meta, &f->err));
	ok(f, tap_store_events.failure(f->s, &failure, &f->err));
	ok(f, tap_store_events.end(f->s, &e, &f->err));
}

/* Two policies: of w->domain with 100 good and 5 bad sessions, of other.example with 7 good; three details of the first, one of the
 * second. */
static void put_tls(struct fixture *f, const struct what *w)
{
	struct tap_meta meta = meta_of(w);
	const struct tap_tls_policy policies[] = {
	    {.index = 0, .policy_domain = w->domain, .successful = 100, .failed = 5},
	    {.index = 1, .policy_domain = "other.example", .successful = 7, .failed = 0}};
	const struct tap_tls_detail details[] = {
	    {.policy = 0,
	     .result_type = "certificate-expired",
	     .failed = 2,
	     .receiving_mx_hostname = "mx1.example"},
	    {.policy = 0, .result_type = "certificate-expired", .failed = 1},
	    {.policy = 0,
	     .result_type = "starttls-not-supported",
	     .failed = 9,
	     .receiving_mx_hostname = "mx1.example"},
	    {.policy = 1,
	     .result_type = "certificate-expired",
	     .failed = 4,
	     .receiving_mx_hostname = "mx1.example"}};
	struct tap_report_end e = {
	    .records = 2, .details = 4, .messages = 112, .passed = 107, .content_hash = {1}};

	ok(f, tap_store_events.begin(f->s, &meta, &f->err));
	ok(f, tap_store_events.tls_policy(f->s, &policies[0], &f->err));
	for (unsigned i = 0; i < 3; i++)
		ok(f, tap_store_events.tls_detail(f->s, &details[i], &f->err));
	ok(f, tap_store_events.tls_policy(f->s, &policies[1], &f->err));
	ok(f, tap_store_events.tls_detail(f->s, &details[3], &f->err));
	ok(f, tap_store_events.end(f->s, &e, &f->err));
}

static void begin(struct fixture *f, const char *id)
{
	struct tap_store_message msg = made_message(id);

	made_by.trusted = false;
	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
}

static void commit(struct fixture *f, uint64_t stored)
{
	struct tap_store_outcome out;

	ok(f, tap_store_message_end(f->s, &out, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	assert_int_equal(out.stored, stored);
}

static struct tap_query *ask(struct fixture *f)
{
	struct tap_query *q;

	ok(f, tap_query_open(f->path, 0, &q, &f->err));
	return q;
}

/* seq 1 to 13 */
static void fill(struct fixture *f)
{
	static const struct what aggregates[] = {
	    {TAP_KIND_AGGREGATE, "A", "example.com", D0, true, false},
	    {TAP_KIND_AGGREGATE, "B", "example.com", D0, false, false},
	    {TAP_KIND_AGGREGATE, "C", "example.net", D0 + DAY, true, false},
	    {TAP_KIND_AGGREGATE, "D", "evil.example", D0, true, true},
	};
	static const struct what failures[] = {
	    {TAP_KIND_FAILURE, "F1", "example.com", D0, true, false},
	    {TAP_KIND_FAILURE, "F2", "example.net", D0 + 5, false, false},
	    {TAP_KIND_FEEDBACK, "F3", "example.com", D0, false, false},
	    {TAP_KIND_FAILURE, "F4", "evil.example", D0, false, true},
	    {TAP_KIND_FAILURE, "F5", "example.com", D0, false, false},
	};
	static const struct what tls[] = {
	    {TAP_KIND_SMTP_TLS, "T1", "example.com", D0, true, false},
	    {TAP_KIND_SMTP_TLS, "T2", "example.com", D0 + DAY, false, false},
	    {TAP_KIND_SMTP_TLS, "T3", "evil.example", D0, true, true},
	    {TAP_KIND_SMTP_TLS, "T4", NULL, D0 + DAY, true, false},
	};
	static const char *const subjects[] = {"<b>hello</b>", "second", NULL, "x", NULL};

	begin(f, "all");
	for (unsigned i = 0; i < 4; i++)
		put_aggregate(f, &aggregates[i]);
	for (unsigned i = 0; i < 5; i++)
		put_failure(f, &failures[i], subjects[i]);
	for (unsigned i = 0; i < 4; i++)
		put_tls(f, &tls[i]);
	commit(f, 13);
}

static const struct tap_query_window ever = {D0 - DAY, D0 + 9 * DAY, NULL, false};
static const struct tap_query_window trusted = {D0 - DAY, D0 + 9 * DAY, NULL, true};

static void state_counts_kinds(void **state)
{
	struct fixture *f = *state;
	struct tap_query_state s;
	struct tap_query *q = ask(f);

	ok(f, tap_query_state(q, &s, &f->err));
	assert_int_equal(s.reports, 0);
	assert_false(s.judged);
	tap_query_close(&q);
	take_in(f, "m0", &(struct made){"plain", 1, 1, false});
	q = ask(f);
	ok(f, tap_query_state(q, &s, &f->err));
	assert_int_equal(s.aggregate, 1);
	assert_false(s.judged); /* nobody has said anything of this one's mail */
	tap_query_close(&q);
	fill(f);
	q = ask(f);
	ok(f, tap_query_state(q, &s, &f->err));
	assert_int_equal(s.reports, 14);
	assert_int_equal(s.aggregate, 4);
	assert_int_equal(s.failure, 3);
	assert_int_equal(s.feedback, 1);
	assert_int_equal(s.smtp_tls, 3);
	assert_int_equal(s.foreign, 3);
	assert_true(s.judged);
	tap_query_close(&q);
}

struct sums {
	unsigned n;
	int64_t messages, reports;
	struct tap_query_tls tls[8];
	char name[8][300], other[8][64];
	int64_t seq[16];
	char text[16][300];
	struct tap_query_report report[16];
	struct tap_query_failure failure[16];
};

static enum tap_rc on_day(void *ctx, const struct tap_query_day *row, struct tap_err *err)
{
	struct sums *s = ctx;

	(void)err;
	s->messages += row->messages;
	s->reports += row->reports;
	return TAP_OK;
}

static enum tap_rc on_source(void *ctx, const struct tap_query_source *row, struct tap_err *err)
{
	struct sums *s = ctx;

	(void)err;
	s->messages += row->messages;
	return TAP_OK;
}

static enum tap_rc on_domain(void *ctx, const struct tap_query_domain *row, struct tap_err *err)
{
	struct sums *s = ctx;

	(void)err;
	assert_string_not_equal(row->domain, "evil.example");
	s->messages += row->messages;
	s->reports += row->reports;
	return TAP_OK;
}

/* Every sum over aggregate reports: no other kind, nothing foreign, and only what is trusted when that is asked for. */
static void totals_of_aggregate_reports(void **state)
{
	static const struct {
		const struct tap_query_window *w;
		int64_t reports, untrusted;
	} rows[] = {{&ever, 3, 1}, {&trusted, 2, 1}};
	struct fixture *f = *state;
	struct tap_query *q;

	fill(f);
	q = ask(f);
	for (unsigned i = 0; i < 2; i++) {
		struct tap_query_summary sum;
		struct sums days = {0}, sources = {0}, domains = {0};
		int64_t n = 0;

		ok(f, tap_query_summary(q, rows[i].w, &sum, &f->err));
		assert_int_equal(sum.reports, rows[i].reports);
		assert_int_equal(sum.messages, rows[i].reports * 14);
		assert_int_equal(sum.passed, rows[i].reports * 10);
		ok(f, tap_query_untrusted(q, TAP_KIND_AGGREGATE, rows[i].w, &n, &f->err));
		assert_int_equal(n, rows[i].untrusted);
		ok(f, tap_query_untrusted(q, TAP_KIND_SMTP_TLS, rows[i].w, &n, &f->err));
		assert_int_equal(n, 1);
		assert_int_equal(sum.total_reports,
				 3); /* trusted or not: what is hidden has to be told */
		assert_int_equal(sum.domains, 2);
		ok(f, tap_query_days(q, rows[i].w, on_day, &days, &f->err));
		assert_int_equal(days.messages, rows[i].reports * 14);
		assert_int_equal(days.reports, rows[i].reports);
		ok(f, tap_query_sources(q, rows[i].w, ALL, on_source, &sources, &f->err));
		assert_int_equal(sources.messages, rows[i].reports * 14);
		ok(f, tap_query_domains(q, rows[i].w, ALL, on_domain, &domains, &f->err));
		assert_int_equal(domains.messages, rows[i].reports * 14);
	}
	tap_query_close(&q);
}

static enum tap_rc on_report(void *ctx, const struct tap_query_report *row, struct tap_err *err)
{
	struct sums *s = ctx;

	(void)err;
	assert_string_equal(row->trust.from_domain, "from.example");
	(void)snprintf(s->text[s->n], sizeof(s->text[0]), "%s", row->org_name);
	s->report[s->n++] = *row;
	return TAP_OK;
}

static void list_is(struct fixture *f, enum tap_query_list which, const char *domain,
		    const char *orgs)
{
	struct tap_query *q = ask(f);
	struct sums s = {0};
	char got[64] = "";

	ok(f, tap_query_reports(q, which, domain, 0, ALL, on_report, &s, &f->err));
	for (unsigned i = 0; i < s.n; i++) {
		(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ", s.text[i]);
		assert_int_equal(s.report[i].trust.foreign, which == TAP_QUERY_FOREIGN);
		assert_int_equal(s.report[i].trust.names, TAP_AGREE_YES);
		assert_true(i == 0 || s.report[i].seq < s.report[i - 1].seq);
	}
	assert_string_equal(got, orgs);
	tap_query_close(&q);
}

static void lists_keep_kinds_and_foreign_ones_apart(void **state)
{
	struct fixture *f = *state;
	struct sums s = {0};
	struct tap_query *q;

	fill(f);
	list_is(f, TAP_QUERY_AGGREGATE, NULL, "C B A ");
	list_is(f, TAP_QUERY_AGGREGATE, "example.com", "B A ");
	list_is(f, TAP_QUERY_AGGREGATE, "evil.example", "");
	list_is(f, TAP_QUERY_SMTP_TLS, NULL, "T4 T2 T1 ");
	list_is(f, TAP_QUERY_SMTP_TLS, "example.com", "T2 T1 ");
	list_is(f, TAP_QUERY_SMTP_TLS, "other.example",
		"T4 T2 T1 "); /* named by the second policy */
	list_is(f, TAP_QUERY_FOREIGN, NULL, "T3 F4 D ");
	list_is(f, TAP_QUERY_FOREIGN, "evil.example", "T3 F4 D ");
	q = ask(f);
	ok(f, tap_query_reports(q, TAP_QUERY_FOREIGN, NULL, 12, 1, on_report, &s, &f->err));
	assert_int_equal(s.n, 1);
	assert_int_equal(s.report[0].kind, TAP_KIND_FAILURE);
	ok(f, tap_query_reports(q, TAP_QUERY_SMTP_TLS, NULL, 0, 1, on_report, &s, &f->err));
	assert_int_equal(s.report[1].records, 2);
	assert_int_equal(s.report[1].details, 4);
	assert_int_equal(s.report[1].messages, 112);
	assert_int_equal(s.report[1].trust.auth, TAP_AUTH_PASS);
	assert_true(s.report[1].trust.trusted);
	tap_query_close(&q);
}

static enum tap_rc on_failure(void *ctx, const struct tap_query_failure *row, struct tap_err *err)
{
	struct sums *s = ctx;

	(void)err;
	assert_string_equal(row->auth_failure, "dmarc, spf, dkim, adsp, revoked");
	assert_string_equal(row->mail_from, "");
	assert_string_equal(row->source_ip, "192.0.2.9");
	assert_string_equal(row->delivery_result, "reject");
	assert_int_equal(row->incidents, 3);
	assert_int_equal(row->has_arrival, row->subject != NULL);
	assert_int_equal(row->from != NULL, row->subject != NULL);
	if (row->from != NULL)
		assert_string_equal(row->from, "sender@example.com");
	(void)snprintf(s->name[s->n], sizeof(s->name[0]), "%s",
		       row->subject != NULL ? row->subject : "(none)");
	(void)snprintf(s->text[s->n], sizeof(s->text[0]), "%s", row->feedback_type);
	s->failure[s->n++] = *row;
	return TAP_OK;
}

static void failures_newest_first(void **state)
{
	struct fixture *f = *state;
	struct sums s = {0};
	struct tap_query *q;

	fill(f);
	q = ask(f);
	ok(f, tap_query_failures(q, TAP_KIND_FAILURE, NULL, 0, ALL, on_failure, &s, &f->err));
	assert_int_equal(s.n, 3);
	assert_int_equal(s.failure[0].seq, 9);
	assert_string_equal(s.name[0], "(none)");
	assert_string_equal(s.name[1], "second");
	assert_int_equal(s.failure[1].arrival, D0 + 5);
	assert_string_equal(s.name[2], "<b>hello</b>");
	assert_true(s.failure[2].trust.trusted);
	s.n = 0;
	ok(f,
	   tap_query_failures(q, TAP_KIND_FAILURE, "example.com", 9, ALL, on_failure, &s, &f->err));
	assert_int_equal(s.n, 1);
	assert_int_equal(s.failure[0].seq, 5);
	s.n = 0;
	ok(f, tap_query_failures(q, TAP_KIND_FAILURE, NULL, 0, 1, on_failure, &s, &f->err));
	assert_int_equal(s.n, 1);
	s.n = 0;
	ok(f, tap_query_failures(q, TAP_KIND_FEEDBACK, NULL, 0, ALL, on_failure, &s, &f->err));
	assert_int_equal(s.n, 1);
	assert_string_equal(s.text[0], "abuse");
	tap_query_close(&q);
}

static void long_subjects_are_cut(void **state)
{
	struct fixture *f = *state;
	struct sums s = {0};
	struct tap_query *q;
	char subject[1000];

	memset(subject, 'x', sizeof(subject) - 1);
	subject[sizeof(subject) - 1] = '\0';
	begin(f, "m");
	put_failure(f, &(struct what){TAP_KIND_FAILURE, "F", "example.com", D0, false, false},
		    subject);
	commit(f, 1);
	q = ask(f);
	ok(f, tap_query_failures(q, TAP_KIND_FAILURE, NULL, 0, ALL, on_failure, &s, &f->err));
	assert_int_equal(strlen(s.name[0]), TAP_QUERY_TEXT + strlen("…"));
	tap_query_close(&q);
}

static enum tap_rc on_tls(void *ctx, const struct tap_query_tls *row, struct tap_err *err)
{
	struct sums *s = ctx;
	const char *name = row->domain != NULL ? row->domain : row->result_type;

	(void)err;
	(void)snprintf(s->name[s->n], sizeof(s->name[0]), "%s", name != NULL ? name : "(none)");
	(void)snprintf(s->other[s->n], sizeof(s->other[0]), "%s",
		       row->receiving_mx != NULL ? row->receiving_mx : "(none)");
	s->tls[s->n++] = *row;
	return TAP_OK;
}

static struct sums tls_by(struct fixture *f, enum tap_query_tls_by by,
			  const struct tap_query_window *w, int64_t limit)
{
	struct tap_query *q = ask(f);
	struct sums s = {0};

	ok(f, tap_query_tls(q, by, w, limit, on_tls, &s, &f->err));
	tap_query_close(&q);
	return s;
}

static void tls_by_day_and_domain(void **state)
{
	struct fixture *f = *state;
	struct tap_query_window com = ever;
	struct sums s;

	fill(f);
	s = tls_by(f, TAP_QUERY_TLS_DAY, &ever, 1);
	assert_int_equal(s.n, 2); /* days are not cut */
	assert_int_equal(s.tls[0].day, D0);
	assert_int_equal(s.tls[0].reports, 1);
	assert_int_equal(s.tls[0].successful, 107);
	assert_int_equal(s.tls[0].failed, 5);
	assert_int_equal(s.tls[1].day, D0 + DAY);
	assert_int_equal(s.tls[1].reports, 2);
	assert_int_equal(s.tls[1].successful, 214);
	s = tls_by(f, TAP_QUERY_TLS_DAY, &trusted, 1);
	assert_int_equal(s.tls[1].reports, 1);
	s = tls_by(f, TAP_QUERY_TLS_DOMAIN, &ever, ALL);
	assert_int_equal(s.n, 3);
	assert_string_equal(s.name[0], "example.com");
	assert_int_equal(s.tls[0].successful, 200);
	assert_int_equal(s.tls[0].failed, 10);
	assert_int_equal(s.tls[0].reports, 2);
	assert_string_equal(s.name[1], "(none)");
	assert_string_equal(s.name[2], "other.example");
	assert_int_equal(s.tls[2].successful, 21);
	assert_int_equal(tls_by(f, TAP_QUERY_TLS_DOMAIN, &ever, 2).n, 2);
	com.domain = "other.example";
	s = tls_by(f, TAP_QUERY_TLS_DAY, &com, 1);
	assert_int_equal(s.tls[1].successful, 14);
	assert_int_equal(tls_by(f, TAP_QUERY_TLS_DOMAIN, &com, ALL).n, 1);
}

static void tls_failures_by_type_and_mx(void **state)
{
	struct fixture *f = *state;
	struct tap_query_window com = ever;
	struct sums s;

	fill(f);
	s = tls_by(f, TAP_QUERY_TLS_FAILURE, &ever, ALL);
	assert_int_equal(s.n, 3);
	assert_string_equal(s.name[0], "starttls-not-supported");
	assert_int_equal(s.tls[0].failed, 27);
	assert_int_equal(s.tls[0].reports, 3);
	assert_string_equal(s.name[1], "certificate-expired");
	assert_string_equal(s.other[1], "mx1.example");
	assert_int_equal(s.tls[1].failed, 18);
	assert_string_equal(s.other[2], "(none)");
	assert_int_equal(s.tls[2].failed, 3);
	com.domain = "other.example";
	s = tls_by(f, TAP_QUERY_TLS_FAILURE, &com, ALL);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.tls[0].failed, 12);
	assert_int_equal(tls_by(f, TAP_QUERY_TLS_FAILURE, &ever, 1).n, 1);
}

static void a_store_of_another_version_is_refused(void **state)
{
	static const struct {
		const char *sql, *words;
	} rows[] = {{"PRAGMA user_version = 1", "start dmarctapd once"},
		    {"PRAGMA user_version = 99", "newer"}};
	struct fixture *f = *state;
	struct tap_query *q;
	struct tap_db db;

	tap_store_close(&f->s);
	for (unsigned i = 0; i < 2; i++) {
		ok(f, tap_db_open(&db, f->path, true, &f->err));
		ok(f, tap_db_exec(&db, rows[i].sql, &f->err));
		tap_db_close(&db);
		assert_int_equal(tap_query_open(f->path, 0, &q, &f->err), TAP_E_CONFIG);
		assert_non_null(strstr(f->err.msg, rows[i].words));
	}
}

#define WITH_STORE(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_STORE(state_counts_kinds),
	    WITH_STORE(totals_of_aggregate_reports),
	    WITH_STORE(lists_keep_kinds_and_foreign_ones_apart),
	    WITH_STORE(failures_newest_first),
	    WITH_STORE(long_subjects_are_cut),
	    WITH_STORE(tls_by_day_and_domain),
	    WITH_STORE(tls_failures_by_type_and_mx),
	    WITH_STORE(a_store_of_another_version_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
