/* SPDX-License-Identifier: Apache-2.0
 * dashboard/web.c - see web.h. Requests that libmicrohttpd itself refuses (malformed, headers over its memory limit) get its own
 * short fixed text; everything else passes on_request below. */
#include "dashboard/web.h"

#include "base/io.h"
#include "base/log.h"
#include "dashboard/api.h"
#include "dashboard/assets.h"
#include "dashboard/host.h"
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	URL_MAX = 2048, /* path and query string; the longest that makes sense is under 400 */
	CONNECTION_MEMORY = 32 * 1024, /* request line and headers of one connection */
};

struct tap_web {
	struct MHD_Daemon *daemon;
	const struct tap_web_settings *set;
	struct tap_api api;
	const char *listen_name;
};

/* On every answer of ours. The page has no inline script or style, talks to its own origin and is framed by nobody. */
static const struct {
	const char *name, *value;
} always[] = {
    {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src "
				"'self' data:; connect-src 'self'; "
				"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"X-Frame-Options", "DENY"},
};

/* What on_uri found in the raw request target, before any decoding; its address is the request's context. */
enum { URI_OK, URI_LONG, URI_BAD };
static const int uri_verdicts[] = {URI_OK, URI_LONG, URI_BAD};

struct answer {
	unsigned status;
	const char *type, *etag, *cache, *allow;
	struct MHD_Response *response;
};

/* --- answers ---------------------------------------------------------------------------------------------------- */

static enum MHD_Result send_answer(struct MHD_Connection *conn, struct answer *a)
{
	enum MHD_Result ok = MHD_NO;

	if (!a->response)
		return MHD_NO; /* out of memory: the connection is closed */
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		MHD_add_response_header(a->response, always[i].name, always[i].value);
	MHD_add_response_header(a->response, "Cache-Control", a->cache ? a->cache : "no-store");
	if (a->type)
		MHD_add_response_header(a->response, "Content-Type", a->type);
	if (a->etag)
		MHD_add_response_header(a->response, "ETag", a->etag);
	if (a->allow) {
		MHD_add_response_header(a->response, "Allow", a->allow);
		/* A body that came with the method is not read. */
		MHD_add_response_header(a->response, "Connection", "close");
	}
	ok = MHD_queue_response(conn, a->status, a->response);
	MHD_destroy_response(a->response);
	return ok;
}

/* Takes the buffer's memory. */
static enum MHD_Result send_json(struct MHD_Connection *conn, unsigned status, struct tap_buf *body,
				 const char *allow)
{
	struct answer a = {
	    .status = status, .type = "application/json; charset=utf-8", .allow = allow};

	a.response = MHD_create_response_from_buffer(body->len, body->p, MHD_RESPMEM_MUST_COPY);
	tap_buf_free(body);
	return send_answer(conn, &a);
}

static enum MHD_Result send_error(struct MHD_Connection *conn, unsigned status, const char *text,
				  const char *allow)
{
	struct tap_buf body;

	tap_buf_init(&body, 8192);
	tap_api_error(&body, text);
	return send_json(conn, status, &body, allow);
}

/* --- the page --------------------------------------------------------------------------------------------------- */

static const struct tap_asset *find_asset(const char *path)
{
	for (const struct tap_asset *a = tap_assets; a->path; a++) {
		if (strcmp(a->path, path) == 0)
			return a;
	}
	return NULL;
}

static enum MHD_Result send_asset(struct MHD_Connection *conn, const struct tap_asset *asset)
{
	const char *known = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "If-None-Match");
	/* no-cache: kept, but asked for each time, so that an upgrade of the program is seen at once. */
	struct answer a = {
	    .status = MHD_HTTP_OK, .type = asset->type, .etag = asset->etag, .cache = "no-cache"};

	if (known && strstr(known, asset->etag)) {
		a.status = MHD_HTTP_NOT_MODIFIED;
		a.type = NULL;
		a.response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	} else {
		a.response = MHD_create_response_from_buffer(
		    asset->len, (void *)(uintptr_t)asset->bytes, MHD_RESPMEM_PERSISTENT);
	}
	return send_answer(conn, &a);
}

/* --- the API ---------------------------------------------------------------------------------------------------- */

struct params_ctx {
	struct tap_params *p;
	unsigned allowed;
	enum tap_rc rc;
	struct tap_err *err;
};

static enum MHD_Result on_param(void *cls, enum MHD_ValueKind kind, const char *name,
				size_t name_len, const char *value, size_t value_len)
{
	struct params_ctx *c = cls;

	(void)kind;
	if (strlen(name) != name_len)
		c->rc = tap_err_set(c->err, TAP_E_DATA, "unknown parameter");
	else
		c->rc = tap_params_add(c->p, c->allowed, name, value, value_len, c->err);
	return c->rc == TAP_OK ? MHD_YES : MHD_NO;
}

static enum MHD_Result send_api(const struct tap_web *w, struct MHD_Connection *conn,
				const struct tap_api_endpoint *e)
{
	struct tap_err err = {0};
	struct tap_params p;
	struct params_ctx c = {.p = &p, .rc = TAP_OK, .err = &err};
	struct tap_buf body;
	unsigned status;

	c.allowed = tap_api_params(e, &p);
	MHD_get_connection_values_n(conn, MHD_GET_ARGUMENT_KIND, on_param, &c);
	if (c.rc != TAP_OK)
		return send_error(conn, MHD_HTTP_BAD_REQUEST, err.msg, NULL);
	tap_buf_init(&body, TAP_API_ANSWER_MAX);
	status = tap_api_answer(&w->api, e, &p, &body);
	return send_json(conn, status, &body, NULL);
}

/* --- what is let in --------------------------------------------------------------------------------------------- */

struct host_ctx {
	const char *value;
	unsigned n;
};

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
				 const char *value)
{
	struct host_ctx *c = cls;

	(void)kind;
	if (strcasecmp(name, "Host") == 0) {
		c->value = value;
		c->n++;
	}
	return MHD_YES;
}

/* A page of a foreign name that was made to point at this machine (DNS rebinding) is told apart by the Host header alone. */
static const char *host_problem(const struct tap_web *w, struct MHD_Connection *conn)
{
	struct host_ctx c = {NULL, 0};

	MHD_get_connection_values(conn, MHD_HEADER_KIND, on_header, &c);
	if (c.n != 1 || !c.value)
		return "exactly one Host header is needed";
	if (!tap_host_allowed(c.value, w->listen_name, &w->set->hosts))
		return "this server is not called by that name; the administrator can allow it "
		       "with web.hosts";
	return NULL;
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
	int verdict = URI_OK;

	(void)cls, (void)conn;
	if (strlen(uri) > URL_MAX)
		verdict = URI_LONG;
	else if (uri[0] != '/' || memchr(uri, '%', strcspn(uri, "?")))
		/* No path of ours needs an escape, and none is decoded for comparison. */
		verdict = URI_BAD;
	return (void *)(uintptr_t)&uri_verdicts[verdict];
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **ctx)
{
	const struct tap_web *w = cls;
	const int *uri = *ctx;
	const struct tap_api_endpoint *e;
	const struct tap_asset *asset;
	const char *problem;

	(void)version, (void)upload, (void)upload_size;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return send_error(conn, MHD_HTTP_METHOD_NOT_ALLOWED,
				  "only GET and HEAD are answered here", "GET, HEAD");
	if (uri && *uri == URI_LONG)
		return send_error(conn, MHD_HTTP_URI_TOO_LONG, "the address is too long", NULL);
	problem = host_problem(w, conn);
	if (problem)
		return send_error(conn, MHD_HTTP_FORBIDDEN, problem, NULL);
	if (!uri || *uri == URI_BAD)
		return send_error(conn, MHD_HTTP_NOT_FOUND, "there is nothing at this path", NULL);
	asset = find_asset(url);
	if (asset)
		return send_asset(conn, asset);
	e = tap_api_find(url);
	if (e)
		return send_api(w, conn, e);
	return send_error(conn, MHD_HTTP_NOT_FOUND, "there is nothing at this path", NULL);
}

/* --- start and stop --------------------------------------------------------------------------------------------- */

TAP_PRINTF(2, 0) static void on_log(void *cls, const char *fmt, va_list ap)
{
	char line[256];
	size_t n;

	(void)cls;
	vsnprintf(line, sizeof(line), fmt, ap);
	n = strlen(line);
	while (n > 0 && line[n - 1] == '\n')
		line[--n] = '\0';
	tap_debug("web", "%s", line);
}

enum tap_rc tap_web_start(const struct tap_web_settings *set, const char *store_path, int listen_fd,
			  const char *listen_name, struct tap_web **w_r, struct tap_err *err)
{
	struct tap_web *w = calloc(1, sizeof(*w));
	unsigned timeout = (unsigned)((set->idle_ms + 999) / 1000);

	*w_r = NULL;
	if (!w) {
		tap_io_close(&listen_fd);
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	}
	w->set = set;
	w->api.store_path = store_path;
	w->api.query_ms = set->query_ms;
	w->listen_name = listen_name;
	w->daemon = MHD_start_daemon(
	    MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL,
	    on_request, w, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
	    listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL, MHD_OPTION_THREAD_POOL_SIZE,
	    (unsigned)set->threads, MHD_OPTION_CONNECTION_LIMIT, (unsigned)set->connections,
	    MHD_OPTION_CONNECTION_TIMEOUT, timeout, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)CONNECTION_MEMORY, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!w->daemon) {
		tap_io_close(&listen_fd);
		free(w);
		return tap_err_set(err, TAP_E_TEMP, "the HTTP server did not start");
	}
	*w_r = w;
	return TAP_OK;
}

void tap_web_stop(struct tap_web **w)
{
	if (!w || !*w)
		return;
	MHD_stop_daemon((*w)->daemon); /* closes the listening socket too */
	free(*w);
	*w = NULL;
}
