CREATE TABLE notify_messages (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  status TEXT NOT NULL,
  reason TEXT NOT NULL,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  html TEXT NOT NULL,
  channels TEXT NOT NULL,
  audience TEXT NOT NULL,
  inbox INTEGER NOT NULL,
  rule TEXT NOT NULL,
  event TEXT NOT NULL,
  actor TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX notify_messages_by_time ON notify_messages (tenant, created_at, id);

CREATE TABLE notify_inbox (
  tenant TEXT NOT NULL,
  user_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  message_id TEXT NOT NULL,
  read_at INTEGER,
  PRIMARY KEY (tenant, user_id, created_at, message_id)
) WITHOUT ROWID;
CREATE INDEX notify_inbox_unread ON notify_inbox (tenant, user_id, created_at, message_id) WHERE read_at IS NULL;

CREATE TABLE notify_unread (
  tenant TEXT NOT NULL,
  user_id TEXT NOT NULL,
  unread INTEGER NOT NULL,
  PRIMARY KEY (tenant, user_id)
) WITHOUT ROWID;

CREATE TABLE notify_deliveries (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  message_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  channel TEXT NOT NULL,
  recipient TEXT NOT NULL,
  address TEXT NOT NULL,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  next_attempt_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX notify_deliveries_by_message ON notify_deliveries (tenant, message_id, created_at, id) WHERE message_id <> '';
CREATE INDEX notify_deliveries_by_endpoint ON notify_deliveries (tenant, recipient, created_at, id) WHERE channel = 'webhook';

CREATE TABLE notify_attempts (
  tenant TEXT NOT NULL,
  delivery_id TEXT NOT NULL,
  n INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  duration INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  code INTEGER NOT NULL,
  reason TEXT NOT NULL,
  response TEXT NOT NULL,
  PRIMARY KEY (tenant, delivery_id, n)
) WITHOUT ROWID;

CREATE TABLE notify_templates (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  html TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX notify_templates_name ON notify_templates (tenant, name);

CREATE TABLE notify_rules (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  event TEXT NOT NULL,
  filter TEXT NOT NULL,
  channels TEXT NOT NULL,
  audience TEXT NOT NULL,
  template TEXT NOT NULL,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  disabled INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX notify_rules_by_template ON notify_rules (tenant, template);

CREATE TABLE notify_builtin_rules (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  disabled INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE TABLE notify_endpoints (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  url TEXT NOT NULL,
  types TEXT NOT NULL,
  description TEXT NOT NULL,
  disabled INTEGER NOT NULL,
  disabled_reason TEXT NOT NULL,
  failing_since INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE TABLE notify_endpoint_secrets (
  tenant TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  secret TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  PRIMARY KEY (tenant, endpoint_id, secret)
) WITHOUT ROWID;

-- One row for each tenant that has ever changed a rule, a template or an
-- endpoint: what processes keep in memory is good for one generation.
CREATE TABLE notify_generations (
  tenant TEXT NOT NULL,
  generation INTEGER NOT NULL,
  PRIMARY KEY (tenant)
) WITHOUT ROWID;
