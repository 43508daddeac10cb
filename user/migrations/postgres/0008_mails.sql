-- One row is one e-mail to a person: that it was asked for, sent and used. Its
-- secrets are in the mail alone; hashes are their SHA-256, 32 bytes each. kind
-- is a user.MailKind.
CREATE TABLE user_mail_tokens (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  kind TEXT COLLATE "C" NOT NULL,
  user_id TEXT COLLATE "C" NOT NULL,
  email TEXT COLLATE "C" NOT NULL,
  organization TEXT COLLATE "C" NOT NULL,
  subject TEXT COLLATE "C" NOT NULL,
  locale TEXT NOT NULL,
  hashes BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  sent_at BIGINT NOT NULL,
  spent_at BIGINT NOT NULL
);
CREATE INDEX user_mail_tokens_user ON user_mail_tokens (user_id) WHERE spent_at = 0;
CREATE INDEX user_mail_tokens_email ON user_mail_tokens (email) WHERE spent_at = 0;
CREATE INDEX user_mail_tokens_end ON user_mail_tokens (expires_at);
