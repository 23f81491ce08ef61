/* SPDX-License-Identifier: Apache-2.0
 * base/net.c - see net.h. */
#include "base/net.h"

#include "base/io.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { HOST_LEN = 256, PORT_LEN = 32 };

static enum tap_rc unix_address(const char *path, struct sockaddr_un *a, struct tap_err *err)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strncmp(path, "unix:", 5) == 0)
		path += 5;
	size_t n = strlen(path);
	if (n == 0)
		return tap_err_set(err, TAP_E_CONFIG, "a socket needs a path");
	if (n >= sizeof a->sun_path)
		return tap_err_set(err, TAP_E_CONFIG, "the socket path %s is longer than %zu bytes",
				   path, sizeof a->sun_path - 1);
	memcpy(a->sun_path, path, n + 1);
	return TAP_OK;
}

static enum tap_rc new_unix(int *fd_r, struct tap_err *err)
{
	*fd_r = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd_r < 0)
		return tap_err_sys(err, TAP_E_TEMP, errno, "cannot make a socket");
	return TAP_OK;
}

static int connect_again(int fd, const struct sockaddr *a, socklen_t n)
{
	int r;

	do {
		r = connect(fd, a, n);
	} while (r != 0 && errno == EINTR);
	return r == 0 ? 0 : errno;
}

/* Something has the name: only a socket that nobody listens on may be taken away. */
static enum tap_rc clear_stale(const struct sockaddr_un *a, struct tap_err *err)
{
	struct stat st;
	int fd;

	if (lstat(a->sun_path, &st) != 0)
		return errno == ENOENT ? TAP_OK
				       : tap_err_sys(err, tap_io_class(errno), errno,
						     "cannot listen on %s", a->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return tap_err_set(err, TAP_E_CONFIG,
				   "cannot listen on %s: it exists and is not a socket",
				   a->sun_path);
	enum tap_rc rc = new_unix(&fd, err);
	if (rc)
		return rc;
	int e = connect_again(fd, (const struct sockaddr *)a, sizeof *a);
	tap_io_close(&fd);
	if (e != ECONNREFUSED)
		return tap_err_set(err, TAP_E_CONFIG, "cannot listen on %s: another process has it",
				   a->sun_path);
	return tap_io_unlink(AT_FDCWD, a->sun_path, NULL, err);
}

static enum tap_rc bind_unix(int fd, const struct sockaddr_un *a, mode_t mode, struct tap_err *err)
{
	/* Linux makes the file with the mode of the socket's inode, so that it is never wider. */
	if (fchmod(fd, mode) != 0)
		return tap_err_sys(err, TAP_E_TEMP, errno, "cannot set the mode of %s",
				   a->sun_path);
	const struct sockaddr *sa = (const struct sockaddr *)a;
	int e = bind(fd, sa, sizeof *a) == 0 ? 0 : errno;
	if (e == EADDRINUSE) {
		enum tap_rc rc = clear_stale(a, err);
		if (rc)
			return rc;
		e = bind(fd, sa, sizeof *a) == 0 ? 0 : errno;
	}
	if (e)
		return tap_err_sys(err, TAP_E_CONFIG, e, "cannot listen on %s", a->sun_path);
	return TAP_OK;
}

enum tap_rc tap_net_listen_unix(const char *path, mode_t mode, int *fd_r, struct tap_err *err)
{
	struct sockaddr_un a;
	int fd;

	*fd_r = -1;
	enum tap_rc rc = unix_address(path, &a, err);
	if (!rc)
		rc = new_unix(&fd, err);
	if (rc)
		return rc;
	rc = bind_unix(fd, &a, mode, err);
	/* What the umask took away is given back. */
	if (!rc && (chmod(a.sun_path, mode) != 0 || listen(fd, SOMAXCONN) != 0))
		rc =
		    tap_err_sys(err, tap_io_class(errno), errno, "cannot listen on %s", a.sun_path);
	if (rc)
		tap_io_close(&fd);
	else
		*fd_r = fd;
	return rc;
}

enum tap_rc tap_net_connect_unix(const char *path, int *fd_r, struct tap_err *err)
{
	struct sockaddr_un a;
	int fd;

	*fd_r = -1;
	enum tap_rc rc = unix_address(path, &a, err);
	if (!rc)
		rc = new_unix(&fd, err);
	if (rc)
		return rc;
	int e = connect_again(fd, (const struct sockaddr *)&a, sizeof a);
	if (e) {
		tap_io_close(&fd);
		return tap_err_sys(err, tap_io_class(e), e, "cannot connect to %s", a.sun_path);
	}
	*fd_r = fd;
	return TAP_OK;
}

/* "inet:PORT@HOST" or "HOST:PORT", the host in brackets when it is an IPv6 address; "*" = every one. */
static enum tap_rc split_host_port(const char *text, char host[HOST_LEN], char port[PORT_LEN],
				   struct tap_err *err)
{
	const char *h = text, *p;
	size_t hn, pn;

	if (strncmp(text, "inet:", 5) == 0 && strchr(text, '@')) {
		p = text + 5;
		h = strchr(text, '@') + 1;
		pn = (size_t)(h - 1 - p);
		hn = strlen(h);
	} else {
		const char *colon = strrchr(text, ':');
		if (!colon)
			return tap_err_set(err, TAP_E_CONFIG, "\"%s\" is not HOST:PORT", text);
		p = colon + 1;
		pn = strlen(p);
		hn = (size_t)(colon - h);
	}
	if (hn >= 2 && h[0] == '[' && h[hn - 1] == ']') {
		h++;
		hn -= 2;
	} else if (memchr(h, ':', hn)) {
		return tap_err_set(err, TAP_E_CONFIG,
				   "\"%s\": an IPv6 address is written in brackets", text);
	}
	if (hn == 0 || hn >= HOST_LEN || pn == 0 || pn >= PORT_LEN)
		return tap_err_set(err, TAP_E_CONFIG, "\"%s\" is not HOST:PORT", text);
	memcpy(host, h, hn);
	host[hn] = '\0';
	memcpy(port, p, pn);
	port[pn] = '\0';
	return TAP_OK;
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof a;

	if (getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		return 0;
	if (a.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&a)->sin6_port);
	return a.ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)&a)->sin_port) : 0;
}

/* 0, or the errno of the step that failed. */
static int listen_at(const struct addrinfo *ai, int *fd_r)
{
	int one = 1, e = 0;
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);

	if (fd < 0)
		return errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0)
		e = errno;
	if (e)
		tap_io_close(&fd);
	*fd_r = fd;
	return e;
}

enum tap_rc tap_net_listen_tcp(const char *host_port, int *fd_r, unsigned *port_r,
			       struct tap_err *err)
{
	char host[HOST_LEN] = "", port[PORT_LEN] = "";
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *all = NULL;

	*fd_r = -1;
	enum tap_rc rc = split_host_port(host_port, host, port, err);
	if (rc)
		return rc;
	int g = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hint, &all);
	if (g != 0)
		return tap_err_set(err, TAP_E_CONFIG, "cannot listen on %s: %s", host_port,
				   gai_strerror(g));
	int e = EADDRNOTAVAIL;
	for (const struct addrinfo *ai = all; ai && e; ai = ai->ai_next)
		e = listen_at(ai, fd_r);
	freeaddrinfo(all);
	if (e)
		return tap_err_sys(err, TAP_E_CONFIG, e, "cannot listen on %s", host_port);
	if (port_r)
		*port_r = port_of(*fd_r);
	return TAP_OK;
}

enum tap_rc tap_net_peer(int fd, uid_t *uid_r, gid_t *gid_r, struct tap_err *err)
{
	struct ucred c;
	socklen_t n = sizeof c;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) != 0 || n != sizeof c)
		return tap_err_sys(err, TAP_E_TEMP, errno, "cannot ask who is at the other end");
	*uid_r = c.uid;
	*gid_r = c.gid;
	return TAP_OK;
}
