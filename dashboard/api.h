/* SPDX-License-Identifier: Apache-2.0
 * dashboard/api.h - the API below /api/v1/: a path and its parameters in, a status and JSON out (docs/api.md). No HTTP library, no
 * socket: the same code runs under the unit tests.
 * Ownership: strings are the caller's. Threads: any number at once; each answer opens its own view of the store.
 * Errors are answers: {"error": "…"} with 400 (parameters), 404 (path), 500 (answer too large), 503 (store busy, unreadable or too slow).
 * A store that does not exist yet is not an error: lists are empty, and /health says "missing". */
#ifndef TAP_DASHBOARD_API_H
#define TAP_DASHBOARD_API_H

#include "base/buf.h"
#include "base/err.h"
#include "dashboard/params.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAP_API_ANSWER_MAX = 16 * 1024 * 1024 };

struct tap_api {
	const char *store_path;
	int64_t query_ms; /* deadline of the questions of one answer */
};
struct tap_api_endpoint;

/* NULL when the API has no such path. */
const struct tap_api_endpoint *tap_api_find(const char *path);
/* What of the query string the endpoint takes, and the defaults into p. */
unsigned tap_api_params(const struct tap_api_endpoint *e, struct tap_params *p);
/* Writes the answer; returns the HTTP status. */
unsigned tap_api_answer(const struct tap_api *api, const struct tap_api_endpoint *e,
			const struct tap_params *p, struct tap_buf *body);
/* {"error": "…"} */
void tap_api_error(struct tap_buf *body, const char *text);

#endif
