/* SPDX-License-Identifier: Apache-2.0
 * cli/main.c - dmarctap: files in, JSON and CSV out, in one process, without spool or store.
 * Exit status: 0 everything was read; 1 an input was not read (named on standard error, the others are printed), or something could
 * not be written; 2 usage. */
#include "cli/inputs.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/printer.h"
#include "cli/progress.h"

#include "base/io.h"
#include "base/log.h"
#include "parser/parser.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_ALL_READ = 0, EXIT_NOT_READ = 1, EXIT_USAGE = 2 };

static volatile sig_atomic_t signalled;
static struct tap_sources *volatile asking; /* for the signal handler */

static void on_signal(int sig)
{
	int was = errno;

	signalled = sig;
	tap_cli_stop();
	tap_sources_cancel(asking);
	errno = was;
}

/* An interrupted run leaves no temporary files; a closed pipe and a file that may not grow are errors of writing, no
 * silent death. */
static void set_signals(void)
{
	static const int stopping[] = {SIGINT, SIGTERM, SIGHUP};
	/* the second one kills, should the first not be seen */
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	(void)sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++)
		(void)sigaction(stopping[i], &act, NULL);
	act.sa_handler = SIG_IGN;
	act.sa_flags = 0;
	(void)sigaction(SIGPIPE, &act, NULL);
	(void)sigaction(SIGXFSZ, &act, NULL);
}

/* A standard descriptor that came closed must not become some file that is opened later. Read-only, so that writing to a missing
 * standard output fails and is told. */
static void fill_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int got = -1;

		if (fcntl(fd, F_GETFD) < 0 &&
		    tap_io_open(AT_FDCWD, "/dev/null", O_RDONLY, 0, &got, NULL, NULL) == TAP_OK &&
		    got != fd)
			tap_io_close(&got);
	}
}

static void complain(const struct tap_err *why)
{
	(void)fprintf(stderr, "dmarctap: %s\n", why->msg);
}

static struct tap_trust_rules rules_of(const struct tap_cli_options *o)
{
	return (struct tap_trust_rules){.authserv_ids = o->authserv_ids.item,
					.n_authserv_ids = o->authserv_ids.n,
					.own_hosts = o->own_hosts.item,
					.n_own_hosts = o->own_hosts.n,
					.domains = o->domains.item,
					.n_domains = o->domains.n};
}

static struct tap_print print_of(const struct tap_cli_options *o)
{
	return (struct tap_print){.to_stdout = !o->silent,
				  .to_files = o->output != NULL,
				  .compat4 = o->compat4,
				  .local_time = o->local_time,
				  .strip_payloads = o->strip_payloads,
				  .no_csv_guard = o->no_csv_guard,
				  .trusted_only = o->trusted_only};
}

/* A bar and the output itself do not share a terminal. */
static void start_progress(const struct tap_cli_options *o, const struct tap_inputs_options *in,
			   struct tap_progress *progress)
{
	bool on = !o->no_progress && isatty(STDERR_FILENO) == 1 &&
		  (o->silent || isatty(STDOUT_FILENO) != 1);

	tap_progress_start(progress, on, on ? tap_inputs_total(in) : 0);
}

/* Everything between the outputs' beginning and their end. */
static int read_all(const struct tap_cli_options *o, struct tap_jobs_options *jo)
{
	struct tap_inputs_options in = {.argument = o->file,
					.n_argument = o->n_file,
					.recursive = o->recursive,
					.mboxrd = o->mboxrd};
	struct tap_progress progress;
	struct tap_jobs *j = NULL;
	struct tap_err err = {0};
	bool refused = false;
	enum tap_rc rc;

	start_progress(o, &in, &progress);
	jo->progress = &progress;
	rc = tap_jobs_new(jo, &j, &err);
	if (rc == TAP_OK)
		rc = tap_inputs_read(&in, j, &err);
	if (rc == TAP_OK)
		rc = tap_jobs_finish(j, &refused, &err);
	tap_progress_clear(&progress);
	if (rc == TAP_OK && tap_jobs_left_out(j) > 0)
		(void)fprintf(stderr, "dmarctap: %" PRIu64 " reports left out: not trusted\n",
			      tap_jobs_left_out(j));
	if (rc == TAP_OK && tap_jobs_no_place(j) > 0)
		(void)fprintf(stderr,
			      "dmarctap: %" PRIu64 " reports left out: version 4 has no list for "
			      "SMTP TLS reports and other feedback\n",
			      tap_jobs_no_place(j));
	tap_jobs_free(&j);
	if (rc != TAP_OK && signalled == 0)
		complain(&err);
	if (rc != TAP_OK)
		return -1;
	return refused ? EXIT_NOT_READ : EXIT_ALL_READ;
}

/* What is not printed needs no names. */
static enum tap_rc open_sources(const struct tap_cli_options *o, struct tap_sources **s_r,
				struct tap_err *err)
{
	struct tap_sources_options so = {.nameservers = o->nameservers.item,
					 .n_nameservers = o->nameservers.n,
					 .timeout_ms = o->timeout_ms};
	enum tap_rc rc = TAP_OK;

	*s_r = NULL;
	if (!o->offline && (!o->silent || o->output != NULL))
		rc = tap_sources_open(&so, s_r, err);
	asking = *s_r;
	return rc;
}

static void close_sources(struct tap_sources **s)
{
	if (*s != NULL && tap_sources_unknown(*s) > 0 && signalled == 0)
		(void)fprintf(stderr,
			      "dmarctap: %" PRIu64
			      " records without the name of who sent them: DNS "
			      "gave no answer; --offline asks for none\n",
			      tap_sources_unknown(*s));
	asking = NULL;
	tap_sources_free(s);
}

static int print_all(const struct tap_cli_options *o)
{
	struct tap_trust_rules rules = rules_of(o);
	struct tap_print print = print_of(o);
	struct tap_printer_options po = {
	    .fd = STDOUT_FILENO, .directory = o->output, .print = &print};
	struct tap_jobs_options jo = {
	    .workers = o->jobs,
	    .read = {.print = &print, .trust = &rules, .debug = o->debug},
	};
	struct tap_printer *p = NULL;
	struct tap_err err = {0};
	int status = -1;

	if (rules.n_authserv_ids + rules.n_own_hosts + rules.n_domains == 0)
		jo.read.trust = NULL;
	if (open_sources(o, &jo.read.sources, &err) != TAP_OK) {
		complain(&err);
		return err.rc == TAP_E_CONFIG ? EXIT_USAGE : EXIT_NOT_READ;
	}
	if (tap_printer_new(&po, &p, &err) == TAP_OK) {
		jo.printer = p;
		status = read_all(o, &jo);
		if (status >= 0 && signalled == 0 && tap_printer_finish(p, &err) != TAP_OK) {
			complain(&err);
			status = -1;
		}
	} else {
		complain(&err);
	}
	tap_printer_free(&p);
	close_sources(&jo.read.sources);
	return status < 0 ? EXIT_NOT_READ : status;
}

int main(int argc, char **argv)
{
	struct tap_cli_options o;
	struct tap_err err = {0};
	int status;

	fill_descriptors();
	if (argc <= 1) {
		tap_cli_options_help(stderr);
		return EXIT_USAGE;
	}
	if (tap_cli_options_read(argc, argv, &o, &err) != TAP_OK) {
		complain(&err);
		return EXIT_USAGE;
	}
	if (o.help || o.version) {
		if (o.help)
			tap_cli_options_help(stdout);
		else
			(void)puts("dmarctap " TAP_VERSION);
		tap_cli_options_free(&o);
		return fflush(stdout) == 0 ? EXIT_ALL_READ : EXIT_NOT_READ;
	}
	tzset();
	tap_log_init("dmarctap", o.debug ? TAP_LOG_DEBUG : TAP_LOG_WARNING);
	set_signals();
	tap_parser_global_init();
	status = print_all(&o);
	tap_cli_options_free(&o);
	if (signalled != 0) {
		/* Whoever waits for us has to see that it was the signal. */
		struct sigaction act = {.sa_handler = SIG_DFL};

		(void)sigaction(signalled, &act, NULL);
		(void)raise(signalled);
	}
	return status;
}
