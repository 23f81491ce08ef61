#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, or read-only, for a while, under load. Spool and store lie on small file systems of their own; reports come through
every door, and other mail beside them. One trouble after the other:
  spool-full      a stranger fills the spool's file system to the last byte
  spool-readonly  it becomes read-only under the programs, as when a disk fails (readonly.c)
  store-full      the store's file system is full
  store-readonly  it becomes read-only
  both-full       both are full
While it lasts, a report is answered with success only if it is kept all the same (a spool that works beside a store that does not), else
with a temporary failure, never for good and never with silence; other mail passes. Afterwards nobody lends a hand: each program is the
same process, reports are taken again within --recover seconds, and everything that was ever answered with success is in the store exactly
once, and in the output.
Needs root, for mount(2).
usage: diskfull.py [--seconds N] [--troubles LIST] [--doors LIST] [--postfix] [--seed N]      the long form is --seconds 60 --postfix
Exit status 0: all held."""
import argparse
import collections
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import doors  # noqa: E402
from doors import ACCEPTED, DEFERRED  # noqa: E402
from taplib import PATIENCE, ROOT, Site, report_mail, wait_for  # noqa: E402

TROUBLES = ["spool-full", "spool-readonly", "store-full", "store-readonly", "both-full"]



class Disks:
    """The two file systems, over the folders of a Site."""

    def __init__(self, site, seconds):
        self.site, self.mounted = site, []
        # The store grows by some 10 KB a delivery, output and all.
        self.sizes = {"spool": 24 << 20, "store": (96 << 20) + (12 << 20) * int(seconds)}

    def __enter__(self):
        for name, size in self.sizes.items():
            where = f"{self.site.dir}/{name}"
            st = os.stat(where)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode={st.st_mode & 0o7777:o},uid={st.st_uid},gid={st.st_gid}", "tmpfs", where],
                           check=True)
            self.mounted.append(where)
        shim, self.page = f"{self.site.dir}/readonly.so", f"{self.site.dir}/readonly"
        subprocess.run(["cc", "-D_GNU_SOURCE", "-std=c17", "-O1", "-shared", "-fPIC", "-o", shim, f"{ROOT}/tests/long/readonly.c"], check=True)
        with open(self.page, "wb") as f:
            f.write(bytes(4096))
        os.chmod(self.page, 0o644)
        # Under sanitizers nothing may be preloaded.
        self.env = None if PATIENCE > 1 else {"LD_PRELOAD": shim, "TAP_READONLY": self.page}
        return self

    def __exit__(self, *_):
        for where in self.mounted:
            subprocess.run(["umount", "-l", where], check=False)

    def fill(self, name):
        """To the last byte, and again whenever somebody has made room."""
        fd = os.open(f"{self.site.dir}/{name}/.filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for block in (1 << 20, 4096, 1):
                while True:
                    try:
                        if os.write(fd, bytes(block)) == 0:
                            break
                    except OSError:
                        break
        finally:
            os.close(fd)

    def free(self, name):
        if os.path.exists(f"{self.site.dir}/{name}/.filler"):
            os.unlink(f"{self.site.dir}/{name}/.filler")

    def readonly(self, name):
        """None: nothing is."""
        with open(self.page, "r+b") as f:
            f.write(struct.pack("<QQ", os.stat(f"{self.site.dir}/{name}").st_dev if name else 0, 1 if name else 0))


class Load:
    def __init__(self, site, ways, seed):
        self.site, self.ways, self.phase = site, ways, "before"
        self.accepted, self.answers, self.others = set(), collections.Counter(), collections.Counter()
        self.stop, self.lock, self.number = False, threading.Lock(), 0
        self.threads = [threading.Thread(target=self.work, args=(w, seed + i), daemon=True) for i, w in enumerate(ways * 2)]
        self.threads += [threading.Thread(target=self.other, args=(w,), daemon=True) for w in ways if hasattr(w, "other_mail_passes")]
        for t in self.threads:
            t.start()

    def work(self, way, seed):
        dice = random.Random(seed)
        while not self.stop:
            with self.lock:
                self.number += 1
                name = f"full-{self.number}"
            phase = self.phase
            answer = way.deliver(report_mail(name, records=dice.choice((1, 3, 20))))
            with self.lock:
                # What was under way while a phase changed says nothing of either.
                if phase == self.phase:
                    self.answers[phase, way.name, answer] += 1
                if answer == ACCEPTED:
                    self.accepted.add(name)
            time.sleep(dice.uniform(0, 0.04))

    def other(self, way):
        while not self.stop:
            phase, fine = self.phase, way.other_mail_passes()
            with self.lock:
                self.others[phase, fine] += 1
            time.sleep(0.05)

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join(120)


def one(trouble, o, site, disks, load, bad):
    full = {"spool-full": ["spool"], "store-full": ["store"], "both-full": ["spool", "store"]}.get(trouble, [])
    load.phase = f"{trouble} begins"
    if trouble.endswith("-readonly"):
        disks.readonly(trouble.split("-", maxsplit=1)[0])
    for name in full:
        disks.fill(name)
    end = time.monotonic() + o.seconds
    load.phase = trouble
    while time.monotonic() < end:
        for name in full:
            disks.fill(name)
        time.sleep(0.02)
    load.phase = f"{trouble} ends"
    disks.readonly(None)
    for name in full:
        disks.free(name)
    freed = time.monotonic()
    before = len(load.accepted)

    def taken_again():
        """reports are taken again"""
        return len(load.accepted) >= before + 5
    try:
        wait_for(taken_again, o.recover)
        print(f"{trouble}: reports are taken again after {time.monotonic() - freed:.1f} s")
    except AssertionError:
        bad.append(f"{trouble}: no report was taken again within {o.recover} s")
    for (phase, way, answer), n in sorted(load.answers.items()):
        if phase != trouble:
            continue
        print(f"{trouble}: {way} {answer} {n}")
        # A spool that is full to the last byte takes nothing; with the store in need alone, it takes until it is full itself.
        allowed = (ACCEPTED, DEFERRED) if trouble.startswith("store-") else (DEFERRED,)
        if answer not in allowed and not (answer == ACCEPTED and full and n <= o.leak * sum(
                m for (p, w, _), m in load.answers.items() if (p, w) == (phase, way))):
            bad.append(f"{trouble}: {way} answered {answer} {n} times")
    if not any(phase == trouble for phase, _, _ in load.answers):
        bad.append(f"{trouble}: no delivery was answered at all")
    print(f"{trouble}: other mail passed {load.others[trouble, True]} times, did not {load.others[trouble, False]} times")
    if load.others[trouble, False]:
        bad.append(f"{trouble}: other mail did not pass")


def run(o):
    kinds = doors.chosen(o.doors)
    bad = []
    # Little is reserved, so that the disk itself is what says no.
    with Site(spool="min_free = 0;") as site, Disks(site, o.seconds) as disks:
        doors.configure(site, kinds)
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  )", f'outputs: ( {{ type = "json"; path = "{site.dir}/store/out.jsonl"; }} )')
                    .replace(f'path = "{site.db}";', f'path = "{site.db}"; wal_limit = "1M";')
                    .replace(f'control_socket = "{site.control}";', f'control_socket = "{site.control}"; sweep = "1s";'))
        worker = site.start("dmarctapd", disks.env)
        crew = [k(site) for k in kinds]
        load = None
        try:
            for d in crew:
                d.start(disks.env)
            pids = {d.program: d.process for d in crew if d.process} | {"dmarctapd": worker}
            ways = list(crew)
            if o.postfix:
                site.start_postfix("in_flow_delay = 0", "smtpd_client_connection_count_limit = 0")
                ways.append(doors.Postfix(site))
            load = Load(site, ways, o.seed)
            time.sleep(0.5)
            for trouble in o.troubles.split(","):
                one(trouble, o, site, disks, load, bad)
            load.phase = "after"
            time.sleep(0.5)
            load.end()
            bad += [f"{name} is not the same process any more: {site.log(name)[-1500:]}" for name, p in pids.items() if p.poll() is not None]
            wait_for(lambda: not doors.waiting(site), 90)
            orphans = len(site.incoming())
            if orphans > len(load.threads) * (len(o.troubles.split(",")) + 1):
                bad.append(f"{orphans} partial files are left")
            stored = collections.Counter(site.report_ids())
            lost = load.accepted - set(stored)
            doubled = [n for n, c in stored.items() if c > 1]
            print(f"{load.number} deliveries, {len(load.accepted)} answered with success, {len(stored)} stored, {len(lost)} lost, "
                  f"{len(doubled)} doubled, {orphans} partial files for the next sweep")
            if lost or doubled:
                bad.append(f"lost {sorted(lost)[:5]}, doubled {doubled[:5]}")
            if site.quarantine():
                bad.append(f"{len(site.quarantine())} in quarantine")
            if site.query("PRAGMA integrity_check") != [("ok",)]:
                bad.append("the store is damaged")

            def out():
                with open(f"{site.dir}/store/out.jsonl", encoding="utf-8") as f:
                    return collections.Counter(json.loads(line)["report_metadata"]["report_id"] for line in f.read().split("\n")[:-1])

            def sent():
                """the output has all"""
                return sum(out().values()) >= len(stored)
            # Its pauses have doubled as long as the trouble was.
            wait_for(sent, 60 + 2 * o.seconds)
            if out() != stored:
                bad.append("the output is not what is stored")
        finally:
            if load:
                load.end()
            for d in crew:
                d.kill(signal.SIGTERM)
            for name in list(site.running):
                site.kill(name, signal.SIGTERM)
    return bad


def options(argv):
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--seconds", type=float, default=5)
    a.add_argument("--recover", type=float, default=45)
    a.add_argument("--leak", type=float, default=0.1, help="share of successes that a moment of room between two fillings may give")
    a.add_argument("--troubles", default=",".join(TROUBLES))
    a.add_argument("--doors", default="all")
    a.add_argument("--postfix", action="store_true")
    a.add_argument("--seed", type=int, default=1)
    return a.parse_args(argv)


def main():
    o = options(None)
    bad = run(o)
    print(f"seed {o.seed}")
    for b in bad:
        print(f"FAILED {b}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
