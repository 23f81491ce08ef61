# SPDX-License-Identifier: Apache-2.0
"""The output syslog against a real rsyslog: every transport, what its parser makes of the messages, a server that goes and comes back."""
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import pytest
import spoolfile
from taplib import PATIENCE, ROOT, Site, report_mail, tls_mail, wait_for

sys.path.insert(0, f"{ROOT}/tests")
from servers.rsyslog import Rsyslog  # noqa: E402

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None


@pytest.fixture
def server():
    directory = tempfile.mkdtemp(prefix="dmarctap-rsyslog-")
    s = Rsyslog(directory)
    try:
        s.start()
        yield s
    finally:
        s.kill()
        shutil.rmtree(directory, ignore_errors=True)


def where(server, transport):
    return {"udp": f'server = "127.0.0.1:{server.udp}";', "tcp": f'server = "127.0.0.1:{server.tcp}";',
            "tls": f'server = "localhost:{server.tls}"; ca = "{server.dir}/ca.pem";', "local": f'socket = "{server.local}";'}[transport]


def sink(transport, more):
    return f'{{ type = "syslog"; name = "log"; transport = "{transport}"; {more} }}'


def deliver(site, *mails):
    for raw in mails:
        spoolfile.put(site.spool, raw, owner=OWNER)


def outbox(site):
    p = subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "outbox", "list", "log", "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(p.stdout)[0]


def settled(site, n):
    """everything is sent"""
    # The reports first: a lag read before the last of them was stored says nothing of it.
    if len(site.report_ids()) != n:
        return False
    x = outbox(site)
    return x["cursor"]["seq"] > 0 and x["lag"] == 0


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "local"])
def test_field_by_field(server, transport):
    more = where(server, transport) + 'facility = "mail"; severity = "notice"; hostname = "mx.example"; app_name = "tap";'
    if transport == "local":
        os.chmod(server.local, 0o666)
    with Site(outputs=sink(transport, more) + ', { type = "exec"; name = "copy"; program = "/usr/bin/tee"; arguments = [ "-a", "STORE" ]; }') as site:
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("STORE", f"{site.dir}/store/copy"))
        site.start("dmarctapd")
        deliver(site, report_mail("r1", records=30, org="Ünïcode \"Org\""), tls_mail("t1"))
        wait_for(lambda: settled(site, 2), 20)
        wait_for(lambda: len(server.messages()) == 32)

        def copies():
            with open(f"{site.dir}/store/copy", encoding="utf-8") as f:
                return [json.loads(line) for line in f.read().split("\n")[:-1]]
        wait_for(lambda: os.path.exists(f"{site.dir}/store/copy") and len(copies()) == 32)
        copies = copies()
    got = server.messages()
    for m in got:
        assert (m["pri"], m["ver"], m["host"], m["app"], m["procid"]) == ("21", "1", "mx.example", "tap", "-"), m
        assert m["msgid"] == json.loads(m["msg"])["kind"]
        assert m["ts"].startswith("2026-06-0")

    def order(d):
        return d["report_uid"], d["record_index"]
    assert sorted((json.loads(m["msg"]) for m in got), key=order) == sorted(copies, key=order)


def test_wrong_ca_is_refused_and_nothing_lost(server):
    with Site(outputs=sink("tls", f'server = "localhost:{server.tls}"; ca = "{server.dir}/other-ca.pem";')) as site:
        site.start("dmarctapd")
        deliver(site, report_mail("r", records=3))
        wait_for(lambda: "certificate" in site.log("dmarctapd"), 20)
        assert outbox(site)["lag"] == 3 and server.messages() == []


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_nobody_there_then_killed_and_restarted(server, transport):
    server.kill()
    with Site(outputs=sink(transport, where(server, transport))) as site:
        site.start("dmarctapd")
        deliver(site, report_mail("r0", records=40))
        wait_for(lambda: " log: " in site.log("dmarctapd"), 20)
        assert outbox(site)["lag"] == 40
        server.start()
        wait_for(lambda: settled(site, 1), 20)
        wait_for(lambda: len(server.messages()) == 40)
        server.kill()
        server.start()
        deliver(site, report_mail("r1", records=40))
        wait_for(lambda: settled(site, 2), 20)
        wait_for(lambda: len(server.messages()) == 80)
    assert len({(d["report_id"], d["record_index"]) for d in (json.loads(m["msg"]) for m in server.messages())}) == 80


def test_what_is_too_long_is_parked(server):
    with Site(outputs=sink("tcp", where(server, "tcp") + "max_message = 480;")) as site:
        site.start("dmarctapd")
        deliver(site, report_mail("r", records=2))
        wait_for(lambda: outbox(site)["exceptions"] == 2, 20)
        assert "max_message" in outbox(site)["items"][0]["reason"]
    assert server.messages() == []


def test_a_peer_that_reads_nothing_is_given_up():
    held, stop = [], threading.Event()

    def accept(listener):
        listener.settimeout(0.2)
        while not stop.is_set():
            try:
                held.append(listener.accept()[0])
            except TimeoutError:
                pass
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        t = threading.Thread(target=accept, args=(listener,))
        t.start()
        try:
            with Site(outputs=sink("tcp", f'server = "127.0.0.1:{listener.getsockname()[1]}"; timeout = "{PATIENCE}s";')) as site:
                site.start("dmarctapd")
                deliver(site, report_mail("r", records=2000))
                wait_for(lambda: " log: " in site.log("dmarctapd"), 30)
                assert outbox(site)["lag"] == 2000 and outbox(site)["exceptions"] == 0
        finally:
            stop.set()
            t.join()
            for s in held:
                s.close()
