# SPDX-License-Identifier: Apache-2.0
"""The milter under a real Postfix: every fate, and what the mailbox and the store hold afterwards."""
import gzip
import re
import smtplib
import time

import pytest
from taplib import REPORTS, SENDER, Site, mail, report_mail, report_xml, wait_for

OTHER = "someone@dmarctap.test"


@pytest.fixture(scope="module")
def site():
    with Site() as s:
        s.start("dmarctapd")
        s.start("dmarctap-milter")
        s.start_postfix()
        yield s


def delivered(site, marker, count=1):
    """The messages in the mailbox that contain the marker; waits for count of them."""
    def there():
        """the mail is in the mailbox"""
        found = [m for m in site.mailbox() if marker.encode() in m]
        return found if len(found) >= count else None
    return wait_for(there)


def as_sent(raw):
    """What the mail server added at the top taken off, line ends as in SMTP."""
    raw = raw.replace(b"\n", b"\r\n")
    while re.match(rb"(Return-Path|X-Original-To|Delivered-To|Received):", raw):
        raw = re.sub(rb"\A[^\r]*\r\n(?:[ \t][^\r]*\r\n)*", b"", raw, count=1)
    return raw


def test_report_is_consumed_and_stored(site):
    assert site.send(report_mail("consumed-1", records=3))[0] == 250
    wait_for(lambda: "consumed-1" in site.report_ids())
    seq, records, messages = site.query("SELECT seq, records, messages FROM report WHERE report_id = 'consumed-1'")[0]
    assert (records, messages) == (3, 6)
    rows = site.query("SELECT ordinal, source_ip, count, dkim_aligned, spf_aligned FROM record WHERE seq = ? ORDER BY ordinal", seq)
    assert rows == [(0, "192.0.2.1", 1, 1, 0), (1, "192.0.2.2", 2, 1, 0), (2, "192.0.2.3", 3, 1, 0)]
    door, sender, recipients, client = site.query(
        "SELECT door, sender, recipients, client FROM message WHERE id = (SELECT message_id FROM report WHERE seq = ?)", seq)[0]
    assert (door, sender, recipients) == ("milter", SENDER, REPORTS) and "127.0.0.1" in client
    payload = site.query("SELECT bytes FROM payload WHERE message_id = (SELECT message_id FROM report WHERE seq = ?)", seq)[0][0]
    assert b"consumed-1" in gzip.decompress(payload)
    headers = site.query("SELECT headers FROM message WHERE id = (SELECT message_id FROM report WHERE seq = ?)", seq)[0][0]
    assert b"Subject: Report Domain: example.com" in headers and b"\r\n\r\n" not in headers[:-4]
    assert not any(b"consumed-1" in m for m in site.mailbox())


def test_other_mail_is_untouched_byte_for_byte(site):
    # Odd but legal: folded headers, tabs, 8-bit text, trailing blanks, a dot line, a long line, bare spaces.
    body = "tab\there\r\n. dot\r\n.\x20two  \r\n" + "x" * 900 + "\r\nümlaut ✓\r\n\r\n\r\nend"
    for i in range(20):
        marker = f"untouched-{i}-{time.time_ns()}"
        sent = (f"From: <{SENDER}>\r\nTo: <{OTHER}>\r\nX-Odd:   three blanks\r\nX-Empty:\r\nSubject: {marker}\r\n folded\r\n\tagain\r\n"
                f"X-Dmarctap: fate=report; forged by the sender\r\nMessage-ID: <{marker}@x.example>\r\n"
                f"Date: Tue, 02 Jun 2026 10:00:00 +0000\r\n\r\n{body}\r\n").encode()
        assert site.send(sent, to=OTHER)[0] == 250
        got = delivered(site, marker)
        assert as_sent(got[0]) == sent


def test_mixed_recipients_lose_only_the_report_address(site):
    assert site.send(report_mail("mixed-1"), to=[REPORTS, OTHER])[0] == 250
    wait_for(lambda: "mixed-1" in site.report_ids())
    got = delivered(site, "mixed-1")
    time.sleep(0.3)
    assert len([m for m in site.mailbox() if b"mixed-1" in m]) == 1
    assert f"Delivered-To: {OTHER}".encode() in got[0] and f"Delivered-To: {REPORTS}".encode() not in got[0]


def test_what_is_not_a_report_goes_to_the_mailbox(site):
    before = len(site.quarantine())
    assert site.send(mail("not-a-report-1"))[0] == 250
    delivered(site, "not-a-report-1")
    assert len(site.quarantine()) == before and not site.incoming()


@pytest.mark.parametrize("name,packed", [
    ("broken-gzip", b"\x1f\x8b\x08\x00garbage that is no deflate stream"),
    ("broken-xml", gzip.compress(b"<feedback><report_metadata><org_name>x</org_name>")),
    ("no-period", gzip.compress(report_xml("x").replace("<begin>1780358400</begin>", "").encode())),
])
def test_broken_report_goes_to_mailbox_and_quarantine(site, name, packed):
    before = site.quarantine()
    assert site.send(report_mail(name, packed=packed))[0] == 250
    delivered(site, name)
    wait_for(lambda: len(site.quarantine()) == len(before) + 1)
    wait_for(site.drained)


def test_same_report_twice_is_stored_once(site):
    for _ in range(2):
        assert site.send(report_mail("twice-1"))[0] == 250
        wait_for(site.drained)
    assert site.query("SELECT duplicates FROM report WHERE report_id = 'twice-1'") == [(1,)]


def test_same_uid_with_other_content_is_a_conflict(site):
    assert site.send(report_mail("conflict-1", records=1))[0] == 250
    wait_for(lambda: "conflict-1" in site.report_ids())
    before = site.quarantine()
    assert site.send(report_mail("conflict-1", records=2))[0] == 250
    wait_for(lambda: len(site.quarantine()) == len(before) + 1)
    assert site.query("SELECT records FROM report WHERE report_id = 'conflict-1'") == [(1,)]


def test_extension_and_case_of_the_address(site):
    assert site.send(report_mail("ext-1"), to="Reports+2026@DMARCTAP.test")[0] == 250
    wait_for(lambda: "ext-1" in site.report_ids())


def test_worker_stopped_reports_wait_in_the_spool(site):
    site.kill("dmarctapd", 15)
    for i in range(5):
        assert site.send(report_mail(f"waiting-{i}"))[0] == 250
    assert len(site.incoming()) == 5
    site.start("dmarctapd")
    wait_for(site.drained)
    assert {f"waiting-{i}" for i in range(5)} <= set(site.report_ids())


def test_milter_stopped_gives_4xx(site):
    site.kill("dmarctap-milter", 15)
    with pytest.raises((smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected, AssertionError)) as e:
        code, text = site.send(report_mail("while-down"))
        assert 400 <= code < 500, text
        raise smtplib.SMTPResponseException(code, text)
    assert 400 <= getattr(e.value, "smtp_code", 400) < 500
    site.start("dmarctap-milter")
    assert site.send(report_mail("up-again"))[0] == 250


def test_copy_mode_marks_the_mail():
    with Site(reports="consume = false;") as s:
        s.start("dmarctapd")
        s.start("dmarctap-milter")
        s.start_postfix()
        forged = "X-Dmarctap: report; forged-one\r\nX-dmarctap: forged-two\r\n"
        assert s.send(report_mail("copy-1", headers=forged))[0] == 250
        wait_for(lambda: "copy-1" in s.report_ids())
        got = delivered(s, "copy-1")[0].split(b"\n\n")[0]
        lines = [line for line in got.split(b"\n") if line.lower().startswith(b"x-dmarctap:")]
        assert len(lines) == 1 and b"forged" not in lines[0], got


def test_full_spool_refuses_only_the_report_address():
    with Site(spool="max_files = 3;") as s:
        s.start("dmarctap-milter")
        s.start_postfix()
        for i in range(3):
            assert s.send(report_mail(f"full-{i}"))[0] == 250
        def refused():
            """the report address is refused with 452"""
            code, _ = s.send(report_mail("one-too-many"))
            return code == 452
        wait_for(refused)
        with pytest.raises(smtplib.SMTPRecipientsRefused) as e:
            s.send(mail("beside-the-full-spool"), to=[REPORTS, OTHER])
        assert e.value.recipients[REPORTS][0] == 452
        delivered(s, "beside-the-full-spool")
        s.start("dmarctapd")
        wait_for(s.drained)
        wait_for(lambda: s.send(report_mail("room-again"))[0] == 250)
        wait_for(lambda: len(s.report_ids()) >= 4)
