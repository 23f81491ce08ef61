/* SPDX-License-Identifier: Apache-2.0
 * outputs/arc_comment.h - the comment of an override reason when it tells of a chain of ARC seals:
 *   arc=pass as[2].d=d2.example as[2].s=s1 as[1].d=d1.example as[1].s=s2 remote-ip[1]=2001:db8::1
 * RFC 8617 section 7.2.2. Read from the text whenever somebody wants it; the report keeps the comment as it was sent.
 * Ownership: no pointers. Limits: 50 instances (RFC 8617), longer values are left out. Threads: safe, no state. */
#ifndef TAP_OUTPUTS_ARC_COMMENT_H
#define TAP_OUTPUTS_ARC_COMMENT_H

#include <stdbool.h>
#include <stddef.h>

enum { TAP_ARC_SEALS = 50, TAP_ARC_DOMAIN = 254, TAP_ARC_SELECTOR = 128, TAP_ARC_IP = 46 };

struct tap_arc_seal {
	unsigned instance;	     /* 1 … 50 */
	char domain[TAP_ARC_DOMAIN]; /* lower case; "" = not told, as the others */
	char selector[TAP_ARC_SELECTOR];
	char remote_ip[TAP_ARC_IP]; /* canonical */
};
struct tap_arc_comment {
	const char *result; /* static: "pass", "fail" or "none" */
	size_t n_seals;
	struct tap_arc_seal seals[TAP_ARC_SEALS]; /* in the order of their instances */
};

/* False: the comment (NULL allowed) does not begin to speak of ARC. */
bool tap_arc_comment_read(const char *comment, struct tap_arc_comment *out);

#endif
