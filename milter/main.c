/* SPDX-License-Identifier: Apache-2.0
 * milter/main.c - dmarctap-milter: options, start order, end.
 * Order: settings, then the user (so that nothing of ours is made as root), then the parser processes (before any thread exists), the
 * spool, the socket, and libmilter's threads. Always in the foreground; SIGTERM lets messages under way get their answer. */
#include "base/log.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "base/settings.h"
#include "confine/pool.h"
#include "intake/intake.h"
#include "milter/callbacks.h"
#include "milter/reload.h"
#include "milter/settings.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char help[] =
    "usage: dmarctap-milter [-c FILE] [-s SOCKET] [-v]\n"
    "  -c FILE    configuration file (default /etc/dmarctap/dmarctap.conf)\n"
    "  -s SOCKET  unix:/path or inet:PORT@HOST, in place of milter.socket\n"
    "  -f         stay in the foreground: always so, taken for the sake of habit\n"
    "  -v         log more\n"
    "  -V         print the version\n"
    "  -h         print this\n"
    "Takes DMARC and SMTP TLS reports out of the mail stream into the spool.\n";

struct program {
	struct tap_settings *settings;
	struct tap_reports_settings reports;
	struct tap_spool_settings spool;
	struct tap_parser_settings parser;
	struct tap_trust_settings trust;
	struct tap_milter_settings milter;
	struct tap_sandbox_settings sandbox;
	struct tap_sandbox box;
	struct tap_pool *pool;
	struct tap_intake *intake;
};

static enum tap_rc load(struct program *p, const char *path, const char *socket,
			struct tap_err *err)
{
	enum tap_rc rc = tap_settings_load(path, &p->settings, err);

	if (!rc)
		rc = tap_settings_section(p->settings, &tap_reports_section, &p->reports, err);
	if (!rc)
		rc = tap_settings_section(p->settings, &tap_spool_section, &p->spool, err);
	if (!rc)
		rc = tap_settings_section(p->settings, &tap_trust_section, &p->trust, err);
	if (!rc)
		rc = tap_settings_section(p->settings, &tap_parser_section, &p->parser, err);
	if (!rc)
		rc = tap_settings_section(p->settings, &tap_milter_section, &p->milter, err);
	if (!rc)
		rc = tap_settings_section(p->settings, &tap_sandbox_section, &p->sandbox, err);
	if (!rc && socket)
		rc = tap_milter_check_socket(socket, err);
	if (!rc && p->reports.addresses.n == 0)
		rc = tap_err_set(err, TAP_E_CONFIG,
				 "%s: reports.addresses is empty: no mail is ours", path);
	return rc;
}

/* All that is to be opened is open: what is left is new messages, new parser processes, and the socket's end. */
static enum tap_rc shut_in(struct program *p, const char *config, const char *socket,
			   struct tap_err *err)
{
	char incoming[4096];
	const char *unix_path = strncmp(socket, "unix:", 5) == 0    ? socket + 5
				: strncmp(socket, "local:", 6) == 0 ? socket + 6
								    : NULL;

	(void)snprintf(incoming, sizeof incoming, "%s/%s", p->spool.directory,
		       tap_spool_incoming[TAP_DOOR_MILTER]);
	/* Others' directories are counted, not read. */
	tap_sandbox_allow(&p->box, p->spool.directory, TAP_USE_LIST);
	tap_sandbox_allow(&p->box, incoming, TAP_USE_WRITE);
	tap_sandbox_allow_parent(&p->box, unix_path, TAP_USE_SOCKET);
	tap_sandbox_allow_parent(&p->box, config, TAP_USE_READ); /* for a reload */
	tap_pool_allow(p->pool, &p->box);
	p->box.net = unix_path ? TAP_NET_LOCAL : TAP_NET_SERVE;
	return tap_sandbox_enter(&p->box, err);
}

static enum tap_rc start(struct program *p, const char *config, const char *socket,
			 struct tap_err *err)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct tap_intake_config cfg = {
	    .reports = &p->reports,
	    .spool = &p->spool,
	    .trust = &p->trust,
	    .door = TAP_DOOR_MILTER,
	    .verdict = tap_intake_pool_verdict,
	};
	enum tap_rc rc;

	/* A parser process that dies must not take us along. */
	sigaction(SIGPIPE, &ignore, NULL);
	tap_milter_reload_block();
	rc = tap_sandbox_become(p->milter.user, err);
	if (rc)
		return rc;
	p->box = (struct tap_sandbox){.program = "milter"};
	tap_sandbox_begin(&p->box, &p->sandbox);
	rc = tap_pool_start(&p->parser, &p->trust, &p->pool, err);
	if (rc)
		return rc;
	cfg.verdict_ctx = p->pool;
	rc = tap_intake_open(&cfg, &p->intake, err);
	if (!rc)
		rc = tap_milter_listen(p->intake, socket, tap_milter_socket_mode(&p->milter), err);
	return rc ? rc : shut_in(p, config, socket, err);
}

static int run(struct program *p, const char *config, const char *socket)
{
	struct tap_err err;
	bool idle = true;
	struct tap_reload reload = {
	    .path = config, .settings = p->settings, .spool = &p->spool, .trust = &p->trust};
	enum tap_rc rc = start(p, config, socket, &err);

	if (!rc) {
		if (geteuid() == 0)
			tap_warn(
			    "milter",
			    "runs as root: set milter.user, or let the service manager start it "
			    "as a user of its own");
		tap_info("milter", "version %s listens on %s", TAP_VERSION, socket);
		reload.pool = p->pool;
		tap_milter_reload_start(&reload);
		tap_notify("READY=1");
		rc = tap_milter_serve(&idle, &err);
		tap_notify("STOPPING=1");
		tap_milter_reload_stop(&reload, idle);
		tap_info("milter", "ends");
	}
	if (rc)
		tap_log_err(TAP_LOG_ERROR, "milter", &err);
	tap_sandbox_drop(&p->box);
	if (!idle) {
		/* libmilter's threads may use what we would free. Nothing is lost: without an answer the mail server keeps the mail, and
		 * parser processes end when their socket is closed. */
		_exit(rc ? EX_TEMPFAIL : EX_OK);
	}
	tap_intake_close(&p->intake);
	tap_pool_stop(&p->pool);
	return rc == TAP_OK ? EX_OK : rc == TAP_E_CONFIG ? EX_CONFIG : EX_TEMPFAIL;
}

int main(int argc, char **argv)
{
	const char *config = tap_settings_default_path, *socket = NULL;
	enum tap_log_level level = TAP_LOG_INFO;
	struct program p = {0};
	struct tap_err err;
	int c, status;

	while ((c = getopt(argc, argv, "c:s:fvVh")) != -1) {
		switch (c) {
		case 'c': config = optarg; break;
		case 's': socket = optarg; break;
		case 'f': break;
		case 'v': level = TAP_LOG_DEBUG; break;
		case 'V': return puts("dmarctap-milter " TAP_VERSION) < 0;
		case 'h': return fputs(help, stdout) < 0;
		default: fputs(help, stderr); return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "dmarctap-milter: %s: there are no arguments\n%s", argv[optind],
			help);
		return EX_USAGE;
	}
	tap_log_init("dmarctap-milter", level);
	if (load(&p, config, socket, &err) != TAP_OK) {
		tap_log_err(TAP_LOG_ERROR, "milter", &err);
		tap_settings_free(&p.settings);
		return EX_CONFIG;
	}
	status = run(&p, config, socket ? socket : p.milter.socket);
	tap_settings_free(&p.settings);
	return status;
}
