/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/parser_inputs.h - what the tests of the containers are built from: reports, gzip, zip and mails made in memory, and
 * a consumer that notes the events. Everything grows in tap_buf; a test frees what it made. */
#ifndef TAP_TESTS_PARSER_INPUTS_H
#define TAP_TESTS_PARSER_INPUTS_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "base/buf.h"
#include "base/source.h"
#include "parser/parser.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { INPUT_MAX = 96 << 20 };

static inline void in_report(struct tap_buf *b, const char *id, unsigned records)
{
	tap_buf_init(b, INPUT_MAX);
	tap_buf_printf(b,
		       "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback>\n<report_metadata>"
		       "<org_name>reporter.example</org_name><email>d@reporter.example</email>"
		       "<report_id>%s</report_id><date_range><begin>1700000000</begin>"
		       "<end>1700086399</end></date_range></report_metadata>\n"
		       "<policy_published><domain>example.org</domain><p>none</p><pct>100</pct>"
		       "</policy_published>\n",
		       id);
	for (unsigned i = 0; i < records; i++)
		tap_buf_printf(
		    b,
		    "<record><row><source_ip>192.0.2.%u</source_ip><count>%u</count>"
		    "<policy_evaluated><disposition>none</disposition><dkim>pass</dkim>"
		    "<spf>fail</spf></policy_evaluated></row><identifiers><header_from>"
		    "example.org</header_from></identifiers><auth_results><dkim><domain>"
		    "example.org</domain><result>pass</result></dkim></auth_results></record>\n",
		    1 + i % 250, 1 + i);
	tap_buf_adds(b, "</feedback>\n");
}

static inline void in_deflate(struct tap_buf *out, const void *p, size_t n, int window_bits)
{
	z_stream z;

	memset(&z, 0, sizeof z);
	tap_buf_init(out, INPUT_MAX);
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_true(tap_buf_reserve(out, deflateBound(&z, n) + 64));
	z.next_in = (unsigned char *)(uintptr_t)p;
	z.avail_in = (unsigned)n;
	z.next_out = (unsigned char *)out->p;
	z.avail_out = (unsigned)out->cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len = z.total_out;
	deflateEnd(&z);
}

static inline void in_gzip(struct tap_buf *out, const void *p, size_t n)
{
	in_deflate(out, p, n, 15 + 16);
}

/* `before` and n MiB of the same value, compressed: one block that can stand anywhere, n times. The check at the end is that of
 * what was really compressed; nothing is meant to read so far. */
static inline void in_bomb(struct tap_buf *out, const char *before, char fill, unsigned n,
			   int window_bits)
{
	enum { MIB = 1 << 20, ROOM = 65536 };
	unsigned char *piece = malloc(MIB);
	size_t from, len;
	z_stream z;

	assert_non_null(piece);
	memset(piece, fill, MIB);
	memset(&z, 0, sizeof z);
	tap_buf_init(out, INPUT_MAX);
	assert_true(tap_buf_reserve(out, (size_t)ROOM + (size_t)n * 4096));
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_out = (unsigned char *)out->p;
	z.avail_out = ROOM;
	z.next_in = (unsigned char *)(uintptr_t)before;
	z.avail_in = (unsigned)strlen(before);
	assert_int_equal(deflate(&z, Z_FULL_FLUSH), Z_OK);
	from = z.total_out;
	z.next_in = piece;
	z.avail_in = MIB;
	assert_int_equal(deflate(&z, Z_FULL_FLUSH), Z_OK);
	len = z.total_out - from;
	out->len = z.total_out;
	for (unsigned i = 1; i < n; i++)
		tap_buf_add(out, out->p + from, len);
	assert_false(out->failed);
	assert_true(tap_buf_reserve(out, ROOM));
	z.next_out = (unsigned char *)out->p + out->len;
	z.avail_out = ROOM;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += ROOM - z.avail_out;
	deflateEnd(&z);
	free(piece);
}

static inline void in_le(struct tap_buf *b, uint64_t v, unsigned n)
{
	for (; n > 0; n--, v >>= 8)
		tap_buf_addc(b, (char)(v & 0xff));
}

/* A zip archive, member by member; the directory can be made to lie. */
struct in_zip {
	struct tap_buf file, dir;
	unsigned members;
};
static inline void in_zip_begin(struct in_zip *z)
{
	tap_buf_init(&z->file, INPUT_MAX);
	tap_buf_init(&z->dir, INPUT_MAX);
	z->members = 0;
}
static inline void in_zip_entry(struct tap_buf *b, unsigned flags, unsigned method, uint32_t crc,
				size_t packed, size_t size, size_t name)
{
	in_le(b, 20, 2);
	in_le(b, flags, 2);
	in_le(b, method, 2);
	in_le(b, 0, 4);
	in_le(b, crc, 4);
	in_le(b, packed, 4);
	in_le(b, size, 4);
	in_le(b, name, 2);
	in_le(b, 0, 2);
}
static inline void in_zip_dir(struct in_zip *z, const char *name, unsigned flags, unsigned method,
			      uint32_t crc, size_t packed, size_t size, size_t at)
{
	tap_buf_add(&z->dir, "PK\1\2\24\0", 6);
	in_zip_entry(&z->dir, flags, method, crc, packed, size, strlen(name));
	in_le(&z->dir, 0, 2 + 2 + 2 + 4);
	in_le(&z->dir, at, 4);
	tap_buf_adds(&z->dir, name);
	z->members++;
}
static inline void in_zip_packed(struct in_zip *z, const char *name, unsigned flags,
				 unsigned method, uint32_t crc, const struct tap_buf *packed,
				 size_t size)
{
	size_t at = z->file.len;

	tap_buf_add(&z->file, "PK\3\4", 4);
	in_zip_entry(&z->file, flags, method, crc, packed->len, size, strlen(name));
	tap_buf_adds(&z->file, name);
	tap_buf_add(&z->file, packed->p, packed->len);
	in_zip_dir(z, name, flags, method, crc, packed->len, size, at);
}
static inline void in_zip_add(struct in_zip *z, const char *name, const void *p, size_t n)
{
	struct tap_buf packed;
	uint32_t crc = (uint32_t)crc32(0, p, (unsigned)n);

	in_deflate(&packed, p, n, -15);
	in_zip_packed(z, name, 0, 8, crc, &packed, n);
	tap_buf_free(&packed);
}
static inline void in_zip_end_claiming(struct in_zip *z, unsigned members)
{
	size_t at = z->file.len;

	tap_buf_add(&z->file, z->dir.p, z->dir.len);
	tap_buf_add(&z->file, "PK\5\6\0\0\0\0", 8);
	in_le(&z->file, members, 2);
	in_le(&z->file, members, 2);
	in_le(&z->file, z->dir.len, 4);
	in_le(&z->file, at, 4);
	in_le(&z->file, 0, 2);
	tap_buf_free(&z->dir);
}
static inline void in_zip_end(struct in_zip *z)
{
	in_zip_end_claiming(z, z->members);
}

static inline void in_base64(struct tap_buf *b, const void *data, size_t n, size_t line, bool pad)
{
	static const char abc[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;
	size_t col = 0;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)(i + 1 < n ? p[i + 1] : 0) << 8 |
			     (i + 2 < n ? p[i + 2] : 0);
		size_t have = n - i < 3 ? n - i : 3;

		for (size_t k = 0; k < 4; k++)
			if (k <= have)
				tap_buf_addc(b, abc[v >> (18 - 6 * k) & 63]);
			else if (pad)
				tap_buf_addc(b, '=');
		if (line > 0 && (col += 4) >= line) {
			tap_buf_adds(b, "\r\n");
			col = 0;
		}
	}
}

static inline void in_qp(struct tap_buf *b, const char *p, size_t n)
{
	size_t col = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n') {
			tap_buf_adds(b, "\r\n");
			col = 0;
			continue;
		}
		if (col > 70) {
			tap_buf_adds(b, "=\r\n");
			col = 0;
		}
		if (p[i] == '=' || (unsigned char)p[i] > 126) {
			tap_buf_printf(b, "=%02X", (unsigned)(unsigned char)p[i]);
			col += 3;
		} else {
			tap_buf_addc(b, p[i]);
			col++;
		}
	}
}

static inline void in_uu(struct tap_buf *b, const unsigned char *p, size_t n)
{
	tap_buf_adds(b, "begin 644 report.xml.gz\r\n");
	for (size_t i = 0; i < n; i += 45) {
		size_t len = n - i < 45 ? n - i : 45;

		tap_buf_addc(b, (char)(len + 32));
		for (size_t k = 0; k < len; k += 3) {
			uint32_t v = 0;

			for (size_t m = 0; m < 3; m++)
				v = v << 8 | (k + m < len ? p[i + k + m] : 0);
			for (int s = 18; s >= 0; s -= 6) {
				char c = (char)((v >> s & 63) + 32);

				tap_buf_addc(b, c == ' ' ? '`' : c);
			}
		}
		tap_buf_adds(b, "\r\n");
	}
	tap_buf_adds(b, "`\r\nend\r\n");
}

/* A mail of several parts. */
static inline void in_mail_begin(struct tap_buf *b, const char *subject)
{
	tap_buf_init(b, INPUT_MAX);
	tap_buf_printf(b,
		       "Received: from mx.example.net\r\n\tby mail.example.org; Tue, 14 Nov 2023 "
		       "22:13:20 +0000\r\nFrom: reports@reporter.example\r\nTo: d@example.org\r\n"
		       "Subject: %s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n"
		       " boundary=\"=_outer\"\r\n\r\nThis is MIME.\r\n",
		       subject);
}
static inline void in_part(struct tap_buf *b, const char *headers)
{
	tap_buf_printf(b, "--=_outer\r\n%s\r\n", headers);
}
static inline void in_part_base64(struct tap_buf *b, const char *type, const char *name,
				  const struct tap_buf *data)
{
	tap_buf_printf(b,
		       "--=_outer\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n"
		       "Content-Disposition: attachment; filename=\"%s\"\r\n\r\n",
		       type, name);
	in_base64(b, data->p, data->len, 76, true);
	tap_buf_adds(b, "\r\n");
}
static inline void in_mail_end(struct tap_buf *b)
{
	tap_buf_adds(b, "--=_outer--\r\n");
}

/* --- what came out ------------------------------------------------------------------------------------------------------- */

struct seen {
	unsigned begins, ends, aborts, payload_ends;
	uint64_t records;
	bool truncated;
	char ids[256];	     /* "id@part.document " of each report that ended */
	char names[512];     /* "filename " */
	char uids[512];	     /* "uid " */
	char warnings[2048]; /* "where: what\n" */
	struct tap_buf payload;
	char now_id[96], now_uid[TAP_UID_HEX],
	    who[128]; /* who: "org_name domain" of the last one that began */
	struct tap_origin now;
	char now_name[300];
	enum tap_rc fail_at_record;
};

static inline enum tap_rc seen_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	s->begins++;
	snprintf(s->now_id, sizeof s->now_id, "%s", m->report_id ? m->report_id : "?");
	snprintf(s->who, sizeof s->who, "%s %s", m->org_name ? m->org_name : "-",
		 m->domain ? m->domain : "-");
	snprintf(s->now_uid, sizeof s->now_uid, "%s", m->uid);
	s->now = m->origin;
	snprintf(s->now_name, sizeof s->now_name, "%s",
		 m->origin.filename ? m->origin.filename : "-");
	return TAP_OK;
}
static inline enum tap_rc seen_record(void *ctx, const struct tap_record *r, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)r;
	if (s->fail_at_record != TAP_OK)
		return tap_err_set(err, s->fail_at_record, "the consumer is full");
	return TAP_OK;
}
static inline enum tap_rc seen_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct seen *s = ctx;
	size_t n = strlen(s->ids), k = strlen(s->names);

	(void)err;
	s->ends++;
	s->records += e->records;
	s->truncated |= e->truncated;
	snprintf(s->ids + n, sizeof s->ids - n, "%s@%u.%u ", s->now_id, s->now.part,
		 s->now.document);
	snprintf(s->uids + strlen(s->uids), sizeof s->uids - strlen(s->uids), "%s ", s->now_uid);
	snprintf(s->names + k, sizeof s->names - k, "%s ", s->now_name);
	for (size_t i = 0; i < e->n_warnings; i++) {
		k = strlen(s->warnings);
		snprintf(s->warnings + k, sizeof s->warnings - k, "%s: %s\n", e->warnings[i].where,
			 e->warnings[i].what);
	}
	return TAP_OK;
}
static inline void seen_abort(void *ctx, const struct tap_err *why)
{
	struct seen *s = ctx;

	(void)why;
	s->aborts++;
}
static inline enum tap_rc seen_payload(void *ctx, uint32_t part, const void *p, size_t n,
				       struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	(void)part;
	assert_true(n <= 65536);
	if (n == 0)
		s->payload_ends++;
	tap_buf_add(&s->payload, p, n);
	return TAP_OK;
}
static const struct tap_events seen_events = {
    .begin = seen_begin,
    .record = seen_record,
    .end = seen_end,
    .abort = seen_abort,
    .payload = seen_payload,
};

/* A source that gives at most `most` bytes a read. */
struct in_short {
	struct tap_source base;
	const char *p;
	size_t most;
	uint64_t reads, furthest;
};
static inline enum tap_rc in_short_read(const struct tap_source *src, uint64_t off, void *buf,
					size_t n, size_t *got_r, struct tap_err *err)
{
	struct in_short *s = (struct in_short *)(uintptr_t)src;

	(void)err;
	if (off > src->size)
		off = src->size;
	if (n > src->size - off)
		n = (size_t)(src->size - off);
	if (n > s->most)
		n = s->most;
	memcpy(buf, s->p + off, n);
	*got_r = n;
	s->reads++;
	if (off + n > s->furthest)
		s->furthest = off + n;
	return TAP_OK;
}
static inline void in_short_init(struct in_short *s, const void *p, size_t n, size_t most)
{
	memset(s, 0, sizeof *s);
	s->base.read_at = in_short_read;
	s->base.size = n;
	s->base.fd = -1;
	s->p = p;
	s->most = most;
}

static inline void seen_free(struct seen *s)
{
	tap_buf_free(&s->payload);
}

static inline enum tap_rc run_source(const struct tap_source *src,
				     const struct tap_parse_options *opt, struct seen *s,
				     struct tap_parse_result *res, struct tap_err *err)
{
	memset(s->ids, 0, sizeof s->ids);
	return tap_parse(src, opt, &seen_events, s, res, err);
}

/* Reads b from memory; the verdict is in *res. */
static inline void run(const struct tap_buf *b, struct seen *s, struct tap_parse_result *res)
{
	static const struct tap_parse_options opt = {.payload = true};
	struct tap_source src;
	struct tap_err err = {0};

	memset(s, 0, sizeof *s);
	tap_buf_init(&s->payload, INPUT_MAX);
	tap_source_mem(&src, b->p, b->len);
	assert_int_equal(run_source(&src, &opt, s, res, &err), TAP_OK);
	assert_int_equal(s->ends, res->reports);
}

static inline void expect(const struct tap_buf *b, enum tap_verdict verdict, const char *ids,
			  const char *why)
{
	struct seen s;
	struct tap_parse_result res;

	run(b, &s, &res);
	if (res.verdict != verdict || strcmp(s.ids, ids) != 0 ||
	    (why ? strstr(res.why, why) == NULL : res.why[0] != '\0'))
		fail_msg("expected %s, ids '%s', why '%s'; got %s, ids '%s', why '%s'",
			 tap_verdict_name[verdict], ids, why ? why : "",
			 tap_verdict_name[res.verdict], s.ids, res.why);
	seen_free(&s);
}

/* One report of `records` records with this warning; warning NULL: with none. */
static inline void expect_warning(const struct tap_buf *b, uint64_t records, const char *warning)
{
	struct seen s;
	struct tap_parse_result res;

	run(b, &s, &res);
	if (res.verdict != TAP_V_REPORT || s.records != records ||
	    (warning ? strstr(s.warnings, warning) == NULL : s.warnings[0] != '\0'))
		fail_msg(
		    "expected %u records, warning '%s'; got %s, %u records, why '%s', warnings "
		    "'%s'",
		    (unsigned)records, warning ? warning : "", tap_verdict_name[res.verdict],
		    (unsigned)s.records, res.why, s.warnings);
	seen_free(&s);
}

static inline void expect_who(const struct tap_buf *b, const char *who)
{
	struct seen s;
	struct tap_parse_result res;

	run(b, &s, &res);
	assert_string_equal(s.who, who);
	seen_free(&s);
}

static inline int group_setup(void **state)
{
	(void)state;
	tap_parser_global_init();
	return 0;
}

#endif
