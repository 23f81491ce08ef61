/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: any bytes as an Outlook message file. The first byte chooses whether it is the input itself or a part of a mail, and the
 * limit on its size. What is in it is counted against small limits. */
#include "parser/outlook.h"
#include "parser/unpack.h"

#include <stdlib.h>
#include <string.h>

static void must(int truth)
{
	if (!truth)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = &lim};
	struct tap_work w = {.opt = &opt, .lim = &lim};
	struct tap_mime_result res;
	struct tap_source src;
	struct tap_err err;

	if (size == 0)
		return 0;
	tap_parser_global_init();
	lim.report_bytes = 1 << 18;
	lim.total_bytes = 1 << 19;
	lim.message_bytes = data[0] & 2 ? 1 << 18 : 1 << 13;
	lim.mime_parts = 20;
	lim.mime_depth = 5;
	lim.json_bytes = 1 << 16;
	w.parts = w.leaves = data[0] & 1;
	memset(&res, 0, sizeof res);
	tap_source_mem(&src, data + 1, size - 1);
	must(tap_outlook_walk(&w, &src, 0, &res, &err) == TAP_OK);
	must(w.total <= lim.total_bytes + lim.report_bytes);
	must(w.parts <= lim.mime_parts + 2);
	tap_work_free(&w);
	tap_work_done(&w);
	return 0;
}
