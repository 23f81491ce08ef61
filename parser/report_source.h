/* SPDX-License-Identifier: Apache-2.0
 * parser/report_source.h - what enrichment knows of a sending address. Ownership as parser/report.h says. Threads: safe to read. */
#ifndef TAP_PARSER_REPORT_SOURCE_H
#define TAP_PARSER_REPORT_SOURCE_H

#include <stdint.h>

/* What enrichment knows of an address; all NULL/0 until it has run. */
struct tap_source_info {
	const char *reverse_dns, *base_domain, *country, *name, *type, *as_name, *as_domain;
	uint32_t asn; /* 0 = unknown */
};

#endif
