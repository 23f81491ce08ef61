/* SPDX-License-Identifier: Apache-2.0
 * parser/zip.c - see zip.h. */
#include "parser/zip.h"
#include "parser/inflate.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

enum { END_RECORD = 22, END64_LOCATOR = 20, END64_RECORD = 56, COMMENT_MAX = 65535 };

struct tap_zip {
	struct tap_stream base; /* the member that is open */
	const struct tap_source *src;
	uint64_t at; /* libzip's place in src */
	enum tap_rc src_rc;
	struct tap_err src_err; /* what the source said, which libzip cannot carry */
	zip_error_t zerr;
	zip_t *zip;
	zip_file_t *file;
	zip_uint64_t index;
	zip_int64_t count;
	struct tap_meter meter;
};

static zip_int64_t source_read(struct tap_zip *z, void *data, zip_uint64_t len)
{
	size_t got;

	z->src_rc = z->src->read_at(z->src, z->at, data, len, &got, &z->src_err);
	if (z->src_rc != TAP_OK) {
		zip_error_set(&z->zerr, ZIP_ER_READ, 0);
		return -1;
	}
	z->at += got;
	z->meter.in += got;
	return (zip_int64_t)got;
}

static zip_int64_t source_stat(struct tap_zip *z, void *data, zip_uint64_t len)
{
	zip_stat_t st;

	if (len < sizeof st)
		return -1;
	zip_stat_init(&st);
	st.size = z->src->size;
	st.valid = ZIP_STAT_SIZE;
	memcpy(data, &st, sizeof st);
	return (zip_int64_t)sizeof st;
}

/* What libzip asks of its source; see zip_source_function(3). */
static zip_int64_t source_call(void *state, void *data, zip_uint64_t len, zip_source_cmd_t cmd)
{
	struct tap_zip *z = state;
	zip_int64_t at;

	switch (cmd) {
	case ZIP_SOURCE_OPEN: z->at = 0; return 0;
	case ZIP_SOURCE_READ: return source_read(z, data, len);
	case ZIP_SOURCE_CLOSE:
	case ZIP_SOURCE_FREE: return 0;
	case ZIP_SOURCE_STAT: return source_stat(z, data, len);
	case ZIP_SOURCE_ERROR: return zip_error_to_data(&z->zerr, data, len);
	case ZIP_SOURCE_TELL: return (zip_int64_t)z->at;
	case ZIP_SOURCE_SEEK:
		at = zip_source_seek_compute_offset(z->at, z->src->size, data, len, &z->zerr);
		if (at < 0)
			return -1;
		z->at = (zip_uint64_t)at;
		return 0;
	case ZIP_SOURCE_SUPPORTS:
		return zip_source_make_command_bitmap(
		    ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
		    ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
		    ZIP_SOURCE_SUPPORTS, -1);
	default: zip_error_set(&z->zerr, ZIP_ER_OPNOTSUPP, 0); return -1;
	}
}

static uint64_t little(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

/* Entries that the end record at p claims; a record that points to a 64-bit one is followed there. */
static enum tap_rc claimed(const struct tap_source *src, const unsigned char *p, size_t before,
			   uint64_t *n_r, struct tap_err *err)
{
	unsigned char rec[END64_RECORD];
	struct tap_range range;
	uint64_t off;
	size_t got;
	enum tap_rc rc;

	*n_r = little(p + 10, 2);
	if (before < END64_LOCATOR || memcmp(p - END64_LOCATOR, "PK\6\7", 4) != 0)
		return TAP_OK;
	off = little(p - END64_LOCATOR + 8, 8);
	tap_range_init(&range, src, off, off > UINT64_MAX - sizeof rec ? off : off + sizeof rec);
	rc = tap_stream_fill(&range.base, rec, sizeof rec, &got, err);
	if (rc == TAP_OK && got == sizeof rec && memcmp(rec, "PK\6\6", 4) == 0 &&
	    little(rec + 32, 8) > *n_r)
		*n_r = little(rec + 32, 8);
	return rc;
}

/* libzip allocates for every entry that the directory claims, so the claim is looked at first. Which end record libzip will
 * take is its own affair: none may claim too much. *ends_r: how many there are. */
static enum tap_rc check_claims(struct tap_work *work, const struct tap_source *src,
				unsigned *ends_r, struct tap_err *err)
{
	size_t tail = END_RECORD + END64_LOCATOR + COMMENT_MAX, got;
	unsigned char *buf, *p;
	struct tap_range range;
	uint64_t n;
	enum tap_rc rc;

	if (tail > src->size)
		tail = (size_t)src->size;
	buf = malloc(tail + 1);
	if (buf == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for a zip archive");
	tap_range_init(&range, src, src->size - tail, src->size);
	rc = tap_stream_fill(&range.base, buf, tail, &got, err);
	for (p = buf; rc == TAP_OK; p++) {
		p = memmem(p, (size_t)(buf + got - p), "PK\5\6", 4);
		if (p == NULL || (size_t)(buf + got - p) < END_RECORD)
			break;
		++*ends_r;
		rc = claimed(src, p, (size_t)(p - buf), &n, err);
		if (rc == TAP_OK && n > work->lim->zip_members)
			rc = tap_err_set(err, TAP_E_LIMIT,
					 "zip archive with %" PRIu64 " members, more than %" PRIu32
					 " (limit zip_members)",
					 n, work->lim->zip_members);
	}
	free(buf);
	return rc;
}

static enum tap_rc open_failed(struct tap_zip *z, bool has_end, zip_error_t *ze,
			       struct tap_err *err)
{
	if (z->src_rc != TAP_OK) {
		if (err)
			*err = z->src_err;
		return z->src_rc;
	}
	return tap_err_set(err, has_end ? TAP_E_DATA : TAP_E_NOTFOUND,
			   "zip archive that cannot be opened: %s",
			   has_end ? zip_error_strerror(ze) : "it has no directory");
}

enum tap_rc tap_zip_open(struct tap_work *work, const struct tap_source *src, struct tap_zip **z_r,
			 struct tap_err *err)
{
	zip_error_t ze;
	zip_source_t *zs;
	struct tap_zip *z;
	unsigned ends = 0;
	enum tap_rc rc = check_claims(work, src, &ends, err);

	*z_r = NULL;
	if (rc != TAP_OK)
		return rc;
	z = calloc(1, sizeof *z);
	if (z == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for a zip archive");
	z->src = src;
	z->meter.work = work;
	zip_error_init(&z->zerr);
	zip_error_init(&ze);
	zs = zip_source_function_create(source_call, z, &ze);
	if (zs)
		z->zip = zip_open_from_source(zs, ZIP_RDONLY, &ze);
	if (z->zip == NULL) {
		rc = open_failed(z, ends > 0, &ze, err);
		if (zs)
			zip_source_free(zs);
	} else {
		z->count = zip_get_num_entries(z->zip, 0);
		if (z->count > (zip_int64_t)work->lim->zip_members)
			rc = tap_err_set(err, TAP_E_LIMIT,
					 "zip archive with %lld members, more than %" PRIu32
					 " (limit zip_members)",
					 (long long)z->count, work->lim->zip_members);
	}
	zip_error_fini(&ze);
	if (rc != TAP_OK)
		tap_zip_close(&z);
	*z_r = z;
	return rc;
}

static void close_member(struct tap_zip *z)
{
	if (z->file)
		zip_fclose(z->file);
	z->file = NULL;
}

void tap_zip_close(struct tap_zip **zp)
{
	struct tap_zip *z = *zp;

	if (z == NULL)
		return;
	close_member(z);
	if (z->zip)
		zip_discard(z->zip);
	zip_error_fini(&z->zerr);
	free(z);
	*zp = NULL;
}

size_t tap_zip_count(const struct tap_zip *z)
{
	return z->count > 0 ? (size_t)z->count : 0;
}

const char *tap_zip_name(const struct tap_zip *z, size_t i)
{
	const char *name = zip_get_name(z->zip, i, ZIP_FL_ENC_GUESS);

	return name ? name : "";
}

bool tap_zip_is_document(const struct tap_zip *z)
{
	const char *name = tap_zip_name(z, 0);

	return strcmp(name, "[Content_Types].xml") == 0 || strcmp(name, "mimetype") == 0 ||
	       strncmp(name, "META-INF/", 9) == 0 || strncmp(name, "_rels/", 6) == 0;
}

bool tap_zip_skip_name(const char *name)
{
	const char *base = strrchr(name, '/');
	size_t n = strlen(name);

	base = base ? base + 1 : name;
	return (n > 0 && name[n - 1] == '/') || strncmp(name, "__MACOSX/", 9) == 0 ||
	       strcmp(base, ".DS_Store") == 0;
}

bool tap_zip_skip(const struct tap_zip *z, size_t i)
{
	return tap_zip_skip_name(tap_zip_name(z, i));
}

static enum tap_rc member_error(struct tap_zip *z, const char *what, struct tap_err *err)
{
	if (z->src_rc != TAP_OK) {
		if (err)
			*err = z->src_err;
		return z->src_rc;
	}
	return tap_err_set(err, TAP_E_DATA, "zip member damaged after %" PRIu64 " bytes: %s",
			   z->meter.out, what);
}

static enum tap_rc member_open(struct tap_zip *z, struct tap_err *err)
{
	close_member(z);
	z->meter.in = z->meter.out = 0;
	z->file = zip_fopen_index(z->zip, z->index, 0);
	if (z->file)
		return TAP_OK;
	return member_error(z, zip_error_strerror(zip_get_error(z->zip)), err);
}

static enum tap_rc member_rewind(struct tap_stream *s, struct tap_err *err)
{
	struct tap_zip *z = (struct tap_zip *)s;

	return z->file && z->meter.out == 0 ? TAP_OK : member_open(z, err);
}

static enum tap_rc member_read(struct tap_stream *s, void *buf, size_t n, size_t *got_r,
			       struct tap_err *err)
{
	struct tap_zip *z = (struct tap_zip *)s;
	zip_int64_t got;
	enum tap_rc rc;

	*got_r = 0;
	if (z->file == NULL)
		return tap_err_set(err, TAP_E_DATA, "zip member is not open");
	got = zip_fread(z->file, buf, n);
	if (got < 0)
		return member_error(z, zip_error_strerror(zip_file_get_error(z->file)), err);
	z->meter.out += (uint64_t)got;
	rc = tap_meter_check(&z->meter, err);
	if (rc == TAP_OK)
		*got_r = (size_t)got;
	return rc;
}

enum tap_rc tap_zip_member(struct tap_zip *z, size_t i, struct tap_stream **out_r,
			   struct tap_err *err)
{
	zip_stat_t st;

	z->base.rewind = member_rewind;
	z->base.read = member_read;
	*out_r = &z->base;
	z->index = i;
	z->meter.high = 0;
	close_member(z);
	zip_stat_init(&st);
	if (zip_stat_index(z->zip, i, 0, &st) != 0)
		return member_error(z, zip_error_strerror(zip_get_error(z->zip)), err);
	if (strlen(tap_zip_name(z, i)) > z->meter.work->lim->zip_name)
		return tap_err_set(err, TAP_E_LIMIT,
				   "zip member whose name is longer than %" PRIu32
				   " bytes (limit zip_name)",
				   z->meter.work->lim->zip_name);
	if ((st.valid & ZIP_STAT_ENCRYPTION_METHOD) && st.encryption_method != ZIP_EM_NONE)
		return tap_err_set(err, TAP_E_DATA,
				   "zip member is encrypted; a report never needs a password");
	if ((st.valid & ZIP_STAT_COMP_METHOD) &&
	    !zip_compression_method_supported(st.comp_method, 0))
		return tap_err_set(err, TAP_E_DATA,
				   "zip member packed in a way that is not read (method %u)",
				   (unsigned)st.comp_method);
	return member_open(z, err);
}
