/* SPDX-License-Identifier: Apache-2.0
 * base/settings.h - settings tables: one row = name, type, default, bounds, text; parse, check, dump, the sample file and the
 * man page all read that row. Values come from libconfig files.
 * Ownership: tap_settings owns every string of the structs that it filled; they live until tap_settings_free.
 * Errors: TAP_E_CONFIG with "FILE:LINE: …" and, for unknown keys, the nearest valid name. Threads: read-only after load. */
#ifndef TAP_BASE_SETTINGS_H
#define TAP_BASE_SETTINGS_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tap_set_type {
	TAP_SET_BOOL,	 /* bool: true, false, "yes", "no" */
	TAP_SET_INT,	 /* int64_t */
	TAP_SET_SIZE,	 /* int64_t bytes: 1048576, "50M" (K, M, G = powers of 1024) */
	TAP_SET_TIME_MS, /* int64_t ms: "500ms", "30s", "10m", "2h", "1d"; a bare number is seconds */
	TAP_SET_STR,	 /* char * */
	TAP_SET_PATH,	 /* char *, absolute */
	TAP_SET_ENUM,	 /* int64_t: index into choices */
	TAP_SET_LIST,	 /* struct tap_list: strings, or one; a default is written "a, b" */
};
/* A secret given as "@/path" is read from that file, "$NAME" from the environment; it is dumped as ***.
 * "@@" and "$$" at its start stand for a plain "@" and "$". */
enum {
	TAP_SET_REQUIRED = 1,
	TAP_SET_SECRET = 2,
	TAP_SET_READS =
	    4, /* a path that is only read: the worker's sandbox opens that file, and for reading alone */
};
struct tap_list {
	char **item;
	size_t n;
};
struct tap_setting {
	const char *name; /* as written in the file; NULL ends the table */
	enum tap_set_type type;
	unsigned flags;
	size_t offset;		    /* into the section's struct */
	const char *def;	    /* in file syntax ("30s"); NULL = none (NULL, 0, empty list) */
	int64_t min, max;	    /* inclusive; both 0 = unbounded */
	const char *const *choices; /* TAP_SET_ENUM, NULL-terminated */
	const char *doc;	    /* one paragraph, for the sample file and the man page */
};
struct tap_section {
	const char *name; /* top-level group of the file: "milter"; a driver's type: "json" */
	const char *doc;
	const struct tap_setting *table;
	size_t struct_size;
	/* Rules across settings; may be NULL. */
	enum tap_rc (*check)(const void *set, struct tap_err *err);
};

/* The member's C type is checked at compile time, row by row. */
/* clang-format off */
#define TAP_SET_AT(T, st, m) \
	(offsetof(struct st, m) + 0 * sizeof(char[_Generic(((struct st *)0)->m, T : 1, default : -1)]))
#define TAP_ROW_BOOL(n, st, m, f, d, text)         {n, TAP_SET_BOOL, f, TAP_SET_AT(bool, st, m), d, 0, 0, NULL, text}
#define TAP_ROW_INT(n, st, m, f, d, lo, hi, text)  {n, TAP_SET_INT, f, TAP_SET_AT(int64_t, st, m), d, lo, hi, NULL, text}
#define TAP_ROW_SIZE(n, st, m, f, d, lo, hi, text) {n, TAP_SET_SIZE, f, TAP_SET_AT(int64_t, st, m), d, lo, hi, NULL, text}
#define TAP_ROW_TIME(n, st, m, f, d, lo, hi, text) {n, TAP_SET_TIME_MS, f, TAP_SET_AT(int64_t, st, m), d, lo, hi, NULL, text}
#define TAP_ROW_STR(n, st, m, f, d, text)          {n, TAP_SET_STR, f, TAP_SET_AT(char *, st, m), d, 0, 0, NULL, text}
#define TAP_ROW_PATH(n, st, m, f, d, text)         {n, TAP_SET_PATH, f, TAP_SET_AT(char *, st, m), d, 0, 0, NULL, text}
#define TAP_ROW_ENUM(n, st, m, f, d, ch, text)     {n, TAP_SET_ENUM, f, TAP_SET_AT(int64_t, st, m), d, 0, 0, ch, text}
#define TAP_ROW_LIST(n, st, m, f, d, text)         {n, TAP_SET_LIST, f, TAP_SET_AT(struct tap_list, st, m), d, 0, 0, NULL, text}
/* clang-format on */

struct tap_settings; /* one loaded file */

/* Default path of the file: "/etc/dmarctap/dmarctap.conf". */
extern const char tap_settings_default_path[];
/* Reads the file (includes allowed, by libconfig). Syntax errors and unknown top-level names are refused; the known names are
 * reports spool parser milter store worker web log outputs trust sandbox lmtp dns enrich. path NULL = no file: every section has its defaults. */
enum tap_rc tap_settings_load(const char *path, struct tap_settings **s_r,
			      struct tap_err *err) TAP_MUST_CHECK;
void tap_settings_free(struct tap_settings **s);
/* Fills the section's struct (struct_size bytes) from its group, defaults where it is silent, then runs check. */
enum tap_rc tap_settings_section(struct tap_settings *s, const struct tap_section *sec, void *out,
				 struct tap_err *err) TAP_MUST_CHECK;
/* The list `outputs = ( { type = "json"; name = "archive"; … }, … )`: how many, and the type and name of each. Each name is
 * unique, [a-z0-9_-]{1,40}, default = the type. */
size_t tap_settings_outputs(const struct tap_settings *s);
enum tap_rc tap_settings_output_id(struct tap_settings *s, size_t i, const char **type_r,
				   const char **name_r, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_settings_output(struct tap_settings *s, size_t i, const struct tap_section *sec,
				void *out, struct tap_err *err) TAP_MUST_CHECK;
/* dump and sample write `name = { … };` for a section that is a top-level group, and for a driver the rows alone: its caller
 * writes `{ type = "…"; name = "…";` and `}` around them. They only append to out; the caller looks at out->failed.
 * Writes the section in file syntax; only what differs from the default when changed_only. Secrets print as "***". */
void tap_settings_dump(const struct tap_section *sec, const void *set, bool changed_only,
		       struct tap_buf *out);
/* Writes the section as a commented sample: each row's doc and its default, commented out unless required. */
void tap_settings_sample(const struct tap_section *sec, struct tap_buf *out);

#endif
