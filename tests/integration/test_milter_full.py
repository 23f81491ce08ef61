# SPDX-License-Identifier: Apache-2.0
"""A full spool behind Postfix and Sendmail: at each limit the report address is told 452 at RCPT, everybody else gets their mail, and intake
goes on by itself once there is room."""
import os
import shutil
import signal
import smtplib
import subprocess

import pytest
from mtalib import MtaSite
from taplib import PATIENCE, REPORTS, SENDER, mail, report_mail, wait_for

OTHER, THIRD = "someone@dmarctap.test", "third@dmarctap.test"
FILES, BYTES = 5, 1 << 20

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mail servers need root, and so does a small file system")


@pytest.fixture(scope="module", params=["postfix", "sendmail"])
def site(request):
    """All three limits within reach: 5 messages, 1 MiB, and a spool of 16 MiB of which 8 MiB stay free."""
    with MtaSite(spool=f'max_files = {FILES}; max_bytes = "1M"; min_free = "8M";') as s:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0750", "tmpfs", s.spool], check=True)
        try:
            shutil.chown(s.spool, "nobody")
            s.start("dmarctapd")
            s.start("dmarctap-milter")
            if request.param == "postfix":
                s.start_postfix()
            else:
                s.start_sendmail()
            s.kill("dmarctapd", signal.SIGTERM)
            yield s
        finally:
            for name in ("dmarctapd", "dmarctap-milter"):
                s.kill(name, signal.SIGTERM)
            subprocess.run(["umount", s.spool], check=True)


def padded(name, size=0):
    """A report with so many bytes behind it."""
    return report_mail(name) + b"\r\n" + (b"x" * 76 + b"\r\n") * (size // 78)


def recipients(s, raw, *to):
    """One mail; the replies to its recipients, and the code of the message (0: it came to none)."""
    with smtplib.SMTP("127.0.0.1", s.port, timeout=60 * PATIENCE) as c:
        c.ehlo("receiver.example")
        c.mail(SENDER)
        replies = [c.rcpt(r) for r in to]
        code = c.data(raw)[0] if any(r[0] < 300 for r in replies) else 0
        return [(r[0], r[1].decode()) for r in replies], code


def codes(s, raw, to):
    """The codes of one recipient and of the message."""
    replies, code = recipients(s, raw, to)
    return [replies[0][0], code]


def delivered(s, marker, count):
    def there():
        """the mail is in the mailboxes"""
        return len([m for m in s.mailbox() if marker.encode() in m]) >= count
    wait_for(there, 20)


def told_at_rcpt(s, name, why):
    """Full: our address hears 452 and nothing else suffers."""
    def full():
        """the limit is seen"""
        return codes(s, mail("probe"), REPORTS) == [452, 0]
    wait_for(full)
    waiting = sorted(s.incoming())
    replies, code = recipients(s, report_mail(name), REPORTS)
    assert replies[0][0] == 452 and replies[0][1].startswith("4.3.1") and "no space for reports" in replies[0][1] and code == 0
    replies, code = recipients(s, report_mail(f"{name}-mixed"), OTHER, REPORTS, THIRD)
    assert [r[0] for r in replies] == [250, 452, 250] and code == 250
    assert codes(s, mail(f"{name}-other", to=OTHER), OTHER) == [250, 250]
    delivered(s, f"{name}-mixed", 1 if s.sendmail else 2)  # our Sendmail keeps one copy for all recipients
    delivered(s, f"{name}-other", 1)
    assert sorted(s.incoming()) == waiting, "nothing came in, nothing was lost"
    assert why in s.log("dmarctap-milter")


def room_again(s, name):
    """Taken again, with nobody having touched the milter."""
    def taken():
        """the report address takes mail"""
        return codes(s, report_mail(name), REPORTS) == [250, 250]
    wait_for(taken, 20)


def drained_and_stored(s, names):
    """The worker comes back: the spool empties, what was taken is stored once, and there is room."""
    s.start("dmarctapd")
    wait_for(lambda: set(names) <= set(s.report_ids()), 20)
    wait_for(s.drained)
    room_again(s, f"{names[0]}-again")
    wait_for(lambda: f"{names[0]}-again" in s.report_ids(), 20)
    ids = s.report_ids()
    assert len(ids) == len(set(ids))
    s.kill("dmarctapd", signal.SIGTERM)


def test_max_files(site):
    names = [f"files-{i}" for i in range(FILES)]
    for name in names:
        assert codes(site, report_mail(name), REPORTS) == [250, 250]
    told_at_rcpt(site, "files-full", "spool.max_files reached")
    drained_and_stored(site, names)


def test_max_bytes(site):
    names = [f"bytes-{i}" for i in range(3)]
    for name in names:
        assert codes(site, padded(name, BYTES * 2 // 5), REPORTS) == [250, 250]
    told_at_rcpt(site, "bytes-full", "spool.max_bytes reached")
    drained_and_stored(site, names)


def test_min_free(site):
    """Somebody else fills the file system, and clears it."""
    with open(f"{site.spool}/filler", "wb") as f:
        f.write(b"x" * (9 << 20))
    told_at_rcpt(site, "free-full", "free space would fall under spool.min_free")
    os.unlink(f"{site.spool}/filler")
    room_again(site, "free-again")
    drained_and_stored(site, ["free-again"])
