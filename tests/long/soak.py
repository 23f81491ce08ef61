#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The soak: numbered reports through all doors, and through a real Postfix, while doors, worker, parser processes and Postfix are killed at
random moments; then a calm part, in which memory and descriptors of the programs are watched. A sender that was not told success comes
again, with the same message, until it was. At the end every report is in the store exactly once, with all of its records, and in the
output exactly once; nothing is in quarantine, nothing waits.
Memory: resident, unshared pages at the last tenth of the calm part ≤ 1.1 × those at the second; descriptors: not one more.
The worker's page caches of SQLite (16 MiB of the writer, 2 MiB of each reader) grow with the store until they are full, some 5,600
reports behind a start. The calm part begins with reports of many records that fill them, so that whatever grows behind that is a leak.
usage: soak.py [--deliveries N] [--kills N] [--calm SHARE] [--senders N] [--doors LIST] [--no-postfix] [--seed N]
The long form is --deliveries 100000 --kills 50, which is of each program. Exit status 0: all held."""
import argparse
import collections
import json
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import doors  # noqa: E402
from doors import ACCEPTED, KEEPS  # noqa: E402
from taplib import PATIENCE, Site, report_mail, wait_for  # noqa: E402

RECORDS = (1, 2, 10, 30)
WARM, WARM_RECORDS = 400, 300 # that is more than 24 MiB of pages, and takes seconds


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def size_of(pid):
    """(KiB that are its own, descriptors)"""
    own = 0
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("RssAnon:"):
                own = int(line.split()[1])
    return own, len(os.listdir(f"/proc/{pid}/fd"))


class Soak:
    def __init__(self, site, o):
        self.site, self.o, self.dice = site, o, random.Random(o.seed)
        self.crew = [k(site) for k in doors.chosen(o.doors)]
        self.ways = self.crew + ([doors.Postfix(site)] if not o.no_postfix else [])
        self.todo, self.lock = collections.deque(), threading.Lock()
        self.answers = collections.Counter()
        self.accepted, self.kills, self.lasting = set(), collections.Counter(), []
        self.refused, self.passed = [], 0
        self.warm = range(0)
        self.gate = threading.Lock() # held while somebody starts or kills

    def records(self, number):
        return WARM_RECORDS if number in self.warm else RECORDS[number % len(RECORDS)]

    def work(self, way, seed):
        dice = random.Random(seed)
        while True:
            try:
                number = self.todo.popleft()
            except IndexError:
                return
            answer = way.deliver(report_mail(f"soak-{number}", records=self.records(number)))
            with self.lock:
                self.answers[way.name, answer] += 1
                if answer == ACCEPTED:
                    self.accepted.add(number)
                elif answer in KEEPS and answer != doors.REFUSED:
                    self.todo.append(number)
                elif answer == doors.PASSED:  # the parser process was killed at it, and so was the next: kept, and on to the mailbox
                    self.passed += 1
                else:
                    self.refused.append((number, way.name, answer))
            if answer != ACCEPTED:
                time.sleep(dice.uniform(0.005, 0.05))

    def deliver(self, numbers):
        self.todo.extend(numbers)
        threads = [threading.Thread(target=self.work, args=(self.ways[i % len(self.ways)], self.dice.random()), daemon=True)
                   for i in range(max(self.o.senders, len(self.ways)))]
        for t in threads:
            t.start()
        return threads

    def start(self):
        self.site.start("dmarctapd")
        for d in self.crew:
            if d.serves:
                d.start()
        if not self.o.no_postfix:
            self.start_postfix()

    def start_postfix(self):
        self.site.start_postfix("in_flow_delay = 0", "smtpd_client_connection_count_limit = 0")

    def kill_one(self, what):
        site = self.site
        if what == "postfix":
            with open(f"{site.dir}/postfix/spool/pid/master.pid", encoding="ascii") as f:
                pid = int(f.read())
            # All of it, as a crash of the machine would; its own processes are in a group of their own.
            if self.dice.random() < 0.5 and os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not os.path.exists(f"/proc/{pid}"))
            self.start_postfix()
        elif what == "dmarctap-parse":
            parents = [d.process.pid for d in self.crew if d.process] + [site.running["dmarctapd"].pid]
            pool = [c for p in parents for c in children(p)]
            if not pool:
                return False
            os.kill(self.dice.choice(pool), signal.SIGKILL)
        elif what == "dmarctapd":
            site.kill(what)
            time.sleep(self.dice.choice((0, 0, 0.1)))
            site.start(what)
        else:
            [door] = [d for d in self.crew if d.program == what]
            door.kill()
            time.sleep(self.dice.choice((0, 0, 0.1)))
            door.start()
        self.kills[what] += 1
        return True

    def stormy(self, numbers, first_extra):
        """Deliveries and kills, until both are done. Gives the number of the next report."""
        victims = ["dmarctapd", "dmarctap-parse"] + [d.program for d in self.crew if d.serves] + ([] if self.o.no_postfix else ["postfix"])
        left = [v for v in victims for _ in range(self.o.kills)]
        self.dice.shuffle(left)
        threads, extra = self.deliver(numbers), first_extra
        pace = self.o.pace
        while left:
            time.sleep(self.dice.uniform(0, 2 * pace))
            v = left.pop()
            if not self.kill_one(v):
                left.insert(0, v)
            # More reports where they run out before the kills do: each kill hits a site at work.
            if len(self.todo) < 4 * len(threads) and left:
                self.todo.extend(range(extra, extra + 50))
                extra += 50
                if not any(t.is_alive() for t in threads):
                    threads = self.deliver([])
        for t in threads:
            t.join(3600)
        threads = self.deliver([])
        for t in threads:
            t.join(3600)
        return extra

    def calm(self, numbers):
        """Deliveries, and after each tenth of them a look at every program."""
        pids = {"dmarctapd": self.site.running["dmarctapd"].pid}
        pids.update({d.program: d.process.pid for d in self.crew if d.process})
        n, tenth = len(numbers), []
        self.warm = range(numbers.stop, numbers.stop + WARM)
        for t in self.deliver(self.warm):
            t.join(3600)
        for i in range(10):
            threads = self.deliver(numbers[n * i // 10:n * (i + 1) // 10])
            for t in threads:
                t.join(3600)
            wait_for(lambda: not doors.waiting(self.site), 60)
            time.sleep(0.3)
            row = {name: size_of(pid) for name, pid in pids.items()}
            # Parser processes are replaced by design: the largest of a pool counts.
            for name, pid in pids.items():
                own = [size_of(c) for c in children(pid)]
                row[f"{name}/parse"] = (max((k for k, _ in own), default=0), max((f for _, f in own), default=0))
            tenth.append(row)
        return tenth

    def wrong(self, total):
        bad = []
        wait_for(lambda: not doors.waiting(self.site), 120)
        stored = collections.Counter(self.site.report_ids())
        names = {f"soak-{i}" for i in range(total)}
        lost = [n for n in names if stored[n] == 0]
        doubled = [n for n, c in stored.items() if c > 1]
        print(f"{len(names)} reports, {len(stored)} stored, {len(lost)} lost, {len(doubled)} doubled")
        if lost or doubled or set(stored) != names:
            bad.append(f"lost {lost[:5]}, doubled {doubled[:5]}")
        if self.refused:
            bad.append(f"refused for good: {self.refused[:5]}")
        if self.passed > self.kills["dmarctap-parse"] // 2:
            bad.append(f"{self.passed} passed on to the mailbox, with {self.kills['dmarctap-parse']} kills of parser processes")
        short = self.site.query("SELECT report_id FROM report WHERE records != (SELECT count(*) FROM record WHERE record.seq = report.seq)")
        records = self.site.query("SELECT report_id, records FROM report")
        short += [r for r, n in records if n != self.records(int(r.split("-")[1]))]
        if short:
            bad.append(f"partial: {short[:5]}")
        if self.site.quarantine():
            bad.append(f"{len(self.site.quarantine())} in quarantine")
        if self.site.query("PRAGMA integrity_check") != [("ok",)]:
            bad.append("the store is damaged")

        def sent():
            """the output has all"""
            with open(f"{self.site.dir}/store/out.jsonl", encoding="utf-8") as f:
                return f.read().count("\n") >= len(stored)
        wait_for(sent, 120)
        with open(f"{self.site.dir}/store/out.jsonl", encoding="utf-8") as f:
            out = collections.Counter(json.loads(line)["report_metadata"]["report_id"] for line in f)
        if out != stored:
            bad.append(f"the output differs: {list((out - stored).items())[:3]} too many, {list((stored - out).items())[:3]} too few")
        return bad


def judge(tenth, o):
    bad = []
    for name in tenth[0]:
        (m2, f2), (m10, f10) = tenth[1][name], tenth[9][name]
        print(f"{name:28} own memory, KiB: {' '.join(str(t[name][0]) for t in tenth)}; descriptors: {' '.join(str(t[name][1]) for t in tenth)}")
        if m10 > 1.1 * m2 + o.slack:
            bad.append(f"{name} grew from {m2} to {m10} KiB")
        if f10 > f2:
            bad.append(f"{name} had {f2} descriptors, then {f10}")
    return bad


def run(o):
    kinds = doors.chosen(o.doors)
    with Site() as site:
        doors.configure(site, kinds)
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  )", f'outputs: ( {{ type = "json"; path = "{site.dir}/store/out.jsonl"; }} )'))
        soak = Soak(site, o)
        begin = time.monotonic()
        try:
            soak.start()
            stormy = int(o.deliveries * (1 - o.calm))
            total = soak.stormy(range(stormy), stormy)
            calm = max(10, o.deliveries - total) if o.calm > 0 else 0
            tenth = soak.calm(range(total, total + calm)) if calm else []
            bad = soak.wrong(total + calm + len(soak.warm))
            bad += judge(tenth, o) if tenth else []
        finally:
            for d in soak.crew:
                d.kill(signal.SIGTERM)
        print(f"seed {o.seed}, {time.monotonic() - begin:.0f} s; kills: {dict(soak.kills)}; answers: "
              + ", ".join(f"{w} {a} {n}" for (w, a), n in sorted(soak.answers.items())))
        return bad


def options(argv):
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--deliveries", type=int, default=2000)
    a.add_argument("--kills", type=int, default=10, help="of each program")
    a.add_argument("--pace", type=float, default=0.2, help="mean seconds between kills")
    a.add_argument("--calm", type=float, default=0.4, help="share of the deliveries without kills")
    a.add_argument("--slack", type=int, default=256, help="KiB of growth that are no growth: the grain of an allocator")
    a.add_argument("--senders", type=int, default=8)
    a.add_argument("--doors", default="all")
    a.add_argument("--no-postfix", action="store_true")
    a.add_argument("--seed", type=int, default=1)
    return a.parse_args(argv)


def main():
    bad = run(options(None))
    for b in bad:
        print(f"FAILED {b}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
