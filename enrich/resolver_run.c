/* SPDX-License-Identifier: Apache-2.0
 * enrich/resolver_run.c - the loop of one call: sends what is ready as far as the window allows, reads what comes, sends again what
 * seems lost, and gives up in time. The window grows with each answer and shrinks with
 * each loss, so that nobody is flooded. */
#include "enrich/resolver_priv.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum {
	FIRST_WINDOW = 64,
	LEAST_WINDOW = 16,
	LOSS_COST = 4,	 /* more than one in five lost: the window shrinks */
	SAME_SERVER = 2, /* datagrams to one server before another is tried */
	MOST_BAD = 3,	 /* refusals of one question */
	DATAGRAMS = 256, /* read from one socket before the others have their turn */
	SILENT_LEAST =
	    8, /* questions without an answer that tell of the servers, not of their names */
	EDNS_TRIES = 4, /* then without: some paths swallow it */
	RECEIVE_BUFFER = 1 << 20,
	PACKET = 65536,
	POLL_MOST = 1 + TAP_DNS_SERVERS * TAP_DNS_SOCKETS + TAP_DNS_CONNS,
};

static uint16_t random16(struct tap_dns_run *u)
{
	if (u->random_left == 0) {
		/* 256 bytes come whole (getrandom(2)) */
		while (getrandom(u->random, sizeof u->random, 0) != (ssize_t)sizeof u->random)
			;
		u->random_left = sizeof u->random / sizeof u->random[0];
	}
	return u->random[--u->random_left];
}

void tap_dns_fail(struct tap_dns_run *u, struct tap_dns_item *it, const char *why)
{
	memset(&it->a, 0, sizeof it->a);
	it->a.why = why;
	u->open--;
}

static void fail_queue(struct tap_dns_run *u, struct tap_dns_queue *q, const char *why)
{
	struct tap_dns_item *it;

	while ((it = tap_dns_pop(q)) != NULL)
		tap_dns_fail(u, it, why);
}

static void fail_all(struct tap_dns_run *u, const char *why)
{
	while (u->flying > 0)
		tap_dns_fail(u, u->flight[--u->flying], why);
	for (size_t i = 0; i < TAP_DNS_CONNS; i++) {
		if (u->conn[i].item != NULL)
			tap_dns_fail(u, u->conn[i].item, why);
		u->conn[i].item = NULL;
	}
	fail_queue(u, &u->again, why);
	fail_queue(u, &u->tcp, why);
	fail_queue(u, &u->ready, why);
}

void tap_dns_again(struct tap_dns_run *u, struct tap_dns_item *it, int64_t now)
{
	if (it->tries >= u->r->tries || now >= it->give_up_ms)
		tap_dns_fail(u, it, "no answer in time");
	else
		tap_dns_push(&u->again, it);
}

/* --- what came --- */

static void settle(struct tap_dns_run *u, struct tap_dns_item *it, enum tap_wire_kind kind,
		   const struct tap_wire_answer *w)
{
	uint32_t ttl = it->hops > 0 && it->a.ttl < w->ttl ? it->a.ttl : w->ttl;

	it->a = (struct tap_dns_answer){
	    .state = kind == TAP_WIRE_FOUND ? TAP_DNS_ANSWER : TAP_DNS_NONE,
	    .no_name = w->no_name,
	    .cut = w->cut,
	    .ttl = ttl,
	    .n = w->n,
	    .string = w->string,
	};
	u->open--;
	if (it->confirm && kind == TAP_WIRE_FOUND)
		tap_dns_want_confirmed(u, it);
}

static void follow(struct tap_dns_run *u, struct tap_dns_item *it, const struct tap_wire_answer *w,
		   int64_t now)
{
	uint32_t ttl = it->hops > 0 && it->a.ttl < w->ttl ? it->a.ttl : w->ttl;

	it->hops = (uint8_t)(it->hops + w->hops);
	if (it->hops > TAP_WIRE_HOPS) {
		tap_dns_fail(u, it, "aliases that lead nowhere");
		return;
	}
	it->a.ttl = ttl;
	it->name = w->next;
	it->len = (uint8_t)w->next_len;
	it->tries = it->same = 0;
	it->tried = 0;
	it->patience_ms = 0;
	tap_dns_again(u, it, now);
}

static void refused(struct tap_dns_run *u, struct tap_dns_item *it, const char *why, int64_t now)
{
	it->same = SAME_SERVER; /* another one, please */
	if (++it->bad >= MOST_BAD || it->bad > u->r->servers.n)
		tap_dns_fail(u, it, why);
	else
		tap_dns_again(u, it, now);
}

bool tap_dns_take(struct tap_dns_run *u, struct tap_dns_item *it, const uint8_t *msg, size_t n,
		  bool over_tcp, int64_t now)
{
	struct tap_wire_question q = {it->name, it->len, it->type, it->id, !it->no_edns};
	struct tap_wire_answer w;
	enum tap_wire_kind kind = tap_wire_read(msg, n, &q, u->scratch, &w);

	if (kind == TAP_WIRE_NOT_OURS || kind == TAP_WIRE_BROKEN)
		return false;
	(void)atomic_fetch_add(&u->r->answers, 1);
	tap_dns_answered(u->r, it->server, !over_tcp && it->once ? now - it->sent_ms : -1);
	u->last_word_ms = now;
	u->asked_since = 0;
	u->probing = false;
	if (u->window < u->r->in_flight)
		u->window++;
	if (kind == TAP_WIRE_TRUNCATED && !over_tcp) {
		tap_dns_push(&u->tcp, it);
	} else if (kind == TAP_WIRE_NO_EDNS) {
		tap_dns_refuses_edns(u->r, it->server);
		it->no_edns = true;
		tap_dns_again(u, it, now);
	} else if (kind == TAP_WIRE_MORE) {
		follow(u, it, &w, now);
	} else if (kind == TAP_WIRE_FULL) {
		tap_dns_fail(u, it, "the answers are too large");
	} else if (kind == TAP_WIRE_FOUND || kind == TAP_WIRE_NONE) {
		settle(u, it, kind, &w);
	} else {
		refused(u, it, w.why != NULL ? w.why : "no sense in the answer", now);
	}
	return true;
}

static void drop_flight(struct tap_dns_run *u, size_t i)
{
	u->flight[i] = u->flight[--u->flying];
}

static void datagram(struct tap_dns_run *u, size_t server, size_t socket_no, size_t n, int64_t now)
{
	for (size_t i = 0; i < u->flying && n >= 2; i++) {
		struct tap_dns_item *it = u->flight[i];

		if (it->server != server || it->socket != socket_no ||
		    it->id != (u->packet[0] << 8 | u->packet[1]))
			continue;
		if (tap_dns_take(u, it, u->packet, n, false, now)) {
			drop_flight(u, i);
			return;
		}
	}
	(void)atomic_fetch_add(&u->r->ignored, 1);
}

static void receive(struct tap_dns_run *u, size_t server, size_t socket_no, int64_t now)
{
	for (unsigned i = 0; i < DATAGRAMS; i++) {
		ssize_t n =
		    recv(u->udp[server][socket_no], u->packet, PACKET, MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) /* an ICMP message: nobody is there */
			tap_dns_lost(u->r, server, false);
		else if (n <= PACKET)
			datagram(u, server, socket_no, (size_t)n, now);
	}
}

/* --- sending --- */

static int udp_socket(struct tap_dns_run *u, size_t server, size_t socket_no)
{
	const union tap_dns_addr *a = &u->r->servers.addr[server];
	int *fd = &u->udp[server][socket_no], size = RECEIVE_BUFFER;

	if (*fd >= 0)
		return *fd;
	*fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return -1;
	(void)setsockopt(*fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	/* Connected: the kernel chooses a random port, and lets only this server's datagrams in. */
	if (connect(*fd, &a->sa, a->sa.sa_family == AF_INET ? sizeof a->in4 : sizeof a->in6) != 0)
		tap_io_close(fd);
	return *fd;
}

static void choose_server(struct tap_dns_run *u, struct tap_dns_item *it)
{
	bool no_edns, known;
	size_t server = tap_dns_pick(u->r, &it->tried, &no_edns);
	int64_t patience = tap_dns_patience(u->r, server, &known);

	/* Longer each time, so that a server that takes long is heard once and known from then on. */
	it->patience_ms += it->patience_ms / 2;
	if (it->patience_ms < patience)
		it->patience_ms = patience;
	it->no_edns = it->no_edns || no_edns;
	/* One that has never answered gets one datagram, then the next has its turn. */
	it->same = known ? 0 : SAME_SERVER - 1;
	it->once = it->tries == 0 || server != it->server;
	if (!it->once)
		return; /* the only one: a late answer to what was sent before is welcome */
	it->server = (uint8_t)server;
	it->socket = (uint8_t)(random16(u) % TAP_DNS_SOCKETS);
	it->id = random16(u);
}

static bool send_bytes(int fd, const uint8_t *p, size_t n)
{
	for (int i = 0; i < 2; i++) {
		if (send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n)
			return true;
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
			return true;	   /* as lost on the way */
		if (errno != ECONNREFUSED) /* that is an error of an earlier one */
			return false;
	}
	return true;
}

static void send_item(struct tap_dns_run *u, struct tap_dns_item *it, int64_t now)
{
	uint8_t wire[TAP_WIRE_QUERY];
	struct tap_wire_question q;
	size_t n;
	int fd;

	if (it->give_up_ms == 0) {
		it->give_up_ms = now + 2 * u->r->timeout_ms;
		u->asked_since++;
	}
	if (it->same == 0 || it->same >= SAME_SERVER)
		choose_server(u, it);
	else {
		it->once = false;
		it->patience_ms += it->patience_ms / 2;
	}
	if (it->tries >= EDNS_TRIES)
		it->no_edns = true;
	it->tries++;
	it->same++;
	it->sent_ms = now;
	it->due_ms = now + it->patience_ms;
	if (it->due_ms > it->give_up_ms || it->tries >= u->r->tries)
		it->due_ms = it->give_up_ms;
	q = (struct tap_wire_question){it->name, it->len, it->type, it->id, !it->no_edns};
	n = tap_wire_build(&q, wire);
	fd = udp_socket(u, it->server, it->socket);
	if (n == 0) {
		tap_dns_fail(u, it, "no question that DNS could be asked");
		return;
	}
	if (fd < 0 || !send_bytes(fd, wire, n)) {
		tap_dns_lost(u->r, it->server, true);
		it->same = SAME_SERVER;
		tap_dns_again(u, it, now);
		return;
	}
	(void)atomic_fetch_add(&u->r->queries, 1);
	u->flight[u->flying++] = it;
}

static void fill(struct tap_dns_run *u, int64_t now)
{
	size_t window = u->probing ? 1 : u->window;
	struct tap_dns_item *it;

	while (u->flying < window) {
		it = tap_dns_pop(&u->again);
		if (it == NULL)
			it = tap_dns_pop(&u->ready);
		if (it == NULL)
			return;
		send_item(u, it, now);
	}
}

/* Too much for a server that does answer; what one that is dead loses says nothing. */
static void shrink(struct tap_dns_run *u, size_t server)
{
	bool known;

	(void)tap_dns_patience(u->r, server, &known);
	if (known && u->window >= LEAST_WINDOW + LOSS_COST)
		u->window -= LOSS_COST;
}

static void expire(struct tap_dns_run *u, int64_t now)
{
	bool down[TAP_DNS_SERVERS];

	tap_dns_down(u->r, down);
	u->next_due_ms = INT64_MAX;
	for (size_t i = 0; i < u->flying;) {
		struct tap_dns_item *it = u->flight[i];

		if (down[it->server]) { /* no need to wait for that one */
			drop_flight(u, i);
			it->same = SAME_SERVER;
			tap_dns_again(u, it, now);
			continue;
		}
		if (it->due_ms <= now) {
			drop_flight(u, i);
			tap_dns_lost(u->r, it->server, false);
			(void)atomic_fetch_add(&u->r->timeouts, 1);
			shrink(u, it->server);
			tap_dns_again(u, it, now);
			continue;
		}
		if (it->due_ms < u->next_due_ms)
			u->next_due_ms = it->due_ms;
		i++;
	}
}

/* --- the loop --- */

static int64_t silence_at(const struct tap_dns_run *u)
{
	return u->last_word_ms + (u->probing ? 1 : 2) * u->r->timeout_ms;
}

/* True: all that was left has been given up. */
static bool time_is_up(struct tap_dns_run *u, int64_t now, enum tap_rc *rc)
{
	if (atomic_load(&u->r->cancelled)) {
		*rc = TAP_E_CANCELLED;
		fail_all(u, "cancelled");
		return true;
	}
	if (u->deadline_ms != 0 && now >= u->deadline_ms) {
		fail_all(u, "out of time");
		return true;
	}
	if (now >= silence_at(u) && (u->probing || u->asked_since >= SILENT_LEAST)) {
		tap_dns_silence(u->r);
		fail_all(u, "no nameserver answers");
		return true;
	}
	return false;
}

static void wait_and_read(struct tap_dns_run *u)
{
	struct pollfd p[POLL_MOST] = {{.fd = u->r->wake, .events = POLLIN}};
	struct {
		size_t server, socket;
	} of[POLL_MOST];
	int64_t due = u->next_due_ms, now = tap_clock_mono_ms();
	size_t n = 1, udp;

	if (u->deadline_ms != 0 && u->deadline_ms < due)
		due = u->deadline_ms;
	if (silence_at(u) > now && silence_at(u) < due)
		due = silence_at(u);
	for (size_t i = 0; i < u->r->servers.n; i++) {
		for (size_t k = 0; k < TAP_DNS_SOCKETS; k++) {
			if (u->udp[i][k] < 0)
				continue;
			of[n].server = i;
			of[n].socket = k;
			p[n++] = (struct pollfd){.fd = u->udp[i][k], .events = POLLIN};
		}
	}
	udp = n;
	n += tap_dns_tcp_poll(u, p + n, &due);
	now = tap_clock_mono_ms();
	if (due > now + u->r->timeout_ms)
		due = now + u->r->timeout_ms;
	if (poll(p, n, due > now ? (int)(due - now) : 0) < 0)
		return;
	now = tap_clock_mono_ms();
	for (size_t i = 1; i < udp; i++) {
		if (p[i].revents != 0)
			receive(u, of[i].server, of[i].socket, now);
	}
	tap_dns_tcp_work(u, p + udp, now);
}

static bool may_begin(struct tap_dns_run *u, int64_t now)
{
	bool silent;
	int64_t until;

	(void)pthread_mutex_lock(&u->r->lock);
	silent = u->r->silent;
	until = u->r->silent_until;
	(void)pthread_mutex_unlock(&u->r->lock);
	u->probing = silent;
	if (silent && now < until) {
		fail_all(u, "no nameserver answered a moment ago");
		return false;
	}
	return true;
}

enum tap_rc tap_dns_run(struct tap_dns_run *u, struct tap_err *err)
{
	int64_t now = tap_clock_mono_ms();
	enum tap_rc rc = TAP_OK;

	u->window = u->r->in_flight < FIRST_WINDOW ? u->r->in_flight : FIRST_WINDOW;
	u->last_word_ms = now;
	if (u->open > 0 && !may_begin(u, now))
		return TAP_OK;
	while (u->open > 0 && !time_is_up(u, now, &rc)) {
		expire(u, now);
		fill(u, now);
		tap_dns_tcp_start(u, now);
		expire(u, now);
		if (u->open > 0)
			wait_and_read(u);
		now = tap_clock_mono_ms();
	}
	tap_dns_tcp_end(u);
	for (size_t i = 0; i < TAP_DNS_SERVERS; i++) {
		for (size_t k = 0; k < TAP_DNS_SOCKETS; k++)
			tap_io_close(&u->udp[i][k]);
	}
	return rc == TAP_OK ? rc : tap_err_set(err, rc, "dns: cancelled");
}
