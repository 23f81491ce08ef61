/* SPDX-License-Identifier: Apache-2.0
 * parser/aggregate_extension.c - elements that are not ours (feedback/extension, foreign children of record), written back as
 * XML: what stands in an extension is its inner XML, with each prefix declared where it is used. An outermost element that would
 * go beyond the limit of the report is left out whole. RFC 9990 section 3.1.1.6. */
#include "parser/aggregate_impl.h"

#include <string.h>

static void add(struct ag *s, const char *p, size_t n)
{
	if (s->ext_to)
		tap_buf_add(s->ext_to, p, n);
}

static void adds(struct ag *s, const char *t)
{
	add(s, t, strlen(t));
}

static void escaped(struct ag *s, const char *p, size_t n, bool quoted)
{
	for (size_t i = 0; i < n; i++) {
		switch (p[i]) {
		case '<': adds(s, "&lt;"); break;
		case '>': adds(s, "&gt;"); break;
		case '&':
			adds(s, "&amp;");
			/* In values of attributes libxml2 leaves each & as a reference. */
			if (quoted && n - i >= 5 && !memcmp(p + i, "&#38;", 5))
				i += 4;
			break;
		case '"': adds(s, quoted ? "&quot;" : "\""); break;
		default:
			if ((unsigned char)p[i] >= 0x20 || p[i] == '\n' || p[i] == '\t')
				add(s, p + i, 1);
		}
	}
}

static void add_name(struct ag *s, const char *prefix, const char *name)
{
	if (prefix) {
		adds(s, prefix);
		adds(s, ":");
	}
	adds(s, name);
}

static void declare(struct ag *s, const char *prefix, const char *uri)
{
	adds(s, prefix ? " xmlns:" : " xmlns");
	if (prefix)
		adds(s, prefix);
	adds(s, "=\"");
	escaped(s, uri, strlen(uri), true);
	adds(s, "\"");
}

static bool declared(const char *prefix, int n_ns, const char **ns)
{
	for (int i = 0; i < n_ns; i++)
		if (ns[2 * i] == prefix)
			return true;
	return false;
}

/* Attribute i has a prefix that neither the element nor an attribute before it has. */
static bool needs_declaration(const char **attr, int i, const char *prefix)
{
	const char *own = attr[5 * i + 1];

	if (!own || !attr[5 * i + 2] || own == prefix || !strcmp(own, "xml"))
		return false;
	for (int k = 0; k < i; k++)
		if (attr[5 * k + 1] == own)
			return false;
	return true;
}

/* True when the limit is hit: the outermost element that is being written goes, and what follows in it. */
static bool over_limit(struct ag *s)
{
	if (!s->ext_to || (!s->ext_to->failed &&
			   s->ext_used + s->ext_to->len - s->ext_mark <= s->lim->extension_bytes))
		return false;
	s->ext_to->failed = false;
	s->ext_to->len = s->ext_mark;
	s->ext_to = NULL;
	if (!s->ext_cut)
		ag_warn_at(s, s->in_record ? N_RECORD : N_FEEDBACK,
			   "extension_cut: more than %u bytes of extensions",
			   s->lim->extension_bytes);
	s->ext_cut = true;
	return true;
}

void ag_ext_start(struct ag *s, const char *name, const char *prefix, const char *uri, int n_ns,
		  const unsigned char **ns_in, int n_attr, const unsigned char **attr_in)
{
	const char **ns = (const char **)ns_in, **attr = (const char **)attr_in;

	if (s->depth == s->ext_from) {
		s->ext_to = s->ext_cut ? NULL : s->in_record ? &s->rec_ext : &s->ext;
		s->ext_mark = s->ext_to ? s->ext_to->len : 0;
		if (!s->in_record)
			return; /* the element extension itself */
	}
	if (!s->ext_to)
		return;
	adds(s, "<");
	add_name(s, prefix, name);
	for (int i = 0; i < n_ns; i++)
		declare(s, ns[2 * i], ns[2 * i + 1] ? ns[2 * i + 1] : "");
	if (uri && !declared(prefix, n_ns, ns))
		declare(s, prefix, uri);
	for (int i = 0; i < n_attr; i++) {
		const char **a = attr + 5 * i; /* name, prefix, uri, value, its end */

		if (needs_declaration(attr, i, prefix) && !declared(a[1], n_ns, ns))
			declare(s, a[1], a[2]);
		adds(s, " ");
		add_name(s, a[1], a[0]);
		adds(s, "=\"");
		escaped(s, a[3], (size_t)(a[4] - a[3]), true);
		adds(s, "\"");
	}
	adds(s, ">");
	over_limit(s);
}

void ag_ext_text(struct ag *s, const char *p, size_t n)
{
	if (!s->ext_to)
		return;
	escaped(s, p, n, false);
	over_limit(s);
}

void ag_ext_end(struct ag *s, const char *name, const char *prefix)
{
	bool outermost = s->depth == s->ext_from;

	if (s->ext_to && (!outermost || s->in_record)) {
		adds(s, "</");
		add_name(s, prefix, name);
		adds(s, ">");
	}
	if (!over_limit(s) && outermost && s->ext_to)
		s->ext_used += s->ext_to->len - s->ext_mark;
	if (outermost)
		s->ext_to = NULL;
}

const char *ag_ext_taken(struct ag *s, const struct tap_buf *b)
{
	unsigned notes = 0;
	char *t;

	if (b->len == 0)
		return NULL;
	t = tap_text_clean(s->in_record ? s->rec_arena : s->warn_arena, b->p, b->len, 0, &notes,
			   NULL);
	return t && *t ? t : NULL;
}
