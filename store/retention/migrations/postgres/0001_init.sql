-- One row for each task: who carries it out, and until when nobody else does, in
-- microseconds. Without an owner it is when the task is due again.
CREATE TABLE retention_leases (
    task  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL
);
