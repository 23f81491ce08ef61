/* SPDX-License-Identifier: Apache-2.0
 * outputs/search.c - see search.h: settings, names of indices, and what is deleted behind a revision. */
#include "outputs/search.h"

#include "base/clock.h"
#include "outputs/kind_files.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { JSON_DEPTH = 32, NAME_BYTES = 100, HITS = 1000, ROUNDS = 1000 };
enum { DATED_NO, DATED_DAY, DATED_MONTH };

static const char *const dated[] = {"no", "day", "month", NULL};

/* clang-format off */
#define SEARCH_ROWS \
	TAP_ROW_LIST("url", tap_search_set, http.url, TAP_SET_REQUIRED, NULL, \
		"URLs of one or more nodes of one cluster: [ \"https://search1:9200\", … ]. The one that worked last is asked first."), \
	TAP_HTTP_ROWS_LOGIN(tap_search_set), \
	TAP_ROW_STR("api_key", tap_search_set, http.api_key, TAP_SET_SECRET, NULL, \
		"API key in the encoded form (base64 of id:key): \"@/path\" of a file that holds it, or \"$NAME\" of an environment variable."), \
	TAP_HTTP_ROWS_AWS(tap_search_set, "es"), \
	TAP_HTTP_ROWS_COMMON(tap_search_set), \
	TAP_ROW_STR("index_prefix", tap_search_set, prefix, 0, NULL, \
		"Stands, with a _ behind it, before the names of the indices: dmarc_aggregate, dmarc_forensic, smtp_tls, dmarc_feedback."), \
	TAP_ROW_STR("index_suffix", tap_search_set, suffix, 0, NULL, \
		"Stands, with a _ before it, behind these names."), \
	TAP_ROW_ENUM("index_dated", tap_search_set, dated, 0, "no", dated, \
		"Puts the begin of the report behind the name: day -2026-06-02, month -2026-06. Months are few enough for years of reports."), \
	TAP_ROW_LIST("tenants", tap_search_set, tenants, 0, NULL, \
		"Reports about some domains go to indices of their own: [ \"acme:example.com\", \"acme:example.net\", … ]: the prefix, " \
		"and a domain, which stands for its subdomains, too. It takes the place of index_prefix."), \
	TAP_ROW_LIST("kinds", tap_search_set, kinds, 0, NULL, \
		"Which reports are sent: aggregate, failure, smtp_tls, feedback. By default aggregate and smtp_tls: failure and feedback " \
		"reports hold personal data."), \
	TAP_ROW_BOOL("strip_payloads", tap_search_set, strip_payloads, 0, "true", \
		"Leave out the text and the source of the messages in failure and feedback reports."), \
	TAP_ROW_INT("shards", tap_search_set, shards, 0, "1", 1, 1024, "Shards of each index, for `dmarctapctl outputs setup`."), \
	TAP_ROW_INT("replicas", tap_search_set, replicas, 0, "-1", -1, 100, \
		"Replicas of each index, for `dmarctapctl outputs setup`; -1 = what the server does by default.")
/* clang-format on */
static const struct tap_setting search_table[] = {SEARCH_ROWS, {0}};

static bool good_name(const char *s)
{
	if (s == NULL)
		return true;
	return *s != '\0' && strlen(s) <= NAME_BYTES && strchr("-_+.", *s) == NULL &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-.")] == '\0';
}

static bool good_tenant(const char *s)
{
	const char *colon = strchr(s, ':');
	char name[NAME_BYTES + 1];

	if (colon == NULL || colon[1] == '\0' || (size_t)(colon - s) > NAME_BYTES)
		return false;
	memcpy(name, s, (size_t)(colon - s));
	name[colon - s] = '\0';
	return good_name(name);
}

static enum tap_rc search_check(const void *set, struct tap_err *err)
{
	const struct tap_search_set *s = set;
	unsigned kinds;

	if (!good_name(s->prefix) ||
	    (s->suffix != NULL && (*s->suffix == '\0' || !good_name(s->suffix))))
		return tap_err_set(err, TAP_E_CONFIG,
				   "index_prefix and index_suffix are of lower-case letters, "
				   "digits, _ - and .");
	for (size_t i = 0; i < s->tenants.n; i++)
		if (!good_tenant(s->tenants.item[i]))
			return tap_err_set(err, TAP_E_CONFIG,
					   "tenants: \"%s\" is not like \"prefix:example.com\"",
					   s->tenants.item[i]);
	if (tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE, &kinds, err) != TAP_OK)
		return TAP_E_CONFIG;
	return tap_http_check(&s->http, err);
}

const struct tap_section tap_elasticsearch_section = {
    .name = "elasticsearch",
    .doc = "Elasticsearch: one document a record. Install its index templates first, with "
	   "`dmarctapctl outputs setup`.",
    .table = search_table,
    .struct_size = sizeof(struct tap_search_set),
    .check = search_check,
};
const struct tap_section tap_opensearch_section = {
    .name = "opensearch",
    .doc = "OpenSearch: one document a record. Install its index templates first, with "
	   "`dmarctapctl outputs setup`.",
    .table = search_table,
    .struct_size = sizeof(struct tap_search_set),
    .check = search_check,
};

unsigned tap_search_wants(const void *set)
{
	const struct tap_search_set *s = set;
	unsigned kinds;

	return tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE | TAP_KIND_SMTP_TLS, &kinds,
				    NULL) == TAP_OK
		   ? kinds
		   : 0;
}

/* ---- names ---- */

/* The length of the tenant's prefix at *p_r, 0 = the domain is nobody's. The longest domain wins. */
static size_t tenant_of(const struct tap_search_set *s, const char *domain, const char **p_r)
{
	size_t n = strlen(domain), best = 0, found = 0;

	for (size_t i = 0; i < s->tenants.n; i++) {
		const char *colon = strchr(s->tenants.item[i], ':');
		size_t k = strlen(colon + 1);

		if (k > n || k <= best || strcasecmp(domain + n - k, colon + 1) != 0 ||
		    (k < n && domain[n - k - 1] != '.'))
			continue;
		best = k;
		found = (size_t)(colon - s->tenants.item[i]);
		*p_r = s->tenants.item[i];
	}
	return found;
}

static void add_digits(struct tap_buf *out, int64_t v, int n)
{
	char digit[4];

	for (int i = n; i-- > 0; v /= 10)
		digit[i] = (char)('0' + v % 10);
	tap_buf_add(out, digit, (size_t)n);
}

static const char *base_name(enum tap_kind kind)
{
	switch (kind) {
	case TAP_KIND_FAILURE: return "dmarc_forensic";
	case TAP_KIND_SMTP_TLS: return "smtp_tls";
	case TAP_KIND_FEEDBACK: return "dmarc_feedback";
	case TAP_KIND_AGGREGATE:
	case TAP_KIND_ALL: break;
	}
	return "dmarc_aggregate";
}

void tap_search_index(const struct tap_search_set *s, const struct tap_meta *m, struct tap_buf *out)
{
	const char *prefix = s->prefix;
	size_t n = s->tenants.n > 0 && m->domain != NULL ? tenant_of(s, m->domain, &prefix) : 0;
	struct tap_date d;

	if (n == 0 && prefix != NULL)
		n = strlen(prefix);
	if (n > 0) {
		tap_buf_add(out, prefix, n);
		if (prefix[n - 1] != '_')
			tap_buf_addc(out, '_');
	}
	tap_buf_adds(out, base_name(m->kind));
	if (s->suffix != NULL) {
		if (s->suffix[0] != '_')
			tap_buf_addc(out, '_');
		tap_buf_adds(out, s->suffix);
	}
	if (s->dated == DATED_NO)
		return;
	tap_time_utc(m->begin, &d);
	tap_buf_addc(out, '-');
	add_digits(out, d.year < 0 || d.year > 9999 ? 0 : d.year, 4);
	tap_buf_addc(out, '-');
	add_digits(out, d.month, 2);
	if (s->dated == DATED_DAY) {
		tap_buf_addc(out, '-');
		add_digits(out, d.day, 2);
	}
}

/* ---- JSON of a server ---- */

struct json_object *tap_search_json(const char *text, size_t n)
{
	struct json_tokener *t;
	struct json_object *o;

	if (n == 0 || n > TAP_HTTP_BODY_MAX)
		return NULL;
	t = json_tokener_new_ex(JSON_DEPTH);
	if (t == NULL)
		return NULL;
	o = json_tokener_parse_ex(t, text, (int)n);
	if (json_tokener_get_error(t) != json_tokener_success ||
	    !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(t);
	return o;
}

/* The member at a path of keys, NULL = not there. */
static struct json_object *at(struct json_object *o, const char *const *key, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!json_object_is_type(o, json_type_object) ||
		    !json_object_object_get_ex(o, key[i], &o))
			return NULL;
	return o;
}

/* ---- what a revision lacks ---- */

struct stale {
	char index[512], uid[TAP_UID_HEX];
	int64_t revision;
};

static bool take_line(const char *line, size_t n, struct stale *x)
{
	static const char *const index[] = {"index", "_index"}, *const id[] = {"index", "_id"},
				 *const version[] = {"index", "version"};
	struct json_object *root = tap_search_json(line, n), *o;
	bool good = false;

	if (root != NULL && (o = at(root, index, 2)) != NULL) {
		(void)snprintf(x->index, sizeof x->index, "%s", json_object_get_string(o));
		o = at(root, id, 2);
		(void)snprintf(x->uid, sizeof x->uid, "%s",
			       o != NULL ? json_object_get_string(o) : "");
		x->uid[strspn(x->uid, "0123456789abcdef")] = '\0';
		o = at(root, version, 2);
		x->revision = o != NULL ? json_object_get_int64(o) : 0;
		good = x->uid[0] != '\0' && x->revision > 1;
	}
	json_object_put(root);
	return good;
}

/* One answered request whose status must be 2xx. */
static enum tap_rc ask(struct tap_http *h, const char *path, struct tap_buf *body, const char *type,
		       int64_t deadline_ms, struct tap_http_answer *a, struct tap_err *err)
{
	const struct tap_http_request q = {.method = "POST",
					   .path = path,
					   .content_type = type,
					   .body = body != NULL ? body->p : NULL,
					   .len = body != NULL ? body->len : 0};
	enum tap_rc rc;

	if (body != NULL && body->failed)
		return tap_err_set(err, TAP_E_LIMIT, "the request is too long");
	rc = tap_http_do(h, &q, deadline_ms, a, err);
	return rc == TAP_OK ? tap_http_class(a, err) : rc;
}

/* A delete line for each hit. How many there were, -1 = that is no answer. Deleting with the very version that was found keeps out of the
 * way of whoever writes a newer one meanwhile. */
static int delete_lines(const struct stale *x, const struct tap_http_answer *a, struct tap_buf *out)
{
	static const char *const where[] = {"hits", "hits"}, *const id[] = {"_id"},
				 *const version[] = {"_version"};
	struct json_object *root = tap_search_json(a->body, a->len);
	struct json_object *hits = root != NULL ? at(root, where, 2) : NULL;
	int n = -1;

	if (hits != NULL && json_object_is_type(hits, json_type_array)) {
		n = (int)json_object_array_length(hits);
		for (int i = 0; i < n; i++) {
			struct json_object *hit = json_object_array_get_idx(hits, (size_t)i);
			struct json_object *o = at(hit, id, 1), *v = at(hit, version, 1);
			const char *s = o != NULL ? json_object_get_string(o) : "";

			if (v == NULL || strncmp(s, x->uid, strlen(x->uid)) != 0 ||
			    s[strspn(s, "0123456789abcdef-")] != '\0')
				continue;
			tap_buf_printf(
			    out,
			    "{\"delete\":{\"_index\":\"%s\",\"_id\":\"%s\",\"version\":%lld,"
			    "\"version_type\":\"external_gte\"}}\n",
			    x->index, s, (long long)json_object_get_int64(v));
		}
	}
	json_object_put(root);
	return n;
}

/* Finds up to HITS documents of former revisions and deletes them; *more_r: there may be others. */
static enum tap_rc tidy_some(struct tap_http *h, const struct stale *x, struct tap_buf *b,
			     bool *more_r, int64_t deadline_ms, struct tap_err *err)
{
	char path[600];
	struct tap_http_answer a;
	enum tap_rc rc;
	int n;

	*more_r = false;
	/* A search sees only what was refreshed. */
	(void)snprintf(path, sizeof path, "/%s/_refresh", x->index);
	rc = ask(h, path, NULL, NULL, deadline_ms, &a, err);
	if (rc != TAP_OK)
		return rc;
	(void)snprintf(path, sizeof path,
		       "/%s/_search?filter_path=hits.hits._id,hits.hits._version", x->index);
	tap_buf_reset(b);
	tap_buf_printf(b,
		       "{\"size\":%d,\"version\":true,\"_source\":false,\"query\":{\"bool\":{"
		       "\"filter\":[{\"match\":{\"report_uid\":\"%s\"}},{\"range\":{\"revision\":{"
		       "\"lt\":%lld}}}]}}}",
		       HITS, x->uid, (long long)x->revision);
	rc = ask(h, path, b, "application/json", deadline_ms, &a, err);
	if (rc != TAP_OK)
		return rc;
	tap_buf_reset(b);
	n = delete_lines(x, &a, b);
	if (n <= 0 || b->len == 0) /* filter_path leaves out "hits" when there are none */
		return TAP_OK;
	*more_r = n == HITS;
	return ask(h, "/_bulk?filter_path=errors", b, "application/x-ndjson", deadline_ms, &a, err);
}

enum tap_rc tap_search_tidy(struct tap_http *h, const char *line, size_t n, int64_t deadline_ms,
			    struct tap_err *err)
{
	struct stale x;
	struct tap_buf b;
	bool more = true;
	enum tap_rc rc = TAP_OK;

	if (!take_line(line, n, &x))
		return TAP_OK;
	tap_buf_init(&b, 1024 * 1024);
	for (int i = 0; rc == TAP_OK && more && i < ROUNDS; i++)
		rc = tidy_some(h, &x, &b, &more, deadline_ms, err);
	tap_buf_free(&b);
	return rc;
}
