/* SPDX-License-Identifier: Apache-2.0
 * daemon/sink_config.c - the list of outputs. Threads: none. */
#include "daemon/sink_config.h"

#include "base/settings_value.h"

#include <stdlib.h>

enum { TYPES_MOST = 64, ROWS_MOST = 96, ALIGN = 16 };

static const char *const starts[] = {"beginning", "now", NULL};
static const struct tap_setting common_table[] = {
    TAP_ROW_BOOL("resend", tap_sink_common, resend, 0, "false",
		 "Send a report once more when it was corrected by its reporter, or read better "
		 "by a newer version of this program (see revision in the documents). Outputs "
		 "that replace what they have do so always."),
    TAP_ROW_ENUM("start", tap_sink_common, start, 0, "beginning", starts,
		 "What a new output is owed. beginning: all that is in the store. now: what comes "
		 "from its first start on."),
    TAP_ROW_TIME("retry_for", tap_sink_common, retry_for_ms, 0, "0", 0,
		 (int64_t)1000 * 86400 * 3650,
		 "An item that could not be sent for so long is parked; 0 = it is tried for "
		 "ever."),
    TAP_ROW_TIME("timeout", tap_sink_common, timeout_ms, 0, "30s", 100, 3600000,
		 "The longest time that one batch may take."),
    {0},
};

static size_t driver_size(const struct tap_output_ops *ops)
{
	return (ops->settings->struct_size + ALIGN - 1) / ALIGN * ALIGN;
}

const struct tap_section *tap_sink_section(const struct tap_output_ops *ops)
{
	static struct {
		const struct tap_output_ops *ops;
		struct tap_section section;
		struct tap_setting table[ROWS_MOST];
	} made[TYPES_MOST];
	size_t k = 0, n = 0;

	while (k < TYPES_MOST && made[k].ops != NULL && made[k].ops != ops)
		k++;
	if (k == TYPES_MOST || made[k].ops == ops)
		return k < TYPES_MOST ? &made[k].section : NULL;
	for (const struct tap_setting *r = ops->settings->table;
	     r->name != NULL && n + sizeof(common_table) / sizeof(common_table[0]) < ROWS_MOST; r++)
		made[k].table[n++] = *r;
	for (const struct tap_setting *r = common_table; r->name != NULL; r++) {
		made[k].table[n] = *r;
		made[k].table[n++].offset += driver_size(ops);
	}
	made[k].section = *ops->settings;
	made[k].section.table = made[k].table;
	made[k].section.struct_size = driver_size(ops) + sizeof(struct tap_sink_common);
	made[k].ops = ops;
	return &made[k].section;
}

static enum tap_rc unknown_type(size_t i, const char *type, struct tap_err *err)
{
	const char *names[TYPES_MOST];
	size_t n = 0;

	while (n < TYPES_MOST && tap_outputs[n] != NULL) {
		names[n] = tap_outputs[n]->name;
		n++;
	}
	return tap_err_set(
	    err, TAP_E_CONFIG,
	    "outputs, entry %zu: there is no output of type \"%s\", the nearest is \"%s\"", i + 1,
	    type, tap_nearest(type, names, n));
}

static enum tap_rc load_one(struct tap_settings *s, size_t i, struct tap_sink_config *c,
			    struct tap_err *err)
{
	const char *type = NULL;
	const struct tap_section *sec;
	enum tap_rc rc = tap_settings_output_id(s, i, &type, &c->name, err);

	if (rc != TAP_OK)
		return rc;
	c->ops = tap_output_find(type);
	if (c->ops == NULL)
		return unknown_type(i, type, err);
	sec = tap_sink_section(c->ops);
	c->set = sec != NULL ? calloc(1, sec->struct_size) : NULL;
	if (c->set == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	c->common = (const void *)((const char *)c->set + driver_size(c->ops));
	return tap_settings_output(s, i, sec, c->set, err);
}

enum tap_rc tap_sink_configs_load(struct tap_settings *s, struct tap_sink_config **list_r,
				  size_t *n_r, struct tap_err *err)
{
	size_t n = tap_settings_outputs(s);
	struct tap_sink_config *list = calloc(n + 1, sizeof(*list));
	enum tap_rc rc = TAP_OK;

	*list_r = NULL;
	*n_r = 0;
	if (list == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	for (size_t i = 0; rc == TAP_OK && i < n; i++)
		rc = load_one(s, i, &list[i], err);
	if (rc != TAP_OK)
		tap_sink_configs_free(&list, n);
	*list_r = list;
	*n_r = rc == TAP_OK ? n : 0;
	return rc;
}

void tap_sink_configs_free(struct tap_sink_config **list, size_t n)
{
	for (size_t i = 0; *list != NULL && i < n; i++)
		free((*list)[i].set);
	free(*list);
	*list = NULL;
}
