/* SPDX-License-Identifier: Apache-2.0
 * enrich/enrich.c - the one call: each address once, known ones from the cache, the others from DNS, in rounds until nobody else is
 * about to find one out; then what lists and databases say about them (describe.c). */
#include "enrich/enrich.h"

#include "base/clock.h"
#include "base/log.h"
#include "enrich/cache.h"
#include "enrich/describe.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	SCRATCH_BASE = 64 << 10,
	SCRATCH_EACH = 2048,
	TTL_LEAST = 300, /* s; a name that changes each minute is none that names a sender */
	TTL_MOST = 86400,
	NONE_LEAST = 60,
	NONE_UNSAID = 300, /* no SOA says how long */
	ROUNDS = 4,	   /* waiting for what others find out */
	OTHERS_MS = 30000,
};

struct tap_enrich {
	bool offline, confirm, query_private;
	struct tap_resolver *resolver; /* NULL: offline */
	struct tap_cache *cache;       /* NULL: offline */
	struct tap_describe *describe;
	atomic_uint_fast64_t addresses, hits;
};

/* One address of a batch, however often it stands there. */
struct who {
	struct tap_ipaddr addr;
	const char *text;
	bool known; /* nothing more to find out about its name */
	bool failed;
	bool confirmed;
	const char *name;
	struct tap_source_info info;
};
struct batch {
	struct tap_enrich *e;
	struct tap_arena *arena, *scratch;
	struct who **of; /* of each address that was given; NULL: no address */
	struct who **who;
	size_t n;
	struct who **bucket;
	size_t buckets;
	int64_t deadline_ms;
};

/* A cache that cannot be kept is no reason not to work. */
static enum tap_rc open_cache(const struct tap_enrich_settings *set, struct tap_cache **c_r,
			      struct tap_err *err)
{
	if (tap_cache_open(set->cache, set->cache_entries, c_r, err) == TAP_OK)
		return TAP_OK;
	tap_warn("enrich", "names are remembered in memory only: %s", err->msg);
	return tap_cache_open(NULL, set->cache_entries, c_r, err);
}

enum tap_rc tap_enrich_open(const struct tap_enrich_settings *set,
			    const struct tap_dns_settings *dns, struct tap_enrich **e_r,
			    struct tap_err *err)
{
	struct tap_enrich *e = calloc(1, sizeof *e);
	enum tap_rc rc;

	*e_r = NULL;
	if (e == NULL)
		return tap_err_set(err, TAP_E_TEMP, "enrich: out of memory");
	e->offline = set->offline || dns == NULL;
	e->confirm = set->confirm;
	e->query_private = dns != NULL && dns->query_private;
	rc = tap_describe_open(set, &e->describe, err);
	if (rc == TAP_OK && !e->offline)
		rc = tap_resolver_open(dns, &e->resolver, err);
	if (rc == TAP_OK && !e->offline)
		rc = open_cache(set, &e->cache, err);
	if (rc != TAP_OK) {
		tap_enrich_free(&e);
		return rc;
	}
	*e_r = e;
	return TAP_OK;
}

void tap_enrich_free(struct tap_enrich **e)
{
	if (*e == NULL)
		return;
	tap_cache_free(&(*e)->cache);
	tap_resolver_free(&(*e)->resolver);
	tap_describe_free(&(*e)->describe);
	free(*e);
	*e = NULL;
}

static enum tap_rc too_many(struct tap_err *err)
{
	return tap_err_set(err, TAP_E_LIMIT, "enrich: too many addresses at once");
}

/* --- each address once --- */

static struct who *find(struct batch *b, const struct tap_ipaddr *a)
{
	uint64_t h = 14695981039346656037U; /* FNV-1a */
	size_t at;
	struct who *w;

	for (size_t i = 0; i < sizeof a->b; i++)
		h = (h ^ a->b[i]) * 1099511628211U;
	at = (h ^ h >> 32) & (b->buckets - 1);
	while (b->bucket[at] != NULL) {
		if (memcmp(b->bucket[at]->addr.b, a->b, sizeof a->b) == 0)
			return b->bucket[at];
		at = (at + 1) & (b->buckets - 1);
	}
	w = tap_arena_alloc(b->scratch, sizeof *w);
	if (w == NULL)
		return NULL;
	w->addr = *a;
	b->bucket[at] = w;
	b->who[b->n++] = w;
	return w;
}

static enum tap_rc sort_out(struct batch *b, const char *const *addresses, size_t n,
			    struct tap_err *err)
{
	b->buckets = 64;
	while (b->buckets < 2 * n)
		b->buckets *= 2;
	b->scratch = tap_arena_new(SCRATCH_BASE + n * SCRATCH_EACH + b->buckets * sizeof(void *));
	b->bucket = tap_arena_alloc(b->scratch, b->buckets * sizeof(void *));
	b->of = tap_arena_alloc(b->scratch, (n + 1) * sizeof(void *));
	b->who = tap_arena_alloc(b->scratch, (n + 1) * sizeof(void *));
	if (b->bucket == NULL || b->of == NULL || b->who == NULL)
		return too_many(err);
	for (size_t i = 0; i < n; i++) {
		struct tap_ipaddr a;
		char text[TAP_IPADDR_TEXT];

		if (!tap_ipaddr_parse(addresses[i], &a))
			continue;
		b->of[i] = find(b, &a);
		if (b->of[i] == NULL)
			return too_many(err);
		if (b->of[i]->text != NULL)
			continue;
		tap_ipaddr_text(&a, text);
		b->of[i]->text = tap_arena_strdup(b->scratch, text);
		b->of[i]->known = b->e->offline || (!b->e->query_private && tap_ipaddr_private(&a));
		if (b->of[i]->text == NULL)
			return too_many(err);
	}
	return TAP_OK;
}

/* --- names --- */

static int64_t lifetime(const struct tap_dns_answer *a)
{
	int64_t ttl = a->ttl;

	if (a->state == TAP_DNS_NONE) {
		if (ttl == 0)
			return NONE_UNSAID;
		return ttl < NONE_LEAST ? NONE_LEAST : ttl;
	}
	if (ttl < TTL_LEAST || a->unsure) /* it may lead back when its servers answer again */
		return TTL_LEAST;
	return ttl < TTL_MOST ? ttl : TTL_MOST;
}

/* What DNS said of one address. */
static void learn(struct who *w, const struct tap_dns_answer *a)
{
	w->known = true;
	w->failed = a->state == TAP_DNS_FAILED;
	w->name = a->n > 0 ? a->string[0] : NULL;
	w->confirmed = a->confirmed;
}

/* Of those that are ours to find out: what DNS says, into the cache or given up. */
static enum tap_rc resolve(struct batch *b, struct who **mine, size_t n, struct tap_err *err)
{
	struct tap_dns_question *q = tap_arena_alloc(b->scratch, n * sizeof *q);
	struct tap_dns_answer *a = tap_arena_alloc(b->scratch, n * sizeof *a);
	struct tap_cache_entry *e = tap_arena_alloc(b->scratch, n * sizeof *e);
	struct tap_ipaddr *found = tap_arena_alloc(b->scratch, n * sizeof *found);
	int64_t now;
	size_t founds = 0;
	enum tap_rc rc = TAP_E_LIMIT;

	if (q != NULL && a != NULL && e != NULL && found != NULL) {
		for (size_t i = 0; i < n; i++)
			q[i] = (struct tap_dns_question){mine[i]->text, TAP_DNS_PTR, b->e->confirm};
		rc = tap_resolver_batch(b->e->resolver, q, n, b->deadline_ms, b->arena, a, err);
	} else {
		(void)too_many(err);
	}
	now = tap_clock_now();
	for (size_t i = 0; i < n; i++) {
		if (rc == TAP_OK || rc == TAP_E_CANCELLED)
			learn(mine[i], &a[i]);
		else
			mine[i]->failed = mine[i]->known = true;
		if (mine[i]->failed) {
			tap_cache_giveup(b->e->cache, &mine[i]->addr, 1);
			continue;
		}
		found[founds] = mine[i]->addr;
		e[founds++] = (struct tap_cache_entry){mine[i]->name, mine[i]->confirmed, now,
						       now + lifetime(&a[i])};
	}
	tap_cache_put(b->e->cache, found, e, founds);
	return rc;
}

/* What the cache knows of all that are not known yet; *mine_r: those that are ours now; *others_r: one that another thread is about. */
static enum tap_rc ask_cache(struct batch *b, struct who **mine, size_t *mine_r,
			     struct who **others_r, struct tap_err *err)
{
	struct tap_ipaddr *a = tap_arena_alloc(b->scratch, b->n * sizeof *a);
	enum tap_cache_state *state = tap_arena_alloc(b->scratch, b->n * sizeof *state);
	struct tap_cache_entry *entry = tap_arena_alloc(b->scratch, b->n * sizeof *entry);
	struct who **asked = tap_arena_alloc(b->scratch, b->n * sizeof(struct who *));
	size_t n = 0;
	enum tap_rc rc;

	*mine_r = 0;
	*others_r = NULL;
	if (a == NULL || state == NULL || entry == NULL || asked == NULL)
		return too_many(err);
	for (size_t i = 0; i < b->n; i++) {
		if (b->who[i]->known)
			continue;
		asked[n] = b->who[i];
		a[n++] = b->who[i]->addr;
	}
	rc = tap_cache_claim(b->e->cache, a, n, b->arena, state, entry, err);
	for (size_t i = 0; i < n && rc == TAP_OK; i++) {
		if (state[i] == TAP_CACHE_MINE) {
			mine[(*mine_r)++] = asked[i];
		} else if (state[i] == TAP_CACHE_OTHERS) {
			*others_r = asked[i];
		} else {
			asked[i]->known = true;
			asked[i]->name = entry[i].name;
			asked[i]->confirmed = entry[i].confirmed;
			(void)atomic_fetch_add(&b->e->hits, 1);
		}
	}
	return rc;
}

static enum tap_rc find_names(struct batch *b, struct tap_err *err)
{
	struct who **mine = tap_arena_alloc(b->scratch, (b->n + 1) * sizeof(void *)), *others;
	int64_t until = tap_clock_mono_ms() + OTHERS_MS;
	enum tap_rc rc = TAP_OK;
	size_t n;

	if (mine == NULL)
		return too_many(err);
	if (b->deadline_ms != 0 && b->deadline_ms < until)
		until = b->deadline_ms;
	for (int round = 0; round < ROUNDS && rc == TAP_OK; round++) {
		rc = ask_cache(b, mine, &n, &others, err);
		if (rc == TAP_OK && n > 0)
			rc = resolve(b, mine, n, err);
		if (rc != TAP_OK || others == NULL)
			break;
		if (!tap_cache_wait(b->e->cache, &others->addr, until))
			break;
	}
	for (size_t i = 0; i < b->n; i++) {
		if (!b->who[i]->known)
			b->who[i]->failed = true;
	}
	return rc;
}

/* --- the call --- */

static enum tap_rc describe(struct batch *b, struct tap_err *err)
{
	struct tap_describe_view *view = tap_describe_begin(b->e->describe);
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; i < b->n && rc == TAP_OK; i++) {
		struct who *w = b->who[i];

		w->info.reverse_dns = w->name;
		rc = tap_describe(view, w->text, w->confirmed || !b->e->confirm, b->arena, &w->info,
				  err);
	}
	tap_describe_end(b->e->describe, view);
	return rc;
}

enum tap_rc tap_enrich_batch(struct tap_enrich *e, const char *const *addresses, size_t n,
			     int64_t deadline_ms, struct tap_arena *arena,
			     struct tap_enrich_result *results_r, struct tap_err *err)
{
	struct batch b = {.e = e, .arena = arena, .deadline_ms = deadline_ms};
	enum tap_rc rc, named = TAP_OK;

	for (size_t i = 0; i < n; i++)
		results_r[i] = (struct tap_enrich_result){.state = TAP_ENRICH_DONE};
	(void)atomic_fetch_add(&e->addresses, n);
	rc = sort_out(&b, addresses, n, err);
	if (rc == TAP_OK && !e->offline)
		named = find_names(&b, err);
	if (named != TAP_OK && named != TAP_E_CANCELLED)
		rc = named;
	if (rc == TAP_OK)
		rc = describe(&b, err);
	for (size_t i = 0; i < n && rc == TAP_OK; i++) {
		const struct who *w = b.of[i];

		if (w == NULL)
			continue;
		results_r[i].state = w->failed ? TAP_ENRICH_PENDING : TAP_ENRICH_DONE;
		results_r[i].info = w->info;
		results_r[i].confirmed = w->confirmed;
	}
	tap_arena_free(&b.scratch);
	return rc == TAP_OK ? named : rc;
}

void tap_enrich_cancel(struct tap_enrich *e)
{
	if (e->resolver != NULL)
		tap_resolver_cancel(e->resolver);
}

enum tap_rc tap_enrich_reload(struct tap_enrich *e, struct tap_err *err)
{
	return tap_describe_reload(e->describe, err);
}

struct tap_resolver *tap_enrich_resolver(struct tap_enrich *e)
{
	return e->resolver;
}

void tap_enrich_stats(struct tap_enrich *e, struct tap_enrich_stats *s_r)
{
	memset(s_r, 0, sizeof *s_r);
	s_r->addresses = atomic_load(&e->addresses);
	s_r->hits = atomic_load(&e->hits);
	if (e->resolver != NULL)
		tap_resolver_stats(e->resolver, &s_r->dns);
}
