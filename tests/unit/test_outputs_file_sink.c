/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_file_sink.c - files that grow exactly once: killed at every fault point, disk full, rotated, cut and
 * written to by others. A child process plays the runner over a small "store" file; the parent lets it die, starts it again
 * without the fault, and compares what stands in the file (or in the rotated file and the new one) with what was owed. */
#include "outputs_helper.h"

#include "base/io.h"
#include "outputs/file_sink.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ITEMS = 40, BATCH = 3, LINE = 4, BUF = 1 << 16 };

static char dir[64];
static char path[128], rotated[128], store[128];
static const char header[] = "header\r\n";

/* What the child does beside sending. */
struct play {
	const char *fault;
	int rotate_at;	 /* before the batch that begins with this item; -1 = never */
	bool move_away;	 /* the rotated file leaves the directory's sight by deletion */
	int die_unsaved; /* before saving what was sent at this item; -1 = never */
	bool with_header;
};
static const struct play plain = {.rotate_at = -1, .die_unsaved = -1};

static void save(int cursor, const char *state)
{
	char text[TAP_OUTPUT_STATE_MAX + 32];
	int n = snprintf(text, sizeof text, "%d\n%s", cursor, state);
	struct tap_err err;

	if (n < 0 || tap_io_replace(AT_FDCWD, store, text, (size_t)n, 0600, &err) != TAP_OK)
		_exit(99);
}

static int load(char *state)
{
	struct tap_buf b;
	struct tap_err err;
	const char *text;
	int cursor = 0;

	state[0] = '\0';
	tap_buf_init(&b, BUF);
	if (tap_io_read_file(AT_FDCWD, store, &b, &err) == TAP_OK) {
		text = tap_buf_cstr(&b);
		cursor = (int)strtol(text, NULL, 10);
		(void)snprintf(state, TAP_OUTPUT_STATE_MAX, "%s", strchr(text, '\n') + 1);
	}
	tap_buf_free(&b);
	return cursor;
}

static void item(struct tap_buf *b, int i)
{
	tap_buf_printf(b, "item-%d%s", i, i % LINE == LINE - 1 ? "\n" : ";");
}

static void rotate(const struct play *play)
{
	static bool gone;
	struct stat st;
	struct tap_err err;

	if (play->move_away && !gone && unlink(path) != 0)
		_exit(98);
	gone = true;
	if (!play->move_away && stat(rotated, &st) != 0 &&
	    tap_io_rename(AT_FDCWD, path, AT_FDCWD, rotated, NULL, &err) != TAP_OK)
		_exit(97);
}

/* One batch from the cursor on; the new cursor. */
static int batch(const struct play *play, struct tap_file_sink *f, int cursor, char *state,
		 struct tap_err *err)
{
	enum tap_item_verdict verdict[BATCH];
	size_t ofs[BATCH + 1] = {0}, n = 0;
	char before[TAP_OUTPUT_STATE_MAX];
	struct tap_buf b;

	tap_buf_init(&b, BUF);
	for (; n < BATCH && cursor + (int)n < ITEMS; n++) {
		item(&b, cursor + (int)n);
		ofs[n + 1] = b.len;
	}
	(void)snprintf(before, sizeof before, "%s", state);
	if (tap_file_sink_send(f, b.p, ofs, n, verdict, state, err) != TAP_OK) {
		tap_buf_free(&b);
		return cursor;
	}
	tap_buf_free(&b);
	if (play->die_unsaved >= cursor && play->die_unsaved < cursor + (int)n)
		_exit(3);
	for (size_t i = 1; i < n; i++)
		if (verdict[i] != verdict[0])
			_exit(96);
	if (verdict[0] == TAP_ITEM_CONFIRMED)
		cursor += (int)n;
	else if (strcmp(before, state) == 0)
		_exit(95); /* no progress and no reason for it */
	save(cursor, state);
	return cursor;
}

static void child(const struct play *play)
{
	char state[TAP_OUTPUT_STATE_MAX], now[TAP_OUTPUT_STATE_MAX];
	struct tap_file_sink *f;
	struct tap_err err = {0};
	int cursor, failures = 0;

	if (play->fault != NULL)
		setenv("TAP_FAULT", play->fault, 1);
	cursor = load(state);
	memcpy(now, state, sizeof now);
	if (tap_file_sink_open(path, play->with_header ? header : NULL, sizeof header - 1, state,
			       now, &f, &err) != TAP_OK)
		_exit(4);
	if (strcmp(state, now) != 0)
		save(cursor, now);
	while (cursor < ITEMS) {
		int next;

		if (play->rotate_at >= cursor && play->rotate_at < cursor + BATCH)
			rotate(play);
		next = batch(play, f, cursor, now, &err);
		if (next == cursor && ++failures > 10)
			_exit(5);
		cursor = next;
	}
	tap_file_sink_close(&f);
	_exit(0);
}

static int run(const struct play *play)
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0)
		child(play);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return -WTERMSIG(status);
	return WEXITSTATUS(status);
}

static void clean(void)
{
	(void)unlink(path);
	(void)unlink(rotated);
	(void)unlink(store);
}

static void slurp(const char *name, struct tap_buf *b)
{
	struct tap_err err;

	assert_int_equal(tap_io_read_file(AT_FDCWD, name, b, &err), TAP_OK);
}

/* Adds the file's content to b; skips its header, which must be there once. */
static void collect(const char *name, bool with_header, struct tap_buf *b)
{
	size_t n = with_header ? sizeof header - 1 : 0;
	struct tap_buf one;

	tap_buf_init(&one, BUF);
	slurp(name, &one);
	assert_true(one.len >= n);
	assert_memory_equal(one.p, header, n);
	if (one.len > n)
		assert_int_equal(one.p[one.len - 1], '\n');
	tap_buf_add(b, one.p + n, one.len - n);
	tap_buf_free(&one);
}

static void expect_once(bool with_header, bool was_rotated)
{
	struct tap_buf want, got;

	tap_buf_init(&want, BUF);
	tap_buf_init(&got, BUF);
	for (int i = 0; i < ITEMS; i++)
		item(&want, i);
	if (was_rotated)
		collect(rotated, with_header, &got);
	collect(path, with_header, &got);
	assert_string_equal(tap_buf_cstr(&got), tap_buf_cstr(&want));
	tap_buf_free(&want);
	tap_buf_free(&got);
}

static void test_plain(void **state)
{
	struct play p = plain;

	(void)state;
	clean();
	assert_int_equal(run(&p), 0);
	expect_once(false, false);
	clean();
	p.with_header = true;
	assert_int_equal(run(&p), 0);
	expect_once(true, false);
}

/* Every passage of every fault point, killed there and failed there, with and without a rotation in the middle. */
static void test_every_fault(void **state)
{
	static const char *const points[] = {"open", "write", "fsync", "truncate"};
	static const char *const actions[] = {"kill", "ENOSPC", "EIO"};
	static const int passages[] = {1, 2, 4, 6, 7, 8, 12};
	int killed = 0, died = 0;

	(void)state;
	for (size_t pt = 0; pt < 4; pt++)
		for (size_t act = 0; act < 3; act++)
			for (size_t n = 0; n < sizeof passages / sizeof *passages; n++)
				for (int variant = 0; variant < 4; variant++) {
					char rule[128];
					struct play p = plain;
					int rc;

					clean();
					p.with_header = variant & 1;
					p.rotate_at = variant & 2 ? 16 : -1;
					(void)snprintf(rule, sizeof rule, "file_sink.%s:%d:%s",
						       points[pt], passages[n], actions[act]);
					p.fault = rule;
					rc = run(&p);
					killed += rc == -SIGKILL;
					died += rc != 0;
					p.fault = NULL;
					assert_int_equal(run(&p), 0);
					expect_once(p.with_header, variant & 2);
				}
	assert_true(killed > 30); /* the points are really there */
	assert_true(died > killed);
}

/* Half a batch is in the file and the process is gone before it could cut it off. */
static void test_half_a_batch(void **state)
{
	(void)state;
	for (int nth = 1; nth <= 14; nth++)
		for (int rotate_at = -1; rotate_at <= 16; rotate_at += 17) {
			char rule[128];
			struct play p = plain;

			clean();
			(void)snprintf(rule, sizeof rule,
				       "file_sink.write:%d:EIO,file_sink.truncate:1:kill", nth);
			p.fault = rule;
			p.rotate_at = rotate_at;
			assert_int_equal(run(&p), -SIGKILL);
			p.fault = NULL;
			assert_int_equal(run(&p), 0);
			expect_once(false, rotate_at >= 0);
		}
}

/* The truncation fails as well: nothing is written behind the remains. */
static void test_truncate_fails_too(void **state)
{
	struct play p = plain;

	(void)state;
	clean();
	p.fault = "file_sink.write:4:ENOSPC,file_sink.truncate:1:EIO,file_sink.truncate:2:EIO";
	assert_int_equal(run(&p), 0);
	expect_once(false, false);
}

static void test_disk_stays_full(void **state)
{
	struct play p = plain;

	(void)state;
	clean();
	p.fault = "file_sink.write:0:ENOSPC";
	assert_int_equal(run(&p), 5); /* tried again and again, confirmed nothing */
	p.fault = NULL;
	assert_int_equal(run(&p), 0);
	expect_once(false, false);
}

/* The batch is in the file, the store did not hear of it. */
static void test_sent_but_not_settled(void **state)
{
	(void)state;
	for (int at = 0; at < ITEMS; at++) {
		struct play p = plain;

		clean();
		p.die_unsaved = at;
		p.rotate_at = at % 2 ? 16 : -1;
		p.with_header = at % 3 == 0;
		assert_int_equal(run(&p), 3);
		p.die_unsaved = -1;
		assert_int_equal(run(&p), 0);
		expect_once(p.with_header, at % 2);
	}
}

/* Rotated while nobody was looking, with half a batch in it: the old file is found by its inode and cut. */
static void test_rotated_while_down(void **state)
{
	struct play p = plain;
	struct tap_err err;

	(void)state;
	clean();
	p.fault = "file_sink.write:9:EIO,file_sink.truncate:1:kill";
	assert_int_equal(run(&p), -SIGKILL);
	assert_int_equal(tap_io_rename(AT_FDCWD, path, AT_FDCWD, rotated, NULL, &err), TAP_OK);
	p.fault = NULL;
	assert_int_equal(run(&p), 0);
	expect_once(false, true);
}

/* Another file at the path is gone on with, not cut; one that ends within a line gets its line ended. */
static void test_foreign_file(void **state)
{
	static const char foreign[] = "somebody else's words";
	struct play p = plain;
	struct tap_buf b;
	struct tap_err err;

	(void)state;
	clean();
	assert_int_equal(tap_io_replace(AT_FDCWD, path, foreign, sizeof foreign - 1, 0600, &err),
			 TAP_OK);
	p.with_header = true;
	assert_int_equal(run(&p), 0);
	tap_buf_init(&b, BUF);
	slurp(path, &b);
	assert_memory_equal(tap_buf_cstr(&b), "somebody else's words\nitem-0;item-1;", 36);
	assert_null(strstr(tap_buf_cstr(&b), "header"));
	tap_buf_free(&b);
}

static void test_deleted_file(void **state)
{
	struct play p = plain;
	struct tap_buf b;

	(void)state;
	clean();
	p.rotate_at = 13; /* the batch begins at 12: a line's beginning */
	p.move_away = true;
	assert_int_equal(run(&p), 0);
	tap_buf_init(&b, BUF);
	slurp(path, &b);
	assert_memory_equal(tap_buf_cstr(&b), "item-12;item-13;", 16);
	tap_buf_free(&b);
}

/* A state whose file is gone, whose inode number now belongs to another file: that file is not touched. */
static void test_reused_inode(void **state)
{
	char now[TAP_OUTPUT_STATE_MAX], old[TAP_OUTPUT_STATE_MAX];
	static const char precious[] = "a file that happens to have got the number\n";
	struct tap_file_sink *f;
	struct tap_err err;
	struct tap_buf b;
	unsigned long long dev, inode, offset, birth;
	char *p = now + 3;

	(void)state;
	clean();
	assert_int_equal(
	    tap_io_replace(AT_FDCWD, rotated, precious, sizeof precious - 1, 0600, &err), TAP_OK);
	assert_int_equal(tap_file_sink_open(rotated, NULL, 0, "", now, &f, &err), TAP_OK);
	tap_file_sink_close(&f);
	dev = strtoull(p, &p, 10);
	inode = strtoull(p, &p, 10);
	offset = strtoull(p, &p, 10);
	birth = strtoull(p, &p, 10);
	assert_int_equal(offset, sizeof precious - 1);
	if (birth == 0)
		birth =
		    1; /* a file system that tells no birth: then the number alone is all there is */
	(void)snprintf(old, sizeof old, "v1 %llu %llu 5 %llu", dev, inode, birth + 12345);
	assert_int_equal(tap_file_sink_open(path, NULL, 0, old, now, &f, &err), TAP_OK);
	tap_file_sink_close(&f);
	tap_buf_init(&b, BUF);
	slurp(rotated, &b);
	if (birth != 1)
		assert_string_equal(tap_buf_cstr(&b), precious);
	tap_buf_free(&b);
}

static void test_refusals(void **state)
{
	static const char *const bad[] = {
	    "v2 1 2 3",	    "v1",	"v1 1",	     "v1 1 2",
	    "v1 1 2 3 4 5", "v1 1 2 x", "v1 -1 2 3", "v1 1 2 99999999999999999999999",
	    "garbage"};
	char now[TAP_OUTPUT_STATE_MAX];
	struct tap_file_sink *f;
	struct tap_err err = {0};

	(void)state;
	clean();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(tap_file_sink_open(path, NULL, 0, bad[i], now, &f, &err),
				 TAP_E_CONFIG);
		assert_non_null(strstr(err.msg, "stored state"));
		assert_null(f);
	}
	assert_int_equal(tap_file_sink_open(dir, NULL, 0, "", now, &f, &err), TAP_E_CONFIG);
	assert_int_equal(tap_file_sink_open("/dev/null", NULL, 0, "", now, &f, &err), TAP_E_CONFIG);
	assert_int_equal(tap_file_sink_open("/nonexistent/file", NULL, 0, "", now, &f, &err),
			 TAP_E_NOTFOUND);
	assert_non_null(strstr(err.msg, "/nonexistent/file"));
}

/* Cut by somebody else while it is open (copytruncate): goes on at the new end, with a header of its own. */
static void test_cut_by_others(void **state)
{
	static const char line[] = "line\n";
	const size_t ofs[] = {0, sizeof line - 1};
	char now[TAP_OUTPUT_STATE_MAX];
	enum tap_item_verdict v;
	struct tap_file_sink *f;
	struct tap_err err;
	struct tap_buf b;

	(void)state;
	clean();
	assert_int_equal(tap_file_sink_open(path, header, sizeof header - 1, "", now, &f, &err),
			 TAP_OK);
	assert_int_equal(tap_file_sink_send(f, line, ofs, 1, &v, now, &err), TAP_OK);
	assert_int_equal(v, TAP_ITEM_CONFIRMED);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(tap_file_sink_send(f, line, ofs, 1, &v, now, &err), TAP_OK);
	assert_int_equal(v, TAP_ITEM_RETRY); /* the state has to be stored first */
	assert_int_equal(tap_file_sink_send(f, line, ofs, 1, &v, now, &err), TAP_OK);
	assert_int_equal(v, TAP_ITEM_CONFIRMED);
	tap_file_sink_close(&f);
	tap_buf_init(&b, BUF);
	slurp(path, &b);
	assert_string_equal(tap_buf_cstr(&b), "header\r\nline\n");
	tap_buf_free(&b);
}

static int set_up(void **state)
{
	(void)state;
	/* Thousands of fsyncs: in memory where there is such a place. */
	(void)snprintf(dir, sizeof dir, "%s/tap-file-sink-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof path, "%s/out.json", dir);
	(void)snprintf(rotated, sizeof rotated, "%s/out.json.1", dir);
	(void)snprintf(store, sizeof store, "%s/store", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	clean();
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_every_fault),
	    cmocka_unit_test(test_half_a_batch),
	    cmocka_unit_test(test_truncate_fails_too),
	    cmocka_unit_test(test_disk_stays_full),
	    cmocka_unit_test(test_sent_but_not_settled),
	    cmocka_unit_test(test_rotated_while_down),
	    cmocka_unit_test(test_foreign_file),
	    cmocka_unit_test(test_deleted_file),
	    cmocka_unit_test(test_reused_inode),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_cut_by_others),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
