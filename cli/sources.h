/* SPDX-License-Identifier: Apache-2.0
 * cli/sources.h - who sent it, for what dmarctap prints. A window stands between the parser and an encoder: it holds back the events of
 * reports, finds out about all their addresses with one call of enrich/enrich.h, and then hands them on, in their order, with their
 * sources filled in. A report that is aborted while all of it is still in the window has never been seen by the encoder.
 * Limits [I7]: TAP_WINDOW_EVENTS and TAP_WINDOW_BYTES a window; an event that is larger than that is looked up alone. So memory does
 * not grow with a report, and a report of a million records asks in rounds, with what is known remembered between them.
 * Ownership: strings of events are copied. Threads: one tap_sources for all workers; each worker has its own window.
 * Errors: a name that cannot be found out is none (the source stays NULL, and is counted); else those of the consumer. */
#ifndef TAP_CLI_SOURCES_H
#define TAP_CLI_SOURCES_H

#include "base/err.h"
#include "cli/encoder.h"
#include "parser/events.h"
#include <stddef.h>
#include <stdint.h>

enum { TAP_WINDOW_EVENTS = 8192, TAP_WINDOW_BYTES = 8 * 1024 * 1024 };

struct tap_sources;
struct tap_sources_options {
	const char *const *nameservers; /* none = those of the setting's default */
	size_t n_nameservers;
	int64_t timeout_ms; /* 0 = the setting's default */
};
/* Asks nobody yet. TAP_E_CONFIG: a nameserver that is none. */
enum tap_rc tap_sources_open(const struct tap_sources_options *o, struct tap_sources **s_r,
			     struct tap_err *err) TAP_MUST_CHECK;
void tap_sources_free(struct tap_sources **s); /* NULL-safe; no window may be left */
/* What is being looked up ends soon, and nothing more is. Safe in a signal handler; NULL-safe. */
void tap_sources_cancel(struct tap_sources *s);
/* Records and failure reports whose name could not be found out: no answer in time, or none with sense. */
uint64_t tap_sources_unknown(const struct tap_sources *s);

struct tap_window;
/* Events go to `to` with ctx. Reports that print leaves out are not asked about. All are borrowed; NULL: out of memory. */
struct tap_window *tap_window_new(struct tap_sources *s, const struct tap_print *print,
				  const struct tap_events *to, void *ctx);
void tap_window_free(struct tap_window **w);	  /* NULL-safe; what it holds is gone */
extern const struct tap_events tap_window_events; /* ctx: the window */
/* A report that has begun and not ended is dropped, as after a reading that was stopped; the consumer drops what it has of it. */
void tap_window_settle(struct tap_window *w);
/* Hands on all that it holds. */
enum tap_rc tap_window_flush(struct tap_window *w, struct tap_err *err) TAP_MUST_CHECK;
void tap_window_drop(struct tap_window *w); /* forgets all that it holds */
/* How long, in all, callers have waited for answers. */
int64_t tap_window_waited_ms(const struct tap_window *w);

#endif
