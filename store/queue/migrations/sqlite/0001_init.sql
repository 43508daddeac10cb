-- state: 0 ready, 1 scheduled for run_at, 2 running under a lease, 3 dead.
-- A job that is done is deleted. fence counts the claims: a write for a job
-- names the fence it was claimed with, so a worker that lost it writes nothing.
CREATE TABLE jobs (
    tenant     TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    state      INTEGER NOT NULL,
    priority   INTEGER NOT NULL,
    run_at     INTEGER NOT NULL,
    unique_key TEXT,
    payload    TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    fence      INTEGER NOT NULL,
    owner      TEXT    NOT NULL,
    lease      INTEGER NOT NULL,
    started    INTEGER NOT NULL,
    enqueued   INTEGER NOT NULL,
    died       INTEGER NOT NULL,
    cause      TEXT    NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE UNIQUE INDEX jobs_unique ON jobs (tenant, kind, unique_key) WHERE unique_key IS NOT NULL AND state < 3;

CREATE INDEX jobs_dead ON jobs (tenant, died, id) WHERE state = 3;

-- The workers act for all tenants. These three indexes are theirs, and only
-- they do not begin with the tenant: with the kind first, the tenants that have
-- ready jobs of it are found by one seek each, and take turns.
CREATE INDEX jobs_ready ON jobs (kind, tenant, priority DESC, run_at, id) WHERE state = 0;

CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 1;

CREATE INDEX jobs_running ON jobs (lease) WHERE state = 2;
