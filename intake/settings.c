/* SPDX-License-Identifier: Apache-2.0
 * intake/settings.c - rows of the sections "reports" and "spool", and the rules between them. */
#include "intake/settings.h"

#include "intake/address.h"

#include <string.h>

const char tap_reports_header[] = "X-Dmarctap";

static const char *const not_report_choices[] = {"quarantine", "forward", "reject", NULL};

static const struct tap_setting reports_table[] = {
    TAP_ROW_LIST("addresses", tap_reports_settings, addresses, 0, NULL,
		 "Addresses that reports are sent to: \"dmarc@example.com\" is one address, with "
		 "any extension "
		 "(dmarc+x@example.com); \"@reports.example.com\" is every address of a domain. "
		 "Capital and small "
		 "letters are the same. Mail to other addresses passes untouched and unread."),
    TAP_ROW_STR("extension_delimiter", tap_reports_settings, extension_delimiter, 0, "+",
		"Characters that may begin an extension of an address, as in Postfix's "
		"recipient_delimiter; empty: "
		"no extensions."),
    TAP_ROW_BOOL("consume", tap_reports_settings, consume, 0, "yes",
		 "Whether dmarctap-milter takes reports out of the mail stream once they are safe "
		 "in the spool. no: "
		 "they go on to the mailbox as well, with a header X-Dmarctap."),
    TAP_ROW_ENUM("not_report", tap_reports_settings, not_report, 0, "quarantine",
		 not_report_choices,
		 "What dmarctap-lmtp and dmarctap-pipe do with mail that is no report: keep it in "
		 "quarantine, forward "
		 "it to not_report_address, or reject it. The milter always lets such mail pass."),
    TAP_ROW_STR("not_report_address", tap_reports_settings, not_report_address, 0, NULL,
		"Where not_report = \"forward\" sends mail that is no report."),
    TAP_ROW_SIZE("max_message", tap_reports_settings, max_message, 0, "50M", 64 << 10, 1 << 30,
		 "Largest raw message that is taken in. A larger one is never held whole: the "
		 "milter lets it pass to "
		 "the mailbox, dmarctap-lmtp and dmarctap-pipe refuse it."),
    TAP_ROW_PATH("sendmail", tap_reports_settings, sendmail, 0, "/usr/sbin/sendmail",
		 "The program that not_report = \"forward\" hands such mail to: it is run as "
		 "PROGRAM -i -f SENDER -- ADDRESS with the message on its standard input."),
    TAP_ROW_TIME("sendmail_timeout", tap_reports_settings, sendmail_ms, 0, "60s", 1000, 600000,
		 "The time that it has; a program that takes longer is killed, and the mail stays "
		 "with its sender, who tries again."),
    TAP_ROW_TIME("pipe_time_limit", tap_reports_settings, pipe_ms, 0, "300s", 1000, 900000,
		 "The time that dmarctap-pipe gives itself for one message, then the mail server "
		 "tries again. Keep it below the limit of the mail server, which would return the "
		 "mail to its sender: Postfix has 1000 s (command_time_limit)."),
    {.name = NULL},
};

static enum tap_rc reports_check(const void *set, struct tap_err *err)
{
	const struct tap_reports_settings *s = set;
	struct tap_addresses *a;
	char out[TAP_ADDRESS_MAX + 1];
	enum tap_rc rc = tap_addresses_new(&s->addresses, s->extension_delimiter, &a, err);

	if (rc)
		return rc;
	tap_addresses_free(&a);
	if (s->not_report == TAP_NOT_REPORT_FORWARD && !s->not_report_address)
		return tap_err_set(err, TAP_E_CONFIG,
				   "not_report = \"forward\" needs a not_report_address");
	if (s->not_report_address && (strpbrk(s->not_report_address, "<> \t\r\n") ||
				      !tap_address_canonical(s->not_report_address, false, out)))
		return tap_err_set(err, TAP_E_CONFIG, "not_report_address: \"%s\" is no address",
				   s->not_report_address);
	if (s->extension_delimiter && strpbrk(s->extension_delimiter, "@<>\" \t"))
		return tap_err_set(err, TAP_E_CONFIG, "extension_delimiter: \"%s\" cannot separate",
				   s->extension_delimiter);
	return TAP_OK;
}

const struct tap_section tap_reports_section = {
    .name = "reports",
    .doc = "Which mail is report mail, and what the doors do with it.",
    .table = reports_table,
    .struct_size = sizeof(struct tap_reports_settings),
    .check = reports_check,
};

static const struct tap_setting spool_table[] = {
    TAP_ROW_PATH("directory", tap_spool_settings, directory, 0, "/var/spool/dmarctap",
		 "Where the doors leave raw messages for the worker. It must exist; what belongs "
		 "below it is made."),
    TAP_ROW_SIZE("max_bytes", tap_spool_settings, max_bytes, 0, "1G", 1 << 20, INT64_MAX,
		 "Most bytes that may wait in incoming/. At the limit report addresses get 452, "
		 "other mail passes."),
    TAP_ROW_INT("max_files", tap_spool_settings, max_files, 0, "100000", 1, 100000000,
		"Most messages that may wait in incoming/."),
    TAP_ROW_SIZE("min_free", tap_spool_settings, min_free, 0, "64M", 0, INT64_MAX,
		 "Bytes of the file system that the spool leaves free."),
    {.name = NULL},
};

const struct tap_section tap_spool_section = {
    .name = "spool",
    .doc = "The directory between the doors and the worker.",
    .table = spool_table,
    .struct_size = sizeof(struct tap_spool_settings),
};
