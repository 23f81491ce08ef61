/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_outputs.c - `dmarctapctl outputs list|test|setup`. list asks the worker; test and setup read the configuration, secrets
 * included, and speak with the peer themselves: for who may read what the worker reads. */
#include "base/clock.h"
#include "base/log.h"
#include "cli/ctl.h"
#include "cli/ctl_outputs.h"
#include "daemon/control.h"
#include "daemon/sink_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { WAIT_MS = 10000, LINE = 2048, SAID = 1 << 20 };

static int list(struct ctl *c)
{
	struct tap_buf line;
	int status;

	tap_buf_init(&line, LINE);
	tap_buf_adds(&line, "outputs list");
	if (ctl_has(c, "json"))
		tap_control_set(&line, "format", "json");
	status = ctl_ask(c, &line, WAIT_MS);
	tap_buf_free(&line);
	return status;
}

/* The output of that name; all of them are loaded, since one error spoils the worker's start, too. */
static enum tap_rc find(struct ctl *c, struct tap_sink_config **list_r, size_t *n_r,
			const struct tap_sink_config **one_r, struct tap_err *err)
{
	enum tap_rc rc = tap_settings_load(c->config, &c->settings, err);

	if (rc == TAP_OK)
		rc = tap_sink_configs_load(c->settings, list_r, n_r, err);
	for (size_t i = 0; rc == TAP_OK && i < *n_r; i++)
		if (strcmp((*list_r)[i].name, c->arg[0]) == 0) {
			*one_r = &(*list_r)[i];
			return TAP_OK;
		}
	return rc != TAP_OK
		   ? rc
		   : tap_err_set(err, TAP_E_NOTFOUND, "there is no output \"%s\"", c->arg[0]);
}

/* ---- test ---- */

static enum tap_rc send_one(const struct tap_sink_config *k, const struct tap_buf *b,
			    enum tap_item_verdict *verdict, char *why, size_t n_why,
			    struct tap_err *err)
{
	char state[TAP_OUTPUT_STATE_MAX] = "";
	const size_t ofs[2] = {0, b->len};
	void *self = NULL;
	const char *own = NULL;
	enum tap_rc rc = k->ops->open(k->set, "", state, &self, err);

	*verdict = TAP_ITEM_RETRY;
	if (rc == TAP_OK) {
		rc = k->ops->send(self, b->p, ofs, 1, verdict, state,
				  tap_clock_mono_ms() + k->common->timeout_ms, err);
		if (rc == TAP_OK && k->ops->reason != NULL)
			own = k->ops->reason(self, 0);
		(void)snprintf(why, n_why, "%s",
			       own != NULL	     ? own
			       : err->msg[0] != '\0' ? err->msg
						     : "no reason was given");
	}
	k->ops->close(&self);
	return rc;
}

static int say(const struct tap_sink_config *k, const struct ctl_test_item *t,
	       enum tap_item_verdict verdict, const char *why)
{
	if (verdict == TAP_ITEM_CONFIRMED) {
		(void)printf("%s (%s): %s, report id %s, report_uid %s\n", k->name, k->ops->name,
			     k->ops->promise == TAP_PROMISE_UNCONFIRMED
				 ? "sent (the peer confirms nothing)"
				 : "confirmed",
			     t->id, t->meta.uid);
		return CTL_OK;
	}
	(void)printf("%s (%s): %s: ", k->name, k->ops->name,
		     verdict == TAP_ITEM_NEVER ? "refused for good" : "to be tried again");
	ctl_print_text(why);
	(void)putchar('\n');
	return CTL_NO;
}

static int test_one(const struct tap_sink_config *k)
{
	struct ctl_test_item t;
	enum tap_item_verdict verdict = TAP_ITEM_RETRY;
	unsigned kinds =
	    k->ops->kinds & (k->ops->wants != NULL ? k->ops->wants(k->set) : k->ops->kinds);
	struct tap_err err = {0};
	struct tap_buf b;
	char why[600] = "";
	enum tap_rc rc;
	int status;

	if (k->ops->in_order) {
		(void)printf("%s (%s): writes files in the order of the reports, so nothing is "
			     "put between them; its settings are good\n",
			     k->name, k->ops->name);
		return CTL_OK;
	}
	ctl_test_item(kinds, tap_clock_now(), &t);
	tap_buf_init(&b, k->ops->max_bytes);
	rc = k->ops->encode(k->set, &t.item, &b, &err);
	if (rc == TAP_OK)
		rc = send_one(k, &b, &verdict, why, sizeof why, &err);
	tap_buf_free(&b);
	status = rc == TAP_OK ? say(k, &t, verdict, why) : ctl_fail(&err);
	return status;
}

static int test(struct ctl *c)
{
	struct tap_sink_config *sinks = NULL;
	const struct tap_sink_config *one = NULL;
	struct tap_err err = {0};
	size_t n = 0;
	int status = find(c, &sinks, &n, &one, &err) == TAP_OK && one != NULL ? test_one(one)
									      : ctl_fail(&err);

	tap_sink_configs_free(&sinks, n);
	return status;
}

/* ---- setup ---- */

static int setup_one(const struct tap_sink_config *k)
{
	struct tap_err err = {0};
	struct tap_buf said;
	enum tap_rc rc;

	if (k->ops->setup == NULL) {
		(void)printf("%s (%s): nothing has to be set up\n", k->name, k->ops->name);
		return CTL_OK;
	}
	tap_buf_init(&said, SAID);
	rc = k->ops->setup(k->set, &said, tap_clock_mono_ms() + k->common->timeout_ms, &err);
	ctl_print_safe(said.p, said.len, true);
	tap_buf_free(&said);
	return rc == TAP_OK ? CTL_OK : ctl_fail(&err);
}

static int setup(struct ctl *c)
{
	struct tap_sink_config *sinks = NULL;
	const struct tap_sink_config *one = NULL;
	struct tap_err err = {0};
	size_t n = 0;
	int status = find(c, &sinks, &n, &one, &err) == TAP_OK && one != NULL ? setup_one(one)
									      : ctl_fail(&err);

	tap_sink_configs_free(&sinks, n);
	return status;
}

static const struct ctl_option list_options[] = {{"json", NULL, "one line of JSON, for machines"},
						 {NULL, NULL, NULL}};
const struct ctl_command ctl_outputs_commands[] = {
    {"outputs list", "outputs list [--json]",
     "how each output fares: owed, parked, last success, last error", 0, 0, list_options, list},
    {"outputs test", "outputs test NAME",
     "sends one marked report about test.invalid, and says what came back", 1, 1, NULL, test},
    {"outputs setup", "outputs setup NAME",
     "installs what the output needs at its peer, such as index templates", 1, 1, NULL, setup},
    {0},
};
