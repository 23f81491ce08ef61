/* SPDX-License-Identifier: Apache-2.0
 * outputs/search_setup.c - see search.h: the index templates of etc/elasticsearch, which are part of the program, put into a cluster
 * under the names that this output's indices have. They carry a version: a newer one that is there stays. */
#include "outputs/search.h"
#include "outputs/search_templates.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 600 };

/* "NAME" and "NAME-*" for the prefix of this output and of each of its tenants. */
static void patterns(const struct tap_search_set *s, enum tap_kind kind, struct json_object *list)
{
	for (size_t i = 0; i <= s->tenants.n; i++) {
		char prefix[128], text[NAME_SIZE];
		struct tap_search_set one = {.prefix = s->prefix, .suffix = s->suffix};
		const struct tap_meta m = {.kind = kind};
		struct tap_buf b;

		if (i > 0) {
			(void)snprintf(prefix, sizeof prefix, "%s", s->tenants.item[i - 1]);
			prefix[strcspn(prefix, ":")] = '\0';
			one.prefix = prefix;
		}
		tap_buf_init(&b, NAME_SIZE - 8);
		tap_search_index(&one, &m, &b);
		(void)snprintf(text, sizeof text, "%s-*", tap_buf_cstr(&b));
		(void)json_object_array_add(list, json_object_new_string(tap_buf_cstr(&b)));
		(void)json_object_array_add(list, json_object_new_string(text));
		tap_buf_free(&b);
	}
}

static struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v)
		   ? v
		   : NULL;
}

/* The version of the template that is there: 0 = none. */
static enum tap_rc present(struct tap_http *h, const char *path, int64_t *version_r,
			   int64_t deadline_ms, struct tap_err *err)
{
	const struct tap_http_request q = {.method = "GET", .path = path};
	struct tap_http_answer a;
	struct json_object *root, *list, *v;
	enum tap_rc rc = tap_http_do(h, &q, deadline_ms, &a, err);

	*version_r = 0;
	if (rc != TAP_OK || a.status == 404)
		return rc;
	rc = tap_http_class(&a, err);
	if (rc != TAP_OK)
		return rc;
	root = tap_search_json(a.body, a.len);
	list = member(root, "index_templates");
	if (!json_object_is_type(list, json_type_array)) {
		json_object_put(root);
		return tap_err_set(err, TAP_E_TEMP, "%s: the answer has no index_templates",
				   a.host);
	}
	if (json_object_array_length(list) > 0) {
		v = member(member(json_object_array_get_idx(list, 0), "index_template"), "version");
		*version_r = v != NULL ? json_object_get_int64(v) : 0;
	}
	json_object_put(root);
	return TAP_OK;
}

static void sizes(const struct tap_search_set *s, struct json_object *root)
{
	struct json_object *index = member(member(member(root, "template"), "settings"), "index");

	if (index == NULL)
		return;
	(void)json_object_object_add(index, "number_of_shards", json_object_new_int64(s->shards));
	if (s->replicas >= 0)
		(void)json_object_object_add(index, "number_of_replicas",
					     json_object_new_int64(s->replicas));
}

static enum tap_rc put_one(struct tap_http *h, const struct tap_search_set *s,
			   const struct tap_search_template *t, struct tap_buf *said,
			   int64_t deadline_ms, struct tap_err *err)
{
	struct json_object *root = tap_search_json(t->text, strlen(t->text)),
			   *list = json_object_new_array();
	char path[NAME_SIZE + 32];
	int64_t there = 0, ours;
	struct tap_http_answer a;
	struct tap_http_request q = {
	    .method = "PUT", .path = path, .content_type = "application/json"};
	enum tap_rc rc;

	if (root == NULL || list == NULL) {
		json_object_put(root);
		json_object_put(list);
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	}
	patterns(s, t->kind, list);
	(void)json_object_object_add(root, "index_patterns", list);
	sizes(s, root);
	ours = json_object_get_int64(member(root, "version"));
	(void)snprintf(path, sizeof path, "/_index_template/dmarctap-%s",
		       json_object_get_string(json_object_array_get_idx(list, 0)));
	rc = present(h, path, &there, deadline_ms, err);
	if (rc == TAP_OK && there > ours) {
		tap_buf_printf(said,
			       "%s: version %" PRId64
			       " is there and stays, this program has %" PRId64 "\n",
			       path + 1, there, ours);
	} else if (rc == TAP_OK) {
		q.body = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN);
		q.len = strlen(q.body);
		rc = tap_http_do(h, &q, deadline_ms, &a, err);
		rc = rc == TAP_OK ? tap_http_class(&a, err) : rc;
		if (rc == TAP_OK)
			tap_buf_printf(said, "%s: version %" PRId64 " %s\n", path + 1, ours,
				       there == 0      ? "installed"
				       : there == ours ? "installed again"
						       : "installed in place of an older one");
	}
	json_object_put(root);
	return rc;
}

enum tap_rc tap_search_setup(const void *set, struct tap_buf *said, int64_t deadline_ms,
			     struct tap_err *err)
{
	const struct tap_search_set *s = set;
	struct tap_http *h = NULL;
	unsigned kinds = tap_search_wants(set);
	enum tap_rc rc = tap_http_open(&s->http, &h, err);

	for (size_t i = 0; rc == TAP_OK && i < tap_search_templates_n; i++)
		if ((kinds & tap_search_templates[i].kind) != 0)
			rc = put_one(h, s, &tap_search_templates[i], said, deadline_ms, err);
	tap_http_close(&h);
	return rc;
}
