/* SPDX-License-Identifier: Apache-2.0
 * parser/aggregate.h - reads one XML document as a DMARC aggregate report and emits its events: draft, RFC 7489 appendix C
 * (with and without version and namespace), dmarc-xml/0.2, RFC 9990 section 3.
 * A document is read up to three times: strictly, once more when the metadata come after the first record, and once more in
 * recovery mode when its XML is broken. Memory does not grow with the document.
 * Threads: calls on different documents may run at once; tap_parser_global_init first. */
#ifndef TAP_PARSER_AGGREGATE_H
#define TAP_PARSER_AGGREGATE_H

#include "parser/document.h"
#include "parser/events.h"
#include "parser/parser.h"

/* opt and opt->limits are never NULL; ev may be NULL (only the verdict is wanted). Whatever is wrong with the document is said
 * in *res with TAP_OK. Anything else is returned only for what is not the document's fault: the class that a callback gave,
 * TAP_E_CANCELLED, or the class of an error of the source. */
enum tap_rc tap_aggregate_read(struct tap_document *doc, const struct tap_parse_options *opt,
			       const struct tap_events *ev, void *ctx,
			       struct tap_document_result *res, struct tap_err *err) TAP_MUST_CHECK;

#endif
