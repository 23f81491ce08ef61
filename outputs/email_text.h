/* SPDX-License-Identifier: Apache-2.0
 * outputs/email_text.h - the readable part of an email summary, as text and as HTML: for each domain messages and pass rate, who fails SPF
 * and DKIM, and what to do about it. All of it from the items that the mail carries. What strangers wrote (domains, host names) is
 * escaped in HTML and without control characters in text; no remote content, no script, no link.
 * Whose reports count: none about a domain that is not in the configured list; once a report among them is trusted, only trusted ones.
 * Private to outputs/. Limits [I7]: the buffers' maximum; DOMAINS and SOURCES lines, the rest as one number. Threads: safe. */
#ifndef TAP_OUTPUTS_EMAIL_TEXT_H
#define TAP_OUTPUTS_EMAIL_TEXT_H

#include "base/buf.h"
#include <stddef.h>
#include <stdint.h>

/* Items first … first + n - 1 of a batch of email_pack.h. message stands above, NULL = none. */
enum tap_rc tap_email_text(const char *message, const char *bytes, const size_t *ofs, size_t first,
			   size_t n, struct tap_buf *text, struct tap_buf *html,
			   struct tap_err *err) TAP_MUST_CHECK;

#endif
