#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the panels of etc/dashboards ask, asked of a real OpenSearch node with our templates and the documents of our output: each
aggregation of Kibana's and OpenSearch Dashboards' objects and of Grafana's queries as these programs put it, and its numbers beside
those that are added up here from the documents. usage: tests/long/boards.py   (TAP_BIN = directory of the programs; needs Maven and a JDK)"""
import datetime
import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [f"{ROOT}/tests", f"{ROOT}/tests/integration", f"{ROOT}/tests/lib"]
import boardfiles  # noqa: E402
import spoolfile  # noqa: E402
from servers.opensearch import OpenSearch  # noqa: E402
from taplib import Site, arf, report_mail, report_xml, tls_mail, wait_for  # noqa: E402

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
KINDS = 'kinds = [ "aggregate", "failure", "smtp_tls" ];'
TIME = {"aggregate": "date_begin", "failure": "arrival_date", "smtp_tls": "date_begin"}
DAY = 86400
MISSING = "__missing__"


def call(node, path, body=None, method=None):
    q = urllib.request.Request(node.url + path, data=json.dumps(body).encode() if body else None, method=method,
                               headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(q, timeout=60) as r:
        return json.load(r)


def ask(node, kind, body):
    """A search over the index pattern of the dashboards, in their span of time."""
    span = {"range": {TIME[kind]: {"gte": "now-3650d", "lte": "now+3650d", "format": "strict_date_optional_time"}}}
    query = {"bool": {"filter": [span, *([body.pop("filter")] if "filter" in body else [])]}}
    answer = call(node, f"/{boardfiles.KINDS[kind]}/_search", {**body, "query": query})
    assert not answer["timed_out"] and answer["_shards"]["failed"] == 0 and answer["_shards"]["total"] > 0, answer["_shards"]
    return answer


# ---- the documents ----

def varied(report_id, domain, begin):
    """Records that differ in everything that panels group by."""
    xml = report_xml(report_id, records=12, domain=domain, begin=begin)
    parts = xml.split("<record>")
    for i in range(1, len(parts)):
        if i % 3 == 0:
            parts[i] = parts[i].replace("<dkim>pass</dkim>", "<dkim>fail</dkim>")
        if i % 4 == 0:
            parts[i] = parts[i].replace("<spf>fail</spf>", "<spf>pass</spf>")
        if i % 5 == 0:
            parts[i] = parts[i].replace("<disposition>none", "<disposition>reject")
        if i % 6 == 0:
            parts[i] = parts[i].replace("<auth_results>", "<auth_results><dkim><domain>list.example.net</domain><selector>k2</selector>"
                                        "<result>fail</result></dkim>")
        if i % 7 == 0:  # neither DKIM nor SPF
            parts[i] = re.sub(r"<dkim>\s*<domain>.*?</dkim>|<spf>\s*<domain>.*?</spf>", "", parts[i], flags=re.S)
            parts[i] = parts[i].replace("<auth_results>", "<auth_results><spf><domain>other.example</domain><result>none</result></spf>")
    return report_mail(report_id, xml="<record>".join(parts))


def fill(node):
    """Reports through the worker into the node. Then what a resolver and address databases would have said of half of the sources, where
    the worker has left it out."""
    now = int(datetime.datetime.now().timestamp()) // DAY * DAY
    with Site(outputs=f'{{ type = "opensearch"; name = "x"; url = [ "{node.url}" ]; replicas = 0; {KINDS} }}') as site:
        subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "outputs", "setup", "x"], check=True, capture_output=True)
        for m in (varied("p1", "example.com", now - 3 * DAY), varied("p2", "example.net", now - 2 * DAY), varied("p3", "sub.example.com", now - DAY),
                  tls_mail("p4"), tls_mail("p5", domain="example.net"), arf("auth-failure", "p6"), arf("auth-failure", "p7")):
            spoolfile.put(site.spool, m, owner=OWNER)
        site.start("dmarctapd")

        def lag():
            """everything is confirmed"""
            p = subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "outputs", "list", "--json"], capture_output=True, text=True, check=True)
            (o,) = json.loads(p.stdout)
            return o["last_success"] and o["lag"] == 0 and o["parked"] == 0 and not site.incoming()
        wait_for(lag, 60)
    documents = {}
    for kind, name in boardfiles.KINDS.items():
        call(node, f"/{name}/_refresh", method="POST")
        hits = call(node, f"/{name}/_search", {"size": 1000})["hits"]["hits"]
        for n, h in enumerate(hits):
            d = h["_source"]
            if kind != "smtp_tls" and n % 2 == 0:
                known = {"source_country": ("DE", "US", "FR")[n % 3], "source_reverse_dns": f"mail{n}.sender.example", "source_base_domain": "sender.example",
                         "source_name": ("Google", "Microsoft")[n // 2 % 2], "source_type": "Email Provider", "source_asn": 64500 + n % 3,
                         "source_as_name": f"Example AS {n % 3}", "source_as_domain": "as.example"}
                d.update({k: v for k, v in known.items() if k not in d})
                call(node, f"/{h['_index']}/_doc/{h['_id']}", d, "PUT")
        call(node, f"/{name}/_refresh", method="POST")
        documents[kind] = [h["_source"] for h in hits]
    assert [len(documents[k]) for k in boardfiles.KINDS] == [36, 2, 4], {k: len(d) for k, d in documents.items()}
    return documents


# ---- the same, added up here ----

def values(doc, path):
    found = [doc]
    for part in path.removesuffix(".keyword").split("."):
        found = [v.get(part) for v in found if isinstance(v, dict)]
        found = [x for v in found for x in (v if isinstance(v, list) else [v]) if x is not None]
    return found


def keys(doc, bucket):
    """In which buckets of an aggregation a document lies."""
    how, rest = next((k, v) for k, v in bucket.items() if k in ("terms", "date_histogram"))
    found = values(doc, rest["field"])
    if how == "date_histogram":
        return {int(datetime.datetime.fromisoformat(v.replace("Z", "+00:00")).timestamp()) // DAY * DAY * 1000 for v in found}
    return {str(v).lower() if isinstance(v, bool) else v for v in found} or ({rest["missing"]} if "missing" in rest else set())


def expected(docs, buckets, metrics):
    out = {}
    for d in docs:
        at = [()]
        for b in buckets:
            at = [(*a, k) for a in at for k in keys(d, b)]
        for a in at:
            sums = out.setdefault(a, [0] * len(metrics))
            for i, m in enumerate(metrics):
                sums[i] += sum(values(d, m)) if m else 1
    return out


def found(aggs, depth, metrics, at=()):
    if depth == 0:
        return {at: [aggs[f"m{i}"]["value"] if m else aggs["doc_count"] for i, m in enumerate(metrics)]}
    out = {}
    for b in aggs["b"]["buckets"]:
        if b["doc_count"]:  # days on which nothing came
            out.update(found(b, depth - 1, metrics, (*at, b.get("key_as_string", b["key"]) if b["key"] in (0, 1) else b["key"])))
    return out


def compare(node, kind, docs, buckets, metrics, query=None):
    """buckets: aggregations from the outermost in; metrics: fields to add up, None = how many documents. Gives the number of rows."""
    sums = {f"m{i}": {"sum": {"field": m}} for i, m in enumerate(metrics) if m}
    inner = dict(sums)
    for b in reversed(buckets):
        inner = {"b": {**b, "aggs": inner} if inner else b, **sums}
    body = {"size": 0, "aggs": inner, **({"filter": query} if query else {})}
    got, want = found(ask(node, kind, body)["aggregations"], len(buckets), metrics), expected(docs, buckets, metrics)
    assert got == want, (got, want)
    for i, m in enumerate(metrics):  # what no document has adds up to nothing, here as there
        assert query or sum(r[i] for r in got.values()) > 0, (m, "is nothing")
    return len(got)


# ---- what each program asks ----

def saved_bucket(a):
    """As Kibana and OpenSearch Dashboards write an aggregation of theirs."""
    p = a["params"]
    if a["type"] == "date_histogram":
        return {"date_histogram": {"field": p["field"], "calendar_interval": "1d", "time_zone": "UTC", "min_doc_count": p["min_doc_count"]}}
    return {"terms": {"field": p["field"], "size": p["size"], "order": {"m0": p["order"]}, **({"missing": MISSING} if p["missingBucket"] else {})}}


def saved(node, documents, flavour):
    with open(f"{ROOT}/etc/dashboards/{flavour}/dmarctap.ndjson", encoding="utf-8") as f:
        reader = boardfiles.Saved(f.read())
    panels = rows = 0
    for kind, title, how, aggs in reader.panels():
        panels += 1
        if how == "samples":
            continue
        metrics = [a["params"].get("field") for a in aggs if a["schema"] == "metric"]
        buckets = [saved_bucket(a) for a in aggs if a["schema"] != "metric"]
        if metrics == [None]:
            for b in buckets:
                b["terms"]["order"] = {"_count": "desc"}
        n = compare(node, kind, documents[kind], buckets, metrics)
        assert n > 0, (title, "no rows")
        rows += n
    for where, kind, field, purpose in reader.uses:
        if where.endswith("-filters") or where.endswith("-samples") and purpose == "show":
            if where.endswith("-filters"):
                n = len(ask(node, kind, {"size": 0, "aggs": {"f": {"terms": {"field": field, "size": 20, "order": {"_count": "desc"}}}}})
                        ["aggregations"]["f"]["buckets"])
            else:
                n = sum(field in h.get("fields", {}) for h in ask(node, kind, {
                    "size": 500, "sort": [{TIME[kind]: {"order": "desc", "unmapped_type": "boolean"}}], "fields": [field]})["hits"]["hits"])
            assert n > 0, (where, field, "nothing")
            rows += n
    print(f"{flavour}: {panels} panels, {rows} rows, as the documents have it")


def grafana_bucket(b):
    if b["type"] == "date_histogram":
        return {"date_histogram": {"field": b["field"], "fixed_interval": b["settings"]["interval"], "time_zone": "UTC",
                                   "min_doc_count": int(b["settings"]["min_doc_count"])}}
    s = b["settings"]
    order = {"_count": s["order"]} if s["orderBy"] == "_count" else {f"m{int(s['orderBy']) - 1}": s["order"]}
    return {"terms": {"field": b["field"], "size": int(s["size"]), "order": order, "min_doc_count": int(s["min_doc_count"]),
                      **({"missing": s["missing"]} if "missing" in s else {})}}


def matches(doc, query, chosen):
    """The queries of our panels: field:value, joined by AND."""
    for part in filter(None, query.split(" AND ")):
        field, value = part.split(":", 1)
        have = {str(v).lower() if isinstance(v, bool) else v for v in values(doc, field)}
        value = chosen.get(value, value)
        if not (have if value == "*" else value.strip('"') in have):
            return False
    return True


def grafana(node, documents, name):
    with open(f"{ROOT}/etc/dashboards/grafana/{name}", encoding="utf-8") as f:
        reader = boardfiles.Grafana(name, f.read())
    kind, rows = reader.kind, 0
    for chosen in ({}, {"$org_name": '"Example Receiver"', "$header_from": '"example.com"', "$policy_domain": '"example.net"', "$spf_aligned": "false"}):
        for title, t in reader.targets:
            asked = re.sub(r"\$\w+", lambda m: chosen.get(m[0], "*"), t["query"])
            docs = [d for d in documents[kind] if matches(d, t["query"], {v: chosen.get(v, "*") for v in re.findall(r"\$\w+", t["query"])})]
            query = {"query_string": {"analyze_wildcard": True, "query": asked or "*"}}
            if t["metrics"][0]["type"] == "raw_data":
                n = len(ask(node, kind, {"size": 500, "filter": query, "sort": [{t["timeField"]: {"order": "desc", "unmapped_type": "boolean"}}]})["hits"]["hits"])
                assert n == len(docs)
            else:
                metrics = [m.get("field") for m in t["metrics"]]
                n = compare(node, kind, docs, [grafana_bucket(b) for b in t["bucketAggs"]], metrics, query)
            assert n > 0 or chosen, (title, "no rows")
            rows += n
    print(f"grafana/{name}: {len(reader.panels)} panels, {rows} rows, as the documents have it")


def main():
    with tempfile.TemporaryDirectory(prefix="dmarctap-boards-") as d, OpenSearch(f"{d}/opensearch") as node:
        documents = fill(node)
        for flavour in ("kibana", "opensearch"):
            saved(node, documents, flavour)
        for name in sorted(os.listdir(f"{ROOT}/etc/dashboards/grafana")):
            grafana(node, documents, name)


if __name__ == "__main__":
    main()
