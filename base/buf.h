/* SPDX-License-Identifier: Apache-2.0
 * base/buf.h - growing byte buffer that must be given a maximum [I7].
 * Ownership: the struct is the caller's, p belongs to the buffer. Threads: none, one user at a time.
 * Errors stick: once the maximum is hit, `failed` stays set and further adds do nothing, so a writer
 * may add many pieces and look once. */
#ifndef TAP_BASE_BUF_H
#define TAP_BASE_BUF_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct tap_buf {
	char *p; /* NULL while cap is 0; not NUL-terminated unless tap_buf_cstr was called */
	size_t len, cap, max;
	bool failed;
};

void tap_buf_init(struct tap_buf *b, size_t max);
void tap_buf_free(struct tap_buf *b);  /* NULL-safe; leaves an empty buffer of the same maximum */
void tap_buf_reset(struct tap_buf *b); /* length 0, failed cleared, memory kept */
bool tap_buf_reserve(struct tap_buf *b, size_t n); /* room for n more bytes, or failed */
void tap_buf_add_slow(struct tap_buf *b, const void *p, size_t n);
void tap_buf_printf(struct tap_buf *b, const char *fmt, ...) TAP_PRINTF(2, 3);
void tap_buf_add_u64(struct tap_buf *b, uint64_t v); /* decimal */
void tap_buf_add_i64(struct tap_buf *b, int64_t v);  /* decimal */
const char *tap_buf_cstr(struct tap_buf *b);	     /* adds a NUL behind len; "" when failed */
void tap_buf_consume(struct tap_buf *b, size_t n);   /* drops n bytes from the front */

static inline void tap_buf_add(struct tap_buf *b, const void *p, size_t n)
{
	if (n <= b->cap - b->len && !b->failed && n > 0) {
		memcpy(b->p + b->len, p, n);
		b->len += n;
	} else {
		tap_buf_add_slow(b, p, n);
	}
}
static inline void tap_buf_adds(struct tap_buf *b, const char *s)
{
	tap_buf_add(b, s, strlen(s));
}
static inline void tap_buf_addc(struct tap_buf *b, char c)
{
	tap_buf_add(b, &c, 1);
}

#endif
