/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_aggregate_broken.c - aggregate reports as broken as reporters send them: declarations and encodings, XML
 * that is none, truncation at every place, damaged containers, errors that are not the document's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregate_helper.h"
#include "base/buf.h"

#define RUN(table) check_cases(table, sizeof(table) / sizeof((table)[0]))
#define ORG_(x)                                                                                    \
	FEEDBACK("<report_metadata><org_name>" x "</org_name>" EMAIL ID DATES                      \
		 "</report_metadata>" POLICY RECORD)
#define DECL(x) "<?xml version=\"1.0\" encoding=\"" x "\"?>"

static void declarations_t_ag_4(void **state)
{
	static const struct document_case cases[] = {
	    {"byte order mark", "\357\273\277" GOOD, {"records=1", "warnings=0"}},
	    {"mark, blank lines, declaration",
	     "\357\273\277\n\n  <?xml version=\"1.0\"?>" GOOD,
	     {"records=1", "! document: declaration: "}},
	    {"blank lines", "\n \t\r\n" GOOD, {"records=1", "recovered=0", "warnings=0"}},
	    {"declaration twice",
	     DECL("UTF-8") DECL("UTF-8") GOOD,
	     {"records=1", "! document: declaration: "}},
	    {"version 2.0",
	     "<?xml version=\"2.0\"?>" GOOD,
	     {"records=1", "! document: declaration: "}},
	    {"us-ascii", DECL("us-ascii") GOOD, {"records=1", "warnings=0"}},
	    {"latin-1",
	     DECL("ISO-8859-1") ORG_("Schl\374ssel"),
	     {"org_name=Schl\303\274ssel", "warnings=0"}},
	    {"windows-1252",
	     DECL("windows-1252") ORG_("\200 5"),
	     {"org_name=\342\202\254 5", "warnings=0"}},
	    {"iso-8859-15",
	     DECL("ISO-8859-15") ORG_("\244 5"),
	     {"org_name=\342\202\254 5", "warnings=0"}},
	    {"windows-1251",
	     DECL("windows-1251") ORG_("\317\360"),
	     {"org_name=\320\237\321\200", "warnings=0"}},
	    {"says utf-16, is not", DECL("utf-16") GOOD, {"records=1", "! document: encoding: "}},
	    {"unknown encoding",
	     DECL("x-klingon") ORG_("Schl\374ssel"),
	     {"org_name=Schl\303\274ssel", "! document: encoding: "}},
	    {"not declared, not UTF-8",
	     ORG_("Schl\374ssel"),
	     {"org_name=Schl\303\274ssel", "recovered=1", "! document: bad_utf8: "}},
	    {"declared UTF-8, is not",
	     DECL("UTF-8") ORG_("Schl\374ssel"),
	     {"org_name=Schl\357\277\275ssel", "recovered=1", "! document: bad_utf8: "}},
	    {"overlong and surrogate",
	     DECL("UTF-8") ORG_("a\300\200\355\240\200b"),
	     {"report", "! document: bad_utf8: "}},
	    {"DOCTYPE alone", "<!DOCTYPE feedback>" GOOD, {"records=1", "! document: doctype: "}},
	    {"comment in front", "<!-- <feedback> -->" GOOD, {"records=1", "warnings=0"}},
	    {"upper case",
	     "<FEEDBACK><Report_Metadata>" ORG EMAIL ID DATES "</Report_Metadata>" POLICY RECORD
	     "</FEEDBACK>",
	     {"records=1", "! document: element_case: "}},
	    {"stray text",
	     FEEDBACK(META POLICY "11\n" RECORD),
	     {"records=1", "recovered=0", "! document: stray_text: "}},
	};

	(void)state;
	RUN(cases);
}

/* GOOD with a declaration, as UTF-16. */
static void utf16(void **state)
{
	static const char src[] = "<?xml version='1.0' encoding='UTF-16'?>" GOOD;
	static const char *const names[] = {"little", "big", "little without a mark",
					    "big without a mark"};

	(void)state;
	for (int i = 0; i < 4; i++) {
		char doc[2 * sizeof(src) + 2];
		size_t n = 0;
		bool big = i & 1;

		if (i < 2) {
			doc[n++] = (char)(big ? 0xfe : 0xff);
			doc[n++] = (char)(big ? 0xff : 0xfe);
		}
		for (size_t k = 0; k < sizeof(src) - 1; k++) {
			doc[n++] = big ? 0 : src[k];
			doc[n++] = big ? src[k] : 0;
		}
		struct document_case c = {
		    names[i],
		    doc,
		    {"records=1", "org_name=reporter.example", "warnings=0", "recovered=0"}};
		struct reading r = {.p = doc, .n = n};
		check_case(&c, &r);
		/* A high surrogate at the very end is nothing. */
		doc[n - 1] = (char)0xd8;
		read_document(&r);
		assert_int_equal(r.rc, TAP_OK);
		free(r.lines);
	}
}

static void repairs_t_ag_4(void **state)
{
	static const struct document_case cases[] = {
	    {"address in the email",
	     FEEDBACK(META_(ORG "<email><noreply@a-b.example></email>" ID DATES) POLICY RECORD),
	     {"email=noreply@a-b.example", "recovered=1", "! document: escaped: "}},
	    {"a name in brackets",
	     FEEDBACK(META_(ORG "<email>Joe <joe.example></email>" ID DATES) POLICY RECORD),
	     {"email=Joe <joe.example>", "records=1"}},
	    {"< in text",
	     FEEDBACK(META POLICY RECORD_(ROW IDENT_("<header_from>bad<x.net</header_from>") AUTH)),
	     {"header_from=bad<x.net", "recovered=1"}},
	    {"& in text",
	     ORG_("AT&T & Sons &copy; &amp; &#65;"),
	     {"org_name=AT&T & Sons &copy; & A", "recovered=1", "! document: escaped: "}},
	    {"& at the end", ORG_("A&"), {"org_name=A&"}},
	    {"& without ; to the end", ORG_("A&B C"), {"org_name=A&B C", "records=1"}},
	    {"declaration without its end",
	     "<?xml version=\"1.0\">" GOOD,
	     {"records=1", "recovered=1"}},
	    {"control characters",
	     ORG_("A\001B\037C"),
	     {"org_name=ABC", "recovered=1", "! document: control_characters: "}},
	    {"]]> in text", ORG_("A]]>B"), {"org_name=A]]>B"}},
	    {"end tag of a value missing",
	     FEEDBACK(
		 META POLICY RECORD_(ROW_("<source_ip>192.0.2.1<count>3</count>" EVAL) IDENT AUTH)),
	     {"ip=192.0.2.1", "count=3", "! document: tags: "}},
	    {"end tag of a container missing",
	     FEEDBACK(META POLICY
		      "<record><row>" IP COUNT EVAL
		      "</row><identifiers><header_from>example.com</header_from></record>" RECORD),
	     {"records=2", "header_from=example.com"}},
	    {"end tag without a start",
	     FEEDBACK(META "</b>" POLICY RECORD "</record>"),
	     {"records=1", "! document: tags: "}},
	    {"end of a record missing",
	     FEEDBACK(META POLICY "<record>" ROW IDENT RECORD),
	     {"records=1", "dropped=1", "record 1", "-record 0", "! record[0]: unclosed: "}},
	    {"end of the report missing, another follows",
	     "<feedback>" META POLICY RECORD FEEDBACK(
		 META_(ORG EMAIL "<report_id>id-2</report_id>" DATES) POLICY RECORD),
	     {"report_id=id-1", "report_id=id-2", "truncated=1", "truncated=0"}},
	    {"attributes",
	     "<feedback a=1 b='x&y' c=\"1\" c=\"2\" d>" META POLICY RECORD "</feedback>",
	     {"report", "records=1"}},
	    {"namespace survives",
	     "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\" x>" META POLICY RECORD
	     "</feedback>",
	     {"schema=rfc9990", "recovered=1"}},
	    {"lang survives",
	     FEEDBACK(META_(ORG EMAIL ID DATES "<error lang=\"de\">a & b</error>") POLICY RECORD),
	     {"error=a & b", "error@lang=de"}},
	    {"wrapper left open",
	     "<xs:schema xmlns:xs=\"urn:s\" "
	     "targetNamespace=\"http://dmarc.org/dmarc-xml/0.1\">\n" GOOD,
	     {"records=1", "recovered=1", "truncated=0",
	      "! document: unclosed: ", "-namespace=urn:s"}},
	    {"text in front", "Content: x\n\n" GOOD, {"records=1", "! document: text_outside: "}},
	    {"text behind",
	     GOOD "\nbye",
	     {"records=1", "truncated=0", "! document: text_outside: "}},
	    {"NULs behind are not text", GOOD "\n<!-- x -->\n", {"records=1", "warnings=0"}},
	    {"CDATA and comments when repaired",
	     ORG_("A&<![CDATA[<i>]]]]><!-- <org_name> -->B<?x y?>"),
	     {"org_name=A&<i>]]B", "recovered=1"}},
	    {"repaired and late",
	     FEEDBACK(RECORD META_("<org_name>A&B</org_name>" EMAIL ID DATES) POLICY),
	     {"org_name=A&B", "records=1", "recovered=1"}},
	    {"broken and not ours", "<html><p>AT&T<br></html>", {"not a report"}},
	    {"broken in the metadata",
	     "<feedback>" META_(ORG "<email>&"),
	     {"broken", "why=before the first record"}},
	    {"cut in the metadata",
	     "<feedback><report_metadata>" ORG,
	     {"broken", "why=before its metadata"}},
	    {"bare CR",
	     "<feedback>\r" META "\r" POLICY RECORD "\r</feedback>\r",
	     {"records=1", "warnings=0"}},
	};

	(void)state;
	RUN(cases);
}

/* An end tag that is missing or written otherwise must not make the elements behind it vanish. */
static void end_tags(void **state)
{
#define WHOLE                                                                                      \
	"header_from=sub.example.com", "spf=example.com NULL pass", "aligned=pass fail", "records=2"
#define SUB IDENT_("<header_from>sub.example.com</header_from>")
	static const struct document_case cases[] = {
	    {"of the row",
	     FEEDBACK(META POLICY "<record><row>" IP COUNT EVAL SUB AUTH "</record>" RECORD),
	     {WHOLE, "! document: tags: "}},
	    {"of the evaluation and the row",
	     FEEDBACK(META POLICY "<record><row>" IP COUNT
				  "<policy_evaluated><dkim>pass</dkim><spf>fail</spf>" SUB AUTH
				  "</record>" RECORD),
	     {WHOLE}},
	    {"of the identifiers",
	     FEEDBACK(META POLICY "<record>" ROW
				  "<identifiers><header_from>sub.example.com</header_from>" AUTH
				  "</record>" RECORD),
	     {WHOLE}},
	    {"of a result",
	     FEEDBACK(META POLICY RECORD_(ROW SUB AUTH_(
		 "<dkim><domain>a.example</domain><result>pass</result>"
		 "<dkim><domain>b.example</domain><result>fail</result>"
		 "<spf><domain>example.com</domain><result>pass</result></spf>")) RECORD),
	     {WHOLE, "dkim=a.example NULL pass", "dkim=b.example NULL fail"}},
	    {"of a reason",
	     FEEDBACK(META POLICY RECORD_(ROW_(
		 IP COUNT EVAL_("<dkim>pass</dkim><spf>fail</spf><reason><type>other</type>"
				"<reason><type>mailing_list</type></reason>")) SUB AUTH) RECORD),
	     {WHOLE, "reason=other", "reason=mailing_list"}},
	    {"of the metadata",
	     FEEDBACK("<report_metadata>" ORG EMAIL ID DATES POLICY RECORD),
	     {"domain=example.com", "records=1"}},
	    {"of the policy",
	     FEEDBACK(META
		      "<policy_published><domain>example.com</domain><p>none</p>" RECORD RECORD),
	     {"p=none", "records=2", "dropped=0"}},
	    {"in other letter case",
	     FEEDBACK(META POLICY "<record><row>" IP COUNT EVAL "</Row>" SUB AUTH
				  "</RECORD>" RECORD),
	     {WHOLE}},
	    {"a value that stands elsewhere closes nothing",
	     FEEDBACK(META_("<version>1</version><extension>x</extension>" ORG EMAIL ID DATES "&")
			  POLICY RECORD),
	     {"report_id=id-1", "records=1", "-version=1"}},
	    {"elements that are not ours may hold ours",
	     FEEDBACK(META POLICY RECORD_("<x><row>" IP "</row></x>&" ROW SUB AUTH) RECORD),
	     {WHOLE}},
	    {"records where none can stand are told",
	     FEEDBACK(META POLICY "<records>" RECORD "</records>"),
	     {"records=0", "! document: misplaced_record: "}},
	    {"records behind the report are told",
	     FEEDBACK(META POLICY RECORD) RECORD,
	     {"records=1", "! document: misplaced_record: "}},
	    {"two reports have all theirs",
	     GOOD FEEDBACK(META_(ORG EMAIL "<report_id>id-2</report_id>" DATES) POLICY RECORD),
	     {"report_id=id-1", "report_id=id-2", "records=1", "warnings=1",
	      "-! document: misplaced_record: a record where none can stand ignored"}},
	    {"its beginning alone", "<feedback\007<?xml version=\"1.0\" ?><reencoding", {"broken"}},
	};

	(void)state;
	RUN(cases);
}

static void nul_bytes(void **state)
{
	static const char doc[] = "<feedback>" META POLICY RECORD_(
	    ROW_("<source_ip>192\0.0.2.1</source_ip>" COUNT EVAL) IDENT AUTH) "</feedback>\0\0\0";
	struct document_case c = {
	    "NUL bytes",
	    doc,
	    {"ip=192.0.2.1", "records=1", "recovered=1", "! document: control_characters: "}};
	struct reading r = {.p = doc, .n = sizeof(doc) - 1};

	(void)state;
	check_case(&c, &r);
}

/* Three records whose values are all different. */
static const char three[] =
    "<?xml version=\"1.0\"?>\n<feedback>\n" META "\n" POLICY "\n"
    "<record><row><source_ip>192.0.2.11</source_ip><count>1001</count>" EVAL
    "</row><identifiers><header_from>one.example.com</header_from></identifiers>" AUTH "</record>\n"
    "<record><row><source_ip>2001:db8::22</source_ip><count>2002</count>" EVAL
    "</row><identifiers><header_from>two.example.com</header_from></identifiers>" AUTH "</record>\n"
    "<record><row><source_ip>192.0.2.33</source_ip><count>3003</count>" EVAL
    "</row><identifiers><header_from>three.example.com</header_from></identifiers>" AUTH
    "</record>\n"
    "</feedback>\n";

/* Cut at byte n: whole records only, each as it was. `damaged`: the container says so instead of ending. */
static void check_cut(size_t n, bool damaged)
{
	static const char *const part[3] = {"ip=192.0.2.11\ncount=1001\n",
					    "ip=2001:db8::22\ncount=2002\n",
					    "ip=192.0.2.33\ncount=3003\n"};
	struct reading r = {.p = three,
			    .n = damaged ? sizeof(three) - 1 : n,
			    .fail_rc = damaged ? TAP_E_DATA : TAP_OK,
			    .fail_at = n,
			    .stop_at_record = -1,
			    .step = 65536};
	char want[32];
	unsigned whole = 0, seen = 0;

	for (const char *p = three; (p = strstr(p, "</record>")) != NULL; p++)
		whole += (size_t)(p - three) + strlen("</record>") <= n;
	read_once(&r);
	assert_int_equal(r.rc, TAP_OK);
	if (whole == 0) {
		assert_int_not_equal(r.res.verdict, TAP_DOC_REPORT);
	} else {
		assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
		snprintf(want, sizeof(want), "records=%u", whole);
		if (!has_line(r.lines, want))
			fail_msg("cut at %zu, wanted %s:\n%s", n, want, r.lines);
		assert_int_equal(has_line(r.lines, "truncated=1"), n < strlen(three) - 1);
		for (int i = 0; i < 3; i++)
			seen += strstr(r.lines, part[i]) != NULL;
		assert_int_equal(seen, whole);
		assert_int_equal(strstr(r.lines, "! document: container: told to fail") != NULL,
				 damaged);
	}
	free(r.lines);
}

static void truncated_t_ag_14(void **state)
{
	(void)state;
	for (size_t n = 0; n <= sizeof(three) - 1; n++) {
		check_cut(n, false);
		check_cut(n, true);
	}
}

/* The same in recovery mode, where something in front is broken. */
static void truncated_and_broken(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(three); n += 3) {
		char doc[sizeof(three) + 64];
		unsigned seen = 0;

		snprintf(doc, sizeof(doc), "<feedback><x>&</x>%.*s", (int)n, three + 33);
		struct reading r = {
		    .p = doc, .n = strlen(doc), .stop_at_record = -1, .step = 65536};
		read_once(&r);
		assert_int_equal(r.rc, TAP_OK);
		for (const char *p = r.lines; (p = strstr(p, "\ncount=")) != NULL; p++)
			seen += !strncmp(p, "\ncount=1001\n", 12) ||
				!strncmp(p, "\ncount=2002\n", 12) ||
				!strncmp(p, "\ncount=3003\n", 12);
		snprintf(doc, sizeof(doc), "records=%u", seen);
		if (r.res.verdict == TAP_DOC_REPORT)
			assert_true(has_line(r.lines, doc));
		free(r.lines);
	}
}

/* Bytes lost in the middle: never a record made of two. */
static void holes(void **state)
{
	static const char *const whole[3] = {"ip=192.0.2.11\ncount=1001\n",
					     "ip=2001:db8::22\ncount=2002\n",
					     "ip=192.0.2.33\ncount=3003\n"};
	const char *from = strstr(three, "<count>1001"), *to = strstr(three, "<count>2002");
	char doc[sizeof(three)];
	struct reading r = {.p = doc, .stop_at_record = -1};

	(void)state;
	/* From the count of one to behind the start of the next: the first has no end. */
	to = strstr(three, "<record><row><source_ip>2001");
	snprintf(doc, sizeof(doc), "%.*s%s", (int)(from - three), three, to);
	r.n = strlen(doc);
	read_document(&r);
	assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
	assert_null(strstr(r.lines, whole[0]));
	assert_non_null(strstr(r.lines, whole[1]));
	assert_non_null(strstr(r.lines, whole[2]));
	assert_true(has_line(r.lines, "dropped=1"));
	free(r.lines);
}

/* What is not the document's fault ends the reading: no abort comes after the event that failed. */
static void errors_of_others(void **state)
{
	static const enum tap_rc classes[] = {TAP_E_TEMP, TAP_E_CANCELLED, TAP_E_CONFIG};
	struct reading r = {.p = three, .n = sizeof(three) - 1, .stop_at_record = 1, .step = 100};

	(void)state;
	read_once(&r);
	assert_int_equal(r.rc, TAP_E_TEMP);
	assert_string_equal(r.err.msg, "the consumer is full");
	assert_int_equal(r.records, 1);
	assert_int_equal(r.aborts, 0);
	free(r.lines);
	for (size_t i = 0; i < 3; i++) {
		struct reading s = {.p = three,
				    .n = sizeof(three) - 1,
				    .stop_at_record = -1,
				    .step = 100,
				    .fail_rc = classes[i],
				    .fail_at = 900};

		read_once(&s);
		assert_int_equal(s.rc, classes[i]);
		assert_int_equal(s.ends, 0);
		free(s.lines);
	}
	struct reading limit = {.p = three,
				.n = sizeof(three) - 1,
				.stop_at_record = -1,
				.step = 100,
				.fail_rc = TAP_E_LIMIT,
				.fail_at = 900};
	read_once(&limit);
	assert_int_equal(limit.rc, TAP_OK);
	assert_int_equal(limit.res.verdict, TAP_DOC_BROKEN);
	assert_non_null(strstr(limit.res.why, "told to fail at 900"));
	free(limit.lines);
}

/* Metadata behind the records mean a second reading: what was said in the first must not be lost, nor what stands far behind the
 * report. */
static void late_and_damaged(void **state)
{
	enum { RECORDS = 3000 };
	static const char head
	    [] = "<feedback>",
	record[] =
	    "<record><row><source_ip>192.0.2.1"
	    "</source_ip><count>2</count><policy_evaluated><disposition>none</disposition><dkim>"
	    "pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>"
	    "example.com</header_from></identifiers></record>";
	static const char tail[] =
	    "<report_metadata><org_name>a</org_name><org_name>b</org_name><email>a@b.example"
	    "</email><report_id>r</report_id><date_range><begin>1</begin><end>86400</end>"
	    "</date_range></report_metadata><policy_published><domain>example.com</domain><p>none"
	    "</p></policy_published></feedback>";
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 4 << 20);
	tap_buf_adds(&b, head);
	for (int i = 0; i < RECORDS; i++)
		tap_buf_adds(&b, record);
	tap_buf_adds(&b, tail);
	for (int i = 0; i < 200000; i++)
		tap_buf_addc(&b, '\n');

	struct reading r = {.p = b.p, .n = b.len, .fail_rc = TAP_E_DATA, .fail_at = b.len};
	read_document(&r);
	assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
	assert_int_equal(r.records, RECORDS);
	assert_true(has_line(r.lines, "org_name=a"));
	assert_true(has_line(r.lines, "messages=6000"));
	assert_true(
	    has_line(r.lines, "! report_metadata/org_name: duplicate: the first one counts"));
	assert_true(has_line(r.lines, "! document: container: "));
	assert_true(has_line(r.lines, "warnings=2"));
	free(r.lines);
	tap_buf_free(&b);
}

/* Standards 1.3: the content counts, and that the name says something else is told. */
static void names(void **state)
{
	static const struct {
		const char *name;
		const char *want[3]; /* of name_mismatch */
	} cases[] = {
	    {"x.example!example.com!1740787200!1740873599.xml", {NULL}},
	    {"dir/x.example!EXAMPLE.com.!1740787200!1740873599!77.xml.gz", {NULL}},
	    {"!example.com!1740787200!1740873599.xml", {NULL}},
	    {"report.xml", {NULL}},
	    {"other.xml!but!not!a!name", {NULL}},
	    {"x.example!example.net!1740787201!1.xml",
	     {"another domain", "another begin", "another end"}},
	    {"x.example!example.com!1740787200!99999999999999999999.xml", {"another end"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reading r = {.p = three, .n = sizeof(three) - 1, .filename = cases[i].name};
		unsigned found = 0, wanted = 0;

		read_document(&r);
		assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
		for (const char *p = r.lines; (p = strstr(p, "name_mismatch: ")); p++)
			found++;
		for (; wanted < 3 && cases[i].want[wanted]; wanted++)
			if (!strstr(r.lines, cases[i].want[wanted]))
				fail_msg("%s: no \"%s\" in:\n%s", cases[i].name,
					 cases[i].want[wanted], r.lines);
		if (found != wanted)
			fail_msg("%s: %u of %u in:\n%s", cases[i].name, found, wanted, r.lines);
		free(r.lines);
	}
}

static bool always(void *ctx)
{
	(void)ctx;
	return true;
}

static void cancelled(void **state)
{
	struct reading r = {.p = GOOD, .n = strlen(GOOD), .step = 100, .stop_at_record = -1};
	struct tap_parse_options opt = {.limits = &helper_limits, .cancelled = always};
	struct tap_document doc = {.rewind = helper_rewind, .read = helper_read, .ctx = &r};
	struct tap_document_result res;
	struct tap_err err;

	(void)state;
	assert_int_equal(tap_aggregate_read(&doc, &opt, NULL, NULL, &res, &err), TAP_E_CANCELLED);
	/* Without events the verdict is the same. */
	opt.cancelled = NULL;
	assert_int_equal(tap_aggregate_read(&doc, &opt, NULL, NULL, &res, NULL), TAP_OK);
	assert_int_equal(res.verdict, TAP_DOC_REPORT);
	assert_int_equal(res.reports, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(declarations_t_ag_4),
	    cmocka_unit_test(utf16),
	    cmocka_unit_test(repairs_t_ag_4),
	    cmocka_unit_test(nul_bytes),
	    cmocka_unit_test(end_tags),
	    cmocka_unit_test(truncated_t_ag_14),
	    cmocka_unit_test(truncated_and_broken),
	    cmocka_unit_test(holes),
	    cmocka_unit_test(errors_of_others),
	    cmocka_unit_test(late_and_damaged),
	    cmocka_unit_test(names),
	    cmocka_unit_test(cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
