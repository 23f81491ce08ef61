/* SPDX-License-Identifier: Apache-2.0
 * daemon/settings.c - the rows of the section "worker". Threads: constant data. */
#include "daemon/settings.h"

static const struct tap_setting table[] = {
    TAP_ROW_STR("user", tap_worker_settings, user, 0, NULL,
		"The user that dmarctapd becomes when it is started by root. It needs to own the "
		"spool directory and the store's."),
    TAP_ROW_PATH("control_socket", tap_worker_settings, control_socket, 0,
		 "/run/dmarctap/control.sock",
		 "The socket that dmarctapctl speaks to. Root, the worker's user and members of "
		 "its group may connect."),
    TAP_ROW_TIME("sweep", tap_worker_settings, sweep_ms, 0, "30s", 1000, 3600000,
		 "How often the whole spool is looked through. New messages are seen at once; this "
		 "finds what was left after trouble."),
    TAP_ROW_TIME(
	"drain", tap_worker_settings, drain_ms, 0, "1s", 0, 60000,
	"How long, at the end of the program, messages that are being parsed may take. What "
	"is parsed is stored; everything else waits in the spool for the next start."),
    TAP_ROW_INT("batch_files", tap_worker_settings, batch_files, 0, "200", 1, 10000,
		"Most messages that share one transaction of the store."),
    TAP_ROW_TIME("batch_time", tap_worker_settings, batch_ms, 0, "50ms", 1, 10000,
		 "Longest time that a transaction of the store waits for more messages."),
    TAP_ROW_TIME("batch_quiet", tap_worker_settings, quiet_ms, 0, "20ms", 0, 10000,
		 "When no message has come for this long, the transaction is committed."),
    TAP_ROW_INT("max_exceptions", tap_worker_settings, max_exceptions, 0, "10000", 1, 10000000,
		"An output that has refused this many items for good pauses, until an operator has "
		"looked at them."),
    {0},
};

const struct tap_section tap_worker_section = {
    .name = "worker",
    .doc = "dmarctapd: takes messages out of the spool, has them parsed, and writes the store.",
    .table = table,
    .struct_size = sizeof(struct tap_worker_settings),
};
