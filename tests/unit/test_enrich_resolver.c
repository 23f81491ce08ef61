/* SPDX-License-Identifier: Apache-2.0
 * The resolver against a server on loopback: what honest servers answer, what hostile ones do, what silent ones cost. */
#include "dns_helper.h"

#include "enrich/address.h"

#include <pthread.h>

static const char zone[] =
    "soa SOA 900 300\n"
    "1.2.0.192.in-addr.arpa PTR 3600 Mail.Example.TEST\n"
    "mail.example.test A 600 192.0.2.1\n"
    "mail.example.test A 600 192.0.2.9\n"
    "mail.example.test AAAA 600 2001:db8::1\n"
    /* several: one leads back, and it is not the first of the alphabet */
    "2.2.0.192.in-addr.arpa PTR 3600 c.example.test\n"
    "2.2.0.192.in-addr.arpa PTR 1800 a.example.test\n"
    "2.2.0.192.in-addr.arpa PTR 3600 b.example.test\n"
    "a.example.test A 60 192.0.2.77\n"
    "b.example.test A 60 192.0.2.2\n"
    "c.example.test A 60 192.0.2.2\n"
    /* none of that type; no such name */
    "3.2.0.192.in-addr.arpa TXT 60 nothing\n"
    "5.2.0.192.in-addr.arpa PTR !servfail\n"
    "6.2.0.192.in-addr.arpa PTR !drop\n"
    "7.2.0.192.in-addr.arpa PTR !drop 2\n"
    "7.2.0.192.in-addr.arpa PTR 60 third.example.test\n"
    /* RFC 2317, in one answer and in two */
    "8.2.0.192.in-addr.arpa CNAME 500 8.0-15.2.0.192.in-addr.arpa\n"
    "8.0-15.2.0.192.in-addr.arpa PTR 3600 delegated.example.test\n"
    "9.2.0.192.in-addr.arpa CNAME 500 nine.elsewhere\n"
    "nine.elsewhere PTR 3600 second.example.test\n"
    /* long and binary names */
    "10.2.0.192.in-addr.arpa PTR 60 "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
    "11.2.0.192.in-addr.arpa PTR 60 \\000\\010<b>\\046\\255.Evil.test\n"
    "12.2.0.192.in-addr.arpa PTR !loopback\n"
    "13.2.0.192.in-addr.arpa PTR !aliasloop\n"
    "14.2.0.192.in-addr.arpa PTR !many 10000\n"
    "15.2.0.192.in-addr.arpa PTR !nosoa\n"
    "16.2.0.192.in-addr.arpa PTR !noedns\n"
    "16.2.0.192.in-addr.arpa PTR 60 plain.example.test\n"
    "17.2.0.192.in-addr.arpa PTR !truncated\n"
    "17.2.0.192.in-addr.arpa PTR 60 tcp.example.test\n"
    "18.2.0.192.in-addr.arpa PTR !notcp\n"
    "19.2.0.192.in-addr.arpa PTR !lame\n"
    "20.2.0.192.in-addr.arpa PTR !junk\n"
    "21.2.0.192.in-addr.arpa PTR !refused\n"
    "22.2.0.192.in-addr.arpa PTR 60 silent.example.test\n"
    "silent.example.test A !drop\n"
    "30.2.0.192.in-addr.arpa PTR !wrongid 50\n"
    "30.2.0.192.in-addr.arpa PTR 60 true.example.test\n"
    "31.2.0.192.in-addr.arpa PTR !wrongquestion 50\n"
    "31.2.0.192.in-addr.arpa PTR 60 true.example.test\n"
    "32.2.0.192.in-addr.arpa PTR !wrongtype\n"
    "32.2.0.192.in-addr.arpa PTR 60 true.example.test\n"
    "33.2.0.192.in-addr.arpa PTR !wrongsource 50\n"
    "33.2.0.192.in-addr.arpa PTR 60 true.example.test\n"
    "34.2.0.192.in-addr.arpa PTR !noquery\n"
    "34.2.0.192.in-addr.arpa PTR 60 true.example.test\n"
    "35.2.0.192.in-addr.arpa PTR !short 3\n"
    "35.2.0.192.in-addr.arpa PTR 60 true.example.test\n"
    "36.2.0.192.in-addr.arpa PTR !loop 3\n"
    "36.2.0.192.in-addr.arpa PTR 60 true.example.test\n"
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR 60 "
    "mail.example.test\n"
    "example.test MX 60 20 b.example.test\n"
    "example.test MX 60 5 a.example.test\n"
    "example.test MX 60 10 c.example.test\n"
    "example.test NS 60 ns2.example.test\n"
    "example.test NS 60 ns1.example.test\n"
    "_dmarc.example.test TXT 60 v=DMARC1; p=none\\000\\009; "
    "rua=mailto:"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"
    "www.example.test CNAME 60 mail.example.test\n";

static struct dns_server server;
static struct tap_resolver *resolver;
static struct tap_arena *arena;

static int setup(void **state)
{
	if (dir_setup(state) != 0)
		return -1;
	server = dns_start(zone, NULL);
	arena = tap_arena_new(64 << 20);
	return 0;
}

static int teardown(void **state)
{
	dns_stop(&server);
	tap_arena_free(&arena);
	return dir_teardown(state);
}

static int open_one(void **state)
{
	char *one[] = {server.address};

	(void)state;
	resolver = dns_open(one, 1, 400 * SLOW);
	return 0;
}

static int close_one(void **state)
{
	(void)state;
	tap_resolver_free(&resolver);
	tap_arena_reset(arena);
	return 0;
}

static struct tap_dns_answer ptr(const char *address)
{
	return dns_ask(resolver, arena, address, TAP_DNS_PTR, true);
}

static void named(const char *address, const char *name, bool confirmed)
{
	struct tap_dns_answer a = ptr(address);

	if (a.state != TAP_DNS_ANSWER)
		fail_msg("%s: state %d, %s", address, a.state, a.why ? a.why : "");
	assert_string_equal(a.string[0], name);
	assert_int_equal(a.confirmed, confirmed);
}

static void t_en_3_one_and_many(void **state)
{
	struct tap_dns_answer a;

	(void)state;
	named("192.0.2.1", "mail.example.test", true);
	named("::ffff:192.0.2.1", "mail.example.test", true);
	named("2001:db8::1", "mail.example.test", true);
	a = ptr("192.0.2.2");
	assert_int_equal(a.n, 3);
	assert_int_equal(a.ttl, 1800);
	assert_true(a.confirmed);
	assert_string_equal(a.string[0], "b.example.test");
	assert_string_equal(a.string[1], "a.example.test");
	assert_string_equal(a.string[2], "c.example.test");
	a = dns_ask(resolver, arena, "192.0.2.2", TAP_DNS_PTR, false);
	assert_string_equal(a.string[0], "a.example.test");
	assert_false(a.confirmed);
}

static void t_en_3_none_and_failures(void **state)
{
	struct tap_dns_answer a = ptr("192.0.2.3");

	(void)state;
	assert_int_equal(a.state, TAP_DNS_NONE);
	assert_false(a.no_name);
	assert_int_equal(a.ttl, 300);
	a = ptr("192.0.2.4");
	assert_int_equal(a.state, TAP_DNS_NONE);
	assert_true(a.no_name);
	assert_int_equal(a.ttl, 300);
	a = ptr("192.0.2.15");
	assert_int_equal(a.state, TAP_DNS_NONE);
	assert_int_equal(a.ttl, 0);
	a = ptr("192.0.2.5");
	assert_int_equal(a.state, TAP_DNS_FAILED);
	assert_string_equal(a.why, "the server says SERVFAIL");
	a = ptr("192.0.2.21");
	assert_string_equal(a.why, "the server says REFUSED");
	a = ptr("192.0.2.19");
	assert_int_equal(a.state, TAP_DNS_FAILED);
	a = ptr("not an address");
	assert_int_equal(a.state, TAP_DNS_FAILED);
}

static void t_en_3_timeouts(void **state)
{
	int64_t before = tap_clock_mono_ms();
	struct tap_dns_answer a = ptr("192.0.2.6");

	(void)state;
	assert_int_equal(a.state, TAP_DNS_FAILED);
	assert_true(tap_clock_mono_ms() - before < 3L * 400 * SLOW);
	named("192.0.2.7", "third.example.test", false); /* the first two are lost */
	a = ptr("192.0.2.22");
	assert_int_equal(a.state, TAP_DNS_ANSWER);
	assert_true(a.unsure && !a.confirmed);
}

static void t_en_3_aliases(void **state)
{
	struct tap_dns_answer a = ptr("192.0.2.8");

	(void)state;
	assert_int_equal(a.ttl, 500);
	named("192.0.2.8", "delegated.example.test", false);
	a = ptr("192.0.2.9");
	assert_int_equal(a.ttl, 500);
	named("192.0.2.9", "second.example.test", false);
	a = ptr("192.0.2.13");
	assert_int_equal(a.state, TAP_DNS_FAILED);
	assert_string_equal(a.why, "aliases that lead nowhere");
}

static void t_en_3_long_and_binary_names(void **state)
{
	struct tap_dns_answer a = ptr("192.0.2.10");

	(void)state;
	assert_int_equal(a.state, TAP_DNS_ANSWER);
	assert_int_equal(strlen(a.string[0]), 253);
	named("192.0.2.11", "\\000\\010\\060b\\062\\046\\255.evil.test", false);
}

static void t_en_3_loops(void **state)
{
	struct tap_dns_answer a = ptr("192.0.2.12");

	(void)state;
	assert_int_equal(a.state, TAP_DNS_FAILED);
	a = ptr("192.0.2.20");
	assert_int_equal(a.state, TAP_DNS_FAILED);
}

static void forged_answers_are_ignored(void **state)
{
	char address[32];

	(void)state;
	for (int i = 30; i <= 36; i++) {
		snprintf(address, sizeof address, "192.0.2.%d", i);
		named(address, "true.example.test", false);
	}
}

static void many_names_are_bounded(void **state)
{
	struct tap_resolver_stats s;
	struct tap_dns_answer a;

	(void)state;
	/* the names alone: what is confirmed of them all does not exist */
	a = ptr("192.0.2.14");
	assert_int_equal(a.state, TAP_DNS_ANSWER);
	assert_true(a.cut);
	assert_int_equal(a.n, 10);
	assert_string_equal(a.string[0], "00000.many.test");
	tap_resolver_stats(resolver, &s);
	assert_int_equal(s.tcp, 1);
	assert_in_range(s.queries, 11,
			100); /* it and ten names, some of them twice on a slow machine */
}

static void truncation_and_edns(void **state)
{
	struct tap_resolver_stats s;
	struct tap_dns_answer a;

	(void)state;
	named("192.0.2.17", "tcp.example.test", false);
	a = ptr("192.0.2.18");
	assert_int_equal(a.state, TAP_DNS_FAILED);
	named("192.0.2.16", "plain.example.test", false);
	tap_resolver_stats(resolver, &s);
	assert_true(s.tcp >= 2);
	named("192.0.2.1", "mail.example.test", true); /* without EDNS from now on */
}

static void other_types(void **state)
{
	struct tap_dns_answer a = dns_ask(resolver, arena, "Example.test.", TAP_DNS_MX, false);

	(void)state;
	assert_int_equal(a.n, 3);
	assert_string_equal(a.string[0], "5 a.example.test");
	assert_string_equal(a.string[1], "10 c.example.test");
	assert_string_equal(a.string[2], "20 b.example.test");
	a = dns_ask(resolver, arena, "example.test", TAP_DNS_NS, false);
	assert_int_equal(a.n, 2);
	assert_string_equal(a.string[0], "ns1.example.test");
	a = dns_ask(resolver, arena, "_dmarc.example.test", TAP_DNS_TXT, false);
	assert_int_equal(a.n, 1);
	assert_int_equal(strncmp(a.string[0], "v=DMARC1; p=none\\000\t; rua=mailto:xx", 36), 0);
	assert_true(strlen(a.string[0]) > 255);
	a = dns_ask(resolver, arena, "www.example.test", TAP_DNS_AAAA, false);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.string[0], "2001:db8::1");
	a = dns_ask(resolver, arena, "www.example.test", TAP_DNS_CNAME, false);
	assert_string_equal(a.string[0], "mail.example.test");
	a = dns_ask(resolver, arena, "nowhere.example.test", TAP_DNS_A, false);
	assert_int_equal(a.state, TAP_DNS_NONE);
	assert_true(a.no_name);
	a = dns_ask(resolver, arena, "", TAP_DNS_A, false);
	assert_int_equal(a.state, TAP_DNS_FAILED);
	a = dns_ask(resolver, arena, "a..b", TAP_DNS_A, false);
	assert_int_equal(a.state, TAP_DNS_FAILED);
}

static void t_en_4_private_addresses_are_not_asked_for(void **state)
{
	static const char *const addresses[] = {
	    "0.1.2.3",	     "10.0.0.1",
	    "100.64.0.1",    "100.127.255.255",
	    "127.0.0.1",     "169.254.9.9",
	    "172.16.0.1",    "172.31.255.1",
	    "192.0.0.8",     "192.0.2.1",
	    "192.168.1.1",   "198.18.0.1",
	    "198.19.255.1",  "198.51.100.1",
	    "203.0.113.1",   "224.0.0.1",
	    "255.1.1.1",     "::",
	    "::1",	     "fc00::1",
	    "fdff::1",	     "fe80::1",
	    "febf::1",	     "ff02::1",
	    "2001:db8:1::1", "::ffff:10.1.1.1",
	};
	static const char *const public[] = {"1.0.0.1",	    "9.255.255.255", "11.0.0.1",
					     "100.63.0.1",  "100.128.0.1",   "172.32.0.1",
					     "192.0.1.1",   "198.20.0.1",    "223.255.255.255",
					     "2001:db7::1", "fbff::1",	     "2a00::1"};
	enum { N = sizeof addresses / sizeof addresses[0] };
	char *one[] = {server.address};
	struct tap_dns_settings set = {
	    .nameservers = {one, 1}, .timeout_ms = 1000, .tries = 8, .in_flight = 10};
	struct tap_dns_question q[N];
	struct tap_dns_answer a[N];
	struct tap_resolver_stats s;
	struct tap_resolver *r;
	struct tap_ipaddr ip;
	struct tap_err err;
	int before = dns_count(&server);

	(void)state;
	for (size_t i = 0; i < N; i++)
		q[i] = (struct tap_dns_question){addresses[i], TAP_DNS_PTR, true};
	assert_int_equal(tap_resolver_open(&set, &r, &err), TAP_OK);
	assert_int_equal(tap_resolver_batch(r, q, N, 0, arena, a, &err), TAP_OK);
	for (size_t i = 0; i < N; i++) {
		if (a[i].state != TAP_DNS_NONE || !a[i].private)
			fail_msg("%s was asked for", addresses[i]);
	}
	tap_resolver_stats(r, &s);
	assert_int_equal(s.queries, 0);
	assert_int_equal(dns_count(&server), before);
	tap_resolver_free(&r);
	for (size_t i = 0; i < sizeof public / sizeof public[0]; i++) {
		assert_true(tap_ipaddr_parse(public[i], &ip));
		if (tap_ipaddr_private(&ip))
			fail_msg("%s is not private", public[i]);
	}
}

static void t_en_5_one_address_is_asked_for_once(void **state)
{
	enum { N = 1000 };
	static struct tap_dns_question q[N];
	static struct tap_dns_answer a[N];
	struct tap_resolver_stats s;
	struct tap_err err;
	int before = dns_count(&server);

	(void)state;
	for (size_t i = 0; i < N; i++)
		q[i] = (struct tap_dns_question){i % 2 ? "192.0.2.1" : "::ffff:192.0.2.1",
						 TAP_DNS_PTR, false};
	assert_int_equal(tap_resolver_batch(resolver, q, N, 0, arena, a, &err), TAP_OK);
	for (size_t i = 0; i < N; i++)
		assert_string_equal(a[i].string[0], "mail.example.test");
	tap_resolver_stats(resolver, &s);
	assert_int_equal(s.queries, 1);
	assert_int_equal(dns_count(&server), before + 1);
}

/* --- many, slow, lost --- */

static void fill(char (*text)[TAP_IPADDR_TEXT], struct tap_dns_question *q, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		snprintf(text[i], TAP_IPADDR_TEXT, "20.%zu.%zu.%zu", i >> 16 & 255, i >> 8 & 255,
			 i & 255);
		q[i] = (struct tap_dns_question){text[i], TAP_DNS_PTR, true};
	}
}

static void all_right_with_delay_and_loss(void **state)
{
	enum { N = 1000 };
	static char text[N][TAP_IPADDR_TEXT];
	static struct tap_dns_question q[N];
	static struct tap_dns_answer a[N];
	static const char *const options[] = {"--delay", "20", "--loss", "0.05", NULL};
	struct dns_server s = dns_start("generate PTR 3600\n", options);
	char *one[] = {s.address};
	struct tap_resolver *r = dns_open(one, 1, 2000 * SLOW);
	struct tap_err err;

	(void)state;
	fill(text, q, N);
	assert_int_equal(tap_resolver_batch(r, q, N, 0, arena, a, &err), TAP_OK);
	for (size_t i = 0; i < N; i++) {
		char want[64];

		snprintf(want, sizeof want, "host-20-%zu-%zu-%zu.generated.test", i >> 16 & 255,
			 i >> 8 & 255, i & 255);
		assert_int_equal(a[i].state, TAP_DNS_ANSWER);
		assert_string_equal(a[i].string[0], want);
		assert_true(a[i].confirmed);
	}
	tap_resolver_free(&r);
	dns_stop(&s);
}

static void silence_is_given_up_once(void **state)
{
	enum { N = 1000, TIMEOUT = 300 };
	static char text[N][TAP_IPADDR_TEXT];
	static struct tap_dns_question q[N];
	static struct tap_dns_answer a[N];
	static const char *const options[] = {"--silent", NULL};
	struct dns_server s = dns_start("", options);
	char *one[] = {s.address};
	struct tap_resolver *r = dns_open(one, 1, TIMEOUT * SLOW);
	struct tap_resolver_stats stats;
	struct tap_err err;
	int64_t before = tap_clock_mono_ms(), took;
	uint64_t sent;

	(void)state;
	fill(text, q, N);
	assert_int_equal(tap_resolver_batch(r, q, N, 0, arena, a, &err), TAP_OK);
	took = tap_clock_mono_ms() - before;
	for (size_t i = 0; i < N; i++)
		assert_int_equal(a[i].state, TAP_DNS_FAILED);
	if (took > 3L * TIMEOUT * SLOW)
		fail_msg("took %ld ms", (long)took);
	tap_resolver_stats(r, &stats);
	assert_true(stats.silent);
	sent = stats.queries;
	before = tap_clock_mono_ms();
	assert_int_equal(tap_resolver_batch(r, q, N, 0, arena, a, &err), TAP_OK);
	assert_true(tap_clock_mono_ms() - before < (int64_t)TIMEOUT * SLOW);
	tap_resolver_stats(r, &stats);
	assert_int_equal(stats.queries, sent);
	assert_int_equal(a[0].state, TAP_DNS_FAILED);
	tap_resolver_free(&r);
	dns_stop(&s);
}

static void a_dead_server_does_not_stop_the_others(void **state)
{
	enum { N = 300 };
	static char text[N][TAP_IPADDR_TEXT];
	static struct tap_dns_question q[N];
	static struct tap_dns_answer a[N];
	static const char *const silent[] = {"--silent", NULL};
	struct dns_server dead = dns_start("", silent), s = dns_start("generate PTR 60\n", NULL);
	/* nobody listens; an address that cannot be reached; a server that says nothing */
	char *servers[] = {"127.0.0.1:1", "[100::1]:53", dead.address, s.address};
	struct tap_resolver *r = dns_open(servers, 4, 1000 * SLOW);
	struct tap_err err;

	(void)state;
	fill(text, q, N);
	assert_int_equal(tap_resolver_batch(r, q, N, 0, arena, a, &err), TAP_OK);
	for (size_t i = 0; i < N; i++) {
		if (a[i].state != TAP_DNS_ANSWER)
			fail_msg("%s: %s", text[i], a[i].why);
	}
	tap_resolver_free(&r);
	dns_stop(&dead);
	dns_stop(&s);
}

static void a_deadline_is_kept(void **state)
{
	struct tap_dns_question q = {"192.0.2.6", TAP_DNS_PTR, true};
	struct tap_dns_answer a;
	struct tap_err err;
	int64_t before = tap_clock_mono_ms();

	(void)state;
	assert_int_equal(tap_resolver_batch(resolver, &q, 1, before + 50, arena, &a, &err), TAP_OK);
	assert_int_equal(a.state, TAP_DNS_FAILED);
	assert_string_equal(a.why, "out of time");
	assert_true(tap_clock_mono_ms() - before < 400L * SLOW);
}

static void *cancel_soon(void *ctx)
{
	usleep(50 * 1000);
	tap_resolver_cancel(ctx);
	return NULL;
}

static void another_thread_cancels(void **state)
{
	struct tap_dns_question q = {"192.0.2.6", TAP_DNS_PTR, true};
	char *one[] = {server.address};
	struct tap_resolver *r = dns_open(one, 1, 20000);
	struct tap_dns_answer a;
	struct tap_err err;
	pthread_t t;
	int64_t before = tap_clock_mono_ms();

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, cancel_soon, r), 0);
	assert_int_equal(tap_resolver_batch(r, &q, 1, 0, arena, &a, &err), TAP_E_CANCELLED);
	assert_true(tap_clock_mono_ms() - before < 10000);
	assert_int_equal(a.state, TAP_DNS_FAILED);
	assert_int_equal(tap_resolver_batch(r, &q, 1, 0, arena, &a, &err), TAP_E_CANCELLED);
	pthread_join(t, NULL);
	tap_resolver_resume(r);
	a = dns_ask(r, arena, "192.0.2.1", TAP_DNS_PTR, true);
	assert_int_equal(a.state, TAP_DNS_ANSWER);
	tap_resolver_free(&r);
}

static void *ask_many(void *ctx)
{
	struct tap_arena *a = tap_arena_new(1 << 20);

	for (int i = 0; i < 20; i++) {
		struct tap_dns_answer answer =
		    dns_ask(ctx, a, i % 2 ? "192.0.2.1" : "192.0.2.2", TAP_DNS_PTR, true);

		if (answer.state != TAP_DNS_ANSWER || !answer.confirmed)
			abort();
	}
	tap_arena_free(&a);
	return NULL;
}

static void threads_share_a_resolver(void **state)
{
	pthread_t t[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, ask_many, resolver), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static void answers_too_large_for_the_arena(void **state)
{
	struct tap_dns_question q = {"192.0.2.10", TAP_DNS_PTR, false};
	struct tap_arena *small = tap_arena_new(64);
	struct tap_dns_answer a;
	struct tap_err err;

	(void)state;
	assert_int_equal(tap_resolver_batch(resolver, &q, 1, 0, small, &a, &err), TAP_E_LIMIT);
	tap_arena_free(&small);
}

static void nameservers_as_written(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
	    {"127.0.0.1", true},
	    {"127.0.0.1:5353", true},
	    {"::1", true},
	    {"[::1]", true},
	    {"[::1]:5353", true},
	    {"system", true},
	    {"localhost", false},
	    {"127.0.0.1:0", false},
	    {"127.0.0.1:65536", false},
	    {"127.0.0.1:53x", false},
	    {"[::1", false},
	    {"[::1]x", false},
	    {"", false},
	    {"fe80::1%nowhere", false},
	    {"fe80::1%lo", true},
	    {"1.2.3.4:", false},
	};
	struct tap_resolver *r;
	struct tap_err err;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *one[] = {(char *)rows[i].text};
		struct tap_dns_settings set = {.nameservers = {one, 1}, .timeout_ms = 1000};
		enum tap_rc rc = tap_resolver_open(&set, &r, &err);

		if ((rc == TAP_OK) != rows[i].good)
			fail_msg("%s", rows[i].text);
		tap_resolver_free(&r);
	}
}

int main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, open_one, close_one)
	const struct CMUnitTest tests[] = {
	    WITH(t_en_3_one_and_many),
	    WITH(t_en_3_none_and_failures),
	    WITH(t_en_3_timeouts),
	    WITH(t_en_3_aliases),
	    WITH(t_en_3_long_and_binary_names),
	    WITH(t_en_3_loops),
	    WITH(forged_answers_are_ignored),
	    WITH(many_names_are_bounded),
	    WITH(truncation_and_edns),
	    WITH(other_types),
	    WITH(t_en_4_private_addresses_are_not_asked_for),
	    WITH(t_en_5_one_address_is_asked_for_once),
	    WITH(all_right_with_delay_and_loss),
	    WITH(silence_is_given_up_once),
	    WITH(a_dead_server_does_not_stop_the_others),
	    WITH(a_deadline_is_kept),
	    WITH(another_thread_cancels),
	    WITH(threads_share_a_resolver),
	    WITH(answers_too_large_for_the_arena),
	    WITH(nameservers_as_written),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
