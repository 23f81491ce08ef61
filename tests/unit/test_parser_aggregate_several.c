/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_aggregate_several.c - several reports in one document: what each is known by, metadata that come late in all
 * of them, a limit that one of them hits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregate_helper.h"
#include "base/buf.h"

#define NO_ID META_(ORG EMAIL DATES)
#define ONE   RECORD
#define TWO                                                                                        \
	RECORD RECORD_(ROW_("<source_ip>192.0.2.77</source_ip><count>9</count>" EVAL) IDENT AUTH)

/* The values of "name=…" in the order in which the reports came; returns how many. */
static unsigned values(const char *lines, const char *name, char v[][160], unsigned max)
{
	size_t len = strlen(name);
	unsigned n = 0;

	for (const char *p = lines; p && *p && n < max; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (!strncmp(p, name, len) && p[len] == '=')
			snprintf(v[n++], 160, "%.*s", (int)strcspn(p + len + 1, "\n"), p + len + 1);
	return n;
}

static void two(const char *doc, bool same_uid, bool same_content)
{
	struct reading r = {.p = doc, .n = strlen(doc)};
	char uid[2][160], content[2][160];

	read_document(&r);
	assert_int_equal(r.res.reports, 2);
	assert_int_equal(r.res.broken, 0);
	/* An attempt that was aborted is not among the lines of the reports that ended. */
	assert_int_equal(values(r.lines, "content", content, 2), 2);
	assert_int_equal(values(r.lines, "uid", uid, 2), 2);
	if ((strcmp(uid[0], uid[1]) == 0) != same_uid)
		fail_msg("uid %s and %s in %s", uid[0], uid[1], doc);
	if ((strcmp(content[0], content[1]) == 0) != same_content)
		fail_msg("content %s and %s in %s", content[0], content[1], doc);
	free(r.lines);
}

/* [I3] A document that stands there twice is one report that came twice; another with its id is a conflict. */
static void what_each_is_known_by(void **state)
{
	(void)state;
	two(FEEDBACK(META POLICY ONE) "\n" FEEDBACK(META POLICY ONE), true, true);
	two("<all>" FEEDBACK(META POLICY ONE) FEEDBACK(META POLICY ONE) "</all>", true, true);
	two(FEEDBACK(META POLICY ONE) FEEDBACK(META POLICY TWO), true, false);
	two("<all>" FEEDBACK(META POLICY ONE) FEEDBACK(META POLICY TWO) "</all>", true, false);
	two(FEEDBACK(NO_ID POLICY ONE) FEEDBACK(NO_ID POLICY ONE), true, true);
	two(FEEDBACK(NO_ID POLICY ONE) FEEDBACK(NO_ID POLICY TWO), false, false);
	two("<all>" FEEDBACK(ONE NO_ID POLICY) FEEDBACK(TWO NO_ID POLICY) "</all>", false, false);
	two(FEEDBACK(META POLICY "<extension><x a='1'/></extension>")
		FEEDBACK(META POLICY "<extension><x a='2'/></extension>"),
	    true, false);
}

/* What the one says does not depend on what stands beside it, nor on how often it was read. */
static void the_order_does_not_matter(void **state)
{
	static const char ab[] = FEEDBACK(META POLICY ONE) FEEDBACK(NO_ID POLICY TWO);
	static const char ba[] = FEEDBACK(NO_ID POLICY TWO) FEEDBACK(META POLICY ONE);
	struct reading r1 = {.p = ab, .n = sizeof(ab) - 1}, r2 = {.p = ba, .n = sizeof(ba) - 1};
	char h1[2][160], h2[2][160];

	(void)state;
	read_document(&r1);
	read_document(&r2);
	assert_int_equal(values(r1.lines, "uid", h1, 2), 2);
	assert_int_equal(values(r2.lines, "uid", h2, 2), 2);
	assert_string_equal(h1[0], h2[1]);
	assert_string_equal(h1[1], h2[0]);
	free(r1.lines);
	free(r2.lines);
}

static void many_with_late_metadata(void **state)
{
	static const char piece[] = FEEDBACK(ONE POLICY NO_ID);
	struct reading r = {0};
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 20);
	for (int i = 0; i < 60; i++)
		tap_buf_adds(&b, piece);
	r.p = b.p;
	r.n = b.len;
	read_document(&r);
	assert_int_equal(r.res.reports, 60);
	assert_int_equal(r.res.broken, 0);
	free(r.lines);
	tap_buf_free(&b);
}

static void one_over_a_limit(void **state)
{
	static const char doc[] = "<all>" FEEDBACK(META POLICY ONE ONE ONE ONE)
	    FEEDBACK(META_(ORG EMAIL "<report_id>id-2</report_id>" DATES) POLICY ONE) "</all>";
	struct tap_parse_limits small = helper_limits;
	struct reading r = {.limits = &small, .p = doc, .n = sizeof(doc) - 1};

	(void)state;
	small.records = 3;
	read_document(&r);
	assert_int_equal(r.res.reports, 1);
	assert_int_equal(r.res.broken, 1);
	assert_non_null(strstr(r.res.why, "more than 3 records"));
	assert_true(has_line(r.lines, "report_id=id-2"));
	free(r.lines);
}

/* One is cut, the other whole: only the last can be. */
static void the_last_is_cut(void **state)
{
	static const struct document_case cases[] = {
	    {"whole and cut",
	     FEEDBACK(META POLICY ONE) "<feedback>" META POLICY ONE "<record><row>",
	     {"report", "truncated=0", "truncated=1", "! document: truncated: "}},
	};

	(void)state;
	check_cases(cases, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_each_is_known_by),   cmocka_unit_test(the_order_does_not_matter),
	    cmocka_unit_test(many_with_late_metadata), cmocka_unit_test(one_over_a_limit),
	    cmocka_unit_test(the_last_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
