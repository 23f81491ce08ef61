/* SPDX-License-Identifier: Apache-2.0
 * base/log_text.h - what a log line looks like, inside base only: the sanitizer, the line for people and the datagram of the
 * journal's native protocol. Pure: bytes in, bytes out. Limits: each value 256 bytes, each text TAP_LOG_TEXT_MAX, each line
 * TAP_LOG_LINE_MAX; what is longer is cut and ends with "...". */
#ifndef TAP_BASE_LOG_TEXT_H
#define TAP_BASE_LOG_TEXT_H

#include "base/log.h"
#include <stddef.h>

enum {
	TAP_LOG_TEXT_MAX = 2048,
	TAP_LOG_VALUE_MAX = 256,
	TAP_LOG_LINE_MAX = 8192,
	TAP_LOG_JOURNAL_MAX = 12288,
};

struct tap_log_line {
	enum tap_log_level level;
	const char *component, *text;
	const struct tap_log_field *fields; /* NULL = none, else ends with key == NULL */
};

/* head, "level component: text key=value …\n" into out; returns its length, at most size. */
size_t tap_log_text_line(const struct tap_log_line *l, const char *head, const char *level,
			 char *out, size_t size);
/* MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, TAP_COMPONENT and TAP_<KEY> as one datagram. */
size_t tap_log_text_journal(const struct tap_log_line *l, const char *ident, int priority,
			    char *out, size_t size);

#endif
