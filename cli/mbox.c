/* SPDX-License-Identifier: Apache-2.0
 * cli/mbox.c - see mbox.h. */
#include "cli/mbox.h"

#include "base/io.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	WINDOW = 256 * 1024,
	IN_MEMORY = 1024 * 1024,
	OVERLAP = 256,	     /* stays in the window: what stands before a separator is looked at */
	LINE_MAX_SEP = 1024, /* of a separator */
	BEHIND = 256,	     /* bytes behind it that tell a header field */
	HEADER_MAX = 64 * 1024, /* looked through for Content-Length */
	WORDS = 40,
	WEEKDAY = 1, /* of the parts of a date */
	WHOLE_DATE = 31
};
static const uint64_t message_max = 50 * 1024 * 1024 + 1;
static const char from_[] = "From ";

/* --- separators --------------------------------------------------------------------------------------------------------------- */

struct word {
	const char *p;
	size_t n;
};

static bool one_of(const struct word *w, const char *names)
{
	if (w->n != 3)
		return false;
	for (; *names != '\0'; names += 3)
		if (strncasecmp(w->p, names, 3) == 0)
			return true;
	return false;
}

static bool is_weekday(const struct word *w)
{
	return one_of(w, "MonTueWedThuFriSatSun");
}

static bool is_month(const struct word *w)
{
	return one_of(w, "JanFebMarAprMayJunJulAugSepOctNovDec");
}

/* The number that the word begins with, and its digits; none = 0 digits. */
static unsigned number(const struct word *w, size_t at, size_t *digits_r)
{
	unsigned v = 0;
	size_t n = 0;

	while (at + n < w->n && n < 6 && isdigit((unsigned char)w->p[at + n]))
		v = v * 10 + (unsigned)(w->p[at + n++] - '0');
	*digits_r = n;
	return v;
}

static bool is_day(const struct word *w)
{
	size_t digits;
	unsigned v = number(w, 0, &digits);

	return digits == w->n && digits <= 2 && v >= 1 && v <= 31;
}

/* 1:02 or 01:02:03 */
static bool is_time(const struct word *w)
{
	size_t digits, at = 0;
	int parts = 0;

	for (;;) {
		(void)number(w, at, &digits);
		if (digits < 1 || digits > 2 || (parts > 0 && digits != 2))
			return false;
		at += digits;
		parts++;
		if (at == w->n)
			return parts >= 2;
		if (w->p[at++] != ':' || parts == 3)
			return false;
	}
}

static bool is_year(const struct word *w)
{
	size_t digits;
	unsigned v = number(w, 0, &digits);

	return digits == w->n && digits == 4 && v >= 1970;
}

/* Which part of a date the word is, of those that are still missing: a bit; 0 = none. */
static unsigned date_part(struct word w, unsigned missing)
{
	static bool (*const is[])(const struct word *) = {is_weekday, is_month, is_day, is_time,
							  is_year};

	while (w.n > 1 && w.p[w.n - 1] == ',')
		w.n--;
	for (size_t i = 0; i < sizeof is / sizeof *is; i++)
		if ((missing & (1u << i)) != 0 && is[i](&w))
			return 1u << i;
	return 0;
}

bool tap_mbox_separator(const char *p, size_t n)
{
	unsigned missing = WHOLE_DATE;
	size_t words = 0, at = sizeof from_ - 1;

	if (n < at || n > LINE_MAX_SEP || memcmp(p, from_, at) != 0)
		return false;
	while (at < n && words < WORDS && missing != 0) {
		struct word w = {.p = p + at};

		while (at < n && !isspace((unsigned char)p[at]))
			at++;
		w.n = (size_t)(p + at - w.p);
		while (at < n && isspace((unsigned char)p[at]))
			at++;
		if (w.n == 0)
			continue;
		/* The first word is the sender, whatever it looks like, but for a weekday: then the sender is missing. */
		missing &= ~date_part(w, words++ > 0 ? missing : missing & WEEKDAY);
	}
	return missing == 0;
}

/* "From " and "From -": no sender, no date, as some mail programs write each of their separators. */
static bool is_bare(const char *p, size_t n)
{
	size_t at = sizeof from_ - 1;

	if (n < at || memcmp(p, from_, at) != 0)
		return false;
	if (at < n && p[at] == '-')
		at++;
	while (at < n && isspace((unsigned char)p[at]))
		at++;
	return at == n;
}

/* One line, as long as the file began with the same form. */
static bool separates(const struct tap_mbox *m, const char *p, size_t n)
{
	return tap_mbox_separator(p, n) || (m->bare && is_bare(p, n));
}

bool tap_mbox_sniff(const char *p, size_t n)
{
	size_t at = n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	const char *lf;

	while (at < n && (p[at] == '\n' || p[at] == '\r'))
		at++;
	lf = memchr(p + at, '\n', n - at);
	return lf != NULL && (tap_mbox_separator(p + at, (size_t)(lf - p) - at) ||
			      is_bare(p + at, (size_t)(lf - p) - at));
}

/* Does a header field begin here? The line ">From …" that some programs leave at the top does not count. */
static bool is_header(const char *p, size_t n)
{
	const char *lf;
	size_t i = 0;

	if (n > 6 && memcmp(p, ">From ", 6) == 0 && (lf = memchr(p, '\n', n)) != NULL) {
		n -= (size_t)(lf + 1 - p);
		p = lf + 1;
	}
	while (i < n && p[i] > ' ' && p[i] < 127 && p[i] != ':')
		i++;
	return i > 0 && i < n && p[i] == ':';
}

/* --- the window --------------------------------------------------------------------------------------------------------------- */

/* Takes one > from each line that begins with > and From; returns the new length. */
static size_t unquote(char *p, size_t n, bool mid_line)
{
	size_t in = 0, out = 0;

	for (;;) {
		char *hit = memmem(p + in, n - in, from_, sizeof from_ - 1);
		size_t at = hit != NULL ? (size_t)(hit - p) : n, start = at;

		while (start > in && p[start - 1] == '>')
			start--;
		memmove(p + out, p + in, start - in);
		out += start - in;
		if (hit == NULL)
			return out;
		in = start;
		if (start < at && (start == 0 ? !mid_line : p[start - 1] == '\n'))
			in++;
		at += sizeof from_ - 1;
		memmove(p + out, p + in, at - in);
		out += at - in;
		in = at;
	}
}

static bool unquoting(const struct tap_mbox *m)
{
	return m->unquote_all || (m->unquote && m->claim == 0);
}

static enum tap_rc put_away(struct tap_mbox *m, size_t n, struct tap_err *err)
{
	uint64_t room = m->spilled < message_max ? message_max - m->spilled : 0;
	bool mid_line = n > 0 && m->p[m->msg + n - 1] != '\n';
	size_t kept = unquoting(m) ? unquote(m->p + m->msg, n, m->mid_line) : n;
	enum tap_rc rc = TAP_OK;

	m->mid_line = mid_line;
	if (m->fd < 0)
		rc = tap_io_tmpfile(NULL, &m->fd, err);
	if (kept > room)
		kept = (size_t)room;
	if (rc == TAP_OK)
		rc = tap_io_pwrite(m->fd, m->p + m->msg, kept, m->spilled, NULL, err);
	m->spilled += kept;
	m->msg += n;
	return rc != TAP_OK ? tap_err_prefix(err, "temporary file for a large mail: ") : TAP_OK;
}

static void drop_front(struct tap_mbox *m)
{
	size_t n = m->msg;

	memmove(m->p, m->p + n, m->len - n);
	m->base += n;
	m->len -= n;
	m->scan -= n;
	m->msg = 0;
}

/* Puts away what was looked through, up to the end of a line where there is one, but for OVERLAP bytes. */
static enum tap_rc make_room(struct tap_mbox *m, struct tap_err *err)
{
	size_t to = m->scan < m->len ? m->scan : m->len;
	const char *lf;
	enum tap_rc rc;

	to = to > m->msg + OVERLAP ? to - OVERLAP : m->msg;
	lf = memrchr(m->p + m->msg, '\n', to - m->msg);
	if (lf != NULL)
		to = (size_t)(lf - m->p) + 1;
	rc = put_away(m, to - m->msg, err);
	drop_front(m);
	return rc;
}

/* More bytes into the window, or eof. */
static enum tap_rc fill(struct tap_mbox *m, struct tap_err *err)
{
	size_t got = 0;
	enum tap_rc rc = TAP_OK;

	if (m->msg > 0)
		drop_front(m);
	if (m->len == m->cap && m->cap < IN_MEMORY) {
		char *p = realloc(m->p, m->cap * 2);

		if (p == NULL)
			return tap_err_set(err, TAP_E_TEMP, "out of memory");
		m->p = p;
		m->cap *= 2;
	} else if (m->len == m->cap) {
		rc = make_room(m, err);
	}
	if (rc == TAP_OK)
		rc = m->src.read(m->src.ctx, m->p + m->len, m->cap - m->len, &got, err);
	if (rc == TAP_OK && got == 0)
		m->eof = true;
	m->len += got;
	return rc;
}

/* --- Content-Length ----------------------------------------------------------------------------------------------------------- */

/* n bytes at off into p, wherever they are; *got_r fewer at the end, and *known_r = false when they cannot be had. */
static enum tap_rc look(struct tap_mbox *m, uint64_t off, char *p, size_t n, size_t *got_r,
			bool *known_r, struct tap_err *err)
{
	*known_r = true;
	*got_r = 0;
	if (m->src.peek != NULL)
		return m->src.peek(m->src.ctx, off, p, n, got_r, err);
	while (!m->eof && m->base + m->len < off + n) {
		enum tap_rc rc;

		*known_r = off + n - (m->base + m->msg) < IN_MEMORY / 2;
		if (!*known_r)
			return TAP_OK;
		rc = fill(m, err);
		if (rc != TAP_OK)
			return rc;
	}
	if (off < m->base + m->len) {
		size_t at = (size_t)(off - m->base);

		*got_r = m->len - at < n ? m->len - at : n;
		memcpy(p, m->p + at, *got_r);
	}
	return TAP_OK;
}

/* Does the message end at off? Then *next_r is where the next one begins, or the end. */
static enum tap_rc ends_at(struct tap_mbox *m, uint64_t off, uint64_t *next_r, struct tap_err *err)
{
	char p[LINE_MAX_SEP + 2];
	size_t got, at = 0;
	bool known;
	const char *lf;
	enum tap_rc rc = look(m, off - 1, p, 1, &got, &known, err);

	*next_r = 0;
	if (rc != TAP_OK || !known || got == 0)
		return rc; /* the file ends before */
	rc = look(m, off, p, sizeof p, &got, &known, err);
	if (rc != TAP_OK || !known)
		return rc;
	if (got > at && p[at] == '\r')
		at++;
	if (got > at && p[at] == '\n')
		at++;
	lf = memchr(p + at, '\n', got - at);
	if (at == got || (lf != NULL && separates(m, p + at, (size_t)(lf - p) - at)))
		*next_r = off + at;
	return TAP_OK;
}

static bool claimed_length(const char *p, size_t n, uint64_t *v_r)
{
	static const char name[] = "Content-Length:";
	size_t at = sizeof name - 1, digits = 0;
	uint64_t v = 0;

	if (n < at || strncasecmp(p, name, at) != 0)
		return false;
	while (at < n && (p[at] == ' ' || p[at] == '\t'))
		at++;
	for (; at < n && isdigit((unsigned char)p[at]) && digits < 15; at++, digits++)
		v = v * 10 + (uint64_t)(p[at] - '0');
	while (at < n && isspace((unsigned char)p[at]))
		at++;
	*v_r = v;
	return digits > 0 && at == n;
}

/* The line that begins `at` bytes behind msg; *line_r = NULL: the bytes end, or it is too far to look. */
static enum tap_rc header_line(struct tap_mbox *m, size_t at, const char **line_r, size_t *n_r,
			       struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	*line_r = NULL;
	while (rc == TAP_OK && at <= HEADER_MAX) {
		const char *line = m->p + m->msg + at;
		size_t left = m->len - m->msg - at;
		const char *lf = left > 0 ? memchr(line, '\n', left) : NULL;

		if (lf != NULL) {
			*line_r = line;
			*n_r = (size_t)(lf - line);
			return TAP_OK;
		}
		if (left > HEADER_MAX || m->eof)
			return TAP_OK;
		rc = fill(m, err);
	}
	return rc;
}

/* Walks over the header of the message that begins; sets claim when it has a Content-Length that holds. */
static enum tap_rc read_claim(struct tap_mbox *m, struct tap_err *err)
{
	uint64_t length = 0, end;
	bool given = false;
	size_t at = 0, n; /* counted from msg, which moves */

	for (;;) {
		const char *line;
		enum tap_rc rc = header_line(m, at, &line, &n, err);

		if (rc != TAP_OK || line == NULL)
			return rc;
		at += n + 1;
		if (n == 0 || (n == 1 && *line == '\r'))
			break;
		if (*line == 'C' || *line == 'c')
			given |= claimed_length(line, n, &length);
	}
	if (!given)
		return TAP_OK;
	end = m->base + m->msg + at + length;
	if (ends_at(m, end, &m->claim_next, err) != TAP_OK)
		return err->rc;
	if (m->claim_next != 0)
		m->claim = end;
	return TAP_OK;
}

/* --- messages ----------------------------------------------------------------------------------------------------------------- */

enum tap_rc tap_mbox_init(struct tap_mbox *m, const struct tap_mbox_source *src, bool unquote_all,
			  struct tap_err *err)
{
	*m = (struct tap_mbox){.src = *src, .cap = WINDOW, .fd = -1, .unquote_all = unquote_all};
	m->p = malloc(m->cap);
	return m->p != NULL ? TAP_OK : tap_err_set(err, TAP_E_TEMP, "out of memory");
}

void tap_mbox_free(struct tap_mbox *m)
{
	free(m->p);
	m->p = NULL;
	tap_io_close(&m->fd);
}

static bool starts_line(const struct tap_mbox *m, size_t at)
{
	return at > m->msg ? m->p[at - 1] == '\n' : m->spilled == 0;
}

static bool after_empty_line(const struct tap_mbox *m, size_t at)
{
	size_t n = at - m->msg;
	const char *p = m->p + at;

	return (n >= 2 && p[-1] == '\n' && p[-2] == '\n') ||
	       (n >= 3 && p[-1] == '\n' && p[-2] == '\r' && p[-3] == '\n') ||
	       (n == 1 && p[-1] == '\n') || (n == 2 && p[-1] == '\n' && p[-2] == '\r');
}

/* ">>From " at the start of a line: the writer quotes reversibly. */
static void note_quote(struct tap_mbox *m, size_t at)
{
	size_t start = at;

	while (start > m->msg && m->p[start - 1] == '>')
		start--;
	if (at - start >= 2 && starts_line(m, start))
		m->unquote = true;
}

enum found { FOUND_NOT, FOUND_SEPARATOR, FOUND_MORE, FOUND_DOUBTFUL };

/* May a writer have begun a message here, behind one that was cut off? */
static bool glued(const struct tap_mbox *m, size_t at)
{
	return starts_line(m, at) ||
	       (at > m->msg && (isalnum((unsigned char)m->p[at - 1]) || m->p[at - 1] == '='));
}

/* Is the "From " at `at` a separator? FOUND_MORE: that takes more bytes. FOUND_DOUBTFUL: but for the empty line before it. */
static enum found judge(const struct tap_mbox *m, size_t at)
{
	size_t left = m->len - at;
	const char *p = m->p + at, *lf;
	size_t line;

	if (!glued(m, at))
		return FOUND_NOT;
	lf = memchr(p, '\n', left < LINE_MAX_SEP ? left : LINE_MAX_SEP);
	if (lf == NULL)
		return left < LINE_MAX_SEP && !m->eof ? FOUND_MORE : FOUND_NOT;
	line = (size_t)(lf - p);
	if (!separates(m, p, line))
		return FOUND_NOT;
	if (left - line - 1 < BEHIND && !m->eof)
		return FOUND_MORE;
	if (!is_header(lf + 1, left - line - 1))
		return FOUND_NOT;
	return starts_line(m, at) && after_empty_line(m, at) ? FOUND_SEPARATOR : FOUND_DOUBTFUL;
}

/* Moves scan to the end of the open message: a separator, or the end of the file. */
static enum tap_rc find_end(struct tap_mbox *m, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	while (rc == TAP_OK) {
		const char *hit = memmem(m->p + m->scan, m->len - m->scan, from_, sizeof from_ - 1);
		enum found found = FOUND_MORE;

		if (hit != NULL) {
			m->scan = (size_t)(hit - m->p);
			found = judge(m, m->scan);
		} else {
			/* All but what may be the beginning of a separator. */
			size_t keep = m->eof ? 0 : sizeof from_ - 2;

			if (m->len - m->scan > keep)
				m->scan = m->len - keep;
			if (m->eof)
				return TAP_OK;
		}
		if (found == FOUND_SEPARATOR)
			return TAP_OK;
		if (found == FOUND_DOUBTFUL && m->doubtful++ == 0)
			m->doubtful_at = m->base + m->scan;
		if (found == FOUND_MORE) {
			rc = fill(m, err);
		} else {
			note_quote(m, m->scan);
			m->scan += sizeof from_ - 1;
		}
	}
	return rc;
}

/* The same where Content-Length says how far. */
static enum tap_rc go_to_claim(struct tap_mbox *m, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	while (rc == TAP_OK && !m->eof && m->base + m->len < m->claim_next) {
		m->scan = m->len;
		rc = fill(m, err);
	}
	if (rc != TAP_OK)
		return rc;
	if (m->base + m->len < m->claim_next) { /* the file became shorter meanwhile */
		m->claim = m->claim_next = m->base + m->len;
	}
	m->scan = (size_t)(m->claim_next - m->base);
	return TAP_OK;
}

/* Without the line end that the writer put between messages. */
static size_t end_of(const struct tap_mbox *m)
{
	size_t at = m->scan;

	if (m->claim != 0)
		return (size_t)(m->claim - m->base);
	if (!after_empty_line(m, at))
		return at;
	at--;
	return at > m->msg && m->p[at - 1] == '\r' ? at - 1 : at;
}

static enum tap_rc hand_over(struct tap_mbox *m, struct tap_mbox_message *out, struct tap_err *err)
{
	size_t n = end_of(m) - m->msg;
	enum tap_rc rc = TAP_OK;

	*out = (struct tap_mbox_message){
	    .number = m->number, .offset = m->offset, .fd = -1, .taken = m->base + m->scan};
	m->next = m->scan;
	if (m->fd < 0) {
		out->p = m->p + m->msg;
		out->n = unquoting(m) ? unquote(m->p + m->msg, n, false) : n;
		m->msg = m->next;
		return TAP_OK;
	}
	rc = put_away(m, n, err);
	m->msg = m->next;
	out->fd = m->fd;
	out->size = m->spilled;
	m->fd = -1;
	if (rc != TAP_OK)
		tap_io_close(&out->fd);
	return rc;
}

/* The separator's line is over; the message begins behind it. */
static enum tap_rc begin(struct tap_mbox *m, struct tap_err *err)
{
	const char *lf = NULL;
	enum tap_rc rc = TAP_OK;

	m->msg = m->scan = m->next;
	m->spilled = 0;
	m->mid_line = false;
	m->claim = m->claim_next = 0;
	m->offset = m->base + m->msg;
	m->number++;
	while (rc == TAP_OK) {
		lf = memchr(m->p + m->msg, '\n', m->len - m->msg);
		if (lf != NULL || m->eof || m->len - m->msg > LINE_MAX_SEP)
			break;
		rc = fill(m, err);
	}
	m->msg = m->scan = lf != NULL ? (size_t)(lf - m->p) + 1 : m->len;
	return rc == TAP_OK ? read_claim(m, err) : rc;
}

/* A byte order mark and blank lines before the first separator. */
static enum tap_rc start(struct tap_mbox *m, struct tap_err *err)
{
	const char *lf;
	enum tap_rc rc = TAP_OK;

	m->started = true;
	while (rc == TAP_OK && !m->eof && m->len < LINE_MAX_SEP)
		rc = fill(m, err);
	if (m->len >= 3 && memcmp(m->p, "\xef\xbb\xbf", 3) == 0)
		m->next = 3;
	while (m->next < m->len && (m->p[m->next] == '\n' || m->p[m->next] == '\r'))
		m->next++;
	lf = memchr(m->p + m->next, '\n', m->len - m->next);
	m->bare = lf != NULL && is_bare(m->p + m->next, (size_t)(lf - m->p) - m->next);
	return rc;
}

enum tap_rc tap_mbox_next(struct tap_mbox *m, struct tap_mbox_message *out, bool *more_r,
			  struct tap_err *err)
{
	enum tap_rc rc = m->started ? TAP_OK : start(m, err);

	*more_r = false;
	while (rc == TAP_OK && m->next == m->len && !m->eof) {
		m->msg = m->scan = m->next;
		rc = fill(m, err);
		m->next = m->msg;
	}
	if (rc != TAP_OK || m->next == m->len)
		return rc;
	rc = begin(m, err);
	if (rc == TAP_OK)
		rc = m->claim != 0 ? go_to_claim(m, err) : find_end(m, err);
	if (rc == TAP_OK)
		rc = hand_over(m, out, err);
	*more_r = rc == TAP_OK;
	return rc;
}
