/* SPDX-License-Identifier: Apache-2.0
 * enrich/describe.h - what lists and databases say of an address and its name, without any network: base domain, country, network,
 * service. Between enrich.c and suffix.h, geo.h, services.h.
 * Ownership: strings go into the caller's arena. Threads: safe; a view keeps the data of its beginning through a reload. */
#ifndef TAP_ENRICH_DESCRIBE_H
#define TAP_ENRICH_DESCRIBE_H

#include "enrich/enrich.h"

struct tap_describe;
struct tap_describe_view;

/* What is missing or broken is a warning in the log, never an error; TAP_E_TEMP: out of memory. */
enum tap_rc tap_describe_open(const struct tap_enrich_settings *set, struct tap_describe **d_r,
			      struct tap_err *err) TAP_MUST_CHECK;
void tap_describe_free(struct tap_describe **d); /* NULL-safe */
enum tap_rc tap_describe_reload(struct tap_describe *d, struct tap_err *err);
struct tap_describe_view *tap_describe_begin(struct tap_describe *d);
void tap_describe_end(struct tap_describe *d, struct tap_describe_view *v);
/* info->reverse_dns is given (NULL = none or not known), the rest is filled in. trusted: the name may name a service. */
enum tap_rc tap_describe(struct tap_describe_view *v, const char *address, bool trusted,
			 struct tap_arena *arena, struct tap_source_info *info,
			 struct tap_err *err) TAP_MUST_CHECK;

#endif
