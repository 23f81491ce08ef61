/* SPDX-License-Identifier: Apache-2.0
 * daemon/control_client.c - asking dmarctapd. Threads: safe. */
#include "daemon/control.h"

#include "base/io.h"
#include "base/net.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static enum tap_rc receive_all(int fd, int64_t deadline_ms, struct tap_buf *b, struct tap_err *err)
{
	char piece[4096];
	ssize_t n;

	for (;;) {
		enum tap_rc rc = tap_io_wait(fd, POLLIN, deadline_ms, err);

		if (rc != TAP_OK)
			return rc;
		n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
		if (n == 0)
			return TAP_OK;
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return tap_err_sys(err, TAP_E_TEMP, errno, "control socket");
		tap_buf_add(b, piece, (size_t)n);
		if (b->failed)
			return tap_err_set(err, TAP_E_LIMIT,
					   "control socket: the answer is too long");
	}
}

/* What the words of a refusal mean here. */
static const struct {
	const char *word;
	enum tap_rc rc;
	int sys_errno;
} refusals[] = {
    {"1 no ", TAP_E_NOTFOUND, 0},
    {"1 later ", TAP_E_TEMP, 0},
    {"1 denied ", TAP_E_CONFIG, EACCES},
    {"1 error ", TAP_E_CONFIG, 0},
};

/* Takes the first line off; anything but "1 ok" is an error. */
static enum tap_rc check_answer(struct tap_buf *b, struct tap_err *err)
{
	static const char good[] = "1 ok\n";
	const char *end = b->len > 0 ? memchr(b->p, '\n', b->len) : NULL;
	size_t n = end != NULL ? (size_t)(end - b->p) : 0;

	if (end == NULL)
		return tap_err_set(err, TAP_E_TEMP, "control socket: no answer");
	if (b->len >= sizeof(good) - 1 && memcmp(b->p, good, sizeof(good) - 1) == 0) {
		tap_buf_consume(b, sizeof(good) - 1);
		return TAP_OK;
	}
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		size_t word = strlen(refusals[i].word);

		if (n <= word || memcmp(b->p, refusals[i].word, word) != 0)
			continue;
		(void)tap_err_set(err, refusals[i].rc, "dmarctapd says: %.*s", (int)(n - word),
				  b->p + word);
		err->sys_errno = refusals[i].sys_errno;
		return err->rc;
	}
	return tap_err_set(err, TAP_E_CONFIG,
			   "control socket: this is not dmarctapd, or one of another version");
}

enum tap_rc tap_control_ask(const char *path, const char *command, int64_t deadline_ms,
			    struct tap_buf *body, struct tap_err *err)
{
	char line[TAP_CONTROL_LINE];
	int n = snprintf(line, sizeof(line), "%d %s\n", TAP_CONTROL_VERSION, command);
	int fd = -1;
	enum tap_rc rc;

	if (n < 0 || (size_t)n >= sizeof(line))
		return tap_err_set(err, TAP_E_LIMIT, "control socket: the command is too long");
	rc = tap_net_connect_unix(path, &fd, err);
	if (rc != TAP_OK)
		return rc;
	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n)
		rc = tap_err_sys(err, TAP_E_TEMP, errno, "control socket");
	if (rc == TAP_OK)
		rc = receive_all(fd, deadline_ms, body, err);
	if (rc == TAP_OK)
		rc = check_answer(body, err);
	tap_io_close(&fd);
	return rc;
}
