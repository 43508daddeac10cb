-- What a tenant has used of a limit on a UTC day, numbered from 1970-01-01.
CREATE TABLE quota_days (
    tenant  TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    day     INTEGER NOT NULL,
    used    INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, subject, day)
) WITHOUT ROWID;

CREATE INDEX quota_days_age ON quota_days (day);
