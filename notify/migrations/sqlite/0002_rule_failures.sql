-- How rules fail, and the reason why one was switched off. A day is numbered
-- from 1970-01-01; strikes are texts in a row that took more than a text may.
CREATE TABLE notify_rule_failures (
  tenant TEXT NOT NULL,
  rule TEXT NOT NULL,
  day INTEGER NOT NULL,
  today INTEGER NOT NULL,
  total INTEGER NOT NULL,
  strikes INTEGER NOT NULL,
  reason TEXT NOT NULL,
  event TEXT NOT NULL,
  failed_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, rule)
) WITHOUT ROWID;
CREATE INDEX notify_rule_failures_by_time ON notify_rule_failures (failed_at);

ALTER TABLE notify_rules ADD COLUMN disabled_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE notify_builtin_rules ADD COLUMN disabled_reason TEXT NOT NULL DEFAULT '';

-- Events that the consumer had no more time for, until their job has run.
CREATE TABLE notify_waiting_events (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
