/* SPDX-License-Identifier: Apache-2.0
 * parser/outlook.c - see outlook.h. The message is written down as a MIME mail in memory, which is then read as any other; what
 * that knows of attached messages, reports and trust holds here too.
 * libgsf reads the compound file, from memory. Before it does the size of its directory is looked at: libgsf goes through the
 * directory by recursion, and sorts it.
 * [MS-OXMSG] (names of streams), [MS-OXPROPS] (property numbers), [MS-CFB] (the container). */
#include "parser/outlook.h"

#include "base/sha256.h"
#include "parser/sniff.h"
#include "parser/utf8.h"
#include "parser/work.h"
#include <gsf/gsf-infile-impl.h>
#include <gsf/gsf-infile-msole.h>
#include <gsf/gsf-infile.h>
#include <gsf/gsf-input-memory.h>
#include <gsf/gsf-utils.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENTRIES_MAX = 4096, /* of the directory */
	MESSAGES_MAX = 8,   /* attached to one another */
	PIECE = 4096,
	FAT_IN_HEADER = 109,
	ENTRY = 128,
	LAST_SECTOR = 0xfffffffa - 1, /* what is above says "end" or "none" */
};
/* Properties, as in the names of their streams. */
#define HEADERS	    "007D"
#define SUBJECT	    "0037"
#define SENDER	    "0C1F"
#define SENDER_SMTP "5D01"
#define BODY	    "1000"
#define HTML	    "1013"
#define DATA	    "3701"
#define LONG_NAME   "3707"
#define SHORT_NAME  "3704"
#define MIME_TAG    "370E"

struct outlook {
	struct tap_work *w;
	struct tap_buf out;
	char boundary[24];
	unsigned messages;
};

static void silent(const gchar *domain, GLogLevelFlags level, const gchar *text, gpointer ctx)
{
	(void)domain;
	(void)level;
	(void)text;
	(void)ctx;
}

static void init_once(void)
{
	gsf_init();
	g_type_ensure(GSF_INFILE_MSOLE_TYPE);
	/* It would write to standard error what the file is like; what matters is said in the verdict. */
	g_log_set_handler("libgsf", (GLogLevelFlags)G_LOG_LEVEL_MASK, silent, NULL);
	g_log_set_handler("libgsf:msole", (GLogLevelFlags)G_LOG_LEVEL_MASK, silent, NULL);
}

void tap_outlook_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
}

/* ---- the container, before libgsf sees it ---- */

struct cfb {
	const unsigned char *p;
	size_t n;
	unsigned shift; /* a sector has 1 << shift bytes */
};

static uint32_t four(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The sector's first byte; NULL when it does not lie in the file. */
static const unsigned char *sector(const struct cfb *c, uint32_t no)
{
	uint64_t at = ((uint64_t)no + 1) << c->shift;

	return no <= (uint32_t)LAST_SECTOR && at + (1u << c->shift) <= c->n ? c->p + at : NULL;
}

/* The sector that follows in its chain; UINT32_MAX = none. */
static uint32_t next_sector(const struct cfb *c, uint32_t no)
{
	uint32_t a_sector = 1u << (c->shift - 2), fat = no / a_sector, where;
	const unsigned char *s;

	if (fat < FAT_IN_HEADER) {
		where = four(c->p + 0x4c + (size_t)4 * fat);
	} else {
		fat -= FAT_IN_HEADER;
		where = four(c->p + 0x44);
		for (; fat >= a_sector - 1; fat -= a_sector - 1) {
			s = sector(c, where);
			if (s == NULL)
				return UINT32_MAX;
			where = four(s + (size_t)4 * (a_sector - 1));
		}
		s = sector(c, where);
		if (s == NULL)
			return UINT32_MAX;
		where = four(s + (size_t)4 * fat);
	}
	s = sector(c, where);
	return s ? four(s + (size_t)4 * (no % a_sector)) : UINT32_MAX;
}

/* NULL = libgsf may read it. */
static const char *check_container(const unsigned char *p, size_t n)
{
	struct cfb c = {.p = p, .n = n};
	const unsigned char *root;
	uint32_t no;
	size_t sectors = 0;

	if (n < 512)
		return "an OLE2 file that is cut off";
	c.shift = p[0x1e] | (unsigned)p[0x1f] << 8;
	if ((c.shift != 9 && c.shift != 12) || p[0x20] != 6 || p[0x21] != 0)
		return "an OLE2 file with sectors of no known size";
	if (four(p + 0x2c) > n >> c.shift || four(p + 0x40) > n >> c.shift ||
	    four(p + 0x48) > n >> c.shift)
		return "an OLE2 file that is cut off, or whose header lies about its size";
	for (no = four(p + 0x30); sector(&c, no); no = next_sector(&c, no))
		if (++sectors << c.shift > (size_t)ENTRIES_MAX * ENTRY)
			return "an OLE2 file with more than 4096 entries";
	root = sector(&c, four(p + 0x30));
	if (root == NULL)
		return "an OLE2 file without a directory";
	/* What would stand beside the root belongs to nobody: libgsf reads it, and never frees it. */
	if (four(root + 0x44) != UINT32_MAX || four(root + 0x48) != UINT32_MAX)
		return "an OLE2 file whose directory is damaged";
	return NULL;
}

/* ---- streams ---- */

/* Not gsf_infile_child_by_index: that writes a warning about each child that is damaged. */
static GsfInput *child_at(GsfInfile *dir, int i)
{
	GsfInfileClass *c = G_TYPE_INSTANCE_GET_CLASS(dir, GSF_INFILE_TYPE, GsfInfileClass);

	return c->child_by_index(dir, i, NULL);
}

/* The child of this name; types: those of its property that will do, or NULL. *type_r: which of them, may be NULL. */
static GsfInput *child(GsfInfile *dir, const char *prefix, const char *const *types, int *type_r)
{
	int n = gsf_infile_num_children(dir);
	size_t len = strlen(prefix);

	for (int t = 0; types == NULL || types[t]; t++) {
		for (int i = 0; i < n; i++) {
			const char *name = gsf_infile_name_by_index(dir, i);

			if (name && strncasecmp(name, prefix, len) == 0 &&
			    strcasecmp(name + len, types ? types[t] : "") == 0) {
				if (type_r)
					*type_r = t;
				return child_at(dir, i);
			}
		}
		if (types == NULL)
			break;
	}
	return NULL;
}

/* Appends what the stream holds, as far as it can be read. */
static void take(struct outlook *o, GsfInput *in, struct tap_buf *to)
{
	guint8 piece[PIECE];
	gsf_off_t left = gsf_input_size(in);

	while (left > 0 && !to->failed && !tap_work_cancelled(o->w)) {
		size_t n = left < PIECE ? (size_t)left : PIECE;

		if (gsf_input_read(in, n, piece) == NULL)
			break;
		tap_buf_add(to, piece, n);
		left -= (gsf_off_t)n;
	}
}

static void add_utf16(struct tap_buf *to, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	char c[4];

	for (size_t i = 0; i + 1 < n; i += 2) {
		uint32_t u = p[i] | (uint32_t)p[i + 1] << 8, low;

		if (u >= 0xd800 && u < 0xdc00 && i + 3 < n) {
			low = p[i + 2] | (uint32_t)p[i + 3] << 8;
			if (low >= 0xdc00 && low < 0xe000) {
				u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
				i += 2;
			}
		}
		if (u >= 0xd800 && u < 0xe000)
			u = 0xfffd;
		if (u != 0)
			tap_buf_add(to, c, tap_utf8_put(c, u));
	}
}

/* A property of text in UTF-8 (or in the bytes of its code page), NUL-terminated; "" = there is none. */
static bool text(struct outlook *o, GsfInfile *dir, const char *property, struct tap_buf *to)
{
	static const char *const types[] = {"001F", "001E", "0102", NULL};
	char name[40];
	struct tap_buf raw;
	GsfInput *in;
	int type;

	tap_buf_reset(to);
	snprintf(name, sizeof name, "__substg1.0_%s", property);
	in = child(dir, name, types, &type);
	if (in == NULL)
		return false;
	if (type == 0) {
		tap_buf_init(&raw, to->max);
		take(o, in, &raw);
		add_utf16(to, raw.p, raw.len);
		tap_buf_free(&raw);
	} else {
		take(o, in, to);
	}
	g_object_unref(in);
	tap_buf_cstr(to);
	return to->len > 0;
}

/* ---- the mail ---- */

static bool is_content_field(const char *line, size_t n)
{
	return (n >= 8 && strncasecmp(line, "content-", 8) == 0) ||
	       (n >= 12 && strncasecmp(line, "mime-version", 12) == 0);
}

/* The header as it came, but for what it says of the structure: that is another one now. */
static void add_transport(struct outlook *o, const struct tap_buf *h)
{
	const char *p = h->p, *end = p + h->len;
	bool dropped = false;

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((lf ? lf : end) - p);

		if (n > 0 && p[n - 1] == '\r')
			n--;
		if (n == 0)
			break;
		/* Exchange puts a line of words before the fields. */
		if (*p != ' ' && *p != '\t')
			dropped = is_content_field(p, n) || !tap_sniff_header_line(p, n);
		if (!dropped) {
			tap_buf_add(&o->out, p, n);
			tap_buf_adds(&o->out, "\r\n");
		}
		p = lf ? lf + 1 : end;
	}
}

/* One line, whatever is in it. */
static void add_line(struct outlook *o, const char *name, const struct tap_buf *value)
{
	tap_buf_adds(&o->out, name);
	for (size_t i = 0; i < value->len && i < 900; i++)
		tap_buf_addc(&o->out, (unsigned char)value->p[i] < ' ' ? ' ' : value->p[i]);
	tap_buf_adds(&o->out, "\r\n");
}

static void add_header(struct outlook *o, GsfInfile *dir, struct tap_buf *t, bool *arf_r)
{
	*arf_r = false;
	if (text(o, dir, HEADERS, t)) {
		*arf_r = strcasestr(t->p, "feedback-report") != NULL;
		add_transport(o, t);
		return;
	}
	/* A mail that was never sent by SMTP, or was saved without its header. */
	if ((text(o, dir, SENDER_SMTP, t) || text(o, dir, SENDER, t)) && memchr(t->p, '@', t->len))
		add_line(o, "From: ", t);
	if (text(o, dir, SUBJECT, t))
		add_line(o, "Subject: ", t);
}

static void add_boundary(struct outlook *o, unsigned no, const char *end)
{
	tap_buf_printf(&o->out, "\r\n--%s-%u%s\r\n", o->boundary, no, end);
}

static void add_message(struct outlook *o, GsfInfile *dir);

static void add_type(struct outlook *o, struct tap_buf *t, bool known)
{
	static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "/!#$&^_.+-";
	bool good = known && t->len < 100 && strspn(t->p, token) == t->len && strchr(t->p, '/');

	if (good && strncasecmp(t->p, "multipart/", 10) == 0) {
		/* Signed in the open: the attachment is the whole entity, with its header. */
		tap_buf_adds(&o->out, "Content-Type: message/rfc822\r\n");
		return;
	}
	tap_buf_printf(&o->out, "Content-Type: %s\r\n", good ? t->p : "application/octet-stream");
}

static void add_filename(struct outlook *o, const struct tap_buf *t)
{
	tap_buf_adds(&o->out, "Content-Disposition: attachment; filename*=utf-8''");
	for (size_t i = 0; i < t->len && i < 500; i++)
		tap_buf_printf(&o->out, "%%%02X", (unsigned)(unsigned char)t->p[i]);
	tap_buf_adds(&o->out, "\r\n");
}

static void add_attachment(struct outlook *o, GsfInfile *dir, unsigned no, struct tap_buf *t)
{
	static const char *const binary[] = {"0102", NULL}, *const storage[] = {"000D", NULL};
	GsfInput *data = child(dir, "__substg1.0_" DATA, binary, NULL);
	GsfInput *message = data ? NULL : child(dir, "__substg1.0_" DATA, storage, NULL);
	bool known;

	if (data) {
		add_boundary(o, no, "");
		known = text(o, dir, MIME_TAG, t);
		add_type(o, t, known);
		if (text(o, dir, LONG_NAME, t) || text(o, dir, SHORT_NAME, t))
			add_filename(o, t);
		tap_buf_adds(&o->out, "Content-Transfer-Encoding: binary\r\n\r\n");
		take(o, data, &o->out);
		g_object_unref(data);
	} else if (message) {
		if (GSF_IS_INFILE_MSOLE(message) && o->messages < MESSAGES_MAX) {
			add_boundary(o, no, "");
			tap_buf_adds(&o->out, "Content-Type: message/rfc822\r\n\r\n");
			add_message(o, GSF_INFILE(message));
		}
		g_object_unref(message);
	}
}

static void add_attachments(struct outlook *o, GsfInfile *dir, unsigned no, struct tap_buf *t)
{
	static const char attach[] = "__attach_version1.0_#";
	int n = gsf_infile_num_children(dir);
	uint32_t count = 0;

	for (int i = 0; i < n && !o->out.failed && count <= o->w->lim->mime_parts; i++) {
		const char *name = gsf_infile_name_by_index(dir, i);
		GsfInput *in;

		if (name == NULL || strncasecmp(name, attach, sizeof attach - 1) != 0)
			continue;
		in = child_at(dir, i);
		if (in == NULL)
			continue;
		count++;
		if (GSF_IS_INFILE_MSOLE(in) && gsf_infile_num_children(GSF_INFILE(in)) > 0)
			add_attachment(o, GSF_INFILE(in), no, t);
		g_object_unref(in);
	}
}

static void add_message(struct outlook *o, GsfInfile *dir)
{
	unsigned no = o->messages++;
	struct tap_buf t;
	bool arf;

	tap_buf_init(&t, (size_t)o->w->lim->message_bytes);
	add_header(o, dir, &t, &arf);
	tap_buf_printf(
	    &o->out, "MIME-Version: 1.0\r\nContent-Type: multipart/%s; boundary=\"%s-%u\"\r\n\r\n",
	    arf ? "report; report-type=feedback-report" : "mixed", o->boundary, no);
	if (text(o, dir, BODY, &t)) {
		add_boundary(o, no, "");
		tap_buf_adds(&o->out, "Content-Type: text/plain; charset=utf-8\r\n\r\n");
		tap_buf_add(&o->out, t.p, t.len);
	}
	if (text(o, dir, HTML, &t)) {
		add_boundary(o, no, "");
		tap_buf_adds(&o->out, "Content-Type: text/html; charset=utf-8\r\n\r\n");
		tap_buf_add(&o->out, t.p, t.len);
	}
	add_attachments(o, dir, no, &t);
	add_boundary(o, no, "--");
	tap_buf_free(&t);
}

/* ---- the whole ---- */

static void not_read(struct tap_mime_result *res, const char *why)
{
	if (res->why[0] == '\0')
		tap_why_set(res->why, "%s", why);
}

static bool is_message(GsfInfile *dir)
{
	GsfInput *in = child(dir, "__properties_version1.0", NULL, NULL);

	if (in)
		g_object_unref(in);
	return in != NULL;
}

/* Not in the file, but of it: nothing in the file can be this line. */
static void set_boundary(struct outlook *o, const void *p, size_t n)
{
	unsigned char digest[TAP_SHA256_BYTES];
	struct tap_sha256 h;

	tap_sha256_init(&h);
	tap_sha256_update(&h, p, n);
	tap_sha256_final(&h, digest);
	tap_hex(digest, 10, o->boundary);
}

static enum tap_rc walk_mail(struct outlook *o, uint32_t depth, struct tap_mime_result *res,
			     struct tap_err *err)
{
	struct tap_source mem;
	enum tap_rc rc;

	if (o->out.failed) {
		res->limited = true;
		tap_why_set(res->why,
			    "Outlook message of more than %" PRIu64 " bytes (limit message_bytes)",
			    o->w->lim->message_bytes);
		return TAP_OK;
	}
	tap_source_mem(&mem, o->out.p, o->out.len);
	o->w->held += o->out.cap;
	if (o->w->parts == 0 && depth == 0)
		rc = tap_mime_walk(o->w, &mem, 0, res, err);
	else
		rc = tap_mime_walk_inner(o->w, &mem, 0, depth + 1, res, err);
	o->w->held -= o->out.cap;
	return rc;
}

enum tap_rc tap_outlook_walk(struct tap_work *w, const struct tap_source *src, uint32_t depth,
			     struct tap_mime_result *res, struct tap_err *err)
{
	struct outlook o = {.w = w};
	const char *why;
	GsfInput *in;
	GsfInfile *ole;
	enum tap_rc rc = TAP_OK;

	if (src->mem == NULL || src->size > w->lim->message_bytes) {
		not_read(res, "an OLE2 file that is too large (limit message_bytes)");
		return TAP_OK;
	}
	why = check_container(src->mem, (size_t)src->size);
	if (why) {
		not_read(res, why);
		return TAP_OK;
	}
	tap_outlook_init();
	in = gsf_input_memory_new(src->mem, (gsf_off_t)src->size, FALSE);
	ole = gsf_infile_msole_new(in, NULL);
	g_object_unref(in);
	tap_buf_init(&o.out, (size_t)w->lim->message_bytes);
	if (ole == NULL) {
		not_read(res, "an OLE2 file that is damaged");
	} else if (!is_message(ole)) {
		not_read(res, "an OLE2 file that is no Outlook message");
	} else {
		set_boundary(&o, src->mem, (size_t)src->size);
		add_message(&o, ole);
		rc = walk_mail(&o, depth, res, err);
	}
	tap_buf_free(&o.out);
	if (ole)
		g_object_unref(ole);
	return rc;
}
