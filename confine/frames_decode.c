/* SPDX-License-Identifier: Apache-2.0
 * confine/frames_decode.c - frames back to report events; the bytes are hostile input [I7].
 * What an event points to lies in one arena, forgotten at the next frame. Nothing is allocated by a number that was only claimed:
 * a count is first held against the bytes that are left, and a frame is collected as its bytes come. The first error sticks. */
#include "confine/frames.h"
#include "confine/frames_body.h"
#include "confine/frames_wire.h"

#include <stdlib.h>
#include <string.h>

enum { FRAME_ARENA = 64 << 20 };
enum state { ST_IDLE, ST_REPORT, ST_PAYLOAD, ST_DONE, ST_FAILED };

struct tap_frame_reader {
	const struct tap_events *ev;
	void *ctx;
	struct tap_arena *arena;
	struct tap_buf partial; /* a frame of which only a part has come */
	enum state state;
	enum tap_rc failed_rc;
	uint32_t payload_part;
	/* Of the report that is open. */
	enum tap_kind kind;
	uint64_t records, next_index;	/* records; for SMTP TLS policies */
	uint64_t details, details_left; /* of the report; still owed by the policy that came last */
	uint64_t next_detail;
	uint32_t policy;
	enum tap_rc rc;
	struct tap_parse_result res;
};

static enum tap_rc out_of_order(const char *frame, struct tap_err *err)
{
	return tap_err_set(err, TAP_E_DATA, "a %s frame is out of order", frame);
}

static enum tap_rc on_begin(struct tap_frame_reader *r, struct tap_frame_cursor *c,
			    struct tap_err *err)
{
	struct tap_meta m = {0};
	enum tap_rc rc;

	if (r->state != ST_IDLE)
		return out_of_order("begin", err);
	tap_frame_get_meta(c, &m);
	rc = tap_frame_done(c, "begin", err);
	if (rc != TAP_OK)
		return rc;
	r->state = ST_REPORT;
	r->kind = m.kind;
	r->records = r->next_index = 0;
	r->details = r->details_left = r->next_detail = 0;
	return r->ev->begin == NULL ? TAP_OK : r->ev->begin(r->ctx, &m, err);
}

static enum tap_rc on_record(struct tap_frame_reader *r, struct tap_frame_cursor *c,
			     struct tap_err *err)
{
	struct tap_record rec = {0};
	enum tap_rc rc;

	if (r->state != ST_REPORT || r->kind != TAP_KIND_AGGREGATE)
		return out_of_order("record", err);
	tap_frame_get_record(c, &rec);
	if (rec.index < r->next_index || rec.index == UINT64_MAX)
		tap_frame_spoil(c, "the record index does not rise");
	rc = tap_frame_done(c, "record", err);
	if (rc != TAP_OK)
		return rc;
	r->records++;
	r->next_index = rec.index + 1;
	return r->ev->record == NULL ? TAP_OK : r->ev->record(r->ctx, &rec, err);
}

static enum tap_rc on_failure(struct tap_frame_reader *r, struct tap_frame_cursor *c,
			      struct tap_err *err)
{
	struct tap_failure f = {0};
	enum tap_rc rc;

	if (r->state != ST_REPORT || r->records > 0 ||
	    (r->kind != TAP_KIND_FAILURE && r->kind != TAP_KIND_FEEDBACK))
		return out_of_order("failure", err);
	tap_frame_get_failure(c, &f);
	rc = tap_frame_done(c, "failure", err);
	if (rc != TAP_OK)
		return rc;
	r->records = 1;
	return r->ev->failure == NULL ? TAP_OK : r->ev->failure(r->ctx, &f, err);
}

static enum tap_rc on_policy(struct tap_frame_reader *r, struct tap_frame_cursor *c,
			     struct tap_err *err)
{
	struct tap_tls_policy p = {0};
	enum tap_rc rc;

	if (r->state != ST_REPORT || r->kind != TAP_KIND_SMTP_TLS || r->details_left > 0)
		return out_of_order("policy", err);
	tap_frame_get_policy(c, &p);
	if (p.index < r->next_index)
		tap_frame_spoil(c, "the index does not rise");
	rc = tap_frame_done(c, "policy", err);
	if (rc != TAP_OK)
		return rc;
	r->records++;
	r->next_index = (uint64_t)p.index + 1;
	r->policy = p.index;
	r->details_left = p.n_details;
	r->next_detail = 0;
	return r->ev->tls_policy == NULL ? TAP_OK : r->ev->tls_policy(r->ctx, &p, err);
}

static enum tap_rc on_detail(struct tap_frame_reader *r, struct tap_frame_cursor *c,
			     struct tap_err *err)
{
	struct tap_tls_detail d = {0};
	enum tap_rc rc;

	if (r->state != ST_REPORT || r->details_left == 0)
		return out_of_order("detail", err);
	tap_frame_get_detail(c, &d);
	if (d.policy != r->policy)
		tap_frame_spoil(c, "it belongs to another policy");
	if (d.index < r->next_detail || d.index == UINT64_MAX)
		tap_frame_spoil(c, "the index does not rise");
	rc = tap_frame_done(c, "detail", err);
	if (rc != TAP_OK)
		return rc;
	r->details++;
	r->details_left--;
	r->next_detail = d.index + 1;
	return r->ev->tls_detail == NULL ? TAP_OK : r->ev->tls_detail(r->ctx, &d, err);
}

/* A report that says how much there was must have been handed over so. */
static void check_totals(const struct tap_frame_reader *r, const struct tap_report_end *e,
			 struct tap_frame_cursor *c)
{
	bool single = r->kind == TAP_KIND_FAILURE || r->kind == TAP_KIND_FEEDBACK;

	if (single && r->records != 1)
		tap_frame_spoil(c, "there was no failure part");
	if (e->records != (single ? 0 : r->records))
		tap_frame_spoil(c, "the number of records is another one");
	if (e->details != r->details || r->details_left > 0)
		tap_frame_spoil(c, "the number of details is another one");
}

static enum tap_rc on_end(struct tap_frame_reader *r, struct tap_frame_cursor *c,
			  struct tap_err *err)
{
	struct tap_report_end e = {0};
	enum tap_rc rc;

	if (r->state != ST_REPORT)
		return out_of_order("end", err);
	tap_frame_get_end(c, &e);
	check_totals(r, &e, c);
	rc = tap_frame_done(c, "end", err);
	if (rc != TAP_OK)
		return rc;
	r->state = ST_IDLE;
	return r->ev->end == NULL ? TAP_OK : r->ev->end(r->ctx, &e, err);
}

static enum tap_rc on_abort(struct tap_frame_reader *r, struct tap_frame_cursor *c,
			    struct tap_err *err)
{
	struct tap_err why = {0};
	enum tap_rc rc;

	if (r->state != ST_REPORT)
		return out_of_order("abort", err);
	tap_frame_get_why(c, &why);
	rc = tap_frame_done(c, "abort", err);
	if (rc != TAP_OK)
		return rc;
	r->state = ST_IDLE;
	if (r->ev->abort != NULL)
		r->ev->abort(r->ctx, &why);
	return TAP_OK;
}

static enum tap_rc on_payload(struct tap_frame_reader *r, struct tap_frame_cursor *c,
			      struct tap_err *err)
{
	uint32_t part = tap_frame_get_part(c);

	if (c->bad != NULL)
		return tap_frame_done(c, "payload", err);
	if (r->state != ST_IDLE && (r->state != ST_PAYLOAD || part != r->payload_part))
		return out_of_order("payload", err);
	r->state = c->left > 0 ? ST_PAYLOAD : ST_IDLE;
	r->payload_part = part;
	if (r->ev->payload == NULL)
		return TAP_OK;
	return r->ev->payload(r->ctx, part, c->p, c->left, err);
}

static enum tap_rc on_result(struct tap_frame_reader *r, struct tap_frame_cursor *c,
			     struct tap_err *err)
{
	enum tap_rc rc = tap_frame_decode_result(c->p, c->left, &r->rc, &r->res, err);

	if (rc != TAP_OK)
		return rc;
	/* Only a reading that was broken off may leave something open. */
	if (r->state != ST_IDLE && r->rc == TAP_OK)
		return out_of_order("result", err);
	r->state = ST_DONE;
	return TAP_OK;
}

typedef enum tap_rc frame_handler(struct tap_frame_reader *, struct tap_frame_cursor *,
				  struct tap_err *);

static frame_handler *handler_of(unsigned type)
{
	static frame_handler *const on[] = {
	    [TAP_FRAME_BEGIN] = on_begin,	[TAP_FRAME_RECORD] = on_record,
	    [TAP_FRAME_END] = on_end,		[TAP_FRAME_ABORT] = on_abort,
	    [TAP_FRAME_PAYLOAD] = on_payload,	[TAP_FRAME_FAILURE] = on_failure,
	    [TAP_FRAME_TLS_POLICY] = on_policy, [TAP_FRAME_TLS_DETAIL] = on_detail,
	    [TAP_FRAME_RESULT] = on_result,
	};

	return type < sizeof on / sizeof *on ? on[type] : NULL;
}

static enum tap_rc unknown_type(unsigned type, struct tap_err *err)
{
	return tap_err_set(err, TAP_E_DATA, "frame type %u is unknown", type);
}

static enum tap_rc one_frame(struct tap_frame_reader *r, unsigned type, const unsigned char *body,
			     size_t n, struct tap_err *err)
{
	struct tap_frame_cursor c = {.p = body, .left = n, .arena = r->arena};
	frame_handler *handle = handler_of(type);

	if (handle == NULL)
		return unknown_type(type, err);
	tap_arena_reset(r->arena);
	return handle(r, &c, err);
}

/* As early as possible: before the body is collected. */
static enum tap_rc check_head(const struct tap_frame_reader *r, const unsigned char *head,
			      struct tap_err *err)
{
	if (r->state == ST_DONE)
		return tap_err_set(err, TAP_E_DATA, "bytes follow the result frame");
	if (handler_of(head[4]) == NULL)
		return unknown_type(head[4], err);
	if (tap_frame_get_u32(head) > TAP_FRAME_MAX)
		return tap_err_set(err, TAP_E_DATA, "a frame claims %u bytes",
				   tap_frame_get_u32(head));
	return TAP_OK;
}

/* Completes the frame that began in an earlier piece; *used_r = bytes taken from p. */
static enum tap_rc finish_partial(struct tap_frame_reader *r, const unsigned char *p, size_t n,
				  size_t *used_r, struct tap_err *err)
{
	struct tap_buf *b = &r->partial;
	enum tap_rc rc;

	*used_r = 0;
	for (;;) {
		size_t want = TAP_FRAME_HEAD;
		size_t more;

		if (b->len >= TAP_FRAME_HEAD)
			want += tap_frame_get_u32((const unsigned char *)b->p);
		if (b->len == want)
			break;
		more = want - b->len < n - *used_r ? want - b->len : n - *used_r;
		if (more == 0)
			return TAP_OK;
		tap_buf_add(b, p + *used_r, more);
		if (b->failed)
			return tap_err_set(err, TAP_E_LIMIT, "a frame needs too much memory");
		*used_r += more;
		rc = b->len == TAP_FRAME_HEAD ? check_head(r, (unsigned char *)b->p, err) : TAP_OK;
		if (rc != TAP_OK)
			return rc;
	}
	rc = one_frame(r, (unsigned char)b->p[4], (unsigned char *)b->p + TAP_FRAME_HEAD,
		       b->len - TAP_FRAME_HEAD, err);
	tap_buf_reset(b);
	return rc;
}

static enum tap_rc input(struct tap_frame_reader *r, const unsigned char *p, size_t n,
			 struct tap_err *err)
{
	while (n > 0) {
		size_t used = n;
		enum tap_rc rc = TAP_OK;

		if (r->state == ST_DONE)
			return tap_err_set(err, TAP_E_DATA, "bytes follow the result frame");
		if (r->partial.len > 0 || n < TAP_FRAME_HEAD) {
			rc = finish_partial(r, p, n, &used, err);
		} else {
			rc = check_head(r, p, err);
			if (rc != TAP_OK)
				return rc;
			if (n - TAP_FRAME_HEAD < tap_frame_get_u32(p)) {
				rc = finish_partial(r, p, n, &used, err);
			} else {
				used = TAP_FRAME_HEAD + tap_frame_get_u32(p);
				rc = one_frame(r, p[4], p + TAP_FRAME_HEAD, used - TAP_FRAME_HEAD,
					       err);
			}
		}
		if (rc != TAP_OK)
			return rc;
		p += used;
		n -= used;
	}
	return TAP_OK;
}

struct tap_frame_reader *tap_frame_reader_new(const struct tap_events *ev, void *ctx)
{
	struct tap_frame_reader *r = calloc(1, sizeof *r);

	if (r == NULL)
		abort();
	r->ev = ev;
	r->ctx = ctx;
	r->arena = tap_arena_new(FRAME_ARENA);
	tap_buf_init(&r->partial, TAP_FRAME_HEAD + (size_t)TAP_FRAME_MAX);
	return r;
}

void tap_frame_reader_free(struct tap_frame_reader **r)
{
	if (r == NULL || *r == NULL)
		return;
	tap_arena_free(&(*r)->arena);
	tap_buf_free(&(*r)->partial);
	free(*r);
	*r = NULL;
}

enum tap_rc tap_frame_reader_input(struct tap_frame_reader *r, const void *p, size_t n,
				   struct tap_err *err)
{
	enum tap_rc rc;

	if (r->state == ST_FAILED)
		return tap_err_set(err, r->failed_rc, "the frames before this one were unusable");
	rc = input(r, p, n, err);
	if (rc != TAP_OK) {
		r->state = ST_FAILED;
		r->failed_rc = rc;
	}
	return rc;
}

bool tap_frame_reader_result(const struct tap_frame_reader *r, enum tap_rc *rc_r,
			     struct tap_parse_result *res)
{
	if (r->state != ST_DONE)
		return false;
	*rc_r = r->rc;
	*res = r->res;
	return true;
}
