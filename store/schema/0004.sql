-- Migration 4: what an operator has asked to be parsed again, and how far it has got.

CREATE TABLE reprocess (              -- one row for each request; at most one has not ended
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	since   INTEGER NOT NULL,           -- reports that were stored then or later,
	until   INTEGER NOT NULL,           -- and before this
	next    INTEGER NOT NULL,           -- message.id: all before are done
	last    INTEGER NOT NULL,           -- message.id: the last that is meant
	owed    INTEGER NOT NULL,           -- messages when it was asked for; the others count messages or reports of what is done
	done    INTEGER NOT NULL DEFAULT 0,
	changed INTEGER NOT NULL DEFAULT 0, -- reports that have a new revision
	added   INTEGER NOT NULL DEFAULT 0, -- reports that could not be read before
	failed  INTEGER NOT NULL DEFAULT 0, -- messages of which something could not be read again: it stays as it was
	started INTEGER NOT NULL,
	ended   INTEGER,
	reason  TEXT                        -- of the last failure
);
