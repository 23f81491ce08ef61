/* SPDX-License-Identifier: Apache-2.0
 * enrich/geo.h - country and network of an address from MMDB files, whatever their layout: MaxMind, DB-IP, IPinfo, IPLocate, iptoasn.
 * Ownership: who opens one frees it; results are the caller's struct, nothing in them points into a file. Nothing in it changes after
 * it was opened: a file that was replaced is seen by tap_geo_changed, and read by opening another one with the old as a model, which
 * shares the files that are the same. A file has to be replaced by rename, never written over: it is mapped.
 * Errors: TAP_E_TEMP, out of memory. A file that is missing, broken or of no use is a warning in the log, and gives nothing; one that
 * was good and is broken now is kept as it was. Limits [I7]: TAP_GEO_FILES files; a name of more than 255 bytes is cut.
 * Threads: safe after the opening; a tap_geo may be freed while another one shares its files. */
#ifndef TAP_ENRICH_GEO_H
#define TAP_ENRICH_GEO_H

#include "base/err.h"
#include "enrich/address.h"
#include "enrich/idn.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAP_GEO_FILES = 16, TAP_GEO_NAME = 256, TAP_GEO_OLD_DAYS = 180 };

/* Of several files the first that knows a value gives it. "" and 0: unknown. */
struct tap_geo_info {
	char country[3]; /* ISO 3166-1 alpha-2, upper case */
	bool
	    registered; /* country is where the address is registered; where it is used is unknown */
	uint32_t asn;
	char as_name[TAP_GEO_NAME];
	char as_domain[TAP_IDN_NAME];
};

struct tap_geo;
/* old: NULL, or one that was opened with the same paths. */
enum tap_rc tap_geo_open(const char *const *path, size_t n, const struct tap_geo *old,
			 struct tap_geo **g_r, struct tap_err *err) TAP_MUST_CHECK;
void tap_geo_free(struct tap_geo **g); /* NULL-safe */
bool tap_geo_changed(const struct tap_geo *g);
/* How many of the files are in use. */
size_t tap_geo_files(const struct tap_geo *g);
void tap_geo_find(const struct tap_geo *g, const struct tap_ipaddr *a, struct tap_geo_info *i_r);

#endif
