/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: a milter connection. The first bytes choose what was negotiated and what is configured; then each byte is an event with an
 * argument up to the next line feed. The mail server, the parser and the spool around the session are scripted: the functions of
 * intake/spool.h are taken over by the linker (fuzz_door and fuzz_spool_file have the real ones), hold the message in memory and fail
 * now and then as a disk does.
 * Held to: no answer takes mail away that is not in the spool, others are never refused, and the spool gets each byte that it is
 * given, in an envelope that can be written. */
#include "base/buf.h"
#include "base/log.h"
#include "intake/intake.h"
#include "intake/spool.h"
#include "milter/session.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t chance; /* a byte of the input that decides what the world says */
static size_t others;  /* recipients of the message that are not ours */

static void need(int ok)
{
	if (!ok)
		abort();
}

static enum tap_rc say(void *ctx, const struct tap_pool_job *job, struct tap_parse_result *res,
		       struct tap_err *err)
{
	(void)ctx;
	(void)job;
	memset(res, 0, sizeof(*res));
	res->verdict = (enum tap_verdict)(chance % TAP_V_N);
	res->kinds = chance % (TAP_KIND_ALL + 1);
	res->unauthenticated = res->kinds & chance >> 4;
	snprintf(res->why, sizeof(res->why), "why \x01\xff %%s");
	return chance & 0x40 ? tap_err_set(err, TAP_E_TEMP, "no process") : TAP_OK;
}

static const char *macro(void *ctx, const char *name)
{
	(void)ctx;
	return chance & 0x80 ? name : NULL;
}

static bool set_reply(void *ctx, int code, const char *dsn, const char *text)
{
	(void)ctx;
	need(code >= 400 && code < 600 && dsn && text);
	return chance & 1;
}

static bool add_header(void *ctx, const char *name, const char *value)
{
	(void)ctx;
	(void)name;
	for (; *value; value++)
		need(*value >= ' ' && *value <= '~');
	return chance & 2;
}

static bool drop_header(void *ctx, const char *name, int index)
{
	(void)ctx;
	(void)name;
	need(index > 0);
	return chance & 4;
}

static bool drop_recipient(void *ctx, const char *path)
{
	(void)ctx;
	need(path != NULL);
	return chance & 8;
}

static const struct tap_session_mta ops = {macro, set_reply, add_header, drop_header,
					   drop_recipient};

static char *list[] = {(char[]){"d@e"}, (char[]){"@r.e"}};
static struct tap_reports_settings reports = {.addresses = {list, 2}, .max_message = 100000};
static struct tap_spool_settings spool = {(char[]){"/nowhere"}, INT64_C(1) << 40, 1 << 30, 0};
static const struct tap_trust_settings trust = {.unauth_aggregate = TAP_UNAUTH_REJECT};
static struct tap_intake *intake;

/* ---- the spool ---- */

struct tap_spool_writer {
	struct tap_buf message;
};
static struct tap_spool_writer writer; /* one connection, one message at a time */
static bool writing;
static size_t kept; /* messages committed since the last look */

enum tap_rc __wrap_tap_spool_open(const struct tap_spool_settings *set, enum tap_door door,
				  struct tap_spool **s_r, struct tap_err *err);
enum tap_rc __wrap_tap_spool_room(struct tap_spool *s, struct tap_err *err);
enum tap_rc __wrap_tap_spool_writer_open(struct tap_spool *s, struct tap_spool_writer **w_r,
					 struct tap_err *err);
enum tap_rc __wrap_tap_spool_writer_append(struct tap_spool_writer *w, const void *p, size_t n,
					   struct tap_err *err);
enum tap_rc __wrap_tap_spool_writer_message(struct tap_spool_writer *w, int *fd_r, uint64_t *off_r,
					    uint64_t *len_r, struct tap_err *err);
enum tap_rc __wrap_tap_spool_writer_commit(struct tap_spool_writer **w,
					   const struct tap_envelope *env,
					   char id_r[TAP_SPOOL_ID + 1], struct tap_err *err);
void __wrap_tap_spool_writer_abort(struct tap_spool_writer **w);

/* The disk fails when all of these bits are set. */
static enum tap_rc disk(uint8_t bits, struct tap_err *err)
{
	if ((chance & bits) != bits)
		return TAP_OK;
	return tap_err_sys(err, TAP_E_TEMP, chance & 1 ? ENOSPC : EIO, "spool");
}

enum tap_rc __wrap_tap_spool_open(const struct tap_spool_settings *set, enum tap_door door,
				  struct tap_spool **s_r, struct tap_err *err)
{
	(void)err;
	need(set == &spool && door == TAP_DOOR_MILTER);
	*s_r = NULL;
	return TAP_OK;
}

enum tap_rc __wrap_tap_spool_room(struct tap_spool *s, struct tap_err *err)
{
	need(s == NULL);
	return disk(0x38, err);
}

enum tap_rc __wrap_tap_spool_writer_open(struct tap_spool *s, struct tap_spool_writer **w_r,
					 struct tap_err *err)
{
	need(s == NULL && !writing);
	*w_r = NULL;
	if (disk(0x1c, err) != TAP_OK)
		return err->rc;
	tap_buf_init(&writer.message, 1 << 20);
	writing = true;
	*w_r = &writer;
	return TAP_OK;
}

enum tap_rc __wrap_tap_spool_writer_append(struct tap_spool_writer *w, const void *p, size_t n,
					   struct tap_err *err)
{
	need(w == &writer && writing);
	tap_buf_add(&w->message, p, n);
	need(!w->message.failed);
	return disk(0x5c, err);
}

enum tap_rc __wrap_tap_spool_writer_message(struct tap_spool_writer *w, int *fd_r, uint64_t *off_r,
					    uint64_t *len_r, struct tap_err *err)
{
	need(w == &writer && writing);
	*fd_r = -1;
	*off_r = TAP_SPOOL_HEADER;
	*len_r = w->message.len;
	return disk(0x4e, err);
}

enum tap_rc __wrap_tap_spool_writer_commit(struct tap_spool_writer **w,
					   const struct tap_envelope *env,
					   char id_r[TAP_SPOOL_ID + 1], struct tap_err *err)
{
	static const unsigned char hash[TAP_SHA256_BYTES];
	struct tap_buf out;
	enum tap_rc rc = disk(0x2c, err);

	need(*w == &writer && writing && env->door == TAP_DOOR_MILTER);
	tap_buf_init(&out, TAP_SPOOL_ENVELOPE);
	if (rc == TAP_OK)
		rc = tap_spool_envelope_encode(env, hash, &out, err);
	tap_buf_free(&out);
	__wrap_tap_spool_writer_abort(w);
	if (rc != TAP_OK)
		return rc;
	if (id_r)
		memcpy(id_r, "0123456789abcdef0123456789abcdef", TAP_SPOOL_ID + 1);
	kept++;
	return TAP_OK;
}

void __wrap_tap_spool_writer_abort(struct tap_spool_writer **w)
{
	if (*w == NULL)
		return;
	need(*w == &writer && writing);
	tap_buf_free(&writer.message);
	writing = false;
	*w = NULL;
}

static void start(void)
{
	struct tap_intake_config cfg = {.reports = &reports,
					.spool = &spool,
					.trust = &trust,
					.door = TAP_DOOR_MILTER,
					.verdict = say};
	struct tap_err err;

	reports.extension_delimiter = (char[]){"+"};
	tap_log_init("fuzz", TAP_LOG_ERROR);
	need(tap_intake_open(&cfg, &intake, &err) == TAP_OK);
}

/* How many messages the spool got; they are taken away. */
static size_t take_all(void)
{
	size_t n = kept;

	kept = 0;
	return n;
}

static void after_rcpt(enum tap_answer a, const char *arg)
{
	bool ours = tap_intake_wants(intake, arg) != TAP_ADDRESS_OTHER;

	need(a == TAP_ANSWER_CONTINUE || (ours && a == TAP_ANSWER_TEMPFAIL));
	others += !ours;
}

static void after_eom(enum tap_answer a)
{
	size_t n = take_all();

	need(n <= 1);
	need(a != TAP_ANSWER_DISCARD || (n == 1 && others == 0));
	need(a != TAP_ANSWER_TEMPFAIL || (n == 0 && others == 0));
	need(a != TAP_ANSWER_REJECT || (n == 0 && others == 0));
	others = 0;
}

enum { CONNECT, MAIL, RCPT, DATA, HEADER, EOH, BODY, EOM, ABORT, EVENTS };

static void one_event(struct tap_session *s, uint8_t byte, const char *arg, size_t n)
{
	const char *colon = strchr(arg, ':');
	enum tap_answer a = TAP_ANSWER_CONTINUE;
	int what = byte % EVENTS;

	if (what == MAIL || what == ABORT)
		others = 0;
	switch (what) {
	case CONNECT: a = tap_session_connect(s, arg, arg, byte & 0x40); break;
	case MAIL: a = tap_session_mail(s, arg); break;
	case RCPT: after_rcpt(a = tap_session_rcpt(s, arg), arg); break;
	case DATA: a = tap_session_data(s); break;
	case HEADER:
		a = colon ? tap_session_header(s, "X-Dmarctap", colon)
			  : tap_session_header(s, arg, arg);
		break;
	case EOH: a = tap_session_eoh(s); break;
	case BODY: a = tap_session_body(s, arg, n); break;
	case EOM: after_eom(a = tap_session_eom(s)); break;
	default: tap_session_abort(s); break;
	}
	need((unsigned)a < TAP_ANSWER_N);
	need(a != TAP_ANSWER_DISCARD || what == EOM);
	need(a != TAP_ANSWER_TEMPFAIL || what == EOM || what == RCPT);
	need(a != TAP_ANSWER_REJECT || what == EOM);
	need(what != EOM || !tap_session_busy(s));
	if (a == TAP_ANSWER_ACCEPT)
		others = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned long can, step;
	struct tap_session *s;
	char arg[512];

	if (size < 4)
		return 0;
	if (!intake)
		start();
	chance = data[0];
	reports.consume = data[1] & 1;
	tap_session_negotiate(data[1],
			      (unsigned long)data[2] << 16 | (unsigned long)data[3] << 8 | 0xff,
			      &can, &step);
	s = tap_session_new(intake, &ops, NULL, can, step);
	need(s != NULL);
	for (size_t at = 4; at < size;) {
		uint8_t what = data[at++];
		size_t n = 0;

		while (at < size && data[at] != '\n' && n < sizeof(arg) - 1)
			arg[n++] = (char)data[at++];
		arg[n] = '\0';
		at += at < size && data[at] == '\n';
		chance = (uint8_t)(chance * 5 + what);
		one_event(s, what, arg, n);
	}
	tap_session_free(&s);
	need(!writing && kept == 0);
	others = 0;
	return 0;
}
