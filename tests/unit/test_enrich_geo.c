/* SPDX-License-Identifier: Apache-2.0
 * Countries and networks: each layout of a database, several of them, broken ones, and files that are replaced while others look. */
#include "mmdb_helper.h"

#include "base/arena.h"
#include "base/clock.h"
#include "enrich/enrich.h"
#include "enrich/geo.h"

#include <pthread.h>
#include <stdatomic.h>

/* MMDB_open of 1.7 forgets lists of its own when the description in a damaged file cannot be read. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libmaxminddb";
}

static struct tap_geo *open_files(const char *const *path, size_t n)
{
	struct tap_geo *g = NULL;
	struct tap_err err = {0};

	if (tap_geo_open(path, n, NULL, &g, &err))
		fail_msg("%s", err.msg);
	return g;
}

static const struct tap_geo_info *look(const struct tap_geo *g, const char *address)
{
	static struct tap_geo_info i;
	struct tap_ipaddr a;

	assert_true(tap_ipaddr_parse(address, &a));
	memset(&i, 'x', sizeof i);
	tap_geo_find(g, &a, &i);
	return &i;
}

static void is(const struct tap_geo *g, const char *address, const char *country, uint32_t asn,
	       const char *name, const char *domain)
{
	const struct tap_geo_info *i = look(g, address);

	assert_string_equal(i->country, country);
	assert_int_equal(i->asn, asn);
	assert_string_equal(i->as_name, name);
	assert_string_equal(i->as_domain, domain);
}

/* Each layout in a file of its own, and what is to be found in it. */
static const struct {
	const char *what, *spec, *address, *country;
	uint32_t asn;
	const char *name, *domain;
} layout[] = {
    {"maxmind country",
     "{\"type\":\"GeoLite2-Country\",\"networks\":{\"2.125.160.0/"
     "20\":{\"continent\":{\"code\":\"EU\"},\"country\":{\"iso_code\":\"GB\",\"names\":{\"en\":"
     "\"United "
     "Kingdom\"}},\"registered_country\":{\"iso_code\":\"FR\"}}}}",
     "2.125.160.216", "GB", 0, "", ""},
    {"maxmind registered",
     "{\"type\":\"GeoIP2-Country\",\"networks\":{\"2.125.160.0/"
     "20\":{\"registered_country\":{\"iso_code\":\"FR\"},\"represented_country\":{\"iso_code\":"
     "\"US\"}}}}",
     "2.125.160.216", "FR", 0, "", ""},
    {"maxmind asn",
     "{\"type\":\"GeoLite2-ASN\",\"networks\":{\"1.128.0.0/"
     "11\":{\"autonomous_system_number\":1221,\"autonomous_system_organization\":\"Telstra Pty "
     "Ltd\"}}}",
     "1.130.0.1", "", 1221, "Telstra Pty Ltd", ""},
    {"maxmind asn without a name",
     "{\"type\":\"GeoLite2-ASN\",\"networks\":{\"1.0.0.0/"
     "24\":{\"autonomous_system_number\":15169}}}",
     "1.0.0.9", "", 15169, "", ""},
    {"db-ip",
     "{\"type\":\"DBIP-Country-Lite\",\"networks\":{\"1.0.0.0/"
     "24\":{\"continent\":{\"code\":\"OC\"},\"country\":{\"iso_code\":\"au\"}}}}",
     "1.0.0.9", "AU", 0, "", ""},
    {"ipinfo lite",
     "{\"type\":\"ipinfo "
     "lite\",\"networks\":{\"1.0.0.0/"
     "24\":{\"asn\":\"AS174\",\"as_name\":\"Cogent\",\"as_domain\":\"CogentCo.com\",\"continent\":"
     "\"Oceania\",\"continent_code\":\"OC\","
     "\"country\":\"Australia\",\"country_code\":\"AU\"}}}",
     "1.0.0.9", "AU", 174, "Cogent", "cogentco.com"},
    {"ipinfo older",
     "{\"type\":\"ipinfo "
     "country_asn\",\"networks\":{\"1.0.0.0/"
     "24\":{\"asn\":\"as3333\",\"as_name\":\"RIPE\",\"as_domain\":\"ripe.net\",\"continent\":"
     "\"EU\",\"country\":\"NL\",\"country_name\":"
     "\"Netherlands\"}}}",
     "1.0.0.9", "NL", 3333, "RIPE", "ripe.net"},
    {"ip-location-db country", "{\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"SE\"}}}",
     "1.0.0.9", "SE", 0, "", ""},
    {"iptoasn",
     "{\"networks\":{\"1.0.0.0/"
     "24\":{\"autonomous_system_number\":{\"uint16\":64500},\"autonomous_system_organization\":"
     "\"X\"}}}",
     "1.0.0.9", "", 64500, "X", ""},
    {"iplocate asn",
     "{\"type\":\"IPLocate-ASN\",\"networks\":{\"1.0.0.0/"
     "24\":{\"asn\":\"13335\",\"country_code\":\"US\",\"name\":\"CLOUDFLARENET\",\"org\":"
     "\"Cloudflare, Inc.\",\"domain\":\"cloudflare.com\"}}}",
     "1.0.0.9", "", 13335, "Cloudflare, Inc.", "cloudflare.com"},
    {"iplocate country",
     "{\"type\":\"IPLocate-Country\",\"networks\":{\"1.0.0.0/"
     "24\":{\"country_code\":\"DE\",\"country_name\":\"Germany\"}}}",
     "1.0.0.9", "DE", 0, "", ""},
    {"a name as a country", "{\"networks\":{\"1.0.0.0/24\":{\"country\":\"Germany\"}}}", "1.0.0.9",
     "", 0, "", ""},
    {"unknown country",
     "{\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"ZZ\",\"country\":\"XX\"}}}", "1.0.0.9", "",
     0, "", ""},
    {"a country that is no text",
     "{\"networks\":{\"1.0.0.0/24\":{\"country_code\":7,\"country\":[1]}}}", "1.0.0.9", "", 0, "",
     ""},
    {"a country with digits", "{\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"A1\"}}}",
     "1.0.0.9", "", 0, "", ""},
    {"network 0", "{\"networks\":{\"1.0.0.0/24\":{\"asn\":\"AS0\",\"as_name\":\"none\"}}}",
     "1.0.0.9", "", 0, "", ""},
    {"a network too large",
     "{\"networks\":{\"1.0.0.0/24\":{\"asn\":\"AS4294967296\",\"as_name\":\"none\"}}}", "1.0.0.9",
     "", 0, "", ""},
    {"the largest network", "{\"networks\":{\"1.0.0.0/24\":{\"asn\":{\"uint64\":4294967295}}}}",
     "1.0.0.9", "", 4294967295U, "", ""},
    {"a negative network", "{\"networks\":{\"1.0.0.0/24\":{\"asn\":{\"int32\":-1}}}}", "1.0.0.9",
     "", 0, "", ""},
    {"a network of words", "{\"networks\":{\"1.0.0.0/24\":{\"asn\":\"AS12x\"}}}", "1.0.0.9", "", 0,
     "", ""},
    {"controls and bytes",
     "{\"networks\":{\"1.0.0.0/"
     "24\":{\"asn\":1,\"as_name\":{\"bytes\":\"410a001bc3a4ffc280edb08042\"},\"as_domain\":\"a.."
     "b\"}}}",
     "1.0.0.9", "", 1, "A???ä??????B", ""},
    {"an empty record", "{\"networks\":{\"1.0.0.0/24\":{}}}", "1.0.0.9", "", 0, "", ""},
    {"no map", "{\"networks\":{\"1.0.0.0/24\":\"text\"}}", "1.0.0.9", "", 0, "", ""},
    {"another network", "{\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"SE\"}}}", "1.0.1.9", "",
     0, "", ""},
};

static void test_t_en_2_layouts(void **state)
{
	const char *path = in_dir("layout.mmdb");

	(void)state;
	for (size_t i = 0; i < sizeof layout / sizeof *layout; i++) {
		struct tap_geo *g;
		const struct tap_geo_info *found;

		mmdb_write(path, layout[i].spec);
		g = open_files(&path, 1);
		found = look(g, layout[i].address);
		if (strcmp(found->country, layout[i].country) != 0 || found->asn != layout[i].asn ||
		    strcmp(found->as_name, layout[i].name) != 0 ||
		    strcmp(found->as_domain, layout[i].domain) != 0)
			fail_msg("%s: %s %u \"%s\" \"%s\"", layout[i].what, found->country,
				 found->asn, found->as_name, found->as_domain);
		assert_int_equal(found->registered,
				 strcmp(layout[i].what, "maxmind registered") == 0);
		tap_geo_free(&g);
	}
}

static void test_t_en_2_addresses(void **state)
{
	static const char *const four =
	    "{\"ip_version\":4,\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"SE\"}}}";
	static const char *const six =
	    "{\"record_size\":28,\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"SE\"},\"2a00::/"
	    "16\":{\"country_code\":\"FI\"}}}";
	static const char *const wide =
	    "{\"record_size\":32,\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"SE\"},\"2a00::/"
	    "16\":{\"country_code\":\"FI\"}}}";
	const char *path = in_dir("a.mmdb");
	struct tap_geo *g;

	(void)state;
	mmdb_write(path, four);
	g = open_files(&path, 1);
	is(g, "1.0.0.1", "SE", 0, "", "");
	is(g, "::ffff:1.0.0.1", "SE", 0, "", ""); /* mapped */
	is(g, "2a00::1", "", 0, "", "");	  /* IPv6 in a file of IPv4 */
	is(g, "0.0.0.0", "", 0, "", "");
	is(g, "255.255.255.255", "", 0, "", "");
	tap_geo_free(&g);
	for (int i = 0; i < 2; i++) {
		mmdb_write(path, i == 0 ? six : wide);
		g = open_files(&path, 1);
		is(g, "1.0.0.1", "SE", 0, "", "");
		is(g, "::ffff:1.0.0.1", "SE", 0, "", "");
		is(g, "2a00::1", "FI", 0, "", "");
		is(g, "2b00::1", "", 0, "", "");
		is(g, "::", "", 0, "", "");
		tap_geo_free(&g);
	}
}

static void test_several_files(void **state)
{
	const char *const path[] = {in_dir("one.mmdb"), in_dir("two.mmdb"), in_dir("three.mmdb"),
				    in_dir("nothing.mmdb")};
	struct tap_geo *g;

	(void)state;
	mmdb_write(path[0], "{\"networks\":{\"1.0.0.0/"
			    "24\":{\"registered_country\":{\"iso_code\":\"FR\"}},\"1.0.1.0/"
			    "24\":{\"country_code\":\"IT\"}}}");
	mmdb_write(
	    path[1],
	    "{\"networks\":{\"1.0.0.0/"
	    "16\":{\"autonomous_system_number\":5,\"autonomous_system_organization\":\"Five\"}}}");
	mmdb_write(path[2], "{\"networks\":{\"1.0.0.0/"
			    "24\":{\"country_code\":\"BE\",\"asn\":\"AS5\",\"as_name\":\"5\",\"as_"
			    "domain\":\"five.example\"},"
			    "\"1.0.1.0/"
			    "24\":{\"country_code\":\"ES\",\"asn\":\"AS6\",\"as_name\":\"Six\","
			    "\"as_domain\":\"six.example\"}}}");
	g = open_files(path, 4);
	assert_int_equal(tap_geo_files(g), 3);
	is(g, "1.0.0.1", "BE", 5, "Five",
	   "five.example");		       /* where it is goes before where it is registered */
	is(g, "1.0.1.1", "IT", 5, "Five", ""); /* the domain of another network is none of it */
	is(g, "1.0.2.1", "", 5, "Five", "");
	tap_geo_free(&g);
	g = open_files(NULL, 0);
	is(g, "1.0.0.1", "", 0, "", "");
	tap_geo_free(&g);
}

static void test_names_are_cut(void **state)
{
	char spec[2000] = "{\"networks\":{\"1.0.0.0/24\":{\"asn\":1,\"as_name\":\"";
	const char *path = in_dir("long.mmdb");
	const struct tap_geo_info *i;
	struct tap_geo *g;
	size_t n = strlen(spec);

	(void)state;
	spec[n++] = 'x';
	for (int k = 0; k < 300; k++)
		n += (size_t)snprintf(spec + n, sizeof spec - n, "ä");
	snprintf(spec + n, sizeof spec - n, "\"}}}");
	mmdb_write(path, spec);
	g = open_files(&path, 1);
	i = look(g, "1.0.0.1");
	assert_int_equal(strlen(i->as_name), 255);
	assert_memory_equal(i->as_name + 253, "ä", 3); /* no half of a character */
	tap_geo_free(&g);
}

/* Every file of one byte less, and every byte changed: nulls, never a crash; memory checks are the sanitizer's. */
static void test_t_en_2_damaged_files(void **state)
{
	const char *path = in_dir("good.mmdb"), *broken = in_dir("broken.mmdb");
	static unsigned char bytes[4096];
	FILE *f;
	size_t n;

	(void)state;
	mmdb_write(path, "{\"networks\":{\"0.0.0.0/"
			 "1\":{\"country_code\":\"SE\",\"asn\":\"AS5\",\"as_name\":\"Five\",\"as_"
			 "domain\":\"five.example\"},"
			 "\"128.0.0.0/2\":{\"country\":{\"iso_code\":\"FI\"}}},\"ip_version\":4}");
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	assert_true(n > 100 && n < sizeof bytes);
	for (size_t i = 0; i < 2 * n; i++) {
		unsigned char was = bytes[i % n];
		size_t size = i < n ? i : n;
		struct tap_geo *g;

		if (i >= n)
			bytes[i % n] = (unsigned char)(was ^ 0xff);
		(void)unlink(broken);
		f = fopen(broken, "we");
		assert_non_null(f);
		assert_int_equal(fwrite(bytes, 1, size, f), size);
		assert_int_equal(fclose(f), 0);
		bytes[i % n] = was;
		g = open_files(&broken, 1);
		(void)look(g, "1.0.0.1");
		(void)look(g, "130.0.0.1");
		(void)look(g, "250.0.0.1");
		(void)look(g, "2a00::1");
		if (i == 0)
			assert_int_equal(tap_geo_files(g), 0);
		tap_geo_free(&g);
	}
}

static void test_files_that_are_replaced(void **state)
{
	const char *const path[] = {in_dir("r1.mmdb"), in_dir("r2.mmdb")};
	struct tap_geo *g, *h = NULL;
	struct tap_err err = {0};

	(void)state;
	mmdb_write(path[0], "{\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"SE\"}}}");
	g = open_files(path, 2);
	assert_int_equal(tap_geo_files(g), 1);
	assert_false(tap_geo_changed(g));
	mmdb_write(path[1], "{\"networks\":{\"1.0.0.0/24\":{\"asn\":7}}}"); /* it came */
	assert_true(tap_geo_changed(g));
	assert_int_equal(tap_geo_open(path, 2, g, &h, &err), TAP_OK);
	is(g, "1.0.0.1", "SE", 0, "", "");
	tap_geo_free(&g);
	is(h, "1.0.0.1", "SE", 7, "", ""); /* the first is shared, and lives on */
	put_file(in_dir("r.new"), "no database");
	assert_int_equal(rename(in_dir("r.new"), path[0]), 0);
	assert_int_equal(tap_geo_open(path, 2, h, &g, &err), TAP_OK);
	is(g, "1.0.0.1", "SE", 7, "", ""); /* broken: as it was */
	assert_false(tap_geo_changed(g));  /* and it is said once */
	tap_geo_free(&h);
	mmdb_write(path[0], "{\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"NO\"}}}");
	assert_int_equal(unlink(path[1]), 0);
	assert_true(tap_geo_changed(g));
	assert_int_equal(tap_geo_open(path, 2, g, &h, &err), TAP_OK);
	is(h, "1.0.0.1", "NO", 7, "", ""); /* gone: as it was */
	tap_geo_free(&g);
	tap_geo_free(&h);
}

static void test_an_old_file_is_used(void **state)
{
	const char *path = in_dir("old.mmdb");
	struct tap_geo *g;

	(void)state;
	mmdb_write(
	    path,
	    "{\"build_epoch\":1000000000,\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"SE\"}}}");
	g = open_files(&path, 1);
	is(g, "1.0.0.1", "SE", 0, "", "");
	tap_geo_free(&g);
}

/* --- replaced under load --- */

struct load {
	struct tap_enrich *e;
	atomic_bool stop;
	atomic_int rounds, wrong;
};

static void *ask(void *ctx)
{
	static const char *const address[] = {"1.0.0.1", "1.0.0.2", "2a00::1"};
	struct load *l = ctx;
	struct tap_arena *arena = tap_arena_new(1 << 20);

	while (!atomic_load(&l->stop)) {
		struct tap_enrich_result r[3];
		struct tap_err err = {0};

		if (tap_enrich_batch(l->e, address, 3, 0, arena, r, &err) != TAP_OK)
			atomic_fetch_add(&l->wrong, 1);
		for (int i = 0; i < 3; i++) {
			const struct tap_source_info *s = &r[i].info;

			/* country, network and name of one generation, in all answers of a call */
			if (s->country == NULL || s->as_name == NULL ||
			    strncmp(s->as_name, s->country, 2) != 0 ||
			    s->asn != (strcmp(s->country, "SE") == 0 ? 1U : 2U) ||
			    strcmp(s->country, r[0].info.country) != 0)
				atomic_fetch_add(&l->wrong, 1);
		}
		atomic_fetch_add(&l->rounds, 1);
		tap_arena_reset(arena);
	}
	tap_arena_free(&arena);
	return NULL;
}

#define GENERATION(country, asn)                                                                   \
	"{\"networks\":{\"1.0.0.0/24\":{\"country_code\":\"" country "\",\"asn\":" asn             \
	",\"as_name\":\"" country " network\"},"                                                   \
	"\"2a00::/16\":{\"country_code\":\"" country "\",\"asn\":" asn ",\"as_name\":\"" country   \
	" network\"}}}"

static void test_t_en_6_replaced_under_load(void **state)
{
	char *path[] = {(char *)in_dir("load.mmdb")};
	const char *const next[] = {in_dir("se.mmdb"), in_dir("fi.mmdb")};
	struct tap_enrich_settings set = {.offline = true, .geoip = {path, 1}};
	struct load l = {.e = NULL};
	struct tap_err err = {0};
	pthread_t thread[3];
	unsigned swaps = 0;

	(void)state;
	mmdb_write(path[0], GENERATION("SE", "1"));
	mmdb_write(next[0], GENERATION("SE", "1"));
	mmdb_write(next[1], GENERATION("FI", "2"));
	assert_int_equal(tap_enrich_open(&set, NULL, &l.e, &err), TAP_OK);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, ask, &l), 0);
	for (int64_t end = tap_clock_mono_ms() + 500;
	     tap_clock_mono_ms() < end || swaps < 20 || atomic_load(&l.rounds) < 200; swaps++) {
		assert_int_equal(unlink(path[0]), 0);
		assert_int_equal(link(next[swaps % 2], path[0]), 0);
		assert_int_equal(tap_enrich_reload(l.e, &err), TAP_OK);
		assert_int_equal(tap_enrich_reload(l.e, &err), TAP_OK); /* nothing to do */
		usleep(1000);
	}
	atomic_store(&l.stop, true);
	for (size_t i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	tap_enrich_free(&l.e);
	assert_int_equal(atomic_load(&l.wrong), 0);
}

/* --- what the one call makes of them --- */

static void test_described_without_dns(void **state)
{
	static const char *const address[] = {"1.0.0.1", "1.0.1.1", "1.0.2.1", "nonsense",
					      "10.0.0.1"};
	char *path[] = {(char *)in_dir("d.mmdb")};
	struct tap_enrich_settings set = {.offline = true, .geoip = {path, 1}};
	struct tap_enrich_result r[5];
	struct tap_arena *arena = tap_arena_new(1 << 20), *small = tap_arena_new(64);
	struct tap_enrich *e = NULL;
	struct tap_err err = {0};

	(void)state;
	mmdb_write(
	    path[0],
	    "{\"networks\":{\"1.0.0.0/"
	    "24\":{\"country_code\":\"US\",\"asn\":11377,\"as_name\":\"SENDGRID\",\"as_domain\":"
	    "\"sendgrid.com\"},"
	    "\"1.0.1.0/24\":{\"country_code\":\"US\",\"asn\":16509,\"as_name\":\"Amazon.com, "
	    "Inc.\",\"as_domain\":\"amazon.com\"},"
	    "\"1.0.2.0/24\":{\"asn\":5,\"as_name\":\"Five\",\"as_domain\":\"five.example\"}}}");
	assert_int_equal(tap_enrich_open(&set, NULL, &e, &err), TAP_OK);
	assert_int_equal(tap_enrich_batch(e, address, 5, 0, arena, r, &err), TAP_OK);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(r[i].state, TAP_ENRICH_DONE);
	assert_string_equal(r[0].info.name, "SendGrid");
	assert_string_equal(r[0].info.type, "Transactional");
	assert_string_equal(r[0].info.country, "US");
	assert_int_equal(r[0].info.asn, 11377);
	assert_string_equal(r[0].info.as_domain, "sendgrid.com");
	assert_null(r[0].info.reverse_dns);
	assert_null(r[0].info.base_domain);
	assert_string_equal(r[1].info.name, "Amazon Web Services");
	assert_null(r[2].info.name);
	assert_string_equal(r[2].info.as_name, "Five");
	assert_null(r[2].info.country);
	assert_null(r[3].info.as_name);
	assert_null(r[4].info.as_name);
	assert_int_equal(tap_enrich_batch(e, address, 5, 0, small, r, &err), TAP_E_LIMIT);
	tap_enrich_free(&e);
	tap_arena_free(&arena);
	tap_arena_free(&small);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_t_en_2_layouts),
	    cmocka_unit_test(test_t_en_2_addresses),
	    cmocka_unit_test(test_several_files),
	    cmocka_unit_test(test_names_are_cut),
	    cmocka_unit_test(test_t_en_2_damaged_files),
	    cmocka_unit_test(test_files_that_are_replaced),
	    cmocka_unit_test(test_an_old_file_is_used),
	    cmocka_unit_test(test_t_en_6_replaced_under_load),
	    cmocka_unit_test(test_described_without_dns),
	};

	return cmocka_run_group_tests(tests, dir_setup, dir_teardown);
}
