-- What a tenant has used of a limit on a UTC day, numbered from 1970-01-01. Rows
-- are changed in place, so pages keep room for that.
CREATE TABLE quota_days (
    tenant  TEXT   COLLATE "C" NOT NULL,
    name    TEXT   COLLATE "C" NOT NULL,
    subject TEXT   COLLATE "C" NOT NULL,
    day     BIGINT NOT NULL,
    used    BIGINT NOT NULL,
    PRIMARY KEY (tenant, name, subject, day)
) WITH (fillfactor = 70);

CREATE INDEX quota_days_age ON quota_days (day);
