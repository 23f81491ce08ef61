# SPDX-License-Identifier: Apache-2.0
"""The parser's jail against a trace of the parser over the whole corpus: its list allows what was used and a few documented calls more,
and nothing else; with the filter on, no file of the corpus ends the process."""
import os
import re
import shutil
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("TAP_BIN", f"{ROOT}/build/dev/bin")
sys.path.insert(0, f"{ROOT}/tests/lib")
import syscalls  # noqa: E402

PARSER = f"{BIN}/dmarctap-parse"
pytestmark = [pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
              pytest.mark.plain_build("sanitizers make system calls of their own")]


def tables():
    """allowed without and with a reason (spare), refused with an error"""
    with open(f"{ROOT}/confine/jail.c", encoding="utf-8") as f:
        text = f.read()
    table = text[text.index("allowed[] = {"):text.index("struct refusal")]
    first, *spare = table.split("/* spare:")
    names = [set(re.findall(r"SCMP_SYS\((\w+)\)", t)) for t in (first, " ".join(spare))]
    refused = set(re.findall(r"SCMP_SYS\((\w+)\)", text[text.index("refused[] = {"):text.index("deadly[] = {")]))
    return (*names, refused)


@pytest.fixture(scope="module")
def confined():
    return syscalls.trace(PARSER)


@pytest.fixture(scope="module")
def free():
    return syscalls.trace(PARSER, confine=False)


def test_nothing_of_the_corpus_ends_the_process(confined):
    assert confined[1] == []


def test_the_list_holds_what_was_used_and_no_more(confined, free):
    needed, _, refused = tables()
    for used, _ in (confined, free):
        assert set(used) - refused == needed


def test_spare_calls_are_documented():
    needed, spare, refused = tables()
    assert not needed & spare and not (needed | spare) & refused
    with open(f"{ROOT}/docs/isolation.md", encoding="utf-8") as f:
        doc = f.read()
    for name in needed | spare:
        assert f"`{name}`" in doc, f"{name} is not in docs/isolation.md"
    assert len(spare) <= 12


def test_arguments_are_within_what_the_list_looks_at(free):
    used, _ = free
    for what in used["mmap"]:
        assert "PROT_EXEC" not in what and "MAP_SHARED" not in what and "MAP_ANONYMOUS" in what
    assert set(used["recvmsg"]) == set(used["sendto"]) == {"3"}
    assert set(used["setitimer"]) == {"ITIMER_PROF"}


def test_nobody_is_started_socketed_or_opened(free):
    for name in ("socket", "connect", "execve", "clone", "clone3", "fork", "openat", "open", "ptrace", "prctl", "fcntl", "ioctl", "unlink"):
        assert name not in free[0], name


def test_a_parser_that_is_told_not_to_confine_itself_says_so():
    for confine in (True, False):
        p = syscalls.Parser(PARSER, confine=confine)
        with open(f"/proc/{p.process.pid}/status", encoding="utf-8") as f:
            status = f.read()
        assert ("Seccomp:\t2" in status) == confine and "NoNewPrivs:\t1" in status
        assert (p.confined > 0) == confine
        with open(f"/proc/{p.process.pid}/limits", encoding="utf-8") as f:
            assert re.search(r"Max cpu time +600 +600 ", f.read())
        assert p.end() == 0


def test_processor_time_of_a_whole_life_is_limited():
    """The limit is one of the kernel, and hard: the process cannot put it off."""
    p = subprocess.run([sys.executable, "-c", f"""
import sys; sys.path.insert(0, {ROOT + '/tests/lib'!r})
import syscalls
p = syscalls.Parser({PARSER!r}, cpu_s=1)
files = [f for f in syscalls.corpus()]
try:
    while True:
        for f in files:
            p.ask(f, 3)
except (syscalls.Died, ConnectionError):
    print(p.process.wait(60))
"""], stdout=subprocess.PIPE, timeout=60, check=True)
    assert p.stdout.split() == [b"-9"]
