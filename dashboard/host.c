/* SPDX-License-Identifier: Apache-2.0
 * dashboard/host.c - see host.h. */
#include "dashboard/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static bool is_v6(const char *s)
{
	struct in6_addr a;

	return inet_pton(AF_INET6, s, &a) == 1;
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_';
}

bool tap_host_is_name(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n >= TAP_HOST_NAME)
		return false;
	if (strchr(s, ':'))
		return is_v6(s);
	for (size_t i = 0; i < n; i++) {
		if (!name_char(s[i]))
			return false;
	}
	return true;
}

static bool parse_port(const char *s, int *port_r)
{
	int port = 0;

	if (*s == '\0')
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		port = port * 10 + (*s - '0');
		if (port > 65535)
			return false;
	}
	*port_r = port;
	return true;
}

static void set_name(struct tap_host *h, const char *s, size_t n)
{
	if (n > 0 && s[n - 1] == '.')
		n--;
	for (size_t i = 0; i < n; i++)
		h->name[i] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] + ('a' - 'A') : s[i]);
	h->name[n] = '\0';
}

/* Splits "host", "host:port" and "[v6]:port"; an empty host is left to the caller. */
static bool split(const char *s, struct tap_host *h)
{
	const char *end, *rest;
	size_t n;

	h->port = -1;
	if (*s == '[') {
		end = strchr(++s, ']');
		rest = end ? end + 1 : NULL;
	} else {
		end = strchr(s, ':');
		if (!end)
			end = s + strlen(s);
		rest = end;
	}
	if (!end)
		return false;
	n = (size_t)(end - s);
	if (n >= TAP_HOST_NAME)
		return false;
	set_name(h, s, n);
	if (*end == ']' && !is_v6(h->name))
		return false;
	if (*rest == '\0')
		return true;
	return *rest == ':' && parse_port(rest + 1, &h->port);
}

bool tap_host_parse(const char *s, struct tap_host *out_r)
{
	struct tap_host h;

	if (!split(s, &h) || h.port < 0)
		return false;
	if (strcmp(h.name, "*") == 0)
		h.name[0] = '\0';
	if (h.name[0] != '\0' && !tap_host_is_name(h.name))
		return false;
	*out_r = h;
	return true;
}

bool tap_host_is_loopback(const char *name)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, name, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	if (inet_pton(AF_INET6, name, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcasecmp(name, "localhost") == 0;
}

static bool same_host(const char *a, const char *b)
{
	struct in6_addr x, y;

	if (inet_pton(AF_INET6, a, &x) == 1 && inet_pton(AF_INET6, b, &y) == 1)
		return IN6_ARE_ADDR_EQUAL(&x, &y);
	return strcasecmp(a, b) == 0;
}

bool tap_host_allowed(const char *header, const char *listen_name, const struct tap_list *hosts)
{
	static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
	struct tap_host h;

	if (!split(header, &h) || h.name[0] == '\0')
		return false;
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
		if (same_host(h.name, always[i]))
			return true;
	}
	if (listen_name[0] != '\0' && same_host(h.name, listen_name))
		return true;
	for (size_t i = 0; i < hosts->n; i++) {
		if (same_host(h.name, hosts->item[i]))
			return true;
	}
	return false;
}
