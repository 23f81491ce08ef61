/* SPDX-License-Identifier: Apache-2.0
 * parser/xml_input.h - from the bytes of an XML document to UTF-8 text without a declaration: byte order mark, white space in
 * front, declared encoding. The decoders are our own, because those of the C library open files [I8]: UTF-8, UTF-16, ISO-8859-1,
 * -2, -15, windows-1250, -1251, -1252. What else is declared is read as UTF-8, and bytes that are no UTF-8 as windows-1252.
 * Threads: one user at a time. XML 1.0 section 4.3.3 and appendix F. */
#ifndef TAP_PARSER_XML_INPUT_H
#define TAP_PARSER_XML_INPUT_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TAP_XML_HEAD = 4096
}; /* bytes that tap_xml_input_start wants to see, unless the document is shorter */

struct tap_xml_input {
	size_t skip; /* bytes in front that are not text: mark, white space, declaration       */
	bool
	    odd_declaration; /* white space in front, repeated, or another version than 1.0            */
	bool
	    unknown_encoding; /* declared, and not one of ours                                         */
	bool
	    declared_utf8; /* declared or marked UTF-8: bytes that are none are not windows-1252    */
	bool decode; /* text must pass tap_xml_input_decode; else it is UTF-8 as it stands    */
	/* the decoder */
	const uint16_t *table;
	bool big_endian;
	unsigned char carry[4];
	unsigned n_carry;
};

void tap_xml_input_start(struct tap_xml_input *in, const unsigned char *p, size_t n);
/* Appends the n bytes as UTF-8 to out, which needs room for 3n + 8 more. */
void tap_xml_input_decode(struct tap_xml_input *in, const unsigned char *p, size_t n,
			  struct tap_buf *out);

#endif
