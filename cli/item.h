/* SPDX-License-Identifier: Apache-2.0
 * cli/item.h - one mail, or one file, as it goes from the inputs to a worker; and the reading of it.
 * Limits [I7]: 60 s of wall time a report; those of the parser. Threads: each worker has its own reader.
 * Ownership: strings and bytes are borrowed; fd belongs to whoever holds the item. */
#ifndef TAP_CLI_ITEM_H
#define TAP_CLI_ITEM_H

#include "base/err.h"
#include "cli/encoder.h"
#include "cli/sources.h"
#include "parser/trust.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_item {
	const char *name; /* for messages; "-" = standard input */
	uint64_t number,
	    offset; /* in an mbox: the mail's number and the byte that it begins at; 0 = not in one */
	const char *p; /* the bytes, when fd < 0 */
	size_t n;
	int fd;
	uint64_t size;
	const char *refused; /* not NULL: it could not be had, and why; nothing else is set */
	bool note;	     /* refused is only something to be told */
};

struct tap_read_options {
	const struct tap_print *print;
	const struct tap_trust_rules *trust; /* NULL = none */
	bool debug;			     /* warnings of the parser go to TAP_TO_TALK */
	struct tap_sources *sources;	     /* who sent it is found out; NULL = not */
};
struct tap_item_reader;
struct tap_item_reader *tap_item_reader_new(const struct tap_read_options *o); /* o is borrowed */
void tap_item_reader_free(struct tap_item_reader **r);			       /* NULL-safe */
/* Its reports and what is to be said go to out. *refused_r: it was not read, or not all of it; out says why. Anything but TAP_OK is
 * trouble of ours, after which going on is of no use. */
enum tap_rc tap_item_read(struct tap_item_reader *r, const struct tap_item *item,
			  struct tap_encoded *out, bool *refused_r,
			  struct tap_err *err) TAP_MUST_CHECK;
/* Reports of several items may be held back until it is known who sent what they tell; here they go to out, that of the last one.
 * Nothing is held when the run was stopped. */
enum tap_rc tap_item_flush(struct tap_item_reader *r, struct tap_err *err) TAP_MUST_CHECK;

/* Asks everything that reads to end soon. Safe in a signal handler. */
void tap_cli_stop(void);
bool tap_cli_stopped(void);

#endif
