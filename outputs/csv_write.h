/* SPDX-License-Identifier: Apache-2.0
 * outputs/csv_write.h - the cells that all CSV forms of reports are written with. Private to outputs/.
 * A cell is first written as it is and then mended where it stands: line breaks become blanks, an apostrophe comes before what a
 * spreadsheet would run, quotes where RFC 4180 asks for them or another separator could open a cell of its own.
 * Ownership: the buffer is the caller's. Limits [I7]: its maximum. Threads: one user at a time. */
#ifndef TAP_OUTPUTS_CSV_WRITE_H
#define TAP_OUTPUTS_CSV_WRITE_H

#include "outputs/encode.h"
#include "outputs/shape.h"

struct tap_row {
	struct tap_buf *b;
	size_t cell; /* where the cell that is being written begins */
	bool any;    /* a cell was written before */
	bool compat4, guard;
};

void tap_row_begin(struct tap_row *w, struct tap_buf *b, const struct tap_csv_style *s);
void tap_row_end(struct tap_row *w);
/* Any number of tap_buf_add… on w->b may stand between. */
void tap_cell_begin(struct tap_row *w);
void tap_cell_end(struct tap_row *w);

void tap_cell(struct tap_row *w, const char *s); /* NULL = empty */
void tap_cell_u64(struct tap_row *w, uint64_t v);
void tap_cell_bool(struct tap_row *w, bool v);
void tap_cells_empty(struct tap_row *w, size_t n);
void tap_cell_list(struct tap_row *w, const char *const *s, size_t n, char separator);
/* source_name … source_as_domain */
void tap_cells_source(struct tap_row *w, const struct tap_source_info *s);
/* report_uid, revision, trust_auth, trusted: the last columns of every kind. */
#define TAP_CSV_IDENTITY ",report_uid,revision,trust_auth,trusted\r\n"
void tap_cells_identity(struct tap_row *w, const struct tap_meta *m, int64_t revision);

#endif
