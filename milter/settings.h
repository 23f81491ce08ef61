/* SPDX-License-Identifier: Apache-2.0
 * milter/settings.h - the section "milter" of the configuration file.
 * Ownership: strings belong to struct tap_settings. Threads: read-only after load. */
#ifndef TAP_MILTER_SETTINGS_H
#define TAP_MILTER_SETTINGS_H

#include "base/settings.h"
#include <sys/types.h>

struct tap_milter_settings {
	char *socket;	   /* "unix:/path" or "inet:PORT@HOST", as libmilter reads it */
	char *socket_mode; /* octal */
	char *user;	   /* NULL = stay who we are */
};
extern const struct tap_section tap_milter_section;

/* The mode as a number; the section's check has seen to it that it is one. */
mode_t tap_milter_socket_mode(const struct tap_milter_settings *set);
/* The path of a unix socket in libmilter's syntax, NULL for other kinds. */
const char *tap_milter_unix_path(const char *socket);
/* TAP_E_CONFIG when socket is in no form that libmilter takes; names the right one for Postfix's "inet:HOST:PORT". */
enum tap_rc tap_milter_check_socket(const char *socket, struct tap_err *err) TAP_MUST_CHECK;

#endif
