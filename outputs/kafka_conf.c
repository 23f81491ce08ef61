/* SPDX-License-Identifier: Apache-2.0
 * outputs/kafka_conf.c - see kafka_conf.h. Order: our defaults, our settings, then what is passed through. */
#include "outputs/kafka_conf.h"

#include "base/io.h"
#include "parser/report.h"

#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <string.h>

enum { FILE_MAX = 64 * 1024 };

static const char *const keys[] = {"report_uid", "domain", NULL};
static const char *const securities[] = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", NULL};
static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER",
					 NULL};
static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};

#define ST tap_kafka_set
const struct tap_setting tap_kafka_table[] = {
    TAP_ROW_LIST("brokers", ST, brokers, TAP_SET_REQUIRED, NULL,
		 "Where to begin: \"host:9092\", one or several. The others are learnt from them."),
    TAP_ROW_LIST(
	"kinds", ST, kinds, 0, NULL,
	"Which reports are sent: aggregate, failure, smtp_tls, feedback. By default aggregate "
	"and smtp_tls, for failure and feedback reports hold personal data."),
    TAP_ROW_STR("topic_aggregate", ST, topic_aggregate, 0, "dmarc_aggregate",
		"Topic for records of aggregate reports."),
    TAP_ROW_STR("topic_failure", ST, topic_failure, 0, "dmarc_forensic",
		"Topic for failure reports."),
    TAP_ROW_STR("topic_smtp_tls", ST, topic_smtp_tls, 0, "smtp_tls",
		"Topic for policies and failure details of SMTP TLS reports."),
    TAP_ROW_STR("topic_feedback", ST, topic_feedback, 0, "dmarc_feedback",
		"Topic for other feedback reports."),
    TAP_ROW_ENUM(
	"key", ST, key, 0, "report_uid", keys,
	"The key of each message, which decides its partition: the report's id, or the domain "
	"that it is about."),
    TAP_ROW_ENUM(
	"security", ST, security, 0, "plaintext", securities,
	"How to connect: with TLS (ssl), with a login (sasl_plaintext), with both (sasl_ssl)."),
    TAP_ROW_ENUM("mechanism", ST, mechanism, 0, "PLAIN", mechanisms, "How to log in."),
    TAP_ROW_STR("user", ST, user, 0, NULL, "User name."),
    TAP_ROW_STR("password", ST, password, TAP_SET_SECRET, NULL,
		"Its password: \"@/path\" of a file that holds it, or \"$NAME\" of an environment "
		"variable."),
    TAP_ROW_PATH(
	"ca", ST, ca, TAP_SET_READS, NULL,
	"PEM file with the authorities that a broker's certificate may come from; by default "
	"those of the system."),
    TAP_ROW_BOOL(
	"verify", ST, verify, 0, "true",
	"Check the brokers' certificates and names. false lets anybody in between read and "
	"change what is sent."),
    TAP_ROW_PATH("certificate", ST, certificate, TAP_SET_READS, NULL,
		 "PEM file with a client certificate."),
    TAP_ROW_PATH("certificate_key", ST, tls_key, TAP_SET_READS, NULL, "PEM file with its key."),
    TAP_ROW_STR("key_password", ST, key_password, TAP_SET_SECRET, NULL,
		"Password of that key: \"@/path\" or \"$NAME\"."),
    TAP_ROW_ENUM("compression", ST, compression, 0, "lz4", codecs, "Compression of messages."),
    TAP_ROW_SIZE(
	"max_message", ST, max_message, 0, "1000000", 10000, 16 * 1024 * 1024,
	"The largest message that the brokers take (their message.max.bytes). A larger item is "
	"parked."),
    TAP_ROW_BOOL("strip_payloads", ST, strip_payloads, 0, "true",
		 "Leave out the contents of attachments in the messages of failure and feedback "
		 "reports."),
    TAP_ROW_LIST(
	"properties", ST, properties, 0, NULL,
	"Any other property of librdkafka, as \"name=value\"; they come last. No place for "
	"secrets."),
    TAP_ROW_PATH(
	"properties_file", ST, properties_file, TAP_SET_READS, NULL,
	"A file with such properties, one a line; # begins a comment. For secrets that have no "
	"setting of their own."),
    {0}};

const char *tap_kafka_topic(const struct tap_kafka_set *s, unsigned kind)
{
	return kind == TAP_KIND_FAILURE	   ? s->topic_failure
	       : kind == TAP_KIND_SMTP_TLS ? s->topic_smtp_tls
	       : kind == TAP_KIND_FEEDBACK ? s->topic_feedback
					   : s->topic_aggregate;
}

/* The value may be a secret and is never named. librdkafka's own text names it, so only its kind of complaint is told. */
static enum tap_rc put(rd_kafka_conf_t *conf, const char *name, const char *value,
		       struct tap_err *err)
{
	char unused[256];

	if (value == NULL)
		return TAP_OK;
	switch (rd_kafka_conf_set(conf, name, value, unused, sizeof unused)) {
	case RD_KAFKA_CONF_OK: return TAP_OK;
	case RD_KAFKA_CONF_UNKNOWN:
		return tap_err_set(err, TAP_E_CONFIG, "librdkafka knows no property \"%s\"", name);
	case RD_KAFKA_CONF_INVALID: break;
	}
	return tap_err_set(err, TAP_E_CONFIG, "librdkafka refuses the value of \"%s\"", name);
}

/* "name=value", ours to change. What the promise rests on may be said, but not otherwise. */
static enum tap_rc put_line(rd_kafka_conf_t *conf, char *line, struct tap_err *err)
{
	static const struct {
		const char *name, *value, *or_value;
	} fixed[] = {
	    {"enable.idempotence", "true", "true"},
	    {"acks", "all", "-1"},
	    {"request.required.acks", "all", "-1"},
	};
	char *equals = strchr(line, '='), *end = equals;

	if (equals == NULL || equals == line)
		return tap_err_set(err, TAP_E_CONFIG, "properties: each is written \"name=value\"");
	while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	do
		equals++;
	while (*equals == ' ' || *equals == '\t');
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		if (strcmp(line, fixed[i].name) == 0 && strcmp(equals, fixed[i].value) != 0 &&
		    strcmp(equals, fixed[i].or_value) != 0)
			return tap_err_set(err, TAP_E_CONFIG,
					   "properties: %s has to be %s, or messages could be lost "
					   "or doubled",
					   line, fixed[i].value);
	return put(conf, line, equals, err);
}

static enum tap_rc put_list(rd_kafka_conf_t *conf, const struct tap_list *l, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < l->n; i++) {
		struct tap_buf line;

		tap_buf_init(&line, FILE_MAX);
		tap_buf_add(&line, l->item[i], strlen(l->item[i]) + 1);
		rc = line.failed ? tap_err_set(err, TAP_E_CONFIG, "properties: too long")
				 : put_line(conf, line.p, err);
		tap_buf_free(&line);
	}
	return rc;
}

static enum tap_rc put_file(rd_kafka_conf_t *conf, const char *path, struct tap_err *err)
{
	struct tap_buf text;
	enum tap_rc rc = TAP_OK;
	char *line, *next;

	if (path == NULL)
		return TAP_OK;
	tap_buf_init(&text, FILE_MAX);
	if (tap_io_read_file(AT_FDCWD, path, &text, err) != TAP_OK)
		rc = tap_err_prefix(err, "properties_file: ");
	tap_buf_addc(&text, '\0');
	for (line = text.p; rc == TAP_OK && line != NULL && !text.failed; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		line[strcspn(line, "\r")] = '\0';
		line += strspn(line, " \t");
		if (*line != '\0' && *line != '#')
			rc = put_line(conf, line, err);
	}
	if (text.p != NULL)
		explicit_bzero(text.p, text.len);
	tap_buf_free(&text);
	return rc;
}

static enum tap_rc brokers(const struct tap_kafka_set *s, rd_kafka_conf_t *conf,
			   struct tap_err *err)
{
	struct tap_buf all;
	enum tap_rc rc;

	tap_buf_init(&all, FILE_MAX);
	for (size_t i = 0; i < s->brokers.n; i++) {
		if (i > 0)
			tap_buf_addc(&all, ',');
		tap_buf_adds(&all, s->brokers.item[i]);
	}
	rc = put(conf, "bootstrap.servers", tap_buf_cstr(&all), err);
	tap_buf_free(&all);
	return rc;
}

enum tap_rc tap_kafka_conf(const struct tap_kafka_set *s, void **conf_r, struct tap_err *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool sasl = s->security >= 2;
	char size[24];
	enum tap_rc rc = brokers(s, conf, err);

	(void)snprintf(size, sizeof size, "%lld", (long long)s->max_message);
	const struct {
		const char *name, *value;
	} row[] = {
	    {"client.id", "dmarctap"},
	    {"enable.idempotence", "true"},
	    {"linger.ms", "5"},
	    {"compression.codec", codecs[s->compression]},
	    {"message.max.bytes", size},
	    {"security.protocol", securities[s->security]},
	    {"sasl.mechanism", sasl ? mechanisms[s->mechanism] : NULL},
	    {"sasl.username", sasl ? s->user : NULL},
	    {"sasl.password", sasl ? s->password : NULL},
	    {"ssl.ca.location", s->ca},
	    {"ssl.certificate.location", s->certificate},
	    {"ssl.key.location", s->tls_key},
	    {"ssl.key.password", s->key_password},
	    {"enable.ssl.certificate.verification", s->verify ? "true" : "false"},
	    {"ssl.endpoint.identification.algorithm", s->verify ? "https" : "none"},
	};

	for (size_t i = 0; rc == TAP_OK && i < sizeof row / sizeof *row; i++)
		rc = put(conf, row[i].name, row[i].value, err);
	if (rc == TAP_OK)
		rc = put_list(conf, &s->properties, err);
	if (rc == TAP_OK)
		rc = put_file(conf, s->properties_file, err);
	if (rc != TAP_OK) {
		rd_kafka_conf_destroy(conf);
		conf = NULL;
	}
	*conf_r = conf;
	return rc;
}
