/* SPDX-License-Identifier: Apache-2.0
 * confine/frames.h - report events as bytes: what a parser process writes on its socket and what the worker stages.
 * A frame is: u32 length of the body (little endian), u8 type, body. Strings are u32 length + bytes (0xffffffff = NULL).
 * Raw bytes (the sample of a failure report, the payload of an attachment) are written alike, and may hold anything.
 * The decoder treats its input as hostile: every length, count, enum and string (UTF-8, no control characters) is checked.
 * The parser's limits (a sample of 4 MiB, 2 MiB of its text, 3 MiB of attachments, 1 MiB of headers, which may double when they are
 * decoded) leave a failure report below TAP_FRAME_MAX; what is larger all the same is TAP_E_LIMIT in the writer.
 * Threads: none, one user at a time. */
#ifndef TAP_CONFINE_FRAMES_H
#define TAP_CONFINE_FRAMES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "parser/events.h"
#include "parser/parser.h"

enum { TAP_FRAME_HEAD = 5, TAP_FRAME_MAX = 16 << 20 };
enum tap_frame_type {
	TAP_FRAME_BEGIN = 1,
	TAP_FRAME_RECORD,
	TAP_FRAME_END,
	TAP_FRAME_ABORT,
	TAP_FRAME_PAYLOAD,
	TAP_FRAME_FAILURE,
	TAP_FRAME_TLS_POLICY,
	TAP_FRAME_TLS_DETAIL,
	TAP_FRAME_RESULT, /* last frame of an answer: struct tap_parse_result, and the class that tap_parse returned */
};

/* Events → frames appended to out; flush (may be NULL) is called when out holds more than 64 KiB and must empty it. */
struct tap_frame_writer {
	struct tap_buf *out;
	enum tap_rc (*flush)(void *ctx, struct tap_buf *out, struct tap_err *err);
	void *flush_ctx;
};
extern const struct tap_events tap_frame_writer_events; /* ctx = struct tap_frame_writer * */
enum tap_rc tap_frame_write_result(struct tap_frame_writer *w, enum tap_rc rc,
				   const struct tap_parse_result *res,
				   struct tap_err *err) TAP_MUST_CHECK;

/* Frames → events. Feed bytes in any split. Order is checked too: between begin and end/abort
 * only what events.h allows for the kind, and the totals of the end must be right. */
struct tap_frame_reader;
struct tap_frame_reader *tap_frame_reader_new(const struct tap_events *ev, void *ctx);
void tap_frame_reader_free(struct tap_frame_reader **r); /* NULL-safe, sets NULL */
/* TAP_E_DATA: the bytes are not frames of ours. A class that a callback returned otherwise. Input after the result frame is
 * TAP_E_DATA. */
enum tap_rc tap_frame_reader_input(struct tap_frame_reader *r, const void *p, size_t n,
				   struct tap_err *err) TAP_MUST_CHECK;
/* True once the result frame was read; *rc_r = class of the far tap_parse. */
bool tap_frame_reader_result(const struct tap_frame_reader *r, enum tap_rc *rc_r,
			     struct tap_parse_result *res);

#endif
