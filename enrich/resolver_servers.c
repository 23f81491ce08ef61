/* SPDX-License-Identifier: Apache-2.0
 * enrich/resolver_servers.c - which servers are asked: the list of the settings as addresses. Threads: safe. */
#include "enrich/resolver_priv.h"

#include "base/io.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

enum { DNS_PORT = 53, TEXT = 128, RESOLV_CONF_MAX = 64 << 10, PORT_MAX = 65535 };

static bool port_of(const char *s, in_port_t *port_r)
{
	char *end;
	long v;

	if (*s < '0' || *s > '9')
		return false;
	v = strtol(s, &end, 10);
	if (*end != '\0' || v < 1 || v > PORT_MAX)
		return false;
	*port_r = htons((in_port_t)v);
	return true;
}

/* Cuts host into its parts: "1.2.3.4", "1.2.3.4:53", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:53". */
static bool split(char *host, char **addr_r, in_port_t *port_r)
{
	char *colon = strchr(host, ':'), *close = strchr(host, ']');

	*addr_r = host;
	*port_r = htons(DNS_PORT);
	if (host[0] == '[') {
		if (close == NULL)
			return false;
		*close = '\0';
		*addr_r = host + 1;
		return close[1] == '\0' || (close[1] == ':' && port_of(close + 2, port_r));
	}
	if (colon != NULL && strchr(colon + 1, ':') == NULL) {
		*colon = '\0';
		return port_of(colon + 1, port_r);
	}
	return true;
}

static bool server_of(const char *text, union tap_dns_addr *a_r)
{
	char copy[TEXT], *host, *zone;
	in_port_t port;

	if (strlen(text) >= sizeof copy)
		return false;
	memcpy(copy, text, strlen(text) + 1);
	if (!split(copy, &host, &port))
		return false;
	memset(a_r, 0, sizeof *a_r);
	if (inet_pton(AF_INET, host, &a_r->in4.sin_addr) == 1) {
		a_r->in4.sin_family = AF_INET;
		a_r->in4.sin_port = port;
		return true;
	}
	zone = strchr(host, '%');
	if (zone != NULL) {
		*zone = '\0';
		a_r->in6.sin6_scope_id = if_nametoindex(zone + 1);
		if (a_r->in6.sin6_scope_id == 0)
			return false;
	}
	a_r->in6.sin6_family = AF_INET6;
	a_r->in6.sin6_port = port;
	return inet_pton(AF_INET6, host, &a_r->in6.sin6_addr) == 1;
}

static void add(struct tap_dns_servers *s, const union tap_dns_addr *a)
{
	if (s->n < TAP_DNS_SERVERS)
		s->addr[s->n++] = *a;
}

static enum tap_rc add_system(struct tap_dns_servers *s, struct tap_err *err)
{
	union tap_dns_addr a;
	struct tap_buf b;
	char *line, *rest, *word;
	size_t before = s->n;
	enum tap_rc rc;

	tap_buf_init(&b, RESOLV_CONF_MAX);
	rc = tap_io_read_file(AT_FDCWD, "/etc/resolv.conf", &b, err);
	if (rc == TAP_OK && b.len > 0) {
		tap_buf_addc(&b, '\0');
		for (line = b.failed ? NULL : strtok_r(b.p, "\n", &rest); line != NULL;
		     line = strtok_r(NULL, "\n", &rest)) {
			char *in_line;

			word = strtok_r(line, " \t\r", &in_line);
			if (word == NULL || strcmp(word, "nameserver") != 0)
				continue;
			word = strtok_r(NULL, " \t\r", &in_line);
			if (word != NULL && server_of(word, &a))
				add(s, &a);
		}
	}
	tap_buf_free(&b);
	if (rc != TAP_OK && rc != TAP_E_NOTFOUND)
		return tap_err_prefix(err, "dns.nameservers: ");
	if (s->n == before && server_of("127.0.0.1", &a))
		add(s, &a);
	return TAP_OK;
}

enum tap_rc tap_dns_servers_make(const struct tap_list *list, struct tap_dns_servers *s_r,
				 struct tap_err *err)
{
	memset(s_r, 0, sizeof *s_r);
	for (size_t i = 0; i < list->n; i++) {
		union tap_dns_addr a;
		enum tap_rc rc = TAP_OK;

		if (strcmp(list->item[i], "system") == 0)
			rc = add_system(s_r, err);
		else if (server_of(list->item[i], &a))
			add(s_r, &a);
		else
			rc = tap_err_set(err, TAP_E_CONFIG,
					 "dns.nameservers: \"%s\" is no address of a server",
					 list->item[i]);
		if (rc != TAP_OK)
			return rc;
	}
	if (s_r->n == 0)
		return tap_err_set(err, TAP_E_CONFIG, "dns.nameservers is empty");
	return TAP_OK;
}
