/* SPDX-License-Identifier: Apache-2.0
 * base/log.h - the program's log: `level component: message key=value …`, one line each.
 * To stderr with a time stamp; when systemd started us (JOURNAL_STREAM names our stderr) to the journal's socket with the
 * fields MESSAGE, PRIORITY, SYSLOG_IDENTIFIER and TAP_<KEY> for each key (native protocol, no library).
 * All text passes one sanitizer: control characters are escaped, values with blanks quoted, each value cut at 256 bytes.
 * Threads: safe; a line is written with one call. Repeats of one line are throttled with a count (5 a second per format;
 * where the format is only "%s", per text without its digits; debug lines are never held back). */
#ifndef TAP_BASE_LOG_H
#define TAP_BASE_LOG_H

#include "base/err.h"
#include "base/settings.h"
#include <stdint.h>

enum tap_log_level { TAP_LOG_DEBUG, TAP_LOG_INFO, TAP_LOG_WARNING, TAP_LOG_ERROR };
struct tap_log_field {
	const char *key, *value; /* value NULL = the field is left out */
};

/* ident = the program's name. Call once, before threads. */
void tap_log_init(const char *ident, enum tap_log_level least);
void tap_log_set_level(enum tap_log_level least);
void tap_log(enum tap_log_level level, const char *component, const char *fmt, ...)
    TAP_PRINTF(3, 4);
/* fields ends with key == NULL. */
void tap_log_fields(enum tap_log_level level, const char *component,
		    const struct tap_log_field *fields, const char *fmt, ...) TAP_PRINTF(4, 5);
/* Logs err's text once, with its class; where the decision was made. */
void tap_log_err(enum tap_log_level level, const char *component, const struct tap_err *err);

/* The section "log" of the configuration; level is an enum tap_log_level. */
struct tap_log_settings {
	int64_t level;
};
extern const struct tap_section tap_log_section;

/* Tests: lines go to this datagram socket as if systemd had started us; NULL = what JOURNAL_STREAM said. */
void tap_log_set_journal_for_test(const char *path);

#define tap_debug(c, ...) tap_log(TAP_LOG_DEBUG, c, __VA_ARGS__)
#define tap_info(c, ...)  tap_log(TAP_LOG_INFO, c, __VA_ARGS__)
#define tap_warn(c, ...)  tap_log(TAP_LOG_WARNING, c, __VA_ARGS__)
#define tap_error(c, ...) tap_log(TAP_LOG_ERROR, c, __VA_ARGS__)

#endif
