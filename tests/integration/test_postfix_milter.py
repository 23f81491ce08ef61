# SPDX-License-Identifier: Apache-2.0
"""The milter under a real Postfix: kinds of sockets, what happens without it, copies, large and cut-off mail, restarts."""
import os
import signal
import smtplib
import socket
import subprocess
import time

import pytest
from mtalib import MtaSite
from taplib import PATIENCE, REPORTS, free_port, mail, report_mail, wait_for

OTHER = "someone@dmarctap.test"


@pytest.fixture(scope="module")
def site():
    with MtaSite() as s:
        s.start("dmarctapd")
        s.start("dmarctap-milter")
        s.start_postfix("always_bcc = archive@dmarctap.test", "in_flow_delay = 0")
        yield s


def in_mailbox(s, marker):
    return [m for m in s.mailbox() if marker.encode() in m]


def stored(s, report_id):
    wait_for(lambda: report_id in s.report_ids(), 20)


def rss_kib(pid, what="VmHWM"):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith(what)).split()[1])


@pytest.mark.parametrize("action, code", [("accept", 250), ("tempfail", 451), ("reject", 554), ("quarantine", 250)])
def test_inet_socket_and_what_happens_without_the_milter(action, code):
    host, port = "127.0.0.1", free_port()
    kind = "inet"
    with MtaSite() as s:
        s.start("dmarctapd")
        milter = subprocess.Popen([f"{s.bin}/dmarctap-milter", "-c", s.config, "-s", f"{kind}:{port}@{host}"],
                                  stderr=subprocess.DEVNULL)

        def listens():
            """the milter's port answers"""
            with socket.socket() as c:
                return c.connect_ex((host, port)) == 0
        try:
            wait_for(listens)
            s.start_postfix(f"smtpd_milters = inet:{host}:{port}", f"milter_default_action = {action}")
            assert s.send(report_mail("kind"))[0] == 250
            stored(s, "kind")
        finally:
            milter.terminate()
            milter.wait(60)
        assert s.send(report_mail("without"))[0] == code
        if action == "accept":
            wait_for(lambda: in_mailbox(s, "without"))
        elif action == "quarantine":
            wait_for(lambda: sum(len(f) for _, _, f in os.walk(f"{s.dir}/postfix/spool/hold")) == 1)


def test_bcc_copies_end_with_a_discarded_report_and_live_with_mixed_mail(site):
    """Postfix adds always_bcc behind the milter: DISCARD ends that copy too, taking recipients off does not."""
    assert site.send(report_mail("bcc-alone"))[0] == 250
    stored(site, "bcc-alone")
    assert site.send(report_mail("bcc-mixed"), to=[REPORTS, OTHER])[0] == 250
    stored(site, "bcc-mixed")
    wait_for(lambda: len(in_mailbox(site, "bcc-mixed")) == 2)
    assert site.send(mail("bcc-last"), to=REPORTS)[0] == 250
    wait_for(lambda: len(in_mailbox(site, "bcc-last")) == 2)
    assert in_mailbox(site, "bcc-alone") == []


def test_many_recipients(site):
    to = [f"reports+{i}@dmarctap.test" for i in range(60)] + [f"user{i}@dmarctap.test" for i in range(40)]
    assert site.send(report_mail("many"), to=to)[0] == 250
    stored(site, "many")
    wait_for(lambda: len(in_mailbox(site, "many")) == 41)  # and the copy
    assert len(site.query("SELECT recipients FROM message ORDER BY id DESC LIMIT 1")[0][0].split()) == 60


def test_huge_mail_is_never_whole_in_memory(site):
    pid = site.running["dmarctap-milter"].pid
    before = rss_kib(pid)
    body = ("x" * 76 + "\r\n") * (40 * 1024 * 1024 // 78)
    assert site.send(mail("huge", body=body))[0] == 250
    assert rss_kib(pid) - before < 8 * 1024 * PATIENCE
    wait_for(lambda: len(in_mailbox(site, "Subject: huge")) == 2, 30)
    assert site.incoming() == []


def test_cut_off_at_each_stage_leaves_nothing(site):
    raw = report_mail("cut")
    for said in (b"MAIL FROM:<a@receiver.example>\r\n", f"MAIL FROM:<a@receiver.example>\r\nRCPT TO:<{REPORTS}>\r\n".encode(),
                 f"MAIL FROM:<a@receiver.example>\r\nRCPT TO:<{REPORTS}>\r\nDATA\r\n".encode(),
                 f"MAIL FROM:<a@receiver.example>\r\nRCPT TO:<{REPORTS}>\r\nDATA\r\n".encode() + raw[:200],
                 f"MAIL FROM:<a@receiver.example>\r\nRCPT TO:<{REPORTS}>\r\nDATA\r\n".encode() + raw):
        with socket.create_connection(("127.0.0.1", site.port), 60 * PATIENCE) as c:
            assert c.recv(200).startswith(b"220")
            c.sendall(b"HELO receiver.example\r\n")
            c.recv(200)
            c.sendall(said)  # pipelined, and gone
    assert site.send(report_mail("after-cut"))[0] == 250
    stored(site, "after-cut")
    wait_for(lambda: site.incoming() == [])
    assert "cut" not in site.report_ids()


def test_milter_and_postfix_restart(site):
    with smtplib.SMTP("127.0.0.1", site.port, timeout=60 * PATIENCE) as c:
        c.sendmail("a@receiver.example", [REPORTS], report_mail("restart-1"))
        site.kill("dmarctap-milter", signal.SIGKILL)
        site.start("dmarctap-milter")
        with pytest.raises((smtplib.SMTPException, OSError)):  # this connection had its milter; tempfail
            c.sendmail("a@receiver.example", [REPORTS], report_mail("restart-2"))
    assert site.send(report_mail("restart-2"))[0] == 250
    site.postfix("postfix", "reload")
    time.sleep(0.5)
    assert site.send(report_mail("restart-3"))[0] == 250
    for name in ("restart-1", "restart-2", "restart-3"):
        stored(site, name)
