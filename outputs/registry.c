/* SPDX-License-Identifier: Apache-2.0
 * outputs/registry.c - every output driver there is. */
#include "outputs/drivers.h"

#include <string.h>

/* One a line. */
/* clang-format off */
const struct tap_output_ops *const tap_outputs[] = {
    &tap_output_json,
    &tap_output_csv,
    &tap_output_kafka,
    &tap_output_syslog,
    &tap_output_gelf,
    &tap_output_email,
    &tap_output_exec,
    &tap_output_fail,
    &tap_output_elasticsearch,
    &tap_output_opensearch,
    &tap_output_splunk,
    &tap_output_webhook,
    NULL,
};
/* clang-format on */

const struct tap_output_ops *tap_output_find(const char *name)
{
	for (size_t i = 0; tap_outputs[i] != NULL; i++)
		if (strcmp(tap_outputs[i]->name, name) == 0)
			return tap_outputs[i];
	return NULL;
}
