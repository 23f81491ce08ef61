/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_arc_comment.c - what a reason says of ARC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "outputs/arc_comment.h"
#include <stdio.h>
#include <string.h>

static void read_it(const char *comment, char *out, size_t size)
{
	struct tap_arc_comment a;
	size_t n = 0;

	out[0] = '\0';
	if (!tap_arc_comment_read(comment, &a))
		return;
	n += (size_t)snprintf(out, size, "%s", a.result);
	for (size_t i = 0; i < a.n_seals && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, " %u:%s:%s:%s", a.seals[i].instance,
				      a.seals[i].domain, a.seals[i].selector, a.seals[i].remote_ip);
}

static void forms(void **state)
{
	static const struct {
		const char *comment, *want;
	} cases[] = {
	    {NULL, ""},
	    {"", ""},
	    {"trusted sender", ""},
	    {"arc", ""},
	    {"arc=maybe", ""},
	    {"search arc=pass", ""},
	    {"arc=pass", "pass"},
	    {" ARC=Fail ", "fail"},
	    {"arc=none;", "none"},
	    {"arc=pass as[2].d=D2.example as[2].s=s1 as[1].d=d1.example as[1].s=s2 "
	     "remote-ip[1]=2001:DB8:0::1",
	     "pass 1:d1.example:s2:2001:db8::1 2:d2.example:s1:"},
	    {"arc=pass\n\tas[1].d=a.example,as[1].s=k", "pass 1:a.example:k:"},
	    {"arc=pass (as[1].d=a.example)", "pass 1:a.example::"},
	    {"arc=pass as[0].d=a as[51].d=b as[999].d=c as[1000].d=d as[].d=e as[x].d=f", "pass"},
	    {"arc=pass as[1].d= as[1]d=x as[1", "pass"},
	    {"arc=pass as[1].d=a as[1].d=b remote-ip[1]=nonsense", "pass 1:a::"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char got[400];

		read_it(cases[i].comment, got, sizeof(got));
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s: %s, wanted %s", cases[i].comment, got, cases[i].want);
	}
}

/* As many as there can be, in any order, and values that are longer than any. */
static void limits(void **state)
{
	static char comment[20000];
	struct tap_arc_comment a;
	size_t n = (size_t)snprintf(comment, sizeof(comment), "arc=pass");

	(void)state;
	for (int i = 60; i > 0; i--)
		n += (size_t)snprintf(comment + n, sizeof(comment) - n, " as[%d].d=d%d.example", i,
				      i);
	assert_true(tap_arc_comment_read(comment, &a));
	assert_int_equal(a.n_seals, TAP_ARC_SEALS);
	assert_int_equal(a.seals[0].instance, 1);
	assert_string_equal(a.seals[49].domain, "d50.example");
	n = (size_t)snprintf(comment, sizeof(comment), "arc=pass as[1].d=");
	memset(comment + n, 'x', 300);
	comment[n + 300] = '\0';
	assert_true(tap_arc_comment_read(comment, &a));
	assert_string_equal(a.seals[0].domain, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(forms),
	    cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
