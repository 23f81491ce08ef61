/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/outputs_helper.h - sample reports for the tests of outputs/. */
#ifndef TAP_TESTS_OUTPUTS_HELPER_H
#define TAP_TESTS_OUTPUTS_HELPER_H

#include "base/buf.h"
#include "parser/report.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SAMPLE_UID "0123456789abcdef0123456789abcdef01234567"

/* What a report without anything optional gives. */
static const struct tap_meta sample_meta = {
    .kind = TAP_KIND_AGGREGATE,
    .uid = SAMPLE_UID,
    .schema = TAP_SCHEMA_DRAFT,
    .org_name = "receiver.example",
    .email = "dmarc@receiver.example",
    .report_id = "r-1",
    .begin = 1335571200,
    .end = 1335657599,
    .domain = "example.com",
    .p = "none",
};
static const struct tap_auth_result sample_dkim[] = {{.domain = "example.com", .result = "fail"}};
static const struct tap_auth_result sample_spf[] = {
    {.domain = "bounce.example.com", .result = "pass"}};
static const struct tap_record sample_record = {
    .source_ip = "192.0.2.1",
    .count = 2,
    .disposition = "none",
    .spf_aligned = true,
    .evaluated = true,
    .header_from = "example.com",
    .dkim = sample_dkim,
    .n_dkim = 1,
    .spf = sample_spf,
    .n_spf = 1,
};
static const struct tap_report_end sample_end = {
    .records = 1,
    .messages = 2,
    .passed = 2,
    .content_bytes = 1000,
};

static inline void expect_text(struct tap_buf *b, const char *want)
{
	assert_false(b->failed);
	assert_string_equal(tap_buf_cstr(b), want);
	tap_buf_reset(b);
}

#endif
