/* SPDX-License-Identifier: Apache-2.0
 * base/sandbox_priv.h - between the files of the sandbox (private to base/). Threads: none yet. */
#ifndef TAP_BASE_SANDBOX_PRIV_H
#define TAP_BASE_SANDBOX_PRIV_H

#include "base/sandbox.h"

/* The leak checker of a test build has to trace its own process. */
#ifdef TAP_SANITIZED
enum { TAP_SANDBOX_SANITIZED = 1 };
#else
enum { TAP_SANDBOX_SANITIZED = 0 };
#endif

bool tap_sandbox_can_filter(void); /* false: this processor is not known to the filter */
enum tap_rc tap_sandbox_filter(enum tap_net net, struct tap_err *err) TAP_MUST_CHECK;

/* Builds for tests: tries what the environment variable TAP_SANDBOX_PROBE names ("read:/path make:/path inet mount"), and logs what came of it. */
#ifdef TAP_FAULT_POINTS
void tap_sandbox_probe(const char *program);
#else
static inline void tap_sandbox_probe(const char *program)
{
	(void)program;
}
#endif

#endif
