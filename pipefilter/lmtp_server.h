/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_server.h - the LMTP door's sockets and sessions: one thread accepts, each session has a thread of its own.
 * Limits [I7]: sessions at a time, sessions of one address, time for a command and for a message; a session that sends much is read no
 * faster than TAP_LMTP_PACE while others are there, so that it cannot take the processor from them.
 * Lock order: one lock, never held over I/O but the closing words to a client that is one too many (which never wait). */
#ifndef TAP_PIPEFILTER_LMTP_SERVER_H
#define TAP_PIPEFILTER_LMTP_SERVER_H

#include "intake/intake.h"
#include "pipefilter/lmtp_reload.h"
#include "pipefilter/lmtp_settings.h"
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum {
	TAP_LMTP_PACE = 4,	   /* bytes a microsecond */
	TAP_LMTP_FREE = 512 << 10, /* bytes of a message that are read at any speed */
};

struct tap_lmtp_session {
	struct tap_lmtp_server *server;
	struct tap_lmtp_session *next, **link;
	struct tap_lmtp_generation *generation; /* what it goes by, to its end */
	int fd;
	bool tcp;
	char client[INET6_ADDRSTRLEN]; /* "" = over a unix socket */
};

struct tap_lmtp_server {
	struct tap_lmtp_generation
	    *now; /* of new sessions; changed by the main thread alone, under the lock */
	char hostname[256];
	int signals;		 /* signalfd of SIGTERM, SIGINT and SIGHUP */
	int wake;		 /* eventfd: readable once the server stops */
	struct pollfd *listener; /* unix and TCP; the signals last */
	size_t n_listeners;
	_Atomic bool stopping;
	_Atomic int64_t drain_until; /* monotonic ms */
	_Atomic unsigned n_sessions;
	pthread_mutex_t lock;
	pthread_cond_t gone; /* monotonic */
	struct tap_lmtp_session *sessions;
};

/* Opens the sockets that g names; call as the user that may (the group of a socket is set here). g is the first generation: the caller keeps
 * a share in it until the server is closed. */
enum tap_rc tap_lmtp_server_open(struct tap_lmtp_generation *g, struct tap_lmtp_server **s_r,
				 struct tap_err *err) TAP_MUST_CHECK;
/* Before any thread exists, and before the service manager may send one. */
void tap_lmtp_server_block(void);
/* Serves until SIGTERM or SIGINT, then waits for messages under way; reads the configuration anew at SIGHUP. *idle_r: no session is left, so
 * that nobody uses an intake. */
enum tap_rc tap_lmtp_server_run(struct tap_lmtp_server *s, const struct tap_lmtp_reload *r,
				bool *idle_r, struct tap_err *err) TAP_MUST_CHECK;
void tap_lmtp_server_close(struct tap_lmtp_server **s); /* NULL-safe, sets NULL */

/* lmtp_session.c: talks until the session is over. */
void tap_lmtp_session_run(struct tap_lmtp_session *s);

#endif
