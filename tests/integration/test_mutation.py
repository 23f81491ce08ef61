# SPDX-License-Identifier: Apache-2.0
"""Random corruption: 10,000 mutated valid mails, made of the corpus. Each must give a report or a named refusal, and never other
numbers without a warning where the damage can be seen (a checksum, an end that is missing). Reading and checking is done by
tests/mutation/mutation.c in one process; the same mails and the same numbers in every run."""
import base64
import gzip
import io
import json
import os
import pathlib
import quopri
import subprocess
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/corpus"
BIN = pathlib.Path(os.environ.get("TAP_BIN", ROOT / "build/dev/bin"))
MUTATION = BIN.parent / "tests/mutation"
SEED, COUNT = 20260601, 10000
HEADER = ("Received: from mx.receiver.example (mx.receiver.example [192.0.2.1])\n"
          "\tby mx.example.com with ESMTPS id 4711; Tue, 2 Jun 2026 03:04:05 +0000\n"
          "From: dmarc-reports@receiver.example\nTo: dmarc@example.com\n"
          "Subject: Report Domain: example.com Submitter: receiver.example Report-ID: <4711>\n"
          "Date: Tue, 2 Jun 2026 03:04:00 +0000\nMessage-ID: <r4711@receiver.example>\nMIME-Version: 1.0\n")
NAME = "receiver.example!example.com!1780272000!1780358399"


def part(kind, name, encoding, body):
    head = f'Content-Type: {kind}; name="{name}"\nContent-Disposition: attachment; filename="{name}"\n'
    return (head + f"Content-Transfer-Encoding: {encoding}\n\n").encode() + body


def mail(*parts):
    body = b"".join(b"--=_b1\n" + p.rstrip(b"\n") + b"\n" for p in parts)
    return (HEADER + 'Content-Type: multipart/mixed; boundary="=_b1"\n\n').encode() + body + b"--=_b1--\n"


def packed_gzip(data, suffix="xml"):
    return part("application/gzip", f"{NAME}.{suffix}.gz", "base64", base64.encodebytes(gzip.compress(data, mtime=0)))


def packed_zip(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for i, data in enumerate(members):
            z.writestr(zipfile.ZipInfo(f"{NAME}!{i}.xml", (2026, 6, 2, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return part("application/zip", f"{NAME}.zip", "base64", base64.encodebytes(out.getvalue()))


def samples(area, suffixes):
    """Samples that give reports, and whether nothing is said of any of them."""
    for path in sorted((CORPUS / area).iterdir()):
        expected = path.with_name(path.name + ".json")
        if path.name.endswith(suffixes) and expected.exists() and path.stat().st_size < 20000:
            data = json.loads(expected.read_text())
            if any(data.values()):
                yield path, not any(r.get("warnings") for kind in data.values() for r in kind)


def mails():
    """(name, kind, bytes) of every mail that is mutated."""
    clean = []
    for path, sound in samples("aggregate", (".xml",)):
        data = path.read_bytes()
        if sound:
            clean.append(data)
        yield f"gzip-{path.stem}", "packed", mail(packed_gzip(data))
        if sound:
            yield f"zip-{path.stem}", "packed", mail(part("text/plain", "hello.txt", "7bit", b"A report.\n"), packed_zip(data))
            yield f"text-{path.stem}", "plain", mail(part("text/xml", f"{NAME}.xml", "8bit", data))
            yield f"quoted-{path.stem}", "plain", mail(part("text/xml", f"{NAME}.xml", "quoted-printable", quopri.encodestring(data)))
            yield f"base64-{path.stem}", "plain", mail(part("application/xml", f"{NAME}.xml", "base64", base64.encodebytes(data)))
    yield "two-members", "packed", mail(packed_zip(*clean[:2]))
    yield "two-parts", "packed", mail(packed_gzip(clean[0]), packed_zip(clean[1]))
    yield "whole-body", "packed", HEADER.encode() + packed_gzip(clean[0])
    for path, sound in samples("smtp_tls", (".json",)):
        if sound:
            yield f"tls-gzip-{path.stem}", "packed", mail(packed_gzip(path.read_bytes(), "json"))
            yield f"tls-{path.stem}", "plain", mail(part("application/tlsrpt+json", "a.json", "8bit", path.read_bytes()))
    for area in ("mime", "container", "failure", "trust", "smtp_tls"):
        for path, _ in samples(area, (".eml", ".gz", ".zip")):
            yield f"{area}-{path.name}", "other", path.read_bytes()


def run(folder, seed, count, arguments):
    return subprocess.run([MUTATION, str(seed), str(count), *arguments], cwd=folder, stdout=subprocess.PIPE, timeout=300)


def test_ten_thousand_mutated_mails(tmp_path):
    arguments = []
    for i, (name, kind, data) in enumerate(mails()):
        (tmp_path / f"{i:04}-{name}").write_bytes(data)
        arguments.append(f"{kind}:{i:04}-{name}")
    assert len(arguments) > 100
    p = run(tmp_path, SEED, COUNT, arguments)
    text = p.stdout.decode("utf-8", "replace")
    assert p.returncode == 0, f"exit status {p.returncode}\n{text[-2000:]}"
    tally = {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1]) for line in text.splitlines()}
    assert sum(tally.values()) == COUNT
    # Some of each kind are still reports and some are refused: the mutations reach what they are meant for.
    for kind in ("flip", "cut", "leave out", "double", "swap", "structure"):
        read = sum(n for k, n in tally.items() if k in (f"{kind}: report", f"{kind}: feedback"))
        refused = sum(n for k, n in tally.items() if k.startswith(f"{kind}: ")) - read
        assert read > 50 and refused > 20, f"{kind}: {read} read, {refused} refused"


def test_the_judge_sees_wrong_numbers(tmp_path):
    """What is said to be packed and is not: a flipped digit must be noticed."""
    data = next(data for name, kind, data in mails() if name.startswith("text-"))
    (tmp_path / "plain.eml").write_bytes(data)
    p = run(tmp_path, SEED, 20000, ["packed:plain.eml"])
    assert p.returncode == 1 and b"other numbers and no warning" in p.stdout
    assert (tmp_path / "mutation.bad").exists()
