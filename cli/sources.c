/* SPDX-License-Identifier: Apache-2.0
 * cli/sources.c - see sources.h. */
#include "cli/sources.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/settings.h"
#include "cli/keep.h"
#include "enrich/enrich.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { RESULT_BYTES = 64 * 1024 * 1024 };

struct tap_sources {
	struct tap_enrich *enrich;
	atomic_uint_fast64_t unknown;
};

enum what { BEGIN, RECORD, FAILURE, POLICY, DETAIL, END };
struct event {
	enum what what;
	bool ask;
	union {
		struct tap_meta *meta;
		struct tap_record *record;
		struct tap_failure *failure;
		struct tap_tls_policy *policy;
		struct tap_tls_detail *detail;
		struct tap_report_end *end;
	} of;
};
struct tap_window {
	struct tap_sources *sources;
	const struct tap_print *print;
	const struct tap_events *to;
	void *ctx;
	struct tap_arena *kept, *results;
	struct event *event; /* TAP_WINDOW_EVENTS of them */
	size_t n;
	bool open, seen; /* a report has begun and not ended; the consumer has seen its beginning */
	bool ask;	 /* who sent what the open report tells */
	size_t begin;	 /* where it stands, when not seen */
	int64_t waited_ms;
};

/* --- shared ------------------------------------------------------------------------------------------------------------------- */

static enum tap_rc open_with(const struct tap_sources_options *o, struct tap_settings *defaults,
			     struct tap_sources *s, struct tap_err *err)
{
	struct tap_enrich_settings set;
	struct tap_dns_settings dns;
	enum tap_rc rc = tap_settings_section(defaults, &tap_enrich_section, &set, err);

	if (rc == TAP_OK)
		rc = tap_settings_section(defaults, &tap_dns_section, &dns, err);
	if (rc != TAP_OK)
		return rc;
	set.cache = NULL; /* that of the service is not ours to write */
	if (o->timeout_ms > 0)
		dns.timeout_ms = o->timeout_ms;
	if (o->n_nameservers > 0) {
		dns.nameservers.n = o->n_nameservers;
		dns.nameservers.item = malloc(o->n_nameservers * sizeof(char *));
		if (dns.nameservers.item == NULL)
			return tap_err_set(err, TAP_E_TEMP, "out of memory");
		memcpy(dns.nameservers.item, o->nameservers, o->n_nameservers * sizeof(char *));
	}
	rc = tap_enrich_open(&set, &dns, &s->enrich, err);
	if (o->n_nameservers > 0)
		free(dns.nameservers.item);
	return rc;
}

enum tap_rc tap_sources_open(const struct tap_sources_options *o, struct tap_sources **s_r,
			     struct tap_err *err)
{
	struct tap_sources *s = calloc(1, sizeof *s);
	struct tap_settings *defaults = NULL;
	enum tap_rc rc;

	*s_r = NULL;
	if (s == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	rc = tap_settings_load(NULL, &defaults, err);
	if (rc == TAP_OK)
		rc = open_with(o, defaults, s, err);
	tap_settings_free(&defaults);
	if (rc != TAP_OK)
		tap_sources_free(&s);
	*s_r = s;
	return rc;
}

void tap_sources_free(struct tap_sources **s)
{
	if (s == NULL || *s == NULL)
		return;
	tap_enrich_free(&(*s)->enrich);
	free(*s);
	*s = NULL;
}

void tap_sources_cancel(struct tap_sources *s)
{
	if (s != NULL)
		tap_enrich_cancel(s->enrich);
}

uint64_t tap_sources_unknown(const struct tap_sources *s)
{
	return atomic_load(&s->unknown);
}

/* --- handing on --------------------------------------------------------------------------------------------------------------- */

struct tap_window *tap_window_new(struct tap_sources *s, const struct tap_print *print,
				  const struct tap_events *to, void *ctx)
{
	struct tap_window *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	*w = (struct tap_window){.sources = s, .print = print, .to = to, .ctx = ctx};
	w->event = malloc(TAP_WINDOW_EVENTS * sizeof *w->event);
	w->kept = tap_arena_new(TAP_WINDOW_BYTES);
	w->results = tap_arena_new(RESULT_BYTES);
	if (w->event == NULL)
		tap_window_free(&w);
	return w;
}

void tap_window_free(struct tap_window **w)
{
	if (w == NULL || *w == NULL)
		return;
	tap_arena_free(&(*w)->kept);
	tap_arena_free(&(*w)->results);
	free((*w)->event);
	free(*w);
	*w = NULL;
}

int64_t tap_window_waited_ms(const struct tap_window *w)
{
	return w->waited_ms;
}

static const char *address_of(const struct event *e)
{
	if (!e->ask)
		return NULL;
	if (e->what == RECORD)
		return e->of.record->source_ip;
	return e->what == FAILURE ? e->of.failure->source_ip : NULL;
}

static void set_source(struct event *e, const struct tap_source_info *info)
{
	if (e->what == RECORD)
		e->of.record->source = *info;
	else
		e->of.failure->source = *info;
}

/* One call for all addresses of n events. A run that is being interrupted goes on without names. */
static enum tap_rc ask(struct tap_window *w, struct event *event, size_t n, struct tap_err *err)
{
	const char **address = tap_arena_alloc(w->results, (n + 1) * sizeof *address);
	struct tap_enrich_result *result = tap_arena_alloc(w->results, (n + 1) * sizeof *result);
	int64_t from = tap_clock_mono_ms();
	size_t asked = 0, at = 0;
	enum tap_rc rc;

	if (address == NULL || result == NULL)
		return tap_err_set(err, TAP_E_LIMIT, "too many addresses at once");
	for (size_t i = 0; i < n; i++)
		if ((address[asked] = address_of(&event[i])) != NULL)
			asked++;
	if (asked == 0)
		return TAP_OK;
	rc = tap_enrich_batch(w->sources->enrich, address, asked, 0, w->results, result, err);
	w->waited_ms += tap_clock_mono_ms() - from;
	if (rc != TAP_OK && rc != TAP_E_CANCELLED)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (address_of(&event[i]) == NULL)
			continue;
		if (result[at].state == TAP_ENRICH_PENDING)
			(void)atomic_fetch_add(&w->sources->unknown, 1);
		set_source(&event[i], &result[at++].info);
	}
	return TAP_OK;
}

static enum tap_rc hand_on(struct tap_window *w, const struct event *e, struct tap_err *err)
{
	switch (e->what) {
	case BEGIN: return w->to->begin(w->ctx, e->of.meta, err);
	case RECORD: return w->to->record(w->ctx, e->of.record, err);
	case FAILURE: return w->to->failure(w->ctx, e->of.failure, err);
	case POLICY: return w->to->tls_policy(w->ctx, e->of.policy, err);
	case DETAIL: return w->to->tls_detail(w->ctx, e->of.detail, err);
	case END: break;
	}
	return w->to->end(w->ctx, e->of.end, err);
}

void tap_window_drop(struct tap_window *w)
{
	w->n = 0;
	tap_arena_reset(w->kept);
	tap_arena_reset(w->results);
}

enum tap_rc tap_window_flush(struct tap_window *w, struct tap_err *err)
{
	enum tap_rc rc = ask(w, w->event, w->n, err);

	for (size_t i = 0; i < w->n && rc == TAP_OK; i++)
		rc = hand_on(w, &w->event[i], err);
	tap_window_drop(w);
	w->seen = w->open;
	return rc;
}

void tap_window_settle(struct tap_window *w)
{
	if (w->open && !w->seen)
		w->n = w->begin;
	else if (w->open)
		tap_window_drop(w); /* all of it belongs to that report */
	w->open = w->seen = false;
}

/* --- events ------------------------------------------------------------------------------------------------------------------- */

/* kept: what became of copying it. Too large for what is left: it goes behind what is held, at once and not copied. */
static enum tap_rc put(struct tap_window *w, struct event e, const struct event *plain,
		       enum tap_rc kept, struct tap_err *err)
{
	struct event now = *plain;
	enum tap_rc rc = TAP_OK;

	e.ask = now.ask = w->ask;
	if (kept == TAP_OK) {
		w->event[w->n++] = e;
		return w->n == TAP_WINDOW_EVENTS ? tap_window_flush(w, err) : TAP_OK;
	}
	if (kept != TAP_E_LIMIT)
		return kept;
	rc = tap_window_flush(w, err);
	if (rc == TAP_OK)
		rc = ask(w, &now, 1, err);
	if (rc == TAP_OK)
		rc = hand_on(w, &now, err);
	tap_arena_reset(w->results);
	return rc;
}

/* A copy of the struct in the window, to be filled by one of cli/keep.h; NULL as those give it. */
#define ROOM(w, T) ((T *)tap_arena_alloc((w)->kept, sizeof(T)))
#define KEPT(keep, w, from, to, err)                                                               \
	((to) != NULL ? keep((w)->kept, (from), (to), (err)) : TAP_E_LIMIT)

static enum tap_rc on_begin(void *ctx, const struct tap_meta *meta, struct tap_err *err)
{
	struct tap_window *w = ctx;
	struct tap_meta *to = ROOM(w, struct tap_meta), plain = *meta;
	enum tap_rc kept = KEPT(tap_keep_meta, w, meta, to, err);
	struct event e = {.what = BEGIN, .of.meta = to};
	struct event now = {.what = BEGIN, .of.meta = &plain};

	w->open = true;
	w->seen = kept != TAP_OK;
	w->begin = w->n;
	w->ask = (!w->print->trusted_only || meta->trust.trusted) &&
		 (!w->print->compat4 || meta->kind != TAP_KIND_FEEDBACK);
	return put(w, e, &now, kept, err);
}

static enum tap_rc on_record(void *ctx, const struct tap_record *rec, struct tap_err *err)
{
	struct tap_window *w = ctx;
	struct tap_record *to = ROOM(w, struct tap_record), plain = *rec;
	struct event e = {.what = RECORD, .of.record = to};
	struct event now = {.what = RECORD, .of.record = &plain};

	return put(w, e, &now, KEPT(tap_keep_record, w, rec, to, err), err);
}

static enum tap_rc on_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	struct tap_window *w = ctx;
	struct tap_failure *to = ROOM(w, struct tap_failure), plain = *f;
	struct event e = {.what = FAILURE, .of.failure = to};
	struct event now = {.what = FAILURE, .of.failure = &plain};

	return put(w, e, &now, KEPT(tap_keep_failure, w, f, to, err), err);
}

static enum tap_rc on_policy(void *ctx, const struct tap_tls_policy *p, struct tap_err *err)
{
	struct tap_window *w = ctx;
	struct tap_tls_policy *to = ROOM(w, struct tap_tls_policy), plain = *p;
	struct event e = {.what = POLICY, .of.policy = to};
	struct event now = {.what = POLICY, .of.policy = &plain};

	return put(w, e, &now, KEPT(tap_keep_tls_policy, w, p, to, err), err);
}

static enum tap_rc on_detail(void *ctx, const struct tap_tls_detail *d, struct tap_err *err)
{
	struct tap_window *w = ctx;
	struct tap_tls_detail *to = ROOM(w, struct tap_tls_detail), plain = *d;
	struct event e = {.what = DETAIL, .of.detail = to};
	struct event now = {.what = DETAIL, .of.detail = &plain};

	return put(w, e, &now, KEPT(tap_keep_tls_detail, w, d, to, err), err);
}

/* A report that the consumer has begun is ended at once: nobody then has a report open when a reading is over. */
static enum tap_rc on_end(void *ctx, const struct tap_report_end *end, struct tap_err *err)
{
	struct tap_window *w = ctx;
	struct tap_report_end *to = ROOM(w, struct tap_report_end), plain = *end;
	struct event e = {.what = END, .of.end = to};
	struct event now = {.what = END, .of.end = &plain};
	enum tap_rc rc = put(w, e, &now, KEPT(tap_keep_end, w, end, to, err), err);

	if (rc == TAP_OK && w->seen && w->n > 0)
		rc = tap_window_flush(w, err);
	w->open = w->seen = false;
	return rc;
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct tap_window *w = ctx;
	bool seen = w->seen;

	tap_window_settle(w);
	if (seen)
		w->to->abort(w->ctx, why);
}

const struct tap_events tap_window_events = {
    .begin = on_begin,
    .record = on_record,
    .end = on_end,
    .abort = on_abort,
    .failure = on_failure,
    .tls_policy = on_policy,
    .tls_detail = on_detail,
};
