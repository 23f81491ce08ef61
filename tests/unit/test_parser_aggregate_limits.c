/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_aggregate_limits.c - limits and attacks on the aggregate reader [I7]: each is refused or cut with its
 * reason, early, and without memory that grows. Documents are made while they are read, so they may be large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregate_helper.h"
#include <sys/resource.h>

#define HEAD "<feedback>" META POLICY

/* A document: head, then a piece `times` over (%d of it counts), then tail. Its reads give one piece each. */
struct made {
	const char *head, *piece, *tail;
	size_t times;
	size_t at, off; /* 0 = head, 1 … times = pieces, times + 1 = tail */
	uint64_t given; /* bytes of the last pass */
	uint64_t most_given;
	char buf[256];
};

static enum tap_rc made_rewind(void *ctx, struct tap_err *err)
{
	struct made *m = ctx;

	(void)err;
	m->at = m->off = 0;
	m->given = 0;
	return TAP_OK;
}

static const char *made_piece(struct made *m)
{
	if (m->at == 0)
		return m->head;
	if (m->at > m->times)
		return m->tail;
	if (!strchr(m->piece, '%'))
		return m->piece;
	snprintf(m->buf, sizeof(m->buf), m->piece, (int)m->at);
	return m->buf;
}

static enum tap_rc made_read(void *ctx, void *buf, size_t n, size_t *got_r, struct tap_err *err)
{
	struct made *m = ctx;

	(void)err;
	*got_r = 0;
	while (*got_r < n && m->at <= m->times + 1) {
		const char *p = made_piece(m) + m->off;
		size_t k = strlen(p);

		if (k > n - *got_r)
			k = n - *got_r;
		memcpy((char *)buf + *got_r, p, k);
		*got_r += k;
		m->off += k;
		if (p[k] == '\0') {
			m->at++;
			m->off = 0;
		}
	}
	m->given += *got_r;
	if (m->given > m->most_given)
		m->most_given = m->given;
	return TAP_OK;
}

/* Reads it; r gets the result. */
static void read_made(struct reading *r, struct made *m)
{
	struct tap_parse_options opt = {.limits = r->limits ? r->limits : &helper_limits};
	struct tap_document doc = {.rewind = made_rewind, .read = made_read, .ctx = m};

	r->stop_at_record = -1;
	r->rc = tap_aggregate_read(&doc, &opt, &helper_events, r, &r->res, &r->err);
	assert_int_equal(r->rc, TAP_OK);
	assert_false(r->open);
	if (!r->lines)
		r->lines = strdup("");
}

struct attack {
	const char *name;
	struct made doc;
	const char *why;  /* part of the reason; NULL = it is read */
	uint64_t at_most; /* bytes that were read of it, in any pass */
};

static const struct attack attacks[] = {
    {"billion laughs",
     {.head =
	  "<?xml version=\"1.0\"?><!DOCTYPE feedback [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b "
	  "\"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]><feedback>&c;",
      .piece = "&c;",
      .times = 1000,
      .tail = "</feedback>"},
     "DOCTYPE with declarations",
     100000},
    {"quadratic blow-up",
     {.head = "<!DOCTYPE feedback [<!ENTITY a \"",
      .piece = "aaaaaaaaaaaaaaaa",
      .times = 10000,
      .tail = "\">]><feedback>&a;&a;</feedback>"},
     "of over 128 KiB",
     300000},
    {"external entity, file",
     {.head = "<!DOCTYPE feedback [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>" HEAD "&x;",
      .piece = "",
      .tail = RECORD "</feedback>"},
     "DOCTYPE with declarations",
     100000},
    {"external entity, http",
     {.head = "<!DOCTYPE feedback [<!ENTITY x SYSTEM \"http://192.0.2.1/x\">]>" HEAD "&x;",
      .piece = "",
      .tail = RECORD "</feedback>"},
     "DOCTYPE with declarations",
     100000},
    {"parameter entity",
     {.head = "<!DOCTYPE feedback [<!ENTITY % p SYSTEM \"file:///etc/passwd\"> %p;]>" HEAD,
      .piece = "",
      .tail = "</feedback>"},
     "DOCTYPE with declarations",
     100000},
    {"external DTD",
     {.head = "<!DOCTYPE feedback SYSTEM \"file:///etc/passwd\">" HEAD,
      .piece = "",
      .tail = "</feedback>"},
     "names another document",
     100000},
    {"public DTD",
     {.head = "<!DOCTYPE feedback PUBLIC \"x\" \"http://192.0.2.1/x\">" HEAD,
      .piece = "",
      .tail = "</feedback>"},
     "names another document",
     100000},
    {"DTD behind a broken place",
     {.head = "<x>&</x><!DOCTYPE feedback [<!ENTITY x \"y\">]>" HEAD,
      .piece = "",
      .tail = "</feedback>"},
     "DOCTYPE with declarations",
     100000},
    {"external DTD behind a broken place",
     {.head = "<x>&</x><!DOCTYPE feedback SYSTEM 'file:///etc/passwd'>" HEAD,
      .piece = "",
      .tail = "</feedback>"},
     "names another document",
     100000},
    {"XInclude",
     {.head = HEAD "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" "
		   "href=\"file:///etc/passwd\" parse=\"text\"/>",
      .piece = "",
      .tail = RECORD "</feedback>"},
     NULL,
     100000},
    {"nested 10^6 deep",
     {.head = HEAD, .piece = "<a>", .times = 1000000, .tail = ""},
     "nested deeper than 64",
     100000},
    {"nested 10^6 deep, broken",
     {.head = HEAD "&", .piece = "<a>", .times = 1000000, .tail = ""},
     "nested too deep",
     100000},
    {"nested in an extension",
     {.head = HEAD "<extension>", .piece = "<a>", .times = 1000000, .tail = ""},
     "nested deeper than 80",
     100000},
    {"300,000 attributes",
     {.head = HEAD "<record ", .piece = "a%d='' ", .times = 300000, .tail = "/></feedback>"},
     "attributes in one tag",
     300000},
    {"13,000 attributes in 120 KiB",
     {.head = "<feedback ", .piece = "a%d='' ", .times = 13000, .tail = ">"},
     "attributes in one tag",
     300000},
    {"65 attributes",
     {.head = HEAD "<record ", .piece = "a%d='' ", .times = 65, .tail = "/></feedback>"},
     "more than 64 attributes",
     100000},
    {"65 attributes, broken",
     {.head = HEAD "&<record ", .piece = "a%d='' ", .times = 65, .tail = "/></feedback>"},
     "more than 64 attributes",
     100000},
    {"attribute of 20 MB",
     {.head = "<feedback a='", .piece = "0123456789abcdef", .times = 1250000, .tail = "'>"},
     "of over 128 KiB",
     300000},
    {"attribute of 20 MB, broken",
     {.head = "<feedback>&<x a='", .piece = "0123456789abcdef", .times = 1250000, .tail = "'>"},
     "of over 128 KiB",
     300000},
    {"name of 1 MB",
     {.head = "<feedback><a", .piece = "0123456789abcdef", .times = 65536, .tail = ">"},
     "of over 128 KiB",
     300000},
    {"comment of 16 MB",
     {.head = HEAD "<!-- ",
      .piece = "0123456789abcdef",
      .times = 1000000,
      .tail = "-->" RECORD "</feedback>"},
     "of over 128 KiB",
     300000},
    {"4,097 names",
     {.head = HEAD, .piece = "<n%d/>", .times = 1000000, .tail = RECORD "</feedback>"},
     "different names",
     300000},
    {"2,000 reports",
     {.head = "<all>", .piece = FEEDBACK(META POLICY), .times = 2000, .tail = "</all>"},
     "more than 1000 reports",
     2000000},
    {"8 MiB of results in a record",
     {.head = HEAD "<record>" ROW IDENT "<auth_results>",
      .piece = "<dkim><domain>%0200d</domain><human_result>%0200d</human_result><result>fail</"
	       "result></dkim>",
      .times = 10,
      .tail = "</auth_results></record></feedback>"},
     NULL,
     100000},
};

static void each_attack_t_sec_1(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		const struct attack *a = &attacks[i];
		struct reading r = {0};
		struct made m = a->doc;

		read_made(&r, &m);
		if (a->why ? !strstr(r.res.why, a->why) : r.res.verdict != TAP_DOC_REPORT)
			fail_msg("%s: wanted \"%s\", got \"%s\"", a->name, a->why ? a->why : "",
				 r.res.why);
		if (a->why && r.res.reports == 0)
			assert_int_equal(r.res.verdict, TAP_DOC_BROKEN);
		if (m.most_given > a->at_most)
			fail_msg("%s: read %llu bytes", a->name, (unsigned long long)m.most_given);
		free(r.lines);
	}
}

/* Of libxml2, whose headers only parser/ includes. */
int xmlRegisterInputCallbacks(int (*match)(const char *), void *(*open)(const char *),
			      int (*read)(void *, char *, int), int (*close)(void *));

/* Whoever would open something for libxml2 is seen here. */
static int opened;

static int match_all(const char *name)
{
	(void)name;
	opened++;
	return 0;
}

static void nothing_is_opened(void **state)
{
	assert_true(xmlRegisterInputCallbacks(match_all, NULL, NULL, NULL) >= 0);
	opened = 0;
	each_attack_t_sec_1(state);
	assert_int_equal(opened, 0);
}

static void large_values(void **state)
{
	struct reading r = {0};
	struct made m = {.head = "<feedback><report_metadata>" EMAIL ID DATES "<org_name>",
			 .piece = "\303\274\303\274\303\274\303\274",
			 .times = 1500000,
			 .tail = "</org_name></report_metadata>" POLICY RECORD "</feedback>"};
	char *v;

	(void)state;
	read_made(&r, &m);
	assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
	v = strstr(r.lines, "org_name=") + strlen("org_name=");
	assert_int_equal(strcspn(v, "\n"), 8192);
	assert_non_null(
	    strstr(r.lines, "! report_metadata/org_name: text_cut: longer than 8192 bytes"));
	free(r.lines);

	/* An odd byte in front: the cut must not go through a character. */
	struct reading odd = {0};
	m.head = "<feedback><report_metadata>" EMAIL ID DATES "<org_name>x";
	read_made(&odd, &m);
	v = strstr(odd.lines, "org_name=") + strlen("org_name=");
	assert_int_equal(strcspn(v, "\n"), 8191);
	assert_null(strstr(odd.lines, "\357\277\275"));
	free(odd.lines);
}

static void blanks(void **state)
{
	struct reading r = {0};
	struct made m = {.head = "<feedback><report_metadata>" EMAIL ID DATES "<org_name>",
			 .piece = "                \n",
			 .times = 200000,
			 .tail = "o </org_name></report_metadata>" POLICY RECORD "</feedback>"};

	(void)state;
	read_made(&r, &m);
	assert_true(has_line(r.lines, "org_name=o"));
	assert_true(has_line(r.lines, "warnings=0"));
	free(r.lines);
}

static void long_lists(void **state)
{
	struct tap_parse_limits small = helper_limits;
	struct reading r = {.limits = &small};
	struct made m = {.head = HEAD "<record>" ROW IDENT "<auth_results>",
			 .piece = "<dkim><domain>d%d.example</domain><result>pass</result></dkim>",
			 .times = 1000,
			 .tail = "</auth_results></record></feedback>"};

	(void)state;
	small.dkim_results = 3;
	read_made(&r, &m);
	assert_true(has_line(r.lines, "dkim=d3.example NULL pass"));
	assert_false(has_line(r.lines, "dkim=d4.example NULL pass"));
	assert_non_null(strstr(r.lines, "! record[0]/auth_results/dkim: list_cut: more than 3"));
	free(r.lines);

	struct reading s = {.limits = &small};
	struct made n = {.head = HEAD "<record><row>" IP COUNT "<policy_evaluated>",
			 .piece = "<reason><type>other</type><comment>%d</comment></reason>",
			 .times = 150,
			 .tail = "<disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></"
				 "policy_evaluated></row>" IDENT AUTH "</record></feedback>"};
	read_made(&s, &n);
	assert_true(has_line(s.lines, "comment=100"));
	assert_false(has_line(s.lines, "comment=101"));
	free(s.lines);

	struct reading e = {0};
	struct made f = {.head = "<feedback><report_metadata>" ORG EMAIL ID DATES,
			 .piece = "<error>e%d</error>",
			 .times = 200,
			 .tail = "</report_metadata>" POLICY RECORD "</feedback>"};
	read_made(&e, &f);
	assert_true(has_line(e.lines, "error=e100"));
	assert_false(has_line(e.lines, "error=e101"));
	free(e.lines);
}

static void records_limit(void **state)
{
	struct tap_parse_limits small = helper_limits;
	struct made m = {.head = HEAD, .piece = RECORD, .times = 10, .tail = "</feedback>"};

	(void)state;
	for (unsigned limit = 9; limit <= 10; limit++) {
		struct reading r = {.limits = &small};

		small.records = limit;
		read_made(&r, &m);
		assert_int_equal(r.res.verdict, limit == 10 ? TAP_DOC_REPORT : TAP_DOC_BROKEN);
		if (limit == 9) {
			assert_non_null(strstr(r.res.why, "more than 9 records"));
			assert_int_equal(r.aborts, 1);
		}
		free(r.lines);
	}
}

static void warnings_limit(void **state)
{
	struct reading r = {0};
	struct made m = {.head = HEAD,
			 .piece = RECORD_(ROW_(IP "<count>0</count>" EVAL) IDENT AUTH),
			 .times = 250,
			 .tail = "</feedback>"};
	unsigned kept = 0;

	(void)state;
	read_made(&r, &m);
	assert_true(has_line(r.lines, "warnings=250"));
	for (const char *p = r.lines; (p = strstr(p, "\n! ")) != NULL; p++)
		kept++;
	assert_int_equal(kept, 100);
	free(r.lines);
}

static void extensions_limit(void **state)
{
	struct tap_parse_limits small = helper_limits;
	struct reading r = {.limits = &small};
	struct made m = {.head = "<feedback xmlns:x='urn:x'>" META POLICY,
			 .piece = RECORD_(ROW IDENT AUTH "<x:e>0123456789</x:e>"),
			 .times = 10,
			 .tail = "</feedback>"};
	unsigned kept = 0;

	(void)state;
	/* <x:e xmlns:x="urn:x">0123456789</x:e> is 37. */
	small.extension_bytes = 3 * 37;
	read_made(&r, &m);
	for (const char *p = r.lines;
	     (p = strstr(p, "record_extension=<x:e xmlns:x=\"urn:x\">0123456789</x:e>\n")) != NULL;
	     p++)
		kept++;
	assert_int_equal(kept, 3);
	assert_true(has_line(r.lines, "records=10"));
	assert_non_null(strstr(r.lines, "! record[3]: extension_cut: "));
	free(r.lines);
}

static void too_much_in_a_record(void **state)
{
	static char piece[70000];
	struct reading r = {0};
	struct made m = {.head = HEAD "<record>" ROW IDENT "<auth_results>",
			 .piece = piece,
			 .times = 900,
			 .tail = "</auth_results></record></feedback>"};

	(void)state;
	snprintf(piece, sizeof(piece), "%s", "<dkim><domain>d.example</domain><human_result>");
	memset(piece + strlen(piece), 'h', 65000);
	snprintf(piece + strlen(piece), sizeof(piece) - strlen(piece), "%s",
		 "</human_result><result>fail</result></dkim>");
	read_made(&r, &m);
	assert_int_equal(r.res.verdict, TAP_DOC_BROKEN);
	assert_non_null(strstr(r.res.why, "too much text in one record"));
	free(r.lines);
}

#define DEEP "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"

/* The reasons say where. */
static void where(void **state)
{
	struct document_case cases[] = {
	    {"limit",
	     HEAD RECORD RECORD_(ROW DEEP DEEP DEEP DEEP),
	     {"broken", "why=at byte ", "why=feedback/record[1]/a/a"}},
	    {"metadata",
	     FEEDBACK(META_(ORG EMAIL ID) POLICY RECORD),
	     {"broken", "why=at byte ", "why=feedback: report_metadata/date_range/begin"}},
	};

	(void)state;
	check_cases(cases, 2);
}

/* T-AG-9: many records, flat memory, right counts. */
static void many_records_t_ag_9_q_152(void **state)
{
	struct rusage before, after;
	struct reading r = {0};
	struct made m = {.head = HEAD, .piece = RECORD, .times = 100000, .tail = "</feedback>"};
	struct tap_parse_options opt = {.limits = &helper_limits};
	struct tap_document doc = {.rewind = made_rewind, .read = made_read, .ctx = &m};

	(void)state;
	getrusage(RUSAGE_SELF, &before);
	assert_int_equal(tap_aggregate_read(&doc, &opt, NULL, NULL, &r.res, &r.err), TAP_OK);
	getrusage(RUSAGE_SELF, &after);
	assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
#ifndef TAP_SANITIZED
	assert_true(after.ru_maxrss - before.ru_maxrss < 8 * 1024);
#endif
	/* The same document again, counted. */
	m.times = 20000;
	read_made(&r, &m);
	assert_true(has_line(r.lines, "records=20000"));
	assert_true(has_line(r.lines, "messages=60000"));
	free(r.lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_attack_t_sec_1),
	    cmocka_unit_test(nothing_is_opened),
	    cmocka_unit_test(large_values),
	    cmocka_unit_test(blanks),
	    cmocka_unit_test(long_lists),
	    cmocka_unit_test(records_limit),
	    cmocka_unit_test(warnings_limit),
	    cmocka_unit_test(extensions_limit),
	    cmocka_unit_test(too_much_in_a_record),
	    cmocka_unit_test(where),
	    cmocka_unit_test(many_records_t_ag_9_q_152),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
