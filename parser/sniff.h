/* SPDX-License-Identifier: Apache-2.0
 * parser/sniff.h - what some bytes are, decided by their beginning and never by a name, and what names and subjects claim.
 * Pure functions. Threads: safe. RFC 7489 section 7.2.1.1, RFC 9990 section 3.5.2 (file names, subjects). */
#ifndef TAP_PARSER_SNIFF_H
#define TAP_PARSER_SNIFF_H

#include <stdbool.h>
#include <stddef.h>

enum tap_content {
	TAP_CONTENT_OTHER, /* nothing that we know                                     */
	TAP_CONTENT_EMPTY, /* no byte, or blanks only                                  */
	TAP_CONTENT_GZIP,
	TAP_CONTENT_ZLIB,
	TAP_CONTENT_ZIP,
	TAP_CONTENT_ZIP_EMPTY, /* an end record alone                                      */
	TAP_CONTENT_XML,
	TAP_CONTENT_HTML,      /* a page for people; never a report                        */
	TAP_CONTENT_TLS_RPT,   /* JSON that has the members of an SMTP TLS report          */
	TAP_CONTENT_JSON,      /* other JSON                                               */
	TAP_CONTENT_MAIL,      /* begins with a header field, or a From_ line before one   */
	TAP_CONTENT_FAILURE,   /* a failure report in the words of Exim and cPanel         */
	TAP_CONTENT_PACKED,    /* an archive of a kind that is not read: tap_content_name  */
	TAP_CONTENT_TLS_UTF16, /* an SMTP TLS report in UTF-16, which JSON must not be  */
	TAP_CONTENT_TAR,       /* by its first header and that one's checksum           */
	TAP_CONTENT_PKCS7,     /* S/MIME: signed, encrypted or compressed as a whole    */
	TAP_CONTENT_OLE2,      /* an Outlook message, or an old office document         */
};

enum { TAP_SNIFF_BYTES = 4096 }; /* as many as the decision may need */

/* mail_too: bytes that begin like a header field are TAP_CONTENT_MAIL; else they are text. */
enum tap_content tap_sniff(const unsigned char *p, size_t n, bool mail_too);
/* "bzip2", "xz", … for TAP_CONTENT_PACKED, by the same bytes; never NULL. */
const char *tap_sniff_packed_name(const unsigned char *p, size_t n);
/* How many different members of an SMTP TLS report's outermost object are named in the text, up to 5. */
unsigned tap_sniff_tls_members(const unsigned char *p, size_t n);
/* Could this be compressed without any header (raw deflate)? Only a trial can tell. */
bool tap_sniff_may_be_deflate(const unsigned char *p, size_t n);
/* Bytes before the first header field of a mail: byte order mark, blank lines. */
size_t tap_sniff_mail_start(const unsigned char *p, size_t n);
/* Is [p, p + n) a header field, up to its colon at least? */
bool tap_sniff_header_line(const char *p, size_t n);
/* receiver "!" domain "!" begin "!" end ["!" id] "." extension; the receiver may be missing. */
bool tap_sniff_report_name(const char *name);
/* "Report Domain: …" in any case, anywhere in the decoded subject. */
bool tap_sniff_report_subject(const char *subject);

#endif
