/* SPDX-License-Identifier: Apache-2.0
 * parser/zip_scan.h - the members of a zip archive whose directory is lost (an upload that was cut off), found by the local
 * headers in front of them. Sizes in those headers are hints: a member never reaches over the next header, and a deflated one
 * ends where its stream ends. Pure but for reading the source.
 * Limits [I7]: each byte is looked at once; the caller counts members. Ownership: borrows the source. Threads: one user at a time.
 * APPNOTE.TXT 4.3.7. */
#ifndef TAP_PARSER_ZIP_SCAN_H
#define TAP_PARSER_ZIP_SCAN_H

#include "parser/unpack.h"

struct tap_zip_scan {
	const struct tap_source *src;
	uint64_t at; /* where the next header is looked for */
};
struct tap_zip_local {
	char name[TAP_NAME_MAX + 1]; /* clean; longer ones are cut */
	bool encrypted;
	unsigned method; /* 0 stored, 8 deflate */
	uint64_t from,
	    to; /* its bytes in the source; more may follow in them when it is deflated */
};
void tap_zip_scan_init(struct tap_zip_scan *s, const struct tap_source *src);
/* *found_r false: no more. An error is one of the source. */
enum tap_rc tap_zip_scan_next(struct tap_zip_scan *s, struct tap_zip_local *m, bool *found_r,
			      struct tap_err *err) TAP_MUST_CHECK;

/* The first header from `at` on; the size of the source when there is none. */
enum tap_rc tap_zip_scan_find(const struct tap_source *src, uint64_t at, uint64_t *at_r,
			      struct tap_err *err) TAP_MUST_CHECK;

#endif
