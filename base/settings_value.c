/* SPDX-License-Identifier: Apache-2.0
 * base/settings_value.c - see settings_value.h. */
#include "base/settings_value.h"

#include "base/io.h"
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LEN = 48, SECRET_FILE_MAX = 64 * 1024, LIST_MAX = 4096 };

struct tap_owned {
	GPtrArray *text; /* NUL-terminated */
	GPtrArray *list; /* arrays of char * */
};

static void wipe(gpointer p)
{
	explicit_bzero(p, strlen(p));
	g_free(p);
}

struct tap_owned *tap_owned_new(void)
{
	struct tap_owned *o = g_malloc0(sizeof *o);

	o->text = g_ptr_array_new_with_free_func(wipe);
	o->list = g_ptr_array_new_with_free_func(g_free);
	return o;
}

void tap_owned_free(struct tap_owned **o)
{
	if (!o || !*o)
		return;
	g_ptr_array_unref((*o)->list);
	g_ptr_array_unref((*o)->text);
	g_free(*o);
	*o = NULL;
}

char *tap_owned_strndup(struct tap_owned *o, const char *s, size_t n)
{
	char *copy = g_strndup(s, n);

	g_ptr_array_add(o->text, copy);
	return copy;
}

/* --- nearest name --- */

static char fold(char c)
{
	return c == '-' ? '_' : g_ascii_tolower(c);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edit distance where two neighbours that changed places count once. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[3][NAME_MAX_LEN + 1];
	size_t na = strnlen(a, NAME_MAX_LEN), nb = strnlen(b, NAME_MAX_LEN);
	unsigned *before = row[0], *last = row[1], *now = row[2];

	for (unsigned j = 0; j <= nb; j++)
		last[j] = j;
	memcpy(before, last, sizeof row[0]);
	for (size_t i = 1; i <= na; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned cost = fold(a[i - 1]) != fold(b[j - 1]);
			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
			    fold(a[i - 2]) == fold(b[j - 1]) && before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		unsigned *old = before;
		before = last;
		last = now;
		now = old;
	}
	return last[nb];
}

const char *tap_nearest(const char *name, const char *const *names, size_t n)
{
	const char *best = NULL;
	unsigned least = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned d = distance(name, names[i]);
		if (!best || d < least) {
			best = names[i];
			least = d;
		}
	}
	return best;
}

/* --- text to value --- */

struct unit {
	const char *name;
	int64_t factor;
};
static const struct unit no_unit[] = {{"", 1}, {NULL, 0}};
/* The largest first: printing takes the first that divides. */
static const struct unit size_units[] = {
    {"G", INT64_C(1) << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit time_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000},
					 {"ms", 1},	  {"", 1000},	  {NULL, 0}};

static const struct unit *units_of(enum tap_set_type type)
{
	return type == TAP_SET_SIZE ? size_units : type == TAP_SET_TIME_MS ? time_units : no_unit;
}

static bool read_number(const char *text, const struct unit *units, int64_t *v_r)
{
	bool negative = *text == '-';
	int64_t v = 0;

	if (negative)
		text++;
	if (!g_ascii_isdigit(*text))
		return false;
	for (; g_ascii_isdigit(*text); text++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *text - '0', &v))
			return false;
	}
	for (; units->name; units++) {
		if (strcmp(text, units->name) == 0) {
			if (__builtin_mul_overflow(v, units->factor, &v))
				return false;
			*v_r = negative ? -v : v;
			return true;
		}
	}
	return false;
}

static void print_number(enum tap_set_type type, int64_t v, struct tap_buf *out)
{
	const struct unit *u = units_of(type);

	if (v == 0 && type == TAP_SET_TIME_MS) {
		tap_buf_adds(out, "\"0s\"");
		return;
	}
	while (v == 0 ? u->factor != 1 : v % u->factor != 0)
		u++;
	v /= u->factor;
	if (*u->name)
		tap_buf_printf(out, "\"%" PRId64 "%s\"", v, u->name);
	else /* libconfig cuts what is wider than 32 bits unless told */
		tap_buf_printf(out, "%" PRId64 "%s", v, v > INT32_MAX || v < INT32_MIN ? "L" : "");
}

static const char *form_of(enum tap_set_type type)
{
	static const char *const forms[] = {
	    [TAP_SET_BOOL] = "true or false",
	    [TAP_SET_INT] = "a whole number",
	    [TAP_SET_SIZE] = "a number of bytes, such as 1048576 or \"50M\"",
	    [TAP_SET_TIME_MS] = "a time, such as \"500ms\", \"30s\", \"10m\", \"2h\" or \"1d\"",
	    [TAP_SET_STR] = "a string",
	    [TAP_SET_PATH] = "an absolute path",
	    [TAP_SET_ENUM] = "one of its choices",
	    [TAP_SET_LIST] = "a list of strings",
	};
	return (size_t)type < sizeof(forms) / sizeof(forms[0]) ? forms[type] : "something else";
}

static enum tap_rc wrong(const struct tap_setting *row, const char *text, struct tap_err *err)
{
	if (row->flags & TAP_SET_SECRET)
		return tap_err_set(err, TAP_E_CONFIG, "must be %s", form_of(row->type));
	return tap_err_set(err, TAP_E_CONFIG, "must be %s, not \"%s\"", form_of(row->type), text);
}

static enum tap_rc read_bool(const struct tap_setting *row, const char *text, void *at,
			     struct tap_err *err)
{
	bool yes = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0;

	if (!yes && strcmp(text, "false") != 0 && strcmp(text, "no") != 0)
		return wrong(row, text, err);
	*(bool *)at = yes;
	return TAP_OK;
}

static enum tap_rc read_int(const struct tap_setting *row, const char *text, void *at,
			    struct tap_err *err)
{
	int64_t v;

	if (!read_number(text, units_of(row->type), &v))
		return wrong(row, text, err);
	if ((row->min != 0 || row->max != 0) && (v < row->min || v > row->max)) {
		struct tap_buf b;
		tap_buf_init(&b, 128);
		print_number(row->type, row->min, &b);
		tap_buf_adds(&b, " and ");
		print_number(row->type, row->max, &b);
		tap_err_set(err, TAP_E_CONFIG, "must be between %s, not %s", tap_buf_cstr(&b),
			    text);
		tap_buf_free(&b);
		return TAP_E_CONFIG;
	}
	*(int64_t *)at = v;
	return TAP_OK;
}

static enum tap_rc read_enum(const struct tap_setting *row, const char *text, void *at,
			     struct tap_err *err)
{
	size_t n = 0;

	for (; row->choices[n]; n++) {
		if (strcmp(row->choices[n], text) == 0) {
			*(int64_t *)at = (int64_t)n;
			return TAP_OK;
		}
	}
	return tap_err_set(err, TAP_E_CONFIG, "\"%s\" is not a choice, the nearest is \"%s\"", text,
			   tap_nearest(text, row->choices, n));
}

static enum tap_rc secret_file(struct tap_owned *o, const char *path, char **s_r,
			       struct tap_err *err)
{
	struct tap_buf b;

	tap_buf_init(&b, SECRET_FILE_MAX);
	enum tap_rc rc = tap_io_read_file(AT_FDCWD, path, &b, err);
	while (!rc && b.len > 0 && (b.p[b.len - 1] == '\n' || b.p[b.len - 1] == '\r'))
		b.len--;
	if (!rc && b.len == 0)
		rc = tap_err_set(err, TAP_E_CONFIG, "%s is empty", path);
	else if (!rc && memchr(b.p, '\0', b.len))
		rc = tap_err_set(err, TAP_E_CONFIG, "%s holds a NUL byte", path);
	if (!rc)
		*s_r = tap_owned_strndup(o, b.p, b.len);
	if (b.p)
		explicit_bzero(b.p, b.cap);
	tap_buf_free(&b);
	if (rc && err)
		err->rc = TAP_E_CONFIG;
	return rc ? TAP_E_CONFIG : TAP_OK;
}

static enum tap_rc read_secret(struct tap_owned *o, const char *text, char **s_r,
			       struct tap_err *err)
{
	if (text[0] == '@' && text[1] == '/')
		return secret_file(o, text + 1, s_r, err);
	if (text[0] == '$' && (text[1] == '_' || g_ascii_isalpha(text[1]))) {
		const char *v = getenv(text + 1);
		if (!v || !*v)
			return tap_err_set(err, TAP_E_CONFIG,
					   "the environment variable %s is not set", text + 1);
		text = v;
	} else if ((text[0] == '@' || text[0] == '$') && text[1] == text[0]) {
		text++;
	}
	*s_r = tap_owned_strndup(o, text, strlen(text));
	return TAP_OK;
}

static enum tap_rc read_str(struct tap_owned *o, const struct tap_setting *row, const char *text,
			    char **s_r, struct tap_err *err)
{
	if (row->type == TAP_SET_PATH && text[0] != '/')
		return wrong(row, text, err);
	if (row->flags & TAP_SET_SECRET)
		return read_secret(o, text, s_r, err);
	*s_r = tap_owned_strndup(o, text, strlen(text));
	return TAP_OK;
}

enum tap_rc tap_value_read_list(struct tap_owned *o, const struct tap_setting *row,
				const char *const *text, size_t n, void *at, struct tap_err *err)
{
	struct tap_list *l = at;

	*l = (struct tap_list){0};
	if (n > LIST_MAX)
		return tap_err_set(err, TAP_E_CONFIG, "has more than %d items", LIST_MAX);
	if (n == 0)
		return TAP_OK;
	char **item = g_malloc0_n(n, sizeof *item);
	g_ptr_array_add(o->list, item);
	for (size_t i = 0; i < n; i++) {
		enum tap_rc rc = read_str(o, row, text[i], &item[i], err);
		if (rc)
			return rc;
	}
	*l = (struct tap_list){.item = item, .n = n};
	return TAP_OK;
}

/* A default such as "a, b", with or without the quotes and brackets of the file. */
static enum tap_rc default_list(struct tap_owned *o, const struct tap_setting *row, void *at,
				struct tap_err *err)
{
	char **part = g_strsplit_set(row->def, ",[]()\"", -1);
	GPtrArray *item = g_ptr_array_new();

	for (size_t i = 0; part[i]; i++) {
		if (*g_strstrip(part[i]))
			g_ptr_array_add(item, part[i]);
	}
	enum tap_rc rc =
	    tap_value_read_list(o, row, (const char *const *)item->pdata, item->len, at, err);
	g_ptr_array_unref(item);
	g_strfreev(part);
	return rc;
}

enum tap_rc tap_value_read(struct tap_owned *o, const struct tap_setting *row, const char *text,
			   void *at, struct tap_err *err)
{
	switch (row->type) {
	case TAP_SET_BOOL: return read_bool(row, text, at, err);
	case TAP_SET_INT:
	case TAP_SET_SIZE:
	case TAP_SET_TIME_MS: return read_int(row, text, at, err);
	case TAP_SET_STR:
	case TAP_SET_PATH: return read_str(o, row, text, at, err);
	case TAP_SET_ENUM: return read_enum(row, text, at, err);
	case TAP_SET_LIST: return tap_value_read_list(o, row, &text, 1, at, err);
	}
	return wrong(row, text, err);
}

static size_t size_of(enum tap_set_type type)
{
	switch (type) {
	case TAP_SET_BOOL: return sizeof(bool);
	case TAP_SET_STR:
	case TAP_SET_PATH: return sizeof(char *);
	case TAP_SET_LIST: return sizeof(struct tap_list);
	default: return sizeof(int64_t);
	}
}

enum tap_rc tap_value_default(struct tap_owned *o, const struct tap_setting *row, void *at,
			      struct tap_err *err)
{
	memset(at, 0, size_of(row->type));
	if (!row->def)
		return TAP_OK;
	if (row->type == TAP_SET_LIST)
		return default_list(o, row, at, err);
	return tap_value_read(o, row, row->def, at, err);
}

/* --- value to text --- */

static void print_string(const char *s, struct tap_buf *out)
{
	tap_buf_addc(out, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\') {
			tap_buf_addc(out, '\\');
			tap_buf_addc(out, *s);
		} else if (c < 0x20 || c == 0x7f) {
			tap_buf_printf(out, "\\x%02x", c);
		} else {
			tap_buf_addc(out, *s);
		}
	}
	tap_buf_addc(out, '"');
}

static void print_list(const struct tap_list *l, struct tap_buf *out)
{
	tap_buf_addc(out, '[');
	for (size_t i = 0; i < l->n; i++) {
		tap_buf_adds(out, i ? ", " : " ");
		print_string(l->item[i], out);
	}
	tap_buf_adds(out, " ]");
}

void tap_value_print(const struct tap_setting *row, const void *at, struct tap_buf *out)
{
	const char *s;

	switch (row->type) {
	case TAP_SET_BOOL: tap_buf_adds(out, *(const bool *)at ? "true" : "false"); break;
	case TAP_SET_INT:
	case TAP_SET_SIZE:
	case TAP_SET_TIME_MS: print_number(row->type, *(const int64_t *)at, out); break;
	case TAP_SET_STR:
	case TAP_SET_PATH:
		s = *(char *const *)at;
		print_string(s ? s : "", out);
		break;
	case TAP_SET_ENUM: print_string(row->choices[*(const int64_t *)at], out); break;
	case TAP_SET_LIST: print_list(at, out); break;
	}
}

bool tap_value_unset(const struct tap_setting *row, const void *at)
{
	static const char zero[sizeof(struct tap_list)];

	if (row->type == TAP_SET_STR || row->type == TAP_SET_PATH)
		return *(char *const *)at == NULL;
	return !row->def && memcmp(at, zero, size_of(row->type)) == 0;
}
