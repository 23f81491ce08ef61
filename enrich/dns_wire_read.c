/* SPDX-License-Identifier: Apache-2.0
 * enrich/dns_wire_read.c - what an answer says: aliases followed, records collected, sorted and bounded. */
#include "enrich/dns_wire.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TTL_MOST = 0x7fffffff, TXT_MOST = 4096, SCRATCH = 8 << 20, MX_TEXT = 8 };

struct reading {
	const ldns_pkt *pkt;
	const struct tap_wire_question *q;
	struct tap_arena *arena, *scratch;
	struct tap_wire_answer *a;
	uint8_t cur
	    [TAP_WIRE_NAME]; /* the name that is looked for: the question's, or where its aliases lead */
	size_t cur_len;
};

static bool owner_is(const ldns_rr *rr, const struct reading *r)
{
	const ldns_rdf *o = ldns_rr_owner(rr);
	const uint8_t *p;

	if (o == NULL || ldns_rdf_size(o) != r->cur_len)
		return false;
	p = ldns_rdf_data(o);
	for (size_t i = 0; i < r->cur_len; i++) {
		uint8_t c = p[i];

		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c + ('a' - 'A'));
		if (c != r->cur[i])
			return false;
	}
	return true;
}

static uint32_t ttl_of(const ldns_rr *rr)
{
	uint32_t ttl = ldns_rr_ttl(rr);

	return ttl > TTL_MOST ? 0 : ttl; /* RFC 2181 section 8 */
}

static void smaller(uint32_t *ttl, uint32_t v)
{
	if (v < *ttl)
		*ttl = v;
}

static const ldns_rdf *name_at(const ldns_rr *rr, size_t i)
{
	const ldns_rdf *f = i < ldns_rr_rd_count(rr) ? ldns_rr_rdf(rr, i) : NULL;

	return f != NULL && ldns_rdf_get_type(f) == LDNS_RDF_TYPE_DNAME ? f : NULL;
}

/* --- one record as a text; NULL: it says nothing (or the scratch arena is full) --- */

static char *name_text(const struct reading *r, const ldns_rr *rr, size_t i)
{
	const ldns_rdf *f = name_at(rr, i);
	char text[TAP_DNS_NAME_TEXT];

	if (f == NULL || !tap_wire_text(ldns_rdf_data(f), ldns_rdf_size(f), text))
		return NULL;
	if (r->q->type == TAP_DNS_PTR && text[0] == '.')
		return NULL; /* the root is nobody's name */
	return tap_arena_strdup(r->scratch, text);
}

static char *mx_text(const struct reading *r, const ldns_rr *rr, size_t i)
{
	const ldns_rdf *f = ldns_rr_rd_count(rr) == 2 ? ldns_rr_rdf(rr, i) : NULL;
	char *name = name_text(r, rr, 1), *out;
	size_t n;

	if (f == NULL || name == NULL || ldns_rdf_size(f) != 2)
		return NULL;
	n = strlen(name) + MX_TEXT;
	out = tap_arena_alloc(r->scratch, n);
	if (out != NULL)
		(void)snprintf(out, n, "%u %s", (unsigned)ldns_rdf2native_int16(f), name);
	return out;
}

static char *address_text(const struct reading *r, const ldns_rr *rr, size_t i)
{
	const ldns_rdf *f = i < ldns_rr_rd_count(rr) ? ldns_rr_rdf(rr, i) : NULL;
	bool six = r->q->type == TAP_DNS_AAAA;
	char text[INET6_ADDRSTRLEN];

	if (f == NULL || ldns_rdf_size(f) != (six ? 16U : 4U))
		return NULL;
	if (inet_ntop(six ? AF_INET6 : AF_INET, ldns_rdf_data(f), text, sizeof text) == NULL)
		return NULL;
	return tap_arena_strdup(r->scratch, text);
}

static char *txt_text(const struct reading *r, const ldns_rr *rr, size_t i)
{
	struct tap_buf b;
	char *out = NULL;

	tap_buf_init(&b, TXT_MOST);
	for (; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *f = ldns_rr_rdf(rr, i);
		const uint8_t *p = ldns_rdf_data(f);
		size_t n = ldns_rdf_size(f);

		for (size_t k = 1; k < n && k <= p[0]; k++) {
			if (p[k] == 0)
				tap_buf_adds(&b, "\\000");
			else
				tap_buf_addc(&b, (char)p[k]);
		}
	}
	if (!b.failed)
		out = tap_arena_strndup(r->scratch, b.len > 0 ? b.p : "", b.len);
	tap_buf_free(&b);
	return out;
}

static const struct {
	uint16_t type;
	char *(*text)(const struct reading *r, const ldns_rr *rr, size_t i);
	size_t most;
} types[] = {
    {TAP_DNS_PTR, name_text, TAP_WIRE_PTR},
    {TAP_DNS_A, address_text, TAP_DNS_MOST_STRINGS},
    {TAP_DNS_AAAA, address_text, TAP_DNS_MOST_STRINGS},
    {TAP_DNS_TXT, txt_text, TAP_DNS_MOST_STRINGS},
    {TAP_DNS_MX, mx_text, TAP_DNS_MOST_STRINGS},
    {TAP_DNS_CNAME, name_text, TAP_DNS_MOST_STRINGS},
    {TAP_DNS_NS, name_text, TAP_DNS_MOST_STRINGS},
    {TAP_DNS_SOA, name_text, TAP_DNS_MOST_STRINGS},
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "10 a" behind "5 b" */
static int by_preference(const void *a, const void *b)
{
	unsigned long x = strtoul(*(const char *const *)a, NULL, 10);
	unsigned long y = strtoul(*(const char *const *)b, NULL, 10);

	return x != y ? (x < y ? -1 : 1) : by_text(a, b);
}

/* Sorted, each once, at most `most`, in the caller's arena. */
static bool keep(struct reading *r, char **s, size_t n, size_t most)
{
	const char **out;
	size_t kept = 0;

	qsort(s, n, sizeof *s, r->q->type == TAP_DNS_MX ? by_preference : by_text);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || strcmp(s[kept - 1], s[i]) != 0)
			s[kept++] = s[i];
	}
	if (kept > most) {
		kept = most;
		r->a->cut = true;
	}
	out = tap_arena_alloc(r->arena, kept * sizeof *out);
	for (size_t i = 0; out != NULL && i < kept; i++) {
		out[i] = tap_arena_strdup(r->arena, s[i]);
		if (out[i] == NULL)
			out = NULL;
	}
	r->a->n = out != NULL ? kept : 0;
	r->a->string = out;
	return out != NULL;
}

/* All records of the type at the name that was arrived at. */
static enum tap_wire_kind collect(struct reading *r)
{
	const ldns_rr_list *l = ldns_pkt_answer(r->pkt);
	size_t count = ldns_rr_list_rr_count(l), n = 0, t = 0;
	char **s = tap_arena_alloc(r->scratch, (count + 1) * sizeof *s);
	uint32_t ttl = r->a->ttl;

	while (t < sizeof types / sizeof types[0] && types[t].type != r->q->type)
		t++;
	if (s == NULL || t == sizeof types / sizeof types[0])
		return TAP_WIRE_BROKEN;
	for (size_t i = 0; i < count; i++) {
		const ldns_rr *rr = ldns_rr_list_rr(l, i);
		char *text = NULL;

		if (ldns_rr_get_type(rr) == (ldns_rr_type)r->q->type &&
		    ldns_rr_get_class(rr) == LDNS_RR_CLASS_IN && owner_is(rr, r))
			text = types[t].text(r, rr, 0);
		if (text == NULL)
			continue;
		s[n++] = text;
		smaller(&ttl, ttl_of(rr));
	}
	if (n == 0)
		return TAP_WIRE_NONE;
	r->a->ttl = ttl;
	return keep(r, s, n, types[t].most) ? TAP_WIRE_FOUND : TAP_WIRE_FULL;
}

/* One alias further; false: the name has none. */
static bool follow(struct reading *r)
{
	const ldns_rr_list *l = ldns_pkt_answer(r->pkt);

	for (size_t i = 0; i < ldns_rr_list_rr_count(l); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(l, i);
		const ldns_rdf *to;

		if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_CNAME || !owner_is(rr, r))
			continue;
		to = name_at(rr, 0);
		if (to == NULL || ldns_rdf_size(to) > TAP_WIRE_NAME)
			continue;
		r->cur_len = ldns_rdf_size(to);
		for (size_t k = 0; k < r->cur_len; k++) {
			uint8_t c = ldns_rdf_data(to)[k];

			r->cur[k] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
		}
		smaller(&r->a->ttl, ttl_of(rr));
		return true;
	}
	return false;
}

/* RFC 2308: how long "there is none" holds; false: no SOA says so. */
static bool negative(struct reading *r)
{
	const ldns_rr_list *l = ldns_pkt_authority(r->pkt);

	for (size_t i = 0; i < ldns_rr_list_rr_count(l); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(l, i);
		const ldns_rdf *min;

		if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SOA || ldns_rr_rd_count(rr) != 7)
			continue;
		min = ldns_rr_rdf(rr, 6);
		smaller(&r->a->ttl, ttl_of(rr));
		if (ldns_rdf_size(min) == 4)
			smaller(&r->a->ttl, ldns_rdf2native_int32(min));
		smaller(&r->a->ttl, TAP_WIRE_MOST_NEGATIVE);
		return true;
	}
	return false;
}

/* A server that knows nothing of the name and only says who might: no answer for us, who asked for one. */
static bool is_referral(const struct reading *r)
{
	const ldns_rr_list *l = ldns_pkt_authority(r->pkt);

	return !ldns_pkt_aa(r->pkt) && !ldns_pkt_ra(r->pkt) && ldns_rr_list_rr_count(l) > 0 &&
	       ldns_rr_get_type(ldns_rr_list_rr(l, 0)) == LDNS_RR_TYPE_NS;
}

static enum tap_wire_kind read_records(struct reading *r)
{
	enum tap_wire_kind kind = collect(r);
	uint8_t *next;

	while (kind == TAP_WIRE_NONE && r->q->type != TAP_DNS_CNAME && follow(r)) {
		if (++r->a->hops > TAP_WIRE_HOPS) {
			r->a->why = "aliases that lead nowhere";
			return TAP_WIRE_REFUSED;
		}
		kind = collect(r);
	}
	if (kind != TAP_WIRE_NONE)
		return kind;
	if (ldns_pkt_get_rcode(r->pkt) == LDNS_RCODE_NXDOMAIN) {
		r->a->no_name = true;
		if (!negative(r))
			r->a->ttl = 0;
		return TAP_WIRE_NONE;
	}
	if (is_referral(r)) {
		r->a->why = "the server does not look names up for us";
		return TAP_WIRE_REFUSED;
	}
	if (negative(r))
		return TAP_WIRE_NONE;
	if (r->a->hops == 0) {
		r->a->ttl = 0;
		return TAP_WIRE_NONE;
	}
	next = tap_arena_alloc(r->arena, r->cur_len);
	if (next == NULL)
		return TAP_WIRE_FULL;
	memcpy(next, r->cur, r->cur_len);
	r->a->next = next;
	r->a->next_len = r->cur_len;
	return TAP_WIRE_MORE;
}

static const struct {
	unsigned rcode;
	const char *why;
} refusals[] = {
    {LDNS_RCODE_FORMERR, "the server says FORMERR"},
    {LDNS_RCODE_SERVFAIL, "the server says SERVFAIL"},
    {LDNS_RCODE_NOTIMPL, "the server says NOTIMP"},
    {LDNS_RCODE_REFUSED, "the server says REFUSED"},
};

static enum tap_wire_kind refused(unsigned rcode, struct tap_wire_answer *a)
{
	a->why = "the server says that it cannot";
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		if (refusals[i].rcode == rcode)
			a->why = refusals[i].why;
	}
	return TAP_WIRE_REFUSED;
}

enum tap_wire_kind tap_wire_read(const uint8_t *msg, size_t n, const struct tap_wire_question *q,
				 struct tap_arena *arena, struct tap_wire_answer *a_r)
{
	struct reading r = {.q = q, .arena = arena, .a = a_r, .cur_len = q->len};
	enum tap_wire_kind kind;
	ldns_pkt *pkt = NULL;
	unsigned rcode;

	memset(a_r, 0, sizeof *a_r);
	a_r->ttl = TTL_MOST;
	if (!tap_wire_is_ours(msg, n, q))
		return TAP_WIRE_NOT_OURS;
	rcode = msg[3] & 0x0f;
	if ((msg[2] & 0x02) != 0)
		return TAP_WIRE_TRUNCATED;
	if (q->edns && (rcode == LDNS_RCODE_FORMERR || rcode == LDNS_RCODE_NOTIMPL))
		return TAP_WIRE_NO_EDNS;
	if (rcode != LDNS_RCODE_NOERROR && rcode != LDNS_RCODE_NXDOMAIN)
		return refused(rcode, a_r);
	if (ldns_wire2pkt(&pkt, msg, n) != LDNS_STATUS_OK || pkt == NULL)
		return TAP_WIRE_BROKEN;
	r.pkt = pkt;
	memcpy(r.cur, q->name, q->len);
	r.scratch = tap_arena_new(SCRATCH);
	if (q->edns && ldns_pkt_edns_extended_rcode(pkt) != 0)
		kind = TAP_WIRE_NO_EDNS; /* BADVERS, RFC 6891 section 6.1.3 */
	else
		kind = read_records(&r);
	tap_arena_free(&r.scratch);
	ldns_pkt_free(pkt);
	return kind;
}
