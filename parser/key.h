/* SPDX-License-Identifier: Apache-2.0
 * parser/key.h - what the keys of reports [I3] are hashed from. Inside of parser/ only. Threads: safe, no state. */
#ifndef TAP_PARSER_KEY_H
#define TAP_PARSER_KEY_H

#include "base/sha256.h"
#include <stdbool.h>

/* One field of a key, ended by a NUL byte, so that no two different sets of fields give the same bytes. NULL counts as empty; lower:
 * ASCII letters are taken in lower case. */
void tap_key_field(struct tap_sha256 *h, const char *text, bool lower);

#endif
