/* SPDX-License-Identifier: Apache-2.0
 * outputs/kafka.c - driver "kafka": one message an item (outputs/slice.h) to a topic a kind, by librdkafka's idempotent producer. Each item's
 * delivery report is its verdict. An item in the batch is: the kind's number, the uid, the length of the key, the key, the JSON.
 * At least once: a repeat comes only where an answer was lost, or the worker died before it was stored, and carries the same ids.
 * A producer that meets a fatal error, or still has messages at the deadline, is thrown away with them and made anew.
 * Threads: librdkafka has its own; its callbacks run in ours, within rd_kafka_poll. Limits: MAX_ITEMS, MAX_BYTES, max_message.
 * Errors: an operator's (login, certificate, topic, rights) are TAP_E_CONFIG when the whole batch met one. */
#include "outputs/drivers.h"

#include "base/clock.h"
#include "outputs/kafka_conf.h"
#include "outputs/kind_files.h"
#include "outputs/slice.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_ITEMS = 5000,
	MAX_BYTES = 16 * 1024 * 1024,
	KEY_MAX = 255,
	HEAD = 1 + TAP_UID_HEX, /* kind, uid, length of the key */
	OVERHEAD = 1024,	/* key, headers and frame of a message */
	POLL_MS = 100,
	PROBE_MS = 5000
};

static enum tap_rc kafka_check(const void *set, struct tap_err *err)
{
	const struct tap_kafka_set *s = set;
	rd_kafka_conf_t *conf = NULL;
	unsigned unused;
	enum tap_rc rc = tap_kind_files_kinds(&s->kinds, TAP_KIND_ALL, &unused, err);

	if (rc == TAP_OK)
		rc = tap_kafka_conf(s, (void **)&conf, err);
	if (conf != NULL)
		rd_kafka_conf_destroy(conf);
	return rc;
}

static const struct tap_section kafka_section = {
    .name = "kafka",
    .doc = "Sends each item as a message to Apache Kafka, or what speaks its protocol.",
    .table = tap_kafka_table,
    .struct_size = sizeof(struct tap_kafka_set),
    .check = kafka_check,
};

static unsigned kafka_wants(const void *set)
{
	const struct tap_kafka_set *s = set;
	unsigned kinds;

	return tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE | TAP_KIND_SMTP_TLS, &kinds,
				    NULL) == TAP_OK
		   ? kinds
		   : 0;
}

static enum tap_rc kafka_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
				struct tap_err *err)
{
	const struct tap_kafka_set *s = set;
	const struct tap_meta *m = item->meta;
	const char *key = s->key == TAP_KAFKA_KEY_DOMAIN && m->domain != NULL ? m->domain : m->uid;
	size_t n = strnlen(key, KEY_MAX), start;
	enum tap_rc rc;

	tap_buf_addc(out, (char)('0' + (int)m->kind));
	tap_buf_add(out, m->uid, (ssize_t)(TAP_UID_HEX - 1));
	tap_buf_addc(out, (char)(unsigned char)n);
	tap_buf_add(out, key, n);
	start = out->len;
	rc = tap_slice(item, s->strip_payloads, out, err);
	if (rc == TAP_OK && out->len - start > (size_t)s->max_message - OVERHEAD)
		return tap_err_set(err, TAP_E_LIMIT,
				   "the message would have %zu bytes, and max_message allows %lld",
				   out->len - start, (long long)s->max_message - OVERHEAD);
	return rc;
}

struct kafka_self {
	const struct tap_kafka_set *set;
	rd_kafka_t *rk; /* NULL = to be made */
	bool delivered; /* anything, since it was made */
	bool all_down;
	char trouble[256]; /* the last that librdkafka told of its connections */
	/* of the batch that is being sent */
	enum tap_item_verdict *verdict;
	size_t waiting, confirmed, refused;
	rd_kafka_resp_err_t why; /* of an item that is to be tried again */
	rd_kafka_resp_err_t why_refused;
};

static void on_error(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
	struct kafka_self *k = opaque;

	(void)rk;
	if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		k->all_down = true;
	else
		(void)snprintf(k->trouble, sizeof k->trouble, "%s", reason);
}

/* Errors come by on_error, each item's with its report. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	(void)level;
	(void)facility;
	(void)text;
}

static bool for_good(rd_kafka_resp_err_t e)
{
	return e == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || e == RD_KAFKA_RESP_ERR_INVALID_MSG ||
	       e == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE || e == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
	       e == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
}

static bool operators(rd_kafka_resp_err_t e)
{
	static const rd_kafka_resp_err_t list[] = {
	    RD_KAFKA_RESP_ERR__AUTHENTICATION,
	    RD_KAFKA_RESP_ERR__SSL,
	    RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
	    RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
	    RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
	    RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
	    RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
	    RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
	    RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
	};

	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (list[i] == e)
			return true;
	return false;
}

static void settle_item(struct kafka_self *k, size_t i, rd_kafka_resp_err_t e)
{
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR) {
		k->verdict[i] = TAP_ITEM_CONFIRMED;
		k->confirmed++;
		k->delivered = true;
	} else if (for_good(e)) {
		k->verdict[i] = TAP_ITEM_NEVER;
		k->refused++;
		k->why_refused = e;
	} else {
		k->verdict[i] = TAP_ITEM_RETRY;
		k->why = e;
	}
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka_self *k = opaque;

	(void)rk;
	k->waiting--;
	settle_item(k, (size_t)(uintptr_t)m->_private, m->err);
}

static void throw_away(struct kafka_self *k)
{
	if (k->rk == NULL)
		return;
	(void)rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	while (rd_kafka_poll(k->rk, 0) > 0)
		;
	rd_kafka_destroy(k->rk);
	k->rk = NULL;
}

static enum tap_rc make(struct kafka_self *k, struct tap_err *err)
{
	char why[256];
	void *conf = NULL;
	enum tap_rc rc;

	if (k->rk != NULL)
		return TAP_OK;
	rc = tap_kafka_conf(k->set, &conf, err);
	if (rc != TAP_OK)
		return rc;
	rd_kafka_conf_set_opaque(conf, k);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	k->delivered = k->all_down = false;
	k->trouble[0] = '\0';
	k->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
	if (k->rk != NULL)
		return TAP_OK;
	rd_kafka_conf_destroy(conf);
	return tap_err_set(err, TAP_E_CONFIG, "%s", why);
}

static void kafka_close(void **self)
{
	struct kafka_self *k = *self;

	if (k == NULL)
		return;
	throw_away(k);
	free(k);
	*self = NULL;
}

static enum tap_rc kafka_open(const void *set, const char *state, char *state_r, void **self_r,
			      struct tap_err *err)
{
	struct kafka_self *k = calloc(1, sizeof *k);
	void *self = k;

	(void)state;
	(void)state_r;
	*self_r = NULL;
	if (k == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	k->set = set;
	if (make(k, err) != TAP_OK) {
		kafka_close(&self);
		return err->rc;
	}
	*self_r = k;
	return TAP_OK;
}

static rd_kafka_resp_err_t produce(struct kafka_self *k, const char *p, size_t n, size_t i)
{
	static const char type[] = "application/json", schema[] = "dmarctap-1";
	unsigned kind = (unsigned)(*p - '0');
	const char *topic = tap_kafka_topic(k->set, kind), *name = tap_slice_kind(kind);
	const char *uid = p + 1, *key = p + HEAD;
	size_t key_len = (unsigned char)p[HEAD - 1];
	const char *value = key + key_len;

	return rd_kafka_producev(
	    k->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
	    RD_KAFKA_V_KEY((void *)(uintptr_t)key, key_len),
	    RD_KAFKA_V_VALUE((void *)(uintptr_t)value, (size_t)(p + n - value)),
	    RD_KAFKA_V_HEADER("type", name, (ssize_t)strlen(name)),
	    RD_KAFKA_V_HEADER("schema", schema, (ssize_t)(sizeof schema - 1)),
	    RD_KAFKA_V_HEADER("report_uid", uid, (ssize_t)(TAP_UID_HEX - 1)),
	    RD_KAFKA_V_HEADER("content-type", type, (ssize_t)(sizeof type - 1)),
	    RD_KAFKA_V_OPAQUE((void *)(uintptr_t)i), RD_KAFKA_V_END);
}

/* Nobody has been reached yet, and nobody is there. */
static bool hopeless(const struct kafka_self *k)
{
	return k->all_down && !k->delivered;
}

/* One item into librdkafka's queue, waiting for room. */
static void enqueue(struct kafka_self *k, const char *p, size_t n, size_t i, int64_t deadline_ms)
{
	rd_kafka_resp_err_t e;

	while ((e = produce(k, p, n, i)) == RD_KAFKA_RESP_ERR__QUEUE_FULL &&
	       tap_clock_mono_ms() < deadline_ms && !hopeless(k))
		(void)rd_kafka_poll(k->rk, POLL_MS);
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		k->waiting++;
	else
		settle_item(k, i, e);
}

static enum tap_rc conclude(struct kafka_self *k, bool left, struct tap_err *err)
{
	char text[256] = "";
	rd_kafka_resp_err_t fatal =
	    k->rk != NULL ? rd_kafka_fatal_error(k->rk, text, sizeof text) : 0;
	const char *more = text[0] != '\0' ? text : k->trouble;

	if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR || left)
		throw_away(k);
	if (k->refused > 0)
		(void)tap_err_set(err, TAP_OK, "refused: %s", rd_kafka_err2str(k->why_refused));
	if (k->confirmed + k->refused > 0 || (k->why == 0 && !left))
		return TAP_OK;
	return tap_err_set(err, operators(k->why) ? TAP_E_CONFIG : TAP_E_TEMP, "%s%s%s",
			   k->why != 0 ? rd_kafka_err2str(k->why) : "not delivered in time",
			   more[0] != '\0' ? ": " : "", more);
}

static enum tap_rc kafka_send(void *self, const char *bytes, const size_t *ofs, size_t n,
			      enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			      struct tap_err *err)
{
	struct kafka_self *k = self;
	rd_kafka_resp_err_t seen;
	bool left;

	(void)state_r;
	if (make(k, err) != TAP_OK)
		return err->rc;
	k->verdict = verdict;
	k->waiting = k->confirmed = k->refused = 0;
	k->why = k->why_refused = RD_KAFKA_RESP_ERR_NO_ERROR;
	k->all_down = false;
	for (size_t i = 0; i < n; i++) {
		enqueue(k, bytes + ofs[i], ofs[i + 1] - ofs[i], i, deadline_ms);
		if (i % 256 == 255)
			(void)rd_kafka_poll(k->rk, 0);
	}
	while (k->waiting > 0 && tap_clock_mono_ms() < deadline_ms && !hopeless(k))
		(void)rd_kafka_poll(k->rk, POLL_MS);
	left = k->waiting > 0;
	seen = k->why;
	if (left) {
		/* The reports of what is thrown away come in here, too. */
		throw_away(k);
		k->why = seen;
	}
	return conclude(k, left, err);
}

static enum tap_rc kafka_probe(void *self, struct tap_err *err)
{
	struct kafka_self *k = self;
	const struct rd_kafka_metadata *m = NULL;
	rd_kafka_resp_err_t e;

	if (make(k, err) != TAP_OK)
		return err->rc;
	e = rd_kafka_metadata(k->rk, 0, NULL, &m, PROBE_MS);
	(void)rd_kafka_poll(k->rk, 0);
	if (m != NULL)
		rd_kafka_metadata_destroy(m);
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		return TAP_OK;
	return tap_err_set(err, operators(e) ? TAP_E_CONFIG : TAP_E_TEMP, "%s%s%s",
			   rd_kafka_err2str(e), k->trouble[0] != '\0' ? ": " : "", k->trouble);
}

const struct tap_output_ops tap_output_kafka = {
    .name = "kafka",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_AT_LEAST_ONCE,
    .settings = &kafka_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = kafka_encode,
    .open = kafka_open,
    .send = kafka_send,
    .probe = kafka_probe,
    .close = kafka_close,
    .wants = kafka_wants,
};
