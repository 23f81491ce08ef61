/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_daemon_claims.c - which messages a dead worker had in hand. A "death" here closes the table without ending its claims. */
#include "daemon/claims.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char a[] = "0123456789abcdef0123456789abcd0a",
		  b[] = "0123456789abcdef0123456789abcd0b";

struct fixture {
	char dir[64];
	int fd;
	struct tap_claims *c;
};

static void open_table(struct fixture *f)
{
	struct tap_err err = {0};

	assert_int_equal(tap_claims_open(f->fd, &f->c, &err), TAP_OK);
}

static void die(struct fixture *f)
{
	tap_claims_close(&f->c);
	open_table(f);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct tap_err err = {0};

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/tap-claims-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(tap_io_opendir(AT_FDCWD, f->dir, 0, &f->fd, &err), TAP_OK);
	open_table(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tap_claims_close(&f->c);
	assert_int_equal(tap_io_unlink(f->fd, "worker.claims", NULL, NULL), TAP_OK);
	tap_io_close(&f->fd);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static void test_what_is_done_is_forgotten(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 10; i++) {
		assert_int_equal(tap_claims_take(f->c, a), TAP_CLAIM_TAKEN);
		tap_claims_done(f->c, a);
		die(f);
	}
}

static void test_it_takes_one_death_in_company_and_three_alone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(tap_claims_take(f->c, a), TAP_CLAIM_TAKEN);
	assert_int_equal(tap_claims_take(f->c, b), TAP_CLAIM_TAKEN);
	for (int i = 0; i < 1 + TAP_CLAIM_DEATHS; i++) {
		die(f);
		assert_int_equal(tap_claims_take(f->c, a),
				 i < TAP_CLAIM_DEATHS ? TAP_CLAIM_TAKEN : TAP_CLAIM_POISON);
	}
	tap_claims_done(f->c, a);
	/* The other one was there once and is well. */
	assert_int_equal(tap_claims_take(f->c, b), TAP_CLAIM_TAKEN);
	tap_claims_done(f->c, b);
	die(f);
	assert_int_equal(tap_claims_take(f->c, a), TAP_CLAIM_TAKEN);
}

static void *take_b(void *arg)
{
	struct fixture *f = arg;

	return (void *)(intptr_t)tap_claims_take(f->c, b);
}

static void test_suspects_come_one_at_a_time(void **state)
{
	struct fixture *f = *state;
	pthread_t t;
	void *result;

	assert_int_equal(tap_claims_take(f->c, a), TAP_CLAIM_TAKEN);
	assert_int_equal(tap_claims_take(f->c, b), TAP_CLAIM_TAKEN);
	die(f);
	assert_int_equal(tap_claims_take(f->c, a), TAP_CLAIM_TAKEN);
	assert_int_equal(pthread_create(&t, NULL, take_b, f), 0);
	(void)usleep(50000);
	assert_int_equal(pthread_tryjoin_np(t, &result), EBUSY);
	tap_claims_done(f->c, a);
	assert_int_equal(pthread_join(t, &result), 0);
	assert_int_equal((intptr_t)result, TAP_CLAIM_TAKEN);
	tap_claims_done(f->c, b);
	/* Who waits hears of the end. */
	assert_int_equal(tap_claims_take(f->c, a), TAP_CLAIM_TAKEN);
	tap_claims_stop(f->c);
	assert_int_equal(tap_claims_take(f->c, b), TAP_CLAIM_STOPPED);
}

static void test_a_full_table_and_a_damaged_one(void **state)
{
	struct fixture *f = *state;
	struct tap_err err = {0};
	char id[40], junk[100];
	int fd = -1;

	for (int i = 0; i < TAP_CLAIM_MOST + 10; i++) {
		(void)snprintf(id, sizeof(id), "%032x", i);
		assert_int_equal(tap_claims_take(f->c, id), TAP_CLAIM_TAKEN);
	}
	for (int i = 0; i < TAP_CLAIM_MOST + 10; i++) {
		(void)snprintf(id, sizeof(id), "%032x", i);
		tap_claims_done(f->c, id);
	}
	tap_claims_close(&f->c);
	memset(junk, 0xff, sizeof(junk));
	assert_int_equal(tap_io_open(f->fd, "worker.claims", O_RDWR, 0, &fd, NULL, &err), TAP_OK);
	for (uint64_t at = 0; at < 36000; at += sizeof(junk))
		assert_int_equal(tap_io_pwrite(fd, junk, sizeof(junk), at, NULL, &err), TAP_OK);
	tap_io_close(&fd);
	open_table(f);
	assert_int_equal(tap_claims_take(f->c, a), TAP_CLAIM_TAKEN);
	tap_claims_done(f->c, a);
	tap_claims_close(&f->c);
	assert_int_equal(tap_io_open(f->fd, "worker.claims", O_RDWR, 0, &fd, NULL, &err), TAP_OK);
	assert_int_equal(tap_io_truncate(fd, 10, NULL, &err), TAP_OK);
	tap_io_close(&fd);
	open_table(f);
	/* Without a table nothing is claimed and nothing fails. */
	assert_int_equal(tap_claims_take(NULL, a), TAP_CLAIM_TAKEN);
	tap_claims_done(NULL, a);
	tap_claims_stop(NULL);
}

struct taker {
	struct fixture *f;
	char id[TAP_SPOOL_ID + 1];
	enum tap_claim got;
};

static void *take_and_end(void *arg)
{
	struct taker *t = arg;

	t->got = tap_claims_take(t->f->c, t->id);
	tap_claims_done(t->f->c, t->id);
	return NULL;
}

static void numbered(char id[TAP_SPOOL_ID + 1], int n)
{
	(void)snprintf(id, TAP_SPOOL_ID + 1, "0123456789abcdef0123456789ab%04x", (unsigned)n);
}

/* The table is full of suspects, and a new message takes the slot of one that waits for its turn. */
static void test_a_slot_that_goes_to_another_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct taker waits = {.f = f}, next = {.f = f};
	char first[TAP_SPOOL_ID + 1];
	struct timespec until;
	pthread_t thread;

	for (int i = 0; i < TAP_CLAIM_MOST; i++) {
		numbered(first, i);
		assert_int_equal(tap_claims_take(f->c, first), TAP_CLAIM_TAKEN);
	}
	die(f);
	numbered(first, 0);
	numbered(waits.id, 1);
	numbered(next.id, 2);
	assert_int_equal(tap_claims_take(f->c, first), TAP_CLAIM_TAKEN);
	assert_int_equal(pthread_create(&thread, NULL, take_and_end, &waits), 0);
	(void)usleep(100000);
	assert_int_equal(tap_claims_take(f->c, a), TAP_CLAIM_TAKEN);
	tap_claims_done(f->c, a);
	tap_claims_done(f->c, first);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(waits.got, TAP_CLAIM_TAKEN);
	/* Nobody is in hand now. */
	assert_int_equal(pthread_create(&thread, NULL, take_and_end, &next), 0);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	if (pthread_timedjoin_np(thread, NULL, &until) != 0) {
		tap_claims_stop(f->c);
		assert_int_equal(pthread_join(thread, NULL), 0);
		fail_msg("it waits for ever");
	}
	assert_int_equal(next.got, TAP_CLAIM_TAKEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_what_is_done_is_forgotten, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_it_takes_one_death_in_company_and_three_alone,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(test_suspects_come_one_at_a_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_full_table_and_a_damaged_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_slot_that_goes_to_another_meanwhile, setup,
					    teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
