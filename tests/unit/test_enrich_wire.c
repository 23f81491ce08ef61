/* SPDX-License-Identifier: Apache-2.0
 * DNS messages without a network: names both ways, which bytes are an answer to a question, and what they say. */
#include "base_helper.h"

#include "base/arena.h"
#include "enrich/address.h"
#include "enrich/dns_wire.h"

enum { ROOM = 4096 };

static struct tap_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = tap_arena_new(4 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tap_arena_free(&arena);
	return 0;
}

/* --- messages --- */

struct msg {
	uint8_t b[ROOM];
	size_t n;
};

static void raw(struct msg *m, const void *p, size_t n)
{
	assert_true(m->n + n <= sizeof m->b);
	memcpy(m->b + m->n, p, n);
	m->n += n;
}

static void u16(struct msg *m, unsigned v)
{
	uint8_t p[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	raw(m, p, 2);
}

static void u32(struct msg *m, uint32_t v)
{
	u16(m, v >> 16);
	u16(m, v & 0xffff);
}

static void name(struct msg *m, const char *text)
{
	uint8_t w[TAP_WIRE_NAME];
	size_t n;

	assert_true(tap_wire_name(text, w, &n));
	raw(m, w, n);
}

static struct tap_wire_question ask(const char *text, uint16_t type, uint8_t *room)
{
	struct tap_wire_question q = {.name = room, .type = type, .id = 0x1234, .edns = true};

	assert_true(tap_wire_name(text, room, &q.len));
	return q;
}

static void head(struct msg *m, const struct tap_wire_question *q, unsigned flags, unsigned answers,
		 unsigned authority)
{
	m->n = 0;
	u16(m, q->id);
	u16(m, flags);
	u16(m, 1);
	u16(m, answers);
	u16(m, authority);
	u16(m, 0);
	raw(m, q->name, q->len);
	u16(m, q->type);
	u16(m, 1);
}

static void rr_name(struct msg *m, const char *owner, unsigned type, uint32_t ttl, const char *to)
{
	uint8_t w[TAP_WIRE_NAME];
	size_t n;

	assert_true(tap_wire_name(to, w, &n));
	name(m, owner);
	u16(m, type);
	u16(m, 1);
	u32(m, ttl);
	u16(m, (unsigned)n);
	raw(m, w, n);
}

static void soa(struct msg *m, uint32_t ttl, uint32_t minimum)
{
	name(m, "test");
	u16(m, TAP_DNS_SOA);
	u16(m, 1);
	u32(m, ttl);
	u16(m, 22);
	u16(m, 0); /* two root names */
	for (uint32_t i = 0; i < 4; i++)
		u32(m, i);
	u32(m, minimum);
}

static enum tap_wire_kind read_it(const struct msg *m, const struct tap_wire_question *q,
				  struct tap_wire_answer *a)
{
	return tap_wire_read(m->b, m->n, q, arena, a);
}

/* --- tests --- */

static void names_both_ways(void **state)
{
	static const struct {
		const char *in, *out; /* out NULL: no name */
	} rows[] = {
	    {"Example.COM", "example.com"},
	    {"example.com.", "example.com"},
	    {"a_b-c.1.test", "a_b-c.1.test"},
	    {".", "."},
	    {"a\\.b.test", "a\\046b.test"},
	    {"\\000\\255.test", "\\000\\255.test"},
	    {"sp ace.test", "sp\\032ace.test"},
	    {"", NULL},
	    {"a..b", NULL},
	    {".a", NULL},
	    {"a\\999.test", NULL},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test",
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test"},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test", NULL},
	};
	uint8_t w[TAP_WIRE_NAME];
	char text[TAP_DNS_NAME_TEXT], longest[300];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		bool ok = tap_wire_name(rows[i].in, w, &n);

		if (ok != (rows[i].out != NULL))
			fail_msg("\"%s\"", rows[i].in);
		if (!ok)
			continue;
		assert_true(tap_wire_text(w, n, text));
		assert_string_equal(text, rows[i].out);
	}
	for (size_t i = 0; i < sizeof longest; i++)
		longest[i] = i % 2 ? '.' : 'a';
	longest[253] = '\0';
	assert_true(tap_wire_name(longest, w, &n));
	assert_int_equal(n, 255);
	longest[253] = '.';
	longest[255] = '\0';
	assert_false(tap_wire_name(longest, w, &n));
}

static void names_that_are_none(void **state)
{
	static const struct {
		uint8_t b[8];
		size_t n;
	} rows[] = {{{0}, 0},
		    {{3, 'a', 'b'}, 3},
		    {{1, 'a'}, 2},
		    {{1, 'a', 0, 0}, 4},
		    {{0xc0, 0}, 2},
		    {{64, 'a', 0}, 3},
		    {{1, 'a', 0xc0, 0x0c}, 4}};
	char text[TAP_DNS_NAME_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_false(tap_wire_text(rows[i].b, rows[i].n, text));
}

static void questions_are_built(void **state)
{
	uint8_t room[TAP_WIRE_NAME], out[TAP_WIRE_QUERY];
	struct tap_wire_question q = ask("1.2.0.192.in-addr.arpa", TAP_DNS_PTR, room);
	size_t with = tap_wire_build(&q, out), without;

	(void)state;
	assert_int_equal(with, 12 + q.len + 4 + 11);
	assert_int_equal(out[0] << 8 | out[1], 0x1234);
	assert_int_equal(out[2], 1); /* recursion desired */
	assert_memory_equal(out + 12, q.name, q.len);
	assert_int_equal(out[12 + q.len + 4 + 3] << 8 | out[12 + q.len + 4 + 4], TAP_WIRE_UDP);
	q.edns = false;
	without = tap_wire_build(&q, out);
	assert_int_equal(without, with - 11);
}

static void only_what_answers_the_question_is_ours(void **state)
{
	uint8_t room[TAP_WIRE_NAME];
	struct tap_wire_question q = ask("a.test", TAP_DNS_PTR, room);
	struct tap_wire_answer a;
	struct msg m, good;
	/* offset, bit: each of these makes it another's */
	static const struct {
		size_t at;
		uint8_t bit;
	} rows[] = {{0, 1},  {1, 1},  {2, 0x80}, {2, 0x08}, {5, 1},
		    {13, 1}, {21, 1}, {20, 1},	 {23, 1}};

	(void)state;
	head(&good, &q, 0x8180, 1, 0);
	rr_name(&good, "a.test", TAP_DNS_PTR, 60, "x.test");
	assert_int_equal(read_it(&good, &q, &a), TAP_WIRE_FOUND);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		m = good;
		m.b[rows[i].at] ^= rows[i].bit;
		if (read_it(&m, &q, &a) != TAP_WIRE_NOT_OURS)
			fail_msg("byte %zu", rows[i].at);
	}
	m = good;
	m.b[13] = 'A'; /* letters of any case */
	assert_int_equal(read_it(&m, &q, &a), TAP_WIRE_FOUND);
	for (m.n = 0; m.n < good.n; m.n++)
		assert_int_not_equal(read_it(&m, &q, &a), TAP_WIRE_FOUND);
}

static void codes_say_what_to_do(void **state)
{
	static const struct {
		unsigned flags;
		bool edns;
		enum tap_wire_kind kind;
	} rows[] = {
	    {0x8180, true, TAP_WIRE_NONE},    {0x8380, true, TAP_WIRE_TRUNCATED},
	    {0x8181, true, TAP_WIRE_NO_EDNS}, {0x8181, false, TAP_WIRE_REFUSED},
	    {0x8182, true, TAP_WIRE_REFUSED}, {0x8183, true, TAP_WIRE_NONE},
	    {0x8184, true, TAP_WIRE_NO_EDNS}, {0x8184, false, TAP_WIRE_REFUSED},
	    {0x8185, true, TAP_WIRE_REFUSED}, {0x818f, true, TAP_WIRE_REFUSED},
	};
	uint8_t room[TAP_WIRE_NAME];
	struct tap_wire_question q = ask("a.test", TAP_DNS_PTR, room);
	struct tap_wire_answer a;
	struct msg m;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		q.edns = rows[i].edns;
		head(&m, &q, rows[i].flags, 0, 0);
		assert_int_equal(read_it(&m, &q, &a), rows[i].kind);
		if (rows[i].kind == TAP_WIRE_REFUSED)
			assert_non_null(a.why);
	}
}

static void lifetimes(void **state)
{
	static const struct {
		uint32_t ttl, minimum, want;
	} rows[] = {
	    {900, 300, 300}, {100, 300, 100}, {7200, 86400, 3600}, {0x80000000U, 5, 0}, {50, 0, 0}};
	uint8_t room[TAP_WIRE_NAME];
	struct tap_wire_question q = ask("a.test", TAP_DNS_PTR, room);
	struct tap_wire_answer a;
	struct msg m;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		head(&m, &q, 0x8183, 0, 1);
		soa(&m, rows[i].ttl, rows[i].minimum);
		assert_int_equal(read_it(&m, &q, &a), TAP_WIRE_NONE);
		assert_true(a.no_name);
		assert_int_equal(a.ttl, rows[i].want);
	}
	head(&m, &q, 0x8180, 3, 0);
	rr_name(&m, "A.test", TAP_DNS_CNAME, 30, "b.test");
	rr_name(&m, "b.test", TAP_DNS_PTR, 60, "y.test");
	rr_name(&m, "b.test", TAP_DNS_PTR, 20, "x.test");
	assert_int_equal(read_it(&m, &q, &a), TAP_WIRE_FOUND);
	assert_int_equal(a.ttl, 20);
	assert_int_equal(a.hops, 1);
	assert_string_equal(a.string[0], "x.test");
}

static void records_of_other_names_do_not_count(void **state)
{
	uint8_t room[TAP_WIRE_NAME];
	struct tap_wire_question q = ask("a.test", TAP_DNS_PTR, room);
	struct tap_wire_answer a;
	struct msg m;

	(void)state;
	head(&m, &q, 0x8180, 3, 0);
	rr_name(&m, "evil.test", TAP_DNS_PTR, 60, "evil.test");
	rr_name(&m, "a.test", TAP_DNS_NS, 60, "evil.test");
	rr_name(&m, "a.test", TAP_DNS_PTR, 60, "."); /* the root is nobody's name */
	assert_int_equal(read_it(&m, &q, &a), TAP_WIRE_NONE);
}

static void aliases_are_bounded(void **state)
{
	uint8_t room[TAP_WIRE_NAME];
	struct tap_wire_question q = ask("n0.test", TAP_DNS_PTR, room);
	struct tap_wire_answer a;
	char from[16], to[16];
	struct msg m;

	(void)state;
	for (unsigned links = 1; links < 12; links++) {
		head(&m, &q, 0x8180, links + 1, 0);
		for (unsigned i = links; i > 0; i--) { /* in no order */
			snprintf(from, sizeof from, "n%u.test", i - 1);
			snprintf(to, sizeof to, "n%u.test", i);
			rr_name(&m, from, TAP_DNS_CNAME, 60, to);
		}
		snprintf(to, sizeof to, "n%u.test", links);
		rr_name(&m, to, TAP_DNS_PTR, 60, "end.test");
		assert_int_equal(read_it(&m, &q, &a),
				 links <= TAP_WIRE_HOPS ? TAP_WIRE_FOUND : TAP_WIRE_REFUSED);
	}
	head(&m, &q, 0x8180, 1, 0);
	rr_name(&m, "n0.test", TAP_DNS_CNAME, 60, "other.test");
	assert_int_equal(read_it(&m, &q, &a), TAP_WIRE_MORE);
	assert_int_equal(a.next_len, 12);
	assert_memory_equal(a.next, "\5other\4test\0", 12);
}

static void compression_loops_are_broken(void **state)
{
	/* owner and target of a record at the end of the question, as pointers */
	static const uint8_t rows[][2][2] = {
	    {{0xc0, 24}, {0xc0, 12}},
	    {{0xc0, 12}, {0xc0, 36}},
	    {{0xff, 0xff}, {0xc0, 12}},
	    {{0xc0, 12}, {0xff, 0xff}},
	};
	uint8_t room[TAP_WIRE_NAME];
	struct tap_wire_question q = ask("a.test", TAP_DNS_PTR, room);
	struct tap_wire_answer a;
	struct msg m;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		head(&m, &q, 0x8180, 1, 0);
		assert_int_equal(m.n, 24);
		raw(&m, rows[i][0], 2);
		u16(&m, TAP_DNS_PTR);
		u16(&m, 1);
		u32(&m, 60);
		u16(&m, 2);
		raw(&m, rows[i][1], 2);
		if (read_it(&m, &q, &a) != TAP_WIRE_BROKEN)
			fail_msg("row %zu", i);
	}
}

static void counts_that_lie_are_broken(void **state)
{
	uint8_t room[TAP_WIRE_NAME];
	struct tap_wire_question q = ask("a.test", TAP_DNS_PTR, room);
	struct tap_wire_answer a;
	struct msg m;

	(void)state;
	head(&m, &q, 0x8180, 65535, 65535);
	rr_name(&m, "a.test", TAP_DNS_PTR, 60, "x.test");
	assert_int_equal(read_it(&m, &q, &a), TAP_WIRE_BROKEN);
	head(&m, &q, 0x8180, 1, 0);
	rr_name(&m, "a.test", TAP_DNS_PTR, 60, "x.test");
	m.b[m.n - 9] = 0xff; /* the record's length */
	assert_int_equal(read_it(&m, &q, &a), TAP_WIRE_BROKEN);
}

static void a_full_arena_is_said(void **state)
{
	struct tap_arena *small = tap_arena_new(8);
	uint8_t room[TAP_WIRE_NAME];
	struct tap_wire_question q = ask("a.test", TAP_DNS_PTR, room);
	struct tap_wire_answer a;
	struct msg m;

	(void)state;
	head(&m, &q, 0x8180, 1, 0);
	rr_name(&m, "a.test", TAP_DNS_PTR, 60, "x.test");
	assert_int_equal(tap_wire_read(m.b, m.n, &q, small, &a), TAP_WIRE_FULL);
	tap_arena_free(&small);
}

static void addresses_as_names(void **state)
{
	static const struct {
		const char *text, *canonical, *arpa;
	} rows[] = {
	    {"192.0.2.1", "192.0.2.1", "1.2.0.192.in-addr.arpa"},
	    {"::ffff:192.0.2.1", "192.0.2.1", "1.2.0.192.in-addr.arpa"},
	    {"2001:DB8:0::1", "2001:db8::1",
	     "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
	    {"192.0.2", NULL, NULL},
	    {"", NULL, NULL},
	    {"192.0.2.1 ", NULL, NULL},
	    {"fe80::1%eth0", NULL, NULL},
	};
	char text[TAP_IPADDR_TEXT], arpa[TAP_IPADDR_ARPA];
	struct tap_ipaddr a;

	(void)state;
	assert_false(tap_ipaddr_parse(NULL, &a));
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(tap_ipaddr_parse(rows[i].text, &a), rows[i].canonical != NULL);
		if (rows[i].canonical == NULL)
			continue;
		tap_ipaddr_text(&a, text);
		tap_ipaddr_arpa(&a, arpa);
		assert_string_equal(text, rows[i].canonical);
		assert_string_equal(arpa, rows[i].arpa);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_both_ways),
	    cmocka_unit_test(names_that_are_none),
	    cmocka_unit_test(questions_are_built),
	    cmocka_unit_test(only_what_answers_the_question_is_ours),
	    cmocka_unit_test(codes_say_what_to_do),
	    cmocka_unit_test(lifetimes),
	    cmocka_unit_test(records_of_other_names_do_not_count),
	    cmocka_unit_test(aliases_are_bounded),
	    cmocka_unit_test(compression_loops_are_broken),
	    cmocka_unit_test(counts_that_lie_are_broken),
	    cmocka_unit_test(a_full_arena_is_said),
	    cmocka_unit_test(addresses_as_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
