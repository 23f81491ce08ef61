/* SPDX-License-Identifier: Apache-2.0
 * outputs/launcher.c - see launcher.h. The dialogue, in packets of a socket pair: one byte 'r' with two descriptors (standard input,
 * output) starts the program; 'k' kills it; the answer is the status that waitpid gave, once it has ended. */
#include "outputs/launcher.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOCK = 3, SIGNALS = 4, INPUT = 5, OUTPUT = 6, CANNOT_RUN = 127, LINGER_MS = 2000 };

struct tap_launcher {
	char *key; /* program and arguments, each ended by NUL */
	size_t key_len;
	int sock;
	bool taken, broken;
	unsigned char kept[TAP_LAUNCHER_OUTPUT];
	size_t n_kept;
};
static struct {
	pthread_mutex_t mu;
	struct tap_launcher at[TAP_LAUNCHERS];
	size_t n;
} all = {.mu = PTHREAD_MUTEX_INITIALIZER};

/* ---- the launcher's own process: one thread, no memory from the heap ---- */

static void start_program(char *const *argv)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char lang[] = "LANG=C.UTF-8";
	char *const environment[] = {path, lang, NULL};
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;

	(void)setpgid(0, 0);
	(void)sigaction(SIGPIPE, &dfl, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(INPUT, 0) == 0 && dup2(OUTPUT, 1) == 1 && dup2(OUTPUT, 2) == 2) {
		(void)close_range(3, ~0U, 0);
		(void)execve(argv[0], argv, environment);
		(void)dprintf(2, "cannot start %s: error %d\n", argv[0], errno);
	}
	_exit(CANNOT_RUN);
}

/* A packet of one byte, and with 'r' two descriptors, which come to INPUT and OUTPUT. 0: the other end is gone. */
static char next_order(void)
{
	union {
		char room[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	char order = 0;
	struct iovec part = {.iov_base = &order, .iov_len = 1};
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof control.room};
	ssize_t got;
	int fd[2];

	do
		got = recvmsg(SOCK, &m, 0);
	while (got < 0 && errno == EINTR);
	if (got != 1)
		return 0;
	const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (order == 'r' && c != NULL && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof fd)) {
		memcpy(fd, CMSG_DATA(c), sizeof fd);
		/* They may stand where the other is to come. */
		int in = fcntl(fd[0], F_DUPFD, OUTPUT + 1), out = fcntl(fd[1], F_DUPFD, OUTPUT + 1);

		(void)close(fd[0]);
		(void)close(fd[1]);
		(void)dup2(in, INPUT);
		(void)dup2(out, OUTPUT);
		(void)close(in);
		(void)close(out);
	}
	return order;
}

static void end_group(pid_t group)
{
	if (group > 0)
		(void)kill(-group, SIGKILL);
}

/* Something has ended: was it the program? */
static bool ended(pid_t program, int *status_r)
{
	struct signalfd_siginfo unused;
	bool it = false;
	pid_t who;
	int status;

	ssize_t got = read(SIGNALS, &unused, sizeof unused);
	(void)got;
	while ((who = waitpid(-1, &status, WNOHANG)) > 0)
		if (who == program) {
			it = true;
			*status_r = status;
		}
	return it;
}

static void serve(char *const *argv)
{
	struct pollfd wait[2] = {{.fd = SOCK, .events = POLLIN}, {.fd = SIGNALS, .events = POLLIN}};
	pid_t program = 0;
	int status = 0;

	for (;;) {
		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[1].revents != 0 && ended(program, &status)) {
			end_group(program); /* what it has left behind */
			program = 0;
			(void)send(SOCK, &status, sizeof status, MSG_NOSIGNAL);
		}
		if (wait[0].revents == 0)
			continue;
		char order = next_order();
		if (order == 0)
			break;
		if (order == 'k')
			end_group(program);
		if (order != 'r' || program != 0)
			continue;
		program = fork();
		if (program == 0)
			start_program(argv);
		if (program > 0)
			(void)setpgid(program, program);
		(void)close(INPUT);
		(void)close(OUTPUT);
		if (program < 0) {
			program = 0;
			status = CANNOT_RUN << 8;
			(void)send(SOCK, &status, sizeof status, MSG_NOSIGNAL);
		}
	}
	end_group(program);
	_exit(0);
}

/* In the forked process. */
static void become_launcher(int sock, char *const *argv)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL}, ign = {.sa_handler = SIG_IGN};
	sigset_t set;
	int fd;

	/* A terminal's signals are for the worker, which ends this one in its turn. */
	(void)setpgid(0, 0);
	(void)sigaction(SIGCHLD, &dfl, NULL);
	(void)sigaction(SIGPIPE, &ign, NULL);
	(void)prctl(PR_SET_NAME, "dmarctap-exec");
	(void)prctl(PR_SET_CHILD_SUBREAPER, 0L, 0L, 0L, 0L);
	if (dup2(sock, SOCK) != SOCK)
		_exit(CANNOT_RUN);
	(void)close_range(SOCK + 1, ~0U, 0);
	(void)sigfillset(&set);
	(void)sigdelset(&set, SIGTERM);
	(void)sigprocmask(SIG_SETMASK, &set, NULL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd != SIGNALS)
		_exit(CANNOT_RUN);
	serve(argv);
}

/* ---- the worker's side ---- */

static enum tap_rc make_key(const char *program, const struct tap_list *arguments,
			    struct tap_buf *key, struct tap_err *err)
{
	tap_buf_init(key, 64 * 1024);
	tap_buf_add(key, program, strlen(program) + 1);
	for (size_t i = 0; i < arguments->n; i++)
		tap_buf_add(key, arguments->item[i], strlen(arguments->item[i]) + 1);
	if (!key->failed)
		return TAP_OK;
	tap_buf_free(key);
	return tap_err_set(err, TAP_E_CONFIG, "arguments: too long");
}

static enum tap_rc fork_one(struct tap_launcher *l, const char *program,
			    const struct tap_list *arguments, struct tap_err *err)
{
	char **argv = calloc(arguments->n + 2, sizeof *argv);
	int pair[2] = {-1, -1};
	pid_t pid;

	if (argv == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	argv[0] = (char *)(uintptr_t)program;
	for (size_t i = 0; i < arguments->n; i++)
		argv[i + 1] = arguments->item[i];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		free(argv);
		return tap_err_sys(err, TAP_E_TEMP, errno, "cannot make a socket pair");
	}
	pid = fork();
	if (pid == 0)
		become_launcher(pair[1], argv);
	tap_io_close(&pair[1]);
	free(argv);
	if (pid < 0) {
		tap_io_close(&pair[0]);
		return tap_err_sys(err, TAP_E_TEMP, errno, "cannot start a process");
	}
	l->sock = pair[0];
	return TAP_OK;
}

enum tap_rc tap_launcher_prepare(const char *program, const struct tap_list *arguments,
				 struct tap_err *err)
{
	struct tap_launcher *l = &all.at[all.n];
	struct tap_buf key;
	enum tap_rc rc;

	if (all.n == TAP_LAUNCHERS)
		return tap_err_set(err, TAP_E_CONFIG, "more than %d outputs of type exec",
				   TAP_LAUNCHERS);
	rc = make_key(program, arguments, &key, err);
	if (rc != TAP_OK)
		return rc;
	rc = fork_one(l, program, arguments, err);
	if (rc != TAP_OK) {
		tap_buf_free(&key);
		return rc;
	}
	l->key = key.p;
	l->key_len = key.len;
	all.n++;
	return TAP_OK;
}

enum tap_rc tap_launcher_take(const char *program, const struct tap_list *arguments,
			      struct tap_launcher **l_r, struct tap_err *err)
{
	struct tap_buf key;
	enum tap_rc rc = make_key(program, arguments, &key, err);

	*l_r = NULL;
	if (rc != TAP_OK)
		return rc;
	pthread_mutex_lock(&all.mu);
	for (size_t i = 0; i < all.n && *l_r == NULL; i++) {
		struct tap_launcher *l = &all.at[i];

		if (!l->taken && l->key_len == key.len && memcmp(l->key, key.p, key.len) == 0) {
			l->taken = true;
			*l_r = l;
		}
	}
	pthread_mutex_unlock(&all.mu);
	tap_buf_free(&key);
	if (*l_r != NULL)
		return TAP_OK;
	return tap_err_set(err, TAP_E_CONFIG,
			   "%s: a program of a new or changed output of type exec can be run after "
			   "a restart only",
			   program);
}

void tap_launcher_give(struct tap_launcher **l)
{
	if (*l == NULL)
		return;
	pthread_mutex_lock(&all.mu);
	(*l)->taken = false;
	pthread_mutex_unlock(&all.mu);
	*l = NULL;
}

static enum tap_rc order(struct tap_launcher *l, char what, const int *fd, struct tap_err *err)
{
	union {
		char room[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec part = {.iov_base = &what, .iov_len = 1};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd != NULL) {
		m.msg_control = control.room;
		m.msg_controllen = sizeof control.room;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(2 * sizeof(int));
		memcpy(CMSG_DATA(c), fd, 2 * sizeof(int));
	}
	if (sendmsg(l->sock, &m, MSG_NOSIGNAL) == 1)
		return TAP_OK;
	l->broken = true;
	return tap_err_sys(err, TAP_E_CONFIG, errno,
			   "the process that starts the program has gone: a restart is needed");
}

/* The newest TAP_LAUNCHER_OUTPUT bytes. */
static bool take_output(struct tap_launcher *l, int fd)
{
	unsigned char now[TAP_LAUNCHER_OUTPUT];
	ssize_t got = read(fd, now, sizeof now);
	size_t n, drop;

	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR);
	n = (size_t)got;
	drop = l->n_kept + n > sizeof l->kept ? l->n_kept + n - sizeof l->kept : 0;
	memmove(l->kept, l->kept + drop, l->n_kept - drop);
	memcpy(l->kept + l->n_kept - drop, now, n);
	l->n_kept += n - drop;
	return true;
}

/* What is there already: others may hold the pipe open for ever. */
static void take_rest(struct tap_launcher *l, int fd)
{
	struct pollfd w = {.fd = fd, .events = POLLIN};

	for (int i = 0; i < 256 && fd >= 0 && poll(&w, 1, 0) == 1; i++)
		if (!take_output(l, fd))
			break;
}

static void last_line(const struct tap_launcher *l, char *out)
{
	size_t end = l->n_kept, start, k = 0;

	while (end > 0 && l->kept[end - 1] <= ' ')
		end--;
	start = end;
	while (start > 0 && l->kept[start - 1] != '\n')
		start--;
	for (size_t i = start; i < end && k < TAP_LAUNCHER_OUTPUT; i++)
		out[k++] = l->kept[i] < ' ' || l->kept[i] > '~' ? '?' : (char)l->kept[i];
	out[k] = '\0';
}

/* As much as the pipe takes now. False: the program reads no more. */
static bool feed(int *fd, struct tap_launcher_run *r, size_t *done)
{
	struct iovec part = {.iov_base = (char *)(uintptr_t)r->input + *done,
			     .iov_len = r->len - *done};
	ssize_t put = writev(*fd, &part, 1);

	if (put < 0 && errno != EAGAIN && errno != EINTR) {
		tap_io_close(fd);
		return false;
	}
	*done += put > 0 ? (size_t)put : 0;
	if (*done == r->len)
		tap_io_close(fd);
	return true;
}

/* The deadline has come: the program is killed, once; what cannot be killed makes the launcher useless. */
static enum tap_rc too_late(struct tap_launcher *l, bool *late, int64_t *end, struct tap_err *err)
{
	if (*late) {
		l->broken = true;
		return tap_err_set(err, TAP_E_CANCELLED, "the program cannot be killed");
	}
	*late = true;
	*end = tap_clock_mono_ms() + LINGER_MS;
	return order(l, 'k', NULL, err);
}

/* Once the launcher has something to say, or is gone. */
static enum tap_rc take_status(struct tap_launcher *l, struct tap_launcher_run *r,
			       struct tap_err *err)
{
	if (recv(l->sock, &r->status, sizeof r->status, 0) == (ssize_t)sizeof r->status)
		return TAP_OK;
	l->broken = true;
	return tap_err_set(err, TAP_E_CONFIG,
			   "the process that starts the program has gone: a restart is needed");
}

/* Until the program has ended, or the deadline. in: the pipe to it; out: from it. */
static enum tap_rc converse(struct tap_launcher *l, struct tap_launcher_run *r, int *in, int *out,
			    struct tap_err *err)
{
	struct pollfd w[3] = {{.fd = l->sock, .events = POLLIN}};
	int64_t end = r->deadline_ms;
	enum tap_rc rc = TAP_OK;
	bool late = false;
	size_t done = 0;

	while (w[0].revents == 0 && rc == TAP_OK) {
		int64_t left = end - tap_clock_mono_ms();

		w[1] = (struct pollfd){.fd = *in, .events = POLLOUT};
		w[2] = (struct pollfd){.fd = *out, .events = POLLIN};
		if (left <= 0) {
			rc = too_late(l, &late, &end, err);
			continue;
		}
		if (poll(w, 3, left > 60000 ? 60000 : (int)left) < 0)
			continue;
		if (w[1].revents != 0)
			(void)feed(in, r, &done);
		if (w[2].revents != 0 && !take_output(l, *out))
			tap_io_close(out);
	}
	if (rc == TAP_OK)
		rc = take_status(l, r, err);
	if (rc != TAP_OK)
		return rc;
	take_rest(l, *out);
	last_line(l, r->output);
	r->read_all = done == r->len;
	return late ? tap_err_set(err, TAP_E_CANCELLED, "the program took too long and was killed")
		    : TAP_OK;
}

enum tap_rc tap_launcher_run(struct tap_launcher *l, struct tap_launcher_run *r,
			     struct tap_err *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, theirs[2];
	enum tap_rc rc = TAP_OK;

	r->output[0] = '\0';
	r->read_all = false;
	r->status = 0;
	l->n_kept = 0;
	if (l->broken)
		return tap_err_set(err, TAP_E_CONFIG,
				   "the process that starts the program is lost: a restart is "
				   "needed");
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		rc = tap_err_sys(err, TAP_E_TEMP, errno, "cannot make a pipe");
	theirs[0] = in[0];
	theirs[1] = out[1];
	if (rc == TAP_OK &&
	    (fcntl(in[1], F_SETFL, O_NONBLOCK) != 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) != 0))
		rc = tap_err_sys(err, TAP_E_TEMP, errno, "cannot set up a pipe");
	if (rc == TAP_OK)
		rc = order(l, 'r', theirs, err);
	tap_io_close(&in[0]);
	tap_io_close(&out[1]);
	if (rc == TAP_OK)
		rc = converse(l, r, &in[1], &out[0], err);
	tap_io_close(&in[1]);
	tap_io_close(&out[0]);
	return rc;
}
