/* SPDX-License-Identifier: Apache-2.0
 * Frames: what goes in comes out, in any split of the bytes; and damage is an error, never a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "confine/frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char uid[] = "0123456789abcdef0123456789abcdef01234567";

/* Events as text, so that two streams of them can be compared. */
struct trace {
	struct tap_buf text;
	int begins, records, ends, aborts;
	size_t payload;
	enum tap_rc fail_record;
};

static void put(struct trace *t, const char *name, const char *s)
{
	if (s == NULL)
		tap_buf_printf(&t->text, " %s=null", name);
	else
		tap_buf_printf(&t->text, " %s='%s'", name, s);
}

static void put_text(struct trace *t, const char *name, const struct tap_text *x)
{
	put(t, name, x->text);
	put(t, "lang", x->lang);
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct trace *t = ctx;
	const char *all[] = {m->origin.filename,
			     m->version,
			     m->xml_namespace,
			     m->org_name,
			     m->email,
			     m->report_id,
			     m->generator,
			     m->domain,
			     m->version_published,
			     m->discovery_method,
			     m->p,
			     m->sp,
			     m->np,
			     m->adkim,
			     m->aspf,
			     m->pct,
			     m->fo,
			     m->testing};

	(void)err;
	t->begins++;
	tap_buf_printf(
	    &t->text, "begin kind=%d schema=%d uid=%s part=%u document=%u %" PRId64 " %" PRId64,
	    m->kind, m->schema, m->uid, m->origin.part, m->origin.document, m->begin, m->end);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		put(t, "s", all[i]);
	put_text(t, "contact", &m->extra_contact_info);
	for (size_t i = 0; i < m->n_errors; i++)
		put_text(t, "error", &m->errors[i]);
	for (size_t i = 0; i < m->n_receiving_domains; i++)
		put(t, "receiving", m->receiving_domains[i]);
	tap_buf_adds(&t->text, "\n");
	return TAP_OK;
}

static void put_auth(struct trace *t, const struct tap_auth_result *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		put(t, "domain", a[i].domain);
		put(t, "label", a[i].label);
		put(t, "result", a[i].result);
		put_text(t, "human", &a[i].human_result);
	}
}

static enum tap_rc on_record(void *ctx, const struct tap_record *r, struct tap_err *err)
{
	struct trace *t = ctx;

	t->records++;
	if (t->fail_record != TAP_OK)
		return tap_err_set(err, t->fail_record, "enough");
	tap_buf_printf(&t->text, "record %" PRIu64 " %" PRIu64 " %d%d%d", r->index, r->count,
		       r->dkim_aligned, r->spf_aligned, r->evaluated);
	put(t, "ip", r->source_ip);
	put(t, "raw", r->source_ip_raw);
	put(t, "disposition", r->disposition);
	put(t, "from", r->header_from);
	put(t, "mfrom", r->envelope_from);
	put(t, "rcpt", r->envelope_to);
	put(t, "ext", r->extension);
	for (size_t i = 0; i < r->n_reasons; i++) {
		put(t, "type", r->reasons[i].type);
		put_text(t, "comment", &r->reasons[i].comment);
	}
	put_auth(t, r->dkim, r->n_dkim);
	tap_buf_adds(&t->text, " spf:");
	put_auth(t, r->spf, r->n_spf);
	put(t, "rdns", r->source.reverse_dns);
	put(t, "base", r->source.base_domain);
	put(t, "country", r->source.country);
	put(t, "name", r->source.name);
	put(t, "stype", r->source.type);
	put(t, "as", r->source.as_name);
	put(t, "asd", r->source.as_domain);
	tap_buf_printf(&t->text, " asn=%u\n", r->source.asn);
	return TAP_OK;
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct trace *t = ctx;

	(void)err;
	t->ends++;
	tap_buf_printf(&t->text,
		       "end %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d%d %" PRIu64
		       " %" PRIu64 " %02x%02x",
		       e->records, e->dropped, e->messages, e->passed, e->truncated, e->recovered,
		       e->content_bytes, e->warnings_total, e->content_hash[0],
		       e->content_hash[31]);
	put(t, "ext", e->extension);
	for (size_t i = 0; i < e->n_warnings; i++) {
		put(t, "where", e->warnings[i].where);
		put(t, "what", e->warnings[i].what);
	}
	tap_buf_adds(&t->text, "\n");
	return TAP_OK;
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct trace *t = ctx;

	t->aborts++;
	tap_buf_printf(&t->text, "abort %d %s\n", why->rc, why->msg);
}

static enum tap_rc on_payload(void *ctx, uint32_t part, const void *p, size_t n,
			      struct tap_err *err)
{
	struct trace *t = ctx;

	(void)err;
	t->payload += n;
	tap_buf_printf(&t->text, "payload %u %s\n", part, n == 0 ? "end" : "piece");
	if (n > 0)
		tap_buf_add(&t->text, p, n < 16 ? n : 16);
	return TAP_OK;
}

static const struct tap_events tracer = {.begin = on_begin,
					 .record = on_record,
					 .end = on_end,
					 .abort = on_abort,
					 .payload = on_payload};

static void trace_init(struct trace *t)
{
	memset(t, 0, sizeof *t);
	tap_buf_init(&t->text, 1 << 20);
}

static struct tap_meta rich_meta(void)
{
	static const struct tap_text errors[] = {{"no such policy", "en"}, {"zweite", NULL}};
	static const char *const domains[] = {"mx1.example", "mx2.example", ""};
	struct tap_meta m = {.kind = TAP_KIND_AGGREGATE,
			     .origin = {"example.net!example.org!1!2.xml.gz", 3, 4},
			     .schema = TAP_SCHEMA_RFC9990,
			     .version = "1.0",
			     .xml_namespace = "urn:ietf:params:xml:ns:dmarc-2.0",
			     .org_name = "Größe & Söhne\tAG",
			     .email = "a@example.net",
			     .report_id = "id-1",
			     .extra_contact_info = {"call us\nplease", "en"},
			     .begin = -1,
			     .end = INT64_C(253402300799),
			     .errors = errors,
			     .n_errors = 2,
			     .receiving_domains = domains,
			     .n_receiving_domains = 3,
			     .domain = "example.org",
			     .p = "none",
			     .sp = "",
			     .testing = "y"};

	memcpy(m.uid, uid, sizeof uid);
	return m;
}

static struct tap_record rich_record(uint64_t index)
{
	static const struct tap_reason reasons[] = {{"local_policy", {"arc=pass", NULL}},
						    {NULL, {NULL, NULL}}};
	static const struct tap_auth_result dkim[] = {
	    {"example.org", "s1", "pass", {NULL, NULL}},
	    {"other.example", NULL, "fail", {"bad signature \xf0\x9f\x93\xac", "en"}},
	    {NULL, NULL, NULL, {NULL, NULL}}};
	static const struct tap_auth_result spf[] = {{"", "mfrom", "softfail", {NULL, NULL}}};
	struct tap_record r = {.index = index,
			       .source_ip = "2001:db8::1",
			       .source_ip_raw = "2001:DB8:0::1",
			       .count = INT64_MAX,
			       .disposition = "none",
			       .dkim_aligned = true,
			       .evaluated = true,
			       .reasons = reasons,
			       .n_reasons = 2,
			       .header_from = "example.org",
			       .envelope_from = "",
			       .dkim = dkim,
			       .n_dkim = 3,
			       .spf = spf,
			       .n_spf = 1,
			       .extension = "<x:y xmlns:x=\"urn:x\"/>"};

	if (index > 0) {
		/* A row whose address could not be read. */
		r.source_ip = NULL;
		r.source.country = "DE";
		r.source.asn = 64500;
	}
	return r;
}

static struct tap_report_end rich_end(uint64_t records)
{
	static const struct tap_warning w[] = {{"record[1]/row", "bad_count: -5 is no count"},
					       {"", "truncated: ends inside record 3"}};
	struct tap_report_end e = {.records = records,
				   .dropped = 1,
				   .messages = INT64_MAX,
				   .passed = 7,
				   .truncated = true,
				   .content_bytes = 12345,
				   .warnings = w,
				   .n_warnings = 2,
				   .warnings_total = 2000};

	e.content_hash[0] = 0xab;
	e.content_hash[31] = 0xcd;
	return e;
}

/* Two reports, one of them begun twice, a payload, the result; given to ev. */
static void play(const struct tap_events *ev, void *ctx)
{
	const struct tap_err why = {.rc = TAP_E_DATA, .msg = "byte 17: once more"};
	struct tap_meta m = rich_meta();
	struct tap_report_end e = rich_end(2);
	struct tap_record r;
	struct tap_err err;

	assert_int_equal(ev->begin(ctx, &m, &err), TAP_OK);
	r = rich_record(0);
	assert_int_equal(ev->record(ctx, &r, &err), TAP_OK);
	ev->abort(ctx, &why);
	assert_int_equal(ev->begin(ctx, &m, &err), TAP_OK);
	assert_int_equal(ev->record(ctx, &r, &err), TAP_OK);
	r = rich_record(5);
	assert_int_equal(ev->record(ctx, &r, &err), TAP_OK);
	assert_int_equal(ev->end(ctx, &e, &err), TAP_OK);
	assert_int_equal(ev->payload(ctx, 3, "\x1f\x8b\x00\xff", 4, &err), TAP_OK);
	assert_int_equal(ev->payload(ctx, 3, "", 0, &err), TAP_OK);
	memset(&m, 0, sizeof m);
	m.kind = TAP_KIND_AGGREGATE;
	memcpy(m.uid, uid, sizeof uid);
	memset(&e, 0, sizeof e);
	assert_int_equal(ev->begin(ctx, &m, &err), TAP_OK);
	assert_int_equal(ev->end(ctx, &e, &err), TAP_OK);
}

static const struct tap_parse_result rich_result = {
    .verdict = TAP_V_REPORT, .reports = 2, .broken = 1, .why = "part 3: only half of it"};

static void encode(struct tap_buf *out)
{
	struct tap_frame_writer w = {.out = out};
	struct tap_err err;

	tap_buf_init(out, 1 << 20);
	play(&tap_frame_writer_events, &w);
	assert_int_equal(tap_frame_write_result(&w, TAP_OK, &rich_result, &err), TAP_OK);
}

static enum tap_rc feed(struct tap_frame_reader *r, const char *p, size_t n, size_t step,
			struct tap_err *err)
{
	for (size_t i = 0; i < n; i += step) {
		enum tap_rc rc = tap_frame_reader_input(r, p + i, n - i < step ? n - i : step, err);

		if (rc != TAP_OK)
			return rc;
	}
	return TAP_OK;
}

static void assert_same(struct trace *want, struct trace *got)
{
	assert_string_equal(tap_buf_cstr(&want->text), tap_buf_cstr(&got->text));
}

static void round_trip_in_every_split(void **state)
{
	struct trace want, got;
	struct tap_buf bytes;
	struct tap_err err;

	(void)state;
	trace_init(&want);
	play(&tracer, &want);
	encode(&bytes);
	for (size_t cut = 0; cut <= bytes.len; cut++) {
		struct tap_frame_reader *r;
		struct tap_parse_result res;
		enum tap_rc rc;

		trace_init(&got);
		r = tap_frame_reader_new(&tracer, &got);
		assert_int_equal(tap_frame_reader_input(r, bytes.p, cut, &err), TAP_OK);
		assert_int_equal(tap_frame_reader_result(r, &rc, &res), cut == bytes.len);
		assert_int_equal(tap_frame_reader_input(r, bytes.p + cut, bytes.len - cut, &err),
				 TAP_OK);
		assert_true(tap_frame_reader_result(r, &rc, &res));
		assert_int_equal(rc, TAP_OK);
		assert_int_equal(res.verdict, TAP_V_REPORT);
		assert_int_equal(res.reports, 2);
		assert_int_equal(res.broken, 1);
		assert_string_equal(res.why, rich_result.why);
		assert_same(&want, &got);
		/* Nothing may follow the result. */
		assert_int_equal(tap_frame_reader_input(r, "x", 1, &err), TAP_E_DATA);
		tap_frame_reader_free(&r);
		assert_null(r);
		tap_buf_free(&got.text);
	}
	tap_buf_free(&bytes);
	tap_buf_free(&want.text);
}

static void round_trip_in_small_steps(void **state)
{
	static const size_t steps[] = {1, 2, 3, 5, 7, 64};
	struct trace want, got;
	struct tap_buf bytes;
	struct tap_err err;

	(void)state;
	trace_init(&want);
	play(&tracer, &want);
	encode(&bytes);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct tap_frame_reader *r;

		trace_init(&got);
		r = tap_frame_reader_new(&tracer, &got);
		assert_int_equal(feed(r, bytes.p, bytes.len, steps[i], &err), TAP_OK);
		assert_same(&want, &got);
		tap_frame_reader_free(&r);
		tap_buf_free(&got.text);
	}
	tap_buf_free(&bytes);
	tap_buf_free(&want.text);
}

/* Each byte of a valid stream, replaced by each of some others: accepted with the same run of events, or refused. */
static void damage_is_an_error(void **state)
{
	static const unsigned char other[] = {0x00, 0x01, 0x05, 0x07, 0x7f, 0x80, 0xc3, 0xff};
	struct tap_buf bytes;
	size_t refused = 0;

	(void)state;
	encode(&bytes);
	for (size_t at = 0; at < bytes.len; at++) {
		char was = bytes.p[at];

		for (size_t i = 0; i <= sizeof other; i++) {
			struct tap_frame_reader *r;
			struct trace got;
			struct tap_parse_result res;
			struct tap_err err;
			enum tap_rc rc, far;

			bytes.p[at] = i < sizeof other ? (char)other[i] : (char)(was ^ 1);
			trace_init(&got);
			r = tap_frame_reader_new(&tracer, &got);
			rc = feed(r, bytes.p, bytes.len, 4096, &err);
			if (rc == TAP_OK && tap_frame_reader_result(r, &far, &res)) {
				assert_int_equal(got.begins, 3);
				assert_int_equal(got.records, 3);
				assert_int_equal(got.ends, 2);
				assert_int_equal(got.aborts, 1);
			} else {
				/* Refused, or a length swallowed the rest: no result then. */
				refused++;
				assert_true(
				    rc == TAP_E_DATA ||
				    (rc == TAP_OK && !tap_frame_reader_result(r, &far, &res)));
				if (rc == TAP_E_DATA)
					assert_int_equal(tap_frame_reader_input(r, "", 0, &err),
							 TAP_E_DATA);
			}
			tap_frame_reader_free(&r);
			tap_buf_free(&got.text);
		}
		bytes.p[at] = was;
	}
	assert_true(refused > bytes.len);
	tap_buf_free(&bytes);
}

static void every_cut_has_no_result(void **state)
{
	struct tap_buf bytes;

	(void)state;
	encode(&bytes);
	for (size_t n = 0; n < bytes.len; n++) {
		struct tap_frame_reader *r;
		struct tap_parse_result res;
		struct trace got;
		struct tap_err err;
		enum tap_rc rc;

		trace_init(&got);
		r = tap_frame_reader_new(&tracer, &got);
		assert_int_equal(tap_frame_reader_input(r, bytes.p, n, &err), TAP_OK);
		assert_false(tap_frame_reader_result(r, &rc, &res));
		tap_frame_reader_free(&r);
		tap_buf_free(&got.text);
	}
	tap_buf_free(&bytes);
}

/* Frames made by hand. */
static void expect_refused(const void *p, size_t n, const char *text)
{
	struct tap_frame_reader *r;
	struct trace got;
	struct tap_err err;

	trace_init(&got);
	r = tap_frame_reader_new(&tracer, &got);
	assert_int_equal(tap_frame_reader_input(r, p, n, &err), TAP_E_DATA);
	if (strstr(err.msg, text) == NULL)
		fail_msg("'%s' is not in '%s'", text, err.msg);
	tap_frame_reader_free(&r);
	tap_buf_free(&got.text);
}

static void lies_are_refused(void **state)
{
	static const unsigned char huge[] = {0x01, 0x00, 0x00, 0x01, 2};
	static const unsigned char unknown[] = {1, 0, 0, 0, 10, 0};
	static const unsigned char no_type[] = {1, 0, 0, 0, 0, 0};
	static const unsigned char lonely_end[] = {0, 0, 0, 0, 3};
	static const unsigned char lonely_record[] = {0, 0, 0, 0, 2};
	static const unsigned char lonely_abort[] = {0, 0, 0, 0, 4};
	static const unsigned char bad_verdict[] = {17, 0, 0, 0, 9, 0, 9, 0, 0, 0, 0,
						    0,	0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	static const unsigned char bad_kinds[] = {17, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0,
						  0,  0, 0, 0, 1, 2, 0, 0, 0, 0, 0};
	static const unsigned char control[] = {18, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
						0,  0, 0, 0, 0, 0, 1, 0, 0, 0, 7};

	(void)state;
	expect_refused(huge, sizeof huge, "claims 16777217 bytes");
	expect_refused(unknown, sizeof unknown, "type 10");
	expect_refused(no_type, sizeof no_type, "type 0");
	expect_refused(lonely_end, sizeof lonely_end, "end frame is out of order");
	expect_refused(lonely_record, sizeof lonely_record, "record frame is out of order");
	expect_refused(lonely_abort, sizeof lonely_abort, "abort frame is out of order");
	expect_refused(bad_verdict, sizeof bad_verdict, "result frame is damaged");
	expect_refused(bad_kinds, sizeof bad_kinds, "kinds contradict");
	expect_refused(control, sizeof control, "not clean UTF-8");
}

static void count_is_held_against_the_bytes(void **state)
{
	struct tap_meta m = rich_meta();
	struct tap_frame_writer w;
	struct tap_buf b;
	struct tap_err err;
	size_t at;

	(void)state;
	m.n_errors = 0;
	m.n_receiving_domains = 0;
	tap_buf_init(&b, 1 << 20);
	w = (struct tap_frame_writer){.out = &b};
	assert_int_equal(tap_frame_writer_events.begin(&w, &m, &err), TAP_OK);
	/* Behind the two counts stand domain, four absent strings and so on; find the pair of zero counts. */
	for (at = TAP_FRAME_HEAD;
	     memcmp(b.p + at, "\0\0\0\0\0\0\0\0\x0b\0\0\0example.org", 23) != 0;)
		at++;
	memcpy(b.p + at, "\xff\xff\xff\x7f", 4);
	expect_refused(b.p, b.len, "a count is larger than the frame");
	tap_buf_free(&b);
}

/* Begin and one record; the bytes of mark within them replaced by bad, as the encoder would never write them. */
static void refuse_record(struct tap_record r, const char *mark, const char *bad, const char *text)
{
	struct tap_meta m = rich_meta();
	struct tap_frame_writer w;
	struct tap_buf b;
	struct tap_err err;

	tap_buf_init(&b, 1 << 20);
	w = (struct tap_frame_writer){.out = &b};
	assert_int_equal(tap_frame_writer_events.begin(&w, &m, &err), TAP_OK);
	assert_int_equal(tap_frame_writer_events.record(&w, &r, &err), TAP_OK);
	if (mark != NULL) {
		char *at = memmem(b.p, b.len, mark, strlen(mark));

		assert_non_null(at);
		memcpy(at, bad, strlen(bad));
	}
	expect_refused(b.p, b.len, text);
	tap_buf_free(&b);
}

static const char *const unclean[] = {
    "a\rb",	"\x01", "\x7f", "\xc0\x80", "\xed\xa0\x80",    "\xf4\x90\x80\x80",
    "\xe2\x82", "\xff", "\x80", "\xc2\x85", "\xf0\x80\x80\x80"};

static void strings_and_numbers_are_checked(void **state)
{
	struct tap_record r;

	(void)state;
	for (size_t i = 0; i < sizeof unclean / sizeof *unclean; i++) {
		r = rich_record(0);
		r.header_from = "@@@@@";
		refuse_record(r, r.header_from, unclean[i], "not clean UTF-8");
	}
	r = rich_record(0);
	r.count = (uint64_t)INT64_MAX + 1;
	refuse_record(r, NULL, NULL, "2^63-1");
	r = rich_record(UINT64_MAX);
	refuse_record(r, NULL, NULL, "index does not rise");
	r = rich_record(0);
	r.source_ip = "2001:db8::1x";
	refuse_record(r, NULL, NULL, "an address is none");
	r.source_ip = "192.0.2.256";
	refuse_record(r, NULL, NULL, "an address is none");
	r.source_ip = "";
	refuse_record(r, NULL, NULL, "an address is none");
}

/* What a parser let through by mistake must not cost the whole message. */
static void the_writer_scrubs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof unclean / sizeof *unclean; i++) {
		struct tap_parse_result res = {.verdict = TAP_V_BROKEN}, got;
		struct tap_frame_reader *r;
		struct tap_frame_writer w;
		struct tap_buf b;
		struct tap_err err;
		enum tap_rc far;
		size_t n;

		n = (size_t)snprintf(res.why, sizeof res.why, "<\xc3\xa4%s>", unclean[i]);
		tap_buf_init(&b, 4096);
		w = (struct tap_frame_writer){.out = &b};
		assert_int_equal(tap_frame_write_result(&w, TAP_OK, &res, &err), TAP_OK);
		r = tap_frame_reader_new(&tracer, NULL);
		assert_int_equal(tap_frame_reader_input(r, b.p, b.len, &err), TAP_OK);
		assert_true(tap_frame_reader_result(r, &far, &got));
		assert_int_equal(strlen(got.why), n);
		assert_memory_equal(got.why, "<\xc3\xa4", 3);
		assert_non_null(strchr(got.why, '?'));
		assert_int_equal(got.why[n - 1], '>');
		tap_frame_reader_free(&r);
		tap_buf_free(&b);
	}
}

static void the_end_must_agree(void **state)
{
	struct tap_meta m = rich_meta();
	struct tap_report_end e;
	struct tap_frame_writer w;
	struct tap_buf b;
	struct tap_err err;

	(void)state;
	for (int i = 0; i < 4; i++) {
		/* Each is wrong in one way. */
		e = rich_end(0);
		e.records = i == 0;
		e.passed = i == 1 ? UINT64_MAX : 0;
		e.warnings_total = i == 2 ? 1 : 2;
		e.messages = i == 3 ? UINT64_MAX : 0;
		tap_buf_init(&b, 1 << 20);
		w = (struct tap_frame_writer){.out = &b};
		assert_int_equal(tap_frame_writer_events.begin(&w, &m, &err), TAP_OK);
		assert_int_equal(tap_frame_writer_events.end(&w, &e, &err), TAP_OK);
		expect_refused(b.p, b.len, i == 0 ? "number of records" : "contradict");
		tap_buf_free(&b);
	}
}

/* A reading that was broken off leaves a report open; one that went well must not. */
static void result_inside_a_report(void **state)
{
	struct tap_parse_result res = {.verdict = TAP_V_BROKEN};
	struct tap_meta m = rich_meta();
	enum tap_rc far;

	(void)state;
	for (int broken_off = 0; broken_off < 2; broken_off++) {
		struct tap_frame_reader *r;
		struct tap_frame_writer w;
		struct trace got;
		struct tap_buf b;
		struct tap_err err;

		tap_buf_init(&b, 1 << 20);
		w = (struct tap_frame_writer){.out = &b};
		assert_int_equal(tap_frame_writer_events.begin(&w, &m, &err), TAP_OK);
		assert_int_equal(
		    tap_frame_write_result(&w, broken_off ? TAP_E_LIMIT : TAP_OK, &res, &err),
		    TAP_OK);
		trace_init(&got);
		r = tap_frame_reader_new(&tracer, &got);
		assert_int_equal(tap_frame_reader_input(r, b.p, b.len, &err),
				 broken_off ? TAP_OK : TAP_E_DATA);
		assert_int_equal(tap_frame_reader_result(r, &far, &res), broken_off);
		if (broken_off)
			assert_int_equal(far, TAP_E_LIMIT);
		tap_frame_reader_free(&r);
		tap_buf_free(&got.text);
		tap_buf_free(&b);
	}
}

static void consumers_refusal_comes_back(void **state)
{
	struct tap_frame_reader *r;
	struct trace got;
	struct tap_buf bytes;
	struct tap_err err;

	(void)state;
	encode(&bytes);
	trace_init(&got);
	got.fail_record = TAP_E_TEMP;
	r = tap_frame_reader_new(&tracer, &got);
	assert_int_equal(feed(r, bytes.p, bytes.len, bytes.len, &err), TAP_E_TEMP);
	assert_string_equal(err.msg, "enough");
	assert_int_equal(tap_frame_reader_input(r, bytes.p, 5, &err), TAP_E_TEMP);
	assert_int_equal(got.records, 1);
	tap_frame_reader_free(&r);
	tap_buf_free(&got.text);
	tap_buf_free(&bytes);
}

struct flushed {
	struct tap_frame_reader *r;
	size_t calls, most;
};

static enum tap_rc flush(void *ctx, struct tap_buf *out, struct tap_err *err)
{
	struct flushed *f = ctx;
	enum tap_rc rc = tap_frame_reader_input(f->r, out->p, out->len, err);

	f->calls++;
	if (out->len > f->most)
		f->most = out->len;
	tap_buf_reset(out);
	return rc;
}

static void large_payload_is_cut_into_pieces(void **state)
{
	enum { SIZE = 1000000 };
	struct trace got;
	struct tap_buf b;
	struct flushed f = {0};
	struct tap_frame_writer w = {.out = &b, .flush = flush, .flush_ctx = &f};
	char *p = calloc(1, SIZE);
	struct tap_err err;

	(void)state;
	trace_init(&got);
	f.r = tap_frame_reader_new(&tracer, &got);
	tap_buf_init(&b, 1 << 20);
	assert_int_equal(tap_frame_writer_events.payload(&w, 1, p, SIZE, &err), TAP_OK);
	assert_int_equal(tap_frame_writer_events.payload(&w, 1, NULL, 0, &err), TAP_OK);
	assert_int_equal(flush(&f, &b, &err), TAP_OK);
	assert_int_equal(got.payload, SIZE);
	assert_true(f.calls > 5 && f.most < 200000);
	tap_frame_reader_free(&f.r);
	tap_buf_free(&got.text);
	tap_buf_free(&b);
	free(p);
}

/* A record over the limit is refused, and the stream goes on to its result. */
static void too_large_a_record(void **state)
{
	enum { SIZE = (16 << 20) + 1 };
	struct trace got;
	struct tap_buf b;
	struct tap_frame_writer w = {.out = &b};
	struct tap_frame_reader *r;
	struct tap_meta m = rich_meta();
	struct tap_record rec = rich_record(0);
	char *p = malloc(SIZE + 1);
	struct tap_err err;
	size_t before;

	(void)state;
	memset(p, 'x', SIZE);
	p[SIZE] = '\0';
	rec.extension = p;
	tap_buf_init(&b, (16 << 20) + (1 << 20));
	assert_int_equal(tap_frame_writer_events.begin(&w, &m, &err), TAP_OK);
	before = b.len;
	assert_int_equal(tap_frame_writer_events.record(&w, &rec, &err), TAP_E_LIMIT);
	assert_int_equal(b.len, before);
	p[SIZE - 4096] = '\0';
	assert_int_equal(tap_frame_writer_events.record(&w, &rec, &err), TAP_OK);
	assert_int_equal(tap_frame_write_result(&w, TAP_E_LIMIT, &rich_result, &err), TAP_OK);
	trace_init(&got);
	r = tap_frame_reader_new(&tracer, &got);
	assert_int_equal(feed(r, b.p, b.len, 65536, &err), TAP_OK);
	assert_int_equal(got.records, 1);
	tap_frame_reader_free(&r);
	tap_buf_free(&got.text);
	tap_buf_free(&b);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip_in_every_split),
	    cmocka_unit_test(round_trip_in_small_steps),
	    cmocka_unit_test(damage_is_an_error),
	    cmocka_unit_test(every_cut_has_no_result),
	    cmocka_unit_test(lies_are_refused),
	    cmocka_unit_test(count_is_held_against_the_bytes),
	    cmocka_unit_test(strings_and_numbers_are_checked),
	    cmocka_unit_test(the_writer_scrubs),
	    cmocka_unit_test(the_end_must_agree),
	    cmocka_unit_test(result_inside_a_report),
	    cmocka_unit_test(consumers_refusal_comes_back),
	    cmocka_unit_test(large_payload_is_cut_into_pieces),
	    cmocka_unit_test(too_large_a_record),
	};

	return cmocka_run_group_tests_name("confine_frames", tests, NULL, NULL);
}
