/* SPDX-License-Identifier: Apache-2.0
 * enrich/idn.c - see idn.h. Punycode is RFC 3492, 6.3; folding is libpsl's. */
#include "enrich/idn.h"

#include <libpsl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	LABEL = 63,
	BASE = 36,
	TMIN = 1,
	TMAX = 26,
	SKEW = 38,
	DAMP = 700,
	BIAS = 72,
	FIRST = 128,
	TEXT_MOST = 4 * 253, /* of UTF-8: nothing longer becomes a name */
};

struct out {
	char *p;
	size_t n;
	bool full;
};

static void put(struct out *o, char c)
{
	if (o->n + 1 < TAP_IDN_NAME)
		o->p[o->n++] = c;
	else
		o->full = true;
}

/* The next character of s; 0 at its end or when it is not UTF-8. */
static uint32_t next(const char **s)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
		int more;
	} form[] = {{0x80, 0x00, 0, 0},
		    {0xe0, 0xc0, 0x80, 1},
		    {0xf0, 0xe0, 0x800, 2},
		    {0xf8, 0xf0, 0x10000, 3}};
	const unsigned char *p = (const unsigned char *)*s;

	for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
		uint32_t c = p[0] & (unsigned char)~form[i].mask;

		if ((p[0] & form[i].mask) != form[i].lead)
			continue;
		for (int k = 1; k <= form[i].more; k++) {
			if ((p[k] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (p[k] & 0x3f);
		}
		*s += form[i].more + 1;
		return c >= form[i].least && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? c : 0;
	}
	return 0;
}

static uint32_t adapt(uint32_t delta, uint32_t points, bool first)
{
	uint32_t k = 0;

	delta = first ? delta / DAMP : delta / 2;
	delta += delta / points;
	for (; delta > (BASE - TMIN) * TMAX / 2; k += BASE)
		delta /= BASE - TMIN;
	return k + (BASE - TMIN + 1) * delta / (delta + SKEW);
}

static void put_number(struct out *o, uint32_t q, uint32_t bias)
{
	static const char digit[] = "abcdefghijklmnopqrstuvwxyz0123456789";

	for (uint32_t k = BASE;; k += BASE) {
		uint32_t t = k <= bias ? TMIN : k >= bias + TMAX ? TMAX : k - bias;

		if (q < t)
			break;
		put(o, digit[t + (q - t) % (BASE - t)]);
		q = (q - t) / (BASE - t);
	}
	put(o, digit[q]);
}

/* n characters, of which at least one is not ASCII. All sums stay far below 2^32: 63 characters, 0x10ffff each. */
static void put_encoded(struct out *o, const uint32_t *c, uint32_t n)
{
	uint32_t done = 0, basic, at = FIRST, delta = 0, bias = BIAS;

	for (const char *p = "xn--"; *p != '\0'; p++)
		put(o, *p);
	for (uint32_t i = 0; i < n; i++) {
		if (c[i] < FIRST) {
			put(o, (char)c[i]);
			done++;
		}
	}
	basic = done;
	if (basic > 0)
		put(o, '-');
	while (done < n) {
		uint32_t least = UINT32_MAX;

		for (uint32_t i = 0; i < n; i++) {
			if (c[i] >= at && c[i] < least)
				least = c[i];
		}
		delta += (least - at) * (done + 1);
		at = least;
		for (uint32_t i = 0; i < n; i++) {
			if (c[i] < at)
				delta++;
			if (c[i] != at)
				continue;
			put_number(o, delta, bias);
			bias = adapt(delta, done + 1, done == basic);
			delta = 0;
			done++;
		}
		delta++;
		at++;
	}
}

/* Labels of text, which is folded already. */
static bool put_labels(struct out *o, const char *s)
{
	for (;;) {
		uint32_t c[LABEL], n = 0;
		size_t from = o->n;
		bool plain = true;

		while (*s != '\0' && *s != '.') {
			uint32_t one = next(&s);

			if (one == 0 || n == LABEL)
				return false;
			plain = plain && one < FIRST;
			c[n++] = one;
		}
		if (n == 0)
			return false;
		for (uint32_t i = 0; i < n && plain; i++)
			put(o, (char)c[i]);
		if (!plain)
			put_encoded(o, c, n);
		if (o->full || o->n - from > LABEL)
			return false;
		if (*s == '\0')
			return true;
		s++;
		put(o, '.');
	}
}

bool tap_idn_ascii(const char *name, char out[TAP_IDN_NAME])
{
	struct out o = {.p = out};
	char text[TEXT_MOST + 1];
	char *folded = NULL;
	bool ok, ascii = true;
	size_t n = strnlen(name, TEXT_MOST + 1);

	out[0] = '\0';
	if (n > TEXT_MOST)
		return false;
	if (n > 0 && name[n - 1] == '.')
		n--;
	for (size_t i = 0; i < n; i++) {
		text[i] =
		    name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + ('a' - 'A')) : name[i];
		ascii = ascii && (unsigned char)name[i] < FIRST;
	}
	text[n] = '\0';
	for (const char *at = text; *at != '\0' && !ascii;) {
		if (next(&at) == 0)
			return false;
	}
	if (!ascii && psl_str_to_utf8lower(text, "UTF-8", NULL, &folded) != PSL_SUCCESS)
		return false;
	ok = put_labels(&o, ascii ? text : folded);
	psl_free_string(folded);
	out[ok ? o.n : 0] = '\0';
	return ok;
}
