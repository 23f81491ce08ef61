/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_reload.c - see lmtp_reload.h. */
#include "pipefilter/lmtp_reload.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DUMP_MAX = 1 << 20 };

enum tap_rc tap_lmtp_generation_load(const char *path, struct tap_lmtp_generation **g_r,
				     struct tap_err *err)
{
	struct tap_lmtp_generation *g = calloc(1, sizeof(*g));
	enum tap_rc rc;

	*g_r = NULL;
	if (!g)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "lmtp");
	rc = tap_settings_load(path, &g->settings, err);
	if (!rc)
		rc = tap_settings_section(g->settings, &tap_reports_section, &g->reports, err);
	if (!rc)
		rc = tap_settings_section(g->settings, &tap_spool_section, &g->spool, err);
	if (!rc)
		rc = tap_settings_section(g->settings, &tap_lmtp_section, &g->lmtp, err);
	if (!rc && g->reports.addresses.n == 0)
		rc = tap_err_set(err, TAP_E_CONFIG,
				 "%s: reports.addresses is empty: no mail is ours", path);
	if (rc)
		tap_lmtp_generation_free(&g);
	*g_r = g;
	return rc;
}

enum tap_rc tap_lmtp_generation_open(struct tap_lmtp_generation *g,
				     const struct tap_trust_settings *trust, struct tap_pool *pool,
				     struct tap_err *err)
{
	const struct tap_intake_config cfg = {
	    .reports = &g->reports,
	    .spool = &g->spool,
	    .trust = trust,
	    .door = TAP_DOOR_LMTP,
	    .verdict = tap_intake_pool_verdict,
	    .verdict_ctx = pool,
	};

	return tap_intake_open(&cfg, &g->intake, err);
}

void tap_lmtp_generation_free(struct tap_lmtp_generation **gp)
{
	struct tap_lmtp_generation *g = gp ? *gp : NULL;

	if (!g)
		return;
	tap_intake_close(&g->intake);
	tap_settings_free(&g->settings);
	free(g);
	*gp = NULL;
}

/* ---- what needs a restart ---- */

static enum tap_rc dump(struct tap_settings *s, const struct tap_section *sec, struct tap_buf *out,
			struct tap_err *err)
{
	void *set = calloc(1, sec->struct_size);
	enum tap_rc rc = set ? tap_settings_section(s, sec, set, err)
			     : tap_err_sys(err, TAP_E_TEMP, ENOMEM, "lmtp");

	tap_buf_init(out, DUMP_MAX);
	if (!rc)
		tap_settings_dump(sec, set, false, out);
	free(set);
	return rc;
}

/* Checks the sections that hold from the next start on, and says which of them differ. */
static enum tap_rc compare_sections(struct tap_settings *was, struct tap_settings *is,
				    struct tap_err *err)
{
	static const struct tap_section *const fixed[] = {&tap_parser_section, &tap_trust_section,
							  &tap_sandbox_section};
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; !rc && i < sizeof(fixed) / sizeof(*fixed); i++) {
		struct tap_buf a, b;

		rc = dump(is, fixed[i], &a, err);
		if (!rc && dump(was, fixed[i], &b, NULL) == TAP_OK) {
			if (a.len != b.len || (a.len > 0 && memcmp(a.p, b.p, a.len) != 0))
				tap_warn("lmtp", "the section %s has changed: that needs a restart",
					 fixed[i]->name);
			tap_buf_free(&b);
		}
		tap_buf_free(&a);
	}
	return rc;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_list(const struct tap_list *a, const struct tap_list *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++) {
		if (!same(a->item[i], b->item[i]))
			return false;
	}
	return a->n == b->n;
}

static void compare_door(const struct tap_lmtp_reload *r, const struct tap_lmtp_settings *is)
{
	const struct tap_lmtp_settings *was = &r->first->lmtp;

	if ((!r->own_sockets && !same_list(&was->listen, &is->listen)) ||
	    !same(was->socket_mode, is->socket_mode) ||
	    !same(was->socket_group, is->socket_group) || !same(was->user, is->user) ||
	    !same(was->hostname, is->hostname))
		tap_warn("lmtp", "listen, socket_mode, socket_group, hostname or user of the "
				 "section lmtp has changed: that needs a restart");
}

static enum tap_rc make(const struct tap_lmtp_reload *r, struct tap_lmtp_generation **g_r,
			struct tap_err *err)
{
	enum tap_rc rc = tap_lmtp_generation_load(r->path, g_r, err);
	struct tap_lmtp_generation *g = *g_r;

	if (!rc)
		rc = compare_sections(r->first->settings, g->settings, err);
	/* The sandbox, which cannot be taken off, would keep sendmail from its work. */
	if (!rc && g->reports.not_report == TAP_NOT_REPORT_FORWARD &&
	    r->first->reports.not_report != TAP_NOT_REPORT_FORWARD)
		rc = tap_err_set(err, TAP_E_CONFIG,
				 "reports.not_report = \"forward\" needs a restart");
	if (rc)
		return rc;
	compare_door(r, &g->lmtp);
	if (strcmp(g->spool.directory, r->first->spool.directory) != 0) {
		tap_warn("lmtp", "spool.directory is another one now: that needs a restart");
		g->spool.directory = r->first->spool.directory;
	}
	return tap_lmtp_generation_open(g, r->trust, r->pool, err);
}

struct tap_lmtp_generation *tap_lmtp_reload(const struct tap_lmtp_reload *r)
{
	struct tap_lmtp_generation *g = NULL;
	struct tap_err err = {0};

	tap_notify_reloading();
	if (make(r, &g, &err) != TAP_OK) {
		(void)tap_err_prefix(&err, "the old configuration stays, the new one is bad: ");
		tap_log_err(TAP_LOG_ERROR, "lmtp", &err);
		tap_notify("READY=1\nSTATUS=%s", err.msg);
		tap_lmtp_generation_free(&g);
		return NULL;
	}
	tap_info("lmtp", "the configuration was read anew; it holds for new sessions");
	tap_notify("READY=1\nSTATUS=the configuration was read anew");
	return g;
}
