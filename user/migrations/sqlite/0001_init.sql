-- Accounts, credentials, sessions and signing keys belong to no tenant: a
-- person is in many organizations. Everything else has the tenant first.

CREATE TABLE user_accounts (
  id TEXT NOT NULL PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);

CREATE TABLE user_passwords (
  user_id TEXT NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL,
  changed_at INTEGER NOT NULL
);

-- One row is one signed-in device and its whole refresh lineage.
CREATE TABLE user_sessions (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL,
  organization TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  idle_until INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  tag_key BLOB NOT NULL,
  token_hash BLOB NOT NULL,
  parent_hash BLOB NOT NULL,
  nonce BLOB NOT NULL,
  rotated_at INTEGER NOT NULL
);
CREATE INDEX user_sessions_user ON user_sessions (user_id, id);
CREATE INDEX user_sessions_end ON user_sessions (ends_at);

CREATE TABLE user_signing_keys (
  generation INTEGER NOT NULL PRIMARY KEY,
  kid TEXT NOT NULL UNIQUE,
  seed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  active_at INTEGER NOT NULL,
  retire_at INTEGER NOT NULL,
  expire_at INTEGER NOT NULL
);

CREATE TABLE user_organizations (
  tenant TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  authz_version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);

CREATE TABLE user_memberships (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  roles TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX user_memberships_user ON user_memberships (tenant, user_id);
-- For the login only, which knows a user and not yet an organization.
CREATE INDEX user_memberships_login ON user_memberships (user_id, created_at);

CREATE TABLE user_invitations (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  email TEXT NOT NULL,
  roles TEXT NOT NULL,
  token_hash BLOB NOT NULL,
  invited_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  accepted_at INTEGER NOT NULL,
  accepted_by TEXT NOT NULL,
  revoked_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX user_invitations_email ON user_invitations (tenant, email);
-- For the acceptance only: the token names the invitation, not the tenant.
CREATE UNIQUE INDEX user_invitations_token ON user_invitations (id);

CREATE TABLE user_roles (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  permissions TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX user_roles_name ON user_roles (tenant, name);

CREATE TABLE user_api_keys (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  hash BLOB NOT NULL,
  previous_hash BLOB NOT NULL,
  previous_until INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX user_api_keys_user ON user_api_keys (tenant, user_id);
-- For the verification only: the credential names the key, not the tenant.
CREATE UNIQUE INDEX user_api_keys_id ON user_api_keys (id);

CREATE TABLE user_audit (
  tenant TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  id TEXT NOT NULL,
  time INTEGER NOT NULL,
  actor TEXT NOT NULL,
  actor_kind TEXT NOT NULL,
  credential TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  outcome TEXT NOT NULL,
  request_id TEXT NOT NULL,
  client TEXT NOT NULL,
  detail TEXT NOT NULL,
  previous BLOB NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (tenant, sequence)
);
CREATE INDEX user_audit_action ON user_audit (tenant, action, sequence);
CREATE INDEX user_audit_actor ON user_audit (tenant, actor, sequence);

CREATE TABLE user_audit_heads (
  tenant TEXT NOT NULL PRIMARY KEY,
  sequence INTEGER NOT NULL,
  hash BLOB NOT NULL
);
