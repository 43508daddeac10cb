-- Passkeys (WebAuthn). They belong to a person. credential is the id that the
-- authenticator gave the key; the flags are 0 or 1.
CREATE TABLE user_passkeys (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES user_accounts (id),
  name TEXT NOT NULL,
  credential BLOB NOT NULL,
  public_key BLOB NOT NULL,
  aaguid BLOB NOT NULL,
  sign_count INTEGER NOT NULL,
  backup_eligible INTEGER NOT NULL,
  backed_up INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX user_passkeys_credential ON user_passkeys (credential);
CREATE INDEX user_passkeys_user ON user_passkeys (user_id, id);

-- Challenges that were answered, by their SHA-256, until they expire.
CREATE TABLE user_challenges (
  hash BLOB NOT NULL PRIMARY KEY,
  expires_at INTEGER NOT NULL
);
CREATE INDEX user_challenges_expires ON user_challenges (expires_at);
