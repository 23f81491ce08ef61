/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_engine.h - one LMTP session without a socket, a thread or a clock (RFC 2033; 5321, 1870, 2034, 2920, 3030, 6152,
 * 6531): bytes in, events and replies out. How the bytes are cut into pieces changes neither.
 * Ended is a message only by CR LF . CR LF (RFC 5321 4.1.1.4) or by BDAT … LAST; a bare LF or CR is data. In the copy a bare LF is
 * CR LF. A command ends with CR LF; one that ends with a bare LF is answered with 500 and does nothing.
 * Replies about a message are those of intake/fates.h; those about the protocol are one table here.
 * Limits [I7]: bytes of a command line, recipients, wrong commands, bytes thrown away of one line; replies wait in a buffer until they
 * are taken, and no command is read while too many do.
 * Threads: a session belongs to one. */
#ifndef TAP_PIPEFILTER_LMTP_ENGINE_H
#define TAP_PIPEFILTER_LMTP_ENGINE_H

#include "intake/fates.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAP_LMTP_PATH = 1024, TAP_LMTP_LINE = 65536 };

struct tap_lmtp_config {
	const char *hostname; /* borrowed */
	uint64_t max_message;
	size_t max_recipients, max_line, max_errors;
};

/* The answer to one whole message; the engine repeats it for each recipient. */
struct tap_lmtp_verdict {
	const struct tap_fate_row *row;
	const char *id; /* of the spool file; NULL or "" = none; borrowed until the next call */
};

/* Events, in this order: lhlo, mail, rcpt*, begin, data*, end; or drop at any moment after mail. */
struct tap_lmtp_ops {
	void (*lhlo)(void *ctx, const char *name);
	void (*mail)(void *ctx, const char *sender); /* without <>; "" = the null sender */
	/* NULL: accepted; else the row to refuse it with. */
	const struct tap_early_row *(*rcpt)(void *ctx, const char *path);
	void (*begin)(void *ctx);
	void (*data)(void *ctx, const void *p, size_t n);
	void (*end)(void *ctx, struct tap_lmtp_verdict *out);
	void (*drop)(void *ctx); /* what came since mail is void */
};

struct tap_lmtp;
/* cfg is copied, ops and ctx are borrowed. The greeting waits in the output. NULL: no memory. */
struct tap_lmtp *tap_lmtp_new(const struct tap_lmtp_config *cfg, const struct tap_lmtp_ops *ops,
			      void *ctx);
void tap_lmtp_free(struct tap_lmtp **e); /* NULL-safe, sets NULL; drops what is under way */

/* Reads bytes; returns how many. Fewer than n: replies must be taken first (behind each end of a message, so that it is answered at
 * once), or the session is over. */
size_t tap_lmtp_feed(struct tap_lmtp *e, const void *p, size_t n);
/* The replies that wait; taken = how many bytes of them are gone. */
const char *tap_lmtp_output(const struct tap_lmtp *e, size_t *n_r);
void tap_lmtp_taken(struct tap_lmtp *e, size_t n);

enum tap_lmtp_state {
	TAP_LMTP_IDLE,	      /* no transaction */
	TAP_LMTP_TRANSACTION, /* between MAIL and its message */
	TAP_LMTP_MESSAGE,     /* within DATA, or between its BDATs */
	TAP_LMTP_OVER,	      /* to be closed once the output is gone */
};
enum tap_lmtp_state tap_lmtp_state(const struct tap_lmtp *e);
/* Bytes that were thrown away, of too long lines and of chunks that nobody wants. */
uint64_t tap_lmtp_wasted(const struct tap_lmtp *e);

enum tap_lmtp_end { TAP_LMTP_TIMEOUT, TAP_LMTP_SHUTDOWN, TAP_LMTP_TOO_MANY };
/* Ends the session from our side with a 421; what is under way is dropped. */
void tap_lmtp_close(struct tap_lmtp *e, enum tap_lmtp_end why);
/* The same line where there is no session yet; returns its length. */
size_t tap_lmtp_farewell(enum tap_lmtp_end why, char *out, size_t n);

#endif
