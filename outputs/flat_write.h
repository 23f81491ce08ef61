/* SPDX-License-Identifier: Apache-2.0
 * outputs/flat_write.h - what the files of flat.h share. Private to outputs/. Threads: as json_write.h. */
#ifndef TAP_OUTPUTS_FLAT_WRITE_H
#define TAP_OUTPUTS_FLAT_WRITE_H

#include "outputs/flat.h"
#include "outputs/json_write.h"

struct tap_flat {
	struct tap_enc e;
	bool search, strip_payloads;
};

/* ,"name": */
#define FIELD(f, name) PUT(&(f)->e, ",\"" name "\":")
/* A string, or nothing (search), or null. */
#define TEXT(f, name, value)                                                                       \
	do {                                                                                       \
		const char *text_ = (value);                                                       \
		if (text_ != NULL || !(f)->search) {                                               \
			FIELD(f, name);                                                            \
			put_string(&(f)->e, text_);                                                \
		}                                                                                  \
	} while (0)
#define TRUTH(f, name, value)                                                                      \
	do {                                                                                       \
		FIELD(f, name);                                                                    \
		put_bool(&(f)->e, value);                                                          \
	} while (0)
#define COUNT(f, name, value)                                                                      \
	do {                                                                                       \
		FIELD(f, name);                                                                    \
		put_u64(&(f)->e, value);                                                           \
	} while (0)

/* Escaped like a string, without its quotes: a part of one. */
void tap_flat_inside(struct tap_flat *f, const char *s);
void tap_flat_time(struct tap_flat *f, int64_t t);
/* From "source_ip_address" to "source_as_domain". */
void tap_flat_source(struct tap_flat *f, const char *ip, const char *raw,
		     const struct tap_source_info *s);
void tap_flat_aggregate(struct tap_flat *f, const struct tap_item *item);
void tap_flat_failure(struct tap_flat *f, const struct tap_item *item);
void tap_flat_tls(struct tap_flat *f, const struct tap_item *item);

#endif
