/* SPDX-License-Identifier: Apache-2.0
 * intake/spool.h - the spool directory: doors write messages into it, the worker takes them out.
 *   <spool>/incoming/<door>/<id>.tap   complete and durable messages; <door> = milter lmtp pipe imap import
 *   <spool>/incoming/<door>/.<id>      being written (its writer holds a flock on it) or an orphan of a dead writer
 *   <spool>/quarantine/<id>.tap        messages that the worker could not turn into reports
 * <id> = 10 hexadecimal digits of the arrival second and 22 of randomness: names sort by time, order within a second is not promised.
 * Contract [I1]: when tap_spool_writer_commit returns TAP_OK the message survives a power cut; after any other result no file is
 * visible. Doors write to incoming/ only; the worker alone unlinks [I2] and files quarantine.
 * Limits [I7]: spool.max_bytes and spool.max_files over all of incoming/, spool.min_free of the file system.
 * Errors: TAP_E_TEMP with "spool full" when a limit is reached, as base/io.h otherwise.
 * Fault points: spool.open spool.write spool.fsync spool.rename spool.dirsync (docs/fault-points.txt).
 * Threads: a struct tap_spool may be used by any number at once; a writer by one. */
#ifndef TAP_INTAKE_SPOOL_H
#define TAP_INTAKE_SPOOL_H

#include "base/err.h"
#include "intake/settings.h"
#include "intake/spool_file.h"
#include <stddef.h>
#include <stdint.h>

/* ---- layout, for everybody ---- */

/* "incoming/milter", … ; relative to the spool directory. */
extern const char *const tap_spool_incoming[TAP_DOOR_N];
extern const char tap_spool_quarantine[]; /* "quarantine" */
/* Modes of what is made: directories of doors are set-group-id, so that the worker's group can read what lies in them. */
enum { TAP_SPOOL_DIR_MODE = 02770, TAP_SPOOL_FILE_MODE = 0640 };

/* Opens the spool directory itself, with an error that names the setting when it is missing or closed to us. */
enum tap_rc tap_spool_root(const struct tap_spool_settings *set, int *fd_r,
			   struct tap_err *err) TAP_MUST_CHECK;
/* Makes what is missing below an existing spool directory (incoming/, its doors, quarantine/). For the worker and set-up tools. */
enum tap_rc tap_spool_layout(const struct tap_spool_settings *set,
			     struct tap_err *err) TAP_MUST_CHECK;
/* Unlinks orphans (partial files that no living writer has locked) of one directory. *swept_r (may be NULL) counts them. */
enum tap_rc tap_spool_sweep(int dirfd, unsigned *swept_r, struct tap_err *err) TAP_MUST_CHECK;
/* Calls fn for each entry that is a message or foreign ("." and ".." and partial files are left out), in no order.
 * fn returns anything but TAP_OK to stop; that is returned. A directory that is empty gives no call. */
enum tap_rc tap_spool_scan(int dirfd,
			   enum tap_rc (*fn)(void *ctx, const char *name, enum tap_spool_entry what,
					     struct tap_err *err),
			   void *ctx, struct tap_err *err) TAP_MUST_CHECK;

/* ---- a door's side ---- */

struct tap_spool;
/* Opens <spool>/incoming/<door>/ (made when missing), sweeps its orphans, and checks that a file can be made in it. */
enum tap_rc tap_spool_open(const struct tap_spool_settings *set, enum tap_door door,
			   struct tap_spool **s_r, struct tap_err *err) TAP_MUST_CHECK;
/* For a process that leaves one message and ends: the same, of directories that are there already, without looking for orphans or
 * trying them out, since the message itself does that. TAP_E_CONFIG: they are not there, or closed to us. */
enum tap_rc tap_spool_open_once(const struct tap_spool_settings *set, enum tap_door door,
				struct tap_spool **s_r, struct tap_err *err) TAP_MUST_CHECK;
void tap_spool_close(struct tap_spool **s); /* NULL-safe, sets NULL; no writer may be left */
/* Is there room now? Cheap enough for each RCPT: usage is counted again after a second at the earliest. TAP_E_TEMP: no. */
enum tap_rc tap_spool_room(struct tap_spool *s, struct tap_err *err) TAP_MUST_CHECK;

struct tap_spool_writer;
/* Checks for room and opens a partial file. */
enum tap_rc tap_spool_writer_open(struct tap_spool *s, struct tap_spool_writer **w_r,
				  struct tap_err *err) TAP_MUST_CHECK;
/* Adds bytes of the message (buffered 64 KiB, so an error may belong to earlier bytes; it sticks). */
enum tap_rc tap_spool_writer_append(struct tap_spool_writer *w, const void *p, size_t n,
				    struct tap_err *err) TAP_MUST_CHECK;
/* Flushes and tells where the message lies, for the parser: descriptor (borrowed, read-only), offset, length. */
enum tap_rc tap_spool_writer_message(struct tap_spool_writer *w, int *fd_r, uint64_t *off_r,
				     uint64_t *len_r, struct tap_err *err) TAP_MUST_CHECK;
/* Envelope, header, fsync, rename, fsync of the directory [I1]; frees the writer, whatever comes out. On TAP_OK id_r (may be NULL)
 * holds the id. */
enum tap_rc tap_spool_writer_commit(struct tap_spool_writer **w, const struct tap_envelope *env,
				    char id_r[TAP_SPOOL_ID + 1],
				    struct tap_err *err) TAP_MUST_CHECK;
/* Unlinks and frees. NULL-safe, sets NULL. */
void tap_spool_writer_abort(struct tap_spool_writer **w);

#endif
