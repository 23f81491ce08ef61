/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/mutate.c - see mutate.h: the generator and what knows no structure. */
#include "mutate.h"

#include <stdlib.h>
#include <string.h>

/* splitmix64 */
static uint64_t next(struct mutate *m)
{
	uint64_t z = m->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

void mutate_seed(struct mutate *m, uint64_t seed)
{
	m->state = seed;
}

size_t mutate_below(struct mutate *m, size_t n)
{
	return n > 0 ? (size_t)(next(m) % n) : 0;
}

size_t mutate_splice(uint8_t *p, size_t n, size_t max, size_t at, size_t old, const void *add,
		     size_t add_n)
{
	uint8_t *copy;

	if (at > n || old > n - at || n - old + add_n > max || n - old + add_n == 0)
		return n;
	copy = malloc(add_n + 1);
	if (!copy)
		abort();
	if (add_n > 0)
		memcpy(copy, add, add_n);
	memmove(p + at + add_n, p + at + old, n - at - old);
	memcpy(p + at, copy, add_n);
	free(copy);
	return n - old + add_n;
}

/* A piece of at least one byte, short ones more often. */
static void piece(struct mutate *m, size_t n, size_t *at, size_t *len)
{
	*at = mutate_below(m, n);
	*len = 1 + mutate_below(m, mutate_below(m, n - *at));
}

size_t mutate_bytes(struct mutate *m, enum mutate_kind kind, uint8_t *p, size_t n, size_t max)
{
	size_t at, len, to;

	if (n == 0)
		return 0;
	piece(m, n, &at, &len);
	switch (kind) {
	case MUTATE_FLIP:
		for (size_t i = 1 + mutate_below(m, 8); i > 0; i--)
			p[mutate_below(m, n)] ^= (uint8_t)(1u << mutate_below(m, 8));
		return n;
	case MUTATE_CUT: return at > 0 ? at : 1;
	case MUTATE_LEAVE_OUT: return mutate_splice(p, n, max, at, len, "", 0);
	case MUTATE_DOUBLE: return mutate_splice(p, n, max, mutate_below(m, n), 0, p + at, len);
	default:
		to = mutate_below(m, n - len + 1);
		for (size_t i = 0; i < len; i++) {
			uint8_t c = p[at + i];

			p[at + i] = p[to + i];
			p[to + i] = c;
		}
		return n;
	}
}
