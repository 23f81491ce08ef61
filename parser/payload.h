/* SPDX-License-Identifier: Apache-2.0
 * parser/payload.h - the bytes that reports came in, as they are or wrapped into gzip, as payload events (parser/events.h). Inside of parser/ only.
 * Threads: one user at a time. Memory: 128 KiB and zlib's own, while it runs. */
#ifndef TAP_PARSER_PAYLOAD_H
#define TAP_PARSER_PAYLOAD_H

#include "parser/stream.h"
#include "parser/work.h"

/* Both read s from its start; the last event has n = 0. Called only when w->ev->payload is wanted. */
enum tap_rc tap_payload_as_is(struct tap_work *w, struct tap_stream *s, uint32_t part,
			      struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_payload_gzip(struct tap_work *w, struct tap_stream *s, uint32_t part,
			     struct tap_err *err) TAP_MUST_CHECK;

#endif
