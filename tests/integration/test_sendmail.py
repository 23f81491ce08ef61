# SPDX-License-Identifier: Apache-2.0
"""The milter and the other doors under a real Sendmail 8.17: what it does otherwise than Postfix."""
import signal
import smtplib
import socket
import subprocess

import pytest
from miltermta import SpoolFile
from mtalib import FieldFilter, MtaSite
from taplib import PATIENCE, REPORTS, free_port, mail, report_mail, wait_for

OTHER = "someone@dmarctap.test"


@pytest.fixture(scope="module")
def site():
    with MtaSite() as s:
        s.start("dmarctapd")
        s.start("dmarctap-milter")
        s.start_sendmail()
        yield s


def delivered(s, marker, count=1):
    def there():
        """the mail is in the mailbox"""
        got = [m for m in s.mailbox() if marker.encode() in m]
        return got if len(got) >= count else None
    return wait_for(there, 20)


def stored(s, report_id):
    wait_for(lambda: report_id in s.report_ids(), 20)


def test_report_is_consumed_and_stored(site):
    assert site.send(report_mail("sm-1"))[0] == 250
    stored(site, "sm-1")
    row = site.query("SELECT m.door, m.client, m.queue_id, m.recipients FROM message m ORDER BY m.id DESC LIMIT 1")[0]
    assert row[0] == "milter" and row[1] == "127.0.0.1" and row[2] and row[3].strip() == REPORTS
    assert not [m for m in site.mailbox() if b"sm-1" in m] and not site.queued()


def test_the_spool_has_the_bytes_that_were_sent(site):
    """Leading blanks of fields and folds: the copy is what the client sent, below the fields that Sendmail adds."""
    site.kill("dmarctapd", signal.SIGTERM)
    odd = "X-None:no blank\r\nX-Two:  two blanks\r\nX-Fold: a\r\n\tb\r\n   c\r\n"
    raw = report_mail("sm-bytes", headers=odd)
    assert site.send(raw)[0] == 250
    assert len(site.incoming()) == 1
    got = SpoolFile(f"{site.spool}/incoming/milter/{site.incoming()[0]}")
    for line in (b"X-None:no blank\r\n", b"X-Two:  two blanks\r\n", b"X-Fold: a\r\n\tb\r\n   c\r\n"):
        assert line in got.message, got.message[:1500]
    assert got.message.split(b"\r\n\r\n", 1)[1] == raw.split(b"\r\n\r\n", 1)[1]
    site.start("dmarctapd")
    stored(site, "sm-bytes")


def test_mixed_recipients_lose_only_the_report_address(site):
    assert site.send(report_mail("sm-mixed"), to=[OTHER, REPORTS])[0] == 250
    stored(site, "sm-mixed")
    delivered(site, "sm-mixed")
    assert len([m for m in site.mailbox() if b"sm-mixed" in m]) == 1


def test_other_mail_and_what_is_no_report_pass(site):
    assert site.send(mail("sm-other", body="gr\u00fc\u00dfe\r\n", to=OTHER).replace(b"\xc3", b"\xe4"), to=OTHER)[0] == 250
    assert site.send(mail("sm-no-report"))[0] == 250
    assert b"\xe4" in delivered(site, "sm-other")[0]
    assert b"X-Dmarctap" not in delivered(site, "sm-no-report")[0]


def test_submission_passes_the_milter_and_the_direct_way_does_not(site):
    site.sendmail.submit(report_mail("sm-submitted").replace(b"\r\n", b"\n"), REPORTS)
    stored(site, "sm-submitted")
    site.sendmail.submit_direct(report_mail("sm-direct").replace(b"\r\n", b"\n"), REPORTS)
    delivered(site, "sm-direct")
    assert "sm-direct" not in site.report_ids()


def test_milter_restarts_between_messages_of_one_connection(site):
    with smtplib.SMTP("127.0.0.1", site.port, timeout=60 * PATIENCE) as c:
        c.sendmail("a@receiver.example", [REPORTS], report_mail("sm-before"))
        site.kill("dmarctap-milter", signal.SIGTERM)
        site.start("dmarctap-milter")
        try:
            c.sendmail("a@receiver.example", [REPORTS], report_mail("sm-after"))
        except smtplib.SMTPResponseException as e:
            assert 400 <= e.smtp_code < 500
    stored(site, "sm-before")
    if "sm-after" not in site.report_ids():
        assert site.send(report_mail("sm-after"))[0] == 250
    stored(site, "sm-after")


def test_mta_restarts(site):
    site.sendmail.stop()
    site.sendmail.start()
    assert site.send(report_mail("sm-restarted"))[0] == 250
    stored(site, "sm-restarted")


def test_pipelined(site):
    """Everything up to DATA in one write, two messages behind each other."""
    with socket.create_connection(("127.0.0.1", site.port), 60 * PATIENCE) as c:
        f = c.makefile("rb")
        assert f.readline().startswith(b"220")
        c.sendall(b"EHLO receiver.example\r\n")
        while f.readline()[3:4] == b"-":
            pass
        for name in ("sm-pipe-1", "sm-pipe-2"):
            c.sendall(f"MAIL FROM:<a@receiver.example>\r\nRCPT TO:<{REPORTS}>\r\nDATA\r\n".encode())
            assert [f.readline()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
            c.sendall(report_mail(name) + b".\r\n")
            assert f.readline().startswith(b"250")
    stored(site, "sm-pipe-1")
    stored(site, "sm-pipe-2")


@pytest.mark.parametrize("flags, code", [(", F=T", 451), (", F=R", 554), ("", 250)])
def test_inet_socket_and_what_happens_without_the_milter(flags, code):
    kind, host, port = "inet", "127.0.0.1", free_port()
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
            s.start_sendmail(flags=flags, socket=f"{kind}:{port}@{host}")
            assert s.send(report_mail("kind"))[0] == 250
            stored(s, "kind")
        finally:
            milter.terminate()
            milter.wait(60)
        got = s.send(report_mail("without"))[0]
        assert got == code
        if code == 250:
            delivered(s, "without")


@pytest.mark.parametrize("server", ["sendmail", "postfix"])
def test_filters_before_ours_are_seen_and_those_behind_are_not(server):
    field = "mx.dmarctap.test; dkim=pass header.d=receiver.example; dmarc=pass header.from=receiver.example"
    for before in (True, False):
        with MtaSite(extra='trust: { authserv_ids = [ "mx.dmarctap.test" ]; };') as s:
            s.start("dmarctapd")
            s.start("dmarctap-milter")
            path = f"{s.dir}/run/field.sock"
            with_field = FieldFilter(path, "Authentication-Results", field)
            try:
                if server == "sendmail":
                    line = f"INPUT_MAIL_FILTER(`field', `S=unix:{path}, F=T')dnl\n"
                    s.start_sendmail(**({"before": line} if before else {"mc": line}))
                else:
                    both = [f"unix:{path}", f"unix:{s.milter_socket}"]
                    s.start_postfix("smtpd_milters = " + ", ".join(both if before else both[::-1]))
                assert s.send(report_mail("order"))[0] == 250
                stored(s, "order")
                assert s.query("SELECT trusted FROM report")[0][0] == int(before)
            finally:
                with_field.close()
