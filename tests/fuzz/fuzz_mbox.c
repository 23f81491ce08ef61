/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: the mbox cutter. The first byte says how large the pieces are that the bytes come in, and whether quoting is undone.
 * What comes out must be the same as when they come at once from a file; messages follow one another, and are never more than went in. */
#include "base/io.h"
#include "base/sha256.h"
#include "cli/mbox.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int ok)
{
	if (!ok)
		abort();
}

struct feed {
	const uint8_t *p;
	size_t n, at, piece;
};

static enum tap_rc feed_read(void *ctx, void *p, size_t n, size_t *got_r, struct tap_err *err)
{
	struct feed *f = ctx;
	size_t left = f->n - f->at;

	(void)err;
	*got_r = left < n ? left : n;
	if (*got_r > f->piece)
		*got_r = f->piece;
	if (*got_r > 0)
		memcpy(p, f->p + f->at, *got_r);
	f->at += *got_r;
	return TAP_OK;
}

static enum tap_rc feed_peek(void *ctx, uint64_t off, void *p, size_t n, size_t *got_r,
			     struct tap_err *err)
{
	const struct feed *f = ctx;
	size_t left = off < f->n ? f->n - (size_t)off : 0;

	(void)err;
	*got_r = left < n ? left : n;
	if (*got_r > 0)
		memcpy(p, f->p + off, *got_r);
	return TAP_OK;
}

static void add_u64(struct tap_sha256 *h, uint64_t v)
{
	tap_sha256_update(h, &v, sizeof v);
}

static void cut(const uint8_t *p, size_t n, size_t piece, bool peek, bool unquote,
		unsigned char digest[TAP_SHA256_BYTES])
{
	struct feed f = {.p = p, .n = n, .piece = piece};
	struct tap_mbox_source src = {
	    .read = feed_read, .peek = peek ? feed_peek : NULL, .ctx = &f};
	struct tap_mbox m;
	struct tap_mbox_message out;
	struct tap_sha256 h;
	struct tap_err err = {0};
	uint64_t taken = 0, number = 0;
	bool more = true;

	tap_sha256_init(&h);
	need(tap_mbox_init(&m, &src, unquote, &err) == TAP_OK);
	for (;;) {
		need(tap_mbox_next(&m, &out, &more, &err) == TAP_OK);
		if (!more)
			break;
		need(out.number == ++number && out.fd < 0);
		need(out.offset >= taken && out.taken > out.offset && out.taken <= n);
		need(out.n <= out.taken - out.offset);
		taken = out.taken;
		add_u64(&h, out.offset);
		add_u64(&h, out.n);
		tap_sha256_update(&h, out.p, out.n);
	}
	need(number == 0 || taken == n);
	tap_mbox_free(&m);
	tap_sha256_final(&h, digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char one[TAP_SHA256_BYTES], other[TAP_SHA256_BYTES];

	if (size < 1 || size > 65536)
		return 0;
	cut(data + 1, size - 1, size, true, data[0] & 1, one);
	cut(data + 1, size - 1, (size_t)(data[0] >> 1) + 1, false, data[0] & 1, other);
	need(memcmp(one, other, sizeof one) == 0);
	(void)tap_mbox_sniff((const char *)data, size < 4096 ? size : 4096);
	return 0;
}
