-- A row of user_sessions is one signed-in device, whatever organizations it
-- visits. What belongs to one organization on it is a row of user_session_grants.
-- A session from before was of one organization: it becomes a device with one
-- grant, and its refresh token, which names the grant now, works on.
ALTER TABLE user_sessions RENAME TO user_sessions_before;
ALTER INDEX user_sessions_pkey RENAME TO user_sessions_before_pkey;
DROP INDEX user_sessions_user;
DROP INDEX user_sessions_end;

-- cookie_hash and what follows are of a session that is held in a cookie; the
-- hash is empty for one that is held in tokens. organization is where the cookie
-- leads, '-' to none. The previous value of the cookie leads to the previous
-- organization for a moment, for requests that were under way.
CREATE TABLE user_sessions (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES user_accounts (id),
  name TEXT NOT NULL,
  address TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL,
  signed_in_at BIGINT NOT NULL,
  methods TEXT NOT NULL,
  organization TEXT COLLATE "C" NOT NULL,
  cookie_hash BYTEA NOT NULL,
  previous_hash BYTEA NOT NULL,
  previous_organization TEXT COLLATE "C" NOT NULL,
  previous_until BIGINT NOT NULL
);

-- organization is '-' for a person who is signed in to none. The columns from
-- generation on are the refresh state; they are empty where a cookie is used.
CREATE TABLE user_session_grants (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  session TEXT COLLATE "C" NOT NULL REFERENCES user_sessions (id),
  organization TEXT COLLATE "C" NOT NULL,
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

INSERT INTO user_sessions (id, user_id, name, address, created_at, ends_at, revoked_at, signed_in_at, methods,
    organization, cookie_hash, previous_hash, previous_organization, previous_until)
  SELECT id, user_id, '', '', created_at, ends_at, revoked_at, signed_in_at, methods, organization, '', '', '', 0
  FROM user_sessions_before;
INSERT INTO user_session_grants (id, session, organization, created_at, last_used_at, idle_until, ends_at, revoked_at,
    generation, tag_key, token_hash, parent_hash, nonce, rotated_at)
  SELECT 'grt_' || substr(id, 5), id, organization, created_at, last_used_at, idle_until, ends_at, 0,
    generation, tag_key, token_hash, parent_hash, nonce, rotated_at
  FROM user_sessions_before;
DROP TABLE user_sessions_before;

CREATE INDEX user_sessions_user ON user_sessions (user_id, id);
CREATE INDEX user_sessions_end ON user_sessions (ends_at);
CREATE UNIQUE INDEX user_session_grants_session ON user_session_grants (session, organization);
CREATE INDEX user_session_grants_organization ON user_session_grants (organization);

-- Where the person last was, '' where that is not known: the next sign-in that
-- names no organization leads there.
ALTER TABLE user_accounts ADD COLUMN last_organization TEXT COLLATE "C" NOT NULL DEFAULT '';

-- After how many µs without use, and after how many since the sign-in, a session
-- ends for the organization; 0 is what the host says.
ALTER TABLE user_organizations ADD COLUMN session_idle BIGINT NOT NULL DEFAULT 0;
ALTER TABLE user_organizations ADD COLUMN session_max BIGINT NOT NULL DEFAULT 0;

-- How the session is to be held that a half-done sign-in leads to: 'token',
-- 'cookie', or '' for tokens.
ALTER TABLE user_pending_sign_ins ADD COLUMN session_kind TEXT NOT NULL DEFAULT '';
