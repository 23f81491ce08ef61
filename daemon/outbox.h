/* SPDX-License-Identifier: Apache-2.0
 * daemon/outbox.h - what an operator asks of the outputs and of old reports: verbs of the control socket (commands.h).
 *   outbox list [SINK] [format=json]   where each output stands, and its exceptions (the first LISTED of each)
 *   outputs list [format=json]         how each output fares: what is owed and parked, its last success and its last trouble
 *   outbox retry SINK ID|all           parked and waiting items are tried again now; ID is SEQ.ORDINAL
 *   outbox drop SINK ID|all            they are given up
 *   backfill SINK since=S [until=S]    reports stored in that time (seconds since the epoch) are owed to this output again
 *   expire before=S [owed=yes] [from=SEQ]  a bounded piece of an expiry; the body is "removed N next SEQ", next 0 = done
 * Threads: the control thread; upkeep has one of its own, which removes what is older than store.keep. */
#ifndef TAP_DAEMON_OUTBOX_H
#define TAP_DAEMON_OUTBOX_H

#include "daemon/commands.h"

enum tap_rc tap_command_outbox_list(struct tap_worker *w, const char *args, struct tap_buf *body,
				    struct tap_err *err);
enum tap_rc tap_command_outputs_list(struct tap_worker *w, const char *args, struct tap_buf *body,
				     struct tap_err *err);
enum tap_rc tap_command_outbox_retry(struct tap_worker *w, const char *args, struct tap_buf *body,
				     struct tap_err *err);
enum tap_rc tap_command_outbox_drop(struct tap_worker *w, const char *args, struct tap_buf *body,
				    struct tap_err *err);
enum tap_rc tap_command_backfill(struct tap_worker *w, const char *args, struct tap_buf *body,
				 struct tap_err *err);
enum tap_rc tap_command_expire(struct tap_worker *w, const char *args, struct tap_buf *body,
			       struct tap_err *err);

/* upkeep.c: started and stopped with the sinks. */
enum tap_rc tap_upkeep_start(struct tap_worker *w, struct tap_err *err) TAP_MUST_CHECK;
void tap_upkeep_stop(struct tap_worker *w);
/* Pieces of an expiry until it is done or the time is up; *seq as tap_store_expire's, 0 = done. */
enum tap_rc tap_expire_some(struct tap_worker *w, int64_t before, bool even_owed,
			    int64_t deadline_ms, int64_t *seq, uint64_t *removed_r,
			    struct tap_err *err);

#endif
