/* SPDX-License-Identifier: Apache-2.0
 * base/err.h - the one error value: its class says what to do next, its text speaks to the operator.
 * Ownership: the caller allocates struct tap_err (on the stack); nothing is ever freed.
 * Threads: no shared state. */
#ifndef TAP_BASE_ERR_H
#define TAP_BASE_ERR_H

enum tap_rc {
	TAP_OK = 0,
	TAP_E_TEMP,	 /* try again later: disk full, peer down, busy            */
	TAP_E_DATA,	 /* this input is bad; a retry cannot help                 */
	TAP_E_LIMIT,	 /* a configured limit was hit (bytes, rows, depth, time)  */
	TAP_E_CONFIG,	 /* an operator must act; a program must not start with it */
	TAP_E_NOTFOUND,	 /* expected absence                                       */
	TAP_E_CANCELLED, /* shutdown or deadline                                   */
};

struct tap_err {
	enum tap_rc rc;
	int sys_errno; /* 0 when no system call was involved                        */
	char msg[512]; /* one line, control characters already replaced, no secrets */
};

#define TAP_MUST_CHECK	      __attribute__((warn_unused_result))
#define TAP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Each of these returns the class, so that `return tap_err_set(err, …)` reads well. err may be NULL.
 * The text is made one line: control characters become '?'. It is cut on a UTF-8 boundary when too long. */
enum tap_rc tap_err_set(struct tap_err *err, enum tap_rc rc, const char *fmt, ...) TAP_PRINTF(3, 4);
/* As tap_err_set, and appends ": " and the text of errnum; sys_errno = errnum. */
enum tap_rc tap_err_sys(struct tap_err *err, enum tap_rc rc, int errnum, const char *fmt, ...)
    TAP_PRINTF(4, 5);
/* Puts a prefix ("spool x: ") in front of the text that err already has; returns err->rc
 * (TAP_E_TEMP when err is NULL). */
enum tap_rc tap_err_prefix(struct tap_err *err, const char *fmt, ...) TAP_PRINTF(2, 3);
/* "ok", "temporary", "data", "limit", "config", "not found", "cancelled". Never NULL. */
const char *tap_rc_name(enum tap_rc rc);

#endif
