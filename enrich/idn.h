/* SPDX-License-Identifier: Apache-2.0
 * enrich/idn.h - a domain name as DNS writes it: lower case, without the last dot, U-labels as A-labels (RFC 3492).
 * Ownership: the caller's buffer. Limits [I7]: 253 bytes a name, 63 a label. Threads: safe, no state. */
#ifndef TAP_ENRICH_IDN_H
#define TAP_ENRICH_IDN_H

#include <stdbool.h>

enum { TAP_IDN_NAME = 254 };
/* False: no name (empty, an empty label, too long, not UTF-8). Case is folded and Unicode composed as libpsl does it. Bytes that do
 * not belong in a host name stay as they are: names in DNS are not always those of hosts. */
bool tap_idn_ascii(const char *name, char out[TAP_IDN_NAME]);

#endif
