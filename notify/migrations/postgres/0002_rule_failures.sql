-- How rules fail, and the reason why one was switched off. A day is numbered
-- from 1970-01-01; strikes are texts in a row that took more than a text may.
CREATE TABLE notify_rule_failures (
  tenant TEXT COLLATE "C" NOT NULL,
  rule TEXT COLLATE "C" NOT NULL,
  day BIGINT NOT NULL,
  today BIGINT NOT NULL,
  total BIGINT NOT NULL,
  strikes BIGINT NOT NULL,
  reason TEXT NOT NULL,
  event TEXT NOT NULL,
  failed_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, rule)
);
CREATE INDEX notify_rule_failures_by_time ON notify_rule_failures (failed_at);

ALTER TABLE notify_rules ADD COLUMN disabled_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE notify_builtin_rules ADD COLUMN disabled_reason TEXT NOT NULL DEFAULT '';

-- Events that the consumer had no more time for, until their job has run.
CREATE TABLE notify_waiting_events (
  tenant TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);
