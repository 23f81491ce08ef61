/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_reload.h - a generation of the LMTP door: its configuration and the intake that goes by it. SIGHUP makes a new one.
 * The sections reports, spool and lmtp hold for sessions that come from then on. The sockets, their owner and the name in the greeting, the
 * sections parser, trust and sandbox, and spool.directory need a restart, and the log says so when they have changed. A configuration that is
 * bad changes nothing.
 * Ownership: counted; the server's lock guards the count. Sessions keep the generation they began with, and the last one to leave it ends it.
 * Threads: load and reload in the main thread; otherwise read-only. */
#ifndef TAP_PIPEFILTER_LMTP_RELOAD_H
#define TAP_PIPEFILTER_LMTP_RELOAD_H

#include "base/settings.h"
#include "confine/pool.h"
#include "intake/intake.h"
#include "pipefilter/lmtp_settings.h"
#include <stdbool.h>
#include <stddef.h>

struct tap_lmtp_generation {
	struct tap_settings *settings;
	struct tap_reports_settings reports;
	struct tap_spool_settings spool;
	struct tap_lmtp_settings lmtp;
	struct tap_intake *intake; /* NULL until tap_lmtp_generation_open */
	size_t users;		   /* sessions, and the server where it is the newest */
};
/* Reads and checks the three sections. */
enum tap_rc tap_lmtp_generation_load(const char *path, struct tap_lmtp_generation **g_r,
				     struct tap_err *err) TAP_MUST_CHECK;
/* trust and pool are borrowed and outlive it. */
enum tap_rc tap_lmtp_generation_open(struct tap_lmtp_generation *g,
				     const struct tap_trust_settings *trust, struct tap_pool *pool,
				     struct tap_err *err) TAP_MUST_CHECK;
void tap_lmtp_generation_free(struct tap_lmtp_generation **g); /* NULL-safe, sets NULL */

struct tap_lmtp_reload {
	const char *path;
	const struct tap_lmtp_generation *first; /* as it was at the start; borrowed, as all here */
	const struct tap_trust_settings *trust;
	struct tap_pool *pool;
	bool own_sockets; /* the command line said where to listen: lmtp.listen does not count */
};
/* The next generation, or NULL: the old one stays, and the log has said why. */
struct tap_lmtp_generation *tap_lmtp_reload(const struct tap_lmtp_reload *r);

#endif
