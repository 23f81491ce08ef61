/* SPDX-License-Identifier: Apache-2.0
 * intake/spool_once.c - the spool for a process that leaves one message and ends. It starts anew with each message, so its start must
 * cost no more than the message: no fsync but those that the message needs, no orphans looked for (the worker does that), no count
 * of what waits where another process has just counted, no directory made: whose name would have to be made durable, too [I1]. */
#include "base/io.h"
#include "intake/spool.h"
#include "intake/spool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum tap_rc tap_spool_open_once(const struct tap_spool_settings *set, enum tap_door door,
				struct tap_spool **s_r, struct tap_err *err)
{
	struct tap_spool *s = calloc(1, sizeof(*s));
	const char *path = tap_spool_incoming[door];
	enum tap_rc rc;

	*s_r = NULL;
	if (!s)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "spool");
	s->root = s->dir = -1;
	s->max_bytes = set->max_bytes;
	s->max_files = set->max_files;
	s->min_free = set->min_free;
	s->shared = true;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->synced, NULL);
	rc = tap_spool_root(set, &s->root, err);
	if (!rc) {
		rc = tap_io_open(s->root, path, O_RDONLY | O_DIRECTORY, 0, &s->dir, NULL, err);
		if (rc == TAP_E_NOTFOUND)
			rc = tap_err_set(err, TAP_E_CONFIG,
					 "spool.directory %s has no %s: the worker makes it when "
					 "it starts",
					 set->directory, path);
		else if (rc)
			rc = tap_err_prefix(err, "spool: ");
	}
	if (rc) {
		tap_spool_close(&s);
		return rc;
	}
	*s_r = s;
	return TAP_OK;
}
