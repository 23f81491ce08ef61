/* SPDX-License-Identifier: Apache-2.0
 * outputs/kafka_conf.h - the settings of the driver kafka, and librdkafka's own made of them. Private to outputs/.
 * Ownership: the set is the settings'; a configuration the caller's until rd_kafka_new has taken it. Threads: safe. */
#ifndef TAP_OUTPUTS_KAFKA_CONF_H
#define TAP_OUTPUTS_KAFKA_CONF_H

#include "base/err.h"
#include "base/settings.h"

enum { TAP_KAFKA_KEY_UID, TAP_KAFKA_KEY_DOMAIN };
struct tap_kafka_set {
	struct tap_list brokers, kinds, properties;
	char *topic_aggregate, *topic_failure, *topic_smtp_tls, *topic_feedback;
	int64_t key, security, mechanism, compression, max_message;
	char *user, *password, *ca, *certificate, *tls_key, *key_password, *properties_file;
	bool verify, strip_payloads;
};
extern const struct tap_setting tap_kafka_table[];

/* *conf_r: an rd_kafka_conf_t. TAP_E_CONFIG: a property that librdkafka does not know, or that breaks what this driver promises. */
enum tap_rc tap_kafka_conf(const struct tap_kafka_set *s, void **conf_r,
			   struct tap_err *err) TAP_MUST_CHECK;
const char *tap_kafka_topic(const struct tap_kafka_set *s, unsigned kind);

#endif
