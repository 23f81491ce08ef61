#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The test runner behind tests/run: builds each preset once, runs the parts in order, counts, and closes with
`N passed, N failed`. A part is a function that gives a list of (name, ok, detail)."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/integration")
from taplib import HAVE_SAMPLES, NO_SAMPLES  # noqa: E402

JOBS = str(os.cpu_count() or 2)
SANITIZER_ENV = {
    "ASAN_OPTIONS": "quarantine_size_mb=8:detect_leaks=1:abort_on_error=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
# The programs read their suppressions as the user that they become, who may not see into the checkout.
_shared = tempfile.TemporaryDirectory(prefix="dmarctap-tests-")
os.chmod(_shared.name, 0o755)
shutil.copy(f"{ROOT}/tests/lib/tsan.supp", _shared.name)
os.chmod(f"{_shared.name}/tsan.supp", 0o644)
SANITIZER_ENV["TSAN_OPTIONS"] += f":suppressions={_shared.name}/tsan.supp"
_built = set()
left_out = []


def run(args, env=None, timeout=3000):
    """Runs a command from the root; gives (exit status, output)."""
    full = dict(os.environ, **(env or {}))
    try:
        p = subprocess.run(args, cwd=ROOT, env=full, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=timeout)
        return p.returncode, p.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as e:
        return 124, (e.stdout or b"").decode("utf-8", "replace") + f"\nstopped after {timeout} s"


def build(preset):
    """Configures and builds a preset with its tests, once. Gives None or the failure as a result row."""
    if preset in _built:
        return None
    t = time.time()
    for step in (["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset],
                 ["cmake", "--build", "--preset", preset, "--target", "unit_tests"]):
        status, out = run(step)
        if status:
            return (f"build {preset}", False, out[-6000:])
    _built.add(preset)
    print(f"built {preset} in {time.time() - t:.0f} s", flush=True)
    return None


def programs(preset):
    """A copy of the programs where every user can run them: the checkout may lie in a home that only its owner can look into. What else
    the build directory holds is beside them as it is in there."""
    there = f"{_shared.name}/{preset}"
    if not os.path.isdir(there):
        os.mkdir(there, 0o755)
        for name in os.listdir(f"{ROOT}/build/{preset}"):
            if name != "bin":
                os.symlink(f"{ROOT}/build/{preset}/{name}", f"{there}/{name}")
        shutil.copytree(f"{ROOT}/build/{preset}/bin", f"{there}/bin")
    return f"{there}/bin"


def bin_env(preset):
    env = {"TAP_BIN": programs(preset), "TAP_SOURCE": ROOT, "TAP_PRESET": preset}
    env.update(SANITIZER_ENV)
    return env


def from_junit(path, prefix):
    rows = []
    for case in ET.parse(path).getroot().iter("testcase"):
        bad = [c for c in case if c.tag in ("failure", "error", "skipped")]
        if len(bad) == 1 and bad[0].tag == "skipped" and bad[0].get("message") == NO_SAMPLES and not HAVE_SAMPLES:
            left_out.append(case.get("name"))
            continue
        # Any other skipped test hides a hole: it counts as failed.
        detail = "\n".join(((c.get("message") or "") + "\n" + (c.text or "")) for c in bad)
        if bad:
            detail += "\n" + (case.findtext("system-out") or "")
        rows.append((f"{prefix}: {case.get('name')}", not bad, detail[-6000:]))
    return rows


def ctest(preset, pattern):
    failure = build(preset)
    if failure:
        return [failure]
    with tempfile.TemporaryDirectory() as d:
        junit = f"{d}/ctest.xml"
        args = ["ctest", "--test-dir", f"build/{preset}", "-j", JOBS, "--output-junit", junit, "--output-on-failure"]
        if pattern:
            args += ["-R", pattern]
        status, out = run(args, bin_env(preset))
        if not os.path.exists(junit):
            return [(f"unit {preset}", False, out[-6000:])]
        rows = from_junit(junit, f"unit {preset}")
        return rows or [(f"unit {preset}", False, "no test was found\n" + out[-2000:])]


# Programs with one thread: nothing for the thread sanitizer, which makes them ten times as slow.
ONE_THREAD = ["samples", "samples_tls", "schema", "mutation", "badinput", "outputs_kinds"]


def pytest(preset, what, folder, pattern):
    """Most of these tests wait for programs most of the time, so several run at once; those that measure (marked alone) run afterwards."""
    failure = build(preset)
    if failure:
        return [failure]
    python = sys.executable if has_pytest(sys.executable) else "/usr/bin/python3"
    rows = []
    for marks, at_once in (("not alone", ["-n", str(2 * int(JOBS))]), ("alone", [])):
        with tempfile.TemporaryDirectory() as d:
            junit = f"{d}/pytest.xml"
            args = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marks, *at_once, f"--junitxml={junit}", folder]
            if preset == "tsan":
                args += [f"--ignore={folder}/test_{name}.py" for name in ONE_THREAD]
            if pattern:
                args += ["-k", pattern]
            status, out = run(args, bin_env(preset))
            if status == 5 and (pattern or marks == "alone"):  # no test was collected
                continue
            if not os.path.exists(junit):
                return rows + [(f"{what} {preset}", False, out[-6000:])]
            rows += from_junit(junit, f"{what} {preset}") or [(f"{what} {preset}", False, "no test was found\n" + out[-2000:])]
    return rows or [(f"{what} {preset}", False, f"no test is called {pattern}")]


def has_pytest(python):
    return subprocess.run([python, "-c", "import pytest, xdist"], stderr=subprocess.DEVNULL).returncode == 0


def script(preset, name, path, *args):
    """A script that prints `ok NAME` / `FAIL NAME: …` lines and closes with `N passed, N failed`."""
    if preset:
        failure = build(preset)
        if failure:
            return [failure]
    status, out = run([path, *args], bin_env(preset or "dev"))
    tail = re.findall(r"^(\d+) passed, (\d+) failed$", out, re.M)
    if not tail:
        return [(name, False, out[-6000:])]
    passed, failed = map(int, tail[-1])
    if status and not failed:
        return [(name, False, out[-6000:])]
    rows = [(f"{name}: {i + 1} of {passed}", True, "") for i in range(passed)]
    rows += [(f"{name}: {i + 1} of {failed} that failed", False, out[-6000:] if i == 0 else "") for i in range(failed)]
    return rows


def gates(pattern):
    failure = build("dev")
    if failure:
        return [failure]
    return script(None, "gates", f"{ROOT}/tests/gates/run", *([pattern] if pattern else []))


def integration(preset):
    return lambda pattern: pytest(preset, "integration", "tests/integration", pattern)


def release(_pattern):
    failure = build("release")
    return [failure] if failure else script(None, "release", f"{ROOT}/tests/gates/release")


def fuzz(pattern):
    """Each libFuzzer target, built by clang with sanitizers, over its corpus. No mutations: a run of the tests has the same inputs every
    time; to look for more, run build/fuzz/tests/fuzz_… by hand."""
    failure = build("fuzz")
    if failure:
        return [failure]
    rows = []
    for name in sorted(os.listdir(f"{ROOT}/build/fuzz/tests")):
        if not name.startswith("fuzz_") or (pattern and pattern not in name):
            continue
        with tempfile.TemporaryDirectory() as d:  # what it finds worth keeping goes here, not into the tree
            status, out = run([f"{ROOT}/build/fuzz/tests/{name}", "-runs=0", "-rss_limit_mb=4096",
                               f"-artifact_prefix={d}/", d, f"{ROOT}/tests/fuzz/corpus/{name[5:]}"], SANITIZER_ENV, 600)
        rows.append((f"fuzz: {name}", status == 0, out[-4000:]))
    return rows or [("fuzz", False, "no target was found")]


PARTS = {
    "gates": ("format, clang-tidy, cppcheck, sizes, banned calls, layers, documents", gates),
    "unit": ("unit tests and corpus replay, dev preset", lambda p: ctest("dev", p)),
    "golden": ("reports against expected JSON and CSV", lambda p: script("dev", "golden", f"{ROOT}/tests/golden/run.py")),
    "integration": ("the programs together, with private mail servers", integration("dev")),
    "browser": ("the page in Chromium", lambda p: script("dev", "browser", f"{ROOT}/tests/browser/run")),
    "release": ("the shipped build: hardening, no fault points", release),
    "fuzz": ("the fuzz targets over their corpora, built by clang with sanitizers", fuzz),
    "asan": ("unit, golden and integration tests under address and undefined-behaviour sanitizers",
             lambda p: ctest("asan", p) + script("asan", "golden asan", f"{ROOT}/tests/golden/run.py")
             + integration("asan")(p)),
    "tsan": ("unit tests, and integration tests of programs with threads, under the thread sanitizer",
             lambda p: ctest("tsan", p) + integration("tsan")(p)),
}


def usage():
    print("usage: tests/run [PART [PATTERN]]…\nparts:")
    for name, (text, _) in PARTS.items():
        print(f"  {name:12} {text}")


def plan(argv):
    """argv → list of (part, pattern); a word that is no part is the pattern of the part before it."""
    todo = []
    for word in argv:
        if word in PARTS:
            todo.append([word, None])
        elif todo and todo[-1][1] is None:
            todo[-1][1] = word
        else:
            usage()
            sys.exit(2)
    return todo or [[name, None] for name in PARTS]


def main():
    if sys.argv[1:2] in (["-h"], ["--help"]):
        usage()
        return 0
    passed, failures = 0, []
    for part, pattern in plan(sys.argv[1:]):
        t = time.time()
        rows = PARTS[part][1](pattern)
        bad = [r for r in rows if not r[1]]
        for name, _, detail in bad:
            print(f"FAIL {name}\n{detail}\n", flush=True)
        print(f"{part}: {len(rows) - len(bad)} passed, {len(bad)} failed, {time.time() - t:.0f} s", flush=True)
        passed += len(rows) - len(bad)
        failures += [name for name, _, _ in bad]
    for name in failures:
        print(f"failed: {name}")
    if left_out:
        print(f"{len(left_out)} tests of real reports left out: {NO_SAMPLES}")
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures or not passed else 0


sys.exit(main())
