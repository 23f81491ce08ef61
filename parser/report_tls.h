/* SPDX-License-Identifier: Apache-2.0
 * parser/report_tls.h - the parts of an SMTP TLS report that follow its meta part: policies, and under each its failure details.
 * Ownership, strings and threads as parser/report.h says. RFC 8460 section 4. */
#ifndef TAP_PARSER_REPORT_TLS_H
#define TAP_PARSER_REPORT_TLS_H

#include <stddef.h>
#include <stdint.h>

struct tap_tls_policy {
	uint32_t index; /* 0-based in the report */
	const char *
	    policy_type; /* "tlsa" "sts" "no-policy-found", or as sent in lower case; NULL = missing */
	const char *policy_domain; /* lower case; NULL = missing */
	const char *const *policy_strings;
	size_t n_policy_strings;
	const char *const *mx_hosts; /* mx-host, or mx-host-pattern */
	size_t n_mx_hosts;
	uint64_t successful, failed; /* sessions, 0 … 2^63-1 */
	uint64_t n_details;	     /* how many details of this policy follow */
};
struct tap_tls_detail {
	uint32_t policy; /* index of its policy */
	uint64_t index;	 /* 0-based below its policy */
	const char *result_type;
	uint64_t failed; /* sessions */
	const char *sending_mta_ip,
	    *receiving_ip; /* canonical, or as sent when it is no address; NULL = not said */
	const char *receiving_mx_hostname, *receiving_mx_helo;
	const char *additional_info, *failure_reason_code;
};

#endif
