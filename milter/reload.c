/* SPDX-License-Identifier: Apache-2.0
 * milter/reload.c - see reload.h. */
#include "milter/reload.h"

#include "base/log.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "milter/callbacks.h"
#include "milter/settings.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct tap_reloaded {
	struct tap_reloaded *next;
	struct tap_settings *settings;
	struct tap_reports_settings reports;
	struct tap_spool_settings spool;
	struct tap_intake *intake;
};

static void the_signal(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGUSR1);
}

void tap_milter_reload_block(void)
{
	sigset_t set;

	the_signal(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static enum tap_rc dump(struct tap_settings *s, const struct tap_section *sec, struct tap_buf *b,
			struct tap_err *err)
{
	void *set = calloc(1, sec->struct_size);
	enum tap_rc rc = set != NULL ? tap_settings_section(s, sec, set, err)
				     : tap_err_set(err, TAP_E_TEMP, "out of memory");

	tap_buf_init(b, 1 << 20);
	if (rc == TAP_OK)
		tap_settings_dump(sec, set, false, b);
	free(set);
	return rc;
}

/* Checks the sections that hold from the next start on, and says which of them differ. */
static enum tap_rc compare(struct tap_reload *r, struct tap_settings *now, struct tap_err *err)
{
	static const struct tap_section *const fixed[] = {&tap_milter_section, &tap_parser_section,
							  &tap_trust_section, &tap_sandbox_section};
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		struct tap_buf was, is;

		rc = dump(now, fixed[i], &is, err);
		if (rc == TAP_OK && dump(r->settings, fixed[i], &was, NULL) == TAP_OK) {
			if (was.len != is.len || (is.len > 0 && memcmp(was.p, is.p, is.len) != 0))
				tap_warn("milter",
					 "the section %s has changed: that needs a restart",
					 fixed[i]->name);
			tap_buf_free(&was);
		}
		tap_buf_free(&is);
	}
	return rc;
}

static void generation_free(struct tap_reloaded **g)
{
	tap_intake_close(&(*g)->intake);
	tap_settings_free(&(*g)->settings);
	free(*g);
	*g = NULL;
}

static enum tap_rc read_anew(struct tap_reload *r, struct tap_reloaded *g, struct tap_err *err)
{
	struct tap_intake_config cfg = {.reports = &g->reports,
					.spool = &g->spool,
					.trust = r->trust,
					.door = TAP_DOOR_MILTER,
					.verdict = tap_intake_pool_verdict,
					.verdict_ctx = r->pool};
	enum tap_rc rc = tap_settings_load(r->path, &g->settings, err);

	if (rc == TAP_OK)
		rc = tap_settings_section(g->settings, &tap_reports_section, &g->reports, err);
	if (rc == TAP_OK)
		rc = tap_settings_section(g->settings, &tap_spool_section, &g->spool, err);
	if (rc == TAP_OK && g->reports.addresses.n == 0)
		rc = tap_err_set(err, TAP_E_CONFIG, "%s: reports.addresses is empty", r->path);
	if (rc == TAP_OK)
		rc = compare(r, g->settings, err);
	if (rc == TAP_OK && strcmp(g->spool.directory, r->spool->directory) != 0) {
		tap_warn("milter", "spool.directory is another one now: that needs a restart");
		g->spool.directory = r->spool->directory;
	}
	return rc == TAP_OK ? tap_intake_open(&cfg, &g->intake, err) : rc;
}

static void reload(struct tap_reload *r)
{
	struct tap_reloaded *g = calloc(1, sizeof(*g));
	struct tap_err err = {0};

	tap_notify_reloading();
	if (g == NULL)
		(void)tap_err_set(&err, TAP_E_TEMP, "out of memory");
	if (g == NULL || read_anew(r, g, &err) != TAP_OK) {
		(void)tap_err_prefix(&err, "the old configuration stays, the new one is bad: ");
		tap_log_err(TAP_LOG_ERROR, "milter", &err);
		tap_notify("READY=1\nSTATUS=%s", err.msg);
		if (g != NULL)
			generation_free(&g);
		return;
	}
	g->next = r->first;
	r->first = g;
	tap_milter_use(g->intake);
	tap_info("milter", "the configuration was read anew; it holds for new connections");
	tap_notify("READY=1\nSTATUS=the configuration was read anew");
}

static void *reload_main(void *arg)
{
	sigset_t set;
	int sig;

	the_signal(&set);
	while (sigwait(&set, &sig) == 0) {
		int before;

		(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
		reload(arg);
		(void)pthread_setcancelstate(before, &before);
	}
	return NULL;
}

void tap_milter_reload_start(struct tap_reload *r)
{
	sigset_t all, before;

	/* libmilter has a thread for SIGTERM and its like: this one must not be found by them. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r->started = pthread_create(&r->thread, NULL, reload_main, r) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!r->started)
		tap_warn("milter", "no thread for SIGUSR1: a new configuration needs a restart");
}

void tap_milter_reload_stop(struct tap_reload *r, bool idle)
{
	if (r->started) {
		(void)pthread_cancel(r->thread); /* in sigwait only */
		(void)pthread_join(r->thread, NULL);
	}
	while (idle && r->first != NULL) {
		struct tap_reloaded *g = r->first;

		r->first = g->next;
		generation_free(&g);
	}
}
