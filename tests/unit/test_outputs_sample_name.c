/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_sample_name.c - files for samples: names that the sender cannot choose, and files that replace none. */
#include "failure_sample.h"

#include "base/io.h"
#include "outputs/sample_name.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID "0123456789abcdef0123"

static void expect_name(const char *subject, unsigned number, const char *want)
{
	struct tap_failure f = full_failure;
	struct tap_sample p = full_sample;
	char name[TAP_SAMPLE_NAME];

	f.parsed = &p;
	p.subject = subject;
	tap_sample_name(&failure_meta, &f, number, name);
	assert_string_equal(name, want);
}

static void test_names_q188(void **state)
{
	char longest[1000];

	(void)state;
	expect_name("Rent Reminder", 1, ID "-Rent_Reminder.eml");
	expect_name("Rent Reminder", 2, ID "-Rent_Reminder-2.eml");
	expect_name(NULL, 1, ID ".eml");
	expect_name("", 100, ID "-100.eml");
	expect_name("../../etc/passwd", 1, ID "-.._.._etc_passwd.eml");
	expect_name("..", 1, ID ".eml");
	expect_name("/", 1, ID ".eml");
	expect_name("a\nb\x01\\:*?\"<>|c", 1, ID "-a_b_c.eml");
	expect_name("\xC3\xA4\xE2\x80\xAE gpj.exe", 1, ID "-gpj.exe.eml");
	expect_name("-rf ~ $(x) `y` ;z", 1, ID "--rf_x_y_z.eml");
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	expect_name(longest, 100, ID "-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-100.eml");
}

static void expect_file(int fd, const char *name, const char *want, size_t n)
{
	struct tap_err err;
	struct tap_buf b;
	struct stat st;

	tap_buf_init(&b, 1 << 16);
	assert_int_equal(tap_io_read_file(fd, name, &b, &err), TAP_OK);
	assert_int_equal(b.len, n);
	assert_memory_equal(b.p, want, n);
	tap_buf_free(&b);
	assert_int_equal(fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_nothing_is_replaced_q188(void **state)
{
	char dir[] = "/tmp/tap-samples-XXXXXX", name[TAP_SAMPLE_NAME], first[TAP_SAMPLE_NAME];
	struct tap_failure f = full_failure;
	struct tap_err err;
	int fd = -1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(tap_io_opendir(AT_FDCWD, dir, 0, &fd, &err), TAP_OK);
	assert_int_equal(tap_sample_save(fd, &failure_meta, &f, first, &err), TAP_OK);
	assert_string_equal(first, ID "-Re_a_b_script.eml");
	/* the same again is the same file */
	assert_int_equal(tap_sample_save(fd, &failure_meta, &f, name, &err), TAP_OK);
	assert_string_equal(name, first);
	/* others of the same name are not */
	f.sample = "other\0";
	f.sample_len = 6;
	assert_int_equal(tap_sample_save(fd, &failure_meta, &f, name, &err), TAP_OK);
	assert_string_equal(name, ID "-Re_a_b_script-2.eml");
	expect_file(fd, name, "other\0", 6);
	f.sample_len = 0;
	assert_int_equal(tap_sample_save(fd, &failure_meta, &f, name, &err), TAP_OK);
	assert_string_equal(name, ID "-Re_a_b_script-3.eml");
	expect_file(fd, name, "", 0);
	expect_file(fd, first, full_raw, sizeof full_raw - 1);
	/* a link that somebody laid there is neither followed nor replaced */
	f.parsed = NULL;
	assert_int_equal(symlinkat("/nonexistent/x", fd, ID ".eml"), 0);
	assert_int_equal(tap_sample_save(fd, &failure_meta, &f, name, &err), TAP_OK);
	assert_string_equal(name, ID "-2.eml");
	f.sample = NULL;
	assert_int_equal(tap_sample_save(fd, &failure_meta, &f, name, &err), TAP_OK);
	assert_string_equal(name, "");
	assert_int_equal(unlinkat(fd, ID "-Re_a_b_script.eml", 0), 0);
	assert_int_equal(unlinkat(fd, ID "-Re_a_b_script-2.eml", 0), 0);
	assert_int_equal(unlinkat(fd, ID "-Re_a_b_script-3.eml", 0), 0);
	assert_int_equal(unlinkat(fd, ID ".eml", 0), 0);
	assert_int_equal(unlinkat(fd, ID "-2.eml", 0), 0);
	tap_io_close(&fd);
	assert_int_equal(rmdir(dir), 0); /* and nothing else is left */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names_q188),
	    cmocka_unit_test(test_nothing_is_replaced_q188),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
