/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_outputs_item.c - see ctl_outputs.h. Addresses and names are those that are kept for examples (RFC 5737, RFC 2606). */
#include "cli/ctl_outputs.h"

#include "base/sha256.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void fill_meta(struct ctl_test_item *t, enum tap_kind kind, int64_t now)
{
	unsigned char sum[TAP_SHA256_BYTES];
	char hex[TAP_SHA256_HEX];
	struct tap_sha256 c;

	(void)snprintf(t->id, sizeof t->id, "dmarctap-test-%" PRId64, now);
	tap_sha256_init(&c);
	tap_sha256_update(&c, t->id, strlen(t->id));
	tap_sha256_final(&c, sum);
	tap_hex(sum, sizeof sum, hex);
	memcpy(t->meta.uid, hex, TAP_UID_HEX - 1);
	t->meta.kind = kind;
	t->meta.schema = TAP_SCHEMA_RFC9990;
	t->meta.version = "1.0";
	t->meta.org_name = "dmarctap test";
	t->meta.email = "postmaster@test.invalid";
	t->meta.report_id = t->id;
	t->meta.generator = "dmarctap " TAP_VERSION;
	t->meta.domain = "test.invalid";
	t->meta.p = "none";
	t->meta.begin = now - now % 86400;
	t->meta.end = t->meta.begin + 86399;
}

static void fill_record(struct ctl_test_item *t)
{
	t->dkim =
	    (struct tap_auth_result){.domain = "test.invalid", .label = "test", .result = "pass"};
	t->spf =
	    (struct tap_auth_result){.domain = "test.invalid", .label = "mfrom", .result = "pass"};
	t->record.source_ip = "192.0.2.1";
	t->record.count = 1;
	t->record.disposition = "none";
	t->record.dkim_aligned = t->record.spf_aligned = t->record.evaluated = true;
	t->record.header_from = t->record.envelope_from = "test.invalid";
	t->record.dkim = &t->dkim;
	t->record.spf = &t->spf;
	t->record.n_dkim = t->record.n_spf = 1;
	t->item.record = &t->record;
}

static void fill_failure(struct ctl_test_item *t, enum tap_kind kind)
{
	t->failure.feedback_type = kind == TAP_KIND_FAILURE ? "auth-failure" : "other";
	t->failure.user_agent = "dmarctap/" TAP_VERSION;
	t->failure.version = "1";
	t->failure.arrival = t->meta.begin;
	t->failure.delivery_result = "other";
	t->failure.source_ip = "192.0.2.1";
	t->failure.source_port = -1;
	t->failure.incidents = 1;
	t->item.failure = &t->failure;
}

void ctl_test_item(unsigned kinds, int64_t now, struct ctl_test_item *t)
{
	static const enum tap_kind order[] = {TAP_KIND_AGGREGATE, TAP_KIND_SMTP_TLS,
					      TAP_KIND_FAILURE, TAP_KIND_FEEDBACK};
	size_t k = 0;

	memset(t, 0, sizeof *t);
	while (k < 3 && (kinds & order[k]) == 0)
		k++;
	fill_meta(t, order[k], now);
	t->item = (struct tap_item){
	    .seq = 1, .revision = 1, .first = true, .last = true, .meta = &t->meta, .end = &t->end};
	t->end.records = t->end.messages = t->end.passed = 1;
	if (order[k] == TAP_KIND_AGGREGATE) {
		fill_record(t);
	} else if (order[k] == TAP_KIND_SMTP_TLS) {
		t->policy = (struct tap_tls_policy){
		    .policy_type = "sts", .policy_domain = "test.invalid", .successful = 1};
		t->item.policy = &t->policy;
	} else {
		fill_failure(t, order[k]);
	}
}
