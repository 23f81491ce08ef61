/* SPDX-License-Identifier: Apache-2.0
 * intake/fates.c - the table of fates. docs/fates.md says it in words; both change together.
 * Two rules run through it:
 *   nothing is answered with success, and no mail taken away, that is not in the spool, in a mailbox or with its sender [I1];
 *   a failure of ours is temporary for whoever sends, and never costs another recipient his mail. */
#include "intake/fates.h"

#include <stddef.h>

const char *const tap_fate_name[TAP_FATE_N] = {
    [TAP_FATE_REPORT] = "report",	[TAP_FATE_NOT_A_REPORT] = "not a report",
    [TAP_FATE_BROKEN] = "broken",	[TAP_FATE_UNREADABLE] = "unreadable",
    [TAP_FATE_TOO_LARGE] = "too large", [TAP_FATE_NO_SPACE] = "no space",
    [TAP_FATE_INNER] = "inner failure", [TAP_FATE_FEEDBACK] = "feedback",
    [TAP_FATE_REJECTED] = "rejected",	[TAP_FATE_UNJUDGED] = "unjudged",
};

const char *const tap_way_name[TAP_WAY_N] = {
    [TAP_WAY_MILTER_CONSUME] = "milter, consume",
    [TAP_WAY_MILTER_MIXED] = "milter, consume, mixed recipients",
    [TAP_WAY_MILTER_COPY] = "milter, copy",
    [TAP_WAY_MILTER_COPY_MIXED] = "milter, copy, mixed recipients",
    [TAP_WAY_LMTP] = "LMTP, not_report = quarantine",
    [TAP_WAY_LMTP_FORWARD] = "LMTP, not_report = forward",
    [TAP_WAY_LMTP_REJECT] = "LMTP, not_report = reject",
    [TAP_WAY_PIPE] = "pipe, not_report = quarantine",
    [TAP_WAY_PIPE_FORWARD] = "pipe, not_report = forward",
    [TAP_WAY_PIPE_REJECT] = "pipe, not_report = reject",
    [TAP_WAY_IMAP] = "IMAP",
};

#define STORED	"report stored"
#define KEPT	"kept, not a report"
#define BROKEN	"kept, not a readable report"
#define PASSED	"forwarded, not a report"
#define REFUSED "not a report"
#define LARGE	"message is too large"
#define FULL	"no space for reports, try again later"
#define FAILED	"local trouble, try again later"
#define TAKEN	"kept, to be judged"
#define ASIDE	"stored, a feedback report"
#define UNAUTH                                                                                     \
	"report not authenticated: sign the mail with DKIM, aligned with its From domain, and "    \
	"send it again"

/* clang-format off */
#define M(sp, qu, act)                 {sp, qu, false, 0, NULL, NULL, -1, TAP_MILTER_##act, TAP_IMAP_NONE}
#define M_TEMP(code, dsn, text)        {false, false, false, code, dsn, text, -1, TAP_MILTER_TEMPFAIL, TAP_IMAP_NONE}
#define M_REJECT(code, dsn, text)      {false, false, false, code, dsn, text, -1, TAP_MILTER_REJECT, TAP_IMAP_NONE}
#define L(sp, qu, fw, code, dsn, text) {sp, qu, fw, code, dsn, text, -1, TAP_MILTER_NONE, TAP_IMAP_NONE}
#define P(sp, qu, fw, ex, dsn, text)   {sp, qu, fw, 0, dsn, text, ex, TAP_MILTER_NONE, TAP_IMAP_NONE}
#define I(sp, qu, act)                 {sp, qu, false, 0, NULL, NULL, -1, TAP_MILTER_NONE, TAP_IMAP_##act}

/* Exit statuses are those of sysexits.h that mail servers read as meant: 0 taken, 65 returned to the sender, 75 tried again. Any
 * other one makes Postfix bounce. */
enum { EXIT_TAKEN = 0, EXIT_REFUSED = 65, EXIT_AGAIN = 75 };

static const struct tap_fate_row rows[TAP_WAY_N][TAP_FATE_N] = {
    [TAP_WAY_MILTER_CONSUME] = {
	[TAP_FATE_REPORT]       = M(true, false, DISCARD),
	[TAP_FATE_NOT_A_REPORT] = M(false, false, CONTINUE),
	[TAP_FATE_BROKEN]       = M(true, true, MARK),
	[TAP_FATE_UNREADABLE]   = M(true, true, MARK),
	[TAP_FATE_TOO_LARGE]    = M(false, false, MARK),
	[TAP_FATE_NO_SPACE]     = M_TEMP(452, "4.3.1", FULL),
	[TAP_FATE_INNER]        = M_TEMP(451, "4.3.0", FAILED),
	[TAP_FATE_FEEDBACK]     = M(true, false, MARK),
	[TAP_FATE_REJECTED]     = M_REJECT(550, "5.7.1", UNAUTH),
	[TAP_FATE_UNJUDGED]     = M(true, false, MARK),
    },
    [TAP_WAY_MILTER_MIXED] = {
	[TAP_FATE_REPORT]       = M(true, false, DELRCPT),
	[TAP_FATE_NOT_A_REPORT] = M(false, false, CONTINUE),
	[TAP_FATE_BROKEN]       = M(true, true, MARK),
	[TAP_FATE_UNREADABLE]   = M(true, true, MARK),
	[TAP_FATE_TOO_LARGE]    = M(false, false, MARK),
	[TAP_FATE_NO_SPACE]     = M(false, false, CONTINUE),
	[TAP_FATE_INNER]        = M(false, false, CONTINUE),
	[TAP_FATE_FEEDBACK]     = M(true, false, MARK),
	[TAP_FATE_REJECTED]     = M(false, false, MARK),
	[TAP_FATE_UNJUDGED]     = M(true, false, MARK),
    },
    [TAP_WAY_MILTER_COPY] = {
	[TAP_FATE_REPORT]       = M(true, false, MARK),
	[TAP_FATE_NOT_A_REPORT] = M(false, false, CONTINUE),
	[TAP_FATE_BROKEN]       = M(true, true, MARK),
	[TAP_FATE_UNREADABLE]   = M(true, true, MARK),
	[TAP_FATE_TOO_LARGE]    = M(false, false, MARK),
	[TAP_FATE_NO_SPACE]     = M_TEMP(452, "4.3.1", FULL),
	[TAP_FATE_INNER]        = M_TEMP(451, "4.3.0", FAILED),
	[TAP_FATE_FEEDBACK]     = M(true, false, MARK),
	[TAP_FATE_REJECTED]     = M_REJECT(550, "5.7.1", UNAUTH),
	[TAP_FATE_UNJUDGED]     = M(true, false, MARK),
    },
    [TAP_WAY_MILTER_COPY_MIXED] = {
	[TAP_FATE_REPORT]       = M(true, false, MARK),
	[TAP_FATE_NOT_A_REPORT] = M(false, false, CONTINUE),
	[TAP_FATE_BROKEN]       = M(true, true, MARK),
	[TAP_FATE_UNREADABLE]   = M(true, true, MARK),
	[TAP_FATE_TOO_LARGE]    = M(false, false, MARK),
	[TAP_FATE_NO_SPACE]     = M(false, false, CONTINUE),
	[TAP_FATE_INNER]        = M(false, false, CONTINUE),
	[TAP_FATE_FEEDBACK]     = M(true, false, MARK),
	[TAP_FATE_REJECTED]     = M(false, false, MARK),
	[TAP_FATE_UNJUDGED]     = M(true, false, MARK),
    },
    [TAP_WAY_LMTP] = {
	[TAP_FATE_REPORT]       = L(true, false, false, 250, "2.0.0", STORED),
	[TAP_FATE_NOT_A_REPORT] = L(true, true, false, 250, "2.6.0", KEPT),
	[TAP_FATE_BROKEN]       = L(true, true, false, 250, "2.6.0", BROKEN),
	[TAP_FATE_UNREADABLE]   = L(true, true, false, 250, "2.6.0", BROKEN),
	[TAP_FATE_TOO_LARGE]    = L(false, false, false, 552, "5.3.4", LARGE),
	[TAP_FATE_NO_SPACE]     = L(false, false, false, 452, "4.3.1", FULL),
	[TAP_FATE_INNER]        = L(false, false, false, 451, "4.3.0", FAILED),
	[TAP_FATE_FEEDBACK]     = L(true, false, false, 250, "2.0.0", ASIDE),
	[TAP_FATE_REJECTED]     = L(false, false, false, 550, "5.7.1", UNAUTH),
	[TAP_FATE_UNJUDGED]     = L(true, false, false, 250, "2.0.0", TAKEN),
    },
    [TAP_WAY_LMTP_FORWARD] = {
	[TAP_FATE_REPORT]       = L(true, false, false, 250, "2.0.0", STORED),
	[TAP_FATE_NOT_A_REPORT] = L(false, false, true, 250, "2.0.0", PASSED),
	[TAP_FATE_BROKEN]       = L(true, true, true, 250, "2.6.0", BROKEN),
	[TAP_FATE_UNREADABLE]   = L(true, true, true, 250, "2.6.0", BROKEN),
	[TAP_FATE_TOO_LARGE]    = L(false, false, false, 552, "5.3.4", LARGE),
	[TAP_FATE_NO_SPACE]     = L(false, false, false, 452, "4.3.1", FULL),
	[TAP_FATE_INNER]        = L(false, false, false, 451, "4.3.0", FAILED),
	[TAP_FATE_FEEDBACK]     = L(true, false, true, 250, "2.0.0", ASIDE),
	[TAP_FATE_REJECTED]     = L(false, false, false, 550, "5.7.1", UNAUTH),
	[TAP_FATE_UNJUDGED]     = L(false, false, false, 451, "4.3.0", FAILED),
    },
    [TAP_WAY_LMTP_REJECT] = {
	[TAP_FATE_REPORT]       = L(true, false, false, 250, "2.0.0", STORED),
	[TAP_FATE_NOT_A_REPORT] = L(false, false, false, 550, "5.6.0", REFUSED),
	[TAP_FATE_BROKEN]       = L(true, true, false, 250, "2.6.0", BROKEN),
	[TAP_FATE_UNREADABLE]   = L(true, true, false, 250, "2.6.0", BROKEN),
	[TAP_FATE_TOO_LARGE]    = L(false, false, false, 552, "5.3.4", LARGE),
	[TAP_FATE_NO_SPACE]     = L(false, false, false, 452, "4.3.1", FULL),
	[TAP_FATE_INNER]        = L(false, false, false, 451, "4.3.0", FAILED),
	[TAP_FATE_FEEDBACK]     = L(true, false, false, 250, "2.0.0", ASIDE),
	[TAP_FATE_REJECTED]     = L(false, false, false, 550, "5.7.1", UNAUTH),
	[TAP_FATE_UNJUDGED]     = L(false, false, false, 451, "4.3.0", FAILED),
    },
    [TAP_WAY_PIPE] = {
	[TAP_FATE_REPORT]       = P(true, false, false, EXIT_TAKEN, "2.0.0", STORED),
	[TAP_FATE_NOT_A_REPORT] = P(true, true, false, EXIT_TAKEN, "2.6.0", KEPT),
	[TAP_FATE_BROKEN]       = P(true, true, false, EXIT_TAKEN, "2.6.0", BROKEN),
	[TAP_FATE_UNREADABLE]   = P(true, true, false, EXIT_TAKEN, "2.6.0", BROKEN),
	[TAP_FATE_TOO_LARGE]    = P(false, false, false, EXIT_REFUSED, "5.3.4", LARGE),
	[TAP_FATE_NO_SPACE]     = P(false, false, false, EXIT_AGAIN, "4.3.1", FULL),
	[TAP_FATE_INNER]        = P(false, false, false, EXIT_AGAIN, "4.3.0", FAILED),
	[TAP_FATE_FEEDBACK]     = P(true, false, false, EXIT_TAKEN, "2.0.0", ASIDE),
	[TAP_FATE_REJECTED]     = P(false, false, false, EXIT_REFUSED, "5.7.1", UNAUTH),
	[TAP_FATE_UNJUDGED]     = P(true, false, false, EXIT_TAKEN, "2.0.0", TAKEN),
    },
    [TAP_WAY_PIPE_FORWARD] = {
	[TAP_FATE_REPORT]       = P(true, false, false, EXIT_TAKEN, "2.0.0", STORED),
	[TAP_FATE_NOT_A_REPORT] = P(false, false, true, EXIT_TAKEN, "2.0.0", PASSED),
	[TAP_FATE_BROKEN]       = P(true, true, true, EXIT_TAKEN, "2.6.0", BROKEN),
	[TAP_FATE_UNREADABLE]   = P(true, true, true, EXIT_TAKEN, "2.6.0", BROKEN),
	[TAP_FATE_TOO_LARGE]    = P(false, false, false, EXIT_REFUSED, "5.3.4", LARGE),
	[TAP_FATE_NO_SPACE]     = P(false, false, false, EXIT_AGAIN, "4.3.1", FULL),
	[TAP_FATE_INNER]        = P(false, false, false, EXIT_AGAIN, "4.3.0", FAILED),
	[TAP_FATE_FEEDBACK]     = P(true, false, true, EXIT_TAKEN, "2.0.0", ASIDE),
	[TAP_FATE_REJECTED]     = P(false, false, false, EXIT_REFUSED, "5.7.1", UNAUTH),
	[TAP_FATE_UNJUDGED]     = P(false, false, false, EXIT_AGAIN, "4.3.0", FAILED),
    },
    [TAP_WAY_PIPE_REJECT] = {
	[TAP_FATE_REPORT]       = P(true, false, false, EXIT_TAKEN, "2.0.0", STORED),
	[TAP_FATE_NOT_A_REPORT] = P(false, false, false, EXIT_REFUSED, "5.6.0", REFUSED),
	[TAP_FATE_BROKEN]       = P(true, true, false, EXIT_TAKEN, "2.6.0", BROKEN),
	[TAP_FATE_UNREADABLE]   = P(true, true, false, EXIT_TAKEN, "2.6.0", BROKEN),
	[TAP_FATE_TOO_LARGE]    = P(false, false, false, EXIT_REFUSED, "5.3.4", LARGE),
	[TAP_FATE_NO_SPACE]     = P(false, false, false, EXIT_AGAIN, "4.3.1", FULL),
	[TAP_FATE_INNER]        = P(false, false, false, EXIT_AGAIN, "4.3.0", FAILED),
	[TAP_FATE_FEEDBACK]     = P(true, false, false, EXIT_TAKEN, "2.0.0", ASIDE),
	[TAP_FATE_REJECTED]     = P(false, false, false, EXIT_REFUSED, "5.7.1", UNAUTH),
	[TAP_FATE_UNJUDGED]     = P(false, false, false, EXIT_AGAIN, "4.3.0", FAILED),
    },
    [TAP_WAY_IMAP] = {
	[TAP_FATE_REPORT]       = I(true, false, DONE),
	[TAP_FATE_NOT_A_REPORT] = I(false, false, INVALID),
	[TAP_FATE_BROKEN]       = I(true, true, INVALID),
	[TAP_FATE_UNREADABLE]   = I(true, true, INVALID),
	[TAP_FATE_TOO_LARGE]    = I(false, false, INVALID),
	[TAP_FATE_NO_SPACE]     = I(false, false, LEAVE),
	[TAP_FATE_INNER]        = I(false, false, LEAVE),
	[TAP_FATE_FEEDBACK]     = I(true, false, INVALID),
	[TAP_FATE_REJECTED]     = I(false, false, INVALID),
	[TAP_FATE_UNJUDGED]     = I(true, false, INVALID),
    },
};

const struct tap_early_row tap_early_rows[TAP_EARLY_N] = {
    [TAP_EARLY_SPOOL_FULL] = {"milter and LMTP, RCPT of a report address while the spool is full", 452, "4.3.1", FULL},
    [TAP_EARLY_NO_SUCH]    = {"LMTP, RCPT of another address", 550, "5.1.1", "not a report address"},
    [TAP_EARLY_TOO_MANY]   = {"milter and LMTP, RCPT over the number of recipients", 452, "4.5.3", "too many recipients"},
    [TAP_EARLY_TOO_LARGE]  = {"LMTP, MAIL with SIZE over reports.max_message", 552, "5.3.4", LARGE},
    [TAP_EARLY_SHUTDOWN]   = {"LMTP, while the program ends", 421, "4.3.2", "closing, try again later"},
};
/* clang-format on */

const struct tap_fate_row *tap_fate_row(enum tap_fate fate, enum tap_way way)
{
	/* Values that are none of ours are a failure of ours. */
	if ((unsigned)fate >= TAP_FATE_N)
		fate = TAP_FATE_INNER;
	if ((unsigned)way >= TAP_WAY_N)
		way = TAP_WAY_MILTER_COPY_MIXED;
	return &rows[way][fate];
}

bool tap_fate_passes_on(const struct tap_fate_row *row)
{
	return row->forward || row->milter == TAP_MILTER_CONTINUE || row->milter == TAP_MILTER_MARK;
}

const char *tap_milter_action_name(enum tap_milter_action a)
{
	static const char *const name[] = {
	    [TAP_MILTER_NONE] = "-",
	    [TAP_MILTER_DISCARD] = "DISCARD",
	    [TAP_MILTER_DELRCPT] = "DELRCPT",
	    [TAP_MILTER_CONTINUE] = "CONTINUE",
	    [TAP_MILTER_MARK] = "CONTINUE + header",
	    [TAP_MILTER_TEMPFAIL] = "TEMPFAIL",
	    [TAP_MILTER_REJECT] = "REJECT",
	};
	return name[a];
}

const char *tap_imap_action_name(enum tap_imap_action a)
{
	static const char *const name[] = {
	    [TAP_IMAP_NONE] = "-",
	    [TAP_IMAP_DONE] = "done",
	    [TAP_IMAP_INVALID] = "invalid",
	    [TAP_IMAP_LEAVE] = "leave",
	};
	return name[a];
}
