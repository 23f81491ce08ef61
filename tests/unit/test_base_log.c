/* SPDX-License-Identifier: Apache-2.0 */
#include "base_helper.h"

#include "base/log.h"
#include "base/settings.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char said[1 << 16];
static int kept_stderr = -1, taken;

/* What is written to stderr between begin and end lands in said. */
static void begin(void)
{
	kept_stderr = dup(2);
	taken = open(in_dir("stderr"), O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
	assert_true(taken >= 0);
	assert_int_equal(dup2(taken, 2), 2);
}

static void end(void)
{
	ssize_t n = pread(taken, said, sizeof said - 1, 0);

	dup2(kept_stderr, 2);
	close(kept_stderr);
	close(taken);
	assert_true(n >= 0);
	said[n] = '\0';
}

static size_t count(const char *part)
{
	size_t n = 0;

	for (const char *p = said; (p = strstr(p, part)); p += strlen(part))
		n++;
	return n;
}

static void plain(void **state)
{
	const struct tap_log_field f[] = {{"uid", "abc"},   {"none", NULL}, {"from", "a b"},
					  {"q", "x\"y\\z"}, {"empty", ""},  {NULL, NULL}};
	char stamp[32];

	(void)state;
	tap_log_init("dmarctap-test", TAP_LOG_INFO);
	begin();
	tap_debug("t", "not said");
	tap_log_fields(TAP_LOG_WARNING, "spool", f, "stored %d", 5);
	end();
	assert_null(strstr(said, "not said"));
	assert_has(said, " warning spool: stored 5 uid=abc from=\"a b\" q=\"x\\\"y\\\\z\" "
			 "empty=\"\"\n");
	snprintf(stamp, sizeof stamp, "%.*s", (int)strcspn(said, " "), said);
	assert_int_equal(strlen(stamp), 20);
	assert_int_equal(stamp[19], 'Z');
	snprintf(stamp, sizeof stamp, " dmarctap-test[%ld] ", (long)getpid());
	assert_has(said, stamp);
	assert_int_equal(count("\n"), 1);
}

static void levels(void **state)
{
	(void)state;
	begin();
	tap_log_set_level(TAP_LOG_ERROR);
	tap_warn("l", "w1");
	tap_error("l", "e1");
	tap_log_set_level(TAP_LOG_DEBUG);
	tap_debug("l", "d1");
	tap_log_set_level(TAP_LOG_INFO);
	tap_log((enum tap_log_level)7, "l", "bogus");
	end();
	assert_int_equal(count("\n"), 2);
	assert_has(said, "error l: e1\n");
	assert_has(said, "debug l: d1\n");
}

static void hostile(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"a\nerror forged: line", "a\\nerror forged: line"},
	    {"\x1b[2Jbell\x07\r\t", "\\x1b[2Jbell\\x07\\r\\t"},
	    {"del\x7f", "del\\x7f"},
	    {"c1 \xc2\x9b", "c1 \\u{9b}"},
	    {"bidi \xe2\x80\xae", "bidi \\u{202e}"},
	    {"sep \xe2\x80\xa8", "sep \\u{2028}"},
	    {"bom \xef\xbb\xbf", "bom \\u{feff}"},
	    {"bad \xff\xfe", "bad \\xff\\xfe"},
	    {"long \xc0\xaf", "long \\xc0\\xaf"},
	    {"half \xe2\x82", "half \\xe2\\x82"},
	    {"surrogate \xed\xa0\x80", "surrogate \\xed\\xa0\\x80"},
	    {"fine \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
	     "fine \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char want[100];
		const struct tap_log_field f[] = {{"v", rows[i].text}, {NULL, NULL}};
		begin();
		tap_log_fields(TAP_LOG_ERROR, "h", f, "%s", rows[i].text);
		end();
		snprintf(want, sizeof want, "h: %s v=", rows[i].want);
		assert_has(said, want);
		assert_has(strstr(said, " v="), rows[i].want);
		assert_int_equal(count("\n"), 1);
		for (const char *p = said; *p && *p != '\n'; p++)
			assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
	}
}

static void long_texts(void **state)
{
	static char text[200000];
	char value[300];
	struct tap_log_field f[64];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	memset(value, '\n', sizeof value - 1);
	value[299] = '\0';
	for (int i = 0; i < 63; i++)
		f[i] = (struct tap_log_field){"key", i % 2 ? text : value};
	f[63] = (struct tap_log_field){NULL, NULL};
	begin();
	tap_log_fields(TAP_LOG_ERROR, "long", f, "%s", text);
	end();
	assert_true(strlen(said) <= 8192);
	assert_int_equal(said[strlen(said) - 1], '\n');
	assert_int_equal(count("\n"), 1);
	begin();
	f[2].key = NULL;
	tap_log_fields(TAP_LOG_ERROR, "long2", f, "short");
	end();
	const char *last = strrchr(said, '=');
	assert_non_null(last);
	assert_int_equal(strlen(last + 1), 256 + 1);
	assert_has(last, "xxx...\n");
	const char *quoted = strstr(said, "=\"");
	assert_non_null(quoted);
	assert_int_equal(strchr(quoted + 2, '"') - (quoted + 2) <= 256, 1);
}

static void errors(void **state)
{
	struct tap_err e;

	(void)state;
	tap_err_set(&e, TAP_E_DATA, "cannot read the report");
	begin();
	tap_log_err(TAP_LOG_ERROR, "intake", &e);
	end();
	assert_has(said, "error intake: cannot read the report class=data\n");
}

static void throttle(void **state)
{
	struct tap_err e;

	(void)state;
	begin();
	for (int i = 0; i < 1000; i++)
		tap_error("flood", "number %d", i);
	for (int i = 0; i < 1000; i++) {
		tap_err_set(&e, TAP_E_TEMP, "file %d is gone", i);
		tap_log_err(TAP_LOG_ERROR, "flood", &e);
	}
	/* Other texts are other lines. */
	for (int i = 0; i < 20; i++) {
		tap_err_set(&e, TAP_E_TEMP, "%c", 'a' + i);
		tap_log_err(TAP_LOG_ERROR, "single", &e);
	}
	tap_log_set_level(TAP_LOG_DEBUG);
	for (int i = 0; i < 20; i++)
		tap_debug("d", "debug %d", i);
	tap_log_set_level(TAP_LOG_INFO);
	end();
	assert_int_equal(count("flood: number "), 5);
	assert_int_equal(count("flood: file "), 5);
	assert_int_equal(count("single: "), 20);
	assert_int_equal(count("d: debug "), 20);
	assert_int_equal(count("more like"), 0);
	usleep(1100000);
	begin();
	tap_error("other", "something else");
	tap_error("flood", "number %d", 1000);
	end();
	assert_has(said, "error flood: 995 more like: number 0\n");
	assert_has(said, "error flood: 995 more like: file 0 is gone\n");
	assert_has(said, "flood: number 1000\n");
	assert_int_equal(count("more like"), 2);
	assert_int_equal(count("\n"), 4);
}

/* What is still held back at the end of a process is said then. */
static void at_the_end(void **state)
{
	(void)state;
	begin();
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 8; i++)
			tap_warn("last", "words %d", i);
		exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	end();
	assert_int_equal(status, 0);
	assert_has(said, "warning last: 3 more like: words 0\n");
}

static void *talk(void *arg)
{
	for (int i = 0; i < 200; i++)
		tap_info(arg, "%c from %s", 'a' + i % 26, (const char *)arg);
	return NULL;
}

static void threads(void **state)
{
	static char names[4][8] = {"t0", "t1", "t2", "t3"};
	pthread_t t[4];

	(void)state;
	begin();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, talk, names[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	end();
	/* Whole lines, five of each thread. */
	assert_int_equal(count(" info t"), count("\n"));
	assert_true(count("\n") >= 20 && count("\n") <= 60);
}

static void journal(void **state)
{
	const struct tap_log_field f[] = {{"report-uid", "a\nb"}, {"org", "x y"}, {NULL, NULL}};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char got[16384];

	(void)state;
	snprintf(a.sun_path, sizeof a.sun_path, "%s", in_dir("journal"));
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
	tap_log_set_journal_for_test(a.sun_path);
	begin();
	tap_log_fields(TAP_LOG_WARNING, "jr", f, "two\nlines");
	end();
	assert_string_equal(said, "");
	ssize_t n = recv(s, got, sizeof got - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	got[n] = '\0';
	assert_string_equal(got, "MESSAGE=jr: two\\nlines report-uid=\"a\\nb\" org=\"x y\"\n"
				 "PRIORITY=4\nSYSLOG_IDENTIFIER=dmarctap-test\nTAP_COMPONENT=jr\n"
				 "TAP_REPORT_UID=a\\nb\nTAP_ORG=x y\n");
	/* The journal is gone: stderr serves. */
	close(s);
	begin();
	tap_error("jr", "alone");
	end();
	assert_has(said, "error jr: alone\n");
	tap_log_set_journal_for_test(NULL);
}

static void stream_is_compared(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	/* Of another file than our stderr: no journal. */
	setenv("JOURNAL_STREAM", "1:1", 1);
	tap_log_init("dmarctap-test", TAP_LOG_INFO);
	begin();
	tap_info("js", "seen");
	end();
	assert_has(said, "js: seen");
	begin();
	assert_int_equal(fstat(2, &st), 0);
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	tap_log_init("dmarctap-test", TAP_LOG_INFO);
	tap_info("js2", "to the journal or, where none is, here");
	end();
	assert_true(access("/run/systemd/journal/socket", F_OK) == 0 || count("js2: to") == 1);
	unsetenv("JOURNAL_STREAM");
	tap_log_init("dmarctap-test", TAP_LOG_INFO);
}

static void section(void **state)
{
	struct tap_log_settings set;
	struct tap_settings *s;
	struct tap_err e;

	(void)state;
	assert_int_equal(tap_settings_load(NULL, &s, &e), TAP_OK);
	assert_int_equal(tap_settings_section(s, &tap_log_section, &set, &e), TAP_OK);
	assert_int_equal(set.level, TAP_LOG_INFO);
	tap_settings_free(&s);
	put_file(in_dir("log.conf"), "log = { level = \"warning\"; };\n");
	assert_int_equal(tap_settings_load(in_dir("log.conf"), &s, &e), TAP_OK);
	assert_int_equal(tap_settings_section(s, &tap_log_section, &set, &e), TAP_OK);
	assert_int_equal(set.level, TAP_LOG_WARNING);
	tap_settings_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain),	  cmocka_unit_test(levels),
	    cmocka_unit_test(hostile),	  cmocka_unit_test(long_texts),
	    cmocka_unit_test(errors),	  cmocka_unit_test(throttle),
	    cmocka_unit_test(at_the_end), cmocka_unit_test(threads),
	    cmocka_unit_test(journal),	  cmocka_unit_test(stream_is_compared),
	    cmocka_unit_test(section),
	};
	return cmocka_run_group_tests(tests, dir_setup, dir_teardown);
}
