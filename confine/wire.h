/* SPDX-License-Identifier: Apache-2.0
 * confine/wire.h - what pool and parser process say to each other besides frames (private to confine/).
 * The process greets once, when its jail is shut: struct tap_wire_hello. Then, for each message: one request with the descriptor
 * of the message beside it (SCM_RIGHTS), followed by name_len bytes of file name; the answer is frames, the last of them a result.
 * Both ends are one machine and one installation, so numbers are in its own order; TAP_WIRE_VERSION rises with any change here
 * or in the frames, so that a pool that outlived an upgrade sees it. */
#ifndef TAP_CONFINE_WIRE_H
#define TAP_CONFINE_WIRE_H

#include <stdint.h>

enum {
	TAP_WIRE_FD = 3, /* the socket, in the process */
	TAP_WIRE_VERSION = 3,
	TAP_WIRE_MAGIC = 0x50415444, /* "DTAP" */
	TAP_WIRE_NAME_MAX = 1024,
	/* Of the program: its name, memory (bytes), processor time of one message (ms) and of all (s), whether to confine itself; then
	 * the rules of trust. */
	TAP_WIRE_ARGS = 5,
};

struct tap_wire_hello {
	uint32_t magic, version;
	uint32_t ok; /* 0: it cannot work, text says why */
	uint32_t
	    confined;	/* 0: it was told not to confine itself; else 1 + the version of Landlock */
	char text[240]; /* NUL-terminated */
};

enum { TAP_WIRE_FRAMES = 1, TAP_WIRE_PAYLOAD = 2 };

struct tap_wire_request {
	uint32_t magic, flags;
	uint64_t off, len;
	int64_t now;
	uint32_t name_len; /* TAP_WIRE_NAME_NONE: no name is known */
	uint32_t zero;
};
#define TAP_WIRE_NAME_NONE UINT32_C(0xffffffff)

_Static_assert(sizeof(struct tap_wire_hello) == 256, "no padding");
_Static_assert(sizeof(struct tap_wire_request) == 40, "no padding");

#endif
