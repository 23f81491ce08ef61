/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_settings.h - the section "lmtp" of the configuration file.
 * Ownership: strings belong to struct tap_settings. Threads: read-only after load. */
#ifndef TAP_PIPEFILTER_LMTP_SETTINGS_H
#define TAP_PIPEFILTER_LMTP_SETTINGS_H

#include "base/settings.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct tap_lmtp_settings {
	struct tap_list listen;	 /* "unix:/path", "HOST:PORT" */
	char *socket_mode;	 /* octal, of unix sockets */
	char *socket_group;	 /* NULL = the group of the program */
	struct tap_list allow;	 /* networks that may connect over TCP */
	char *hostname;		 /* NULL = the system's */
	char *user;		 /* NULL = stay who we are */
	int64_t max_sessions;	 /* at a time */
	int64_t max_client;	 /* of them from one TCP address */
	int64_t max_recipients;	 /* of one message */
	int64_t max_line;	 /* bytes of a command, CR LF included */
	int64_t max_errors;	 /* wrong commands in one session */
	int64_t command_timeout; /* ms for one whole command */
	int64_t data_timeout;	 /* ms without a byte of a message */
	int64_t message_timeout; /* ms for one whole message */
	int64_t drain;		 /* ms that a stop waits for messages under way */
};
extern const struct tap_section tap_lmtp_section;

/* The mode as a number; the section's check has seen to it that it is one. */
mode_t tap_lmtp_socket_mode(const struct tap_lmtp_settings *set);
/* The path of "unix:/path", NULL for TCP. */
const char *tap_lmtp_unix_path(const char *socket);
/* TAP_E_CONFIG when socket is neither unix:/path nor HOST:PORT, or is port 25 (RFC 2033 5 forbids it). */
enum tap_rc tap_lmtp_check_socket(const char *socket, struct tap_err *err) TAP_MUST_CHECK;

#endif
