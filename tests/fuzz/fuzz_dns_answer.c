/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: any bytes as the answer to a question. The first byte chooses the type, the rest is the message, whose own id and
 * question are what was asked, so that what is behind them is read. Whatever comes out keeps the limits of resolver.h and is clean. */
#include "enrich/dns_wire.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { CAP = 4 << 20, HEADER = 12 };

static const uint16_t types[] = {TAP_DNS_PTR, TAP_DNS_A,  TAP_DNS_AAAA, TAP_DNS_TXT,
				 TAP_DNS_MX,  TAP_DNS_NS, TAP_DNS_SOA,	TAP_DNS_CNAME};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
	if (!truth)
		abort();
}

static void clean_name(const char *s)
{
	uint8_t wire[TAP_WIRE_NAME];
	char again[TAP_DNS_NAME_TEXT];
	size_t n;

	must(strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.\\") == strlen(s));
	must(tap_wire_name(s, wire, &n) && tap_wire_text(wire, n, again));
	must(strcmp(s, again) == 0);
}

static void clean_string(uint16_t type, const char *s)
{
	unsigned char b[16];
	char *rest;

	switch (type) {
	case TAP_DNS_A: must(inet_pton(AF_INET, s, b) == 1); break;
	case TAP_DNS_AAAA: must(inet_pton(AF_INET6, s, b) == 1); break;
	case TAP_DNS_TXT: must(strlen(s) <= 4096); break;
	case TAP_DNS_MX:
		must(strtoul(s, &rest, 10) <= 65535 && *rest == ' ');
		clean_name(rest + 1);
		break;
	default: clean_name(s);
	}
}

static void check(const struct tap_wire_question *q, enum tap_wire_kind kind,
		  const struct tap_wire_answer *a)
{
	must(a->hops <= TAP_WIRE_HOPS + 1);
	if (kind == TAP_WIRE_FOUND) {
		must(a->n > 0 && a->n <= TAP_DNS_MOST_STRINGS);
		must(q->type != TAP_DNS_PTR || a->n <= TAP_WIRE_PTR);
		for (size_t i = 0; i < a->n; i++) {
			clean_string(q->type, a->string[i]);
			must(i == 0 || strcmp(a->string[i - 1], a->string[i]) != 0);
		}
	} else if (kind == TAP_WIRE_NONE) {
		must(a->n == 0 && a->ttl <= TAP_WIRE_MOST_NEGATIVE);
	} else if (kind == TAP_WIRE_MORE) {
		must(a->hops > 0 && a->next_len > 0 && a->next_len <= TAP_WIRE_NAME);
	} else if (kind == TAP_WIRE_REFUSED) {
		must(a->why != NULL);
	}
	must(a->ttl <= INT32_MAX);
}

/* The question of the message, lower case; 0: it has none that could be ours. */
static size_t question(const uint8_t *msg, size_t size, uint8_t *name)
{
	size_t n = 0;

	if (size < HEADER)
		return 0;
	msg += HEADER;
	size -= HEADER;
	while (n < size && n < TAP_WIRE_NAME) {
		size_t label = msg[n];

		if (label > 63 || n + 1 + label > size || n + 1 + label > TAP_WIRE_NAME)
			return 0;
		for (size_t i = 0; i <= label; i++) {
			uint8_t c = msg[n + i];

			name[n + i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
		}
		n += 1 + label;
		if (label == 0)
			return n;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t name[TAP_WIRE_NAME + 1], *msg;
	struct tap_wire_question q = {.name = name, .edns = true};
	struct tap_wire_answer a;
	struct tap_arena *arena;
	size_t n = size > 1 ? size - 1 : 0;
	char text[TAP_DNS_NAME_TEXT];

	if (n < HEADER)
		return 0;
	q.type = types[data[0] % (sizeof types / sizeof types[0])];
	q.edns = data[0] < 128;
	/* of its own, so that each byte read behind its end is seen */
	msg = malloc(n);
	must(msg != NULL);
	memcpy(msg, data + 1, n);
	q.id = (uint16_t)(msg[0] << 8 | msg[1]);
	q.len = question(msg, n, name);
	if (q.len > 0) {
		must(tap_wire_text(name, q.len, text));
		if (HEADER + q.len + 4 <= n) {
			msg[HEADER + q.len] = (uint8_t)(q.type >> 8);
			msg[HEADER + q.len + 1] = (uint8_t)q.type;
		}
		arena = tap_arena_new(CAP);
		check(&q, tap_wire_read(msg, n, &q, arena, &a), &a);
		tap_arena_free(&arena);
	}
	free(msg);
	return 0;
}
