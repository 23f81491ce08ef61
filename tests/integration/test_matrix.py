# SPDX-License-Identifier: Apache-2.0
"""The milter stopped, passed by, or too slow, with the report address transported to the LMTP door. Short form of tests/long/matrix."""
import pytest
from mtalib import ACTIONS, SERVERS, STATES, matrix_site, run_matrix

COUNT = 24


@pytest.fixture(scope="module", params=[(s, a) for s in SERVERS for a in ACTIONS], ids="-".join)
def place(request):
    """One mail server for all states: starting it takes longer than the mail."""
    with matrix_site(*request.param) as s:
        yield *request.param, s


@pytest.mark.parametrize("state", STATES)
def test_no_report_is_lost_or_doubled(place, state):
    server, action, site = place
    row = run_matrix(server, state, action, COUNT, site=site)
    assert (row["lost"], row["doubled"], row["quarantine"], row["mailbox"]) == (0, 0, 0, 0), row
    # The way behind the milter was gone, and a refusal was heard only where that was asked for.
    if state == "bypassed":
        assert row["doors"] == {"lmtp": COUNT} and row["put_off"] == 0, row
    elif action == "accept":
        assert row["doors"].get("lmtp", 0) > 0 and row["doors"].get("milter", 0) > 0, row
    else:
        assert row["put_off"] > 0 and row["doors"].get("milter", 0) > 0, row
