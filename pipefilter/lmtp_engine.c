/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_engine.c - see lmtp_engine.h. Commands are a table: where they may stand, whether they take an argument, what they do. */
#include "pipefilter/lmtp_engine.h"

#include "base/buf.h"
#include "pipefilter/lmtp_command.h"
#include "pipefilter/lmtp_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	OUT_MAX = 2 << 20,  /* a reply for each of 1,000 recipients fits */
	OUT_HIGH = 8 << 10, /* no further command while so much waits */
	REPLY_ADDRESS = 256,
	WASTE_MAX = 1 << 20, /* bytes of one command line */
};

/* ---- what is said about the protocol ---- */

enum reply {
	R_BYE,
	R_DONE,
	R_SENDER,
	R_RCPT,
	R_GO,
	R_CHUNK,
	R_VRFY,
	R_UNKNOWN,
	R_NOT_LMTP,
	R_LONG,
	R_BARE,
	R_BYTES,
	R_SYNTAX,
	R_PARAM,
	R_UTF8,
	R_LHLO_FIRST,
	R_NESTED,
	R_MAIL_FIRST,
	R_RCPT_FIRST,
	R_IN_CHUNKS,
	R_TIMEOUT,
	R_ERRORS,
	R_TOO_MANY,
	R_N
};
static const char *const replies[R_N] = {
    [R_BYE] = "221 2.0.0 bye",
    [R_DONE] = "250 2.0.0 ok",
    [R_SENDER] = "250 2.1.0 sender ok",
    [R_RCPT] = "250 2.1.5 recipient ok",
    [R_GO] = "354 end the message with a dot on a line of its own",
    [R_CHUNK] = "250 2.0.0 chunk taken",
    [R_VRFY] = "252 2.0.0 send a message to find out",
    [R_UNKNOWN] = "500 5.5.2 unknown command",
    [R_NOT_LMTP] = "500 5.5.1 this is LMTP: say LHLO",
    [R_LONG] = "500 5.5.2 line is too long",
    [R_BARE] = "500 5.5.2 a line ends with CR LF",
    [R_BYTES] = "500 5.5.2 control characters in a command",
    [R_SYNTAX] = "501 5.5.4 syntax error in the arguments",
    [R_PARAM] = "555 5.5.4 parameter not known",
    [R_UTF8] = "553 5.6.7 say SMTPUTF8 for such an address",
    [R_LHLO_FIRST] = "503 5.5.1 say LHLO first",
    [R_NESTED] = "503 5.5.1 a transaction is under way",
    [R_MAIL_FIRST] = "503 5.5.1 say MAIL first",
    [R_RCPT_FIRST] = "503 5.5.1 no valid recipients",
    [R_IN_CHUNKS] = "503 5.5.1 between chunks of a message",
    [R_TIMEOUT] = "421 4.4.2 timeout, closing",
    [R_ERRORS] = "421 4.7.0 too many errors, closing",
    [R_TOO_MANY] = "421 4.3.2 too many sessions, try again later",
};

enum mode { COMMANDS, DATA, CHUNK, OVER };

struct tap_lmtp {
	struct tap_lmtp_config cfg;
	const struct tap_lmtp_ops *ops;
	void *ctx;
	struct tap_buf out;
	enum mode mode;
	bool greeted, in_mail, in_chunks, utf8;
	char **rcpt; /* accepted ones, for the replies */
	size_t n_rcpt, cap_rcpt;
	size_t errors;
	struct tap_lmtp_data data;
	uint64_t chunk_left, chunk_total;
	bool chunk_last, chunk_void; /* void: its bytes are nobody's */
	uint64_t wasted;
	/* the command line that is being read */
	bool too_long;
	uint64_t line_total; /* bytes of it that came, also those not kept */
	size_t len;
	char line[];
};

static void say(struct tap_lmtp *e, enum reply r)
{
	tap_buf_printf(&e->out, "%s\r\n", replies[r]);
}

static void say_early(struct tap_lmtp *e, const struct tap_early_row *row)
{
	tap_buf_printf(&e->out, "%d %s %s\r\n", row->smtp, row->dsn, row->text);
}

static void over(struct tap_lmtp *e)
{
	e->mode = OVER;
}

/* A mistake of the client's. */
static void wrong(struct tap_lmtp *e, enum reply r)
{
	if (++e->errors < e->cfg.max_errors) {
		say(e, r);
		return;
	}
	say(e, R_ERRORS);
	over(e);
}

static void forget(struct tap_lmtp *e)
{
	for (size_t i = 0; i < e->n_rcpt; i++)
		free(e->rcpt[i]);
	e->n_rcpt = 0;
	e->in_mail = e->in_chunks = e->utf8 = false;
	e->chunk_total = 0;
}

static void drop(struct tap_lmtp *e)
{
	if (e->in_mail)
		e->ops->drop(e->ctx);
	forget(e);
}

static void give(void *ctx, const void *p, size_t n)
{
	struct tap_lmtp *e = ctx;

	e->ops->data(e->ctx, p, n);
}

struct tap_lmtp *tap_lmtp_new(const struct tap_lmtp_config *cfg, const struct tap_lmtp_ops *ops,
			      void *ctx)
{
	struct tap_lmtp *e = calloc(1, sizeof(*e) + cfg->max_line + 1);

	if (!e)
		return NULL;
	e->cfg = *cfg;
	e->ops = ops;
	e->ctx = ctx;
	e->data.out = give;
	e->data.ctx = e;
	tap_buf_init(&e->out, OUT_MAX);
	tap_buf_printf(&e->out, "220 %s LMTP dmarctap\r\n", cfg->hostname);
	return e;
}

void tap_lmtp_free(struct tap_lmtp **ep)
{
	struct tap_lmtp *e = ep ? *ep : NULL;

	if (!e)
		return;
	drop(e);
	free(e->rcpt);
	tap_buf_free(&e->out);
	free(e);
	*ep = NULL;
}

/* ---- the end of a message ---- */

static void reply_for(struct tap_lmtp *e, const char *path, const struct tap_lmtp_verdict *v)
{
	char address[REPLY_ADDRESS];
	size_t n = 0;

	for (; *path && n + 1 < sizeof(address); path++)
		address[n++] = *path > ' ' && *path <= '~' ? *path : '?';
	address[n] = '\0';
	tap_buf_printf(&e->out, "%d %s <%s> %s", v->row->smtp, v->row->dsn, address, v->row->text);
	if (v->id && *v->id)
		tap_buf_printf(&e->out, " (%s)", v->id);
	tap_buf_adds(&e->out, "\r\n");
}

static void end_message(struct tap_lmtp *e)
{
	struct tap_lmtp_verdict v = {.row = NULL};

	e->ops->end(e->ctx, &v);
	for (size_t i = 0; i < e->n_rcpt; i++)
		reply_for(e, e->rcpt[i], &v);
	forget(e);
	e->mode = COMMANDS;
}

/* ---- commands ---- */

static void do_lhlo(struct tap_lmtp *e, const char *arg)
{
	drop(e);
	e->greeted = true;
	e->ops->lhlo(e->ctx, arg);
	tap_buf_printf(&e->out,
		       "250-%s\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"
		       "250-SMTPUTF8\r\n250-CHUNKING\r\n250 SIZE %llu\r\n",
		       e->cfg.hostname, (unsigned long long)e->cfg.max_message);
}

static void do_not_lmtp(struct tap_lmtp *e, const char *arg)
{
	(void)arg;
	wrong(e, R_NOT_LMTP);
}

static bool understood(struct tap_lmtp *e, enum tap_lmtp_syntax s)
{
	static const enum reply of[] = {[TAP_LMTP_WRONG] = R_SYNTAX,
					[TAP_LMTP_PARAMETER] = R_PARAM,
					[TAP_LMTP_NEEDS_UTF8] = R_UTF8};

	if (s != TAP_LMTP_GOOD)
		wrong(e, of[s]);
	return s == TAP_LMTP_GOOD;
}

static void do_mail(struct tap_lmtp *e, const char *arg)
{
	struct tap_lmtp_path p;

	if (!understood(e, tap_lmtp_read_mail(arg, &p)))
		return;
	if (p.size > e->cfg.max_message) {
		say_early(e, &tap_early_rows[TAP_EARLY_TOO_LARGE]);
		return;
	}
	e->in_mail = true;
	e->utf8 = p.utf8;
	e->ops->mail(e->ctx, p.path);
	say(e, R_SENDER);
}

static bool remember(struct tap_lmtp *e, const char *path)
{
	if (e->n_rcpt == e->cap_rcpt) {
		size_t cap = e->cap_rcpt ? 2 * e->cap_rcpt : 4;
		char **more = realloc(e->rcpt, cap * sizeof(*more));

		if (!more)
			return false;
		e->rcpt = more;
		e->cap_rcpt = cap;
	}
	e->rcpt[e->n_rcpt] = strdup(path);
	if (!e->rcpt[e->n_rcpt])
		return false;
	e->n_rcpt++;
	return true;
}

static void do_rcpt(struct tap_lmtp *e, const char *arg)
{
	const struct tap_early_row *row = &tap_early_rows[TAP_EARLY_TOO_MANY];
	struct tap_lmtp_path p;

	if (!understood(e, tap_lmtp_read_rcpt(arg, e->utf8, &p)))
		return;
	/* Remembered first: what the other side has accepted is never forgotten here. */
	if (e->n_rcpt < e->cfg.max_recipients && remember(e, p.path)) {
		row = e->ops->rcpt(e->ctx, p.path);
		if (!row) {
			say(e, R_RCPT);
			return;
		}
		free(e->rcpt[--e->n_rcpt]);
	}
	say_early(e, row);
}

static void do_data(struct tap_lmtp *e, const char *arg)
{
	(void)arg;
	if (e->n_rcpt == 0) {
		wrong(e, R_RCPT_FIRST);
		return;
	}
	e->ops->begin(e->ctx);
	tap_lmtp_data_begin(&e->data, true);
	e->mode = DATA;
	say(e, R_GO);
}

static void do_rset(struct tap_lmtp *e, const char *arg)
{
	(void)arg;
	drop(e);
	say(e, R_DONE);
}

static void do_noop(struct tap_lmtp *e, const char *arg)
{
	(void)arg;
	say(e, R_DONE);
}

static void do_vrfy(struct tap_lmtp *e, const char *arg)
{
	(void)arg;
	say(e, R_VRFY);
}

static void do_quit(struct tap_lmtp *e, const char *arg)
{
	(void)arg;
	drop(e);
	say(e, R_BYE);
	over(e);
}

/* ---- chunks (RFC 3030 2): the bytes come whatever we think of the command ---- */

static void end_chunk(struct tap_lmtp *e)
{
	e->mode = COMMANDS;
	if (e->chunk_void) {
		wrong(e, e->in_mail ? R_RCPT_FIRST : R_MAIL_FIRST);
	} else if (e->chunk_last) {
		end_message(e);
	} else if (e->chunk_total > e->cfg.max_message) {
		say_early(e, &tap_early_rows[TAP_EARLY_TOO_LARGE]);
		drop(e);
	} else {
		say(e, R_CHUNK);
	}
}

static void do_bdat(struct tap_lmtp *e, const char *arg)
{
	enum tap_lmtp_syntax s = tap_lmtp_read_bdat(arg, &e->chunk_left, &e->chunk_last);

	if (s != TAP_LMTP_GOOD) {
		/* How many bytes follow is not known: nothing behind this can be read. */
		say(e, R_SYNTAX);
		drop(e);
		over(e);
		return;
	}
	e->chunk_void = e->n_rcpt == 0;
	if (!e->chunk_void && !e->in_chunks) {
		e->ops->begin(e->ctx);
		tap_lmtp_data_begin(&e->data, false);
		e->in_chunks = true;
	}
	e->chunk_total += e->chunk_left; /* of 18 digits each, and dropped once over the limit */
	e->mode = CHUNK;
	if (e->chunk_left == 0)
		end_chunk(e);
}

enum where { W_ANY = 0, W_GREETED = 1, W_NO_MAIL = 2, W_MAIL = 4, W_NO_CHUNKS = 8 };
enum argument { A_ANY, A_NONE, A_SOME };
static const struct command {
	const char *name;
	unsigned where;
	enum argument argument;
	void (*run)(struct tap_lmtp *e, const char *arg);
} commands[] = {
    {"LHLO", W_ANY, A_SOME, do_lhlo},
    {"HELO", W_ANY, A_ANY, do_not_lmtp},
    {"EHLO", W_ANY, A_ANY, do_not_lmtp},
    {"MAIL", W_GREETED | W_NO_MAIL, A_SOME, do_mail},
    {"RCPT", W_GREETED | W_MAIL | W_NO_CHUNKS, A_SOME, do_rcpt},
    {"DATA", W_GREETED | W_MAIL | W_NO_CHUNKS, A_NONE, do_data},
    {"BDAT", W_ANY, A_ANY, do_bdat},
    {"RSET", W_ANY, A_NONE, do_rset},
    {"NOOP", W_ANY, A_ANY, do_noop},
    {"VRFY", W_ANY, A_ANY, do_vrfy},
    {"QUIT", W_ANY, A_NONE, do_quit},
};

static bool in_place(struct tap_lmtp *e, unsigned where)
{
	if (where & W_GREETED && !e->greeted)
		wrong(e, R_LHLO_FIRST);
	else if (where & W_NO_MAIL && e->in_mail)
		wrong(e, R_NESTED);
	else if (where & W_MAIL && !e->in_mail)
		wrong(e, R_MAIL_FIRST);
	else if (where & W_NO_CHUNKS && e->in_chunks)
		wrong(e, R_IN_CHUNKS);
	else
		return true;
	return false;
}

static void run_line(struct tap_lmtp *e)
{
	size_t word = strcspn(e->line, " \t"), n = e->len;
	const char *arg = e->line + word;

	while (n > word && (e->line[n - 1] == ' ' || e->line[n - 1] == '\t'))
		e->line[--n] = '\0';
	arg += strspn(arg, " \t");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		const struct command *c = &commands[i];

		if (word != 4 || strncasecmp(c->name, e->line, word) != 0)
			continue;
		if (!in_place(e, c->where))
			return;
		if (c->argument != A_ANY && (*arg != '\0') != (c->argument == A_SOME))
			wrong(e, R_SYNTAX);
		else
			c->run(e, arg);
		return;
	}
	wrong(e, R_UNKNOWN);
}

/* ---- lines ---- */

static bool has_controls(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
			return true;
	}
	return false;
}

/* A whole line, LF included, is there, unless it was too long. */
static void end_line(struct tap_lmtp *e)
{
	bool crlf = !e->too_long && e->len >= 2 && e->line[e->len - 2] == '\r';

	if (crlf) {
		e->len -= 2;
		e->line[e->len] = '\0';
	}
	if (e->too_long)
		wrong(e, R_LONG);
	else if (!crlf)
		wrong(e, R_BARE);
	else if (has_controls(e->line, e->len))
		wrong(e, R_BYTES);
	else
		run_line(e);
	e->len = 0;
	e->too_long = false;
	e->line_total = 0;
}

static size_t feed_line(struct tap_lmtp *e, const char *p, size_t n)
{
	const char *lf = memchr(p, '\n', n);
	size_t take = lf ? (size_t)(lf - p) + 1 : n;

	if (e->line_total + take - (lf ? 1 : 0) > WASTE_MAX) {
		say(e, R_ERRORS);
		drop(e);
		over(e);
		return n;
	}
	e->line_total += take;
	if (e->line_total > e->cfg.max_line) {
		/* Only where it ends still matters. */
		e->too_long = true;
		e->wasted += take;
	} else {
		memcpy(e->line + e->len, p, take);
		e->len += take;
	}
	if (lf)
		end_line(e);
	return take;
}

static size_t feed_chunk(struct tap_lmtp *e, const char *p, size_t n)
{
	bool end;

	if (n > e->chunk_left)
		n = (size_t)e->chunk_left;
	if (e->chunk_void)
		e->wasted += n;
	else
		tap_lmtp_data_feed(&e->data, p, n, &end);
	e->chunk_left -= n;
	if (e->chunk_left == 0)
		end_chunk(e);
	return n;
}

/* True when it is time to let replies go before more is read. */
static bool full(const struct tap_lmtp *e)
{
	return e->mode == OVER || e->out.len >= OUT_HIGH;
}

size_t tap_lmtp_feed(struct tap_lmtp *e, const void *bytes, size_t n)
{
	const char *p = bytes;
	size_t used = 0;

	while (used < n && !full(e)) {
		bool ended = false, was_in = e->mode == DATA || e->in_chunks;

		if (e->mode == COMMANDS) {
			used += feed_line(e, p + used, n - used);
		} else if (e->mode == CHUNK) {
			used += feed_chunk(e, p + used, n - used);
		} else {
			used += tap_lmtp_data_feed(&e->data, p + used, n - used, &ended);
			if (ended)
				end_message(e);
		}
		if (e->out.failed) /* a reply is missing: those behind it would be taken for it */
			over(e);
		if (was_in && !e->in_mail)
			break;
	}
	return used;
}

const char *tap_lmtp_output(const struct tap_lmtp *e, size_t *n_r)
{
	*n_r = e->out.len;
	return e->out.p;
}

void tap_lmtp_taken(struct tap_lmtp *e, size_t n)
{
	tap_buf_consume(&e->out, n);
}

enum tap_lmtp_state tap_lmtp_state(const struct tap_lmtp *e)
{
	if (e->mode == OVER)
		return TAP_LMTP_OVER;
	if (e->mode == DATA || e->mode == CHUNK || e->in_chunks)
		return TAP_LMTP_MESSAGE;
	return e->in_mail ? TAP_LMTP_TRANSACTION : TAP_LMTP_IDLE;
}

uint64_t tap_lmtp_wasted(const struct tap_lmtp *e)
{
	return e->wasted;
}

size_t tap_lmtp_farewell(enum tap_lmtp_end why, char *out, size_t n)
{
	const struct tap_early_row *row = &tap_early_rows[TAP_EARLY_SHUTDOWN];
	int k;

	if (why == TAP_LMTP_SHUTDOWN)
		k = snprintf(out, n, "%d %s %s\r\n", row->smtp, row->dsn, row->text);
	else
		k = snprintf(out, n, "%s\r\n",
			     replies[why == TAP_LMTP_TIMEOUT ? R_TIMEOUT : R_TOO_MANY]);
	return k < 0 ? 0 : (size_t)k < n ? (size_t)k : n - 1;
}

void tap_lmtp_close(struct tap_lmtp *e, enum tap_lmtp_end why)
{
	char line[128];

	if (e->mode == OVER)
		return;
	drop(e);
	tap_buf_add(&e->out, line, tap_lmtp_farewell(why, line, sizeof(line)));
	over(e);
}
