-- Every answer can be counted again from these rows. The primary key is what
-- makes ingest idempotent: one id is one event of a tenant, whatever its time.
CREATE TABLE analytics_events (
    tenant      TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    user_id     TEXT    NOT NULL, -- '' is an event of nobody
    time        INTEGER NOT NULL, -- when it happened, unix microseconds
    received_at INTEGER NOT NULL, -- when it came in, unix microseconds
    properties  TEXT    NOT NULL, -- a JSON object, as it was sent
    PRIMARY KEY (tenant, id)
);

-- Counts and unique users are answered from this index alone; only filters and
-- breakdowns go on to the rows, which lie in the order they came in.
CREATE INDEX analytics_events_query ON analytics_events (tenant, name, time, user_id);
