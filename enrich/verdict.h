/* SPDX-License-Identifier: Apache-2.0
 * enrich/verdict.h - what a source is to a domain: rows of reports about the two in, a verdict out, with what it rests on as plain
 * numbers. Pure: no clock, no state, no file; rows may be added one by one and in any order, and the same rows give the same verdict.
 * Ownership: the caller's structs; texts that are given back are static. Threads: safe. The rules are a table in docs/enrich.md. */
#ifndef TAP_ENRICH_VERDICT_H
#define TAP_ENRICH_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

/* What one row says, reduced to what matters here. count 0 adds nothing. */
struct tap_verdict_row {
	uint64_t count;
	bool dkim_aligned, spf_aligned; /* policy_evaluated: passed and aligned */
	bool dkim_passed, spf_passed;	/* auth_results: passed, for whatever domain */
	bool spf_own;  /* the domain that SPF was asked for is the domain or below it */
	bool dkim_own; /* a signature of the domain or one below it was there, valid or not */
	bool
	    own_passed; /* SPF or DKIM passed for the domain or one below it: not aligned then means that strict alignment is asked for */
	bool
	    forwarded; /* the receiver says so: reason forwarded, mailing_list or trusted_forwarder, or a chain of ARC that it believed */
};
/* What is known of the source beside its rows. */
struct tap_verdict_source {
	const char *type; /* of its service (services.h); NULL = unknown */
	bool own;	  /* its confirmed name is the domain or below it */
};

enum tap_verdict_kind {
	TAP_VERDICT_NOTHING,	 /* no mail */
	TAP_VERDICT_ALIGNED,	 /* authorised and aligned */
	TAP_VERDICT_NOT_ALIGNED, /* authorised but not aligned: something is to be set up */
	TAP_VERDICT_FORWARDER,	 /* forwarder or mailing list */
	TAP_VERDICT_UNKNOWN,	 /* unknown, probably spoofing */
};
/* What would make it better; several may be set. */
enum {
	TAP_VERDICT_SET_UP_DKIM = 1, /* let the source sign with the domain */
	TAP_VERDICT_SET_UP_SPF =
	    2, /* name the source in the SPF record of the domain, which it uses as its sender's */
	TAP_VERDICT_SET_UP_SENDER =
	    4, /* let the source use a sender's address (return path) of the domain: SPF passes for another one */
	TAP_VERDICT_REPAIR_DKIM =
	    8, /* it signs with the domain, and the signatures do not hold, or strict alignment refuses them */
};
/* Messages; each of the first five counts a message once, and together they are all. */
struct tap_verdict_evidence {
	uint64_t messages;
	uint64_t spf_aligned;	 /* SPF passed for the domain (DKIM or not) */
	uint64_t dkim_elsewhere; /* DKIM of the domain holds, SPF passed for another one */
	uint64_t dkim_alone; /* DKIM of the domain holds, SPF does not pass: a forwarder's sign */
	uint64_t others;     /* not aligned, but DKIM or SPF of another domain passed */
	uint64_t nothing;    /* nothing passed */
	uint64_t forwarded;  /* among all: the receiver says that it was forwarded */
	uint64_t spf_own_failed,
	    dkim_own_failed; /* among those not aligned: the domain's own SPF or DKIM was tried */
	uint64_t
	    own_passed; /* among those not aligned: it passed, for another name of the domain */
};
struct tap_verdict {
	enum tap_verdict_kind kind;
	unsigned set_up;
	struct tap_verdict_evidence evidence;
	const char *why; /* static: the rule that decided */
};

void tap_verdict_add(struct tap_verdict_evidence *e, const struct tap_verdict_row *row);
void tap_verdict_decide(const struct tap_verdict_evidence *e,
			const struct tap_verdict_source *source, struct tap_verdict *v_r);
/* "aligned", "not_aligned", "forwarder", "unknown", "nothing". */
const char *tap_source_verdict_name(enum tap_verdict_kind kind);
/* One sentence on one of the bits of set_up; NULL when it is none. */
const char *tap_verdict_advice(unsigned bit);

#endif
