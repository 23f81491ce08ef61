/* SPDX-License-Identifier: Apache-2.0
 * base/settings.c - see settings.h: from one group of the file to one struct, row by row. */
#include "base/settings_file.h"

#include <glib.h>
#include <libconfig.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_MAX = 128 };

char *tap_settings_file_name(const struct tap_settings *s, const char *file)
{
	if (!file)
		return g_strdup(s->path);
	return file[0] == '/' ? g_strdup(file) : g_build_filename(s->dir, file, NULL);
}

enum tap_rc tap_settings_at(const struct tap_settings *s, const config_setting_t *at,
			    struct tap_err *err)
{
	char *file = tap_settings_file_name(s, at ? config_setting_source_file(at) : NULL);
	unsigned line = at ? config_setting_source_line(at) : 0;

	if (file && line > 0)
		tap_err_prefix(err, "%s:%u: ", file, line);
	else if (file)
		tap_err_prefix(err, "%s: ", file);
	g_free(file);
	return TAP_E_CONFIG;
}

static const struct tap_setting *row_of(const struct tap_section *sec, const char *name)
{
	for (const struct tap_setting *row = sec->table; row->name; row++) {
		if (strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

static enum tap_rc unknown(const struct tap_settings *s, const config_setting_t *at,
			   const struct tap_section *sec, const char *label, struct tap_err *err)
{
	const char *names[ROWS_MAX], *name = config_setting_name(at);
	size_t n = 0;

	for (const struct tap_setting *row = sec->table; row->name && n < ROWS_MAX; row++)
		names[n++] = row->name;
	const char *near = tap_nearest(name, names, n);
	tap_err_set(err, TAP_E_CONFIG, "%s has no setting \"%s\"%s%s%s", label, name,
		    near ? ", the nearest is \"" : "", near ? near : "", near ? "\"" : "");
	return tap_settings_at(s, at, err);
}

/* May a value written like this stand for a row of that type? */
static bool form_fits(enum tap_set_type type, int written)
{
	static const struct {
		bool number, truth, text;
	} may[] = {
	    [TAP_SET_BOOL] = {.truth = true, .text = true},
	    [TAP_SET_INT] = {.number = true},
	    [TAP_SET_SIZE] = {.number = true, .text = true},
	    [TAP_SET_TIME_MS] = {.number = true, .text = true},
	    [TAP_SET_STR] = {.text = true},
	    [TAP_SET_PATH] = {.text = true},
	    [TAP_SET_ENUM] = {.text = true},
	    [TAP_SET_LIST] = {.text = true},
	};
	switch (written) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64: return may[type].number;
	case CONFIG_TYPE_BOOL: return may[type].truth;
	case CONFIG_TYPE_STRING: return may[type].text;
	default: return false;
	}
}

static const char *kind_of(int written)
{
	switch (written) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64: return "a number";
	case CONFIG_TYPE_FLOAT: return "a number with a fraction";
	case CONFIG_TYPE_BOOL: return "true or false";
	case CONFIG_TYPE_STRING: return "a string";
	case CONFIG_TYPE_GROUP: return "a group";
	default: return "a list";
	}
}

static const char *wanted(enum tap_set_type type)
{
	static const char *const text[] = {
	    [TAP_SET_BOOL] = "true or false",
	    [TAP_SET_INT] = "a whole number",
	    [TAP_SET_SIZE] = "a number of bytes, such as 1048576 or \"50M\"",
	    [TAP_SET_TIME_MS] = "a time, such as \"500ms\", \"30s\", \"10m\", \"2h\" or \"1d\"",
	    [TAP_SET_STR] = "a string in quotes",
	    [TAP_SET_PATH] = "an absolute path in quotes",
	    [TAP_SET_ENUM] = "one of its choices, in quotes",
	    [TAP_SET_LIST] = "a list of strings",
	};
	return text[type];
}

static enum tap_rc read_scalar(struct tap_settings *s, const config_setting_t *from,
			       const struct tap_setting *row, void *at, struct tap_err *err)
{
	char number[32];
	const char *text = number;
	int written = config_setting_type(from);

	if (!form_fits(row->type, written))
		return tap_err_set(err, TAP_E_CONFIG, "must be %s, not %s", wanted(row->type),
				   kind_of(written));
	if (written == CONFIG_TYPE_STRING)
		text = config_setting_get_string(from);
	else if (written == CONFIG_TYPE_BOOL)
		text = config_setting_get_bool(from) ? "true" : "false";
	else
		snprintf(number, sizeof number, "%lld", config_setting_get_int64(from));
	return tap_value_read(s->owned, row, text, at, err);
}

static enum tap_rc read_list(struct tap_settings *s, const config_setting_t *from,
			     const struct tap_setting *row, void *at, struct tap_err *err)
{
	size_t n = (size_t)config_setting_length(from);
	const char **text = g_malloc0_n(n + 1, sizeof *text);
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; i < n && !rc; i++) {
		const config_setting_t *e = config_setting_get_elem(from, (unsigned)i);
		if (config_setting_type(e) != CONFIG_TYPE_STRING)
			rc = tap_err_set(err, TAP_E_CONFIG,
					 "must be a list of strings, its item %zu is %s", i + 1,
					 kind_of(config_setting_type(e)));
		else
			text[i] = config_setting_get_string(e);
	}
	if (!rc)
		rc = tap_value_read_list(s->owned, row, text, n, at, err);
	g_free(text);
	return rc;
}

static enum tap_rc read_row(struct tap_settings *s, config_setting_t *group,
			    const struct tap_setting *row, const char *label, void *out,
			    struct tap_err *err)
{
	void *at = (char *)out + row->offset;
	const config_setting_t *from = group ? config_setting_get_member(group, row->name) : NULL;
	enum tap_rc rc;

	if (from) {
		int written = config_setting_type(from);
		bool many = written == CONFIG_TYPE_ARRAY || written == CONFIG_TYPE_LIST;
		rc = many && row->type == TAP_SET_LIST ? read_list(s, from, row, at, err)
						       : read_scalar(s, from, row, at, err);
	} else if (row->flags & TAP_SET_REQUIRED) {
		tap_err_set(err, TAP_E_CONFIG, "%s needs the setting \"%s\"", label, row->name);
		return tap_settings_at(s, group, err);
	} else {
		rc = tap_value_default(s->owned, row, at, err);
	}
	if (!rc)
		return TAP_OK;
	tap_err_prefix(err, "%s.%s ", label, row->name);
	return tap_settings_at(s, from ? from : group, err);
}

enum tap_rc tap_settings_fill(struct tap_settings *s, config_setting_t *group,
			      const struct tap_section *sec, const char *label, bool driver,
			      void *out, struct tap_err *err)
{
	unsigned n = group ? (unsigned)config_setting_length(group) : 0;

	memset(out, 0, sec->struct_size);
	for (unsigned i = 0; i < n; i++) {
		const config_setting_t *child = config_setting_get_elem(group, i);
		const char *name = config_setting_name(child);
		bool ours = driver && (strcmp(name, "type") == 0 || strcmp(name, "name") == 0);
		if (!ours && !row_of(sec, name))
			return unknown(s, child, sec, label, err);
	}
	for (const struct tap_setting *row = sec->table; row->name; row++) {
		enum tap_rc rc = read_row(s, group, row, label, out, err);
		if (rc)
			return rc;
	}
	if (!sec->check || sec->check(out, err) == TAP_OK)
		return TAP_OK;
	tap_err_prefix(err, "%s: ", label);
	if (err)
		err->rc = TAP_E_CONFIG;
	return tap_settings_at(s, group, err);
}

enum tap_rc tap_settings_section(struct tap_settings *s, const struct tap_section *sec, void *out,
				 struct tap_err *err)
{
	config_setting_t *group = config_setting_get_member(config_root_setting(s->cfg), sec->name);

	return tap_settings_fill(s, group, sec, sec->name, false, out, err);
}
