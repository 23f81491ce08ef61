# SPDX-License-Identifier: Apache-2.0
"""Reports of every kind as text: the documented sample of the reference, key by key and byte by byte, and the outputs json and csv of
the worker over a directory, killed in between."""
import csv
import io
import json
import os
import pathlib
import pwd
import re
import signal
import subprocess

import pytest

import spoolfile
import taplib
from schemacheck import check
from taplib import BIN, ROOT, Site, arf, report_mail, tls_mail, wait_for

SHARED = pathlib.Path(taplib.SHARED)
SAMPLE = SHARED / "samples/failure/DMARC Failure Report for domain.de (mail-from=sharepoint@domain.de, ip=10.10.10.10).eml"
NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
HAVE_SAMPLE = pytest.mark.skipif(not taplib.HAVE_SAMPLES, reason=taplib.NO_SAMPLES)


def dmarctap(*args, zone="America/New_York"):
    p = subprocess.run([f"{BIN}/dmarctap", "--offline", *map(str, args)], capture_output=True, env=dict(os.environ, TZ=zone, LC_ALL="C.UTF-8"),
                       timeout=120, check=False)
    assert p.returncode == 0, p.stderr
    return p.stdout.decode()


def documented():
    """The documentation's sample: JSON and CSV. Its copy has lost line breaks, blanks in a row, and what stood in <…>."""
    text = next((SHARED / "reference").glob("*.txt")).read_text()
    part = text[text.index("Sample forensic report output"):]
    part = part[:part.index("Bug reports")]
    return part[part.index("{"):part.index("CSV ---")].strip(), part[part.index("feedback_type,"):].strip()


def as_the_copy(text):
    """What the copy would be of this text."""
    text = re.sub(r"<[^<>]*>", "", text)
    return re.sub(r"\s+", " ", text).strip()


def raw_sample():
    """The message that the report is about, and its header fields as sent."""
    text = SAMPLE.read_text()
    text = text[text.index("Content-Disposition: inline\n\n") + len("Content-Disposition: inline\n\n"):]
    text = text[:text.index("\n--_----jqB1YyrX3TKBNru++5PX3w===")]
    head = text[:text.index("\n\n")]
    fields = re.findall(r"^([^\s:]+): (.*(?:\n[ \t].*)*)", head, re.M)
    return text, fields


@HAVE_SAMPLE
def test_documented_forensic_sample_json_byte_for_byte():
    out = dmarctap("--compat", "parsedmarc4", SAMPLE)
    assert out.startswith('{\n  "aggregate_reports": [],\n  "forensic_reports": [\n    {\n      "feedback_type"')
    report = out[out.index("    {\n"):out.rindex("\n  ]")]
    report = "\n".join(line[4:] for line in report.split("\n"))
    want, _ = documented()
    # In the copy a Message-ID that holds a blank was not taken for a tag; here it must not be either.
    keep = "<38.E7.30937.BD6E1BB5@ mailrelay.de>"
    assert keep in want
    got = as_the_copy(report.replace(keep, "\0"))
    assert got == re.sub(r"\s+", " ", want.replace(keep, "\0"))
    # Keys and order, and what the copy has lost, from the sample itself.
    pairs = json.loads(report)
    raw, fields = raw_sample()
    assert pairs["sample"] == raw
    parsed = pairs["parsed_sample"]
    assert list(parsed["headers"]) == [name for name, _ in fields]
    for name, value in fields:
        assert parsed["headers"][name] == value.replace("=?utf-8?B?SW50ZXJha3RpdmUgV2V0dGJld2VyYmVyLcOcYmVyc2ljaHQ=?=",
                                                        "Interaktive Wettbewerber-Übersicht")
    assert parsed["body"] == ("<html><head><base href='\nwettbewerb' /></head><body><!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2//EN\">"
                              "<HTML><HEAD><META NAME=\"Generator\" CONTENT=\"MS Exchange Server version 08.01.0240.003\"></html>")
    # As Python's json.dumps prints it, indented by two.
    assert report == json.dumps(pairs, ensure_ascii=False, indent=2)


@HAVE_SAMPLE
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_documented_forensic_sample_csv_byte_for_byte(tmp_path, zone):
    dmarctap("--compat", "parsedmarc4", "-s", "-o", tmp_path, SAMPLE, zone=zone)
    _, want = documented()
    header, row = want.split(" ", 1)
    assert (tmp_path / "forensic.csv").read_bytes().decode() == f"{header}\r\n{row}\r\n"
    assert json.loads((tmp_path / "forensic.json").read_text())[0]["arrival_date_utc"] == "2018-10-01 09:20:27"
    samples = list((tmp_path / "samples").iterdir())
    assert len(samples) == 1 and samples[0].read_text() == raw_sample()[0]
    assert re.fullmatch(r"[0-9a-f]{20}-Subject\.eml", samples[0].name)


def put(site, raw):
    return spoolfile.put(site.spool, raw, owner=OWNER)


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        return [line for line in f if line.endswith("\n")]


def rows(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(io.StringIO(f.read())))


def uid(report):
    return report["report_uid"]


EVERY = {"aggregate": 12, "forensic": 12, "smtp_tls": 12, "feedback": 12}


def complete(folder):
    """each file holds what it is owed"""
    return (all(len(lines(f"{folder}/{name}.json")) == n for name, n in EVERY.items())
            and len(rows(f"{folder}/aggregate.csv")) == 24 and len(rows(f"{folder}/smtp_tls.csv")) == 24
            and len(rows(f"{folder}/forensic.csv")) == 12 and len(rows(f"{folder}/feedback.csv")) == 12)


@pytest.mark.parametrize("fault", [None, "file_sink.write:9:ENOSPC", "file_sink.fsync:5:EIO", "file_sink.write:14:kill",
                                   "file_sink.fsync:3:kill", "store.settle:6:kill"])
def test_worker_writes_every_kind_once(fault):
    with Site() as site:
        out = f"{site.dir}/store/out"
        os.mkdir(out)
        if OWNER:
            os.chown(out, *OWNER)
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  )", f'outputs: ( {{ type = "json"; directory = "{out}"; }}, '
                                 f'{{ type = "csv"; directory = "{out}"; }}, {{ type = "csv"; name = "ruf"; path = "{out}/only.csv"; kinds = "failure"; }} )'))
        for i in range(12):
            put(site, report_mail(f"r{i}", records=2))
            put(site, arf("auth-failure", f"f{i}"))
            put(site, arf("abuse", f"b{i}"))
            put(site, tls_mail(f"t{i}"))
        p = site.start("dmarctapd", {"TAP_FAULT": fault} if fault and not fault.endswith("kill") else None) if not (
            fault or "").endswith("kill") else subprocess.Popen(
                [f"{site.bin}/dmarctapd", "-c", site.config], env=dict(os.environ, TAP_FAULT=fault), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        if (fault or "").endswith("kill"):
            assert p.wait(60) == -signal.SIGKILL
            site.start("dmarctapd")
        wait_for(lambda: complete(out) and len(rows(f"{out}/only.csv")) == 12, 40)
        for name, kind in (("aggregate", "aggregate"), ("forensic", "failure"), ("smtp_tls", "smtp_tls"), ("feedback", "feedback")):
            with open(f"{ROOT}/docs/schema/{kind}.json", encoding="utf-8") as f:
                schema = json.load(f)
            reports = [json.loads(line) for line in lines(f"{out}/{name}.json")]
            assert len({uid(r) for r in reports}) == 12
            for report in reports:
                assert not list(check(report, schema))
        for row in rows(f"{out}/smtp_tls.csv"): # Q206
            assert (row["policy_domain"], row["policy_type"], row["policy_strings"], row["mx_host_patterns"]) == (
                "example.com", "sts", "version: STSv1|mode: testing", "mx.example.com")
        details = [row for row in rows(f"{out}/smtp_tls.csv") if row["row_kind"] == "detail"]
        assert len(details) == 12 and all(r["result_type"] == "certificate-expired" and not r["successful_session_count"] for r in details)
        assert {row["feedback_type"] for row in rows(f"{out}/feedback.csv")} == {"abuse"}
        assert {row["feedback_type"] for row in rows(f"{out}/forensic.csv")} == {"auth-failure"}
        assert sorted(map(uid, rows(f"{out}/only.csv"))) == sorted(map(uid, rows(f"{out}/forensic.csv")))
