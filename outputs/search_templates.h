/* SPDX-License-Identifier: Apache-2.0
 * outputs/search_templates.h - the files etc/elasticsearch/template-*.json as text; search_templates.c is made of them at build time.
 * Private to outputs/. Threads: read-only. */
#ifndef TAP_OUTPUTS_SEARCH_TEMPLATES_H
#define TAP_OUTPUTS_SEARCH_TEMPLATES_H

#include "parser/report.h"

struct tap_search_template {
	enum tap_kind kind;
	const char *text;
};
extern const struct tap_search_template tap_search_templates[];
extern const size_t tap_search_templates_n;

#endif
