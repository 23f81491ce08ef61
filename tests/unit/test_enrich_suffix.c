/* SPDX-License-Identifier: Apache-2.0
 * Base domains by the public suffix list, foldings, and names as DNS writes them. */
#include "base_helper.h"

#include "enrich/suffix.h"
#include "enrich/table.h"

static struct tap_suffix *list;

static int setup(void **state)
{
	struct tap_err err = {0};

	if (dir_setup(state) || tap_suffix_open(NULL, NULL, &list, &err))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	tap_suffix_free(&list);
	return dir_teardown(state);
}

static const char *base(const char *name, enum tap_suffix_rules rules)
{
	static char out[TAP_IDN_NAME];

	return tap_suffix_base(list, name, rules, out) ? out : "none";
}

static void test_t_en_1_base_domain(void **state)
{
	static const struct {
		const char *name, *all, *icann; /* icann NULL = as all */
	} row[] = {
	    {"a.b.example.co.uk", "example.co.uk", NULL},
	    {"www.city.kobe.jp", "city.kobe.jp", NULL},
	    {"city.kobe.jp", "city.kobe.jp", NULL},
	    {"a.b.c.kobe.jp", "b.c.kobe.jp", NULL},
	    {"c.kobe.jp", "none", NULL},
	    {"com", "none", NULL},
	    {"co.uk", "none", NULL},
	    {"foo.unknowntld", "foo.unknowntld", NULL},
	    {"a.foo.unknowntld", "foo.unknowntld", NULL},
	    {"unknowntld", "none", NULL},
	    {"host.github.io", "host.github.io", "github.io"},
	    {"a.host.github.io", "host.github.io", "github.io"},
	    {"github.io", "none", "github.io"},
	    {"192.0.2.1", "none", NULL},
	    {"192.0.2.1.", "none", NULL},
	    {"::1", "none", NULL},
	    {"2001:db8::1", "none", NULL},
	    {"", "none", NULL},
	    {".", "none", NULL},
	    {".com", "none", NULL},
	    {"a..example.com", "none", NULL},
	    {"example.com..", "none", NULL},
	    {"localhost", "none", NULL},
	    {"WWW.Example.COM.", "example.com", NULL},
	    {"ec2-1-2-3-4.us-east-1.compute.amazonaws.com", "amazonaws.com", "amazonaws.com"},
	    {"amazonaws.com", "amazonaws.com", NULL},
	    {"notamazonaws.com", "notamazonaws.com", NULL},
	    {"www.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn", NULL},
	    {"www.食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn", NULL},
	    {"WWW.BÜCHER.example.de", "example.de", NULL},
	    {"www.Bücher.de", "xn--bcher-kva.de", NULL},
	    {"a\\000b.example.org", "example.org", NULL},
	    {"_dmarc.example.org", "example.org", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
		assert_string_equal(base(row[i].name, TAP_SUFFIX_ALL), row[i].all);
		assert_string_equal(base(row[i].name, TAP_SUFFIX_ICANN),
				    row[i].icann ? row[i].icann : row[i].all);
	}
	assert_string_equal(base(NULL, TAP_SUFFIX_ALL), "none");
}

static void test_names_too_long(void **state)
{
	char name[2000];

	(void)state;
	memset(name, 'a', sizeof name);
	memcpy(name + 64, ".example.com", 13);
	assert_string_equal(base(name, TAP_SUFFIX_ALL), "none"); /* a label of 64 */
	for (size_t n = 63; n < sizeof name - 8; n += 64)
		name[n] = '.';
	memcpy(name + sizeof name - 5, ".com", 5);
	for (size_t i = 0; i < sizeof name - 1; i++)
		name[i] = name[i] ? name[i] : 'a';
	assert_string_equal(base(name, TAP_SUFFIX_ALL), "none");
	for (size_t i = 0; i < sizeof name - 1; i++) /* nothing but boundaries */
		name[i] = '-';
	name[sizeof name - 1] = '\0';
	assert_string_equal(base(name, TAP_SUFFIX_ALL), "none");
}

/* RFC 3492, 7.1, and what people write. */
static void test_a_labels(void **state)
{
	static const struct {
		const char *name, *out;
	} row[] = {
	    {"bücher.example", "xn--bcher-kva.example"},
	    {"BÜCHER.example.", "xn--bcher-kva.example"},
	    {"faß.de", "xn--fa-hia.de"},
	    {"例え.テスト", "xn--r8jz45g.xn--zckzah"},
	    {"почемужеонинеговорятпорусски", "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l"},
	    {"他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"},
	    {"3年B組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"},
	    {"Pročprostěnemluvíčesky", "xn--proprostnemluvesky-uyb24dma41a"},
	    {"\xff\xfe.example", "none"},
	    {"a\xc3.example", "none"},
	    {"\xed\xa0\x80.example", "none"},
	};
	char out[TAP_IDN_NAME];

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof *row; i++)
		assert_string_equal(tap_idn_ascii(row[i].name, out) ? out : "none", row[i].out);
}

static void test_foldings(void **state)
{
	static const char text[] = "# comment\n"
				   "\n"
				   "-clientes-zap-izzi.mx\n"
				   ".example.net   Shop.Example.ORG\n"
				   "deep.example.net deep.example\r\n"
				   "plain.test # the rest is a comment\n"
				   "three words here.example\n"
				   "tld\n"
				   "amazonaws.com aws.example\n";
	struct tap_suffix *s = NULL;
	struct tap_err err = {0};
	char out[TAP_IDN_NAME];
	static const struct {
		const char *name, *base;
	} row[] = {
	    {"a-clientes-zap-izzi.mx", "clientes-zap-izzi.mx"},
	    {"x.example.net", "shop.example.org"},
	    {"example.net", "example.net"},
	    {"notexample.net", "notexample.net"},
	    {"a.deep.example.net", "deep.example"},
	    {"notdeep.example.net", "shop.example.org"},
	    {"a.b.plain.test", "plain.test"},
	    {"notplain.test", "notplain.test"},
	    {"x.three", "x.three"},
	    {"ec2-1.compute.amazonaws.com", "aws.example"}, /* the user's come first */
	    {"x.elasticbeanstalk.com", "elasticbeanstalk.com"},
	};

	(void)state;
	put_file(in_dir("foldings"), text);
	assert_int_equal(tap_suffix_open(NULL, in_dir("foldings"), &s, &err), TAP_OK);
	for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
		assert_true(tap_suffix_base(s, row[i].name, TAP_SUFFIX_ALL, out));
		assert_string_equal(out, row[i].base);
	}
	assert_false(tap_suffix_changed(s));
	put_file(in_dir("foldings.new"), "plain.test other.example\n");
	assert_int_equal(rename(in_dir("foldings.new"), in_dir("foldings")), 0);
	assert_true(tap_suffix_changed(s));
	tap_suffix_free(&s);
}

/* Each line of the ones that we bring along changes something, and leads to a domain. */
static void test_own_foldings_are_needed(void **state)
{
	char *text = strdup(tap_embedded_foldings.text), *at = text;
	struct tap_suffix *bare = NULL;
	struct tap_err err = {0};
	unsigned lines = 0;

	(void)state;
	/* with a folding of our own for the name itself the list is asked for nothing else */
	assert_int_equal(tap_suffix_open(NULL, NULL, &bare, &err), TAP_OK);
	for (char *line; (line = strsep(&at, "\n")) != NULL;) {
		char name[300], group[TAP_IDN_NAME], icann[TAP_IDN_NAME];

		if (*line == '#' || *line == '\0')
			continue;
		lines++;
		line[strcspn(line, " ")] = '\0';
		snprintf(name, sizeof name, "customer.region%s%s",
			 *line == '.' || *line == '-' ? "" : ".", line);
		assert_true(tap_suffix_base(bare, name, TAP_SUFFIX_ALL, group));
		assert_true(tap_suffix_base(bare, group, TAP_SUFFIX_ICANN, icann));
		assert_string_equal(group, icann); /* it is a base domain of a registry */
	}
	assert_true(lines >= 10);
	tap_suffix_free(&bare);
	free(text);
}

static void test_a_list_of_ones_own(void **state)
{
	struct tap_suffix *s = NULL;
	struct tap_err err = {0};
	char out[TAP_IDN_NAME];

	(void)state;
	put_file(in_dir("list"),
		 "// ===BEGIN ICANN DOMAINS===\ncom\ntest\n*.wild.test\n!not.wild.test\n// ===END "
		 "ICANN DOMAINS===\n");
	assert_int_equal(tap_suffix_open(in_dir("list"), NULL, &s, &err), TAP_OK);
	assert_true(tap_suffix_base(s, "a.b.c.wild.test", TAP_SUFFIX_ALL, out));
	assert_string_equal(out, "b.c.wild.test");
	assert_true(tap_suffix_base(s, "a.b.not.wild.test", TAP_SUFFIX_ALL, out));
	assert_string_equal(out, "not.wild.test");
	tap_suffix_free(&s);
	/* one that is not there: the system's */
	assert_int_equal(tap_suffix_open(in_dir("nothing"), in_dir("none"), &s, &err), TAP_OK);
	assert_true(tap_suffix_base(s, "a.b.example.co.uk", TAP_SUFFIX_ALL, out));
	assert_string_equal(out, "example.co.uk");
	tap_suffix_free(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_t_en_1_base_domain),
	    cmocka_unit_test(test_names_too_long),
	    cmocka_unit_test(test_a_labels),
	    cmocka_unit_test(test_foldings),
	    cmocka_unit_test(test_own_foldings_are_needed),
	    cmocka_unit_test(test_a_list_of_ones_own),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
