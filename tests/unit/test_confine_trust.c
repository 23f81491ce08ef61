/* SPDX-License-Identifier: Apache-2.0
 * The section "trust": what a file may say, which kinds an action holds for, and the way of the rules to the parser's program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "confine/trust_settings.h"
#include "parser/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The section of a file with this text; the error's text in msg. */
static enum tap_rc load(const char *text, struct tap_trust_settings *set, struct tap_settings **s,
			char *msg, size_t n)
{
	char path[] = "/tmp/tap-trust-XXXXXX";
	int fd = mkstemp(path);
	struct tap_err err = {0};
	enum tap_rc rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	*s = NULL;
	rc = tap_settings_load(path, s, &err);
	if (rc == TAP_OK)
		rc = tap_settings_section(*s, &tap_trust_section, set, &err);
	unlink(path);
	snprintf(msg, n, "%s", err.msg);
	return rc;
}

static void what_a_file_may_say(void **state)
{
	static const struct {
		const char *text, *bad; /* bad NULL = fine */
	} cases[] = {
	    {"", NULL},
	    {"trust = { authserv_ids = \"mx.example.com\"; unauthenticated_smtp_tls = \"reject\"; "
	     "};",
	     NULL},
	    {"trust = { domains = ( \"example.com\", \"xn--bcher-kva.example\" ); };", NULL},
	    {"trust = { unauthenticated_aggregate = \"quarantine\"; };", "needs authserv_ids"},
	    {"trust = { unauthenticated_failure = \"reject\"; };", "needs authserv_ids"},
	    {"trust = { unauthenticated_failure = \"drop\"; };", "drop"},
	    {"trust = { domains = \"b\303\274cher.example\"; };", "xn--"},
	    {"trust = { domains = \".example.com\"; };", "domains"},
	    {"trust = { authserv_ids = \"mx example\"; };", "authserv_ids"},
	    {"trust = { own_hosts = \"mx;x\"; };", "own_hosts"},
	    {"trust = { quota_records = -1; };", "quota_records"},
	    {"trust = { authserv_id = \"x\"; };", "authserv_ids"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tap_trust_settings set;
		struct tap_settings *s;
		char msg[512];
		enum tap_rc rc = load(cases[i].text, &set, &s, msg, sizeof msg);

		if (rc != (cases[i].bad ? TAP_E_CONFIG : TAP_OK) ||
		    (cases[i].bad && strstr(msg, cases[i].bad) == NULL))
			fail_msg("case %zu: %d '%s'", i, rc, msg);
		tap_settings_free(&s);
	}
}

static void defaults_refuse_nothing(void **state)
{
	struct tap_trust_settings set;
	struct tap_settings *s;
	char msg[512];

	(void)state;
	assert_int_equal(load("", &set, &s, msg, sizeof msg), TAP_OK);
	assert_int_equal(set.unauth_aggregate, TAP_UNAUTH_MARK);
	assert_int_equal(set.foreign, TAP_FOREIGN_APART);
	assert_int_equal(tap_trust_kinds(&set, TAP_UNAUTH_QUARANTINE), 0);
	assert_false(tap_trust_quotas(&set));
	tap_settings_free(&s);
	assert_int_equal(tap_trust_kinds(NULL, TAP_UNAUTH_REJECT), 0);
}

static void kinds_of_an_action(void **state)
{
	struct tap_trust_settings set = {.unauth_aggregate = TAP_UNAUTH_REJECT,
					 .unauth_failure = TAP_UNAUTH_QUARANTINE,
					 .unauth_tls = TAP_UNAUTH_ACCEPT,
					 .quota_bytes = 1};

	(void)state;
	assert_int_equal(tap_trust_kinds(&set, TAP_UNAUTH_REJECT), TAP_KIND_AGGREGATE);
	assert_int_equal(tap_trust_kinds(&set, TAP_UNAUTH_QUARANTINE),
			 TAP_KIND_AGGREGATE | TAP_KIND_FAILURE);
	assert_int_equal(tap_trust_kinds(&set, TAP_UNAUTH_ACCEPT),
			 TAP_KIND_ALL & ~TAP_KIND_FEEDBACK);
	assert_true(tap_trust_quotas(&set));
}

static int count(char **args)
{
	int n = 0;

	while (args[n] != NULL)
		n++;
	return n;
}

static void rules_reach_the_program(void **state)
{
	char *ids[] = {(char[]){"mx.example.com"}, (char[]){"domain=trick"}};
	char *own[] = {(char[]){"relay.example.com"}};
	char *domains[] = {(char[]){"example.com"}, (char[]){"example.org"}, (char[]){"x"}};
	struct tap_trust_settings set = {.authserv_ids = {ids, 2},
					 .own_hosts = {own, 1},
					 .domains = {domains, 3},
					 .position = 1};
	char **args = tap_trust_args_new(&set);
	struct tap_trust_rules r;

	(void)state;
	assert_int_equal(count(args), 7);
	assert_true(tap_trust_args_parse(7, args, &r));
	assert_int_equal(r.n_authserv_ids, 2);
	assert_string_equal(r.authserv_ids[1], "domain=trick");
	assert_int_equal(r.n_own_hosts, 1);
	assert_string_equal(r.own_hosts[0], "relay.example.com");
	assert_int_equal(r.n_domains, 3);
	assert_string_equal(r.domains[2], "x");
	assert_true(r.any_position);
	free((void *)(uintptr_t)r.authserv_ids); /* the first list is the room of all */
	tap_trust_args_free(&args);
	assert_null(args);
	args = tap_trust_args_new(NULL);
	assert_int_equal(count(args), 0);
	assert_true(tap_trust_args_parse(0, args, &r));
	assert_int_equal(r.n_authserv_ids + r.n_own_hosts + r.n_domains, 0);
	assert_false(r.any_position);
	free((void *)(uintptr_t)r.authserv_ids);
	tap_trust_args_free(&args);
}

static void other_arguments_are_refused(void **state)
{
	static char longest[16 + TAP_TRUST_TEXT + 2];
	char *bad[] = {(char[]){"authserv-id="},
		       (char[]){"authserv-id"},
		       (char[]){"domain=a b"},
		       (char[]){"domain=a\n"},
		       (char[]){"position=top"},
		       (char[]){"position=anywhere"},
		       (char[]){"Domain=example.com"},
		       (char[]){""},
		       (char[]){"own=mx"},
		       longest};
	char *twice[] = {(char[]){"position=any"}, (char[]){"position=any"}};
	struct tap_trust_rules r;

	(void)state;
	memset(longest, 'x', sizeof longest - 1);
	memcpy(longest, "domain=", 7);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(tap_trust_args_parse(1, &bad[i], &r));
	assert_false(tap_trust_args_parse(2, twice, &r));
	assert_false(tap_trust_args_parse(-1, twice, &r));
	assert_false(tap_trust_args_parse(INT32_MAX, twice, &r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_a_file_may_say),
	    cmocka_unit_test(defaults_refuse_nothing),
	    cmocka_unit_test(kinds_of_an_action),
	    cmocka_unit_test(rules_reach_the_program),
	    cmocka_unit_test(other_arguments_are_refused),
	};
	return cmocka_run_group_tests_name("confine trust", tests, NULL, NULL);
}
