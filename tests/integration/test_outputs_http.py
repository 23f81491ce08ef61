# SPDX-License-Identifier: Apache-2.0
"""Outputs over HTTP behind a real worker: everything that a peer can do wrong, and kills of the worker. Search clusters get each document
exactly once; Splunk and webhooks at least once, exactly once after de-duplication."""
import json
import os
import pwd
import subprocess
import sys

import pytest
import spoolfile
from taplib import PATIENCE, ROOT, Site, free_port, report_mail, report_xml, tls_mail, wait_for

sys.path.insert(0, f"{ROOT}/tests")
from servers.httpstub import Stub, basic  # noqa: E402

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
TIMEOUT = f'timeout = "{2 * PATIENCE}s";'


def entry(kind, name, url, text=""):
    urls = ", ".join(f'"{u}"' for u in ([url] if isinstance(url, str) else url))
    urls = urls if kind == "webhook" else f"[ {urls} ]"
    token = 'token = "$HEC_TOKEN";' if kind == "splunk" else ""
    return f'{{ type = "{kind}"; name = "{name}"; url = {urls}; {token} {TIMEOUT} {text} }}'


def got(stub):
    """(record, revision) of what arrived, as often as it did"""
    found = [d for _, d in stub.docs.values()] if stub.kind == "search" else [e["event"] for e in stub.events] or stub.items
    return [(d["report_uid"], d["record_index"], d["revision"]) for d in found]


def ctl(site, *args, status=0):
    p = subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, *args], capture_output=True, text=True, timeout=60,
                       env=dict(os.environ, **ENV), check=False)
    assert p.returncode == status, (args, p.stdout, p.stderr)
    return p.stdout + p.stderr


def fare(site, name):
    return next(o for o in json.loads(ctl(site, "outputs", "list", "--json")) if o["name"] == name)


def deliver(site, *names, **kw):
    for name in names:
        spoolfile.put(site.spool, report_mail(name, **kw), owner=OWNER)


ENV = {"HEC_TOKEN": "sesame-token", "HOOK_SECRET": "sesame-secret", "SEARCH_PASSWORD": 'se"sa:me%41'}
TROUBLES = {"reset": ["reset"], "half": ["half"], "timeout": ["hang"], "busy": [503], "throttled": [(429, {"Retry-After": "1"})], "late": [("late", 503)],
            "auth": [401], "garbage": ["garbage"], "slow": ["slow"]}
TYPES = {"search": "opensearch", "splunk": "splunk", "webhook": "webhook"}


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_t_es_1_t_sp_4_t_sp_5_every_trouble_of_a_peer_ends_well_and_hurts_no_other(kind):
    stubs = {name: Stub(kind, plan) for name, plan in TROUBLES.items()}
    more = 'batch = 100;' if kind == "webhook" else ""
    try:
        with Site(outputs=", ".join(entry(TYPES[kind], n, s.url, more) for n, s in stubs.items())) as site:
            deliver(site, "a", records=120)
            site.start("dmarctapd", env=ENV)
            for name, stub in stubs.items():
                wait_for(lambda s=stub: len(set(got(s))) == 120, 40)
                wait_for(lambda n=name: fare(site, n)["lag"] == 0, 20)
                assert not stub.wrong, (name, stub.wrong)
                if kind == "search":
                    assert len(stub.writes) == 120  # exactly once, whatever was sent twice
            listed = {n: fare(site, n) for n in stubs}
            for name, said in (("busy", "503"), ("auth", "401"), ("throttled", "429"), ("garbage", "answer is not")):
                if not (kind == "webhook" and name == "garbage"):  # any 2xx is a yes
                    assert said in listed[name]["last_error"], listed[name]
            assert all(f["parked"] == 0 and f["last_success"] for f in listed.values())
            assert "sesame" not in site.log("dmarctapd")
    finally:
        for stub in stubs.values():
            stub.close()


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_t_es_2_t_sp_2_one_item_of_many_is_refused_parked_and_named(kind):
    def bad(doc):
        return 400 if doc["record_index"] == 317 else 0

    more = 'batch = 500;' if kind == "webhook" else ""
    with Stub(kind, refuse=bad) as stub, Site(outputs=entry(TYPES[kind], "x", stub.url, more)) as site:
        deliver(site, "a", records=500)
        site.start("dmarctapd", env=ENV)
        wait_for(lambda: len(got(stub)) == 499, 30)
        wait_for(lambda: fare(site, "x")["parked"] == 1, 10)
        assert len(set(got(stub))) == 499 and not stub.wrong
        (item,) = json.loads(ctl(site, "outbox", "list", "x", "--json"))[0]["items"]
        assert item["state"] == "parked" and "400" in item["reason"], item
        if kind == "search":
            assert "mapper_parsing_exception: failed to parse, made to fail" in item["reason"]


def test_t_es_2_items_that_are_to_be_tried_again_go_alone():
    left = [3]

    def busy(doc):
        if doc["record_index"] % 50 == 7 and left[0] > 0:
            left[0] -= 1
            return 429
        return 0

    with Stub("search", refuse=busy) as stub, Site(outputs=entry("elasticsearch", "x", stub.url)) as site:
        deliver(site, "a", records=150)
        site.start("dmarctapd", env=ENV)
        wait_for(lambda: len(got(stub)) == 150, 30)
        assert len(stub.writes) == 150 and not stub.wrong
        sizes = sorted(b.count(b'"_index"') for b in stub.bodies)
        assert sizes[-1] >= 3 and sum(sizes) == 153, sizes  # only what failed came again


@pytest.mark.parametrize("point", ["sink.send:1:kill", "sink.confirm:1:kill", "sink.confirm:2:kill"])
def test_t_es_3_a_kill_of_the_worker_loses_and_doubles_nothing(point):
    with Stub("search") as search, Stub("splunk") as splunk, Stub("webhook") as hook, \
            Site(outputs=", ".join([entry("opensearch", "s", search.url), entry("splunk", "p", splunk.url),
                                    entry("webhook", "w", hook.url, "batch = 50;")])) as site:
        deliver(site, "a", "b", records=100)
        log = open(f"{site.dir}/dmarctapd.log", "ab")
        p = subprocess.Popen([f"{site.bin}/dmarctapd", "-c", site.config], stdout=log, stderr=log, start_new_session=True,
                             env=dict(os.environ, **ENV, TAP_FAULT=point))
        log.close()
        assert p.wait(30 * PATIENCE) == -9
        site.start("dmarctapd", env=ENV)
        for stub in (search, splunk, hook):
            wait_for(lambda s=stub: len(set(got(s))) == 200, 30)
            assert not stub.wrong
        assert len(search.writes) == 200


def test_t_es_4_lines_are_whole_whatever_a_report_holds():
    org = 'two\nlines "quoted" \\ näme 😀 \u2028 &lt;script&gt;'
    with Stub("search") as stub, Site(outputs=entry("opensearch", "x", stub.url)) as site:
        deliver(site, "a", records=3, org=org)
        site.start("dmarctapd", env=ENV)
        wait_for(lambda: len(got(stub)) == 3, 20)
        assert all(b.endswith(b"\n") and b.count(b"\n") == 2 * b.count(b'"_index"') and "\u2028".encode() not in b for b in stub.bodies)
        assert {d["org_name"] for _, d in stub.docs.values()} == {org.replace("&lt;", "<").replace("&gt;", ">")} and not stub.wrong


# Code, status, and whether it is the event's fault.
CODES = [(1, 403), (2, 401), (3, 401), (4, 403), (5, 400, True), (6, 400, True), (7, 400), (8, 500), (9, 503), (10, 400), (11, 400), (12, 400, True),
         (13, 400, True), (14, 400), (15, 400, True), (16, 400), (18, 503), (19, 503), (20, 503), (21, 400), (22, 400), (0, 500)]


def test_t_sp_1_each_code_of_the_collector_has_its_meaning():
    stubs = [Stub("splunk", [(c[1], {}, {"text": "made to fail", "code": c[0]})]) for c in CODES]
    try:
        with Site(outputs=", ".join(entry("splunk", f"c{c[0]}", s.url) for c, s in zip(CODES, stubs))) as site:
            deliver(site, "a")
            site.start("dmarctapd", env=ENV)
            for c, stub in zip(CODES, stubs):
                def done(name=f"c{c[0]}", stub=stub):
                    """the report was refused, or arrived in the end"""
                    one = fare(site, name)
                    return one if one["last_error"] and one["lag"] == 0 and (one["parked"] or stub.events) else None
                f = wait_for(done, 30)
                assert f"answered {c[1]}, code {c[0]}: made to fail" in f["last_error"], f
                assert (f["parked"], len(stub.events)) == ((1, 0) if len(c) > 2 else (0, 1)), f
    finally:
        for stub in stubs:
            stub.close()


def test_t_es_5_too_large_a_request_is_halved_down_to_one():
    with Stub("search", limit=3000) as stub, Site(outputs=entry("opensearch", "x", stub.url, "gzip = false;")) as site:
        deliver(site, "a", records=40)
        deliver(site, "long", records=1, org="x" * 3000)
        site.start("dmarctapd", env=ENV)
        wait_for(lambda: len(got(stub)) == 40, 30)
        wait_for(lambda: fare(site, "x")["parked"] == 1, 10)
        wait_for(lambda: "413" in (fare(site, "x")["last_error"] or ""), 10)
        assert not stub.wrong


def test_t_es_6_the_other_host_takes_over_and_a_dead_one_comes_back():
    dead = free_port()
    with Stub("search", plan=[503]) as stub, \
            Site(outputs=entry("opensearch", "x", [f"http://127.0.0.1:{dead}", stub.url])) as site:
        deliver(site, "a", records=10)
        site.start("dmarctapd", env=ENV)
        wait_for(lambda: len(got(stub)) == 10, 20)
    with Site(outputs=entry("opensearch", "y", f"http://127.0.0.1:{dead}")) as site:
        deliver(site, "a", records=10)
        site.start("dmarctapd", env=ENV)
        wait_for(lambda: "connect" in (fare(site, "y")["last_error"] or ""), 20)
        assert fare(site, "y")["lag"] == 10
        with Stub("search", port=dead) as stub:
            wait_for(lambda: len(got(stub)) == 10, 30)
            stub.close()
            deliver(site, "b", records=10)
            with Stub("search", port=dead) as again:  # restarted, and empty
                wait_for(lambda: len(got(again)) == 10, 30)


def test_t_es_7_templates_are_installed_once_and_a_newer_one_stays():
    with Stub("search") as stub, Site(outputs=entry("opensearch", "x", stub.url, 'index_prefix = "acme"; replicas = 0; '
                                                    'tenants = [ "big:example.net" ];')) as site:
        assert "dmarctap-acme_dmarc_aggregate: version 1 installed" in ctl(site, "outputs", "setup", "x")
        assert "installed again" in ctl(site, "outputs", "setup", "x")
        t = stub.templates["dmarctap-acme_dmarc_aggregate"]
        assert t["index_patterns"] == ["acme_dmarc_aggregate", "acme_dmarc_aggregate-*", "big_dmarc_aggregate", "big_dmarc_aggregate-*"]
        assert t["template"]["settings"]["index"]["number_of_replicas"] == 0
        t["version"] = 99
        assert "version 99 is there and stays" in ctl(site, "outputs", "setup", "x")
        assert stub.templates["dmarctap-acme_dmarc_aggregate"]["version"] == 99 and not stub.wrong


def test_names_of_indices_and_logins():
    auth = basic("dmarc", ENV["SEARCH_PASSWORD"])
    with Stub("search", auth=auth) as stub, Stub("search", auth="ApiKey abc") as key, Stub("search", auth="Bearer abc") as bearer:
        login = 'user = "dmarc"; password = "$SEARCH_PASSWORD";'
        outputs = [entry("opensearch", "x", stub.url, f'{login} index_suffix = "test"; index_dated = "month"; tenants = [ "big:example.net" ];'),
                   entry("elasticsearch", "key", key.url, 'api_key = "@/DIR/abc";'), entry("elasticsearch", "bearer", bearer.url, 'bearer = "@/DIR/abc";')]
        with Site() as site:
            with open(f"{site.dir}/abc", "w", encoding="ascii") as f:
                f.write("abc\n")
            os.chmod(f"{site.dir}/abc", 0o644)
            with open(site.config, encoding="utf-8") as f:
                text = f.read().replace("outputs: (  )", f"outputs: ( {', '.join(outputs)} )").replace("@/DIR", f"@{site.dir}")
            with open(site.config, "w", encoding="utf-8") as f:
                f.write(text)
            deliver(site, "a", records=2)
            deliver(site, "b", records=2, domain="mail.example.net")
            spoolfile.put(site.spool, tls_mail("t"), owner=OWNER)
            site.start("dmarctapd", env=ENV)
            for s in (stub, key, bearer):
                wait_for(lambda s=s: len(s.docs) == 6, 20)
            assert {i for i, _ in stub.docs} == {"dmarc_aggregate_test-2026-06", "big_dmarc_aggregate_test-2026-06", "smtp_tls_test-2026-06"}
            dump = ctl(site, "config", "dump")
            assert "***" in dump and "abc" not in dump.replace(site.dir, "") and "sa:me" not in dump
            assert "sa:me" not in site.log("dmarctapd")


def test_a_later_revision_replaces_and_what_it_lacks_is_deleted():
    with Stub("search") as stub, Site(outputs=entry("opensearch", "x", stub.url)) as site:
        whole = report_xml("a", records=5)
        cut = whole[:whole.rindex("<record>")] + "<record><row>"
        spoolfile.put(site.spool, report_mail("a", xml=cut), owner=OWNER)
        site.start("dmarctapd", env=ENV)
        wait_for(lambda: len(stub.docs) == 4, 20)
        # What a former revision had and the next one lacks.
        (index, i), (_, doc) = next(iter(stub.docs.items()))
        stub.docs[index, i.split("-")[0] + "-99"] = (1, dict(doc, record_index=99))
        spoolfile.put(site.spool, report_mail("a", xml=whole), owner=OWNER)
        wait_for(lambda: [v for v, _ in stub.docs.values()] == [2] * 5, 30)
        assert not stub.wrong


def test_t_sp_3_indexers_acknowledge_late_or_never():
    with Stub("splunk", ack=2) as late, Stub("splunk", ack=-1) as never, Stub("splunk", ack=0) as good, \
            Site(outputs=", ".join(entry("splunk", n, s.url, "ack = true;") for n, s in (("late", late), ("never", never), ("good", good)))) as site:
        deliver(site, "a", records=20)
        site.start("dmarctapd", env=ENV)
        for s, name in ((late, "late"), (good, "good")):
            wait_for(lambda s=s: len(set(got(s))) == 20, 20)
            wait_for(lambda n=name: fare(site, n)["lag"] == 0, 20)
            assert len(got(s)) == 20 and not s.wrong
        wait_for(lambda: "acknowledge" in (fare(site, "never")["last_error"] or ""), 20)
        wait_for(lambda: len(got(never)) >= 40, 20)  # sent again, with the same ids
        assert len(set(got(never))) == 20 and fare(site, "never")["lag"] == 20


def test_splunk_events_have_the_time_and_type_of_their_report():
    with Stub("splunk", auth="Splunk sesame-token") as stub, Site(outputs=entry("splunk", "x", stub.url, 'index = "mail"; source = "parsedmarc";')) as site:
        deliver(site, "a", records=3)
        spoolfile.put(site.spool, tls_mail("t"), owner=OWNER)
        site.start("dmarctapd", env=ENV)
        wait_for(lambda: len(stub.events) == 5, 20)
        one = next(e for e in stub.events if e["sourcetype"] == "dmarc:aggregate")
        assert one["time"] == 1780358400 and one["index"] == "mail" and one["source"] == "parsedmarc"
        assert one["event"]["org_name"] == "Example Receiver" and one["event"]["published_policy"]["p"] == "none"
        assert one["event"]["begin_date"] == "2026-06-02 00:00:00" and one["event"]["source_country"] is None
        tls = [e["event"] for e in stub.events if e["sourcetype"] == "smtp:tls"]
        assert sum(p.get("successful_session_count") or 0 for e in tls for p in e["policies"]) == 90
        assert not stub.wrong


def test_webhook_is_signed():
    with Stub("webhook", secret=ENV["HOOK_SECRET"]) as stub, \
            Site(outputs=entry("webhook", "x", stub.url, 'secret = "$HOOK_SECRET"; header = "X-Team: mail";')) as site:
        deliver(site, "a", records=3)
        site.start("dmarctapd", env=ENV)
        wait_for(lambda: len(stub.items) == 3, 20)
        assert not stub.wrong and all(h["X-Team"] == "mail" for _, _, h in stub.requests)


def test_tls_is_verified_unless_told_otherwise(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    with Stub("search", tls=(tmp_path / "cert.pem", tmp_path / "key.pem")) as stub:
        base = stub.url.replace("127.0.0.1", "localhost")
        with Site() as site:
            with open(f"{site.dir}/ca.pem", "wb") as f:
                f.write((tmp_path / "cert.pem").read_bytes())
            os.chmod(f"{site.dir}/ca.pem", 0o644)
            outputs = [entry("opensearch", "good", stub.url, f'ca = "{site.dir}/ca.pem";'), entry("opensearch", "stranger", stub.url),
                       entry("opensearch", "name", base, f'ca = "{site.dir}/ca.pem";'), entry("opensearch", "blind", base, "verify = false;")]
            with open(site.config, encoding="utf-8") as f:
                text = f.read().replace("outputs: (  )", f"outputs: ( {', '.join(outputs)} )")
            with open(site.config, "w", encoding="utf-8") as f:
                f.write(text)
            assert "confirmed" in ctl(site, "outputs", "test", "good")
            assert "certificate" in ctl(site, "outputs", "test", "stranger", status=78)
            assert "certificate" in ctl(site, "outputs", "test", "name", status=78)
            stub.docs.clear()
            deliver(site, "a", records=3)
            site.start("dmarctapd", env=ENV)
            wait_for(lambda: fare(site, "good")["lag"] == 0 and fare(site, "blind")["lag"] == 0 and len(got(stub)) == 3, 20)
            wait_for(lambda: "certificate" in (fare(site, "stranger")["last_error"] or "") and "certificate" in (fare(site, "name")["last_error"] or ""), 20)


def test_outputs_test_says_what_came_back():
    with Stub("search", plan=[401]) as stub, Stub("webhook", refuse=lambda _: 422) as hook, \
            Site(outputs=", ".join([entry("opensearch", "x", stub.url), entry("webhook", "w", hook.url)])) as site:
        assert "answered 401" in ctl(site, "outputs", "test", "x", status=78)
        assert "confirmed, report id dmarctap-test-" in ctl(site, "outputs", "test", "x")
        assert "refused for good: " in ctl(site, "outputs", "test", "w", status=1)
        assert "no output" in ctl(site, "outputs", "test", "none", status=1)
        ((_, doc),) = stub.docs.values()
        assert doc["org_name"] == "dmarctap test" and doc["published_policy"]["domain"] == "test.invalid"


@pytest.mark.parametrize("text,said", [
    ('url = [ "ftp://x" ];', "http or https"), ('url = [ "http://u:secret@x:9200" ];', "settings of their own"),
    ('url = [ "http://x" ]; user = "u";', "belong together"), ('url = [ "http://x" ]; index_prefix = "Big";', "lower-case"),
    ('url = [ "http://x" ]; tenants = [ "example.com" ];', "prefix:example.com"),
    ('url = [ "http://x" ]; bearer = "a"; api_key = "b";', "only one of")], ids=lambda v: "" if ";" in v else v.split()[0])
def test_bad_settings_are_told(text, said):
    with Site(outputs=f'{{ type = "opensearch"; {text} }}') as site:
        out = ctl(site, "config", "check", status=1)
        assert said in out and "secret" not in out, out
