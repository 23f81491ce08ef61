/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/confine_helper.h - pools of the real dmarctap-parse and mails to ask them about. A main sets program first. */
#ifndef TAP_TESTS_CONFINE_HELPER_H
#define TAP_TESTS_CONFINE_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "confine/build.h"
#include "confine/pool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char program[4096];

static const char report[] =
    "<?xml version=\"1.0\"?>\n<feedback><report_metadata><org_name>example.net</org_name>"
    "<email>dmarc@example.net</email><report_id>r-1</report_id><date_range><begin>1767225600</"
    "begin>"
    "<end>1767311999</end></date_range></report_metadata><policy_published>"
    "<domain>example.org</domain><adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp>"
    "<pct>100</pct></policy_published><record><row><source_ip>192.0.2.7</source_ip>"
    "<count>5</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim>"
    "<spf>fail</spf></policy_evaluated></row><identifiers><header_from>example.org</header_from>"
    "</identifiers><auth_results><spf><domain>example.org</domain><result>fail</result></spf>"
    "</auth_results></record></feedback>\n";

static inline struct tap_parser_settings settings(int64_t processes, int64_t deadline_ms)
{
	return (struct tap_parser_settings){.program = program,
					    .processes = processes,
					    .deadline_ms = deadline_ms,
					    .wait_ms = deadline_ms,
					    .memory = INT64_C(256) << 20};
}

static inline struct tap_pool *start(int64_t processes, int64_t deadline_ms)
{
	struct tap_parser_settings set = settings(processes, deadline_ms);
	struct tap_pool *p = NULL;
	struct tap_err err;

	if (tap_pool_start(&set, NULL, &p, &err) != TAP_OK)
		fail_msg("%s", err.msg);
	return p;
}

static inline int file_of(const char *text)
{
	int fd = memfd_create("message", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	return fd;
}

/* A mail with a report and, when hook is not NULL, the line that asks for misbehaviour. */
static inline void mail_text(char *out, size_t size, const char *hook)
{
	snprintf(out, size,
		 "From: dmarc@example.net\r\nTo: rua@example.org\r\nSubject: Report Domain: "
		 "example.org\r\n"
		 "%s%s%sMIME-Version: 1.0\r\nContent-Type: text/xml; charset=us-ascii\r\n\r\n%s",
		 hook == NULL ? "" : "X-Dmarctap-Test: ", hook == NULL ? "" : hook,
		 hook == NULL ? "" : "\r\n", report);
}

static inline enum tap_rc ask_text(struct tap_pool *p, const char *text,
				   struct tap_parse_result *res, struct tap_err *err)
{
	struct tap_pool_job job = {.len = strlen(text), .filename = "r.eml"};
	enum tap_rc rc;

	job.fd = file_of(text);
	rc = tap_pool_verdict(p, &job, res, err);
	close(job.fd);
	return rc;
}

static inline enum tap_rc ask(struct tap_pool *p, const char *hook, struct tap_parse_result *res,
			      struct tap_err *err)
{
	char text[4096];

	mail_text(text, sizeof text, hook);
	return ask_text(p, text, res, err);
}

static inline void expect(struct tap_pool *p, const char *hook, enum tap_verdict verdict,
			  const char *why)
{
	struct tap_parse_result res;
	struct tap_err err = {0};

	if (ask(p, hook, &res, &err) != TAP_OK)
		fail_msg("%s: %s", hook == NULL ? "report" : hook, err.msg);
	if (res.verdict != verdict)
		fail_msg("%s: verdict %d: %s", hook == NULL ? "report" : hook, (int)res.verdict,
			 res.why);
	if (why != NULL && strcmp(res.why, why) != 0)
		fail_msg("%s: '%s' is not '%s'", hook == NULL ? "report" : hook, res.why, why);
}

static inline struct tap_pool_stats stats(struct tap_pool *p)
{
	struct tap_pool_stats s;

	tap_pool_get_stats(p, &s);
	return s;
}

static inline bool program_from_environment(void)
{
	const char *bin = getenv("TAP_BIN");

	if (bin == NULL) {
		fputs("TAP_BIN must name the folder of the programs\n", stderr);
		return false;
	}
	snprintf(program, sizeof program, "%s/dmarctap-parse", bin);
	setenv("TAP_PARSE_HOOK", "1", 1);
	return true;
}

#endif
