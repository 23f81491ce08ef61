/* SPDX-License-Identifier: Apache-2.0
 * daemon/sidecar.h - quarantine/<id>.json: why the message quarantine/<id>.tap is there. One JSON object, one key a line, so that people
 * read it as it is and our own reader needs no JSON library.
 * Hostile input: the texts come from mail; the writer escapes all that is no plain text, the reader checks every length.
 * Threads: no shared state. */
#ifndef TAP_DAEMON_SIDECAR_H
#define TAP_DAEMON_SIDECAR_H

#include "base/buf.h"
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct tap_sidecar {
	char id[40];
	int64_t when, arrival;
	char verdict
	    [32]; /* "broken", "not a report", "unreadable", "too large", "conflict", "bad spool file",
		    "unauthenticated", "foreign", "over quota" */
	char door[16];
	char reason[512], sender[1024], queue_id[128], client[128];
	char recipients[4096]; /* one a line; cut when there are many: the .tap has them all */
};

void tap_sidecar_write(const struct tap_sidecar *s, struct tap_buf *out);
/* TAP_E_DATA: this is no sidecar. Fields that are missing stay empty. */
enum tap_rc tap_sidecar_read(const char *p, size_t n, struct tap_sidecar *s,
			     struct tap_err *err) TAP_MUST_CHECK;

#endif
