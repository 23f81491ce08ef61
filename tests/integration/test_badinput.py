# SPDX-License-Identifier: Apache-2.0
"""Input that attacks, and input that is damaged, through the command line: refused with its reason or read as far as it goes, quickly,
in little memory, with nothing opened or fetched. Prints time and peak memory of each."""
import base64
import functools
import gzip
import json
import os
import socket
import struct
import subprocess
import sys
import zlib

import pytest

import taplib

MIB = 1024 * 1024
SANITIZED = os.environ.get("TAP_PRESET") in ("asan", "tsan")
SECONDS = 2.0 * taplib.PATIENCE  # loose: other work shares the machine; the numbers that count are printed
MEMORY = 64 * MIB


# Linux counts the memory of the process that starts a program as the program's own, so a small one starts it.
STARTER = """
import os, subprocess, sys, time
start = time.monotonic()
p = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
_, status, usage = os.wait4(p.pid, 0)
print(os.waitstatus_to_exitcode(status), time.monotonic() - start, usage.ru_maxrss * 1024, file=open(3, "w"))
"""


def dmarctap(path):
    """Exit status, the reports, standard error, seconds, peak bytes."""
    ours, theirs = os.pipe()
    with open(f"{path}.out", "wb") as out, open(f"{path}.err", "wb") as err:
        p = subprocess.Popen([sys.executable, "-S", "-c", f"import os; os.dup2({theirs}, 3)\n{STARTER}", f"{taplib.BIN}/dmarctap",
                              "--offline", os.path.basename(path)], cwd=os.path.dirname(path), stdout=out, stderr=err, pass_fds=[theirs])
    os.close(theirs)
    with open(ours, encoding="ascii") as result:
        code, seconds, memory = result.read().split()
    p.wait()
    with open(f"{path}.out", encoding="utf-8") as out, open(f"{path}.err", encoding="utf-8") as err:
        return int(code), json.load(out)["aggregate_reports"], err.read(), float(seconds), int(memory)


@functools.lru_cache
def bomb(kind):
    """1 GB of blanks inside of a report, or of zeros, as deflate: one block that stands for a MiB, a thousand times."""
    head, fill = {"zeros": (b"", bytes(MIB)), "blanks": (taplib.report_xml("blanks").split("<record>")[0].encode(), b" " * MIB)}[kind]
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = z.compress(head) + z.flush(zlib.Z_FULL_FLUSH)
    block = z.compress(fill) + z.flush(zlib.Z_FULL_FLUSH)
    crc = zlib.crc32(head)
    for _ in range(1000):
        crc = zlib.crc32(fill, crc)
    return first + block * 1000 + z.flush(), crc, len(head) + 1000 * MIB


def gzip_bomb(kind):
    data, crc, size = bomb(kind)
    return b"\x1f\x8b\x08\0\0\0\0\0\2\xff" + data + struct.pack("<LL", crc, size)


def zip_bomb(kind):
    data, crc, size = bomb(kind)
    entry = struct.pack("<HHHLLLLHH", 20, 0, 8, 0, crc, len(data), size, 10, 0)
    local = b"PK\3\4" + entry + b"report.xml" + data
    central = b"PK\1\2\x14\0" + entry + bytes(10) + struct.pack("<L", 0) + b"report.xml"
    return local + central + b"PK\5\6\0\0\0\0\1\0\1\0" + struct.pack("<LLH", len(central), len(local), 0)


def in_mail(kind, data):
    return (f"From: <a@example.net>\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/{kind}\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n").encode() + base64.encodebytes(data)


def with_doctype(doctype, text="x"):
    xml = taplib.report_xml("doctype")
    return xml.replace("<feedback>", f"{doctype}<feedback>").replace("Example Receiver", text).encode()


def laughs():
    entities = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 30))
    return with_doctype(f"<!DOCTYPE feedback [{entities}]>", "&a29;")


def attributes():
    many = " ".join(f'a{i}="b"' for i in range(300000))
    return taplib.report_xml("attributes").replace("<row>", f"<row {many}>").encode()


def part_header():
    return (b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/xml\r\nX-Long: "
            + b"x" * (40 * MIB) + b"\r\n\r\n<feedback/>\r\n--b--\r\n")


REFUSED = {
    "zeros_gzip": (lambda: gzip_bomb("zeros"), "limit ratio"),
    "zeros_zip": (lambda: zip_bomb("zeros"), "limit ratio"),
    "zeros_gzip_mail": (lambda: in_mail("gzip", gzip_bomb("zeros")), "limit ratio"),
    "zeros_zip_mail": (lambda: in_mail("zip", zip_bomb("zeros")), "limit ratio"),
    "blanks_gzip": (lambda: gzip_bomb("blanks"), "limit ratio"),
    "blanks_zip": (lambda: zip_bomb("blanks"), "limit ratio"),
    "blanks_gzip_mail": (lambda: in_mail("gzip", gzip_bomb("blanks")), "limit ratio"),
    "blanks_zip_mail": (lambda: in_mail("zip", zip_bomb("blanks")), "limit ratio"),
    "billion_laughs": (laughs, "DOCTYPE"),
    "deep": (lambda: taplib.report_xml("deep").replace("<row>", "<row>" + "<a>" * 1000000).encode(), "nested deeper"),
    "attributes": (attributes, "attributes in one tag"),
    "deep_multipart": (lambda: b"Subject: x\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(100000)), "limit mime_depth"),
    "many_parts": (lambda: b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 9000000, "limit mime_parts"),
    "many_fields": (lambda: b"X: y\n" * 100000 + b"\nbody\n", "limit header_fields"),
    "part_header": (part_header, "limit header_bytes"),
    "large_mail": (lambda: b"Subject: x\n\n" + b"x" * (51 * MIB), "limit message_bytes"),
}


def check(name, path, reason):
    code, reports, err, seconds, memory = dmarctap(path)
    print(f"{name}: {seconds * 1000:.0f} ms, {memory / MIB:.1f} MiB: {err.strip()}")
    assert code == 1, err
    assert reports == []
    assert reason in err and os.path.basename(path) in err, err
    assert seconds < SECONDS
    assert SANITIZED or memory < MEMORY


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path, name):
    make, reason = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(make())
    check(name, str(path), reason)


def test_header_line_of_2_gb(tmp_path):
    path = tmp_path / "header_line"
    with open(path, "wb") as f:
        f.write(b"Subject: ")
        f.truncate(2 << 30)
    check("header_line", str(path), "limit header_bytes")


def test_nothing_is_fetched_or_opened(tmp_path):
    """Documents that name a file, a FIFO (opening it would hang) and a server: refused, and nobody came."""
    os.mkfifo(tmp_path / "fifo")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        for i, target in enumerate(("file:///etc/passwd", "/etc/passwd", f"file://{tmp_path}/fifo", url)):
            for form in (f'<!DOCTYPE feedback SYSTEM "{target}">', f'<!DOCTYPE feedback [<!ENTITY x SYSTEM "{target}">]>',
                         f'<!DOCTYPE feedback [<!ENTITY % x SYSTEM "{target}"> %x;]>',
                         f'<!DOCTYPE feedback PUBLIC "-//x//y" "{target}" [<!ENTITY x "y">]>'):
                path = tmp_path / f"entity{i}"
                path.write_bytes(with_doctype(form, "&x;"))
                check(f"entity {target}", str(path), "DOCTYPE")
        with pytest.raises(TimeoutError):
            server.accept()


def damaged_gzip(cut=0, crc=0):
    data = bytearray(gzip.compress(taplib.report_xml("damaged", 400).encode()))
    data[-6] ^= crc
    return bytes(data[:len(data) - cut])


def counted(value):
    return taplib.report_xml("count", 3).replace("<count>2<", f"<count>{value}<").encode()


# What it is made of, records that must come out at least, word of the warning.
READ = {
    "cut_gzip": (lambda: damaged_gzip(cut=400), 200, "truncated"),
    "cut_trailer": (lambda: damaged_gzip(cut=4), 400, "cut off"),
    "bad_crc": (lambda: damaged_gzip(crc=1), 400, "incorrect data check"),
    "nul_bytes": (lambda: taplib.report_xml("nul", 3).replace("none", "no\0ne").encode(), 3, "control_characters"),
    "count_1e20": (lambda: counted("100000000000000000000"), 3, "count_clamped"),
    "count_negative": (lambda: counted("-5"), 2, "bad_count"),
}


@pytest.mark.parametrize("name", READ)
def test_read_with_a_warning(tmp_path, name):
    make, records, warning = READ[name]
    path = tmp_path / name
    path.write_bytes(make())
    code, reports, err, seconds, memory = dmarctap(str(path))
    print(f"{name}: {seconds * 1000:.0f} ms, {memory / MIB:.1f} MiB: {err.strip()}")
    assert code == 0, err
    assert len(reports) == 1 and len(reports[0]["records"]) >= records
    assert warning in json.dumps(reports[0]["warnings"])
    assert seconds < SECONDS
    assert SANITIZED or memory < MEMORY


def test_cut_before_the_first_record(tmp_path):
    path = tmp_path / "cut"
    path.write_bytes(gzip.compress(taplib.report_xml("cut").encode())[:-150])
    check("cut", str(path), "broken")
