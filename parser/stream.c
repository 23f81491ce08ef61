/* SPDX-License-Identifier: Apache-2.0
 * parser/stream.c - see stream.h. */
#include "parser/stream.h"

static enum tap_rc range_rewind(struct tap_stream *s, struct tap_err *err)
{
	struct tap_range *r = (struct tap_range *)s;

	(void)err;
	r->at = r->from;
	return TAP_OK;
}

static enum tap_rc range_read(struct tap_stream *s, void *buf, size_t n, size_t *got_r,
			      struct tap_err *err)
{
	struct tap_range *r = (struct tap_range *)s;
	enum tap_rc rc;

	*got_r = 0;
	if (r->to - r->at < n)
		n = (size_t)(r->to - r->at);
	if (n == 0)
		return TAP_OK;
	rc = r->src->read_at(r->src, r->at, buf, n, got_r, err);
	if (rc == TAP_OK)
		r->at += *got_r;
	else
		*got_r = 0;
	return rc;
}

void tap_range_init(struct tap_range *r, const struct tap_source *src, uint64_t from, uint64_t to)
{
	r->base.rewind = range_rewind;
	r->base.read = range_read;
	r->src = src;
	r->from = r->at = from < src->size ? from : src->size;
	r->to = to < src->size ? to : src->size;
	if (r->to < r->from)
		r->to = r->from;
}

static enum tap_rc subsource_read_at(const struct tap_source *s, uint64_t off, void *buf, size_t n,
				     size_t *got_r, struct tap_err *err)
{
	const struct tap_subsource *sub = (const struct tap_subsource *)s;

	*got_r = 0;
	if (off >= s->size)
		return TAP_OK;
	if (n > s->size - off)
		n = (size_t)(s->size - off);
	return sub->src->read_at(sub->src, sub->from + off, buf, n, got_r, err);
}

void tap_subsource_init(struct tap_subsource *s, const struct tap_source *src, uint64_t from,
			uint64_t to)
{
	struct tap_range r;

	tap_range_init(&r, src, from, to);
	s->base.read_at = subsource_read_at;
	s->base.size = r.to - r.from;
	s->base.mem = NULL;
	s->base.fd = -1;
	s->base.fd_off = 0;
	s->src = src;
	s->from = r.from;
}

enum tap_rc tap_stream_fill(struct tap_stream *s, void *buf, size_t n, size_t *got_r,
			    struct tap_err *err)
{
	size_t got;
	enum tap_rc rc;

	*got_r = 0;
	while (*got_r < n) {
		rc = s->read(s, (char *)buf + *got_r, n - *got_r, &got, err);
		if (rc != TAP_OK)
			return rc;
		if (got == 0)
			break;
		*got_r += got;
	}
	return TAP_OK;
}
