/* SPDX-License-Identifier: Apache-2.0
 * daemon/outputs_list.c - see outbox.h: `outputs list`, how each output fares. Threads: the control thread. */
#include "daemon/outbox.h"

#include "base/clock.h"
#include "daemon/control.h"
#include "daemon/worker.h"
#include "outputs/encode.h"

#include <inttypes.h>
#include <string.h>

enum { COUNTED = 100000, SOON_MS = 1000 };

struct fare {
	const struct tap_sink_config *config;
	struct tap_store_sink place;
	struct tap_runner_status run;
	uint64_t parked, waiting;
};

static enum tap_rc count_one(void *ctx, const struct tap_store_exception *x, struct tap_err *err)
{
	struct fare *f = ctx;

	(void)err;
	if (x->waits)
		f->waiting++;
	else
		f->parked++;
	return TAP_OK;
}

static const char *promise(const struct fare *f)
{
	static const char *const word[] = {[TAP_PROMISE_EXACTLY_ONCE] = "exactly once",
					   [TAP_PROMISE_AT_LEAST_ONCE] = "at least once",
					   [TAP_PROMISE_UNCONFIRMED] = "unconfirmed"};

	return word[f->config->ops->promise];
}

static const char *state(const struct fare *f)
{
	static const char *const word[] = {[TAP_RUNNER_IDLE] = "idle",
					   [TAP_RUNNER_SENDING] = "sending",
					   [TAP_RUNNER_BACKOFF] = "waits after a failure",
					   [TAP_RUNNER_PAUSED] = "paused: too much is set aside"};

	return word[f->run.state];
}

static void when(struct tap_buf *b, int64_t t, bool json)
{
	char text[40];

	if (t <= 0) {
		tap_buf_adds(b, json ? "null" : "never");
		return;
	}
	tap_time_rfc3339(t, text, sizeof text);
	tap_buf_printf(b, json ? "\"%s\"" : "%s", text);
}

static void print_json(const struct fare *f, struct tap_buf *b)
{
	tap_buf_adds(b, "{\"name\":");
	tap_json_string(b, f->config->name);
	tap_buf_printf(b,
		       ",\"type\":\"%s\",\"promise\":\"%s\",\"state\":\"%s\",\"lag\":%" PRIu64
		       ",\"waiting\":%" PRIu64 ",\"parked\":%" PRIu64 ",\"confirmed\":%" PRIu64
		       ",\"last_success\":",
		       f->config->ops->name, promise(f), state(f), f->place.lag, f->waiting,
		       f->parked, f->run.confirmed);
	when(b, f->run.last_success, true);
	tap_buf_adds(b, ",\"last_failure\":");
	when(b, f->run.last_failure, true);
	tap_buf_adds(b, ",\"last_error\":");
	tap_json_string(b, f->run.last_trouble[0] != '\0' ? f->run.last_trouble : NULL);
	tap_buf_addc(b, '}');
}

static void print_text(const struct fare *f, struct tap_buf *b)
{
	tap_buf_printf(b,
		       "%s (%s, %s): %s\n  %" PRIu64 " items owed, %" PRIu64
		       " set aside to be tried again, %" PRIu64 " parked\n  last success ",
		       f->config->name, f->config->ops->name, promise(f), state(f), f->place.lag,
		       f->waiting, f->parked);
	when(b, f->run.last_success, false);
	tap_buf_adds(b, "\n  last error ");
	when(b, f->run.last_failure, false);
	if (f->run.last_trouble[0] != '\0')
		tap_buf_printf(b, ": %s", f->run.last_trouble);
	tap_buf_addc(b, '\n');
}

static enum tap_rc fare_of(struct tap_worker *w, size_t i, struct tap_store_reader *r,
			   struct fare *f, struct tap_err *err)
{
	const struct tap_sink_config *c = &w->config[i];
	unsigned kinds =
	    c->ops->kinds & (c->ops->wants != NULL ? c->ops->wants(c->set) : c->ops->kinds);
	enum tap_rc rc;

	memset(f, 0, sizeof *f);
	f->config = c;
	if (w->sink[i].runner != NULL)
		tap_runner_get_status(w->sink[i].runner, &f->run);
	rc = tap_store_sink_get(r, c->name, kinds, &f->place, NULL, err);
	if (rc == TAP_E_NOTFOUND) { /* it has not begun yet */
		*err = (struct tap_err){0};
		return TAP_OK;
	}
	if (rc != TAP_OK)
		return rc;
	return tap_store_sink_list(r, c->name, INT64_MAX, COUNTED, count_one, f, err);
}

enum tap_rc tap_command_outputs_list(struct tap_worker *w, const char *args, struct tap_buf *body,
				     struct tap_err *err)
{
	struct tap_store_reader *r = NULL;
	char format[8];
	bool json =
	    tap_control_get(args, "format", format, sizeof(format)) && strcmp(format, "json") == 0;
	enum tap_rc rc = tap_store_open_reader(w->store_set.path, &r, err);

	if (rc == TAP_OK)
		tap_store_reader_deadline(r, tap_clock_mono_ms() + SOON_MS);
	if (json)
		tap_buf_addc(body, '[');
	for (size_t i = 0; rc == TAP_OK && i < w->sinks; i++) {
		struct fare f;

		rc = fare_of(w, i, r, &f, err);
		if (rc != TAP_OK)
			break;
		if (json && i > 0)
			tap_buf_addc(body, ',');
		if (json)
			print_json(&f, body);
		else
			print_text(&f, body);
	}
	if (json)
		tap_buf_adds(body, "]\n");
	tap_store_close_reader(&r);
	return rc;
}
