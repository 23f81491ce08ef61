/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_pipefilter_lmtp.c - the LMTP engine: every dialogue whole and cut at each byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "pipefilter/lmtp_command.h"
#include "pipefilter/lmtp_engine.h"
#include "pipefilter/lmtp_networks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the engine told the door, and what it said to the client. */
struct world {
	struct tap_buf events, said;
	bool in_data;
	enum tap_fate fate;
};

static void on_lhlo(void *ctx, const char *name)
{
	tap_buf_printf(&((struct world *)ctx)->events, "lhlo %s|", name);
}

static void on_mail(void *ctx, const char *sender)
{
	tap_buf_printf(&((struct world *)ctx)->events, "mail <%s>|", sender);
}

static const struct tap_early_row *on_rcpt(void *ctx, const char *path)
{
	tap_buf_printf(&((struct world *)ctx)->events, "rcpt <%s>|", path);
	if (strstr(path, "full"))
		return &tap_early_rows[TAP_EARLY_SPOOL_FULL];
	return strstr(path, "no") ? &tap_early_rows[TAP_EARLY_NO_SUCH] : NULL;
}

static void on_begin(void *ctx)
{
	tap_buf_adds(&((struct world *)ctx)->events, "begin[");
}

static void on_data(void *ctx, const void *p, size_t n)
{
	tap_buf_add(&((struct world *)ctx)->events, p, n);
}

static void on_end(void *ctx, struct tap_lmtp_verdict *v)
{
	struct world *w = ctx;

	tap_buf_adds(&w->events, "]end|");
	v->row = tap_fate_row(w->fate, TAP_WAY_LMTP);
	v->id = w->fate == TAP_FATE_REPORT ? "abc" : "";
}

static void on_drop(void *ctx)
{
	tap_buf_adds(&((struct world *)ctx)->events, "drop|");
}

static const struct tap_lmtp_ops ops = {on_lhlo, on_mail, on_rcpt, on_begin,
					on_data, on_end,  on_drop};
static struct tap_lmtp_config cfg = {"mx.test", 1000, 3, 512, 20};

static void world_make(struct world *w)
{
	memset(w, 0, sizeof(*w));
	tap_buf_init(&w->events, 16 << 20);
	tap_buf_init(&w->said, 16 << 20);
}

static void world_drop(struct world *w)
{
	tap_buf_free(&w->events);
	tap_buf_free(&w->said);
}

static void take(struct tap_lmtp *e, struct world *w)
{
	size_t n;
	const char *out = tap_lmtp_output(e, &n);

	tap_buf_add(&w->said, out, n);
	tap_lmtp_taken(e, n);
}

static void feed(struct tap_lmtp *e, struct world *w, const char *p, size_t n)
{
	while (n > 0 && tap_lmtp_state(e) != TAP_LMTP_OVER) {
		size_t used = tap_lmtp_feed(e, p, n);

		take(e, w);
		p += used;
		n -= used;
	}
}

static void play(struct world *w, const char *in, size_t n, size_t cut, size_t step)
{
	struct tap_lmtp *e = tap_lmtp_new(&cfg, &ops, w);

	assert_non_null(e);
	if (step > 0) {
		for (size_t i = 0; i < n; i += step)
			feed(e, w, in + i, n - i < step ? n - i : step);
	} else {
		feed(e, w, in, cut);
		feed(e, w, in + cut, n - cut);
	}
	take(e, w);
	tap_lmtp_free(&e);
	assert_null(e);
}

static bool equal(const struct tap_buf *a, const struct tap_buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

static void same(const struct world *a, const struct world *b, size_t cut)
{
	if (!equal(&a->events, &b->events) || !equal(&a->said, &b->said))
		fail_msg("cut at %zu changes what happens:\n%.*s\n%.*s", cut, (int)b->said.len,
			 b->said.p, (int)b->events.len, b->events.p);
}

/* Whole, byte by byte, and in two pieces at every place; said and events must be these. NULL = not compared. */
static void dialogue_n(const char *in, size_t n, const char *said, const char *events,
		       enum tap_fate fate)
{
	struct world whole, w;

	world_make(&whole);
	whole.fate = fate;
	play(&whole, in, n, 0, 0);
	for (size_t cut = 0; cut <= n; cut++) {
		world_make(&w);
		w.fate = fate;
		play(&w, in, n, cut, cut == n);
		same(&whole, &w, cut);
		world_drop(&w);
	}
	if (said)
		assert_string_equal(tap_buf_cstr(&whole.said), said);
	if (events)
		assert_string_equal(tap_buf_cstr(&whole.events), events);
	world_drop(&whole);
}

static void dialogue(const char *in, const char *said, const char *events)
{
	dialogue_n(in, strlen(in), said, events, TAP_FATE_REPORT);
}

#define GREETING "220 mx.test LMTP dmarctap\r\n"
#define LHLO	 "LHLO c\r\n"
#define HELLO                                                                                      \
	GREETING "250-mx.test\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"    \
		 "250-SMTPUTF8\r\n250-CHUNKING\r\n250 SIZE 1000\r\n"
#define MAIL	"MAIL FROM:<s@x>\r\n"
#define SENDER	"250 2.1.0 sender ok\r\n"
#define RCPT	"RCPT TO:<r@x>\r\n"
#define TAKEN	"250 2.1.5 recipient ok\r\n"
#define START	LHLO MAIL RCPT
#define STARTED HELLO SENDER TAKEN
#define BEGUN	"lhlo c|mail <s@x>|rcpt <r@x>|"
#define GO	"354 end the message with a dot on a line of its own\r\n"
#define STORED	"250 2.0.0 <r@x> report stored (abc)\r\n"
#define BYE	"221 2.0.0 bye\r\n"
#define OK	"250 2.0.0 ok\r\n"

static void test_rfc_dialogue_pipelined_and_cut_everywhere_t_lm_1(void **state)
{
	(void)state;
	dialogue(START "RCPT TO:<q@x>\r\nDATA\r\nA: b\r\n\r\nc\r\n.\r\nQUIT\r\n",
		 STARTED TAKEN GO STORED "250 2.0.0 <q@x> report stored (abc)\r\n" BYE,
		 BEGUN "rcpt <q@x>|begin[A: b\r\n\r\nc\r\n]end|");
	dialogue("lhlo c\r\nmail from:<>  body=8bitmime SIZE=10 SMTPUTF8\r\nrcpt to: <r@x>\r\n"
		 "data\r\n.\r\nnoop hello\r\nvrfy x\r\nquit \t\r\n",
		 HELLO SENDER TAKEN GO STORED OK "252 2.0.0 send a message to find out\r\n" BYE,
		 "lhlo c|mail <>|rcpt <r@x>|begin[]end|");
}

static void test_a_reply_for_each_accepted_recipient_t_lm_2(void **state)
{
	(void)state;
	dialogue(START "RCPT TO:<no@x>\r\nRCPT TO:<t@x>\r\nDATA\r\nx\r\n.\r\n",
		 STARTED "550 5.1.1 not a report address\r\n" TAKEN GO STORED
			 "250 2.0.0 <t@x> report stored (abc)\r\n",
		 BEGUN "rcpt <no@x>|rcpt <t@x>|begin[x\r\n]end|");
}

static void test_the_same_recipient_twice_t_lm_3(void **state)
{
	(void)state;
	dialogue(START RCPT "DATA\r\nx\r\n.\r\n", STARTED TAKEN GO STORED STORED, NULL);
}

static void test_commands_out_of_place_t_lm_4(void **state)
{
	(void)state;
	dialogue("HELO c\r\nEHLO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<r@x>\r\nDATA\r\nWHAT\r\n\r\n",
		 GREETING "500 5.5.1 this is LMTP: say LHLO\r\n500 5.5.1 this is LMTP: say LHLO\r\n"
			  "503 5.5.1 say LHLO first\r\n503 5.5.1 say LHLO first\r\n"
			  "503 5.5.1 say LHLO first\r\n500 5.5.2 unknown command\r\n"
			  "500 5.5.2 unknown command\r\n",
		 "");
	dialogue(LHLO "DATA\r\n" MAIL "DATA\r\nRCPT TO:<no@x>\r\nDATA\r\n",
		 HELLO "503 5.5.1 say MAIL first\r\n" SENDER "503 5.5.1 no valid recipients\r\n"
		       "550 5.1.1 not a report address\r\n503 5.5.1 no valid recipients\r\n",
		 NULL);
}

static void test_dots_and_line_ends_t_lm_5(void **state)
{
	(void)state;
	dialogue(START "DATA\r\n..\r\n...\r\n.a\r\n\n.\n.\r\n.\r\n", STARTED GO STORED,
		 BEGUN "begin[.\r\n..\r\na\r\n\r\n.\r\n.\r\n]end|");
	/* A bare LF or CR before or behind the dot ends nothing. */
	dialogue(START "DATA\r\na\r.\r\nb\r\n.\nc\r\n.\rd\n.\r\n.\r\r\n\r\r\n.\r\n",
		 STARTED GO STORED,
		 BEGUN "begin[a\r.\r\nb\r\n\r\nc\r\n\rd\r\n.\r\n\r\r\n\r\r\n]end|");
	dialogue_n(START "DATA\r\n\0\r\n\0.\r\n.\r\n",
		   sizeof(START "DATA\r\n\0\r\n\0.\r\n.\r\n") - 1, STARTED GO STORED, NULL,
		   TAP_FATE_REPORT);
}

static void test_size_over_the_limit_at_mail_and_in_data_t_lm_6(void **state)
{
	(void)state;
	dialogue(LHLO "MAIL FROM:<s@x> SIZE=1001\r\nMAIL FROM:<s@x> SIZE=1000\r\n",
		 HELLO "552 5.3.4 message is too large\r\n" SENDER, NULL);
	dialogue_n(START "DATA\r\nx\r\n.\r\n" MAIL, strlen(START "DATA\r\nx\r\n.\r\n" MAIL),
		   STARTED GO "552 5.3.4 <r@x> message is too large\r\n" SENDER, NULL,
		   TAP_FATE_TOO_LARGE);
}

static void test_rset_nested_mail_and_commands_inside_data_t_lm_9(void **state)
{
	(void)state;
	dialogue(START "MAIL FROM:<t@x>\r\nRSET\r\nRCPT TO:<r@x>\r\n" MAIL "QUIT\r\n",
		 STARTED "503 5.5.1 a transaction is under way\r\n" OK
			 "503 5.5.1 say MAIL first\r\n" SENDER BYE,
		 BEGUN "drop|mail <s@x>|drop|");
	dialogue(START "DATA\r\nQUIT\r\nRSET\r\n.\r\n", STARTED GO STORED,
		 BEGUN "begin[QUIT\r\nRSET\r\n]end|");
	/* A second LHLO begins anew; a client that goes away leaves nothing. */
	dialogue(START LHLO, NULL, BEGUN "drop|lhlo c|");
	dialogue(START "DATA\r\nhalf", NULL, BEGUN "begin[halfdrop|");
}

static void test_chunks(void **state)
{
	(void)state;
	dialogue(START "BDAT 5\r\n.\r\nabBDAT 2 LAST\r\n\r\nQUIT\r\n",
		 STARTED "250 2.0.0 chunk taken\r\n" STORED BYE, BEGUN "begin[.\r\nab\r\n]end|");
	dialogue(START "BDAT 0 LAST\r\n", STARTED STORED, BEGUN "begin[]end|");
	dialogue(START "BDAT 4 last\r\na\nb\n" MAIL, STARTED STORED SENDER,
		 BEGUN "begin[a\r\nb\r\n]end|mail <s@x>|drop|");
	/* The bytes of a chunk that nobody wants are no commands. */
	dialogue(LHLO "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", HELLO "503 5.5.1 say MAIL first\r\n" OK,
		 "lhlo c|");
	dialogue(LHLO MAIL "BDAT 6\r\nQUIT\r\nNOOP\r\n",
		 HELLO SENDER "503 5.5.1 no valid recipients\r\n" OK, NULL);
	dialogue(START "BDAT 1\r\nxRCPT TO:<r@x>\r\nDATA\r\nMAIL FROM:<s@x>\r\nRSET\r\n",
		 STARTED "250 2.0.0 chunk taken\r\n503 5.5.1 between chunks of a message\r\n"
			 "503 5.5.1 between chunks of a message\r\n"
			 "503 5.5.1 a transaction is under way\r\n" OK,
		 BEGUN "begin[xdrop|");
	dialogue(START "BDAT x\r\nQUIT\r\n", STARTED "501 5.5.4 syntax error in the arguments\r\n",
		 BEGUN "drop|");
	dialogue(START "BDAT 99999999999999999999\r\n", NULL, BEGUN "drop|");
}

static void test_chunks_over_the_limit_end_the_transaction(void **state)
{
	char in[3000] = START "BDAT 1001\r\n";
	size_t n = strlen(in);

	(void)state;
	memset(in + n, 'x', 1001);
	snprintf(in + n + 1001, sizeof(in) - n - 1001, "BDAT 1 LAST\r\nyNOOP\r\n");
	dialogue(in, STARTED "552 5.3.4 message is too large\r\n503 5.5.1 say MAIL first\r\n" OK,
		 NULL);
}

static void test_arguments_that_are_wrong(void **state)
{
	static const struct {
		const char *command, *reply;
	} cases[] = {
	    {"MAIL FROM:s@x", "501"},
	    {"MAIL FROM <s@x>", "501"},
	    {"MAIL FROM:<s@x", "501"},
	    {"MAIL FROM:<s@x>x", "501"},
	    {"MAIL FROM:<s @x>", "501"},
	    {"MAIL FROM:<s@x> SIZE=", "555"},
	    {"MAIL FROM:<s@x> SIZE=1x", "501"},
	    {"MAIL FROM:<s@x> SIZE=9999999999999999999", "501"},
	    {"MAIL FROM:<s@x> BODY=BINARYMIME", "555"},
	    {"MAIL FROM:<s@x> AUTH=<>", "555"},
	    {"MAIL FROM:<\xc3\xa9@x>", "553"},
	    {"MAIL FROM:<\xc3@x> SMTPUTF8", "501"},
	    {"MAIL FROM:<\xc3\xa9@x> SMTPUTF8", "250"},
	    {"MAIL FROM:<\"a> b\"@x>", "250"},
	    {"MAIL FROM:<@a,@b:s@x>", "250"},
	    {"MAIL", "501"},
	    {"LHLO", "501"},
	    {"RSET now", "501"},
	    {"QUIT now", "501"},
	    {"XFORWARD ADDR=1", "500"},
	    {"STARTTLS", "500"},
	    {"NOOP\x01", "500"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char in[256], said[512];
		struct world w;

		snprintf(in, sizeof(in), LHLO "%s\r\n", cases[i].command);
		snprintf(said, sizeof(said), HELLO "%s ", cases[i].reply);
		dialogue(in, NULL, NULL);
		world_make(&w);
		play(&w, in, strlen(in), 0, 0);
		if (strncmp(tap_buf_cstr(&w.said), said, strlen(said)) != 0)
			fail_msg("%s: %s", cases[i].command, tap_buf_cstr(&w.said));
		world_drop(&w);
	}
	dialogue(LHLO MAIL "RCPT TO:<>\r\nRCPT TO:<r@x> NOTIFY=NEVER\r\nRCPT TO:<\xc3\xa9@x>\r\n",
		 HELLO SENDER "501 5.5.4 syntax error in the arguments\r\n"
			      "555 5.5.4 parameter not known\r\n"
			      "553 5.6.7 say SMTPUTF8 for such an address\r\n",
		 NULL);
}

static void test_lines_that_end_wrongly_or_never(void **state)
{
	char *in = malloc(2 << 20);
	struct world w;

	(void)state;
	assert_non_null(in);
	dialogue("NOOP\nNOOP\r\nQU\rIT\r\n",
		 GREETING "500 5.5.2 a line ends with CR LF\r\n" OK
			  "500 5.5.2 control characters in a command\r\n",
		 "");
	memset(in, 'x', 600);
	memcpy(in + 600, "\r\nNOOP\r\n", 8);
	dialogue_n(in, 608, GREETING "500 5.5.2 line is too long\r\n" OK, "", TAP_FATE_REPORT);
	memset(in, 'N', 512);
	memcpy(in, "NOOP ", 5);
	memcpy(in + 510, "\r\nNOOP\r\n", 8);
	dialogue_n(in, 518, GREETING OK OK, "", TAP_FATE_REPORT);
	memset(in, 'x', 2 << 20);
	world_make(&w);
	play(&w, in, 2 << 20, 0, 0);
	assert_string_equal(tap_buf_cstr(&w.said),
			    GREETING "421 4.7.0 too many errors, closing\r\n");
	world_drop(&w);
	free(in);
}

static void test_limits_of_recipients_and_errors(void **state)
{
	char in[512] = LHLO, said[2048] = HELLO;

	(void)state;
	dialogue(START RCPT RCPT RCPT "RCPT TO:<full@x>\r\n",
		 STARTED TAKEN TAKEN "452 4.5.3 too many recipients\r\n"
				     "452 4.5.3 too many recipients\r\n",
		 NULL);
	dialogue(LHLO MAIL "RCPT TO:<full@x>\r\n",
		 HELLO SENDER "452 4.3.1 no space for reports, try again later\r\n", NULL);
	for (int i = 0; i < 21; i++) {
		snprintf(in + strlen(in), sizeof(in) - strlen(in), "X\r\n");
		snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s",
			 i < 19	   ? "500 5.5.2 unknown command\r\n"
			 : i == 19 ? "421 4.7.0 too many errors, closing\r\n"
				   : "");
	}
	dialogue(in, said, NULL);
}

static void test_every_fate_has_its_reply(void **state)
{
	(void)state;
	for (int f = 0; f < TAP_FATE_N; f++) {
		const struct tap_fate_row *row = tap_fate_row((enum tap_fate)f, TAP_WAY_LMTP);
		char said[1024];

		snprintf(said, sizeof(said), STARTED GO "%d %s <r@x> %s%s\r\n", row->smtp, row->dsn,
			 row->text, f == TAP_FATE_REPORT ? " (abc)" : "");
		dialogue_n(START "DATA\r\n.\r\n", strlen(START "DATA\r\n.\r\n"), said, NULL,
			   (enum tap_fate)f);
	}
}

static void test_replies_stay_short_and_printable(void **state)
{
	char in[4096];
	struct world w;

	(void)state;
	snprintf(in, sizeof(in),
		 LHLO "MAIL FROM:<s@x> SMTPUTF8\r\nRCPT TO:<\xc3\xa9%0*d@x>\r\n"
		      "DATA\r\n.\r\n",
		 400, 0);
	world_make(&w);
	w.fate = TAP_FATE_REJECTED;
	play(&w, in, strlen(in), 0, 0);
	for (const char *p = tap_buf_cstr(&w.said), *end; *p; p = end + 2) {
		end = strstr(p, "\r\n");
		assert_non_null(end);
		assert_true(end - p <= 510);
		for (; p < end; p++)
			assert_true(*p >= ' ' && *p <= '~');
	}
	world_drop(&w);
}

static void test_our_side_ends_it_t_lm_11(void **state)
{
	static const struct {
		enum tap_lmtp_end why;
		const char *line;
	} cases[] = {{TAP_LMTP_TIMEOUT, "421 4.4.2 timeout, closing\r\n"},
		     {TAP_LMTP_SHUTDOWN, "421 4.3.2 closing, try again later\r\n"},
		     {TAP_LMTP_TOO_MANY, "421 4.3.2 too many sessions, try again later\r\n"}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct tap_lmtp *e;
		struct world w;
		char line[128];

		world_make(&w);
		e = tap_lmtp_new(&cfg, &ops, &w);
		feed(e, &w, START "DATA\r\nx", strlen(START "DATA\r\nx"));
		assert_int_equal(tap_lmtp_state(e), TAP_LMTP_MESSAGE);
		tap_lmtp_close(e, cases[i].why);
		assert_int_equal(tap_lmtp_state(e), TAP_LMTP_OVER);
		assert_int_equal(tap_lmtp_feed(e, "QUIT\r\n", 6), 0);
		take(e, &w);
		tap_lmtp_free(&e);
		assert_non_null(strstr(tap_buf_cstr(&w.said), cases[i].line));
		assert_non_null(strstr(tap_buf_cstr(&w.events), "begin[xdrop|"));
		assert_int_equal(tap_lmtp_farewell(cases[i].why, line, sizeof(line)),
				 strlen(cases[i].line));
		assert_string_equal(line, cases[i].line);
		world_drop(&w);
	}
}

/* Many messages in one write: each is answered before the next is read. */
static void test_an_end_of_a_message_lets_its_replies_go(void **state)
{
	const char *in = START "DATA\r\na\r\n.\r\n" MAIL;
	struct tap_lmtp *e;
	struct world w;

	(void)state;
	world_make(&w);
	e = tap_lmtp_new(&cfg, &ops, &w);
	assert_int_equal(tap_lmtp_feed(e, in, strlen(in)), strlen(in) - strlen(MAIL));
	tap_lmtp_free(&e);
	world_drop(&w);
}

static void test_networks(void **state)
{
	char *items[] = {(char[]){"192.0.2.0/25"}, (char[]){"2001:db8::/32"}, (char[]){"::1"}};
	struct tap_list list = {items, 3};
	char *bad[] = {(char[]){"192.0.2.1/24"}, (char[]){"x"},	     (char[]){"1.2.3.4/33"},
		       (char[]){"1.2.3.4/"},	 (char[]){"::/129"}, (char[]){""}};
	struct tap_err err;

	(void)state;
	assert_int_equal(tap_networks_check(&list, &err), TAP_OK);
	assert_true(tap_networks_hold(&list, "192.0.2.127"));
	assert_false(tap_networks_hold(&list, "192.0.2.128"));
	assert_true(tap_networks_hold(&list, "2001:db8:1::1"));
	assert_false(tap_networks_hold(&list, "2001:db9::"));
	assert_true(tap_networks_hold(&list, "::1"));
	assert_true(tap_networks_hold(&list, "::ffff:192.0.2.1"));
	assert_false(tap_networks_hold(&list, "rubbish"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct tap_list one = {&bad[i], 1};

		assert_int_equal(tap_networks_check(&one, &err), TAP_E_CONFIG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rfc_dialogue_pipelined_and_cut_everywhere_t_lm_1),
	    cmocka_unit_test(test_a_reply_for_each_accepted_recipient_t_lm_2),
	    cmocka_unit_test(test_the_same_recipient_twice_t_lm_3),
	    cmocka_unit_test(test_commands_out_of_place_t_lm_4),
	    cmocka_unit_test(test_dots_and_line_ends_t_lm_5),
	    cmocka_unit_test(test_size_over_the_limit_at_mail_and_in_data_t_lm_6),
	    cmocka_unit_test(test_rset_nested_mail_and_commands_inside_data_t_lm_9),
	    cmocka_unit_test(test_chunks),
	    cmocka_unit_test(test_chunks_over_the_limit_end_the_transaction),
	    cmocka_unit_test(test_arguments_that_are_wrong),
	    cmocka_unit_test(test_lines_that_end_wrongly_or_never),
	    cmocka_unit_test(test_limits_of_recipients_and_errors),
	    cmocka_unit_test(test_every_fate_has_its_reply),
	    cmocka_unit_test(test_replies_stay_short_and_printable),
	    cmocka_unit_test(test_our_side_ends_it_t_lm_11),
	    cmocka_unit_test(test_an_end_of_a_message_lets_its_replies_go),
	    cmocka_unit_test(test_networks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
