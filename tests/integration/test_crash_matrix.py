# SPDX-License-Identifier: Apache-2.0
"""A part of the crash matrix of tests/long/crash_matrix.py: cells that a seed has chosen, for each door. TAP_MATRIX_EVERY=1 runs all."""
import os
import random
import sys

import pytest
from taplib import PATIENCE, ROOT

sys.path.insert(0, f"{ROOT}/tests/long")
import crash_matrix  # noqa: E402
import doors  # noqa: E402

EVERY = int(os.environ.get("TAP_MATRIX_EVERY", "24" if PATIENCE > 1 else "12"))
SEED = int(os.environ.get("TAP_MATRIX_SEED", "0")) or random.randrange(10**9)


def test_every_point_of_the_list_has_cells():
    listed = set(crash_matrix.points())
    assert listed == {c.point for c in crash_matrix.cells("milter")} and len(listed) > 25
    for point in listed - crash_matrix.KILL_ONLY:
        assert {c.trouble for c in crash_matrix.cells("milter") if c.point == point} == set(crash_matrix.TROUBLES)


@pytest.mark.parametrize("kind", [d for d in doors.DOORS.values() if d.exists()], ids=lambda d: d.name)
def test_cells(kind):
    everything = [c for c in crash_matrix.cells(kind.name) if c.point != "feeder.stage"]
    todo = random.Random(SEED).sample(everything, len(everything) // EVERY)
    rows = crash_matrix.run_door(kind, todo, lambda c, w: None)
    print(f"seed {SEED}\n{crash_matrix.table(rows)}")
    assert len(rows) == len(todo) and not [w for _, w in rows if w]
