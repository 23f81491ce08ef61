/* SPDX-License-Identifier: Apache-2.0
 * dashboard/api_priv.h - what the files of the API share: one answer in the making, and the writers of single endpoints.
 * Threads: each answer belongs to one. */
#ifndef TAP_DASHBOARD_API_PRIV_H
#define TAP_DASHBOARD_API_PRIV_H

#include "dashboard/api.h"
#include "dashboard/json.h"
#include "store/query.h"

/* q is NULL when there is no store yet. */
struct tap_answer {
	const struct tap_api *api;
	struct tap_query *q;
	const struct tap_params *p;
	unsigned params; /* what the endpoint takes */
	struct tap_query_window window;
	struct tap_json json;
};

/* Members from, until, domain, trusted_only. */
void tap_api_window(struct tap_answer *a);
/* Member trust. */
void tap_api_trust(struct tap_json *j, const struct tap_query_trust *t);
/* Member notes. */
void tap_api_notes(struct tap_json *j, const struct tap_query_report *row);

enum tap_rc tap_api_failures(struct tap_answer *a, struct tap_err *err);
enum tap_rc tap_api_feedback(struct tap_answer *a, struct tap_err *err);
/* TAP_E_DATA without seq, TAP_E_NOTFOUND when no such report is there. */
enum tap_rc tap_api_failure(struct tap_answer *a, struct tap_err *err);
enum tap_rc tap_api_tls(struct tap_answer *a, struct tap_err *err);
enum tap_rc tap_api_tls_reports(struct tap_answer *a, struct tap_err *err);
enum tap_rc tap_api_foreign(struct tap_answer *a, struct tap_err *err);

#endif
