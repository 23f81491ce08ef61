/* SPDX-License-Identifier: Apache-2.0
 * base/notify.c - one datagram a message; see notify.h. */
#include "base/notify.h"

#include "base/clock.h"
#include "base/io.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MESSAGE = 1024 };

static void send_text(const char *text, size_t n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	/* A path, or with "@" a name without a file. */
	if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, n, MSG_NOSIGNAL, (const struct sockaddr *)(const void *)&to,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/')));
	tap_io_close(&fd);
}

void tap_notify(const char *fmt, ...)
{
	char text[MESSAGE];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		send_text(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void tap_notify_reloading(void)
{
	tap_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)tap_clock_mono_ms() * 1000);
}

int64_t tap_notify_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	if (usec == NULL || (pid != NULL && strtoll(pid, NULL, 10) != (long long)getpid()))
		return 0;
	return strtoll(usec, NULL, 10) / 1000;
}
