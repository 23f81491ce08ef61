/* SPDX-License-Identifier: Apache-2.0
 * daemon/quarantine.c - a message that could not be stored (whole), filed with its reason. Called after the commit that made it known, so
 * that a crash at any instruction leaves the file in incoming/ and the store knowing where it belongs; all steps can be done again.
 * Order: the reason durable first, then the message moves, then both directories are made durable. */
#include "daemon/worker.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "daemon/sidecar.h"

#include <stdio.h>
#include <string.h>

static void copy(char *to, size_t n, const char *from)
{
	(void)snprintf(to, n, "%s", from != NULL ? from : "");
}

static void describe(const struct tap_staged *m, struct tap_sidecar *s)
{
	memset(s, 0, sizeof(*s));
	copy(s->id, sizeof(s->id), m->id);
	copy(s->verdict, sizeof(s->verdict), m->verdict);
	copy(s->reason, sizeof(s->reason), m->reason);
	copy(s->door, sizeof(s->door), tap_door_name[m->name->door]);
	s->when = tap_clock_now();
	if (!m->opened)
		return;
	s->arrival = m->file.envelope.arrival;
	copy(s->sender, sizeof(s->sender), m->file.envelope.sender);
	copy(s->queue_id, sizeof(s->queue_id), m->file.envelope.queue_id);
	copy(s->client, sizeof(s->client), m->file.envelope.client);
	(void)snprintf(s->recipients, sizeof(s->recipients), "%.*s",
		       (int)(m->recipients.len < 4000 ? m->recipients.len : 4000),
		       m->recipients.len > 0 ? m->recipients.p : "");
}

static enum tap_rc write_sidecar(struct tap_worker *w, const struct tap_staged *m,
				 struct tap_err *err)
{
	struct tap_sidecar s;
	struct tap_buf text;
	char name[TAP_SPOOL_ID + 8];
	int e = tap_fault("quarantine.sidecar");
	enum tap_rc rc;

	if (e != 0)
		return tap_err_sys(err, TAP_E_TEMP, e, "quarantine/%s.json", m->id);
	describe(m, &s);
	(void)snprintf(name, sizeof(name), "%s.json", m->id);
	tap_buf_init(&text, 1 << 20);
	tap_sidecar_write(&s, &text);
	rc = tap_io_replace(w->quarantine_fd, name, text.p, text.len, TAP_SPOOL_FILE_MODE, err);
	tap_buf_free(&text);
	return rc;
}

enum tap_rc tap_quarantine_file(struct tap_worker *w, const struct tap_staged *m,
				struct tap_err *err)
{
	int from = w->door_fd[m->name->door];
	enum tap_rc rc = write_sidecar(w, m, err);

	if (rc == TAP_OK)
		rc = tap_io_rename(from, m->name->name, w->quarantine_fd, m->name->name,
				   "quarantine.rename", err);
	/* The new name first: a crash between the two may show the message twice, never not at all. */
	if (rc == TAP_OK)
		rc = tap_io_fsync(w->quarantine_fd, "quarantine.dirsync", err);
	if (rc == TAP_OK)
		rc = tap_io_fsync(from, "quarantine.dirsync", err);
	return rc == TAP_OK ? rc : tap_err_prefix(err, "quarantine: ");
}
