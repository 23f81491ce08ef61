# SPDX-License-Identifier: Apache-2.0
"""Full and read-only disks under load: tests/long/diskfull.py in a small size. TAP_DISKFULL_SECONDS changes it."""
import os
import random
import sys

from taplib import PATIENCE, ROOT

sys.path.insert(0, f"{ROOT}/tests/long")
import diskfull  # noqa: E402

SECONDS = os.environ.get("TAP_DISKFULL_SECONDS", "2")
# A preloaded library and a sanitizer want the same place: what is read-only is left to the other runs.
TROUBLES = [t for t in diskfull.TROUBLES if PATIENCE == 1 or not t.endswith("-readonly")]


def test_only_temporary_failures_and_nobody_lends_a_hand():
    assert os.geteuid() == 0, "mount(2) needs root"
    bad = diskfull.run(diskfull.options(["--seconds", SECONDS, "--troubles", ",".join(TROUBLES), "--seed", str(random.randrange(10**9))]))
    assert not bad, bad
