/* SPDX-License-Identifier: Apache-2.0
 * dashboard/settings.h - settings of dmarctap-web, section "web". Linkable without the program (tap_dashboard_settings), so that
 * `dmarctapctl config check` reads the same table.
 * Ownership: strings belong to the loaded struct tap_settings. Threads: read-only after load. */
#ifndef TAP_DASHBOARD_SETTINGS_H
#define TAP_DASHBOARD_SETTINGS_H

#include "base/settings.h"
#include <stdbool.h>
#include <stdint.h>

struct tap_web_settings {
	char *listen;	       /* HOST:PORT */
	bool allow_remote;     /* an address that is not loopback may be listened on */
	struct tap_list hosts; /* further names in the Host header */
	char *user;	       /* NULL = stay who we are */
	int64_t query_ms;
	int64_t threads, connections, idle_ms;
};
extern const struct tap_section tap_web_section;

#endif
