# SPDX-License-Identifier: Apache-2.0
"""The output kafka against a real Apache Kafka: what comes out of it is the JSON form, logins and TLS, a broker that dies."""
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest
import spoolfile
from taplib import PATIENCE, ROOT, Site, free_port, report_mail, tls_mail, wait_for

sys.path.insert(0, f"{ROOT}/tests")
from servers.kafka import Kafka  # noqa: E402

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
pytestmark = pytest.mark.plain_build("librdkafka's own threads are not built for a sanitizer, and the broker is the same")


@pytest.fixture(scope="module")
def broker():
    directory = tempfile.mkdtemp(prefix="dmarctap-kafka-")
    k = Kafka(directory)
    try:
        k.start()
        yield k
    finally:
        k.stop(signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)


def outbox(site):
    p = subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "outbox", "list", "bus", "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(p.stdout)[0]


def sink(port, topic, more=""):
    return (f'{{ type = "kafka"; name = "bus"; brokers = [ "127.0.0.1:{port}" ]; topic_aggregate = "{topic}"; topic_smtp_tls = "{topic}-tls"; '
            f'{more} }}')


def deliver(site, *mails):
    for raw in mails:
        spoolfile.put(site.spool, raw, owner=OWNER)


def settled(site, n):
    """everything is confirmed"""
    # The reports first: a lag read before the last of them was stored says nothing of it.
    if len(site.report_ids()) != n:
        return False
    x = outbox(site)
    # Before it has begun, nothing is counted.
    return x["cursor"]["seq"] > 0 and x["lag"] == 0 and x["exceptions"] == 0


def test_field_by_field_with_the_json_form(broker):
    with Site() as site:
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  )", f'outputs: ( {sink(broker.plain, "fields")}, '
                                                  f'{{ type = "json"; path = "{site.dir}/store/all.jsonl"; '
                                                  f'kinds = [ "aggregate", "smtp_tls" ]; }} )'))
        site.start("dmarctapd")
        deliver(site, report_mail("r1", records=40), report_mail("r2", records=1), tls_mail("t1"))
        wait_for(lambda: settled(site, 3), 30)

        def reports():
            with open(f"{site.dir}/store/all.jsonl", encoding="utf-8") as f:
                return {r["report_uid"]: r for r in map(json.loads, f)}
        wait_for(lambda: os.path.exists(f"{site.dir}/store/all.jsonl") and len(reports()) == 3)
        reports = reports()
    got = broker.messages("fields")
    assert len(got) == 41
    for key, value in got:
        d = json.loads(value)
        report = reports[key]
        assert key == d["report_uid"] and d["revision"] == report["revision"] and d["kind"] == "aggregate"
        record = report["records"][d["record_index"]]
        assert {k: d[k] for k in record} == record
        meta = report["report_metadata"]
        assert (d["org_name"], d["org_email"], d["report_id"]) == (meta["org_name"], meta["org_email"], meta["report_id"])
        assert d["policy_published"] == report["policy_published"]
    assert len({(json.loads(v)["report_uid"], json.loads(v)["record_index"]) for _, v in got}) == 41
    tls = [json.loads(v) for _, v in broker.messages("fields-tls")]
    policy = next(r for r in reports.values() if r["kind"] == "smtp_tls")["policies"][0]
    assert [d["failure_details"] for d in tls] == [[], policy["failure_details"]]
    assert all(d[k] == policy[k] for d in tls for k in policy if k != "failure_details")


LOGINS = {
    "plain": ("sasl", 'security = "sasl_plaintext"; user = "alice"; password = "@SECRET";', "alice-secret"),
    "scram-256": ("sasl", 'security = "sasl_plaintext"; mechanism = "SCRAM-SHA-256"; user = "bob"; password = "@SECRET";', "bob-secret"),
    "scram-512-tls": ("tls", 'security = "sasl_ssl"; mechanism = "SCRAM-SHA-512"; user = "bob"; password = "@SECRET"; ca = "DIR/ca.pem";',
                      "bob-secret"),
}
REFUSED = {
    "bad-password": (*LOGINS["scram-256"][:2], "wrong-secret"),
    "wrong-ca": ("tls", LOGINS["scram-512-tls"][1].replace("ca.pem", "other-ca.pem"), "bob-secret"),
    "nobody-there": ("none", "", "x"),
}


def with_login(broker, site, name, port, more, secret):
    path = f"{site.dir}/secret"
    with open(path, "w", encoding="utf-8") as f:
        f.write(secret + "\n")
    os.chmod(path, 0o644)
    with open(site.config, encoding="utf-8") as f:
        text = f.read()
    more = more.replace("SECRET", path).replace("DIR", broker.dir)
    port = free_port() if port == "none" else getattr(broker, port)
    with open(site.config, "w", encoding="utf-8") as f:
        f.write(text.replace("outputs: (  )", f"outputs: ( {sink(port, name, more)} )"))


@pytest.mark.parametrize("name", LOGINS)
def test_login(broker, name):
    with Site() as site:
        with_login(broker, site, name, *LOGINS[name])
        site.start("dmarctapd")
        deliver(site, report_mail("r", records=5))
        wait_for(lambda: settled(site, 1), 30)
        assert LOGINS[name][2] not in site.log("dmarctapd")
    assert len(broker.messages(name)) == 5


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_nothing_lost(broker, name):
    with Site() as site:
        with_login(broker, site, name, *REFUSED[name])
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace('name = "bus";', 'name = "bus"; timeout = "5s";'))
        site.start("dmarctapd")
        deliver(site, report_mail("r", records=5))
        wait_for(lambda: len(site.report_ids()) == 1 and " bus: " in site.log("dmarctapd"), 30)
        assert outbox(site)["lag"] == 5 and outbox(site)["exceptions"] == 0
        assert REFUSED[name][2] not in site.log("dmarctapd") or REFUSED[name][2] == "x"


@pytest.mark.parametrize("point", ["sink.confirm", "store.settle"])
def test_the_worker_is_killed(broker, point):
    topic = f"kill-{point}"
    with Site(outputs=sink(broker.plain, topic)) as site:
        deliver(site, report_mail("r", records=600))
        p = site.start("dmarctapd", {"TAP_FAULT": f"{point}:1:kill"}, dies=True)
        assert p.wait(60 * PATIENCE) == -signal.SIGKILL
        site.running.pop("dmarctapd")
        site.start("dmarctapd")
        wait_for(lambda: settled(site, 1), 30)
    got = [json.loads(v)["record_index"] for _, v in broker.messages(topic)]
    assert set(got) == set(range(600)) and len(got) <= 1200


def test_the_broker_is_killed_and_comes_back(broker):
    with Site(outputs=sink(broker.plain, "restarted", 'timeout = "4s"; properties = [ "reconnect.backoff.max.ms=500" ];')) as site:
        site.start("dmarctapd")
        deliver(site, report_mail("r0", records=50))
        wait_for(lambda: settled(site, 1), 30)
        broker.stop(signal.SIGKILL)
        deliver(site, *(report_mail(f"r{i}", records=50) for i in range(1, 5)))
        wait_for(lambda: len(site.report_ids()) == 5)
        broker.start()
        wait_for(lambda: settled(site, 5), 60)
    got = {(d["report_id"], d["record_index"]) for d in (json.loads(v) for _, v in broker.messages("restarted"))}
    assert got == {(f"r{i}", n) for i in range(5) for n in range(50)}
