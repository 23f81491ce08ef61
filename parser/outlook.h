/* SPDX-License-Identifier: Apache-2.0
 * parser/outlook.h - an Outlook message file (.msg, OLE2) → the parts that a mail of the same content would have, through libgsf.
 * Inside of parser/ only. Limits [I7]: message_bytes, mime_parts, mime_depth (messages attached to messages), total_bytes.
 * Threads: one user at a time. Nothing is opened: the bytes come from the source. */
#ifndef TAP_PARSER_OUTLOOK_H
#define TAP_PARSER_OUTLOOK_H

#include "base/source.h"
#include "parser/mime.h"

/* Starts libgsf. Idempotent; part of tap_parser_global_init. */
void tap_outlook_init(void);
/* src: the whole file, in memory. Attachments go to tap_unpack, attached messages and the transport header are read as mail. TAP_OK whatever is
 * wrong with the file. */
enum tap_rc tap_outlook_walk(struct tap_work *w, const struct tap_source *src, uint32_t depth,
			     struct tap_mime_result *res, struct tap_err *err) TAP_MUST_CHECK;

#endif
