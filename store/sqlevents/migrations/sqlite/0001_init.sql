-- The stream holds the events of all tenants in one order, which is why seq and
-- not the tenant is its key: a consumer reads it from front to back.
CREATE TABLE event_log (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    type    TEXT    NOT NULL,
    tenant  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    time    INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    data    TEXT    NOT NULL,
    stored  INTEGER NOT NULL
);

CREATE UNIQUE INDEX event_log_once ON event_log (tenant, id);

-- seq is the last event that the group has finished; owner and expires are the
-- lease of the consumer that works for it; lost counts events that were trimmed
-- before the group had them.
CREATE TABLE event_offsets (
    consumer_group TEXT    NOT NULL PRIMARY KEY,
    seq            INTEGER NOT NULL,
    owner          TEXT    NOT NULL,
    expires        INTEGER NOT NULL,
    lost           INTEGER NOT NULL
) WITHOUT ROWID;
