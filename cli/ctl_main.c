/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_main.c - dmarctapctl, for the operator: its command line. */
#include "cli/ctl.h"

#include "base/log.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* In the order of the help. */
static const struct ctl_command *const tables[] = {
    ctl_status_commands, ctl_spool_commands,   ctl_quarantine_commands, ctl_kept_commands,
    ctl_outbox_commands, ctl_outputs_commands, ctl_reprocess_commands,	ctl_config_commands,
};
enum { TABLES = sizeof(tables) / sizeof(tables[0]), SHORT = 'z' + 1 };

static void usage(FILE *to)
{
	(void)fputs("usage: dmarctapctl [-c FILE] COMMAND\n", to);
	for (size_t t = 0; t < TABLES; t++)
		for (const struct ctl_command *k = tables[t]; k->words != NULL; k++)
			(void)fprintf(to, "  %-28s %s\n", k->usage, k->text);
	(void)fputs(
	    "  -c FILE                      configuration (default /etc/dmarctap/dmarctap.conf)\n"
	    "  -h, -V                       this help (of one command: COMMAND -h), the version\n",
	    to);
}

static int bad_usage(void)
{
	usage(stderr);
	return CTL_USAGE;
}

static int command_usage(const struct ctl_command *k, FILE *to)
{
	(void)fprintf(to, "usage: dmarctapctl [-c FILE] %s\n%s\n", k->usage, k->text);
	for (const struct ctl_option *o = k->options; o != NULL && o->name != NULL; o++) {
		int n = fprintf(to, "  --%s%s%s", o->name, o->value != NULL ? " " : "",
				o->value != NULL ? o->value : "");

		(void)fprintf(to, "%*s %s\n", n < 30 ? 30 - n : 0, "", o->text);
	}
	return to == stdout ? CTL_OK : CTL_USAGE;
}

int ctl_fail(const struct tap_err *err)
{
	static const int status[] = {
	    [TAP_E_TEMP] = EX_TEMPFAIL, [TAP_E_DATA] = CTL_NO,	   [TAP_E_LIMIT] = CTL_NO,
	    [TAP_E_CONFIG] = EX_CONFIG, [TAP_E_NOTFOUND] = CTL_NO, [TAP_E_CANCELLED] = EX_TEMPFAIL};

	(void)fprintf(stderr, "dmarctapctl: %s\n", err->msg);
	return (size_t)err->rc < sizeof(status) / sizeof(status[0]) ? status[err->rc] : EX_SOFTWARE;
}

enum tap_rc ctl_section(struct ctl *c, const struct tap_section *sec, void *out,
			struct tap_err *err)
{
	enum tap_rc rc =
	    c->settings == NULL ? tap_settings_load(c->config, &c->settings, err) : TAP_OK;

	return rc == TAP_OK ? tap_settings_section(c->settings, sec, out, err) : rc;
}

const char *ctl_get(const struct ctl *c, const char *name)
{
	for (size_t i = 0; i < c->n_given; i++)
		if (strcmp(c->given[i]->name, name) == 0)
			return c->value[i] != NULL ? c->value[i] : "";
	return NULL;
}

/* How many of the first words are the command's; 0 = it is another. */
static size_t match(const struct ctl_command *k, int n, char **words)
{
	const char *p = k->words;
	size_t got = 0;

	while (*p != '\0') {
		size_t len = strcspn(p, " ");

		if ((int)got == n || strlen(words[got]) != len || strncmp(words[got], p, len) != 0)
			return 0;
		got++;
		p += len + (p[len] == ' ');
	}
	return got;
}

static const struct ctl_command *find(int n, char **words, size_t *taken_r)
{
	for (size_t t = 0; t < TABLES; t++) {
		for (const struct ctl_command *k = tables[t]; k->words != NULL; k++) {
			*taken_r = match(k, n, words);
			if (*taken_r > 0)
				return k;
		}
	}
	return NULL;
}

/* Options of one command, anywhere behind its words. argv[0] is its last word. */
static int run(struct ctl *c, const struct ctl_command *k, int argc, char **argv)
{
	struct option longs[CTL_OPTIONS + 2] = {{NULL, 0, NULL, 0}};
	size_t n = 0;
	int o;

	for (; k->options != NULL && k->options[n].name != NULL && n < CTL_OPTIONS; n++)
		longs[n] =
		    (struct option){k->options[n].name,
				    k->options[n].value != NULL ? required_argument : no_argument,
				    NULL, SHORT + (int)n};
	longs[n] = (struct option){"help", no_argument, NULL, 'h'};
	optind = 0; /* begin anew */
	while ((o = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		if (o == 'c') {
			c->config = optarg;
		} else if (o == 'h') {
			return command_usage(k, stdout);
		} else if (o >= SHORT && c->n_given < CTL_OPTIONS) {
			c->given[c->n_given] = &k->options[o - SHORT];
			c->value[c->n_given++] = optarg;
		} else {
			return command_usage(k, stderr);
		}
	}
	c->arg = argv + optind;
	c->n_args = (size_t)(argc - optind);
	if (c->n_args < k->least || c->n_args > k->most)
		return command_usage(k, stderr);
	return k->run(c);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
					      {"version", no_argument, NULL, 'V'},
					      {NULL, 0, NULL, 0}};
	struct ctl c = {.config = tap_settings_default_path};
	const struct ctl_command *k;
	size_t taken = 0;
	int o, status;

	tap_log_init("dmarctapctl", TAP_LOG_WARNING);
	while ((o = getopt_long(argc, argv, "+c:hV", longs, NULL)) != -1) {
		if (o == 'c')
			c.config = optarg;
		else if (o == 'h')
			return usage(stdout), CTL_OK;
		else if (o == 'V')
			return puts("dmarctapctl " TAP_VERSION), CTL_OK;
		else
			return bad_usage();
	}
	k = find(argc - optind, argv + optind, &taken);
	if (k == NULL)
		return bad_usage();
	status = run(&c, k, argc - optind - (int)taken + 1, argv + optind + taken - 1);
	tap_settings_free(&c.settings);
	if (fflush(stdout) != 0 && status == CTL_OK)
		status = EX_IOERR;
	return status;
}
