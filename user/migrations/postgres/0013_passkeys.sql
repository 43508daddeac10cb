-- Passkeys (WebAuthn). They belong to a person. credential is the id that the
-- authenticator gave the key; the flags are 0 or 1.
CREATE TABLE user_passkeys (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES user_accounts (id),
  name TEXT NOT NULL,
  credential BYTEA NOT NULL,
  public_key BYTEA NOT NULL,
  aaguid BYTEA NOT NULL,
  sign_count BIGINT NOT NULL,
  backup_eligible INTEGER NOT NULL,
  backed_up INTEGER NOT NULL,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX user_passkeys_credential ON user_passkeys (credential);
CREATE INDEX user_passkeys_user ON user_passkeys (user_id, id);

-- Challenges that were answered, by their SHA-256, until they expire.
CREATE TABLE user_challenges (
  hash BYTEA NOT NULL PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX user_challenges_expires ON user_challenges (expires_at);
