-- Migration 1: messages, payloads, reports and their rows, sinks.
-- Times are seconds since the epoch, UTC. Text is UTF-8 as the parser handed it over. NULL = absent in the report.

CREATE TABLE message (                -- one row for each spool file that was taken in
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	spool_id   TEXT    NOT NULL UNIQUE, -- name of the spool file: a file seen again after a crash is known by it
	door       TEXT    NOT NULL,        -- milter lmtp pipe imap import
	sender     TEXT,
	recipients TEXT    NOT NULL,        -- one a line
	client     TEXT,
	queue_id   TEXT,
	arrival    INTEGER NOT NULL,
	fate       TEXT    NOT NULL,
	size       INTEGER NOT NULL,
	sha256     BLOB    NOT NULL,
	headers    BLOB    NOT NULL,        -- whole header block as received
	reports    INTEGER NOT NULL,
	broken     INTEGER NOT NULL,
	reason     TEXT,                    -- why something in it could not be read
	quarantine TEXT                     -- the verdict for which the raw message lies in quarantine; NULL = it does not
);

CREATE TABLE payload (                -- the container that reports stood in, gzip or zip
	id         INTEGER PRIMARY KEY,
	message_id INTEGER NOT NULL REFERENCES message (id),
	part       INTEGER NOT NULL,
	bytes      BLOB    NOT NULL,
	UNIQUE (message_id, part)
);

CREATE TABLE report (
	seq               INTEGER PRIMARY KEY AUTOINCREMENT, -- order for the sinks
	uid               TEXT    NOT NULL UNIQUE,
	revision          INTEGER NOT NULL DEFAULT 1,
	kind              INTEGER NOT NULL,
	message_id        INTEGER NOT NULL REFERENCES message (id),
	part              INTEGER NOT NULL,
	document          INTEGER NOT NULL,
	filename          TEXT,
	stored            INTEGER NOT NULL,
	schema            INTEGER NOT NULL, -- enum tap_schema
	version           TEXT,
	xml_namespace     TEXT,
	org_name          TEXT,
	email             TEXT,
	contact           TEXT,
	contact_lang      TEXT,
	report_id         TEXT,
	generator         TEXT,
	begin             INTEGER NOT NULL,
	end               INTEGER NOT NULL,
	domain            TEXT,
	version_published TEXT,
	discovery_method  TEXT,
	p                 TEXT,
	sp                TEXT,
	np                TEXT,
	adkim             TEXT,
	aspf              TEXT,
	pct               TEXT,
	fo                TEXT,
	testing           TEXT,
	extension         TEXT,
	content_hash      BLOB    NOT NULL,
	content_bytes     INTEGER NOT NULL,
	records           INTEGER NOT NULL,
	dropped           INTEGER NOT NULL,
	messages          INTEGER NOT NULL, -- sum of the counts
	passed            INTEGER NOT NULL, -- of these, with DMARC pass
	truncated         INTEGER NOT NULL,
	recovered         INTEGER NOT NULL,
	warnings          INTEGER NOT NULL, -- how many there were; the first 100 are notes
	duplicates        INTEGER NOT NULL DEFAULT 0 -- how often the same report came again
);
CREATE INDEX report_begin ON report (begin);
CREATE INDEX report_domain ON report (domain, begin);

CREATE TABLE note (                   -- lists that belong to a report
	seq   INTEGER NOT NULL REFERENCES report (seq),
	kind  INTEGER NOT NULL,             -- 0 error of the reporter, 1 warning of ours, 2 receiving domain
	n     INTEGER NOT NULL,
	place TEXT,                         -- warning: where
	text  TEXT    NOT NULL,
	lang  TEXT,
	PRIMARY KEY (seq, kind, n)
) WITHOUT ROWID;

CREATE TABLE record (
	seq           INTEGER NOT NULL REFERENCES report (seq),
	ordinal       INTEGER NOT NULL,     -- 0-based among the stored records
	idx           INTEGER NOT NULL,     -- 0-based in the document
	source_ip     TEXT,
	source_ip_raw TEXT,
	count         INTEGER NOT NULL,
	disposition   TEXT,
	evaluated     INTEGER NOT NULL,
	dkim_aligned  INTEGER NOT NULL,
	spf_aligned   INTEGER NOT NULL,
	header_from   TEXT,
	envelope_from TEXT,
	envelope_to   TEXT,
	extension     TEXT,
	PRIMARY KEY (seq, ordinal)
) WITHOUT ROWID;

CREATE TABLE auth_result (
	seq     INTEGER NOT NULL,
	ordinal INTEGER NOT NULL,
	method  INTEGER NOT NULL,           -- 0 dkim, 1 spf
	n       INTEGER NOT NULL,
	domain  TEXT,
	label   TEXT,                       -- selector or scope
	result  TEXT,
	human   TEXT,
	lang    TEXT,
	PRIMARY KEY (seq, ordinal, method, n)
) WITHOUT ROWID;

CREATE TABLE reason (
	seq     INTEGER NOT NULL,
	ordinal INTEGER NOT NULL,
	n       INTEGER NOT NULL,
	type    TEXT,
	comment TEXT,
	lang    TEXT,
	PRIMARY KEY (seq, ordinal, n)
) WITHOUT ROWID;

CREATE TABLE sink (                   -- how far each output has got
	name    TEXT PRIMARY KEY,
	seq     INTEGER NOT NULL,
	ordinal INTEGER NOT NULL,
	state   TEXT    NOT NULL            -- what the driver needs to resume
) WITHOUT ROWID;

CREATE TABLE sink_exception (         -- items behind the cursor that were not confirmed: parked
	sink    TEXT    NOT NULL,
	seq     INTEGER NOT NULL,
	ordinal INTEGER NOT NULL,
	reason  TEXT    NOT NULL,
	since   INTEGER NOT NULL,
	PRIMARY KEY (sink, seq, ordinal)
) WITHOUT ROWID;
