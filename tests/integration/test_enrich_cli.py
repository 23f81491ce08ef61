# SPDX-License-Identifier: Apache-2.0
"""dmarctap asks who sent it: names in JSON and CSV, each address once, what no server knows, and a server that says nothing."""
import csv
import gzip
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from taplib import BIN, PATIENCE, ROOT, arf, mail, report_mail, report_xml

sys.path.insert(0, os.path.join(ROOT, "tests/servers"))
from dnsserver import DnsServer  # noqa: E402

ALL = "generate PTR 3600\n"


def address(i):
    return f"11.{i >> 16}.{i >> 8 & 255}.{i & 255}"


def name_of(a):
    return f"host-{a.replace('.', '-').replace(':', '-')}.generated.test"


def report(report_id, addresses):
    """A report with a record for each of the addresses."""
    head, rest = report_xml(report_id, 1).split("<record>")
    row, tail = rest.split("</record>")
    return head + "".join("<record>" + row.replace("192.0.2.1<", f"{a}<") + "</record>" for a in addresses) + tail


def write(path, *data):
    path.write_bytes(b"".join(d if isinstance(d, bytes) else d.encode() for d in data))
    return path


def run(*args, code=0, **kw):
    p = subprocess.run([f"{BIN}/dmarctap", *map(str, args)], capture_output=True, timeout=60 * PATIENCE, env=dict(os.environ, TZ="UTC"),
                       check=False, **kw)
    assert p.returncode == code, p.stderr
    return json.loads(p.stdout) if p.stdout else None, p.stderr.decode()


def ask(dns, *args, timeout=5 * PATIENCE, **kw):
    return run("--nameservers", dns.address, "-t", timeout, *args, **kw)


def sources(out):
    return [r["source"] for rep in out["aggregate_reports"] for r in rep["records"]]


def test_names_in_json_and_csv(tmp_path):
    zone = ("8.2.0.11.in-addr.arpa PTR 60 mail.sender.example.com\nmail.sender.example.com A 60 11.0.2.8\n"
            "9.2.0.11.in-addr.arpa PTR 60 claims.example.net\n")
    xml = write(tmp_path / "r.xml", report("names", ["11.0.2.8", "11.0.2.9", "11.0.2.10", "11.0.2.8"]))
    with DnsServer(tmp_path, zone) as dns:
        out, said = ask(dns, "-o", tmp_path / "out", xml)
        assert said == ""
        names = ["mail.sender.example.com", "claims.example.net", None, "mail.sender.example.com"]
        assert [s["reverse_dns"] for s in sources(out)] == names
        with open(tmp_path / "out/aggregate.csv", newline="", encoding="utf-8") as f:
            assert [r["source_reverse_dns"] or None for r in csv.DictReader(f)] == names
        assert json.loads((tmp_path / "out/aggregate.json").read_text()) == out["aggregate_reports"]
        out, said = ask(dns, "--compat", "parsedmarc4", xml)
        assert said == "" and [s["reverse_dns"] for s in sources(out)] == names


def test_the_source_of_a_failure_report(tmp_path):
    eml = write(tmp_path / "f.eml", arf("auth-failure", "who").replace(b"192.0.2.77", b"11.0.2.77"))
    with DnsServer(tmp_path, ALL) as dns:
        out, said = ask(dns, "-o", tmp_path / "out", eml)
        assert said == "" and out["failure_reports"][0]["source"]["reverse_dns"] == name_of("11.0.2.77")
        with open(tmp_path / "out/forensic.csv", newline="", encoding="utf-8") as f:
            assert [r["source_reverse_dns"] for r in csv.DictReader(f)] == [name_of("11.0.2.77")]


def test_t_en_5_a_thousand_records_ask_for_each_address_once(tmp_path):
    xml = write(tmp_path / "r.xml", report("once", [address(i % 20) for i in range(1000)]))
    with DnsServer(tmp_path, ALL) as dns:
        out, said = ask(dns, xml)
        assert said == "" and [s["reverse_dns"] for s in sources(out)] == [name_of(address(i % 20)) for i in range(1000)]
        # the name and its way back; the rest would be repeats of what a busy machine answered late
        assert 40 <= dns.queries() < 60


def test_private_addresses_are_not_asked_for(tmp_path):
    private = ["10.1.2.3", "192.168.0.1", "127.0.0.1", "192.0.2.7", "fd00::1", "fe80::1", "2001:db8::1"]
    xml = write(tmp_path / "r.xml", report("private", private))
    with DnsServer(tmp_path, ALL) as dns:
        out, said = ask(dns, xml)
        assert said == "" and [s["ip_address"] for s in sources(out)] == private
        assert {s["reverse_dns"] for s in sources(out)} == {None} and dns.queries() == 0


@pytest.mark.parametrize("args", [("--offline",), ("-s",), ("--trusted-only", "--authserv-id", "mx.example.org")],
                         ids=["offline", "silent", "left-out"])
def test_nothing_is_asked(tmp_path, args):
    xml = write(tmp_path / "r.xml", report("quiet", [address(i) for i in range(50)]))
    with DnsServer(tmp_path, ALL) as dns:
        out, said = ask(dns, *args, xml)
        assert dns.queries() == 0 and "without the name" not in said
        if args == ("--offline",):
            assert said == "" and len(sources(out)) == 50 and {s["reverse_dns"] for s in sources(out)} == {None}


def test_more_records_than_are_held_back(tmp_path):
    """Three windows of records, and what memory they need is that of one."""
    many = [address(i * 7 % 2000) for i in range(20000)]
    xml = write(tmp_path / "r.xml", report("large", many))
    with DnsServer(tmp_path, ALL) as dns:
        out, said = ask(dns, "-n", dns.address, xml)
        assert said == "" and [s["reverse_dns"] for s in sources(out)] == [name_of(a) for a in many]
        assert dns.queries() < 4000 * 1.5
    offline, _ = run("--offline", xml)
    for o in (out, offline):
        for s in sources(o):
            s.clear()
    assert out == offline


def archive(tmp_path, reports, each):
    """An mbox, with what is no report in between: (its path, the addresses in the order of the output)."""
    body, order = b"", []
    for i in range(reports):
        mine = [address(i * 3 + k) for k in range(each)]
        order += mine
        body += b"From a@b Tue Jun  2 10:00:00 2026\n" + report_mail(f"box{i}", report(f"box{i}", mine)).replace(b"\r\n", b"\n") + b"\n"
        if i % 10 == 5:
            body += b"From a@b Tue Jun  2 10:00:00 2026\n" + mail("no report").replace(b"\r\n", b"\n") + b"\n"
    return write(tmp_path / "a.mbox", body), order


@pytest.mark.parametrize("jobs", [1, 2])
def test_workers_share_what_is_known(tmp_path, jobs):
    mbox, order = archive(tmp_path, 200, 5)
    with DnsServer(tmp_path, ALL, "--delay", 20) as dns:
        out, said = ask(dns, "-j", jobs, mbox, code=1)
        assert said.count("not a report") == said.count("\n") == 20
        assert [s["ip_address"] for s in sources(out)] == order
        assert [s["reverse_dns"] for s in sources(out)] == [name_of(a) for a in order]
        assert dns.queries() < 2 * len(set(order)) * 1.5


def test_many_files_do_not_wait_one_after_the_other(tmp_path):
    files = [write(tmp_path / f"{i}.xml.gz", gzip.compress(report(f"f{i}", [address(i)]).encode())) for i in range(100)]
    with DnsServer(tmp_path, ALL, "--delay", 200) as dns:
        begin = time.monotonic()
        out, said = ask(dns, *files)
        took = time.monotonic() - begin
    assert said == "" and [s["reverse_dns"] for s in sources(out)] == [name_of(address(i)) for i in range(100)]
    assert took < 10 * PATIENCE  # 100 × two questions × 0.2 s = 40 s


@pytest.mark.parametrize("options", [("-j", 1), ("-j", 3), ("--compat", "parsedmarc4"), ("--debug",)], ids=["one", "three", "compat", "debug"])
def test_what_is_held_back_comes_out_as_it_was(tmp_path, options):
    """All samples of the golden tests, the broken ones too; their addresses are for documentation and have no names: the same bytes."""
    files = sorted(p for p in pathlib.Path(ROOT, "tests/corpus").glob("*/*") if p.is_file())
    assert len(files) > 300
    made = {}
    with DnsServer(tmp_path, "") as dns:
        for how in (("--offline",), ("-n", dns.address, "-t", 10)):
            out = tmp_path / how[0]
            p = subprocess.run([f"{BIN}/dmarctap", *map(str, (*how, *options)), "-o", out, *files], capture_output=True, check=False,
                               timeout=120 * PATIENCE, env=dict(os.environ, TZ="UTC"))
            made[how[0]] = (p.returncode, p.stdout, p.stderr, {f: (out / f).read_bytes() for f in os.listdir(out) if (out / f).is_file()},
                            sorted(os.listdir(out / "samples")))
    for now, then in zip(made["-n"], made["--offline"]):
        assert now == then


def test_a_report_that_breaks_off_leaves_nothing_of_it(tmp_path):
    good = write(tmp_path / "good.xml", report("good", [address(1)]))
    bad = write(tmp_path / "bad.zip", b"PK\x03\x04 no archive")
    with DnsServer(tmp_path, ALL) as dns:
        out, said = ask(dns, good, bad, good, code=1)
    assert said.count("\n") == 1 and "bad.zip" in said and len(sources(out)) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_server_that_says_nothing_costs_its_time_once(tmp_path, jobs):
    mbox, order = archive(tmp_path, 200, 5)
    timeout = 0.5 * PATIENCE
    with DnsServer(tmp_path, "", "--silent") as dns:
        begin = time.monotonic()
        out, said = ask(dns, "-j", jobs, mbox, code=1, timeout=timeout)
        took = time.monotonic() - begin
    assert [s["ip_address"] for s in sources(out)] == order and {s["reverse_dns"] for s in sources(out)} == {None}
    assert f"dmarctap: {len(order)} records without the name of who sent them" in said
    assert took < 3 * timeout + 5 * PATIENCE, took


def test_a_name_that_cannot_be_had_is_told_and_others_are_printed(tmp_path):
    xml = write(tmp_path / "r.xml", report("some", ["11.0.2.8", "11.0.2.9"]))
    zone = "8.2.0.11.in-addr.arpa PTR !servfail\n9.2.0.11.in-addr.arpa PTR 60 a.example.com\n"
    with DnsServer(tmp_path, zone) as dns:
        out, said = ask(dns, xml, timeout=1)
    assert [s["reverse_dns"] for s in sources(out)] == [None, "a.example.com"]
    assert said == ("dmarctap: 1 records without the name of who sent them: DNS gave no answer; --offline asks for none\n")


def test_an_interrupt_ends_the_asking(tmp_path):
    xml = write(tmp_path / "r.xml", report("slow", [address(i) for i in range(100)]))
    with DnsServer(tmp_path, "", "--silent") as dns:
        p = subprocess.Popen([f"{BIN}/dmarctap", "-n", dns.address, "-t", "60", "-o", tmp_path / "out", xml], stdout=subprocess.DEVNULL)
        time.sleep(1.0 * PATIENCE)
        assert p.poll() is None
        p.send_signal(signal.SIGINT)
        assert p.wait(20 * PATIENCE) == -signal.SIGINT
    assert os.listdir(tmp_path / "out") == []


def test_several_nameservers_end_where_a_file_begins(tmp_path):
    xml = write(tmp_path / "r.xml", report("several", [address(1)]))
    with DnsServer(tmp_path, ALL) as dns:
        for args in (("-n", dns.address, dns.address, xml), (f"-n{dns.address}", xml), (xml, f"--nameservers={dns.address}", dns.address),
                     ("--dns_timeout", 5 * PATIENCE, "-n", dns.address, "-n", dns.address, xml)):
            out, said = run(*args)
            assert said == "" and sources(out)[0]["reverse_dns"] == name_of(address(1)), args


@pytest.mark.parametrize("args,says", [
    (("-n", "ns.example.com"), "--nameservers needs addresses"),
    (("-n", ""), "--nameservers needs addresses"),
    (("-n", "127.0.0.1:0"), "no address of a server"),
    (("-t", "0"), "--timeout needs seconds from 0.05 to 60"),
    (("-t", "1e3"), "--timeout needs seconds from 0.05 to 60"),
    (("-t", "."), "--timeout needs seconds from 0.05 to 60"),
    (("-t", "60.1"), "--timeout needs seconds from 0.05 to 60"),
    (("--dns_timeout", "x"), "--timeout needs seconds from 0.05 to 60"),
], ids=["name", "empty", "port", "zero", "exponent", "point", "most", "letters"])
def test_wrong_values(tmp_path, args, says):
    xml = write(tmp_path / "r.xml", report("wrong", [address(1)]))
    p = subprocess.run([f"{BIN}/dmarctap", *args, xml], capture_output=True, timeout=60 * PATIENCE, check=False)
    assert p.returncode == 2 and p.stdout == b"" and says in p.stderr.decode() and p.stderr.count(b"\n") == 1
