/* SPDX-License-Identifier: Apache-2.0
 * parser/decode.c - see decode.h. */
#include "parser/decode.h"
#include <gmime/gmime.h>
#include <string.h>

enum { PROBE = 2048, UU_NO_STATE = 0 };

enum tap_encoding tap_encoding_parse(const char *value)
{
	switch (g_mime_content_encoding_from_string(value)) {
	case GMIME_CONTENT_ENCODING_BASE64: return TAP_ENC_BASE64;
	case GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE: return TAP_ENC_QP;
	case GMIME_CONTENT_ENCODING_UUENCODE: return TAP_ENC_UU;
	default: return TAP_ENC_NONE;
	}
}

static bool starts(const char *p, size_t n, const char *with, size_t len)
{
	return n >= len && memcmp(p, with, len) == 0;
}

/* "begin 644 name" at the start of a line; the offset behind that line, or 0. */
static size_t uu_begin(const char *p, size_t n)
{
	const char *end = p + n, *line = p, *lf;

	while (line < end && (lf = memchr(line, '\n', (size_t)(end - line))) != NULL) {
		if (starts(line, (size_t)(lf - line), "begin ", 6) && lf - line >= 10 &&
		    line[6] >= '0' && line[6] <= '7' && line[7] >= '0' && line[7] <= '7' &&
		    line[8] >= '0' && line[8] <= '7')
			return (size_t)(lf - p) + 1;
		line = lf + 1;
	}
	return 0;
}

/* How content begins that is not in base64 whatever its label says, and the base64 of gzip and zip. */
static const struct {
	const char *begin;
	size_t n;
	enum tap_encoding label, real;
} relabel[] = {
    {"<", 1, TAP_ENC_BASE64, TAP_ENC_NONE},
    {"{", 1, TAP_ENC_BASE64, TAP_ENC_NONE},
    {"PK\3\4", 4, TAP_ENC_BASE64, TAP_ENC_NONE},
    {"\x1f\x8b", 2, TAP_ENC_BASE64, TAP_ENC_NONE},
    {"\xef\xbb\xbf", 3, TAP_ENC_BASE64, TAP_ENC_NONE},
    {"H4sI", 4, TAP_ENC_NONE, TAP_ENC_BASE64},
    {"UEsDB", 5, TAP_ENC_NONE, TAP_ENC_BASE64},
};

static enum tap_encoding correct(enum tap_encoding label, const char *p, size_t n)
{
	while (n > 0 && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) {
		p++;
		n--;
	}
	for (size_t i = 0; i < sizeof relabel / sizeof *relabel; i++)
		if (relabel[i].label == label && starts(p, n, relabel[i].begin, relabel[i].n))
			return relabel[i].real;
	return label == TAP_ENC_NONE && uu_begin(p, n) > 0 ? TAP_ENC_UU : label;
}

static enum tap_rc decode_rewind(struct tap_stream *s, struct tap_err *err)
{
	struct tap_decode *d = (struct tap_decode *)s;

	d->state = UU_NO_STATE;
	d->save = 0;
	d->ended = d->uu_begun = false;
	d->pos = d->len = 0;
	return d->range->base.rewind(&d->range->base, err);
}

/* GMime's uudecoder takes the CR of a CRLF for a length when its input ends there. */
static size_t drop_cr(char *p, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if (p[i] != '\r')
			p[k++] = p[i];
	return k;
}

static void step_uu(struct tap_decode *d, size_t n)
{
	size_t skip = 0;

	if (!d->uu_begun) {
		skip = uu_begin(d->raw, n);
		if (skip == 0)
			return;
		d->uu_begun = true;
		d->state = GMIME_UUDECODE_STATE_BEGIN;
	}
	n = drop_cr(d->raw + skip, n - skip);
	d->len = g_mime_encoding_uudecode_step((unsigned char *)d->raw + skip, n,
					       (unsigned char *)d->out, &d->state, &d->save);
}

static void step(struct tap_decode *d, size_t n)
{
	unsigned char *in = (unsigned char *)d->raw, *out = (unsigned char *)d->out;

	d->pos = d->len = 0;
	if (d->enc == TAP_ENC_BASE64)
		d->len = g_mime_encoding_base64_decode_step(in, n, out, &d->state, &d->save);
	else if (d->enc == TAP_ENC_QP)
		d->len = g_mime_encoding_quoted_decode_step(in, n, out, &d->state, &d->save);
	else
		step_uu(d, n);
}

static enum tap_rc refill(struct tap_decode *d, struct tap_err *err)
{
	size_t n = 0;
	enum tap_rc rc;

	while (d->pos == d->len && !d->ended) {
		/* The line that begins uuencoded data must be seen whole, so the first piece is filled. */
		if (d->enc == TAP_ENC_UU && !d->uu_begun)
			rc = tap_stream_fill(&d->range->base, d->raw, sizeof d->raw, &n, err);
		else
			rc = d->range->base.read(&d->range->base, d->raw, sizeof d->raw, &n, err);
		if (rc != TAP_OK)
			return rc;
		if (n > 0) {
			step(d, n);
			continue;
		}
		d->ended = true;
		d->pos = d->len = 0;
		/* Missing padding: an "=" gives out the bits that are still held. */
		if (d->enc == TAP_ENC_BASE64 && d->state > 1) {
			d->raw[0] = '=';
			step(d, 1);
		}
	}
	return TAP_OK;
}

static enum tap_rc decode_read(struct tap_stream *s, void *buf, size_t n, size_t *got_r,
			       struct tap_err *err)
{
	struct tap_decode *d = (struct tap_decode *)s;
	enum tap_rc rc;

	*got_r = 0;
	if (d->enc == TAP_ENC_NONE)
		return d->range->base.read(&d->range->base, buf, n, got_r, err);
	rc = refill(d, err);
	if (rc != TAP_OK)
		return rc;
	if (n > d->len - d->pos)
		n = d->len - d->pos;
	memcpy(buf, d->out + d->pos, n);
	d->pos += n;
	*got_r = n;
	return TAP_OK;
}

enum tap_rc tap_decode_init(struct tap_decode *d, struct tap_range *range, enum tap_encoding label,
			    struct tap_err *err)
{
	size_t n;
	enum tap_rc rc;

	d->base.rewind = decode_rewind;
	d->base.read = decode_read;
	d->range = range;
	d->enc = label;
	rc = tap_stream_fill(&range->base, d->raw, PROBE, &n, err);
	if (rc != TAP_OK)
		return rc;
	d->probed = n;
	d->enc = correct(label, d->raw, n);
	return decode_rewind(&d->base, err);
}
