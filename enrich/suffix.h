/* SPDX-License-Identifier: Apache-2.0
 * enrich/suffix.h - the base domain of a name: the public suffix list through libpsl, and foldings of suffixes in front of it.
 * The list is for grouping only: whether identifiers align is not decided by it (RFC 9989).
 * Ownership: who opens one frees it. Nothing in it changes after it was opened; a list that was replaced is seen by
 * tap_suffix_changed, and read by opening another one. Threads: safe after the opening.
 * Limits [I7]: a file of foldings TAP_SUFFIX_FILE bytes. Errors: TAP_E_TEMP, out of memory; what is wrong with a file is a warning in
 * the log, and the file is as if it were not there. */
#ifndef TAP_ENRICH_SUFFIX_H
#define TAP_ENRICH_SUFFIX_H

#include "base/err.h"
#include "enrich/idn.h"
#include <stdbool.h>

enum { TAP_SUFFIX_FILE = 8 << 20 };
enum tap_suffix_rules {
	TAP_SUFFIX_ICANN, /* the registries' rules alone: github.io */
	TAP_SUFFIX_ALL,	  /* those of companies, too: someone.github.io */
};

struct tap_suffix;
/* list: a file of publicsuffix.org, as text or compiled; NULL = the system's, or the one that libpsl brings along when that is newer
 * or the system has none. foldings: a file, a line each: SUFFIX GROUP, or SUFFIX alone, which stands for itself without the dot or
 * hyphen at its beginning; # begins a comment; NULL = none. They come before the ones that the program brings along. */
enum tap_rc tap_suffix_open(const char *list, const char *foldings, struct tap_suffix **s_r,
			    struct tap_err *err) TAP_MUST_CHECK;
void tap_suffix_free(struct tap_suffix **s); /* NULL-safe */
/* A file of it was replaced, came or went. */
bool tap_suffix_changed(const struct tap_suffix *s);
/* False: none (an address, a public suffix, no name). out is as idn.h writes names. Foldings count with TAP_SUFFIX_ALL: the longest
 * one that the name ends with; one that begins with neither dot nor hyphen does so at a label's beginning only. */
bool tap_suffix_base(const struct tap_suffix *s, const char *name, enum tap_suffix_rules rules,
		     char out[TAP_IDN_NAME]);

#endif
