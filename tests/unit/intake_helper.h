/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/intake_helper.h - a private spool directory for the tests of intake and milter. */
#ifndef TAP_TESTS_INTAKE_HELPER_H
#define TAP_TESTS_INTAKE_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "intake/intake.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct box {
	char path[64];
	struct tap_spool_settings set;
};

static inline void box_make(struct box *b)
{
	snprintf(b->path, sizeof(b->path), "/tmp/tap-intake-XXXXXX");
	assert_non_null(mkdtemp(b->path));
	b->set = (struct tap_spool_settings){b->path, 1 << 30, 100000, 0};
}

static inline void box_drop(const struct box *b)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", b->path);
	assert_int_equal(system(cmd), 0);
}

/* How many files a directory below the box holds; all = dot files too. The last name goes to name (may be NULL). */
static inline size_t box_count(const struct box *b, const char *dir, int all, char *name)
{
	char path[256];
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", b->path, dir);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    (!all && e->d_name[0] == '.'))
			continue;
		n++;
		if (name)
			snprintf(name, 256, "%s", e->d_name);
	}
	closedir(d);
	return n;
}

static inline int box_dir(const struct box *b, const char *dir)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", b->path, dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Opens the only message of a directory. */
static inline void box_only(const struct box *b, const char *dir, struct tap_spool_file *f)
{
	char name[256];
	struct tap_err err;
	int fd = box_dir(b, dir);

	assert_int_equal(box_count(b, dir, 0, name), 1);
	assert_int_equal(tap_spool_file_open(fd, name, f, &err), TAP_OK);
	assert_int_equal(tap_spool_file_verify(f, &err), TAP_OK);
	close(fd);
}

/* The message block of a file as a string; free it. */
static inline char *message_of(const struct tap_spool_file *f)
{
	char *s = calloc(1, (size_t)f->message_len + 1);

	assert_non_null(s);
	assert_int_equal(pread(f->fd, s, (size_t)f->message_len, (off_t)f->message_off),
			 f->message_len);
	return s;
}

#endif
