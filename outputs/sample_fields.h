/* SPDX-License-Identifier: Apache-2.0
 * outputs/sample_fields.h - the header fields of a sample, those of the same name taken together. Private to outputs/.
 * Ownership: the arrays are the struct's, names and values the report's. Limits: as many fields as the parser lets through; n log n.
 * Threads: safe. */
#ifndef TAP_OUTPUTS_SAMPLE_FIELDS_H
#define TAP_OUTPUTS_SAMPLE_FIELDS_H

#include "outputs/json_write.h"

#define TAP_FIELDS_END SIZE_MAX

struct tap_fields {
	const struct tap_pair *item;
	size_t n;
	bool *first;  /* the first of its name */
	size_t *next; /* the next of the same name, or TAP_FIELDS_END */
	/* Version 4 keeps the line breaks of folded fields: where each stands in the sample; NULL = print the value. */
	struct tap_raw_field {
		const char *p;
		size_t n; /* 0 = print the value */
	} * raw;
};

/* exact: names that differ in case are two. false: out of memory. */
bool tap_fields_group(const struct tap_failure *f, bool exact, bool raw, struct tap_fields *out);
void tap_fields_value(struct tap_enc *e, const struct tap_fields *f, size_t i);
void tap_fields_free(struct tap_fields *f); /* NULL-safe members, sets them NULL */

#endif
