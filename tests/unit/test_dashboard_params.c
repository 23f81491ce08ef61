/* SPDX-License-Identifier: Apache-2.0
 * What the API takes from a query string, and which hosts and addresses the server answers to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dashboard/host.h"
#include "dashboard/params.h"
#include "dashboard/settings.h"

enum {
	ALL = TAP_PARAM_DAYS | TAP_PARAM_LIMIT | TAP_PARAM_BEFORE | TAP_PARAM_DOMAIN |
	      TAP_PARAM_TRUSTED | TAP_PARAM_SEQ | TAP_PARAM_BODY
};

static enum tap_rc add(struct tap_params *p, const char *name, const char *value,
		       struct tap_err *err)
{
	return tap_params_add(p, ALL, name, value, value ? strlen(value) : 0, err);
}

static void good_values(void **state)
{
	struct tap_err err = {0};
	struct tap_params p;

	(void)state;
	tap_params_init(&p, 20);
	assert_int_equal(p.days, 30);
	assert_int_equal(p.limit, 20);
	assert_null(p.domain);
	assert_int_equal(add(&p, "days", "36600", &err), TAP_OK);
	assert_int_equal(add(&p, "limit", "200", &err), TAP_OK);
	assert_int_equal(add(&p, "before", "9223372036854775807", &err), TAP_OK);
	assert_int_equal(add(&p, "domain",
			     "b\xc3\xbc"
			     "cher.example",
			     &err),
			 TAP_OK);
	assert_int_equal(p.trusted, -1);
	assert_int_equal(p.seq, 0);
	assert_int_equal(p.body, 0);
	assert_int_equal(add(&p, "trusted", "0", &err), TAP_OK);
	assert_int_equal(add(&p, "seq", "7", &err), TAP_OK);
	assert_int_equal(add(&p, "body", "1", &err), TAP_OK);
	assert_int_equal(p.trusted, 0);
	assert_int_equal(p.seq, 7);
	assert_int_equal(p.body, 1);
	assert_int_equal(p.days, 36600);
	assert_int_equal(p.limit, 200);
	assert_int_equal(p.before, INT64_MAX);
	assert_string_equal(p.domain, "b\xc3\xbc"
				      "cher.example");
}

static void bad_values(void **state)
{
	static const struct {
		const char *name, *value, *why;
	} cases[] = {
	    {"days", "0", "from 1 to 36600"},
	    {"trusted", "2", "from 0 to 1"},
	    {"trusted", "-1", "from 0 to 1"},
	    {"seq", "0", "from 1 to"},
	    {"body", "yes", "from 0 to 1"},
	    {"days", "36601", "from 1 to 36600"},
	    {"days", "-1", "whole number"},
	    {"days", "+1", "whole number"},
	    {"days", " 1", "whole number"},
	    {"days", "1.0", "whole number"},
	    {"days", "0x10", "whole number"},
	    {"days", "1e3", "whole number"},
	    {"days", "", "whole number"},
	    {"days", NULL, "no value"},
	    {"limit", "201", "from 1 to 200"},
	    {"before", "9223372036854775808", "whole number"},
	    {"before", "99999999999999999999", "whole number"},
	    {"domain", "", "1 to 255"},
	    {"domain", "a b", "blanks"},
	    {"domain", "a\nb", "controls"},
	    {"Days", "3", "unknown parameter"},
	    {"", "3", "unknown parameter"},
	    {"days[]", "3", "unknown parameter"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tap_err err = {0};
		struct tap_params p;

		tap_params_init(&p, 20);
		assert_int_equal(add(&p, cases[i].name, cases[i].value, &err), TAP_E_DATA);
		if (!strstr(err.msg, cases[i].why))
			fail_msg("%s=%s: %s", cases[i].name, cases[i].value, err.msg);
		assert_int_equal(p.days, 30);
	}
}

static void twice_nul_and_not_allowed(void **state)
{
	struct tap_err err = {0};
	struct tap_params p;
	char longest[257];

	(void)state;
	tap_params_init(&p, 20);
	assert_int_equal(add(&p, "days", "3", &err), TAP_OK);
	assert_int_equal(add(&p, "days", "3", &err), TAP_E_DATA);
	assert_non_null(strstr(err.msg, "twice"));
	tap_params_init(&p, 20);
	assert_int_equal(tap_params_add(&p, ALL, "days",
					"3\0"
					"4",
					3, &err),
			 TAP_E_DATA);
	tap_params_init(&p, 20);
	assert_int_equal(tap_params_add(&p, ALL, "domain", "a\0b", 3, &err), TAP_E_DATA);
	assert_int_equal(tap_params_add(&p, TAP_PARAM_DAYS, "before", "3", 1, &err), TAP_E_DATA);
	memset(longest, 'a', sizeof(longest));
	tap_params_init(&p, 20);
	assert_int_equal(tap_params_add(&p, ALL, "domain", longest, 256, &err), TAP_E_DATA);
}

static void listen_addresses(void **state)
{
	static const struct {
		const char *text, *name;
		int port;
		bool loopback;
	} good[] = {
	    {"127.0.0.1:8321", "127.0.0.1", 8321, true},
	    {"[::1]:0", "::1", 0, true},
	    {"LocalHost:80", "localhost", 80, true},
	    {"127.9.9.9:1", "127.9.9.9", 1, true},
	    {"0.0.0.0:80", "0.0.0.0", 80, false},
	    {":80", "", 80, false},
	    {"*:80", "", 80, false},
	    {"[::]:80", "::", 80, false},
	    {"192.0.2.1:65535", "192.0.2.1", 65535, false},
	    {"localhost.evil.example:80", "localhost.evil.example", 80, false},
	    {"[::ffff:192.0.2.1]:80", "::ffff:192.0.2.1", 80, false},
	};
	static const char *const bad[] = {"",		"127.0.0.1",	   "[::1]",
					  "::1:80",	"127.0.0.1:65536", "127.0.0.1:x",
					  "127.0.0.1:", "a b:80",	   "[127.0.0.1]:80",
					  "[::1:80",	"http://x:80",	   "x:-1"};
	struct tap_host h;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(tap_host_parse(good[i].text, &h));
		assert_string_equal(h.name, good[i].name);
		assert_int_equal(h.port, good[i].port);
		assert_int_equal(tap_host_is_loopback(h.name), good[i].loopback);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (tap_host_parse(bad[i], &h))
			fail_msg("%s was taken", bad[i]);
	}
}

static void host_headers(void **state)
{
	static const char *const yes[] = {
	    "localhost", "localhost:8321",    "LOCALHOST.",	 "127.0.0.1:1", "[::1]:8321",
	    "[::1]",	 "[0:0:0:0:0:0:0:1]", "page.example:80", "192.0.2.7",	"Dash.Example"};
	static const char *const no[] = {"",
					 ":80",
					 "evil.example",
					 "localhost.evil.example",
					 "127.0.0.1.evil.example",
					 "127.0.0.2",
					 "::1",
					 "[::1]x",
					 "localhost:x",
					 "localhost:80:80",
					 "user@localhost",
					 "localhost/",
					 "0.0.0.0",
					 "[::ffff:127.0.0.1]",
					 "evil.example:127.0.0.1"};
	char a[] = "dash.example", b[] = "192.0.2.7";
	char *items[] = {a, b};
	struct tap_list hosts = {items, 2}, none = {NULL, 0};
	char longest[400];

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!tap_host_allowed(yes[i], "page.example", &hosts))
			fail_msg("%s was refused", yes[i]);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if (tap_host_allowed(no[i], "", &none) ||
		    tap_host_allowed(no[i], "page.example", &hosts))
			fail_msg("%s was let in", no[i]);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_false(tap_host_allowed(longest, longest, &none));
}

static enum tap_rc check(const char *listen, bool remote, char *host, struct tap_err *err)
{
	struct tap_web_settings set = {.listen = (char *)(uintptr_t)listen,
				       .allow_remote = remote,
				       .hosts = {&host, host ? 1 : 0},
				       .threads = 4,
				       .connections = 64};

	return tap_web_section.check(&set, err);
}

static void settings_refuse_what_is_not_local(void **state)
{
	struct tap_err err = {0};
	char url[] = "http://dash.example/", name[] = "dash.example";

	(void)state;
	assert_int_equal(check("127.0.0.1:8321", false, NULL, &err), TAP_OK);
	assert_int_equal(check("0.0.0.0:8321", false, NULL, &err), TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "no login"));
	assert_non_null(strstr(err.msg, "allow_remote"));
	assert_int_equal(check("0.0.0.0:8321", true, NULL, &err), TAP_OK);
	assert_int_equal(check("8321", true, NULL, &err), TAP_E_CONFIG);
	assert_int_equal(check("127.0.0.1:8321", false, name, &err), TAP_OK);
	assert_int_equal(check("127.0.0.1:8321", false, url, &err), TAP_E_CONFIG);
	assert_non_null(strstr(err.msg, "web.hosts"));
}

static void defaults_are_local(void **state)
{
	struct tap_settings *s = NULL;
	struct tap_web_settings set;
	struct tap_err err = {0};

	(void)state;
	assert_int_equal(tap_settings_load(NULL, &s, &err), TAP_OK);
	if (tap_settings_section(s, &tap_web_section, &set, &err) != TAP_OK)
		fail_msg("%s", err.msg);
	assert_string_equal(set.listen, "127.0.0.1:8321");
	assert_false(set.allow_remote);
	assert_int_equal(set.query_ms, 5000);
	assert_null(set.user);
	tap_settings_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_values),
	    cmocka_unit_test(bad_values),
	    cmocka_unit_test(twice_nul_and_not_allowed),
	    cmocka_unit_test(listen_addresses),
	    cmocka_unit_test(host_headers),
	    cmocka_unit_test(settings_refuse_what_is_not_local),
	    cmocka_unit_test(defaults_are_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
