/* SPDX-License-Identifier: Apache-2.0
 * base/arena.c - see arena.h. A chain of blocks, each larger than the one before; only the newest is
 * filled. What is allocated is zeroed when it is handed out, so that a reset costs nothing. Under
 * AddressSanitizer all that is not handed out is poisoned (the macros are empty otherwise). */
#include "base/arena.h"

#include <glib.h>
#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <string.h>

enum { FIRST_BLOCK = 8 * 1024, LARGEST_STEP = 256 * 1024 };
#define ALIGN _Alignof(max_align_t)

struct block {
	struct block *older;
	size_t size; /* of data */
	_Alignas(max_align_t) char data[];
};

struct tap_arena {
	char *next, *end; /* the free part of the newest block */
	size_t cap;
	size_t before; /* bytes handed out from older blocks */
	struct block *newest, *first;
};

struct tap_arena *tap_arena_new(size_t cap)
{
	struct tap_arena *a = g_malloc0(sizeof *a);

	a->cap = cap;
	return a;
}

static void free_block(struct block *b)
{
	ASAN_UNPOISON_MEMORY_REGION(b->data, b->size);
	g_free(b);
}

void tap_arena_free(struct tap_arena **a)
{
	if (!a || !*a)
		return;
	for (struct block *b = (*a)->newest, *older; b; b = older) {
		older = b->older;
		free_block(b);
	}
	g_free(*a);
	*a = NULL;
}

size_t tap_arena_used(const struct tap_arena *a)
{
	return a->newest ? a->before + (size_t)(a->next - a->newest->data) : 0;
}

static void use_block(struct tap_arena *a, struct block *b)
{
	a->newest = b;
	a->next = b->data;
	a->end = b->data + b->size;
	ASAN_POISON_MEMORY_REGION(b->data, b->size);
}

/* The slow path: a fresh block that holds n bytes, or NULL at the cap. */
static char *take_new(struct tap_arena *a, size_t n)
{
	size_t used = tap_arena_used(a);

	if (n > a->cap - used)
		return NULL;
	size_t size = a->newest ? a->newest->size * 2 : FIRST_BLOCK;
	if (size > LARGEST_STEP)
		size = LARGEST_STEP;
	if (size > a->cap - used)
		size = a->cap - used;
	if (size < n)
		size = n;
	struct block *b = g_malloc(sizeof *b + size);
	b->size = size;
	b->older = a->newest;
	if (!a->first)
		a->first = b;
	a->before = used;
	use_block(a, b);
	a->next += n;
	ASAN_UNPOISON_MEMORY_REGION(b->data, n);
	return b->data;
}

static inline char *take(struct tap_arena *a, size_t n, size_t align)
{
	char *p = a->next;
	size_t pad = -(uintptr_t)p & (align - 1);

	if (a->newest && n <= (size_t)(a->end - p) && pad <= (size_t)(a->end - p) - n) {
		p += pad;
		/* A block never holds more than the cap leaves, so there is nothing to compare. */
		a->next = p + n;
		ASAN_UNPOISON_MEMORY_REGION(p, n);
		return p;
	}
	return take_new(a, n);
}

void *tap_arena_alloc(struct tap_arena *a, size_t n)
{
	char *p = take(a, n, ALIGN);

	return p ? memset(p, 0, n) : NULL;
}

char *tap_arena_strndup(struct tap_arena *a, const char *s, size_t n)
{
	if (n == SIZE_MAX)
		return NULL;
	char *p = take(a, n + 1, 1);
	if (!p)
		return NULL;
	if (n > 0)
		memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *tap_arena_strdup(struct tap_arena *a, const char *s)
{
	return s ? tap_arena_strndup(a, s, strlen(s)) : NULL;
}

void tap_arena_reset(struct tap_arena *a)
{
	if (!a->newest)
		return;
	for (struct block *b = a->newest, *older; b != a->first; b = older) {
		older = b->older;
		free_block(b);
	}
	a->before = 0;
	use_block(a, a->first);
}
