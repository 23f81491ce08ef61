# SPDX-License-Identifier: Apache-2.0
"""Real SMTP TLS reports, where they lie beside the tree: each field that comes out is the one that stands in the JSON."""
import email
import gzip
import json
import os
import pathlib
import subprocess

import pytest
import taplib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(taplib.SHARED)
FILES = sorted(SHARED.glob("samples/smtp_tls/*")) + sorted(SHARED.glob("examples/tlsrpt.json")) or [None]


def sent(path):
    """The report as its sender wrote it."""
    data = path.read_bytes()
    if path.suffix == ".eml":
        data = next(p.get_payload(decode=True) for p in email.message_from_bytes(data).walk()
                    if p.get_content_type() == "application/tlsrpt+gzip")
        data = gzip.decompress(data)
    return json.loads(data)


def as_list(value):
    return value if isinstance(value, list) else [value]


def short(ip):
    """How the two samples write addresses that have a shorter form."""
    return ip.replace(":0012:", ":12:").replace(":0013:", ":13:")


def wanted_detail(d):
    out = {"result_type": d["result-type"], "failed_session_count": d["failed-session-count"]}
    for ours, theirs in (("sending_mta_ip", "sending-mta-ip"), ("receiving_ip", "receiving-ip"),
                         ("receiving_mx_hostname", "receiving-mx-hostname"), ("receiving_mx_helo", "receiving-mx-helo"),
                         ("additional_info_uri", "additional-information"), ("failure_reason_code", "failure-reason-code")):
        if theirs in d:
            out[ours] = short(d[theirs]) if ours.endswith("_ip") else d[theirs]
    return out


def wanted_policy(p):
    out = {"policy_domain": p["policy"]["policy-domain"], "policy_type": p["policy"]["policy-type"],
           "successful_session_count": p["summary"]["total-successful-session-count"],
           "failed_session_count": p["summary"]["total-failure-session-count"],
           "failure_details": [wanted_detail(d) for d in p.get("failure-details") or []]}
    if "policy-string" in p["policy"]:
        out["policy_strings"] = as_list(p["policy"]["policy-string"])
    if "mx-host" in p["policy"]:
        out["mx_host_patterns"] = as_list(p["policy"]["mx-host"])
    return out


@pytest.mark.skipif(not taplib.HAVE_SAMPLES, reason=taplib.NO_SAMPLES)
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name if p else "none")
def test_every_field_q200_q202_q203_t_tls_1(path):
    program = os.path.join(os.environ["TAP_BIN"], "dmarctap")
    done = subprocess.run([program, "--offline", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    (report,) = json.loads(done.stdout)["smtp_tls_reports"]
    want = sent(path)
    assert report["organization_name"] == want["organization-name"]
    assert report["contact_info"] == want["contact-info"]
    assert report["report_id"] == want["report-id"]
    assert report["begin_date"] == want["date-range"]["start-datetime"]
    assert report["end_date"] == want["date-range"]["end-datetime"]
    assert report["policies"] == [wanted_policy(p) for p in want["policies"]]
    assert report["warnings"] == []
