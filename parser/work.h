/* SPDX-License-Identifier: Apache-2.0
 * parser/work.h - what one call of tap_parse carries through the layers. Inside of parser/ only. */
#ifndef TAP_PARSER_WORK_H
#define TAP_PARSER_WORK_H

#include "base/arena.h"
#include "base/buf.h"
#include "parser/events.h"
#include "parser/parser.h"
#include "parser/stream.h"

enum { TAP_WORK_NEST = 8 }; /* archive_depth is never more than this */
struct tap_inflate;
struct tap_mail_auth;

/* What the header of the mail says of its reports, for values that a report lacks; "" = nothing. Lower case. */
enum { TAP_DOMAIN_MAX = 253 };
struct tap_hints {
	char sender[TAP_DOMAIN_MAX + 1];    /* domain of From                               */
	char domain[TAP_DOMAIN_MAX + 1];    /* Subject: Report Domain: …                    */
	char submitter[TAP_DOMAIN_MAX + 1]; /* Subject: Submitter: …                        */
};

struct tap_work {
	const struct tap_parse_options *opt;
	const struct tap_parse_limits *lim;
	const struct tap_events *ev; /* may be NULL */
	void *ctx;
	struct tap_hints hints; /* of the message whose header came last */
	/* The header block of the outermost message, as it came; empty = the input is no mail. Inner messages never change it. */
	struct tap_buf top;
	/* The mail server may have seen another header than the one read here: none of its fields is believed. */
	bool doubtful;
	struct tap_arena *arena;	  /* made when needed: what auth lies in */
	const struct tap_mail_auth *auth; /* tap_work_auth */
	unsigned kinds, unauthenticated;  /* as in tap_parse_result */
	uint32_t own, foreign;		  /* reports about domains of ours, and of others */
	uint64_t total; /* decompressed so far, each byte once however often it is read */
	uint64_t
	    held; /* bytes of containers that are in memory at the moment, one inside of the other */
	uint32_t parts,
	    leaves; /* of the mail so far: parts of any kind, and those that hold content */
	uint32_t
	    depth; /* of the leaf part that is unpacked; 0 = the input itself, or a mail's only part */
	const char *
	    note; /* of the part that is unpacked, a warning for its reports; static, NULL = none */
	/* Failure and feedback reports that stood in the mail itself, and the part that their payload belongs to. */
	uint32_t feedback, feedback_part;
	struct tap_inflate
	    *inflate[TAP_WORK_NEST]; /* one a level of nesting, made when needed and used again */
};

static inline bool tap_work_cancelled(const struct tap_work *w)
{
	return w->opt->cancelled && w->opt->cancelled(w->opt->cancelled_ctx);
}

/* What the header of the mail says of its sender, read when first asked for; NULL = the input is no mail. */
const struct tap_mail_auth *tap_work_auth(struct tap_work *w);
/* Every reader calls this with the finished meta part right before `begin`: fills meta->trust and counts the report. */
void tap_work_judge(struct tap_work *w, struct tap_meta *meta);

/* Frees what the two keep. */
void tap_work_done(struct tap_work *w);

enum { TAP_WHY = 512 };
/* A reason of one line; cut on a character boundary when it is too long. */
void tap_why_set(char why[TAP_WHY], const char *fmt, ...) TAP_PRINTF(2, 3);

#endif
