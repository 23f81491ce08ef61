/* SPDX-License-Identifier: Apache-2.0
 * Opening, migrating, reading beside the writer and after it, the bound of the write-ahead log, refusals. */
#include "tests/unit/store_helper.h"

#include "base/clock.h"

#include <sys/stat.h>

static void survives_a_reopen(void **state)
{
	struct fixture *f = *state;
	struct tap_store_totals t;

	take_in(f, "m1", &(struct made){"aa", 4, 1, false});
	tap_store_close(&f->s);
	t = totals(f); /* a reader after a clean stop: -wal and -shm are kept */
	assert_int_equal(t.records, 4);
	ok(f, tap_store_open(&f->set, &f->s, &f->err));
	take_in(f, "m2", &(struct made){"bb", 4, 1, false});
	assert_int_equal(totals(f).records, 8);
}

static void files_have_the_mode_of_a_group(void **state)
{
	static const char *const names[] = {"", "-wal", "-shm"};
	struct fixture *f = *state;
	struct stat st;
	char path[128];

	take_in(f, "m1", &(struct made){"aa", 1, 1, false});
	tap_store_close(&f->s);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", f->path, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777 & ~0640u, 0);
	}
}

static void readers_see_whole_transactions_only(void **state)
{
	struct fixture *f = *state;
	struct made m = {"bb", 5, 1, false};
	struct tap_store_message msg = made_message("m2");
	struct tap_store_reader *r;
	struct tap_store_totals t;
	struct tap_store_outcome out;

	take_in(f, "m1", &(struct made){"aa", 4, 1, false});
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
	add_report(f, &m);
	ok(f, tap_store_message_end(f->s, &out, &f->err));
	ok(f, tap_store_totals(r, &t, &f->err));
	assert_int_equal(t.records, 4);
	ok(f, tap_store_commit(f->s, &f->err));
	ok(f, tap_store_totals(r, &t, &f->err));
	assert_int_equal(t.records, 9);
	tap_store_close_reader(&r);
}

static enum tap_rc slow(void *ctx, const struct tap_store_row *row, struct tap_err *err)
{
	(void)row;
	(void)err;
	tap_store_reader_deadline(ctx, 1); /* long past */
	return TAP_OK;
}

static void a_query_has_a_deadline(void **state)
{
	struct fixture *f = *state;
	struct tap_store_reader *r;
	int64_t seq = 1;
	uint64_t ordinal = 0;

	take_in(f, "m1", &(struct made){"aa", 20000, 1, false});
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	assert_int_equal(
	    tap_store_rows(r, TAP_KIND_AGGREGATE, 100000, slow, r, &seq, &ordinal, &f->err),
	    TAP_E_CANCELLED);
	assert_true(ordinal < 20000);
	tap_store_close_reader(&r);
}

static enum tap_rc write_while_reading(void *ctx, const struct tap_store_row *row,
				       struct tap_err *err)
{
	static char ids[8][16];
	static const char *const uids[] = {"b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"};
	struct fixture *f = ctx;
	enum tap_rc rc = TAP_OK;

	(void)row;
	(void)err;
	for (unsigned i = 0; i < 8 && rc == TAP_OK; i++) {
		(void)snprintf(ids[i], sizeof(ids[i]), "w%u", i);
		take_in(f, ids[i], &(struct made){uids[i], 20000, 1, false});
		rc = tap_store_checkpoint(f->s, false, &f->err);
	}
	assert_int_equal(rc, TAP_E_LIMIT);
	assert_non_null(strstr(f->err.msg, "reader"));
	return TAP_OK;
}

/* A reader that does not let go makes the log grow only up to a bound, and when it has gone the log begins again. */
static void the_log_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct tap_store_reader *r;
	int64_t seq = 1;
	uint64_t ordinal = 0;

	tap_store_close(&f->s);
	f->set.wal_limit = 1 << 20;
	ok(f, tap_store_open(&f->set, &f->s, &f->err));
	take_in(f, "m1", &(struct made){"aa", 1, 1, false});
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_rows(r, TAP_KIND_AGGREGATE, 1, write_while_reading, f, &seq, &ordinal,
			     &f->err));
	assert_true(tap_store_wal_bytes(f->s) > 8 << 20);
	ok(f, tap_store_checkpoint(f->s, false, &f->err));
	assert_int_equal(tap_store_wal_bytes(f->s), 0);
	take_in(f, "m2", &(struct made){"cc", 1, 1, false});
	assert_true(totals(f).wal_bytes <= 1 << 20);
	tap_store_close_reader(&r);
}

static void no_store_yet(void **state)
{
	struct fixture *f = *state;
	struct tap_store_reader *r;

	assert_int_equal(tap_store_open_reader("/tmp/tap-no-such-directory/x.db", &r, &f->err),
			 TAP_E_NOTFOUND);
	assert_null(r);
}

static void missing_directory_names_the_setting(void **state)
{
	struct fixture *f = *state;
	struct tap_store_settings set = f->set;
	char path[] = "/tmp/tap-no-such-directory/x.db";
	struct tap_store *s;

	set.path = path;
	assert_int_not_equal(tap_store_open(&set, &s, &f->err), TAP_OK);
	assert_null(s);
	assert_non_null(strstr(f->err.msg, "store.path"));
	assert_non_null(strstr(f->err.msg, path));
}

static void overwrite(struct fixture *f, const char *bytes)
{
	FILE *out;

	tap_store_close(&f->s);
	out = fopen(f->path, "w");
	assert_non_null(out);
	for (int i = 0; i < 200; i++)
		(void)fputs(bytes, out);
	(void)fclose(out);
}

static void what_is_no_database_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	overwrite(f, "this is somebody's letter\n");
	assert_int_equal(tap_store_open(&f->set, &f->s, &f->err), TAP_E_CONFIG);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, 200 * 26);
}

static void set_header(struct fixture *f, long offset, unsigned char value)
{
	FILE *file;

	tap_store_close(&f->s);
	file = fopen(f->path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, offset, SEEK_SET), 0);
	(void)fputc(value, file);
	(void)fclose(file);
}

static void a_newer_schema_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tap_store_reader *r;

	take_in(f, "m1", &(struct made){"aa", 1, 1, false});
	set_header(f, 63, 99); /* user_version */
	assert_int_equal(tap_store_open(&f->set, &f->s, &f->err), TAP_E_CONFIG);
	assert_non_null(strstr(f->err.msg, "newer"));
	assert_int_equal(tap_store_open_reader(f->path, &r, &f->err), TAP_E_CONFIG);
}

static void another_programs_database_is_refused(void **state)
{
	struct fixture *f = *state;

	set_header(f, 71, 1); /* application_id */
	assert_int_equal(tap_store_open(&f->set, &f->s, &f->err), TAP_E_CONFIG);
	assert_non_null(strstr(f->err.msg, "another program"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(survives_a_reopen, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(files_have_the_mode_of_a_group, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(readers_see_whole_transactions_only, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_query_has_a_deadline, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(the_log_is_bounded, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(no_store_yet, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(missing_directory_names_the_setting, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_is_no_database_is_left_alone, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_newer_schema_is_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(another_programs_database_is_refused, set_up,
					    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
