# SPDX-License-Identifier: Apache-2.0
"""Every fault point of the worker × {ENOSPC, EIO, kill}: one delivery of a few messages, trouble, a restart without trouble. Then each
report is in the store exactly once, each message that is no report is in quarantine, and nothing waits [I2 I3]."""
import errno
import os
import pwd
import signal
import subprocess
import time

import pytest
import spoolfile
from taplib import PATIENCE, ROOT, SENDER, Site, arf, mail, report_mail, tls_mail, wait_for

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
POINTS = ["store.begin", "store.insert", "store.record", "store.content", "store.commit", "store.committed", "store.settle", "store.checkpoint", "feeder.stage",
          "spool.unlink", "quarantine.sidecar", "quarantine.rename", "quarantine.dirsync"]
# Not on the way of a message: tests of their own.
ELSEWHERE = {"store.expire", "store.outbox", "store.reprocess", "quarantine.retry", "quarantine.drop", "quarantine.sync", "quarantine.forget"}
BIG = 100000 # records: their frames are more than the worker keeps in memory
# Passages of a point that differ in what is done before them.
NTH = {"quarantine.dirsync": (1, 2), "store.commit": (1, 2), "store.begin": (1, 2), "store.settle": (1, 2), "store.record": (1, 5)}
MATRIX = [(p, n, what) for p in POINTS for n in NTH.get(p, (1,)) for what in ("ENOSPC", "EIO", "kill")
          if not (p == "store.committed" and what != "kill")]


def deliver(site, big):
    """Three reports, one of them twice, and a letter; big: so many records that the frames are staged in a file."""
    for name in ("a", "b", "c"):
        spoolfile.put(site.spool, report_mail(name, records=BIG if big and name == "c" else 3), owner=OWNER)
    spoolfile.put(site.spool, report_mail("a", records=3), owner=OWNER)
    return spoolfile.put(site.spool, mail(), owner=OWNER)


def complete(site, letter):
    """all is stored, or in quarantine, and the spool is empty"""
    return (not spoolfile.waiting(site.spool) and sorted(site.report_ids()) == ["a", "b", "c"]
            and spoolfile.quarantined(site.spool) == [letter])


def lines(path):
    if not os.path.exists(path):
        return 0
    with open(path, encoding="utf-8") as f:
        return f.read().count("\n")


def test_the_list_of_points_is_whole():
    with open(f"{ROOT}/docs/fault-points.txt", encoding="utf-8") as f:
        listed = {line.split(":")[0] for line in f}
    ours = {p for p in listed if p.split(".")[0] in ("store", "feeder", "quarantine") or p == "spool.unlink"} - ELSEWHERE
    assert ours == set(POINTS)


@pytest.mark.parametrize("point,nth,what", MATRIX, ids=["-".join(map(str, m)) for m in MATRIX])
def test_fault(point, nth, what):
    big = point == "feeder.stage"
    with Site() as site:
        out = f"{site.dir}/store/out.jsonl"
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  )", f'outputs: ( {{ type = "json"; path = "{out}"; }} )'))
        letter = deliver(site, big)
        log = open(f"{site.dir}/dmarctapd.log", "ab")
        p = subprocess.Popen([f"{site.bin}/dmarctapd", "-c", site.config], stdout=log, stderr=log, start_new_session=True,
                             env=dict(os.environ, TAP_FAULT=f"{point}:{nth}:{what}"))
        log.close()
        try:
            if what == "kill":
                assert p.wait(30 * PATIENCE) == -signal.SIGKILL, site.log("dmarctapd")
            else:
                # The trouble passes while the worker lives, or it is ended with the file still in the spool.
                end = time.monotonic() + 4 * PATIENCE
                while time.monotonic() < end and not (os.path.exists(site.db) and site.query("SELECT count(*) FROM sqlite_master")[0][0]
                                                      and complete(site, letter)):
                    assert p.poll() is None, site.log("dmarctapd")
                    time.sleep(0.05)
                time.sleep(1.2 if point in ("store.checkpoint", "store.settle") else 0)
                words = os.strerror(getattr(errno, what))

                def said():
                    """the log tells the trouble"""
                    return words in site.log("dmarctapd")
                wait_for(said)
                p.terminate()
                assert p.wait(30 * PATIENCE) == 0, site.log("dmarctapd")
        finally:
            if p.poll() is None:
                p.kill()
                p.wait()
        site.start("dmarctapd")
        wait_for(lambda: complete(site, letter), 30)
        assert site.query("SELECT report_id, duplicates FROM report ORDER BY report_id") == [("a", 1), ("b", 0), ("c", 0)]
        assert site.query("SELECT count(*) FROM message") == [(5,)]
        assert site.query("SELECT count(*) FROM record") == [(6 + (BIG if big else 3),)]
        assert site.query("SELECT quarantine FROM message WHERE spool_id = ?", letter) == [("not a report",)]
        assert os.path.getsize(f"{site.spool}/quarantine/{letter}.json") > 100
        wait_for(lambda: lines(out) == 3, 20)
        assert not site.query("PRAGMA foreign_key_check") and site.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("point,what", [(p, w) for p in ("store.insert", "store.commit", "store.committed", "quarantine.rename")
                                        for w in ("EIO", "kill") if (p, w) != ("store.committed", "EIO")])
def test_fault_with_every_kind_and_a_quota(point, what):
    """What is undone is not counted against a quota, and what is done again neither twice; every kind is stored once and whole."""
    with Site(extra="trust: { quota_records = 7; };") as site:
        for i in range(4):
            raw = report_mail(f"q{i}", records=3).replace(f"From: <{SENDER}>".encode(), b"From: <x@busy.example>", 1)
            spoolfile.put(site.spool, raw, owner=OWNER)
        for raw in (arf("auth-failure", "f1"), arf("abuse", "f2"), tls_mail("t1")):
            spoolfile.put(site.spool, raw, owner=OWNER)
        log = open(f"{site.dir}/dmarctapd.log", "ab")
        p = subprocess.Popen([f"{site.bin}/dmarctapd", "-c", site.config], stdout=log, stderr=log, start_new_session=True,
                             env=dict(os.environ, TAP_FAULT=f"{point}:1:{what}"))
        log.close()
        try:
            if what == "kill":
                assert p.wait(30 * PATIENCE) == -signal.SIGKILL, site.log("dmarctapd")
            else:
                wait_for(lambda: os.strerror(getattr(errno, what)) in site.log("dmarctapd"))
                wait_for(lambda: len(spoolfile.waiting(site.spool)) <= 1, 20)
                p.terminate()
                assert p.wait(30 * PATIENCE) == 0, site.log("dmarctapd")
        finally:
            if p.poll() is None:
                p.kill()
                p.wait()
        site.start("dmarctapd")
        wait_for(lambda: not spoolfile.waiting(site.spool), 30)
        assert site.query("SELECT kind, count(*), sum(records), sum(details) FROM report GROUP BY kind ORDER BY kind") == [
            (1, 2, 6, 0), (2, 1, 0, 0), (4, 1, 1, 1), (8, 1, 0, 0)]
        assert site.query("SELECT quarantine, count(*) FROM message GROUP BY quarantine ORDER BY 1") == [(None, 5), ("over quota", 2)]
        assert len(spoolfile.quarantined(site.spool)) == 2
        assert site.query("SELECT domain, records FROM quota ORDER BY domain") == [("?busy.example", 6), ("?receiver.example", 4)]
        assert site.query("SELECT count(*) FROM failure") == [(2,)] and site.query("SELECT count(*) FROM failure_sample") == [(2,)]
        assert site.query("SELECT count(*) FROM tls_policy") == [(1,)]
        assert not site.query("PRAGMA foreign_key_check") and site.query("PRAGMA integrity_check") == [("ok",)]
