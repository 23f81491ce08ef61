/* SPDX-License-Identifier: Apache-2.0
 * intake/intake.h - what a door calls: a message in, its fate out.
 *   tap_delivery_begin · tap_delivery_append* · tap_delivery_finish, or tap_delivery_abort at any moment.
 * The bytes go to a partial spool file as they come (never whole in memory), the verdict comes from a parser process, and what the
 * table of fates wants kept is durable before finish returns [I1]. Trouble on the way is remembered and becomes the fate, so that a
 * door has one place to answer from.
 * Limits [I7]: reports.max_message; beyond it nothing more is kept, only counted.
 * Fault point: intake.verdict (and those of spool.h).
 * Threads: one struct tap_intake for all; a delivery belongs to one thread at a time. */
#ifndef TAP_INTAKE_INTAKE_H
#define TAP_INTAKE_INTAKE_H

#include "base/err.h"
#include "confine/pool.h"
#include "intake/address.h"
#include "intake/fates.h"
#include "intake/settings.h"
#include "intake/spool.h"
#include "parser/parser.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Asks for a verdict; as tap_pool_verdict. */
typedef enum tap_rc tap_verdict_fn(void *ctx, const struct tap_pool_job *job,
				   struct tap_parse_result *res, struct tap_err *err);
struct tap_intake_config {
	const struct tap_reports_settings *reports; /* all borrowed, must outlive the intake */
	const struct tap_spool_settings *spool;
	const struct tap_trust_settings *trust; /* NULL: nothing is refused for its origin */
	enum tap_door door;
	bool once; /* one message and no more: tap_spool_open_once */
	/* NULL: no verdict is asked for, and what can be kept is TAP_FATE_UNJUDGED; for ways on which a verdict changes nothing that
	 * the sender hears. */
	tap_verdict_fn *verdict;
	void *verdict_ctx;
};
/* For config.verdict with verdict_ctx = struct tap_pool *. */
enum tap_rc tap_intake_pool_verdict(void *ctx, const struct tap_pool_job *job,
				    struct tap_parse_result *res,
				    struct tap_err *err) TAP_MUST_CHECK;

struct tap_intake;
/* Opens the spool; TAP_E_CONFIG when the operator must act first. */
enum tap_rc tap_intake_open(const struct tap_intake_config *cfg, struct tap_intake **in_r,
			    struct tap_err *err) TAP_MUST_CHECK;
void tap_intake_close(struct tap_intake **in); /* NULL-safe, sets NULL; no delivery may be left */
const struct tap_reports_settings *tap_intake_reports(const struct tap_intake *in);
/* Is this recipient (as in RCPT TO) a report address? */
enum tap_address_match tap_intake_wants(const struct tap_intake *in, const char *path);
/* TAP_OK, or TAP_E_TEMP while the spool is known to be full. */
enum tap_rc tap_intake_room(struct tap_intake *in, struct tap_err *err) TAP_MUST_CHECK;

struct tap_delivery;
/* NULL only when memory is out. Trouble with the spool shows at finish. */
struct tap_delivery *tap_delivery_begin(struct tap_intake *in);
/* False: further bytes change nothing any more (too large, or the spool failed); a door may skip them. */
bool tap_delivery_append(struct tap_delivery *d, const void *p, size_t n);

struct tap_outcome {
	enum tap_fate fate;
	const struct tap_fate_row *row; /* what to do; never NULL */
	char id[TAP_SPOOL_ID + 1];	/* of the spool file; "" = none */
	uint64_t bytes;			/* of the message, also of what was not kept */
	uint32_t reports, broken;
	char why
	    [512]; /* for anything but a clean report: the reason, for log, header and envelope */
};
/* Frees the delivery. env: door, fate, passed_on and reason are filled in here; arrival 0 = now.
 * d may be NULL (begin had no memory): the fate is TAP_FATE_INNER. */
void tap_delivery_finish(struct tap_delivery **d, enum tap_way way, const struct tap_envelope *env,
			 struct tap_outcome *out);
void tap_delivery_abort(struct tap_delivery **d); /* NULL-safe, sets NULL */

#endif
