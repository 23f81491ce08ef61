/* SPDX-License-Identifier: Apache-2.0
 * intake/spool_file.c - encoding, checking and reading of the spool file, version 1. */
#include "intake/spool_file.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const unsigned char magic[8] = {'D', 'M', 'A', 'R', 'C', 'T', 'A', 'P'};

const char *const tap_door_name[TAP_DOOR_N] = {
    [TAP_DOOR_MILTER] = "milter", [TAP_DOOR_LMTP] = "lmtp",	[TAP_DOOR_PIPE] = "pipe",
    [TAP_DOOR_IMAP] = "imap",	  [TAP_DOOR_IMPORT] = "import",
};

/* Offsets in the header. */
enum {
	H_MAGIC = 0,
	H_VERSION = 8,
	H_SIZE = 10,
	H_FLAGS = 12,
	H_MESSAGE_OFF = 16,
	H_MESSAGE_LEN = 24,
	H_ENVELOPE_OFF = 32,
	H_ENVELOPE_LEN = 40,
	H_ARRIVAL = 48,
	H_ZERO = 56,
	H_SHA256 = 64,
};

enum {
	TAG_DOOR = 1,
	TAG_FATE,
	TAG_MESSAGE_SHA256,
	TAG_RECIPIENT, /* the only one that may come more than once */
	TAG_SENDER,
	TAG_CLIENT,
	TAG_CLIENT_NAME,
	TAG_HELO,
	TAG_QUEUE_ID,
	TAG_AUTH,
	TAG_REASON,
	TAG_N,
	FIELD_HEAD = 5,
};

/* Text fields that come at most once: where they live in the envelope. */
static const struct {
	unsigned tag;
	size_t offset;
} text_fields[] = {
    {TAG_SENDER, offsetof(struct tap_envelope, sender)},
    {TAG_CLIENT, offsetof(struct tap_envelope, client)},
    {TAG_CLIENT_NAME, offsetof(struct tap_envelope, client_name)},
    {TAG_HELO, offsetof(struct tap_envelope, helo)},
    {TAG_QUEUE_ID, offsetof(struct tap_envelope, queue_id)},
    {TAG_AUTH, offsetof(struct tap_envelope, auth)},
    {TAG_REASON, offsetof(struct tap_envelope, reason)},
};
enum { TEXT_FIELDS = sizeof(text_fields) / sizeof(text_fields[0]) };

static void put(unsigned char *p, unsigned bytes, uint64_t v)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get(const unsigned char *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* Length of the well-formed UTF-8 character at p that is no control character, 0 when there is none (RFC 3629 section 4). */
static size_t utf8_char(const unsigned char *p, size_t n)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len;
	uint32_t c;

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f;
	len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
		return 0;
	c = p[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ||
	    (c >= 0x80 && c < 0xa0))
		return 0;
	return len;
}

/* ---- writing ---- */

static void add_field(struct tap_buf *out, unsigned tag, const void *p, size_t n)
{
	unsigned char head[FIELD_HEAD];

	head[0] = (unsigned char)tag;
	put(head + 1, 4, n);
	tap_buf_add(out, head, sizeof(head));
	tap_buf_add(out, p, n);
}

/* What is no text becomes '?'; what is too long is cut between characters. */
static void add_text(struct tap_buf *out, unsigned tag, const char *s)
{
	char clean[TAP_SPOOL_TEXT];
	size_t left, n = 0;

	for (left = strlen(s); left > 0;) {
		size_t len = utf8_char((const unsigned char *)s, left);
		size_t step = len ? len : 1;

		if (n + step > sizeof(clean))
			break;
		if (len)
			memcpy(clean + n, s, len);
		else
			clean[n] = '?';
		n += step;
		s += step;
		left -= step;
	}
	add_field(out, tag, clean, n);
}

enum tap_rc tap_spool_envelope_encode(const struct tap_envelope *env,
				      const unsigned char message_sha256[TAP_SHA256_BYTES],
				      struct tap_buf *out, struct tap_err *err)
{
	unsigned char door = (unsigned char)env->door, fate = (unsigned char)env->fate;

	if (env->n_recipients > TAP_SPOOL_RECIPIENTS)
		return tap_err_set(err, TAP_E_LIMIT, "more than %d recipients",
				   TAP_SPOOL_RECIPIENTS);
	add_field(out, TAG_DOOR, &door, 1);
	add_field(out, TAG_FATE, &fate, 1);
	add_field(out, TAG_MESSAGE_SHA256, message_sha256, TAP_SHA256_BYTES);
	for (size_t i = 0; i < env->n_recipients; i++)
		add_text(out, TAG_RECIPIENT, env->recipients[i]);
	for (size_t i = 0; i < TEXT_FIELDS; i++) {
		const char *s;

		memcpy(&s, (const char *)env + text_fields[i].offset, sizeof(s));
		if (s)
			add_text(out, text_fields[i].tag, s);
	}
	if (out->failed || out->len >= TAP_SPOOL_ENVELOPE)
		return tap_err_set(err, TAP_E_LIMIT, "envelope over %d bytes", TAP_SPOOL_ENVELOPE);
	return TAP_OK;
}

void tap_spool_header_encode(const struct tap_envelope *env, uint64_t message_len,
			     uint64_t envelope_len, struct tap_sha256 *hash,
			     unsigned char out[TAP_SPOOL_HEADER])
{
	memset(out, 0, TAP_SPOOL_HEADER);
	memcpy(out + H_MAGIC, magic, sizeof(magic));
	put(out + H_VERSION, 2, TAP_SPOOL_VERSION);
	put(out + H_SIZE, 2, TAP_SPOOL_HEADER);
	put(out + H_FLAGS, 4, env->passed_on ? TAP_SPOOL_PASSED_ON : 0);
	put(out + H_MESSAGE_OFF, 8, TAP_SPOOL_HEADER);
	put(out + H_MESSAGE_LEN, 8, message_len);
	put(out + H_ENVELOPE_OFF, 8, TAP_SPOOL_HEADER + message_len);
	put(out + H_ENVELOPE_LEN, 8, envelope_len);
	put(out + H_ARRIVAL, 8, (uint64_t)env->arrival);
	tap_sha256_update(hash, out, TAP_SPOOL_HASHED);
	tap_sha256_final(hash, out + H_SHA256);
}

/* ---- reading ---- */

static bool text_ok(const unsigned char *p, size_t n)
{
	while (n > 0) {
		size_t len = utf8_char(p, n);

		if (!len)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

/* The value of one field, by its tag. */
static enum tap_rc check_value(unsigned tag, const unsigned char *p, uint64_t len,
			       struct tap_err *err)
{
	switch (tag) {
	case TAG_DOOR:
		return len == 1 && p[0] < TAP_DOOR_N
			   ? TAP_OK
			   : tap_err_set(err, TAP_E_DATA, "envelope: bad door");
	case TAG_FATE:
		return len == 1 && p[0] < TAP_FATE_N
			   ? TAP_OK
			   : tap_err_set(err, TAP_E_DATA, "envelope: bad fate");
	case TAG_MESSAGE_SHA256:
		return len == TAP_SHA256_BYTES ? TAP_OK
					       : tap_err_set(err, TAP_E_DATA, "envelope: bad hash");
	default:
		if (len > TAP_SPOOL_TEXT || !text_ok(p, (size_t)len))
			return tap_err_set(err, TAP_E_DATA,
					   "envelope: field %u is too long or no text", tag);
		return TAP_OK;
	}
}

/* One walk over the fields, before anything is allocated: shape, tags, lengths, text. Counts the recipients. */
static enum tap_rc check_envelope(const unsigned char *p, size_t n, size_t *recipients_r,
				  struct tap_err *err)
{
	static const unsigned needed = 1u << TAG_DOOR | 1u << TAG_FATE | 1u << TAG_MESSAGE_SHA256;
	unsigned seen = 0;
	size_t recipients = 0;

	for (size_t at = 0; at < n;) {
		unsigned tag = p[at];
		uint64_t len = n - at >= FIELD_HEAD ? get(p + at + 1, 4) : UINT64_MAX;
		enum tap_rc rc;

		/* The first test keeps the subtraction of the second from passing zero. */
		if (n - at < FIELD_HEAD || len > n - at - FIELD_HEAD)
			return tap_err_set(err, TAP_E_DATA, "envelope is cut at byte %zu", at);
		if (tag == 0 || tag >= TAG_N)
			return tap_err_set(err, TAP_E_DATA, "envelope has unknown field %u", tag);
		if (tag == TAG_RECIPIENT)
			recipients++;
		else if (seen & 1u << tag)
			return tap_err_set(err, TAP_E_DATA, "envelope has field %u twice", tag);
		seen |= 1u << tag;
		rc = check_value(tag, p + at + FIELD_HEAD, len, err);
		if (rc)
			return rc;
		at += FIELD_HEAD + (size_t)len;
	}
	if ((seen & needed) != needed)
		return tap_err_set(err, TAP_E_DATA, "envelope lacks door, fate or hash");
	if (recipients > TAP_SPOOL_RECIPIENTS)
		return tap_err_set(err, TAP_E_DATA, "envelope has more than %d recipients",
				   TAP_SPOOL_RECIPIENTS);
	*recipients_r = recipients;
	return TAP_OK;
}

/* Fills the envelope from fields that check_envelope has passed. False: the arena is full. */
static bool take_envelope(const unsigned char *p, size_t n, size_t recipients,
			  struct tap_spool_file *f)
{
	struct tap_envelope *env = &f->envelope;
	const char **rcpt = tap_arena_alloc(f->arena, (recipients + 1) * sizeof(*rcpt));

	if (!rcpt)
		return false;
	env->recipients = rcpt;
	for (size_t at = 0, len; at < n; at += len) {
		unsigned tag = p[at];
		const char *s = NULL;

		len = (size_t)get(p + at + 1, 4);
		at += FIELD_HEAD;
		if (tag == TAG_DOOR)
			env->door = (enum tap_door)p[at];
		else if (tag == TAG_FATE)
			env->fate = (enum tap_fate)p[at];
		else if (tag == TAG_MESSAGE_SHA256)
			memcpy(f->message_sha256, p + at, TAP_SHA256_BYTES);
		else if (!(s = tap_arena_strndup(f->arena, (const char *)p + at, len)))
			return false;
		if (tag == TAG_RECIPIENT)
			rcpt[env->n_recipients++] = s;
		for (size_t i = 0; i < TEXT_FIELDS; i++) {
			if (text_fields[i].tag == tag)
				memcpy((char *)env + text_fields[i].offset, &s, sizeof(s));
		}
	}
	return true;
}

enum tap_rc tap_spool_file_read(const struct tap_spool_file *f, uint64_t off, void *buf, size_t n,
				size_t *got_r, struct tap_err *err)
{
	if (f->whole == NULL)
		return tap_io_pread(f->fd, buf, n, off, got_r, err);
	*got_r = off >= f->size ? 0 : f->size - off < n ? (size_t)(f->size - off) : n;
	memcpy(buf, f->whole + (*got_r > 0 ? off : 0), *got_r);
	return TAP_OK;
}

static enum tap_rc read_envelope_1(struct tap_spool_file *f, uint64_t off, uint64_t len,
				   struct tap_err *err)
{
	struct tap_buf b;
	size_t got = 0, recipients = 0;
	enum tap_rc rc = TAP_OK;

	tap_buf_init(&b, TAP_SPOOL_ENVELOPE);
	if (!tap_buf_reserve(&b, (size_t)len + 1))
		rc = tap_err_set(err, TAP_E_TEMP, "no memory for the envelope");
	if (!rc)
		rc = tap_spool_file_read(f, off, b.p, (size_t)len, &got, err);
	if (!rc && got != len)
		rc = tap_err_set(err, TAP_E_DATA, "envelope is cut");
	if (!rc)
		rc = check_envelope((const unsigned char *)b.p, got, &recipients, err);
	if (!rc) {
		/* Strings take their length, a NUL and padding each. */
		f->arena = tap_arena_new(2 * (size_t)len + 32 * (recipients + TAG_N) + 4096);
		if (!take_envelope((const unsigned char *)b.p, got, recipients, f))
			rc = tap_err_set(err, TAP_E_LIMIT, "no room for the envelope");
	}
	tap_buf_free(&b);
	return rc;
}

static enum tap_rc read_header_1(struct tap_spool_file *f, const unsigned char *h,
				 struct tap_err *err)
{
	uint64_t env_off = get(h + H_ENVELOPE_OFF, 8), env_len = get(h + H_ENVELOPE_LEN, 8);
	uint64_t flags = get(h + H_FLAGS, 4);

	f->message_off = get(h + H_MESSAGE_OFF, 8);
	f->message_len = get(h + H_MESSAGE_LEN, 8);
	memcpy(f->sha256, h + H_SHA256, sizeof(f->sha256));
	if (get(h + H_SIZE, 2) != TAP_SPOOL_HEADER || f->message_off != TAP_SPOOL_HEADER)
		return tap_err_set(err, TAP_E_DATA, "header: bad size of the header");
	if (flags & ~(uint64_t)TAP_SPOOL_FLAGS || get(h + H_ZERO, 8) != 0)
		return tap_err_set(err, TAP_E_DATA, "header: unknown flags");
	/* No sum that could overflow: each part is compared with what the file has left. */
	if (f->message_len > f->size - TAP_SPOOL_HEADER ||
	    env_off != TAP_SPOOL_HEADER + f->message_len)
		return tap_err_set(err, TAP_E_DATA, "header: message does not fit the file");
	if (env_len != f->size - env_off)
		return tap_err_set(err, TAP_E_DATA, "header: envelope does not fit the file");
	if (env_len >= TAP_SPOOL_ENVELOPE)
		return tap_err_set(err, TAP_E_DATA, "header: envelope over %d bytes",
				   TAP_SPOOL_ENVELOPE);
	f->envelope.passed_on = flags & TAP_SPOOL_PASSED_ON;
	f->envelope.arrival = (int64_t)get(h + H_ARRIVAL, 8);
	return read_envelope_1(f, env_off, env_len, err);
}

/* A file that became shorter since is found so by whoever wants what is missing. */
static enum tap_rc read_whole(struct tap_spool_file *f, struct tap_err *err)
{
	size_t got;
	enum tap_rc rc;

	f->whole = malloc((size_t)f->size + 1);
	if (f->whole == NULL)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "spool file");
	rc = tap_io_pread(f->fd, f->whole, (size_t)f->size, 0, &got, err);
	if (rc == TAP_OK)
		f->size = got;
	return rc;
}

static enum tap_rc read_file(struct tap_spool_file *f, struct tap_err *err)
{
	unsigned char h[TAP_SPOOL_HEADER];
	struct stat st;
	size_t got;
	enum tap_rc rc;

	if (fstat(f->fd, &st))
		return tap_err_sys(err, tap_io_class(errno), errno, "fstat");
	if (!S_ISREG(st.st_mode))
		return tap_err_set(err, TAP_E_DATA, "not a regular file");
	f->size = (uint64_t)st.st_size;
	rc = f->size <= TAP_SPOOL_WHOLE ? read_whole(f, err) : TAP_OK;
	if (!rc)
		rc = tap_spool_file_read(f, 0, h, sizeof(h), &got, err);
	if (rc)
		return rc;
	if (f->size < sizeof(h) || got < sizeof(h) ||
	    memcmp(h + H_MAGIC, magic, sizeof(magic)) != 0)
		return tap_err_set(err, TAP_E_DATA, "not a spool file");
	f->version = (uint32_t)get(h + H_VERSION, 2);
	switch (f->version) {
	case 1: return read_header_1(f, h, err);
	case 0: return tap_err_set(err, TAP_E_DATA, "header: version 0");
	default:
		return tap_err_set(err, TAP_E_CONFIG, "version %u: written by a newer dmarctap",
				   f->version);
	}
}

enum tap_rc tap_spool_file_fdopen(int fd, struct tap_spool_file *out, struct tap_err *err)
{
	enum tap_rc rc;

	memset(out, 0, sizeof(*out));
	out->fd = fd;
	rc = read_file(out, err);
	if (rc) {
		out->fd = -1; /* it stays the caller's */
		tap_spool_file_close(out);
	}
	return rc;
}

enum tap_rc tap_spool_file_open(int dirfd, const char *name, struct tap_spool_file *out,
				struct tap_err *err)
{
	struct tap_err own;
	int fd = -1;
	enum tap_rc rc;

	if (!err)
		err = &own;
	memset(out, 0, sizeof(*out));
	out->fd = -1;
	/* O_NONBLOCK: a FIFO under such a name must not stop us. */
	rc = tap_io_open(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &fd, NULL,
			 err);
	if (rc && err->sys_errno == ELOOP)
		return tap_err_set(err, TAP_E_DATA, "%s: not a regular file", name);
	if (rc)
		return rc;
	rc = tap_spool_file_fdopen(fd, out, err);
	if (rc) {
		tap_io_close(&fd);
		return tap_err_prefix(err, "%s: ", name);
	}
	return TAP_OK;
}

/* Feeds [off, off + len) to the hash. */
static enum tap_rc hash_range(const struct tap_spool_file *f, uint64_t off, uint64_t len,
			      struct tap_sha256 *hash, char *buf, size_t buf_size,
			      struct tap_err *err)
{
	if (f->whole != NULL) {
		tap_sha256_update(hash, f->whole + off, (size_t)len);
		return TAP_OK;
	}
	while (len > 0) {
		size_t want = len < buf_size ? (size_t)len : buf_size, got;
		enum tap_rc rc = tap_io_pread(f->fd, buf, want, off, &got, err);

		if (rc)
			return rc;
		if (got != want)
			return tap_err_set(err, TAP_E_DATA, "the file became shorter");
		tap_sha256_update(hash, buf, got);
		off += got;
		len -= got;
	}
	return TAP_OK;
}

enum tap_rc tap_spool_file_verify(const struct tap_spool_file *f, struct tap_err *err)
{
	enum { CHUNK = 64 << 10 };
	unsigned char message[TAP_SHA256_BYTES], whole[TAP_SHA256_BYTES], h[TAP_SPOOL_HEADER];
	uint64_t env_off = f->message_off + f->message_len;
	struct tap_sha256 hash, copy;
	size_t got;
	char *buf = f->whole != NULL ? NULL : malloc(CHUNK);
	enum tap_rc rc;

	if (f->whole == NULL && buf == NULL)
		return tap_err_sys(err, TAP_E_TEMP, ENOMEM, "verify");
	tap_sha256_init(&hash);
	rc = hash_range(f, f->message_off, f->message_len, &hash, buf, CHUNK, err);
	copy = hash;
	tap_sha256_final(&copy, message);
	if (!rc)
		rc = hash_range(f, env_off, f->size - env_off, &hash, buf, CHUNK, err);
	if (!rc)
		rc = tap_spool_file_read(f, 0, h, sizeof(h), &got, err);
	if (!rc && got != sizeof(h))
		rc = tap_err_set(err, TAP_E_DATA, "the file became shorter");
	if (!rc) {
		tap_sha256_update(&hash, h, TAP_SPOOL_HASHED);
		tap_sha256_final(&hash, whole);
		if (memcmp(whole, f->sha256, sizeof(whole)) != 0)
			rc = tap_err_set(err, TAP_E_DATA, "the hash of the file is wrong");
		else if (memcmp(message, f->message_sha256, sizeof(message)) != 0)
			rc = tap_err_set(err, TAP_E_DATA, "the hash of the message is wrong");
	}
	free(buf);
	return rc;
}

void tap_spool_file_release(struct tap_spool_file *f)
{
	tap_io_close(&f->fd);
	free(f->whole);
	f->whole = NULL;
}

void tap_spool_file_close(struct tap_spool_file *f)
{
	if (!f)
		return;
	tap_spool_file_release(f);
	tap_arena_free(&f->arena);
	memset(&f->envelope, 0, sizeof(f->envelope));
}

/* ---- names ---- */

bool tap_spool_id_of(const char *name, char id_r[TAP_SPOOL_ID + 1])
{
	size_t n = strspn(name, "0123456789abcdef");

	if (n != TAP_SPOOL_ID || strcmp(name + n, ".tap") != 0)
		return false;
	memcpy(id_r, name, n);
	id_r[n] = '\0';
	return true;
}

enum tap_spool_entry tap_spool_entry_of(const char *name)
{
	char id[TAP_SPOOL_ID + 1];

	if (name[0] == '.')
		return TAP_SPOOL_PARTIAL;
	return tap_spool_id_of(name, id) ? TAP_SPOOL_MESSAGE : TAP_SPOOL_FOREIGN;
}
