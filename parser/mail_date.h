/* SPDX-License-Identifier: Apache-2.0
 * parser/mail_date.h - dates of mail as they really come: RFC 5322 with obsolete forms, comments, wrong weekdays, two-digit years,
 * zone names, no zone at all (UTC, noted). Pure. Threads: safe. RFC 5322 sections 3.3 and 4.3. */
#ifndef TAP_PARSER_MAIL_DATE_H
#define TAP_PARSER_MAIL_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_mail_date {
	int64_t time;  /* seconds since the epoch, UTC */
	int32_t zone;  /* minutes east of UTC */
	bool has_zone; /* "-0000" and a missing zone: false */
};
bool tap_mail_date_parse(const char *s, size_t n, struct tap_mail_date *out_r);

#endif
