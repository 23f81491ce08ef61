/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_main.c - dmarctap-lmtp: options, start order, end.
 * Order: settings, then the user, then the parser processes (before any thread exists), the spool, the sockets, the sandbox, and a
 * thread for each session. Always in the foreground; SIGTERM lets messages under way get their answer, SIGHUP
 * reads the configuration anew. */
#include "base/log.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "base/settings.h"
#include "confine/pool.h"
#include "intake/intake.h"
#include "pipefilter/lmtp_reload.h"
#include "pipefilter/lmtp_server.h"
#include "pipefilter/lmtp_settings.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char help[] =
    "usage: dmarctap-lmtp [-c FILE] [-s SOCKET] [-v]\n"
    "  -c FILE    configuration file (default /etc/dmarctap/dmarctap.conf)\n"
    "  -s SOCKET  unix:/path or HOST:PORT, in place of lmtp.listen\n"
    "  -f         stay in the foreground: always so, taken for the sake of habit\n"
    "  -v         log more\n"
    "  -V         print the version\n"
    "  -h         print this\n"
    "Takes DMARC and SMTP TLS reports over LMTP into the spool.\n";

struct program {
	struct tap_lmtp_generation *first;
	struct tap_parser_settings parser;
	struct tap_trust_settings trust;
	struct tap_sandbox_settings sandbox;
	struct tap_sandbox box;
	struct tap_pool *pool;
	struct tap_lmtp_server *server;
};

static enum tap_rc load(struct program *p, const char *path, const char *socket,
			struct tap_err *err)
{
	enum tap_rc rc = tap_lmtp_generation_load(path, &p->first, err);

	if (rc)
		return rc;
	p->first->users = 1; /* ours */
	rc = tap_settings_section(p->first->settings, &tap_trust_section, &p->trust, err);
	if (!rc)
		rc = tap_settings_section(p->first->settings, &tap_parser_section, &p->parser, err);
	if (!rc)
		rc = tap_settings_section(p->first->settings, &tap_sandbox_section, &p->sandbox,
					  err);
	if (!rc && socket)
		rc = tap_lmtp_check_socket(socket, err);
	return rc;
}

/* All that is to be opened is open: what is left is new messages, new parser processes, and new sessions. */
static enum tap_rc shut_in(struct program *p, const char *config, struct tap_err *err)
{
	const struct tap_list *listen = &p->first->lmtp.listen;
	char incoming[4096];

	(void)snprintf(incoming, sizeof incoming, "%s/%s", p->first->spool.directory,
		       tap_spool_incoming[TAP_DOOR_LMTP]);
	p->box.net = TAP_NET_LOCAL;
	/* Others' directories are counted, not read. */
	tap_sandbox_allow(&p->box, p->first->spool.directory, TAP_USE_LIST);
	tap_sandbox_allow(&p->box, incoming, TAP_USE_WRITE);
	tap_sandbox_allow_parent(&p->box, config, TAP_USE_READ); /* for a reload */
	for (size_t i = 0; i < listen->n; i++) {
		if (!tap_lmtp_unix_path(listen->item[i]))
			p->box.net = TAP_NET_SERVE;
	}
	tap_pool_allow(p->pool, &p->box);
	return tap_sandbox_enter(&p->box, err);
}

static enum tap_rc start(struct program *p, const char *config, struct tap_err *err)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	enum tap_rc rc;

	/* A parser process or a client that goes away must not take us along. */
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGUSR1, &ignore, NULL);
	tap_lmtp_server_block();
	rc = tap_sandbox_become(p->first->lmtp.user, err);
	if (rc)
		return rc;
	p->box = (struct tap_sandbox){.program = "lmtp",
				      .starts_privileged =
					  p->first->reports.not_report == TAP_NOT_REPORT_FORWARD};
	tap_sandbox_begin(&p->box, &p->sandbox);
	rc = tap_pool_start(&p->parser, &p->trust, &p->pool, err);
	if (rc)
		return rc;
	rc = tap_lmtp_generation_open(p->first, &p->trust, p->pool, err);
	if (!rc)
		rc = tap_lmtp_server_open(p->first, &p->server, err);
	return rc ? rc : shut_in(p, config, err);
}

static int run(struct program *p, const char *config, bool own_sockets)
{
	struct tap_lmtp_reload reload = {
	    .path = config, .first = p->first, .trust = &p->trust, .own_sockets = own_sockets};
	struct tap_err err;
	bool idle = true;
	enum tap_rc rc = start(p, config, &err);

	if (!rc) {
		if (geteuid() == 0)
			tap_warn("lmtp",
				 "runs as root: set lmtp.user, or let the service manager start it "
				 "as a user of its own");
		for (size_t i = 0; i < p->first->lmtp.listen.n; i++)
			tap_info("lmtp", "version %s listens on %s", TAP_VERSION,
				 p->first->lmtp.listen.item[i]);
		reload.pool = p->pool;
		tap_notify("READY=1");
		rc = tap_lmtp_server_run(p->server, &reload, &idle, &err);
		tap_info("lmtp", "ends");
	}
	if (rc)
		tap_log_err(TAP_LOG_ERROR, "lmtp", &err);
	tap_sandbox_drop(&p->box);
	if (!idle) {
		/* A session still uses what we would free. Nothing is lost: without an answer the mail server keeps the mail, and
		 * parser processes end when their socket is closed. */
		_exit(rc ? EX_TEMPFAIL : EX_OK);
	}
	tap_lmtp_server_close(&p->server);
	tap_lmtp_generation_free(&p->first);
	tap_pool_stop(&p->pool);
	return rc == TAP_OK ? EX_OK : rc == TAP_E_CONFIG ? EX_CONFIG : EX_TEMPFAIL;
}

int main(int argc, char **argv)
{
	const char *config = tap_settings_default_path;
	enum tap_log_level level = TAP_LOG_INFO;
	static struct program p;
	char *socket = NULL;
	struct tap_err err;
	int c;

	while ((c = getopt(argc, argv, "c:s:fvVh")) != -1) {
		switch (c) {
		case 'c': config = optarg; break;
		case 's': socket = optarg; break;
		case 'f': break;
		case 'v': level = TAP_LOG_DEBUG; break;
		case 'V': return puts("dmarctap-lmtp " TAP_VERSION) < 0;
		case 'h': return fputs(help, stdout) < 0;
		default: fputs(help, stderr); return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "dmarctap-lmtp: %s: there are no arguments\n%s", argv[optind],
			help);
		return EX_USAGE;
	}
	tap_log_init("dmarctap-lmtp", level);
	if (load(&p, config, socket, &err) != TAP_OK) {
		tap_log_err(TAP_LOG_ERROR, "lmtp", &err);
		tap_lmtp_generation_free(&p.first);
		return EX_CONFIG;
	}
	if (socket)
		p.first->lmtp.listen = (struct tap_list){&socket, 1};
	return run(&p, config, socket != NULL);
}
