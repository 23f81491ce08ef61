/* SPDX-License-Identifier: Apache-2.0
 * parser/address.h - address lists of header fields, read strictly enough that a display name is never taken for the address.
 * Groups are flattened, comments dropped, encoded words decoded in display names. Ownership: arena. Threads: safe. RFC 5322 section 3.4. */
#ifndef TAP_PARSER_ADDRESS_H
#define TAP_PARSER_ADDRESS_H

#include "base/arena.h"
#include "base/err.h"
#include "parser/report_failure.h"
#include <stdbool.h>
#include <stddef.h>

/* value: one field's value, folded or not. At most max are kept; *cut_r says that there were more. TAP_E_LIMIT: the arena's cap. */
enum tap_rc tap_address_list(struct tap_arena *a, const char *value, size_t n, size_t max,
			     struct tap_mailboxes *out_r, bool *cut_r,
			     struct tap_err *err) TAP_MUST_CHECK;

#endif
