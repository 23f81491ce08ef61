/* SPDX-License-Identifier: Apache-2.0
 * daemon/sink_config.h - the list `outputs` of the configuration with its drivers, for dmarctapd and `dmarctapctl config check`.
 * Ownership: the array and its set structs are the caller's (free with tap_sink_configs_free), strings are struct tap_settings'.
 * Threads: read-only after load. */
#ifndef TAP_DAEMON_SINK_CONFIG_H
#define TAP_DAEMON_SINK_CONFIG_H

#include "base/settings.h"
#include "outputs/output.h"

/* Settings of every output, beside its driver's own. */
enum { TAP_SINK_FROM_BEGINNING, TAP_SINK_FROM_NOW };
struct tap_sink_common {
	bool resend;
	int64_t start, retry_for_ms, timeout_ms;
};
struct tap_sink_config {
	const struct tap_output_ops *ops;
	const char *name;
	void *set; /* the driver's struct */
	const struct tap_sink_common *common;
};
/* The driver's rows and the common ones as one section, over one struct that begins with the driver's. Made once for each driver and kept
 * until the program ends; call it before there are threads. NULL: no memory. */
const struct tap_section *tap_sink_section(const struct tap_output_ops *ops);
/* TAP_E_CONFIG: an unknown type (with the nearest one), or a bad setting of a driver. */
enum tap_rc tap_sink_configs_load(struct tap_settings *s, struct tap_sink_config **list_r,
				  size_t *n_r, struct tap_err *err) TAP_MUST_CHECK;
void tap_sink_configs_free(struct tap_sink_config **list, size_t n); /* NULL-safe, sets NULL */

#endif
