/* SPDX-License-Identifier: Apache-2.0
 * outputs/http.h - the one HTTP client of all outputs that speak HTTP, over libcurl: one handle a sink, its connections kept alive.
 * Several hosts: the one that worked last is asked first; one that cannot be reached, or answers 502, 503 or 504, is left alone for
 * DEAD_MS while another one is there. Redirects are not followed. TLS is verified unless `verify` is off. Only http and https.
 * Secrets come from settings with TAP_SET_SECRET (a file or the environment) and never appear in an error: errors name the host alone.
 * Ownership: settings are borrowed until tap_http_close; an answer lives until the next request of the same client.
 * Limits [I7]: the answer's body BODY_MAX (more is an error), its headers, the time (deadline), and a low-speed limit.
 * Errors of tap_http_do: TAP_OK = some host answered, whatever its status. TAP_E_TEMP no answer; TAP_E_CANCELLED not in time;
 * TAP_E_CONFIG what only an operator can mend (certificate refused, CA file missing); TAP_E_LIMIT the answer is too long.
 * Threads: one client, one thread at a time; tap_http_open from any. RFC 9110, 9112, 6585. */
#ifndef TAP_OUTPUTS_HTTP_H
#define TAP_OUTPUTS_HTTP_H

#include "base/buf.h"
#include "base/settings.h"
#include <stdbool.h>
#include <stdint.h>

enum {
	TAP_HTTP_BODY_MAX = 16 * 1024 * 1024,
	TAP_HTTP_DEAD_MS = 30000,
	TAP_HTTP_HOSTS = 64,
	TAP_HTTP_HEADERS = 16
};

struct tap_http_settings {
	struct tap_list
	    url; /* "https://host:9200", with a path in front of every request's if wanted */
	char *user, *password, *api_key, *bearer;
	char *ca, *certificate, *key, *key_password;
	bool verify;
	char *proxy;
	/* Signed (SigV4) when region is set. */
	char *aws_region, *aws_service, *aws_key_id, *aws_secret, *aws_session;
	bool gzip;
	int64_t connect_ms;
};
/* Rows for a driver whose settings struct `st` has a member `struct tap_http_settings http`. URL rows are the driver's own. */
/* clang-format off */
#define TAP_HTTP_ROWS_LOGIN(st) \
	TAP_ROW_STR("user", st, http.user, 0, NULL, "User name for basic authentication."), \
	TAP_ROW_STR("password", st, http.password, TAP_SET_SECRET, NULL, "Its password: \"@/path\" of a file that holds it, or \"$NAME\" of an environment variable."), \
	TAP_ROW_STR("bearer", st, http.bearer, TAP_SET_SECRET, NULL, "Token for `Authorization: Bearer`: \"@/path\" or \"$NAME\".")
#define TAP_HTTP_ROWS_AWS(st, service_default) \
	TAP_ROW_STR("aws_region", st, http.aws_region, 0, NULL, "Sign each request with AWS Signature Version 4 for this region."), \
	TAP_ROW_STR("aws_service", st, http.aws_service, 0, service_default, "The service's name in that signature."), \
	TAP_ROW_STR("aws_key_id", st, http.aws_key_id, 0, NULL, "Access key id."), \
	TAP_ROW_STR("aws_secret", st, http.aws_secret, TAP_SET_SECRET, NULL, "Secret access key: \"@/path\" or \"$NAME\"."), \
	TAP_ROW_STR("aws_session_token", st, http.aws_session, TAP_SET_SECRET, NULL, "Session token of temporary keys: \"@/path\" or \"$NAME\".")
#define TAP_HTTP_ROWS_TLS(st) \
	TAP_ROW_PATH("ca", st, http.ca, TAP_SET_READS, NULL, "PEM file with the authorities that the server's certificate may come from; by default those of the system."), \
	TAP_ROW_BOOL("verify", st, http.verify, 0, "true", "Check the server's certificate and name. false lets anybody in between read and change what is sent."), \
	TAP_ROW_PATH("certificate", st, http.certificate, TAP_SET_READS, NULL, "PEM file with a client certificate."), \
	TAP_ROW_PATH("key", st, http.key, TAP_SET_READS, NULL, "PEM file with its key; by default it stands in certificate."), \
	TAP_ROW_STR("key_password", st, http.key_password, TAP_SET_SECRET, NULL, "Password of that key: \"@/path\" or \"$NAME\"."), \
	TAP_ROW_STR("proxy", st, http.proxy, TAP_SET_SECRET, NULL, "URL of a proxy. Without it none is used, whatever the environment says."), \
	TAP_ROW_TIME("connect_timeout", st, http.connect_ms, 0, "10s", 100, 300000, "The longest time that one connection may take to come about.")
#define TAP_HTTP_ROWS_COMMON(st) \
	TAP_HTTP_ROWS_TLS(st), \
	TAP_ROW_BOOL("gzip", st, http.gzip, 0, "true", "Compress what is sent.")
/* clang-format on */

/* The rules across these settings: a user needs no bearer beside it, each URL is one, AWS keys are complete. */
enum tap_rc tap_http_check(const struct tap_http_settings *set, struct tap_err *err);

struct tap_http_request {
	const char *method; /* "POST" */
	const char *path;   /* behind the URL: "/_bulk"; NULL = the URL as it stands */
	const char *content_type;
	const char *const *
	    headers; /* "Name: value" lines more, NULL-terminated, at most TAP_HTTP_HEADERS; NULL = none */
	const void *body;
	size_t len;
	bool
	    plain; /* never compressed, whatever the settings say (S3: the hash is of what is sent) */
};
struct tap_http_answer {
	long status;
	const char *body; /* NUL-terminated */
	size_t len;
	int64_t retry_after_ms; /* -1 = not said; at most an hour */
	const char *host;	/* "https://host:9200": which one answered */
	const char *etag;	/* "" = none */
};
struct tap_http;
enum tap_rc tap_http_open(const struct tap_http_settings *set, struct tap_http **h_r,
			  struct tap_err *err) TAP_MUST_CHECK;
enum tap_rc tap_http_do(struct tap_http *h, const struct tap_http_request *q, int64_t deadline_ms,
			struct tap_http_answer *a_r, struct tap_err *err) TAP_MUST_CHECK;
void tap_http_close(struct tap_http **h); /* NULL-safe, sets NULL */

/* What a status means for a whole request: TAP_OK 2xx · TAP_E_CONFIG 401 403 404 405 and redirects · TAP_E_LIMIT 413 · TAP_E_DATA other
 * 4xx · TAP_E_TEMP 408 425 429 5xx and what is no status. err gets "HOST answered 503: …" with the first words of the body. */
enum tap_rc tap_http_class(const struct tap_http_answer *a, struct tap_err *err);

#endif
