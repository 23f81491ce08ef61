# SPDX-License-Identifier: Apache-2.0
"""The dashboards for other programs: they are what tools/dashboards makes, each can be read by the rules of its program, every panel that
was promised is there, and no panel names a field that the worker's outputs do not write."""
import json
import os
import pwd
import re
import subprocess
import sys
import types

import pytest
import spoolfile
from taplib import ROOT, Site, arf, report_mail, tls_mail, wait_for

sys.path[:0] = [f"{ROOT}/tests", f"{ROOT}/tests/lib"]
import boardfiles as boards  # noqa: E402
from servers.httpstub import Stub  # noqa: E402

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
FOLDER = f"{ROOT}/etc/dashboards"
FILES = sorted(os.path.relpath(os.path.join(d, n), FOLDER) for d, _, names in os.walk(FOLDER) for n in names)


def read(name):
    with open(f"{FOLDER}/{name}", encoding="utf-8") as f:
        return f.read()


def reader(name, text=None):
    text = text if text is not None else read(name)
    if name.endswith(".ndjson"):
        return boards.Saved(text)
    return boards.Splunk(text) if name.endswith(".xml") else boards.Grafana(name, text)


def generator():
    with open(f"{ROOT}/tools/dashboards", encoding="utf-8") as f:
        module = types.ModuleType("dashboards")
        module.__file__ = f"{ROOT}/tools/dashboards"
        exec(compile(f.read(), module.__file__, "exec"), module.__dict__)
    return module


# ---- what is written ----

def paths(value, at=""):
    """Every field of a document; those of objects in a list belong to the list ("policies.policy_type")."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from paths(v, f"{at}.{k}" if at else k)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for v in value:
            yield from paths(v, at)
    else:
        yield at


def splunk_paths(value, at=""):
    """As Splunk names the fields of JSON."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from splunk_paths(v, f"{at}.{k}" if at else k)
    elif isinstance(value, list):
        for v in value or [None]:
            yield from splunk_paths(v, at + "{}")
    else:
        yield at


def mapped(kind):
    """Field → its type, as the index template has it."""
    with open(f"{ROOT}/etc/elasticsearch/template-{kind}.json", encoding="utf-8") as f:
        todo, out = list(json.load(f)["template"]["mappings"]["properties"].items()), {}
    while todo:
        name, m = todo.pop()
        todo += [(f"{name}.{k}", v) for key in ("properties", "fields") for k, v in m.get(key, {}).items()]
        if "type" in m:
            out[name] = m["type"]
    return out


@pytest.fixture(scope="module")
def written():
    """(kind → fields of the documents, kind → fields of the events), from a worker with both outputs."""
    kinds = 'kinds = [ "aggregate", "failure", "smtp_tls" ];'
    with Stub("search") as search, Stub("splunk") as splunk, Site(outputs=(
            f'{{ type = "opensearch"; name = "s"; url = [ "{search.url}" ]; {kinds} }}, '
            f'{{ type = "splunk"; name = "p"; url = [ "{splunk.url}" ]; token = "$HEC_TOKEN"; {kinds} }}')) as site:
        for m in (report_mail("b1", records=2), tls_mail("b2"), arf("auth-failure", "b3")):
            spoolfile.put(site.spool, m, owner=OWNER)
        site.start("dmarctapd", env={"HEC_TOKEN": "sesame-token"})
        wait_for(lambda: len(search.docs) == 5 and len(splunk.events) == 5, 30)
        documents, events = {}, {}
        for _, d in search.docs.values():
            documents.setdefault(d["kind"], set()).update(paths(d))
        for e in splunk.events:
            kind = boards.SOURCETYPES[e["sourcetype"]]
            events.setdefault(kind, set()).update(splunk_paths(e["event"]))
        assert not search.wrong and not splunk.wrong
    return documents, events


# A template's type → what a panel may do with a field of it. Strings alone have a bucket for documents without the field.
MAY = {"keyword": {"group", "strings"}, "boolean": {"group"}, "long": {"group", "sum"}, "integer": {"group", "sum"}, "date": {"time"},
       "ip": set(), "text": set()}


def complaints(r, written):
    documents, events = written
    for where, kind, field, purpose in r.uses:
        if isinstance(r, boards.Splunk):
            if field not in events[kind]:
                yield f"{where}: {field} is in no event"
            continue
        types_, plain = mapped(kind), field.removesuffix(".keyword")
        if field not in types_:
            yield f"{where}: {field} is not in the index template"
        elif purpose != "show" and purpose not in MAY[types_[field]]:
            yield f"{where}: {field} is of type {types_[field]}, no good for {purpose}"
        # A document leaves out what the report does not have; the same code writes null into an event.
        if plain not in documents[kind] and plain not in {re.sub(r"\{\}", "", f) for f in events[kind]}:
            yield f"{where}: {field} is in no document"


def test_the_files_are_what_the_generator_makes(tmp_path):
    assert len(FILES) >= 11
    assert generator().files() == {name: read(name) for name in FILES} == generator().files()
    assert subprocess.run([f"{ROOT}/tools/dashboards", "--check"], check=False).returncode == 0
    tool = [f"{ROOT}/tools/dashboards", str(tmp_path)]
    subprocess.run(tool, check=True)
    assert subprocess.run([*tool, "--check"], check=False).returncode == 0
    with open(tmp_path / FILES[0], "a", encoding="utf-8") as f:
        f.write("\n")
    (tmp_path / "more").write_text("x")
    p = subprocess.run([*tool, "--check"], capture_output=True, text=True, check=False)
    assert p.returncode == 1 and p.stdout == f"{FILES[0]}: not as tools/dashboards writes it\nmore: not written by tools/dashboards\n"


@pytest.mark.parametrize("name", FILES)
def test_every_file_reads_and_names_only_fields_that_are_written(name, written):
    r = reader(name)
    assert r.uses and not list(complaints(r, written))


# Feature → (board, title, what shows it, the fields in a search index).
PIE, BARS, TABLE, MAP = "pie", "histogram", "table", "region_map"
PROMISED = {
    "S106": [("aggregate", "SPF alignment", PIE, "spf_aligned")],
    "S107": [("aggregate", "DKIM alignment", PIE, "dkim_aligned")],
    "S108": [("aggregate", "DMARC passage", PIE, "passed_dmarc")],
    "S109": [("aggregate", "DMARC passage over time", BARS, "date_begin passed_dmarc")],
    "S110": [("aggregate", "Message disposition over time", BARS, "date_begin disposition.keyword")],
    "S111": [("aggregate", "Reporting organisations", TABLE, "org_name.keyword")],
    "S112": [("aggregate", "Message sources by reverse DNS base domain", TABLE, "source_base_domain.keyword")],
    "S113": [("aggregate", "Message From-header domains", TABLE, "header_from.keyword")],
    "S114": [("aggregate", "Map of message source countries", MAP, "source_country.keyword"),
             ("aggregate", "Message source countries", TABLE, "source_country.keyword")],
    "S115": [("aggregate", "Message sources by IP address", TABLE, "source_ip_address.keyword")],
    "S116": [("aggregate", "SPF alignment details", TABLE, "spf_results_combined.keyword"),
             ("aggregate", "DKIM alignment details", TABLE, "dkim_results_combined.keyword")],
    "S118": [("failure", "Forensic samples", "samples", ""), ("failure", "Map of forensic sample source countries", MAP, "source_country.keyword"),
             ("failure", "Forensic sample source countries", TABLE, "source_country.keyword"),
             ("failure", "Forensic samples by IP address", TABLE, "source_ip_address.keyword")],
}
ELSEWHERE = {PIE: {"piechart", "pie"}, BARS: {"timeseries", "column"}, TABLE: {"table"}, MAP: {"geomap", "map"}, "samples": {"table"}}


@pytest.mark.parametrize("flavour", ["kibana", "opensearch"])
def test_s106_to_s118_every_panel_is_among_the_saved_objects(flavour):
    r = boards.Saved(read(f"{flavour}/dmarctap.ndjson"))
    panels = {(kind, title): (how, {a["params"].get("field") for a in aggs}) for kind, title, how, aggs in r.panels()}
    for feature, wanted in PROMISED.items():
        for kind, title, how, fields in wanted:
            got = panels.get((kind, title))
            assert got and got[0] == how and got[1] >= set(fields.split()), (feature, title, got)
    titles = [o["attributes"]["title"] for (t, _), o in r.objects.items() if t == "dashboard"]
    assert titles == ["DMARC Summary", "DMARC Forensic Samples", "SMTP TLS Reporting"]  # S105
    assert [o["attributes"]["title"] for (t, _), o in r.objects.items() if t == "index-pattern"] == ["dmarc_aggregate*", "dmarc_forensic*", "smtp_tls*"]
    # S111 to S113: left, centre, right
    board = r.objects["dashboard", "dmarctap-aggregate-board"]
    at = {ref["id"]: p["gridData"] for ref, p in zip(board["references"], json.loads(board["attributes"]["panelsJSON"]))}
    row = [at[f"dmarctap-aggregate-{k}"] for k in ("organisations", "base-domains", "from-domains")]
    assert [b["x"] for b in row] == [0, 16, 32] and len({b["y"] for b in row}) == 1


@pytest.mark.parametrize("name", [n for n in FILES if not n.endswith(".ndjson") and "smtp_tls" not in n])
def test_s119_the_same_panels_are_in_splunk_and_grafana(name):
    r = reader(name)
    titles = {title: how for _, title, how, _ in r.panels}
    for feature, wanted in PROMISED.items():
        for kind, title, how, _ in wanted:
            assert kind != r.kind or titles.get(title) in ELSEWHERE[how], (feature, title)


def test_s120_the_filters_of_splunk():
    wanted = {"aggregate": {"SPF aligned", "DKIM aligned", "Passed DMARC", "Organisation", "Reverse DNS", "From domain", "Envelope from",
                            "Disposition", "IP address", "Country", "Time"},
              "failure": {"From", "To", "Subject", "IP address", "Reverse DNS", "Country", "Time"}}
    for kind, labels in wanted.items():
        assert labels <= set(boards.Splunk(read(f"splunk/{kind}.xml")).filters)


def test_a_prefix_makes_objects_of_their_own():
    text = generator().files(prefix="acme_")["kibana/dmarctap.ndjson"]
    r, plain = boards.Saved(text), boards.Saved(read("kibana/dmarctap.ndjson"))
    assert not r.objects.keys() & plain.objects.keys() and len(r.objects) == len(plain.objects)
    assert {o["attributes"]["title"] for (t, _), o in r.objects.items() if t == "index-pattern"} == {f"acme_{n}" for n in boards.KINDS.values()}


# ---- that these tests can fail ----

WRONG = [("org_name.keyword", "organisation.keyword"), ("organization_name", "org"), ("message_count", "messages"), ("source_country", "country_code"), ("date_begin", "date_start"),
         ("policy_domain", "policydomain"), ("source_ip_address.keyword", "source_ip_address"), ("header_from.keyword", "header_from"),
         ("sample.headers.subject", "sample.subject_line"), ("delivery_results", "delivery_result")]


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_field_is_found(name, written):
    text, tried = read(name), 0
    for right, wrong in WRONG:
        changed = re.sub(rf"(?<![\w]){re.escape(right)}(?![\w])", wrong, text)
        if changed == text:
            continue
        tried += 1
        try:
            assert list(complaints(reader(name, changed), written)), (right, wrong)
        except boards.Broken:
            pass
    assert tried >= 2


def test_a_wrong_shape_is_found():
    def broken(name, old, new):
        text = read(name)
        assert old in text, old
        with pytest.raises(boards.Broken):
            reader(name, text.replace(old, new, 1))

    for flavour in ("kibana", "opensearch"):
        name = f"{flavour}/dmarctap.ndjson"
        broken(name, '"id":"dmarctap-aggregate-countries"', '"id":"dmarctap-aggregate-other"')
        broken(name, '\\"orderBy\\":\\"1\\"', '\\"orderBy\\":\\"7\\"')
        broken(name, '\\"x\\":16', '\\"x\\":15')
        broken(name, "#/view/dmarctap-failure-board", "#/view/nothing")
        broken(name, '\\"type\\":\\"pie\\"', '\\"type\\":\\"cake\\"')
    broken("splunk/aggregate.xml", "| stats sum(message_count)", "| stats median(message_count)")
    broken("splunk/aggregate.xml", "by spf_aligned<", "by spf_passed<")
    broken("splunk/aggregate.xml", 'token="spf_aligned"', 'token="spf"')
    broken("splunk/aggregate.xml", '<search base="base">', '<search base="ground">')
    broken("splunk/failure.xml", 'condition field="IP address"', 'condition field="Address"')
    for kind in ("elasticsearch", "opensearch"):
        broken(f"grafana/{kind}-aggregate.json", "AND org_name.keyword:$org_name", "AND org_name.keyword:$org")
        broken(f"grafana/{kind}-aggregate.json", '"uid": "${source}"', '"uid": "mine"')
        broken(f"grafana/{kind}-aggregate.json", '"Sum": "Messages"', '"Total": "Messages"')
        broken(f"grafana/{kind}-aggregate.json", '"lookup": "Country"', '"lookup": "Land"')
