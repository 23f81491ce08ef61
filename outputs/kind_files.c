/* SPDX-License-Identifier: Apache-2.0
 * outputs/kind_files.c - see kind_files.h. */
#include "outputs/kind_files.h"

#include "outputs/file_sink.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 4, HEADER_MAX = 4096, KEEP_BUFFER = 4 * 1024 * 1024 };

static const struct {
	enum tap_kind kind;
	const char *word, *file;
} names[KINDS] = {
    {TAP_KIND_AGGREGATE, "aggregate", "aggregate"},
    {TAP_KIND_FAILURE, "failure", "forensic"},
    {TAP_KIND_SMTP_TLS, "smtp_tls", "smtp_tls"},
    {TAP_KIND_FEEDBACK, "feedback", "feedback"},
};

struct file {
	struct tap_file_sink *sink; /* NULL = not needed yet */
	char *path;
	struct tap_buf header;
	struct tap_buf bytes; /* of the batch */
	bool written;
};
struct tap_kind_files {
	const struct tap_kind_files_spec *spec;
	struct file file[KINDS]; /* a single file is the first */
	bool unsaved; /* a file was begun or cut, and the state was not handed out since */
};

enum tap_rc tap_kind_files_kinds(const struct tap_list *words, unsigned fallback, unsigned *kinds_r,
				 struct tap_err *err)
{
	*kinds_r = 0;
	for (size_t i = 0; i < words->n; i++) {
		size_t k = 0;

		while (k < KINDS && strcmp(words->item[i], names[k].word) != 0)
			k++;
		if (k == KINDS)
			return tap_err_set(
			    err, TAP_E_CONFIG,
			    "kinds: \"%.40s\" is none of aggregate, failure, smtp_tls, feedback",
			    words->item[i]);
		*kinds_r |= names[k].kind;
	}
	if (words->n == 0)
		*kinds_r = fallback;
	return TAP_OK;
}

enum tap_rc tap_kind_files_check(const char *path, const char *directory,
				 const struct tap_list *words, struct tap_err *err)
{
	unsigned kinds;

	if ((path == NULL) == (directory == NULL))
		return tap_err_set(err, TAP_E_CONFIG, "set either path or directory");
	return tap_kind_files_kinds(words, 0, &kinds, err);
}

void tap_kind_files_tag(struct tap_buf *out, const char *directory, enum tap_kind kind)
{
	if (directory != NULL)
		tap_buf_addc(out, (char)kind);
}

/* TAP_OK with state "" begins a file, at its end if there is one. */
static enum tap_rc open_file(struct tap_kind_files *k, size_t i, const char *state,
			     char state_r[TAP_FILE_SINK_STATE], struct tap_err *err)
{
	const struct tap_kind_files_spec *s = k->spec;
	struct file *f = &k->file[i];
	enum tap_kind kind = names[i].kind;
	int n = 0;
	enum tap_rc rc;

	if (s->path != NULL) { /* only a file of one kind has a header of its kind */
		for (size_t x = 0; x < KINDS; x++)
			if (s->kinds == (unsigned)names[x].kind)
				kind = names[x].kind;
		f->path = strdup(s->path);
	} else {
		n = asprintf(&f->path, "%s/%s.%s", s->directory, names[i].file, s->suffix);
	}
	if (n < 0 || f->path == NULL) {
		f->path = NULL;
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	}
	tap_buf_reset(&f->header);
	if (s->header != NULL)
		s->header(s->header_ctx, kind, &f->header);
	rc = tap_file_sink_open(f->path, f->header.p, f->header.len, state, state_r, &f->sink, err);
	if (rc == TAP_OK && s->line_start != '\0')
		tap_file_sink_line_starts(f->sink, s->line_start);
	if (rc != TAP_OK) {
		free(f->path);
		f->path = NULL;
	}
	return rc;
}

static void write_state(const struct tap_kind_files *k, char *state_r)
{
	char one[TAP_FILE_SINK_STATE];
	size_t n = 0;

	if (k->spec->path != NULL) {
		tap_file_sink_state(k->file[0].sink, state_r);
		return;
	}
	for (size_t i = 0; i < KINDS; i++) {
		int more;

		if (k->file[i].sink == NULL)
			continue;
		tap_file_sink_state(k->file[i].sink, one);
		more = snprintf(state_r + n, TAP_OUTPUT_STATE_MAX - n, "%s%s %s",
				n == 0 ? "d1 " : ";", names[i].word, one);
		n += more > 0 ? (size_t)more : 0;
	}
	if (n == 0)
		(void)snprintf(state_r, TAP_OUTPUT_STATE_MAX, "d1");
}
_Static_assert(KINDS *(TAP_FILE_SINK_STATE + 12) + 4 <= TAP_OUTPUT_STATE_MAX, "room for each file");

static enum tap_rc bad_state(const struct tap_kind_files *k, const char *state, struct tap_err *err)
{
	return tap_err_set(err, TAP_E_CONFIG,
			   "%s: the stored state \"%.80s\" is none of a directory (the sink wrote "
			   "a single file before, or a newer version wrote it)",
			   k->spec->directory, state);
}

static enum tap_rc open_known(struct tap_kind_files *k, const char *state, struct tap_err *err)
{
	char one[TAP_FILE_SINK_STATE], unused[TAP_FILE_SINK_STATE];
	const char *p = state + 2;
	enum tap_rc rc = TAP_OK;

	if (strncmp(state, "d1", 2) != 0 || (*p != '\0' && *p != ' '))
		return bad_state(k, state, err);
	while (rc == TAP_OK && *p != '\0') {
		const char *end = strchrnul(++p, ';'), *blank = memchr(p, ' ', (size_t)(end - p));
		size_t i = 0, word = blank != NULL ? (size_t)(blank - p) : 0;

		while (i < KINDS &&
		       (strlen(names[i].word) != word || strncmp(p, names[i].word, word) != 0))
			i++;
		if (blank == NULL || i == KINDS || k->file[i].sink != NULL ||
		    (size_t)(end - blank) > sizeof one)
			return bad_state(k, state, err);
		memcpy(one, blank + 1, (size_t)(end - blank) - 1);
		one[end - blank - 1] = '\0';
		rc = open_file(k, i, one, unused, err);
		p = end;
	}
	return rc;
}

enum tap_rc tap_kind_files_open(const struct tap_kind_files_spec *spec, const char *state,
				char *state_r, struct tap_kind_files **k_r, struct tap_err *err)
{
	struct tap_kind_files *k = calloc(1, sizeof *k);
	char one[TAP_FILE_SINK_STATE];
	enum tap_rc rc = TAP_OK;

	*k_r = NULL;
	if (k == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	k->spec = spec;
	for (size_t i = 0; i < KINDS; i++) {
		tap_buf_init(&k->file[i].header, HEADER_MAX);
		tap_buf_init(&k->file[i].bytes, spec->max_bytes);
	}
	if (spec->path != NULL)
		rc = open_file(k, 0, state, one, err);
	else if (*state != '\0')
		rc = open_known(k, state, err);
	if (rc == TAP_OK)
		write_state(k, state_r);
	else
		tap_kind_files_close(&k);
	*k_r = k;
	return rc;
}

/* Sorts the items of a batch by kind, without their tags. */
static enum tap_rc sort(struct tap_kind_files *k, const char *bytes, const size_t *ofs, size_t n,
			struct tap_err *err)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (k->file[i].bytes.cap > KEEP_BUFFER)
			tap_buf_free(&k->file[i].bytes);
		tap_buf_reset(&k->file[i].bytes);
	}
	for (size_t i = 0; i < n; i++) {
		size_t len = ofs[i + 1] - ofs[i], f = 0;

		while (len > 0 && f < KINDS && bytes[ofs[i]] != (char)names[f].kind)
			f++;
		if (f == KINDS)
			return tap_err_set(err, TAP_E_DATA, "an item of no kind");
		if (len > 1)
			tap_buf_add(&k->file[f].bytes, bytes + ofs[i] + 1, len - 1);
		if (k->file[f].bytes.failed)
			return tap_err_set(err, TAP_E_LIMIT, "the batch is too large");
	}
	return TAP_OK;
}

static enum tap_rc make_ready(struct tap_kind_files *k, bool *moved_r, struct tap_err *err)
{
	char unused[TAP_FILE_SINK_STATE];
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; i < KINDS && rc == TAP_OK; i++) {
		struct file *f = &k->file[i];
		bool moved = true;

		if (f->bytes.len == 0)
			continue;
		if (f->sink == NULL)
			rc = open_file(k, i, "", unused, err);
		else
			rc = tap_file_sink_ready(f->sink, f->bytes.p[0], &moved, err);
		k->unsaved |= moved;
	}
	*moved_r = k->unsaved;
	return rc;
}

static enum tap_rc append(struct tap_kind_files *k, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; i < KINDS; i++)
		k->file[i].written = false;
	for (size_t i = 0; i < KINDS && rc == TAP_OK; i++) {
		struct file *f = &k->file[i];

		if (f->bytes.len == 0)
			continue;
		rc = tap_file_sink_append(f->sink, f->bytes.p, f->bytes.len, err);
		f->written = rc == TAP_OK;
	}
	for (size_t i = 0; i < KINDS && rc != TAP_OK; i++)
		if (k->file[i].written)
			tap_file_sink_undo(k->file[i].sink);
	return rc;
}

enum tap_rc tap_kind_files_send(struct tap_kind_files *k, const char *bytes, const size_t *ofs,
				size_t n, enum tap_item_verdict *verdict, char *state_r,
				struct tap_err *err)
{
	bool moved = false;
	enum tap_rc rc;

	if (k->spec->path != NULL)
		return tap_file_sink_send(k->file[0].sink, bytes, ofs, n, verdict, state_r, err);
	for (size_t i = 0; i < n; i++)
		verdict[i] = TAP_ITEM_RETRY;
	rc = sort(k, bytes, ofs, n, err);
	if (rc == TAP_OK)
		rc = make_ready(k, &moved, err);
	if (rc == TAP_OK && !moved)
		rc = append(k, err);
	if (rc != TAP_OK)
		return rc;
	write_state(k, state_r);
	k->unsaved = false;
	for (size_t i = 0; i < n && !moved; i++)
		verdict[i] = TAP_ITEM_CONFIRMED;
	return TAP_OK;
}

void tap_kind_files_close(struct tap_kind_files **k)
{
	if (k == NULL || *k == NULL)
		return;
	for (size_t i = 0; i < KINDS; i++) {
		tap_file_sink_close(&(*k)->file[i].sink);
		tap_buf_free(&(*k)->file[i].header);
		tap_buf_free(&(*k)->file[i].bytes);
		free((*k)->file[i].path);
	}
	free(*k);
	*k = NULL;
}
