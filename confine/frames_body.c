/* SPDX-License-Identifier: Apache-2.0
 * confine/frames_body.c - see frames_body.h. Every getter stands in the order in which frames_encode.c puts. */
#include "confine/frames_body.h"
#include "confine/frames.h"
#include "confine/frames_wire.h"

#include <arpa/inet.h>
#include <string.h>

void tap_frame_spoil(struct tap_frame_cursor *c, const char *what)
{
	if (c->bad == NULL)
		c->bad = what;
	c->left = 0;
}

static const unsigned char *take(struct tap_frame_cursor *c, size_t n)
{
	const unsigned char *p = c->p;

	if (c->bad != NULL || n > c->left) {
		tap_frame_spoil(c, "it ends too early");
		return NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}

static unsigned get_u8(struct tap_frame_cursor *c)
{
	const unsigned char *p = take(c, 1);

	return p == NULL ? 0 : *p;
}

static uint32_t get_u32(struct tap_frame_cursor *c)
{
	const unsigned char *p = take(c, 4);

	return p == NULL ? 0 : tap_frame_get_u32(p);
}

static uint64_t get_u64(struct tap_frame_cursor *c)
{
	const unsigned char *p = take(c, 8);

	return p == NULL ? 0 : tap_frame_get_u32(p) | (uint64_t)tap_frame_get_u32(p + 4) << 32;
}

/* Length of the well-formed multi-byte character at s, 0 when it is none (RFC 3629: no surrogates, no overlong forms). */
static size_t utf8_multi(const unsigned char *s, size_t n)
{
	size_t need = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	unsigned low = 0x80, high = 0xbf;

	if (s[0] < 0xc2 || s[0] > 0xf4 || n < need)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < need; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return need;
}

size_t tap_frame_clean(const unsigned char *s, size_t n)
{
	size_t i = 0;

	while (i < n) {
		size_t more = 1;

		if (s[i] >= 0x80)
			more = utf8_multi(s + i, n - i);
		else if ((s[i] < 0x20 && s[i] != '\t' && s[i] != '\n') || s[i] == 0x7f)
			more = 0;
		if (more == 0 || (s[i] == 0xc2 && s[i + 1] < 0xa0))
			break;
		i += more;
	}
	return i;
}

static bool text_ok(const unsigned char *s, size_t n)
{
	return tap_frame_clean(s, n) == n;
}

static const char *get_str(struct tap_frame_cursor *c)
{
	uint32_t n = get_u32(c);
	const unsigned char *p;
	char *copy;

	if (c->bad != NULL || n == TAP_FRAME_NULL)
		return NULL;
	p = take(c, n);
	if (p == NULL || n == 0)
		return p == NULL ? NULL : "";
	if (!text_ok(p, n)) {
		tap_frame_spoil(c, "a string is not clean UTF-8");
		return NULL;
	}
	copy = tap_arena_strndup(c->arena, (const char *)p, n);
	if (copy == NULL)
		tap_frame_spoil(c, "it needs too much memory");
	return copy;
}

/* A string that consumers may rely on. */
static const char *get_must(struct tap_frame_cursor *c)
{
	const char *s = get_str(c);

	if (s == NULL)
		tap_frame_spoil(c, "a string is missing");
	return s;
}

static void get_text(struct tap_frame_cursor *c, struct tap_text *t)
{
	t->text = get_str(c);
	t->lang = get_str(c);
}

/* Number of elements that take at least least_bytes each; *a_r = zeroed room for them, NULL when there are none. */
static size_t get_array(struct tap_frame_cursor *c, size_t least_bytes, size_t size, void **a_r)
{
	uint32_t n = get_u32(c);

	*a_r = NULL;
	if (c->bad != NULL || n == 0)
		return 0;
	if (n > c->left / least_bytes || n > TAP_FRAME_LIST) {
		tap_frame_spoil(c, "a count is larger than the frame");
		return 0;
	}
	*a_r = tap_arena_alloc(c->arena, n * size);
	if (*a_r == NULL) {
		tap_frame_spoil(c, "it needs too much memory");
		return 0;
	}
	return n;
}

/* Below the limit, whatever came. */
static unsigned get_enum(struct tap_frame_cursor *c, unsigned limit)
{
	unsigned v = get_u8(c);

	if (v < limit)
		return v;
	tap_frame_spoil(c, "a code is unknown");
	return 0;
}

static enum tap_kind get_kind(struct tap_frame_cursor *c)
{
	unsigned v = get_u8(c);

	if (v != TAP_KIND_AGGREGATE && v != TAP_KIND_FAILURE && v != TAP_KIND_SMTP_TLS &&
	    v != TAP_KIND_FEEDBACK)
		tap_frame_spoil(c, "the kind is unknown");
	return (enum tap_kind)v;
}

static void get_uid(struct tap_frame_cursor *c, char *uid)
{
	const unsigned char *p = take(c, TAP_FRAME_UID);

	if (p == NULL)
		return;
	for (size_t i = 0; i < TAP_FRAME_UID; i++) {
		if (!(p[i] >= '0' && p[i] <= '9') && !(p[i] >= 'a' && p[i] <= 'f')) {
			tap_frame_spoil(c, "the uid is not hexadecimal");
			return;
		}
	}
	memcpy(uid, p, TAP_FRAME_UID);
	uid[TAP_FRAME_UID] = '\0';
}

static size_t get_strings(struct tap_frame_cursor *c, const char *const **list_r)
{
	const char **list;
	void *room;
	size_t n = get_array(c, 4, sizeof *list, &room);

	list = room;
	*list_r = list;
	for (size_t i = 0; i < n; i++)
		list[i] = get_must(c);
	return n;
}

static void get_trust(struct tap_frame_cursor *c, struct tap_trust *t)
{
	unsigned flags;

	t->auth = (enum tap_auth_state)get_enum(c, TAP_AUTH_N);
	t->dmarc = (enum tap_auth_state)get_enum(c, TAP_AUTH_N);
	t->reporter = (enum tap_agree)get_enum(c, TAP_AGREE_N);
	t->names = (enum tap_agree)get_enum(c, TAP_AGREE_N);
	flags = get_enum(c, TAP_FRAME_TRUST_FLAGS + 1);
	t->foreign = (flags & TAP_FRAME_FOREIGN) != 0;
	t->trusted = (flags & TAP_FRAME_TRUSTED) != 0;
	if (t->trusted && (t->auth != TAP_AUTH_PASS || t->reporter != TAP_AGREE_YES))
		tap_frame_spoil(c, "what it says of trust contradicts itself");
	t->from_domain = get_str(c);
	t->n_dkim_domains = get_enum(c, TAP_TRUST_DKIM + 1);
	for (size_t i = 0; i < t->n_dkim_domains; i++)
		t->dkim_domains[i] = get_must(c);
}

void tap_frame_get_meta(struct tap_frame_cursor *c, struct tap_meta *m)
{
	struct tap_text *errors;
	void *room;

	m->kind = get_kind(c);
	m->schema = (enum tap_schema)get_enum(c, TAP_SCHEMA_N);
	get_uid(c, m->uid);
	m->origin.filename = get_str(c);
	m->origin.part = get_u32(c);
	m->origin.document = get_u32(c);
	m->begin = (int64_t)get_u64(c);
	m->end = (int64_t)get_u64(c);
	m->version = get_str(c);
	m->xml_namespace = get_str(c);
	m->org_name = get_str(c);
	m->email = get_str(c);
	m->report_id = get_str(c);
	m->generator = get_str(c);
	get_text(c, &m->extra_contact_info);
	m->n_errors = get_array(c, 8, sizeof *errors, &room);
	m->errors = errors = room;
	for (size_t i = 0; i < m->n_errors; i++)
		get_text(c, &errors[i]);
	m->n_receiving_domains = get_strings(c, &m->receiving_domains);
	m->domain = get_str(c);
	m->version_published = get_str(c);
	m->discovery_method = get_str(c);
	m->p = get_str(c);
	m->sp = get_str(c);
	m->np = get_str(c);
	m->adkim = get_str(c);
	m->aspf = get_str(c);
	m->pct = get_str(c);
	m->fo = get_str(c);
	m->testing = get_str(c);
	m->begin_raw = get_str(c);
	m->end_raw = get_str(c);
	get_trust(c, &m->trust);
}

static size_t get_auth(struct tap_frame_cursor *c, const struct tap_auth_result **a_r)
{
	struct tap_auth_result *a;
	void *room;
	size_t n = get_array(c, 20, sizeof *a, &room);

	*a_r = a = room;
	for (size_t i = 0; i < n; i++) {
		a[i].domain = get_str(c);
		a[i].label = get_str(c);
		a[i].result = get_str(c);
		get_text(c, &a[i].human_result);
	}
	return n;
}

static void get_source_info(struct tap_frame_cursor *c, struct tap_source_info *s)
{
	s->reverse_dns = get_str(c);
	s->base_domain = get_str(c);
	s->country = get_str(c);
	s->name = get_str(c);
	s->type = get_str(c);
	s->as_name = get_str(c);
	s->as_domain = get_str(c);
	s->asn = get_u32(c);
}

/* NULL: the row had none that could be read. */
static const char *get_address(struct tap_frame_cursor *c)
{
	const char *s = get_str(c);
	unsigned char bytes[16];

	if (s != NULL && inet_pton(strchr(s, ':') == NULL ? AF_INET : AF_INET6, s, bytes) != 1)
		tap_frame_spoil(c, "an address is none");
	return s;
}

void tap_frame_get_record(struct tap_frame_cursor *c, struct tap_record *r)
{
	struct tap_reason *reasons;
	unsigned flags;
	void *room;

	r->index = get_u64(c);
	r->count = get_u64(c);
	if (r->count > INT64_MAX)
		tap_frame_spoil(c, "the count is over 2^63-1");
	flags = get_enum(c, 16);
	r->dkim_aligned = (flags & TAP_FRAME_DKIM_ALIGNED) != 0;
	r->spf_aligned = (flags & TAP_FRAME_SPF_ALIGNED) != 0;
	r->evaluated = (flags & TAP_FRAME_EVALUATED) != 0;
	r->source_ip = get_address(c);
	r->source_ip_raw = get_str(c);
	r->disposition = get_str(c);
	r->header_from = get_str(c);
	r->envelope_from = get_str(c);
	r->envelope_to = get_str(c);
	r->extension = get_str(c);
	r->n_reasons = get_array(c, 12, sizeof *reasons, &room);
	r->reasons = reasons = room;
	for (size_t i = 0; i < r->n_reasons; i++) {
		reasons[i].type = get_str(c);
		get_text(c, &reasons[i].comment);
	}
	r->n_dkim = get_auth(c, &r->dkim);
	r->n_spf = get_auth(c, &r->spf);
	if ((flags & TAP_FRAME_SOURCE_INFO) != 0)
		get_source_info(c, &r->source);
}

/* ---- failure and feedback reports ---- */

/* Raw bytes, borrowed from the body; NULL = absent. */
static const void *get_raw(struct tap_frame_cursor *c, size_t *n_r)
{
	uint32_t n = get_u32(c);
	const void *p;

	*n_r = 0;
	if (c->bad != NULL || n == TAP_FRAME_NULL)
		return NULL;
	p = take(c, n);
	if (p != NULL)
		*n_r = n;
	return p;
}

/* Valid UTF-8 without NUL: what may be printed as text. */
static bool printable(const unsigned char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t more = s[i] >= 0x80 ? utf8_multi(s + i, n - i) : s[i] != '\0';

		if (more == 0)
			return false;
		i += more;
	}
	return true;
}

static bool get_bool(struct tap_frame_cursor *c)
{
	return get_enum(c, 2) != 0;
}

static void get_list(struct tap_frame_cursor *c, struct tap_list_of *l)
{
	l->n = get_strings(c, &l->item);
}

static size_t get_pairs(struct tap_frame_cursor *c, const struct tap_pair **pairs_r)
{
	struct tap_pair *pair;
	void *room;
	size_t n = get_array(c, 8, sizeof *pair, &room);

	*pairs_r = pair = room;
	for (size_t i = 0; i < n; i++) {
		pair[i].name = get_must(c);
		pair[i].value = get_must(c);
	}
	return n;
}

static void get_mailboxes(struct tap_frame_cursor *c, struct tap_mailboxes *m)
{
	struct tap_mailbox *box;
	void *room;

	m->n = get_array(c, 16, sizeof *box, &room);
	m->item = box = room;
	for (size_t i = 0; i < m->n; i++) {
		box[i].display_name = get_must(c);
		box[i].address = get_must(c);
		box[i].local = get_str(c);
		box[i].domain = get_str(c);
	}
}

/* 64 hexadecimal digits, or nothing. */
static void get_hex(struct tap_frame_cursor *c, char out[65])
{
	const char *s = get_must(c);
	size_t n;

	if (s == NULL)
		return;
	n = strlen(s);
	if ((n != 0 && n != 64) || strspn(s, "0123456789abcdef") != n) {
		tap_frame_spoil(c, "a hash is none");
		return;
	}
	memcpy(out, s, n);
	out[n] = '\0';
}

static size_t get_hops(struct tap_frame_cursor *c, const struct tap_hop **hops_r)
{
	struct tap_hop *h;
	void *room;
	size_t n = get_array(c, 48, sizeof *h, &room);

	*hops_r = h = room;
	for (size_t i = 0; i < n; i++) {
		h[i].from = get_str(c);
		h[i].by = get_str(c);
		h[i].with = get_str(c);
		h[i].id = get_str(c);
		h[i].for_ = get_str(c);
		h[i].via = get_str(c);
		h[i].date = get_str(c);
		h[i].time = (int64_t)get_u64(c);
		h[i].delay = (int64_t)get_u64(c);
		h[i].hop = get_u32(c);
	}
	return n;
}

static size_t get_attachments(struct tap_frame_cursor *c, const struct tap_attachment **a_r)
{
	struct tap_attachment *a;
	void *room;
	size_t n = get_array(c, 42, sizeof *a, &room);

	*a_r = a = room;
	for (size_t i = 0; i < n; i++) {
		unsigned flags;

		a[i].filename = get_str(c);
		a[i].content_type = get_str(c);
		a[i].content_id = get_str(c);
		a[i].disposition = get_str(c);
		a[i].charset = get_str(c);
		a[i].encoding = get_str(c);
		a[i].size = get_u64(c);
		get_hex(c, a[i].sha256);
		a[i].payload = get_raw(c, &a[i].payload_len);
		flags = get_enum(c, TAP_FRAME_ATTACHMENT_FLAGS + 1);
		a[i].text = (flags & TAP_FRAME_TEXT) != 0;
		a[i].damaged = (flags & TAP_FRAME_DAMAGED) != 0;
		if (a[i].text && a[i].payload != NULL && !printable(a[i].payload, a[i].payload_len))
			tap_frame_spoil(c, "an attachment is no text");
	}
	return n;
}

static void get_sample(struct tap_frame_cursor *c, struct tap_sample *s)
{
	unsigned flags;

	get_mailboxes(c, &s->from);
	get_mailboxes(c, &s->to);
	get_mailboxes(c, &s->cc);
	get_mailboxes(c, &s->bcc);
	get_mailboxes(c, &s->reply_to);
	get_mailboxes(c, &s->delivered_to);
	get_list(c, &s->to_domains);
	s->subject = get_str(c);
	s->message_id = get_str(c);
	s->date = get_str(c);
	s->time = (int64_t)get_u64(c);
	flags = get_enum(c, TAP_FRAME_SAMPLE_FLAGS + 1);
	s->has_zone = (flags & TAP_FRAME_ZONE) != 0;
	s->has_defects = (flags & TAP_FRAME_DEFECTS) != 0;
	s->zone = (int32_t)get_u32(c);
	s->body = get_str(c);
	s->n_received = get_hops(c, &s->received);
	s->n_headers = get_pairs(c, &s->headers);
	s->n_attachments = get_attachments(c, &s->attachments);
	get_list(c, &s->authentication_results);
	get_list(c, &s->dkim_signatures);
}

static void get_canonicalized(struct tap_frame_cursor *c, struct tap_canonicalized *k)
{
	k->given = get_bool(c);
	k->size = get_u64(c);
	get_hex(c, k->sha256);
}

static size_t get_spf_dns(struct tap_frame_cursor *c, const struct tap_spf_dns **s_r)
{
	struct tap_spf_dns *s;
	void *room;
	size_t n = get_array(c, 16, sizeof *s, &room);

	*s_r = s = room;
	for (size_t i = 0; i < n; i++) {
		s[i].type = get_str(c);
		s[i].domain = get_str(c);
		s[i].record = get_str(c);
		s[i].raw = get_str(c);
	}
	return n;
}

static void get_failed_message(struct tap_frame_cursor *c, struct tap_failure *f)
{
	struct tap_sample *s;
	unsigned flags;

	f->sample = get_raw(c, &f->sample_len);
	flags = get_enum(c, TAP_FRAME_MESSAGE_FLAGS + 1);
	f->sample_utf8 = (flags & TAP_FRAME_UTF8) != 0;
	f->sample_headers_only = (flags & TAP_FRAME_HEADERS_ONLY) != 0;
	f->sample_damaged = (flags & TAP_FRAME_SAMPLE_DAMAGED) != 0;
	if (f->sample == NULL)
		return;
	if (f->sample_utf8 && !printable(f->sample, f->sample_len))
		tap_frame_spoil(c, "the sample is no text");
	s = tap_arena_alloc(c->arena, sizeof *s);
	if (s == NULL) {
		tap_frame_spoil(c, "it needs too much memory");
		return;
	}
	get_sample(c, s);
	f->parsed = s;
}

void tap_frame_get_failure(struct tap_frame_cursor *c, struct tap_failure *f)
{
	f->format = (enum tap_failure_format)get_enum(c, TAP_FORMAT_N);
	f->feedback_type = get_must(c);
	f->user_agent = get_str(c);
	f->version = get_str(c);
	f->original_envelope_id = get_str(c);
	f->original_mail_from = get_str(c);
	get_list(c, &f->original_rcpt_to);
	f->arrival_date = get_str(c);
	f->arrival = (int64_t)get_u64(c);
	f->message_id = get_str(c);
	get_list(c, &f->authentication_results);
	f->delivery_result = get_str(c);
	f->delivery_result_raw = get_str(c);
	get_list(c, &f->auth_failure);
	get_list(c, &f->identity_alignment);
	f->alignment_known = get_bool(c);
	get_list(c, &f->aligned_mechanisms);
	get_list(c, &f->failed_mechanisms);
	get_list(c, &f->reported_domain);
	get_list(c, &f->reported_uri);
	f->reporting_mta_type = get_str(c);
	f->reporting_mta = get_str(c);
	f->dkim_domain = get_str(c);
	f->dkim_identity = get_str(c);
	f->dkim_selector = get_str(c);
	f->dkim_selector_dns = get_str(c);
	f->dkim_adsp_dns = get_str(c);
	get_canonicalized(c, &f->dkim_header);
	get_canonicalized(c, &f->dkim_body);
	f->n_spf_dns = get_spf_dns(c, &f->spf_dns);
	f->source_ip = get_address(c);
	f->source_ip_raw = get_str(c);
	f->source_ip_from_sample = get_bool(c);
	f->source_port = (int32_t)get_u32(c);
	if (f->source_port < -1 || f->source_port > UINT16_MAX)
		tap_frame_spoil(c, "a port is none");
	f->incidents = get_u32(c);
	f->n_extra = get_pairs(c, &f->extra);
	f->human_text = get_str(c);
	get_failed_message(c, f);
	if (get_bool(c))
		get_source_info(c, &f->source);
}

/* ---- SMTP TLS reports ---- */

void tap_frame_get_policy(struct tap_frame_cursor *c, struct tap_tls_policy *p)
{
	p->index = get_u32(c);
	p->policy_type = get_str(c);
	p->policy_domain = get_str(c);
	p->n_policy_strings = get_strings(c, &p->policy_strings);
	p->n_mx_hosts = get_strings(c, &p->mx_hosts);
	p->successful = get_u64(c);
	p->failed = get_u64(c);
	p->n_details = get_u64(c);
	if (p->successful > INT64_MAX || p->failed > INT64_MAX)
		tap_frame_spoil(c, "a count is over 2^63-1");
}

void tap_frame_get_detail(struct tap_frame_cursor *c, struct tap_tls_detail *d)
{
	d->policy = get_u32(c);
	d->index = get_u64(c);
	d->result_type = get_str(c);
	d->failed = get_u64(c);
	if (d->failed > INT64_MAX)
		tap_frame_spoil(c, "a count is over 2^63-1");
	d->sending_mta_ip = get_str(c);
	d->receiving_ip = get_str(c);
	d->receiving_mx_hostname = get_str(c);
	d->receiving_mx_helo = get_str(c);
	d->additional_info = get_str(c);
	d->failure_reason_code = get_str(c);
}

/* ---- the end of a report ---- */

void tap_frame_get_end(struct tap_frame_cursor *c, struct tap_report_end *e)
{
	struct tap_warning *warnings;
	const unsigned char *hash;
	unsigned flags;
	void *room;

	e->records = get_u64(c);
	e->details = get_u64(c);
	e->dropped = get_u64(c);
	e->messages = get_u64(c);
	e->passed = get_u64(c);
	if (e->messages > INT64_MAX || e->passed > e->messages)
		tap_frame_spoil(c, "the totals contradict each other");
	flags = get_enum(c, 4);
	e->truncated = (flags & TAP_FRAME_TRUNCATED) != 0;
	e->recovered = (flags & TAP_FRAME_RECOVERED) != 0;
	hash = take(c, sizeof e->content_hash);
	if (hash != NULL)
		memcpy(e->content_hash, hash, sizeof e->content_hash);
	e->content_bytes = get_u64(c);
	e->warnings_total = get_u64(c);
	e->extension = get_str(c);
	e->n_warnings = get_array(c, 8, sizeof *warnings, &room);
	e->warnings = warnings = room;
	if (e->n_warnings > e->warnings_total)
		tap_frame_spoil(c, "the totals contradict each other");
	for (size_t i = 0; i < e->n_warnings; i++) {
		warnings[i].where = get_must(c);
		warnings[i].what = get_must(c);
	}
}

uint32_t tap_frame_get_part(struct tap_frame_cursor *c)
{
	return get_u32(c);
}

static enum tap_rc get_rc(struct tap_frame_cursor *c)
{
	return (enum tap_rc)get_enum(c, TAP_E_CANCELLED + 1);
}

enum tap_rc tap_frame_done(struct tap_frame_cursor *c, const char *frame, struct tap_err *err)
{
	if (c->bad == NULL && c->left > 0)
		c->bad = "bytes are left over";
	if (c->bad == NULL)
		return TAP_OK;
	return tap_err_set(err, TAP_E_DATA, "a %s frame is damaged: %s", frame, c->bad);
}

/* A string into a fixed array, without an arena. */
static void get_line(struct tap_frame_cursor *c, char *out, size_t size)
{
	uint32_t n = get_u32(c);
	const unsigned char *p = take(c, n);

	if (p == NULL)
		return;
	if (n >= size || !text_ok(p, n)) {
		tap_frame_spoil(c, "a string is not clean UTF-8 or too long");
		return;
	}
	memcpy(out, p, n);
	out[n] = '\0';
}

void tap_frame_get_why(struct tap_frame_cursor *c, struct tap_err *why)
{
	why->rc = get_rc(c);
	get_line(c, why->msg, sizeof why->msg);
}

enum tap_rc tap_frame_decode_result(const void *body, size_t n, enum tap_rc *rc_r,
				    struct tap_parse_result *res, struct tap_err *err)
{
	struct tap_frame_cursor c = {.p = body, .left = n};

	memset(res, 0, sizeof *res);
	*rc_r = get_rc(&c);
	res->verdict = (enum tap_verdict)get_enum(&c, TAP_V_N);
	res->reports = get_u32(&c);
	res->broken = get_u32(&c);
	res->kinds = get_enum(&c, TAP_KIND_ALL + 1);
	res->unauthenticated = get_enum(&c, TAP_KIND_ALL + 1);
	res->foreign = get_enum(&c, 2) != 0;
	if ((res->unauthenticated & ~res->kinds) != 0)
		tap_frame_spoil(&c, "the kinds contradict each other");
	get_line(&c, res->why, sizeof res->why);
	return tap_frame_done(&c, "result", err);
}
