/* SPDX-License-Identifier: Apache-2.0
 * The milter's session, driven without libmilter: a mail server that remembers what it was asked, and a parser that says what
 * the test wants it to say. The spool is real. */
#include "intake_helper.h"

#include "milter/session.h"
#include "milter/settings.h"

enum {
	FULL_CAN = 0x1ff,
	FULL_STEP = 0x1fffff,
	V2_STEP = 0x7f, /* what a server of protocol version 2 offers */
};

static struct tap_parse_result next_verdict;
static enum tap_rc next_rc;
static unsigned asked;

static enum tap_rc say(void *ctx, const struct tap_pool_job *job, struct tap_parse_result *res,
		       struct tap_err *err)
{
	(void)ctx;
	asked++;
	assert_true(job->fd >= 0);
	assert_int_equal(job->off, TAP_SPOOL_HEADER);
	*res = next_verdict;
	return next_rc ? tap_err_set(err, next_rc, "no parser process") : TAP_OK;
}

static void verdict(enum tap_verdict v, const char *why)
{
	next_verdict = (struct tap_parse_result){.verdict = v, .reports = v == TAP_V_REPORT};
	snprintf(next_verdict.why, sizeof(next_verdict.why), "%s", why);
	next_rc = TAP_OK;
}

/* ---- the mail server ---- */

struct mta {
	char log[8192]; /* what was asked, one a line */
	bool refuse;	/* nothing can be sent */
};

static void note(struct mta *m, const char *fmt, ...)
{
	size_t n = strlen(m->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->log + n, sizeof(m->log) - n, fmt, ap);
	va_end(ap);
}

static const char *macro(void *ctx, const char *name)
{
	(void)ctx;
	if (strcmp(name, "i") == 0)
		return "4QUEUEID";
	if (strcmp(name, "{auth_authen}") == 0)
		return "";
	return NULL;
}

static bool set_reply(void *ctx, int code, const char *dsn, const char *text)
{
	struct mta *m = ctx;

	assert_non_null(text);
	note(m, "reply %d %s\n", code, dsn);
	return !m->refuse;
}

static bool add_header(void *ctx, const char *name, const char *value)
{
	struct mta *m = ctx;

	for (const char *p = value; *p; p++)
		assert_true(*p >= ' ' && *p <= '~');
	note(m, "add %s:%.12s\n", name, value);
	return !m->refuse;
}

static bool drop_header(void *ctx, const char *name, int index)
{
	struct mta *m = ctx;

	note(m, "drop %s %d\n", name, index);
	return !m->refuse;
}

static bool drop_recipient(void *ctx, const char *path)
{
	struct mta *m = ctx;

	note(m, "delrcpt %s\n", path);
	return !m->refuse;
}

static const struct tap_session_mta ops = {macro, set_reply, add_header, drop_header,
					   drop_recipient};

/* ---- a door ---- */

static struct tap_trust_settings trust; /* as in the file where nothing is configured */
static char *addresses[] = {"dmarc@example.com", "@reports.example.com"};

struct door {
	struct box box;
	struct tap_reports_settings reports;
	struct tap_intake *in;
	struct mta mta;
	struct tap_session *s;
};

static void door_open(struct door *d, bool consume, unsigned long can, unsigned long step)
{
	struct tap_intake_config cfg = {.reports = &d->reports,
					.spool = &d->box.set,
					.trust = &trust,
					.door = TAP_DOOR_MILTER,
					.verdict = say};
	struct tap_err err;

	memset(d, 0, sizeof(*d));
	box_make(&d->box);
	d->reports = (struct tap_reports_settings){
	    .addresses = {addresses, 2},
	    .extension_delimiter = addresses[0] + strlen(addresses[0]),
	    .consume = consume,
	    .max_message = 1 << 20,
	};
	cfg.spool = &d->box.set;
	if (tap_intake_open(&cfg, &d->in, &err) != TAP_OK)
		fail_msg("%s", err.msg);
	tap_session_negotiate(can, step, &can, &step);
	d->s = tap_session_new(d->in, &ops, &d->mta, can, step);
	assert_non_null(d->s);
	verdict(TAP_V_REPORT, "");
	asked = 0;
}

static void door_close(struct door *d)
{
	tap_session_free(&d->s);
	assert_null(d->s);
	tap_session_free(&d->s);
	assert_int_equal(box_count(&d->box, "incoming/milter", 1, NULL),
			 box_count(&d->box, "incoming/milter", 0, NULL));
	tap_intake_close(&d->in);
	box_drop(&d->box);
}

static size_t spooled(const struct door *d)
{
	return box_count(&d->box, "incoming/milter", 0, NULL);
}

/* MAIL to DATA for up to two recipients. */
static enum tap_answer envelope(struct door *d, const char *a, const char *b)
{
	d->mta.log[0] = '\0';
	tap_session_connect(d->s, "mx.example", "192.0.2.7", false);
	tap_session_mail(d->s, "<reporter@receiver.example>");
	assert_int_equal(tap_session_rcpt(d->s, a), TAP_ANSWER_CONTINUE);
	if (b)
		assert_int_equal(tap_session_rcpt(d->s, b), TAP_ANSWER_CONTINUE);
	return tap_session_data(d->s);
}

static enum tap_answer content(struct door *d)
{
	tap_session_header(d->s, "Subject", " Report Domain: example.com");
	tap_session_eoh(d->s);
	assert_int_equal(tap_session_body(d->s, "body\r\n", 6), TAP_ANSWER_CONTINUE);
	assert_true(tap_session_busy(d->s));
	return tap_session_eom(d->s);
}

static enum tap_answer deliver(struct door *d, const char *a, const char *b)
{
	assert_int_equal(envelope(d, a, b), TAP_ANSWER_CONTINUE);
	return content(d);
}

/* ---- tests ---- */

static void test_t_mi_1_negotiation(void **state)
{
	unsigned long can, step;

	(void)state;
	tap_session_negotiate(FULL_CAN, FULL_STEP, &can, &step);
	assert_int_equal(can,
			 TAP_CAN_ADDHDRS | TAP_CAN_DELRCPT | TAP_CAN_CHGHDRS | TAP_CAN_SETSYMLIST);
	assert_int_equal(step, TAP_STEP_NOHELO | TAP_STEP_NOUNKNOWN | TAP_STEP_SKIP |
				   TAP_STEP_NR_CONN | TAP_STEP_NR_MAIL | TAP_STEP_NR_HDR |
				   TAP_STEP_NR_EOH | TAP_STEP_HDR_LEADSPC);
	tap_session_negotiate(0, 0, &can, &step);
	assert_int_equal(can, 0);
	assert_int_equal(step, 0);
	tap_session_negotiate(0x3f, V2_STEP, &can, &step);
	assert_int_equal(can, TAP_CAN_ADDHDRS | TAP_CAN_DELRCPT | TAP_CAN_CHGHDRS);
	assert_int_equal(step, TAP_STEP_NOHELO);
	/* Without a DATA step the first header needs its answer. */
	tap_session_negotiate(FULL_CAN, FULL_STEP & ~TAP_STEP_NODATA, &can, &step);
	assert_int_equal(step & (TAP_STEP_NR_HDR | TAP_STEP_NR_EOH), 0);
	for (unsigned long offer = 0; offer <= FULL_STEP; offer += 0x11) {
		tap_session_negotiate(offer, offer, &can, &step);
		assert_int_equal(can & ~offer, 0);
		assert_int_equal(step & ~offer, 0);
	}
}

static void test_t_mi_2_mail_for_others(void **state)
{
	struct door d;

	(void)state;
	door_open(&d, true, FULL_CAN, FULL_STEP);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(envelope(&d, "<someone@example.com>", "<else@example.org>"),
				 TAP_ANSWER_ACCEPT);
		assert_false(tap_session_busy(d.s));
	}
	assert_int_equal(asked, 0);
	assert_string_equal(d.mta.log, "");
	assert_int_equal(spooled(&d), 0);
	/* The next message on the connection starts fresh. */
	assert_int_equal(deliver(&d, "<dmarc@example.com>", NULL), TAP_ANSWER_DISCARD);
	assert_int_equal(spooled(&d), 1);
	door_close(&d);
}

/* T-MI-3: all, mixed × consume, copy × every fate, against what the table says in words of this test. */
static void test_t_mi_3_fates(void **state)
{
	static const struct {
		bool consume, mixed;
		enum tap_verdict verdict;
		enum tap_answer answer;
		size_t spooled;
		const char *log;
	} rows[] = {
	    {true, false, TAP_V_REPORT, TAP_ANSWER_DISCARD, 1, ""},
	    {true, false, TAP_V_NOT_A_REPORT, TAP_ANSWER_CONTINUE, 0, ""},
	    {true, false, TAP_V_BROKEN, TAP_ANSWER_CONTINUE, 1, "add X-Dmarctap: broken; id=\n"},
	    {true, false, TAP_V_UNREADABLE, TAP_ANSWER_CONTINUE, 1,
	     "add X-Dmarctap: unreadable;\n"},
	    {true, false, TAP_V_TOO_LARGE, TAP_ANSWER_CONTINUE, 1, "add X-Dmarctap: broken; id=\n"},
	    {true, true, TAP_V_REPORT, TAP_ANSWER_CONTINUE, 1, "delrcpt <dmarc@example.com>\n"},
	    {true, true, TAP_V_NOT_A_REPORT, TAP_ANSWER_CONTINUE, 0, ""},
	    {true, true, TAP_V_BROKEN, TAP_ANSWER_CONTINUE, 1, "add X-Dmarctap: broken; id=\n"},
	    {false, false, TAP_V_REPORT, TAP_ANSWER_CONTINUE, 1, "add X-Dmarctap: report; id=\n"},
	    {false, false, TAP_V_NOT_A_REPORT, TAP_ANSWER_CONTINUE, 0, ""},
	    {false, false, TAP_V_BROKEN, TAP_ANSWER_CONTINUE, 1, "add X-Dmarctap: broken; id=\n"},
	    {false, true, TAP_V_REPORT, TAP_ANSWER_CONTINUE, 1, "add X-Dmarctap: report; id=\n"},
	    {false, true, TAP_V_UNREADABLE, TAP_ANSWER_CONTINUE, 1,
	     "add X-Dmarctap: unreadable;\n"},
	    {true, false, TAP_V_FEEDBACK, TAP_ANSWER_CONTINUE, 1, "add X-Dmarctap: feedback; i\n"},
	    {true, true, TAP_V_FEEDBACK, TAP_ANSWER_CONTINUE, 1, "add X-Dmarctap: feedback; i\n"},
	    {false, false, TAP_V_FEEDBACK, TAP_ANSWER_CONTINUE, 1, "add X-Dmarctap: feedback; i\n"},
	    {false, true, TAP_V_FEEDBACK, TAP_ANSWER_CONTINUE, 1, "add X-Dmarctap: feedback; i\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tap_spool_file f;
		enum tap_answer a;
		struct door d;

		door_open(&d, rows[i].consume, FULL_CAN, FULL_STEP);
		verdict(rows[i].verdict, "gzip:\r\nbad \x80 CRC");
		a = deliver(&d, "<dmarc@example.com>",
			    rows[i].mixed ? "<other@example.org>" : NULL);
		if (a != rows[i].answer || strcmp(d.mta.log, rows[i].log) != 0 ||
		    spooled(&d) != rows[i].spooled)
			fail_msg("row %zu: answer %d, %zu spooled, log '%s'", i, (int)a,
				 spooled(&d), d.mta.log);
		if (rows[i].spooled) {
			box_only(&d.box, "incoming/milter", &f);
			/* What goes on to a mailbox is said so in the file. */
			assert_int_equal(f.envelope.passed_on,
					 !(rows[i].consume && rows[i].verdict == TAP_V_REPORT));
			tap_spool_file_close(&f);
		}
		door_close(&d);
	}
}

/* Refused is what is unauthenticated, of a kind that is refused, and nothing else; and only where nobody else is to get the mail. */
static void test_rejected(void **state)
{
	enum { AGG = TAP_KIND_AGGREGATE, TLS = TAP_KIND_SMTP_TLS, ARF = TAP_KIND_FEEDBACK };
	static const struct {
		unsigned kinds, unauthenticated, broken;
		bool consume, mixed;
		enum tap_answer answer;
		size_t spooled;
		const char *log;
	} rows[] = {
	    {AGG, AGG, 0, true, false, TAP_ANSWER_REJECT, 0, "reply 550 5.7.1\n"},
	    {AGG, AGG, 0, false, false, TAP_ANSWER_REJECT, 0, "reply 550 5.7.1\n"},
	    {AGG, AGG, 0, true, true, TAP_ANSWER_CONTINUE, 0, "add X-Dmarctap: rejected; t\n"},
	    {AGG, AGG, 0, false, true, TAP_ANSWER_CONTINUE, 0, "add X-Dmarctap: rejected; t\n"},
	    {AGG, 0, 0, true, false, TAP_ANSWER_DISCARD, 1, ""},
	    {AGG, AGG, 1, true, false, TAP_ANSWER_DISCARD, 1, ""},
	    {TLS, TLS, 0, true, false, TAP_ANSWER_DISCARD, 1, ""},
	    {AGG | TLS, AGG | TLS, 0, true, false, TAP_ANSWER_DISCARD, 1, ""},
	    {AGG | ARF, AGG | ARF, 0, true, false, TAP_ANSWER_DISCARD, 1, ""},
	    {0, 0, 0, true, false, TAP_ANSWER_DISCARD, 1, ""},
	};

	(void)state;
	trust.unauth_aggregate = TAP_UNAUTH_REJECT;
	trust.unauth_tls = TAP_UNAUTH_QUARANTINE;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum tap_answer a;
		struct door d;

		door_open(&d, rows[i].consume, FULL_CAN, FULL_STEP);
		next_verdict.kinds = rows[i].kinds;
		next_verdict.unauthenticated = rows[i].unauthenticated;
		next_verdict.broken = rows[i].broken;
		a = deliver(&d, "<dmarc@example.com>",
			    rows[i].mixed ? "<other@example.org>" : NULL);
		if (a != rows[i].answer || strcmp(d.mta.log, rows[i].log) != 0 ||
		    spooled(&d) != rows[i].spooled)
			fail_msg("row %zu: answer %d, %zu spooled, log '%s'", i, (int)a,
				 spooled(&d), d.mta.log);
		door_close(&d);
	}
	trust = (struct tap_trust_settings){0};
}

static void test_envelope_and_bytes(void **state)
{
	static const char want[] = "Subject: Report Domain: example.com\r\n"
				   "X-Fold:\tone\r\n two\r\n"
				   "Empty:\r\n"
				   "\r\n"
				   "a\r\nb\0c\r\n";
	struct tap_spool_file f;
	struct door d;
	char *got;

	(void)state;
	door_open(&d, true, FULL_CAN, FULL_STEP);
	assert_int_equal(envelope(&d, "<DMARC@Example.com>", "<x@reports.example.com>"),
			 TAP_ANSWER_CONTINUE);
	assert_int_equal(tap_session_header(d.s, "Subject", " Report Domain: example.com"),
			 TAP_ANSWER_NOREPLY);
	assert_int_equal(tap_session_header(d.s, "X-Fold", "\tone\n two"), TAP_ANSWER_NOREPLY);
	assert_int_equal(tap_session_header(d.s, "Empty", ""), TAP_ANSWER_NOREPLY);
	assert_int_equal(tap_session_eoh(d.s), TAP_ANSWER_NOREPLY);
	assert_int_equal(tap_session_body(d.s, "a\r", 2), TAP_ANSWER_CONTINUE);
	assert_int_equal(tap_session_body(d.s, "\nb\0c\r\n", 6), TAP_ANSWER_CONTINUE);
	assert_int_equal(tap_session_eom(d.s), TAP_ANSWER_DISCARD);
	box_only(&d.box, "incoming/milter", &f);
	assert_int_equal(f.message_len, sizeof(want) - 1);
	got = message_of(&f);
	assert_memory_equal(got, want, sizeof(want) - 1);
	free(got);
	assert_int_equal(f.envelope.door, TAP_DOOR_MILTER);
	assert_int_equal(f.envelope.fate, TAP_FATE_REPORT);
	assert_string_equal(f.envelope.sender, "reporter@receiver.example");
	assert_int_equal(f.envelope.n_recipients, 2); /* stored once for both */
	assert_string_equal(f.envelope.recipients[0], "DMARC@Example.com");
	assert_string_equal(f.envelope.recipients[1], "x@reports.example.com");
	assert_string_equal(f.envelope.client, "192.0.2.7");
	assert_string_equal(f.envelope.client_name, "mx.example");
	assert_string_equal(f.envelope.queue_id, "4QUEUEID");
	assert_null(f.envelope.auth);
	assert_null(f.envelope.reason);
	assert_true(f.envelope.arrival > 1700000000);
	tap_spool_file_close(&f);
	door_close(&d);
}

/* T-MI-9: with and without HDR_LEADSPC the copy reads the same. */
static void test_t_mi_9_leading_space(void **state)
{
	char *text[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		unsigned long step =
		    i ? FULL_STEP : FULL_STEP & ~(unsigned long)TAP_STEP_HDR_LEADSPC;
		struct tap_spool_file f;
		struct door d;

		door_open(&d, false, FULL_CAN, step);
		envelope(&d, "<dmarc@example.com>", NULL);
		tap_session_header(d.s, "Subject", i ? " x\n\ty" : "x\n\ty");
		tap_session_header(d.s, "Crlf", i ? " x\r\n\ty" : "x\r\n\ty");
		tap_session_eoh(d.s);
		tap_session_eom(d.s);
		/* The mail server that gives the blank takes it too. */
		assert_non_null(
		    strstr(d.mta.log, i ? "X-Dmarctap: report;" : "X-Dmarctap:report;"));
		box_only(&d.box, "incoming/milter", &f);
		text[i] = message_of(&f);
		tap_spool_file_close(&f);
		door_close(&d);
	}
	assert_string_equal(text[0], "Subject: x\r\n\ty\r\nCrlf: x\r\n\ty\r\n\r\n");
	assert_string_equal(text[0], text[1]);
	free(text[0]);
	free(text[1]);
}

static void test_t_mi_4_three_messages_second_aborted(void **state)
{
	struct door d;

	(void)state;
	door_open(&d, true, FULL_CAN, FULL_STEP);
	assert_int_equal(deliver(&d, "<dmarc@example.com>", NULL), TAP_ANSWER_DISCARD);
	envelope(&d, "<dmarc@example.com>", NULL);
	tap_session_header(d.s, "Subject", " second");
	tap_session_abort(d.s);
	tap_session_abort(d.s);
	assert_false(tap_session_busy(d.s));
	assert_int_equal(box_count(&d.box, "incoming/milter", 1, NULL), 1);
	assert_int_equal(deliver(&d, "<dmarc@example.com>", NULL), TAP_ANSWER_DISCARD);
	assert_int_equal(spooled(&d), 2);
	/* A MAIL without an end before it forgets what was. */
	envelope(&d, "<dmarc@example.com>", NULL);
	assert_int_equal(envelope(&d, "<other@example.org>", NULL), TAP_ANSWER_ACCEPT);
	door_close(&d);
}

static void test_t_mi_5_lost_in_every_state(void **state)
{
	(void)state;
	for (int last = 0; last < 8; last++) {
		struct door d;

		door_open(&d, true, FULL_CAN, FULL_STEP);
		if (last > 0)
			tap_session_connect(d.s, "x", NULL, true);
		if (last > 1)
			tap_session_mail(d.s, "<>");
		if (last > 2)
			tap_session_rcpt(d.s, "<dmarc@example.com>");
		if (last > 3)
			tap_session_data(d.s);
		if (last > 4)
			tap_session_header(d.s, "A", " b");
		if (last > 5)
			tap_session_eoh(d.s);
		if (last > 6)
			tap_session_body(d.s, "x", 1);
		door_close(&d); /* sees to it that nothing is left */
	}
}

static void test_t_mi_6_bodies(void **state)
{
	struct tap_spool_file f;
	struct door d;
	char chunk[65535];

	(void)state;
	memset(chunk, 0, sizeof(chunk));
	/* One byte at a time, with NULs. */
	door_open(&d, true, FULL_CAN, FULL_STEP);
	envelope(&d, "<dmarc@example.com>", NULL);
	tap_session_eoh(d.s);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(tap_session_body(d.s, chunk, 1), TAP_ANSWER_CONTINUE);
	assert_int_equal(tap_session_eom(d.s), TAP_ANSWER_DISCARD);
	box_only(&d.box, "incoming/milter", &f);
	assert_int_equal(f.message_len, 1002);
	tap_spool_file_close(&f);
	door_close(&d);
	/* Exactly at the limit, and one byte over, with and without SKIP. */
	for (int i = 0; i < 3; i++) {
		enum tap_answer a = TAP_ANSWER_CONTINUE;

		door_open(&d, true, FULL_CAN,
			  i < 2 ? FULL_STEP : FULL_STEP & ~(unsigned long)TAP_STEP_SKIP);
		envelope(&d, "<dmarc@example.com>", NULL);
		tap_session_eoh(d.s);
		for (int k = 0; k < 16; k++)
			a = tap_session_body(d.s, chunk, sizeof(chunk));
		assert_int_equal(a, TAP_ANSWER_CONTINUE);
		a = tap_session_body(d.s, chunk, i == 0 ? 14 : 15);
		assert_int_equal(a, i == 1 ? TAP_ANSWER_SKIP : TAP_ANSWER_CONTINUE);
		if (i > 0) {
			/* Its room is given back at once. */
			assert_int_equal(box_count(&d.box, "incoming/milter", 1, NULL), 0);
			tap_session_body(d.s, chunk, sizeof(chunk));
		}
		a = tap_session_eom(d.s);
		assert_int_equal(a, i == 0 ? TAP_ANSWER_DISCARD : TAP_ANSWER_CONTINUE);
		assert_int_equal(asked, i == 0);
		assert_int_equal(spooled(&d), i == 0);
		assert_int_equal(strstr(d.mta.log, "X-Dmarctap: too large;") != NULL, i > 0);
		door_close(&d);
	}
}

static void test_t_mi_7_trouble(void **state)
{
	struct door d;

	(void)state;
	for (int consume = 0; consume < 2; consume++) {
		door_open(&d, consume, FULL_CAN, FULL_STEP);
		next_rc = TAP_E_TEMP;
		assert_int_equal(deliver(&d, "<dmarc@example.com>", NULL), TAP_ANSWER_TEMPFAIL);
		assert_string_equal(d.mta.log, "reply 451 4.3.0\n");
		/* Others get their mail, and ours stays on it. */
		assert_int_equal(deliver(&d, "<dmarc@example.com>", "<other@example.org>"),
				 TAP_ANSWER_CONTINUE);
		assert_string_equal(d.mta.log, "");
		assert_int_equal(spooled(&d), 0);
		next_rc = TAP_OK;
		assert_int_equal(deliver(&d, "<dmarc@example.com>", NULL),
				 consume ? TAP_ANSWER_DISCARD : TAP_ANSWER_CONTINUE);
		door_close(&d);
	}
}

static void test_full_spool(void **state)
{
	struct tap_intake_config cfg;
	struct tap_err err;
	struct door d;

	(void)state;
	door_open(&d, true, FULL_CAN, FULL_STEP);
	tap_session_free(&d.s);
	tap_intake_close(&d.in);
	d.box.set.min_free = INT64_MAX;
	cfg = (struct tap_intake_config){
	    .reports = &d.reports, .spool = &d.box.set, .door = TAP_DOOR_MILTER, .verdict = say};
	assert_int_equal(tap_intake_open(&cfg, &d.in, &err), TAP_OK);
	d.s = tap_session_new(d.in, &ops, &d.mta, FULL_CAN, FULL_STEP);
	tap_session_connect(d.s, "mx.example", "192.0.2.7", false);
	tap_session_mail(d.s, "<a@b.example>");
	assert_int_equal(tap_session_rcpt(d.s, "<other@example.org>"), TAP_ANSWER_CONTINUE);
	assert_int_equal(tap_session_rcpt(d.s, "<dmarc@example.com>"), TAP_ANSWER_TEMPFAIL);
	assert_string_equal(d.mta.log, "reply 452 4.3.1\n");
	assert_int_equal(tap_session_data(d.s), TAP_ANSWER_ACCEPT);
	/* Local mail is never refused at RCPT, but at the end. */
	d.mta.log[0] = '\0';
	tap_session_connect(d.s, "localhost", "127.0.0.1", true);
	tap_session_mail(d.s, "<a@b.example>");
	assert_int_equal(tap_session_rcpt(d.s, "<dmarc@example.com>"), TAP_ANSWER_CONTINUE);
	assert_int_equal(tap_session_data(d.s), TAP_ANSWER_CONTINUE);
	tap_session_eoh(d.s);
	assert_int_equal(tap_session_body(d.s, "x", 1), TAP_ANSWER_SKIP);
	assert_int_equal(tap_session_eom(d.s), TAP_ANSWER_TEMPFAIL);
	assert_string_equal(d.mta.log, "reply 452 4.3.1\n");
	assert_int_equal(asked, 0);
	door_close(&d);
}

static void test_forged_headers(void **state)
{
	struct door d;

	(void)state;
	for (int consume = 0; consume < 2; consume++) {
		door_open(&d, consume, FULL_CAN, FULL_STEP);
		envelope(&d, "<dmarc@example.com>", "<other@example.org>");
		tap_session_header(d.s, "X-Dmarctap", " report; reports=1");
		tap_session_header(d.s, "Subject", " x");
		tap_session_header(d.s, "x-DMARCTAP", " again");
		tap_session_header(d.s, "X-Dmarctap-Else", " stays");
		tap_session_eoh(d.s);
		assert_int_equal(tap_session_eom(d.s), TAP_ANSWER_CONTINUE);
		assert_string_equal(
		    d.mta.log,
		    consume ? "delrcpt <dmarc@example.com>\ndrop X-Dmarctap 2\ndrop X-Dmarctap 1\n"
			    : "drop X-Dmarctap 2\ndrop X-Dmarctap 1\n"
			      "add X-Dmarctap: report; id=\n");
		/* The count begins anew with the next message; what is no report loses the header as well. */
		verdict(TAP_V_NOT_A_REPORT, "");
		envelope(&d, "<dmarc@example.com>", NULL);
		tap_session_header(d.s, "X-Dmarctap", " forged");
		assert_int_equal(tap_session_eom(d.s), TAP_ANSWER_CONTINUE);
		assert_string_equal(d.mta.log, "drop X-Dmarctap 1\n");
		door_close(&d);
	}
}

/* A server that lets us do nothing to a message: copy, without a header, and never a DISCARD of mixed mail. */
static void test_without_actions(void **state)
{
	struct door d;

	(void)state;
	door_open(&d, true, 0, V2_STEP);
	tap_session_connect(d.s, "mx.example", "192.0.2.7", false);
	for (int mixed = 0; mixed < 2; mixed++) {
		assert_int_equal(tap_session_mail(d.s, "<a@b.example>"), TAP_ANSWER_CONTINUE);
		tap_session_rcpt(d.s, "<dmarc@example.com>");
		if (mixed)
			tap_session_rcpt(d.s, "<other@example.org>");
		/* no DATA step in this version */
		assert_int_equal(tap_session_header(d.s, "X-Dmarctap", "forged"),
				 TAP_ANSWER_CONTINUE);
		assert_int_equal(tap_session_eoh(d.s), TAP_ANSWER_CONTINUE);
		assert_int_equal(tap_session_body(d.s, "x", 1), TAP_ANSWER_CONTINUE);
		assert_int_equal(tap_session_eom(d.s),
				 mixed ? TAP_ANSWER_CONTINUE : TAP_ANSWER_DISCARD);
	}
	assert_string_equal(d.mta.log, "");
	assert_int_equal(spooled(&d), 2);
	/* Mail for others is let go at its first header. */
	tap_session_mail(d.s, "<a@b.example>");
	tap_session_rcpt(d.s, "<other@example.org>");
	assert_int_equal(tap_session_header(d.s, "A", "b"), TAP_ANSWER_ACCEPT);
	assert_int_equal(asked, 2);
	door_close(&d);
}

/* A server that cannot be told any more: nothing crashes, and the answer is the one of the table. */
static void test_server_takes_nothing(void **state)
{
	struct door d;

	(void)state;
	door_open(&d, true, FULL_CAN, FULL_STEP);
	d.mta.refuse = true;
	assert_int_equal(deliver(&d, "<dmarc@example.com>", "<other@example.org>"),
			 TAP_ANSWER_CONTINUE);
	verdict(TAP_V_BROKEN, "x");
	envelope(&d, "<dmarc@example.com>", NULL);
	tap_session_header(d.s, "X-Dmarctap", " forged");
	assert_int_equal(tap_session_eom(d.s), TAP_ANSWER_CONTINUE);
	assert_int_equal(spooled(&d), 2);
	door_close(&d);
}

static void test_many_recipients(void **state)
{
	struct tap_spool_file f;
	struct door d;
	char path[64];

	(void)state;
	door_open(&d, true, FULL_CAN, FULL_STEP);
	tap_session_connect(d.s, "mx.example", "192.0.2.7", false);
	tap_session_mail(d.s, "<a@b.example>");
	for (int i = 0; i < TAP_SPOOL_RECIPIENTS; i++) {
		snprintf(path, sizeof(path), "<r%d@reports.example.com>", i);
		assert_int_equal(tap_session_rcpt(d.s, path), TAP_ANSWER_CONTINUE);
	}
	assert_int_equal(tap_session_rcpt(d.s, "<dmarc@example.com>"), TAP_ANSWER_TEMPFAIL);
	assert_string_equal(d.mta.log, "reply 452 4.5.3\n");
	tap_session_data(d.s);
	assert_int_equal(tap_session_eom(d.s), TAP_ANSWER_DISCARD);
	box_only(&d.box, "incoming/milter", &f);
	assert_int_equal(f.envelope.n_recipients, TAP_SPOOL_RECIPIENTS);
	tap_spool_file_close(&f);
	door_close(&d);
}

static void test_t_mi_11_reply_text(void **state)
{
	char out[64], longest[2000], big[2000];

	(void)state;
	tap_session_reply_text("100% of \r\n it \x80", out, sizeof(out));
	assert_string_equal(out, "100%% of ?? it ?");
	tap_session_reply_text("%%%%", out, 6);
	assert_string_equal(out, "%%%%");
	tap_session_reply_text("x", out, 1);
	assert_string_equal(out, "");
	memset(longest, '%', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	tap_session_reply_text(longest, big, sizeof(big));
	assert_int_equal(strlen(big), 980);
}

static void test_settings(void **state)
{
	static const char *const good[] = {"unix:/run/x.sock",	  "local:/run/x",
					   "inet:8891@localhost", "inet:8891",
					   "inet:65535@x",	  "inet6:8891@[::1]"};
	static const char *const bad[] = {"",		"unix:run/x",	       "unix:",
					  "/run/x",	"inet:localhost:8891", "inet:",
					  "inet:8891@", "inet:123456@x",       "tcp:8891@x",
					  "inet:0@x",	"inet:65536@x",	       "inet:99999"};
	struct tap_milter_settings set = {NULL, NULL, NULL};
	char mode[5] = "0660", socket[] = "unix:/x";
	struct tap_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(tap_milter_check_socket(good[i], &err), TAP_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tap_milter_check_socket(bad[i], &err), TAP_E_CONFIG);
	set.socket = socket;
	set.socket_mode = mode;
	assert_int_equal(tap_milter_section.check(&set, &err), TAP_OK);
	assert_int_equal(tap_milter_socket_mode(&set), 0660);
	memcpy(mode, "0668", 5);
	assert_int_equal(tap_milter_section.check(&set, &err), TAP_E_CONFIG);
	memcpy(mode, "1777", 5);
	assert_int_equal(tap_milter_section.check(&set, &err), TAP_E_CONFIG);
	memcpy(mode, "", 1);
	assert_int_equal(tap_milter_section.check(&set, &err), TAP_E_CONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_t_mi_1_negotiation),
	    cmocka_unit_test(test_t_mi_2_mail_for_others),
	    cmocka_unit_test(test_t_mi_3_fates),
	    cmocka_unit_test(test_rejected),
	    cmocka_unit_test(test_envelope_and_bytes),
	    cmocka_unit_test(test_t_mi_9_leading_space),
	    cmocka_unit_test(test_t_mi_4_three_messages_second_aborted),
	    cmocka_unit_test(test_t_mi_5_lost_in_every_state),
	    cmocka_unit_test(test_t_mi_6_bodies),
	    cmocka_unit_test(test_t_mi_7_trouble),
	    cmocka_unit_test(test_full_spool),
	    cmocka_unit_test(test_forged_headers),
	    cmocka_unit_test(test_without_actions),
	    cmocka_unit_test(test_server_takes_nothing),
	    cmocka_unit_test(test_many_recipients),
	    cmocka_unit_test(test_t_mi_11_reply_text),
	    cmocka_unit_test(test_settings),
	};
	return cmocka_run_group_tests_name("milter session", tests, NULL, NULL);
}
