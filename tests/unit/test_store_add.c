/* SPDX-License-Identifier: Apache-2.0
 * Messages and reports into the store: kept once, replaced only by the complete one, undone when they were not ended [I3]. */
#include "tests/unit/store_helper.h"

static void stores_a_report(void **state)
{
	struct fixture *f = *state;
	struct tap_store_outcome out = take_in(f, "m1", &(struct made){"aa", 10, 1, false});
	struct tap_store_totals t = totals(f);

	assert_int_equal(out.stored, 1);
	assert_int_equal(out.records, 10);
	assert_int_equal(t.messages, 1);
	assert_int_equal(t.reports, 1);
	assert_int_equal(t.records, 10);
	assert_int_equal(t.last_seq, 1);
}

static void same_report_moves_a_counter_only(void **state)
{
	struct fixture *f = *state;
	struct made m = {"aa", 3, 1, false};
	struct tap_store_outcome out;
	struct tap_store_totals t;

	take_in(f, "m1", &m);
	out = take_in(f, "m2", &m);
	assert_int_equal(out.stored, 0);
	assert_int_equal(out.duplicates, 1);
	out = take_in(f, "m3", &m);
	t = totals(f);
	assert_int_equal(t.reports, 1);
	assert_int_equal(t.records, 3);
	assert_int_equal(t.duplicates, 2);
	assert_int_equal(t.messages, 3);
}

static void twice_in_one_message(void **state)
{
	struct fixture *f = *state;
	struct made m = {"aa", 3, 1, false};
	struct tap_store_message msg = made_message("m1");
	struct tap_store_outcome out;

	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
	add_report(f, &m);
	add_report(f, &m);
	ok(f, tap_store_message_end(f->s, &out, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	assert_int_equal(out.stored, 1);
	assert_int_equal(out.duplicates, 1);
	assert_int_equal(totals(f).reports, 1);
}

static void complete_replaces_cut(void **state)
{
	struct fixture *f = *state;
	struct tap_store_outcome out;
	struct tap_store_totals t;

	take_in(f, "m1", &(struct made){"aa", 3, 1, true});
	take_in(f, "m2", &(struct made){"aa", 3, 1, true});
	out = take_in(f, "m3", &(struct made){"aa", 8, 2, false});
	t = totals(f);
	assert_int_equal(out.replaced, 1);
	assert_int_equal(out.conflicts, 0);
	assert_int_equal(t.reports, 1);
	assert_int_equal(t.records, 8);
	assert_int_equal(t.duplicates, 1);
	assert_true(t.last_seq > 1);
	/* A cut copy that comes late says nothing new. */
	out = take_in(f, "m4", &(struct made){"aa", 3, 1, true});
	assert_int_equal(out.conflicts, 0);
	assert_int_equal(out.duplicates, 1);
	t = totals(f);
	assert_int_equal(t.records, 8);
	assert_int_equal(t.duplicates, 2);
}

static void sent_by(bool trusted, const char *from)
{
	made_by.trusted = trusted;
	made_by.from = from;
}

/* Nobody we do not trust puts his "whole" report in the place of a cut one that we do trust. */
static void complete_of_a_stranger_does_not_replace_a_trusted_cut(void **state)
{
	struct fixture *f = *state;
	struct tap_store_outcome out;

	sent_by(true, "example.org");
	take_in(f, "m1", &(struct made){"aa", 3, 1, true});
	sent_by(false, "example.org");
	out = take_in(f, "m2", &(struct made){"aa", 9, 2, false});
	assert_int_equal(out.conflicts, 1);
	assert_int_equal(totals(f).records, 3);
	/* Who is trusted under a domain of his own is not the reporter for that. */
	sent_by(true, "other.example");
	out = take_in(f, "m3", &(struct made){"aa", 7, 3, false});
	assert_int_equal(out.conflicts, 1);
	assert_int_equal(totals(f).records, 3);
	sent_by(true, "example.org");
	out = take_in(f, "m4", &(struct made){"aa", 8, 4, false});
	sent_by(false, NULL);
	assert_int_equal(out.replaced, 1);
	assert_int_equal(totals(f).records, 8);
}

/* A made-up whole report that came first does not swallow the cut one that can be trusted: that one is kept in quarantine. */
static void trusted_cut_is_not_dropped_for_a_strangers_whole(void **state)
{
	struct fixture *f = *state;
	struct tap_store_outcome out;

	sent_by(false, "example.org");
	take_in(f, "m1", &(struct made){"aa", 9, 1, false});
	sent_by(true, "example.org");
	out = take_in(f, "m2", &(struct made){"aa", 3, 2, true});
	assert_int_equal(out.conflicts, 1);
	assert_int_equal(out.duplicates, 0);
	out = take_in(f, "m3", &(struct made){"aa", 8, 3, false});
	sent_by(false, NULL);
	assert_int_equal(out.replaced, 1);
}

struct seen {
	int rows;
	int64_t seq, revision;
	bool trusted;
	size_t dkim;
	char from[32];
};

static enum tap_rc see(void *ctx, const struct tap_store_row *row, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	s->rows++;
	s->seq = row->seq;
	s->revision = row->revision;
	s->trusted = row->meta->trust.trusted;
	s->dkim = row->meta->trust.n_dkim_domains;
	(void)snprintf(s->from, sizeof(s->from), "%s",
		       row->meta->trust.from_domain != NULL ? row->meta->trust.from_domain : "");
	return TAP_OK;
}

/* The copy that came over an unauthenticated way first does not keep the report out of the trusted totals; sinks get nothing twice. */
static void trusted_copy_makes_the_first_one_trusted(void **state)
{
	struct fixture *f = *state;
	struct made m = {"aa", 3, 1, false};
	struct seen seen = {0};
	struct tap_store_reader *r = NULL;
	struct tap_store_outcome out;
	int64_t seq = 0;
	uint64_t ordinal = 0;

	sent_by(false, "list.example");
	take_in(f, "m1", &m);
	sent_by(true, "example.org");
	out = take_in(f, "m2", &m);
	assert_int_equal(out.duplicates, 1);
	assert_int_equal(out.replaced + out.stored + out.conflicts + out.records, 0);
	/* And one that is not does not take it away again. */
	sent_by(false, "list.example");
	out = take_in(f, "m3", &m);
	assert_int_equal(out.duplicates, 1);
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_rows(r, TAP_KIND_ALL, 100, see, &seen, &seq, &ordinal, &f->err));
	tap_store_close_reader(&r);
	assert_int_equal(seen.rows, 3);
	assert_int_equal(seen.seq, 1);
	assert_int_equal(seen.revision, 1);
	assert_true(seen.trusted);
	assert_string_equal(seen.from, "example.org");
	assert_int_equal(seen.dkim, 1);
	assert_int_equal(totals(f).reports, 1);
	assert_int_equal(totals(f).records, 3);
	assert_int_equal(totals(f).duplicates, 2);
	/* It is its reporter's now, who may correct it. */
	sent_by(true, "other.example");
	assert_int_equal(take_in(f, "m4", &(struct made){"aa", 4, 2, false}).conflicts, 1);
	sent_by(true, "example.org");
	out = take_in(f, "m5", &(struct made){"aa", 4, 2, false});
	sent_by(false, NULL);
	assert_int_equal(out.replaced, 1);
}

/* The whole table of standards: first, second → what happened. */
static void other_content_by_trust_t_in_9(void **state)
{
	static const struct {
		bool trusted[2];
		const char *from[2];
		bool replaces;
	} rows[] = {
	    {{false, true}, {"a.example", "b.example"}, true},
	    {{false, true}, {NULL, "a.example"}, true},
	    {{true, true}, {"a.example", "A.Example"}, true},
	    {{true, true}, {"a.example", "b.example"}, false},
	    {{true, true}, {"a.example", "mail.a.example"}, false},
	    {{true, true}, {NULL, NULL}, false},
	    {{true, false}, {"a.example", "a.example"}, false},
	    {{false, false}, {"a.example", "a.example"}, false},
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char uid[8], one[8], two[8], three[8];
		struct tap_store_outcome out;
		struct made first = {uid, 3, 1, false};
		struct made second = {uid, 5, 2, false};
		uint64_t before = totals(f).records;

		(void)snprintf(uid, sizeof(uid), "u%u", i);
		(void)snprintf(one, sizeof(one), "a%u", i);
		(void)snprintf(two, sizeof(two), "b%u", i);
		(void)snprintf(three, sizeof(three), "c%u", i);
		sent_by(rows[i].trusted[0], rows[i].from[0]);
		take_in(f, one, &first);
		sent_by(rows[i].trusted[1], rows[i].from[1]);
		out = take_in(f, two, &second);
		assert_int_equal(out.replaced, rows[i].replaces);
		assert_int_equal(out.conflicts, !rows[i].replaces);
		assert_int_equal(out.stored, 0);
		assert_int_equal(totals(f).records - before, rows[i].replaces ? 5 : 3);
		/* The one that stayed is known by its content. */
		out = take_in(f, three, rows[i].replaces ? &second : &first);
		assert_int_equal(out.duplicates, 1);
	}
	sent_by(false, NULL);
}

/* Two documents of one name in one mail: the second is neither a duplicate nor a correction. */
static void two_of_one_name_in_one_mail_conflict(void **state)
{
	struct fixture *f = *state;
	struct made a = {"aa", 3, 1, false}, b = {"aa", 5, 2, false};
	struct tap_store_message msg = made_message("m1");
	struct tap_store_outcome out;

	sent_by(true, "a.example");
	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
	add_report(f, &a);
	add_report(f, &b);
	sent_by(false, NULL);
	ok(f, tap_store_message_end(f->s, &out, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	assert_int_equal(out.stored, 1);
	assert_int_equal(out.conflicts, 1);
	assert_int_equal(out.duplicates, 0);
	assert_int_equal(totals(f).records, 3);
}

struct quota {
	int64_t day;
	const char *domain;
	uint64_t records, bytes;
	bool over;
};

static void add_quota(struct fixture *f, const struct quota *q)
{
	bool over;

	ok(f, tap_store_quota_add(f->s, q->day, q->domain, q->records, q->bytes, 100, 1000, &over,
				  &f->err));
	if (over != q->over)
		fail_msg("%s: %d", q->domain, over);
}

static void quotas_count_by_day_and_domain(void **state)
{
	static const struct quota rows[] = {
	    {1, "a.example", 60, 10, false},
	    {1, "a.example", 41, 10, true},
	    {1, "A.EXAMPLE", 40, 10, false},
	    {1, "a.example", 1, 0, true},
	    {1, "a.example", 0, 980, false},
	    {1, "a.example", 0, 1, true},
	    {1, "b.example", 100, 1000, false},
	    {1, NULL, 100, 1000, false},
	    {1, "", 1, 0, true},
	    {2, "a.example", 100, 1000, false},
	    {2, "c.example", UINT64_MAX, 1, true},
	    {2, "c.example", 1, UINT64_MAX, true},
	};
	struct fixture *f = *state;
	struct tap_store_message msg = made_message("m1");
	bool over = true;

	ok(f, tap_store_begin(f->s, &f->err));
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		add_quota(f, &rows[i]);
	/* No maximum: sums saturate. */
	for (unsigned i = 0; i < 3; i++) {
		ok(f, tap_store_quota_add(f->s, 3, "d.example", UINT64_MAX, INT64_MAX, 0, 0, &over,
					  &f->err));
		assert_false(over);
	}
	/* An aborted message takes its part back. */
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
	add_quota(f, &(struct quota){4, "a.example", 100, 1, false});
	ok(f, tap_store_message_abort(f->s, &f->err));
	add_quota(f, &(struct quota){4, "a.example", 100, 1, false});
	/* A month later day 1 is forgotten, day 4 is not. */
	add_quota(f, &(struct quota){33, "a.example", 1, 1, false});
	add_quota(f, &(struct quota){1, "a.example", 100, 1000, false});
	add_quota(f, &(struct quota){4, "a.example", 1, 1, true});
	ok(f, tap_store_commit(f->s, &f->err));
}

static void other_content_is_a_conflict(void **state)
{
	struct fixture *f = *state;
	struct tap_store_known k;
	struct tap_store_outcome out;

	take_in(f, "m1", &(struct made){"aa", 3, 1, false});
	out = take_in(f, "m2", &(struct made){"aa", 4, 2, false});
	assert_int_equal(out.conflicts, 1);
	assert_int_equal(out.stored, 0);
	assert_int_equal(totals(f).records, 3);
	ok(f, tap_store_known(f->s, "m2", &k, &f->err));
	assert_true(k.known);
	assert_true(k.quarantine);
	assert_string_equal(k.verdict, "conflict");
	assert_non_null(strstr(k.reason, "aa"));
	ok(f, tap_store_known(f->s, "m1", &k, &f->err));
	assert_true(k.known);
	assert_false(k.quarantine);
	ok(f, tap_store_known(f->s, "m9", &k, &f->err));
	assert_false(k.known);
}

static void aborted_report_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct made m = {"aa", 5, 1, false};
	struct tap_store_message msg = made_message("m1");
	struct tap_meta meta = made_meta(&m);
	struct tap_err why = {.rc = TAP_E_DATA};
	struct tap_store_outcome out;
	struct tap_store_totals t;

	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
	ok(f, tap_store_events.begin(f->s, &meta, &f->err));
	add_records(f, &m);
	tap_store_events.abort(f->s, &why);
	assert_false(tap_store_failed(f->s));
	m.records = 2; /* read again in recovery mode */
	add_report(f, &m);
	ok(f, tap_store_message_end(f->s, &out, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	t = totals(f);
	assert_int_equal(t.reports, 1);
	assert_int_equal(t.records, 2);
	assert_int_equal(out.stored, 1);
}

static void aborted_message_spares_its_neighbours(void **state)
{
	struct fixture *f = *state;
	struct made a = {"aa", 2, 1, false}, b = {"bb", 3, 1, false}, c = {"cc", 4, 1, false};
	struct tap_store_message m1 = made_message("m1"), m2 = made_message("m2"),
				 m3 = made_message("m3");
	struct tap_meta meta = made_meta(&b);
	struct tap_store_outcome out;
	struct tap_store_known k;

	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &m1, &f->err));
	add_report(f, &a);
	ok(f, tap_store_message_end(f->s, &out, &f->err));
	ok(f, tap_store_message_begin(f->s, &m2, &f->err));
	ok(f, tap_store_events.begin(f->s, &meta, &f->err));
	add_records(f, &b);
	ok(f, tap_store_message_abort(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &m3, &f->err));
	add_report(f, &c);
	ok(f, tap_store_message_end(f->s, &out, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	assert_int_equal(totals(f).records, 6);
	ok(f, tap_store_known(f->s, "m2", &k, &f->err));
	assert_false(k.known);
}

static void events_out_of_order_are_refused(void **state)
{
	struct fixture *f = *state;
	struct made m = {"aa", 1, 1, false};
	struct tap_store_message msg = made_message("m1");
	struct tap_meta meta = made_meta(&m);
	struct tap_record rec = {.source_ip = "192.0.2.1"};
	struct tap_report_end end = {0};

	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
	assert_int_equal(tap_store_events.record(f->s, &rec, &f->err), TAP_E_DATA);
	assert_int_equal(tap_store_events.end(f->s, &end, &f->err), TAP_E_DATA);
	ok(f, tap_store_events.begin(f->s, &meta, &f->err));
	assert_int_equal(tap_store_events.begin(f->s, &meta, &f->err), TAP_E_DATA);
	assert_false(tap_store_failed(f->s));
	tap_store_rollback(f->s);
	assert_int_equal(totals(f).messages, 0);
}

static void the_same_spool_file_twice_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tap_store_message msg = made_message("m1");

	take_in(f, "m1", &(struct made){"aa", 1, 1, false});
	ok(f, tap_store_begin(f->s, &f->err));
	assert_int_not_equal(tap_store_message_begin(f->s, &msg, &f->err), TAP_OK);
	assert_true(tap_store_failed(f->s));
	tap_store_rollback(f->s);
	assert_int_equal(totals(f).messages, 1);
}

/* Payloads of what is stored already are not kept again, or repeats would fill the disk. */
static void payload_is_kept_once(void **state)
{
	struct fixture *f = *state;
	struct made m = {"aa", 1, 1, false};
	struct tap_store_message msg = made_message("big");
	struct tap_meta meta = made_meta(&(struct made){"bb", 0, 0, false});
	struct tap_store_outcome out;
	static char piece[65536];
	uint64_t before;

	take_in(f, "m1", &m);
	ok(f, tap_store_checkpoint(f->s, true, &f->err));
	before = totals(f).db_bytes;
	for (unsigned i = 0; i < 2; i++) {
		ok(f, tap_store_begin(f->s, &f->err));
		msg.spool_id = i == 0 ? "dup" : "new";
		ok(f, tap_store_message_begin(f->s, &msg, &f->err));
		if (i == 0)
			meta = made_meta(&m);
		else
			meta = made_meta(&(struct made){"bb", 0, 0, false});
		ok(f, tap_store_events.begin(f->s, &meta, &f->err));
		add_end(f, &m);
		for (unsigned k = 0; k < 32; k++)
			ok(f, tap_store_events.payload(f->s, 1, piece, sizeof(piece), &f->err));
		ok(f, tap_store_events.payload(f->s, 1, NULL, 0, &f->err));
		ok(f, tap_store_message_end(f->s, &out, &f->err));
		ok(f, tap_store_commit(f->s, &f->err));
		ok(f, tap_store_checkpoint(f->s, true, &f->err));
		assert_int_equal(out.duplicates, i == 0);
		if (i == 0)
			assert_true(totals(f).db_bytes < before + (1 << 20));
		else
			assert_true(totals(f).db_bytes > before + (1 << 20));
	}
}

static void rollback_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct made m = {"aa", 5, 1, false};
	struct tap_store_message msg = made_message("m1");
	struct tap_store_outcome out;

	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
	add_report(f, &m);
	ok(f, tap_store_message_end(f->s, &out, &f->err));
	tap_store_rollback(f->s);
	assert_int_equal(totals(f).reports, 0);
	out = take_in(f, "m1", &m);
	assert_int_equal(out.stored, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(stores_a_report, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(same_report_moves_a_counter_only, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(twice_in_one_message, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(complete_replaces_cut, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(complete_of_a_stranger_does_not_replace_a_trusted_cut,
					    set_up, tear_down),
	    cmocka_unit_test_setup_teardown(other_content_by_trust_t_in_9, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(trusted_cut_is_not_dropped_for_a_strangers_whole,
					    set_up, tear_down),
	    cmocka_unit_test_setup_teardown(trusted_copy_makes_the_first_one_trusted, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(two_of_one_name_in_one_mail_conflict, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(quotas_count_by_day_and_domain, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(other_content_is_a_conflict, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(aborted_report_leaves_nothing, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(aborted_message_spares_its_neighbours, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(events_out_of_order_are_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(the_same_spool_file_twice_is_refused, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(payload_is_kept_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(rollback_leaves_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
