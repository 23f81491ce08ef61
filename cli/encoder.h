/* SPDX-License-Identifier: Apache-2.0
 * cli/encoder.h - turns the events of reports (parser/events.h) into the bytes that each output will get, and leaves them staged:
 * nothing is written to an output here, so any number of encoders may work at once. An abort drops what the open report has left.
 * Each report in a list of JSON begins with a comma; whoever puts the pieces together leaves the first one out.
 * Ownership: an encoder fills a struct tap_encoded of its caller. Threads: one user at a time, each its own encoder.
 * Errors: TAP_E_LIMIT for a report that is too large to be printed, which is bad input; everything else is trouble of ours. */
#ifndef TAP_CLI_ENCODER_H
#define TAP_CLI_ENCODER_H

#include "base/err.h"
#include "cli/stage.h"
#include "parser/events.h"
#include <stdbool.h>

/* What is printed, in the order of standard output. */
enum tap_printed {
	TAP_LIST_AGGREGATE,
	TAP_LIST_FAILURE,
	TAP_LIST_FEEDBACK,
	TAP_LIST_TLS,
	TAP_LIST_N
};
/* The outputs: lists for standard output, the same as files, tables, samples, and what is said on standard error. */
enum tap_to {
	TAP_TO_STDOUT,
	TAP_TO_JSON = TAP_TO_STDOUT + TAP_LIST_N,
	TAP_TO_CSV = TAP_TO_JSON + TAP_LIST_N,
	TAP_TO_SAMPLES = TAP_TO_CSV + TAP_LIST_N,
	TAP_TO_TALK,
	TAP_TO_N
};
/* One message in TAP_TO_SAMPLES: this, then its bytes. */
enum { TAP_SAMPLE_SUBJECT_KEPT = 1024 };
struct tap_sample_head {
	char uid[TAP_UID_HEX];
	char subject[TAP_SAMPLE_SUBJECT_KEPT]; /* decoded, cut; "" = none */
	uint64_t size;
};

struct tap_print {
	bool to_stdout, to_files;
	bool compat4, local_time, strip_payloads, no_csv_guard, trusted_only;
};
bool tap_print_list(const struct tap_print *p, enum tap_printed list); /* printed at all? */

struct tap_encoded {
	struct tap_stage to[TAP_TO_N];
	uint64_t reports, left_out,
	    no_place; /* printed; not trusted; of a kind that the form does not have */
};
void tap_encoded_init(struct tap_encoded *e);
void tap_encoded_free(struct tap_encoded *e);
enum tap_rc tap_encoded_reset(struct tap_encoded *e, struct tap_err *err) TAP_MUST_CHECK;

struct tap_encoder;
struct tap_encoder *tap_encoder_new(const struct tap_print *print); /* print is borrowed */
void tap_encoder_free(struct tap_encoder **e);			    /* NULL-safe */
/* Where the next reports go. */
void tap_encoder_aim(struct tap_encoder *e, struct tap_encoded *to);
extern const struct tap_events tap_encoder_events; /* ctx: the encoder */
/* Drops what a reading that was stopped has left, and tells what an abort could not. */
enum tap_rc tap_encoder_settle(struct tap_encoder *e, struct tap_err *err) TAP_MUST_CHECK;

#endif
