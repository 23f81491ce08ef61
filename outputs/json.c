/* SPDX-License-Identifier: Apache-2.0
 * outputs/json.c - driver "json": JSON Lines, one line a report, in the form of docs/formats.md. The item that comes first of its
 * report opens the line, the last one closes it, so a report of any size passes in pieces; a reader takes what a line break ends.
 * Exactly once, over one file or one a kind (kind_files.h). Limits: one item of MAX_BYTES; a record or policy that is larger is named
 * in the line in its place, a failure or feedback report that is larger is parked. */
#include "outputs/drivers.h"
#include "outputs/encode.h"
#include "outputs/kind_files.h"
#include "outputs/output.h"

#include <stdlib.h>

enum { MAX_ITEMS = 500, MAX_BYTES = 32 * 1024 * 1024 };

struct json_set {
	char *path, *directory;
	struct tap_list kinds;
	bool strip_payloads;
};
static const struct tap_setting json_table[] = {
    TAP_ROW_PATH(
	"path", json_set, path, 0, NULL,
	"The file that reports are appended to, one JSON object a line. Created when it "
	"is missing; may be renamed at any time, a new one is begun then. Nothing else may "
	"write to it. Either this or directory."),
    TAP_ROW_PATH(
	"directory", json_set, directory, 0, NULL,
	"A directory that has to exist, for one such file a kind: aggregate.json, "
	"forensic.json, smtp_tls.json and feedback.json, each begun with its first report."),
    TAP_ROW_LIST("kinds", json_set, kinds, 0, NULL,
		 "Which reports are written: aggregate, failure, smtp_tls, feedback (complaints "
		 "that are not about authentication). By default aggregate for a path, where the "
		 "key \"kind\" of each line tells them apart, and all for a directory. Failure and "
		 "feedback reports hold personal data."),
    TAP_ROW_BOOL("strip_payloads", json_set, strip_payloads, 0, "true",
		 "Leave out the contents of attachments in the messages of failure and feedback "
		 "reports; name, type, size and hash stay."),
    {0}};

static enum tap_rc json_check(const void *set, struct tap_err *err)
{
	const struct json_set *s = set;

	return tap_kind_files_check(s->path, s->directory, &s->kinds, err);
}

static const struct tap_section json_section = {
    .name = "json",
    .doc = "Appends each report as one line of JSON to a file.",
    .table = json_table,
    .struct_size = sizeof(struct json_set),
    .check = json_check,
};

static unsigned json_wants(const void *set)
{
	const struct json_set *s = set;
	unsigned kinds;

	if (tap_kind_files_kinds(&s->kinds,
				 s->directory != NULL ? TAP_KIND_ALL : TAP_KIND_AGGREGATE, &kinds,
				 NULL) != TAP_OK)
		return 0;
	return kinds;
}

static void aggregate(const struct tap_json_style *line, const struct tap_item *item,
		      const struct tap_record *r, struct tap_buf *out)
{
	if (item->first)
		tap_json_report_begin(out, line, item->meta);
	if (r != NULL)
		tap_json_report_record(out, line, item->meta, r, item->first);
	if (item->last)
		tap_json_report_end(out, line, item->meta, item->end, item->revision, r != NULL);
}

/* Without line breaks it is the same whether a detail stands before what comes now or not. */
static void smtp_tls(const struct tap_json_style *line, const struct tap_item *item,
		     const struct tap_tls_policy *p, const struct tap_tls_detail *d,
		     struct tap_buf *out)
{
	if (item->first)
		tap_json_tls_begin(out, line, item->meta);
	if (d != NULL)
		tap_json_tls_detail(out, line, d);
	else if (p != NULL)
		tap_json_tls_policy(out, line, p, false);
	if (item->last)
		tap_json_tls_end(out, line, item->meta, item->end, item->revision,
				 p != NULL || d != NULL, false);
}

static void whole(const struct json_set *set, const struct tap_item *item, struct tap_buf *out)
{
	const struct tap_json_style line = {.strip_payloads = set->strip_payloads};

	tap_kind_files_tag(out, set->directory, item->meta->kind);
	if (item->failure != NULL)
		tap_json_failure(out, &line, item->meta, item->failure, item->end, item->revision);
	else if (item->meta->kind == TAP_KIND_SMTP_TLS)
		smtp_tls(&line, item, item->policy, item->detail, out);
	else
		aggregate(&line, item, item->record, out);
	if (item->last)
		tap_buf_addc(out, '\n');
}

/* The line must stay whole whatever becomes of one record or policy. */
static void shortened(const struct json_set *set, const struct tap_item *item, struct tap_buf *out)
{
	struct tap_reason why = {.type = "too_large",
				 .comment.text =
				     "this record does not fit into one item of output"};
	struct tap_item stub = *item;
	struct tap_record r;
	struct tap_tls_policy p;

	tap_buf_reset(out);
	if (item->record != NULL) {
		r = *item->record;
		r.reasons = &why;
		r.n_reasons = 1;
		r.n_dkim = r.n_spf = 0;
		r.extension = NULL;
		stub.record = &r;
	}
	if (item->policy != NULL) {
		p = *item->policy;
		p.n_policy_strings = p.n_mx_hosts = 0;
		stub.policy = &p;
	}
	whole(set, &stub, out);
}

static enum tap_rc json_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
			       struct tap_err *err)
{
	size_t start = out->len;
	enum tap_kind kind = item->meta->kind;

	if ((kind == TAP_KIND_FAILURE || kind == TAP_KIND_FEEDBACK) != (item->failure != NULL))
		return tap_err_set(err, TAP_E_DATA, "the report has no contents");
	whole(set, item, out);
	if (out->failed && start == 0 && item->failure == NULL)
		shortened(set, item, out);
	if (out->failed)
		return tap_err_set(err, TAP_E_LIMIT, "the item is larger than %d bytes", MAX_BYTES);
	return TAP_OK;
}

struct json_self {
	struct tap_kind_files_spec spec;
	struct tap_kind_files *files;
};

static void json_close(void **self)
{
	struct json_self *j = *self;

	if (j == NULL)
		return;
	tap_kind_files_close(&j->files);
	free(j);
	*self = NULL;
}

static enum tap_rc json_open(const void *set, const char *state, char *state_r, void **self_r,
			     struct tap_err *err)
{
	const struct json_set *s = set;
	struct json_self *j = calloc(1, sizeof *j);
	void *self = j;
	enum tap_rc rc;

	*self_r = NULL;
	if (j == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	/* The rest of a report's line never begins with a brace. */
	j->spec = (struct tap_kind_files_spec){.path = s->path,
					       .directory = s->directory,
					       .kinds = json_wants(set),
					       .suffix = "json",
					       .max_bytes = MAX_BYTES,
					       .line_start = '{'};
	rc = tap_kind_files_open(&j->spec, state, state_r, &j->files, err);
	if (rc != TAP_OK)
		json_close(&self);
	*self_r = self;
	return rc;
}

static enum tap_rc json_send(void *self, const char *bytes, const size_t *ofs, size_t n,
			     enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			     struct tap_err *err)
{
	struct json_self *j = self;

	(void)deadline_ms;
	return tap_kind_files_send(j->files, bytes, ofs, n, verdict, state_r, err);
}

const struct tap_output_ops tap_output_json = {
    .name = "json",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_EXACTLY_ONCE,
    .settings = &json_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = json_encode,
    .open = json_open,
    .send = json_send,
    .close = json_close,
    .in_order = true,
    .wants = json_wants,
};
