/* SPDX-License-Identifier: Apache-2.0
 * parser/aggregate_values.c - the values of leaf elements, and a record made of them: what is repaired is said in a warning, what
 * is unusable drops the record with a warning. Strings of a record live in its arena, which is emptied before the next.
 * RFC 7489 appendix C, RFC 9990 section 3.1.3. */
#include "parser/aggregate_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_arena(struct ag *s)
{
	ag_refuse_report(s, "too much text in one %s", s->in_record ? "record" : "report");
}

/* The text that was collected, clean, in the arena; NULL when the arena is full (the report is refused then). */
static char *take_text(struct ag *s, struct tap_arena *a, enum ag_node leaf, size_t *len_r)
{
	const struct ag_leaf *l = &ag_leaves[leaf];
	size_t max = l->flags & LEAF_LONG ? s->lim->long_text : s->lim->text;
	size_t n = s->text.len;
	unsigned notes = 0;
	char *t;

	if (s->text_cut || n > max) {
		n = tap_utf8_whole(s->text.p, n < max ? n : max);
		ag_warn_at(s, leaf, "text_cut: longer than %zu bytes", max);
	}
	t = tap_text_clean(a, n > 0 ? s->text.p : "", n, l->flags & LEAF_LOWER ? TAP_TEXT_LOWER : 0,
			   &notes, len_r);
	if (!t) {
		out_of_arena(s);
		return NULL;
	}
	if (notes & TAP_TEXT_REPAIRED)
		ag_warn_at(s, leaf, "bad_utf8: bytes that are no UTF-8 replaced");
	if (notes & TAP_TEXT_CONTROL)
		ag_warn_at(s, leaf, "control_characters: dropped");
	return t;
}

static const char *take_lang(struct ag *s, struct tap_arena *a)
{
	unsigned notes = 0;

	if (!s->lang[0])
		return NULL;
	return tap_text_clean(a, s->lang, strlen(s->lang), 0, &notes, NULL);
}

/* ---- growing lists: memory is kept from record to record ---- */

/* Room for one more of `size` bytes; false at the limit or without memory. */
static bool grow(void **v, size_t n, size_t *cap, size_t limit, size_t size)
{
	size_t more = *cap ? *cap * 2 : 8;
	void *p;

	if (n < *cap)
		return n < limit;
	if (n >= limit)
		return false;
	p = realloc(*v, more * size);
	if (!p)
		return false;
	*v = p;
	*cap = more;
	return true;
}

/* ---- the meta part ---- */

/* As many as the warnings: their only reader is a person. */
enum { MAX_LIST = 100 };

static void meta_list(struct ag *s, enum ag_node leaf)
{
	char *t = take_text(s, s->meta_arena, leaf, NULL);
	bool room;

	if (!t || !*t)
		return;
	if (leaf == L_ERROR)
		room = grow((void **)&s->errors.v, s->errors.n, &s->errors.cap, MAX_LIST,
			    sizeof(*s->errors.v));
	else
		room = grow((void **)&s->receiving, s->n_receiving, &s->cap_receiving, MAX_LIST,
			    sizeof(*s->receiving));
	if (!room)
		ag_warn_at(s, leaf, "list_cut: more than %d", MAX_LIST);
	else if (leaf == L_ERROR)
		s->errors.v[s->errors.n++] =
		    (struct tap_text){.text = t, .lang = take_lang(s, s->meta_arena)};
	else
		s->receiving[s->n_receiving++] = t;
}

static void meta_value(struct ag *s, enum ag_node leaf)
{
	char *t;

	if (s->known)
		return;
	if (leaf >= L_META_END) {
		meta_list(s, leaf);
		return;
	}
	if (s->mval[leaf].text) {
		ag_warn_at(s, leaf, "duplicate: the first one counts");
		return;
	}
	t = take_text(s, s->meta_arena, leaf, NULL);
	if (!t)
		return;
	s->mval[leaf].text = t;
	s->mval[leaf].lang = ag_leaves[leaf].flags & LEAF_LANG ? take_lang(s, s->meta_arena) : NULL;
}

/* ---- auth results and reasons ---- */

/* The open result or reason; NULL when it was over the limit. */
static struct tap_auth_result *open_auth(struct ag *s, bool is_dkim)
{
	struct ag_auths *l = is_dkim ? &s->dkim : &s->spf;

	return s->lists_cut & (is_dkim ? 1u : 2u) ? NULL : &l->v[l->n];
}

void ag_auth_start(struct ag *s, enum ag_node node)
{
	struct ag_auths *l = node == N_DKIM ? &s->dkim : &s->spf;
	size_t limit = node == N_DKIM ? s->lim->dkim_results : s->lim->spf_results;
	unsigned bit = node == N_DKIM ? 1 : 2;

	if (s->lists_cut & bit)
		return;
	if (!grow((void **)&l->v, l->n, &l->cap, limit, sizeof(*l->v))) {
		s->lists_cut |= bit;
		ag_warn_at(s, node, "list_cut: more than %zu", limit);
		return;
	}
	l->v[l->n] = (struct tap_auth_result){0};
}

void ag_reason_start(struct ag *s)
{
	if (s->lists_cut & 4)
		return;
	if (!grow((void **)&s->reasons.v, s->reasons.n, &s->reasons.cap, s->lim->reasons,
		  sizeof(*s->reasons.v))) {
		s->lists_cut |= 4;
		ag_warn_at(s, N_REASON, "list_cut: more than %u", s->lim->reasons);
		return;
	}
	s->reasons.v[s->reasons.n] = (struct tap_reason){0};
}

static void set_first(struct ag *s, enum ag_node leaf, const char **slot, const char *t)
{
	if (*slot)
		ag_warn_at(s, leaf, "duplicate: the first one counts");
	else
		*slot = t;
}

static void set_domain(struct ag *s, enum ag_node leaf, const char **slot, char *t)
{
	const char *note;

	tap_norm_domain(t, &note);
	if (note)
		ag_warn_at(s, leaf, "%s", note);
	if (*t)
		set_first(s, leaf, slot, t);
}

static void auth_value(struct ag *s, enum ag_node leaf, char *t)
{
	struct tap_auth_result *r = open_auth(s, leaf <= L_DKIM_HUMAN);

	if (!r)
		return;
	switch (leaf) {
	case L_DKIM_DOMAIN:
	case L_SPF_DOMAIN: set_domain(s, leaf, &r->domain, t); break;
	case L_DKIM_SELECTOR:
	case L_SPF_SCOPE:
		if (*t)
			set_first(s, leaf, &r->label, t);
		break;
	case L_DKIM_RESULT:
	case L_SPF_RESULT:
		if (*t)
			set_first(s, leaf, &r->result, t);
		break;
	default:
		set_first(s, leaf, &r->human_result.text, t);
		if (r->human_result.text == t)
			r->human_result.lang = take_lang(s, s->rec_arena);
		break;
	}
}

/* The proper word for what was sent. A word followed by more ("fail (bad signature)") is split: the rest goes to *rest_r (may be
 * NULL). Unknown words stay, with a warning. */
static const char *word(struct ag *s, enum ag_node leaf, const struct tap_word *table,
			const char *t, const char **rest_r)
{
	size_t n = strlen(t);
	const struct tap_word *w = tap_word_find(table, t, n);

	if (!w) {
		size_t first = strspn(t, "abcdefghijklmnopqrstuvwxyz_-");

		if (first > 0 && first < n && strchr(" \t\n(;,:", t[first]))
			w = tap_word_find(table, t, first);
		if (w && rest_r)
			*rest_r = t + first + strspn(t + first, " \t\n;,:");
	}
	if (!w) {
		ag_warn_at(s, leaf, "unknown_word: %.100s", t);
		return t;
	}
	if (w->name != w->means)
		ag_warn_at(s, leaf, "word: %s taken as %s", w->name, w->means);
	return w->means;
}

static bool has_text(const struct tap_text *t)
{
	return t->text && *t->text;
}

/* The result as a proper word; what stood behind it becomes the human result where there is none. */
static void set_result(struct ag *s, struct tap_auth_result *r, bool is_dkim)
{
	enum ag_node leaf = is_dkim ? L_DKIM_RESULT : L_SPF_RESULT;
	const char *rest = NULL;

	if (!r->result) {
		ag_warn_at(s, leaf, "missing_result: empty");
		return;
	}
	r->result = word(s, leaf, is_dkim ? tap_words_dkim : tap_words_spf, r->result, &rest);
	if (rest && *rest && !has_text(&r->human_result))
		r->human_result = (struct tap_text){.text = rest};
}

void ag_auth_end(struct ag *s, enum ag_node node)
{
	bool is_dkim = node == N_DKIM;
	struct tap_auth_result *r = open_auth(s, is_dkim);

	if (!r)
		return;
	if (!r->domain && !r->label && !r->result && !has_text(&r->human_result))
		return; /* an empty element says nothing */
	set_result(s, r, is_dkim);
	if (!is_dkim) {
		if (r->label)
			r->label = word(s, L_SPF_SCOPE, tap_words_scope, r->label, NULL);
		s->spf.n++;
		return;
	}
	if (!r->domain)
		ag_warn_at(s, L_DKIM_DOMAIN, "missing_domain: empty");
	if (!r->label && s->finished && s->meta.schema == TAP_SCHEMA_RFC9990)
		ag_warn_at(s, L_DKIM_SELECTOR, "missing_selector: RFC 9990 wants one");
	s->dkim.n++;
}

void ag_reason_end(struct ag *s)
{
	struct tap_reason *r = &s->reasons.v[s->reasons.n];
	bool new_schema = s->finished && s->meta.schema == TAP_SCHEMA_RFC9990;

	if (s->lists_cut & 4)
		return;
	/* Some write the type as the text of the reason itself. */
	if (!r->type && s->collect && s->text.len > 0) {
		char *t = take_text(s, s->rec_arena, N_REASON, NULL);

		if (t && *t) {
			r->type = t;
			ag_warn_at(s, N_REASON, "reason_text: its text taken as its type");
		}
	}
	if (!r->type && !has_text(&r->comment))
		return;
	if (!r->type) {
		ag_warn_at(s, N_REASON, "missing_type: a reason without a type");
	} else if (!strncmp(r->type, "arc=", 4)) {
		/* RFC 8617 section 7.2.2: what ARC has decided is a local policy, and told of in the comment. */
		ag_warn_at(s, L_REASON_TYPE, "word: %.100s taken as local_policy", r->type);
		if (!has_text(&r->comment))
			r->comment = (struct tap_text){.text = r->type};
		r->type = "local_policy";
	} else {
		r->type = word(s, L_REASON_TYPE, tap_words_reason, r->type, NULL);
	}
	if (r->type && new_schema &&
	    (!strcmp(r->type, "forwarded") || !strcmp(r->type, "sampled_out")))
		ag_warn_at(s, L_REASON_TYPE, "old_word: RFC 9990 has no %s", r->type);
	s->reasons.n++;
}

/* ---- leaves ---- */

void ag_leaf_end(struct ag *s, enum ag_node leaf)
{
	char *t;

	if (leaf <= L_RECEIVING_DOMAIN) {
		meta_value(s, leaf);
		return;
	}
	t = take_text(s, s->rec_arena, leaf, NULL);
	if (!t)
		return;
	if (*t)
		s->rec_any = true;
	if (leaf < L_RECORD_END) {
		set_first(s, leaf, &s->rval[leaf], t);
	} else if (leaf == L_REASON_TYPE) {
		if (*t && !(s->lists_cut & 4))
			set_first(s, leaf, &s->reasons.v[s->reasons.n].type, t);
	} else if (leaf == L_REASON_COMMENT) {
		if (s->lists_cut & 4)
			return;
		set_first(s, leaf, &s->reasons.v[s->reasons.n].comment.text, t);
		s->reasons.v[s->reasons.n].comment.lang = take_lang(s, s->rec_arena);
	} else {
		auth_value(s, leaf, t);
	}
}

/* ---- a record ---- */

void ag_record_start(struct ag *s)
{
	s->in_record = true;
	s->rec_cut = s->rec_any = s->has_evaluated = false;
	s->lists_cut = 0;
	memset(s->rval + L_SOURCE_IP, 0, sizeof(s->rval[0]) * (L_RECORD_END - L_SOURCE_IP));
	s->dkim.n = s->spf.n = s->reasons.n = 0;
	tap_buf_reset(&s->rec_ext);
	tap_arena_reset(s->rec_arena);
}

static void drop(struct ag *s, enum ag_node at, const char *why)
{
	ag_warn_at(s, at, "%s: record dropped", why);
	s->bad_drop = true;
	s->end.dropped++;
}

static void set_address(struct ag *s, struct tap_record *r)
{
	const char *raw = s->rval[L_SOURCE_IP], *note;
	char ip[TAP_IP_TEXT];

	if (!tap_norm_ip(raw, ip, &note)) {
		/* The counts of such a row are still true, so it is kept without an address. */
		r->source_ip_raw = raw && *raw ? raw : NULL;
		ag_warn_at(s, L_SOURCE_IP, "%s", note);
		return;
	}
	if (note)
		ag_warn_at(s, L_SOURCE_IP, "%s", note);
	if (!strcmp(ip, raw)) {
		r->source_ip = raw;
		return;
	}
	r->source_ip_raw = raw;
	r->source_ip = tap_arena_strndup(s->rec_arena, ip, strlen(ip));
	if (!r->source_ip)
		out_of_arena(s);
}

static void set_identifiers(struct ag *s, struct tap_record *r)
{
	static const enum ag_node leaf[3] = {L_HEADER_FROM, L_ENVELOPE_FROM, L_ENVELOPE_TO};
	const char **to[3] = {&r->header_from, &r->envelope_from, &r->envelope_to};

	for (int i = 0; i < 3; i++) {
		const char *v = s->rval[leaf[i]], *note;
		char *t;

		if (!v)
			continue;
		if (i == 1 && !strcmp(v, "<>"))
			v = "";
		t = tap_arena_strndup(s->rec_arena, v, strlen(v));
		if (!t) {
			out_of_arena(s);
			return;
		}
		tap_norm_domain(t, &note);
		if (note)
			ag_warn_at(s, leaf[i], "%s; sent was %.100s", note, v);
		*to[i] = t;
	}
	if (r->header_from && *r->header_from) {
		s->any_domain = true;
		return;
	}
	r->header_from = s->meta.domain;
	ag_warn_at(s, L_HEADER_FROM, "missing_header_from: the policy domain is taken");
}

/* Is a the same as b, or below it? A name without a dot is nobody's. */
static bool same_or_below(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	return n >= m && strchr(b, '.') && !strcmp(a + n - m, b) && (n == m || a[n - m - 1] == '.');
}

/* Without the list of public suffixes relaxed alignment is seen only where one name lies below the other, or both below the domain
 * that the policy is published for. */
static bool is_aligned(const char *a, const char *from, const char *policy, bool strict)
{
	if (!strcmp(a, from))
		return true;
	if (strict)
		return false;
	return same_or_below(a, from) || same_or_below(from, a) ||
	       (policy && same_or_below(a, policy) && same_or_below(from, policy));
}

/* RFC 7489 section 3.1.2: of SPF only the identity of MAIL FROM counts. */
static bool derive_aligned(const struct ag *s, const struct tap_record *r,
			   const struct tap_auth_result *v, size_t n, const char *mode)
{
	bool strict = mode && !strcmp(mode, "s");

	for (size_t i = 0; i < n; i++) {
		if (!v[i].domain || !v[i].result || strcmp(v[i].result, "pass") != 0 ||
		    (v == s->spf.v && v[i].label && !strcmp(v[i].label, "helo")))
			continue;
		if (r->header_from &&
		    is_aligned(v[i].domain, r->header_from, s->meta.domain, strict))
			return true;
	}
	return false;
}

static bool set_aligned(struct ag *s, enum ag_node leaf, bool derived)
{
	const char *t = s->rval[leaf];

	if (!t || !*t) {
		if (s->has_evaluated)
			ag_warn_at(s, leaf, "derived_alignment: empty, taken from auth_results: %s",
				   derived ? "pass" : "fail");
		return derived;
	}
	return !strcmp(word(s, leaf, tap_words_aligned, t, NULL), "pass");
}

static void set_evaluated(struct ag *s, struct tap_record *r)
{
	bool dkim = derive_aligned(s, r, s->dkim.v, s->dkim.n, s->meta.adkim);
	bool spf = derive_aligned(s, r, s->spf.v, s->spf.n, s->meta.aspf);

	r->evaluated = s->has_evaluated;
	if (!s->has_evaluated)
		ag_warn_at(s, N_EVALUATED,
			   "derived_alignment: missing, taken from auth_results: dkim %s, spf %s",
			   dkim ? "pass" : "fail", spf ? "pass" : "fail");
	r->dkim_aligned = set_aligned(s, L_EVAL_DKIM, dkim);
	r->spf_aligned = set_aligned(s, L_EVAL_SPF, spf);
	if (s->rval[L_DISPOSITION] && *s->rval[L_DISPOSITION])
		r->disposition =
		    word(s, L_DISPOSITION, tap_words_disposition, s->rval[L_DISPOSITION], NULL);
	else if (s->has_evaluated)
		ag_warn_at(s, L_DISPOSITION, "missing_disposition: empty");
}

static void count_messages(struct ag *s, const struct tap_record *r)
{
	bool pass = r->dkim_aligned || r->spf_aligned;
	uint64_t *sum[2] = {&s->end.messages, pass ? &s->end.passed : NULL};

	for (int i = 0; i < 2; i++)
		if (sum[i])
			*sum[i] = *sum[i] > INT64_MAX - r->count ? INT64_MAX : *sum[i] + r->count;
	s->end.records++;
}

/* The record that is open is whole: makes it and hands it over. */
static void hand_over(struct ag *s)
{
	struct tap_record r = {.index = s->record_no};
	const char *note;
	enum tap_rc rc;

	if (s->rec_cut) {
		drop(s, N_RECORD, "unclosed: its end is missing");
		return;
	}
	if (!s->rec_any) {
		ag_warn_at(s, N_RECORD, "empty_record: record dropped");
		s->end.dropped++;
		return;
	}
	if (!tap_norm_count(s->rval[L_COUNT], &r.count, &note)) {
		drop(s, L_COUNT, note);
		return;
	}
	if (!ag_begin(s))
		return;
	if (note)
		ag_warn_at(s, L_COUNT, "%s", note);
	set_address(s, &r);
	set_identifiers(s, &r);
	set_evaluated(s, &r);
	r.reasons = s->reasons.v;
	r.n_reasons = s->reasons.n;
	r.dkim = s->dkim.v;
	r.n_dkim = s->dkim.n;
	r.spf = s->spf.v;
	r.n_spf = s->spf.n;
	r.extension = ag_ext_taken(s, &s->rec_ext);
	if (s->stop || s->dead)
		return;
	count_messages(s, &r);
	if (s->ev && s->ev->record) {
		rc = s->ev->record(s->ctx, &r, s->err);
		if (rc != TAP_OK)
			ag_fatal(s, rc);
	}
}

void ag_record_end(struct ag *s)
{
	hand_over(s);
	s->in_record = false;
	s->record_no++;
	if (!s->stop && s->record_no > s->lim->records)
		ag_refuse_report(s, "more than %llu records", (unsigned long long)s->lim->records);
}
