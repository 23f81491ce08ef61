/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_runner_wait.c - the runner and its exceptions: items that wait, batches that are stuck, the bound, retry_for, a
 * cursor that is moved, a driver that hangs. */
#include "runner_helper.h"

static bool none_left(struct world *w)
{
	pthread_mutex_lock(&w->mu);
	bool none = w->n_parked == 0;
	pthread_mutex_unlock(&w->mu);
	return none;
}

static void wait_none_left(struct world *w)
{
	int64_t until = tap_clock_mono_ms() + 20000;
	struct timespec t = {.tv_nsec = 2000000};

	while (!none_left(w) && tap_clock_mono_ms() < until)
		nanosleep(&t, NULL);
	assert_true(none_left(w));
}

/* An item that is to be tried again beside others that are confirmed waits, and blocks nothing. Each item goes out once. */
static void test_retry_waits_aside(void **state)
{
	const struct tap_runner_options opt = {
	    .max_exceptions = 100, .first_ms = 10, .most_ms = 20};
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(40, 3);
	struct tap_runner *r;

	(void)state;
	s->retry_seq = 2;
	s->retries = 2;
	start_with(w, &script_ops, s, &opt, &r);
	assert_true(wait_settled(w, 20));
	wait_none_left(w);
	(void)status_when(r, TAP_RUNNER_IDLE, 120);
	tap_runner_stop(&r);
	assert_memory_equal(s->log, "1.0 1.1 1.2 3.0 3.1 3.2 4.0 4.1 ",
			    32); /* nothing waited for 2.* */
	assert_null(strstr(s->log, " 2.0 2.1 2.2 3.0"));
	assert_non_null(strstr(s->log, " 2.0 2.1 2.2 "));
	assert_int_equal(s->probes, 0); /* the peer was never in trouble */
	world_free(w);
	free(s);
}

/* A whole batch that is to be tried again keeps the cursor, but not for ever: then it waits, and what follows goes on. */
static void test_stuck_batch(void **state)
{
	const struct tap_runner_options opt = {.max_exceptions = 100, .first_ms = 5, .most_ms = 10};
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(3, 10);
	struct tap_runner *r;

	(void)state;
	s->retry_seq = 1;
	s->retries = 6;
	start_with(w, &script_ops, s, &opt, &r);
	assert_true(wait_settled(w, 20));
	assert_memory_equal(s->log, "2.0 2.1 ", 8);
	wait_none_left(w);
	(void)status_when(r, TAP_RUNNER_IDLE, 30);
	tap_runner_stop(&r);
	assert_true(s->probes >= 3);
	world_free(w);
	free(s);
}

/* At the bound waiting items are still tried, and make room by themselves. */
static void test_bound_of_waiting_items(void **state)
{
	const struct tap_runner_options opt = {.max_exceptions = 4, .first_ms = 5, .most_ms = 10};
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(30, 4);
	struct tap_runner *r;

	(void)state;
	s->retry_seq = 1;
	s->retries = 7;
	start_with(w, &script_ops, s, &opt, &r);
	assert_true(wait_settled(w, 30));
	wait_none_left(w);
	(void)status_when(r, TAP_RUNNER_IDLE, 120);
	tap_runner_stop(&r);
	world_free(w);
	free(s);
}

/* retry_for: what could not be sent for so long is parked; by default it is tried for ever. */
static void test_retry_for(void **state)
{
	const struct tap_runner_options opt = {
	    .max_exceptions = 100, .retry_for_ms = 1, .first_ms = 50, .most_ms = 60};
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(2, 3);
	struct tap_runner *r;

	(void)state;
	s->fail_sends = 1000000;
	start_with(w, &script_ops, s, &opt, &r);
	assert_true(wait_settled(w, 20));
	tap_runner_stop(&r);
	assert_int_equal(w->n_parked, 6);
	assert_false(w->parked[0].waits);
	assert_string_equal(w->parked[5].reason, "connection refused");
	world_free(w);
	free(s);
}

/* The operator moves the cursor back: all is owed again from there. */
static void test_moved_cursor(void **state)
{
	struct script *s = calloc(1, sizeof *s);
	struct world *w = world_new(4, 2);
	struct tap_runner *r;

	(void)state;
	start(w, &script_ops, s, 100, &r);
	assert_true(wait_settled(w, 20));
	pthread_mutex_lock(&w->mu);
	w->move_to = (struct tap_cursor){3, 0};
	pthread_mutex_unlock(&w->mu);
	(void)status_when(r, TAP_RUNNER_IDLE, 12);
	tap_runner_stop(&r);
	assert_int_equal(s->n, 48);
	assert_memory_equal(s->log + 32, "3.0 3.1 4.0 4.1 ", 16);
	world_free(w);
	free(s);
}

/* A driver that hangs holds nobody up for longer than is waited for it. */
static void test_hanging_driver(void **state)
{
	struct {
		int64_t mode, fail_first;
		char *pattern, *log;
		int64_t down, delay_ms;
	} set = {6, -1, NULL, NULL, 0, 0};
	const struct tap_runner_options opt = {.max_exceptions = 10, .timeout_ms = 300};
	struct world *w = world_new(1, 1);
	struct tap_runner *r;

	(void)state;
	start_with(w, &tap_output_fail, &set, &opt, &r);
	assert_string_equal(status_when(r, TAP_RUNNER_BACKOFF, 0).last_error,
			    "made to fail: no answer in time");
	assert_true(tap_runner_stop_within(&r, 2000));
	assert_null(r);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_retry_waits_aside),	   cmocka_unit_test(test_stuck_batch),
	    cmocka_unit_test(test_bound_of_waiting_items), cmocka_unit_test(test_retry_for),
	    cmocka_unit_test(test_moved_cursor),	   cmocka_unit_test(test_hanging_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
