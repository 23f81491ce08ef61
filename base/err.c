/* SPDX-License-Identifier: Apache-2.0
 * base/err.c - see err.h. Texts are formatted aside and then copied, so that an argument may be the
 * error's own old text. */
#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { MSG_SIZE = sizeof(((struct tap_err *)0)->msg) };

/* Length of s without an UTF-8 sequence that the cut at n has broken. */
static size_t whole_utf8(const char *s, size_t n)
{
	size_t i = n;

	while (i > 0 && n - i < 3 && ((unsigned char)s[i - 1] & 0xc0) == 0x80)
		i--;
	if (i == 0)
		return n;
	unsigned char lead = (unsigned char)s[i - 1];
	size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	return want > n - i + 1 ? i - 1 : n;
}

/* Control characters of ASCII, and those that UTF-8 writes as C2 80 … C2 9F, become '?'. */
static void one_line(char *s)
{
	for (unsigned char *p = (unsigned char *)s; *p; p++) {
		if (*p < 0x20 || *p == 0x7f) {
			*p = '?';
		} else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) {
			*p = '?';
			p[1] = '?';
		}
	}
}

static void put(struct tap_err *err, enum tap_rc rc, int errnum, const char *text, bool cut)
{
	size_t n = strlen(text);

	if (cut)
		n = whole_utf8(text, n);
	memcpy(err->msg, text, n);
	err->msg[n] = '\0';
	one_line(err->msg);
	err->rc = rc;
	err->sys_errno = errnum;
}

enum tap_rc tap_err_set(struct tap_err *err, enum tap_rc rc, const char *fmt, ...)
{
	if (!err)
		return rc;
	char text[MSG_SIZE];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0)
		text[0] = '\0';
	put(err, rc, 0, text, n >= MSG_SIZE);
	return rc;
}

enum tap_rc tap_err_sys(struct tap_err *err, enum tap_rc rc, int errnum, const char *fmt, ...)
{
	if (!err)
		return rc;
	char text[MSG_SIZE], why[128];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0)
		text[0] = '\0';
	/* The GNU form: the text may lie elsewhere than in why. */
	const char *w = strerror_r(errnum, why, sizeof why);
	/* A long name must not push the reason out of the text. */
	size_t room = sizeof text - 3 - strlen(w);
	size_t len = strlen(text);
	if (len > room)
		len = whole_utf8(text, room);
	snprintf(text + len, sizeof text - len, ": %s", w);
	put(err, rc, errnum, text, false);
	return rc;
}

enum tap_rc tap_err_prefix(struct tap_err *err, const char *fmt, ...)
{
	if (!err)
		return TAP_E_TEMP;
	char text[MSG_SIZE];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	bool cut = n >= MSG_SIZE;
	size_t at = cut ? MSG_SIZE - 1 : (size_t)n;
	size_t old = strnlen(err->msg, MSG_SIZE - 1);
	if (old > MSG_SIZE - 1 - at) {
		old = MSG_SIZE - 1 - at;
		cut = true;
	}
	memcpy(text + at, err->msg, old);
	text[at + old] = '\0';
	put(err, err->rc, err->sys_errno, text, cut);
	return err->rc;
}

const char *tap_rc_name(enum tap_rc rc)
{
	static const char *const names[] = {
	    [TAP_OK] = "ok",
	    [TAP_E_TEMP] = "temporary",
	    [TAP_E_DATA] = "data",
	    [TAP_E_LIMIT] = "limit",
	    [TAP_E_CONFIG] = "config",
	    [TAP_E_NOTFOUND] = "not found",
	    [TAP_E_CANCELLED] = "cancelled",
	};
	size_t i = (size_t)rc;

	return i < sizeof names / sizeof names[0] ? names[i] : "unknown";
}
