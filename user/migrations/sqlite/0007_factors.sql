-- Second factors. They belong to a person, whatever organizations the person is in.

-- An authenticator app (RFC 6238). The seed is sealed; begun_by is the session or
-- the half-done sign-in that began it and alone may confirm it. confirmed_at is 0
-- until then. last_step is the step of the last code that was used: no code counts
-- twice.
CREATE TABLE user_totp (
  user_id TEXT NOT NULL PRIMARY KEY REFERENCES user_accounts (id),
  seed BLOB NOT NULL,
  begun_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  confirmed_at INTEGER NOT NULL,
  last_step INTEGER NOT NULL
);

-- Recovery codes that are not used yet, by their SHA-256.
CREATE TABLE user_recovery_codes (
  user_id TEXT NOT NULL REFERENCES user_accounts (id),
  hash BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, hash)
);

-- Sign-ins whose first factor was shown and whose second is to come. organization
-- is the wanted one, '' where the person named none; methods is a JSON list.
CREATE TABLE user_pending_sign_ins (
  id TEXT NOT NULL PRIMARY KEY,
  token_hash BLOB NOT NULL,
  user_id TEXT NOT NULL REFERENCES user_accounts (id),
  organization TEXT NOT NULL,
  methods TEXT NOT NULL,
  enroll INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
);
CREATE INDEX user_pending_sign_ins_user ON user_pending_sign_ins (user_id);
CREATE INDEX user_pending_sign_ins_expires ON user_pending_sign_ins (expires_at);

-- Whether members need a session with a second factor: 0 or 1.
ALTER TABLE user_organizations ADD COLUMN require_factor INTEGER NOT NULL DEFAULT 0;
