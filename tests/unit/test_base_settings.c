/* SPDX-License-Identifier: Apache-2.0 */
#include "base_helper.h"

#include "base/settings.h"

struct all {
	bool flag;
	int64_t number, size, time, colour, deep;
	char *text, *path, *secret;
	struct tap_list list;
};

static const char *const colours[] = {"red", "green", "blue", NULL};

static enum tap_rc check_all(const void *set, struct tap_err *err)
{
	const struct all *a = set;

	if (a->number == 13)
		return tap_err_set(err, TAP_E_DATA, "number and luck do not agree");
	return TAP_OK;
}

static const struct tap_setting all_table[] = {
    TAP_ROW_BOOL("flag", all, flag, 0, "true", "A flag."),
    TAP_ROW_INT("number", all, number, 0, "7", -5, 5000000000,
		"A number whose text is long enough that it has to be folded over more than a "
		"single line of the sample file."),
    TAP_ROW_SIZE("size", all, size, 0, "50M", 1, INT64_C(1) << 40, "A size."),
    TAP_ROW_TIME("time", all, time, 0, "30s", 0, 864000000, "A time."),
    TAP_ROW_ENUM("colour", all, colour, 0, "green", colours, "A colour."),
    TAP_ROW_INT("deep", all, deep, 0, NULL, 1, 9, "Unset unless given."),
    TAP_ROW_STR("text", all, text, 0, "a \"quoted\" \\ text", "A text."),
    TAP_ROW_PATH("path", all, path, 0, NULL, "A path."),
    TAP_ROW_STR("secret", all, secret, TAP_SET_SECRET, NULL, "A secret."),
    TAP_ROW_LIST("list", all, list, 0, "one, two", "A list."),
    {0},
};
static const struct tap_section all_section = {
    .name = "milter",
    .doc = "All types.",
    .table = all_table,
    .struct_size = sizeof(struct all),
    .check = check_all,
};

struct need {
	int64_t number;
	char *path;
};
static const struct tap_setting need_table[] = {
    TAP_ROW_PATH("path", need, path, TAP_SET_REQUIRED, NULL, "Where."),
    TAP_ROW_INT("number", need, number, TAP_SET_REQUIRED, NULL, 3, 9, "How many."),
    {0},
};
static const struct tap_section need_section = {
    .name = "json", .doc = "A driver.", .table = need_table, .struct_size = sizeof(struct need)};

static struct tap_settings *loaded;
static struct tap_err e;

static enum tap_rc load(const char *text)
{
	tap_settings_free(&loaded);
	put_file(in_dir("t.conf"), text);
	return tap_settings_load(in_dir("t.conf"), &loaded, &e);
}

static enum tap_rc read_all(const char *text, struct all *a)
{
	enum tap_rc rc = load(text);

	return rc ? rc : tap_settings_section(loaded, &all_section, a, &e);
}

static void assert_defaults(const struct all *a)
{
	assert_true(a->flag);
	assert_int_equal(a->number, 7);
	assert_int_equal(a->size, 50 << 20);
	assert_int_equal(a->time, 30000);
	assert_int_equal(a->colour, 1);
	assert_int_equal(a->deep, 0);
	assert_string_equal(a->text, "a \"quoted\" \\ text");
	assert_null(a->path);
	assert_null(a->secret);
	assert_int_equal(a->list.n, 2);
	assert_string_equal(a->list.item[0], "one");
	assert_string_equal(a->list.item[1], "two");
}

static void defaults(void **state)
{
	struct all a;

	(void)state;
	tap_settings_free(&loaded);
	assert_int_equal(tap_settings_load(NULL, &loaded, &e), TAP_OK);
	assert_int_equal(tap_settings_section(loaded, &all_section, &a, &e), TAP_OK);
	assert_defaults(&a);
	assert_int_equal(tap_settings_outputs(loaded), 0);
	assert_int_equal(read_all("", &a), TAP_OK);
	assert_defaults(&a);
	assert_int_equal(read_all("# only a comment\nmilter = { };", &a), TAP_OK);
	assert_defaults(&a);
}

/* One value each: what it becomes. */
static void good_values(void **state)
{
	static const struct {
		const char *text;
		char what;
		int64_t want;
	} rows[] = {
	    {"flag = false;", 'f', 0},
	    {"flag = \"no\";", 'f', 0},
	    {"flag = \"yes\";", 'f', 1},
	    {"flag = true;", 'f', 1},
	    {"number = -5;", 'n', -5},
	    {"number = 0;", 'n', 0},
	    {"number = 5000000000L;", 'n', 5000000000},
	    {"size = 1;", 's', 1},
	    {"size = \"3K\";", 's', 3072},
	    {"size = \"2M\";", 's', 2 << 20},
	    {"size = \"6G\";", 's', INT64_C(6) << 30},
	    {"size = \"77\";", 's', 77},
	    {"time = 5;", 't', 5000},
	    {"time = \"5\";", 't', 5000},
	    {"time = \"500ms\";", 't', 500},
	    {"time = \"10m\";", 't', 600000},
	    {"time = \"2h\";", 't', 7200000},
	    {"time = \"1d\";", 't', 86400000},
	    {"time = 0;", 't', 0},
	    {"colour = \"red\";", 'c', 0},
	    {"colour = \"blue\";", 'c', 2},
	    {"deep = 9;", 'd', 9},
	    {"list = [ ];", 'l', 0},
	    {"list = ( );", 'l', 0},
	    {"list = \"x\";", 'l', 1},
	    {"list = ( \"x\", \"y\", \"z\" );", 'l', 3},
	    {"list = [ \"x\" ];", 'l', 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct all a;
		char conf[200];
		snprintf(conf, sizeof conf, "milter = {\n  %s\n};\n", rows[i].text);
		if (read_all(conf, &a) != TAP_OK)
			fail_msg("%s: %s", rows[i].text, e.msg);
		int64_t got = rows[i].what == 'f'   ? a.flag
			      : rows[i].what == 'n' ? a.number
			      : rows[i].what == 's' ? a.size
			      : rows[i].what == 't' ? a.time
			      : rows[i].what == 'c' ? a.colour
			      : rows[i].what == 'd' ? a.deep
						    : (int64_t)a.list.n;
		if (got != rows[i].want)
			fail_msg("%s gave %ld", rows[i].text, (long)got);
	}
}

/* The fourth line of each is wrong: file, line, name and a word on what would be right. */
static void bad_values(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"flga = true;", "milter has no setting \"flga\", the nearest is \"flag\""},
	    {"tiem = 5;", "milter has no setting \"tiem\", the nearest is \"time\""},
	    {"Colour = \"red\";", "no setting \"Colour\", the nearest is \"colour\""},
	    {"flag = 1;", "milter.flag must be true or false, not a number"},
	    {"flag = \"maybe\";", "milter.flag must be true or false, not \"maybe\""},
	    {"number = \"7\";", "milter.number must be a whole number, not a string"},
	    {"number = 7.5;", "milter.number must be a whole number, not a number with a fraction"},
	    {"number = true;", "not true or false"},
	    {"number = [ 1, 2 ];", "not a list"},
	    {"number = -6;", "must be between -5 and 5000000000L, not -6"},
	    {"number = 5000000001L;", "not 5000000001"},
	    {"size = 0;", "must be between 1 and \"1024G\", not 0"},
	    {"size = \"2T\";", "milter.size must be a number of bytes"},
	    {"size = \"K\";", "milter.size must be a number of bytes"},
	    {"size = \"99999999999999G\";", "milter.size must be a number of bytes"},
	    {"size = \"99999999999999999999\";", "milter.size must be a number of bytes"},
	    {"time = \"30x\";", "milter.time must be a time"},
	    {"time = \"3 s\";", "milter.time must be a time"},
	    {"time = \"-1s\";", "must be between \"0s\" and \"10d\""},
	    {"time = \"11d\";", "must be between \"0s\" and \"10d\", not 11d"},
	    {"colour = \"grene\";", "\"grene\" is not a choice, the nearest is \"green\""},
	    {"colour = 1;", "milter.colour must be one of its choices"},
	    {"text = 5;", "milter.text must be a string in quotes, not a number"},
	    {"path = \"rel/ative\";", "milter.path must be an absolute path, not \"rel/ative\""},
	    {"path = \"\";", "milter.path must be an absolute path"},
	    {"list = ( \"a\", 5 );",
	     "milter.list must be a list of strings, its item 2 is a number"},
	    {"list = ( ( \"a\" ) );", "its item 1 is a list"},
	    {"list = { a = 1; };", "milter.list must be a list of strings, not a group"},
	    {"number = 13;", "milter: number and luck do not agree"},
	    {"secret = \"@/none/there\";", "cannot open /none/there"},
	    {"secret = \"$TAP_TEST_UNSET\";", "the environment variable TAP_TEST_UNSET is not set"},
	    {"secret = 12345;", "milter.secret must be a string"},
	    {"number = 5000000000;", "the number is too large here"},
	    {"number = 99999999999999999999999;", "the number is too large here"},
	    {"number = 0x1ffffffff;", "the number is too large here"},
	    {"flag = true; flag = false;", "duplicate setting name"},
	    {"flag = = true;", "syntax error"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct all a;
		char conf[300], place[200];
		bool whole = strstr(rows[i].want, "luck") != NULL;
		snprintf(conf, sizeof conf,
			 "# \"99999999999999\"\n/* 99999999999999 */ milter = {\n  #x\n  %s\n};\n",
			 rows[i].text);
		e.msg[0] = '\0';
		if (read_all(conf, &a) != TAP_E_CONFIG)
			fail_msg("%s was taken", rows[i].text);
		assert_int_equal(e.rc, TAP_E_CONFIG);
		assert_has(e.msg, rows[i].want);
		snprintf(place, sizeof place, "%s:%d: ", in_dir("t.conf"), whole ? 2 : 4);
		if (strncmp(e.msg, place, strlen(place)) != 0)
			fail_msg("%s: \"%s\" does not begin with %s", rows[i].text, e.msg, place);
	}
}

static void bad_files(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"\nmilters = { };", ":2: there is no section \"milters\", the nearest is \"milter\""},
	    {"output = ( );", ":1: there is no section \"output\", the nearest is \"outputs\""},
	    {"milter = 5;", ":1: milter must be a group"},
	    {"outputs = { };", ":1: outputs must be a list of groups"},
	    {"outputs = ( 5 );", "output 1 is not a group"},
	    {"outputs = (\n { name = \"a\"; } );", ":2: an output needs the setting \"type\""},
	    {"outputs = (\n {\n type = \"A b\"; } );", ":3: an output's type is 1 to 40"},
	    {"outputs = (\n {\n type = 5; } );", ":3: an output's type is 1 to 40"},
	    {"outputs = ( { type = \"a\";\n name = \"12345678901234567890123456789012345678901\"; "
	     "} );",
	     ":2: an output's name is 1 to 40"},
	    {"outputs = ( { type = \"a\"; },\n { type = \"b\"; name = \"a\"; } );",
	     ":2: two outputs have the name \"a\""},
	    {"@include \"no-such.conf\"\n", "cannot open include file"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (load(rows[i].text) != TAP_E_CONFIG)
			fail_msg("%s was taken", rows[i].text);
		assert_null(loaded);
		assert_has(e.msg, rows[i].want);
		assert_has(e.msg, "t.conf");
	}
	assert_int_equal(tap_settings_load(in_dir("none.conf"), &loaded, &e), TAP_E_CONFIG);
	assert_has(e.msg, "none.conf: No such file");
	assert_int_equal(tap_settings_load(dir_name, &loaded, &e), TAP_E_CONFIG);
	assert_has(e.msg, "is a directory");
	assert_int_equal(tap_settings_load(dir_name, &loaded, NULL), TAP_E_CONFIG);
}

static void includes(void **state)
{
	struct all a;

	(void)state;
	put_file(in_dir("inner.conf"), "number = 3;\n\nsize = \"1M\";\n");
	assert_int_equal(read_all("milter = {\n@include \"inner.conf\"\n};\n", &a), TAP_OK);
	assert_int_equal(a.number, 3);
	assert_int_equal(a.size, 1 << 20);
	put_file(in_dir("inner.conf"), "\n\nnumbr = 3;\n");
	assert_int_equal(read_all("milter = {\n@include \"inner.conf\"\n};\n", &a), TAP_E_CONFIG);
	assert_has(e.msg, "inner.conf:3: milter has no setting \"numbr\"");
	put_file(in_dir("inner.conf"), "\nnumber = 4294967301;\n");
	assert_int_equal(read_all("milter = {\n@include \"inner.conf\"\n};\n", &a), TAP_E_CONFIG);
	assert_has(e.msg, "inner.conf:2: the number is too large");
}

static void secrets(void **state)
{
	struct all a;
	struct tap_buf b;
	char conf[300];

	(void)state;
	put_file(in_dir("pw"), "hunter2\n");
	snprintf(conf, sizeof conf, "milter = { secret = \"@%s\"; };", in_dir("pw"));
	assert_int_equal(read_all(conf, &a), TAP_OK);
	assert_string_equal(a.secret, "hunter2");
	tap_buf_init(&b, 65536);
	tap_settings_dump(&all_section, &a, false, &b);
	assert_has(tap_buf_cstr(&b), "secret = \"***\";");
	assert_null(strstr(tap_buf_cstr(&b), "hunter2"));
	tap_buf_free(&b);
	setenv("TAP_TEST_SECRET", "from env", 1);
	assert_int_equal(read_all("milter = { secret = \"$TAP_TEST_SECRET\"; };", &a), TAP_OK);
	assert_string_equal(a.secret, "from env");
	static const char *const plain[][2] = {
	    {"open", "open"}, {"@@/x", "@/x"}, {"$$X", "$X"}, {"@x", "@x"}, {"$5", "$5"}};
	for (size_t i = 0; i < 5; i++) {
		snprintf(conf, sizeof conf, "milter = { secret = \"%s\"; };", plain[i][0]);
		assert_int_equal(read_all(conf, &a), TAP_OK);
		assert_string_equal(a.secret, plain[i][1]);
	}
	/* Only secrets are looked up. */
	assert_int_equal(read_all("milter = { text = \"$TAP_TEST_SECRET\"; };", &a), TAP_OK);
	assert_string_equal(a.text, "$TAP_TEST_SECRET");
	put_file(in_dir("pw"), "\n");
	snprintf(conf, sizeof conf, "milter = { secret = \"@%s\"; };", in_dir("pw"));
	assert_int_equal(read_all(conf, &a), TAP_E_CONFIG);
	assert_has(e.msg, "is empty");
}

static void outputs(void **state)
{
	static const char conf[] =
	    "outputs = (\n"
	    " { type = \"json\"; path = \"/a\"; number = 3; },\n"
	    " { type = \"json\"; name = \"second\"; path = \"/b\"; number = 4; },\n"
	    " { type = \"json\"; name = \"third\";\n   pth = \"/c\"; },\n"
	    " { type = \"json\"; name = \"fourth\"; path = \"/d\"; }\n"
	    ");\n";
	struct need n;
	const char *type, *name;

	(void)state;
	assert_int_equal(load(conf), TAP_OK);
	assert_int_equal(tap_settings_outputs(loaded), 4);
	assert_int_equal(tap_settings_output_id(loaded, 0, &type, &name, &e), TAP_OK);
	assert_string_equal(type, "json");
	assert_string_equal(name, "json");
	assert_int_equal(tap_settings_output_id(loaded, 1, &type, &name, &e), TAP_OK);
	assert_string_equal(name, "second");
	assert_int_equal(tap_settings_output(loaded, 1, &need_section, &n, &e), TAP_OK);
	assert_string_equal(n.path, "/b");
	assert_int_equal(n.number, 4);
	assert_int_equal(tap_settings_output(loaded, 2, &need_section, &n, &e), TAP_E_CONFIG);
	assert_has(e.msg,
		   "t.conf:5: outputs.third has no setting \"pth\", the nearest is \"path\"");
	assert_int_equal(tap_settings_output(loaded, 3, &need_section, &n, &e), TAP_E_CONFIG);
	assert_has(e.msg, "t.conf:6: outputs.fourth needs the setting \"number\"");
	assert_int_equal(tap_settings_output(loaded, 4, &need_section, &n, &e), TAP_E_NOTFOUND);
	assert_int_equal(tap_settings_output_id(loaded, 4, &type, &name, &e), TAP_E_NOTFOUND);
}

static void dump_parses_back(void **state)
{
	static const char conf[] =
	    "milter = { flag = false; number = 4999999999L; size = 1025; time = \"1500ms\";"
	    " colour = \"blue\"; deep = 2; text = \"a\\nb\\\"c\\\\ \\x01 ü\"; path = \"/p q\";"
	    " list = ( \"x,y\", \"\", \"z\\\"\" ); };";
	struct all a, b;
	struct tap_buf first, second;

	(void)state;
	tap_buf_init(&first, 65536);
	tap_buf_init(&second, 65536);
	assert_int_equal(read_all(conf, &a), TAP_OK);
	tap_settings_dump(&all_section, &a, false, &first);
	char *text = strdup(tap_buf_cstr(&first));
	assert_string_equal(a.text, "a\nb\"c\\ \x01 ü");
	if (read_all(text, &b) != TAP_OK)
		fail_msg("%s\n%s", e.msg, text);
	assert_string_equal(b.text, "a\nb\"c\\ \x01 ü");
	assert_int_equal(b.number, 4999999999);
	assert_int_equal(b.size, 1025);
	assert_int_equal(b.time, 1500);
	assert_int_equal(b.list.n, 3);
	assert_string_equal(b.list.item[0], "x,y");
	tap_settings_dump(&all_section, &b, false, &second);
	assert_string_equal(tap_buf_cstr(&second), text);
	free(text);
	/* Only what differs. */
	tap_buf_reset(&first);
	assert_int_equal(
	    read_all("milter = { size = \"51M\"; time = 30; list = ( \"one\", \"two\" ); };", &a),
	    TAP_OK);
	tap_settings_dump(&all_section, &a, true, &first);
	assert_string_equal(tap_buf_cstr(&first), "milter = {\n\tsize = \"51M\";\n};\n");
	tap_buf_free(&first);
	tap_buf_free(&second);
}

/* The sample as it is gives the defaults; with the marks of its settings taken away, too. */
static void sample_parses_back(void **state)
{
	struct all a;
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 65536);
	tap_settings_sample(&all_section, &b);
	char *text = strdup(tap_buf_cstr(&b));
	if (read_all(text, &a) != TAP_OK)
		fail_msg("%s\n%s", e.msg, text);
	assert_defaults(&a);
	assert_has(text, "\t# A colour.\n\t# One of \"red\", \"green\", \"blue\".\n"
			 "\t#colour = \"green\";\n");
	assert_has(text, "\t#time = \"30s\";\n");
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		size_t n = strcspn(line, "\n");
		assert_true(n <= 78);
		/* "#name" is a setting, "# text" a comment; the secret names a file that is not there. */
		if (line[0] == '\t' && line[1] == '#' && line[2] != ' ' &&
		    strncmp(line, "\t#secret", 8) != 0)
			line[1] = '\t';
	}
	if (read_all(text, &a) != TAP_OK)
		fail_msg("%s\n%s", e.msg, text);
	a.path = NULL;
	assert_int_equal(a.deep, 1);
	a.deep = 0;
	assert_defaults(&a);
	free(text);
	tap_buf_free(&b);
}

static void driver_rows(void **state)
{
	struct need n;
	struct tap_buf b, conf;

	(void)state;
	tap_buf_init(&b, 65536);
	tap_buf_init(&conf, 65536);
	tap_settings_sample(&need_section, &b);
	tap_buf_printf(&conf, "outputs = ( {\ntype = \"json\";\n%s} );\n", tap_buf_cstr(&b));
	if (load(tap_buf_cstr(&conf)) != TAP_OK)
		fail_msg("%s\n%s", e.msg, tap_buf_cstr(&conf));
	assert_int_equal(tap_settings_output(loaded, 0, &need_section, &n, &e), TAP_OK);
	assert_string_equal(n.path, "/path/to/path");
	assert_int_equal(n.number, 3);
	tap_buf_reset(&b);
	tap_settings_dump(&need_section, &n, false, &b);
	assert_string_equal(tap_buf_cstr(&b), "\tpath = \"/path/to/path\";\n\tnumber = 3;\n");
	tap_buf_free(&b);
	tap_buf_free(&conf);
}

static int done(void **state)
{
	tap_settings_free(&loaded);
	tap_settings_free(&loaded);
	return dir_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(good_values),
	    cmocka_unit_test(bad_values),
	    cmocka_unit_test(bad_files),
	    cmocka_unit_test(includes),
	    cmocka_unit_test(secrets),
	    cmocka_unit_test(outputs),
	    cmocka_unit_test(dump_parses_back),
	    cmocka_unit_test(sample_parses_back),
	    cmocka_unit_test(driver_rows),
	};
	return cmocka_run_group_tests(tests, dir_setup, done);
}
