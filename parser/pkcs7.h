/* SPDX-License-Identifier: Apache-2.0
 * parser/pkcs7.h - what is inside of an S/MIME message that is signed as a whole (application/pkcs7-mime, opaque signing). The
 * signature is not verified: whether the mail is to be believed is what trust.h says.
 * Only as much of BER is read as the way to the content needs: definite and indefinite lengths, octet strings in pieces.
 * Limits [I7]: TAP_PKCS7_DEPTH levels; the content is never longer than the input. Linear time. Pure. Threads: safe.
 * RFC 5652 (CMS), RFC 8551 section 3.5 (S/MIME), X.690. */
#ifndef TAP_PARSER_PKCS7_H
#define TAP_PARSER_PKCS7_H

#include "base/buf.h"
#include "base/err.h"

enum { TAP_PKCS7_DEPTH = 16 };
enum tap_pkcs7 {
	TAP_PKCS7_SIGNED,    /* *content holds what was signed                       */
	TAP_PKCS7_DETACHED,  /* a signature alone; what was signed stands beside it  */
	TAP_PKCS7_ENCRYPTED, /* nobody but its receiver can read it                  */
	TAP_PKCS7_OTHER,     /* compressed, a certificate, …                         */
};
/* content: initialised with a maximum, empty. TAP_E_DATA: the structure is damaged; the message says where. */
enum tap_rc tap_pkcs7_read(const void *p, size_t n, enum tap_pkcs7 *kind_r, struct tap_buf *content,
			   struct tap_err *err) TAP_MUST_CHECK;

#endif
