/* SPDX-License-Identifier: Apache-2.0
 * parser/parser.h - bytes in, reports out [I8]: no file, socket, environment, clock or log is touched in here.
 * The input may be a mail message, a gzip or zip file, or XML; what it is is decided by content, never by name.
 * Memory does not grow with the input or with the report. Threads: tap_parser_global_init once before threads; then any number
 * of tap_parse calls at once on different sources. */
#ifndef TAP_PARSER_PARSER_H
#define TAP_PARSER_PARSER_H

#include "base/err.h"
#include "base/source.h"
#include "parser/events.h"
#include "parser/trust.h"
#include <stdbool.h>
#include <stdint.h>

/* Limits [I7]; the defaults are standards' and documented in docs/formats.md. Zero is not "unlimited". */
struct tap_parse_limits {
	uint64_t
	    message_bytes; /* 50 MiB: raw mail message; files that are not mail are bounded by the next ones */
	uint32_t mime_depth, mime_parts; /* 20, 1000 */
	uint64_t
	    header_bytes; /* 1 MiB, of each header block, checked before GMime sees the bytes */
	uint32_t header_fields;		/* 2000 */
	uint64_t report_bytes;		/* 256 MiB decompressed */
	uint64_t total_bytes;		/* 512 MiB decompressed, all parts of a message */
	uint32_t ratio;			/* 500:1, looked at after 8 MiB of output */
	uint32_t archive_depth;		/* 3 */
	uint32_t zip_members, zip_name; /* 100, 1024 */
	uint64_t records;		/* 1 000 000 a report */
	uint32_t dkim_results, spf_results, reasons; /* 1000, 100, 100 a record: cut, warn */
	uint32_t text, long_text; /* 8 KiB; 64 KiB for comment, error, human_result: cut, warn */
	uint32_t xml_depth, extension_depth; /* 64, 16 */
	uint32_t extension_bytes;	     /* 64 KiB */
	uint32_t warnings;		     /* 100 kept */
	uint64_t json_bytes;		     /* 64 MiB: an SMTP TLS report */
	uint32_t json_depth,
	    json_values; /* 32; 2 000 000 values, looked at before json-c allocates for them */
	uint64_t sample_bytes; /* 4 MiB: the message in a failure report; longer: cut, warn */
	uint64_t body_bytes;   /* 2 MiB: decoded text of the sample: cut, warn */
	uint64_t
	    attachment_bytes; /* 3 MiB: decoded payloads of one sample; beyond: left out, warn */
	uint32_t
	    list; /* 1000: addresses of one field, hops, attachments, repeated feedback fields: cut, warn */
	uint32_t extra; /* 64 unknown feedback fields of 2 KiB: cut, warn */
};
extern const struct tap_parse_limits tap_parse_limits_default;

struct tap_parse_options {
	const struct tap_parse_limits *limits; /* NULL = default */
	const char *filename;		       /* name of the input, a hint; may be NULL */
	bool payload;			       /* emit payload events */
	bool strip_payloads; /* attachments of samples: name, size and hash only */
	int64_t now;	     /* for the future_period warning; 0 = no such warning */
	const struct tap_trust_rules *trust; /* NULL = none are configured: nothing is trusted */
	/* Asked about every 64 KiB; true ends the reading with TAP_E_CANCELLED. May be NULL. */
	bool (*cancelled)(void *ctx);
	void *cancelled_ctx;
};

enum tap_verdict {
	TAP_V_REPORT,	    /* at least one report was read; `broken` may count others           */
	TAP_V_NOT_A_REPORT, /* nothing in it claims to be a report                               */
	TAP_V_BROKEN,	    /* it claims to be one (or more), and none could be read             */
	TAP_V_UNREADABLE,   /* the parser process died or stalled on it (only said by the pool)  */
	TAP_V_TOO_LARGE,    /* over message_bytes or another limit of the whole input            */
	TAP_V_FEEDBACK,	    /* read, but only feedback reports that are not about authentication */
	TAP_V_N
};
extern const char *const tap_verdict_name
    [TAP_V_N]; /* "report", "not a report", "broken", "unreadable", "too large", "feedback" */

struct tap_parse_result {
	enum tap_verdict verdict;
	uint32_t reports, broken;
	unsigned kinds;		  /* TAP_KIND_* of the reports that were read              */
	unsigned unauthenticated; /* of these, kinds with a report whose trust.auth is not PASS */
	bool foreign;		  /* all of them are about domains that are not ours        */
	char why
	    [512]; /* the first reason for anything but a clean TAP_V_REPORT: where (byte offset, part, element) and what */
};

/* Starts GMime, libxml2 and libgsf, disables every way that libxml2 could open something. Idempotent. */
void tap_parser_global_init(void);

/* Reads the whole of src. ev may be NULL (only the verdict is wanted; the work is the same).
 * Returns TAP_OK whenever a verdict was reached (res->verdict says which); otherwise the class that a consumer or the source
 * returned, or TAP_E_CANCELLED. */
enum tap_rc tap_parse(const struct tap_source *src, const struct tap_parse_options *opt,
		      const struct tap_events *ev, void *ctx, struct tap_parse_result *res,
		      struct tap_err *err) TAP_MUST_CHECK;

#endif
