/* SPDX-License-Identifier: Apache-2.0
 * base/source.c - see source.h. */
#include "base/source.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* How much of n bytes at off lies inside the source. */
static size_t clip(const struct tap_source *s, uint64_t off, size_t n)
{
	if (off >= s->size)
		return 0;
	return n < s->size - off ? n : (size_t)(s->size - off);
}

static enum tap_rc mem_read_at(const struct tap_source *s, uint64_t off, void *buf, size_t n,
			       size_t *got_r, struct tap_err *err)
{
	(void)err;
	n = clip(s, off, n);
	if (n > 0)
		memcpy(buf, (const char *)s->mem + off, n);
	*got_r = n;
	return TAP_OK;
}

static enum tap_rc fd_read_at(const struct tap_source *s, uint64_t off, void *buf, size_t n,
			      size_t *got_r, struct tap_err *err)
{
	*got_r = 0;
	n = clip(s, off, n);
	if (n == 0)
		return TAP_OK;
	if (off > INT64_MAX - s->fd_off)
		return tap_err_set(err, TAP_E_LIMIT, "offset %" PRIu64 " is out of range", off);
	ssize_t got;
	do {
		got = pread(s->fd, buf, n, (off_t)(s->fd_off + off));
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return tap_err_sys(err, TAP_E_TEMP, errno, "cannot read the message");
	/* The size was promised: an early end would look like a report that was cut by its sender. */
	if (got == 0)
		return tap_err_set(err, TAP_E_TEMP,
				   "the file ends at byte %" PRIu64 ", before its %" PRIu64, off,
				   s->size);
	*got_r = (size_t)got;
	return TAP_OK;
}

void tap_source_mem(struct tap_source *s, const void *p, size_t n)
{
	*s = (struct tap_source){.read_at = mem_read_at, .size = n, .mem = p, .fd = -1};
}

void tap_source_fd(struct tap_source *s, int fd, uint64_t off, uint64_t size)
{
	if (off > INT64_MAX)
		off = INT64_MAX;
	*s = (struct tap_source){.read_at = fd_read_at, .size = size, .fd = fd, .fd_off = off};
}
