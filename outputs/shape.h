/* SPDX-License-Identifier: Apache-2.0
 * outputs/shape.h - what the JSON and the CSV form have in common: defaults, fall-backs and dates, for the form of today and for
 * the documented form of the reference's version 4 (compat4). Private to outputs/.
 * Ownership: results point into the report or at constants. Threads: safe. Errors: none. RFC 7489 section 6.3, RFC 9989. */
#ifndef TAP_OUTPUTS_SHAPE_H
#define TAP_OUTPUTS_SHAPE_H

#include "parser/report.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TAP_SHAPE_DATE = 32,	    /* room for a date, NUL included            */
	TAP_SHAPE_ID = 8 * 1024 + 1 /* room for a report id as version 4 has it */
};

/* policy_published as it is printed, and which of its values the report did not give. */
struct tap_shape_policy {
	const char *adkim, *aspf, *p, *sp, *pct, *fo;
	bool adkim_defaulted, aspf_defaulted, sp_defaulted;
};

/* "YYYY-MM-DD HH:MM:SS" in UTC, or in the host's zone; returns its length. */
size_t tap_shape_date(int64_t t, bool local, char out[TAP_SHAPE_DATE]);
/* NULL for "" in the version 4 form, which knows no difference between absent and empty. */
const char *tap_shape_text(const char *s, bool compat4);
/* "draft" for a report without a version. */
const char *tap_shape_version(const struct tap_meta *m);
/* The name of the generation that report.h gives it; NULL for a number that is none. A table of its own, because the worker, which
 * prints reports and never parses them, links no parser. */
const char *tap_shape_schema(const struct tap_meta *m);
/* The id as sent; compat4: without < and > and from the first @ on cut, copied to room. */
const char *tap_shape_report_id(const struct tap_meta *m, bool compat4, char room[TAP_SHAPE_ID]);
/* The words of report_mail.h and report_failure.h, and "aggregate" "failure" "smtp_tls" "feedback"; NULL for a number that is none.
 * Tables of their own for the same reason. */
const char *tap_shape_auth(enum tap_auth_state a);
const char *tap_shape_agree(enum tap_agree a);
const char *tap_shape_kind(enum tap_kind k);
const char *tap_shape_format(const struct tap_failure *f);
/* Of a repeated feedback field: the first; compat4: the last, as version 4 read it. NULL = none. */
const char *tap_shape_one(const struct tap_list_of *l, bool compat4);
/* The mechanisms that gave an aligned identity, as far as the report tells; compat4: Identity-Alignment as sent, "none" left out. */
const struct tap_list_of *tap_shape_mechanisms(const struct tap_failure *f, bool compat4);
/* "YYYY-MM-DD HH:MM:SS" in UTC, NULL for TAP_NO_TIME. */
const char *tap_shape_utc(int64_t t, char out[TAP_SHAPE_DATE]);
/* "+2", "-3.5" hours east of UTC; NULL = the date has no zone. */
const char *tap_shape_zone(const struct tap_sample *p, char out[TAP_SHAPE_DATE]);
/* The subject as part of a file's name: without \ / : " * ? | and line breaks, and without dots at its end; of today's form also
 * without control characters, < and >, dots at its beginning, and cut to 100 bytes. compat4: "None" for no subject. */
const char *tap_shape_safe_subject(const char *subject, bool compat4, char room[TAP_SHAPE_ID]);
/* Length of s without the line breaks at its end. */
size_t tap_shape_trimmed(const char *s);
void tap_shape_policy(const struct tap_meta *m, bool compat4, struct tap_shape_policy *out);
/* As sent; compat4: "pass" and a missing one are "none". */
const char *tap_shape_disposition(const struct tap_record *r, bool compat4);
/* "pass" (a word of RFC 9990) told as "none", for dashboards that know three dispositions. */
const char *tap_shape_disposition_norm(const struct tap_record *r);
/* The envelope sender's domain, or else the domain of the last SPF result (compat4: of any scope; else never one of scope "helo"). */
const char *tap_shape_envelope_from(const struct tap_record *r, bool compat4);
/* false: version 4 leaves results without a domain out. */
bool tap_shape_keeps(const struct tap_auth_result *a, bool compat4);
/* More than a day and two hours: the reference would have spread such a report over days. */
bool tap_shape_long_span(const struct tap_meta *m);

#endif
