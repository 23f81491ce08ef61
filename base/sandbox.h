/* SPDX-License-Identifier: Apache-2.0
 * base/sandbox.h - what a process gives up: root, new privileges, core dumps; and, once it has opened what it serves, every file,
 * connection and system call that its profile does not name.
 * Order in a program: tap_sandbox_become, tap_sandbox_begin, parser processes, descriptors, tap_sandbox_enter, threads.
 * The profile holds for children too. What the kernel cannot do is said in the log and left out; what it should do and refuses is an
 * error, for which sandbox.enabled = no is the way round.
 * Threads: none yet; call before the first one starts. */
#ifndef TAP_BASE_SANDBOX_H
#define TAP_BASE_SANDBOX_H

#include "base/err.h"
#include "base/landlock.h"
#include "base/settings.h"
#include <stdbool.h>
#include <stddef.h>

struct tap_sandbox_settings { /* section "sandbox" */
	bool enabled;
	struct tap_list read, write; /* paths beside those of the profile */
};
extern const struct tap_section tap_sandbox_section;

/* Becomes user (name; its groups too) when started as root; NULL or not root: nothing. TAP_E_CONFIG when it is unknown. */
enum tap_rc tap_sandbox_become(const char *user, struct tap_err *err) TAP_MUST_CHECK;
/* no_new_privs, no core dumps, not traceable by others. Never fails a start: what the kernel refuses is logged by the caller. */
enum tap_rc tap_sandbox_harden(struct tap_err *err);

/* Sockets that may be made later on. */
enum tap_net {
	TAP_NET_LOCAL,	/* unix sockets */
	TAP_NET_SERVE,	/* inet too, but no TCP connection to others (from Landlock 4 on) */
	TAP_NET_CONNECT /* inet, netlink, connections */
};
enum { TAP_SANDBOX_PATHS = 256 };
struct tap_sandbox {
	const char *program; /* for the log */
	enum tap_net net;
	/* It starts programs that gain privileges, as sendmail does through postdrop. No profile and no no_new_privs then: both would
	 * be inherited by these. */
	bool starts_privileged;
	bool enabled;
	struct tap_landlock_rule rule[TAP_SANDBOX_PATHS];
	size_t n;
};

/* Instead of tap_sandbox_harden: hardens as far as box->starts_privileged allows, remembers what the settings want (for the parser
 * processes too), adds the paths that every program needs and those of the settings, and says loudly what is switched off. */
void tap_sandbox_begin(struct tap_sandbox *box, const struct tap_sandbox_settings *set);
/* path is copied; NULL is passed over, as is one too many (with a warning). use: TAP_USE_… of landlock.h. */
void tap_sandbox_allow(struct tap_sandbox *box, const char *path, unsigned use);
/* The directory that holds path. */
void tap_sandbox_allow_parent(struct tap_sandbox *box, const char *path, unsigned use);
/* Shuts it, and logs what holds from now on. box is empty afterwards, also after an error. */
enum tap_rc tap_sandbox_enter(struct tap_sandbox *box, struct tap_err *err) TAP_MUST_CHECK;
/* Empties box without shutting it: for a start that failed before. */
void tap_sandbox_drop(struct tap_sandbox *box);
/* What the last tap_sandbox_begin was told; true before. */
bool tap_sandbox_enabled(void);

#endif
