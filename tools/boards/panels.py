# SPDX-License-Identifier: Apache-2.0
"""What the dashboards show: one table for all of the programs. A field is named as outputs/flat.c writes it; where Splunk sees a list
("policies{}.policy_domain") its base search gives the short name first (RENAMES). A row of panels stands side by side, in every program."""
from typing import NamedTuple


class Field(NamedTuple):
    name: str            # in a search index
    label: str
    kind: str = "text"   # text, bool, ip, long, date
    short: str = ""      # in Splunk's searches, where it is another one

    @property
    def exact(self):
        """The field that a search index can group by."""
        return self.name + ".keyword" if self.kind in ("text", "ip") else self.name

    @property
    def splunk(self):
        return self.short or self.name


class Metric(NamedTuple):
    label: str
    field: Field | None  # None: how many reports


class Panel(NamedTuple):
    key: str
    title: str
    kind: str            # pie, time, map, table, samples
    by: tuple            # fields to group by, or the columns of samples
    metrics: tuple
    size: int = 50


class Filter(NamedTuple):
    field: Field
    choices: tuple = ()    # () = free text
    always: bool = False   # every document has the field, so that "anything" leaves none out


class Board(NamedTuple):
    key: str
    title: str
    text: str
    index: str           # how the names of its indices begin
    time: Field
    sourcetype: str
    renames: tuple       # Splunk: (what it sees, the short name)
    filters: tuple
    rows: tuple          # (height in lines, panels)


def text(name, label, short=""):
    return Field(name, label, "text", short)


YES = ("true", "false")
IP = Field("source_ip_address", "IP address", "ip")
REVERSE, BASE = text("source_reverse_dns", "Reverse DNS"), text("source_base_domain", "Base domain")
COUNTRY = text("source_country", "Country")
NAME, TYPE = text("source_name", "Source"), text("source_type", "Type")
ASN, AS_NAME, AS_DOMAIN = Field("source_asn", "ASN", "long"), text("source_as_name", "AS name"), text("source_as_domain", "AS domain")

# ---- aggregate reports: a document is a record ----
COUNT = Metric("Messages", Field("message_count", "Messages", "long"))
SPF, DKIM, DMARC = (Field("spf_aligned", "SPF aligned", "bool"), Field("dkim_aligned", "DKIM aligned", "bool"),
                    Field("passed_dmarc", "Passed DMARC", "bool"))
ORG, HEADER_FROM, ENVELOPE_FROM = text("org_name", "Organisation"), text("header_from", "From domain"), text("envelope_from", "Envelope from")
DISPOSITION = text("disposition", "Disposition")
POLICY = text("published_policy.p", "Policy", "policy")
SPF_RESULTS = text("spf_results_combined", "SPF: scope / domain / result")
DKIM_RESULTS = text("dkim_results_combined", "DKIM: selector / domain / result")

AGGREGATE = Board(
    key="aggregate", title="DMARC Summary", text="What DMARC aggregate reports say of the mail of your domains",
    index="dmarc_aggregate", time=Field("date_begin", "Date", "date"), sourcetype="dmarc:aggregate",
    renames=(("published_policy.p", "policy"), ("spf_results_combined{}", "spf_results_combined"),
             ("dkim_results_combined{}", "dkim_results_combined")),
    filters=(Filter(SPF, YES, True), Filter(DKIM, YES, True), Filter(DMARC, YES, True), Filter(ORG, (), True), Filter(REVERSE),
             Filter(HEADER_FROM, (), True), Filter(ENVELOPE_FROM), Filter(DISPOSITION, ("none", "pass", "quarantine", "reject")), Filter(IP),
             Filter(COUNTRY), Filter(POLICY), Filter(NAME), Filter(TYPE), Filter(AS_NAME)),
    rows=(
        (9, (Panel("spf-alignment", "SPF alignment", "pie", (SPF,), (COUNT,)),
             Panel("dkim-alignment", "DKIM alignment", "pie", (DKIM,), (COUNT,)),
             Panel("dmarc-passage", "DMARC passage", "pie", (DMARC,), (COUNT,)))),
        (10, (Panel("passage-over-time", "DMARC passage over time", "time", (DMARC,), (COUNT,)),
              Panel("disposition-over-time", "Message disposition over time", "time", (DISPOSITION,), (COUNT,)))),
        (13, (Panel("organisations", "Reporting organisations", "table", (ORG,), (COUNT,), 500),
              Panel("base-domains", "Message sources by reverse DNS base domain", "table", (BASE,), (COUNT,), 500),
              Panel("from-domains", "Message From-header domains", "table", (HEADER_FROM,), (COUNT,), 500))),
        (13, (Panel("from-passage", "From-header domains and DMARC passage", "table", (HEADER_FROM, DMARC), (COUNT,), 500),
              Panel("services", "Message sources by name and type", "table", (NAME, TYPE), (COUNT,), 200),
              Panel("networks", "Message sources by autonomous system", "table", (AS_NAME, AS_DOMAIN, ASN), (COUNT,), 200))),
        (15, (Panel("country-map", "Map of message source countries", "map", (COUNTRY,), (COUNT,), 250),
              Panel("countries", "Message source countries", "table", (COUNTRY,), (COUNT,), 250))),
        (14, (Panel("addresses", "Message sources by IP address", "table", (IP, REVERSE, BASE, COUNTRY), (COUNT,), 500),)),
        (14, (Panel("spf-details", "SPF alignment details", "table", (HEADER_FROM, ENVELOPE_FROM, SPF_RESULTS, SPF, BASE), (COUNT,), 200),)),
        (14, (Panel("dkim-details", "DKIM alignment details", "table", (HEADER_FROM, DKIM_RESULTS, DKIM, BASE), (COUNT,), 200),)),
    ))

# ---- failure reports: a document is a report ----
REPORTS = Metric("Reports", None)
ARRIVAL = Field("arrival_date", "Arrival", "date")
FROM, TO = text("sample.headers.from", "From", "header_from"), text("sample.headers.to", "To", "header_to")
SUBJECT = text("sample.headers.subject", "Subject", "header_subject")
DOMAIN, DELIVERY = text("domain", "Reported domain"), text("delivery_results", "Delivery result")
FAILED = text("auth_failure", "What failed", "auth_failure")

FAILURE = Board(
    key="failure", title="DMARC Forensic Samples", text="Single messages that failed DMARC, as failure reports have them",
    index="dmarc_forensic", time=ARRIVAL, sourcetype="dmarc:forensic",
    renames=(("sample.headers.from", "header_from"), ("sample.headers.to", "header_to"), ("sample.headers.subject", "header_subject"),
             ("auth_failure{}", "auth_failure")),
    filters=(Filter(FROM), Filter(TO), Filter(SUBJECT), Filter(IP), Filter(REVERSE), Filter(COUNTRY)),
    rows=(
        (18, (Panel("samples", "Forensic samples", "samples",
                    (ARRIVAL, DOMAIN, FROM, TO, SUBJECT, FAILED, DELIVERY, IP, COUNTRY), (REPORTS,), 500),)),
        (15, (Panel("sample-map", "Map of forensic sample source countries", "map", (COUNTRY,), (REPORTS,), 250),
              Panel("sample-countries", "Forensic sample source countries", "table", (COUNTRY,), (REPORTS,), 250))),
        (14, (Panel("sample-addresses", "Forensic samples by IP address", "table", (IP, REVERSE, BASE, COUNTRY), (REPORTS,), 500),)),
    ))

# ---- SMTP TLS reports: a document is a policy with its counts, or one of its failure details ----
GOOD = Metric("Successful sessions", Field("policies.successful_session_count", "Successful sessions", "long", "successful_sessions"))
BAD = Metric("Failed sessions", Field("policies.failed_session_count", "Failed sessions", "long", "failed_sessions"))
OF_DETAIL = Metric("Failed sessions", Field("policies.failure_details.failed_session_count", "Failed sessions", "long", "detail_sessions"))
POLICY_DOMAIN = text("policies.policy_domain", "Policy domain", "policy_domain")
POLICY_TYPE = text("policies.policy_type", "Policy type", "policy_type")
RESULT = text("policies.failure_details.result_type", "Result", "result_type")
DETAILS = text("failure_details_combined", "domain / policy / result / sending IP / receiving IP / MX")

TLS = Board(
    key="smtp_tls", title="SMTP TLS Reporting", text="How other servers fared with TLS when they sent mail to your domains",
    index="smtp_tls", time=Field("date_begin", "Date", "date"), sourcetype="smtp:tls",
    renames=(("policies{}.policy_domain", "policy_domain"), ("policies{}.policy_type", "policy_type"),
             ("policies{}.successful_session_count", "successful_sessions"), ("policies{}.failed_session_count", "failed_sessions"),
             ("policies{}.failure_details{}.failed_session_count", "detail_sessions"),
             ("policies{}.failure_details{}.result_type", "result_type"), ("failure_details_combined{}", "failure_details_combined"),
             ("organization_name", "org_name")),
    filters=(Filter(ORG, (), True), Filter(POLICY_DOMAIN, (), True), Filter(POLICY_TYPE, (), True)),
    rows=(
        (10, (Panel("sessions-over-time", "Sessions over time", "time", (), (GOOD, BAD)),)),
        (13, (Panel("tls-organisations", "Reporting organisations", "table", (ORG,), (GOOD, BAD), 500),
              Panel("tls-domains", "Domains and their policies", "table", (POLICY_DOMAIN, POLICY_TYPE), (GOOD, BAD), 500))),
        (14, (Panel("tls-results", "Failures by result", "table", (RESULT,), (OF_DETAIL,), 100),
              Panel("tls-details", "Failure details", "table", (DETAILS, ORG), (OF_DETAIL,), 500))),
    ))

BOARDS = (AGGREGATE, FAILURE, TLS)
