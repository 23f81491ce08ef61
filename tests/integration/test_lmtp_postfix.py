# SPDX-License-Identifier: Apache-2.0
"""dmarctap-lmtp behind a real Postfix: transport_maps, many recipients, a full spool, and a door that is killed."""
import concurrent.futures
import re
import subprocess
import threading

import pytest
from taplib import ROOT, mail, report_mail, wait_for
from test_lmtp import Door

OTHER = "someone@dmarctap.test"


@pytest.fixture()
def door():
    with Door(reports='extension_delimiter = "+";', spool="max_files = 60;") as d:
        d.start()
        with open(f"{d.site.dir}/transport", "w", encoding="utf-8") as f:
            f.write(f"/^reports(\\+.*)?@/ lmtp:unix:{d.socket}\n")
        d.site.start_postfix("smtpd_milters =", f"transport_maps = regexp:{d.site.dir}/transport", "minimal_backoff_time = 1s",
                             "maximal_backoff_time = 1s", "queue_run_delay = 1s", "lmtp_destination_concurrency_limit = 10",
                             "transport_destination_rate_delay = 0s", "lmtp_destination_concurrency_failed_cohort_limit = 0")
        yield d


def postfix(door, *command):
    return subprocess.run([f"{ROOT}/tools/private-postfix", "run", f"{door.site.dir}/postfix", *command],
                          stdout=subprocess.PIPE, check=False).stdout.decode()


def flush(door):
    postfix(door, "postqueue", "-f")


def maillog(door):
    with open(f"{door.site.dir}/postfix/log/maillog", encoding="utf-8") as f:
        return f.read()


def source(door, count, sessions=5):
    """Reports that differ in nothing but their id, from several clients at once."""
    with concurrent.futures.ThreadPoolExecutor(sessions) as pool:
        return list(pool.map(lambda i: door.site.send(report_mail(f"many-{i}"))[0], range(count)))


def test_only_reports_go_to_the_door_and_every_recipient_is_answered(door):
    door.site.start("dmarctapd")
    to = [f"reports+{i}@dmarctap.test" for i in range(60)] + [OTHER]
    assert door.site.send(report_mail("to-many", records=2), to)[0] == 250
    wait_for(lambda: "to-many" in door.site.report_ids())
    wait_for(lambda: len(door.site.mailbox()) == 1)

    def answered():
        """every recipient stands in the log as sent"""
        return len(re.findall(r"to=<reports\+\d+@dmarctap\.test>.*status=sent \(250 2\.0\.0 <reports\+\d+@", maillog(door))) == 60
    wait_for(answered)

    def all_kept():
        """each recipient of the deliveries, of which Postfix makes several, is in the store"""
        recipients = "".join(r[0] for r in door.site.query("SELECT recipients FROM message"))
        return all(f"reports+{i}@dmarctap.test" in recipients for i in range(60))
    wait_for(all_kept)
    assert door.site.send(mail("no report"))[0] == 250
    wait_for(lambda: len(door.site.quarantine()) == 1)
    assert len(door.site.mailbox()) == 1


def test_a_full_spool_defers_and_what_was_deferred_comes(door):
    assert set(source(door, 90)) == {250}

    def full():
        """Postfix was told that there is no space"""
        return "452 4.3.1" in maillog(door)
    wait_for(full, 20)
    assert len(door.kept()) <= 60 + 10 and "status=bounced" not in maillog(door)
    door.site.start("dmarctapd")

    def all_there():
        """all 90 reports are stored"""
        flush(door)
        return len(door.site.report_ids()) == 90
    wait_for(all_there, 30)
    assert len(set(door.site.report_ids())) == 90


def test_a_door_that_is_killed_again_and_again_loses_nothing(door):
    door.site.start("dmarctapd")
    codes = []
    sender = threading.Thread(target=lambda: codes.extend(source(door, 150)))
    sender.start()
    for n in range(5):
        stored = len(door.site.report_ids())

        def some_more():
            """deliveries go on"""
            flush(door)
            return len(door.site.report_ids()) >= min(150, stored + 5)
        wait_for(some_more, 30)
        door.site.kill("dmarctap-lmtp")
        door.start()
    sender.join()
    assert set(codes) == {250}

    def all_there():
        """every report is stored"""
        flush(door)
        return len(set(door.site.report_ids())) == 150
    wait_for(all_there, 40)
    assert len(door.site.report_ids()) == 150
    assert "status=bounced" not in maillog(door)
    wait_for(lambda: not door.site.incoming())
