/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: the frame decoder on any bytes. The first byte chooses the size of the pieces. What comes out must keep the promises of
 * report.h, and must encode to frames that decode again. */
#include "confine/frames.h"

#include <stdlib.h>
#include <string.h>

struct state {
	struct tap_frame_writer w; /* everything is encoded again */
	int open;
};

static void must(int truth)
{
	if (!truth)
		abort();
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct state *s = ctx;

	must(s->open++ == 0);
	must(strlen(m->uid) == TAP_UID_HEX - 1 && m->schema < TAP_SCHEMA_N);
	for (size_t i = 0; i < m->n_receiving_domains; i++)
		must(m->receiving_domains[i] != NULL);
	return tap_frame_writer_events.begin(&s->w, m, err);
}

static enum tap_rc on_record(void *ctx, const struct tap_record *r, struct tap_err *err)
{
	struct state *s = ctx;

	must(s->open == 1 && r->count <= INT64_MAX);
	must(r->source_ip == NULL || strlen(r->source_ip) < 46);
	return tap_frame_writer_events.record(&s->w, r, err);
}

static enum tap_rc on_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	struct state *s = ctx;

	must(s->open == 1 && f->feedback_type != NULL);
	must((f->sample == NULL) == (f->parsed == NULL));
	must(f->source_port >= -1 && f->source_port <= 65535);
	for (size_t i = 0; f->parsed != NULL && i < f->parsed->n_headers; i++)
		must(f->parsed->headers[i].name != NULL && f->parsed->headers[i].value != NULL);
	return tap_frame_writer_events.failure(&s->w, f, err);
}

static enum tap_rc on_policy(void *ctx, const struct tap_tls_policy *p, struct tap_err *err)
{
	struct state *s = ctx;

	must(s->open == 1 && p->successful <= INT64_MAX && p->failed <= INT64_MAX);
	return tap_frame_writer_events.tls_policy(&s->w, p, err);
}

static enum tap_rc on_detail(void *ctx, const struct tap_tls_detail *d, struct tap_err *err)
{
	struct state *s = ctx;

	must(s->open == 1 && d->failed <= INT64_MAX);
	return tap_frame_writer_events.tls_detail(&s->w, d, err);
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct state *s = ctx;

	must(--s->open == 0);
	return tap_frame_writer_events.end(&s->w, e, err);
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct state *s = ctx;

	must(--s->open == 0);
	tap_frame_writer_events.abort(&s->w, why);
}

static enum tap_rc on_payload(void *ctx, uint32_t part, const void *p, size_t n,
			      struct tap_err *err)
{
	struct state *s = ctx;

	return tap_frame_writer_events.payload(&s->w, part, p, n, err);
}

static const struct tap_events recoder = {.begin = on_begin,
					  .record = on_record,
					  .end = on_end,
					  .abort = on_abort,
					  .payload = on_payload,
					  .failure = on_failure,
					  .tls_policy = on_policy,
					  .tls_detail = on_detail};
static const struct tap_events silent;

static enum tap_rc feed(struct tap_frame_reader *r, const uint8_t *p, size_t n, size_t step)
{
	struct tap_err err;
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; i < n && rc == TAP_OK; i += step)
		rc = tap_frame_reader_input(r, p + i, n - i < step ? n - i : step, &err);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tap_frame_reader *r;
	struct tap_parse_result res, again;
	struct tap_buf out;
	struct state s = {.w = {.out = &out}};
	enum tap_rc rc, far, far_again;
	struct tap_err err;

	if (size == 0)
		return 0;
	tap_buf_init(&out, 32 << 20);
	r = tap_frame_reader_new(&recoder, &s);
	rc = feed(r, data + 1, size - 1, (size_t)data[0] + 1);
	must(rc == TAP_OK || rc == TAP_E_DATA);
	if (rc == TAP_OK && tap_frame_reader_result(r, &far, &res)) {
		must(tap_frame_write_result(&s.w, far, &res, &err) == TAP_OK);
		tap_frame_reader_free(&r);
		r = tap_frame_reader_new(&silent, NULL);
		must(feed(r, (const uint8_t *)out.p, out.len, out.len) == TAP_OK);
		must(tap_frame_reader_result(r, &far_again, &again));
		must(res.kinds == again.kinds && res.foreign == again.foreign);
		must(far == far_again && strcmp(res.why, again.why) == 0);
	}
	tap_frame_reader_free(&r);
	tap_buf_free(&out);
	return 0;
}
