/* SPDX-License-Identifier: Apache-2.0
 * enrich/suffix.c - see suffix.h. libpsl neither folds case nor takes a final dot away, and it finds a base domain in an address:
 * all three are ours to do before it is asked. */
#include "enrich/suffix.h"

#include "base/log.h"
#include "enrich/address.h"
#include "enrich/table.h"

#include <libpsl.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_BYTES = 64 << 20, TOLD = 5 };

struct tap_suffix {
	psl_ctx_t *psl;
	struct tap_table *foldings;
	char *list_path, *foldings_path; /* NULL = none */
	struct tap_stamp list, file;
};

/* --- foldings --- */

/* The next word of a line, ended with a NUL; NULL: none. */
static char *word(char **at)
{
	char *from = *at + strspn(*at, " \t\r");
	size_t n = strcspn(from, " \t\r");

	if (n == 0 || *from == '#')
		return NULL;
	*at = from + n;
	if (from[n] != '\0')
		*(*at)++ = '\0';
	return from;
}

/* A suffix keeps the dot or hyphen in front of it; names are compared as idn.h writes them. */
static bool clean(const char *text, bool suffix, char out[TAP_IDN_NAME + 1])
{
	size_t mark = suffix && (text[0] == '.' || text[0] == '-') ? 1 : 0;

	out[0] = text[0];
	return tap_idn_ascii(text + mark, out + mark);
}

enum line { LINE_NOTHING, LINE_TAKEN, LINE_WRONG, LINE_FULL };

static enum line read_line(struct tap_table *t, char *line)
{
	char suffix[TAP_IDN_NAME + 1], group[TAP_IDN_NAME + 1];
	char *at = line, *first = word(&at), *second;
	const char *cell[TAP_TABLE_CELLS] = {suffix, group, NULL};

	if (first == NULL)
		return LINE_NOTHING;
	second = word(&at);
	if (!clean(first, true, suffix))
		return LINE_WRONG;
	if (second == NULL)
		second = first + strspn(first, ".-");
	if (!clean(second, false, group) || strchr(group, '.') == NULL || word(&at) != NULL)
		return LINE_WRONG;
	return tap_table_add(t, cell) ? LINE_TAKEN : LINE_FULL;
}

/* text is changed. path NULL: our own. */
static void read_foldings(struct tap_table *t, char *text, const char *path)
{
	unsigned number = 0, wrong = 0;

	for (char *line = text, *end; line != NULL; line = end) {
		enum line got;

		end = strchr(line, '\n');
		if (end != NULL)
			*end++ = '\0';
		number++;
		got = read_line(t, line);
		if (got == LINE_FULL) {
			tap_warn("enrich",
				 "%s: too many foldings; those from line %u on are not used", path,
				 number);
			return;
		}
		if (got == LINE_WRONG && ++wrong <= TOLD)
			tap_warn("enrich", "%s: line %u is no suffix and group of names", path,
				 number);
	}
	if (wrong > TOLD)
		tap_warn("enrich", "%s: %u lines are no suffix and group of names", path, wrong);
}

static bool open_foldings(struct tap_suffix *s)
{
	struct tap_buf b;
	char *ours;

	s->foldings = tap_table_new(TABLE_BYTES);
	if (s->foldings == NULL)
		return false;
	tap_buf_init(&b, TAP_SUFFIX_FILE + 1);
	tap_stamp_take(s->foldings_path, &s->file);
	if (s->foldings_path != NULL &&
	    tap_table_read_file(s->foldings_path, "the file of suffixes", &b)) {
		if (memchr(b.p, '\0', b.len) != NULL)
			tap_warn("enrich", "%s is no text, and is not used", s->foldings_path);
		else if (*tap_buf_cstr(&b) != '\0')
			read_foldings(s->foldings, b.p, s->foldings_path);
	}
	tap_buf_free(&b);
	ours = strdup(tap_embedded_foldings.text);
	if (ours == NULL)
		return false;
	read_foldings(s->foldings, ours, "etc/suffix-foldings");
	free(ours);
	return true;
}

/* --- the list --- */

static void open_list(struct tap_suffix *s, bool given)
{
	tap_stamp_take(s->list_path, &s->list);
	if (given) {
		s->psl = psl_load_file(s->list_path);
		if (s->psl != NULL && psl_suffix_count(s->psl) == 0) {
			psl_free(s->psl);
			s->psl = NULL;
		}
		if (s->psl == NULL)
			tap_warn("enrich", "%s is no public suffix list; the system's is used",
				 s->list_path);
	}
	if (s->psl == NULL)
		s->psl = psl_latest(NULL);
	if (s->psl == NULL)
		tap_warn("enrich", "no public suffix list: names have no base domain");
}

static bool copy(const char *from, char **to_r)
{
	*to_r = from != NULL && *from != '\0' ? strdup(from) : NULL;
	return from == NULL || *from == '\0' || *to_r != NULL;
}

enum tap_rc tap_suffix_open(const char *list, const char *foldings, struct tap_suffix **s_r,
			    struct tap_err *err)
{
	struct tap_suffix *s = calloc(1, sizeof *s);

	*s_r = s;
	if (s == NULL || !copy(list != NULL ? list : psl_dist_filename(), &s->list_path) ||
	    !copy(foldings, &s->foldings_path) || !open_foldings(s)) {
		tap_suffix_free(s_r);
		return tap_err_set(err, TAP_E_TEMP, "public suffix list: out of memory");
	}
	open_list(s, list != NULL);
	return TAP_OK;
}

void tap_suffix_free(struct tap_suffix **s)
{
	if (*s == NULL)
		return;
	psl_free((*s)->psl);
	tap_table_free(&(*s)->foldings);
	free((*s)->list_path);
	free((*s)->foldings_path);
	free(*s);
	*s = NULL;
}

bool tap_suffix_changed(const struct tap_suffix *s)
{
	struct tap_stamp list, file;

	tap_stamp_take(s->list_path, &list);
	tap_stamp_take(s->foldings_path, &file);
	return !tap_stamp_same(&list, &s->list) || !tap_stamp_same(&file, &s->file);
}

/* --- names --- */

/* The public suffix and one label in front of it. */
static const char *registrable(const struct tap_suffix *s, const char *name, int type)
{
	const char *before = NULL;

	for (const char *at = name; at != NULL; before = at, at = strchr(at, '.')) {
		if (at != name)
			at++;
		if (psl_is_public_suffix2(s->psl, at, type))
			return before;
	}
	return NULL;
}

bool tap_suffix_base(const struct tap_suffix *s, const char *name, enum tap_suffix_rules rules,
		     char out[TAP_IDN_NAME])
{
	char clean_name[TAP_IDN_NAME];
	const char *const *folded;
	const char *base = NULL;
	struct tap_ipaddr addr;

	out[0] = '\0';
	if (name == NULL || tap_ipaddr_parse(name, &addr) || !tap_idn_ascii(name, clean_name) ||
	    tap_ipaddr_parse(clean_name, &addr))
		return false;
	folded = rules == TAP_SUFFIX_ALL ? tap_table_find_end(s->foldings, clean_name) : NULL;
	if (folded != NULL)
		base = folded[1];
	else if (s->psl != NULL && rules == TAP_SUFFIX_ALL)
		base = psl_registrable_domain(s->psl, clean_name);
	else if (s->psl != NULL)
		base = registrable(s, clean_name, PSL_TYPE_ICANN);
	if (base == NULL)
		return false;
	memcpy(out, base, strlen(base) + 1);
	return true;
}
