# SPDX-License-Identifier: Apache-2.0
"""Kills at random moments, and mails that attack the parser process, under a real Postfix: what was answered 2xx is in the store
exactly once [I1 I2 I3]. Sizes: TAP_CRASH_MESSAGES and TAP_CRASH_KILLS; the sanitizer runs use small ones."""
import collections
import os
import random
import smtplib
import subprocess
import threading
import time

from taplib import PATIENCE, REPORTS, SENDER, Site, report_mail, wait_for

SMALL = PATIENCE > 1
MESSAGES = int(os.environ.get("TAP_CRASH_MESSAGES", "200" if SMALL else "2000"))
KILLS = int(os.environ.get("TAP_CRASH_KILLS", "20" if SMALL else "200"))
SEED = int(os.environ.get("TAP_CRASH_SEED", "0")) or random.randrange(10**9)


class Senders:
    """Threads that mail numbered messages, one connection each, and note every answer."""

    def __init__(self, site, names, make, threads=6, retry=True):
        self.site, self.make, self.retry = site, make, retry
        self.todo = collections.deque(names)
        self.accepted, self.refused, self.silent = [], [], []
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def work(self):
        smtp = None
        while True:
            try:
                name = self.todo.popleft()
            except IndexError:
                break
            try:
                smtp = smtp or smtplib.SMTP("127.0.0.1", self.site.postfix_port, timeout=90 * PATIENCE)
                smtp.sendmail(SENDER, [REPORTS], self.make(name))
                self.accepted.append(name)
                continue
            except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as e:
                code = e.smtp_code if isinstance(e, smtplib.SMTPResponseException) else e.recipients[REPORTS][0]
                assert 400 <= code < 500, f"{name}: {code}"
                self.refused.append(name)
            except (smtplib.SMTPServerDisconnected, OSError):
                self.silent.append(name)
            if smtp:
                smtp.close()
            smtp = None
            if self.retry:
                self.todo.append(name)
                time.sleep(0.01)
        if smtp:
            smtp.close()

    def alive(self):
        return any(t.is_alive() for t in self.threads)

    def join(self):
        for t in self.threads:
            t.join(600)
        assert not self.alive(), "the senders hang"


def forgive(site):
    """A message that the worker had alone in hand at three kills is taken for their cause: it is kept, and good when it is tried again."""
    for name in site.quarantine():
        with open(f"{site.spool}/quarantine/{name[:-4]}.json", encoding="utf-8") as f:
            assert "the worker died" in f.read(), name
    if site.quarantine():
        print(f"{len(site.quarantine())} messages blamed for kills")
        subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "quarantine", "retry", "all"], check=True, stdout=subprocess.DEVNULL)
        wait_for(lambda: not site.quarantine() and site.drained(), 30)


def test_kill_at_random_moments():
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    kills = 0
    with Site() as site:
        site.start("dmarctapd")
        site.start("dmarctap-milter")
        site.start_postfix()
        names = [f"crash-{i}" for i in range(MESSAGES)]
        make = lambda n: report_mail(n, records=10)  # noqa: E731
        crew = [Senders(site, names, make)]
        while kills < KILLS:
            # The messages are done before the kills are: more of them, so that every kill hits a site at work.
            if len(crew[-1].todo) < 50:
                more = [f"crash-{len(names) + i}" for i in range(100)]
                names += more
                crew[-1].todo.extend(more)
            time.sleep(dice.uniform(0.0, 0.15))
            victims = dice.choice([["dmarctap-milter"], ["dmarctapd"], ["dmarctap-milter", "dmarctapd"]])
            for v in victims:
                site.kill(v)
            kills += 1
            for v in victims:
                site.start(v)
            if not crew[-1].alive():
                crew.append(Senders(site, crew[-1].todo, make))
        for senders in crew:
            senders.join()
        wait_for(site.drained, 60)
        forgive(site)
        stored = collections.Counter(site.report_ids())
        answers = {how: [n for s in crew for n in getattr(s, how)] for how in ("accepted", "refused", "silent")}
        accepted = set(answers["accepted"])
        print(f"{kills} kills, {len(names)} messages, {len(answers['accepted'])} answered 2xx, {len(answers['refused'])} 4xx, "
              f"{len(answers['silent'])} not answered; {len(stored)} stored")
        assert not [n for n in accepted if stored[n] == 0], "answered 2xx and lost"
        assert not [n for n, c in stored.items() if c != 1], "stored more than once"
        assert accepted == set(names), "a message was never accepted although it was sent again and again"
        assert site.query("SELECT count(*) FROM record") == [(10 * len(stored),)]
        assert site.query("PRAGMA integrity_check") == [("ok",)]
        assert not site.quarantine(), site.quarantine()


def test_mails_that_attack_the_parser_process():
    good, bad = (180, 12) if SMALL else (2000, 100)
    with Site(extra='parser: { deadline = "2s"; };') as site:
        hook = {"TAP_PARSE_HOOK": "1"}
        worker = site.start("dmarctapd", hook)
        milter = site.start("dmarctap-milter", hook)
        site.start_postfix()
        names = [f"good-{i}" for i in range(good)] + [f"evil-{i}" for i in range(bad)]
        random.Random(7).shuffle(names)

        def make(name):
            # A stall costs the whole deadline, twice in the worker: fewer of these.
            number = int(name.split("-")[1])
            what = "stall" if number % 10 == 0 else ("abort", "exhaust", "garbage")[number % 3]
            return report_mail(name, headers=f"X-Dmarctap-Test: {what}\r\n" if name.startswith("evil") else "")
        senders = Senders(site, names, make, retry=False)
        senders.join()
        assert sorted(senders.accepted) == sorted(names), (senders.refused[:5], senders.silent[:5])
        assert milter.poll() is None and worker.poll() is None, "a program died"
        wait_for(site.drained, 120)
        stored = site.report_ids()
        assert sorted(stored) == sorted(n for n in names if n.startswith("good"))
        assert len(site.quarantine()) == bad
        wait_for(lambda: sum(b"X-Dmarctap-Test" in m for m in site.mailbox()) == bad)
