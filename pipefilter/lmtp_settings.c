/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_settings.c - rows and rules of the section "lmtp". */
#include "pipefilter/lmtp_settings.h"

#include "pipefilter/lmtp_networks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* clang-format off */
static const struct tap_setting table[] = {
    TAP_ROW_LIST("listen", tap_lmtp_settings, listen, 0, "unix:/run/dmarctap/lmtp.sock",
		 "Where the mail server reaches the door: \"unix:/path\", \"HOST:PORT\" or \"[IPv6]:PORT\"; one or several."),
    TAP_ROW_STR("socket_mode", tap_lmtp_settings, socket_mode, 0, "0660",
		"Mode of a unix socket, octal. Who may write to it may deliver."),
    TAP_ROW_STR("socket_group", tap_lmtp_settings, socket_group, 0, NULL,
		"Group of a unix socket: that of the mail server. The door must be a member of it (or started by root)."),
    TAP_ROW_LIST("allow", tap_lmtp_settings, allow, 0, "127.0.0.0/8, ::1/128",
		 "Networks whose clients may connect over TCP; all others are closed on without a word."),
    TAP_ROW_STR("hostname", tap_lmtp_settings, hostname, 0, NULL,
		"Name in the greeting. Default: the host's name."),
    TAP_ROW_STR("user", tap_lmtp_settings, user, 0, NULL,
		"The user that the door becomes when root starts it. Under systemd, set User= instead."),
    TAP_ROW_INT("max_sessions", tap_lmtp_settings, max_sessions, 0, "100", 1, 10000,
		"Sessions at a time; one more is answered with 421."),
    TAP_ROW_INT("max_sessions_per_client", tap_lmtp_settings, max_client, 0, "50", 1, 10000,
		"Sessions at a time from one address over TCP; one more is answered with 421."),
    TAP_ROW_INT("max_recipients", tap_lmtp_settings, max_recipients, 0, "1000", 1, 1000,
		"Recipients of one message; further ones are told to come again."),
    TAP_ROW_SIZE("max_line", tap_lmtp_settings, max_line, 0, "4096", 512, 65536,
		 "Bytes of a command line. Lines of messages may have any length."),
    TAP_ROW_INT("max_errors", tap_lmtp_settings, max_errors, 0, "100", 1, 1000000,
		"Wrong commands after which a session is closed with 421."),
    TAP_ROW_TIME("command_timeout", tap_lmtp_settings, command_timeout, 0, "5m", 100, 86400000,
		 "Time for one whole command, from the answer before it to its end."),
    TAP_ROW_TIME("data_timeout", tap_lmtp_settings, data_timeout, 0, "3m", 100, 86400000,
		 "Time in which some bytes of a message must come."),
    TAP_ROW_TIME("message_timeout", tap_lmtp_settings, message_timeout, 0, "15m", 100, 86400000,
		 "Time for one whole message, from DATA to its last dot."),
    TAP_ROW_TIME("drain", tap_lmtp_settings, drain, 0, "20s", 0, 600000,
		 "How long a stop waits for messages under way. What is not done by then stays with the mail server."),
    {.name = NULL},
};
/* clang-format on */

mode_t tap_lmtp_socket_mode(const struct tap_lmtp_settings *set)
{
	return (mode_t)strtol(set->socket_mode, NULL, 8);
}

const char *tap_lmtp_unix_path(const char *socket)
{
	return strncmp(socket, "unix:", 5) == 0 ? socket + 5 : NULL;
}

enum tap_rc tap_lmtp_check_socket(const char *socket, struct tap_err *err)
{
	const char *path = tap_lmtp_unix_path(socket), *port;
	struct sockaddr_un a;
	long n;

	if (path && path[0] != '/')
		return tap_err_set(err, TAP_E_CONFIG, "listen: \"%s\" is no absolute path", socket);
	if (path && strlen(path) >= sizeof(a.sun_path))
		return tap_err_set(err, TAP_E_CONFIG, "listen: the path has more than %zu bytes",
				   sizeof(a.sun_path) - 1);
	if (path)
		return TAP_OK;
	port = strrchr(socket, ':');
	if (!port || port == socket || port[1] == '\0' || strlen(port + 1) > 5 ||
	    strspn(port + 1, "0123456789") != strlen(port + 1))
		return tap_err_set(err, TAP_E_CONFIG,
				   "listen: \"%s\" is neither unix:/path nor HOST:PORT", socket);
	n = strtol(port + 1, NULL, 10);
	if (n < 1 || n > 65535)
		return tap_err_set(err, TAP_E_CONFIG, "listen: \"%s\": no such port", socket);
	if (n == 25)
		return tap_err_set(
		    err, TAP_E_CONFIG,
		    "listen: \"%s\": port 25 is for SMTP, and LMTP is forbidden on it (RFC 2033); "
		    "Postfix takes 24 where none is written",
		    socket);
	return TAP_OK;
}

static enum tap_rc check(const void *p, struct tap_err *err)
{
	const struct tap_lmtp_settings *set = p;
	size_t n = strlen(set->socket_mode);
	enum tap_rc rc = TAP_OK;

	if (n < 3 || n > 4 || strspn(set->socket_mode, "01234567") != n ||
	    strtol(set->socket_mode, NULL, 8) > 0777)
		return tap_err_set(err, TAP_E_CONFIG,
				   "socket_mode: \"%s\" is no octal mode such as 0660",
				   set->socket_mode);
	if (set->listen.n == 0)
		return tap_err_set(err, TAP_E_CONFIG, "listen: at least one socket is needed");
	for (size_t i = 0; !rc && i < set->listen.n; i++)
		rc = tap_lmtp_check_socket(set->listen.item[i], err);
	if (!rc)
		rc = tap_networks_check(&set->allow, err);
	return rc;
}

const struct tap_section tap_lmtp_section = {
    .name = "lmtp",
    .doc = "dmarctap-lmtp: where it listens, who may connect, its limits.",
    .table = table,
    .struct_size = sizeof(struct tap_lmtp_settings),
    .check = check,
};
