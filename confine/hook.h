/* SPDX-License-Identifier: Apache-2.0
 * confine/hook.h - misbehaviour on request, for tests of the pool and of the jail (private to confine/).
 * Compiled in with TAP_FAULT_POINTS only, and then asleep unless the environment has TAP_PARSE_HOOK=1. A message whose first 64 KiB
 * have a line `X-Dmarctap-Test: WORD` makes the process do WORD: abort, stall, exhaust, garbage, trickle, open, socket, fork, exec, map, write, starve. */
#ifndef TAP_CONFINE_HOOK_H
#define TAP_CONFINE_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#ifdef TAP_FAULT_POINTS
void tap_hook_init(uint64_t memory); /* before the jail */
/* Does what the message in fd asks for. True: the answer was already given. */
bool tap_hook_run(int fd, uint64_t off, uint64_t len);
#else
static inline void tap_hook_init(uint64_t memory)
{
	(void)memory;
}
static inline bool tap_hook_run(int fd, uint64_t off, uint64_t len)
{
	(void)fd;
	(void)off;
	(void)len;
	return false;
}
#endif

#endif
