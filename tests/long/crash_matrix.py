#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The crash matrix: every named fault point × {ENOSPC, EIO, EINTR, kill} × each door. A cell is one delivery with that trouble, a restart
of everything without it, and a second try by the sender where it was not told success. Then
  answered success    ⇒ it is in the store exactly once, without a second try
  otherwise           ⇒ the sender has it still, and its second try is answered with success and leaves it in the store exactly once
  and                 the output has each record exactly once, its cursor stands at the end, the spool is empty
usage: crash_matrix.py [--doors all|milter,lmtp,pipe] [--points PATTERN] [--troubles LIST] [--every N --seed N] [--json FILE]
Prints the table. Exit status 0: every cell passed."""
import argparse
import collections
import fnmatch
import json
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import doors  # noqa: E402
from taplib import PATIENCE, ROOT, Site, can_connect, report_mail, report_xml, wait_for  # noqa: E402
from doors import ACCEPTED, KEEPS, PASSED  # noqa: E402

TROUBLES = ["ENOSPC", "EIO", "EINTR", "kill"]
# Passages that differ in what is done before them.
NTH = {"spool.write": (1, 2, 3), "spool.dirsync": (1,), "store.begin": (1, 2), "store.insert": (1, 2, 3), "store.record": (1, 2, 7),
       "store.commit": (1, 2), "store.committed": (1, 2), "quarantine.dirsync": (1, 2)}
# The pipe door asks nobody for a verdict: its messages are judged by the worker.
NOT_AT = {"pipe": {("intake.verdict", "door"), ("parse.spawn", "door")}}
KILL_ONLY = {"store.committed", "sink.confirm"}
AT_DOOR = ("spool.open", "spool.write", "spool.fsync", "spool.rename", "spool.dirsync", "intake.")
# Reached only with a second trouble before it: nothing is cut off a file where nothing was left half done.
BEFORE = {"file_sink.truncate": "file_sink.write:1:ENOSPC,"}
BIG = 60000 # records whose frames the worker does not keep in memory
# Not on the way of a message: tests of their own.
ELSEWHERE = ("control.", "intake.forward", "imap.", "notify.", "store.expire", "store.outbox", "store.reprocess", "reprocess.", "quarantine.retry", "quarantine.drop",
             "quarantine.sync", "quarantine.forget", "release.")


def points():
    with open(f"{ROOT}/docs/fault-points.txt", encoding="utf-8") as f:
        names = [line.split(":")[0] for line in f if line.strip() and not line.startswith("#")]
    return [n for n in names if not n.startswith(ELSEWHERE)]


def side(point):
    """Who meets it."""
    if point == "parse.spawn":
        return ["door", "worker"]
    return ["door"] if point.startswith(AT_DOOR) else ["worker"]


class Cell(collections.namedtuple("Cell", "door point nth trouble where")):
    def fault(self):
        return f"{BEFORE.get(self.point, '')}{self.point}:{self.nth}:{self.trouble}"


def cells(door):
    return [Cell(door, p, n, t, where) for p in points() for where in side(p) for n in NTH.get(p, (1,)) for t in TROUBLES
            if not (p in KILL_ONLY and t != "kill") and (p, where) not in NOT_AT.get(door, ())]


def three_reports(name):
    parts = ""
    for i in (1, 2, 3):
        parts += (f"--three\r\nContent-Type: application/xml; name=\"r!example.com!1780358400!178044479{i}.xml\"\r\n\r\n"
                  + report_xml(f"{name}.{i}", records=3).replace("\n", "\r\n") + "\r\n")
    return (f"From: <dmarc-noreply@receiver.example>\r\nTo: <reports@dmarctap.test>\r\nSubject: three\r\nMIME-Version: 1.0\r\n"
            f"Message-ID: <{name}@receiver.example>\r\nDate: Tue, 02 Jun 2026 10:00:00 +0000\r\n"
            f"Content-Type: multipart/mixed; boundary=three\r\n\r\n{parts}--three--\r\n").encode()


def broken_report(name):
    return report_mail(name, packed=b"\x1f\x8b\x08\x00this is no gzip stream: " + name.encode())


class Bench:
    """One installation for all cells of a door; each cell has reports of its own."""

    def __init__(self, kind, site):
        self.kind, self.site = kind, site
        self.door, self.worker = kind(site), None
        self.json = f"{site.dir}/store/out.jsonl"
        self.stored, self.kept = set(), 0
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  )", f'outputs: ( {{ type = "json"; path = "{self.json}"; }} )'))

    def start_worker(self, fault=None):
        site = self.site
        with open(f"{site.dir}/dmarctapd.log", "ab") as log:
            self.worker = subprocess.Popen([f"{site.bin}/dmarctapd", "-c", site.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                           start_new_session=True, env=doors.say({"TAP_FAULT": fault} if fault else None))

        def up():
            """the worker answers"""
            if self.worker.poll() is not None:
                assert fault, f"the worker ended with {self.worker.returncode}: {site.log('dmarctapd')[-2000:]}"
                return True
            return can_connect(site.control)
        wait_for(up, 20)

    def stop_worker(self, sig):
        if self.worker.poll() is None:
            self.worker.send_signal(sig)
        return self.worker.wait(30 * PATIENCE)

    def counts(self, names):
        rows = self.site.query(f"SELECT report_id, count(*) FROM report WHERE report_id IN ({','.join('?' * len(names))}) GROUP BY 1", *names) \
            if os.path.exists(self.site.db) and os.path.getsize(self.site.db) else []
        found = dict(rows)
        return [found.get(n, 0) for n in names]

    def in_quarantine(self):
        return len(self.site.quarantine())

    def lines(self):
        """report_id of each line of the output: a report stands in one line, with its records."""
        out = []
        if os.path.exists(self.json):
            with open(self.json, encoding="utf-8") as f:
                for line in f.read().split("\n")[:-1]:
                    doc = json.loads(line)
                    out.append((doc["report_metadata"]["report_id"], len(doc["records"])))
        return out

    def said(self, program, since):
        path = f"{self.site.dir}/{program}.log"
        if not os.path.exists(path):
            return ""
        with open(path, "rb") as f:
            f.seek(since)
            return f.read().decode("utf-8", "replace")

    def run(self, number, cell):
        """None, or what is wrong with this cell."""
        site, name = self.site, f"cell-{number}-{cell.point}-{cell.nth}-{cell.trouble}"
        keeps_raw = cell.point.startswith("quarantine.")
        records = 3
        if cell.point == "store.insert":
            names, message = [f"{name}.{i}" for i in (1, 2, 3)], three_reports(name)
        elif keeps_raw:
            names, message = [], broken_report(name)
        else:
            records = BIG if cell.point == "feeder.stage" else 9
            names, message = [name], report_mail(name, records=records)
        program = self.door.program if cell.where == "door" else "dmarctapd"
        log = f"{site.dir}/{program}.log"
        since = os.path.getsize(log) if os.path.exists(log) else 0
        before = self.in_quarantine()
        self.start_worker(cell.fault() if cell.where == "worker" else None)
        fault = {"TAP_FAULT": cell.fault()} if cell.where == "door" else None
        self.door.start(fault, must=fault is None)
        answer = self.door.deliver(message) if self.door.process is None or self.door.process.poll() is None else doors.UNANSWERED
        happened = f"TAP_FAULT: {cell.point} happens"
        end = time.monotonic() + 5 * PATIENCE
        while happened not in self.said(program, since) and time.monotonic() < end:
            time.sleep(0.01)
        if happened not in self.said(program, since):
            return f"the fault never happened (answer: {answer})"
        if cell.trouble != "kill":
            time.sleep(0.2) # what it does then, it may do
        door_status = self.door.kill()
        worker_status = self.stop_worker(signal.SIGKILL if number % 2 else signal.SIGTERM)
        if cell.trouble == "kill" and (door_status if cell.where == "door" else worker_status) != -signal.SIGKILL:
            return "the kill never came"
        if answer == doors.REFUSED:
            return "trouble of ours was answered with a refusal for good"
        if answer == PASSED and not keeps_raw:
            return "the report was passed on, not kept"
        self.start_worker()
        took = answer in (ACCEPTED, PASSED)

        def settled():
            """the spool is empty, but for what a door died over, and the store has what was answered with success"""
            if any(not f.startswith(".") for f in site.incoming()):
                return False
            return not took or (self.in_quarantine() > before if keeps_raw else 0 not in self.counts(names))
        try:
            wait_for(settled, 20)
        except AssertionError:
            return f"answered {answer}, then in the store {self.counts(names)} times, waiting {site.incoming()}"
        if answer in KEEPS:
            self.door.start()
            again = self.door.deliver(message)
            self.door.kill(signal.SIGTERM)
            if again not in ((ACCEPTED, PASSED) if keeps_raw else (ACCEPTED,)):
                return f"the second try was answered with {again}"
            took = True
            wait_for(settled, 20)
            if site.incoming() and self.kind.sweeps:
                return f"the door's next start left {site.incoming()} behind"
        wrong = self.check(names, records, keeps_raw, before, answer)
        self.stop_worker(signal.SIGTERM)
        return wrong

    def check(self, names, records, keeps_raw, before, answer):
        if any(n != 1 for n in self.counts(names)):
            return f"answered {answer}, then in the store {self.counts(names)} times"
        if keeps_raw and answer not in KEEPS and self.in_quarantine() != before + 1:
            return f"{self.in_quarantine() - before} times in quarantine"
        self.stored.update(names)
        want = collections.Counter(self.stored)

        def sent():
            """the output has all"""
            return len(self.lines()) >= len(self.stored)
        try:
            wait_for(sent, 20)
        except AssertionError:
            return f"the output has {len(self.lines())} of {len(self.stored)} reports"
        got = collections.Counter(n for n, _ in self.lines())
        if got != want:
            return f"the output differs: {list((got - want).items())[:3]} too many, {list((want - got).items())[:3]} too few"
        if names and [n for r, n in self.lines() if r in names] != [3 if len(names) > 1 else records] * len(names):
            return "a report in the output lacks records"

        def at_end():
            """the cursor of the output stands at the end"""
            return self.site.query("SELECT (SELECT seq FROM sink) > (SELECT max(seq) FROM report)") in ([(1,)], [(None,)])
        try:
            wait_for(at_end, 5)
        except AssertionError:
            return f"the cursor stands at {self.site.query('SELECT * FROM sink')}"
        return None


def run_door(kind, todo, progress):
    """Gives [(cell, None or what is wrong)]."""
    rows = []
    while len(rows) < len(todo):
        # A cell that failed may have left anything: the next has a new installation.
        with Site() as site:
            doors.configure(site, [kind])
            bench = Bench(kind, site)
            try:
                for number in range(len(rows), len(todo)):
                    try:
                        wrong = bench.run(number, todo[number])
                    except AssertionError as e:
                        wrong = str(e)[:500]
                    rows.append((todo[number], wrong))
                    progress(todo[number], wrong)
                    if wrong:
                        break
                else:
                    bench.start_worker()
                    bench.stop_worker(signal.SIGTERM)
                    damage = site.query("PRAGMA integrity_check") + site.query("PRAGMA foreign_key_check")
                    if damage != [("ok",)]:
                        rows[-1] = (rows[-1][0], f"the store is damaged: {damage}")
            finally:
                bench.door.kill()
                if bench.worker is not None and bench.worker.poll() is None:
                    bench.stop_worker(signal.SIGKILL)
    return rows


def table(rows):
    """One line a door and point, one column a trouble: passed/cells."""
    out = [f"{'door':8}{'point':24}{'at':8}" + "".join(f"{t:>9}" for t in TROUBLES)]
    lines = {}
    for cell, wrong in rows:
        lines.setdefault((cell.door, cell.point, cell.where), {}).setdefault(cell.trouble, []).append(wrong is None)
    for (door, point, where), by in lines.items():
        out.append(f"{door:8}{point:24}{where:8}" + "".join(
            f"{f'{sum(by[t])}/{len(by[t])}' if t in by else '-':>9}" for t in TROUBLES))
    out.append(f"{len(rows)} cells, {sum(w is None for _, w in rows)} passed")
    out += [f"FAILED {c.door} {c.fault()} at {c.where}: {w}" for c, w in rows if w]
    return "\n".join(out)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--doors", default="all")
    a.add_argument("--points", default="*")
    a.add_argument("--troubles", default=",".join(TROUBLES))
    a.add_argument("--every", type=int, default=1, help="only about one cell of N, chosen by the seed")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--verbose", action="store_true")
    o = a.parse_args()
    rows = []
    for kind in doors.chosen(o.doors):
        todo = [c for c in cells(kind.name) if fnmatch.fnmatch(c.point, o.points) and c.trouble in o.troubles.split(",")]
        if o.every > 1:
            todo = random.Random(o.seed).sample(todo, max(1, len(todo) // o.every))
        rows += run_door(kind, todo, lambda c, w: print(f"{c.door} {c.where} {c.fault()}: {w or 'ok'}", flush=True)
                         if o.verbose or w else None)
    print(f"seed {o.seed}\n{table(rows)}")
    return 1 if not rows or any(w for _, w in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
