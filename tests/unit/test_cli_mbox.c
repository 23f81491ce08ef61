/* SPDX-License-Identifier: Apache-2.0
 * The mbox cutter, fed as a file and as a stream in pieces of every size: what comes out never depends on how the bytes came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/io.h"
#include "cli/mbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEP  "From someone@example.com Thu Jan  1 00:00:00 2026\n"
#define CRLF "From someone@example.com Thu Jan  1 00:00:00 2026\r\n"

struct feed {
	const char *p;
	size_t n, at, piece;
};

static enum tap_rc feed_read(void *ctx, void *p, size_t n, size_t *got_r, struct tap_err *err)
{
	struct feed *f = ctx;
	size_t left = f->n - f->at;

	(void)err;
	*got_r = left < n ? left : n;
	if (*got_r > f->piece)
		*got_r = f->piece;
	memcpy(p, f->p + f->at, *got_r);
	f->at += *got_r;
	return TAP_OK;
}

static enum tap_rc feed_peek(void *ctx, uint64_t off, void *p, size_t n, size_t *got_r,
			     struct tap_err *err)
{
	const struct feed *f = ctx;
	size_t left = off < f->n ? f->n - (size_t)off : 0;

	(void)err;
	*got_r = left < n ? left : n;
	memcpy(p, f->p + (left > 0 ? off : 0), *got_r);
	return TAP_OK;
}

/* All messages, each followed by "<END>". */
static char *cut(const char *p, size_t n, size_t piece, bool peek, bool unquote, size_t *count_r)
{
	struct feed f = {.p = p, .n = n, .piece = piece};
	struct tap_mbox_source src = {
	    .read = feed_read, .peek = peek ? feed_peek : NULL, .ctx = &f};
	struct tap_mbox m;
	struct tap_mbox_message out;
	struct tap_err err = {0};
	char *text = calloc(1, n + 65536);
	size_t len = 0;
	bool more;
	uint64_t taken = 0;

	assert_int_equal(tap_mbox_init(&m, &src, unquote, &err), TAP_OK);
	for (*count_r = 0;; ++*count_r) {
		assert_int_equal(tap_mbox_next(&m, &out, &more, &err), TAP_OK);
		if (!more)
			break;
		assert_int_equal(out.number, *count_r + 1);
		assert_true(out.offset >= taken && out.taken >= out.offset);
		taken = out.taken;
		if (out.fd >= 0) {
			assert_true((size_t)pread(out.fd, text + len, out.size, 0) == out.size);
			len += out.size;
			tap_io_close(&out.fd);
		} else {
			memcpy(text + len, out.p, out.n);
			len += out.n;
		}
		memcpy(text + len, "<END>", 5);
		len += 5;
	}
	assert_int_equal(taken, *count_r > 0 ? n : 0);
	tap_mbox_free(&m);
	text[len] = '\0';
	return text;
}

static void expect_with(const char *mbox, bool unquote, const char *want)
{
	static const size_t pieces[] = {1, 2, 3, 7, 64, 100000};

	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
		for (int peek = 0; peek < 2; peek++) {
			size_t count;
			char *got = cut(mbox, strlen(mbox), pieces[i], peek, unquote, &count);

			assert_string_equal(got, want);
			free(got);
		}
}

static void expect(const char *mbox, const char *want)
{
	expect_with(mbox, false, want);
}

static void separators_t_fi_1(void **state)
{
	static const struct {
		bool is;
		const char *line;
	} lines[] = {
	    {true, "From someone@example.com Thu Jan  1 00:00:00 2026"},
	    {true, "From MAILER-DAEMON Thu Jan 1 00:00:00 2026"},
	    {true, "From - Thu Jan 01 0:00:00 2026"},
	    {true, "From a@b Thu Jan  1 00:00 2026"},
	    {true, "From a@b Thu Jan  1 00:00:00 UTC 2026"},
	    {true, "From a@b Thu Jan  1 00:00:00 +0000 2026"},
	    {true, "From a@b Thu Jan  1 00:00:00 2026 +0100"},
	    {true, "From user at example.com  Thu Jan  1 00:00:00 2026"},
	    {true, "From 1700000000000000000@xxx Thu Jan 01 00:00:00 +0000 2026"},
	    {true, "From Thu Jan  1 00:00:00 2026"},
	    {true, "From a@b Thu, 01 Jan 2026 00:00:00 +0000"},
	    {true, "From thu Thu Jan  1 00:00:00 2026"},
	    {false, "From may Thu 1 00:00:00 2026"},
	    {false, "From a@b Thu Thu 1 00:00:00 2026"},
	    {false, "From "},
	    {false, "From -"},
	    {false, "From here on all is well"},
	    {false, "From a@b Thu Jan  1 00:00:00"},
	    {false, "From a@b Thu Jan 32 00:00:00 2026"},
	    {true, "From a@b Thu 1 Jan 00:00:00 2026"},
	    {false, "From a@b Thu Jan  1 00:00:00 26"},
	    {false, "From a@b Thursday Jan  1 00:00:00 2026"},
	    {false, "from a@b Thu Jan  1 00:00:00 2026"},
	    {false, "From: a@b Thu Jan  1 00:00:00 2026"},
	    {false, "From"},
	    {false, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		if (tap_mbox_separator(lines[i].line, strlen(lines[i].line)) != lines[i].is)
			fail_msg("%s", lines[i].line);
}

static void sniff(void **state)
{
	(void)state;
	assert_true(tap_mbox_sniff(SEP, strlen(SEP)));
	assert_true(tap_mbox_sniff("\xef\xbb\xbf" SEP, strlen(SEP) + 3));
	assert_true(tap_mbox_sniff("\r\n\n" CRLF, strlen(CRLF) + 3));
	assert_false(tap_mbox_sniff("Subject: x\n\n" SEP, strlen(SEP) + 12));
	assert_false(tap_mbox_sniff(SEP, strlen(SEP) - 1));
	assert_false(tap_mbox_sniff("", 0));
	assert_true(tap_mbox_sniff("From \r\nA: b", 11));
	assert_true(tap_mbox_sniff("From - \nA: b", 12));
	assert_false(tap_mbox_sniff("From x\nA: b", 11));
}

static void bodies_with_from_t_fi_1(void **state)
{
	(void)state;
	/* mboxo: quotes stay; a From line without a date, or without an empty line before it, is text */
	expect(SEP "Subject: 1\n\nFrom here on\n>From x\ntext\n" SEP "X: is text\n\n" SEP
		   "Subject: 2\n\nb\n",
	       "Subject: 1\n\nFrom here on\n>From x\ntext\n" SEP "X: is text\n<END>"
	       "Subject: 2\n\nb\n<END>");
	/* a date, an empty line, but no header behind it */
	expect(SEP "Subject: 1\n\ntext\n\n" SEP "and more text\n\nend\n",
	       "Subject: 1\n\ntext\n\n" SEP "and more text\n\nend\n<END>");
	/* mboxrd: once a >>From is seen, one > goes */
	expect(SEP "Subject: 1\n\n>From a\n>>From b\n>>>From c\nx >From d\n>Frome\n\n" SEP
		   "Subject: 2\n\n>From e\n",
	       "Subject: 1\n\nFrom a\n>From b\n>>From c\nx >From d\n>Frome\n<END>"
	       "Subject: 2\n\nFrom e\n<END>");
	expect_with(SEP "Subject: 1\n\n>From a\n\n" SEP "Subject: 2\n\n> From b\n", true,
		    "Subject: 1\n\nFrom a\n<END>Subject: 2\n\n> From b\n<END>");
	/* a mail that begins with a quoted separator of an older mailbox */
	expect(SEP "Subject: 1\n\na\n\n" SEP ">" SEP "Subject: 2\n\nb\n\n",
	       "Subject: 1\n\na\n<END>>" SEP "Subject: 2\n\nb\n<END>");
}

static void content_length_t_fi_2(void **state)
{
	(void)state;
	/* mboxcl2: the body holds what looks like a separator */
	expect(SEP "Content-Length: 66\n\na\n\n" SEP "Subject: 1\n\n" /* 3 + 50 + 12 */
		   "b\n" SEP "Subject: 2\n\nc\n",
	       "Content-Length: 66\n\na\n\n" SEP "Subject: 1\n\nb<END>Subject: 2\n\nc\n<END>");
	/* wrong ones: too short, too long, beyond the end, no number, absurd */
	expect(SEP "Content-Length: 1\n\nabc\n\n" SEP "Subject: 2\n\nc\n",
	       "Content-Length: 1\n\nabc\n<END>Subject: 2\n\nc\n<END>");
	expect(SEP "Content-Length: 20\n\nabc\n\n" SEP "Subject: 2\n\nc\n",
	       "Content-Length: 20\n\nabc\n<END>Subject: 2\n\nc\n<END>");
	expect(SEP "content-length: 2000\n\nabc\n\n" SEP "Subject: 2\n\nc\n",
	       "content-length: 2000\n\nabc\n<END>Subject: 2\n\nc\n<END>");
	expect(SEP "Content-Length: 3x\n\nabc\n\n" SEP "Subject: 2\n\nc\n",
	       "Content-Length: 3x\n\nabc\n<END>Subject: 2\n\nc\n<END>");
	expect(SEP "Content-Length: 99999999999999999999999\n\nabc\n\n" SEP "Subject: 2\n\nc\n",
	       "Content-Length: 99999999999999999999999\n\nabc\n<END>Subject: 2\n\nc\n<END>");
	/* to the very end */
	expect(SEP "Content-Length: 4\n\nabc\n", "Content-Length: 4\n\nabc\n<END>");
}

static void crlf_t_fi_4(void **state)
{
	(void)state;
	expect(CRLF "Subject: 1\r\n\r\n>>From a\r\n>From b\r\n\r\n" CRLF
		    "Subject: 2\r\n\r\nb\r\n\r\n",
	       "Subject: 1\r\n\r\n>From a\r\nFrom b\r\n<END>Subject: 2\r\n\r\nb\r\n<END>");
	expect(CRLF "Content-Length: 3\r\n\r\nx\r\n\r\n" CRLF "Subject: 2\r\n\r\nb\r\n",
	       "Content-Length: 3\r\n\r\nx\r\n<END>Subject: 2\r\n\r\nb\r\n<END>");
}

static void ends_t_fi_5(void **state)
{
	(void)state;
	expect("", "");
	expect("\n\n", "");
	expect(SEP, "<END>");
	expect(SEP "Subject: 1\n\nno line end", "Subject: 1\n\nno line end<END>");
	expect(SEP "Subject: 1\n\na\n\n" SEP, "Subject: 1\n\na\n\n" SEP "<END>");
	expect("\xef\xbb\xbf\n" SEP "Subject: 1\n\na", "Subject: 1\n\na<END>");
	expect(SEP "\n" SEP "Subject: 2\n\nb\n", "<END>Subject: 2\n\nb\n<END>");
}

/* A bare separator is one only in a file that begins with one, and then too it stands between an empty line and a header. */
static void bare_separators(void **state)
{
	(void)state;
	expect("From \r\nA: 1\r\n\r\na\r\n\r\nFrom \r\nA: 2\r\n\r\nb\r\n",
	       "A: 1\r\n\r\na\r\n<END>A: 2\r\n\r\nb\r\n<END>");
	expect("From -\nA: 1\n\nFrom -\nA: 2\n\nx\nFrom -\nA: 3\n\nFrom -\nno header\n",
	       "A: 1\n<END>A: 2\n\nx\nFrom -\nA: 3\n\nFrom -\nno header\n<END>");
	expect("From \nA: 1\n\na\n\n" SEP "A: 2\n\nb\n", "A: 1\n\na\n<END>A: 2\n\nb\n<END>");
	expect(SEP "A: 1\n\na\n\nFrom \nA: 2\n\nb\n", "A: 1\n\na\n\nFrom \nA: 2\n\nb\n<END>");
}

static size_t put(char *to, size_t at, const char *text)
{
	memcpy(to + at, text, strlen(text) + 1);
	return at + strlen(text);
}

/* Larger than the window, with the separator at many places around its end, and quoted lines in what goes to the temporary file. */
static void large_messages(void **state)
{
	enum { MIB = 1024 * 1024, LINE = 71 };
	char *mbox = malloc(2 * MIB), *want = malloc(2 * MIB);

	(void)state;
	for (size_t extra = 0; extra < 300; extra += 7) {
		size_t n = put(mbox, 0, SEP "Subject: 1\n\n>>From x\n"), count;
		size_t w = put(want, 0, "Subject: 1\n\n>From x\n");

		while (n < MIB + extra) {
			char line[LINE + 1];

			memset(line, 'y', LINE);
			line[LINE] = '\0';
			line[n % 2 ? LINE - 1 : (n + extra) % LINE] = '\n';
			n = put(mbox, n, line);
			w = put(want, w, line);
		}
		n = put(mbox, n, "\n>From z\n\n" SEP "Subject: 2\n\nb\n");
		w = put(want, w, "\nFrom z\n<END>Subject: 2\n\nb\n<END>");
		for (int peek = 0; peek < 2; peek++) {
			char *got = cut(mbox, n, extra % 2 ? 4093 : MIB, peek, false, &count);

			assert_int_equal(count, 2);
			assert_int_equal(strlen(got), w);
			assert_memory_equal(got, want, w);
			free(got);
		}
	}
	free(mbox);
	free(want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(separators_t_fi_1),
	    cmocka_unit_test(sniff),
	    cmocka_unit_test(bodies_with_from_t_fi_1),
	    cmocka_unit_test(content_length_t_fi_2),
	    cmocka_unit_test(crlf_t_fi_4),
	    cmocka_unit_test(ends_t_fi_5),
	    cmocka_unit_test(bare_separators),
	    cmocka_unit_test(large_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
