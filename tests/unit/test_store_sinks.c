/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_store_sinks.c - what an operator does to a sink, later revisions, and expiry, over a store. */
#include "store_helper.h"

static void report(struct fixture *f, int n, unsigned char content)
{
	char id[16], digit[16];
	struct made m = {.uid_digit = digit, .records = 2, .content = content};

	(void)snprintf(digit, sizeof(digit), "%08d", n);
	(void)snprintf(id, sizeof(id), "m%d-%d", n, content);
	(void)take_in(f, id, &m);
}

static void settle(struct fixture *f, const char *sink, int64_t seq, uint64_t ordinal,
		   const struct tap_store_park *park, size_t n, int64_t epoch)
{
	struct tap_store_settle set = {.sink = sink,
				       .seq = seq,
				       .ordinal = ordinal,
				       .park = park,
				       .n_park = n,
				       .epoch = epoch};

	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_settle(f->s, &set, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
}

static struct tap_store_reader *reader(struct fixture *f)
{
	struct tap_store_reader *r;

	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	return r;
}

static void expect_place(struct fixture *f, const char *sink, int64_t seq, uint64_t ordinal,
			 int64_t epoch)
{
	struct tap_store_reader *r = reader(f);
	struct tap_store_place at;
	int64_t got = -1;

	ok(f, tap_store_sink_place(r, sink, &at, &got, NULL, &f->err));
	assert_int_equal(at.seq, seq);
	assert_int_equal(at.ordinal, ordinal);
	assert_int_equal(got, epoch);
	tap_store_close_reader(&r);
}

static void expect_done(struct fixture *f, const char *sink, int64_t at, int64_t from, int64_t to)
{
	struct tap_store_reader *r = reader(f);
	int64_t a, b;

	ok(f, tap_store_sink_done(r, sink, at, &a, &b, &f->err));
	assert_int_equal(a, from);
	assert_int_equal(b, to);
	tap_store_close_reader(&r);
}

static void owe(struct fixture *f, const char *sink, int64_t from, int64_t to)
{
	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_outbox_owe(f->s, sink, from, to, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
}

static uint64_t lag(struct fixture *f, const char *sink)
{
	struct tap_store_reader *r = reader(f);
	struct tap_store_sink k;

	ok(f, tap_store_sink_get(r, sink, TAP_KIND_ALL, &k, NULL, &f->err));
	tap_store_close_reader(&r);
	return k.lag;
}

/* A backfill moves the cursor of one sink; what lies between and was confirmed is not owed again, and nobody else is touched. */
static void a_backfill_owes_a_stretch(void **state)
{
	struct fixture *f = *state;

	for (int i = 1; i <= 10; i++)
		report(f, i, 1);
	settle(f, "one", 11, 0, NULL, 0, 0);
	settle(f, "two", 11, 0, NULL, 0, 0);
	assert_int_equal(lag(f, "one"), 0);
	owe(f, "one", 3, 5);
	expect_place(f, "one", 3, 0, 1);
	expect_place(f, "two", 11, 0, 0);
	expect_done(f, "one", 3, 5, 11);
	assert_int_equal(lag(f, "one"), 4); /* two reports of two records */
	/* A second one while the first is owed still; it cuts the stretch in two. */
	owe(f, "one", 7, 8);
	expect_place(f, "one", 3, 0, 2);
	expect_done(f, "one", 3, 5, 7);
	expect_done(f, "one", 7, 8, 11);
	owe(f, "one", 1, 2);
	expect_place(f, "one", 1, 0, 3);
	expect_done(f, "one", 1, 2, 3);
	assert_int_equal(lag(f, "one"), 8);
	/* The sink read before the last one: what it settles does not move the cursor. */
	settle(f, "one", 11, 0, NULL, 0, 2);
	expect_place(f, "one", 1, 0, 3);
	settle(f, "one", 8, 0, NULL, 0, 3);
	expect_place(f, "one", 8, 0, 3);
	expect_done(f, "one", 8, 8, 11);
	settle(f, "one", 11, 0, NULL, 0, 3);
	expect_done(f, "one", 1, 0, 0); /* all of it is forgotten */
	/* All of it again, and what was sent of a report in part comes whole. */
	settle(f, "one", 11, 0, NULL, 0, 3);
	owe(f, "one", 1, INT64_MAX);
	expect_done(f, "one", 1, 0, 0);
	assert_int_equal(lag(f, "one"), 20);
}

static enum tap_rc count(void *ctx, const struct tap_store_exception *x, struct tap_err *err)
{
	(void)err;
	assert_non_null(x->uid);
	++*(int *)ctx;
	return TAP_OK;
}

static int listed(struct fixture *f, int64_t now)
{
	struct tap_store_reader *r = reader(f);
	int n = 0;

	ok(f, tap_store_sink_list(r, "one", now, 100, count, &n, &f->err));
	tap_store_close_reader(&r);
	return n;
}

static void exceptions_wait_or_are_parked(void **state)
{
	const struct tap_store_park park[] = {
	    {.seq = 1, .ordinal = 1, .reason = "refused"},
	    {.seq = 2, .ordinal = 0, .reason = "later", .waits = true, .tries = 2, .next_try = 500},
	    {.seq = 3,
	     .ordinal = 0,
	     .reason = "later",
	     .waits = true,
	     .tries = 1,
	     .next_try = 900}};
	struct fixture *f = *state;
	uint64_t n = 0;

	for (int i = 1; i <= 3; i++)
		report(f, i, 1);
	settle(f, "one", 4, 0, park, 3, 0);
	assert_int_equal(listed(f, INT64_MAX), 3);
	assert_int_equal(listed(f, 499), 0);
	assert_int_equal(listed(f, 500), 1);
	assert_int_equal(listed(f, 1000), 2);
	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_outbox_retry(f->s, "one", 1, 1, &n, &f->err));
	assert_int_equal(n, 1);
	assert_int_equal(tap_store_outbox_retry(f->s, "one", 1, 0, &n, &f->err), TAP_E_NOTFOUND);
	assert_int_equal(tap_store_outbox_drop(f->s, "two", 1, 1, &n, &f->err), TAP_E_NOTFOUND);
	assert_false(tap_store_failed(f->s));
	ok(f, tap_store_outbox_drop(f->s, "one", 2, 0, &n, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	assert_int_equal(listed(f, 0), 1);
	assert_int_equal(listed(f, INT64_MAX), 2);
	/* A sink that takes no item alone gets the whole reports instead. */
	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_outbox_owe_exceptions(f->s, "one", 0, &n, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	assert_int_equal(n, 2);
	assert_int_equal(listed(f, INT64_MAX), 0);
	expect_place(f, "one", 1, 0, 2);
	expect_done(f, "one", 1, 2, 3); /* 1 and 3 are owed */
	assert_int_equal(lag(f, "one"), 4);
}

static bool was_sent(struct fixture *f, const char *sink, int64_t seq)
{
	struct tap_store_reader *r = reader(f);
	bool sent = false;

	ok(f, tap_store_sink_sent(r, sink, seq, &sent, &f->err));
	tap_store_close_reader(&r);
	return sent;
}

/* A report that is replaced is known to be a later revision to those sinks that have confirmed the former one whole. */
static void a_later_revision_is_known(void **state)
{
	const struct tap_store_park park = {.seq = 1, .reason = "refused"};
	struct fixture *f = *state;

	made_by.trusted = true;
	made_by.from = "example.org";
	report(f, 1, 1);
	report(f, 2, 1);
	settle(f, "has", 3, 0, NULL, 0, 0);
	settle(f, "not", 1, 0, NULL, 0, 0);
	settle(f, "part", 1, 1, NULL, 0, 0);
	settle(f, "parked", 3, 0, &park, 1, 0);
	report(f, 1, 2); /* seq 3 takes the place of 1 */
	assert_true(was_sent(f, "has", 3));
	assert_false(was_sent(f, "not", 3));
	assert_false(was_sent(f, "part", 3));
	assert_false(was_sent(f, "parked", 3));
	report(f, 1, 3); /* and 4 that of 3, which the sink has not seen yet */
	assert_true(was_sent(f, "has", 4));
	assert_false(was_sent(f, "not", 4));
	settle(f, "has", 5, 0, NULL, 0, 0);
	assert_false(was_sent(f, "has", 4)); /* passed: forgotten */
	made_by.trusted = false;
	made_by.from = NULL;
}

static uint64_t expire(struct fixture *f, const struct tap_store_owed *owed, size_t n_owed)
{
	uint64_t n = 1, sum = 0;
	int64_t seq = 0;

	for (int i = 0; n > 0 && i < 100; i++) {
		uint64_t before = totals(f).reports;

		ok(f, tap_store_begin(f->s, &f->err));
		ok(f, tap_store_expire(f->s, INT64_MAX, owed, n_owed, 2, &seq, &n, &f->err));
		ok(f, tap_store_commit(f->s, &f->err));
		assert_true(before - totals(f).reports <= 2); /* bounded */
		sum += before - totals(f).reports;
	}
	assert_int_equal(n, 0);
	return sum;
}

/* What a sink is owed stays, unless told otherwise; a late copy of what is gone is no new report. */
static void expiry(void **state)
{
	const struct tap_store_owed owed[] = {{"one", TAP_KIND_AGGREGATE},
					      {"tls", TAP_KIND_SMTP_TLS}};
	const struct tap_store_park park = {.seq = 2, .reason = "refused"};
	const struct tap_store_park of_removed = {.seq = 3, .reason = "refused"};
	struct made again = {.uid_digit = "00000001", .records = 2, .content = 1};
	struct fixture *f = *state;
	struct tap_store_outcome out;

	for (int i = 1; i <= 7; i++)
		report(f, i, 1);
	settle(f, "one", 6, 1, &park, 1, 0);
	/* What an output had set aside that nobody has any more holds nothing up. */
	settle(f, "removed", 2, 0, &of_removed, 1, 0);
	assert_int_equal(expire(f, owed, 2), 4); /* 1 3 4 5 */
	assert_int_equal(totals(f).reports, 3);
	assert_int_equal(totals(f).messages, 3);
	assert_int_equal(totals(f).records, 6);
	out = take_in(f, "late", &again);
	assert_int_equal(out.duplicates, 1);
	assert_int_equal(totals(f).reports, 3);
	again.content = 9; /* not the same: it is taken in */
	out = take_in(f, "other", &again);
	assert_int_equal(out.stored, 1);
	assert_int_equal(expire(f, NULL, 0), 4);
	assert_int_equal(totals(f).reports, 0);
	assert_int_equal(totals(f).messages, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_backfill_owes_a_stretch, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(exceptions_wait_or_are_parked, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_later_revision_is_known, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(expiry, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
