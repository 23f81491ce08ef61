/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: any bytes as the header block of a mail, as one Authentication-Results value and as one Received value. Whatever is in them,
 * a mail whose fields of ours stand behind a foreign Received is never believed. */
#include "parser/authres.h"
#include "parser/parser.h"
#include "parser/received.h"

#include <stdlib.h>
#include <string.h>

enum { CAP = 64 * 1024 };

static void must(int truth)
{
	if (!truth)
		abort();
}

/* NUL-terminated, and no control character but TAB and LF. */
static void text(const char *s)
{
	for (; s && *s; s++)
		must((unsigned char)*s >= ' ' || *s == '\t' || *s == '\n');
}

static void field(const struct tap_auth_field *f)
{
	text(f->authserv_id);
	must(f->n_method <= TAP_AUTH_FIELDS);
	for (size_t i = 0; i < f->n_method; i++) {
		const struct tap_auth_method *m = &f->method[i];

		must(m->method && *m->method && m->result && *m->result);
		text(m->method);
		text(m->result);
		text(m->reason);
		for (size_t k = 0; k < m->n_property; k++) {
			must(m->property[k].ptype && m->property[k].name && m->property[k].value);
			text(m->property[k].value);
		}
	}
}

static void one_value(const char *p, size_t n)
{
	struct tap_arena *a = tap_arena_new(CAP);
	const struct tap_auth_field *strict = tap_authres_parse(a, p, n, false);
	const struct tap_auth_field *lenient = tap_authres_parse(a, p, n, true);
	struct tap_received r;

	if (strict) {
		must(strict->authserv_id != NULL);
		field(strict);
	}
	if (lenient)
		field(lenient);
	if (tap_received_parse(a, p, n, &r)) {
		text(r.from);
		text(r.by);
		text(r.date);
		text(r.peer);
	}
	tap_arena_free(&a);
}

static void judge(const struct tap_mail_auth *m, bool never)
{
	static const char *const ids[] = {"a.b", "mx.example.com"};
	struct tap_trust_rules rules = {.authserv_ids = ids, .n_authserv_ids = 2};
	const struct tap_meta meta = {.kind = TAP_KIND_AGGREGATE,
				      .org_name = "a.b",
				      .report_id = "1",
				      .domain = "c.d",
				      .begin = 1,
				      .end = 2};
	struct tap_trust t;

	for (int any = 0; any < 2; any++) {
		rules.any_position = any;
		tap_trust_judge(&rules, m, &meta, &t);
		must(t.n_dkim_domains <= TAP_TRUST_DKIM);
		must(!t.trusted || (t.auth == TAP_AUTH_PASS && t.reporter == TAP_AGREE_YES));
		must(any || !never || t.auth == TAP_AUTH_UNKNOWN);
		text(t.from_domain);
		for (size_t i = 0; i < t.n_dkim_domains; i++)
			text(t.dkim_domains[i]);
	}
	tap_trust_judge(NULL, m, &meta, &t);
	must(t.auth == TAP_AUTH_UNKNOWN && !t.trusted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char foreign[] = "Received: from x (y.z [192.0.2.1]) by e.f; 1\n";
	size_t n = sizeof foreign - 1;
	struct tap_arena *a = tap_arena_new(CAP);
	const struct tap_mail_auth *m;
	char *block;

	tap_parser_global_init();
	one_value((const char *)data, size);
	m = tap_mail_auth_read(a, (const char *)data, size);
	if (m) {
		must(m->n_field <= TAP_AUTH_FIELDS && m->n_by <= TAP_AUTH_HOPS);
		for (size_t i = 0; i < m->n_field; i++) {
			must(m->field[i].authserv_id != NULL);
			field(&m->field[i]);
		}
		text(m->subject_report_id);
		judge(m, false);
	}
	tap_arena_free(&a);
	/* A blank at the beginning would continue our line. */
	if (size == 0 || *data == ' ' || *data == '\t')
		return 0;
	block = malloc(n + size);
	must(block != NULL);
	memcpy(block, foreign, n);
	memcpy(block + n, data, size);
	a = tap_arena_new(CAP);
	m = tap_mail_auth_read(a, block, n + size);
	if (m)
		judge(m, true);
	tap_arena_free(&a);
	free(block);
	return 0;
}
