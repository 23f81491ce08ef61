/* SPDX-License-Identifier: Apache-2.0
 * Documents of the search and Splunk outputs, names of indices, and what a status means. */
#include "outputs/drivers.h"
#include "outputs/flat.h"
#include "outputs/http.h"
#include "outputs/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct tap_auth_result dkim = {
    .domain = "example.com", .label = "s\"1", .result = "pass"};
static const struct tap_record record = {.index = 7,
					 .source_ip = "192.0.2.1",
					 .count = 3,
					 .disposition = "none",
					 .dkim_aligned = true,
					 .evaluated = true,
					 .header_from = "example.com",
					 .dkim = &dkim,
					 .n_dkim = 1};
static const struct tap_meta meta = {.kind = TAP_KIND_AGGREGATE,
				     .uid = "0123456789abcdef0123456789abcdef01234567",
				     .org_name = "Example",
				     .domain = "mail.example.com",
				     .begin = 1780358400,
				     .end = 1780444799};
static const struct tap_report_end end;

static struct tap_item item_of(const struct tap_record *r, bool last, int64_t revision)
{
	return (struct tap_item){.seq = 1,
				 .ordinal = 5,
				 .revision = revision,
				 .last = last,
				 .meta = &meta,
				 .record = r,
				 .end = &end};
}

static void ids_come_of_the_report(void **state)
{
	struct tap_item item = item_of(&record, false, 1);
	char id[TAP_FLAT_ID];

	(void)state;
	tap_flat_id(&item, id);
	assert_string_equal(id, "0123456789abcdef0123456789abcdef01234567-7");
	item.record = NULL;
	tap_flat_id(&item, id);
	assert_string_equal(id, meta.uid);
}

static void a_bulk_item_is_two_lines(void **state)
{
	struct tap_search_set *set = calloc(1, sizeof *set);
	struct tap_item item = item_of(&record, true, 2);
	struct tap_err err = {0};
	struct tap_buf b;
	const char *text;

	(void)state;
	tap_buf_init(&b, 65536);
	assert_int_equal(tap_output_opensearch.encode(set, &item, &b, &err), TAP_OK);
	text = tap_buf_cstr(&b);
	/* The blank behind the line says: the last item of a revision. */
	assert_int_equal(strncmp(text,
				 "{\"index\":{\"_index\":\"dmarc_aggregate\",\"_id\":"
				 "\"0123456789abcdef0123456789abcdef01234567-7\",\"version\":2,"
				 "\"version_type\":\"external\"}} \n{\"report_uid\":",
				 140),
			 0);
	assert_non_null(
	    strstr(text, "\"dkim_results_combined\":[\"s\\\"1 / example.com / pass\"]"));
	assert_non_null(strstr(text, "\"date_begin\":\"2026-06-02T00:00:00Z\""));
	assert_null(strstr(text, "null"));
	assert_int_equal(text[b.len - 1], '\n');
	tap_buf_free(&b);
	free(set);
}

static void an_item_that_is_too_large_is_told(void **state)
{
	struct tap_search_set *set = calloc(1, sizeof *set);
	struct tap_item item = item_of(&record, false, 1);
	struct tap_err err = {0};
	struct tap_buf b;

	(void)state;
	for (size_t max = 1; max < 900; max += 13) {
		tap_buf_init(&b, max);
		assert_int_equal(tap_output_opensearch.encode(set, &item, &b, &err), TAP_E_LIMIT);
		tap_buf_free(&b);
	}
	free(set);
}

static void index_of(const struct tap_search_set *set, int64_t begin, const char *want)
{
	struct tap_meta m = meta;
	struct tap_buf b;

	m.begin = begin;
	tap_buf_init(&b, 1024);
	tap_search_index(set, &m, &b);
	assert_string_equal(tap_buf_cstr(&b), want);
	tap_buf_free(&b);
}

static void names_of_indices(void **state)
{
	char prefix[] = "acme", suffix[] = "v2", t1[] = "big:example.com",
	     t2[] = "small:mail.example.com", t3[] = "no:ample.com";
	char *tenants[] = {t1, t2, t3};
	struct tap_search_set set = {.prefix = prefix};

	(void)state;
	index_of(&set, 0, "acme_dmarc_aggregate");
	set.suffix = suffix;
	set.dated = 2;
	index_of(&set, 1780358400, "acme_dmarc_aggregate_v2-2026-06");
	set.dated = 1;
	index_of(&set, 1780358400, "acme_dmarc_aggregate_v2-2026-06-02");
	set.tenants = (struct tap_list){tenants, 1};
	set.dated = 0;
	index_of(&set, 0, "big_dmarc_aggregate_v2");
	set.tenants.n = 3; /* the longest domain */
	index_of(&set, 0, "small_dmarc_aggregate_v2");
	set.tenants = (struct tap_list){tenants + 2, 1};
	index_of(&set, 0, "acme_dmarc_aggregate_v2");
}

static void what_a_status_means(void **state)
{
	static const struct {
		long status;
		enum tap_rc rc;
	} table[] = {{200, TAP_OK},	  {204, TAP_OK},       {301, TAP_E_CONFIG},
		     {400, TAP_E_DATA},	  {401, TAP_E_CONFIG}, {403, TAP_E_CONFIG},
		     {404, TAP_E_CONFIG}, {408, TAP_E_TEMP},   {413, TAP_E_LIMIT},
		     {422, TAP_E_DATA},	  {429, TAP_E_TEMP},   {500, TAP_E_TEMP},
		     {503, TAP_E_TEMP},	  {0, TAP_E_TEMP},     {999, TAP_E_TEMP}};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct tap_http_answer a = {
		    .status = table[i].status, .body = "no", .len = 2, .host = "http://x:1"};
		struct tap_err err = {0};

		assert_int_equal(tap_http_class(&a, &err), table[i].rc);
		assert_int_equal(err.msg[0] != '\0', table[i].rc != TAP_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ids_come_of_the_report),
	    cmocka_unit_test(a_bulk_item_is_two_lines),
	    cmocka_unit_test(an_item_that_is_too_large_is_told),
	    cmocka_unit_test(names_of_indices),
	    cmocka_unit_test(what_a_status_means),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
