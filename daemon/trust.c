/* SPDX-License-Identifier: Apache-2.0
 * daemon/trust.c - what the section "trust" makes of a message before the store sees its reports: quarantine for what did not come
 * authenticated or is about other domains, and how much it weighs against its reporter's quota.
 * Threads: a message is its thread's alone; settings are read-only. */
#include "daemon/worker.h"

#include "base/io.h"
#include "base/log.h"
#include "confine/frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 256 << 10 };

static enum tap_rc replay_file(const struct tap_staged *m, struct tap_frame_reader *r,
			       struct tap_err *err)
{
	char *piece = malloc(PIECE);
	enum tap_rc rc = TAP_OK;

	if (piece == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (uint64_t off = 0; rc == TAP_OK && off < m->tmp_len;) {
		size_t got = 0;

		rc = tap_io_pread(m->tmp_fd, piece, PIECE, off, &got, err);
		if (rc == TAP_OK && got == 0)
			rc = tap_err_set(err, TAP_E_TEMP, "the staged frames are cut");
		if (rc == TAP_OK)
			rc = tap_frame_reader_input(r, piece, got, err);
		off += got;
	}
	free(piece);
	return rc;
}

enum tap_rc tap_staged_replay(const struct tap_staged *m, const struct tap_events *ev, void *ctx,
			      struct tap_err *err)
{
	struct tap_frame_reader *r = tap_frame_reader_new(ev, ctx);
	struct tap_parse_result res;
	enum tap_rc rc = TAP_OK, far = TAP_OK;

	if (m->tmp_fd >= 0)
		rc = replay_file(m, r, err);
	else if (m->frames.len > 0)
		rc = tap_frame_reader_input(r, m->frames.p, m->frames.len, err);
	if (rc == TAP_OK && !tap_frame_reader_result(r, &far, &res))
		rc = tap_err_set(err, TAP_E_DATA, "the parser's answer has no end");
	tap_frame_reader_free(&r);
	return rc;
}

/* ---- quotas ---- */

/* Who brought it: the domain that was authenticated. One that only claims to be somebody stands on an account of its own, with a
 * question mark in front, so that a forger does not use up the quota of whom he names. */
static enum tap_rc weigh_begin(void *ctx, const struct tap_meta *meta, struct tap_err *err)
{
	struct tap_staged *m = ctx;
	const struct tap_trust *t = &meta->trust;
	bool known = t->auth == TAP_AUTH_PASS;
	const char *who = t->from_domain;

	(void)err;
	if (m->reporter[0] != '\0')
		return TAP_OK;
	if (who == NULL && known && t->n_dkim_domains > 0)
		who = t->dkim_domains[0];
	if (who == NULL)
		who = meta->org_name != NULL ? meta->org_name : "";
	(void)snprintf(m->reporter, sizeof(m->reporter), "%s%s", known ? "" : "?", who);
	return TAP_OK;
}

static enum tap_rc weigh_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	(void)f;
	(void)err;
	((struct tap_staged *)ctx)->records++;
	return TAP_OK;
}

static enum tap_rc weigh_end(void *ctx, const struct tap_report_end *end, struct tap_err *err)
{
	struct tap_staged *m = ctx;

	(void)err;
	m->records += end->records + end->details;
	return TAP_OK;
}

/* ---- what is done ---- */

static void condemn(struct tap_staged *m, const char *verdict, const char *why)
{
	(void)snprintf(m->verdict, sizeof(m->verdict), "%s", verdict);
	(void)snprintf(m->reason, sizeof(m->reason), "%s", why);
	m->has_reports = false;
	m->reports = 0;
}

static void mark(const struct tap_worker *w, const struct tap_staged *m, unsigned kinds)
{
	const struct tap_log_field fields[] = {{"id", m->id}, {NULL, NULL}};

	/* Without an authserv-id nothing ever is, and nobody wants to read that of each. */
	if (w->trust.authserv_ids.n > 0 && (kinds & tap_trust_kinds(&w->trust, TAP_UNAUTH_MARK)))
		tap_log_fields(TAP_LOG_WARNING, "worker", fields,
			       "reports in mail that was not authenticated");
}

enum tap_rc tap_trust_apply(const struct tap_worker *w, struct tap_staged *m,
			    const struct tap_parse_result *res, struct tap_err *err)
{
	static const struct tap_events weigh = {
	    .begin = weigh_begin, .failure = weigh_failure, .end = weigh_end};
	struct tap_err why = {0};
	enum tap_rc rc = TAP_OK;

	if (res->unauthenticated & tap_trust_kinds(&w->trust, TAP_UNAUTH_QUARANTINE)) {
		condemn(m, "unauthenticated", "the mail that carried it was not authenticated");
		return TAP_OK;
	}
	mark(w, m, res->unauthenticated);
	if (res->foreign && w->trust.foreign == TAP_FOREIGN_QUARANTINE) {
		condemn(m, "foreign", "it is about domains that are not in trust.domains");
		return TAP_OK;
	}
	if (!tap_trust_quotas(&w->trust))
		return TAP_OK;
	m->records = 0;
	m->reporter[0] = '\0';
	rc = tap_staged_replay(m, &weigh, m, &why);
	/* Frames that are none are the writer's to find: it has an answer for them. */
	if (rc == TAP_E_TEMP)
		*err = why;
	return rc == TAP_E_TEMP ? rc : TAP_OK;
}
