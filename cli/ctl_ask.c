/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_ask.c - asking the worker for something, and times as people write them. */
#include "base/clock.h"
#include "cli/ctl.h"
#include "daemon/control.h"
#include "daemon/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { ANSWER_MAX = 16 << 20 };

enum tap_rc ctl_ask_body(struct ctl *c, struct tap_buf *line, int64_t wait_ms, struct tap_buf *body,
			 struct tap_err *err)
{
	struct tap_worker_settings worker;
	enum tap_rc rc = ctl_section(c, &tap_worker_section, &worker, err);

	if (rc == TAP_OK && line->failed)
		rc = tap_err_set(err, TAP_E_LIMIT, "the command is too long");
	if (rc != TAP_OK) {
		err->sys_errno = 0; /* which is of the socket alone here */
		return rc;
	}
	return tap_control_ask(worker.control_socket, tap_buf_cstr(line),
			       tap_clock_mono_ms() + wait_ms, body, err);
}

int ctl_ask_fail(const struct tap_err *err)
{
	int status = ctl_fail(err);

	if (err->sys_errno == ENOENT || err->sys_errno == ECONNREFUSED)
		return EX_UNAVAILABLE;
	return err->sys_errno == EACCES ? EX_NOPERM : status;
}

int ctl_ask(struct ctl *c, struct tap_buf *line, int64_t wait_ms)
{
	struct tap_err err = {0};
	struct tap_buf body;
	enum tap_rc rc;

	tap_buf_init(&body, ANSWER_MAX);
	rc = ctl_ask_body(c, line, wait_ms, &body, &err);
	if (rc == TAP_OK)
		ctl_print_safe(body.p, body.len, true);
	tap_buf_free(&body);
	return rc == TAP_OK ? CTL_OK : ctl_ask_fail(&err);
}

/* `digits` of them at *p, then the character `end` ('\0' = none is looked for). */
static bool number(const char **p, int digits, char end, int *v_r)
{
	*v_r = 0;
	for (int i = 0; i < digits; i++) {
		if (**p < '0' || **p > '9')
			return false;
		*v_r = *v_r * 10 + (*(*p)++ - '0');
	}
	if (end == '\0')
		return true;
	return *(*p)++ == end;
}

static bool date(const char *p, int64_t *seconds_r)
{
	struct tap_date d = {0}, back;
	int year;

	if (!number(&p, 4, '-', &year) || !number(&p, 2, '-', &d.month) ||
	    !number(&p, 2, '\0', &d.day))
		return false;
	d.year = year;
	if (*p == 'T' || *p == ' ') {
		p++;
		if (!number(&p, 2, ':', &d.hour) || !number(&p, 2, ':', &d.minute) ||
		    !number(&p, 2, '\0', &d.second))
			return false;
		p += *p == 'Z';
	}
	if (*p != '\0' || d.month < 1 || d.month > 12 || d.day < 1)
		return false;
	*seconds_r = tap_time_from_utc(&d);
	tap_time_utc(*seconds_r, &back); /* no 30th of February */
	return back.month == d.month && back.day == d.day && back.hour == d.hour &&
	       back.minute == d.minute && back.second == d.second;
}

enum tap_rc ctl_time(const char *text, int64_t *seconds_r, struct tap_err *err)
{
	size_t n = strspn(text, "0123456789");

	if (n > 0 && n <= 12 && text[n] == '\0') {
		*seconds_r = strtoll(text, NULL, 10);
		return TAP_OK;
	}
	if (date(text, seconds_r))
		return TAP_OK;
	return tap_err_set(
	    err, TAP_E_DATA,
	    "\"%s\" is no time: it is written 2026-11-01, 2026-11-01T12:30:00Z (UTC), or "
	    "in seconds since 1970",
	    text);
}
