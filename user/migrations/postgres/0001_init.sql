-- Accounts, credentials, sessions and signing keys belong to no tenant: a
-- person is in many organizations. Everything else has the tenant first.
--
-- Ids, and what else is compared or ordered, have the collation "C": bytewise,
-- as in SQLite, whatever the locale of the database.

CREATE TABLE user_accounts (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  email TEXT COLLATE "C" NOT NULL UNIQUE,
  name TEXT NOT NULL,
  status TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

CREATE TABLE user_passwords (
  user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES user_accounts (id),
  hash TEXT COLLATE "C" NOT NULL,
  changed_at BIGINT NOT NULL
);

CREATE TABLE user_signing_keys (
  generation BIGINT NOT NULL PRIMARY KEY,
  kid TEXT COLLATE "C" NOT NULL UNIQUE,
  seed BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  active_at BIGINT NOT NULL,
  retire_at BIGINT NOT NULL,
  expire_at BIGINT NOT NULL
);

CREATE TABLE user_organizations (
  tenant TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  status TEXT COLLATE "C" NOT NULL,
  authz_version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- One row is one signed-in device and its whole refresh lineage.
CREATE TABLE user_sessions (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES user_accounts (id),
  organization TEXT COLLATE "C" NOT NULL REFERENCES user_organizations (tenant),
  created_at BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL,
  idle_until BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  tag_key BYTEA NOT NULL,
  token_hash BYTEA NOT NULL,
  parent_hash BYTEA NOT NULL,
  nonce BYTEA NOT NULL,
  rotated_at BIGINT NOT NULL
);
CREATE INDEX user_sessions_user ON user_sessions (user_id, id);
CREATE INDEX user_sessions_end ON user_sessions (ends_at);

CREATE TABLE user_memberships (
  tenant TEXT COLLATE "C" NOT NULL REFERENCES user_organizations (tenant),
  id TEXT COLLATE "C" NOT NULL,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES user_accounts (id),
  roles TEXT COLLATE "C" NOT NULL,
  status TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX user_memberships_user ON user_memberships (tenant, user_id);
-- For the login only, which knows a user and not yet an organization.
CREATE INDEX user_memberships_login ON user_memberships (user_id, created_at);

CREATE TABLE user_invitations (
  tenant TEXT COLLATE "C" NOT NULL REFERENCES user_organizations (tenant),
  id TEXT COLLATE "C" NOT NULL,
  email TEXT COLLATE "C" NOT NULL,
  roles TEXT COLLATE "C" NOT NULL,
  token_hash BYTEA NOT NULL,
  invited_by TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  accepted_at BIGINT NOT NULL,
  accepted_by TEXT COLLATE "C" NOT NULL,
  revoked_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX user_invitations_email ON user_invitations (tenant, email);
-- For the acceptance only: the token names the invitation, not the tenant.
CREATE UNIQUE INDEX user_invitations_token ON user_invitations (id);

CREATE TABLE user_roles (
  tenant TEXT COLLATE "C" NOT NULL REFERENCES user_organizations (tenant),
  id TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  description TEXT NOT NULL,
  permissions TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX user_roles_name ON user_roles (tenant, name);

-- No reference to the membership: a key is kept, revoked, when that ends.
CREATE TABLE user_api_keys (
  tenant TEXT COLLATE "C" NOT NULL REFERENCES user_organizations (tenant),
  id TEXT COLLATE "C" NOT NULL,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES user_accounts (id),
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  hash BYTEA NOT NULL,
  previous_hash BYTEA NOT NULL,
  previous_until BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX user_api_keys_user ON user_api_keys (tenant, user_id);
-- For the verification only: the credential names the key, not the tenant.
CREATE UNIQUE INDEX user_api_keys_id ON user_api_keys (id);

-- The audit refers to nothing: its records outlive what they tell of, and a
-- tenant of the host's own making has one without an organization.
CREATE TABLE user_audit (
  tenant TEXT COLLATE "C" NOT NULL,
  sequence BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  time BIGINT NOT NULL,
  actor TEXT COLLATE "C" NOT NULL,
  actor_kind TEXT COLLATE "C" NOT NULL,
  credential TEXT COLLATE "C" NOT NULL,
  action TEXT COLLATE "C" NOT NULL,
  target TEXT COLLATE "C" NOT NULL,
  outcome TEXT COLLATE "C" NOT NULL,
  request_id TEXT COLLATE "C" NOT NULL,
  client TEXT COLLATE "C" NOT NULL,
  detail TEXT COLLATE "C" NOT NULL,
  previous BYTEA NOT NULL,
  hash BYTEA NOT NULL,
  PRIMARY KEY (tenant, sequence)
);
CREATE INDEX user_audit_action ON user_audit (tenant, action, sequence);
CREATE INDEX user_audit_actor ON user_audit (tenant, actor, sequence);

CREATE TABLE user_audit_heads (
  tenant TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  sequence BIGINT NOT NULL,
  hash BYTEA NOT NULL
);
