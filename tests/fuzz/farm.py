#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fuzzes for long: slices of all targets in turn, those first that lack most of what they are to have, at the lowest priority and only
while the machine has little else to do.

    tests/fuzz/farm.py --asan build/fuzz --fast build/fuzz-fast --minutes 60

--asan is the build with the address and undefined-behaviour sanitizers, --fast that of the preset fuzz-fast. The corpora, LEDGER.tsv (target,
executions, seconds, build, date, result) and what was found (crash/) are kept in --state. A target that found something is left alone for the
rest of the run; the exit status is 1 then."""
import argparse
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FEW = ("outlook", "door")  # 10^6 are enough: slow, and what they call has targets of its own
LENGTHS = {"address": [300, 600], "outlook": [12000, 20000], "spool_file": [400, 2000]}
ENV = {"ASAN_OPTIONS": "quarantine_size_mb=2:malloc_context_size=1:max_malloc_fill_size=0"}


def totals(ledger):
    sums = {}
    if os.path.exists(ledger):
        with open(ledger, encoding="utf-8") as f:
            for line in f.readlines()[1:]:
                target, n, _, build = line.split("\t")[:4]
                sums[target, build] = sums.get((target, build), 0) + int(n)
    return sums


def lacking(targets, sums):
    """(how far, build, target), what is farthest from its goal first."""
    out = []
    for t in targets:
        asan, both = sums.get((t, "asan"), 0), sums.get((t, "asan"), 0) + sums.get((t, "fast"), 0)
        goal = 1_000_000 if t in FEW else 10_000_000
        if asan < 1_000_000:
            out.append((asan / 1_000_000, "asan", t))
        if both < goal:
            out.append((both / goal, "asan" if t in FEW else "fast", t))
    return sorted(out)


class Slice:
    def __init__(self, args, build, target, number):
        self.build, self.target, self.began = build, target, time.time()
        self.log = os.path.join(args.state, f"{target}.log")
        self.program = os.path.join(args.work, f"run-{build}-{target}")
        corpus = os.path.join(args.work, target)
        os.makedirs(corpus, exist_ok=True)
        # A copy, so that a new build does not pull the program away from under the run.
        shutil.copy(os.path.join(args.asan if build == "asan" else args.fast, "tests", f"fuzz_{target}"), self.program)
        lengths = LENGTHS.get(target, [450, 450, 800, 2000])
        cmd = ["nice", "-n", "19", self.program, f"-max_total_time={args.slice}", "-entropic=0", "-reload=0", "-timeout=20",
               f"-max_len={lengths[number % len(lengths)]}", f"-rss_limit_mb={2500 if build == 'asan' else 900}", "-malloc_limit_mb=64",
               "-print_final_stats=1", f"-artifact_prefix={args.state}/crash/{target}-"]
        if build == "fast" and number % 2:
            cmd += ["-use_counters=0", "-reduce_inputs=0"]
        if target in ("milter", "door"):
            cmd.append("-close_fd_mask=2")  # what they log
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(cmd + [corpus, os.path.join(ROOT, "tests/fuzz/corpus", target)], stdout=log,
                                            stderr=subprocess.STDOUT, env=dict(os.environ, **ENV))

    def finish(self, ledger):
        """Writes its line; True when nothing was found."""
        n, said = 0, ""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            for line in log:
                if line.startswith("stat::number_of_executed_units"):
                    n = int(line.split()[-1])
                elif line.startswith("SUMMARY"):
                    said = " " + line.strip()
        good = self.process.returncode == 0
        new = not os.path.exists(ledger)
        with open(ledger, "a", encoding="utf-8") as f:
            if new:
                f.write("target\texecutions\tseconds\tbuild\tdate\tresult\n")
            f.write("\t".join([self.target, str(n), str(int(time.time() - self.began)), self.build,
                               time.strftime("%FT%TZ", time.gmtime()), "clean" if good else f"rc={self.process.returncode}{said}"]) + "\n")
        os.unlink(self.program)
        return good


def runnable():
    with open("/proc/loadavg", encoding="ascii") as f:
        return int(f.read().split()[3].split("/")[0]) - 1


def farm(args):
    ledger = os.path.join(args.state, "LEDGER.tsv")
    targets = sorted(n[5:] for n in os.listdir(os.path.join(args.asan, "tests")) if n.startswith("fuzz_"))
    end, samples, running, number, bad = time.time() + args.minutes * 60, [], [], {}, set()
    while running or time.time() < end:
        for s in [s for s in running if s.process.poll() is not None]:
            running.remove(s)
            if not s.finish(ledger):
                bad.add(s.target)
        samples = (samples + [runnable() - len(running)])[-8:]
        load = sum(samples) / len(samples)
        if time.time() < end and load <= args.load and len(running) < (2 if load < 1.2 else 1):
            todo = [(b, t) for _, b, t in lacking(targets, totals(ledger)) if t not in bad and all(r.target != t for r in running)]
            if todo:
                build, target = todo[0]
                number[target] = number.get(target, -1) + 1
                running.append(Slice(args, build, target, number[target]))
            elif not running:
                break
        time.sleep(2)
    return bad


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--asan", default=f"{ROOT}/build/fuzz")
    p.add_argument("--fast", default=f"{ROOT}/build/fuzz-fast")
    p.add_argument("--state", default=os.path.expanduser("~/.cache/dmarctap/fuzz"))
    p.add_argument("--work", default="/dev/shm/dmarctap-fuzz", help="where the corpora grow; in memory")
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--slice", type=int, default=50, help="seconds")
    p.add_argument("--load", type=float, default=4, help="processes of others that may be running")
    args = p.parse_args()
    corp = os.path.join(args.state, "corp")
    for d in (corp, os.path.join(args.state, "crash"), args.work):
        os.makedirs(d, exist_ok=True)
    shutil.copytree(corp, args.work, dirs_exist_ok=True)
    bad = farm(args)
    for t in os.listdir(args.work):
        if os.path.isdir(os.path.join(args.work, t)):
            shutil.copytree(os.path.join(args.work, t), os.path.join(corp, t), dirs_exist_ok=True)
    for t in sorted(bad):
        print(f"{t}: see {args.state}/crash and {args.state}/{t}.log")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
