/* SPDX-License-Identifier: Apache-2.0
 * A door that asks for no verdict: what it keeps, and where it must not. */
#include "intake_helper.h"

static struct tap_reports_settings reports = {.max_message = 1 << 20};

static struct tap_intake *open_intake(const struct box *b)
{
	struct tap_intake_config cfg = {
	    .reports = &reports, .spool = &b->set, .door = TAP_DOOR_PIPE, .verdict = NULL};
	struct tap_intake *in = NULL;
	struct tap_err err;

	reports.extension_delimiter = (char[]){"+"};
	assert_int_equal(tap_intake_open(&cfg, &in, &err), TAP_OK);
	return in;
}

static void deliver(struct tap_intake *in, enum tap_way way, const char *text, size_t times,
		    struct tap_outcome *out)
{
	const struct tap_envelope env = {.sender = "a@example.net"};
	struct tap_delivery *d = tap_delivery_begin(in);

	assert_non_null(d);
	for (size_t i = 0; i < times; i++)
		(void)tap_delivery_append(d, text, strlen(text));
	tap_delivery_finish(&d, way, &env, out);
	assert_null(d);
}

static void test_kept_without_a_verdict(void **state)
{
	struct tap_spool_file f;
	struct tap_outcome out;
	struct tap_intake *in;
	struct box b;
	char *m;

	(void)state;
	box_make(&b);
	in = open_intake(&b);
	deliver(in, TAP_WAY_PIPE, "Subject: x\n\ny\n", 1, &out);
	assert_int_equal(out.fate, TAP_FATE_UNJUDGED);
	assert_int_equal(out.row->exit_status, 0);
	assert_string_not_equal(out.id, "");
	box_only(&b, "incoming/pipe", &f);
	assert_int_equal(f.envelope.fate, TAP_FATE_UNJUDGED);
	assert_false(f.envelope.passed_on);
	m = message_of(&f);
	assert_string_equal(m, "Subject: x\n\ny\n");
	free(m);
	tap_spool_file_close(&f);
	tap_intake_close(&in);
	box_drop(&b);
}

/* Its size is known without a verdict. */
static void test_too_large_is_refused(void **state)
{
	struct tap_outcome out;
	struct tap_intake *in;
	struct box b;

	(void)state;
	box_make(&b);
	in = open_intake(&b);
	deliver(in, TAP_WAY_PIPE, "0123456789abcdef", (1 << 16) + 1, &out);
	assert_int_equal(out.fate, TAP_FATE_TOO_LARGE);
	assert_int_equal(out.row->exit_status, 65);
	assert_int_equal(box_count(&b, "incoming/pipe", 1, NULL), 0);
	tap_intake_close(&in);
	box_drop(&b);
}

/* Where the answer depends on a verdict, to have none is a failure of ours: nothing is kept behind the sender's back. */
static void test_a_verdict_that_counts_is_missed(void **state)
{
	static const enum tap_way way[] = {TAP_WAY_PIPE_FORWARD, TAP_WAY_PIPE_REJECT,
					   TAP_WAY_LMTP_FORWARD, TAP_WAY_LMTP_REJECT};
	struct tap_outcome out;
	struct tap_intake *in;
	struct box b;

	(void)state;
	box_make(&b);
	in = open_intake(&b);
	for (size_t i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
		deliver(in, way[i], "Subject: x\n\ny\n", 1, &out);
		assert_true(out.row->exit_status == 75 || out.row->smtp == 451);
		assert_int_equal(box_count(&b, "incoming/pipe", 1, NULL), 0);
	}
	tap_intake_close(&in);
	box_drop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kept_without_a_verdict),
	    cmocka_unit_test(test_too_large_is_refused),
	    cmocka_unit_test(test_a_verdict_that_counts_is_missed),
	};
	return cmocka_run_group_tests_name("intake unjudged", tests, NULL, NULL);
}
