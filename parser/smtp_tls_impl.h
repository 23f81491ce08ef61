/* SPDX-License-Identifier: Apache-2.0
 * parser/smtp_tls_impl.h - what the files of the SMTP TLS reader share: smtp_tls.c (the document, and the reports in it),
 * smtp_tls_meta.c (the meta part, key and trust), smtp_tls_policy.c (policies and failure details), smtp_tls_values.c (single
 * values, warnings). Included by these files only. */
#ifndef TAP_PARSER_SMTP_TLS_IMPL_H
#define TAP_PARSER_SMTP_TLS_IMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "parser/json_scan.h"
#include "parser/smtp_tls.h"

struct json_tokener;
struct tap_mail_auth;

/* The members that we know, of all levels. */
enum tls_field {
	F_NONE,
	F_ORG,
	F_DATES,
	F_BEGIN,
	F_END,
	F_CONTACT,
	F_ID,
	F_POLICIES,
	F_POLICY,
	F_SUMMARY,
	F_DETAILS,
	F_TYPE,
	F_STRINGS,
	F_DOMAIN,
	F_MX,
	F_SUCCESSFUL,
	F_FAILED,
	F_RESULT,
	F_SENDING_IP,
	F_MX_NAME,
	F_HELO,
	F_RECEIVING_IP,
	F_COUNT,
	F_INFO,
	F_REASON,
	F_N
};
enum {
	TLS_WHERE = 96,
	TLS_POLICIES_MAX = 10000,
	TLS_DOMAIN_KEPT = 512, /* of a domain as it was sent, for the key */
};

struct tls {
	struct tap_document *doc;
	const struct tap_parse_options *opt;
	const struct tap_parse_limits *lim;
	const struct tap_events *ev;
	void *ctx;
	struct tap_document_result *res;
	struct tap_err *err;
	const struct tap_mail_auth *auth; /* NULL = no mail, or nobody to ask */
	struct tap_buf text;		  /* the whole document */
	char damaged[200];		  /* what the container said of its damage */
	bool text_outside;
	char first_error[400]; /* of text that is no JSON; "" = none */
	struct json_tokener *tok;
	struct tap_arena *meta_arena, *rec_arena, *warn_arena;

	/* of the report that is read */
	struct tap_json val[F_N];		       /* of the meta part */
	const char *org_sent, *id_sent, *contact_sent; /* clean; NULL = missing or empty */
	const char *
	    *domains; /* as sent, one a policy; the order is that of the report, then sorted */
	size_t n_domains;
	struct tap_meta meta;
	struct tap_report_end end;
	struct tap_warning *warnings;
	bool begun, refused;
	bool quiet;	   /* what is read will be read again, and is said then */
	enum tap_rc fatal; /* not TAP_OK: what a callback said, or TAP_E_CANCELLED */
	char id_by_hash[2 * TAP_HASH_BYTES + 40];
};

/* ---- smtp_tls_values.c ---- */

void tls_warn(struct tls *s, const char *where, const char *fmt, ...) TAP_PRINTF(3, 4);
/* Ends this report with "at byte N, path: …"; at: NULL = no place to name. */
void tls_refuse(struct tls *s, const char *at, const char *path, const char *fmt, ...)
    TAP_PRINTF(4, 5);

/* Puts the members of an object, and of the objects in it that `into` names, where they belong. where: prefix of warnings. */
void tls_collect(struct tls *s, const struct tap_json *object, uint32_t wanted, uint32_t into,
		 const char *where, struct tap_json val[F_N]);
const char *tls_field_name(enum tls_field f);

static inline bool tls_given(const struct tap_json *v)
{
	return v->type != 0 && v->type != 'n';
}
/* NULL = missing, null, or nothing that text can be made of (with a warning). */
const char *tls_text(struct tls *s, struct tap_arena *a, const struct tap_json *v, bool lower,
		     const char *where);
/* 0 and a warning for what is no count. */
uint64_t tls_count(struct tls *s, const struct tap_json *v, const char *where);
/* Clean text as sent in *raw_r; false: refused. */
bool tls_date(struct tls *s, const struct tap_json *v, const char *where, int64_t *v_r,
	      const char **raw_r);
/* A list of texts; a single text is a list of one. */
void tls_list(struct tls *s, const struct tap_json *v, const char *where, bool lower,
	      const char *const **list_r, size_t *n_r, bool *single_r);
uint64_t tls_add(uint64_t a, uint64_t b); /* saturates at 2^63-1 */
bool tls_cancelled(struct tls *s);

/* ---- smtp_tls_meta.c ---- */

/* Everything up to the begin event. False: refused, or ended by the consumer. */
bool tls_begin(struct tls *s, const struct tap_json *report);

/* ---- smtp_tls_policy.c ---- */

/* Steps through F_POLICIES; a single object is a list of one. */
bool tls_policy_first(const struct tls *s, struct tap_json_iter *it, struct tap_json *v);
/* The members of one policy. False: it is no object. */
bool tls_policy_members(struct tls *s, const struct tap_json *v, const char *where,
			struct tap_json val[F_N]);
void tls_policies(struct tls *s);

#endif
