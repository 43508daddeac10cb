-- state: 0 ready, 1 scheduled for run_at, 2 running under a lease, 3 dead.
-- A job that is done is deleted. fence counts the claims: a write for a job
-- names the fence it was claimed with, so a worker that lost it writes nothing.
-- Rows come, change twice and go, so the table is vacuumed early.
CREATE TABLE jobs (
    tenant     TEXT    COLLATE "C" NOT NULL,
    id         TEXT    COLLATE "C" NOT NULL,
    kind       TEXT    COLLATE "C" NOT NULL,
    state      INTEGER NOT NULL,
    priority   BIGINT  NOT NULL,
    run_at     BIGINT  NOT NULL,
    unique_key TEXT    COLLATE "C",
    payload    TEXT    NOT NULL,
    attempt    BIGINT  NOT NULL,
    fence      BIGINT  NOT NULL,
    owner      TEXT    COLLATE "C" NOT NULL,
    lease      BIGINT  NOT NULL,
    started    BIGINT  NOT NULL,
    enqueued   BIGINT  NOT NULL,
    died       BIGINT  NOT NULL,
    cause      TEXT    NOT NULL,
    PRIMARY KEY (tenant, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);

CREATE UNIQUE INDEX jobs_unique ON jobs (tenant, kind, unique_key) WHERE unique_key IS NOT NULL AND state < 3;

CREATE INDEX jobs_dead ON jobs (tenant, died, id) WHERE state = 3;

-- The workers act for all tenants. These three indexes are theirs, and only
-- they do not begin with the tenant: with the kind first, the tenants that have
-- ready jobs of it are found by one seek each, and take turns.
CREATE INDEX jobs_ready ON jobs (kind, tenant, priority DESC, run_at, id) WHERE state = 0;

CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 1;

CREATE INDEX jobs_running ON jobs (lease) WHERE state = 2;
