/* SPDX-License-Identifier: Apache-2.0
 * outputs/drivers.h - the drivers that registry.c lists, one a file. Private to outputs/. */
#ifndef TAP_OUTPUTS_DRIVERS_H
#define TAP_OUTPUTS_DRIVERS_H

#include "outputs/output.h"

extern const struct tap_output_ops tap_output_json;
extern const struct tap_output_ops tap_output_csv;
extern const struct tap_output_ops tap_output_email;
extern const struct tap_output_ops tap_output_exec;
extern const struct tap_output_ops tap_output_fail;
extern const struct tap_output_ops tap_output_kafka;
extern const struct tap_output_ops tap_output_syslog;
extern const struct tap_output_ops tap_output_gelf;
extern const struct tap_output_ops tap_output_elasticsearch;
extern const struct tap_output_ops tap_output_opensearch;
extern const struct tap_output_ops tap_output_splunk;
extern const struct tap_output_ops tap_output_webhook;

#endif
