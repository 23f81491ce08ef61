/* SPDX-License-Identifier: Apache-2.0
 * parser/xml_repair.c - see xml_repair.h. A byte at a time: it runs only over documents that are broken already. */
#include "parser/xml_repair.h"

#include "parser/aggregate_impl.h"
#include <stdlib.h>
#include <string.h>

enum state {
	S_TEXT,
	S_TAG,	   /* tok holds what came after `<`                 */
	S_REF,	   /* tok holds what came after `&`                 */
	S_COMMENT, /* last holds the last bytes, to see the end     */
	S_INSTRUCTION,
	S_CDATA,
	S_DOCTYPE, /* tok holds it                                  */
};

enum { MAX_NAME = 200, MAX_REF = 12, MAX_DEPTH = 300 };

struct open_element {
	char name[MAX_NAME + 1]; /* as written, with its prefix */
	unsigned element;	 /* what it is by its local name, 0 = not ours */
	enum ag_node node;	 /* what it is where it stands */
};

struct tap_xml_repair {
	enum state state;
	bool latin;
	unsigned notes;
	const char *refused;
	struct tap_buf *out; /* of the call */
	struct tap_buf tok;
	bool in_name;		  /* in S_TAG: still in the name of the element */
	char quote, before_quote; /* the open quote; the last byte that is not white space */
	char last[3];
	unsigned char u8[4]; /* beginning of a character */
	unsigned n_u8;
	unsigned depth, max_depth, ext; /* ext: depth of the open extension, 0 = none */
	struct open_element open[MAX_DEPTH];
};

static void text_byte(struct tap_xml_repair *r, char c);

struct tap_xml_repair *tap_xml_repair_new(bool latin, unsigned depth)
{
	struct tap_xml_repair *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->latin = latin;
	r->max_depth = depth < MAX_DEPTH ? depth : MAX_DEPTH;
	tap_buf_init(&r->tok, TAP_XML_TOKEN);
	return r;
}

void tap_xml_repair_free(struct tap_xml_repair **r)
{
	if (!r || !*r)
		return;
	tap_buf_free(&(*r)->tok);
	free(*r);
	*r = NULL;
}

unsigned tap_xml_repair_notes(const struct tap_xml_repair *r)
{
	return r->notes;
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name_byte(char c)
{
	return is_alpha(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':';
}

/* ---- output of text ---- */

static void put(struct tap_xml_repair *r, uint32_t cp)
{
	char c[4];

	if (cp == 0xfffe || cp == 0xffff)
		cp = 0xfffd; /* not characters of XML */
	tap_buf_add(r->out, c, tap_utf8_put(c, cp));
}

/* One more byte above 0x7f, or the end of such bytes (c < 0). */
static void high_byte(struct tap_xml_repair *r, int c)
{
	uint32_t cp;

	if (c >= 0)
		r->u8[r->n_u8++] = (unsigned char)c;
	while (r->n_u8 > 0) {
		size_t step = tap_utf8_step(r->u8, r->n_u8, &cp);

		if (step == 0) {
			if (c >= 0 && tap_utf8_partial(r->u8, r->n_u8))
				return;
			cp = r->latin ? tap_cp1252(r->u8[0]) : 0xfffd;
			r->notes |= TAP_REPAIR_UTF8;
			step = 1;
		}
		put(r, cp);
		r->n_u8 -= (unsigned)step;
		memmove(r->u8, r->u8 + step, r->n_u8);
	}
}

static void put_byte(struct tap_xml_repair *r, char c, bool quoted)
{
	if ((unsigned char)c >= 0x80) {
		high_byte(r, (unsigned char)c);
		return;
	}
	if (r->n_u8 > 0)
		high_byte(r, -1);
	switch (c) {
	case '<': tap_buf_adds(r->out, "&lt;"); break;
	case '>': tap_buf_adds(r->out, "&gt;"); break;
	case '&': tap_buf_adds(r->out, "&amp;"); break;
	case '"': tap_buf_adds(r->out, quoted ? "&quot;" : "\""); break;
	default: tap_buf_addc(r->out, c);
	}
}

static void literal(struct tap_xml_repair *r, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put_byte(r, p[i], false);
}

/* ---- references ---- */

/* tok holds a reference without & and ;: one that needs no declaration and gives a character of XML. */
static bool is_good_ref(const char *p, size_t n)
{
	static const char *const known[] = {"lt", "gt", "amp", "quot", "apos"};
	uint32_t v = 0;
	bool hex;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i]) == n && memcmp(known[i], p, n) == 0)
			return true;
	if (n < 2 || p[0] != '#')
		return false;
	hex = p[1] == 'x';
	if (hex && n == 2)
		return false;
	for (size_t i = hex ? 2 : 1; i < n; i++) {
		unsigned d;

		if (p[i] >= '0' && p[i] <= '9')
			d = (unsigned)(p[i] - '0');
		else if (hex && (p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f')
			d = (unsigned)((p[i] | 0x20) - 'a' + 10);
		else
			return false;
		v = v * (hex ? 16 : 10) + d;
		if (v > 0x10ffff)
			return false;
	}
	return v >= 0x20 ? !(v >= 0xd800 && v <= 0xdfff) && v != 0xfffe && v != 0xffff
			 : v == '\t' || v == '\n' || v == '\r';
}

static void ref_byte(struct tap_xml_repair *r, char c)
{
	const char *t = r->tok.p;
	size_t n = r->tok.len;

	if (c == ';' && n > 0 && is_good_ref(t, n)) {
		tap_buf_addc(r->out, '&');
		tap_buf_add(r->out, t, n);
		tap_buf_addc(r->out, ';');
		r->state = S_TEXT;
		return;
	}
	if (n < MAX_REF && (is_alpha(c) || (c >= '0' && c <= '9') || (c == '#' && n == 0))) {
		tap_buf_addc(&r->tok, c);
		return;
	}
	r->notes |= TAP_REPAIR_ESCAPED;
	r->state = S_TEXT;
	put_byte(r, '&', false);
	literal(r, t, n);
	text_byte(r, c);
}

/* ---- tags ---- */

/* What came after `<` was no tag: it is text, up to and with c. */
static void not_a_tag(struct tap_xml_repair *r, char c)
{
	char small[64];
	size_t n = r->tok.len;
	char *p = n <= sizeof(small) ? small : malloc(n);

	if (!p)
		abort();
	r->notes |= TAP_REPAIR_ESCAPED;
	r->state = S_TEXT;
	if (n > 0)
		memcpy(p, r->tok.p, n);
	if (r->depth > 0)
		put_byte(r, '<', false);
	/* References inside of it are text that may hold references. */
	for (size_t i = 0; i < n; i++)
		text_byte(r, p[i]);
	text_byte(r, c);
	if (p != small)
		free(p);
}

static void close_top(struct tap_xml_repair *r)
{
	r->depth--;
	if (r->ext > r->depth)
		r->ext = 0;
	tap_buf_adds(r->out, "</");
	tap_buf_adds(r->out, r->open[r->depth].name);
	tap_buf_addc(r->out, '>');
}

/* Supplies end tags until `depth` elements are open; records and reports that end so are marked. */
static void supply_ends(struct tap_xml_repair *r, unsigned depth)
{
	while (r->depth > depth) {
		unsigned e = r->open[r->depth - 1].element;

		r->notes |= TAP_REPAIR_TAGS;
		if ((e == ag_el_record || e == ag_el_feedback) && r->ext == 0)
			tap_buf_adds(r->out, "<?" TAP_REPAIR_MARK "?>");
		close_top(r);
	}
}

static const char *local_name(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon && colon[1] ? colon + 1 : name;
}

/* <row> … </Row>: the element that an end tag closes when letter case is ignored; 0 = none. */
static unsigned find_folded(struct tap_xml_repair *r, const char *p, size_t n)
{
	for (unsigned at = r->depth; at > 0; at--)
		if (strlen(r->open[at - 1].name) == n &&
		    strncasecmp(r->open[at - 1].name, p, n) == 0) {
			r->notes |= TAP_REPAIR_TAGS;
			return at;
		}
	return 0;
}

static void end_tag(struct tap_xml_repair *r)
{
	const char *p = r->tok.p + 1;
	size_t n = r->tok.len - 1;
	unsigned at;

	while (n > 0 && tap_is_space(p[n - 1]))
		n--;
	r->state = S_TEXT;
	for (at = r->depth; at > 0; at--)
		if (strlen(r->open[at - 1].name) == n && memcmp(r->open[at - 1].name, p, n) == 0)
			break;
	if (at == 0)
		at = find_folded(r, p, n);
	if (at == 0) {
		r->notes |= TAP_REPAIR_TAGS;
		return;
	}
	supply_ends(r, at);
	close_top(r);
}

/* One attribute at p: its name in name_r/n_name, its value in *value_r/n_value. Returns the first byte behind it; what is no
 * attribute is stepped over with *n_name_r = 0. */
static const char *attribute(const char *p, const char *end, size_t *n_name_r, const char **value_r,
			     size_t *n_value_r)
{
	const char *name = p;
	const char *close;

	*n_name_r = 0;
	while (p < end && is_name_byte(*p))
		p++;
	size_t n = (size_t)(p - name);
	while (p < end && tap_is_space(*p))
		p++;
	if (n == 0 || n > MAX_NAME || !is_alpha(*name) || p == end || *p != '=')
		return p == name ? p + 1 : p;
	p++;
	while (p < end && tap_is_space(*p))
		p++;
	if (p == end || (*p != '"' && *p != '\''))
		return p;
	close = memchr(p + 1, *p, (size_t)(end - p - 1));
	if (!close)
		return end;
	*n_name_r = n;
	*value_r = p + 1;
	*n_value_r = (size_t)(close - p - 1);
	return close + 1;
}

static void put_value(struct tap_xml_repair *r, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '&') {
			const char *semi = memchr(p + i, ';', n - i);

			if (semi && is_good_ref(p + i + 1, (size_t)(semi - p) - i - 1)) {
				tap_buf_add(r->out, p + i, (size_t)(semi - p) - i + 1);
				i = (size_t)(semi - p);
				continue;
			}
		}
		put_byte(r, p[i], true);
	}
	if (r->n_u8 > 0)
		high_byte(r, -1);
}

static void put_attributes(struct tap_xml_repair *r, const char *p, const char *end)
{
	struct {
		const char *p;
		size_t n;
	} seen[TAP_XML_ATTRIBUTES];
	unsigned n_seen = 0;

	while (p < end) {
		const char *name = p, *value;
		size_t n_name, n_value;
		bool twice = false;

		p = attribute(p, end, &n_name, &value, &n_value);
		if (n_name == 0)
			continue;
		for (unsigned i = 0; i < n_seen; i++)
			twice |= seen[i].n == n_name && memcmp(seen[i].p, name, n_name) == 0;
		if (twice)
			continue;
		if (n_seen == TAP_XML_ATTRIBUTES) {
			r->refused = "more than 64 attributes in one tag";
			return;
		}
		seen[n_seen].p = name;
		seen[n_seen++].n = n_name;
		tap_buf_addc(r->out, ' ');
		tap_buf_add(r->out, name, n_name);
		tap_buf_adds(r->out, "=\"");
		put_value(r, value, n_value);
		tap_buf_addc(r->out, '"');
	}
}

/* <row> … <identifiers>: a container that cannot stand here, but can in an element that is open around this one. Elements that
 * are not ours may hold what they like. */
static void close_misplaced(struct tap_xml_repair *r, unsigned element)
{
	for (unsigned at = r->depth; at > 0; at--) {
		enum ag_node node = r->open[at - 1].node;

		if (node == N_SKIP || node == N_OUTER || node >= N_CONTAINERS)
			return;
		if (ag_node_below(node, element) != N_SKIP) {
			supply_ends(r, at);
			return;
		}
	}
}

/* Where an element of ours shows that others should have been closed before. */
static void close_before(struct tap_xml_repair *r, unsigned element)
{
	if (r->ext > 0 || element == 0)
		return;
	if (element == ag_el_record || element == ag_el_feedback) {
		for (unsigned at = r->depth; at > 0; at--) {
			if (r->open[at - 1].element == element) {
				supply_ends(r, at - 1);
				return;
			}
		}
	}
	if (r->depth > 0 && ag_element_is_text(r->open[r->depth - 1].element))
		supply_ends(r, r->depth - 1);
	if (!ag_element_is_text(element) && element != ag_el_extension)
		close_misplaced(r, element);
}

static enum ag_node node_below(const struct tap_xml_repair *r, unsigned element)
{
	enum ag_node top = r->depth > 0 ? r->open[r->depth - 1].node : N_OUTER;

	if (top == N_OUTER)
		return element == ag_el_feedback ? N_FEEDBACK : N_OUTER;
	return top < N_CONTAINERS ? ag_node_below(top, element) : N_SKIP;
}

static void start_tag(struct tap_xml_repair *r)
{
	const char *p = r->tok.p, *end = p + r->tok.len;
	bool folded, empty = end[-1] == '/';
	struct open_element *o;
	const char *local;
	size_t n = 0;

	while (p + n < end && is_name_byte(p[n]))
		n++;
	if (n > MAX_NAME || p[n - 1] == ':') {
		not_a_tag(r, '>');
		return;
	}
	struct open_element fresh = {.element = 0};
	memcpy(fresh.name, p, n);
	local = local_name(fresh.name);
	fresh.element = ag_element_find(local, strlen(local), &folded);
	if (fresh.element == 0 && r->ext == 0 && r->depth > 0 &&
	    ag_element_is_text(r->open[r->depth - 1].element)) {
		not_a_tag(r, '>');
		return;
	}
	r->state = S_TEXT;
	close_before(r, fresh.element);
	if (r->depth >= r->max_depth) {
		r->refused = "elements nested too deep";
		return;
	}
	tap_buf_addc(r->out, '<');
	tap_buf_add(r->out, p, n);
	put_attributes(r, p + n, empty ? end - 1 : end);
	if (empty) {
		tap_buf_adds(r->out, "/>");
		return;
	}
	tap_buf_addc(r->out, '>');
	fresh.node = node_below(r, fresh.element);
	o = &r->open[r->depth++];
	*o = fresh;
	if (r->ext == 0 && !strcasecmp(local, "extension"))
		r->ext = r->depth;
}

/* After `<!`: comment, CDATA, DOCTYPE, or nothing of these. */
static void bang(struct tap_xml_repair *r, char c)
{
	static const struct {
		const char *name;
		enum state state;
	} kinds[] = {{"!--", S_COMMENT}, {"![CDATA[", S_CDATA}, {"!DOCTYPE", S_DOCTYPE}};
	char t[12];
	size_t n = r->tok.len;

	if (n + 1 >= sizeof(t)) {
		not_a_tag(r, c);
		return;
	}
	memcpy(t, r->tok.p, n);
	t[n++] = c;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strncasecmp(kinds[i].name, t, n) != 0)
			continue;
		tap_buf_addc(&r->tok, c);
		if (strlen(kinds[i].name) == n) {
			r->state = kinds[i].state;
			memset(r->last, 0, sizeof(r->last));
			tap_buf_reset(&r->tok);
		}
		return;
	}
	not_a_tag(r, c);
}

/* Follows quotes, so that > inside of a value does not end the tag. Only a quote behind = opens a value. */
static void follow_quotes(struct tap_xml_repair *r, char c)
{
	if (r->quote) {
		if (c == r->quote)
			r->quote = 0;
	} else if ((c == '"' || c == '\'') && r->before_quote == '=') {
		r->quote = c;
	}
	if (!tap_is_space(c))
		r->before_quote = c;
}

/* Can c follow the n bytes of tok in a tag? What follows the name of a start tag is looked at only when the tag is whole. */
static bool fits_in_tag(const struct tap_xml_repair *r, char c)
{
	const char *t = r->tok.p;
	size_t n = r->tok.len;
	bool is_end = n > 0 && t[0] == '/';

	if (c == '<')
		return false;
	if (n == 0)
		return c == '/' || c == '!' || is_alpha(c);
	if (n == 1 && is_end)
		return is_alpha(c);
	if (is_end && n > 1 && tap_is_space(t[n - 1]))
		return tap_is_space(c) || c == '>';
	return !r->in_name || is_name_byte(c) || tap_is_space(c) || c == '/' || c == '>';
}

static void tag_byte(struct tap_xml_repair *r, char c)
{
	bool is_end = r->tok.len > 0 && r->tok.p[0] == '/';

	if (r->tok.len > 0 && r->tok.p[0] == '!') {
		bang(r, c);
	} else if (r->tok.len == 0 && c == '?') {
		r->state = S_INSTRUCTION;
		memset(r->last, 0, sizeof(r->last));
	} else if (!fits_in_tag(r, c)) {
		not_a_tag(r, c);
	} else if (c == '>' && !r->quote) {
		if (is_end)
			end_tag(r);
		else
			start_tag(r);
	} else {
		if (r->tok.len > 0 && !is_name_byte(c))
			r->in_name = false;
		tap_buf_addc(&r->tok, c);
		if (r->tok.failed)
			r->refused = "a single tag of over 128 KiB";
		if (!r->in_name && !is_end)
			follow_quotes(r, c);
	}
}

static void skipped_byte(struct tap_xml_repair *r, char c)
{
	if (c == '<' && r->state == S_INSTRUCTION) {
		/* Its end is missing, as in <?xml version="1.0">. */
		r->notes |= TAP_REPAIR_TAGS;
		r->state = S_TEXT;
		text_byte(r, c);
		return;
	}
	r->last[0] = r->last[1];
	r->last[1] = r->last[2];
	r->last[2] = c;
	if (c != '>')
		return;
	if (r->state == S_COMMENT ? r->last[0] == '-' && r->last[1] == '-' : r->last[1] == '?')
		r->state = S_TEXT;
}

static void cdata_byte(struct tap_xml_repair *r, char c)
{
	/* The two bytes held back may belong to its end. */
	if (c == '>' && r->last[1] == ']' && r->last[2] == ']') {
		r->state = S_TEXT;
		return;
	}
	if (r->last[1] && r->depth > 0)
		put_byte(r, r->last[1], false);
	r->last[1] = r->last[2];
	r->last[2] = c;
}

static void doctype_byte(struct tap_xml_repair *r, char c)
{
	if (c == '[') {
		r->refused = "a DOCTYPE with declarations";
	} else if (c == '>') {
		const char *t = tap_buf_cstr(&r->tok);

		if (strcasestr(t, "SYSTEM") || strcasestr(t, "PUBLIC"))
			r->refused = "a DOCTYPE that names another document";
		r->notes |= TAP_REPAIR_DOCTYPE;
		r->state = S_TEXT;
	} else {
		tap_buf_addc(&r->tok, c);
		if (r->tok.failed)
			r->refused = "a single tag of over 128 KiB";
	}
}

/* ---- bytes ---- */

static void text_byte(struct tap_xml_repair *r, char c)
{
	if (r->state == S_REF) {
		ref_byte(r, c);
		return;
	}
	if (r->n_u8 > 0 && (unsigned char)c < 0x80)
		high_byte(r, -1);
	if (c == '<') {
		tap_buf_reset(&r->tok);
		r->quote = 0;
		r->before_quote = 0;
		r->in_name = true;
		r->state = S_TAG;
	} else if (r->depth == 0) {
		if (!tap_is_space(c))
			r->notes |= TAP_REPAIR_OUTSIDE;
	} else if (c == '&') {
		tap_buf_reset(&r->tok);
		r->state = S_REF;
	} else {
		put_byte(r, c, false);
	}
}

bool tap_xml_repair_feed(struct tap_xml_repair *r, const char *p, size_t n, struct tap_buf *out,
			 const char **why_r)
{
	r->out = out;
	for (size_t i = 0; i < n && !r->refused; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c < 0x20 && c != '\t' && c != '\n' && c != '\r') {
			r->notes |= TAP_REPAIR_CONTROL;
			continue;
		}
		switch (r->state) {
		case S_TEXT: text_byte(r, (char)c); break;
		case S_REF: ref_byte(r, (char)c); break;
		case S_TAG: tag_byte(r, (char)c); break;
		case S_COMMENT:
		case S_INSTRUCTION: skipped_byte(r, (char)c); break;
		case S_CDATA: cdata_byte(r, (char)c); break;
		case S_DOCTYPE: doctype_byte(r, (char)c); break;
		}
	}
	*why_r = r->refused;
	return !r->refused;
}
