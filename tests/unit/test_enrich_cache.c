/* SPDX-License-Identifier: Apache-2.0
 * The cache of names: lifetimes, bounds, one flight for many threads, damage; and the one call of enrich.h over it. */
#include "dns_helper.h"

#include "enrich/cache.h"
#include "enrich/enrich.h"

#include <pthread.h>
#include <sys/stat.h>

enum { NOW = 1800000000 };

static struct tap_arena *arena;

static int setup(void **state)
{
	arena = tap_arena_new(16 << 20);
	return dir_setup(state);
}

static int teardown(void **state)
{
	tap_arena_free(&arena);
	return dir_teardown(state);
}

static int fresh(void **state)
{
	(void)state;
	(void)unlink(in_dir("c.db"));
	(void)unlink(in_dir("c.db.damaged"));
	tap_clock_set_for_test(NOW);
	return 0;
}

static int real_clock(void **state)
{
	(void)state;
	tap_clock_set_for_test(0);
	return 0;
}

static struct tap_cache *open_cache(const char *path, int64_t max)
{
	struct tap_cache *c = NULL;
	struct tap_err err = {0};

	if (tap_cache_open(path, max, &c, &err))
		fail_msg("%s", err.msg);
	return c;
}

static struct tap_ipaddr ip(const char *text)
{
	struct tap_ipaddr a;

	assert_true(tap_ipaddr_parse(text, &a));
	return a;
}

static enum tap_cache_state claim(struct tap_cache *c, const char *text, struct tap_cache_entry *e)
{
	struct tap_ipaddr a = ip(text);
	enum tap_cache_state s;
	struct tap_err err;

	assert_int_equal(tap_cache_claim(c, &a, 1, arena, &s, e, &err), TAP_OK);
	return s;
}

static void put(struct tap_cache *c, const char *text, const char *name, int64_t ttl)
{
	struct tap_ipaddr a = ip(text);
	struct tap_cache_entry e = {name, name != NULL, tap_clock_now(), tap_clock_now() + ttl};

	tap_cache_put(c, &a, &e, 1);
}

static void known(struct tap_cache *c, const char *text, const char *name)
{
	struct tap_cache_entry e;

	assert_int_equal(claim(c, text, &e), TAP_CACHE_HIT);
	if (name == NULL)
		assert_null(e.name);
	else
		assert_string_equal(e.name, name);
	assert_int_equal(e.confirmed, name != NULL);
}

static void names_live_as_long_as_they_may(void **state)
{
	struct tap_cache *c = open_cache(in_dir("c.db"), 1000);
	struct tap_cache_entry e;

	(void)state;
	assert_int_equal(claim(c, "192.0.2.1", &e), TAP_CACHE_MINE);
	put(c, "192.0.2.1", "a.example", 100);
	put(c, "2001:db8::1", NULL, 50);
	known(c, "192.0.2.1", "a.example");
	known(c, "::ffff:192.0.2.1", "a.example");
	known(c, "2001:db8::1", NULL);
	tap_cache_free(&c);
	c = open_cache(in_dir("c.db"), 1000);
	tap_clock_set_for_test(NOW + 49);
	known(c, "192.0.2.1", "a.example");
	known(c, "2001:db8::1", NULL);
	tap_clock_set_for_test(NOW + 50);
	assert_int_equal(claim(c, "2001:db8::1", &e), TAP_CACHE_MINE);
	tap_clock_set_for_test(NOW + 100);
	assert_int_equal(claim(c, "192.0.2.1", &e), TAP_CACHE_MINE);
	tap_cache_free(&c);
}

static void in_memory_without_a_path(void **state)
{
	struct tap_cache *c = open_cache(NULL, 1000);
	struct tap_cache_entry e;

	(void)state;
	put(c, "192.0.2.1", "a.example", 100);
	known(c, "192.0.2.1", "a.example");
	tap_cache_free(&c);
	c = open_cache("", 1000);
	assert_int_equal(claim(c, "192.0.2.1", &e), TAP_CACHE_MINE);
	tap_cache_free(&c);
}

struct seen {
	int rows;
	char first[TAP_IPADDR_TEXT], name[64];
	int stop_at;
};

static bool see(void *ctx, const struct tap_cache_row *r)
{
	struct seen *s = ctx;

	if (s->rows++ == 0) {
		snprintf(s->first, sizeof s->first, "%s", r->address);
		snprintf(s->name, sizeof s->name, "%s", r->entry.name ? r->entry.name : "-");
	}
	return s->rows != s->stop_at;
}

static void the_soonest_to_expire_make_room(void **state)
{
	enum { MAX = 100, N = 500 };
	struct tap_cache *c = open_cache(in_dir("c.db"), MAX);
	struct tap_cache_entry e;
	struct seen s = {0};
	struct tap_err err;
	char text[32];

	(void)state;
	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof text, "20.0.%d.%d", i / 256, i % 256);
		put(c, text, "x.example", 1000 + i);
	}
	assert_int_equal(tap_cache_look(in_dir("c.db"), NULL, see, &s, &err), TAP_OK);
	assert_in_range(s.rows, MAX * 9 / 10, MAX);
	known(c, "20.0.1.243", "x.example"); /* the last */
	assert_int_equal(claim(c, "20.0.0.0", &e), TAP_CACHE_MINE);
	tap_cache_free(&c);
}

static void others_look_and_flush_beside_it(void **state)
{
	struct tap_cache *c = open_cache(in_dir("c.db"), 1000);
	struct tap_cache_entry e;
	struct seen s = {0};
	struct tap_err err;
	int64_t gone;

	(void)state;
	put(c, "192.0.2.2", "b.example", 100);
	put(c, "192.0.2.1", "a.example", 100);
	put(c, "192.0.2.3", NULL, 10);
	assert_int_equal(tap_cache_look(in_dir("c.db"), NULL, see, &s, &err), TAP_OK);
	assert_int_equal(s.rows, 3);
	assert_string_equal(s.first, "192.0.2.1");
	assert_string_equal(s.name, "a.example");
	s = (struct seen){.stop_at = 2};
	assert_int_equal(tap_cache_look(in_dir("c.db"), NULL, see, &s, &err), TAP_OK);
	assert_int_equal(s.rows, 2);
	s = (struct seen){0};
	assert_int_equal(tap_cache_look(in_dir("c.db"), "192.0.2.3", see, &s, &err), TAP_OK);
	assert_int_equal(s.rows, 1);
	assert_string_equal(s.name, "-");
	tap_clock_set_for_test(NOW + 20);
	s = (struct seen){0};
	assert_int_equal(tap_cache_look(in_dir("c.db"), "192.0.2.3", see, &s, &err), TAP_OK);
	assert_int_equal(s.rows, 0);
	assert_int_equal(tap_cache_look(in_dir("c.db"), "x", see, &s, &err), TAP_E_DATA);
	assert_int_equal(tap_cache_look(in_dir("no.db"), NULL, see, &s, &err), TAP_E_NOTFOUND);

	assert_int_equal(tap_cache_flush(in_dir("c.db"), "192.0.2.1", &gone, &err), TAP_OK);
	assert_int_equal(gone, 1);
	assert_int_equal(claim(c, "192.0.2.1", &e), TAP_CACHE_MINE);
	known(c, "192.0.2.2", "b.example");
	assert_int_equal(tap_cache_flush(in_dir("c.db"), NULL, &gone, &err), TAP_OK);
	assert_int_equal(gone, 2);
	assert_int_equal(claim(c, "192.0.2.2", &e), TAP_CACHE_MINE);
	put(c, "192.0.2.2", "b.example", 100); /* it goes on working */
	known(c, "192.0.2.2", "b.example");
	tap_cache_free(&c);
}

static void a_damaged_file_is_put_aside(void **state)
{
	struct tap_cache *c;
	struct stat st;

	(void)state;
	put_file(in_dir("c.db"), "this is no database at all, whatever its name says; "
				 "it only has to be longer than a header of a hundred bytes.");
	c = open_cache(in_dir("c.db"), 1000);
	assert_int_equal(stat(in_dir("c.db.damaged"), &st), 0);
	put(c, "192.0.2.1", "a.example", 100);
	known(c, "192.0.2.1", "a.example");
	tap_cache_free(&c);
}

/* The header stays whole but for its change counter; all pages behind it are overwritten. */
static void spoil(const char *path)
{
	FILE *f = fopen(path, "r+e");
	char junk[4096];
	struct stat st;

	assert_non_null(f);
	assert_int_equal(stat(path, &st), 0);
	memset(junk, 0xa5, sizeof junk);
	assert_int_equal(fseek(f, 27, SEEK_SET), 0);
	assert_int_equal(fputc(0x77, f), 0x77);
	assert_int_equal(fseek(f, 4096, SEEK_SET), 0);
	for (long at = 4096; at < st.st_size; at += 4096)
		assert_int_equal(fwrite(junk, 1, sizeof junk, f), sizeof junk);
	assert_int_equal(fclose(f), 0);
}

static void damage_while_it_is_in_use(void **state)
{
	struct tap_cache *c = open_cache(in_dir("c.db"), 1000), *again;
	struct tap_cache_entry e;
	struct stat st;
	char text[32];

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof text, "20.0.0.%d", i);
		put(c, text, "some-longer-name.example", 1000);
	}
	spoil(in_dir("c.db"));
	assert_int_equal(claim(c, "20.0.0.1", &e), TAP_CACHE_MINE);
	put(c, "20.0.0.1", "new.example", 1000);
	known(c, "20.0.0.1", "new.example");
	assert_int_equal(stat(in_dir("c.db.damaged"), &st), 0);
	again = open_cache(in_dir("c.db"), 1000); /* the new file is a file */
	known(again, "20.0.0.1", "new.example");
	tap_cache_free(&again);
	tap_cache_free(&c);
}

static void a_place_that_cannot_be_used(void **state)
{
	struct tap_cache *c;
	struct tap_err err;

	(void)state;
	assert_int_not_equal(tap_cache_open(in_dir("none/c.db"), 10, &c, &err), TAP_OK);
	assert_null(c);
	assert_has(err.msg, "enrich.cache");
}

/* --- one flight --- */

struct racer {
	struct tap_cache *c;
	int found_out;
};

static void *race(void *ctx)
{
	struct racer *r = ctx;
	struct tap_arena *a = tap_arena_new(1 << 16);
	struct tap_ipaddr addr = ip("192.0.2.1");
	enum tap_cache_state s = TAP_CACHE_OTHERS;
	struct tap_cache_entry e;
	struct tap_err err;

	while (s != TAP_CACHE_HIT) {
		if (tap_cache_claim(r->c, &addr, 1, a, &s, &e, &err) != TAP_OK)
			abort();
		if (s == TAP_CACHE_MINE) {
			usleep(20000);
			r->found_out++;
			put(r->c, "192.0.2.1", "a.example", 100);
		} else if (s == TAP_CACHE_OTHERS) {
			(void)tap_cache_wait(r->c, &addr, tap_clock_mono_ms() + 10000);
		}
	}
	if (strcmp(e.name, "a.example") != 0)
		abort();
	tap_arena_free(&a);
	return NULL;
}

static void one_finds_out_for_all(void **state)
{
	enum { N = 8 };
	struct tap_cache *c = open_cache(in_dir("c.db"), 1000);
	struct racer r[N];
	pthread_t t[N];
	int sum = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		r[i] = (struct racer){c, 0};
		assert_int_equal(pthread_create(&t[i], NULL, race, &r[i]), 0);
	}
	for (int i = 0; i < N; i++) {
		pthread_join(t[i], NULL);
		sum += r[i].found_out;
	}
	assert_int_equal(sum, 1);
	tap_cache_free(&c);
}

static void who_gives_up_leaves_it_to_the_next(void **state)
{
	struct tap_cache *c = open_cache(in_dir("c.db"), 1000);
	struct tap_ipaddr a = ip("192.0.2.1");
	struct tap_cache_entry e;

	(void)state;
	assert_int_equal(claim(c, "192.0.2.1", &e), TAP_CACHE_MINE);
	assert_int_equal(claim(c, "192.0.2.1", &e), TAP_CACHE_OTHERS);
	assert_false(tap_cache_wait(c, &a, tap_clock_mono_ms() + 20));
	tap_cache_giveup(c, &a, 1);
	assert_true(tap_cache_wait(c, &a, tap_clock_mono_ms() + 20));
	assert_int_equal(claim(c, "192.0.2.1", &e), TAP_CACHE_MINE);
	tap_cache_free(&c);
}

/* --- the one call --- */

static struct tap_enrich *enrich_open(struct dns_server *s, const char *path, bool query_private)
{
	char *one[] = {s->address};
	struct tap_dns_settings dns = {.nameservers = {one, 1},
				       .timeout_ms = 400 * SLOW,
				       .tries = 8,
				       .in_flight = 100,
				       .query_private = query_private};
	struct tap_enrich_settings set = {
	    .confirm = true, .cache = (char *)path, .cache_entries = 1000};
	struct tap_enrich *e = NULL;
	struct tap_err err = {0};

	if (tap_enrich_open(&set, &dns, &e, &err))
		fail_msg("%s", err.msg);
	return e;
}

static const char zone[] = "soa SOA 7200 7200\n"
			   "1.0.0.20.in-addr.arpa PTR 3600 mail.example.test\n"
			   "mail.example.test A 3600 20.0.0.1\n"
			   "2.0.0.20.in-addr.arpa PTR 10 liar.example.test\n"
			   "liar.example.test A 60 20.0.0.9\n"
			   "4.0.0.20.in-addr.arpa PTR !servfail\n"
			   "5.0.0.20.in-addr.arpa PTR 90000 unsure.example.test\n"
			   "unsure.example.test A !servfail\n";

static void t_en_5_names_are_remembered_and_failures_are_not(void **state)
{
	static const char *const address[] = {"20.0.0.1",	 "20.0.0.2", "20.0.0.3",
					      "20.0.0.4",	 "20.0.0.5", "20.0.0.1",
					      "::ffff:20.0.0.1", "10.0.0.1", "garbage"};
	enum { N = sizeof address / sizeof address[0] };
	struct dns_server s = dns_start(zone, NULL);
	struct tap_enrich *e = enrich_open(&s, in_dir("c.db"), false);
	struct tap_enrich_result r[N];
	struct tap_enrich_stats stats;
	struct tap_err err;
	uint64_t queries;

	(void)state;
	assert_int_equal(tap_enrich_batch(e, address, N, 0, arena, r, &err), TAP_OK);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(r[i].state, i == 3 ? TAP_ENRICH_PENDING : TAP_ENRICH_DONE);
	assert_string_equal(r[0].info.reverse_dns, "mail.example.test");
	assert_string_equal(r[5].info.reverse_dns, "mail.example.test");
	assert_string_equal(r[6].info.reverse_dns, "mail.example.test");
	assert_true(r[0].confirmed && r[5].confirmed && r[6].confirmed);
	assert_string_equal(r[1].info.reverse_dns, "liar.example.test");
	assert_false(r[1].confirmed);
	assert_string_equal(r[4].info.reverse_dns, "unsure.example.test");
	for (size_t i = 2; i < N; i = i == 2 ? 3 : i == 3 ? 7 : i + 1)
		assert_null(r[i].info.reverse_dns);

	tap_enrich_stats(e, &stats);
	queries = stats.dns.queries;
	assert_int_equal(tap_enrich_batch(e, address, N, 0, arena, r, &err), TAP_OK);
	tap_enrich_stats(e, &stats);
	assert_int_equal(stats.dns.queries - queries,
			 2); /* the failure alone, and its second try */
	assert_int_equal(stats.hits, 4);
	tap_enrich_free(&e);

	/* lifetimes: at least five minutes, at most a day; none: the SOA's, at most an hour; unsure: five minutes */
	static const struct {
		const char *address;
		int64_t ttl;
	} rows[] = {{"20.0.0.1", 3600}, {"20.0.0.2", 300}, {"20.0.0.3", 3600}, {"20.0.0.5", 300}};
	struct tap_cache *c = open_cache(in_dir("c.db"), 1000);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct tap_cache_entry entry;

		assert_int_equal(claim(c, rows[i].address, &entry), TAP_CACHE_HIT);
		assert_int_equal(entry.expires - entry.stored, rows[i].ttl);
	}
	tap_cache_free(&c);
	dns_stop(&s);
}

static void t_en_4_private_addresses_have_no_name(void **state)
{
	static const char *const address[] = {"10.0.0.1"};
	struct dns_server s = dns_start("1.0.0.10.in-addr.arpa PTR 60 inside.test\n", NULL);
	struct tap_enrich *e = enrich_open(&s, NULL, false);
	struct tap_enrich_result r;
	struct tap_err err;

	(void)state;
	assert_int_equal(tap_enrich_batch(e, address, 1, 0, arena, &r, &err), TAP_OK);
	assert_int_equal(r.state, TAP_ENRICH_DONE);
	assert_null(r.info.reverse_dns);
	assert_int_equal(dns_count(&s), 0);
	tap_enrich_free(&e);
	e = enrich_open(&s, NULL, true);
	assert_int_equal(tap_enrich_batch(e, address, 1, 0, arena, &r, &err), TAP_OK);
	assert_string_equal(r.info.reverse_dns, "inside.test");
	tap_enrich_free(&e);
	dns_stop(&s);
}

static void offline_asks_nobody(void **state)
{
	static const char *const address[] = {"20.0.0.1", "x"};
	struct tap_enrich_settings set = {.offline = true, .confirm = true, .cache_entries = 10};
	struct tap_enrich_result r[2];
	struct tap_enrich *e;
	struct tap_err err;

	(void)state;
	assert_int_equal(tap_enrich_open(&set, NULL, &e, &err), TAP_OK);
	assert_null(tap_enrich_resolver(e));
	assert_int_equal(tap_enrich_batch(e, address, 2, 0, arena, r, &err), TAP_OK);
	assert_int_equal(r[0].state, TAP_ENRICH_DONE);
	assert_null(r[0].info.reverse_dns);
	tap_enrich_cancel(e);
	tap_enrich_free(&e);
}

static void a_cache_that_cannot_be_kept_stops_nobody(void **state)
{
	static const char *const address[] = {"20.0.0.1"};
	struct dns_server s = dns_start(zone, NULL);
	struct tap_enrich *e = enrich_open(&s, in_dir("none/c.db"), false);
	struct tap_enrich_result r;
	struct tap_enrich_stats stats;
	struct tap_err err;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(tap_enrich_batch(e, address, 1, 0, arena, &r, &err), TAP_OK);
	assert_string_equal(r.info.reverse_dns, "mail.example.test");
	tap_enrich_stats(e, &stats);
	assert_int_equal(stats.hits, 1);
	tap_enrich_free(&e);
	dns_stop(&s);
}

struct caller {
	struct tap_enrich *e;
	int bad;
};

static void *call(void *ctx)
{
	enum { N = 100 };
	struct caller *c = ctx;
	struct tap_arena *a = tap_arena_new(1 << 20);
	struct tap_enrich_result r[N];
	char text[N][32];
	const char *address[N];
	struct tap_err err;

	for (int i = 0; i < N; i++) {
		snprintf(text[i], sizeof text[i], "30.0.0.%d", i);
		address[i] = text[i];
	}
	if (tap_enrich_batch(c->e, address, N, 0, a, r, &err) != TAP_OK)
		c->bad++;
	for (int i = 0; i < N; i++) {
		char want[64];

		snprintf(want, sizeof want, "host-30-0-0-%d.generated.test", i);
		if (r[i].state != TAP_ENRICH_DONE || strcmp(r[i].info.reverse_dns, want) != 0)
			c->bad++;
	}
	tap_arena_free(&a);
	return NULL;
}

static void t_en_5_threads_ask_once_for_all(void **state)
{
	enum { N = 4 };
	struct dns_server s = dns_start("generate PTR 3600\n", NULL);
	struct tap_enrich *e = enrich_open(&s, in_dir("c.db"), false);
	struct tap_enrich_stats stats;
	struct caller c[N];
	pthread_t t[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		c[i] = (struct caller){e, 0};
		assert_int_equal(pthread_create(&t[i], NULL, call, &c[i]), 0);
	}
	for (int i = 0; i < N; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(c[i].bad, 0);
	}
	tap_enrich_stats(e, &stats);
	/* a name and its way back, for each address once */
	assert_in_range(stats.dns.queries - stats.dns.timeouts, 200, 200);
	tap_enrich_free(&e);
	dns_stop(&s);
}

static void *cancel_soon(void *ctx)
{
	usleep(50 * 1000);
	tap_enrich_cancel(ctx);
	return NULL;
}

static void a_call_is_cancelled(void **state)
{
	static const char *const address[] = {"20.0.0.1"}, *const silent[] = {"--silent", NULL};
	struct dns_server s = dns_start("", silent);
	struct tap_enrich *e = enrich_open(&s, NULL, false);
	struct tap_enrich_result r;
	struct tap_err err;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, cancel_soon, e), 0);
	assert_int_equal(tap_enrich_batch(e, address, 1, 0, arena, &r, &err), TAP_E_CANCELLED);
	assert_int_equal(r.state, TAP_ENRICH_PENDING);
	pthread_join(t, NULL);
	tap_enrich_free(&e);
	dns_stop(&s);
}

int main(void)
{
#define FRESH(f) cmocka_unit_test_setup_teardown(f, fresh, real_clock)
	const struct CMUnitTest tests[] = {
	    FRESH(names_live_as_long_as_they_may),
	    FRESH(in_memory_without_a_path),
	    FRESH(the_soonest_to_expire_make_room),
	    FRESH(others_look_and_flush_beside_it),
	    FRESH(a_damaged_file_is_put_aside),
	    FRESH(damage_while_it_is_in_use),
	    FRESH(a_place_that_cannot_be_used),
	    FRESH(one_finds_out_for_all),
	    FRESH(who_gives_up_leaves_it_to_the_next),
	    FRESH(t_en_5_names_are_remembered_and_failures_are_not),
	    FRESH(t_en_4_private_addresses_have_no_name),
	    FRESH(offline_asks_nobody),
	    FRESH(a_cache_that_cannot_be_kept_stops_nobody),
	    FRESH(t_en_5_threads_ask_once_for_all),
	    FRESH(a_call_is_cancelled),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
