/* SPDX-License-Identifier: Apache-2.0
 * milter/callbacks.h - libmilter's side of the milter: each callback hands its event to the session and the answer back.
 * Threads: libmilter calls from a thread for each connection. One run in a process. */
#ifndef TAP_MILTER_CALLBACKS_H
#define TAP_MILTER_CALLBACKS_H

#include "intake/intake.h"
#include "milter/settings.h"

/* Registers the filter and opens the socket; a socket that nobody listens on any more is replaced. */
enum tap_rc tap_milter_listen(struct tap_intake *in, const char *socket, mode_t mode,
			      struct tap_err *err) TAP_MUST_CHECK;
/* What connections that come from now on are served by; those that are there keep theirs, so that the old one must stay open. */
void tap_milter_use(struct tap_intake *in);
/* Serves until SIGTERM, SIGINT or SIGHUP (libmilter takes all three for itself); messages under way get five seconds to come to
 * their end. *idle_r: no connection is left, so nobody uses the intake any more and it may be closed. */
enum tap_rc tap_milter_serve(bool *idle_r, struct tap_err *err) TAP_MUST_CHECK;

#endif
