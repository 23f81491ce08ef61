/* SPDX-License-Identifier: Apache-2.0
 * outputs/sample_name.c - see sample_name.h. */
#include "outputs/sample_name.h"

#include "base/buf.h"
#include "base/io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { UID_DIGITS = 20, NUMBERS = 100 };

static bool plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-';
}

void tap_sample_name(const struct tap_meta *m, const struct tap_failure *f, unsigned number,
		     char out[TAP_SAMPLE_NAME])
{
	const char *s = f->parsed != NULL ? f->parsed->subject : NULL;
	char subject[TAP_SAMPLE_SUBJECT + 1], digits[16] = "";
	size_t n = 0;

	for (; s != NULL && *s != '\0' && n < TAP_SAMPLE_SUBJECT; s++)
		if (plain(*s))
			subject[n++] = *s;
		else if (n > 0 && subject[n - 1] != '_')
			subject[n++] = '_';
	while (n > 0 && (subject[n - 1] == '_' || subject[n - 1] == '.'))
		n--;
	subject[n] = '\0';
	if (number > 1)
		(void)snprintf(digits, sizeof digits, "-%u", number);
	(void)snprintf(out, TAP_SAMPLE_NAME, "%.*s%s%s%s.eml", UID_DIGITS, m->uid, n > 0 ? "-" : "",
		       subject, digits);
}

static enum tap_rc same_bytes(int dirfd, const char *name, const struct tap_failure *f,
			      bool *same_r, struct tap_err *err)
{
	struct tap_buf b;
	enum tap_rc rc;

	*same_r = false;
	tap_buf_init(&b, f->sample_len);
	rc = tap_io_read_file(dirfd, name, &b, err);
	if (rc == TAP_OK)
		*same_r =
		    b.len == f->sample_len && (b.len == 0 || memcmp(b.p, f->sample, b.len) == 0);
	else if (rc == TAP_E_LIMIT || rc == TAP_E_NOTFOUND)
		rc = TAP_OK; /* longer, or gone meanwhile: another one in any case */
	tap_buf_free(&b);
	return rc;
}

/* Gives the complete file its name; a name that is taken is left alone. */
static enum tap_rc give_name(int dirfd, const char *temp, const struct tap_meta *m,
			     const struct tap_failure *f, char name_r[TAP_SAMPLE_NAME],
			     struct tap_err *err)
{
	for (unsigned number = 1; number <= NUMBERS; number++) {
		bool same = false;
		enum tap_rc rc;

		tap_sample_name(m, f, number, name_r);
		if (linkat(dirfd, temp, dirfd, name_r, 0) == 0)
			return TAP_OK;
		if (errno != EEXIST)
			return tap_err_sys(err, tap_io_class(errno), errno, "cannot make %s",
					   name_r);
		rc = same_bytes(dirfd, name_r, f, &same, err);
		if (rc != TAP_OK || same)
			return rc;
	}
	return tap_err_set(err, TAP_E_LIMIT, "%d files have the name %s", NUMBERS, name_r);
}

enum tap_rc tap_sample_save(int dirfd, const struct tap_meta *m, const struct tap_failure *f,
			    char name_r[TAP_SAMPLE_NAME], struct tap_err *err)
{
	char temp[TAP_SAMPLE_NAME];
	enum tap_rc rc, gone;
	int fd = -1;

	name_r[0] = '\0';
	if (f->sample == NULL)
		return TAP_OK;
	(void)snprintf(temp, sizeof temp, ".%.*s.%ld.tmp", UID_DIGITS, m->uid, (long)getpid());
	rc = tap_io_unlink(dirfd, temp, NULL, err); /* of a run that died */
	if (rc == TAP_OK)
		rc = tap_io_open(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &fd,
				 NULL, err);
	if (rc != TAP_OK)
		return rc;
	rc = tap_io_write(fd, f->sample, f->sample_len, NULL, err);
	tap_io_close(&fd);
	if (rc == TAP_OK)
		rc = give_name(dirfd, temp, m, f, name_r, err);
	gone = tap_io_unlink(dirfd, temp, NULL, rc == TAP_OK ? err : NULL);
	if (rc != TAP_OK)
		name_r[0] = '\0';
	return rc != TAP_OK ? rc : gone;
}
