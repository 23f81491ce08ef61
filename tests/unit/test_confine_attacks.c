/* SPDX-License-Identifier: Apache-2.0
 * What a parser process that has been taken over, a message that stalls it, and an odd parent can do to the pool: nothing to others. */
#include "confine_helper.h"

#include "confine/pool_process.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

struct caller {
	struct tap_pool *pool;
	const char *hook;
	enum tap_rc rc;
	enum tap_verdict verdict;
};

static void *one_call(void *arg)
{
	struct caller *c = arg;
	struct tap_parse_result res = {0};
	struct tap_err err = {0};

	c->rc = ask(c->pool, c->hook, &res, &err);
	c->verdict = res.verdict;
	return NULL;
}

/* The descriptor of the message was opened for writing, as a careless caller might; the jail leaves no way of using that. */
static void the_message_cannot_be_written_to(void **state)
{
	static const char *const hooks[] = {"map", "write"};
	struct tap_pool *p = start(1, 10000);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char text[4096], first = 0;
		struct tap_pool_job job = {0};
		struct tap_parse_result res;
		struct tap_err err;

		mail_text(text, sizeof text, hooks[i]);
		job.fd = file_of(text);
		job.len = strlen(text);
		assert_int_equal(tap_pool_verdict(p, &job, &res, &err), TAP_OK);
		assert_int_equal(res.verdict, TAP_V_UNREADABLE);
		assert_non_null(strstr(res.why, "the parser process died (signal"));
		assert_int_equal(pread(job.fd, &first, 1, 0), 1);
		assert_int_equal(first, 'F');
		close(job.fd);
	}
	tap_pool_stop(&p);
}

/* Stalling messages hold every process for a deadline; a good one that waits for longer than that is read all the same. */
static void stalled_processes_cost_others_nothing(void **state)
{
	enum { STALLS = 4, N = STALLS + 4 };
	struct tap_parser_settings set = settings(2, TAP_BUILD_SANITIZED ? 3000 : 500);
	struct caller c[N] = {{0}};
	struct tap_pool *p = NULL;
	struct tap_err err;
	pthread_t t[N];

	(void)state;
	set.wait_ms = 60000;
	assert_int_equal(tap_pool_start(&set, NULL, &p, &err), TAP_OK);
	for (int i = 0; i < N; i++) {
		c[i].pool = p;
		c[i].hook = i < STALLS ? "stall" : NULL;
		assert_int_equal(pthread_create(&t[i], NULL, one_call, &c[i]), 0);
		/* The stalling ones stand in line first. */
		if (i < STALLS)
			usleep(50000);
	}
	for (int i = 0; i < N; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_int_equal(c[i].rc, TAP_OK);
		assert_int_equal(c[i].verdict, i < STALLS ? TAP_V_UNREADABLE : TAP_V_REPORT);
	}
	tap_pool_stop(&p);
}

/* A process that answers without ever taking a question from its socket: in the end there is no room for one more. Whoever asks then
 * must not wait for that room. */
static void a_process_that_takes_no_questions(void **state)
{
	struct tap_pool_job job = {.fd = file_of("x"), .len = 1};
	const struct tap_question q = {.job = &job, .deadline_ms = 100};
	struct tap_process p = {.state = TAP_PROCESS_READY, .pid = -1};
	enum tap_answer a = TAP_ANSWER_GOOD;
	struct tap_parse_result res;
	enum tap_rc rc = TAP_OK;
	struct tap_err err;
	int pair[2], tries = 0;
	char junk[4096] = {0};

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p.fd = pair[0];
	while (send(p.fd, junk, sizeof junk, MSG_DONTWAIT) > 0)
		assert_in_range(++tries, 1, 100000);
	while (send(p.fd, junk, 1, MSG_DONTWAIT) > 0)
		assert_in_range(++tries, 1, 100000);
	alarm(20);
	a = tap_process_ask(&p, &q, &rc, &res, &err);
	alarm(0);
	assert_int_equal(a, TAP_ANSWER_UNASKED);
	close(pair[0]);
	close(pair[1]);
	close(job.fd);
}

/* Whoever started us may have left SIGCHLD ignored; then the kernel keeps no status, and a process id could be another's by the time
 * we kill it. */
static void ignored_children_are_waited_for(void **state)
{
	struct sigaction ign = {.sa_handler = SIG_IGN}, dfl = {.sa_handler = SIG_DFL}, now;
	struct tap_pool *p;

	(void)state;
	assert_int_equal(sigaction(SIGCHLD, &ign, NULL), 0);
	p = start(1, 10000);
	assert_int_equal(sigaction(SIGCHLD, NULL, &now), 0);
	assert_true(now.sa_handler == SIG_DFL);
	expect(p, NULL, TAP_V_REPORT, NULL);
	tap_pool_stop(&p);
	assert_int_equal(sigaction(SIGCHLD, &dfl, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest plain[] = {
	    cmocka_unit_test(a_process_that_takes_no_questions),
	    cmocka_unit_test(ignored_children_are_waited_for),
	};
	const struct CMUnitTest hooked[] = {
	    cmocka_unit_test(the_message_cannot_be_written_to),
	    cmocka_unit_test(stalled_processes_cost_others_nothing),
	};
	int failed = 0;

	if (!program_from_environment())
		return 2;
	if (TAP_BUILD_HOOKS)
		failed = cmocka_run_group_tests_name("confine_attacks_hooks", hooked, NULL, NULL);
	return failed + cmocka_run_group_tests_name("confine_attacks", plain, NULL, NULL);
}
