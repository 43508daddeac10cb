-- Ids, and what else is compared or ordered, have the collation "C": bytewise,
-- as in SQLite, whatever the locale of the database. Booleans are integers, as
-- there, so that one text of a statement serves both.

CREATE TABLE notify_messages (
  tenant TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  status TEXT COLLATE "C" NOT NULL,
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
);
CREATE INDEX notify_messages_by_time ON notify_messages (tenant, created_at, id);

CREATE TABLE notify_inbox (
  tenant TEXT COLLATE "C" NOT NULL,
  user_id TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  message_id TEXT COLLATE "C" NOT NULL,
  read_at BIGINT,
  PRIMARY KEY (tenant, user_id, created_at, message_id),
  FOREIGN KEY (tenant, message_id) REFERENCES notify_messages (tenant, id)
);
CREATE INDEX notify_inbox_unread ON notify_inbox (tenant, user_id, created_at, message_id) WHERE read_at IS NULL;

CREATE TABLE notify_unread (
  tenant TEXT COLLATE "C" NOT NULL,
  user_id TEXT COLLATE "C" NOT NULL,
  unread INTEGER NOT NULL,
  PRIMARY KEY (tenant, user_id)
);

-- No references: a delivery of an event has no message, and one to an endpoint
-- outlives that.
CREATE TABLE notify_deliveries (
  tenant TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  message_id TEXT COLLATE "C" NOT NULL,
  event_id TEXT COLLATE "C" NOT NULL,
  event_type TEXT NOT NULL,
  channel TEXT COLLATE "C" NOT NULL,
  recipient TEXT COLLATE "C" NOT NULL,
  address TEXT NOT NULL,
  name TEXT NOT NULL,
  status TEXT COLLATE "C" NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  next_attempt_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX notify_deliveries_by_message ON notify_deliveries (tenant, message_id, created_at, id) WHERE message_id <> '';
CREATE INDEX notify_deliveries_by_endpoint ON notify_deliveries (tenant, recipient, created_at, id) WHERE channel = 'webhook';

CREATE TABLE notify_attempts (
  tenant TEXT COLLATE "C" NOT NULL,
  delivery_id TEXT COLLATE "C" NOT NULL,
  n INTEGER NOT NULL,
  started_at BIGINT NOT NULL,
  duration BIGINT NOT NULL,
  outcome TEXT NOT NULL,
  code INTEGER NOT NULL,
  reason TEXT NOT NULL,
  response TEXT NOT NULL,
  PRIMARY KEY (tenant, delivery_id, n),
  FOREIGN KEY (tenant, delivery_id) REFERENCES notify_deliveries (tenant, id)
);

CREATE TABLE notify_templates (
  tenant TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  html TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX notify_templates_name ON notify_templates (tenant, name);

-- No reference to the template: it is '' for a rule that has its own text.
CREATE TABLE notify_rules (
  tenant TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  name TEXT NOT NULL,
  event TEXT NOT NULL,
  filter TEXT NOT NULL,
  channels TEXT NOT NULL,
  audience TEXT NOT NULL,
  template TEXT COLLATE "C" NOT NULL,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  disabled INTEGER NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX notify_rules_by_template ON notify_rules (tenant, template);

CREATE TABLE notify_builtin_rules (
  tenant TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  disabled INTEGER NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE notify_endpoints (
  tenant TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  url TEXT NOT NULL,
  types TEXT NOT NULL,
  description TEXT NOT NULL,
  disabled INTEGER NOT NULL,
  disabled_reason TEXT NOT NULL,
  failing_since BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE notify_endpoint_secrets (
  tenant TEXT COLLATE "C" NOT NULL,
  endpoint_id TEXT COLLATE "C" NOT NULL,
  secret TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  PRIMARY KEY (tenant, endpoint_id, secret),
  FOREIGN KEY (tenant, endpoint_id) REFERENCES notify_endpoints (tenant, id)
);

-- One row for each tenant that has ever changed a rule, a template or an
-- endpoint: what processes keep in memory is good for one generation.
CREATE TABLE notify_generations (
  tenant TEXT COLLATE "C" NOT NULL,
  generation BIGINT NOT NULL,
  PRIMARY KEY (tenant)
);
