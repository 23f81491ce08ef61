/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_kind_files.c - the drivers json and csv over a directory: one file a kind, and what a batch over several of
 * them leaves behind when one fails, at a rotation, and after a crash. */
#include "failure_sample.h"

#include "base/io.h"
#include "outputs/drivers.h"
#include "outputs/encode.h"
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

struct files_set {
	char *path, *directory;
	struct tap_list kinds;
	bool on;
};
static char dir[64], path[128];

static const struct tap_meta tls_meta = {
    .kind = TAP_KIND_SMTP_TLS, .uid = SAMPLE_UID, .org_name = "Sender", .report_id = "t"};
static const struct tap_meta feedback_meta = {.kind = TAP_KIND_FEEDBACK, .uid = SAMPLE_UID};
static const struct tap_tls_policy policy = {
    .policy_type = "sts", .policy_domain = "example.com", .successful = 7, .n_details = 1};
static const struct tap_tls_detail detail = {.result_type = "validation-failure", .failed = 1};

enum { AGGREGATE, FAILURE, POLICY, DETAIL, FEEDBACK, ITEMS };

static struct tap_item item_of(unsigned what, int64_t seq)
{
	struct tap_item item = {
	    .seq = seq, .revision = 1, .first = true, .last = true, .end = &sample_end};

	switch (what) {
	case AGGREGATE:
		item.meta = &sample_meta;
		item.record = &sample_record;
		break;
	case FAILURE:
		item.meta = &failure_meta;
		item.failure = &full_failure;
		break;
	case POLICY:
		item.meta = &tls_meta;
		item.policy = &policy;
		item.last = false;
		break;
	case DETAIL:
		item.meta = &tls_meta;
		item.policy = &policy;
		item.detail = &detail;
		item.first = false;
		break;
	default:
		item.meta = &feedback_meta;
		item.failure = &bare_failure;
		break;
	}
	return item;
}

struct sink {
	const struct tap_output_ops *ops;
	struct files_set set;
	char state[TAP_OUTPUT_STATE_MAX]; /* stored */
	void *self;
};

static void start(struct sink *s)
{
	char next[TAP_OUTPUT_STATE_MAX];
	struct tap_err err;

	memcpy(next, s->state, sizeof next);
	assert_int_equal(s->ops->open(&s->set, s->state, next, &s->self, &err), TAP_OK);
	memcpy(s->state, next, sizeof next);
}

/* One batch of the items from..until, as the runner sends it: false = nothing was confirmed. store: the new state is kept. */
static bool batch(struct sink *s, unsigned from, unsigned until, bool store, enum tap_rc want)
{
	enum tap_item_verdict verdict[ITEMS];
	char next[TAP_OUTPUT_STATE_MAX];
	size_t ofs[ITEMS + 1] = {0};
	unsigned n = until - from;
	struct tap_err err;
	struct tap_buf b;

	tap_buf_init(&b, 1 << 20);
	for (unsigned i = 0; i < n; i++) {
		struct tap_item item = item_of(from + i, i + 1);

		assert_int_equal(s->ops->encode(&s->set, &item, &b, &err), TAP_OK);
		ofs[i + 1] = b.len;
	}
	memcpy(next, s->state, sizeof next);
	assert_int_equal(s->ops->send(s->self, b.p, ofs, n, verdict, next, INT64_MAX, &err), want);
	tap_buf_free(&b);
	for (unsigned i = 1; i < n; i++)
		assert_int_equal(verdict[i], verdict[0]);
	if (want == TAP_OK && store)
		memcpy(s->state, next, sizeof next);
	return verdict[0] == TAP_ITEM_CONFIRMED;
}

static char *read_file(const char *name)
{
	static struct tap_buf b;
	struct tap_err err;

	tap_buf_free(&b);
	tap_buf_init(&b, 1 << 20);
	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	if (tap_io_read_file(AT_FDCWD, path, &b, &err) != TAP_OK)
		return NULL;
	return (char *)(uintptr_t)tap_buf_cstr(&b);
}

static unsigned lines(const char *name)
{
	const char *p = read_file(name);
	unsigned n = 0;

	for (; p != NULL && *p != '\0'; p++) {
		n += *p == '\n';
		assert_true(p[1] != '\0' || *p == '\n');
	}
	return n;
}

static void clean(void)
{
	static const char *const names[] = {"aggregate", "forensic", "smtp_tls", "feedback"};

	for (size_t i = 0; i < 4; i++)
		for (int k = 0; k < 4; k++) {
			(void)snprintf(path, sizeof path, "%s/%s.%s%s", dir, names[i],
				       k & 1 ? "csv" : "json", k & 2 ? ".1" : "");
			(void)unlink(path);
		}
}

static void test_json_directory(void **state)
{
	struct sink s = {.ops = &tap_output_json, .set = {.directory = dir, .on = true}};

	(void)state;
	start(&s);
	assert_string_equal(s.state, "d1");
	assert_null(read_file("aggregate.json"));	 /* begun with its first report */
	assert_false(batch(&s, 0, ITEMS, true, TAP_OK)); /* the new files have to be known first */
	assert_true(batch(&s, 0, ITEMS, true, TAP_OK));
	assert_true(batch(&s, POLICY, ITEMS, true, TAP_OK));
	s.ops->close(&s.self);
	start(&s);
	assert_true(batch(&s, AGGREGATE, POLICY, true, TAP_OK));
	assert_int_equal(lines("aggregate.json"), 2);
	assert_memory_equal(read_file("aggregate.json"), "{\"xml_schema\"", 13);
	assert_int_equal(lines("forensic.json"), 2);
	assert_memory_equal(read_file("forensic.json"), "{\"feedback_type\"", 16);
	assert_null(strstr(read_file("forensic.json"), "hallo")); /* an attachment's content */
	assert_int_equal(lines("smtp_tls.json"), 2);
	assert_non_null(strstr(read_file("smtp_tls.json"),
			       "\"failure_details\":[{\"result_type\":\"validation-failure\","
			       "\"failed_session_count\":1}]}],\"begin_date_utc\""));
	assert_int_equal(lines("feedback.json"), 2);
	s.ops->close(&s.self);
	clean();
}

static void test_csv_directory(void **state)
{
	struct sink s = {.ops = &tap_output_csv, .set = {.directory = dir, .on = true}};
	const char *text;

	(void)state;
	start(&s);
	assert_false(batch(&s, 0, ITEMS, true, TAP_OK));
	assert_true(batch(&s, 0, ITEMS, true, TAP_OK));
	assert_int_equal(lines("aggregate.csv"), 2);
	assert_int_equal(lines("forensic.csv"), 2);
	assert_int_equal(lines("feedback.csv"), 2);
	text = read_file("smtp_tls.csv");
	assert_memory_equal(text, "organization_name,", 18);
	assert_non_null(strstr(text, "Sender,,,t,,7,0,example.com,sts,"));
	assert_non_null(strstr(text, "Sender,,,t,validation-failure,,1,example.com,sts,"));
	s.ops->close(&s.self);
	clean();
}

/* A single file has one kind's header, and the lines of a JSON file tell their kind. */
static void test_single_files(void **state)
{
	char *failure[] = {(char[]){"failure"}},
	     *two[] = {(char[]){"failure"}, (char[]){"smtp_tls"}};
	char file[128];
	struct sink csv = {.ops = &tap_output_csv,
			   .set = {.path = file, .kinds = {failure, 1}, .on = true}};
	struct sink json = {.ops = &tap_output_json, .set = {.path = file, .kinds = {two, 2}}};

	(void)state;
	(void)snprintf(file, sizeof file, "%s/forensic.csv", dir);
	start(&csv);
	assert_true(batch(&csv, FAILURE, POLICY, true, TAP_OK));
	csv.ops->close(&csv.self);
	assert_memory_equal(read_file("forensic.csv"), "feedback_type,", 14);
	assert_int_equal(lines("forensic.csv"), 2);
	(void)snprintf(file, sizeof file, "%s/forensic.json", dir);
	start(&json);
	assert_true(batch(&json, FAILURE, FEEDBACK, true, TAP_OK));
	json.ops->close(&json.self);
	assert_int_equal(lines("forensic.json"), 2);
	assert_non_null(
	    strstr(read_file("forensic.json"), "\"kind\":\"failure\"}\n{\"organization"));
	assert_non_null(strstr(read_file("forensic.json"), "\"payload\":\"hallo\""));
	clean();
}

/* Settled batches and state, as the runner keeps them together. */
static void save(int settled, const char *state)
{
	char file[128], text[TAP_OUTPUT_STATE_MAX + 16];
	int fd;

	(void)snprintf(text, sizeof text, "%d %s", settled, state);
	(void)snprintf(file, sizeof file, "%s/state", dir);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(99);
	(void)close(fd);
}

static int load(char *state)
{
	char file[128], text[TAP_OUTPUT_STATE_MAX + 16] = "";
	int fd;

	(void)snprintf(file, sizeof file, "%s/state", dir);
	fd = open(file, O_RDONLY);
	state[0] = '\0';
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof text - 1) < 2)
		_exit(98);
	(void)close(fd);
	(void)snprintf(state, TAP_OUTPUT_STATE_MAX, "%.*s", TAP_OUTPUT_STATE_MAX - 1, text + 2);
	return text[0] - '0';
}

enum { BATCHES = 4 };

/* Sends BATCHES batches of one item of every kind, on from where the last process stopped, and begins new files in the middle. */
static void play(const char *fault, bool rotate)
{
	struct sink s = {.ops = &tap_output_json, .set = {.directory = dir, .on = true}};
	char next[TAP_OUTPUT_STATE_MAX], from[160], to[160];
	struct tap_err err = {0};
	int settled = load(s.state);
	struct tap_buf b;
	size_t ofs[ITEMS + 1] = {0};

	if (fault != NULL)
		setenv("TAP_FAULT", fault, 1);
	memcpy(next, s.state, sizeof next);
	if (s.ops->open(&s.set, s.state, next, &s.self, &err) != TAP_OK)
		_exit(4);
	save(settled, next);
	tap_buf_init(&b, 1 << 20);
	for (unsigned i = 0; i < ITEMS; i++) {
		struct tap_item item = item_of(i, i + 1);

		if (s.ops->encode(&s.set, &item, &b, &err) != TAP_OK)
			_exit(5);
		ofs[i + 1] = b.len;
	}
	for (int failures = 0; settled < BATCHES && failures < 10; failures++) {
		enum tap_item_verdict verdict[ITEMS];

		(void)snprintf(from, sizeof from, "%s/forensic.json", dir);
		(void)snprintf(to, sizeof to, "%s/forensic.json.1", dir);
		if (rotate && settled == 2)
			(void)(access(to, F_OK) == 0 || rename(from, to) == 0);
		if (s.ops->send(s.self, b.p, ofs, ITEMS, verdict, next, INT64_MAX, &err) != TAP_OK)
			continue;
		settled += verdict[0] == TAP_ITEM_CONFIRMED;
		for (unsigned i = 1; i < ITEMS; i++)
			if (verdict[i] != verdict[0])
				_exit(6);
		save(settled, next);
	}
	s.ops->close(&s.self);
	tap_buf_free(&b);
	_exit(settled == BATCHES ? 0 : 7);
}

static bool ends_well(const char *fault, bool rotate)
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0)
		play(fault, rotate);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) >= 5 && WEXITSTATUS(status) != 7);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Without base/io.h, whose fault points would be read in this process. */
static unsigned count_lines(const char *name)
{
	char file[160];
	unsigned n = 0;
	int c, last = '\n';
	FILE *f;

	(void)snprintf(file, sizeof file, "%s/%s", dir, name);
	f = fopen(file, "re");
	if (f == NULL)
		return 0;
	while ((c = fgetc(f)) != EOF) {
		n += c == '\n';
		assert_false(last == '\n' && c != '{');
		last = c;
	}
	assert_int_equal(last, '\n');
	(void)fclose(f);
	return n;
}

/* Each passage of each fault point fails once, or is the last of its process: every line stands there once in the end. */
static void test_every_fault(void **state)
{
	static const char *const points[] = {"open", "write", "fsync", "truncate"};
	static const char *const actions[] = {"ENOSPC", "EIO", "kill"};
	char file[160], fault[64];
	unsigned runs = 0, struck = 0;

	(void)state;
	for (unsigned at = 0; at < 4 * 3 * 2; at++)
		for (int nth = 1; nth <= 22; nth++) {
			bool rotate = at % 2 != 0;

			/* A cut happens only after another failure. */
			(void)snprintf(fault, sizeof fault, "file_sink.%s:%d:%s%s", points[at / 6],
				       nth, actions[at / 2 % 3],
				       at / 6 == 3 ? ",file_sink.write:6:ENOSPC" : "");
			struck += !ends_well(fault, rotate);
			if (!ends_well(NULL, rotate))
				fail_msg("%s: does not get to its end", fault);
			runs++;
			if (count_lines("aggregate.json") != BATCHES ||
			    count_lines("smtp_tls.json") != BATCHES ||
			    count_lines("feedback.json") != BATCHES ||
			    count_lines("forensic.json") + count_lines("forensic.json.1") !=
				BATCHES)
				fail_msg("%s: a line is lost or doubled", fault);
			clean();
			(void)snprintf(file, sizeof file, "%s/state", dir);
			assert_int_equal(unlink(file), 0);
		}
	assert_int_equal(runs, 4 * 3 * 2 * 22);
	assert_true(struck > 80); /* kills, and what fails at the start */
}

static void test_states_of_others(void **state)
{
	static const char *const states[] = {
	    "v1 1 2 3 4",
	    "d2 aggregate v1 1 2 3 4",
	    "d1x",
	    "d1 odd v1 1 2 3 4",
	    "d1 aggregate",
	    "d1 aggregate x",
	    "d1 aggregate v1 1 2 3 4;",
	    "d1 aggregate v1 1 2 3 4;aggregate v1 1 2 3 4",
	    "d1 aggregate v1 "
	    "11111111111111111111111111111111111111111111111111111111111111111111111"
	    "1111111111111111111111111111111111111111111111111111111111",
	};
	struct files_set set = {.directory = dir};

	(void)state;
	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		char next[TAP_OUTPUT_STATE_MAX] = "";
		struct tap_err err = {0};
		void *self;

		assert_int_equal(tap_output_json.open(&set, states[i], next, &self, &err),
				 TAP_E_CONFIG);
		assert_null(self);
		assert_non_null(strstr(err.msg, "state"));
		clean();
	}
}

static void test_items_without_contents(void **state)
{
	const struct tap_output_ops *const ops[] = {&tap_output_json, &tap_output_csv};
	struct files_set set = {.directory = dir};
	struct tap_item item = item_of(FAILURE, 1), odd = item_of(AGGREGATE, 1);
	struct tap_err err;
	struct tap_buf b;

	(void)state;
	item.failure = NULL;
	odd.failure = &full_failure;
	tap_buf_init(&b, 1 << 16);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(ops[i]->encode(&set, &item, &b, &err), TAP_E_DATA);
		assert_int_equal(ops[i]->encode(&set, &odd, &b, &err), TAP_E_DATA);
		assert_int_equal(b.len, 0);
	}
	tap_buf_free(&b);
}

/* A policy that does not fit leaves its line whole; a failure report that does not is parked. */
static void test_too_large(void **state)
{
	static const char *list[5000];
	struct files_set set = {.path = dir};
	struct tap_tls_policy p = policy;
	struct tap_item item = item_of(POLICY, 1), failure = item_of(FAILURE, 1);
	struct tap_err err;
	struct tap_buf b;

	(void)state;
	for (size_t i = 0; i < 5000; i++)
		list[i] = "mx.example.com";
	p.mx_hosts = list;
	p.n_mx_hosts = 5000;
	item.policy = &p;
	tap_buf_init(&b, 20000);
	assert_int_equal(tap_output_json.encode(&set, &item, &b, &err), TAP_OK);
	assert_null(strstr(tap_buf_cstr(&b), "mx_host_patterns"));
	assert_non_null(strstr(b.p, "\"failure_details\":["));
	tap_buf_reset(&b);
	assert_int_equal(tap_output_csv.encode(&set, &item, &b, &err), TAP_E_LIMIT);
	tap_buf_free(&b);
	tap_buf_init(&b, 5000);
	assert_int_equal(tap_output_json.encode(&set, &failure, &b, &err), TAP_E_LIMIT);
	tap_buf_free(&b);
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/dev/shm/tap-kinds-XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		test_every_fault), /* first: it must be the first that reads TAP_FAULT */
	    cmocka_unit_test(test_json_directory),
	    cmocka_unit_test(test_csv_directory),
	    cmocka_unit_test(test_single_files),
	    cmocka_unit_test(test_states_of_others),
	    cmocka_unit_test(test_items_without_contents),
	    cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
