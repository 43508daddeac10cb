-- Events that no stream will ever take, with the reason. The relay puts them
-- here so that those behind them go on; nothing reads them but people.
CREATE TABLE outbox_dead (
    tenant  TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    id      TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    type    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    time    INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    data    TEXT    NOT NULL,
    cause   TEXT    NOT NULL,
    died    INTEGER NOT NULL,
    PRIMARY KEY (tenant, seq)
) WITHOUT ROWID;
