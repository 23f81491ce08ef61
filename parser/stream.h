/* SPDX-License-Identifier: Apache-2.0
 * parser/stream.h - bytes that are pulled, and can be pulled again from the start: what the layers around a report (transfer
 * encoding, gzip, zip) are built of. Inside of parser/ only.
 * Ownership: a layer borrows the one below it. Threads: one user at a time.
 * Errors of read: TAP_E_DATA = damaged here, the bytes given so far count; TAP_E_LIMIT = a limit was hit; every other class
 * ends the whole reading. A failed read may be tried again and fails again. */
#ifndef TAP_PARSER_STREAM_H
#define TAP_PARSER_STREAM_H

#include "base/err.h"
#include "base/source.h"
#include <stddef.h>
#include <stdint.h>

struct tap_stream {
	enum tap_rc (*rewind)(struct tap_stream *s, struct tap_err *err);
	/* 1 … n bytes; *got_r = 0 only at the end. */
	enum tap_rc (*read)(struct tap_stream *s, void *buf, size_t n, size_t *got_r,
			    struct tap_err *err);
};

/* The bytes from … to (excluded) of a source, as they are. */
struct tap_range {
	struct tap_stream base;
	const struct tap_source *src;
	uint64_t from, to, at;
};
void tap_range_init(struct tap_range *r, const struct tap_source *src, uint64_t from, uint64_t to);

/* The same bytes as a source of their own. */
struct tap_subsource {
	struct tap_source base;
	const struct tap_source *src;
	uint64_t from;
};
void tap_subsource_init(struct tap_subsource *s, const struct tap_source *src, uint64_t from,
			uint64_t to);

/* Reads until n bytes are there or the end or an error comes; *got_r counts what came, also with an error. */
enum tap_rc tap_stream_fill(struct tap_stream *s, void *buf, size_t n, size_t *got_r,
			    struct tap_err *err) TAP_MUST_CHECK;

#endif
