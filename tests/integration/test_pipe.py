# SPDX-License-Identifier: Apache-2.0
"""dmarctap-pipe alone: exit statuses and first words for every outcome, and every way in which its surroundings can be bad. Nothing that it
called taken is missing, nothing that it did not take is left."""
import os
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import time

import pytest
from taplib import BIN, PATIENCE, Site, arf, mail, report_mail, wait_for

PIPE = f"{BIN}/dmarctap-pipe"


class Box:
    """A configuration and a spool that no worker empties."""

    def __init__(self, reports="", spool="", extra="", root=None):
        self.dir = root or tempfile.mkdtemp(prefix="dmarctap-pipe-")
        os.chmod(self.dir, 0o755)
        self.spool, self.config = f"{self.dir}/spool", f"{self.dir}/c.conf"
        os.makedirs(f"{self.spool}/incoming/pipe")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f'reports: {{ addresses = [ "reports@dmarctap.test" ]; {reports} }};\n'
                    f'spool: {{ directory = "{self.spool}"; min_free = 0; {spool} }};\n{extra}\n')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, data, *args, env=None, **kw):
        """(exit status, first line of all that it printed)"""
        p = subprocess.run([PIPE, "-c", self.config, *args], input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env=dict(os.environ, **(env or {})), timeout=120, check=False, **kw)
        # A build with fault points says on standard error which one it was.
        text = "".join(line for line in p.stdout.decode().splitlines(True) if not line.startswith("TAP_FAULT:"))
        assert text.count("\n") <= 1 and (text == "" or text.isascii()), text
        return p.returncode, text.strip()

    def kept(self):
        path = f"{self.spool}/incoming/pipe"
        return sorted(n for n in os.listdir(path) if not n.startswith("."))

    def partial(self):
        return [n for n in os.listdir(f"{self.spool}/incoming/pipe") if n.startswith(".")]

    def message(self):
        """The raw message of the only file."""
        (name,) = self.kept()
        with open(f"{self.spool}/incoming/pipe/{name}", "rb") as f:
            data = f.read()
        off, size = int.from_bytes(data[16:24], "little"), int.from_bytes(data[24:32], "little")
        return data[off:off + size]


@pytest.fixture
def box():
    with Box() as b:
        yield b


REJECT = 'not_report = "reject";'
UNTRUSTED = 'trust: { authserv_ids = [ "mx.dmarctap.test" ]; unauthenticated_aggregate = "reject"; };'


@pytest.mark.parametrize("name,reports,spool,extra,data,status,words,kept", [
    ("unjudged", "", "", "", report_mail("p-1"), 0, "2.0.0 kept, to be judged; id=", 1),
    ("no report, unjudged", "", "", "", mail("hello"), 0, "2.0.0 kept, to be judged; id=", 1),
    ("report", REJECT, "", "", report_mail("p-2"), 0, "2.0.0 report stored; id=", 1),
    ("not a report", REJECT, "", "", mail("hello"), 65, "5.6.0 not a report", 0),
    ("broken", REJECT, "", "", report_mail("p-3", packed=b"\x1f\x8b\x08\x00garbage"), 0, "2.6.0 kept, not a readable report; id=", 1),
    ("feedback", REJECT, "", "", arf("abuse", "p-4"), 0, "2.0.0 stored, a feedback report; id=", 1),
    ("too large", 'max_message = "64K";', "", "", mail(body="x" * 70000), 65, "5.3.4 message is too large: ", 0),
    ("no space", "", "max_files = 1;", "", report_mail("p-5"), 75, "4.3.1 no space for reports, try again later: ", 1),
    ("min_free", "", "min_free = 9000000000000000000L;", "", report_mail("p-6"), 75, "4.3.1 no space", 0),
    ("rejected", "", "", UNTRUSTED, report_mail("p-7"), 65, "5.7.1 report not authenticated", 0),
])
def test_outcomes_t_pi_1(name, reports, spool, extra, data, status, words, kept):
    with Box(reports, "" if "min_free" in spool else spool, extra) as b:
        if "min_free" in spool:
            with open(b.config, encoding="utf-8") as f:
                text = f.read().replace("min_free = 0;", spool)
            with open(b.config, "w", encoding="utf-8") as f:
                f.write(text)
        if name == "no space":
            assert b.run(report_mail("first"))[0] == 0
        got, line = b.run(data)
        assert (got, line[:len(words)]) == (status, words), line
        assert len(b.kept()) == kept and not b.partial()


def test_no_configuration_or_a_bad_one_t_pi_2(box):
    data = report_mail("conf")
    cases = {"missing": None, "syntax": "reports: {", "unknown": "repotrs: { };", "value": 'reports: { not_report = "eat"; };',
             "size": 'reports: { max_message = "1"; };', "directory": "DIR"}
    for name, text in cases.items():
        if os.path.isdir(box.config):
            os.rmdir(box.config)
        elif os.path.exists(box.config):
            os.unlink(box.config)
        if text == "DIR":
            os.mkdir(box.config)
        elif text is not None:
            with open(box.config, "w", encoding="utf-8") as f:
                f.write(text)
        status, line = box.run(data)
        assert status == 75 and line.startswith("4.3.0 local trouble, try again later: ") and "c.conf" in line, (name, line)
    for args in (["-x"], ["-f"], ["--version"], ["-h"], ["-V"]):
        status, line = box.run(data, *args)
        assert status == 75 and line.startswith("4.3."), (args, line)
    assert subprocess.run([PIPE, "-V"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout.startswith(b"dmarctap-pipe ")


def test_spool_missing_or_closed_t_pi_2(box):
    data = report_mail("closed")
    os.rename(f"{box.spool}/incoming", f"{box.spool}/away")
    assert box.run(data)[0] == 75
    os.rename(box.spool, f"{box.dir}/away")
    status, line = box.run(data)
    assert status == 75 and "spool.directory" in line
    os.rename(f"{box.dir}/away", box.spool)
    os.rename(f"{box.spool}/away", f"{box.spool}/incoming")
    if os.geteuid() == 0:
        status, line = box.run(data, user="nobody", group="nogroup", extra_groups=[])
        assert status == 75 and line.startswith("4.3.0"), line
        script = 'mount -t tmpfs -o size=48k tmpfs "$1/spool" && mkdir -p "$1/spool/incoming/pipe" && '
        for then, code in (('mount -o remount,ro "$1/spool"; ', "4.3.0"), ("", "4.3.1")):
            out = subprocess.run(["unshare", "-m", "sh", "-c", script + then + 'exec "$2" -c "$1/c.conf"', "sh", box.dir, PIPE],
                                 input=mail(body="x\r\n" * 40000), stdout=subprocess.PIPE, check=False)
            assert out.returncode == 75 and out.stdout.decode().startswith(code), out.stdout
    assert not box.kept() and not box.partial()
    assert box.run(data)[0] == 0


def test_first_line_and_line_ends_t_pi_4():
    text = b"Return-Path: <a@b>\nDelivered-To: r@x\nX-Original-To: r@x\nSubject: x\n\nFrom y\n>From z\n.\n..\n"
    for data in (text, text.replace(b"\n", b"\r\n")):
        for first in (b"", b"From a@b.example  Tue Jun  2 10:00:00 2026\n"):
            with Box() as b:
                assert b.run(first + data)[0] == 0
                assert b.message() == data


def test_large_message(box):
    """60 MB: refused by its size; a little less than the limit: kept whole."""
    status, line = box.run(mail(body="x" * 78 + "\r\n") + b"y" * 60_000_000)
    assert status == 65 and line.startswith("5.3.4") and not box.kept() and not box.partial()
    data = mail() + (b"z" * 998 + b"\r\n") * 40_000
    assert box.run(data)[0] == 0
    assert box.message() == data


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGALRM,
                                 pytest.param(signal.SIGSEGV, marks=pytest.mark.plain_build("the sanitizer has that signal"))])
def test_signal_in_the_middle_t_pi_6(box, sig):
    p = subprocess.Popen([PIPE, "-c", box.config], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdin.write(b"Subject: half\r\n\r\n" + b"x" * 300_000)
    p.stdin.flush()
    wait_for(lambda: [n for n in box.partial() if os.path.getsize(f"{box.spool}/incoming/pipe/{n}") > 100_000])
    p.send_signal(sig)
    out = p.stdout.read()
    assert p.wait(20 * PATIENCE) == (-9 if sig == signal.SIGKILL else 75)
    assert sig == signal.SIGKILL or out.startswith(b"4.3.0 local trouble"), out
    assert not box.kept()
    if sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        assert not box.partial()
    else:
        # An orphan harms nothing; the worker sweeps it.
        assert len(box.partial()) == 1 and box.run(report_mail("after"))[0] == 0 and len(box.kept()) == 1
    p.stdin = None


def test_worker_sweeps_orphans_and_leaves_what_is_being_written():
    with Site() as s:
        with open(s.config, encoding="utf-8") as f:
            text = f.read().replace("worker: {", 'worker: { sweep = "1s";')
        with open(s.config, "w", encoding="utf-8") as f:
            f.write(text)
        orphan, folder = "." + "0" * 32, f"{s.spool}/incoming/pipe"
        os.makedirs(folder)
        subprocess.run(["chown", "-R", "nobody:nogroup", s.spool], check=True)
        os.chmod(folder, 0o2770) # as the worker makes it: what lies in it has its group

        def leave():
            with open(f"{folder}/{orphan}", "wb") as f:
                f.write(b"half")
            os.chmod(f"{folder}/{orphan}", 0o644)
        leave()
        s.start("dmarctapd")
        wait_for(lambda: not os.path.exists(f"{folder}/{orphan}"))
        p = subprocess.Popen([f"{s.bin}/dmarctap-pipe", "-c", s.config], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        data = report_mail("slow", records=2000)
        p.stdin.write(data[:-100])
        p.stdin.flush()
        wait_for(s.incoming)
        leave()
        wait_for(lambda: not os.path.exists(f"{folder}/{orphan}"))
        p.stdin.write(data[-100:])
        p.stdin.close()
        assert p.wait(60 * PATIENCE) == 0 and p.stdout.read().startswith(b"2.0.0")
        wait_for(lambda: "slow" in s.report_ids())


def test_count_of_a_full_spool_is_left_to_the_next():
    with Box(spool="max_files = 1501;") as b:
        folder = f"{b.spool}/incoming/pipe"
        for i in range(1500):
            with open(f"{folder}/{i:032x}.tap", "wb") as f:
                f.write(b"x")
        left = f"{folder}/.usage"
        assert b.run(report_mail("count-1"))[0] == 0
        assert stat.S_IMODE(os.stat(left).st_mode) == 0o660
        with open(left, "rb") as f:
            count = f.read()
        assert len(count) == 40 and int.from_bytes(count[24:32], "little") == 1500
        # While it holds nobody counts; what is none, or comes from before a restart of the machine, counts for nothing.
        assert b.run(report_mail("count-2"))[0] == 0
        for bad in (b"", count[:39], bytes(40), b"\xff" * 40, count[:24] + count[:8] + count[32:]):
            with open(left, "wb") as f:
                f.write(bad)
            status, line = b.run(report_mail("count-3"))
            assert status == 75 and line.startswith("4.3.1 no space for reports, try again later: spool full: spool.max_files reached"), line
        for name in b.kept()[:1000]:
            os.unlink(f"{folder}/{name}")

        def room():
            """it is counted again"""
            return b.run(report_mail("count-4"))[0] == 0
        wait_for(room)
        # Where it is something else, each counts for itself.
        for make in (os.mkdir, os.mkfifo, lambda path: os.symlink("/etc/passwd", path)):
            os.unlink(left) if os.path.isfile(left) or os.path.islink(left) else os.path.isdir(left) and os.rmdir(left)
            make(left)
            assert b.run(report_mail("count-5"))[0] == 0
            if not os.path.isdir(left):
                os.unlink(left)


def test_time_limit():
    with Box('pipe_time_limit = "1s";') as b:
        p = subprocess.Popen([PIPE, "-c", b.config], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        begin = time.monotonic()
        p.stdin.write(b"Subject: slow\r\n")
        p.stdin.flush()
        assert p.stdout.read().startswith(b"4.3.0 local trouble, try again later: the message did not come within")
        assert p.wait(20) == 75 and 0.9 < time.monotonic() - begin < 20 * PATIENCE
        assert not b.kept() and not b.partial()
        p.stdin.close()


def test_slow_input_byte_by_byte(box):
    data = b"From a@b x\nSubject: slow\n\n" + b"line\n" * 20
    p = subprocess.Popen([PIPE, "-c", box.config], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for i in range(len(data)):
        p.stdin.write(data[i:i + 1])
        p.stdin.flush()
    p.stdin.close()
    assert p.wait(20 * PATIENCE) == 0 and p.stdout.read().startswith(b"2.0.0")
    assert box.message() == data.split(b"\n", 1)[1]


def test_closed_descriptors_and_standard_streams(box):
    with open(f"{box.dir}/m", "wb") as f:
        f.write(report_mail("fds"))
    for shell, status, kept in (('"$0" -c "$1" <&-', 75, 0), ('"$0" -c "$1" <"$2" >&-', 0, 1), ('"$0" -c "$1" <"$2" >&- 2>&-', 0, 2),
                                ('"$0" -c "$1" <&- >&- 2>&-', 75, 2), ('"$0" -c "$1" <"$2" >/dev/full', 0, 3),
                                ('"$0" -c "$1" <"$2" | true; exit ${PIPESTATUS[0]}', 0, 4),
                                ('"$0" -c "$1" <"$2" 3<"$2" 4>/dev/null 99</', 0, 5), ('"$0" -c "$1" <"$2" 1<"$2"', 0, 6),
                                ('"$0" -c "$1" 0>"$1.w"', 75, 6), ('"$0" -c "$1" </', 75, 6)):
        p = subprocess.run(["bash", "-c", shell, PIPE, box.config, f"{box.dir}/m"], stdout=subprocess.PIPE, check=False, timeout=60)
        assert (p.returncode, len(box.kept())) == (status, kept), shell
    with open(f"{box.dir}/m", "rb") as f:
        want = f.read()
    for name in box.kept():
        with open(f"{box.spool}/incoming/pipe/{name}", "rb") as f:
            assert want in f.read()


def test_terminal_is_no_message(box):
    master, slave = os.openpty()
    p = subprocess.run([PIPE, "-c", box.config], stdin=slave, stdout=subprocess.PIPE, timeout=60, check=False)
    os.close(master)
    os.close(slave)
    assert p.returncode == 75 and b"terminal" in p.stdout and not box.kept()


def test_answer_that_nobody_reads_is_not_waited_for(box):
    r, w = os.pipe()
    os.set_blocking(w, False)
    try:
        while os.write(w, b"x" * 4096):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(w, True)
    p = subprocess.run([PIPE, "-c", box.config], input=report_mail("full"), stdout=w, timeout=60, check=False)
    os.close(r)
    os.close(w)
    assert p.returncode == 0 and len(box.kept()) == 1


@pytest.mark.plain_build("the thread sanitizer writes files of its own")
def test_odd_umask_signals_and_limits(box):
    def odd():
        os.umask(0o777)
        for s in (signal.SIGPIPE, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGALRM):
            signal.signal(s, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    assert box.run(report_mail("odd"), preexec_fn=odd)[0] == 0
    (name,) = box.kept()
    assert stat.S_IMODE(os.stat(f"{box.spool}/incoming/pipe/{name}").st_mode) == 0o640

    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    status, line = box.run(mail(body="x" * 5000), preexec_fn=small)
    assert status == 75 and line.startswith("4.3."), line
    with Box(REJECT) as b:  # a parser process is waited for even where children were ignored
        assert b.run(report_mail("odd-2"), preexec_fn=odd)[0] == 0
    assert len(box.kept()) == 1 and not box.partial()


@pytest.mark.parametrize("point", ["spool.open", "spool.write", "spool.fsync", "spool.rename", "spool.dirsync"])
@pytest.mark.parametrize("what", ["ENOSPC", "EIO", "kill"])
def test_fault(box, point, what):
    status, line = box.run(report_mail("fault"), env={"TAP_FAULT": f"{point}:1:{what}"})
    if what == "kill":
        assert status == -9
        assert box.run(report_mail("again"))[0] == 0
    else:
        assert status == 75 and line.startswith("4.3.1" if what == "ENOSPC" else "4.3.0"), line
        assert not box.kept() and not box.partial()


def test_forwarding(box):
    program = f"{box.dir}/sendmail"
    with Box(f'not_report = "forward"; not_report_address = "people@dmarctap.test"; sendmail = "{program}"; sendmail_timeout = "2s";') as b:
        def script(text):
            with open(program, "w", encoding="utf-8") as f:
                f.write(f"#!/bin/sh\n{text}\n")
            os.chmod(program, 0o755)
        script(f'echo "$@" > {box.dir}/args; cat > {box.dir}/got')
        status, line = b.run(mail("lunch"), "-f", "a@b.example")
        assert status == 0 and line.startswith("2.0.0 forwarded, not a report") and not b.kept() and not b.partial()
        with open(f"{box.dir}/args", encoding="utf-8") as f:
            assert f.read() == "-i -f a@b.example -- people@dmarctap.test\n"
        with open(f"{box.dir}/got", "rb") as f:
            got = f.read()
        assert got.count(b"X-Dmarctap:") == 1 and b"Subject: lunch\n" in got
        # It comes back: kept, and not sent round again.
        os.unlink(f"{box.dir}/got")
        status, line = b.run(got)
        assert status == 0 and line.startswith("2.6.0 kept, not a report") and len(b.kept()) == 1 and not os.path.exists(f"{box.dir}/got")
        # A report is not forwarded; a broken one is, and kept as well.
        assert b.run(report_mail("fw-1"))[1].startswith("2.0.0 report stored") and not os.path.exists(f"{box.dir}/got")
        assert b.run(report_mail("fw-2", packed=b"\x1f\x8b\x08\x00garbage"))[1].startswith("2.6.0 kept, not a readable report")
        assert os.path.exists(f"{box.dir}/got") and len(b.kept()) == 3
        for text in ("cat > /dev/null; exit 67", "exit 0", "kill -9 $$", "sleep 60"):
            script(text)
            status, line = b.run(mail("lost?"))
            assert status == 75 and line.startswith("4.3.0 local trouble, try again later: forward: "), line
        os.unlink(program)
        assert b.run(mail("lost?"))[0] == 75
        assert len(b.kept()) == 3 and not b.partial()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to install a set-group-id program")
@pytest.mark.plain_build("a sanitizer's runtime does not start in a set-id program")
def test_set_group_id_as_nobody():
    """Installed as root does it, for a group that has no name here, run by nobody: in a root directory of its own, since the path of the
    configuration is fixed then."""
    gid, root = 64999, tempfile.mkdtemp(prefix="dmarctap-root-")
    try:
        os.chmod(root, 0o755)
        libraries = [w for line in subprocess.run(["ldd", PIPE], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
                     for w in line.split() if w.startswith("/")]
        for path in libraries:
            os.makedirs(root + os.path.dirname(path), exist_ok=True)
            shutil.copy(path, root + path)
        os.makedirs(f"{root}/bin", exist_ok=True)
        shutil.copy(PIPE, f"{root}/bin/dmarctap-pipe")
        os.chown(f"{root}/bin/dmarctap-pipe", 0, gid)
        os.chmod(f"{root}/bin/dmarctap-pipe", 0o2755)
        folder = f"{root}/var/spool/dmarctap/incoming/pipe"
        os.makedirs(folder)
        os.chown(folder, 0, gid)
        os.chmod(folder, 0o2770)
        os.makedirs(f"{root}/etc/dmarctap")
        with open(f"{root}/etc/dmarctap/dmarctap.conf", "w", encoding="utf-8") as f:
            f.write("spool: { min_free = 0; };\n")

        def become():
            os.chroot(root)
            os.chdir("/")
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.umask(0o777)

        def run(*args, env=None):
            p = subprocess.run(["/bin/dmarctap-pipe", *args], input=report_mail("set-id"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env=env or {}, preexec_fn=become, timeout=60, check=False)
            return p.returncode, p.stdout.decode()
        assert run("-f", "a@b", "r@x")[0] == 0
        (name,) = os.listdir(folder)
        st = os.stat(f"{folder}/{name}")
        assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (65534, gid, 0o640)
        # Nothing of the caller's environment counts.
        assert run(env={"TAP_FAULT": "spool.fsync:0:EIO", "TMPDIR": "/nowhere", "G_DEBUG": "fatal-warnings"})[0] == 0
        with open(f"{root}/etc/other.conf", "w", encoding="utf-8") as f:
            f.write('spool: { directory = "/tmp"; };\n')
        status, line = run("-c", "/etc/other.conf")
        assert status == 75 and line.startswith("4.3.0") and "-c is not for" in line
        assert len(os.listdir(folder)) == 2
        os.chmod(f"{root}/bin/dmarctap-pipe", 0o755)
        status, line = run()
        assert status == 75 and "Permission denied" in line
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def site():
    with Site() as s:
        s.start("dmarctapd")
        yield s


def deliver(site, data, *args):
    p = subprocess.run([f"{site.bin}/dmarctap-pipe", "-c", site.config, *args], input=data, stdout=subprocess.PIPE, timeout=120, check=False)
    return p.returncode


def test_empty_message_is_kept_with_its_reason_t_pi_3(site):
    before = site.quarantine()
    assert deliver(site, b"") == 0
    wait_for(lambda: len(site.quarantine()) == len(before) + 1)
    wait_for(site.drained)
    (name,) = set(site.quarantine()) - set(before)
    text = b""
    for other in os.listdir(f"{site.spool}/quarantine"):
        if other.startswith(name[:32]) and other != name:
            with open(f"{site.spool}/quarantine/{other}", "rb") as f:
                text += f.read()
    assert b"empty" in text, text


def test_sender_and_recipients_t_pi_5(site):
    many = [f"r{i}@dmarctap.test" for i in range(5)]
    for i, (args, sender, to) in enumerate([(["-f", "", "--", "r@x.test"], "", "r@x.test"),
                                            (["-f", "MAILER-DAEMON", *many], "", "\n".join(many)),
                                            (["-f", "s@x.test", "-q", "4ABC", "-a", "192.0.2.9", many[0]], "s@x.test", many[0])]):
        assert deliver(site, report_mail(f"env-{i}"), *args) == 0
        wait_for(lambda i=i: f"env-{i}" in site.report_ids())
        row = site.query("SELECT door, sender, recipients FROM message WHERE id = (SELECT message_id FROM report WHERE report_id = ?)", f"env-{i}")
        assert row == [("pipe", sender, to)]


def test_forty_at_once_t_pi_7(site):
    ps = []
    for i in range(40):
        p = subprocess.Popen([f"{site.bin}/dmarctap-pipe", "-c", site.config], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ps.append((p, report_mail(f"many-{i}")))
    for p, data in ps:
        p.stdin.write(data)
        p.stdin.flush()
    for p, _ in ps:
        p.stdin.close()
    for p, _ in ps:
        assert p.wait(60 * PATIENCE) == 0 and p.stdout.read().startswith(b"2.0.0")
    wait_for(site.drained, 60)
    assert sorted(r for r in site.report_ids() if r.startswith("many-")) == sorted(f"many-{i}" for i in range(40))
    assert site.query("SELECT sum(duplicates) FROM report WHERE report_id LIKE 'many-%'") == [(0,)]


def test_message_cut_by_a_dying_mail_server_is_absorbed(site):
    """The mail server dies half-way: what came is kept, and the whole message that comes again counts."""
    data = report_mail("cut-1", records=50)
    deliver(site, data[:len(data) // 2])
    assert deliver(site, data) == 0
    wait_for(site.drained)
    assert site.query("SELECT records FROM report WHERE report_id = 'cut-1'") == [(50,)]
