/* SPDX-License-Identifier: Apache-2.0
 * parser/normalise.h - single values of reports as real senders write them, read leniently: counts, dates, addresses, domains,
 * words. Input: clean text (parser/utf8.h), NUL-terminated.
 * Each says what it had to repair in a note: a static string, short machine word, then ": " and the explanation; NULL = nothing.
 * Threads: safe, no state. RFC 7489 appendix C, RFC 9990 section 3. */
#ifndef TAP_PARSER_NORMALISE_H
#define TAP_PARSER_NORMALISE_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0 … 2^63-1. False: unusable, the note says why. Missing (NULL or "") counts as 0 with a note, what is larger is clamped. */
bool tap_norm_count(const char *s, uint64_t *v_r, const char **note_r) TAP_MUST_CHECK;

/* Seconds since the epoch: a number (fraction dropped, 13 digits = milliseconds) or ISO 8601 (without a zone: UTC). False:
 * unusable. */
bool tap_norm_date(const char *s, int64_t *v_r, const char **note_r) TAP_MUST_CHECK;

enum { TAP_IP_TEXT = 46 };
/* The canonical form as inet_ntop writes it; brackets, zone and port are dropped, IPv4-mapped addresses become IPv4. */
bool tap_norm_ip(const char *s, char out[TAP_IP_TEXT], const char **note_r) TAP_MUST_CHECK;

/* In place, s is lower case already: the domain of an address, one trailing dot dropped. */
void tap_norm_domain(char *s, const char **note_r);

/* A word and what it stands for; a table ends with a NULL name. */
struct tap_word {
	const char *name;  /* lower case */
	const char *means; /* static; == name when it is a proper one */
};
extern const struct tap_word tap_words_policy[];      /* p, sp, np                        */
extern const struct tap_word tap_words_disposition[]; /* policy_evaluated/disposition     */
extern const struct tap_word tap_words_aligned[];     /* policy_evaluated/dkim and /spf   */
extern const struct tap_word tap_words_dkim[];	      /* auth_results/dkim/result         */
extern const struct tap_word tap_words_spf[];	      /* auth_results/spf/result          */
extern const struct tap_word tap_words_scope[];	      /* auth_results/spf/scope           */
extern const struct tap_word tap_words_reason[];      /* reason/type                      */
extern const struct tap_word tap_words_mode[];	      /* adkim, aspf                      */

/* NULL when the n bytes are not in the table. */
const struct tap_word *tap_word_find(const struct tap_word *table, const char *s, size_t n);

#endif
