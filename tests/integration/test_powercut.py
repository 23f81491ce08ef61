# SPDX-License-Identifier: Apache-2.0
"""The power-cut model of tests/long/powercut.py in a small size. TAP_POWERCUT_CUTS and TAP_POWERCUT_SEED change it."""
import os
import random
import sys

import pytest
from taplib import PATIENCE, ROOT

sys.path.insert(0, f"{ROOT}/tests/long")
import doors  # noqa: E402
import powercut  # noqa: E402

CUTS = int(os.environ.get("TAP_POWERCUT_CUTS", "40"))
SEED = int(os.environ.get("TAP_POWERCUT_SEED", "0")) or random.randrange(10**9)


@pytest.fixture(scope="module")
def recording():
    made = powercut.Recording(doors.chosen("all"), 40, SEED)
    yield made
    made.close()


# The recorder stands between the programs and the C library, where sanitizers want to stand: they have other tests.
if PATIENCE == 1:
    def test_what_was_answered_with_success_survives_any_cut(recording):
        rows = powercut.run(recording, recording.cuts(CUTS, random.Random(SEED)), 2, lambda c, w: None)
        print(f"seed {SEED}\n{powercut.summary(recording, rows)}")
        assert len(rows) == CUTS and not [w for _, w in rows if w]

    @pytest.mark.parametrize("deaf", [powercut.File, powercut.Folder])
    def test_a_program_that_forgets_to_sync_would_be_seen(recording, deaf):
        # Half way: much was answered with success, and much was moved and unlinked.
        cut = (len(recording.records) // 2, "strict", SEED)
        [(_, wrong)] = powercut.run(recording, [cut], 1, lambda c, w: None, deaf=[deaf])
        assert wrong is not None
