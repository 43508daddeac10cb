CREATE TABLE outbox (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	id      TEXT    NOT NULL,
	source  TEXT    NOT NULL,
	type    TEXT    NOT NULL,
	tenant  TEXT    NOT NULL,
	subject TEXT    NOT NULL,
	time    INTEGER NOT NULL,
	actor   TEXT    NOT NULL,
	data    TEXT    NOT NULL
);
CREATE TABLE inbox (
	tenant   TEXT    NOT NULL,
	consumer TEXT    NOT NULL,
	event_id TEXT    NOT NULL,
	seen     INTEGER NOT NULL,
	PRIMARY KEY (tenant, consumer, event_id)
) WITHOUT ROWID;
