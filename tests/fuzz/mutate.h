/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/mutate.h - changes to reports and mails that keep most of their structure, for the fuzz targets and for the test of
 * random corruption. Everything depends on the state of the generator alone, so a run can be repeated.
 * Each takes n bytes at p with room for max, changes them in place and returns their new number (1 … max for n > 0). */
#ifndef TAP_TESTS_FUZZ_MUTATE_H
#define TAP_TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

struct mutate {
	uint64_t state;
};
void mutate_seed(struct mutate *m, uint64_t seed);
/* 0 … n-1; 0 for n = 0. */
size_t mutate_below(struct mutate *m, size_t n);

/* Replaces `old` bytes at `at` by the `add_n` bytes at add (which may lie in p); n unchanged when there is no room. */
size_t mutate_splice(uint8_t *p, size_t n, size_t max, size_t at, size_t old, const void *add,
		     size_t add_n);

/* Bits flipped, a piece cut off, left out, doubled, moved. */
enum mutate_kind {
	MUTATE_FLIP,
	MUTATE_CUT,
	MUTATE_LEAVE_OUT,
	MUTATE_DOUBLE,
	MUTATE_SWAP,
	MUTATE_KINDS
};
size_t mutate_bytes(struct mutate *m, enum mutate_kind kind, uint8_t *p, size_t n, size_t max);
/* Elements doubled, dropped, swapped, moved, wrapped, renamed; values that are interesting. */
size_t mutate_xml(struct mutate *m, uint8_t *p, size_t n, size_t max);
/* Parts doubled, dropped, swapped; header fields changed, dropped, doubled; boundaries and encodings damaged; reports inside. */
size_t mutate_mail(struct mutate *m, uint8_t *p, size_t n, size_t max);

#endif
