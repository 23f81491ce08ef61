# SPDX-License-Identifier: Apache-2.0
"""Debian packages as private trees: fetched once into a cache outside the checkout, unpacked, never installed. Which packages make up a
server is said in tools/packages.txt (group server); the ordinary libraries that they need are in its group test and are installed.

    root = debs.unpacked("sendmail")        a directory with usr/, etc/ …, one for the life of this process, readable by everybody
"""
import atexit
import os
import re
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.environ.get("TAP_CACHE") or os.path.expanduser("~/.cache/dmarctap")
_trees, _candidates = {}, {}


def packages(server):
    with open(f"{ROOT}/tools/packages.txt", encoding="utf-8") as f:
        rows = [line.split() for line in f if line.strip() and not line.startswith("#")]
    return [r[1] for r in rows if r[0] == "server" and r[2] == server]


def candidate(package, anew=False):
    """The version that this Debian offers. All are asked for at once: each question reads apt's lists, which takes a second."""
    if anew or not _candidates:
        with open(f"{ROOT}/tools/packages.txt", encoding="utf-8") as f:
            names = [line.split()[1] for line in f if line.startswith("server ")]
        out = subprocess.run(["apt-cache", "policy", *names], stdout=subprocess.PIPE, check=True).stdout.decode()
        _candidates.update(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (\S+)", out, re.M))
    found = _candidates.get(package, "(none)")
    return found if found != "(none)" else None


def fetched(package):
    """The package's file in the cache, in the version that this Debian offers."""
    version = candidate(package)
    if not version:
        subprocess.run(["apt-get", "update", "-qq"], stdout=subprocess.DEVNULL, check=True)
        version = candidate(package, anew=True)
    for name in os.listdir(CACHE) if os.path.isdir(CACHE) else []:
        if name.startswith(f"{package}_{str(version).replace(':', '%3a')}_") and name.endswith(".deb"):
            return f"{CACHE}/{name}"
    os.makedirs(CACHE, exist_ok=True)
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o777)  # apt fetches as a user of its own
        command = ["apt-get", "download", "-qq", package]
        if subprocess.run(command, cwd=d, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
            subprocess.run(["apt-get", "update", "-qq"], stdout=subprocess.DEVNULL, check=True)
            subprocess.run(command, cwd=d, stdout=subprocess.DEVNULL, check=True)
        name = [n for n in os.listdir(d) if n.endswith(".deb")][0]
        # Two processes may fetch at once: the name appears with the whole file.
        shutil.copy(f"{d}/{name}", f"{CACHE}/.{name}.{os.getpid()}")
        os.rename(f"{CACHE}/.{name}.{os.getpid()}", f"{CACHE}/{name}")
    return f"{CACHE}/{name}"


def unpacked(server):
    if server not in _trees:
        root = tempfile.mkdtemp(prefix=f"dmarctap-{server}-")
        os.chmod(root, 0o755)
        atexit.register(shutil.rmtree, root, True)
        for package in packages(server):
            subprocess.run(["dpkg", "-x", fetched(package), root], check=True)
        os.chmod(root, 0o755)
        # Set-id programs would drop LD_LIBRARY_PATH and LD_PRELOAD, and nothing here runs as anybody but who starts it.
        subprocess.run(["find", root, "-type", "f", "-perm", "/6000", "-exec", "chmod", "a-s", "{}", "+"], check=True)
        _trees[server] = root
    return _trees[server]
