-- One row for each task: who carries it out, and until when nobody else does, in
-- microseconds. Without an owner it is when the task is due again.
CREATE TABLE retention_leases (
    task  TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    until INTEGER NOT NULL
);
