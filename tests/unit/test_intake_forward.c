/* SPDX-License-Identifier: Apache-2.0
 * Forwarding what is no report: what the program gets, and that only a program that took it all counts as one. */
#include "intake_helper.h"

#include "base/clock.h"
#include "intake/forward.h"
#include <signal.h>

static void header(const char *in, const char *out, bool looped)
{
	struct tap_buf b;

	tap_buf_init(&b, 4096);
	assert_int_equal(tap_forward_header(in, strlen(in), &b), looped);
	assert_string_equal(tap_buf_cstr(&b), out);
	tap_buf_free(&b);
}

static void test_header_of_ours_is_dropped(void **state)
{
	(void)state;
	header("A: 1\r\nx-dmarctap : report\r\n more\r\nB: 2\r\n", "A: 1\nB: 2\n", false);
	header("X-Dmarctap-Other: a\nX-Dmarcta: b\n", "X-Dmarctap-Other: a\nX-Dmarcta: b\n", false);
	header("X-Dmarctap: not a report; forwarded; x\n", "", true);
	header("X-Dmarctap: broken;\n\tid=1; forwarded\nC: 3", "C: 3", true);
	header("Subject: a; forwarded\n", "Subject: a; forwarded\n", false);
	header("X-Dmarctap", "X-Dmarctap", false);
	header("", "", false);
	assert_int_equal(tap_forward_header_end("A: 1\r\n\r\nB: 2\r\n", 14), 6);
	assert_int_equal(tap_forward_header_end("A: 1\n\nB", 7), 5);
	assert_int_equal(tap_forward_header_end("\nB", 2), 0);
	assert_int_equal(tap_forward_header_end("A: 1\nB: 2", 9), 9);
}

struct scene {
	struct box box;
	char program[128], got[128];
	int fd;
};

static void play(struct scene *s, const char *script)
{
	FILE *f;

	box_make(&s->box);
	snprintf(s->program, sizeof(s->program), "%s/sendmail", s->box.path);
	snprintf(s->got, sizeof(s->got), "%s/got", s->box.path);
	f = fopen(s->program, "we");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\ncd %s\n%s\n", s->box.path, script);
	fclose(f);
	assert_int_equal(chmod(s->program, 0755), 0);
	s->fd = -1;
}

static enum tap_rc send_text(struct scene *s, const char *sender, const char *text, size_t n,
			     int64_t ms, bool *looped, struct tap_err *err)
{
	struct tap_forward f = {.program = s->program,
				.sender = sender,
				.address = "p@example.org",
				.fate = "not a report",
				.why = "no\nreport",
				.timeout_ms = ms};
	char path[128];
	enum tap_rc rc;

	snprintf(path, sizeof(path), "%s/message", s->box.path);
	s->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(s->fd >= 0);
	assert_int_equal(pwrite(s->fd, text, n, 7), n);
	f.fd = s->fd;
	f.off = 7;
	f.len = n;
	rc = tap_forward_send(&f, looped, err);
	close(s->fd);
	return rc;
}

static void test_what_the_program_gets(void **state)
{
	char text[512] = "";
	struct tap_err err;
	struct scene s;
	bool looped;
	FILE *f;

	(void)state;
	play(&s, "env > env; echo \"$@\" > got; cat >> got; ls /proc/self/fd | wc -l > fds");
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(send_text(&s, "a@b", "X-Dmarctap: report\r\nS: x\r\n\r\na\rb\r\n\r", 34,
				   5000, &looped, &err),
			 TAP_OK);
	assert_false(looped);
	f = fopen(s.got, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_string_equal(text,
			    "-i -f a@b -- p@example.org\n"
			    "X-Dmarctap: not a report; forwarded; no?report\nS: x\n\na\rb\n\r");
	snprintf(text, sizeof(text),
		 "! grep -v '^PATH=\\|^LC_ALL=\\|^PWD=\\|^OLDPWD=\\|^_=\\|^SHLVL=' %s/env",
		 s.box.path);
	assert_int_equal(system(text), 0);
	box_drop(&s.box);
}

static void test_null_sender(void **state)
{
	static const char *const senders[] = {NULL, "", "a b", "a\nb"};
	struct tap_err err;
	struct scene s;
	bool looped;

	(void)state;
	play(&s, "[ \"$3\" = '<>' ] || exit 9; cat > /dev/null");
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(send_text(&s, senders[i], "S: x\n\n", 6, 5000, &looped, &err),
				 TAP_OK);
	box_drop(&s.box);
}

/* Each of these has to be tried again; none may be called taken. */
static void test_failures(void **state)
{
	static const struct {
		const char *script, *words;
	} cases[] = {
	    {"cat > /dev/null; echo no such user >&2; exit 67", "exit status 67: no such user"},
	    {"exit 0", "it did not read the message"},
	    {"head -c 10 > /dev/null; exit 0", "it did not read the message"},
	    {"kill -9 $$", "killed by signal 9"},
	    {"exec sleep 60", "in time"},
	};
	enum { SIZE = 3 << 20 };
	char *text = malloc(SIZE);
	struct scene s;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', SIZE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int big = 0; big < 2; big++) {
			struct tap_err err = {0};
			int64_t begin = tap_clock_mono_ms();
			bool looped;

			play(&s, cases[i].script);
			assert_int_equal(
			    send_text(&s, "a@b", text, big ? SIZE : 100, 1000, &looped, &err),
			    TAP_E_TEMP);
			if (!strstr(err.msg, cases[i].words))
				fail_msg("%s: %s", cases[i].script, err.msg);
			assert_true(tap_clock_mono_ms() - begin < 20000);
			box_drop(&s.box);
		}
	}
	play(&s, "exit 0");
	(void)unlink(s.program);
	{
		struct tap_err err = {0};
		bool looped;

		assert_int_equal(send_text(&s, "a@b", text, 100, 1000, &looped, &err), TAP_E_TEMP);
		assert_non_null(strstr(err.msg, "cannot run"));
	}
	box_drop(&s.box);
	free(text);
}

/* A child in the background that holds the output open is not waited for. */
static void test_background_child(void **state)
{
	struct tap_err err;
	struct scene s;
	bool looped;

	(void)state;
	play(&s, "cat > /dev/null; sleep 30 & exit 0");
	assert_int_equal(send_text(&s, "a@b", "S: x\n\n", 6, 10000, &looped, &err), TAP_OK);
	box_drop(&s.box);
}

static void test_a_loop_is_seen(void **state)
{
	struct tap_err err;
	struct scene s;
	bool looped;

	(void)state;
	play(&s, "cat > got");
	assert_int_equal(send_text(&s, "a@b", "X-Dmarctap: not a report; forwarded\n\nx\n", 39,
				   5000, &looped, &err),
			 TAP_OK);
	assert_true(looped);
	assert_int_equal(access(s.got, F_OK), -1);
	box_drop(&s.box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_header_of_ours_is_dropped),
	    cmocka_unit_test(test_what_the_program_gets),
	    cmocka_unit_test(test_null_sender),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_background_child),
	    cmocka_unit_test(test_a_loop_is_seen),
	};
	return cmocka_run_group_tests_name("intake forward", tests, NULL, NULL);
}
