/* SPDX-License-Identifier: Apache-2.0
 * parser/xml_repair.h - makes well-formed XML of what reporters send as XML: a filter in front of libxml2, used only when the
 * strict reading has failed. What comes out has balanced tags, sound attributes, no declaration, comments or DOCTYPE, and text
 * without control characters or bytes that are no UTF-8.
 * It knows the elements of a report: `<` and `&` that begin nothing sensible are text ("<a@b>", "AT&T"); a tag that is not ours
 * inside of an element of text is text too; a missing end tag is supplied when the next one shows that it is missing; end tags
 * without a start are dropped. A record or report whose end had to be supplied is marked by the instruction <?tap-cut?>.
 * Input in pieces of any size. Limits [I7]: one tag 128 KiB, 64 attributes, depth as given; beyond it refuses.
 * Threads: one user at a time. */
#ifndef TAP_PARSER_XML_REPAIR_H
#define TAP_PARSER_XML_REPAIR_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>

enum {
	TAP_REPAIR_CONTROL = 1,
	TAP_REPAIR_UTF8 = 2,
	TAP_REPAIR_ESCAPED = 4,
	TAP_REPAIR_TAGS = 8,
	TAP_REPAIR_OUTSIDE = 16, /* text outside of all elements */
	TAP_REPAIR_DOCTYPE = 32,
};
enum { TAP_XML_TOKEN = 128 * 1024, TAP_XML_ATTRIBUTES = 64 };
#define TAP_REPAIR_MARK "tap-cut"

struct tap_xml_repair;

/* latin: bytes that are no UTF-8 are windows-1252 (else they become U+FFFD). depth: most elements open at once. */
struct tap_xml_repair *tap_xml_repair_new(bool latin, unsigned depth);
void tap_xml_repair_free(struct tap_xml_repair **r); /* NULL-safe, sets NULL */
/* Appends to out. False: refused; *why_r is a static text. */
bool tap_xml_repair_feed(struct tap_xml_repair *r, const char *p, size_t n, struct tap_buf *out,
			 const char **why_r) TAP_MUST_CHECK;
unsigned tap_xml_repair_notes(const struct tap_xml_repair *r);

#endif
