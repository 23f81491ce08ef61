/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: an LMTP session. The first four bytes choose where the input is cut and what the world says; the rest is what a client
 * sends. The session is played whole, byte by byte and in pieces of varying size.
 * Held to: how the bytes are cut changes neither the events nor the replies; each reply is a line of at most 512 printable bytes;
 * events come in their order; a message that was begun ends or is dropped. */
#include "base/buf.h"
#include "pipefilter/lmtp_engine.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct tap_buf events, said;
	uint8_t chance;
	bool mail, begun;
	unsigned rcpts;
};

static void need(int ok)
{
	if (!ok)
		abort();
}

static void on_lhlo(void *ctx, const char *name)
{
	struct world *w = ctx;

	need(!w->mail && *name);
	tap_buf_printf(&w->events, "L%s\n", name);
}

static void on_mail(void *ctx, const char *sender)
{
	struct world *w = ctx;

	need(!w->mail && strlen(sender) <= TAP_LMTP_PATH);
	w->mail = true;
	w->rcpts = 0;
	tap_buf_printf(&w->events, "M%s\n", sender);
}

static const struct tap_early_row *on_rcpt(void *ctx, const char *path)
{
	struct world *w = ctx;
	size_t n = strlen(path);

	need(w->mail && !w->begun && n > 0 && n <= TAP_LMTP_PATH);
	tap_buf_printf(&w->events, "R%s\n", path);
	if ((n + w->chance) % 4 == 0)
		return &tap_early_rows[n % TAP_EARLY_N];
	w->rcpts++;
	return NULL;
}

static void on_begin(void *ctx)
{
	struct world *w = ctx;

	need(w->mail && !w->begun && w->rcpts > 0);
	w->begun = true;
	tap_buf_adds(&w->events, "B");
}

static void on_data(void *ctx, const void *p, size_t n)
{
	struct world *w = ctx;

	need(w->begun && n > 0);
	tap_buf_add(&w->events, p, n);
}

static void on_end(void *ctx, struct tap_lmtp_verdict *v)
{
	struct world *w = ctx;

	need(w->begun);
	w->mail = w->begun = false;
	tap_buf_adds(&w->events, "E\n");
	v->row = tap_fate_row((enum tap_fate)(w->chance % TAP_FATE_N), TAP_WAY_LMTP_REJECT);
	v->id = w->chance & 1 ? "0123456789abcdef0123456789abcdef" : "";
}

static void on_drop(void *ctx)
{
	struct world *w = ctx;

	need(w->mail);
	w->mail = w->begun = false;
	tap_buf_adds(&w->events, "D\n");
}

static const struct tap_lmtp_ops ops = {on_lhlo, on_mail, on_rcpt, on_begin,
					on_data, on_end,  on_drop};
/* Low enough to be reached. */
static const struct tap_lmtp_config cfg = {"mx.test", 300, 3, 512, 12};

static void take(struct tap_lmtp *e, struct world *w)
{
	size_t n;
	const char *out = tap_lmtp_output(e, &n);

	tap_buf_add(&w->said, out, n);
	tap_lmtp_taken(e, n);
}

/* step 0: as it comes, cut by `seed`. */
static void play(struct world *w, const uint8_t *p, size_t n, size_t step, uint32_t seed)
{
	struct tap_lmtp *e;

	tap_buf_init(&w->events, 1 << 20);
	tap_buf_init(&w->said, 4 << 20);
	w->mail = w->begun = false;
	e = tap_lmtp_new(&cfg, &ops, w);
	need(e != NULL);
	while (n > 0 && tap_lmtp_state(e) != TAP_LMTP_OVER) {
		size_t now = step, used;

		if (step == 0) {
			seed = seed * 1664525 + 1013904223;
			now = 1 + (seed >> 16) % 40;
		}
		used = tap_lmtp_feed(e, p, now < n ? now : n);
		take(e, w);
		p += used;
		n -= used;
	}
	take(e, w);
	tap_lmtp_free(&e);
	need(!w->mail && !w->begun);
}

static void replies(const struct tap_buf *said)
{
	const char *p = said->p, *all = p + said->len, *lf;

	for (; p < all; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(all - p));
		need(lf && lf - p >= 5 && lf - p < 512 && lf[-1] == '\r');
		need(*p >= '2' && *p <= '5' && (p[3] == ' ' || p[3] == '-'));
		for (const char *c = p; c < lf - 1; c++)
			need(*c >= ' ' && *c <= '~');
	}
}

static bool same(const struct tap_buf *a, const struct tap_buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world whole = {.chance = 0}, w;
	size_t steps[3] = {1, 0, 0};

	if (size < 4 || size > 20000)
		return 0;
	whole.chance = data[0];
	steps[2] = 1u + data[3];
	play(&whole, data + 4, size - 4, SIZE_MAX, 0);
	replies(&whole.said);
	for (size_t i = 0; i < 3; i++) {
		w.chance = data[0];
		play(&w, data + 4, size - 4, steps[i], (uint32_t)data[1] << 8 | data[2]);
		need(same(&whole.events, &w.events) && same(&whole.said, &w.said));
		tap_buf_free(&w.events);
		tap_buf_free(&w.said);
	}
	tap_buf_free(&whole.events);
	tap_buf_free(&whole.said);
	return 0;
}
