# SPDX-License-Identifier: Apache-2.0
"""Sockets of IPv6: the milter's and the LMTP door's on ::1, by hand and under Postfix; a client with an IPv6 address. Sendmail
8.17 does not connect to milters over IPv6 (docs/sendmail.md)."""
import os
import re
import smtplib
import socket
import subprocess
import sys

import pytest
from miltermta import Mta
from mtalib import MtaSite
from taplib import PATIENCE, REPORTS, ROOT, SENDER, report_mail, wait_for

sys.path.insert(0, f"{ROOT}/tests")
from servers.base import free_port  # noqa: E402


def has_ipv6():
    try:
        return free_port(socket.AF_INET6) > 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


def listens(port):
    with socket.socket(socket.AF_INET6) as s:
        return s.connect_ex(("::1", port)) == 0


class Site6(MtaSite):
    """Milter and LMTP door on ::1."""

    def __init__(self):
        super().__init__()
        self.milter_port, self.lmtp_port = free_port(socket.AF_INET6), free_port(socket.AF_INET6)
        with open(self.config, encoding="utf-8") as f:
            text = f.read()
        text = text.replace(f'socket = "unix:{self.milter_socket}"', f'socket = "inet6:{self.milter_port}@[::1]"')
        text = re.sub(r"listen = \[ [^\]]* \]", f'listen = [ "unix:{self.lmtp_socket}", "[::1]:{self.lmtp_port}" ]', text)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)
        self.start("dmarctapd")
        with open(f"{self.dir}/dmarctap-milter.log", "ab") as log:
            self.running["dmarctap-milter"] = subprocess.Popen([f"{self.bin}/dmarctap-milter", "-c", self.config], stdout=log, stderr=log,
                                                               start_new_session=True)
        wait_for(lambda: listens(self.milter_port), 20)
        self.start_lmtp()
        wait_for(lambda: listens(self.lmtp_port), 20)


@pytest.fixture(scope="module")
def site():
    with Site6() as s:
        yield s


def stored(s, report_id):
    wait_for(lambda: report_id in s.report_ids(), 20)
    return s.query("SELECT m.door, m.client FROM message m JOIN report r ON r.message_id = m.id WHERE r.report_id = ?", report_id)[0]


def test_milter(site):
    with Mta(("::1", site.milter_port)) as m:
        m.event(b"C", b"mx.receiver.example\0" + b"6" + (4025).to_bytes(2, "big") + b"IPv6:2001:db8::25\0")
        assert m.deliver(f"<{REPORTS}>", report_mail("six-milter")) == "d"
    assert stored(site, "six-milter") == ("milter", "2001:db8::25")


def test_lmtp(site):
    with smtplib.LMTP("::1", site.lmtp_port, timeout=60 * PATIENCE) as c:
        assert c.sendmail(SENDER, [REPORTS], report_mail("six-lmtp")) == {}
    assert stored(site, "six-lmtp") == ("lmtp", "::1")


@pytest.mark.skipif(os.geteuid() != 0, reason="Postfix needs root")
def test_postfix(site):
    site.start_postfix("inet_protocols = all", f"smtpd_milters = inet:[::1]:{site.milter_port}",
                       f"transport_maps = inline:{{ {{ {REPORTS} = lmtp:inet:[::1]:{site.lmtp_port} }} }}")
    assert site.send(report_mail("six-postfix"))[0] == 250
    assert stored(site, "six-postfix")[0] == "milter"
    site.postfix("sendmail", "-i", "-f", SENDER, "--", REPORTS, data=report_mail("six-transport").replace(b"\r\n", b"\n"))
    assert stored(site, "six-transport")[0] == "lmtp"
    subprocess.run([f"{ROOT}/tools/private-postfix", "stop", f"{site.dir}/postfix"], check=True)
    site.postfix_port = 0
