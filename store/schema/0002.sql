-- Migration 2: trust of every report, failure and other feedback reports, SMTP TLS reports, quotas.
-- What holds people's data stands in tables of its own (failure_*), so that it can be kept for another time than the numbers.

ALTER TABLE report ADD COLUMN auth         INTEGER NOT NULL DEFAULT 0; -- enum tap_auth_state, of the mail that carried it
ALTER TABLE report ADD COLUMN dmarc        INTEGER NOT NULL DEFAULT 0; -- enum tap_auth_state, what was said of DMARC
ALTER TABLE report ADD COLUMN reporter     INTEGER NOT NULL DEFAULT 0; -- enum tap_agree
ALTER TABLE report ADD COLUMN names        INTEGER NOT NULL DEFAULT 0; -- enum tap_agree
ALTER TABLE report ADD COLUMN is_foreign   INTEGER NOT NULL DEFAULT 0; -- about a domain that is not ours
ALTER TABLE report ADD COLUMN trusted      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE report ADD COLUMN from_domain  TEXT;                       -- of the mail's From
ALTER TABLE report ADD COLUMN begin_raw    TEXT;                       -- SMTP TLS: as sent
ALTER TABLE report ADD COLUMN end_raw      TEXT;
ALTER TABLE report ADD COLUMN details      INTEGER NOT NULL DEFAULT 0; -- SMTP TLS: stored failure details; records = policies
-- Domains of DKIM signatures that passed are notes of kind 3.

-- Totals ask for one kind, not foreign, of a time; lists for one kind in the order of seq. Aggregate reports, of which there are most, pay
-- for no index of their own: their list walks the table.
DROP INDEX report_begin;
DROP INDEX report_domain;
CREATE INDEX report_begin ON report (kind, is_foreign, begin, trusted);
CREATE INDEX report_domain ON report (domain, kind, begin);
CREATE INDEX report_kind ON report (kind, is_foreign) WHERE kind <> 1;
CREATE INDEX report_foreign ON report (is_foreign) WHERE is_foreign <> 0;
CREATE INDEX report_auth ON report (auth) WHERE auth <> 0;

CREATE TABLE failure (                -- one for each report of kind 2 or 8: what the reporter says
	seq                   INTEGER PRIMARY KEY REFERENCES report (seq),
	format                INTEGER NOT NULL, -- enum tap_failure_format
	feedback_type         TEXT,
	user_agent            TEXT,
	version               TEXT,
	original_envelope_id  TEXT,
	original_mail_from    TEXT,
	arrival_date          TEXT,
	arrival               INTEGER,          -- NULL = none that can be read
	message_id            TEXT,
	delivery_result       TEXT,
	delivery_result_raw   TEXT,
	alignment_known       INTEGER NOT NULL,
	reporting_mta_type    TEXT,
	reporting_mta         TEXT,
	dkim_domain           TEXT,
	dkim_identity         TEXT,
	dkim_selector         TEXT,
	dkim_selector_dns     TEXT,
	dkim_adsp_dns         TEXT,
	dkim_header_given     INTEGER NOT NULL,
	dkim_header_size      INTEGER NOT NULL,
	dkim_header_sha256    TEXT    NOT NULL,
	dkim_body_given       INTEGER NOT NULL,
	dkim_body_size        INTEGER NOT NULL,
	dkim_body_sha256      TEXT    NOT NULL,
	source_ip             TEXT,
	source_ip_raw         TEXT,
	source_ip_from_sample INTEGER NOT NULL,
	source_port           INTEGER NOT NULL,
	incidents             INTEGER NOT NULL,
	sample_utf8           INTEGER NOT NULL,
	sample_headers_only   INTEGER NOT NULL,
	sample_damaged        INTEGER NOT NULL,
	human_text            TEXT
);

CREATE TABLE failure_sample (         -- the message that it is about; no row = the report has none
	seq         INTEGER PRIMARY KEY REFERENCES failure (seq),
	subject     TEXT,
	message_id  TEXT,
	date        TEXT,
	time        INTEGER,                -- NULL = none that can be read
	has_zone    INTEGER NOT NULL,
	zone        INTEGER NOT NULL,       -- minutes east of UTC
	has_defects INTEGER NOT NULL,
	body        TEXT,
	bytes       BLOB    NOT NULL        -- as sent, transfer encoding removed
);

CREATE TABLE failure_list (           -- lists of texts, of pairs and of SPF records; the kinds are in store/failure.c
	seq    INTEGER NOT NULL REFERENCES failure (seq),
	kind   INTEGER NOT NULL,
	n      INTEGER NOT NULL,
	name   TEXT,                        -- of a pair or header field; type of an SPF record
	value  TEXT,
	domain TEXT,                        -- SPF record
	raw    TEXT,                        -- SPF record
	PRIMARY KEY (seq, kind, n)
) WITHOUT ROWID;

CREATE TABLE failure_address (        -- address fields of the sample
	seq          INTEGER NOT NULL REFERENCES failure (seq),
	field        INTEGER NOT NULL,
	n            INTEGER NOT NULL,
	display_name TEXT,
	address      TEXT,
	local_part   TEXT,
	domain       TEXT,
	PRIMARY KEY (seq, field, n)
) WITHOUT ROWID;

CREATE TABLE failure_hop (            -- Received fields of the sample
	seq    INTEGER NOT NULL REFERENCES failure (seq),
	n      INTEGER NOT NULL,
	"from" TEXT,
	"by"   TEXT,
	"with" TEXT,
	id     TEXT,
	"for"  TEXT,
	via    TEXT,
	date   TEXT,
	time   INTEGER,                     -- NULL = none that can be read
	delay  INTEGER NOT NULL,
	hop    INTEGER NOT NULL,
	PRIMARY KEY (seq, n)
) WITHOUT ROWID;

CREATE TABLE failure_attachment (
	seq          INTEGER NOT NULL REFERENCES failure (seq),
	n            INTEGER NOT NULL,
	filename     TEXT,
	content_type TEXT,
	content_id   TEXT,
	disposition  TEXT,
	charset      TEXT,
	encoding     TEXT,
	size         INTEGER NOT NULL,
	sha256       TEXT    NOT NULL,
	is_text      INTEGER NOT NULL,
	damaged      INTEGER NOT NULL,
	payload      BLOB,                  -- NULL = stripped or over the limit
	PRIMARY KEY (seq, n)
);

-- SMTP TLS: ordinal counts policies and details together, in the order of the document: a policy, then its details.
CREATE TABLE tls_policy (
	seq         INTEGER NOT NULL REFERENCES report (seq),
	ordinal     INTEGER NOT NULL,
	idx         INTEGER NOT NULL,
	policy_type TEXT,
	domain      TEXT,
	successful  INTEGER NOT NULL,
	failed      INTEGER NOT NULL,
	details     INTEGER NOT NULL,       -- how many the parser said follow
	PRIMARY KEY (seq, ordinal)
) WITHOUT ROWID;

CREATE TABLE tls_text (
	seq     INTEGER NOT NULL,
	ordinal INTEGER NOT NULL,           -- of the policy
	kind    INTEGER NOT NULL,           -- 0 policy string, 1 MX host
	n       INTEGER NOT NULL,
	text    TEXT,
	PRIMARY KEY (seq, ordinal, kind, n)
) WITHOUT ROWID;

CREATE TABLE tls_detail (
	seq                   INTEGER NOT NULL REFERENCES report (seq),
	ordinal               INTEGER NOT NULL,
	policy                INTEGER NOT NULL, -- idx of its policy
	idx                   INTEGER NOT NULL, -- below its policy
	result_type           TEXT,
	failed                INTEGER NOT NULL,
	sending_mta_ip        TEXT,
	receiving_ip          TEXT,
	receiving_mx_hostname TEXT,
	receiving_mx_helo     TEXT,
	additional_info       TEXT,
	failure_reason_code   TEXT,
	PRIMARY KEY (seq, ordinal)
) WITHOUT ROWID;

CREATE TABLE quota (                  -- what a reporter's domain has brought on one UTC day; old days are removed
	day     INTEGER NOT NULL,           -- days since the epoch
	domain  TEXT    NOT NULL,
	records INTEGER NOT NULL,
	bytes   INTEGER NOT NULL,
	PRIMARY KEY (day, domain)
) WITHOUT ROWID;
