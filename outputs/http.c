/* SPDX-License-Identifier: Apache-2.0
 * outputs/http.c - see http.h. Every option is set anew for each request (curl_easy_reset keeps the connections alone), so that nothing
 * of one request can leak into the next. */
#include "outputs/http.h"

#include "base/clock.h"
#include "base/sha256.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

enum {
	NAME_SIZE = 300,
	PACKED_MAX = 128 * 1024 * 1024,
	PACK_FROM = 512, /* bytes: below, compression gains nothing */
	PACK_LEVEL = 1,	 /* three times as fast as the default for a few per cent more bytes */
	HEADER_SIZE = 8192 + 64,
	SLOW_BYTES = 8, /* a second, for SLOW_SECONDS: the peer plays for time */
	SLOW_SECONDS = 60,
	WAIT_MOST_S = 3600,
	EXCERPT = 200,
	ETAG_SIZE = 128
};

struct host {
	char *base; /* URL without a slash at its end */
	char name[NAME_SIZE];
	int64_t dead_until, wait_until; /* monotonic ms */
};
struct tap_http {
	const struct tap_http_settings *set;
	CURL *curl;
	struct host host[TAP_HTTP_HOSTS];
	size_t n, now;
	struct tap_buf answer, packed, url;
	z_stream z;
	bool z_ready;
	char text[CURL_ERROR_SIZE], etag[ETAG_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- settings ---- */

/* "https://host:9200" of a URL, and whether it is one that may be asked. */
static enum tap_rc take_url(const char *url, char name[NAME_SIZE], struct tap_err *err)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL, *query = NULL;
	enum tap_rc rc = TAP_OK;

	if (u == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	if (curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || *host == '\0' ||
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
	    (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		rc = tap_err_set(err, TAP_E_CONFIG,
				 "a URL must be like \"https://host:9200\", http or https");
	else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK)
		rc = tap_err_set(err, TAP_E_CONFIG,
				 "the URL for %s holds a user name or password: these have "
				 "settings of their own",
				 host);
	else
		(void)snprintf(name, NAME_SIZE, "%s://%s:%s", scheme, host, port);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(user);
	curl_free(query);
	curl_url_cleanup(u);
	return rc;
}

/* What would end a header line, or begin another. */
static bool clean(const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7F)
			return false;
	return true;
}

enum tap_rc tap_http_check(const struct tap_http_settings *s, struct tap_err *err)
{
	const char *const text[] = {s->user,	   s->password,	  s->api_key,	  s->bearer,
				    s->proxy,	   s->aws_region, s->aws_service, s->aws_key_id,
				    s->aws_secret, s->aws_session};
	int ways = (s->user != NULL) + (s->api_key != NULL) + (s->bearer != NULL) +
		   (s->aws_region != NULL);
	char name[NAME_SIZE];

	(void)pthread_once(&once, start_curl);
	if (s->url.n == 0 || s->url.n > TAP_HTTP_HOSTS)
		return tap_err_set(err, TAP_E_CONFIG, "1 to %d URLs are needed", TAP_HTTP_HOSTS);
	for (size_t i = 0; i < s->url.n; i++)
		if (take_url(s->url.item[i], name, err) != TAP_OK)
			return TAP_E_CONFIG;
	for (size_t i = 0; i < sizeof text / sizeof *text; i++)
		if (!clean(text[i]))
			return tap_err_set(err, TAP_E_CONFIG,
					   "a name, key or password holds a control character");
	if (ways > 1)
		return tap_err_set(err, TAP_E_CONFIG,
				   "only one of user, api_key, bearer and aws_region can be used");
	if ((s->user == NULL) != (s->password == NULL))
		return tap_err_set(err, TAP_E_CONFIG, "user and password belong together");
	if (s->aws_region != NULL && (s->aws_key_id == NULL || s->aws_secret == NULL))
		return tap_err_set(err, TAP_E_CONFIG, "aws_region needs aws_key_id and aws_secret");
	if (s->key != NULL && s->certificate == NULL)
		return tap_err_set(err, TAP_E_CONFIG, "key needs certificate");
	return TAP_OK;
}

/* ---- life ---- */

void tap_http_close(struct tap_http **hp)
{
	struct tap_http *h = *hp;

	if (h == NULL)
		return;
	curl_easy_cleanup(h->curl);
	for (size_t i = 0; i < h->n; i++)
		free(h->host[i].base);
	if (h->z_ready)
		(void)deflateEnd(&h->z);
	tap_buf_free(&h->answer);
	tap_buf_free(&h->packed);
	tap_buf_free(&h->url);
	free(h);
	*hp = NULL;
}

static enum tap_rc add_host(struct tap_http *h, const char *url, struct tap_err *err)
{
	struct host *x = &h->host[h->n];
	size_t n = strlen(url);
	enum tap_rc rc = take_url(url, x->name, err);

	if (rc != TAP_OK)
		return rc;
	while (n > 0 && url[n - 1] == '/')
		n--;
	x->base = strndup(url, n);
	if (x->base == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	h->n++;
	return TAP_OK;
}

enum tap_rc tap_http_open(const struct tap_http_settings *set, struct tap_http **h_r,
			  struct tap_err *err)
{
	struct tap_http *h = calloc(1, sizeof *h);
	enum tap_rc rc = TAP_OK;

	*h_r = NULL;
	(void)pthread_once(&once, start_curl);
	if (h == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	h->set = set;
	tap_buf_init(&h->answer, TAP_HTTP_BODY_MAX);
	tap_buf_init(&h->packed, PACKED_MAX);
	tap_buf_init(&h->url, HEADER_SIZE);
	h->curl = curl_easy_init();
	h->z_ready =
	    deflateInit2(&h->z, PACK_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	if (h->curl == NULL || !h->z_ready)
		rc = tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (size_t i = 0; rc == TAP_OK && i < set->url.n && i < TAP_HTTP_HOSTS; i++)
		rc = add_host(h, set->url.item[i], err);
	if (rc != TAP_OK)
		tap_http_close(&h);
	*h_r = h;
	return rc;
}

/* ---- one request ---- */

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct tap_http *h = ctx;

	tap_buf_add(&h->answer, p, size * n);
	return h->answer.failed ? 0 : size * n;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct tap_http *h = ctx;
	size_t len = size * n;

	if (len > 5 && len < ETAG_SIZE && strncasecmp(p, "etag:", 5) == 0) {
		while (len > 0 && (unsigned char)p[len - 1] <= ' ')
			len--;
		for (p += 5, len -= len < 5 ? len : 5; len > 0 && *p == ' '; p++)
			len--;
		memcpy(h->etag, p, len);
		h->etag[len] = '\0';
	}
	return size * n;
}

struct parcel {
	const void *body;
	size_t len;
	bool packed;
};

static bool pack(struct tap_http *h, const struct tap_http_request *q, struct parcel *out)
{
	uLong most = deflateBound(&h->z, q->len);

	*out = (struct parcel){.body = q->body, .len = q->len};
	if (!h->set->gzip || q->plain || q->len < PACK_FROM)
		return true;
	tap_buf_reset(&h->packed);
	if (q->len > UINT32_MAX / 2 || deflateReset(&h->z) != Z_OK ||
	    !tap_buf_reserve(&h->packed, most))
		return false;
	h->z.next_in = (Bytef *)(uintptr_t)q->body;
	h->z.avail_in = (uInt)q->len;
	h->z.next_out = (Bytef *)h->packed.p;
	h->z.avail_out = (uInt)most;
	if (deflate(&h->z, Z_FINISH) != Z_STREAM_END)
		return false;
	*out = (struct parcel){
	    .body = h->packed.p, .len = (size_t)most - h->z.avail_out, .packed = true};
	return true;
}

static void add_line(struct curl_slist **l, bool *ok, const char *name, const char *value)
{
	char line[HEADER_SIZE];
	int n = snprintf(line, sizeof line, "%s%s", name, value != NULL ? value : "");
	struct curl_slist *more =
	    n > 0 && (size_t)n < sizeof line ? curl_slist_append(*l, line) : NULL;

	explicit_bzero(line, sizeof line);
	*ok = *ok && more != NULL;
	if (more != NULL)
		*l = more;
}

static bool has_header(const struct tap_http_request *q, const char *name)
{
	for (size_t i = 0; q->headers != NULL && q->headers[i] != NULL; i++)
		if (strncasecmp(q->headers[i], name, strlen(name)) == 0)
			return true;
	return false;
}

static struct curl_slist *headers_of(const struct tap_http *h, const struct tap_http_request *q,
				     const struct parcel *p)
{
	const struct tap_http_settings *s = h->set;
	struct curl_slist *l = NULL;
	bool ok = true;

	/* Waiting for "100 Continue" costs a second where the server does not know it. */
	add_line(&l, &ok, "Expect:", NULL);
	add_line(&l, &ok, "User-Agent: dmarctap/" TAP_VERSION, NULL);
	if (q->content_type != NULL)
		add_line(&l, &ok, "Content-Type: ", q->content_type);
	if (p->packed)
		add_line(&l, &ok, "Content-Encoding: gzip", NULL);
	if (s->bearer != NULL)
		add_line(&l, &ok, "Authorization: Bearer ", s->bearer);
	if (s->api_key != NULL)
		add_line(&l, &ok, "Authorization: ApiKey ", s->api_key);
	if (s->aws_region != NULL && s->aws_session != NULL)
		add_line(&l, &ok, "x-amz-security-token: ", s->aws_session);
	if (s->aws_region != NULL && !has_header(q, "x-amz-content-sha256:")) {
		unsigned char sum[TAP_SHA256_BYTES];
		char hex[TAP_SHA256_HEX];
		struct tap_sha256 c;

		tap_sha256_init(&c);
		tap_sha256_update(&c, p->body != NULL ? p->body : "", p->len);
		tap_sha256_final(&c, sum);
		tap_hex(sum, sizeof sum, hex);
		add_line(&l, &ok, "x-amz-content-sha256: ", hex);
	}
	for (size_t i = 0; q->headers != NULL && q->headers[i] != NULL && i < TAP_HTTP_HEADERS; i++)
		add_line(&l, &ok, q->headers[i], NULL);
	if (ok)
		return l;
	curl_slist_free_all(l);
	return NULL;
}

static void set_tls(const struct tap_http *h)
{
	const struct tap_http_settings *s = h->set;

	(void)curl_easy_setopt(h->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(h->curl, CURLOPT_SSL_VERIFYPEER, s->verify ? 1L : 0L);
	(void)curl_easy_setopt(h->curl, CURLOPT_SSL_VERIFYHOST, s->verify ? 2L : 0L);
	if (s->ca != NULL)
		(void)curl_easy_setopt(h->curl, CURLOPT_CAINFO, s->ca);
	if (s->certificate != NULL)
		(void)curl_easy_setopt(h->curl, CURLOPT_SSLCERT, s->certificate);
	if (s->key != NULL)
		(void)curl_easy_setopt(h->curl, CURLOPT_SSLKEY, s->key);
	if (s->key_password != NULL)
		(void)curl_easy_setopt(h->curl, CURLOPT_KEYPASSWD, s->key_password);
}

static void set_login(const struct tap_http *h)
{
	const struct tap_http_settings *s = h->set;
	char sign[NAME_SIZE];

	if (s->user != NULL) {
		(void)curl_easy_setopt(h->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		(void)curl_easy_setopt(h->curl, CURLOPT_USERNAME, s->user);
		(void)curl_easy_setopt(h->curl, CURLOPT_PASSWORD, s->password);
	}
	if (s->aws_region != NULL) {
		(void)snprintf(sign, sizeof sign, "aws:amz:%s:%s", s->aws_region,
			       s->aws_service != NULL ? s->aws_service : "es");
		(void)curl_easy_setopt(h->curl, CURLOPT_AWS_SIGV4, sign);
		(void)curl_easy_setopt(h->curl, CURLOPT_USERNAME, s->aws_key_id);
		(void)curl_easy_setopt(h->curl, CURLOPT_PASSWORD, s->aws_secret);
	}
}

static void set_method(const struct tap_http *h, const struct tap_http_request *q,
		       const struct parcel *p)
{
	if (strcmp(q->method, "HEAD") == 0) {
		(void)curl_easy_setopt(h->curl, CURLOPT_NOBODY, 1L);
		return;
	}
	if (strcmp(q->method, "GET") == 0 && p->len == 0)
		return;
	(void)curl_easy_setopt(h->curl, CURLOPT_POST, 1L);
	(void)curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, p->len > 0 ? p->body : "");
	(void)curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->len);
	if (strcmp(q->method, "POST") != 0)
		(void)curl_easy_setopt(h->curl, CURLOPT_CUSTOMREQUEST, q->method);
}

static void set_rest(struct tap_http *h, int64_t wait_ms)
{
	CURL *c = h->curl;
	int64_t connect = h->set->connect_ms > 0 ? h->set->connect_ms : wait_ms;

	(void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(c, CURLOPT_PROXY, h->set->proxy != NULL ? h->set->proxy : "");
	(void)curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)wait_ms);
	(void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
			       (long)(connect < wait_ms ? connect : wait_ms));
	(void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
	(void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)SLOW_SECONDS);
	(void)curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "gzip");
	(void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->text);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, (void *)h);
	(void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(c, CURLOPT_HEADERDATA, (void *)h);
}

/* Texts of libcurl name hosts, files and certificates, never what the settings hold as a secret. */
static enum tap_rc transport_error(const struct tap_http *h, const struct host *x, CURLcode c,
				   int64_t deadline_ms, struct tap_err *err)
{
	static const CURLcode operator[] = {
	    CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE,
	    CURLE_SSL_ISSUER_ERROR,	    CURLE_URL_MALFORMAT,   CURLE_UNSUPPORTED_PROTOCOL};
	const char *text = h->text[0] != '\0' ? h->text : curl_easy_strerror(c);
	enum tap_rc rc = TAP_E_TEMP;

	if (c == CURLE_WRITE_ERROR && h->answer.failed)
		return tap_err_set(err, TAP_E_LIMIT, "%s: the answer is longer than %d bytes",
				   x->name, TAP_HTTP_BODY_MAX);
	if (c == CURLE_OPERATION_TIMEDOUT && tap_clock_mono_ms() >= deadline_ms)
		rc = TAP_E_CANCELLED;
	for (size_t i = 0; i < sizeof operator/ sizeof * operator; i++)
		if (c == operator[i])
			rc = TAP_E_CONFIG;
	return tap_err_set(err, rc, "%s: %s", x->name, text);
}

static enum tap_rc ask(struct tap_http *h, struct host *x, const struct tap_http_request *q,
		       const struct parcel *p, int64_t until_ms, int64_t deadline_ms,
		       struct tap_http_answer *a, struct tap_err *err)
{
	struct curl_slist *l = headers_of(h, q, p);
	int64_t wait_ms = until_ms - tap_clock_mono_ms();
	curl_off_t later = 0;
	CURLcode c;

	if (l == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory, or a header is too long");
	tap_buf_reset(&h->answer);
	tap_buf_reset(&h->url);
	tap_buf_adds(&h->url, x->base);
	tap_buf_adds(&h->url, q->path != NULL ? q->path : "");
	h->text[0] = h->etag[0] = '\0';
	curl_easy_reset(h->curl);
	(void)curl_easy_setopt(h->curl, CURLOPT_URL, tap_buf_cstr(&h->url));
	set_rest(h, wait_ms > 1 ? wait_ms : 1);
	set_tls(h);
	set_login(h);
	set_method(h, q, p);
	(void)curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, l);
	c = curl_easy_perform(h->curl);
	curl_slist_free_all(l);
	if (c != CURLE_OK)
		return transport_error(h, x, c, deadline_ms, err);
	*a = (struct tap_http_answer){.retry_after_ms = -1, .host = x->name, .etag = h->etag};
	(void)curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &a->status);
	(void)curl_easy_getinfo(h->curl, CURLINFO_RETRY_AFTER, &later);
	if (later > 0)
		a->retry_after_ms = 1000 * (later < WAIT_MOST_S ? later : WAIT_MOST_S);
	a->body = tap_buf_cstr(&h->answer);
	a->len = h->answer.len;
	return TAP_OK;
}

static bool busy(long status)
{
	return status == 502 || status == 503 || status == 504;
}

/* The next host to ask, beginning with the one that worked last; those that are taken for dead only when nobody else is left. */
static struct host *pick(struct tap_http *h, uint64_t asked, int64_t now_ms)
{
	for (int dead_too = 0; dead_too < 2; dead_too++)
		for (size_t k = 0; k < h->n; k++) {
			size_t i = (h->now + k) % h->n;
			struct host *x = &h->host[i];

			if ((asked & ((uint64_t)1 << i)) == 0 && x->wait_until <= now_ms &&
			    (dead_too || x->dead_until <= now_ms))
				return x;
		}
	return NULL;
}

static enum tap_rc nobody(const struct tap_http *h, int64_t now_ms, struct tap_err *err)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < h->n; i++)
		least = h->host[i].wait_until < least ? h->host[i].wait_until : least;
	return tap_err_set(err, TAP_E_TEMP, "%s asked to be left alone for %lld s more",
			   h->host[h->now].name, (long long)((least - now_ms + 999) / 1000));
}

enum tap_rc tap_http_do(struct tap_http *h, const struct tap_http_request *q, int64_t deadline_ms,
			struct tap_http_answer *a_r, struct tap_err *err)
{
	struct parcel p;
	uint64_t asked = 0;
	enum tap_rc rc = TAP_E_TEMP;
	struct host *x;

	*a_r = (struct tap_http_answer){.retry_after_ms = -1};
	if (!pack(h, q, &p))
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (size_t tried = 0; tried < h->n; tried++) {
		int64_t now = tap_clock_mono_ms(), left = deadline_ms - now;

		x = pick(h, asked, now);
		if (x == NULL)
			return tried > 0 ? rc : nobody(h, now, err);
		if (left <= 0)
			return tried > 0 ? rc
					 : tap_err_set(err, TAP_E_CANCELLED, "no time is left");
		asked |= (uint64_t)1 << (x - h->host);
		/* A host that hangs must leave time for the others. */
		rc = ask(h, x, q, &p, now + left / (int64_t)(h->n - tried), deadline_ms, a_r, err);
		if (rc == TAP_OK && a_r->retry_after_ms > 0 &&
		    (a_r->status == 429 || a_r->status == 503))
			x->wait_until = tap_clock_mono_ms() + a_r->retry_after_ms;
		if (rc == TAP_OK && !busy(a_r->status)) {
			x->dead_until = 0;
			h->now = (size_t)(x - h->host);
			return TAP_OK;
		}
		x->dead_until = tap_clock_mono_ms() + TAP_HTTP_DEAD_MS;
	}
	return rc;
}

enum tap_rc tap_http_class(const struct tap_http_answer *a, struct tap_err *err)
{
	static const struct {
		long from, to;
		enum tap_rc rc;
	} table[] = {{200, 299, TAP_OK},       {300, 399, TAP_E_CONFIG}, {401, 401, TAP_E_CONFIG},
		     {403, 405, TAP_E_CONFIG}, {407, 407, TAP_E_CONFIG}, {408, 408, TAP_E_TEMP},
		     {413, 413, TAP_E_LIMIT},  {425, 425, TAP_E_TEMP},	 {429, 429, TAP_E_TEMP},
		     {400, 499, TAP_E_DATA}};
	enum tap_rc rc = TAP_E_TEMP;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (a->status >= table[i].from && a->status <= table[i].to) {
			rc = table[i].rc;
			break;
		}
	if (rc == TAP_OK)
		return rc;
	return tap_err_set(err, rc, "%s answered %ld%s%.*s", a->host, a->status,
			   a->len > 0 ? ": " : "", (int)(a->len < EXCERPT ? a->len : EXCERPT),
			   a->body);
}
