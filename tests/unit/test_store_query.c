/* SPDX-License-Identifier: Apache-2.0
 * The dashboard's questions: sums over the window asked for, order, limits, saturation, deadline, and a store that is not there. */
#include "tests/unit/store_helper.h"

#include "base/clock.h"
#include "store/query.h"
#include <limits.h>

enum { DAY = 86400, D0 = 1780272000 /* 2026-06-01 */ };

struct row {
	const char *ip, *disposition;
	uint64_t count;
	bool dkim, spf;
};
struct spec {
	const char *org, *domain;
	int64_t begin;
	const struct row *rows;
	unsigned n, repeat; /* repeat: every row so often */
	unsigned warnings;
};

static void put_report(struct fixture *f, const char *id, const struct spec *s)
{
	struct tap_warning w[TAP_QUERY_NOTES + 2];
	struct tap_meta meta = {.kind = TAP_KIND_AGGREGATE,
				.org_name = s->org,
				.domain = s->domain,
				.begin = s->begin,
				.end = s->begin + DAY - 1,
				.p = "reject",
				.schema = TAP_SCHEMA_RFC7489};
	struct tap_report_end e = {.warnings = w,
				   .n_warnings = s->warnings,
				   .warnings_total = s->warnings,
				   .content_hash = {1}};

	(void)snprintf(meta.uid, sizeof(meta.uid), "%s", id);
	for (unsigned i = 0; i < s->warnings; i++)
		w[i] = (struct tap_warning){i == 0 ? "record[0]" : NULL, i == 0 ? "first" : "next"};
	ok(f, tap_store_events.begin(f->s, &meta, &f->err));
	for (unsigned i = 0; i < s->n * (s->repeat ? s->repeat : 1); i++) {
		const struct row *row = &s->rows[i % s->n];
		struct tap_record r = {.index = i,
				       .source_ip = row->ip,
				       .count = row->count,
				       .disposition = row->disposition,
				       .dkim_aligned = row->dkim,
				       .spf_aligned = row->spf,
				       .evaluated = true};

		ok(f, tap_store_events.record(f->s, &r, &f->err));
		e.records++;
		if (__builtin_add_overflow(e.messages, row->count, &e.messages))
			e.messages = INT64_MAX;
		if (row->dkim || row->spf)
			e.passed += row->count;
	}
	ok(f, tap_store_events.end(f->s, &e, &f->err));
}

static void put_as(struct fixture *f, const char *message, const char *id, const struct spec *s)
{
	struct tap_store_message msg = made_message(message);
	struct tap_store_outcome out;

	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
	put_report(f, id, s);
	ok(f, tap_store_message_end(f->s, &out, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	assert_int_equal(out.stored + out.duplicates, 1);
}

static void put(struct fixture *f, const char *id, const struct spec *s)
{
	put_as(f, id, id, s);
}

static const struct row mixed[] = {
    {"192.0.2.1", "none", 10, true, false},   {"192.0.2.2", "quarantine", 3, false, false},
    {"192.0.2.3", "reject", 2, false, false}, {NULL, "sideways", 1, false, true},
    {"192.0.2.1", "pass", 5, false, true},    {"192.0.2.3", NULL, 7, true, true},
};

static void fill(struct fixture *f)
{
	put(f, "a", &(struct spec){"Org A", "example.com", D0, mixed, 6, 1, 0});
	put(f, "b", &(struct spec){"Org B", "example.net", D0 + DAY, mixed, 1, 1, 3});
	put(f, "c", &(struct spec){"Org C", "example.com", D0 + 2 * DAY - 1, mixed, 2, 1, 7});
	put(f, "d", &(struct spec){NULL, NULL, D0 - 400 * (int64_t)DAY, mixed, 1, 1, 0});
}

static struct tap_query *ask(struct fixture *f)
{
	struct tap_query *q;

	ok(f, tap_query_open(f->path, 5000, &q, &f->err));
	return q;
}

static const struct tap_query_window month = {D0 - 10 * DAY, D0 + 20 * DAY, NULL, false};

static void summary_adds_up(void **state)
{
	struct fixture *f = *state;
	struct tap_query_window com = {D0, D0 + DAY, "example.com", false};
	struct tap_query_summary s;
	struct tap_query *q;

	fill(f);
	q = ask(f);
	ok(f, tap_query_summary(q, &month, &s, &f->err));
	assert_int_equal(s.reports, 3);
	assert_int_equal(s.records, 9);
	assert_int_equal(s.messages, 28 + 10 + 13);
	assert_int_equal(s.passed, 23 + 10 + 10);
	assert_int_equal(s.domains, 2);
	assert_true(s.received > 0);
	assert_int_equal(s.total_reports, 4);
	assert_int_equal(s.first_begin, D0 - 400 * (int64_t)DAY);
	assert_int_equal(s.last_begin, D0 + 2 * DAY - 1);
	ok(f, tap_query_summary(q, &com, &s, &f->err));
	assert_int_equal(s.reports, 1); /* the window ends before its last second's successor */
	assert_int_equal(s.messages, 28);
	assert_int_equal(s.total_reports, 2);
	tap_query_close(&q);
	assert_null(q);
}

struct seen {
	unsigned n;
	struct tap_query_day day[8];
	struct tap_query_source source[8];
	char name[8][300];
	struct tap_query_report report[8];
	struct tap_query_domain domain[8];
};

static enum tap_rc on_day(void *ctx, const struct tap_query_day *row, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	s->day[s->n++] = *row;
	return TAP_OK;
}

static void days_are_utc_days(void **state)
{
	struct fixture *f = *state;
	struct tap_query_window ever = {-3 * DAY, D0 + 20 * DAY, NULL, false};
	struct seen s = {0};
	struct tap_query *q;

	fill(f);
	put(f, "e", &(struct spec){"Org E", "example.com", -1, mixed, 1, 1, 0});
	q = ask(f);
	ok(f, tap_query_days(q, &ever, on_day, &s, &f->err));
	tap_query_close(&q);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.day[0].day, -DAY); /* a second before 1970 lies in the day before */
	assert_int_equal(s.day[1].day, D0 - 400 * (int64_t)DAY);
	assert_int_equal(s.day[2].day, D0);
	assert_int_equal(s.day[2].messages, 28);
	assert_int_equal(s.day[2].passed, 23);
	assert_int_equal(s.day[3].day, D0 + DAY);
	assert_int_equal(s.day[3].reports, 2);
	assert_int_equal(s.day[3].messages, 23);
}

static enum tap_rc on_source(void *ctx, const struct tap_query_source *row, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	(void)snprintf(s->name[s->n], sizeof(s->name[0]), "%s",
		       row->source_ip ? row->source_ip : "(none)");
	s->source[s->n++] = *row;
	return TAP_OK;
}

static void sources_by_messages(void **state)
{
	struct fixture *f = *state;
	struct tap_query_window first = {D0, D0 + DAY, NULL, false};
	struct seen s = {0};
	struct tap_query *q;

	fill(f);
	q = ask(f);
	ok(f, tap_query_sources(q, &first, 10, on_source, &s, &f->err));
	assert_int_equal(s.n, 4);
	assert_string_equal(s.name[0], "192.0.2.1");
	assert_int_equal(s.source[0].messages, 15);
	assert_int_equal(s.source[0].dkim, 10);
	assert_int_equal(s.source[0].spf, 5);
	assert_int_equal(s.source[0].dmarc, 15);
	assert_int_equal(s.source[0].none, 15);
	assert_string_equal(s.name[1], "192.0.2.3");
	assert_int_equal(s.source[1].messages, 9);
	assert_int_equal(s.source[1].reject, 2);
	assert_int_equal(s.source[1].other, 7);
	assert_string_equal(s.name[2], "192.0.2.2");
	assert_int_equal(s.source[2].quarantine, 3);
	assert_string_equal(s.name[3], "(none)");
	assert_int_equal(s.source[3].other, 1);
	s.n = 0;
	ok(f, tap_query_sources(q, &first, 2, on_source, &s, &f->err));
	assert_int_equal(s.n, 2);
	tap_query_close(&q);
}

static enum tap_rc on_domain(void *ctx, const struct tap_query_domain *row, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	(void)snprintf(s->name[s->n], sizeof(s->name[0]), "%s",
		       row->domain ? row->domain : "(none)");
	s->domain[s->n++] = *row;
	return TAP_OK;
}

static void domains_by_messages(void **state)
{
	struct fixture *f = *state;
	struct tap_query_window ever = {0, INT64_MAX, NULL, false};
	struct seen s = {0};
	struct tap_query *q;

	fill(f);
	q = ask(f);
	ok(f, tap_query_domains(q, &ever, 10, on_domain, &s, &f->err));
	tap_query_close(&q);
	assert_int_equal(s.n, 3);
	assert_string_equal(s.name[0], "example.com");
	assert_int_equal(s.domain[0].messages, 41);
	assert_int_equal(s.domain[0].passed, 33);
	assert_string_equal(s.name[1], "(none)");
	assert_string_equal(s.name[2], "example.net");
}

static enum tap_rc on_report(void *ctx, const struct tap_query_report *row, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	(void)snprintf(s->name[s->n], sizeof(s->name[0]), "%s",
		       row->org_name ? row->org_name : "(none)");
	if (row->n_notes > 0) {
		assert_string_equal(row->notes[0].text, "first");
		assert_string_equal(row->notes[0].place, "record[0]");
		assert_string_equal(row->notes[1].text, "next");
		assert_null(row->notes[1].place);
	}
	s->report[s->n++] = *row;
	return TAP_OK;
}

static void reports_newest_first(void **state)
{
	struct fixture *f = *state;
	struct seen s = {0};
	struct tap_query *q;

	fill(f);
	put_as(f, "again", "a",
	       &(struct spec){"Org A", "example.com", D0, mixed, 6, 1, 0}); /* the same again */
	q = ask(f);
	ok(f, tap_query_reports(q, TAP_QUERY_AGGREGATE, NULL, 0, 3, on_report, &s, &f->err));
	assert_int_equal(s.n, 3);
	assert_string_equal(s.name[0], "(none)");
	assert_null(s.report[0].domain);
	assert_string_equal(s.name[1], "Org C");
	assert_int_equal(s.report[1].warnings, 7);
	assert_int_equal(s.report[1].n_notes, TAP_QUERY_NOTES);
	assert_int_equal(s.report[2].n_notes, 3);
	ok(f, tap_query_reports(q, TAP_QUERY_AGGREGATE, NULL, s.report[2].seq, 10, on_report, &s,
				&f->err));
	assert_int_equal(s.n, 4);
	assert_string_equal(s.name[3], "Org A");
	assert_int_equal(s.report[3].n_notes, 0);
	s.n = 0;
	ok(f,
	   tap_query_reports(q, TAP_QUERY_AGGREGATE, "example.net", 0, 10, on_report, &s, &f->err));
	assert_int_equal(s.n, 1);
	assert_string_equal(s.name[0], "Org B");
	tap_query_close(&q);
}

static void long_text_is_cut(void **state)
{
	struct fixture *f = *state;
	struct seen s = {0};
	struct tap_query *q;
	char org[1001];

	memset(org, 'x', sizeof(org) - 1);
	org[sizeof(org) - 1] = '\0';
	put(f, "a", &(struct spec){org, "example.com", D0, mixed, 1, 1, 0});
	q = ask(f);
	ok(f, tap_query_reports(q, TAP_QUERY_AGGREGATE, NULL, 0, 3, on_report, &s, &f->err));
	tap_query_close(&q);
	assert_int_equal(strlen(s.name[0]), TAP_QUERY_TEXT + strlen("…"));
}

/* Counts of 2^63-1 made SQLite's own sum() fail with "integer overflow". */
static void sums_saturate(void **state)
{
	static const struct row huge[] = {{"192.0.2.1", "none", INT64_MAX, true, true}};
	struct fixture *f = *state;
	struct tap_query_summary sum;
	struct seen s = {0};
	struct tap_query *q;

	put(f, "a", &(struct spec){"Org", "example.com", D0, huge, 1, 1, 0});
	put(f, "b", &(struct spec){"Org", "example.com", D0, huge, 1, 1, 0});
	q = ask(f);
	ok(f, tap_query_summary(q, &month, &sum, &f->err));
	assert_int_equal(sum.messages, INT64_MAX);
	ok(f, tap_query_sources(q, &month, 5, on_source, &s, &f->err));
	assert_int_equal(s.source[0].messages, INT64_MAX);
	tap_query_close(&q);
}

static void change_differs_after_every_message(void **state)
{
	struct fixture *f = *state;
	struct tap_query_state a, b, c;
	struct tap_query *q;

	q = ask(f);
	ok(f, tap_query_state(q, &a, &f->err));
	assert_int_equal(a.reports, 0);
	assert_false(a.have_message);
	tap_query_close(&q);
	put(f, "a", &(struct spec){"Org", "example.com", D0, mixed, 1, 1, 0});
	q = ask(f);
	ok(f, tap_query_state(q, &b, &f->err));
	tap_query_close(&q);
	assert_string_not_equal(a.change, b.change);
	assert_int_equal(b.reports, 1);
	assert_true(b.have_message);
	assert_int_equal(b.message_arrival, 1780090000);
	put_as(f, "again", "a", &(struct spec){"Org", "example.com", D0, mixed, 1, 1, 0});
	q = ask(f);
	ok(f, tap_query_state(q, &c, &f->err));
	tap_query_close(&q);
	assert_string_not_equal(b.change, c.change);
	assert_int_equal(c.reports, 1);
}

static void one_view_until_the_close(void **state)
{
	struct fixture *f = *state;
	struct tap_query_summary s;
	struct tap_query *q;

	put(f, "a", &(struct spec){"Org", "example.com", D0, mixed, 1, 1, 0});
	q = ask(f);
	ok(f, tap_query_summary(q, &month, &s, &f->err));
	put(f, "b", &(struct spec){"Org", "example.com", D0, mixed, 1, 1, 0});
	ok(f, tap_query_summary(q, &month, &s, &f->err));
	assert_int_equal(s.reports, 1);
	tap_query_close(&q);
}

static void deadline_stops_a_long_question(void **state)
{
	struct fixture *f = *state;
	struct tap_err err = {0};
	struct seen s = {0};
	struct tap_query *q;
	int64_t began;

	put(f, "a", &(struct spec){"Org", "example.com", D0, mixed, 6, 20000, 0});
	began = tap_clock_mono_ms();
	ok(f, tap_query_open(f->path, 25, &q, &f->err));
	assert_int_equal(tap_query_sources(q, &month, 5, on_source, &s, &err), TAP_E_CANCELLED);
	assert_int_equal(s.n, 0);
	assert_true(tap_clock_mono_ms() - began < 5000);
	assert_non_null(strstr(err.msg, "took too long"));
	tap_query_close(&q);
	ok(f, tap_query_open(f->path, 0, &q, &f->err));
	ok(f, tap_query_sources(q, &month, 5, on_source, &s, &f->err));
	assert_int_equal(s.n, 4);
	tap_query_close(&q);
}

static enum tap_rc refuse(void *ctx, const struct tap_query_day *row, struct tap_err *err)
{
	(void)ctx, (void)row;
	return tap_err_set(err, TAP_E_LIMIT, "enough");
}

static void a_refused_row_ends_the_question(void **state)
{
	struct fixture *f = *state;
	struct tap_err err = {0};
	struct tap_query *q;

	fill(f);
	q = ask(f);
	assert_int_equal(tap_query_days(q, &month, refuse, NULL, &err), TAP_E_LIMIT);
	assert_string_equal(err.msg, "enough");
	tap_query_close(&q);
}

static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void no_store_yet(void **state)
{
	struct tap_err err = {0};
	struct tap_query *q = (struct tap_query *)&err;
	char dir[] = "/tmp/tap-query-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/reports.db", dir);
	assert_int_equal(tap_query_open(path, 100, &q, &err), TAP_E_NOTFOUND);
	assert_null(q);
	assert_non_null(strstr(err.msg, path));
	write_file(path, "");
	assert_int_equal(tap_query_open(path, 100, &q, &err), TAP_E_NOTFOUND);
	write_file(
	    path,
	    "no database at all, and long enough to look like a header of one, which it is not. "
	    "It has more than a hundred bytes.");
	assert_int_equal(tap_query_open(path, 100, &q, &err), TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "not a store"));
	assert_int_equal(tap_query_open(dir, 100, &q, &err), TAP_E_CONFIG);
	tap_query_close(&q);
	tap_query_close(NULL);
	(void)unlink(path);
	(void)rmdir(dir);
}

/* The writer is gone, its -wal and -shm are still there: what it committed is read. */
static void reads_after_the_writer(void **state)
{
	struct fixture *f = *state;
	struct tap_query_summary s;
	struct tap_query *q;

	fill(f);
	tap_store_close(&f->s);
	q = ask(f);
	ok(f, tap_query_summary(q, &month, &s, &f->err));
	assert_int_equal(s.reports, 3);
	tap_query_close(&q);
}

#define WITH_STORE(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_STORE(summary_adds_up),
	    WITH_STORE(days_are_utc_days),
	    WITH_STORE(sources_by_messages),
	    WITH_STORE(domains_by_messages),
	    WITH_STORE(reports_newest_first),
	    WITH_STORE(long_text_is_cut),
	    WITH_STORE(sums_saturate),
	    WITH_STORE(change_differs_after_every_message),
	    WITH_STORE(one_view_until_the_close),
	    WITH_STORE(deadline_stops_a_long_question),
	    WITH_STORE(a_refused_row_ends_the_question),
	    cmocka_unit_test(no_store_yet),
	    WITH_STORE(reads_after_the_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
