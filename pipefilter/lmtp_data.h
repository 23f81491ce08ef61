/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_data.h - the lines of a message out of the stream: leading dots taken off, a bare LF made CR LF, the end found,
 * however the bytes are cut. Linear: each byte is looked at once. Threads: one user at a time. */
#ifndef TAP_PIPEFILTER_LMTP_DATA_H
#define TAP_PIPEFILTER_LMTP_DATA_H

#include <stdbool.h>
#include <stddef.h>

enum tap_lmtp_at { TAP_LMTP_AT_LINE, TAP_LMTP_AT_DOT, TAP_LMTP_AT_DOT_CR, TAP_LMTP_AT_TEXT };
struct tap_lmtp_data {
	enum tap_lmtp_at at;
	bool cr;   /* the byte before was CR */
	bool dots; /* DATA: dots are stuffed and end the message; BDAT: they do not */
	void (*out)(void *ctx, const void *p, size_t n);
	void *ctx;
};
void tap_lmtp_data_begin(struct tap_lmtp_data *d, bool dots);
/* Returns the bytes read: n, or fewer when the end was found behind them (*end_r). */
size_t tap_lmtp_data_feed(struct tap_lmtp_data *d, const char *p, size_t n, bool *end_r);

#endif
