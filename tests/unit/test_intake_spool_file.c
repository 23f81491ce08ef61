/* SPDX-License-Identifier: Apache-2.0
 * The spool file: round trip, every byte flipped, every length cut, envelopes made by hand, names. */
#include "intake_helper.h"

#include "base/sha256.h"
#include <sys/mman.h>

static const char message[] = "From: a@b.example\r\nSubject: x\r\n\r\nbody\r\n\0with a NUL\r\n";
static const char *const recipients[] = {"dmarc@example.com", "dmarc+x@example.com"};
static const struct tap_envelope whole = {
    .door = TAP_DOOR_LMTP,
    .fate = TAP_FATE_BROKEN,
    .passed_on = true,
    .arrival = 1780000000,
    .sender = "",
    .recipients = recipients,
    .n_recipients = 2,
    .client = "192.0.2.1",
    .client_name = "mx.example",
    .helo = "h\xc3\xa4lo.example",
    .queue_id = "4F1B2C",
    .auth = "user",
    .reason = "gzip: cut at byte 10",
};

/* A whole spool file in memory. */
static void build(const struct tap_envelope *env, const void *msg, size_t n, struct tap_buf *out)
{
	unsigned char digest[TAP_SHA256_BYTES], header[TAP_SPOOL_HEADER] = {0};
	struct tap_sha256 hash, copy;
	struct tap_err err;

	tap_buf_init(out, 8 << 20);
	tap_buf_add(out, header, sizeof(header));
	tap_buf_add(out, msg, n);
	tap_sha256_init(&hash);
	tap_sha256_update(&hash, msg, n);
	copy = hash;
	tap_sha256_final(&copy, digest);
	assert_int_equal(tap_spool_envelope_encode(env, digest, out, &err), TAP_OK);
	tap_sha256_update(&hash, out->p + TAP_SPOOL_HEADER + n, out->len - TAP_SPOOL_HEADER - n);
	tap_spool_header_encode(env, n, out->len - TAP_SPOOL_HEADER - n, &hash, header);
	memcpy(out->p, header, sizeof(header));
}

/* Recomputes the hash over whatever stands in the file, as somebody would who makes one by hand. */
static void rehash(unsigned char *p, size_t n)
{
	struct tap_sha256 hash;

	tap_sha256_init(&hash);
	tap_sha256_update(&hash, p + TAP_SPOOL_HEADER, n - TAP_SPOOL_HEADER);
	tap_sha256_update(&hash, p, TAP_SPOOL_HASHED);
	tap_sha256_final(&hash, p + TAP_SPOOL_HASHED);
}

static int memory_file(const void *p, size_t n)
{
	int fd = memfd_create("spool", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, 0), n);
	return fd;
}

/* TAP_OK only when it opens and its hashes are right. */
static enum tap_rc try(const void *p, size_t n, struct tap_spool_file *f)
{
	struct tap_err err;
	int fd = memory_file(p, n);
	enum tap_rc rc = tap_spool_file_fdopen(fd, f, &err);

	if (rc) {
		assert_null(f->arena);
		assert_int_equal(f->fd, -1);
		close(fd);
		return rc;
	}
	return tap_spool_file_verify(f, &err);
}

static void same_text(const char *a, const char *b)
{
	if (!b)
		assert_null(a);
	else
		assert_string_equal(a, b);
}

static void same_envelope(const struct tap_envelope *a, const struct tap_envelope *b)
{
	assert_int_equal(a->door, b->door);
	assert_int_equal(a->fate, b->fate);
	assert_int_equal(a->passed_on, b->passed_on);
	assert_int_equal(a->arrival, b->arrival);
	same_text(a->sender, b->sender);
	assert_int_equal(a->n_recipients, b->n_recipients);
	for (size_t i = 0; i < a->n_recipients; i++)
		same_text(a->recipients[i], b->recipients[i]);
	same_text(a->client, b->client);
	same_text(a->client_name, b->client_name);
	same_text(a->helo, b->helo);
	same_text(a->queue_id, b->queue_id);
	same_text(a->auth, b->auth);
	same_text(a->reason, b->reason);
}

static void test_round_trip(void **state)
{
	struct tap_envelope bare = {.door = TAP_DOOR_MILTER, .arrival = -1};
	struct tap_spool_file f;
	struct tap_buf b;
	char *got;

	(void)state;
	build(&whole, message, sizeof(message), &b);
	assert_int_equal(try(b.p, b.len, &f), TAP_OK);
	assert_int_equal(f.version, 1);
	assert_int_equal(f.message_off, TAP_SPOOL_HEADER);
	assert_int_equal(f.message_len, sizeof(message));
	same_envelope(&f.envelope, &whole);
	got = message_of(&f);
	assert_memory_equal(got, message, sizeof(message));
	free(got);
	tap_spool_file_close(&f);
	tap_spool_file_close(&f);
	tap_spool_file_close(NULL);
	tap_buf_free(&b);

	build(&bare, "", 0, &b);
	assert_int_equal(try(b.p, b.len, &f), TAP_OK);
	assert_int_equal(f.message_len, 0);
	same_envelope(&f.envelope, &bare);
	tap_spool_file_close(&f);
	tap_buf_free(&b);
}

/* The format is a promise: this file was made by hand from the table in docs/formats.md, not by the code under test. */
static void test_bytes_of_version_1(void **state)
{
	static const unsigned char expected_header[] = {
	    'D', 'M', 'A', 'R', 'C', 'T', 'A', 'P',
	    1,	 0,   96,  0,	1,   0,	  0,   0, /* flags: passed on */
	    96,	 0,   0,   0,	0,   0,	  0,   0,
	    2,	 0,   0,   0,	0,   0,	  0,   0, /* message at 96, 2 bytes */
	    98,	 0,   0,   0,	0,   0,	  0,   0,
	    57,	 0,   0,   0,	0,   0,	  0,   0, /* envelope at 98, 57 bytes */
	    4,	 3,   2,   1,	0,   0,	  0,   0,
	    0,	 0,   0,   0,	0,   0,	  0,   0, /* arrival 0x01020304 */
	};
	static const unsigned char digest[] = {/* SHA-256 of "hi" */
					       0x8f, 0x43, 0x43, 0x46, 0x64, 0x8f, 0x6b, 0x96,
					       0xdf, 0x89, 0xdd, 0xa9, 0x01, 0xc5, 0x17, 0x6b,
					       0x10, 0xa6, 0xd8, 0x39, 0x61, 0xdd, 0x3c, 0x1a,
					       0xc8, 0x8b, 0x59, 0xb2, 0xdc, 0x32, 0x7a, 0xa4};
	static const char *const rcpt[] = {"a@b"};
	struct tap_envelope env = {.door = TAP_DOOR_PIPE,
				   .passed_on = true,
				   .arrival = 0x01020304,
				   .recipients = rcpt,
				   .n_recipients = 1};
	unsigned char envelope[57] = {1, 1, 0, 0, 0, 2, 2, 1, 0, 0, 0, 0, 3, 32};
	struct tap_spool_file f;
	struct tap_buf b;

	(void)state;
	memcpy(envelope + 17, digest, sizeof(digest));
	memcpy(envelope + 49, "\x04\x03\0\0\0a@b", 8);
	build(&env, "hi", 2, &b);
	assert_int_equal(b.len, 96 + 2 + 57);
	assert_memory_equal(b.p, expected_header, sizeof(expected_header));
	assert_memory_equal(b.p + 96, "hi", 2);
	assert_memory_equal(b.p + 98, envelope, sizeof(envelope));
	assert_int_equal(try(b.p, b.len, &f), TAP_OK);
	assert_memory_equal(f.message_sha256, digest, sizeof(digest));
	tap_spool_file_close(&f);
	tap_buf_free(&b);
}

static void test_each_byte_flipped(void **state)
{
	struct tap_spool_file f;
	struct tap_buf b;

	(void)state;
	build(&whole, message, sizeof(message), &b);
	for (size_t i = 0; i < b.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			enum tap_rc rc;

			b.p[i] = (char)(b.p[i] ^ (1 << bit));
			rc = try(b.p, b.len, &f);
			tap_spool_file_close(&f);
			/* Another version is for an operator to see; everything else is damage. */
			if (rc != (i == 8 || i == 9 ? (b.p[8] || b.p[9] ? TAP_E_CONFIG : TAP_E_DATA)
						    : TAP_E_DATA))
				fail_msg("byte %zu bit %d: %s", i, bit, tap_rc_name(rc));
			b.p[i] = (char)(b.p[i] ^ (1 << bit));
		}
	}
	tap_buf_free(&b);
}

static void test_each_length(void **state)
{
	struct tap_spool_file f;
	struct tap_buf b;

	(void)state;
	build(&whole, message, sizeof(message), &b);
	for (size_t n = 0; n < b.len; n++) {
		if (try(b.p, n, &f) != TAP_E_DATA)
			fail_msg("cut at %zu was taken", n);
		tap_spool_file_close(&f);
	}
	tap_buf_addc(&b, 'x');
	assert_int_equal(try(b.p, b.len, &f), TAP_E_DATA);
	tap_spool_file_close(&f);
	tap_buf_free(&b);
}

/* Right hashes over wrong contents: whoever can write into the spool can make these. */
static void test_made_by_hand(void **state)
{
	static const struct {
		const char *what, *p;
		size_t n;
	} envelopes[] = {
	    {"empty", "", 0},
	    {"half a head", "\x05\x01\0\0", 4},
	    {"length behind the end", "\x05\xff\xff\xff\xff", 5},
	    {"tag 0", "\0\0\0\0\0", 5},
	    {"tag 12", "\x0c\0\0\0\0", 5},
	    {"tag 255", "\xff\0\0\0\0", 5},
	    {"door 5", "\x01\x01\0\0\0\x05", 6},
	    {"door of two bytes", "\x01\x02\0\0\0\0\0", 7},
	    {"fate 7", "\x02\x01\0\0\0\x07", 6},
	    {"short hash", "\x03\x02\0\0\0hi", 7},
	    {"door only", "\x01\x01\0\0\0\0", 6},
	    {"sender twice", "\x05\0\0\0\0\x05\0\0\0\0", 10},
	    {"control character", "\x05\x01\0\0\0\n", 6},
	    {"NUL", "\x05\x01\0\0\0\0", 6},
	    {"DEL", "\x05\x01\0\0\0\x7f", 6},
	    {"no UTF-8", "\x05\x01\0\0\0\xff", 6},
	    {"half a character", "\x05\x01\0\0\0\xc3", 6},
	    {"overlong", "\x05\x02\0\0\0\xc0\x80", 7},
	    {"surrogate", "\x05\x03\0\0\0\xed\xa0\x80", 8},
	    {"over U+10FFFF", "\x05\x04\0\0\0\xf4\x90\x80\x80", 9},
	    {"C1 control", "\x05\x02\0\0\0\xc2\x80", 7},
	};
	static const struct {
		int at, bytes;
		uint64_t value;
	} headers[] = {
	    {10, 2, 95},	 {10, 2, 97},
	    {12, 4, 2},		 {12, 4, 0x80000000},
	    {16, 8, 95},	 {16, 8, 97},
	    {16, 8, UINT64_MAX}, {24, 8, 1 << 20},
	    {24, 8, UINT64_MAX}, {24, 8, UINT64_MAX - 95},
	    {32, 8, 0},		 {32, 8, UINT64_MAX},
	    {40, 8, 0},		 {40, 8, UINT64_MAX},
	    {56, 8, 1},
	};
	struct tap_spool_file f;
	struct tap_buf b;

	(void)state;
	build(&whole, message, sizeof(message), &b);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		unsigned char copy[1024];

		memcpy(copy, b.p, b.len);
		for (int k = 0; k < headers[i].bytes; k++)
			copy[headers[i].at + k] = (unsigned char)(headers[i].value >> (8 * k));
		rehash(copy, b.len);
		if (try(copy, b.len, &f) != TAP_E_DATA)
			fail_msg("header %zu was taken", i);
		tap_spool_file_close(&f);
	}
	tap_buf_free(&b);
	for (size_t i = 0; i < sizeof(envelopes) / sizeof(envelopes[0]); i++) {
		unsigned char copy[256] = {0};

		build(&(struct tap_envelope){0}, "", 0, &b);
		memcpy(copy, b.p, TAP_SPOOL_HEADER);
		memcpy(copy + TAP_SPOOL_HEADER, envelopes[i].p, envelopes[i].n);
		copy[40] = (unsigned char)envelopes[i].n;
		rehash(copy, TAP_SPOOL_HEADER + envelopes[i].n);
		if (try(copy, TAP_SPOOL_HEADER + envelopes[i].n, &f) != TAP_E_DATA)
			fail_msg("%s was taken", envelopes[i].what);
		tap_spool_file_close(&f);
		tap_buf_free(&b);
	}
}

/* What comes over the wire is made text by the writer, whatever it is. */
static void test_dirty_text(void **state)
{
	char longest[3000];
	const char *rcpt[] = {"a\nb", longest};
	struct tap_envelope env = {
	    .sender = "x\r\n\x01\xff y\xc3\xa4\xc3", .recipients = rcpt, .n_recipients = 2};
	struct tap_spool_file f;
	struct tap_buf b;

	(void)state;
	memset(longest, 'z', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	memcpy(longest + TAP_SPOOL_TEXT - 1, "\xc3\xa4", 2); /* a character over the edge */
	build(&env, "", 0, &b);
	assert_int_equal(try(b.p, b.len, &f), TAP_OK);
	assert_string_equal(f.envelope.sender, "x???? y\xc3\xa4?");
	assert_string_equal(f.envelope.recipients[0], "a?b");
	assert_int_equal(strlen(f.envelope.recipients[1]), TAP_SPOOL_TEXT - 1);
	tap_spool_file_close(&f);
	tap_buf_free(&b);
}

static void test_limits(void **state)
{
	static const unsigned char digest[TAP_SHA256_BYTES];
	const char **rcpt = calloc(TAP_SPOOL_RECIPIENTS + 1, sizeof(*rcpt));
	char longest[TAP_SPOOL_TEXT + 1];
	struct tap_envelope env = {.recipients = rcpt, .n_recipients = TAP_SPOOL_RECIPIENTS};
	struct tap_spool_file f;
	struct tap_err err;
	struct tap_buf b;

	(void)state;
	assert_non_null(rcpt);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (int i = 0; i <= TAP_SPOOL_RECIPIENTS; i++)
		rcpt[i] = longest;
	build(&env, message, sizeof(message), &b);
	assert_int_equal(try(b.p, b.len, &f), TAP_OK);
	assert_int_equal(f.envelope.n_recipients, TAP_SPOOL_RECIPIENTS);
	tap_spool_file_close(&f);
	tap_buf_free(&b);
	env.n_recipients++;
	tap_buf_init(&b, 8 << 20);
	assert_int_equal(tap_spool_envelope_encode(&env, digest, &b, &err), TAP_E_LIMIT);
	tap_buf_free(&b);
	free(rcpt);
}

static void test_not_a_file(void **state)
{
	struct tap_spool_file f;
	struct tap_err err;
	struct box b;
	char path[256];
	int dir;

	(void)state;
	box_make(&b);
	dir = open(b.path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(tap_spool_file_open(dir, "gone.tap", &f, &err), TAP_E_NOTFOUND);
	assert_int_equal(f.fd, -1);
	assert_int_equal(mkfifoat(dir, "fifo.tap", 0600), 0);
	assert_int_equal(tap_spool_file_open(dir, "fifo.tap", &f, &err), TAP_E_DATA);
	assert_int_equal(symlinkat("fifo.tap", dir, "link.tap"), 0);
	assert_int_equal(tap_spool_file_open(dir, "link.tap", &f, &err), TAP_E_DATA);
	assert_int_equal(mkdirat(dir, "dir.tap", 0700), 0);
	assert_int_equal(tap_spool_file_open(dir, "dir.tap", &f, &err), TAP_E_DATA);
	snprintf(path, sizeof(path), "%s/text.tap", b.path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(tap_spool_file_open(dir, "text.tap", &f, &err), TAP_E_DATA);
	assert_non_null(strstr(err.msg, "text.tap"));
	assert_int_equal(tap_spool_file_open(dir, "text.tap", &f, NULL), TAP_E_DATA);
	close(dir);
	box_drop(&b);
}

static void test_names(void **state)
{
	char id[TAP_SPOOL_ID + 1];

	(void)state;
	assert_int_equal(tap_spool_entry_of("0123456789abcdef0123456789abcdef.tap"),
			 TAP_SPOOL_MESSAGE);
	assert_true(tap_spool_id_of("0123456789abcdef0123456789abcdef.tap", id));
	assert_string_equal(id, "0123456789abcdef0123456789abcdef");
	assert_int_equal(tap_spool_entry_of(".0123456789abcdef0123456789abcdef"),
			 TAP_SPOOL_PARTIAL);
	assert_int_equal(tap_spool_entry_of("0123456789abcdef0123456789abcdef"), TAP_SPOOL_FOREIGN);
	assert_int_equal(tap_spool_entry_of("0123456789abcdef0123456789abcde.tap"),
			 TAP_SPOOL_FOREIGN);
	assert_int_equal(tap_spool_entry_of("0123456789abcdef0123456789abcdef0.tap"),
			 TAP_SPOOL_FOREIGN);
	assert_int_equal(tap_spool_entry_of("0123456789ABCDEF0123456789abcdef.tap"),
			 TAP_SPOOL_FOREIGN);
	assert_int_equal(tap_spool_entry_of("README"), TAP_SPOOL_FOREIGN);
	assert_int_equal(tap_spool_entry_of(""), TAP_SPOOL_FOREIGN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_bytes_of_version_1),
	    cmocka_unit_test(test_each_byte_flipped),
	    cmocka_unit_test(test_each_length),
	    cmocka_unit_test(test_made_by_hand),
	    cmocka_unit_test(test_dirty_text),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_not_a_file),
	    cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests_name("intake spool file", tests, NULL, NULL);
}
