/* SPDX-License-Identifier: Apache-2.0
 * confine/settings.c - the section "parser" of the configuration. */
#include "confine/pool.h"

static const struct tap_setting rows[] = {
    TAP_ROW_PATH("program", tap_parser_settings, program, 0, NULL,
		 "The confined parser. Without this setting it is dmarctap-parse in the "
		 "directory of the running program, else in ../libexec/dmarctap beside it."),
    TAP_ROW_INT("processes", tap_parser_settings, processes, 0, "2", 1, 64,
		"How many parser processes are kept. A message that finds all of them busy "
		"waits for a free one."),
    TAP_ROW_TIME("deadline", tap_parser_settings, deadline_ms, 0, "60s", 100, 600000,
		 "The longest that the parser may take for one message. A message that takes "
		 "longer is called unreadable and kept in quarantine."),
    TAP_ROW_TIME(
	"wait", tap_parser_settings, wait_ms, 0, "120s", 1000, 600000,
	"How long a message waits for a free process. When none becomes free the mail "
	"server is told to try again later. wait and deadline together should stay below the time "
	"that the mail server waits for the milter (Postfix: milter_content_timeout, 300 s)."),
    TAP_ROW_SIZE("memory", tap_parser_settings, memory, 0, "512M", INT64_C(128) << 20,
		 INT64_C(64) << 30,
		 "Address space of one parser process, its libraries included. A message "
		 "that needs more is called unreadable and kept in quarantine."),
    TAP_ROW_INT("recycle", tap_parser_settings, recycle, 0, "1000", 1, 1000000,
		"After this many messages a process is replaced by a new one, so that what one "
		"message may have done to it does not stay."),
    {0},
};

const struct tap_section tap_parser_section = {
    .name = "parser",
    .doc = "The confined processes in which every message is read.",
    .table = rows,
    .struct_size = sizeof(struct tap_parser_settings),
};
