/* SPDX-License-Identifier: Apache-2.0
 * parser/events.h - the contract between whoever reads reports (the parser, the decoder of confine/, the store's row reader) and
 * whoever consumes them (the printer, the store, the outputs).
 *
 * For each report: begin · body · end, or begin · body · abort, where the body is, by kind,
 *   aggregate          record*
 *   failure, feedback  failure          (exactly once before end)
 *   SMTP TLS           (tls_policy tls_detail*)*
 * A consumer may leave NULL what it does not take, but not begin and end. Nothing before `end` is final: a consumer stages, and drops
 * what it staged on abort. After an abort the same report may begin again (it is read a second time in recovery mode, or with
 * metadata that came late). Reports never nest. A report that fails before its metadata are known gives no event at all; the
 * parser's result counts it.
 * A callback that returns anything but TAP_OK stops the reading at once; that class is what the reader returns, and no further
 * event comes (no abort either).
 * Threads: all calls come from the thread that called the reader. Pointers are valid during the call only [I6]. */
#ifndef TAP_PARSER_EVENTS_H
#define TAP_PARSER_EVENTS_H

#include "base/err.h"
#include "parser/report.h"

struct tap_events {
	enum tap_rc (*begin)(void *ctx, const struct tap_meta *meta, struct tap_err *err);
	enum tap_rc (*record)(void *ctx, const struct tap_record *rec, struct tap_err *err);
	enum tap_rc (*end)(void *ctx, const struct tap_report_end *end, struct tap_err *err);
	void (*abort)(void *ctx, const struct tap_err *why);
	/* The container that the reports with this origin.part stood in, as gzip or zip (wrapped into gzip when it came plain; for a
	 * failure or feedback report the whole mail, wrapped into gzip), in pieces; the last call has n = 0. Comes after the last of its reports; only when tap_parse_options.payload is set. May be NULL. */
	enum tap_rc (*payload)(void *ctx, uint32_t part, const void *p, size_t n,
			       struct tap_err *err);
	/* The bodies of the other kinds; NULL = not wanted. */
	enum tap_rc (*failure)(void *ctx, const struct tap_failure *f, struct tap_err *err);
	enum tap_rc (*tls_policy)(void *ctx, const struct tap_tls_policy *p, struct tap_err *err);
	enum tap_rc (*tls_detail)(void *ctx, const struct tap_tls_detail *d, struct tap_err *err);
};

#endif
