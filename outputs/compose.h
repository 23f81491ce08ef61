/* SPDX-License-Identifier: Apache-2.0
 * outputs/compose.h - writes one mail: header, a text part, an HTML part beside it if there is one, one attachment if there is one. Private to
 * outputs/. Nothing that is handed over can end a header line or open another: control characters are refused, everything that is not plain
 * ASCII is encoded (RFC 2047 in names and the subject, RFC 2231 in the attachment's name), texts are quoted-printable, the attachment base64.
 * No line is longer than 78 octets; line ends are CRLF. RFC 5322, 2045-2047, 2231, 3834 (Auto-Submitted).
 * Ownership: nothing is kept. Limits [I7]: TAP_MAIL_NAME, TAP_MAIL_ADDRESS; the buffer's maximum. Threads: safe. */
#ifndef TAP_OUTPUTS_COMPOSE_H
#define TAP_OUTPUTS_COMPOSE_H

#include "base/buf.h"
#include "base/settings.h"
#include <stddef.h>
#include <stdint.h>

enum {
	TAP_MAIL_ADDRESS = 254, /* of the address alone, RFC 5321 section 4.5.3.1 */
	TAP_MAIL_NAME = 400,	/* bytes of a display name, the subject, a file name */
	TAP_MAIL_LIST = 100	/* recipients in one list */
};

/* "Reports <reports@example.org>" or "reports@example.org". TAP_E_CONFIG: it is neither; control characters, other than UTF-8, or letters
 * beyond ASCII in the address itself (a domain is written as "xn--…"). addr_r: the address alone; name_r: the name, "" = none. */
enum tap_rc tap_mail_address(const char *s, char name_r[TAP_MAIL_NAME + 1],
			     char addr_r[TAP_MAIL_ADDRESS + 1], struct tap_err *err) TAP_MUST_CHECK;
/* A text that may stand in a header: UTF-8, no control character, not too long. TAP_E_CONFIG names `what`. */
enum tap_rc tap_mail_line_check(const char *what, const char *s,
				struct tap_err *err) TAP_MUST_CHECK;

struct tap_mail {
	const char *from;		/* as tap_mail_address takes it */
	const struct tap_list *to, *cc; /* likewise; NULL or empty = none */
	const char *subject;
	const char *message_id; /* without angle brackets: ASCII without blanks */
	int64_t date;		/* seconds since the epoch */
	const char *text;	/* UTF-8, any line ends */
	const char *html;	/* NULL = none */
	const char *file;	/* name of the attachment; NULL = none */
	const char *type;	/* "application/zip" */
	const void *bytes;
	size_t len;
};
/* Appends the mail. TAP_E_CONFIG: a value that cannot stand where it belongs; TAP_E_LIMIT: the buffer's maximum. */
enum tap_rc tap_mail_compose(const struct tap_mail *m, struct tap_buf *out,
			     struct tap_err *err) TAP_MUST_CHECK;

#endif
