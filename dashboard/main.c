/* SPDX-License-Identifier: Apache-2.0
 * dashboard/main.c - dmarctap-web: reads its settings, takes its port, gives up root, serves until it is told to stop.
 * Exit status: 0 told to stop, 1 could not start, 2 wrong usage. */
#include "base/io.h"
#include "base/log.h"
#include "base/net.h"
#include "base/sandbox.h"
#include "base/settings.h"
#include "dashboard/host.h"
#include "dashboard/settings.h"
#include "dashboard/web.h"
#include "store/store.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct options {
	const char *config; /* NULL = the default path, which may be absent */
	const char *listen; /* NULL = as configured */
};
struct program {
	struct tap_settings *file;
	struct tap_web_settings web;
	struct tap_store_settings store;
	struct tap_sandbox_settings sandbox;
};

static const char usage[] =
    "Usage: dmarctap-web [-c CONFIG] [-l HOST:PORT]\n"
    "Serves the dashboard over the store, read-only. There is no login.\n"
    "  -c CONFIG     configuration file (default /etc/dmarctap/dmarctap.conf)\n"
    "  -l HOST:PORT  listen there instead of web.listen; port 0 takes a free one\n"
    "  -h            this help\n"
    "  -v            version\n";

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt(argc, argv, "c:l:hv")) != -1) {
		switch (c) {
		case 'c': o->config = optarg; break;
		case 'l': o->listen = optarg; break;
		case 'h': fputs(usage, stdout); return 0;
		case 'v': puts("dmarctap-web " TAP_VERSION); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "dmarctap-web: unexpected argument \"%s\"\n%s", argv[optind],
			usage);
		return 2;
	}
	return -1;
}

static enum tap_rc load(const struct options *o, struct program *p, struct tap_err *err)
{
	enum tap_rc rc =
	    tap_settings_load(o->config ? o->config : tap_settings_default_path, &p->file, err);

	if (rc == TAP_E_NOTFOUND && !o->config)
		rc = tap_settings_load(NULL, &p->file, err);
	if (rc == TAP_OK)
		rc = tap_settings_section(p->file, &tap_store_section, &p->store, err);
	if (rc != TAP_OK)
		return rc;
	rc = tap_settings_section(p->file, &tap_sandbox_section, &p->sandbox, err);
	if (rc == TAP_OK)
		rc = tap_settings_section(p->file, &tap_web_section, &p->web, err);
	if (rc != TAP_OK || !o->listen)
		return rc;
	p->web.listen = (char *)(uintptr_t)o->listen;
	return tap_web_section.check(&p->web, err);
}

/* What "localhost" resolved to is known only once the port is taken. */
static enum tap_rc check_bound(int fd, const struct tap_web_settings *set, struct tap_err *err)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char text[INET6_ADDRSTRLEN] = "?";
	const void *addr;

	if (set->allow_remote)
		return TAP_OK;
	memset(&ss, 0, sizeof(ss));
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0) {
		addr = ss.ss_family == AF_INET6
			   ? (const void *)&((struct sockaddr_in6 *)&ss)->sin6_addr
			   : (const void *)&((struct sockaddr_in *)&ss)->sin_addr;
		if (inet_ntop(ss.ss_family, addr, text, sizeof(text)) && tap_host_is_loopback(text))
			return TAP_OK;
	}
	return tap_err_set(
	    err, TAP_E_CONFIG,
	    "web.listen: \"%s\" is the address %s, which is not loopback; this version has no "
	    "login. Write 127.0.0.1, or set web.allow_remote = true",
	    set->listen, text);
}

static void block_signals(sigset_t *set)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigprocmask(SIG_BLOCK, set, NULL); /* before any thread: all of them inherit it */
}

static enum tap_rc serve(const struct program *p, struct tap_err *err)
{
	struct tap_web *w = NULL;
	struct tap_host host;
	struct tap_sandbox box = {.program = "web", .net = TAP_NET_LOCAL};
	sigset_t signals;
	unsigned port = 0;
	int fd = -1, sig = 0;
	enum tap_rc rc;

	block_signals(&signals);
	if (!tap_host_parse(p->web.listen, &host))
		return tap_err_set(err, TAP_E_CONFIG, "web.listen: \"%s\" is not HOST:PORT",
				   p->web.listen);
	rc = tap_net_listen_tcp(p->web.listen, &fd, &port, err);
	if (rc == TAP_OK)
		rc = check_bound(fd, &p->web, err);
	if (rc == TAP_OK)
		rc = tap_sandbox_become(p->web.user, err);
	if (rc != TAP_OK) {
		tap_io_close(&fd);
		return rc;
	}
	tap_sandbox_begin(&box, &p->sandbox);
	tap_sandbox_allow_parent(&box, p->store.path, TAP_USE_READ);
	rc = tap_sandbox_enter(&box, err);
	if (rc != TAP_OK) {
		tap_io_close(&fd);
		return rc;
	}
	if (p->web.allow_remote && !tap_host_is_loopback(host.name))
		tap_warn("web", "other machines can reach the page, and it has no login");
	rc = tap_web_start(&p->web, p->store.path, fd, host.name, &w, err);
	if (rc != TAP_OK)
		return rc;
	tap_info("web", "listening on http://%s%s%s:%u/ over the store %s",
		 strchr(host.name, ':') ? "[" : "", host.name[0] ? host.name : "*",
		 strchr(host.name, ':') ? "]" : "", port, p->store.path);
	sigwait(&signals, &sig);
	tap_info("web", "stopping on %s", sig == SIGINT ? "SIGINT" : "SIGTERM");
	tap_web_stop(&w);
	return TAP_OK;
}

int main(int argc, char **argv)
{
	struct options o = {NULL, NULL};
	struct program p = {0};
	struct tap_err err = {0};
	enum tap_rc rc;
	int status = read_options(argc, argv, &o);

	if (status >= 0)
		return status;
	tap_log_init("dmarctap-web", TAP_LOG_INFO);
	rc = load(&o, &p, &err);
	if (rc == TAP_OK)
		rc = serve(&p, &err);
	if (rc != TAP_OK)
		tap_log_err(TAP_LOG_ERROR, "web", &err);
	tap_settings_free(&p.file);
	return rc == TAP_OK ? 0 : 1;
}
