/* SPDX-License-Identifier: Apache-2.0
 * outputs/slice.h - one item as one JSON object that stands for itself, on one line: what a bus, a log or a program of the user's own
 * gets. Private to outputs/. Forms (docs/outputs.md, "One item as JSON"):
 *   aggregate          the record as the JSON form has it, then what belongs to its report: date_range, org_name, org_email,
 *                      policy_published, report_id, as the reference's slices have them, then ours
 *   smtp_tls           the policy with this one of its failure details, or none; then the same of its report
 *   failure, feedback  the whole report as the JSON form has it
 * Each ends with kind, report_uid, revision and, where there are several, record_index.
 * Threads: safe. Errors: TAP_E_DATA without contents, TAP_E_LIMIT. */
#ifndef TAP_OUTPUTS_SLICE_H
#define TAP_OUTPUTS_SLICE_H

#include "outputs/output.h"

/* strip_payloads: contents of attachments are left out. Adds no line break. */
enum tap_rc tap_slice(const struct tap_item *item, bool strip_payloads, struct tap_buf *out,
		      struct tap_err *err) TAP_MUST_CHECK;
/* "aggregate", "failure", "smtp_tls", "feedback" */
const char *tap_slice_kind(enum tap_kind kind);

#endif
