/* SPDX-License-Identifier: Apache-2.0
 * The map of services: ours, the user's, and files that are none. */
#include "base_helper.h"

#include "enrich/services.h"
#include "enrich/suffix.h"
#include "enrich/table.h"

static struct tap_services *open_maps(const char *const *path, size_t n)
{
	struct tap_services *s = NULL;
	struct tap_err err = {0};

	if (tap_services_open(path, n, &s, &err))
		fail_msg("%s", err.msg);
	return s;
}

static const char *look(const struct tap_services *s, const char *domain)
{
	static char out[400];
	struct tap_service found;

	if (!tap_services_find(s, domain, false, &found)) {
		assert_null(found.name);
		return "none";
	}
	snprintf(out, sizeof out, "%s/%s", found.name, found.type ? found.type : "-");
	return out;
}

/* Enough of them, each a base domain (or none of it is ever found), of a known type, in plain ASCII, once. */
static void test_our_own_map(void **state)
{
	struct tap_services *s = open_maps(NULL, 0);
	char *text = strdup(tap_embedded_services.text), *at = text;
	struct tap_suffix *list = NULL;
	struct tap_err err = {0};
	size_t rows = 0;
	bool head = true;

	(void)state;
	assert_int_equal(tap_suffix_open(NULL, NULL, &list, &err), TAP_OK);
	for (char *line; (line = strsep(&at, "\n")) != NULL;) {
		char *domain = line, *name, *type, base[TAP_IDN_NAME];

		if (*line == '#' || *line == '\0')
			continue;
		if (head) {
			assert_string_equal(line, "domain,name,type");
			head = false;
			continue;
		}
		rows++;
		name = strchr(line, ',');
		assert_non_null(name);
		*name++ = '\0';
		type = strchr(name, ',');
		assert_non_null(type);
		*type++ = '\0';
		if (tap_service_role(type) == TAP_ROLE_NONE)
			fail_msg("%s: the type %s has no role", domain, type);
		if (strncmp(domain, "as:", 3) == 0)
			domain += 3;
		if (!tap_suffix_base(list, domain, TAP_SUFFIX_ALL, base) ||
		    strcmp(base, domain) != 0)
			fail_msg("%s is no base domain, but below %s", domain, base);
	}
	assert_true(rows >= 1000);
	assert_int_equal(tap_services_rows(s), rows); /* none twice */
	assert_string_equal(look(s, "sendgrid.net"), "SendGrid/Transactional");
	assert_string_equal(look(s, "google.com"), "Google/Email Provider");
	assert_string_equal(look(s, "pphosted.com"), "Proofpoint/Email Security");
	assert_string_equal(look(s, "nobody.example"), "none");
	assert_string_equal(look(s, NULL), "none");
	assert_string_equal(look(s, ""), "none");
	tap_suffix_free(&list);
	tap_services_free(&s);
	free(text);
}

static void test_domain_of_a_network(void **state)
{
	struct tap_services *s = open_maps(NULL, 0);
	struct tap_service found;

	(void)state;
	assert_true(tap_services_find(s, "amazon.com", true, &found));
	assert_string_equal(found.name, "Amazon Web Services");
	assert_string_equal(found.type, "Cloud");
	assert_true(tap_services_find(s, "amazon.com", false, &found));
	assert_string_equal(found.name, "Amazon");
	assert_true(tap_services_find(s, "hetzner.com", true, &found)); /* no row of its own */
	assert_string_equal(found.name, "Hetzner");
	tap_services_free(&s);
}

static void test_user_maps_come_first(void **state)
{
	static const char map[] = "base_reverse_dns,name,type\r\n"
				  "\"sendgrid.net\",\"Ours, \"\"the\"\" relay\",Marketing\r\n"
				  "# a comment, with, commas\r\n"
				  "\r\n"
				  "Example.COM. , Spaces ,  SaaS \r\n"
				  "example.com,Second,SaaS\r\n"
				  "bücher.example,Bücher,\r\n"
				  "two.example,Two lines\r\n"
				  "more.example,More,SaaS,and,more\r\n"
				  "last.example,Last,SaaS";
	static const char other[] =
	    "Type,Note,Name,Domain\nISP,x,Other,example.com\nISP,x,Only here,only.example\n";
	const char *const path[] = {in_dir("map"), in_dir("other")};
	struct tap_services *s;

	(void)state;
	put_file(path[0], map);
	put_file(path[1], other);
	s = open_maps(path, 2);
	assert_string_equal(look(s, "sendgrid.net"), "Ours, \"the\" relay/Marketing");
	assert_string_equal(look(s, "example.com"), "Spaces/SaaS");
	assert_string_equal(look(s, "xn--bcher-kva.example"), "Bücher/-");
	assert_string_equal(look(s, "two.example"), "Two lines/-");
	assert_string_equal(look(s, "more.example"), "More/SaaS");
	assert_string_equal(look(s, "last.example"), "Last/SaaS");
	assert_string_equal(look(s, "only.example"), "Only here/ISP");
	assert_string_equal(look(s, "mailgun.net"), "Mailgun/Transactional");
	assert_false(tap_services_changed(s));
	put_file(in_dir("map.new"), "a.example,A,SaaS\n");
	assert_int_equal(rename(in_dir("map.new"), path[0]), 0);
	assert_true(tap_services_changed(s));
	tap_services_free(&s);
	s = open_maps(path, 2);
	assert_string_equal(look(s, "a.example"), "A/SaaS");
	assert_string_equal(look(s, "sendgrid.net"), "SendGrid/Transactional");
	tap_services_free(&s);
}

/* Wrong files leave our own map as it is. */
static void test_files_that_are_no_map(void **state)
{
	static const char *const text[] = {
	    "<!DOCTYPE html><html>sendgrid.net,No,No</html>\n",
	    "\xef\xbb\xbf\n\n",
	    "",
	    "just a line\nand another\n",
	    "sendgrid.net,\"an open quote\nmailgun.net,X,Y\n",
	    "sendgrid.net,bad \x01 control,X\n",
	    "sendgrid.net,bad \xc3( utf,X\n",
	    "sendgrid.net,,X\n",
	    ",name,X\n",
	    "a..b,name,X\n",
	    "\"\n",
	    ",",
	};
	const char *path = in_dir("wrong");
	size_t rows;
	struct tap_services *s = open_maps(NULL, 0);

	(void)state;
	rows = tap_services_rows(s);
	tap_services_free(&s);
	for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
		put_file(path, text[i]);
		s = open_maps(&path, 1);
		assert_string_equal(look(s, "sendgrid.net"), "SendGrid/Transactional");
		assert_int_equal(tap_services_rows(s), rows);
		tap_services_free(&s);
	}
	assert_int_equal(unlink(path), 0);
	s = open_maps(&path, 1);
	assert_int_equal(tap_services_rows(s), rows);
	assert_false(tap_services_changed(s));
	put_file(path, "new.example,New,SaaS\n");
	assert_true(tap_services_changed(s)); /* it came */
	tap_services_free(&s);
}

static void test_text_that_is_too_long(void **state)
{
	char text[1000] = "long.example,";
	const char *path = in_dir("long");
	struct tap_services *s;

	(void)state;
	memset(text + 13, 'n', TAP_SERVICES_TEXT + 1);
	put_file(path, text);
	s = open_maps(&path, 1);
	assert_string_equal(look(s, "long.example"), "none");
	tap_services_free(&s);
	text[13 + TAP_SERVICES_TEXT] = '\0';
	put_file(path, text);
	s = open_maps(&path, 1);
	assert_string_not_equal(look(s, "long.example"), "none");
	tap_services_free(&s);
}

/* As many rows as the reference's file has, in its form. */
static void test_a_large_map(void **state)
{
	const char *path = in_dir("large");
	FILE *f = fopen(path, "we");
	struct tap_services *s;

	(void)state;
	assert_non_null(f);
	fputs("base_reverse_dns,name,type\n", f);
	for (int i = 0; i < 40000; i++)
		fprintf(f, "d%d.example,Service %d,ISP\n", i, i);
	assert_int_equal(fclose(f), 0);
	s = open_maps(&path, 1);
	assert_true(tap_services_rows(s) > 41000);
	assert_string_equal(look(s, "d39999.example"), "Service 39999/ISP");
	tap_services_free(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_our_own_map),
	    cmocka_unit_test(test_domain_of_a_network),
	    cmocka_unit_test(test_user_maps_come_first),
	    cmocka_unit_test(test_files_that_are_no_map),
	    cmocka_unit_test(test_text_that_is_too_long),
	    cmocka_unit_test(test_a_large_map),
	};

	return cmocka_run_group_tests(tests, dir_setup, dir_teardown);
}
