# SPDX-License-Identifier: Apache-2.0
"""Every JSON that dmarctap makes is what docs/schema/ says: of the whole corpus, and of the reports of others where they are at hand.
The schemas in turn allow nothing that is not there: no further key, none missing, no other type."""
import concurrent.futures
import copy
import json
import os
import pathlib
import re
import subprocess

import pytest
import taplib
from schemacheck import check

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("TAP_BIN", str(ROOT / "build/dev/bin"))
CORPUS = ROOT / "tests/corpus"
OTHERS = [p for p in (ROOT.parent / "shared/samples", ROOT.parent / "shared/examples") if p.is_dir()]
KINDS = {"aggregate_reports": "aggregate", "failure_reports": "failure", "feedback_reports": "feedback", "smtp_tls_reports": "smtp_tls"}
BESIDE = (".json", ".err", ".csv", ".compat.json", ".compat.csv", ".args")
SCHEMAS = {kind: json.loads((ROOT / f"docs/schema/{kind}.json").read_text()) for kind in KINDS.values()}


def reject_constant(text):
    raise ValueError(f"{text} is no JSON")


def unique(pairs):
    """An object in which a key stands twice is read differently by different readers."""
    assert len({k for k, _ in pairs}) == len(pairs), [k for k, _ in pairs]
    return dict(pairs)


def read(text):
    return json.loads(text.decode("utf-8", "strict"), object_pairs_hook=unique, parse_constant=reject_constant)


def inputs(folder):
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "index.tsv" and p.parent != CORPUS):
        names = {p.name for p in path.parent.iterdir()}
        if not any(path.name.endswith(s) and path.name[: -len(s)] in names for s in BESIDE):
            yield path


def dmarctap(path):
    done = subprocess.run([f"{BIN}/dmarctap", "--offline", str(path)], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    return path, done.stdout


def wrong_in(path, text):
    """Counts the reports by kind and says what is wrong."""
    seen, wrong = dict.fromkeys(SCHEMAS, 0), []
    try:
        whole = read(text)
    except (ValueError, AssertionError) as e:
        return seen, [f"{path}: {e}"]
    if list(whole) != list(KINDS):
        wrong.append(f"{path}: the lists are {list(whole)}")
    for key, kind in KINDS.items():
        for i, report in enumerate(whole.get(key, [])):
            seen[kind] += 1
            wrong += [f"{path}: {line}" for line in check(report, SCHEMAS[kind], f"{key}/{i}")]
            if list(report) != list(SCHEMAS[kind]["properties"]):
                wrong.append(f"{path}: {key}/{i}: the keys stand in another order")
    return seen, wrong


def whole_folder(folder):
    seen, wrong = dict.fromkeys(SCHEMAS, 0), []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, text in pool.map(dmarctap, inputs(folder)):
            more, lines = wrong_in(path, text)
            wrong += lines
            for kind, n in more.items():
                seen[kind] += n
    assert not wrong, "\n".join(wrong[:40])
    return seen


def test_corpus_t_js_1():
    seen = whole_folder(CORPUS)
    assert all(n > 0 for n in seen.values()), f"the corpus has no sample of some kind: {seen}"


@pytest.mark.skipif(not taplib.HAVE_SAMPLES, reason=taplib.NO_SAMPLES)
def test_reports_of_others_t_js_2():
    seen = dict.fromkeys(SCHEMAS, 0)
    for folder in OTHERS:
        for kind, n in whole_folder(folder).items():
            seen[kind] += n
    assert seen["aggregate"] > 20 and seen["failure"] >= 5 and seen["smtp_tls"] >= 4, seen


HEAD = "From: Receiver <ruf@receiver.example>\nTo: reports@example.com\nSubject: a report\nDate: Tue, 2 Jun 2026 11:20:00 +0200\nMIME-Version: 1.0\n"
SAMPLE = """Received: from host.example.net (host.example.net [192.0.2.9])
	by mx.receiver.example with ESMTP id 4711 for <a@receiver.example>; Tue, 2 Jun 2026 11:13:50 +0200
Authentication-Results: mx.receiver.example; dmarc=fail header.from=example.com
DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=k1; bh=x; b=y
From: "Sender" <sender@example.com>
To: a@receiver.example, B <b@receiver.example>
Cc: c@receiver.example
Bcc: d@receiver.example
Reply-To: e@example.com
Delivered-To: a@receiver.example
Subject: =HYPERLINK("http://example.net")
Date: Tue, 2 Jun 2026 11:13:40 +0200
Message-ID: <m@example.com>
X-Twice: 1
X-Twice: 2
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=in

--in
Content-Type: text/plain

</script>
--in
Content-Type: application/octet-stream; name=a.bin
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=a.bin

AP+Aeg==
--in--
"""
FEEDBACK = """Feedback-Type: {type}
User-Agent: Agent/1
Version: 1
Original-Mail-From: <sender@example.com>
Original-Rcpt-To: <a@receiver.example>
Arrival-Date: Tue, 2 Jun 2026 11:14:00 +0200
Authentication-Results: mx.receiver.example; dmarc=fail
Source-IP: 192.0.2.9
Reported-Domain: example.com
Reported-URI: http://example.com/
Auth-Failure: dkim
Identity-Alignment: dkim
DKIM-Domain: example.com
DKIM-Identity: @example.com
DKIM-Selector: k1
DKIM-Canonicalized-Header: aGFsbG8=
SPF-DNS: txt : example.com : "v=spf1 -all"
X-Odd: 1
"""


def feedback_mail(kind):
    return (f'{HEAD}Content-Type: multipart/report; report-type=feedback-report; boundary=out\n\n--out\nContent-Type: text/plain\n\nDear you\n'
            f"--out\nContent-Type: message/feedback-report\n\n{FEEDBACK.format(type=kind)}\n--out\nContent-Type: message/rfc822\n\n{SAMPLE}\n--out--\n")


INPUTS = {
    "aggregate": """<feedback><version>1.0</version><report_metadata><org_name>receiver.example</org_name><email>r@receiver.example</email>
<report_id>1</report_id><date_range><begin>1780272000</begin><end>1780358399</end></date_range><error>odd</error></report_metadata>
<policy_published><domain>example.com</domain><p>none</p></policy_published>
<record><row><source_ip>192.0.2.1</source_ip><count>2</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>
<reason><type>forwarded</type><comment>x</comment></reason></policy_evaluated></row><identifiers><header_from>example.com</header_from></identifiers>
<auth_results><dkim><domain>example.com</domain><selector>k1</selector><result>pass</result></dkim>
<spf><domain>example.com</domain><scope>mfrom</scope><result>fail</result></spf></auth_results></record></feedback>""",
    "failure": feedback_mail("auth-failure"),
    "feedback": feedback_mail("abuse"),
    "smtp_tls": json.dumps({
        "organization-name": "Sender", "date-range": {"start-datetime": "2026-06-01T00:00:00Z", "end-datetime": "2026-06-01T23:59:59Z"},
        "contact-info": "tls@sender.example", "report-id": "t1", "policies": [{
            "policy": {"policy-type": "sts", "policy-string": ["version: STSv1"], "policy-domain": "example.com", "mx-host": ["mx.example.com"]},
            "summary": {"total-successful-session-count": 5, "total-failure-session-count": 1},
            "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.9", "receiving-ip": "192.0.2.8",
                                 "receiving-mx-hostname": "mx.example.com", "receiving-mx-helo": "mx", "failed-session-count": 1,
                                 "additional-information": "https://example.com/x", "failure-reason-code": "c"}]}]}),
}


def example(kind, folder):
    path = folder / "input"
    path.write_text(INPUTS[kind])
    whole = read(dmarctap(path)[1])
    found = {KINDS[key]: reports for key, reports in whole.items() if reports}
    assert list(found) == [kind] and len(found[kind]) == 1, whole
    return found[kind][0]


def places(value, path=()):
    yield path
    for k, v in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(v, path + (k,))


def at(value, path):
    for k in path:
        value = value[k]
    return value


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_the_schema_allows_nothing_else(kind, tmp_path):
    report = example(kind, tmp_path)
    schema = SCHEMAS[kind]
    assert not list(check(report, schema))
    for path in places(report):
        changed = copy.deepcopy(report)
        where = at(changed, path)
        open_ended = "headers" in path or path == ("parsed_sample",)
        if isinstance(where, dict) and not open_ended:
            where["a key of nobody"] = "x"
            assert list(check(changed, schema)), path
            del where["a key of nobody"]
        if not path:
            continue
        holder = at(changed, path[:-1])
        holder[path[-1]] = 1.5  # nothing is a fraction
        assert list(check(changed, schema)), path
        if isinstance(holder, dict) and not (open_ended or path[:-1] == ("parsed_sample",)) and kind != "smtp_tls":
            del holder[path[-1]]
            assert list(check(changed, schema)), path


def test_the_schemas_describe_every_key_of_the_documentation():
    """docs/formats.md names each key of the failure and SMTP TLS reports; the table and the schema must not part."""
    text = (ROOT / "docs/formats.md").read_text()
    for kind in ("failure", "smtp_tls"):
        for key in SCHEMAS[kind]["properties"]:
            assert re.search(rf"`\.?{re.escape(key)}\b", text), f"docs/formats.md does not name {key} of {kind}"


def test_the_checker_can_fail():
    schema = {"type": "object", "additionalProperties": False, "required": ["a"],
              "properties": {"a": {"type": ["integer", "null"], "minimum": 1}, "b": {"enum": ["x", None]},
                             "c": {"type": "array", "maxItems": 1, "items": {"anyOf": [{"const": 1}, {"type": "string", "pattern": "^y$"}]}}}}
    assert not list(check({"a": 1, "b": None, "c": ["y"]}, schema))
    for bad in ([], {}, {"a": 0}, {"a": True}, {"a": "1"}, {"a": 1, "b": "y"}, {"a": 1, "c": [1, 1]}, {"a": 1, "c": [2]},
                {"a": 1, "c": ["yy"]}, {"a": 1, "d": 1}):
        assert list(check(bad, schema)), bad
    with pytest.raises(ValueError):
        list(check(1, {"typo": 1}))
