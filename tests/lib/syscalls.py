#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which system calls dmarctap-parse uses on the whole corpus, once it has greeted: the measure of the list in confine/jail.c.
usage: tests/lib/syscalls.py [--free] [PROGRAM]
Runs the program under strace over tests/corpus and every fuzz corpus, as its pool would, and prints each call with how often it was made
and which arguments the list looks at. --free: with the jail's filter switched off, to see what it would refuse."""
import array
import collections
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAGIC, FRAMES, PAYLOAD, RESULT, FD = 0x50415444, 1, 2, 9, 3


def corpus():
    for top in ("tests/corpus", "tests/fuzz/corpus"):
        for folder, _, names in sorted(os.walk(f"{ROOT}/{top}")):
            for name in sorted(names):
                yield os.path.join(folder, name)


class Died(Exception):
    pass


class Parser:
    """One dmarctap-parse with us as its pool; before: a command that starts it, strace for one."""

    def __init__(self, program, before=(), confine=True, cpu_s=600):
        self.socket, far = socket.socketpair()
        far_fd = far.fileno()

        def give():
            os.dup2(far_fd, FD)
        self.process = subprocess.Popen([*before, program, str(512 << 20), "60000", str(cpu_s), "1" if confine else "0"],
                                        preexec_fn=give, pass_fds=[FD], env={}, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        far.close()
        self.socket.settimeout(120)
        hello = self.exactly(256)
        self.version, self.ok, self.confined = struct.unpack_from("<III", hello, 4)
        assert self.ok, hello

    def exactly(self, n):
        got = b""
        while len(got) < n:
            piece = self.socket.recv(n - len(got))
            if not piece:
                raise Died()
            got += piece
        return got

    def ask(self, path, flags):
        with open(path, "rb") as f:
            head = struct.pack("<IIQQqII", MAGIC, flags, 0, os.fstat(f.fileno()).st_size, 1780358400, 5, 0)
            self.socket.sendmsg([head, b"a.eml"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [f.fileno()]))])
        while True:
            n, kind = struct.unpack("<IB", self.exactly(5))
            body = self.exactly(n)
            if kind == RESULT:
                return body

    def end(self):
        self.socket.close()
        return self.process.wait(60)


def trace(program, confine=True, files=None, flags=(0, FRAMES | PAYLOAD)):
    """{call: {arguments that matter: times}} after the greeting, and the files that ended the process."""
    used, deadly = collections.defaultdict(collections.Counter), []
    files = list(files if files is not None else corpus())
    while files:
        with tempfile.TemporaryDirectory() as d:
            p = Parser(program, ["strace", "-f", "-e", "signal=none", "-o", f"{d}/out"], confine)
            try:
                while files:
                    for f in flags:
                        p.ask(files[0], f)
                    files.pop(0)
            except (Died, ConnectionError):
                deadly.append(files.pop(0))
            p.end()
            read(f"{d}/out", used)
    return used, deadly


def read(path, used):
    greeted = False
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            m = re.match(r"\d+ +(\w+)\((.*)", line)
            if not m:
                continue
            name, rest = m.groups()
            if greeted:
                used[name][detail(name, rest)] += 1
            # The greeting: its 256 bytes are the first that are sent.
            greeted = greeted or (name == "sendto" and re.search(r"= 256$", line) is not None)


def detail(name, rest):
    wanted = {"mmap": r"PROT_\S+, MAP_[^,]+", "mprotect": r"PROT_\S+", "madvise": r"MADV_\w+", "fcntl": r"F_\w+", "prctl": r"\w+",
              "recvmsg": r"^\d+", "sendto": r"^\d+", "write": r"^\d+", "setitimer": r"ITIMER_\w+", "futex": r"FUTEX_\w+",
              "openat": r'"[^"]*"', "mremap": r"MREMAP_\w+", "rt_sigprocmask": r"SIG_\w+", "rt_sigaction": r"SIG\w+"}.get(name)
    m = re.search(wanted, rest.replace(")", " ")) if wanted else None
    return m.group(0).strip(" ,") if m else ""


def main():
    args = [a for a in sys.argv[1:] if a != "--free"]
    program = args[0] if args else f"{ROOT}/build/dev/bin/dmarctap-parse"
    used, deadly = trace(program, "--free" not in sys.argv)
    for name in sorted(used):
        for what, times in sorted(used[name].items()):
            print(f"{name:16} {what:40} {times}")
    for path in deadly:
        print(f"ended the process: {path}")
    return 1 if deadly else 0


if __name__ == "__main__":
    sys.exit(main())
