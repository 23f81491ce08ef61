/* SPDX-License-Identifier: Apache-2.0
 * cli/keep.h - copies of what an event hands over, for the events that come after it [I6].
 * Ownership: everything lies in the arena. Threads: safe. Errors: TAP_E_LIMIT at the arena's cap. */
#ifndef TAP_CLI_KEEP_H
#define TAP_CLI_KEEP_H

#include "base/arena.h"
#include "base/err.h"
#include "parser/report.h"

enum tap_rc tap_keep_meta(struct tap_arena *a, const struct tap_meta *from, struct tap_meta *to,
			  struct tap_err *err) TAP_MUST_CHECK;
/* Everything but the raw sample and the payloads stays as small as the report's limits allow. */
enum tap_rc tap_keep_failure(struct tap_arena *a, const struct tap_failure *from,
			     struct tap_failure *to, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_keep_record(struct tap_arena *a, const struct tap_record *from,
			    struct tap_record *to, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_keep_tls_policy(struct tap_arena *a, const struct tap_tls_policy *from,
				struct tap_tls_policy *to, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_keep_tls_detail(struct tap_arena *a, const struct tap_tls_detail *from,
				struct tap_tls_detail *to, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_keep_end(struct tap_arena *a, const struct tap_report_end *from,
			 struct tap_report_end *to, struct tap_err *err) TAP_MUST_CHECK;

#endif
