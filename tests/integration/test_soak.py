# SPDX-License-Identifier: Apache-2.0
"""The soak of tests/long/soak.py in a small size. TAP_SOAK_DELIVERIES, TAP_SOAK_KILLS and TAP_SOAK_SEED change it."""
import os
import random
import sys

from taplib import PATIENCE, ROOT

sys.path.insert(0, f"{ROOT}/tests/long")
import soak  # noqa: E402

SMALL = PATIENCE > 1
DELIVERIES = os.environ.get("TAP_SOAK_DELIVERIES", "60" if SMALL else "400")
KILLS = os.environ.get("TAP_SOAK_KILLS", "1" if SMALL else "3")
SEED = int(os.environ.get("TAP_SOAK_SEED", "0")) or random.randrange(10**9)


def test_nothing_is_lost_or_doubled_over_kills_and_nothing_grows():
    # So few deliveries say little about memory under sanitizers, which keep what was freed: only the long form asks them.
    calm = "0" if SMALL else "0.5"
    bad = soak.run(soak.options(["--deliveries", DELIVERIES, "--kills", KILLS, "--seed", str(SEED), "--calm", calm, "--slack", "1024"]))
    assert not bad, bad


def test_growth_would_be_seen():
    rows = [{"p": (1000 + 50 * i, 10)} for i in range(10)]
    assert soak.judge(rows, soak.options(["--slack", "0"]))
    assert soak.judge([{"p": (1000, 10 + i)} for i in range(10)], soak.options([]))
    assert not soak.judge([{"p": (1000, 10)} for i in range(10)], soak.options([]))
