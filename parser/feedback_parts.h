/* SPDX-License-Identifier: Apache-2.0
 * parser/feedback_parts.h - where the parts of a feedback report stand in a mail, and reading them: the MIME walk notes places only,
 * so that ordinary mail costs nothing; the bytes are decoded when the multipart has ended.
 * Inside of parser/ only. Limits [I7]: sample_bytes for the sample and for a text report, twice that for the fields; what is longer
 * is cut, with a warning. Ownership: places are of the source of the walk. Threads: one user at a time. */
#ifndef TAP_PARSER_FEEDBACK_PARTS_H
#define TAP_PARSER_FEEDBACK_PARTS_H

#include "parser/decode.h"
#include "parser/document.h"
#include "parser/work.h"
#include <stdbool.h>

struct tap_part_place {
	uint64_t from, to;
	enum tap_encoding encoding;
	bool set;
	uint32_t leaf;
};
struct tap_feedback_parts {
	struct tap_part_place fields, sample, human;
	struct tap_part_place
	    text; /* a report in the words of Exim; counts when there are no fields */
	struct tap_part_place message; /* a message that stands before the fields */
	char human_charset[32];
	bool announced;		     /* the multipart says that it is one */
	bool headers_only;	     /* the type of the sample says so */
	bool cut;		     /* the mail ended inside of the sample */
	bool read;		     /* one was read from this multipart already */
	bool bounced;		     /* it stands inside of a delivery status notification */
	uint64_t head_from, head_to; /* header block of the mail around it */
};
/* The warning of a report that stood inside of a bounce. */
extern const char tap_feedback_bounced[];
/* Is there anything to read? */
bool tap_feedback_any(const struct tap_feedback_parts *p);
/* Reads and emits one report. TAP_OK whatever is wrong with it. */
enum tap_rc tap_feedback_read(struct tap_work *w, const struct tap_source *src,
			      const struct tap_feedback_parts *p, struct tap_document_result *res,
			      struct tap_err *err) TAP_MUST_CHECK;

#endif
