/* SPDX-License-Identifier: Apache-2.0
 * parser/unpack_archive.c - gzip, zlib, raw deflate, zip and tar: each member is a stream for unpack_stream. See unpack.h. */
#include "parser/unpack_impl.h"

#include "parser/tar.h"
#include "parser/zip.h"
#include "parser/zip_scan.h"
#include <inttypes.h>
#include <stdlib.h>

enum { PIECE = 65536, STORED = 0, DEFLATED = 8 }; /* of the methods of zip */

enum tap_rc unpack_hold(struct unpack *u, struct tap_stream *s, const char *what, struct tap_buf *b,
			struct tap_err *err)
{
	uint64_t size = 0;
	size_t got = 1;
	char *piece = malloc(PIECE);
	enum tap_rc rc = s->rewind(s, err);

	if (piece == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for %s", what);
	while (rc == TAP_OK && got > 0) {
		rc = s->read(s, piece, PIECE, &got, err);
		if (rc == TAP_E_DATA && size > 0)
			rc = TAP_OK; /* what is there may hold whole members */
		size += got;
		if (rc == TAP_OK && size > u->w->lim->message_bytes)
			rc = tap_err_set(err, TAP_E_LIMIT,
					 "%s of more than %" PRIu64 " bytes (limit message_bytes)",
					 what, u->w->lim->message_bytes);
	}
	free(piece);
	if (rc == TAP_OK && unpack_holds_too_much(u, size))
		rc = tap_err_set(err, TAP_E_LIMIT,
				 "%s inside of others, which together are too large (limit "
				 "message_bytes)",
				 what);
	tap_buf_init(b, size + 1);
	if (rc == TAP_OK)
		rc = s->rewind(s, err);
	if (rc == TAP_OK && !tap_buf_reserve(b, size + 1))
		rc = tap_err_set(err, TAP_E_TEMP, "out of memory for %s", what);
	u->w->held += b->cap;
	if (rc == TAP_OK)
		rc = tap_stream_fill(s, b->p, size, &b->len, err);
	if (rc == TAP_E_DATA && b->len == size)
		rc = TAP_OK;
	return rc;
}

void unpack_let_go(struct unpack *u, struct tap_buf *b)
{
	u->w->held -= b->cap;
	tap_buf_free(b);
}

enum tap_rc unpack_deflated(struct unpack *u, struct tap_stream *s, enum tap_packing packing,
			    const char *name, unsigned depth, struct tap_err *err)
{
	struct tap_inflate **z = &u->w->inflate[depth];
	struct tap_stream *in;
	enum tap_rc rc;

	u->res->packed = true;
	if (*z == NULL)
		*z = tap_inflate_new();
	if (*z == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for zlib");
	rc = tap_inflate_start(*z, u->w, packing, s, &in, err);
	if (rc == TAP_OK) {
		u->inflating |= 1u << depth;
		rc = unpack_stream(u, in, NULL, name, depth + 1, err);
		u->inflating &= ~(1u << depth);
	}
	return rc;
}

static enum tap_rc unpack_member(struct unpack *u, struct tap_zip *zip, size_t i, unsigned depth,
				 struct tap_err *err)
{
	struct tap_err e = {0};
	struct tap_stream *s;
	char name[TAP_NAME_MAX + 1];
	enum tap_rc rc;

	if (tap_zip_skip(zip, i))
		return TAP_OK;
	tap_clean_name(tap_zip_name(zip, i), name);
	rc = tap_zip_member(zip, i, &s, &e);
	if (unpack_of_the_input(rc)) {
		unpack_broken(u, name, e.msg);
		return TAP_OK;
	}
	if (rc != TAP_OK) {
		if (err)
			*err = e;
		return rc;
	}
	return unpack_stream(u, s, NULL, name, depth + 1, err);
}

static enum tap_rc unpack_local(struct unpack *u, const struct tap_source *src,
				const struct tap_zip_local *m, unsigned depth, struct tap_err *err)
{
	struct tap_range range;

	if (tap_zip_skip_name(m->name))
		return TAP_OK;
	tap_range_init(&range, src, m->from, m->to);
	if (m->encrypted)
		unpack_broken(u, m->name,
			      "zip member is encrypted; a report never needs a password");
	else if (m->method == STORED)
		return unpack_stream(u, &range.base, NULL, m->name, depth + 1, err);
	else if (m->method == DEFLATED)
		return unpack_deflated(u, &range.base, TAP_PACKED_RAW, m->name, depth, err);
	else
		unpack_broken(u, m->name, "zip member packed in a way that is not read");
	return TAP_OK;
}

/* why NULL: an archive with nothing in it is not worth a word.
 * The directory stands at the end of an archive, so one that was cut off has none: what is there is read all the same. */
static enum tap_rc unpack_zip_scan(struct unpack *u, const struct tap_source *src, const char *name,
				   const char *why, unsigned depth, struct tap_err *err)
{
	struct tap_zip_scan scan;
	struct tap_zip_local m;
	uint32_t n = 0, before = u->res->reports + u->res->broken;
	bool found = true, scanned = u->scanned;
	enum tap_rc rc = TAP_OK;

	tap_zip_scan_init(&scan, src);
	u->scanned = true;
	while (rc == TAP_OK && n < u->w->lim->zip_members) {
		rc = tap_zip_scan_next(&scan, &m, &found, err);
		if (rc != TAP_OK || !found)
			break;
		n++;
		rc = unpack_local(u, src, &m, depth, err);
	}
	u->scanned = scanned;
	if (rc == TAP_OK && (found || (why && u->res->reports + u->res->broken == before)))
		unpack_broken(u, name,
			      found ? "zip archive without a directory and with too many members "
				      "(limit zip_members)"
				    : why);
	return rc;
}

static enum tap_rc unpack_zip_source(struct unpack *u, const struct tap_source *src,
				     const char *name, unsigned depth, struct tap_err *err)
{
	struct tap_err e = {0};
	struct tap_zip *zip;
	enum tap_rc rc = tap_zip_open(u->w, src, &zip, &e);

	if (rc == TAP_E_NOTFOUND)
		return unpack_zip_scan(u, src, name, e.msg, depth, err);
	if (unpack_of_the_input(rc)) {
		unpack_broken(u, name, e.msg);
		return TAP_OK;
	}
	if (rc != TAP_OK) {
		if (err)
			*err = e;
		return rc;
	}
	if (tap_zip_is_document(zip)) {
		u->res->packed = false;
		unpack_say(u, name, "a zip archive that is a document, not a report");
	} else if (tap_zip_count(zip) == 0) {
		unpack_broken(u, name, "zip archive without a member");
	} else {
		for (size_t i = 0; rc == TAP_OK && i < tap_zip_count(zip); i++)
			rc = unpack_member(u, zip, i, depth, err);
		if (rc == TAP_OK && u->res->reports == 0)
			unpack_say(u, name, "zip archive with folders alone");
	}
	tap_zip_close(&zip);
	return rc;
}

enum tap_rc unpack_zip(struct unpack *u, struct tap_stream *s, const struct tap_source *direct,
		       const char *name, unsigned depth, struct tap_err *err)
{
	struct tap_err e = {0};
	struct tap_source mem;
	struct tap_buf held;
	enum tap_rc rc;

	u->res->packed = true;
	if (direct)
		return unpack_zip_source(u, direct, name, depth, err);
	tap_buf_init(&held, 1);
	rc = unpack_hold(u, s, "zip archive", &held, &e);
	if (unpack_of_the_input(rc)) {
		unpack_broken(u, name, e.msg);
		rc = TAP_OK;
	} else if (rc != TAP_OK) {
		if (err)
			*err = e;
	} else {
		tap_source_mem(&mem, held.p, held.len);
		rc = unpack_zip_source(u, &mem, name, depth, err);
	}
	unpack_let_go(u, &held);
	return rc;
}

/* From the first local header on. Its directory counts from there, or from the beginning of what stands before it: then it is
 * not found there, and the members are read by their headers. */
static enum tap_rc unpack_behind(struct unpack *u, const struct tap_source *src, const char *name,
				 unsigned depth, bool *found_r, struct tap_err *err)
{
	uint32_t before = u->res->reports + u->res->broken;
	struct tap_subsource sub;
	struct tap_zip *zip = NULL;
	uint64_t at;
	enum tap_rc rc = tap_zip_scan_find(src, 0, &at, err);

	*found_r = rc == TAP_OK && at < src->size;
	if (!*found_r)
		return rc;
	u->res->packed = true;
	tap_subsource_init(&sub, src, at, src->size);
	rc = tap_zip_open(u->w, &sub.base, &zip, err);
	tap_zip_close(&zip);
	if (rc == TAP_OK)
		rc = unpack_zip_source(u, &sub.base, name, depth, err);
	else if (unpack_of_the_input(rc) || rc == TAP_E_NOTFOUND)
		rc = unpack_zip_scan(u, &sub.base, name, NULL, depth, err);
	/* Programs hold zip archives of all sorts; only one with a report in it is news. */
	*found_r = u->res->reports + u->res->broken > before;
	return rc;
}

enum tap_rc unpack_zip_behind(struct unpack *u, struct tap_stream *s,
			      const struct tap_source *direct, const char *name, unsigned depth,
			      bool *found_r, struct tap_err *err)
{
	struct tap_err e = {0};
	struct tap_source mem;
	struct tap_buf held;
	enum tap_rc rc;

	*found_r = false;
	if (unpack_too_deep(u, name, depth) != TAP_OK) {
		*found_r = true;
		return TAP_OK;
	}
	if (direct)
		return unpack_behind(u, direct, name, depth, found_r, err);
	tap_buf_init(&held, 1);
	rc = unpack_hold(u, s, "zip archive", &held, &e);
	if (rc == TAP_OK) {
		tap_source_mem(&mem, held.p, held.len);
		rc = unpack_behind(u, &mem, name, depth, found_r, err);
	} else if (unpack_of_the_input(rc)) {
		rc = TAP_OK;
	} else if (err) {
		*err = e;
	}
	unpack_let_go(u, &held);
	return rc;
}

/* ---- tar ---- */

static enum tap_rc tar_members(struct unpack *u, struct tap_tar *tar, const char *name,
			       unsigned depth, struct tap_err *err)
{
	uint32_t n = 0;
	bool found = true;
	char member[TAP_NAME_MAX + 1];
	struct tap_err e = {0};
	enum tap_rc rc;

	for (;;) {
		rc = tap_tar_next(tar, &found, &e);
		if (rc != TAP_OK || !found)
			break;
		tap_clean_name(tap_tar_name(tar), member);
		if (tap_zip_skip_name(member))
			continue;
		if (n++ >= u->w->lim->zip_members) {
			rc = tap_err_set(&e, TAP_E_LIMIT,
					 "tar archive with more than %" PRIu32
					 " members (limit zip_members)",
					 u->w->lim->zip_members);
			break;
		}
		rc = unpack_stream(u, tap_tar_member(tar), NULL, member, depth + 1, err);
		if (rc != TAP_OK)
			return rc;
	}
	if (unpack_of_the_input(rc)) {
		unpack_broken(u, name, e.msg);
		return TAP_OK;
	}
	if (rc != TAP_OK && err)
		*err = e;
	if (rc == TAP_OK && n == 0)
		unpack_say(u, name, "tar archive without a member");
	return rc;
}

enum tap_rc unpack_tar(struct unpack *u, struct tap_stream *s, const char *name, unsigned depth,
		       struct tap_err *err)
{
	struct tap_tar *tar = tap_tar_new(u->w);
	enum tap_rc rc;

	if (tar == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for a tar archive");
	u->res->packed = true;
	rc = tap_tar_start(tar, s, err);
	if (rc == TAP_OK)
		rc = tar_members(u, tar, name, depth, err);
	tap_tar_free(&tar);
	return rc;
}
