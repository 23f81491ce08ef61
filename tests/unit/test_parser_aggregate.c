/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_aggregate.c - aggregate reports: the generations, every element absent, empty and doubled, extensions,
 * late metadata, several reports, sums, keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregate_helper.h"

#define RUN(table) check_cases(table, sizeof(table) / sizeof((table)[0]))
#define NS2	   "urn:ietf:params:xml:ns:dmarc-2.0"

static void generations_t_ag_6(void **state)
{
	static const struct document_case cases[] = {
	    {"draft of 2011",
	     FEEDBACK(META POLICY RECORD_(
		 ROW "<identities><header_from>a.example.com</header_from></identities>" AUTH)),
	     {"report", "schema=draft", "header_from=a.example.com", "-version=", "warnings=0"}},
	    {"draft",
	     GOOD,
	     {"schema=draft", "records=1", "messages=3", "passed=3", "warnings=0", "truncated=0",
	      "recovered=0"}},
	    {"7489",
	     FEEDBACK("<version>1.0</version>" META POLICY RECORD),
	     {"schema=rfc7489", "version=1.0", "warnings=0"}},
	    {"7489 with a namespace",
	     "<feedback xmlns=\"http://dmarc.org/dmarc-xml/0.1\"><version>1.0</version>" META POLICY
		 RECORD "</feedback>",
	     {"schema=rfc7489", "namespace=http://dmarc.org/dmarc-xml/0.1", "warnings=0"}},
	    {"draft with a prefixed root",
	     "<ns1:feedback xmlns:ns1=\"http://dmarc.org/dmarc-xml/0.1\">" META POLICY RECORD
	     "</ns1:feedback>",
	     {"schema=draft", "namespace=http://dmarc.org/dmarc-xml/0.1", "records=1"}},
	    {"between",
	     "<feedback xmlns=\"http://dmarc.org/dmarc-xml/0.2\"><version>2.0</version>" META_(
		 ORG EMAIL ID DATES "<receiving_domains><domain>A.example</"
				    "domain><domain>b.example</domain></receiving_domains>")
		 POLICY_("<domain>example.com</domain><version_published>1</"
			 "version_published><p>none</p>") RECORD "</feedback>",
	     {"schema=dmarc-xml-0.2", "version=2.0", "receiving=a.example", "receiving=b.example",
	      "version_published=1", "warnings=0"}},
	    {"9990",
	     "<feedback xmlns=\"" NS2 "\">" META POLICY RECORD "</feedback>",
	     {"schema=rfc9990", "namespace=" NS2, "-version=1.0", "warnings=0"}},
	    {"9990 with a prefix",
	     "<d:feedback xmlns:d=\"" NS2
	     "\"><d:report_metadata><d:org_name>o.example</d:org_name><d:email>a@o.example</"
	     "d:email><d:report_id>7</d:report_id>"
	     "<d:date_range><d:begin>1</d:begin><d:end>2</d:end></d:date_range></"
	     "d:report_metadata><d:policy_published><d:domain>example.com</d:domain><d:p>none</"
	     "d:p></d:policy_published>"
	     "<d:record><d:row><d:source_ip>192.0.2.9</d:source_ip><d:count>4</d:count></"
	     "d:row><d:identifiers><d:header_from>example.com</d:header_from></"
	     "d:identifiers><d:auth_results/></d:record></d:feedback>",
	     {"schema=rfc9990", "ip=192.0.2.9", "count=4", "org_name=o.example"}},
	    {"prefix without a declaration",
	     "<d:feedback>" META POLICY RECORD "</d:feedback>",
	     {"report", "schema=draft", "-namespace="}},
	    {"9990 shape without a namespace",
	     FEEDBACK(META POLICY_("<domain>example.com</domain><p>none</p><np>reject</np>")
			  RECORD),
	     {"schema=rfc9990", "np=reject", "-namespace=", "! feedback: missing_namespace: "}},
	    {"7489 shape with the new namespace",
	     "<feedback xmlns=\"" NS2 "\"><version>1.0</version>" META POLICY_(
		 "<domain>example.com</domain><p>none</p><pct>50</pct>") RECORD "</feedback>",
	     {"schema=rfc9990", "pct=50", "version=1.0"}},
	    {"xsi and xsd are not the namespace",
	     "<feedback xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" "
	     "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">" META POLICY RECORD
	     "</feedback>",
	     {"report", "-namespace=http://www.w3.org/2001/XMLSchema", "schema=draft"}},
	    {"new elements",
	     "<feedback xmlns=\"" NS2
	     "\">" META_(ORG EMAIL ID DATES
			 "<extra_contact_info lang=\"fr\">Ici</extra_contact_info><error "
			 "lang=\"de\">Fehler</error><generator>G 1</generator>")
		 POLICY_("<domain>example.com</domain><discovery_method>treewalk</"
			 "discovery_method><testing>y</testing>") RECORD "</feedback>",
	     {"contact=Ici", "contact@lang=fr", "error=Fehler", "error@lang=de", "generator=G 1",
	      "discovery=treewalk", "testing=y"}},
	    {"English is the default",
	     FEEDBACK(META_(ORG EMAIL ID DATES
			    "<extra_contact_info lang=\"en\">Here</extra_contact_info>")
			  POLICY RECORD),
	     {"contact=Here", "-contact@lang=en"}},
	};

	(void)state;
	RUN(cases);
}

static void metadata_rows_t_ag_2(void **state)
{
	static const struct document_case cases[] = {
	    {"no org_name",
	     FEEDBACK(META_(EMAIL ID DATES) POLICY RECORD),
	     {"org_name=reporter.example", "! report_metadata/org_name: missing_org_name: "}},
	    {"empty org_name",
	     FEEDBACK(META_("<org_name> </org_name>" EMAIL ID DATES) POLICY RECORD),
	     {"org_name=reporter.example", "warnings=1"}},
	    {"org_name twice",
	     FEEDBACK(META_(ORG "<org_name>b</org_name>" EMAIL ID DATES) POLICY RECORD),
	     {"org_name=reporter.example", "! report_metadata/org_name: duplicate: "}},
	    {"no email",
	     FEEDBACK(META_(ORG ID DATES) POLICY RECORD),
	     {"report", "-email=", "! report_metadata/email: missing_email: "}},
	    {"neither org_name nor email",
	     FEEDBACK(META_(ID DATES) POLICY RECORD),
	     {"report", "-org_name=", "! report_metadata/org_name: missing_org_name: empty"}},
	    {"email in brackets",
	     FEEDBACK(META_(ORG "<email>&lt;a@b.example&gt;</email>" ID DATES) POLICY RECORD),
	     {"email=a@b.example"}},
	    {"no report_id",
	     FEEDBACK(META_(ORG EMAIL DATES) POLICY RECORD),
	     {"report", "records=1", "! report_metadata/report_id: missing_report_id: "}},
	    {"empty report_id",
	     FEEDBACK(META_(ORG EMAIL "<report_id/>" DATES) POLICY RECORD),
	     {"report", "! report_metadata/report_id: missing_report_id: "}},
	    {"report_id with brackets",
	     FEEDBACK(META_(ORG EMAIL "<report_id>&lt;1!2:3@x&gt;</report_id>" DATES)
			  POLICY RECORD),
	     {"report_id=<1!2:3@x>"}},
	    {"two errors",
	     FEEDBACK(META_(ORG EMAIL ID DATES "<error>one</error><error>two</error><error/>")
			  POLICY RECORD),
	     {"error=one", "error=two", "-error=", "warnings=0"}},
	    {"empty contact",
	     FEEDBACK(META_(ORG EMAIL ID DATES "<extra_contact_info/>") POLICY RECORD),
	     {"contact=", "warnings=0"}},
	    {"no metadata", FEEDBACK(POLICY RECORD), {"broken", "why=report_metadata: missing"}},
	    {"metadata twice",
	     FEEDBACK(META META_("<org_name>b</org_name>") POLICY RECORD),
	     {"org_name=reporter.example", "! report_metadata: duplicate: "}},
	    {"no dates",
	     FEEDBACK(META_(ORG EMAIL ID) POLICY RECORD),
	     {"broken", "why=report_metadata/date_range/begin: missing_date"}},
	    {"no end",
	     FEEDBACK(META_(ORG EMAIL ID "<date_range><begin>1</begin></date_range>")
			  POLICY RECORD),
	     {"broken", "why=report_metadata/date_range/end: missing_date"}},
	    {"bad begin",
	     FEEDBACK(META_(ORG EMAIL ID "<date_range><begin>soon</begin><end>1</end></date_range>")
			  POLICY RECORD),
	     {"broken", "why=bad_date"}},
	};

	(void)state;
	RUN(cases);
}

static void policy_rows_t_ag_2(void **state)
{
	static const struct document_case cases[] = {
	    {"no policy",
	     FEEDBACK(META RECORD),
	     {"report", "records=1", "-domain=example.com",
	      "! policy_published: missing_policy: "}},
	    {"empty policy",
	     FEEDBACK(META "<policy_published/>" RECORD),
	     {"report",
	      "! policy_published/domain: missing_domain: ", "! policy_published/p: missing_p: "}},
	    {"policy twice",
	     FEEDBACK(META POLICY POLICY_("<domain>b.example</domain>") RECORD),
	     {"domain=example.com", "! policy_published: duplicate: "}},
	    {"p twice",
	     FEEDBACK(META POLICY_("<domain>example.com</domain><p>none</p><p>reject</p>") RECORD),
	     {"p=none", "! policy_published/p: duplicate: "}},
	    {"letter case and blanks",
	     FEEDBACK(META POLICY_("<domain> EXAMPLE.com. </domain><p> Quarantine "
				   "</p><sp>NONE</sp><adkim>S</adkim><aspf>relaxed</aspf>") RECORD),
	     {"domain=example.com", "p=quarantine", "sp=none", "adkim=s", "aspf=r",
	      "! policy_published/aspf: word: relaxed taken as r"}},
	    {"empty elements are absent",
	     FEEDBACK(META POLICY_(
		 "<domain>example.com</domain><p/><sp/><adkim/><aspf/><pct/><fo/>") RECORD),
	     {"-p=", "-sp=", "-adkim=", "-aspf=", "-pct=", "-fo=",
	      "! policy_published/p: missing_p: "}},
	    {"unknown words",
	     FEEDBACK(
		 META POLICY_("<domain>example.com</domain><p>maybe</p><discovery_method>guess</"
			      "discovery_method><testing>q</testing>") RECORD),
	     {"p=maybe", "! policy_published/p: unknown_word: maybe",
	      "! policy_published/discovery_method: unknown_word: guess",
	      "! policy_published/testing: unknown_word: q"}},
	    {"pct 0",
	     FEEDBACK(META POLICY_(
		 "<domain>example.com</domain><p>none</p><pct>0</pct><fo>1:d:s</fo>") RECORD),
	     {"pct=0", "fo=1:d:s", "warnings=0"}},
	    {"pct 150",
	     FEEDBACK(META POLICY_("<domain>example.com</domain><p>none</p><pct>150</pct>") RECORD),
	     {"pct=150", "! policy_published/pct: bad_pct: "}},
	    {"pct 50%",
	     FEEDBACK(META POLICY_("<domain>example.com</domain><p>none</p><pct>50%</pct>") RECORD),
	     {"pct=50%", "! policy_published/pct: bad_pct: "}},
	    {"no domain anywhere", FEEDBACK(META RECORD_(ROW AUTH)), {"broken", "why=no domain"}},
	};

	(void)state;
	RUN(cases);
}

static void record_rows_t_ag_2(void **state)
{
	static const struct document_case cases[] = {
	    {"none", FEEDBACK(META POLICY), {"report", "records=0", "! record: no_records: "}},
	    {"empty record alone",
	     FEEDBACK(META POLICY "<record/>"),
	     {"report", "records=0", "dropped=1",
	      "! record[0]: empty_record: ", "! record: no_records: "}},
	    {"no source_ip",
	     FEEDBACK(META POLICY RECORD_(ROW_(COUNT EVAL) IDENT AUTH)),
	     {"records=1", "-ip=", "! record[0]/row/source_ip: missing_source_ip: "}},
	    {"no count",
	     FEEDBACK(META POLICY RECORD_(ROW_(IP EVAL) IDENT AUTH)),
	     {"count=0", "! record[0]/row/count: missing_count: "}},
	    {"count twice",
	     FEEDBACK(META POLICY RECORD_(ROW_(IP COUNT "<count>9</count>" EVAL) IDENT AUTH)),
	     {"count=3", "! record[0]/row/count: duplicate: "}},
	    {"no policy_evaluated",
	     FEEDBACK(META POLICY RECORD_(ROW_(IP COUNT) IDENT AUTH)),
	     {"evaluated=0", "-disposition=none", "aligned=fail pass",
	      "! record[0]/row/policy_evaluated: derived_alignment: "}},
	    {"no dkim evaluated",
	     FEEDBACK(META POLICY RECORD_(
		 ROW_(IP COUNT EVAL_("<disposition>none</disposition><spf>fail</spf>")) IDENT AUTH_(
		     "<dkim><domain>mail.example.com</domain><result>pass</result></dkim>"))),
	     {"aligned=pass fail", "evaluated=1",
	      "! record[0]/row/policy_evaluated/dkim: derived_alignment: "}},
	    {"no disposition",
	     FEEDBACK(META POLICY RECORD_(ROW_(IP COUNT EVAL_("<dkim>pass</dkim><spf>fail</spf>"))
					      IDENT AUTH)),
	     {"-disposition=none",
	      "! record[0]/row/policy_evaluated/disposition: missing_disposition: "}},
	    {"no identifiers",
	     FEEDBACK(META POLICY RECORD_(ROW AUTH)),
	     {"header_from=example.com",
	      "! record[0]/identifiers/header_from: missing_header_from: "}},
	    {"empty header_from",
	     FEEDBACK(META POLICY RECORD_(ROW IDENT_("<header_from/>") AUTH)),
	     {"header_from=example.com",
	      "! record[0]/identifiers/header_from: missing_header_from: "}},
	    {"envelope_from absent", GOOD, {"-envelope_from="}},
	    {"envelope_from empty",
	     FEEDBACK(META POLICY RECORD_(
		 ROW IDENT_("<header_from>a.example.com</header_from><envelope_from/>") AUTH)),
	     {"envelope_from=", "warnings=0"}},
	    {"envelope_from null path",
	     FEEDBACK(META POLICY RECORD_(ROW IDENT_(
		 "<header_from>a.example.com</header_from><envelope_from>&lt;&gt;</envelope_from>")
					      AUTH)),
	     {"envelope_from=", "warnings=0"}},
	    {"envelope_from and _to",
	     FEEDBACK(META POLICY RECORD_(
		 ROW IDENT_("<envelope_to>T.example</envelope_to><header_from>a.example.com</"
			    "header_from><envelope_from>B.example.</envelope_from>") AUTH)),
	     {"envelope_from=b.example", "envelope_to=t.example", "warnings=0"}},
	    {"header_from is an address",
	     FEEDBACK(META POLICY RECORD_(
		 ROW IDENT_("<header_from>Joe &lt;a@EXAMPLE.com&gt;</header_from>") AUTH)),
	     {"header_from=example.com", "! record[0]/identifiers/header_from: address: only its "
					 "domain is kept; sent was joe <a@example.com>"}},
	    {"no auth_results",
	     FEEDBACK(META POLICY RECORD_(ROW IDENT)),
	     {"records=1", "warnings=0"}},
	    {"rows in other order, records kept apart",
	     FEEDBACK(META POLICY RECORD_(AUTH IDENT ROW) RECORD),
	     {"records=2", "messages=6", "record 1"}},
	};

	(void)state;
	RUN(cases);
}

static void auth_rows_t_ag_2(void **state)
{
#define AUTHS(x) FEEDBACK(META POLICY RECORD_(ROW IDENT AUTH_(x)))
	static const struct document_case cases[] = {
	    {"empty results",
	     AUTHS("<dkim/><spf></spf>"),
	     {"-dkim=NULL NULL NULL", "-spf=NULL NULL NULL", "warnings=0"}},
	    {"dkim without domain",
	     AUTHS("<dkim><domain/><result>pass</result></dkim>"),
	     {"dkim=NULL NULL pass", "! record[0]/auth_results/dkim/domain: missing_domain: "}},
	    {"dkim without result",
	     AUTHS("<dkim><domain>d.example</domain></dkim>"),
	     {"dkim=d.example NULL NULL",
	      "! record[0]/auth_results/dkim/result: missing_result: "}},
	    {"spf without domain",
	     AUTHS("<spf><domain></domain><scope>helo</scope><result>none</result></spf>"),
	     {"spf=NULL helo none", "warnings=0"}},
	    {"several",
	     AUTHS("<dkim><domain>D.example</domain><selector>S1</selector><result>pass</result></"
		   "dkim><dkim><domain>e.example</domain><result>fail</result></dkim>"
		   "<spf><domain>d.example</domain><scope>mfrom</scope><result>pass</result></"
		   "spf><spf><domain>h.example</domain><scope>helo</scope><result>neutral</"
		   "result></spf>"),
	     {"dkim=d.example S1 pass", "dkim=e.example NULL fail", "spf=d.example mfrom pass",
	      "spf=h.example helo neutral", "warnings=0"}},
	    {"scope words",
	     AUTHS("<spf><domain>d.example</domain><scope>mailfrom</scope><result>pass</result></"
		   "spf>"),
	     {"spf=d.example mfrom pass",
	      "! record[0]/auth_results/spf/scope: word: mailfrom taken as mfrom"}},
	    {"human results",
	     AUTHS("<dkim><domain>d.example</domain><result>fail (bad "
		   "signature)</result></dkim><spf><domain>d.example</domain><result>pass</"
		   "result><human_result lang=\"de\">gut</human_result></spf>"),
	     {"dkim=d.example NULL fail", "human=(bad signature)", "human=gut", "human@lang=de"}},
	    {"empty human result",
	     AUTHS("<dkim><domain>d.example</domain><result>fail</result><human_result></"
		   "human_result></dkim>"),
	     {"human=", "warnings=0"}},
	    {"selector wanted by 9990",
	     "<feedback xmlns=\"" NS2 "\">" META POLICY RECORD_(ROW IDENT AUTH_(
		 "<dkim><domain>d.example</domain><result>pass</result></dkim>")) "</feedback>",
	     {"dkim=d.example NULL pass",
	      "! record[0]/auth_results/dkim/selector: missing_selector: "}},
	};
#define REASON(x)                                                                                  \
	FEEDBACK(META POLICY RECORD_(ROW_(IP COUNT EVAL_(                                          \
	    "<disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>" x)) IDENT AUTH))
	static const struct document_case reasons[] = {
	    {"empty", REASON("<reason/>"), {"records=1", "-reason=NULL", "warnings=0"}},
	    {"empty type and comment",
	     REASON("<reason><type></type><comment></comment></reason>"),
	     {"-reason=", "warnings=0"}},
	    {"text only",
	     REASON("<reason>forwarded</reason>"),
	     {"reason=forwarded", "! record[0]/row/policy_evaluated/reason: reason_text: "}},
	    {"no type",
	     REASON("<reason><comment>c</comment></reason>"),
	     {"reason=NULL", "comment=c",
	      "! record[0]/row/policy_evaluated/reason: missing_type: "}},
	    {"two",
	     REASON("<reason><type> Local_Policy </type><comment "
		    "lang=\"fr\">Bon</comment></reason><reason><type>mailing_list</type></reason>"),
	     {"reason=local_policy", "comment=Bon", "comment@lang=fr", "reason=mailing_list",
	      "warnings=0"}},
	    {"unknown",
	     REASON("<reason><type>arc</type></reason>"),
	     {"reason=arc", "! record[0]/row/policy_evaluated/reason/type: unknown_word: arc"}},
	    {"ARC",
	     REASON("<reason><type>arc=pass</type></reason>"),
	     {"reason=local_policy", "comment=arc=pass",
	      "! record[0]/row/policy_evaluated/reason/type: word: arc=pass taken as "
	      "local_policy"}},
	    {"another spelling",
	     REASON("<reason><type>Mailing List</type></reason>"),
	     {"reason=mailing_list", "! record[0]/row/policy_evaluated/reason/type: word: mailing "
				     "list taken as mailing_list"}},
	};

	(void)state;
	RUN(cases);
	RUN(reasons);
}

static void extensions_t_ag_8(void **state)
{
#define NEW(x) "<feedback xmlns=\"" NS2 "\" xmlns:x=\"urn:x\">" META POLICY x "</feedback>"
	static const struct document_case cases[] = {
	    {"kept raw",
	     NEW("<extension><x:a k=\"1&amp;2\">t &lt; <x:b/></x:a></extension>" RECORD),
	     {"extension=<x:a xmlns:x=\"urn:x\" k=\"1&amp;2\">t &lt; <x:b "
	      "xmlns:x=\"urn:x\"></x:b></x:a>",
	      "records=1", "warnings=0"}},
	    {"of a record",
	     NEW(RECORD_(ROW IDENT AUTH "<x:arc>none</x:arc>")),
	     {"record_extension=<x:arc xmlns:x=\"urn:x\">none</x:arc>", "warnings=0"}},
	    {"names of ours do not disturb",
	     NEW("<extension><x:record><x:row><domain>no</domain></x:row></x:record></"
		 "extension>" RECORD_(ROW IDENT AUTH "<x:row><x:count>9</x:count></x:row>")),
	     {"records=1", "count=3", "-count=9", "domain=example.com", "messages=3"}},
	    {"foreign record in feedback",
	     NEW("<x:record><x:row><x:count>9</x:count></x:row></x:record>" RECORD),
	     {"records=1", "count=3", "-count=9", "! document: misplaced_record: "}},
	    {"records in a namespace of their own",
	     FEEDBACK(META POLICY "<record xmlns=\"urn:x\">" ROW IDENT AUTH "</record>"),
	     {"records=1", "count=3", "warnings=0"}},
	    {"empty", NEW("<extension> </extension>" RECORD), {"-extension=", "records=1"}},
	    {"unknown elements are passed over",
	     FEEDBACK(META POLICY "<new><row><count>7</count></row></new>" RECORD_(
		 ROW IDENT AUTH "<other>x</other>")),
	     {"records=1", "-record_extension=", "warnings=0"}},
	};

	(void)state;
	RUN(cases);
}

static void late_and_several(void **state)
{
	static const struct document_case cases[] = {
	    {"metadata behind records",
	     FEEDBACK(RECORD RECORD META POLICY),
	     {"report", "records=2", "org_name=reporter.example", "domain=example.com",
	      "warnings=0"}},
	    {"policy behind records",
	     FEEDBACK(META RECORD POLICY),
	     {"records=1", "domain=example.com", "warnings=0"}},
	    {"version behind records",
	     FEEDBACK(META POLICY RECORD "<version>1.0</version>"),
	     {"schema=rfc7489", "version=1.0", "records=1"}},
	    {"extension behind records",
	     FEEDBACK(META POLICY RECORD "<extension/>"),
	     {"schema=rfc9990", "records=1"}},
	    {"in a wrapper", "<all><x>t</x>" GOOD "</all>", {"report", "records=1"}},
	    {"two in a wrapper",
	     "<all>" GOOD FEEDBACK(META_(ORG EMAIL "<report_id>id-2</report_id>" DATES)
				       POLICY RECORD RECORD) "</all>",
	     {"report_id=id-1", "report_id=id-2", "records=1", "records=2", "recovered=0"}},
	    {"two, one behind the other",
	     GOOD "\n<?xml version=\"1.0\"?>\n" FEEDBACK(
		 META_(ORG EMAIL "<report_id>id-2</report_id>" DATES) POLICY RECORD RECORD),
	     {"report_id=id-1", "report_id=id-2", "records=2"}},
	    {"a bad and a good one",
	     "<all>" FEEDBACK(RECORD) GOOD "</all>",
	     {"report", "records=1", "why=report_metadata: missing"}},
	    {"not ours",
	     "<html><body>x</body></html>",
	     {"not a report", "why=no element feedback"}},
	    {"empty", "", {"not a report", "why=no element feedback in 0 bytes"}},
	    {"white space", " \n\t ", {"not a report"}},
	    {"json", "{\"a\": 1}", {"not a report"}},
	};

	(void)state;
	RUN(cases);
}

static void from_the_file_name(void **state)
{
	struct document_case c = {
	    "file name",
	    FEEDBACK(META_(ID DATES) RECORD),
	    {"org_name=mail.example", "domain=example.org", "header_from=example.com"}};
	struct reading r = {
	    .p = c.doc, .n = strlen(c.doc), .filename = "dir/mail.example!Example.org!1!2.xml"};

	(void)state;
	check_case(&c, &r);
}

static void sums_saturate_t_ag_13(void **state)
{
#define BIG RECORD_(ROW_(IP "<count>4611686018427387904</count>" EVAL) IDENT AUTH)
	static const struct document_case cases[] = {
	    {"2^62 twice",
	     FEEDBACK(META POLICY BIG BIG),
	     {"messages=9223372036854775807", "passed=9223372036854775807", "records=2"}},
	};

	(void)state;
	RUN(cases);
}

static char *value_of(const char *doc, const char *name)
{
	struct reading r = {.p = doc, .n = strlen(doc)};
	char want[32], *p, *v;

	read_document(&r);
	snprintf(want, sizeof(want), "%s=", name);
	p = strstr(r.lines, want);
	assert_non_null(p);
	v = strndup(p + strlen(want), strcspn(p + strlen(want), "\n"));
	free(r.lines);
	return v;
}

/* [I3] The key: what it must and must not depend on. */
static void keys_q_40(void **state)
{
	static const struct {
		const char *doc;
		bool same;
	} cases[] = {
	    {FEEDBACK(META POLICY RECORD RECORD), true},
	    {"<!-- c -->\n" FEEDBACK("<version>1.0</version>" META POLICY RECORD), true},
	    {FEEDBACK(META_("<org_name>REPORTER.example</org_name>" EMAIL ID DATES) POLICY RECORD),
	     true},
	    {FEEDBACK(META_(EMAIL ID DATES) POLICY RECORD), true},
	    {FEEDBACK(META_("<org_name>b.example</org_name>" EMAIL ID DATES) POLICY RECORD), false},
	    {FEEDBACK(META_(ORG EMAIL "<report_id>ID-1</report_id>" DATES) POLICY RECORD), false},
	    {FEEDBACK(
		 META_(ORG EMAIL ID
		       "<date_range><begin>1740787201</begin><end>1740873599</end></date_range>")
		     POLICY RECORD),
	     false},
	    {FEEDBACK(META POLICY_("<domain>EXAMPLE.com</domain><p>none</p>") RECORD), true},
	    {FEEDBACK(META POLICY_("<domain>example.net</domain><p>none</p>") RECORD), false},
	};
	char *key = value_of(GOOD, "uid");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *other = value_of(cases[i].doc, "uid");

		if (!strcmp(key, other) != cases[i].same)
			fail_msg("key %zu: %s and %s", i, key, other);
		free(other);
	}
	/* Two reports without an id are two reports. */
	char *a = value_of(FEEDBACK(META_(ORG EMAIL DATES) POLICY RECORD), "uid");
	char *b = value_of(FEEDBACK(META_(ORG EMAIL DATES) POLICY RECORD RECORD), "uid");
	assert_string_not_equal(a, b);
	free(a);
	free(b);
	free(key);
}

static void content_hash(void **state)
{
	unsigned char digest[TAP_SHA256_BYTES];
	char hex[TAP_SHA256_HEX], want[96], *got;
	struct tap_sha256 h;

	(void)state;
	tap_sha256_init(&h);
	tap_sha256_update(&h, GOOD "\n", strlen(GOOD) + 1);
	tap_sha256_final(&h, digest);
	tap_hex(digest, sizeof(digest), hex);
	snprintf(want, sizeof(want), "%s %zu", hex, strlen(GOOD) + 1);
	got = value_of(GOOD "\n", "content");
	assert_string_equal(got, want);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(generations_t_ag_6),    cmocka_unit_test(metadata_rows_t_ag_2),
	    cmocka_unit_test(policy_rows_t_ag_2),    cmocka_unit_test(record_rows_t_ag_2),
	    cmocka_unit_test(auth_rows_t_ag_2),	     cmocka_unit_test(extensions_t_ag_8),
	    cmocka_unit_test(late_and_several),	     cmocka_unit_test(from_the_file_name),
	    cmocka_unit_test(sums_saturate_t_ag_13), cmocka_unit_test(keys_q_40),
	    cmocka_unit_test(content_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
