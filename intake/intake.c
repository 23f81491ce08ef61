/* SPDX-License-Identifier: Apache-2.0
 * intake/intake.c - from bytes to a fate, and from a fate to what is durable. */
#include "intake/intake.h"

#include "base/clock.h"
#include "base/fault.h"
#include "intake/forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tap_intake {
	struct tap_intake_config cfg;
	struct tap_addresses *addresses;
	struct tap_spool *spool;
};

struct tap_delivery {
	struct tap_intake *in;
	struct tap_spool_writer *writer; /* NULL once it failed or the message is too large */
	uint64_t bytes;
	bool too_large;
	struct tap_err failed; /* rc TAP_OK: nothing has */
};

enum tap_rc tap_intake_pool_verdict(void *ctx, const struct tap_pool_job *job,
				    struct tap_parse_result *res, struct tap_err *err)
{
	return tap_pool_verdict(ctx, job, res, err);
}

enum tap_rc tap_intake_open(const struct tap_intake_config *cfg, struct tap_intake **in_r,
			    struct tap_err *err)
{
	struct tap_intake *in = calloc(1, sizeof(*in));
	enum tap_rc rc;

	*in_r = NULL;
	if (!in)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "intake");
	in->cfg = *cfg;
	rc = tap_addresses_new(&cfg->reports->addresses, cfg->reports->extension_delimiter,
			       &in->addresses, err);
	if (!rc)
		rc = (cfg->once ? tap_spool_open_once : tap_spool_open)(cfg->spool, cfg->door,
									&in->spool, err);
	if (rc)
		tap_intake_close(&in);
	*in_r = in;
	return rc;
}

void tap_intake_close(struct tap_intake **in)
{
	if (!in || !*in)
		return;
	tap_spool_close(&(*in)->spool);
	tap_addresses_free(&(*in)->addresses);
	free(*in);
	*in = NULL;
}

const struct tap_reports_settings *tap_intake_reports(const struct tap_intake *in)
{
	return in->cfg.reports;
}

enum tap_address_match tap_intake_wants(const struct tap_intake *in, const char *path)
{
	return tap_addresses_match(in->addresses, path);
}

enum tap_rc tap_intake_room(struct tap_intake *in, struct tap_err *err)
{
	return tap_spool_room(in->spool, err);
}

struct tap_delivery *tap_delivery_begin(struct tap_intake *in)
{
	struct tap_delivery *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->in = in;
	if (tap_spool_writer_open(in->spool, &d->writer, &d->failed) == TAP_OK)
		d->failed.rc = TAP_OK;
	return d;
}

bool tap_delivery_append(struct tap_delivery *d, const void *p, size_t n)
{
	d->bytes += n;
	if (!d->writer)
		return false;
	if (d->bytes > (uint64_t)d->in->cfg.reports->max_message) {
		/* What is there already helps nobody: its room is given back now. */
		d->too_large = true;
		tap_spool_writer_abort(&d->writer);
		return false;
	}
	if (tap_spool_writer_append(d->writer, p, n, &d->failed) != TAP_OK) {
		tap_spool_writer_abort(&d->writer);
		return false;
	}
	return true;
}

void tap_delivery_abort(struct tap_delivery **d)
{
	if (!d || !*d)
		return;
	tap_spool_writer_abort(&(*d)->writer);
	free(*d);
	*d = NULL;
}

/* Which of our own failures it was: a full disk has a reply of its own. */
static enum tap_fate fate_of_failure(const struct tap_err *err)
{
	return err->sys_errno == ENOSPC || err->sys_errno == EDQUOT ? TAP_FATE_NO_SPACE
								    : TAP_FATE_INNER;
}

/* Refused is only what holds nothing else: each report in it is of a kind that is refused, and none of them is broken (what is
 * broken is kept for a look at it). */
static bool refused(const struct tap_trust_settings *trust, const struct tap_parse_result *res)
{
	unsigned kinds = tap_trust_kinds(trust, TAP_UNAUTH_REJECT);

	return res->kinds != 0 && res->broken == 0 &&
	       (res->kinds & ~(kinds & res->unauthenticated)) == 0;
}

static enum tap_fate fate_of_verdict(enum tap_verdict v)
{
	switch (v) {
	case TAP_V_REPORT: return TAP_FATE_REPORT;
	case TAP_V_FEEDBACK: return TAP_FATE_FEEDBACK;
	case TAP_V_NOT_A_REPORT: return TAP_FATE_NOT_A_REPORT;
	/* Over a limit inside (decompressed bytes, parts): the raw message is at hand and is kept. */
	case TAP_V_TOO_LARGE:
	case TAP_V_BROKEN: return TAP_FATE_BROKEN;
	case TAP_V_UNREADABLE: return TAP_FATE_UNREADABLE;
	default: return TAP_FATE_INNER;
	}
}

static enum tap_fate ask(struct tap_delivery *d, struct tap_outcome *out, struct tap_err *err)
{
	struct tap_intake *in = d->in;
	struct tap_pool_job job = {.payload = false, .now = tap_clock_now()};
	struct tap_parse_result res = {0};
	int fault = tap_fault("intake.verdict");
	enum tap_rc rc;

	if (fault) {
		tap_err_sys(err, TAP_E_TEMP, fault, "intake: no verdict");
		return fate_of_failure(err);
	}
	rc = tap_spool_writer_message(d->writer, &job.fd, &job.off, &job.len, err);
	if (!rc)
		rc = in->cfg.verdict(in->cfg.verdict_ctx, &job, &res, err);
	if (rc)
		return fate_of_failure(err);
	out->reports = res.reports;
	out->broken = res.broken;
	snprintf(out->why, sizeof(out->why), "%s", res.why);
	if (res.verdict == TAP_V_REPORT && refused(in->cfg.trust, &res)) {
		snprintf(out->why, sizeof(out->why), "the mail was not authenticated");
		return TAP_FATE_REJECTED;
	}
	return fate_of_verdict(res.verdict);
}

static enum tap_fate judge(struct tap_delivery *d, struct tap_outcome *out, struct tap_err *err)
{
	if (!d) {
		tap_err_sys(err, TAP_E_TEMP, ENOMEM, "intake");
		return TAP_FATE_INNER;
	}
	if (d->too_large) {
		snprintf(out->why, sizeof(out->why), "over reports.max_message, %llu bytes",
			 (unsigned long long)d->bytes);
		return TAP_FATE_TOO_LARGE;
	}
	if (!d->writer) {
		*err = d->failed;
		return fate_of_failure(err);
	}
	return d->in->cfg.verdict ? ask(d, out, err) : TAP_FATE_UNJUDGED;
}

/* The same way without forwarding: what comes back from a forward is kept. */
static enum tap_way kept_way(enum tap_way way)
{
	return way == TAP_WAY_LMTP_FORWARD   ? TAP_WAY_LMTP
	       : way == TAP_WAY_PIPE_FORWARD ? TAP_WAY_PIPE
					     : way;
}

/* Before anything is kept: what cannot be forwarded stays with its sender whole, and comes again. */
static enum tap_rc forward(struct tap_delivery *d, enum tap_way way, const struct tap_envelope *env,
			   struct tap_outcome *out, struct tap_err *err)
{
	const struct tap_reports_settings *set = d->in->cfg.reports;
	struct tap_forward f = {.program = set->sendmail,
				.sender = env->sender,
				.address = set->not_report_address,
				.fate = tap_fate_name[out->fate],
				.why = out->why,
				.timeout_ms = set->sendmail_ms};
	bool looped = false;
	enum tap_rc rc = tap_spool_writer_message(d->writer, &f.fd, &f.off, &f.len, err);

	if (!rc)
		rc = tap_forward_send(&f, &looped, err);
	if (!rc && looped) {
		snprintf(out->why, sizeof(out->why), "forwarded once, and it came back");
		out->row = tap_fate_row(out->fate, kept_way(way));
	}
	return rc;
}

void tap_delivery_finish(struct tap_delivery **dp, enum tap_way way, const struct tap_envelope *env,
			 struct tap_outcome *out)
{
	struct tap_delivery *d = *dp;
	struct tap_err err = {0};
	int fault;

	memset(out, 0, sizeof(*out));
	out->bytes = d ? d->bytes : 0;
	out->fate = judge(d, out, &err);
	out->row = tap_fate_row(out->fate, way);
	if (out->row->forward && forward(d, way, env, out, &err) != TAP_OK) {
		out->fate = fate_of_failure(&err);
		out->row = tap_fate_row(out->fate, way);
	}
	if (out->row->spool) {
		struct tap_envelope e = *env;

		e.door = d->in->cfg.door;
		e.fate = out->fate;
		e.passed_on = tap_fate_passes_on(out->row);
		e.reason = out->why[0] ? out->why : NULL;
		if (!e.arrival)
			e.arrival = tap_clock_now();
		if (tap_spool_writer_commit(&d->writer, &e, out->id, &err) != TAP_OK) {
			out->fate = fate_of_failure(&err);
			out->row = tap_fate_row(out->fate, way);
			out->id[0] = '\0';
		}
	}
	if (out->id[0] && (fault = tap_fault("intake.reply")) != 0) {
		/* As if the answer could not be given: who sent it comes again, and the key of its reports absorbs that [I3]. */
		tap_err_sys(&err, TAP_E_TEMP, fault, "intake: no answer");
		out->fate = TAP_FATE_INNER;
		out->row = tap_fate_row(out->fate, way);
	}
	if (err.rc)
		snprintf(out->why, sizeof(out->why), "%s", err.msg);
	tap_delivery_abort(dp);
}
