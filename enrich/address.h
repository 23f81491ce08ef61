/* SPDX-License-Identifier: Apache-2.0
 * enrich/address.h - a sending address as 16 bytes, and whether the world knows it. Threads: safe, no state. */
#ifndef TAP_ENRICH_ADDRESS_H
#define TAP_ENRICH_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

enum { TAP_IPADDR_TEXT = 46, TAP_IPADDR_ARPA = 80 };
/* IPv4 as IPv4-mapped (::ffff:a.b.c.d), so that one form serves as a key. */
struct tap_ipaddr {
	uint8_t b[16];
};
/* False: no address. */
bool tap_ipaddr_parse(const char *text, struct tap_ipaddr *a_r);
bool tap_ipaddr_is4(const struct tap_ipaddr *a);
void tap_ipaddr_text(const struct tap_ipaddr *a, char out[TAP_IPADDR_TEXT]);
/* "1.2.0.192.in-addr.arpa", "….ip6.arpa" */
void tap_ipaddr_arpa(const struct tap_ipaddr *a, char out[TAP_IPADDR_ARPA]);
/* Private, reserved, documentation, multicast: DNS and databases know nothing of it (IANA's special-purpose registries). */
bool tap_ipaddr_private(const struct tap_ipaddr *a);

#endif
