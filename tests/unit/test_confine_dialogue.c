/* SPDX-License-Identifier: Apache-2.0
 * What stands at the other end of a parser's socket may say anything, in any order and at any pace: each dialogue here ends in time, with
 * the answer that it deserves, and never with a verdict that was not given. */
#include "confine_helper.h"

#include "base/clock.h"
#include "confine/frames.h"
#include "confine/frames_wire.h"
#include "confine/pool_process.h"
#include "confine/wire.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { DEADLINE = 400, LONG = 60000 };

/* The far end: it reads the question (or not), and says its words. */
struct far {
	int fd;
	bool deaf;	   /* leaves the question in the socket */
	const void *words; /* said piece by piece */
	size_t n, piece;
	int pause_us;
	bool again; /* for ever */
	bool stays; /* does not hang up when it is done */
	int64_t said;
};

static void *far_main(void *arg)
{
	struct far *f = arg;
	const char *p = f->words;
	char question[4096];
	bool there = true;

	if (!f->deaf && recv(f->fd, question, sizeof question, 0) <= 0)
		there = false;
	do {
		for (size_t i = 0; there && i < f->n; i += f->piece) {
			size_t n = f->n - i < f->piece ? f->n - i : f->piece;
			ssize_t sent = send(f->fd, p + i, n, MSG_NOSIGNAL);

			there = sent == (ssize_t)n;
			f->said += sent > 0 ? sent : 0;
			if (f->pause_us > 0)
				usleep((useconds_t)f->pause_us);
		}
	} while (there && f->again);
	/* Until the near end is gone. */
	while (f->stays && there && recv(f->fd, question, sizeof question, 0) > 0)
		;
	close(f->fd);
	return NULL;
}

static enum tap_rc swallow(void *ctx, const void *p, size_t n, struct tap_err *err)
{
	(void)p;
	(void)err;
	*(uint64_t *)ctx += n;
	return TAP_OK;
}

static enum tap_answer talk(struct far *f, bool frames, int deadline_ms, enum tap_rc *rc_r,
			    struct tap_parse_result *res)
{
	struct tap_pool_job job = {.fd = file_of("x"), .len = 1};
	uint64_t swallowed = 0;
	const struct tap_question q = {.job = &job,
				       .deadline_ms = deadline_ms,
				       .sink = frames ? swallow : NULL,
				       .sink_ctx = &swallowed};
	struct tap_process p = {.state = TAP_PROCESS_READY, .pid = -1};
	int64_t begun = tap_clock_mono_ms();
	enum tap_answer a;
	struct tap_err err;
	pthread_t t;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p.fd = pair[0];
	f->fd = pair[1];
	*rc_r = TAP_OK;
	memset(res, 0, sizeof *res);
	assert_int_equal(pthread_create(&t, NULL, far_main, f), 0);
	a = tap_process_ask(&p, &q, rc_r, res, &err);
	if (deadline_ms == DEADLINE)
		assert_in_range(tap_clock_mono_ms() - begun, 0, 20000);
	close(pair[0]);
	assert_int_equal(pthread_join(t, NULL), 0);
	close(job.fd);
	return a;
}

/* A whole answer of a report that was read: its result frame. */
static size_t result_frame(unsigned char *out, size_t size)
{
	struct tap_parse_result res = {.verdict = TAP_V_REPORT, .reports = 1};
	struct tap_frame_writer w = {0};
	struct tap_buf b;
	struct tap_err err;
	size_t n;

	tap_buf_init(&b, 1 << 20);
	w.out = &b;
	assert_int_equal(tap_frame_write_result(&w, TAP_OK, &res, &err), TAP_OK);
	n = b.len;
	assert_in_range(n, TAP_FRAME_HEAD + 1, size);
	memcpy(out, b.p, n);
	tap_buf_free(&b);
	return n;
}

static size_t frame(unsigned char *out, uint32_t len, unsigned type, size_t body)
{
	tap_frame_put_u32(out, len);
	out[4] = (unsigned char)type;
	memset(out + TAP_FRAME_HEAD, 0, body);
	return TAP_FRAME_HEAD + body;
}

/* However short the reads are, the verdict is the same. */
static void an_answer_in_any_pieces(void **state)
{
	unsigned char words[4096];
	struct tap_parse_result res;
	enum tap_rc rc;

	(void)state;
	for (size_t piece = 1; piece <= 16; piece++) {
		for (int frames = 0; frames < 2; frames++) {
			struct far f = {.words = words, .piece = piece, .pause_us = 200};

			f.n = result_frame(words, sizeof words);
			assert_int_equal(talk(&f, frames, LONG, &rc, &res), TAP_ANSWER_GOOD);
			assert_int_equal(rc, TAP_OK);
			assert_int_equal(res.verdict, TAP_V_REPORT);
		}
	}
}

/* Heads that cannot be, and frames where none may stand. */
static void nonsense_is_seen_at_once(void **state)
{
	static const struct {
		uint32_t len;
		unsigned type;
		bool frames;
	} bad[] = {
	    {0, TAP_FRAME_RECORD, true},
	    {0, TAP_FRAME_RESULT, true},
	    {1, 0, true},
	    {1, TAP_FRAME_RESULT + 1, true},
	    {1, 255, true},
	    {TAP_FRAME_MAX + 1, TAP_FRAME_RECORD, true},
	    {UINT32_MAX, TAP_FRAME_FAILURE, true},
	    {UINT32_MAX, TAP_FRAME_PAYLOAD, true},
	    {TAP_FRAME_RESULT_MAX + 1, TAP_FRAME_RESULT, true},
	    {UINT32_MAX, TAP_FRAME_RESULT, false},
	    {1, TAP_FRAME_BEGIN, false},
	    {1, TAP_FRAME_RECORD, false},
	    {1, TAP_FRAME_TLS_POLICY, false},
	};
	unsigned char words[4096];
	struct tap_parse_result res;
	enum tap_rc rc;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		/* It stays: that the far end is gone is not what shows it. */
		struct far f = {.words = words, .piece = 3, .stays = true};

		f.n = frame(words, bad[i].len, bad[i].type, 0);
		if (talk(&f, bad[i].frames, LONG, &rc, &res) != TAP_ANSWER_NONSENSE)
			fail_msg("case %zu", i);
		assert_int_equal(res.verdict, 0);
	}
}

static void what_a_result_may_not_say(void **state)
{
	unsigned char words[4096];
	struct tap_parse_result res;
	enum tap_rc rc;
	size_t n;

	(void)state;
	n = result_frame(words, sizeof words);
	/* A byte behind it, a second one behind it. */
	for (int twice = 0; twice < 2; twice++) {
		struct far f = {.words = words, .piece = sizeof words, .stays = true};

		words[n] = 0;
		memcpy(words + n, words, twice ? n : 0);
		f.n = twice ? 2 * n : n + 1;
		assert_int_equal(talk(&f, true, LONG, &rc, &res), TAP_ANSWER_NONSENSE);
	}
	/* Each byte of its head and of its numbers, to the utmost. What is taken for an answer is one that a parser can give. */
	for (size_t i = TAP_FRAME_HEAD; i < n; i++) {
		struct far f = {.words = words, .piece = sizeof words, .stays = true};
		enum tap_answer a;

		f.n = result_frame(words, sizeof words);
		words[i] = 0xff;
		a = talk(&f, false, LONG, &rc, &res);
		assert_true(a == TAP_ANSWER_GOOD || a == TAP_ANSWER_NONSENSE);
		if (a == TAP_ANSWER_GOOD)
			assert_true(res.verdict < TAP_V_UNREADABLE);
	}
}

/* The far end goes away at each byte of an answer. */
static void an_answer_that_breaks_off(void **state)
{
	unsigned char words[4096];
	struct tap_parse_result res;
	enum tap_rc rc;
	size_t whole = result_frame(words, sizeof words);

	(void)state;
	for (size_t n = 0; n < whole; n++) {
		struct far f = {.words = words, .n = n, .piece = sizeof words};

		assert_int_equal(talk(&f, true, LONG, &rc, &res), TAP_ANSWER_DIED);
	}
	{
		/* It never took the question: another process may be asked. */
		struct far f = {.deaf = true, .piece = 1};
		enum tap_answer a = talk(&f, false, LONG, &rc, &res);

		assert_true(a == TAP_ANSWER_UNASKED || a == TAP_ANSWER_DIED);
	}
}

/* Bytes that come now and then do not prolong the time. */
static void the_time_is_for_the_whole_answer(void **state)
{
	unsigned char words[4096];
	struct tap_parse_result res;
	enum tap_rc rc;
	struct far silent = {.stays = true, .piece = 1}, slow = {.words = words, .piece = 1};
	struct far endless = {.words = words, .piece = 64, .pause_us = 1000, .again = true};

	(void)state;
	assert_int_equal(talk(&silent, false, DEADLINE, &rc, &res), TAP_ANSWER_STALLED);
	slow.n = result_frame(words, sizeof words);
	slow.pause_us = 100000;
	assert_int_equal(talk(&slow, false, DEADLINE, &rc, &res), TAP_ANSWER_STALLED);
	endless.n = frame(words, 1000, TAP_FRAME_RECORD, 1000);
	assert_int_equal(talk(&endless, true, DEADLINE, &rc, &res), TAP_ANSWER_STALLED);
}

/* Well-formed heads, one frame after the other, as fast as they go: more than any report can be is no answer. */
static void a_stream_without_an_end_is_cut(void **state)
{
	enum { PAYLOAD = 1 << 20 };
	unsigned char *words = malloc(TAP_FRAME_HEAD + PAYLOAD);
	struct far f = {.words = words, .piece = SIZE_MAX / 2, .again = true};
	struct tap_parse_result res;
	enum tap_answer a;
	enum tap_rc rc;

	(void)state;
	assert_non_null(words);
	f.n = frame(words, PAYLOAD, TAP_FRAME_PAYLOAD, PAYLOAD);
	a = talk(&f, true, 10 * LONG, &rc, &res);
	assert_int_equal(a, TAP_ANSWER_NONSENSE);
	assert_in_range(f.said, INT64_C(1) << 30, (INT64_C(1) << 30) + (INT64_C(8) << 20));
	free(words);
}

/* ---- the greeting ---- */

/* A child that says these words and waits to be ended. */
static enum tap_rc greeted_with(const void *words, size_t n, bool stays, struct tap_err *err)
{
	char name[] = "the program";
	struct tap_launch l = {.program = name};
	struct tap_process p = {.state = TAP_PROCESS_STARTING, .started_ms = tap_clock_mono_ms()};
	enum tap_rc rc;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p.fd = pair[0];
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (p.pid == 0) {
		for (size_t i = 0; i < n; i++)
			(void)send(pair[1], (const char *)words + i, 1, MSG_NOSIGNAL);
		if (stays)
			(void)pause();
		_exit(7);
	}
	close(pair[1]);
	rc = tap_process_greet(&p, &l, err);
	assert_int_equal(p.state, rc == TAP_OK ? TAP_PROCESS_READY : TAP_PROCESS_NONE);
	(void)tap_process_end(&p);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	return rc;
}

static void greetings(void **state)
{
	struct tap_wire_hello h = {
	    .magic = TAP_WIRE_MAGIC, .version = TAP_WIRE_VERSION, .ok = 1, .confined = 2};
	struct tap_err err;

	(void)state;
	assert_int_equal(greeted_with(&h, sizeof h, true, &err), TAP_OK);
	for (size_t n = 0; n < sizeof h; n += 51) {
		assert_int_equal(greeted_with(&h, n, false, &err), TAP_E_CONFIG);
		assert_non_null(strstr(err.msg, "did not start (exit status 7)"));
	}
	h.version++;
	assert_int_equal(greeted_with(&h, sizeof h, true, &err), TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "another version"));
	h.version--;
	h.ok = 0;
	memset(h.text, 'A', sizeof h.text); /* no end */
	assert_int_equal(greeted_with(&h, sizeof h, true, &err), TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "cannot work: AAAA"));
	h.magic = 0;
	assert_int_equal(greeted_with(&h, sizeof h, true, &err), TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "not a parser program"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(greetings), /* forks: before any thread */
	    cmocka_unit_test(an_answer_in_any_pieces),
	    cmocka_unit_test(nonsense_is_seen_at_once),
	    cmocka_unit_test(what_a_result_may_not_say),
	    cmocka_unit_test(an_answer_that_breaks_off),
	    cmocka_unit_test(the_time_is_for_the_whole_answer),
	    cmocka_unit_test(a_stream_without_an_end_is_cut),
	};

	return cmocka_run_group_tests_name("confine_dialogue", tests, NULL, NULL);
}
