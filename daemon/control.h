/* SPDX-License-Identifier: Apache-2.0
 * daemon/control.h - the control socket of dmarctapd, version 1.
 * The client connects, sends one line "1 COMMAND\n" (at most 4096 bytes) and reads until the end. The first line of the answer is
 * "1 ok", and the rest is the body, or one of
 *   1 no REASON      the answer is no: no such item, no such command, bad arguments
 *   1 later REASON   it could not be done now
 *   1 denied REASON  the client may not ask
 *   1 error REASON   anything else. A server that does not speak the version of the client says so in its own.
 *   1 ping          an empty body
 *   1 status json   one JSON object (struct tap_status, status.h)
 *   1 status text   the same for people
 * and the rows of commands.c. COMMAND is words with a space between: first the verb's, then its arguments; "KEY=VALUE" is an option, all
 * others are positional. A byte of a word that is neither letter, digit nor one of -_.:/@+, is written %XX.
 * Who may ask: root, the worker's own user, and processes of its group (peer credentials of the kernel) [I10].
 * Threads: the server has one of its own and answers one client at a time, each within two seconds. */
#ifndef TAP_DAEMON_CONTROL_H
#define TAP_DAEMON_CONTROL_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAP_CONTROL_VERSION = 1, TAP_CONTROL_LINE = 4096, TAP_CONTROL_MS = 2000 };

/* The client's side: asks and gives the body. With err->sys_errno ENOENT or ECONNREFUSED: nobody listens there; EACCES: not allowed. Without:
 * TAP_E_NOTFOUND the worker says no, TAP_E_TEMP it could not, TAP_E_CONFIG any other refusal; TAP_E_CANCELLED: no answer within
 * deadline_ms (monotonic). */
enum tap_rc tap_control_ask(const char *path, const char *command, int64_t deadline_ms,
			    struct tap_buf *body, struct tap_err *err) TAP_MUST_CHECK;

/* The words of a command: the client adds, the server takes. */
void tap_control_word(struct tap_buf *line, const char *word);
void tap_control_set(struct tap_buf *line, const char *key, const char *value);
/* The next positional word; false: there is none, or it is none of ours or too long (*args then stands behind it, word is ""). */
bool tap_control_next(const char **args, char *word, size_t room);
/* The value of an option; false: not given, or as above. */
bool tap_control_get(const char *args, const char *key, char *value, size_t room);

/* The server's side (dmarctapd only). answer appends the body for a command; TAP_E_NOTFOUND: no such command. */
struct tap_control;
enum tap_rc tap_control_start(const char *path,
			      enum tap_rc (*answer)(void *ctx, const char *command,
						    struct tap_buf *body, struct tap_err *err),
			      void *ctx, struct tap_control **c_r,
			      struct tap_err *err) TAP_MUST_CHECK;
void tap_control_stop(struct tap_control **c); /* NULL-safe, sets NULL; removes the socket */

#endif
