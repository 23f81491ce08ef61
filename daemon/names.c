/* SPDX-License-Identifier: Apache-2.0
 * daemon/names.c - a queue and a hash set of spool file names under one mutex. Threads: safe. */
#include "daemon/names.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct tap_names {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct tap_name *bucket[BUCKETS];
	struct tap_name *first, *last;
	size_t known, waiting, most;
	bool stop;
	struct tap_claims *claims;
};

static uint32_t hash(enum tap_door door, const char *name)
{
	uint32_t h = 2166136261u ^ (uint32_t)door;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h % BUCKETS;
}

struct tap_names *tap_names_new(size_t most, struct tap_claims *claims)
{
	struct tap_names *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->most = most;
	n->claims = claims;
	(void)pthread_mutex_init(&n->lock, NULL);
	(void)pthread_cond_init(&n->more, NULL);
	return n;
}

void tap_names_free(struct tap_names **np)
{
	struct tap_names *n = *np;

	if (n == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (n->bucket[i] != NULL) {
			struct tap_name *e = n->bucket[i];

			n->bucket[i] = e->next;
			free(e);
		}
	}
	(void)pthread_cond_destroy(&n->more);
	(void)pthread_mutex_destroy(&n->lock);
	free(n);
	*np = NULL;
}

enum tap_offer tap_names_offer(struct tap_names *n, enum tap_door door, const char *name)
{
	uint32_t h = hash(door, name);
	enum tap_offer result = TAP_OFFER_NEW;
	struct tap_name *e;

	if (strlen(name) >= sizeof(e->name))
		return TAP_OFFER_KNOWN;
	(void)pthread_mutex_lock(&n->lock);
	for (e = n->bucket[h]; e != NULL; e = e->next)
		if (e->door == door && strcmp(e->name, name) == 0)
			break;
	if (e != NULL)
		result = TAP_OFFER_KNOWN;
	else if (n->known >= n->most || (e = calloc(1, sizeof(*e))) == NULL)
		result = TAP_OFFER_FULL;
	if (result == TAP_OFFER_NEW) {
		e->door = door;
		memcpy(e->name, name, strlen(name) + 1);
		e->next = n->bucket[h];
		n->bucket[h] = e;
		if (n->last != NULL)
			n->last->next_job = e;
		else
			n->first = e;
		n->last = e;
		n->known++;
		n->waiting++;
		(void)pthread_cond_signal(&n->more);
	}
	(void)pthread_mutex_unlock(&n->lock);
	return result;
}

static struct tap_name *next_name(struct tap_names *n)
{
	struct tap_name *e = NULL;

	(void)pthread_mutex_lock(&n->lock);
	while (n->first == NULL && !n->stop)
		(void)pthread_cond_wait(&n->more, &n->lock);
	if (!n->stop) {
		e = n->first;
		n->first = e->next_job;
		if (n->first == NULL)
			n->last = NULL;
		e->next_job = NULL;
		n->waiting--;
	}
	(void)pthread_mutex_unlock(&n->lock);
	return e;
}

struct tap_name *tap_names_take(struct tap_names *n)
{
	struct tap_name *e = next_name(n);
	enum tap_claim claim = e != NULL ? tap_claims_take(n->claims, e->name) : TAP_CLAIM_TAKEN;

	if (e != NULL)
		e->poison = claim == TAP_CLAIM_POISON;
	if (claim == TAP_CLAIM_STOPPED)
		tap_names_done(n, &e);
	return e;
}

void tap_names_done(struct tap_names *n, struct tap_name **ep)
{
	struct tap_name *e = *ep, **at;

	if (e == NULL)
		return;
	tap_claims_done(n->claims, e->name);
	(void)pthread_mutex_lock(&n->lock);
	for (at = &n->bucket[hash(e->door, e->name)]; *at != NULL; at = &(*at)->next) {
		if (*at == e) {
			*at = e->next;
			n->known--;
			break;
		}
	}
	(void)pthread_mutex_unlock(&n->lock);
	free(e);
	*ep = NULL;
}

void tap_names_stop(struct tap_names *n)
{
	tap_claims_stop(n->claims);
	(void)pthread_mutex_lock(&n->lock);
	n->stop = true;
	(void)pthread_cond_broadcast(&n->more);
	(void)pthread_mutex_unlock(&n->lock);
}

size_t tap_names_waiting(struct tap_names *n)
{
	size_t w;

	(void)pthread_mutex_lock(&n->lock);
	w = n->waiting;
	(void)pthread_mutex_unlock(&n->lock);
	return w;
}
