# SPDX-License-Identifier: Apache-2.0
"""dmarctap, the command line: options, exit status, inputs of every kind, and outputs that fail."""
import csv
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest

from taplib import BIN, PATIENCE, report_xml

DMARCTAP = f"{BIN}/dmarctap"
SANITIZED = PATIENCE > 1
FILES = ["aggregate.csv", "aggregate.json", "feedback.json", "forensic.csv", "forensic.json", "smtp_tls.csv", "smtp_tls.json"]


def run(*args, stdin=b"", **kw):
    kw.setdefault("timeout", 60 * PATIENCE)
    return subprocess.run([DMARCTAP, "--offline", *map(str, args)], input=stdin, capture_output=True, **kw)


def reports(p):
    return json.loads(p.stdout)["aggregate_reports"]


@pytest.fixture
def xml(tmp_path):
    path = tmp_path / "report.xml"
    path.write_text(report_xml("r1", records=3))
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """About 6 MB of JSON: more than is staged in memory."""
    path = tmp_path_factory.mktemp("large") / "large.xml"
    path.write_text(report_xml("large", records=5000))
    return path


def test_no_argument_is_usage():
    p = subprocess.run([DMARCTAP], capture_output=True, timeout=60 * PATIENCE)
    assert p.returncode == 2 and p.stdout == b"" and b"usage: dmarctap" in p.stderr


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option):
    p = run(option)
    assert p.returncode == 0 and p.stderr == b""
    for name in ("--output DIR", "--offline", "--compat", "--local-time", "--silent", "--debug", "--version"):
        assert name.encode() in p.stdout


def test_help_and_documentation_name_the_same_options():
    options = re.compile(r"(?:(-\w), +)?(--[a-z0-9-]+)(?: ([A-Z]+))?")
    helped = {m.groups() for line in run("--help").stdout.decode().splitlines() if (m := options.match(line.strip()))}
    text = (pathlib.Path(__file__).resolve().parents[2] / "docs/cli.md").read_text()
    rows = [row.split("|")[1].replace("`", "").replace("parsedmarc4", "FORM").strip() for row in text.splitlines() if row.startswith("| `-")]
    documented = {m.groups() for row in rows if (m := options.match(row))}
    assert len(helped) == 20 and documented == helped


@pytest.mark.parametrize("option", ["-v", "--version", "-sv"])
def test_version(option):
    p = run(option)
    assert p.returncode == 0 and p.stdout.startswith(b"dmarctap ")


@pytest.mark.parametrize("args, says", [
    (["--ouput", "x", "f"], "unknown option --ouput; the nearest is --output"),
    (["--silnet", "f"], "the nearest is --silent"),
    (["--localtime", "f"], "the nearest is --local-time"),
    (["-x", "f"], "unknown option -x"),
    (["-sx", "f"], "unknown option -x"),
    (["--compat", "parsedmarc3", "f"], "the nearest is parsedmarc4"),
    (["f", "-o"], "--output needs a value"),
    (["f", "--compat"], "--compat needs a value"),
    (["f", "--output="], "--output needs a directory"),
    (["f", "--silent=yes"], "--silent takes no value"),
    (["-s"], "no file given"),
    (["--"], "no file given"),
    (["--" + "x" * 5000, "f"], "unknown option --xxx"),
    (["--nameserver", "192.0.2.1", "f"], "unknown option --nameserver; the nearest is --nameservers"),
])
def test_usage_errors(args, says):
    p = run(*args)
    assert p.returncode == 2 and p.stdout == b""
    assert p.stderr.startswith(b"dmarctap: ") and says in p.stderr.decode() and p.stderr.count(b"\n") == 1


def test_options_between_and_behind_files(xml, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    p = run(xml, "-s", xml, f"-o{a}")
    assert p.returncode == 0 and p.stdout == b""
    assert len(json.loads((a / "aggregate.json").read_text())) == 2
    assert run("--offline", f"--output={b}", "--silent", xml).returncode == 0
    assert sorted(os.listdir(b)) == FILES


def test_double_dash_ends_options(tmp_path):
    (tmp_path / "-s").write_text(report_xml("dash"))
    p = run("--", "-s", cwd=tmp_path)
    assert p.returncode == 0 and len(reports(p)) == 1


def test_several_inputs_keep_their_order(tmp_path):
    paths = []
    for i in range(5):
        paths.append(tmp_path / f"{i}.xml")
        paths[-1].write_text(report_xml(f"id-{i}"))
    p = run(*paths)
    assert [r["report_metadata"]["report_id"] for r in reports(p)] == [f"id-{i}" for i in range(5)]


def test_what_cannot_be_read_is_named_and_the_rest_printed(xml, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "bad.xml").write_text("<feedback></feedback>")
    p = run(tmp_path / "missing", xml, tmp_path, tmp_path / "empty", tmp_path / "text", tmp_path / "bad.xml", xml)
    assert p.returncode == 1 and len(reports(p)) == 2
    lines = p.stderr.decode().splitlines()
    assert len(lines) == 5
    for line, name, why in zip(lines, ("missing", "", "empty", "text", "bad.xml"),
                               ("No such file", "is a directory", "", "not a report", "broken: ")):
        assert line.startswith(f"dmarctap: {tmp_path}{'/' if name else ''}{name}: ") and why in line


def test_nothing_readable_is_still_json():
    p = run("/nonexistent")
    assert p.returncode == 1 and json.loads(p.stdout) == {"aggregate_reports": [], "failure_reports": [], "feedback_reports": [], "smtp_tls_reports": []}
    p = run("--compat", "parsedmarc4", "/nonexistent")
    assert p.stdout == b'{\n  "aggregate_reports": [],\n  "forensic_reports": []\n}\n'


def test_control_characters_of_names_stay_off_the_terminal(tmp_path):
    name = tmp_path / "a\x1b[31m\nb"
    name.write_text("no report")
    p = run(name)
    assert p.returncode == 1 and b"\x1b" not in p.stderr and p.stderr.count(b"\n") == 1


def test_standard_input(xml):
    p = run("-", stdin=xml.read_bytes())
    assert p.returncode == 0 and reports(p)[0]["report_metadata"]["report_id"] == "r1"
    assert reports(p)[0]["filename"] is None
    p = run("-", stdin=b"nothing")
    assert p.returncode == 1 and p.stderr.startswith(b"dmarctap: standard input: ")


def test_pipe_with_a_name(tmp_path, xml):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(xml.read_bytes()))
    writer.start()
    p = run(fifo)
    writer.join()
    assert p.returncode == 0 and len(reports(p)) == 1


def test_silent_says_only_errors(xml):
    assert run("-s", xml).stdout == b""
    p = run("-s", xml, "/nonexistent")
    assert p.returncode == 1 and p.stdout == b"" and b"/nonexistent: " in p.stderr


def test_debug_tells_what_was_repaired(tmp_path):
    path = tmp_path / "cut.xml"
    text = report_xml("cut", records=2)
    path.write_text(text[:text.rindex("<record>") + 60])
    assert run(path).stderr == b""
    p = run("--debug", path)
    assert p.returncode == 0 and b"warning: " in p.stderr and b"truncated" in p.stderr
    assert reports(p)[0]["truncated"] is True


def test_times(xml):
    def dates(*options, zone):
        m = reports(run(*options, xml, env=dict(os.environ, TZ=zone)))[0]["report_metadata"]
        return m["begin_date"], m["end_date"]
    utc = ("2026-06-02 00:00:00", "2026-06-02 23:59:59")
    tokyo = ("2026-06-02 09:00:00", "2026-06-03 08:59:59")
    assert dates(zone="Asia/Tokyo") == utc
    assert dates("--local-time", zone="Asia/Tokyo") == tokyo
    assert dates("--compat", "parsedmarc4", zone="Asia/Tokyo") == tokyo
    assert dates("--local-time", zone="UTC") == utc


def test_directory_is_made_and_files_are_replaced(xml, tmp_path):
    out = tmp_path / "new"
    for _ in range(2):
        assert run("-s", "-o", out, xml).returncode == 0
    rows = list(csv.reader(open(out / "aggregate.csv", newline="")))
    assert len(rows) == 4 and rows[0][0] == "xml_schema"
    assert (out / "aggregate.csv").read_bytes().count(b"\r\n") == 4
    assert len(json.loads((out / "aggregate.json").read_text())[0]["records"]) == 3
    assert sorted(os.listdir(out)) == FILES
    assert (out / "aggregate.json").stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_output_directory_that_cannot_be(xml, tmp_path):
    (tmp_path / "file").write_text("")
    p = run("-o", tmp_path / "file", xml)
    assert p.returncode == 1 and p.stdout == b"" and b"output directory" in p.stderr
    p = run("-o", tmp_path / "a" / "b", xml)
    assert p.returncode == 1 and b"No such file or directory" in p.stderr


def test_large_report_is_whole(large):
    p = run(large)
    assert p.returncode == 0 and p.stderr == b""
    (report,) = reports(p)
    assert len(p.stdout) > 4 << 20
    assert [r["record_index"] for r in report["records"]] == list(range(5000))
    assert report["totals"]["messages"] == sum(range(1, 5001))


@pytest.mark.parametrize("flags", [os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_APPEND])
def test_large_report_into_a_file(large, xml, tmp_path, flags):
    """A file opened for appending is one that sendfile refuses."""
    path = tmp_path / "out.json"
    fd = os.open(path, flags, 0o600)
    os.write(fd, b"before ")
    assert subprocess.run([DMARCTAP, "--offline", xml, large, xml], stdout=fd, timeout=60 * PATIENCE).returncode == 0
    os.write(fd, b"behind")
    os.close(fd)
    text = path.read_text()
    assert text.startswith("before {") and text.endswith("}\nbehind")
    assert [len(r["records"]) for r in json.loads(text[7:-6])["aggregate_reports"]] == [3, 5000, 3]


def test_slow_reader_gets_everything(large):
    p = subprocess.Popen([DMARCTAP, "--offline", large], stdout=subprocess.PIPE)
    got = b""
    while piece := p.stdout.read1(65536):
        got += piece
        if len(got) < 1 << 20:
            time.sleep(0.002)
    assert p.wait() == 0 and len(json.loads(got)["aggregate_reports"][0]["records"]) == 5000


def test_report_read_twice_is_printed_once(large, xml, tmp_path):
    """A syntax error at the very end: what was staged is dropped, and the report is read again in recovery mode."""
    broken = tmp_path / "broken.xml"
    text = large.read_text()
    broken.write_text(text[:text.rindex("</feedback>")] + "<a & b></feedback>")
    out = tmp_path / "out"
    p = run("-o", out, xml, broken, xml)
    assert p.returncode == 0
    assert [len(r["records"]) for r in reports(p)] == [3, 5000, 3]
    assert reports(p)[1]["recovered"] is True
    assert json.loads((out / "aggregate.json").read_text()) == reports(p)
    assert len((out / "aggregate.csv").read_bytes().splitlines()) == 1 + 3 + 5000 + 3


def test_no_place_for_staging(large, xml):
    p = run(large, env=dict(os.environ, TMPDIR="/nonexistent/dir"))
    assert p.returncode == 1 and b"temporary file for a large report" in p.stderr
    assert run(xml, env=dict(os.environ, TMPDIR="/nonexistent/dir")).returncode == 0


@pytest.mark.parametrize("size", ["small", "large"])
def test_full_device(size, xml, large):
    with open("/dev/full", "wb") as full:
        p = subprocess.run([DMARCTAP, "--offline", xml if size == "small" else large], stdout=full, stderr=subprocess.PIPE, timeout=60 * PATIENCE)
    assert p.returncode == 1
    assert p.stderr == b"dmarctap: standard output: cannot write: No space left on device\n"


def test_reader_that_goes_away(large, xml):
    for path in (xml, large):
        r, w = os.pipe()
        os.close(r)
        p = subprocess.run([DMARCTAP, "--offline", path], stdout=w, stderr=subprocess.PIPE, timeout=60 * PATIENCE)
        os.close(w)
        assert p.returncode == 1 and p.stderr == b"dmarctap: standard output: cannot write: Broken pipe\n"


def test_closed_standard_descriptors(xml, tmp_path):
    out = tmp_path / "out"
    p = subprocess.run(["sh", "-c", 'exec "$0" --offline -o "$1" "$2" >&- <&-', DMARCTAP, out, xml], stderr=subprocess.PIPE, timeout=60 * PATIENCE)
    assert p.returncode == 1 and b"standard output: cannot write" in p.stderr
    assert not out.exists() or os.listdir(out) == []


def test_disk_full_keeps_the_old_files(large, xml, tmp_path):
    out = tmp_path / "out"
    assert run("-s", "-o", out, xml).returncode == 0
    before = {n: (out / n).read_bytes() for n in os.listdir(out)}

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    p = run("-s", "-o", out, large, preexec_fn=limited)
    assert p.returncode == 1 and b"temporary file for a large report: cannot write: File too large" in p.stderr
    assert {n: (out / n).read_bytes() for n in os.listdir(out)} == before
    many = tmp_path / "many.mbox"
    many.write_bytes(b"".join(b"From x@example.com Thu Jan  1 00:00:00 2026\nSubject: %d\n\n" % i + xml.read_bytes() + b"\n"
                              for i in range(400)))
    p = run("-s", "-o", out, many, preexec_fn=limited)
    assert p.returncode == 1 and b"aggregate.json: cannot write: File too large" in p.stderr
    assert {n: (out / n).read_bytes() for n in os.listdir(out)} == before


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_run_leaves_no_files(xml, tmp_path, sig):
    out = tmp_path / "out"
    p = subprocess.Popen([DMARCTAP, "--offline", "-s", "-o", out, xml, "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20 * PATIENCE
    while not (out.exists() and len(os.listdir(out)) == len(FILES)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    p.send_signal(sig)
    assert p.wait(timeout=20 * PATIENCE) == -sig
    p.stdin.close()
    assert os.listdir(out) == []


# A process is charged with what its parent held when it forked, so the one that measures is small.
MEASURE = """import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def test_memory_does_not_grow_with_the_report(tmp_path):
    def peak(records):
        path = tmp_path / f"{records}.xml"
        path.write_text(report_xml("m", records=records))
        out = subprocess.check_output([sys.executable, "-c", MEASURE, DMARCTAP, "--offline", path], timeout=120 * PATIENCE)
        status, kib = map(int, out.split())
        assert status == 0
        return kib / 1024
    small, big = peak(5000), peak(60000)
    # Sanitizers have memory of their own: then only the growth counts.
    assert big - small < 4 * PATIENCE and (SANITIZED or big < 32)
