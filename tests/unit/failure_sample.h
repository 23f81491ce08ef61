/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/failure_sample.h - a failure report in which everything is set, and one in which nothing is, for the tests of outputs/. */
#ifndef TAP_TESTS_FAILURE_SAMPLE_H
#define TAP_TESTS_FAILURE_SAMPLE_H

#include "outputs_helper.h"

#define LIST(...)                                                                                  \
	{                                                                                          \
		(const char *const[]){__VA_ARGS__},                                                \
		    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)              \
	}
#define MAILBOXES(a)                                                                               \
	{                                                                                          \
		(a), sizeof(a) / sizeof *(a)                                                       \
	}
#define SHA "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct tap_mailbox full_from[] = {{"B\xC3\xBC"
						"ro, \"x\"",
						"sender@example.com", "sender", "example.com"}};
static const struct tap_mailbox full_to[] = {{"", "a@example.net", "a", "example.net"},
					     {"B", "b", "b", NULL}};
static const struct tap_mailbox full_one[] = {{"", "c@example.org", "c", "example.org"}};
static const struct tap_hop full_hops[] = {
    {.from = "host.example.com (host.example.com [192.0.2.9])",
     .by = "mx.example.net (mx.example.net)",
     .with = "SMTP",
     .id = "4711",
     .for_ = "a@example.net",
     .via = "TCP",
     .date = "Tue,  2 Jun 2026 11:13:50 +0200 (CEST)",
     .time = 1780391630,
     .hop = 1},
    {.by = "inner.example.net", .time = TAP_NO_TIME, .delay = 0, .hop = 2},
};
static const struct tap_attachment full_attachments[] = {
    {"a.txt", "text/plain", "<1@example.com>", "attachment", "utf-8", "7bit", 5, SHA, "hallo", 5,
     true, false},
    {"b.bin", "application/octet-stream", NULL, NULL, NULL, "base64", 4, SHA, "\0\xFF\x80z", 4,
     false, true},
    {"c.bin", NULL, NULL, NULL, NULL, NULL, 900, SHA, NULL, 0, false, false},
};
static const struct tap_pair full_headers[] = {
    {"Received", "by inner.example.net"},
    {"Received", "from host.example.com by mx.example.net with SMTP id 4711"},
    {"DKIM-Signature", "d=example.com; s=k1"},
    {"From", "\"B\xC3\xBCro, \\\"x\\\"\" <sender@example.com>"},
    {"To", "a@example.net, B <b>"},
    {"subject", "Re: a/b <script>"},
    {"X-Mailer", "M 1"},
    {"Content-Type", "text/plain"},
    {"MIME-Version", "1.0"},
    {"Content-Transfer-Encoding", "7bit"},
    {"Message-ID", "<m@example.com>"},
    {"X-Twice", "1"},
    {"x-twice", "2"},
    {"To_domains", "not ours"},
};
static const char full_raw[] =
    "Received: by inner.example.net\r\n"
    "Received: from host.example.com\r\n\tby mx.example.net with SMTP id 4711\r\n"
    "DKIM-Signature: d=example.com; s=k1\r\n"
    "From: =?utf-8?q?x?=\r\n <sender@example.com>\r\n"
    "To: a@example.net, B <b>\r\n"
    "subject: Re: a/b <script>\r\n"
    "\r\n"
    "Hallo </script>\r\n";
static const struct tap_sample full_sample = {
    .from = MAILBOXES(full_from),
    .to = MAILBOXES(full_to),
    .cc = MAILBOXES(full_one),
    .bcc = MAILBOXES(full_one),
    .reply_to = MAILBOXES(full_one),
    .delivered_to = MAILBOXES(full_one),
    .to_domains = LIST("example.net"),
    .subject = "Re: a/b <script>",
    .message_id = "<m@example.com>",
    .date = "Tue, 2 Jun 2026 11:13:50 +0200",
    .time = 1780391630,
    .has_zone = true,
    .zone = 120,
    .body = "Hallo </script>\n\n",
    .has_defects = true,
    .received = full_hops,
    .n_received = 2,
    .headers = full_headers,
    .n_headers = sizeof full_headers / sizeof *full_headers,
    .attachments = full_attachments,
    .n_attachments = 3,
    .authentication_results = LIST("mx.example.net; spf=fail"),
    .dkim_signatures = LIST("d=example.com s=k1"),
};
static const struct tap_spf_dns full_spf[] = {
    {"txt", "example.com", "v=spf1 -all", "txt : example.com : \"v=spf1 -all\""},
    {NULL, NULL, NULL, "nonsense"}};
static const struct tap_pair full_extra[] = {{"X-Odd", "=1+1"}, {"X-Odd", "2"}};
static const struct tap_failure full_failure = {
    .format = TAP_FORMAT_EXIM_TEXT,
    .feedback_type = "auth-failure",
    .user_agent = "Agent/1",
    .version = "1",
    .original_envelope_id = "env",
    .original_mail_from = "bounce@example.com",
    .original_rcpt_to = LIST("a@example.net", "b@example.net"),
    .arrival_date = "Tue, 2 Jun 2026 11:14:00 +0200",
    .arrival = 1780391640,
    .message_id = "<m@example.com>",
    .authentication_results = LIST("mx1.example.net; dmarc=fail", "mx2.example.net; spf=fail"),
    .delivery_result = "other",
    .delivery_result_raw = "smg-policy-action",
    .auth_failure = LIST("dkim", "spf"),
    .identity_alignment = LIST("dkim", "spf"),
    .alignment_known = true,
    .aligned_mechanisms = LIST("dkim"),
    .failed_mechanisms = LIST("spf"),
    .reported_domain = LIST("example.com", "example.org"),
    .reported_uri = LIST("http://example.com/a", "http://example.com/b"),
    .reporting_mta_type = "dns",
    .reporting_mta = "mx.example.net",
    .dkim_domain = "example.com",
    .dkim_identity = "@example.com",
    .dkim_selector = "k1",
    .dkim_selector_dns = "v=DKIM1",
    .dkim_adsp_dns = "dkim=all",
    .dkim_header = {true, 12, SHA},
    .spf_dns = full_spf,
    .n_spf_dns = 2,
    .source_ip = "192.0.2.9",
    .source_ip_raw = "[192.0.2.9]",
    .source_ip_from_sample = true,
    .source_port = 25,
    .incidents = 3,
    .extra = full_extra,
    .n_extra = 2,
    .human_text = "Dear you",
    .sample = full_raw,
    .sample_len = sizeof full_raw - 1,
    .sample_utf8 = true,
    .sample_headers_only = false,
    .sample_damaged = true,
    .parsed = &full_sample,
    .source = {"rdns.example.com", "example.com", "DE", "Name", "Type", "AS", "as.example", 64496},
};
static const struct tap_failure bare_failure = {
    .feedback_type = "auth-failure",
    .arrival = TAP_NO_TIME,
    .source_port = -1,
    .incidents = 1,
};
static const struct tap_meta failure_meta = {
    .kind = TAP_KIND_FAILURE,
    .origin = {.filename = "report.eml"},
    .uid = SAMPLE_UID,
    .org_name = "receiver.example",
    .email = "ruf@receiver.example",
    .report_id = "<r@receiver.example>",
    .begin = 1780391640,
    .end = 1780391640,
    .domain = "example.com",
    .trust = {.auth = TAP_AUTH_PASS,
	      .dmarc = TAP_AUTH_FAIL,
	      .dkim_domains = {"receiver.example", "other.example"},
	      .n_dkim_domains = 2,
	      .from_domain = "receiver.example",
	      .reporter = TAP_AGREE_YES,
	      .names = TAP_AGREE_NO,
	      .foreign = true,
	      .trusted = true},
};

#endif
