/* SPDX-License-Identifier: Apache-2.0
 * The pool with the real dmarctap-parse: verdicts, frames, the jail, and processes that die, stall or lie.
 * The misbehaviour is asked for by a header line, which only builds with fault points listen to. */
#include "confine_helper.h"

#include "base/clock.h"
#include "confine/build.h"
#include "confine/frames.h"
#include "confine/pool.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void verdicts(void **state)
{
	struct tap_pool *p = start(2, 10000);
	struct tap_parse_result res;
	struct tap_err err;

	(void)state;
	expect(p, NULL, TAP_V_REPORT, NULL);
	assert_int_equal(ask_text(p, "Subject: hi\r\n\r\nhello\r\n", &res, &err), TAP_OK);
	assert_int_equal(res.verdict, TAP_V_NOT_A_REPORT);
	assert_int_equal(
	    ask_text(p, "Content-Type: text/xml\r\n\r\n<feedback><record>", &res, &err), TAP_OK);
	assert_int_equal(res.verdict, TAP_V_BROKEN);
	assert_true(res.why[0] != '\0');
	assert_int_equal(stats(p).messages, 3);
	assert_int_equal(stats(p).unreadable, 0);
	assert_int_equal(stats(p).replaced, 0);
	tap_pool_stop(&p);
	assert_null(p);
	tap_pool_stop(&p);
}

/* A message that is only a part of the file, with a name that is too long. */
static void part_of_a_file(void **state)
{
	struct tap_pool *p = start(1, 10000);
	struct tap_pool_job job = {.off = 1000};
	struct tap_parse_result res;
	char text[4096], name[3000], all[8192];
	struct tap_err err;

	(void)state;
	mail_text(text, sizeof text, NULL);
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	memset(all, '<', sizeof all - 1);
	all[sizeof all - 1] = '\0';
	memcpy(all + 1000, text, strlen(text));
	job.len = strlen(text);
	job.filename = name;
	job.fd = file_of(all);
	assert_int_equal(tap_pool_verdict(p, &job, &res, &err), TAP_OK);
	assert_int_equal(res.verdict, TAP_V_REPORT);
	assert_int_equal(res.reports, 1);
	close(job.fd);
	/* A descriptor that is none is our trouble; the next message does not notice. */
	assert_int_equal(tap_pool_verdict(p, &job, &res, &err), TAP_E_TEMP);
	expect(p, NULL, TAP_V_REPORT, NULL);
	assert_int_equal(stats(p).unreadable, 0);
	tap_pool_stop(&p);
}

struct seen {
	int begins, records, ends;
	uint64_t messages;
	size_t payload;
	char domain[64];
};

static enum tap_rc on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	s->begins++;
	snprintf(s->domain, sizeof s->domain, "%s", m->domain);
	return TAP_OK;
}

static enum tap_rc on_record(void *ctx, const struct tap_record *r, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	assert_string_equal(r->source_ip, "192.0.2.7");
	s->records++;
	return TAP_OK;
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	s->ends++;
	s->messages = e->messages;
	return TAP_OK;
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	(void)ctx;
	fail_msg("%s", why->msg);
}

static enum tap_rc on_payload(void *ctx, uint32_t part, const void *p, size_t n,
			      struct tap_err *err)
{
	struct seen *s = ctx;

	(void)part;
	(void)p;
	(void)err;
	s->payload += n;
	return TAP_OK;
}

static enum tap_rc decode(void *ctx, const void *p, size_t n, struct tap_err *err)
{
	return tap_frame_reader_input(ctx, p, n, err);
}

static void frames_of_a_report(void **state)
{
	static const struct tap_events ev = {.begin = on_begin,
					     .record = on_record,
					     .end = on_end,
					     .abort = on_abort,
					     .payload = on_payload};
	struct tap_pool *p = start(1, 10000);
	struct tap_parse_result res, far;
	char text[4096];
	struct tap_err err;
	enum tap_rc rc;

	(void)state;
	mail_text(text, sizeof text, NULL);
	for (int payload = 0; payload < 2; payload++) {
		struct tap_pool_job job = {.len = strlen(text), .payload = payload == 1};
		struct seen s = {0};
		struct tap_frame_reader *r = tap_frame_reader_new(&ev, &s);

		job.fd = file_of(text);
		if (tap_pool_frames(p, &job, decode, r, &res, &err) != TAP_OK)
			fail_msg("%s", err.msg);
		assert_int_equal(res.verdict, TAP_V_REPORT);
		assert_true(tap_frame_reader_result(r, &rc, &far));
		assert_int_equal(far.verdict, TAP_V_REPORT);
		assert_int_equal(s.begins, 1);
		assert_int_equal(s.records, 1);
		assert_int_equal(s.ends, 1);
		assert_int_equal(s.messages, 5);
		assert_string_equal(s.domain, "example.org");
		assert_int_equal(s.payload > 0, payload);
		tap_frame_reader_free(&r);
		close(job.fd);
	}
	assert_int_equal(stats(p).replaced, 0);
	tap_pool_stop(&p);
}

static enum tap_rc full(void *ctx, const void *p, size_t n, struct tap_err *err)
{
	(void)ctx;
	(void)p;
	(void)n;
	return tap_err_sys(err, TAP_E_TEMP, ENOSPC, "staging");
}

static void a_sink_that_fails(void **state)
{
	struct tap_pool *p = start(1, 10000);
	struct tap_parse_result res;
	char text[4096];
	struct tap_pool_job job = {0};
	struct tap_err err;

	(void)state;
	mail_text(text, sizeof text, NULL);
	job.fd = file_of(text);
	job.len = strlen(text);
	assert_int_equal(tap_pool_frames(p, &job, full, NULL, &res, &err), TAP_E_TEMP);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_int_equal(stats(p).unreadable, 0);
	expect(p, NULL, TAP_V_REPORT, NULL);
	close(job.fd);
	tap_pool_stop(&p);
}

static const char stalled[] = "the parser process did not finish within 0.5 s";
static const char aborted[] = "the parser process died (signal 6)";
static const char nonsense[] = "the parser process answered nonsense";

/* Sanitizers turn a signal into an exit of their own. */
static const char *dead(const char *text)
{
	return TAP_BUILD_SANITIZED ? NULL : text;
}

static void misbehaviour(void **state)
{
	struct tap_pool *p = start(1, 500);

	(void)state;
	expect(p, "abort", TAP_V_UNREADABLE, dead(aborted));
	expect(p, NULL, TAP_V_REPORT, NULL);
	expect(p, "stall", TAP_V_UNREADABLE, stalled);
	expect(p, NULL, TAP_V_REPORT, NULL);
	expect(p, "trickle", TAP_V_UNREADABLE, stalled);
	expect(p, NULL, TAP_V_REPORT, NULL);
	expect(p, "garbage", TAP_V_UNREADABLE, nonsense);
	expect(p, NULL, TAP_V_REPORT, NULL);
	assert_int_equal(stats(p).unreadable, 4);
	assert_int_equal(stats(p).replaced, 4);
	tap_pool_stop(&p);
}

static void the_memory_limit(void **state)
{
	struct tap_pool *p = start(1, 10000);

	(void)state;
	expect(p, "exhaust", TAP_V_UNREADABLE, dead(aborted));
	expect(p, NULL, TAP_V_REPORT, NULL);
	/* One that can still say so is no reason to try again: it would be the same for ever. */
	expect(p, "starve", TAP_V_UNREADABLE, "parser.memory is not enough: out of memory");
	assert_int_equal(stats(p).unreadable, 2);
	assert_int_equal(stats(p).replaced, 2);
	expect(p, NULL, TAP_V_REPORT, NULL);
	tap_pool_stop(&p);
}

/* What the jail must stop kills; a path is only refused. */
static void the_jail_holds(void **state)
{
	static const char forbidden[] = "the parser process died (signal 31)";
	struct tap_pool *p = start(1, 10000);

	(void)state;
	expect(p, "open", TAP_V_REPORT, NULL);
	assert_int_equal(stats(p).replaced, 0);
	expect(p, "socket", TAP_V_UNREADABLE, forbidden);
	expect(p, "fork", TAP_V_UNREADABLE, forbidden);
	expect(p, "exec", TAP_V_UNREADABLE, forbidden);
	expect(p, NULL, TAP_V_REPORT, NULL);
	tap_pool_stop(&p);
}

/* Calls fn for each child of this process. */
static int each_child(void (*fn)(pid_t pid))
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		char path[300], line[512];
		long pid = strtol(e->d_name, NULL, 10);
		const char *at;
		FILE *f;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof path, "/proc/%ld/stat", pid);
		f = fopen(path, "r");
		if (f == NULL)
			continue;
		at = fgets(line, sizeof line, f) == NULL ? NULL : strrchr(line, ')');
		fclose(f);
		/* "pid (name) state ppid" */
		if (at == NULL || strlen(at) < 5 || strtol(at + 4, NULL, 10) != getpid())
			continue;
		n++;
		if (fn != NULL)
			fn((pid_t)pid);
	}
	closedir(d);
	return n;
}

static void kill_it(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
}

static void idle_processes_may_be_killed(void **state)
{
	struct tap_pool *p = start(3, 10000);

	(void)state;
	for (int round = 0; round < 3; round++) {
		assert_int_equal(each_child(kill_it), 3);
		for (int i = 0; i < 6; i++)
			expect(p, NULL, TAP_V_REPORT, NULL);
	}
	assert_int_equal(stats(p).unreadable, 0);
	assert_true(stats(p).replaced >= 3);
	tap_pool_stop(&p);
	assert_int_equal(each_child(NULL), 0);
}

/* Signals that stop a service are not for the parser: its owner still needs it. */
static void term_it(pid_t pid)
{
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_int_equal(kill(pid, SIGHUP), 0);
}

static void stop_signals_are_not_for_the_parser(void **state)
{
	struct tap_pool *p = start(2, 10000);

	(void)state;
	assert_int_equal(each_child(term_it), 2);
	for (int i = 0; i < 4; i++)
		expect(p, NULL, TAP_V_REPORT, NULL);
	assert_int_equal(stats(p).replaced, 0);
	tap_pool_stop(&p);
}

static void expect_line(pid_t pid, const char *file, const char *wanted)
{
	char path[64], line[512];
	int found = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL)
		found |= strncmp(line, wanted, strlen(wanted)) == 0;
	fclose(f);
	if (!found)
		fail_msg("%s has no line '%s'", path, wanted);
}

static void look_at(pid_t pid)
{
	char path[300];
	struct dirent *e;
	int n = 0;
	DIR *d;

	expect_line(pid, "status", "NoNewPrivs:\t1");
	expect_line(pid, "status", "Seccomp:\t2");
	expect_line(pid, "limits", "Max core file size        0                    0");
	expect_line(pid, "limits", "Max open files            5                    5");
	expect_line(pid, "limits", "Max processes             0                    0");
	if (!TAP_BUILD_SANITIZED) {
		expect_line(pid, "limits",
			    "Max address space         268435456            268435456");
		expect_line(pid, "limits", "Max file size             0                    0");
	}
	/* Only root sees the descriptors of a process that may not be dumped. */
	if (geteuid() != 0)
		return;
	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	assert_int_equal(n, 4);
	snprintf(path, sizeof path, "/proc/%d/environ", pid);
	FILE *f = fopen(path, "r");
	char env[4096] = "";
	assert_non_null(f);
	env[fread(env, 1, sizeof env - 1, f)] = '\0';
	fclose(f);
	assert_null(strstr(env, "TAP_BIN"));
	assert_null(strstr(env, "PATH"));
}

static void a_process_has_nothing(void **state)
{
	/* Descriptors of ours, one of them inheritable, must not arrive there. */
	int leak = memfd_create("leak", 0);
	struct tap_pool *p = start(2, 10000);

	(void)state;
	assert_true(leak >= 0);
	expect(p, NULL, TAP_V_REPORT, NULL);
	assert_int_equal(each_child(look_at), 2);
	tap_pool_stop(&p);
	close(leak);
}

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void nothing_is_left_behind(void **state)
{
	int before = open_descriptors();

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct tap_pool *p = start(2, 10000);

		expect(p, NULL, TAP_V_REPORT, NULL);
		each_child(kill_it);
		expect(p, NULL, TAP_V_REPORT, NULL);
		tap_pool_stop(&p);
	}
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(each_child(NULL), 0);
}

static void refuse_program(char *path, const char *text)
{
	struct tap_parser_settings set = settings(2, 10000);
	struct tap_pool *p;
	struct tap_err err;

	set.program = path;
	assert_int_equal(tap_pool_start(&set, NULL, &p, &err), TAP_E_CONFIG);
	assert_null(p);
	if (strstr(err.msg, text) == NULL || (path != NULL && strstr(err.msg, path) == NULL))
		fail_msg("%s", err.msg);
}

static void programs_that_are_none(void **state)
{
	char missing[] = "/nonexistent/dmarctap-parse", wrong[] = "/bin/true",
	     data[] = "/etc/passwd";

	(void)state;
	refuse_program(missing, "No such file");
	refuse_program(wrong, "did not start (exit status 0)");
	refuse_program(data, "Permission denied");
	/* The default is beside the running program, and beside this test there is none. */
	refuse_program(NULL, "libexec/dmarctap/dmarctap-parse");
	assert_int_equal(each_child(NULL), 0);
}

/* The replacement cannot be started: that caller's mail waits, and the next one has a process again. Runs first, because the
 * faults are counted from the start of this program. */
static void no_room_for_a_replacement(void **state)
{
	struct tap_pool *p = start(1, 10000);
	struct tap_parse_result res;
	struct tap_err err;

	(void)state;
	expect(p, "abort", TAP_V_UNREADABLE, NULL);
	assert_int_equal(ask(p, NULL, &res, &err), TAP_E_TEMP);
	assert_int_equal(err.sys_errno, EAGAIN);
	assert_non_null(strstr(err.msg, program));
	expect(p, NULL, TAP_V_REPORT, NULL);
	tap_pool_stop(&p);
}

struct caller {
	struct tap_pool *pool;
	const char *hook;
	unsigned seed;
	int wrong, killers, temp, unreadable;
	char what[1200];
};

static void *mixed_calls(void *arg)
{
	/* Only one caller stalls, so that the others always find the second process. */
	static const char *const killers[] = {"abort", "garbage", "exhaust", "stall"};
	struct caller *c = arg;

	for (unsigned i = 0; i < 54; i++) {
		const char *hook =
		    i % 13 == c->seed ? killers[(i + c->seed) % (c->seed == 0 ? 4 : 3)] : NULL;
		enum tap_verdict want = hook == NULL ? TAP_V_REPORT : TAP_V_UNREADABLE;
		struct tap_parse_result res = {0};
		struct tap_err err = {0};
		enum tap_rc rc = ask(c->pool, hook, &res, &err);

		c->killers += hook != NULL;
		if (rc != TAP_OK || res.verdict != want) {
			c->wrong++;
			snprintf(c->what, sizeof c->what, "%u %s: %s%s", i,
				 hook == NULL ? "" : hook, err.msg, res.why);
		}
	}
	return NULL;
}

static void killers_among_others(void **state)
{
	enum { N = 4 };
	struct tap_pool *p = start(2, TAP_BUILD_SANITIZED ? 4000 : 2000);
	struct caller c[N] = {{0}};
	pthread_t t[N];
	int killers = 0;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		c[i].pool = p;
		c[i].seed = i;
		assert_int_equal(pthread_create(&t[i], NULL, mixed_calls, &c[i]), 0);
	}
	for (int i = 0; i < N; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		killers += c[i].killers;
	}
	for (int i = 0; i < N; i++) {
		if (c[i].wrong > 0)
			fail_msg("%d wrong, the last: %s", c[i].wrong, c[i].what);
	}
	assert_int_equal(stats(p).messages, N * 54);
	assert_int_equal(stats(p).unreadable, killers);
	tap_pool_stop(&p);
}

static void *one_call(void *arg)
{
	struct caller *c = arg;
	struct tap_parse_result res = {0};
	struct tap_err err = {0};
	enum tap_rc rc = ask(c->pool, c->hook, &res, &err);

	c->temp = rc == TAP_E_TEMP && strstr(err.msg, "were busy for 0.5 s") != NULL;
	c->unreadable = rc == TAP_OK && res.verdict == TAP_V_UNREADABLE;
	return NULL;
}

/* Three stalling messages for one process: one of them at least waits longer than the deadline, and that is not its fault. */
static void waiting_too_long_is_temporary(void **state)
{
	enum { N = 3 };
	struct tap_pool *p = start(1, 500);
	struct caller c[N] = {{0}};
	pthread_t t[N];
	int temp = 0, unreadable = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		c[i].pool = p;
		c[i].hook = "stall";
		assert_int_equal(pthread_create(&t[i], NULL, one_call, &c[i]), 0);
	}
	for (int i = 0; i < N; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		temp += c[i].temp;
		unreadable += c[i].unreadable;
	}
	assert_int_equal(temp + unreadable, N);
	assert_in_range(temp, 1, 2);
	expect(p, NULL, TAP_V_REPORT, NULL);
	tap_pool_stop(&p);
}

/* Converters were loaded before the jail was shut: text in these sets is read, not refused or lost. */
static void character_sets(void **state)
{
	static const char *const sets[] = {"windows-1252", "iso-8859-15", "koi8-r",
					   "gb2312",	   "big5",	  "shift_jis",
					   "iso-2022-jp",  "euc-kr",	  "x-unknown"};
	struct tap_pool *p = start(1, 10000);
	struct tap_parse_result res;
	struct tap_err err;

	(void)state;
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		char text[4096];

		snprintf(text, sizeof text,
			 "Subject: =?%s?Q?=A4=A2?=\r\nMIME-Version: 1.0\r\n"
			 "Content-Type: text/xml; charset=%s; name=\"=?%s?Q?=A4=A2?=\"\r\n"
			 "Content-Disposition: attachment; filename*=%s''%%A4%%A2\r\n\r\n%s",
			 sets[i], sets[i], sets[i], sets[i], report);
		assert_int_equal(ask_text(p, text, &res, &err), TAP_OK);
		if (res.verdict != TAP_V_REPORT)
			fail_msg("%s: %s", sets[i], res.why);
	}
	assert_int_equal(stats(p).replaced, 0);
	tap_pool_stop(&p);
}

/* Printed, not judged: what the boundary costs for a small mail. */
static void cost_of_a_verdict(void **state)
{
	enum { N = 2000 };
	struct tap_pool *p = start(1, 10000);
	static const char text[] = "Subject: hi\r\n\r\nhello\r\n";
	struct tap_pool_job job = {.len = sizeof text - 1};
	struct tap_parse_result res;
	struct tap_err err;
	int64_t begun;

	(void)state;
	job.fd = file_of(text);
	begun = tap_clock_mono_ms();
	for (int i = 0; i < N; i++)
		assert_int_equal(tap_pool_verdict(p, &job, &res, &err), TAP_OK);
	print_message("a verdict on the smallest mail: %.1f microseconds\n",
		      (double)(tap_clock_mono_ms() - begun) * 1000 / N);
	close(job.fd);
	tap_pool_stop(&p);
}

int main(void)
{
	const struct CMUnitTest plain[] = {
	    cmocka_unit_test(verdicts),
	    cmocka_unit_test(part_of_a_file),
	    cmocka_unit_test(frames_of_a_report),
	    cmocka_unit_test(a_sink_that_fails),
	    cmocka_unit_test(idle_processes_may_be_killed),
	    cmocka_unit_test(stop_signals_are_not_for_the_parser),
	    cmocka_unit_test(a_process_has_nothing),
	    cmocka_unit_test(nothing_is_left_behind),
	    cmocka_unit_test(programs_that_are_none),
	    cmocka_unit_test(character_sets),
	    cmocka_unit_test(cost_of_a_verdict),
	};
	const struct CMUnitTest hooked[] = {
	    cmocka_unit_test(no_room_for_a_replacement),
	    cmocka_unit_test(misbehaviour),
	    cmocka_unit_test(the_memory_limit),
	    cmocka_unit_test(the_jail_holds),
	    cmocka_unit_test(killers_among_others),
	    cmocka_unit_test(waiting_too_long_is_temporary),
	};
	int failed = 0;

	if (!program_from_environment())
		return 2;
	setenv("TAP_FAULT", "parse.spawn:2:EAGAIN,parse.spawn:3:EAGAIN", 1);
	if (TAP_BUILD_HOOKS)
		failed = cmocka_run_group_tests_name("confine_pool_hooks", hooked, NULL, NULL);
	return failed + cmocka_run_group_tests_name("confine_pool", plain, NULL, NULL);
}
