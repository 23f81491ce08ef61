# SPDX-License-Identifier: Apache-2.0
"""Odd bytes through the milter, from Sendmail and from Postfix: what the client sent stands in the spool, or what docs/sendmail.md and
docs/postfix.md say became of it; and the time limits of Sendmail's T=, as F= wants them."""
import signal
import socket
import time

import pytest
from miltermta import SpoolFile
from mtalib import MtaSite
from taplib import PATIENCE, REPORTS, SENDER, report_mail, wait_for


@pytest.fixture(scope="module", params=["postfix", "sendmail"])
def site(request):
    with MtaSite() as s:
        s.start("dmarctap-milter")
        if request.param == "postfix":
            s.start_postfix()
        else:
            s.start_sendmail()
        yield s


def send_raw(s, raw):
    """Exactly these bytes, with no help of a library but the dot at the end. Gives the final reply."""
    with socket.create_connection(("127.0.0.1", s.port), 60 * PATIENCE) as c:
        f = c.makefile("rb")

        def reply():
            while True:
                line = f.readline()
                if line[3:4] != b"-":
                    return line.decode("ascii", "replace").strip()
        assert reply().startswith("220")
        for line in ("EHLO receiver.example", f"MAIL FROM:<{SENDER}> BODY=8BITMIME", f"RCPT TO:<{REPORTS}>", "DATA"):
            c.sendall(line.encode() + b"\r\n")
            got = reply()
        assert got.startswith("354"), got
        c.sendall(raw + b"\r\n.\r\n")
        return reply()


def spooled(s, name, tail):
    """The body in the spool behind the report that makes the milter keep it, and the headers."""
    raw = report_mail(name, headers="X-Odd: \xe4\xf6 end\r\n").replace("\xe4\xf6".encode(), b"\xe4\xf6") + b"\r\n" + tail
    answer = send_raw(s, raw)
    wait_for(lambda: not [n for n in s.incoming() if n.startswith(".")])  # of a message that was broken off nothing stays
    files = sorted(s.incoming())
    found = [f for f in (SpoolFile(f"{s.spool}/incoming/milter/{n}") for n in files) if f"<{name}@".encode() in f.message]
    if not answer.startswith("250"):
        assert not found
        return answer, None, raw
    assert len(found) == 1
    head, body = found[0].message.split(b"\r\n\r\n", 1)
    assert b"X-Odd: \xe4\xf6 end" in head
    return answer, body, raw.split(b"\r\n\r\n", 1)[1] + b"\r\n"


@pytest.mark.parametrize("name, tail", [
    ("eight", b"gr\xfc\xdfe \xff\xfe\x80 \xc3\xbc"), ("long-line", b"x" * 900 + b"\r\nshort"), ("blanks", b"a  \t \r\n \r\n\t\r\nb"), ("empty-lines", b"\r\n\r\n\r\nx"),
    ("very-long-line", b"y" * 5000 + b"\r\nshort"), ("lf", b"one\ntwo\nthree"), ("nul", b"a\0b\0\0c")],
    ids=lambda v: v if isinstance(v, str) else "")
def test_body(site, name, tail):
    """All stands as it was sent, but for a bare LF: Postfix makes CR LF of it before any filter sees it, Sendmail refuses the mail."""
    answer, body, sent = spooled(site, name, tail)
    if name == "lf" and site.sendmail:
        assert answer.startswith("421 4.5.0 Bare linefeed") and body is None
        return
    assert answer.startswith("250")
    assert body == (sent.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if name == "lf" else sent)


@pytest.mark.parametrize("flag, code", [("T", "451"), ("R", "554")])
def test_time_limits_of_sendmail(flag, code):
    """R: no answer while the session goes on; E: none to the end of a message. The milter stands still, its socket takes connections."""
    with MtaSite() as s:
        s.start("dmarctap-milter")
        milter = s.running["dmarctap-milter"]
        s.start_sendmail(flags=f", F={flag}", timeouts=", T=C:20s;S:20s;R:1s;E:2s")
        try:
            began = time.monotonic()
            milter.send_signal(signal.SIGSTOP)
            assert s.send(report_mail("limit-r"))[0] == int(code)
            assert 1 <= time.monotonic() - began < 15 * PATIENCE
            milter.send_signal(signal.SIGCONT)
            with socket.create_connection(("127.0.0.1", s.port), 60 * PATIENCE) as c:
                f = c.makefile("rb")
                f.readline()
                for line in ("HELO receiver.example", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{REPORTS}>", "DATA"):
                    c.sendall(line.encode() + b"\r\n")
                    got = f.readline()
                assert got.startswith(b"354"), got
                c.sendall(report_mail("limit-e"))
                # Sendmail shows a message to its filters when it has all of it.
                milter.send_signal(signal.SIGSTOP)
                began = time.monotonic()
                c.sendall(b".\r\n")
                assert f.readline().decode().startswith(code)
                assert 1 <= time.monotonic() - began < 15 * PATIENCE
        finally:
            milter.send_signal(signal.SIGCONT)
        assert s.mailbox() == []

        def well():
            """the filter is asked again"""
            return s.send(report_mail("limit-after"))[0] == 250
        wait_for(well)
