/* SPDX-License-Identifier: Apache-2.0
 * outputs/smtp.h - hands one mail to a mail server, over libcurl. Private to outputs/. A connection each: mails are hours apart.
 * TLS is verified unless `verify` is off; with STARTTLS a server that does not offer it is refused. All recipients, or none.
 * Secrets never appear in an error; the server's reply does, as printable text.
 * Ownership: settings are borrowed. Limits [I7]: the deadline; the reply's REPLY bytes.
 * Errors by what the server said: TAP_E_TEMP 4xx, 5xx before the mail was begun, no or no proper answer; TAP_E_CANCELLED not in time;
 * TAP_E_LIMIT the mail is too large for it (552, 5.3.4, or its SIZE); TAP_E_DATA any other 5xx to sender, recipient or mail;
 * TAP_E_CONFIG what only an operator can mend: certificate refused, no STARTTLS, login refused or asked for.
 * Threads: safe, each call for itself. RFC 5321, 3207, 4954, 1870. */
#ifndef TAP_OUTPUTS_SMTP_H
#define TAP_OUTPUTS_SMTP_H

#include "base/settings.h"
#include <stdint.h>

enum { TAP_SMTP_STARTTLS, TAP_SMTP_TLS, TAP_SMTP_NO_TLS };
struct tap_smtp_settings {
	char *host, *user, *password, *ca, *helo;
	int64_t port; /* 0 = what belongs to tls: 587, 465, 25 */
	int64_t tls;
	bool verify;
};
enum tap_rc tap_smtp_check(const struct tap_smtp_settings *s, struct tap_err *err) TAP_MUST_CHECK;

struct tap_smtp_mail {
	const char *from;      /* envelope: addresses alone */
	const char *const *to; /* NULL-terminated */
	const char *bytes;
	size_t len;
};
enum tap_rc tap_smtp_send(const struct tap_smtp_settings *s, const struct tap_smtp_mail *mail,
			  int64_t deadline_ms, struct tap_err *err) TAP_MUST_CHECK;

#endif
