/* SPDX-License-Identifier: Apache-2.0
 * daemon/reprocess.h - what the store keeps is parsed again, by the parser processes, and reports that read otherwise now get their next
 * revision. A thread of its own does one message at a time behind new mail; how far it has got stands in the store, so that it goes on
 * after a restart. Verbs of the control socket (commands.h):
 *   reprocess since=S [until=S] | report=UID   begins; refused while one goes on
 *   reprocess status [format=json]             the one that goes on, or the last
 * Threads: start and stop from main, the verbs from the control thread. */
#ifndef TAP_DAEMON_REPROCESS_H
#define TAP_DAEMON_REPROCESS_H

#include "daemon/commands.h"
#include "store/store.h"

enum tap_rc tap_reprocess_thread_start(struct tap_worker *w, struct tap_err *err) TAP_MUST_CHECK;
/* While the writer still runs. A message that is being parsed is waited for as the feeders' are (w->abandoned). */
void tap_reprocess_thread_stop(struct tap_worker *w);
void tap_reprocess_wake(struct tap_worker *w); /* one was asked for */

/* commands_reprocess.c */
enum tap_rc tap_command_reprocess(struct tap_worker *w, const char *args, struct tap_buf *body,
				  struct tap_err *err);
enum tap_rc tap_command_reprocess_status(struct tap_worker *w, const char *args,
					 struct tap_buf *body, struct tap_err *err);

#endif
