#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the samples of tests/corpus/container that are not text: archives of every kind, S/MIME, Outlook messages.
The same bytes every time. usage: make_containers.py DIRECTORY"""
import base64
import bz2
import io
import lzma
import pathlib
import struct
import sys
import tarfile
import zipfile
import zlib

import ole2

REPORT = """<?xml version="1.0" encoding="UTF-8"?>
<feedback>
  <report_metadata><org_name>reporter.example</org_name><email>dmarc@reporter.example</email><report_id>%s</report_id>
    <date_range><begin>1780358400</begin><end>1780444799</end></date_range></report_metadata>
  <policy_published><domain>example.com</domain><adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct></policy_published>
%s</feedback>
"""
RECORD = """  <record><row><source_ip>192.0.2.%d</source_ip><count>%d</count>
      <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>
    <identifiers><header_from>example.com</header_from></identifiers>
    <auth_results><dkim><domain>example.com</domain><selector>s1</selector><result>pass</result></dkim>
      <spf><domain>example.net</domain><result>pass</result></spf></auth_results></record>
"""
TLS = b"""{"organization-name":"Sender Ltd.","date-range":{"start-datetime":"2026-06-02T00:00:00Z","end-datetime":"2026-06-02T23:59:59Z"},
"contact-info":"tls@sender.example","report-id":"tls-in-an-archive","policies":[{"policy":{"policy-type":"sts","policy-domain":"example.com"},
"summary":{"total-successful-session-count":7,"total-failure-session-count":0}}]}
"""


def report(name, records=2):
    return (REPORT % (name, "".join(RECORD % (1 + i % 250, i + 1) for i in range(records)))).encode()


def gzip(data, flags=0, extra=b"", window=-15):
    z = zlib.compressobj(9, zlib.DEFLATED, window)
    return (b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\x02\x03" + extra + z.compress(data) + z.flush()
            + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))


def entry(name, date=(2026, 6, 3, 0, 0, 0), method=zipfile.ZIP_DEFLATED):
    info = zipfile.ZipInfo(name, date)
    info.compress_type = method
    info.external_attr = 0o644 << 16
    return info


def zip_of(*members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in members:
            z.writestr(entry(name, method=method), data)
    return out.getvalue()


class Unseekable(io.RawIOBase):
    """zipfile writes data descriptors to what cannot be rewound."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, b):
        self.data += bytes(b)
        return len(b)


def zip_descriptor(name, data):
    out = Unseekable()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(entry(name), data)
    return out.data


def zip64(name, data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        with z.open(entry(name), "w", force_zip64=True) as f:
            f.write(data)
    return out.getvalue()


def zip_encrypted(name, data):
    """Bit 0 of the flags says that a password is needed; twelve more bytes stand before the data."""
    raw = bytearray(zip_of((name, data), method=zipfile.ZIP_STORED))
    raw[6] |= 1
    at = raw.rindex(b"PK\1\2")
    raw[at + 8] |= 1
    return bytes(raw)


def tar_of(*members, fmt=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.mtime = 1780444800
            if data is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
            else:
                info.size = len(data)
            t.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return out.getvalue()


# --- S/MIME ---

def tlv(tag, data):
    n = len(data)
    if n < 0x80:
        return bytes([tag, n]) + data
    size = (n.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + n.to_bytes(size, "big") + data


def indefinite(tag, data):
    return bytes([tag, 0x80]) + data + b"\0\0"


def pkcs7_type(last):
    return tlv(6, bytes.fromhex("2a864886f70d0107") + bytes([last]))


SHA256 = tlv(0x30, tlv(6, bytes.fromhex("608648016503040201")) + b"\5\0")


def signed(content):
    info = pkcs7_type(1) + (tlv(0xA0, tlv(4, content)) if content is not None else b"")
    data = tlv(2, b"\1") + tlv(0x31, SHA256) + tlv(0x30, info) + tlv(0x31, b"")
    return tlv(0x30, pkcs7_type(2) + tlv(0xA0, tlv(0x30, data)))


def signed_indefinite(content):
    pieces = b"".join(tlv(4, content[i:i + 200]) for i in range(0, len(content), 200))
    info = indefinite(0x30, pkcs7_type(1) + indefinite(0xA0, indefinite(0x24, pieces)))
    data = tlv(2, b"\1") + indefinite(0x31, SHA256) + info + indefinite(0x31, b"")
    return indefinite(0x30, pkcs7_type(2) + indefinite(0xA0, indefinite(0x30, data)))


def enveloped():
    data = tlv(2, b"\0") + tlv(0x31, b"") + tlv(0x30, pkcs7_type(1) + SHA256 + tlv(0x80, b"secret" * 9))
    return tlv(0x30, pkcs7_type(3) + tlv(0xA0, tlv(0x30, data)))


def folded(data):
    text = base64.b64encode(data).decode()
    return "\r\n".join(text[i:i + 76] for i in range(0, len(text), 76))


def mail(content_type, data, name=None, subject="Report Domain: example.com Submitter: reporter.example Report-ID: <1>"):
    disposition = 'Content-Disposition: attachment; filename="%s"\r\n' % name if name else ""
    return ("From: dmarc@reporter.example\r\nTo: reports@example.com\r\nDate: Wed, 03 Jun 2026 00:10:00 +0000\r\n"
            "Message-ID: <1@reporter.example>\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: %s\r\n%s"
            "Content-Transfer-Encoding: base64\r\n\r\n%s\r\n" % (subject, content_type, disposition, folded(data))).encode()


def part(data):
    return ('Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nA report.\r\n--b\r\n'
            'Content-Type: application/gzip; name="r.xml.gz"\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n'
            % folded(data)).encode()


HEADERS = ("Received: from mx.reporter.example by mail.example.com; Wed, 03 Jun 2026 00:10:00 +0000\r\n"
           "From: Reports <dmarc@reporter.example>\r\nTo: reports@example.com\r\n"
           "Subject: Report Domain: example.com\r\n Submitter: reporter.example\r\n"
           "Content-Type: multipart/mixed;\r\n boundary=\"lost\"\r\nMIME-Version: 1.0\r\n\r\n")
NAME = "reporter.example!example.com!1780358400!1780444799"


def archives():
    two = report("gzip-members", 4)
    long_name = "a/" + "very-long-" * 14 + "/" + NAME + ".xml"
    bomb = report("bomb", 1).replace(b"</feedback>", b" " * (9 << 20) + b"</feedback>")
    mixed = zip_of((NAME + ".xml", report("xml-in-a-mixed-zip")), (NAME + ".json", TLS), ("readme.txt", b"Two reports.\n"))
    yield "members.xml.gz", gzip(two[:300]) + gzip(two[300:])
    yield "header-fields.xml.gz", gzip(report("gzip-header-fields"), 4 | 8 | 16, b"\4\0XY\0\0" + b"../../r.xml\0" + b"a comment\0")
    yield "cut-trailer.xml.gz", gzip(report("cut-trailer", 3))[:-8]
    yield "cut-data.xml.gz", gzip(report("cut-data", 60))[:-100]
    yield "gzip-in-gzip.gz", gzip(gzip(report("gzip-in-gzip")))
    yield "gzip-in-zip.zip", zip_of(("r.xml.gz", gzip(report("gzip-in-zip"))))
    yield "zip-in-gzip.gz", gzip(zip_of(("r.xml", report("zip-in-gzip"))))
    yield "four-deep.gz", gzip(gzip(gzip(gzip(report("four-deep")))))
    yield "zlib.xml.gz", zlib.compress(report("zlib"), 9)
    yield "raw-deflate.xml.gz", gzip(report("raw-deflate"))[10:-8]
    yield "bzip2.xml.bz2", bz2.compress(report("bzip2"))
    yield "xz.xml.xz", lzma.compress(report("xz"))
    yield "zstd.xml.zst", b"\x28\xb5\x2f\xfd\x04\x00" + b"\x11\0\0" + b"ab"
    yield "members.zip", zip_of(("one.xml", report("zip-one")), ("two.xml", report("zip-two")))
    yield "directory-first.zip", zip_of(("reports/", b""), ("reports/r.xml", report("directory-first")))
    yield "macosx-first.zip", zip_of(("__MACOSX/._r.xml", b"\0\5\x16\7junk"), (".DS_Store", b"junk"), ("r.xml", report("macosx-first")))
    yield "empty.zip", zip_of()
    yield "self-extractor.exe", b"MZ" + bytes(range(256)) * 24 + zip_of(("r.xml", report("self-extractor")))
    yield "text-before.zip", b"--- sent by a gateway\r\n" + zip_of(("r.xml", report("text-before-zip")))
    yield "bzip2-member.zip", zip_of(("r.xml", report("bzip2-member")), method=zipfile.ZIP_BZIP2)
    yield "lzma-member.zip", zip_of(("r.xml", report("lzma-member")), method=zipfile.ZIP_LZMA)
    yield "descriptor.zip", zip_descriptor("r.xml", report("descriptor"))
    yield "descriptor-cut.zip", zip_descriptor("r.xml", report("descriptor-cut"))[:-60]
    yield "zip64.zip", zip64("r.xml", report("zip64"))
    yield "utf8-name.zip", zip_of(("B\u00fcro/Bericht.xml", report("utf8-name")))
    yield "path.zip", zip_of(("../../etc/cron.d/r.xml", report("path")))
    yield "encrypted.zip", zip_encrypted("r.xml", report("encrypted"))
    yield "mixed.zip", mixed
    yield "gzip-named.zip", gzip(report("gzip-named-zip"))
    yield "zip-named.xml.gz", zip_of(("r.xml", report("zip-named-gz")))
    yield "xml-named.xml.gz", report("xml-named-gz")
    yield "bomb.xml.gz", gzip(bomb)
    yield "several.tar.gz", gzip(tar_of(("reports", None), ("reports/one.xml", report("tar-one")), ("reports/link.xml", "one.xml"),
                                        ("../two.xml.gz", gzip(report("tar-two"))), ("reports/tls.json", TLS)))
    yield "plain.tar", tar_of(("r.xml", report("plain-tar")))
    yield "pax.tar", tar_of((long_name, report("pax-tar")), fmt=tarfile.PAX_FORMAT)
    yield "gnu-long-name.tar", tar_of((long_name, report("gnu-tar")), fmt=tarfile.GNU_FORMAT)
    yield "cut.tar.gz", gzip(tar_of(("r.xml", report("cut-tar", 9)))[:3500])


def mails():
    inside = part(gzip(report("smime-signed")))
    yield "smime-signed.eml", mail("application/pkcs7-mime; smime-type=signed-data; name=smime.p7m", signed(inside), "smime.p7m")
    yield "smime-signed-twice.eml", mail("application/x-pkcs7-mime", signed(mail("application/pkcs7-mime", signed(
        part(gzip(report("smime-signed-twice")))))), "smime.p7m")
    yield "smime-indefinite.p7m", signed_indefinite(part(gzip(report("smime-indefinite"))))
    deep = part(gzip(report("smime-deep")))
    for _ in range(9):
        deep = mail("application/pkcs7-mime", signed(deep))
    yield "smime-deep.eml", deep
    yield "smime-enveloped.eml", mail("application/pkcs7-mime; smime-type=enveloped-data", enveloped(), "smime.p7m", "Encrypted")
    yield "smime-signature.p7s", signed(None)
    yield "smime-cut.p7m", signed(part(gzip(report("smime-cut"))))[:200]
    saved = mail("application/gzip", gzip(report("saved-mail")), NAME + ".xml.gz")
    yield "mail-as-file.eml", mail("application/octet-stream", saved, "fwd.eml", "Fw: report")
    yield "mails.tar.gz", gzip(tar_of(("a.p7m", signed(part(gzip(report("tar-smime"))))), ("b.eml", saved), ("pad", bytes(range(256)) * 99),
                                      ("c.xml", report("behind-mails"))))
    yield "tnef.eml", mail("application/ms-tnef", b"\x78\x9f\x3e\x22\1\0" + b"\0" * 40, "winmail.dat", "Fw: something")


def outlook():
    one = ole2.attachment(NAME + ".xml.gz", gzip(report("outlook")), "application/gzip")
    big = ole2.attachment("big.xml", report("outlook-plain-xml", 40))
    yield "report.msg", ole2.compound(ole2.message(HEADERS, "A report.\r\n", None, [one]))
    yield "several.msg", ole2.compound(ole2.message(HEADERS, "Two reports.\r\n", b"<html>Two reports</html>", [
        ole2.attachment("logo.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "image/png"),
        ole2.attachment("B\u00fcro.zip", zip_of(("r.xml", report("outlook-zip"))), "application/octet-stream"), big]))
    yield "forwarded.msg", ole2.compound(ole2.message(None, "See below.\r\n", None, [ole2.attached_message(
        ole2.message(HEADERS, "A report.\r\n", None, [ole2.attachment("r.xml.gz", gzip(report("outlook-forwarded")))], root=False))],
        subject="Fw: report", sender="admin@example.com"))
    yield "no-header.msg", ole2.compound(ole2.message(None, None, None, [ole2.attachment("r.json", TLS)],
                                                      subject="Report Domain: example.com Submitter: sender.example",
                                                      sender="tls@sender.example"))
    yield "exchange.msg", ole2.compound(ole2.message("Microsoft Mail Internet Headers Version 2.0\r\n" + HEADERS, "A report.\r\n", None, [
        ole2.attachment("r.xml.gz", gzip(report("outlook-exchange")))]))
    yield "text-only.msg", ole2.compound(ole2.message(HEADERS.replace("Report Domain", "Hello"), "No report here.\r\n"))
    yield "office.doc", ole2.compound({"WordDocument": b"\xec\xa5" + b"\0" * 600, "1Table": b"\0" * 5000})
    yield "cut.msg", ole2.compound(ole2.message(HEADERS, "A report.\r\n", None, [big]))[:2048]


def main():
    where = pathlib.Path(sys.argv[1])
    for name, data in [*archives(), *mails(), *outlook()]:
        (where / name).write_bytes(data)


if __name__ == "__main__":
    main()
