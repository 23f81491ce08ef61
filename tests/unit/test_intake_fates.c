/* SPDX-License-Identifier: Apache-2.0
 * docs/fates.md and the table of fates say the same, cell by cell; and the table keeps its own two rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "intake/fates.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 10 };

/* Splits "| a | b |" into cells, in place. Returns their number. */
static int cells(char *line, char **cell)
{
	int n = 0;

	while (n <= COLUMNS && *line == '|' && line[1] != '\0') {
		char *start = line + 1, *bar = strchr(start, '|'), *last;

		if (!bar)
			break;
		while (*start == ' ')
			start++;
		for (last = bar; last > start && last[-1] == ' '; last--)
			;
		memmove(start - 1, start,
			(size_t)(last - start)); /* room for the NUL before the bar */
		start[last - start - 1] = '\0';
		cell[n++] = start - 1;
		line = bar;
	}
	return n;
}

static void number(char *out, size_t n, int v, int none)
{
	if (v == none)
		snprintf(out, n, "-");
	else
		snprintf(out, n, "%d", v);
}

static void expect(const char *way, const char *fate, const char *column, const char *page,
		   const char *table)
{
	if (strcmp(page, table) != 0)
		fail_msg("%s, %s, %s: docs/fates.md says '%s', the table '%s'", way, fate, column,
			 page, table);
}

static void compare_row(enum tap_way way, enum tap_fate fate, char **c)
{
	const struct tap_fate_row *r = tap_fate_row(fate, way);
	const char *w = tap_way_name[way], *f = tap_fate_name[fate];
	char smtp[16], status[16];

	number(smtp, sizeof(smtp), r->smtp, 0);
	number(status, sizeof(status), r->exit_status, -1);
	expect(w, f, "fate", c[0], f);
	expect(w, f, "spool", c[1], r->spool ? "yes" : "no");
	expect(w, f, "quarantine", c[2], r->quarantine ? "yes" : "no");
	expect(w, f, "forward", c[3], r->forward ? "yes" : "no");
	expect(w, f, "SMTP", c[4], smtp);
	expect(w, f, "enhanced", c[5], r->dsn ? r->dsn : "-");
	expect(w, f, "text", c[6], r->text ? r->text : "-");
	expect(w, f, "exit", c[7], status);
	expect(w, f, "milter", c[8], tap_milter_action_name(r->milter));
	expect(w, f, "IMAP", c[9], tap_imap_action_name(r->imap));
}

static void compare_early(int i, char **c)
{
	const struct tap_early_row *r = &tap_early_rows[i];
	char smtp[16];

	number(smtp, sizeof(smtp), r->smtp, 0);
	expect("before", r->when, "when", c[0], r->when);
	expect("before", r->when, "SMTP", c[1], smtp);
	expect("before", r->when, "enhanced", c[2], r->dsn);
	expect("before", r->when, "text", c[3], r->text);
}

static FILE *open_page(void)
{
	const char *source = getenv("TAP_SOURCE");
	char path[1024];
	FILE *f;

	snprintf(path, sizeof(path), "%s/docs/fates.md", source ? source : ".");
	f = fopen(path, "re");
	if (!f)
		fail_msg("cannot read %s", path);
	return f;
}

static void test_page_is_table(void **state)
{
	char line[2048], *c[COLUMNS + 1];
	int way = -1, rows = 0, fates = 0, early = -1;
	FILE *f = open_page();

	(void)state;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "## ", 3) == 0) {
			if (way >= 0)
				assert_int_equal(fates, TAP_FATE_N);
			for (way = TAP_WAY_N - 1;
			     way >= 0 && strcmp(line + 3, tap_way_name[way]) != 0; way--)
				;
			early = strcmp(line + 3, "Before there is a message") == 0 ? 0 : -1;
			fates = 0;
		}
		if (line[0] != '|' || strncmp(line, "| ---", 5) == 0)
			continue;
		if (way >= 0 && strncmp(line, "| fate |", 8) != 0) {
			assert_true(fates < TAP_FATE_N);
			assert_int_equal(cells(line, c), COLUMNS);
			compare_row((enum tap_way)way, (enum tap_fate)fates, c);
			fates++;
			rows++;
		} else if (early >= 0 && strncmp(line, "| when |", 8) != 0) {
			assert_true(early < TAP_EARLY_N);
			assert_int_equal(cells(line, c), 4);
			compare_early(early++, c);
		}
	}
	fclose(f);
	assert_int_equal(rows, (int)TAP_WAY_N * (int)TAP_FATE_N);
	assert_int_equal(early, TAP_EARLY_N);
}

static int is_milter(int way)
{
	return way <= TAP_WAY_MILTER_COPY_MIXED;
}

/* Success is only said for what is kept or goes on; our own failures are temporary. */
static void test_nothing_is_lost_q_38(void **state)
{
	(void)state;
	for (int w = 0; w < TAP_WAY_N; w++) {
		for (int f = 0; f < TAP_FATE_N; f++) {
			const struct tap_fate_row *r =
			    tap_fate_row((enum tap_fate)f, (enum tap_way)w);
			int taken = r->smtp == 250 || r->exit_status == 0 ||
				    r->milter == TAP_MILTER_DISCARD ||
				    r->milter == TAP_MILTER_DELRCPT || r->imap == TAP_IMAP_DONE;

			assert_true(!taken || r->spool || r->forward);
			assert_true(!r->quarantine || r->spool);
			if (f == TAP_FATE_NO_SPACE || f == TAP_FATE_INNER) {
				assert_false(taken);
				assert_false(r->spool);
				assert_true(r->smtp == 0 || (r->smtp >= 400 && r->smtp < 500));
				assert_true(r->exit_status == -1 || r->exit_status == 75);
				assert_true(r->imap == TAP_IMAP_NONE || r->imap == TAP_IMAP_LEAVE);
			}
			/* Every way has exactly its own kind of answer. */
			assert_int_equal(r->milter != TAP_MILTER_NONE, is_milter(w));
			assert_int_equal(r->imap != TAP_IMAP_NONE, w == TAP_WAY_IMAP);
			assert_int_equal(r->exit_status >= 0,
					 w >= TAP_WAY_PIPE && w <= TAP_WAY_PIPE_REJECT);
			if (w >= TAP_WAY_LMTP && w <= TAP_WAY_LMTP_REJECT)
				assert_true(r->smtp >= 200);
			if (is_milter(w))
				assert_int_equal(r->smtp != 0, r->milter == TAP_MILTER_TEMPFAIL ||
								   r->milter == TAP_MILTER_REJECT);
			/* A complaint from a person goes on to people; what was refused is not kept behind the sender's back. */
			if (f == TAP_FATE_FEEDBACK)
				assert_true(r->spool && r->milter != TAP_MILTER_DISCARD &&
					    r->milter != TAP_MILTER_DELRCPT &&
					    r->imap != TAP_IMAP_DONE);
			if (f == TAP_FATE_REJECTED)
				assert_true(!r->spool && !taken);
			/* Codes agree with each other. */
			if (r->smtp && r->dsn)
				assert_int_equal(r->smtp / 100, r->dsn[0] - '0');
			if (r->exit_status >= 0)
				assert_int_equal(r->exit_status == 0	? '2'
						 : r->exit_status == 75 ? '4'
									: '5',
						 r->dsn[0]);
		}
	}
}

static void test_others_are_never_harmed(void **state)
{
	static const enum tap_way mixed[] = {TAP_WAY_MILTER_MIXED, TAP_WAY_MILTER_COPY_MIXED};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (int f = 0; f < TAP_FATE_N; f++) {
			enum tap_milter_action a = tap_fate_row((enum tap_fate)f, mixed[i])->milter;

			assert_true(a != TAP_MILTER_DISCARD && a != TAP_MILTER_TEMPFAIL &&
				    a != TAP_MILTER_REJECT);
		}
	}
}

static void test_nonsense_is_inner_failure(void **state)
{
	(void)state;
	assert_ptr_equal(tap_fate_row((enum tap_fate)99, TAP_WAY_LMTP),
			 tap_fate_row(TAP_FATE_INNER, TAP_WAY_LMTP));
	assert_false(tap_fate_row(TAP_FATE_REPORT, (enum tap_way)99)->milter == TAP_MILTER_DISCARD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_page_is_table),
	    cmocka_unit_test(test_nothing_is_lost_q_38),
	    cmocka_unit_test(test_others_are_never_harmed),
	    cmocka_unit_test(test_nonsense_is_inner_failure),
	};
	return cmocka_run_group_tests_name("intake fates", tests, NULL, NULL);
}
