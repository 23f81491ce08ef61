/* SPDX-License-Identifier: Apache-2.0
 * enrich/resolver.h - questions to DNS servers, thousands at once: one blocking call for a batch, inside it hundreds in flight over
 * a few UDP sockets, again over TCP when an answer was cut.
 * Ownership: answers live in the caller's arena; a resolver belongs to who opened it.
 * Hostile servers: an answer counts only when id, server, port and question are those of a query that is out (RFC 5452); names are
 * lower case, bounded, and every byte outside [a-z0-9_-] is escaped as \ddd; what cannot be read is as if it had not come.
 * Limits [I7]: TAP_DNS_MOST_STRINGS strings of an answer, 64 KiB a message, 8 CNAMEs, 10 names confirmed of an address.
 * Errors: a question that nobody answers is a state of its answer, not an error of the call.
 * Threads: one resolver may serve several threads; each call has its own sockets; tap_resolver_cancel from any thread.
 * RFC 1035, 2308, 2317, 3596, 5452, 6891, 7766, 8601 section 3 (iprev). */
#ifndef TAP_ENRICH_RESOLVER_H
#define TAP_ENRICH_RESOLVER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/settings.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_dns_settings { /* section "dns" */
	struct tap_list nameservers;
	int64_t timeout_ms;
	int64_t tries;
	int64_t in_flight;
	bool query_private;
};
extern const struct tap_section tap_dns_section;

/* The numbers of the wire. */
enum tap_dns_type {
	TAP_DNS_A = 1,
	TAP_DNS_NS = 2,
	TAP_DNS_CNAME = 5,
	TAP_DNS_SOA = 6, /* gives the names of the primary server and of the mailbox */
	TAP_DNS_PTR = 12,
	TAP_DNS_MX = 15, /* gives "PREFERENCE NAME", sorted by preference; a null MX is "0 ." */
	TAP_DNS_TXT =
	    16, /* the pieces of a record joined; bytes as they came but NUL, which ends nothing: it is given as \000 */
	TAP_DNS_AAAA = 28,
};
enum { TAP_DNS_MOST_STRINGS = 256, TAP_DNS_NAME_TEXT = 1024 };
enum tap_dns_state {
	TAP_DNS_FAILED, /* no server answered, or none with sense: ask again later; never remember it as "none" */
	TAP_DNS_NONE, /* there is no such name, or none of this type */
	TAP_DNS_ANSWER,
};
struct tap_dns_question {
	const char
	    *name; /* a host name; for PTR an IPv4 or IPv6 address (an IPv4-mapped one is IPv4) */
	enum tap_dns_type type;
	bool
	    confirm; /* PTR: look the names up again (iprev); several names: one that leads back comes first */
};
struct tap_dns_answer {
	enum tap_dns_state state;
	bool no_name;	/* NONE: the name itself does not exist (NXDOMAIN) */
	bool confirmed; /* PTR with confirm: string[0] resolves back to the address */
	bool unsure;	/* PTR with confirm: no name confirmed it, and looking one up failed */
	bool private;	/* NONE: a private or special address, nobody was asked */
	bool cut;	/* more strings than are given */
	uint32_t
	    ttl; /* s; the smallest on the way. NONE: the SOA's minimum, at most 1 h; 0 when there was none */
	size_t n;
	const char *const *string; /* sorted; PTR: the chosen one first */
	const char *why;	   /* FAILED: a static text for people */
};

struct tap_resolver;
/* TAP_E_CONFIG: a nameserver that is no address. set is not kept. Nothing is sent. */
enum tap_rc tap_resolver_open(const struct tap_dns_settings *set, struct tap_resolver **r_r,
			      struct tap_err *err) TAP_MUST_CHECK;
void tap_resolver_free(struct tap_resolver **r); /* NULL-safe; no call may be running */

/* Asks all n at once (the same question twice is asked once), and returns when each has its answer, at deadline_ms (tap_clock_mono_ms;
 * 0 = none but the time-outs) or after tap_resolver_cancel; what has no answer by then is FAILED. When no server answers anything,
 * all that is left fails after two time-outs at most, and for half a minute later calls fail at once; then one question goes ahead,
 * and the others follow when it is answered. TAP_E_LIMIT: the arena is full; TAP_E_TEMP: out of memory. a has n places; it is filled in either case of TAP_OK and TAP_E_CANCELLED
 * (cancelled). */
enum tap_rc tap_resolver_batch(struct tap_resolver *r, const struct tap_dns_question *q, size_t n,
			       int64_t deadline_ms, struct tap_arena *arena,
			       struct tap_dns_answer *a, struct tap_err *err) TAP_MUST_CHECK;
/* Ends all running calls; later ones end at once, too, until tap_resolver_resume. */
void tap_resolver_cancel(struct tap_resolver *r);
void tap_resolver_resume(struct tap_resolver *r);

/* Since it was opened. */
struct tap_resolver_stats {
	uint64_t queries, answers, ignored, timeouts,
	    tcp;     /* ignored: datagrams that answered nothing of ours */
	bool silent; /* no server answers; nothing but a probe is sent for the time being */
};
void tap_resolver_stats(struct tap_resolver *r, struct tap_resolver_stats *s_r);

#endif
