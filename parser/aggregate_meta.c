/* SPDX-License-Identifier: Apache-2.0
 * parser/aggregate_meta.c - the meta part of an aggregate report, made from its raw values, and the events that stand around the
 * records: begin, end, abort.
 * Begin needs the whole meta part. When that is not known yet at the first record, the rest of the report is only listened to
 * and the document is read once more with the values kept. RFC 7489 appendix C, RFC 9990 section 3.1. */
#include "parser/aggregate_impl.h"
#include "parser/key.h"
#include "parser/sniff.h"
#include "parser/work.h"

#include <stdio.h>
#include <string.h>

static const char ns_9990[] = "urn:ietf:params:xml:ns:dmarc-2.0";
static const char ns_0_2[] = "http://dmarc.org/dmarc-xml/0.2";

enum { DAY = 86400, HOUR = 3600 };

void ag_abort(struct ag *s, const struct tap_err *why)
{
	if (s->begun && s->ev && s->ev->abort)
		s->ev->abort(s->ctx, why);
	s->begun = false;
	s->ended = false;
}

void ag_report_start(struct ag *s, const char *ns)
{
	s->open = true;
	s->ended = s->dead = s->silent = s->begun = s->finished = false;
	s->any_domain = s->bad_drop = s->in_record = s->ext_cut = s->report_cut = false;
	s->record_no = 0;
	s->ext_used = 0;
	s->hashing = s->several && !s->own_known;
	if (s->hashing)
		tap_sha256_init(&s->own);
	s->end = (struct tap_report_end){0};
	s->n_receiving = s->known ? s->n_receiving : 0;
	tap_arena_reset(s->warn_arena);
	tap_buf_reset(&s->ext);
	for (size_t i = 0; s->known && i < s->n_kept; i++)
		ag_warn(s, s->kept[i].where, "%s", s->kept[i].what);
	if (s->known)
		return;
	s->n_kept = 0;
	memset(s->mval, 0, sizeof(s->mval));
	s->errors.n = 0;
	s->has_metadata = s->has_policy = s->has_extension = false;
	tap_arena_reset(s->meta_arena);
	s->root_has_ns = ns && *ns;
	snprintf(s->root_ns, sizeof(s->root_ns), "%s", ns ? ns : "");
	s->root_ns[tap_utf8_cut(s->root_ns, strlen(s->root_ns), sizeof(s->root_ns) - 2)] = '\0';
}

/* NULL for empty values: a reporter that sends an empty element says nothing. */
static const char *value(const struct ag *s, enum ag_node leaf)
{
	const char *t = s->mval[leaf].text;

	return t && *t ? t : NULL;
}

static enum tap_schema schema_of(const struct ag *s)
{
	if (s->root_has_ns && !strcmp(s->root_ns, ns_9990))
		return TAP_SCHEMA_RFC9990;
	/* As elements, even when they are empty. */
	if (s->mval[L_NP].text || s->mval[L_TESTING].text || s->mval[L_DISCOVERY].text ||
	    s->mval[L_GENERATOR].text || s->has_extension)
		return TAP_SCHEMA_RFC9990;
	if (s->root_has_ns && !strcmp(s->root_ns, ns_0_2))
		return TAP_SCHEMA_XML_0_2;
	return s->mval[L_VERSION].text ? TAP_SCHEMA_RFC7489 : TAP_SCHEMA_DRAFT;
}

/* Piece 0 (the reporter) to 3 (the end) of receiver!domain!begin!end.xml. False: the name has no such piece. */
static bool name_piece(const struct ag *s, int piece, const char **p_r, size_t *n_r)
{
	const char *p = s->doc->origin.filename, *slash = p ? strrchr(p, '/') : NULL;

	if (!p)
		return false;
	if (slash)
		p = slash + 1;
	for (; piece > 0; piece--) {
		p = strchr(p, '!');
		if (!p)
			return false;
		p++;
	}
	*p_r = p;
	*n_r = strcspn(p, "!");
	return true;
}

/* A domain that the name of the file tells; NULL when it tells none. */
static char *from_filename(struct ag *s, int piece)
{
	const char *p, *end;
	unsigned notes = 0;
	size_t n, left;
	char *t;

	if (!name_piece(s, piece, &p, &n) || !name_piece(s, 2, &end, &left) || n == 0 || n > 253)
		return NULL;
	t = tap_text_clean(s->meta_arena, p, n, TAP_TEXT_LOWER, &notes, NULL);
	if (!t || notes || !strchr(t, '.') || t[strcspn(t, " <>@/\\\"'")])
		return NULL;
	return t;
}

static bool other_domain(const struct ag *s, const char *p, size_t n)
{
	if (n > 0 && p[n - 1] == '.')
		n--;
	return s->meta.domain &&
	       (strlen(s->meta.domain) != n || strncasecmp(s->meta.domain, p, n) != 0);
}

static bool other_second(const char *p, size_t n, int64_t second)
{
	int64_t v = 0;

	n = strspn(p, "0123456789") < n ? strspn(p, "0123456789") : n;
	for (size_t i = 0; i < n && v < INT64_MAX / 100; i++)
		v = v * 10 + (p[i] - '0');
	return v != second;
}

/* The content is what counts, but who files reports by their names wants to know. RFC 7489 section 7.2.1.1. */
static void compare_name(struct ag *s)
{
	static const char *const what[] = {"another domain", "another begin", "another end"};
	const struct tap_meta *m = &s->meta;
	bool other[3] = {false};
	const char *p;
	size_t n;

	if (!s->doc->origin.filename || !tap_sniff_report_name(s->doc->origin.filename))
		return;
	for (int i = 0; i < 3; i++)
		if (name_piece(s, i + 1, &p, &n))
			other[i] = i == 0 ? other_domain(s, p, n)
					  : other_second(p, n, i == 1 ? m->begin : m->end);
	for (int i = 0; i < 3; i++)
		if (other[i])
			ag_warn(s, "document", "name_mismatch: the name of the file tells %s",
				what[i]);
}

/* A domain that the report lacks: of the name of the file, else of the subject of the mail. */
static const char *guess(struct ag *s, int piece, const char *subject, const char **from_r)
{
	const char *t = from_filename(s, piece);

	*from_r = t ? "taken from the name of the file" : "empty";
	if (!t && subject[0]) {
		t = subject;
		*from_r = "taken from the subject of the mail";
	}
	return t;
}

static void set_who(struct ag *s)
{
	struct tap_meta *m = &s->meta;
	const char *mail = value(s, L_EMAIL), *at, *from;

	m->org_name = value(s, L_ORG_NAME);
	if (!mail) {
		ag_warn_at(s, L_EMAIL, "missing_email: empty");
	} else if (*mail == '<' && mail[strlen(mail) - 1] == '>') {
		mail = tap_arena_strndup(s->meta_arena, mail + 1, strlen(mail) - 2);
	}
	m->email = mail;
	if (m->org_name)
		return;
	at = mail ? strrchr(mail, '@') : NULL;
	if (at && at[1]) {
		m->org_name = at + 1;
		ag_warn_at(s, L_ORG_NAME, "missing_org_name: the domain of email is taken");
		return;
	}
	m->org_name = guess(s, 0, s->doc->hints ? s->doc->hints->submitter : "", &from);
	if (!m->org_name && s->doc->hints && s->doc->hints->sender[0]) {
		m->org_name = s->doc->hints->sender;
		from = "taken from the sender of the mail";
	}
	ag_warn_at(s, L_ORG_NAME, "missing_org_name: %s", from);
}

static void set_id(struct ag *s)
{
	char hex[2 * TAP_HASH_BYTES + 1];

	s->meta.report_id = value(s, L_REPORT_ID);
	if (s->meta.report_id)
		return;
	/* The hash is known: the first record and the end of the report wait for it when there is no id. */
	tap_hex(ag_content_hash(s) ? ag_content_hash(s) : s->hash, TAP_HASH_BYTES, hex);
	snprintf(s->id_by_hash, sizeof(s->id_by_hash), "missing:%s", hex);
	if (s->settled > 0 && !s->several) {
		/* Not the first of the document: they must not be taken for one. */
		size_t n = strlen(s->id_by_hash);

		snprintf(s->id_by_hash + n, sizeof(s->id_by_hash) - n, "-%u",
			 (unsigned)s->settled + 1);
	}
	s->meta.report_id = s->id_by_hash;
	ag_warn_at(s, L_REPORT_ID, "missing_report_id: derived from the content");
}

static bool set_date(struct ag *s, enum ag_node leaf, int64_t *v_r)
{
	const char *note;

	if (!tap_norm_date(s->mval[leaf].text, v_r, &note)) {
		ag_refuse_report(s, "%s: %s", ag_leaves[leaf].path, note);
		return false;
	}
	if (note)
		ag_warn_at(s, leaf, "%s", note);
	return true;
}

static bool set_period(struct ag *s)
{
	struct tap_meta *m = &s->meta;
	static const char at[] = "report_metadata/date_range";

	if (!set_date(s, L_BEGIN, &m->begin) || !set_date(s, L_END, &m->end))
		return false;
	if (m->begin > m->end) {
		int64_t t = m->begin;

		m->begin = m->end;
		m->end = t;
		ag_warn(s, at, "reversed_period: the end lies before the begin, swapped");
	} else if (m->begin == m->end) {
		ag_warn(s, at, "empty_period: begin and end are the same");
	}
	if (m->end - m->begin > DAY + 2 * HOUR)
		ag_warn(s, at, "long_period: %lld hours", (long long)((m->end - m->begin) / HOUR));
	if (s->opt->now != 0 && m->begin > s->opt->now + 2 * DAY)
		ag_warn(s, at, "future_period: it begins more than two days from now");
	return true;
}

static void set_domain(struct ag *s)
{
	const char *sent = value(s, L_DOMAIN), *note;
	unsigned notes = 0;
	char *t;

	if (sent) {
		t = tap_text_clean(s->meta_arena, sent, strlen(sent), TAP_TEXT_LOWER, &notes, NULL);
		if (t) {
			tap_norm_domain(t, &note);
			if (note)
				ag_warn_at(s, L_DOMAIN, "%s", note);
			s->meta.domain = *t ? t : NULL;
		}
	}
	if (s->meta.domain)
		return;
	s->meta.domain = guess(s, 1, s->doc->hints ? s->doc->hints->domain : "", &note);
	ag_warn_at(s, L_DOMAIN, "missing_domain: %s", note);
}

/* The proper word, or what was sent with a warning. */
static const char *policy_word(struct ag *s, enum ag_node leaf, const struct tap_word *table)
{
	const char *t = value(s, leaf);
	const struct tap_word *w = t ? tap_word_find(table, t, strlen(t)) : NULL;

	if (t && !w)
		ag_warn_at(s, leaf, "unknown_word: %.100s", t);
	else if (w && w->name != w->means)
		ag_warn_at(s, leaf, "word: %s taken as %s", w->name, w->means);
	return w ? w->means : t;
}

static void set_policy(struct ag *s)
{
	struct tap_meta *m = &s->meta;
	const char *t;

	if (!s->has_policy)
		ag_warn(s, "policy_published", "missing_policy: absent");
	set_domain(s);
	m->version_published = value(s, L_VERSION_PUBLISHED);
	m->discovery_method = value(s, L_DISCOVERY);
	m->p = policy_word(s, L_P, tap_words_policy);
	m->sp = policy_word(s, L_SP, tap_words_policy);
	m->np = policy_word(s, L_NP, tap_words_policy);
	m->adkim = policy_word(s, L_ADKIM, tap_words_mode);
	m->aspf = policy_word(s, L_ASPF, tap_words_mode);
	m->pct = value(s, L_PCT);
	m->fo = value(s, L_FO);
	m->testing = value(s, L_TESTING);
	if (s->has_policy && !m->p)
		ag_warn_at(s, L_P, "missing_p: empty");
	t = m->pct;
	if (t && strcmp(t, "100") != 0 && (strlen(t) > 2 || strspn(t, "0123456789") != strlen(t)))
		ag_warn_at(s, L_PCT, "bad_pct: not a number from 0 to 100");
	t = m->discovery_method;
	if (t && strcmp(t, "psl") != 0 && strcmp(t, "treewalk") != 0)
		ag_warn_at(s, L_DISCOVERY, "unknown_word: %.100s", t);
	t = m->testing;
	if (t && strcmp(t, "y") != 0 && strcmp(t, "n") != 0)
		ag_warn_at(s, L_TESTING, "unknown_word: %.100s", t);
}

/* [I3]: over the values as they were sent, so that a better parser gives the same report the same key. Only what is missing is
 * replaced, and only by what stands in the document itself: the name of the file may change on the way. */
static void set_uid(struct ag *s)
{
	unsigned char digest[TAP_SHA256_BYTES];
	const char *org = value(s, L_ORG_NAME), *mail = value(s, L_EMAIL);
	struct tap_sha256 h;

	if (!org && mail && strrchr(mail, '@'))
		org = strrchr(mail, '@') + 1;
	tap_sha256_init(&h);
	tap_key_field(&h, "aggregate", false);
	tap_key_field(&h, org, true);
	tap_key_field(&h, s->meta.report_id, false);
	tap_key_field(&h, s->mval[L_DOMAIN].text, true);
	tap_key_field(&h, s->mval[L_BEGIN].text, false);
	tap_key_field(&h, s->mval[L_END].text, false);
	tap_sha256_final(&h, digest);
	tap_hex(digest, (TAP_UID_HEX - 1) / 2, s->meta.uid);
}

static bool finish_meta(struct ag *s)
{
	struct tap_meta *m = &s->meta;
	unsigned notes = 0;

	s->finished = true;
	*m = (struct tap_meta){.kind = TAP_KIND_AGGREGATE, .origin = s->doc->origin};
	if (!s->has_metadata) {
		ag_refuse_report(s, "report_metadata: missing");
		return false;
	}
	m->schema = schema_of(s);
	m->version = s->mval[L_VERSION].text;
	/* XML lets DEL and the C1 controls stand in an attribute. */
	if (s->root_has_ns)
		m->xml_namespace =
		    tap_text_clean(s->meta_arena, s->root_ns, strlen(s->root_ns), 0, &notes, NULL);
	if (m->schema == TAP_SCHEMA_RFC9990 && !s->root_has_ns)
		ag_warn(s, "feedback",
			"missing_namespace: elements of RFC 9990 without its namespace");
	m->generator = s->mval[L_GENERATOR].text;
	m->extra_contact_info = (struct tap_text){s->mval[L_CONTACT].text, s->mval[L_CONTACT].lang};
	if (!set_period(s))
		return false;
	set_who(s);
	set_id(s);
	set_policy(s);
	compare_name(s);
	m->errors = s->errors.v;
	m->n_errors = s->errors.n;
	m->receiving_domains = s->receiving;
	m->n_receiving_domains = s->n_receiving;
	set_uid(s);
	return true;
}

bool ag_prepare(struct ag *s)
{
	return s->finished ? !s->dead : finish_meta(s);
}

bool ag_begin(struct ag *s)
{
	enum tap_rc rc;

	if (s->begun)
		return true;
	if (!ag_prepare(s))
		return false;
	if (s->doc->work)
		tap_work_judge(s->doc->work, &s->meta);
	if (s->ev && s->ev->begin) {
		rc = s->ev->begin(s->ctx, &s->meta, s->err);
		if (rc != TAP_OK) {
			ag_fatal(s, rc);
			return false;
		}
	}
	s->begun = true;
	return true;
}

/* Begin went out with something that what came later has changed. */
static bool meta_changed(const struct ag *s)
{
	return !s->known &&
	       (schema_of(s) != s->meta.schema || s->mval[L_VERSION].text != s->meta.version);
}

/* The values of the meta part are not looked at again, so what was said of them must not be lost. */
static void keep_warnings(struct ag *s)
{
	s->n_kept = 0;
	for (size_t i = 0; i < s->end.n_warnings; i++) {
		const struct tap_warning *w = &s->warnings[i];
		struct tap_warning *k = &s->kept[s->n_kept];

		if (!strncmp(w->where, "record[", 7))
			continue;
		k->where = tap_arena_strndup(s->meta_arena, w->where, strlen(w->where));
		k->what = tap_arena_strndup(s->meta_arena, w->what, strlen(w->what));
		if (k->where && k->what)
			s->n_kept++;
	}
}

/* Reads the document once more, with the meta part that this pass has found. */
static void read_again(struct ag *s)
{
	struct tap_err why;

	tap_err_set(&why, TAP_E_DATA, "read again: metadata came late");
	ag_abort(s, &why);
	keep_warnings(s);
	s->known = true;
	s->rerun = true;
}

static void end_open_report(struct ag *s, bool truncated)
{
	unsigned long long at = s->record_no;
	bool no_id = !value(s, L_REPORT_ID);

	if ((s->silent || (no_id && !ag_content_hash(s))) && s->has_metadata) {
		read_again(s);
		return;
	}
	if (s->end.records == 0 && truncated) {
		ag_refuse_report(s, s->has_metadata
					? "the document ends before the first record is complete"
					: "the document ends before its metadata are complete");
		return;
	}
	if (!ag_begin(s))
		return;
	if (meta_changed(s)) {
		read_again(s);
		return;
	}
	if (!s->meta.domain && !s->any_domain) {
		ag_refuse_report(s, "no domain: neither policy_published nor a record names one");
		return;
	}
	if (truncated)
		ag_warn(s, "document",
			s->in_record ? "truncated: the document ends inside record %llu"
				     : "truncated: the document ends behind %llu records",
			at);
	if (s->end.records == 0)
		ag_warn(s, "record",
			s->bad_drop ? "no_records: none of them could be used"
				    : "no_records: the report has none");
	s->end.truncated = truncated;
	s->ended = true;
}

const unsigned char *ag_content_hash(const struct ag *s)
{
	if (s->several)
		return s->own_known ? s->own_hash : NULL;
	return s->hash_known ? s->hash : NULL;
}

void ag_report_end(struct ag *s, bool truncated)
{
	s->open = false;
	if (s->hashing) {
		tap_sha256_final(&s->own, s->own_hash);
		s->own_known = true;
		s->hashing = false;
	}
	if (!s->dead)
		end_open_report(s, truncated || s->report_cut);
	s->in_record = false;
	if (s->dead) {
		s->settled++;
		s->refused++;
		s->known = s->own_known = false;
		s->dead = false;
	}
	/* The end event waits for what stands behind the report: it may have to be said. */
}

static const struct {
	unsigned note;
	const char *what;
} doc_notes[] = {
    {NOTE_RECOVERED, "recovered: the document is not well-formed XML"},
    {NOTE_DOCTYPE, "doctype: ignored"},
    {NOTE_CASE, "element_case: names of elements found by ignoring letter case"},
    {NOTE_TEXT_OUTSIDE, "text_outside: text before or after the report ignored"},
    {NOTE_STRAY_TEXT, "stray_text: text between elements ignored"},
    {NOTE_UNCLOSED, "unclosed: an element around the report is not closed"},
    {NOTE_CONTROL, "control_characters: dropped"},
    {NOTE_BAD_UTF8, "bad_utf8: bytes that are no UTF-8 replaced"},
    {NOTE_ESCAPED, "escaped: < and & that begin no tag and no reference taken as text"},
    {NOTE_TAGS, "tags: end tags without a start or missing ones, repaired"},
    {NOTE_DECLARATION, "declaration: the XML declaration is odd"},
    {NOTE_MISPLACED, "misplaced_record: a record where none can stand ignored"},
    {NOTE_ENCODING, "encoding: declared is one that is not known"},
};

void ag_finish(struct ag *s)
{
	enum tap_rc rc = TAP_OK;

	ag_collect_notes(s);
	for (size_t i = 0; i < sizeof(doc_notes) / sizeof(doc_notes[0]); i++)
		if (s->notes & doc_notes[i].note)
			ag_warn(s, "document", "%s", doc_notes[i].what);
	if (s->damaged[0])
		ag_warn(s, "document", "container: %s", s->damaged);
	for (size_t i = 0; i < s->doc->n_notes; i++)
		ag_warn(s, "document", "%s", s->doc->notes[i]);
	s->end.recovered = (s->notes & (NOTE_RECOVERED | NOTE_UNCLOSED)) != 0;
	memcpy(s->end.content_hash, s->several ? s->own_hash : s->hash, TAP_HASH_BYTES);
	s->end.content_bytes = s->content_bytes;
	s->end.warnings = s->warnings;
	s->end.extension = ag_ext_taken(s, &s->ext);
	if (s->ev && s->ev->end)
		rc = s->ev->end(s->ctx, &s->end, s->err);
	s->begun = false;
	s->ended = false;
	s->known = s->own_known = false;
	s->settled++;
	s->res->reports++;
	if (rc != TAP_OK)
		ag_fatal(s, rc);
}
