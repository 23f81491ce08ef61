/* SPDX-License-Identifier: Apache-2.0
 * base/io.h - file and descriptor helpers whose results are durable when they say so [I1].
 * Outside base/ no module calls open, rename, fsync, write … itself. Paths are relative to dirfd (AT_FDCWD allowed).
 * Errors: ENOSPC, EDQUOT, EIO, EMFILE and the like are TAP_E_TEMP; ENOENT is TAP_E_NOTFOUND; EACCES, EPERM, ENOTDIR and EROFS
 * TAP_E_CONFIG. `point` names the fault point of the call (base/fault.h); NULL = none. Threads: safe. */
#ifndef TAP_BASE_IO_H
#define TAP_BASE_IO_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum tap_rc tap_io_class(int errnum); /* the class of a system error, as above */
/* flags as open(2); O_CLOEXEC is always added. */
enum tap_rc tap_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd_r,
			const char *point, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_io_write(int fd, const void *p, size_t n, const char *point,
			 struct tap_err *err) TAP_MUST_CHECK; /* all of it */
enum tap_rc tap_io_pwrite(int fd, const void *p, size_t n, uint64_t off, const char *point,
			  struct tap_err *err) TAP_MUST_CHECK;
/* Up to n bytes; *got_r < n only at the end of the file. */
enum tap_rc tap_io_pread(int fd, void *p, size_t n, uint64_t off, size_t *got_r,
			 struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_io_fsync(int fd, const char *point, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_io_rename(int from_dir, const char *from, int to_dir, const char *to,
			  const char *point, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_io_unlink(int dirfd, const char *path, const char *point,
			  struct tap_err *err) TAP_MUST_CHECK; /* already gone is TAP_OK */
enum tap_rc tap_io_truncate(int fd, uint64_t size, const char *point,
			    struct tap_err *err) TAP_MUST_CHECK;
/* The directory's descriptor, made with mode when it is missing and mode != 0. */
enum tap_rc tap_io_opendir(int dirfd, const char *path, mode_t mode, int *fd_r,
			   struct tap_err *err) TAP_MUST_CHECK;
/* Whole file into b; TAP_E_LIMIT when it is larger than b->max. */
enum tap_rc tap_io_read_file(int dirfd, const char *path, struct tap_buf *b,
			     struct tap_err *err) TAP_MUST_CHECK;
/* Replaces path in one step: temporary name, write, fsync, rename, fsync of the directory. */
enum tap_rc tap_io_replace(int dirfd, const char *path, const void *p, size_t n, mode_t mode,
			   struct tap_err *err) TAP_MUST_CHECK;
/* A file without a name, for staging what does not fit in memory (O_TMPFILE, else created and unlinked). dir NULL = $TMPDIR or /tmp. */
enum tap_rc tap_io_tmpfile(const char *dir, int *fd_r, struct tap_err *err) TAP_MUST_CHECK;
/* NULL-safe, -1-safe, sets -1. Errors of close are not errors of ours: fsync came before. */
void tap_io_close(int *fd);
/* Waits until fd is readable or writable (POLLIN, POLLOUT) or the deadline (monotonic ms) passes: TAP_E_CANCELLED. */
enum tap_rc tap_io_wait(int fd, short events, int64_t deadline_ms,
			struct tap_err *err) TAP_MUST_CHECK;
/* Free bytes and inodes for unprivileged users of the file system that fd lies on. */
enum tap_rc tap_io_free_space(int fd, uint64_t *bytes_r, uint64_t *inodes_r,
			      struct tap_err *err) TAP_MUST_CHECK;
/* Takes a lock that the kernel drops when the process ends [I10]; TAP_E_TEMP when another process has it. *fd_r keeps it. */
enum tap_rc tap_io_lock(int dirfd, const char *path, int *fd_r, struct tap_err *err) TAP_MUST_CHECK;

#endif
