/* SPDX-License-Identifier: Apache-2.0
 * outputs/json_sample.h - the parsed message of a failure report as JSON. Private to outputs/.
 * Its header fields stand there twice, as the reference has it: all of them under "headers" with their names as sent, and each that the
 * other keys do not tell under its own name in lower case. A field that is repeated is a list in both.
 * Threads: safe. Limits [I7]: the buffer's maximum. */
#ifndef TAP_OUTPUTS_JSON_SAMPLE_H
#define TAP_OUTPUTS_JSON_SAMPLE_H

#include "outputs/json_write.h"

/* The value of "parsed_sample", whose keys stand at depth 2: null when the report has no sample. */
void tap_enc_sample(struct tap_enc *e, const struct tap_json_style *s, const struct tap_failure *f);

#endif
