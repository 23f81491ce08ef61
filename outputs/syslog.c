/* SPDX-License-Identifier: Apache-2.0
 * outputs/syslog.c - driver "syslog": each item (outputs/slice.h) as the text of one RFC 5424 message, by UDP (RFC 5426), TCP with octet
 * counting (RFC 6587), TLS (RFC 5425) or a local socket. Unconfirmed: nobody answers (stream.h says how far it is looked after).
 * Threads: one a sink. Limits: max_message, for receivers cut what is longer without a word. */
#include "outputs/drivers.h"

#include "base/clock.h"
#include "outputs/kind_files.h"
#include "outputs/slice.h"
#include "outputs/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ITEMS = 500, MAX_BYTES = 4 * 1024 * 1024, HOST_MAX = 255 };

struct syslog_set {
	struct tap_stream_set to;
	struct tap_list kinds;
	char *hostname, *app_name;
	int64_t facility, severity, max_message;
};
static const char *const facilities[] = {
    "kern",   "user",	  "mail",   "daemon", "auth",	"syslog", "lpr",   "news",   "uucp",
    "cron",   "authpriv", "ftp",    "ntp",    "audit",	"alert",  "clock", "local0", "local1",
    "local2", "local3",	  "local4", "local5", "local6", "local7", NULL};
static const char *const severities[] = {"emerg",  "alert", "crit",  "err", "warning",
					 "notice", "info",  "debug", NULL};
static const struct tap_setting syslog_table[] = {
    TAP_ROW_ENUM(
	"transport", syslog_set, to.transport, 0, "udp", tap_transports,
	"How to send: udp, tcp (with octet counting), tls, or local, a datagram socket of this "
	"machine."),
    TAP_ROW_STR("server", syslog_set, to.server, 0, NULL,
		"\"host:port\"; the usual ports are 514 for udp and tcp, 6514 for tls."),
    TAP_ROW_PATH("socket", syslog_set, to.socket, TAP_SET_READS, "/dev/log",
		 "The socket of transport local."),
    TAP_STREAM_ROWS_TLS(syslog_set),
    TAP_ROW_LIST(
	"kinds", syslog_set, kinds, 0, NULL,
	"Which reports are sent: aggregate, failure, smtp_tls, feedback. By default aggregate "
	"and smtp_tls, for failure and feedback reports hold personal data."),
    TAP_ROW_ENUM("facility", syslog_set, facility, 0, "local0", facilities, "Facility."),
    TAP_ROW_ENUM("severity", syslog_set, severity, 0, "info", severities, "Severity."),
    TAP_ROW_STR("hostname", syslog_set, hostname, 0, NULL,
		"Name of the sender; by default that of this machine."),
    TAP_ROW_STR("app_name", syslog_set, app_name, 0, "dmarctap", "Name of the program."),
    TAP_ROW_SIZE(
	"max_message", syslog_set, max_message, 0, "8K", 480, 1024 * 1024,
	"The longest message that the receiver keeps whole. A longer one is parked, not cut."),
    {0}};

static bool printable(const char *s, size_t most)
{
	for (const char *p = s; *p != '\0'; p++)
		if (*p < '!' || *p > '~')
			return false;
	return *s != '\0' && strlen(s) <= most;
}

static enum tap_rc syslog_check(const void *set, struct tap_err *err)
{
	const struct syslog_set *s = set;
	unsigned unused;

	if (!printable(s->app_name, 48) ||
	    (s->hostname != NULL && !printable(s->hostname, HOST_MAX)))
		return tap_err_set(err, TAP_E_CONFIG,
				   "hostname and app_name are printable ASCII without blanks, at "
				   "most 255 and 48 characters");
	if (tap_stream_check(&s->to, err) != TAP_OK)
		return err->rc;
	return tap_kind_files_kinds(&s->kinds, TAP_KIND_ALL, &unused, err);
}

static const struct tap_section syslog_section = {
    .name = "syslog",
    .doc =
	"Sends each item as a syslog message, as RFC 5424 has it. The receiver confirms nothing.",
    .table = syslog_table,
    .struct_size = sizeof(struct syslog_set),
    .check = syslog_check,
};

static unsigned syslog_wants(const void *set)
{
	const struct syslog_set *s = set;
	unsigned kinds;

	return tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE | TAP_KIND_SMTP_TLS, &kinds,
				    NULL) == TAP_OK
		   ? kinds
		   : 0;
}

static enum tap_rc syslog_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
				 struct tap_err *err)
{
	const struct syslog_set *s = set;
	char host[HOST_MAX + 1] = "-", date[32] = "-";
	size_t start = out->len;
	enum tap_rc rc;

	if (s->hostname == NULL && (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0'))
		(void)snprintf(host, sizeof host, "-");
	if (item->meta->begin > 0)
		tap_time_rfc3339(item->meta->begin, date, sizeof date);
	tap_buf_printf(out, "<%d>1 %s %s %s - %s - ", (int)(s->facility * 8 + s->severity), date,
		       s->hostname != NULL ? s->hostname : host, s->app_name,
		       tap_slice_kind(item->meta->kind));
	rc = tap_slice(item, true, out, err);
	if (rc == TAP_OK && out->len - start > (size_t)s->max_message)
		rc = tap_err_set(err, TAP_E_LIMIT,
				 "the message would have %zu bytes, and max_message allows %lld",
				 out->len - start, (long long)s->max_message);
	return rc;
}

struct syslog_self {
	const struct syslog_set *set;
	struct tap_stream *stream;
};

static void syslog_close(void **self)
{
	struct syslog_self *y = *self;

	if (y == NULL)
		return;
	tap_stream_close(&y->stream);
	free(y);
	*self = NULL;
}

static enum tap_rc syslog_open(const void *set, const char *state, char *state_r, void **self_r,
			       struct tap_err *err)
{
	struct syslog_self *y = calloc(1, sizeof *y);
	void *self = y;

	(void)state;
	(void)state_r;
	*self_r = NULL;
	if (y == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	y->set = set;
	if (tap_stream_open(&y->set->to, &y->stream, err) != TAP_OK) {
		syslog_close(&self);
		return err->rc;
	}
	*self_r = y;
	return TAP_OK;
}

static enum tap_rc put(struct syslog_self *y, const char *p, size_t n, int64_t deadline_ms,
		       struct tap_err *err)
{
	bool counted = y->set->to.transport == TAP_TCP || y->set->to.transport == TAP_TLS;
	char count[24];
	int k = snprintf(count, sizeof count, "%zu ", n);
	enum tap_rc rc =
	    counted ? tap_stream_put(y->stream, count, (size_t)k, deadline_ms, err) : TAP_OK;

	return rc == TAP_OK ? tap_stream_put(y->stream, p, n, deadline_ms, err) : rc;
}

static enum tap_rc syslog_send(void *self, const char *bytes, const size_t *ofs, size_t n,
			       enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			       struct tap_err *err)
{
	struct syslog_self *y = self;
	bool datagrams = y->set->to.transport == TAP_UDP || y->set->to.transport == TAP_LOCAL;
	enum tap_rc rc = tap_stream_ready(y->stream, deadline_ms, err);
	size_t done = 0;

	(void)state_r;
	for (; rc == TAP_OK && done < n; done++) {
		rc = put(y, bytes + ofs[done], ofs[done + 1] - ofs[done], deadline_ms, err);
		verdict[done] = rc == TAP_E_LIMIT ? TAP_ITEM_NEVER : TAP_ITEM_CONFIRMED;
		if (rc == TAP_E_LIMIT)
			rc = TAP_OK;
		else if (rc != TAP_OK)
			break;
	}
	if (rc == TAP_OK)
		return tap_stream_flush(y->stream, deadline_ms, err);
	/* Of a stream nobody knows what arrived before the cut; a datagram that was sent is gone. */
	if (!datagrams || done == 0)
		return rc;
	for (; done < n; done++)
		verdict[done] = TAP_ITEM_RETRY;
	return TAP_OK;
}

const struct tap_output_ops tap_output_syslog = {
    .name = "syslog",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_UNCONFIRMED,
    .settings = &syslog_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = syslog_encode,
    .open = syslog_open,
    .send = syslog_send,
    .close = syslog_close,
    .wants = syslog_wants,
};
