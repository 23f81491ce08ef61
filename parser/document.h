/* SPDX-License-Identifier: Apache-2.0
 * parser/document.h - one document (an XML report, decompressed) as the container side hands it to a reader of reports, and
 * what the reader makes of it. Inside of parser/ only.
 * Ownership: the document borrows ctx and the strings of origin; they outlive the reading. Threads: one user at a time.
 * Errors of read: TAP_E_DATA = the container is damaged here (bad CRC, truncated gzip): the bytes given so far count, and the
 * document is read as one that was cut at this place; TAP_E_LIMIT = a limit on bytes or on the ratio was hit: the document is
 * refused; every other class ends the whole reading and is what the reader returns. */
#ifndef TAP_PARSER_DOCUMENT_H
#define TAP_PARSER_DOCUMENT_H

#include "base/err.h"
#include "parser/report.h"
#include <stddef.h>
#include <stdint.h>

struct tap_hints;
struct tap_work;

enum { TAP_DOC_NOTES = 4 };
struct tap_document {
	/* Back to the first byte; called before each pass, the first one included. */
	enum tap_rc (*rewind)(void *ctx, struct tap_err *err);
	/* 1 … n bytes; *got_r = 0 with TAP_OK only at the end. After an error *got_r is 0 and no further read comes before rewind. */
	enum tap_rc (*read)(void *ctx, void *buf, size_t n, size_t *got_r, struct tap_err *err);
	void *ctx;
	struct tap_origin origin;
	const struct tap_hints *hints; /* NULL = none */
	struct tap_work *work; /* for tap_work_judge before begin; NULL = nothing is judged */
	/* What the container has to say that is no damage ("trailing_garbage: …"): static texts, put here with the last byte at
	 * the latest. The reader makes warnings of them. */
	const char *notes[TAP_DOC_NOTES];
	size_t n_notes;
};
/* Adds a note, once. */
void tap_document_note(struct tap_document *doc, const char *text);

enum tap_document_verdict {
	TAP_DOC_REPORT,	      /* `reports` of them were handed over, each with its end           */
	TAP_DOC_NOT_A_REPORT, /* nothing in it claims to be a report                              */
	TAP_DOC_BROKEN,	      /* it claims to be one and was refused; no report of it has its end */
};

struct tap_document_result {
	enum tap_document_verdict verdict;
	uint32_t
	    reports; /* read; more than one when reports follow one another in the document     */
	uint32_t
	    broken;    /* claimed to be one, and refused                                          */
	char why[512]; /* the first reason of a refusal: byte offset, element path, what; or "" */
};

#endif
