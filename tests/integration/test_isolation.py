# SPDX-License-Identifier: Apache-2.0
"""Each program under its sandbox: what it must not do is refused from inside of it, and its ordinary work goes on, with parser processes
that are killed and replaced. Then the page, as another user, with the worker running, stopped and killed."""
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import pytest
from miltermta import Mta
from taplib import BIN, REPORTS, Site, report_mail, wait_for
from test_lmtp import Door

FAULTS = b"TAP_SANDBOX_PROBE" in open(f"{BIN}/dmarctapd", "rb").read()
probing = pytest.mark.skipif(not FAULTS, reason="the probe is only in builds with fault points")
EPERM, EACCES, OK = 1, 13, 0


def landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) >= 2


def probes(site, name, words, start=None):
    """starts the program and gives what came of each try"""
    env = {"TAP_SANDBOX_PROBE": " ".join(words), "TMPDIR": f"{site.dir}/tmp"}
    if start:
        start(env)
    else:
        site.start(name, env=env)

    def found():
        return dict(re.findall(r"probe (\S+) = (\d+)", site.log(name)))
    # Its socket may answer before.
    wait_for(lambda: found().keys() >= set(words))
    return {w: int(e) for w, e in found().items() if w in words}


def deliver(site, report_id):
    """as a mail server does, over the milter's socket; the answer's letter"""
    with Mta(site.milter_socket) as mta:
        mta.connect()
        return mta.deliver(f"<{REPORTS}>", report_mail(report_id, begin=int(time.time()) // 86400 * 86400 - 86400))


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return f.read()


def children(pid):
    """of all of its threads"""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="utf-8") as f:
            found += [int(c) for c in f.read().split()]
    return found


def killed_parsers(site, name):
    """kills its parser processes, as a message of the worst kind might, and gives how many there were"""
    dead = children(site.running[name].pid)
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    return len(dead)


def page(site, path="summary"):
    with urllib.request.urlopen(f"http://127.0.0.1:{site.web_port}/api/v1/{path}", timeout=20) as r:
        return json.load(r)


def outside(site):
    """a file and a directory that everybody may read and write, but for the sandbox"""
    # The configuration's directory may be read, for a reload; $TMPDIR may be written to.
    for sub in ("outside", "etc", "tmp"):
        os.mkdir(f"{site.dir}/{sub}")
        os.chmod(f"{site.dir}/{sub}", 0o777)
    shutil.move(site.config, f"{site.dir}/etc/dmarctap.conf")
    site.config = f"{site.dir}/etc/dmarctap.conf"
    with open(f"{site.dir}/outside/secret", "w", encoding="ascii") as f:
        f.write("secret")
    for path in (f"{site.dir}/outside", f"{site.dir}/outside/secret"):
        os.chmod(path, 0o777)
    return f"{site.dir}/outside"


NEVER = {"mount:/mnt": EPERM, "trace": EPERM, "unshare": EPERM, "bpf": EPERM, "key": EPERM, "packet": EACCES}


def refused_files(folder):
    if not landlock():
        return {}
    return {f"read:{folder}/secret": EACCES, f"make:{folder}/new": EACCES, f"remove:{folder}/secret": EACCES}


def expect(site, name, wanted, start=None):
    sanitized = os.environ.get("TAP_PRESET") in ("asan", "tsan")
    wanted = {w: e for w, e in wanted.items() if not (sanitized and (w == "trace" or site.dir in w))}
    assert probes(site, name, wanted, start) == wanted
    text = status(site.running[name].pid)
    assert "Seccomp:\t2" in text and "NoNewPrivs:\t1" in text
    assert "sandbox: system calls filtered" in site.log(name)


def others_mail(site, door):
    """what another door keeps, open to everybody but for the sandbox"""
    os.makedirs(f"{site.spool}/incoming/{door}")
    with open(f"{site.spool}/incoming/{door}/others.tap", "w", encoding="ascii") as f:
        f.write("x")
    os.chmod(f"{site.spool}/incoming/{door}/others.tap", 0o644)
    for path in (f"{site.spool}/incoming", f"{site.spool}/incoming/{door}"):
        os.chmod(path, 0o777)
    return f"{site.spool}/incoming/{door}/others.tap"


@probing
def test_milter_under_its_profile():
    with Site() as site:
        folder = outside(site)
        others_mail(site, "lmtp")
        wanted = dict(NEVER, **refused_files(folder), **{"inet:": EACCES, "read:/etc/hosts": OK})
        if landlock():
            wanted.update({f"read:{site.spool}/incoming/lmtp/others.tap": EACCES, "run:/bin/true": EACCES,
                           f"make:{site.dir}/run/file": EACCES})
        expect(site, "dmarctap-milter", wanted)
        assert deliver(site, "first") == "d"
        assert killed_parsers(site, "dmarctap-milter") == 2
        for i in range(4):
            assert deliver(site, f"again-{i}") == "d"
        assert len(site.incoming()) == 6
        assert site.kill("dmarctap-milter", signal.SIGTERM).returncode == 0


@probing
def test_milter_on_a_port_makes_no_connection():
    with Site() as site, socket.socket() as other:
        os.mkdir(f"{site.dir}/tmp")
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                mine = s.getsockname()[1]
            f.write(text.replace(f"unix:{site.milter_socket}", f"inet:{mine}@127.0.0.1"))
        site.milter_socket = ("127.0.0.1", mine)
        fourth = ctypes.CDLL(None).syscall(444, None, 0, 1) >= 4
        expect(site, "dmarctap-milter", {"inet:": OK, f"inet:{port}": EACCES if fourth else OK, "packet": EACCES})
        assert deliver(site, "over-tcp") == "d"


@probing
def test_lmtp_door_under_its_profile():
    """with a unix socket alone, and on a port"""
    for port in (False, True):
        with Door() as door, socket.socket() as other:
            site = door.site
            folder = outside(site)
            secret = others_mail(site, "milter")
            other.bind(("127.0.0.1", 0))
            other.listen()
            if not port:
                with open(site.config, encoding="utf-8") as f:
                    text = f.read()
                assert f', "127.0.0.1:{door.port}"' in text
                with open(site.config, "w", encoding="utf-8") as f:
                    f.write(text.replace(f', "127.0.0.1:{door.port}"', ""))
            fourth = ctypes.CDLL(None).syscall(444, None, 0, 1) >= 4
            wanted = dict(NEVER, **refused_files(folder), **{"read:/etc/hosts": OK})
            if port:
                wanted.update({"inet:": OK, f"inet:{other.getsockname()[1]}": EACCES if fourth else OK})
            else:
                wanted.update({"inet:": EACCES})
            if landlock():
                wanted.update({f"read:{secret}": EACCES, f"remove:{secret}": EACCES, "run:/bin/true": EACCES,
                               f"make:{site.dir}/run/file": EACCES, f"make:{site.spool}/incoming/milter/new.tap": EACCES})
            expect(site, "dmarctap-lmtp", wanted, door.start)
            client = door.client(tcp=port)
            assert client.send(report_mail("first"))[0].startswith("250 2.0.0")
            assert killed_parsers(site, "dmarctap-lmtp") == 2
            # A reload reads the configuration, in the sandbox, too.
            site.running["dmarctap-lmtp"].send_signal(signal.SIGHUP)
            wait_for(lambda: "read anew" in door.log())
            for i in range(4):
                assert client.send(report_mail(f"again-{i}"))[0].startswith("250 2.0.0")
            assert len(door.kept()) == 6, "five and the other door's"
            client.close()
            assert site.kill("dmarctap-lmtp", signal.SIGTERM).returncode == 0


@probing
@pytest.mark.parametrize("judging", [False, True])
def test_pipe_door_under_its_profile(judging):
    """where it asks for no verdict, and where it starts a parser process"""
    with Site(reports='not_report = "reject";' if judging else "") as site:
        folder = outside(site)
        secret = others_mail(site, "milter")
        own = f"{site.spool}/incoming/pipe"
        os.makedirs(own)
        wanted = dict(NEVER, **refused_files(folder), **{"inet:": EACCES, "read:/etc/hosts": OK})
        if landlock():
            wanted.update({f"read:{secret}": EACCES, f"remove:{secret}": EACCES, "run:/bin/true": EACCES,
                           f"make:{site.spool}/incoming/milter/new.tap": EACCES})
        if os.environ.get("TAP_PRESET") in ("asan", "tsan"):
            wanted = {w: e for w, e in wanted.items() if w != "trace" and site.dir not in w}
        p = subprocess.run([f"{site.bin}/dmarctap-pipe", "-c", site.config], input=report_mail("piped"), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=60, check=False, env=dict(os.environ, TAP_SANDBOX_PROBE=" ".join(wanted)))
        assert p.returncode == 0 and p.stdout.startswith(b"2.0.0 "), p
        found = dict(re.findall(r"probe (\S+) = (\d+)", p.stderr.decode()))
        assert {w: int(found.get(w, -1)) for w in wanted} == wanted
        assert len([n for n in os.listdir(own) if n.endswith(".tap")]) == 1


@probing
def test_worker_and_page_under_their_profiles():
    with Site(web=True, outputs='{ type = "json"; path = "DIR/out/reports.jsonl"; }') as site:
        folder = outside(site)
        os.mkdir(f"{site.dir}/out")
        os.chmod(f"{site.dir}/out", 0o777)
        with open(site.config, encoding="utf-8") as f:
            text = f.read().replace("DIR/out", f"{site.dir}/out")
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text)
        run = {"run:/bin/true": EACCES} if landlock() else {}
        expect(site, "dmarctapd", dict(NEVER, **refused_files(folder), **run, **{"read:/etc/hosts": OK, f"make:{site.dir}/out/x": OK}))
        expect(site, "dmarctap-web", dict(NEVER, **refused_files(folder), **run, **{"inet:": EACCES}))
        site.start("dmarctap-milter")
        for i in range(3):
            assert deliver(site, f"w-{i}") == "d"
        wait_for(lambda: len(site.report_ids()) == 3)
        assert killed_parsers(site, "dmarctapd") == 2
        for i in range(3, 6):
            assert deliver(site, f"w-{i}") == "d"
        wait_for(lambda: len(site.report_ids()) == 6)
        wait_for(lambda: os.path.exists(f"{site.dir}/out/reports.jsonl") and open(f"{site.dir}/out/reports.jsonl", encoding="utf-8").read().count("\n") == 6)
        assert page(site)["reports"] == 6


@pytest.mark.parametrize("user", ["nobody", "daemon"])
def test_page_with_the_worker_running_stopped_and_killed(user):
    """as the worker's own user, and as one who may only read"""
    with Site(web=True) as site:
        with open(site.config, encoding="utf-8") as f:
            text = f.read().replace(f'{site.web_port}"; user = "nobody"', f'{site.web_port}"; user = "{user}"')
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(f"{site.dir}/store", 0o755)
        for name in ("dmarctapd", "dmarctap-milter"):
            site.start(name)
        assert deliver(site, "one") == "d"
        wait_for(lambda: len(site.report_ids()) == 1)
        for name in os.listdir(f"{site.dir}/store"):
            os.chmod(f"{site.dir}/store/{name}", 0o644)
        site.start("dmarctap-web")
        assert page(site)["reports"] == 1
        assert site.kill("dmarctapd", signal.SIGTERM).returncode == 0
        assert page(site)["reports"] == 1
        site.kill("dmarctap-web", signal.SIGTERM)
        site.start("dmarctap-web")
        assert page(site)["reports"] == 1
        site.start("dmarctapd")
        assert deliver(site, "two") == "d"
        wait_for(lambda: len(site.report_ids()) == 2)
        site.kill("dmarctapd", signal.SIGKILL)
        assert page(site)["reports"] == 2
        site.kill("dmarctap-web", signal.SIGTERM)
        site.start("dmarctap-web")
        assert page(site)["reports"] == 2
        site.start("dmarctapd")
        assert deliver(site, "three") == "d"
        wait_for(lambda: page(site)["reports"] == 3)


def test_switched_off_is_said_loudly_and_works():
    with Site(extra="sandbox: { enabled = false; };") as site:
        site.start("dmarctap-milter")
        assert deliver(site, "free") == "d"
        log = site.log("dmarctap-milter")
        assert "SANDBOX IS SWITCHED OFF" in log and "parser processes are NOT confined" in log
        pid = site.running["dmarctap-milter"].pid
        for p in (pid, *children(pid)):
            assert "Seccomp:\t0" in status(p)


def test_processes_are_renewed_and_nothing_is_lost():
    with Site(extra="parser: { recycle = 3; processes = 1; };") as site:
        site.start("dmarctap-milter")
        seen = set()
        for i in range(10):
            assert deliver(site, f"r-{i}") == "d"
            seen.update(children(site.running["dmarctap-milter"].pid))
        assert len(seen) == 4
        assert len(site.incoming()) == 10
        assert "replaced" not in site.log("dmarctap-milter")
