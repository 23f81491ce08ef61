/* SPDX-License-Identifier: Apache-2.0
 * The reason of a message in quarantine, written and read; names of spool files; the printed status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/names.h"
#include "daemon/sidecar.h"
#include "daemon/status.h"

static void comes_back_as_it_was(void **state)
{
	struct tap_sidecar s = {.id = "00112233445566778899aabbccddeeff",
				.when = 1780000000,
				.arrival = 1779999999,
				.verdict = "not a report",
				.door = "milter",
				.reason =
				    "\"quoted\" \\ back \x01 control, \xc3\xa9 and \xe2\x82\xac",
				.sender = "a\tb@example.com",
				.queue_id = "4ABC",
				.client = "192.0.2.1",
				.recipients = "one@example.com\ntwo@example.com"};
	struct tap_sidecar got;
	struct tap_buf b;
	struct tap_err err;

	(void)state;
	tap_buf_init(&b, 1 << 20);
	tap_sidecar_write(&s, &b);
	assert_int_equal(tap_sidecar_read(b.p, b.len, &got, &err), TAP_OK);
	assert_string_equal(got.id, s.id);
	assert_string_equal(got.verdict, s.verdict);
	assert_string_equal(got.reason, s.reason);
	assert_string_equal(got.sender, s.sender);
	assert_string_equal(got.recipients, s.recipients);
	assert_string_equal(got.client, s.client);
	assert_string_equal(got.queue_id, s.queue_id);
	assert_string_equal(got.door, s.door);
	assert_int_equal(got.when, s.when);
	assert_int_equal(got.arrival, s.arrival);
	tap_buf_free(&b);
}

/* Cut anywhere, or with any byte changed, it is read without harm. */
static void damage_is_harmless(void **state)
{
	struct tap_sidecar s = {.id = "x",
				.verdict = "broken",
				.reason = "a \"b\" \x02",
				.sender = "s"},
			   got;
	struct tap_buf b;
	struct tap_err err;

	(void)state;
	tap_buf_init(&b, 1 << 20);
	tap_sidecar_write(&s, &b);
	for (size_t n = 0; n < b.len; n++) {
		char *cut = malloc(n + 1); /* its own block, so that a read behind it is seen */
		enum tap_rc rc;

		memcpy(cut, b.p, n);
		rc = tap_sidecar_read(cut, n, &got, &err);
		assert_true(rc == TAP_OK || rc == TAP_E_DATA);
		free(cut);
		for (int v = 0; v < 256; v += 51) {
			char old = b.p[n];

			b.p[n] = (char)v;
			rc = tap_sidecar_read(b.p, b.len, &got, &err);
			assert_true(rc == TAP_OK || rc == TAP_E_DATA);
			b.p[n] = old;
		}
	}
	tap_buf_free(&b);
	assert_int_equal(tap_sidecar_read("", 0, &got, &err), TAP_E_DATA);
	assert_int_equal(tap_sidecar_read("{}\n", 3, &got, &err), TAP_E_DATA);
}

static void texts_are_cut_to_their_room(void **state)
{
	static char text[20000];
	struct tap_sidecar got;
	struct tap_err err;
	int n = snprintf(text, sizeof(text), "{\n  \"verdict\": \"broken\",\n  \"id\": \"");

	(void)state;
	memset(text + n, 'x', sizeof(text) - (size_t)n);
	assert_int_equal(tap_sidecar_read(text, sizeof(text), &got, &err), TAP_OK);
	assert_int_equal(strlen(got.id), sizeof(got.id) - 1);
}

static void a_name_is_worked_on_once(void **state)
{
	struct tap_names *n = tap_names_new(3, NULL);
	struct tap_name *a, *b;

	(void)state;
	assert_int_equal(tap_names_offer(n, TAP_DOOR_MILTER, "a.tap"), TAP_OFFER_NEW);
	assert_int_equal(tap_names_offer(n, TAP_DOOR_MILTER, "a.tap"), TAP_OFFER_KNOWN);
	assert_int_equal(tap_names_offer(n, TAP_DOOR_LMTP, "a.tap"), TAP_OFFER_NEW);
	assert_int_equal(tap_names_waiting(n), 2);
	a = tap_names_take(n);
	assert_string_equal(a->name, "a.tap");
	assert_int_equal(a->door, TAP_DOOR_MILTER);
	assert_int_equal(tap_names_offer(n, TAP_DOOR_MILTER, "a.tap"),
			 TAP_OFFER_KNOWN); /* in work */
	assert_int_equal(tap_names_offer(n, TAP_DOOR_PIPE, "b.tap"), TAP_OFFER_NEW);
	assert_int_equal(tap_names_offer(n, TAP_DOOR_PIPE, "c.tap"), TAP_OFFER_FULL);
	b = tap_names_take(n);
	assert_int_equal(b->door, TAP_DOOR_LMTP);
	tap_names_done(n, &b);
	assert_null(b);
	tap_names_done(n, &a);
	assert_int_equal(tap_names_offer(n, TAP_DOOR_MILTER, "a.tap"), TAP_OFFER_NEW);
	tap_names_stop(n);
	assert_null(tap_names_take(n));
	tap_names_free(&n);
	assert_null(n);
}

static void status_prints_both_ways(void **state)
{
	struct tap_status *s = calloc(1, sizeof(*s));
	struct tap_buf b;

	(void)state;
	s->running = true;
	s->pid = 42;
	s->n_sinks = 1;
	s->totals.reports = 7;
	(void)snprintf(s->trouble, sizeof(s->trouble), "the \"disk\" is full");
	(void)snprintf(s->sink[0].name, sizeof(s->sink[0].name), "archive");
	tap_buf_init(&b, 1 << 20);
	tap_status_json(s, &b);
	assert_non_null(strstr(tap_buf_cstr(&b), "\"trouble\":\"the \\\"disk\\\" is full\""));
	assert_non_null(strstr(tap_buf_cstr(&b), "\"sinks\":[{\"name\":\"archive\",\"type\":null"));
	tap_buf_reset(&b);
	tap_status_text(s, &b);
	assert_non_null(strstr(tap_buf_cstr(&b), "running, pid 42"));
	assert_non_null(strstr(tap_buf_cstr(&b), "7 reports"));
	tap_buf_free(&b);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(comes_back_as_it_was),
	    cmocka_unit_test(damage_is_harmless),
	    cmocka_unit_test(texts_are_cut_to_their_room),
	    cmocka_unit_test(a_name_is_worked_on_once),
	    cmocka_unit_test(status_prints_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
