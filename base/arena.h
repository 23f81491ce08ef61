/* SPDX-License-Identifier: Apache-2.0
 * base/arena.h - bump allocator with a hard byte limit: one for each message, report or record.
 * Ownership: everything allocated belongs to the arena and goes with it. Threads: none, one user at a time.
 * Limits [I7]: at the cap every call returns NULL; callers turn that into TAP_E_LIMIT. */
#ifndef TAP_BASE_ARENA_H
#define TAP_BASE_ARENA_H

#include "base/err.h"
#include <stddef.h>

struct tap_arena;

/* cap = most bytes that may ever be handed out between two resets. Aborts when memory is out (as GLib does). */
struct tap_arena *tap_arena_new(size_t cap);
void tap_arena_free(struct tap_arena **a); /* NULL-safe, sets *a = NULL */
/* Zeroed, aligned for any type; NULL when the cap is hit. n = 0 gives a valid pointer. */
void *tap_arena_alloc(struct tap_arena *a, size_t n) TAP_MUST_CHECK;
/* A NUL-terminated copy of n bytes; NULL when the cap is hit. */
char *tap_arena_strndup(struct tap_arena *a, const char *s, size_t n) TAP_MUST_CHECK;
/* NULL in, NULL out; also NULL when the cap is hit. */
char *tap_arena_strdup(struct tap_arena *a, const char *s) TAP_MUST_CHECK;
size_t tap_arena_used(const struct tap_arena *a);
/* Forgets all allocations but keeps the first block, so that a loop over records allocates once. */
void tap_arena_reset(struct tap_arena *a);

#endif
