/* SPDX-License-Identifier: Apache-2.0
 * enrich/geo.c - see geo.h. Which layout a file has is not told by its name or type, but by what stands in a record: each value has
 * a list of places where it may be, tried in order (the table of layouts in docs/enrich.md). */
#include "enrich/geo.h"

#include "base/clock.h"
#include "base/log.h"
#include "enrich/table.h"

#include <arpa/inet.h>
#include <maxminddb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DAY = 86400, ASN_DIGITS = 10 };

/* One mapped file, shared by all that were opened with it. */
struct file {
	atomic_int users;
	struct tap_stamp stamp;
	MMDB_s db;
	bool country;	  /* it tells where an address is */
	atomic_flag told; /* that it is damaged */
};
struct tap_geo {
	size_t n;
	char **path;
	struct file **file;	 /* NULL: not usable */
	struct tap_stamp *stamp; /* of the path when it was looked at */
};

/* --- files --- */

static void release(struct file **f)
{
	if (*f != NULL && atomic_fetch_sub(&(*f)->users, 1) == 1) {
		MMDB_close(&(*f)->db);
		free(*f);
	}
	*f = NULL;
}

/* A database of networks may say in which country a network is registered; that is not where its addresses are. */
static bool tells_country(const char *type)
{
	return type == NULL || strcasestr(type, "asn") == NULL ||
	       strcasestr(type, "country") != NULL;
}

static void tell_age(const struct file *f, const char *path)
{
	int64_t now = tap_clock_now();
	uint64_t built = f->db.metadata.build_epoch;

	if (now > 0 && (uint64_t)now > built && ((uint64_t)now - built) / DAY > TAP_GEO_OLD_DAYS)
		tap_warn("enrich", "%s is %llu days old: countries and networks may have changed",
			 path, (unsigned long long)(((uint64_t)now - built) / DAY));
}

/* *f_r NULL: a warning in the log said why. False: out of memory. */
static bool open_file(const char *path, const struct tap_stamp *stamp, bool had, struct file **f_r)
{
	const char *then = had ? "; the one that was there stays in use" : "";
	struct file *f;
	int rc;

	*f_r = NULL;
	if (!stamp->there) {
		tap_warn("enrich", "the database %s is not there%s", path, then);
		return true;
	}
	f = calloc(1, sizeof *f);
	if (f == NULL)
		return false;
	rc = MMDB_open(path, MMDB_MODE_MMAP, &f->db);
	if (rc != MMDB_SUCCESS) {
		free(f);
		tap_warn("enrich", "the database %s cannot be used: %s%s", path, MMDB_strerror(rc),
			 then);
		return true;
	}
	atomic_init(&f->users, 1);
	atomic_flag_clear(&f->told);
	f->stamp = *stamp;
	f->country = tells_country(f->db.metadata.database_type);
	tell_age(f, path);
	*f_r = f;
	return true;
}

/* The old file when it is the same, or when the new one is broken. */
static bool take_file(struct tap_geo *g, size_t i, const struct tap_geo *old)
{
	struct file *had = old != NULL && i < old->n ? old->file[i] : NULL;

	tap_stamp_take(g->path[i], &g->stamp[i]);
	if (had != NULL && tap_stamp_same(&had->stamp, &g->stamp[i]))
		g->file[i] = had;
	else if (old != NULL && i < old->n && tap_stamp_same(&old->stamp[i], &g->stamp[i]))
		g->file[i] = had; /* as broken as before: that was said */
	else if (!open_file(g->path[i], &g->stamp[i], had != NULL, &g->file[i]))
		return false;
	else if (g->file[i] != NULL)
		return true;
	else
		g->file[i] = had;
	if (g->file[i] != NULL)
		(void)atomic_fetch_add(&g->file[i]->users, 1);
	return true;
}

enum tap_rc tap_geo_open(const char *const *path, size_t n, const struct tap_geo *old,
			 struct tap_geo **g_r, struct tap_err *err)
{
	struct tap_geo *g = calloc(1, sizeof *g);

	*g_r = g;
	if (n > TAP_GEO_FILES) {
		tap_warn("enrich", "%zu databases are too many: the first %d are used", n,
			 TAP_GEO_FILES);
		n = TAP_GEO_FILES;
	}
	if (g != NULL) {
		g->path = calloc(n + 1, sizeof *g->path);
		g->file = calloc(n + 1, sizeof(struct file *));
		g->stamp = calloc(n + 1, sizeof *g->stamp);
	}
	if (g == NULL || g->path == NULL || g->file == NULL || g->stamp == NULL)
		goto fail;
	for (g->n = 0; g->n < n; g->n++) {
		g->path[g->n] = strdup(path[g->n]);
		if (g->path[g->n] == NULL || !take_file(g, g->n, old))
			goto fail;
	}
	return TAP_OK;
fail:
	tap_geo_free(g_r);
	return tap_err_set(err, TAP_E_TEMP, "databases of countries: out of memory");
}

void tap_geo_free(struct tap_geo **g)
{
	if (*g == NULL)
		return;
	for (size_t i = 0; (*g)->path != NULL && (*g)->path[i] != NULL; i++) {
		release(&(*g)->file[i]);
		free((*g)->path[i]);
	}
	free((*g)->path);
	free((*g)->file);
	free((*g)->stamp);
	free(*g);
	*g = NULL;
}

bool tap_geo_changed(const struct tap_geo *g)
{
	for (size_t i = 0; i < g->n; i++) {
		struct tap_stamp now;

		tap_stamp_take(g->path[i], &now);
		if (!tap_stamp_same(&now, &g->stamp[i]))
			return true;
	}
	return false;
}

size_t tap_geo_files(const struct tap_geo *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		n += g->file[i] != NULL;
	return n;
}

/* --- values --- */

typedef const char *const path_t[3];

/* The value at the first of the places where it is one of the types that are asked for. */
static bool get(MMDB_entry_s *e, path_t path, uint32_t type, MMDB_entry_data_s *d)
{
	return MMDB_aget_value(e, d, path) == MMDB_SUCCESS && d->has_data && d->type == type;
}

static bool letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* "GB"; a name of a country, "ZZ" and "XX" are none. */
static bool take_code(const MMDB_entry_data_s *d, char out[3])
{
	char a, b;

	if (d->data_size != 2)
		return false;
	a = (char)(d->utf8_string[0] & ~0x20);
	b = (char)(d->utf8_string[1] & ~0x20);
	if (!letter(d->utf8_string[0]) || !letter(d->utf8_string[1]) ||
	    (a == b && (a == 'Z' || a == 'X')))
		return false;
	out[0] = a;
	out[1] = b;
	out[2] = '\0';
	return true;
}

static void find_country(MMDB_entry_s *e, struct tap_geo_info *i)
{
	static path_t place[] = {{"country_code"}, {"country", "iso_code"}, {"country"}};
	static path_t registered = {"registered_country", "iso_code"};
	MMDB_entry_data_s d;

	for (size_t k = 0; k < sizeof place / sizeof *place; k++) {
		if (get(e, place[k], MMDB_DATA_TYPE_UTF8_STRING, &d) && take_code(&d, i->country)) {
			i->registered = false;
			return;
		}
	}
	if (i->country[0] == '\0' && get(e, registered, MMDB_DATA_TYPE_UTF8_STRING, &d))
		i->registered = take_code(&d, i->country);
}

/* "AS174", "174" */
static uint32_t number(const char *s, size_t n)
{
	uint64_t v = 0;

	if (n > 2 && (s[0] & ~0x20) == 'A' && (s[1] & ~0x20) == 'S') {
		s += 2;
		n -= 2;
	}
	if (n == 0 || n > ASN_DIGITS)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return 0;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	return v <= UINT32_MAX ? (uint32_t)v : 0;
}

static uint32_t find_asn(MMDB_entry_s *e)
{
	static path_t place[] = {{"autonomous_system_number"}, {"asn"}, {"as_number"}};
	MMDB_entry_data_s d;

	for (size_t k = 0; k < sizeof place / sizeof *place; k++) {
		uint64_t v = 0;

		if (MMDB_aget_value(e, &d, place[k]) != MMDB_SUCCESS || !d.has_data)
			continue;
		switch (d.type) {
		case MMDB_DATA_TYPE_UINT16: v = d.uint16; break;
		case MMDB_DATA_TYPE_UINT32: v = d.uint32; break;
		case MMDB_DATA_TYPE_UINT64: v = d.uint64; break;
		case MMDB_DATA_TYPE_INT32: v = d.int32 > 0 ? (uint64_t)d.int32 : 0; break;
		case MMDB_DATA_TYPE_UTF8_STRING: v = number(d.utf8_string, d.data_size); break;
		default: break;
		}
		if (v != 0 && v <= UINT32_MAX)
			return (uint32_t)v;
	}
	return 0;
}

/* The length of the UTF-8 character at s, 0 when it is none (RFC 3629). */
static size_t character(const unsigned char *s, size_t n)
{
	size_t more = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : s[0] < 0xf5 ? 3 : 0;

	if (more == 0 || more >= n)
		return 0;
	for (size_t k = 1; k <= more; k++) {
		if ((s[k] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f) ||
	    (s[0] == 0xc2 && s[1] < 0xa0)) /* C1 controls */
		return 0;
	return more + 1;
}

/* One line of UTF-8; what is none, and control characters, become '?'. */
static void take_text(const MMDB_entry_data_s *d, char *out, size_t size)
{
	const unsigned char *s = (const unsigned char *)d->utf8_string;
	size_t n = d->data_size, to = 0;

	for (size_t i = 0; i < n;) {
		size_t k = s[i] < 0x80 ? 1 : character(s + i, n - i);
		bool good = k > 1 || (k == 1 && s[i] >= 0x20 && s[i] != 0x7f);

		k = k > 0 ? k : 1;
		if (to + k >= size)
			break;
		if (good)
			memcpy(out + to, s + i, k);
		else
			out[to] = '?';
		to += good ? k : 1;
		i += k;
	}
	out[to] = '\0';
}

static void find_text(MMDB_entry_s *e, path_t *place, size_t n, char *out, size_t size)
{
	MMDB_entry_data_s d;

	for (size_t k = 0; k < n && out[0] == '\0'; k++) {
		if (get(e, place[k], MMDB_DATA_TYPE_UTF8_STRING, &d))
			take_text(&d, out, size);
	}
}

static void find_network(MMDB_entry_s *e, struct tap_geo_info *i)
{
	static path_t name[] = {{"autonomous_system_organization"},
				{"as_name"},
				{"as_organization"},
				{"org"},
				{"name"}};
	static path_t domain[] = {{"as_domain"}, {"domain"}};
	char text[TAP_GEO_NAME] = "";
	uint32_t asn =
	    i->asn == 0 || i->as_name[0] == '\0' || i->as_domain[0] == '\0' ? find_asn(e) : 0;

	/* names of one network and the number of another do not belong together */
	if (asn == 0 || (i->asn != 0 && i->asn != asn))
		return;
	i->asn = asn;
	if (i->as_name[0] == '\0')
		find_text(e, name, sizeof name / sizeof *name, i->as_name, sizeof i->as_name);
	if (i->as_domain[0] == '\0') {
		find_text(e, domain, sizeof domain / sizeof *domain, text, sizeof text);
		if (text[0] != '\0')
			(void)tap_idn_ascii(text, i->as_domain);
	}
}

static bool look(struct file *f, const struct tap_ipaddr *a, MMDB_entry_s *e)
{
	struct sockaddr_in four = {.sin_family = AF_INET};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	const struct sockaddr *sa = (const struct sockaddr *)&six;
	MMDB_lookup_result_s r;
	int rc = MMDB_SUCCESS;

	if (tap_ipaddr_is4(a)) {
		memcpy(&four.sin_addr, a->b + 12, 4);
		sa = (const struct sockaddr *)&four;
	} else if (f->db.metadata.ip_version == 4) {
		return false; /* it knows nothing of them */
	} else {
		memcpy(&six.sin6_addr, a->b, sizeof a->b);
	}
	r = MMDB_lookup_sockaddr(&f->db, sa, &rc);
	if (rc != MMDB_SUCCESS && !atomic_flag_test_and_set(&f->told))
		tap_warn("enrich", "the database %s is damaged: %s", f->db.filename,
			 MMDB_strerror(rc));
	*e = r.entry;
	return rc == MMDB_SUCCESS && r.found_entry;
}

void tap_geo_find(const struct tap_geo *g, const struct tap_ipaddr *a, struct tap_geo_info *i_r)
{
	i_r->country[0] = i_r->as_name[0] = i_r->as_domain[0] = '\0';
	i_r->registered = false;
	i_r->asn = 0;
	for (size_t i = 0; i < g->n; i++) {
		MMDB_entry_s e;

		if (g->file[i] == NULL || !look(g->file[i], a, &e))
			continue;
		if (g->file[i]->country && (i_r->country[0] == '\0' || i_r->registered))
			find_country(&e, i_r);
		find_network(&e, i_r);
	}
}
