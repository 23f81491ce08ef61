/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/store_helper.h - a store in a temporary directory, and made-up messages and reports for it. */
#ifndef TAP_TESTS_STORE_HELPER_H
#define TAP_TESTS_STORE_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

struct fixture {
	char dir[64], path[96];
	struct tap_store_settings set;
	struct tap_store *s;
	struct tap_err err;
};

static inline void ok(struct fixture *f, enum tap_rc rc)
{
	if (rc != TAP_OK)
		fail_msg("%s: %s", tap_rc_name(rc), f->err.msg);
}

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/tap-store-XXXXXX");
	if (f == NULL || mkdtemp(f->dir) == NULL)
		return -1;
	(void)snprintf(f->path, sizeof(f->path), "%s/reports.db", f->dir);
	f->set = (struct tap_store_settings){.path = f->path, .wal_limit = 64 << 20};
	ok(f, tap_store_open(&f->set, &f->s, &f->err));
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	static const char *const names[] = {"", "-wal", "-shm", "-journal"};
	struct fixture *f = *state;
	char path[128];

	tap_store_close(&f->s);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", f->path, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

struct made {		       /* a made-up report */
	const char *uid_digit; /* first characters of the uid */
	unsigned records;
	unsigned char content; /* first byte of the content hash */
	bool truncated;
};
/* Who sends the reports that follow; From is a domain. */
static struct {
	bool trusted;
	const char *from;
} made_by;

static inline struct tap_meta made_meta(const struct made *m)
{
	static const struct tap_text errors[] = {{"no DNS", "en"}, {"late", NULL}};
	static const char *const domains[] = {"one.example", "two.example"};
	struct tap_meta meta = {
	    .kind = TAP_KIND_AGGREGATE,
	    .origin = {.filename = "r.xml.gz", .part = 1, .document = 0},
	    .schema = TAP_SCHEMA_RFC9990,
	    .version = "1.0",
	    .org_name = "Example Org",
	    .email = "dmarc@example.org",
	    .report_id = "id-1",
	    .extra_contact_info = {"https://example.org/", "de"},
	    .begin = 1780000000,
	    .end = 1780086399,
	    .errors = errors,
	    .n_errors = 2,
	    .receiving_domains = domains,
	    .n_receiving_domains = 2,
	    .domain = "example.com",
	    .p = "reject",
	    .fo = "",
	    .trust = {.auth = made_by.trusted ? TAP_AUTH_PASS : TAP_AUTH_UNKNOWN,
		      .from_domain = made_by.from,
		      .dkim_domains = {made_by.from},
		      .n_dkim_domains = made_by.trusted && made_by.from != NULL,
		      .trusted = made_by.trusted}};

	(void)snprintf(meta.uid, sizeof(meta.uid), "%.8s%032d", m->uid_digit, 7);
	return meta;
}

static inline void add_records(struct fixture *f, const struct made *m)
{
	static const struct tap_auth_result dkim[] = {{"a.example", "s1", "pass", {"good", "en"}},
						      {"b.example", NULL, "fail", {NULL, NULL}}};
	static const struct tap_auth_result spf[] = {
	    {"c.example", "mfrom", "softfail", {NULL, NULL}}};
	static const struct tap_reason reasons[] = {{"forwarded", {"by us", NULL}}};

	for (unsigned i = 0; i < m->records; i++) {
		struct tap_record r = {.index = i * 2,
				       .source_ip = "192.0.2.1",
				       .count = i + 1,
				       .disposition = "none",
				       .dkim_aligned = true,
				       .evaluated = true,
				       .header_from = "example.com",
				       .envelope_from = "",
				       .dkim = dkim,
				       .n_dkim = i % 3,
				       .spf = spf,
				       .n_spf = i % 2,
				       .reasons = reasons,
				       .n_reasons = i % 2};

		ok(f, tap_store_events.record(f->s, &r, &f->err));
	}
}

static inline void add_end(struct fixture *f, const struct made *m)
{
	static const struct tap_warning warnings[] = {{"record[1]", "bad_ip: no address"}};
	struct tap_report_end e = {.records = m->records,
				   .dropped = 1,
				   .messages = 10,
				   .passed = 4,
				   .truncated = m->truncated,
				   .content_hash = {m->content},
				   .content_bytes = 1234,
				   .extension = "<x/>",
				   .warnings = warnings,
				   .n_warnings = 1,
				   .warnings_total = 3};

	ok(f, tap_store_events.end(f->s, &e, &f->err));
}

static inline void add_report(struct fixture *f, const struct made *m)
{
	struct tap_meta meta = made_meta(m);

	ok(f, tap_store_events.begin(f->s, &meta, &f->err));
	add_records(f, m);
	add_end(f, m);
	ok(f, tap_store_events.payload(f->s, 1, "pay", 3, &f->err));
	ok(f, tap_store_events.payload(f->s, 1, "load", 4, &f->err));
	ok(f, tap_store_events.payload(f->s, 1, NULL, 0, &f->err));
}

static inline struct tap_store_message made_message(const char *id)
{
	return (struct tap_store_message){.spool_id = id,
					  .door = "milter",
					  .sender = "",
					  .recipients = "dmarc@example.com",
					  .fate = "report",
					  .arrival = 1780090000,
					  .size = 2000,
					  .sha256 = {1, 2, 3},
					  .headers = "Subject: x\r\n",
					  .headers_len = 12,
					  .reports = 1};
}

/* A message with one report, in a transaction of its own. */
static inline struct tap_store_outcome take_in(struct fixture *f, const char *id,
					       const struct made *m)
{
	struct tap_store_message msg = made_message(id);
	struct tap_store_outcome out;

	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
	add_report(f, m);
	ok(f, tap_store_message_end(f->s, &out, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	return out;
}

static inline struct tap_store_totals totals(struct fixture *f)
{
	struct tap_store_reader *r;
	struct tap_store_totals t;

	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_totals(r, &t, &f->err));
	tap_store_close_reader(&r);
	return t;
}

#endif
