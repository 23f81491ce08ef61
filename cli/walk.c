/* SPDX-License-Identifier: Apache-2.0
 * cli/walk.c - see walk.h. */
#include "cli/walk.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEEP = 100 };

struct names {
	char **v;
	size_t n, cap;
};

static void names_free(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct names){0};
}

static bool names_add(struct names *l, const char *name)
{
	if (l->n == l->cap) {
		size_t cap = l->cap > 0 ? l->cap * 2 : 64;
		char **v = realloc(l->v, cap * sizeof *v);

		if (v == NULL)
			return false;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = strdup(name);
	return l->v[l->n] != NULL && ++l->n > 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of a directory, sorted, without "." and "..". */
static enum tap_rc list(const char *path, struct names *l, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;
	struct dirent *e;
	DIR *d = opendir(path);

	*l = (struct names){0};
	if (d == NULL)
		return tap_err_sys(err, TAP_E_DATA, errno, "cannot read the directory");
	while (rc == TAP_OK && (errno = 0, e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    !names_add(l, e->d_name))
			rc = tap_err_set(err, TAP_E_TEMP, "out of memory");
	if (rc == TAP_OK && errno != 0)
		rc = tap_err_sys(err, TAP_E_DATA, errno, "cannot read the directory");
	(void)closedir(d);
	if (rc == TAP_OK && l->n > 0)
		qsort(l->v, l->n, sizeof *l->v, by_name);
	if (rc != TAP_OK)
		names_free(l);
	return rc;
}

static char *join(const char *dir, const char *name)
{
	size_t n = strlen(dir);
	char *path = NULL;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (asprintf(&path, "%.*s%s%s", (int)n, dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name) <
	    0)
		return NULL;
	return path;
}

enum is { IS_NOTHING, IS_FILE, IS_DIR, IS_OTHER };

/* links: may path itself be a symbolic link to a directory? */
static enum is look(const char *path, bool links)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return IS_NOTHING;
	if (S_ISLNK(st.st_mode)) {
		if (stat(path, &st) != 0 || (S_ISDIR(st.st_mode) && !links))
			return IS_OTHER;
	}
	if (S_ISDIR(st.st_mode))
		return IS_DIR;
	return S_ISREG(st.st_mode) ? IS_FILE : IS_OTHER;
}

static enum is look_below(const char *dir, const char *name)
{
	char *path = join(dir, name);
	enum is is = path != NULL ? look(path, true) : IS_NOTHING;

	free(path);
	return is;
}

static enum tap_rc no_memory(struct tap_err *err)
{
	return tap_err_set(err, TAP_E_TEMP, "out of memory");
}

/* Trouble of ours ends the walk; everything else is told of the path, and the walk goes on. */
static enum tap_rc refuse(const struct tap_walk_visitor *v, const char *path,
			  const struct tap_err *why, struct tap_err *err)
{
	if (why->rc != TAP_E_TEMP)
		return v->refuse(v->ctx, path, why, err);
	*err = *why;
	return err->rc;
}

/* --- Maildir ------------------------------------------------------------------------------------------------------------------ */

/* Length of a name without its flags. */
static size_t base_of(const char *name)
{
	const char *info = strstr(name, ":2,");

	return info != NULL ? (size_t)(info - name) : strlen(name);
}

static int by_base(const void *key, const void *member)
{
	const char *name = key, *other = *(char *const *)member;
	size_t n = base_of(name), m = base_of(other);
	int c = strncmp(name, other, n < m ? n : m);

	return c != 0 ? c : (n > m) - (n < m);
}

/* A mail that is moved while both are listed is in both lists, and is read once. New has no flags, so its order is that of bases. */
static bool listed(const struct names *l, const char *name)
{
	return l->n > 0 && bsearch(name, l->v, l->n, sizeof *l->v, by_base) != NULL;
}

static enum tap_rc visit_mails(const struct tap_walk_visitor *v, const char *dir,
			       const struct names *l, const struct names *but, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; i < l->n && rc == TAP_OK; i++) {
		char *path;

		if (l->v[i][0] == '.' || (but != NULL && listed(but, l->v[i])))
			continue;
		path = join(dir, l->v[i]);
		if (path == NULL)
			return no_memory(err);
		if (look(path, false) != IS_OTHER && look(path, false) != IS_DIR)
			rc = v->file(v->ctx, path, TAP_WALK_MAILDIR, err);
		free(path);
	}
	return rc;
}

static int by_base_of_both(const void *a, const void *b)
{
	return by_base(*(char *const *)a, b);
}

/* Lists one of new and cur; one that is missing is told, and the other is read all the same. */
static enum tap_rc list_part(const struct tap_walk_visitor *v, const char *dir, struct names *l,
			     struct tap_err *err)
{
	struct tap_err why = {0};

	if (list(dir, l, &why) == TAP_OK)
		return TAP_OK;
	return refuse(v, dir, &why, err);
}

static enum tap_rc read_maildir(const char *path, const struct tap_walk_visitor *v,
				struct tap_err *err)
{
	struct names fresh = {0}, seen = {0};
	char *new_dir = join(path, "new"), *cur_dir = join(path, "cur");
	enum tap_rc rc;

	if (new_dir == NULL || cur_dir == NULL)
		rc = no_memory(err);
	else
		rc = list_part(v, new_dir, &fresh, err);
	if (rc == TAP_OK)
		rc = list_part(v, cur_dir, &seen, err);
	if (rc == TAP_OK)
		rc = visit_mails(v, new_dir, &fresh, NULL, err);
	if (rc == TAP_OK && fresh.n > 0)
		qsort(fresh.v, fresh.n, sizeof *fresh.v, by_base_of_both);
	if (rc == TAP_OK)
		rc = visit_mails(v, cur_dir, &seen, &fresh, err);
	names_free(&fresh);
	names_free(&seen);
	free(new_dir);
	free(cur_dir);
	return rc;
}

char *tap_walk_maildir_find(const char *path)
{
	const char *name = strrchr(path, '/'), *top = name;
	char *dir = NULL, *found = NULL;
	struct names l = {0};
	struct tap_err err;

	while (top != NULL && top > path && top[-1] != '/')
		top--;
	if (top == NULL || asprintf(&dir, "%.*scur", (int)(top - path), path) < 0)
		return NULL;
	name++;
	/* A program that opens the Maildir moves all of new at once: the name that it gives them costs no listing for each. */
	if (asprintf(&found, "%s/%.*s:2,", dir, (int)base_of(name), name) < 0)
		found = NULL;
	if (found == NULL || look(found, false) != IS_FILE) {
		free(found);
		found = NULL;
	}
	if (found == NULL && list(dir, &l, &err) == TAP_OK)
		for (size_t i = 0; i < l.n && found == NULL; i++)
			if (base_of(l.v[i]) == base_of(name) &&
			    strncmp(l.v[i], name, base_of(name)) == 0)
				found = join(dir, l.v[i]);
	names_free(&l);
	free(dir);
	return found;
}

/* --- directories -------------------------------------------------------------------------------------------------------------- */

static enum tap_rc walk_dir(const char *path, const struct tap_walk_visitor *v, int depth,
			    struct tap_err *err);

static bool is_maildir(const char *path)
{
	bool has_new = look_below(path, "new") == IS_DIR,
	     has_cur = look_below(path, "cur") == IS_DIR;

	return (has_new && has_cur) || ((has_new || has_cur) && look_below(path, "tmp") == IS_DIR);
}

static enum tap_rc visit(const char *dir, const char *name, const struct tap_walk_visitor *v,
			 bool maildir, int depth, struct tap_err *err)
{
	char *path = join(dir, name);
	enum tap_rc rc = TAP_OK;
	enum is is;

	if (path == NULL)
		return no_memory(err);
	is = look(path, false);
	/* Beside new and cur a Maildir has folders, which are Maildirs, and files that are no mail. */
	if (is == IS_DIR && (!maildir || is_maildir(path)))
		rc = walk_dir(path, v, depth, err);
	else if (is == IS_FILE && !maildir)
		rc = v->file(v->ctx, path, TAP_WALK_FOUND, err);
	free(path);
	return rc;
}

static enum tap_rc walk_list(const char *path, const struct tap_walk_visitor *v, bool maildir,
			     int depth, struct tap_err *err)
{
	static const char *const parts[] = {"new", "cur", "tmp"};
	struct names l;
	struct tap_err why = {0};
	enum tap_rc rc = TAP_OK;

	if (depth >= DEEP)
		(void)tap_err_set(&why, TAP_E_LIMIT, "directories nested more than %d deep", DEEP);
	else
		(void)list(path, &l, &why);
	if (why.rc != TAP_OK)
		return refuse(v, path, &why, err);
	for (size_t i = 0; i < l.n && rc == TAP_OK; i++) {
		bool part = false;

		for (size_t k = 0; maildir && k < sizeof parts / sizeof *parts; k++)
			part |= strcmp(l.v[i], parts[k]) == 0;
		if (!part && (maildir || l.v[i][0] != '.'))
			rc = visit(path, l.v[i], v, maildir, depth + 1, err);
	}
	names_free(&l);
	return rc;
}

static enum tap_rc walk_dir(const char *path, const struct tap_walk_visitor *v, int depth,
			    struct tap_err *err)
{
	bool maildir = is_maildir(path);
	struct tap_err why = {0};
	enum tap_rc rc = TAP_OK;

	if (!maildir && !v->recursive) {
		(void)tap_err_set(&why, TAP_E_DATA,
				  "is a directory (--recursive reads what is in it)");
		return v->refuse(v->ctx, path, &why, err);
	}
	if (maildir)
		rc = read_maildir(path, v, err);
	if (rc == TAP_OK && v->recursive)
		rc = walk_list(path, v, maildir, depth, err);
	return rc;
}

static enum tap_rc walk_named(const char *path, const struct tap_walk_visitor *v,
			      struct tap_err *err)
{
	return look(path, true) == IS_DIR ? walk_dir(path, v, 0, err)
					  : v->file(v->ctx, path, TAP_WALK_NAMED, err);
}

static enum tap_rc walk_pattern(const char *pattern, const struct tap_walk_visitor *v,
				struct tap_err *err)
{
	struct tap_err why = {0};
	enum tap_rc rc = TAP_OK;
	glob_t g = {0};

	switch (glob(pattern, 0, NULL, &g)) {
	case 0:
		for (size_t i = 0; i < g.gl_pathc && rc == TAP_OK; i++)
			rc = walk_named(g.gl_pathv[i], v, err);
		break;
	case GLOB_NOSPACE: rc = no_memory(err); break;
	default:
		(void)tap_err_set(&why, TAP_E_NOTFOUND, "no file has such a name");
		rc = v->refuse(v->ctx, pattern, &why, err);
	}
	globfree(&g);
	return rc;
}

enum tap_rc tap_walk(const char *argument, const struct tap_walk_visitor *v, struct tap_err *err)
{
	if (strcmp(argument, "-") == 0)
		return v->file(v->ctx, argument, TAP_WALK_NAMED, err);
	/* A name that exists is never a pattern. */
	if (look(argument, true) == IS_NOTHING && strpbrk(argument, "*?[") != NULL)
		return walk_pattern(argument, v, err);
	return walk_named(argument, v, err);
}
