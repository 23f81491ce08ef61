/* SPDX-License-Identifier: Apache-2.0
 * milter/session.c - see session.h. */
#include "milter/session.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	WANT_CAN = TAP_CAN_ADDHDRS | TAP_CAN_DELRCPT | TAP_CAN_CHGHDRS | TAP_CAN_SETSYMLIST,
	WANT_STEP = TAP_STEP_NOHELO | TAP_STEP_NOUNKNOWN | TAP_STEP_SKIP | TAP_STEP_NR_CONN |
		    TAP_STEP_NR_MAIL | TAP_STEP_HDR_LEADSPC,
	WANT_STEP_WITH_DATA = TAP_STEP_NR_HDR | TAP_STEP_NR_EOH,
	HEADER_WHY = 200, /* bytes of a reason in our header */
	MAX_REPLY = 980,  /* libmilter's limit */
};

struct message {
	char sender[TAP_SPOOL_TEXT + 1];
	bool has_sender;
	char **ours; /* report addresses exactly as RCPT gave them */
	size_t n_ours, cap_ours;
	size_t others;
	struct tap_delivery *delivery;
	bool headers_done;
	int forged; /* how many headers with our name it came with */
};

struct tap_session {
	struct tap_intake *in;
	const struct tap_session_mta *mta;
	void *mta_ctx;
	unsigned long can, step;
	bool has_data; /* the server knows the DATA step */
	bool local;
	char *client, *client_name;
	struct message m;
};

void tap_session_negotiate(unsigned long offered_can, unsigned long offered_step,
			   unsigned long *can_r, unsigned long *step_r)
{
	unsigned long want = WANT_STEP;

	if (offered_step & TAP_STEP_NODATA)
		want |= WANT_STEP_WITH_DATA;
	*can_r = offered_can & WANT_CAN;
	*step_r = offered_step & want;
}

struct tap_session *tap_session_new(struct tap_intake *in, const struct tap_session_mta *mta,
				    void *mta_ctx, unsigned long can, unsigned long step)
{
	struct tap_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->in = in;
	s->mta = mta;
	s->mta_ctx = mta_ctx;
	s->can = can;
	s->step = step;
	return s;
}

/* The end of a message, however it ends. */
static void end_message(struct tap_session *s)
{
	struct message *m = &s->m;

	tap_delivery_abort(&m->delivery);
	for (size_t i = 0; i < m->n_ours; i++)
		free(m->ours[i]);
	free(m->ours);
	m->ours = NULL;
	m->n_ours = m->cap_ours = m->others = 0;
	m->has_sender = m->headers_done = false;
	m->forged = 0;
}

void tap_session_free(struct tap_session **s)
{
	if (!s || !*s)
		return;
	end_message(*s);
	free((*s)->client);
	free((*s)->client_name);
	free(*s);
	*s = NULL;
}

void tap_session_abort(struct tap_session *s)
{
	end_message(s);
}

bool tap_session_busy(const struct tap_session *s)
{
	return s->m.delivery != NULL;
}

static enum tap_answer go_on(const struct tap_session *s, enum tap_milter_step no_reply)
{
	return s->step & no_reply ? TAP_ANSWER_NOREPLY : TAP_ANSWER_CONTINUE;
}

static char *copy_text(const char *text)
{
	return text ? strndup(text, TAP_SPOOL_TEXT) : NULL;
}

enum tap_answer tap_session_connect(struct tap_session *s, const char *name, const char *address,
				    bool local)
{
	free(s->client);
	free(s->client_name);
	s->client = copy_text(address);
	s->client_name = copy_text(name);
	s->local = local;
	return go_on(s, TAP_STEP_NR_CONN);
}

enum tap_answer tap_session_mail(struct tap_session *s, const char *path)
{
	end_message(s);
	tap_address_strip(path, s->m.sender, sizeof(s->m.sender));
	s->m.has_sender = true;
	return go_on(s, TAP_STEP_NR_MAIL);
}

static enum tap_answer refuse_early(struct tap_session *s, enum tap_early early)
{
	const struct tap_early_row *row = &tap_early_rows[early];

	s->mta->set_reply(s->mta_ctx, row->smtp, row->dsn, row->text);
	return TAP_ANSWER_TEMPFAIL;
}

static bool remember(struct message *m, const char *path)
{
	if (m->n_ours == m->cap_ours) {
		size_t cap = m->cap_ours ? 2 * m->cap_ours : 4;
		char **more = realloc(m->ours, cap * sizeof(*more));

		if (!more)
			return false;
		m->ours = more;
		m->cap_ours = cap;
	}
	m->ours[m->n_ours] = strdup(path);
	if (!m->ours[m->n_ours])
		return false;
	m->n_ours++;
	return true;
}

enum tap_answer tap_session_rcpt(struct tap_session *s, const char *path)
{
	struct tap_err err;

	if (tap_intake_wants(s->in, path) == TAP_ADDRESS_OTHER) {
		s->m.others++;
		return TAP_ANSWER_CONTINUE;
	}
	if (!s->local && tap_intake_room(s->in, &err) != TAP_OK) {
		tap_log_err(TAP_LOG_WARNING, "milter", &err);
		return refuse_early(s, TAP_EARLY_SPOOL_FULL);
	}
	if (s->m.n_ours >= TAP_SPOOL_RECIPIENTS || !remember(&s->m, path)) {
		if (!s->local)
			return refuse_early(s, TAP_EARLY_TOO_MANY);
		s->m.others++; /* it stays on the mail */
	}
	return TAP_ANSWER_CONTINUE;
}

/* ACCEPT when the message is not for us, else its delivery begins. */
static enum tap_answer decide(struct tap_session *s)
{
	if (s->m.n_ours == 0)
		return TAP_ANSWER_ACCEPT;
	if (!s->m.delivery)
		s->m.delivery = tap_delivery_begin(s->in);
	return TAP_ANSWER_CONTINUE;
}

enum tap_answer tap_session_data(struct tap_session *s)
{
	enum tap_answer a = decide(s);

	s->has_data = true;
	if (a == TAP_ANSWER_ACCEPT)
		end_message(s);
	return a;
}

/* ACCEPT where an answer is waited for. A server that offers the DATA step and leaves it out is told at the body or the end. */
static enum tap_answer let_go(struct tap_session *s, enum tap_milter_step no_reply)
{
	if (s->step & no_reply)
		return TAP_ANSWER_NOREPLY;
	end_message(s);
	return TAP_ANSWER_ACCEPT;
}

/* Folds come with LF alone; the copy has the CRLF that came over the wire. */
static void append_crlf(struct tap_delivery *d, const char *s)
{
	const char *lf;
	char before = '\0';

	while ((lf = strchr(s, '\n'))) {
		size_t n = (size_t)(lf - s);

		if (n > 0)
			before = s[n - 1];
		(void)tap_delivery_append(d, s, n);
		if (n > 0 && before == '\r')
			(void)tap_delivery_append(d, "\n", 1);
		else
			(void)tap_delivery_append(d, "\r\n", 2);
		s = lf + 1;
	}
	(void)tap_delivery_append(d, s, strlen(s));
}

enum tap_answer tap_session_header(struct tap_session *s, const char *name, const char *value)
{
	struct message *m = &s->m;

	if (!s->has_data && decide(s) == TAP_ANSWER_ACCEPT)
		return let_go(s, TAP_STEP_NR_HDR);
	if (strcasecmp(name, tap_reports_header) == 0 && m->forged < INT32_MAX)
		m->forged++;
	if (m->delivery) {
		append_crlf(m->delivery, name);
		(void)tap_delivery_append(m->delivery, ": ",
					  s->step & TAP_STEP_HDR_LEADSPC ? 1 : 2);
		append_crlf(m->delivery, value);
		(void)tap_delivery_append(m->delivery, "\r\n", 2);
	}
	return go_on(s, TAP_STEP_NR_HDR);
}

static void end_headers(struct message *m)
{
	if (m->delivery && !m->headers_done)
		(void)tap_delivery_append(m->delivery, "\r\n", 2);
	m->headers_done = true;
}

enum tap_answer tap_session_eoh(struct tap_session *s)
{
	if (!s->has_data && decide(s) == TAP_ANSWER_ACCEPT)
		return let_go(s, TAP_STEP_NR_EOH);
	end_headers(&s->m);
	return go_on(s, TAP_STEP_NR_EOH);
}

enum tap_answer tap_session_body(struct tap_session *s, const void *p, size_t n)
{
	if (!s->has_data && decide(s) == TAP_ANSWER_ACCEPT) {
		end_message(s);
		return TAP_ANSWER_ACCEPT;
	}
	end_headers(&s->m);
	if (s->m.delivery && !tap_delivery_append(s->m.delivery, p, n) && s->step & TAP_STEP_SKIP)
		return TAP_ANSWER_SKIP;
	return TAP_ANSWER_CONTINUE;
}

/* ---- end of message ---- */

static enum tap_way way_of(const struct tap_session *s)
{
	bool consume = tap_intake_reports(s->in)->consume;

	if (s->m.others == 0)
		return consume ? TAP_WAY_MILTER_CONSUME : TAP_WAY_MILTER_COPY;
	return consume && s->can & TAP_CAN_DELRCPT ? TAP_WAY_MILTER_MIXED
						   : TAP_WAY_MILTER_COPY_MIXED;
}

static const char *macro(struct tap_session *s, const char *name)
{
	const char *v = s->mta->macro(s->mta_ctx, name);

	return v && *v ? v : NULL;
}

/* Recipients as the envelope has them: without <>. NULL when memory is out. */
static char **stripped(const struct message *m)
{
	char **r = calloc(m->n_ours + 1, sizeof(*r));

	for (size_t i = 0; r && i < m->n_ours; i++) {
		size_t n = strlen(m->ours[i]) + 1;

		r[i] = malloc(n);
		if (!r[i]) {
			while (i > 0)
				free(r[--i]);
			free(r);
			return NULL;
		}
		tap_address_strip(m->ours[i], r[i], n);
	}
	return r;
}

static void deliver(struct tap_session *s, const char *queue_id, struct tap_outcome *out)
{
	struct message *m = &s->m;
	char **rcpt = stripped(m);
	struct tap_envelope env = {
	    .sender = m->has_sender ? m->sender : NULL,
	    .recipients = (const char *const *)rcpt,
	    .n_recipients = rcpt ? m->n_ours : 0,
	    .client = s->client,
	    .client_name = s->client_name,
	    .queue_id = queue_id,
	    .auth = macro(s, "{auth_authen}"),
	};

	if (!rcpt) /* an envelope without its recipients is not the message that was sent */
		tap_delivery_abort(&m->delivery);
	tap_delivery_finish(&m->delivery, way_of(s), &env, out);
	for (size_t i = 0; rcpt && i < m->n_ours; i++)
		free(rcpt[i]);
	free(rcpt);
}

/* From the last one down, so that the numbers of those to come stay true. */
static void drop_forged(struct tap_session *s)
{
	if (!(s->can & TAP_CAN_CHGHDRS))
		return;
	for (int i = s->m.forged; i > 0; i--) {
		if (!s->mta->drop_header(s->mta_ctx, tap_reports_header, i)) {
			tap_warn("milter", "the mail server did not take the removal of a header");
			return;
		}
	}
}

static void add_mark(struct tap_session *s, const struct tap_outcome *out)
{
	char value[HEADER_WHY + 128];
	int n;

	if (!(s->can & TAP_CAN_ADDHDRS))
		return;
	/* With HDR_LEADSPC the mail server adds no blank of its own. */
	n = snprintf(value, sizeof(value), "%s%s", s->step & TAP_STEP_HDR_LEADSPC ? " " : "",
		     tap_fate_name[out->fate]);
	if (out->id[0])
		n += snprintf(value + n, sizeof(value) - (size_t)n, "; id=%s", out->id);
	if (out->fate == TAP_FATE_REPORT || out->fate == TAP_FATE_FEEDBACK)
		snprintf(value + n, sizeof(value) - (size_t)n, "; reports=%u", out->reports);
	else if (out->why[0])
		snprintf(value + n, sizeof(value) - (size_t)n, "; %.*s", (int)HEADER_WHY, out->why);
	for (char *p = value; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
	if (!s->mta->add_header(s->mta_ctx, tap_reports_header, value))
		tap_warn("milter", "the mail server did not take our header");
}

static enum tap_answer drop_ours(struct tap_session *s)
{
	/* What is not taken off is delivered as well as stored: twice, never not at all. */
	for (size_t i = 0; i < s->m.n_ours; i++) {
		if (!s->mta->drop_recipient(s->mta_ctx, s->m.ours[i]))
			tap_warn("milter", "the mail server did not take the removal of %s",
				 s->m.ours[i]);
	}
	drop_forged(s);
	return TAP_ANSWER_CONTINUE;
}

static enum tap_answer act(struct tap_session *s, const struct tap_outcome *out)
{
	switch (out->row->milter) {
	case TAP_MILTER_DISCARD: return TAP_ANSWER_DISCARD;
	case TAP_MILTER_DELRCPT: return drop_ours(s);
	case TAP_MILTER_TEMPFAIL:
		s->mta->set_reply(s->mta_ctx, out->row->smtp, out->row->dsn, out->row->text);
		return TAP_ANSWER_TEMPFAIL;
	case TAP_MILTER_REJECT:
		s->mta->set_reply(s->mta_ctx, out->row->smtp, out->row->dsn, out->row->text);
		return TAP_ANSWER_REJECT;
	case TAP_MILTER_MARK:
		drop_forged(s);
		add_mark(s, out);
		return TAP_ANSWER_CONTINUE;
	case TAP_MILTER_CONTINUE:
	case TAP_MILTER_NONE:
	default: drop_forged(s); return TAP_ANSWER_CONTINUE;
	}
}

static void log_fate(const struct tap_session *s, const char *queue_id,
		     const struct tap_outcome *out)
{
	bool ours = out->fate == TAP_FATE_NO_SPACE || out->fate == TAP_FATE_INNER;
	bool fine = out->fate == TAP_FATE_REPORT || out->fate == TAP_FATE_NOT_A_REPORT ||
		    out->fate == TAP_FATE_FEEDBACK;
	char bytes[32];
	const struct tap_log_field fields[] = {
	    {"queue", queue_id},
	    {"spool", out->id[0] ? out->id : NULL},
	    {"client", s->client},
	    {"from", s->m.has_sender ? s->m.sender : NULL},
	    {"bytes", bytes},
	    {"action", tap_milter_action_name(out->row->milter)},
	    {"why", out->why[0] ? out->why : NULL},
	    {NULL, NULL},
	};

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)out->bytes);
	tap_log_fields(ours   ? TAP_LOG_ERROR
		       : fine ? TAP_LOG_INFO
			      : TAP_LOG_WARNING,
		       "milter", fields, "%s", tap_fate_name[out->fate]);
}

enum tap_answer tap_session_eom(struct tap_session *s)
{
	struct tap_outcome out;
	enum tap_answer answer;
	const char *queue_id;

	if (decide(s) == TAP_ANSWER_ACCEPT) {
		end_message(s);
		return TAP_ANSWER_ACCEPT;
	}
	end_headers(&s->m);
	queue_id = macro(s, "i");
	deliver(s, queue_id, &out);
	answer = act(s, &out);
	log_fate(s, queue_id, &out);
	end_message(s);
	return answer;
}

void tap_session_reply_text(const char *text, char *out, size_t n)
{
	size_t k = 0, max = n < MAX_REPLY + 1 ? n : MAX_REPLY + 1;

	if (n == 0)
		return;
	for (; *text; text++) {
		size_t step = *text == '%' ? 2 : 1;

		if (k + step >= max)
			break;
		if (step == 2)
			out[k++] = '%';
		out[k++] = *text < ' ' || *text > '~' ? '?' : *text;
	}
	out[k] = '\0';
}
