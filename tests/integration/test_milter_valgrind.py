# SPDX-License-Identifier: Apache-2.0
"""The milter and the LMTP door under valgrind, through every way a message goes and every way a session breaks off: no errors, and nothing
that is lost when they have ended."""
import shutil
import smtplib
import subprocess

import pytest
from miltermta import Mta
from taplib import BIN, PATIENCE, REPORTS, SENDER, Site, can_connect, mail, report_mail, wait_for

OURS, OTHER = f"<{REPORTS}>", "<someone@elsewhere.example>"
pytestmark = [pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed"),
              pytest.mark.plain_build("sanitizers and valgrind exclude each other")]


class Watched:
    """A program of a Site under valgrind. The parser processes that it starts are not watched; they have tests of their own."""

    def __init__(self, name, socket):
        # The filter of system calls knows nothing of valgrind's own.
        self.site = Site(extra=f'sandbox: {{ enabled = false; }}; parser: {{ program = "{BIN}/dmarctap-parse"; processes = 1; }};')
        self.lmtp_socket = f"{self.site.dir}/run/lmtp.sock"
        with open(self.site.config, "a", encoding="utf-8") as f:
            f.write(f'lmtp: {{ listen = [ "unix:{self.lmtp_socket}" ]; socket_mode = "0666"; user = "nobody"; }};\n')
        self.report = f"{self.site.dir}/run/valgrind"
        with open(f"{self.site.dir}/{name}.log", "ab") as log:
            self.process = subprocess.Popen(["valgrind", "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite",
                                             "--error-exitcode=99", f"--log-file={self.report}", f"{self.site.bin}/{name}", "-c",
                                             self.site.config], stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: can_connect(getattr(self.site, socket, None) or self.lmtp_socket), 60)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        status = self.process.wait(60 * PATIENCE)
        with open(self.report, encoding="utf-8") as f:
            text = f.read()
        self.site.close()
        if not kind:
            assert status == 0 and "ERROR SUMMARY: 0 errors" in text, f"{status} {text[-6000:]}"
            assert "definitely lost: 0 bytes" in text or "no leaks are possible" in text, text[-6000:]


def test_milter():
    with Watched("dmarctap-milter", "milter_socket") as w:
        path = w.site.milter_socket
        forged = report_mail("v-forged", headers="X-Dmarctap: report\r\nX-Folded: one\r\n\ttwo\r\n")
        for version, actions, steps in ((6, 0x1FF, 0x1FFFFF), (6, 0x1F7, 0x1FFBFF), (2, 0x3F, 0x7F)):
            with Mta(path, version, actions, steps) as m:
                m.connect()
                assert m.deliver(OURS, forged) == "d"
                assert m.deliver([OURS, OTHER], forged) == "c"
                assert m.deliver(OURS, mail()) == "c"
                assert m.deliver(OURS, report_mail("v-broken", packed=b"\x1f\x8bnonsense")) == "c"
                assert m.deliver(OTHER, mail()) == "a"
                assert m.envelope([f"<reports+{i}@dmarctap.test>" for i in range(20)])[:20] == "c" * 20
                m.headers(b"Subject: aborted")
                m.send(b"A")
        # Gone in every state.
        for n in range(6):
            m = Mta(path)
            for step in (m.connect, lambda m=m: m.event(b"M", b"<>\0"), lambda m=m: m.event(b"R", OURS.encode() + b"\0"),
                         lambda m=m: m.event(b"T"), lambda m=m: m.headers(b"Subject: x"), lambda m=m: m.event(b"B", b"x"))[:n]:
                step()
            m.s.close()
        wait_for(lambda: len([f for f in w.site.incoming() if not f.startswith(".")]) >= 9)


def test_lmtp():
    with Watched("dmarctap-lmtp", "") as w:
        with smtplib.LMTP(w.lmtp_socket, timeout=60 * PATIENCE) as c:
            for raw in (report_mail("v-lmtp"), mail(), report_mail("v-broken", packed=b"\x1f\x8bnonsense")):
                assert c.sendmail(SENDER, [REPORTS], raw) == {}
            c.mail(SENDER)
            assert c.rcpt("someone@elsewhere.example")[0] == 550
            assert c.docmd("NONSENSE")[0] == 500
            c.rset()
        for said in (b"", b"LHLO x\r\nMAIL FROM:<a@b.example>\r\n",
                     f"LHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<{REPORTS}>\r\nDATA\r\nSubject: cut\r\n".encode()):
            c = smtplib.LMTP(w.lmtp_socket, timeout=60 * PATIENCE)
            c.sock.sendall(said)
            c.close()
