/* SPDX-License-Identifier: Apache-2.0 */
#include "base_helper.h"

#include "base/fault.h"
#include <pthread.h>
#include <signal.h>

static int nothing(void)
{
	MUST(tap_fault("a") == 0);
	MUST(tap_fault("b") == 0);
	return 0;
}

static int third_of_a(void)
{
	MUST(tap_fault("a") == 0);
	MUST(tap_fault("a") == 0);
	MUST(tap_fault("ab") == 0);
	errno = 0;
	MUST(tap_fault("a") == ENOSPC);
	MUST(errno == ENOSPC);
	MUST(tap_fault("a") == 0);
	/* every b, by number, and the second a.b */
	MUST(tap_fault("b") == 5 && tap_fault("b") == 5);
	MUST(tap_fault("a.b") == 0 && tap_fault("a.b") == EIO);
	return 0;
}

static int two_for_one(void)
{
	MUST(tap_fault("a") == EIO);
	MUST(tap_fault("a") == ENOSPC);
	MUST(tap_fault("a") == 0);
	return 0;
}

static int dies(void)
{
	MUST(tap_fault("a") == 0);
	(void)tap_fault("a");
	return __LINE__;
}

static void *pass(void *hits)
{
	for (int i = 0; i < 10000; i++) {
		if (tap_fault("a"))
			__atomic_add_fetch((int *)hits, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static int from_threads(void)
{
	pthread_t t[4];
	int hits = 0;

	for (int i = 0; i < 4; i++)
		MUST(pthread_create(&t[i], NULL, pass, &hits) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	MUST(hits == 1);
	return 0;
}

static int quiet(void)
{
	fclose(stderr);
	return nothing();
}

static void faults(void **state)
{
	(void)state;
	assert_int_equal(in_child(NULL, nothing), 0);
	assert_int_equal(in_child("", nothing), 0);
	assert_int_equal(in_child("a:3:ENOSPC,b:0:5,a.b:2:EIO", third_of_a), 0);
	assert_int_equal(in_child("a:1:EIO,a:2:ENOSPC", two_for_one), 0);
	assert_int_equal(in_child("a:20000:EIO", from_threads), 0);
}

static void kills(void **state)
{
	int status = in_child("a:2:kill", dies);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* A fault that is spelt wrong must not let a crash test pass. */
static void unreadable(void **state)
{
	static const char *const bad[] = {"a",	       "a:1",	    ":1:EIO",	"a:x:EIO",
					  "a:1:ENONE", "a:1:99999", "a:-1:EIO", "a:1:EIO,b"};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int status = in_child(bad[i], quiet);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(faults), cmocka_unit_test(kills),
					   cmocka_unit_test(unreadable)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
