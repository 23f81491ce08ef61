/* SPDX-License-Identifier: Apache-2.0
 * confine/pool.h - a pool of dmarctap-parse processes: the only way that doors and worker parse [design 2].
 * A message goes in as a descriptor; a verdict, or framed events, come out and are read as hostile input. A process that dies,
 * stalls over the deadline or answers nonsense is killed and replaced, and its message is TAP_V_UNREADABLE; no other caller notices.
 * Start it before any thread exists; replacements are made with posix_spawn, which is safe beside threads.
 * Threads: any number of callers; each waits for a free process, first come, first served, for at most parser.wait (then TAP_E_TEMP).
 * The deadline of a message begins when a process has it: what others do to the processes is no fault of the message that waits. */
#ifndef TAP_CONFINE_POOL_H
#define TAP_CONFINE_POOL_H

#include "base/err.h"
#include "base/sandbox.h"
#include "base/settings.h"
#include "confine/trust_settings.h"
#include "parser/events.h"
#include "parser/parser.h"
#include <stdint.h>

struct tap_parser_settings { /* section "parser" */
	char *program;	   /* default: dmarctap-parse beside the running program, else in libexec */
	int64_t processes; /* 1..64, default 2 */
	int64_t deadline_ms; /* for one message, default 60 s */
	int64_t
	    wait_ms; /* for a free process, default 120 s: below the 300 s that Postfix waits for a milter's answer */
	int64_t memory;	 /* address space of one process, default 512M */
	int64_t recycle; /* messages after which a process is replaced; 0 = never */
};
extern const struct tap_section tap_parser_section;

struct tap_pool;
struct tap_pool_stats {
	uint64_t messages, unreadable, replaced, recycled;
};

/* trust: what the processes judge a mail by; NULL = nothing is configured. Both are only read here. */
enum tap_rc tap_pool_start(const struct tap_parser_settings *set,
			   const struct tap_trust_settings *trust, struct tap_pool **p_r,
			   struct tap_err *err) TAP_MUST_CHECK;
/* The paths that tap_sandbox_enter must leave open, so that processes can be replaced. */
void tap_pool_allow(const struct tap_pool *p, struct tap_sandbox *box);
void tap_pool_stop(struct tap_pool **p); /* NULL-safe; waits for the processes, kills after 1 s */
void tap_pool_get_stats(struct tap_pool *p, struct tap_pool_stats *out);

struct tap_pool_job {
	/* Regular file or memfd; borrowed. Better opened read-only: only the jail's rules stand between the process and one that can be
	 * written to. */
	int fd;
	uint64_t off, len;    /* the message within it */
	const char *filename; /* hint; may be NULL */
	bool payload;
	int64_t now;
};
/* Only the verdict. TAP_OK: res holds it. TAP_E_TEMP: no process could be had (our trouble, not the message's). */
enum tap_rc tap_pool_verdict(struct tap_pool *p, const struct tap_pool_job *job,
			     struct tap_parse_result *res, struct tap_err *err) TAP_MUST_CHECK;
/* The raw frames, for staging: sink is called with pieces as they come (result frame included); they are unchecked and must go
 * through tap_frame_reader before use. When the process dies midway the frames so far are worthless: res->verdict is
 * TAP_V_UNREADABLE and the caller drops them. A sink that fails ends the job with its class (the process is replaced). */
enum tap_rc tap_pool_frames(struct tap_pool *p, const struct tap_pool_job *job,
			    enum tap_rc (*sink)(void *ctx, const void *bytes, size_t n,
						struct tap_err *err),
			    void *ctx, struct tap_parse_result *res,
			    struct tap_err *err) TAP_MUST_CHECK;

#endif
