/* SPDX-License-Identifier: Apache-2.0
 * confine/frames_body.h - what stands inside of a frame, read as hostile input [I7] (private to confine/).
 * A walk through one body: `bad` sticks and names what was wrong, and every getter is harmless after that. Nothing is allocated by a
 * number that was only claimed: a count is first held against the bytes that are left.
 * Ownership: texts and lists live in the cursor's arena; raw bytes (a sample, a payload) are borrowed from the body.
 * Threads: no state. */
#ifndef TAP_CONFINE_FRAMES_BODY_H
#define TAP_CONFINE_FRAMES_BODY_H

#include "base/arena.h"
#include "base/err.h"
#include "parser/report.h"
#include <stddef.h>

struct tap_frame_cursor {
	const unsigned char *p;
	size_t left;
	struct tap_arena *arena;
	const char *bad;
};

/* Structs are expected zeroed; what they hold is worth nothing when the body turns out bad. */
void tap_frame_get_meta(struct tap_frame_cursor *c, struct tap_meta *m);
void tap_frame_get_record(struct tap_frame_cursor *c, struct tap_record *r);
void tap_frame_get_failure(struct tap_frame_cursor *c, struct tap_failure *f);
void tap_frame_get_policy(struct tap_frame_cursor *c, struct tap_tls_policy *p);
void tap_frame_get_detail(struct tap_frame_cursor *c, struct tap_tls_detail *d);
void tap_frame_get_end(struct tap_frame_cursor *c, struct tap_report_end *e);
void tap_frame_get_why(struct tap_frame_cursor *c, struct tap_err *why); /* of an abort */
uint32_t tap_frame_get_part(struct tap_frame_cursor *c);

/* The body is bad, for this reason unless it was before. */
void tap_frame_spoil(struct tap_frame_cursor *c, const char *what);
/* All of the body must have been used up; TAP_E_DATA names the frame. */
enum tap_rc tap_frame_done(struct tap_frame_cursor *c, const char *frame,
			   struct tap_err *err) TAP_MUST_CHECK;

#endif
