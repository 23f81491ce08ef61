/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: any bytes as the input of the parser: mails above all. Events must come in the order of events.h and agree with the
 * verdict, and the same bytes in other pieces must give the same result (looked at for one input in four when the fuzzer runs, for
 * each when the corpus is replayed). Limits are small, so that they are met often. */
#include "base/source.h"
#include "mutate.h"
#include "parser/parser.h"

#include <stdlib.h>
#include <string.h>

struct state {
	int open;
	unsigned reports, aborts, payloads;
	uint64_t records; /* of the report that is open */
};

/* The bytes in pieces of `most`. */
struct pieces {
	struct tap_source base;
	const uint8_t *p;
	size_t most;
};

static void must(int truth)
{
	if (!truth)
		abort();
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct state *s = ctx;

	(void)err;
	must(s->open++ == 0);
	s->records = 0;
	must(m->origin.filename == NULL || strlen(m->origin.filename) <= 255);
	return TAP_OK;
}

static enum tap_rc on_record(void *ctx, const struct tap_record *r, struct tap_err *err)
{
	struct state *s = ctx;

	(void)err;
	must(s->open == 1 && r->index >= s->records);
	s->records++;
	return TAP_OK;
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct state *s = ctx;

	(void)err;
	must(--s->open == 0 && e->n_warnings <= 100);
	s->reports++;
	return TAP_OK;
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct state *s = ctx;

	(void)why;
	must(--s->open == 0);
	s->aborts++;
}

static enum tap_rc on_payload(void *ctx, uint32_t part, const void *p, size_t n,
			      struct tap_err *err)
{
	struct state *s = ctx;

	(void)part;
	(void)err;
	must(s->open == 0 && s->reports > 0 && n <= 65536 && (n == 0 || p != NULL));
	s->payloads += n == 0;
	return TAP_OK;
}

static const struct tap_events events = {.begin = on_begin,
					 .record = on_record,
					 .end = on_end,
					 .abort = on_abort,
					 .payload = on_payload};

static enum tap_rc read_piece(const struct tap_source *src, uint64_t off, void *buf, size_t n,
			      size_t *got_r, struct tap_err *err)
{
	const struct pieces *s = (const struct pieces *)src;

	(void)err;
	must(off <= src->size);
	if (n > s->most)
		n = s->most;
	if (n > src->size - off)
		n = (size_t)(src->size - off);
	memcpy(buf, s->p + off, n);
	*got_r = n;
	return TAP_OK;
}

static void check(const struct tap_source *src, struct state *s, struct tap_parse_result *res)
{
	static struct tap_parse_limits lim;
	struct tap_parse_options opt = {.limits = &lim, .payload = true};
	struct tap_err err;

	lim = tap_parse_limits_default;
	lim.message_bytes = 1 << 20;
	lim.mime_depth = 5;
	lim.mime_parts = 20;
	lim.header_bytes = 2048;
	lim.header_fields = 20;
	lim.report_bytes = 48 << 10;
	lim.total_bytes = 128 << 10;
	lim.zip_members = 5;
	lim.zip_name = 40;
	memset(s, 0, sizeof *s);
	must(tap_parse(src, &opt, &events, s, res, &err) == TAP_OK);
	must(s->open == 0 && s->reports == res->reports && s->payloads <= s->reports);
	must((res->verdict == TAP_V_REPORT || res->verdict == TAP_V_FEEDBACK) ==
	     (res->reports > 0));
	must(res->verdict != TAP_V_BROKEN || res->broken > 0);
	must(res->verdict != TAP_V_NOT_A_REPORT || res->broken == 0);
	must(res->verdict == TAP_V_FEEDBACK ||
	     (res->why[0] != '\0') == (res->verdict != TAP_V_REPORT || res->broken > 0));
	must(memchr(res->why, '\0', sizeof res->why) != NULL && strchr(res->why, '\n') == NULL);
}

/* libFuzzer's own mutations, and ours that know mails. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct mutate m;

	mutate_seed(&m, seed);
	if (size < 1 || (LLVMFuzzerMutate && mutate_below(&m, 2)))
		return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max) : size;
	return mutate_mail(&m, data, size, max);
}

/* A second look costs as much as the first: which inputs get it hangs on their bytes. */
static bool looked_at_twice(const uint8_t *data, size_t size)
{
	unsigned sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + data[i];
	return LLVMFuzzerMutate == NULL || (sum >> 5) % 4 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tap_parse_result whole_res, res;
	struct state whole_state, state;
	struct tap_source whole;
	struct pieces src = {.p = data, .most = 1 + size % 7};

	tap_parser_global_init();
	tap_source_mem(&whole, data, size);
	check(&whole, &whole_state, &whole_res);
	if (!looked_at_twice(data, size))
		return 0;
	src.base.read_at = read_piece;
	src.base.size = size;
	src.base.fd = -1;
	check(&src.base, &state, &res);
	must(memcmp(&state, &whole_state, sizeof state) == 0);
	must(res.verdict == whole_res.verdict && res.broken == whole_res.broken);
	must(strcmp(res.why, whole_res.why) == 0);
	return 0;
}
