/* SPDX-License-Identifier: Apache-2.0
 * enrich/table.c - see table.h. Open addressing; keys are hashed from their end, so that all ends of a name cost one pass. */
#include "enrich/table.h"

#include "base/arena.h"
#include "base/io.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_PLACES = 256 };

struct row {
	uint64_t hash;
	const char *cell[TAP_TABLE_CELLS]; /* cell[0] NULL: free */
};
struct tap_table {
	struct tap_arena *arena;
	struct row *place; /* a power of two of them, at most half full */
	size_t places, rows;
	uint64_t seed;
};

static uint64_t step(uint64_t h, char c)
{
	return (h ^ (unsigned char)c) * 1099511628211U; /* FNV-1a */
}

static uint64_t hash_of(const struct tap_table *t, const char *s)
{
	uint64_t h = t->seed;

	for (size_t n = strlen(s); n-- > 0;)
		h = step(h, s[n]);
	return h;
}

static struct row *at(struct row *place, size_t places, uint64_t h, const char *key)
{
	size_t i = (h ^ h >> 32) & (places - 1);

	while (place[i].cell[0] != NULL &&
	       (place[i].hash != h || strcmp(place[i].cell[0], key) != 0))
		i = (i + 1) & (places - 1);
	return &place[i];
}

struct tap_table *tap_table_new(size_t most_bytes)
{
	struct tap_table *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->seed = 14695981039346656037U;
	t->places = FIRST_PLACES;
	t->place = calloc(t->places, sizeof *t->place);
	t->arena = tap_arena_new(most_bytes);
	if (t->place == NULL)
		tap_table_free(&t);
	return t;
}

void tap_table_free(struct tap_table **t)
{
	if (*t == NULL)
		return;
	tap_arena_free(&(*t)->arena);
	free((*t)->place);
	free(*t);
	*t = NULL;
}

static bool grow(struct tap_table *t)
{
	size_t places = t->places * 2;
	struct row *place = calloc(places, sizeof *place);

	if (place == NULL)
		return false;
	for (size_t i = 0; i < t->places; i++) {
		if (t->place[i].cell[0] != NULL)
			*at(place, places, t->place[i].hash, t->place[i].cell[0]) = t->place[i];
	}
	free(t->place);
	t->place = place;
	t->places = places;
	return true;
}

bool tap_table_add(struct tap_table *t, const char *const cell[TAP_TABLE_CELLS])
{
	uint64_t h = hash_of(t, cell[0]);
	struct row row = {.hash = h}, *to;

	if (2 * (t->rows + 1) > t->places && !grow(t))
		return false;
	to = at(t->place, t->places, h, cell[0]);
	if (to->cell[0] != NULL)
		return true;
	for (size_t i = 0; i < TAP_TABLE_CELLS; i++) {
		row.cell[i] = tap_arena_strdup(t->arena, cell[i]);
		if (cell[i] != NULL && row.cell[i] == NULL)
			return false;
	}
	*to = row;
	t->rows++;
	return true;
}

const char *const *tap_table_find(const struct tap_table *t, const char *key)
{
	const struct row *r = at(t->place, t->places, hash_of(t, key), key);

	return r->cell[0] != NULL ? r->cell : NULL;
}

const char *const *tap_table_find_end(const struct tap_table *t, const char *name)
{
	const struct row *found = NULL;
	uint64_t h = t->seed;

	for (size_t i = strlen(name); i-- > 0;) {
		const struct row *r;

		h = step(h, name[i]);
		if (name[i] != '.' && name[i] != '-' && i > 0 && name[i - 1] != '.')
			continue;
		r = at(t->place, t->places, h, name + i);
		if (r->cell[0] != NULL)
			found = r;
	}
	return found != NULL ? found->cell : NULL;
}

size_t tap_table_rows(const struct tap_table *t)
{
	return t->rows;
}

void tap_stamp_take(const char *path, struct tap_stamp *s_r)
{
	struct stat st;

	memset(s_r, 0, sizeof *s_r);
	if (path == NULL || stat(path, &st) != 0)
		return;
	*s_r = (struct tap_stamp){true, st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

bool tap_stamp_same(const struct tap_stamp *a, const struct tap_stamp *b)
{
	return a->there == b->there && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->modified.tv_sec == b->modified.tv_sec &&
	       a->modified.tv_nsec == b->modified.tv_nsec;
}

bool tap_table_read_file(const char *path, const char *what, struct tap_buf *b)
{
	struct tap_err err = {0};

	if (tap_io_read_file(AT_FDCWD, path, b, &err) == TAP_OK)
		return true;
	tap_warn("enrich", "%s is not used: %s", what, err.msg);
	return false;
}
