/* SPDX-License-Identifier: Apache-2.0
 * parser/unpack_mail.c - containers that hold a mail: one saved as a file, S/MIME signed as a
 * whole, Outlook files. See unpack.h. */
#include "parser/unpack_impl.h"

#include "parser/feedback_fields.h"
#include "parser/mime.h"
#include "parser/outlook.h"
#include "parser/pkcs7.h"
#include <string.h>

/* What the mail inside gave, as what this container gave. */
static void merge(struct unpack *u, const char *name, const struct tap_mime_result *m)
{
	u->res->reports += m->reports;
	for (uint32_t i = 0; i < m->broken; i++)
		unpack_broken(u, name, m->why);
	if (m->limited)
		unpack_broken(u, name, m->why);
	if (m->reports > 0 || m->broken > 0 || m->limited)
		return;
	if (m->subject_claims && (m->subject_begins || !m->bounce))
		unpack_broken(u, name, "the subject announces a report, but no part holds one");
	unpack_say(u, name, m->why[0] ? m->why : "no part of the mail is a report");
}

/* What belongs to the mail around, or to the archives around: a mail inside has its own. */
struct aside {
	struct tap_inflate *inflate[TAP_WORK_NEST];
	struct tap_hints hints;
	const char *note;
	uint32_t depth;
};

static void set_aside(struct tap_work *w, struct aside *a)
{
	memcpy(a->inflate, w->inflate, sizeof a->inflate);
	memset(w->inflate, 0, sizeof w->inflate);
	a->hints = w->hints;
	a->note = w->note;
	a->depth = w->depth;
}

static void put_back(struct tap_work *w, const struct aside *a)
{
	for (size_t i = 0; i < TAP_WORK_NEST; i++)
		tap_inflate_free(&w->inflate[i]);
	memcpy(w->inflate, a->inflate, sizeof a->inflate);
	w->hints = a->hints;
	w->note = a->note;
	w->depth = a->depth;
}

static enum tap_rc walk_inside(struct unpack *u, const struct tap_source *src, uint64_t start,
			       const char *name, struct tap_err *err)
{
	struct tap_mime_result m;
	struct aside a;
	enum tap_rc rc;

	memset(&m, 0, sizeof m);
	set_aside(u->w, &a);
	rc = tap_mime_walk_inner(u->w, src, start, a.depth + 1, &m, err);
	put_back(u->w, &a);
	if (rc == TAP_OK)
		merge(u, name, &m);
	return rc;
}

/* ---- a mail as a file ---- */

bool unpack_is_message(const struct unpack *u, const struct front *f, unsigned depth)
{
	const char *p = (const char *)f->head, *eol = memchr(p, '\n', f->len);
	size_t n = f->len;

	if ((depth == 0 && u->c->prose) || tap_sniff(f->head, f->len, true) != TAP_CONTENT_MAIL)
		return false;
	if (eol != NULL && n > 5 && memcmp(p, "From ", 5) == 0) { /* the line of an mbox file */
		n -= (size_t)(eol + 1 - p);
		p = eol + 1;
	}
	return tap_fb_looks_like_header(p, n);
}

enum tap_rc unpack_message(struct unpack *u, struct tap_stream *s, const struct tap_source *direct,
			   const char *name, struct tap_err *err)
{
	struct tap_err e = {0};
	struct tap_source mem;
	struct tap_buf held;
	enum tap_rc rc;

	u->res->packed = true;
	if (direct)
		return walk_inside(u, direct, 0, name, err);
	rc = unpack_hold(u, s, "a mail", &held, &e);
	if (rc == TAP_OK) {
		tap_source_mem(&mem, held.p, held.len);
		rc = walk_inside(u, &mem, tap_sniff_mail_start((unsigned char *)held.p, held.len),
				 name, err);
	} else if (unpack_of_the_input(rc)) {
		unpack_broken(u, name, e.msg);
		rc = TAP_OK;
	} else if (err) {
		*err = e;
	}
	unpack_let_go(u, &held);
	return rc;
}

/* ---- S/MIME ---- */

/* What was signed is a MIME entity, or (against the standard) the report itself. */
static enum tap_rc signed_content(struct unpack *u, const struct tap_buf *b, const char *name,
				  unsigned depth, struct tap_err *err)
{
	/* A buffer that got nothing has no bytes to point at. */
	const unsigned char *p =
	    b->len > 0 ? (const unsigned char *)b->p : (const unsigned char *)"";
	size_t n = b->len < TAP_SNIFF_BYTES ? b->len : TAP_SNIFF_BYTES;
	struct tap_source mem;
	struct tap_range range;

	tap_source_mem(&mem, p, b->len);
	if (tap_sniff(p, n, true) != TAP_CONTENT_MAIL) {
		tap_range_init(&range, &mem, 0, b->len);
		return unpack_stream(u, &range.base, &mem, name, depth + 1, err);
	}
	return walk_inside(u, &mem, tap_sniff_mail_start(p, n), name, err);
}

static enum tap_rc read_pkcs7(struct unpack *u, const struct tap_buf *b, const char *name,
			      unsigned depth, struct tap_err *err)
{
	struct tap_err e = {0};
	struct tap_buf content;
	enum tap_pkcs7 kind = TAP_PKCS7_OTHER;
	enum tap_rc rc;

	tap_buf_init(&content, b->len + 1);
	if (unpack_holds_too_much(u, b->len))
		rc = tap_err_set(&e, TAP_E_LIMIT,
				 "S/MIME inside of others, which together are too large (limit "
				 "message_bytes)");
	else
		rc = tap_pkcs7_read(b->p, b->len, &kind, &content, &e);
	u->w->held += content.cap;
	if (rc != TAP_OK)
		unpack_broken(u, name, e.msg);
	else if (kind == TAP_PKCS7_SIGNED)
		rc = signed_content(u, &content, name, depth, err);
	else if (kind == TAP_PKCS7_ENCRYPTED)
		unpack_say(u, name, "S/MIME that is encrypted cannot be read");
	else if (kind == TAP_PKCS7_DETACHED)
		unpack_say(u, name, "an S/MIME signature, not a report");
	else
		unpack_say(u, name, "S/MIME that is neither signed nor encrypted is not read");
	unpack_let_go(u, &content);
	return unpack_of_the_input(rc) ? TAP_OK : rc;
}

enum tap_rc unpack_pkcs7(struct unpack *u, struct tap_stream *s, const char *name, unsigned depth,
			 struct tap_err *err)
{
	struct tap_err e = {0};
	struct tap_buf held;
	enum tap_rc rc;

	u->res->packed = true;
	tap_buf_init(&held, 1);
	rc = unpack_hold(u, s, "S/MIME", &held, &e);
	if (rc == TAP_OK)
		rc = read_pkcs7(u, &held, name, depth, err);
	else if (unpack_of_the_input(rc))
		unpack_broken(u, name, e.msg);
	else if (err)
		*err = e;
	unpack_let_go(u, &held);
	return unpack_of_the_input(rc) ? TAP_OK : rc;
}

/* ---- Outlook ---- */

static enum tap_rc walk_outlook(struct unpack *u, const struct tap_source *src, const char *name,
				unsigned depth, struct tap_err *err)
{
	struct tap_mime_result m;
	struct aside a;
	enum tap_rc rc;

	memset(&m, 0, sizeof m);
	set_aside(u->w, &a);
	/* Only a file that is the input itself is the outermost message. */
	rc = tap_outlook_walk(u->w, src, depth > 0 ? a.depth + 1 : a.depth, &m, err);
	put_back(u->w, &a);
	if (rc == TAP_OK)
		merge(u, name, &m);
	return rc;
}

enum tap_rc unpack_outlook(struct unpack *u, struct tap_stream *s, const struct tap_source *direct,
			   const char *name, unsigned depth, struct tap_err *err)
{
	struct tap_err e = {0};
	struct tap_source mem;
	struct tap_buf held;
	enum tap_rc rc;

	u->res->packed = true;
	if (direct && direct->mem)
		return walk_outlook(u, direct, name, depth, err);
	tap_buf_init(&held, 1);
	rc = unpack_hold(u, s, "Outlook file", &held, &e);
	if (rc == TAP_OK) {
		tap_source_mem(&mem, held.p, held.len);
		rc = walk_outlook(u, &mem, name, depth, err);
	} else if (unpack_of_the_input(rc)) {
		unpack_broken(u, name, e.msg);
		rc = TAP_OK;
	} else if (err) {
		*err = e;
	}
	unpack_let_go(u, &held);
	return rc;
}
