/* SPDX-License-Identifier: Apache-2.0
 * parser/aggregate_sax.c - what libxml2 calls for the aggregate reader: the stack of elements and the text of the leaf that is open.
 * Once s->stop is set nothing here does anything, because libxml2 goes on to the end of its chunk. */
#include "parser/aggregate_impl.h"

#include "parser/xml_repair.h"
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <string.h>

extern const xmlSAXHandler ag_handlers;

enum { MAX_REPORTS = 1000 }; /* in one document: honest ones hold one */

/* ---- elements ---- */

/* libxml2 gives each name one address in a document, so a name is compared once. */
static unsigned element_of(struct ag *s, const xmlChar *name)
{
	uintptr_t p = (uintptr_t)name;
	unsigned at = (unsigned)(p >> 3 ^ p >> 11) & 255;
	bool folded;
	unsigned e;

	while (s->names[at].name) {
		if (s->names[at].name == name)
			return s->names[at].element;
		at = (at + 1) & 255;
	}
	e = ag_element_find((const char *)name, strlen((const char *)name), &folded);
	if (folded)
		s->notes |= NOTE_CASE;
	if (s->n_names < 128) {
		s->names[at].name = name;
		s->names[at].element = (unsigned char)e;
		s->n_names++;
	}
	return e;
}

static bool is_dmarc_ns(const char *uri)
{
	return !strncmp(uri, "urn:ietf:params:xml:ns:dmarc", 28) ||
	       !strncmp(uri, "http://dmarc.org/", 17);
}

/* A child of record in a namespace that is neither that of record nor one of DMARC is an extension; so is one of feedback when
 * feedback is in a namespace of DMARC. Everywhere else only local names count. */
static bool is_foreign(const struct ag *s, enum ag_node parent, const char *uri)
{
	const char *ns = parent == N_RECORD ? s->record_ns : s->feedback_ns;

	if (parent == N_FEEDBACK && !(ns && is_dmarc_ns(ns)))
		return false;
	return uri && uri != ns && (!ns || strcmp(uri, ns) != 0) && !is_dmarc_ns(uri);
}

static enum ag_node start_feedback(struct ag *s, const char *uri)
{
	uint32_t no = s->feedbacks++;

	if (s->open)
		return N_SKIP;
	if (s->ended && s->several && s->hash_known) {
		ag_finish(s);
		if (s->stop)
			return N_SKIP;
	} else if (s->ended) {
		/* A second report. From now on each is hashed by itself, which must begin with the first. */
		struct tap_err why;

		tap_err_set(&why, TAP_E_DATA, "read again: the document holds several reports");
		ag_abort(s, &why);
		s->several = s->rerun = true;
	}
	if (no < s->settled || s->rerun)
		return N_SKIP;
	if (no >= MAX_REPORTS) {
		ag_refuse(s, "more than %d reports in one document", MAX_REPORTS);
		return N_SKIP;
	}
	s->feedback_ns = uri;
	ag_report_start(s, uri);
	return N_FEEDBACK;
}

static enum ag_node start_record(struct ag *s, const char *uri)
{
	bool no_id = !(s->mval[L_REPORT_ID].text && *s->mval[L_REPORT_ID].text);

	if (!s->begun &&
	    ((!s->known && (!s->has_metadata || !s->has_policy)) || (no_id && !ag_content_hash(s))))
		s->silent = true;
	if (s->silent) {
		if (++s->record_no > s->lim->records)
			ag_refuse_report(s, "more than %llu records",
					 (unsigned long long)s->lim->records);
		return N_SKIP;
	}
	if (!ag_prepare(s))
		return N_SKIP;
	s->record_ns = uri;
	ag_record_start(s);
	return N_RECORD;
}

static enum ag_node start_container(struct ag *s, enum ag_node node, unsigned element,
				    const char *uri)
{
	switch (node) {
	case N_OUTER: return element == ag_el_feedback ? start_feedback(s, uri) : N_OUTER;
	case N_RECORD: return start_record(s, uri);
	case N_METADATA:
	case N_POLICY:
		if (node == N_METADATA ? s->has_metadata && !s->known
				       : s->has_policy && !s->known) {
			ag_warn(s, node == N_METADATA ? "report_metadata" : "policy_published",
				"duplicate: the first one counts");
			return N_SKIP;
		}
		return node;
	case N_EXTENSION:
		s->has_extension = true;
		s->ext_from = s->depth;
		return node;
	case N_EVALUATED: s->has_evaluated = true; return node;
	case N_DKIM:
	case N_SPF: ag_auth_start(s, node); return node;
	case N_REASON:
		ag_reason_start(s);
		tap_buf_reset(&s->text);
		s->text_cut = false;
		s->text_max = s->lim->text;
		s->collect = true;
		return node;
	default: return node;
	}
}

static void start_leaf(struct ag *s, enum ag_node leaf, int n_attr, const xmlChar **attr)
{
	s->collect = true;
	s->text.len = 0;
	s->text.failed = false;
	s->text_cut = false;
	s->text_max = ag_leaves[leaf].flags & LEAF_LONG ? s->lim->long_text : s->lim->text;
	s->lang[0] = '\0';
	for (int i = 0; i < n_attr; i++) {
		const xmlChar **a =
		    attr + (ptrdiff_t)5 * i; /* name, prefix, namespace, value, its end */
		size_t n = (size_t)(a[4] - a[3]);

		if (strcmp((const char *)a[0], "lang") == 0 && n < sizeof(s->lang)) {
			memcpy(s->lang, a[3], n);
			s->lang[n] = '\0';
		}
	}
	if (s->lang[0] && !strcasecmp(s->lang, "en"))
		s->lang[0] = '\0';
}

/* Names, values and text as they come: what differs in its content differs here. */
static void hash_start(struct ag *s, const xmlChar *name, int n_attr, const xmlChar **attr)
{
	tap_sha256_update(&s->own, "\1", 1);
	tap_sha256_update(&s->own, name, strlen((const char *)name));
	for (int i = 0; i < n_attr; i++) {
		const xmlChar **a = attr + (ptrdiff_t)5 * i;

		tap_sha256_update(&s->own, "\3", 1);
		tap_sha256_update(&s->own, a[0], strlen((const char *)a[0]));
		tap_sha256_update(&s->own, "\4", 1);
		tap_sha256_update(&s->own, a[3], (size_t)(a[4] - a[3]));
	}
	tap_sha256_update(&s->own, "\5", 1);
}

static bool within_limits(struct ag *s, int n_attr)
{
	unsigned max = s->lim->xml_depth + (s->ext_from ? s->lim->extension_depth : 0);

	if (n_attr > TAP_XML_ATTRIBUTES)
		ag_refuse(s, "more than %d attributes in one tag", TAP_XML_ATTRIBUTES);
	if (s->recover)
		max++;
	if (s->depth > max || s->depth >= sizeof(s->node))
		ag_refuse(s, "elements nested deeper than %u", s->recover ? max - 1 : max);
	return !s->stop;
}

/* Records where none can stand are lost, which must be told. What is listened to only, and reports that another pass reads (they
 * are skipped and not open), are not. */
static void look_for_record(struct ag *s, enum ag_node parent, unsigned element)
{
	if (element != ag_el_record || parent == N_FEEDBACK || s->dead || s->silent ||
	    (parent == N_SKIP && !s->open))
		return;
	s->notes |= NOTE_MISPLACED;
}

static void on_start(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
		     int n_ns, const xmlChar **ns, int n_attr, int n_default, const xmlChar **attr)
{
	struct ag *s = user;
	enum ag_node parent, node;
	unsigned element;

	(void)n_default;
	if (s->stop)
		return;
	parent = s->node[s->depth++];
	if (!within_limits(s, n_attr))
		return;
	if (s->hashing)
		hash_start(s, name, n_attr, attr);
	if (s->ext_from || parent == N_SKIP || parent >= N_CONTAINERS || s->dead) {
		/* Inside of a leaf the text goes on: <org_name>Example <b>Inc</b></org_name>. */
		s->node[s->depth] = N_SKIP;
		if (s->ext_from)
			ag_ext_start(s, (const char *)name, (const char *)prefix, (const char *)uri,
				     n_ns, ns, n_attr, attr);
		else if (strcmp((const char *)name, "record") == 0)
			look_for_record(s, parent, ag_el_record);
		return;
	}
	element = element_of(s, name);
	node = ag_node_below(parent, element);
	look_for_record(s, parent, element);
	if (element == ag_el_feedback && parent != N_OUTER && !s->recover) {
		/* The end of the first is missing; the repair knows what to do. */
		ag_syntax(s, "feedback inside of feedback");
		return;
	}
	s->collect = false;
	if ((parent == N_RECORD || parent == N_FEEDBACK) &&
	    is_foreign(s, parent, (const char *)uri)) {
		node = parent == N_RECORD ? N_EXTENSION : N_SKIP;
		if (parent == N_RECORD)
			s->ext_from = s->depth;
		else
			look_for_record(s, node, element);
	}
	if (node >= N_CONTAINERS)
		start_leaf(s, node, n_attr, attr);
	else if (node != N_SKIP && !(node == N_EXTENSION && parent == N_RECORD))
		node = start_container(s, node, element, (const char *)uri);
	s->node[s->depth] = (unsigned char)node;
	if (s->ext_from)
		ag_ext_start(s, (const char *)name, (const char *)prefix, (const char *)uri, n_ns,
			     ns, n_attr, attr);
}

static void end_container(struct ag *s, enum ag_node node)
{
	switch (node) {
	case N_FEEDBACK: ag_report_end(s, false); break;
	case N_RECORD: ag_record_end(s); break;
	case N_METADATA: s->has_metadata = true; break;
	case N_POLICY: s->has_policy = true; break;
	case N_DKIM:
	case N_SPF: ag_auth_end(s, node); break;
	case N_REASON: ag_reason_end(s); break;
	default: break;
	}
}

static void on_end(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
	struct ag *s = user;
	enum ag_node node;

	(void)uri;
	if (s->stop)
		return;
	if (s->hashing)
		tap_sha256_update(&s->own, "\2", 1);
	node = s->node[s->depth];
	if (node >= N_CONTAINERS) {
		if (!s->dead)
			ag_leaf_end(s, node);
		s->collect = false;
	} else if (s->ext_from) {
		ag_ext_end(s, (const char *)name, (const char *)prefix);
		if (s->depth == s->ext_from)
			s->ext_from = 0;
	} else if (node != N_SKIP) {
		if (!s->dead || node == N_FEEDBACK)
			end_container(s, node);
		s->collect = false;
	}
	s->depth--;
}

/* No byte above that of the blank: most text is what indents the next tag, so eight are looked at together. */
static bool is_blank(const char *p, size_t n)
{
	const uint64_t high = 0x8080808080808080u;
	uint64_t w, seen = 0;
	unsigned char c = 0;

	for (; n >= sizeof(w); p += sizeof(w), n -= sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		seen |= (w + 0x5f5f5f5f5f5f5f5fu) | w;
	}
	for (size_t i = 0; i < n; i++)
		c |= (unsigned char)(((unsigned char)p[i] + 0x5f) | (unsigned char)p[i]);
	return ((seen & high) | (c & 0x80)) == 0;
}

static void add_text(struct ag *s, const char *p, size_t n)
{
	size_t room = s->text_max - s->text.len;

	if (s->text.len == 0) {
		/* Blanks in front would only fill the room. */
		while (n > 0 && tap_is_space(*p)) {
			p++;
			n--;
		}
	}
	if (n > room) {
		/* One byte more than the limit shows where the last character ends. */
		s->text_cut |= !is_blank(p + room, n - room);
		n = room;
	}
	tap_buf_add(&s->text, p, n);
}

static void on_text(void *user, const xmlChar *p, int n)
{
	struct ag *s = user;

	if (n <= 0)
		return;
	if (s->hashing)
		tap_sha256_update(&s->own, p, (size_t)n);
	if (s->collect)
		add_text(s, (const char *)p, (size_t)n);
	else if (s->ext_from && !s->stop)
		ag_ext_text(s, (const char *)p, (size_t)n);
	else if (s->open && s->node[s->depth] != N_SKIP && !(s->notes & NOTE_STRAY_TEXT) &&
		 !is_blank((const char *)p, (size_t)n))
		s->notes |= NOTE_STRAY_TEXT;
}

static void on_doctype(void *user, const xmlChar *name, const xmlChar *public_id,
		       const xmlChar *system_id)
{
	struct ag *s = user;
	const xmlParserInput *in = ((const xmlParserCtxt *)s->xml)->input;

	if (s->stop)
		return;
	s->notes |= NOTE_DOCTYPE;
	if (name && !xmlStrcasecmp(name, BAD_CAST "html")) {
		tap_err_set(&s->stop_err, TAP_E_NOTFOUND, "an HTML page");
		s->stop = AG_REFUSED;
	} else if (public_id || system_id) {
		ag_refuse(s, "a DOCTYPE that names another document");
	} else if (in && in->cur < in->end && *in->cur == '[') {
		ag_refuse(s, "a DOCTYPE with declarations");
	}
	if (s->stop)
		xmlStopParser(s->xml);
}

/* No way leads here, because the DOCTYPE was refused before its declarations; should one be found, it ends here. */
static void on_entity(void *user, const xmlChar *name, int type, const xmlChar *public_id,
		      const xmlChar *system_id, xmlChar *content)
{
	struct ag *s = user;

	(void)name, (void)type, (void)public_id, (void)system_id, (void)content;
	ag_refuse(s, "a DOCTYPE with declarations");
	xmlStopParser(s->xml);
}

static void on_instruction(void *user, const xmlChar *target, const xmlChar *data)
{
	struct ag *s = user;

	(void)data;
	/* Only the repair writes it, and it passes none of the document. */
	if (!s->stop && s->recover && !strcmp((const char *)target, TAP_REPAIR_MARK)) {
		if (s->in_record)
			s->rec_cut = true;
		else
			s->report_cut = true;
	}
}

static void on_error(void *user, xmlErrorPtr e)
{
	struct ag *s = user;

	if (e->level != XML_ERR_FATAL || s->stop || s->recover)
		return;
	ag_syntax(s, e->message ? e->message : "not well-formed");
}

const xmlSAXHandler ag_handlers = {
    .initialized = XML_SAX2_MAGIC,
    .startElementNs = on_start,
    .endElementNs = on_end,
    .characters = on_text,
    /* The same function, so that libxml2 does not look what is white space. */
    .ignorableWhitespace = on_text,
    .internalSubset = on_doctype,
    .entityDecl = on_entity,
    .processingInstruction = on_instruction,
    .serror = on_error,
};
