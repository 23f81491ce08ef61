/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_server.c - see lmtp_server.h. */
#include "pipefilter/lmtp_server.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/net.h"
#include "base/notify.h"
#include "pipefilter/lmtp_engine.h"
#include "pipefilter/lmtp_networks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STACK = 256 << 10, PAUSE_MS = 100, GROUP_TEXT = 16384 };

/* ---- sockets ---- */

static enum tap_rc give_group(const char *path, const char *group, struct tap_err *err)
{
	struct group g, *found = NULL;
	char *text = malloc(GROUP_TEXT);
	enum tap_rc rc = TAP_OK;

	if (!text)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "lmtp");
	if (getgrnam_r(group, &g, text, GROUP_TEXT, &found) != 0 || !found)
		rc = tap_err_set(err, TAP_E_CONFIG, "lmtp.socket_group: there is no group %s",
				 group);
	else if (chown(path, (uid_t)-1, g.gr_gid) != 0)
		rc = tap_err_sys(err, TAP_E_CONFIG, errno,
				 "lmtp.socket_group: cannot give %s to the group %s", path, group);
	free(text);
	return rc;
}

static enum tap_rc listen_on(const struct tap_lmtp_settings *set, const char *what, int *fd_r,
			     struct tap_err *err)
{
	const char *path = tap_lmtp_unix_path(what);
	enum tap_rc rc;

	if (!path)
		rc = tap_net_listen_tcp(what, fd_r, NULL, err);
	else
		rc = tap_net_listen_unix(path, tap_lmtp_socket_mode(set), fd_r, err);
	if (!rc && path && set->socket_group)
		rc = give_group(path, set->socket_group, err);
	/* Another connection may be gone again before accept: it must not wait for the next one. */
	if (!rc && fcntl(*fd_r, F_SETFL, O_NONBLOCK) != 0)
		rc = tap_err_sys(err, TAP_E_TEMP, errno, "lmtp");
	return rc;
}

static void the_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void tap_lmtp_server_block(void)
{
	sigset_t set;

	the_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static enum tap_rc prepare(struct tap_lmtp_server *s, struct tap_err *err)
{
	const struct tap_lmtp_settings *own = &s->now->lmtp;
	pthread_condattr_t attr;
	sigset_t set;
	enum tap_rc rc = TAP_OK;

	if (own->hostname)
		snprintf(s->hostname, sizeof(s->hostname), "%s", own->hostname);
	else if (gethostname(s->hostname, sizeof(s->hostname) - 1) != 0 || !s->hostname[0])
		snprintf(s->hostname, sizeof(s->hostname), "localhost");
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->gone, &attr);
	pthread_condattr_destroy(&attr);
	the_signals(&set);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->listener = calloc(own->listen.n + 1, sizeof(*s->listener));
	if (s->signals < 0 || s->wake < 0 || !s->listener)
		return tap_err_sys(err, TAP_E_TEMP, errno, "lmtp");
	for (size_t i = 0; !rc && i < own->listen.n; i++) {
		s->listener[i].fd = -1;
		s->listener[i].events = POLLIN;
		s->n_listeners = i + 1;
		rc = listen_on(own, own->listen.item[i], &s->listener[i].fd, err);
	}
	s->listener[s->n_listeners] = (struct pollfd){.fd = s->signals, .events = POLLIN};
	return rc;
}

enum tap_rc tap_lmtp_server_open(struct tap_lmtp_generation *g, struct tap_lmtp_server **s_r,
				 struct tap_err *err)
{
	struct tap_lmtp_server *s = calloc(1, sizeof(*s));
	enum tap_rc rc;

	*s_r = NULL;
	if (!s)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "lmtp");
	s->now = g;
	g->users++;
	s->signals = s->wake = -1;
	rc = prepare(s, err);
	if (rc)
		tap_lmtp_server_close(&s);
	*s_r = s;
	return rc;
}

void tap_lmtp_server_close(struct tap_lmtp_server **sp)
{
	struct tap_lmtp_server *s = sp ? *sp : NULL;

	if (!s)
		return;
	for (size_t i = 0; i < s->n_listeners; i++)
		tap_io_close(&s->listener[i].fd);
	tap_io_close(&s->signals);
	tap_io_close(&s->wake);
	if (--s->now->users == 0)
		tap_lmtp_generation_free(&s->now);
	pthread_cond_destroy(&s->gone);
	pthread_mutex_destroy(&s->lock);
	free(s->listener);
	free(s);
	*sp = NULL;
}

/* ---- sessions ---- */

static void leave(struct tap_lmtp_session *s)
{
	struct tap_lmtp_server *server = s->server;
	struct tap_lmtp_generation *g = s->generation;

	tap_io_close(&s->fd);
	/* The last one of an older generation ends it, and counts as a session until that is done. */
	pthread_mutex_lock(&server->lock);
	if (--g->users == 0) {
		pthread_mutex_unlock(&server->lock);
		tap_lmtp_generation_free(&g);
		pthread_mutex_lock(&server->lock);
	}
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	server->n_sessions--;
	pthread_cond_signal(&server->gone);
	pthread_mutex_unlock(&server->lock);
	free(s);
}

static void *session_thread(void *arg)
{
	tap_lmtp_session_run(arg);
	leave(arg);
	return NULL;
}

/* Room for one more, of this client, too? Under the lock. */
static bool room(const struct tap_lmtp_server *server, const struct tap_lmtp_session *s)
{
	const struct tap_lmtp_settings *set = &server->now->lmtp;
	int64_t same = 0;

	if (server->n_sessions >= (uint64_t)set->max_sessions)
		return false;
	for (const struct tap_lmtp_session *o = server->sessions; s->tcp && o; o = o->next)
		same += o->tcp && strcmp(o->client, s->client) == 0;
	return same < set->max_client;
}

static bool enter(struct tap_lmtp_session *s)
{
	struct tap_lmtp_server *server = s->server;
	bool yes;

	pthread_mutex_lock(&server->lock);
	yes = room(server, s);
	if (yes) {
		s->next = server->sessions;
		s->link = &server->sessions;
		if (s->next)
			s->next->link = &s->next;
		server->sessions = s;
		server->n_sessions++;
		s->generation = server->now;
		s->generation->users++;
	}
	pthread_mutex_unlock(&server->lock);
	return yes;
}

static void send_off(struct tap_lmtp_session *s, enum tap_lmtp_end why)
{
	char line[128];
	size_t n = tap_lmtp_farewell(why, line, sizeof(line));

	/* A new socket has room for a line. Whoever does not get it sees the end, which says the same. */
	if (send(s->fd, line, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		tap_debug("lmtp", "a client was gone before its answer");
	tap_io_close(&s->fd);
	free(s);
}

static void start(struct tap_lmtp_session *s)
{
	pthread_attr_t attr;
	pthread_t thread;
	int e;

	if (!enter(s)) {
		tap_warn("lmtp", "too many sessions: %s is told to come again",
			 s->tcp ? s->client : "a client");
		send_off(s, TAP_LMTP_TOO_MANY);
		return;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	e = pthread_create(&thread, &attr, session_thread, s);
	pthread_attr_destroy(&attr);
	if (e) {
		struct tap_err err;

		tap_err_sys(&err, TAP_E_TEMP, e, "no thread for a session");
		tap_log_err(TAP_LOG_ERROR, "lmtp", &err);
		leave(s);
	}
}

static void address_of(const struct sockaddr_storage *a, char *out, socklen_t n)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	const void *p = &((const struct sockaddr_in *)a)->sin_addr;
	int family = a->ss_family;

	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		p = &v6->sin6_addr.s6_addr[12];
		family = AF_INET;
	} else if (family == AF_INET6) {
		p = &v6->sin6_addr;
	}
	if (!inet_ntop(family, p, out, n))
		out[0] = '\0';
}

static void take(struct tap_lmtp_server *server, int listener)
{
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof(a);
	struct timespec pause = {0, PAUSE_MS * 1000000L};
	struct tap_lmtp_session *s;
	int fd = accept4(listener, (struct sockaddr *)&a, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			tap_warn("lmtp", "no descriptor or memory for a session: it waits");
			nanosleep(&pause, NULL);
		}
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		tap_io_close(&fd);
		return;
	}
	s->server = server;
	s->fd = fd;
	s->tcp = a.ss_family == AF_INET || a.ss_family == AF_INET6;
	if (s->tcp) {
		address_of(&a, s->client, sizeof(s->client));
		if (!tap_networks_hold(&server->now->lmtp.allow, s->client)) {
			tap_warn("lmtp", "%s is in no network of lmtp.allow", s->client);
			tap_io_close(&s->fd);
			free(s);
			return;
		}
	}
	start(s);
}

/* ---- the end ---- */

static bool drain(struct tap_lmtp_server *s)
{
	struct timespec end;
	uint64_t one = 1;
	/* Sessions that were told to stop need a moment to say so. */
	int64_t until = tap_clock_mono_ms() + s->now->lmtp.drain + 1000;
	bool idle;

	s->drain_until = tap_clock_mono_ms() + s->now->lmtp.drain;
	s->stopping = true;
	if (eventfd_write(s->wake, one) != 0)
		tap_warn("lmtp", "could not wake the sessions");
	end = (struct timespec){until / 1000, until % 1000 * 1000000};
	pthread_mutex_lock(&s->lock);
	while (s->n_sessions > 0 && pthread_cond_timedwait(&s->gone, &s->lock, &end) == 0)
		;
	idle = s->n_sessions == 0;
	pthread_mutex_unlock(&s->lock);
	return idle;
}

/* ---- serving ---- */

static void use(struct tap_lmtp_server *s, struct tap_lmtp_generation *g)
{
	struct tap_lmtp_generation *before = s->now;
	bool last;

	pthread_mutex_lock(&s->lock);
	g->users++;
	s->now = g;
	last = --before->users == 0;
	pthread_mutex_unlock(&s->lock);
	if (last)
		tap_lmtp_generation_free(&before);
}

/* False: it is time to stop. */
static bool heed_signals(struct tap_lmtp_server *s, const struct tap_lmtp_reload *r)
{
	struct signalfd_siginfo info;
	bool anew = false;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGHUP)
			return false;
		anew = true;
	}
	if (anew) {
		struct tap_lmtp_generation *g = tap_lmtp_reload(r);

		if (g)
			use(s, g);
	}
	return true;
}

enum tap_rc tap_lmtp_server_run(struct tap_lmtp_server *s, const struct tap_lmtp_reload *r,
				bool *idle_r, struct tap_err *err)
{
	int64_t beat = tap_notify_watchdog_ms() / 3, next = tap_clock_mono_ms();
	enum tap_rc rc = TAP_OK;

	for (;;) {
		int n = poll(s->listener, s->n_listeners + 1,
			     beat <= 0		? -1
			     : beat > INT32_MAX ? INT32_MAX
						: (int)beat);

		if (n < 0 && errno != EINTR) {
			rc = tap_err_sys(err, TAP_E_TEMP, errno, "lmtp: poll");
			break;
		}
		if (beat > 0 && tap_clock_mono_ms() >= next) {
			tap_notify("WATCHDOG=1");
			next = tap_clock_mono_ms() + beat;
		}
		if (n > 0 && s->listener[s->n_listeners].revents && !heed_signals(s, r))
			break;
		for (size_t i = 0; n > 0 && i < s->n_listeners; i++) {
			if (s->listener[i].revents)
				take(s, s->listener[i].fd);
		}
	}
	for (size_t i = 0; i < s->n_listeners; i++)
		tap_io_close(&s->listener[i].fd);
	tap_notify("STOPPING=1");
	*idle_r = drain(s);
	return rc;
}
