/* SPDX-License-Identifier: Apache-2.0
 * outputs/search.h - what the driver of Elasticsearch and OpenSearch is made of, beside sending (elasticsearch.c): its settings, the
 * names of its indices, the templates, and what is deleted behind a revision. Private to outputs/. Threads: as http.h. */
#ifndef TAP_OUTPUTS_SEARCH_H
#define TAP_OUTPUTS_SEARCH_H

#include "outputs/http.h"
#include "outputs/output.h"

struct json_object;

struct tap_search_set {
	struct tap_http_settings http;
	char *prefix, *suffix;
	int64_t dated;
	struct tap_list tenants, kinds;
	bool strip_payloads;
	int64_t shards, replicas; /* replicas -1: the server's default */
};
extern const struct tap_section tap_elasticsearch_section, tap_opensearch_section;

unsigned tap_search_wants(const void *set);
/* The index that a report belongs to, of its domain (tenants), kind and begin: the same for every try. */
void tap_search_index(const struct tap_search_set *s, const struct tap_meta *m,
		      struct tap_buf *out);
/* Puts the templates of this program's version there; a newer one that is there stays. */
enum tap_rc tap_search_setup(const void *set, struct tap_buf *said, int64_t deadline_ms,
			     struct tap_err *err);
/* Deletes the documents of the report and index that this action line names whose version is less than the line's. */
enum tap_rc tap_search_tidy(struct tap_http *h, const char *line, size_t n, int64_t deadline_ms,
			    struct tap_err *err);
/* The document, or NULL. Depth and size are bounded. The caller puts it. */
struct json_object *tap_search_json(const char *text, size_t n);

#endif
