/* SPDX-License-Identifier: Apache-2.0
 * outputs/stream.h - messages to a log server that confirms nothing: UDP, TCP, TLS, or a local datagram socket. Private to outputs/, shared
 * by syslog and gelf. TCP and TLS: a batch counts as sent once the peer's kernel has acknowledged all of its bytes, so that a cut loses at
 * most what was on its way; a connection that the peer has closed is noticed before the next batch.
 * Ownership: settings are borrowed until close. TLS is verified unless `verify` is off. Threads: one user at a time.
 * Errors: TAP_E_TEMP nobody there, or cut; TAP_E_CONFIG certificate refused; TAP_E_CANCELLED not in time; TAP_E_LIMIT one datagram too large. */
#ifndef TAP_OUTPUTS_STREAM_H
#define TAP_OUTPUTS_STREAM_H

#include "base/settings.h"
#include <stddef.h>
#include <stdint.h>

enum tap_transport { TAP_UDP, TAP_TCP, TAP_TLS, TAP_LOCAL };
extern const char *const tap_transports[]; /* "udp" "tcp" "tls" "local", in the order of the enum */
struct tap_stream_set {
	int64_t transport;
	char *server, *socket, *ca, *certificate, *key;
	bool verify;
};
/* clang-format off */
#define TAP_STREAM_ROWS_TLS(st) \
	TAP_ROW_PATH("ca", st, to.ca, TAP_SET_READS, NULL, "PEM file with the authorities that the server's certificate may come from; by default those of the system."), \
	TAP_ROW_BOOL("verify", st, to.verify, 0, "true", "Check the server's certificate and name. false lets anybody in between read and change what is sent."), \
	TAP_ROW_PATH("certificate", st, to.certificate, TAP_SET_READS, NULL, "PEM file with a client certificate."), \
	TAP_ROW_PATH("key", st, to.key, TAP_SET_READS, NULL, "PEM file with its key; by default it stands in certificate.")
/* clang-format on */

struct tap_stream;
enum tap_rc tap_stream_check(const struct tap_stream_set *set, struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_stream_open(const struct tap_stream_set *set, struct tap_stream **s_r,
			    struct tap_err *err) TAP_MUST_CHECK;
/* Connects where that is needed. */
enum tap_rc tap_stream_ready(struct tap_stream *s, int64_t deadline_ms,
			     struct tap_err *err) TAP_MUST_CHECK;
/* One datagram, or so many bytes of the stream. After an error the connection is closed. */
enum tap_rc tap_stream_put(struct tap_stream *s, const void *p, size_t n, int64_t deadline_ms,
			   struct tap_err *err) TAP_MUST_CHECK;
/* Waits until the peer's kernel has all of it (TCP, TLS). */
enum tap_rc tap_stream_flush(struct tap_stream *s, int64_t deadline_ms,
			     struct tap_err *err) TAP_MUST_CHECK;
void tap_stream_close(struct tap_stream **s); /* NULL-safe, sets NULL */

#endif
