/* SPDX-License-Identifier: Apache-2.0
 * base/sha256.h - SHA-256 (FIPS 180-4) over nettle, which uses the processor's SHA instructions.
 * Threads: one context, one thread. Cannot fail. */
#ifndef TAP_BASE_SHA256_H
#define TAP_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { TAP_SHA256_BYTES = 32, TAP_SHA256_HEX = 65 };
/* Opaque: nettle's context; its size is checked in sha256.c. */
struct tap_sha256 {
	_Alignas(16) unsigned char state[128];
};

void tap_sha256_init(struct tap_sha256 *c);
void tap_sha256_update(struct tap_sha256 *c, const void *p, size_t n);
void tap_sha256_final(struct tap_sha256 *c, unsigned char out[TAP_SHA256_BYTES]);
/* n bytes as lower-case hexadecimal, NUL-terminated; out holds 2n + 1. */
void tap_hex(const unsigned char *p, size_t n, char *out);

#endif
