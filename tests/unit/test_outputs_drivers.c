/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_drivers.c - the drivers json, csv and fail through their interface: what stands in the file in the end,
 * reports in pieces, records that are too large, settings. */
#include "outputs_helper.h"

#include "base/io.h"
#include "base/settings.h"
#include "outputs/drivers.h"
#include "outputs/encode.h"
#include <fcntl.h>
#include <unistd.h>

/* What both drivers are configured with; the last is strip_payloads or guard_formulas. */
struct path_set {
	char *path, *directory;
	struct tap_list kinds;
	bool on;
};
static const struct tap_csv_style today = {0};

static char dir[64], path[128];

static struct tap_item item_of(int64_t seq, uint64_t i, uint64_t n, const struct tap_record *r)
{
	return (struct tap_item){.seq = seq,
				 .ordinal = i,
				 .revision = 2,
				 .first = i == 0,
				 .last = i + 1 >= n,
				 .meta = &sample_meta,
				 .record = r,
				 .end = &sample_end};
}

/* Sends each item as a batch of its own. */
static void send_all(const struct tap_output_ops *ops, const struct tap_item *items, size_t n)
{
	struct path_set set = {.path = path, .on = true};
	char state[TAP_OUTPUT_STATE_MAX];
	struct tap_err err;
	struct tap_buf b;
	void *self;

	tap_buf_init(&b, 1 << 20);
	assert_int_equal(ops->open(&set, "", state, &self, &err), TAP_OK);
	for (size_t i = 0; i < n; i++) {
		enum tap_item_verdict v = TAP_ITEM_RETRY;
		size_t ofs[2] = {0};

		tap_buf_reset(&b);
		assert_int_equal(ops->encode(&set, &items[i], &b, &err), TAP_OK);
		ofs[1] = b.len;
		assert_int_equal(ops->send(self, b.p, ofs, 1, &v, state, INT64_MAX, &err), TAP_OK);
		assert_int_equal(v, TAP_ITEM_CONFIRMED);
	}
	ops->close(&self);
	assert_null(self);
	ops->close(&self);
	tap_buf_free(&b);
}

static void expect_file(struct tap_buf *want)
{
	struct tap_err err;
	struct tap_buf got;

	tap_buf_init(&got, 1 << 20);
	assert_int_equal(tap_io_read_file(AT_FDCWD, path, &got, &err), TAP_OK);
	assert_string_equal(tap_buf_cstr(&got), tap_buf_cstr(want));
	tap_buf_free(&got);
	tap_buf_free(want);
	assert_int_equal(unlink(path), 0);
}

static void test_json_lines(void **state)
{
	static const struct tap_json_style line = {0};
	struct tap_record r[3] = {sample_record, sample_record, sample_record};
	struct tap_item items[4];
	struct tap_buf want;

	(void)state;
	tap_buf_init(&want, 1 << 20);
	tap_json_report_begin(&want, &line, &sample_meta);
	for (unsigned i = 0; i < 3; i++) {
		r[i].index = i;
		items[i] = item_of(1, i, 3, &r[i]);
		tap_json_report_record(&want, &line, &sample_meta, &r[i], i == 0);
	}
	tap_json_report_end(&want, &line, &sample_meta, &sample_end, 2, true);
	tap_buf_addc(&want, '\n');
	items[3] = item_of(2, 0, 0, NULL);
	tap_json_report_begin(&want, &line, &sample_meta);
	tap_json_report_end(&want, &line, &sample_meta, &sample_end, 2, false);
	tap_buf_addc(&want, '\n');
	send_all(&tap_output_json, items, 4);
	expect_file(&want);
}

/* A report is replaced in the store while half of its line is written: its rest never comes, and the line must not swallow the next. */
static void replaced(bool restart, bool fault)
{
	static const struct tap_json_style line = {0};
	struct tap_record r = sample_record;
	const struct tap_item items[] = {item_of(1, 0, 0, NULL), item_of(2, 0, 3, &r),
					 item_of(2, 1, 3, &r), item_of(4, 0, 0, NULL)};
	struct path_set set = {.path = path, .on = true};
	char state[TAP_OUTPUT_STATE_MAX] = "", next[TAP_OUTPUT_STATE_MAX];
	struct tap_err err;
	struct tap_buf b, want;
	void *self;

	tap_buf_init(&b, 1 << 20);
	tap_buf_init(&want, 1 << 20);
	assert_int_equal(tap_output_json.open(&set, state, next, &self, &err), TAP_OK);
	for (size_t i = 0; i < 4; i++) {
		enum tap_item_verdict v = TAP_ITEM_RETRY;
		size_t ofs[2] = {0};

		memcpy(state, next, sizeof state);
		if (i == 3 && restart) {
			tap_output_json.close(&self);
			assert_int_equal(tap_output_json.open(&set, state, next, &self, &err),
					 TAP_OK);
		}
		tap_buf_reset(&b);
		assert_int_equal(tap_output_json.encode(&set, &items[i], &b, &err), TAP_OK);
		ofs[1] = b.len;
		assert_int_equal(tap_output_json.send(self, b.p, ofs, 1, &v, next, INT64_MAX, &err),
				 TAP_OK);
		if (i < 3) {
			assert_int_equal(v, TAP_ITEM_CONFIRMED);
			continue;
		}
		/* The file is shorter than the stored state says: that has to be stored before anything is written. */
		assert_int_equal(v, TAP_ITEM_RETRY);
		assert_string_not_equal(next, state);
		if (fault) { /* the crash came before it was stored */
			tap_output_json.close(&self);
			assert_int_equal(tap_output_json.open(&set, state, next, &self, &err),
					 TAP_OK);
		}
		assert_int_equal(tap_output_json.send(self, b.p, ofs, 1, &v, next, INT64_MAX, &err),
				 TAP_OK);
		assert_int_equal(v, TAP_ITEM_CONFIRMED);
	}
	tap_output_json.close(&self);
	for (int i = 0; i < 2; i++) {
		tap_json_report_begin(&want, &line, &sample_meta);
		tap_json_report_end(&want, &line, &sample_meta, &sample_end, 2, false);
		tap_buf_addc(&want, '\n');
	}
	expect_file(&want);
	tap_buf_free(&b);
}

static void test_json_report_replaced_midway(void **state)
{
	(void)state;
	replaced(false, false);
	replaced(true, false);
	replaced(false, true);
}

static void test_csv_file(void **state)
{
	struct tap_item items[3];
	struct tap_buf want;

	(void)state;
	tap_buf_init(&want, 1 << 20);
	tap_csv_header(&want, &today);
	for (unsigned i = 0; i < 3; i++) {
		items[i] = item_of(i + 1, 0, 1, i < 2 ? &sample_record : NULL);
		tap_csv_row(&want, &today, &sample_meta, items[i].record, 2);
	}
	send_all(&tap_output_csv, items, 3);
	expect_file(&want);
}

/* A record that does not fit leaves a line that is whole, and says so. */
static void test_json_record_too_large(void **state)
{
	struct tap_record r = sample_record;
	struct tap_item item = item_of(1, 0, 1, &r);
	size_t n = 100000;
	char *text = malloc(n + 1);
	struct tap_err err;
	struct tap_buf b;

	(void)state;
	const struct path_set set = {.path = path};

	assert_non_null(text);
	memset(text, 'x', n);
	text[n] = '\0';
	r.extension = text;
	tap_buf_init(&b, 20000);
	assert_int_equal(tap_output_json.encode(&set, &item, &b, &err), TAP_OK);
	assert_non_null(
	    strstr(tap_buf_cstr(&b), "\"policy_override_reasons\":[{\"type\":\"too_large\""));
	assert_int_equal(b.p[0], '{');
	assert_memory_equal(b.p + b.len - 2, "}\n", 2);
	/* behind other items it is left for the next batch */
	tap_buf_reset(&b);
	tap_buf_adds(&b, "another item");
	assert_int_equal(tap_output_json.encode(&set, &item, &b, &err), TAP_E_LIMIT);
	tap_buf_free(&b);
	tap_buf_init(&b, 100);
	assert_int_equal(tap_output_json.encode(&set, &item, &b, &err), TAP_E_LIMIT);
	tap_buf_free(&b);
	free(text);
}

/* The samples that the configuration gets are readable by it. */
static void test_settings_samples(void **state)
{
	(void)state;
	for (size_t i = 0; tap_outputs[i] != NULL; i++) {
		const struct tap_section *sec = tap_outputs[i]->settings;
		struct tap_buf b;

		tap_buf_init(&b, 1 << 16);
		tap_settings_sample(sec, &b);
		for (const struct tap_setting *row = sec->table; row->name != NULL; row++) {
			assert_non_null(strstr(tap_buf_cstr(&b), row->name));
			assert_non_null(row->doc);
		}
		tap_buf_free(&b);
	}
}

static void test_settings_from_a_file(void **state)
{
	static const char conf[] =
	    "outputs = ( { type = \"json\"; path = \"/tmp/a.json\"; },"
	    "{ type = \"fail\"; mode = \"alternate\"; fail_first = 4; },"
	    "{ type = \"csv\"; name = \"table\"; },"
	    "{ type = \"csv\"; name = \"a\"; path = \"/tmp/a.csv\"; kinds = \"smtp_tls\"; "
	    "guard_formulas = false; },"
	    "{ type = \"csv\"; name = \"b\"; path = \"/tmp/a.csv\"; kinds = (\"failure\", "
	    "\"feedback\"); },"
	    "{ type = \"json\"; name = \"c\"; path = \"/tmp/a\"; directory = \"/tmp\"; },"
	    "{ type = \"json\"; name = \"d\"; directory = \"/tmp\"; kinds = \"forensics\"; },"
	    "{ type = \"json\"; name = \"e\"; directory = \"/tmp\"; },"
	    "{ type = \"json\"; name = \"f\"; path = \"/tmp/a\"; kinds = (\"failure\", "
	    "\"feedback\"); strip_payloads = false; } );\n";
	struct {
		int64_t mode, fail_first;
		char *pattern, *log;
		int64_t down, delay_ms;
	} fail;
	struct tap_settings *s;
	struct path_set json, csv;
	struct tap_err err;

	(void)state;
	assert_int_equal(tap_io_replace(AT_FDCWD, path, conf, sizeof conf - 1, 0600, &err), TAP_OK);
	assert_int_equal(tap_settings_load(path, &s, &err), TAP_OK);
	assert_int_equal(tap_settings_outputs(s), 9);
	assert_int_equal(tap_settings_output(s, 0, tap_output_json.settings, &json, &err), TAP_OK);
	assert_string_equal(json.path, "/tmp/a.json");
	assert_true(json.on);
	assert_int_equal(tap_output_json.wants(&json), TAP_KIND_AGGREGATE);
	assert_int_equal(tap_settings_output(s, 1, tap_output_fail.settings, &fail, &err), TAP_OK);
	assert_int_equal(fail.mode, 2);
	assert_int_equal(fail.fail_first, 4);
	assert_int_equal(tap_settings_output(s, 2, tap_output_csv.settings, &json, &err),
			 TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "path"));
	assert_int_equal(tap_settings_output(s, 3, tap_output_csv.settings, &csv, &err), TAP_OK);
	assert_int_equal(tap_output_csv.wants(&csv), TAP_KIND_SMTP_TLS);
	assert_false(csv.on);
	assert_int_equal(tap_settings_output(s, 4, tap_output_csv.settings, &csv, &err),
			 TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "columns of its own"));
	assert_int_equal(tap_settings_output(s, 5, tap_output_json.settings, &json, &err),
			 TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "either path or directory"));
	assert_int_equal(tap_settings_output(s, 6, tap_output_json.settings, &json, &err),
			 TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "\"forensics\" is none of"));
	assert_int_equal(tap_settings_output(s, 7, tap_output_json.settings, &json, &err), TAP_OK);
	assert_int_equal(tap_output_json.wants(&json), TAP_KIND_ALL);
	assert_int_equal(tap_settings_output(s, 8, tap_output_json.settings, &json, &err), TAP_OK);
	assert_int_equal(tap_output_json.wants(&json), TAP_KIND_FAILURE | TAP_KIND_FEEDBACK);
	assert_false(json.on);
	tap_settings_free(&s);
	assert_int_equal(unlink(path), 0);
}

static void test_fail_modes(void **state)
{
	static const enum tap_item_verdict R = TAP_ITEM_RETRY, N = TAP_ITEM_NEVER,
					   C = TAP_ITEM_CONFIRMED;
	const struct {
		int64_t mode, first;
		enum tap_item_verdict want[4];
	} cases[] = {{0, -1, {R, R, R, R}},
		     {0, 2, {R, R, C, C}},
		     {1, 3, {N, N, N, C}},
		     {2, -1, {C, N, C, N}},
		     {2, 2, {C, N, C, C}}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct {
			int64_t mode, fail_first;
			char *pattern, *log;
			int64_t down, delay_ms;
		} set = {.mode = cases[i].mode, .fail_first = cases[i].first};
		const size_t ofs[5] = {0};
		enum tap_item_verdict v[4];
		char st[TAP_OUTPUT_STATE_MAX] = "";
		struct tap_err err;
		void *self;

		assert_int_equal(tap_output_fail.open(&set, "", st, &self, &err), TAP_OK);
		assert_int_equal(tap_output_fail.send(self, "", ofs, 4, v, st, 0, &err), TAP_OK);
		for (size_t k = 0; k < 4; k++)
			assert_int_equal(v[k], cases[i].want[k]);
		tap_output_fail.close(&self);
	}
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/tap-drivers-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof path, "%s/file", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_json_lines),
	    cmocka_unit_test(test_json_report_replaced_midway),
	    cmocka_unit_test(test_csv_file),
	    cmocka_unit_test(test_json_record_too_large),
	    cmocka_unit_test(test_settings_samples),
	    cmocka_unit_test(test_settings_from_a_file),
	    cmocka_unit_test(test_fail_modes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
