/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: any bytes as the message of a failure report. The first byte chooses the options; limits are small, so that they are met.
 * What comes out keeps the limits and is clean text; a hash is that of the payload. */
#include "base/sha256.h"
#include "mutate.h"
#include "parser/sample.h"
#include "parser/sample_text.h"
#include "parser/utf8.h"

#include <stdlib.h>
#include <string.h>

/* Weak: there is no libFuzzer where the corpus is only replayed. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CAP = 256 * 1024 };

static void must(int truth)
{
	if (!truth)
		abort();
}

static void text(const char *s)
{
	must(s == NULL || tap_text_is_clean(s, strlen(s)));
}

static void warning(void *ctx, const char *where, const char *what)
{
	unsigned *n = ctx;

	must(where && *where && what && *what && ++*n <= 32);
}

static void mailboxes(const struct tap_mailboxes *l, const struct tap_parse_limits *lim)
{
	must(l->n <= lim->list);
	for (size_t i = 0; i < l->n; i++) {
		text(l->item[i].display_name);
		must(l->item[i].address != NULL);
	}
}

static void attachment(const struct tap_attachment *t, bool stripped)
{
	unsigned char hash[TAP_SHA256_BYTES];
	char hex[TAP_SHA256_HEX];
	struct tap_sha256 c;

	text(t->filename);
	text(t->content_type);
	text(t->disposition);
	must(strlen(t->sha256) == 64 && !(stripped && t->payload));
	if (t->payload == NULL)
		return;
	must(t->payload_len == t->size);
	tap_sha256_init(&c);
	tap_sha256_update(&c, t->payload, t->payload_len);
	tap_sha256_final(&c, hash);
	tap_hex(hash, sizeof hash, hex);
	must(strcmp(hex, t->sha256) == 0);
	must(!t->text || tap_text_is_clean(t->payload, t->payload_len));
}

static void check(const struct tap_sample *s, const struct tap_parse_limits *lim, bool stripped)
{
	uint64_t kept = 0;

	mailboxes(&s->from, lim);
	mailboxes(&s->to, lim);
	mailboxes(&s->reply_to, lim);
	must(s->to_domains.n <= lim->list && s->n_received <= lim->list);
	must(s->n_attachments <= lim->list && s->n_headers <= lim->header_fields);
	must(s->body && strlen(s->body) <= 3 * lim->body_bytes);
	text(s->body);
	text(s->subject);
	for (size_t i = 0; i < s->n_headers; i++) {
		must(s->headers[i].name && s->headers[i].value);
		text(s->headers[i].value);
	}
	for (size_t i = 0; i < s->n_received; i++)
		must(s->received[i].hop == i + 1);
	for (size_t i = 0; i < s->n_attachments; i++) {
		attachment(&s->attachments[i], stripped);
		kept += s->attachments[i].payload_len;
	}
	must(kept <= lim->attachment_bytes);
}

/* Half of the time by what mails are made of; the first byte stays. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct mutate m;

	mutate_seed(&m, seed);
	if (size < 2 || (LLVMFuzzerMutate && mutate_below(&m, 2)))
		return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max) : size;
	return 1 + mutate_mail(&m, data + 1, size - 1, max - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = &lim};
	const struct tap_sample *s = NULL;
	struct tap_arena *a;
	struct tap_err err;
	unsigned warnings = 0;
	struct tap_sample_warn warn = {.add = warning, .ctx = &warnings};
	enum tap_rc rc;

	tap_parser_global_init();
	if (size == 0)
		return 0;
	lim.mime_depth = 3;
	lim.mime_parts = 20;
	lim.header_bytes = 2048;
	lim.header_fields = 30;
	lim.body_bytes = 500;
	lim.attachment_bytes = 300;
	lim.list = 10;
	opt.strip_payloads = data[0] & 1;
	a = tap_arena_new(data[0] & 2 ? CAP : CAP / 64);
	rc = tap_sample_parse(a, data + 1, size - 1, data[0] & 4, &opt, &warn, &s, &err);
	must(rc == TAP_OK || rc == TAP_E_LIMIT);
	if (rc == TAP_OK)
		check(s, &lim, opt.strip_payloads);
	tap_arena_free(&a);
	return 0;
}
