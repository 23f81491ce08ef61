/* SPDX-License-Identifier: Apache-2.0
 * outputs/output.h - what an output driver is. One const struct a driver, in one file, listed in registry.c.
 *
 * An item is the smallest thing that a driver confirms, with its report's meta part: one record of an aggregate report; a whole failure or
 * feedback report; one policy, or one failure detail (behind its policy), of an SMTP TLS report; or, for a report without any, the meta
 * part alone. Items come in order of (report sequence, record index), each report's from first to last.
 * The runner (runner.h) encodes each item, hands batches to send, and moves the sink's cursor past what was confirmed [I4].
 *
 * Threads: one thread a sink; never two calls at once on one self. encode is pure and may run anywhere. */
#ifndef TAP_OUTPUTS_OUTPUT_H
#define TAP_OUTPUTS_OUTPUT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/settings.h"
#include "parser/report.h"
#include <stdbool.h>
#include <stdint.h>

enum tap_promise {
	TAP_PROMISE_EXACTLY_ONCE, /* over any crash: the driver keeps a resume state in the store        */
	TAP_PROMISE_AT_LEAST_ONCE, /* a repeat is possible and carries the same ids, so it is harmless    */
	TAP_PROMISE_UNCONFIRMED, /* the peer confirms nothing                                           */
};
/* RETRY of some items beside others that are answered: these wait for a time of their own. RETRY of all: the peer wants nothing now. */
enum tap_item_verdict { TAP_ITEM_CONFIRMED, TAP_ITEM_RETRY, TAP_ITEM_NEVER };

struct tap_item {
	int64_t seq; /* report's sequence number in the store, from 1 */
	uint64_t
	    ordinal; /* 0-based among the report's stored records (record->index may have gaps) */
	int64_t revision; /* from 1 */
	bool first, last; /* of its report */
	const struct tap_meta *meta;
	/* One of record, failure, policy; all NULL: the report has no records, or no policies. A detail stands beside its policy, because
	 * each row of a table has to tell the policy, and encode sees one item alone. */
	const struct tap_record *record;
	const struct tap_failure *failure;
	const struct tap_tls_policy *policy;
	const struct tap_tls_detail *detail; /* NULL = the item is the policy itself */
	const struct tap_report_end
	    *end; /* totals and warnings, known beforehand: the report is complete */
};

enum { TAP_OUTPUT_STATE_MAX = 1024 };
struct tap_output_ops {
	const char *name; /* "json": the `type` in the configuration */
	unsigned kinds;	  /* TAP_KIND_* that it accepts */
	enum tap_promise promise;
	const struct tap_section *settings;
	size_t max_items, max_bytes; /* of one batch */
	/* Pure: item → bytes appended to out. TAP_E_DATA or TAP_E_LIMIT: this item can never be sent (it is parked). */
	enum tap_rc (*encode)(const void *set, const struct tap_item *item, struct tap_buf *out,
			      struct tap_err *err);
	/* Once at the program's start, before it has threads and before it shuts itself in: for what cannot be had later. Not called for what a
	 * reload brings. NULL = nothing to do. */
	enum tap_rc (*prepare)(const void *set, struct tap_err *err);
	/* state: what the driver last put into state_r, "" at first. Undoes whatever a crash left half done. May write a new state
	 * into state_r (TAP_OUTPUT_STATE_MAX bytes), which the runner stores before the first send. */
	enum tap_rc (*open)(const void *set, const char *state, char *state_r, void **self_r,
			    struct tap_err *err);
	/* Sends n encoded items (item i is bytes[ofs[i]] .. bytes[ofs[i+1]]). verdict[i] is set for each. Returning anything but
	 * TAP_OK means the peer, not an item: all n count as TAP_ITEM_RETRY. state_r as above; the runner stores it in the same transaction
	 * that moves the cursor. */
	enum tap_rc (*send)(void *self, const char *bytes, const size_t *ofs, size_t n,
			    enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			    struct tap_err *err);
	enum tap_rc (*probe)(
	    void *self,
	    struct tap_err *err);   /* after trouble, before sending again; NULL = just try */
	void (*close)(void **self); /* NULL-safe, sets NULL */
	/* A later revision of an item that was confirmed takes the place of the former at the peer. Without it a later revision is sent only
	 * with the setting resend, or when the former was not confirmed whole. */
	bool replaces;
	/* Items make sense only in order, from the first of a report to its last: none is ever sent alone. */
	bool in_order;
	unsigned (*wants)(
	    const void *set); /* of `kinds`, those that this sink is configured for; NULL = all */
	/* Why item i of the last send was not confirmed, valid until the next call; NULL = as err of that send says. NULL op: never. */
	const char *(*reason)(void *self, size_t i);
	/* Installs at the peer what the output needs there (index templates, tables), older versions of it replaced; for an operator, from
	 * dmarctapctl. Says in said, line by line, what it did. NULL: nothing is needed. */
	enum tap_rc (*setup)(const void *set, struct tap_buf *said, int64_t deadline_ms,
			     struct tap_err *err);
	/* For a driver that sends at certain times: for how many ms new items shall be left alone (0 = they may come). drained: there is
	 * none left, so this time is over; then it may write a new state into state_r. Items that wait in the table of exceptions come when they
	 * are due all the same. NULL: always. */
	int64_t (*hold)(void *self, bool drained, char *state_r);
};

extern const struct tap_output_ops *const tap_outputs[]; /* NULL-terminated */
const struct tap_output_ops *tap_output_find(const char *name);

#endif
