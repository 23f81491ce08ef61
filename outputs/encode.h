/* SPDX-License-Identifier: Apache-2.0
 * outputs/encode.h - the two text forms of reports, used by the command line and by the file drivers. Pure.
 * JSON: the documented keys of the reference in their order, then the newer ones, then ours; every key always present, null when
 * unknown (docs/formats.md). CSV: RFC 4180, documented columns first. compat4 gives exactly the documented shape of the reference's version 4:
 * its keys and columns only, its defaults (pct "100", fo "0", selector "none", scope "mfrom", …), times in the host's zone.
 * Everything from a report is escaped here: JSON strings by RFC 8259; CSV cells that a spreadsheet would run (= + - @ TAB CR first)
 * get a leading apostrophe unless compat4 or unguarded; line breaks in a cell become blanks unless compat4.
 * Threads: safe. Errors: only the buffer's limit. */
#ifndef TAP_OUTPUTS_ENCODE_H
#define TAP_OUTPUTS_ENCODE_H

#include "base/buf.h"
#include "parser/report.h"
#include <stdbool.h>

struct tap_json_style {
	int indent; /* 0 = one line without blanks after commas and colons; 2 = as the reference prints */
	int level; /* nesting level that the report starts at, for the indent */
	bool compat4, local_time;
	bool strip_payloads; /* attachments of samples: name, size and hash only */
};
struct tap_csv_style {
	bool compat4, local_time;
	bool
	    unguarded; /* no apostrophe before what a spreadsheet would run: for programs that read the rows */
};
/* A report in three steps, so that records stream: {… "records": [ | record | ], … }. Every key must stand in the order of the
 * documentation, so what is only known at the end (totals, warnings) comes after the records. */
void tap_json_report_begin(struct tap_buf *b, const struct tap_json_style *s,
			   const struct tap_meta *m);
void tap_json_report_record(struct tap_buf *b, const struct tap_json_style *s,
			    const struct tap_meta *m, const struct tap_record *r, bool first);
/* revision 0 = not from a store: printed as 1. */
void tap_json_report_end(struct tap_buf *b, const struct tap_json_style *s,
			 const struct tap_meta *m, const struct tap_report_end *e, int64_t revision,
			 bool any_record);
/* A failure or feedback report at once. A sample or payload that is no UTF-8 is printed in base64, and sample_encoding says so; compat4:
 * as text, what is none of it as U+FFFD, line ends as LF. */
void tap_json_failure(struct tap_buf *b, const struct tap_json_style *s, const struct tap_meta *m,
		      const struct tap_failure *f, const struct tap_report_end *e,
		      int64_t revision);
/* An SMTP TLS report: begin · (policy detail*)* · end, in document order; the functions close what is open by themselves.
 * policy->index 0 and detail->index 0 are the first of their list; any_policy: at least one was printed, with_details: the last printed
 * item was a detail. */
void tap_json_tls_begin(struct tap_buf *b, const struct tap_json_style *s,
			const struct tap_meta *m);
void tap_json_tls_policy(struct tap_buf *b, const struct tap_json_style *s,
			 const struct tap_tls_policy *p, bool after_detail);
void tap_json_tls_detail(struct tap_buf *b, const struct tap_json_style *s,
			 const struct tap_tls_detail *d);
void tap_json_tls_end(struct tap_buf *b, const struct tap_json_style *s, const struct tap_meta *m,
		      const struct tap_report_end *e, int64_t revision, bool any_policy,
		      bool after_detail);
void tap_json_string(struct tap_buf *b, const char *s); /* quoted and escaped; NULL → null */

void tap_csv_header(struct tap_buf *b, const struct tap_csv_style *s);
/* r NULL: a report without records gives one row with empty record columns (none in compat4). */
void tap_csv_row(struct tap_buf *b, const struct tap_csv_style *s, const struct tap_meta *m,
		 const struct tap_record *r, int64_t revision);

/* Failure and feedback reports. */
void tap_csv_failure_header(struct tap_buf *b, const struct tap_csv_style *s);
void tap_csv_failure_row(struct tap_buf *b, const struct tap_csv_style *s, const struct tap_meta *m,
			 const struct tap_failure *f, int64_t revision);
/* compat4 stops after the columns of the reference's version 10, the first that knew these reports. */
void tap_csv_tls_header(struct tap_buf *b, const struct tap_csv_style *s);
/* One row a policy and one a detail: d NULL = the policy's own row. p is the policy of d, and NULL only for a report without policies,
 * which gives one row with empty policy columns (none in compat4). */
void tap_csv_tls_row(struct tap_buf *b, const struct tap_csv_style *s, const struct tap_meta *m,
		     const struct tap_tls_policy *p, const struct tap_tls_detail *d,
		     int64_t revision);

#endif
