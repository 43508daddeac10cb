-- Events that no stream will ever take, with the reason. The relay puts them
-- here so that those behind them go on; nothing reads them but people.
CREATE TABLE outbox_dead (
    tenant  TEXT   COLLATE "C" NOT NULL,
    seq     BIGINT NOT NULL,
    id      TEXT   COLLATE "C" NOT NULL,
    source  TEXT   NOT NULL,
    type    TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    time    BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    data    TEXT   NOT NULL,
    cause   TEXT   NOT NULL,
    died    BIGINT NOT NULL,
    PRIMARY KEY (tenant, seq)
);
