/* SPDX-License-Identifier: Apache-2.0
 * daemon/remail.h - a mail made of what the store keeps of one: its header block and one of its payloads, to be parsed again.
 * What the header says of trust stands there unchanged, doubts included: what began with a blank line does so again. Only fields that
 * describe the body are replaced (RFC 2045). Linear in the header. Pure. Threads: safe. */
#ifndef TAP_DAEMON_REMAIL_H
#define TAP_DAEMON_REMAIL_H

#include "base/buf.h"
#include <stddef.h>

/* Appends what stands before the payload, which follows as it is. Nothing when the header block is none of a mail: then the payload is
 * the whole input, and what another kind of mail (an Outlook file) said of itself cannot be told from it. filename: a hint, "" = none. */
void tap_remail_head(const void *headers, size_t n, const char *filename, struct tap_buf *out);

#endif
