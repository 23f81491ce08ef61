/* SPDX-License-Identifier: Apache-2.0
 * parser/payload.c - see payload.h. */
#include "parser/payload.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PIECE = 65536 };

static enum tap_rc emit(struct tap_work *w, uint32_t part, const void *p, size_t n,
			struct tap_err *err)
{
	return w->ev->payload(w->ctx, part, p, n, err);
}

static enum tap_rc deflate_piece(struct tap_work *w, uint32_t part, z_stream *z, bool last,
				 unsigned char *out, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	do {
		z->next_out = out;
		z->avail_out = PIECE;
		deflate(z, last ? Z_FINISH : Z_NO_FLUSH);
		if (z->avail_out < PIECE)
			rc = emit(w, part, out, PIECE - z->avail_out, err);
	} while (rc == TAP_OK && z->avail_out == 0);
	return rc;
}

static enum tap_rc run(struct tap_work *w, struct tap_stream *s, uint32_t part, unsigned char *buf,
		       struct tap_err *err)
{
	z_stream z;
	size_t got = 1;
	enum tap_rc rc = s->rewind(s, err);

	memset(&z, 0, sizeof z);
	if (rc != TAP_OK)
		return rc;
	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for zlib");
	while (rc == TAP_OK && got > 0) {
		if (tap_work_cancelled(w)) {
			rc = tap_err_set(err, TAP_E_CANCELLED, "cancelled");
			break;
		}
		rc = s->read(s, buf, PIECE, &got, err);
		z.next_in = buf;
		z.avail_in = (unsigned)got;
		if (rc == TAP_OK)
			rc = deflate_piece(w, part, &z, got == 0, buf + PIECE, err);
	}
	deflateEnd(&z);
	return rc == TAP_OK ? emit(w, part, "", 0, err) : rc;
}

enum tap_rc tap_payload_as_is(struct tap_work *w, struct tap_stream *s, uint32_t part,
			      struct tap_err *err)
{
	unsigned char *buf = malloc(PIECE);
	size_t got = 1;
	enum tap_rc rc;

	if (buf == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for the payload");
	rc = s->rewind(s, err);
	while (rc == TAP_OK && got > 0) {
		if (tap_work_cancelled(w)) {
			rc = tap_err_set(err, TAP_E_CANCELLED, "cancelled");
			break;
		}
		rc = s->read(s, buf, PIECE, &got, err);
		if (rc == TAP_OK)
			rc = emit(w, part, buf, got, err);
	}
	free(buf);
	return rc;
}

enum tap_rc tap_payload_gzip(struct tap_work *w, struct tap_stream *s, uint32_t part,
			     struct tap_err *err)
{
	unsigned char *buf = malloc((size_t)2 * PIECE);
	enum tap_rc rc;

	if (buf == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for the payload");
	rc = run(w, s, part, buf, err);
	free(buf);
	return rc;
}
