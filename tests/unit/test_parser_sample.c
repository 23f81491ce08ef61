/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_sample.c - the message that a failure report is about, as data. */
#include "base/buf.h"
#include "base/sha256.h"
#include "parser/sample.h"
#include "parser/sample_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* after the three above */
#include <cmocka.h>

#define MIB ((size_t)1 << 20)
/* Of the inputs whose time must grow as they do; iconv is slow to call under the sanitizers. */
#ifdef TAP_SANITIZED
enum { LARGE = 256 << 10 };
#else
enum { LARGE = 4 << 20 };
#endif

struct result {
	struct tap_arena *a;
	const struct tap_sample *s;
	struct tap_buf warnings; /* "where what\n" */
};

static void on_warning(void *ctx, const char *where, const char *what)
{
	tap_buf_printf(ctx, "%s %s\n", where, what);
}

static enum tap_rc parse_with(struct result *r, const void *p, size_t n, bool headers_only,
			      const struct tap_parse_options *opt, size_t cap)
{
	struct tap_sample_warn warn = {.add = on_warning, .ctx = &r->warnings};
	struct tap_err err = {0};
	char *copy = malloc(n ? n : 1);
	enum tap_rc rc;

	assert_non_null(copy);
	memcpy(copy, p, n);
	r->a = tap_arena_new(cap);
	r->s = NULL;
	tap_buf_init(&r->warnings, MIB);
	rc = tap_sample_parse(r->a, copy, n, headers_only, opt, &warn, &r->s, &err);
	/* Nothing points into the bytes. */
	memset(copy, 'X', n);
	free(copy);
	(void)tap_buf_cstr(&r->warnings);
	return rc;
}

static void parse(struct result *r, const char *text)
{
	static const struct tap_parse_options opt;

	assert_int_equal(parse_with(r, text, strlen(text), false, &opt, 64 * MIB), TAP_OK);
	assert_non_null(r->s);
}

static void done(struct result *r)
{
	tap_buf_free(&r->warnings);
	tap_arena_free(&r->a);
}

static bool warned(const struct result *r, const char *what)
{
	return r->warnings.len > 0 && strstr(r->warnings.p, what) != NULL;
}

static const char *hash_of(const void *p, size_t n)
{
	static char hex[TAP_SHA256_HEX];
	unsigned char h[TAP_SHA256_BYTES];
	struct tap_sha256 c;

	tap_sha256_init(&c);
	tap_sha256_update(&c, p, n);
	tap_sha256_final(&c, h);
	tap_hex(h, sizeof h, hex);
	return hex;
}

/* --- header --------------------------------------------------------------------------------------------------------------- */

static const char whole[] =
    "Received: from out9.bulk.example.org ([IPv6:2001:db8:77::9])\r\n"
    "\tby mx.receiver.example (Postfix) with ESMTP id 7F3A21C0\r\n"
    "\tfor <alice@receiver.example>; Tue, 2 Jun 2026 09:13:58 +0000 (UTC)\r\n"
    "Received: from a (a.local [10.0.0.1]) by out9.bulk.example.org via TCP with SMTP; Tue, 2 Jun "
    "2026 11:13:50 +0200\r\n"
    "Received: junk\r\n"
    "Authentication-Results: mx.receiver.example;\r\n"
    "\tdmarc=fail header.from=example.com\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s2026;\r\n"
    "\ti=@mail.example.com; h=from:to:subject; bh=c29tZWhhc2g=; b=Zm9v\r\n"
    "DKIM-Signature: d=b.example\r\n"
    "From: Billing <billing@example.com>\r\n"
    "To: alice@receiver.example, \"Bo, B\" <bo@Receiver.example>\r\n"
    "To: c@other.example\r\n"
    "Cc: team: d@x.example;\r\n"
    "Reply-To: reply@evil.example\r\n"
    "Delivered-To: alice@receiver.example\r\n"
    "Subject: =?utf-8?Q?Rechnung_f=C3=BCr?=\r\n =?utf-8?Q?_Mai?=\r\n"
    "Message-ID: <77@bulk.example.org>\r\n"
    "Date: Tue, 2 Jun 2026 11:13:50 +0200\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n"
    "X-Empty:\r\n"
    "\r\n"
    "Hallo J=C3=B6rg,=\r\n\r\nbitte zahlen.\r\n";

static void test_addresses(void **state)
{
	struct result r;

	(void)state;
	parse(&r, whole);
	assert_int_equal(r.s->from.n, 1);
	assert_string_equal(r.s->from.item[0].display_name, "Billing");
	assert_string_equal(r.s->from.item[0].address, "billing@example.com");
	assert_int_equal(r.s->to.n, 3);
	assert_string_equal(r.s->to.item[1].display_name, "Bo, B");
	assert_string_equal(r.s->to.item[1].domain, "receiver.example");
	assert_string_equal(r.s->to.item[2].address, "c@other.example");
	assert_int_equal(r.s->to_domains.n, 2);
	assert_string_equal(r.s->to_domains.item[0], "receiver.example");
	assert_string_equal(r.s->to_domains.item[1], "other.example");
	assert_int_equal(r.s->cc.n, 1);
	assert_string_equal(r.s->cc.item[0].address, "d@x.example");
	assert_int_equal(r.s->bcc.n, 0);
	assert_string_equal(r.s->reply_to.item[0].address, "reply@evil.example");
	assert_string_equal(r.s->delivered_to.item[0].local, "alice");
	done(&r);
}

static void test_texts_q_184(void **state)
{
	struct result r;

	(void)state;
	parse(&r, whole);
	assert_string_equal(r.s->subject, "Rechnung f\xc3\xbcr Mai");
	assert_string_equal(r.s->message_id, "<77@bulk.example.org>");
	assert_string_equal(r.s->date, "Tue, 2 Jun 2026 11:13:50 +0200");
	assert_true(r.s->time == 1780391630 && r.s->has_zone && r.s->zone == 120);
	assert_string_equal(r.s->body, "Hallo J\xc3\xb6rg,\nbitte zahlen.");
	assert_int_equal(r.s->authentication_results.n, 1);
	assert_string_equal(r.s->authentication_results.item[0],
			    "mx.receiver.example;\tdmarc=fail header.from=example.com");
	assert_int_equal(r.s->dkim_signatures.n, 2);
	assert_string_equal(r.s->dkim_signatures.item[0],
			    "d=example.com s=s2026 i=@mail.example.com a=rsa-sha256");
	assert_string_equal(r.s->dkim_signatures.item[1], "d=b.example");
	assert_int_equal(r.s->n_headers, 19);
	assert_string_equal(r.s->headers[0].name, "Received");
	assert_string_equal(r.s->headers[12].name, "Subject");
	assert_string_equal(r.s->headers[12].value, "Rechnung f\xc3\xbcr Mai");
	assert_string_equal(r.s->headers[18].name, "X-Empty");
	assert_string_equal(r.s->headers[18].value, "");
	assert_int_equal(r.s->n_attachments, 0);
	assert_false(r.s->has_defects);
	assert_int_equal(r.warnings.len, 0);
	done(&r);
}

static void test_hops(void **state)
{
	const struct tap_hop *h;
	struct result r;

	(void)state;
	parse(&r, whole);
	assert_int_equal(r.s->n_received, 3);
	h = r.s->received;
	assert_int_equal(h[0].hop, 1);
	assert_null(h[0].from);
	assert_true(h[0].time == TAP_NO_TIME && h[0].delay == 0);
	assert_int_equal(h[1].hop, 2);
	assert_string_equal(h[1].from, "a (a.local [10.0.0.1])");
	assert_string_equal(h[1].by, "out9.bulk.example.org");
	assert_string_equal(h[1].via, "TCP");
	assert_string_equal(h[1].with, "SMTP");
	assert_null(h[1].id);
	assert_true(h[1].delay == 0);
	assert_string_equal(h[2].by, "mx.receiver.example (Postfix)");
	assert_string_equal(h[2].with, "ESMTP");
	assert_string_equal(h[2].id, "7F3A21C0");
	assert_string_equal(h[2].for_, "<alice@receiver.example>");
	assert_string_equal(h[2].date, "Tue, 2 Jun 2026 09:13:58 +0000 (UTC)");
	assert_true(h[2].time == 1780391638 && h[2].delay == 8);
	done(&r);
}

static void test_headers_only_t_arf_6(void **state)
{
	static const struct tap_parse_options opt;
	static const char text[] =
	    "From: a@b.example\nSubject: x\nContent-Type: multipart/mixed; boundary=b";
	struct result r;

	(void)state;
	assert_int_equal(parse_with(&r, text, sizeof text - 1, true, &opt, MIB), TAP_OK);
	assert_string_equal(r.s->subject, "x");
	assert_string_equal(r.s->body, "");
	assert_int_equal(r.s->n_headers, 3);
	assert_false(r.s->has_defects);
	done(&r);
}

static void test_missing_q_180(void **state)
{
	static const char *const texts[] = {
	    "", "\n", "\r\n\r\n", "From:\n\n", "From: <>\nTo:\n\n", "\nbody only\n"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct result r;

		parse(&r, texts[i]);
		assert_int_equal(r.s->from.n, 0);
		assert_int_equal(r.s->to.n, 0);
		assert_null(r.s->subject);
		assert_null(r.s->message_id);
		assert_null(r.s->date);
		assert_true(r.s->time == TAP_NO_TIME);
		done(&r);
	}
}

static void test_defects_q_164(void **state)
{
	static const struct {
		const char *text, *subject, *body, *warning;
	} rows[] = {
	    {"Subject: caf\xe9\n\nx", "caf\xc3\xa9", "x", "bad_header"},
	    {"Subject: \xff\xfe\x01z\n\nx", "\xc3\xbf\xc3\xbez", "x", "bad_header"},
	    {"Subject: =?no-such-set?Q?x?=\n\nx", "=?no-such-set?Q?x?=", "x", "bad_header"},
	    {"Subject: s\nno field\nX: y\n\nx", "s", NULL, "bad_header"},
	    {"Subject: s\nContent-Type: text/plain; charset=no-such-set\n\ncaf\xe9 \x80", "s",
	     "caf\xc3\xa9 \xe2\x82\xac", "unknown_charset"},
	    {"Subject: s\nContent-Type: text/plain; charset=\"../../x//TRANSLIT\"\n\nx", "s", "x",
	     "unknown_charset"},
	    {"Subject: s\nContent-Type: text/plain; charset=utf-8\n\nf\xc3\xbcr caf\xe9", "s",
	     "f\xc3\xbcr caf\xc3\xa9", "invalid_bytes"},
	    {"Subject: s\nContent-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B\xff\xff", "s",
	     NULL, "invalid_bytes"},
	    {"Subject: s\n\nno charset caf\xe9", "s", "no charset caf\xc3\xa9", "invalid_bytes"},
	    {"Subject: s\nContent-Transfer-Encoding: base64\n\n!!!!", "s", NULL, "bad_encoding"},
	    {"Subject: s\nContent-Transfer-Encoding: quoted-printable\n\na=ZZb", "s", "a=ZZb",
	     "bad_encoding"},
	    {"Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext", "s", "text",
	     "open_multipart"},
	    {"Subject: s\nContent-Type: multipart/mixed\n\ntext", "s", "", "open_multipart"},
	    {"Subject: s\nDate: not a date\n\nx", "s", "x", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct result r;

		parse(&r, rows[i].text);
		if (strcmp(r.s->subject, rows[i].subject) != 0)
			fail_msg("row %zu: subject '%s'", i, r.s->subject);
		if (rows[i].body && strcmp(r.s->body, rows[i].body) != 0)
			fail_msg("row %zu: body '%s'", i, r.s->body);
		if (!r.s->has_defects || (rows[i].warning && !warned(&r, rows[i].warning)))
			fail_msg("row %zu: defects %d, warnings %s", i, r.s->has_defects,
				 r.warnings.p);
		done(&r);
	}
}

/* --- charsets ---------------------------------------------------------------------------------------------------------------- */

static void test_charsets_q_164(void **state)
{
	static const struct {
		const char *name, *bytes, *text;
	} rows[] = {
	    {"UTF-8", "\xc3\xa4", "\xc3\xa4"},
	    {"us-ascii", "a", "a"},
	    {NULL, "a", "a"},
	    {"", "\xc3\xa4", "\xc3\xa4"},
	    {"ISO-8859-1", "\xe4\x80", "\xc3\xa4\xe2\x82\xac"},
	    {"iso8859-15", "\xa4", "\xe2\x82\xac"},
	    {"Windows-1251", "\xcf", "\xd0\x9f"},
	    {"koi8-r", "\xf0", "\xd0\x9f"},
	    {"gb2312", "\xc4\xe3", "\xe4\xbd\xa0"},
	    {"GBK", "\xc4\xe3", "\xe4\xbd\xa0"},
	    {"big5", "\xa7\x41", "\xe4\xbd\xa0"},
	    {"Shift_JIS", "\x82\xa0", "\xe3\x81\x82"},
	    {"iso-2022-jp", "\x1b$B$\"\x1b(B", "\xe3\x81\x82"},
	    {"euc-kr", "\xb0\xa1", "\xea\xb0\x80"},
	    {"windows-1258", "a", "a"},
	    {"utf-7", "+AOQ-", "\xc3\xa4"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tap_buf b;

		tap_buf_init(&b, 100);
		assert_int_equal(
		    tap_charset_add(&b, rows[i].name, rows[i].bytes, strlen(rows[i].bytes)), 0);
		if (strcmp(tap_buf_cstr(&b), rows[i].text) != 0)
			fail_msg("%s gives %s", rows[i].name, b.p);
		tap_buf_free(&b);
	}
}

/* --- parts -------------------------------------------------------------------------------------------------------------------- */

static const char mixed[] =
    "From: a@b.example\n"
    "Content-Type: multipart/mixed; boundary=\"o\"\n\n"
    "preamble\n"
    "--o\n"
    "Content-Type: multipart/alternative; boundary=\"i\"\n\n"
    "--i\nContent-Type: text/html\n\n<b>html</b>\n"
    "--i\nContent-Type: text/plain; charset=iso-8859-1\n\nplain \xe4\n"
    "--i--\n"
    "--o\n"
    "Content-Type: application/pdf; name=\"=?utf-8?Q?=C3=A4.pdf?=\"\n"
    "Content-Transfer-Encoding: base64\n"
    "Content-ID: <1@x>\n"
    "Content-Disposition: attachment\n\n"
    "JVBERi0x\nLjQK\n"
    "--o\n"
    "Content-Type: text/csv; charset=utf-8\n"
    "Content-Disposition: attachment; filename*=utf-8''%C3%A4.csv\n\n"
    "a,b\n"
    "--o\n"
    "Content-Type: message/rfc822\n\n"
    "Subject: inner\nContent-Type: multipart/mixed; boundary=z\n\n--z\n\ninner text\n--z--\n"
    "--o\n"
    "Content-Type: text/plain; name=notes.txt\n\n"
    "notes\n"
    "--o--\n"
    "epilogue\n";

/* Words that are called ISO-8859-1 and hold the quotes of windows-1252. */
static void test_called_latin1_q_164(void **state)
{
	struct result r;

	(void)state;
	parse(&r,
	      "Subject: =?iso-8859-1?Q?=93caf=E9=94_=80?=\nX-A: =?utf-8?Q?=C3=82=C2=A0?=x\n\nx");
	assert_string_equal(r.s->subject, "\u201ccaf\u00e9\u201d \u20ac");
	assert_string_equal(r.s->headers[1].value, "\u00c2\u00a0x");
	done(&r);
}

static void test_parts_q_187(void **state)
{
	const struct tap_attachment *t;
	struct result r;

	(void)state;
	parse(&r, mixed);
	assert_string_equal(r.s->body, "plain \xc3\xa4\n\n<b>html</b>");
	assert_int_equal(r.s->n_attachments, 4);
	t = r.s->attachments;
	assert_string_equal(t[0].filename, "\xc3\xa4.pdf");
	assert_string_equal(t[0].content_type, "application/pdf");
	assert_string_equal(t[0].content_id, "<1@x>");
	assert_string_equal(t[0].disposition, "attachment");
	assert_string_equal(t[0].encoding, "base64");
	assert_null(t[0].charset);
	assert_int_equal(t[0].size, 9);
	assert_string_equal(t[0].sha256, hash_of("%PDF-1.4\n", 9));
	assert_int_equal(t[0].payload_len, 9);
	assert_memory_equal(t[0].payload, "%PDF-1.4\n", 9);
	assert_false(t[0].text || t[0].damaged);
	assert_string_equal(t[1].filename, "\xc3\xa4.csv");
	assert_string_equal(t[1].charset, "utf-8");
	assert_true(t[1].text);
	assert_string_equal(t[2].content_type, "message/rfc822");
	assert_null(t[2].filename);
	assert_string_equal(t[2].sha256, hash_of("Subject: inner\nContent-Type: multipart/mixed; "
						 "boundary=z\n\n--z\n\ninner text\n--z--",
						 79));
	assert_string_equal(t[3].filename, "notes.txt");
	assert_int_equal(t[3].size, 5);
	assert_false(r.s->has_defects);
	assert_int_equal(r.warnings.len, 0);
	done(&r);
}

static void test_line_ends(void **state)
{
	struct result r, s;
	struct tap_buf crlf;

	(void)state;
	tap_buf_init(&crlf, MIB);
	for (const char *p = mixed; *p; p++) {
		if (*p == '\n')
			tap_buf_addc(&crlf, '\r');
		tap_buf_addc(&crlf, *p);
	}
	parse(&r, mixed);
	parse(&s, tap_buf_cstr(&crlf));
	assert_string_equal(r.s->body, s.s->body);
	assert_int_equal(r.s->n_attachments, s.s->n_attachments);
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(r.s->attachments[i].sha256, s.s->attachments[i].sha256);
	assert_false(s.s->has_defects);
	done(&r);
	done(&s);
	tap_buf_free(&crlf);
}

static void test_damaged_q_187(void **state)
{
	struct result r;

	(void)state;
	parse(&r,
	      "Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nJVBE*Ri0x\nLjQ");
	assert_int_equal(r.s->n_attachments, 1);
	assert_true(r.s->attachments[0].damaged && r.s->has_defects);
	assert_true(warned(&r, "bad_encoding"));
	assert_string_equal(r.s->attachments[0].sha256, hash_of("%PDF-1.4", 8));
	done(&r);
	/* Missing padding is nothing. */
	parse(
	    &r,
	    "Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nJVBERi0xLjQ\n\n");
	assert_false(r.s->attachments[0].damaged || r.s->has_defects);
	assert_int_equal(r.s->attachments[0].size, 8);
	done(&r);
	parse(&r, "Content-Type: application/pdf\nContent-Transfer-Encoding: x-uuencode\n\nbegin "
		  "644 a\n#0V%T\n`\nend\n");
	assert_int_equal(r.s->attachments[0].size, 3);
	assert_memory_equal(r.s->attachments[0].payload, "Cat", 3);
	assert_false(r.s->attachments[0].damaged);
	done(&r);
}

/* A binary that calls itself a text is not printed as one. */
static void test_text_or_not(void **state)
{
	struct result r;

	(void)state;
	parse(&r, "Content-Type: text/plain; name=a\nContent-Transfer-Encoding: base64\n\nAAEC\n");
	assert_int_equal(r.s->attachments[0].size, 3);
	assert_false(r.s->attachments[0].text);
	done(&r);
	parse(&r, "Content-Type: text/x; name=a\n\ncaf\xe9\n");
	assert_false(r.s->attachments[0].text);
	done(&r);
}

static void test_strip_q_186(void **state)
{
	const struct tap_parse_options opt = {.strip_payloads = true};
	struct result r;

	(void)state;
	assert_int_equal(parse_with(&r, mixed, sizeof mixed - 1, false, &opt, MIB), TAP_OK);
	assert_int_equal(r.s->n_attachments, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_null(r.s->attachments[i].payload);
		assert_int_equal(r.s->attachments[i].payload_len, 0);
		assert_true(r.s->attachments[i].size > 0);
	}
	assert_string_equal(r.s->attachments[0].sha256, hash_of("%PDF-1.4\n", 9));
	done(&r);
}

/* --- limits -------------------------------------------------------------------------------------------------------------------- */

static void test_limits_q_183(void **state)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	const struct tap_parse_options opt = {.limits = &lim};
	struct result r;

	(void)state;
	lim.attachment_bytes = 10;
	assert_int_equal(parse_with(&r, mixed, sizeof mixed - 1, false, &opt, MIB), TAP_OK);
	assert_int_equal(r.s->n_attachments, 4);
	assert_non_null(r.s->attachments[0].payload);
	assert_null(r.s->attachments[2].payload);
	assert_true(warned(&r, "payload_left_out"));
	assert_false(r.s->has_defects);
	done(&r);
	lim.body_bytes = 7; /* in the middle of a character */
	assert_int_equal(parse_with(&r, mixed, sizeof mixed - 1, false, &opt, MIB), TAP_OK);
	assert_string_equal(r.s->body, "plain");
	assert_true(warned(&r, "body_cut"));
	done(&r);
	lim.mime_parts = 3;
	assert_int_equal(parse_with(&r, mixed, sizeof mixed - 1, false, &opt, MIB), TAP_OK);
	assert_int_equal(r.s->n_attachments, 0);
	assert_true(warned(&r, "parts_cut") && r.s->has_defects);
	done(&r);
	lim.mime_parts = 100;
	lim.mime_depth = 1;
	assert_int_equal(parse_with(&r, mixed, sizeof mixed - 1, false, &opt, MIB), TAP_OK);
	assert_true(warned(&r, "depth_cut"));
	done(&r);
	lim = tap_parse_limits_default;
	lim.list = 2;
	assert_int_equal(parse_with(&r, mixed, sizeof mixed - 1, false, &opt, MIB), TAP_OK);
	assert_int_equal(r.s->n_attachments, 2);
	assert_true(warned(&r, "attachments_cut"));
	done(&r);
	assert_int_equal(parse_with(&r, whole, sizeof whole - 1, false, &opt, MIB), TAP_OK);
	assert_int_equal(r.s->to.n, 2);
	assert_int_equal(r.s->n_received, 2);
	assert_true(warned(&r, "list_cut"));
	done(&r);
	lim.header_fields = 5;
	assert_int_equal(parse_with(&r, whole, sizeof whole - 1, false, &opt, MIB), TAP_OK);
	assert_int_equal(r.s->n_headers, 5);
	assert_true(warned(&r, "header_cut") && r.s->has_defects);
	done(&r);
	lim.header_bytes = 100;
	assert_int_equal(parse_with(&r, whole, sizeof whole - 1, false, &opt, MIB), TAP_OK);
	assert_int_equal(r.s->n_headers, 1);
	done(&r);
}

/* Every cap of the arena ends in an error value or a result. */
static void test_arena_cap(void **state)
{
	static const struct tap_parse_options opt;
	bool ok = false;
	struct result r;

	(void)state;
	for (size_t cap = 0; cap < 40000; cap += 97) {
		enum tap_rc a = parse_with(&r, mixed, sizeof mixed - 1, false, &opt, cap), b;

		done(&r);
		b = parse_with(&r, whole, sizeof whole - 1, false, &opt, cap);
		done(&r);
		assert_true(a == TAP_OK || a == TAP_E_LIMIT);
		assert_true(b == TAP_OK || b == TAP_E_LIMIT);
		ok |= a == TAP_OK && b == TAP_OK;
	}
	assert_true(ok);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill(struct tap_buf *b, const char *begin, const char *piece, size_t n)
{
	tap_buf_init(b, 8 * MIB);
	tap_buf_adds(b, begin);
	while (b->len < n)
		tap_buf_adds(b, piece);
}

/* Seconds that a sample of this size takes. */
static double time_of(const char *begin, const char *piece, size_t size)
{
	static const struct tap_parse_options opt;
	struct result r;
	struct tap_buf b;
	enum tap_rc rc;
	double t;

	fill(&b, begin, piece, size);
	t = seconds();
	rc = parse_with(&r, b.p, b.len, false, &opt, 24 * MIB);
	t = seconds() - t;
	assert_true(rc == TAP_OK || rc == TAP_E_LIMIT);
	done(&r);
	tap_buf_free(&b);
	return t;
}

/* Eight times the bytes may take twenty-four times as long, which leaves room for a busy machine; squared it would be sixty-four. What is
 * too short to be timed counts as a hundredth of a second. The thread sanitizer looks at all that is left of the text at each call of
 * iconv, of which a byte that is wrong in a stateful encoding costs one: there that row measures the sanitizer. */
#ifdef __SANITIZE_THREAD__
enum { SANITIZED_ICONV = 1 };
#else
enum { SANITIZED_ICONV = 0 };
#endif

static void test_linear_time(void **state)
{
	static const struct {
		const char *begin, *piece;
	} rows[] = {
	    {"Content-Type: multipart/mixed; boundary=b\n\n", "--b\n"},
	    {"Content-Type: multipart/mixed; boundary=b\n\n",
	     "--b\nContent-Type: multipart/mixed; boundary=b\n\n"},
	    {"Content-Type: multipart/mixed; boundary=b\n\n", "--\n"},
	    {"Content-Type: text/plain; charset=utf-8\n\n", "\xff"},
	    {"Content-Type: text/plain; charset=iso-2022-jp\n\n", "\xff\x1b$B"},
	    {"Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n", "="},
	    {"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n", "="},
	    {"Content-Type: text/plain\nContent-Transfer-Encoding: x-uuencode\n\n", "begin 6\n"},
	    {"Subject: ", "=?utf-8?q?="},
	    {"To: ", "\"\\"},
	    {"", "To: a@b.example\n"},
	    {"", "To: a@b.example, c@d.example, \"x\" <y@z.example>, \"q\n"},
	    {"", "Received: from \" \" (\" by\n"},
	    {"", "DKIM-Signature: d=a; ;;; s\n"},
	    {"", " fold\n"},
	    {"", "\n"},
	    {"", ":"},
	    {"", "A:\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool skip = SANITIZED_ICONV && strstr(rows[i].begin, "iso-2022") != NULL;
		double small = time_of(rows[i].begin, rows[i].piece, LARGE / 8);
		double large = skip ? 0 : time_of(rows[i].begin, rows[i].piece, LARGE);

		if (large > 24 * (small > 0.01 ? small : 0.01))
			fail_msg("row %zu: %.3f s, and %.3f s for an eighth of it", i, large,
				 small);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses),	   cmocka_unit_test(test_texts_q_184),
	    cmocka_unit_test(test_hops),	   cmocka_unit_test(test_headers_only_t_arf_6),
	    cmocka_unit_test(test_missing_q_180),  cmocka_unit_test(test_defects_q_164),
	    cmocka_unit_test(test_charsets_q_164), cmocka_unit_test(test_called_latin1_q_164),
	    cmocka_unit_test(test_parts_q_187),	   cmocka_unit_test(test_line_ends),
	    cmocka_unit_test(test_damaged_q_187),  cmocka_unit_test(test_text_or_not),
	    cmocka_unit_test(test_strip_q_186),	   cmocka_unit_test(test_limits_q_183),
	    cmocka_unit_test(test_arena_cap),	   cmocka_unit_test(test_linear_time),
	};

	tap_parser_global_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
