#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden tests: what dmarctap makes of each sample of tests/corpus is compared with the files beside it, byte for byte.

AREA/SAMPLE               what is read: a mail, a report, an archive
AREA/SAMPLE.json          standard output; missing = no report of any kind may come out
AREA/SAMPLE.err           exit status and standard error; missing = exit status 0 and nothing said
AREA/SAMPLE.csv           the tables of -o that have a row (aggregate.csv, forensic.csv, smtp_tls.csv, one after the other); optional
AREA/SAMPLE.compat.json   standard output with --compat parsedmarc4, TZ=America/New_York; optional
AREA/SAMPLE.compat.csv    the tables of the same; optional
AREA/SAMPLE.args          further arguments for this sample, one a line; optional
AREA/index.tsv            a line for each sample: ids, blank-separated <TAB> file <TAB> what must come out
otherwise.tsv             oddities that are treated otherwise on purpose: ids <TAB> what comes out <TAB> why

Each output is also checked for what must hold for all: the same keys in every report, the total of the counts, and that the
files of -o hold what standard output holds. The index must name every sample, and INDEX.md be made from the indexes as they are.
usage: run.py [--update [--csv] [--compat]] [--index] [SAMPLE…]
  --update   writes the expected files that are missing or differ and prints their names: read them before committing them.
             .csv and .compat.* are made anew only where they exist, or for all named samples with --csv, --compat
  --index    writes tests/corpus/INDEX.md
SAMPLE is a name, AREA/NAME or AREA."""
import concurrent.futures
import csv
import difflib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/corpus"
BIN = os.environ.get("TAP_BIN", str(ROOT / "build/dev/bin"))
SUFFIXES = (".json", ".err", ".csv", ".compat.json", ".compat.csv", ".args")
KINDS = ("aggregate_reports", "failure_reports", "feedback_reports", "smtp_tls_reports")
FILES = {"aggregate_reports": "aggregate.json", "failure_reports": "forensic.json", "forensic_reports": "forensic.json",
         "feedback_reports": "feedback.json", "smtp_tls_reports": "smtp_tls.json"}
TABLES = ("aggregate.csv", "forensic.csv", "smtp_tls.csv")


def samples():
    """Every sample of the corpus: a file that is not beside another one as its expectation."""
    found = []
    for area in sorted(p for p in CORPUS.iterdir() if p.is_dir()):
        names = {p.name for p in area.iterdir() if p.name != "index.tsv"}
        for name in sorted(names):
            if not any(name.endswith(s) and name[: -len(s)] in names for s in SUFFIXES):
                found.append(area / name)
    return found


def beside(path, suffix):
    return path.with_name(path.name + suffix)


def dmarctap(path, out, *options, zone="UTC"):
    env = dict(os.environ, TZ=zone, LC_ALL="C.UTF-8")
    extra = beside(path, ".args")
    if extra.exists():
        options += tuple(extra.read_text().splitlines())
    p = subprocess.run([f"{BIN}/dmarctap", "--offline", *options, "-o", out, path.name], cwd=path.parent, env=env, capture_output=True,
                       timeout=120)
    return p.returncode, p.stdout, p.stderr


def tables(out):
    """The tables of a directory that have a row; the first one when none has."""
    made = [(out / t).read_bytes() for t in TABLES if (out / t).exists()]
    rows = [t for t in made if t.count(b"\n") > 1]
    return b"".join(rows) or b"".join(made[:1])


def outputs(path, wanted):
    """What the sample's expected files should hold: {suffix: bytes}; wanted = the optional ones to make."""
    made = {}
    runs = [("", "UTC", [])]
    if any(s.startswith(".compat") for s in wanted):
        runs.append((".compat", "America/New_York", ["--compat", "parsedmarc4"]))
    with tempfile.TemporaryDirectory() as tmp:
        for suffix, zone, options in runs:
            out = pathlib.Path(tmp) / f"out{suffix}"
            code, stdout, stderr = dmarctap(path, out, *options, zone=zone)
            text = f"exit status {code}\n".encode() + stderr
            data = json.loads(stdout)
            if suffix == "":
                if code or stderr:
                    made[".err"] = text
            elif text != made.get(".err", b"exit status 0\n"):
                raise AssertionError("--compat parsedmarc4 changes exit status or messages:\n" + text.decode())
            if any(data.values()):
                made[f"{suffix}.json"] = stdout
            if f"{suffix}.csv" in wanted:
                made[f"{suffix}.csv"] = tables(out)
            check_files(out, data)
            check_python_form(stdout)
            if suffix == "":
                check_rules(data, (out / "aggregate.csv").read_bytes())
    return made


def check_files(out, data):
    for kind, reports in data.items():
        file = out / FILES[kind]
        if file.exists() and json.loads(file.read_text()) != reports:
            raise AssertionError(f"{file.name} differs from standard output")
        if reports and not file.exists():
            raise AssertionError(f"{file.name} is missing")
    left = [n for n in os.listdir(out) if n.startswith(".") or n.endswith((".part", ".tmp"))]
    if left:
        raise AssertionError(f"files left in the directory: {left}")


def check_python_form(stdout):
    """indent 2 as json.dumps prints it."""
    again = json.dumps(json.loads(stdout), indent=2, ensure_ascii=False) + "\n"
    if again.encode() != stdout:
        raise AssertionError("the layout is not that of json.dumps(indent=2, ensure_ascii=False)")


def keys(value):
    """The names in their order, lists as their first element."""
    if isinstance(value, dict):
        return [(k, keys(v)) for k, v in value.items()]
    return None


def check_rules(data, table):
    if tuple(data) != KINDS:
        raise AssertionError(f"keys of the whole: {list(data)}")
    rows = list(csv.reader(io.StringIO(table.decode(), newline="")))
    if len({len(r) for r in rows}) != 1:
        raise AssertionError("rows with different numbers of cells")
    first_report = first_record = None
    expected_rows = 1
    for report in data["aggregate_reports"]:
        if keys(report) != (first_report := first_report or keys(report)):
            raise AssertionError("reports with different keys")
        records = report["records"]
        expected_rows += max(1, len(records))
        for record in records:
            if keys(record) != (first_record := first_record or keys(record)):
                raise AssertionError("records with different keys")
        totals = report["totals"]
        if totals["records"] != len(records) or totals["messages"] != min(sum(r["count"] for r in records), 2**63 - 1):
            raise AssertionError(f"totals {totals} do not fit the records")
    if len(rows) != expected_rows:
        raise AssertionError(f"{len(rows)} rows in the table, {expected_rows} expected")


def difference(name, want, got):
    def lines(b):
        return b.decode("utf-8", "backslashreplace").replace("\r", "\\r").splitlines(keepends=True)
    return "".join(difflib.unified_diff(lines(want), lines(got), f"expected/{name}", f"now/{name}"))


def check(path, update, also):
    """(what is wrong or None, files written)."""
    wanted = {s for s in SUFFIXES if beside(path, s).exists()} | also
    try:
        made = outputs(path, wanted)
    except (AssertionError, ValueError, OSError, KeyError, subprocess.TimeoutExpired) as e:
        return f"{type(e).__name__}: {e}\n", []
    wrong, written = "", []
    for suffix in SUFFIXES[:-1]:
        file = beside(path, suffix)
        want, got = file.read_bytes() if file.exists() else b"", made.get(suffix, b"")
        if want == got or (suffix not in wanted and suffix.endswith(("csv", "compat.json"))):
            continue
        if not update:
            wrong += difference(file.relative_to(CORPUS), want, got)
        elif got:
            file.write_bytes(got)
            written.append(str(file.relative_to(ROOT)))
        else:
            file.unlink()
            written.append(f"{file.relative_to(ROOT)} (removed)")
    return wrong or None, written


def id_order(name):
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.findall(r"\d+|\D+", name)]


def index_lines(file, cells):
    rows = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        row = line.split("\t")
        if line and not line.startswith("#"):
            if len(row) != cells or not all(row):
                raise AssertionError(f"{file.relative_to(ROOT)}:{number}: {cells} cells separated by tabs expected")
            rows.append(row)
    return rows


def index_text():
    """INDEX.md, as the indexes of the areas say."""
    table = []
    for file in sorted(CORPUS.glob("*/index.tsv")):
        for ids, name, what in index_lines(file, 3):
            table += [(i, f"{file.parent.name}/{name}", what) for i in ids.split()]
    otherwise = [(i, what, why) for ids, what, why in index_lines(CORPUS / "otherwise.tsv", 3) for i in ids.split()]

    def cell(text):
        return text.replace("|", "\\|").replace("<", "&lt;")

    def rows(lines):
        return "".join("| " + " | ".join(cell(c) for c in row) + " |\n" for row in sorted(lines, key=lambda r: (id_order(r[0]), r[1])))
    return ("# The corpus\n\nMade by `tests/golden/run.py --index` from the `index.tsv` of each area; change those.\n\n"
            "Each sample is written for this project. What `dmarctap` must make of it stands beside it: `SAMPLE.json`, and\n"
            "`SAMPLE.err` when something is refused; `tests/golden/run.py` compares. Q are oddities of real reports, T cases of the\n"
            "standards; a T that has no sample has a test function of that name.\n\n"
            "## Samples\n\n| id | sample | what must come out |\n| --- | --- | --- |\n" + rows(table)
            + "\n## Treated otherwise on purpose\n\n| id | what comes out | why |\n| --- | --- | --- |\n" + rows(otherwise))


def check_index(write):
    """A list of what is wrong with the indexes."""
    wrong = []
    for area in sorted(p for p in CORPUS.iterdir() if p.is_dir()):
        there = {p.name for p in samples() if p.parent == area}
        file = area / "index.tsv"
        if not file.exists():
            if there:
                wrong.append(f"{file.relative_to(ROOT)} is missing")
            continue
        try:
            named = [row[1] for row in index_lines(file, 3)]
        except AssertionError as e:
            wrong.append(str(e))
            continue
        wrong += [f"{area.name}/index.tsv names {n}, which is not a sample" for n in sorted(set(named) - there)]
        wrong += [f"{area.name}/{n} has no line in index.tsv" for n in sorted(there - set(named))]
    if not wrong:
        text = index_text()
        index = CORPUS / "INDEX.md"
        if write and (not index.exists() or index.read_text() != text):
            index.write_text(text)
            print("wrote tests/corpus/INDEX.md")
        elif not write and index.read_text() != text:
            wrong.append("tests/corpus/INDEX.md is not up to date: tests/golden/run.py --index")
    return wrong


def main():
    options = {a for a in sys.argv[1:] if a.startswith("--")}
    wanted = {a.strip("/") for a in sys.argv[1:] if not a.startswith("--")}
    if options - {"--update", "--csv", "--compat", "--index"}:
        print(__doc__)
        return 2
    passed = failed = 0
    if not (options == {"--index"} and not wanted):
        paths = [p for p in samples() if not wanted or wanted & {p.name, p.parent.name, f"{p.parent.name}/{p.name}"}]
        also = {".csv"} if "--csv" in options else set()
        also |= {".compat.json", ".compat.csv"} if "--compat" in options else set()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            results = list(pool.map(lambda p: check(p, "--update" in options, also), paths))
        for path, (wrong, written) in zip(paths, results):
            for name in written:
                print(f"wrote {name}")
            passed, failed = passed + (wrong is None), failed + (wrong is not None)
            if wrong is not None:
                print(f"FAILED golden {path.relative_to(CORPUS)}\n{wrong}")
    if not wanted:
        wrong = check_index("--index" in options)
        for text in wrong:
            print(f"FAILED golden index: {text}")
        passed, failed = passed + (not wrong), failed + len(wrong)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
