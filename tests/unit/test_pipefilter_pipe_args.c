/* SPDX-License-Identifier: Apache-2.0
 * The arguments of dmarctap-pipe, and the "From " line before a message, in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pipefilter/pipe_args.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static enum tap_rc parse(struct tap_pipe_args *a, bool set_id, struct tap_err *err, int n, ...)
{
	static char *argv[16];
	va_list l;

	argv[0] = (char[]){"dmarctap-pipe"};
	va_start(l, n);
	for (int i = 1; i <= n; i++)
		argv[i] = va_arg(l, char *);
	va_end(l);
	argv[n + 1] = NULL;
	optind = 0;
	return tap_pipe_args_parse(n + 1, argv, set_id, a, err);
}

static void test_senders_and_recipients_t_pi_5(void **state)
{
	struct tap_pipe_args a;
	struct tap_err err;

	(void)state;
	assert_int_equal(parse(&a, false, &err, 4, "-f", "", "--", "r@x"), TAP_OK);
	assert_string_equal(a.sender, "");
	assert_int_equal(a.n_recipients, 1);
	assert_int_equal(parse(&a, false, &err, 2, "-f", "MAILER-DAEMON"), TAP_OK);
	assert_string_equal(a.sender, "");
	assert_int_equal(a.n_recipients, 0);
	assert_int_equal(parse(&a, false, &err, 2, "-f", "<>"), TAP_OK);
	assert_string_equal(a.sender, "");
	assert_int_equal(parse(&a, true, &err, 12, "-f", "s@x", "-q", "4AB", "-a", "192.0.2.1",
			       "--", "a@x", "-c", "c@x", "d@x", "e@x"),
			 TAP_OK);
	assert_string_equal(a.sender, "s@x");
	assert_string_equal(a.queue_id, "4AB");
	assert_string_equal(a.client, "192.0.2.1");
	assert_int_equal(a.n_recipients, 5);
	assert_string_equal(a.recipients[1], "-c");
	assert_null(a.config);
	assert_int_equal(parse(&a, false, &err, 1, "r@x"), TAP_OK);
	assert_null(a.sender);
}

static void test_nothing_opens_a_file_for_others(void **state)
{
	struct tap_pipe_args a;
	struct tap_err err;

	(void)state;
	assert_int_equal(parse(&a, false, &err, 2, "-c", "/x"), TAP_OK);
	assert_string_equal(a.config, "/x");
	assert_int_equal(parse(&a, true, &err, 2, "-c", "/x"), TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "/etc/dmarctap/dmarctap.conf"));
	assert_int_equal(parse(&a, false, &err, 1, "-f"), TAP_E_CONFIG);
	assert_int_equal(parse(&a, false, &err, 1, "-x"), TAP_E_CONFIG);
	assert_int_equal(parse(&a, false, &err, 1, "--config=/x"), TAP_E_CONFIG);
}

/* The message as a door would keep it. */
static void take(const char *in, size_t n, size_t piece, struct tap_pipe_from *f, char *out)
{
	size_t len = 0, give;

	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < n; i += piece) {
		size_t k = n - i < piece ? n - i : piece,
		       used = tap_pipe_from_feed(f, in + i, k, &give);

		memcpy(out + len, f->line, give);
		memcpy(out + len + give, in + i + used, k - used);
		len += give + k - used;
	}
	give = tap_pipe_from_end(f);
	memcpy(out + len, f->line, give);
	out[len + give] = '\0';
}

static void test_first_line_t_pi_4(void **state)
{
	static const struct {
		const char *in, *out, *sender;
	} cases[] = {
	    {"From a@b.c  Tue Jun  2 10:00:00 2026\nS: x\n\n>From y\n", "S: x\n\n>From y\n",
	     "a@b.c"},
	    {"From a@b.c Tue\r\nS: x\r\n\r\nFrom y\r\n", "S: x\r\n\r\nFrom y\r\n", "a@b.c"},
	    {"From MAILER-DAEMON Tue\nS: x\n", "S: x\n", ""},
	    {"From: a@b.c\nS: x\n", "From: a@b.c\nS: x\n", NULL},
	    {">From a\nS: x\n", ">From a\nS: x\n", NULL},
	    {"Fro", "Fro", NULL},
	    {"From never ended", "From never ended", NULL},
	    {"", "", NULL},
	    {"\nFrom x\n", "\nFrom x\n", NULL},
	};
	struct tap_pipe_from f;
	char out[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t piece = 1; piece < 60; piece++) {
			take(cases[i].in, strlen(cases[i].in), piece, &f, out);
			assert_string_equal(out, cases[i].out);
			assert_int_equal(f.had_line, cases[i].sender != NULL);
			if (cases[i].sender)
				assert_string_equal(f.sender, cases[i].sender);
		}
	}
}

/* A line that never ends is a message, and none of it is lost. */
static void test_long_first_line(void **state)
{
	static char in[5000], out[5001];
	struct tap_pipe_from f;

	(void)state;
	memset(in, 'x', sizeof(in));
	memcpy(in, "From ", 5);
	for (size_t piece = 1; piece < 3000; piece += 499) {
		take(in, sizeof(in), piece, &f, out);
		assert_memory_equal(in, out, sizeof(in));
		assert_int_equal(strlen(out), sizeof(in));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_senders_and_recipients_t_pi_5),
	    cmocka_unit_test(test_nothing_opens_a_file_for_others),
	    cmocka_unit_test(test_first_line_t_pi_4),
	    cmocka_unit_test(test_long_first_line),
	};
	return cmocka_run_group_tests_name("pipefilter pipe args", tests, NULL, NULL);
}
