/* SPDX-License-Identifier: Apache-2.0
 * Looks up many addresses as the worker does, and says what it took: enrich_names NAMESERVER CACHE-FILE COUNT TIMEOUT-MS [ROUNDS].
 * The addresses are 20.0.0.0 and following; the names those that tests/servers/dnsserver.py makes up. Prints one JSON object a round. */
#include "base/clock.h"
#include "enrich/enrich.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { TEXT = 46, ARENA = 64 << 20 };

static void round_of(struct tap_enrich *e, const char *const *address, size_t n)
{
	struct tap_enrich_result *r = calloc(n, sizeof *r);
	struct tap_arena *a = tap_arena_new(ARENA);
	struct tap_enrich_stats before, after;
	struct tap_err err = {0};
	size_t pending = 0, wrong = 0, confirmed = 0;
	int64_t begin = tap_clock_mono_ms(), took;
	struct rusage use;
	enum tap_rc rc;

	tap_enrich_stats(e, &before);
	rc = r != NULL ? tap_enrich_batch(e, address, n, 0, a, r, &err) : TAP_E_TEMP;
	took = tap_clock_mono_ms() - begin;
	tap_enrich_stats(e, &after);
	for (size_t i = 0; rc == TAP_OK && i < n; i++) {
		char want[TEXT + 32];

		(void)snprintf(want, sizeof want, "host-20-%zu-%zu-%zu.generated.test",
			       i >> 16 & 255, i >> 8 & 255, i & 255);
		if (r[i].state != TAP_ENRICH_DONE)
			pending++;
		else if (r[i].info.reverse_dns == NULL || strcmp(r[i].info.reverse_dns, want) != 0)
			wrong++;
		confirmed += r[i].confirmed;
	}
	(void)getrusage(RUSAGE_SELF, &use);
	printf("{\"rc\": %d, \"ms\": %lld, \"pending\": %zu, \"wrong\": %zu, \"confirmed\": %zu, "
	       "\"queries\": %llu, \"timeouts\": %llu, \"rss_kib\": %ld}\n",
	       (int)rc, (long long)took, pending, wrong, confirmed,
	       (unsigned long long)(after.dns.queries - before.dns.queries),
	       (unsigned long long)(after.dns.timeouts - before.dns.timeouts), use.ru_maxrss);
	tap_arena_free(&a);
	free(r);
}

int main(int argc, char **argv)
{
	size_t n = argc > 4 ? strtoul(argv[3], NULL, 10) : 0;
	char *one[] = {argc > 4 ? argv[1] : NULL};
	struct tap_dns_settings dns = {.nameservers = {one, 1}, .tries = 8, .in_flight = 800};
	struct tap_enrich_settings set = {
	    .confirm = true, .cache = argc > 4 ? argv[2] : NULL, .cache_entries = 500000};
	char(*text)[TEXT] = calloc(n + 1, TEXT);
	const char **address = calloc(n + 1, sizeof *address);
	struct tap_enrich *e = NULL;
	struct tap_err err = {0};

	if (argc < 5 || text == NULL || address == NULL) {
		(void)fprintf(stderr,
			      "usage: enrich_names NAMESERVER CACHE COUNT TIMEOUT-MS [ROUNDS]\n");
		return 2;
	}
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(text[i], TEXT, "20.%zu.%zu.%zu", i >> 16 & 255, i >> 8 & 255,
			       i & 255);
		address[i] = text[i];
	}
	dns.timeout_ms = strtol(argv[4], NULL, 10);
	if (tap_enrich_open(&set, &dns, &e, &err) != TAP_OK) {
		(void)fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	for (long i = argc > 5 ? strtol(argv[5], NULL, 10) : 1; i > 0; i--)
		round_of(e, address, n);
	tap_enrich_free(&e);
	free(text);
	free(address);
	return 0;
}
