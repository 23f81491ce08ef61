#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The power-cut model. Door and worker run under a recorder (powercut.c) while reports are delivered; then, for many points of what was
recorded, the tree that a power cut there could have left is built, the worker is started on it, and
  no report whose delivery had been answered with success is missing, none is doubled
  the store opens, is whole, and holds no partial report
  the output has each record exactly once, whatever had become of file, cursor and state
What a cut leaves, by variant:
  strict   nothing that was not synced: a file has the bytes of its last fsync, a directory the names of its own; an fsync covers what was
           done before it began, and says nothing about the name of its file
  all      everything that was done, synced or not (a kill)
  data     all bytes, and no name that was not synced
  names    all names, and no byte that was not synced
  random   of what was not synced any subset: writes each for itself, also in halves of pages; names each for itself, out of order
usage: powercut.py [--cuts N] [--messages N] [--seed N] [--doors milter,lmtp] [--jobs N]
Exit status 0: every cut passed."""
import argparse
import bisect
import collections
import concurrent.futures
import json
import os
import pwd
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crash_matrix  # noqa: E402
import doors  # noqa: E402
from taplib import BIN, PATIENCE, ROOT, Site, can_connect, report_mail, wait_for  # noqa: E402

CREATE, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK, MKDIR, LINK = range(1, 10)
HEAD = struct.Struct("<IIQQQqIIII")
MAGIC = 0x54415043
VARIANTS = ["strict", "strict", "random", "random", "random", "data", "names", "all"]
PAGE = 4096
Record = collections.namedtuple("Record", "at what ino dir dir2 off name name2 data")


def read_log(path):
    out = []
    with open(path, "rb") as f:
        data = f.read()
    at = 0
    while at < len(data):
        magic, what, ino, folder, dir2, off, name_len, data_len, name2_at, _ = HEAD.unpack_from(data, at)
        assert magic == MAGIC, f"the log is damaged at {at}"
        p = at + HEAD.size
        names = data[p:p + name_len].decode()
        out.append(Record(at, what, ino, folder, dir2, off, names[:name2_at], names[name2_at:], data[p + name_len:p + name_len + data_len]))
        at = p + name_len + data_len
    return out


def apply(content, op):
    """A write (offset, bytes), or a size (None, size), to a bytearray."""
    off, what = op
    if off is None:
        if what <= len(content):
            del content[what:]
        else:
            content.extend(bytes(what - len(content)))
    else:
        if off > len(content):
            content.extend(bytes(off - len(content)))
        content[off:off + len(what)] = what


class File:
    """durable: the bytes of the last sync. pending: what came since, as (record number, operation)."""

    def __init__(self, ino, birth):
        self.durable, self.pending = bytearray(), []
        self.ino, self.birth = ino, birth

    def sync(self, before):
        rest = []
        for number, op in self.pending:
            if number < before:
                apply(self.durable, op)
            else:
                rest.append((number, op))
        self.pending = rest

    def content(self, keep_data, dice):
        out = bytearray(self.durable)
        for _, op in self.pending:
            if keep_data == "none":
                break
            if keep_data == "all":
                apply(out, op)
            elif op[0] is None:
                if dice.random() < 0.5:
                    apply(out, op)
            else:
                # Each page of a write goes to disk by itself.
                off, data = op
                at = 0
                while at < len(data):
                    n = min(PAGE - (off + at) % PAGE, len(data) - at)
                    luck = dice.random()
                    if luck < 0.5:
                        apply(out, (off + at, data[at:at + n]))
                    elif luck < 0.6:
                        apply(out, (off + at, data[at:at + n // 2]))
                    at += n
        return bytes(out)


class Folder:
    """durable: name → object, of the last sync. pending: (record number, name, object or None)."""

    def __init__(self):
        self.durable, self.pending, self.now = {}, [], {}

    def change(self, number, name, obj):
        self.pending.append((number, name, obj))
        if obj is None:
            self.now.pop(name, None)
        else:
            self.now[name] = obj

    @staticmethod
    def put(names, name, obj):
        if obj is None:
            names.pop(name, None)
        else:
            names[name] = obj

    def sync(self, before):
        rest = []
        for number, name, obj in self.pending:
            if number < before:
                self.put(self.durable, name, obj)
            else:
                rest.append((number, name, obj))
        self.pending = rest

    def names(self, keep_names, dice, kept):
        """kept: record numbers whose change of names survived; the two names of one rename share their fate, as in a journal."""
        out = dict(self.durable)
        for number, name, obj in self.pending:
            if keep_names == "none":
                break
            if keep_names == "all" or kept.setdefault(number, dice.random() < 0.5):
                self.put(out, name, obj)
        return out


class Disk:
    """What the records say, up to where it was played."""

    def __init__(self, tree, deaf=()):
        """tree: inode → {name: inode} of the folders that were there, and synced, before the recording began.
        deaf: File, Folder: their syncs are not heard, as of programs that forget them; the checks must see that."""
        self.deaf = tuple(deaf)
        self.by_ino = {ino: Folder() for ino in tree}
        for ino, names in tree.items():
            for name, child in names.items():
                self.by_ino[ino].durable[name] = self.by_ino[ino].now[name] = self.by_ino[child]
        self.begins = {}
        self.number = 0

    def play(self, r):
        n = self.number = self.number + 1
        obj = self.by_ino.get(r.ino)
        folder = self.by_ino.get(r.dir)
        if r.what == SYNC_BEGIN:
            self.begins[r.at] = n
        elif r.what == SYNC_END:
            before = self.begins.pop(r.off, 0)
            if obj is not None and not isinstance(obj, self.deaf):
                obj.sync(before)
        elif r.what == WRITE and isinstance(obj, File):
            obj.pending.append((n, (r.off, r.data)))
        elif r.what == TRUNCATE and isinstance(obj, File):
            obj.pending.append((n, (None, r.off)))
        elif r.what in (CREATE, MKDIR):
            if isinstance(folder, Folder):
                self.by_ino[r.ino] = File(r.ino, r.off) if r.what == CREATE else Folder()
                folder.change(n, r.name, self.by_ino[r.ino])
            else:
                self.by_ino.pop(r.ino, None) # elsewhere, and the inode may have been ours before
        elif r.what == UNLINK and isinstance(folder, Folder):
            folder.change(n, r.name, None)
        elif r.what in (RENAME, LINK) and isinstance(folder, Folder):
            moved = folder.now.get(r.name)
            to = self.by_ino.get(r.dir2)
            if moved is not None and isinstance(to, Folder):
                if r.what == RENAME:
                    folder.change(n, r.name, None)
                to.change(n, r.name2, moved)

    def write(self, root_ino, path, variant, dice, owner):
        """Gives lines of (inode, inode on the disk whose power was cut, birth there) for the outputs, which know their files by that."""
        keep_data = {"strict": "none", "names": "none", "random": "some"}.get(variant, "all")
        keep_names = {"strict": "none", "data": "none", "random": "some"}.get(variant, "all")
        kept, identities = {}, []

        def folder_out(folder, where):
            for name, obj in folder.names(keep_names, dice, kept).items():
                target = f"{where}/{name}"
                if name.endswith("-shm"): # made anew from the log of the store
                    continue
                if isinstance(obj, Folder):
                    os.makedirs(target, exist_ok=True)
                    os.chmod(target, 0o2770 if "/spool" in target else 0o755)
                    folder_out(obj, target)
                else:
                    with open(target, "wb") as f:
                        f.write(obj.content(keep_data, dice))
                    if ".jsonl" in name:
                        identities.append(f"{os.stat(target).st_ino} {obj.ino} {obj.birth}\n")
                    os.chmod(target, 0o640)
                if owner:
                    os.chown(target, *owner)
        folder_out(self.by_ino[root_ino], path)
        return "".join(identities)


def build_recorder(folder):
    out = f"{folder}/powercut.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-std=c17", "-O1", "-shared", "-fPIC", "-o", out, f"{ROOT}/tests/long/powercut.c", "-lpthread"],
                   check=True)
    os.chmod(out, 0o755)
    return out


def snapshot(top):
    tree = {}
    for where, folders, _ in os.walk(top):
        tree[os.stat(where).st_ino] = {f: os.stat(f"{where}/{f}").st_ino for f in folders}
    return tree


class Recording:
    """Deliveries under the recorder. acks: (offset in the log behind which it was answered, name, what)."""

    def __init__(self, kinds, messages, seed):
        self.acks, self.sent = [], []
        self.folder = tempfile.mkdtemp(prefix="dmarctap-powercut-")
        os.chmod(self.folder, 0o755)
        self.recorder = build_recorder(self.folder)
        self.log, lock = f"{self.folder}/log", f"{self.folder}/lock"
        for path, size in ((self.log, 0), (lock, 4096)):
            with open(path, "wb") as f:
                f.write(bytes(size))
            os.chmod(path, 0o666)
        env = {"TAP_POWERCUT_LOG": self.log, "TAP_POWERCUT_LOCK": lock, "LD_PRELOAD": self.recorder}
        dice = random.Random(seed)
        with Site() as site:
            doors.configure(site, kinds)
            self.tree, self.root = snapshot(site.dir), os.stat(site.dir).st_ino
            self.config_of(site)
            worker = site.start("dmarctapd", env)
            crew = [k(site) for k in kinds]
            for d in crew:
                d.start(env) if d.serves else setattr(d, "env", env)
            todo = collections.deque(f"cut-{i}" for i in range(messages))
            lock_ = threading.Lock()

            def work(door, seed_of_thread):
                own = random.Random(seed_of_thread)
                while True:
                    try:
                        name = todo.popleft()
                    except IndexError:
                        return
                    bad = own.random() < 0.1
                    size = own.choice((1, 1, 3, 10, 40, 400))
                    answer = door.deliver(crash_matrix.broken_report(name) if bad else report_mail(name, records=size))
                    with lock_:
                        self.sent.append((name, size))
                        if answer in (doors.ACCEPTED, doors.PASSED):
                            self.acks.append((os.path.getsize(self.log), name, "quarantine" if bad else "store"))
                    # Bursts, and silence in which the store is tidied.
                    time.sleep(own.choice((0, 0, 0, 0.002, 0.02, 0.2)))
            threads = [threading.Thread(target=work, args=(crew[i % len(crew)], dice.random())) for i in range(4)]
            for t in threads:
                t.start()
            while any(t.is_alive() for t in threads):
                time.sleep(dice.uniform(0.3, 1.0))
                # Ends and begins belong to what is recorded.
                if dice.random() < 0.3 and any(t.is_alive() for t in threads):
                    site.kill("dmarctapd", dice.choice((signal.SIGKILL, signal.SIGTERM)))
                    worker = site.start("dmarctapd", env)
            for t in threads:
                t.join()
            wait_for(lambda: not doors.waiting(site), 30)
            time.sleep(1.5)
            assert worker.poll() is None
            site.kill("dmarctapd", signal.SIGTERM)
            for d in crew:
                d.kill(signal.SIGTERM)
        self.records = read_log(self.log)
        self.acks.sort()
        self.sizes = dict(self.sent)

    def config_of(self, site):
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        text = text.replace("outputs: (  )", f'outputs: ( {{ type = "json"; path = "{site.dir}/store/out.jsonl"; }} )')
        # Small enough that checkpoints and restarts of the log happen.
        text = text.replace(f'path = "{site.db}";', f'path = "{site.db}"; wal_limit = 1048576;')
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text)
        self.config, self.site_dir = text, site.dir

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def cuts(self, n, dice):
        """Numbers of records before which the power goes: half of them beside what makes things durable or visible, half anywhere."""
        hot = [i + d for i, r in enumerate(self.records) for d in (0, 1) if r.what in (SYNC_END, RENAME, UNLINK, TRUNCATE, CREATE)]
        ends = [r.at for r in self.records]
        hot += [bisect.bisect_left(ends, at) for at, _, _ in self.acks]
        some = [dice.choice(hot) for _ in range(n // 2)] + [dice.randrange(len(self.records) + 1) for _ in range(n - n // 2)]
        return sorted((c, dice.choice(VARIANTS), dice.randrange(10**9)) for c in some)


def check(recording, bench, top, number):
    """Starts the worker on the tree; None, or what is wrong."""
    at = recording.records[number].at if number < len(recording.records) else os.path.getsize(recording.log)
    acked = {kind: {n for a, n, k in recording.acks if a <= at and k == kind} for kind in ("store", "quarantine")}
    site = bench(top)
    with open(f"{top}/dmarctapd.log", "ab") as log:
        p = subprocess.Popen([f"{site.bin}/dmarctapd", "-c", site.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                             start_new_session=True,
                             env=doors.say({"LD_PRELOAD": recording.recorder, "TAP_POWERCUT_IDENTITY": f"{top}/identities"}))
    try:
        def up():
            """the worker answers"""
            assert p.poll() is None, f"the worker ended with {p.returncode}: {site.log('dmarctapd')[-1500:]}"
            return can_connect(site.control)
        wait_for(up, 20)

        def idle():
            """nothing waits in the spool"""
            return not [f for f in site.incoming() if not f.startswith(".")]
        wait_for(idle, 30)
        wait_for(lambda: site.query("SELECT count(*) FROM sqlite_master")[0][0] > 0)
        stored = collections.Counter(site.report_ids())

        def sent():
            """the output has what the store has"""
            return len(lines(site)) >= len(stored)
        wait_for(sent, 20)
        p.send_signal(signal.SIGTERM)
        if p.wait(30 * PATIENCE) != 0:
            return f"the worker ended with {p.returncode}"
    except AssertionError as e:
        return f"{e}; log: {site.log('dmarctapd')[-600:]}"
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    missing = acked["store"] - set(stored)
    if missing:
        return f"{len(missing)} reports that were answered with success are missing: {sorted(missing)[:3]}"
    if any(n != 1 for n in stored.values()):
        return "a report is stored twice"
    raw = b""
    for name in site.quarantine():
        with open(f"{site.spool}/quarantine/{name}", "rb") as f:
            raw += f.read()
        if not os.path.exists(f"{site.spool}/quarantine/{name[:-4]}.json"):
            return f"{name} is in quarantine without its reason"
    lost = [n for n in acked["quarantine"] if f"Message-ID: <{n}@".encode() not in raw]
    if lost:
        return f"{len(lost)} broken reports that were taken are not in quarantine: {lost[:3]}"
    for report_id, said, real in site.query("SELECT report_id, records, (SELECT count(*) FROM record WHERE record.seq = report.seq) FROM report"):
        if not said == real == recording.sizes[report_id]:
            return f"{report_id} is stored with {real} of {recording.sizes[report_id]} records"
    if site.query("PRAGMA integrity_check") + site.query("PRAGMA foreign_key_check") != [("ok",)]:
        return "the store is damaged"
    out = collections.Counter(r for r, n in lines(site) if n == recording.sizes.get(r, -1))
    if out != stored:
        return f"the output differs: {list((out - stored).items())[:3]} too many, {list((stored - out).items())[:3]} too few"
    return None


def lines(site):
    path, out = f"{site.dir}/store/out.jsonl", []
    if os.path.exists(path):
        with open(path, "rb") as f:
            for line in f.read().split(b"\n")[:-1]:
                try:
                    doc = json.loads(line)
                    out.append((doc["report_metadata"]["report_id"], len(doc["records"])))
                except ValueError:
                    out.append(("a line that is no JSON", -1))
    return out


class Bench(Site):
    """A Site whose tree comes from the disk of the model."""

    def __init__(self, top, config, old_dir, shared_bin): # pylint: disable=super-init-not-called
        self.dir, self.bin = top, shared_bin
        self.config, self.db = f"{top}/dmarctap.conf", f"{top}/store/reports.db"
        self.spool, self.control = f"{top}/spool", f"{top}/run/control.sock"
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(config.replace(old_dir, top))


def run(recording, cuts, jobs, progress, keep=None, deaf=()):
    """Gives [(cut, None or what is wrong)]."""
    nobody = pwd.getpwnam("nobody")
    owner = (nobody.pw_uid, nobody.pw_gid) if os.geteuid() == 0 else None
    base = tempfile.mkdtemp(prefix="dmarctap-cuts-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    os.chmod(base, 0o755)
    shutil.copytree(BIN, f"{base}/bin")
    disk, played, rows, waiting = Disk(recording.tree, deaf), 0, [], set()

    def one(cut, top):
        wrong = check(recording, lambda t: Bench(t, recording.config, recording.site_dir, f"{base}/bin"), top, cut[0])
        if wrong and keep:
            shutil.copytree(top, f"{keep}/{os.path.basename(top)}", dirs_exist_ok=True)
        shutil.rmtree(top, ignore_errors=True)
        return cut, wrong
    try:
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for i, cut in enumerate(cuts):
                while played < cut[0]:
                    disk.play(recording.records[played])
                    played += 1
                top = f"{base}/{i}"
                os.mkdir(top)
                identities = disk.write(recording.root, top, cut[1], random.Random(cut[2]), owner)
                with open(f"{top}/identities", "w", encoding="utf-8") as f:
                    f.write(identities)
                for sub in ("spool", "store", "run"):
                    assert sub == "run" or os.path.isdir(f"{top}/{sub}")
                    os.makedirs(f"{top}/{sub}", exist_ok=True)
                    if owner:
                        os.chown(f"{top}/{sub}", *owner)
                waiting.add(pool.submit(one, cut, top))
                if len(waiting) >= 2 * jobs:
                    done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                    for f in done:
                        rows.append(f.result())
                        progress(*rows[-1])
            for f in waiting:
                rows.append(f.result())
                progress(*rows[-1])
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return rows


def summary(recording, rows):
    by = collections.Counter((c[1], w is None) for c, w in rows)
    kinds = collections.Counter(r.what for r in recording.records)
    out = [f"{len(recording.records)} records ({kinds[WRITE]} writes, {kinds[SYNC_END]} syncs, {kinds[RENAME]} renames, {kinds[UNLINK]} "
           f"unlinks), {len(recording.acks)} deliveries answered with success"]
    out += [f"{v:8}{by[v, True]:6} passed{by[v, False]:6} failed" for v in sorted(set(VARIANTS))]
    out.append(f"{len(rows)} cuts, {sum(w is None for _, w in rows)} passed")
    out += [f"FAILED before record {c[0]}, {c[1]}, seed {c[2]}: {w}" for c, w in rows if w]
    return "\n".join(out)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--cuts", type=int, default=600)
    a.add_argument("--messages", type=int, default=200)
    a.add_argument("--doors", default="all")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--jobs", type=int, default=2)
    a.add_argument("--keep", help="folder for the trees of cuts that failed")
    o = a.parse_args()
    recording = Recording([k for k in doors.chosen(o.doors)], o.messages, o.seed)
    try:
        cuts = recording.cuts(o.cuts, random.Random(o.seed))
        rows = run(recording, cuts, o.jobs, lambda c, w: print(f"{c}: {w}", flush=True) if w else None, o.keep)
        print(f"seed {o.seed}\n{summary(recording, rows)}")
        return 1 if any(w for _, w in rows) else 0
    finally:
        recording.close()


if __name__ == "__main__":
    sys.exit(main())
