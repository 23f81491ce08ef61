# SPDX-License-Identifier: Apache-2.0
"""Writes spool files of format 1 as a door does (docs/formats.md): a second writer, so that a change of the format shows."""
import fcntl
import hashlib
import os
import secrets
import struct
import time

DOORS = ["milter", "lmtp", "pipe", "imap", "import"]
REPORT, NOT_A_REPORT, BROKEN, UNREADABLE = range(4)


def encode(raw, door="milter", fate=REPORT, sender="dmarc@receiver.example", recipients=("reports@dmarctap.test",), client="192.0.2.1",
           queue_id="4ABC", arrival=None, passed_on=False):
    def field(tag, value):
        value = value if isinstance(value, bytes) else value.encode()
        return struct.pack("<BI", tag, len(value)) + value
    envelope = field(1, bytes([DOORS.index(door)])) + field(2, bytes([fate])) + field(3, hashlib.sha256(raw).digest())
    envelope += b"".join(field(4, r) for r in recipients) + field(5, sender) + field(6, client) + field(9, queue_id)
    head = struct.pack("<8sHHIQQQQqQ", b"DMARCTAP", 1, 96, int(passed_on), 96, len(raw), 96 + len(raw), len(envelope),
                       int(arrival or time.time()), 0)
    return head + hashlib.sha256(raw + envelope + head).digest() + raw + envelope


def put(spool, raw, door="milter", data=None, owner=None, **kw):
    """One message into <spool>/incoming/<door>/ as a door does it: hidden name, fsync, rename. Gives its id."""
    folder = f"{spool}/incoming/{door}"
    for d in (f"{spool}/incoming", folder):
        if not os.path.isdir(d):
            os.mkdir(d, 0o2770)
            os.chmod(d, 0o2770)
            if owner is not None:
                os.chown(d, *owner)
    name = f"{int(time.time()):010x}{secrets.token_hex(11)}"
    data = data if data is not None else encode(raw, door, **kw)
    fd = os.open(f"{folder}/.{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # a file that nobody holds is an orphan
        if os.fstat(fd).st_nlink == 0:
            return put(spool, raw, door, data, owner, **kw)
        os.write(fd, data)
        if owner is not None:
            os.fchown(fd, *owner)
        os.fsync(fd)
        os.rename(f"{folder}/.{name}", f"{folder}/{name}.tap")
    finally:
        os.close(fd)
    return name


def waiting(spool):
    """Names of the messages in incoming/, all doors."""
    found = []
    for door in DOORS:
        folder = f"{spool}/incoming/{door}"
        if os.path.isdir(folder):
            found += [n for n in os.listdir(folder) if not n.startswith(".")]
    return found


def quarantined(spool):
    folder = f"{spool}/quarantine"
    return sorted(n[:-4] for n in os.listdir(folder) if n.endswith(".tap")) if os.path.isdir(folder) else []
