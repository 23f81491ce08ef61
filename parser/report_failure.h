/* SPDX-License-Identifier: Apache-2.0
 * parser/report_failure.h - one failure report (ARF), or another feedback report (abuse, fraud, …), once it is read.
 * Ownership and strings as parser/report.h says. Threads: as there. Raw bytes (sample, payloads) are as sent and may hold anything.
 * Limits [I7]: tap_parse_limits.sample_bytes, .attachment_bytes, .body_bytes, .list; docs/formats.md.
 * RFC 5965, 6591, 6692, 7489 section 7.3, 9991. */
#ifndef TAP_PARSER_REPORT_FAILURE_H
#define TAP_PARSER_REPORT_FAILURE_H

#include "parser/report_source.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAP_NO_TIME INT64_MIN /* a time that is absent or could not be read */

struct tap_list_of {
	const char *const *item;
	size_t n;
};
struct tap_pair {
	const char *name, *value;
};
struct tap_mailbox {
	const char *display_name; /* decoded; "" = none */
	const char
	    *address; /* as sent, trimmed; never taken out of a display name (CVE-2023-27043) */
	const char *local, *domain; /* parts of address; domain in lower case, NULL = none */
};
struct tap_mailboxes {
	const struct tap_mailbox *item;
	size_t n;
};
/* One Received field, oldest first as hop 1. */
struct tap_hop {
	const char *from, *by, *with, *id, *for_, *via; /* NULL = not said */
	const char *date;				/* as sent */
	int64_t time;					/* TAP_NO_TIME = none that can be read */
	int64_t delay; /* seconds since the hop before; 0 for the first or when unknown */
	uint32_t hop;
};
struct tap_attachment {
	const char *filename, *content_type, *content_id, *disposition, *charset, *encoding;
	uint64_t size;	 /* bytes, decoded */
	char sha256[65]; /* hex, of the decoded bytes */
	/* The decoded bytes; NULL = stripped by option, or over the limit (a warning says so). */
	const void *payload;
	size_t payload_len;
	bool
	    text; /* payload is clean UTF-8 text, and is printed as such; else it is printed in base64 */
	bool damaged; /* its transfer encoding did not decode to the end */
};
struct tap_sample {
	struct tap_mailboxes from, to, cc, bcc, reply_to, delivered_to;
	struct tap_list_of to_domains;
	const char *subject; /* decoded, unfolded; NULL = none */
	const char *message_id;
	const char *date; /* as sent */
	int64_t time;	  /* TAP_NO_TIME = none */
	bool has_zone;
	int32_t zone;	  /* minutes east of UTC, as sent */
	const char *body; /* decoded text: plain parts, then HTML parts; capped, with a warning */
	bool has_defects;
	const struct tap_hop *received;
	size_t n_received;
	const struct tap_pair
	    *headers; /* every field in order, names as sent, values decoded and unfolded */
	size_t n_headers;
	const struct tap_attachment *attachments;
	size_t n_attachments;
	struct tap_list_of authentication_results; /* of the sample: never trusted */
	struct tap_list_of dkim_signatures; /* "d=example.com s=k1 i=@example.com a=rsa-sha256" */
};
struct tap_spf_dns {
	const char *type, *domain, *record; /* all NULL when raw could not be read */
	const char *raw;
};
struct tap_canonicalized { /* DKIM-Canonicalized-Header and -Body */
	bool given;
	uint64_t size; /* decoded */
	char sha256[65];
};

enum tap_failure_format { TAP_FORMAT_ARF, TAP_FORMAT_EXIM_TEXT, TAP_FORMAT_N };
extern const char *const tap_failure_format_name[TAP_FORMAT_N]; /* "arf" "exim-text" */

struct tap_failure {
	enum tap_failure_format format;
	const char *
	    feedback_type; /* lower case; "auth-failure" when the report does not say, with a warning */
	const char *user_agent, *version, *original_envelope_id;
	const char *original_mail_from; /* without <>; "" = null sender, NULL = not said */
	struct tap_list_of original_rcpt_to;
	const char *arrival_date; /* as in the report */
	int64_t arrival;	  /* TAP_NO_TIME = none that can be read */
	const char *message_id;	  /* Message-ID of the message that the report is about */
	struct tap_list_of authentication_results; /* unfolded */
	const char *delivery_result,
	    *delivery_result_raw; /* one of five words; raw when it differs */
	struct tap_list_of auth_failure;
	struct tap_list_of
	    identity_alignment; /* as sent, comments removed; {"none"} is kept as sent */
	/* By the rules of docs/formats.md, which tell the two meanings apart. false: cannot be told, both lists are empty. */
	bool alignment_known;
	struct tap_list_of aligned_mechanisms, failed_mechanisms;
	struct tap_list_of reported_domain, reported_uri;
	const char *reporting_mta_type, *reporting_mta;
	const char *dkim_domain, *dkim_identity, *dkim_selector, *dkim_selector_dns, *dkim_adsp_dns;
	struct tap_canonicalized dkim_header, dkim_body;
	const struct tap_spf_dns *spf_dns;
	size_t n_spf_dns;
	const char *source_ip;	   /* canonical; NULL = none that can be used */
	const char *source_ip_raw; /* as sent when it differs, else NULL */
	bool
	    source_ip_from_sample; /* not in the report: taken from the newest Received of the sample (with a warning) */
	int32_t source_port;	      /* -1 = not said */
	uint32_t incidents;	      /* 1 when not said */
	const struct tap_pair *extra; /* fields that are none of the above, names as sent */
	size_t n_extra;
	const char *human_text; /* first text part, capped at 16 KiB; NULL = none */
	/* The message that the report is about. */
	const void *sample; /* raw bytes, transfer encoding removed; NULL = the report has none */
	size_t sample_len;
	bool
	    sample_utf8; /* the bytes are valid UTF-8 without NUL, and are printed as text; else in base64 */
	bool sample_headers_only;
	bool sample_damaged;		 /* cut off or not decodable to its end */
	const struct tap_sample *parsed; /* NULL exactly when sample is */
	struct tap_source_info source;
};

#endif
