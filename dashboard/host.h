/* SPDX-License-Identifier: Apache-2.0
 * dashboard/host.h - host names as a web server meets them: in its configuration and in the Host header. Pure: nothing is resolved.
 * Ownership: none. Threads: safe. Limits: a name has at most 253 characters. RFC 9110 section 7.2, RFC 3986 section 3.2.2. */
#ifndef TAP_DASHBOARD_HOST_H
#define TAP_DASHBOARD_HOST_H

#include "base/settings.h"
#include <stdbool.h>

enum { TAP_HOST_NAME = 254 };

struct tap_host {
	char name
	    [TAP_HOST_NAME]; /* lower case, without brackets and final dot; "" = every address */
	int port;	     /* -1 = none given */
};

/* "name:port", "192.0.2.1:port", "[2001:db8::1]:port", ":port" and "*:port" (every address). The port is required. */
bool tap_host_parse(const char *s, struct tap_host *out_r);
/* A host name or an address without brackets. */
bool tap_host_is_name(const char *s);
/* 127.0.0.0/8, ::1 or localhost; no other name, whatever it resolves to today. */
bool tap_host_is_loopback(const char *name);
/* May a request with this Host header be answered? Names allowed: localhost, 127.0.0.1, ::1, listen_name, and those of hosts.
 * The port is not compared: a forwarded port is another one. */
bool tap_host_allowed(const char *header, const char *listen_name, const struct tap_list *hosts);

#endif
