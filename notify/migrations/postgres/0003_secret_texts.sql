-- The text of a message that holds a secret stands here, by delivery, until
-- that has ended, and never in the message.
CREATE TABLE notify_secret_texts (
  tenant TEXT COLLATE "C" NOT NULL,
  delivery_id TEXT COLLATE "C" NOT NULL,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  html TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, delivery_id)
);
CREATE INDEX notify_secret_texts_expiry ON notify_secret_texts (expires_at);

ALTER TABLE notify_messages ADD COLUMN secret INTEGER NOT NULL DEFAULT 0;
