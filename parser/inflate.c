/* SPDX-License-Identifier: Apache-2.0
 * parser/inflate.c - see inflate.h. */
#include "parser/inflate.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { INPUT = 16384, AUTO_HEADER = 15 + 32, NO_HEADER = -15 };

struct tap_inflate {
	struct tap_stream base;
	struct tap_stream *in;
	z_stream z;
	struct tap_meter meter;
	unsigned members;
	int window; /* as inflateReset2 wants it */
	bool ready, ended, in_ended, garbage;
	unsigned char buf[INPUT];
};

enum tap_rc tap_meter_check(struct tap_meter *m, struct tap_err *err)
{
	struct tap_work *w = m->work;

	if (m->out > m->high) {
		w->total += m->out - m->high;
		m->high = m->out;
	}
	if (m->out > w->lim->report_bytes)
		return tap_err_set(err, TAP_E_LIMIT,
				   "it unpacks to more than %" PRIu64 " bytes (limit report_bytes)",
				   w->lim->report_bytes);
	if (w->total > w->lim->total_bytes)
		return tap_err_set(err, TAP_E_LIMIT,
				   "all parts together unpack to more than %" PRIu64
				   " bytes (limit total_bytes)",
				   w->lim->total_bytes);
	if (m->out > TAP_RATIO_FROM && m->out / w->lim->ratio > m->in)
		return tap_err_set(err, TAP_E_LIMIT,
				   "it unpacks to more than %" PRIu32
				   " times its size (limit ratio): %" PRIu64 " bytes from %" PRIu64,
				   w->lim->ratio, m->out, m->in);
	return TAP_OK;
}

struct tap_inflate *tap_inflate_new(void)
{
	struct tap_inflate *z = malloc(sizeof *z);

	if (z == NULL)
		return NULL;
	memset(&z->z, 0, sizeof z->z);
	z->ready = false;
	return z;
}

void tap_inflate_free(struct tap_inflate **z)
{
	if (z == NULL || *z == NULL)
		return;
	if ((*z)->ready)
		inflateEnd(&(*z)->z);
	free(*z);
	*z = NULL;
}

static enum tap_rc inflate_rewind(struct tap_stream *s, struct tap_err *err)
{
	struct tap_inflate *z = (struct tap_inflate *)s;

	inflateReset2(&z->z, z->window);
	z->z.avail_in = 0;
	z->z.next_in = z->buf;
	z->meter.in = z->meter.out = 0;
	z->members = 0;
	z->ended = z->in_ended = z->garbage = false;
	return z->in->rewind(z->in, err);
}

/* Puts more input behind what is left of it. */
static enum tap_rc more_input(struct tap_inflate *z, struct tap_err *err)
{
	size_t left = z->z.avail_in, got;
	enum tap_rc rc;

	memmove(z->buf, z->z.next_in, left);
	z->z.next_in = z->buf;
	rc = z->in->read(z->in, z->buf + left, sizeof z->buf - left, &got, err);
	if (rc != TAP_OK)
		return rc;
	z->z.avail_in = (unsigned)(left + got);
	z->meter.in += got;
	z->in_ended = got == 0;
	return TAP_OK;
}

/* Some append a line end or fill up a block: two blanks are no news, more is. */
static bool is_garbage(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n && i < 2; i++)
		if (p[i] != '\r' && p[i] != '\n' && p[i] != ' ' && p[i] != '\t')
			return true;
	return n > 2;
}

/* A member is complete: is there another one? */
static enum tap_rc next_member(struct tap_inflate *z, struct tap_err *err)
{
	enum tap_rc rc;

	if (z->window == NO_HEADER) {
		z->ended = true;
		return TAP_OK;
	}
	while (z->z.avail_in < 3 && !z->in_ended) {
		rc = more_input(z, err);
		if (rc != TAP_OK)
			return rc;
	}
	z->members++;
	if (z->z.avail_in >= 2 && z->z.next_in[0] == 0x1f && z->z.next_in[1] == 0x8b)
		inflateReset2(&z->z, AUTO_HEADER);
	else
		z->ended = true;
	if (z->ended)
		z->garbage = is_garbage(z->z.next_in, z->z.avail_in);
	return TAP_OK;
}

static enum tap_rc damaged(struct tap_inflate *z, const char *what, struct tap_err *err)
{
	/* Bytes that only look like another member are what follows the last one. */
	if (z->members > 0 && z->z.total_out == 0) {
		z->ended = z->garbage = true;
		return TAP_OK;
	}
	return tap_err_set(err, TAP_E_DATA, "compressed data damaged after %" PRIu64 " bytes: %s",
			   z->meter.out, what);
}

static enum tap_rc inflate_some(struct tap_inflate *z, struct tap_err *err)
{
	enum tap_rc rc;

	if (z->z.avail_in == 0 && !z->in_ended) {
		rc = more_input(z, err);
		if (rc != TAP_OK)
			return rc;
	}
	switch (inflate(&z->z, Z_NO_FLUSH)) {
	case Z_OK: return TAP_OK;
	case Z_STREAM_END: return next_member(z, err);
	case Z_BUF_ERROR: return z->in_ended ? damaged(z, "it is cut off", err) : TAP_OK;
	case Z_NEED_DICT: return damaged(z, "it needs a dictionary", err);
	case Z_MEM_ERROR: return tap_err_set(err, TAP_E_TEMP, "out of memory in zlib");
	default: return damaged(z, z->z.msg ? z->z.msg : "invalid data", err);
	}
}

static enum tap_rc inflate_read(struct tap_stream *s, void *buf, size_t n, size_t *got_r,
				struct tap_err *err)
{
	struct tap_inflate *z = (struct tap_inflate *)s;
	unsigned want = n > UINT32_MAX / 2 ? UINT32_MAX / 2 : (unsigned)n;
	unsigned before;
	enum tap_rc rc = TAP_OK;

	*got_r = 0;
	z->z.next_out = buf;
	z->z.avail_out = want;
	while (z->z.avail_out > 0 && !z->ended && rc == TAP_OK) {
		before = z->z.avail_out;
		rc = inflate_some(z, err);
		z->meter.out += before - z->z.avail_out;
	}
	*got_r = want - z->z.avail_out;
	/* What inflated counts; the next read meets the same error again. */
	if (rc != TAP_OK && (*got_r == 0 || rc != TAP_E_DATA)) {
		*got_r = 0;
		return rc;
	}
	rc = tap_meter_check(&z->meter, err);
	if (rc != TAP_OK)
		*got_r = 0;
	return rc;
}

size_t tap_inflate_trial(const unsigned char *p, size_t n, unsigned char *out, size_t cap)
{
	z_stream z;
	int rc;

	memset(&z, 0, sizeof z);
	if (inflateInit2(&z, NO_HEADER) != Z_OK)
		return 0;
	z.next_in = (unsigned char *)(uintptr_t)p;
	z.avail_in = (unsigned)n;
	z.next_out = out;
	z.avail_out = (unsigned)cap;
	rc = inflate(&z, Z_SYNC_FLUSH);
	n = cap - z.avail_out;
	inflateEnd(&z);
	return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? n : 0;
}

bool tap_inflate_garbage(const struct tap_inflate *z)
{
	return z->garbage;
}

enum tap_rc tap_inflate_start(struct tap_inflate *z, struct tap_work *work,
			      enum tap_packing packing, struct tap_stream *in,
			      struct tap_stream **out_r, struct tap_err *err)
{
	if (!z->ready && inflateInit2(&z->z, AUTO_HEADER) != Z_OK)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for zlib");
	z->ready = true;
	z->window = packing == TAP_PACKED_RAW ? NO_HEADER : AUTO_HEADER;
	z->base.rewind = inflate_rewind;
	z->base.read = inflate_read;
	z->in = in;
	memset(&z->meter, 0, sizeof z->meter);
	z->meter.work = work;
	*out_r = &z->base;
	return inflate_rewind(&z->base, err);
}
