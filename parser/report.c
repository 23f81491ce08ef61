/* SPDX-License-Identifier: Apache-2.0
 * parser/report.c - the names of what report.h enumerates. */
#include "parser/report.h"

const char *const tap_schema_name[TAP_SCHEMA_N] = {
    [TAP_SCHEMA_DRAFT] = "draft",
    [TAP_SCHEMA_RFC7489] = "rfc7489",
    [TAP_SCHEMA_XML_0_2] = "dmarc-xml-0.2",
    [TAP_SCHEMA_RFC9990] = "rfc9990",
};
