/* SPDX-License-Identifier: Apache-2.0
 * The driver kafka against librdkafka's mock cluster. */
#include "runner_helper.h"

#include "outputs/kafka_conf.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

struct cluster {
	rd_kafka_t *rk;
	rd_kafka_mock_cluster_t *mock;
};

static struct cluster cluster_new(void)
{
	struct cluster c;
	char why[256];

	c.rk = rd_kafka_new(RD_KAFKA_PRODUCER, NULL, why, sizeof why);
	assert_non_null(c.rk);
	c.mock = rd_kafka_mock_cluster_new(c.rk, 1);
	assert_non_null(c.mock);
	assert_int_equal(rd_kafka_mock_topic_create(c.mock, "dmarc_aggregate", 1, 1), 0);
	assert_int_equal(rd_kafka_mock_topic_create(c.mock, "smtp_tls", 1, 1), 0);
	return c;
}

static void cluster_free(struct cluster *c)
{
	rd_kafka_mock_cluster_destroy(c->mock);
	rd_kafka_destroy(c->rk);
}

/* As the settings would fill it. */
struct filled {
	struct tap_kafka_set set;
	char broker[256], *brokers[1], *property[8];
};

static void fill(struct filled *f, const struct cluster *c)
{
	static char agg[] = "dmarc_aggregate", forensic[] = "dmarc_forensic", tls[] = "smtp_tls",
		    feedback[] = "dmarc_feedback";

	memset(f, 0, sizeof *f);
	(void)snprintf(f->broker, sizeof f->broker, "%s",
		       c != NULL ? rd_kafka_mock_cluster_bootstraps(c->mock) : "127.0.0.1:1");
	f->brokers[0] = f->broker;
	f->set = (struct tap_kafka_set){.brokers = {f->brokers, 1},
					.properties = {f->property, 0},
					.topic_aggregate = agg,
					.topic_failure = forensic,
					.topic_smtp_tls = tls,
					.topic_feedback = feedback,
					.compression = 3,
					.verify = true,
					.strip_payloads = true,
					.max_message = 1000000};
}

static void property(struct filled *f, const char *text)
{
	f->property[f->set.properties.n++] = (char *)(uintptr_t)text;
}

/* All that a topic holds, "key value\n" for each message; checks the headers. */
static size_t consume(const struct cluster *c, const char *topic, size_t want, struct tap_buf *out)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(1);
	char why[256];
	size_t n = 0;
	int64_t until = tap_clock_mono_ms() + 20000;

	rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(c->mock), why,
			  sizeof why);
	rd_kafka_conf_set(conf, "group.id", "g", why, sizeof why);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
	assert_non_null(rk);
	rd_kafka_topic_partition_list_add(parts, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
	assert_int_equal(rd_kafka_assign(rk, parts), 0);
	rd_kafka_topic_partition_list_destroy(parts);
	/* One more than is wanted would be a double: look for it a moment longer. */
	for (int extra = 0; extra < 4 && tap_clock_mono_ms() < until;) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 50);

		extra += n >= want;
		if (m != NULL && m->err == 0) {
			rd_kafka_headers_t *h;
			const void *v;
			size_t len;

			n++;
			tap_buf_printf(out, "%.*s %.*s\n", (int)m->key_len, (const char *)m->key,
				       (int)m->len, (const char *)m->payload);
			assert_int_equal(rd_kafka_message_headers(m, &h), 0);
			assert_int_equal(rd_kafka_header_get_last(h, "report_uid", &v, &len), 0);
			assert_int_equal(len, 40);
			assert_memory_equal(v, SAMPLE_UID, 40);
			assert_int_equal(rd_kafka_header_get_last(h, "content-type", &v, &len), 0);
			assert_string_equal(v, "application/json");
			assert_int_equal(rd_kafka_header_get_last(h, "type", &v, &len), 0);
			assert_string_equal(v, "aggregate");
			assert_int_equal(rd_kafka_header_get_last(h, "schema", &v, &len), 0);
		}
		if (m != NULL)
			rd_kafka_message_destroy(m);
	}
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
	return n;
}

/* n records in one batch. */
static enum tap_rc send_n(void *self, const void *set, size_t n, enum tap_item_verdict *verdict,
			  int64_t ms, struct tap_err *err)
{
	const struct tap_output_ops *ops = &tap_output_kafka;
	size_t *ofs = calloc(n + 1, sizeof *ofs);
	struct tap_buf b;
	char state[TAP_OUTPUT_STATE_MAX] = "";
	enum tap_rc rc;

	tap_buf_init(&b, ops->max_bytes);
	for (size_t i = 0; i < n; i++) {
		struct tap_record r = sample_record;
		struct tap_item item = item_at((struct tap_cursor){1, i}, n, &r);

		r.index = i;
		assert_int_equal(ops->encode(set, &item, &b, err), TAP_OK);
		ofs[i + 1] = b.len;
		verdict[i] = TAP_ITEM_RETRY;
	}
	*err = (struct tap_err){0};
	rc = ops->send(self, b.p, ofs, n, verdict, state, tap_clock_mono_ms() + ms, err);
	tap_buf_free(&b);
	free(ofs);
	return rc;
}

static void *open_driver(const struct filled *f)
{
	char state[TAP_OUTPUT_STATE_MAX] = "";
	struct tap_err err = {0};
	void *self = NULL;

	if (tap_output_kafka.open(&f->set, "", state, &self, &err) != TAP_OK)
		fail_msg("%s", err.msg);
	return self;
}

static void expect_all(const enum tap_item_verdict *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(v[i], TAP_ITEM_CONFIRMED);
}

enum { N = 500 };

static void test_all_delivered_once_t_ka_1(void **state)
{
	struct cluster c = cluster_new();
	enum tap_item_verdict v[N];
	struct filled f;
	struct tap_err err;
	struct tap_buf got;
	char want[64];

	(void)state;
	fill(&f, &c);
	void *self = open_driver(&f);
	assert_int_equal(send_n(self, &f.set, N, v, 20000, &err), TAP_OK);
	expect_all(v, N);
	tap_buf_init(&got, 8 << 20);
	assert_int_equal(consume(&c, "dmarc_aggregate", N, &got), N);
	for (size_t i = 0; i < N; i++) {
		(void)snprintf(want, sizeof want, "\"record_index\":%zu,", i);
		const char *at = strstr(tap_buf_cstr(&got), want);
		assert_non_null(at);
		assert_null(strstr(at + 1, want));
	}
	assert_memory_equal(got.p, SAMPLE_UID " {\"source\":{\"ip_address\":\"192.0.2.1\"", 76);
	assert_non_null(strstr(got.p,
			       "\"date_range\":[\"2012-04-28T00:00:00Z\",\"2012-04-28T23:59:59Z\"],"
			       "\"org_name\":\"receiver.example\",\"org_email\":\"dmarc@receiver."
			       "example\",\"report_id\":\"r-1\",\"policy_published\":{"));
	tap_buf_free(&got);
	tap_output_kafka.close(&self);
	cluster_free(&c);
}

static void test_broker_errors_are_tried_again_t_ka_2(void **state)
{
	struct cluster c = cluster_new();
	enum tap_item_verdict v[N];
	struct filled f;
	struct tap_err err;
	struct tap_buf got;

	(void)state;
	fill(&f, &c);
	property(&f, "retry.backoff.ms=10");
	rd_kafka_mock_push_request_errors(
	    c.mock, 0 /* Produce */, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
	    RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
	void *self = open_driver(&f);
	assert_int_equal(send_n(self, &f.set, N, v, 30000, &err), TAP_OK);
	expect_all(v, N);
	tap_buf_init(&got, 8 << 20);
	assert_int_equal(consume(&c, "dmarc_aggregate", N, &got), N);
	tap_buf_free(&got);
	tap_output_kafka.close(&self);
	cluster_free(&c);
}

static void test_full_queue_waits_t_ka_3(void **state)
{
	struct cluster c = cluster_new();
	enum tap_item_verdict v[N];
	struct filled f;
	struct tap_err err;

	(void)state;
	fill(&f, &c);
	property(&f, "queue.buffering.max.messages=10");
	void *self = open_driver(&f);
	assert_int_equal(send_n(self, &f.set, N, v, 30000, &err), TAP_OK);
	expect_all(v, N);
	tap_output_kafka.close(&self);
	cluster_free(&c);
}

static void test_broker_down_at_start_and_comes_later_t_ka_4(void **state)
{
	struct cluster c = cluster_new();
	enum tap_item_verdict v[3];
	struct filled f;
	struct tap_err err;
	int64_t began = tap_clock_mono_ms();

	(void)state;
	fill(&f, &c);
	property(&f, "reconnect.backoff.ms=20");
	property(&f, "reconnect.backoff.max.ms=50");
	rd_kafka_mock_broker_set_down(c.mock, 1);
	void *self = open_driver(&f);
	assert_int_equal(send_n(self, &f.set, 3, v, 15000, &err), TAP_E_TEMP);
	assert_true(tap_clock_mono_ms() - began < 14000); /* said at once, not at the deadline */
	assert_true(strlen(err.msg) > 10);
	for (size_t i = 0; i < COUNT(v); i++)
		assert_int_equal(v[i], TAP_ITEM_RETRY);
	rd_kafka_mock_broker_set_up(c.mock, 1);
	assert_int_equal(send_n(self, &f.set, 3, v, 15000, &err), TAP_OK);
	expect_all(v, 3);
	assert_int_equal(tap_output_kafka.probe(self, &err), TAP_OK);
	tap_output_kafka.close(&self);
	cluster_free(&c);
}

static void test_too_large_is_parked_alone_t_ka_5(void **state)
{
	struct cluster c = cluster_new();
	static char big[20000];
	struct tap_record r = sample_record;
	struct tap_item item = item_at((struct tap_cursor){1, 0}, 1, &r);
	struct filled f;
	struct tap_err err = {0};
	struct tap_buf b;
	enum tap_item_verdict v[3];

	(void)state;
	memset(big, 'x', sizeof big - 1);
	r.extension = big;
	fill(&f, &c);
	f.set.max_message = 10000;
	tap_buf_init(&b, 1 << 20);
	assert_int_equal(tap_output_kafka.encode(&f.set, &item, &b, &err), TAP_E_LIMIT);
	assert_non_null(strstr(err.msg, "max_message"));
	tap_buf_free(&b);
	/* The broker's own limit is the smaller one. */
	fill(&f, &c);
	void *self = open_driver(&f);
	rd_kafka_mock_push_request_errors(c.mock, 0, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	assert_int_equal(send_n(self, &f.set, 3, v, 20000, &err), TAP_OK);
	for (size_t i = 0; i < COUNT(v); i++)
		assert_int_equal(v[i], TAP_ITEM_NEVER);
	assert_non_null(strstr(err.msg, "too large"));
	tap_output_kafka.close(&self);
	cluster_free(&c);
}

static void test_given_up_at_the_deadline_and_sent_again_t_ka_6(void **state)
{
	struct cluster c = cluster_new();
	enum tap_item_verdict v[10];
	struct filled f;
	struct tap_err err;
	struct tap_buf got;

	(void)state;
	fill(&f, &c);
	void *self = open_driver(&f);
	assert_int_equal(send_n(self, &f.set, 1, v, 20000, &err), TAP_OK);
	rd_kafka_mock_broker_set_rtt(c.mock, 1, 60000);
	int64_t began = tap_clock_mono_ms();
	assert_int_equal(send_n(self, &f.set, 10, v, 500, &err), TAP_E_TEMP);
	assert_true(tap_clock_mono_ms() - began < 10000);
	for (size_t i = 0; i < COUNT(v); i++)
		assert_int_equal(v[i], TAP_ITEM_RETRY);
	rd_kafka_mock_broker_set_rtt(c.mock, 1, 0);
	assert_int_equal(send_n(self, &f.set, 10, v, 20000, &err), TAP_OK);
	expect_all(v, COUNT(v));
	tap_buf_init(&got, 1 << 20);
	assert_true(consume(&c, "dmarc_aggregate", 11, &got) >= 11);
	tap_buf_free(&got);
	tap_output_kafka.close(&self);
	cluster_free(&c);
}

static void expect_bad(struct filled *f, const char *part)
{
	struct tap_err err = {0};

	assert_int_equal(tap_output_kafka.settings->check(&f->set, &err), TAP_E_CONFIG);
	if (strstr(err.msg, part) == NULL)
		fail_msg("%s", err.msg);
}

static void test_bad_properties_are_named_t_ka_7(void **state)
{
	static const struct {
		const char *line, *part;
	} bad[] = {
	    {"acks=1", "acks has to be all"},
	    {"request.required.acks = 0", "request.required.acks has to be all"},
	    {"enable.idempotence=false", "enable.idempotence has to be true"},
	    {"no.such.thing=1", "knows no property \"no.such.thing\""},
	    {"linger.ms=hidden", "refuses the value of \"linger.ms\""},
	    {"nothing", "name=value"},
	    {"=1", "name=value"},
	};
	static char secret[] = "hidden";
	struct tap_err err = {0};
	struct filled f;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		fill(&f, NULL);
		property(&f, bad[i].line);
		expect_bad(&f, bad[i].part);
	}
	fill(&f, NULL);
	f.set.password = secret;
	f.set.security = 2;
	property(&f, "acks=all");
	property(&f, "linger.ms=hidden");
	assert_int_equal(tap_output_kafka.settings->check(&f.set, &err), TAP_E_CONFIG);
	assert_null(strstr(err.msg, "hidden"));
	f.set.properties.n = 1;
	assert_int_equal(tap_output_kafka.settings->check(&f.set, &err), TAP_OK);
}

static void test_behind_the_runner(void **state)
{
	struct cluster c = cluster_new();
	struct world *w = world_new(20, 30);
	struct tap_runner *r = NULL;
	struct filled f;
	struct tap_buf got;

	(void)state;
	fill(&f, &c);
	start(w, &tap_output_kafka, &f.set, 100, &r);
	assert_true(wait_settled(w, 60));
	tap_runner_stop(&r);
	tap_buf_init(&got, 8 << 20);
	assert_int_equal(consume(&c, "dmarc_aggregate", 600, &got), 600);
	tap_buf_free(&got);
	world_free(w);
	cluster_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_delivered_once_t_ka_1),
	    cmocka_unit_test(test_broker_errors_are_tried_again_t_ka_2),
	    cmocka_unit_test(test_full_queue_waits_t_ka_3),
	    cmocka_unit_test(test_broker_down_at_start_and_comes_later_t_ka_4),
	    cmocka_unit_test(test_too_large_is_parked_alone_t_ka_5),
	    cmocka_unit_test(test_given_up_at_the_deadline_and_sent_again_t_ka_6),
	    cmocka_unit_test(test_bad_properties_are_named_t_ka_7),
	    cmocka_unit_test(test_behind_the_runner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
