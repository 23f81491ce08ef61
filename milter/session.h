/* SPDX-License-Identifier: Apache-2.0
 * milter/session.h - the milter's logic without libmilter: events of one connection in, answers out. No socket and no thread in
 * it, so that unit tests and the fuzzer drive the same code as the mail server does.
 * Two lives: the session is a connection, the message within it begins at MAIL and ends with an answer, an abort or the connection.
 * One cleanup serves them all and may run twice.
 * For mail that is not for a report address [I9] nothing is asked for beyond MAIL, RCPT and DATA: the answer at DATA is ACCEPT.
 * Limits [I7]: TAP_SPOOL_RECIPIENTS report addresses a message, texts of TAP_SPOOL_TEXT bytes, the message by intake.
 * Threads: a session belongs to one connection, whose events come one after the other (from changing threads).
 * Protocol: version 6 of the milter protocol; bit values are those on the wire (callbacks.c compares them with libmilter's). */
#ifndef TAP_MILTER_SESSION_H
#define TAP_MILTER_SESSION_H

#include "intake/intake.h"
#include <stdbool.h>
#include <stddef.h>

enum tap_milter_can { /* what a filter may do to a message (SMFIF_*) */
		      TAP_CAN_ADDHDRS = 0x01,
		      TAP_CAN_DELRCPT = 0x08,
		      TAP_CAN_CHGHDRS = 0x10,
		      TAP_CAN_SETSYMLIST = 0x100, /* may say which macros it wants to be sent */
};
enum tap_milter_step { /* what a filter asks of the mail server (SMFIP_*) */
		       TAP_STEP_NOHELO = 0x2,
		       TAP_STEP_NR_HDR = 0x80,
		       TAP_STEP_NOUNKNOWN = 0x100,
		       TAP_STEP_NODATA =
			   0x200, /* offered: the server knows the DATA step; never asked for */
		       TAP_STEP_SKIP = 0x400,
		       TAP_STEP_NR_CONN = 0x1000,
		       TAP_STEP_NR_MAIL = 0x4000,
		       TAP_STEP_NR_EOH = 0x40000,
		       TAP_STEP_HDR_LEADSPC = 0x100000,
};
/* Of what is offered, what we want: only bits that are offered, and no NR_HDR and NR_EOH without a DATA step (the answer must then be
 * given at the first header). */
void tap_session_negotiate(unsigned long offered_can, unsigned long offered_step,
			   unsigned long *can_r, unsigned long *step_r);

enum tap_answer {
	TAP_ANSWER_CONTINUE,
	TAP_ANSWER_NOREPLY, /* the same where the server waits for none */
	TAP_ANSWER_ACCEPT,  /* the message goes on and no more is sent of it */
	TAP_ANSWER_SKIP,    /* no more of the body */
	TAP_ANSWER_DISCARD,
	TAP_ANSWER_TEMPFAIL,
	TAP_ANSWER_REJECT,
	TAP_ANSWER_N
};

/* What the session asks of the mail server. False: it could not be sent. */
struct tap_session_mta {
	const char *(*macro)(void *ctx, const char *name); /* NULL = not known, which is normal */
	bool (*set_reply)(void *ctx, int code, const char *dsn, const char *text);
	bool (*add_header)(void *ctx, const char *name, const char *value);
	bool (*drop_header)(void *ctx, const char *name,
			    int index);			     /* the index-th of that name, from 1 */
	bool (*drop_recipient)(void *ctx, const char *path); /* exactly as RCPT gave it */
};

struct tap_session;
/* can, step: what was negotiated. in and mta are borrowed. NULL: no memory. */
struct tap_session *tap_session_new(struct tap_intake *in, const struct tap_session_mta *mta,
				    void *mta_ctx, unsigned long can, unsigned long step);
void tap_session_free(struct tap_session **s); /* NULL-safe, sets NULL */

/* local: the message does not come over SMTP (sendmail(1), Postfix's non_smtpd_milters); then RCPT is never refused, as nobody
 * could answer for it. */
enum tap_answer tap_session_connect(struct tap_session *s, const char *name, const char *address,
				    bool local);
enum tap_answer tap_session_mail(struct tap_session *s, const char *path);
enum tap_answer tap_session_rcpt(struct tap_session *s, const char *path);
enum tap_answer tap_session_data(struct tap_session *s);
enum tap_answer tap_session_header(struct tap_session *s, const char *name, const char *value);
enum tap_answer tap_session_eoh(struct tap_session *s);
enum tap_answer tap_session_body(struct tap_session *s, const void *p, size_t n);
enum tap_answer tap_session_eom(struct tap_session *s);
void tap_session_abort(struct tap_session *s);
/* True while a message for us is in the works (what a stop waits for). */
bool tap_session_busy(const struct tap_session *s);

/* Text for SMTP replies: one line, printable ASCII, "%" doubled (libmilter formats it), cut to what fits 980 bytes and out. */
void tap_session_reply_text(const char *text, char *out, size_t n);

#endif
