/* SPDX-License-Identifier: Apache-2.0
 * outputs/csv.c - driver "csv": rows, appended, the header once at the beginning of each file (docs/formats.md). One row a record, a
 * failure or feedback report, an SMTP TLS policy or failure detail.
 * Exactly once, over one file or one a kind (kind_files.h). Limits: one item of MAX_BYTES. */
#include "outputs/drivers.h"
#include "outputs/encode.h"
#include "outputs/kind_files.h"
#include "outputs/output.h"

#include <stdlib.h>

enum { MAX_ITEMS = 500, MAX_BYTES = 32 * 1024 * 1024 };

struct csv_set {
	char *path, *directory;
	struct tap_list kinds;
	bool guard;
};
static const struct tap_setting csv_table[] = {
    TAP_ROW_PATH("path", csv_set, path, 0, NULL,
		 "The file that rows are appended to, below a header. Created when it is missing; "
		 "may be renamed at any time, a new one is begun then. Nothing else may write to "
		 "it. It holds one kind of reports. Either this or directory."),
    TAP_ROW_PATH("directory", csv_set, directory, 0, NULL,
		 "A directory that has to exist, for one such file a kind: aggregate.csv, "
		 "forensic.csv, smtp_tls.csv and feedback.csv, each begun with its first row."),
    TAP_ROW_LIST("kinds", csv_set, kinds, 0, NULL,
		 "Which reports are written: aggregate, failure, smtp_tls, feedback (complaints "
		 "that are not about authentication). By default aggregate for a path, and all for "
		 "a directory. Failure and feedback reports hold personal data."),
    TAP_ROW_BOOL("guard_formulas", csv_set, guard, 0, "true",
		 "Put an apostrophe before what a spreadsheet would run as a formula: the texts "
		 "come from strangers. Programs that read the rows may want them without."),
    {0}};

static unsigned csv_wants(const void *set)
{
	const struct csv_set *s = set;
	unsigned kinds;

	if (tap_kind_files_kinds(&s->kinds,
				 s->directory != NULL ? TAP_KIND_ALL : TAP_KIND_AGGREGATE, &kinds,
				 NULL) != TAP_OK)
		return 0;
	return kinds;
}

static enum tap_rc csv_check(const void *set, struct tap_err *err)
{
	const struct csv_set *s = set;
	enum tap_rc rc = tap_kind_files_check(s->path, s->directory, &s->kinds, err);
	unsigned kinds = rc == TAP_OK ? csv_wants(set) : 0;

	if (rc == TAP_OK && s->path != NULL && (kinds & (kinds - 1)) != 0)
		rc = tap_err_set(
		    err, TAP_E_CONFIG,
		    "kinds: each has columns of its own, so one file takes one of them; "
		    "set directory for several");
	return rc;
}

static const struct tap_section csv_section = {
    .name = "csv",
    .doc = "Appends rows to a CSV file (RFC 4180).",
    .table = csv_table,
    .struct_size = sizeof(struct csv_set),
    .check = csv_check,
};

static struct tap_csv_style style_of(const struct csv_set *s)
{
	return (struct tap_csv_style){.unguarded = !s->guard};
}

static void csv_header(const void *ctx, enum tap_kind kind, struct tap_buf *out)
{
	const struct tap_csv_style style = style_of(ctx);

	if (kind == TAP_KIND_SMTP_TLS)
		tap_csv_tls_header(out, &style);
	else if (kind == TAP_KIND_AGGREGATE)
		tap_csv_header(out, &style);
	else
		tap_csv_failure_header(out, &style);
}

static enum tap_rc csv_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
			      struct tap_err *err)
{
	const struct csv_set *s = set;
	const struct tap_csv_style style = style_of(s);
	enum tap_kind kind = item->meta->kind;

	if ((kind == TAP_KIND_FAILURE || kind == TAP_KIND_FEEDBACK) != (item->failure != NULL))
		return tap_err_set(err, TAP_E_DATA, "the report has no contents");
	tap_kind_files_tag(out, s->directory, kind);
	if (item->failure != NULL)
		tap_csv_failure_row(out, &style, item->meta, item->failure, item->revision);
	else if (kind == TAP_KIND_SMTP_TLS)
		tap_csv_tls_row(out, &style, item->meta, item->policy, item->detail,
				item->revision);
	else
		tap_csv_row(out, &style, item->meta, item->record, item->revision);
	if (out->failed)
		return tap_err_set(err, TAP_E_LIMIT, "the row is larger than %d bytes", MAX_BYTES);
	return TAP_OK;
}

struct csv_self {
	struct tap_kind_files_spec spec;
	struct tap_kind_files *files;
};

static void csv_close(void **self)
{
	struct csv_self *c = *self;

	if (c == NULL)
		return;
	tap_kind_files_close(&c->files);
	free(c);
	*self = NULL;
}

static enum tap_rc csv_open(const void *set, const char *state, char *state_r, void **self_r,
			    struct tap_err *err)
{
	const struct csv_set *s = set;
	struct csv_self *c = calloc(1, sizeof *c);
	void *self = c;
	enum tap_rc rc;

	*self_r = NULL;
	if (c == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	c->spec = (struct tap_kind_files_spec){.path = s->path,
					       .directory = s->directory,
					       .kinds = csv_wants(set),
					       .suffix = "csv",
					       .max_bytes = MAX_BYTES,
					       .header = csv_header,
					       .header_ctx = set};
	rc = tap_kind_files_open(&c->spec, state, state_r, &c->files, err);
	if (rc != TAP_OK)
		csv_close(&self);
	*self_r = self;
	return rc;
}

static enum tap_rc csv_send(void *self, const char *bytes, const size_t *ofs, size_t n,
			    enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			    struct tap_err *err)
{
	struct csv_self *c = self;

	(void)deadline_ms;
	return tap_kind_files_send(c->files, bytes, ofs, n, verdict, state_r, err);
}

const struct tap_output_ops tap_output_csv = {
    .name = "csv",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_EXACTLY_ONCE,
    .settings = &csv_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = csv_encode,
    .open = csv_open,
    .send = csv_send,
    .close = csv_close,
    .wants = csv_wants,
};
