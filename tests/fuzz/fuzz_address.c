/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: any bytes as an address list, and as a date. No phantom comes out, every part is clean text, and the cap changes nothing
 * but the end of the list. */
#include "parser/address.h"
#include "parser/mail_date.h"
#include "parser/parser.h"
#include "parser/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { CAP = 32 * 1024, MOST = 5 };

static void must(int truth)
{
	if (!truth)
		abort();
}

static void text(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = strlen(s);

	while (n > 0) {
		uint32_t cp;
		size_t step = tap_utf8_step(p, n, &cp);

		must(step > 0 && cp >= ' ' && !(cp >= 0x7f && cp < 0xa0));
		p += step;
		n -= step;
	}
}

static void mailbox(const struct tap_mailbox *m)
{
	size_t local = strlen(m->local);

	must(m->display_name && m->address && m->local);
	text(m->display_name);
	must(m->display_name[0] || m->address[0]);
	must(strncmp(m->address, m->local, local) == 0);
	if (m->domain == NULL) {
		must(m->address[local] == '\0');
	} else {
		must(local > 0 && m->address[local] == '@' && m->domain[0]);
		must(strcasecmp(m->address + local + 1, m->domain) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tap_arena *a = tap_arena_new(CAP);
	struct tap_mailboxes all = {0}, some = {0};
	struct tap_mail_date d;
	struct tap_err err;
	bool cut;

	tap_parser_global_init();
	if (tap_mail_date_parse((const char *)data, size, &d))
		must(d.time > INT64_C(-2300000000) && d.time < INT64_C(253500000000) &&
		     d.zone > -1440 && d.zone < 1440 && (d.has_zone || d.zone == 0));
	else
		must(!d.has_zone);
	if (tap_address_list(a, (const char *)data, size, 1000, &all, &cut, &err) == TAP_OK) {
		for (size_t i = 0; i < all.n; i++)
			mailbox(&all.item[i]);
		if (tap_address_list(a, (const char *)data, size, MOST, &some, &cut, &err) ==
		    TAP_OK) {
			must(some.n == (all.n < MOST ? all.n : MOST) && cut == (all.n > MOST));
			for (size_t i = 0; i < some.n; i++)
				must(strcmp(all.item[i].address, some.item[i].address) == 0);
		}
	}
	tap_arena_free(&a);
	return 0;
}
