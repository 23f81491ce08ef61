/* SPDX-License-Identifier: Apache-2.0
 * cli/item.c - see item.h. */
#include "cli/item.h"

#include "base/clock.h"
#include "base/source.h"
#include "parser/parser.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_MS = 60 * 1000 };

static atomic_int stop; /* lock-free, so a signal handler may set it */

void tap_cli_stop(void)
{
	atomic_store_explicit(&stop, 1, memory_order_relaxed);
}

bool tap_cli_stopped(void)
{
	return atomic_load_explicit(&stop, memory_order_relaxed) != 0;
}

/* Stands between parser and encoder: gives each report its time, notes warnings, and whose fault an error is. */
struct tap_item_reader {
	struct tap_read_options o;
	struct tap_encoder *enc;
	struct tap_window *window; /* before the encoder; NULL = none */
	const struct tap_events *to;
	void *to_ctx;
	struct tap_encoded *out;
	const struct tap_item *item;
	char uid[TAP_UID_HEX];
	bool ours; /* the error is trouble of ours, not bad input */
	int64_t deadline_ms;
};

/* A clock that stands still while others are asked: the time that a report may take is that of reading it. */
static int64_t reading_ms(const struct tap_item_reader *r)
{
	return tap_clock_mono_ms() - (r->window != NULL ? tap_window_waited_ms(r->window) : 0);
}

/* name and where are somebody else's: control characters in them must not reach a terminal. */
static void add_place(struct tap_buf *b, const struct tap_item *item)
{
	struct tap_err safe = {0};

	(void)tap_err_set(&safe, TAP_OK, "%s",
			  strcmp(item->name, "-") == 0 ? "standard input" : item->name);
	tap_buf_printf(b, "dmarctap: %s: ", safe.msg);
	if (item->number > 0)
		tap_buf_printf(b, "message %" PRIu64 " at byte %" PRIu64 ": ", item->number,
			       item->offset);
}

static void complain(struct tap_item_reader *r, const char *why)
{
	struct tap_buf *b = &r->out->to[TAP_TO_TALK].buf;

	add_place(b, r->item);
	tap_buf_printf(b, "%s\n", why);
}

static enum tap_rc blame(struct tap_item_reader *r, enum tap_rc rc)
{
	/* A report that is too large to be printed is bad input; the next one may fit. */
	if (rc != TAP_OK && rc != TAP_E_DATA && rc != TAP_E_LIMIT)
		r->ours = true;
	return rc;
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *meta, struct tap_err *err)
{
	struct tap_item_reader *r = ctx;

	memcpy(r->uid, meta->uid, sizeof r->uid);
	return blame(r, r->to->begin(r->to_ctx, meta, err));
}

static enum tap_rc on_record(void *ctx, const struct tap_record *rec, struct tap_err *err)
{
	struct tap_item_reader *r = ctx;

	return blame(r, r->to->record(r->to_ctx, rec, err));
}

static enum tap_rc on_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	struct tap_item_reader *r = ctx;

	return blame(r, r->to->failure(r->to_ctx, f, err));
}

static enum tap_rc on_policy(void *ctx, const struct tap_tls_policy *p, struct tap_err *err)
{
	struct tap_item_reader *r = ctx;

	return blame(r, r->to->tls_policy(r->to_ctx, p, err));
}

static enum tap_rc on_detail(void *ctx, const struct tap_tls_detail *d, struct tap_err *err)
{
	struct tap_item_reader *r = ctx;

	return blame(r, r->to->tls_detail(r->to_ctx, d, err));
}

static void note_warnings(struct tap_item_reader *r, const struct tap_report_end *end)
{
	struct tap_buf *b = &r->out->to[TAP_TO_TALK].buf;

	for (size_t i = 0; i < end->n_warnings; i++) {
		struct tap_err line; /* makes it one line without control characters */

		(void)tap_err_set(&line, TAP_OK, "report %s: warning: %s: %s", r->uid,
				  end->warnings[i].where, end->warnings[i].what);
		add_place(b, r->item);
		tap_buf_printf(b, "%s\n", line.msg);
	}
	if (end->warnings_total > end->n_warnings) {
		add_place(b, r->item);
		tap_buf_printf(b, "report %s: %" PRIu64 " more warnings\n", r->uid,
			       end->warnings_total - end->n_warnings);
	}
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *end, struct tap_err *err)
{
	struct tap_item_reader *r = ctx;
	enum tap_rc rc = TAP_OK;

	r->deadline_ms = reading_ms(r) + REPORT_MS;
	if (r->o.debug) {
		note_warnings(r, end);
		rc = tap_stage_relieve(&r->out->to[TAP_TO_TALK], err);
	}
	return blame(r, rc == TAP_OK ? r->to->end(r->to_ctx, end, err) : rc);
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct tap_item_reader *r = ctx;

	r->to->abort(r->to_ctx, why);
}

static const struct tap_events events = {
    .begin = on_begin,
    .record = on_record,
    .end = on_end,
    .abort = on_abort,
    .failure = on_failure,
    .tls_policy = on_policy,
    .tls_detail = on_detail,
};

static bool cancelled(void *ctx)
{
	const struct tap_item_reader *r = ctx;

	return tap_cli_stopped() || reading_ms(r) > r->deadline_ms;
}

struct tap_item_reader *tap_item_reader_new(const struct tap_read_options *o)
{
	struct tap_item_reader *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->o = *o;
	r->enc = tap_encoder_new(o->print);
	r->to = &tap_encoder_events;
	r->to_ctx = r->enc;
	if (r->enc != NULL && o->sources != NULL) {
		r->window = tap_window_new(o->sources, o->print, r->to, r->enc);
		r->to = &tap_window_events;
		r->to_ctx = r->window;
	}
	if (r->to_ctx == NULL)
		tap_item_reader_free(&r);
	return r;
}

void tap_item_reader_free(struct tap_item_reader **r)
{
	if (r == NULL || *r == NULL)
		return;
	tap_window_free(&(*r)->window);
	tap_encoder_free(&(*r)->enc);
	free(*r);
	*r = NULL;
}

static enum tap_rc judge(const struct tap_parse_result *res, struct tap_err *err)
{
	switch (res->verdict) {
	case TAP_V_FEEDBACK:
	case TAP_V_REPORT:
		if (res->broken == 0)
			return TAP_OK;
		return tap_err_set(err, TAP_E_DATA, "%u of %u reports could not be read: %s",
				   res->broken, res->reports + res->broken, res->why);
	case TAP_V_NOT_A_REPORT:
		return tap_err_set(err, TAP_E_DATA, "not a report%s%s",
				   *res->why != '\0' ? ": " : "", res->why);
	case TAP_V_BROKEN:
	case TAP_V_UNREADABLE:
	case TAP_V_TOO_LARGE:
	case TAP_V_N: break;
	}
	return tap_err_set(err, TAP_E_DATA, "%s: %s",
			   res->verdict < TAP_V_N ? tap_verdict_name[res->verdict] : "unreadable",
			   res->why);
}

static enum tap_rc parse(struct tap_item_reader *r, const struct tap_item *item,
			 struct tap_err *err)
{
	const char *slash = strrchr(item->name, '/');
	struct tap_parse_options opt = {
	    .filename = slash != NULL ? slash + 1 : item->name,
	    .strip_payloads = r->o.print->strip_payloads,
	    .now = tap_clock_now(),
	    .trust = r->o.trust,
	    .cancelled = cancelled,
	    .cancelled_ctx = r,
	};
	struct tap_parse_result res = {0};
	struct tap_source src;
	enum tap_rc rc;

	if (item->number > 0 || strcmp(item->name, "-") == 0)
		opt.filename = NULL;
	if (item->fd >= 0)
		tap_source_fd(&src, item->fd, 0, item->size);
	else
		tap_source_mem(&src, item->p, item->n);
	r->deadline_ms = reading_ms(r) + REPORT_MS;
	rc = tap_parse(&src, &opt, &events, r, &res, err);
	if (rc == TAP_E_CANCELLED && !r->ours && !tap_cli_stopped())
		return tap_err_set(err, rc, "a report took longer than %d s", REPORT_MS / 1000);
	return rc != TAP_OK ? rc : judge(&res, err);
}

enum tap_rc tap_item_read(struct tap_item_reader *r, const struct tap_item *item,
			  struct tap_encoded *out, bool *refused_r, struct tap_err *err)
{
	struct tap_err why = {0};
	enum tap_rc rc;

	r->item = item;
	r->out = out;
	r->ours = false;
	*refused_r = !item->note;
	if (item->refused != NULL) {
		complain(r, item->refused);
		return tap_stage_relieve(&out->to[TAP_TO_TALK], err);
	}
	tap_encoder_aim(r->enc, out);
	rc = parse(r, item, &why);
	if (rc != TAP_OK && r->ours) {
		*err = why;
		return rc;
	}
	*refused_r = rc != TAP_OK;
	if (r->window != NULL)
		tap_window_settle(r->window);
	rc = tap_encoder_settle(r->enc, err);
	if (rc != TAP_OK || !*refused_r || tap_cli_stopped())
		return rc;
	complain(r, why.msg);
	return tap_stage_relieve(&out->to[TAP_TO_TALK], err);
}

enum tap_rc tap_item_flush(struct tap_item_reader *r, struct tap_err *err)
{
	if (r->window == NULL)
		return TAP_OK;
	if (!tap_cli_stopped())
		return tap_window_flush(r->window, err);
	tap_window_drop(r->window);
	return TAP_OK;
}
