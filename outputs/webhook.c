/* SPDX-License-Identifier: Apache-2.0
 * outputs/webhook.c - driver "webhook": items as JSON by POST. One object a request, or with `batch` an array of several.
 * Headers: Idempotency-Key, the SHA-256 of the body, the same whenever the same items come again; with a secret X-Dmarctap-Timestamp
 * (seconds since the epoch) and X-Dmarctap-Signature, "sha256=" and the HMAC-SHA256 in hex over TIMESTAMP "." BODY.
 * Verdict by status: 2xx confirmed; 408, 425, 429 and 5xx come again, as Retry-After says; 401, 403, 404, 405 and redirects are for an
 * operator; other 4xx are refused for good, and an array that is refused is halved to find the one. At least once.
 * Threads: output.h. RFC 9110, 2104. */
#include "outputs/drivers.h"
#include "outputs/http.h"
#include "outputs/kind_files.h"
#include "outputs/slice.h"

#include "base/clock.h"
#include "base/sha256.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ITEMS = 1000, MAX_BYTES = 16 * 1024 * 1024, WHY = 240, BLOCK = 64, HEADER = 1024 };

struct webhook_set {
	struct tap_http_settings http;
	char *url, *secret, *header;
	int64_t batch;
	bool strip_payloads;
	struct tap_list kinds;
};
/* clang-format off */
static const struct tap_setting webhook_table[] = {
    TAP_ROW_STR("url", webhook_set, url, TAP_SET_REQUIRED | TAP_SET_SECRET, NULL,
		"Where items are posted to. A URL that holds a key of its own can stand in a file (\"@/path\") or in the environment (\"$NAME\")."),
    TAP_HTTP_ROWS_LOGIN(webhook_set),
    TAP_ROW_STR("secret", webhook_set, secret, TAP_SET_SECRET, NULL,
		"Signs each request, so that the receiver knows who sent it: \"@/path\" or \"$NAME\". Headers X-Dmarctap-Timestamp, and X-Dmarctap-Signature: "
		"sha256= and the HMAC-SHA256 of the timestamp, a dot and the body as it was before compression."),
    TAP_ROW_STR("header", webhook_set, header, TAP_SET_SECRET, NULL,
		"One header line more, \"Name: value\", also as \"@/path\" or \"$NAME\"."),
    TAP_ROW_INT("batch", webhook_set, batch, 0, "1", 1, MAX_ITEMS,
		"1: each item is a JSON object in a request of its own. More: a JSON array of up to so many."),
    TAP_ROW_LIST("kinds", webhook_set, kinds, 0, NULL,
		"Which reports are sent: aggregate, failure, smtp_tls, feedback. By default aggregate and smtp_tls: failure and feedback "
		"reports hold personal data."),
    TAP_ROW_BOOL("strip_payloads", webhook_set, strip_payloads, 0, "true",
		"Leave out the contents of attachments in the messages of failure and feedback reports."),
    TAP_HTTP_ROWS_TLS(webhook_set),
    TAP_ROW_BOOL("gzip", webhook_set, http.gzip, 0, "false", "Compress what is sent; few receivers of webhooks understand it."),
    {0}};
/* clang-format on */

/* A copy of the settings whose list of URLs is the one URL; item must live as long. */
static struct tap_http_settings with_url(const struct webhook_set *s, char **item)
{
	struct tap_http_settings http = s->http;

	*item = s->url;
	http.url = (struct tap_list){.item = item, .n = 1};
	return http;
}

static enum tap_rc webhook_check(const void *set, struct tap_err *err)
{
	const struct webhook_set *s = set;
	char *item;
	const struct tap_http_settings http = with_url(s, &item);
	unsigned kinds;

	if (tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE, &kinds, err) != TAP_OK)
		return TAP_E_CONFIG;
	if (s->header != NULL && (strlen(s->header) > HEADER || strpbrk(s->header, "\r\n") ||
				  strchr(s->header, ':') == NULL))
		return tap_err_set(err, TAP_E_CONFIG, "header must be one line \"Name: value\"");
	return tap_http_check(&http, err);
}

static const struct tap_section webhook_section = {
    .name = "webhook",
    .doc = "Posts items as JSON to a URL.",
    .table = webhook_table,
    .struct_size = sizeof(struct webhook_set),
    .check = webhook_check,
};

static unsigned webhook_wants(const void *set)
{
	const struct webhook_set *s = set;
	unsigned kinds;

	return tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE | TAP_KIND_SMTP_TLS, &kinds,
				    NULL) == TAP_OK
		   ? kinds
		   : 0;
}

/* Each item ends with a comma, so that several are an array but for its brackets. */
static enum tap_rc webhook_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
				  struct tap_err *err)
{
	const struct webhook_set *s = set;
	enum tap_rc rc = tap_slice(item, s->strip_payloads, out, err);

	tap_buf_addc(out, ',');
	if (rc == TAP_OK && out->failed)
		rc = tap_err_set(err, TAP_E_LIMIT, "the item is larger than %d bytes", MAX_BYTES);
	return rc;
}

/* ---- signature ---- */

static void hash(const void *key, size_t n_key, const void *a, size_t n_a, const void *b,
		 size_t n_b, unsigned char out[TAP_SHA256_BYTES])
{
	struct tap_sha256 c;

	tap_sha256_init(&c);
	tap_sha256_update(&c, key, n_key);
	tap_sha256_update(&c, a, n_a);
	tap_sha256_update(&c, b, n_b);
	tap_sha256_final(&c, out);
}

/* RFC 2104 over a and b, one behind the other. */
static void hmac(const char *secret, const void *a, size_t n_a, const void *b, size_t n_b,
		 unsigned char out[TAP_SHA256_BYTES])
{
	unsigned char key[BLOCK] = {0}, pad[BLOCK];
	size_t n = strlen(secret);

	if (n > BLOCK)
		hash(secret, n, "", 0, "", 0, key);
	else
		memcpy(key, secret, n);
	for (size_t i = 0; i < BLOCK; i++)
		pad[i] = key[i] ^ 0x36;
	hash(pad, BLOCK, a, n_a, b, n_b, out);
	for (size_t i = 0; i < BLOCK; i++)
		pad[i] = key[i] ^ 0x5c;
	hash(pad, BLOCK, out, TAP_SHA256_BYTES, "", 0, out);
	explicit_bzero(key, sizeof key);
	explicit_bzero(pad, sizeof pad);
}

/* ---- send ---- */

struct self {
	const struct webhook_set *set;
	struct tap_http_settings http_set;
	char *url;
	struct tap_http *http;
	struct tap_buf body;
	char why[MAX_ITEMS][WHY];
};

static void body_of(struct self *w, const char *bytes, const size_t *ofs, size_t first, size_t n)
{
	bool array = w->set->batch > 1;

	tap_buf_reset(&w->body);
	if (array)
		tap_buf_addc(&w->body, '[');
	tap_buf_add(&w->body, bytes + ofs[first], ofs[first + n] - ofs[first] - 1);
	if (array)
		tap_buf_addc(&w->body, ']');
}

static enum tap_rc post(struct self *w, int64_t deadline_ms, struct tap_err *err)
{
	char key[128], stamp[32], when[64], sign[128], hex[TAP_SHA256_HEX];
	const char *headers[6];
	unsigned char sum[TAP_SHA256_BYTES];
	size_t n = 0;
	int len;
	const struct tap_http_request q = {.method = "POST",
					   .content_type = "application/json",
					   .headers = headers,
					   .body = w->body.p,
					   .len = w->body.len};
	struct tap_http_answer a;
	enum tap_rc rc;

	hash("", 0, w->body.p, w->body.len, "", 0, sum);
	tap_hex(sum, sizeof sum, hex);
	(void)snprintf(key, sizeof key, "Idempotency-Key: %s", hex);
	headers[n++] = key;
	if (w->set->secret != NULL) {
		len = snprintf(stamp, sizeof stamp, "%" PRId64 ".", tap_clock_now());
		hmac(w->set->secret, stamp, (size_t)len, w->body.p, w->body.len, sum);
		tap_hex(sum, sizeof sum, hex);
		(void)snprintf(sign, sizeof sign, "X-Dmarctap-Signature: sha256=%s", hex);
		(void)snprintf(when, sizeof when, "X-Dmarctap-Timestamp: %.*s", len - 1, stamp);
		headers[n++] = sign;
		headers[n++] = when;
	}
	if (w->set->header != NULL)
		headers[n++] = w->set->header;
	headers[n] = NULL;
	rc = tap_http_do(w->http, &q, deadline_ms, &a, err);
	return rc == TAP_OK ? tap_http_class(&a, err) : rc;
}

static enum tap_rc send_some(struct self *w, const char *bytes, const size_t *ofs, size_t first,
			     size_t n, enum tap_item_verdict *verdict, int64_t deadline_ms,
			     struct tap_err *err)
{
	enum tap_rc rc;

	body_of(w, bytes, ofs, first, n);
	rc = w->body.failed ? tap_err_set(err, TAP_E_LIMIT, "the request is too long")
			    : post(w, deadline_ms, err);
	if (rc == TAP_E_DATA || rc == TAP_E_LIMIT) {
		if (n > 1) {
			rc = send_some(w, bytes, ofs, first, n / 2, verdict, deadline_ms, err);
			return rc != TAP_OK ? rc
					    : send_some(w, bytes, ofs, first + n / 2, n - n / 2,
							verdict, deadline_ms, err);
		}
		verdict[first] = TAP_ITEM_NEVER;
		(void)snprintf(w->why[first], WHY, "%.*s", WHY - 1, err->msg);
		return TAP_OK;
	}
	for (size_t i = 0; rc == TAP_OK && i < n; i++)
		verdict[first + i] = TAP_ITEM_CONFIRMED;
	return rc;
}

static enum tap_rc webhook_send(void *self, const char *bytes, const size_t *ofs, size_t n,
				enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
				struct tap_err *err)
{
	struct self *w = self;
	size_t batch = (size_t)w->set->batch;
	enum tap_rc rc = TAP_OK;
	bool any = false;

	(void)state_r;
	for (size_t i = 0; i < n; i++) {
		verdict[i] = TAP_ITEM_RETRY;
		w->why[i][0] = '\0';
	}
	for (size_t i = 0; rc == TAP_OK && i < n; i += batch)
		rc = send_some(w, bytes, ofs, i, n - i < batch ? n - i : batch, verdict,
			       deadline_ms, err);
	for (size_t i = 0; i < n; i++)
		any = any || verdict[i] != TAP_ITEM_RETRY;
	return any ? TAP_OK : rc;
}

static const char *webhook_reason(void *self, size_t i)
{
	const struct self *w = self;

	return i < MAX_ITEMS && w->why[i][0] != '\0' ? w->why[i] : NULL;
}

/* ---- life ---- */

static void webhook_close(void **self)
{
	struct self *w = *self;

	if (w == NULL)
		return;
	tap_http_close(&w->http);
	tap_buf_free(&w->body);
	free(w);
	*self = NULL;
}

static enum tap_rc webhook_open(const void *set, const char *state, char *state_r, void **self_r,
				struct tap_err *err)
{
	struct self *w = calloc(1, sizeof *w);
	void *self = w;
	enum tap_rc rc;

	(void)state;
	(void)state_r;
	*self_r = NULL;
	if (w == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	w->set = set;
	w->http_set = with_url(w->set, &w->url);
	tap_buf_init(&w->body, MAX_BYTES + 16);
	rc = tap_http_open(&w->http_set, &w->http, err);
	if (rc != TAP_OK)
		webhook_close(&self);
	*self_r = self;
	return rc;
}

const struct tap_output_ops tap_output_webhook = {
    .name = "webhook",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_AT_LEAST_ONCE,
    .settings = &webhook_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = webhook_encode,
    .open = webhook_open,
    .send = webhook_send,
    .close = webhook_close,
    .wants = webhook_wants,
    .reason = webhook_reason,
};
