/* SPDX-License-Identifier: Apache-2.0
 * cli/encoder.c - see encoder.h. */
#include "cli/encoder.h"

#include "base/arena.h"
#include "base/io.h"
#include "cli/keep.h"
#include "outputs/encode.h"
#include <stdlib.h>
#include <string.h>

enum { KEEP_MAX = 64 * 1024 * 1024, STAGE = 1024 * 1024 };

/* A kind of report, where it goes, and whether it has a table. */
static const struct {
	enum tap_kind kind;
	bool in_compat4, table;
} lists[TAP_LIST_N] = {
    [TAP_LIST_AGGREGATE] = {TAP_KIND_AGGREGATE, true, true},
    [TAP_LIST_FAILURE] = {TAP_KIND_FAILURE, true, true},
    [TAP_LIST_FEEDBACK] = {TAP_KIND_FEEDBACK, false, false},
    [TAP_LIST_TLS] = {TAP_KIND_SMTP_TLS, false, true},
};

/* An open report in one output. */
struct aim {
	struct tap_stage *stage;
	uint64_t mark; /* where it begins */
	struct tap_json_style style;
};
struct tap_encoder {
	const struct tap_print *print;
	struct tap_encoded *to;
	struct tap_csv_style csv;
	struct aim json[2], table,
	    samples;   /* of the open report; stage NULL = it does not go there */
	bool open;     /* begin came, end has not */
	bool skip;     /* it is not printed */
	bool no_place; /* because version 4 has no list for it */
	bool any, after_detail, have_failure;
	struct tap_arena *
	    arena; /* of what follows: what begin and others hand over is gone when the rest comes */
	struct tap_meta meta;
	struct tap_failure failure;
	struct tap_tls_policy policy;
	struct tap_arena *policy_arena;
	struct tap_err failed; /* of an abort, which cannot return it */
};

bool tap_print_list(const struct tap_print *p, enum tap_printed list)
{
	return !p->compat4 || lists[list].in_compat4;
}

void tap_encoded_init(struct tap_encoded *e)
{
	memset(e, 0, sizeof *e);
	for (size_t i = 0; i < TAP_TO_N; i++)
		tap_stage_init(&e->to[i], STAGE);
}

void tap_encoded_free(struct tap_encoded *e)
{
	for (size_t i = 0; i < TAP_TO_N; i++)
		tap_stage_free(&e->to[i]);
}

enum tap_rc tap_encoded_reset(struct tap_encoded *e, struct tap_err *err)
{
	e->reports = e->left_out = e->no_place = 0;
	for (size_t i = 0; i < TAP_TO_N; i++) {
		enum tap_rc rc = tap_stage_cut(&e->to[i], 0, err);

		if (rc != TAP_OK)
			return rc;
		tap_io_close(&e->to[i].fd); /* many of them at once would be many descriptors */
		if (e->to[i].buf.cap > STAGE + STAGE / 2)
			tap_buf_free(&e->to[i].buf);
	}
	return TAP_OK;
}

struct tap_encoder *tap_encoder_new(const struct tap_print *print)
{
	struct tap_encoder *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	e->print = print;
	e->csv = (struct tap_csv_style){.compat4 = print->compat4,
					.local_time = print->local_time,
					.unguarded = print->no_csv_guard};
	e->arena = tap_arena_new(KEEP_MAX);
	e->policy_arena = tap_arena_new(KEEP_MAX);
	return e;
}

void tap_encoder_free(struct tap_encoder **e)
{
	if (e == NULL || *e == NULL)
		return;
	tap_arena_free(&(*e)->arena);
	tap_arena_free(&(*e)->policy_arena);
	free(*e);
	*e = NULL;
}

void tap_encoder_aim(struct tap_encoder *e, struct tap_encoded *to)
{
	e->to = to;
}

/* --- the open report ---------------------------------------------------------------------------------------------------------- */

static void aim_at(struct tap_encoder *e, struct aim *a, enum tap_to to, int level)
{
	a->stage = &e->to->to[to];
	a->mark = tap_stage_size(a->stage);
	a->style = (struct tap_json_style){.indent = 2,
					   .level = level,
					   .compat4 = e->print->compat4,
					   .local_time = e->print->local_time,
					   .strip_payloads = e->print->strip_payloads};
}

static void aim_all(struct tap_encoder *e, enum tap_printed list)
{
	unsigned at = (unsigned)list;

	e->json[0].stage = e->json[1].stage = e->table.stage = e->samples.stage = NULL;
	if (e->print->to_stdout)
		aim_at(e, &e->json[0], (enum tap_to)(TAP_TO_STDOUT + at), 2);
	if (!e->print->to_files)
		return;
	aim_at(e, &e->json[1], (enum tap_to)(TAP_TO_JSON + at), 1);
	if (lists[list].table)
		aim_at(e, &e->table, (enum tap_to)(TAP_TO_CSV + at), 0);
	if (list == TAP_LIST_FAILURE)
		aim_at(e, &e->samples, TAP_TO_SAMPLES, 0);
}

static enum tap_rc each(struct tap_encoder *e, enum tap_rc (*f)(struct aim *a, struct tap_err *err),
			struct tap_err *err)
{
	struct aim *all[] = {&e->json[0], &e->json[1], &e->table, &e->samples};
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; i < sizeof all / sizeof *all && rc == TAP_OK; i++)
		if (all[i]->stage != NULL)
			rc = f(all[i], err);
	return rc;
}

static enum tap_rc relieve(struct aim *a, struct tap_err *err)
{
	return tap_stage_relieve(a->stage, err);
}

static enum tap_rc roll_back(struct aim *a, struct tap_err *err)
{
	return tap_stage_cut(a->stage, a->mark, err);
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct tap_encoder *e = ctx;

	(void)why;
	if (e->open && !e->skip && e->failed.rc == TAP_OK)
		(void)each(e, roll_back, &e->failed);
	e->open = false;
}

enum tap_rc tap_encoder_settle(struct tap_encoder *e, struct tap_err *err)
{
	on_abort(e, NULL);
	if (e->failed.rc == TAP_OK)
		return TAP_OK;
	*err = e->failed;
	return err->rc;
}

static void begin_json(struct tap_encoder *e, struct aim *a)
{
	static const char line[] = ",\n    ";

	if (a->stage == NULL)
		return;
	tap_buf_add(&a->stage->buf, line, 2 + (size_t)a->style.level * 2);
	if (e->meta.kind == TAP_KIND_AGGREGATE)
		tap_json_report_begin(&a->stage->buf, &a->style, &e->meta);
	else if (e->meta.kind == TAP_KIND_SMTP_TLS)
		tap_json_tls_begin(&a->stage->buf, &a->style, &e->meta);
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *meta, struct tap_err *err)
{
	struct tap_encoder *e = ctx;
	enum tap_rc rc = tap_encoder_settle(e, err);
	enum tap_printed list = 0;

	if (rc != TAP_OK)
		return rc;
	while (list < TAP_LIST_N && lists[list].kind != meta->kind)
		list++;
	e->open = true;
	e->any = e->after_detail = e->have_failure = false;
	e->no_place = list == TAP_LIST_N || !tap_print_list(e->print, list);
	e->skip = e->no_place || (!e->print->to_stdout && !e->print->to_files);
	if (e->print->trusted_only && !meta->trust.trusted)
		e->skip = true;
	e->meta.trust.trusted = meta->trust.trusted;
	if (e->skip)
		return TAP_OK;
	aim_all(e, list);
	tap_arena_reset(e->arena);
	rc = tap_keep_meta(e->arena, meta, &e->meta, err);
	if (rc != TAP_OK)
		return rc;
	begin_json(e, &e->json[0]);
	begin_json(e, &e->json[1]);
	return each(e, relieve, err);
}

static enum tap_rc on_record(void *ctx, const struct tap_record *rec, struct tap_err *err)
{
	struct tap_encoder *e = ctx;

	if (e->skip)
		return TAP_OK;
	for (size_t i = 0; i < 2; i++)
		if (e->json[i].stage != NULL)
			tap_json_report_record(&e->json[i].stage->buf, &e->json[i].style, &e->meta,
					       rec, !e->any);
	if (e->table.stage != NULL)
		tap_csv_row(&e->table.stage->buf, &e->csv, &e->meta, rec, 1);
	e->any = true;
	return each(e, relieve, err);
}

static enum tap_rc on_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	struct tap_encoder *e = ctx;

	if (e->skip)
		return TAP_OK;
	e->have_failure = true;
	return tap_keep_failure(e->arena, f, &e->failure, err);
}

static enum tap_rc on_tls_policy(void *ctx, const struct tap_tls_policy *p, struct tap_err *err)
{
	struct tap_encoder *e = ctx;
	enum tap_rc rc = TAP_OK;

	if (e->skip)
		return TAP_OK;
	for (size_t i = 0; i < 2; i++)
		if (e->json[i].stage != NULL)
			tap_json_tls_policy(&e->json[i].stage->buf, &e->json[i].style, p,
					    e->after_detail);
	if (e->table.stage != NULL) {
		tap_csv_tls_row(&e->table.stage->buf, &e->csv, &e->meta, p, NULL, 1);
		tap_arena_reset(e->policy_arena);
		rc = tap_keep_tls_policy(e->policy_arena, p, &e->policy, err);
	}
	e->any = true;
	e->after_detail = false;
	return rc == TAP_OK ? each(e, relieve, err) : rc;
}

static enum tap_rc on_tls_detail(void *ctx, const struct tap_tls_detail *d, struct tap_err *err)
{
	struct tap_encoder *e = ctx;

	if (e->skip || !e->any)
		return TAP_OK;
	for (size_t i = 0; i < 2; i++)
		if (e->json[i].stage != NULL)
			tap_json_tls_detail(&e->json[i].stage->buf, &e->json[i].style, d);
	if (e->table.stage != NULL)
		tap_csv_tls_row(&e->table.stage->buf, &e->csv, &e->meta, &e->policy, d, 1);
	e->after_detail = true;
	return each(e, relieve, err);
}

static void end_json(struct tap_encoder *e, struct aim *a, const struct tap_report_end *end)
{
	struct tap_buf *b;

	if (a->stage == NULL)
		return;
	b = &a->stage->buf;
	if (e->meta.kind == TAP_KIND_AGGREGATE)
		tap_json_report_end(b, &a->style, &e->meta, end, 0, e->any);
	else if (e->meta.kind == TAP_KIND_SMTP_TLS)
		tap_json_tls_end(b, &a->style, &e->meta, end, 0, e->any, e->after_detail);
	else
		tap_json_failure(b, &a->style, &e->meta, &e->failure, end, 0);
}

static void end_table(struct tap_encoder *e)
{
	struct tap_buf *b = &e->table.stage->buf;

	if (e->meta.kind == TAP_KIND_FAILURE)
		tap_csv_failure_row(b, &e->csv, &e->meta, &e->failure, 1);
	else if (!e->any && e->meta.kind == TAP_KIND_AGGREGATE)
		tap_csv_row(b, &e->csv, &e->meta, NULL, 1);
	else if (!e->any)
		tap_csv_tls_row(b, &e->csv, &e->meta, NULL, NULL, 1);
}

static void add_sample(struct tap_encoder *e)
{
	struct tap_buf *b = &e->samples.stage->buf;
	struct tap_sample_head head = {.size = e->failure.sample_len};

	memcpy(head.uid, e->meta.uid, sizeof head.uid);
	if (e->failure.parsed != NULL && e->failure.parsed->subject != NULL)
		memcpy(head.subject, e->failure.parsed->subject,
		       strnlen(e->failure.parsed->subject, sizeof head.subject - 1));
	tap_buf_add(b, &head, sizeof head);
	tap_buf_add(b, e->failure.sample, e->failure.sample_len);
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *end, struct tap_err *err)
{
	struct tap_encoder *e = ctx;
	bool whole = (e->meta.kind & (TAP_KIND_FAILURE | TAP_KIND_FEEDBACK)) == 0;
	enum tap_rc rc;

	if (e->skip) {
		e->open = false;
		if (e->print->trusted_only && !e->meta.trust.trusted)
			e->to->left_out++;
		else if (e->no_place)
			e->to->no_place++;
		return TAP_OK;
	}
	if (!whole && !e->have_failure)
		return tap_err_set(err, TAP_E_DATA, "a failure report without its body");
	end_json(e, &e->json[0], end);
	end_json(e, &e->json[1], end);
	if (e->table.stage != NULL)
		end_table(e);
	if (e->samples.stage != NULL && e->failure.sample != NULL)
		add_sample(e);
	rc = each(e, relieve, err);
	if (rc != TAP_OK)
		return rc;
	e->open = false;
	e->to->reports++;
	return TAP_OK;
}

const struct tap_events tap_encoder_events = {
    .begin = on_begin,
    .record = on_record,
    .end = on_end,
    .abort = on_abort,
    .failure = on_failure,
    .tls_policy = on_tls_policy,
    .tls_detail = on_tls_detail,
};
