-- One row says when a relay, of whatever process, last noted that it serves the
-- outbox. The check of a store reads it where events wait.
CREATE TABLE outbox_heartbeat (
	relay TEXT   NOT NULL PRIMARY KEY,
	seen  BIGINT NOT NULL
);
