/* SPDX-License-Identifier: Apache-2.0
 * daemon/outbox.c - see outbox.h. */
#include "daemon/outbox.h"

#include "base/clock.h"
#include "daemon/control.h"
#include "daemon/worker.h"
#include "outputs/encode.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED = 1000, NAME = 64, SOON_MS = 1000 };

static struct tap_sink_run *find(struct tap_worker *w, const char *name, struct tap_err *err)
{
	for (size_t i = 0; i < w->sinks; i++)
		if (strcmp(w->config[i].name, name) == 0)
			return &w->sink[i];
	(void)tap_err_set(err, TAP_E_NOTFOUND, "there is no output \"%s\"", name);
	return NULL;
}

static bool number(const char *s, char end, int64_t *v_r, const char **rest_r)
{
	char *stop;

	if (*s < '0' || *s > '9')
		return false;
	*v_r = strtoll(s, &stop, 10);
	*rest_r = stop + (*stop == end && end != '\0');
	return *stop == end;
}

/* ---- list ---- */

struct listing {
	struct tap_buf *body;
	bool json, any;
};

static void time_text(struct tap_buf *b, int64_t t)
{
	struct tap_date d;

	tap_time_utc(t, &d);
	tap_buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)d.year, (int)d.month, (int)d.day,
		       (int)d.hour, (int)d.minute, (int)d.second);
}

static enum tap_rc one_exception(void *ctx, const struct tap_store_exception *x,
				 struct tap_err *err)
{
	struct listing *l = ctx;
	struct tap_buf *b = l->body;

	(void)err;
	if (l->json) {
		tap_buf_printf(b, "%s{\"id\":\"%" PRId64 ".%" PRIu64 "\",\"report_uid\":",
			       l->any ? "," : "", x->seq, x->ordinal);
		tap_json_string(b, x->uid);
		tap_buf_printf(b,
			       ",\"state\":\"%s\",\"attempts\":%" PRId64 ",\"since\":%" PRId64
			       ",\"next_try\":",
			       x->waits ? "waiting" : "parked", x->tries, x->since);
		if (x->waits)
			tap_buf_printf(b, "%" PRId64, x->next_try);
		else
			tap_buf_adds(b, "null");
		tap_buf_adds(b, ",\"reason\":");
		tap_json_string(b, x->reason);
		tap_buf_addc(b, '}');
	} else {
		tap_buf_printf(b, "  %" PRId64 ".%" PRIu64 "  %s, %" PRId64 " attempts since ",
			       x->seq, x->ordinal, x->waits ? "waits" : "parked", x->tries);
		time_text(b, x->since);
		if (x->waits && x->next_try > 0) {
			tap_buf_adds(b, ", next try ");
			time_text(b, x->next_try);
		}
		tap_buf_printf(b, ": %s\n", x->reason);
	}
	l->any = true;
	return TAP_OK;
}

static void head(struct tap_buf *b, bool json, const struct tap_sink_config *c,
		 const struct tap_store_sink *k)
{
	if (json) {
		tap_buf_adds(b, "{\"name\":");
		tap_json_string(b, c->name);
		tap_buf_adds(b, ",\"type\":");
		tap_json_string(b, c->ops->name);
		tap_buf_printf(b,
			       ",\"cursor\":{\"seq\":%" PRId64 ",\"ordinal\":%" PRIu64
			       "},\"lag\":%" PRIu64 ",\"exceptions\":%" PRIu64 ",\"items\":[",
			       k->seq, k->ordinal, k->lag, k->exceptions);
	} else {
		tap_buf_printf(b,
			       "%s (%s): cursor %" PRId64 ".%" PRIu64 ", %" PRIu64
			       " items owed, %" PRIu64 " set aside\n",
			       c->name, c->ops->name, k->seq, k->ordinal, k->lag, k->exceptions);
	}
}

static enum tap_rc list_one(struct tap_store_reader *r, const struct tap_sink_config *c, bool json,
			    struct tap_buf *b, struct tap_err *err)
{
	struct listing l = {.body = b, .json = json};
	unsigned kinds =
	    c->ops->kinds & (c->ops->wants != NULL ? c->ops->wants(c->set) : c->ops->kinds);
	struct tap_store_sink k;
	enum tap_rc rc = tap_store_sink_get(r, c->name, kinds, &k, NULL, err);

	if (rc == TAP_E_NOTFOUND) { /* it has not begun yet */
		*err = (struct tap_err){0};
		rc = TAP_OK;
	}
	if (rc != TAP_OK)
		return rc;
	head(b, json, c, &k);
	rc = tap_store_sink_list(r, c->name, INT64_MAX, LISTED, one_exception, &l, err);
	if (json)
		tap_buf_adds(b, "]}");
	else if (k.exceptions > LISTED)
		tap_buf_printf(b, "  and %" PRIu64 " more\n", k.exceptions - LISTED);
	return rc;
}

enum tap_rc tap_command_outbox_list(struct tap_worker *w, const char *args, struct tap_buf *body,
				    struct tap_err *err)
{
	struct tap_store_reader *r = NULL;
	char name[NAME], format[8];
	bool json = tap_control_get(args, "format", format, sizeof(format)) &&
		    strcmp(format, "json") == 0,
	     any = false;
	bool one = tap_control_next(&args, name, sizeof(name));
	enum tap_rc rc = TAP_OK;

	if (one && find(w, name, err) == NULL)
		return TAP_E_NOTFOUND;
	rc = tap_store_open_reader(w->store_set.path, &r, err);
	if (rc == TAP_OK)
		tap_store_reader_deadline(r, tap_clock_mono_ms() + SOON_MS);
	if (json)
		tap_buf_addc(body, '[');
	for (size_t i = 0; rc == TAP_OK && i < w->sinks; i++) {
		if (one && strcmp(w->config[i].name, name) != 0)
			continue;
		if (json && any)
			tap_buf_addc(body, ',');
		rc = list_one(r, &w->config[i], json, body, err);
		any = true;
	}
	if (json)
		tap_buf_adds(body, "]\n");
	tap_store_close_reader(&r);
	if (rc == TAP_OK && body->failed)
		rc = tap_err_set(err, TAP_E_LIMIT, "the list is too long: ask for one output");
	return rc;
}

/* ---- retry, drop ---- */

struct item_job {
	const char *sink;
	bool in_order, drop;
	int64_t seq; /* 0 = all */
	uint64_t ordinal, n;
};

static enum tap_rc do_items(struct tap_store *s, void *ctx, struct tap_err *err)
{
	struct item_job *j = ctx;

	if (j->drop)
		return tap_store_outbox_drop(s, j->sink, j->seq, j->ordinal, &j->n, err);
	return j->in_order ? tap_store_outbox_owe_exceptions(s, j->sink, j->seq, &j->n, err)
			   : tap_store_outbox_retry(s, j->sink, j->seq, j->ordinal, &j->n, err);
}

static enum tap_rc items(struct tap_worker *w, const char *args, bool drop, struct tap_buf *body,
			 struct tap_err *err)
{
	char name[NAME], id[NAME];
	struct item_job j = {.sink = name, .drop = drop};
	struct tap_sink_run *k;
	const char *rest = "";
	int64_t ordinal = 0;
	enum tap_rc rc;

	if (!tap_control_next(&args, name, sizeof(name)) ||
	    !tap_control_next(&args, id, sizeof(id)))
		return tap_err_set(err, TAP_E_DATA, "an output and an ID (or all) are needed");
	k = find(w, name, err);
	if (k == NULL)
		return TAP_E_NOTFOUND;
	if (strcmp(id, "all") != 0 &&
	    (!number(id, '.', &j.seq, &rest) || j.seq == 0 || !number(rest, '\0', &ordinal, &rest)))
		return tap_err_set(err, TAP_E_DATA, "an ID is as outbox list prints it, or all");
	j.ordinal = (uint64_t)ordinal;
	j.in_order = k->config->ops->in_order;
	rc = tap_writer_run(w, do_items, &j, err);
	if (rc == TAP_OK)
		tap_buf_printf(body, "%" PRIu64 " items of %s %s\n", j.n, name,
			       drop	    ? "dropped"
			       : j.in_order ? "owed again, with the whole of their reports"
					    : "are tried again");
	return rc;
}

enum tap_rc tap_command_outbox_retry(struct tap_worker *w, const char *args, struct tap_buf *body,
				     struct tap_err *err)
{
	return items(w, args, false, body, err);
}

enum tap_rc tap_command_outbox_drop(struct tap_worker *w, const char *args, struct tap_buf *body,
				    struct tap_err *err)
{
	return items(w, args, true, body, err);
}

/* ---- backfill, expire ---- */

struct owe_job {
	const char *sink;
	int64_t from, to;
};

static enum tap_rc do_owe(struct tap_store *s, void *ctx, struct tap_err *err)
{
	struct owe_job *j = ctx;

	return tap_store_outbox_owe(s, j->sink, j->from, j->to, err);
}

/* The option `key` as seconds; false: it is not there, or no number. */
static bool seconds(const char *args, const char *key, int64_t *v_r)
{
	char text[32];
	const char *rest;

	return tap_control_get(args, key, text, sizeof(text)) && number(text, '\0', v_r, &rest);
}

enum tap_rc tap_command_backfill(struct tap_worker *w, const char *args, struct tap_buf *body,
				 struct tap_err *err)
{
	char name[NAME];
	struct owe_job j = {.sink = name, .to = INT64_MAX};
	struct tap_store_reader *r = NULL;
	int64_t since = 0, until = 0;
	bool end = seconds(args, "until", &until);
	enum tap_rc rc;

	if (!seconds(args, "since", &since) || !tap_control_next(&args, name, sizeof(name)))
		return tap_err_set(err, TAP_E_DATA, "an output and since are needed");
	if (find(w, name, err) == NULL)
		return TAP_E_NOTFOUND;
	rc = tap_store_open_reader(w->store_set.path, &r, err);
	if (rc == TAP_OK)
		rc = tap_store_seq_at(r, since, &j.from, err);
	if (rc == TAP_OK && end)
		rc = tap_store_seq_at(r, until, &j.to, err);
	tap_store_close_reader(&r);
	if (rc == TAP_OK)
		rc = tap_writer_run(w, do_owe, &j, err);
	if (rc == TAP_OK)
		tap_buf_printf(body, "reports from %" PRId64 " on are owed to %s again\n", j.from,
			       name);
	return rc;
}

enum tap_rc tap_command_expire(struct tap_worker *w, const char *args, struct tap_buf *body,
			       struct tap_err *err)
{
	char owed[8];
	int64_t before = 0, seq = 0;
	uint64_t removed = 0;
	bool even_owed = tap_control_get(args, "owed", owed, sizeof(owed));
	enum tap_rc rc;

	if (!seconds(args, "before", &before))
		return tap_err_set(err, TAP_E_DATA, "before is needed");
	(void)seconds(args, "from", &seq);
	rc = tap_expire_some(w, before, even_owed, tap_clock_mono_ms() + SOON_MS, &seq, &removed,
			     err);
	if (rc == TAP_OK)
		tap_buf_printf(body, "removed %" PRIu64 " next %" PRId64 "\n", removed, seq);
	return rc;
}
