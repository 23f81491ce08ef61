/* SPDX-License-Identifier: Apache-2.0
 * base/net.h - listening and connecting sockets: "unix:/path" and "inet:PORT@HOST" or "HOST:PORT".
 * Threads: safe. Ownership: the caller closes descriptors. */
#ifndef TAP_BASE_NET_H
#define TAP_BASE_NET_H

#include "base/err.h"
#include <sys/types.h>

/* A stream socket in the file system with this mode; a stale socket that nobody listens on is replaced, anything else refused. */
enum tap_rc tap_net_listen_unix(const char *path, mode_t mode, int *fd_r,
				struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_net_connect_unix(const char *path, int *fd_r, struct tap_err *err) TAP_MUST_CHECK;
/* host:port; numeric or resolvable host; port 0 asks the kernel. *port_r (may be NULL) = the port taken. */
enum tap_rc tap_net_listen_tcp(const char *host_port, int *fd_r, unsigned *port_r,
			       struct tap_err *err) TAP_MUST_CHECK;
/* Effective user and group of the process at the other end of a unix socket. */
enum tap_rc tap_net_peer(int fd, uid_t *uid_r, gid_t *gid_r, struct tap_err *err) TAP_MUST_CHECK;

#endif
