/* SPDX-License-Identifier: Apache-2.0
 * daemon/control.c - the server's side of the control socket. Threads: one of its own. */
#include "daemon/control.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 20, SOCKET_MODE = 0660 };

struct tap_control {
	int fd, stop_fd;
	char path[512];
	enum tap_rc (*answer)(void *ctx, const char *command, struct tap_buf *body,
			      struct tap_err *err);
	void *ctx;
	pthread_t thread;
	atomic_bool stop;
	pthread_mutex_t lock;
	int client; /* whom the thread serves, so that a slow one can be cut off; -1 = nobody */
};

static bool may_ask(int fd, struct tap_err *err)
{
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;

	if (tap_net_peer(fd, &uid, &gid, err) != TAP_OK)
		return false;
	return uid == 0 || uid == geteuid() || gid == getegid();
}

static enum tap_rc read_line(int fd, char line[TAP_CONTROL_LINE], int64_t deadline_ms,
			     struct tap_err *err)
{
	size_t len = 0;

	for (;;) {
		enum tap_rc rc = tap_io_wait(fd, POLLIN, deadline_ms, err);
		ssize_t n = rc == TAP_OK
				? recv(fd, line + len, TAP_CONTROL_LINE - 1 - len, MSG_DONTWAIT)
				: 0;
		char *end;

		if (rc != TAP_OK)
			return rc;
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return tap_err_set(err, TAP_E_DATA, "no command");
		len += (size_t)n;
		line[len] = '\0';
		end = strchr(line, '\n');
		if (end != NULL) {
			*end = '\0';
			return TAP_OK;
		}
		if (len >= TAP_CONTROL_LINE - 1)
			return tap_err_set(err, TAP_E_DATA, "the command is too long");
	}
}

/* The first word of an answer. */
static const char *word_of(enum tap_rc rc)
{
	static const char *const words[] = {
	    [TAP_E_TEMP] = "later",   [TAP_E_DATA] = "no",     [TAP_E_LIMIT] = "no",
	    [TAP_E_CONFIG] = "error", [TAP_E_NOTFOUND] = "no", [TAP_E_CANCELLED] = "later",
	};

	return (size_t)rc < sizeof(words) / sizeof(words[0]) && words[rc] != NULL ? words[rc]
										  : "error";
}

/* *word_r: what the answer begins with when it fails. */
static enum tap_rc reply(struct tap_control *c, int fd, int64_t deadline_ms, struct tap_buf *body,
			 const char **word_r, struct tap_err *err)
{
	char line[TAP_CONTROL_LINE], version[16];
	int n = snprintf(version, sizeof(version), "%d ", TAP_CONTROL_VERSION);
	enum tap_rc rc;

	*word_r = "error";
	rc = read_line(fd, line, deadline_ms,
		       err); /* first: who is refused unheard may not hear why */
	if (rc != TAP_OK)
		return rc;
	if (!may_ask(fd, err)) {
		*word_r = "denied";
		return tap_err_set(err, TAP_E_CONFIG,
				   "you may not ask: be root, or in the worker's group");
	}
	if (strncmp(line, version, (size_t)n) != 0)
		return tap_err_set(err, TAP_E_DATA, "this worker speaks version %d",
				   TAP_CONTROL_VERSION);
	rc = c->answer(c->ctx, line + n, body, err);
	if (rc == TAP_OK && body->failed)
		rc = tap_err_set(err, TAP_E_LIMIT, "the answer is too long");
	*word_r = word_of(rc);
	return rc;
}

static void send_all(int fd, const char *p, size_t n, int64_t deadline_ms)
{
	while (n > 0 && tap_io_wait(fd, POLLOUT, deadline_ms, NULL) == TAP_OK) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return;
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		}
	}
}

static void serve(struct tap_control *c, int fd)
{
	int64_t deadline = tap_clock_mono_ms() + TAP_CONTROL_MS;
	struct tap_buf head, body;
	struct tap_err err = {0};
	const char *word;
	enum tap_rc rc;

	tap_buf_init(&head, 1024);
	tap_buf_init(&body, ANSWER_MAX);
	rc = reply(c, fd, deadline, &body, &word, &err);
	if (rc == TAP_OK)
		tap_buf_printf(&head, "%d ok\n", TAP_CONTROL_VERSION);
	else
		tap_buf_printf(&head, "%d %s %s\n", TAP_CONTROL_VERSION, word, err.msg);
	deadline = tap_clock_mono_ms() + TAP_CONTROL_MS;
	send_all(fd, head.p, head.len, deadline);
	if (rc == TAP_OK)
		send_all(fd, body.p, body.len, deadline);
	tap_buf_free(&head);
	tap_buf_free(&body);
}

static void set_client(struct tap_control *c, int fd)
{
	(void)pthread_mutex_lock(&c->lock);
	c->client = fd;
	if (fd >= 0 && atomic_load(&c->stop))
		(void)shutdown(fd, SHUT_RDWR);
	(void)pthread_mutex_unlock(&c->lock);
}

static void *control_main(void *arg)
{
	struct tap_control *c = arg;

	while (!atomic_load(&c->stop)) {
		struct pollfd p[2] = {{.fd = c->fd, .events = POLLIN},
				      {.fd = c->stop_fd, .events = POLLIN}};
		int fd;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (p[0].revents == 0)
			continue;
		fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) { /* out of descriptors: do not spin */
			(void)poll(NULL, 0, 100);
			continue;
		}
		set_client(c, fd);
		serve(c, fd);
		set_client(c, -1);
		tap_io_close(&fd);
	}
	return NULL;
}

enum tap_rc tap_control_start(const char *path,
			      enum tap_rc (*answer)(void *ctx, const char *command,
						    struct tap_buf *body, struct tap_err *err),
			      void *ctx, struct tap_control **c_r, struct tap_err *err)
{
	struct tap_control *c = calloc(1, sizeof(*c));
	enum tap_rc rc;
	int e;

	*c_r = NULL;
	if (c == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	c->fd = c->stop_fd = c->client = -1;
	(void)pthread_mutex_init(&c->lock, NULL);
	c->answer = answer;
	c->ctx = ctx;
	(void)snprintf(c->path, sizeof(c->path), "%s", path);
	rc = tap_net_listen_unix(path, SOCKET_MODE, &c->fd, err);
	if (rc != TAP_OK) {
		free(c);
		return tap_err_prefix(err, "worker.control_socket: ");
	}
	c->stop_fd = eventfd(0, EFD_CLOEXEC);
	e = c->stop_fd < 0 ? errno : pthread_create(&c->thread, NULL, control_main, c);
	if (e != 0) {
		tap_io_close(&c->fd);
		tap_io_close(&c->stop_fd);
		free(c);
		return tap_err_sys(err, TAP_E_TEMP, e, "start a thread");
	}
	*c_r = c;
	return TAP_OK;
}

void tap_control_stop(struct tap_control **cp)
{
	struct tap_control *c = *cp;

	if (c == NULL)
		return;
	(void)pthread_mutex_lock(&c->lock);
	atomic_store(&c->stop, true);
	if (c->client >= 0) /* it will not hold the end of the program up */
		(void)shutdown(c->client, SHUT_RDWR);
	(void)pthread_mutex_unlock(&c->lock);
	(void)eventfd_write(c->stop_fd, 1);
	(void)pthread_join(c->thread, NULL);
	if (tap_io_unlink(AT_FDCWD, c->path, NULL, NULL) != TAP_OK)
		tap_debug("worker", "%s stays", c->path);
	tap_io_close(&c->fd);
	tap_io_close(&c->stop_fd);
	free(c);
	*cp = NULL;
}
