/* SPDX-License-Identifier: Apache-2.0
 * base/buf.c - see buf.h. One byte more than cap is always there, so that a NUL finds room even in a
 * buffer that is full to its maximum. */
#include "base/buf.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>

enum { FIRST_CAP = 256 };

void tap_buf_init(struct tap_buf *b, size_t max)
{
	*b = (struct tap_buf){.max = max < SIZE_MAX ? max : SIZE_MAX - 1};
}

void tap_buf_free(struct tap_buf *b)
{
	if (!b)
		return;
	g_free(b->p);
	tap_buf_init(b, b->max);
}

void tap_buf_reset(struct tap_buf *b)
{
	b->len = 0;
	b->failed = false;
}

bool tap_buf_reserve(struct tap_buf *b, size_t n)
{
	if (b->failed)
		return false;
	if (n <= b->cap - b->len)
		return true;
	if (b->len > b->max || n > b->max - b->len) {
		b->failed = true;
		return false;
	}
	size_t need = b->len + n;
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	while (cap < need)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	if (cap > b->max)
		cap = b->max;
	b->p = g_realloc(b->p, cap + 1);
	b->cap = cap;
	return true;
}

void tap_buf_add_slow(struct tap_buf *b, const void *p, size_t n)
{
	if (n == 0 || !tap_buf_reserve(b, n))
		return;
	memcpy(b->p + b->len, p, n);
	b->len += n;
}

void tap_buf_printf(struct tap_buf *b, const char *fmt, ...)
{
	if (b->failed)
		return;
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	size_t room = b->p ? b->cap - b->len + 1 : 0;
	int n = vsnprintf(room ? b->p + b->len : NULL, room, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
	} else if ((size_t)n < room) {
		b->len += (size_t)n;
	} else if (n > 0 && tap_buf_reserve(b, (size_t)n)) {
		vsnprintf(b->p + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void tap_buf_add_u64(struct tap_buf *b, uint64_t v)
{
	char text[20];
	size_t at = sizeof text;

	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	tap_buf_add(b, text + at, sizeof text - at);
}

void tap_buf_add_i64(struct tap_buf *b, int64_t v)
{
	if (v < 0)
		tap_buf_addc(b, '-');
	tap_buf_add_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

const char *tap_buf_cstr(struct tap_buf *b)
{
	if (b->failed || !b->p)
		return "";
	b->p[b->len] = '\0';
	return b->p;
}

void tap_buf_consume(struct tap_buf *b, size_t n)
{
	if (n == 0)
		return;
	if (n >= b->len) {
		b->len = 0;
		return;
	}
	b->len -= n;
	memmove(b->p, b->p + n, b->len);
}
