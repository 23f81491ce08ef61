# SPDX-License-Identifier: Apache-2.0
"""The outputs json and csv behind a real worker: every fault point of their files × {ENOSPC, EIO, kill}, kills at random moments and
rotations. Then each record stands in the files exactly once [I4]."""
import csv
import io
import json
import os
import pwd
import random
import signal
import subprocess
import time

import pytest
import spoolfile
from taplib import ROOT, PATIENCE, Site, report_mail, wait_for

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
POINTS = ["file_sink.open", "file_sink.write", "file_sink.fsync", "file_sink.truncate"]
# More than one batch; the line of such a report is written in pieces.
SIZES = {"a": 3, "b": 1300, "c": 1, "d": 700}
MATRIX = [(p, n, what) for p in POINTS for n in ((1, 2) if p == "file_sink.open" else (1, 3, 6))
          for what in ("ENOSPC", "EIO", "kill") if p != "file_sink.truncate"]
# Nothing is cut unless a write has failed before: half of it is left behind, and cutting fails, or nobody is left to do it.
MATRIX += [("file_sink.write:2:ENOSPC,file_sink.truncate", 1, what) for what in ("EIO", "kill")]


class Outputs:
    def __init__(self, site):
        self.site = site
        self.json, self.csv = f"{site.dir}/store/out.jsonl", f"{site.dir}/store/out.csv"

    def files(self, path):
        """The file and what it was rotated to, oldest first."""
        return [p for p in (f"{path}.{i}" for i in range(9, 0, -1)) if os.path.exists(p)] + ([path] if os.path.exists(path) else [])

    def reports(self):
        out = []
        for path in self.files(self.json):
            with open(path, encoding="utf-8", newline="\n") as f:
                # Read whole first: a line that grows while lines are counted would be taken for two.
                out += [json.loads(line) for line in f.read().split("\n")[:-1]]
        return out

    def rows(self):
        out = []
        for path in self.files(self.csv):
            with open(path, "rb") as f:
                text = f.read()
            rows = list(csv.reader(io.StringIO(text[:text.rfind(b"\r\n") + 2 if b"\r\n" in text else 0].decode(), newline="")))
            assert not rows or rows[0][0] == "xml_schema", path
            names = rows[0] if rows else []
            out += [dict(zip(names, r, strict=True)) for r in rows[1:]]
        return out

    def complete(self):
        """everything is in both files"""
        return len(self.reports()) >= len(SIZES) and len(self.rows()) >= sum(SIZES.values())

    def check(self):
        time.sleep(0.3)  # a repeat would come now
        assert sorted(r["report_metadata"]["report_id"] for r in self.reports()) == sorted(SIZES)
        for r in self.reports():
            assert [x["record_index"] for x in r["records"]] == list(range(SIZES[r["report_metadata"]["report_id"]]))
        got = sorted((r["report_id"], int(r["record_index"])) for r in self.rows())
        assert got == sorted((name, i) for name, n in SIZES.items() for i in range(n))
        for path in self.files(self.json):
            with open(path, "rb") as f:
                data = f.read()
            assert not data or data.endswith(b"}\n"), "the last line is not whole"


@pytest.fixture
def outputs():
    with Site() as site:
        out = Outputs(site)
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  )", f'outputs: ( {{ type = "json"; path = "{out.json}"; }}, '
                                                  f'{{ type = "csv"; path = "{out.csv}"; }} )'))
        yield out


def deliver(site, *names):
    for name in names:
        spoolfile.put(site.spool, report_mail(name, records=SIZES[name]), owner=OWNER)


def run(site, fault=None):
    log = open(f"{site.dir}/dmarctapd.log", "ab")
    env = dict(os.environ, **({"TAP_FAULT": fault} if fault else {}))
    p = subprocess.Popen([f"{site.bin}/dmarctapd", "-c", site.config], stdout=log, stderr=log, start_new_session=True, env=env)
    log.close()
    return p


def test_the_list_of_points_is_whole():
    with open(f"{ROOT}/docs/fault-points.txt", encoding="utf-8") as f:
        assert {line.split(":")[0] for line in f if line.startswith("file_sink.")} == set(POINTS)


@pytest.mark.parametrize("point,nth,what", MATRIX, ids=["-".join(map(str, m)) for m in MATRIX])
def test_fault(outputs, point, nth, what):
    site = outputs.site
    deliver(site, *SIZES)
    p = run(site, f"{point}:{nth}:{what}")
    try:
        if what == "kill":
            assert p.wait(30 * PATIENCE) == -signal.SIGKILL, site.log("dmarctapd")
        else:
            wait_for(outputs.complete, 30)  # the trouble passes while the worker lives
            outputs.check()
            p.terminate()
            assert p.wait(30 * PATIENCE) == 0, site.log("dmarctapd")
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    site.start("dmarctapd")
    wait_for(outputs.complete, 30)
    outputs.check()


def test_killed_at_random_moments_and_rotated(outputs):
    site, dice = outputs.site, random.Random(7)
    names = list(SIZES)
    for i in range(12):
        if names and i % 2 == 0:
            deliver(site, names.pop(0))
        p = run(site)
        time.sleep(dice.uniform(0.02, 0.4) * PATIENCE)
        p.kill()
        p.wait()
        if i % 4 == 3:
            for path in (outputs.json, outputs.csv):
                if os.path.exists(path):
                    os.rename(path, f"{path}.{9 - i // 4}")
    site.start("dmarctapd")
    wait_for(outputs.complete, 30)
    outputs.check()


def test_rotated_while_it_runs(outputs):
    site = outputs.site
    site.start("dmarctapd")
    for i, name in enumerate(SIZES):
        deliver(site, name)
        wait_for(lambda: name in [r["report_metadata"]["report_id"] for r in outputs.reports()]
                 and sum(r["report_id"] == name for r in outputs.rows()) == SIZES[name], 30)
        for path in (outputs.json, outputs.csv):
            os.rename(path, f"{path}.{9 - i}")
    outputs.check()
    assert len(outputs.files(outputs.json)) == len(SIZES) and len(outputs.files(outputs.csv)) == len(SIZES)
