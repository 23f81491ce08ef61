/* SPDX-License-Identifier: Apache-2.0
 * intake/forward.h - a mail that is no report goes on to a person, through the program that the mail server has for that.
 * The program gets `-i -f SENDER -- ADDRESS`, the message on its standard input with our header in front (and without any that came
 * along), lines that end with LF, an environment of nothing but PATH and LC_ALL, no descriptor of ours, and the user and group that
 * called us. It has taken the message when it read all of it and exits with 0.
 * A message that carries our header of an earlier forward has come back: it must not be sent round again.
 * Limits [I7]: header block of TAP_FORWARD_HEADER bytes (what is beyond is passed as it is), the caller's time.
 * Errors: TAP_E_TEMP with what the program said. Fault point: intake.forward.
 * Threads: safe; each call has its own process. The process must not have given up new privileges (no_new_privs): sendmail(1) needs
 * its set-group-id bit. */
#ifndef TAP_INTAKE_FORWARD_H
#define TAP_INTAKE_FORWARD_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAP_FORWARD_HEADER = 1 << 20 };

struct tap_forward {
	const char *program; /* reports.sendmail */
	const char *sender;  /* NULL, "", or what no argument should hold: the null sender */
	const char *address;
	const char *fate, *why; /* for the header; why may be "" */
	int64_t timeout_ms;
	int fd; /* the message lies here */
	uint64_t off, len;
};
enum tap_rc tap_forward_send(const struct tap_forward *f, bool *looped_r,
			     struct tap_err *err) TAP_MUST_CHECK;

/* The header block (all of p) as it goes on: no header of ours, LF alone. True: one of them was that of a forward. */
bool tap_forward_header(const char *p, size_t n, struct tap_buf *out);
/* Bytes of p up to and without the empty line that ends the header block; n when there is none. */
size_t tap_forward_header_end(const char *p, size_t n);

#endif
