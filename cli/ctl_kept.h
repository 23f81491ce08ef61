/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_kept.h - what the commands over quarantine share. */
#ifndef TAP_CLI_CTL_KEPT_H
#define TAP_CLI_CTL_KEPT_H

#include "cli/ctl.h"
#include "daemon/kept.h"

/* Becomes the service user, takes the worker's lock, opens the directories. TAP_E_TEMP: the worker runs. The caller closes both. */
enum tap_rc ctl_offline(struct ctl *c, struct tap_kept *k, int *lock_r,
			struct tap_err *err) TAP_MUST_CHECK;
int ctl_kept_drop(struct ctl *c, const char *id);

int ctl_quarantine_release(struct ctl *c);
extern const struct ctl_option ctl_release_options[];

#endif
