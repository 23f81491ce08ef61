/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_outputs.h - the marked report that `dmarctapctl outputs test` sends. One thread. */
#ifndef TAP_CLI_CTL_OUTPUTS_H
#define TAP_CLI_CTL_OUTPUTS_H

#include "outputs/output.h"

/* Room for one; item points into it. */
struct ctl_test_item {
	struct tap_meta meta;
	struct tap_record record;
	struct tap_auth_result dkim, spf;
	struct tap_tls_policy policy;
	struct tap_failure failure;
	struct tap_report_end end;
	char id[64];
	struct tap_item item;
};
/* About test.invalid, from "dmarctap test", of a kind among `kinds`; a uid of its own for each moment. */
void ctl_test_item(unsigned kinds, int64_t now, struct ctl_test_item *t);

#endif
