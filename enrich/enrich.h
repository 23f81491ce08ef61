/* SPDX-License-Identifier: Apache-2.0
 * enrich/enrich.h - who sent this: addresses in, struct tap_source_info out. The one header for those above enrich/; behind it are
 * the resolver, its cache, the public suffix list, the databases of countries and networks, and the map of services.
 * Ownership: strings of results live in the caller's arena. Threads: one tap_enrich for all threads of a program; calls run at once.
 * Errors: what cannot be found out is NULL; what may be found out later is TAP_ENRICH_PENDING, with all that needs no DNS filled. */
#ifndef TAP_ENRICH_ENRICH_H
#define TAP_ENRICH_ENRICH_H

#include "base/arena.h"
#include "base/err.h"
#include "base/settings.h"
#include "enrich/resolver.h"
#include "parser/report_source.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_enrich_settings { /* section "enrich" */
	bool offline;	     /* no DNS at all */
	int64_t wait_ms;     /* how long an output waits for a source */
	int64_t retry_ms;    /* when a pending source is tried again */
	bool confirm;	     /* forward-confirm reverse names */
	char *cache;	     /* path; NULL = in memory */
	int64_t cache_entries;
	struct tap_list geoip;	      /* MMDB files, first hit of each field wins */
	struct tap_list service_maps; /* CSV files, before the one that comes with the program */
	char *suffix_overrides;	      /* file: SUFFIX GROUP, a line each */
};
extern const struct tap_section tap_enrich_section;

enum tap_enrich_state {
	TAP_ENRICH_PENDING, /* the reverse name could not be found out now */
	TAP_ENRICH_DONE,
};
struct tap_enrich_result {
	enum tap_enrich_state state;
	struct tap_source_info info;
	bool
	    confirmed; /* the reverse name leads back to the address; without it the name does not name the service */
};

struct tap_enrich;
/* dns may be NULL when set->offline. Settings are copied. A database or map that is missing is a warning in the log; one that is
 * there and wrong, too (nulls instead), and a cache file that can be neither used nor made (in memory instead). err is needed.
 * TAP_E_CONFIG: wrong settings. */
enum tap_rc tap_enrich_open(const struct tap_enrich_settings *set,
			    const struct tap_dns_settings *dns, struct tap_enrich **e_r,
			    struct tap_err *err) TAP_MUST_CHECK;
void tap_enrich_free(struct tap_enrich **e); /* NULL-safe; no call may be running */
/* addresses: canonical text (what is no address gets a DONE result of nulls); the same one may come several times, it is asked for
 * once. Blocks until all are known, at most to deadline_ms (tap_clock_mono_ms; 0 = none but the time-outs of DNS). TAP_OK with
 * PENDING results is the normal end of a bad day; TAP_E_CANCELLED: tap_enrich_cancel, results are filled; TAP_E_LIMIT: the arena. */
enum tap_rc tap_enrich_batch(struct tap_enrich *e, const char *const *addresses, size_t n,
			     int64_t deadline_ms, struct tap_arena *arena,
			     struct tap_enrich_result *results_r,
			     struct tap_err *err) TAP_MUST_CHECK;
/* Any thread: running and later calls end soon. */
void tap_enrich_cancel(struct tap_enrich *e);
/* Looks whether lists, databases and maps were replaced, and swaps them in; calls that run keep the old ones. Cheap when nothing has
 * changed, so that a worker may call it before each round. */
enum tap_rc tap_enrich_reload(struct tap_enrich *e, struct tap_err *err);

/* For status pages and `dmarctap check`. NULL when offline. */
struct tap_resolver *tap_enrich_resolver(struct tap_enrich *e);
struct tap_enrich_stats {
	uint64_t addresses, hits; /* asked for by callers; of them known to the cache */
	struct tap_resolver_stats dns;
};
void tap_enrich_stats(struct tap_enrich *e, struct tap_enrich_stats *s_r);

#endif
