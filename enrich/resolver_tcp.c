/* SPDX-License-Identifier: Apache-2.0
 * enrich/resolver_tcp.c - the same question over TCP, when a datagram had no room for the answer: a few connections at once, one
 * question each (RFC 7766). */
#include "enrich/resolver_priv.h"

#include "base/io.h"

#include <errno.h>
#include <string.h>

enum { LENGTH = 2, ANSWER_MOST = LENGTH + 65535 };

/* The connection is free again; its item is the caller's. */
static struct tap_dns_item *hang_up(struct tap_dns_conn *c)
{
	struct tap_dns_item *it = c->item;

	c->item = NULL;
	tap_io_close(&c->fd);
	return it;
}

static bool dial(struct tap_dns_run *u, struct tap_dns_conn *c, struct tap_dns_item *it,
		 int64_t now)
{
	const union tap_dns_addr *a = &u->r->servers.addr[it->server];
	struct tap_wire_question q = {it->name, it->len, it->type, it->id, !it->no_edns};
	size_t n = tap_wire_build(&q, c->out + LENGTH);

	if (c->in == NULL)
		c->in = tap_arena_alloc(u->scratch, ANSWER_MOST);
	if (n == 0 || c->in == NULL)
		return false;
	c->fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return false;
	if (connect(c->fd, &a->sa, a->sa.sa_family == AF_INET ? sizeof a->in4 : sizeof a->in6) !=
		0 &&
	    errno != EINPROGRESS) {
		tap_io_close(&c->fd);
		return false;
	}
	c->out[0] = (uint8_t)(n >> 8);
	c->out[1] = (uint8_t)n;
	c->out_len = LENGTH + n;
	c->out_done = c->got = 0;
	c->due_ms = now + u->r->timeout_ms;
	if (c->due_ms > it->give_up_ms)
		c->due_ms = it->give_up_ms;
	c->item = it;
	(void)atomic_fetch_add(&u->r->tcp, 1);
	return true;
}

void tap_dns_tcp_start(struct tap_dns_run *u, int64_t now)
{
	for (size_t i = 0; i < TAP_DNS_CONNS && u->tcp.head != NULL; i++) {
		struct tap_dns_item *it;

		if (u->conn[i].item != NULL)
			continue;
		it = tap_dns_pop(&u->tcp);
		if (now >= it->give_up_ms || !dial(u, &u->conn[i], it, now))
			tap_dns_again(u, it, now);
	}
}

size_t tap_dns_tcp_poll(struct tap_dns_run *u, struct pollfd *p, int64_t *due_r)
{
	for (size_t i = 0; i < TAP_DNS_CONNS; i++) {
		const struct tap_dns_conn *c = &u->conn[i];

		p[i] = (struct pollfd){.fd = c->item != NULL ? c->fd : -1};
		p[i].events = c->out_done < c->out_len ? POLLOUT : POLLIN;
		if (c->item != NULL && c->due_ms < *due_r)
			*due_r = c->due_ms;
	}
	return TAP_DNS_CONNS;
}

static size_t wanted(const struct tap_dns_conn *c)
{
	return c->got < LENGTH ? LENGTH : LENGTH + ((size_t)c->in[0] << 8 | c->in[1]);
}

/* True while there is more to come. */
static bool move_bytes(struct tap_dns_conn *c)
{
	ssize_t n;

	if (c->out_done < c->out_len) {
		n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->out_done += (size_t)n;
		return true;
	}
	while (c->got < wanted(c)) {
		n = recv(c->fd, c->in + c->got, wanted(c) - c->got, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0)
			return false;
		c->got += (size_t)n;
	}
	return false;
}

static bool complete(const struct tap_dns_conn *c)
{
	return c->got > LENGTH && c->got == wanted(c);
}

void tap_dns_tcp_work(struct tap_dns_run *u, const struct pollfd *p, int64_t now)
{
	for (size_t i = 0; i < TAP_DNS_CONNS; i++) {
		struct tap_dns_conn *c = &u->conn[i];
		struct tap_dns_item *it;

		if (c->item == NULL || (p[i].revents == 0 && now < c->due_ms))
			continue;
		if (p[i].revents != 0 && move_bytes(c) && now < c->due_ms)
			continue;
		it = hang_up(c);
		if (complete(c) && tap_dns_take(u, it, c->in + LENGTH, c->got - LENGTH, true, now))
			continue;
		it->same = 0;
		tap_dns_again(u, it, now);
	}
}

void tap_dns_tcp_end(struct tap_dns_run *u)
{
	for (size_t i = 0; i < TAP_DNS_CONNS; i++)
		(void)hang_up(&u->conn[i]);
}
