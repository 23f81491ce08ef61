/* SPDX-License-Identifier: Apache-2.0
 * enrich/resolver_settings.c - rows of the section "dns". */
#include "enrich/resolver.h"
#include "enrich/resolver_priv.h"

#include <string.h>

static const struct tap_setting dns_table[] = {
    TAP_ROW_LIST("nameservers", tap_dns_settings, nameservers, 0,
		 "1.1.1.1, 1.0.0.1, 2606:4700:4700::1111, 2606:4700:4700::1001",
		 "DNS servers to ask, in this order as long as they answer: ADDRESS, ADDRESS:PORT "
		 "or [ADDRESS]:PORT. The default are Cloudflare's, and not those of this host, so "
		 "that local zones do not differ from what the world sees; a resolver of your own "
		 "nearby is faster. \"system\" stands for the nameservers of /etc/resolv.conf."),
    TAP_ROW_TIME("timeout", tap_dns_settings, timeout_ms, 0, "2s", 50, 60000,
		 "How long one server has to answer a question; a datagram that seems lost is "
		 "sent again much earlier. A question is given up after twice this time, and "
		 "when no server answers anything for so long, all questions are."),
    TAP_ROW_INT("tries", tap_dns_settings, tries, 0, "8", 1, 20,
		"How often one question is sent at most."),
    TAP_ROW_INT("in_flight", tap_dns_settings, in_flight, 0, "800", 1, 4096,
		"How many questions are out at once, at most; fewer while datagrams get lost."),
    TAP_ROW_BOOL("query_private", tap_dns_settings, query_private, 0, "no",
		 "Whether private, reserved and documentation addresses (10.0.0.0/8, fc00::/7, …) "
		 "are asked for too. For a resolver of your own that knows them."),
    {.name = NULL},
};

static enum tap_rc dns_check(const void *set, struct tap_err *err)
{
	const struct tap_dns_settings *s = set;
	struct tap_dns_servers servers;

	return tap_dns_servers_make(&s->nameservers, &servers, err);
}

const struct tap_section tap_dns_section = {
    .name = "dns",
    .doc = "How reverse names are looked up, and the records that `dmarctap check` reads.",
    .table = dns_table,
    .struct_size = sizeof(struct tap_dns_settings),
    .check = dns_check,
};
