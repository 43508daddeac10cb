-- A job may name what it works on. Jobs of one tenant, kind and target are found
-- by one seek, so that those of a target that has to wait are passed over.
ALTER TABLE jobs ADD COLUMN target TEXT NOT NULL DEFAULT '';

DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (kind, tenant, target, priority DESC, run_at, id) WHERE state = 0;

CREATE INDEX jobs_running_target ON jobs (tenant, kind, target) WHERE state = 2 AND target <> '';

-- A target has a row for as long as it fails: one of its jobs runs at a time.
CREATE TABLE job_failing_targets (
    tenant TEXT    NOT NULL,
    kind   TEXT    NOT NULL,
    target TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, target)
);
