/* SPDX-License-Identifier: Apache-2.0
 * outputs/smtp.c - see smtp.h. */
#include "outputs/smtp.h"

#include "base/clock.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REPLY = 200, URL_SIZE = 700, CONNECT_MS = 10000 };

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- settings ---- */

/* A name, an address, or an address in brackets: what means nothing else within a URL. */
static bool host_ok(const char *s)
{
	static const char all[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	size_t n = strlen(s);

	if (n > 2 && s[0] == '[' && s[n - 1] == ']')
		return n < 60 && strspn(s + 1, "0123456789abcdefABCDEF:.") == n - 2;
	return n > 0 && n < 256 && strspn(s, all) == n;
}

static bool local(const char *host)
{
	return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
	       strcmp(host, "[::1]") == 0;
}

static bool clean(const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7F)
			return false;
	return true;
}

enum tap_rc tap_smtp_check(const struct tap_smtp_settings *s, struct tap_err *err)
{
	if (s->host == NULL || !host_ok(s->host))
		return tap_err_set(err, TAP_E_CONFIG,
				   "host must be a name or an address (\"[2001:db8::1]\")");
	if (s->helo != NULL && !host_ok(s->helo))
		return tap_err_set(err, TAP_E_CONFIG, "helo must be a name");
	if (!clean(s->user) || !clean(s->password))
		return tap_err_set(err, TAP_E_CONFIG, "user or password holds a control character");
	if ((s->user == NULL) != (s->password == NULL))
		return tap_err_set(err, TAP_E_CONFIG, "user and password belong together");
	if (s->user != NULL && s->tls == TAP_SMTP_NO_TLS && !local(s->host))
		return tap_err_set(err, TAP_E_CONFIG,
				   "a password does not go over the network without TLS");
	return TAP_OK;
}

/* ---- one mail ---- */

struct talk {
	const struct tap_smtp_mail *mail;
	size_t at;
	bool begun;	   /* MAIL FROM was sent: from here on a reply is about this mail */
	char reply[REPLY]; /* the last that said no; behind it may come one to QUIT */
	char text[CURL_ERROR_SIZE];
};

static size_t on_read(char *p, size_t size, size_t n, void *ctx)
{
	struct talk *t = ctx;
	size_t left = t->mail->len - t->at, some = size * n < left ? size * n : left;

	if (some > 0)
		memcpy(p, t->mail->bytes + t->at, some);
	t->at += some;
	return some;
}

static size_t on_write(char *p, size_t size, size_t n, void *ctx)
{
	(void)p;
	(void)ctx;
	return size * n;
}

static void keep_reply(struct talk *t, const char *p, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n && len < REPLY - 1; i++)
		t->reply[len++] = p[i] >= 0x20 && p[i] < 0x7F ? p[i] : ' ';
	while (len > 0 && t->reply[len - 1] == ' ')
		len--;
	t->reply[len] = '\0';
}

/* What libcurl says of the dialogue: of what we send only whether the mail is begun, so that no login can be kept. */
static int on_talk(CURL *c, curl_infotype what, char *p, size_t n, void *ctx)
{
	struct talk *t = ctx;

	(void)c;
	if (what == CURLINFO_HEADER_IN && n > 3 && (*p == '4' || *p == '5'))
		keep_reply(t, p, n);
	else if (what == CURLINFO_HEADER_OUT && n >= 5 && strncasecmp(p, "MAIL ", 5) == 0)
		t->begun = true;
	return 0;
}

static void set_server(CURL *c, const struct tap_smtp_settings *s)
{
	static const int port[] = {587, 465, 25};
	char url[URL_SIZE];

	(void)snprintf(
	    url, sizeof url, "%s://%s:%lld/%s", s->tls == TAP_SMTP_TLS ? "smtps" : "smtp", s->host,
	    (long long)(s->port > 0 ? s->port : port[s->tls]), s->helo != NULL ? s->helo : "");
	(void)curl_easy_setopt(c, CURLOPT_URL, url);
	(void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	(void)curl_easy_setopt(c, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(
	    c, CURLOPT_USE_SSL,
	    (long)(s->tls == TAP_SMTP_NO_TLS ? CURLUSESSL_NONE : CURLUSESSL_ALL));
	(void)curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, s->verify ? 1L : 0L);
	(void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, s->verify ? 2L : 0L);
	if (s->ca != NULL)
		(void)curl_easy_setopt(c, CURLOPT_CAINFO, s->ca);
	if (s->user != NULL) {
		(void)curl_easy_setopt(c, CURLOPT_USERNAME, s->user);
		(void)curl_easy_setopt(c, CURLOPT_PASSWORD, s->password);
	}
}

static void set_rest(CURL *c, struct talk *t, int64_t wait_ms)
{
	(void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)wait_ms);
	(void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
			       (long)(wait_ms < CONNECT_MS ? wait_ms : CONNECT_MS));
	(void)curl_easy_setopt(c, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)(wait_ms / 1000 + 1));
	(void)curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
	(void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->text);
	(void)curl_easy_setopt(c, CURLOPT_VERBOSE, 1L);
	(void)curl_easy_setopt(c, CURLOPT_DEBUGFUNCTION, on_talk);
	(void)curl_easy_setopt(c, CURLOPT_DEBUGDATA, (void *)t);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_write);
	(void)curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
	(void)curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
	(void)curl_easy_setopt(c, CURLOPT_READDATA, (void *)t);
	(void)curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->mail->len);
}

static enum tap_rc by_reply(const struct talk *t, long code)
{
	if (code == 552 || (code >= 500 && strncmp(t->reply + 3, " 5.3.4", 6) == 0))
		return TAP_E_LIMIT;
	if (code == 530 || code == 535 || code == 534 || code == 538)
		return TAP_E_CONFIG;
	return code >= 500 && code < 600 && t->begun ? TAP_E_DATA : TAP_E_TEMP;
}

static enum tap_rc judge(const struct tap_smtp_settings *s, const struct talk *t, CURLcode c,
			 long code, int64_t deadline_ms, struct tap_err *err)
{
	static const CURLcode operator[] = {CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM,
					    CURLE_SSL_CACERT_BADFILE,	    CURLE_SSL_ISSUER_ERROR,
					    CURLE_USE_SSL_FAILED,	    CURLE_URL_MALFORMAT,
					    CURLE_UNSUPPORTED_PROTOCOL};
	const char *text = t->text[0] != '\0' ? t->text : curl_easy_strerror(c);
	bool answered = code >= 400 && code < 600 && strtol(t->reply, NULL, 10) == code;
	enum tap_rc rc = TAP_E_TEMP;

	if (c == CURLE_LOGIN_DENIED)
		rc = answered && code < 500 ? TAP_E_TEMP : TAP_E_CONFIG;
	else if (c == CURLE_OPERATION_TIMEDOUT)
		rc = tap_clock_mono_ms() >= deadline_ms ? TAP_E_CANCELLED : TAP_E_TEMP;
	else if (answered)
		rc = by_reply(t, code);
	for (size_t i = 0; i < sizeof operator/ sizeof * operator; i++)
		if (c == operator[i])
			rc = TAP_E_CONFIG;
	if (answered)
		return tap_err_set(err, rc, "%s answered %s", s->host, t->reply);
	return tap_err_set(err, rc, "%s: %s", s->host, text);
}

enum tap_rc tap_smtp_send(const struct tap_smtp_settings *s, const struct tap_smtp_mail *mail,
			  int64_t deadline_ms, struct tap_err *err)
{
	struct talk t = {.mail = mail};
	struct curl_slist *to = NULL, *more;
	int64_t wait_ms = deadline_ms - tap_clock_mono_ms();
	enum tap_rc rc = TAP_OK;
	long code = 0;
	CURLcode c;
	CURL *curl;

	(void)pthread_once(&once, start_curl);
	if (wait_ms <= 0)
		return tap_err_set(err, TAP_E_CANCELLED, "no time is left");
	curl = curl_easy_init();
	for (size_t i = 0; curl != NULL && rc == TAP_OK && mail->to[i] != NULL; i++) {
		more = curl_slist_append(to, mail->to[i]);
		if (more == NULL)
			rc = TAP_E_TEMP;
		else
			to = more;
	}
	if (curl == NULL || rc != TAP_OK) {
		curl_slist_free_all(to);
		curl_easy_cleanup(curl);
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	}
	set_server(curl, s);
	set_rest(curl, &t, wait_ms);
	(void)curl_easy_setopt(curl, CURLOPT_MAIL_FROM, mail->from);
	(void)curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
	c = curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	if (c != CURLE_OK)
		rc = judge(s, &t, c, code, deadline_ms, err);
	curl_easy_cleanup(curl);
	curl_slist_free_all(to);
	return rc;
}
