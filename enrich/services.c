/* SPDX-License-Identifier: Apache-2.0
 * enrich/services.c - see services.h. CSV as RFC 4180, more freely: LF or CRLF, a byte order mark, blank lines, # at a line's
 * beginning. */
#include "enrich/services.h"

#include "base/log.h"
#include "enrich/idn.h"
#include "enrich/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TABLE_BYTES = 256 << 20, COLUMNS = 32, TOLD = 5, DOMAIN = 0, NAME = 1, TYPE = 2 };

struct tap_services {
	struct tap_table *table;
	char **path;
	struct tap_stamp *stamp;
	size_t n;
};

/* --- CSV --- */

/* A file that is being read, in place: fields are ended with a NUL. */
struct csv {
	char *at, *end;
	unsigned line;
};

/* One field; *more: another one follows on this row. False: a quote that does not end. */
static bool field(struct csv *c, char **field_r, bool *more)
{
	char *to = c->at, *from = c->at;
	bool quoted = from < c->end && *from == '"', ended = !quoted;

	*field_r = to;
	if (quoted)
		from++;
	while (from < c->end) {
		if (quoted && !ended && *from == '"') {
			if (from + 1 < c->end && from[1] == '"')
				from++;
			else
				ended = true;
			if (ended) {
				from++;
				continue;
			}
		} else if (ended && (*from == ',' || *from == '\n')) {
			break;
		}
		c->line += *from == '\n';
		*to++ = *from++;
	}
	*more = from < c->end && *from == ',';
	c->line += from < c->end && *from == '\n';
	c->at = from < c->end ? from + 1 : from;
	if (!*more && to > *field_r && to[-1] == '\r')
		to--;
	*to =
	    '\0'; /* at most where the separator stood; the buffer has one byte more than the file */
	return ended;
}

/* The fields of the next row, as many as there are places for; 0: none (a blank line, a comment). */
static size_t row(struct csv *c, char *cell[COLUMNS], bool *bad)
{
	size_t n = 0;
	bool more = true, comment = *c->at == '#';

	*bad = false;
	while (more) {
		char *text;

		if (!field(c, &text, &more))
			*bad = true;
		if (n < COLUMNS)
			cell[n++] = text;
	}
	return comment || (n == 1 && cell[0][0] == '\0') ? 0 : n;
}

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	n = strlen(s);
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		s[--n] = '\0';
	return s;
}

/* One line of text without controls, not too long. UTF-8 that is none does not pass. */
static bool text_ok(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = strnlen(s, TAP_SERVICES_TEXT + 1);

	for (size_t i = 0; i < n; i++) {
		size_t more = p[i] < 0x80 ? 0 : p[i] < 0xe0 ? 1 : p[i] < 0xf0 ? 2 : 3;

		if (p[i] < 0x20 || p[i] == 0x7f || (p[i] >= 0x80 && p[i] < 0xc2) || p[i] > 0xf4)
			return false;
		for (; more > 0; more--) {
			if ((p[++i] & 0xc0) != 0x80)
				return false;
		}
	}
	return n <= TAP_SERVICES_TEXT;
}

/* Where the columns stand, when this row is the head line. */
static bool head(char *const cell[], size_t n, size_t column[3])
{
	static const struct {
		const char *name;
		size_t column;
	} known[] = {
	    {"domain", DOMAIN}, {"base_reverse_dns", DOMAIN}, {"name", NAME}, {"type", TYPE}};
	size_t found[3] = {n, n, n};

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
			if (strcasecmp(cell[i], known[k].name) == 0 && found[known[k].column] == n)
				found[known[k].column] = i;
		}
	}
	if (found[DOMAIN] == n || found[NAME] == n)
		return false;
	memcpy(column, found, sizeof found);
	return true;
}

enum line { LINE_TAKEN, LINE_WRONG, LINE_FULL };

static enum line take(struct tap_table *t, char *const cell[], size_t n, const size_t column[3])
{
	char domain[TAP_IDN_NAME];
	const char *out[TAP_TABLE_CELLS] = {domain, NULL, NULL};

	if (column[DOMAIN] >= n || column[NAME] >= n)
		return LINE_WRONG;
	out[NAME] = trim(cell[column[NAME]]);
	out[TYPE] = column[TYPE] < n ? trim(cell[column[TYPE]]) : "";
	if (*out[NAME] == '\0' || !text_ok(out[NAME]) || !text_ok(out[TYPE]) ||
	    !tap_idn_ascii(trim(cell[column[DOMAIN]]), domain))
		return LINE_WRONG;
	if (*out[TYPE] == '\0')
		out[TYPE] = NULL;
	return tap_table_add(t, out) ? LINE_TAKEN : LINE_FULL;
}

/* text, of n bytes, is changed, and has one byte more. The rows that were taken. */
static size_t read_map(struct tap_table *t, char *text, size_t n, const char *path)
{
	struct csv c = {.at = text, .end = text + n, .line = 1};
	size_t column[3] = {DOMAIN, NAME, TYPE}, taken = 0;
	unsigned wrong = 0;
	bool first = true;

	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		c.at += 3;
	while (c.at < c.end) {
		char *cell[COLUMNS];
		unsigned line = c.line;
		bool bad;
		size_t cells = row(&c, cell, &bad);
		enum line got;

		if (cells == 0)
			continue;
		if (first && head(cell, cells, column)) {
			first = false;
			continue;
		}
		first = false;
		got = bad ? LINE_WRONG : take(t, cell, cells, column);
		if (got == LINE_FULL) {
			tap_warn("enrich",
				 "%s: too many services; from line %u on they are not used", path,
				 line);
			break;
		}
		taken += got == LINE_TAKEN;
		if (got == LINE_WRONG && ++wrong <= TOLD)
			tap_warn("enrich", "%s: line %u is no domain, name and type", path, line);
	}
	if (wrong > TOLD)
		tap_warn("enrich", "%s: %u lines are no domain, name and type", path, wrong);
	return taken;
}

/* --- maps --- */

/* A download that went wrong is a page in HTML more often than not. */
static bool is_map(const struct tap_buf *b)
{
	size_t i = 0;

	if (memchr(b->p, '\0', b->len) != NULL)
		return false;
	while (i < b->len &&
	       (b->p[i] == ' ' || b->p[i] == '\t' || b->p[i] == '\r' || b->p[i] == '\n'))
		i++;
	return i == b->len || b->p[i] != '<';
}

static void read_user_map(struct tap_services *s, size_t i)
{
	struct tap_buf b;

	tap_stamp_take(s->path[i], &s->stamp[i]);
	tap_buf_init(&b, TAP_SERVICES_FILE + 1);
	if (tap_table_read_file(s->path[i], "a map of services", &b) && b.len > 0) {
		size_t n = b.len;

		if (!is_map(&b) || !tap_buf_reserve(&b, 1) ||
		    read_map(s->table, b.p, n, s->path[i]) == 0)
			tap_warn("enrich", "%s is no map of services", s->path[i]);
	}
	tap_buf_free(&b);
}

static bool read_ours(struct tap_services *s)
{
	char *text = strdup(tap_embedded_services.text);

	if (text == NULL)
		return false;
	(void)read_map(s->table, text, tap_embedded_services.size, "etc/services.csv");
	free(text);
	return true;
}

enum tap_rc tap_services_open(const char *const *path, size_t n, struct tap_services **s_r,
			      struct tap_err *err)
{
	struct tap_services *s = calloc(1, sizeof *s);

	*s_r = s;
	if (s != NULL) {
		s->table = tap_table_new(TABLE_BYTES);
		s->path = calloc(n + 1, sizeof *s->path);
		s->stamp = calloc(n + 1, sizeof *s->stamp);
	}
	if (s == NULL || s->table == NULL || s->path == NULL || s->stamp == NULL)
		goto fail;
	for (s->n = 0; s->n < n; s->n++) {
		s->path[s->n] = strdup(path[s->n]);
		if (s->path[s->n] == NULL)
			goto fail;
		read_user_map(s, s->n);
	}
	if (read_ours(s))
		return TAP_OK;
fail:
	tap_services_free(s_r);
	return tap_err_set(err, TAP_E_TEMP, "map of services: out of memory");
}

void tap_services_free(struct tap_services **s)
{
	if (*s == NULL)
		return;
	tap_table_free(&(*s)->table);
	for (size_t i = 0; (*s)->path != NULL && (*s)->path[i] != NULL; i++)
		free((*s)->path[i]);
	free((*s)->path);
	free((*s)->stamp);
	free(*s);
	*s = NULL;
}

bool tap_services_changed(const struct tap_services *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct tap_stamp now;

		tap_stamp_take(s->path[i], &now);
		if (!tap_stamp_same(&now, &s->stamp[i]))
			return true;
	}
	return false;
}

size_t tap_services_rows(const struct tap_services *s)
{
	return tap_table_rows(s->table);
}

bool tap_services_find(const struct tap_services *s, const char *domain, bool network,
		       struct tap_service *out)
{
	char key[TAP_IDN_NAME + 4];
	const char *const *r = NULL;

	*out = (struct tap_service){NULL, NULL};
	if (domain == NULL || *domain == '\0')
		return false;
	if (network) {
		(void)snprintf(key, sizeof key, "as:%s", domain);
		r = tap_table_find(s->table, key);
	}
	if (r == NULL)
		r = tap_table_find(s->table, domain);
	if (r != NULL)
		*out = (struct tap_service){r[NAME], r[TYPE]};
	return r != NULL;
}

enum tap_service_role tap_service_role(const char *type)
{
	static const struct {
		const char *type;
		enum tap_service_role role;
	} known[] = {
	    {"Email Provider", TAP_ROLE_MAILBOXES},
	    {"Email Security", TAP_ROLE_GATEWAY},
	    {"Forwarder", TAP_ROLE_FORWARDER},
	    {"Mailing Lists", TAP_ROLE_FORWARDER},
	    {"Transactional", TAP_ROLE_SENDER},
	    {"Marketing", TAP_ROLE_SENDER},
	    {"CRM", TAP_ROLE_SENDER},
	    {"Ticketing", TAP_ROLE_SENDER},
	    {"Surveys", TAP_ROLE_SENDER},
	    {"Human Resources", TAP_ROLE_SENDER},
	    {"Finance", TAP_ROLE_SENDER},
	    {"Collaboration", TAP_ROLE_SENDER},
	    {"Commerce", TAP_ROLE_SENDER},
	    {"Events", TAP_ROLE_SENDER},
	    {"Monitoring", TAP_ROLE_SENDER},
	    {"Development", TAP_ROLE_SENDER},
	    {"Security", TAP_ROLE_SENDER},
	    {"SaaS", TAP_ROLE_SENDER},
	    {"Web Host", TAP_ROLE_NETWORK},
	    {"Cloud", TAP_ROLE_NETWORK},
	    {"ISP", TAP_ROLE_NETWORK},
	    {"Network", TAP_ROLE_NETWORK},
	    {"VPN", TAP_ROLE_NETWORK},
	};

	for (size_t i = 0; type != NULL && i < sizeof known / sizeof *known; i++) {
		if (strcasecmp(type, known[i].type) == 0)
			return known[i].role;
	}
	return TAP_ROLE_NONE;
}
