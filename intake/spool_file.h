/* SPDX-License-Identifier: Apache-2.0
 * intake/spool_file.h - the spool file, version 1: one message with its envelope, as a door leaves it for the worker.
 * Layout (all integers little endian; docs/formats.md has the whole table):
 *   header, 96 bytes: magic "DMARCTAP", version, header size, flags, offset and length of the message, offset and length of the
 *   envelope, arrival, 8 bytes of zero, SHA-256(message ‖ envelope ‖ the first 64 bytes of the header)
 *   message: the raw bytes as the mail server gave them
 *   envelope: fields of u8 tag, u32 length, bytes
 * The header names both blocks by offset, so that a door streams the message to disk while it arrives, writes the envelope behind
 * it and the header last. Until then the file begins with zeros and no reader takes it.
 * Versions: a reader knows every version there ever was; a version that it does not know is TAP_E_CONFIG ("written by a newer
 * dmarctap") and the file stays where it is.
 * Hostile input [I7]: a file is checked (lengths, counts, text) before anything is allocated by it; damage is TAP_E_DATA.
 * Threads: none shared; one user at a time for each struct. */
#ifndef TAP_INTAKE_SPOOL_FILE_H
#define TAP_INTAKE_SPOOL_FILE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/sha256.h"
#include "intake/fates.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TAP_SPOOL_VERSION = 1,
	TAP_SPOOL_HEADER = 96,	      /* bytes; the message begins here                        */
	TAP_SPOOL_HASHED = 64,	      /* bytes of the header that the hash covers              */
	TAP_SPOOL_ENVELOPE = 2 << 20, /* most bytes of an envelope block                      */
	TAP_SPOOL_RECIPIENTS = 1000,
	TAP_SPOOL_TEXT =
	    1024, /* most bytes of one text field; longer ones are cut by the writer, refused by the reader */
	TAP_SPOOL_WHOLE = 64 << 10, /* files up to this are read at once               */
	TAP_SPOOL_ID = 32,	    /* characters of an id: lower-case hexadecimal           */
	TAP_SPOOL_NAME = 37,	    /* id + ".tap" + NUL                                     */
};
/* Bits of `flags` */
enum {
	TAP_SPOOL_PASSED_ON =
	    1, /* the mail also went on to a mailbox; without it this file is the only copy */
	TAP_SPOOL_FLAGS = 1, /* all bits of version 1 */
};

/* The doors; the names are those of the directories below incoming/ and of the column message.door. */
enum tap_door {
	TAP_DOOR_MILTER,
	TAP_DOOR_LMTP,
	TAP_DOOR_PIPE,
	TAP_DOOR_IMAP,
	TAP_DOOR_IMPORT,
	TAP_DOOR_N
};
extern const char *const tap_door_name[TAP_DOOR_N]; /* "milter" "lmtp" "pipe" "imap" "import" */

/* What a door knows about a message. Strings are borrowed by the writer, owned by the reader's arena; NULL = not known.
 * The writer makes every text valid UTF-8 without control characters; a reader may rely on that. */
struct tap_envelope {
	enum tap_door door;
	enum tap_fate
	    fate; /* what the door decided: TAP_FATE_REPORT, _FEEDBACK, _NOT_A_REPORT, _BROKEN, _UNREADABLE or _UNJUDGED */
	bool passed_on;	    /* the mail also went on to a mailbox */
	int64_t arrival;    /* seconds since the epoch, UTC */
	const char *sender; /* envelope sender without <>; "" = the null sender */
	const char *const
	    *recipients; /* the report addresses that it came for, as given, without <> */
	size_t n_recipients;
	const char *client;	 /* address of the peer, "192.0.2.1" */
	const char *client_name; /* its name as the mail server saw it */
	const char *helo;
	const char *queue_id;
	const char *auth;   /* authenticated user */
	const char *reason; /* why it is not a report, broken or unreadable */
};

/* ---- the reader's side (the worker, dmarctapctl) ---- */

struct tap_spool_file {
	int fd; /* read-only; belongs to the struct; hand it to the pool with offset and length */
	char *
	    whole; /* all bytes of a file of at most TAP_SPOOL_WHOLE, read once; NULL = it is larger */
	uint32_t version;
	uint64_t size; /* bytes of the whole file */
	uint64_t message_off, message_len;
	struct tap_envelope envelope; /* in arena */
	unsigned char message_sha256
	    [TAP_SHA256_BYTES]; /* of the raw message; as written by the door, true once verified */
	unsigned char sha256[TAP_SHA256_BYTES]; /* of the whole file, from the header */
	struct tap_arena *arena;
};

/* Opens name (relative to dirfd) without following a symbolic link, reads header and envelope and checks everything but the hash.
 * TAP_E_NOTFOUND: no such file. TAP_E_DATA: not a regular file, damaged or cut; err says where. TAP_E_CONFIG: no permission, or a
 * version newer than this program. TAP_E_TEMP: the system's trouble. On any error *out holds nothing. */
enum tap_rc tap_spool_file_open(int dirfd, const char *name, struct tap_spool_file *out,
				struct tap_err *err) TAP_MUST_CHECK;
/* The same over a descriptor that is already open; on success it belongs to *out, else to the caller. */
enum tap_rc tap_spool_file_fdopen(int fd, struct tap_spool_file *out,
				  struct tap_err *err) TAP_MUST_CHECK;
/* Up to n bytes at `off` of the file, from memory where they are there already; *got_r = 0 only at its end. */
enum tap_rc tap_spool_file_read(const struct tap_spool_file *f, uint64_t off, void *buf, size_t n,
				size_t *got_r, struct tap_err *err) TAP_MUST_CHECK;
/* Reads the whole file once (64 KiB at a time) and compares both hashes. TAP_E_DATA: they differ. */
enum tap_rc tap_spool_file_verify(const struct tap_spool_file *f,
				  struct tap_err *err) TAP_MUST_CHECK;
/* Gives the descriptor and the bytes back; what was read of header and envelope stays. */
void tap_spool_file_release(struct tap_spool_file *f);
void tap_spool_file_close(struct tap_spool_file *f); /* NULL-safe, idempotent */

/* What a directory entry of a spool directory is. */
enum tap_spool_entry {
	TAP_SPOOL_MESSAGE, /* <id>.tap: a message, complete and durable          */
	TAP_SPOOL_PARTIAL, /* begins with ".": being written, or an orphan; never look at it */
	TAP_SPOOL_FOREIGN, /* anything else: report once, leave alone             */
};
enum tap_spool_entry tap_spool_entry_of(const char *name);
/* A file of this name in the spool directory: the worker has no room left in quarantine, doors take nothing in. */
extern const char tap_spool_stop[]; /* "quarantine-full" */
/* The id of a message's name, NUL-terminated; false when name is no message's. */
bool tap_spool_id_of(const char *name, char id_r[TAP_SPOOL_ID + 1]);

/* ---- the writer's side (spool.c; tests) ---- */

/* Appends the envelope block. message_sha256 = hash of the message block. TAP_E_LIMIT when it does not fit. */
enum tap_rc tap_spool_envelope_encode(const struct tap_envelope *env,
				      const unsigned char message_sha256[TAP_SHA256_BYTES],
				      struct tap_buf *out, struct tap_err *err) TAP_MUST_CHECK;
/* Fills the header; `hash` must have been fed with the message and the envelope block and is finished here. */
void tap_spool_header_encode(const struct tap_envelope *env, uint64_t message_len,
			     uint64_t envelope_len, struct tap_sha256 *hash,
			     unsigned char out[TAP_SPOOL_HEADER]);

#endif
