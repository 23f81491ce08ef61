/* SPDX-License-Identifier: Apache-2.0
 * dashboard/params.c - see params.h. */
#include "dashboard/params.h"

#include <stdbool.h>
#include <string.h>

enum { DOMAIN_MAX = 255 };

struct row {
	const char *name;
	unsigned bit;
	size_t offset;
	int64_t min, max; /* both 0: text */
};

static const struct row rows[] = {
    {"days", TAP_PARAM_DAYS, offsetof(struct tap_params, days), 1, TAP_PARAMS_DAYS_MAX},
    {"limit", TAP_PARAM_LIMIT, offsetof(struct tap_params, limit), 1, TAP_PARAMS_LIMIT_MAX},
    {"before", TAP_PARAM_BEFORE, offsetof(struct tap_params, before), 1, INT64_MAX},
    {"trusted", TAP_PARAM_TRUSTED, offsetof(struct tap_params, trusted), 0, 1},
    {"seq", TAP_PARAM_SEQ, offsetof(struct tap_params, seq), 1, INT64_MAX},
    {"body", TAP_PARAM_BODY, offsetof(struct tap_params, body), 0, 1},
    {"domain", TAP_PARAM_DOMAIN, offsetof(struct tap_params, domain), 0, 0},
};

void tap_params_init(struct tap_params *p, int64_t limit)
{
	memset(p, 0, sizeof(*p));
	p->days = 30;
	p->limit = limit;
	p->trusted = -1;
}

static const struct row *find(const char *name, unsigned allowed)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].bit & allowed ? &rows[i] : NULL;
	}
	return NULL;
}

/* Digits only: no sign, blank or exponent. */
static bool parse_number(const char *s, size_t n, int64_t *v_r)
{
	int64_t v = 0;

	if (n == 0 || n > 19)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
		    __builtin_add_overflow(v, (int64_t)(s[i] - '0'), &v))
			return false;
	}
	*v_r = v;
	return true;
}

static enum tap_rc set_number(struct tap_params *p, const struct row *r, const char *value,
			      size_t n, struct tap_err *err)
{
	int64_t v;

	if (!parse_number(value, n, &v) || v < r->min || v > r->max)
		return tap_err_set(err, TAP_E_DATA,
				   "parameter %s must be a whole number from %lld to %lld", r->name,
				   (long long)r->min, (long long)r->max);
	memcpy((char *)p + r->offset, &v, sizeof(v));
	return TAP_OK;
}

static enum tap_rc set_text(struct tap_params *p, const struct row *r, const char *value, size_t n,
			    struct tap_err *err)
{
	bool bad = n == 0 || n > DOMAIN_MAX;

	for (size_t i = 0; i < n && !bad; i++)
		bad = (unsigned char)value[i] <= ' ' || value[i] == 0x7f;
	if (bad)
		return tap_err_set(
		    err, TAP_E_DATA,
		    "parameter %s must have 1 to %d bytes without blanks or controls", r->name,
		    DOMAIN_MAX);
	memcpy((char *)p + r->offset, &value, sizeof(value));
	return TAP_OK;
}

enum tap_rc tap_params_add(struct tap_params *p, unsigned allowed, const char *name,
			   const char *value, size_t n, struct tap_err *err)
{
	const struct row *r = find(name, allowed);

	if (!r)
		return tap_err_set(err, TAP_E_DATA, "unknown parameter \"%.64s\"", name);
	if (p->given & r->bit)
		return tap_err_set(err, TAP_E_DATA, "parameter %s is given twice", r->name);
	p->given |= r->bit;
	if (!value)
		return tap_err_set(err, TAP_E_DATA, "parameter %s has no value", r->name);
	return r->max ? set_number(p, r, value, n, err) : set_text(p, r, value, n, err);
}
