/* SPDX-License-Identifier: Apache-2.0
 * outputs/runner.h - one thread a sink: reads items behind its cursor, encodes, sends, settles. Knows nothing of the store: rows
 * come and verdicts go through struct tap_feed, which the worker implements over SQLite.
 * A slow or dead sink blocks nobody [I4]:
 *   the peer fails, or wants nothing now   the cursor stays; back-off with jitter, 1 s to 5 min, for ever or for retry_for
 *   an item is to be tried again while     it goes to the exceptions table as waiting, with a time of its own; what follows goes on.
 *   others were answered                   Waiting items that are due and new ones take turns, batch by batch
 *   an item is refused for good            parked in the same table with the reason, until an operator acts
 * A batch of which every item is to be tried again, STUCK times in a row, is no longer taken for the peer's trouble: it waits there, too.
 * At max_exceptions no new items are taken, and the sink says so; waiting ones are still tried, and it goes on when there is room.
 * Drivers with in_order have neither turns nor waiting items: what they do not confirm stays at the cursor.
 * Threads: tap_runner_* from the thread that started it; the feed is called from the sink's thread. Fault points: sink.send .confirm. */
#ifndef TAP_OUTPUTS_RUNNER_H
#define TAP_OUTPUTS_RUNNER_H

#include "outputs/output.h"

struct tap_cursor {
	int64_t seq;	  /* report that comes next (items of smaller seq are settled) */
	uint64_t ordinal; /* record of it that comes next */
};
struct tap_exception {
	struct tap_cursor item;
	bool parked;   /* else it waits */
	int64_t tries; /* so far */
	int64_t next_try,
	    since; /* seconds since the epoch; since is kept by the feed once it is there */
	const char *reason;
};
struct tap_settlement { /* one transaction */
	struct tap_cursor cursor;
	const char *state;		/* the driver's; NULL = unchanged */
	const struct tap_exception *ex; /* put into the table, or changed there */
	size_t n_ex;
	const struct tap_cursor *done; /* taken out of the table */
	size_t n_done;
};
typedef enum tap_rc tap_feed_each(void *ctx, const struct tap_item *item, struct tap_err *err);
/* item NULL: it is gone from the store. */
typedef enum tap_rc tap_feed_due(void *ctx, const struct tap_exception *ex,
				 const struct tap_item *item, struct tap_err *err);
struct tap_feed {
	void *ctx;
	/* Cursor and driver state of the sink, made when it is new. state_r: TAP_OUTPUT_STATE_MAX. */
	enum tap_rc (*load)(void *ctx, const char *sink, struct tap_cursor *cur_r, char *state_r,
			    struct tap_err *err);
	/* Calls each for the items from *cur on (of these kinds), at most max, until each returns anything but TAP_OK; TAP_E_LIMIT from
	 * each means "enough", and read returns TAP_OK. next_r = cursor behind the last item that each accepted. None: TAP_E_NOTFOUND.
	 * *cur is moved first when an operator has moved the sink's. */
	enum tap_rc (*read)(void *ctx, const char *sink, struct tap_cursor *cur, unsigned kinds,
			    size_t max, tap_feed_each *each, void *each_ctx,
			    struct tap_cursor *next_r, struct tap_err *err);
	/* The same for exceptions that wait and are due, oldest time first. */
	enum tap_rc (*due)(void *ctx, const char *sink, unsigned kinds, size_t max,
			   tap_feed_due *each, void *each_ctx, struct tap_err *err);
	enum tap_rc (*settle)(void *ctx, const char *sink, const struct tap_settlement *s,
			      struct tap_err *err);
	/* Blocks until something may be new, the timeout, or stop. */
	void (*wait)(void *ctx, const char *sink, int64_t timeout_ms);
	/* How many exceptions the sink has now, waiting ones included. */
	enum tap_rc (*exceptions)(void *ctx, const char *sink, uint64_t *n_r, struct tap_err *err);
};
struct tap_runner_options {
	int64_t max_exceptions;
	int64_t retry_for_ms;	   /* parked when it has failed for so long; 0 = never */
	int64_t timeout_ms;	   /* of one send */
	int64_t first_ms, most_ms; /* back-off; 0 = 1 s, 5 min */
};

struct tap_runner;
enum tap_runner_state {
	TAP_RUNNER_IDLE,
	TAP_RUNNER_SENDING,
	TAP_RUNNER_BACKOFF,
	TAP_RUNNER_PAUSED
};
struct tap_runner_status {
	const char *sink, *type;
	enum tap_runner_state state;
	uint64_t confirmed, retried, parked; /* since its start */
	char last_error[256];
	int64_t next_try_ms; /* monotonic; 0 = none */
	/* Since its start, and kept when it works again; times in seconds since the epoch, 0 = never. */
	char last_trouble[256];
	int64_t last_success, last_failure;
};
/* set: the driver's filled settings struct, borrowed until tap_runner_stop. Starts the thread. */
enum tap_rc tap_runner_start(const struct tap_output_ops *ops, const char *sink, const void *set,
			     const struct tap_feed *feed, const struct tap_runner_options *opt,
			     struct tap_runner **r_r, struct tap_err *err) TAP_MUST_CHECK;
/* Asks it to end, and does not wait: for many that are to end together. NULL-safe. */
void tap_runner_tell_stop(struct tap_runner *r);
/* Asks it to end (the feed's wait must return soon), joins, closes the driver. NULL-safe, sets NULL. */
void tap_runner_stop(struct tap_runner **r);
/* The same, but waits for a driver that hangs only so long. False: it still does; the runner stays with its thread, and the program must
 * end without freeing what that uses. */
bool tap_runner_stop_within(struct tap_runner **r, int64_t wait_ms);
void tap_runner_get_status(struct tap_runner *r, struct tap_runner_status *out);

#endif
