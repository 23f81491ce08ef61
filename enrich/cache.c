/* SPDX-License-Identifier: Apache-2.0
 * enrich/cache.c - what is known of addresses, shared by threads: who finds out about what (single flight), and the file behind it
 * (cache_db.c). The lock is held for a batch of look-ups, never while somebody waits for DNS. */
#include "enrich/cache.h"
#include "enrich/cache_db.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUCKETS = 4096, NS_PER_MS = 1000000, MS_PER_S = 1000 };

/* Somebody finds out about it. */
struct flight {
	struct flight *next;
	struct tap_ipaddr addr;
};
struct tap_cache {
	pthread_mutex_t lock;
	pthread_cond_t landed;
	struct tap_cache_db db;
	struct flight *bucket[BUCKETS];
};

static size_t bucket_of(const struct tap_ipaddr *a)
{
	uint32_t h = 2166136261U; /* FNV-1a */

	for (size_t i = 0; i < sizeof a->b; i++)
		h = (h ^ a->b[i]) * 16777619U;
	return (h ^ h >> 15) % BUCKETS;
}

static struct flight **find(struct tap_cache *c, const struct tap_ipaddr *a)
{
	struct flight **f = &c->bucket[bucket_of(a)];

	while (*f != NULL && memcmp((*f)->addr.b, a->b, sizeof a->b) != 0)
		f = &(*f)->next;
	return f;
}

static void land(struct tap_cache *c, const struct tap_ipaddr *a)
{
	struct flight **f = find(c, a), *gone = *f;

	if (gone != NULL) {
		*f = gone->next;
		free(gone);
	}
}

enum tap_rc tap_cache_open(const char *path, int64_t max_entries, struct tap_cache **c_r,
			   struct tap_err *err)
{
	struct tap_cache *c = calloc(1, sizeof *c);
	pthread_condattr_t attr;
	enum tap_rc rc;

	*c_r = NULL;
	if (c == NULL)
		return tap_err_set(err, TAP_E_TEMP, "cache: out of memory");
	rc = tap_cache_db_open(&c->db, path, max_entries, err);
	if (rc != TAP_OK) {
		free(c);
		return rc;
	}
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->landed, &attr);
	(void)pthread_condattr_destroy(&attr);
	*c_r = c;
	return TAP_OK;
}

void tap_cache_free(struct tap_cache **c)
{
	if (*c == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while ((*c)->bucket[i] != NULL) {
			struct flight *f = (*c)->bucket[i];

			(*c)->bucket[i] = f->next;
			free(f);
		}
	}
	tap_cache_db_close(&(*c)->db);
	(void)pthread_cond_destroy(&(*c)->landed);
	(void)pthread_mutex_destroy(&(*c)->lock);
	free(*c);
	*c = NULL;
}

/* Not known: ours to find out, unless somebody is about it. Without memory each finds out on its own. */
static enum tap_cache_state claim(struct tap_cache *c, const struct tap_ipaddr *a)
{
	struct flight **f = find(c, a);

	if (*f != NULL)
		return TAP_CACHE_OTHERS;
	*f = calloc(1, sizeof **f);
	if (*f != NULL)
		(*f)->addr = *a;
	return TAP_CACHE_MINE;
}

enum tap_rc tap_cache_claim(struct tap_cache *c, const struct tap_ipaddr *a, size_t n,
			    struct tap_arena *arena, enum tap_cache_state *state_r,
			    struct tap_cache_entry *entry_r, struct tap_err *err)
{
	int64_t now = tap_clock_now();
	bool full = false;
	size_t i;

	(void)pthread_mutex_lock(&c->lock);
	tap_cache_db_begin(&c->db);
	for (i = 0; i < n && !full; i++) {
		memset(&entry_r[i], 0, sizeof entry_r[i]);
		if (tap_cache_db_get(&c->db, &a[i], now, arena, &entry_r[i], &full))
			state_r[i] = TAP_CACHE_HIT;
		else if (!full)
			state_r[i] = claim(c, &a[i]);
	}
	tap_cache_db_end(&c->db);
	for (size_t k = 0; full && k + 1 < i; k++) {
		if (state_r[k] == TAP_CACHE_MINE)
			land(c, &a[k]);
	}
	if (full)
		(void)pthread_cond_broadcast(&c->landed);
	(void)pthread_mutex_unlock(&c->lock);
	return full ? tap_err_set(err, TAP_E_LIMIT, "cache: the names are too large") : TAP_OK;
}

void tap_cache_put(struct tap_cache *c, const struct tap_ipaddr *a, const struct tap_cache_entry *e,
		   size_t n)
{
	(void)pthread_mutex_lock(&c->lock);
	if (n > 0)
		tap_cache_db_put(&c->db, a, e, n);
	for (size_t i = 0; i < n; i++)
		land(c, &a[i]);
	(void)pthread_cond_broadcast(&c->landed);
	(void)pthread_mutex_unlock(&c->lock);
}

void tap_cache_giveup(struct tap_cache *c, const struct tap_ipaddr *a, size_t n)
{
	(void)pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < n; i++)
		land(c, &a[i]);
	(void)pthread_cond_broadcast(&c->landed);
	(void)pthread_mutex_unlock(&c->lock);
}

bool tap_cache_wait(struct tap_cache *c, const struct tap_ipaddr *a, int64_t deadline_ms)
{
	struct timespec until = {.tv_sec = deadline_ms / MS_PER_S,
				 .tv_nsec = deadline_ms % MS_PER_S * NS_PER_MS};
	bool there;

	(void)pthread_mutex_lock(&c->lock);
	while (*find(c, a) != NULL &&
	       pthread_cond_timedwait(&c->landed, &c->lock, &until) != ETIMEDOUT)
		;
	there = *find(c, a) == NULL;
	(void)pthread_mutex_unlock(&c->lock);
	return there;
}
