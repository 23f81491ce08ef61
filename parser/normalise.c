/* SPDX-License-Identifier: Apache-2.0
 * parser/normalise.c - see normalise.h. */
#include "parser/normalise.h"
#include "parser/mail_date.h"

#include "base/clock.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Adds a digit, saturating. */
static uint64_t shift_in(uint64_t v, char c)
{
	uint64_t d = (uint64_t)(c - '0');

	return v > (UINT64_MAX - d) / 10 ? UINT64_MAX : v * 10 + d;
}

/* ---- counts ---- */

bool tap_norm_count(const char *s, uint64_t *v_r, const char **note_r)
{
	uint64_t v = 0;
	bool odd = false;

	*note_r = NULL;
	*v_r = 0;
	if (!s || !*s) {
		*note_r = "missing_count: taken as 0";
		return true;
	}
	if (*s == '-') {
		*note_r = "bad_count: negative";
		return false;
	}
	if (!is_digit(*s)) {
		*note_r = "bad_count: not a number";
		return false;
	}
	for (; *s; s++) {
		if (is_digit(*s)) {
			v = shift_in(v, *s);
		} else if ((*s == ',' || *s == ' ' || *s == '\'' || *s == '_') && is_digit(s[1]) &&
			   is_digit(s[2]) && is_digit(s[3]) && !is_digit(s[4])) {
			odd = true; /* separator of thousands */
		} else if (*s == '.' && strspn(s + 1, "0") == strlen(s + 1)) {
			odd = true; /* "7." or "7.0" */
			break;
		} else {
			*note_r = "bad_count: not a whole number";
			return false;
		}
	}
	if (v > INT64_MAX) {
		v = INT64_MAX;
		*note_r = "count_clamped: larger than 2^63-1";
	} else if (odd) {
		*note_r = "count_format: separators or fraction dropped";
	} else if (v == 0) {
		*note_r = "zero_count: a record for no message";
	}
	*v_r = v;
	return true;
}

/* ---- dates ---- */

/* 31 December 9999; what is later is not seconds. */
static const int64_t last_second = 253402300799;

/* Exactly n digits at *p. */
static bool digits(const char **p, int n, int *v_r)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		if (!is_digit(**p))
			return false;
		v = v * 10 + (**p - '0');
	}
	*v_r = v;
	return true;
}

static bool zone_offset(const char *p, int *seconds_r)
{
	int h, m = 0, sign;

	*seconds_r = 0;
	while (*p == ' ')
		p++;
	if (!*p || !strcasecmp(p, "z") || !strcasecmp(p, "utc") || !strcasecmp(p, "gmt"))
		return true;
	if (*p != '+' && *p != '-')
		return false;
	sign = *p++ == '-' ? -1 : 1;
	if (!digits(&p, 2, &h))
		return false;
	if (*p == ':')
		p++;
	if (*p && !digits(&p, 2, &m))
		return false;
	if (*p || h > 15 || m > 59)
		return false;
	*seconds_r = sign * (h * 3600 + m * 60);
	return true;
}

static int days_in_month(int64_t year, int month)
{
	static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

/* 12:00, 12:00:00, 12:00:00.5 */
static bool iso_time(const char **p, struct tap_date *d)
{
	if (!digits(p, 2, &d->hour) || *(*p)++ != ':' || !digits(p, 2, &d->minute))
		return false;
	if (**p == ':') {
		(*p)++;
		if (!digits(p, 2, &d->second))
			return false;
	}
	if (**p == '.' || **p == ',') {
		(*p)++;
		*p += strspn(*p, "0123456789");
	}
	return d->hour <= 24 && d->minute <= 59 && d->second <= 60;
}

/* 2026-06-02, 2026-06-02T12:00, 2026-06-02 12:00:00.5+02:00 */
static bool iso_date(const char *p, int64_t *v_r)
{
	struct tap_date d = {0};
	int year, offset = 0;

	if (!digits(&p, 4, &year) || *p++ != '-' || !digits(&p, 2, &d.month) || *p++ != '-' ||
	    !digits(&p, 2, &d.day))
		return false;
	d.year = year;
	if (d.month < 1 || d.month > 12 || d.day < 1 || d.day > days_in_month(year, d.month))
		return false;
	if (*p == 'T' || *p == 't' || (*p == ' ' && is_digit(p[1]))) {
		p++;
		if (!iso_time(&p, &d))
			return false;
	}
	if (!zone_offset(p, &offset))
		return false;
	*v_r = tap_time_from_utc(&d) - offset;
	return true;
}

/* Tue, 02 Jun 2026 10:00:00 +0000. The reader of mail's dates takes the digits of an ISO date too; one that is wrong in its own form
 * stays wrong, so that no part of it is guessed. */
static bool mail_date(const char *s, int64_t *v_r, const char **note_r)
{
	bool iso = strspn(s, "0123456789") == 4 && s[4] == '-';
	struct tap_mail_date d;

	if (iso || !tap_mail_date_parse(s, strlen(s), &d)) {
		*note_r = "bad_date: neither seconds nor ISO 8601 nor a date of mail";
		return false;
	}
	*v_r = d.time;
	*note_r = "mail_date: a date of mail instead of seconds";
	return true;
}

bool tap_norm_date(const char *s, int64_t *v_r, const char **note_r)
{
	const char *whole = s;
	bool negative = false;
	uint64_t v = 0;
	size_t n;

	*note_r = NULL;
	*v_r = 0;
	if (!s || !*s) {
		*note_r = "missing_date: empty";
		return false;
	}
	if (iso_date(s, v_r)) {
		*note_r = "iso_date: ISO 8601 instead of seconds";
		return true;
	}
	if (*s == '-' || *s == '+')
		negative = *s++ == '-';
	n = strspn(s, "0123456789");
	for (size_t i = 0; i < n; i++)
		v = shift_in(v, s[i]);
	if (n == 0 || (s[n] == '.' && strspn(s + n + 1, "0123456789") != strlen(s + n + 1)) ||
	    (s[n] && s[n] != '.'))
		return mail_date(whole, v_r, note_r);
	if (n == 13 && !negative) {
		v /= 1000;
		*note_r = "milliseconds: cut to seconds";
	}
	if (v > (uint64_t)last_second) {
		*note_r = "bad_date: after the year 9999";
		return false;
	}
	*v_r = negative ? -(int64_t)v : (int64_t)v;
	if (negative)
		*note_r = "negative_date: before 1970";
	return true;
}

/* ---- addresses ---- */

/* Four decimal numbers; leading zeros are decimal too (and said in *zeros). Returns where the address ends, NULL when it is none. */
static const char *dotted(const char *s, unsigned char ip[4], bool *zeros)
{
	for (int i = 0; i < 4; i++) {
		unsigned v = 0;
		int n = 0;

		for (; is_digit(*s) && n < 4; n++)
			v = v * 10 + (unsigned)(*s++ - '0');
		if (n == 0 || v > 255 || is_digit(*s))
			return NULL;
		if (n > 1 && s[-n] == '0')
			*zeros = true;
		ip[i] = (unsigned char)v;
		if (i < 3 && *s++ != '.')
			return NULL;
	}
	return s;
}

static void print_ipv4(const unsigned char ip[4], char out[TAP_IP_TEXT])
{
	for (int i = 0; i < 4; i++) {
		unsigned v = ip[i];

		if (i > 0)
			*out++ = '.';
		if (v >= 100)
			*out++ = (char)('0' + v / 100);
		if (v >= 10)
			*out++ = (char)('0' + v / 10 % 10);
		*out++ = (char)('0' + v % 10);
	}
	*out = '\0';
}

static bool is_port(const char *s)
{
	return *s == ':' && is_digit(s[1]) && strspn(s + 1, "0123456789") == strlen(s + 1);
}

static bool ipv6(const char *s, size_t n, char out[TAP_IP_TEXT], const char **note_r)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	unsigned char ip[16];
	char text[64];
	const char *zone = memchr(s, '%', n);

	if (zone) {
		n = (size_t)(zone - s);
		*note_r = "ip_zone: zone dropped";
	}
	if (n == 0 || n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	if (inet_pton(AF_INET6, text, ip) != 1)
		return false;
	if (memcmp(ip, mapped, sizeof(mapped)) == 0) {
		print_ipv4(ip + 12, out);
		*note_r = "ip_mapped: IPv4-mapped address stored as IPv4";
		return true;
	}
	return inet_ntop(AF_INET6, ip, out, TAP_IP_TEXT) != NULL;
}

bool tap_norm_ip(const char *s, char out[TAP_IP_TEXT], const char **note_r)
{
	unsigned char ip[4];
	bool zeros = false;
	const char *end;

	*note_r = NULL;
	if (!s || !*s) {
		*note_r = "missing_source_ip: empty";
		return false;
	}
	if (!strncasecmp(s,
			 "ipv6:", 5)) { /* as in an address literal of mail, without its brackets */
		s += 5;
		*note_r = "ip_prefix: dropped";
	}
	if (*s == '[') {
		const char *close = strchr(s, ']');

		if (!close || (close[1] && !is_port(close + 1))) {
			*note_r = "bad_source_ip: not an address";
			return false;
		}
		if (!strncasecmp(s + 1, "ipv6:", 5))
			s += 5;
		if (ipv6(s + 1, (size_t)(close - s - 1), out, note_r)) {
			*note_r = "ip_brackets: brackets or port dropped";
			return true;
		}
		end = dotted(s + 1, ip, &zeros);
		if (end == close)
			*note_r = "ip_brackets: brackets or port dropped";
		else
			end = NULL;
	} else {
		end = dotted(s, ip, &zeros);
		if (end && *end) {
			if (is_port(end))
				*note_r = "ip_port: port dropped";
			else
				end = NULL;
		}
	}
	if (end) {
		if (zeros)
			*note_r = "ip_leading_zeros: read as decimal";
		print_ipv4(ip, out);
		return true;
	}
	if (*s != '[' && ipv6(s, strlen(s), out, note_r))
		return true;
	*note_r = "bad_source_ip: not an address";
	return false;
}

/* ---- domains ---- */

void tap_norm_domain(char *s, const char **note_r)
{
	char *at = strrchr(s, '@');
	size_t n;

	*note_r = NULL;
	if (at) {
		n = strlen(at + 1);
		memmove(s, at + 1, n + 1);
		n = strcspn(s, "> \t\n");
		s[n] = '\0';
		*note_r = "address: only its domain is kept";
	}
	n = strlen(s);
	if (n > 0 && s[n - 1] == '.')
		s[--n] = '\0';
	if (n > 253)
		*note_r = "bad_domain: longer than 253 bytes";
	else if (!*note_r && s[strcspn(s, " \t\n<>")])
		*note_r = "bad_domain: blanks or angle brackets in it";
}

/* ---- words ---- */

#define SELF(w)                                                                                    \
	{                                                                                          \
		w, w                                                                               \
	}
const struct tap_word tap_words_policy[] = {
    SELF("none"), SELF("quarantine"), SELF("reject"), {NULL, NULL}};
const struct tap_word tap_words_disposition[] = {
    SELF("none"), SELF("quarantine"), SELF("reject"), SELF("pass"), {NULL, NULL}};
const struct tap_word tap_words_aligned[] = {
    SELF("pass"),	   SELF("fail"),	 {"softfail", "fail"},
    {"neutral", "fail"},   {"none", "fail"},	 {"temperror", "fail"},
    {"permerror", "fail"}, {"hardfail", "fail"}, {NULL, NULL},
};
const struct tap_word tap_words_dkim[] = {
    SELF("pass"),	    SELF("fail"),	  SELF("none"),
    SELF("neutral"),	    SELF("temperror"),	  SELF("permerror"),
    SELF("policy"),	    {"hardfail", "fail"}, {"invalid", "permerror"},
    {"error", "permerror"}, {NULL, NULL},
};
const struct tap_word tap_words_spf[] = {
    SELF("pass"),
    SELF("fail"),
    SELF("none"),
    SELF("softfail"),
    SELF("neutral"),
    SELF("temperror"),
    SELF("permerror"),
    SELF("policy"),
    {"hardfail", "fail"},
    {"error", "permerror"},
    {"unknown", "temperror"},
    {NULL, NULL},
};
const struct tap_word tap_words_scope[] = {
    SELF("mfrom"),	    SELF("helo"),     {"mailfrom", "mfrom"}, {"mail_from", "mfrom"},
    {"mail from", "mfrom"}, {"ehlo", "helo"}, {NULL, NULL}};
const struct tap_word tap_words_reason[] = {
    SELF("local_policy"),
    SELF("mailing_list"),
    SELF("other"),
    SELF("policy_test_mode"),
    SELF("forwarded"),
    SELF("trusted_forwarder"),
    SELF("sampled_out"),
    /* the same words as some write them */
    {"local policy", "local_policy"},
    {"local-policy", "local_policy"},
    {"localpolicy", "local_policy"},
    {"mailing list", "mailing_list"},
    {"mailing-list", "mailing_list"},
    {"mailinglist", "mailing_list"},
    {"policy test mode", "policy_test_mode"},
    {"policy-test-mode", "policy_test_mode"},
    {"trusted forwarder", "trusted_forwarder"},
    {"trusted-forwarder", "trusted_forwarder"},
    {"trustedforwarder", "trusted_forwarder"},
    {"sampled out", "sampled_out"},
    {"sampled-out", "sampled_out"},
    {"sampledout", "sampled_out"},
    {NULL, NULL},
};
const struct tap_word tap_words_mode[] = {
    SELF("r"), SELF("s"), {"relaxed", "r"}, {"strict", "s"}, {NULL, NULL}};

const struct tap_word *tap_word_find(const struct tap_word *table, const char *s, size_t n)
{
	for (; table->name; table++)
		if (table->name[0] == s[0] && strlen(table->name) == n &&
		    memcmp(table->name, s, n) == 0)
			return table;
	return NULL;
}
