/* SPDX-License-Identifier: Apache-2.0
 * enrich/resolver.c - a resolver's life, and what it knows of its servers: how long they take, which are down. */
#include "enrich/resolver.h"
#include "enrich/resolver_priv.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum {
	FIRST_PATIENCE = 400,
	LEAST_PATIENCE = 100,
	LOST_IN_A_ROW = 12, /* at some per cent of loss this does not happen by chance */
	DOWN_MS = 30000,
	SILENT_MS = 30000,
};

enum tap_rc tap_resolver_open(const struct tap_dns_settings *set, struct tap_resolver **r_r,
			      struct tap_err *err)
{
	struct tap_dns_servers servers;
	struct tap_resolver *r;
	enum tap_rc rc = tap_dns_servers_make(&set->nameservers, &servers, err);
	int wake;

	*r_r = NULL;
	if (rc != TAP_OK)
		return rc;
	wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake < 0)
		return tap_err_sys(err, TAP_E_TEMP, errno, "dns: eventfd");
	r = calloc(1, sizeof *r);
	if (r == NULL) {
		tap_io_close(&wake);
		return tap_err_set(err, TAP_E_TEMP, "dns: out of memory");
	}
	r->servers = servers;
	r->timeout_ms = set->timeout_ms;
	r->tries = (unsigned)set->tries;
	r->in_flight = (unsigned)set->in_flight;
	if (r->in_flight > TAP_DNS_FLIGHT)
		r->in_flight = TAP_DNS_FLIGHT;
	r->query_private = set->query_private;
	r->wake = wake;
	(void)pthread_mutex_init(&r->lock, NULL);
	*r_r = r;
	return TAP_OK;
}

void tap_resolver_free(struct tap_resolver **r)
{
	if (*r == NULL)
		return;
	tap_io_close(&(*r)->wake);
	(void)pthread_mutex_destroy(&(*r)->lock);
	free(*r);
	*r = NULL;
}

void tap_resolver_cancel(struct tap_resolver *r)
{
	atomic_store(&r->cancelled, true);
	(void)eventfd_write(r->wake, 1);
}

void tap_resolver_resume(struct tap_resolver *r)
{
	eventfd_t v;

	atomic_store(&r->cancelled, false);
	(void)eventfd_read(r->wake, &v);
}

void tap_resolver_stats(struct tap_resolver *r, struct tap_resolver_stats *s_r)
{
	memset(s_r, 0, sizeof *s_r);
	s_r->queries = atomic_load(&r->queries);
	s_r->answers = atomic_load(&r->answers);
	s_r->ignored = atomic_load(&r->ignored);
	s_r->timeouts = atomic_load(&r->timeouts);
	s_r->tcp = atomic_load(&r->tcp);
	(void)pthread_mutex_lock(&r->lock);
	s_r->silent = r->silent;
	(void)pthread_mutex_unlock(&r->lock);
}

size_t tap_dns_pick(struct tap_resolver *r, uint16_t *tried, bool *no_edns_r)
{
	int64_t now = tap_clock_mono_ms();
	size_t up = r->servers.n, fresh = r->servers.n, chosen;

	(void)pthread_mutex_lock(&r->lock);
	for (size_t i = r->servers.n; i-- > 0;) {
		if (r->health[i].down_until > now)
			continue;
		up = i;
		if ((*tried >> i & 1) == 0)
			fresh = i;
	}
	if (up == r->servers.n) { /* all are down: any may be back */
		for (size_t i = r->servers.n; i-- > 0;) {
			if ((*tried >> i & 1) == 0)
				fresh = i;
		}
		up = 0;
	}
	chosen = fresh < r->servers.n ? fresh : up;
	if (fresh == r->servers.n)
		*tried = 0;
	*tried |= (uint16_t)(1U << chosen);
	*no_edns_r = r->health[chosen].no_edns;
	(void)pthread_mutex_unlock(&r->lock);
	return chosen;
}

void tap_dns_down(struct tap_resolver *r, bool *down)
{
	int64_t now = tap_clock_mono_ms();
	bool any_up = false;

	(void)pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->servers.n; i++) {
		down[i] = r->health[i].down_until > now;
		any_up = any_up || !down[i];
	}
	(void)pthread_mutex_unlock(&r->lock);
	for (size_t i = 0; i < r->servers.n && !any_up; i++)
		down[i] = false;
}

int64_t tap_dns_patience(struct tap_resolver *r, size_t server, bool *known_r)
{
	int64_t ms, most = r->timeout_ms / 2;

	(void)pthread_mutex_lock(&r->lock);
	*known_r = r->health[server].srtt_ms > 0;
	ms = r->health[server].srtt_ms > 0
		 ? r->health[server].srtt_ms + 4 * r->health[server].var_ms
		 : FIRST_PATIENCE;
	(void)pthread_mutex_unlock(&r->lock);
	if (ms < LEAST_PATIENCE)
		ms = LEAST_PATIENCE;
	if (ms > most)
		ms = most;
	return ms > 0 ? ms : 1;
}

void tap_dns_answered(struct tap_resolver *r, size_t server, int64_t rtt_ms)
{
	struct tap_dns_health *h = &r->health[server];
	bool was_silent;

	(void)pthread_mutex_lock(&r->lock);
	h->lost = 0;
	h->down_until = 0;
	if (rtt_ms >= 0) {
		int64_t off = rtt_ms > h->srtt_ms ? rtt_ms - h->srtt_ms : h->srtt_ms - rtt_ms;

		if (h->srtt_ms == 0) {
			h->srtt_ms = rtt_ms + 1;
			h->var_ms = rtt_ms / 2;
		} else {
			h->var_ms = (3 * h->var_ms + off) / 4;
			h->srtt_ms = (7 * h->srtt_ms + rtt_ms) / 8 + 1;
		}
	}
	was_silent = r->silent;
	r->silent = false;
	(void)pthread_mutex_unlock(&r->lock);
	if (was_silent)
		tap_info("dns", "a nameserver answers again");
}

void tap_dns_lost(struct tap_resolver *r, size_t server, bool unreachable)
{
	struct tap_dns_health *h = &r->health[server];

	(void)pthread_mutex_lock(&r->lock);
	if (h->lost < LOST_IN_A_ROW)
		h->lost++;
	if (h->lost >= LOST_IN_A_ROW || unreachable)
		h->down_until = tap_clock_mono_ms() + DOWN_MS;
	(void)pthread_mutex_unlock(&r->lock);
}

void tap_dns_refuses_edns(struct tap_resolver *r, size_t server)
{
	(void)pthread_mutex_lock(&r->lock);
	r->health[server].no_edns = true;
	(void)pthread_mutex_unlock(&r->lock);
}

void tap_dns_silence(struct tap_resolver *r)
{
	bool was;

	(void)pthread_mutex_lock(&r->lock);
	was = r->silent;
	r->silent = true;
	r->silent_until = tap_clock_mono_ms() + SILENT_MS;
	(void)pthread_mutex_unlock(&r->lock);
	if (!was)
		tap_warn("dns", "no nameserver answers; reverse names are looked up later");
}
