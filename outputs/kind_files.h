/* SPDX-License-Identifier: Apache-2.0
 * outputs/kind_files.h - the files of one sink: either one file for all of its kinds, or a directory with one file a kind. Private to
 * outputs/, shared by the drivers json and csv.
 * Exactly once over all of them, as file_sink.h has it for one: a batch is written whole or taken back, and the state names each file
 * ("v1 …" for a single file; "d1 KIND v1 …;KIND v1 …" for a directory). A file is begun when the first report of its kind comes.
 * In a directory each encoded item begins with one byte that tells its kind (tap_kind_files_tag), which is not written.
 * Ownership: spec is borrowed and must outlive the files. Limits: one batch is copied once. Threads: one user at a time. */
#ifndef TAP_OUTPUTS_KIND_FILES_H
#define TAP_OUTPUTS_KIND_FILES_H

#include "outputs/output.h"

struct tap_kind_files_spec {
	const char *path, *directory; /* one of them */
	unsigned kinds;
	const char *suffix; /* "json", "csv" */
	size_t max_bytes;   /* of a batch */
	char line_start;    /* tap_file_sink_line_starts; NUL = none */
	/* The header of a new file for this kind, appended to out; NULL = none. */
	void (*header)(const void *ctx, enum tap_kind kind, struct tap_buf *out);
	const void *header_ctx;
};
struct tap_kind_files;

/* The words of the setting "kinds" as bits; an empty list means fallback. TAP_E_CONFIG: a word that is none. */
enum tap_rc tap_kind_files_kinds(const struct tap_list *words, unsigned fallback, unsigned *kinds_r,
				 struct tap_err *err) TAP_MUST_CHECK;
/* What the drivers' settings have in common: either path or directory; words that are kinds. */
enum tap_rc tap_kind_files_check(const char *path, const char *directory,
				 const struct tap_list *words, struct tap_err *err) TAP_MUST_CHECK;
void tap_kind_files_tag(struct tap_buf *out, const char *directory, enum tap_kind kind);

enum tap_rc tap_kind_files_open(const struct tap_kind_files_spec *spec, const char *state,
				char *state_r, struct tap_kind_files **k_r,
				struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_kind_files_send(struct tap_kind_files *k, const char *bytes, const size_t *ofs,
				size_t n, enum tap_item_verdict *verdict, char *state_r,
				struct tap_err *err) TAP_MUST_CHECK;
void tap_kind_files_close(struct tap_kind_files **k); /* NULL-safe, sets *k = NULL */

#endif
