/* SPDX-License-Identifier: Apache-2.0
 * parser/aggregate_impl.h - what the files of the aggregate reader share: aggregate.c (passes), aggregate_sax.c
 * (libxml2's callbacks, element stack), aggregate_elements.c (which element stands where), aggregate_values.c (leaf values, records), aggregate_meta.c (the meta part
 * and the events around the records), aggregate_extension.c (raw XML of what is not ours).
 * Included by these files only. */
#ifndef TAP_PARSER_AGGREGATE_IMPL_H
#define TAP_PARSER_AGGREGATE_IMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/sha256.h"
#include "parser/aggregate.h"
#include "parser/normalise.h"
#include "parser/utf8.h"

/* ---- elements ---- */

/* Where the reader stands. Containers first, then leaves (which hold text). */
enum ag_node {
	N_SKIP,	 /* not ours: everything below is passed over                 */
	N_OUTER, /* above feedback: the document itself, wrappers             */
	N_FEEDBACK,
	N_METADATA,
	N_DATE_RANGE,
	N_RECEIVING,
	N_POLICY,
	N_RECORD,
	N_ROW,
	N_EVALUATED,
	N_REASON,
	N_IDENTIFIERS,
	N_AUTH,
	N_DKIM,
	N_SPF,
	N_EXTENSION, /* feedback/extension and foreign children of record: kept raw */
	N_CONTAINERS,
	/* values of the meta part */
	L_VERSION = N_CONTAINERS,
	L_ORG_NAME,
	L_EMAIL,
	L_CONTACT,
	L_REPORT_ID,
	L_GENERATOR,
	L_BEGIN,
	L_END,
	L_DOMAIN,
	L_VERSION_PUBLISHED,
	L_DISCOVERY,
	L_P,
	L_SP,
	L_NP,
	L_ADKIM,
	L_ASPF,
	L_PCT,
	L_FO,
	L_TESTING,
	L_META_END,
	L_ERROR = L_META_END, /* lists of the meta part */
	L_RECEIVING_DOMAIN,
	/* values of a record */
	L_SOURCE_IP,
	L_COUNT,
	L_DISPOSITION,
	L_EVAL_DKIM,
	L_EVAL_SPF,
	L_HEADER_FROM,
	L_ENVELOPE_FROM,
	L_ENVELOPE_TO,
	L_RECORD_END,
	L_REASON_TYPE = L_RECORD_END,
	L_REASON_COMMENT,
	L_DKIM_DOMAIN,
	L_DKIM_SELECTOR,
	L_DKIM_RESULT,
	L_DKIM_HUMAN,
	L_SPF_DOMAIN,
	L_SPF_SCOPE,
	L_SPF_RESULT,
	L_SPF_HUMAN,
	N_NODES
};

enum {
	LEAF_LONG = 1,	/* limits.long_text instead of limits.text     */
	LEAF_LANG = 2,	/* its lang attribute counts                   */
	LEAF_LOWER = 4, /* kept in lower case                          */
};
struct ag_leaf {
	const char *path; /* below feedback, or below record[n] */
	unsigned flags;
};
extern const struct ag_leaf
    ag_leaves[N_NODES]; /* path NULL for containers other than row, identifiers … */

enum { AG_ELEMENTS = 64 };
/* 0 = unknown; *folded_r = known only when its letter case is ignored. */
unsigned ag_element_find(const char *name, size_t n, bool *folded_r);
/* The node of an element (as ag_element_find numbers it) below a container. */
enum ag_node ag_node_below(enum ag_node parent, unsigned element);
extern const unsigned ag_el_feedback, ag_el_record, ag_el_extension;
/* For the repair of broken XML: does the element hold nothing but text, wherever it stands? */
bool ag_element_is_text(unsigned element);

/* ---- one reading ---- */

enum ag_stop {
	AG_RUN,
	AG_SYNTAX,  /* not well-formed: read again in recovery mode     */
	AG_REFUSED, /* the whole document is refused: s->stop_err says why */
	AG_FATAL,   /* not the document's fault: s->fatal, err is set   */
};

struct ag_value {
	const char *text; /* clean, NULL = absent */
	const char *lang;
};
struct ag_texts {
	struct tap_text *v;
	size_t n, cap;
};
struct ag_auths {
	struct tap_auth_result *v;
	size_t n, cap;
};
struct ag_reasons {
	struct tap_reason *v;
	size_t n, cap;
};

/* Things to say of the document, whichever report it holds. */
enum {
	NOTE_RECOVERED = 1 << 0,
	NOTE_DOCTYPE = 1 << 1,
	NOTE_CASE = 1 << 2,
	NOTE_TEXT_OUTSIDE = 1 << 3,
	NOTE_STRAY_TEXT = 1 << 4,
	NOTE_UNCLOSED = 1 << 5,
	NOTE_CONTROL = 1 << 6,
	NOTE_BAD_UTF8 = 1 << 7,
	NOTE_ESCAPED = 1 << 8,
	NOTE_TAGS = 1 << 9,
	NOTE_DECLARATION = 1 << 10,
	NOTE_ENCODING = 1 << 11,
	NOTE_MISPLACED = 1 << 12,
	NOTE_ALL = 1 << 13,
};

struct ag {
	/* the call */
	struct tap_document *doc;
	const struct tap_parse_options *opt;
	const struct tap_parse_limits *lim;
	const struct tap_events *ev;
	void *ctx;
	struct tap_document_result *res;
	struct tap_err *err;

	/* across passes */
	bool recover;	 /* this pass repairs the text                                    */
	bool known;	 /* the meta part of report number `settled` is known already     */
	bool hash_known; /* content_hash and content_bytes are                            */
	bool several;	 /* the document holds more than one report: each has a hash of its own */
	bool own_known;	 /* that of report number `settled` is */
	unsigned char own_hash[TAP_HASH_BYTES];
	uint64_t all_bytes; /* read in all passes */
	bool rerun;	    /* another pass is needed                                        */
	uint32_t settled;   /* reports of this document that are finished                    */
	uint32_t refused;   /* of these, not read                                            */
	unsigned char hash[TAP_HASH_BYTES];
	uint64_t content_bytes;
	unsigned notes;	   /* of the strict passes, or of the others */
	char damaged[200]; /* what the container said of its damage, or "" */
	struct tap_warning
	    *kept; /* of the meta part that is known: its values are not looked at again */
	size_t n_kept;

	/* this pass */
	void *xml;		       /* xmlParserCtxt */
	struct tap_xml_repair *repair; /* of a recovery pass, else NULL */
	enum ag_stop stop;
	enum tap_rc fatal;
	struct tap_err stop_err;
	struct tap_sha256 sha;
	struct tap_sha256 own; /* of the open report                             */
	bool hashing;	       /* own is wanted                                  */
	uint64_t raw_bytes;    /* read from the document                         */
	uint64_t fed_end;      /* offset behind the last byte that libxml2 was given */
	uint32_t feedbacks;    /* seen so far in this pass                        */

	/* element stack */
	unsigned depth;
	unsigned ext_from; /* depth of the element that is kept raw, 0 = none */
	unsigned char node[264];
	bool collect; /* text belongs to node[depth] */
	const char *feedback_ns, *record_ns;
	struct {
		const void *name;
		unsigned char element;
	} names[256];
	unsigned n_names;

	/* text of the leaf that is open */
	struct tap_buf text;
	size_t text_max;
	bool text_cut;
	char lang[40];

	/* this report */
	bool open;	 /* between <feedback> and its end                               */
	bool ended;	 /* closed; its end event waits for the content hash             */
	bool dead;	 /* refused: its rest is passed over                             */
	bool report_cut; /* its end had to be supplied                                      */
	bool silent;	 /* its meta part comes late: the rest of it is only listened to */
	bool begun;	 /* begin was given                                              */
	bool finished;	 /* meta is filled                                               */
	bool has_metadata, has_policy, has_extension;
	struct tap_arena *meta_arena, *warn_arena, *rec_arena;
	struct ag_value mval[L_META_END];
	struct ag_texts errors;
	const char **receiving;
	size_t n_receiving, cap_receiving;
	char root_ns[256];
	bool root_has_ns;
	struct tap_meta meta;
	char id_by_hash[96];
	struct tap_report_end end;
	struct tap_warning *warnings;
	bool any_domain, bad_drop;
	struct tap_buf ext; /* of the report */
	bool ext_cut;
	size_t ext_used;	/* by it and by all records */
	size_t ext_mark;	/* length when the outermost element began */
	struct tap_buf *ext_to; /* &ext or &rec_ext */

	/* this record */
	uint64_t record_no; /* of the one that is open, or of the next */
	bool in_record, rec_cut, rec_any, has_evaluated;
	const char *rval[L_RECORD_END];
	struct ag_auths dkim, spf;
	struct ag_reasons reasons;
	unsigned lists_cut; /* said already: 1 dkim, 2 spf, 4 reasons */
	struct tap_buf rec_ext;
};

/* aggregate.c */
/* Refuses the whole document; the text gets the byte offset and the element path in front. */
void ag_refuse(struct ag *s, const char *fmt, ...) TAP_PRINTF(2, 3);
/* Refuses this report and passes over its rest; other reports of the document still count. */
void ag_refuse_report(struct ag *s, const char *fmt, ...) TAP_PRINTF(2, 3);
void ag_fatal(struct ag *s, enum tap_rc rc);
/* Not well-formed at this place: the document is read again in recovery mode. */
void ag_syntax(struct ag *s, const char *msg);
/* Adds what the repair has found so far to s->notes. */
void ag_collect_notes(struct ag *s);
void ag_warn(struct ag *s, const char *where, const char *fmt, ...) TAP_PRINTF(3, 4);
/* As ag_warn, of a leaf or container of the open record or of the meta part. */
void ag_warn_at(struct ag *s, enum ag_node node, const char *fmt, ...) TAP_PRINTF(3, 4);

/* aggregate_values.c */
void ag_leaf_end(struct ag *s, enum ag_node leaf);
void ag_record_start(struct ag *s);
void ag_record_end(struct ag *s);
void ag_auth_start(struct ag *s, enum ag_node node);
void ag_auth_end(struct ag *s, enum ag_node node);
void ag_reason_start(struct ag *s);
void ag_reason_end(struct ag *s);

/* aggregate_meta.c */
void ag_report_start(struct ag *s, const char *ns);
void ag_report_end(struct ag *s, bool truncated);
/* Makes the meta part from its values, once they are complete. False: the report is refused. */
bool ag_prepare(struct ag *s);
/* Gives begin when it was not given yet. False: the report or the reading has ended. */
bool ag_begin(struct ag *s);
/* The hash that stands for the content of this report; NULL = another pass has to find it. */
const unsigned char *ag_content_hash(const struct ag *s);
/* Gives end, once the content hash is known. */
void ag_finish(struct ag *s);
void ag_abort(struct ag *s, const struct tap_err *why);

/* aggregate_extension.c */
void ag_ext_start(struct ag *s, const char *name, const char *prefix, const char *uri, int n_ns,
		  const unsigned char **ns, int n_attr, const unsigned char **attr);
void ag_ext_text(struct ag *s, const char *p, size_t n);
void ag_ext_end(struct ag *s, const char *name, const char *prefix);
/* What was written into b, clean; NULL when it is nothing. */
const char *ag_ext_taken(struct ag *s, const struct tap_buf *b);

#endif
