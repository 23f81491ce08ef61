/* SPDX-License-Identifier: Apache-2.0
 * enrich/cache.h - reverse names that are known already: an SQLite file of its own (never the store), with its pages in memory in
 * front; without a path in memory alone. What fails is never in it, only names and "there is none".
 * It may be lost at any time: a damaged file is put aside as PATH.damaged, a new one begun, and the log says so.
 * Limits [I7]: max_entries; when it is full the ones that expire first go.
 * Ownership: entries that are handed out live in the caller's arena. Threads: safe, one cache for all of them; of several threads
 * that ask for one address one gets TAP_CACHE_MINE, the others wait for what it finds (single flight). */
#ifndef TAP_ENRICH_CACHE_H
#define TAP_ENRICH_CACHE_H

#include "base/arena.h"
#include "base/err.h"
#include "enrich/address.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tap_cache_state {
	TAP_CACHE_MINE, /* not known; the caller finds out, then calls tap_cache_put or tap_cache_giveup */
	TAP_CACHE_OTHERS, /* another thread is finding out: tap_cache_wait */
	TAP_CACHE_HIT,
};
struct tap_cache_entry {
	const char *name; /* NULL: there is none */
	bool confirmed;
	int64_t stored, expires; /* s since the epoch */
};
struct tap_cache;

/* path NULL: in memory alone. TAP_E_CONFIG, TAP_E_TEMP: the file can be neither used nor made. */
enum tap_rc tap_cache_open(const char *path, int64_t max_entries, struct tap_cache **c_r,
			   struct tap_err *err) TAP_MUST_CHECK;
void tap_cache_free(struct tap_cache **c); /* NULL-safe */
/* For each of n addresses (each once in the list) what is known of it. */
enum tap_rc tap_cache_claim(struct tap_cache *c, const struct tap_ipaddr *a, size_t n,
			    struct tap_arena *arena, enum tap_cache_state *state_r,
			    struct tap_cache_entry *entry_r, struct tap_err *err) TAP_MUST_CHECK;
/* What a holder of TAP_CACHE_MINE found, in one transaction; wakes who waits. stored and expires as given; an error of the file is
 * logged and the claim given up all the same. */
void tap_cache_put(struct tap_cache *c, const struct tap_ipaddr *a, const struct tap_cache_entry *e,
		   size_t n);
/* It could not find out. */
void tap_cache_giveup(struct tap_cache *c, const struct tap_ipaddr *a, size_t n);
/* Until nobody is finding out about a, or the deadline (tap_clock_mono_ms); then tap_cache_claim again. False: the deadline. */
bool tap_cache_wait(struct tap_cache *c, const struct tap_ipaddr *a, int64_t deadline_ms);

/* For dmarctapctl, beside a worker that has the file open: look reads only, flush writes. TAP_E_NOTFOUND: there is no file. */
struct tap_cache_row {
	char address[TAP_IPADDR_TEXT];
	struct tap_cache_entry entry; /* name is valid during the call only */
};
/* In the order of the addresses; only = one address, or NULL for all; stops when row returns false. Expired ones are left out. */
enum tap_rc tap_cache_look(const char *path, const char *only,
			   bool (*row)(void *ctx, const struct tap_cache_row *r), void *ctx,
			   struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_cache_flush(const char *path, const char *only, int64_t *gone_r,
			    struct tap_err *err) TAP_MUST_CHECK;

#endif
