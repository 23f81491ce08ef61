/* SPDX-License-Identifier: Apache-2.0
 * daemon/settings.h - the section "worker" of the configuration file. Threads: read-only after load. */
#ifndef TAP_DAEMON_SETTINGS_H
#define TAP_DAEMON_SETTINGS_H

#include "base/settings.h"

struct tap_worker_settings {
	char *user;	      /* become this one when started as root; NULL = stay */
	char *control_socket; /* where dmarctapctl asks */
	int64_t drain_ms;
	int64_t sweep_ms;	/* how often the spool is looked through, beside inotify */
	int64_t batch_files;	/* most messages in one transaction */
	int64_t batch_ms;	/* longest time that a transaction stays open for more messages */
	int64_t quiet_ms;	/* silence that ends a transaction earlier */
	int64_t max_exceptions; /* parked items at which a sink pauses */
};
extern const struct tap_section tap_worker_section;

#endif
