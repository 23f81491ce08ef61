-- Migration 3: items that wait beside those that are parked, cursors that an operator moves, revisions, expiry.

ALTER TABLE sink ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0; -- raised when an operator moves the cursor: what was read before does not move it back

ALTER TABLE sink_exception ADD COLUMN parked   INTEGER NOT NULL DEFAULT 1; -- 0 = waits to be tried again
ALTER TABLE sink_exception ADD COLUMN tries    INTEGER NOT NULL DEFAULT 1;
ALTER TABLE sink_exception ADD COLUMN next_try INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sink_exception_due ON sink_exception (sink, next_try) WHERE parked = 0;
CREATE INDEX sink_exception_seq ON sink_exception (seq);

CREATE TABLE sink_done (              -- reports behind a cursor that was moved back, which are not owed again
	sink    TEXT    NOT NULL,
	seq     INTEGER NOT NULL,           -- the first,
	to_seq  INTEGER NOT NULL,           -- and the one behind the last
	PRIMARY KEY (sink, seq)
) WITHOUT ROWID;

CREATE TABLE sink_sent (              -- reports before a cursor of which the sink has confirmed a former revision
	sink TEXT    NOT NULL,
	seq  INTEGER NOT NULL,
	PRIMARY KEY (sink, seq)
) WITHOUT ROWID;

CREATE TABLE expired (                -- what is left of a report that was removed: it is not taken in anew when it comes late
	uid          TEXT    PRIMARY KEY,
	content_hash BLOB    NOT NULL,
	at           INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX expired_at ON expired (at);

CREATE INDEX report_message ON report (message_id);
