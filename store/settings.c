/* SPDX-License-Identifier: Apache-2.0
 * store/settings.c - the section "store" of the configuration file. Threads: constant data. */
#include "store/store.h"

static const struct tap_setting table[] = {
    TAP_ROW_PATH("path", tap_store_settings, path, 0, "/var/lib/dmarctap/reports.db",
		 "The database file. Only dmarctapd writes it; its directory must exist and be "
		 "writable for the worker's user. "
		 "Programs that only read it (dmarctap-web) need to be in the group that owns it."),
    TAP_ROW_SIZE("wal_limit", tap_store_settings, wal_limit, 0, "64M", 1 << 20, (int64_t)16 << 30,
		 "Size of the write-ahead log from which on the worker waits for readers, so that "
		 "the log can begin again at its start. "
		 "At eight times this size the worker stops taking mail out of the spool until the "
		 "reader has gone."),
    TAP_ROW_INT(
	"keep", tap_store_settings, keep, 0, "0", 0, 100000,
	"Reports that were stored more days ago than this are removed, with their mail. What "
	"an output has not got yet stays until it has. 0 = they are kept for ever."),
    {0},
};

const struct tap_section tap_store_section = {
    .name = "store",
    .doc = "The database that the reports are kept in.",
    .table = table,
    .struct_size = sizeof(struct tap_store_settings),
};
