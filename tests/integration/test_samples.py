# SPDX-License-Identifier: Apache-2.0
"""Real reports and the examples of the standards, which lie beside the checkout and are no part of it: each is read right. What is
expected stands here, value by value; every file of the folders must be named."""
import json
import os
import pathlib
import subprocess

import pytest
import taplib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("TAP_BIN", str(ROOT / "build/dev/bin"))
SHARED = pathlib.Path(taplib.SHARED)

UNCLEAN = "document: recovered: "
NO_ORG = "report_metadata/org_name: missing_org_name: "
NO_NAMESPACE = "feedback: missing_namespace: "


def aggregate(schema, org, email, ident, begin, end, domain, policy, records, messages, passed, ips, froms, *warnings):
    return dict(locals())


NICE = aggregate("rfc9990", "google.com", "noreply-dmarc-support@google.com", "11038226378739404135", "2024-06-13 00:00:00",
                 "2024-06-13 23:59:59", "example.com", "none", 20, 3047, 3047,
                 {"209.85.220.41", "209.85.220.55", "209.85.220.69", "2607:f8b0:4864:20::132",
                  *(f"54.240.48.{n}" for n in (90, 92, 93, 94, 95, 110)), *(f"54.240.8.{n}" for n in (31, 33, 83, 88, 96))},
                 {"example.com"}, NO_NAMESPACE)
AGGREGATE = {
    "samples/aggregate/!example.com!1538204542!1538463818.xml": aggregate(
        "draft", "accurateplastics.com", "administrator@accurateplastics.com", "example.com:1538463741", "2018-10-01 17:07:12",
        "2018-10-01 17:07:12", "example.com", "none", 1, 1, 0, {"12.20.127.122"}, {"example.com"},
        "report_metadata/date_range: empty_period: ", NO_ORG, "document: name_mismatch: the name of the file tells another begin",
        "document: name_mismatch: the name of the file tells another end"),
    "samples/aggregate/!large-example.com!1711897200!1711983600.xml": aggregate(
        "draft", "accurateplastics.com", "administrator@accurateplastics.com", "example.com:1711897200", "2024-03-31 15:00:00",
        "2024-04-01 15:00:00", "example.com", "none", 2286, 2286, 0, None, {"example.com"}, NO_ORG,
        "document: name_mismatch: the name of the file tells another domain"),
    "samples/aggregate/Report domain- borschow.com Submitter- google.com Report-ID- 949348866075514174.eml": aggregate(
        "draft", "google.com", "noreply-dmarc-support@google.com", "949348866075514174", "2019-02-12 00:00:00",
        "2019-02-12 23:59:59", "borschow.com", "reject", 1, 1, 0, {"92.53.116.102"}, {"borschow.com"}),
    "samples/aggregate/addisonfoods.com!example.com!1536105600!1536191999.xml": aggregate(
        "rfc7489", "addisonfoods.com", "postmaster@addisonfoods.com", "3ceb5548498640beaeb47327e202b0b9", "2018-09-05 00:00:00",
        "2018-09-05 23:59:59", "example.com", "none", 1, 1, 0, {"109.203.100.17"}, {"example.com"}),
    "samples/aggregate/empty_reason.xml": aggregate(
        "rfc7489", "example.org", "noreply-dmarc-support@example.org", "20240125141224705995", "2024-01-25 05:12:24",
        "2024-01-25 12:28:53", "example.com", "quarantine", 1, 2, 2, {"198.51.100.123"}, {"example.com"}),
    "samples/aggregate/estadocuenta1.infonacot.gob.mx!example.com!1536853302!1536939702!2940.xml.zip": aggregate(
        "draft", "XYZ Corporation", "admin@estadocuenta1.infonacot.gob.mx", "2940", "2018-09-13 15:41:42", "2018-09-14 15:41:42",
        "example.com", "none", 1, 1, 0, {"148.243.137.254"}, {"example.com"}),
    "samples/aggregate/example.net!example.com!1529366400!1529452799.xml": aggregate(
        "rfc7489", "example.net", "postmaster@example.net", "b043f0e264cf4ea995e93765242f6dfb", "2018-06-19 00:00:00",
        "2018-06-19 23:59:59", "example.com", "none", 1, 1, 0, {"199.230.200.36"}, {"example.com"}, "document: stray_text: "),
    "samples/aggregate/fastmail.com!example.com!1516060800!1516147199!102675056.xml.gz": aggregate(
        "rfc7489", "FastMail Pty Ltd", "reports@fastmaildmarc.com", "102675056", "2018-01-16 00:00:00", "2018-01-16 23:59:59",
        "indemed.com", "none", 1, 1, 0, {"104.195.80.20"}, {"example.com"},
        "document: name_mismatch: the name of the file tells another domain"),
    "samples/aggregate/ikea.com!example.de!1538690400!1538776800.xml": aggregate(
        "draft", "ikea.com", "double-bounce@ikea.com", "aggr_report_2018_10_05_5bc7e9b4f3e8a", "2018-10-04 22:00:00",
        "2018-10-05 22:00:00", "example.de", "none", 1, 1, 0, {"234.234.234.234"}, {"example.de"}, "document: unclosed: "),
    "samples/aggregate/invalid_utf_8.xml": aggregate(
        "draft", "accurateplastics.com", "administrator@accurateplastics.com", "example.com:1538463741", "2018-10-01 17:07:12",
        "2018-10-01 17:07:12", "example.com", "none", 1, 1, 0, {"12.20.127.122"}, {"bad_byte\ufffd"},
        "report_metadata/date_range: empty_period: ", NO_ORG, UNCLEAN, "document: bad_utf8: "),
    "samples/aggregate/invalid_xml.xml": aggregate(
        "draft", "veeam.com", "bad-xml@bad-xml.net", "sonexushealth.com:1530233361", "2018-06-27 21:00:00", "2018-06-28 21:00:00",
        "example.com", "none", 1, 1, 0, {"199.230.200.36"}, {"bad<xml.net"}, "record[0]/identifiers/header_from: bad_domain: ",
        UNCLEAN, "document: escaped: "),
    "samples/aggregate/mimecast-weird-gzip.eml": aggregate(
        "draft", "Mimecast", "no-reply@au-1.mimecastreport.com",
        "157a5fe30ec76f4bc0d8bccfc96c118a167a1280fee7c7465af5115e73082e5e", "2023-08-30 00:00:00", "2023-08-30 23:59:59",
        "ab.id.au", "reject", 1, 1, 1, {"40.93.199.22"}, {"ab.id.au"}),
    "samples/aggregate/old_draft_from_wiki.xml": aggregate(
        "draft", "acme.com", "noreply-dmarc-support@acme.com", "9391651994964116463", "2012-04-28 00:00:00",
        "2012-04-28 23:59:59", "example.com", "none", 1, 2, 2, {"72.150.241.94"}, {"example.com"}),
    "samples/aggregate/protection.outlook.com!example.com!1711756800!1711843200.xml": aggregate(
        "rfc7489", "Outlook.com", "dmarcreport@microsoft.com", "cfeafefe4129445e8c81018bd9177197", "2024-03-30 00:00:00",
        "2024-03-31 00:00:00", "example.com", "none", 1, 1, 0, {"100.24.188.149"}, {"example.com"}),
    "samples/aggregate/rfc9990-example.net!example.com!1700000000!1700086399.xml": aggregate(
        "rfc9990", "example.net", "postmaster@example.net", "dmarcbis-test-report-001", "2023-11-14 22:13:20",
        "2023-11-15 22:13:19", "example.com", "reject", 2, 7, 5, {"198.51.100.1", "203.0.113.10"}, {"example.com"}, NO_NAMESPACE),
    "samples/aggregate/rfc9990-sample.xml": aggregate(
        "rfc9990", "Sample Reporter", "report_sender@example-reporter.com", "3v98abbp8ya9n3va8yr8oa3ya", "1979-08-07 00:00:00",
        "1979-08-07 23:59:59", "example.com", "quarantine", 1, 123, 123, {"192.0.2.123"}, {"example.com"}),
    "samples/aggregate/twilight.eml": aggregate(
        "draft", "google.com", "noreply-dmarc-support@google.com", "1627703331531660819", "2019-02-10 00:00:00",
        "2019-02-10 23:59:59", "twlnet.com", "reject", 1, 1, 1, {"87.106.127.28"}, {"twlnet.com"}),
    "samples/aggregate/usssa.com!example.com!1538784000!1538870399.xml": aggregate(
        "rfc7489", "usssa.com", "postmaster@usssa.com", "8953b4d4a4ee4218b6ac0e2cb2667ee1", "2018-10-06 00:00:00",
        "2018-10-06 23:59:59", "example.com", "none", 2, 2, 0, {"12.20.127.40", "199.230.200.36"}, {"example.com"}),
    "samples/aggregate/veeam.com!example.com!1530133200!1530219600.xml": aggregate(
        "draft", "veeam.com", "noreply.it.dmarc@veeam.com", "sonexushealth.com:1530233361", "2018-06-27 21:00:00",
        "2018-06-28 21:00:00", "example.com", "none", 1, 1, 0, {"199.230.200.36"}, {"example.com"}),
    "samples/aggregate_invalid/report_with_upper_cased_pass.xml": aggregate(
        "draft", "example.com", "postmaster@example.com", "aggr_report_example.com_20191202_1638", "2019-11-28 15:35:00",
        "2019-12-02 16:38:03", "example.com", "reject", 1, 1, 1, {"23.104.41.189"}, {"example.com"},
        "report_metadata/date_range: long_period: 97 hours"),
    "samples/extract_report/changed-input.xml": dict(NICE, org="fred.com"),
    "samples/extract_report/nice-input.xml": NICE,
    "samples/extract_report/nice-input.xml.gz": NICE,
    "samples/extract_report/nice-input.xml.zip": NICE,
    "examples/draft.xml": aggregate(
        "draft", "mx.example.net", "dmarc-noreply@example.net", "20250301.example.com.77", "2025-03-01 00:00:00",
        "2025-03-01 23:59:59", "example.com", "none", 1, 7, 7, {"192.0.2.25"}, {"news.example.com"}),
    "examples/rfc7489.xml": aggregate(
        "rfc7489", "Example Receiver", "dmarc-reports@receiver.example", "<1740873600.4711@receiver.example>",
        "2025-03-01 00:00:00", "2025-03-01 23:59:59", "example.com", "reject", 2, 123, 120, {"198.51.100.17", "2001:db8::53"},
        {"example.com", "billing.example.com"}),
    "examples/rfc9990.xml": aggregate(
        "rfc9990", "Example Receiver", "dmarc-reports@receiver.example", "1780444800-example.com@receiver.example",
        "2026-06-02 00:00:00", "2026-06-02 23:59:59", "example.com", "reject", 2, 853, 841, {"203.0.113.9", "2001:db8::bad:cafe"},
        {"example.com", "no-such-host.example.com"}),
}

# Paths into the one report that comes out. A set: a list in any order; "…" in a text: what stands before it is how it begins.
LINKEDIN = {
    "feedback_type": "auth-failure", "user_agent": "Lua/1.0", "arrival_date_utc": "2019-04-30 02:09:00",
    "source.ip_address": "10.10.10.10", "delivery_result": "delivered", "auth_failure": ["dmarc"],
    "reported_domain": "example.com", "sample_headers_only": False, "parsed_sample.subject": "Subject line, could be UTF8 encoded",
    "parsed_sample.from.address": "sender@example.com",
}
FAILURE = {
    "samples/failure/DMARC Failure Report for domain.de (mail-from=sharepoint@domain.de, ip=10.10.10.10).eml": {
        "feedback_type": "auth-failure", "user_agent": "Lua/1.0", "original_mail_from": "sharepoint@domain.de",
        "arrival_date_utc": "2018-10-01 09:20:27", "source.ip_address": "10.10.10.10", "auth_failure": ["dmarc"],
        "reported_domain": "domain.de", "parsed_sample.from.address": "sharepoint@domain.de", "parsed_sample.subject": "Subject"},
    "samples/failure/[Netease DMARC Failure Report] Rent Reminder.eml": {
        "feedback_type": "auth-failure", "user_agent": "NtesDmarcReporter/1.0", "version": "1",
        "arrival_date_utc": "2018-09-28 08:48:42", "source.ip_address": "167.89.69.24", "reported_domain": "cardinal.com",
        "original_envelope_id": "N8CowEApcUPo6q1bnXlMAA--.44392S3", "dkim_domain": "entrata.com", "delivery_result": "delivered",
        "parsed_sample.subject": "Rent Reminder", "parsed_sample.from.address": "info@cardinal.com"},
    "samples/failure/dmarc_ruf_report_linkedin.eml": LINKEDIN,
    "samples/failure/dmarc_ruf_report_linkedin.crlf.eml": LINKEDIN,
    "samples/failure/exim_plain_text_only_no_arf_part.eml": {
        "feedback_type": "auth-failure", "arrival_date_utc": "2025-04-07 21:16:09", "source.ip_address": "203.0.113.68",
        "reported_domain": "example.com", "sample_headers_only": True, "parsed_sample.subject": "Payment from your account.",
        "parsed_sample.from.address": "user@example.com"},
    "examples/arf.eml": {
        "feedback_type": "auth-failure", "user_agent": "ExampleReporter/4.2", "version": "1", "auth_failure": ["dmarc"],
        "delivery_result": "policy", "original_envelope_id": "7F3A21C0", "arrival_date_utc": "2026-06-02 09:13:58",
        "source.ip_address": "2001:db8:77::9", "source_port": 49152, "incidents": 3, "reported_domain": "example.com",
        "dkim_domain": "example.com", "dkim_selector": "s2026", "parsed_sample.from.address": "billing@example.com",
        "parsed_sample.subject": "Rechnung f\u00fcr Mai", "sample_headers_only": False,
        "reported_uri": ["https://pay.phish.example/login", "mailto:collect@phish.example"]},
}


def tls(org, contact, ident, begin, end, *policies):
    return dict(organization_name=org, contact_info=contact, report_id=ident, begin_date=begin, end_date=end, policies=policies)


# A policy: domain, type, sessions that were successful, that failed; then (result, sessions) of each detail.
TLS = {
    "samples/smtp_tls/google.com_smtp_tls_report.eml": tls(
        "Google Inc.", "smtp-tls-reporting@google.com", "2024-09-03T00:00:00Z_cardinalhealth.ca", "2024-09-03T00:00:00Z",
        "2024-09-03T23:59:59Z", ("cardinalhealth.ca", "no-policy-found", 48, 0)),
    "samples/smtp_tls/mail.ru.json": tls(
        "Mail.ru", "tls_support@corp.mail.ru", "b28254de-7b2e-be36-bb5c-4c3b92da8b25@mail.ru", "2024-02-22T00:00:00Z",
        "2024-02-23T00:00:00Z", ("example.com", "sts", 0, 1, ("sts-policy-fetch-error", 1), ("sts-policy-fetch-error", 1))),
    "samples/smtp_tls/rfc8460.json": tls(
        "Company-X", "sts-reporting@company-x.example", "5065427c-23d3-47ca-b6e0-946ea0e8c4be", "2016-04-01T00:00:00Z",
        "2016-04-01T23:59:59Z", ("company-y.example", "sts", 5326, 303, ("certificate-expired", 100),
                                 ("starttls-not-supported", 200), ("validation-failure", 3))),
    "samples/smtp_tls/smtp_tls.json": tls(
        "Example Inc.", "smtp-tls-reporting@example.com", "2024-01-09T00:00:00Z_example.com", "2024-01-09T00:00:00Z",
        "2024-01-09T23:59:59Z", ("example.com", "sts", 0, 3, ("validation-failure", 2), ("validation-failure", 1))),
    "examples/tlsrpt.json": tls(
        "Example Sender Ltd.", "tlsrpt@sender.example", "2026-06-02T00:00:00Z_example.com", "2026-06-02T00:00:00Z",
        "2026-06-02T23:59:59Z",
        ("example.com", "sts", 4180, 14, ("certificate-host-mismatch", 12), ("validation-failure", 2)),
        ("mx1.example.com", "tlsa", 55, 0), ("sub.example.com", "no-policy-found", 3, 1, ("starttls-not-supported", 1))),
}
REFUSED = {"samples/empty.xml": "not a report: empty"}

pytestmark = pytest.mark.skipif(not taplib.HAVE_SAMPLES, reason=taplib.NO_SAMPLES)


def read(name):
    p = subprocess.run([f"{BIN}/dmarctap", "--offline", SHARED / name], capture_output=True, timeout=120, env=dict(os.environ, TZ="UTC"))
    return p.returncode, json.loads(p.stdout), p.stderr.decode()


def only(name, kind):
    """The one report of the file, which is of this kind; nothing is said of it."""
    code, data, said = read(name)
    assert (code, said) == (0, ""), said
    assert [k for k, v in data.items() if v] == [kind] and len(data[kind]) == 1
    return data[kind][0]


def test_every_file_is_named():
    there = {str(p.relative_to(SHARED)) for folder in ("samples", "examples") for p in (SHARED / folder).rglob("*") if p.is_file()}
    assert there == {*AGGREGATE, *FAILURE, *TLS, *REFUSED}


@pytest.mark.parametrize("name", AGGREGATE)
def test_aggregate(name):
    want, got = AGGREGATE[name], only(name, "aggregate_reports")
    meta, policy, records = got["report_metadata"], got["policy_published"], got["records"]
    assert (got["schema"], meta["org_name"], meta["org_email"], meta["report_id"], meta["begin_date"], meta["end_date"]) == (
        want["schema"], want["org"], want["email"], want["ident"], want["begin"], want["end"])
    assert (policy["domain"], policy["p"]) == (want["domain"], want["policy"])
    assert (len(records), sum(r["count"] for r in records)) == (want["records"], want["messages"])
    assert got["totals"] == {"records": want["records"], "dropped": 0, "messages": want["messages"], "passed": want["passed"]}
    if want["ips"]:
        assert {r["source"]["ip_address"] for r in records} == want["ips"]
    else:
        assert all(r["source"]["ip_address"].startswith("12.20.1") for r in records)
    assert {r["identifiers"]["header_from"] for r in records} == want["froms"]
    said = [f"{w['where']}: {w['what']}" for w in got["warnings"]]
    assert len(said) == len(want["warnings"]) and all(s.startswith(w) for s, w in zip(said, want["warnings"])), said


def test_the_same_report_in_three_wrappings():
    hashes = {name: only(f"samples/extract_report/{name}", "aggregate_reports") for name in (
        "nice-input.xml", "nice-input.xml.gz", "nice-input.xml.zip", "changed-input.xml")}
    same = {(r["report_uid"], r["content_sha256"]) for name, r in hashes.items() if name.startswith("nice")}
    assert len(same) == 1
    assert (hashes["changed-input.xml"]["report_uid"], hashes["changed-input.xml"]["content_sha256"]) not in same


@pytest.mark.parametrize("name", FAILURE)
def test_failure(name):
    report = only(name, "failure_reports")
    for path, want in FAILURE[name].items():
        got = report
        for key in path.split("."):
            got = got[key]
        assert got == want, path


@pytest.mark.parametrize("name", TLS)
def test_smtp_tls(name):
    report, want = only(name, "smtp_tls_reports"), TLS[name]
    assert {k: report[k] for k in want if k != "policies"} == {k: v for k, v in want.items() if k != "policies"}
    got = [(p["policy_domain"], p["policy_type"], p["successful_session_count"], p["failed_session_count"],
            *((d["result_type"], d["failed_session_count"]) for d in p.get("failure_details") or [])) for p in report["policies"]]
    assert got == list(want["policies"])


def test_a_mail_whose_header_was_written_again_q_25():
    name = next(n for n in AGGREGATE if "borschow" in n)
    assert only(name, "aggregate_reports")["filename"] == "google.com!borschow.com!1549929600!1550015999.xml"


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    code, data, said = read(name)
    assert code == 1 and not any(data.values()) and REFUSED[name] in said
