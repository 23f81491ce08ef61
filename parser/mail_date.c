/* SPDX-License-Identifier: Apache-2.0
 * parser/mail_date.c - see mail_date.h. The parts are told apart by their looks, not by their place, so that the forms of asctime,
 * of ISO 8601 and of old mail programs are read by the same few rules. */
#include "parser/mail_date.h"

#include <string.h>
#include <strings.h>

enum { LONGEST = 512, NO_ZONE = -10000 };

struct parts {
	int year, month, day; /* 0 = not seen */
	int hour, minute, second;
	int zone; /* minutes east, or NO_ZONE */
	int half; /* 0, or 'a' and 'p' of a twelve-hour clock */
	bool time;
};
struct scan {
	const char *p, *end;
	struct parts d;
};

static const char months[12][4] = {"jan", "feb", "mar", "apr", "may", "jun",
				   "jul", "aug", "sep", "oct", "nov", "dec"};
static const char weekdays[7][4] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
/* RFC 5322 section 4.3, and names that mean one zone only. */
static const struct {
	char name[5];
	int minutes;
} zones[] = {
    {"ut", 0},	   {"utc", 0},	  {"gmt", 0},	 {"z", 0},	{"est", -300}, {"edt", -240},
    {"cst", -360}, {"cdt", -300}, {"mst", -420}, {"mdt", -360}, {"pst", -480}, {"pdt", -420},
    {"wet", 0},	   {"west", 60},  {"bst", 60},	 {"cet", 60},	{"cest", 120}, {"met", 60},
    {"mest", 120}, {"mez", 60},	  {"mesz", 120}, {"eet", 120},	{"eest", 180}, {"msk", 180},
    {"jst", 540},  {"kst", 540},  {"hkt", 480},	 {"sgt", 480},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Behind a comment that begins at p; comments nest. */
static const char *skip_comment(const char *p, const char *end)
{
	int depth = 0;

	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == '(')
			depth++;
		else if (*p == ')' && --depth == 0)
			return p + 1;
	}
	return end;
}

/* Up to max digits; their number in *len_r. More digits than that give -1. */
static int number(struct scan *s, size_t max, size_t *len_r)
{
	int v = 0;
	size_t n = 0;

	while (s->p < s->end && is_digit(*s->p) && n < max) {
		v = v * 10 + (*s->p++ - '0');
		n++;
	}
	*len_r = n;
	return n == 0 || (s->p < s->end && is_digit(*s->p)) ? -1 : v;
}

static bool take_word(struct scan *s)
{
	const char *from = s->p;
	size_t n;

	while (s->p < s->end && is_alpha(*s->p))
		s->p++;
	n = (size_t)(s->p - from);
	if (n >= 3 && s->d.month == 0)
		for (int i = 0; i < 12; i++)
			if (strncasecmp(from, months[i], 3) == 0) {
				s->d.month = i + 1;
				return true;
			}
	if (n >= 3)
		for (int i = 0; i < 7; i++)
			if (strncasecmp(from, weekdays[i], 3) == 0)
				return true;
	if (n == 2 && s->d.time && (from[1] | 0x20) == 'm' &&
	    ((from[0] | 0x20) == 'a' || (from[0] | 0x20) == 'p')) {
		s->d.half = from[0] | 0x20;
		return true;
	}
	for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
		if (n == strlen(zones[i].name) && strncasecmp(from, zones[i].name, n) == 0) {
			if (s->d.zone == NO_ZONE)
				s->d.zone = zones[i].minutes;
			return true;
		}
	/* The T of ISO 8601, or a zone that nobody knows: RFC 5322 section 4.3 reads that as -0000. */
	return s->d.day > 0;
}

/* "+0200", "+02:00", "+02"; the sign is at p. What cannot be a zone is none. */
static void take_zone(struct scan *s)
{
	bool west = *s->p++ == '-';
	size_t n, k = 0;
	int v = number(s, 4, &n), hours, minutes;

	if (v < 0)
		return;
	if (n <= 2 && s->p + 1 < s->end && *s->p == ':' && is_digit(s->p[1])) {
		s->p++;
		minutes = number(s, 2, &k);
		hours = v;
	} else {
		hours = n <= 2 ? v : v / 100;
		minutes = n <= 2 ? 0 : v % 100;
	}
	if (minutes < 0 || minutes > 59 || hours > 23)
		return;
	v = hours * 60 + minutes;
	/* -0000: the clock may have stood anywhere. */
	s->d.zone = west && v == 0 ? NO_ZONE : west ? -v : v;
}

static bool take_time(struct scan *s, int hour)
{
	size_t n;

	s->p++;
	s->d.hour = hour;
	s->d.minute = number(s, 2, &n);
	s->d.second = 0;
	if (s->p + 1 < s->end && *s->p == ':' && is_digit(s->p[1])) {
		s->p++;
		s->d.second = number(s, 2, &n);
		if (s->p + 1 < s->end && (*s->p == '.' || *s->p == ',') && is_digit(s->p[1])) {
			s->p++;
			while (s->p < s->end && is_digit(*s->p))
				s->p++;
		}
	}
	s->d.time = true;
	return s->d.minute >= 0 && s->d.second >= 0;
}

/* RFC 5322 section 4.3. */
static int whole_year(int v, size_t digits)
{
	if (digits == 2)
		return v + (v < 50 ? 2000 : 1900);
	return digits == 3 ? v + 1900 : v;
}

/* "2026-06-02", the year has been read. */
static bool take_iso(struct scan *s, int year)
{
	size_t n;

	s->d.year = year;
	s->p++;
	s->d.month = number(s, 2, &n);
	if (s->d.month < 1 || s->p == s->end || (*s->p != '-' && *s->p != '/'))
		return false;
	s->p++;
	s->d.day = number(s, 2, &n);
	return s->d.day > 0;
}

static bool take_number(struct scan *s)
{
	size_t n;
	int v = number(s, 4, &n);

	if (v < 0)
		return false;
	if (s->p + 1 < s->end && n <= 2 && *s->p == ':' && is_digit(s->p[1]) && !s->d.time)
		return take_time(s, v);
	if (n == 4 && s->d.year == 0 && s->d.month == 0 && s->p + 1 < s->end &&
	    (*s->p == '-' || *s->p == '/') && is_digit(s->p[1]))
		return take_iso(s, v);
	if (n <= 2 && s->d.day == 0) {
		s->d.day = v;
		return v > 0;
	}
	if (s->d.year != 0 || n == 1)
		return false;
	s->d.year = whole_year(v, n);
	return true;
}

/* What stands behind a whole date is no part of it. */
static bool complete(const struct parts *d)
{
	return d->time && d->day > 0 && d->month > 0 && d->year > 0;
}

static bool take_parts(struct scan *s)
{
	while (s->p < s->end) {
		char c = *s->p;

		if (c == '(')
			s->p = skip_comment(s->p, s->end);
		else if (is_digit(c) && !take_number(s))
			return complete(&s->d);
		else if (is_digit(c))
			continue;
		else if (is_alpha(c) && !take_word(s))
			return complete(&s->d);
		else if (is_alpha(c))
			continue;
		else if ((c == '+' || c == '-') && s->d.time && s->p + 1 < s->end &&
			 is_digit(s->p[1]))
			take_zone(s);
		else
			s->p++;
	}
	return true;
}

static bool leap(int y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static bool in_range(const struct parts *d)
{
	static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (d->year < 1900 || d->month < 1 || d->month > 12 || d->day < 1)
		return false;
	if (d->day > days[d->month - 1] + (d->month == 2 && leap(d->year)))
		return false;
	return d->hour <= 23 && d->minute <= 59 && d->second <= 60;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar; years counted from March, so that the leap day is the last. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

bool tap_mail_date_parse(const char *s, size_t n, struct tap_mail_date *out_r)
{
	struct scan k = {.p = s, .end = s + (n < LONGEST ? n : LONGEST), .d = {.zone = NO_ZONE}};
	struct parts *d = &k.d;

	memset(out_r, 0, sizeof *out_r);
	if (!take_parts(&k) || !in_range(d))
		return false;
	if (d->half != 0 && d->hour >= 1 && d->hour <= 12)
		d->hour = d->hour % 12 + (d->half == 'p' ? 12 : 0);
	out_r->has_zone = d->zone != NO_ZONE;
	out_r->zone = out_r->has_zone ? d->zone : 0;
	out_r->time = days_of(d->year, d->month, d->day) * 86400 + d->hour * 3600 + d->minute * 60 +
		      d->second - (int64_t)out_r->zone * 60;
	return true;
}
