/* SPDX-License-Identifier: Apache-2.0
 * parser/key.c - see key.h. */
#include "parser/key.h"
#include <string.h>

void tap_key_field(struct tap_sha256 *h, const char *text, bool lower)
{
	size_t n = text ? strlen(text) : 0;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (lower && c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		tap_sha256_update(h, &c, 1);
	}
	tap_sha256_update(h, "", 1);
}
