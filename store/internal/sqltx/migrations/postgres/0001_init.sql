-- One row is one event that is not published yet. Rows come and go fast, so the
-- table is vacuumed early.
CREATE TABLE outbox (
	seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id      TEXT   COLLATE "C" NOT NULL,
	source  TEXT   NOT NULL,
	type    TEXT   NOT NULL,
	tenant  TEXT   COLLATE "C" NOT NULL,
	subject TEXT   NOT NULL,
	time    BIGINT NOT NULL,
	actor   TEXT   NOT NULL,
	data    TEXT   NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE inbox (
	tenant   TEXT   COLLATE "C" NOT NULL,
	consumer TEXT   COLLATE "C" NOT NULL,
	event_id TEXT   COLLATE "C" NOT NULL,
	seen     BIGINT NOT NULL,
	PRIMARY KEY (tenant, consumer, event_id)
);
