/* SPDX-License-Identifier: Apache-2.0
 * base/settings_print.c - see settings.h: tap_settings_dump and tap_settings_sample. */
#include "base/settings.h"

#include "base/settings_value.h"
#include <string.h>

enum { WIDTH = 78, TEXT_MAX = 1 << 20 };

/* Large enough for every type. */
union value {
	bool flag;
	int64_t number;
	char *text;
	struct tap_list list;
};

static const void *member(const struct tap_setting *row, const void *set)
{
	return (const char *)set + row->offset;
}

static bool is_default(const struct tap_setting *row, const void *at)
{
	union value def;
	struct tap_owned *o = tap_owned_new();
	struct tap_buf a, b;

	tap_buf_init(&a, TEXT_MAX);
	tap_buf_init(&b, TEXT_MAX);
	bool same = tap_value_default(o, row, &def, NULL) == TAP_OK &&
		    tap_value_unset(row, &def) == tap_value_unset(row, at);
	if (same) {
		tap_value_print(row, &def, &a);
		tap_value_print(row, at, &b);
		same = strcmp(tap_buf_cstr(&a), tap_buf_cstr(&b)) == 0;
	}
	tap_buf_free(&a);
	tap_buf_free(&b);
	tap_owned_free(&o);
	return same;
}

void tap_settings_dump(const struct tap_section *sec, const void *set, bool changed_only,
		       struct tap_buf *out)
{
	bool group = tap_settings_known(sec->name);

	if (group)
		tap_buf_printf(out, "%s = {\n", sec->name);
	for (const struct tap_setting *row = sec->table; row->name; row++) {
		const void *at = member(row, set);
		if (tap_value_unset(row, at) || (changed_only && is_default(row, at)))
			continue;
		tap_buf_printf(out, "\t%s = ", row->name);
		if (row->flags & TAP_SET_SECRET)
			tap_buf_adds(out, "\"***\"");
		else
			tap_value_print(row, at, out);
		tap_buf_adds(out, ";\n");
	}
	if (group)
		tap_buf_adds(out, "};\n");
}

/* Words of text as comment lines. */
static void comment(const char *indent, const char *text, struct tap_buf *out)
{
	size_t column = 0;

	for (;;) {
		text += strspn(text, " \n\t");
		size_t n = strcspn(text, " \n\t");
		if (n == 0)
			break;
		if (column == 0 || column + 1 + n > WIDTH) {
			tap_buf_printf(out, "%s%s# ", column ? "\n" : "", indent);
			column = strlen(indent) * 8 + 2;
		} else {
			tap_buf_addc(out, ' ');
			column++;
		}
		tap_buf_add(out, text, n);
		column += n;
		text += n;
	}
	if (column)
		tap_buf_addc(out, '\n');
}

/* What may be written, where the type alone does not say it. */
static void comment_bounds(const struct tap_setting *row, struct tap_buf *out)
{
	struct tap_buf b;

	tap_buf_init(&b, TEXT_MAX);
	if (row->type == TAP_SET_ENUM) {
		tap_buf_adds(&b, "One of");
		for (size_t i = 0; row->choices[i]; i++)
			tap_buf_printf(&b, "%s \"%s\"", i ? "," : "", row->choices[i]);
		tap_buf_addc(&b, '.');
	} else if (row->min != 0 || row->max != 0) {
		struct tap_setting plain = {.type = row->type};
		tap_value_print(&plain, &row->min, &b);
		tap_buf_adds(&b, " to ");
		tap_value_print(&plain, &row->max, &b);
		tap_buf_addc(&b, '.');
	}
	comment("\t", tap_buf_cstr(&b), out);
	tap_buf_free(&b);
}

/* Where there is no default: something of the right form. */
static void example(const struct tap_setting *row, struct tap_buf *out)
{
	union value v = {.list = {0}};

	switch (row->type) {
	case TAP_SET_STR:
	case TAP_SET_PATH:
		if (row->flags & TAP_SET_SECRET)
			tap_buf_printf(out, "\"@/etc/dmarctap/%s\"", row->name);
		else if (row->type == TAP_SET_PATH)
			tap_buf_printf(out, "\"/path/to/%s\"", row->name);
		else
			tap_buf_printf(out, "\"%s\"", row->flags & TAP_SET_REQUIRED ? "…" : "");
		return;
	case TAP_SET_INT:
	case TAP_SET_SIZE:
	case TAP_SET_TIME_MS: v.number = row->min; break;
	default: break;
	}
	tap_value_print(row, &v, out);
}

static void sample_row(const struct tap_setting *row, struct tap_buf *out)
{
	union value v;
	struct tap_owned *o = tap_owned_new();

	comment("\t", row->doc ? row->doc : "", out);
	comment_bounds(row, out);
	tap_buf_printf(out, "\t%s%s = ", row->flags & TAP_SET_REQUIRED ? "" : "#", row->name);
	if (row->def && tap_value_default(o, row, &v, NULL) == TAP_OK)
		tap_value_print(row, &v, out);
	else
		example(row, out);
	tap_buf_adds(out, ";\n");
	tap_owned_free(&o);
}

void tap_settings_sample(const struct tap_section *sec, struct tap_buf *out)
{
	bool group = tap_settings_known(sec->name);

	comment(group ? "" : "\t", sec->doc ? sec->doc : "", out);
	if (group)
		tap_buf_printf(out, "%s = {\n", sec->name);
	for (const struct tap_setting *row = sec->table; row->name; row++) {
		if (row != sec->table)
			tap_buf_addc(out, '\n');
		sample_row(row, out);
	}
	if (group)
		tap_buf_adds(out, "};\n");
}
