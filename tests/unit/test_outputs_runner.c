/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_runner.c - the runner over a feed in memory: every item is confirmed or parked, in order, once, whatever
 * the driver does; pause, stop and restart. */
#include "runner_helper.h"

static void test_all_in_order(void **state)
{
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(50, 7);
	struct tap_runner *r;
	struct tap_runner_status st;

	(void)state;
	start(w, &script_ops, s, 100, &r);
	assert_true(wait_settled(w, 20));
	st = status_when(r, TAP_RUNNER_IDLE, 350);
	assert_string_equal(st.sink, "mysink");
	assert_string_equal(st.type, "script");
	assert_string_equal(st.last_error, "");
	assert_int_equal(st.parked + st.retried, 0);
	/* what comes later goes out as well */
	pthread_mutex_lock(&w->mu);
	w->n_reports = 60;
	pthread_mutex_unlock(&w->mu);
	assert_true(wait_settled(w, 20));
	tap_runner_stop(&r);
	assert_null(r);
	tap_runner_stop(&r);
	expect_log(s, 60, 7);
	assert_int_equal(s->closes, 1);
	assert_int_equal(s->max_batch, 10);
	assert_string_equal(w->state, "opened 1");
	world_free(w);
	free(s);
}

static void test_reports_without_records(void **state)
{
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(5, 0);
	struct tap_runner *r;

	(void)state;
	start(w, &script_ops, s, 100, &r);
	assert_true(wait_settled(w, 20));
	tap_runner_stop(&r);
	expect_log(s, 5, 0);
	world_free(w);
	free(s);
}

/* For a driver that needs the order: the items before the first RETRY are settled, that one and all behind it come again. */
static void test_retry_stops_there(void **state)
{
	struct tap_output_ops ops = script_ops;
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(4, 3);
	struct tap_runner *r;
	struct tap_runner_status st;

	(void)state;
	ops.in_order = true;
	s->retry_seq = 2;
	s->retries = 1;
	start(w, &ops, s, 100, &r);
	assert_true(wait_settled(w, 20));
	st = status_when(r, TAP_RUNNER_IDLE, 12);
	assert_true(st.retried > 0);
	tap_runner_stop(&r);
	assert_true(s->probes >= 1);
	/* 1.* once; 3.* and the first of 4 went out with the batch that was retried, and again: at least once */
	assert_memory_equal(s->log,
			    "1.0 1.1 1.2 3.0 3.1 3.2 4.0 2.0 2.1 2.2 3.0 3.1 3.2 4.0 4.1 4.2 ", 64);
	assert_int_equal(s->n, 64);
	world_free(w);
	free(s);
}

static void test_peer_down(void **state)
{
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(3, 3);
	struct tap_runner *r;
	struct tap_runner_status st;
	int64_t begin = tap_clock_mono_ms();

	(void)state;
	s->fail_sends = 1;
	s->probe_fails = 1;
	start(w, &script_ops, s, 100, &r);
	st = status_when(r, TAP_RUNNER_BACKOFF, 0);
	assert_string_equal(st.last_error, "connection refused");
	assert_true(st.next_try_ms > begin);
	assert_true(wait_settled(w, 30));
	assert_true(tap_clock_mono_ms() - begin >= 1900); /* two failures, at least a second each */
	st = status_when(r, TAP_RUNNER_IDLE, 9);
	assert_string_equal(st.last_error, "");
	tap_runner_stop(&r);
	assert_int_equal(s->probes, 2);
	expect_log(s, 3, 3);
	world_free(w);
	free(s);
}

static void test_never_is_parked(void **state)
{
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(5, 2);
	struct tap_runner *r;

	(void)state;
	s->never_seq = 3;
	start(w, &script_ops, s, 100, &r);
	assert_true(wait_settled(w, 20));
	assert_int_equal(status_when(r, TAP_RUNNER_IDLE, 8).parked, 2);
	tap_runner_stop(&r);
	assert_int_equal(w->n_parked, 2);
	assert_int_equal(w->parked[0].at.seq, 3);
	assert_int_equal(w->parked[0].at.ordinal, 0);
	assert_int_equal(w->parked[1].at.ordinal, 1);
	assert_string_equal(w->parked[0].reason, "mapping refused");
	assert_memory_equal(s->log, "1.0 1.1 2.0 2.1 4.0 4.1 5.0 5.1 ", 32);
	assert_int_equal(s->n, 32);
	world_free(w);
	free(s);
}

/* The bound of the exceptions holds to the item; when the operator makes room, it goes on. */
static void test_pause(void **state)
{
	struct tap_output_ops ops = tap_output_fail;
	struct {
		int64_t mode, fail_first;
		char *pattern, *log;
		int64_t down, delay_ms;
	} set = {.mode = 1, .fail_first = 30}; /* never, the first 30 */
	struct world *w = world_new(20, 2);
	struct tap_runner *r;
	struct tap_runner_status st;

	(void)state;
	start(w, &ops, &set, 7, &r);
	st = status_when(r, TAP_RUNNER_PAUSED, 0);
	assert_int_equal(w->n_parked, 7);
	assert_int_equal(st.parked, 7);
	assert_non_null(
	    strstr(st.last_error, "paused: 7 items are parked or wait, the limit is 7"));
	assert_string_equal(w->parked[0].reason, "made to fail");
	for (int i = 0; i < 6; i++) {
		struct timespec t = {.tv_nsec = 300000000};

		pthread_mutex_lock(&w->mu);
		w->n_parked = 0;
		pthread_mutex_unlock(&w->mu);
		for (int k = 0; k < 5 && !all_settled(w); k++)
			nanosleep(&t, NULL);
	}
	assert_true(wait_settled(w, 20));
	st = status_when(r, TAP_RUNNER_IDLE, 10);
	assert_int_equal(st.parked, 30);
	tap_runner_stop(&r);
	world_free(w);
}

static void test_encode_failure_is_parked(void **state)
{
	struct {
		int64_t mode, fail_first;
		char *pattern, *log;
		int64_t down, delay_ms;
	} set = {.mode = 4, .fail_first = -1}; /* encode */
	struct world *w = world_new(2, 2);
	struct tap_runner *r;

	(void)state;
	start(w, &tap_output_fail, &set, 100, &r);
	assert_true(wait_settled(w, 20));
	tap_runner_stop(&r);
	assert_int_equal(w->n_parked, 4);
	assert_string_equal(w->parked[3].reason, "made to fail at encoding");
	world_free(w);
}

static enum tap_rc s_encode_large(const void *set, const struct tap_item *item, struct tap_buf *out,
				  struct tap_err *err)
{
	size_t n = item->seq == 3 ? 500 : 80;

	for (size_t i = 0; item->seq != 2 && i < n; i++)
		tap_buf_addc(out, ' ');
	return s_encode(set, item, out, err);
}

/* An item that fits into no batch is parked; one that fits into the next waits for it. */
static void test_large_items(void **state)
{
	struct tap_output_ops ops = script_ops;
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(6, 2);
	struct tap_runner *r;

	(void)state;
	ops.encode = s_encode_large;
	start(w, &ops, s, 100, &r);
	assert_true(wait_settled(w, 20));
	tap_runner_stop(&r);
	assert_int_equal(w->n_parked, 2);
	assert_int_equal(w->parked[0].at.seq, 3);
	assert_string_equal(w->parked[0].reason, "too large");
	world_free(w);
	free(s);
}

/* The store says no: what was sent is settled later, and not sent again. */
static void test_settle_failure(void **state)
{
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(2, 3);
	struct tap_runner *r;

	(void)state;
	w->load_fails = 1;
	w->settle_fails = 1;
	s->open_fails = 1;
	(void)snprintf(w->state, sizeof w->state, "opened 1");
	start(w, &script_ops, s, 100, &r);
	assert_true(wait_settled(w, 30));
	tap_runner_stop(&r);
	expect_log(s, 2, 3);
	world_free(w);
	free(s);
}

/* A round that only moves the driver's state stores it and goes on without waiting. */
static void test_state_only_round(void **state)
{
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(2, 3);
	struct tap_runner *r;
	int64_t begin = tap_clock_mono_ms();

	(void)state;
	s->state_rounds = 1;
	start(w, &script_ops, s, 100, &r);
	assert_true(wait_settled(w, 20));
	assert_true(tap_clock_mono_ms() - begin < 900);
	tap_runner_stop(&r);
	assert_string_equal(w->state, "round 0");
	expect_log(s, 2, 3);
	world_free(w);
	free(s);
}

static void test_stop_is_quick_in_every_state(void **state)
{
	struct {
		int64_t mode, fail_first;
		char *pattern, *log;
		int64_t down, delay_ms;
	} peer = {.mode = 3, .fail_first = -1}, never = {.mode = 1, .fail_first = -1};
	struct script *s = calloc(1, sizeof *s);

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct world *w = world_new(100, 3);
		struct tap_runner *r;
		int64_t begin;

		if (i == 0)
			w->load_fails = 1000;
		if (i == 3) {
			s->open_fails = 1000;
			start(w, &script_ops, s, 5, &r);
		} else {
			start(w, &tap_output_fail, i == 2 ? &never : &peer, 5, &r);
		}
		(void)status_when(r, i == 2 ? TAP_RUNNER_PAUSED : TAP_RUNNER_BACKOFF, 0);
		begin = tap_clock_mono_ms();
		tap_runner_stop(&r);
		assert_true(tap_clock_mono_ms() - begin < 1000);
		world_free(w);
	}
	free(s);
}

/* Stopped at any time and started again: nothing lost, nothing doubled for a driver that never fails. */
static void test_restart(void **state)
{
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(400, 5);
	struct timespec t = {.tv_nsec = 300000};
	int rounds = 0;

	(void)state;
	s->delay_ns = 1000000;
	while (!all_settled(w) && rounds++ < 5000) {
		struct tap_runner *r;

		start(w, &script_ops, s, 100, &r);
		nanosleep(&t, NULL);
		tap_runner_stop(&r);
	}
	assert_true(rounds > 1);
	expect_log(s, 400, 5);
	world_free(w);
	free(s);
}

static void test_find(void **state)
{
	(void)state;
	assert_ptr_equal(tap_output_find("json"), &tap_output_json);
	assert_ptr_equal(tap_output_find("csv"), &tap_output_csv);
	assert_ptr_equal(tap_output_find("fail"), &tap_output_fail);
	assert_null(tap_output_find("jso"));
	for (size_t i = 0; tap_outputs[i] != NULL; i++) {
		assert_ptr_equal(tap_output_find(tap_outputs[i]->name), tap_outputs[i]);
		assert_string_equal(tap_outputs[i]->settings->name, tap_outputs[i]->name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_in_order),
	    cmocka_unit_test(test_reports_without_records),
	    cmocka_unit_test(test_retry_stops_there),
	    cmocka_unit_test(test_peer_down),
	    cmocka_unit_test(test_never_is_parked),
	    cmocka_unit_test(test_pause),
	    cmocka_unit_test(test_encode_failure_is_parked),
	    cmocka_unit_test(test_large_items),
	    cmocka_unit_test(test_settle_failure),
	    cmocka_unit_test(test_state_only_round),
	    cmocka_unit_test(test_stop_is_quick_in_every_state),
	    cmocka_unit_test(test_restart),
	    cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
