/* SPDX-License-Identifier: Apache-2.0
 * daemon/main.c - dmarctapd, the worker: from the spool into the store, and from the store to the outputs.
 * Exit status: 0 ended by a signal; 64 usage; 75 trouble that another start may not meet (another worker, no space); 78 configuration. */
#include "daemon/worker.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "daemon/commands.h"
#include "daemon/reprocess.h"
#include "daemon/control.h"

#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage_text[] = "usage: dmarctapd [-c FILE] [-v]\n"
				 "The worker of dmarctap: takes messages out of the spool, stores "
				 "their reports, feeds the outputs.\n"
				 "  -c FILE  configuration (default /etc/dmarctap/dmarctap.conf)\n"
				 "  -v       say more\n"
				 "  -h, -V   this help, the version\n";

static struct tap_sandbox_settings sandbox;
static struct tap_sandbox box = {.program = "worker", .net = TAP_NET_CONNECT};

/* The file that is read at the start, at a reload, and what the reload found in it. */
static struct {
	const char *path;
	struct tap_settings *now, *next;
	bool again; /* a reload: this process has shut itself in already */
} config;

static enum tap_rc read_sections(struct tap_worker *w, struct tap_settings *s,
				 struct tap_sandbox_settings *jail, struct tap_err *err)
{
	struct tap_reports_settings
	    reports; /* only checked: what is wrong there is said at the start of every program */
	const struct {
		const struct tap_section *section;
		void *out;
	} wanted[] = {
	    {&tap_reports_section, &reports},	       {&tap_spool_section, &w->spool},
	    {&tap_trust_section, &w->trust},	       {&tap_parser_section, &w->parser},
	    {&tap_store_section, &w->store_set},       {&tap_worker_section, &w->set},
	    {&tap_quarantine_section, &w->quarantine}, {&tap_sandbox_section, jail},
	};
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < sizeof(wanted) / sizeof(wanted[0]); i++)
		rc = tap_settings_section(s, wanted[i].section, wanted[i].out, err);
	return rc;
}

static void begin(struct tap_worker *w)
{
	memset(w, 0, sizeof(*w));
	w->spool_fd = w->quarantine_fd = w->spool_lock = w->store_lock = -1;
	for (size_t d = 0; d < TAP_DOOR_N; d++)
		w->door_fd[d] = -1;
}

static bool same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool tap_worker_reload(struct tap_worker *w)
{
	struct tap_worker *probe = calloc(1, sizeof(*probe));
	struct tap_sandbox_settings jail;
	struct tap_sink_config *sinks = NULL;
	struct tap_err err = {0};
	size_t n = 0;
	enum tap_rc rc = probe != NULL ? TAP_OK : tap_err_set(&err, TAP_E_TEMP, "out of memory");

	tap_notify_reloading();
	if (rc == TAP_OK)
		rc = tap_settings_load(config.path, &config.next, &err);
	if (rc == TAP_OK)
		rc = read_sections(probe, config.next, &jail, &err);
	if (rc == TAP_OK)
		rc = tap_sink_configs_load(config.next, &sinks, &n, &err);
	tap_sink_configs_free(&sinks, n);
	if (rc == TAP_OK && !same(probe->set.user, w->set.user))
		tap_warn("worker", "worker.user is another one now: that needs a restart");
	if (rc != TAP_OK) {
		(void)tap_err_prefix(&err, "the old configuration stays, the new one is bad: ");
		tap_log_err(TAP_LOG_ERROR, "worker", &err);
		tap_settings_free(&config.next);
		tap_notify("READY=1\nSTATUS=%s", err.msg);
	} else {
		tap_info("worker",
			 "the configuration was read anew and is taken up; what is in the "
			 "section sandbox, and files outside of the places that were in use "
			 "before, need a restart");
	}
	free(probe);
	return w->reload = rc == TAP_OK;
}

/* One worker for each spool and each store: kernel locks that end with the process [I10]. */
static enum tap_rc lock(struct tap_worker *w, struct tap_err *err)
{
	char path[4096 + 8];
	enum tap_rc rc = tap_io_lock(w->spool_fd, "worker.lock", &w->spool_lock, err);

	if (rc == TAP_E_TEMP)
		return tap_err_set(err, rc, "another dmarctapd works on the spool %s",
				   w->spool.directory);
	if (rc != TAP_OK)
		return rc;
	(void)snprintf(path, sizeof(path), "%s.lock", w->store_set.path);
	rc = tap_io_lock(AT_FDCWD, path, &w->store_lock, err);
	if (rc == TAP_E_TEMP)
		return tap_err_set(err, rc, "another dmarctapd works on the store %s",
				   w->store_set.path);
	return rc == TAP_OK ? rc : tap_err_prefix(err, "store.path: ");
}

static enum tap_rc open_spool(struct tap_worker *w, struct tap_err *err)
{
	enum tap_rc rc = tap_spool_root(&w->spool, &w->spool_fd, err);

	if (rc == TAP_OK)
		rc = tap_spool_layout(&w->spool, err);
	for (size_t d = 0; rc == TAP_OK && d < TAP_DOOR_N; d++)
		rc = tap_io_opendir(w->spool_fd, tap_spool_incoming[d], 0, &w->door_fd[d], err);
	if (rc == TAP_OK)
		rc = tap_io_opendir(w->spool_fd, tap_spool_quarantine, 0, &w->quarantine_fd, err);
	return rc;
}

/* ---- life ---- */

/* All threads inherit this mask: signals come through a descriptor, to the main thread. */
static void block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* What the settings of an output name: a directory of its own, or a file in one. */
static void allow_output(const struct tap_sink_config *c)
{
	for (const struct tap_setting *r = c->ops->settings->table; r->name != NULL; r++) {
		struct stat st;
		const char *path;

		if (r->type != TAP_SET_PATH)
			continue;
		path = *(char *const *)((const char *)c->set + r->offset);
		if (r->flags & TAP_SET_READS)
			tap_sandbox_allow(&box, path, TAP_USE_READ);
		else if (path != NULL && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			tap_sandbox_allow(&box, path, TAP_USE_WRITE);
		else
			tap_sandbox_allow_parent(&box, path, TAP_USE_WRITE);
	}
}

static enum tap_rc shut_in(struct tap_worker *w, const char *path, struct tap_err *err)
{
	const char *tmp = getenv("TMPDIR"); /* long answers of the parser are staged there */

	tap_sandbox_allow_parent(&box, path, TAP_USE_READ); /* for a reload */
	tap_sandbox_allow(&box, tmp != NULL ? tmp : "/tmp", TAP_USE_WRITE);
	tap_sandbox_allow(&box, w->spool.directory, TAP_USE_WRITE);
	tap_sandbox_allow_parent(&box, w->store_set.path, TAP_USE_WRITE);
	tap_sandbox_allow_parent(&box, w->set.control_socket, TAP_USE_SOCKET);
	for (size_t i = 0; i < w->sinks; i++)
		allow_output(&w->config[i]);
	tap_pool_allow(w->pool, &box);
	return tap_sandbox_enter(&box, err);
}

/* No thread is alive here, at the first start as at a reload. */
static enum tap_rc prepare(struct tap_worker *w, struct tap_err *err)
{
	enum tap_rc rc = tap_sandbox_become(w->set.user, err);

	if (rc == TAP_OK && !config.again)
		tap_sandbox_begin(&box, &sandbox);
	(void)umask(027);
	for (size_t i = 0; rc == TAP_OK && !config.again && i < w->sinks; i++)
		if (w->config[i].ops->prepare != NULL)
			rc = w->config[i].ops->prepare(w->config[i].set, err);
	if (rc == TAP_OK)
		rc = open_spool(w, err);
	if (rc == TAP_OK)
		rc = lock(w, err);
	if (rc == TAP_OK && tap_claims_open(w->spool_fd, &w->claims, err) != TAP_OK) {
		(void)tap_err_prefix(err,
				     "a message that kills the worker will not be known again: ");
		tap_log_err(TAP_LOG_WARNING, "worker", err);
	}
	if (rc == TAP_OK)
		rc = tap_pool_start(&w->parser, &w->trust, &w->pool, err); /* before any thread */
	if (rc == TAP_OK)
		rc = tap_store_open(&w->store_set, &w->store, err);
	return rc;
}

static enum tap_rc work(struct tap_worker *w, struct tap_err *err)
{
	struct tap_control *control = NULL;
	enum tap_rc rc;

	block_signals();
	w->names = tap_names_new(TAP_NAMES_MOST, w->claims);
	w->started_ms = tap_clock_mono_ms();
	if (w->names == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	rc = tap_finisher_start(w, err);
	if (rc == TAP_OK)
		rc = tap_writer_start(w, err);
	if (rc == TAP_OK)
		rc = tap_feeders_start(w, err);
	if (rc == TAP_OK)
		rc = tap_sinks_start(w, err);
	if (rc == TAP_OK)
		rc = tap_reprocess_thread_start(w, err);
	if (rc == TAP_OK)
		rc =
		    tap_control_start(w->set.control_socket, tap_commands_answer, w, &control, err);
	if (rc == TAP_OK) {
		tap_info("worker", "works on the spool %s and the store %s", w->spool.directory,
			 w->store_set.path);
		tap_pulse_start(w);
		w->ready = true;
		tap_notify("READY=1");
		rc = tap_watch(w, err);
	}
	if (!w->reload)
		tap_notify("STOPPING=1\nSTATUS=ending");
	atomic_store(&w->stopping, true);
	tap_writer_wake(w); /* or a store that refuses would hold the feeders up */
	tap_control_stop(&control);
	tap_pulse_stop(w);
	tap_feeders_stop(w);
	tap_reprocess_thread_stop(w);
	tap_sinks_stop(w);
	tap_writer_stop(w);
	tap_finisher_stop(w);
	return rc;
}

static void clean_up(struct tap_worker *w)
{
	tap_pool_stop(&w->pool);
	tap_store_close(&w->store);
	tap_names_free(&w->names);
	tap_claims_close(&w->claims);
	for (size_t d = 0; d < TAP_DOOR_N; d++)
		tap_io_close(&w->door_fd[d]);
	tap_io_close(&w->quarantine_fd);
	tap_io_close(&w->spool_fd);
	tap_io_close(&w->spool_lock);
	tap_io_close(&w->store_lock);
}

static int exit_status(enum tap_rc rc)
{
	return rc == TAP_OK ? EX_OK : rc == TAP_E_TEMP ? EX_TEMPFAIL : EX_CONFIG;
}

static enum tap_rc generation(struct tap_worker *w, struct tap_err *err)
{
	struct tap_sandbox_settings unused;
	enum tap_rc rc;

	begin(w);
	rc = read_sections(w, config.now, config.again ? &unused : &sandbox, err);
	if (rc == TAP_OK)
		rc = tap_sinks_configure(w, config.now, err);
	if (rc == TAP_OK)
		rc = prepare(w, err);
	if (rc == TAP_OK && !config.again)
		rc = shut_in(w, config.path, err);
	config.again = true;
	if (rc == TAP_OK)
		rc = work(w, err);
	if (rc != TAP_OK)
		tap_log_err(TAP_LOG_ERROR, "worker", err);
	return rc;
}

/* After a reload: the old configuration is kept until the new one has worked. False: it is over. */
static bool go_on(const struct tap_worker *w, enum tap_rc rc, struct tap_settings **old)
{
	if (rc == TAP_OK && w->reload) {
		tap_settings_free(old);
		*old = config.now;
		config.now = config.next;
		config.next = NULL;
		return true;
	}
	if (rc == TAP_OK || w->ready || *old == NULL)
		return false;
	tap_error("worker", "the new configuration cannot be used: back to the old one");
	tap_settings_free(&config.now);
	config.now = *old;
	*old = NULL;
	return true;
}

static int run(const char *path)
{
	static struct tap_worker w;
	struct tap_settings *old = NULL;
	struct tap_err err = {0};
	bool more = true;
	enum tap_rc rc;

	config.path = path;
	rc = tap_settings_load(path, &config.now, &err);
	if (rc != TAP_OK)
		tap_log_err(TAP_LOG_ERROR, "worker", &err);
	while (config.now != NULL && more) {
		rc = generation(&w, &err);
		if (w.abandoned) {
			/* Only the store is closed: the feeder uses the rest, and the parser process ends when it finds its socket closed. */
			tap_info("worker",
				 "what is still being parsed stays in the spool, what is still "
				 "being sent is tried again");
			tap_store_close(&w.store);
			_exit(exit_status(w.reload ? TAP_E_TEMP : rc));
		}
		clean_up(&w);
		more = go_on(&w, rc, &old);
	}
	tap_settings_free(&old);
	tap_settings_free(&config.now);
	return exit_status(rc);
}

int main(int argc, char **argv)
{
	const char *path = tap_settings_default_path;
	enum tap_log_level level = TAP_LOG_INFO;
	int c;

	while ((c = getopt(argc, argv, "c:vhV")) != -1) {
		switch (c) {
		case 'c': path = optarg; break;
		case 'v': level = TAP_LOG_DEBUG; break;
		case 'h': (void)fputs(usage_text, stdout); return EX_OK;
		case 'V': (void)puts("dmarctapd " TAP_VERSION); return EX_OK;
		default: (void)fputs(usage_text, stderr); return EX_USAGE;
		}
	}
	if (optind != argc) {
		(void)fputs(usage_text, stderr);
		return EX_USAGE;
	}
	tap_log_init("dmarctapd", level);
	/* Messages come and go by the hundred: giving their memory back to the system and faulting it in again costs more than to keep it. */
	(void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 32 << 20);
	return run(path);
}
