/* SPDX-License-Identifier: Apache-2.0
 * confine/jail.h - shuts the calling process in (private to confine/): limits, no new privileges, Landlock, a system call filter.
 * Afterwards it can read descriptors that it has or is handed, write on its socket, and use memory up to the limit. Opening any
 * path fails with EACCES (the C library tries that for character sets); sockets, processes, programs and tracing end it. */
#ifndef TAP_CONFINE_JAIL_H
#define TAP_CONFINE_JAIL_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct tap_jail {
	uint64_t
	    memory; /* bytes of address space; not limited in builds with sanitizers, which reserve terabytes */
	uint64_t cpu_s; /* processor time of its whole life */
	bool confine;	/* false: only the limits (sandbox.enabled = no) */
};
/* *confined_r as struct tap_wire_hello says it. Cannot be undone. */
enum tap_rc tap_jail_enter(const struct tap_jail *jail, uint32_t *confined_r,
			   struct tap_err *err) TAP_MUST_CHECK;

#endif
