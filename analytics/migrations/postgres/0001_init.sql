-- Every answer can be counted again from these rows. The primary key is what
-- makes ingest idempotent: one id is one event of a tenant, whatever its time.
-- What is compared or ordered has the collation "C": bytewise, as in SQLite,
-- whatever the locale of the database.
CREATE TABLE analytics_events (
    tenant      TEXT COLLATE "C" NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    user_id     TEXT COLLATE "C" NOT NULL, -- '' is an event of nobody
    time        BIGINT           NOT NULL, -- when it happened, unix microseconds
    received_at BIGINT           NOT NULL, -- when it came in, unix microseconds
    properties  TEXT             NOT NULL, -- a JSON object, as it was sent
    PRIMARY KEY (tenant, id)
);

-- Counts and unique users are answered from this index alone; only filters and
-- breakdowns go on to the rows, which lie in the order they came in.
CREATE INDEX analytics_events_query ON analytics_events (tenant, name, time, user_id);
