/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_failure.c - the fields of feedback reports: every row of the table, in every state that real reports
 * have them in. */
#include "failure_helper.h"

#define AUTH                                                                                       \
	"Feedback-Type: auth-failure\r\nUser-Agent: T/1\r\nVersion: 1\r\nAuth-Failure: dmarc\r\n"
#define REST                                                                                       \
	"Source-IP: 192.0.2.1\r\nArrival-Date: Tue, 2 Jun 2026 09:13:58 "                          \
	"+0000\r\nReported-Domain: example.com\r\n"

/* Each line of `want`, separated by '\n', must be in the dump of these fields. */
static void check(const char *fields, const char *want)
{
	struct fr r;
	char line[512];

	fr_fields(&r, fields);
	assert_int_equal(r.res.verdict, TAP_V_REPORT);
	while (*want) {
		size_t n = strcspn(want, "\n");

		snprintf(line, sizeof line, "%.*s", (int)n, want);
		fr_has(&r, line);
		want += n + (want[n] == '\n');
	}
	fr_free(&r);
}

static void test_whole_report_t_arf_1(void **state)
{
	(void)state;
	check(
	    AUTH
	    "Identity-Alignment: dkim, spf\r\nDelivery-Result: policy (moved to quarantine)\r\n"
	    "Original-Envelope-Id: 7F3A21C0\r\nOriginal-Mail-From: <bounces+77@bulk.example>\r\n"
	    "Original-Rcpt-To: <alice@receiver.example>\r\nOriginal-Rcpt-To: "
	    "<bob@receiver.example>\r\n"
	    "Reporting-MTA: dns; mx.receiver.example\r\nSource-Port: 49152\r\nIncidents: 3\r\n" REST
	    "Authentication-Results: mx.receiver.example;\r\n\tdmarc=fail (p=reject)"
	    " header.from=example.com;\r\n\tdkim=fail header.d=example.com\r\n"
	    "DKIM-Domain: example.com\r\nDKIM-Identity: @example.com\r\nDKIM-Selector: s1\r\n"
	    "DKIM-Selector-DNS: \"v=DKIM1; \" \"p=MII\"\r\nDKIM-ADSP-DNS: \"dkim=all\"\r\n"
	    "SPF-DNS: txt : bulk.example : \"v=spf1 ~all\"\r\n"
	    "SPF-DNS: spf:a.example(x):\"v=spf1 -all\"\r\n"
	    "Reported-URI: https://phish.example/(login)\r\nReported-URI: "
	    "mailto:c@phish.example\r\n",
	    "kind=failure\npart=1.0\nformat=arf\nfeedback_type=auth-failure\nuser_agent=T/"
	    "1\nversion=1\n"
	    "auth_failure=dmarc\nidentity_alignment=dkim|spf\nalignment_known=1\nfailed=dkim|"
	    "spf\naligned=\n"
	    "delivery_result=policy\ndelivery_result_raw=policy (moved to quarantine)\n"
	    "envelope_id=7F3A21C0\nmail_from=bounces+77@bulk.example\n"
	    "rcpt_to=alice@receiver.example|bob@receiver.example\nmta_type=dns\nmta=mx.receiver."
	    "example\n"
	    "source_ip=192.0.2.1\nsource_ip_raw=(null)\nsource_port=49152\nincidents=3\nmessages="
	    "3\n"
	    "authres=mx.receiver.example; dmarc=fail (p=reject) header.from=example.com; dkim=fail "
	    "header.d=example.com\n"
	    "dkim_domain=example.com\ndkim_identity=@example.com\ndkim_selector=s1\n"
	    "dkim_selector_dns=v=DKIM1; p=MII\ndkim_adsp_dns=dkim=all\n"
	    "spf_dns=txt|bulk.example|v=spf1 ~all\nspf_dns=spf|a.example|v=spf1 -all\n"
	    "reported_uri=https://phish.example/(login)|mailto:c@phish.example\n"
	    "arrival_date=Tue, 2 Jun 2026 09:13:58 +0000\narrival=1780391638\nbegin=1780391638\n"
	    "end=1780391638\ndomain=example.com\norg_name=receiver.example\nemail=ruf@receiver."
	    "example\n"
	    "report_id=<r1@receiver.example>\nhuman=For people.\nmessage_id=<77@bulk.example>\n"
	    "dkim_header=0 0 \ndkim_body=0 0 \ntruncated=0");
}

/* A field, and what comes of it when it is absent, empty, doubled, folded over three lines, and with comments. */
static void test_field_states_t_arf_2(void **state)
{
	static const struct {
		const char *fields, *want;
	} t[] = {
	    {AUTH,
	     "version=1\nmail_from=(null)\nincidents=1\nsource_port=-1\nenvelope_id=(null)\n"
	     "source_ip=192.0.2.77\nfrom_sample=1\nreported_domain=example.com\n"
	     "warn Source-IP: missing_source_ip: the newest Received of the sample is taken\n"
	     "warn Reported-Domain: missing_reported_domain: that of From of the sample is taken\n"
	     "warn Arrival-Date: missing_arrival_date: the Date of the report is taken\n"
	     "arrival_date=Tue, 2 Jun 2026 11:14:06 +0200\narrival=1780391646"},
	    {AUTH REST
	     "Original-Mail-From:\r\nIncidents:\r\nSource-Port:\r\nOriginal-Rcpt-To: <>\r\n",
	     "mail_from=\nincidents=1\nsource_port=-1\nrcpt_to="},
	    {AUTH REST "Original-Mail-From: <>\r\n", "mail_from="},
	    {AUTH REST "Original-Mail-From: a@example.net\r\nOriginal-Mail-From: b@example.net\r\n",
	     "mail_from=a@example.net\nwarn Original-Mail-From: duplicate: the first one counts"},
	    {AUTH REST "User-Agent: second\r\n",
	     "user_agent=T/1\nwarn User-Agent: duplicate: the first one counts"},
	    {AUTH REST "Original-Envelope-Id:\r\n one\r\n\ttwo\r\n  three\r\n",
	     "envelope_id=one two three"},
	    {AUTH REST "Original-Mail-From: (from (the) edge) <a@example.net> (x)\r\n",
	     "mail_from=a@example.net"},
	    {AUTH REST "DKIM-Domain: (d) example.org (nested (c) \\) e)\r\n",
	     "dkim_domain=example.org"},
	    {AUTH REST "DKIM-Domain: example.org (never closed\r\n",
	     "dkim_domain=example.org (never closed"},
	    {AUTH REST "Original-Rcpt-To: <a@x.example>, \"b, c\"@x.example\r\nOriginal-Rcpt-To: "
		       "rfc822; d@x.example\r\n",
	     "rcpt_to=a@x.example|\"b, c\"@x.example|d@x.example"},
	    {"feedback-TYPE : Auth-Failure\r\nUSER-AGENT:T\r\nauth-failure:DMARC\r\nSource-Ip: "
	     "192.0.2.9\r\n",
	     "feedback_type=auth-failure\nuser_agent=T\nauth_failure=dmarc\nsource_ip=192.0.2.9"},
	    {AUTH REST "Reporting-MTA: mx.receiver.example\r\n",
	     "mta_type=(null)\nmta=mx.receiver.example"},
	    {AUTH REST
	     "Reported-Domain: Two.Example.\r\nReported-Domain: three.example, four.example\r\n",
	     "reported_domain=example.com|two.example|three.example|four.example\ndomain=example."
	     "com"},
	    {AUTH REST "SPF-DNS: something else\r\n",
	     "spf_dns=(null)|(null)|(null)\n"
	     "warn SPF-DNS: bad_spf_dns: not type, domain and record"},
	    {AUTH REST "SPF-DNS: txt : e.example (the (record)) :\r\n \"v=spf1 "
		       "include:a.example\"\r\n \" ~all\"\r\n",
	     "spf_dns=txt|e.example|v=spf1 include:a.example ~all"},
	    {AUTH REST "Message-ID: <other@example.net>\r\n", "message_id=<other@example.net>"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		check(t[i].fields, t[i].want);
}

static void test_words_t_arf_3(void **state)
{
	static const char *const failures[] = {"adsp", "bodyhash", "revoked", "signature",
					       "spf",  "dmarc",	   "martian"};
	static const struct {
		const char *sent, *result, *raw;
	} t[] = {
	    {"delivered", "delivered", "(null)"},
	    {"spam", "spam", "(null)"},
	    {"policy", "policy", "(null)"},
	    {"reject", "reject", "(null)"},
	    {"other", "other", "(null)"},
	    {"Reject", "reject", "Reject"},
	    {"moved to the spam folder", "spam", "moved to the spam folder"},
	    {"reject by policy", "policy", "reject by policy"},
	    {"smg-policy-action", "other", "smg-policy-action"},
	    {"(policy) none", "other", "(policy) none"},
	};
	char fields[512], want[512];

	(void)state;
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
		snprintf(fields, sizeof fields,
			 "Feedback-Type: auth-failure\r\nAuth-Failure: %s (c)\r\n", failures[i]);
		snprintf(want, sizeof want, "auth_failure=%s", failures[i]);
		check(fields, want);
	}
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		snprintf(fields, sizeof fields, AUTH REST "Delivery-Result: %s\r\n", t[i].sent);
		snprintf(want, sizeof want, "delivery_result=%s\ndelivery_result_raw=%s",
			 t[i].result, t[i].raw);
		check(fields, want);
	}
	check(AUTH REST, "delivery_result=(null)\ndelivery_result_raw=(null)");
	/* Q175, Q176: a list with comments; none at all is no guess. */
	check("Feedback-Type: auth-failure\r\nAuth-Failure: dkim, (one) spf\r\nAuth-Failure: "
	      "dmarc\r\n",
	      "auth_failure=dkim|spf|dmarc");
	check("Feedback-Type: auth-failure\r\n" REST,
	      "auth_failure=\nwarn Auth-Failure: missing_auth_failure: absent");
}

#define AR "Authentication-Results: mx.example; "
static void test_identity_alignment_t_arf_4(void **state)
{
	static const char ambiguous[] = "alignment_known=0\naligned=\nfailed=\n"
					"warn Identity-Alignment: identity_alignment_ambiguous: "
					"what was aligned, or what failed";
	static const struct {
		const char *fields, *want;
	} t[] = {
	    {AR "dmarc=fail\r\nIdentity-Alignment: none\r\n",
	     "alignment_known=1\naligned=\nfailed=dkim|spf"},
	    {AR "dmarc=fail; dkim=pass\r\nIdentity-Alignment: dkim\r\n",
	     "alignment_known=1\naligned=\nfailed=dkim"},
	    {AR "dmarc=fail\r\nIdentity-Alignment: spf, dkim\r\n",
	     "alignment_known=1\naligned=\nfailed=dkim|spf"},
	    {AR "dmarc=pass; dkim=pass\r\nIdentity-Alignment: dkim\r\n",
	     "alignment_known=1\naligned=dkim\nfailed="},
	    {AR "spf=pass\r\nIdentity-Alignment: spf\r\n",
	     "alignment_known=1\naligned=spf\nfailed="},
	    {AR "dmarc=pass; spf=softfail\r\nIdentity-Alignment: SPF (c)\r\n",
	     "alignment_known=1\naligned=\nfailed=spf\nidentity_alignment=SPF"},
	    {AR "dkim=fail\r\nIdentity-Alignment: dkim\r\n",
	     "alignment_known=1\naligned=\nfailed=dkim"},
	    {AR "dmarc=pass; spf=pass\r\nIdentity-Alignment: dkim\r\n", ambiguous},
	    {AR "dmarc=pass\r\nIdentity-Alignment: none\r\n", ambiguous},
	    {"Identity-Alignment: none\r\n", ambiguous},
	    {AR "dkim=pass; spf=fail\r\nIdentity-Alignment: dkim, spf\r\n", ambiguous},
	    {AR "dmarc=fail\r\nIdentity-Alignment: none, spf\r\n",
	     "alignment_known=0\nidentity_alignment=none|spf"},
	    {AR "dmarc=fail\r\nIdentity-Alignment: adsp\r\n",
	     "alignment_known=0\nidentity_alignment=adsp"},
	    {AR "dmarc=fail\r\n", "alignment_known=0\naligned=\nfailed=\nidentity_alignment="},
	    /* Without an authserv-id, and two signatures of which one passed. */
	    {"Authentication-Results: dmarc=fail (p=none; dis=none) header.from=example.com\r\n"
	     "Identity-Alignment: none\r\n",
	     "alignment_known=1\nfailed=dkim|spf"},
	    {AR "dkim=fail; dkim=pass\r\nIdentity-Alignment: dkim\r\n", "aligned=dkim\nfailed="},
	};
	char fields[1024];

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		snprintf(fields, sizeof fields, AUTH REST "%s", t[i].fields);
		check(fields, t[i].want);
	}
}

static void test_source_ip_t_arf_8(void **state)
{
	static const struct {
		const char *sent, *ip, *raw;
	} t[] = {
	    {"192.0.2.1", "192.0.2.1", "(null)"},
	    {"[192.0.2.1]", "192.0.2.1", "[192.0.2.1]"},
	    {"IPv6:2001:db8::1", "2001:db8::1", "IPv6:2001:db8::1"},
	    {"[IPv6:2001:DB8:0::1]", "2001:db8::1", "[IPv6:2001:DB8:0::1]"},
	    {"192.0.2.1 (host.example)", "192.0.2.1", "192.0.2.1 (host.example)"},
	    {"host.example", "(null)", "host.example"},
	    {"", "192.0.2.77", "(null)"},
	};
	char fields[512], want[512];

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		snprintf(fields, sizeof fields, AUTH "Source-IP: %s\r\n", t[i].sent);
		snprintf(want, sizeof want, "source_ip=%s\nsource_ip_raw=%s\nfrom_sample=%d",
			 t[i].ip, t[i].raw, t[i].sent[0] == '\0');
		check(fields, want);
	}
	check(AUTH "Source-IP: ::ffff:192.0.2.3\r\n", "source_ip=192.0.2.3");
	check(AUTH "Source-IP: host.example\r\n", "warn Source-IP: bad_source_ip: host.example");
}

static void test_numbers_t_arf_9(void **state)
{
	(void)state;
	check(AUTH REST "Incidents: 0\r\n",
	      "incidents=1\nwarn Incidents: bad_incidents: 0, taken as 1");
	check(AUTH REST "Incidents: 4294967295\r\n", "incidents=4294967295\nmessages=4294967295");
	check(AUTH REST "Incidents: 4294967296\r\n",
	      "incidents=1\nwarn Incidents: bad_incidents: 4294967296, taken as 1");
	check(AUTH REST "Incidents: 2 (two)\r\n", "incidents=2");
	check(AUTH REST "Incidents: -1\r\n",
	      "incidents=1\nwarn Incidents: bad_incidents: -1, taken as 1");
	check(AUTH REST "Source-Port: 65535\r\n", "source_port=65535");
	check(AUTH REST "Source-Port: 65536\r\n",
	      "source_port=-1\nwarn Source-Port: bad_port: 65536");
	check(AUTH REST "Source-Port: 0\r\n", "source_port=0");
}

/* Q169-Q171 */
static void test_dates(void **state)
{
	static const struct {
		const char *fields, *want;
	} t[] = {
	    {"Arrival-Date: soon\r\n",
	     "arrival_date=soon\narrival=-1\nbegin=1780391646\nwarn Arrival-Date: bad_date: soon"},
	    {"Arrival-Date: 2 Jun 2026 09:13:58\r\n",
	     "arrival=1780391638\nwarn Arrival-Date: no_zone: taken as UTC"},
	    {"Arrival-Date: Tue, 2 Jun 2026 09:13:58 -0000\r\n", "arrival=1780391638"},
	    {"Arrival-Date: Mon, 2 Jun 26 11:13:58 +0200 (CEST)\r\n", "arrival=1780391638"},
	    {"Received-Date: Tue, 2 Jun 2026 09:13:58 +0000\r\n",
	     "arrival=1780391638\nwarn Received-Date: missing_arrival_date: Received-Date is "
	     "taken"},
	    {"Received-Date: Tue, 2 Jun 2020 09:13:58 +0000\r\nArrival-Date: Tue, 2 Jun 2026 "
	     "09:13:58 +0000\r\n",
	     "arrival=1780391638\nwarn Received-Date: duplicate: Arrival-Date counts"},
	};
	char fields[512];
	struct fr r;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		snprintf(fields, sizeof fields, AUTH "%s", t[i].fields);
		check(fields, t[i].want);
	}
	fr_fields(&r, AUTH REST "Arrival-Date: Tue, 2 Jun 2026 09:13:58 -0000\r\n");
	fr_lacks(&r, "no_zone");
	fr_free(&r);
}

/* 2 MiB of folded base64: size and hash of what it decodes to, whatever else stands in it. */
static void test_canonicalized_body_t_arf_13(void **state)
{
	enum { SIZE = 2 << 20 };
	unsigned char *body = malloc(SIZE), sha256[TAP_SHA256_BYTES];
	struct tap_buf f, m;
	struct tap_sha256 h;
	struct fr r;
	char hex[TAP_SHA256_HEX], want[128];

	(void)state;
	assert_non_null(body);
	for (size_t i = 0; i < SIZE; i++)
		body[i] = (unsigned char)(i * 7 + i / 251);
	tap_sha256_init(&h);
	tap_sha256_update(&h, body, SIZE);
	tap_sha256_final(&h, sha256);
	tap_hex(sha256, sizeof sha256, hex);
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_init(&f, INPUT_MAX);
	in_base64(&m, body, SIZE, 72, true);
	tap_buf_adds(&f, AUTH REST "DKIM-Canonicalized-Body: ");
	for (size_t i = 0; i < m.len; i++) {
		tap_buf_addc(&f, m.p[i]);
		if (m.p[i] == '\n')
			tap_buf_adds(&f, "\t -*");
	}
	tap_buf_adds(&f, "\r\nIncidents: 5\r\nDKIM-Canonicalized-Body: QQ==\r\n");
	fr_fields(&r, tap_buf_cstr(&f));
	snprintf(want, sizeof want, "dkim_body=1 %d %s", SIZE, hex);
	fr_has(&r, want);
	fr_has(&r, "incidents=5");
	fr_has(&r, "warn DKIM-Canonicalized-Body: duplicate: the first one counts");
	fr_free(&r);
	tap_buf_free(&f);
	tap_buf_free(&m);
	free(body);
	check(AUTH REST "DKIM-Canonicalized-Header: ZnJvbTpC\r\n aWxs\r\n",
	      "dkim_header=1 9 938e0240df9339dc62e867722b49b5799dd0f712ec6c8632820cfe6cb9edc6b8");
}

/* T-ARF-11, Q185: other types are kept apart, whatever else they say. */
static void test_other_types_t_arf_11(void **state)
{
	static const char *const types[] = {"abuse",	"fraud",   "virus",	    "other",
					    "not-spam", "opt-out", "miscategorized"};
	char fields[512], want[128];
	struct fr r;

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		snprintf(fields, sizeof fields,
			 "Feedback-Type: %s\r\nUser-Agent: T\r\nVersion: 0.1\r\nIncidents: 2\r\n"
			 "Auth-Failure: dmarc\r\nAuthentication-Results: mx; dmarc=fail\r\n",
			 types[i]);
		fr_fields(&r, fields);
		assert_int_equal(r.res.verdict, TAP_V_FEEDBACK);
		assert_int_equal(r.res.kinds, TAP_KIND_FEEDBACK);
		assert_int_equal(r.res.reports, 1);
		assert_string_equal(r.res.why, "");
		snprintf(want, sizeof want, "feedback_type=%s", types[i]);
		fr_has(&r, want);
		fr_has(&r, "kind=feedback");
		fr_has(&r, "messages=2");
		fr_has(&r, "source_ip=(null)");
		fr_free(&r);
	}
	fr_fields(&r, "Feedback-Type: newfangled\r\nSource-IP: 192.0.2.1\r\n");
	fr_has(&r, "kind=feedback");
	fr_has(&r, "warn Feedback-Type: unknown_word: taken as a complaint");
	fr_free(&r);
	fr_fields(&r, "Feedback-Type: dmarc\r\nSource-IP: 192.0.2.1\r\n");
	fr_has(&r, "kind=failure");
	fr_has(&r, "warn Feedback-Type: unknown_word: taken as an authentication failure");
	fr_free(&r);
}

/* Q173, Q174 */
static void test_missing_type(void **state)
{
	(void)state;
	check("Auth-Failure: dmarc\r\nSource-IP: 192.0.2.1\r\n",
	      "kind=failure\nfeedback_type=auth-failure\nversion=(null)\nuser_agent=(null)\n"
	      "warn Feedback-Type: missing_feedback_type: taken as auth-failure");
	check("Feedback-Type:\r\nSource-IP: 192.0.2.1\r\n",
	      "kind=failure\nwarn Feedback-Type: missing_feedback_type: taken as auth-failure");
	check("\r\n\r\nVersion: 0.1\r\n\r\nSource-IP: 192.0.2.1\r\nno field at all\r\n  "
	      "\r\nIncidents: 7\r\n",
	      "incidents=7\nversion=0.1\nwarn fields: stray_text: 1 lines that are no field");
}

/* Q177, Q178: fields that are none of ours, at most 64 of 2 KiB. */
static void test_extra_fields(void **state)
{
	struct tap_buf f;
	struct fr r;
	unsigned n = 0;

	(void)state;
	check(AUTH REST "X-Loop: a\r\n\tb\r\nOriginal-Subject: =?utf-8?Q?x?=\r\n",
	      "extra=X-Loop|a b\nextra=Original-Subject|=?utf-8?Q?x?=");
	tap_buf_init(&f, INPUT_MAX);
	tap_buf_adds(&f, AUTH REST "X-Long: ");
	for (unsigned i = 0; i < 3000; i++)
		tap_buf_addc(&f, 'x');
	tap_buf_adds(&f, "\r\n");
	for (unsigned i = 0; i < 100; i++)
		tap_buf_printf(&f, "X-%u: y\r\n", i);
	fr_fields(&r, tap_buf_cstr(&f));
	for (const char *p = r.dump.p; (p = strstr(p, "\nextra=")) != NULL; p++)
		n++;
	assert_int_equal(n, 64);
	fr_has(&r, "warn X-Long: text_cut: longer than 2048 bytes");
	fr_has(&r, "warn extra: list_cut: more than 64 unknown fields");
	fr_free(&r);
	tap_buf_free(&f);
}

/* Bytes that are no text: NULs, controls, other charsets, bare CR as line end. */
static void test_hostile_bytes(void **state)
{
	static const char raw[] = "\0\r\nFeedback-Type: auth-failure\0\rUser-Agent: a\x01"
				  "b\xff"
				  "c\r"
				  "Auth-Failure: dmarc\rSource-IP: 192.0.2.1\r";
	struct tap_buf m;
	struct fr r;

	(void)state;
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(&m, "From: a@example.net\r\n" FR_HEAD "\r\n");
	tap_buf_add(&m, raw, sizeof raw - 1);
	fr_read(&r, m.p, m.len);
	fr_has(&r, "feedback_type=auth-failure");
	fr_has(&r, "user_agent=ab\xef\xbf\xbd"
		   "c");
	fr_has(&r, "source_ip=192.0.2.1");
	fr_has(&r, "warn User-Agent: bad_utf8: bytes that are no UTF-8 replaced");
	fr_has(&r, "warn User-Agent: control_characters: dropped");
	fr_has(&r, "warn sample: missing_sample: the report has none");
	fr_free(&r);
	tap_buf_free(&m);
}

/* More than the limits: lists, text, warnings. The report is read all the same. */
static void test_limits(void **state)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = &lim};
	struct tap_buf f, m;
	struct fr r;

	(void)state;
	lim.list = 3;
	lim.text = 10;
	lim.warnings = 5;
	lim.sample_bytes = 64;
	tap_buf_init(&f, INPUT_MAX);
	tap_buf_adds(&f, "Feedback-Type: auth-failure\r\n");
	for (unsigned i = 0; i < 20; i++)
		tap_buf_printf(&f, "Reported-URI: u:%u\r\n", i);
	fr_mail(&m, FR_HEAD, tap_buf_cstr(&f), NULL, FR_SAMPLE);
	fr_read_with(&r, m.p, m.len, &opt);
	fr_has(&r, "kind=failure");
	fr_has(&r, "warn fields: truncated: the feedback fields are longer than is read");
	fr_has(&r, "truncated=1");
	fr_has(&r, "reported_uri=u:0|u:1|u:2");
	assert_non_null(strstr(r.dump.p, "sample=64 "));
	fr_free(&r);
	lim.sample_bytes = 4096;
	lim.text = 4;
	fr_read_with(&r, m.p, m.len, &opt);
	assert_int_equal(r.res.reports, 1);
	fr_free(&r);
	tap_buf_free(&f);
	tap_buf_free(&m);
}

/* [I3]: the same report has the same uid whatever the line ends, the transfer encoding and the folding of its fields. */
static void test_uid(void **state)
{
	struct tap_buf m, lf;
	char uid[TAP_UID_HEX];
	struct fr r;

	(void)state;
	fr_mail(&m, FR_HEAD, AUTH REST "X-A: b c\r\n", NULL, FR_SAMPLE);
	fr_read(&r, m.p, m.len);
	memcpy(uid, r.uid, sizeof uid);
	assert_int_equal(strlen(uid), 40);
	fr_free(&r);
	tap_buf_init(&lf, INPUT_MAX);
	for (size_t i = 0; i < m.len; i++)
		if (m.p[i] != '\r')
			tap_buf_addc(&lf, m.p[i]);
	fr_read(&r, lf.p, lf.len);
	assert_string_equal(r.uid, uid);
	fr_free(&r);
	tap_buf_free(&m);
	fr_mail(&m, FR_HEAD, "\r\n" AUTH REST "X-A: b\r\n c\r\n\r\n", NULL, FR_SAMPLE);
	fr_read(&r, m.p, m.len);
	assert_string_equal(r.uid, uid);
	fr_free(&r);
	tap_buf_free(&m);
	fr_mail(&m, FR_HEAD, AUTH REST "X-A: b d\r\n", NULL, FR_SAMPLE);
	fr_read(&r, m.p, m.len);
	assert_string_not_equal(r.uid, uid);
	fr_free(&r);
	tap_buf_free(&m);
	fr_mail(&m, FR_HEAD, AUTH REST "X-A: b c\r\n", NULL, "Subject: another\r\n\r\nx\r\n");
	fr_read(&r, m.p, m.len);
	assert_string_not_equal(r.uid, uid);
	fr_free(&r);
	tap_buf_free(&m);
	tap_buf_free(&lf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole_report_t_arf_1),
	    cmocka_unit_test(test_field_states_t_arf_2),
	    cmocka_unit_test(test_words_t_arf_3),
	    cmocka_unit_test(test_identity_alignment_t_arf_4),
	    cmocka_unit_test(test_source_ip_t_arf_8),
	    cmocka_unit_test(test_numbers_t_arf_9),
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_canonicalized_body_t_arf_13),
	    cmocka_unit_test(test_other_types_t_arf_11),
	    cmocka_unit_test(test_missing_type),
	    cmocka_unit_test(test_extra_fields),
	    cmocka_unit_test(test_hostile_bytes),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_uid),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
