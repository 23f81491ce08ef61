/* SPDX-License-Identifier: Apache-2.0
 * enrich/settings.c - rows of the section "enrich". */
#include "enrich/enrich.h"

static const struct tap_setting enrich_table[] = {
    TAP_ROW_BOOL("offline", tap_enrich_settings, offline, 0, "no",
		 "No DNS at all: no reverse names, and no service that is known by its name."),
    TAP_ROW_TIME("wait", tap_enrich_settings, wait_ms, 0, "10m", 0, 86400000,
		 "How long an output waits until it is known who sent what a report tells; then "
		 "it gets the report with what is known."),
    TAP_ROW_TIME("retry", tap_enrich_settings, retry_ms, 0, "5m", 1000, 86400000,
		 "How long after a failure an address is looked up again."),
    TAP_ROW_BOOL("confirm", tap_enrich_settings, confirm, 0, "yes",
		 "Whether reverse names are looked up again in the other direction. Anybody can "
		 "give an address any name; one that does not lead back is shown, but does not "
		 "name a service. Doubles the questions."),
    TAP_ROW_PATH("cache", tap_enrich_settings, cache, 0, "/var/lib/dmarctap/dns-cache.db",
		 "Where reverse names are remembered. The file may be deleted at any time. Empty: "
		 "in memory only."),
    TAP_ROW_INT("cache_entries", tap_enrich_settings, cache_entries, 0, "500000", 100, 100000000,
		"How many addresses are remembered; about 100 bytes each."),
    TAP_ROW_LIST("geoip", tap_enrich_settings, geoip, 0, NULL,
		 "Databases of countries and networks in MMDB form (MaxMind, DB-IP, IPinfo, "
		 "IPLocate, iptoasn), absolute paths. Of several the first that knows a value "
		 "gives it. They are read again when they are replaced."),
    TAP_ROW_LIST("service_maps", tap_enrich_settings, service_maps, 0, NULL,
		 "CSV files (base_reverse_dns,name,type) that name services, absolute paths; they "
		 "are asked before the map that comes with the program."),
    TAP_ROW_PATH("suffix_overrides", tap_enrich_settings, suffix_overrides, 0, NULL,
		 "A file of suffixes that stand for one sender: \"-host.example.net example.net\", "
		 "one a line."),
    {.name = NULL},
};

const struct tap_section tap_enrich_section = {
    .name = "enrich",
    .doc =
	"What is found out about the addresses in reports: names, countries, networks, services.",
    .table = enrich_table,
    .struct_size = sizeof(struct tap_enrich_settings),
    .check = NULL,
};
