/* SPDX-License-Identifier: Apache-2.0
 * intake/fates.h - the one table of fates: what becomes of a message, for each way that it can come in.
 * No other place in the tree spells a reply code, an exit status or a milter action. docs/fates.md prints this table and a test
 * compares the two cell by cell.
 * Threads: constant data. */
#ifndef TAP_INTAKE_FATES_H
#define TAP_INTAKE_FATES_H

#include <stdbool.h>

enum tap_fate {
	TAP_FATE_REPORT,       /* at least one report was read                              */
	TAP_FATE_NOT_A_REPORT, /* nothing in it claims to be a report                       */
	TAP_FATE_BROKEN, /* it claims to be one and none could be read, or it is over a limit inside */
	TAP_FATE_UNREADABLE, /* the parser process died or stalled on it                  */
	TAP_FATE_TOO_LARGE, /* the raw message is over reports.max_message; it was never held whole */
	TAP_FATE_NO_SPACE, /* the spool is full or the disk is                          */
	TAP_FATE_INNER,	   /* any other failure of ours                                 */
	/* These stand last: spool files hold the numbers. */
	TAP_FATE_FEEDBACK, /* only feedback reports that are not about authentication: abuse, … */
	TAP_FATE_REJECTED, /* unauthenticated, and configured to be refused for that */
	TAP_FATE_UNJUDGED, /* kept without a verdict, where none would change the answer */
	TAP_FATE_N
};
extern const char *const tap_fate_name
    [TAP_FATE_N]; /* "report" "not a report" "broken" "unreadable" "too large" "no space" "inner failure" "feedback" "rejected" "unjudged" */

/* How the message came in, and what is configured for that. */
enum tap_way {
	TAP_WAY_MILTER_CONSUME, /* reports.consume = yes, all recipients are report addresses */
	TAP_WAY_MILTER_MIXED,	/* the same, some are                                         */
	TAP_WAY_MILTER_COPY,	/* reports.consume = no, all are                              */
	TAP_WAY_MILTER_COPY_MIXED, /* the same, some are; also with consume when the mail server offers no DELRCPT */
	TAP_WAY_LMTP, /* reports.not_report = quarantine  */
	TAP_WAY_LMTP_FORWARD,
	TAP_WAY_LMTP_REJECT,
	TAP_WAY_PIPE, /* reports.not_report = quarantine  */
	TAP_WAY_PIPE_FORWARD,
	TAP_WAY_PIPE_REJECT,
	TAP_WAY_IMAP,
	TAP_WAY_N
};
extern const char *const tap_way_name[TAP_WAY_N]; /* as in the heads of docs/fates.md */

enum tap_milter_action {
	TAP_MILTER_NONE, /* not a milter's way                                                          */
	TAP_MILTER_DISCARD, /* the mail ends here: the spool has it                                         */
	TAP_MILTER_DELRCPT, /* our recipients are taken off, the others get their mail                      */
	TAP_MILTER_CONTINUE, /* the mail goes on as it is                                                    */
	TAP_MILTER_MARK, /* the mail goes on with our header, which says the verdict                     */
	TAP_MILTER_TEMPFAIL, /* the client keeps the mail and tries again                                    */
	TAP_MILTER_REJECT, /* the mail goes back to whoever sent it: refused for good */
};
enum tap_imap_action {
	TAP_IMAP_NONE, /* not IMAP's way                                               */
	TAP_IMAP_DONE, /* as configured for reports: move, delete or mark              */
	TAP_IMAP_INVALID, /* as configured for what is not a (readable) report: leave with a keyword, or move */
	TAP_IMAP_LEAVE, /* untouched; tried again later                                 */
};

struct tap_fate_row {
	bool spool;	 /* the raw message is made durable in the spool before the answer */
	bool quarantine; /* the worker files it in quarantine instead of the store         */
	bool forward;	 /* the door re-injects it to reports.not_report_address            */
	int smtp;	 /* reply code: 250, 4xx, 5xx; 0 = not spoken on this way           */
	const char *
	    dsn; /* enhanced status code; the pipe door prints it, with text, as its one line; NULL = none */
	const char *text;
	int exit_status; /* of dmarctap-pipe; -1 = not this way */
	enum tap_milter_action milter;
	enum tap_imap_action imap;
};
/* Never NULL. */
const struct tap_fate_row *tap_fate_row(enum tap_fate fate, enum tap_way way);
/* Does the mail (or a copy) also go on to a mailbox? */
bool tap_fate_passes_on(const struct tap_fate_row *row);
/* "-", "DISCARD", "DELRCPT", "CONTINUE", "CONTINUE + header", "TEMPFAIL", "REJECT"; "-", "done", "invalid", "leave". */
const char *tap_milter_action_name(enum tap_milter_action a);
const char *tap_imap_action_name(enum tap_imap_action a);

/* Replies that come before there is a message: at RCPT, at MAIL. */
enum tap_early {
	TAP_EARLY_SPOOL_FULL, /* at RCPT, for a report address only, while the spool is known to be full */
	TAP_EARLY_NO_SUCH, /* LMTP, RCPT: not a report address                                         */
	TAP_EARLY_TOO_MANY, /* LMTP, RCPT: more recipients than the limit                               */
	TAP_EARLY_TOO_LARGE, /* LMTP, MAIL: SIZE= is over reports.max_message                            */
	TAP_EARLY_SHUTDOWN, /* LMTP: the program is going down                                          */
	TAP_EARLY_N
};
struct tap_early_row {
	const char *when; /* as in docs/fates.md */
	int smtp;
	const char *dsn, *text;
};
extern const struct tap_early_row tap_early_rows[TAP_EARLY_N];

#endif
