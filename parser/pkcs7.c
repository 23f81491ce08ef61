/* SPDX-License-Identifier: Apache-2.0
 * parser/pkcs7.c - see pkcs7.h. */
#include "parser/pkcs7.h"
#include <stdint.h>

enum {
	INTEGER = 0x02,
	OCTETS = 0x04,
	OID = 0x06,
	SEQUENCE = 0x30,
	SET = 0x31,
	CONSTRUCTED = 0x20,
	CONTEXT_0 = 0xa0,
};

/* One element: its content is p[at … end), or goes on to an end mark when end is that of what it stands in. */
struct element {
	unsigned tag;
	size_t at, end, next; /* next: behind it; 0 = has to be found (indefinite) */
	bool indefinite;
};
struct ber {
	const unsigned char *p;
	size_t n;
	struct tap_err *err;
};

static enum tap_rc damaged(const struct ber *b, size_t at, const char *what)
{
	tap_err_set(b->err, TAP_E_DATA, "S/MIME damaged at byte %zu: %s", at, what);
	return TAP_E_DATA;
}

/* The header of the element at `at`, which may not reach over `end`. */
static enum tap_rc header(const struct ber *b, size_t at, size_t end, struct element *e)
{
	size_t len = 0, n;

	*e = (struct element){0};
	if (end - at < 2)
		return damaged(b, at, "it is cut off");
	e->tag = b->p[at];
	if ((e->tag & 0x1f) == 0x1f)
		return damaged(b, at, "a long tag");
	n = b->p[at + 1];
	e->indefinite = n == 0x80;
	e->at = at + 2;
	if (n < 0x80) {
		len = n;
	} else if (!e->indefinite) {
		n &= 0x7f;
		if (n > sizeof(uint32_t) || n > end - e->at)
			return damaged(b, at, "a length that cannot be");
		while (n-- > 0)
			len = len << 8 | b->p[e->at++];
	} else if (!(e->tag & CONSTRUCTED)) {
		return damaged(b, at, "a value without a length");
	}
	if (len > end - e->at)
		return damaged(b, at, "it is cut off, or a length that cannot be");
	e->end = e->indefinite ? end : e->at + len;
	e->next = e->indefinite ? 0 : e->end;
	return TAP_OK;
}

static bool at_end(const struct ber *b, size_t at, const struct element *in)
{
	if (in->indefinite)
		return in->end - at >= 2 && b->p[at] == 0 && b->p[at + 1] == 0;
	return at >= in->end;
}

/* Where the next element stands: each byte is looked at once a level. */
static enum tap_rc behind(const struct ber *b, const struct element *e, unsigned depth,
			  size_t *next_r)
{
	size_t at = e->at;
	struct element in;
	enum tap_rc rc;

	*next_r = e->next;
	if (!e->indefinite)
		return TAP_OK;
	if (depth >= TAP_PKCS7_DEPTH)
		return damaged(b, e->at, "nested too deep");
	while (!at_end(b, at, e)) {
		rc = header(b, at, e->end, &in);
		if (rc == TAP_OK)
			rc = behind(b, &in, depth + 1, &at);
		if (rc != TAP_OK)
			return rc;
	}
	*next_r = at + 2;
	return TAP_OK;
}

/* Appends the bytes of an octet string, or of its pieces. *next_r: behind it. */
static enum tap_rc octets(const struct ber *b, const struct element *e, unsigned depth,
			  struct tap_buf *out, size_t *next_r)
{
	size_t at = e->at;
	struct element in;
	enum tap_rc rc;

	if (!(e->tag & CONSTRUCTED)) {
		tap_buf_add(out, b->p + e->at, e->end - e->at);
		*next_r = e->next;
		return out->failed ? tap_err_set(b->err, TAP_E_LIMIT, "S/MIME with too much in it")
				   : TAP_OK;
	}
	if (depth >= TAP_PKCS7_DEPTH)
		return damaged(b, e->at, "nested too deep");
	while (!at_end(b, at, e)) {
		rc = header(b, at, e->end, &in);
		if (rc == TAP_OK && (in.tag & ~(unsigned)CONSTRUCTED) != OCTETS)
			rc = damaged(b, at, "no octet string");
		if (rc == TAP_OK)
			rc = octets(b, &in, depth + 1, out, &at);
		if (rc != TAP_OK)
			return rc;
	}
	*next_r = e->indefinite ? at + 2 : e->end;
	return TAP_OK;
}

/* The element at *at, which has to have this tag; *at moves behind it when skip, else to its content. */
static enum tap_rc expect(const struct ber *b, size_t *at, size_t end, unsigned tag, bool skip,
			  struct element *e)
{
	enum tap_rc rc = TAP_OK;

	*e = (struct element){0};
	rc = *at < end ? header(b, *at, end, e) : damaged(b, *at, "it ends early");
	if (rc == TAP_OK && e->tag != tag)
		rc = damaged(b, *at, "not what stands there in signed data");
	if (rc == TAP_OK && skip)
		return behind(b, e, 0, at);
	if (rc == TAP_OK)
		*at = e->at;
	return rc;
}

static enum tap_pkcs7 kind_of(const unsigned char *oid, size_t n)
{
	static const unsigned char pkcs7[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7};
	static const unsigned char auth_enveloped[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
						       1,    9,	   0x10, 1,    0x17};

	if (n == sizeof pkcs7 + 1 && memcmp(oid, pkcs7, sizeof pkcs7) == 0) {
		if (oid[n - 1] == 2)
			return TAP_PKCS7_SIGNED;
		return oid[n - 1] == 3 || oid[n - 1] == 4 || oid[n - 1] == 6 ? TAP_PKCS7_ENCRYPTED
									     : TAP_PKCS7_OTHER;
	}
	if (n == sizeof auth_enveloped && memcmp(oid, auth_enveloped, n) == 0)
		return TAP_PKCS7_ENCRYPTED;
	return TAP_PKCS7_OTHER;
}

/* SignedData: version, digestAlgorithms, encapContentInfo { type, [0] content }, … */
static enum tap_rc signed_data(const struct ber *b, size_t at, size_t end, enum tap_pkcs7 *kind_r,
			       struct tap_buf *content)
{
	struct element e, info;
	size_t next;
	enum tap_rc rc = expect(b, &at, end, SEQUENCE, false, &e);

	end = rc == TAP_OK ? e.end : end;
	if (rc == TAP_OK)
		rc = expect(b, &at, end, INTEGER, true, &e);
	if (rc == TAP_OK)
		rc = expect(b, &at, end, SET, true, &e);
	if (rc == TAP_OK)
		rc = expect(b, &at, end, SEQUENCE, false, &info);
	if (rc == TAP_OK)
		rc = expect(b, &at, info.end, OID, true, &e);
	if (rc != TAP_OK)
		return rc;
	if (at_end(b, at, &info)) {
		*kind_r = TAP_PKCS7_DETACHED;
		return TAP_OK;
	}
	rc = expect(b, &at, info.end, CONTEXT_0, false, &e);
	if (rc == TAP_OK)
		rc = at < e.end ? header(b, at, e.end, &e) : damaged(b, at, "it ends early");
	if (rc == TAP_OK && (e.tag & ~(unsigned)CONSTRUCTED) != OCTETS)
		rc = damaged(b, at, "no octet string");
	return rc == TAP_OK ? octets(b, &e, 0, content, &next) : rc;
}

enum tap_rc tap_pkcs7_read(const void *p, size_t n, enum tap_pkcs7 *kind_r, struct tap_buf *content,
			   struct tap_err *err)
{
	struct ber b = {.p = p, .n = n, .err = err};
	struct element e, oid;
	size_t at = 0, end = n;
	enum tap_rc rc = expect(&b, &at, end, SEQUENCE, false, &e);

	*kind_r = TAP_PKCS7_OTHER;
	if (rc == TAP_OK) {
		end = e.end;
		rc = expect(&b, &at, end, OID, true, &oid);
	}
	if (rc != TAP_OK)
		return rc;
	*kind_r = kind_of(b.p + oid.at, oid.end - oid.at);
	if (*kind_r != TAP_PKCS7_SIGNED)
		return TAP_OK;
	rc = expect(&b, &at, end, CONTEXT_0, false, &e);
	return rc == TAP_OK ? signed_data(&b, at, e.end, kind_r, content) : rc;
}
