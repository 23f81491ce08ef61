/* SPDX-License-Identifier: Apache-2.0
 * outputs/elasticsearch.c - drivers "elasticsearch" and "opensearch": one document an item by _bulk, its _id made of the report, so that
 * nothing is searched before it is written. Each write is an index operation with version = revision and version_type external: 409
 * means that the same or a newer one is there, which is as good as written. What a later revision of a report no longer holds is deleted
 * behind its last item; the action line of that one ends with a blank, which JSON does not mind, and send reads it.
 * Limits: MAX_ITEMS, MAX_BYTES a request; 413, or 400 for a whole request, halves it down to one item.
 * Errors of send: as http.h; a request that was answered leaves a verdict for each of its items. Threads: output.h. */
#include "outputs/drivers.h"
#include "outputs/flat.h"
#include "outputs/http.h"
#include "outputs/search.h"

#include "base/clock.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ITEMS = 1000, MAX_BYTES = 16 * 1024 * 1024, WHY = 600 };

struct self {
	const struct tap_search_set *set;
	struct tap_http *http;
	char why[MAX_ITEMS][WHY]; /* of the last send */
};

/* ---- encode ---- */

static enum tap_rc es_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
			     struct tap_err *err)
{
	const struct tap_search_set *s = set;
	const struct tap_flat_style style = {.search = true, .strip_payloads = s->strip_payloads};
	int64_t revision = item->revision > 0 ? item->revision : 1;
	char id[TAP_FLAT_ID];
	enum tap_rc rc;

	tap_flat_id(item, id);
	tap_buf_adds(out, "{\"index\":{\"_index\":\"");
	tap_search_index(s, item->meta, out);
	tap_buf_adds(out, "\",\"_id\":\"");
	tap_buf_adds(out, id);
	tap_buf_adds(out, "\",\"version\":");
	tap_buf_add_i64(out, revision);
	tap_buf_adds(out, ",\"version_type\":\"external\"}}");
	if (item->last && revision > 1)
		tap_buf_addc(out, ' ');
	tap_buf_addc(out, '\n');
	rc = tap_flat_item(out, &style, item, err);
	tap_buf_addc(out, '\n');
	if (rc == TAP_OK && out->failed)
		rc = tap_err_set(err, TAP_E_LIMIT, "the document is larger than %d bytes",
				 MAX_BYTES);
	return rc;
}

/* ---- the answer ---- */

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string)
		   ? json_object_get_string(v)
		   : NULL;
}

static enum tap_item_verdict verdict_of(int64_t status)
{
	if ((status >= 200 && status < 300) || status == 409)
		return TAP_ITEM_CONFIRMED;
	if (status == 429 || status == 403 || status == 401 || status == 408 || status >= 500)
		return TAP_ITEM_RETRY;
	return TAP_ITEM_NEVER;
}

static void say_why(char *why, int64_t status, struct json_object *error)
{
	const char *type = text_of(error, "type"), *reason = text_of(error, "reason");
	struct json_object *cause;
	const char *deeper = NULL;

	if (json_object_object_get_ex(error, "caused_by", &cause))
		deeper = text_of(cause, "reason");
	(void)snprintf(why, WHY, "%lld %s: %s%s%s", (long long)status,
		       type != NULL ? type : "no type", reason != NULL ? reason : "no reason",
		       deeper != NULL ? ", " : "", deeper != NULL ? deeper : "");
}

/* One element of "items": {"index":{"status":201,…}}. False: it is none. */
static bool take_item(struct json_object *element, enum tap_item_verdict *verdict, char *why)
{
	struct json_object *op, *status, *error;

	if (!json_object_is_type(element, json_type_object) ||
	    !json_object_object_get_ex(element, "index", &op) ||
	    !json_object_is_type(op, json_type_object) ||
	    !json_object_object_get_ex(op, "status", &status) ||
	    !json_object_is_type(status, json_type_int))
		return false;
	*verdict = verdict_of(json_object_get_int64(status));
	why[0] = '\0';
	if (*verdict != TAP_ITEM_CONFIRMED) {
		if (!json_object_object_get_ex(op, "error", &error))
			error = NULL;
		say_why(why, json_object_get_int64(status), error);
	}
	return true;
}

static enum tap_rc read_answer(struct self *e, const struct tap_http_answer *a, size_t first,
			       size_t n, enum tap_item_verdict *verdict, struct tap_err *err)
{
	struct json_object *root = tap_search_json(a->body, a->len), *items;
	bool good = root != NULL && json_object_object_get_ex(root, "items", &items) &&
		    json_object_is_type(items, json_type_array) &&
		    json_object_array_length(items) == n;

	for (size_t i = 0; good && i < n; i++)
		good = take_item(json_object_array_get_idx(items, i), &verdict[first + i],
				 e->why[first + i]);
	json_object_put(root);
	if (good)
		return TAP_OK;
	for (size_t i = 0; i < n; i++)
		verdict[first + i] = TAP_ITEM_RETRY;
	return tap_err_set(err, TAP_E_TEMP, "%s: the answer is not that of a bulk request",
			   a->host);
}

/* ---- send ---- */

static enum tap_rc post(struct self *e, const char *bytes, const size_t *ofs, size_t first,
			size_t n, enum tap_item_verdict *verdict, int64_t deadline_ms,
			struct tap_err *err)
{
	const struct tap_http_request q = {
	    .method = "POST",
	    .path = "/_bulk?filter_path=errors,items.*.status,items.*.error",
	    .content_type = "application/x-ndjson",
	    .body = bytes + ofs[first],
	    .len = ofs[first + n] - ofs[first]};
	struct tap_http_answer a;
	enum tap_rc rc = tap_http_do(e->http, &q, deadline_ms, &a, err);

	if (rc == TAP_OK)
		rc = tap_http_class(&a, err);
	return rc != TAP_OK ? rc : read_answer(e, &a, first, n, verdict, err);
}

/* The stack of halves that are still to be sent; each level is half of the one above. */
enum { DEPTH = 16 };
struct part {
	size_t first, n;
};

/* TAP_OK: each item has its verdict. Else those that come after the trouble have RETRY, and some before may be confirmed. */
static enum tap_rc send_halves(struct self *e, const char *bytes, const size_t *ofs, size_t n,
			       enum tap_item_verdict *verdict, bool *some_r, int64_t deadline_ms,
			       struct tap_err *err)
{
	struct part todo[DEPTH] = {{0, n}};
	size_t left = 1;

	while (left > 0) {
		struct part p = todo[--left];
		enum tap_rc rc = post(e, bytes, ofs, p.first, p.n, verdict, deadline_ms, err);

		if (rc == TAP_OK) {
			*some_r = true;
		} else if (rc != TAP_E_LIMIT && rc != TAP_E_DATA) {
			return rc;
		} else if (p.n == 1 || left + 2 > DEPTH) {
			for (size_t i = 0; i < p.n; i++) {
				verdict[p.first + i] = p.n == 1 ? TAP_ITEM_NEVER : TAP_ITEM_RETRY;
				(void)snprintf(e->why[p.first + i], WHY, "%s", err->msg);
			}
			*some_r = true;
		} else {
			todo[left++] = (struct part){p.first + p.n / 2, p.n - p.n / 2};
			todo[left++] = (struct part){p.first, p.n / 2};
		}
	}
	return TAP_OK;
}

/* Behind the last item of a revised report: what its former revisions had and this one lacks goes. */
static void tidy(struct self *e, const char *bytes, const size_t *ofs, size_t n,
		 enum tap_item_verdict *verdict, int64_t deadline_ms)
{
	for (size_t i = 0; i < n; i++) {
		const char *line = bytes + ofs[i];
		const char *end = memchr(line, '\n', ofs[i + 1] - ofs[i]);
		struct tap_err err = {0};

		if (verdict[i] != TAP_ITEM_CONFIRMED || end == NULL || end == line ||
		    end[-1] != ' ')
			continue;
		if (tap_search_tidy(e->http, line, (size_t)(end - line), deadline_ms, &err) ==
		    TAP_OK)
			continue;
		verdict[i] = TAP_ITEM_RETRY;
		(void)snprintf(e->why[i], WHY, "what this revision lacks is still there: %s",
			       err.msg);
	}
}

static enum tap_rc es_send(void *self, const char *bytes, const size_t *ofs, size_t n,
			   enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			   struct tap_err *err)
{
	struct self *e = self;
	bool some = false;
	enum tap_rc rc;

	(void)state_r;
	for (size_t i = 0; i < n; i++)
		e->why[i][0] = '\0';
	rc = send_halves(e, bytes, ofs, n, verdict, &some, deadline_ms, err);
	if (rc != TAP_OK && !some)
		return rc;
	/* What was answered before the trouble stays answered. */
	for (size_t i = 0; rc != TAP_OK && i < n; i++)
		if (verdict[i] == TAP_ITEM_RETRY && e->why[i][0] == '\0')
			(void)snprintf(e->why[i], WHY, "%s", err->msg);
	tidy(e, bytes, ofs, n, verdict, deadline_ms);
	*err = (struct tap_err){0};
	return TAP_OK;
}

static const char *es_reason(void *self, size_t i)
{
	struct self *e = self;

	return i < MAX_ITEMS && e->why[i][0] != '\0' ? e->why[i] : NULL;
}

/* ---- life ---- */

static void es_close(void **self)
{
	struct self *e = *self;

	if (e == NULL)
		return;
	tap_http_close(&e->http);
	free(e);
	*self = NULL;
}

static enum tap_rc es_open(const void *set, const char *state, char *state_r, void **self_r,
			   struct tap_err *err)
{
	struct self *e = calloc(1, sizeof *e);
	void *self = e;
	enum tap_rc rc;

	(void)state;
	(void)state_r;
	*self_r = NULL;
	if (e == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	e->set = set;
	rc = tap_http_open(&e->set->http, &e->http, err);
	if (rc != TAP_OK)
		es_close(&self);
	*self_r = self;
	return rc;
}

const struct tap_output_ops tap_output_elasticsearch = {
    .name = "elasticsearch",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_EXACTLY_ONCE,
    .settings = &tap_elasticsearch_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = es_encode,
    .open = es_open,
    .send = es_send,
    .close = es_close,
    .replaces = true,
    .wants = tap_search_wants,
    .reason = es_reason,
    .setup = tap_search_setup,
};
const struct tap_output_ops tap_output_opensearch = {
    .name = "opensearch",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_EXACTLY_ONCE,
    .settings = &tap_opensearch_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = es_encode,
    .open = es_open,
    .send = es_send,
    .close = es_close,
    .replaces = true,
    .wants = tap_search_wants,
    .reason = es_reason,
    .setup = tap_search_setup,
};
