-- The stream holds the events of all tenants in one order, which is why seq and
-- not the tenant is its key: a consumer reads it from front to back. The numbers
-- must not be cached by sessions, which would hand them out in another order.
-- Old rows are removed from the front, so the table is vacuumed early.
CREATE TABLE event_log (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    id      TEXT   COLLATE "C" NOT NULL,
    source  TEXT   NOT NULL,
    type    TEXT   NOT NULL,
    tenant  TEXT   COLLATE "C" NOT NULL,
    subject TEXT   NOT NULL,
    time    BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    data    TEXT   NOT NULL,
    stored  BIGINT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

CREATE UNIQUE INDEX event_log_once ON event_log (tenant, id);

-- seq is the last event that the group has finished; owner and expires are the
-- lease of the consumer that works for it; lost counts events that were trimmed
-- before the group had them. Rows change many times a second: the room in the
-- pages lets them do so without touching the index.
CREATE TABLE event_offsets (
    consumer_group TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    seq            BIGINT NOT NULL,
    owner          TEXT   NOT NULL,
    expires        BIGINT NOT NULL,
    lost           BIGINT NOT NULL
) WITH (fillfactor = 20);
