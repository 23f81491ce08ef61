/* SPDX-License-Identifier: Apache-2.0
 * parser/tar.c - see tar.h. */
#include "parser/tar.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK = 512,
	NAME = 100,
	SIZE = 124,
	SUM = 148,
	TYPE = 156,
	MAGIC = 257,
	PREFIX = 345,
	PREFIX_LEN = 155,
	EXTENDED_MAX = 65536,
	PIECE = 16384,
	FIRST = 65536,
	HEADERS_A_MEMBER = 4,
	NAME_KEPT = 1024,
};

struct tap_tar {
	struct tap_stream base; /* the member */
	struct tap_work *work;
	struct tap_stream *in;
	uint64_t at;	     /* of in */
	uint64_t next;	     /* where the next header stands */
	uint64_t from, size; /* of the member */
	uint64_t pos;	     /* in the member */
	uint64_t again;	     /* bytes that were read only to get back to where a member begins */
	uint64_t headers;
	bool cut;	    /* the archive ended inside of a member, whose reader was told */
	uint64_t long_size; /* of an extended header; UINT64_MAX = not said */
	char name[NAME_KEPT + 1], long_name[NAME_KEPT + 1];
	char extended[EXTENDED_MAX];
	unsigned char piece[PIECE];
	size_t first_len;
	unsigned char first[FIRST]; /* of the member: who looks at it and goes back costs nothing */
};

struct tap_tar *tap_tar_new(struct tap_work *work)
{
	struct tap_tar *t = malloc(sizeof *t);

	if (t)
		t->work = work;
	return t;
}

void tap_tar_free(struct tap_tar **t)
{
	if (t == NULL)
		return;
	free(*t);
	*t = NULL;
}

/* Reads up to n bytes where `in` stands. */
static enum tap_rc take(struct tap_tar *t, void *buf, size_t n, size_t *got_r, struct tap_err *err)
{
	enum tap_rc rc = tap_stream_fill(t->in, buf, n, got_r, err);

	t->at += *got_r;
	/* What came before the damage counts; the next read meets it again. */
	return rc == TAP_E_DATA && *got_r > 0 ? TAP_OK : rc;
}

static enum tap_rc cut_off(struct tap_err *err)
{
	return tap_err_set(err, TAP_E_DATA, "tar archive is cut off");
}

/* Moves `in` to `to`. */
static enum tap_rc seek(struct tap_tar *t, uint64_t to, struct tap_err *err)
{
	size_t got;
	enum tap_rc rc;

	if (t->at > to) {
		rc = t->in->rewind(t->in, err);
		if (rc != TAP_OK)
			return rc;
		t->at = 0;
		t->again += to;
		if (t->again > t->work->lim->total_bytes)
			return tap_err_set(err, TAP_E_LIMIT,
					   "tar archive whose members have to be read again over "
					   "more than %" PRIu64 " bytes (limit total_bytes)",
					   t->work->lim->total_bytes);
	}
	while (t->at < to) {
		rc =
		    take(t, t->piece, to - t->at < PIECE ? (size_t)(to - t->at) : PIECE, &got, err);
		if (rc != TAP_OK)
			return rc;
		if (got == 0)
			return cut_off(err);
		if (tap_work_cancelled(t->work))
			return tap_err_set(err, TAP_E_CANCELLED, "cancelled");
	}
	return TAP_OK;
}

static enum tap_rc member_rewind(struct tap_stream *s, struct tap_err *err)
{
	(void)err;
	((struct tap_tar *)s)->pos = 0;
	return TAP_OK;
}

/* At least a byte of the member from pos on. */
static enum tap_rc take_member(struct tap_tar *t, void *buf, size_t n, size_t *got_r,
			       struct tap_err *err)
{
	enum tap_rc rc = seek(t, t->from + t->pos, err);

	if (rc == TAP_OK)
		rc = take(t, buf, n, got_r, err);
	if (rc == TAP_OK && *got_r == 0)
		rc = cut_off(err);
	if (rc != TAP_OK)
		*got_r = 0;
	t->cut |= rc == TAP_E_DATA;
	return rc;
}

static enum tap_rc member_read(struct tap_stream *s, void *buf, size_t n, size_t *got_r,
			       struct tap_err *err)
{
	struct tap_tar *t = (struct tap_tar *)s;
	enum tap_rc rc = TAP_OK;

	*got_r = 0;
	if (n > t->size - t->pos)
		n = (size_t)(t->size - t->pos);
	if (n == 0)
		return TAP_OK;
	if (t->pos < t->first_len) {
		*got_r = n < t->first_len - t->pos ? n : (size_t)(t->first_len - t->pos);
		memcpy(buf, t->first + t->pos, *got_r);
	} else {
		rc = take_member(t, buf, n, got_r, err);
	}
	if (t->pos == t->first_len && *got_r <= FIRST - t->first_len) {
		memcpy(t->first + t->first_len, buf, *got_r);
		t->first_len += *got_r;
	}
	t->pos += *got_r;
	return rc;
}

enum tap_rc tap_tar_start(struct tap_tar *t, struct tap_stream *in, struct tap_err *err)
{
	t->base.rewind = member_rewind;
	t->base.read = member_read;
	t->in = in;
	t->at = t->next = t->from = t->size = t->pos = t->again = t->headers = 0;
	t->long_size = UINT64_MAX;
	t->cut = false;
	t->first_len = 0;
	t->name[0] = t->long_name[0] = '\0';
	return in->rewind(in, err);
}

/* Octal digits between blanks, or base 256 of GNU. False: no number. */
static bool number(const unsigned char *p, size_t n, uint64_t *v_r)
{
	uint64_t v = 0;
	size_t i = 0;

	if (p[0] & 0x80) {
		for (v = p[0] & 0x7f, i = 1; i < n; i++) {
			if (v >> 55)
				return false;
			v = v << 8 | p[i];
		}
		*v_r = v;
		return true;
	}
	while (i < n && p[i] == ' ')
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(p[i] - '0');
	*v_r = v;
	return i == n || p[i] == ' ' || p[i] == '\0';
}

static bool checksum_fits(const unsigned char *h)
{
	uint64_t said;
	unsigned sum = 0;

	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= SUM && i < SUM + 8 ? ' ' : h[i];
	return number(h + SUM, 8, &said) && said == sum;
}

static void set_name(struct tap_tar *t, const unsigned char *h)
{
	size_t n = 0;

	if (t->long_name[0]) {
		memcpy(t->name, t->long_name, sizeof t->name);
		return;
	}
	if (memcmp(h + MAGIC, "ustar", 6) == 0 && h[PREFIX]) {
		n = strnlen((const char *)h + PREFIX, PREFIX_LEN);
		memcpy(t->name, h + PREFIX, n);
		t->name[n++] = '/';
	}
	memcpy(t->name + n, h, NAME);
	t->name[n + strnlen((const char *)h, NAME)] = '\0';
}

/* "27 path=some/name\n": the decimal length of the whole line, a blank, key, =, value. */
static void read_pax(struct tap_tar *t, size_t n)
{
	const char *p = t->extended, *end = p + n;

	while (p < end) {
		const char *line = p, *eq;
		size_t len = 0;

		for (; p < end && *p >= '0' && *p <= '9' && len < EXTENDED_MAX; p++)
			len = len * 10 + (size_t)(*p - '0');
		if (p == line || p >= end || *p != ' ' || len > (size_t)(end - line) ||
		    line + len <= p + 1)
			return;
		p++;
		len -= (size_t)(p - line);
		eq = memchr(p, '=', len);
		if (eq && eq - p == 4 && memcmp(p, "path", 4) == 0) {
			size_t k = len - 6 < NAME_KEPT ? len - 6 : NAME_KEPT;

			memcpy(t->long_name, eq + 1, len > 5 ? k : 0);
			t->long_name[len > 5 ? k : 0] = '\0';
		} else if (eq && eq - p == 4 && memcmp(p, "size", 4) == 0) {
			t->long_size = 0;
			for (const char *d = eq + 1; d < p + len && *d >= '0' && *d <= '9'; d++)
				if (t->long_size < UINT64_MAX / 100)
					t->long_size = t->long_size * 10 + (uint64_t)(*d - '0');
		}
		p += len;
	}
}

/* A header about the next header: its content, cut. */
static enum tap_rc read_extended(struct tap_tar *t, char type, uint64_t size, struct tap_err *err)
{
	size_t n = size < EXTENDED_MAX ? (size_t)size : EXTENDED_MAX, got;
	enum tap_rc rc = take(t, t->extended, n, &got, err);

	if (rc != TAP_OK)
		return rc;
	if (type == 'L') {
		n = got < NAME_KEPT ? got : NAME_KEPT;
		memcpy(t->long_name, t->extended, n);
		t->long_name[n] = '\0';
	} else if (type == 'x') {
		read_pax(t, got);
	}
	return TAP_OK;
}

/* One header. *more_r false: the archive ends here; *file_r: it is that of a regular file. */
static enum tap_rc read_header(struct tap_tar *t, bool *more_r, bool *file_r, struct tap_err *err)
{
	unsigned char h[BLOCK] = {0};
	uint64_t size;
	size_t got = 0;
	char type;
	enum tap_rc rc = seek(t, t->next, err);

	*more_r = *file_r = false;
	if (rc == TAP_OK)
		rc = take(t, h, BLOCK, &got, err);
	if (rc != TAP_OK || got == 0 || h[0] == '\0')
		return rc;
	if (got < BLOCK)
		return cut_off(err);
	if (!checksum_fits(h) || !number(h + SIZE, 12, &size) || size > INT64_MAX / 2)
		return tap_err_set(err, TAP_E_DATA,
				   "tar archive damaged at byte %" PRIu64 ": a header with a wrong "
				   "checksum",
				   t->next);
	if (++t->headers > (uint64_t)t->work->lim->zip_members * HEADERS_A_MEMBER)
		return tap_err_set(err, TAP_E_LIMIT,
				   "tar archive with more than %" PRIu32
				   " members (limit zip_members)",
				   t->work->lim->zip_members);
	*more_r = true;
	type = (char)h[TYPE];
	*file_r = type == '0' || type == '\0' || type == '7';
	if (*file_r) {
		set_name(t, h);
		if (t->long_size < INT64_MAX / 2)
			size = t->long_size;
	}
	t->from = t->at;
	t->size = size;
	t->pos = 0;
	t->first_len = 0;
	t->next = t->from + (size + BLOCK - 1) / BLOCK * BLOCK;
	if (type == 'L' || type == 'x')
		return read_extended(t, type, size, err);
	t->long_name[0] = '\0';
	t->long_size = UINT64_MAX;
	return TAP_OK;
}

enum tap_rc tap_tar_next(struct tap_tar *t, bool *found_r, struct tap_err *err)
{
	bool more = !t->cut, file = false;
	enum tap_rc rc = TAP_OK;

	while (rc == TAP_OK && more && !file)
		rc = read_header(t, &more, &file, err);
	*found_r = rc == TAP_OK && file;
	if (rc == TAP_OK && file && strlen(t->name) > t->work->lim->zip_name)
		rc = tap_err_set(err, TAP_E_LIMIT,
				 "tar member whose name is longer than %" PRIu32
				 " bytes (limit zip_name)",
				 t->work->lim->zip_name);
	return rc;
}

const char *tap_tar_name(const struct tap_tar *t)
{
	return t->name;
}

struct tap_stream *tap_tar_member(struct tap_tar *t)
{
	return &t->base;
}
