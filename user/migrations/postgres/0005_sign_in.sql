-- When the person behind the session last proved who they are, in µs, and how
-- (names of RFC 8176, as a JSON list); a refresh changes neither. 0 is not known:
-- such a session is never fresh.
ALTER TABLE user_sessions ADD COLUMN signed_in_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE user_sessions ADD COLUMN methods TEXT NOT NULL DEFAULT '[]';
