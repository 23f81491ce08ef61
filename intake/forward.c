/* SPDX-License-Identifier: Apache-2.0
 * intake/forward.c - see forward.h. */
#include "intake/forward.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "intake/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 32 << 10, SAID = 256, WHY = 200, LAST_WORDS = 64 };
static const char mark[] = "; forwarded"; /* what tells the header of a forward from the milter's */

/* ---- the header block ---- */

size_t tap_forward_header_end(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		const char *nl;

		if (p[i] == '\n' || (p[i] == '\r' && i + 1 < n && p[i + 1] == '\n'))
			return i;
		nl = memchr(p + i, '\n', n - i);
		if (!nl)
			break;
		i = (size_t)(nl - p) + 1;
	}
	return n;
}

static void add_line(struct tap_buf *out, const char *p, size_t n)
{
	if (n >= 2 && p[n - 1] == '\n' && p[n - 2] == '\r') {
		tap_buf_add(out, p, n - 2);
		tap_buf_addc(out, '\n');
	} else {
		tap_buf_add(out, p, n);
	}
}

static bool is_ours(const char *line, size_t n)
{
	size_t k = strlen(tap_reports_header);

	if (n <= k || strncasecmp(line, tap_reports_header, k) != 0)
		return false;
	while (k < n && (line[k] == ' ' || line[k] == '\t'))
		k++;
	return k < n && line[k] == ':';
}

bool tap_forward_header(const char *p, size_t n, struct tap_buf *out)
{
	bool dropping = false, looped = false;

	for (size_t i = 0; i < n;) {
		const char *nl = memchr(p + i, '\n', n - i);
		size_t k = nl ? (size_t)(nl - (p + i)) + 1 : n - i;

		if (p[i] != ' ' && p[i] != '\t')
			dropping = is_ours(p + i, k);
		if (!dropping)
			add_line(out, p + i, k);
		else if (memmem(p + i, k, mark, sizeof(mark) - 1))
			looped = true;
		i += k;
	}
	return looped;
}

/* ---- the program ---- */

struct run {
	pid_t pid;
	int pidfd;
	int in, out;	  /* our ends of its standard input, and of its output */
	struct tap_buf b; /* what goes to it next: from `sent` on */
	size_t sent;
	uint64_t off, left; /* of the message: not in b yet */
	int fd;
	bool cr; /* a CR is held back until we know what follows */
	bool all_sent;
	int64_t deadline;
	char said[SAID]; /* the last line of its output */
	size_t n_said;
	bool line_ended;
};

static int add_actions(posix_spawn_file_actions_t *fa, int in, int out)
{
	int rc = posix_spawn_file_actions_adddup2(fa, in, STDIN_FILENO);

	if (!rc)
		rc = posix_spawn_file_actions_adddup2(fa, out, STDOUT_FILENO);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(fa, out, STDERR_FILENO);
	if (!rc)
		rc = posix_spawn_file_actions_addclosefrom_np(fa, STDERR_FILENO + 1);
	return rc;
}

/* As a program that whoever called us had started himself: his ids (not those of a set-id bit of ours), and fresh signals. */
static int add_attributes(posix_spawnattr_t *at)
{
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawnattr_setflags(at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
					      POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_RESETIDS);
	if (!rc)
		rc = posix_spawnattr_setsigmask(at, &none);
	if (!rc)
		rc = posix_spawnattr_setsigdefault(at, &all);
	if (!rc)
		rc = posix_spawnattr_setpgroup(at, 0);
	return rc;
}

static const char *safe_sender(const char *s)
{
	if (!s || !*s)
		return "<>";
	for (const char *p = s; *p; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return "<>";
	}
	return s;
}

static int spawn(const struct tap_forward *f, int in, int out, pid_t *pid_r)
{
	const char *env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
	const char *argv[] = {f->program, "-i",	      "-f", safe_sender(f->sender),
			      "--",	  f->address, NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	int rc = posix_spawn_file_actions_init(&fa);

	if (rc)
		return rc;
	rc = posix_spawnattr_init(&at);
	if (!rc) {
		rc = add_actions(&fa, in, out);
		if (!rc)
			rc = add_attributes(&at);
		if (!rc)
			rc = posix_spawn(pid_r, f->program, &fa, &at, (char *const *)argv,
					 (char *const *)env);
		posix_spawnattr_destroy(&at);
	}
	posix_spawn_file_actions_destroy(&fa);
	return rc;
}

static void close_all(struct run *r)
{
	tap_io_close(&r->in);
	tap_io_close(&r->out);
	tap_io_close(&r->pidfd);
}

static enum tap_rc begin(const struct tap_forward *f, struct run *r, struct tap_err *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, rc = tap_fault("intake.forward");

	/* A socket tells, other than a pipe, whether what was sent was also read. */
	if (!rc && (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0 ||
		    pipe2(out, O_CLOEXEC) != 0))
		rc = errno;
	if (!rc)
		rc = spawn(f, in[0], out[1], &r->pid);
	r->in = in[1];
	r->out = out[0];
	tap_io_close(&in[0]);
	tap_io_close(&out[1]);
	if (!rc && (r->pidfd = pidfd_open(r->pid, 0)) < 0)
		rc = errno;
	if (!rc && fcntl(r->out, F_SETFL, O_NONBLOCK) != 0)
		rc = errno;
	return rc ? tap_err_sys(err, TAP_E_TEMP, rc, "cannot run %s", f->program) : TAP_OK;
}

/* A CR before a LF falls away; any other stays. */
static void add_body(struct run *r, const char *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		const char *cr = memchr(p + i, '\r', n - i);
		size_t k = cr ? (size_t)(cr - (p + i)) : n - i;

		if (r->cr && p[i] != '\n')
			tap_buf_addc(&r->b, '\r');
		r->cr = cr != NULL;
		tap_buf_add(&r->b, p + i, k);
		i += k + r->cr;
	}
}

static enum tap_rc refill(struct run *r, struct tap_err *err)
{
	char piece[PIECE];
	size_t want = r->left < PIECE ? (size_t)r->left : PIECE, got = 0;
	enum tap_rc rc = tap_io_pread(r->fd, piece, want, r->off, &got, err);

	if (rc)
		return rc;
	if (got < want)
		return tap_err_set(err, TAP_E_TEMP, "the message became shorter");
	tap_buf_reset(&r->b);
	r->sent = 0;
	add_body(r, piece, got);
	r->off += got;
	r->left -= got;
	if (r->left == 0 && r->cr)
		tap_buf_addc(&r->b, '\r');
	return r->b.failed ? tap_err_set(err, TAP_E_TEMP, "out of memory") : TAP_OK;
}

/* A program that reads no more is judged by its exit status, as one that never read. */
static enum tap_rc feed(struct run *r, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;
	ssize_t k;

	while (!rc && r->sent == r->b.len && r->left > 0)
		rc = refill(r, err);
	if (rc)
		return rc;
	if (r->sent == r->b.len) {
		r->all_sent = true;
		(void)shutdown(r->in, SHUT_WR);
		return TAP_OK;
	}
	k = send(r->in, r->b.p + r->sent, r->b.len - r->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (k > 0)
		r->sent += (size_t)k;
	else if (k < 0 && errno != EAGAIN && errno != EINTR)
		tap_io_close(&r->in);
	return TAP_OK;
}

/* Its words. False when there are no more, now or at all. */
static bool listen_to(struct run *r)
{
	char piece[512];
	ssize_t k = read(r->out, piece, sizeof(piece));

	if (k == 0 || (k < 0 && errno != EAGAIN && errno != EINTR))
		tap_io_close(&r->out);
	/* Warnings come first, what it failed of comes last: the last line is the one that counts. */
	for (ssize_t i = 0; i < k; i++) {
		if (piece[i] == '\n' || piece[i] == '\r')
			r->line_ended = true;
		else if (r->line_ended) {
			r->line_ended = false;
			r->n_said = 0;
		}
		if (!r->line_ended && r->n_said + 1 < sizeof(r->said))
			r->said[r->n_said++] = piece[i];
	}
	return k > 0;
}

/* Feeds and listens until the program has ended. */
static enum tap_rc attend(struct run *r, struct tap_err *err)
{
	for (;;) {
		struct pollfd p[] = {{r->pidfd, POLLIN, 0},
				     {r->out, POLLIN, 0},
				     {r->all_sent ? -1 : r->in, POLLOUT, 0}};
		int64_t left = r->deadline - tap_clock_mono_ms();
		enum tap_rc rc = TAP_OK;

		if (left <= 0)
			return tap_err_set(err, TAP_E_TEMP, "it did not end in time");
		if (poll(p, 3, (int)left) < 0) {
			if (errno == EINTR)
				continue;
			return tap_err_sys(err, TAP_E_TEMP, errno, "poll");
		}
		if (p[1].revents)
			(void)listen_to(r);
		if (p[2].revents)
			rc = feed(r, err);
		if (rc)
			return rc;
		if (p[0].revents)
			break;
	}
	for (int i = 0; i < LAST_WORDS && r->out >= 0 && listen_to(r); i++)
		;
	return TAP_OK;
}

/* Was all of it read? Only known once the program has ended: closing a socket with bytes in it resets it. Where a child of the program
 * still holds the socket there is nothing to be told. */
static bool was_read(const struct run *r)
{
	char c;

	return r->all_sent && (recv(r->in, &c, 1, MSG_DONTWAIT) >= 0 || errno != ECONNRESET);
}

/* Whatever came before: the process is gone afterwards. */
static enum tap_rc end(const struct tap_forward *f, struct run *r, enum tap_rc rc,
		       struct tap_err *err)
{
	bool whole = rc == TAP_OK && was_read(r);
	int status = 0;

	if (rc)
		(void)kill(-r->pid, SIGKILL);
	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	r->said[r->n_said] = '\0';
	if (!rc && WIFEXITED(status) && WEXITSTATUS(status) == 0 && whole)
		return TAP_OK;
	if (!rc && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		tap_err_set(err, TAP_E_TEMP, "it did not read the message");
	else if (!rc && WIFEXITED(status))
		tap_err_set(err, TAP_E_TEMP, "exit status %d", WEXITSTATUS(status));
	else if (!rc)
		tap_err_set(err, TAP_E_TEMP, "killed by signal %d", WTERMSIG(status));
	if (r->said[0] && err) {
		char because[sizeof(err->msg)];

		memcpy(because, err->msg, sizeof(because));
		return tap_err_set(err, TAP_E_TEMP, "forward: %s: %s: %s", f->program, because,
				   r->said);
	}
	(void)tap_err_prefix(err, "forward: %s: ", f->program);
	return TAP_E_TEMP;
}

/* Our header, the header block without any other of ours, and what lies behind it in the first piece that was read. */
static enum tap_rc load_header(const struct tap_forward *f, struct run *r, bool *looped_r,
			       struct tap_err *err)
{
	size_t want = f->len < TAP_FORWARD_HEADER ? (size_t)f->len : TAP_FORWARD_HEADER, got = 0, n;
	char *p = malloc(want + 1);
	enum tap_rc rc;

	if (!p)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "forward");
	rc = tap_io_pread(f->fd, p, want, f->off, &got, err);
	n = rc ? 0 : tap_forward_header_end(p, got);
	tap_buf_printf(&r->b, "%s: %s%s", tap_reports_header, f->fate, mark);
	if (f->why && f->why[0])
		tap_buf_printf(&r->b, "; %.*s", WHY, f->why);
	for (size_t i = 0; i < r->b.len; i++) {
		if (r->b.p[i] < ' ' || r->b.p[i] > '~')
			r->b.p[i] = '?';
	}
	tap_buf_addc(&r->b, '\n');
	*looped_r = tap_forward_header(p, n, &r->b);
	/* A message that ends within its header block, without a line end, or that has none at all, has no body. */
	if (r->b.p && r->b.len && r->b.p[r->b.len - 1] != '\n')
		tap_buf_addc(&r->b, '\n');
	free(p);
	r->off = f->off + n;
	r->left = f->len - n;
	if (!rc && r->b.failed)
		rc = tap_err_set(err, TAP_E_TEMP, "forward: out of memory");
	return rc;
}

enum tap_rc tap_forward_send(const struct tap_forward *f, bool *looped_r, struct tap_err *err)
{
	struct run r = {.pid = -1, .pidfd = -1, .in = -1, .out = -1, .fd = f->fd};
	struct tap_err own = {0};
	enum tap_rc rc;

	if (!err)
		err = &own;
	*looped_r = false;
	r.deadline = tap_clock_mono_ms() + f->timeout_ms;
	tap_buf_init(&r.b, TAP_FORWARD_HEADER + PIECE);
	rc = load_header(f, &r, looped_r, err);
	if (!rc && !*looped_r) {
		rc = begin(f, &r, err);
		if (r.pid > 0)
			rc = end(f, &r, rc ? rc : attend(&r, err), err);
	}
	close_all(&r);
	tap_buf_free(&r.b);
	return rc;
}
