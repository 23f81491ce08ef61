/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_networks.c - see lmtp_networks.h. Addresses are compared as 16 bytes, IPv4 in its mapped form. */
#include "pipefilter/lmtp_networks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct network {
	unsigned char bytes[16];
	int bits;
};

static bool read_address(const char *text, unsigned char out[16], bool *v4_r)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	*v4_r = inet_pton(AF_INET, text, out + 12) == 1;
	if (*v4_r)
		memcpy(out, mapped, sizeof(mapped));
	return *v4_r || inet_pton(AF_INET6, text, out) == 1;
}

static bool read_network(const char *text, struct network *n)
{
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	bool v4;
	long bits;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (!read_address(address, n->bytes, &v4))
		return false;
	n->bits = 128;
	if (text[len] == '\0')
		return true;
	text += len + 1;
	if (*text == '\0' || strlen(text) > 3 || strspn(text, "0123456789") != strlen(text))
		return false;
	bits = strtol(text, NULL, 10) + (v4 ? 96 : 0);
	if (bits > 128)
		return false;
	n->bits = (int)bits;
	return true;
}

static bool bit(const unsigned char bytes[16], int i)
{
	return bytes[i / 8] >> (7 - i % 8) & 1;
}

enum tap_rc tap_networks_check(const struct tap_list *list, struct tap_err *err)
{
	struct network n;

	for (size_t i = 0; i < list->n; i++) {
		if (!read_network(list->item[i], &n))
			return tap_err_set(err, TAP_E_CONFIG,
					   "allow: \"%s\" is no network such as 192.0.2.0/24",
					   list->item[i]);
		for (int b = n.bits; b < 128; b++) {
			if (bit(n.bytes, b))
				return tap_err_set(err, TAP_E_CONFIG,
						   "allow: \"%s\" has bits set behind its prefix",
						   list->item[i]);
		}
	}
	return TAP_OK;
}

static bool holds(const struct network *n, const unsigned char a[16])
{
	size_t whole = (size_t)n->bits / 8;

	if (memcmp(n->bytes, a, whole) != 0)
		return false;
	for (int b = (int)whole * 8; b < n->bits; b++) {
		if (bit(n->bytes, b) != bit(a, b))
			return false;
	}
	return true;
}

bool tap_networks_hold(const struct tap_list *list, const char *address)
{
	unsigned char a[16];
	struct network n;
	bool v4;

	if (!read_address(address, a, &v4))
		return false;
	for (size_t i = 0; i < list->n; i++) {
		if (read_network(list->item[i], &n) && holds(&n, a))
			return true;
	}
	return false;
}
