# SPDX-License-Identifier: Apache-2.0
"""What dmarctap takes in: mboxes, Maildirs, directories, patterns, standard input; workers; every kind of report, printed and filed."""
import gzip
import json
import os
import pathlib
import pty
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from taplib import BIN, PATIENCE, arf, mail, report_mail, report_xml

DMARCTAP = f"{BIN}/dmarctap"
SANITIZED = PATIENCE > 1
SEPARATOR = b"From sender@example.com Thu Jan  1 00:00:00 2026\n"
CORPUS = pathlib.Path(__file__).resolve().parents[1] / "corpus"


def run(*args, stdin=b"", **kw):
    kw.setdefault("timeout", 120 * PATIENCE)
    return subprocess.run([DMARCTAP, "--offline", *map(str, args)], input=stdin, capture_output=True, **kw)


def lf(message):
    return message.replace(b"\r\n", b"\n")


def ids(p):
    return [r["report_metadata"]["report_id"] for r in json.loads(p.stdout)["aggregate_reports"]]


def mbox(*messages):
    return b"".join(SEPARATOR + lf(m).rstrip(b"\n") + b"\n\n" for m in messages)


@pytest.fixture(scope="module")
def mails():
    return [report_mail(f"m{i}", records=1 + i % 3) for i in range(9)]


def maildir(path, new=(), cur=(), tmp=()):
    for part, messages in (("new", new), ("cur", cur), ("tmp", tmp)):
        (path / part).mkdir(parents=True)
        for name, message in messages:
            (path / part / name).write_bytes(message)
    return path


# mbox

def test_mbox_in_order(tmp_path, mails):
    path = tmp_path / "box"
    path.write_bytes(mbox(*mails))
    p = run(path)
    assert p.returncode == 0 and p.stderr == b"" and ids(p) == [f"m{i}" for i in range(9)]


def test_mbox_on_standard_input(mails):
    p = run("-", stdin=mbox(*mails))
    assert p.returncode == 0 and len(ids(p)) == 9


def test_mbox_names_what_is_no_report(tmp_path, mails):
    path = tmp_path / "box"
    data = mbox(mails[0], mail(), mails[1])
    path.write_bytes(data)
    p = run(path)
    second = data.index(SEPARATOR, 1)
    assert p.returncode == 1 and ids(p) == ["m0", "m1"]
    assert p.stderr.decode().startswith(f"dmarctap: {path}: message 2 at byte {second}: not a report")
    assert p.stderr.count(b"\n") == 1


def test_mbox_bodies_with_from_t_fi_1(tmp_path):
    """A failure report carries its sample as text: From lines in it must neither cut the mail nor change it."""
    report = lf(arf("auth-failure", "x").rstrip()) + b"\n"
    quoted = report.replace(b"\n\n", b"\n\n", 1)
    path = tmp_path / "box"
    path.write_bytes(SEPARATOR + quoted + b"\nFrom here on\n>From there\n\n" + mbox(report_mail("behind")))
    p = run(path)
    data = json.loads(p.stdout)
    assert len(data["failure_reports"]) == 1 and ids(p) == ["behind"]


def test_mbox_content_length_t_fi_2(tmp_path, mails):
    first = lf(mails[0])
    head, _, body = first.partition(b"\n\n")
    path = tmp_path / "box"
    for length in (len(body), 0, 5, len(body) + 40, 10**9, 10**18):
        path.write_bytes(SEPARATOR + head + b"\nContent-Length: %d\n\n" % length + body + b"\n" + mbox(mails[1]))
        p = run(path)
        assert p.returncode == 0 and ids(p) == ["m0", "m1"], length
        p = run("-", stdin=path.read_bytes())
        assert p.returncode == 0 and ids(p) == ["m0", "m1"], length


# A process is charged with what its parent held when it forked, so the one that measures is small.
MEASURE = """import resource, subprocess, sys
status = subprocess.call(sys.argv[2:], stdout=open(sys.argv[1], "w"), stderr=subprocess.DEVNULL)
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def peak(*args, to=os.devnull):
    out = subprocess.check_output([sys.executable, "-c", MEASURE, to, DMARCTAP, "--offline", *map(str, args)], timeout=300 * PATIENCE)
    status, kib = map(int, out.split())
    return status, kib / 1024


def test_mbox_of_2_gib_in_flat_memory_t_fi_3(tmp_path, mails):
    """A hole between two reports: one mail of 2 GiB, which is refused."""
    path = tmp_path / "box"
    with open(path, "wb") as f:
        f.write(mbox(mails[0]) + SEPARATOR + b"Subject: large\n\n")
        f.seek(2 << 30)
        f.write(b"\n\n" + mbox(mails[1]))
    out = tmp_path / "out"
    status, memory = peak(path, to=out)
    assert status == 1 and (SANITIZED or memory < 40)
    assert [r["report_metadata"]["report_id"] for r in json.loads(out.read_text())["aggregate_reports"]] == ["m0", "m1"]


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_memory_does_not_grow_with_the_mbox(tmp_path, mails, jobs):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(mbox(*mails) * 40)
    large.write_bytes(mbox(*mails) * 1200)
    (_, a), (status, b) = peak("-j", jobs, small), peak("-j", jobs, large)
    assert status == 0 and (SANITIZED or (b < 40 and b - a < 12))


def test_crlf_mbox_t_fi_4(tmp_path, mails):
    path = tmp_path / "box"
    path.write_bytes(b"".join(SEPARATOR.replace(b"\n", b"\r\n") + m + b"\r\n" for m in mails))
    assert ids(run(path)) == [f"m{i}" for i in range(9)]


def test_mbox_without_blank_line_empty_and_garbage_t_fi_5(tmp_path, mails):
    path = tmp_path / "box"
    path.write_bytes(mbox(*mails[:2]).rstrip(b"\n"))
    assert ids(run(path)) == ["m0", "m1"]
    for data in (b"", b"\n", b"garbage", b"From me to you\n\nhello\n", random.Random(5).randbytes(100000), SEPARATOR, b"From " * 50000):
        path.write_bytes(data)
        p = run(path, *[path] * 2)
        assert p.returncode == 1 and ids(p) == [] and p.stderr.count(b"\n") == 3


def test_mail_with_from_lines_is_no_mbox_q26_q27(tmp_path, mails):
    path = tmp_path / "one.eml"
    text = lf(mail(body="see below\r\n")) + b"\nFrom me\n\nFrom x@example.com Thu Jan  1 00:00:00 2026\nand so on\n"
    path.write_bytes(text)
    p = run(path)
    assert p.returncode == 1 and p.stderr.decode().startswith(f"dmarctap: {path}: not a report")
    path.write_bytes(SEPARATOR + lf(mails[3]))
    assert ids(run(path)) == ["m3"]
    path.write_bytes(b"From nobody without a date\n" + lf(mails[3]))
    assert ids(run(path)) == ["m3"]
    path.write_bytes(SEPARATOR + text)
    assert run(path).stderr.count(b"\n") == 1


@pytest.mark.parametrize("form", ["lf", "crlf", "bom", "blank"])
def test_forms_of_a_mail_q28_q29_q30(tmp_path, mails, form):
    path = tmp_path / "m.eml"
    message = mails[0]
    path.write_bytes({"lf": lf(message), "crlf": message, "bom": b"\xef\xbb\xbf" + message, "blank": b"\r\n\r\n" + message}[form])
    assert ids(run(path)) == ["m0"]
    path.write_bytes(SEPARATOR + path.read_bytes())
    assert ids(run(path)) == ["m0"]


def test_names_are_never_content_q56(tmp_path, mails):
    """A name that looks like base64, and base64 that looks like a name."""
    path = tmp_path / "H4sIAAAAAAAA"
    path.write_bytes(mails[0])
    assert ids(run(path.name, cwd=tmp_path)) == ["m0"]
    path.write_bytes(str(path).encode())
    p = run(path)
    assert p.returncode == 1 and ids(p) == []


@pytest.mark.parametrize("end", [b"\n", b""])
def test_mail_glued_to_one_that_was_cut_is_told(tmp_path, mails, end):
    first, second = mbox(mails[0]), mbox(mails[1])
    box = tmp_path / "box"
    box.write_bytes(first.rstrip(b"\n") + end + second)
    p = run("-j", "2", box)
    at = len(first.rstrip(b"\n") + end)
    assert f"box: warning: 1 lines look like separators but follow no empty line, and are taken for text; the first at byte {at}\n" in p.stderr.decode()
    box.write_bytes(first + second)
    assert run(box).stderr == b""


def test_large_mail_in_an_mbox(tmp_path, mails):
    large = report_mail("large", packed=report_xml("large", records=4000).encode())
    assert len(large) > 2 << 20
    path = tmp_path / "box"
    path.write_bytes(mbox(mails[0], large, mails[1]))
    for jobs in (1, 3):
        p = run("-j", jobs, path)
        assert p.returncode == 0 and ids(p) == ["m0", "large", "m1"]


# Maildir

def test_maildir(tmp_path, mails):
    box = maildir(tmp_path / "M", new=[("b", mails[1]), ("a", mails[0]), (".x", b"no")],
                  cur=[("d:2,S", mails[3]), ("c:2,", mails[2])], tmp=[("t", mails[4])])
    (box / "dovecot-uidlist").write_text("3 V1")
    maildir(box / ".Sub", cur=[("e:2,RS", mails[5])])
    p = run(box)
    assert p.returncode == 0 and p.stderr == b"" and ids(p) == ["m0", "m1", "m2", "m3"]
    p = run("--recursive", f"{box}/")
    assert p.returncode == 0 and p.stderr == b"" and ids(p) == ["m0", "m1", "m2", "m3", "m5"]


def test_maildir_that_lacks_a_part(tmp_path, mails):
    box = maildir(tmp_path / "M", new=[("a", mails[0])])
    (box / "cur").rmdir()
    p = run(box)
    assert p.returncode == 1 and ids(p) == ["m0"] and b"M/cur: cannot read the directory" in p.stderr


def test_maildir_race_t_fi_6(tmp_path, mails):
    """Another program renames every mail again and again while we read: each is read exactly once."""
    box = maildir(tmp_path / "M", new=[(f"{i:04d}.host", report_mail(f"r{i:04d}")) for i in range(300)])
    stop = threading.Event()

    def rename():
        flags = 0
        while not stop.is_set():
            flags += 1
            for part in ("new", "cur"):
                for name in os.listdir(box / part):
                    base = name.partition(":")[0]
                    os.rename(box / part / name, box / "cur" / f"{base}:2,{'FS'[flags % 2]}")
    thread = threading.Thread(target=rename)
    thread.start()
    try:
        for _ in range(5):
            p = run(box)
            assert p.returncode == 0 and p.stderr == b"" and sorted(ids(p)) == [f"r{i:04d}" for i in range(300)]
    finally:
        stop.set()
        thread.join()


def test_maildir_mail_that_goes_away_is_no_error(tmp_path, mails):
    box = maildir(tmp_path / "M", new=[("a", mails[0]), ("b", mails[1])])
    (box / "new" / "c").symlink_to("nowhere")
    p = run(box)
    assert p.returncode == 0 and ids(p) == ["m0", "m1"]


# directories and patterns

def test_directory(tmp_path, mails):
    top = tmp_path / "d"
    (top / "b").mkdir(parents=True)
    (top / "c.eml").write_bytes(mails[2])
    (top / "a.eml").write_bytes(mails[0])
    (top / "b" / "x").write_bytes(mails[1])
    (top / "box").write_bytes(mbox(mails[3], mails[4]))
    (top / ".hidden").write_bytes(b"no")
    maildir(top / "z", new=[("1", mails[5])], tmp=[("2", mails[6])])
    p = run(top)
    assert p.returncode == 1 and b"is a directory (--recursive" in p.stderr and ids(p) == []
    p = run("--recursive", top)
    assert p.returncode == 0 and p.stderr == b"" and ids(p) == ["m0", "m1", "m3", "m4", "m2", "m5"]


def test_fifo_and_symlink_loop_in_a_directory_t_fi_8(tmp_path, mails):
    top = tmp_path / "d"
    (top / "sub").mkdir(parents=True)
    (top / "sub" / "a").write_bytes(mails[0])
    (top / "sub" / "loop").symlink_to(top)
    (top / "self").symlink_to("self")
    (top / "dangling").symlink_to("nowhere")
    (top / "link").symlink_to(top / "sub" / "a")
    os.mkfifo(top / "fifo")
    (top / "null").symlink_to("/dev/zero")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(top / "socket"))
    p = run("--recursive", top, timeout=20 * PATIENCE)
    server.close()
    assert p.returncode == 0 and p.stderr == b"" and ids(p) == ["m0", "m0"]


def test_directory_too_deep(tmp_path, mails):
    deep = tmp_path
    for _ in range(110):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (tmp_path / "a").write_bytes(mails[0])
    p = run("--recursive", tmp_path)
    assert p.returncode == 1 and ids(p) == ["m0"] and b"nested more than 100 deep" in p.stderr


def test_unreadable_directory_does_not_stop_the_rest(mails):
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        os.mkdir(f"{top}/a", 0)
        pathlib.Path(f"{top}/b").write_bytes(mails[0])
        p = run("--recursive", top, user=65534 if os.geteuid() == 0 else None, cwd="/")
        assert p.returncode == 1 and ids(p) == ["m0"]
        assert p.stderr.decode() == f"dmarctap: {top}/a: cannot read the directory: Permission denied\n"


def test_patterns(tmp_path, mails):
    for i in range(3):
        (tmp_path / f"{i}.eml").write_bytes(mails[i])
    (tmp_path / "x.txt").write_bytes(b"no")
    assert ids(run("*.eml", cwd=tmp_path)) == ["m0", "m1", "m2"]
    assert ids(run("[12].e?l", "0.eml", cwd=tmp_path)) == ["m1", "m2", "m0"]
    p = run("*.xml", "0.eml", cwd=tmp_path)
    assert p.returncode == 1 and ids(p) == ["m0"] and p.stderr == b"dmarctap: *.xml: no file has such a name\n"


def test_name_with_characters_of_a_pattern_is_taken_literally(tmp_path, mails):
    (tmp_path / "[1].eml").write_bytes(mails[0])
    (tmp_path / "1.eml").write_bytes(mails[1])
    (tmp_path / "*").write_bytes(mails[2])
    assert ids(run("[1].eml", cwd=tmp_path)) == ["m0"]
    assert ids(run("*", cwd=tmp_path)) == ["m2"]
    assert sorted(ids(run("?*", cwd=tmp_path))) == ["m0", "m1", "m2"]


# workers

@pytest.fixture(scope="module")
def mixture(tmp_path_factory, mails):
    """Every kind of input, good and bad, large and small."""
    top = tmp_path_factory.mktemp("mixture")
    every = [p for area in CORPUS.iterdir() if area.is_dir() for p in sorted(area.iterdir())
             if p.suffix in (".eml", ".xml", ".gz", ".zip")]
    (top / "box").write_bytes(mbox(*mails, mail(), arf("auth-failure", "f1"), arf("abuse", "a1")) * 60)
    (top / "large.xml").write_text(report_xml("large", records=5000))
    (top / "bad.xml").write_text("<feedback>")
    return [top / "box", *every, top / "large.xml", top / "missing", top / "bad.xml", top / "box", "/nonexistent/*"]


@pytest.mark.parametrize("jobs", [2, 3, 8])
def test_workers_change_nothing(tmp_path, mixture, jobs):
    results = []
    for n in (1, jobs):
        out = tmp_path / str(n)
        p = run("--debug", "-j", n, "-o", out, *mixture)
        files = {str(f.relative_to(out)): f.read_bytes() for f in sorted(out.rglob("*")) if f.is_file()}
        results.append((p.returncode, p.stdout, p.stderr, files))
    one, many = results
    assert one[0] == 1 and len(one[1]) > 1 << 20 and one[2].count(b"\n") > 60
    assert many[0] == one[0], many[2][-4000:]
    assert many[2] == one[2] and many[3] == one[3]
    assert many[1] == one[1]


def test_workers_stop_when_the_output_does(mixture):
    for jobs in (1, 4):
        with open("/dev/full", "wb") as full:
            p = subprocess.run([DMARCTAP, "--offline", "-j", str(jobs), *map(str, mixture)], stdout=full, stderr=subprocess.PIPE, timeout=60 * PATIENCE)
        assert p.returncode == 1 and b"standard output: cannot write: No space left on device" in p.stderr


@pytest.mark.parametrize("jobs", [1, 4])
def test_workers_are_interrupted(tmp_path, mixture, jobs):
    out = tmp_path / "out"
    p = subprocess.Popen([DMARCTAP, "--offline", "-s", "-j", str(jobs), "-o", out, *map(str, mixture), "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20 * PATIENCE
    while not (out.exists() and len(os.listdir(out)) >= 7):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    p.send_signal(signal.SIGTERM)
    assert p.wait(timeout=20 * PATIENCE) == -signal.SIGTERM
    p.stdin.close()
    assert [n for n in os.listdir(out) if n != "samples"] == []


@pytest.mark.parametrize("value", ["0", "65", "-1", "x", "", "1x", "99999999999999999999"])
def test_jobs_out_of_range(value):
    p = run(f"--jobs={value}", "f")
    assert p.returncode == 2 and p.stderr == b"dmarctap: --jobs needs a number from 1 to 64\n"


# kinds

TLS = json.dumps({
    "organization-name": "Example Receiver", "contact-info": "tls@receiver.example", "report-id": "tls-1",
    "date-range": {"start-datetime": "2026-06-01T00:00:00Z", "end-datetime": "2026-06-01T23:59:59Z"},
    "policies": [{"policy": {"policy-type": "sts", "policy-string": ["version: STSv1"], "policy-domain": "example.com", "mx-host": ["mx.example.com"]},
                  "summary": {"total-successful-session-count": 10, "total-failure-session-count": 2},
                  "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.1", "failed-session-count": 2}]}]})


@pytest.fixture
def kinds(tmp_path, mails):
    (tmp_path / "tls.json.gz").write_bytes(gzip.compress(TLS.encode()))
    (tmp_path / "box").write_bytes(mbox(arf("auth-failure", "f1"), mails[0], arf("abuse", "a1"), mails[1]))
    return [tmp_path / "tls.json.gz", tmp_path / "box", tmp_path / "tls.json.gz"]


def test_each_kind_has_its_list(tmp_path, kinds):
    out = tmp_path / "out"
    p = run("-o", out, *kinds)
    data = json.loads(p.stdout)
    assert p.returncode == 0, p.stderr
    assert list(data) == ["aggregate_reports", "failure_reports", "feedback_reports", "smtp_tls_reports"]
    assert [len(v) for v in data.values()] == [2, 1, 1, 2]
    assert p.stdout.decode() == json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    for name, key in (("aggregate", "aggregate_reports"), ("forensic", "failure_reports"), ("feedback", "feedback_reports"),
                      ("smtp_tls", "smtp_tls_reports")):
        assert json.loads((out / f"{name}.json").read_text()) == data[key]
    assert len((out / "forensic.csv").read_bytes().split(b"\r\n")) == 3
    assert len((out / "smtp_tls.csv").read_bytes().split(b"\r\n")) == 2 + 2 * 2
    (sample,) = (out / "samples").iterdir()
    assert sample.suffix == ".eml" and sample.read_text() == data["failure_reports"][0]["sample"]
    before = {f: f.read_bytes() for f in out.rglob("*") if f.is_file()}
    assert run("-s", "-o", out, *kinds).returncode == 0
    assert {f: f.read_bytes() for f in out.rglob("*") if f.is_file()} == before


def test_documented_shape_has_two_lists(tmp_path, kinds):
    out = tmp_path / "out"
    p = run("--compat", "parsedmarc4", "-o", out, *kinds)
    data = json.loads(p.stdout)
    assert list(data) == ["aggregate_reports", "forensic_reports"] and [len(v) for v in data.values()] == [2, 1]
    assert sorted(os.listdir(out)) == ["aggregate.csv", "aggregate.json", "forensic.csv", "forensic.json", "samples"]
    assert p.returncode == 0 and b"dmarctap: 3 reports left out: version 4 has no list" in p.stderr
    assert run("-s", kinds[1]).stderr == b""


def test_samples_of_one_subject_do_not_replace_each_other_q188(tmp_path):
    box, out = tmp_path / "box", tmp_path / "out"
    box.write_bytes(mbox(*(arf("auth-failure", f"f{i}") for i in range(5))))
    assert run("-s", "-o", out, box).returncode == 0
    samples = [f.read_bytes() for f in (out / "samples").iterdir()]
    assert len(samples) == len(set(samples)) == 5
    assert all("/" not in n and not n.startswith(".") and len(n) < 100 for n in os.listdir(out / "samples"))


def test_csv_guard_and_its_switch(tmp_path):
    path = tmp_path / "r.xml"
    path.write_text(report_xml("=1+1"))

    def table(*options):
        assert run("-s", "-o", tmp_path / "out", *options, path).returncode == 0
        return (tmp_path / "out" / "aggregate.csv").read_text()
    assert "'=1+1" in table() and "'=1+1" not in table("--no-csv-guard") and "'=1+1" not in table("--compat", "parsedmarc4")


# trust

AUTHENTICATED = "Authentication-Results: mx.example.org; dmarc=pass header.from=receiver.example\r\n"


def trusted(p):
    return [r["trust"]["trusted"] for r in json.loads(p.stdout)["aggregate_reports"]]


def test_trust(tmp_path):
    box = tmp_path / "box"
    box.write_bytes(mbox(report_mail("good", org="receiver.example", headers=AUTHENTICATED), report_mail("bare", org="receiver.example"),
                         report_mail("forged", org="receiver.example", headers=AUTHENTICATED.replace("mx.", "evil."))))
    assert trusted(run(box)) == [False] * 3
    p = run("--authserv-id", "mx.example.org", box)
    assert ids(p) == ["good", "bare", "forged"] and trusted(p) == [True, False, False]
    p = run("--authserv-id=mx.example.org", "--trusted-only", box)
    assert p.returncode == 0 and ids(p) == ["good"] and p.stderr == b"dmarctap: 2 reports left out: not trusted\n"
    p = run("--trusted-only", box)
    assert p.returncode == 2 and b"needs --authserv-id" in p.stderr


def test_foreign_domains(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text(report_xml("a", domain="mail.example.com"))
    b.write_text(report_xml("b", domain="example.net"))
    def foreign(*options):
        return [r["trust"]["foreign"] for r in json.loads(run(*options, a, b).stdout)["aggregate_reports"]]
    assert foreign() == [False, False]
    assert foreign("--domain", "example.com") == [False, True]
    assert foreign("--domain", "example.org", "--domain=Example.NET") == [True, False]


# the progress bar

def on_terminal(args, stdout, seconds=30):
    """Standard error as a terminal shows it."""
    master, slave = pty.openpty()
    p = subprocess.Popen([DMARCTAP, "--offline", *map(str, args)], stdout=stdout, stderr=slave, stdin=subprocess.DEVNULL)
    os.close(slave)
    seen, end = b"", time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
    os.close(master)
    return p.wait(timeout=10 * PATIENCE), seen


@pytest.fixture(scope="module")
def long_box(tmp_path_factory, mails):
    path = tmp_path_factory.mktemp("long") / "box"
    path.write_bytes((mbox(*mails) + mbox(mail())) * 2000)
    return path


def test_progress_on_a_terminal_only(tmp_path, long_box):
    code, seen = on_terminal([long_box], subprocess.DEVNULL, 120)
    assert code == 1 and b"% " in seen and b" left" in seen and b"B/s" in seen
    # Each message stands on a line of its own, and nothing of the bar is left.
    assert b"dmarctap: " in seen and all(line.endswith(b"mail is a report") or b"\r\x1b[K" in line or line == b""
                                         for line in seen.split(b"\r\n"))
    assert seen.rsplit(b"\r\x1b[K", 1)[1].count(b"%") == 0
    for options in (["--no-progress", long_box], [tmp_path / "none"]):
        assert b"%" not in on_terminal(options, subprocess.DEVNULL, 120)[1]
    assert b"%" not in run(long_box).stderr
