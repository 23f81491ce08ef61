/* SPDX-License-Identifier: Apache-2.0
 * outputs/fail.c - driver "fail": fails on purpose and keeps nothing but a log, so that the runner and an operator's alarms can be tried.
 * The first fail_first items (-1: all) fail as `mode` says; what comes after is confirmed and thrown away. */
#include "outputs/drivers.h"

#include "base/clock.h"
#include "base/io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_ITEMS = 100, MAX_BYTES = 1024 * 1024 };
enum mode {
	MODE_RETRY,
	MODE_NEVER,
	MODE_ALTERNATE,
	MODE_PEER,
	MODE_ENCODE,
	MODE_PATTERN,
	MODE_HANG
};

struct fail_set {
	int64_t mode, fail_first;
	char *pattern, *log;
	int64_t down, delay_ms;
};
static const char *const modes[] = {"retry",  "never",	 "alternate", "peer",
				    "encode", "pattern", "hang",      NULL};
static const struct tap_setting fail_table[] = {
    TAP_ROW_ENUM("mode", fail_set, mode, 0, "retry", modes,
		 "How it fails. retry: each item has to be tried again. never: each item is "
		 "refused for good. alternate: "
		 "every second item is refused for good. peer: the whole batch fails, as if nobody "
		 "listened. encode: no item can be put into bytes. pattern: as the setting pattern "
		 "says. hang: nothing is answered before the timeout."),
    TAP_ROW_INT("fail_first", fail_set, fail_first, 0, "-1", -1, INT64_MAX,
		"How many items fail, counted over all tries, until everything is taken; -1 = for "
		"ever. Mode encode always fails."),
    TAP_ROW_STR(
	"pattern", fail_set, pattern, 0, "c",
	"For mode pattern: a letter for each item in turn, over and over: c is confirmed, r "
	"has to be tried again, n is refused for good."),
    TAP_ROW_PATH("log", fail_set, log, 0, NULL,
		 "A file to which a line is added for each item that is confirmed: its report, the "
		 "index of its record, its revision."),
    TAP_ROW_INT("down", fail_set, down, 0, "0", 0, INT64_MAX,
		"So many batches fail first, as if nobody listened."),
    TAP_ROW_TIME("delay", fail_set, delay_ms, 0, "0", 0, 3600000, "How long each batch takes."),
    {0}};
static const struct tap_section fail_section = {
    .name = "fail",
    .doc = "Fails on purpose and keeps nothing: for tests.",
    .table = fail_table,
    .struct_size = sizeof(struct fail_set),
};

struct fail_self {
	const struct fail_set *set;
	int64_t seen;  /* items given to send */
	int64_t sends; /* batches */
	int log;
};

static enum tap_rc fail_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
			       struct tap_err *err)
{
	const struct fail_set *s = set;

	if (s->mode == MODE_ENCODE)
		return tap_err_set(err, TAP_E_DATA, "made to fail at encoding");
	tap_buf_printf(out, "%.40s %" PRIu64 " %" PRId64 "\n", item->meta->uid, item->ordinal,
		       item->revision);
	return out->failed ? tap_err_set(err, TAP_E_LIMIT, "the item is too large") : TAP_OK;
}

static enum tap_rc fail_open(const void *set, const char *state, char *state_r, void **self_r,
			     struct tap_err *err)
{
	struct fail_self *f = calloc(1, sizeof *f);

	(void)state;
	(void)state_r;
	*self_r = f;
	if (f == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	f->set = set;
	f->log = -1;
	if (f->set->log == NULL)
		return TAP_OK;
	if (tap_io_open(AT_FDCWD, f->set->log, O_WRONLY | O_CREAT | O_APPEND, 0640, &f->log, NULL,
			err) == TAP_OK)
		return TAP_OK;
	free(f);
	*self_r = NULL;
	return err->rc;
}

static enum tap_item_verdict by_pattern(const char *pattern, int64_t i)
{
	size_t n = pattern != NULL ? strlen(pattern) : 0;
	char c = n > 0 ? pattern[(uint64_t)i % n] : 'c';

	return c == 'r' ? TAP_ITEM_RETRY : c == 'n' ? TAP_ITEM_NEVER : TAP_ITEM_CONFIRMED;
}

static enum tap_item_verdict verdict_of(const struct fail_self *f)
{
	if (f->set->fail_first >= 0 && f->seen >= f->set->fail_first)
		return TAP_ITEM_CONFIRMED;
	switch ((enum mode)f->set->mode) {
	case MODE_RETRY: return TAP_ITEM_RETRY;
	case MODE_NEVER: return TAP_ITEM_NEVER;
	case MODE_ALTERNATE: return f->seen % 2 == 0 ? TAP_ITEM_CONFIRMED : TAP_ITEM_NEVER;
	case MODE_PATTERN: return by_pattern(f->set->pattern, f->seen);
	case MODE_PEER:
	case MODE_HANG:
	case MODE_ENCODE: break;
	}
	return TAP_ITEM_CONFIRMED;
}

static void sleep_ms(int64_t ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	if (ms > 0)
		(void)nanosleep(&t, NULL);
}

static enum tap_rc fail_send(void *self, const char *bytes, const size_t *ofs, size_t n,
			     enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			     struct tap_err *err)
{
	struct fail_self *f = self;
	bool still = f->set->fail_first < 0 || f->seen < f->set->fail_first;

	enum tap_rc rc = TAP_OK;

	(void)state_r;
	sleep_ms(f->set->delay_ms);
	if (f->sends++ < f->set->down || (f->set->mode == MODE_PEER && still)) {
		f->seen += (int64_t)n;
		return tap_err_set(err, TAP_E_TEMP, "made to fail: nobody listens");
	}
	if (f->set->mode == MODE_HANG && still) {
		f->seen += (int64_t)n;
		sleep_ms(deadline_ms - tap_clock_mono_ms());
		return tap_err_set(err, TAP_E_CANCELLED, "made to fail: no answer in time");
	}
	for (size_t i = 0; rc == TAP_OK && i < n; i++) {
		verdict[i] = verdict_of(f);
		f->seen++;
		if (verdict[i] == TAP_ITEM_CONFIRMED && f->log >= 0)
			rc = tap_io_write(f->log, bytes + ofs[i], ofs[i + 1] - ofs[i], NULL, err);
	}
	if (rc != TAP_OK)
		return rc;
	/* The runner takes this text as the reason of what was refused. */
	(void)tap_err_set(err, TAP_OK, "made to fail");
	return TAP_OK;
}

static void fail_close(void **self)
{
	struct fail_self *f = *self;

	if (f == NULL)
		return;
	tap_io_close(&f->log);
	free(f);
	*self = NULL;
}

const struct tap_output_ops tap_output_fail = {
    .name = "fail",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_UNCONFIRMED,
    .settings = &fail_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = fail_encode,
    .open = fail_open,
    .send = fail_send,
    .close = fail_close,
};
