/* SPDX-License-Identifier: Apache-2.0
 * The spool directory: what commit makes visible, what every failure leaves behind (nothing), limits, orphans, many at once. */
#include "intake_helper.h"

#include <errno.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/wait.h>

static const char *const rcpt[] = {"dmarc@example.com"};
static const struct tap_envelope env = {.door = TAP_DOOR_MILTER,
					.arrival = 1780000000,
					.sender = "a@b.example",
					.recipients = rcpt,
					.n_recipients = 1};

static struct tap_spool *open_spool(const struct box *b)
{
	struct tap_spool *s;
	struct tap_err err;

	if (tap_spool_open(&b->set, TAP_DOOR_MILTER, &s, &err) != TAP_OK)
		fail_msg("%s", err.msg);
	return s;
}

static enum tap_rc put(struct tap_spool *s, const char *text, char *id, struct tap_err *err)
{
	struct tap_spool_writer *w;
	enum tap_rc rc = tap_spool_writer_open(s, &w, err);

	if (!rc && (rc = tap_spool_writer_append(w, text, strlen(text), err))) {
		tap_spool_writer_abort(&w);
		return rc;
	}
	return rc ? rc : tap_spool_writer_commit(&w, &env, id, err);
}

static void test_commit(void **state)
{
	struct tap_spool_file f;
	struct tap_spool *s;
	struct tap_err err;
	struct box b;
	char id[TAP_SPOOL_ID + 1], name[256], want[TAP_SPOOL_NAME], *got;
	struct stat st;
	int dir;

	(void)state;
	box_make(&b);
	/* The worker must be able to read what a door with a narrow umask writes. */
	umask(0077);
	s = open_spool(&b);
	assert_int_equal(put(s, "hello", id, &err), TAP_OK);
	umask(0022);
	box_only(&b, "incoming/milter", &f);
	got = message_of(&f);
	assert_string_equal(got, "hello");
	assert_string_equal(f.envelope.sender, "a@b.example");
	assert_int_equal(f.envelope.door, TAP_DOOR_MILTER);
	free(got);
	assert_int_equal(fstat(f.fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, TAP_SPOOL_FILE_MODE);
	tap_spool_file_close(&f);
	assert_int_equal(box_count(&b, "incoming/milter", 1, name), 1);
	snprintf(want, sizeof(want), "%s.tap", id);
	assert_string_equal(name, want);
	dir = box_dir(&b, "incoming/milter");
	assert_int_equal(fstat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, TAP_SPOOL_DIR_MODE);
	close(dir);
	tap_spool_close(&s);
	assert_null(s);
	tap_spool_close(&s);
	box_drop(&b);
}

static void test_large_in_odd_pieces(void **state)
{
	enum { SIZE = 300001 };
	char *text = malloc(SIZE), *got;
	struct tap_spool_writer *w;
	struct tap_spool_file f;
	struct tap_spool *s;
	struct tap_err err;
	uint64_t off, len;
	struct box b;
	int fd;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < SIZE; i++)
		text[i] = (char)(i * 7 % 251);
	box_make(&b);
	s = open_spool(&b);
	assert_int_equal(tap_spool_writer_open(s, &w, &err), TAP_OK);
	assert_int_equal(tap_spool_writer_append(w, "", 0, &err), TAP_OK);
	for (size_t at = 0, n = 1; at < SIZE; at += n, n = (n * 3 + 1) % 70001) {
		if (n > SIZE - at)
			n = SIZE - at;
		assert_int_equal(tap_spool_writer_append(w, text + at, n, &err), TAP_OK);
	}
	/* What the parser is shown is the message, all of it, before anything is visible. */
	assert_int_equal(tap_spool_writer_message(w, &fd, &off, &len, &err), TAP_OK);
	assert_int_equal(len, SIZE);
	/* Whoever reads it has no means to change it. */
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	got = malloc(SIZE);
	assert_int_equal(pread(fd, got, SIZE, (off_t)off), SIZE);
	assert_memory_equal(got, text, SIZE);
	assert_int_equal(box_count(&b, "incoming/milter", 0, NULL), 0);
	assert_int_equal(tap_spool_writer_commit(&w, &env, NULL, &err), TAP_OK);
	assert_null(w);
	box_only(&b, "incoming/milter", &f);
	assert_int_equal(f.message_len, SIZE);
	tap_spool_file_close(&f);
	free(got);
	free(text);
	tap_spool_close(&s);
	box_drop(&b);
}

static void test_abort(void **state)
{
	struct tap_spool_writer *w;
	struct tap_spool *s;
	struct tap_err err;
	struct box b;

	(void)state;
	box_make(&b);
	s = open_spool(&b);
	assert_int_equal(tap_spool_writer_open(s, &w, &err), TAP_OK);
	assert_int_equal(tap_spool_writer_append(w, "x", 1, &err), TAP_OK);
	assert_int_equal(box_count(&b, "incoming/milter", 1, NULL), 1);
	tap_spool_writer_abort(&w);
	assert_null(w);
	tap_spool_writer_abort(&w);
	assert_int_equal(box_count(&b, "incoming/milter", 1, NULL), 0);
	tap_spool_close(&s);
	box_drop(&b);
}

#ifdef TAP_FAULT_POINTS
/* In a child, as the faults are read once in a process. Exit: 0 all as it must be. */
static int fault_child(const struct box *b, const char *fault, int want_errno)
{
	struct tap_spool *s;
	struct tap_err err = {0};
	enum tap_rc rc;

	setenv("TAP_FAULT", fault, 1);
	s = open_spool(b);
	rc = put(s, "hello", NULL, &err);
	if (rc == TAP_OK)
		return 1; /* success over a failure */
	if (rc != TAP_E_TEMP || err.sys_errno != want_errno || err.msg[0] == '\0')
		return 2;
	if (box_count(b, "incoming/milter", 1, NULL) != 0)
		return 3; /* something is left */
	/* The next one is not harmed by the one before. */
	if (put(s, "hello", NULL, &err) != TAP_OK || box_count(b, "incoming/milter", 1, NULL) != 1)
		return 4;
	tap_spool_close(&s);
	return 0;
}

static void test_each_fault(void **state)
{
	static const char *const points[] = {"spool.open:1",   "spool.write:1", "spool.write:2",
					     "spool.write:3",  "spool.fsync:1", "spool.rename:1",
					     "spool.dirsync:1"};
	static const struct {
		const char *name;
		int number;
	} errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EDQUOT", EDQUOT}};

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		for (size_t k = 0; k < sizeof(errors) / sizeof(errors[0]); k++) {
			char fault[64];
			struct box b;
			int status;
			pid_t pid;

			box_make(&b);
			snprintf(fault, sizeof(fault), "%s:%s", points[i], errors[k].name);
			pid = fork();
			assert_true(pid >= 0);
			if (pid == 0)
				_exit(fault_child(&b, fault, errors[k].number));
			assert_int_equal(waitpid(pid, &status, 0), pid);
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				fail_msg("%s: status %d", fault, status);
			box_drop(&b);
		}
	}
}

static void *commit_and_count(void *ctx)
{
	intptr_t done = 0;

	for (int i = 0; i < 50; i++)
		done += put(ctx, "hello", NULL, NULL) == TAP_OK;
	return (void *)done;
}

/* Some fsyncs of the directory fail while eight writers share them: whoever waited for one of those hears of it, nobody else does,
 * and what is to be seen is what was said to be safe [I1]. */
static int shared_fault_child(const struct box *b)
{
	pthread_t thread[8];
	struct tap_spool *s;
	intptr_t done = 0;

	setenv("TAP_FAULT", "spool.dirsync:5:EIO,spool.dirsync:9:ENOSPC,spool.dirsync:12:EIO", 1);
	s = open_spool(b);
	for (int i = 0; i < 8; i++) {
		if (pthread_create(&thread[i], NULL, commit_and_count, s) != 0)
			return 1;
	}
	for (int i = 0; i < 8; i++) {
		void *r;

		pthread_join(thread[i], &r);
		done += (intptr_t)r;
	}
	/* Each of the three has at least the one who did it, and at most all writers. */
	if (done > 400 - 3 || done < 400 - 3 * 8)
		return 2;
	if (box_count(b, "incoming/milter", 1, NULL) != (size_t)done)
		return 3;
	tap_spool_close(&s);
	return 0;
}

static void test_shared_sync_fails(void **state)
{
	struct box b;
	int status;
	pid_t pid;

	(void)state;
	box_make(&b);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(shared_fault_child(&b));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	box_drop(&b);
}

/* Killed at each point: after a restart the message is there whole or not at all, and nothing else is. */
static void test_each_kill(void **state)
{
	static const struct {
		const char *point;
		size_t visible;
	} points[] = {{"spool.open:1", 0},   {"spool.write:1", 0}, {"spool.write:2", 0},
		      {"spool.write:3", 0},  {"spool.fsync:1", 0}, {"spool.rename:1", 0},
		      {"spool.dirsync:1", 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		struct tap_spool_file f;
		struct tap_spool *s;
		char fault[64];
		struct box b;
		int status;
		pid_t pid;

		box_make(&b);
		snprintf(fault, sizeof(fault), "%s:kill", points[i].point);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			setenv("TAP_FAULT", fault, 1);
			s = open_spool(&b);
			_exit(put(s, "hello", NULL, NULL) == TAP_OK);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status))
			fail_msg("%s: not killed, status %d", fault, status);
		s = open_spool(&b);
		if (box_count(&b, "incoming/milter", 1, NULL) != points[i].visible)
			fail_msg("%s: %zu files", fault, box_count(&b, "incoming/milter", 1, NULL));
		if (points[i].visible) {
			box_only(&b, "incoming/milter", &f);
			tap_spool_file_close(&f);
		}
		tap_spool_close(&s);
		box_drop(&b);
	}
}
#endif

static void test_sweep(void **state)
{
	struct tap_spool_writer *w;
	struct tap_spool *s, *other;
	struct tap_err err;
	struct box b;
	char path[256];
	int dir;
	unsigned swept;

	(void)state;
	box_make(&b);
	s = open_spool(&b);
	assert_int_equal(tap_spool_writer_open(s, &w, &err), TAP_OK);
	/* An orphan, a stranger's dot file, a foreign file, another door's orphan. */
	dir = box_dir(&b, "incoming/milter");
	close(openat(dir, ".0123456789abcdef0123456789abcdef", O_CREAT | O_WRONLY, 0600));
	close(openat(dir, ".gitignore", O_CREAT | O_WRONLY, 0600));
	close(openat(dir, "README", O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/incoming/lmtp", b.path);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/incoming/lmtp/.0123456789abcdef0123456789abcdef", b.path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(tap_spool_sweep(dir, &swept, &err), TAP_OK);
	assert_int_equal(swept, 1);
	assert_int_equal(box_count(&b, "incoming/milter", 1, NULL), 3);
	assert_int_equal(box_count(&b, "incoming/lmtp", 1, NULL), 1);
	/* The living writer is not disturbed by a second process of the same door. */
	other = open_spool(&b);
	assert_int_equal(tap_spool_writer_append(w, "x", 1, &err), TAP_OK);
	assert_int_equal(tap_spool_writer_commit(&w, &env, NULL, &err), TAP_OK);
	tap_spool_close(&other);
	close(dir);
	tap_spool_close(&s);
	box_drop(&b);
}

struct seen {
	size_t messages, foreign;
	enum tap_rc answer;
};

static enum tap_rc count(void *ctx, const char *name, enum tap_spool_entry what,
			 struct tap_err *err)
{
	struct seen *seen = ctx;

	assert_true(name[0] != '.');
	(void)err;
	seen->messages += what == TAP_SPOOL_MESSAGE;
	seen->foreign += what == TAP_SPOOL_FOREIGN;
	return seen->answer;
}

static void test_scan(void **state)
{
	struct seen seen = {0};
	struct tap_spool *s;
	struct tap_err err;
	struct box b;
	int dir;

	(void)state;
	box_make(&b);
	s = open_spool(&b);
	dir = box_dir(&b, "incoming/milter");
	assert_int_equal(tap_spool_scan(dir, count, &seen, &err), TAP_OK);
	assert_int_equal(seen.messages + seen.foreign, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(put(s, "x", NULL, &err), TAP_OK);
	close(openat(dir, "README", O_CREAT | O_WRONLY, 0600));
	close(openat(dir, ".0123456789abcdef0123456789abcdef", O_CREAT | O_WRONLY, 0600));
	for (int round = 0; round < 2; round++) {
		seen = (struct seen){0};
		assert_int_equal(tap_spool_scan(dir, count, &seen, &err), TAP_OK);
		assert_int_equal(seen.messages, 5);
		assert_int_equal(seen.foreign, 1);
	}
	seen = (struct seen){.answer = TAP_E_CANCELLED};
	assert_int_equal(tap_spool_scan(dir, count, &seen, &err), TAP_E_CANCELLED);
	assert_int_equal(seen.messages + seen.foreign, 1);
	close(dir);
	tap_spool_close(&s);
	box_drop(&b);
}

static void full(const struct box *b, const char *what)
{
	struct tap_spool *s = open_spool(b);
	struct tap_spool_writer *w;
	struct tap_err err;

	assert_int_equal(tap_spool_room(s, &err), TAP_E_TEMP);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_non_null(strstr(err.msg, "spool full"));
	assert_non_null(strstr(err.msg, what));
	assert_int_equal(tap_spool_writer_open(s, &w, &err), TAP_E_TEMP);
	assert_null(w);
	assert_int_equal(box_count(b, "incoming/milter", 1, NULL), 1);
	tap_spool_close(&s);
}

static void test_limits(void **state)
{
	struct tap_spool *s;
	struct tap_err err;
	char stop[128];
	struct box b;
	int fd;

	(void)state;
	box_make(&b);
	s = open_spool(&b);
	assert_int_equal(put(s, "hello", NULL, &err), TAP_OK);
	assert_int_equal(tap_spool_room(s, &err), TAP_OK);
	tap_spool_close(&s);
	b.set.max_files = 1;
	full(&b, "max_files");
	b.set.max_files = 2;
	b.set.max_bytes = 100;
	full(&b, "max_bytes");
	b.set.max_bytes = 1 << 30;
	b.set.min_free = INT64_MAX;
	full(&b, "min_free");
	/* The worker has no room left in quarantine, and says so with a file. */
	b.set.min_free = 0;
	(void)snprintf(stop, sizeof(stop), "%s/%s", b.path, tap_spool_stop);
	fd = open(stop, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_true(fd >= 0);
	close(fd);
	full(&b, "quarantine.max_bytes");
	assert_int_equal(unlink(stop), 0);
	/* Without a scan in between, what we added counts at once. */
	b.set.min_free = 0;
	b.set.max_files = 2;
	s = open_spool(&b);
	assert_int_equal(put(s, "hello", NULL, &err), TAP_OK);
	assert_int_equal(put(s, "hello", NULL, &err), TAP_E_TEMP);
	tap_spool_close(&s);
	box_drop(&b);
}

/* What others bring while a long message comes counts, its own bytes do not. */
static void test_limits_within_a_message(void **state)
{
	enum { PIECE = 300 << 10 };
	char *piece = calloc(1, PIECE);
	struct tap_spool_writer *w;
	struct tap_spool *s;
	struct tap_err err;
	struct box b;
	enum tap_rc rc;

	(void)state;
	assert_non_null(piece);
	box_make(&b);
	b.set.max_bytes = 1 << 20;
	s = open_spool(&b);
	assert_int_equal(tap_spool_writer_open(s, &w, &err), TAP_OK);
	for (int i = 0; i < 8; i++)
		assert_int_equal(tap_spool_writer_append(w, piece, PIECE, &err), TAP_OK);
	usleep(1100000); /* the next count sees the partial file */
	assert_int_equal(tap_spool_writer_append(w, piece, PIECE, &err), TAP_OK);
	assert_int_equal(tap_spool_writer_commit(&w, &env, NULL, &err), TAP_OK);
	tap_spool_close(&s);

	b.set.max_bytes = 3 << 20;
	s = open_spool(&b);
	assert_int_equal(tap_spool_writer_open(s, &w, &err), TAP_OK);
	assert_int_equal(tap_spool_writer_append(w, piece, PIECE, &err), TAP_OK);
	for (int i = 0; i < 3; i++) {
		struct tap_spool_writer *other;

		rc = tap_spool_writer_open(s, &other, &err);
		if (rc)
			break;
		assert_int_equal(tap_spool_writer_append(other, piece, PIECE, &err), TAP_OK);
		assert_int_equal(tap_spool_writer_commit(&other, &env, NULL, &err), TAP_OK);
	}
	usleep(1100000);
	rc = tap_spool_writer_append(w, piece, PIECE, &err);
	assert_int_equal(rc, TAP_E_TEMP);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_non_null(strstr(err.msg, "max_bytes"));
	tap_spool_writer_abort(&w);
	tap_spool_close(&s);
	free(piece);
	box_drop(&b);
}

/* The file that is made at the start to see whether one can be: neither an old one nor a trap in its place stops the start. */
static void test_try_file(void **state)
{
	char path[256], trap[256];
	struct tap_spool *s;
	struct box b;

	(void)state;
	box_make(&b);
	s = open_spool(&b);
	tap_spool_close(&s);
	snprintf(path, sizeof(path), "%s/incoming/milter/.try", b.path);
	snprintf(trap, sizeof(trap), "%s/made-elsewhere", b.path);
	assert_int_equal(symlink(trap, path), 0);
	s = open_spool(&b);
	tap_spool_close(&s);
	assert_int_equal(access(trap, F_OK), -1);
	assert_int_equal(box_count(&b, "incoming/milter", 1, NULL), 0);
	box_drop(&b);
}

static void test_clear_errors(void **state)
{
	struct tap_spool *s;
	struct tap_err err;
	struct box b;
	char path[256];

	(void)state;
	box_make(&b);
	snprintf(path, sizeof(path), "%s/none", b.path);
	b.set.directory = path;
	assert_int_equal(tap_spool_open(&b.set, TAP_DOOR_PIPE, &s, &err), TAP_E_CONFIG);
	assert_null(s);
	assert_non_null(strstr(err.msg, path));
	assert_non_null(strstr(err.msg, "spool.directory"));
	assert_int_equal(tap_spool_layout(&b.set, &err), TAP_E_CONFIG);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(tap_spool_open(&b.set, TAP_DOOR_PIPE, &s, &err), TAP_E_CONFIG);
	box_drop(&b);
}

static void test_layout(void **state)
{
	struct tap_err err;
	struct stat st;
	struct box b;
	char path[256];

	(void)state;
	box_make(&b);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(tap_spool_layout(&b.set, &err), TAP_OK);
		for (int i = 0; i < TAP_DOOR_N; i++) {
			snprintf(path, sizeof(path), "%s/%s", b.path, tap_spool_incoming[i]);
			assert_int_equal(stat(path, &st), 0);
			assert_int_equal(st.st_mode & 07777, TAP_SPOOL_DIR_MODE);
			assert_non_null(strstr(tap_spool_incoming[i], tap_door_name[i]));
		}
		assert_int_equal(box_count(&b, tap_spool_quarantine, 1, NULL), 0);
	}
	box_drop(&b);
}

enum { THREADS = 8, EACH = 50 };

static void *many(void *ctx)
{
	struct tap_err err;

	for (int i = 0; i < EACH; i++) {
		if (put(ctx, "hello", NULL, &err) != TAP_OK)
			return err.msg[0] ? ctx : NULL;
	}
	return NULL;
}

static void test_many_at_once(void **state)
{
	pthread_t thread[THREADS];
	struct seen seen = {0};
	struct tap_spool *s;
	struct tap_err err;
	struct box b;
	int dir;

	(void)state;
	box_make(&b);
	s = open_spool(&b);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, many, s), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		assert_int_equal(pthread_join(thread[i], &failed), 0);
		assert_null(failed);
	}
	dir = box_dir(&b, "incoming/milter");
	assert_int_equal(tap_spool_scan(dir, count, &seen, &err), TAP_OK);
	assert_int_equal(seen.messages, THREADS * EACH);
	assert_int_equal(box_count(&b, "incoming/milter", 1, NULL), THREADS * EACH);
	close(dir);
	tap_spool_close(&s);
	box_drop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef TAP_FAULT_POINTS
	    /* First: the faults of the environment are read at the first point that is passed, so before that their
	     * children are forked. */
	    cmocka_unit_test(test_each_fault),
	    cmocka_unit_test(test_each_kill),
	    cmocka_unit_test(test_shared_sync_fails),
#endif
	    cmocka_unit_test(test_commit),
	    cmocka_unit_test(test_large_in_odd_pieces),
	    cmocka_unit_test(test_abort),
	    cmocka_unit_test(test_sweep),
	    cmocka_unit_test(test_scan),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_clear_errors),
	    cmocka_unit_test(test_layout),
	    cmocka_unit_test(test_many_at_once),
	    cmocka_unit_test(test_limits_within_a_message),
	    cmocka_unit_test(test_try_file),
	};
	return cmocka_run_group_tests_name("intake spool", tests, NULL, NULL);
}
