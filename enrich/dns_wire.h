/* SPDX-License-Identifier: Apache-2.0
 * enrich/dns_wire.h - DNS messages: a question as bytes, and bytes read as the answer to it. No socket, clock or state.
 * Names inside are in wire form, lower case, uncompressed, root label included.
 * Input is hostile: whatever it says, it is not ours, broken, or within the limits of resolver.h.
 * Ownership: what is read lives in the caller's arena. Threads: safe. RFC 1035, 2308, 6891. */
#ifndef TAP_ENRICH_DNS_WIRE_H
#define TAP_ENRICH_DNS_WIRE_H

#include "base/arena.h"
#include "enrich/resolver.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TAP_WIRE_NAME = 255,
	TAP_WIRE_QUERY = 320, /* largest question */
	TAP_WIRE_UDP = 1232,  /* what we offer with EDNS: no fragments (DNS flag day 2020) */
	TAP_WIRE_HOPS = 8,    /* CNAMEs, over all answers to one question */
	TAP_WIRE_PTR = 10,    /* names of an address that are looked at */
	TAP_WIRE_MOST_NEGATIVE = 3600,
};
struct tap_wire_question {
	const uint8_t *name;
	size_t len;
	uint16_t type, id;
	bool edns;
};
enum tap_wire_kind {
	TAP_WIRE_NOT_OURS,  /* no answer to this question */
	TAP_WIRE_BROKEN,    /* it seems to be, and cannot be read */
	TAP_WIRE_TRUNCATED, /* ask again over TCP */
	TAP_WIRE_NO_EDNS,   /* ask again without EDNS */
	TAP_WIRE_REFUSED,   /* this server cannot or will not: why says how it put it */
	TAP_WIRE_MORE,	    /* an alias whose target is not in the answer: ask for next */
	TAP_WIRE_NONE,
	TAP_WIRE_FOUND,
	TAP_WIRE_FULL, /* the arena is */
};
struct tap_wire_answer {
	bool no_name, cut;
	uint32_t ttl;  /* NONE: 0 without SOA */
	unsigned hops; /* CNAMEs followed in this message */
	size_t n;
	const char *const *string; /* sorted, each once */
	const uint8_t *next;	   /* MORE */
	size_t next_len;
	const char *why; /* static */
};

/* False: no name that can be asked for (empty, too long, bad escapes). *len_r = bytes of out. */
bool tap_wire_name(const char *text, uint8_t out[TAP_WIRE_NAME], size_t *len_r);
/* "example.com", without the last dot; "." for the root; bytes outside [a-z0-9_-] as \ddd. False: no proper name. */
bool tap_wire_text(const uint8_t *name, size_t len, char out[TAP_DNS_NAME_TEXT]);
/* The bytes of a question; 0: it cannot be built. */
size_t tap_wire_build(const struct tap_wire_question *q, uint8_t out[TAP_WIRE_QUERY]);
/* Whether the n bytes answer q, by header and question alone; cheap. */
bool tap_wire_is_ours(const uint8_t *msg, size_t n, const struct tap_wire_question *q);
enum tap_wire_kind tap_wire_read(const uint8_t *msg, size_t n, const struct tap_wire_question *q,
				 struct tap_arena *arena, struct tap_wire_answer *a_r);

#endif
