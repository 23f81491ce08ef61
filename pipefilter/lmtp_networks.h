/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_networks.h - lists of networks: "192.0.2.0/24", "2001:db8::/32", a bare address = itself.
 * An IPv4 address that comes mapped into IPv6 is compared as IPv4. Threads: read-only. */
#ifndef TAP_PIPEFILTER_LMTP_NETWORKS_H
#define TAP_PIPEFILTER_LMTP_NETWORKS_H

#include "base/err.h"
#include "base/settings.h"
#include <stdbool.h>

/* TAP_E_CONFIG names the entry that is no network, or has bits set behind its prefix. */
enum tap_rc tap_networks_check(const struct tap_list *list, struct tap_err *err) TAP_MUST_CHECK;
/* Is the address (as text) in one of them? */
bool tap_networks_hold(const struct tap_list *list, const char *address);

#endif
