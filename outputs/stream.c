/* SPDX-License-Identifier: Apache-2.0
 * outputs/stream.c - see stream.h. libcurl connects and speaks TLS; datagrams go through a socket of our own. */
#include "outputs/stream.h"

#include "base/clock.h"
#include "base/io.h"

#include <curl/curl.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { NAME_MAX_BYTES = 300, FLUSH_STEP_NS = 1000000 };

const char *const tap_transports[] = {"udp", "tcp", "tls", "local", NULL};

struct tap_stream {
	const struct tap_stream_set *set;
	CURL *curl; /* TCP, TLS */
	int fd;	    /* the socket; with curl it is curl's */
};

/* "host:port", "[2001:db8::1]:port". */
static bool split(const char *server, char *host, size_t size, const char **port_r)
{
	const char *colon = strrchr(server, ':');
	size_t n = colon != NULL ? (size_t)(colon - server) : 0;

	if (n == 0 || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    strcspn(server, "/@ ?#") != strlen(server))
		return false;
	if (server[0] == '[' && server[n - 1] == ']') {
		server++;
		n -= 2;
	}
	if (n == 0 || n >= size)
		return false;
	memcpy(host, server, n);
	host[n] = '\0';
	*port_r = colon + 1;
	return true;
}

enum tap_rc tap_stream_check(const struct tap_stream_set *set, struct tap_err *err)
{
	char host[NAME_MAX_BYTES];
	const char *port;

	if (set->transport == TAP_LOCAL)
		return set->socket != NULL && strlen(set->socket) < sizeof(struct sockaddr_un) - 2
			   ? TAP_OK
			   : tap_err_set(err, TAP_E_CONFIG,
					 "transport local needs socket, the path of one");
	if (set->server == NULL || !split(set->server, host, sizeof host, &port))
		return tap_err_set(err, TAP_E_CONFIG, "server has to be \"host:port\"");
	return TAP_OK;
}

static void disconnect(struct tap_stream *s)
{
	if (s->curl != NULL) {
		curl_easy_cleanup(s->curl);
		s->curl = NULL;
		s->fd = -1;
	}
	tap_io_close(&s->fd);
}

enum tap_rc tap_stream_open(const struct tap_stream_set *set, struct tap_stream **s_r,
			    struct tap_err *err)
{
	struct tap_stream *s = calloc(1, sizeof *s);

	*s_r = s;
	if (s == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	s->set = set;
	s->fd = -1;
	return TAP_OK;
}

void tap_stream_close(struct tap_stream **s)
{
	if (*s == NULL)
		return;
	disconnect(*s);
	free(*s);
	*s = NULL;
}

static enum tap_rc connect_local(struct tap_stream *s, struct tap_err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", s->set->socket);
	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&a, sizeof a) == 0)
		return TAP_OK;
	tap_io_close(&s->fd);
	return tap_err_sys(err, TAP_E_TEMP, errno, "cannot connect to %s", s->set->socket);
}

static enum tap_rc connect_udp(struct tap_stream *s, struct tap_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list = NULL;
	char host[NAME_MAX_BYTES];
	const char *port = "";
	int e = EINVAL;

	if (split(s->set->server, host, sizeof host, &port))
		e = getaddrinfo(host, port, &hints, &list);
	if (e != 0)
		return tap_err_set(err, TAP_E_TEMP, "%s: %s", s->set->server, gai_strerror(e));
	for (const struct addrinfo *a = list; a != NULL && s->fd < 0; a = a->ai_next) {
		s->fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (s->fd >= 0 && connect(s->fd, a->ai_addr, a->ai_addrlen) != 0)
			tap_io_close(&s->fd);
	}
	e = errno;
	freeaddrinfo(list);
	return s->fd >= 0 ? TAP_OK
			  : tap_err_sys(err, TAP_E_TEMP, e, "cannot send to %s", s->set->server);
}

static enum tap_rc connect_curl(struct tap_stream *s, int64_t deadline_ms, struct tap_err *err)
{
	const struct tap_stream_set *t = s->set;
	bool tls = t->transport == TAP_TLS;
	int64_t left = deadline_ms - tap_clock_mono_ms();
	char url[NAME_MAX_BYTES + 16], why[CURL_ERROR_SIZE] = "";
	curl_socket_t fd = -1;
	CURLcode c;

	s->curl = curl_easy_init();
	if (s->curl == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	(void)snprintf(url, sizeof url, "%s://%s/", tls ? "https" : "http", t->server);
	(void)curl_easy_setopt(s->curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(s->curl, CURLOPT_CONNECT_ONLY, 1L);
	(void)curl_easy_setopt(s->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(s->curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(s->curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
	(void)curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, why);
	(void)curl_easy_setopt(s->curl, CURLOPT_TIMEOUT_MS, left > 1 ? (long)left : 1L);
	(void)curl_easy_setopt(s->curl, CURLOPT_SSL_VERIFYPEER, t->verify ? 1L : 0L);
	(void)curl_easy_setopt(s->curl, CURLOPT_SSL_VERIFYHOST, t->verify ? 2L : 0L);
	if (t->ca != NULL)
		(void)curl_easy_setopt(s->curl, CURLOPT_CAINFO, t->ca);
	if (t->certificate != NULL)
		(void)curl_easy_setopt(s->curl, CURLOPT_SSLCERT, t->certificate);
	if (t->key != NULL)
		(void)curl_easy_setopt(s->curl, CURLOPT_SSLKEY, t->key);
	c = curl_easy_perform(s->curl);
	(void)curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, NULL);
	if (c == CURLE_OK)
		c = curl_easy_getinfo(s->curl, CURLINFO_ACTIVESOCKET, &fd);
	if (c == CURLE_OK) {
		s->fd = fd;
		return TAP_OK;
	}
	disconnect(s);
	return tap_err_set(err,
			   c == CURLE_PEER_FAILED_VERIFICATION || c == CURLE_SSL_CACERT_BADFILE ||
				   c == CURLE_SSL_CERTPROBLEM
			       ? TAP_E_CONFIG
			       : TAP_E_TEMP,
			   "%s: %s", t->server, why[0] != '\0' ? why : curl_easy_strerror(c));
}

/* A log server says nothing: what can be read is an end. */
static bool closed(struct tap_stream *s)
{
	struct pollfd w = {.fd = s->fd, .events = POLLIN};
	char unused[64];
	size_t n = 0;

	if (s->curl == NULL || poll(&w, 1, 0) <= 0)
		return false;
	CURLcode c = curl_easy_recv(s->curl, unused, sizeof unused, &n);

	return c != CURLE_AGAIN && (c != CURLE_OK || n == 0);
}

enum tap_rc tap_stream_ready(struct tap_stream *s, int64_t deadline_ms, struct tap_err *err)
{
	if (s->fd >= 0 && closed(s))
		disconnect(s);
	if (s->fd >= 0)
		return TAP_OK;
	if (s->set->transport == TAP_LOCAL)
		return connect_local(s, err);
	return s->set->transport == TAP_UDP ? connect_udp(s, err)
					    : connect_curl(s, deadline_ms, err);
}

static enum tap_rc put_datagram(struct tap_stream *s, const void *p, size_t n, int64_t deadline_ms,
				struct tap_err *err)
{
	for (int refused = 0;;) {
		if (send(s->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n)
			return TAP_OK;
		if (errno == EMSGSIZE)
			return tap_err_set(err, TAP_E_LIMIT, "too large for one datagram");
		/* The answer to one that was sent before; where nobody listens each second one fails. */
		if (errno == ECONNREFUSED && s->set->transport == TAP_UDP && refused++ == 0)
			continue;
		if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
			break;
		if (tap_io_wait(s->fd, POLLOUT, deadline_ms, err) != TAP_OK)
			return err->rc;
	}
	int e = errno;

	disconnect(s);
	return tap_err_sys(err, TAP_E_TEMP, e, "cannot send");
}

enum tap_rc tap_stream_put(struct tap_stream *s, const void *p, size_t n, int64_t deadline_ms,
			   struct tap_err *err)
{
	const char *at = p;

	if (s->curl == NULL)
		return put_datagram(s, p, n, deadline_ms, err);
	while (n > 0) {
		size_t put = 0;
		CURLcode c = curl_easy_send(s->curl, at, n, &put);

		at += put;
		n -= put;
		if (c == CURLE_OK)
			continue;
		if (c == CURLE_AGAIN && tap_io_wait(s->fd, POLLOUT, deadline_ms, err) == TAP_OK)
			continue;
		disconnect(s);
		return c == CURLE_AGAIN ? err->rc
					: tap_err_set(err, TAP_E_TEMP, "%s: the connection was cut",
						      s->set->server);
	}
	return TAP_OK;
}

enum tap_rc tap_stream_flush(struct tap_stream *s, int64_t deadline_ms, struct tap_err *err)
{
	const struct timespec step = {.tv_nsec = FLUSH_STEP_NS};
	int left = 0;

	while (s->curl != NULL) {
		struct pollfd w = {.fd = s->fd};
		bool gone = ioctl(s->fd, SIOCOUTQ, &left) != 0 || left == 0;

		/* Behind the count, so that a queue which a reset has emptied is not taken for one that was read. */
		if (poll(&w, 1, 0) > 0 && (w.revents & (POLLERR | POLLHUP)) != 0)
			break;
		if (gone)
			return TAP_OK;
		if (tap_clock_mono_ms() >= deadline_ms) {
			disconnect(s);
			return tap_err_set(err, TAP_E_CANCELLED, "%s: does not take it in time",
					   s->set->server);
		}
		(void)nanosleep(&step, NULL);
	}
	if (s->curl == NULL)
		return TAP_OK;
	disconnect(s);
	return tap_err_set(err, TAP_E_TEMP, "%s: the connection was cut", s->set->server);
}
