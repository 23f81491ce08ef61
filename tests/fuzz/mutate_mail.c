/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/mutate_mail.c - see mutate.h: mails of header fields and parts. */
#include "mutate.h"

#include <string.h>
#include <strings.h>

enum { MAX_PARTS = 16 };

struct span {
	size_t from, to;
};

static const char *const fields[] = {
    "Content-Transfer-Encoding: base64\n",
    "Content-Transfer-Encoding: quoted-printable\n",
    "Content-Transfer-Encoding: 8bit\n",
    "Content-Transfer-Encoding: x-uuencode\n",
    "Content-Transfer-Encoding: BASE64 \n",
    "Content-Type: application/gzip\n",
    "Content-Type: application/zip; name=\"a!b!1!2.zip\"\n",
    "Content-Type: text/xml; charset=utf-16\n",
    "Content-Type: text/plain\n",
    "Content-Type: message/rfc822\n",
    "Content-Type: message/feedback-report\n",
    "Content-Type: multipart/report; report-type=feedback-report; boundary=\"=_b1\"\n",
    "Content-Type: multipart/mixed; boundary=\"\"\n",
    "Content-Type: application/tlsrpt+gzip\n",
    "Content-Type: text/rfc822-headers\n",
    "Content-Disposition: attachment; filename*0*=utf-8''a%21b; filename*1=.xml\n",
    "Subject: =?utf-8?B?UmVwb3J0IERvbWFpbjog?=\n example.com Submitter: a.example\n",
    "From: \"a\" <b@c.example>, d@e.example\n",
    "Authentication-Results: mx.example.org; dmarc=pass header.from=a.example\n",
    "Received: by x; Mon, 1 Jun 2026 00:00:00 +0000\n",
    "MIME-Version: 2.0\n",
    "X: \xff\xfe\n",
};
#define PICK(m, table) ((table)[mutate_below(m, sizeof(table) / sizeof((table)[0]))])

static size_t line_end(const uint8_t *p, size_t n, size_t at)
{
	const uint8_t *nl = at < n ? memchr(p + at, '\n', n - at) : NULL;

	return nl ? (size_t)(nl - p) + 1 : n;
}

/* The parts between lines that begin with `--` and look like boundaries; the header block of the mail is none of them. */
static unsigned find_parts(const uint8_t *p, size_t n, struct span part[MAX_PARTS])
{
	unsigned k = 0;
	size_t at = 0;

	while (at < n && k < MAX_PARTS) {
		size_t end = line_end(p, n, at);

		if (end - at > 3 && p[at] == '-' && p[at + 1] == '-' && p[at + 2] > ' ') {
			if (k > 0)
				part[k - 1].to = at;
			part[k].from = at;
			part[k].to = n;
			k++;
		}
		at = end;
	}
	return k;
}

/* A line that looks like a header field, near a place chosen by chance. */
static int pick_field(struct mutate *m, const uint8_t *p, size_t n, struct span *f)
{
	for (int tries = 0; tries < 12; tries++) {
		size_t at = mutate_below(m, n), end;
		const uint8_t *colon;

		while (at > 0 && p[at - 1] != '\n')
			at--;
		end = line_end(p, n, at);
		colon = memchr(p + at, ':', end - at);
		if (!colon || colon == p + at || memchr(p + at, ' ', (size_t)(colon - p) - at))
			continue;
		f->from = at;
		f->to = end;
		return 1;
	}
	return 0;
}

static size_t put(uint8_t *p, size_t n, size_t max, size_t at, size_t old, const char *t)
{
	return mutate_splice(p, n, max, at, old, t, strlen(t));
}

static size_t in_a_field(struct mutate *m, uint8_t *p, size_t n, size_t max)
{
	struct span f;

	if (!pick_field(m, p, n, &f))
		return n;
	switch (mutate_below(m, 4)) {
	case 0: return mutate_splice(p, n, max, f.from, f.to - f.from, "", 0);
	case 1: return mutate_splice(p, n, max, f.to, 0, p + f.from, f.to - f.from);
	case 2: return put(p, n, max, f.from, f.to - f.from, PICK(m, fields));
	default: return put(p, n, max, f.from, 0, PICK(m, fields));
	}
}

static size_t in_the_parts(struct mutate *m, uint8_t *p, size_t n, size_t max)
{
	static const char *const damage[] = {"--\n",	   "\n--", "--=_b1--\n",
					     "--=_b1\n\n", "\r\n", "\n\n"};
	struct span part[MAX_PARTS], a, b;
	unsigned k = find_parts(p, n, part);

	if (k == 0)
		return in_a_field(m, p, n, max);
	a = part[mutate_below(m, k)];
	b = part[mutate_below(m, k)];
	switch (mutate_below(m, 5)) {
	case 0: return mutate_splice(p, n, max, a.to, 0, p + a.from, a.to - a.from);
	case 1: return mutate_splice(p, n, max, a.from, a.to - a.from, "", 0);
	case 2: return mutate_splice(p, n, max, b.from, 0, p + a.from, a.to - a.from);
	case 3: return put(p, n, max, a.from, mutate_below(m, 4), PICK(m, damage));
	default: return mutate_splice(p, n, max, a.from, line_end(p, n, a.from) - a.from, "", 0);
	}
}

/* Line ends: LF to CRLF or back, in the whole of it or behind a place. */
static size_t line_ends(struct mutate *m, uint8_t *p, size_t n, size_t max)
{
	int add = (int)mutate_below(m, 2);

	for (size_t i = mutate_below(m, 2) ? 0 : mutate_below(m, n); i < n; i++) {
		if (p[i] != '\n')
			continue;
		if (add && (i == 0 || p[i - 1] != '\r')) {
			n = put(p, n, max, i, 0, "\r");
			i++;
		} else if (!add && i > 0 && p[i - 1] == '\r') {
			n = mutate_splice(p, n, max, i - 1, 1, "", 0);
			i--;
		}
	}
	return n;
}

/* A report that stands there readable. */
static size_t in_a_report(struct mutate *m, uint8_t *p, size_t n, size_t max)
{
	uint8_t *from = memmem(p, n, "<feedback", 9), *to;
	size_t at, len, changed;

	if (!from)
		return in_the_parts(m, p, n, max);
	at = (size_t)(from - p);
	to = memmem(from, n - at, "</feedback>", 11);
	len = to ? (size_t)(to - from) + 11 : n - at;
	/* What follows it is moved to the end of the room, so that the report may grow. */
	memmove(p + max - (n - at - len), p + at + len, n - at - len);
	changed = mutate_xml(m, from, len, max - at - (n - at - len));
	memmove(from + changed, p + max - (n - at - len), n - at - len);
	return n - len + changed;
}

size_t mutate_mail(struct mutate *m, uint8_t *p, size_t n, size_t max)
{
	if (n == 0)
		return 0;
	switch (mutate_below(m, 8)) {
	case 0:
	case 1: return in_a_field(m, p, n, max);
	case 2:
	case 3: return in_the_parts(m, p, n, max);
	case 4: return line_ends(m, p, n, max);
	case 5:
	case 6: return in_a_report(m, p, n, max);
	default: return mutate_bytes(m, (enum mutate_kind)mutate_below(m, MUTATE_KINDS), p, n, max);
	}
}
