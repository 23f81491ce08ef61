/* SPDX-License-Identifier: Apache-2.0
 * outputs/zip_write.c - see zip_write.h. Sizes and checksum of a member are written into its header when they are known. */
#include "outputs/zip_write.h"

#include "base/clock.h"

#include <stdlib.h>
#include <zlib.h>

enum {
	CHUNK = 64 * 1024,
	HEADER = 30, /* of a member; what is written later begins at CRC */
	CRC = 14,
	MEMBERS = 65535,
	NAME = 1024,
	VERSION = 20,
	UNIX = 3 << 8,
	UTF8 = 1 << 11,
	DEFLATED = 8
};

struct tap_zip {
	struct tap_buf *out;
	struct tap_buf list; /* the directory */
	size_t base;	     /* where in out the archive begins */
	size_t at;	     /* header of the open member */
	char name[NAME + 1];
	uint32_t crc, stamp;
	uint64_t size;
	unsigned members;
	bool open, failed;
	z_stream deflate;
};

static void put(struct tap_buf *b, unsigned bytes, uint64_t v)
{
	for (; bytes > 0; bytes--, v >>= 8)
		tap_buf_addc(b, (char)(v & 255));
}

static uint32_t dos_time(int64_t when)
{
	struct tap_date d;

	tap_time_utc(when, &d);
	if (d.year < 1980 || d.year > 2107)
		return 0x00210000; /* 1980-01-01 */
	return (uint32_t)(d.year - 1980) << 25 | (uint32_t)d.month << 21 | (uint32_t)d.day << 16 |
	       (uint32_t)d.hour << 11 | (uint32_t)d.minute << 5 | (uint32_t)d.second / 2;
}

struct tap_zip *tap_zip_open(struct tap_buf *out, int64_t when)
{
	struct tap_zip *z = calloc(1, sizeof *z);

	if (z == NULL)
		return NULL;
	z->out = out;
	z->base = out->len;
	z->stamp = dos_time(when);
	tap_buf_init(&z->list, out->max);
	if (out->max > UINT32_MAX ||
	    deflateInit2(&z->deflate, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(z);
		return NULL;
	}
	return z;
}

static void squeeze(struct tap_zip *z, const void *p, size_t n, int flush)
{
	z->deflate.next_in = (Bytef *)(uintptr_t)p;
	z->deflate.avail_in = (uInt)n;
	do {
		if (!tap_buf_reserve(z->out, CHUNK)) {
			z->failed = true;
			return;
		}
		z->deflate.next_out = (Bytef *)z->out->p + z->out->len;
		z->deflate.avail_out = CHUNK;
		if (deflate(&z->deflate, flush) == Z_STREAM_ERROR)
			z->failed = true;
		z->out->len += CHUNK - z->deflate.avail_out;
	} while (!z->failed && z->deflate.avail_out == 0);
}

/* What header and directory have in common: from the version to the length of the name. */
static void common(struct tap_buf *b, const struct tap_zip *z, uint64_t packed, size_t n_name)
{
	put(b, 2, VERSION);
	put(b, 2, UTF8);
	put(b, 2, DEFLATED);
	put(b, 4, z->stamp);
	put(b, 4, z->crc);
	put(b, 4, packed);
	put(b, 4, z->size);
	put(b, 2, n_name);
	put(b, 2, 0);
}

static void finish(struct tap_zip *z)
{
	size_t n = strlen(z->name), end;
	uint64_t packed;

	if (!z->open)
		return;
	z->open = false;
	squeeze(z, "", 0, Z_FINISH);
	packed = z->out->len - z->at - HEADER - n;
	if (z->failed || z->size > UINT32_MAX || z->members >= MEMBERS) {
		z->failed = true;
		return;
	}
	end = z->out->len;
	z->out->len = z->at + CRC;
	put(z->out, 4, z->crc);
	put(z->out, 4, packed);
	put(z->out, 4, z->size);
	z->out->len = end;
	put(&z->list, 4, 0x02014b50);
	put(&z->list, 2, UNIX | VERSION);
	common(&z->list, z, packed, n);
	put(&z->list, 2, 0);			   /* comment */
	put(&z->list, 4, 0);			   /* disk, internal */
	put(&z->list, 4, (uint64_t)0100644 << 16); /* mode */
	put(&z->list, 4, z->at - z->base);
	tap_buf_add(&z->list, z->name, n);
	z->members++;
}

void tap_zip_member(struct tap_zip *z, const char *name)
{
	size_t n = strlen(name);

	finish(z);
	if (z->failed || n > NAME || deflateReset(&z->deflate) != Z_OK) {
		z->failed = true;
		return;
	}
	memcpy(z->name, name, n + 1);
	z->crc = (uint32_t)crc32(0, NULL, 0);
	z->size = 0;
	z->at = z->out->len;
	put(z->out, 4, 0x04034b50);
	common(z->out, z, 0, n);
	tap_buf_add(z->out, name, n);
	z->failed = z->out->failed;
	z->open = true;
}

void tap_zip_add(struct tap_zip *z, const void *p, size_t n)
{
	const unsigned char *s = p;

	if (!z->open)
		z->failed = true;
	while (n > 0 && !z->failed) {
		size_t some = n < CHUNK ? n : CHUNK;

		z->crc = (uint32_t)crc32(z->crc, s, (uInt)some);
		z->size += some;
		squeeze(z, s, some, Z_NO_FLUSH);
		s += some;
		n -= some;
	}
}

enum tap_rc tap_zip_end(struct tap_zip *z, struct tap_err *err)
{
	size_t at;

	finish(z);
	at = z->out->len;
	tap_buf_add(z->out, z->list.p, z->list.len);
	put(z->out, 4, 0x06054b50);
	put(z->out, 4, 0);
	put(z->out, 2, z->members);
	put(z->out, 2, z->members);
	put(z->out, 4, z->list.len);
	put(z->out, 4, at - z->base);
	put(z->out, 2, 0);
	if (z->failed || z->out->failed || z->list.failed)
		return tap_err_set(err, TAP_E_LIMIT, "the archive is larger than %zu bytes",
				   z->out->max);
	return TAP_OK;
}

void tap_zip_close(struct tap_zip **z)
{
	if (*z == NULL)
		return;
	(void)deflateEnd(&(*z)->deflate);
	tap_buf_free(&(*z)->list);
	free(*z);
	*z = NULL;
}
