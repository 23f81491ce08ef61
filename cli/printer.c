/* SPDX-License-Identifier: Apache-2.0
 * cli/printer.c - see printer.h. */
#include "cli/printer.h"

#include "base/clock.h"
#include "base/io.h"
#include "outputs/encode.h"
#include "outputs/sample_name.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAITING = 256 * 1024, COPY = 64 * 1024, MAX_FILES = 2 * TAP_LIST_N };

/* Names of files are those of version 4 where it has them; keys of standard output go with the form. */
static const struct {
	const char *key, *key4, *json, *csv;
} names[TAP_LIST_N] = {
    [TAP_LIST_AGGREGATE] = {"aggregate_reports", "aggregate_reports", "aggregate.json",
			    "aggregate.csv"},
    [TAP_LIST_FAILURE] = {"failure_reports", "forensic_reports", "forensic.json", "forensic.csv"},
    [TAP_LIST_FEEDBACK] = {"feedback_reports", NULL, "feedback.json", NULL},
    [TAP_LIST_TLS] = {"smtp_tls_reports", NULL, "smtp_tls.json", "smtp_tls.csv"},
};

struct file {
	const char *name;
	char temp[64]; /* its name until it is complete; "" = it has none */
	int fd;
	bool json, any;
	enum tap_to from;
};
struct tap_printer {
	struct tap_printer_options o;
	struct file file[MAX_FILES];
	size_t n_file;
	int dir, samples;		      /* -1 = none, or not made yet */
	struct tap_stage waiting[TAP_LIST_N]; /* of standard output, behind the first list */
	bool any[TAP_LIST_N];
};

static enum tap_rc at_stdout(enum tap_rc rc, struct tap_err *err)
{
	return rc != TAP_OK ? tap_err_prefix(err, "standard output: ") : TAP_OK;
}

static enum tap_rc say(struct tap_printer *p, const char *text, struct tap_err *err)
{
	return at_stdout(tap_io_write(p->o.fd, text, strlen(text), NULL, err), err);
}

static enum tap_rc add_file(struct tap_printer *p, const char *name, enum tap_to from, bool json,
			    struct tap_err *err)
{
	struct file *f = &p->file[p->n_file++];
	enum tap_rc rc;

	f->name = name;
	f->from = from;
	f->json = json;
	(void)snprintf(f->temp, sizeof f->temp, ".%s.%ld.%" PRId64 ".tmp", name, (long)getpid(),
		       tap_clock_mono_ms());
	rc = tap_io_open(p->dir, f->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666, &f->fd,
			 NULL, err);
	if (rc != TAP_OK)
		f->temp[0] = '\0';
	return rc;
}

static void put_header(struct tap_buf *b, const struct file *f, const struct tap_print *print)
{
	struct tap_csv_style s = {.compat4 = print->compat4,
				  .local_time = print->local_time,
				  .unguarded = print->no_csv_guard};

	if (f->json)
		tap_buf_addc(b, '[');
	else if (f->from == (enum tap_to)(TAP_TO_CSV + TAP_LIST_AGGREGATE))
		tap_csv_header(b, &s);
	else if (f->from == (enum tap_to)(TAP_TO_CSV + TAP_LIST_FAILURE))
		tap_csv_failure_header(b, &s);
	else
		tap_csv_tls_header(b, &s);
}

static enum tap_rc write_header(const struct file *f, const struct tap_print *print,
				struct tap_err *err)
{
	struct tap_buf b;
	enum tap_rc rc;

	tap_buf_init(&b, COPY);
	put_header(&b, f, print);
	rc = tap_io_write(f->fd, b.p, b.len, NULL, err);
	tap_buf_free(&b);
	return rc;
}

static enum tap_rc open_files(struct tap_printer *p, struct tap_err *err)
{
	enum tap_rc rc = tap_io_opendir(AT_FDCWD, p->o.directory, 0755, &p->dir, err);

	for (unsigned i = 0; i < TAP_LIST_N && rc == TAP_OK; i++) {
		if (!tap_print_list(p->o.print, (enum tap_printed)i))
			continue;
		rc = add_file(p, names[i].json, (enum tap_to)(TAP_TO_JSON + i), true, err);
		if (rc == TAP_OK && names[i].csv != NULL)
			rc = add_file(p, names[i].csv, (enum tap_to)(TAP_TO_CSV + i), false, err);
	}
	for (size_t i = 0; i < p->n_file && rc == TAP_OK; i++)
		rc = write_header(&p->file[i], p->o.print, err);
	return rc != TAP_OK ? tap_err_prefix(err, "output directory %s: ", p->o.directory) : TAP_OK;
}

enum tap_rc tap_printer_new(const struct tap_printer_options *o, struct tap_printer **p_r,
			    struct tap_err *err)
{
	struct tap_printer *p = calloc(1, sizeof *p);
	enum tap_rc rc = TAP_OK;

	*p_r = NULL;
	if (p == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	p->o = *o;
	p->dir = p->samples = -1;
	for (size_t i = 0; i < MAX_FILES; i++)
		p->file[i].fd = -1;
	for (size_t i = 0; i < TAP_LIST_N; i++)
		tap_stage_init(&p->waiting[i], WAITING);
	if (o->print->to_files)
		rc = open_files(p, err);
	if (rc != TAP_OK)
		tap_printer_free(&p);
	*p_r = p;
	return rc;
}

/* --- adding ------------------------------------------------------------------------------------------------------------------- */

static enum tap_rc add_list(struct tap_printer *p, enum tap_printed list, const struct tap_stage *s,
			    struct tap_err *err)
{
	uint64_t from = p->any[list] ? 0 : 1; /* without the first comma */

	if (tap_stage_size(s) == 0)
		return TAP_OK;
	if (list != TAP_LIST_AGGREGATE) {
		p->any[list] = true;
		return tap_stage_move(s, from, &p->waiting[list], err);
	}
	if (!p->any[list]) {
		enum tap_rc rc = say(p, "{\n  \"aggregate_reports\": [", err);

		if (rc != TAP_OK)
			return rc;
	}
	p->any[list] = true;
	return at_stdout(tap_stage_write(s, from, p->o.fd, err), err);
}

static enum tap_rc add_to_file(struct file *f, const struct tap_stage *s, struct tap_err *err)
{
	uint64_t from = f->json && !f->any ? 1 : 0;
	enum tap_rc rc;

	if (tap_stage_size(s) == 0)
		return TAP_OK;
	f->any = true;
	rc = tap_stage_write(s, from, f->fd, err);
	return rc != TAP_OK ? tap_err_prefix(err, "%s: ", f->name) : TAP_OK;
}

/* The report again, as far as the file and its name need it. */
static enum tap_rc write_sample(struct tap_printer *p, const struct tap_stage *s, uint64_t from,
				const struct tap_sample_head *h, struct tap_err *err)
{
	struct tap_sample parsed = {.subject = h->subject};
	struct tap_failure f = {.sample_len = (size_t)h->size, .parsed = &parsed};
	struct tap_meta m = {0};
	char name[TAP_SAMPLE_NAME];
	enum tap_rc rc = TAP_OK;
	char *bytes = malloc((size_t)h->size + 1);

	if (bytes == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	memcpy(m.uid, h->uid, sizeof m.uid);
	f.sample = bytes;
	rc = tap_stage_read(s, from, bytes, f.sample_len, err);
	if (rc == TAP_OK && p->samples < 0)
		rc = tap_io_opendir(p->dir, "samples", 0755, &p->samples, err);
	if (rc == TAP_OK)
		rc = tap_sample_save(p->samples, &m, &f, name, err);
	free(bytes);
	return rc;
}

static enum tap_rc add_samples(struct tap_printer *p, const struct tap_stage *s,
			       struct tap_err *err)
{
	uint64_t at = 0;
	enum tap_rc rc = TAP_OK;

	while (rc == TAP_OK && at < tap_stage_size(s)) {
		struct tap_sample_head h;

		rc = tap_stage_read(s, at, &h, sizeof h, err);
		if (rc == TAP_OK)
			rc = write_sample(p, s, at + sizeof h, &h, err);
		if (rc == TAP_OK)
			at += sizeof h + h.size;
	}
	return rc != TAP_OK ? tap_err_prefix(err, "samples: ") : TAP_OK;
}

enum tap_rc tap_printer_add(struct tap_printer *p, const struct tap_encoded *e, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (unsigned i = 0; i < TAP_LIST_N && p->o.print->to_stdout && rc == TAP_OK; i++)
		rc = add_list(p, (enum tap_printed)i, &e->to[TAP_TO_STDOUT + i], err);
	for (size_t i = 0; i < p->n_file && rc == TAP_OK; i++)
		rc = add_to_file(&p->file[i], &e->to[p->file[i].from], err);
	if (rc == TAP_OK && p->dir >= 0)
		rc = add_samples(p, &e->to[TAP_TO_SAMPLES], err);
	return rc;
}

/* --- the end ------------------------------------------------------------------------------------------------------------------ */

static enum tap_rc finish_list(struct tap_printer *p, unsigned i, struct tap_err *err)
{
	bool compat4 = p->o.print->compat4, first = i == TAP_LIST_AGGREGATE;
	char text[64];
	enum tap_rc rc = TAP_OK;

	(void)snprintf(text, sizeof text, "%s  \"%s\": [", first ? "{\n" : ",\n",
		       compat4 ? names[i].key4 : names[i].key);
	if (!first || !p->any[i])
		rc = say(p, text, err);
	if (rc == TAP_OK && !first)
		rc = at_stdout(tap_stage_write(&p->waiting[i], 0, p->o.fd, err), err);
	return rc == TAP_OK ? say(p, p->any[i] ? "\n  ]" : "]", err) : rc;
}

static enum tap_rc finish_file(struct tap_printer *p, struct file *f, struct tap_err *err)
{
	const char *close = f->any ? "\n]" : "]";
	enum tap_rc rc = TAP_OK;

	if (f->json)
		rc = tap_io_write(f->fd, close, strlen(close), NULL, err);
	if (rc == TAP_OK && f->json && !p->o.print->compat4)
		rc = tap_io_write(f->fd, "\n", 1, NULL, err);
	if (rc == TAP_OK)
		rc = tap_io_fsync(f->fd, NULL, err);
	return rc != TAP_OK ? tap_err_prefix(err, "%s: ", f->name) : TAP_OK;
}

/* All files are complete before the first gets its name, the samples among them: one sync for however many there are. */
static enum tap_rc finish_files(struct tap_printer *p, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	if (p->samples >= 0 && syncfs(p->samples) != 0)
		rc = tap_err_sys(err, tap_io_class(errno), errno, "samples: cannot sync");
	for (size_t i = 0; i < p->n_file && rc == TAP_OK; i++)
		rc = finish_file(p, &p->file[i], err);
	for (size_t i = 0; i < p->n_file && rc == TAP_OK; i++) {
		struct file *f = &p->file[i];

		rc = tap_io_rename(p->dir, f->temp, p->dir, f->name, NULL, err);
		if (rc == TAP_OK)
			f->temp[0] = '\0';
		else
			(void)tap_err_prefix(err, "%s: ", f->name);
	}
	return rc == TAP_OK ? tap_io_fsync(p->dir, NULL, err) : rc;
}

enum tap_rc tap_printer_finish(struct tap_printer *p, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (unsigned i = 0; i < TAP_LIST_N && p->o.print->to_stdout && rc == TAP_OK; i++)
		if (tap_print_list(p->o.print, (enum tap_printed)i))
			rc = finish_list(p, i, err);
	if (rc == TAP_OK && p->o.print->to_stdout)
		rc = say(p, "\n}\n", err);
	return rc == TAP_OK && p->dir >= 0 ? finish_files(p, err) : rc;
}

void tap_printer_free(struct tap_printer **p)
{
	if (p == NULL || *p == NULL)
		return;
	for (size_t i = 0; i < (*p)->n_file; i++) {
		struct file *f = &(*p)->file[i];

		if (f->temp[0] != '\0' && tap_io_unlink((*p)->dir, f->temp, NULL, NULL) != TAP_OK)
			f->temp[0] = '\0'; /* it stays behind: nothing to be done about it here */
		tap_io_close(&f->fd);
	}
	for (size_t i = 0; i < TAP_LIST_N; i++)
		tap_stage_free(&(*p)->waiting[i]);
	tap_io_close(&(*p)->samples);
	tap_io_close(&(*p)->dir);
	free(*p);
	*p = NULL;
}
