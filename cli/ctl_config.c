/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_config.c - `dmarctapctl config check|dump|sample`: the settings tables of all programs. */
#include "base/sandbox.h"
#include "cli/ctl.h"
#include "confine/pool.h"
#include "daemon/kept.h"
#include "daemon/settings.h"
#include "daemon/sink_config.h"
#include "dashboard/settings.h"
#include "milter/settings.h"
#include "pipefilter/lmtp_settings.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { TEXT_MAX = 4 << 20 };

const struct tap_section *const ctl_sections[CTL_SECTIONS] = {
    &tap_reports_section, &tap_spool_section,	   &tap_parser_section,	 &tap_trust_section,
    &tap_milter_section,  &tap_lmtp_section,	   &tap_store_section,	 &tap_worker_section,
    &tap_web_section,	  &tap_quarantine_section, &tap_sandbox_section,
};

static void complain(const struct tap_err *err)
{
	(void)fprintf(stderr, "%s\n", err->msg);
}

static int config_check(struct ctl *c)
{
	struct tap_sink_config *sinks = NULL;
	struct tap_err err = {0};
	size_t n = 0;
	int bad = 0;

	if (tap_settings_load(c->config, &c->settings, &err) != TAP_OK) {
		complain(&err);
		return CTL_NO;
	}
	for (size_t i = 0; i < CTL_SECTIONS;
	     i++) { /* all of them, so that one run shows every section's error */
		void *set = calloc(1, ctl_sections[i]->struct_size);

		if (set == NULL)
			return EX_OSERR;
		if (tap_settings_section(c->settings, ctl_sections[i], set, &err) != TAP_OK) {
			complain(&err);
			bad++;
		}
		free(set);
	}
	if (tap_sink_configs_load(c->settings, &sinks, &n, &err) != TAP_OK) {
		complain(&err);
		bad++;
	}
	tap_sink_configs_free(&sinks, n);
	if (bad == 0)
		(void)printf("%s: OK, %zu outputs\n", c->config, n);
	return bad == 0 ? CTL_OK : CTL_NO;
}

static void dump_output(const struct tap_sink_config *k, bool all, bool last, struct tap_buf *b)
{
	tap_buf_printf(b, "{\n\ttype = \"%s\";\n\tname = \"%s\";\n", k->ops->name, k->name);
	tap_settings_dump(tap_sink_section(k->ops), k->set, !all, b);
	tap_buf_adds(b, last ? "}" : "}, ");
}

static enum tap_rc dump(struct ctl *c, struct tap_buf *b, struct tap_err *err)
{
	struct tap_sink_config *sinks = NULL;
	size_t n = 0;
	enum tap_rc rc = tap_settings_load(c->config, &c->settings, err);

	for (size_t i = 0; rc == TAP_OK && i < CTL_SECTIONS; i++) {
		void *set = calloc(1, ctl_sections[i]->struct_size);

		rc = set == NULL ? tap_err_set(err, TAP_E_TEMP, "out of memory")
				 : tap_settings_section(c->settings, ctl_sections[i], set, err);
		if (rc == TAP_OK)
			tap_settings_dump(ctl_sections[i], set, !ctl_has(c, "all"), b);
		free(set);
	}
	if (rc == TAP_OK)
		rc = tap_sink_configs_load(c->settings, &sinks, &n, err);
	if (rc == TAP_OK)
		tap_buf_adds(b, "outputs = ( ");
	for (size_t i = 0; rc == TAP_OK && i < n; i++)
		dump_output(&sinks[i], ctl_has(c, "all"), i + 1 == n, b);
	if (rc == TAP_OK)
		tap_buf_adds(b, " );\n");
	tap_sink_configs_free(&sinks, n);
	return rc;
}

static int config_dump(struct ctl *c)
{
	struct tap_err err = {0};
	struct tap_buf b;
	enum tap_rc rc;

	tap_buf_init(&b, TEXT_MAX);
	rc = dump(c, &b, &err);
	if (rc == TAP_OK)
		(void)fwrite(b.p, 1, b.len, stdout);
	tap_buf_free(&b);
	return rc == TAP_OK ? CTL_OK : ctl_fail(&err);
}

/* Lines of text with the mark in front, so that the example of an output stays a comment. */
static void commented(const struct tap_buf *text, struct tap_buf *out)
{
	for (size_t at = 0; at < text->len;) {
		const char *end = memchr(text->p + at, '\n', text->len - at);
		size_t n = end != NULL ? (size_t)(end - text->p) - at : text->len - at;

		tap_buf_adds(out, n > 0 && text->p[at] == '#' ? "" : "# ");
		tap_buf_add(out, text->p + at, n);
		tap_buf_addc(out, '\n');
		at += n + 1;
	}
}

static void sample_outputs(struct tap_buf *b)
{
	struct tap_buf one;

	tap_buf_adds(b, "\n# Where the reports go beside the store: any number of entries, each "
			"with a type and, when a type comes twice, a name.\n"
			"# What each type knows is described below.\n"
			"outputs = (\n"
			"#\t{ type = \"json\"; name = \"archive\"; path = "
			"\"/var/lib/dmarctap/reports.jsonl\"; }\n"
			");\n");
	for (size_t i = 0; tap_outputs[i] != NULL; i++) {
		if (strcmp(tap_outputs[i]->name, "fail") == 0) /* for tests only */
			continue;
		tap_buf_printf(b, "\n# Settings of an output of type \"%s\":\n",
			       tap_outputs[i]->name);
		tap_buf_init(&one, TEXT_MAX);
		tap_settings_sample(tap_sink_section(tap_outputs[i]), &one);
		commented(&one, b);
		tap_buf_free(&one);
	}
}

static int config_sample(struct ctl *c)
{
	struct tap_buf b;

	(void)c;
	tap_buf_init(&b, TEXT_MAX);
	tap_buf_adds(&b,
		     "# Configuration of dmarctap; made by `dmarctapctl config sample`. Settings "
		     "that are commented out have their default.\n"
		     "# After a change: dmarctapctl config check, then restart the programs.\n");
	for (size_t i = 0; i < CTL_SECTIONS; i++) {
		tap_buf_addc(&b, '\n');
		tap_settings_sample(ctl_sections[i], &b);
	}
	sample_outputs(&b);
	(void)fwrite(b.p, 1, b.len, stdout);
	tap_buf_free(&b);
	return CTL_OK;
}

static const struct ctl_option dump_options[] = {{"all", NULL, "defaults, too"},
						 {NULL, NULL, NULL}};
const struct ctl_command ctl_config_commands[] = {
    {"config check", "config check", "reads the whole configuration of all programs", 0, 0, NULL,
     config_check},
    {"config dump", "config dump [--all]", "what is set, or with --all what holds", 0, 0,
     dump_options, config_dump},
    {"config sample", "config sample", "a configuration file with every setting explained", 0, 0,
     NULL, config_sample},
    {0},
};
