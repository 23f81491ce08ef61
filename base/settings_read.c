/* SPDX-License-Identifier: Apache-2.0
 * base/settings_read.c - see settings.h: the file itself, its top-level names and the list of outputs. */
#include "base/settings_file.h"

#include "base/io.h"
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <libconfig.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char tap_settings_default_path[] = "/etc/dmarctap/dmarctap.conf";

enum { ID_MAX = 40, FILE_MAX = 4 << 20, NUMBER_DIGITS = 20 };

static const char *const top_names[] = {"reports", "spool",	 "parser", "milter",  "store",
					"worker",  "web",	 "log",	   "outputs", "trust",
					"sandbox", "quarantine", "lmtp",   "dns",     "enrich"};
enum { TOP_NAMES = sizeof top_names / sizeof top_names[0] };

bool tap_settings_known(const char *name)
{
	for (size_t i = 0; i < TOP_NAMES; i++) {
		if (strcmp(top_names[i], name) == 0)
			return true;
	}
	return false;
}

/* --- numbers that libconfig would cut to 32 bits without a word --- */

static bool too_wide(const char *digits, size_t n)
{
	char text[NUMBER_DIGITS + 1];

	if (n > NUMBER_DIGITS)
		return true;
	memcpy(text, digits, n);
	text[n] = '\0';
	/* "0x…" is read as bits. */
	if (n > 2 && (text[1] == 'x' || text[1] == 'X'))
		return n > 10;
	return g_ascii_strtoull(text, NULL, 10) > INT32_MAX;
}

/* What is neither code nor worth a look: a string, a comment. Returns where it ends. */
static const char *skip_text(const char *p)
{
	if (*p == '"') {
		for (p++; *p && *p != '"'; p++) {
			if (*p == '\\' && p[1])
				p++;
		}
		return *p ? p + 1 : p;
	}
	if (p[0] == '/' && p[1] == '*') {
		const char *end = strstr(p + 2, "*/");
		return end ? end + 2 : p + strlen(p);
	}
	if (*p == '#' || (p[0] == '/' && p[1] == '/'))
		return p + strcspn(p, "\n");
	return p;
}

/* The line of the first number that is too wide, 0 when there is none. */
static unsigned wide_number(const char *text)
{
	const char *counted = text;
	unsigned line = 1;

	for (const char *p = text; *p;) {
		const char *next = skip_text(p);
		if (next != p) {
			p = next;
			continue;
		}
		size_t n = strspn(p, "0123456789abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.");
		if (n == 0) {
			p++;
			continue;
		}
		bool whole = g_ascii_isdigit(*p) && !memchr(p, '.', n) && p[n - 1] != 'L';
		if (whole && too_wide(p, n)) {
			for (; counted < p; counted++)
				line += *counted == '\n';
			return line;
		}
		p += n;
	}
	return 0;
}

static enum tap_rc check_numbers(const char *file, struct tap_err *err)
{
	struct tap_buf b;
	struct stat st;

	/* A pipe cannot be read twice. */
	if (stat(file, &st) == 0 && !S_ISREG(st.st_mode))
		return TAP_OK;
	tap_buf_init(&b, FILE_MAX);
	enum tap_rc rc = tap_io_read_file(AT_FDCWD, file, &b, err);
	unsigned line = rc ? 0 : wide_number(tap_buf_cstr(&b));
	tap_buf_free(&b);
	if (line > 0)
		return tap_err_set(err, TAP_E_CONFIG,
				   "%s:%u: the number is too large here; write a size as \"5G\", "
				   "any other with an L behind it",
				   file, line);
	if (rc && err)
		err->rc = TAP_E_CONFIG;
	return rc ? TAP_E_CONFIG : TAP_OK;
}

/* All files that settings came from: the file itself, and what it includes. */
static enum tap_rc check_files(const struct tap_settings *s, config_setting_t *at, GHashTable *seen,
			       struct tap_err *err)
{
	char *file = tap_settings_file_name(s, config_setting_source_file(at));

	if (!g_hash_table_contains(seen, file)) {
		g_hash_table_add(seen, file);
		enum tap_rc rc = check_numbers(file, err);
		if (rc)
			return rc;
	} else {
		g_free(file);
	}
	int n = config_setting_is_aggregate(at) ? config_setting_length(at) : 0;
	for (int i = 0; i < n; i++) {
		enum tap_rc rc =
		    check_files(s, config_setting_get_elem(at, (unsigned)i), seen, err);
		if (rc)
			return rc;
	}
	return TAP_OK;
}

/* --- the outputs --- */

static bool is_id(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return n > 0 && n <= ID_MAX && s[n] == '\0';
}

/* The text of group's member, NULL when it is not there. */
static enum tap_rc id_member(const struct tap_settings *s, config_setting_t *group,
			     const char *member, const char **id_r, struct tap_err *err)
{
	const config_setting_t *m = config_setting_get_member(group, member);

	*id_r = NULL;
	if (!m)
		return TAP_OK;
	const char *text = config_setting_get_string(m);
	if (!text || !is_id(text)) {
		tap_err_set(err, TAP_E_CONFIG,
			    "an output's %s is 1 to %d characters of a-z, 0-9, _ and -", member,
			    ID_MAX);
		return tap_settings_at(s, m, err);
	}
	*id_r = text;
	return TAP_OK;
}

static enum tap_rc output_id(const struct tap_settings *s, config_setting_t *group,
			     const char **type_r, const char **name_r, struct tap_err *err)
{
	enum tap_rc rc = id_member(s, group, "type", type_r, err);

	if (!rc)
		rc = id_member(s, group, "name", name_r, err);
	if (rc)
		return rc;
	if (!*type_r) {
		tap_err_set(err, TAP_E_CONFIG, "an output needs the setting \"type\"");
		return tap_settings_at(s, group, err);
	}
	if (!*name_r)
		*name_r = *type_r;
	return TAP_OK;
}

static enum tap_rc check_outputs(struct tap_settings *s, struct tap_err *err)
{
	config_setting_t *list = config_setting_get_member(config_root_setting(s->cfg), "outputs");
	enum tap_rc rc = TAP_OK;

	if (!list)
		return TAP_OK;
	if (config_setting_type(list) != CONFIG_TYPE_LIST) {
		tap_err_set(
		    err, TAP_E_CONFIG,
		    "outputs must be a list of groups: outputs = ( { type = \"json\"; … } );");
		return tap_settings_at(s, list, err);
	}
	GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);
	int n = config_setting_length(list);
	for (int i = 0; i < n && !rc; i++) {
		config_setting_t *group = config_setting_get_elem(list, (unsigned)i);
		const char *type, *name;
		if (!config_setting_is_group(group)) {
			tap_err_set(err, TAP_E_CONFIG, "output %d is not a group { … }", i + 1);
			rc = tap_settings_at(s, group, err);
			break;
		}
		rc = output_id(s, group, &type, &name, err);
		if (!rc && !g_hash_table_add(seen, (gpointer)(uintptr_t)name)) {
			tap_err_set(err, TAP_E_CONFIG,
				    "two outputs have the name \"%s\"; give one another name",
				    name);
			rc = tap_settings_at(s, group, err);
		}
	}
	g_hash_table_unref(seen);
	s->outputs = list;
	return rc;
}

size_t tap_settings_outputs(const struct tap_settings *s)
{
	return s->outputs ? (size_t)config_setting_length(s->outputs) : 0;
}

static enum tap_rc output_at(struct tap_settings *s, size_t i, config_setting_t **group_r,
			     struct tap_err *err)
{
	if (i >= tap_settings_outputs(s))
		return tap_err_set(err, TAP_E_NOTFOUND, "there is no output %zu", i + 1);
	*group_r = config_setting_get_elem(s->outputs, (unsigned)i);
	return TAP_OK;
}

enum tap_rc tap_settings_output_id(struct tap_settings *s, size_t i, const char **type_r,
				   const char **name_r, struct tap_err *err)
{
	config_setting_t *group = NULL;
	enum tap_rc rc = output_at(s, i, &group, err);

	return rc ? rc : output_id(s, group, type_r, name_r, err);
}

enum tap_rc tap_settings_output(struct tap_settings *s, size_t i, const struct tap_section *sec,
				void *out, struct tap_err *err)
{
	const char *type, *name;
	char label[ID_MAX + 16];
	config_setting_t *group = NULL;
	enum tap_rc rc = output_at(s, i, &group, err);

	if (!rc)
		rc = output_id(s, group, &type, &name, err);
	if (rc)
		return rc;
	snprintf(label, sizeof label, "outputs.%s", name);
	return tap_settings_fill(s, group, sec, label, true, out, err);
}

/* --- the file --- */

static enum tap_rc check_top(const struct tap_settings *s, struct tap_err *err)
{
	config_setting_t *root = config_root_setting(s->cfg);
	int n = config_setting_length(root);

	for (int i = 0; i < n; i++) {
		const config_setting_t *e = config_setting_get_elem(root, (unsigned)i);
		const char *name = config_setting_name(e);
		if (!tap_settings_known(name)) {
			tap_err_set(err, TAP_E_CONFIG,
				    "there is no section \"%s\", the nearest is \"%s\"", name,
				    tap_nearest(name, top_names, TOP_NAMES));
			return tap_settings_at(s, e, err);
		}
		if (strcmp(name, "outputs") != 0 && !config_setting_is_group(e)) {
			tap_err_set(err, TAP_E_CONFIG, "%s must be a group: %s = { … };", name,
				    name);
			return tap_settings_at(s, e, err);
		}
	}
	return TAP_OK;
}

static enum tap_rc parse(struct tap_settings *s, struct tap_err *err)
{
	struct stat st;
	FILE *f = fopen(s->path, "re");

	if (!f)
		return tap_err_sys(err, TAP_E_CONFIG, errno, "cannot read the configuration %s",
				   s->path);
	/* libconfig's scanner ends the process when a read fails, as it does on a directory. */
	if (fstat(fileno(f), &st) != 0 || S_ISDIR(st.st_mode)) {
		fclose(f);
		return tap_err_set(err, TAP_E_CONFIG, "the configuration %s is a directory",
				   s->path);
	}
	config_set_include_dir(s->cfg, s->dir);
	int ok = config_read(s->cfg, f);
	fclose(f);
	if (ok)
		return TAP_OK;
	char *file = tap_settings_file_name(s, config_error_file(s->cfg));
	tap_err_set(err, TAP_E_CONFIG, "%s:%d: %s", file, config_error_line(s->cfg),
		    config_error_text(s->cfg));
	g_free(file);
	return TAP_E_CONFIG;
}

static enum tap_rc load(struct tap_settings *s, struct tap_err *err)
{
	enum tap_rc rc = parse(s, err);

	if (rc)
		return rc;
	GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	rc = check_files(s, config_root_setting(s->cfg), seen, err);
	g_hash_table_unref(seen);
	if (!rc)
		rc = check_top(s, err);
	return rc ? rc : check_outputs(s, err);
}

enum tap_rc tap_settings_load(const char *path, struct tap_settings **s_r, struct tap_err *err)
{
	struct tap_settings *s = g_malloc0(sizeof *s);

	s->cfg = g_malloc0(sizeof *s->cfg);
	config_init(s->cfg);
	s->owned = tap_owned_new();
	s->path = g_strdup(path);
	s->dir = path ? g_path_get_dirname(path) : NULL;
	enum tap_rc rc = path ? load(s, err) : TAP_OK;
	if (rc)
		tap_settings_free(&s);
	*s_r = s;
	return rc;
}

void tap_settings_free(struct tap_settings **s)
{
	if (!s || !*s)
		return;
	tap_owned_free(&(*s)->owned);
	config_destroy((*s)->cfg);
	g_free((*s)->cfg);
	g_free((*s)->path);
	g_free((*s)->dir);
	g_free(*s);
	*s = NULL;
}
