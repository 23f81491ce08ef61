/* SPDX-License-Identifier: Apache-2.0
 * outputs/flat.h - one item as one flat document, with the field names of the reference's search and Splunk outputs, so that dashboards
 * that people have keep working; ours (report_uid, record_index, revision, trusted, …) beside them. Pure.
 * Aggregate: a record. Failure, feedback: the report. SMTP TLS: a policy (with its counts), or one detail below its policy (without
 * them, so that sums over documents are right).
 * Lists of objects lose in a search index which values belong together; the fields *_combined keep that.
 * Limits [I7]: the buffer's maximum; strings were capped by the parser. Threads: safe. Errors: only the buffer's limit. */
#ifndef TAP_OUTPUTS_FLAT_H
#define TAP_OUTPUTS_FLAT_H

#include "base/buf.h"
#include "outputs/output.h"
#include <stdbool.h>

struct tap_flat_style {
	/* Search index: absent fields are left out, dates are RFC 3339. Otherwise (Splunk): null, and "YYYY-MM-DD HH:MM:SS" in UTC,
	 * SMTP TLS and failure reports with the names of the JSON form. */
	bool search;
	bool strip_payloads;
};
/* Appends one JSON object without a line break. TAP_E_DATA: a failure item without contents. */
enum tap_rc tap_flat_item(struct tap_buf *b, const struct tap_flat_style *s,
			  const struct tap_item *item, struct tap_err *err);
/* "UID-INDEX" of a record, policy or detail; "UID" of a whole report. */
enum { TAP_FLAT_ID = 64 };
void tap_flat_id(const struct tap_item *item, char out[TAP_FLAT_ID]);

#endif
