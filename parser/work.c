/* SPDX-License-Identifier: Apache-2.0
 * parser/work.c - see work.h. */
#include "parser/work.h"
#include "parser/authres.h"
#include "parser/trust.h"

/* A field costs its text and, where it holds results, some structs. */
enum { ARENA_FACTOR = 4, ARENA_LEAST = 1 << 20 };

/* What the mail says of itself is kept, what others say of it is not. */
static const struct tap_mail_auth *without_fields(struct tap_arena *a,
						  const struct tap_mail_auth *m)
{
	struct tap_mail_auth *copy = tap_arena_alloc(a, sizeof *copy);

	if (copy) {
		*copy = *m;
		copy->n_field = 0;
	}
	return copy;
}

const struct tap_mail_auth *tap_work_auth(struct tap_work *w)
{
	static const struct tap_mail_auth nothing;

	if (w->auth || w->top.len == 0)
		return w->auth;
	if (w->arena == NULL)
		w->arena = tap_arena_new((size_t)w->lim->header_bytes * ARENA_FACTOR + ARENA_LEAST);
	w->auth = tap_mail_auth_read(w->arena, w->top.p, w->top.len);
	if (w->auth && w->doubtful)
		w->auth = without_fields(w->arena, w->auth);
	if (w->auth == NULL)
		w->auth = &nothing; /* there is a mail, and nothing of it can be trusted */
	return w->auth;
}

void tap_work_judge(struct tap_work *w, struct tap_meta *meta)
{
	tap_trust_judge(w->opt->trust, tap_work_auth(w), meta, &meta->trust);
	w->kinds |= meta->kind;
	if (meta->trust.auth != TAP_AUTH_PASS)
		w->unauthenticated |= meta->kind;
	if (meta->trust.foreign)
		w->foreign++;
	else
		w->own++;
}

void tap_work_done(struct tap_work *w)
{
	w->auth = NULL;
	tap_arena_free(&w->arena);
	tap_buf_free(&w->top);
}
