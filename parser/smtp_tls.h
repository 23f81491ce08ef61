/* SPDX-License-Identifier: Apache-2.0
 * parser/smtp_tls.h - reads one JSON document as SMTP TLS reports (one, a list, or one a line) and emits their events.
 * The text is looked over for depth and number of values before json-c allocates for it [I7].
 * Threads: calls on different documents may run at once. RFC 8460 section 4. */
#ifndef TAP_PARSER_SMTP_TLS_H
#define TAP_PARSER_SMTP_TLS_H

#include "parser/document.h"
#include "parser/events.h"
#include "parser/parser.h"

/* Contract as tap_aggregate_read. tap_work_auth(doc->work) says what the mail's TLS-Report-… fields announce. */
enum tap_rc tap_smtp_tls_read(struct tap_document *doc, const struct tap_parse_options *opt,
			      const struct tap_events *ev, void *ctx,
			      struct tap_document_result *res, struct tap_err *err) TAP_MUST_CHECK;

#endif
