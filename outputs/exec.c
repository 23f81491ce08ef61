/* SPDX-License-Identifier: Apache-2.0
 * outputs/exec.c - driver "exec": a program of the user's own takes a batch as JSON Lines on its standard input, and its exit status is
 * the verdict: 0 all of it was taken; 65 (EX_DATAERR) none of it was, and it never will be; anything else, a signal or the time
 * limit: none of it was, try again. Of a batch that is refused with 65 the halves are tried, so that one bad item is found and parked alone.
 * At least once: a program that dies in the middle gets the whole batch again, with the same report_uid, record_index and revision.
 * Threads: one a sink. The program is started by a launcher (launcher.h). Limits: MAX_ITEMS, MAX_BYTES. */
#include "outputs/drivers.h"

#include "base/clock.h"
#include "outputs/kind_files.h"
#include "outputs/launcher.h"
#include "outputs/slice.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sysexits.h>

enum { MAX_ITEMS = 1000, MAX_BYTES = 32 * 1024 * 1024, CANNOT_RUN = 127 };

struct exec_set {
	char *program;
	struct tap_list arguments, kinds;
	int64_t batch;
	bool strip_payloads;
};
static const struct tap_setting exec_table[] = {
    TAP_ROW_PATH(
	"program", exec_set, program, TAP_SET_REQUIRED | TAP_SET_READS, NULL,
	"The program that takes the items: one JSON object a line on its standard input. Exit "
	"status 0: all were taken. 65: they are refused for good. Anything else: none was "
	"taken, they come again. The last line of what it prints is kept as the reason."),
    TAP_ROW_LIST(
	"arguments", exec_set, arguments, 0, NULL,
	"Its arguments. No shell reads them, and everybody on the machine can: no place for "
	"secrets."),
    TAP_ROW_LIST(
	"kinds", exec_set, kinds, 0, NULL,
	"Which reports it gets: aggregate, failure, smtp_tls, feedback. By default aggregate "
	"and smtp_tls, for failure and feedback reports hold personal data."),
    TAP_ROW_INT("batch", exec_set, batch, 0, "500", 1, MAX_ITEMS,
		"The largest number of items that one run of the program gets."),
    TAP_ROW_BOOL("strip_payloads", exec_set, strip_payloads, 0, "true",
		 "Leave out the contents of attachments in the messages of failure and feedback "
		 "reports."),
    {0}};

static enum tap_rc exec_check(const void *set, struct tap_err *err)
{
	const struct exec_set *s = set;
	unsigned unused;

	return tap_kind_files_kinds(&s->kinds, TAP_KIND_ALL, &unused, err);
}

static const struct tap_section exec_section = {
    .name = "exec",
    .doc = "Hands items to a program of your own, which is started for each batch.",
    .table = exec_table,
    .struct_size = sizeof(struct exec_set),
    .check = exec_check,
};

static unsigned exec_wants(const void *set)
{
	const struct exec_set *s = set;
	unsigned kinds;

	return tap_kind_files_kinds(&s->kinds, TAP_KIND_AGGREGATE | TAP_KIND_SMTP_TLS, &kinds,
				    NULL) == TAP_OK
		   ? kinds
		   : 0;
}

static enum tap_rc exec_encode(const void *set, const struct tap_item *item, struct tap_buf *out,
			       struct tap_err *err)
{
	const struct exec_set *s = set;
	enum tap_rc rc = tap_slice(item, s->strip_payloads, out, err);

	tap_buf_addc(out, '\n');
	if (rc == TAP_OK && out->failed)
		rc = tap_err_set(err, TAP_E_LIMIT, "the item is larger than %d bytes", MAX_BYTES);
	return rc;
}

static enum tap_rc exec_prepare(const void *set, struct tap_err *err)
{
	const struct exec_set *s = set;

	return tap_launcher_prepare(s->program, &s->arguments, err);
}

struct exec_self {
	const struct exec_set *set;
	struct tap_launcher *launcher;
};

static void exec_close(void **self)
{
	struct exec_self *x = *self;

	if (x == NULL)
		return;
	tap_launcher_give(&x->launcher);
	free(x);
	*self = NULL;
}

static enum tap_rc exec_open(const void *set, const char *state, char *state_r, void **self_r,
			     struct tap_err *err)
{
	const struct exec_set *s = set;
	struct exec_self *x = calloc(1, sizeof *x);
	sigset_t pipe_signal;
	void *self = x;

	(void)state;
	(void)state_r;
	*self_r = NULL;
	if (x == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	x->set = s;
	/* A program that reads no more is an answer, no reason to die. */
	(void)sigemptyset(&pipe_signal);
	(void)sigaddset(&pipe_signal, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
	if (tap_launcher_take(s->program, &s->arguments, &x->launcher, err) != TAP_OK) {
		exec_close(&self);
		return err->rc;
	}
	*self_r = x;
	return TAP_OK;
}

static enum tap_rc judge(const struct tap_launcher_run *r, struct tap_err *err)
{
	const char *colon = r->output[0] != '\0' ? ": " : "";
	int code = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -1;

	if (code < 0)
		return tap_err_set(err, TAP_E_TEMP, "the program was killed by signal %d%s%s",
				   WIFSIGNALED(r->status) ? WTERMSIG(r->status) : 0, colon,
				   r->output);
	if (code == 0 && r->read_all)
		return TAP_OK;
	if (code == 0)
		return tap_err_set(err, TAP_E_TEMP,
				   "the program ended with status 0 and had not read everything");
	if (code == EX_DATAERR)
		return tap_err_set(err, TAP_E_DATA, "the program refused it%s%s", colon, r->output);
	return tap_err_set(err, code == CANNOT_RUN || code == EX_CONFIG ? TAP_E_CONFIG : TAP_E_TEMP,
			   "the program ended with status %d%s%s", code, colon, r->output);
}

/* One run over items from..to. */
static enum tap_rc run(struct exec_self *x, const char *bytes, const size_t *ofs, size_t from,
		       size_t to, int64_t deadline_ms, struct tap_err *err)
{
	struct tap_launcher_run r = {
	    .input = bytes + ofs[from], .len = ofs[to] - ofs[from], .deadline_ms = deadline_ms};
	enum tap_rc rc = tap_launcher_run(x->launcher, &r, err);

	if (rc == TAP_OK)
		return judge(&r, err);
	if (r.output[0] != '\0')
		(void)tap_err_prefix(err, "%s: ", r.output);
	return rc;
}

static enum tap_rc exec_send(void *self, const char *bytes, const size_t *ofs, size_t n,
			     enum tap_item_verdict *verdict, char *state_r, int64_t deadline_ms,
			     struct tap_err *err)
{
	struct exec_self *x = self;
	size_t at = 0, step = n < (size_t)x->set->batch ? n : (size_t)x->set->batch;
	struct tap_err refused = {0};

	(void)state_r;
	while (at < n) {
		size_t to = n - at < step ? n : at + step;
		enum tap_rc rc = run(x, bytes, ofs, at, to, deadline_ms, err);

		if (rc == TAP_E_DATA && to - at > 1) {
			step = (to - at + 1) / 2;
			continue;
		}
		if (rc != TAP_OK && rc != TAP_E_DATA)
			/* What was answered before is settled; the rest comes again. */
			return at == 0 ? rc : TAP_OK;
		for (; at < to; at++)
			verdict[at] = rc == TAP_OK ? TAP_ITEM_CONFIRMED : TAP_ITEM_NEVER;
		if (rc == TAP_E_DATA)
			refused = *err;
		else if (step < (size_t)x->set->batch)
			step *= 2;
	}
	if (refused.rc != TAP_OK)
		*err = refused;
	return TAP_OK;
}

const struct tap_output_ops tap_output_exec = {
    .name = "exec",
    .kinds = TAP_KIND_ALL,
    .promise = TAP_PROMISE_AT_LEAST_ONCE,
    .settings = &exec_section,
    .max_items = MAX_ITEMS,
    .max_bytes = MAX_BYTES,
    .encode = exec_encode,
    .prepare = exec_prepare,
    .open = exec_open,
    .send = exec_send,
    .close = exec_close,
    .wants = exec_wants,
};
