/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/pipe_main.c - dmarctap-pipe: one message on standard input, one line and an exit status as the answer.
 * Exit statuses come from the table of fates: 0, 65 or 75; whatever goes wrong on our side is 75, on every path out of this process
 * (exit, abort, a signal), since mail servers return mail to its sender for nearly every other status.
 * It may run set-group-id for any local user: no environment, no descriptor, no signal setting of the caller is trusted, and no option
 * names a file then. RFC 3463; sysexits.h; docs/pipe.md.
 * Its start is part of each delivery: nothing is set up that the message does not need. */
#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/settings.h"
#include "confine/pool.h"
#include "intake/intake.h"
#include "pipefilter/pipe_args.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: dmarctap-pipe [-f SENDER] [-q QUEUE-ID] [-a CLIENT-ADDRESS] [--] [RECIPIENT...]\n"
    "  -f SENDER   envelope sender; empty, <> or MAILER-DAEMON: the null sender\n"
    "  -q ID       the mail server's queue id, for the log and the store\n"
    "  -a ADDRESS  address of the client that the mail came from\n"
    "  -c FILE     configuration file (default /etc/dmarctap/dmarctap.conf); not when set-id\n"
    "  -V          print the version\n"
    "  -h          print this\n"
    "Takes one message on standard input into the spool. Exit status: 0 taken, 65 refused, 75 try "
    "again.\n";

enum {
	PIECE = 64 << 10,
	DEFAULT_MS = 300000, /* until the settings are read */
	GRACE_S = 10,	     /* between the time limit and the end whatever happens */
	DRAIN_MS = 5000,     /* reading on what nobody needs, so that the writer gets no SIGPIPE */
	SAY_MS = 1000,	     /* for whoever reads the answer */
	LINE = 480,	     /* bytes of the answer: one line that fits any pipe at once */
};

static struct program {
	struct tap_pipe_args args;
	struct tap_settings *settings;
	struct tap_reports_settings reports;
	struct tap_spool_settings spool;
	struct tap_trust_settings trust;
	struct tap_parser_settings parser;
	struct tap_sandbox box;
	struct tap_pool *pool;
	struct tap_intake *intake;
	struct tap_pipe_from from;
	enum tap_way way;
	bool set_id, no_stdin;
	int64_t began, deadline; /* monotonic ms */
	char piece[PIECE];
} p;

/* What the process says when it is ended by force; the signal handlers read it. */
static volatile sig_atomic_t last_status = EX_TEMPFAIL;
static volatile sig_atomic_t stop;
static bool done; /* main returns */

/* ---- the surroundings ---- */

static void on_stop(int sig)
{
	stop = sig;
}

/* The time is up in a place that cannot be left, or the program is broken: the answer now, and nothing else. */
static void on_end(int sig)
{
	static const char text[] =
	    "4.3.0 local trouble, try again later: dmarctap-pipe was ended\n";

	if (last_status == EX_TEMPFAIL &&
	    tap_io_write(STDOUT_FILENO, text, sizeof(text) - 1, NULL, NULL) != TAP_OK)
		stop = sig;
	_exit((int)last_status);
}

/* A library that calls exit() must not choose our status. */
static void at_exit(void)
{
	if (!done)
		_exit((int)last_status);
}

static void set_signals(void)
{
	static const int stops[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
	static const int ends[] = {SIGALRM, SIGXCPU, SIGVTALRM, SIGPROF,
#ifndef TAP_SANITIZED
				   SIGSEGV, SIGBUS,  SIGILL,	SIGFPE,
				   SIGABRT, SIGTRAP, SIGSYS
#endif
	};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, normal = {.sa_handler = SIG_DFL},
			 halt = {.sa_handler = on_stop}, end = {.sa_handler = on_end};
	sigset_t mask;

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL); /* EFBIG is an error like others */
	sigaction(SIGCHLD, &normal, NULL); /* ignored, nobody could wait for a child */
	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		sigaction(stops[i], &halt, NULL);
		sigaddset(&mask,
			  stops[i]); /* they come in while the message is read, and only then */
	}
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaction(ends[i], &end, NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	(void)atexit(at_exit);
}

/* No descriptor that is opened later may become standard output. */
static bool hold_standard_descriptors(void)
{
	p.no_stdin = fcntl(STDIN_FILENO, F_GETFD) < 0;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int got = -1;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (tap_io_open(AT_FDCWD, "/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDWR, 0,
				&got, NULL, NULL) != TAP_OK ||
		    got != fd)
			return false;
	}
	(void)close_range(STDERR_FILENO + 1, ~0u, 0);
	return true;
}

/* Nothing of the environment stays, but what test builds read, and that only where the caller has our rights anyway. */
static void clean_environment(void)
{
	static const char *const known[] = TAP_TEST_ENVIRONMENT;
	enum { KNOWN = sizeof(known) / sizeof(known[0]) };
	const char *value[KNOWN];

	for (size_t i = 0; i < KNOWN; i++)
		value[i] = p.set_id || !known[i] ? NULL : getenv(known[i]);
	clearenv();
	for (size_t i = 0; i < KNOWN; i++) {
		if (value[i])
			setenv(known[i], value[i], 1);
	}
}

static void lift_limits(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_FSIZE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_FSIZE, &l);
	}
	l = (struct rlimit){0, 0};
	(void)setrlimit(RLIMIT_CORE, &l);
}

/* ---- the answer ---- */

/* The one line. Whether somebody reads it changes nothing. */
static void say(const char *text)
{
	char line[LINE + 1];
	size_t n = 0;
	struct tap_err err;

	for (; text[n] && n + 1 < sizeof(line); n++)
		line[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
	line[n++] = '\n';
	if (tap_io_wait(STDOUT_FILENO, POLLOUT, tap_clock_mono_ms() + SAY_MS, &err) == TAP_OK &&
	    tap_io_write(STDOUT_FILENO, line, n, NULL, &err) != TAP_OK)
		stop = 1; /* closed: nobody wants to know */
}

/* From here on the process ends with this status, whatever comes. */
static int answer(const struct tap_fate_row *row, const char *id, const char *why)
{
	char text[LINE * 2];

	last_status = row->exit_status;
	snprintf(text, sizeof(text), "%s %s%s%s%s%s", row->dsn, row->text, id[0] ? "; id=" : "", id,
		 why[0] ? ": " : "", why);
	say(text);
	if (row->exit_status != EX_OK) {
		openlog("dmarctap-pipe", LOG_PID, LOG_MAIL);
		syslog(LOG_WARNING, "%.*s%s%.64s", LINE, text, p.args.queue_id ? " queue_id=" : "",
		       p.args.queue_id ? p.args.queue_id : "");
	}
	return row->exit_status;
}

static int trouble(const struct tap_err *err)
{
	return answer(tap_fate_row(TAP_FATE_INNER, TAP_WAY_PIPE), "", err->msg);
}

/* ---- the message ---- */

/* The next bytes; 0 = the end. Signals are let in here, and the time runs here. */
static enum tap_rc next_piece(int64_t deadline, size_t *n_r, struct tap_err *err)
{
	struct pollfd in = {STDIN_FILENO, POLLIN, 0};
	sigset_t none;
	ssize_t n;

	sigemptyset(&none);
	*n_r = 0;
	for (;;) {
		int64_t left = deadline - tap_clock_mono_ms();
		struct timespec ts = {left / 1000, left % 1000 * 1000000};

		if (stop)
			return tap_err_set(err, TAP_E_CANCELLED, "ended by signal %d", (int)stop);
		if (left <= 0)
			return tap_err_set(
			    err, TAP_E_CANCELLED,
			    "the message did not come within reports.pipe_time_limit");
		if (ppoll(&in, 1, &ts, &none) <= 0)
			continue;
		n = read(STDIN_FILENO, p.piece, sizeof(p.piece));
		if (n >= 0)
			break;
		if (errno != EINTR && errno != EAGAIN)
			return tap_err_sys(err, TAP_E_TEMP, errno, "cannot read standard input");
	}
	*n_r = (size_t)n;
	return TAP_OK;
}

static void drain(void)
{
	int64_t end = tap_clock_mono_ms() + DRAIN_MS;
	struct tap_err err;
	size_t n = 1;

	if (end > p.deadline)
		end = p.deadline;
	while (n > 0 && next_piece(end, &n, &err) == TAP_OK)
		;
}

static enum tap_rc read_message(struct tap_delivery *d, struct tap_err *err)
{
	for (;;) {
		size_t n, used, give;
		enum tap_rc rc = next_piece(p.deadline, &n, err);

		if (rc)
			return rc;
		if (n == 0)
			break;
		used = tap_pipe_from_feed(&p.from, p.piece, n, &give);
		if (give > 0)
			(void)tap_delivery_append(d, p.from.line, give);
		if (used < n)
			(void)tap_delivery_append(d, p.piece + used, n - used);
	}
	(void)tap_delivery_append(d, p.from.line, tap_pipe_from_end(&p.from));
	return TAP_OK;
}

/* ---- start ---- */

/* Where the answer does not depend on what the message is, no parser process is started: the worker finds out. */
static bool needs_verdict(void)
{
	static const enum tap_way way[] = {[TAP_NOT_REPORT_QUARANTINE] = TAP_WAY_PIPE,
					   [TAP_NOT_REPORT_FORWARD] = TAP_WAY_PIPE_FORWARD,
					   [TAP_NOT_REPORT_REJECT] = TAP_WAY_PIPE_REJECT};

	p.way = way[p.reports.not_report];
	return p.way != TAP_WAY_PIPE || tap_trust_kinds(&p.trust, TAP_UNAUTH_REJECT) != 0;
}

static enum tap_rc load(struct tap_err *err)
{
	const char *path = p.args.config ? p.args.config : tap_settings_default_path;
	enum tap_rc rc = tap_settings_load(path, &p.settings, err);

	if (!rc)
		rc = tap_settings_section(p.settings, &tap_reports_section, &p.reports, err);
	if (!rc)
		rc = tap_settings_section(p.settings, &tap_spool_section, &p.spool, err);
	if (!rc)
		rc = tap_settings_section(p.settings, &tap_trust_section, &p.trust, err);
	return rc;
}

/* A link to this program in a directory of the caller's must not make it run a parser of the caller's. */
static enum tap_rc check_place(struct tap_err *err)
{
	char self[4096], *slash;
	struct stat st;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (!p.set_id || p.parser.program)
		return TAP_OK;
	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	if (!slash || stat(self[0] ? self : "/", &st) != 0 || st.st_uid != 0 ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)))
		return tap_err_set(err, TAP_E_CONFIG,
				   "%s: others than root may write there; set parser.program",
				   self);
	return TAP_OK;
}

static enum tap_rc start_pool(struct tap_err *err)
{
	enum tap_rc rc = tap_settings_section(p.settings, &tap_parser_section, &p.parser, err);

	if (!rc)
		rc = check_place(err);
	p.parser.processes = 1;
	if (!rc)
		rc = tap_pool_start(&p.parser, &p.trust, &p.pool, err);
	return rc;
}

/* What is left to do is one file in our directory. */
static enum tap_rc shut_in(struct tap_sandbox *box, struct tap_err *err)
{
	char incoming[4096];

	(void)snprintf(incoming, sizeof incoming, "%s/%s", p.spool.directory,
		       tap_spool_incoming[TAP_DOOR_PIPE]);
	tap_sandbox_allow(box, p.spool.directory, TAP_USE_LIST);
	tap_sandbox_allow(box, incoming, TAP_USE_WRITE);
	if (p.pool)
		tap_pool_allow(p.pool, box);
	return tap_sandbox_enter(box, err);
}

static enum tap_rc start(struct tap_err *err)
{
	struct tap_intake_config cfg = {.reports = &p.reports,
					.spool = &p.spool,
					.trust = &p.trust,
					.door = TAP_DOOR_PIPE,
					.once = true};
	struct tap_sandbox_settings sandbox;
	bool verdict;
	enum tap_rc rc = load(err);

	if (!rc)
		rc = tap_settings_section(p.settings, &tap_sandbox_section, &sandbox, err);
	if (rc)
		return rc;
	verdict = needs_verdict();
	/* sendmail(1) needs its own set-group-id bit. */
	p.box = (struct tap_sandbox){.program = "pipe",
				     .net = TAP_NET_LOCAL,
				     .starts_privileged = p.way == TAP_WAY_PIPE_FORWARD};
	tap_sandbox_begin(&p.box, &sandbox);
	p.deadline = p.began + p.reports.pipe_ms;
	alarm((unsigned)(p.reports.pipe_ms / 1000) + GRACE_S);
	if (verdict) {
		cfg.verdict = tap_intake_pool_verdict;
		rc = start_pool(err);
		cfg.verdict_ctx = p.pool;
	}
	if (!rc)
		rc = tap_intake_open(&cfg, &p.intake, err);
	return rc ? rc : shut_in(&p.box, err);
}

/* ---- the run ---- */

static int deliver(void)
{
	struct tap_envelope env = {.sender = p.args.sender,
				   .recipients = p.args.recipients,
				   .n_recipients = p.args.n_recipients < TAP_SPOOL_RECIPIENTS
						       ? p.args.n_recipients
						       : TAP_SPOOL_RECIPIENTS,
				   .client = p.args.client,
				   .queue_id = p.args.queue_id};
	struct tap_delivery *d = tap_delivery_begin(p.intake);
	struct tap_outcome out;
	struct tap_err err = {0};

	if (d && read_message(d, &err) != TAP_OK) {
		tap_delivery_abort(&d);
		return trouble(&err);
	}
	if (!d)
		drain();
	if (!env.sender && p.from.had_line)
		env.sender = p.from.sender;
	tap_delivery_finish(&d, p.way, &env, &out);
	return answer(out.row, out.id, out.why);
}

/* Words for people. A mail server that asks for them by mistake has a message for us: it keeps it. */
static int print_words(const char *text)
{
	struct stat st;

	if (p.no_stdin || fstat(STDIN_FILENO, &st) != 0 || S_ISCHR(st.st_mode)) {
		last_status = EX_OK;
		return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EX_TEMPFAIL : EX_OK;
	}
	drain();
	say("4.3.5 the mail server runs dmarctap-pipe with -h or -V, which take no message");
	return EX_TEMPFAIL;
}

static int run(int argc, char **argv)
{
	struct tap_err err = {0};

	if (tap_pipe_args_parse(argc, argv, p.set_id, &p.args, &err) == TAP_OK) {
		if (p.args.job != TAP_PIPE_DELIVER)
			return print_words(
			    p.args.job == TAP_PIPE_HELP ? help : "dmarctap-pipe " TAP_VERSION "\n");
		if (p.no_stdin)
			tap_err_set(&err, TAP_E_CONFIG, "standard input is closed");
		else if (isatty(STDIN_FILENO))
			tap_err_set(&err, TAP_E_CONFIG,
				    "standard input is a terminal, not a message (-h prints help)");
		else if (start(&err) == TAP_OK)
			return deliver();
		if (!p.no_stdin && !isatty(STDIN_FILENO))
			drain();
	} else if (!p.no_stdin && !isatty(STDIN_FILENO)) {
		drain();
	}
	return trouble(&err);
}

static void clean_up(void)
{
	tap_intake_close(&p.intake);
	tap_pool_stop(&p.pool);
	tap_settings_free(&p.settings);
}

int main(int argc, char **argv)
{
	int status;

	p.set_id = getauxval(AT_SECURE) != 0;
	p.began = tap_clock_mono_ms();
	p.deadline = p.began + DEFAULT_MS;
	set_signals();
	if (!hold_standard_descriptors())
		return EX_TEMPFAIL;
	clean_environment();
	lift_limits();
	umask(027);
	tap_log_init("dmarctap-pipe", (enum tap_log_level)(TAP_LOG_ERROR + 1));
	if (p.set_id && chdir("/") != 0)
		return EX_TEMPFAIL;
	status = run(argc, argv);
	alarm(0);
	clean_up();
	done = true;
	return status;
}
