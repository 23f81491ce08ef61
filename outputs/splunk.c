/* SPDX-License-Identifier: Apache-2.0
 * outputs/splunk.c - driver "splunk": the HTTP Event Collector. One event an item, many in a request; the time is that of the report.
 * At least once: the collector knows no ids, so each event carries report_uid, record_index and revision to tell a repeat by.
 * Every code of the collector is in one table. One bad event rejects a whole request and is named by its number: it is refused, the rest
 * is sent again. With `ack` an event counts when its indexer says so; the channel is made anew with each start.
 * Limits: MAX_ITEMS, MAX_BYTES a request (the collector's old limit). Threads: output.h. */
#include "outputs/drivers.h"
#include "outputs/encode.h"
#include "outputs/flat.h"
#include "outputs/http.h"
#include "outputs/kind_files.h"
#include "outputs/search.h"

#include "base/clock.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_ITEMS = 1000,
	MAX_BYTES = 1000 * 1000,
	WHY = 200,
	POLL_FIRST_MS = 100,
	POLL_MOST_MS = 10000,
	LINE = 600,
	TOKEN_MAX = 512
};

struct splunk_set {
	struct tap_http_settings http;
	char *token, *index, *source, *host;
	bool ack, strip_payloads;
	struct tap_list kinds;
};
/* clang-format off */
static const struct tap_setting splunk_table[] = {
    TAP_ROW_LIST("url", splunk_set, http.url, TAP_SET_REQUIRED, NULL,
		"URLs of one or more collectors: [ \"https://splunk:8088\" ]."),
    TAP_ROW_STR("token", splunk_set, token, TAP_SET_REQUIRED | TAP_SET_SECRET, NULL,
		"The collector's token: \"@/path\" of a file that holds it, or \"$NAME\" of an environment variable."),
    TAP_ROW_STR("index", splunk_set, index, 0, NULL, "The index for the events; by default that of the token."),
    TAP_ROW_STR("source", splunk_set, source, 0, "dmarctap", "The events' source; \"parsedmarc\" for searches that were made for that program."),
    TAP_ROW_STR("host", splunk_set, host, 0, NULL, "The events' host; by default this machine's name."),
    TAP_ROW_BOOL("ack", splunk_set, ack, 0, "false",
		"Wait until the indexers have acknowledged each request. The token has to have indexer acknowledgement switched on. The setting timeout is the longest wait."),
    TAP_ROW_LIST("kinds", splunk_set, kinds, 0, NULL,
		"Which reports are sent: aggregate (sourcetype dmarc:aggregate), failure (dmarc:forensic), smtp_tls (smtp:tls), feedback "
		"(dmarc:feedback). By default aggregate and smtp_tls: failure and feedback reports hold personal data."),
    TAP_ROW_BOOL("strip_payloads", splunk_set, strip_payloads, 0, "true",
		"Leave out the text and the source of the messages in failure and feedback reports."),
    TAP_HTTP_ROWS_COMMON(splunk_set),
    {0}};
/* clang-format on */

static enum tap_rc splunk_check(const void *set, struct tap_err *err)
{
	const struct splunk_set *s = set;
	unsigned kinds;

	if (strlen(s->token) > TOKEN_MAX || strpbrk(s->token, " \t\r\n") != NULL)
		return tap_err_set(err, TAP_E_CONFIG,
				   "token holds blanks, or is too long: it is the bare token");
	if (tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE, &kinds, err) != TAP_OK)
		return TAP_E_CONFIG;
	return tap_http_check(&s->http, err);
}

static const struct tap_section splunk_section = {
    .name = "splunk",
    .doc = "Splunk's HTTP Event Collector: one event a record.",
    .table = splunk_table,
    .struct_size = sizeof(struct splunk_set),
    .check = splunk_check,
};

static unsigned splunk_wants(const void *set)
{
	const struct splunk_set *s = set;
	unsigned kinds;

	return tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE | TAP_KIND_SMTP_TLS, &kinds,
				    NULL) == TAP_OK
		   ? kinds
		   : 0;
}

/* ---- encode ---- */

static const char *sourcetype(enum tap_kind kind)
{
	switch (kind) {
	case TAP_KIND_FAILURE: return "dmarc:forensic";
	case TAP_KIND_SMTP_TLS: return "smtp:tls";
	case TAP_KIND_FEEDBACK: return "dmarc:feedback";
	case TAP_KIND_AGGREGATE:
	case TAP_KIND_ALL: break;
	}
	return "dmarc:aggregate";
}

static void text(struct tap_buf *out, const char *name, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	tap_buf_adds(out, name);
	tap_json_string(out, value);
}

static enum tap_rc splunk_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
				 struct tap_err *err)
{
	const struct splunk_set *s = set;
	const struct tap_flat_style style = {.strip_payloads = s->strip_payloads};
	char name[256] = "";
	enum tap_rc rc;

	if (s->host == NULL && gethostname(name, sizeof name - 1) != 0)
		name[0] = '\0';
	tap_buf_adds(out, "{\"time\":");
	tap_buf_add_i64(out, item->meta->begin);
	text(out, ",\"host\":", s->host != NULL ? s->host : name);
	text(out, ",\"source\":", s->source);
	text(out, ",\"index\":", s->index);
	text(out, ",\"sourcetype\":", sourcetype(item->meta->kind));
	tap_buf_adds(out, ",\"event\":");
	rc = tap_flat_item(out, &style, item, err);
	tap_buf_adds(out, "}\n");
	if (rc == TAP_OK && out->failed)
		rc = tap_err_set(err, TAP_E_LIMIT, "the event is larger than %d bytes", MAX_BYTES);
	return rc;
}

/* ---- the answer ---- */

enum meaning { MEANS_OK, MEANS_CONFIG, MEANS_EVENT, MEANS_RETRY };
static const struct {
	int64_t code;
	enum meaning means;
} codes[] = {{0, MEANS_OK},	 {1, MEANS_CONFIG},  {2, MEANS_CONFIG},	 {3, MEANS_CONFIG},
	     {4, MEANS_CONFIG},	 {5, MEANS_EVENT},   {6, MEANS_EVENT},	 {7, MEANS_CONFIG},
	     {8, MEANS_RETRY},	 {9, MEANS_RETRY},   {10, MEANS_CONFIG}, {11, MEANS_CONFIG},
	     {12, MEANS_EVENT},	 {13, MEANS_EVENT},  {14, MEANS_CONFIG}, {15, MEANS_EVENT},
	     {16, MEANS_CONFIG}, {18, MEANS_RETRY},  {19, MEANS_RETRY},	 {20, MEANS_RETRY},
	     {21, MEANS_CONFIG}, {22, MEANS_CONFIG}, {23, MEANS_RETRY},	 {24, MEANS_RETRY},
	     {26, MEANS_RETRY},	 {27, MEANS_EVENT}};

struct reply {
	enum meaning means;
	int64_t bad; /* number of the bad event, -1 = not named */
	int64_t ack; /* -1 = none */
};

static int64_t number(struct json_object *o, const char *key, int64_t none)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_int)
		   ? json_object_get_int64(v)
		   : none;
}

/* TAP_OK: r says what to do, and err what was said. Else the request failed as a whole. */
static enum tap_rc read_reply(const struct tap_http_answer *a, struct reply *r, struct tap_err *err)
{
	struct json_object *o = tap_search_json(a->body, a->len), *v;
	int64_t code = o != NULL ? number(o, "code", -1) : -1;
	const char *said = "";
	enum tap_rc rc = TAP_OK;

	*r = (struct reply){.means = MEANS_RETRY, .bad = -1, .ack = -1};
	if (o != NULL && json_object_object_get_ex(o, "text", &v) &&
	    json_object_is_type(v, json_type_string))
		said = json_object_get_string(v);
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i].code == code)
			r->means = codes[i].means;
	if (o != NULL) {
		r->bad = number(o, "invalid-event-number", -1);
		r->ack = number(o, "ackId", -1);
	}
	if (code < 0) {
		rc = tap_http_class(a, err);
		if (rc == TAP_OK)
			rc = tap_err_set(err, TAP_E_TEMP,
					 "%s: the answer is not that of an event collector",
					 a->host);
	} else if (r->means != MEANS_OK || a->status / 100 != 2) {
		(void)tap_err_set(err, r->means == MEANS_CONFIG ? TAP_E_CONFIG : TAP_E_TEMP,
				  "%s answered %ld, code %" PRId64 ": %.120s", a->host, a->status,
				  code, said);
		if (r->means == MEANS_OK)
			r->means = MEANS_RETRY; /* success and no 2xx: not to be believed */
	}
	json_object_put(o);
	return rc;
}

/* ---- send ---- */

struct self {
	const struct splunk_set *set;
	struct tap_http *http;
	char auth[TOKEN_MAX + 32], channel_line[80];
	char channel[40];
	struct tap_buf body;
	size_t *which; /* item of each event of the request */
	char (*why)[WHY];
};

static enum tap_rc post(struct self *e, const char *path, const struct tap_buf *b,
			int64_t deadline_ms, struct tap_http_answer *a, struct tap_err *err)
{
	const char *headers[] = {e->auth, e->set->ack ? e->channel_line : NULL, NULL};
	const struct tap_http_request q = {.method = "POST",
					   .path = path,
					   .content_type = "application/json",
					   .headers = headers,
					   .body = b->p,
					   .len = b->len};

	return tap_http_do(e->http, &q, deadline_ms, a, err);
}

static void nap(int64_t ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}

/* True when the indexers have it. "false" may also mean that they never will: then the time ends it, and all is sent again. */
static bool acknowledged(const struct tap_http_answer *a, int64_t id)
{
	struct json_object *o = tap_search_json(a->body, a->len), *acks, *v;
	char key[24];
	bool yes = false;

	(void)snprintf(key, sizeof key, "%" PRId64, id);
	if (o != NULL && json_object_object_get_ex(o, "acks", &acks) &&
	    json_object_is_type(acks, json_type_object) && json_object_object_get_ex(acks, key, &v))
		yes = json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
	json_object_put(o);
	return yes;
}

static enum tap_rc wait_ack(struct self *e, int64_t id, int64_t deadline_ms, struct tap_err *err)
{
	char path[120], text_[48];
	struct tap_http_answer a;
	int64_t pause = POLL_FIRST_MS;
	struct tap_buf b;

	(void)snprintf(path, sizeof path, "/services/collector/ack?channel=%s", e->channel);
	for (;;) {
		int64_t left = deadline_ms - tap_clock_mono_ms();
		enum tap_rc rc;

		if (left <= 0)
			return tap_err_set(err, TAP_E_CANCELLED,
					   "the indexers did not acknowledge in time");
		tap_buf_init(&b, sizeof text_);
		tap_buf_printf(&b, "{\"acks\":[%" PRId64 "]}", id);
		rc = post(e, path, &b, deadline_ms, &a, err);
		tap_buf_free(&b);
		if (rc == TAP_OK)
			rc = tap_http_class(&a, err);
		if (rc != TAP_OK)
			return rc;
		if (acknowledged(&a, id))
			return TAP_OK;
		nap(pause < left ? pause : left);
		pause = pause * 2 < POLL_MOST_MS ? pause * 2 : POLL_MOST_MS;
	}
}

/* The events that have no answer yet, from item `from` to before `to`. How many. */
static size_t gather(struct self *e, const char *bytes, const size_t *ofs, size_t from, size_t to,
		     const enum tap_item_verdict *verdict)
{
	size_t n = 0;

	tap_buf_reset(&e->body);
	for (size_t i = from; i < to; i++) {
		if (verdict[i] != TAP_ITEM_RETRY)
			continue;
		e->which[n++] = i;
		tap_buf_add(&e->body, bytes + ofs[i], ofs[i + 1] - ofs[i]);
	}
	return n;
}

static void refuse(struct self *e, size_t item, enum tap_item_verdict *verdict,
		   const struct tap_err *why)
{
	verdict[item] = TAP_ITEM_NEVER;
	(void)snprintf(e->why[item], WHY, "%.*s", WHY - 1, why->msg);
}

static enum tap_rc send_range(struct self *e, const char *bytes, const size_t *ofs, size_t from,
			      size_t to, enum tap_item_verdict *verdict, int64_t deadline_ms,
			      struct tap_err *err);

/* The request was too long, or holds a bad event that nobody named: by halves. */
static enum tap_rc halve(struct self *e, const char *bytes, const size_t *ofs, size_t from,
			 size_t to, size_t n, enum tap_item_verdict *verdict, int64_t deadline_ms,
			 struct tap_err *err)
{
	size_t middle;
	enum tap_rc rc;

	if (n == 1) {
		refuse(e, e->which[0], verdict, err);
		return TAP_OK;
	}
	middle = e->which[n / 2];
	rc = send_range(e, bytes, ofs, from, middle, verdict, deadline_ms, err);
	return rc != TAP_OK ? rc : send_range(e, bytes, ofs, middle, to, verdict, deadline_ms, err);
}

static enum tap_rc send_range(struct self *e, const char *bytes, const size_t *ofs, size_t from,
			      size_t to, enum tap_item_verdict *verdict, int64_t deadline_ms,
			      struct tap_err *err)
{
	size_t n;

	while ((n = gather(e, bytes, ofs, from, to, verdict)) > 0) {
		struct tap_http_answer a;
		struct reply r;
		enum tap_rc rc =
		    post(e, "/services/collector/event/1.0", &e->body, deadline_ms, &a, err);

		if (rc == TAP_OK)
			rc = read_reply(&a, &r, err);
		if (rc == TAP_E_LIMIT || rc == TAP_E_DATA)
			return halve(e, bytes, ofs, from, to, n, verdict, deadline_ms, err);
		if (rc != TAP_OK)
			return rc;
		if (r.means == MEANS_EVENT) {
			if (r.bad < 0 || (size_t)r.bad >= n)
				return halve(e, bytes, ofs, from, to, n, verdict, deadline_ms, err);
			refuse(e, e->which[r.bad], verdict, err);
			continue;
		}
		if (r.means != MEANS_OK)
			return err->rc;
		if (e->set->ack && r.ack < 0)
			return tap_err_set(err, TAP_E_CONFIG,
					   "%s gave no ackId: the token has no indexer "
					   "acknowledgement",
					   a.host);
		if (e->set->ack)
			rc = wait_ack(e, r.ack, deadline_ms, err);
		if (rc != TAP_OK)
			return rc;
		for (size_t i = 0; i < n; i++)
			verdict[e->which[i]] = TAP_ITEM_CONFIRMED;
	}
	return TAP_OK;
}

static enum tap_rc splunk_send(void *self, const char *bytes, const size_t *ofs, size_t n,
			       enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			       struct tap_err *err)
{
	struct self *e = self;
	enum tap_rc rc;
	bool any = false;

	(void)state_r;
	for (size_t i = 0; i < n; i++) {
		verdict[i] = TAP_ITEM_RETRY;
		e->why[i][0] = '\0';
	}
	rc = send_range(e, bytes, ofs, 0, n, verdict, deadline_ms, err);
	for (size_t i = 0; i < n; i++)
		any = any || verdict[i] != TAP_ITEM_RETRY;
	return any ? TAP_OK : rc;
}

static const char *splunk_reason(void *self, size_t i)
{
	const struct self *e = self;

	return i < MAX_ITEMS && e->why[i][0] != '\0' ? e->why[i] : NULL;
}

/* ---- life ---- */

static void splunk_close(void **self)
{
	struct self *e = *self;

	if (e == NULL)
		return;
	tap_http_close(&e->http);
	tap_buf_free(&e->body);
	explicit_bzero(e->auth, sizeof e->auth);
	free(e->which);
	free(e->why);
	free(e);
	*self = NULL;
}

/* A random UUID (RFC 9562 version 4): one channel a client. */
static enum tap_rc make_channel(struct self *e, struct tap_err *err)
{
	unsigned char r[16];

	if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
		return tap_err_set(err, TAP_E_TEMP, "no random numbers");
	r[6] = (unsigned char)((r[6] & 0x0F) | 0x40);
	r[8] = (unsigned char)((r[8] & 0x3F) | 0x80);
	(void)snprintf(e->channel, sizeof e->channel,
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0],
		       r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12],
		       r[13], r[14], r[15]);
	(void)snprintf(e->channel_line, sizeof e->channel_line, "X-Splunk-Request-Channel: %s",
		       e->channel);
	return TAP_OK;
}

static enum tap_rc splunk_open(const void *set, const char *state, char *state_r, void **self_r,
			       struct tap_err *err)
{
	const struct splunk_set *s = set;
	struct self *e = calloc(1, sizeof *e);
	void *self = e;
	enum tap_rc rc;

	(void)state;
	(void)state_r;
	*self_r = NULL;
	if (e == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	e->set = s;
	tap_buf_init(&e->body, MAX_BYTES + 1);
	e->which = calloc(MAX_ITEMS, sizeof *e->which);
	e->why = calloc(MAX_ITEMS, sizeof *e->why);
	/* A token that was copied with its scheme is taken as meant. */
	(void)snprintf(e->auth, sizeof e->auth, "Authorization: Splunk %s", s->token);
	rc = e->which != NULL && e->why != NULL ? make_channel(e, err)
						: tap_err_set(err, TAP_E_TEMP, "out of memory");
	if (rc == TAP_OK)
		rc = tap_http_open(&s->http, &e->http, err);
	if (rc != TAP_OK)
		splunk_close(&self);
	*self_r = self;
	return rc;
}

const struct tap_output_ops tap_output_splunk = {
    .name = "splunk",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_AT_LEAST_ONCE,
    .settings = &splunk_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = splunk_encode,
    .open = splunk_open,
    .send = splunk_send,
    .close = splunk_close,
    .wants = splunk_wants,
    .reason = splunk_reason,
};
