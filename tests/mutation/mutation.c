/* SPDX-License-Identifier: Apache-2.0
 * tests/mutation/mutation.c - random corruption of valid mails: each mutation is read in this process and must give reports or a
 * named refusal; nothing may be counted wrong in silence where the damage can be seen.
 * usage: mutation SEED COUNT KIND:FILE…
 *   KIND packed   every report stands in a gzip or zip, whose checksum tells of damage: a report with other numbers than those of the
 *                 sound mail must have a warning that the sound one has not
 *        plain    a cut can be seen: the same holds for cuts
 *        other    only the events and the verdict are looked at
 * Prints what was found for each kind of mutation; exit status 1 at the first that is wrong, which is written to ./mutation.bad. */
#include "../fuzz/mutate.h"
#include "base/source.h"
#include "parser/parser.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILES = 4096, MAX_REPORTS = 4096, MAX_BYTES = 1 << 20, STRUCTURE = MUTATE_KINDS };

struct report {
	char uid[TAP_UID_HEX];
	enum tap_kind kind;
	uint64_t records, details, dropped, messages, passed;
	uint64_t warnings; /* all, and those about the document itself, its name left out */
	uint64_t of_document;
};
struct reports {
	size_t n;
	bool open;
	unsigned ends;
	struct tap_parse_result res;
	struct report v[MAX_REPORTS];
};
struct mail {
	const char *name;
	enum { PACKED, PLAIN, OTHER } kind;
	uint8_t *p;
	size_t n;
	struct reports *sound;
};

static struct {
	char text[200];
	const uint8_t *p;
	size_t n;
} now;

static void keep(void)
{
	FILE *f = fopen("mutation.bad", "wb");

	if (f) {
		fwrite(now.p, 1, now.n, f);
		fclose(f);
	}
}

static void wrong(const char *what, const char *more)
{
	printf("%s: %s %s\n", now.text, what, more);
	keep();
	exit(1);
}

static void on_signal(int sig)
{
	static const char text[] = ": died of a signal\n";

	/* Not more than may be done here: the input is kept by who starts this program again with the same numbers. */
	if (write(STDOUT_FILENO, now.text, strlen(now.text)) < 0 ||
	    write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(3);
	_exit(sig == SIGALRM ? 4 : 2);
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct reports *r = ctx;

	(void)err;
	/* Failure reports have no id of their own. */
	if (r->open || strlen(m->uid) != TAP_UID_HEX - 1 ||
	    (!m->report_id && (m->kind == TAP_KIND_AGGREGATE || m->kind == TAP_KIND_SMTP_TLS)))
		wrong("begin", "out of order or without its key");
	r->open = true;
	if (r->n == MAX_REPORTS)
		wrong("begin", "too many reports");
	r->v[r->n] = (struct report){.kind = m->kind};
	memcpy(r->v[r->n].uid, m->uid, TAP_UID_HEX);
	return TAP_OK;
}

static enum tap_rc on_record(void *ctx, const struct tap_record *rec, struct tap_err *err)
{
	struct reports *r = ctx;

	(void)rec, (void)err;
	if (!r->open)
		wrong("record", "outside of a report");
	return TAP_OK;
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct reports *r = ctx;
	struct report *x = &r->v[r->n];

	(void)err;
	if (!r->open)
		wrong("end", "outside of a report");
	r->open = false;
	x->records = e->records;
	x->details = e->details;
	x->dropped = e->dropped;
	x->messages = e->messages;
	x->passed = e->passed;
	x->warnings = e->warnings_total;
	for (size_t i = 0; i < e->n_warnings; i++)
		x->of_document += !strcmp(e->warnings[i].where, "document") &&
				  strncmp(e->warnings[i].what, "name_mismatch", 13) != 0;
	if (e->truncated && e->warnings_total == 0)
		wrong("end", "cut, and no warning");
	r->n++;
	return TAP_OK;
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct reports *r = ctx;

	if (!r->open || !why->msg[0])
		wrong("abort", "outside of a report or without a reason");
	r->open = false;
}

static void read_mail(const uint8_t *p, size_t n, struct reports *r)
{
	static const struct tap_events events = {
	    .begin = on_begin, .record = on_record, .end = on_end, .abort = on_abort};
	const struct tap_parse_options opt = {.limits = &tap_parse_limits_default};
	struct tap_source src;
	struct tap_err err;

	r->n = 0;
	r->open = false;
	tap_source_mem(&src, p, n);
	alarm(10);
	if (tap_parse(&src, &opt, &events, r, &r->res, &err) != TAP_OK)
		wrong("tap_parse failed:", err.msg);
	alarm(0);
	if (r->open || r->n != r->res.reports)
		wrong("reports", "without their end");
	if ((r->res.verdict == TAP_V_REPORT || r->res.verdict == TAP_V_FEEDBACK) != (r->n > 0))
		wrong("verdict", tap_verdict_name[r->res.verdict]);
	if ((r->n == 0 || r->res.broken > 0) && !r->res.why[0])
		wrong("refused", "without a reason");
}

static bool same_numbers(const struct report *a, const struct report *b)
{
	return a->kind == b->kind && a->records == b->records && a->details == b->details &&
	       a->dropped == b->dropped && a->messages == b->messages && a->passed == b->passed;
}

/* Each report is one of the sound mail, or has a warning that the sound one lacks. */
static void compare(const struct reports *got, const struct reports *sound)
{
	for (size_t i = 0; i < got->n; i++) {
		const struct report *g = &got->v[i];
		bool known = false, good = false;
		char text[160];

		for (size_t k = 0; k < sound->n && !good; k++) {
			const struct report *s = &sound->v[k];

			if (memcmp(s->uid, g->uid, sizeof(g->uid)) != 0)
				continue;
			known = true;
			good = same_numbers(g, s) || g->warnings > s->warnings ||
			       g->of_document > s->of_document;
		}
		if (known ? good : g->warnings > 0)
			continue;
		snprintf(text, sizeof(text), "%s: %llu records, %llu messages, %llu warnings",
			 g->uid, (unsigned long long)g->records, (unsigned long long)g->messages,
			 (unsigned long long)g->warnings);
		wrong("other numbers and no warning:", text);
	}
}

static void load(const char *arg, struct mail *m)
{
	static const char *const kinds[] = {"packed:", "plain:", "other:"};
	FILE *f;

	for (int k = 0; k < 3; k++) {
		if (strncmp(arg, kinds[k], strlen(kinds[k])) != 0)
			continue;
		m->kind = k == 0 ? PACKED : k == 1 ? PLAIN : OTHER;
		m->name = arg + strlen(kinds[k]);
	}
	m->p = malloc(MAX_BYTES);
	m->sound = calloc(1, sizeof(*m->sound));
	f = m->name ? fopen(m->name, "rb") : NULL;
	if (!f || !m->p || !m->sound) {
		perror(arg);
		exit(5);
	}
	m->n = fread(m->p, 1, MAX_BYTES, f);
	fclose(f);
	snprintf(now.text, sizeof(now.text), "%.150s", m->name);
	read_mail(m->p, m->n, m->sound);
	if (m->sound->n == 0)
		wrong("no report in it:", m->sound->res.why);
}

static size_t change(struct mutate *m, unsigned kind, const struct mail *mail, uint8_t *p)
{
	size_t n = mail->n;

	memcpy(p, mail->p, n);
	if (kind < STRUCTURE)
		return mutate_bytes(m, (enum mutate_kind)kind, p, n, MAX_BYTES);
	for (size_t i = 1 + mutate_below(m, 3); i > 0; i--)
		n = mutate_mail(m, p, n, MAX_BYTES);
	return n;
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"flip",   "cut",  "leave out",
					    "double", "swap", "structure"};
	static struct mail mails[MAX_FILES];
	static struct reports got;
	static unsigned tally[STRUCTURE + 1][TAP_V_N];
	struct sigaction act = {.sa_handler = on_signal};
	size_t n_mails = 0;
	uint8_t *p = malloc(MAX_BYTES);
	unsigned long long seed, count;

	if (argc < 4 || argc - 3 > MAX_FILES || !p)
		return 5;
	for (int sig = 1; sig < 16; sig++)
		if (sig == SIGSEGV || sig == SIGABRT || sig == SIGBUS || sig == SIGFPE ||
		    sig == SIGALRM)
			sigaction(sig, &act, NULL);
	tap_parser_global_init();
	seed = strtoull(argv[1], NULL, 10);
	count = strtoull(argv[2], NULL, 10);
	for (int i = 3; i < argc; i++)
		load(argv[i], &mails[n_mails++]);
	for (unsigned long long i = 0; i < count; i++) {
		const struct mail *mail = &mails[i % n_mails];
		unsigned kind = (unsigned)(i / n_mails % (STRUCTURE + 1));
		struct mutate m;

		mutate_seed(&m, seed + i);
		now.n = change(&m, kind, mail, p);
		now.p = p;
		snprintf(now.text, sizeof(now.text), "mutation %llu (%s) of %.120s", i, names[kind],
			 mail->name);
		read_mail(p, now.n, &got);
		tally[kind][got.res.verdict]++;
		if (mail->kind == PACKED || (mail->kind == PLAIN && kind == MUTATE_CUT))
			compare(&got, mail->sound);
	}
	for (unsigned k = 0; k <= STRUCTURE; k++)
		for (unsigned v = 0; v < TAP_V_N; v++)
			if (tally[k][v] > 0)
				printf("%s: %s %u\n", names[k], tap_verdict_name[v], tally[k][v]);
	return 0;
}
