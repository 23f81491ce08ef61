/* SPDX-License-Identifier: Apache-2.0
 * dashboard/settings.c - the table of section "web" and its rules across fields. */
#include "dashboard/settings.h"

#include "dashboard/host.h"
#include <string.h>

#define S tap_web_settings

static const struct tap_setting rows[] = {
    TAP_ROW_STR("listen", S, listen, 0, "127.0.0.1:8321",
		"Address and port that the page is served on, HOST:PORT. Port 0 takes a free one "
		"and logs it."),
    TAP_ROW_BOOL("allow_remote", S, allow_remote, 0, "false",
		 "Allow an address other machines can reach. The page has no login: whoever "
		 "reaches it reads "
		 "everything. A reverse proxy with a login on this machine needs no allow_remote, "
		 "only `hosts`."),
    TAP_ROW_LIST(
	"hosts", S, hosts, 0, NULL,
	"Names, without port, by which browsers may call the page besides localhost and the "
	"address "
	"of `listen`. Requests with another Host header are refused: that stops DNS rebinding."),
    TAP_ROW_STR("user", S, user, 0, NULL,
		"User to become after the port is taken, when started as root. It needs to read "
		"the store."),
    TAP_ROW_TIME("query_deadline", S, query_ms, 0, "5s", 100, 60000,
		 "Longest that the questions of one request to the store may take."),
    TAP_ROW_INT("threads", S, threads, 0, "4", 1, 64, "Requests answered at the same time."),
    TAP_ROW_INT("connections", S, connections, 0, "64", 4, 1024,
		"Connections open at the same time; further ones wait."),
    TAP_ROW_TIME("idle_timeout", S, idle_ms, 0, "15s", 1000, 300000,
		 "A connection on which nothing happens for so long is closed."),
    {0},
};

static enum tap_rc check_hosts(const struct tap_list *hosts, struct tap_err *err)
{
	for (size_t i = 0; i < hosts->n; i++) {
		if (!tap_host_is_name(hosts->item[i]))
			return tap_err_set(err, TAP_E_CONFIG,
					   "web.hosts: \"%s\" is not a host name or address "
					   "(write it without scheme, port and path)",
					   hosts->item[i]);
	}
	return TAP_OK;
}

static enum tap_rc check(const void *v, struct tap_err *err)
{
	const struct S *set = v;
	struct tap_host host;

	if (!set->listen || !tap_host_parse(set->listen, &host))
		return tap_err_set(
		    err, TAP_E_CONFIG,
		    "web.listen: \"%s\" is not HOST:PORT, for example 127.0.0.1:8321 or [::1]:8321",
		    set->listen ? set->listen : "");
	if (!set->allow_remote && !tap_host_is_loopback(host.name))
		return tap_err_set(
		    err, TAP_E_CONFIG,
		    "web.listen: \"%s\" can be reached by other machines, and this version has "
		    "no login: whoever reaches the page reads every report. Listen on 127.0.0.1 "
		    "or [::1] (and put a reverse proxy with a login in front), or set "
		    "web.allow_remote = true",
		    set->listen);
	if (set->connections < set->threads)
		return tap_err_set(
		    err, TAP_E_CONFIG,
		    "web.connections (%lld) must not be less than web.threads (%lld)",
		    (long long)set->connections, (long long)set->threads);
	return check_hosts(&set->hosts, err);
}

const struct tap_section tap_web_section = {
    .name = "web",
    .doc = "dmarctap-web, the dashboard: a page and its API over the store, read-only.",
    .table = rows,
    .struct_size = sizeof(struct S),
    .check = check,
};
