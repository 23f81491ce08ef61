/* SPDX-License-Identifier: Apache-2.0
 * enrich/address.c - see address.h. */
#include "enrich/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool tap_ipaddr_is4(const struct tap_ipaddr *a)
{
	return memcmp(a->b, mapped, sizeof mapped) == 0;
}

bool tap_ipaddr_parse(const char *text, struct tap_ipaddr *a_r)
{
	if (text == NULL)
		return false;
	if (inet_pton(AF_INET, text, a_r->b + sizeof mapped) == 1) {
		memcpy(a_r->b, mapped, sizeof mapped);
		return true;
	}
	return inet_pton(AF_INET6, text, a_r->b) == 1;
}

void tap_ipaddr_text(const struct tap_ipaddr *a, char out[TAP_IPADDR_TEXT])
{
	if (tap_ipaddr_is4(a))
		(void)inet_ntop(AF_INET, a->b + sizeof mapped, out, TAP_IPADDR_TEXT);
	else
		(void)inet_ntop(AF_INET6, a->b, out, TAP_IPADDR_TEXT);
}

void tap_ipaddr_arpa(const struct tap_ipaddr *a, char out[TAP_IPADDR_ARPA])
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	if (tap_ipaddr_is4(a)) {
		(void)snprintf(out, TAP_IPADDR_ARPA, "%u.%u.%u.%u.in-addr.arpa", a->b[15], a->b[14],
			       a->b[13], a->b[12]);
		return;
	}
	for (int i = 15; i >= 0; i--) {
		*p++ = hex[a->b[i] & 15];
		*p++ = '.';
		*p++ = hex[a->b[i] >> 4];
		*p++ = '.';
	}
	memcpy(p, "ip6.arpa", sizeof "ip6.arpa");
}

/* Prefixes of the 16 bytes. */
static const struct {
	uint8_t b[8];
	uint8_t bits; /* of the IPv4 address, or of the IPv6 one */
} private4[] =
    {
	{{0}, 8},	  {{10}, 8},	   {{100, 64}, 10},	 {{127}, 8},
	{{169, 254}, 16}, {{172, 16}, 12}, {{192, 0, 0}, 24},	 {{192, 0, 2}, 24},
	{{192, 168}, 16}, {{198, 18}, 15}, {{198, 51, 100}, 24}, {{203, 0, 113}, 24},
	{{224}, 4},	  {{240}, 4},
},
  private6[] = {
      {{0xfc}, 7},		      /* unique local */
      {{0xfe, 0x80}, 10},	      /* link local */
      {{0xfe, 0xc0}, 10},	      /* site local, deprecated */
      {{0xff}, 8},		      /* multicast */
      {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
      {{0x3f, 0xff}, 20},	      /* documentation, RFC 9637 */
      {{0x01}, 64},		      /* discard-only, RFC 6666 */
};

static bool in_prefix(const uint8_t *b, const uint8_t *prefix, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(b, prefix, whole) != 0)
		return false;
	return rest == 0 || ((b[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

bool tap_ipaddr_private(const struct tap_ipaddr *a)
{
	static const uint8_t zero[15];

	if (tap_ipaddr_is4(a)) {
		for (size_t i = 0; i < sizeof private4 / sizeof private4[0]; i++) {
			if (in_prefix(a->b + sizeof mapped, private4[i].b, private4[i].bits))
				return true;
		}
		return false;
	}
	if (memcmp(a->b, zero, sizeof zero) == 0 && a->b[15] <= 1) /* :: and ::1 */
		return true;
	for (size_t i = 0; i < sizeof private6 / sizeof private6[0]; i++) {
		if (in_prefix(a->b, private6[i].b, private6[i].bits))
			return true;
	}
	return false;
}
