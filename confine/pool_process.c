/* SPDX-License-Identifier: Apache-2.0
 * confine/pool_process.c - one dmarctap-parse process.
 * The answer is walked by frame heads only; what is inside is for tap_frame_reader, except the result frame, which ends it. */
#include "confine/pool_process.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "confine/build.h"
#include "confine/frames.h"
#include "confine/frames_wire.h"
#include "confine/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
	START_MS = 30000, /* from the start of a process to its greeting */
	CPU_GRACE_MS =
	    1000, /* processor time over the deadline: only for a process whose owner is gone */
	READ_PIECE = 64 << 10,
};
/* All frames of one answer [I7]; the largest honest report (512 MiB of XML) stays below it. */
static const uint64_t answer_max = UINT64_C(1) << 30;

/* Beside the running program, as in a build tree; else where it is installed. */
static enum tap_rc find_program(char **path_r, struct tap_err *err)
{
	static const char *const places[] = {"dmarctap-parse",
					     "../libexec/dmarctap/dmarctap-parse"};
	char self[4096], path[sizeof self + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (n < 0)
		return tap_err_sys(err, TAP_E_CONFIG, errno,
				   "parser.program is not set, and /proc/self/exe");
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash == NULL)
		return tap_err_set(err, TAP_E_CONFIG, "parser.program is not set");
	*slash = '\0';
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", self, places[i]);
		if (access(path, X_OK) == 0) {
			*path_r = strdup(path);
			return *path_r == NULL ? tap_err_sys(err, TAP_E_TEMP, ENOMEM, "parser")
					       : TAP_OK;
		}
	}
	return tap_err_set(err, TAP_E_CONFIG,
			   "parser.program is not set, and neither %s/%s nor %s/%s can be run",
			   self, places[0], self, places[1]);
}

static void pass_env(struct tap_launch *l, const char *const *known)
{
	size_t n = 0;

	while (l->env[n] != NULL)
		n++;
	for (char **e = environ; e != NULL && *e != NULL; e++) {
		for (size_t i = 0; known[i] != NULL; i++) {
			if (n + 1 < sizeof l->env / sizeof *l->env &&
			    strncmp(*e, known[i], strlen(known[i])) == 0)
				l->env[n++] = strdup(*e);
		}
	}
}

/* What a process may know of our environment: nothing, but for the builds that tests run. */
static void choose_env(struct tap_launch *l)
{
	static const char *const hooks[] = {"TAP_PARSE_HOOK=", NULL};
	static const char *const sanitizers[] = {
	    "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS=", NULL};

	if (TAP_BUILD_HOOKS)
		pass_env(l, hooks);
	if (TAP_BUILD_SANITIZED)
		pass_env(l, sanitizers);
}

/* argv, once all that it points to is there. */
static enum tap_rc line_up(struct tap_launch *l, struct tap_err *err)
{
	size_t n = 0;

	while (l->trust != NULL && l->trust[n] != NULL)
		n++;
	l->argv = calloc(n + TAP_WIRE_ARGS + 1, sizeof *l->argv);
	if (l->program == NULL || l->trust == NULL || l->argv == NULL)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "parser");
	l->argv[0] = l->program;
	l->argv[1] = l->memory;
	l->argv[2] = l->cpu;
	l->argv[3] = l->life;
	l->argv[4] = l->confine;
	memcpy(l->argv + TAP_WIRE_ARGS, l->trust, n * sizeof *l->argv);
	return TAP_OK;
}

enum tap_rc tap_launch_init(struct tap_launch *l, const struct tap_parser_settings *set,
			    const struct tap_trust_settings *trust, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	memset(l, 0, sizeof *l);
	(void)snprintf(l->memory, sizeof l->memory, "%lld", (long long)set->memory);
	(void)snprintf(l->cpu, sizeof l->cpu, "%lld", (long long)set->deadline_ms + CPU_GRACE_MS);
	/* All messages of its life may take all of their time: nobody honest comes near it. */
	(void)snprintf(l->life, sizeof l->life, "%lld",
		       ((long long)set->deadline_ms + CPU_GRACE_MS) / 1000 *
			       (set->recycle > 0 ? (long long)set->recycle : 1000000) +
			   START_MS / 1000);
	l->confine[0] = tap_sandbox_enabled() ? '1' : '0';
	choose_env(l);
	l->trust = tap_trust_args_new(trust);
	if (set->program == NULL)
		rc = find_program(&l->program, err);
	else
		l->program = strdup(set->program);
	return rc == TAP_OK ? line_up(l, err) : rc;
}

/* The path of the program that loads shared libraries, as our own file names it. */
static int find_loader(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_INTERP)
			*(const char **)ctx =
			    (const char *)(uintptr_t)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	}
	return 1; /* the first one is the program */
}

void tap_launch_allow(const struct tap_launch *l, struct tap_sandbox *box)
{
	const char *loader = NULL;

	(void)dl_iterate_phdr(find_loader, &loader);
	tap_sandbox_allow(box, l->program, TAP_USE_RUN);
	tap_sandbox_allow(box, loader, TAP_USE_RUN);
}

void tap_launch_free(struct tap_launch *l)
{
	free(l->program);
	free(l->argv);
	tap_trust_args_free(&l->trust);
	for (size_t i = 0; i < sizeof l->env / sizeof *l->env; i++)
		free(l->env[i]);
	memset(l, 0, sizeof *l);
}

/* Only the socket and, instead of the standard streams, the null device. A confined process must not write into the log, so it
 * keeps our standard error only where a sanitizer's report is wanted. */
static int add_actions(posix_spawn_file_actions_t *fa, int sock)
{
	static const int flags[] = {O_RDONLY, O_WRONLY, O_WRONLY};
	const int last = TAP_BUILD_SANITIZED ? STDOUT_FILENO : STDERR_FILENO;
	int rc = posix_spawn_file_actions_adddup2(fa, sock, TAP_WIRE_FD);

	for (int fd = STDIN_FILENO; fd <= last && rc == 0; fd++)
		rc = posix_spawn_file_actions_addopen(fa, fd, "/dev/null", flags[fd], 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(fa, TAP_WIRE_FD + 1);
	return rc;
}

/* Signals as if freshly booted, whatever mask this thread has, and a group of its own, away from the terminal's Ctrl-C. */
static int add_attributes(posix_spawnattr_t *at)
{
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawnattr_setflags(at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
					      POSIX_SPAWN_SETPGROUP);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(at, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(at, &all);
	if (rc == 0)
		rc = posix_spawnattr_setpgroup(at, 0);
	return rc;
}

static int spawn(pid_t *pid_r, int sock, const struct tap_launch *l)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	int rc = tap_fault("parse.spawn");

	if (rc != 0)
		return rc;
	rc = posix_spawn_file_actions_init(&fa);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&at);
	if (rc == 0) {
		rc = add_actions(&fa, sock);
		if (rc == 0)
			rc = add_attributes(&at);
		if (rc == 0)
			rc = posix_spawn(pid_r, l->program, &fa, &at, l->argv, (char **)l->env);
		posix_spawnattr_destroy(&at);
	}
	posix_spawn_file_actions_destroy(&fa);
	return rc;
}

enum tap_rc tap_process_start(struct tap_process *p, const struct tap_launch *l,
			      struct tap_err *err)
{
	int pair[2];
	int rc;

	*p = (struct tap_process){.state = TAP_PROCESS_NONE, .fd = -1};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return tap_err_sys(err, tap_io_class(errno), errno, "a socket for the parser");
	rc = spawn(&p->pid, pair[1], l);
	tap_io_close(&pair[1]);
	if (rc != 0) {
		tap_io_close(&pair[0]);
		return tap_err_sys(err,
				   rc == EAGAIN || rc == ENOMEM || rc == EMFILE || rc == ENFILE
				       ? TAP_E_TEMP
				       : TAP_E_CONFIG,
				   rc, "the parser program %s", l->program);
	}
	p->fd = pair[0];
	p->state = TAP_PROCESS_STARTING;
	p->started_ms = tap_clock_mono_ms();
	return TAP_OK;
}

int tap_process_end(struct tap_process *p)
{
	int status = 0;

	if (p->state == TAP_PROCESS_NONE)
		return 0;
	/* One that has begun to end keeps its own status. */
	(void)kill(p->pid, SIGKILL);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	tap_io_close(&p->fd);
	p->state = TAP_PROCESS_NONE;
	return status;
}

void tap_process_hang_up(struct tap_process *p)
{
	tap_io_close(&p->fd);
}

void tap_process_dismiss(struct tap_process *p, int64_t deadline_ms)
{
	tap_process_hang_up(p);
	if (p->state == TAP_PROCESS_NONE)
		return;
	while (tap_clock_mono_ms() < deadline_ms) {
		const struct timespec nap = {.tv_nsec = 1000000};

		if (waitpid(p->pid, NULL, WNOHANG) != 0) {
			p->state = TAP_PROCESS_NONE;
			return;
		}
		(void)nanosleep(&nap, NULL);
	}
	(void)tap_process_end(p);
}

/* Up to n bytes; 0 = end of file, -1 = errno. ETIMEDOUT when the deadline passes first. */
static ssize_t receive(int fd, void *buf, size_t n, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		int64_t left = deadline_ms - tap_clock_mono_ms();
		int ready = poll(&pfd, 1, left <= 0 ? 0 : left > 60000 ? 60000 : (int)left);
		ssize_t r;

		if (ready == 0 && left > 0)
			continue;
		if (ready == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		r = ready < 0 ? -1 : recv(fd, buf, n, MSG_DONTWAIT);
		if (r >= 0 || (errno != EINTR && errno != EAGAIN))
			return r;
	}
}

static enum tap_rc check_hello(const struct tap_wire_hello *h, const char *program,
			       struct tap_err *err)
{
	if (h->magic != TAP_WIRE_MAGIC)
		return tap_err_set(err, TAP_E_CONFIG, "%s is not a parser program of dmarctap",
				   program);
	if (h->version != TAP_WIRE_VERSION)
		return tap_err_set(
		    err, TAP_E_CONFIG,
		    "%s belongs to another version of dmarctap; restart this program", program);
	if (h->ok == 0)
		return tap_err_set(err, TAP_E_CONFIG, "%s cannot work: %.*s", program,
				   (int)sizeof h->text, h->text);
	return TAP_OK;
}

enum tap_rc tap_process_greet(struct tap_process *p, const struct tap_launch *l,
			      struct tap_err *err)
{
	struct tap_wire_hello h = {0};
	size_t got = 0;
	enum tap_rc rc;

	while (got < sizeof h) {
		ssize_t n =
		    receive(p->fd, (char *)&h + got, sizeof h - got, p->started_ms + START_MS);
		bool late = n < 0 && errno == ETIMEDOUT;
		int status;

		if (n > 0) {
			got += (size_t)n;
			continue;
		}
		status = tap_process_end(p);
		if (late)
			return tap_err_set(err, TAP_E_CONFIG, "%s did not start within %d s",
					   l->program, START_MS / 1000);
		return tap_err_set(err, TAP_E_CONFIG, "%s did not start (%s %d)", l->program,
				   WIFSIGNALED(status) ? "signal" : "exit status",
				   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	rc = check_hello(&h, l->program, err);
	if (rc == TAP_OK) {
		p->state = TAP_PROCESS_READY;
		p->confined = h.confined;
	} else
		(void)tap_process_end(p);
	return rc;
}

bool tap_process_quiet(const struct tap_process *p)
{
	char byte;

	return recv(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EINTR);
}

/* A name that is too long loses its end, at a character's boundary. */
static size_t name_length(const char *name)
{
	size_t n = strnlen(name, TAP_WIRE_NAME_MAX + 1);

	if (n <= TAP_WIRE_NAME_MAX)
		return n;
	n = TAP_WIRE_NAME_MAX;
	while (n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static enum tap_answer send_question(const struct tap_process *p, const struct tap_question *q,
				     struct tap_err *err)
{
	const struct tap_pool_job *job = q->job;
	struct tap_wire_request head = {.magic = TAP_WIRE_MAGIC,
					.off = job->off,
					.len = job->len,
					.now = job->now,
					.name_len = TAP_WIRE_NAME_NONE};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov[2] = {{&head, sizeof head}, {0}};
	struct msghdr msg = {.msg_iov = iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ssize_t n;

	if (job->filename != NULL) {
		head.name_len = (uint32_t)name_length(job->filename);
		iov[1] = (struct iovec){(char *)job->filename, head.name_len};
		msg.msg_iovlen = 2;
	}
	if (q->sink != NULL)
		head.flags |= TAP_WIRE_FRAMES | (job->payload ? TAP_WIRE_PAYLOAD : 0U);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &job->fd, sizeof job->fd);
	/* Never waits: a process that answers questions without taking them from the socket would fill it, and we would stand there. */
	do
		n = sendmsg(p->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n == sizeof head + iov[1].iov_len ? TAP_ANSWER_GOOD
								 : TAP_ANSWER_NONSENSE;
	if (errno == EPIPE || errno == ECONNRESET || errno == EAGAIN)
		return TAP_ANSWER_UNASKED;
	tap_err_sys(err, TAP_E_TEMP, errno, "the message cannot be handed to the parser");
	return TAP_ANSWER_TROUBLE;
}

/* Where in the frames of an answer we are. */
struct walk {
	unsigned char head[TAP_FRAME_HEAD];
	size_t head_n;
	uint32_t body_left;
	unsigned char result[TAP_FRAME_RESULT_MAX];
	size_t result_n;
	bool verdict_only, done;
};

static bool head_ok(const struct walk *w, uint32_t len)
{
	unsigned type = w->head[4];

	if (type == TAP_FRAME_RESULT)
		return len > 0 && len <= TAP_FRAME_RESULT_MAX;
	return !w->verdict_only && type >= TAP_FRAME_BEGIN && type < TAP_FRAME_RESULT && len > 0 &&
	       len <= TAP_FRAME_MAX;
}

/* False: these are not frames, or something follows the result. */
static bool walk_frames(struct walk *w, const unsigned char *p, size_t n)
{
	while (n > 0) {
		size_t take;

		if (w->done)
			return false;
		if (w->head_n < TAP_FRAME_HEAD) {
			w->head[w->head_n++] = *p++;
			n--;
			if (w->head_n < TAP_FRAME_HEAD)
				continue;
			w->body_left = tap_frame_get_u32(w->head);
			if (!head_ok(w, w->body_left))
				return false;
			continue;
		}
		take = n < w->body_left ? n : w->body_left;
		if (w->head[4] == TAP_FRAME_RESULT) {
			memcpy(w->result + w->result_n, p, take);
			w->result_n += take;
		}
		p += take;
		n -= take;
		w->body_left -= (uint32_t)take;
		if (w->body_left == 0) {
			w->done = w->head[4] == TAP_FRAME_RESULT;
			w->head_n = 0;
		}
	}
	return true;
}

/* Gives the piece to the caller; the time that he takes is not the process's. */
static enum tap_rc pour(const struct tap_question *q, const void *p, size_t n, int64_t *deadline_ms,
			struct tap_err *err)
{
	int64_t before;
	enum tap_rc rc;

	if (q->sink == NULL)
		return TAP_OK;
	before = tap_clock_mono_ms();
	rc = q->sink(q->sink_ctx, p, n, err);
	*deadline_ms += tap_clock_mono_ms() - before;
	return rc;
}

static enum tap_answer read_answer(struct tap_process *p, const struct tap_question *q,
				   struct walk *w, enum tap_rc *rc_r, struct tap_err *err)
{
	int64_t deadline = tap_clock_mono_ms() + q->deadline_ms;
	unsigned char buf[READ_PIECE];
	uint64_t total = 0;

	while (!w->done) {
		ssize_t n = receive(p->fd, buf, sizeof buf, deadline);

		if (n < 0 && errno == ETIMEDOUT)
			return TAP_ANSWER_STALLED;
		/* The kernel says "reset" when the question still lay unread in the socket. */
		if (n < 0 && errno == ECONNRESET && total == 0)
			return TAP_ANSWER_UNASKED;
		if (n <= 0)
			return TAP_ANSWER_DIED;
		total += (uint64_t)n;
		if (total > answer_max || !walk_frames(w, buf, (size_t)n))
			return TAP_ANSWER_NONSENSE;
		*rc_r = pour(q, buf, (size_t)n, &deadline, err);
		if (*rc_r != TAP_OK)
			return TAP_ANSWER_SINK;
	}
	return TAP_ANSWER_GOOD;
}

enum tap_answer tap_process_ask(struct tap_process *p, const struct tap_question *q,
				enum tap_rc *rc_r, struct tap_parse_result *res,
				struct tap_err *err)
{
	struct walk w = {.verdict_only = q->sink == NULL};
	enum tap_answer a = send_question(p, q, err);

	p->asked++;
	if (a == TAP_ANSWER_GOOD)
		a = read_answer(p, q, &w, rc_r, err);
	if (a != TAP_ANSWER_GOOD)
		return a;
	if (tap_frame_decode_result(w.result, w.result_n, rc_r, res, err) != TAP_OK)
		return TAP_ANSWER_NONSENSE;
	/* Only the pool says this. */
	return res->verdict == TAP_V_UNREADABLE ? TAP_ANSWER_NONSENSE : TAP_ANSWER_GOOD;
}
