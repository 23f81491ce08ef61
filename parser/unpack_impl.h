/* SPDX-License-Identifier: Apache-2.0
 * parser/unpack_impl.h - what the files of unpacking share: unpack.c (what is it, documents, payload), unpack_archive.c (gzip, zip,
 * tar), unpack_mail.c (mails, S/MIME, Outlook). Included by these files only. */
#ifndef TAP_PARSER_UNPACK_IMPL_H
#define TAP_PARSER_UNPACK_IMPL_H

#include "base/buf.h"
#include "parser/inflate.h"
#include "parser/sniff.h"
#include "parser/unpack.h"

/* A document for its reader: the first bytes, which were looked at already, and then the stream. */
struct front {
	struct unpack *u;
	struct tap_work *work;
	struct tap_stream *s;
	struct tap_document *doc; /* NULL: not read as a document */
	uint64_t given;
	size_t pos, len; /* of head */
	bool head_only;	 /* nothing but head was taken from s since its start */
	enum tap_rc rc;	 /* what stands behind head, when it was short */
	struct tap_err err;
	unsigned char head[TAP_SNIFF_BYTES];
};

struct unpack {
	struct tap_work *w;
	const struct tap_container *c;
	struct tap_container_result *res;
	unsigned inflating; /* bit n: level n of the nesting is gzip or zlib */
	bool scanned;	    /* the members of the zip archive are found without its directory */
	bool own; /* a report stood in this container itself, not in a mail inside of it */
};

/* Is this an error of the bytes (which the result tells), or one that ends everything? */
static inline bool unpack_of_the_input(enum tap_rc rc)
{
	return rc == TAP_E_DATA || rc == TAP_E_LIMIT;
}
void unpack_say(struct unpack *u, const char *name, const char *what);
void unpack_broken(struct unpack *u, const char *name, const char *what);
/* Not TAP_OK: said already. */
enum tap_rc unpack_too_deep(struct unpack *u, const char *name, unsigned depth);

/* s, from its start; direct: the same bytes at any offset, or NULL. */
enum tap_rc unpack_stream(struct unpack *u, struct tap_stream *s, const struct tap_source *direct,
			  const char *name, unsigned depth, struct tap_err *err);

/* ---- unpack_archive.c ---- */

enum tap_rc unpack_deflated(struct unpack *u, struct tap_stream *s, enum tap_packing packing,
			    const char *name, unsigned depth, struct tap_err *err);
enum tap_rc unpack_zip(struct unpack *u, struct tap_stream *s, const struct tap_source *direct,
		       const char *name, unsigned depth, struct tap_err *err);
/* An archive behind something else (the program of a self-extractor). *found_r false: there is none, and nothing was said. */
enum tap_rc unpack_zip_behind(struct unpack *u, struct tap_stream *s,
			      const struct tap_source *direct, const char *name, unsigned depth,
			      bool *found_r, struct tap_err *err);
enum tap_rc unpack_tar(struct unpack *u, struct tap_stream *s, const char *name, unsigned depth,
		       struct tap_err *err);
/* What may be in memory at once of containers inside of one another. */
static inline bool unpack_holds_too_much(const struct unpack *u, uint64_t more)
{
	enum { TIMES = 4 };

	return u->w->held + more > u->w->lim->message_bytes * TIMES;
}
/* The whole stream in memory, never more than a message may have: counted in one pass, kept in another. what: for messages.
 * It ends with unpack_let_go, whatever is returned. */
enum tap_rc unpack_hold(struct unpack *u, struct tap_stream *s, const char *what, struct tap_buf *b,
			struct tap_err *err);
void unpack_let_go(struct unpack *u, struct tap_buf *b);

/* ---- unpack_mail.c ---- */

/* Does a mail begin here, saved or forwarded as a file? */
bool unpack_is_message(const struct unpack *u, const struct front *f, unsigned depth);
enum tap_rc unpack_message(struct unpack *u, struct tap_stream *s, const struct tap_source *direct,
			   const char *name, struct tap_err *err);

enum tap_rc unpack_pkcs7(struct unpack *u, struct tap_stream *s, const char *name, unsigned depth,
			 struct tap_err *err);
enum tap_rc unpack_outlook(struct unpack *u, struct tap_stream *s, const struct tap_source *direct,
			   const char *name, unsigned depth, struct tap_err *err);

#endif
