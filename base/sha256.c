/* SPDX-License-Identifier: Apache-2.0
 * base/sha256.c - see sha256.h. */
#include "base/sha256.h"

#include <nettle/sha2.h>

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(((struct tap_sha256 *)0)->state),
	       "nettle's context fits");
_Static_assert(_Alignof(struct sha256_ctx) <= 16, "nettle's context is aligned");

static struct sha256_ctx *ctx(struct tap_sha256 *c)
{
	return (struct sha256_ctx *)(void *)c->state;
}

void tap_sha256_init(struct tap_sha256 *c)
{
	sha256_init(ctx(c));
}

void tap_sha256_update(struct tap_sha256 *c, const void *p, size_t n)
{
	if (n > 0)
		sha256_update(ctx(c), n, p);
}

void tap_sha256_final(struct tap_sha256 *c, unsigned char out[TAP_SHA256_BYTES])
{
	sha256_digest(ctx(c), TAP_SHA256_BYTES, out);
}

void tap_hex(const unsigned char *p, size_t n, char *out)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digit[p[i] >> 4];
		*out++ = digit[p[i] & 15];
	}
	*out = '\0';
}
