/* SPDX-License-Identifier: Apache-2.0
 * What a source is to a domain: a table of cases. */
#include "base_helper.h"

#include "enrich/verdict.h"

#define A TAP_VERDICT_ALIGNED
#define N TAP_VERDICT_NOT_ALIGNED
#define F TAP_VERDICT_FORWARDER
#define U TAP_VERDICT_UNKNOWN
enum {
	DKIM = TAP_VERDICT_SET_UP_DKIM,
	SPF = TAP_VERDICT_SET_UP_SPF,
	SENDER = TAP_VERDICT_SET_UP_SENDER,
	REPAIR = TAP_VERDICT_REPAIR_DKIM
};

/* Rows as receivers report them; n messages each. */
#define BOTH(n)                                                                                    \
	{                                                                                          \
		.count = (n), .dkim_aligned = true, .spf_aligned = true, .dkim_passed = true,      \
		.spf_passed = true, .spf_own = true, .dkim_own = true                              \
	}
#define SPF_ONLY(n)                                                                                \
	{                                                                                          \
		.count = (n), .spf_aligned = true, .spf_passed = true, .spf_own = true             \
	}
#define BOUNCES(n)                                                                                 \
	{                                                                                          \
		.count = (n), .dkim_aligned = true, .dkim_passed = true, .spf_passed = true,       \
		.dkim_own = true                                                                   \
	} /* another return path */
#define SURVIVED(n)                                                                                \
	{                                                                                          \
		.count = (n), .dkim_aligned = true, .dkim_passed = true, .spf_own = true,          \
		.dkim_own = true                                                                   \
	}
#define FOREIGN(n)                                                                                 \
	{                                                                                          \
		.count = (n), .dkim_passed = true, .spf_passed = true                              \
	}
#define FAILS(n)                                                                                   \
	{                                                                                          \
		.count = (n), .spf_own = true                                                      \
	}
#define FAILS_DKIM(n)                                                                              \
	{                                                                                          \
		.count = (n), .spf_own = true, .dkim_own = true                                    \
	}
#define STRICT(n)                                                                                  \
	{                                                                                          \
		.count = (n), .spf_passed = true, .spf_own = true, .own_passed = true              \
	}
#define LISTED(n)                                                                                  \
	{                                                                                          \
		.count = (n), .spf_passed = true, .dkim_own = true, .forwarded = true              \
	}
#define RELAYED(n)                                                                                 \
	{                                                                                          \
		.count = (n), .dkim_aligned = true, .dkim_passed = true, .dkim_own = true,         \
		.spf_own = true, .forwarded = true                                                 \
	}

static const struct {
	const char *what, *type;
	bool own;
	struct tap_verdict_row row[4];
	enum tap_verdict_kind kind;
	unsigned set_up;
} kase[] = {
    {"no mail", NULL, false, {{.count = 0}}, TAP_VERDICT_NOTHING, 0},
    {"no mail of a forwarder",
     "Forwarder",
     false,
     {{.count = 0, .spf_aligned = true}},
     TAP_VERDICT_NOTHING,
     0},
    {"the mail server", NULL, true, {BOTH(500)}, A, 0},
    {"the mail server without DKIM", NULL, true, {SPF_ONLY(500)}, A, 0},
    {"a host that SPF forgot", NULL, true, {SURVIVED(50)}, A, SPF},
    {"a host without anything", NULL, true, {FAILS(50)}, N, DKIM | SPF},
    {"a host whose key is wrong", NULL, true, {FAILS_DKIM(50)}, N, REPAIR | SPF},
    {"in SPF, name unknown", NULL, false, {SPF_ONLY(9), BOTH(1)}, A, 0},
    {"in SPF, a few failures", NULL, false, {BOTH(95), FAILS(5)}, A, 0},
    {"mailboxes in SPF", "Email Provider", false, {BOTH(900), SURVIVED(50)}, A, 0},
    {"a sender that signs", "Transactional", false, {BOUNCES(700)}, A, 0},
    {"a sender that signs, unknown", NULL, false, {BOUNCES(700)}, A, 0},
    {"a sender that signs, SPF asked for the domain", "Marketing", false, {SURVIVED(700)}, A, SPF},
    {"a sender not set up", "Marketing", false, {FOREIGN(300)}, N, DKIM | SENDER},
    {"a sender half set up", "CRM", false, {BOUNCES(50), FOREIGN(50)}, N, DKIM | SENDER},
    {"a sender that nothing passes for", "Marketing", false, {FAILS(300)}, U, 0},
    {"unknown, half aligned", NULL, false, {BOTH(50), FOREIGN(50)}, N, DKIM | SENDER},
    {"unknown, own DKIM half broken", NULL, false, {BOTH(50), FAILS_DKIM(50)}, N, REPAIR | SPF},
    {"strict alignment", NULL, false, {STRICT(40)}, N, DKIM | SPF},
    {"mailboxes that forward", "Email Provider", false, {SURVIVED(40)}, F, 0},
    {"mailboxes that forward with SRS", "Email Provider", false, {BOUNCES(40)}, F, 0},
    {"mailboxes that break some", "Email Provider", false, {SURVIVED(4), FOREIGN(40)}, F, 0},
    {"a gateway of a receiver", "Email Security", false, {SURVIVED(20), FAILS_DKIM(30)}, F, 0},
    {"unknown, only DKIM holds", NULL, false, {SURVIVED(3)}, F, 0},
    {"a web host that forwards", "Web Host", false, {SURVIVED(30), FAILS(10)}, F, 0},
    {"a mailing list", NULL, false, {LISTED(30)}, F, 0},
    {"receivers name some", NULL, false, {RELAYED(30), FAILS(20)}, F, 0},
    {"a known mailing list", "Mailing Lists", false, {FOREIGN(30)}, F, 0},
    {"a known forwarder, all broken", "Forwarder", false, {FAILS(30)}, F, 0},
    {"a known forwarder in SPF", "Forwarder", false, {SPF_ONLY(30)}, A, 0},
    {"in SPF, although receivers speak of lists",
     NULL,
     false,
     {BOTH(80), LISTED(20)},
     N,
     REPAIR | SENDER},
    {"spoofing", NULL, false, {FAILS(1000)}, U, 0},
    {"spoofing with SPF of its own", NULL, false, {FOREIGN(1000)}, U, 0},
    {"spoofing from a web host", "Web Host", false, {FOREIGN(1000)}, U, 0},
    {"spoofing from mailboxes", "Email Provider", false, {FOREIGN(1000)}, U, 0},
    {"spoofing and one that slipped through", NULL, false, {FAILS(1000), SURVIVED(1)}, U, 0},
    {"a type that nobody knows", "Bakery", false, {FAILS(3)}, U, 0},
};

static struct tap_verdict decide(size_t k, bool backwards)
{
	struct tap_verdict_evidence e = {0};
	struct tap_verdict_source s = {.type = kase[k].type, .own = kase[k].own};
	struct tap_verdict v;

	for (size_t i = 0; i < 4; i++)
		tap_verdict_add(&e, &kase[k].row[backwards ? 3 - i : i]);
	tap_verdict_decide(&e, &s, &v);
	return v;
}

static void test_table_of_cases(void **state)
{
	(void)state;
	for (size_t k = 0; k < sizeof kase / sizeof *kase; k++) {
		struct tap_verdict v = decide(k, false), w = decide(k, true);

		if (v.kind != kase[k].kind || v.set_up != kase[k].set_up)
			fail_msg("%s: %s, set up %u: %s", kase[k].what,
				 tap_source_verdict_name(v.kind), v.set_up, v.why);
		assert_int_equal(w.kind, v.kind);
		assert_int_equal(w.set_up, v.set_up);
		assert_memory_equal(&w.evidence, &v.evidence, sizeof v.evidence);
	}
}

/* Each message in one of the first five, whatever receivers claim. */
static void test_numbers(void **state)
{
	struct tap_verdict_evidence e = {0};
	uint64_t all = 0;

	(void)state;
	for (unsigned bits = 0; bits < 256; bits++) {
		struct tap_verdict_row r = {.count = bits + 1,
					    .dkim_aligned = bits & 1,
					    .spf_aligned = bits & 2,
					    .dkim_passed = bits & 4,
					    .spf_passed = bits & 8,
					    .spf_own = bits & 16,
					    .dkim_own = bits & 32,
					    .own_passed = bits & 64,
					    .forwarded = bits & 128};

		tap_verdict_add(&e, &r);
		all += bits + 1;
	}
	assert_int_equal(e.messages, all);
	assert_int_equal(e.spf_aligned + e.dkim_elsewhere + e.dkim_alone + e.others + e.nothing,
			 all);
}

static void test_more_messages_than_can_be_counted(void **state)
{
	struct tap_verdict_row r = BOTH(UINT64_MAX), f = FAILS(UINT64_MAX);
	struct tap_verdict_source s = {0};
	struct tap_verdict_evidence e = {0};
	struct tap_verdict v;

	(void)state;
	tap_verdict_add(&e, &r);
	tap_verdict_decide(&e, &s, &v);
	assert_int_equal(v.kind, A);
	for (int i = 0; i < 3; i++)
		tap_verdict_add(&e, &f);
	assert_int_equal(e.messages, UINT64_MAX);
	tap_verdict_decide(&e, &s, &v);
	assert_non_null(v.why);
}

static void test_words(void **state)
{
	(void)state;
	assert_string_equal(tap_source_verdict_name(A), "aligned");
	assert_string_equal(tap_source_verdict_name(N), "not_aligned");
	assert_string_equal(tap_source_verdict_name(F), "forwarder");
	assert_string_equal(tap_source_verdict_name(U), "unknown");
	assert_string_equal(tap_source_verdict_name(TAP_VERDICT_NOTHING), "nothing");
	for (unsigned bit = 1; bit <= 8; bit *= 2)
		assert_non_null(tap_verdict_advice(bit));
	assert_null(tap_verdict_advice(0));
	assert_null(tap_verdict_advice(16));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table_of_cases),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_more_messages_than_can_be_counted),
	    cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
