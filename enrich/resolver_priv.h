/* SPDX-License-Identifier: Apache-2.0
 * enrich/resolver_priv.h - between the files of the resolver alone: servers and their health (shared by all calls, under a lock),
 * and the state of one call (its thread's alone).
 * resolver.c opens and knows the servers; resolver_batch.c turns questions into look-ups and their results into answers;
 * resolver_run.c sends and receives; resolver_tcp.c asks again what did not fit a datagram. */
#ifndef TAP_ENRICH_RESOLVER_PRIV_H
#define TAP_ENRICH_RESOLVER_PRIV_H

#include "enrich/dns_wire.h"
#include "enrich/resolver.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum { TAP_DNS_SERVERS = 16, TAP_DNS_SOCKETS = 4, TAP_DNS_CONNS = 8, TAP_DNS_FLIGHT = 4096 };
union tap_dns_addr {
	struct sockaddr sa;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};
struct tap_dns_servers {
	union tap_dns_addr addr[TAP_DNS_SERVERS];
	size_t n;
};
/* From the list of the settings; "system" reads /etc/resolv.conf (what it has not: 127.0.0.1, as resolv.conf(5) says). */
enum tap_rc tap_dns_servers_make(const struct tap_list *list, struct tap_dns_servers *s_r,
				 struct tap_err *err) TAP_MUST_CHECK;

struct tap_dns_health {
	int64_t srtt_ms, var_ms; /* RFC 6298; srtt 0 = not known yet */
	unsigned lost;		 /* in a row */
	int64_t down_until;	 /* mono ms */
	bool no_edns;
};
struct tap_resolver {
	struct tap_dns_servers servers;
	int64_t timeout_ms;
	unsigned tries, in_flight;
	bool query_private;
	int wake; /* eventfd: readable = cancelled */
	atomic_bool cancelled;
	atomic_uint_fast64_t queries, answers, ignored, timeouts, tcp;
	pthread_mutex_t lock; /* of what follows */
	struct tap_dns_health health[TAP_DNS_SERVERS];
	bool silent; /* no server answered a whole batch */
	int64_t
	    silent_until; /* and nothing is sent until then; behind it one question goes ahead */
};
/* The first server that answers and was not tried (a bit for each; begins anew when all were), else the first. */
size_t tap_dns_pick(struct tap_resolver *r, uint16_t *tried, bool *no_edns_r);
/* Which servers are down while others are not; down has a place for each. */
void tap_dns_down(struct tap_resolver *r, bool *down);
/* ms until a datagram is taken for lost. */
int64_t tap_dns_patience(struct tap_resolver *r, size_t server, bool *known_r);
/* rtt_ms < 0: not measured. */
void tap_dns_answered(struct tap_resolver *r, size_t server, int64_t rtt_ms);
void tap_dns_lost(struct tap_resolver *r, size_t server, bool unreachable);
void tap_dns_refuses_edns(struct tap_resolver *r, size_t server);
void tap_dns_silence(struct tap_resolver *r);

/* One look-up; several questions may share it. In the scratch arena of its call. */
struct tap_dns_item {
	struct tap_dns_item *chain; /* of its bucket */
	struct tap_dns_item *next;  /* in the queue */
	const uint8_t *key;	    /* the name as first asked for */
	const uint8_t *name; /* the name that is asked for now: an alias may have led elsewhere */
	uint8_t key_len, len;
	uint16_t type, id;
	uint8_t server, socket, hops, tries, bad, same; /* same: times sent to this server */
	uint16_t tried;					/* a bit for each server */
	bool no_edns, confirm, once;			/* once: its id was sent once */
	int64_t sent_ms, due_ms, give_up_ms;		/* give_up 0 = never sent */
	int64_t patience_ms;
	const char *addr; /* PTR with confirm: the address */
	struct tap_dns_answer a;
};
struct tap_dns_queue {
	struct tap_dns_item *head, *tail;
};
struct tap_dns_conn {
	int fd;
	struct tap_dns_item *item; /* NULL = free */
	uint8_t out[2 + TAP_WIRE_QUERY];
	size_t out_len, out_done;
	uint8_t *in; /* 2 + 65535 bytes */
	size_t got;
	int64_t due_ms;
};
/* One call. */
struct tap_dns_run {
	struct tap_resolver *r;
	struct tap_arena *scratch;
	struct tap_dns_item **bucket;
	size_t buckets;
	size_t open;				/* items that are not done */
	struct tap_dns_queue ready, again, tcp; /* again: goes before ready */
	struct tap_dns_item *flight[TAP_DNS_FLIGHT];
	size_t flying, window;
	int64_t deadline_ms, next_due_ms,
	    last_word_ms;   /* last_word: when a server last said something */
	size_t asked_since; /* look-ups begun since then */
	bool probing;	    /* the breaker is open: one at a time */
	int udp[TAP_DNS_SERVERS][TAP_DNS_SOCKETS];
	struct tap_dns_conn conn[TAP_DNS_CONNS];
	uint8_t *packet; /* 64 KiB */
	uint16_t random[128];
	size_t random_left;
};
/* The look-up of a name and type, made when it is new; NULL: the scratch arena is full. */
struct tap_dns_item *tap_dns_item(struct tap_dns_run *u, const uint8_t *name, size_t len,
				  uint16_t type);
void tap_dns_push(struct tap_dns_queue *q, struct tap_dns_item *it);
struct tap_dns_item *tap_dns_pop(struct tap_dns_queue *q);
/* A PTR look-up is done: its names are to be confirmed. */
void tap_dns_want_confirmed(struct tap_dns_run *u, struct tap_dns_item *it);
void tap_dns_fail(struct tap_dns_run *u, struct tap_dns_item *it, const char *why);
/* No answer came: asked again, or given up. */
void tap_dns_again(struct tap_dns_run *u, struct tap_dns_item *it, int64_t now);
/* What the bytes say about the item; true: it is settled or in a queue again, and the caller takes it out of its own list.
 * False: they are not its answer, nothing was done. */
bool tap_dns_take(struct tap_dns_run *u, struct tap_dns_item *it, const uint8_t *msg, size_t n,
		  bool over_tcp, int64_t now);
/* Sends everything that is open, and returns when nothing is. */
enum tap_rc tap_dns_run(struct tap_dns_run *u, struct tap_err *err) TAP_MUST_CHECK;

void tap_dns_tcp_start(struct tap_dns_run *u, int64_t now);
size_t tap_dns_tcp_poll(struct tap_dns_run *u, struct pollfd *p, int64_t *due_r);
void tap_dns_tcp_work(struct tap_dns_run *u, const struct pollfd *p, int64_t now);
void tap_dns_tcp_end(struct tap_dns_run *u);

#endif
