/* SPDX-License-Identifier: Apache-2.0
 * cli/stage.h - encoded bytes that wait for their turn: the newest in memory, what is older than `most` bytes in a file without a
 * name (base/io.h), so that memory does not grow with a report.
 * Ownership: the struct is the caller's; init, then free. Threads: one user at a time. Errors: TAP_E_TEMP and the like of the
 * file; TAP_E_LIMIT when one piece is larger than ITEM_MAX. */
#ifndef TAP_CLI_STAGE_H
#define TAP_CLI_STAGE_H

#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>

enum { TAP_STAGE_PIECE = 64 * 1024 * 1024 }; /* one record or report in text */

struct tap_stage {
	struct tap_buf buf;
	size_t most;	  /* bytes of buf before they go to the file */
	int fd;		  /* -1 = not needed yet */
	uint64_t spilled; /* bytes in it; they stand before those of buf */
};

void tap_stage_init(struct tap_stage *s, size_t most);
void tap_stage_free(struct tap_stage *s);
static inline uint64_t tap_stage_size(const struct tap_stage *s)
{
	return s->spilled + s->buf.len;
}
/* Call after each piece that was added to buf. */
enum tap_rc tap_stage_relieve(struct tap_stage *s, struct tap_err *err) TAP_MUST_CHECK;
/* Back to the first `size` bytes; a buffer that had failed is well again. */
enum tap_rc tap_stage_cut(struct tap_stage *s, uint64_t size, struct tap_err *err) TAP_MUST_CHECK;
/* Everything from byte `from` on goes to fd, or behind what another stage holds. */
enum tap_rc tap_stage_write(const struct tap_stage *s, uint64_t from, int fd,
			    struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_stage_move(const struct tap_stage *s, uint64_t from, struct tap_stage *to,
			   struct tap_err *err) TAP_MUST_CHECK;
/* n bytes at `from`; TAP_E_DATA when they are not there. */
enum tap_rc tap_stage_read(const struct tap_stage *s, uint64_t from, void *p, size_t n,
			   struct tap_err *err) TAP_MUST_CHECK;

#endif
