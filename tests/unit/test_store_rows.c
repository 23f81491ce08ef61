/* SPDX-License-Identifier: Apache-2.0
 * What the sinks read: rows in order, in chunks, whole; cursors and parked items. */
#include "tests/unit/store_helper.h"

struct seen {
	struct fixture *f;
	size_t n, stop_at; /* say "enough" instead of taking row stop_at */
	int64_t seq[64];
	uint64_t ordinal[64], index[64];
	size_t results[64], reasons[64];
	bool first[64], last[64], empty[64];
	char domain[64], human[32], warning[64], error[32], second[32];
};

static enum tap_rc see(void *ctx, const struct tap_store_row *row, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	if (s->n == s->stop_at)
		return TAP_E_LIMIT;
	s->seq[s->n] = row->seq;
	s->ordinal[s->n] = row->ordinal;
	s->first[s->n] = row->first;
	s->last[s->n] = row->last;
	s->empty[s->n] = row->record == NULL;
	assert_int_equal(row->meta->n_errors, 2);
	assert_int_equal(row->meta->n_receiving_domains, 2);
	assert_int_equal(row->end->n_warnings, 1);
	assert_string_equal(row->meta->org_name, "Example Org");
	assert_string_equal(row->meta->fo, "");
	assert_null(row->meta->np);
	(void)snprintf(s->domain, sizeof(s->domain), "%s", row->meta->receiving_domains[1]);
	(void)snprintf(s->warning, sizeof(s->warning), "%s %s", row->end->warnings[0].where,
		       row->end->warnings[0].what);
	(void)snprintf(s->error, sizeof(s->error), "%s/%s", row->meta->errors[0].text,
		       row->meta->errors[0].lang);
	if (row->record != NULL) {
		const struct tap_record *r = row->record;

		s->index[s->n] = r->index;
		s->results[s->n] = r->n_dkim * 10 + r->n_spf;
		s->reasons[s->n] = r->n_reasons;
		assert_string_equal(r->envelope_from, "");
		assert_null(r->envelope_to);
		for (size_t i = 0; i < r->n_spf; i++)
			assert_string_equal(r->spf[i].label, "mfrom");
		if (r->n_dkim > 0)
			(void)snprintf(s->human, sizeof(s->human), "%s/%s",
				       r->dkim[0].human_result.text, r->dkim[0].human_result.lang);
		if (r->n_dkim > 1) {
			assert_null(r->dkim[1].label);
			(void)snprintf(s->second, sizeof(s->second), "%s", r->dkim[1].domain);
		}
	}
	s->n++;
	return TAP_OK;
}

static void rows_come_whole_and_in_chunks(void **state)
{
	struct fixture *f = *state;
	struct tap_store_reader *r;
	struct seen s = {.f = f, .stop_at = 100};
	int64_t seq = 1;
	uint64_t ordinal = 0;

	take_in(f, "m1", &(struct made){"aa", 7, 1, false});
	take_in(f, "m2", &(struct made){"bb", 0, 1, false});
	take_in(f, "m3", &(struct made){"cc", 3, 1, false});
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	while (s.n < 11) {
		size_t before = s.n;

		ok(f, tap_store_rows(r, TAP_KIND_AGGREGATE, 2, see, &s, &seq, &ordinal, &f->err));
		assert_in_range(s.n - before, 1, 2);
	}
	assert_int_equal(tap_store_rows(r, TAP_KIND_AGGREGATE, 2, see, &s, &seq, &ordinal, &f->err),
			 TAP_E_NOTFOUND);
	assert_int_equal(seq, 4);
	assert_int_equal(ordinal, 0);
	for (size_t i = 0; i < 11; i++) {
		assert_int_equal(s.seq[i], i < 7 ? 1 : i == 7 ? 2 : 3);
		assert_int_equal(s.first[i], i == 0 || i == 7 || i == 8);
		assert_int_equal(s.last[i], i == 6 || i == 7 || i == 10);
		assert_int_equal(s.empty[i], i == 7);
		if (i < 7) {
			assert_int_equal(s.ordinal[i], i);
			assert_int_equal(s.index[i], i * 2);
			assert_int_equal(s.results[i], (i % 3) * 10 + i % 2);
			assert_int_equal(s.reasons[i], i % 2);
		}
	}
	assert_string_equal(s.domain, "two.example");
	assert_string_equal(s.human, "good/en");
	assert_string_equal(s.second, "b.example");
	assert_string_equal(s.warning, "record[1] bad_ip: no address");
	assert_string_equal(s.error, "no DNS/en");
	tap_store_close_reader(&r);
}

static void enough_leaves_the_row_for_next_time(void **state)
{
	struct fixture *f = *state;
	struct tap_store_reader *r;
	struct seen s = {.f = f, .stop_at = 4};
	int64_t seq = 1;
	uint64_t ordinal = 0;

	take_in(f, "m1", &(struct made){"aa", 7, 1, false});
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_rows(r, TAP_KIND_AGGREGATE, 50, see, &s, &seq, &ordinal, &f->err));
	assert_int_equal(seq, 1);
	assert_int_equal(ordinal, 4);
	ok(f, tap_store_rows(r, TAP_KIND_AGGREGATE, 50, see, &s, &seq, &ordinal, &f->err));
	assert_int_equal(ordinal, 4);
	s.stop_at = 100;
	ok(f, tap_store_rows(r, TAP_KIND_AGGREGATE, 50, see, &s, &seq, &ordinal, &f->err));
	assert_int_equal(seq, 2);
	assert_int_equal(s.n, 7);
	assert_int_equal(s.ordinal[4], 4);
	tap_store_close_reader(&r);
}

static void only_the_kinds_asked_for(void **state)
{
	struct fixture *f = *state;
	struct tap_store_reader *r;
	struct seen s = {.f = f, .stop_at = 100};
	int64_t seq = 1;
	uint64_t ordinal = 0;

	take_in(f, "m1", &(struct made){"aa", 2, 1, false});
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	assert_int_equal(tap_store_rows(r, TAP_KIND_FAILURE, 9, see, &s, &seq, &ordinal, &f->err),
			 TAP_E_NOTFOUND);
	assert_int_equal(seq, 1);
	tap_store_close_reader(&r);
}

/* A cursor in the middle of a cut report goes on with the complete one, from its first record and with revision 2. */
static void replaced_report_comes_again(void **state)
{
	struct fixture *f = *state;
	struct tap_store_reader *r;
	struct seen s = {.f = f, .stop_at = 100};
	int64_t seq = 1;
	uint64_t ordinal = 0;

	take_in(f, "m1", &(struct made){"aa", 5, 1, true});
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_rows(r, TAP_KIND_AGGREGATE, 2, see, &s, &seq, &ordinal, &f->err));
	take_in(f, "m2", &(struct made){"aa", 6, 2, false});
	s.n = 0;
	ok(f, tap_store_rows(r, TAP_KIND_AGGREGATE, 50, see, &s, &seq, &ordinal, &f->err));
	assert_int_equal(s.n, 6);
	assert_true(s.first[0]);
	assert_int_equal(s.ordinal[0], 0);
	tap_store_close_reader(&r);
}

static void sinks_settle(void **state)
{
	struct fixture *f = *state;
	struct tap_store_park park[] = {{.seq = 1, .ordinal = 1, .reason = "refused"},
					{.seq = 1, .ordinal = 2, .reason = "too large"}};
	struct tap_store_settle set = {.sink = "file",
				       .seq = 1,
				       .ordinal = 3,
				       .state = "offset=12",
				       .park = park,
				       .n_park = 2};
	struct tap_store_reader *r;
	struct tap_store_sink got;
	char text[TAP_STORE_STATE_MAX];

	take_in(f, "m1", &(struct made){"aa", 7, 1, false});
	take_in(f, "m2", &(struct made){"bb", 0, 1, false});
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	assert_int_equal(tap_store_sink_get(r, "file", TAP_KIND_ALL, &got, NULL, &f->err),
			 TAP_E_NOTFOUND);
	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_settle(f->s, &set, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	ok(f, tap_store_sink_get(r, "file", TAP_KIND_ALL, &got, text, &f->err));
	assert_int_equal(got.seq, 1);
	assert_int_equal(got.ordinal, 3);
	assert_int_equal(got.exceptions, 2);
	assert_int_equal(got.lag, 5);
	assert_string_equal(text, "offset=12");
	set = (struct tap_store_settle){.sink = "file", .seq = 3};
	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_settle(f->s, &set, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	ok(f, tap_store_sink_get(r, "file", TAP_KIND_ALL, &got, text, &f->err));
	assert_int_equal(got.seq, 3);
	assert_int_equal(got.lag, 0);
	assert_string_equal(text, "offset=12"); /* NULL = unchanged */
	/* What a sink does not take it is not owed. */
	set.seq = 1;
	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_settle(f->s, &set, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	ok(f,
	   tap_store_sink_get(r, "file", TAP_KIND_ALL & ~TAP_KIND_AGGREGATE, &got, NULL, &f->err));
	assert_int_equal(got.lag, 0);
	ok(f, tap_store_sink_get(r, "file", TAP_KIND_AGGREGATE, &got, NULL, &f->err));
	assert_int_equal(got.lag, 8);
	tap_store_close_reader(&r);
}

/* A sink refuses an item for good while its report is replaced: no exception stands for ever for what is gone. */
static void items_of_a_replaced_report_are_not_parked(void **state)
{
	struct fixture *f = *state;
	struct tap_store_park park[] = {{.seq = 1, .ordinal = 1, .reason = "refused"},
					{.seq = 2, .ordinal = 0, .reason = "refused"}};
	struct tap_store_settle set = {.sink = "file", .seq = 2, .park = park, .n_park = 2};
	struct tap_store_reader *r;
	uint64_t n = 0;

	take_in(f, "m1", &(struct made){"aa", 3, 1, true});
	assert_int_equal(take_in(f, "m2", &(struct made){"aa", 8, 2, false}).replaced, 1);
	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_settle(f->s, &set, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_sink_exceptions(r, "file", &n, &f->err));
	assert_int_equal(n, 1);
	tap_store_close_reader(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(rows_come_whole_and_in_chunks, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(enough_leaves_the_row_for_next_time, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(only_the_kinds_asked_for, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(replaced_report_comes_again, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(sinks_settle, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(items_of_a_replaced_report_are_not_parked, set_up,
					    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
