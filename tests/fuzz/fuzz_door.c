/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: the whole door. The input is a mail, its last byte says what is configured; it comes in as the milter gets it, the parser
 * (in this process) judges it, the table of fates answers, and what was kept is read as the worker reads it: the spool file, and the
 * parser's events through the frames.
 * Held to: the mail that was taken away is in the spool, byte for byte; nothing of a refused one is; the worker finds what the door found;
 * and no report of the parser is one that the frames refuse. */
#include "base/log.h"
#include "confine/frames.h"
#include "intake/intake.h"
#include "milter/session.h"
#include "parser/parser.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADERS = 200, LINE = 4096 };

static int spool_fd = -1;
static struct tap_parse_result said; /* what the door heard */

static void need(int ok)
{
	if (!ok)
		abort();
}

static const char *const ids[] = {"mx.example.com"}, *const domains[] = {"example.com"};
static const struct tap_trust_rules rules = {
    .authserv_ids = ids, .n_authserv_ids = 1, .domains = domains, .n_domains = 1};

static enum tap_rc judge(void *ctx, const struct tap_pool_job *job, struct tap_parse_result *res,
			 struct tap_err *err)
{
	struct tap_parse_options opt = {.now = job->now, .trust = &rules};
	struct tap_source src;
	enum tap_rc rc;

	(void)ctx;
	tap_source_fd(&src, job->fd, job->off, job->len);
	rc = tap_parse(&src, &opt, NULL, NULL, res, err);
	said = *res;
	need(rc == TAP_OK);
	return rc;
}

static const char *macro(void *ctx, const char *name)
{
	(void)ctx;
	return name[0] == 'i' ? "4QUEUE1" : NULL;
}

static bool set_reply(void *ctx, int code, const char *dsn, const char *text)
{
	(void)ctx;
	need(code >= 400 && code < 600 && dsn != NULL && text != NULL);
	return true;
}

static bool add_header(void *ctx, const char *name, const char *value)
{
	(void)ctx;
	(void)name;
	need(value != NULL);
	return true;
}

static bool drop_header(void *ctx, const char *name, int index)
{
	(void)ctx;
	(void)name;
	return index > 0;
}

static bool drop_recipient(void *ctx, const char *path)
{
	(void)ctx;
	return path != NULL;
}

static const struct tap_session_mta ops = {macro, set_reply, add_header, drop_header,
					   drop_recipient};

static char spool_dir[] = "/dev/shm/tap-door-XXXXXX"; /* memory: an fsync costs nothing there */
static char *list[] = {(char[]){"d@e"}};
static struct tap_reports_settings reports = {.addresses = {list, 1}, .max_message = 1 << 20};
static struct tap_spool_settings spool = {spool_dir, INT64_C(1) << 40, 1 << 30, 0};
static struct tap_trust_settings trust;
static struct tap_intake *intake;

static void clean_up(void)
{
	(void)unlinkat(spool_fd, "incoming/milter", AT_REMOVEDIR);
	(void)unlinkat(spool_fd, "incoming", AT_REMOVEDIR);
	(void)rmdir(spool_dir);
}

static void start(void)
{
	struct tap_intake_config cfg = {.reports = &reports,
					.spool = &spool,
					.trust = &trust,
					.door = TAP_DOOR_MILTER,
					.verdict = judge};
	struct tap_err err;

	reports.extension_delimiter = (char[]){""};
	tap_log_init("fuzz", TAP_LOG_ERROR);
	tap_parser_global_init();
	need(mkdtemp(spool_dir) != NULL);
	need(tap_intake_open(&cfg, &intake, &err) == TAP_OK);
	spool_fd = open(spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(spool_fd >= 0);
	atexit(clean_up);
}

/* ---- the worker's side ---- */

static enum tap_rc grow(void *ctx, struct tap_buf *out, struct tap_err *err)
{
	(void)ctx;
	(void)out;
	(void)err;
	return TAP_OK;
}

/* The events of the parser go through the frames whole; what comes out is what the door heard. */
static void as_the_worker(const struct tap_spool_file *f)
{
	static const struct tap_events silent;
	struct tap_frame_reader *r = tap_frame_reader_new(&silent, NULL);
	struct tap_parse_options opt = {.now = 1780000000, .trust = &rules, .payload = true};
	struct tap_parse_result res = {0}, got;
	struct tap_buf out;
	struct tap_frame_writer w = {.out = &out, .flush = grow};
	struct tap_err err = {0};
	struct tap_source src;
	enum tap_rc rc, far;

	tap_buf_init(&out, 256 << 20);
	tap_source_fd(&src, f->fd, f->message_off, f->message_len);
	rc = tap_parse(&src, &opt, &tap_frame_writer_events, &w, &res, &err);
	if (rc == TAP_OK) {
		need(res.verdict == said.verdict && res.reports == said.reports &&
		     res.kinds == said.kinds && res.unauthenticated == said.unauthenticated);
		need(tap_frame_write_result(&w, rc, &res, &err) == TAP_OK);
		rc = tap_frame_reader_input(r, out.p, out.len, &err);
		if (rc != TAP_OK)
			(void)fprintf(stderr, "%s\n", err.msg);
		need(rc == TAP_OK && tap_frame_reader_result(r, &far, &got));
	} else {
		need(rc == TAP_E_LIMIT);
	}
	tap_frame_reader_free(&r);
	tap_buf_free(&out);
}

struct kept {
	size_t n;
	const uint8_t *body;
	size_t body_n;
	enum tap_answer answer;
};

static enum tap_rc look(void *ctx, const char *name, enum tap_spool_entry what, struct tap_err *err)
{
	struct kept *k = ctx;
	struct tap_spool_file f;
	char path[128];

	need(what == TAP_SPOOL_MESSAGE);
	(void)snprintf(path, sizeof path, "incoming/milter/%s", name);
	need(tap_spool_file_open(spool_fd, path, &f, err) == TAP_OK);
	need(tap_spool_file_verify(&f, err) == TAP_OK);
	need(f.envelope.passed_on == (k->answer != TAP_ANSWER_DISCARD));
	need(f.message_len >= k->body_n);
	if (k->body_n > 0) {
		uint8_t *tail = malloc(k->body_n);

		need(tail != NULL && pread(f.fd, tail, k->body_n,
					   (off_t)(f.message_off + f.message_len - k->body_n)) ==
					 (ssize_t)k->body_n);
		need(memcmp(tail, k->body, k->body_n) == 0);
		free(tail);
	}
	if (said.verdict == TAP_V_REPORT || said.verdict == TAP_V_FEEDBACK)
		as_the_worker(&f);
	tap_spool_file_close(&f);
	need(unlinkat(spool_fd, path, 0) == 0);
	k->n++;
	return TAP_OK;
}

static void after(enum tap_answer a, const uint8_t *body, size_t n)
{
	struct kept k = {.body = body, .body_n = n, .answer = a};
	struct tap_err err;
	int fd = openat(spool_fd, "incoming/milter", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	need(fd >= 0 && tap_spool_scan(fd, look, &k, &err) == TAP_OK);
	close(fd);
	need(k.n <= 1);
	need(a == TAP_ANSWER_CONTINUE || a == TAP_ANSWER_DISCARD || a == TAP_ANSWER_REJECT);
	need(a != TAP_ANSWER_DISCARD || (k.n == 1 && said.verdict == TAP_V_REPORT));
	need(a != TAP_ANSWER_REJECT || k.n == 0);
	/* A complaint goes on to people whatever is configured. */
	need(said.verdict != TAP_V_FEEDBACK || (a == TAP_ANSWER_CONTINUE && k.n == 1));
}

/* ---- the mail server's side ---- */

/* Header fields as libmilter gives them: name, value with its blank, folds with LF alone. Returns where the body begins. */
static size_t headers(struct tap_session *s, const uint8_t *p, size_t n)
{
	size_t at = 0;

	for (int fields = 0; at < n && fields < HEADERS; fields++) {
		char line[LINE];
		size_t len = 0;
		char *colon;

		if (p[at] == '\n' || (p[at] == '\r' && at + 1 < n && p[at + 1] == '\n'))
			return at + (p[at] == '\r') + 1;
		do {
			while (at < n && p[at] != '\n') {
				if (len < sizeof line - 2 && p[at] != '\r' && p[at] != '\0')
					line[len++] = (char)p[at];
				at++;
			}
			at += at < n;
			if (at < n && (p[at] == ' ' || p[at] == '\t') && len < sizeof line - 2)
				line[len++] = '\n';
		} while (at < n && (p[at] == ' ' || p[at] == '\t'));
		line[len] = '\0';
		colon = strchr(line, ':');
		if (colon == NULL || colon == line)
			continue;
		*colon = '\0';
		(void)tap_session_header(s, line, colon + 1);
	}
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned long can, step;
	struct tap_session *s;
	enum tap_answer a;
	size_t at, n;
	uint8_t how;

	if (size < 8)
		return 0;
	if (intake == NULL)
		start();
	how = data[--size];
	reports.consume = (how & 1) != 0;
	trust = (struct tap_trust_settings){0};
	trust.unauth_aggregate = how & 2 ? TAP_UNAUTH_REJECT : TAP_UNAUTH_MARK;
	trust.unauth_failure = how & 4 ? TAP_UNAUTH_REJECT : TAP_UNAUTH_QUARANTINE;
	trust.unauth_tls = how & 8 ? TAP_UNAUTH_REJECT : TAP_UNAUTH_ACCEPT;
	memset(&said, 0, sizeof said);
	tap_session_negotiate(0x1ff, 0x1fffff, &can, &step);
	s = tap_session_new(intake, &ops, NULL, can, step);
	need(s != NULL);
	(void)tap_session_connect(s, "mx.example", "192.0.2.7", false);
	(void)tap_session_mail(s, "<a@b.example>");
	need(tap_session_rcpt(s, "<d@e>") == TAP_ANSWER_CONTINUE);
	need(tap_session_data(s) == TAP_ANSWER_CONTINUE);
	at = headers(s, data, size);
	(void)tap_session_eoh(s);
	n = size - at;
	if (n > 0)
		(void)tap_session_body(s, data + at, n);
	a = tap_session_eom(s);
	after(a, data + at, n);
	tap_session_free(&s);
	return 0;
}
