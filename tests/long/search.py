#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The output opensearch against a real node: templates by `outputs setup`, every kind of report delivered, read back and compared field by
field with the JSON of the same reports, a kill in between, and the rate of many records beside curl with the same bodies made before.
usage: tests/long/search.py [RECORDS [TURNS]]   (100000, 3; TAP_BIN = directory of the programs; needs Maven and a JDK)"""
import json
import os
import pwd
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [f"{ROOT}/tests", f"{ROOT}/tests/integration"]
import spoolfile  # noqa: E402
from servers.httpstub import Stub  # noqa: E402
from servers.opensearch import OpenSearch  # noqa: E402
from taplib import BIN, Site, arf, report_mail, tls_mail, wait_for  # noqa: E402

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
RECORDS = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
TURNS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
BAR = 0.80


def call(node, path, body=None, method=None):
    q = urllib.request.Request(node.url + path, data=json.dumps(body).encode() if body else None, method=method,
                               headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(q, timeout=60) as r:
        return json.load(r)


def count(node, index):
    return call(node, f"/{index}/_count?ignore_unavailable=true")["count"]


def documents(node, index):
    call(node, f"/{index}/_refresh", method="POST")
    return [h["_source"] for h in call(node, f"/{index}/_search", {"size": 1000})["hits"]["hits"]]


def lag(site, name):
    p = subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "outputs", "list", "--json"], capture_output=True, text=True, check=True)
    return next(o["lag"] for o in json.loads(p.stdout) if o["name"] == name)


def same_aggregate(doc, report):
    r, m, p = report["records"][doc["record_index"]], report["report_metadata"], report["policy_published"]
    want = {"org_name": m["org_name"], "org_email": m["org_email"], "report_id": m["report_id"], "xml_schema": report["xml_schema"],
            "date_begin": m["begin_date"].replace(" ", "T") + "Z", "date_end": m["end_date"].replace(" ", "T") + "Z",
            "source_ip_address": r["source"]["ip_address"], "message_count": r["count"], "disposition": r["policy_evaluated"]["disposition"],
            "dkim_aligned": r["alignment"]["dkim"], "spf_aligned": r["alignment"]["spf"], "passed_dmarc": r["alignment"]["dmarc"],
            "header_from": r["identifiers"]["header_from"], "report_uid": report["report_uid"], "revision": report["revision"],
            "envelope_from": r["identifiers"]["envelope_from_effective"]}
    assert {k: doc.get(k) for k in want} == want, (doc, want)
    for k in ("domain", "adkim", "aspf", "p", "sp", "pct", "fo", "np", "testing"):
        assert doc["published_policy"].get(k) == p[k], k
    for kind, label in (("dkim", "selector"), ("spf", "scope")):
        assert [[x[k] for k in ("domain", label, "result")] for x in doc[f"{kind}_results"]] == \
            [[x[k] for k in ("domain", label, "result")] for x in r["auth_results"][kind]]
        assert doc[f"{kind}_results_combined"] == [f"{x[label]} / {x['domain']} / {x['result']}" for x in r["auth_results"][kind]]


def fields(node):
    out = (f'{{ type = "opensearch"; name = "x"; url = "{node.url}"; replicas = 0; strip_payloads = false; '
           'kinds = [ "aggregate", "failure", "smtp_tls", "feedback" ]; }}, {{ type = "json"; name = "j"; path = "@@/store/out.json"; '
           'kinds = [ "aggregate", "failure", "smtp_tls", "feedback" ]; }}').replace("{{", "{").replace("}}", "}")
    with Site() as site:
        with open(site.config, encoding="utf-8") as f:
            text = f.read().replace("outputs: (  )", f"outputs: ( {out} )").replace("@@", site.dir)
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text)
        print(subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "outputs", "setup", "x"], capture_output=True, text=True, check=True).stdout)
        for m in (report_mail("f1", records=20), report_mail("f2", records=1, domain="sub.example.com", org='A "quoted" näme \\ 😀'),
                  tls_mail("f3"), arf("auth-failure", "f4"), arf("abuse", "f5")):
            spoolfile.put(site.spool, m, owner=OWNER)
        log = open(f"{site.dir}/dmarctapd.log", "ab")
        p = subprocess.Popen([f"{site.bin}/dmarctapd", "-c", site.config], stdout=log, stderr=log, start_new_session=True,
                             env=dict(os.environ, TAP_FAULT="sink.confirm:1:kill"))
        assert p.wait(60) == -9
        site.start("dmarctapd")
        wait_for(lambda: lag(site, "x") == 0 and lag(site, "j") == 0, 60)
        with open(f"{site.dir}/store/out.json", encoding="utf-8") as f:
            reports = [json.loads(line) for line in f]
        docs = documents(node, "dmarc_aggregate")
        assert len(docs) == 21, len(docs)
        by_uid = {r["report_uid"]: r for r in reports}
        for d in docs:
            same_aggregate(d, by_uid[d["report_uid"]])
        (f,) = documents(node, "dmarc_forensic")
        r = by_uid[f["report_uid"]]
        assert (f["source_ip_address"], f["domain"], f["delivery_results"], f["sample"]["subject"], f["sample"]["raw"]) == \
            (r["source"]["ip_address"], r["reported_domain"], r["delivery_result"], r["parsed_sample"]["subject"], r["sample"])
        assert len(documents(node, "dmarc_feedback")) == 1
        tls = documents(node, "smtp_tls")
        assert sum(p.get("successful_session_count", 0) for d in tls for p in d["policies"]) == 90 and len(tls) == 2
        hits = call(node, "/dmarc_aggregate/_search", {"size": 0, "query": {"term": {"source_ip_address": "192.0.2.0/24"}},
                                                       "aggs": {"n": {"sum": {"field": "message_count"}}}})
        assert hits["aggregations"]["n"]["value"] == sum(x["count"] for r in reports if r["kind"] == "aggregate" for x in r["records"])
    print("fields: the documents of every kind are those of the JSON, each once, over a kill")


def rate(node):
    node_out = f'{{ type = "opensearch"; name = "x"; url = "{node.url}"; replicas = 0; index_suffix = "rate"; }}'
    with tempfile.TemporaryDirectory() as tmp, Stub("search") as stub, Site() as site:
        with open(site.config, encoding="utf-8") as f:
            plain = f.read()

        def outputs(text):
            with open(site.config, "w", encoding="utf-8") as f:
                f.write(plain.replace("outputs: (  )", f"outputs: ( {text} )"))
        outputs(node_out.replace(node.url, stub.url).replace('"x"', '"premade"'))
        for i in range(max(1, RECORDS // 10000)):
            spoolfile.put(site.spool, report_mail(f"r{i}", records=min(RECORDS, 10000)), owner=OWNER)
        site.start("dmarctapd")
        wait_for(lambda: len(stub.docs) == RECORDS, 300)
        site.kill("dmarctapd", 15)
        bodies = []
        for i, b in enumerate(stub.bodies):
            bodies.append(f"{tmp}/{i}")
            with open(bodies[-1], "wb") as f:
                f.write(b)
        args = ["curl", "-sS", "--fail"]
        for b in bodies:
            args += ["-H", "Content-Type: application/x-ndjson", "--data-binary", f"@{b}", "-o", "/dev/null",
                     f"{node.url}/_bulk?filter_path=errors,items.*.status,items.*.error", "--next"]
        best = {}
        for turn in range(TURNS):
            outputs(node_out)
            if turn == 0:
                subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "outputs", "setup", "x"], check=True, capture_output=True)
            # One name a turn: each turn's sink begins at the beginning.
            outputs(node_out.replace('"x"', f'"x{turn}"'))
            begin = time.monotonic()
            p = site.start("dmarctapd")
            while lag(site, f"x{turn}") > 0:  # seldom: asking costs the machine, too
                assert p.poll() is None and time.monotonic() - begin < 600
                time.sleep(0.4)
            ours = time.monotonic() - begin
            with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
                memory = next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) // 1024
            site.kill("dmarctapd", 15)
            call(node, "/dmarc_aggregate_rate/_refresh", method="POST")
            assert count(node, "dmarc_aggregate_rate") == RECORDS
            call(node, "/dmarc_aggregate_rate", method="DELETE")
            begin = time.monotonic()
            subprocess.run(args[:-1], check=True)
            theirs = time.monotonic() - begin
            call(node, "/dmarc_aggregate_rate/_refresh", method="POST")
            assert count(node, "dmarc_aggregate_rate") == RECORDS
            call(node, "/dmarc_aggregate_rate", method="DELETE")
            print(f"rate: ours {RECORDS / ours:.0f} records/s, curl {RECORDS / theirs:.0f}, ratio {theirs / ours:.2f}, memory {memory} MiB")
            best["ours"], best["theirs"] = min(ours, best.get("ours", ours)), min(theirs, best.get("theirs", theirs))
        ratio = best["theirs"] / best["ours"]
        print(f"rate: best {RECORDS / best['ours']:.0f} records/s, {ratio:.2f} of curl with premade bodies (bar {BAR})")
        assert ratio >= BAR


def main():
    print(f"programs: {BIN}")
    with tempfile.TemporaryDirectory(prefix="dmarctap-search-") as d, OpenSearch(f"{d}/opensearch") as node:
        fields(node)
        rate(node)


if __name__ == "__main__":
    main()
