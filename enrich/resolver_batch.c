/* SPDX-License-Identifier: Apache-2.0
 * enrich/resolver_batch.c - questions become look-ups, each once however often it is asked; results become answers. */
#include "enrich/resolver_priv.h"

#include "base/clock.h"
#include "enrich/address.h"

#include <stdlib.h>
#include <string.h>

enum {
	SCRATCH_BASE = 8 << 20,
	SCRATCH_EACH = 4096,
	SCRATCH_MOST = 1 << 30,
	LEAST_BUCKETS = 64,
	PACKET = 65536,
};

static uint64_t hash_name(const uint8_t *name, size_t len, uint16_t type)
{
	uint64_t h = 14695981039346656037U ^ type; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ name[i]) * 1099511628211U;
	return h ^ (h >> 32);
}

struct tap_dns_item *tap_dns_item(struct tap_dns_run *u, const uint8_t *name, size_t len,
				  uint16_t type)
{
	struct tap_dns_item **at = &u->bucket[hash_name(name, len, type) & (u->buckets - 1)];
	struct tap_dns_item *it;
	uint8_t *key;

	for (it = *at; it != NULL; it = it->chain) {
		if (it->type == type && it->key_len == len && memcmp(it->key, name, len) == 0)
			return it;
	}
	it = tap_arena_alloc(u->scratch, sizeof *it);
	key = tap_arena_alloc(u->scratch, len);
	if (it == NULL || key == NULL)
		return NULL;
	memcpy(key, name, len);
	it->key = it->name = key;
	it->key_len = it->len = (uint8_t)len;
	it->type = type;
	it->chain = *at;
	*at = it;
	u->open++;
	tap_dns_push(&u->ready, it);
	return it;
}

void tap_dns_push(struct tap_dns_queue *q, struct tap_dns_item *it)
{
	it->next = NULL;
	if (q->tail != NULL)
		q->tail->next = it;
	else
		q->head = it;
	q->tail = it;
}

struct tap_dns_item *tap_dns_pop(struct tap_dns_queue *q)
{
	struct tap_dns_item *it = q->head;

	if (it != NULL) {
		q->head = it->next;
		if (q->head == NULL)
			q->tail = NULL;
	}
	return it;
}

/* The look-up that confirms one name of an address; NULL: it is no host name. */
static struct tap_dns_item *forward(struct tap_dns_run *u, const char *host, const char *addr)
{
	uint8_t name[TAP_WIRE_NAME];
	size_t len;

	if (strchr(host, '\\') != NULL || !tap_wire_name(host, name, &len))
		return NULL;
	return tap_dns_item(u, name, len, strchr(addr, ':') ? TAP_DNS_AAAA : TAP_DNS_A);
}

void tap_dns_want_confirmed(struct tap_dns_run *u, struct tap_dns_item *it)
{
	for (size_t i = 0; i < it->a.n && i < TAP_WIRE_PTR; i++)
		(void)forward(u, it->a.string[i], it->addr);
}

/* --- questions --- */

static struct tap_dns_item *ask_ptr(struct tap_dns_run *u, const struct tap_dns_question *q,
				    struct tap_dns_answer *a)
{
	char arpa[TAP_IPADDR_ARPA], text[TAP_IPADDR_TEXT];
	uint8_t name[TAP_WIRE_NAME];
	struct tap_ipaddr addr;
	struct tap_dns_item *it;
	size_t len;

	if (!tap_ipaddr_parse(q->name, &addr)) {
		a->why = "no address";
		return NULL;
	}
	if (!u->r->query_private && tap_ipaddr_private(&addr)) {
		a->state = TAP_DNS_NONE;
		a->private = true;
		return NULL;
	}
	tap_ipaddr_arpa(&addr, arpa);
	if (!tap_wire_name(arpa, name, &len))
		return NULL;
	it = tap_dns_item(u, name, len, TAP_DNS_PTR);
	if (it != NULL && q->confirm && !it->confirm) {
		tap_ipaddr_text(&addr, text);
		it->addr = tap_arena_strdup(u->scratch, text);
		it->confirm = it->addr != NULL;
	}
	return it;
}

static struct tap_dns_item *ask(struct tap_dns_run *u, const struct tap_dns_question *q,
				struct tap_dns_answer *a)
{
	uint8_t name[TAP_WIRE_NAME];
	size_t len;

	memset(a, 0, sizeof *a);
	a->why = "too many questions at once";
	if (q->type == TAP_DNS_PTR)
		return ask_ptr(u, q, a);
	if (!tap_wire_name(q->name, name, &len)) {
		a->why = "no name that DNS could know";
		return NULL;
	}
	return tap_dns_item(u, name, len, (uint16_t)q->type);
}

/* --- answers --- */

enum verdict { LEADS_BACK, LEADS_ELSEWHERE, NOBODY_KNOWS };

static enum verdict leads_back(struct tap_dns_run *u, const char *host, const char *addr)
{
	const struct tap_dns_item *f = forward(u, host, addr);

	if (f == NULL)
		return LEADS_ELSEWHERE;
	if (f->a.state == TAP_DNS_FAILED)
		return NOBODY_KNOWS;
	for (size_t i = 0; i < f->a.n; i++) {
		if (strcmp(f->a.string[i], addr) == 0)
			return LEADS_BACK;
	}
	return LEADS_ELSEWHERE;
}

/* The first name, in their order, that leads back; -1: none does. */
static int confirmed_name(struct tap_dns_run *u, const struct tap_dns_item *it, bool *unsure_r)
{
	*unsure_r = false;
	for (size_t i = 0; i < it->a.n; i++) {
		enum verdict v = leads_back(u, it->a.string[i], it->addr);

		if (v == LEADS_BACK)
			return (int)i;
		if (v == NOBODY_KNOWS)
			*unsure_r = true;
	}
	return -1;
}

static bool copy_strings(const struct tap_dns_item *it, size_t first, struct tap_arena *arena,
			 struct tap_dns_answer *a)
{
	const char **s = tap_arena_alloc(arena, it->a.n * sizeof *s);
	size_t n = 0;

	if (s == NULL)
		return false;
	for (size_t i = 0; i < it->a.n; i++) {
		/* the chosen one first, the others in their order behind it */
		size_t from = i == 0 ? first : (i <= first ? i - 1 : i);

		s[n] = tap_arena_strdup(arena, it->a.string[from]);
		if (s[n++] == NULL)
			return false;
	}
	a->string = s;
	return true;
}

static bool settle(struct tap_dns_run *u, const struct tap_dns_question *q,
		   const struct tap_dns_item *it, struct tap_arena *arena, struct tap_dns_answer *a)
{
	int first = 0;

	*a = it->a;
	a->string = NULL;
	if (a->state != TAP_DNS_ANSWER)
		return true;
	if (q->type == TAP_DNS_PTR && q->confirm && it->addr != NULL) {
		first = confirmed_name(u, it, &a->unsure);
		a->confirmed = first >= 0;
		a->unsure = a->unsure && first < 0;
		if (first < 0)
			first = 0;
	}
	return copy_strings(it, (size_t)first, arena, a);
}

static bool prepare(struct tap_dns_run *u, struct tap_resolver *r, size_t n, int64_t deadline_ms)
{
	size_t cap = SCRATCH_BASE +
		     (n < SCRATCH_MOST / SCRATCH_EACH ? n * SCRATCH_EACH : (size_t)SCRATCH_MOST);

	u->r = r;
	u->deadline_ms = deadline_ms;
	u->buckets = LEAST_BUCKETS;
	while (u->buckets < 2 * n && u->buckets < (size_t)1 << 24)
		u->buckets *= 2;
	u->scratch = tap_arena_new(cap + u->buckets * sizeof(void *));
	u->bucket = tap_arena_alloc(u->scratch, u->buckets * sizeof *u->bucket);
	u->packet = tap_arena_alloc(u->scratch, PACKET);
	for (size_t i = 0; i < TAP_DNS_SERVERS; i++) {
		for (size_t k = 0; k < TAP_DNS_SOCKETS; k++)
			u->udp[i][k] = -1;
	}
	for (size_t i = 0; i < TAP_DNS_CONNS; i++)
		u->conn[i].fd = -1;
	return u->bucket != NULL && u->packet != NULL;
}

enum tap_rc tap_resolver_batch(struct tap_resolver *r, const struct tap_dns_question *q, size_t n,
			       int64_t deadline_ms, struct tap_arena *arena,
			       struct tap_dns_answer *a, struct tap_err *err)
{
	struct tap_dns_run *u = calloc(1, sizeof *u);
	struct tap_dns_item **of;
	enum tap_rc rc = TAP_OK;
	bool room = true;

	if (u == NULL)
		return tap_err_set(err, TAP_E_TEMP, "dns: out of memory");
	of = calloc(n + 1, sizeof *of);
	if (of == NULL || !prepare(u, r, n, deadline_ms)) {
		rc = tap_err_set(err, TAP_E_LIMIT, "dns: too many questions at once");
		goto out;
	}
	for (size_t i = 0; i < n; i++)
		of[i] = ask(u, &q[i], &a[i]);
	rc = tap_dns_run(u, err);
	if (rc != TAP_OK && rc != TAP_E_CANCELLED)
		goto out;
	for (size_t i = 0; i < n && room; i++) {
		if (of[i] != NULL)
			room = settle(u, &q[i], of[i], arena, &a[i]);
	}
	if (!room)
		rc = tap_err_set(err, TAP_E_LIMIT, "dns: the answers are too large");
out:
	tap_arena_free(&u->scratch);
	free(of);
	free(u);
	return rc;
}
