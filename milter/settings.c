/* SPDX-License-Identifier: Apache-2.0
 * milter/settings.c - rows and rules of the section "milter". */
#include "milter/settings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const struct tap_setting table[] = {
    TAP_ROW_STR("socket", tap_milter_settings, socket, 0, "unix:/run/dmarctap/milter.sock",
		"Where the mail server reaches the milter: \"unix:/path\" or \"inet:PORT@HOST\" "
		"(Postfix writes the "
		"same as unix:/path and inet:HOST:PORT)."),
    TAP_ROW_STR("socket_mode", tap_milter_settings, socket_mode, 0, "0660",
		"Mode of a unix socket, octal. The mail server must be able to write to it: add "
		"its user to the "
		"milter's group."),
    TAP_ROW_STR(
	"user", tap_milter_settings, user, 0, NULL,
	"The user that the milter becomes when root starts it. Under systemd, set User= instead."),
    {.name = NULL},
};

const char *tap_milter_unix_path(const char *socket)
{
	if (strncmp(socket, "unix:", 5) == 0)
		return socket + 5;
	if (strncmp(socket, "local:", 6) == 0)
		return socket + 6;
	return NULL;
}

enum tap_rc tap_milter_check_socket(const char *socket, struct tap_err *err)
{
	const char *path = tap_milter_unix_path(socket), *spec, *end;
	struct sockaddr_un a;
	size_t digits;

	if (path) {
		if (path[0] != '/')
			return tap_err_set(err, TAP_E_CONFIG, "socket: \"%s\" is no absolute path",
					   socket);
		if (strlen(path) >= sizeof(a.sun_path))
			return tap_err_set(err, TAP_E_CONFIG,
					   "socket: the path has more than %zu bytes",
					   sizeof(a.sun_path) - 1);
		return TAP_OK;
	}
	if (strncmp(socket, "inet:", 5) != 0 && strncmp(socket, "inet6:", 6) != 0)
		return tap_err_set(err, TAP_E_CONFIG,
				   "socket: \"%s\" is neither unix:/path nor inet:PORT@HOST",
				   socket);
	spec = strchr(socket, ':') + 1;
	digits = strspn(spec, "0123456789");
	end = spec + digits;
	if (digits == 0 || digits > 5 || strtol(spec, NULL, 10) < 1 ||
	    strtol(spec, NULL, 10) > 65535 || (*end != '\0' && (*end != '@' || end[1] == '\0')))
		return tap_err_set(
		    err, TAP_E_CONFIG,
		    "socket: \"%s\" must be written inet:PORT@HOST (inet:HOST:PORT is "
		    "Postfix's form of it)",
		    socket);
	return TAP_OK;
}

mode_t tap_milter_socket_mode(const struct tap_milter_settings *set)
{
	return (mode_t)strtol(set->socket_mode, NULL, 8);
}

static enum tap_rc check(const void *p, struct tap_err *err)
{
	const struct tap_milter_settings *set = p;
	size_t n = strlen(set->socket_mode);

	if (n < 3 || n > 4 || strspn(set->socket_mode, "01234567") != n ||
	    strtol(set->socket_mode, NULL, 8) > 0777)
		return tap_err_set(err, TAP_E_CONFIG,
				   "socket_mode: \"%s\" is no octal mode such as 0660",
				   set->socket_mode);
	return tap_milter_check_socket(set->socket, err);
}

const struct tap_section tap_milter_section = {
    .name = "milter",
    .doc = "dmarctap-milter: where it listens.",
    .table = table,
    .struct_size = sizeof(struct tap_milter_settings),
    .check = check,
};
