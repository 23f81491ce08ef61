# SPDX-License-Identifier: Apache-2.0
"""What the private servers share: a directory of their own, programs that are ended by their process group's id, waiting."""
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
NOBODY = pwd.getpwnam("nobody")


def free_port(family=socket.AF_INET):
    """A port for a server that starts in a moment: below those that the kernel gives to clients, one of which could take it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(family, kind) as s:
                    s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
            return port
        except OSError:
            continue


def answers(address):
    """Somebody accepts connections at ("127.0.0.1", port) or at a path."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as s:
        s.settimeout(5)
        try:
            s.connect(address)
            return True
        except OSError:
            return False


class Server:
    """A directory, an environment, and one program in the foreground of a session of its own."""
    patience = 20

    def __init__(self, directory):
        self.dir = directory
        self.env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}
        self.process = None
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)

    def path(self, name):
        return f"{self.dir}/{name}"

    def folder(self, name, mode=0o755, user=None):
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        if user:
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
        os.chmod(path, mode)
        return path

    def keeper(self):
        """A copy of keep.sh: the checkout may lie where only its owner can look, and servers run it as others."""
        return shutil.copy(f"{HERE}/keep.sh", self.path("keep.sh"))

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def run_foreground(self, args, ready, **kw):
        with open(self.path("output"), "ab") as log:
            self.process = subprocess.Popen(args, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, **kw)
        end = time.monotonic() + self.patience
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise AssertionError(f"{args[0]} does not answer: {self.logs()[-3000:]}")
            time.sleep(0.02)

    def logs(self):
        return self.read("output")

    def stop(self, sig=signal.SIGTERM):
        """Ends the program and whatever it started (its session), by their ids."""
        p, self.process = self.process, None
        if not p:
            return
        if p.poll() is None:
            p.send_signal(sig)
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        # Children that outlive it: first asked, then not.
        for last, wait in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 1.0)):
            end = time.monotonic() + wait
            try:
                os.killpg(p.pid, last)
                while time.monotonic() < end:
                    os.killpg(p.pid, 0)
                    time.sleep(0.02)
            except ProcessLookupError:
                return

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(f"--- {type(self).__name__}\n{self.logs()[-6000:]}")
        self.stop()

    def start(self):
        raise NotImplementedError


def messages(path):
    """The messages that keep.sh left in a directory, as bytes, in the order of their coming."""
    out = []
    for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
        if not name.startswith("."):
            with open(f"{path}/{name}", "rb") as f:
                out.append(f.read())
    return out
