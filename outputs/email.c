/* SPDX-License-Identifier: Apache-2.0
 * outputs/email.c - driver "email": what came since the last summary, as one mail with a readable part and a ZIP archive, at an interval.
 * The driver holds the runner back until the hour has come (hold); then it takes all that there is, mail by mail, and a batch that makes a
 * mail larger than max_size becomes several. Nothing is sent when there is nothing to say. The state says up to when all is said: "v1 TIME".
 * At least once: a mail that is sent again has the same Message-ID and the same ids in it. Recipients come from the configuration alone.
 * Threads: output.h. Limits: MAX_ITEMS, MAX_BYTES of encoded items; max_size. RFC 5321, 5322. */
#include "outputs/drivers.h"

#include "base/clock.h"
#include "base/sha256.h"
#include "outputs/compose.h"
#include "outputs/email_pack.h"
#include "outputs/email_text.h"
#include "outputs/kind_files.h"
#include "outputs/smtp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
	MAX_ITEMS = 10000,
	MAX_BYTES = 24 * 1024 * 1024,
	TEXT_MAX = 256 * 1024,
	DAY_S = 86400,
	WEEK = 7,
	DATE = 40,
	EPOCH_MONDAY = 4, /* 1970-01-05, in days */
	ID_DIGITS = 32
};

struct email_set {
	struct tap_smtp_settings smtp;
	char *from, *subject, *message, *attachment, *at;
	struct tap_list to, cc, bcc, kinds;
	int64_t every_ms, day, max_size;
	bool strip_payloads, guard, samples;
};
static const char *const tls_words[] = {"starttls", "tls", "none", NULL};
static const char *const day_words[] = {"monday", "tuesday",  "wednesday", "thursday",
					"friday", "saturday", "sunday",	   NULL};
/* clang-format off */
static const struct tap_setting email_table[] = {
    TAP_ROW_STR("host", email_set, smtp.host, TAP_SET_REQUIRED, NULL,
		"The mail server that takes the summary: a name or an address."),
    TAP_ROW_INT("port", email_set, smtp.port, 0, "0", 0, 65535,
		"Its port; 0 means 587 with starttls, 465 with tls, 25 with none."),
    TAP_ROW_ENUM("tls", email_set, smtp.tls, 0, "starttls", tls_words,
		 "starttls: begin in the clear and go on only with TLS. tls: TLS from the first byte. none: in the clear, for a mail server on this machine."),
    TAP_ROW_STR("user", email_set, smtp.user, 0, NULL, "User name to log in with."),
    TAP_ROW_STR("password", email_set, smtp.password, TAP_SET_SECRET, NULL,
		"Its password: \"@/path\" of a file that holds it, or \"$NAME\" of an environment variable."),
    TAP_ROW_PATH("ca", email_set, smtp.ca, TAP_SET_READS, NULL,
		 "PEM file with the authorities that the server's certificate may come from; by default those of the system."),
    TAP_ROW_BOOL("verify", email_set, smtp.verify, 0, "true",
		 "Check the server's certificate and name. false lets anybody in between read and change what is sent."),
    TAP_ROW_STR("helo", email_set, smtp.helo, 0, NULL, "The name to greet the server with; by default this machine's."),
    TAP_ROW_STR("from", email_set, from, TAP_SET_REQUIRED, NULL,
		"Who sends: \"reports@example.org\" or \"DMARC reports <reports@example.org>\"."),
    TAP_ROW_LIST("to", email_set, to, TAP_SET_REQUIRED, NULL, "Who gets it, each as in from. All of them, or the mail is not sent."),
    TAP_ROW_LIST("cc", email_set, cc, 0, NULL, "Who gets a copy."),
    TAP_ROW_LIST("bcc", email_set, bcc, 0, NULL, "Who gets a copy that the others do not see."),
    TAP_ROW_STR("subject", email_set, subject, 0, "DMARC results for {date}",
		"The subject; {date} becomes the day in this machine's time, as 2026-06-02."),
    TAP_ROW_STR("message", email_set, message, 0, "Please see the attached zip file.",
		"The text above the summary; {date} as above."),
    TAP_ROW_STR("attachment", email_set, attachment, 0, "DMARC-{date}.zip", "The archive's file name; {date} as above."),
    TAP_ROW_TIME("every", email_set, every_ms, 0, "1d", 1000, 31LL * DAY_S * 1000,
		 "How often. Whole days are sent at the hour that `at` says, weeks on `day`; anything else at multiples of it since midnight of UTC."),
    TAP_ROW_STR("at", email_set, at, 0, "06:00", "The time of day, in this machine's time."),
    TAP_ROW_ENUM("day", email_set, day, 0, "monday", day_words, "The day of the week, where `every` is 7d or a multiple."),
    TAP_ROW_LIST("kinds", email_set, kinds, 0, NULL,
		 "Which reports it holds: aggregate, failure, smtp_tls, feedback. By default aggregate and smtp_tls: failure and feedback "
		 "reports hold personal data."),
    TAP_ROW_BOOL("samples", email_set, samples, 0, "true",
		 "Put the messages of failure and feedback reports into the archive, below samples/."),
    TAP_ROW_BOOL("strip_payloads", email_set, strip_payloads, 0, "true",
		 "Leave out the contents of attachments of those messages in the JSON and CSV files."),
    TAP_ROW_BOOL("guard_formulas", email_set, guard, 0, "true",
		 "Put an apostrophe before what a spreadsheet would run as a formula: the texts come from strangers."),
    TAP_ROW_SIZE("max_size", email_set, max_size, 0, "9M", 256 * 1024, 64LL * 1024 * 1024,
		 "The largest mail, encoded; what does not fit goes into another one."),
    {0}};
/* clang-format on */

/* ---- settings ---- */

static enum tap_rc check_list(const char *what, const struct tap_list *l, struct tap_err *err)
{
	char name[TAP_MAIL_NAME + 1], addr[TAP_MAIL_ADDRESS + 1];

	if (l->n > TAP_MAIL_LIST)
		return tap_err_set(err, TAP_E_CONFIG, "%s: more than %d addresses", what,
				   TAP_MAIL_LIST);
	for (size_t i = 0; i < l->n; i++)
		if (tap_mail_address(l->item[i], name, addr, err) != TAP_OK)
			return tap_err_prefix(err, "%s: ", what);
	return TAP_OK;
}

static bool time_of_day(const char *s, int *hour_r, int *minute_r)
{
	if (strlen(s) != 5 || s[2] != ':' || strspn(s, "0123456789:") != 5 || s[0] == ':' ||
	    s[1] == ':' || s[3] == ':' || s[4] == ':')
		return false;
	*hour_r = (s[0] - '0') * 10 + s[1] - '0';
	*minute_r = (s[3] - '0') * 10 + s[4] - '0';
	return *hour_r < 24 && *minute_r < 60;
}

static enum tap_rc email_check(const void *set, struct tap_err *err)
{
	const struct email_set *s = set;
	struct tap_list from = {.item = (char *[]){s->from}, .n = 1};
	unsigned kinds;
	int hour, minute;
	enum tap_rc rc = tap_smtp_check(&s->smtp, err);

	if (rc == TAP_OK)
		rc = tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE, &kinds, err);
	if (rc == TAP_OK)
		rc = check_list("from", &from, err);
	if (rc == TAP_OK)
		rc = check_list("to", &s->to, err);
	if (rc == TAP_OK)
		rc = check_list("cc", &s->cc, err);
	if (rc == TAP_OK)
		rc = check_list("bcc", &s->bcc, err);
	if (rc == TAP_OK)
		rc = tap_mail_line_check("subject", s->subject, err);
	if (rc == TAP_OK)
		rc = tap_mail_line_check("attachment", s->attachment, err);
	if (rc != TAP_OK)
		return rc;
	if (s->attachment[0] == '\0' || strchr(s->attachment, '/') != NULL)
		return tap_err_set(err, TAP_E_CONFIG, "attachment must be a file name");
	if (!time_of_day(s->at, &hour, &minute))
		return tap_err_set(err, TAP_E_CONFIG, "at must be a time of day like \"06:00\"");
	return TAP_OK;
}

static const struct tap_section email_section = {
    .name = "email",
    .doc = "Mails a summary of what came since the last one, with a ZIP archive of it.",
    .table = email_table,
    .struct_size = sizeof(struct email_set),
    .check = email_check,
};

static unsigned email_wants(const void *set)
{
	const struct email_set *s = set;
	unsigned kinds;

	return tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE | TAP_KIND_SMTP_TLS, &kinds,
				    NULL) == TAP_OK
		   ? kinds
		   : 0;
}

static struct tap_pack_style style_of(const struct email_set *s)
{
	return (struct tap_pack_style){
	    .strip_payloads = s->strip_payloads, .guard = s->guard, .samples = s->samples};
}

static enum tap_rc email_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
				struct tap_err *err)
{
	const struct tap_pack_style style = style_of(set);

	return tap_pack_encode(&style, item, out, err);
}

/* ---- one mail ---- */

struct self {
	const struct email_set *set;
	int64_t done; /* up to when all is said */
	struct tap_buf zip, text, html, mail;
};

static void free_buffers(struct self *e)
{
	tap_buf_free(&e->zip);
	tap_buf_free(&e->text);
	tap_buf_free(&e->html);
	tap_buf_free(&e->mail);
}

/* s with the date in place of {date}. */
static const char *dated(struct tap_buf *b, const char *s, int64_t now)
{
	static const char mark[] = "{date}";
	time_t clock = (time_t)now;
	char date[DATE] = "";
	const char *at;
	struct tm tm;

	if (localtime_r(&clock, &tm) == NULL || strftime(date, sizeof date, "%Y-%m-%d", &tm) == 0)
		date[0] = '\0';
	while ((at = strstr(s, mark)) != NULL) {
		tap_buf_add(b, s, (size_t)(at - s));
		tap_buf_adds(b, date);
		s = at + sizeof mark - 1;
	}
	tap_buf_adds(b, s);
	return tap_buf_cstr(b);
}

static const char *file_name(struct tap_buf *b, const char *s, int64_t now)
{
	const char *name = dated(b, s, now);
	size_t n = b->len;

	if (n < 4 || strcasecmp(name + n - 4, ".zip") != 0)
		tap_buf_adds(b, ".zip");
	return tap_buf_cstr(b);
}

/* The same for the same items, so that a mail that comes twice can be told. */
static void message_id(const char *p, size_t n, const char *from, char out[TAP_MAIL_ADDRESS + 80])
{
	char name[TAP_MAIL_NAME + 1], addr[TAP_MAIL_ADDRESS + 1] = "@localhost",
							      hex[TAP_SHA256_HEX];
	unsigned char sum[TAP_SHA256_BYTES];
	struct tap_sha256 c;

	if (tap_mail_address(from, name, addr, NULL) != TAP_OK)
		addr[0] = '\0'; /* cannot be: it was checked; then compose refuses it */
	tap_sha256_init(&c);
	tap_sha256_update(&c, p, n);
	tap_sha256_final(&c, sum);
	tap_hex(sum, sizeof sum, hex);
	(void)snprintf(out, TAP_MAIL_ADDRESS + 80, "dmarctap.%.*s%s", ID_DIGITS, hex,
		       strchrnul(addr, '@'));
}

static enum tap_rc hand_over(struct self *e, int64_t deadline_ms, struct tap_err *err)
{
	const struct email_set *s = e->set;
	const struct tap_list *const lists[] = {&s->to, &s->cc, &s->bcc};
	char name[TAP_MAIL_NAME + 1], from[TAP_MAIL_ADDRESS + 1];
	char(*addr)[TAP_MAIL_ADDRESS + 1] = calloc(3 * TAP_MAIL_LIST, sizeof *addr);
	const char *to[3 * TAP_MAIL_LIST + 1];
	size_t n = 0;
	enum tap_rc rc = tap_mail_address(s->from, name, from, err);

	if (addr == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (size_t l = 0; l < 3; l++)
		for (size_t i = 0; rc == TAP_OK && i < lists[l]->n && i < TAP_MAIL_LIST; i++) {
			rc = tap_mail_address(lists[l]->item[i], name, addr[n], err);
			to[n] = addr[n];
			n++;
		}
	to[n] = NULL;
	if (rc == TAP_OK) {
		const struct tap_smtp_mail mail = {
		    .from = from, .to = to, .bytes = e->mail.p, .len = e->mail.len};

		rc = tap_smtp_send(&s->smtp, &mail, deadline_ms, err);
	}
	free(addr);
	return rc;
}

static enum tap_rc write_mail(struct self *e, const char *bytes, const size_t *ofs, size_t first,
			      size_t n, struct tap_err *err)
{
	const struct email_set *s = e->set;
	const struct tap_pack_style style = style_of(s);
	struct tap_buf subject, file, message;
	char id[TAP_MAIL_ADDRESS + 80];
	int64_t now = tap_clock_now();
	enum tap_rc rc;

	tap_buf_reset(&e->zip);
	tap_buf_reset(&e->text);
	tap_buf_reset(&e->html);
	tap_buf_reset(&e->mail);
	tap_buf_init(&subject, 2 * TAP_MAIL_NAME);
	tap_buf_init(&file, 2 * TAP_MAIL_NAME);
	tap_buf_init(&message, TEXT_MAX / 4);
	message_id(bytes + ofs[first], ofs[first + n] - ofs[first], s->from, id);
	rc = tap_email_text(dated(&message, s->message != NULL ? s->message : "", now), bytes, ofs,
			    first, n, &e->text, &e->html, err);
	if (rc == TAP_OK)
		rc = tap_pack_zip(&style, bytes, ofs, first, n, now, &e->zip, err);
	if (rc == TAP_OK) {
		const struct tap_mail mail = {.from = s->from,
					      .to = &s->to,
					      .cc = &s->cc,
					      .subject = dated(&subject, s->subject, now),
					      .message_id = id,
					      .date = now,
					      .text = tap_buf_cstr(&e->text),
					      .html = tap_buf_cstr(&e->html),
					      .file = file_name(&file, s->attachment, now),
					      .type = "application/zip",
					      .bytes = e->zip.p,
					      .len = e->zip.len};

		rc = tap_mail_compose(&mail, &e->mail, err);
	}
	tap_buf_free(&subject);
	tap_buf_free(&file);
	tap_buf_free(&message);
	return rc;
}

static enum tap_rc email_send(void *self, const char *bytes, const size_t *ofs, size_t n,
			      enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			      struct tap_err *err)
{
	struct self *e = self;
	size_t at = 0, step = n;
	struct tap_err refused = {0};
	enum tap_rc rc = TAP_OK;

	(void)state_r;
	while (at < n) {
		size_t to = n - at < step ? n : at + step;

		rc = write_mail(e, bytes, ofs, at, to - at, err);
		if (rc == TAP_OK)
			rc = hand_over(e, deadline_ms, err);
		if (rc == TAP_E_LIMIT && to - at > 1) {
			step = (to - at + 1) / 2;
			continue;
		}
		if (rc != TAP_OK && rc != TAP_E_DATA && rc != TAP_E_LIMIT)
			break;
		if (rc != TAP_OK)
			refused = *err;
		for (; at < to; at++)
			verdict[at] = rc == TAP_OK ? TAP_ITEM_CONFIRMED : TAP_ITEM_NEVER;
	}
	free_buffers(e);
	/* What was answered before is settled; the rest comes again. */
	if (at < n)
		return at == 0 ? rc : TAP_OK;
	if (refused.rc != TAP_OK)
		*err = refused;
	return TAP_OK;
}

/* ---- the hour ---- */

/* The first time for a summary behind `done`. */
static int64_t next_time(const struct email_set *s, int64_t done)
{
	int64_t every = s->every_ms / 1000, days = every / DAY_S;
	time_t clock = (time_t)done;
	struct tm today;
	int hour = 0, minute = 0;

	if (every % DAY_S != 0 || !time_of_day(s->at, &hour, &minute) ||
	    localtime_r(&clock, &today) == NULL)
		return (done / every + 1) * every;
	const struct tap_date date = {
	    .year = today.tm_year + 1900, .month = today.tm_mon + 1, .day = today.tm_mday};
	int64_t number = tap_time_from_utc(&date) / DAY_S - EPOCH_MONDAY;

	if (days % WEEK == 0)
		number -= s->day;
	/* The day itself may be over, or the hour of that day: then the one after. */
	for (int i = 0; i <= days; i++) {
		struct tm then = {.tm_year = today.tm_year,
				  .tm_mon = today.tm_mon,
				  .tm_mday = today.tm_mday + i,
				  .tm_hour = hour,
				  .tm_min = minute,
				  .tm_isdst = -1};
		int64_t t = (number + i) % days == 0 ? (int64_t)mktime(&then) : -1;

		if (t > done)
			return t;
	}
	return done + every;
}

static void write_state(const struct self *e, char *state_r)
{
	(void)snprintf(state_r, TAP_OUTPUT_STATE_MAX, "v1 %" PRId64, e->done);
}

static int64_t email_hold(void *self, bool drained, char *state_r)
{
	struct self *e = self;
	int64_t now = tap_clock_now(), next;

	if (drained || e->done > now) /* a clock that was wrong must not silence it */
		e->done = now;
	if (drained)
		write_state(e, state_r);
	next = next_time(e->set, e->done);
	return next > now ? (next - now) * 1000 : 0;
}

/* ---- life ---- */

static void email_close(void **self)
{
	struct self *e = *self;

	if (e == NULL)
		return;
	free_buffers(e);
	free(e);
	*self = NULL;
}

static enum tap_rc email_open(const void *set, const char *state, char *state_r, void **self_r,
			      struct tap_err *err)
{
	struct self *e = calloc(1, sizeof *e);
	void *self = e;
	char *end = NULL;

	*self_r = NULL;
	if (e == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	e->set = set;
	tap_buf_init(&e->zip, (size_t)e->set->max_size);
	tap_buf_init(&e->text, TEXT_MAX);
	tap_buf_init(&e->html, TEXT_MAX);
	tap_buf_init(&e->mail, (size_t)e->set->max_size);
	e->done = strncmp(state, "v1 ", 3) == 0 ? strtoll(state + 3, &end, 10) : tap_clock_now();
	if (*state != '\0' && (end == NULL || *end != '\0' || e->done <= 0)) {
		email_close(&self);
		return tap_err_set(err, TAP_E_CONFIG,
				   "the stored state \"%.80s\" is none of an email output "
				   "(a newer version wrote it)",
				   state);
	}
	write_state(e, state_r);
	*self_r = self;
	return TAP_OK;
}

const struct tap_output_ops tap_output_email = {
    .name = "email",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_AT_LEAST_ONCE,
    .settings = &email_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = email_encode,
    .open = email_open,
    .send = email_send,
    .close = email_close,
    .wants = email_wants,
    .hold = email_hold,
};
