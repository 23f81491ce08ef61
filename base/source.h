/* SPDX-License-Identifier: Apache-2.0
 * base/source.h - bytes that can be read again from any offset: memory, or a part of a regular file.
 * Ownership: a source borrows its memory or descriptor, which must outlive it. Threads: reads of one source
 * may run at once (pread). */
#ifndef TAP_BASE_SOURCE_H
#define TAP_BASE_SOURCE_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct tap_source {
	/* Reads up to n bytes at off; *got_r = 0 only at the end. TAP_E_TEMP when the system refuses. */
	enum tap_rc (*read_at)(const struct tap_source *s, uint64_t off, void *buf, size_t n,
			       size_t *got_r, struct tap_err *err);
	uint64_t size;
	const void *mem;
	int fd;
	uint64_t fd_off; /* where this source begins in the file */
};

void tap_source_mem(struct tap_source *s, const void *p, size_t n);
/* fd: a regular file (or memfd); never closed, its file offset never moved. */
void tap_source_fd(struct tap_source *s, int fd, uint64_t off, uint64_t size);

#endif
