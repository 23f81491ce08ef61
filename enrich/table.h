/* SPDX-License-Identifier: Apache-2.0
 * enrich/table.h - inside enrich: a table of names that is filled once and then only read (foldings of suffixes, services), text that
 * the program brings along, and whether a file was replaced.
 * Ownership: texts are copied into the table. Limits [I7]: the bytes given to tap_table_new. Threads: reading is safe. */
#ifndef TAP_ENRICH_TABLE_H
#define TAP_ENRICH_TABLE_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { TAP_TABLE_CELLS = 3 };

struct tap_table;
struct tap_table *tap_table_new(size_t most_bytes); /* NULL: out of memory */
void tap_table_free(struct tap_table **t);	    /* NULL-safe */
/* What stands there already stays. False: full. */
bool tap_table_add(struct tap_table *t, const char *const cell[TAP_TABLE_CELLS]);
/* The row whose first cell is this; NULL: none. */
const char *const *tap_table_find(const struct tap_table *t, const char *key);
/* The row with the longest first cell that name ends with, where the end begins at a dot, a hyphen or a label. Linear in name. */
const char *const *tap_table_find_end(const struct tap_table *t, const char *name);
size_t tap_table_rows(const struct tap_table *t);

/* Which file a path leads to; a file that is not there has a stamp, too. */
struct tap_stamp {
	bool there;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified;
};
void tap_stamp_take(const char *path, struct tap_stamp *s_r); /* NULL: not there */
bool tap_stamp_same(const struct tap_stamp *a, const struct tap_stamp *b);

/* A whole file; one that cannot be read is a warning in the log, and false. what: "the map of services". */
bool tap_table_read_file(const char *path, const char *what, struct tap_buf *b);

/* Files of etc/, as they were when the program was built; each ends with a NUL that size does not count. */
struct tap_embedded {
	const char *text;
	size_t size;
};
extern const struct tap_embedded tap_embedded_services, tap_embedded_foldings;

#endif
