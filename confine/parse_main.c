/* SPDX-License-Identifier: Apache-2.0
 * confine/parse_main.c - dmarctap-parse: the parser as a process of its own. A pool (pool.h) starts it with a socket as descriptor 3
 * and nothing else; it loads what it needs, shuts itself into the jail (jail.h), greets, and then answers one request after the other
 * until the socket is closed. It has no log: what is wrong with a message is said in the answer.
 * The parent's end shows as end of file on the socket, and for a message that never ends as the processor time limit; a parent-death
 * signal would be wrong here, because it is sent when the *thread* that started the process ends. */
#include "base/source.h"
#include "confine/frames.h"
#include "confine/hook.h"
#include "confine/jail.h"
#include "confine/trust_settings.h"
#include "confine/warm.h"
#include "confine/wire.h"
#include "parser/parser.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct request {
	struct tap_wire_request head;
	char name[TAP_WIRE_NAME_MAX + 1];
	int fd;
};

/* The other end is gone or talks nonsense: there is nobody to tell. */
static _Noreturn void leave(int status)
{
	_exit(status);
}

static enum tap_rc send_all(void *ctx, struct tap_buf *out, struct tap_err *err)
{
	size_t done = 0;

	(void)ctx;
	(void)err;
	while (done < out->len) {
		ssize_t n = send(TAP_WIRE_FD, out->p + done, out->len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			leave(1);
		done += (size_t)n;
	}
	tap_buf_reset(out);
	return TAP_OK;
}

/* n bytes into p; the descriptor that came with them into *fd when there was one. False: end of file before the first byte. */
static bool receive(void *p, size_t n, int *fd)
{
	size_t got = 0;

	while (got < n) {
		union {
			struct cmsghdr align;
			char room[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec iov = {(char *)p + got, n - got};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = &control,
				     .msg_controllen = sizeof control};
		ssize_t r = recvmsg(TAP_WIRE_FD, &msg, MSG_CMSG_CLOEXEC);
		struct cmsghdr *c;

		if (r < 0 && errno == EINTR)
			continue;
		if (r == 0 && got == 0)
			return false;
		if (r <= 0)
			leave(1);
		c = CMSG_FIRSTHDR(&msg);
		if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)) && *fd < 0)
			memcpy(fd, CMSG_DATA(c), sizeof *fd);
		got += (size_t)r;
	}
	return true;
}

static bool next_request(struct request *q)
{
	q->fd = -1;
	if (!receive(&q->head, sizeof q->head, &q->fd))
		return false;
	if (q->head.magic != TAP_WIRE_MAGIC || q->fd < 0)
		leave(1);
	if (q->head.name_len == TAP_WIRE_NAME_NONE)
		return true;
	if (q->head.name_len > TAP_WIRE_NAME_MAX)
		leave(1);
	if (q->head.name_len > 0 && !receive(q->name, q->head.name_len, &q->fd))
		leave(1);
	q->name[q->head.name_len] = '\0';
	return true;
}

/* Processor time for one message; running out of it kills. */
static void arm_timer(int64_t cpu_ms)
{
	struct itimerval t = {0};

	t.it_value.tv_sec = cpu_ms / 1000;
	t.it_value.tv_usec = cpu_ms % 1000 * 1000;
	(void)setitimer(ITIMER_PROF, &t, NULL);
}

/* The descriptor is closed before the result is told: the caller then knows that nobody holds the message any more. */
static void answer(const struct request *q, const struct tap_trust_rules *trust,
		   struct tap_buf *out)
{
	struct tap_frame_writer w = {.out = out, .flush = send_all};
	struct tap_parse_result res = {0};
	struct tap_parse_options opt = {.now = q->head.now, .trust = trust};
	bool frames = (q->head.flags & TAP_WIRE_FRAMES) != 0;
	struct tap_err err = {0};
	struct tap_source src;
	enum tap_rc rc;

	opt.payload = frames && (q->head.flags & TAP_WIRE_PAYLOAD) != 0;
	opt.filename = q->head.name_len == TAP_WIRE_NAME_NONE ? NULL : q->name;
	tap_source_fd(&src, q->fd, q->head.off, q->head.len);
	rc = tap_parse(&src, &opt, frames ? &tap_frame_writer_events : NULL, &w, &res, &err);
	close(q->fd);
	if (rc != TAP_OK) {
		memcpy(res.why, err.msg, sizeof res.why);
		res.why[sizeof res.why - 1] = '\0';
	}
	if (tap_frame_write_result(&w, rc, &res, &err) != TAP_OK)
		leave(1);
	(void)send_all(NULL, out, &err);
}

static _Noreturn void serve(int64_t cpu_ms, const struct tap_trust_rules *trust)
{
	static struct request q;
	struct tap_buf out;

	tap_buf_init(&out, TAP_FRAME_HEAD + (size_t)TAP_FRAME_MAX + (1 << 20));
	while (next_request(&q)) {
		arm_timer(cpu_ms);
		if (tap_hook_run(q.fd, q.head.off, q.head.len))
			close(q.fd);
		else
			answer(&q, trust, &out);
	}
	leave(0);
}

static bool number(const char *s, int64_t least, int64_t *v_r)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, 10);
	*v_r = v;
	return errno == 0 && end != s && *end == '\0' && v >= least;
}

/* Whoever stops the service signals all of its processes; this one ends when its owner has finished and closes the socket. */
static void ignore_stop_signals(void)
{
	static const int stops[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	struct sigaction ign = {.sa_handler = SIG_IGN};

	for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
		(void)sigaction(stops[i], &ign, NULL);
}

int main(int argc, char **argv)
{
	struct tap_wire_hello hello = {.magic = TAP_WIRE_MAGIC, .version = TAP_WIRE_VERSION};
	struct tap_err err = {0};
	int64_t memory = 0, cpu_ms = 0, cpu_s = 0, confine = 0;
	struct tap_jail jail;
	struct tap_trust_rules trust;
	socklen_t n = sizeof(int);
	enum tap_rc rc;
	int type;

	if (argc < TAP_WIRE_ARGS || !number(argv[1], 1, &memory) || !number(argv[2], 1, &cpu_ms) ||
	    !number(argv[3], 1, &cpu_s) || !number(argv[4], 0, &confine) ||
	    !tap_trust_args_parse(argc - TAP_WIRE_ARGS, argv + TAP_WIRE_ARGS, &trust) ||
	    getsockopt(TAP_WIRE_FD, SOL_SOCKET, SO_TYPE, &type, &n) != 0) {
		fputs("dmarctap-parse is started by the other programs of dmarctap, "
		      "never by hand\n",
		      stderr);
		return 2;
	}
	jail = (struct tap_jail){(uint64_t)memory, (uint64_t)cpu_s, confine != 0};
	ignore_stop_signals();
	tap_hook_init((uint64_t)memory);
	tap_parser_global_init();
	rc = tap_warm_up(&err);
	if (rc == TAP_OK)
		rc = tap_jail_enter(&jail, &hello.confined, &err);
	hello.ok = rc == TAP_OK;
	/* A longer reason loses its end. */
	(void)snprintf(hello.text, sizeof hello.text, "%.*s", (int)sizeof hello.text - 1,
		       rc == TAP_OK ? TAP_VERSION : err.msg);
	if (send(TAP_WIRE_FD, &hello, sizeof hello, MSG_NOSIGNAL) != (ssize_t)sizeof hello ||
	    rc != TAP_OK)
		leave(1);
	serve(cpu_ms, &trust);
}
