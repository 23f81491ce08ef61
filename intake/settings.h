/* SPDX-License-Identifier: Apache-2.0
 * intake/settings.h - the sections "reports" and "spool" of the configuration file.
 * Ownership: strings belong to struct tap_settings (base/settings.h). Threads: read-only after load. */
#ifndef TAP_INTAKE_SETTINGS_H
#define TAP_INTAKE_SETTINGS_H

#include "base/settings.h"
#include <stdbool.h>
#include <stdint.h>

enum tap_not_report { TAP_NOT_REPORT_QUARANTINE, TAP_NOT_REPORT_FORWARD, TAP_NOT_REPORT_REJECT };

struct tap_reports_settings {	   /* section "reports" */
	struct tap_list addresses; /* "dmarc@example.com", "@reports.example.com" */
	char *extension_delimiter; /* "+"; "" = none */
	bool consume;		   /* the milter takes reports out of the mail stream */
	int64_t not_report;	   /* enum tap_not_report: LMTP and pipe */
	char *not_report_address;  /* with forward */
	int64_t max_message;	   /* bytes of a raw message */
	char *sendmail;		   /* program that forwards */
	int64_t sendmail_ms;	   /* its time */
	int64_t pipe_ms;	   /* that dmarctap-pipe gives itself */
};
extern const struct tap_section tap_reports_section;

struct tap_spool_settings { /* section "spool" */
	char *directory;
	int64_t max_bytes, max_files; /* of incoming/, all doors together */
	int64_t min_free;	      /* bytes that must stay free on the file system */
};
extern const struct tap_section tap_spool_section;

/* The header that the milter adds to report mail that it lets through, and whose forged copies it removes. */
extern const char tap_reports_header[]; /* "X-Dmarctap" */

#endif
