/* SPDX-License-Identifier: Apache-2.0
 * enrich/describe.c - see describe.h. Lists, databases and maps never change once they are read: a reload reads what was replaced into
 * a new view and puts it in the place of the old one, which goes with the last call that uses it. */
#include "enrich/describe.h"

#include "enrich/geo.h"
#include "enrich/services.h"
#include "enrich/suffix.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Shared by all views that it is in. */
struct part {
	int users;
	struct tap_suffix *suffix;
	struct tap_services *services;
	struct tap_geo *geo;
};
enum { SUFFIX, SERVICES, GEO, PARTS };

struct tap_describe_view {
	int users;
	struct part *part[PARTS];
};
struct tap_describe {
	pthread_mutex_t lock; /* view, and all counts of users */
	pthread_mutex_t reload;
	struct tap_describe_view *view;
	struct tap_list geoip, maps;
	char *foldings;
};

/* --- views --- */

static void drop_part(struct part *p)
{
	if (p == NULL || --p->users > 0)
		return;
	tap_suffix_free(&p->suffix);
	tap_services_free(&p->services);
	tap_geo_free(&p->geo);
	free(p);
}

/* With the lock held. */
static void drop_view(struct tap_describe_view *v)
{
	if (v == NULL || --v->users > 0)
		return;
	for (size_t i = 0; i < PARTS; i++)
		drop_part(v->part[i]);
	free(v);
}

static bool changed(const struct part *p, size_t which)
{
	if (which == SUFFIX)
		return tap_suffix_changed(p->suffix);
	return which == SERVICES ? tap_services_changed(p->services) : tap_geo_changed(p->geo);
}

static enum tap_rc open_part(const struct tap_describe *d, size_t which, const struct part *old,
			     struct part **p_r, struct tap_err *err)
{
	struct part *p = calloc(1, sizeof *p);
	enum tap_rc rc;

	*p_r = p;
	if (p == NULL)
		return tap_err_set(err, TAP_E_TEMP, "enrich: out of memory");
	p->users = 1;
	if (which == SUFFIX)
		rc = tap_suffix_open(NULL, d->foldings, &p->suffix, err);
	else if (which == SERVICES)
		rc = tap_services_open((const char *const *)d->maps.item, d->maps.n, &p->services,
				       err);
	else
		rc = tap_geo_open((const char *const *)d->geoip.item, d->geoip.n,
				  old != NULL ? old->geo : NULL, &p->geo, err);
	if (rc != TAP_OK) {
		drop_part(p);
		*p_r = NULL;
	}
	return rc;
}

/* What is the same as in old is taken from there. *v_r == old: nothing has changed. */
static enum tap_rc open_view(struct tap_describe *d, struct tap_describe_view *old,
			     struct tap_describe_view **v_r, struct tap_err *err)
{
	struct tap_describe_view *v = calloc(1, sizeof *v);
	bool fresh[PARTS], any = false;
	enum tap_rc rc = TAP_OK;

	*v_r = old;
	if (v == NULL)
		return tap_err_set(err, TAP_E_TEMP, "enrich: out of memory");
	v->users = 1;
	for (size_t i = 0; i < PARTS; i++) {
		fresh[i] = old == NULL || changed(old->part[i], i);
		any = any || fresh[i];
	}
	for (size_t i = 0; i < PARTS && rc == TAP_OK && any; i++) {
		if (fresh[i])
			rc = open_part(d, i, old != NULL ? old->part[i] : NULL, &v->part[i], err);
	}
	(void)pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < PARTS && rc == TAP_OK && any; i++) {
		if (fresh[i])
			continue;
		v->part[i] = old->part[i];
		v->part[i]->users++;
	}
	if (rc == TAP_OK && any)
		*v_r = v;
	else
		drop_view(v);
	(void)pthread_mutex_unlock(&d->lock);
	return rc;
}

/* --- open --- */

static bool copy_list(const struct tap_list *from, struct tap_list *to)
{
	to->item = calloc(from->n + 1, sizeof *to->item);
	if (to->item == NULL)
		return false;
	for (to->n = 0; to->n < from->n; to->n++) {
		to->item[to->n] = strdup(from->item[to->n]);
		if (to->item[to->n] == NULL)
			return false;
	}
	return true;
}

static void free_list(struct tap_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->item[i]);
	free(l->item);
}

enum tap_rc tap_describe_open(const struct tap_enrich_settings *set, struct tap_describe **d_r,
			      struct tap_err *err)
{
	struct tap_describe *d = calloc(1, sizeof *d);
	enum tap_rc rc = TAP_OK;

	*d_r = d;
	if (d == NULL)
		return tap_err_set(err, TAP_E_TEMP, "enrich: out of memory");
	(void)pthread_mutex_init(&d->lock, NULL);
	(void)pthread_mutex_init(&d->reload, NULL);
	if (set->suffix_overrides != NULL)
		d->foldings = strdup(set->suffix_overrides);
	if (!copy_list(&set->geoip, &d->geoip) || !copy_list(&set->service_maps, &d->maps) ||
	    (set->suffix_overrides != NULL && d->foldings == NULL))
		rc = tap_err_set(err, TAP_E_TEMP, "enrich: out of memory");
	if (rc == TAP_OK)
		rc = open_view(d, NULL, &d->view, err);
	if (rc != TAP_OK)
		tap_describe_free(d_r);
	return rc;
}

void tap_describe_free(struct tap_describe **d)
{
	if (*d == NULL)
		return;
	drop_view((*d)->view);
	free_list(&(*d)->geoip);
	free_list(&(*d)->maps);
	free((*d)->foldings);
	(void)pthread_mutex_destroy(&(*d)->lock);
	(void)pthread_mutex_destroy(&(*d)->reload);
	free(*d);
	*d = NULL;
}

enum tap_rc tap_describe_reload(struct tap_describe *d, struct tap_err *err)
{
	struct tap_describe_view *v, *old;
	enum tap_rc rc;

	(void)pthread_mutex_lock(&d->reload);
	old = d->view; /* nobody else puts another one there */
	rc = open_view(d, old, &v, err);
	if (v != old) {
		(void)pthread_mutex_lock(&d->lock);
		d->view = v;
		drop_view(old);
		(void)pthread_mutex_unlock(&d->lock);
	}
	(void)pthread_mutex_unlock(&d->reload);
	return rc;
}

struct tap_describe_view *tap_describe_begin(struct tap_describe *d)
{
	struct tap_describe_view *v;

	(void)pthread_mutex_lock(&d->lock);
	v = d->view;
	v->users++;
	(void)pthread_mutex_unlock(&d->lock);
	return v;
}

void tap_describe_end(struct tap_describe *d, struct tap_describe_view *v)
{
	(void)pthread_mutex_lock(&d->lock);
	drop_view(v);
	(void)pthread_mutex_unlock(&d->lock);
}

/* --- one address --- */

static const char *keep(struct tap_arena *arena, const char *s, bool *full)
{
	const char *kept = s != NULL && *s != '\0' ? tap_arena_strdup(arena, s) : NULL;

	*full = *full || (s != NULL && *s != '\0' && kept == NULL);
	return kept;
}

enum tap_rc tap_describe(struct tap_describe_view *v, const char *address, bool trusted,
			 struct tap_arena *arena, struct tap_source_info *info, struct tap_err *err)
{
	const struct tap_services *services = v->part[SERVICES]->services;
	struct tap_geo_info geo = {.asn = 0};
	struct tap_service service = {NULL, NULL};
	char base[TAP_IDN_NAME] = "";
	struct tap_ipaddr a;
	bool full = false;

	if (tap_ipaddr_parse(address, &a))
		tap_geo_find(v->part[GEO]->geo, &a, &geo);
	if (info->reverse_dns != NULL)
		(void)tap_suffix_base(v->part[SUFFIX]->suffix, info->reverse_dns, TAP_SUFFIX_ALL,
				      base);
	if (!trusted || !tap_services_find(services, base, false, &service))
		(void)tap_services_find(services, geo.as_domain, true, &service);
	info->base_domain = keep(arena, base, &full);
	info->country = keep(arena, geo.country, &full);
	info->name = keep(arena, service.name, &full);
	info->type = keep(arena, service.type, &full);
	info->as_name = keep(arena, geo.as_name, &full);
	info->as_domain = keep(arena, geo.as_domain, &full);
	info->asn = geo.asn;
	return full ? tap_err_set(err, TAP_E_LIMIT, "enrich: too many addresses at once") : TAP_OK;
}
