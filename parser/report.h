/* SPDX-License-Identifier: Apache-2.0
 * parser/report.h - what a report is once it is read: the meta part of every kind, the records of an aggregate report, the end. The other kinds'
 * parts are in report_failure.h and report_tls.h. Plain C, no library types.
 * Ownership: every pointer belongs to the parser's arenas (or, after a process boundary, to the decoder's) and is valid only
 * during the event call that hands it over; a consumer copies what it keeps. Immutable once handed over [I6].
 * Strings are NUL-terminated valid UTF-8 without control characters other than TAB and LF, already capped (docs/formats.md);
 * NULL = absent in the report, "" = present and empty. Times are seconds since the epoch, UTC.
 * RFC 7489 appendix C, RFC 9990 section 3. Threads: plain data; one thread at a time. */
#ifndef TAP_PARSER_REPORT_H
#define TAP_PARSER_REPORT_H

#include "parser/report_failure.h"
#include "parser/report_mail.h"
#include "parser/report_source.h"
#include "parser/report_tls.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits, for sets of them. */
enum tap_kind {
	TAP_KIND_AGGREGATE = 1,
	TAP_KIND_FAILURE = 2, /* about the authentication of one message (ruf) */
	TAP_KIND_SMTP_TLS = 4,
	TAP_KIND_FEEDBACK =
	    8, /* ARF of another type (abuse, fraud, …): kept apart, never a failure report */
	TAP_KIND_ALL = 15,
};
enum tap_schema {
	TAP_SCHEMA_DRAFT,
	TAP_SCHEMA_RFC7489,
	TAP_SCHEMA_XML_0_2,
	TAP_SCHEMA_RFC9990,
	TAP_SCHEMA_N
};
/* "draft", "rfc7489", "dmarc-xml-0.2", "rfc9990" */
extern const char *const tap_schema_name[TAP_SCHEMA_N];

enum { TAP_UID_HEX = 41, TAP_HASH_BYTES = 32 };

struct tap_text {
	const char *text;
	const char *lang; /* NULL = not given, or "en" */
};
struct tap_warning {
	const char *where; /* "record[17]/row/source_ip" */
	const char *
	    what; /* short machine word, then ": " and the explanation: "truncated: the document ends inside record 3" */
};

/* Where in the input the report stood. */
struct tap_origin {
	const char *filename; /* name given by the MIME part or zip member, a hint; NULL = none */
	uint32_t part;	      /* 0-based index of the container (MIME leaf, or the file itself) */
	uint32_t document;    /* 0-based index of the document within that container            */
};

struct tap_meta {
	enum tap_kind kind;
	struct tap_origin origin;
	/* Hex of the first 20 bytes of a SHA-256 over values as sent (trimmed only) [I3]. Aggregate: type | lower(org_name) | report_id |
	 * lower(policy domain) | begin | end; SMTP TLS: the same with the sorted policy domains; failure and feedback: the feedback fields
	 * unfolded | the sample as received. */
	char uid[TAP_UID_HEX];
	enum tap_schema schema;
	const char *version, *xml_namespace; /* as sent */
	const char *org_name, *email, *report_id, *generator;
	struct tap_text extra_contact_info;
	/* The period. Failure and feedback: both are the arrival of the message it is about, else the Date of the report, else 0. */
	int64_t begin, end;
	const char *begin_raw, *end_raw; /* SMTP TLS: as sent, else NULL */
	const struct tap_text *errors;
	size_t n_errors;
	const char *const *receiving_domains;
	size_t n_receiving_domains;
	struct tap_trust trust;
	/* domain: aggregate the policy domain; SMTP TLS that of the first policy; failure the (first) reported domain.
	 * policy_published: lower-cased and trimmed, as sent otherwise; NULL = absent or empty (defaults are for printers) */
	const char *domain, *version_published, *discovery_method;
	const char *p, *sp, *np, *adkim, *aspf, *pct, *fo, *testing;
};

struct tap_reason {
	const char *type;
	struct tap_text comment;
};
struct tap_auth_result {
	const char *domain;
	const char *label;  /* dkim: selector, spf: scope */
	const char *result; /* normalised word; unknown words as sent in lower case */
	struct tap_text human_result;
};

struct tap_record {
	uint64_t index; /* 0-based position in the document, dropped records counted */
	const char
	    *source_ip; /* canonical (inet_ntop); NULL = none that can be used: the row is kept */
	const char *
	    source_ip_raw; /* as sent when it differs (also when no address came of it), else NULL */
	uint64_t count;	   /* 0 .. 2^63-1 */
	const char *disposition; /* none quarantine reject pass, or as sent; NULL = missing */
	bool dkim_aligned,
	    spf_aligned; /* policy_evaluated said pass; DMARC passes when either does */
	bool evaluated;	 /* policy_evaluated was there (else the two are derived, with a warning) */
	const struct tap_reason *reasons;
	size_t n_reasons;
	const char *header_from, *envelope_from,
	    *envelope_to; /* envelope_from "" = null reverse-path */
	const struct tap_auth_result *dkim, *spf;
	size_t n_dkim, n_spf;
	const char *extension; /* raw XML of foreign elements, capped; NULL = none */
	struct tap_source_info source;
};

struct tap_report_end {
	uint64_t records; /* handed over; SMTP TLS: policies; failure and feedback: 0 */
	uint64_t details; /* SMTP TLS: failure details handed over; else 0 */
	uint64_t dropped; /* unusable, each with a warning */
	/* Sum of the counts, saturating at 2^63-1; SMTP TLS: sessions; failure and feedback: incidents. */
	uint64_t messages;
	uint64_t
	    passed; /* of these, with DMARC pass; SMTP TLS: successful; failure and feedback: 0 */
	bool
	    truncated; /* the document was cut: only whole records before the cut were handed over */
	bool recovered; /* read in recovery mode */
	unsigned char content_hash
	    [TAP_HASH_BYTES]; /* SHA-256 of the decompressed document; failure and feedback: of what the uid is made of */
	uint64_t content_bytes;
	const char *extension;		    /* raw XML of feedback/extension, capped; NULL = none */
	const struct tap_warning *warnings; /* at most 100 */
	size_t n_warnings;
	uint64_t warnings_total;
};

#endif
