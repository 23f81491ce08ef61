/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_session.c - one session: bytes between its socket and the engine, the engine's events into a delivery. */
#include "pipefilter/lmtp_server.h"

#include "base/clock.h"
#include "base/log.h"
#include "pipefilter/lmtp_engine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { READ = 64 << 10 };

struct talk {
	struct tap_lmtp_session *session;
	struct tap_lmtp *engine;
	char helo[256];
	char sender[TAP_SPOOL_TEXT + 1];
	char **rcpt;
	size_t n_rcpt;
	struct tap_delivery *delivery;
	struct tap_outcome outcome;
	int64_t since; /* when the command or the message began that is waited for */
	uint64_t bulk; /* bytes since then */
};

/* ---- events ---- */

static void on_lhlo(void *ctx, const char *name)
{
	struct talk *t = ctx;

	snprintf(t->helo, sizeof(t->helo), "%s", name);
}

static void on_mail(void *ctx, const char *sender)
{
	struct talk *t = ctx;

	snprintf(t->sender, sizeof(t->sender), "%s", sender);
}

static void forget(struct talk *t)
{
	tap_delivery_abort(&t->delivery);
	for (size_t i = 0; i < t->n_rcpt; i++)
		free(t->rcpt[i]);
	free(t->rcpt);
	t->rcpt = NULL;
	t->n_rcpt = 0;
}

static void on_drop(void *ctx)
{
	forget(ctx);
}

static bool remember(struct talk *t, const char *path)
{
	size_t n = strlen(path) + 1;

	if (!t->rcpt)
		t->rcpt = calloc(TAP_SPOOL_RECIPIENTS, sizeof(*t->rcpt));
	if (!t->rcpt || t->n_rcpt == TAP_SPOOL_RECIPIENTS)
		return false;
	t->rcpt[t->n_rcpt] = malloc(n);
	if (!t->rcpt[t->n_rcpt])
		return false;
	tap_address_strip(path, t->rcpt[t->n_rcpt++], n);
	return true;
}

static const struct tap_early_row *on_rcpt(void *ctx, const char *path)
{
	struct talk *t = ctx;
	struct tap_intake *in = t->session->generation->intake;
	struct tap_err err;

	if (tap_intake_wants(in, path) == TAP_ADDRESS_OTHER)
		return &tap_early_rows[TAP_EARLY_NO_SUCH];
	if (tap_intake_room(in, &err) != TAP_OK) {
		tap_log_err(TAP_LOG_WARNING, "lmtp", &err);
		return &tap_early_rows[TAP_EARLY_SPOOL_FULL];
	}
	return remember(t, path) ? NULL : &tap_early_rows[TAP_EARLY_TOO_MANY];
}

static void on_begin(void *ctx)
{
	struct talk *t = ctx;

	t->delivery = tap_delivery_begin(t->session->generation->intake);
}

static void on_data(void *ctx, const void *p, size_t n)
{
	struct talk *t = ctx;

	if (t->delivery)
		(void)tap_delivery_append(t->delivery, p, n);
}

static void log_fate(const struct talk *t)
{
	const struct tap_outcome *out = &t->outcome;
	bool ours = out->fate == TAP_FATE_NO_SPACE || out->fate == TAP_FATE_INNER;
	bool fine = out->fate == TAP_FATE_REPORT || out->fate == TAP_FATE_NOT_A_REPORT ||
		    out->fate == TAP_FATE_FEEDBACK;
	char bytes[32], reply[32];
	const struct tap_log_field fields[] = {
	    {"spool", out->id[0] ? out->id : NULL},
	    {"client", t->session->client[0] ? t->session->client : NULL},
	    {"from", t->sender},
	    {"to", t->n_rcpt ? t->rcpt[0] : NULL},
	    {"bytes", bytes},
	    {"reply", reply},
	    {"why", out->why[0] ? out->why : NULL},
	    {NULL, NULL},
	};

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)out->bytes);
	snprintf(reply, sizeof(reply), "%d", out->row->smtp);
	tap_log_fields(ours   ? TAP_LOG_ERROR
		       : fine ? TAP_LOG_INFO
			      : TAP_LOG_WARNING,
		       "lmtp", fields, "%s", tap_fate_name[out->fate]);
}

static void on_end(void *ctx, struct tap_lmtp_verdict *v)
{
	static const enum tap_way way[] = {[TAP_NOT_REPORT_QUARANTINE] = TAP_WAY_LMTP,
					   [TAP_NOT_REPORT_FORWARD] = TAP_WAY_LMTP_FORWARD,
					   [TAP_NOT_REPORT_REJECT] = TAP_WAY_LMTP_REJECT};
	struct talk *t = ctx;
	struct tap_intake *in = t->session->generation->intake;
	struct tap_envelope env = {
	    .sender = t->sender,
	    .recipients = (const char *const *)t->rcpt,
	    .n_recipients = t->n_rcpt,
	    .client = t->session->client[0] ? t->session->client : NULL,
	    .helo = t->helo[0] ? t->helo : NULL,
	};

	tap_delivery_finish(&t->delivery, way[tap_intake_reports(in)->not_report], &env,
			    &t->outcome);
	log_fate(t);
	forget(t);
	v->row = t->outcome.row;
	v->id = t->outcome.id;
}

static const struct tap_lmtp_ops ops = {on_lhlo, on_mail, on_rcpt, on_begin,
					on_data, on_end,  on_drop};

/* ---- the socket ---- */

static int until(int64_t deadline)
{
	int64_t left = deadline - tap_clock_mono_ms();

	return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* False: the client is gone or does not read. */
static bool flush(struct talk *t)
{
	int64_t deadline = tap_clock_mono_ms() + t->session->generation->lmtp.data_timeout;
	struct pollfd p = {.fd = t->session->fd, .events = POLLOUT};
	size_t n;
	const char *out;

	while ((out = tap_lmtp_output(t->engine, &n)), n > 0) {
		ssize_t k = send(p.fd, out, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k > 0)
			tap_lmtp_taken(t->engine, (size_t)k);
		else if (k < 0 && errno == EINTR)
			continue;
		else if (k < 0 && errno != EAGAIN)
			return false;
		else if (poll(&p, 1, until(deadline)) <= 0)
			return false;
	}
	return true;
}

static int64_t deadline_of(const struct talk *t)
{
	const struct tap_lmtp_settings *set = &t->session->generation->lmtp;
	int64_t end, quiet;

	if (tap_lmtp_state(t->engine) == TAP_LMTP_MESSAGE) {
		end = t->since + set->message_timeout;
		quiet = tap_clock_mono_ms() + set->data_timeout;
		end = quiet < end ? quiet : end;
	} else {
		end = t->since + set->command_timeout;
	}
	return end;
}

enum waited { READY, TIMED_OUT, STOPPED };

/* Waits for bytes. A server that stops waits only for who is in a transaction, and only for a while. */
static enum waited wait_input(struct talk *t)
{
	struct tap_lmtp_server *s = t->session->server;
	struct pollfd p[2] = {{.fd = t->session->fd, .events = POLLIN},
			      {.fd = s->wake, .events = POLLIN}};
	int64_t deadline = deadline_of(t);
	int r;

	for (;;) {
		bool stop = s->stopping;

		if (stop && tap_lmtp_state(t->engine) == TAP_LMTP_IDLE)
			return STOPPED;
		if (stop && s->drain_until < deadline)
			deadline = s->drain_until;
		r = poll(p, stop ? 1 : 2, until(deadline));
		/* Who sends without a pause comes to the end of his time, too. */
		if (r > 0 && p[0].revents && tap_clock_mono_ms() < deadline)
			return READY;
		if (r == 0 || (r > 0 && p[0].revents))
			return stop ? STOPPED : TIMED_OUT;
		if (r < 0 && errno != EINTR)
			return TIMED_OUT;
	}
}

/* Who sends very much goes slower while others are there. */
static void pace(struct talk *t, size_t n)
{
	struct timespec ts = {0, (long)(n * 1000 / TAP_LMTP_PACE)};

	t->bulk += n;
	if (t->bulk > TAP_LMTP_FREE && t->session->server->n_sessions > 1)
		nanosleep(&ts, NULL);
}

/* False: the client is gone. */
static bool feed(struct talk *t, const char *p, size_t n)
{
	while (n > 0 && tap_lmtp_state(t->engine) != TAP_LMTP_OVER) {
		enum tap_lmtp_state before = tap_lmtp_state(t->engine);
		size_t used = tap_lmtp_feed(t->engine, p, n);
		size_t waiting;

		p += used;
		n -= used;
		(void)tap_lmtp_output(t->engine, &waiting);
		if (waiting > 0 || tap_lmtp_state(t->engine) != before) {
			/* Something was answered: the time for the next command or message begins. */
			bool between = before == TAP_LMTP_MESSAGE &&
				       tap_lmtp_state(t->engine) == TAP_LMTP_MESSAGE;

			if (!between) {
				t->since = tap_clock_mono_ms();
				t->bulk = 0;
			}
		}
		if (waiting > 0 && !flush(t))
			return false;
	}
	return true;
}

static void talk(struct talk *t, char *buf)
{
	bool there = flush(t);

	t->since = tap_clock_mono_ms();
	while (there && tap_lmtp_state(t->engine) != TAP_LMTP_OVER) {
		enum waited w = wait_input(t);
		ssize_t n;

		if (w != READY) {
			tap_lmtp_close(t->engine,
				       w == STOPPED ? TAP_LMTP_SHUTDOWN : TAP_LMTP_TIMEOUT);
			break;
		}
		n = recv(t->session->fd, buf, READ, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
		if (n > 0) {
			there = feed(t, buf, (size_t)n);
			pace(t, (size_t)n);
		}
	}
	if (there)
		(void)flush(t);
}

void tap_lmtp_session_run(struct tap_lmtp_session *s)
{
	const struct tap_lmtp_generation *g = s->generation;
	const struct tap_lmtp_config cfg = {
	    .hostname = s->server->hostname,
	    .max_message = (uint64_t)g->reports.max_message,
	    .max_recipients = (size_t)g->lmtp.max_recipients,
	    .max_line = (size_t)g->lmtp.max_line,
	    .max_errors = (size_t)g->lmtp.max_errors,
	};
	struct talk *t = calloc(1, sizeof(*t));
	char *buf = malloc(READ);

	if (t && buf) {
		t->session = s;
		t->engine = tap_lmtp_new(&cfg, &ops, t);
		if (t->engine)
			talk(t, buf);
		tap_lmtp_free(&t->engine);
		forget(t);
	}
	free(buf);
	free(t);
}
