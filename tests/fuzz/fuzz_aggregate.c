/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/fuzz_aggregate.c - the aggregate reader on anything. The first byte chooses the size of the pieces and whether the
 * container is damaged at the end; the consumer checks the contract of parser/events.h and that each string is what report.h
 * promises: valid UTF-8 without control characters, within the limits. */
#include "parser/aggregate.h"
#include "mutate.h"
#include "parser/utf8.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p;
	size_t n, at, step;
	bool damaged, open;
	uint64_t records, next;
	uint32_t ends;
};

static const struct tap_parse_limits limits = {
    .records = 200,
    .dkim_results = 5,
    .spf_results = 4,
    .reasons = 3,
    .text = 64,
    .long_text = 128,
    .xml_depth = 12,
    .extension_depth = 4,
    .extension_bytes = 256,
    .warnings = 20,
};

static void must(bool good)
{
	if (!good)
		abort();
}

static void check_text(const char *t, size_t max)
{
	size_t n, i = 0;

	if (!t)
		return;
	n = strlen(t);
	/* A byte that is no UTF-8 grows to the three of U+FFFD. */
	must(n <= 3 * max + 3);
	while (i < n) {
		uint32_t cp;
		size_t step = tap_utf8_step((const unsigned char *)t + i, n - i, &cp);

		must(step > 0);
		must((cp >= 0x20 && !(cp >= 0x7f && cp < 0xa0)) || cp == '\t' || cp == '\n');
		i += step;
	}
}

static enum tap_rc rewind_input(void *ctx, struct tap_err *err)
{
	struct input *in = ctx;

	(void)err;
	in->at = 0;
	return TAP_OK;
}

static enum tap_rc read_input(void *ctx, void *buf, size_t n, size_t *got_r, struct tap_err *err)
{
	struct input *in = ctx;
	size_t k = in->n - in->at;

	*got_r = 0;
	if (k == 0 && in->damaged)
		return tap_err_set(err, TAP_E_DATA, "bad CRC");
	if (k > n)
		k = n;
	if (k > in->step)
		k = in->step;
	memcpy(buf, in->p + in->at, k);
	in->at += k;
	*got_r = k;
	return TAP_OK;
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct input *in = ctx;
	const char *const all[] = {m->version,
				   m->org_name,
				   m->email,
				   m->report_id,
				   m->generator,
				   m->domain,
				   m->p,
				   m->sp,
				   m->np,
				   m->adkim,
				   m->aspf,
				   m->pct,
				   m->fo,
				   m->testing,
				   m->extra_contact_info.text,
				   m->discovery_method,
				   m->version_published};

	(void)err;
	must(!in->open);
	in->open = true;
	in->records = in->next = 0;
	must(strlen(m->uid) == TAP_UID_HEX - 1 && m->schema < TAP_SCHEMA_N && m->begin <= m->end);
	must(m->report_id != NULL);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		check_text(all[i], 100);
	check_text(m->xml_namespace, 256);
	for (size_t i = 0; i < m->n_errors; i++)
		check_text(m->errors[i].text, limits.long_text);
	return TAP_OK;
}

static enum tap_rc on_record(void *ctx, const struct tap_record *r, struct tap_err *err)
{
	struct input *in = ctx;

	(void)err;
	must(in->open && r->index >= in->next && r->count <= INT64_MAX);
	must(r->n_dkim <= limits.dkim_results && r->n_spf <= limits.spf_results &&
	     r->n_reasons <= limits.reasons);
	in->next = r->index + 1;
	in->records++;
	check_text(r->source_ip, 46);
	check_text(r->source_ip_raw, limits.text);
	check_text(r->disposition, limits.text);
	check_text(r->header_from, limits.text * 4);
	check_text(r->envelope_from, limits.text);
	check_text(r->envelope_to, limits.text);
	check_text(r->extension, limits.extension_bytes);
	for (size_t i = 0; i < r->n_dkim + r->n_spf; i++) {
		const struct tap_auth_result *a =
		    i < r->n_dkim ? &r->dkim[i] : &r->spf[i - r->n_dkim];

		check_text(a->domain, limits.text);
		check_text(a->label, limits.text);
		check_text(a->result, limits.text);
		check_text(a->human_result.text, limits.long_text);
	}
	for (size_t i = 0; i < r->n_reasons; i++) {
		check_text(r->reasons[i].type, limits.text);
		check_text(r->reasons[i].comment.text, limits.long_text);
	}
	return TAP_OK;
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct input *in = ctx;

	(void)err;
	must(in->open && e->records == in->records && e->passed <= e->messages);
	must(e->n_warnings <= limits.warnings && e->n_warnings <= e->warnings_total);
	must(e->content_bytes == in->n);
	for (size_t i = 0; i < e->n_warnings; i++) {
		must(strchr(e->warnings[i].what, ':') != NULL);
		check_text(e->warnings[i].where, 200);
		check_text(e->warnings[i].what, 400);
	}
	check_text(e->extension, limits.extension_bytes);
	in->open = false;
	in->ends++;
	return TAP_OK;
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct input *in = ctx;

	must(in->open && why->msg[0] != '\0');
	in->open = false;
}

/* The size of the pieces: a byte at a time now and then, mostly more, up to the whole. */
static size_t step_of(uint8_t byte)
{
	size_t k = byte & 0x3f;

	return k < 8 ? k + 1 : k * k * 4;
}

/* libFuzzer's own mutations, and ours that know documents. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct mutate m;

	mutate_seed(&m, seed);
	if (size < 2 || (LLVMFuzzerMutate && mutate_below(&m, 2)))
		return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max) : size;
	/* The first byte is no part of the document. */
	return 1 + mutate_xml(&m, data + 1, size - 1, max - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tap_events events = {
	    .begin = on_begin, .record = on_record, .end = on_end, .abort = on_abort};
	const struct tap_parse_options opt = {.limits = &limits, .now = 1780000000};
	struct tap_document_result res;
	struct tap_err err;

	if (size == 0)
		return 0;
	struct input in = {
	    .p = data + 1, .n = size - 1, .step = step_of(data[0]), .damaged = data[0] & 0x80};
	struct tap_document doc = {
	    .rewind = rewind_input,
	    .read = read_input,
	    .ctx = &in,
	    .origin = {.filename = "a.example!b.example!1!2.xml"},
	    .notes = {"trailing_garbage: told by the container"},
	    .n_notes = data[0] & 0x40 ? 1 : 0,
	};
	must(tap_aggregate_read(&doc, &opt, &events, &in, &res, &err) == TAP_OK);
	must(!in.open && res.reports == in.ends &&
	     (res.verdict == TAP_DOC_REPORT) == (in.ends > 0));
	must(res.verdict == TAP_DOC_REPORT || res.why[0] != '\0');
	must(res.verdict == TAP_DOC_REPORT || (res.verdict == TAP_DOC_BROKEN) == (res.broken > 0));
	return 0;
}
