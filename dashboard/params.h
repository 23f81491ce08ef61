/* SPDX-License-Identifier: Apache-2.0
 * dashboard/params.h - the query string of an API request, checked strictly: unknown, doubled, empty, out of range is refused with
 * the reason. Pure. Ownership: text in tap_params points into the request's. Threads: safe. */
#ifndef TAP_DASHBOARD_PARAMS_H
#define TAP_DASHBOARD_PARAMS_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

enum {
	TAP_PARAM_DAYS = 1,
	TAP_PARAM_LIMIT = 2,
	TAP_PARAM_BEFORE = 4,
	TAP_PARAM_DOMAIN = 8,
	TAP_PARAM_TRUSTED = 16,
	TAP_PARAM_SEQ = 32,
	TAP_PARAM_BODY = 64,
};
enum { TAP_PARAMS_DAYS_MAX = 36600, TAP_PARAMS_LIMIT_MAX = 200 };

struct tap_params {
	unsigned given; /* which were there */
	int64_t days, limit, before;
	int64_t trusted;    /* 1 only, 0 all, -1 = not said */
	int64_t seq;	    /* 0 = not said */
	int64_t body;	    /* 1 = with the text of the message */
	const char *domain; /* NULL = all */
};

/* days 30, the limit given, everything else absent. */
void tap_params_init(struct tap_params *p, int64_t limit);
/* One decoded pair; value NULL = a name without "=". n = its length, a NUL inside is refused. allowed: TAP_PARAM_* bits.
 * TAP_E_DATA with the reason. */
enum tap_rc tap_params_add(struct tap_params *p, unsigned allowed, const char *name,
			   const char *value, size_t n, struct tap_err *err) TAP_MUST_CHECK;

#endif
