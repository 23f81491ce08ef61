/* SPDX-License-Identifier: Apache-2.0
 * parser/sample_parts.c - the parts of a sample: texts make its body, everything else, attached messages as a whole among it, is an
 * attachment. The walk is that of mime.c: line by line, one stack of boundaries; but it stays in memory and never looks into what
 * is attached. RFC 2045, 2046, 2183. */
#include "base/sha256.h"
#include "parser/decode.h"
#include "parser/field.h"
#include "parser/headers.h"
#include "parser/sample_impl.h"
#include "parser/sample_text.h"
#include "parser/utf8.h"

#include <gmime/gmime.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum state { IN_HEADERS, IN_LEAF, IN_NOTHING };

struct frame {
	char boundary[TAP_BOUNDARY_MAX + 1];
	size_t len;
	uint32_t depth;
	bool digest;
};

/* Of one part, beside what tap_part_info says; in the arena, NULL = absent. */
struct extra {
	const char *content_id, *disposition, *charset, *encoding, *type;
	bool attached; /* Content-Disposition: attachment */
};

struct walk {
	struct tap_sample_work *s;
	const char *end;
	enum state state;
	uint32_t depth, parts;
	struct frame *frames; /* mime_depth + 1 of them */
	size_t n_frames, room;
	const char *from; /* of the header block, then of the leaf */
	size_t last_eol;
	struct tap_part_info info;
	struct extra extra;
	struct tap_buf plain, html;
	uint64_t kept; /* bytes of payloads */
	bool ended;    /* a limit: nothing more is read */
};

/* --- one part's header ------------------------------------------------------------------------------------------------- */

static bool is_type(const struct tap_part_info *i, const char *type, const char *subtype)
{
	return strcmp(i->type, type) == 0 && (subtype == NULL || strcmp(i->subtype, subtype) == 0);
}

static const char *text_of(struct walk *k, const struct tap_field *f)
{
	unsigned notes = 0;
	const char *t = tap_header_text(k->s->a, f->value, f->value_len, &notes);

	k->s->full |= t == NULL;
	return t;
}

static void read_charset(struct walk *k, const struct tap_field *f)
{
	const char *value = text_of(k, f), *charset;
	GMimeContentType *t = value ? g_mime_content_type_parse(NULL, value) : NULL;
	unsigned notes = 0;

	if (t == NULL)
		return;
	charset = g_mime_content_type_get_parameter(t, "charset");
	if (charset && *charset) {
		k->extra.charset =
		    tap_text_clean(k->s->a, charset, strnlen(charset, 128), 0, &notes, NULL);
		k->s->full |= k->extra.charset == NULL;
	}
	g_object_unref(t);
}

static void read_extra(struct walk *k, const char *p, const char *end)
{
	struct tap_field f;
	const char *word;

	memset(&k->extra, 0, sizeof k->extra);
	while (tap_field_next(&p, end, &f, NULL)) {
		if (tap_field_is(&f, "Content-ID") && !k->extra.content_id)
			k->extra.content_id = text_of(k, &f);
		else if (tap_field_is(&f, "Content-Disposition") && !k->extra.disposition)
			k->extra.disposition = text_of(k, &f);
		else if (tap_field_is(&f, "Content-Transfer-Encoding") && !k->extra.encoding)
			k->extra.encoding = text_of(k, &f);
		else if (tap_field_is(&f, "Content-Type") && !k->extra.charset)
			read_charset(k, &f);
	}
	word = k->extra.disposition;
	k->extra.attached = word && strncasecmp(word, "attachment", 10) == 0;
}

static void read_header(struct walk *k, const char *end)
{
	const struct tap_parse_limits *lim = k->s->lim;
	bool digest = k->n_frames > 0 && k->frames[k->n_frames - 1].digest;
	size_t n = (size_t)(end - k->from);
	struct tap_headers h;

	if (n > lim->header_bytes) {
		tap_sample_note(k->s, TAP_SN_HEADERS);
		n = (size_t)lim->header_bytes;
	}
	/* Borrowed: nothing is added to it. */
	memset(&h, 0, sizeof h);
	h.raw.p = (char *)(size_t)k->from;
	h.raw.len = h.raw.cap = h.raw.max = n;
	tap_headers_read(&h, digest, &k->info, NULL);
	read_extra(k, k->from, k->from + n);
}

/* --- leaves --------------------------------------------------------------------------------------------------------------- */

/* Is it base64 to its end? Blanks anywhere, no padding at the end, and anything behind the padding are usual. */
static bool base64_whole(const char *p, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (c == '=')
			break;
		if (tap_is_space(c))
			continue;
		if (!g_ascii_isalnum(c) && c != '+' && c != '/')
			return false;
		count++;
	}
	return count % 4 != 1;
}

static bool qp_whole(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != '=')
			continue;
		if (i + 1 == n || tap_is_space(p[i + 1]))
			continue; /* a soft line break */
		if (i + 2 >= n || !g_ascii_isxdigit(p[i + 1]) || !g_ascii_isxdigit(p[i + 2]))
			return false;
		i += 2;
	}
	return true;
}

static size_t decode_uu(const char *p, size_t n, char *out, size_t room)
{
	struct tap_decode *d = malloc(sizeof *d);
	struct tap_source mem;
	struct tap_range range;
	size_t got = 0;

	if (d == NULL)
		return 0;
	tap_source_mem(&mem, p, n);
	tap_range_init(&range, &mem, 0, n);
	if (tap_decode_init(d, &range, TAP_ENC_UU, NULL) != TAP_OK ||
	    tap_stream_fill(&d->base, out, room, &got, NULL) != TAP_OK)
		got = 0;
	free(d);
	return got;
}

/* The part without its transfer encoding; into out, which holds n + 8 bytes at least. */
static size_t decode(enum tap_encoding enc, const char *p, size_t n, char *out, bool *whole_r)
{
	unsigned char *to = (unsigned char *)out;
	const unsigned char *in = (const unsigned char *)p;
	guint32 save = 0;
	int state = 0;
	size_t len;

	*whole_r = true;
	switch (enc) {
	case TAP_ENC_BASE64:
		len = g_mime_encoding_base64_decode_step(in, n, to, &state, &save);
		if (state > 1) /* missing padding: an "=" gives out what is still held */
			len += g_mime_encoding_base64_decode_step((const unsigned char *)"=", 1,
								  to + len, &state, &save);
		*whole_r = base64_whole(p, n);
		return len;
	case TAP_ENC_QP:
		*whole_r = qp_whole(p, n);
		return g_mime_encoding_quoted_decode_step(in, n, to, &state, &save);
	case TAP_ENC_UU:
		len = decode_uu(p, n, out, n);
		*whole_r = len > 0 || n == 0;
		return len;
	default: memcpy(out, p, n); return n;
	}
}

static void add_text(struct walk *k, const char *p, size_t n)
{
	struct tap_buf *b = is_type(&k->info, "text", "html") ? &k->html : &k->plain;
	unsigned notes;

	if (b->len > 0)
		tap_buf_adds(b, "\n\n");
	notes = tap_charset_add(b, k->extra.charset, p, n);
	if (notes & TAP_CHARSET_UNKNOWN)
		tap_sample_note(k->s, TAP_SN_CHARSET);
	if (notes & TAP_CHARSET_INVALID)
		tap_sample_note(k->s, TAP_SN_INVALID);
}

static void fill_payload(struct walk *k, struct tap_attachment *t, const char *p, size_t n)
{
	if (k->s->opt->strip_payloads)
		return;
	if (n > k->s->lim->attachment_bytes - k->kept) {
		tap_sample_note(k->s, TAP_SN_PAYLOAD);
		return;
	}
	k->kept += n;
	t->payload = tap_arena_strndup(k->s->a, p, n);
	t->payload_len = n;
	k->s->full |= t->payload == NULL;
	t->text = (is_type(&k->info, "text", NULL) || is_type(&k->info, "message", NULL)) &&
		  tap_text_is_clean(p, n);
}

static const char *type_of(struct walk *k)
{
	char text[2 * TAP_TYPE_MAX + 2];
	unsigned notes = 0;
	size_t n = strlen(k->info.type), m = strlen(k->info.subtype);

	memcpy(text, k->info.type, n);
	text[n] = '/';
	memcpy(text + n + 1, k->info.subtype, m + 1);
	return tap_text_clean(k->s->a, text, n + 1 + m, 0, &notes, NULL);
}

static void add_attachment(struct walk *k, const char *p, size_t n, bool whole)
{
	struct tap_sample *out = k->s->out;
	struct tap_attachment *list = (struct tap_attachment *)(size_t)out->attachments, *t;
	unsigned char hash[TAP_SHA256_BYTES];
	struct tap_sha256 c;

	if (out->n_attachments >= k->s->lim->list) {
		tap_sample_note(k->s, TAP_SN_ATTACHMENTS);
		return;
	}
	if (!tap_sample_grow(k->s, &list, out->n_attachments, &k->room, sizeof *list))
		return;
	out->attachments = list;
	t = &list[out->n_attachments++];
	memset(t, 0, sizeof *t);
	if (k->info.filename[0]) {
		t->filename = tap_arena_strdup(k->s->a, k->info.filename);
		k->s->full |= t->filename == NULL;
	}
	t->content_type = type_of(k);
	t->content_id = k->extra.content_id;
	t->disposition = k->extra.disposition;
	t->charset = k->extra.charset;
	t->encoding = k->extra.encoding;
	t->size = n;
	t->damaged = !whole;
	tap_sha256_init(&c);
	tap_sha256_update(&c, p, n);
	tap_sha256_final(&c, hash);
	tap_hex(hash, sizeof hash, t->sha256);
	fill_payload(k, t, p, n);
}

static void finish_leaf(struct walk *k, const char *to)
{
	size_t n = (size_t)(to - k->from), len;
	bool text = is_type(&k->info, "text", "plain") || is_type(&k->info, "text", "html");
	bool whole;
	char *out = malloc(n + 16);

	k->state = IN_NOTHING;
	if (out == NULL) {
		k->s->full = true;
		return;
	}
	len = decode(k->info.encoding, k->from, n, out, &whole);
	if (!whole)
		tap_sample_note(k->s, TAP_SN_ENCODING);
	if (text && !k->extra.attached && k->info.filename[0] == '\0')
		add_text(k, out, len);
	else
		add_attachment(k, out, len, whole);
	free(out);
}

/* --- structure -------------------------------------------------------------------------------------------------------------- */

static void begin_part(struct walk *k, uint32_t depth, const char *at)
{
	k->state = IN_HEADERS;
	k->depth = depth;
	k->from = at;
	if (++k->parts > k->s->lim->mime_parts) {
		tap_sample_note(k->s, TAP_SN_PARTS);
		k->ended = true;
	}
}

static void begin_body(struct walk *k, const char *header_end, const char *body)
{
	struct frame *f;

	read_header(k, header_end);
	k->from = body;
	k->last_eol = 0;
	k->state = IN_LEAF;
	if (!is_type(&k->info, "multipart", NULL))
		return;
	if (k->info.boundary[0] == '\0') {
		tap_sample_note(k->s, TAP_SN_CUT);
		return;
	}
	if (k->depth >= k->s->lim->mime_depth) {
		tap_sample_note(k->s, TAP_SN_DEPTH);
		return;
	}
	f = &k->frames[k->n_frames++];
	f->len = strlen(k->info.boundary);
	memcpy(f->boundary, k->info.boundary, f->len + 1);
	f->depth = k->depth + 1;
	f->digest = strcmp(k->info.subtype, "digest") == 0;
	k->state = IN_NOTHING;
}

/* Which open multipart has the line [p, stop) as its boundary; -1 = none. */
static int boundary_of(const struct walk *k, const char *p, const char *stop, bool *closing_r)
{
	if (stop - p < 3 || p[0] != '-' || p[1] != '-')
		return -1;
	p += 2;
	while (stop > p && tap_is_space(stop[-1]))
		stop--;
	for (size_t i = k->n_frames; i-- > 0;) {
		const struct frame *f = &k->frames[i];
		size_t n = (size_t)(stop - p);

		if (n < f->len || memcmp(p, f->boundary, f->len) != 0)
			continue;
		*closing_r = n == f->len + 2 && p[n - 1] == '-' && p[n - 2] == '-';
		if (n == f->len || *closing_r)
			return (int)i;
	}
	return -1;
}

static void at_boundary(struct walk *k, size_t level, bool closing, const char *line,
			const char *next)
{
	if (k->state == IN_HEADERS)
		begin_body(k, line, line);
	if (k->state == IN_LEAF) {
		const char *to = line;

		if ((size_t)(to - k->from) >= k->last_eol)
			to -= k->last_eol;
		finish_leaf(k, to);
	}
	if (k->n_frames > level + 1)
		tap_sample_note(k->s, TAP_SN_CUT); /* one inside of it was not closed */
	k->n_frames = closing ? level : level + 1;
	k->state = IN_NOTHING;
	if (!closing)
		begin_part(k, k->frames[level].depth, next);
}

static bool blank_line(const char *p, const char *next)
{
	return *p == '\n' || (*p == '\r' && (p + 1 == next || p[1] == '\n'));
}

/* A line of a header block: a field, the end of it, or (a defect) the body without a blank line before it. */
static void header_line(struct walk *k, const char *p, const char *next)
{
	const char *at = p;
	struct tap_field f;

	if (blank_line(p, next)) {
		begin_body(k, p, next);
		return;
	}
	if (*p == ' ' || *p == '\t' || (p == k->from && next - p > 5 && memcmp(p, "From ", 5) == 0))
		return;
	if (!tap_field_next(&at, next, &f, NULL)) {
		tap_sample_note(k->s, TAP_SN_FIELD);
		begin_body(k, p, p);
	}
}

static void walk_lines(struct walk *k, const char *p)
{
	const char *next;

	for (; p < k->end && !k->ended && !k->s->full; p = next) {
		const char *lf = memchr(p, '\n', (size_t)(k->end - p));
		bool closing = false;
		int level;

		next = lf ? lf + 1 : k->end;
		level = boundary_of(k, p, next, &closing);
		if (level >= 0)
			at_boundary(k, (size_t)level, closing, p, next);
		else if (k->state == IN_HEADERS)
			header_line(k, p, next);
		k->last_eol = lf == NULL ? 0 : lf > p && lf[-1] == '\r' ? 2 : 1;
	}
	if (k->ended || k->s->full)
		return;
	if (k->state == IN_HEADERS)
		begin_body(k, k->end, k->end);
	if (k->state == IN_LEAF)
		finish_leaf(k, k->end);
	if (k->n_frames > 0)
		tap_sample_note(k->s, TAP_SN_CUT);
}

static void join_body(struct walk *k)
{
	struct tap_sample_work *s = k->s;
	unsigned notes = 0;
	size_t n;

	if (k->plain.failed || k->html.failed)
		tap_sample_note(s, TAP_SN_BODY);
	k->plain.failed = false;
	k->plain.max += k->html.len + 2;
	if (k->plain.len > 0 && k->html.len > 0)
		tap_buf_adds(&k->plain, "\n\n");
	tap_buf_add(&k->plain, k->html.p ? k->html.p : "", k->html.len);
	n = k->plain.len;
	if (n > s->lim->body_bytes) {
		n = tap_utf8_cut(k->plain.p, n, (size_t)s->lim->body_bytes);
		tap_sample_note(s, TAP_SN_BODY);
	}
	s->out->body = tap_text_clean(s->a, k->plain.p ? k->plain.p : "", n, 0, &notes, NULL);
	s->full |= s->out->body == NULL;
}

void tap_sample_parts(struct tap_sample_work *s, const char *p, size_t n)
{
	struct walk *k = calloc(1, sizeof *k);

	if (k)
		k->frames = calloc((size_t)s->lim->mime_depth + 1, sizeof *k->frames);
	if (k == NULL || k->frames == NULL) {
		free(k);
		s->full = true;
		return;
	}
	k->s = s;
	k->end = p + n;
	/* What iconv makes of a text may be longer than the text; a little more than the limit tells that it was cut. */
	tap_buf_init(&k->plain, (size_t)s->lim->body_bytes + 4096);
	tap_buf_init(&k->html, (size_t)s->lim->body_bytes + 4096);
	begin_part(k, 0, p);
	walk_lines(k, p);
	if (!s->full)
		join_body(k);
	tap_buf_free(&k->plain);
	tap_buf_free(&k->html);
	free(k->frames);
	free(k);
}
