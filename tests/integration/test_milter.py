# SPDX-License-Identifier: Apache-2.0
"""dmarctap-milter itself, played upon by miltertest and by a mail server of ours; ids T-MI-… say what each test answers for."""
import glob
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from miltermta import ALL_ACTIONS, ALL_STEPS, DELRCPT, LEADSPC, NODATA, SKIP, Mta, SpoolFile
from taplib import BIN, REPORTS, ROOT, Site, free_port, mail, report_mail, wait_for

OURS, OTHER = f"<{REPORTS}>", "<someone@elsewhere.example>"


@pytest.fixture
def site():
    with Site() as s:
        s.start("dmarctap-milter")
        yield s


@pytest.fixture
def copying():
    with Site(reports="consume = false;") as s:
        s.start("dmarctap-milter")
        yield s


def spooled(site):
    files = sorted(glob.glob(f"{site.spool}/incoming/milter/*"))
    return [SpoolFile(f) for f in files]


def only(site):
    files = spooled(site)
    assert len(files) == 1
    return files[0]


def leftovers(site):
    return [f for f in os.listdir(f"{site.spool}/incoming/milter") if f.startswith(".")]


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def lua(site, script, **values):
    given = [x for k, v in values.items() for x in ("-D", f"{k}={v}")]
    p = subprocess.run(["miltertest", "-D", f"socket=unix:{site.milter_socket}", *given, "-s", f"{ROOT}/tests/milter/{script}.lua"],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=120)
    assert p.returncode == 0, p.stdout
    return p.stdout.strip().split("\n")


# ---- by miltertest ----

@pytest.mark.parametrize("version, actions, steps, asked", [
    (6, ALL_ACTIONS, ALL_STEPS, "ADDHDRS DELRCPT CHGHDRS NOHELO NOUNKNOWN SKIP NR_HDR HDR_LEADSPC"),
    (6, ALL_ACTIONS & ~DELRCPT, ALL_STEPS & ~SKIP, "ADDHDRS CHGHDRS NOHELO NOUNKNOWN NR_HDR HDR_LEADSPC"),
    (6, ALL_ACTIONS, ALL_STEPS & ~NODATA & ~LEADSPC, "ADDHDRS DELRCPT CHGHDRS NOHELO NOUNKNOWN SKIP"),
    (2, 0x3F, 0x7F, "ADDHDRS DELRCPT CHGHDRS NOHELO"),
])
def test_t_mi_1_miltertest(site, version, actions, steps, asked):
    assert lua(site, "negotiate", version=version, actions=actions, steps=steps) == [asked]


@pytest.mark.parametrize("what, to, out, kept", [
    ("report", [OURS], ["rcpt c", "data c", "eom d"], 1),
    ("report", [OURS, OTHER], ["rcpt c", "rcpt c", "data c", "eom c", f"delrcpt {OURS}"], 1),
    ("report", [OTHER], ["rcpt c", "data a"], 0),
    ("plain", [OURS], ["rcpt c", "data c", "eom c"], 0),
    ("forged", [OURS, OTHER], ["rcpt c", "rcpt c", "data c", "eom c", "header deleted"], 0),
    ("broken", [OURS], ["rcpt c", "data c", "eom c", "header broken"], 1),
])
def test_t_mi_3_miltertest(site, tmp_path, what, to, out, kept):
    message = {"report": report_mail("mt-1", headers="X-Folded: one\r\n\ttwo\r\n"), "plain": mail(),
               "forged": mail(headers="X-Dmarctap: report\r\n"), "broken": report_mail("mt-2", packed=b"\x1f\x8bnonsense")}[what]
    (tmp_path / "m").write_bytes(message)
    got = [line.split(";")[0].replace("header  ", "header ") for line in lua(site, "fates", rcpt=",".join(to), file=tmp_path / "m")]
    assert got == out
    files = spooled(site)
    assert len(files) == kept
    for f in files:
        assert f.message == message


# ---- by our own mail server ----

@pytest.mark.parametrize("version, actions, steps", [
    (6, ALL_ACTIONS, ALL_STEPS), (6, ALL_ACTIONS, ALL_STEPS & ~SKIP), (6, ALL_ACTIONS, ALL_STEPS & ~NODATA),
    (6, ALL_ACTIONS, ALL_STEPS & ~LEADSPC), (6, ALL_ACTIONS & ~DELRCPT, ALL_STEPS), (6, 1, NODATA), (2, 0x3F, 0x7F)])
def test_t_mi_1_every_server_delivers(site, version, actions, steps):
    message = report_mail("neg-1")
    with Mta(site.milter_socket, version, actions, steps) as m:
        m.connect()
        assert m.deliver(OURS, message) == "d"
        assert m.deliver([OURS, OTHER], message) == "c"
        assert m.deleted() == ([OURS] if actions & DELRCPT else [])
        # Without DELRCPT the mail goes on to all, with a header that says so.
        assert len(m.added()) == (1 if actions & 1 and not actions & DELRCPT else 0)
        assert m.deliver(OTHER, mail()) == "a"
    files = spooled(site)
    assert [f.message for f in files] == [message, message]
    assert sorted(f.passed_on for f in files) == ([False, False] if actions & DELRCPT else [False, True])


def test_t_mi_3_copy(copying):
    with Mta(copying.milter_socket) as m:
        m.connect()
        for to in (OURS, [OURS, OTHER]):
            assert m.deliver(to, report_mail("copy-1", headers="X-Dmarctap: one\r\nx-dmarctap: two\r\n")) == "c"
            assert m.removed_headers() == [(2, "X-Dmarctap"), (1, "X-Dmarctap")]
            assert [n for n, v in m.added()] == ["X-Dmarctap"] and m.added()[0][1].startswith(" report; id=")
            assert m.deleted() == []
        assert m.deliver(OURS, mail()) == "c" and m.changes == []
    assert [f.passed_on for f in spooled(copying)] == [True, True]


def test_envelope(site):
    with Mta(site.milter_socket) as m:
        m.connect("192.0.2.99", name="[192.0.2.99]")
        assert m.deliver([OURS, "<reports+x@DMARCTAP.test>"], report_mail("env-1")) == "d"
    f = only(site)
    assert (f.door, f.fate, f.passed_on) == ("milter", "report", False)
    assert (f.sender, f.client, f.client_name, f.queue_id) == ("reporter@receiver.example", "192.0.2.99", "[192.0.2.99]", "4QUEUE1")
    assert f.recipients == [REPORTS, "reports+x@DMARCTAP.test"] and f.auth is None and f.helo is None
    assert abs(f.arrival - time.time()) < 60


def test_t_mi_2_mail_for_others_costs_no_memory(site):
    pid = site.running["dmarctap-milter"].pid

    def burst(n):
        with Mta(site.milter_socket) as m:
            m.connect()
            for _ in range(n):
                assert m.envelope(OTHER) == "ca"
    burst(500)
    before = rss_kib(pid)
    burst(10000)
    # Sanitizers keep books of their own that grow.
    assert rss_kib(pid) - before <= (64 if os.environ.get("TAP_PRESET") not in ("asan", "tsan") else 4096)
    assert spooled(site) == [] and "report" not in site.log("dmarctap-milter").split("listens")[1]


def test_report_mail_costs_no_memory(site):
    pid, message = site.running["dmarctap-milter"].pid, report_mail("mem-1", records=10)

    def burst(n):
        with Mta(site.milter_socket) as m:
            m.connect()
            for _ in range(n):
                assert m.deliver(OURS, message) == "d"
    burst(150)
    before = rss_kib(pid)
    burst(600)
    assert rss_kib(pid) - before <= (128 if os.environ.get("TAP_PRESET") not in ("asan", "tsan") else 16384)
    assert len(glob.glob(f"{site.spool}/incoming/milter/*.tap")) == 750


def test_t_mi_4_second_of_three_is_aborted(site):
    with Mta(site.milter_socket) as m:
        m.connect()
        assert m.deliver(OURS, report_mail("one")) == "d"
        m.envelope(OURS)
        m.headers(b"Subject: two")
        m.send(b"A")
        assert m.deliver(OURS, report_mail("three")) == "d"
    assert [b"<one@" in f.message or b"<three@" in f.message for f in spooled(site)] == [True, True]
    assert leftovers(site) == []


def test_t_mi_5_lost_in_every_state(site):
    states = [lambda m: None, lambda m: m.connect(), lambda m: m.event(b"M", b"<>\0"), lambda m: m.event(b"R", OURS.encode() + b"\0"),
              lambda m: m.event(b"T"), lambda m: m.headers(b"Subject: x"), lambda m: m.event(b"N"), lambda m: m.event(b"B", b"x")]
    for last in range(len(states)):
        m = Mta(site.milter_socket)
        for step in states[:last + 1]:
            step(m)
        m.s.close()
    # In the middle of a packet, and before the negotiation.
    for raw in (b"", b"\0\0", b"\0\0\0\x0dO\0\0"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(site.milter_socket)
        s.sendall(raw)
        s.close()
    wait_for(lambda: leftovers(site) == [])
    with Mta(site.milter_socket) as m:
        m.connect()
        assert m.deliver(OURS, report_mail("after")) == "d"
    assert len(spooled(site)) == 1


def test_t_mi_6_bodies(site):
    message = report_mail("bytes") + b"\0NUL\0\r\n"
    large = report_mail("large") + b"\r\n" + b"z" * (20 << 20) + b"\r\n"
    with Mta(site.milter_socket) as m:
        m.connect()
        assert m.deliver(OURS, message, chunk=1) == "d"
        assert m.deliver(OURS, large, chunk=65535) == "d"
    assert sorted((f.message for f in spooled(site)), key=len) == [message, large]


@pytest.mark.parametrize("steps", [ALL_STEPS, ALL_STEPS & ~SKIP])
def test_t_mi_6_over_the_limit(steps):
    with Site(reports='max_message = "100K";') as site:
        site.start("dmarctap-milter")
        with Mta(site.milter_socket, steps=steps) as m:
            m.connect()
            assert m.deliver(OURS, report_mail("big") + b"z" * 1000000, chunk=50000) == "c"
            assert m.added()[0][1].strip().startswith("too large; over reports.max_message")
            assert ("s" in m.body_answers) == bool(steps & SKIP) and len(m.body_answers) == (3 if steps & SKIP else 21)
            assert spooled(site) == [] and leftovers(site) == []
            assert m.deliver(OURS, report_mail("small")) == "d"
        assert len(spooled(site)) == 1


def test_t_mi_7_full_disk():
    """A small file system: mail gets 4xx, nothing that was answered is missing, and all is well once there is room."""
    with Site(spool='min_free = "0"; ') as site:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "tmpfs", site.spool], check=True)
        try:
            shutil.chown(site.spool, "nobody")
            site.start("dmarctap-milter")
            taken, answers, n = [], "", 0
            with Mta(site.milter_socket) as m:
                m.connect()
                while "t" not in answers and "y" not in answers:
                    n += 1
                    assert n < 100
                    name = f"full-{n}"
                    a = m.envelope(OURS)
                    if a == "cc":
                        a = m.content(report_mail(name) + b"\r\n" + os.urandom(50000).hex().encode() + b"\r\n")
                    if a == "d":
                        taken.append(name)
                    answers += a
                assert m.text.startswith("452 4.3.1 ") and len(taken) > 3
                # Mail with others goes on, with our address left on it; mail for others is not touched at all.
                a = m.envelope([OTHER, OURS])
                if a == "ccc":
                    assert m.content(report_mail("x") + b"y" * 200000) == "c" and m.deleted() == []
                assert m.envelope(OTHER) == "ca"
                assert leftovers(site) == []
                found = [f.message for f in spooled(site)]
                assert len(found) == len(taken) and all(any(f"<{t}@".encode() in x for x in found) for t in taken)
                for f in glob.glob(f"{site.spool}/incoming/milter/*.tap")[:3]:
                    os.unlink(f)
                assert m.deliver(OURS, report_mail("again")) == "d"
        finally:
            site.kill("dmarctap-milter", signal.SIGTERM)
            subprocess.run(["umount", site.spool], check=True)


def test_t_mi_7_known_to_be_full():
    with Site(spool="max_files = 1;") as site:
        site.start("dmarctap-milter")
        with Mta(site.milter_socket) as m:
            m.connect()
            assert m.deliver(OURS, report_mail("first")) == "d"
            assert m.envelope([OURS, OTHER, OURS]) == "ycya" and m.text.startswith("452 4.3.1 ")
        # Not over SMTP: nobody could answer for a refused recipient, so the whole message is put off at its end.
        with Mta(site.milter_socket) as m:
            m.connect("127.0.0.1", port=0, name="localhost")
            assert m.envelope(OURS) == "cc" and m.content(report_mail("local")) == "y" and m.text.startswith("452 4.3.1 ")
        os.unlink(glob.glob(f"{site.spool}/incoming/milter/*.tap")[0])

        def room():
            """there is room again"""
            with Mta(site.milter_socket) as n:
                n.connect()
                return n.deliver(OURS, report_mail("second")) == "d"
        wait_for(room)


@pytest.mark.parametrize("point", ["spool.open", "spool.write", "spool.fsync", "spool.rename", "spool.dirsync", "intake.verdict"])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("consume", ["true", "false"])
def test_t_mi_7_each_failure(point, error, consume):
    with Site(reports=f"consume = {consume};") as site:
        site.start("dmarctap-milter", env={"TAP_FAULT": f"{point}:1:{error},{point}:2:{error}"})
        with Mta(site.milter_socket) as m:
            m.connect()
            assert m.deliver(OURS, report_mail("f")) == "y"
            assert m.text.startswith("452 4.3.1 " if error == "ENOSPC" else "451 4.3.0 ")
            assert m.deliver([OTHER, OURS], report_mail("f")) == "c" and m.changes == []
            assert spooled(site) == [] and leftovers(site) == []
            assert m.deliver(OURS, report_mail("f")) == ("d" if consume == "true" else "c")
        assert len(spooled(site)) == 1


@pytest.mark.parametrize("point", ["spool.open", "spool.write", "spool.fsync", "spool.rename", "spool.dirsync", "intake.verdict"])
def test_t_mi_8_killed_before_the_answer(point):
    message = report_mail("killed")
    with Site() as site:
        site.start("dmarctap-milter", env={"TAP_FAULT": f"{point}:1:kill"})
        m = Mta(site.milter_socket)
        m.connect()
        with pytest.raises((EOFError, ConnectionError)):
            m.deliver(OURS, message)
        m.s.close()
        site.kill("dmarctap-milter")
        site.start("dmarctap-milter")
        assert leftovers(site) == []
        with Mta(site.milter_socket) as m:
            m.connect()
            assert m.deliver(OURS, message) == "d"
        # Killed behind the rename the message is there twice: the store knows it by the report's key.
        assert [f.message for f in spooled(site)] == [message] * (2 if point == "spool.dirsync" else 1)


def test_t_mi_9_folds(site):
    message = report_mail("folded", headers="X-A: one\r\n two\r\n\tthree\r\nX-B:nothing in front\r\nX-C:  two blanks\r\nX-D:\r\nX-E: \r\n")
    with Mta(site.milter_socket) as m:
        m.connect()
        assert m.deliver(OURS, message) == "d"
    assert only(site).message == message


def test_t_mi_10_fifty_at_once(site):
    wrong = []

    def one(n):
        try:
            with Mta(site.milter_socket) as m:
                m.connect()
                for i in range(5):
                    assert m.deliver(OURS, report_mail(f"p-{n}-{i}")) == "d"
                    assert m.deliver(OTHER, mail()) == "a"
        except BaseException as e:  # pylint: disable=broad-except
            wrong.append(repr(e))
    threads = [threading.Thread(target=one, args=(n,)) for n in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
    assert len({f.message for f in spooled(site)}) == 250


@pytest.mark.parametrize("to, ours", [
    (f"<{REPORTS.upper()}>", True), (REPORTS, True), (f"<@a.example,@b.example:{REPORTS}>", True), ('<"reports"@dmarctap.test>', True),
    ("<reports+tag@dmarctap.test>", True), ("<reports@dmarctap.test.>", True), ("<reports>", False), ("<>", False), ("", False),
    ("<xreports@dmarctap.test>", False), ("<reports@dmarctap.test.example>", False), ("<reports-tag@dmarctap.test>", False)])
def test_t_mi_12_spellings(site, to, ours):
    with Mta(site.milter_socket) as m:
        m.connect()
        assert m.envelope([to, OTHER]) == ("ccc" if ours else "cca")
        if ours:
            assert m.content(report_mail("spelt")) == "c" and m.deleted() == [to]


# ---- the program ----

def run_once(*args, config=None, tmp_path=None):
    if config is not None:
        (tmp_path / "c.conf").write_text(config, encoding="utf-8")
        args = ("-c", str(tmp_path / "c.conf"), *args)
    return subprocess.run([f"{BIN}/dmarctap-milter", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", timeout=60)


@pytest.mark.parametrize("config, status, said", [
    ('reports: { adresses = [ "a@b" ]; };', 78, ["c.conf:1", "adresses", "addresses"]),
    ('reports: { addresses = [ "a@b" ];\n', 78, ["c.conf:"]),
    ('\nreports: { addresses = [ "nonsense" ]; };', 78, ["c.conf", "nonsense"]),
    ("reports: { };", 78, ["reports.addresses is empty"]),
    ('reports: { addresses = [ "a@b" ]; not_report = "forward"; };', 78, ["not_report_address"]),
    ('reports: { addresses = [ "a@b" ]; };\nmilter: { socket = "inet:localhost:25"; };', 78, ["inet:PORT@HOST"]),
    ('reports: { addresses = [ "a@b" ]; };\nmilter: { socket_mode = "rw"; };', 78, ["socket_mode"]),
    ('reports: { addresses = [ "a@b" ]; };\nspool: { directory = "/nonexistent/spool"; };', 78, ["/nonexistent/spool does not exist"]),
    ('reports: { addresses = [ "a@b" ]; };\nmilter: { user = "no-such-user"; };', 78, ["no-such-user"]),
])
def test_broken_configuration_stops_the_start(tmp_path, config, status, said):
    p = run_once(config=config, tmp_path=tmp_path)
    assert p.returncode == status, p.stderr
    for word in said:
        assert word in p.stderr
    assert p.stderr.count("\n") == 1 and p.stdout == ""


def test_options(tmp_path):
    p = run_once("-h")
    assert p.returncode == 0 and p.stdout.startswith("usage: dmarctap-milter") and p.stderr == ""
    assert run_once("-V").stdout.startswith("dmarctap-milter ")
    assert run_once("-x").returncode == 64
    assert run_once("extra").returncode == 64
    p = run_once("-c", str(tmp_path / "none.conf"))
    assert p.returncode == 78 and "none.conf" in p.stderr
    p = run_once("-s", "nonsense", config='reports: { addresses = [ "a@b" ]; };', tmp_path=tmp_path)
    assert p.returncode == 78 and "nonsense" in p.stderr


def test_socket(site):
    mode = os.stat(site.milter_socket).st_mode & 0o777
    assert mode == 0o666
    # A second one does not take the socket from the first.
    p = subprocess.run([f"{site.bin}/dmarctap-milter", "-c", site.config], stderr=subprocess.PIPE, encoding="utf-8", timeout=60)
    assert p.returncode == 78 and "another program listens" in p.stderr
    with Mta(site.milter_socket) as m:
        m.connect()
        assert m.deliver(OURS, report_mail("still")) == "d"
    # A stale one is replaced, a file is not.
    site.kill("dmarctap-milter", signal.SIGKILL)
    assert os.path.exists(site.milter_socket)
    site.start("dmarctap-milter")
    site.kill("dmarctap-milter", signal.SIGTERM)
    if os.path.exists(site.milter_socket):
        os.unlink(site.milter_socket)
    with open(site.milter_socket, "w", encoding="ascii") as f:
        f.write("mine")
    p = subprocess.run([f"{site.bin}/dmarctap-milter", "-c", site.config], stderr=subprocess.PIPE, encoding="utf-8", timeout=60)
    assert p.returncode == 78 and "no socket" in p.stderr
    with open(site.milter_socket, encoding="ascii") as f:
        assert f.read() == "mine"


def test_macros_are_sent_only_where_they_are_needed(site):
    """Each one more would be looked up for every mail, ours or not. An empty list is no list to Postfix."""
    with Mta(site.milter_socket) as m:
        assert set(m.wanted) == set(range(7))
        assert m.wanted.pop(5) == ["i", "{auth_authen}"]
        assert all(names == ["{dmarctap_none}"] for names in m.wanted.values())
    with Mta(site.milter_socket, actions=ALL_ACTIONS & ~0x100) as m:
        assert m.wanted == {}


@pytest.mark.parametrize("first", [b"C" + b"mx\x004\x00\x19192.0.2.1\x00", b"M<a@b.example>\x00", b"R<a@b.example>\x00", b"T", b"La\x00b\x00", b"N",
                                   b"Bx", b"E", b"A", b"K", b"Q"])
def test_a_peer_that_does_not_negotiate(site, first):
    """libmilter hands its events on; once a first MAIL ended the milter."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(site.milter_socket)
    for event in (first, b"R<" + REPORTS.encode() + b">\x00"):
        try:
            s.sendall(len(event).to_bytes(4, "big") + event)
        except OSError:
            break
    s.close()
    with Mta(site.milter_socket) as m:
        m.connect()
        assert m.deliver(OURS, report_mail("after")) == "d"
    assert site.running["dmarctap-milter"].poll() is None


def test_reused_connection(site):
    """QUIT_NC: the mail server keeps the connection for another client, in the middle of a message too."""
    with Mta(site.milter_socket) as m:
        m.connect("192.0.2.1")
        assert m.envelope(OURS) == "cc"
        m.headers(b"Subject: half")
        m.send(b"K")
        m.connect("192.0.2.2")
        assert m.deliver(OURS, report_mail("second")) == "d"
    assert b"half" not in only(site).message
    wait_for(lambda: leftovers(site) == [])


def test_socket_that_is_somebody_elses(site):
    """A socket that we may not connect to is not stale."""
    if os.getuid() != 0:
        return
    site.kill("dmarctap-milter", signal.SIGTERM)
    with socket.socket(socket.AF_UNIX) as other:
        if os.path.exists(site.milter_socket):
            os.unlink(site.milter_socket)
        other.bind(site.milter_socket)
        os.chmod(site.milter_socket, 0o600)
        other.listen(1)
        inode = os.stat(site.milter_socket).st_ino
        p = subprocess.run([f"{site.bin}/dmarctap-milter", "-c", site.config], stderr=subprocess.PIPE, encoding="utf-8", timeout=60)
        assert p.returncode == 78 and "Permission denied" in p.stderr, p.stderr
        assert os.stat(site.milter_socket).st_ino == inode


def test_root_without_a_user_is_warned(site):
    if os.getuid() != 0:
        return
    site.kill("dmarctap-milter", signal.SIGTERM)
    with open(site.config, encoding="utf-8") as f:
        config = f.read()
    with open(site.config, "w", encoding="utf-8") as f:
        f.write(config.replace('socket_mode = "0666"; user = "nobody";', 'socket_mode = "0666";'))
    site.start("dmarctap-milter")
    assert "runs as root" in site.log("dmarctap-milter")


def test_inet_socket(site):
    site.kill("dmarctap-milter", signal.SIGTERM)
    port = free_port()
    p = subprocess.Popen([f"{site.bin}/dmarctap-milter", "-c", site.config, "-s", f"inet:{port}@127.0.0.1"], stderr=subprocess.DEVNULL)
    try:
        def listens():
            """the port answers"""
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        wait_for(listens)
        with Mta(("127.0.0.1", port)) as m:
            m.connect()
            assert m.deliver(OURS, report_mail("inet")) == "d"
        assert len(spooled(site)) == 1
    finally:
        p.terminate()
        assert p.wait(60) == 0


def test_stop_while_connections_idle(site):
    """Connections that are open and idle keep nobody from ending, and nothing is said of messages under way."""
    p = site.running.pop("dmarctap-milter")
    with Mta(site.milter_socket) as a, Mta(site.milter_socket) as b:
        a.connect()
        assert b.deliver(OURS, report_mail("before")) == "d"
        p.send_signal(signal.SIGTERM)
        assert p.wait(60) == 0
    assert "under way" not in site.log("dmarctap-milter")


def test_without_a_spool_directory(site):
    site.kill("dmarctap-milter", signal.SIGTERM)
    os.rename(site.spool, site.spool + ".away")
    p = subprocess.run([f"{site.bin}/dmarctap-milter", "-c", site.config], stderr=subprocess.PIPE, encoding="utf-8", timeout=60)
    os.rename(site.spool + ".away", site.spool)
    assert p.returncode == 78 and f"spool.directory {site.spool} does not exist" in p.stderr


def test_runs_as_its_user_without_what_it_needs_not(site):
    pid = site.running["dmarctap-milter"].pid
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        status = dict(line.split(":", 1) for line in f)
    if os.getuid() == 0:
        assert "0" not in status["Uid"].split() and "0" not in status["Groups"].split()
    assert status["NoNewPrivs"].strip() == "1"


def test_sigterm_lets_the_message_under_way_be_answered(site):
    p = site.running.pop("dmarctap-milter")
    with Mta(site.milter_socket) as m:
        m.connect()
        assert m.envelope(OURS) == "cc"
        p.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert m.content(report_mail("term")) == "d"
    assert p.wait(60) == 0
    assert len(spooled(site)) == 1 and "ends" in site.log("dmarctap-milter")


def test_sigterm_does_not_wait_for_ever(site):
    p = site.running.pop("dmarctap-milter")
    with Mta(site.milter_socket) as m:
        m.connect()
        assert m.envelope(OURS) == "cc"
        began = time.monotonic()
        p.send_signal(signal.SIGTERM)
        assert p.wait(60) == 0
        assert time.monotonic() - began < 20
    assert spooled(site) == []
    site.start("dmarctap-milter")
    assert leftovers(site) == []


def test_sigterm_is_quick_when_nothing_is_under_way(site):
    p = site.running.pop("dmarctap-milter")
    with Mta(site.milter_socket) as m:
        m.connect()
        began = time.monotonic()
        p.send_signal(signal.SIGTERM)
        assert p.wait(60) == 0
        assert time.monotonic() - began < 3


def test_sigusr1_is_harmless(site):
    p = site.running["dmarctap-milter"]
    p.send_signal(signal.SIGUSR1)
    with Mta(site.milter_socket) as m:
        m.connect()
        assert m.deliver(OURS, report_mail("usr1")) == "d"
    assert p.poll() is None
