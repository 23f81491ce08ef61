/* SPDX-License-Identifier: Apache-2.0
 * tests/bench/gen_report.c - makes aggregate reports and report mails, the same bytes for the same arguments.
 *   gen_report records N > FILE          one report of N records, about 700 bytes each
 *   gen_report mails DIR M N [DOMAIN]    M mails DIR/000001.eml … with one report of N records each, gzip in base64
 *   gen_report mail NUMBER N [DOMAIN] > FILE   one such mail
 *   gen_report mbox M > FILE             M such mails of 5 to 10 records, one after the other in an mbox
 *   gen_report box DIR M                 the same M mails as files
 * DOMAIN: of the report address, dmarc@DOMAIN (default example.com). */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct text {
	char *p;
	size_t n, cap;
	FILE *to; /* not NULL: written out whenever it is large */
};

static void die(const char *what)
{
	(void)fprintf(stderr, "gen_report: %s\n", what);
	exit(1);
}

static void flush_text(struct text *t)
{
	if (t->n > 0 && fwrite(t->p, 1, t->n, t->to) != t->n)
		die("cannot write");
	t->n = 0;
}

static void add(struct text *t, const char *p, size_t n)
{
	if (t->to != NULL && t->n > 1024 * 1024)
		flush_text(t);
	if (n > t->cap - t->n) {
		t->cap = (t->n + n) * 2 + 4096;
		t->p = realloc(t->p, t->cap);
		if (t->p == NULL)
			die("out of memory");
	}
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

#define ADDF(t, ...)                                                                               \
	do {                                                                                       \
		char line_[1024];                                                                  \
		int n_ = snprintf(line_, sizeof line_, __VA_ARGS__);                               \
		if (n_ < 0 || (size_t)n_ >= sizeof line_)                                          \
			die("line too long");                                                      \
		add((t), line_, (size_t)n_);                                                       \
	} while (0)

/* splitmix64: the sequence depends on the seed alone */
static uint64_t next(uint64_t *s)
{
	uint64_t z = *s += 0x9E3779B97F4A7C15u;

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

static const char *const orgs[] = {"mailbox.example", "bigmail.example", "telco.example",
				   "hoster.example"};
static const char *const domains[] = {"example.com", "example.net", "example.org", "example.edu"};
static const char *const subs[] = {"", "news.", "shop.", "bounce.mail."};
static const char *const results[] = {"pass", "fail", "none", "temperror", "permerror", "neutral"};
static const char *const actions[] = {"none", "quarantine", "reject"};

static void source_ip(struct text *t, uint64_t r)
{
	if (r % 4 == 0)
		ADDF(t, "        <source_ip>2001:db8:%x:%x::%x</source_ip>\n",
		     (unsigned)(r >> 8) & 0xffff, (unsigned)(r >> 24) & 0xffff,
		     (unsigned)(r >> 40 & 0xfff) + 1);
	else
		ADDF(t, "        <source_ip>%u.%u.%u.%u</source_ip>\n",
		     (unsigned)(r >> 8) % 223 + 1, (unsigned)(r >> 16) & 255,
		     (unsigned)(r >> 24) & 255, (unsigned)(r >> 32) % 254 + 1);
}

static void record(struct text *t, uint64_t *seed, const char *domain)
{
	uint64_t r = next(seed), q = next(seed);
	int dkim = (r >> 50) % 8 < 6, spf = (r >> 53) % 8 < 5;
	const char *sub = subs[q % 4];

	ADDF(t, "  <record>\n    <row>\n");
	source_ip(t, r);
	ADDF(t,
	     "        <count>%u</count>\n        <policy_evaluated>\n"
	     "          <disposition>%s</disposition>\n          <dkim>%s</dkim>\n          "
	     "<spf>%s</spf>\n",
	     (unsigned)(q >> 8) % 500 + 1, dkim || spf ? "none" : actions[(q >> 20) % 3],
	     results[!dkim], results[!spf]);
	if ((q >> 30) % 16 == 0)
		ADDF(t, "          <reason><type>forwarded</type><comment>looks like a "
			"relay</comment></reason>\n");
	ADDF(t,
	     "        </policy_evaluated>\n    </row>\n    <identifiers>\n"
	     "      <header_from>%s%s</header_from>\n      <envelope_from>%s%s</envelope_from>\n"
	     "    </identifiers>\n    <auth_results>\n",
	     sub, domain, sub, domain);
	ADDF(t,
	     "      <dkim>\n        <domain>%s</domain>\n        <selector>s%u</selector>\n"
	     "        <result>%s</result>\n      </dkim>\n",
	     domain, (unsigned)(q >> 34) % 12, dkim ? "pass" : results[1 + (q >> 38) % 5]);
	ADDF(t,
	     "      <spf>\n        <domain>%s%s</domain>\n        <scope>mfrom</scope>\n"
	     "        <result>%s</result>\n      </spf>\n    </auth_results>\n  </record>\n",
	     sub, domain, spf ? "pass" : results[1 + (q >> 42) % 5]);
}

static void report(struct text *t, uint64_t number, uint64_t records)
{
	uint64_t seed = number * 1000003 + records, begin = 1767225600 + number % 300 * 86400;
	const char *domain = domains[number / 3 % 4];

	ADDF(t,
	     "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback>\n  <version>1.0</version>\n"
	     "  <report_metadata>\n    <org_name>%s</org_name>\n    "
	     "<email>noreply-dmarc@%s</email>\n"
	     "    <report_id>%" PRIu64 ".%s</report_id>\n    <date_range>\n      <begin>%" PRIu64
	     "</begin>\n"
	     "      <end>%" PRIu64 "</end>\n    </date_range>\n  </report_metadata>\n",
	     orgs[number % 4], orgs[number % 4], number, domain, begin, begin + 86399);
	ADDF(t,
	     "  <policy_published>\n    <domain>%s</domain>\n    <adkim>r</adkim>\n    "
	     "<aspf>r</aspf>\n"
	     "    <p>reject</p>\n    <sp>quarantine</sp>\n    <pct>100</pct>\n    <fo>1</fo>\n  "
	     "</policy_published>\n",
	     domain);
	for (uint64_t i = 0; i < records; i++)
		record(t, &seed, domain);
	ADDF(t, "</feedback>\n");
}

static void gzip(const struct text *in, struct text *out)
{
	z_stream z = {0};

	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		die("deflate");
	out->cap = deflateBound(&z, (uLong)in->n) + 64;
	out->p = malloc(out->cap);
	if (out->p == NULL)
		die("out of memory");
	z.next_in = (Bytef *)in->p;
	z.avail_in = (uInt)in->n;
	z.next_out = (Bytef *)out->p;
	z.avail_out = (uInt)out->cap;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		die("deflate");
	out->n = z.total_out;
	(void)deflateEnd(&z);
}

static void base64(struct text *t, const unsigned char *p, size_t n)
{
	static const char digit[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0, column = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16;
		char quad[4];

		v |= i + 1 < n ? (unsigned)p[i + 1] << 8 : 0;
		v |= i + 2 < n ? (unsigned)p[i + 2] : 0;
		for (int k = 0; k < 4; k++)
			quad[k] = digit[v >> (18 - 6 * k) & 63];
		if (i + 1 >= n)
			quad[2] = '=';
		if (i + 2 >= n)
			quad[3] = '=';
		add(t, quad, 4);
		column += 4;
		if (column == 76 || i + 3 >= n) {
			add(t, "\r\n", 2);
			column = 0;
		}
	}
}

static void mail(struct text *t, uint64_t number, uint64_t records, const char *address_domain)
{
	struct text xml = {0}, packed = {0};
	const char *org = orgs[number % 4], *domain = domains[number / 3 % 4];
	uint64_t begin = 1767225600 + number % 300 * 86400;

	report(&xml, number, records);
	gzip(&xml, &packed);
	ADDF(t,
	     "From: noreply-dmarc@%s\r\nTo: dmarc@%s\r\nSubject: Report Domain: %s Submitter: %s "
	     "Report-ID: <%" PRIu64
	     ".%s>\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <%" PRIu64
	     ".dmarc@%s>\r\n"
	     "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; "
	     "boundary=\"report-boundary\"\r\n\r\n",
	     org, address_domain, domain, org, number, domain, number, org);
	ADDF(t,
	     "--report-boundary\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nThis is a "
	     "DMARC aggregate report.\r\n"
	     "--report-boundary\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: "
	     "base64\r\n"
	     "Content-Disposition: attachment;\r\n filename=\"%s!%s!%" PRIu64 "!%" PRIu64
	     ".xml.gz\"\r\n\r\n",
	     org, domain, begin, begin + 86399);
	base64(t, (const unsigned char *)packed.p, packed.n);
	ADDF(t, "--report-boundary--\r\n");
	free(xml.p);
	free(packed.p);
}

static uint64_t records_of(uint64_t number)
{
	return 5 + number * 7 % 6;
}

static void write_mbox(struct text *t, uint64_t mails)
{
	for (uint64_t i = 1; i <= mails; i++) {
		ADDF(t, "From noreply-dmarc@mailbox.example Thu Jan  1 00:00:00 2026\r\n");
		mail(t, i, records_of(i), "example.com");
		ADDF(t, "\r\n");
	}
}

/* records 0: as many as in the mbox. */
static void write_mails(const char *dir, uint64_t mails, uint64_t records, const char *domain)
{
	struct text t = {0};

	for (uint64_t i = 1; i <= mails; i++) {
		char path[4096];
		int n = snprintf(path, sizeof path, "%s/%06" PRIu64 ".eml", dir, i);

		if (n < 0 || (size_t)n >= sizeof path)
			die("path too long");
		t.n = 0;
		mail(&t, i, records > 0 ? records : records_of(i), domain);
		FILE *f = fopen(path, "wb");
		if (f == NULL || fwrite(t.p, 1, t.n, f) != t.n || fclose(f) != 0)
			die("cannot write a mail");
	}
	free(t.p);
}

static uint64_t number_of(const char *s)
{
	char *stop;
	unsigned long long v = strtoull(s, &stop, 10);

	if (*s == '\0' || *stop != '\0')
		die("not a number");
	return v;
}

int main(int argc, char **argv)
{
	struct text t = {.to = stdout};

	if (argc == 3 && strcmp(argv[1], "records") == 0)
		report(&t, 1, number_of(argv[2]));
	else if ((argc == 4 || argc == 5) && strcmp(argv[1], "mail") == 0)
		mail(&t, number_of(argv[2]), number_of(argv[3]),
		     argc == 5 ? argv[4] : "example.com");
	else if ((argc == 5 || argc == 6) && strcmp(argv[1], "mails") == 0)
		write_mails(argv[2], number_of(argv[3]), number_of(argv[4]),
			    argc == 6 ? argv[5] : "example.com");
	else if (argc == 3 && strcmp(argv[1], "mbox") == 0)
		write_mbox(&t, number_of(argv[2]));
	else if (argc == 4 && strcmp(argv[1], "box") == 0)
		write_mails(argv[2], number_of(argv[3]), 0, "example.com");
	else
		die("usage: gen_report records N | mails DIR M N [DOMAIN] | mail NUMBER N "
		    "[DOMAIN] | mbox M | box DIR M");
	flush_text(&t);
	free(t.p);
	return fflush(stdout) == 0 ? 0 : 1;
}
