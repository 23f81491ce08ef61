/* SPDX-License-Identifier: Apache-2.0
 * parser/failure.h - puts a failure or feedback report together from the parts that the MIME walk found, and emits its events.
 * Inside of parser/ only. Ownership: parts borrow the walk's bytes until tap_failure_emit returns. Threads: one user at a time.
 * Limits [I7]: list, extra, text, long_text, warnings, 2 MiB for what is made of the fields; what is beyond is left out, with a warning.
 * RFC 5965, 6591, 6692, 9991. */
#ifndef TAP_PARSER_FAILURE_H
#define TAP_PARSER_FAILURE_H

#include "parser/authres.h"
#include "parser/document.h"
#include "parser/work.h"
#include <stdbool.h>

/* What stands in a multipart that holds (or announces) a feedback report. Bytes are decoded already. */
struct tap_failure_parts {
	const void *fields; /* the message/feedback-report part; NULL = missing */
	size_t fields_len;
	const void *sample; /* the message, or its header alone; NULL = missing */
	size_t sample_len;
	bool fields_cut, headers_only, sample_cut, sample_damaged;
	const char *human; /* first text part, raw bytes; NULL = none */
	size_t human_len;
	const char *human_charset;
	/* Of the mail that carries the report. */
	const char *date, *message_id, *from; /* values as sent; NULL = absent */
	uint32_t part; /* index of the first feedback part of the mail: where its payload belongs */
	uint32_t document;	  /* 0-based index of the report among those of the mail */
	const char *const *notes; /* what the walk has to say, as warnings */
	size_t n_notes;
};
/* res->verdict, reports, broken and why as for any document; kind (failure or feedback) comes with the events. */
enum tap_rc tap_failure_emit(struct tap_work *w, const struct tap_failure_parts *parts,
			     struct tap_document_result *res, struct tap_err *err) TAP_MUST_CHECK;
/* The same from the words of Exim and cPanel in a text part (decoded, n bytes): no ARF part at all. TAP_DOC_NOT_A_REPORT when it is not that. */
enum tap_rc tap_failure_text_emit(struct tap_work *w, const struct tap_failure_parts *parts,
				  const char *text, size_t n, struct tap_document_result *res,
				  struct tap_err *err) TAP_MUST_CHECK;
/* Do the bytes hold the sentence that such a text begins with? Letter case and line breaks do not matter. */
bool tap_failure_is_text(const char *p, size_t n);

#endif
