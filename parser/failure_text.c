/* SPDX-License-Identifier: Apache-2.0
 * parser/failure_text.c - failure reports in the words of Exim, as cPanel, Baruwa and others send them: a sentence, lines of
 * label and value, a line of dashes, and the header of the message. See failure_impl.h. */
#include "parser/failure_impl.h"
#include "parser/sniff.h"
#include "parser/utf8.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char sentence[] = "message claiming to be from you has failed";

/* Behind the sentence; NULL when it is not there. Any run of blanks stands for one, so that wrapped lines match. */
static const char *find_sentence(const char *p, size_t n)
{
	const char *end = p + n, *q;
	size_t k;

	for (; p < end; p++) {
		if ((*p | 0x20) != 'm')
			continue;
		for (q = p, k = 0; sentence[k] && q < end; k++) {
			if (sentence[k] != ' ') {
				if ((*q | 0x20) != sentence[k])
					break;
				q++;
				continue;
			}
			if (!tap_is_space(*q) && *q != '>')
				break;
			while (q < end && (tap_is_space(*q) || *q == '>'))
				q++;
		}
		if (sentence[k] == '\0')
			return q;
	}
	return NULL;
}

bool tap_failure_is_text(const char *p, size_t n)
{
	return find_sentence(p, n) != NULL;
}

static void take_domain(struct fl *s, const char *where, char *v)
{
	(void)where;
	v[strcspn(v, " \t,;")] = '\0';
	if (*v)
		fl_list_add(s, FL_DOMAIN, where, v);
}

static void take_ip(struct fl *s, const char *where, char *v)
{
	fl_source_ip(s, where, v);
}

static void take_date(struct fl *s, const char *where, char *v)
{
	(void)where;
	if (*v)
		s->received_date = v;
}

static void alignment(struct fl *s, const char *mech, const char *where, const char *v)
{
	bool yes = strncasecmp(v, "yes", 3) == 0 || strncasecmp(v, "pass", 4) == 0;
	bool no = strncasecmp(v, "no", 2) == 0 || strncasecmp(v, "fail", 4) == 0;

	if (!yes && !no) {
		fl_warn(s, where, "unknown_word: %.100s", v);
		return;
	}
	s->f.alignment_known = true;
	fl_list_add(s, yes ? FL_ALIGNED : FL_FAILED, where, mech);
}

static void take_spf(struct fl *s, const char *where, char *v)
{
	alignment(s, "spf", where, v);
}

static void take_dkim(struct fl *s, const char *where, char *v)
{
	alignment(s, "dkim", where, v);
}

/* "None, Accept": the policy, then what was done. */
static void take_result(struct fl *s, const char *where, char *v)
{
	static const struct {
		const char *word, *means;
	} t[] = {{"reject", "reject"}, {"quarantine", "policy"}, {"accept", "delivered"}};

	(void)where;
	for (size_t i = 0; i < sizeof t / sizeof *t && s->f.delivery_result == NULL; i++)
		if (strcasestr(v, t[i].word))
			s->f.delivery_result = t[i].means;
	if (s->f.delivery_result == NULL)
		s->f.delivery_result = "other";
	s->f.delivery_result_raw = v;
}

static const struct label {
	const char *name;
	void (*take)(struct fl *s, const char *where, char *v);
	bool extra, lower; /* extra: what it says is kept as it stands, too */
} labels[] = {
    {"Sender Domain", take_domain, false, true}, {"Sender IP Address", take_ip, false, false},
    {"Sender IP", take_ip, false, false},	 {"Received date", take_date, false, false},
    {"SPF Alignment", take_spf, true, false},	 {"DKIM Alignment", take_dkim, true, false},
    {"DMARC Results", take_result, true, false}, {"DMARC Result", take_result, true, false},
};

static bool is_label(const char *p, size_t n, const char *name)
{
	size_t len = strlen(name);

	while (n > 0 && tap_is_space(p[n - 1]))
		n--;
	return n == len && strncasecmp(p, name, n) == 0;
}

static void read_label(struct fl *s, const struct tap_fb_field *f)
{
	const struct label *l = NULL;
	char *v;

	for (size_t i = 0; i < sizeof labels / sizeof *labels && l == NULL; i++)
		if (is_label(f->name, f->name_len, labels[i].name))
			l = &labels[i];
	if (l == NULL || l->extra)
		fl_add_extra(s, f);
	if (l == NULL)
		return;
	s->known++;
	if (s->seen >> (l - labels) & 1) {
		fl_warn(s, l->name, "duplicate: the first one counts");
		return;
	}
	s->seen |= (uint64_t)1 << (l - labels);
	v = fl_text(s, l->name, f->value, f->n, s->w->lim->text, l->lower);
	if (v)
		l->take(s, l->name, v);
}

static const char *next_line(const char *p, const char *end)
{
	const char *lf = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;

	return lf ? lf + 1 : end;
}

static bool blank_line(const char *p, const char *end)
{
	while (p < end && (tap_is_space(*p) || *p == '>'))
		p++;
	return p == end;
}

/* A label: words of letters and blanks up to a colon, no URL and no time. */
static const char *label_end(const char *p, const char *end)
{
	const char *colon = memchr(p, ':', (size_t)(end - p));

	if (colon == NULL || colon - p > 40 || colon == p)
		return NULL;
	for (; p < colon; p++)
		if (!((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') && *p != ' ' && *p != '-' &&
		    *p != '/')
			return NULL;
	return colon;
}

/* The labels from p on; returns the line of dashes, or end. A line without a label goes on with the value before. */
static const char *read_labels(struct fl *s, const char *p, const char *end)
{
	struct tap_fb_field f = {0};
	const char *next, *colon, *from;

	for (; p < end; p = next) {
		next = next_line(p, end);
		for (from = p; from < next && (*from == ' ' || *from == '\t' || *from == '>');)
			from++;
		if (blank_line(from, next) || (next - from >= 5 && memcmp(from, "-----", 5) == 0)) {
			if (f.name)
				read_label(s, &f);
			f.name = NULL;
			if (!blank_line(from, next))
				return p;
			continue;
		}
		colon = label_end(from, next);
		if (colon == NULL) {
			if (f.name)
				f.n = (size_t)(next - f.value);
			continue;
		}
		if (f.name)
			read_label(s, &f);
		f.name = from;
		f.name_len = (size_t)(colon - from);
		f.value = colon + 1;
		f.n = (size_t)(next - f.value);
	}
	if (f.name)
		read_label(s, &f);
	return end;
}

/* What follows the line of dashes, which may be wrapped, and the blank lines behind it. */
static void find_sample(struct fl *s, const char *p, const char *end)
{
	if (p == end)
		return;
	p = next_line(p, end);
	for (const char *q = p; q < end && !blank_line(q, next_line(q, end)); q = next_line(q, end))
		if (tap_sniff_header_line(q, (size_t)(next_line(q, end) - q))) {
			p = q;
			break;
		} else {
			p = next_line(q, end);
		}
	while (p < end && blank_line(p, next_line(p, end)))
		p = next_line(p, end);
	if (p == end || !tap_sniff_header_line(p, (size_t)(end - p)))
		return;
	s->sample = p;
	s->sample_len = (size_t)(end - p);
	s->headers_only = true;
}

static enum tap_rc read_text(struct fl *s, const char *p, const char *end,
			     struct tap_document_result *res, struct tap_err *err)
{
	/* The rest of the sentence ends with its paragraph. */
	while (p < end && !blank_line(p, next_line(p, end)) && !label_end(p, next_line(p, end)))
		p = next_line(p, end);
	p = read_labels(s, p, end);
	if (s->known == 0) {
		res->verdict = TAP_DOC_BROKEN;
		res->broken = 1;
		tap_why_set(res->why, "failure report (text of Exim) without any of its labels");
		return TAP_OK;
	}
	find_sample(s, p, end);
	s->meta.kind = TAP_KIND_FAILURE;
	s->f.feedback_type = "auth-failure";
	fl_list_add(s, FL_AUTH_FAILURE, "text", "dmarc");
	return fl_emit(s, res, err);
}

enum tap_rc tap_failure_text_emit(struct tap_work *w, const struct tap_failure_parts *parts,
				  const char *text, size_t n, struct tap_document_result *res,
				  struct tap_err *err)
{
	struct tap_failure_parts own = *parts;
	const char *from = find_sentence(text, n);
	struct fl *s;
	enum tap_rc rc;

	memset(res, 0, sizeof *res);
	if (from == NULL) {
		res->verdict = TAP_DOC_NOT_A_REPORT;
		return TAP_OK;
	}
	s = malloc(sizeof *s);
	if (s == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for a failure report");
	/* The text takes the place of the fields in the key. */
	own.fields = text;
	own.fields_len = n;
	fl_init(s, w, &own);
	s->f.format = TAP_FORMAT_EXIM_TEXT;
	rc = read_text(s, from, text + n, res, err);
	fl_clear(s);
	free(s);
	return rc;
}
