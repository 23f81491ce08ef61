/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: any bytes as one container: gzip, zlib, deflate, zip, tar, S/MIME, Outlook, one inside of the other. The first byte chooses whether a zip is read where
 * it stands or brought into memory, and the size of the pieces. What comes out is counted against small limits. */
#include "parser/unpack.h"

#include <stdlib.h>
#include <string.h>

struct pieces {
	struct tap_stream base;
	const uint8_t *p;
	size_t size, at, most;
};

static void must(int truth)
{
	if (!truth)
		abort();
}

static enum tap_rc rewind_pieces(struct tap_stream *st, struct tap_err *err)
{
	(void)err;
	((struct pieces *)st)->at = 0;
	return TAP_OK;
}

static enum tap_rc read_pieces(struct tap_stream *st, void *buf, size_t n, size_t *got_r,
			       struct tap_err *err)
{
	struct pieces *s = (struct pieces *)st;

	(void)err;
	must(n > 0);
	if (n > s->most)
		n = s->most;
	if (n > s->size - s->at)
		n = s->size - s->at;
	memcpy(buf, s->p + s->at, n);
	s->at += n;
	*got_r = n;
	return TAP_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = &lim};
	struct tap_work w = {.opt = &opt, .lim = &lim};
	struct tap_container_result res;
	struct tap_container c = {.filename = "a.zip"};
	struct tap_source direct;
	struct pieces s;
	struct tap_err err;

	if (size == 0)
		return 0;
	tap_parser_global_init();
	/* So low that a bomb costs microseconds; bombs of full size are in tests/integration. */
	lim.report_bytes = 48 << 10;
	lim.total_bytes = 96 << 10;
	lim.zip_members = 6;
	lim.zip_name = 60;
	lim.message_bytes = 1 << 20;
	lim.json_bytes = 1 << 14;
	lim.mime_parts = 20;
	s.base.rewind = rewind_pieces;
	s.base.read = read_pieces;
	s.p = data + 1;
	s.size = size - 1;
	s.at = 0;
	s.most = 1 + (data[0] >> 1) * 64u;
	tap_source_mem(&direct, data + 1, size - 1);
	c.bytes = &s.base;
	c.direct = data[0] & 1 ? &direct : NULL;
	must(tap_unpack(&w, &c, &res, &err) == TAP_OK);
	/* Documents of a mail inside (S/MIME, Outlook) are counted there. */
	must(res.reports == 0 || res.documents > 0 || res.packed);
	must(res.reports > 0 || res.why[0] != '\0');
	/* Nothing beyond one read of a decompressor is given once the limit is passed. */
	must(w.total <= lim.total_bytes + lim.report_bytes);
	tap_work_free(&w);
	tap_work_done(&w);
	return 0;
}
