/* SPDX-License-Identifier: Apache-2.0
 * parser/aggregate.c - see aggregate.h: the passes over a document, each through libxml2's push parser (SAX2, never a tree); what is
 * warned of and refused.
 * Nothing is ever fetched: no entity is declared or loaded, a DOCTYPE with declarations or an external name is refused. libxml2
 * is given UTF-8 only, so it never looks for a converter (xml_input.h). Errors and limits stop the handlers by s->stop, because
 * libxml2 goes on to the end of its chunk. */
#include "parser/aggregate_impl.h"

#include "parser/xml_input.h"
#include "parser/xml_repair.h"
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* aggregate_sax.c */
extern const xmlSAXHandler ag_handlers;

enum {
	READ_BYTES = 64 * 1024, /* from the document at once                              */
	FEED_BYTES = 16 * 1024, /* to libxml2 at once: stays in the first-level cache     */
	FREE_PASSES = 16,	/* strict, late, recovered; more only for several reports */
	MAX_NAMES = 4096,	/* different names of elements and attributes             */
	MAX_EQUALS = 1024,	/* in a tag of over 16 KiB; its values may hold some */
	MORE_BYTES =
	    512 * 1024 * 1024, /* in passes beyond those: small documents of many reports */
	ARENA_BYTES = 8 * 1024 * 1024,
	WARN_ARENA_BYTES = 256 * 1024,
};

static xmlParserCtxt *xml_of(const struct ag *s)
{
	return s->xml;
}

/* ---- warnings and refusals ---- */

/* Said already of the meta part when it was read for the first time? */
static bool is_kept(const struct ag *s, const char *where, const char *what)
{
	for (size_t i = 0; i < s->n_kept; i++)
		if (!strcmp(s->kept[i].where, where) && !strcmp(s->kept[i].what, what))
			return true;
	return false;
}

TAP_PRINTF(3, 0)
static void warn_v(struct ag *s, const char *where, const char *fmt, va_list ap)
{
	struct tap_warning *w;
	char what[400];
	unsigned notes = 0;
	int n;

	if (s->end.n_warnings >= s->lim->warnings) {
		s->end.warnings_total++;
		return;
	}
	n = vsnprintf(what, sizeof(what), fmt, ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(what))
		n = (int)tap_utf8_cut(what, sizeof(what) - 1, sizeof(what) - 4);
	if (s->known && s->end.n_warnings >= s->n_kept && is_kept(s, where, what))
		return;
	s->end.warnings_total++;
	w = &s->warnings[s->end.n_warnings];
	w->where = tap_arena_strndup(s->warn_arena, where, strlen(where));
	w->what = tap_text_clean(s->warn_arena, what, (size_t)n, 0, &notes, NULL);
	if (w->where && w->what)
		s->end.n_warnings++;
}

void ag_warn(struct ag *s, const char *where, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	warn_v(s, where, fmt, ap);
	va_end(ap);
}

void ag_warn_at(struct ag *s, enum ag_node node, const char *fmt, ...)
{
	const char *path = ag_leaves[node].path;
	char where[120];
	va_list ap;

	if (s->in_record && (node < L_VERSION || node > L_RECEIVING_DOMAIN))
		snprintf(where, sizeof(where), "record[%llu]%s%s", (unsigned long long)s->record_no,
			 path ? "/" : "", path ? path : "");
	else
		snprintf(where, sizeof(where), "%s", path ? path : "feedback");
	va_start(ap, fmt);
	warn_v(s, where, fmt, ap);
	va_end(ap);
}

/* Offset in the document of what libxml2 looks at. In recovery its text is not that of the document. */
static unsigned long long offset(const struct ag *s)
{
	const xmlParserCtxt *x = xml_of(s);
	uint64_t held = 0;

	if (!s->recover && x && x->input)
		held = (uint64_t)(x->input->end - x->input->cur);
	return s->fed_end > held ? s->fed_end - held : 0;
}

/* "feedback/record[3]/row", for messages. */
static void path_of(const struct ag *s, char *out, size_t size)
{
	const xmlParserCtxt *x = xml_of(s);
	int first = s->recover ? 1 : 0;
	size_t n = 0;

	out[0] = '\0';
	for (int i = first; x && i < x->nameNr && n < size - 60; i++) {
		n += (size_t)snprintf(out + n, size - n, "%s%.40s", i > first ? "/" : "",
				      (const char *)x->nameTab[i]);
		if (s->node[i + 1] == N_RECORD)
			n += (size_t)snprintf(out + n, size - n, "[%llu]",
					      (unsigned long long)s->record_no);
	}
	if (n == 0)
		snprintf(out, size, "document");
}

TAP_PRINTF(3, 0)
static void stop_v(struct ag *s, struct tap_err *to, const char *fmt, va_list ap)
{
	char path[200], why[300];

	path_of(s, path, sizeof(path));
	vsnprintf(why, sizeof(why), fmt, ap);
	tap_err_set(to, TAP_E_DATA, "at byte %llu, %s: %s", offset(s), path, why);
}

/* The first reason is the one that is told. */
static void tell(struct ag *s, const struct tap_err *why)
{
	if (!s->res->why[0])
		snprintf(s->res->why, sizeof(s->res->why), "%s", why->msg);
}

void ag_refuse(struct ag *s, const char *fmt, ...)
{
	va_list ap;

	if (s->stop)
		return;
	va_start(ap, fmt);
	stop_v(s, &s->stop_err, fmt, ap);
	va_end(ap);
	s->stop = AG_REFUSED;
}

void ag_refuse_report(struct ag *s, const char *fmt, ...)
{
	struct tap_err why;
	va_list ap;

	if (s->stop || s->dead)
		return;
	va_start(ap, fmt);
	stop_v(s, &why, fmt, ap);
	va_end(ap);
	tell(s, &why);
	ag_abort(s, &why);
	s->dead = true;
}

void ag_fatal(struct ag *s, enum tap_rc rc)
{
	s->stop = AG_FATAL;
	s->fatal = rc;
	s->begun = false; /* no event after the one that failed */
}

void ag_syntax(struct ag *s, const char *msg)
{
	if (s->stop)
		return;
	tap_err_set(&s->stop_err, TAP_E_DATA, "at byte %llu: %.*s", offset(s),
		    (int)strcspn(msg, "\n"), msg);
	s->stop = AG_SYNTAX;
}

/* ---- one pass ---- */

struct pass {
	struct tap_xml_input in;
	struct tap_buf utf8, repaired;
	bool started; /* the first bytes were seen */
	unsigned char raw[READ_BYTES];
};

/* libxml2 waits for the ; of a reference and the ?> of an instruction however far it is. */
static bool waits_in_vain(const xmlChar *p, size_t n)
{
	return n > 2 && (p[0] == '&' || (p[0] == '<' && p[1] == '?')) && memchr(p + 1, '<', n - 1);
}

/* What libxml2 holds back until it has seen its end. It compares each attribute of a tag with each other before we are asked, so
 * a long tag with many of them must not get that far. */
static void look_at_held(struct ag *s, const xmlChar *p, size_t n)
{
	unsigned equals = 0;

	if (waits_in_vain(p, n)) {
		ag_syntax(s, "a reference or an instruction without its end");
		return;
	}
	if (n > TAP_XML_TOKEN) {
		ag_refuse(s, "a single tag or comment of over 128 KiB");
		return;
	}
	if (p[0] != '<' || p[1] == '!' || p[1] == '?')
		return;
	for (size_t i = 0; i < n; i++)
		equals += p[i] == '=';
	if (equals > MAX_EQUALS)
		ag_refuse(s, "more than %d attributes in one tag", TAP_XML_ATTRIBUTES);
}

/* Text in UTF-8 to libxml2. `behind` = bytes of the document behind these. */
static void feed(struct ag *s, const char *p, size_t n, uint64_t behind)
{
	xmlParserCtxt *x = xml_of(s);

	while (n > 0 && !s->stop) {
		size_t k = n < FEED_BYTES ? n : FEED_BYTES;

		n -= k;
		s->fed_end = s->recover ? s->raw_bytes : s->raw_bytes - behind - n;
		xmlParseChunk(x, p, (int)k, 0);
		p += k;
		if (s->stop)
			return;
		if (x->input && x->input->end - x->input->cur > FEED_BYTES)
			look_at_held(s, x->input->cur, (size_t)(x->input->end - x->input->cur));
		if (s->stop)
			return;
		if (xmlDictSize(x->dict) > MAX_NAMES)
			ag_refuse(s, "more than %d different names", MAX_NAMES);
		else if (x->disableSAX)
			ag_refuse(s, "libxml2 gave up: %s",
				  x->lastError.message ? x->lastError.message : "unknown");
	}
}

static void repair_and_feed(struct ag *s, struct pass *ps, const char *p, size_t n)
{
	const char *why;

	while (n > 0 && !s->stop) {
		size_t k = n < 4096 ? n : 4096;

		tap_buf_reset(&ps->repaired);
		if (!tap_xml_repair_feed(s->repair, p, k, &ps->repaired, &why) ||
		    ps->repaired.failed) {
			ag_refuse(s, "%s", why ? why : "too much text in one tag");
			return;
		}
		feed(s, ps->repaired.p, ps->repaired.len, 0);
		p += k;
		n -= k;
	}
}

static void first_bytes(struct ag *s, struct pass *ps, size_t n)
{
	static const char root[] = "<tap>";

	ps->started = true;
	tap_xml_input_start(&ps->in, ps->raw, n);
	if (ps->in.odd_declaration)
		s->notes |= NOTE_DECLARATION;
	if (ps->in.unknown_encoding)
		s->notes |= NOTE_ENCODING;
	if (!s->recover)
		return;
	s->repair = tap_xml_repair_new(!ps->in.declared_utf8 && !ps->in.decode,
				       s->lim->xml_depth + s->lim->extension_depth);
	/* One root around everything: then any number of reports may follow one another. */
	feed(s, root, sizeof(root) - 1, 0);
}

static void take_bytes(struct ag *s, struct pass *ps, size_t n)
{
	const char *p = (const char *)ps->raw;
	bool first = !ps->started;

	if (first) {
		first_bytes(s, ps, n);
		p += ps->in.skip;
		n -= ps->in.skip;
	}
	if (ps->in.decode) {
		tap_buf_reset(&ps->utf8);
		tap_xml_input_decode(&ps->in, (const unsigned char *)p, n, &ps->utf8);
		p = ps->utf8.p;
		n = ps->utf8.len;
	}
	if (n == 0)
		return;
	if (s->recover)
		repair_and_feed(s, ps, p, n);
	else if (first && *p != '<')
		ag_syntax(s, "it does not begin with a tag");
	else if (memchr(p, 0, n))
		ag_syntax(s, "a NUL byte");
	else
		feed(s, p, n, 0);
}

/* Fills the buffer as far as the document goes. False: stopped. */
static bool fill(struct ag *s, struct pass *ps, size_t *n_r, bool *last_r)
{
	struct tap_err e = {0};
	size_t n = 0;

	*last_r = false;
	while (n < READ_BYTES) {
		size_t got = 0;
		enum tap_rc rc = s->doc->read(s->doc->ctx, ps->raw + n, READ_BYTES - n, &got, &e);

		if (rc == TAP_E_DATA) {
			snprintf(s->damaged, sizeof(s->damaged), "%.190s", e.msg);
		} else if (rc == TAP_E_LIMIT) {
			s->raw_bytes += n;
			ag_refuse(s, "%s", e.msg);
			return false;
		} else if (rc != TAP_OK) {
			*s->err = e;
			ag_fatal(s, rc);
			return false;
		}
		if (rc != TAP_OK || got == 0) {
			*last_r = true;
			break;
		}
		n += got;
	}
	if (!s->hash_known)
		tap_sha256_update(&s->sha, ps->raw, n);
	s->raw_bytes += n;
	*n_r = n;
	return true;
}

void ag_collect_notes(struct ag *s)
{
	static const struct {
		unsigned from, to;
	} map[] = {
	    {TAP_REPAIR_CONTROL, NOTE_CONTROL},	     {TAP_REPAIR_UTF8, NOTE_BAD_UTF8},
	    {TAP_REPAIR_ESCAPED, NOTE_ESCAPED},	     {TAP_REPAIR_TAGS, NOTE_TAGS},
	    {TAP_REPAIR_OUTSIDE, NOTE_TEXT_OUTSIDE}, {TAP_REPAIR_DOCTYPE, NOTE_DOCTYPE},
	};

	if (!s->repair)
		return;
	s->notes |= NOTE_RECOVERED;
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (tap_xml_repair_notes(s->repair) & map[i].from)
			s->notes |= map[i].to;
}

static void end_of_document(struct ag *s)
{
	if (s->depth > 0 && !s->open && !s->recover)
		s->notes |= NOTE_UNCLOSED;
	if (!s->hash_known) {
		tap_sha256_final(&s->sha, s->hash);
		s->content_bytes = s->raw_bytes;
		s->hash_known = true;
	}
	if (s->open)
		ag_report_end(s, true);
	if (s->ended)
		ag_finish(s);
}

static void reset_pass(struct ag *s)
{
	s->stop = AG_RUN;
	s->rerun = false;
	s->raw_bytes = s->fed_end = 0;
	s->feedbacks = 0;
	s->depth = s->ext_from = 0;
	s->node[0] = N_OUTER;
	s->collect = s->open = s->ended = s->dead = s->silent = s->begun = s->in_record = false;
	s->hashing = false;
	memset(s->names, 0, sizeof(s->names));
	s->n_names = 0;
	tap_sha256_init(&s->sha);
}

static void read_all(struct ag *s, struct pass *ps)
{
	enum tap_rc rc = s->doc->rewind(s->doc->ctx, s->err);
	bool last = false;

	if (rc != TAP_OK) {
		ag_fatal(s, rc);
		return;
	}
	while (!last && !s->stop) {
		size_t n;

		if (s->opt->cancelled && s->opt->cancelled(s->opt->cancelled_ctx)) {
			ag_fatal(s, tap_err_set(s->err, TAP_E_CANCELLED, "cancelled"));
			return;
		}
		if (!fill(s, ps, &n, &last))
			return;
		if (n > 0)
			take_bytes(s, ps, n);
	}
	if (!s->stop && !s->recover) {
		const xmlParserInput *in = xml_of(s)->input;

		if (in && waits_in_vain(in->cur, (size_t)(in->end - in->cur)))
			ag_syntax(s, "a reference or an instruction without its end");
	}
	if (!s->stop)
		end_of_document(s);
}

static void one_pass(struct ag *s, struct pass *ps)
{
	xmlSAXHandler h = ag_handlers;
	xmlParserCtxt *x;

	reset_pass(s);
	x = xmlCreatePushParserCtxt(&h, s, NULL, 0, NULL);
	if (!x) {
		ag_fatal(s, tap_err_set(s->err, TAP_E_TEMP, "out of memory"));
		return;
	}
	s->xml = x;
	xmlCtxtUseOptions(x, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
				 XML_PARSE_COMPACT | XML_PARSE_IGNORE_ENC);
	x->recovery = s->recover;
	ps->started = false;
	read_all(s, ps);
	ag_collect_notes(s);
	tap_xml_repair_free(&s->repair);
	s->xml = NULL;
	xmlFreeDoc(x->myDoc);
	xmlFreeParserCtxt(x);
}

/* ---- the whole ---- */

static struct ag *ag_new(struct tap_document *doc, const struct tap_parse_options *opt,
			 const struct tap_events *ev, void *ctx, struct tap_document_result *res,
			 struct tap_err *err)
{
	struct ag *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->doc = doc;
	s->opt = opt;
	s->lim = opt->limits;
	s->ev = ev;
	s->ctx = ctx;
	s->res = res;
	s->err = err;
	s->meta_arena = tap_arena_new(ARENA_BYTES);
	s->rec_arena = tap_arena_new(ARENA_BYTES);
	s->warn_arena = tap_arena_new(WARN_ARENA_BYTES);
	s->warnings = calloc(s->lim->warnings ? s->lim->warnings : 1, sizeof(*s->warnings));
	s->kept = calloc(s->lim->warnings ? s->lim->warnings : 1, sizeof(*s->kept));
	if (!s->warnings || !s->kept)
		abort();
	tap_buf_init(&s->text,
		     (size_t)(s->lim->long_text > s->lim->text ? s->lim->long_text : s->lim->text) +
			 8);
	/* An outermost element may go over the limit by one piece of text before it is taken back. */
	tap_buf_init(&s->ext, (size_t)s->lim->extension_bytes + TAP_XML_TOKEN * 8);
	tap_buf_init(&s->rec_ext, (size_t)s->lim->extension_bytes + TAP_XML_TOKEN * 8);
	return s;
}

static void ag_free(struct ag *s)
{
	tap_arena_free(&s->meta_arena);
	tap_arena_free(&s->rec_arena);
	tap_arena_free(&s->warn_arena);
	tap_buf_free(&s->text);
	tap_buf_free(&s->ext);
	tap_buf_free(&s->rec_ext);
	free(s->warnings);
	free(s->kept);
	free(s->errors.v);
	free(s->receiving);
	free(s->dkim.v);
	free(s->spf.v);
	free(s->reasons.v);
	free(s);
}

/* What the passes have come to. */
static void conclude(struct ag *s, bool claimed)
{
	if (s->stop == AG_REFUSED)
		tell(s, &s->stop_err);
	if (s->res->reports > 0)
		s->res->verdict = TAP_DOC_REPORT;
	else if (claimed || (s->stop == AG_REFUSED && s->stop_err.rc != TAP_E_NOTFOUND))
		s->res->verdict = TAP_DOC_BROKEN;
	else
		s->res->verdict = TAP_DOC_NOT_A_REPORT;
	s->res->broken =
	    s->refused + (s->stop == AG_REFUSED && s->res->verdict != TAP_DOC_NOT_A_REPORT);
	if (s->res->verdict == TAP_DOC_BROKEN && s->res->broken == 0) {
		/* The strict reading saw its beginning, the repaired text has none of it. */
		s->res->broken = 1;
		if (!s->res->why[0])
			snprintf(s->res->why, sizeof(s->res->why), "%.400s",
				 s->stop_err.msg[0] ? s->stop_err.msg : "no report in it");
	}
	if (s->res->verdict == TAP_DOC_NOT_A_REPORT && !s->res->why[0])
		snprintf(s->res->why, sizeof(s->res->why),
			 "no element feedback in %llu bytes%s%.300s",
			 (unsigned long long)s->raw_bytes, s->stop_err.msg[0] ? "; " : "",
			 s->stop_err.msg);
}

static enum tap_rc run(struct ag *s, struct pass *ps)
{
	bool claimed = false;

	for (int passes = 1;; passes++) {
		one_pass(s, ps);
		s->all_bytes += s->raw_bytes;
		claimed |= s->feedbacks > 0;
		if (s->stop == AG_FATAL)
			return s->fatal;
		if (s->stop)
			ag_abort(s, &s->stop_err);
		if (s->stop == AG_SYNTAX) {
			s->recover = true;
			s->notes = 0;
			s->known = false;
			s->hash_known = s->own_known = false;
		} else if (s->stop == AG_REFUSED || !s->rerun) {
			break;
		}
		if (passes >= FREE_PASSES && s->all_bytes > MORE_BYTES) {
			tap_err_set(&s->stop_err, TAP_E_LIMIT,
				    "too many reports with late metadata in one document");
			s->stop = AG_REFUSED;
			break;
		}
	}
	conclude(s, claimed);
	return TAP_OK;
}

enum tap_rc tap_aggregate_read(struct tap_document *doc, const struct tap_parse_options *opt,
			       const struct tap_events *ev, void *ctx,
			       struct tap_document_result *res, struct tap_err *err)
{
	struct tap_err local = {0};
	struct pass *ps = calloc(1, sizeof(*ps));
	struct ag *s;
	enum tap_rc rc;

	if (!ps)
		abort();
	memset(res, 0, sizeof(*res));
	tap_buf_init(&ps->utf8, (size_t)3 * READ_BYTES + 16);
	tap_buf_init(&ps->repaired, (size_t)16 * TAP_XML_TOKEN);
	s = ag_new(doc, opt, ev, ctx, res, err ? err : &local);
	rc = run(s, ps);
	ag_free(s);
	tap_buf_free(&ps->utf8);
	tap_buf_free(&ps->repaired);
	free(ps);
	return rc;
}
