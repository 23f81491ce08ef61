/* SPDX-License-Identifier: Apache-2.0
 * outputs/file_sink.h - a file that grows by batches, exactly once over any crash [I4]. Shared by the drivers json and csv.
 *
 * How: the state "v1 DEV INODE OFFSET BTIME" names a file and how much of it is confirmed. The runner stores it together with the
 * cursor, and before the first batch; no byte goes into a file that the stored state does not name. So what a crash left behind
 * the offset was never confirmed: at the next open it is cut off, and the runner sends it again.
 * Rotation: the operator may rename the file at any time. Before a batch, the path naming another inode is noticed; a line that is
 * open is finished in the old file, then a new file is begun (one round without progress, so that its state is stored first).
 * After a crash the old file is found by its inode in the same directory. BTIME (the inode's birth, ns; 0 = unknown) tells a
 * reused inode number from the file that was meant.
 * An open line whose rest never comes (its report was replaced in the store meanwhile) is cut off, back to the end of the line before.
 * Nobody else may write into the file. Bytes are confirmed after fsync. Threads: one user at a time.
 * Fault points: file_sink.open .write .fsync .truncate. */
#ifndef TAP_OUTPUTS_FILE_SINK_H
#define TAP_OUTPUTS_FILE_SINK_H

#include "outputs/output.h"
#include <stdbool.h>
#include <stddef.h>

struct tap_file_sink;

/* As tap_output_ops.open; path is copied, header (may be NULL) begins each new file and must live as long as the sink. */
enum tap_rc tap_file_sink_open(const char *path, const char *header, size_t header_len,
			       const char *state, char *state_r, struct tap_file_sink **f_r,
			       struct tap_err *err) TAP_MUST_CHECK;
/* As tap_output_ops.send: all items are confirmed, or none. */
enum tap_rc tap_file_sink_send(struct tap_file_sink *f, const char *bytes, const size_t *ofs,
			       size_t n, enum tap_item_verdict *verdict, char *state_r,
			       struct tap_err *err) TAP_MUST_CHECK;
/* The parts of send, for a driver that confirms a batch over several files. All files are made ready before a byte is written: *moved_r
 * says that a state has to be stored first, and nothing may be written in this round. next: the byte that is written first. */
enum tap_rc tap_file_sink_ready(struct tap_file_sink *f, char next, bool *moved_r,
				struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_file_sink_append(struct tap_file_sink *f, const char *bytes, size_t n,
				 struct tap_err *err) TAP_MUST_CHECK;
/* Takes back the last append, because another file of its batch failed: cut now, or before the next batch, or by the next open. */
void tap_file_sink_undo(struct tap_file_sink *f);
enum { TAP_FILE_SINK_STATE = 96 };
void tap_file_sink_state(const struct tap_file_sink *f, char out[TAP_FILE_SINK_STATE]);
/* No rest of a line begins with c, every line does: so an open line is known to be given up. Without this call none is. */
void tap_file_sink_line_starts(struct tap_file_sink *f, char c);
void tap_file_sink_close(struct tap_file_sink **f); /* NULL-safe, sets *f = NULL */

#endif
