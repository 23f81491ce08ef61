/* SPDX-License-Identifier: Apache-2.0
 * dashboard/web.h - the HTTP server over libmicrohttpd: what is allowed in (GET and HEAD, known hosts, short paths), the headers
 * that every answer carries, and the way to page and API.
 * Ownership: settings, store path and listen name are the caller's and outlive the server; the descriptor passes to it.
 * Threads: a pool inside; start and stop from one thread, with signals blocked before. RFC 9110. */
#ifndef TAP_DASHBOARD_WEB_H
#define TAP_DASHBOARD_WEB_H

#include "base/err.h"
#include "dashboard/settings.h"

struct tap_web;

/* listen_fd: a listening TCP socket; listen_name: the host it was configured with ("" = every address). */
enum tap_rc tap_web_start(const struct tap_web_settings *set, const char *store_path, int listen_fd,
			  const char *listen_name, struct tap_web **w_r,
			  struct tap_err *err) TAP_MUST_CHECK;
void tap_web_stop(struct tap_web **w); /* NULL-safe; waits for requests that are being answered */

#endif
