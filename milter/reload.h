/* SPDX-License-Identifier: Apache-2.0
 * milter/reload.h - SIGUSR1: the configuration is read anew while mail is served. (libmilter keeps SIGHUP for itself: it ends the program.)
 * The sections reports and spool hold for connections that come from then on; milter, parser, trust, sandbox and spool.directory need a
 * restart, and the log says so when they have changed. A configuration that is bad changes nothing.
 * Ownership: each reload that works leaves one more intake open until the program ends, because connections that are there use it.
 * Threads: one of its own. */
#ifndef TAP_MILTER_RELOAD_H
#define TAP_MILTER_RELOAD_H

#include "base/settings.h"
#include "confine/pool.h"
#include "intake/intake.h"
#include <pthread.h>
#include <stdbool.h>

struct tap_reloaded; /* one generation */
struct tap_reload {
	const char *path;
	struct tap_settings *settings; /* as it was at the start; borrowed, as all above */
	const struct tap_spool_settings *spool;
	const struct tap_trust_settings *trust;
	struct tap_pool *pool;
	struct tap_reloaded *first;
	pthread_t thread;
	bool started;
};
/* Before any thread exists: they inherit it. */
void tap_milter_reload_block(void);
void tap_milter_reload_start(struct tap_reload *r);
/* idle: nobody uses the intakes of reloads any more, they are closed. */
void tap_milter_reload_stop(struct tap_reload *r, bool idle);

#endif
